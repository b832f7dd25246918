//! A program that measures, in a workspace of its own below `benches`: built here, run by
//! the benchmarks that need it.

use crate::failure::{Failure, Outcome};
use crate::measure::Measure;
use crate::program;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A workspace that builds one program.
pub(super) struct Workspace {
    /// From the project's folder.
    folder: &'static str,
    program: &'static str,
}

/// Logins: `connect` and `herd`.
pub(super) const LOGINS: Workspace = Workspace {
    folder: "benches/logins",
    program: "stanchion-logins-bench",
};

/// Messages: `durable`, `delivery` and `memory`.
pub(super) const DELIVERY: Workspace = Workspace {
    folder: "benches/delivery",
    program: "stanchion-delivery-bench",
};

impl Workspace {
    /// Builds the program, and tells where it is.
    pub(super) fn build(&self) -> Outcome<PathBuf> {
        let folder = program::root().join(self.folder);
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
        Ok(Path::new(target).join("release").join(self.program))
    }
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

/// A value as the program of `DELIVERY` prints it.
#[derive(Debug, Deserialize)]
struct Printed {
    what: String,
    value: f64,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Unit {
    #[serde(rename = "1/s")]
    PerSecond,
    #[serde(rename = "µs")]
    Microseconds,
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "bytes")]
    Bytes,
    #[serde(rename = "KiB")]
    Kibibytes,
    #[serde(rename = "%")]
    Percent,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "1/s",
            Self::Microseconds => "µs",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::Kibibytes => "KiB",
            Self::Percent => "%",
        }
    }
}

/// Runs the program of `DELIVERY`, and reads its values.
pub(super) fn values(command: &mut Command) -> Outcome<Vec<Measure>> {
    let printed: Vec<Printed> = figures(command)?;
    Ok(printed
        .into_iter()
        .map(|p| Measure::alone(p.what, p.value, p.unit.name()))
        .collect())
}

/// The value of that name.
pub(super) fn find<'a>(values: &'a [Measure], what: &str) -> Outcome<&'a Measure> {
    let found = values.iter().find(|measure| measure.what == what);
    found.ok_or_else(|| {
        Failure::Missing(format!(
            "`{what}` was not measured: see {}",
            DELIVERY.folder
        ))
    })
}

/// A value judged by its ratio to another of the same run.
pub(super) fn at_least(
    values: &[Measure],
    what: &str,
    against: &str,
    ratio: f64,
) -> Outcome<Measure> {
    let (ours, theirs) = (find(values, what)?, find(values, against)?);
    let found = ours.value / theirs.value;
    Ok(Measure {
        against: Some(against.to_owned()),
        ratio: Some(found),
        goal: Some(format!("ratio >= {ratio}")),
        pass: found >= ratio,
        ..ours.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_judged_by_its_ratio_to_another() {
        let value = |what: &str, value| Measure::alone(what.to_owned(), value, "1/s");
        let values = [value("ours", 50.0), value("theirs", 100.0)];
        assert!(at_least(&values, "ours", "theirs", 0.5).unwrap().pass);
        assert!(!at_least(&values, "ours", "theirs", 0.51).unwrap().pass);
        assert!(at_least(&values, "ours", "nobody's", 0.5).is_err());
    }

    #[test]
    fn a_ratio_to_nothing_is_no_success() {
        let value = |what: &str| Measure::alone(what.to_owned(), 0.0, "1/s");
        let values = [value("ours"), value("theirs")];
        assert!(!at_least(&values, "ours", "theirs", 0.5).unwrap().pass);
    }
}
