//! Payloads with parts lost, doubled, moved and changed: each is read or refused, and
//! what was read comes back as it was. Nothing else may happen, whatever stands where.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;
mod laws;

use std::sync::LazyLock;

use given::seeds;
use laws::edits::{Edit, VALUES, at, edited, size};
use laws::journey;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use stanchion_stanza::{Element, Limits};

/// One of each payload, with all that it may hold.
static SEEDS: LazyLock<Vec<Element>> = LazyLock::new(seeds::payloads);

/// Any element of any seed, with what is in it.
fn part() -> impl Strategy<Value = Element> {
    let seed = prop::sample::select(SEEDS.as_slice());
    (seed, any::<Index>()).prop_map(|(seed, which)| at(&seed, which.index(size(&seed))).clone())
}

fn edit() -> impl Strategy<Value = Edit> {
    let value = || prop::sample::select(VALUES);
    prop_oneof![
        Just(Edit::Lose),
        Just(Edit::Double),
        any::<usize>().prop_map(Edit::LoseAttribute),
        (any::<usize>(), value()).prop_map(|(which, value)| Edit::SetAttribute(which, value)),
        value().prop_map(Edit::SetText),
        part().prop_map(Edit::Adopt),
        part().prop_map(Edit::TakeAttributes),
        part().prop_map(Edit::Replace),
    ]
}

fn mutant() -> impl Strategy<Value = Element> {
    let edits = vec((any::<Index>(), edit()), 0..4);
    let seed = prop::sample::select(SEEDS.as_slice());
    (seed, edits).prop_map(|(seed, edits)| {
        edits.iter().fold(seed, |tree, (at, edit)| {
            edited(&tree, at.index(size(&tree)), edit)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_read_from_a_mutant_comes_back(mutant in mutant()) {
        journey::element_survives(&mutant, Limits::default());
    }
}
