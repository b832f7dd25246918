//! What applications use over a session: discovery, presence, rooms, publish/subscribe and
//! more. Each service is a small state machine without I/O ([`Service`]); one task, the
//! [`Host`], feeds them all from a session and does what they want.
//!
//! A service of an application's own stands beside those that are here, with the same
//! rights: rows in the store, requests that are answered by whom they asked, messages that
//! it claims.
//!
//! ```no_run
//! use stanchion_services::{Standard, ping::ping, version::version};
//! # async fn example(services: Standard) -> Result<(), Box<dyn std::error::Error>> {
//! let lamp: stanchion_stanza::Jid = "lamp@home.example/a".parse()?;
//! let requests = services.requests();
//! println!("there after {:?}", ping(&requests, Some(lamp.clone())).await?);
//! println!("it runs {:?}", version(&requests, lamp.clone()).await?.name);
//! for command in services.commands().list(lamp).await? {
//!     println!("and can {}", command.node);
//! }
//! # Ok(()) }
//! ```

pub mod allowed;
pub mod archive;
pub mod blocking;
pub mod chat;
pub mod client_state;
pub mod commands;
pub mod disco;
#[cfg(test)]
mod fixture;
pub mod forms;
pub mod history;
pub mod host;
pub mod last_activity;
pub mod ping;
pub mod presence;
pub mod pubsub;
pub mod registration;
pub mod request;
pub mod rooms;
pub mod roster;
mod row;
pub mod service;
pub mod shelf;
mod shorten;
mod slot;
pub mod standard;
pub mod time;
pub mod upload;
pub mod version;
pub mod waiter;

pub use host::{Host, HostBuilder, Incoming, Requests};
pub use request::{Request, RequestError};
pub use service::{Input, Output, Service, Taken};
pub use slot::{Ended, Handle};
pub use standard::{Standard, StandardConfig};
