//! Requests of ours, those under way, and their answers: matched by id and by sender
//! (RFC 6120 §8.1.3, §8.2.3), so that nobody can answer for another. Plain data; who waits
//! for an answer, and the clock, are `host`'s.

use std::collections::HashMap;
use std::time::Duration;

use stanchion_stanza::stanza::{IqKind, StanzaError};
use stanchion_stanza::{BareJid, Element, Iq, Jid, Text};

/// Requests that may be under way at once.
pub const MOST: usize = 1024;

/// A question, and how long to wait for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whom; none for our own account at its server.
    pub to: Option<Jid>,
    /// To ask or to order.
    pub kind: RequestKind,
    /// From now on, the time until there is a stream included.
    pub within: Duration,
}

/// What a request does (RFC 6120 §8.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKind {
    /// Asks.
    Get(Element),
    /// Orders.
    Set(Element),
}

impl Request {
    /// How long an answer may take unless it is said otherwise.
    pub const WITHIN: Duration = Duration::from_secs(30);

    /// Asks, for [`Request::WITHIN`].
    #[must_use]
    pub const fn get(to: Option<Jid>, what: Element) -> Self {
        Self {
            to,
            kind: RequestKind::Get(what),
            within: Self::WITHIN,
        }
    }

    /// Orders, for [`Request::WITHIN`].
    #[must_use]
    pub const fn set(to: Option<Jid>, what: Element) -> Self {
        Self {
            to,
            kind: RequestKind::Set(what),
            within: Self::WITHIN,
        }
    }

    /// The same, for so long.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }
}

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Whoever was asked refused.
    #[error("{} refused: {error}", name_of(.by.as_ref()))]
    Refused {
        /// Who.
        by: Option<Jid>,
        /// Why.
        error: Box<StanzaError>,
        /// What stood beside it: the request as it came back, or a form that is wanted
        /// first (XEP-0077 §3.3).
        beside: Option<Box<Element>>,
    },
    /// The answer is none to that question.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// No answer came in time. The request may have had its effect.
    #[error("no answer came from {} within {within:?}", name_of(.to.as_ref()))]
    TimedOut {
        /// Who was asked.
        to: Option<Jid>,
        /// For how long.
        within: Duration,
    },
    /// There was no stream all the while: nothing was asked.
    #[error("there was no connection for {within:?}, so nothing was asked")]
    NotAsked {
        /// For how long.
        within: Duration,
    },
    /// The stream was lost before the answer. The request may have had its effect.
    #[error("the connection was lost before the answer came")]
    Lost,
    /// The server does not offer what that takes.
    #[error("the server does not offer {what}, so nothing was asked")]
    NotOffered {
        /// What.
        what: &'static str,
    },
    /// Too many are under way.
    #[error("{MOST} requests are under way; wait for some")]
    TooMany,
    /// The services have ended.
    #[error("the client has ended")]
    Closed,
}

impl RequestError {
    /// What whoever was asked said, if it refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&StanzaError> {
        match self {
            Self::Refused { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Whether the request had no effect, and asking again at another time may help.
    #[must_use]
    pub const fn is_without_effect(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::NotAsked { .. } | Self::TooMany
        )
    }
}

fn name_of(jid: Option<&Jid>) -> &str {
    jid.map_or("the server", Jid::as_str)
}

/// The requests under way, each with the owner `O` who waits.
#[derive(Debug)]
pub struct Outstanding<O> {
    /// Nobody else can guess an id.
    secret: u64,
    next: u64,
    by_id: HashMap<String, Asked<O>>,
    account: Option<BareJid>,
}

#[derive(Debug)]
struct Asked<O> {
    owner: O,
    request: Request,
    due: Duration,
    transmitted: bool,
}

impl<O> Outstanding<O> {
    /// None under way. `secret` is random.
    #[must_use]
    pub fn new(secret: u64) -> Self {
        Self {
            secret,
            next: 0,
            by_id: HashMap::new(),
            account: None,
        }
    }

    /// Takes one, and gives its id.
    ///
    /// # Errors
    /// The owner, if too many are under way.
    pub fn add(&mut self, now: Duration, request: Request, owner: O) -> Result<String, O> {
        if self.by_id.len() >= MOST {
            return Err(owner);
        }
        self.next += 1;
        let id = format!("q{:x}-{:x}", self.secret, self.next);
        let due = now.saturating_add(request.within);
        let asked = Asked {
            owner,
            request,
            due,
            transmitted: false,
        };
        self.by_id.insert(id.clone(), asked);
        Ok(id)
    }

    /// The stanza of one that is to go out now.
    pub fn transmit(&mut self, id: &str) -> Option<Iq> {
        let asked = self.by_id.get_mut(id)?;
        asked.transmitted = true;
        let kind = match &asked.request.kind {
            RequestKind::Get(what) => IqKind::Get(what.clone()),
            RequestKind::Set(what) => IqKind::Set(what.clone()),
        };
        let mut iq = Iq {
            header: stanchion_stanza::stanza::Header::default(),
            kind,
        };
        iq.header.to.clone_from(&asked.request.to);
        iq.header.id = Text::new(id).ok();
        Some(iq)
    }

    /// A stream of that account is up. Gives the ids of those that wait to be transmitted,
    /// and the owners of those that were lost with the stream before.
    pub fn up(&mut self, account: BareJid, resumed: bool) -> (Vec<String>, Vec<O>) {
        self.account = Some(account);
        let lost: Vec<String> = match resumed {
            true => Vec::new(),
            false => self.ids(|asked| asked.transmitted),
        };
        let lost = lost.iter().filter_map(|id| self.by_id.remove(id));
        let lost = lost.map(|asked| asked.owner).collect();
        (self.ids(|asked| !asked.transmitted), lost)
    }

    fn ids(&self, which: impl Fn(&Asked<O>) -> bool) -> Vec<String> {
        let mut ids: Vec<_> = (self.by_id.iter())
            .filter(|(_, asked)| which(asked))
            .map(|(id, _)| id.clone())
            .collect();
        // In the order in which they were asked: ids have one length or grow.
        ids.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        ids
    }

    /// Who waited for this answer, and what it says; none if it is no answer to anything,
    /// or not from whom was asked.
    pub fn answered(&mut self, iq: &Iq) -> Option<(O, Result<Option<Element>, RequestError>)> {
        let id = iq.header.id.as_deref()?;
        let asked = self.by_id.get(id)?;
        let from = iq.header.from.as_ref();
        if !asked.transmitted || !self.may_answer(asked.request.to.as_ref(), from) {
            tracing::debug!(?from, id, "an answer from somebody who was not asked");
            return None;
        }
        let answer = match &iq.kind {
            IqKind::Result(result) => Ok(result.clone()),
            IqKind::Error(error, beside) => Err(RequestError::Refused {
                by: from.cloned(),
                error: Box::new(error.clone()),
                beside: beside.clone().map(Box::new),
            }),
            IqKind::Get(_) | IqKind::Set(_) => return None,
        };
        let asked = self.by_id.remove(id)?;
        Some((asked.owner, answer))
    }

    /// An account's server answers for it without address or with the bare one
    /// (RFC 6120 §10.3.3).
    fn may_answer(&self, asked: Option<&Jid>, from: Option<&Jid>) -> bool {
        let account = self.account.as_deref().map(Jid::as_str);
        let is_account = |jid: &Jid| Some(jid.as_str()) == account;
        match (asked, from) {
            (Some(asked), Some(from)) => asked == from,
            (None, Some(from)) => is_account(from),
            (Some(asked), None) => is_account(asked),
            (None, None) => true,
        }
    }

    /// Removes those whose time is over.
    pub fn expired(&mut self, now: Duration) -> Vec<(O, RequestError)> {
        let ids = self.ids(|asked| asked.due <= now);
        let expired = ids.iter().filter_map(|id| self.by_id.remove(id));
        expired
            .map(|asked| {
                let Request { to, within, .. } = asked.request;
                let error = match asked.transmitted {
                    true => RequestError::TimedOut { to, within },
                    false => RequestError::NotAsked { within },
                };
                (asked.owner, error)
            })
            .collect()
    }

    /// When the first one's time is over.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.by_id.values().map(|asked| asked.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_stanza::Payload as _;
    use stanchion_stanza::payload::ping::Ping;
    use stanchion_stanza::stanza::{DefinedCondition, ErrorType};

    const NOW: Duration = Duration::from_secs(100);

    fn asked(to: Option<&str>) -> (Outstanding<u8>, String) {
        let mut outstanding = Outstanding::new(7);
        outstanding.up("me@here.example".parse().unwrap(), false);
        let to = to.map(|to| to.parse().unwrap());
        let request = Request::get(to, Ping.to_element()).within(Duration::from_secs(5));
        let id = outstanding.add(NOW, request, 1).unwrap();
        outstanding.transmit(&id).unwrap();
        (outstanding, id)
    }

    fn answer(id: &str, from: Option<&str>) -> Iq {
        let mut iq = Iq::get(None, Text::new(id).unwrap(), &Ping).result(None);
        iq.header.from = from.map(|from| from.parse().unwrap());
        iq
    }

    #[test]
    fn only_whoever_was_asked_can_answer() {
        let (mut outstanding, id) = asked(Some("lamp@there.example/a"));
        for from in [
            None,
            Some("lamp@there.example"),
            Some("lamp@there.example/b"),
            Some("mallory@there.example/a"),
            Some("me@here.example"),
        ] {
            assert_eq!(outstanding.answered(&answer(&id, from)), None, "{from:?}");
        }
        let right = answer(&id, Some("lamp@there.example/a"));
        assert_eq!(outstanding.answered(&right), Some((1, Ok(None))));
        assert_eq!(outstanding.answered(&right), None, "a second time");
    }

    #[test]
    fn an_account_is_answered_by_its_server_alone() {
        for from in [None, Some("me@here.example")] {
            let (mut outstanding, id) = asked(None);
            assert!(outstanding.answered(&answer(&id, from)).is_some());
            let (mut outstanding, id) = asked(Some("me@here.example"));
            assert!(outstanding.answered(&answer(&id, from)).is_some());
        }
        let (mut outstanding, id) = asked(None);
        for from in ["mallory@here.example", "here.example", "me@here.example/x"] {
            assert_eq!(outstanding.answered(&answer(&id, Some(from))), None);
        }
    }

    #[test]
    fn what_was_not_transmitted_cannot_be_answered_and_says_so() {
        let mut outstanding = Outstanding::new(7);
        let request = Request::get(None, Ping.to_element());
        let id = outstanding.add(NOW, request.clone(), 1).unwrap();
        assert_eq!(outstanding.answered(&answer(&id, None)), None);
        assert_eq!(outstanding.due(), Some(NOW + Request::WITHIN));
        let within = Request::WITHIN;
        assert_eq!(
            outstanding.expired(NOW + Request::WITHIN),
            [(1, RequestError::NotAsked { within })]
        );
        let id = outstanding.add(NOW, request, 2).unwrap();
        outstanding.transmit(&id);
        let expired = outstanding.expired(NOW + Request::WITHIN);
        assert!(matches!(
            expired[..],
            [(2, RequestError::TimedOut { to: None, .. })]
        ));
    }

    #[test]
    fn a_lost_stream_ends_what_was_asked_on_it_unless_it_is_resumed() {
        let (mut outstanding, id) = asked(None);
        let me = || "me@here.example".parse().unwrap();
        assert_eq!(outstanding.up(me(), true), (vec![], vec![]));
        let request = Request::get(None, Ping.to_element());
        let second = outstanding.add(NOW, request, 2).unwrap();
        assert_eq!(outstanding.up(me(), false), (vec![second], vec![1]));
        assert_eq!(outstanding.answered(&answer(&id, None)), None);
    }

    #[test]
    fn a_refusal_says_who_and_why() {
        let (mut outstanding, id) = asked(Some("lamp@there.example/a"));
        let mut iq = answer(&id, Some("lamp@there.example/a"));
        let error = StanzaError::new(ErrorType::Auth, DefinedCondition::Forbidden);
        iq.kind = IqKind::Error(error, None);
        let (_, answer) = outstanding.answered(&iq).unwrap();
        let error = answer.unwrap_err();
        assert!(error.is_without_effect());
        assert_eq!(error.to_string(), "lamp@there.example/a refused: forbidden");
    }

    #[test]
    fn more_than_the_bound_are_refused() {
        let mut outstanding = Outstanding::new(7);
        let request = Request::get(None, Ping.to_element());
        for n in 0..MOST {
            assert!(outstanding.add(NOW, request.clone(), n).is_ok());
        }
        assert_eq!(outstanding.add(NOW, request, MOST), Err(MOST));
    }
}
