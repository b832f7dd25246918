//! A device that makes its own account the first time it runs (XEP-0077), if its server lets
//! anybody do so, and then is a client as any other.
//!
//!     STANCHION_PASSWORD=… cargo run -p stanchion --example registration -- \
//!         lamp@home.example 192.0.2.7:5222 SHA-256-OF-THE-CERTIFICATE
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;

use stanchion::Client;
use stanchion::connect::registration::RegisterError;
use stanchion::session::Status;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [jid, place, pin] = &words[..] else {
        return Err("usage: registration JID HOST:PORT PIN".into());
    };
    let (host, port) = place.rsplit_once(':').ok_or("the place is HOST:PORT")?;
    let password = std::env::var("STANCHION_PASSWORD")?;
    let lamp = Client::builder(jid.parse()?)
        .password(password.clone().into())
        .server(host, port.parse()?)
        .pin(pin.parse()?)
        .store_in_memory();

    // Over a connection that is as protected as that of a login.
    match lamp.connector()?.register(&password.into()).await {
        Ok(()) => println!("registered"),
        // By us, the last time; by somebody else, and the login will tell.
        Err(RegisterError::Taken(_)) => println!("there already"),
        Err(error) => return Err(error.into()),
    }
    let (client, _incoming) = lamp.start().await?;
    let mut status = client.status();
    let status = status
        .wait_for(|s| matches!(s, Status::Connected { .. } | Status::Refused(_)))
        .await?
        .clone();
    match status {
        Status::Connected { jid, .. } => println!("connected as {jid}"),
        other => println!("not connected: {other:?}"),
    }
    Ok(client.shutdown().await?)
}
