//! TODO
pub mod backoff;
pub mod entropy;
pub mod error;
pub mod misbehaviour;
pub mod negotiation;
pub mod phase;
pub mod resolve;
pub use error::ConnectError;
