//! What applications use over a session: discovery, presence, rooms, publish/subscribe and
//! more. Each service is a small state machine without I/O ([`Service`]); one task, the
//! [`Host`], feeds them all from a session and does what they want.
//!
//! A service of an application's own stands beside those that are here, with the same
//! rights: rows in the store, requests that are answered by whom they asked, messages that
//! it claims.

pub mod disco;
pub mod host;
pub mod ping;
pub mod pubsub;
pub mod request;
pub mod service;
pub mod shelf;
mod slot;
pub mod standard;

pub use host::{Host, HostBuilder, Incoming, Requests};
pub use request::RequestError;
pub use service::{Input, Output, Request, Service, Taken};
pub use slot::{Ended, Handle};
pub use standard::{Standard, StandardConfig};
