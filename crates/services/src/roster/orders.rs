//! What is ordered by presence (RFC 6121 §3), which no server answers: each order is
//! followed by a ping to our own account. Servers take stanzas in order (RFC 6120 §10.1),
//! so its answer, whatever it is, says that they have the order. Until then an order is
//! given again on each new session, and kept for the next process; twice is as good as
//! once, until its giver is told that it is done. So that is told once the row that keeps it
//! is gone: an approval that came back after that could let in who asked again since.

use stanchion_stanza::payload::ping::Ping;
use stanchion_stanza::stanza::PresenceType;
use stanchion_stanza::{BareJid, Payload as _, Presence};

use crate::request::{Request, RequestError};
use crate::service::{Change, Output};
use crate::waiter::Waiter;

/// Orders that wait for a stream or for a server.
const MOST: usize = 256;
/// So often an order is given on streams that live and do not answer.
const TRIES: u32 = 3;

/// What can be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// To be shown the contact's presence.
    Subscribe,
    /// Not to be shown it any more.
    Unsubscribe,
    /// To show it ours, as it asked.
    Approve,
    /// To show it ours when it asks.
    ApproveInAdvance,
    /// Not to show it ours.
    Deny,
}

impl Order {
    const ALL: [Self; 5] = [
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Approve,
        Self::ApproveInAdvance,
        Self::Deny,
    ];

    /// In the row that keeps it.
    const fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Approve => "approve",
            Self::ApproveInAdvance => "approve-in-advance",
            Self::Deny => "deny",
        }
    }

    const fn kind(self) -> PresenceType {
        match self {
            Self::Subscribe => PresenceType::Subscribe,
            Self::Unsubscribe => PresenceType::Unsubscribe,
            Self::Approve | Self::ApproveInAdvance => PresenceType::Subscribed,
            Self::Deny => PresenceType::Unsubscribed,
        }
    }
}

pub(super) type Done = Waiter<Result<(), RequestError>>;

#[derive(Debug)]
struct Given {
    order: Order,
    contact: BareJid,
    waiter: Option<Done>,
    /// The row that keeps it; none if nobody waited for it: then the server brings back
    /// what it answers.
    row: Option<String>,
    /// The ping behind it, if it went out.
    behind: Option<u64>,
    tries: u32,
}

/// An order of which no more is to be done than that its row goes.
#[derive(Debug)]
struct Ending {
    /// That of the ping behind it, and of the change of rows.
    tag: u64,
    waiter: Done,
    result: Result<(), RequestError>,
}

/// What is to be kept in one transaction, and the tag by which its durability is told.
pub(super) type Keep = (Option<u64>, Vec<Change>);

/// Orders that a server has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Orders {
    given: Vec<Given>,
    ending: Vec<Ending>,
    /// Counts rows, so that they are read in the order in which they were given.
    rows: u64,
    keeps: Vec<Keep>,
}

impl Orders {
    /// What a row begins with.
    pub(super) const ROW: &str = "order ";

    /// An order of an earlier process, in the order of the rows.
    pub(super) fn restore(&mut self, key: &str, value: &str) {
        let row = key.strip_prefix(Self::ROW).and_then(|n| n.parse().ok());
        let (name, contact) = value.split_once(' ').unwrap_or_default();
        let order = Order::ALL.into_iter().find(|order| order.name() == name);
        let (Some(row), Some(order), Ok(contact)) = (row, order, contact.parse()) else {
            return;
        };
        self.rows = self.rows.max(row);
        if self.given.len() < MOST {
            self.put(order, contact, None, Some(key.to_owned()));
        }
    }

    /// They were for another account.
    pub(super) fn clear(&mut self) {
        for given in self.given.drain(..) {
            let row = given.row.map(|key| (None, vec![Change::Delete { key }]));
            self.keeps.extend(row);
            if let Some(waiter) = given.waiter {
                waiter.answer(Err(RequestError::Lost));
            }
        }
    }

    fn put(&mut self, order: Order, contact: BareJid, waiter: Option<Done>, row: Option<String>) {
        self.given.push(Given {
            order,
            contact,
            waiter,
            row,
            behind: None,
            tries: 0,
        });
    }

    /// What is to be kept of all that.
    pub(super) fn take_keeps(&mut self) -> Vec<Keep> {
        std::mem::take(&mut self.keeps)
    }

    /// What was to be kept under that tag is durable.
    pub(super) fn kept(&mut self, tag: u64) {
        let (gone, ending) = std::mem::take(&mut self.ending)
            .into_iter()
            .partition(|ending| ending.tag == tag);
        self.ending = ending;
        for Ending { waiter, result, .. } in gone {
            waiter.answer(result);
        }
    }

    /// Takes one. Nobody needs to wait for it; then it is left out if the same is under
    /// way.
    pub(super) fn add(&mut self, order: Order, contact: BareJid, waiter: Option<Done>) {
        let same = |given: &Given| given.order == order && given.contact == contact;
        if waiter.is_none() && self.given.iter().any(same) {
            return;
        }
        if self.given.len() + self.ending.len() >= MOST {
            if let Some(waiter) = waiter {
                waiter.answer(Err(RequestError::TooMany));
            }
            return;
        }
        let row = waiter.is_some().then(|| {
            self.rows += 1;
            let key = format!("{}{:020}", Self::ROW, self.rows);
            let value = format!("{} {contact}", order.name()).into_bytes();
            let kept = key.clone();
            self.keeps.push((None, vec![Change::Put { key, value }]));
            kept
        });
        self.put(order, contact, waiter, row);
    }

    /// Those that wait go out on a stream that is up, and a ping of that tag behind them.
    /// Whether there were some.
    pub(super) fn give<E>(&mut self, tag: u64, mut out: impl FnMut(Output<E>)) -> bool {
        let mut some = false;
        for given in self.given.iter_mut().filter(|given| given.behind.is_none()) {
            let mut presence = Presence::of(given.order.kind());
            presence.header.to = Some(given.contact.clone().into());
            out(Output::Transmit(presence.into()));
            given.behind = Some(tag);
            given.tries += 1;
            some = true;
        }
        if some {
            let request = Request::get(None, Ping.to_element());
            out(Output::Request { tag, request });
        }
        some
    }

    /// What became of the ping of that tag. False if it was none of these.
    pub(super) fn answered(&mut self, tag: u64, answer: Result<(), RequestError>) -> bool {
        if !self.given.iter().any(|given| given.behind == Some(tag)) {
            return false;
        }
        let mut kept = Vec::with_capacity(self.given.len());
        let mut rows = Vec::new();
        for mut given in self.given.drain(..) {
            if given.behind != Some(tag) {
                kept.push(given);
                continue;
            }
            let done = match &answer {
                Ok(()) | Err(RequestError::Refused { .. }) => Ok(()),
                Err(RequestError::Lost | RequestError::NotAsked { .. }) => {
                    given.behind = None;
                    kept.push(given);
                    continue;
                }
                Err(_) if given.tries < TRIES => {
                    given.behind = None;
                    kept.push(given);
                    continue;
                }
                Err(error) => Err(error.clone()),
            };
            rows.extend(given.row.map(|key| Change::Delete { key }));
            // Whoever waits for one has its row.
            self.ending.extend(given.waiter.map(|waiter| Ending {
                tag,
                waiter,
                result: done,
            }));
        }
        self.given = kept;
        if !rows.is_empty() {
            self.keeps.push((Some(tag), rows));
        }
        true
    }
}
