//! The law of cuts: what a peer says does not depend on the portions it comes in.
//! Holds for any bytes; the property tests and the fuzz target `framer` look for a
//! counterexample.

use super::recipe::recipe;
use stanchion_stanza::codec::{Frame, Framer};
use stanchion_stanza::{Decoder, Limits, StreamEvent, codec::DecodeError};

/// Feeds `input` whole and in portions, under wide and under tight limits.
///
/// # Panics
/// If any two runs differ.
pub(crate) fn same_for_any_cut(input: &[u8]) {
    let portions = [1, 2, 3, 5, 8, 13];
    same_for_cuts(input, &portions.each_ref().map(std::slice::from_ref));
}

/// The same for portions that the input itself names (see `recipe`), after another.
///
/// # Panics
/// If any two runs differ.
pub(crate) fn same_for_its_own_cuts(input: &[u8]) {
    let (input, numbers) = recipe(input);
    let own: Vec<usize> = numbers.iter().map(|n| usize::from(*n) + 1).collect();
    same_for_cuts(input, &[&[1], if own.is_empty() { &[7] } else { &own }]);
}

/// Each of `ways` is the sizes of the portions; from the last one they begin again.
fn same_for_cuts(input: &[u8], ways: &[&[usize]]) {
    let tight = Limits::default()
        .with_stanza_bytes(96)
        .with_depth(3)
        .with_attributes(4);
    for limits in [Limits::default(), tight] {
        let run = |sizes| (frames(input, sizes, limits), events(input, sizes, limits));
        let whole = run(&[usize::MAX]);
        for sizes in ways {
            assert_eq!(run(sizes), whole, "cut at {sizes:?} bytes, {limits:?}");
        }
    }
}

/// `input` in portions of these sizes, over and over.
fn portions<'a>(input: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = input;
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = rest.len().min(*sizes.next()?);
        let (portion, after) = rest.split_at(size);
        rest = after;
        (size > 0).then_some(portion)
    })
}

/// What came out, what ended it, and how many bytes were left.
type Outcome<T> = (Vec<T>, Option<DecodeError>, usize);

fn events(input: &[u8], sizes: &[usize], limits: Limits) -> Outcome<StreamEvent> {
    let mut decoder = Decoder::new(limits);
    let mut events = Vec::new();
    for part in portions(input, sizes) {
        decoder.push(part);
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(fault) => {
                    assert_eq!(decoder.next_event(), Err(fault.clone()), "an end is final");
                    return (events, Some(fault), 0);
                }
            }
        }
    }
    (events, None, decoder.pending())
}

fn frames(input: &[u8], sizes: &[usize], limits: Limits) -> Outcome<Frame> {
    let mut framer = Framer::new(limits);
    let mut frames = Vec::new();
    for part in portions(input, sizes) {
        framer.push(part);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(fault) => return (frames, Some(fault), 0),
            }
        }
        assert!(framer.pending() <= limits.stanza_bytes, "memory is bounded");
    }
    (frames, None, framer.pending())
}
