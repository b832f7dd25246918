//! One connection until it is logged in (RFC 6120 §4 to §6): stream headers, features,
//! STARTTLS, SASL, and every stream error that can come of them. Pure state: no
//! sockets, no clock, no random source. Once logged in, elements pass through to the
//! [`router`](crate::router), which binds and resumes.
//!
//! ```text
//! Fresh --header--> Plain --starttls--> Handshake --Secured--> Secured
//!                                                                 | header
//!            Open <--header-- LoggedIn <--success-- Authenticating <
//! ```
//! Any fault, `</stream:stream>`, or the deadline leads to `Over` from everywhere. A
//! component goes from `Fresh` by `Proving` to `Open`.

mod component;
mod features;
mod registration;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stanchion_sasl::accounts::AccountStore;
use stanchion_sasl::server::{Identity, Refusal, ServerChannel, ServerPolicy};
use stanchion_sasl::{Nonce, SaslCondition, ServerAuth, Step};
use stanchion_stanza::payload::sasl::{Abort, Auth, Challenge, Failure, Response, Success};
use stanchion_stanza::payload::starttls::{Proceed, StartTls};
use stanchion_stanza::stanza::StanzaError;
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{
    Element, Iq, Jid, Payload as _, Stanza, StreamEvent, Text, codec::DecodeError, ns,
    payload::PayloadError, stream::StreamHeader,
};

pub use component::Attachable;
pub use registration::Registrar;

use features::{after_login, before_login, before_tls};

/// What all connections share.
#[derive(Clone)]
pub struct Negotiable {
    /// The domain served.
    pub domain: Jid,
    /// Mechanisms and attempts.
    pub policy: Arc<ServerPolicy>,
    /// Who may log in.
    pub accounts: Arc<dyn AccountStore>,
    /// Who makes accounts in band (XEP-0077), if anybody.
    pub registrar: Option<Arc<dyn Registrar>>,
    /// The account's localpart for a user name that has proved itself.
    pub localpart: fn(&str) -> Option<String>,
    /// The largest stanza taken after login, in bytes; announced by XEP-0478.
    pub max_bytes: usize,
    /// How long logging in may take.
    pub login_time: Duration,
}

/// What happened on the connection.
#[derive(Debug)]
pub enum Input {
    /// The client said something. The random bytes are for a stream id or a nonce.
    Event(StreamEvent, [u8; 24]),
    /// The client broke the stream's rules.
    Fault(DecodeError),
    /// TLS is there: at once on a port of direct TLS, or after [`Output::StartTls`].
    Secured(ServerChannel),
    /// A deadline of [`Output::Wait`] may have passed.
    Tick,
}

/// What to do.
#[derive(Debug)]
pub enum Output {
    /// Send the stream's header.
    Open(StreamHeader),
    /// Send an element.
    Send(Element),
    /// Flush, do the TLS handshake, and wait for a new header; then say
    /// [`Input::Secured`]. If bytes came behind `<starttls/>`, close instead.
    StartTls,
    /// Wait for a new header on the same transport. What logged-in clients may send is
    /// the limit from now on.
    Restart,
    /// An account was made: the router is to know it before anything else is sent.
    Registered {
        /// Its localpart.
        account: String,
    },
    /// The features are sent: the router takes over for this account.
    LoggedIn {
        /// Its localpart.
        account: String,
    },
    /// It is the component: the router takes over, and sends `<handshake/>` unless there
    /// is one already. What comes from now on is read as a component's, by the limits for
    /// who has logged in.
    Attached {
        /// Its domain.
        domain: Jid,
    },
    /// For the router.
    Element(Element),
    /// For the router: a request about the account that is logged in, which was decided, and
    /// counts as any other stanza.
    Account {
        /// What was asked.
        request: Box<Iq>,
        /// What to answer.
        answer: Result<Option<Element>, StanzaError>,
        /// The account, if it is no more.
        ended: Option<String>,
    },
    /// Close the stream and the connection. Nothing follows.
    Close {
        /// Whether the client closed it first.
        by_client: bool,
    },
    /// Nothing to do until there is input, or until this time.
    Wait(Option<Instant>),
}

/// One connection's negotiation.
pub struct Negotiation {
    shared: Negotiable,
    state: State,
    deadline: Instant,
    /// The header was sent since the last restart.
    opened: bool,
    /// How often an account was asked for, and a password changed.
    registrations: u32,
    changes: u32,
    /// It is on the port for components.
    component: Option<Arc<Attachable>>,
    /// For a header that is sent only because of an error.
    spare_id: [u8; 24],
    outputs: VecDeque<Output>,
}

impl std::fmt::Debug for Negotiation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Negotiation")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum State {
    /// No header has come, and there is no TLS.
    Fresh,
    /// STARTTLS is offered, and nothing else.
    Plain,
    /// `<proceed/>` is sent.
    Handshake,
    /// There is TLS; no header has come inside it.
    Secured(Box<ServerAuth>),
    /// Mechanisms are offered.
    Authenticating(Box<ServerAuth>),
    /// `<success/>` is sent; no header has come since.
    LoggedIn { account: String },
    /// A component's header came; its proof for that stream id has not.
    Proving { id: Text },
    /// The router has it. The account, unless it is the component.
    Open { account: Option<String> },
    /// Closed.
    Over,
}

impl Negotiation {
    /// A connection that was just accepted, without TLS so far. `entropy` is random.
    #[must_use]
    pub fn new(shared: Negotiable, now: Instant, entropy: [u8; 24]) -> Self {
        Self {
            deadline: now + shared.login_time,
            shared,
            state: State::Fresh,
            opened: false,
            registrations: 0,
            changes: 0,
            component: None,
            spare_id: entropy,
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input. What follows from it comes from [`Negotiation::poll_output`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Event(StreamEvent::Open(header), entropy) => self.header(&header, &entropy),
            Input::Event(StreamEvent::Element(element), entropy) => self.element(element, entropy),
            Input::Event(StreamEvent::Close, _) => self.close(true),
            Input::Fault(error) => self.fail(error.condition()),
            Input::Secured(channel) => self.secured(channel),
            Input::Tick if now >= self.deadline && self.deadline().is_some() => {
                self.fail(StreamCondition::ConnectionTimeout);
            }
            Input::Tick => {}
        }
    }

    /// The next thing to do; [`Output::Wait`] if there is none.
    pub fn poll_output(&mut self) -> Output {
        self.outputs
            .pop_front()
            .unwrap_or_else(|| Output::Wait(self.deadline()))
    }

    /// When the client must have logged in; `None` once it has.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Open { .. } | State::Over => None,
            _ => Some(self.deadline),
        }
    }

    /// Whether handling `event` computes for milliseconds (PBKDF2), and so belongs on a
    /// thread for blocking work.
    #[must_use]
    pub fn is_costly(&self, event: &StreamEvent) -> bool {
        let StreamEvent::Element(element) = event else {
            return false;
        };
        match self.state {
            State::Open { .. } => self.concerns_account(element),
            State::Authenticating(_) => {
                Response::matches(element)
                    || (Auth::matches(element) && element.attr("mechanism") == Some("PLAIN"))
                    || self.registers(element)
            }
            _ => false,
        }
    }

    fn header(&mut self, header: &StreamHeader, entropy: &[u8; 24]) {
        if self.opened || matches!(self.state, State::Over) {
            return self.fail(StreamCondition::BadFormat);
        }
        if let Some(component) = self.component.clone() {
            return self.component_header(&component, header, entropy);
        }
        self.open(header.from.clone(), entropy);
        // RFC 6120 §4.9.3.10, §4.9.3.25, §4.9.3.6
        if header.content_namespace() != ns::CLIENT {
            return self.fail(StreamCondition::InvalidNamespace);
        }
        if !header.is_xmpp_1() {
            return self.fail(StreamCondition::UnsupportedVersion);
        }
        if header.to.as_ref() != Some(&self.shared.domain) {
            return self.fail(StreamCondition::HostUnknown);
        }
        let features = match std::mem::replace(&mut self.state, State::Over) {
            State::Fresh => {
                self.state = State::Plain;
                before_tls()
            }
            State::Secured(auth) => {
                let features = before_login(&auth, self.shared.registrar.is_some());
                self.state = State::Authenticating(auth);
                features
            }
            State::LoggedIn { account } => {
                self.state = State::Open {
                    account: Some(account.clone()),
                };
                let features = after_login(self.shared.max_bytes);
                self.outputs.push_back(Output::Send(features.to_element()));
                return self.outputs.push_back(Output::LoggedIn { account });
            }
            // The decoder gives no header where none is awaited.
            State::Plain
            | State::Handshake
            | State::Authenticating(_)
            | State::Proving { .. }
            | State::Open { .. }
            | State::Over => return self.fail(StreamCondition::BadFormat),
        };
        self.outputs.push_back(Output::Send(features.to_element()));
    }

    fn open(&mut self, to: Option<Jid>, entropy: &[u8; 24]) {
        let id = Text::base64(entropy);
        let mut answer = match &self.component {
            Some(component) => component.header(id),
            None => StreamHeader::response(self.shared.domain.clone(), id),
        };
        answer.to = to;
        self.outputs.push_back(Output::Open(answer));
        self.opened = true;
    }

    fn element(&mut self, element: Element, entropy: [u8; 24]) {
        if matches!(self.state, State::Authenticating(_)) && self.registers(&element) {
            return self.registration(element);
        }
        if self.concerns_account(&element) {
            return self.about_account(element);
        }
        match &mut self.state {
            State::Open { .. } => self.outputs.push_back(Output::Element(element)),
            State::Proving { .. } => self.prove(&element),
            State::Plain if StartTls::matches(&element) => {
                self.state = State::Handshake;
                self.opened = false;
                self.outputs.push_back(Output::Send(Proceed.to_element()));
                self.outputs.push_back(Output::StartTls);
            }
            State::Plain if element.ns() == ns::SASL => {
                self.refuse(SaslCondition::EncryptionRequired.into());
            }
            State::Authenticating(auth) if element.ns() == ns::SASL => {
                let step = match exchange(auth, &element, entropy) {
                    Ok(step) => step,
                    Err(UnknownElement) => {
                        return self.fail(StreamCondition::UnsupportedStanzaType);
                    }
                };
                self.step(step);
            }
            State::Over => {}
            _ if Stanza::is_stanza(&element) => self.fail(StreamCondition::NotAuthorized),
            _ => self.fail(StreamCondition::UnsupportedStanzaType),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Challenge(data) => self.send(&Challenge(data)),
            Step::Success(accepted) => {
                let account = match &accepted.identity {
                    Identity::Account(name) => (self.shared.localpart)(name),
                    _ => None,
                };
                let Some(account) = account else {
                    return self.refuse(SaslCondition::NotAuthorized.into());
                };
                self.send(&Success(accepted.additional_data));
                self.state = State::LoggedIn { account };
                self.opened = false;
                self.outputs.push_back(Output::Restart);
            }
            Step::Failure(refusal) => {
                self.refuse(refusal);
                // RFC 6120 §6.4.5
                if let State::Authenticating(auth) = &self.state
                    && auth.exhausted()
                {
                    self.fail(StreamCondition::PolicyViolation);
                }
            }
            _ => self.fail(StreamCondition::InternalServerError),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.send(&Failure {
            condition: Text::from_static(refusal.condition.as_str()),
            text: refusal.text.map(Text::from_static),
        });
    }

    fn send(&mut self, payload: &impl stanchion_stanza::Payload) {
        self.outputs.push_back(Output::Send(payload.to_element()));
    }

    fn secured(&mut self, channel: ServerChannel) {
        if !matches!(self.state, State::Fresh | State::Handshake) {
            return;
        }
        let auth = ServerAuth::new(
            Arc::clone(&self.shared.policy),
            channel,
            Arc::clone(&self.shared.accounts),
        );
        self.state = State::Secured(Box::new(auth));
    }

    /// A stream error always comes inside a stream (RFC 6120 §4.9.1.2).
    fn fail(&mut self, condition: StreamCondition) {
        if matches!(self.state, State::Over) {
            return;
        }
        // Inside a handshake there is nothing to write to.
        if !matches!(self.state, State::Handshake) {
            if !self.opened {
                let id = self.spare_id;
                self.open(None, &id);
            }
            self.send(&StreamError::new(condition));
        }
        self.close(false);
    }

    fn close(&mut self, by_client: bool) {
        if !matches!(self.state, State::Over) {
            self.state = State::Over;
            self.outputs.push_back(Output::Close { by_client });
        }
    }
}

/// An element that SASL does not know.
struct UnknownElement;

/// One step of an exchange.
fn exchange(
    auth: &mut ServerAuth,
    element: &Element,
    entropy: [u8; 24],
) -> Result<Step, UnknownElement> {
    let broken = |auth: &mut ServerAuth, error: &PayloadError| {
        // The attempt counts, or data that cannot be read could be sent for ever.
        let _ = auth.respond(b"\0");
        let condition = match error {
            PayloadError::Invalid { .. } => SaslCondition::IncorrectEncoding,
            _ => SaslCondition::MalformedRequest,
        };
        Step::Failure(condition.into())
    };
    Ok(if Auth::matches(element) {
        match Auth::from_element(element) {
            Ok(a) => auth.start(
                &a.mechanism,
                a.initial.as_deref(),
                Nonce::from_entropy(entropy),
            ),
            Err(error) => broken(auth, &error),
        }
    } else if Response::matches(element) {
        match Response::from_element(element) {
            Ok(response) => auth.respond(&response.0),
            Err(error) => broken(auth, &error),
        }
    } else if Abort::matches(element) {
        auth.abort()
    } else {
        return Err(UnknownElement);
    })
}
