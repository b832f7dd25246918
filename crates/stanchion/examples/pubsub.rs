//! Publishes readings so that none is lost, and takes each exactly once:
//!
//! ```text
//! pubsub publish JID PASSWORD STORE SERVICE NODE VALUE…
//! pubsub take JID PASSWORD STORE SERVICE NODE COUNT
//! ```

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::error::Error;

use stanchion::services::pubsub::{PublisherConfig, SubscriptionConfig};
use stanchion::stanza::payload::pubsub::{AccessModel, Limit, NodeConfig};
use stanchion::stanza::{Element, Text};
use stanchion::{Client, ClientBuilder, Jid};

const NS: &str = "urn:example:readings";

/// Publishes values, and gives the items' ids.
pub(crate) async fn publish(
    client: ClientBuilder,
    service: Jid,
    node: Text,
    values: &[&str],
) -> Result<Vec<Text>, Box<dyn Error>> {
    let (client, _incoming) = client.start().await?;
    let mut config = PublisherConfig::default();
    config.create = Some(NodeConfig {
        access_model: Some(AccessModel::Open),
        max_items: Some(Limit::At(1000)),
        ..NodeConfig::default()
    });
    let publisher = client
        .pubsub()
        .publisher(Some(service), node, config)
        .await?;
    let mut ids = Vec::new();
    for value in values {
        let reading = Element::new("celsius", NS).with_text(Text::new(*value)?);
        // Durable: from here on it is published, whatever happens to this process.
        let publication = publisher.publish(reading).await?;
        ids.push(publication.confirmed().await?);
    }
    client.shutdown().await?;
    Ok(ids)
}

/// Takes so many values.
pub(crate) async fn take(
    client: ClientBuilder,
    service: Jid,
    node: Text,
    count: usize,
) -> Result<Vec<String>, Box<dyn Error>> {
    let (client, _incoming) = client.start().await?;
    let config = SubscriptionConfig::default();
    let mut subscription = client
        .pubsub()
        .subscribe(Some(service), node, config)
        .await?;
    let mut values = Vec::new();
    while values.len() < count {
        let item = subscription.next_item().await?;
        let celsius = item.payload().map(Element::text).unwrap_or_default();
        values.push(celsius.into_owned());
        // Done with: it never comes again.
        item.commit().await?;
    }
    client.shutdown().await?;
    Ok(values)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let [what, jid, password, store, service, node, rest @ ..] = &args[..] else {
        return Err("publish|take JID PASSWORD STORE SERVICE NODE VALUE…|COUNT".into());
    };
    let client = Client::builder(jid.parse()?)
        .password((*password).to_owned().into())
        .store_file(store);
    let (service, node) = (service.parse()?, Text::new(*node)?);
    match *what {
        "publish" => {
            for id in publish(client, service, node, rest).await? {
                println!("{id}");
            }
        }
        _ => {
            let count = rest.first().ok_or("how many?")?.parse()?;
            for value in take(client, service, node, count).await? {
                println!("{value}");
            }
        }
    }
    Ok(())
}
