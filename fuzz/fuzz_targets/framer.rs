//! What a stream says does not depend on the portions it comes in. They are what the
//! bytes behind the last NUL say.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the property tests use more of it")]
#[path = "../../crates/stanza/tests/laws/cuts.rs"]
mod cuts;
#[path = "../../crates/stanza/tests/laws/recipe.rs"]
mod recipe;

fuzz_target!(|input: &[u8]| cuts::same_for_its_own_cuts(input));
