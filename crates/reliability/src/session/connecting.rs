//! The connection under a session: how it is made, what its end means for the next
//! attempt, and what is told of it. Whom to connect to is the connector's affair, and what
//! is said on a stream the engine's.

use std::sync::Arc;
use std::time::Duration;

use stanchion_connect::connection::SessionEnd;
use stanchion_connect::error::Misuse;
use stanchion_connect::{ConnectError, Connection, Resumption};
use stanchion_stanza::payload::delivery::At;
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{Payload as _, StreamEvent};
use stanchion_transport::StreamFault;
use tokio::time::Instant;

use super::driver::{Driver, random, with_sources};
use super::link::{Link, Place};
use super::stanzas::{Inflow, Up};
use super::{Disconnect, SessionEvent, Status, StreamReport};
use crate::engine::{Input, ReconnectReason, Stream};
use crate::protection::Protection;

impl Driver {
    pub(super) fn connect(&mut self) {
        let token = self.engine.resumption();
        let connect = Arc::clone(&self.parts.connect);
        self.announce(Status::Connecting);
        self.backoff.began(self.started.elapsed());
        self.link = Link::Connecting(Box::pin(async move { connect.connect(token).await }));
    }

    pub(super) fn connected(&mut self, connection: Connection) {
        let protection = Protection::of(&connection);
        let Connection {
            stream,
            established,
            endpoint,
            logins,
            ..
        } = connection;
        let now = self.started.elapsed();
        for _ in 1..logins {
            self.backoff.began(now);
        }
        self.backoff.established(now);
        self.last_words = None;
        self.place = Some(Place {
            jid: established.jid.clone(),
            endpoint: endpoint.clone(),
            since: Instant::now(),
        });
        let resumed = matches!(established.resumption, Resumption::Resumed { .. });
        tracing::info!(jid = %established.jid, %endpoint, resumed, ?protection, "connected");
        if protection == Protection::Any {
            tracing::warn!(
                domain = established.jid.domain(),
                %endpoint,
                "the session is in the clear: anybody on the way can read and change it"
            );
        }
        let report = Arc::new(StreamReport {
            tls: stream.security().tls.clone(),
            login: established.login,
        });
        self.link = Link::Up(Box::new(stream));
        let managed = established.stream_management.is_some();
        let ready = match established.resumption {
            Resumption::Resumed { h } => Stream::Resumed { h },
            Resumption::Failed { h, .. } => Stream::Bound {
                managed,
                handled: h,
            },
            _ => Stream::Bound {
                managed,
                handled: None,
            },
        };
        let most = established.features.max_bytes;
        let most = most.and_then(|most| usize::try_from(most).ok());
        self.tell(Input::MostBytes(most.unwrap_or(usize::MAX)));
        self.tell(Input::Connected {
            stream: ready,
            protection,
        });
        let session = established.stream_management;
        let token = session.and_then(|session| session.token(established.jid.clone(), 0));
        self.tell(Input::Resumable(token));
        self.parts.tap.put(Inflow::Up(Box::new(Up {
            jid: established.jid.clone(),
            resumed,
            features: established.features,
            place: self.engine.place().cloned(),
        })));
        // They came before stream management began, and are not counted.
        for element in established.early {
            self.tell(Input::ReceivedEarly(element));
        }
        for element in established.counted {
            self.tell(Input::Received(element));
        }
        // The process that had the resumed session before may have ended just before it
        // said so, or have said something else.
        let announce = !resumed || std::mem::take(&mut self.unannounced);
        self.unannounced = false;
        if let (true, Some(presence)) = (announce, &self.parts.config.presence) {
            let mut presence = presence.clone();
            let at = self.engine.place().cloned().map(At);
            presence.payloads.extend(at.map(|at| at.to_element()));
            let presence = presence.to_element();
            self.tell(Input::Transmit(presence));
        }
        self.announce(Status::Connected {
            jid: established.jid,
            endpoint,
            resumed,
            protection,
            report,
        });
    }

    pub(super) fn not_connected(&mut self, error: ConnectError) {
        if matches!(error, ConnectError::Misuse(Misuse::ForeignToken)) {
            // The process before had another account.
            self.tell(Input::Resumable(None));
            self.link = Link::Waiting(Instant::now());
            return;
        }
        let may_pass = error.may_pass();
        let nobody_listens = error.nobody_listens();
        let cause = Disconnect::Connect(Arc::new(error));
        if nobody_listens {
            let retry_in = self.backoff.refused(self.started.elapsed(), random());
            self.wait_for(retry_in, cause);
        } else if may_pass {
            self.wait_to_retry(cause);
        } else {
            self.refused(cause);
        }
    }

    pub(super) fn wait_to_retry(&mut self, cause: Disconnect) {
        let retry_in = self.backoff.failed(self.started.elapsed(), random());
        self.wait_for(retry_in, cause);
    }

    pub(super) fn wait_for(&mut self, retry_in: Duration, cause: Disconnect) {
        tracing::info!(%cause, ?retry_in, "not connected");
        self.link = Link::Waiting(Instant::now() + retry_in);
        self.announce(Status::Waiting { retry_in, cause });
    }

    pub(super) fn refused(&mut self, cause: Disconnect) {
        tracing::warn!(%cause, "not connected, and not trying again");
        self.link = Link::Refused;
        self.announce(Status::Refused(cause));
    }

    pub(super) fn stream_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Element(element) if StreamError::matches(&element) => {
                self.last_words = StreamError::from_element(&element).ok();
            }
            StreamEvent::Element(element) => self.tell(Input::Received(element)),
            StreamEvent::Close => {
                self.lost(Disconnect::Lost("the server closed the stream".to_owned()))
            }
            // A second header is no business of a session; the server is confused.
            StreamEvent::Open(_) => self.lost(Disconnect::Lost(
                "the server opened its stream twice".to_owned(),
            )),
        }
    }

    pub(super) fn stream_fault(&mut self, fault: StreamFault) {
        if let StreamFault::SeeOther { uri } = &fault {
            // What the stream error says elsewhere, a WebSocket says so (RFC 7395 §3.6.1).
            let mut error = StreamError::new(StreamCondition::SeeOtherHost);
            error.value = Some(uri.clone());
            self.last_words = Some(error);
        }
        self.lost(Disconnect::Lost(with_sources(&fault)));
    }

    /// The stream is gone. The engine and the connector are told, and the next attempt is
    /// planned.
    ///
    /// What can be resumed is kept through all that the server says (`system-shutdown`,
    /// `resource-constraint`, `see-other-host`, `policy-violation`, ...): whether it still
    /// can is told by the next login. Whom to connect to then is the connector's affair.
    pub(super) fn lost(&mut self, cause: Disconnect) {
        let error = self.last_words.take();
        if error.as_ref().is_some_and(|e| blames(e.condition)) {
            self.tell(Input::Blamed);
        }
        self.tell(Input::Disconnected);
        let elsewhere = matches!(cause, Disconnect::GivenUp(ReconnectReason::Unreachable));
        if let Some(place) = self.place.take() {
            self.parts.tap.put(Inflow::Down);
            self.parts.connect.ended(&SessionEnd {
                jid: place.jid,
                endpoint: place.endpoint,
                lasted: place.since.elapsed(),
                error: error.clone(),
                elsewhere,
            });
        }
        let Some(error) = error else {
            return self.wait_to_retry(cause);
        };
        match error.condition {
            // Another client with our address: two would throw each other out for ever.
            StreamCondition::Conflict => {
                self.tell(Input::Resumable(None));
                self.refused(Disconnect::Stream(error));
            }
            // The account was closed, or its password changed. The next login tells
            // which; but if it works, and the same follows at once, it never will.
            StreamCondition::NotAuthorized => {
                self.tell(Input::Resumable(None));
                if self.backoff.has_lasted(self.started.elapsed()) {
                    self.wait_to_retry(Disconnect::Stream(error));
                } else {
                    self.refused(Disconnect::Stream(error));
                }
            }
            _ => self.wait_to_retry(Disconnect::Stream(error)),
        }
    }

    pub(super) fn announce(&self, status: Status) {
        let _ = self.parts.events.send(SessionEvent::Status(status.clone()));
        self.parts.status.send_replace(status);
    }
}

/// Whether a stream ended because of what it carried (RFC 6120 §4.9.3).
const fn blames(condition: StreamCondition) -> bool {
    matches!(
        condition,
        StreamCondition::PolicyViolation
            | StreamCondition::NotWellFormed
            | StreamCondition::InvalidXml
            | StreamCondition::RestrictedXml
            | StreamCondition::BadFormat
            | StreamCondition::BadNamespacePrefix
            | StreamCondition::InvalidNamespace
            | StreamCondition::UnsupportedStanzaType
    )
}
