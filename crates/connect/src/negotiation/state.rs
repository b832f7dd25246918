//! Where the negotiation stands, and what is known there. What leads from one state to the
//! next is in `super` and in the file of each step.

use stanchion_sasl::Channel;

use super::established::ResumeToken;
use super::exchange::{Exchange, Suspended};
use super::passing::{After, Authenticated, Binding, Enabling, LoggedIn, Session};
use crate::error::ConnectError;
use crate::misbehaviour::Misbehaviour;

/// Where the negotiation stands; each variant owns what is known there.
#[derive(Debug)]
pub(super) enum State {
    /// Waits for the server's stream header.
    Header(Stage),
    /// Waits for features. A header that is not as it should be is judged only when
    /// the server did not end the stream with a better reason.
    Features(Stage, Option<Misbehaviour>),
    /// Waits for the answer to `<starttls/>`.
    Proceed,
    /// Waits for the driver's handshake.
    Tls,
    /// Waits for a SASL element.
    Login(Box<Exchange>),
    /// Waits for the driver's computation.
    Deriving(Box<Suspended>),
    /// Logged in by SASL2, waits for features.
    Authenticated(Box<Authenticated>),
    /// Waits for the answer to `<resume/>`.
    Resuming(Box<Session>, ResumeToken),
    /// Waits for an address.
    Binding(Box<Binding>),
    /// Waits for the answer to `<enable/>`.
    Enabling(Box<Enabling>),
    /// Done or failed.
    Over,
}

/// What is known when a stream opens, and what was sent behind its header.
#[derive(Debug)]
pub(super) enum Stage {
    Clear,
    /// `<starttls/>` was sent ahead.
    Asked,
    Protected(Box<Channel>),
    /// The login was begun ahead.
    Begun(Box<Exchange>),
    LoggedIn(Box<LoggedIn>, After),
}

pub(super) type Step = Result<State, ConnectError>;

impl State {
    pub(super) fn may_be_resuming(&self) -> bool {
        match self {
            Self::Resuming(..) => true,
            // One server takes its header back when it does not like the request.
            Self::Header(Stage::LoggedIn(_, after))
            | Self::Features(Stage::LoggedIn(_, after), _) => matches!(after, After::Resume),
            Self::Login(exchange) => exchange.rest().may_be_resuming(),
            _ => false,
        }
    }

    /// What may come here, and where that is said.
    pub(super) const fn awaits(&self) -> (&'static str, &'static str) {
        match self {
            Self::Header(_) => ("a stream header", "RFC 6120 §4.2"),
            Self::Features(..) => ("stream features", "RFC 6120 §4.3.2"),
            Self::Proceed => ("<proceed/> or <failure/>", "RFC 6120 §5.4.2"),
            Self::Tls => ("the TLS handshake", "RFC 6120 §5.4.3"),
            Self::Login(_) => ("<challenge/>, <success/> or <failure/>", "RFC 6120 §6.4"),
            Self::Deriving(_) => ("nothing, before the response is sent", "RFC 6120 §6.4.3"),
            Self::Authenticated(_) => ("stream features", "XEP-0388 §2.6.1"),
            Self::Resuming(..) => ("<resumed/> or <failed/>", "XEP-0198 §5"),
            Self::Binding(_) => ("the answer to the bind request", "RFC 6120 §7.6.1"),
            Self::Enabling(_) => ("<enabled/> or <failed/>", "XEP-0198 §3"),
            Self::Over => ("nothing", "RFC 6120 §4.4"),
        }
    }
}
