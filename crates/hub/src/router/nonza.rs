//! What clients send that is no stanza: stream management (XEP-0198) is enabled, stanzas are
//! acknowledged, sessions resumed. The counters are `management`'s, the queue that is
//! acknowledged is `outbound`'s; when a session ends is decided in `session`.

use std::time::Duration;

use stanchion_stanza::payload::sm::{Ack, Enable, Enabled, Failed, Resume, Resumed};
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{Element, Payload as _, Text, ns};

use super::management::{Managed, Management, Resumption};
use super::session::{Link, hex};
use super::{ConnectionId, Now, Router, SessionId, Stage};

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
                state.asked();
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
        session.management = Management::On(Managed::new(resumption));
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
        let newly = match state.acknowledge(h, session.outbound.sent()) {
            Ok(newly) => newly,
            Err(error) => return self.close_session(now, id, error),
        };
        state.answered();
        self.arrived(id, newly);
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
        let newly = match state.acknowledge(request.h, session.outbound.len()) {
            Ok(newly) => newly,
            Err(error) => return self.drop_connection(id, Some(error)),
        };
        let old = session.link;
        let resumed = Resumed(Resume {
            previd: request.previd.clone(),
            h: state.handled,
        });
        session.management.rewind();
        session.outbound.rewind();
        session.outbound.count_as_sent(newly);
        session.link = Link::Connected(id);
        session.heard = now.monotonic;
        session.probed = false;
        if let Link::Connected(old) = old {
            let text = Text::from_static("the session was resumed on another connection");
            let error = StreamError::new(StreamCondition::Conflict).with_text(text);
            self.drop_connection(old, Some(error));
        }
        self.arrived(session_id, newly);
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
