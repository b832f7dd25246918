//! `cargo xtask test`: the whole suite, step by step.
//!
//! Every step runs, also after a failure, unless it could not mean anything.
//! What a step checks belongs to other files and programs; this one owns the
//! order, the time limits and the closing table.

use crate::failure::{Context, Failure, Outcome};
use crate::program::{self, Interrupt};
use crate::requirements;
use crate::servers::state::{Kind, Options};
use crate::servers::{self, Temporary};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest any one step may take, compiling included.
const STEP_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The feature, and the file, of the tests that need other people's software. The feature
/// is always on here, so that no crate is built twice.
pub(crate) const INTEROP: &str = "interop";

/// The file of the tests in a real browser, behind the same feature.
pub(crate) const BROWSER: &str = "browser";

#[derive(Debug, Default, Args)]
pub(crate) struct Command {
    /// Leave out what needs Prosody, ejabberd or slixmpp
    #[arg(long)]
    no_servers: bool,
    /// Run this step alone; may be given more than once
    #[arg(long = "only", value_name = "STEP")]
    only: Vec<Step>,
}

/// A step, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// cargo fmt --check
    Format,
    /// clippy on everything, warnings are errors
    Lint,
    /// Unit and scenario tests
    Unit,
    /// Examples in the documentation
    Doc,
    /// Tests against Prosody, ejabberd and a foreign client, and in a real browser
    Interop,
    /// Rules of the house: cargo xtask tidy
    Tidy,
    /// Each fuzz target for a few seconds
    Fuzz,
    /// The demo, headless: 500 messages, 2 kills
    Demo,
    /// A short chaos run over the hub
    Chaos,
    /// A thousand meters whose server is away
    Scenario,
    /// Two people and a room in terminals, on a Prosody that is killed
    Talk,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Lint => "lint",
            Self::Unit => "unit",
            Self::Doc => "doc",
            Self::Interop => "interop",
            Self::Tidy => "tidy",
            Self::Fuzz => "fuzz",
            Self::Demo => "demo",
            Self::Chaos => "chaos",
            Self::Scenario => "scenario",
            Self::Talk => "talk",
        }
    }
}

enum Verdict {
    Passed,
    Failed(Failure),
    Skipped(&'static str),
}

/// Carries out the command and closes with the line `N passed, N failed`.
///
/// # Errors
/// `Failure::Missing` when something must be installed by hand first;
/// `Failure::Told` when a step failed.
pub(crate) fn run(command: &Command) -> Outcome {
    let interrupt = Interrupt::watch()?;
    let wanted = |step: Step| command.only.is_empty() || command.only.contains(&step);
    let servers = wanted(Step::Interop) || wanted(Step::Talk);
    requirements::ensure(servers && !command.no_servers)?;
    if command.only.is_empty() {
        requirements::tell_of_disk();
    }

    let begin = Instant::now();
    let mut table = Vec::new();
    for &step in Step::value_variants() {
        if !wanted(step) {
            continue;
        }
        let started = Instant::now();
        let verdict = if interrupt.seen() {
            Verdict::Skipped("interrupted")
        } else if matches!(step, Step::Interop | Step::Talk) && command.no_servers {
            Verdict::Skipped(
                "--no-servers: nothing was tried against Prosody, ejabberd and slixmpp",
            )
        } else {
            println!("\n=== {}", step.name());
            match carry_out(step, &interrupt) {
                Ok(()) => Verdict::Passed,
                Err(failure) => {
                    println!("{}: {failure}", step.name());
                    Verdict::Failed(failure)
                }
            }
        };
        let took = started.elapsed();
        println!(
            "=== {} {} in {:.1} s",
            step.name(),
            word(&verdict),
            took.as_secs_f64()
        );
        table.push((step, verdict, took));
    }
    close(&table, begin.elapsed())
}

fn close(table: &[(Step, Verdict, Duration)], took: Duration) -> Outcome {
    println!("\n{:<8} {:<8} {:>8}", "step", "result", "seconds");
    for (step, verdict, took) in table {
        let why = match verdict {
            Verdict::Passed => String::new(),
            Verdict::Failed(failure) => failure
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
            Verdict::Skipped(why) => (*why).to_owned(),
        };
        let line = format!(
            "{:<8} {:<8} {:>8.1}  {why}",
            step.name(),
            word(verdict),
            took.as_secs_f64()
        );
        println!("{}", line.trim_end());
    }
    let count = |wanted: &str| {
        table
            .iter()
            .filter(|(_, verdict, _)| word(verdict) == wanted)
            .count()
    };
    let (passed, failed, skipped) = (count("passed"), count("failed"), count("skipped"));
    println!(
        "{:.0} s in all, {skipped} steps skipped",
        took.as_secs_f64()
    );
    println!("{passed} passed, {failed} failed");
    if failed == 0
        && !table
            .iter()
            .any(|(_, v, _)| matches!(v, Verdict::Skipped("interrupted")))
    {
        return Ok(());
    }
    Err(Failure::Told)
}

const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed(_) => "failed",
        Verdict::Skipped(_) => "skipped",
    }
}

fn carry_out(step: Step, interrupt: &Interrupt) -> Outcome {
    let cargo =
        |words: &[&str]| program::run_within(program::cargo().args(words), STEP_LIMIT, interrupt);
    match step {
        Step::Format => cargo(&["fmt", "--all", "--check"]),
        Step::Lint => cargo(&[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--features",
            INTEROP,
            "--",
            "-D",
            "warnings",
        ]),
        Step::Unit => unit(interrupt),
        Step::Doc => cargo(&[
            "test",
            "--quiet",
            "--doc",
            "--workspace",
            "--features",
            INTEROP,
        ]),
        Step::Interop => interop(interrupt),
        Step::Tidy => own(&["tidy"], interrupt),
        Step::Fuzz => own(&["fuzz", "--seconds", "5"], interrupt),
        Step::Demo => own(
            &[
                "demo",
                "--headless",
                "--messages",
                "500",
                "--kills",
                "2",
                "--json",
            ],
            interrupt,
        ),
        Step::Scenario => {
            own(
                &["scenario", "--debug", "meters", "--time", "12s"],
                interrupt,
            )?;
            own(&["scenario", "--debug", "power"], interrupt)
        }
        Step::Talk => own(&["talk", "--debug"], interrupt),
        Step::Chaos => own(
            &[
                "chaos",
                "--messages",
                "300",
                "--kills",
                "3",
                "--seed",
                "1",
                "--bundle",
                "16",
                "--time",
                "3m",
                "--debug",
            ],
            interrupt,
        ),
    }
}

fn unit(interrupt: &Interrupt) -> Outcome {
    let mut command = program::cargo();
    if has_nextest() {
        command.args(["nextest", "run", "--workspace", "--features", INTEROP]);
        command.args([
            "--no-fail-fast",
            "--status-level",
            "fail",
            "--no-tests",
            "pass",
            "-E",
            &format!("not (binary({INTEROP}) | binary({BROWSER}))"),
        ]);
    } else {
        command.args(["test", "--quiet", "--workspace", "--features", INTEROP]);
        command.args(["--lib", "--bins", "--examples"]);
        for test in scenarios()? {
            command.args(["--test", &test]);
        }
    }
    program::run_within(&mut command, STEP_LIMIT, interrupt)
}

/// The servers of the tests with other people's software, and the file that tells of them.
pub(crate) struct InteropServers {
    file: PathBuf,
    _servers: [Temporary; 2],
}

impl InteropServers {
    pub(crate) fn start() -> Outcome<Self> {
        let users = [
            ("sensor", "sensor-secret"),
            ("phone", "phone-secret"),
            ("app", "app-secret"),
        ];
        let options = || Options {
            component: Some(("cloud".to_owned(), "cloud-secret".to_owned())),
            registration: true,
            uploads: true,
            ..Options::default()
        };
        let start = |kind, domain| Temporary::start_with(kind, domain, &users, options());
        let prosody = start(Kind::Prosody, "prosody.test")?;
        let ejabberd = start(Kind::Ejabberd, "ejabberd.test")?;
        let file = prosody.state.dir.join("servers.json");
        let servers =
            json!({ "prosody": prosody.state.report(), "ejabberd": ejabberd.state.report() });
        std::fs::write(&file, servers.to_string()).doing("write", &file)?;
        Ok(Self {
            file,
            _servers: [prosody, ejabberd],
        })
    }

    /// What a test program needs to know of them.
    pub(crate) fn tell(&self, command: &mut std::process::Command) -> Outcome {
        let python = requirements::python().unwrap_or_else(|| PathBuf::from("python3"));
        command
            .env("STANCHION_TEST_SERVERS", &self.file)
            .env("STANCHION_XTASK", servers::own_program()?)
            .env("STANCHION_PYTHON", python)
            .env("STANCHION_PEERS", requirements::peers()?);
        Ok(())
    }
}

fn interop(interrupt: &Interrupt) -> Outcome {
    let servers = InteropServers::start()?;
    let mut command = program::cargo();
    if has_nextest() {
        command.args(["nextest", "run", "--workspace", "--features", INTEROP]);
        command.args(["-E", &format!("binary({INTEROP}) | binary({BROWSER})")]);
    } else {
        command.args([
            "test",
            "--quiet",
            "--workspace",
            "--features",
            INTEROP,
            "--test",
            INTEROP,
            "--test",
            BROWSER,
        ]);
    }
    servers.tell(&mut command)?;
    program::run_within(&mut command, STEP_LIMIT, interrupt)
}

/// Another command of this program, as a program of its own: so it has a time
/// limit, and a broken one does not take the suite with it.
fn own(words: &[&str], interrupt: &Interrupt) -> Outcome {
    let mut command = std::process::Command::new(servers::own_program()?);
    program::run_within(
        command.args(words).current_dir(program::root()),
        STEP_LIMIT,
        interrupt,
    )
}

fn has_nextest() -> bool {
    program::read(program::cargo().args(["nextest", "--version"])).is_ok()
}

/// The names of all integration tests but those with other people's software.
fn scenarios() -> Outcome<Vec<String>> {
    let metadata = program::metadata(false)?;
    let mut names: Vec<String> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|package| package["targets"].as_array().into_iter().flatten())
        .filter(|target| target["kind"][0] == "test")
        .filter(|target| target["name"] != INTEROP && target["name"] != BROWSER)
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}
