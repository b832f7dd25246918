//! How a server can break the protocol before there is a session, each way with the
//! section that it breaks.

use stanchion_stanza::payload::PayloadError;
use stanchion_stanza::stanza::StanzaParseError;
use stanchion_stanza::{Jid, codec::DecodeError};
use thiserror::Error;

/// What a server did that it must not do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// Something came out of its turn.
    #[error("it sent {got} where only {awaited} may come ({section})")]
    OutOfOrder {
        /// What came, shortened.
        got: String,
        /// What was waited for.
        awaited: &'static str,
        /// Where that is said.
        section: &'static str,
    },
    /// It speaks for another domain than the one asked for.
    #[error("asked for {wanted}, it answers as {got} (RFC 6120 §4.7.1)")]
    WrongDomain {
        /// The account's domain.
        wanted: String,
        /// The `from` of its stream header.
        got: Jid,
    },
    /// It does not speak XMPP 1.0.
    #[error("it does not speak XMPP 1.0; it is too old to be used (RFC 6120 §4.7.5)")]
    Version,
    /// Its stream is not one for clients.
    #[error("its stream is not one for clients: the port may be for servers (RFC 6120 §4.8.2)")]
    ContentNamespace,
    /// Its stream is not one for components.
    #[error("its stream is not one for components: the port may be for clients (XEP-0114 §3)")]
    NotForComponents,
    /// It offers no resource binding after authentication.
    #[error("it offers no resource binding after authentication (RFC 6120 §7.3.1)")]
    NoBinding,
    /// An element that is expected lacks something.
    #[error("an element is not as {section} wants it")]
    Payload {
        /// Where it is said.
        section: &'static str,
        /// What is wrong.
        source: PayloadError,
    },
    /// The answer to the bind request is no iq.
    #[error("the answer to the bind request is broken (RFC 6120 §7.6.1)")]
    Answer(#[source] StanzaParseError),
    /// What it sent is no XMPP stream, or exceeds the limits.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It resumed a session that nobody asked for.
    #[error("it resumed another session than the one asked for (XEP-0198 §5)")]
    AnotherSession,
    /// It says that a resource is bound, and names none.
    #[error("it bound a resource and does not say which (XEP-0386 §3.2)")]
    BoundToNothing,
    /// Bytes came between `<proceed/>` and the TLS handshake.
    #[error("{0} bytes came before the TLS handshake, maybe injected (RFC 6120 §5.4.3.3)")]
    Injected(usize),
    /// It sends stanza after stanza instead of an answer.
    #[error("it sent more than {0} stanzas instead of an answer (XEP-0198 §3)")]
    Flood(usize),
    /// The same, by few and large ones.
    #[error("it sent stanzas of more than {0} bytes instead of an answer (XEP-0198 §3)")]
    FloodOfBytes(usize),
}
