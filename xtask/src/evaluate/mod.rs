//! `cargo xtask evaluate`: the founding paper's evaluation (C.3.3), and what the project
//! adds to it, run for real against the hub, Prosody and ejabberd.
//!
//! This file owns the order and the verdicts. A case is a file in `cases`, `scene` is what
//! it works with, `report` shows what it measured. All is done as a user would: by the
//! `stanchion` command, or by the facade's example.

mod cases;
mod patience;
mod platforms;
mod process;
mod relay;
mod report;
mod scene;
mod server;
mod services;

use crate::failure::{Failure, Outcome};
use crate::program::{self, Interrupt};
use crate::requirements;
use cases::{CASES, Case};
use clap::{Args, ValueEnum};
use patience::Patience;
use report::{Figures, Row, Verdict};
use scene::{Programs, Scene, user_name};
use server::{Make, Server};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest that the servers of a make may take to start.
const START_LIMIT: Duration = Duration::from_secs(90);

#[derive(Debug, Args)]
pub(crate) struct Command {
    /// Which server
    #[arg(long, value_enum, default_value_t)]
    server: Which,
    /// Only cases with this text in their name
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Build for each platform, too; takes minutes
    #[arg(long)]
    platforms: bool,
    /// Print one JSON object a row: paper, case, server, measured, verdict, why, seconds
    #[arg(long)]
    json: bool,
}

/// The servers of an evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The embedded one: nothing to install
    Hub,
    /// Prosody, which must be installed
    Prosody,
    /// ejabberd, which must be installed
    Ejabberd,
    /// One after the other
    #[default]
    All,
}

impl Which {
    fn makes(self) -> Vec<Make> {
        match self {
            Self::Hub => vec![Make::Hub],
            Self::Prosody => vec![Make::Prosody],
            Self::Ejabberd => vec![Make::Ejabberd],
            Self::All => Make::value_variants().to_vec(),
        }
    }
}

/// Carries out the command.
///
/// # Errors
/// `Failure::Red` when a case failed; `Failure::Missing` when something must be installed
/// by hand first.
pub(crate) fn run(command: &Command) -> Outcome {
    let interrupt = Interrupt::watch()?;
    // slixmpp is always at the other end of one case.
    requirements::ensure(true)?;
    let programs = Programs {
        stanchion: program::build("stanchion-chat", "stanchion", false)?,
        device: program::build_example("stanchion", "device")?,
        python: requirements::python().unwrap_or_else(|| PathBuf::from("python3")),
    };
    let begin = Instant::now();
    let mut rows = Rows {
        json: command.json,
        rows: Vec::new(),
    };
    let wanted = |name: &str| command.only.as_ref().is_none_or(|only| name.contains(only));
    for make in command.server.makes() {
        on_server(make, &programs, &interrupt, wanted, &mut rows)?;
    }
    let makes = command.server.makes();
    services::rows(&makes, wanted, &interrupt, |row| rows.add(row))?;
    if wanted(platforms::NAME) {
        platforms::rows(command.platforms, &interrupt, |row| rows.add(row))?;
    }
    rows.conclude(begin.elapsed(), interrupt.seen())
}

/// All cases on a make of server.
fn on_server(
    make: Make,
    programs: &Programs,
    interrupt: &Interrupt,
    wanted: impl Fn(&str) -> bool,
    rows: &mut Rows,
) -> Outcome {
    let cases: Vec<(usize, &Case)> = CASES
        .iter()
        .enumerate()
        .filter(|(_, case)| wanted(case.name))
        .collect();
    if cases.is_empty() || interrupt.seen() {
        return Ok(());
    }
    let users: Vec<String> = cases
        .iter()
        .flat_map(|(number, _)| ["sensor", "app"].map(|user| user_name(user, *number)))
        .collect();
    let patience = Patience::new(START_LIMIT, interrupt);
    let start = |domain, binding| {
        let stanchion = &programs.stanchion;
        Server::start(make, stanchion, domain, &users, binding, &patience)
    };
    let mut servers = [start("home.test", true)?, start("plant.test", false)?];
    for (number, case) in cases {
        if interrupt.seen() {
            break;
        }
        let begin = Instant::now();
        let (figures, ended) = on_stage(case, number, &mut servers, programs, interrupt);
        rows.add(Row {
            paper: case.paper,
            case: case.name,
            law: case.law,
            on: make.name().to_owned(),
            figures,
            verdict: match ended {
                Ok(()) => Verdict::Pass,
                Err(failure) => Verdict::Fail(failure.to_string().replace('\n', " ")),
            },
            took: begin.elapsed(),
        });
    }
    Ok(())
}

fn on_stage(
    case: &Case,
    number: usize,
    servers: &mut [Server; 2],
    programs: &Programs,
    interrupt: &Interrupt,
) -> (Figures, Outcome) {
    let patience = Patience::new(START_LIMIT, interrupt);
    for server in servers.iter_mut() {
        if let Err(failure) = server.repair(&patience) {
            return (Figures::default(), Err(failure));
        }
    }
    let patience = Patience::new(case.limit, interrupt);
    match Scene::new(servers, programs, patience, number) {
        Ok(mut scene) => {
            let ended = (case.run)(&mut scene);
            (scene.figures, ended)
        }
        Err(failure) => (Figures::default(), Err(failure)),
    }
}

/// The rows so far, each told as soon as it is known.
struct Rows {
    json: bool,
    rows: Vec<Row>,
}

impl Rows {
    fn add(&mut self, row: Row) {
        if self.json {
            println!("{}", row.json());
        } else {
            println!("{}", row.line());
        }
        self.rows.push(row);
    }

    fn conclude(&self, took: Duration, interrupted: bool) -> Outcome {
        let failed = self.rows.iter().filter(|row| row.failed()).count();
        let not_run = |row: &&Row| matches!(row.verdict, Verdict::NotRun(_));
        let not_run = self.rows.iter().filter(not_run).count();
        if !self.json {
            println!("{}", report::table(&self.rows));
            println!(
                "{} passed, {failed} failed, {not_run} not run, {:.0} s",
                self.rows.len() - failed - not_run,
                took.as_secs_f64()
            );
        }
        if interrupted {
            return Err(Failure::Red("interrupted".to_owned()));
        }
        match failed {
            0 if self.rows.is_empty() => Err(Failure::Misuse(
                "no case has that text in its name; leave out --only to see them all".to_owned(),
            )),
            0 => Ok(()),
            1 => Err(Failure::Red("1 case failed".to_owned())),
            n => Err(Failure::Red(format!("{n} cases failed"))),
        }
    }
}
