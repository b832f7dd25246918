//! Neighbours at work on loopback, each test on a network of its own (a port of its own for
//! multicast DNS).
#![cfg(feature = "serverless")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and shows its figures"
)]

mod house;
mod namespace;
mod streams;
