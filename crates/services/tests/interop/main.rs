//! Services on real servers, Prosody and ejabberd, with slixmpp at the other end: a file
//! for each service.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]
#![allow(dead_code, reason = "each service uses a part")]

mod foreign;
mod ping;
mod pubsub;
mod server;

use std::future::Future;
use std::time::Duration;

/// What takes longer hangs.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, what).await.expect("in time")
}
