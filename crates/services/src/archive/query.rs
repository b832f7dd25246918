//! Queries of archives that are under way (XEP-0313 §4), and what came for each. A result is
//! believed only from the archive that was asked, with the id of a query that is open (§8.2);
//! ids are secret.

use std::collections::BTreeMap;

use stanchion_stanza::payload::mam::{ArchiveResult, Fin, Query};
use stanchion_stanza::payload::rsm::{Page, Range};
use stanchion_stanza::{
    BareJid, Element, Encoder, Jid, Limits, Message, Payload as _, Scope, Text,
};

use crate::request::RequestError;

/// Queries that may be under way at once.
pub(super) const MOST: usize = 16;
/// Messages of one page at most, whatever the archive sends.
pub const PAGE: u32 = 250;
/// Bytes of one page, about; one message at least.
const BYTES: usize = 4 * 1024 * 1024;

/// A message of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// Its id there.
    pub id: Text,
    /// When the archive received it, as XEP-0082 writes it.
    pub stamp: Option<Text>,
    /// The message; none if the archive has it no more, or it cannot be read.
    pub message: Option<Message>,
}

/// A page of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchivePage {
    /// Its messages, in the order in which they were sent.
    pub messages: Vec<Archived>,
    /// Whether there is nothing beyond it.
    pub complete: bool,
    /// Whether it will be the same when it is asked for again; if not, read it once more
    /// later (XEP-0313 §4.3.2).
    pub stable: bool,
    /// Where it begins and ends, and how many messages meet the query, as far as the archive
    /// says.
    pub page: Page,
}

/// What became of a query.
pub type Outcome = Result<ArchivePage, RequestError>;

/// Who waits for it.
pub type Reply = Box<dyn FnOnce(Outcome) + Send>;

struct Open<O> {
    owner: O,
    /// Whom; none for our own account.
    of: Option<Jid>,
    queryid: Text,
    most: usize,
    messages: Vec<Archived>,
    bytes: usize,
    /// More came than fits.
    cut: bool,
}

/// The queries under way, each with the owner `O` who waits.
pub(crate) struct Queries<O> {
    secret: u64,
    next: u64,
    open: BTreeMap<u64, Open<O>>,
    encoder: Encoder,
}

impl<O> Queries<O> {
    pub(crate) fn new(secret: u64) -> Self {
        let limits = Limits::default().with_stanza_bytes(16 * 1024 * 1024);
        Self {
            secret,
            next: 0,
            open: BTreeMap::new(),
            encoder: Encoder::new(Scope::client(), limits),
        }
    }

    /// Begins one: gives its tag, and the query with its id.
    ///
    /// # Errors
    /// The owner, if too many are under way.
    pub(crate) fn begin(
        &mut self,
        of: Option<Jid>,
        mut query: Query,
        owner: O,
    ) -> Result<(u64, Element), O> {
        if self.open.len() >= MOST {
            return Err(owner);
        }
        self.next += 1;
        let queryid = format!("a{:x}-{:x}", self.secret, self.next);
        let queryid = Text::new(queryid).unwrap_or_default();
        query.queryid = Some(queryid.clone());
        let page = query.page.get_or_insert_default();
        let most = page.max.unwrap_or(PAGE).min(PAGE);
        page.max = Some(most);
        let element = query.to_element();
        self.open.insert(
            self.next,
            Open {
                owner,
                of,
                queryid,
                most: most as usize,
                messages: Vec::new(),
                bytes: 0,
                cut: false,
            },
        );
        Ok((self.next, element))
    }

    /// Takes a result in. False if the message is none, or of nobody who was asked.
    pub(crate) fn result(&mut self, message: &Message, account: Option<&BareJid>) -> bool {
        let Some(result) = message.payloads.iter().find(|p| ArchiveResult::matches(p)) else {
            return false;
        };
        let from = message.header.from.as_ref();
        let id = result.attr("queryid").unwrap_or_default();
        let open = self.open.values_mut();
        let mut asked = open.filter(|open| open.queryid == id && open.is_from(from, account));
        let Some(open) = asked.next() else {
            tracing::debug!(?from, id, "a result of an archive that was not asked");
            return false;
        };
        let Ok(result) = ArchiveResult::from_element(result) else {
            return true;
        };
        let size = result.forwarded.element.as_ref().map_or(0, |element| {
            self.encoder
                .to_bytes(element)
                .map_or(0, |bytes| bytes.len())
        });
        let full = open.messages.len() >= open.most
            || (open.bytes + size > BYTES && !open.messages.is_empty());
        // From the first one on that does not fit, so that there is no gap.
        open.cut |= full;
        if open.cut {
            return true;
        }
        open.bytes += size;
        let stanza = result.forwarded.element.map(Message::from_element);
        open.messages.push(Archived {
            id: result.id,
            stamp: result.forwarded.delay.map(|delay| delay.stamp),
            message: stanza.and_then(Result::ok),
        });
        true
    }

    /// The end of a page.
    pub(crate) fn answered(
        &mut self,
        tag: u64,
        answer: Result<Option<Element>, RequestError>,
    ) -> Option<(O, Outcome)> {
        let open = self.open.remove(&tag)?;
        let outcome = answer.and_then(|fin| match fin.as_ref().map(Fin::from_element) {
            Some(Ok(fin)) => Ok(fin),
            Some(Err(error)) => Err(RequestError::Unreadable(error.to_string())),
            None => Err(RequestError::Unreadable("<fin/> is missing".to_owned())),
        });
        let outcome = outcome.map(|fin| {
            let mut page = fin.page;
            if open.cut {
                // The page ends where we stopped.
                let ends = open.messages.first().zip(open.messages.last());
                page.range = ends.map(|(first, last)| Range {
                    first: first.id.clone(),
                    index: page.range.as_ref().and_then(|range| range.index),
                    last: last.id.clone(),
                });
            }
            ArchivePage {
                messages: open.messages,
                complete: fin.complete && !open.cut,
                stable: fin.stable,
                page,
            }
        });
        Some((open.owner, outcome))
    }
}

impl<O> Open<O> {
    fn is_from(&self, from: Option<&Jid>, account: Option<&BareJid>) -> bool {
        let is_account = |jid: &Jid| account.is_some_and(|a| a.as_str() == jid.as_str());
        match (&self.of, from) {
            (Some(of), Some(from)) => of == from,
            (Some(of), None) => is_account(of),
            (None, Some(from)) => is_account(from),
            (None, None) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_stanza::codec::parse_element;

    fn account() -> BareJid {
        "me@near.example".parse().unwrap()
    }

    fn message(xml: &str) -> Message {
        let element = parse_element(xml.as_bytes(), &Scope::client(), &Limits::default());
        Message::from_element(element.unwrap()).unwrap()
    }

    fn result(from: &str, queryid: &str, n: usize, body: &str) -> Message {
        message(&format!(
            "<message {from}><result xmlns='urn:xmpp:mam:2' queryid='{queryid}' id='i{n}'>\
             <forwarded xmlns='urn:xmpp:forward:0'>\
             <delay xmlns='urn:xmpp:delay' stamp='2023-11-14T22:13:20Z'/>\
             <message xmlns='jabber:client' from='a@b' type='chat'><body>{body}</body></message>\
             </forwarded></result></message>"
        ))
    }

    fn fin(complete: bool) -> Result<Option<Element>, RequestError> {
        Ok(Some(
            Fin {
                complete,
                ..Fin::default()
            }
            .to_element(),
        ))
    }

    fn begin(queries: &mut Queries<u8>, of: Option<&str>, max: Option<u32>) -> (u64, String) {
        let of = of.map(|of| of.parse().unwrap());
        let mut query = Query::default();
        query.page.get_or_insert_default().max = max;
        let (tag, element) = queries.begin(of, query, 7).ok().unwrap();
        (tag, element.attr("queryid").unwrap().to_owned())
    }

    #[test]
    fn only_the_archive_that_was_asked_is_believed_and_only_for_its_query() {
        let mut queries = Queries::new(5);
        let (own, own_id) = begin(&mut queries, None, None);
        let (room, room_id) = begin(&mut queries, Some("room@conf.example"), None);
        let account = account();
        let mut take =
            |from: &str, id: &str| queries.result(&result(from, id, 1, "b"), Some(&account));
        for (from, id) in [
            ("from='mallory@far.example'", own_id.as_str()),
            ("from='near.example'", &own_id),
            ("from='me@near.example/other'", &own_id),
            ("from='room@conf.example'", &own_id),
            ("from='me@near.example'", &room_id),
            ("from='room@conf.example/ann'", &room_id),
            ("", &room_id),
            ("from='me@near.example'", "a5-9"),
            ("from='me@near.example'", ""),
        ] {
            assert!(!take(from, id), "{from} {id}");
        }
        assert!(take("", &own_id));
        assert!(take("from='me@near.example'", &own_id));
        assert!(take("from='room@conf.example'", &room_id));
        let (owner, page) = queries.answered(own, fin(true)).unwrap();
        assert_eq!((owner, page.unwrap().messages.len()), (7, 2));
        let late = result("from='me@near.example'", &own_id, 2, "b");
        assert!(!queries.result(&late, Some(&account)), "the query is over");
        assert_eq!(
            queries
                .answered(room, fin(true))
                .unwrap()
                .1
                .unwrap()
                .messages
                .len(),
            1
        );
        assert!(queries.answered(room, fin(true)).is_none());
    }

    #[test]
    fn a_page_that_is_longer_than_asked_for_is_cut_without_a_gap() {
        let mut queries = Queries::new(5);
        let (tag, id) = begin(&mut queries, None, Some(3));
        for n in 0..10 {
            assert!(queries.result(&result("", &id, n, "b"), None));
        }
        let page = queries.answered(tag, fin(true)).unwrap().1.unwrap();
        assert_eq!(page.messages.len(), 3);
        assert!(!page.complete);
        assert_eq!(page.page.range.unwrap().last, "i2");
    }

    #[test]
    fn a_page_is_bounded_in_bytes_too() {
        let mut queries = Queries::new(5);
        let (tag, id) = begin(&mut queries, None, None);
        let body = "x".repeat(200_000);
        for n in 0..50 {
            queries.result(&result("", &id, n, &body), None);
        }
        queries.result(&result("", &id, 50, "small"), None);
        let page = queries.answered(tag, fin(true)).unwrap().1.unwrap();
        assert_eq!(page.messages.len(), BYTES / 200_200);
        assert!(!page.complete);
    }

    #[test]
    fn no_more_than_the_bound_are_open() {
        let mut queries = Queries::new(5);
        for _ in 0..MOST {
            begin(&mut queries, None, None);
        }
        assert!(queries.begin(None, Query::default(), 1).is_err());
    }
}
