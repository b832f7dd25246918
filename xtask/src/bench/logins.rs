//! The program in `benches/logins`, a workspace of its own: built here, run by `connect` and
//! `herd`.

use crate::failure::{Failure, Outcome};
use crate::program;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace, from the project's folder.
const FOLDER: &str = "benches/logins";

/// Builds the program, and tells where it is.
pub(super) fn build() -> Outcome<PathBuf> {
    let folder = program::root().join(FOLDER);
    let mut build = program::cargo();
    build
        .args(["build", "--quiet", "--release"])
        .current_dir(&folder);
    program::run(&mut build)?;
    let mut metadata = program::cargo();
    metadata
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(&folder);
    let metadata = program::json(&program::read(&mut metadata)?, "cargo metadata")?;
    let target = metadata["target_directory"].as_str().unwrap_or("target");
    Ok(Path::new(target).join("release/stanchion-logins-bench"))
}

/// Runs the program, and reads its lines.
pub(super) fn figures<T: DeserializeOwned>(command: &mut Command) -> Outcome<Vec<T>> {
    let text = program::read(command.stderr(Stdio::inherit()))?;
    text.lines()
        .map(|line| {
            serde_json::from_str(line).map_err(|source| Failure::Malformed {
                what: program::line(command),
                why: format!("{line:?}: {source}"),
            })
        })
        .collect()
}
