//! `cargo xtask ci`: what a build machine runs.
//!
//! The same as `cargo xtask test`, so that what is green here is green there.

use crate::failure::Outcome;
use crate::test;

/// Carries out the command.
pub(crate) fn run() -> Outcome {
    test::run(&test::Command::default())
}
