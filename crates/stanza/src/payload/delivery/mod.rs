//! Delivery between two devices, end to end: the elements of `urn:stanchion:delivery:0`,
//! which is this project's own, and how a device says that it speaks it. Here are the
//! words alone; what follows from them is the delivery engine's.
//!
//! | element | in | what it says |
//! |---|---|---|
//! | [`<d/>`](Deliver) | a message | that the message is one of a channel, and which |
//! | [`<a/>`](Answer) | a message | what became of up to 32 of them |
//! | [`<cancel/>`](Cancel) | a message | that one is not to take effect, if it has not |
//! | [`<rotate/>`](Rotate) | a message | that the epoch cannot go on |
//! | [`<close/>`](Close) | a message | that the sender ends the epoch |
//! | [`<closed/>`](Closed) | a message | how it ended at the recipient |
//! | [`<wrong-store/>`](WrongStore) | a message | that the store addressed is not here |
//! | [`<bundle/>`](Bundle) | a message | several messages that share a stanza |
//! | [`<at/>`](At) | a presence | which device and store this resource is |
//!
//! A message is named by sending device, recipient device, channel, epoch and sequence
//! number. Sender and recipient have the same attributes in every element:
//!
//! | attribute | holds |
//! |---|---|
//! | `d` | the sending [`Device`], also in what is answered to it |
//! | `t` | the [`Place`] that is addressed; absent before its store is known |
//! | `at` | the [`Place`] that answers |
//! | `e`, `c` | [`Epoch`], [`Channel`] |
//! | `b` | the sender's [`Boot`], echoed in every answer |
//! | `n`, `l` | sequence number, and the lowest that is not final: 1 to [`MAX_SEQ`] |
//! | `i`, `p` | [`IdPrefix`] of the message and of the one before it |
//! | `j` | the version of the other side's [`Jids`] that is known; absent is 0, none |
//!
//! Every value has one spelling: numbers without sign or leading zeros, tokens as base64url
//! without padding (RFC 4648 §5); an [`IdPrefix`] is read in an earlier form, too. Anything
//! else is refused, whereas attributes and children of other names are ignored, for later
//! versions to add.
//!
//! The fields are public, and so can hold what the wire cannot: an element that is written
//! with a number or a list out of its range is refused by whoever reads it.

mod answer;
mod bundle;
mod capability;
mod deliver;
mod jids;
mod names;
mod rotation;
mod shape;
mod tokens;
mod value;

pub use answer::{Answer, Verdict, VerdictState, WrongStore};
pub use bundle::Bundle;
pub use capability::{At, FEATURE, capability_form, place_of};
pub use deliver::{Cancel, Deliver};
pub use jids::Jids;
pub use names::{Channel, Device, InvalidDelivery, MAX_NAME_BYTES};
pub use rotation::{Close, Closed, Rotate};
pub use tokens::{Boot, Epoch, IdPrefix, Place, StoreTag};
pub use value::MAX_SEQ;
