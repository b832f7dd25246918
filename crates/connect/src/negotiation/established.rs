//! What a negotiation leaves behind: plain data, nothing in it acts.

use stanchion_sasl::binding::Binding;
use stanchion_sasl::policy::{ChannelSecurity, OfferStrength, SaslProfile, TlsVersion};
use stanchion_sasl::scram::keys::ScramKeys;
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{Element, FullJid, Text, stream::StreamFeatures};

use super::remembered::ServerMemory;

/// A stream on which stanzas may be sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Established {
    /// The address that the server gave, whatever was wished for.
    pub jid: FullJid,
    /// What the server offers after authentication. `bind` may still be among it. Empty
    /// but for `max_bytes` after a resumption inline, which comes without.
    pub features: StreamFeatures,
    /// Stream management, if it is on. Both counters are 0, or after a resumption
    /// where they were.
    pub stream_management: Option<SmSession>,
    /// What became of the session before.
    pub resumption: Resumption,
    /// How the login went.
    pub login: LoginReport,
    /// How the connection is protected.
    pub security: ChannelSecurity,
    /// Times that the client had to wait for the server, from its first stream
    /// header on; TCP and TLS are not counted.
    pub round_trips: u32,
    /// Stanzas that came between binding and `<enabled/>`, in order, to be treated
    /// before all others. They are outside of stream management: not counted in `h`.
    pub early: Vec<Element>,
    /// What came after stream management began and before the features of a login by
    /// SASL2, in order, to be treated next: as if it had come on the stream, so its
    /// stanzas are counted in `h`.
    pub counted: Vec<Element>,
    /// What there is to know for the next login at this server. A secret.
    pub memory: ServerMemory,
    /// The keys derived from the password, to save the next login PBKDF2. A secret.
    pub keys: Option<ScramKeys>,
}

impl Established {
    /// A session at `jid` with nothing else: no features, no stream management, an
    /// anonymous login in the clear. For in-memory connections, which fill in the rest.
    #[must_use]
    pub fn new(jid: FullJid) -> Self {
        Self {
            jid,
            features: StreamFeatures::default(),
            stream_management: None,
            resumption: Resumption::NotTried,
            login: LoginReport {
                mechanism: "ANONYMOUS",
                binding: Binding::NotApplicable,
                server_proved: false,
                profile: SaslProfile::Rfc6120,
                offered: Vec::new(),
                strength: OfferStrength::default(),
                exchanges: 0,
                round_trips: 0,
            },
            security: ChannelSecurity::Plaintext,
            round_trips: 0,
            early: Vec::new(),
            counted: Vec::new(),
            memory: ServerMemory::default(),
            keys: None,
        }
    }

    /// The same, as if it ran inside TLS 1.3 with a server whose certificate was
    /// verified for the domain. For in-memory connections: what is kept from a plaintext
    /// stream goes out on them.
    #[must_use]
    pub const fn in_verified_tls(mut self) -> Self {
        self.security = ChannelSecurity::Tls {
            version: TlsVersion::Tls13,
            server_verified: true,
        };
        self
    }
}

/// Stream management on this stream (XEP-0198 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SmSession {
    /// The id to resume by.
    pub id: Option<Text>,
    /// Whether the server keeps the session after the stream is lost. Only then has
    /// [`SmSession::token`] something to give.
    pub resumable: bool,
    /// For how many seconds it does, if it says.
    pub max_seconds: Option<u32>,
    /// Where it prefers to be resumed: `host` or `host:port`.
    pub location: Option<Text>,
}

impl SmSession {
    /// A session that can be resumed by `id`.
    #[must_use]
    pub const fn resumable(id: Text) -> Self {
        Self {
            id: Some(id),
            resumable: true,
            max_seconds: None,
            location: None,
        }
    }

    /// A session that only acknowledges.
    #[must_use]
    pub const fn unresumable() -> Self {
        Self {
            id: None,
            resumable: false,
            max_seconds: None,
            location: None,
        }
    }

    /// What to keep for a resumption: `h` is the number of stanzas handled on this
    /// stream so far, modulo 2³². `None` if the session cannot be resumed.
    #[must_use]
    pub fn token(&self, jid: FullJid, h: u32) -> Option<ResumeToken> {
        let id = self.id.clone().filter(|_| self.resumable)?;
        Some(ResumeToken {
            jid,
            id,
            h,
            max_seconds: self.max_seconds,
            location: self.location.clone(),
        })
    }
}

/// What is needed to resume a session (XEP-0198 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeToken {
    /// The session's address: a resumed stream keeps it.
    pub jid: FullJid,
    /// The session's id, sent as `previd`.
    pub id: Text,
    /// Stanzas handled on the lost stream, modulo 2³². One server destroys the
    /// session and its messages if this is too high.
    pub h: u32,
    /// For how many seconds the server said that it keeps the session.
    pub max_seconds: Option<u32>,
    /// Where the server prefers to be resumed.
    pub location: Option<Text>,
}

/// What became of the session before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resumption {
    /// There was none.
    NotTried,
    /// It goes on: stanzas that the server has not handled must be sent again.
    Resumed {
        /// Stanzas that the server has handled, modulo 2³².
        h: u32,
    },
    /// It is gone; this is a new one.
    Failed {
        /// Stanzas that the server had handled, modulo 2³², if it still knows.
        h: Option<u32>,
        /// How the server let it be known.
        reason: ResumeFailure,
    },
}

/// How a server lets it be known that a session cannot be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResumeFailure {
    /// By `<failed/>`, with a condition or none (`item-not-found`: timed out, or the
    /// server was restarted).
    Refused(Option<DefinedCondition>),
    /// It closed the stream without an answer, or gave none in time.
    StreamClosed,
    /// It offers no stream management any more.
    NotOffered,
}

/// How a login went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginReport {
    /// The profile of SASL: that of RFC 6120, or SASL2.
    pub profile: SaslProfile,
    /// The mechanism's name.
    pub mechanism: &'static str,
    /// What became of channel binding. `RefusedByServer` is worth a warning: the
    /// server offered what it then refused.
    pub binding: Binding,
    /// Whether the server proved that it knows the account. Otherwise only its
    /// certificate speaks for it.
    pub server_proved: bool,
    /// The mechanisms offered, as spelled and in the order of the server.
    pub offered: Vec<Text>,
    /// What the offer is worth, to be remembered against a later downgrade.
    pub strength: OfferStrength,
    /// Exchanges that it took: 1, and one more for each that was refused: over channel
    /// binding, over a token, or because it was begun ahead in vain.
    pub exchanges: u8,
    /// Messages of the client that the server had to answer.
    pub round_trips: u32,
}
