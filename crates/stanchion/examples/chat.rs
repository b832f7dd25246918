//! A conversation on the terminal: what is typed is said, what comes is printed and kept.
//! Ends with its input.
//!
//!     STANCHION_PASSWORD=… cargo run -p stanchion --example chat -- \
//!         ann@home.example 192.0.2.7:5222 ca.pem ann.sqlite bob@home.example
//!
//! `/fix TEXT` corrects what was said last, `/find WORDS` searches, `/seen` says that all is
//! read, `/last N` shows the last messages, whichever device said or got them.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;

use stanchion::services::archive::Beginning;
use stanchion::services::history::{Direction, Entry, Found, Page};
use stanchion::{BareJid, Client, Roots};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [jid, place, ca, store, with] = &words[..] else {
        return Err("usage: chat JID HOST:PORT CA-FILE STORE-FILE WITH".into());
    };
    let with: BareJid = with.parse()?;
    let (host, port) = place.rsplit_once(':').ok_or("the place is HOST:PORT")?;
    let (client, mut incoming) = Client::builder(jid.parse()?)
        .password(std::env::var("STANCHION_PASSWORD")?.into())
        .server(host, port.parse()?)
        .trust(Roots::Pem(std::fs::read(ca)?))
        .store_file(store)
        .conversations()
        .carbons()
        .catch_up(Beginning::Now)
        .start()
        .await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { break };
                carry_out(&client, &with, &line).await?;
            }
            received = incoming.recv() => {
                let Some(received) = received else { break };
                // In the history and handled: both, or neither.
                let message = client.chat().commit(received).await?;
                if let Some(body) = message.body() {
                    println!("< {body}");
                }
            }
        }
    }
    client.shutdown().await?;
    Ok(())
}

async fn carry_out(client: &Client, with: &BareJid, line: &str) -> Result<(), Box<dyn Error>> {
    let chat = client.chat();
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "/fix" => match last(client, with, Direction::Out).await? {
            Some(entry) => drop(chat.correct(&entry, rest).await?),
            None => println!("nothing was said so far"),
        },
        "/find" => {
            for found in chat.history().search(rest, None, 10).await? {
                let snippet = found.snippet.replace([Found::OPEN, Found::CLOSE], "*");
                println!("? {snippet}");
            }
        }
        "/seen" => {
            if let Some(entry) = last(client, with, Direction::In).await? {
                chat.displayed(&entry).await?;
            }
        }
        "/last" => {
            let most = rest.parse().unwrap_or(10);
            for entry in chat.history().page(with, Page::Latest, most).await? {
                println!("{}", shown(&entry));
            }
        }
        _ => drop(chat.send(with.clone().into(), line).await?),
    }
    Ok(())
}

async fn last(
    client: &Client,
    with: &BareJid,
    direction: Direction,
) -> Result<Option<Entry>, Box<dyn Error>> {
    let page = client.chat().history().page(with, Page::Latest, 50).await?;
    Ok(page.into_iter().rfind(|entry| entry.direction == direction))
}

fn shown(entry: &Entry) -> String {
    let whose = match entry.direction {
        Direction::In => "<",
        Direction::Out => ">",
    };
    let mut line = format!("{whose} {}", entry.body);
    if entry.edits > 0 {
        line += " (corrected)";
    }
    if let Some(progress) = entry.progress {
        line += &format!(
            " [{progress:?}{}]",
            if entry.displayed { ", seen" } else { "" }
        );
    }
    line
}
