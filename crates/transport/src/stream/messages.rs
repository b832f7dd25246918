//! The framing of RFC 7395 §3.3: each message of a WebSocket is one element, `<open/>`
//! and `<close/>` among them. The handshake that made the WebSocket is in `websocket`.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use stanchion_stanza::codec::{DecodeError, EncodeError, Rule};
use stanchion_stanza::payload::framing::{Close, Open};
use stanchion_stanza::stream::StreamHeader;
use stanchion_stanza::{Decoder, Element, Encoder, Limits, Payload as _, Scope, StreamEvent, ns};
use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, Utf8Bytes};
use tungstenite::{Message, WebSocket};

use super::declare::documents;
use super::fault::{StreamFault, WebSocketFault};
use crate::pipe::BoxTransport;
use crate::websocket::{Socket, limit};

/// Messages that have come are kept up to about this many bytes, each counted with what
/// it costs to keep it.
const READ_AHEAD: usize = 16 * 1024;
const KEPT_COST: usize = 64;

/// One element a message.
pub(super) struct Messages {
    socket: WebSocket<Socket>,
    /// Bytes that the WebSocket has taken since all of them were last written out.
    handed: usize,
    /// Whether a ping was read whose answer may not have been written.
    answering: bool,
    /// Whether the WebSocket has to write before it takes more.
    blocked: bool,
    output: VecDeque<Bytes>,
    output_bytes: usize,
    encoder: Encoder,
    /// `<close/>` is queued or sent, or nothing may be sent any more.
    ended: bool,
    /// The closing frame is handed to the WebSocket.
    closing: bool,

    inbox: VecDeque<Utf8Bytes>,
    inbox_cost: usize,
    decoder: Decoder,
    limits: Limits,
    phase: Phase,
    broken: Option<DecodeError>,
    /// Why nothing more will come, once the inbox is empty.
    over: Over,
}

/// Where the peer's stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before its `<open/>`.
    Waiting,
    Open,
    /// After its `<close/>`.
    Closed,
}

/// How far the input is at its end.
enum Over {
    No,
    /// And the caller has not been told why.
    Because(StreamFault),
    Told,
}

impl Messages {
    pub(super) fn new(socket: WebSocket<Socket>, limits: Limits) -> Self {
        Self {
            socket,
            handed: 0,
            answering: false,
            blocked: false,
            output: VecDeque::new(),
            output_bytes: 0,
            // Nothing is declared around a message.
            encoder: Encoder::new(Scope::empty(), Limits::default()),
            ended: false,
            closing: false,
            inbox: VecDeque::new(),
            inbox_cost: 0,
            decoder: Decoder::without_root(Scope::empty(), limits),
            limits,
            phase: Phase::Waiting,
            broken: None,
            over: Over::No,
        }
    }

    pub(super) fn pipe(&self) -> &BoxTransport {
        self.socket.get_ref().pipe()
    }

    pub(super) fn unread(&self) -> usize {
        self.inbox.iter().map(|m| m.len()).sum()
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.decoder.set_limits(limits);
        self.socket
            .set_config(|config| limit(config, limits.stanza_bytes));
    }

    pub(super) const fn set_send_limits(&mut self, limits: Limits) {
        self.encoder.set_limits(limits);
    }

    pub(super) fn open(&mut self, header: &StreamHeader) {
        // As over TCP, the limits are for stanzas: a header has no bound but its own.
        let unlimited = Limits::default().with_stanza_bytes(usize::MAX);
        let encoder = Encoder::new(Scope::empty(), unlimited);
        if let Ok(open) = encoder.to_bytes(&Open(header.clone()).to_element()) {
            self.queue(open.into());
        }
    }

    pub(super) fn send(&mut self, element: &Element) -> Result<(), EncodeError> {
        if !self.ended {
            let bytes = self.encoder.to_bytes(element)?;
            self.queue(bytes.into());
        }
        Ok(())
    }

    pub(super) fn send_bytes(&mut self, whole_stanzas: &[u8]) {
        if !self.ended {
            for document in documents(whole_stanzas) {
                self.queue(document);
            }
        }
    }

    /// Whether this was the first call, and something may still be sent.
    pub(super) fn end(&mut self) -> bool {
        let first = !self.ended;
        if first {
            if let Ok(close) = self.encoder.to_bytes(&Close::default().to_element()) {
                self.queue(close.into());
            }
            self.ended = true;
        }
        first
    }

    /// Whether all messages are written out; a closing frame need not be.
    pub(super) const fn is_flushed(&self) -> bool {
        self.queued() == 0
    }

    fn queue(&mut self, message: Bytes) {
        self.output_bytes += message.len();
        self.output.push_back(message);
    }

    pub(super) const fn queued(&self) -> usize {
        self.output_bytes + self.handed
    }

    pub(super) fn reset(&mut self) {
        self.decoder = Decoder::without_root(Scope::empty(), self.limits);
        self.phase = Phase::Waiting;
    }

    /// Writes all that is queued.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.get_mut().wake(cx);
        loop {
            if self.blocked {
                ready!(self.poll_write_out())?;
            }
            let Some(message) = self.output.pop_front() else {
                break;
            };
            self.output_bytes -= message.len();
            self.handed += message.len();
            // As a frame, for what is sent unchecked need not be UTF-8.
            let frame = Frame::message(message, OpCode::Data(Data::Text), true);
            match self.socket.write(Message::Frame(frame)) {
                Ok(()) => {}
                // It is taken, but something is still to be written.
                Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => self.blocked = true,
                Err(error) => return Poll::Ready(Err(io_error(error))),
            }
        }
        if self.handed > 0 || self.answering {
            return self.poll_write_out();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_out(&mut self) -> Poll<io::Result<()>> {
        match self.socket.flush() {
            Ok(()) => {
                self.handed = 0;
                self.answering = false;
                self.blocked = false;
                Poll::Ready(Ok(()))
            }
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(io_error(error))),
        }
    }

    /// Writes all that is queued, says that nothing more follows, and shuts the sending
    /// half down.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            ready!(self.poll_flush(cx))?;
            self.say_closed(CloseCode::Normal, "");
        }
        self.socket.get_mut().wake(cx);
        let closed = ready!(self.poll_write_out());
        let shut = match closed {
            Ok(()) => ready!(self.socket.get_mut().poll_shutdown(cx)),
            failed => failed,
        };
        // A server that has closed its stream may close the connection at once.
        Poll::Ready(shut.or_else(|error| match self.phase {
            Phase::Closed => Ok(()),
            Phase::Waiting | Phase::Open => Err(error),
        }))
    }

    /// Hands the closing frame to the WebSocket. What is queued stays behind.
    fn say_closed(&mut self, code: CloseCode, reason: &'static str) {
        self.closing = true;
        self.ended = true;
        self.output.clear();
        self.output_bytes = 0;
        // If it cannot be written at once, the next flush does it; and if it never can,
        // the connection is lost anyway.
        let reason = Utf8Bytes::from_static(reason);
        let _ = self.socket.close(Some(CloseFrame { code, reason }));
    }

    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamEvent, StreamFault>> {
        if let Some(event) = self.try_next()? {
            return Poll::Ready(Ok(event));
        }
        let write_error = match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Some(error),
            _ => None,
        };
        self.socket.get_mut().wake(cx);
        self.read();
        if let Some(event) = self.try_next()? {
            return Poll::Ready(Ok(event));
        }
        let fault = match (mem::replace(&mut self.over, Over::Told), write_error) {
            // The failed write is the cause of the rest.
            (Over::Because(StreamFault::Io(_)), Some(error)) => StreamFault::Io(error),
            (Over::Because(fault), _) => fault,
            (Over::Told, _) => StreamFault::Closed,
            (Over::No, Some(error)) => {
                self.over = Over::No;
                StreamFault::Io(error)
            }
            (Over::No, None) => {
                self.over = Over::No;
                return Poll::Pending;
            }
        };
        Poll::Ready(Err(fault))
    }

    /// Reads until there is nothing, or enough.
    fn read(&mut self) {
        while matches!(self.over, Over::No) && self.inbox_cost < READ_AHEAD {
            let fault = match self.socket.read() {
                Ok(Message::Text(message)) => {
                    self.inbox_cost += message.len() + KEPT_COST;
                    self.inbox.push_back(message);
                    continue;
                }
                Ok(Message::Ping(_)) => {
                    self.answering = true;
                    continue;
                }
                Ok(Message::Pong(_) | Message::Frame(_)) => continue,
                Ok(Message::Binary(_)) => {
                    self.say_closed(CloseCode::Unsupported, "XMPP is text");
                    StreamFault::WebSocket(WebSocketFault::Binary)
                }
                Ok(Message::Close(frame)) => {
                    // The answer to it; it may be too late for that.
                    let _ = self.socket.flush();
                    closed(frame)
                }
                Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.fault(error),
            };
            self.over = Over::Because(fault);
        }
    }

    fn fault(&mut self, error: Error) -> StreamFault {
        match error {
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => StreamFault::Closed,
            Error::Io(error) => StreamFault::Io(error),
            Error::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
                refused(Rule::Limit {
                    what: "bytes in a stanza",
                    limit: max_size,
                })
            }
            Error::Utf8(_) => refused(Rule::Utf8),
            other => {
                self.say_closed(CloseCode::Protocol, "");
                StreamFault::WebSocket(WebSocketFault::PeerMisbehaved(Box::new(other)))
            }
        }
    }

    pub(super) fn try_next(&mut self) -> Result<Option<StreamEvent>, StreamFault> {
        if let Some(error) = &self.broken {
            return Err(StreamFault::Decode(error.clone()));
        }
        let Some(message) = self.inbox.pop_front() else {
            return Ok(None);
        };
        self.inbox_cost -= message.len() + KEPT_COST;
        let read = self.element(message.as_bytes()).and_then(|e| self.event(e));
        match read {
            Ok(Ok(event)) => Ok(Some(event)),
            Ok(Err(other)) => Err(other),
            Err(error) => {
                self.broken = Some(error.clone());
                Err(StreamFault::Decode(error))
            }
        }
    }

    /// The element that is all of a message.
    fn element(&mut self, message: &[u8]) -> Result<Element, DecodeError> {
        self.decoder.push(message);
        let first = self.decoder.next_event()?;
        let rest = self.decoder.next_event()?;
        match (first, rest) {
            (Some(StreamEvent::Element(element)), None) if self.decoder.pending() == 0 => {
                Ok(element)
            }
            _ => Err(DecodeError {
                offset: 0,
                rule: Rule::Stream("a message is one whole element, and nothing else"),
            }),
        }
    }

    /// What an element says; the inner fault is no fault of the peer's.
    fn event(&mut self, element: Element) -> Result<Result<StreamEvent, StreamFault>, DecodeError> {
        let fault = |rule| DecodeError { offset: 0, rule };
        if Close::matches(&element) && self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            let Ok(Close { see_other_uri }) = Close::from_element(&element) else {
                return Ok(Ok(StreamEvent::Close));
            };
            return Ok(match see_other_uri {
                Some(uri) => Err(StreamFault::SeeOther { uri }),
                None => Ok(StreamEvent::Close),
            });
        }
        match (self.phase, element.ns()) {
            (Phase::Waiting, ns::FRAMING) if Open::matches(&element) => {
                let Open(header) = Open::read(&element).map_err(fault)?;
                self.phase = Phase::Open;
                Ok(Ok(StreamEvent::Open(header)))
            }
            (Phase::Waiting, _) => Err(fault(Rule::Stream("a stream begins with <open/>"))),
            (Phase::Closed, _) => Err(fault(Rule::Stream("nothing may follow <close/>"))),
            (Phase::Open, ns::FRAMING) => Err(fault(Rule::Stream("the stream is open already"))),
            (Phase::Open, _) => Ok(Ok(StreamEvent::Element(element))),
        }
    }
}

/// A message that was not taken in. The stream's own error can still be sent.
const fn refused(rule: Rule) -> StreamFault {
    StreamFault::Decode(DecodeError { offset: 0, rule })
}

/// What the peer's closing frame means. Without a code, or with that of a server that is
/// done or goes down, it is as if TCP had been closed.
fn closed(frame: Option<CloseFrame>) -> StreamFault {
    match frame {
        None
        | Some(CloseFrame {
            code: CloseCode::Normal | CloseCode::Away,
            ..
        }) => StreamFault::Closed,
        Some(CloseFrame { code, reason }) => StreamFault::WebSocket(WebSocketFault::Closed {
            code: code.into(),
            reason: reason.as_str().to_owned(),
        }),
    }
}

/// Why a write failed. After the closing frame of either side, there is nobody to
/// write to.
fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::SendAfterClosing) => io::ErrorKind::NotConnected.into(),
        other => io::Error::other(other),
    }
}
