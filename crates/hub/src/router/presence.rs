//! Presence information (RFC 6121 §4) and where presence goes (§8). Requests to
//! subscribe are in `subscription`.

use stanchion_stanza::stanza::PresenceType;
use stanchion_stanza::{BareJid, Jid, Presence};

use super::session::Session;
use super::{Now, Place, Router, SessionId};

impl Router {
    /// A presence of a session, its sender stamped on it.
    pub(super) fn presence(&mut self, now: Now, id: SessionId, presence: Presence) {
        let to = presence.header.to.clone();
        match (to, presence.kind) {
            (None, PresenceType::Available) => self.available(now, id, presence),
            (None, PresenceType::Unavailable) => self.unavailable(now, id, presence),
            // RFC 6121 §4.3: probes are servers' business. The others need an address.
            (_, PresenceType::Probe) | (None, _) => {}
            (
                Some(to),
                PresenceType::Available | PresenceType::Unavailable | PresenceType::Error,
            ) => self.directed(now, id, &to, &presence),
            (
                Some(to),
                PresenceType::Subscribe
                | PresenceType::Subscribed
                | PresenceType::Unsubscribe
                | PresenceType::Unsubscribed,
            ) => self.subscription(now, id, &to.to_bare(), presence),
        }
    }

    /// §4.2 and §4.4.
    fn available(&mut self, now: Now, id: SessionId, presence: Presence) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let initial = session.presence.is_none();
        let bare = session.bare();
        session.presence = Some(presence.clone());
        self.broadcast(now, &bare, &presence);
        if initial {
            self.tell_newcomer(now, id, &bare);
        }
        // Stored messages may be waiting for it.
        self.touched.insert(id);
    }

    /// What a session learns as it becomes available: who of its own account and of its
    /// contacts is there (§4.3), and who wants to subscribe (§3.1.3).
    fn tell_newcomer(&mut self, now: Now, id: SessionId, bare: &BareJid) {
        let Some(account) = bare.local().and_then(|local| self.accounts.get(local)) else {
            return;
        };
        let mut news: Vec<Presence> = account
            .roster
            .subscriptions()
            .filter(|contact| self.shares_presence(contact, bare))
            .chain(std::iter::once(bare))
            .flat_map(|contact| self.available_sessions(contact))
            .filter(|other| *other != id)
            .filter_map(|other| self.sessions.get(&other)?.presence.clone())
            .collect();
        news.extend(account.roster.requests().map(|contact| {
            let mut request = Presence::of(PresenceType::Subscribe);
            request.header.from = Some((**contact).clone());
            request
        }));
        for mut presence in news {
            presence.header.to = Some((**bare).clone());
            self.deliver_presence(now, id, &presence);
        }
    }

    /// §4.5.
    fn unavailable(&mut self, now: Now, id: SessionId, presence: Presence) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let was_available = session.presence.take().is_some();
        let directed = std::mem::take(&mut session.directed);
        let bare = session.bare();
        let address = Jid::from(session.address.clone());
        if was_available {
            self.broadcast(now, &bare, &presence);
        }
        self.say_goodbye(now, &bare, directed, presence);
        self.gone_from_rooms(now, &address);
    }

    /// §4.5.2: the session has ended without saying so.
    pub(super) fn leave(&mut self, now: Now, session: &Session) {
        let mut presence = Presence::of(PresenceType::Unavailable);
        presence.header.from = Some((*session.address).clone());
        let bare = session.bare();
        if session.presence.is_some() {
            self.broadcast(now, &bare, &presence);
        }
        self.say_goodbye(now, &bare, session.directed.iter().cloned(), presence);
        // Of those that it had entered it may remember too few.
        self.gone_from_rooms(now, &session.address);
    }

    /// Tells those who were sent presence directly, unless they see it anyway.
    fn say_goodbye(
        &mut self,
        now: Now,
        bare: &BareJid,
        directed: impl IntoIterator<Item = Jid>,
        mut presence: Presence,
    ) {
        for to in directed {
            if !self.shares_presence(bare, &to.to_bare()) {
                presence.header.to = Some(to.clone());
                self.route_presence(now, &to, &presence);
            }
        }
    }

    /// §4.6. Presence of type error goes the same way, and is not remembered.
    fn directed(&mut self, now: Now, id: SessionId, to: &Jid, presence: &Presence) {
        let most = self.limits.directed_presence;
        if let Some(session) = self.sessions.get_mut(&id)
            && presence.kind != PresenceType::Error
        {
            session.directed.retain(|other| other != to);
            if presence.kind == PresenceType::Available && most > 0 {
                if session.directed.len() >= most {
                    session.directed.pop_front();
                }
                session.directed.push_back(to.clone());
            }
        }
        self.route_presence(now, to, presence);
    }

    /// §8.5.2.1.2 and §8.5.3: dropped if nobody is there.
    pub(super) fn route_presence(&mut self, now: Now, to: &Jid, presence: &Presence) {
        match self.locate(to) {
            Place::Rooms => self.tell_rooms(now, presence.clone()),
            Place::Session(id) => self.deliver_presence(now, id, presence),
            Place::Account(_) if presence.kind != PresenceType::Error => {
                for id in self.available_sessions(&to.to_bare()) {
                    self.deliver_presence(now, id, presence);
                }
            }
            Place::Account(_)
            | Place::Absent(_)
            | Place::Server
            | Place::Pubsub
            | Place::Nobody
            | Place::Detached
            | Place::Elsewhere => {}
        }
    }

    /// To all who see the account's presence, and to its own sessions (§4.2.2).
    fn broadcast(&mut self, now: Now, bare: &BareJid, presence: &Presence) {
        let Some(account) = bare.local().and_then(|local| self.accounts.get(local)) else {
            return;
        };
        let mut audience: Vec<BareJid> = account
            .roster
            .subscribers()
            .filter(|contact| self.shares_presence(bare, contact))
            .cloned()
            .collect();
        audience.push(bare.clone());
        let mut presence = presence.clone();
        for to in audience {
            presence.header.to = Some((*to).clone());
            for id in self.available_sessions(&to) {
                self.deliver_presence(now, id, &presence);
            }
        }
    }

    /// Whether `owner` lets `viewer` see its presence.
    pub(super) fn shares_presence(&self, owner: &BareJid, viewer: &BareJid) -> bool {
        owner.domain() == self.domain.domain()
            && owner
                .local()
                .and_then(|local| self.accounts.get(local))
                .and_then(|account| account.roster.item(viewer))
                .is_some_and(|item| item.from)
            && !self.blocks(owner, viewer)
            && !self.blocks(viewer, owner)
    }

    /// The available sessions of an account here.
    pub(super) fn available_sessions(&self, bare: &BareJid) -> Vec<SessionId> {
        if bare.domain() != self.domain.domain() {
            return Vec::new();
        }
        let account = bare.local().and_then(|local| self.accounts.get(local));
        let sessions = account.map_or(&[][..], |account| &account.sessions);
        sessions
            .iter()
            .copied()
            .filter(|id| self.sessions.get(id).is_some_and(|s| s.presence.is_some()))
            .collect()
    }

    /// One that is too large with its addresses is dropped: a later one replaces it.
    pub(super) fn deliver_presence(&mut self, now: Now, id: SessionId, presence: &Presence) {
        let _ = self.enqueue(now, id, &presence.to_element());
    }
}
