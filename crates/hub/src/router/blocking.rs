//! Blocking (XEP-0191): whom an account hears nothing from. What is blocked is stopped before
//! it is routed. The lists outlive the hub, as rosters do: each address is one record of
//! offline storage.

use std::collections::BTreeSet;

use stanchion_stanza::codec::{EncodeError, parse_element};
use stanchion_stanza::payload::blocking::{Block, BlockList, Blocked, Unblock};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, Header, IqKind, StanzaError};
use stanchion_stanza::stanza::{MessageType, PresenceType};
use stanchion_stanza::{
    BareJid, Element, Iq, Jid, Limits, Message, Payload as _, Presence, Scope, Stanza, Text,
};

use super::message::unavailable;
use super::{Keeping, Now, Output, Persist, Router, SessionId, StoredId, StoredMessage};

/// Of what is kept.
const NS: &str = "urn:stanchion:hub:blocking:0";

type Answer = Result<Option<Element>, StanzaError>;

impl Router {
    /// Whether a stanza goes no further, because its sender or its recipient blocks the
    /// other (§3.3). Clients of one account hear each other whatever is blocked.
    pub(super) fn is_blocked(&mut self, now: Now, id: SessionId, stanza: &Stanza) -> bool {
        let (to, from) = match stanza {
            Stanza::Message(m) => (&m.header.to, &m.header.from),
            Stanza::Presence(p) => (&p.header.to, &p.header.from),
            Stanza::Iq(i) => (&i.header.to, &i.header.from),
        };
        let (Some(to), Some(from)) = (to, from) else {
            return false;
        };
        let (recipient, sender) = (to.to_bare(), from.to_bare());
        if recipient == sender {
            return false;
        }
        if self.blocks(&sender, to) {
            let mut error = StanzaError::new(ErrorType::Cancel, DefinedCondition::NotAcceptable);
            error.application = Some(Box::new(Blocked.to_element()));
            self.hold_back(now, id, stanza, error, true);
            return true;
        }
        if self.blocks(&recipient, from) {
            self.hold_back(now, id, stanza, unavailable(), false);
            return true;
        }
        false
    }

    /// Tells the sender, if it is to be told: of presence only whoever blocks, and of an
    /// answer nobody.
    fn hold_back(
        &mut self,
        now: Now,
        id: SessionId,
        stanza: &Stanza,
        error: StanzaError,
        own: bool,
    ) {
        let answer = match stanza {
            Stanza::Message(m) if m.kind != MessageType::Error => Message {
                header: m.header.reply(),
                kind: MessageType::Error,
                payloads: vec![error.to_element()],
            }
            .to_element(),
            Stanza::Presence(p) if own && p.kind != PresenceType::Error => Presence {
                header: p.header.reply(),
                kind: PresenceType::Error,
                payloads: vec![error.to_element()],
            }
            .to_element(),
            Stanza::Iq(iq) if iq.is_request() => iq.refuse(error).to_element(),
            _ => return,
        };
        // Smaller than what it answers.
        let _ = self.enqueue(now, id, &answer);
    }

    /// Whether an account here blocks an address, or what it belongs to (§5).
    pub(super) fn blocks(&self, owner: &BareJid, other: &Jid) -> bool {
        if owner.domain() != self.domain.domain() {
            return false;
        }
        let account = owner.local().and_then(|local| self.accounts.get(local));
        account.is_some_and(|account| covers(|jid| account.blocked.contains_key(jid), other))
    }

    /// §3.2; from now on the session gets pushes.
    pub(super) fn block_list(&mut self, id: SessionId, own: &BareJid) -> Answer {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.knows_blocked = true;
        }
        let account = own.local().and_then(|local| self.accounts.get(local));
        let jids = account.map(|account| account.blocked.keys().cloned().collect());
        Ok(Some(BlockList::of(jids.unwrap_or_default()).to_element()))
    }

    /// §3.3.
    pub(super) fn block(&mut self, now: Now, own: &BareJid, order: &Element) -> Answer {
        let jids = match Block::from_element(order) {
            Ok(block) if !block.jids.is_empty() => block.jids,
            _ => return Err(bad_request()),
        };
        let most = self.limits.roster_items;
        let blocked = self.blocked(own);
        if blocked.len().saturating_add(jids.len()) > most {
            let condition = DefinedCondition::ResourceConstraint;
            return Err(StanzaError::new(ErrorType::Wait, condition));
        }
        let new: BTreeSet<Jid> = jids.iter().cloned().collect();
        let records = new.iter().filter(|jid| !blocked.contains(*jid));
        let records: Result<Vec<_>, _> = records
            .map(|jid| Ok((jid.clone(), self.encoder.to_bytes(&record(jid))?)))
            .collect();
        // Not possible: they came in a stanza within the limits.
        let records = records.map_err(|_: EncodeError| bad_request())?;
        // They see us go while they still hear of us.
        for contact in self.watchers(own, &new) {
            self.show(now, own, &contact, false);
        }
        for (jid, stanza) in records {
            self.keep_blocked(now, own, jid, stanza);
        }
        self.push_blocked(now, own, &Block::of(jids).to_element());
        Ok(None)
    }

    /// §3.4 and §3.5.
    pub(super) fn unblock(&mut self, now: Now, own: &BareJid, order: &Element) -> Answer {
        let unblock = Unblock::from_element(order).map_err(|_| bad_request())?;
        let gone = match unblock.jids.is_empty() {
            true => self.blocked(own),
            false => unblock.jids.iter().cloned().collect(),
        };
        if let Some(account) = own.local().and_then(|local| self.accounts.get_mut(local)) {
            let records = gone.iter().filter_map(|jid| account.blocked.remove(jid));
            let forget = records.map(|id| Output::Persist(Persist::Remove(id)));
            self.outputs.extend(forget);
        }
        for contact in self.watchers(own, &gone) {
            self.show(now, own, &contact, true);
        }
        self.push_blocked(now, own, &unblock.to_element());
        Ok(None)
    }

    fn blocked(&self, own: &BareJid) -> BTreeSet<Jid> {
        let account = own.local().and_then(|local| self.accounts.get(local));
        account.map_or_else(BTreeSet::new, |a| a.blocked.keys().cloned().collect())
    }

    /// One address more, with its record.
    fn keep_blocked(&mut self, now: Now, own: &BareJid, jid: Jid, stanza: Vec<u8>) {
        let Some(local) = own.local() else {
            return;
        };
        let Some(account) = self.accounts.get_mut(local) else {
            return;
        };
        let id = StoredId(self.next_stored);
        self.next_stored += 1;
        account.blocked.insert(jid, id);
        self.outputs
            .push_back(Output::Persist(Persist::Store(StoredMessage {
                id,
                keeping: Keeping::Blocked,
                account: local.to_owned(),
                since: now.wall,
                stanza,
            })));
    }

    /// What an earlier hub kept. A record of an account that is gone, or that cannot be read,
    /// goes.
    pub(super) fn restore_blocked(&mut self, stored: &StoredMessage) {
        let account = self.accounts.get_mut(&stored.account);
        let useless = match (account, read(&stored.stanza)) {
            (Some(account), Some(jid)) => account.blocked.insert(jid, stored.id),
            _ => Some(stored.id),
        };
        let forget = useless.map(|id| Output::Persist(Persist::Remove(id)));
        self.outputs.extend(forget);
    }

    /// Contacts on that list who see the account's presence, unless something else is
    /// between them.
    fn watchers(&self, own: &BareJid, list: &BTreeSet<Jid>) -> Vec<BareJid> {
        let account = own.local().and_then(|local| self.accounts.get(local));
        let subscribers = account.into_iter().flat_map(|a| a.roster.subscribers());
        subscribers
            .filter(|contact| {
                covers(|jid| list.contains(jid), contact) && self.shares_presence(own, contact)
            })
            .cloned()
            .collect()
    }

    fn push_blocked(&mut self, now: Now, own: &BareJid, change: &Element) {
        let account = own.local().and_then(|local| self.accounts.get(local));
        let sessions = account.map_or_else(Vec::new, |account| account.sessions.clone());
        for id in sessions {
            let knowing = self.sessions.get(&id).filter(|s| s.knows_blocked);
            let Some(to) = knowing.map(|s| (*s.address).clone()) else {
                continue;
            };
            self.next_push += 1;
            let push = Iq {
                header: Header {
                    from: Some((**own).clone()),
                    to: Some(to),
                    id: Text::new(format!("push-{}", self.next_push)).ok(),
                    ..Default::default()
                },
                kind: IqKind::Set(change.clone()),
            };
            // It came in a stanza within the limits.
            let _ = self.enqueue(now, id, &push.to_element());
        }
    }
}

const fn bad_request() -> StanzaError {
    StanzaError::new(ErrorType::Modify, DefinedCondition::BadRequest)
}

/// §5: an address, its account, its domain's part, its domain.
fn covers(listed: impl Fn(&Jid) -> bool, jid: &Jid) -> bool {
    let part = match jid.local() {
        None => Jid::from_parts(None, jid.domain(), jid.resource()).ok(),
        Some(_) => None,
    };
    let domain = Jid::from_parts(None, jid.domain(), None).ok();
    let account = Jid::from(jid.to_bare());
    [Some(jid.clone()), Some(account), part, domain]
        .iter()
        .flatten()
        .any(listed)
}

fn record(jid: &Jid) -> Element {
    Element::new("blocked", NS).with_attr("jid", jid)
}

fn read(bytes: &[u8]) -> Option<Jid> {
    let element = parse_element(bytes, &Scope::client(), &Limits::default()).ok()?;
    element.is("blocked", NS).then_some(())?;
    Jid::new(element.attr("jid")?).ok()
}
