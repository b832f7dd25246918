//! How errors are put into words: the advice to each condition, what a peer said in a form
//! that can do no harm, and several attempts in one line. The sentence of each error stands
//! at its variant in `super`.

use std::error::Error as _;
use std::fmt::Write as _;

use stanchion_sasl::SaslCondition;
use stanchion_stanza::Text;
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_transport::Endpoint;

use super::retry::stream_retry;
use super::{Attempt, ConnectError, Retry, ServerFailure};
use crate::phase::Phase;

/// What was waited for, and where if that is known, in front of what happened.
pub(super) fn place(endpoint: Option<&Endpoint>, phase: Phase) -> String {
    match endpoint {
        Some(endpoint) => format!("{endpoint}, {phase}: "),
        None => format!("{phase}: "),
    }
}

/// Where, behind a name.
pub(super) fn behind(endpoint: Option<&Endpoint>) -> String {
    endpoint
        .map(|endpoint| format!(" at {endpoint}"))
        .unwrap_or_default()
}

pub(super) const fn advice(condition: StreamCondition) -> &'static str {
    match condition {
        StreamCondition::HostUnknown | StreamCondition::HostGone => {
            "it does not serve this domain: check the address"
        }
        StreamCondition::Conflict => "another session took over: give each its own resource",
        StreamCondition::NotAuthorized => "check the account",
        StreamCondition::SeeOtherHost => {
            "that is no host and port: name the server's host and port, or tell its operator"
        }
        c => match stream_retry(c) {
            Retry::Never => "the two do not understand each other: report this",
            _ => "try later",
        },
    }
}

pub(super) const fn login_advice(condition: &SaslCondition) -> &'static str {
    match condition {
        SaslCondition::NotAuthorized => "check the user name and the password",
        SaslCondition::AccountDisabled => "ask the server's operator to enable the account",
        SaslCondition::CredentialsExpired => "set a new password",
        SaslCondition::EncryptionRequired => "use TLS",
        SaslCondition::MechanismTooWeak => "the server wants a stronger mechanism",
        SaslCondition::InvalidAuthzid => "check the identity to act as",
        SaslCondition::TemporaryAuthFailure => "try later",
        _ => "report this with the mechanism's name",
    }
}

/// A stream error as it may be shown: what the server says is short and harmless.
pub(super) fn words(error: &StreamError) -> String {
    let mut words = error.condition.to_string();
    if let Some(value) = &error.value {
        let _ = write!(words, " {:?}", shortened(value));
    }
    words + &spoken(error.text.as_ref())
}

pub(super) fn spoken(text: Option<&Text>) -> String {
    text.map(|t| format!(": {}", shortened(t)))
        .unwrap_or_default()
}

/// A peer's text for a message: short, and without control characters that a terminal
/// would obey.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    let mut short: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST)
        .collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

pub(super) fn names(offered: &[Text]) -> String {
    if offered.is_empty() {
        return "nothing".to_owned();
    }
    shortened(
        &offered
            .iter()
            .map(Text::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    )
}

pub(super) fn attempts(attempts: &[Attempt]) -> String {
    let mut text = String::new();
    for (n, attempt) in attempts.iter().enumerate() {
        let separator = if n == 0 { "" } else { "; " };
        let Attempt {
            endpoint,
            phase,
            elapsed,
            error,
        } = attempt;
        let seconds = elapsed.as_secs_f32();
        let _ = write!(text, "{separator}{endpoint} ({phase}, {seconds:.1} s): ");
        let told = with_causes(error);
        // The phase was said.
        let before = place(None, *phase);
        text.push_str(told.strip_prefix(before.as_str()).unwrap_or(&told));
    }
    text
}

pub(super) fn servers(servers: &[ServerFailure]) -> String {
    let mut text = String::new();
    for (n, server) in servers.iter().enumerate() {
        let separator = if n == 0 { "" } else { "; " };
        let _ = write!(text, "{separator}{}: ", server.account);
        write_chain(&mut text, &server.error);
    }
    text
}

/// An error with its causes.
fn write_chain(text: &mut String, error: &ConnectError) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
}

/// An error with its causes, in one line for people.
#[must_use]
pub fn with_causes(error: &ConnectError) -> String {
    let mut text = String::new();
    write_chain(&mut text, error);
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stanchion_transport::TlsMode;

    use super::*;

    #[test]
    fn a_peers_text_cannot_flood_or_steer_the_terminal() {
        let text = Text::new(format!("\t\u{9b}2J{}", "x".repeat(5000))).unwrap();
        let shown = ConnectError::AuthRefused {
            condition: SaslCondition::NotAuthorized,
            text: Some(text),
        }
        .to_string();
        assert!(shown.len() < 400);
        assert!(!shown.contains('\u{9b}'));
    }

    #[test]
    fn an_only_attempt_names_its_endpoint_and_several_name_their_phase_once() {
        let endpoint = Endpoint::at(([192, 0, 2, 1], 5222).into(), TlsMode::StartTls);
        let phase = Phase::Tcp;
        let late = || ConnectError::Deadline {
            endpoint: None,
            phase,
            limit: Duration::from_secs(1),
        };
        let only = late().only_at(endpoint.clone()).to_string();
        assert!(
            only.starts_with("192.0.2.1:5222, TCP connection: no answer"),
            "{only}"
        );
        let attempt = |error| Attempt {
            endpoint: endpoint.clone(),
            phase,
            elapsed: Duration::ZERO,
            error,
        };
        let all = ConnectError::AllFailed(vec![attempt(late()), attempt(late())]).to_string();
        assert_eq!(all.matches("TCP connection").count(), 2, "{all}");
    }
}
