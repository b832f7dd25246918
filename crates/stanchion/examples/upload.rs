//! A camera that puts a picture where its server has a place for files (XEP-0363), and tells
//! somebody where it is.
//!
//!     STANCHION_PASSWORD=… cargo run -p stanchion --example upload -- \
//!         camera@home.example 192.0.2.7:5222 SHA-256-OF-THE-CERTIFICATE \
//!         door.jpg phone@home.example
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::path::Path;

use stanchion::services::upload::{self, Content, HttpPut};
use stanchion::session::Outgoing;
use stanchion::stanza::payload::upload::Request;
use stanchion::transport::TlsPolicy;
use stanchion::{BareJid, Client, Jid};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [jid, place, pin, file, to] = &words[..] else {
        return Err("usage: upload JID HOST:PORT PIN FILE TO".into());
    };
    let (host, port) = place.rsplit_once(':').ok_or("the place is HOST:PORT")?;
    let account: BareJid = jid.parse()?;
    let (client, _incoming) = Client::builder(account.clone())
        .password(std::env::var("STANCHION_PASSWORD")?.into())
        .server(host, port.parse()?)
        .pin(pin.parse()?)
        .store_in_memory()
        .start()
        .await?;

    let requests = client.requests();
    let domain: Jid = account.domain().parse()?;
    let mut service = upload::find(&requests, domain)
        .await?
        .ok_or("the server has no place for files")?;
    // Elsewhere than on this machine, HTTPS and nothing else is used.
    service.http_over_loopback = true;
    let put = HttpPut::new(&TlsPolicy::default())?.http_over_loopback(true);

    let picture = std::fs::read(file)?;
    let name = Path::new(file).file_name().unwrap_or_default();
    let asked = Request {
        filename: name.to_string_lossy().into_owned().try_into()?,
        size: picture.len() as u64,
        content_type: Some("image/jpeg".try_into()?),
    };
    let slot = upload::slot(&requests, &service, &asked).await?;
    let content = Content::bytes(picture).of_type("image/jpeg");
    put.put(&slot, content).await?;
    println!("put at {}", slot.get);

    let told = client.send(Outgoing::text(to.parse()?, slot.get.as_str())?);
    println!("{:?}", told.await?.outcome().await?);
    Ok(client.shutdown().await?)
}
