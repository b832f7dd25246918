//! `stanchion doctor`: connects to the account's server and says, phase by phase, what it
//! offers and what would go wrong.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};
use stanchion::connect::negotiation::FeatureStage;
use stanchion::connect::probe::{Inspection, Scope, ServerReport, inspect};
use stanchion::stanza::stream::StreamFeatures;
use stanchion::transport::Security;
use stanchion::transport::security::Trust;
use stanchion_sasl::binding::Binding;

use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::interrupt::Interrupt;
use crate::settings::{ConnectionArgs, Settings, start_failure};
use crate::terminal::{harmless, json_line, print};
use crate::watch::exit_of;

/// Columns of the report.
const WIDTH: usize = 79;
/// Columns in front of a value.
const INDENT: usize = 15;

/// Look a server over: TLS, certificate, login, features, round trips
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 a session can be established, 2 usage, 12 no connection, 13 refused for \
security or authentication.

The password is taken from STANCHION_PASSWORD, or from --password-file.")]
pub(crate) struct Command {
    /// Look at all servers of the domain, not only up to the first that works
    #[arg(long)]
    all: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let settings = Settings::load(&command.connection)?;
    let mut interrupt = Interrupt::watch()?;
    let connector = settings
        .client()?
        .connector()
        .map_err(|e| start_failure(&e))?;
    let scope = if command.all {
        Scope::All
    } else {
        Scope::UntilEstablished
    };
    let inspection = tokio::select! {
        inspection = inspect(&connector, scope) => inspection,
        () = interrupt.seen() => return Err(Failure::new(Exit::NoConnection, "interrupted")),
    };
    // The exit code tells the result to those who do not read.
    let _ = print(&if command.json {
        json_line(&to_json(&inspection))
    } else {
        report(&inspection)
    })?;
    if inspection.is_established() {
        return Ok(Exit::Done);
    }
    let errors = inspection.servers.iter().filter_map(|s| s.error.as_ref());
    let errors: Vec<_> = inspection.unresolved.iter().chain(errors).collect();
    // What waiting does not mend is the one to tell.
    let worst = errors.iter().find(|e| exit_of(e) != Exit::NoConnection);
    Err(worst.or(errors.last()).map_or_else(
        || {
            Failure::new(
                Exit::NoConnection,
                "there was nothing to connect to; give --connect",
            )
        },
        |error| Failure::new(exit_of(error), one_line(*error)),
    ))
}

/// The report for people.
fn report(inspection: &Inspection) -> String {
    let mut out = Report::default();
    let candidates = inspection.candidates.iter().map(ToString::to_string);
    out.list("candidates", candidates);
    for server in &inspection.servers {
        out.server(server);
    }
    out.text.trim_end().to_owned()
}

#[derive(Default)]
struct Report {
    text: String,
}

impl Report {
    fn server(&mut self, server: &ServerReport) {
        let _ = writeln!(self.text, "\n{}", server.endpoint);
        match server.security.as_ref().map(|s| (s, &s.tls)) {
            Some((security, Some(tls))) => {
                self.line("TLS", &format!("{}, {}", tls.version, tls.cipher));
                self.line("certificate", trust(tls.trust));
                if let Some(sha256) = tls.peer_sha256 {
                    // For --pin, which takes it with or without colons.
                    self.line("sha256", &sha256.to_string().replace(':', ""));
                }
                self.list("can bind to", bindings(security));
            }
            Some((_, None)) => self.line("TLS", "none: everything is in the clear"),
            None => {}
        }
        for (stage, features) in &server.features {
            self.list(stage_name(*stage), names(features));
        }
        if let Some(login) = &server.login {
            self.line("login", login.mechanism);
            self.line("", bound_for_people(login.binding));
            self.line(
                "",
                if login.server_proved {
                    "the server proved that it knows the account"
                } else {
                    "the server proved nothing itself: its certificate alone speaks for it"
                },
            );
        }
        if let Some(jid) = &server.jid {
            self.line("address", jid.as_str());
        }
        let resumption = match &server.stream_management {
            Some(sm) if sm.resumable => Some(sm.max_seconds.map_or_else(
                || "yes, for an unknown time".to_owned(),
                |s| format!("yes, for {s} s"),
            )),
            Some(_) => Some("no; only acknowledgements".to_owned()),
            None if server.is_established() => {
                Some("no; without stream management, losses are noticed late".to_owned())
            }
            None => None,
        };
        if let Some(resumption) = resumption {
            self.line("resumption", &resumption);
        }
        for (index, (phase, time)) in server.timings.iter().enumerate() {
            let name = if index == 0 { "time" } else { "" };
            let ms = time.as_secs_f64() * 1000.0;
            self.line(name, &format!("{ms:>7.1} ms  {phase}"));
        }
        if let Some(trips) = server.round_trips {
            self.line("round trips", &format!("{trips}, TCP and TLS not counted"));
        }
        if let Some(error) = &server.error {
            let words = one_line(error);
            self.wrapped("failed", words.split(' ').map(str::to_owned), " ");
        } else if server.is_established() {
            self.line("result", "a session can be established");
        }
    }

    fn list(&mut self, name: &str, values: impl IntoIterator<Item = impl Into<String>>) {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        if values.is_empty() {
            self.line(name, "nothing");
        }
        self.wrapped(name, values.into_iter(), ", ");
    }

    /// As many values in a line as fit.
    fn wrapped(&mut self, mut name: &str, values: impl Iterator<Item = String>, glue: &str) {
        let mut line = String::new();
        for value in values {
            let value = harmless(&value);
            // The glue stands on both sides, if another value follows.
            let columns = INDENT + line.chars().count() + 2 * glue.len() + value.chars().count();
            if !line.is_empty() && columns > WIDTH {
                line.push_str(glue.trim_end());
                self.line(std::mem::take(&mut name), &std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push_str(glue);
            }
            line.push_str(&value);
        }
        if !line.is_empty() {
            self.line(name, &line);
        }
    }

    fn line(&mut self, name: &str, value: &str) {
        // What a server says must not control the terminal.
        let _ = writeln!(self.text, "  {name:<12} {}", harmless(value));
    }
}

const fn stage_name(stage: FeatureStage) -> &'static str {
    match stage {
        FeatureStage::BeforeTls => "before TLS",
        FeatureStage::BeforeLogin => "before login",
        FeatureStage::AfterLogin => "after login",
        _ => "offered",
    }
}

const fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Chain => "valid for the domain, from a trusted authority",
        Trust::Pin => "the pinned one",
        _ => "not verified",
    }
}

fn bindings(security: &Security) -> Vec<&'static str> {
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

/// For scripts: the binding's registered name, or why there is none.
const fn bound(binding: Binding) -> &'static str {
    match binding {
        Binding::Bound(binding) => binding.as_str(),
        Binding::NotOffered => "not-offered",
        Binding::Unavailable => "unavailable",
        Binding::Disabled => "disabled",
        Binding::NoneInCommon => "none-in-common",
        Binding::RefusedByServer => "refused-by-server",
        _ => "not-applicable",
    }
}

const fn bound_for_people(binding: Binding) -> &'static str {
    match binding {
        Binding::Bound(_) => "bound to the TLS connection: nobody is in between",
        Binding::NotOffered => "not bound to TLS: the server offers no -PLUS mechanism",
        Binding::Unavailable => "not bound to TLS: this connection gives nothing to bind to",
        Binding::Disabled => "not bound to TLS: switched off",
        Binding::NoneInCommon => "not bound to TLS: the server knows no binding of ours",
        Binding::RefusedByServer => "not bound to TLS: the server offers it, and then refuses it",
        _ => "not bound to TLS: the mechanism cannot",
    }
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
            "mechanism": l.mechanism, "binding": bound(l.binding), "server_proved": l.server_proved,
        })),
        "jid": server.jid.as_ref().map(ToString::to_string),
        "resumption_seconds": server.stream_management.as_ref().filter(|s| s.resumable).map(|s| s.max_seconds),
        "round_trips": server.round_trips,
        "timings": timings,
        "error": server.error.as_ref().map(|e| one_line(e)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_fits_80_columns_and_loses_nothing() {
        let mut out = Report::default();
        let names: Vec<String> = (0..40).map(|n| format!("feature-{n}")).collect();
        out.list("after login", names.iter().map(String::as_str));
        assert!(out.text.lines().all(|l| l.len() < 80), "{}", out.text);
        assert_eq!(
            out.text
                .lines()
                .filter(|l| l.contains("after login"))
                .count(),
            1
        );
        let words: Vec<&str> = out.text.split([' ', ',', '\n']).collect();
        assert!(
            names.iter().all(|n| words.contains(&n.as_str())),
            "{}",
            out.text
        );
    }

    #[test]
    fn a_server_cannot_control_the_terminal_by_its_features() {
        let mut out = Report::default();
        out.list("offers", ["\u{1b}[2J"]);
        assert!(!out.text.contains('\u{1b}'));
    }
}
