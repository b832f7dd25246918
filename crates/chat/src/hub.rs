//! `stanchion hub`: the embedded server as a command.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use stanchion_hub::{Accounts, Hub, HubConfig};

use crate::demo::HubReady;
use crate::exit::{Exit, Failure, Outcome, one_line};

/// Runs the embedded XMPP server until interrupted
#[derive(Debug, Args)]
#[command(after_help = "\
For demonstrations, tests and a local network. For more, use Prosody or ejabberd.")]
pub(crate) struct Command {
    /// The domain that is served
    #[arg(long, value_name = "DOMAIN", default_value = "localhost")]
    domain: String,
    /// Listen there for STARTTLS; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5222")]
    starttls: SocketAddr,
    /// Listen there for direct TLS, too
    #[arg(long, value_name = "ADDRESS:PORT")]
    direct_tls: Option<SocketAddr>,
    /// Keep the certificate and offline messages in this folder
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// An account made on the fly, for tries: other users of this machine can see it
    #[arg(long, value_name = "NAME:PASSWORD")]
    user: Vec<String>,
    /// A TOML file with accounts
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// Print where it listens as one JSON object
    #[arg(long)]
    json: bool,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let accounts = accounts(&command)?;
    let hub = Hub::bind(HubConfig {
        domain: command.domain.clone(),
        starttls: Some(command.starttls),
        direct_tls: command.direct_tls,
        state: command.state.clone(),
        accounts,
        ..HubConfig::default()
    })
    .await
    .map_err(|e| Failure::failed(one_line(&e)))?;
    announce(&command, &hub).map_err(|e| Failure::failed(format!("standard output: {e}")))?;
    hub.run(stop())
        .await
        .map_err(|e| Failure::failed(one_line(&e)))?;
    Ok(Exit::Done)
}

fn accounts(command: &Command) -> Result<Accounts, Failure> {
    if command.user.is_empty() {
        return match &command.accounts {
            Some(path) => Accounts::open(path).map_err(|e| Failure::usage(one_line(&e))),
            None => Err(Failure::usage(
                "nobody could log in: give --user NAME:PASSWORD, or --accounts FILE",
            )),
        };
    }
    if command.accounts.is_some() {
        return Err(Failure::usage("give --user or --accounts, not both"));
    }
    let pairs = command.user.iter().map(|u| u.split_once(':'));
    let pairs: Option<Vec<_>> = pairs.collect();
    let pairs = pairs.ok_or_else(|| Failure::usage("--user wants NAME:PASSWORD"))?;
    Accounts::open_demo(pairs).map_err(|e| Failure::usage(one_line(&e)))
}

fn announce(command: &Command, hub: &Hub) -> io::Result<()> {
    let addresses = hub.addresses();
    let fingerprint = hub.fingerprint().to_string();
    let mut out = io::stdout().lock();
    let Some(starttls) = addresses.starttls else {
        return Ok(());
    };
    if command.json {
        let ready = HubReady {
            starttls,
            fingerprint,
        };
        writeln!(out, "{}", json!(ready))?;
    } else {
        writeln!(out, "{} is served at {starttls} (STARTTLS)", command.domain)?;
        if let Some(direct) = addresses.direct_tls {
            writeln!(out, "and at {direct} (direct TLS)")?;
        }
        writeln!(out, "certificate  {fingerprint}")?;
        writeln!(
            out,
            "try          stanchion listen --jid NAME@{} --connect {starttls} --pin {fingerprint}",
            command.domain
        )?;
        writeln!(out, "Ctrl-C ends it")?;
    }
    out.flush()
}

/// Interrupt, or the polite signal of a supervisor.
async fn stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
