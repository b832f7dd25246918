//! `stanchion-scenarios`: the acceptance scenarios, each a fleet at work on a server that
//! fails, and a count of what became of it. `cargo xtask scenario` builds what they need
//! and runs them; nothing of the product depends on them.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to a terminal"
)]

mod ad_hoc;
mod car;
mod chat;
mod collector;
mod failure;
mod fleet;
mod light_switch;
mod loads;
mod medical;
mod meters;
mod power;
mod relay;
mod report;
mod rfid;
mod server;
mod timing;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use failure::Failure;
use report::Report;
use server::Kind;

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask scenario",
    about = "A fleet at work on a server that fails: what was promised, counted"
)]
struct Cli {
    /// Which
    scenario: Scenario,
    /// The server between
    #[arg(long, value_enum, default_value = "hub")]
    server: Kind,
    /// How long the fleet works, at least; less is scaled down from what the scenario says
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
    /// The `stanchion` command
    #[arg(long, env = "STANCHION_BIN", hide = true)]
    stanchion: PathBuf,
    /// The project's own commands
    #[arg(long, env = "STANCHION_XTASK", hide = true)]
    xtask: PathBuf,
    /// A Python that has other people's devices
    #[arg(long, env = "STANCHION_PEERS", hide = true)]
    peers: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Twenty patients, vitals and waveforms, alarms; the server is killed
    Medical,
    /// A thousand meters; ten minutes without a server, scaled
    Meters,
    /// A thousand commands to a lamp while connections are cut, and some that expire
    LightSwitch,
    /// A reader of tags at a portal, which restarts: each tag arrives once in five seconds
    Rfid,
    /// A car in tunnels; the newest position first
    Car,
    /// A hundred loads are shed in two seconds, and a stranger is refused
    Power,
    /// No server: a phone finds a lamp and sets it; its readings arrive once there is one
    AdHoc,
    /// Fifty people in a room, a burst of a thousand messages, the server killed in it
    Chat,
}

/// What a scenario is run with.
#[derive(Debug, Clone)]
struct Setting {
    kind: Kind,
    time: Option<Duration>,
    stanchion: PathBuf,
    xtask: PathBuf,
    peers: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = tracing_subscriber::EnvFilter::try_from_env("STANCHION_LOG");
    let log = log.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(log)
        .with_writer(std::io::stderr)
        .try_init();
    let setting = Setting {
        kind: cli.server,
        time: cli.time,
        stanchion: cli.stanchion,
        xtask: cli.xtask,
        peers: cli.peers,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(cli.scenario, &setting)),
        Err(error) => Err(Failure::new("no runtime", &error)),
    };
    match outcome {
        Ok(report) => {
            println!(
                "{}",
                if cli.json {
                    report.json()
                } else {
                    report.text()
                }
            );
            ExitCode::from(u8::from(!report.passed()))
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(2)
        }
    }
}

async fn run(scenario: Scenario, setting: &Setting) -> Result<Report, Failure> {
    match scenario {
        Scenario::Medical => medical::run(setting).await,
        Scenario::Meters => meters::run(setting).await,
        Scenario::LightSwitch => light_switch::run(setting).await,
        Scenario::Rfid => rfid::run(setting).await,
        Scenario::Car => car::run(setting).await,
        Scenario::Power => power::run(setting).await,
        Scenario::AdHoc => ad_hoc::run(setting).await,
        Scenario::Chat => chat::run(setting).await,
    }
}
