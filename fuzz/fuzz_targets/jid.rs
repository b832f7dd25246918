//! Any string is a canonical address, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/stanza/tests/laws/addresses.rs"]
mod addresses;

fuzz_target!(|s: &str| addresses::canonical_or_refused(s));
