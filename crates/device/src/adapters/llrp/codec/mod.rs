//! LLRP on the wire (EPCglobal, Low Level Reader Protocol, 1.0.1 and 1.1, "binary
//! encoding"): bytes into messages and back. No socket and no clock here; when which
//! message is sent is for `session`.
//!
//! - [`Cutter`] cuts a stream of bytes into [`Frame`]s, each within a limit;
//! - [`Message`] is what a frame says, as far as a client of a reader has use for it.
//!
//! What it has no use for is skipped by its length: parameters of other kinds, and those of
//! vendors. A length that cannot be right is an [`Error`], and so is a parameter that is
//! missing where the protocol wants one.
//!
//! ```
//! use stanchion_device::adapters::llrp::codec::{Cutter, LARGEST, Message};
//! let bytes = Message::Keepalive.encode(7)?;
//! let mut cutter = Cutter::new(LARGEST);
//! cutter.push(&bytes[..4]);
//! assert_eq!(cutter.next_frame()?, None);
//! cutter.push(&bytes[4..]);
//! let frame = cutter.next_frame()?.ok_or("no frame")?;
//! assert_eq!((frame.id, Message::decode(&frame)?), (7, Message::Keepalive));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cutter;
mod error;
mod event;
mod message;
mod names;
mod reader;
mod rospec;
mod status;
mod tag;
mod wire;

pub use cutter::{Cutter, Frame, LARGEST};
pub use error::Error;
pub use event::{RoSpecEvent, Timestamp, WhatHappened};
pub use message::{Message, Request};
pub use reader::{Capabilities, Device, Functions, Identification, ReaderConfig};
pub use rospec::{AiSpec, Inventory, ReportContent, ReportSpec, RoSpec, Stop};
pub use status::Status;
pub use tag::{Epc, MOST_EPC_BITS, TagReport};
