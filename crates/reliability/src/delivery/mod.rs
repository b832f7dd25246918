//! The delivery protocol (`urn:stanchion:delivery:0`) as state machines: one channel at
//! its sender and at its receiver. Without I/O, clock, bytes or JIDs, so that a model
//! checker can walk through all that they do; `engine` puts them to work.
//!
//! ```text
//! sender: open ──rotate──► closing ──closed──► opening ──durable──► open (next epoch)
//!           └───────────── wrong store ───────────┘
//! receiver, each seq: (unknown) ─► held ─► handed ─► delivered | maybe
//!                          └─────────┴──► void
//! ```

pub mod receiver;
mod record;
pub mod sender;

pub use receiver::{Closing, Coordinates, Judgement, ReceivingChannel, Ruling, Standing};
pub use record::Damaged;
pub use sender::{ClosedSaid, Fate, Heard, Open, Phase, SendingChannel};
