//! What was read from a stream, written and read again is the same, and so are its typed
//! views.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../crates/stanza/tests/laws/journey.rs"]
mod journey;

fuzz_target!(|input: &[u8]| journey::read_write_read(input));
