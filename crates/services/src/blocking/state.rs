//! The list as the server last told it, and its pushes, which are believed from our own
//! account alone.

use std::collections::{BTreeSet, VecDeque};

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::blocking::{Block, BlockList, Unblock};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::{BareJid, Element, Iq, Jid, Payload as _, Stanza};

use crate::request::{MOST as WAITERS, Request, RequestError};
use crate::service::{Input, Output, Service, Taken};
use crate::waiter::Waiter;

/// Addresses that are remembered. A server that lists more is not followed further.
const MOST: usize = 10_000;

/// What observers hear.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockingEvent {
    /// These are blocked now, by whichever client of the account.
    Blocked(Vec<Jid>),
    /// These are not any more.
    Unblocked(Vec<Jid>),
    /// Nobody is.
    UnblockedAll,
}

type Listed = Waiter<Result<BTreeSet<Jid>, RequestError>>;

/// Whom the account blocks.
#[derive(Debug, Default)]
pub struct Blocks {
    account: Option<BareJid>,
    /// What the server said in this session, if it was asked.
    list: Option<BTreeSet<Jid>>,
    /// Somebody has asked: it is asked for in each session.
    wanted: bool,
    /// Which request is under way; an answer to an earlier one counts for nothing.
    asked: Option<u64>,
    next: u64,
    waiting: Vec<Listed>,
    outputs: VecDeque<Output<BlockingEvent>>,
}

impl Blocks {
    /// Tells the list, now or once it is known.
    pub fn list(&mut self, waiter: Listed) {
        self.wanted = true;
        if let Some(list) = &self.list {
            return waiter.answer(Ok(list.clone()));
        }
        if self.waiting.len() >= WAITERS {
            return waiter.answer(Err(RequestError::TooMany));
        }
        self.waiting.push(waiter);
        self.ask();
    }

    fn ask(&mut self) {
        if self.asked.is_none() {
            self.next += 1;
            self.asked = Some(self.next);
            self.outputs.push_back(Output::Request {
                tag: self.next,
                request: Request::get(None, BlockList::default().to_element()),
            });
        }
    }

    fn answered(&mut self, answer: Result<Option<Element>, RequestError>) {
        self.asked = None;
        let list = answer.and_then(|list| match list.as_ref().map(BlockList::from_element) {
            Some(Ok(list)) => Ok(list.jids.into_iter().take(MOST).collect::<BTreeSet<_>>()),
            Some(Err(error)) => Err(RequestError::Unreadable(error.to_string())),
            None => Err(RequestError::Unreadable(
                "<blocklist/> is missing".to_owned(),
            )),
        });
        for waiter in self.waiting.drain(..) {
            waiter.answer(list.clone());
        }
        self.list = list.ok();
    }

    /// A push (§3.3 to §3.5), unless it is somebody else's.
    fn pushed(&mut self, iq: &Iq) -> Taken {
        let IqKind::Set(change) = &iq.kind else {
            return Taken::No;
        };
        if !Block::matches(change) && !Unblock::matches(change) {
            return Taken::No;
        }
        let from = iq.header.from.as_ref();
        let account = self.account.as_deref();
        if from.is_some() && from != account {
            tracing::debug!(
                ?from,
                "a push of blocked addresses that is not the account's"
            );
            return Taken::No;
        }
        let answer = match self.change(change) {
            Some(()) => iq.result(None),
            None => iq.refuse(StanzaError::new(
                ErrorType::Modify,
                DefinedCondition::BadRequest,
            )),
        };
        self.outputs.push_back(Output::Transmit(answer.into()));
        Taken::Yes
    }

    fn change(&mut self, change: &Element) -> Option<()> {
        let event = if Block::matches(change) {
            let jids = Block::from_element(change).ok()?.jids;
            if let Some(list) = &mut self.list {
                let room = MOST.saturating_sub(list.len());
                list.extend(jids.iter().take(room).cloned());
            }
            BlockingEvent::Blocked(jids)
        } else {
            let jids = Unblock::from_element(change).ok()?.jids;
            match &mut self.list {
                Some(list) if jids.is_empty() => list.clear(),
                Some(list) => list.retain(|jid| !jids.contains(jid)),
                None => {}
            }
            match jids.is_empty() {
                true => BlockingEvent::UnblockedAll,
                false => BlockingEvent::Unblocked(jids),
            }
        };
        self.outputs.push_back(Output::Event(event));
        Some(())
    }
}

/// Whether an address is on the list, by itself or by something that it belongs to (§5).
pub(super) fn covers(list: &BTreeSet<Jid>, jid: &Jid) -> bool {
    let account = Jid::from(jid.to_bare());
    let domain = |resource| Jid::from_parts(None, jid.domain(), resource).ok();
    let whole = domain(None);
    // A server's own resource, and not somebody's of the same name.
    let part = jid.local().is_none().then(|| domain(jid.resource()));
    let listed = |jid: &Jid| list.contains(jid);
    listed(jid)
        || listed(&account)
        || part.flatten().as_ref().is_some_and(listed)
        || whole.as_ref().is_some_and(listed)
}

impl Service for Blocks {
    const NAME: &'static str = "blocking";
    type Event = BlockingEvent;

    fn handle(&mut self, _now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Up(up) => {
                let account = up.jid.to_bare();
                // Who reads on another server's stream has another list.
                if !up.resumed || self.account.as_ref() != Some(&account) {
                    self.list = None;
                }
                self.account = Some(account);
                if self.wanted && self.list.is_none() {
                    self.ask();
                }
            }
            Input::Answer { tag, answer } if self.asked == Some(tag) => {
                match answer {
                    // The stream of the request is gone; the next one is asked.
                    Err(RequestError::Lost) if !self.waiting.is_empty() => {
                        self.asked = None;
                        self.ask();
                    }
                    answer => self.answered(answer),
                }
            }
            Input::Stanza(Stanza::Iq(iq)) => return self.pushed(iq),
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<BlockingEvent> {
        self.outputs.pop_front().unwrap_or(Output::Wait(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{element, now, stanza, up};

    fn set(list: &[&str]) -> BTreeSet<Jid> {
        list.iter().map(|jid| jid.parse().unwrap()).collect()
    }

    /// One that has asked, and was told that `lamp@there.example` is blocked.
    fn listed() -> Blocks {
        let mut blocks = Blocks::default();
        let (waiter, mut answer) = Waiter::new();
        blocks.list(waiter);
        blocks.handle(now(0), Input::Up(&up(false, [])));
        let Output::Request { tag, .. } = blocks.poll_output() else {
            panic!("it does not ask")
        };
        assert!(matches!(blocks.poll_output(), Output::Wait(None)));
        let list =
            "<blocklist xmlns='urn:xmpp:blocking'><item jid='lamp@there.example'/></blocklist>";
        let answered = Ok(Some(element(list)));
        blocks.handle(
            now(1),
            Input::Answer {
                tag,
                answer: answered,
            },
        );
        assert_eq!(answer.try_recv().unwrap(), Ok(set(&["lamp@there.example"])));
        blocks
    }

    fn push(blocks: &mut Blocks, from: &str, what: &str) -> Taken {
        let push = format!("<iq type='set' id='p' {from}>{what}</iq>");
        blocks.handle(now(2), Input::Stanza(&stanza(&push)))
    }

    #[test]
    fn a_push_changes_the_list_and_is_answered() {
        let mut blocks = listed();
        let block = "<block xmlns='urn:xmpp:blocking'><item jid='door@there.example'/></block>";
        assert_eq!(push(&mut blocks, "", block), Taken::Yes);
        assert_eq!(
            blocks.list,
            Some(set(&["lamp@there.example", "door@there.example"]))
        );
        assert!(matches!(
            blocks.poll_output(),
            Output::Event(BlockingEvent::Blocked(_))
        ));
        assert!(
            matches!(blocks.poll_output(), Output::Transmit(Stanza::Iq(iq)) if matches!(iq.kind, IqKind::Result(None)))
        );
        let one = "<unblock xmlns='urn:xmpp:blocking'><item jid='lamp@there.example'/></unblock>";
        assert_eq!(push(&mut blocks, "from='me@home.example'", one), Taken::Yes);
        assert_eq!(blocks.list, Some(set(&["door@there.example"])));
        let all = "<unblock xmlns='urn:xmpp:blocking'/>";
        assert_eq!(push(&mut blocks, "", all), Taken::Yes);
        assert_eq!(blocks.list, Some(set(&[])));
    }

    #[test]
    fn a_push_of_somebody_else_changes_nothing() {
        let mut blocks = listed();
        let all = "<unblock xmlns='urn:xmpp:blocking'/>";
        for from in [
            "mallory@home.example",
            "home.example",
            "me@home.example/other",
        ] {
            assert_eq!(push(&mut blocks, &format!("from='{from}'"), all), Taken::No);
        }
        assert_eq!(blocks.list, Some(set(&["lamp@there.example"])));
        assert!(matches!(blocks.poll_output(), Output::Wait(None)));
    }

    #[test]
    fn a_broken_push_is_refused_and_does_not_unblock_everybody() {
        let mut blocks = listed();
        let broken = "<unblock xmlns='urn:xmpp:blocking'><item jid='@'/></unblock>";
        assert_eq!(push(&mut blocks, "", broken), Taken::Yes);
        assert_eq!(blocks.list, Some(set(&["lamp@there.example"])));
        assert!(
            matches!(blocks.poll_output(), Output::Transmit(Stanza::Iq(iq)) if matches!(iq.kind, IqKind::Error(..)))
        );
    }

    #[test]
    fn the_list_is_asked_for_anew_in_a_new_session_and_not_after_a_resumption() {
        let mut blocks = listed();
        blocks.handle(now(2), Input::Up(&up(true, [])));
        assert!(matches!(blocks.poll_output(), Output::Wait(None)));
        assert!(blocks.list.is_some());
        blocks.handle(now(3), Input::Up(&up(false, [])));
        assert_eq!(blocks.list, None);
        assert!(matches!(blocks.poll_output(), Output::Request { .. }));
    }

    #[test]
    fn an_address_is_blocked_along_with_what_it_belongs_to() {
        let list = set(&[
            "lamp@a.example",
            "b.example",
            "c.example/r",
            "door@d.example/r",
        ]);
        for (jid, blocked) in [
            ("lamp@a.example/x", true),
            ("lamp@a.example", true),
            ("door@a.example", false),
            ("anybody@b.example/x", true),
            ("b.example/x", true),
            ("c.example/r", true),
            ("c.example/s", false),
            ("somebody@c.example/r", false),
            ("door@d.example/r", true),
            ("door@d.example", false),
        ] {
            assert_eq!(covers(&list, &jid.parse().unwrap()), blocked, "{jid}");
        }
    }
}
