//! What the tests are given: examples to read, and values to generate. The laws that
//! they check are in `laws`.
#![allow(dead_code, unused_imports, reason = "no test uses all of them")]

pub(crate) mod examples;
pub(crate) mod seeds;
pub(crate) mod values;
