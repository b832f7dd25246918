//! `cargo xtask screenshots`: what the pages of the dashboard look like, for the eyes of a
//! person. A real browser takes the pictures; which, and of what, belongs to the chat
//! crate's `tests/browser.rs`.

use crate::failure::Outcome;
use crate::program;
use crate::requirements;
use crate::test::{BROWSER, INTEROP};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Command {}

/// Writes the pictures into `target/screenshots`.
///
/// # Errors
/// `Failure::Missing` when there is no browser and it may not be installed; else what the
/// test says.
pub(crate) fn run(_: &Command) -> Outcome {
    requirements::ensure_browser()?;
    let folder = program::root().join("target/screenshots");
    let mut command = program::cargo();
    command.args(["test", "--quiet", "--workspace", "--features", INTEROP]);
    command.args(["--test", BROWSER, "--", "--ignored", "pictures"]);
    command.env("STANCHION_SCREENSHOTS", &folder);
    program::run(&mut command)?;
    println!("The pictures are in {}", folder.display());
    Ok(())
}
