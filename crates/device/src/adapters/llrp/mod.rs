//! x
pub mod codec;
