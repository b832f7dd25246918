//! The verbs for a person's first day, from end to end against the embedded hub: login, pub
//! and sub, history, bench, completions, man. `send` and `listen` are in `hub.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod bench;
mod history;
mod hub;
mod login;
mod manual;
mod nodes;
