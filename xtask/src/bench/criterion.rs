//! What criterion leaves in its folder: the median of each benchmark, and how much one
//! iteration of it does.

use crate::failure::{Context, Outcome};
use crate::program;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A benchmark that reads or writes stanzas.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Speed {
    /// Group and name, such as `decode/ours, envelopes`.
    pub(super) name: String,
    /// Megabytes (10⁶ bytes) a second.
    pub(super) megabytes: f64,
    /// Microseconds for one stanza, the mean of all.
    pub(super) micros: f64,
}

/// Every result below `folder` that was written after `since`, by name.
pub(super) fn read(folder: &Path, since: SystemTime) -> Outcome<Vec<Speed>> {
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
            let benchmark = folder.join("benchmark.json");
            found.extend(parse(
                &program::json(&program::text(&benchmark)?, "criterion's benchmark.json")?,
                &program::json(&program::text(&estimates)?, "criterion's estimates.json")?,
            ));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// None if it says nothing of stanzas and their bytes.
fn parse(benchmark: &Value, estimates: &Value) -> Option<Speed> {
    let nanoseconds = estimates["median"]["point_estimate"].as_f64()?;
    let amount = &benchmark["throughput"]["ElementsAndBytes"];
    Some(Speed {
        name: benchmark["full_id"].as_str()?.to_owned(),
        megabytes: amount["bytes"].as_f64()? * 1e3 / nanoseconds,
        micros: nanoseconds / 1e3 / amount["elements"].as_f64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn speed_is_derived_from_the_median() {
        let throughput = json!({ "ElementsAndBytes": { "elements": 10, "bytes": 5000 } });
        let benchmark = json!({ "full_id": "decode/ours", "throughput": throughput });
        let estimates = json!({ "median": { "point_estimate": 20_000.0 } });
        // 5,000 bytes, which are 10 stanzas, in 20 µs.
        let speed = parse(&benchmark, &estimates).unwrap();
        assert_eq!(speed.name, "decode/ours");
        assert!((speed.megabytes - 250.0).abs() < 1e-9);
        assert!((speed.micros - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_result_of_an_earlier_run_is_not_reported() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("codec/decode/new");
        fs::create_dir_all(&folder).unwrap();
        let write = |name, text| fs::write(folder.join(name), text).unwrap();
        write(
            "benchmark.json",
            r#"{"full_id":"a/b","throughput":{"ElementsAndBytes":{"elements":1,"bytes":1}}}"#,
        );
        write("estimates.json", r#"{"median":{"point_estimate":7.0}}"#);
        assert_eq!(read(dir.path(), SystemTime::UNIX_EPOCH).unwrap().len(), 1);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        assert_eq!(read(dir.path(), later).unwrap(), []);
    }
}
