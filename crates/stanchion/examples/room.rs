//! A room on the facade: each line of its standard input is said there, and what is said
//! there is printed, each message once, whatever becomes of the connection or of this
//! process. Ends with its input.
//!
//!     STANCHION_PASSWORD=… cargo run -p stanchion --example room -- \
//!         lamp@home.example 192.0.2.7:5222 ca.pem lamp.sqlite hall@rooms.home.example lamp
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;

use stanchion::services::rooms::JoinOptions;
use stanchion::{Client, Roots};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [jid, place, ca, store, room, nick] = &words[..] else {
        return Err("usage: room JID HOST:PORT CA-FILE STORE-FILE ROOM NICK".into());
    };
    let (host, port) = place.rsplit_once(':').ok_or("the place is HOST:PORT")?;
    let (client, _incoming) = Client::builder(jid.parse()?)
        .password(std::env::var("STANCHION_PASSWORD")?.into())
        .server(host, port.parse()?)
        .trust(Roots::Pem(std::fs::read(ca)?))
        .store_file(store)
        .start()
        .await?;
    let options = JoinOptions::default().or_another_nick(3);
    let (room, mut messages) = client.rooms().join(room.parse()?, nick, options).await?;
    println!("* in {} as {:?}", room.jid(), room.nick().await?);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { break };
                // Kept: it is said as soon as we are in the room.
                room.say(line).await?;
            }
            message = messages.recv() => {
                let Some(message) = message else { break };
                println!("{}: {}", message.nick(), message.body());
                message.commit().await?;
            }
        }
    }
    client.shutdown().await?;
    Ok(())
}
