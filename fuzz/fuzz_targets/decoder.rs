//! What the decoder accepts, rxml accepts, and reads the same from it; and narrower
//! limits change nothing but where it ends.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the property tests use more of it")]
#[path = "../../crates/stanza/tests/laws/oracle.rs"]
mod oracle;
#[path = "../../crates/stanza/tests/laws/recipe.rs"]
mod recipe;

fuzz_target!(|input: &[u8]| {
    oracle::agree_on_a_document(input);
    oracle::accept_no_more_of_a_stream(input);
    oracle::limits_only_cut_short(input);
});
