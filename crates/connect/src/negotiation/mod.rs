//! The login: from a fresh connection to an address of one's own (RFC 6120 §4 to §7,
//! XEP-0198 §3 and §5). Sans-IO: no socket, no clock, no random source.
//!
//! Owns the order of the steps and every check on what the server says. Dialling, the
//! TLS handshake and deadlines are the driver's, the choice of a mechanism and what it
//! says are `stanchion_sasl`'s.
//!
//! ```text
//!            ┌ Proceed ─ Tls ┐                             ┌ Resuming ── resumed ─┐
//! Header ─ Features ───────── Header ─ Features ─ Login ─ Header ─ Features        Done
//!   (clear)                     (protected)         │      (logged in)   └ Binding ─ Enabling ┘
//!                                     one more try ─┘
//! any state: a stream error, the end of the stream, or anything out of its turn ─ Failed
//! ```
//!
//! The order of security is in the types: a login begins only with a [`Channel`] in hand,
//! and binding only with a [`LoginReport`], which nothing but a verified success makes.
//! Every input either takes a step forward or ends the negotiation, but for the stanzas
//! that may come before `<enabled/>`, whose number is bounded.
//!
//! ```
//! use stanchion_connect::negotiation::*;
//! use stanchion_sasl::{Credentials, Policy};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut negotiation = Negotiation::new(Setup {
//!     account: "juliet@example.org".parse()?,
//!     resource: None,
//!     credentials: Credentials::password("juliet", "r0m30"),
//!     sasl: Policy::default(),
//!     keys: Vec::new(),
//!     start: Start::StartTls { or_plaintext: false },
//!     resume: Resume::No,
//!     stream_management: true,
//!     entropy: [0; 48], // random in earnest
//! });
//! let Some(Output::OpenStream(header)) = negotiation.poll_output() else { panic!() };
//! assert_eq!(header.to, Some("example.org".parse()?));
//! assert!(negotiation.poll_output().is_none()); // now feed what the server says
//! # Ok(())
//! # }
//! ```

mod established;
mod login;
mod output;
mod session;
mod setup;

use std::collections::VecDeque;

use stanchion_sasl::Channel;
use stanchion_stanza::payload::starttls;
use stanchion_stanza::stream::{Requirement, StreamCondition, StreamError};
use stanchion_stanza::{
    BareJid, Element, Jid, Payload, StreamEvent, ns,
    stream::{StreamFeatures, StreamHeader},
};

pub use established::{
    Established, LoginReport, ResumeFailure, ResumeToken, Resumption, SmSession,
};
pub use output::{Derivation, Derived, FeatureStage, Input, Output, Report};
pub use session::MAX_EARLY;
pub use setup::{Resume, Setup, Start};

use crate::error::{ConnectError, Retry, shortened};
use crate::misbehaviour::Misbehaviour;
use crate::phase::Phase;
use login::Exchange;
use session::{Binding, Session};

/// The state machine. Feed it by [`Negotiation::handle`], and take all of
/// [`Negotiation::poll_output`] before feeding more.
#[derive(Debug)]
pub struct Negotiation {
    setup: Setup,
    state: State,
    phase: Phase,
    outputs: VecDeque<Output>,
    /// Something was handed out to be sent since the last wait.
    sent: bool,
    round_trips: u32,
}

/// Where the negotiation stands; each variant owns what is known there.
#[derive(Debug)]
enum State {
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
    Deriving(Box<login::Suspended>),
    /// Waits for the answer to `<resume/>`.
    Resuming(Box<Session>, ResumeToken),
    /// Waits for an address.
    Binding(Box<Binding>),
    /// Waits for the answer to `<enable/>`.
    Enabling(Box<session::Enabling>),
    /// Done or failed.
    Over,
}

/// What is known when a stream opens.
#[derive(Debug)]
enum Stage {
    Clear,
    Protected(Box<Channel>),
    LoggedIn(Box<login::LoggedIn>),
}

type Step = Result<State, ConnectError>;

impl Negotiation {
    /// Begins: the first output is the stream header.
    #[must_use]
    pub fn new(mut setup: Setup) -> Self {
        // What stays in the setup after a channel was taken: TLS is not to be asked for.
        let stage = match std::mem::replace(&mut setup.start, Start::Plaintext) {
            Start::Protected(channel) => Stage::Protected(Box::new(channel)),
            start => {
                setup.start = start;
                Stage::Clear
            }
        };
        let mut this = Self {
            setup,
            state: State::Over,
            phase: Phase::Stream,
            outputs: VecDeque::new(),
            sent: false,
            round_trips: 0,
        };
        if this.foreign_token() {
            let error = crate::error::Misuse::ForeignToken;
            this.outputs.push_back(Output::Failed(error.into()));
        } else {
            this.state = this.open(stage);
        }
        this
    }

    /// What is being waited for: it decides which deadline runs, from the moment it
    /// changes.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes one thing in. After the end nothing has an effect any more.
    pub fn handle(&mut self, input: Input) {
        let state = std::mem::replace(&mut self.state, State::Over);
        match self.step(state, input) {
            Ok(next) => self.state = next,
            Err(error) => self.outputs.push_back(Output::Failed(error)),
        }
    }

    /// The next thing to do; `None`: wait for input.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        match &output {
            Some(Output::OpenStream(_) | Output::Send(_)) => self.sent = true,
            None if std::mem::take(&mut self.sent) => self.round_trips += 1,
            _ => {}
        }
        output
    }

    fn step(&mut self, state: State, input: Input) -> Step {
        match (state, input) {
            (State::Over, _) => Ok(State::Over),
            (state, Input::Disconnected | Input::Event(StreamEvent::Close)) => {
                Err(self.ended(state, None))
            }
            (state, Input::Event(StreamEvent::Element(e))) if StreamError::matches(&e) => {
                let error = StreamError::from_element(&e).map_err(payload("RFC 6120 §4.9"))?;
                Err(self.ended(state, Some(error)))
            }
            (State::Header(stage), Input::Event(StreamEvent::Open(header))) => {
                self.header(stage, header)
            }
            (State::Tls, Input::TlsReady(channel)) => {
                Ok(self.open(Stage::Protected(Box::new(channel))))
            }
            (State::Deriving(suspended), Input::Derived(derived)) => {
                self.derived(*suspended, derived)
            }
            (state, Input::Event(StreamEvent::Element(e))) => self.element(state, e),
            (state, Input::Event(StreamEvent::Open(_))) => {
                let (awaited, section) = state.awaits();
                Err(out_of_order("a stream header", awaited, section))
            }
            // The driver's answer to a question that was not asked changes nothing.
            (state, Input::TlsReady(_) | Input::Derived(_)) => Ok(state),
        }
    }

    fn element(&mut self, state: State, e: Element) -> Step {
        match state {
            State::Features(_, Some(doubt)) => Err(doubt.into()),
            State::Features(stage, None) if StreamFeatures::matches(&e) => {
                let features =
                    StreamFeatures::from_element(&e).map_err(payload("RFC 6120 §4.3.2"))?;
                self.features(stage, features)
            }
            State::Proceed if starttls::Proceed::matches(&e) => {
                self.phase = Phase::Tls;
                self.outputs.push_back(Output::StartTls);
                Ok(State::Tls)
            }
            State::Proceed if starttls::Failure::matches(&e) => Err(ConnectError::TlsRefused),
            State::Login(exchange) => self.login_element(*exchange, &e),
            State::Resuming(session, token) => self.resume_answer(session, token, &e),
            State::Binding(binding) => self.bind_answer(binding, e),
            State::Enabling(enabling) => self.enable_answer(enabling, e),
            state => {
                let (awaited, section) = state.awaits();
                Err(unexpected(&e, awaited, section))
            }
        }
    }

    /// The stream ended, with a reason or without.
    fn ended(&self, state: State, error: Option<StreamError>) -> ConnectError {
        match (state, error) {
            (State::Resuming(..), error) if error.as_ref().is_none_or(costs_the_session) => {
                ConnectError::ResumeUnanswered
            }
            (State::Features(_, Some(doubt)), None) => doubt.into(),
            (_, Some(error)) => ConnectError::Stream {
                phase: self.phase,
                error,
            },
            (_, None) => ConnectError::Lost {
                phase: self.phase,
                source: None,
            },
        }
    }

    /// Opens a stream, and waits for the server's header.
    fn open(&mut self, stage: Stage) -> State {
        let mut header = StreamHeader::initial(self.domain());
        // Who one is goes out only where nobody can read it (RFC 6120 §4.7.1).
        if !matches!(stage, Stage::Clear) && self.setup.account.local().is_some() {
            header.from = Some(self.setup.account.clone().into());
        }
        self.phase = Phase::Stream;
        self.outputs.push_back(Output::OpenStream(header));
        State::Header(stage)
    }

    fn header(&mut self, stage: Stage, header: StreamHeader) -> Step {
        // Such a server sends no features: waiting for them would end at the deadline.
        if !header.is_xmpp_1() {
            return Err(Misbehaviour::Version.into());
        }
        let wanted = self.domain();
        let doubt = match &header.from {
            // RFC 6120 §4.7.1 wants it; some servers leave it out, and the certificate
            // decides anyway.
            Some(got) if *got != wanted => Some(Misbehaviour::WrongDomain {
                wanted: wanted.to_string(),
                got: got.clone(),
            }),
            _ if header.content_namespace() != ns::CLIENT => Some(Misbehaviour::ContentNamespace),
            _ => None,
        };
        self.report(Report::StreamOpened(header));
        Ok(State::Features(stage, doubt))
    }

    fn features(&mut self, stage: Stage, features: StreamFeatures) -> Step {
        let name = match &stage {
            Stage::Clear if self.wants_tls(&features) => FeatureStage::BeforeTls,
            Stage::Clear | Stage::Protected(_) => FeatureStage::BeforeLogin,
            Stage::LoggedIn(_) => FeatureStage::AfterLogin,
        };
        self.report(Report::Features(name, features.clone()));
        match stage {
            Stage::Clear => match self.setup.start {
                Start::StartTls { .. } if features.starttls.is_some() => {
                    self.phase = Phase::StartTls;
                    self.send(starttls::StartTls.to_element());
                    Ok(State::Proceed)
                }
                Start::StartTls {
                    or_plaintext: false,
                } => Err(ConnectError::TlsNotOffered),
                _ if features.starttls == Some(Requirement::Required) => {
                    Err(ConnectError::TlsDemanded)
                }
                _ => self.login(Channel::default(), features),
            },
            Stage::Protected(channel) => self.login(*channel, features),
            Stage::LoggedIn(logged_in) => self.begin_session(*logged_in, features),
        }
    }

    fn wants_tls(&self, features: &StreamFeatures) -> bool {
        match self.setup.start {
            Start::StartTls { or_plaintext } => features.starttls.is_some() || !or_plaintext,
            _ => features.starttls == Some(Requirement::Required),
        }
    }

    fn foreign_token(&self) -> bool {
        let anonymous = self.setup.account.local().is_none();
        match &self.setup.resume {
            Resume::Try(token) => !anonymous && token.jid.to_bare() != self.setup.account,
            Resume::No | Resume::Lost => false,
        }
    }

    fn domain(&self) -> Jid {
        domain_of(&self.setup.account)
    }

    fn send(&mut self, element: Element) {
        self.outputs.push_back(Output::Send(element));
    }

    fn report(&mut self, report: Report) {
        self.outputs.push_back(Output::Report(report));
    }
}

impl State {
    /// What may come here, and where that is said.
    const fn awaits(&self) -> (&'static str, &'static str) {
        match self {
            Self::Header(_) => ("a stream header", "RFC 6120 §4.2"),
            Self::Features(..) => ("stream features", "RFC 6120 §4.3.2"),
            Self::Proceed => ("<proceed/> or <failure/>", "RFC 6120 §5.4.2"),
            Self::Tls => ("the TLS handshake", "RFC 6120 §5.4.3"),
            Self::Login(_) => ("<challenge/>, <success/> or <failure/>", "RFC 6120 §6.4"),
            Self::Deriving(_) => ("nothing, before the response is sent", "RFC 6120 §6.4.3"),
            Self::Resuming(..) => ("<resumed/> or <failed/>", "XEP-0198 §5"),
            Self::Binding(_) => ("the answer to the bind request", "RFC 6120 §7.6.1"),
            Self::Enabling(_) => ("<enabled/> or <failed/>", "XEP-0198 §3"),
            Self::Over => ("nothing", "RFC 6120 §4.4"),
        }
    }
}

/// Whether a stream error in answer to `<resume/>` says that the session is gone, and
/// not that this server has no time now.
fn costs_the_session(error: &StreamError) -> bool {
    match error.condition {
        // One server answers so to a count that is too high, and drops the session.
        StreamCondition::UndefinedCondition | StreamCondition::PolicyViolation => true,
        condition => {
            let error = ConnectError::Stream {
                phase: Phase::Resumption,
                error: StreamError::new(condition),
            };
            error.retry() == Retry::Never
        }
    }
}

fn domain_of(account: &BareJid) -> Jid {
    // The part of a valid address is a valid address; the account is as good a guess.
    Jid::from_parts(None, account.domain(), None).unwrap_or_else(|_| account.clone().into())
}

fn payload(
    section: &'static str,
) -> impl Fn(stanchion_stanza::payload::PayloadError) -> ConnectError {
    move |source| Misbehaviour::Payload { section, source }.into()
}

fn out_of_order(got: &str, awaited: &'static str, section: &'static str) -> ConnectError {
    Misbehaviour::OutOfOrder {
        got: shortened(got),
        awaited,
        section,
    }
    .into()
}

fn unexpected(e: &Element, awaited: &'static str, section: &'static str) -> ConnectError {
    out_of_order(
        &format!("<{} xmlns='{}'/>", shortened(e.name()), shortened(e.ns())),
        awaited,
        section,
    )
}

#[cfg(test)]
mod tests;
