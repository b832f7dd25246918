//! `cargo xtask chaos`: a sender and a receiver, each a process of its own, while they,
//! their servers and the lines between them are killed and broken; and the ledger of what
//! became of each message.
//!
//! This file owns the command line and what is printed. A run is `run`'s, the verdict
//! `ledger`'s; the ends themselves are hidden verbs of the `stanchion` command.

mod crash_points;
mod ends;
mod ledger;
mod plan;
mod plant;
mod process;
mod relay;
mod run;

use crate::failure::{Context, Failure, Outcome};
use crate::program::{self, Interrupt};
use crate::requirements;
use clap::{Args, ValueEnum};
use ledger::ON_TIME_MS;
use plan::Fault;
use plant::Server;
use serde_json::json;
use std::time::Duration;
use tempfile::TempDir;

#[derive(Debug, Args)]
#[command(after_help = "\
Exit status 0 only when nothing is lost, duplicated, misordered or reported wrongly, and
every message has an outcome. Otherwise the folder of the run is kept, and named.

Examples:
  cargo xtask chaos
  cargo xtask chaos --server prosody --messages 100000 --kills 200 \\
      --faults kill-sender,kill-receiver,kill-server --time 20m
  cargo xtask chaos --crash-points 500")]
pub(crate) struct Command {
    /// What stands between the two ends
    #[arg(long, value_enum, default_value_t)]
    server: Server,
    /// How many messages are sent
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    messages: u64,
    /// How often each of the faults strikes
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    kills: u64,
    /// Which faults [default: all]
    #[arg(long, value_name = "FAULTS", value_enum, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// Which faults strike when [default: another one each time]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Give up after this time: seconds, or 90s, 15m, 2h
    #[arg(long, value_name = "LIMIT", default_value = "15m", value_parser = time)]
    time: Duration,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
    /// Build the ends without optimisation: a slower run after a faster build
    #[arg(long)]
    debug: bool,
    /// Every second message has so long, and its outcome is to be told by then: seconds, or
    /// 90s, 15m or 2h
    #[arg(long, value_name = "TIME", value_parser = time)]
    within: Option<Duration>,
    /// How many messages may share a stanza
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    bundle: u8,
    /// Keep the folder of the run in any case
    #[arg(long)]
    keep: bool,
    /// Instead: kill a sender so often while it fills its outbox, without a server, and
    /// look each time whether all that was accepted is there
    #[arg(long, value_name = "N", conflicts_with_all = ["server", "messages", "kills", "faults"])]
    crash_points: Option<u64>,
}

/// A recovery that took longer is told with all that went on.
const SLOW_MS: f64 = 5000.0;

/// Carries out the command.
///
/// # Errors
/// `Failure::Red` when a promise was broken; else what could not be started.
pub(crate) fn run(command: &Command) -> Outcome {
    let interrupt = Interrupt::watch()?;
    if command.server.is_real() {
        requirements::ensure(true)?;
    }
    let program = program::build("stanchion-chat", "stanchion", !command.debug)?;
    let seed = command.seed.unwrap_or_else(|| plant::micros() % 1_000_000);
    let temp = std::env::temp_dir();
    let folder = tempfile::Builder::new()
        .prefix("stanchion-chaos-")
        .tempdir()
        .doing("create a folder in", &temp)?;
    let outcome = match command.crash_points {
        Some(points) => {
            let order = crash_points::Order {
                points,
                seed,
                limit: command.time,
                program: &program,
                root: folder.path(),
            };
            crash_points::run(&order, &interrupt).and_then(|result| result.tell(command.json))
        }
        None => {
            let faults = faults(command);
            let order = run::Order {
                server: command.server,
                messages: command.messages,
                kills: command.kills,
                faults: &faults,
                seed,
                limit: command.time,
                within: command.within,
                bundle: command.bundle.into(),
                program: &program,
                root: folder.path(),
            };
            run::run(&order, &interrupt).and_then(|result| tell(command, &order, &result))
        }
    };
    close(command, outcome, folder, seed)
}

fn faults(command: &Command) -> Vec<Fault> {
    if command.faults.is_empty() {
        return Fault::value_variants().to_vec();
    }
    let mut faults = command.faults.clone();
    faults.sort_unstable();
    faults.dedup();
    faults
}

/// Keeps the folder where somebody will want to look into it.
fn close(command: &Command, outcome: Outcome, folder: TempDir, seed: u64) -> Outcome {
    if outcome.is_ok() && !command.keep {
        let path = folder.path().to_owned();
        return folder.close().doing("remove", &path);
    }
    eprintln!(
        "everything that was written is in {}",
        folder.keep().display()
    );
    if outcome.is_err() {
        eprintln!("the same faults again: {}", again(command, seed));
    }
    outcome
}

/// The command line of the same run.
fn again(command: &Command, seed: u64) -> String {
    let mut line = "cargo xtask chaos".to_owned();
    if let Some(points) = command.crash_points {
        line += &format!(" --crash-points {points}");
    } else {
        line += &format!(
            " --server {} --messages {} --kills {}",
            command.server.name(),
            command.messages,
            command.kills
        );
        if !command.faults.is_empty() {
            let names: Vec<_> = command
                .faults
                .iter()
                .map(|fault| run::name(*fault))
                .collect();
            line += &format!(" --faults {}", names.join(","));
        }
        if let Some(within) = command.within {
            line += &format!(" --within {}s", within.as_secs());
        }
        if command.bundle > 1 {
            line += &format!(" --bundle {}", command.bundle);
        }
    }
    line += &format!(" --time {}s --seed {seed}", command.time.as_secs());
    if command.debug {
        line += " --debug";
    }
    line
}

fn tell(command: &Command, order: &run::Order<'_>, result: &run::Report) -> Outcome {
    let findings = &result.findings;
    let passed = findings.passed() && result.cut_short.is_none();
    let seconds = result.took.as_secs_f64();
    if command.json {
        let mut object = json!(findings);
        object["server"] = order.server.name().into();
        object["seed"] = order.seed.into();
        object["struck"] = json!(result.struck);
        object["seconds"] = seconds.into();
        object["cut_short"] = json!(result.cut_short);
        object["passed"] = passed.into();
        println!("{object}");
    } else {
        println!(
            "{} messages over {} in {seconds:.1} s, seed {}",
            findings.messages,
            order.server.name(),
            order.seed
        );
        let list = |map: &mut dyn Iterator<Item = (String, u64)>| {
            let words: Vec<_> = map.map(|(name, n)| format!("{name} {n}")).collect();
            words.join(", ")
        };
        let mut struck = result
            .struck
            .iter()
            .map(|(name, n)| ((*name).to_owned(), *n));
        println!("  struck         {}", list(&mut struck));
        let mut outcomes = findings.outcomes.iter().map(|(name, n)| (name.clone(), *n));
        println!("  outcomes       {}", list(&mut outcomes));
        println!(
            "  hand-overs     {}, of which {} maybe again; {} copies stopped",
            findings.hand_overs, findings.maybe_redelivered, findings.copies_stopped
        );
        println!(
            "  transmissions  {}, of which {} again: {:.3} a message",
            findings.transmissions, findings.retransmissions, findings.amplification
        );
        println!(
            "  connections    {}, of which {} resumed",
            findings.connections, findings.resumed
        );
        let recovery = findings.recovery;
        println!(
            "  recovery       p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms ({} times); {} effects while a server was away",
            recovery.p50_ms,
            recovery.p99_ms,
            recovery.max_ms,
            recovery.times,
            findings.effects_in_outages
        );
        if let Some(slowest) = findings
            .slowest
            .as_ref()
            .filter(|slowest| slowest.ms > SLOW_MS)
        {
            println!(
                "  slowest        {:.0} ms, after a server was away for {:.0} ms; {}",
                slowest.ms,
                slowest.away_ms,
                slowest.meanwhile.join("; ")
            );
        }
        if let Some(told) = findings.told {
            println!(
                "  deadlines      {} outcomes: p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms late; {} later than {ON_TIME_MS} ms",
                told.times, told.p50_ms, told.p99_ms, told.max_ms, findings.late
            );
        }
        if let Some(told) = findings.told_from_start {
            println!(
                "                 {} that were over at a start: p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms after it",
                told.times, told.p50_ms, told.p99_ms, told.max_ms
            );
        }
        for example in &findings.examples {
            println!("  ! {example}");
        }
        println!(
            "lost {}, duplicated {}, misordered {}, wrong {}, without outcome {}, forgotten {}, given twice {}, late {}",
            findings.lost,
            findings.duplicated,
            findings.misordered,
            findings.wrong,
            findings.without_outcome,
            findings.forgotten,
            findings.given_twice,
            findings.late
        );
    }
    match (&result.cut_short, passed) {
        (_, true) => Ok(()),
        (Some(why), _) => Err(Failure::Red(format!("{why}: the run was cut short"))),
        (None, false) => Err(Failure::Red("a promise was broken".to_owned())),
    }
}

/// Seconds, or a number with `s`, `m` or `h` behind it.
fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let seconds = match unit {
        "m" => 60,
        "h" => 3600,
        _ => 1,
    };
    match number.parse::<u32>() {
        Ok(n) if n > 0 => Ok(Duration::from_secs(u64::from(n) * seconds)),
        _ => Err("write 90s, 15m or 2h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        command: Command,
    }

    #[test]
    fn the_line_that_repeats_a_run_says_the_same() {
        let words = [
            "chaos",
            "--server",
            "prosody",
            "--messages",
            "50",
            "--kills",
            "2",
            "--faults",
            "cut,kill-server",
            "--time",
            "2m",
            "--within",
            "5s",
            "--bundle",
            "16",
            "--debug",
        ];
        let first = Line::parse_from(words).command;
        let line = again(&first, 7);
        let second = Line::parse_from(line.split(' ').skip(2)).command;
        assert_eq!(second.seed, Some(7));
        assert_eq!(faults(&first), faults(&second));
        assert_eq!(first.within, second.within);
        assert_eq!(first.bundle, second.bundle);
        assert_eq!(
            (
                second.server,
                second.messages,
                second.kills,
                second.time,
                second.debug
            ),
            (first.server, first.messages, first.kills, first.time, true)
        );
        let points = Line::parse_from(["chaos", "--crash-points", "9"]).command;
        let line = again(&points, 1);
        assert_eq!(
            Line::parse_from(line.split(' ').skip(2))
                .command
                .crash_points,
            Some(9)
        );
    }

    #[test]
    fn a_time_has_a_unit_and_is_not_zero() {
        assert_eq!(time("90").unwrap(), Duration::from_secs(90));
        assert_eq!(time("2m").unwrap(), Duration::from_secs(120));
        assert_eq!(time("1h").unwrap(), Duration::from_secs(3600));
        assert!(time("0s").is_err() && time("x").is_err() && time("1d").is_err());
    }
}
