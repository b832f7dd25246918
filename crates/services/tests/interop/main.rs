//! Services on real servers, Prosody and ejabberd, with slixmpp at the other end: a file
//! for each service.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]
#![allow(dead_code, reason = "each service uses a part")]

mod chat;
mod commands;
mod component;
mod facts;
mod foreign;
mod ping;
mod presence;
mod registration;
mod rooms;
mod rooms_storm;
mod server;
#[path = "../storm/mod.rs"]
mod storm;
mod upload;

use std::future::Future;
use std::time::Duration;

/// What takes longer hangs.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, what).await.expect("in time")
}
