//! The opening handshake (RFC 6455 §4.1): one request over a connected pipe, and what
//! its answers mean to the user. Redirections are told of and not followed, for `connect`
//! decides where to dial.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tungstenite::WebSocket;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::{ClientHandshake, Request, Response, generate_key};
use tungstenite::http::{self, header};
use tungstenite::protocol::WebSocketConfig;

use super::{SUBPROTOCOL, Socket, WebSocketUri};
use crate::pipe::BoxTransport;

/// What a quiet WebSocket keeps for its next read, in bytes.
const READ_BUFFER: usize = 4 * 1024;
/// Frames are gathered up to about this many bytes before they are written.
const WRITE_BUFFER: usize = 16 * 1024;
/// The longest payload of a control frame (RFC 6455 §5.5).
const CONTROL_FRAME: usize = 125;
/// What is shown of a field that the server chose, in characters.
const SHOWN: usize = 200;

/// Why a connection did not become a WebSocket for XMPP.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// Retry later: the connection failed.
    #[error("the connection failed during the WebSocket handshake; try later")]
    Io(#[source] io::Error),
    /// Retry later: the peer closed the connection without a whole answer.
    #[error("the peer closed the connection during the WebSocket handshake; try later")]
    Closed,
    /// Another port: the answer is not HTTP/1.1.
    #[error(
        "the peer does not answer in HTTP/1.1; the port may be another service's \
         (XMPP's own has no wss:// in front)"
    )]
    NotHttp,
    /// Ask the user: a web page instead of a WebSocket.
    #[error(
        "the web server answered with a page (HTTP {status}) instead of a WebSocket; check the \
         path, or log in to this network by a browser if it asks for that"
    )]
    Page {
        /// The status, from 200 to 299.
        status: u16,
    },
    /// Ask the user: the service is elsewhere, or the network wants a login first.
    #[error(
        "the web server redirects (HTTP {status}) to {location:?}; if this is the service, use \
         its wss:// URI, and if it is a login page of this network, log in by a browser"
    )]
    Redirected {
        /// The status, from 300 to 399.
        status: u16,
        /// Where to, as the server says, shortened to 200 characters.
        location: String,
    },
    /// The web server refused. A status from 500 on, 408 and 429 may pass by themselves.
    #[error("the web server answered HTTP {status}: {}", advice(*.status))]
    Refused {
        /// The status (RFC 9110 §15).
        status: u16,
    },
    /// Another path: a WebSocket, but not for XMPP (RFC 7395 §3.1).
    #[error(
        "the server did not agree to the WebSocket subprotocol `xmpp`; the path is another \
         service's"
    )]
    Subprotocol,
    /// The peer broke RFC 6455 §4.2.2, or the head of its answer is longer than 64 KiB.
    #[error("the server broke the rules of the WebSocket handshake")]
    PeerMisbehaved(#[source] Box<dyn StdError + Send + Sync>),
    /// The caller's: `wss` over a pipe that nothing protects.
    #[error("a wss:// URI needs TLS below it; do the handshake first")]
    Unprotected,
}

impl UpgradeError {
    /// Whether the same attempt may succeed later without anybody correcting anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Io(_) | Self::Closed => true,
            Self::Refused { status } => matches!(status, 408 | 429 | 500..),
            _ => false,
        }
    }
}

const fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 | 407 => "it lets nobody in here; check the URI and the proxy",
        404 | 410 => "there is nothing at that path; check the URI",
        400 | 405 | 426 => "there is no WebSocket at that path; check the URI",
        408 | 429 | 500.. => "it cannot serve now; try later",
        _ => "check the URI",
    }
}

/// Asks for a WebSocket. No message of more than `message_bytes` will be read.
pub(crate) async fn upgrade(
    pipe: BoxTransport,
    uri: &WebSocketUri,
    message_bytes: usize,
) -> Result<WebSocket<Socket>, UpgradeError> {
    if uri.is_secure() && !pipe.security().is_encrypted() {
        return Err(UpgradeError::Unprotected);
    }
    let mut config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER);
    limit(&mut config, message_bytes);
    let invalid = |e| UpgradeError::Io(io::Error::new(io::ErrorKind::InvalidInput, e));
    let request = request(uri).map_err(invalid)?;
    let begun = ClientHandshake::start(Socket::new(pipe), request, Some(config));
    let mut next = Some(begun.map_err(meaning)?);
    poll_fn(|cx| {
        let Some(mut handshake) = next.take() else {
            return Poll::Ready(Err(UpgradeError::Closed));
        };
        handshake.get_mut().get_mut().wake(cx);
        match handshake.handshake() {
            Ok((socket, _)) => Poll::Ready(Ok(socket)),
            Err(HandshakeError::Interrupted(handshake)) => {
                next = Some(handshake);
                Poll::Pending
            }
            Err(HandshakeError::Failure(error)) => Poll::Ready(Err(meaning(error))),
        }
    })
    .await
}

/// Bounds what is read: a longer frame is refused when its header says so.
pub(crate) fn limit(config: &mut WebSocketConfig, message_bytes: usize) {
    config.max_message_size = Some(message_bytes);
    config.max_frame_size = Some(message_bytes.max(CONTROL_FRAME));
}

fn request(uri: &WebSocketUri) -> Result<Request, http::Error> {
    Request::builder()
        .uri(uri.to_string())
        .header(header::HOST, uri.authority())
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key())
        .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .body(())
}

fn meaning(error: Error) -> UpgradeError {
    use ProtocolError as P;
    match error {
        Error::Io(error) => UpgradeError::Io(error),
        Error::Protocol(P::HandshakeIncomplete) => UpgradeError::Closed,
        Error::Protocol(P::HttparseError(_) | P::WrongHttpVersion) => UpgradeError::NotHttp,
        Error::Protocol(P::SecWebSocketSubProtocolError(_)) => UpgradeError::Subprotocol,
        Error::Http(response) => refusal(&response),
        other => UpgradeError::PeerMisbehaved(Box::new(other)),
    }
}

fn refusal(response: &Response) -> UpgradeError {
    let status = response.status().as_u16();
    match status {
        200..=299 => UpgradeError::Page { status },
        300..=399 => {
            let location = response.headers().get(header::LOCATION);
            let location = location.map_or(&[][..], |value| value.as_bytes());
            let location = String::from_utf8_lossy(location);
            UpgradeError::Redirected {
                status,
                location: location.chars().take(SHOWN).collect(),
            }
        }
        _ => UpgradeError::Refused { status },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_by_itself_is_transient() {
        for (status, transient) in [(404, false), (403, false), (429, true), (503, true)] {
            let refused = UpgradeError::Refused { status };
            assert_eq!(refused.is_transient(), transient, "{status}");
            assert_eq!(refused.to_string().contains("try later"), transient);
        }
        assert!(UpgradeError::Closed.is_transient());
        assert!(!UpgradeError::Subprotocol.is_transient());
    }
}
