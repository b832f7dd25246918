//! Services on real servers, Prosody and ejabberd, with slixmpp at the other end: a file
//! for each service.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]
#![allow(dead_code, reason = "each service uses a part")]

mod bundles;
mod chat;
mod commands;
mod component;
mod facts;
mod foreign;
mod ping;
mod presence;
mod pubsub;
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
#[track_caller]
pub(crate) fn soon<T>(what: impl Future<Output = T>) -> impl Future<Output = T> {
    let (limit, caller) = (Duration::from_secs(30), std::panic::Location::caller());
    async move {
        let done = tokio::time::timeout(limit, what).await;
        done.unwrap_or_else(|_| panic!("not in time at {caller}"))
    }
}
