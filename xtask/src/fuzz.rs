//! `cargo xtask fuzz`: libFuzzer on the stable compiler.
//!
//! Every file in `fuzz/fuzz_targets` is a target. Seeds lie in
//! `fuzz/seeds/TARGET` and are never written; what a run finds goes to
//! `fuzz/corpus/TARGET`, and an input that breaks a target to
//! `fuzz/artifacts/TARGET`. The targets' content is theirs. How far the decoder
//! agrees with another parser on all XML that was kept is for the example
//! `agreement` of the codec to count; here it is run and reported.

use crate::failure::{Context, Failure, Outcome};
use crate::measure::Measure;
use crate::program;
use clap::Args;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;

/// What cargo-fuzz passes on nightly, without the sanitizers that only nightly
/// has: counters on every edge, and comparisons as hints.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 -Cdebug-assertions";

/// The longest input, in bytes: a stanza of more is refused by its length.
const MAX_LEN: u32 = 16 * 1024;
/// The longest that one input may take, in seconds.
const TIMEOUT: u32 = 5;
/// The most memory a target may take, in MiB.
const RSS_LIMIT: u32 = 1024;
/// The target that compares the decoder with another parser.
const DECODER: &str = "decoder";
/// The targets whose inputs are XML: all that is kept of them is compared.
const JUDGED: [&str; 4] = [DECODER, "framer", "payload", "roundtrip"];

#[derive(Debug, Args)]
pub(crate) struct Command {
    /// Which target; may be given more than once [default: all]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each target runs
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How many targets run at the same time [default: one a processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Only list the targets
    #[arg(long)]
    list: bool,
    /// Print one JSON object a line: what, value, unit, against, ratio, goal, pass
    #[arg(long)]
    json: bool,
}

/// How a target's run ended.
#[derive(Debug, Default, PartialEq)]
struct Report {
    /// Inputs that were tried.
    executions: Option<f64>,
    executions_per_second: Option<f64>,
    /// Edges of the program that some input reached.
    coverage: Option<f64>,
    /// Inputs that are kept, seeds not counted: each reaches what no other does.
    corpus: Option<f64>,
    /// Their size, in bytes.
    corpus_bytes: Option<f64>,
    /// The input that broke the target.
    artifact: Option<String>,
}

/// Carries out the command.
///
/// # Errors
/// `Failure::Red` when an input broke a target.
pub(crate) fn run(command: &Command) -> Outcome {
    let folder = program::root().join("fuzz");
    let all = targets(&folder.join("fuzz_targets"))?;
    if command.list {
        for target in &all {
            println!("{target}");
        }
        return Ok(());
    }
    if let Some(unknown) = command.targets.iter().find(|name| !all.contains(name)) {
        return Err(Failure::Misuse(format!(
            "no fuzz target `{unknown}`; there are: {}",
            all.join(", ")
        )));
    }
    let chosen = if command.targets.is_empty() {
        all
    } else {
        command.targets.clone()
    };
    let host = host()?;
    build(&folder, &host)?;

    let programs = folder.join("target").join(host).join("release");
    let jobs = command.jobs.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    );
    let queue = Mutex::new(VecDeque::from(chosen));
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    let work = || {
        let mut outcomes = Vec::new();
        while let Some(target) = next() {
            let outcome = run_target(&folder, &programs, &target, command.seconds);
            outcomes.push((target, outcome));
        }
        outcomes
    };
    let mut outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_default())
            .collect()
    });
    outcomes.sort_by(|a, b| a.0.cmp(&b.0));

    let (mut broken, mut agreed) = (0, true);
    for (target, outcome) in outcomes {
        let report = outcome?;
        tell(&target, &report, command.json);
        if let Some(artifact) = &report.artifact {
            broken += 1;
            eprintln!("{target} broke on {artifact}; to see it again:");
            eprintln!("  {} {artifact}", programs.join(&target).display());
        }
        if target == DECODER {
            agreed &= agreement(&folder, command.json)?;
        }
    }
    match (broken, agreed) {
        (0, true) => Ok(()),
        (0, false) => Err(Failure::Red(
            "the decoder and rxml disagree where they may not".to_owned(),
        )),
        _ => Err(Failure::Red(format!("{broken} fuzz targets broke"))),
    }
}

/// How the decoder and rxml judge what the fuzzer kept, and the seeds: printed, and
/// whether they agree wherever they must. The same inputs give the same counts.
fn agreement(folder: &Path, json: bool) -> Outcome<bool> {
    let mut command = program::cargo();
    command.args(["run", "--quiet", "--package", "stanchion-stanza"]);
    command.args(["--example", "agreement", "--"]);
    for target in JUDGED {
        let kinds = ["seeds", "corpus"].map(|kind| folder.join(kind).join(target));
        command.args(kinds.iter().filter(|folder| folder.is_dir()));
    }
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Failure::Spawn {
            program: "agreement".to_owned(),
            source,
        })?;
    let measures = agreement_measures(&String::from_utf8_lossy(&output.stdout));
    if measures.is_empty() {
        return Err(Failure::Malformed {
            what: "the example agreement".to_owned(),
            why: format!("it printed no count ({})", output.status),
        });
    }
    for measure in &measures {
        measure.print(json);
    }
    Ok(ExitStatus::success(&output.status) && measures.iter().all(|measure| measure.pass))
}

/// Reads lines of a count, a tab, and what was counted.
fn agreement_measures(text: &str) -> Vec<Measure> {
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    lines
        .filter_map(|(count, what)| {
            let count: f64 = count.parse().ok()?;
            let what = format!("fuzz/{DECODER}/agreement/{what}");
            let never = ["ours is looser", "ours alone refuses without reason"];
            let judged = never.iter().any(|never| what.ends_with(never));
            Some(Measure {
                goal: judged.then(|| "0".to_owned()),
                pass: !judged || count == 0.0,
                ..Measure::alone(what, count, "inputs")
            })
        })
        .collect()
}

fn tell(target: &str, report: &Report, json: bool) {
    let pass = report.artifact.is_none();
    for (name, value, unit) in [
        ("executions", report.executions, "count"),
        ("executions per second", report.executions_per_second, "1/s"),
        ("coverage", report.coverage, "edges"),
        ("corpus", report.corpus, "inputs"),
        ("corpus size", report.corpus_bytes, "bytes"),
    ] {
        let Some(value) = value else { continue };
        let mut measure = Measure::alone(format!("fuzz/{target}/{name}"), value, unit);
        // What breaks a target breaks it whatever it reached until then.
        if name == "executions" {
            measure.goal = Some("no input breaks it".to_owned());
            measure.pass = pass;
        }
        measure.print(json);
    }
}

/// The names of the files in the targets' folder.
fn targets(folder: &Path) -> Outcome<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .doing("read", folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn build(folder: &Path, host: &str) -> Outcome {
    let mut command = program::cargo();
    command.args(["build", "--quiet", "--release", "--bins", "--manifest-path"]);
    command.arg(folder.join("Cargo.toml"));
    command.arg("--target-dir").arg(folder.join("target"));
    // With a target named, the flags reach neither build scripts nor macros.
    command.args(["--target", host]);
    command
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    program::run(&mut command)
}

/// The compiler's own target, such as x86_64-unknown-linux-gnu.
fn host() -> Outcome<String> {
    let mut rustc =
        std::process::Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let text = program::read(rustc.arg("-vV").current_dir(program::root()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| Failure::Malformed {
            what: "rustc -vV".to_owned(),
            why: "it names no host".to_owned(),
        })
}

fn run_target(folder: &Path, programs: &Path, target: &str, seconds: u64) -> Outcome<Report> {
    let corpus = folder.join("corpus").join(target);
    let artifacts = folder.join("artifacts").join(target);
    for path in [&corpus, &artifacts] {
        fs::create_dir_all(path).doing("create", path)?;
    }
    let log = folder.join("corpus").join(format!("{target}.log"));
    let file = File::create(&log).doing("create", &log)?;
    let errors = file.try_clone().doing("open", &log)?;
    let mut command = std::process::Command::new(programs.join(target));
    command.arg(&corpus);
    let seeds = folder.join("seeds").join(target);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={MAX_LEN}"),
        format!("-timeout={TIMEOUT}"),
        format!("-rss_limit_mb={RSS_LIMIT}"),
        format!("-artifact_prefix={}/", artifacts.display()),
        "-print_final_stats=1".to_owned(),
    ]);
    let status = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .status()
        .map_err(|source| Failure::Spawn {
            program: target.to_owned(),
            source,
        })?;
    let text = String::from_utf8_lossy(&fs::read(&log).doing("read", &log)?).into_owned();
    let mut report = parse(&text);
    let (inputs, bytes) = kept(&corpus)?;
    report.corpus = Some(inputs);
    report.corpus_bytes = Some(bytes);
    if !status.success() {
        print_tail(&text);
        if report.artifact.is_none() {
            return Err(Failure::Red(format!(
                "{target} failed ({status}); see {}",
                log.display()
            )));
        }
        return Ok(report);
    }
    // Without feedback libFuzzer runs, and finds nothing.
    if report.coverage.is_none_or(|coverage| coverage < 1.0) {
        return Err(Failure::Red(format!(
            "{target} reported no coverage: it was not built with the coverage flags; see {}",
            log.display()
        )));
    }
    Ok(report)
}

/// Number and bytes of the files in a folder.
fn kept(folder: &Path) -> Outcome<(f64, f64)> {
    let mut totals = (0.0, 0.0);
    for entry in fs::read_dir(folder).doing("read", folder)?.flatten() {
        let bytes = entry.metadata().doing("look at", &entry.path())?.len();
        totals.0 += 1.0;
        totals.1 += bytes as f64;
    }
    Ok(totals)
}

fn print_tail(text: &str) {
    let lines: Vec<_> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(40)..] {
        eprintln!("  {line}");
    }
}

/// Reads libFuzzer's log.
fn parse(log: &str) -> Report {
    let mut report = Report::default();
    for line in log.lines() {
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            report.executions = count.trim().parse().ok();
        }
        if let Some(rate) = line.strip_prefix("stat::average_exec_per_sec:") {
            report.executions_per_second = rate.trim().parse().ok();
        }
        let mut words = line.split_whitespace();
        if line.starts_with('#') && words.any(|word| word == "cov:") {
            report.coverage = words.next().and_then(|word| word.parse().ok());
        }
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            report.artifact = Some(path.trim().to_owned());
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_and_speed_are_read_from_the_log() {
        let log = "#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                   #524288\tpulse  cov: 57 ft: 90 corp: 20/1Kb exec/s: 99 rss: 40Mb\n\
                   stat::number_of_executed_units: 524300\n\
                   stat::average_exec_per_sec:     123456\n";
        let report = parse(log);
        assert_eq!(report.executions, Some(524_300.0));
        assert_eq!(report.coverage, Some(57.0));
        assert_eq!(report.executions_per_second, Some(123_456.0));
        assert_eq!(report.artifact, None);
    }

    #[test]
    fn a_crash_names_its_input() {
        let log = "artifact_prefix='a/'; Test unit written to a/crash-0a1b\nBase64: AA==\n";
        assert_eq!(parse(log).artifact.as_deref(), Some("a/crash-0a1b"));
    }

    #[test]
    fn what_is_kept_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "12").unwrap();
        fs::write(dir.path().join("b"), "345").unwrap();
        assert_eq!(kept(dir.path()).unwrap(), (2.0, 5.0));
    }

    #[test]
    fn one_input_that_ours_alone_accepts_is_red() {
        let judge = |looser: u32| {
            let text = format!(
                "7\tinputs\n{looser}\tstream: ours is looser\n\
                 2\tstream: ours alone refuses: more than 64 levels\n"
            );
            agreement_measures(&text)
        };
        let passes = |looser| judge(looser).iter().map(|m| m.pass).collect::<Vec<_>>();
        assert_eq!(passes(0), [true, true, true]);
        assert_eq!(passes(1), [true, false, true]);
        let measure = &judge(1)[1];
        assert_eq!(
            measure.what,
            "fuzz/decoder/agreement/stream: ours is looser"
        );
        assert_eq!((measure.value, measure.unit), (1.0, "inputs"));
    }

    #[test]
    fn every_target_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["jid.rs", "framer.rs", "notes.md"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(targets(dir.path()).unwrap(), ["framer", "jid"]);
    }

    #[test]
    fn every_target_file_has_a_bin_entry() {
        let folder = program::root().join("fuzz");
        let manifest: toml::Table = program::text(&folder.join("Cargo.toml"))
            .unwrap()
            .parse()
            .unwrap();
        let mut bins: Vec<_> = manifest["bin"]
            .as_array()
            .unwrap()
            .iter()
            .map(|bin| bin["name"].as_str().unwrap())
            .collect();
        bins.sort_unstable();
        assert_eq!(targets(&folder.join("fuzz_targets")).unwrap(), bins);
    }
}
