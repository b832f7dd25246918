//! The law of cuts: what a peer says does not depend on the portions it comes in.
//! Holds for any bytes; the property tests and the fuzz target `framer` look for a
//! counterexample.

use stanchion_stanza::codec::{Frame, Framer};
use stanchion_stanza::{Decoder, Limits, StreamEvent, codec::DecodeError};

/// Feeds `input` whole and in portions, under wide and under tight limits.
///
/// # Panics
/// If any two runs differ.
pub(crate) fn same_for_any_cut(input: &[u8]) {
    let tight = Limits::default()
        .with_stanza_bytes(96)
        .with_depth(3)
        .with_attributes(4);
    for limits in [Limits::default(), tight] {
        let whole = (
            frames(input, usize::MAX, limits),
            events(input, usize::MAX, limits),
        );
        for portion in [1, 2, 3, 5, 8, 13] {
            let cut = (
                frames(input, portion, limits),
                events(input, portion, limits),
            );
            assert_eq!(cut, whole, "cut every {portion} bytes, {limits:?}");
        }
    }
}

/// What came out, what ended it, and how many bytes were left.
type Outcome<T> = (Vec<T>, Option<DecodeError>, usize);

fn events(input: &[u8], portion: usize, limits: Limits) -> Outcome<StreamEvent> {
    let mut decoder = Decoder::new(limits);
    let mut events = Vec::new();
    for part in input.chunks(portion) {
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

fn frames(input: &[u8], portion: usize, limits: Limits) -> Outcome<Frame> {
    let mut framer = Framer::new(limits);
    let mut frames = Vec::new();
    for part in input.chunks(portion) {
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
