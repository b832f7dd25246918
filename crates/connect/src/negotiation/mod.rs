//! The login: from a fresh connection to an address of one's own (RFC 6120 §4 to §7,
//! XEP-0198 §3, §5 and §9, XEP-0386, XEP-0388, XEP-0484). Sans-IO: no socket, no clock, no
//! random source.
//!
//! Owns the order of the steps, what goes out together, and every check on what the server
//! says. Dialling, the TLS handshake and deadlines are the driver's, the choice of a
//! mechanism and what it says are `stanchion_sasl`'s.
//!
//! ```text
//! in the clear   Header ─ Features ─ Proceed ─ Tls
//!                             │                 │
//!                   plaintext │   ┌─────────────┘
//! protected         Header ─ Features ─ Login ⇄ Deriving
//!                                         │
//!                ┌─────── RFC 6120 ───────┴──── SASL2 ───────┐
//! logged in   Header ─ Features                      Authenticated
//!                         │      not bound inline       │    │
//!                         ├─────────────────────────────┘    │
//!             Resuming ───┤                                  │
//!                │     Binding ─ Enabling ───────────────────┤
//!                └────────────────────────────────────────── Done
//! any state: a stream error, the end of the stream, or anything out of its turn ─ Failed
//! ```
//!
//! A session that is resumed inline is done with the success itself. A login is tried again
//! on the same stream when it was begun ahead of features that lead
//! to another, when a token is refused, and once when channel binding is.
//!
//! # Round trips
//!
//! What depends on an answer waits for it; what does not rides along. What the server is
//! known to answer comes from [`ServerMemory`], so a first login waits more often. This is
//! pipelining as in XEP-0305, on the evidence of the last login: the server treats what is
//! on a stream in its order, and offers the same from login to login (XEP-0388 §2.1 lets
//! clients keep what it offers).
//!
//! | in one write | when | why it is allowed |
//! |---|---|---|
//! | header, `<starttls/>` | STARTTLS was offered last time | Nobody learns more than from the header. Nothing follows before `<proceed/>` (RFC 6120 §5.4.2.3) and the handshake; whatever came with `<proceed/>` ends the login (§5.4.3.3). In the clear, nothing else ever goes ahead |
//! | header, `<auth/>` or `<authenticate/>` | inside TLS; SCRAM, or a token | SCRAM's first message holds the user name and a nonce (RFC 5802 §5.1); a token's holds a proof that is bound to the connection where both can, and goes to a verified server only. Never PLAIN. The features come before any answer, and are judged as always: see below |
//! | `<authenticate/>` with a resource, stream management, a session to resume, a token to be given | SASL2 offers it inline | It has no effect before the login succeeds (XEP-0388 §2.6.2) |
//! | header, bind request, `<enable/>` | after `<success/>`; the server is known | Binding is never left out (RFC 6120 §7.3.1). `<enable/>` has to be treated after it (XEP-0198 §3), and is, for it stands behind it; a server that binds aside refuses it, and is asked again |
//! | header, `<resume/>` | after `<success/>`; the server is known to have stream management | It stands in the place of binding (XEP-0198 §5). Binding waits for its answer |
//! | bind request, `<enable/>` | the features offer both | as above. Not with a wish for a resource, which may have to be asked for twice, and `<enable/>` only once |
//!
//! So a login over TLS 1.3 takes, TCP and TLS with it: by RFC 6120 over STARTTLS 6 round
//! trips, by SASL2 with Bind 2 over STARTTLS 5, with a token 4, and with a token over
//! direct TLS 3; a first one by RFC 6120 over STARTTLS takes 9, by SASL2 7.
//!
//! When the features to a login that was begun ahead arrive, the choice is made again from
//! them. An offer that is weaker than ever before is refused then, as if nothing had been
//! sent; the hash of XEP-0474 is checked against the offer that was read. If the choice is
//! another one, the server has to refuse what was begun, and the login starts anew on the
//! same stream. A server that does anything else, or ends the stream over what was sent
//! ahead, gives [`ConnectError::ShortCutRefused`]: connect again with
//! [`ServerMemory::distrust`].
//!
//! # Safety
//!
//! The order of security is in the types: a login begins only with a [`Channel`] in hand,
//! and a session only with a [`LoginReport`], which nothing but a verified success makes.
//! Every input either takes a step forward or ends the negotiation, but for the stanzas
//! that may come before `<enabled/>` or the features, whose number is bounded.
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
//!     agent: None,
//!     fast: false,
//!     memory: ServerMemory::default(),
//!     entropy: [0; 72], // random in earnest
//! });
//! let Some(Output::OpenStream(header)) = negotiation.poll_output() else { panic!() };
//! assert_eq!(header.to, Some("example.org".parse()?));
//! assert!(negotiation.poll_output().is_none()); // now feed what the server says
//! # Ok(())
//! # }
//! ```

mod established;
mod exchange;
mod fault;
mod login;
mod output;
mod passing;
mod remembered;
mod sasl2;
mod session;
mod setup;
mod state;

use std::collections::VecDeque;

use stanchion_sasl::Channel;
use stanchion_sasl::policy::OfferStrength;
use stanchion_stanza::payload::starttls;
use stanchion_stanza::stream::{Requirement, StreamError};
use stanchion_stanza::{
    BareJid, Element, Jid, Payload, StreamEvent, ns,
    stream::{StreamFeatures, StreamHeader},
};

pub use established::{
    Established, LoginReport, ResumeFailure, ResumeToken, Resumption, SmSession,
};
pub use output::{Derivation, Derived, FeatureStage, Input, Output, Report};
pub use passing::MAX_EARLY;
pub use remembered::{BadMemory, LoginOffer, ServerMemory, Token};
pub use setup::{Resume, Setup, Start};

use crate::error::{ConnectError, ShortCut};
use crate::misbehaviour::Misbehaviour;
use crate::phase::Phase;
use fault::{
    ahead_refused, costs_the_session, may_be_about_a_short_cut, out_of_order, payload, unexpected,
};
use passing::{LoggedIn, Session, is_protected_by};
use state::{Stage, State, Step};

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
    /// Nonces that were used.
    nonces: usize,
    /// The server owes an answer to something that was sent ahead.
    owed: bool,
    /// Something was sent ahead.
    went_ahead: bool,
    /// Whether STARTTLS was offered in the clear, once that is known.
    starttls: Option<bool>,
}

impl Negotiation {
    /// Begins: the first output is the stream header.
    #[must_use]
    pub fn new(mut setup: Setup) -> Self {
        // What stays in the setup after a channel was taken: TLS is not to be asked for.
        let channel = match std::mem::replace(&mut setup.start, Start::Plaintext) {
            Start::Protected(channel) => Some(channel),
            start => {
                setup.start = start;
                None
            }
        };
        // What was offered before binds as what the caller knows.
        let strongest = setup.memory.strongest;
        if strongest != OfferStrength::default() {
            let pinned = setup.sasl.pinned.unwrap_or_default();
            setup.sasl.pinned = Some(pinned.or_stronger(strongest));
        }
        let mut this = Self {
            setup,
            state: State::Over,
            phase: Phase::Stream,
            outputs: VecDeque::new(),
            sent: false,
            round_trips: 0,
            nonces: 0,
            owed: false,
            went_ahead: false,
            starttls: None,
        };
        if this.foreign_token() {
            let error = crate::error::Misuse::ForeignToken;
            this.outputs.push_back(Output::Failed(error.into()));
        } else {
            this.state = match channel {
                Some(channel) => this.open_protected(channel),
                None => this.open_clear(),
            };
        }
        this
    }

    /// What is being waited for: it decides which deadline runs, from the moment it
    /// changes.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the server may be about to resume the session before: if it says nothing
    /// to that, a new one must be bound ([`Resume::Lost`]).
    #[must_use]
    pub fn may_be_resuming(&self) -> bool {
        self.state.may_be_resuming()
    }

    /// Takes one thing in. After the end nothing has an effect any more.
    pub fn handle(&mut self, input: Input) {
        let state = std::mem::replace(&mut self.state, State::Over);
        match self.step(state, input) {
            Ok(next) => self.state = next,
            Err(error) => self.outputs.push_back(Output::Failed(self.blamed(error))),
        }
    }

    /// A server that did not understand what was sent ahead of its features says so by
    /// strange words.
    fn blamed(&self, error: ConnectError) -> ConnectError {
        match &error {
            ConnectError::PeerMisbehaved {
                source: Misbehaviour::OutOfOrder { .. },
                ..
            } if self.owed => ahead_refused(Some(error)),
            _ => error,
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
            (State::Tls, Input::TlsReady(channel)) => Ok(self.open_protected(channel)),
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
                self.owed = false;
                self.phase = Phase::Tls;
                self.outputs.push_back(Output::StartTls);
                Ok(State::Tls)
            }
            State::Proceed if starttls::Failure::matches(&e) => Err(ConnectError::TlsRefused),
            State::Login(exchange) => self.login_element(*exchange, &e),
            State::Authenticated(authenticated) => self.authenticated_element(authenticated, e),
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
        let token_refused = match &state {
            State::Login(exchange) => exchange.rest().token_refused(),
            State::Deriving(rest) => rest.token_refused(),
            _ => false,
        };
        if state.may_be_resuming() && error.as_ref().is_none_or(costs_the_session) {
            return ConnectError::ResumeUnanswered;
        }
        let short_cut = match &error {
            Some(error) if !may_be_about_a_short_cut(error.condition) => None,
            _ if token_refused => Some(ShortCut::Token),
            _ => self.owed.then_some(ShortCut::Ahead),
        };
        let error = match (state, error) {
            (State::Features(_, Some(doubt)), None) => doubt.into(),
            (_, Some(error)) => ConnectError::Stream {
                endpoint: None,
                phase: self.phase,
                error,
            },
            (_, None) => ConnectError::Lost {
                endpoint: None,
                phase: self.phase,
                source: None,
            },
        };
        match short_cut {
            Some(short_cut) => ConnectError::ShortCutRefused {
                short_cut,
                source: Some(Box::new(error)),
            },
            None => error,
        }
    }

    /// Opens a stream in the clear, and waits for the server's header.
    fn open_clear(&mut self) -> State {
        self.open(false);
        let memory = &self.setup.memory;
        let known = memory.starttls && memory.may_send_ahead();
        if known && matches!(self.setup.start, Start::StartTls { .. }) {
            self.sent_ahead();
            self.send(starttls::StartTls.to_element());
            return State::Header(Stage::Asked);
        }
        State::Header(Stage::Clear)
    }

    /// Opens a stream over a protected connection.
    fn open_protected(&mut self, channel: Channel) -> State {
        self.open(true);
        let stage = self.login_ahead(channel);
        State::Header(stage)
    }

    /// Opens a stream after a login.
    fn open_after(&mut self, logged_in: LoggedIn) -> State {
        self.open(is_protected_by(logged_in.security));
        let after = self.after_login();
        State::Header(Stage::LoggedIn(Box::new(logged_in), after))
    }

    fn open(&mut self, protected: bool) {
        let mut header = StreamHeader::initial(self.domain());
        // Who one is goes out only where nobody can read it (RFC 6120 §4.7.1).
        if protected && self.setup.account.local().is_some() {
            header.from = Some(self.setup.account.clone().into());
        }
        self.phase = Phase::Stream;
        self.outputs.push_back(Output::OpenStream(header));
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
            Stage::Clear | Stage::Asked if self.wants_tls(&features) => FeatureStage::BeforeTls,
            Stage::LoggedIn(..) => FeatureStage::AfterLogin,
            _ => FeatureStage::BeforeLogin,
        };
        self.report(Report::Features(name, features.clone()));
        match stage {
            Stage::Clear | Stage::Asked => {
                self.starttls = Some(features.starttls.is_some());
                self.clear(matches!(stage, Stage::Asked), &features)
            }
            Stage::Protected(channel) => self.login(*channel, &features),
            Stage::Begun(exchange) => self.login_begun(*exchange, features),
            Stage::LoggedIn(logged_in, after) => {
                let mut session = Session::new(*logged_in);
                session.features = features;
                self.begin_session(session, after)
            }
        }
    }

    /// Features in the clear.
    fn clear(&mut self, asked: bool, features: &StreamFeatures) -> Step {
        match self.setup.start {
            Start::StartTls { .. } if features.starttls.is_some() => {
                self.phase = Phase::StartTls;
                if !asked {
                    self.send(starttls::StartTls.to_element());
                }
                Ok(State::Proceed)
            }
            Start::StartTls { .. } if self.setup.memory.tls => Err(ConnectError::TlsVanished),
            Start::StartTls {
                or_plaintext: false,
            } => Err(ConnectError::TlsNotOffered),
            _ if features.starttls == Some(Requirement::Required) => Err(ConnectError::TlsDemanded),
            _ => self.login(Channel::default(), features),
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

    /// Something goes out that the server has not offered yet.
    const fn sent_ahead(&mut self) {
        self.owed = true;
        self.went_ahead = true;
    }

    fn send(&mut self, element: Element) {
        self.outputs.push_back(Output::Send(element));
    }

    fn report(&mut self, report: Report) {
        self.outputs.push_back(Output::Report(report));
    }
}

fn domain_of(account: &BareJid) -> Jid {
    // The part of a valid address is a valid address; the account is as good a guess.
    Jid::from_parts(None, account.domain(), None).unwrap_or_else(|_| account.clone().into())
}

#[cfg(test)]
mod tests;
