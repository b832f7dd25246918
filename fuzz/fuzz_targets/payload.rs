//! Whatever an element is: every payload type reads it or refuses it, and what was read
//! is written so that it reads the same.
//!
//! Inputs are elements as text. They are changed as trees, so that they stay XML: parts
//! are lost, doubled and moved from one input to another.
#![no_main]

use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target, fuzzer_mutate};
use stanchion_stanza::codec::parse_element;
use stanchion_stanza::{Element, Encoder, Limits, Scope};

#[allow(dead_code, reason = "the property tests use more of it")]
#[path = "../../crates/stanza/tests/laws/edits.rs"]
mod edits;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../crates/stanza/tests/laws/journey.rs"]
mod journey;

use edits::{Edit, VALUES, at, edited, size};

/// How large a mutant grows, in bytes: no payload needs more to have one of each part.
const LARGEST: usize = 2048;

fuzz_target!(|input: &[u8]| {
    if let Some(element) = read(input) {
        journey::element_survives(&element, Limits::default());
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut draw = Draw(seed);
    let max_size = max_size.min(LARGEST.max(size));
    // One in four goes by bytes: values that no list holds come from there.
    if draw.below(4) > 0
        && let Some(tree) = read(&data[..size])
    {
        let edit = one_edit(&tree, &mut draw);
        if let Some(length) = write(&changed(&tree, &edit, &mut draw), &mut data[..max_size]) {
            return length;
        }
    }
    fuzzer_mutate(data, size, max_size)
});

fuzz_crossover!(|data1: &[u8], data2: &[u8], out: &mut [u8], seed: u32| {
    let mut draw = Draw(seed);
    let (Some(tree), Some(other)) = (read(data1), read(data2)) else {
        return 0;
    };
    let part = at(&other, draw.below(size(&other))).clone();
    let edit = match draw.below(3) {
        0 => Edit::Adopt(part),
        1 => Edit::TakeAttributes(part),
        _ => Edit::Replace(part),
    };
    let room = out.len().min(LARGEST);
    write(&changed(&tree, &edit, &mut draw), &mut out[..room]).unwrap_or(0)
});

fn read(input: &[u8]) -> Option<Element> {
    parse_element(input, &Scope::client(), &Limits::default()).ok()
}

/// The element at the front of `out`, and its length, if there is room.
fn write(element: &Element, out: &mut [u8]) -> Option<usize> {
    let bytes = Encoder::new(Scope::client(), Limits::default())
        .to_bytes(element)
        .ok()?;
    out.get_mut(..bytes.len())?.copy_from_slice(&bytes);
    Some(bytes.len())
}

fn changed(tree: &Element, edit: &Edit, draw: &mut Draw) -> Element {
    edited(tree, draw.below(size(tree)), edit)
}

fn one_edit(tree: &Element, draw: &mut Draw) -> Edit {
    let value = |draw: &mut Draw| VALUES[draw.below(VALUES.len())];
    let part = |draw: &mut Draw| at(tree, draw.below(size(tree))).clone();
    match draw.below(8) {
        0 => Edit::Lose,
        1 => Edit::Double,
        2 => Edit::LoseAttribute(draw.below(8)),
        3 => Edit::SetAttribute(draw.below(8), value(draw)),
        4 => Edit::SetText(value(draw)),
        5 => Edit::Adopt(part(draw)),
        6 => Edit::TakeAttributes(part(draw)),
        _ => Edit::Replace(part(draw)),
    }
}

/// Numbers that follow from the fuzzer's own seed (splitmix).
struct Draw(u32);

impl Draw {
    /// From 0 to `end`, without it; `end` is at least 1.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x21F0_AAAD);
        mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x735A_2D97);
        mixed as usize % end
    }
}
