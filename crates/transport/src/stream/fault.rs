//! Why a stream gives no further events, and why it cannot give its transport away.

use std::error::Error as StdError;
use std::io;

use stanchion_stanza::Text;
use stanchion_stanza::codec::DecodeError;

/// Why a stream ended without the peer closing it properly. Where nothing else is said,
/// it is the network's doing: reconnect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamFault {
    /// The transport ended between two stanzas, with or without the peer having closed
    /// its stream before. Over TLS, a missing `close_notify` looks the same.
    #[error("the peer closed the connection; reconnect")]
    Closed,
    /// The transport ended inside a stanza, which is lost.
    #[error("the connection ended inside a stanza, after {bytes} bytes of it; reconnect")]
    Truncated {
        /// How much of it had come, in bytes.
        bytes: usize,
    },
    /// The transport failed.
    #[error("the connection failed; reconnect")]
    Io(#[source] io::Error),
    /// The peer sent what XML or XMPP forbids, or more than the limits allow. Send its
    /// [`DecodeError::condition`] as a stream error and close (RFC 6120 §4.9); the
    /// stream gives no further events.
    #[error("the peer broke the stream's rules")]
    Decode(#[source] DecodeError),
    /// Ask the user: where the stream's header should be, there is the answer of a web
    /// server. Often it is the login page of a guest network, or the port is not XMPP's.
    #[error(
        "a web server answered instead of an XMPP server ({line:?}); check host and port, or log \
         in to this network by a browser if it asks for that"
    )]
    WebServer {
        /// The first line of the answer, shortened to 100 characters.
        line: String,
    },
    /// Connect elsewhere: the peer closed its stream and named another place, over
    /// WebSocket only (RFC 7395 §3.6.1). Read the URI as an
    /// [`Endpoint`](crate::Endpoint), and do not follow it from `wss` to `ws`.
    #[error("the server asks to connect to {uri:?} instead")]
    SeeOther {
        /// The URI, as the peer wrote it.
        uri: Text,
    },
    /// What is below the stream ended it: the WebSocket.
    #[error("the WebSocket carries no stream any more")]
    WebSocket(#[source] WebSocketFault),
}

/// What ended a WebSocket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketFault {
    /// The peer closed it and gave a reason other than that it is done (RFC 6455 §7.4).
    #[error("the server closed the WebSocket with the code {code}{}", because(.reason))]
    Closed {
        /// The code: 1008 is a policy, 1011 a fault of the server, for example.
        code: u16,
        /// What the server says for people; may be empty.
        reason: String,
    },
    /// The peer sent a binary message (RFC 7395 §3.2).
    #[error("the server sent a binary message, which XMPP does not have (RFC 7395 §3.2)")]
    Binary,
    /// The peer broke RFC 6455.
    #[error("the server broke the rules of WebSocket (RFC 6455)")]
    PeerMisbehaved(#[source] Box<dyn StdError + Send + Sync>),
}

/// Whether a write or a shutdown failed because the peer has ended the connection: by a
/// reset, by closing it, which over TLS may be without `close_notify`.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
    )
}

fn because(reason: &str) -> String {
    match reason {
        "" => String::new(),
        reason => format!(": {reason:?}"),
    }
}

/// Why a stream cannot give its transport away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DetachError {
    /// Bytes came that belong to no event yet. Nothing that was read before a TLS
    /// handshake may be believed after it (RFC 6120 §5.4.3.3): close the connection.
    #[error("{0} bytes came before the TLS handshake, maybe injected; close the connection")]
    Unread(usize),
    /// Output is still queued: flush first.
    #[error("{0} bytes are still to be written; flush first")]
    Unsent(usize),
    /// The stream is over a WebSocket, whose TLS is always below it (RFC 7395 §3.9).
    #[error("there is no STARTTLS over a WebSocket; connect to a wss:// URI instead")]
    WebSocket,
}
