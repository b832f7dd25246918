//! The contacts as the server last told them, its pushes, and those who ask to subscribe.
//! What is believed comes from our own account: a push from anybody else is not taken.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_reliability::session::Up;
use stanchion_stanza::payload::roster::{Item, Roster as Query, Subscription};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, PresenceType, StanzaError};
use stanchion_stanza::{BareJid, Element, Iq, Jid, Payload as _, Presence, Stanza, Text, ns};

use super::contact::{Contact, Policy, RosterEvent};
use super::orders::{Done, Order, Orders};
use crate::request::{MOST as WAITERS, Request, RequestError};
use crate::row;
use crate::service::{Change, Input, Output, Service, Taken};
use crate::shorten::shortened;

/// Contacts that are remembered. A server that has more is not followed further, and asked
/// for all of them in each session.
const MOST: usize = 10_000;
/// Requests to subscribe that wait for the application; the server repeats the others.
const REQUESTS: usize = 256;
/// Changes of a whole roster that are told one by one; observers hold 256 events.
const TOLD: usize = 64;
/// Bytes of what somebody says who asks.
const SAID: usize = 1024;
/// After a server did not answer.
const RETRY: Duration = Duration::from_secs(60);

/// The rows, in the order in which they are read: whose roster it is, its version, and a
/// row for each contact. Those of orders are theirs.
const ACCOUNT: &str = "account";
const VERSION: &str = "account version";
const CONTACT: &str = "contact ";

/// The account's contacts, and who asked to be one.
#[derive(Debug, Default)]
pub struct Contacts {
    account: Option<BareJid>,
    items: BTreeMap<Jid, Contact>,
    /// The version that they are, if the server counts versions and all of them are here.
    version: Option<Text>,
    /// They are those that the server has in this session.
    current: bool,
    up: bool,
    /// What the server offered at the beginning of the session: versions, and approval in
    /// advance.
    versioned: bool,
    in_advance: bool,
    /// The request for the roster that is under way, and whether it named a version.
    asked: Option<(u64, bool)>,
    retry: Option<Duration>,
    next: u64,
    waiting: Vec<Done>,
    /// The roster is asked for only once somebody wants it.
    when_asked: bool,
    policy: Policy,
    requests: BTreeMap<BareJid, Option<Text>>,
    orders: Orders,
    outputs: VecDeque<Output<RosterEvent>>,
}

impl Contacts {
    /// With that policy for those who ask to subscribe.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// The same, and the roster is asked for only once the application wants it: for a
    /// client on a narrow line that has no use for it. Changes are not told until then.
    #[must_use]
    pub const fn when_asked(mut self) -> Self {
        self.when_asked = true;
        self
    }

    // ---- what the application asks ---------------------------------------------------

    pub(super) fn all(&self) -> Vec<Contact> {
        self.items.values().cloned().collect()
    }

    pub(super) fn one(&self, jid: &Jid) -> Option<Contact> {
        self.items.get(jid).cloned()
    }

    pub(super) const fn requests(&self) -> &BTreeMap<BareJid, Option<Text>> {
        &self.requests
    }

    /// Answers when the contacts are those of the server.
    pub(super) fn loaded(&mut self, waiter: Done) {
        self.when_asked = false;
        if self.current {
            waiter.answer(Ok(()));
        } else if self.waiting.len() >= WAITERS {
            waiter.answer(Err(RequestError::TooMany));
        } else {
            self.waiting.push(waiter);
            if self.up {
                self.ask();
            }
        }
    }

    pub(super) fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        let waiting = std::mem::take(&mut self.requests);
        for (who, text) in waiting {
            if self.policy.accepts(&who) {
                self.accept(who);
            } else {
                self.requests.insert(who, text);
            }
        }
    }

    pub(super) fn order(&mut self, order: Order, contact: BareJid, waiter: Option<Done>) {
        if order == Order::ApproveInAdvance && !self.in_advance {
            if let Some(waiter) = waiter {
                let what = "approval of subscriptions in advance (RFC 6121 §3.4)";
                waiter.answer(Err(RequestError::NotOffered { what }));
            }
            return;
        }
        if matches!(order, Order::Approve | Order::Deny) {
            self.requests.remove(&contact);
        }
        self.orders.add(order, contact, waiter);
        self.give();
    }

    // ---- the server ------------------------------------------------------------------

    fn tag(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn give(&mut self) {
        if self.up {
            let tag = self.tag();
            let outputs = &mut self.outputs;
            self.orders.give(tag, |output| outputs.push_back(output));
        }
    }

    /// §2.1.3, and §2.6.2 where the server counts versions.
    fn ask(&mut self) {
        if self.asked.is_some() {
            return;
        }
        self.retry = None;
        let tag = self.tag();
        let empty = || Text::from_static("");
        let ver = self
            .versioned
            .then(|| self.version.clone().unwrap_or_else(empty));
        self.asked = Some((tag, ver.is_some()));
        let items = Vec::new();
        let request = Request::get(None, Query { ver, items }.to_element());
        self.outputs.push_back(Output::Request { tag, request });
    }

    fn up(&mut self, up: &Up) {
        let account = up.jid.to_bare();
        self.up = true;
        let offers = |name, ns| up.features.offers(name, ns);
        let kept = up.resumed;
        self.versioned = offers("ver", ns::ROSTER_VER) || (kept && self.versioned);
        self.in_advance = offers("sub", ns::PRE_APPROVAL) || (kept && self.in_advance);
        if self.account.as_ref() != Some(&account) {
            self.belongs_to(account);
        }
        if !up.resumed {
            self.current = false;
            // Whoever still waits asks again (§3.1.3).
            self.requests.clear();
        }
        if !self.current && !self.when_asked {
            self.ask();
        }
        self.give();
    }

    /// It is that account's roster from now on.
    fn belongs_to(&mut self, account: BareJid) {
        let mut changes = vec![Change::Put {
            key: ACCOUNT.to_owned(),
            value: account.as_str().as_bytes().to_vec(),
        }];
        let others = self.account.replace(account).is_some();
        if others {
            self.orders.clear();
        }
        if others || !self.items.is_empty() {
            changes.extend(self.version.take().map(|_| delete(VERSION.to_owned())));
            let items = std::mem::take(&mut self.items);
            changes.extend(items.keys().map(|jid| delete(key_of(jid))));
            self.outputs.push_back(Output::Event(RosterEvent::Cleared));
        }
        self.current = false;
        self.keep(changes);
    }

    fn keep(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.outputs.push_back(Output::Keep { tag: None, changes });
        }
    }

    fn answered(
        &mut self,
        now: Now,
        versioned: bool,
        answer: Result<Option<Element>, RequestError>,
    ) {
        let result = match answer {
            // §2.6.3: nothing has changed; what did since comes as pushes.
            Ok(None) if versioned => Ok(()),
            Ok(None) => Err(RequestError::Unreadable("<query/> is missing".to_owned())),
            Ok(Some(query)) => match Query::from_element(&query) {
                Ok(roster) => {
                    self.replace(roster);
                    Ok(())
                }
                Err(error) => Err(RequestError::Unreadable(error.to_string())),
            },
            Err(error) => Err(error),
        };
        match &result {
            Ok(()) => {
                self.current = true;
                self.outputs.push_back(Output::Event(RosterEvent::Loaded));
            }
            // The next stream is about to be up.
            Err(RequestError::Lost) => return,
            Err(error) => {
                tracing::warn!(%error, "the roster is not known");
                let again = !matches!(error, RequestError::Refused { .. });
                self.retry = again.then(|| now.monotonic + RETRY);
            }
        }
        for waiter in self.waiting.drain(..) {
            waiter.answer(result.clone());
        }
    }

    /// The server's roster takes the place of ours.
    fn replace(&mut self, roster: Query) {
        let all = roster.items.len() <= MOST;
        let items = roster.items.into_iter().take(MOST);
        let items = items.filter(|item| item.subscription != Some(Subscription::Remove));
        let new: BTreeMap<Jid, Contact> = items
            .map(|item| (item.jid.clone(), Contact::from(item)))
            .collect();
        let (mut changes, mut events) = (Vec::new(), Vec::new());
        for jid in self.items.keys().filter(|jid| !new.contains_key(*jid)) {
            changes.push(delete(key_of(jid)));
            events.push(RosterEvent::Removed(jid.clone()));
        }
        for (jid, contact) in &new {
            if self.items.get(jid) != Some(contact) {
                changes.push(put(contact));
                events.push(RosterEvent::Changed(contact.clone()));
            }
        }
        if events.len() <= TOLD {
            self.outputs.extend(events.into_iter().map(Output::Event));
        }
        self.items = new;
        changes.extend(self.is_version(roster.ver.filter(|_| all)));
        self.keep(changes);
    }

    /// Notes the version; gives what is to be kept of it.
    fn is_version(&mut self, version: Option<Text>) -> Option<Change> {
        if self.version == version {
            return None;
        }
        self.version = version;
        Some(match &self.version {
            Some(version) => Change::Put {
                key: VERSION.to_owned(),
                value: version.as_bytes().to_vec(),
            },
            None => delete(VERSION.to_owned()),
        })
    }

    /// §2.1.6: a push, unless it is somebody else's.
    fn pushed(&mut self, iq: &Iq) -> Taken {
        let IqKind::Set(query) = &iq.kind else {
            return Taken::No;
        };
        if !Query::matches(query) {
            return Taken::No;
        }
        let from = iq.header.from.as_ref();
        if from.is_some() && from != self.account.as_deref() {
            tracing::debug!(?from, "a roster push that is not our account's");
            return Taken::No;
        }
        let answer = match Query::from_element(query) {
            Ok(mut push) if push.items.len() == 1 => {
                if let Some(item) = push.items.pop() {
                    self.one_changed(item, push.ver);
                }
                iq.result(None)
            }
            _ => iq.refuse(StanzaError::new(
                ErrorType::Modify,
                DefinedCondition::BadRequest,
            )),
        };
        self.outputs.push_back(Output::Transmit(answer.into()));
        Taken::Yes
    }

    fn one_changed(&mut self, item: Item, version: Option<Text>) {
        // It goes on from the one before only if nothing is missing that led there.
        let whole = self.current && self.version.is_some();
        let version = version.filter(|_| whole);
        let mut version = version.or_else(|| self.version.clone());
        let mut changes = Vec::new();
        let event = if item.subscription == Some(Subscription::Remove) {
            changes.extend(self.items.remove(&item.jid).map(|c| delete(key_of(&c.jid))));
            RosterEvent::Removed(item.jid)
        } else {
            let contact = Contact::from(item);
            let before = self.items.get(&contact.jid);
            let approves = before.is_some_and(|c| c.sees_us() && !c.is_seen());
            if approves && contact.subscription == Subscription::Both {
                self.outputs
                    .push_back(Output::Mutual(contact.jid.to_bare()));
            }
            if self.items.len() < MOST || self.items.contains_key(&contact.jid) {
                changes.push(put(&contact));
                self.items.insert(contact.jid.clone(), contact.clone());
            } else {
                version = None;
            }
            RosterEvent::Changed(contact)
        };
        changes.extend(self.is_version(version));
        self.keep(changes);
        self.outputs.push_back(Output::Event(event));
    }

    // ---- those who ask, and those who answer -----------------------------------------

    fn presence(&mut self, presence: &Presence) -> Taken {
        let Some(from) = presence.header.from.as_ref().map(Jid::to_bare) else {
            return Taken::No;
        };
        // Who is no contact has nothing to answer.
        let contact = self.items.get(&*from);
        let known = contact.is_some() || !self.current;
        let event = match presence.kind {
            PresenceType::Subscribe => {
                self.requested(from, presence);
                None
            }
            PresenceType::Subscribed => known.then_some(RosterEvent::Approved { by: from }),
            PresenceType::Unsubscribed => known.then_some(RosterEvent::Denied { by: from }),
            PresenceType::Unsubscribe => {
                self.requests.remove(&from);
                Some(RosterEvent::Left { by: from })
            }
            _ => return Taken::No,
        };
        self.outputs.extend(event.map(Output::Event));
        Taken::Yes
    }

    fn requested(&mut self, from: BareJid, presence: &Presence) {
        let sees = self.items.get(&*from).is_some_and(Contact::sees_us);
        if sees {
            // Its server has forgotten, and is told again.
            return self.order(Order::Approve, from, None);
        }
        if self.policy.accepts(&from) {
            return self.accept(from);
        }
        if self.requests.len() >= REQUESTS && !self.requests.contains_key(&from) {
            return tracing::debug!(%from, "too many wait for an answer to their request");
        }
        let text = presence.status().and_then(|text| shortened(&text, SAID));
        self.requests.insert(from.clone(), text.clone());
        let event = RosterEvent::Requested { from, text };
        self.outputs.push_back(Output::Event(event));
    }

    fn accept(&mut self, who: BareJid) {
        self.order(Order::Approve, who.clone(), None);
        let event = RosterEvent::Accepted { by: who };
        self.outputs.push_back(Output::Event(event));
    }
}

fn key_of(jid: &Jid) -> String {
    format!("{CONTACT}{jid}")
}

fn put(contact: &Contact) -> Change {
    let item = Query::change(contact.into()).to_element();
    let key = key_of(&contact.jid);
    match row::write(&item) {
        Some(value) => Change::Put { key, value },
        None => Change::Delete { key },
    }
}

const fn delete(key: String) -> Change {
    Change::Delete { key }
}

impl Service for Contacts {
    const NAME: &'static str = "roster";
    type Event = RosterEvent;

    fn restore(&mut self, key: &str, value: &[u8]) {
        let text = std::str::from_utf8(value);
        match (key, text) {
            (ACCOUNT, Ok(text)) => self.account = text.parse().ok(),
            (VERSION, Ok(text)) => self.version = Text::new(text).ok(),
            (_, Ok(text)) if key.starts_with(Orders::ROW) => self.orders.restore(key, text),
            _ if key.starts_with(CONTACT) && self.items.len() < MOST => {
                let query = row::read(value).and_then(|query| Query::from_element(&query).ok());
                match query.and_then(|mut query| query.items.pop()) {
                    Some(item) => {
                        self.items.insert(item.jid.clone(), item.into());
                    }
                    // Without it they are not all here.
                    None => self.version = None,
                }
            }
            _ => {}
        }
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Up(up) => self.up(up),
            Input::Down => {
                self.up = false;
                self.retry = None;
            }
            Input::Answer { tag, answer } => match self.asked {
                Some((asked, versioned)) if asked == tag => {
                    self.asked = None;
                    self.answered(now, versioned, answer);
                }
                _ => {
                    if self.orders.answered(tag, answer.map(drop)) {
                        self.give();
                    }
                }
            },
            Input::Kept { tag } => self.orders.kept(tag),
            Input::Tick if self.up && self.retry.is_some_and(|at| at <= now.monotonic) => {
                self.ask();
            }
            Input::Stanza(Stanza::Iq(iq)) => return self.pushed(iq),
            Input::Stanza(Stanza::Presence(presence)) => return self.presence(presence),
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<RosterEvent> {
        for (tag, changes) in self.orders.take_keeps() {
            self.outputs.push_back(Output::Keep { tag, changes });
        }
        let next = self.outputs.pop_front();
        next.unwrap_or(Output::Wait(self.retry))
    }
}

#[cfg(test)]
mod tests;
