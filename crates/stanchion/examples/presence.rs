//! Who is there: lets in all who are of its own domain and ask, sees them in turn, and
//! tells who comes, changes and goes. Each line of its input says how we are: `available`,
//! `away`, `busy` or `unavailable`, and a text for people. Ends with its input.
//!
//!     STANCHION_PASSWORD=… cargo run -p stanchion --example presence -- \
//!         lamp@home.example 192.0.2.7:5222 ca.pem
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;

use stanchion::services::presence::{PresenceEvent, Status};
use stanchion::services::roster::{Policy, RosterEvent};
use stanchion::stanza::Text;
use stanchion::{BareJid, Client, Roots};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::broadcast::error::RecvError;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [jid, place, ca] = &words[..] else {
        return Err("usage: presence JID HOST:PORT CA-FILE".into());
    };
    let account: BareJid = jid.parse()?;
    let friends = Policy::AcceptFrom(vec![account.domain().parse()?]);
    let (host, port) = place.rsplit_once(':').ok_or("the place is HOST:PORT")?;
    let (client, _incoming) = Client::builder(account)
        .password(std::env::var("STANCHION_PASSWORD")?.into())
        .server(host, port.parse()?)
        .trust(Roots::Pem(std::fs::read(ca)?))
        .store_in_memory()
        .subscriptions(friends)
        .start()
        .await?;
    let (roster, presences) = (client.roster(), client.presences());
    let (mut contacts, mut people) = (roster.events(), presences.events());
    roster.loaded().await?;
    println!("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => presences.set(status(&line)?).await?,
                None => break,
            },
            event = contacts.recv() => match event {
                Ok(RosterEvent::Accepted { by }) => {
                    println!("{by} sees us");
                    roster.subscribe(by).await?;
                }
                Err(RecvError::Closed) => break,
                // Others, and that some were missed.
                _ => {}
            },
            event = people.recv() => match event {
                Ok(PresenceEvent::Available { jid, status }) => {
                    let text = status.text.unwrap_or_default();
                    println!("{jid} is {:?}: {text}", status.availability);
                }
                Ok(PresenceEvent::Unavailable { jid, .. }) => println!("{jid} is gone"),
                Err(RecvError::Closed) => break,
                _ => {}
            },
        }
    }
    client.shutdown().await?;
    Ok(())
}

fn status(line: &str) -> Result<Status, Box<dyn Error>> {
    let (word, text) = line.split_once(' ').unwrap_or((line, ""));
    let status = match word {
        "available" => Status::available(),
        "away" => Status::away(),
        "busy" => Status::busy(),
        "unavailable" => Status::unavailable(),
        _ => return Err(format!("{word:?} is no way to be").into()),
    };
    Ok(status.with_text(Text::new(text)?))
}
