//! A service in the cloud that is a whole domain (XEP-0114): it counts the messages of each
//! device in its own database, each exactly once, though the service, its server or the
//! device may crash at any moment.
//!
//!     STANCHION_SECRET=… cargo run -p stanchion --example component -- \
//!         cloud.home.example 127.0.0.1:5347 cloud.sqlite
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;

use stanchion::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [domain, place, store] = &words[..] else {
        return Err("usage: component DOMAIN HOST:PORT STORE-FILE".into());
    };
    let (host, port) = place.rsplit_once(':').ok_or("the place is HOST:PORT")?;
    let (client, mut incoming) = Client::component(domain.parse()?)
        .secret(std::env::var("STANCHION_SECRET")?.into())
        .server(host, port.parse()?)
        .store_file(store)
        .start()
        .await?;
    println!("started");
    while let Some(received) = incoming.recv().await {
        let Some(from) = received.message().header.from.clone() else {
            received.commit().await?;
            continue;
        };
        // The count and the mark that the message is done are durable together.
        let account = from.to_bare().to_string();
        let counted = received
            .commit_with(move |tx| {
                tx.execute_batch(
                    "CREATE TABLE IF NOT EXISTS app_counts
                         (account TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT",
                )?;
                tx.query_row(
                    "INSERT INTO app_counts VALUES (?1, 1)
                         ON CONFLICT (account) DO UPDATE SET count = count + 1
                         RETURNING count",
                    [&account],
                    |row| row.get::<_, i64>(0),
                )
            })
            .await?;
        println!("{counted} of {from}");
    }
    Ok(client.shutdown().await?)
}
