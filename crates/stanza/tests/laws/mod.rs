//! Laws that hold for any input, as functions that panic on a counterexample. They
//! make no input: that is for the property tests here, and for the fuzz targets, which
//! take one file each.
#![allow(dead_code, reason = "no test uses all of them")]

pub(crate) mod addresses;
pub(crate) mod cuts;
pub(crate) mod journey;
pub(crate) mod oracle;
