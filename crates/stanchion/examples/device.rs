//! A device on the facade: each line of its standard input leaves as a message, and what
//! happens is told in JSON lines. Ends with its input.
//!
//!     STANCHION_PASSWORD=… cargo run -p stanchion --example device -- \
//!         lamp@home.example 192.0.2.7:5222 ca.pem lamp.sqlite app@home.example
//!
//! It shows what an application chooses for itself: how soon a quiet connection is asked
//! whether it lives, and how long an answer may take. `cargo xtask evaluate` runs it, too.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::time::Duration;

use serde_json::{Value, json};
use stanchion::session::{Outgoing, SessionEvent, Status};
use stanchion::{Client, Jid, Roots};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::broadcast::error::RecvError;

/// A quiet connection is asked after this long; by default after 60 s.
const PROBE_AFTER: Duration = Duration::from_secs(5);
/// One that does not answer is given up after this long; by default after 20 s.
const DEAD_AFTER: Duration = Duration::from_secs(5);
/// What becomes of a message is known after this long.
const WITHIN: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [jid, place, ca, store, to] = &words[..] else {
        return Err("usage: device JID HOST:PORT CA-FILE STORE-FILE RECIPIENT".into());
    };
    let to: Jid = to.parse()?;
    let (host, port) = place.rsplit_once(':').ok_or("the place is HOST:PORT")?;
    let (client, mut incoming) = Client::builder(jid.parse()?)
        .password(std::env::var("STANCHION_PASSWORD")?.into())
        .server(host, port.parse()?)
        .trust(Roots::Pem(std::fs::read(ca)?))
        .store_file(store)
        .session_config(|session| {
            session.engine.probe_after = PROBE_AFTER;
            session.engine.dead_after = DEAD_AFTER;
        })
        .start()
        .await?;
    let mut events = client.events();
    // What was before the first event.
    tell(SessionEvent::Status(client.status().borrow().clone()));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { break };
                let message = Outgoing::text(to.clone(), line)?.within(WITHIN);
                let sent = client.send(message).await?;
                // From here on it outlives this process.
                say(&json!({ "kept": sent.id() }));
            }
            received = incoming.recv() => {
                let Some(received) = received else { break };
                say(&json!({
                    "received": received.message().body(),
                    "maybe_redelivered": received.maybe_redelivered(),
                }));
                received.commit().await?;
            }
            event = events.recv() => match event {
                Ok(event) => tell(event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
        }
    }
    client.shutdown().await?;
    Ok(())
}

fn tell(event: SessionEvent) {
    match event {
        SessionEvent::Status(Status::Connected { resumed, .. }) => {
            say(&json!({ "connected": true, "resumed": resumed }));
        }
        SessionEvent::Status(Status::Waiting { cause, .. }) => {
            say(&json!({ "connected": false, "cause": cause.to_string() }));
        }
        SessionEvent::Status(Status::Refused(cause)) => {
            say(&json!({ "refused": cause.to_string() }));
        }
        SessionEvent::Outcome { id, outcome } => {
            say(&json!({ "id": id, "outcome": outcome.to_string() }));
        }
        _ => {}
    }
}

fn say(what: &Value) {
    println!("{what}");
}
