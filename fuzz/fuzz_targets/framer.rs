//! What a stream says does not depend on the portions it comes in.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/stanza/tests/laws/cuts.rs"]
mod cuts;

fuzz_target!(|input: &[u8]| cuts::same_for_any_cut(input));
