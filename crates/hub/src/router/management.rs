//! Stream management (XEP-0198): enabling, acknowledging, resuming. The queue that is
//! acknowledged is `outbound`'s; when a session ends is decided in `session`.

use std::time::Duration;

use stanchion_stanza::payload::sm::{Ack, AckRequest, Enable, Enabled, Failed, Resume, Resumed};
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{Element, Encoder, Payload, Text, ns};

use super::session::{Link, hex};
use super::{ConnectionId, Now, Router, SessionId, Stage};

/// Whether stanzas are acknowledged.
#[derive(Debug)]
pub(super) enum Management {
    Off,
    On(Managed),
}

/// The counters of one session; they outlive its connections.
#[derive(Debug)]
pub(super) struct Managed {
    /// Stanzas of the client that were handled; wraps at 2³².
    pub(super) handled: u32,
    /// Stanzas to the client that it acknowledged; wraps at 2³².
    acknowledged: u32,
    pub(super) resumption: Option<Resumption>,
    /// An `<r/>` is out, or ought to go out, or nothing is to be asked.
    asking: Asking,
    /// The client asked, and is to be answered with the next bytes.
    answer_due: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    No,
    /// Asked; so many stanzas were sent since.
    Asked {
        since: usize,
    },
    /// Whatever was sent, ask: is anybody there?
    Probe,
}

/// How the session may be resumed.
#[derive(Debug)]
pub(super) struct Resumption {
    pub(super) id: Text,
    window: Duration,
}

impl Management {
    /// For how long the session waits for its client, if it does.
    pub(super) fn resumption(&self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::On(state) => state.resumption.as_ref().map(|r| r.window),
        }
    }

    /// The connection is gone, and so are the questions on it.
    pub(super) const fn rewind(&mut self) {
        if let Self::On(state) = self {
            state.asking = Asking::No;
            state.answer_due = false;
        }
    }
}

impl Managed {
    pub(super) const fn probe(&mut self) {
        self.asking = Asking::Probe;
    }

    /// Appends `<a/>` and `<r/>` as they are due, after `just_sent` stanzas of which
    /// with earlier ones `waiting` are not acknowledged. One question is out at a time.
    pub(super) fn append_requests(
        &mut self,
        just_sent: usize,
        waiting: usize,
        out: &mut Vec<u8>,
        encoder: &Encoder,
    ) {
        let mut append = |element: Element| {
            // Fixed and small.
            let _ = encoder.element(&element, out);
        };
        if std::mem::take(&mut self.answer_due) {
            append(Ack { h: self.handled }.to_element());
        }
        match &mut self.asking {
            Asking::Asked { since } => *since += just_sent,
            Asking::No if waiting == 0 || just_sent == 0 => {}
            Asking::No | Asking::Probe => {
                append(AckRequest.to_element());
                self.asking = Asking::Asked { since: 0 };
            }
        }
    }

    /// The client answered. Whether to ask again: only if more was sent since the
    /// question, lest a slow client and the hub ask each other without end.
    fn answered(&mut self) {
        self.asking = match self.asking {
            Asking::Asked { since: 1.. } => Asking::Probe,
            _ => Asking::No,
        };
    }
}

impl Router {
    /// An element that is no stanza, of a client that has not bound a resource.
    pub(super) fn unbound_nonza(&mut self, now: Now, id: ConnectionId, element: &Element) {
        if Resume::matches(element) {
            match Resume::from_element(element) {
                Ok(resume) => self.resume(now, id, &resume),
                Err(_) => self.failed(id, DefinedCondition::BadRequest, None),
            }
        } else {
            // Enabling comes after binding (XEP-0198 §3).
            self.failed(id, DefinedCondition::UnexpectedRequest, None);
        }
    }

    /// An element that is no stanza, of a session.
    pub(super) fn nonza(
        &mut self,
        now: Now,
        connection: ConnectionId,
        id: SessionId,
        element: &Element,
    ) {
        // A component has none (XEP-0114 §3).
        let component = self.sessions.get(&id).is_some_and(|s| s.component);
        if Enable::matches(element) && !component {
            return self.enable(connection, id, element);
        }
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        match (&mut session.management, element.name(), element.ns()) {
            (Management::On(state), "r", ns::SM) => {
                state.answer_due = true;
                self.touched.insert(id);
            }
            (Management::On(_), "a", ns::SM) => match Ack::from_element(element) {
                Ok(ack) => self.acknowledge(now, id, ack.h),
                Err(_) => {
                    let error = StreamError::new(StreamCondition::BadFormat);
                    self.close_session(now, id, error);
                }
            },
            (_, _, ns::SM) if !component => {
                self.failed(connection, DefinedCondition::UnexpectedRequest, None)
            }
            _ => {
                let error = StreamError::new(StreamCondition::UnsupportedStanzaType);
                self.close_session(now, id, error);
            }
        }
    }

    /// §3. Both counters begin at 0 with this.
    fn enable(&mut self, connection: ConnectionId, id: SessionId, element: &Element) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let request = match Enable::from_element(element) {
            Ok(request) if matches!(session.management, Management::Off) => request,
            Ok(_) => return self.failed(connection, DefinedCondition::UnexpectedRequest, None),
            Err(_) => return self.failed(connection, DefinedCondition::BadRequest, None),
        };
        let wish = request.max.map(|s| Duration::from_secs(s.into()));
        // Whole seconds, as `max` is.
        let window = wish.map_or(self.resume_timeout, |w| w.min(self.resume_timeout));
        let resumption = (request.resume && window >= Duration::from_secs(1)).then(|| Resumption {
            id: Text::new(hex(&session.entropy[8..])).unwrap_or_default(),
            window,
        });
        let enabled = Enabled {
            id: resumption.as_ref().map(|r| r.id.clone()),
            resume: resumption.is_some(),
            max: resumption
                .as_ref()
                .and_then(|r| u32::try_from(r.window.as_secs()).ok()),
            location: None,
        };
        if let Some(resumption) = &resumption {
            self.by_resumption.insert(resumption.id.clone(), id);
        }
        session.management = Management::On(Managed {
            handled: 0,
            acknowledged: 0,
            resumption,
            asking: Asking::No,
            answer_due: false,
        });
        // What was sent before `<enabled/>` is not counted by the client.
        let before = session.outbound.sent();
        self.arrived(id, before);
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.unmanaged = 0;
        }
        self.control(connection, &enabled.to_element());
    }

    /// §4: the client has handled `h` stanzas.
    fn acknowledge(&mut self, now: Now, id: SessionId, h: u32) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let Management::On(state) = &mut session.management else {
            return;
        };
        let sent = u32::try_from(session.outbound.sent()).unwrap_or(u32::MAX);
        let newly = h.wrapping_sub(state.acknowledged);
        if newly > sent {
            let error = too_high(h, state.acknowledged.wrapping_add(sent));
            return self.close_session(now, id, error);
        }
        state.acknowledged = h;
        state.answered();
        self.arrived(id, newly as usize);
    }

    /// §5: the client wants its session back.
    fn resume(&mut self, now: Now, id: ConnectionId, request: &Resume) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let found = self.by_resumption.get(&request.previd).copied();
        let own = found.and_then(|session| {
            let session = self.sessions.get_mut(&session)?;
            (session.local() == connection.account).then_some(session)
        });
        let (Some(session_id), Some(session)) = (found, own) else {
            let handled = self
                .tombstones
                .iter()
                .find(|t| t.resumption == request.previd && t.account == connection.account)
                .map(|t| t.handled);
            return self.failed(id, DefinedCondition::ItemNotFound, handled);
        };
        let Management::On(state) = &mut session.management else {
            return self.failed(id, DefinedCondition::ItemNotFound, None);
        };
        // All that the session holds may have been sent before the link broke.
        let most = u32::try_from(session.outbound.len()).unwrap_or(u32::MAX);
        let newly = request.h.wrapping_sub(state.acknowledged);
        if newly > most {
            let error = too_high(request.h, state.acknowledged.wrapping_add(most));
            return self.drop_connection(id, Some(error));
        }
        let old = session.link;
        state.acknowledged = request.h;
        let resumed = Resumed(Resume {
            previd: request.previd.clone(),
            h: state.handled,
        });
        session.management.rewind();
        session.outbound.rewind();
        session.outbound.count_as_sent(newly as usize);
        session.link = Link::Connected(id);
        session.heard = now.monotonic;
        session.probed = false;
        if let Link::Connected(old) = old {
            let text = Text::from_static("the session was resumed on another connection");
            let error = StreamError::new(StreamCondition::Conflict).with_text(text);
            self.drop_connection(old, Some(error));
        }
        self.arrived(session_id, newly as usize);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.stage = Stage::Bound(session_id);
        }
        self.control(id, &resumed.to_element());
    }

    /// §5: the stream lives on, and the client may bind.
    fn failed(&mut self, id: ConnectionId, condition: DefinedCondition, h: Option<u32>) {
        let failed = Failed {
            h,
            condition: Some(condition),
        };
        self.control(id, &failed.to_element());
    }
}

/// §4: the client acknowledges what was never sent.
fn too_high(h: u32, sent: u32) -> StreamError {
    let detail = Element::new("handled-count-too-high", ns::SM)
        .with_attr("h", h)
        .with_attr("send-count", sent);
    let mut error = StreamError::new(StreamCondition::UndefinedCondition);
    error.application = Some(Box::new(detail));
    error
}
