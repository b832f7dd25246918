//! `stanchion doctor`: connects to the account's server and says, phase by phase, what it
//! offers and what would go wrong.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Value, json};
use stanchion::connect::negotiation::FeatureStage;
use stanchion::connect::probe::{Inspection, Scope, ServerReport, inspect};
use stanchion::stanza::stream::StreamFeatures;

use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::settings::{ConnectionArgs, Settings};
use crate::watch::exit_of;

/// Looks a server over: TLS, certificate, login, features, round trips
#[derive(Debug, Args)]
pub(crate) struct Command {
    /// Look at all servers of the domain, not only up to the first that works
    #[arg(long)]
    all: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let settings = Settings::load(&command.connection)?;
    let connector = settings
        .client()?
        .connector()
        .map_err(|e| Failure::usage(one_line(&e)))?;
    let scope = if command.all {
        Scope::All
    } else {
        Scope::UntilEstablished
    };
    let inspection = inspect(&connector, scope).await;
    let printed = if command.json {
        writeln!(io::stdout().lock(), "{}", to_json(&inspection))
    } else {
        print(&inspection, &mut io::stdout().lock())
    };
    printed.map_err(|e| Failure::failed(format!("standard output: {e}")))?;
    if inspection.is_established() {
        return Ok(Exit::Done);
    }
    let errors = inspection.servers.iter().filter_map(|s| s.error.as_ref());
    let worst = inspection.unresolved.iter().chain(errors).last();
    Err(worst.map_or_else(
        || Failure::new(Exit::NoConnection, "there was nothing to connect to"),
        |error| Failure::new(exit_of(error), one_line(error)),
    ))
}

fn print(inspection: &Inspection, out: &mut impl Write) -> io::Result<()> {
    let candidates: Vec<String> = inspection
        .candidates
        .iter()
        .map(ToString::to_string)
        .collect();
    line(out, "candidates", &candidates.join(", "))?;
    for server in &inspection.servers {
        writeln!(out)?;
        print_server(server, out)?;
    }
    Ok(())
}

fn print_server(server: &ServerReport, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", server.endpoint)?;
    match server.security.as_ref().map(|s| (s, &s.tls)) {
        Some((security, Some(tls))) => {
            line(out, "TLS", &format!("{}, {}", tls.version, tls.cipher))?;
            let sha256 = tls.peer_sha256.map(|f| f.to_string()).unwrap_or_default();
            line(
                out,
                "certificate",
                &format!("{}, sha256 {sha256}", trust(tls.trust)),
            )?;
            line(out, "can bind to", &bindings(security).join(", "))?;
        }
        Some((_, None)) => line(out, "TLS", "none: everything is in the clear")?,
        None => {}
    }
    for (stage, features) in &server.features {
        line(out, stage_name(*stage), &describe(features))?;
    }
    if let Some(login) = &server.login {
        let proved = if login.server_proved {
            "proved that it knows the account"
        } else {
            "proved nothing itself"
        };
        line(
            out,
            "login",
            &format!(
                "{}, {:?}; the server {proved}",
                login.mechanism, login.binding
            ),
        )?;
    }
    if let Some(jid) = &server.jid {
        line(out, "address", jid.as_str())?;
    }
    match &server.stream_management {
        Some(sm) if sm.resumable => {
            let seconds = sm
                .max_seconds
                .map_or_else(|| "an unknown time".to_owned(), |s| format!("{s} s"));
            line(out, "resumption", &format!("yes, for {seconds}"))?;
        }
        Some(_) => line(out, "resumption", "no; only acknowledgements")?,
        None if server.is_established() => {
            line(
                out,
                "resumption",
                "no; the server offers no stream management, so losses are noticed late",
            )?;
        }
        None => {}
    }
    for (phase, time) in server.timings.iter() {
        line(
            out,
            "time",
            &format!("{:>7.1} ms  {phase}", time.as_secs_f64() * 1000.0),
        )?;
    }
    if let Some(trips) = server.round_trips {
        line(out, "round trips", &format!("{trips} after TLS began"))?;
    }
    if let Some(error) = &server.error {
        line(out, "failed", &one_line(error))?;
    } else if server.is_established() {
        line(out, "result", "a session can be established")?;
    }
    Ok(())
}

fn line(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    // What a server says must not control the terminal.
    let value: String = value
        .chars()
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect();
    writeln!(out, "  {name:<14} {value}")
}

const fn stage_name(stage: FeatureStage) -> &'static str {
    match stage {
        FeatureStage::BeforeTls => "before TLS",
        FeatureStage::BeforeLogin => "before login",
        FeatureStage::AfterLogin => "after login",
        _ => "offered",
    }
}

fn trust(trust: stanchion::transport::security::Trust) -> &'static str {
    use stanchion::transport::security::Trust;
    match trust {
        Trust::Chain => "valid for the domain, from a trusted authority",
        Trust::Pin => "the pinned one",
        _ => "not verified",
    }
}

fn bindings(security: &stanchion::transport::Security) -> Vec<&'static str> {
    let found = [
        ("tls-exporter", security.bindings.tls_exporter.is_some()),
        (
            "tls-server-end-point",
            security.bindings.tls_server_end_point.is_some(),
        ),
    ];
    found
        .into_iter()
        .filter(|(_, there)| *there)
        .map(|(name, _)| name)
        .collect()
}

fn names(features: &StreamFeatures) -> Vec<String> {
    let mut names = Vec::new();
    if features.starttls.is_some() {
        names.push("STARTTLS".to_owned());
    }
    names.extend(features.mechanisms.iter().map(ToString::to_string));
    if let Some(types) = &features.channel_bindings {
        names.extend(types.iter().map(|t| format!("binding {t}")));
    }
    if features.bind {
        names.push("bind".to_owned());
    }
    if features.stream_management {
        names.push("stream management".to_owned());
    }
    if let Some(bytes) = features.max_bytes {
        names.push(format!("stanzas up to {bytes} bytes"));
    }
    names.extend(
        features
            .other
            .iter()
            .map(|e| format!("{} ({})", e.name(), e.ns())),
    );
    names
}

fn describe(features: &StreamFeatures) -> String {
    let names = names(features);
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

fn to_json(inspection: &Inspection) -> Value {
    json!({
        "established": inspection.is_established(),
        "candidates": inspection.candidates.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "unresolved": inspection.unresolved.as_ref().map(|e| one_line(e)),
        "servers": inspection.servers.iter().map(server_json).collect::<Vec<_>>(),
    })
}

fn server_json(server: &ServerReport) -> Value {
    let tls = server
        .security
        .as_ref()
        .and_then(|s| s.tls.as_ref().map(|tls| (s, tls)));
    let features: serde_json::Map<String, Value> = server
        .features
        .iter()
        .map(|(stage, f)| (stage_name(*stage).to_owned(), json!(names(f))))
        .collect();
    let timings: Vec<Value> = server
        .timings
        .iter()
        .map(|(phase, time)| json!({ "phase": phase.to_string(), "ms": time.as_secs_f64() * 1000.0 }))
        .collect();
    json!({
        "endpoint": server.endpoint.to_string(),
        "tls": tls.map(|(security, tls)| json!({
            "version": tls.version.to_string(),
            "cipher": tls.cipher,
            "trust": trust(tls.trust),
            "sha256": tls.peer_sha256.map(|f| f.to_string()),
            "bindings": bindings(security),
        })),
        "features": features,
        "login": server.login.as_ref().map(|l| json!({
            "mechanism": l.mechanism, "binding": format!("{:?}", l.binding), "server_proved": l.server_proved,
        })),
        "jid": server.jid.as_ref().map(ToString::to_string),
        "resumption_seconds": server.stream_management.as_ref().filter(|s| s.resumable).map(|s| s.max_seconds),
        "round_trips": server.round_trips,
        "timings": timings,
        "error": server.error.as_ref().map(|e| one_line(e)),
    })
}
