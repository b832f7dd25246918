//! What is ordered by presence (RFC 6121 §3), which no server answers: each order is
//! followed by a ping to our own account. Servers take stanzas in order (RFC 6120 §10.1),
//! so its answer, whatever it is, says that they have the order. Until then an order is
//! given again on each new session; twice is as good as once.

use stanchion_stanza::payload::ping::Ping;
use stanchion_stanza::stanza::PresenceType;
use stanchion_stanza::{BareJid, Payload as _, Presence};

use crate::request::RequestError;
use crate::service::{Output, Request};
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
    /// The ping behind it, if it went out.
    behind: Option<u64>,
    tries: u32,
}

/// Orders that a server has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Orders(Vec<Given>);

impl Orders {
    /// Takes one. Nobody needs to wait for it; then it is left out if the same is under
    /// way.
    pub(super) fn add(&mut self, order: Order, contact: BareJid, waiter: Option<Done>) {
        let same = |given: &Given| given.order == order && given.contact == contact;
        if waiter.is_none() && self.0.iter().any(same) {
            return;
        }
        if self.0.len() >= MOST {
            if let Some(waiter) = waiter {
                waiter.answer(Err(RequestError::TooMany));
            }
            return;
        }
        self.0.push(Given {
            order,
            contact,
            waiter,
            behind: None,
            tries: 0,
        });
    }

    /// Those that wait go out on a stream that is up, and a ping of that tag behind them.
    /// Whether there were some.
    pub(super) fn give<E>(&mut self, tag: u64, mut out: impl FnMut(Output<E>)) -> bool {
        let mut some = false;
        for given in self.0.iter_mut().filter(|given| given.behind.is_none()) {
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
        if !self.0.iter().any(|given| given.behind == Some(tag)) {
            return false;
        }
        let mut kept = Vec::with_capacity(self.0.len());
        for mut given in self.0.drain(..) {
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
            if let Some(waiter) = given.waiter {
                waiter.answer(done);
            }
        }
        self.0 = kept;
        true
    }
}
