//! Adapters with other people's devices and brokers, and things with other people's
//! clients on real servers: a file for each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]
#![allow(dead_code, reason = "each uses a part")]

#[path = "../client/mod.rs"]
mod client;
mod host;
mod peer;
mod remote;
#[path = "../support/mod.rs"]
mod support;
