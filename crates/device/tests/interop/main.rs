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
mod coap;
mod host;
mod kept;
mod llrp;
mod modbus;
mod mqtt;
mod peer;
mod remote;
mod serial;
#[path = "../support/mod.rs"]
mod support;
