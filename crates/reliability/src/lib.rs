//! Reliable delivery over XMPP.

pub mod engine;
pub mod outcome;
pub mod store;
