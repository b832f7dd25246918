//! `cargo xtask bench`: runs the benchmarks and reports their medians.
//!
//! The measuring is criterion's; this file reads what it leaves in
//! `target/criterion` and leaves the shape of the report to `measure`.

use crate::failure::{Context, Failure, Outcome};
use crate::measure::Measure;
use crate::program;
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

#[derive(Debug, Args)]
pub(crate) struct Command {
    /// Which benchmark [default: all]
    name: Option<Name>,
    /// Print one JSON object a line: what, value, unit, against, ratio, goal, pass
    #[arg(long)]
    json: bool,
}

/// A benchmark of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The streaming codec: framer, decoder, encoder
    Codec,
}

impl Name {
    /// The package and its bench target.
    const fn target(self) -> (&'static str, &'static str) {
        match self {
            Self::Codec => ("stanchion-stanza", "codec"),
        }
    }
}

/// Carries out the command.
///
/// # Errors
/// `Failure::Red` when a goal is missed.
pub(crate) fn run(command: &Command) -> Outcome {
    let names = command
        .name
        .map_or_else(|| Name::value_variants().to_vec(), |name| vec![name]);
    let metadata = program::metadata(false)?;
    let folder =
        Path::new(metadata["target_directory"].as_str().unwrap_or("target")).join("criterion");
    let mut missed = 0;
    for name in names {
        let (package, bench) = name.target();
        if !has_bench(&metadata, package, bench) {
            return Err(Failure::Missing(format!(
                "package {package} has no benchmark `{bench}`: add benches/{bench}.rs and its [[bench]] entry"
            )));
        }
        let begin = SystemTime::now();
        let mut cargo = program::cargo();
        cargo.args(["bench", "--package", package, "--bench", bench]);
        if command.json {
            // Stdout is for the records alone.
            cargo.stdout(Stdio::null());
        }
        program::run(&mut cargo)?;
        let measures = read(&folder, begin)?;
        if measures.is_empty() {
            return Err(Failure::Missing(format!(
                "benchmark `{bench}` left no result in {}: does it use criterion?",
                folder.display()
            )));
        }
        for measure in measures {
            measure.print(command.json);
            missed += usize::from(!measure.pass);
        }
    }
    if missed == 0 {
        return Ok(());
    }
    Err(Failure::Red(format!("{missed} goals missed")))
}

fn has_bench(metadata: &Value, package: &str, bench: &str) -> bool {
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|candidate| candidate["name"] == package)
        .flat_map(|candidate| candidate["targets"].as_array().into_iter().flatten())
        .any(|target| target["name"] == bench && target["kind"][0] == "bench")
}

/// Every result below `folder` that was written after `since`, by name.
fn read(folder: &Path, since: SystemTime) -> Outcome<Vec<Measure>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
        let estimates = folder.join("estimates.json");
        if !folder.ends_with("new") || !estimates.is_file() {
            continue;
        }
        let written = fs::metadata(&estimates)
            .and_then(|m| m.modified())
            .doing("read", &estimates)?;
        if written >= since {
            found.extend(parse(
                &program::json(
                    &program::text(&folder.join("benchmark.json"))?,
                    "criterion's benchmark.json",
                )?,
                &program::json(&program::text(&estimates)?, "criterion's estimates.json")?,
            ));
        }
    }
    found.sort_by(|a, b| a.what.cmp(&b.what));
    Ok(found)
}

/// The median time, and the throughput when the benchmark names one.
fn parse(benchmark: &Value, estimates: &Value) -> Vec<Measure> {
    let Some(nanoseconds) = estimates["median"]["point_estimate"].as_f64() else {
        return Vec::new();
    };
    let name = benchmark["full_id"].as_str().unwrap_or("?");
    let mut measures = vec![Measure::alone(name.to_owned(), nanoseconds, "ns")];
    let throughput = &benchmark["throughput"];
    let bytes = throughput["Bytes"].as_f64().map(|n| (n * 1e3, "MB/s"));
    let elements = throughput["Elements"].as_f64().map(|n| (n * 1e9, "1/s"));
    if let Some((amount, unit)) = bytes.or(elements) {
        measures.push(Measure::alone(
            format!("{name}, throughput"),
            amount / nanoseconds,
            unit,
        ));
    }
    measures
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn throughput_is_derived_from_the_median() {
        let benchmark = json!({ "full_id": "codec/decode", "throughput": { "Bytes": 500 } });
        let estimates = json!({ "median": { "point_estimate": 1000.0 } });
        let measures = parse(&benchmark, &estimates);
        assert_eq!(
            measures[0],
            Measure::alone("codec/decode".to_owned(), 1000.0, "ns")
        );
        // 500 bytes in 1 µs.
        assert_eq!(
            measures[1],
            Measure::alone("codec/decode, throughput".to_owned(), 500.0, "MB/s")
        );
    }

    #[test]
    fn a_result_of_an_earlier_run_is_not_reported() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("codec/decode/new");
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("benchmark.json"),
            r#"{"full_id":"codec/decode","throughput":null}"#,
        )
        .unwrap();
        fs::write(
            folder.join("estimates.json"),
            r#"{"median":{"point_estimate":7.0}}"#,
        )
        .unwrap();
        assert_eq!(read(dir.path(), SystemTime::UNIX_EPOCH).unwrap().len(), 1);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        assert_eq!(read(dir.path(), later).unwrap(), []);
    }
}
