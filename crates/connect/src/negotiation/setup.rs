//! What a negotiation starts from.

use std::fmt;

use stanchion_sasl::scram::keys::ScramKeys;
use stanchion_sasl::{Channel, Credentials, Policy};
use stanchion_stanza::payload::sasl2::UserAgent;
use stanchion_stanza::{BareJid, Text};

use super::established::ResumeToken;
use super::remembered::ServerMemory;

/// What a negotiation starts from. One value serves one stream.
#[derive(Clone)]
pub struct Setup {
    /// Whose session it is. Its domainpart is what the server is asked for and must
    /// answer as. For an anonymous login, the domain alone.
    pub account: BareJid,
    /// The resource to wish for. `None` leaves it to the server, which is the better
    /// choice unless something outside needs to know the address beforehand: with a wish,
    /// Bind 2 cannot be used, and stream management waits for the answer.
    pub resource: Option<Text>,
    /// How the account proves itself.
    pub credentials: Credentials,
    /// Which mechanisms are good enough.
    pub sasl: Policy,
    /// Keys of earlier logins, one for each hash at most; they save PBKDF2.
    pub keys: Vec<ScramKeys>,
    /// Whether the connection is protected already.
    pub start: Start,
    /// Whether there is a session to resume.
    pub resume: Resume,
    /// Whether to enable stream management where it is offered.
    pub stream_management: bool,
    /// Who asks, where SASL2 is used (XEP-0388 §2.3): `id` is a version 4 UUID, the same
    /// for ever; without one no token is asked for. `software` is also the beginning of
    /// the resource that Bind 2 gives, so others may see it. `None`: says nothing.
    pub agent: Option<UserAgent>,
    /// Whether to ask for a token and to use it instead of the password (XEP-0484),
    /// where the server is verified and [`Setup::agent`] has an id.
    pub fast: bool,
    /// What earlier logins at this server have taught. Default: nothing; then everything
    /// waits until it is offered.
    pub memory: ServerMemory,
    /// Fresh bytes of a cryptographic source: three nonces of 24 bytes. Who knows them
    /// can replay a login; use none twice.
    pub entropy: [u8; 72],
}

// The nonces are secret until they are used.
impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("account", &self.account)
            .field("resource", &self.resource)
            .field("sasl", &self.sasl)
            .field("start", &self.start)
            .field("resume", &self.resume)
            .field("stream_management", &self.stream_management)
            .field("agent", &self.agent)
            .field("fast", &self.fast)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

/// How the connection stands at the beginning.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Start {
    /// In the clear: TLS comes by STARTTLS.
    StartTls {
        /// **Dangerous.** Go on in the clear if the server offers no TLS. Anybody on
        /// the way can then read and change everything.
        or_plaintext: bool,
    },
    /// Protected already, and by what: direct TLS.
    Protected(Channel),
    /// **Dangerous.** In the clear, and STARTTLS is not asked for.
    Plaintext,
}

/// Whether there is a session to resume (XEP-0198 §5).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Resume {
    /// No.
    #[default]
    No,
    /// Try this one; where that fails, bind a new one.
    Try(ResumeToken),
    /// It was tried on another stream, and the server gave no answer there:
    /// bind a new one, and report the old one as lost.
    Lost,
}
