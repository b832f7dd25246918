//! What the decoder accepts, rxml accepts, and reads the same from it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the property tests use more of it")]
#[path = "../../crates/stanza/tests/laws/oracle.rs"]
mod oracle;

fuzz_target!(|input: &[u8]| {
    oracle::agree_on_a_document(input);
    oracle::accept_no_more_of_a_stream(input);
});
