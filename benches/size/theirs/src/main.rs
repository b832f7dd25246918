//! What the smallest useful client is with tokio-xmpp: it keeps nothing, and does not know
//! whether the recipient has what it sent. Takes its roots from SSL_CERT_FILE.
//!
//!   smallest-theirs JID PASSWORD PORT TO

use std::error::Error;

use futures_util::StreamExt as _;
use tokio_xmpp::connect::{DnsConfig, StartTlsServerConnector};
use tokio_xmpp::parsers::message::Message;
use tokio_xmpp::xmlstream::Timeouts;
use tokio_xmpp::{Client, Event};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [jid, password, port, to] = &words[..] else {
        return Err("JID PASSWORD PORT TO".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    runtime.block_on(run(jid, password, port, to))
}

async fn run(jid: &str, password: &str, port: &str, to: &str) -> Result<(), Box<dyn Error>> {
    let place = DnsConfig::addr(&format!("127.0.0.1:{port}"));
    let connector = StartTlsServerConnector::from(place);
    let account: tokio_xmpp::jid::Jid = jid.parse()?;
    let mut client =
        Client::new_with_connector(account, password.to_owned(), connector, Timeouts::default());
    let to: tokio_xmpp::jid::Jid = to.parse()?;
    while let Some(event) = client.next().await {
        if matches!(event, Event::Online { .. }) {
            println!("connected");
            let message = Message::chat(to.clone()).with_body(Default::default(), "21.5".to_owned());
            client.send_stanza(message.into()).await?;
            println!("sent");
        }
    }
    Err("tokio-xmpp gave up".into())
}
