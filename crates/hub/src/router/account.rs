//! Requests of an account about itself, which are decided outside, and its end (XEP-0077
//! §3.2): its sessions, roster, subscriptions, whom it blocked, messages, archive and nodes.
//! Whether it may end, and that nobody gets its name, is `accounts`'.

use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{Iq, Stanza, Text};

use super::iq::Answer;
use super::message::unavailable;
use super::outbound::Held;
use super::{ConnectionId, Now, Output, Persist, Router, Stage};

/// What its clients are told.
pub(super) fn ended() -> StreamError {
    let text = Text::from_static("the account is no more");
    StreamError::new(StreamCondition::NotAuthorized).with_text(text)
}

impl Router {
    /// A request that counts as any other stanza, and is answered in its turn.
    pub(super) fn about_account(
        &mut self,
        now: Now,
        connection: ConnectionId,
        mut request: Iq,
        answer: Answer,
    ) {
        let Some(state) = self.connections.get(&connection) else {
            return;
        };
        match state.stage {
            Stage::Unbound { .. } => {
                let reply = match answer {
                    Ok(payload) => request.result(payload),
                    Err(error) => request.refuse(error),
                };
                self.control(connection, &reply.to_element());
            }
            Stage::Bound(id) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.heard = now.monotonic;
                    session.probed = false;
                    request.header.from = Some((*session.address).clone());
                }
                self.answer(now, id, &request, answer);
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.count_inbound();
                }
            }
        }
    }

    /// The account of that name is no more; `asked` is the connection on which its client
    /// said so.
    pub(super) fn end_account(&mut self, now: Now, asked: ConnectionId, local: &str) {
        let Some(own) = self.bare(local) else {
            return;
        };
        // The answer comes before the end, unless it waits behind another write.
        if let Some(bytes) = self.chunk(asked) {
            let connection = asked;
            self.outputs.push_back(Output::Send { connection, bytes });
        }
        self.leave_contacts(now, &own);
        let Some(account) = self.accounts.remove(local) else {
            return;
        };
        // What they have not acknowledged goes back to its senders, as there is nobody.
        for id in account.sessions {
            self.close_session(now, id, ended());
        }
        let unbound = self.connections.iter().filter(|(_, c)| c.account == local);
        for connection in unbound.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.drop_connection(connection, Some(ended()));
        }
        for stored in account.offline.into_stored() {
            self.outputs
                .push_back(Output::Persist(Persist::Remove(stored.id)));
            let held = Held {
                letter: stored.letter,
                since: stored.since,
                stored: None,
                own: false,
            };
            if let Some(Stanza::Message(message)) = self.read(&held) {
                self.bounce(now, &message, unavailable());
            }
        }
        let kept = (account.records.into_ids()).chain(account.blocked.into_values());
        self.outputs
            .extend(kept.map(|id| Output::Persist(Persist::Remove(id))));
        self.outputs
            .push_back(Output::Persist(Persist::Forget(local.to_owned())));
        self.nodes.forget(local, &own);
    }
}
