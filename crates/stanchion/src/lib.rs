//! Reliable messages over XMPP: the facade.
//!
//! For an application that wants to call `send` and be told what became of it. This
//! crate has no logic of its own: it puts the connection factory, the store and the
//! delivery engine together, and gives one [`Client`] without type parameters. Whoever
//! wants to replace a part takes `stanchion-connect` and `stanchion-reliability`
//! instead.
//!
//! ```no_run
//! use std::time::Duration;
//! use stanchion::{Client, Outcome, session::Outgoing};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, mut incoming) = Client::builder("sensor@example.org".parse()?)
//!     .password(std::env::var("STANCHION_PASSWORD")?.into())
//!     .store_file("sensor.sqlite")
//!     .start()
//!     .await?;
//!
//! let reading = Outgoing::text("cloud@example.org".parse()?, "21.5")?.within(Duration::from_secs(30));
//! match client.send(reading).await?.outcome().await? {
//!     Outcome::Delivered { by } => println!("{by} acted on it, once"),
//!     Outcome::Acknowledged { by } => println!("{by} has a client of another make, which has it"),
//!     Outcome::NotDelivered(why) => println!("it never took effect: {why}"),
//!     Outcome::InDoubt(why) => println!("nobody can say: {why}"),
//!     _ => {}
//! }
//!
//! while let Some(message) = incoming.recv().await {
//!     println!("{:?}", message.message().body());
//!     message.commit().await?; // now, and not before, its sender is told
//! }
//! # Ok(()) }
//! ```
//!
//! Without a server, everything but the delivery can be tried:
//!
//! ```
//! # use std::time::Duration;
//! # use stanchion::{Client, NotDelivered, Outcome, session::Outgoing};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! // Nothing listens there, so the message is kept, and its time runs out.
//! let (client, _incoming) = Client::builder("sensor@example.org".parse()?)
//!     .password("secret".to_owned().into())
//!     .store_in_memory()
//!     .server("127.0.0.1", 1)
//!     .start()
//!     .await?;
//! let message = Outgoing::text("cloud@example.org".parse()?, "21.5")?.within(Duration::from_millis(50));
//! let outcome = client.send(message).await?.outcome().await?;
//! assert_eq!(outcome, Outcome::NotDelivered(NotDelivered::Expired));
//! client.shutdown().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod builder;
mod client;
pub mod component;
mod first;
mod wiring;

pub use stanchion_connect as connect;
#[cfg(feature = "device")]
pub use stanchion_device as device;
pub use stanchion_reliability as reliability;
pub use stanchion_reliability::session;
pub use stanchion_services as services;
pub use stanchion_stanza as stanza;
pub use stanchion_transport as transport;

pub use builder::ClientBuilder;
pub use client::Client;
pub use stanchion_reliability::outcome::{InDoubt, NotDelivered, Outcome};
pub use stanchion_stanza::{BareJid, Jid};
pub use stanchion_transport::tls::Roots;
