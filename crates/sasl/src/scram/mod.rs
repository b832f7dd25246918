//! SCRAM (RFC 5802, RFC 7677): salted challenge and response, both sides.
//!
//! [`client`] and [`server`] are plain state machines over byte strings; they
//! know no framework, no clock and no random source. `message` is the grammar,
//! [`keys`] the arithmetic, [`downgrade`] the hash over the offer (XEP-0474).

pub mod client;
pub mod downgrade;
pub mod keys;
mod message;
pub mod server;

pub use message::{MAX_MESSAGE_BYTES, MessageError, ServerError};
