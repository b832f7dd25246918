//! `stanchion server test`: a session at each registered server, and what it took. What
//! is learnt of the endpoints is noted as their health.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::{Value, json};
use stanchion::BareJid;
use stanchion::connect::health::{Circuit, HealthBook};
use stanchion::connect::phase::Phase;
use stanchion::connect::probe::{Inspection, Scope, inspect};
use stanchion::connect::registry::{
    EndpointHealth, RegistryError, Server, ServerRegistry as _, write_place,
};
use stanchion::connect::{ConnectConfig, Connector, Endpoint};
use stanchion::reliability::registry::SqliteRegistry;

use super::{Contents, RegistryArgs};
use crate::age::rough;
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
    let scope = if command.all {
        Scope::All
    } else {
        Scope::UntilEstablished
    };
    for server in &contents.servers {
        let account = &server.account.jid;
        let known = registry.health(account).await;
        let known = known.map_err(|e| registry_failure(&e))?;
        let looked = look(server, known, command.timeout, scope).await;
        let (established, why) = match &looked {
            Ok(Looked { inspection, .. }) => (
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
                let inspection = looked.as_ref().map(looked_json);
                json_line(&json!({
                    "account": account.to_string(),
                    "priority": server.priority,
                    "established": established,
                    "inspection": inspection.as_ref().ok(),
                    "error": inspection.as_ref().err(),
                }))
            } else {
                report(server, &looked, columns() - 1)
            };
            unread = print(&text)? == Reader::Gone;
        }
        if let Ok(mut looked) = looked {
            let changes = looked.health.take_changes();
            let noted = registry.note_health(account, changes).await;
            noted.map_err(|e| registry_failure(&e))?;
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

/// What was found at a server, and the health of its endpoints then.
pub(crate) struct Looked {
    pub(crate) inspection: Inspection,
    pub(crate) health: HealthBook,
}

/// The same for programs.
pub(crate) fn looked_json(looked: &Looked) -> Value {
    let mut value = inspection_json(&looked.inspection);
    value["circuits"] = circuits_json(&looked.health, SystemTime::now());
    value
}

/// Looks a server over as a client would: with what is known of its endpoints.
///
/// # Errors
/// What of the entry cannot be used any more, as roots of the system that are gone.
pub(crate) async fn look(
    server: &Server,
    known: Vec<(Endpoint, EndpointHealth)>,
    timeout: Duration,
    scope: Scope,
) -> Result<Looked, String> {
    let mut config = server.config(&ConnectConfig {
        // A look asks for nothing that lasts.
        fast: false,
        ..ConnectConfig::default()
    });
    config.timeouts.total = timeout;
    let connector = Connector::new(server.account.clone(), config)
        .map_err(|e| one_line(&e))?
        .with_health(known);
    let inspection = Box::pin(inspect(&connector, scope)).await;
    Ok(Looked {
        inspection,
        health: connector.health(),
    })
}

/// The report for people.
pub(crate) fn report(server: &Server, looked: &Result<Looked, String>, width: usize) -> String {
    let mut text = format!("{}\n", harmless(server.account.jid.as_str()));
    let mut say = |indent: usize, what: &str| {
        for (number, part) in wrap(&harmless(what), width - indent - 2).iter().enumerate() {
            let indent = if number == 0 { indent } else { indent + 2 };
            let _ = writeln!(text, "{:indent$}{part}", "");
        }
    };
    let Looked { inspection, health } = match looked {
        Ok(looked) => looked,
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
                let trips = candidate.traffic.map_or(0, |traffic| traffic.turns);
                let total = ms(candidate.timings.total());
                say(
                    4,
                    &format!("{total:>8.1} ms  a session, after {trips} round trips"),
                );
            }
            None if candidate.overtaken => say(4, "closed: another one was secured first"),
            None => {}
        }
        let known = health.get(&candidate.endpoint);
        say(4, &circuit_in_words(&known, SystemTime::now()));
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

/// Whether clients try it, as their circuit breaker says.
fn circuit_in_words(health: &EndpointHealth, now: SystemTime) -> String {
    let failures = match health.failures {
        0 => String::new(),
        1 => ", 1 failure".to_owned(),
        n => format!(", {n} failures in a row"),
    };
    match health.circuit(now) {
        Circuit::Closed => format!("circuit closed{failures}"),
        Circuit::HalfOpen => format!("circuit half-open{failures}: the next try decides"),
        Circuit::Open => {
            let left = health
                .open_until
                .and_then(|until| until.duration_since(now).ok());
            let left = rough(left.unwrap_or_default());
            format!("circuit open{failures}: others go first for {left}")
        }
    }
}

fn circuits_json(health: &HealthBook, now: SystemTime) -> Value {
    let one = |(endpoint, health): (&Endpoint, &EndpointHealth)| {
        let circuit = match health.circuit(now) {
            Circuit::Closed => "closed",
            Circuit::HalfOpen => "half-open",
            Circuit::Open => "open",
        };
        json!({
            "endpoint": place(endpoint), "circuit": circuit, "failures": health.failures,
        })
    };
    health.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_circuit_is_told_with_what_it_means() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let mut health = EndpointHealth::default();
        assert_eq!(circuit_in_words(&health, now), "circuit closed");
        (0..3).for_each(|_| health.failed(now));
        assert_eq!(
            circuit_in_words(&health, now),
            "circuit open, 3 failures in a row: others go first for 30 s"
        );
        let later = now + Duration::from_secs(31);
        assert!(circuit_in_words(&health, later).starts_with("circuit half-open, 3 failures"));
    }
}
