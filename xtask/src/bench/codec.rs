//! The codec beside its peers: runs `benches/peers`, a workspace of its own, and sets our
//! speed and allocations against the goals. Ratios within one run are judged, never times:
//! they hold on any machine.

use super::Report;
use super::criterion::{self, Speed};
use crate::failure::{Failure, Outcome};
use crate::measure::Measure;
use crate::program;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// The workspace of the benchmark, from the project's folder.
const MANIFEST: &str = "benches/peers/Cargo.toml";

/// How many times as fast as another a reader or writer must be.
struct Goal {
    what: &'static str,
    against: &'static str,
    at_least: f64,
}

const GOALS: [Goal; 5] = [
    Goal {
        what: "decode/ours, envelopes",
        against: "decode/xmpp-parsers, envelopes",
        at_least: 8.0,
    },
    Goal {
        what: "decode/ours, payloads",
        against: "decode/xmpp-parsers, payloads",
        at_least: 8.0,
    },
    Goal {
        what: "decode/ours, envelopes",
        against: TOKENIZER,
        at_least: 0.25,
    },
    Goal {
        what: "decode/ours, payloads",
        against: TOKENIZER,
        at_least: 0.25,
    },
    Goal {
        what: "encode/ours, built",
        against: "encode/xmpp-parsers",
        at_least: 8.0,
    },
];

/// The bare event scan, of the whole stream at once.
const TOKENIZER: &str = "decode/quick-xml, events";

/// The most allocations that the envelope of any stanza may take.
const ALLOCATIONS: f64 = 6.0;
/// The reader that this holds for.
const ALLOCATING: &str = "ours, envelopes";
/// What the whole corpus is called among the kinds of stanzas.
const CORPUS: &str = "corpus";

/// Allocations of one kind of stanza, or of the corpus, by one reader.
#[derive(Debug, PartialEq)]
struct Allocations {
    kind: String,
    reader: String,
    mean: f64,
    worst: f64,
}

/// Measures and judges. With `quiet`, nothing but the report goes to stdout.
pub(super) fn run(quiet: bool) -> Outcome<Report> {
    let mut count = cargo("run");
    count.args(["--quiet", "--release", "--bin", "allocations"]);
    let allocations = parse_allocations(&program::read(&mut count)?)?;

    let begin = SystemTime::now();
    let mut bench = cargo("bench");
    bench.args(["--bench", "codec"]);
    if quiet {
        bench.stdout(Stdio::null());
    }
    program::run(&mut bench)?;
    let mut metadata = cargo("metadata");
    metadata.args(["--format-version", "1", "--no-deps"]);
    let metadata = program::json(&program::read(&mut metadata)?, "cargo metadata")?;
    let target = metadata["target_directory"].as_str().unwrap_or("target");
    let speeds = criterion::read(&Path::new(target).join("criterion"), begin)?;

    let mut goals = judge_speeds(&speeds)?;
    goals.push(judge_allocations(&allocations)?);
    Ok(Report {
        table: table(&speeds, &allocations),
        values: values(&speeds, &allocations),
        goals,
    })
}

fn cargo(command: &str) -> Command {
    let mut cargo = program::cargo();
    cargo.args([command, "--manifest-path", MANIFEST]);
    cargo
}

/// Lines `kind<TAB>reader<TAB>mean<TAB>worst`.
fn parse_allocations(text: &str) -> Outcome<Vec<Allocations>> {
    let parse = |line: &str| {
        let mut fields = line.split('\t');
        Some(Allocations {
            kind: fields.next()?.to_owned(),
            reader: fields.next()?.to_owned(),
            mean: fields.next()?.parse().ok()?,
            worst: fields.next()?.parse().ok()?,
        })
    };
    text.lines()
        .map(|line| {
            parse(line).ok_or_else(|| Failure::Malformed {
                what: "the count of allocations".to_owned(),
                why: format!("{line:?} is not `kind<TAB>reader<TAB>mean<TAB>worst`"),
            })
        })
        .collect()
}

fn megabytes(speeds: &[Speed], name: &str) -> Option<f64> {
    speeds.iter().find(|s| s.name == name).map(|s| s.megabytes)
}

fn judge_speeds(speeds: &[Speed]) -> Outcome<Vec<Measure>> {
    let measured = |name| {
        megabytes(speeds, name).ok_or_else(|| {
            Failure::Missing(format!(
                "the benchmark of the codec measured no `{name}`: add it to benches/peers/benches/codec.rs"
            ))
        })
    };
    let judge = |goal: &Goal| {
        let value = measured(goal.what)?;
        let ratio = value / measured(goal.against)?;
        Ok(Measure {
            against: Some(goal.against.to_owned()),
            ratio: Some(ratio),
            goal: Some(format!("ratio >= {}", goal.at_least)),
            pass: ratio >= goal.at_least,
            ..Measure::alone(goal.what.to_owned(), value, "MB/s")
        })
    };
    GOALS.iter().map(judge).collect()
}

fn judge_allocations(allocations: &[Allocations]) -> Outcome<Measure> {
    let ours = allocations.iter().filter(|a| a.reader == ALLOCATING);
    let worst = ours.map(|a| a.worst).reduce(f64::max).ok_or_else(|| {
        Failure::Missing(format!(
            "no allocations of `{ALLOCATING}` were counted: add it to benches/peers/src/bin/allocations.rs"
        ))
    })?;
    Ok(Measure {
        goal: Some(format!("value <= {ALLOCATIONS}")),
        pass: worst <= ALLOCATIONS,
        ..Measure::alone(
            format!("allocations/{ALLOCATING}, worst stanza"),
            worst,
            "count",
        )
    })
}

fn values(speeds: &[Speed], allocations: &[Allocations]) -> Vec<Measure> {
    let mut values = Vec::new();
    for Speed {
        name,
        megabytes,
        micros,
    } in speeds
    {
        values.push(Measure::alone(name.clone(), *megabytes, "MB/s"));
        values.push(Measure::alone(format!("{name}, a stanza"), *micros, "µs"));
    }
    for Allocations {
        kind,
        reader,
        mean,
        worst,
    } in allocations
    {
        let name = format!("allocations/{reader}, {kind}");
        values.push(Measure::alone(name.clone(), *mean, "count"));
        values.push(Measure::alone(format!("{name}, worst"), *worst, "count"));
    }
    values
}

fn table(speeds: &[Speed], allocations: &[Allocations]) -> String {
    let mut table = format!(
        "\n{:<32} {:>8} {:>12} {:>15} {:>12}\n",
        "speed", "MB/s", "µs a stanza", "x xmpp-parsers", "x quick-xml"
    );
    for speed in speeds {
        let ratio = |against: &str| {
            let ratio = megabytes(speeds, against).map(|other| speed.megabytes / other);
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
        };
        let (peer, tokenizer) = match speed.name.split_once('/') {
            Some(("encode", _)) => (ratio("encode/xmpp-parsers"), "-".to_owned()),
            Some((_, name)) if name.ends_with("payloads") => {
                (ratio("decode/xmpp-parsers, payloads"), ratio(TOKENIZER))
            }
            _ => (ratio("decode/xmpp-parsers, envelopes"), ratio(TOKENIZER)),
        };
        let _ = writeln!(
            table,
            "{:<32} {:>8.1} {:>12.3} {peer:>15} {tokenizer:>12}",
            speed.name, speed.megabytes, speed.micros
        );
    }

    // The kinds and the readers in the order in which they were counted.
    let mut kinds: Vec<&str> = Vec::new();
    let mut readers: Vec<&str> = Vec::new();
    for counted in allocations {
        if !kinds.contains(&&*counted.kind) {
            kinds.push(&counted.kind);
        }
        if !readers.contains(&&*counted.reader) {
            readers.push(&counted.reader);
        }
    }
    let _ = write!(table, "\n{:<32}", "allocations a stanza");
    for kind in &kinds {
        let _ = write!(table, " {kind:>8}");
    }
    let _ = writeln!(table, " {:>8}", "worst");
    for reader in readers {
        let _ = write!(table, "{reader:<32}");
        let mut worst: f64 = 0.0;
        for counted in allocations.iter().filter(|a| a.reader == reader) {
            let _ = write!(table, " {:>8.1}", counted.mean);
            worst = worst.max(counted.worst);
        }
        let _ = writeln!(table, " {worst:>8.0}");
    }
    let _ = write!(table, "(`{CORPUS}` is the mean of the mixed corpus)");
    table.push('\n');
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speeds(ours: f64, built: f64) -> Vec<Speed> {
        let speed = |name: &str, megabytes| Speed {
            name: name.to_owned(),
            megabytes,
            micros: 1.0,
        };
        vec![
            speed("decode/ours, envelopes", ours),
            speed("decode/ours, payloads", ours),
            speed("decode/quick-xml, events", 1000.0),
            speed("decode/xmpp-parsers, envelopes", 31.0),
            speed("decode/xmpp-parsers, payloads", 30.0),
            speed("encode/ours, built", built),
            speed("encode/xmpp-parsers", 50.0),
        ]
    }

    fn passes(speeds: &[Speed]) -> Vec<bool> {
        let goals = judge_speeds(speeds).unwrap();
        goals.iter().map(|goal| goal.pass).collect()
    }

    #[test]
    fn each_goal_is_judged_by_its_own_ratio() {
        assert_eq!(passes(&speeds(250.0, 400.0)), [true; 5]);
        // 8 x 31 is 248, 8 x 30 is 240, a quarter of 1,000 is 250.
        assert_eq!(
            passes(&speeds(249.0, 399.0)),
            [true, true, false, false, false]
        );
        assert_eq!(
            passes(&speeds(245.0, 400.0)),
            [false, true, false, false, true]
        );
    }

    #[test]
    fn what_was_not_measured_is_named() {
        let missing = judge_speeds(&speeds(250.0, 400.0)[1..]).unwrap_err();
        assert!(missing.to_string().contains("decode/ours, envelopes"));
        assert!(judge_allocations(&[]).is_err());
    }

    #[test]
    fn the_worst_stanza_decides_about_allocations() {
        let text = "chat\tours, envelopes\t4.00\t4\n\
            corpus\tours, envelopes\t4.10\t7\n\
            corpus\tminidom, elements\t40.00\t90\n";
        let counted = parse_allocations(text).unwrap();
        let judged = judge_allocations(&counted).unwrap();
        assert!(!judged.pass);
        assert!((judged.value - 7.0).abs() < f64::EPSILON);
        assert!(judge_allocations(&counted[..1]).unwrap().pass);
        assert!(parse_allocations("chat\tours\t4.0").is_err());
    }

    #[test]
    fn the_table_has_a_line_for_each_reader() {
        let counted = parse_allocations("chat\tours, envelopes\t4.00\t5\n").unwrap();
        let table = table(&speeds(248.0, 400.0), &counted);
        let line = |name| table.lines().find(|l| l.starts_with(name)).unwrap();
        assert!(line("decode/ours, envelopes").ends_with("8.00         0.25"));
        assert!(line("encode/ours, built").ends_with("8.00            -"));
        assert!(line("ours, envelopes").ends_with("4.0        5"));
    }
}
