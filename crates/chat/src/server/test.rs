//! `stanchion server test`: a session at each registered server, and what it took. What
//! is learnt of the endpoints is noted as their health.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::json;
use stanchion::BareJid;
use stanchion::connect::phase::Phase;
use stanchion::connect::probe::{Inspection, Scope, ServerReport, inspect};
use stanchion::connect::registry::{
    EndpointHealth, RegistryError, Server, ServerRegistry as _, write_place,
};
use stanchion::connect::{ConnectConfig, Connector, Endpoint};
use stanchion::reliability::registry::SqliteRegistry;

use super::{Contents, RegistryArgs};
use crate::doctor::{inspection_json, worst_error};
use crate::exit::{Exit, Failure, Outcome, one_line, registry_failure};
use crate::interrupt::Interrupt;
use crate::settings::duration;
use crate::table::wrap;
use crate::terminal::{Reader, columns, harmless, json_line, print};
use crate::watch::exit_of;

/// Connect to each registered server, or to one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stanchion server test
  stanchion server test lamp@home.example --all

Exit codes: 0 each gave a session, 1 the registry cannot be used, 2 usage, 12 one gave \
no session, 13 one refused, for security or authentication.")]
pub(super) struct Command {
    /// Only this account
    #[arg(value_name = "JID")]
    jid: Option<BareJid>,
    /// Try all candidates of a server, not only up to the first that works
    #[arg(long)]
    all: bool,
    /// How long to try at each server
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// Print one JSON object a server
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Carries out the command.
pub(super) async fn run(command: Command) -> Outcome {
    let Some(registry) = command.registry.look().await? else {
        return Err(nothing(command.jid.as_ref()));
    };
    let mut contents = Contents::of(&registry).await?;
    if let Some(jid) = &command.jid {
        contents.servers.retain(|s| s.account.jid == *jid);
        contents.unreadable.retain(|e| match e {
            RegistryError::Unreadable { account, .. } => account == jid.as_str(),
            _ => true,
        });
    }
    if contents.servers.is_empty() && contents.unreadable.is_empty() {
        return Err(nothing(command.jid.as_ref()));
    }
    let mut interrupt = Interrupt::watch()?;
    tokio::select! {
        done = all(&command, &registry, &contents) => done,
        () = interrupt.seen() => Err(Failure::new(Exit::NoConnection, "interrupted")),
    }
}

fn nothing(jid: Option<&BareJid>) -> Failure {
    Failure::usage(match jid {
        Some(jid) => format!("{jid} is not registered; `stanchion server list` shows what is"),
        None => "no server is registered; add one by `stanchion server add JID`".to_owned(),
    })
}

async fn all(command: &Command, registry: &SqliteRegistry, contents: &Contents) -> Outcome {
    let mut failed = Vec::new();
    let mut exit = Exit::NoConnection;
    let mut unread = false;
    for server in &contents.servers {
        let account = &server.account.jid;
        let inspection = look(command, server).await;
        let (established, why) = match &inspection {
            Ok(inspection) => (
                inspection.is_established(),
                worst_error(inspection).map(|e| (exit_of(e), one_line(e))),
            ),
            Err(what) => (false, Some((Exit::Refused, what.clone()))),
        };
        if !established {
            let (code, why) = why.unwrap_or((Exit::NoConnection, "there was no time".to_owned()));
            if code != Exit::NoConnection {
                exit = Exit::Refused;
            }
            failed.push(format!("{account}: {why}"));
        }
        if !unread {
            let text = if command.json {
                let inspection = inspection.as_ref().map(inspection_json);
                json_line(&json!({
                    "account": account.to_string(),
                    "priority": server.priority,
                    "established": established,
                    "inspection": inspection.as_ref().ok(),
                    "error": inspection.as_ref().err(),
                }))
            } else {
                report(server, &inspection, columns() - 1)
            };
            unread = print(&text)? == Reader::Gone;
        }
        if let Ok(inspection) = &inspection {
            note(registry, account, inspection).await?;
        }
    }
    let all = contents.servers.len();
    if failed.is_empty() {
        return contents.conclude();
    }
    let message = format!(
        "{} of {all} {} no session: {}",
        failed.len(),
        if all == 1 {
            "server gave"
        } else {
            "servers gave"
        },
        failed.join("; ")
    );
    Err(Failure::new(exit, message))
}

/// # Errors
/// What of the entry cannot be used any more, as roots of the system that are gone.
async fn look(command: &Command, server: &Server) -> Result<Inspection, String> {
    let mut config = server.config(&ConnectConfig::default());
    config.timeouts.total = command.timeout;
    let connector = Connector::new(server.account.clone(), config).map_err(|e| one_line(&e))?;
    let scope = if command.all {
        Scope::All
    } else {
        Scope::UntilEstablished
    };
    Ok(Box::pin(inspect(&connector, scope)).await)
}

/// The report for people.
fn report(server: &Server, inspection: &Result<Inspection, String>, width: usize) -> String {
    let mut text = format!("{}\n", harmless(server.account.jid.as_str()));
    let mut say = |indent: usize, what: &str| {
        for (number, part) in wrap(&harmless(what), width - indent - 2).iter().enumerate() {
            let indent = if number == 0 { indent } else { indent + 2 };
            let _ = writeln!(text, "{:indent$}{part}", "");
        }
    };
    let inspection = match inspection {
        Ok(inspection) => inspection,
        Err(what) => {
            say(2, what);
            return text;
        }
    };
    if let Some(error) = &inspection.unresolved {
        say(2, &one_line(error));
    }
    for candidate in &inspection.servers {
        say(2, &place(&candidate.endpoint));
        for (phase, time) in candidate.timings.iter() {
            say(4, &format!("{:>8.1} ms  {phase}", ms(time)));
        }
        match &candidate.error {
            Some(error) => {
                let phase = candidate.phases.last().unwrap_or(&Phase::Resolve);
                let after = candidate.elapsed.unwrap_or_default();
                let why = one_line(error);
                say(4, &format!("{:>8.1} ms  {phase} failed", ms(after)));
                say(4, &why);
            }
            None if candidate.is_established() => {
                let trips = candidate.round_trips.unwrap_or_default();
                let total = ms(candidate.timings.total());
                say(
                    4,
                    &format!("{total:>8.1} ms  a session, after {trips} round trips of its stream"),
                );
            }
            None => {}
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn place(endpoint: &Endpoint) -> String {
    write_place(endpoint).unwrap_or_else(|| endpoint.to_string())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Writes down how the endpoints fared.
async fn note(
    registry: &SqliteRegistry,
    account: &BareJid,
    inspection: &Inspection,
) -> Result<(), Failure> {
    let failed = |e| registry_failure(&e);
    let known = registry.health(account).await.map_err(failed)?;
    let now = SystemTime::now();
    let noted: Vec<(Endpoint, EndpointHealth)> = inspection
        .servers
        .iter()
        .filter_map(|candidate| {
            let before = known.iter().find(|(place, _)| *place == candidate.endpoint);
            let before = before.map(|(_, h)| h.clone()).unwrap_or_default();
            let after = judge(before, candidate, now)?;
            Some((candidate.endpoint.clone(), after))
        })
        .collect();
    registry.note_health(account, noted).await.map_err(failed)
}

/// `None` if it says nothing of the endpoint: a wrong password is not its fault.
fn judge(
    mut health: EndpointHealth,
    candidate: &ServerReport,
    now: SystemTime,
) -> Option<EndpointHealth> {
    if candidate.is_established() {
        let secured = [Phase::Tcp, Phase::StartTls, Phase::Tls]
            .into_iter()
            .map(|phase| candidate.timings.of(phase))
            .sum();
        health.failures = 0;
        health.succeeded_at = Some(now);
        health.open_until = None;
        health.latency = Some(match health.latency {
            Some(before) => (before * 7 + secured) / 8,
            None => secured,
        });
    } else {
        if exit_of(candidate.error.as_ref()?) != Exit::NoConnection {
            return None;
        }
        health.failures = health.failures.saturating_add(1);
        health.failed_at = Some(now);
    }
    Some(health)
}
