//! tidy
use crate::failure::Outcome;
#[derive(Debug, clap::Args)]
pub(crate) struct Command {}
pub(crate) fn run(_: &Command) -> Outcome {
    Ok(())
}
