//! What goes into a negotiation and what comes out. Plain data, but for
//! [`Derivation`], which the driver has to run.

use std::fmt;

use stanchion_sasl::binding::{Binding, RefusalEvidence};
use stanchion_sasl::{AuthError, Authenticator, Channel, SaslCondition};
use stanchion_stanza::stanza::{DefinedCondition, StanzaError};
use stanchion_stanza::{
    Element, FullJid, StreamEvent,
    stream::{StreamFeatures, StreamHeader},
};

use super::established::{Established, LoginReport, Resumption};
use crate::error::ConnectError;

/// What the driver tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// The server said something.
    Event(StreamEvent),
    /// The TLS handshake that [`Output::StartTls`] asked for is done.
    TlsReady(Channel),
    /// The computation that [`Output::Derive`] asked for is done.
    Derived(Derived),
    /// The connection ended without a closing tag.
    Disconnected,
}

/// What the driver has to do, in this order.
#[non_exhaustive]
pub enum Output {
    /// Write the opening tag.
    OpenStream(StreamHeader),
    /// Write the element.
    Send(Element),
    /// Do the TLS handshake on this connection, then feed [`Input::TlsReady`]. Bytes
    /// that were read but not consumed must be a failure: somebody may have
    /// injected them (RFC 6120 §5.3.5).
    StartTls,
    /// Expect a new opening tag from the server; an [`Output::OpenStream`] follows.
    RestartStream,
    /// Run it where blocking is allowed, then feed [`Input::Derived`].
    Derive(Derivation),
    /// Something that observers may like to know.
    Report(Report),
    /// The end: the stream is the caller's now. What the server says from here on
    /// belongs to the session.
    Done(Box<Established>),
    /// The end: close the connection.
    Failed(ConnectError),
}

// An element of the login may hold the password: names only.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenStream(header) => f.debug_tuple("OpenStream").field(header).finish(),
            Self::Send(element) => write!(f, "Send(<{}/>)", element.name()),
            Self::StartTls => f.write_str("StartTls"),
            Self::RestartStream => f.write_str("RestartStream"),
            Self::Derive(_) => f.write_str("Derive"),
            Self::Report(report) => f.debug_tuple("Report").field(report).finish(),
            Self::Done(established) => f.debug_tuple("Done").field(established).finish(),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

/// When the server listed its features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FeatureStage {
    /// In the clear.
    BeforeTls,
    /// Protected, before authentication; also in the clear where that is allowed and
    /// the server offers no TLS.
    BeforeLogin,
    /// After authentication.
    AfterLogin,
}

/// A step that was taken.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Report {
    /// The server answered the stream header.
    StreamOpened(StreamHeader),
    /// The server listed its features.
    Features(FeatureStage, StreamFeatures),
    /// A mechanism was chosen.
    Mechanism {
        /// Its name.
        name: &'static str,
        /// What is done about channel binding.
        binding: Binding,
    },
    /// The server refused the channel binding that it had offered; the login is
    /// tried once more without.
    BindingRefused(RefusalEvidence),
    /// The server refused the token; the login goes on with the password.
    TokenRefused(SaslCondition),
    /// Logged in.
    LoggedIn(LoginReport),
    /// `<resume/>` was answered, or could not be sent.
    Resumption(Resumption),
    /// The wished resource was refused; the server is asked to choose one.
    ResourceRefused(StanzaError),
    /// The server gave an address.
    Bound(FullJid),
    /// The server offers stream management and refused to enable it.
    StreamManagementRefused(Option<DefinedCondition>),
}

/// A computation that takes too long for a thread that serves others: PBKDF2 on the
/// password.
pub struct Derivation {
    auth: Box<dyn Authenticator>,
    challenge: Vec<u8>,
}

impl Derivation {
    pub(super) fn new(auth: Box<dyn Authenticator>, challenge: Vec<u8>) -> Self {
        Self { auth, challenge }
    }

    /// How many rounds of PBKDF2 it takes; about a million a second on a fast core.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.auth.iterations(&self.challenge)
    }

    /// Computes. Blocks.
    #[must_use]
    pub fn run(mut self) -> Derived {
        let answer = self.auth.challenge(&self.challenge);
        Derived {
            auth: self.auth,
            answer,
        }
    }
}

/// The result of a [`Derivation`], to be fed back.
pub struct Derived {
    pub(super) auth: Box<dyn Authenticator>,
    pub(super) answer: Result<Vec<u8>, AuthError>,
}

// What is inside stands for the password.
impl fmt::Debug for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Derivation").finish_non_exhaustive()
    }
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Derived").finish_non_exhaustive()
    }
}
