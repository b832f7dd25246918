//! Presence subscriptions between accounts of the hub (RFC 6121 §3, appendix A).
//! Subscriptions are not approved in advance.

use stanchion_stanza::stanza::{DefinedCondition, ErrorType, PresenceType, StanzaError};
use stanchion_stanza::{BareJid, Element, Iq, Payload as _, Presence, Text, ns};

use super::{Now, Router, SessionId};

impl Router {
    /// A session asks `contact` for something, or answers it.
    pub(super) fn subscription(
        &mut self,
        now: Now,
        id: SessionId,
        contact: &BareJid,
        mut presence: Presence,
    ) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let own = session.bare();
        if *contact == own {
            return;
        }
        // RFC 6121 §3: between bare addresses.
        presence.header.from = Some((*own).clone());
        presence.header.to = Some((**contact).clone());
        if self.component.as_ref().is_some_and(|c| c.has(contact)) {
            let error =
                StanzaError::new(ErrorType::Cancel, DefinedCondition::FeatureNotImplemented);
            return self.refuse_presence(now, id, &presence, &error);
        }
        if contact.domain() != self.domain.domain() {
            let error = StanzaError::new(ErrorType::Cancel, DefinedCondition::RemoteServerNotFound);
            return self.refuse_presence(now, id, &presence, &error);
        }
        match presence.kind {
            PresenceType::Subscribe => self.subscribe(now, id, &own, contact, &presence),
            PresenceType::Subscribed => self.approve(now, &own, contact, &presence),
            PresenceType::Unsubscribe => self.unsubscribe(now, &own, contact, &presence),
            PresenceType::Unsubscribed => self.deny(now, &own, contact, &presence),
            PresenceType::Available
            | PresenceType::Unavailable
            | PresenceType::Probe
            | PresenceType::Error => {}
        }
    }

    /// §3.1.
    fn subscribe(
        &mut self,
        now: Now,
        id: SessionId,
        own: &BareJid,
        contact: &BareJid,
        presence: &Presence,
    ) {
        let most = self.limits.roster_items;
        let item = self
            .roster_mut(own)
            .and_then(|roster| roster.item_mut(contact, most));
        let Some(item) = item else {
            let error = StanzaError::new(ErrorType::Wait, DefinedCondition::ResourceConstraint);
            return self.refuse_presence(now, id, presence, &error);
        };
        if !item.to {
            item.asked = true;
        }
        self.push_roster(now, own, contact);
        if self.shares_presence(contact, own) {
            // §3.1.3: allowed already; the contact need not be asked.
            let answer = between(contact, own, PresenceType::Subscribed);
            return self.approved(now, contact, own, &answer);
        }
        let noted = self
            .roster_mut(contact)
            .is_some_and(|roster| roster.request(own, most));
        if noted {
            for session in self.available_sessions(contact) {
                self.deliver_presence(now, session, presence);
            }
        } else {
            // §3.1.3: there is no such account, or it takes no more requests.
            let answer = between(contact, own, PresenceType::Unsubscribed);
            self.denied(now, contact, own, &answer);
        }
    }

    /// §3.1.4 to §3.1.6: `own` lets `contact` see its presence, if it asked.
    fn approve(&mut self, now: Now, own: &BareJid, contact: &BareJid, presence: &Presence) {
        let most = self.limits.roster_items;
        let Some(roster) = self.roster_mut(own) else {
            return;
        };
        if !roster.settle_request(contact) {
            return;
        }
        let Some(item) = roster.item_mut(contact, most) else {
            return;
        };
        item.from = true;
        self.push_roster(now, own, contact);
        self.approved(now, own, contact, presence);
    }

    /// `viewer` gets to know that it sees `owner`, and sees it.
    fn approved(&mut self, now: Now, owner: &BareJid, viewer: &BareJid, presence: &Presence) {
        let item = self
            .roster_mut(viewer)
            .and_then(|roster| roster.existing_mut(owner))
            .filter(|item| item.asked);
        let Some(item) = item else {
            return;
        };
        item.asked = false;
        item.to = true;
        self.deliver_to_interested(now, viewer, presence);
        self.push_roster(now, viewer, owner);
        self.show(now, owner, viewer, true);
    }

    /// §3.3: `own` does not want to see `contact` any more.
    fn unsubscribe(&mut self, now: Now, own: &BareJid, contact: &BareJid, presence: &Presence) {
        let item = self
            .roster_mut(own)
            .and_then(|roster| roster.existing_mut(contact))
            .filter(|item| item.to || item.asked);
        if let Some(item) = item {
            item.to = false;
            item.asked = false;
            self.push_roster(now, own, contact);
        }
        let Some(roster) = self.roster_mut(contact) else {
            return;
        };
        let asked = roster.settle_request(own);
        let saw = roster
            .existing_mut(own)
            .is_some_and(|item| std::mem::take(&mut item.from));
        if asked || saw {
            self.deliver_to_interested(now, contact, presence);
        }
        if saw {
            self.push_roster(now, contact, own);
            self.show(now, contact, own, false);
        }
    }

    /// §3.2: `own` refuses `contact`, or does not let it see its presence any more.
    fn deny(&mut self, now: Now, own: &BareJid, contact: &BareJid, presence: &Presence) {
        let Some(roster) = self.roster_mut(own) else {
            return;
        };
        let asked = roster.settle_request(contact);
        let saw = roster
            .existing_mut(contact)
            .is_some_and(|item| std::mem::take(&mut item.from));
        if !asked && !saw {
            return;
        }
        if saw {
            self.push_roster(now, own, contact);
            self.show(now, own, contact, false);
        }
        self.denied(now, own, contact, presence);
    }

    /// `viewer` gets to know that it does not see `owner`.
    fn denied(&mut self, now: Now, owner: &BareJid, viewer: &BareJid, presence: &Presence) {
        let item = self
            .roster_mut(viewer)
            .and_then(|roster| roster.existing_mut(owner))
            .filter(|item| item.to || item.asked);
        let Some(item) = item else {
            return;
        };
        item.to = false;
        item.asked = false;
        self.deliver_to_interested(now, viewer, presence);
        self.push_roster(now, viewer, owner);
    }

    /// Shows all of `owner`'s sessions to `viewer`, or takes them out of its sight.
    pub(super) fn show(&mut self, now: Now, owner: &BareJid, viewer: &BareJid, visible: bool) {
        let news: Vec<Presence> = self
            .available_sessions(owner)
            .into_iter()
            .filter_map(|id| {
                let session = self.sessions.get(&id)?;
                let mut presence = if visible {
                    session.presence.clone()?
                } else {
                    let mut gone = Presence::of(PresenceType::Unavailable);
                    gone.header.from = Some((*session.address).clone());
                    gone
                };
                presence.header.to = Some((**viewer).clone());
                Some(presence)
            })
            .collect();
        for id in self.available_sessions(viewer) {
            for presence in &news {
                self.deliver_presence(now, id, presence);
            }
        }
    }

    /// §2.5: the entry goes, and with it both subscriptions.
    pub(super) fn remove_contact(&mut self, now: Now, own: &BareJid, contact: &BareJid) -> bool {
        let known = self
            .roster_mut(own)
            .is_some_and(|roster| roster.item(contact).is_some());
        if !known {
            return false;
        }
        let unsubscribe = between(own, contact, PresenceType::Unsubscribe);
        let unsubscribed = between(own, contact, PresenceType::Unsubscribed);
        self.unsubscribe(now, own, contact, &unsubscribe);
        self.deny(now, own, contact, &unsubscribed);
        if let Some(roster) = self.roster_mut(own) {
            roster.remove(contact);
        }
        let item = Element::new("item", ns::ROSTER)
            .with_attr("jid", contact)
            .with_attr("subscription", Text::from_static("remove"));
        self.push_item(now, own, item);
        true
    }

    /// The account is about to end: all its subscriptions do, both ways, and whoever asked
    /// is refused.
    pub(super) fn leave_contacts(&mut self, now: Now, own: &BareJid) {
        let Some(roster) = self.roster_mut(own) else {
            return;
        };
        let contacts: Vec<BareJid> = roster.contacts().cloned().collect();
        let asked: Vec<BareJid> = roster.requests().cloned().collect();
        for contact in contacts {
            self.remove_contact(now, own, &contact);
        }
        for contact in asked {
            let unsubscribed = between(own, &contact, PresenceType::Unsubscribed);
            self.deny(now, own, &contact, &unsubscribed);
        }
        // While there is an account whose records they are.
        self.keep_rosters(now);
    }

    /// A roster that may change.
    pub(super) fn roster_mut(&mut self, own: &BareJid) -> Option<&mut super::Roster> {
        let local = own.local()?;
        let account = self.accounts.get_mut(local)?;
        self.rosters.insert(local.to_owned());
        Some(&mut account.roster)
    }

    /// §2.1.6: an entry, as it is now, to all who asked for the roster.
    pub(super) fn push_roster(&mut self, now: Now, own: &BareJid, contact: &BareJid) {
        let item = self
            .roster_mut(own)
            .and_then(|roster| roster.item(contact).map(|item| item.to_element(contact)));
        if let Some(item) = item {
            self.push_item(now, own, item);
        }
    }

    fn push_item(&mut self, now: Now, own: &BareJid, item: Element) {
        let version = self.roster_mut(own).map(|roster| roster.version());
        let query = Element::new("query", ns::ROSTER)
            .with_attr_opt("ver", version)
            .with_child(item);
        for id in self.interested(own) {
            let Some(to) = self.sessions.get(&id).map(|s| (*s.address).clone()) else {
                continue;
            };
            self.next_push += 1;
            let push = Iq {
                header: stanchion_stanza::stanza::Header {
                    from: Some((**own).clone()),
                    to: Some(to),
                    id: Text::new(format!("push-{}", self.next_push)).ok(),
                    ..Default::default()
                },
                kind: stanchion_stanza::stanza::IqKind::Set(query.clone()),
            };
            // One entry, which came in a stanza within the limits.
            let _ = self.enqueue(now, id, &push.to_element());
        }
    }

    /// §3.1.6 and others: news of a subscription.
    fn deliver_to_interested(&mut self, now: Now, own: &BareJid, presence: &Presence) {
        for id in self.interested(own) {
            self.deliver_presence(now, id, presence);
        }
    }

    fn interested(&self, own: &BareJid) -> Vec<SessionId> {
        let account = own.local().and_then(|local| self.accounts.get(local));
        let sessions = account.map_or(&[][..], |account| &account.sessions);
        sessions
            .iter()
            .copied()
            .filter(|id| self.sessions.get(id).is_some_and(|s| s.interested))
            .collect()
    }

    pub(super) fn refuse_presence(
        &mut self,
        now: Now,
        id: SessionId,
        presence: &Presence,
        error: &StanzaError,
    ) {
        let mut answer = Presence::of(PresenceType::Error);
        answer.header = presence.header.reply();
        answer.payloads.push(error.to_element());
        self.deliver_presence(now, id, &answer);
    }
}

/// A presence between bare addresses.
fn between(from: &BareJid, to: &BareJid, kind: PresenceType) -> Presence {
    let mut presence = Presence::of(kind);
    presence.header.from = Some((**from).clone());
    presence.header.to = Some((**to).clone());
    presence
}
