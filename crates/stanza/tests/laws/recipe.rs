//! How one input of a fuzz target says two things: what is read, and numbers on how to
//! read it. They stand behind its last NUL, which no XML holds, so that a seed stays
//! readable.

/// What is read, and the numbers.
pub(crate) fn recipe(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().rposition(|byte| *byte == 0) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &[]),
    }
}
