//! Messages kept and delivered, measured beside others in the same run: the disk and bare
//! SQLite for what is kept; a bare stream on the same server, and MQTT, for what is
//! delivered. And the memory that a full outbox takes.
//!
//! Each verb is run in a process of its own, and prints one JSON object a line: `what`,
//! `value`, `unit`. The reports, and the goals, are those of `cargo xtask bench durable`,
//! `delivery` and `memory`.

mod bare;
mod disk;
mod durable;
mod ends;
mod figure;
mod hub;
mod memory;
mod mqtt;
mod prosody;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// As the `stanchion` command has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Messages kept a second, beside the disk and bare SQLite
    Durable(durable::Plan),
    /// Messages delivered through the embedded hub
    Hub(hub::Plan),
    /// Messages delivered through Prosody, beside those of a bare stream
    Prosody(prosody::Plan),
    /// Messages of MQTT, QoS 2, through a broker in this process
    Mqtt(mqtt::Plan),
    /// What many messages that wait take of memory
    Memory(memory::Plan),
}

fn main() -> ExitCode {
    let run = match Cli::parse().verb {
        Verb::Durable(plan) => runtime().and_then(|r| r.block_on(durable::run(&plan))),
        Verb::Hub(plan) => runtime().and_then(|r| r.block_on(hub::run(&plan))),
        Verb::Prosody(plan) => runtime().and_then(|r| r.block_on(prosody::run(&plan))),
        Verb::Mqtt(plan) => runtime().and_then(|r| r.block_on(mqtt::run(&plan))),
        Verb::Memory(plan) => runtime().and_then(|r| r.block_on(memory::run(&plan))),
    };
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// As an application has it: a thread for each core.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("no runtime: {e}"))
}
