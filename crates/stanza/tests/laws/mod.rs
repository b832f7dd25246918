//! Laws that hold for any input, as functions that panic on a counterexample. They
//! make no input: that is for the property tests here, and for the fuzz targets, which
//! take one file each.
#![allow(dead_code, reason = "no test uses all of them")]

pub(crate) mod addresses;
pub(crate) mod cuts;
pub(crate) mod edits;
pub(crate) mod journey;
pub(crate) mod oracle;
pub(crate) mod recipe;

use stanchion_stanza::{Limits, Payload};

/// A payload on its way through bytes, at any of the limits' defaults.
///
/// # Panics
/// If it comes back changed.
pub(crate) fn travels<P: Payload + PartialEq + std::fmt::Debug>(payload: &P) {
    journey::payload_survives(payload);
    journey::element_survives(&payload.to_element(), Limits::default());
}
