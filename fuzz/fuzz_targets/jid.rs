//! Any string is a canonical address, or refused; two, one a line, compare as their
//! canonical forms.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/stanza/tests/laws/addresses.rs"]
mod addresses;

fuzz_target!(|s: &str| {
    addresses::canonical_or_refused(s);
    if let Some((one, other)) = s.split_once('\n') {
        addresses::canonical_or_refused(one);
        addresses::canonical_or_refused(other);
        addresses::compared_by_canonical_form(one, other);
    }
});
