//! What was said in a room: kept up to a bound, given as history on entry (XEP-0045
//! §7.2.14) and as an archive by pages (XEP-0313).

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::payload::forward::Forwarded;
use stanchion_stanza::payload::mam::{ArchiveResult, Filter, Fin, Query};
use stanchion_stanza::payload::muc::History as Wanted;
use stanchion_stanza::payload::rsm::{Page, Position, Range};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};
use stanchion_stanza::{Message, Text};

use super::refusal;
use crate::router::StoredId;
use crate::stamp::{milliseconds, stamp};

/// Messages of a page at most.
const PAGE: usize = 100;
/// Messages of history on entry, if nothing else is asked for.
const ENTRY: usize = 20;

/// What was said.
#[derive(Debug, Default)]
pub(super) struct History {
    said: VecDeque<Said>,
    bytes: usize,
}

/// One message, as it was shown, without recipient.
#[derive(Debug)]
pub(super) struct Said {
    id: StoredId,
    since: SystemTime,
    message: Message,
    size: usize,
}

impl Said {
    pub(super) fn message(&self) -> Message {
        self.message.clone()
    }

    pub(super) const fn since(&self) -> SystemTime {
        self.since
    }

    fn archive_id(&self) -> Text {
        archive_id(self.id, self.since)
    }
}

/// The id of a message in the archive: never used twice, even by a hub that forgets what
/// it kept when it ends.
pub(super) fn archive_id(id: StoredId, since: SystemTime) -> Text {
    Text::new(format!("{:011x}-{:x}", milliseconds(since), id.0)).unwrap_or_default()
}

impl History {
    pub(super) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = StoredId> + '_ {
        self.said.iter().map(|said| said.id)
    }

    pub(super) fn restore(&mut self, id: StoredId, since: SystemTime, message: Message) {
        let size = rough_size(&message);
        self.push(id, since, message, size);
    }

    pub(super) fn push(&mut self, id: StoredId, since: SystemTime, message: Message, size: usize) {
        self.bytes += size;
        self.said.push_back(Said {
            id,
            since,
            message,
            size,
        });
    }

    /// Removes what is more than that, the oldest first.
    pub(super) fn trim(&mut self, messages: usize, bytes: usize) -> Vec<StoredId> {
        let mut gone = Vec::new();
        while self.said.len() > messages || self.bytes > bytes {
            let Some(oldest) = self.said.pop_front() else {
                break;
            };
            self.bytes -= oldest.size;
            gone.push(oldest.id);
        }
        gone
    }

    /// What somebody who enters is shown.
    pub(super) fn replay(&self, now: SystemTime, wanted: Option<&Wanted>) -> Vec<&Said> {
        let number = |n: Option<u32>| n.and_then(|n| usize::try_from(n).ok());
        let wanted = wanted.cloned().unwrap_or_default();
        let asks = wanted != Wanted::default();
        let most = number(wanted.maxstanzas).unwrap_or(if asks { usize::MAX } else { ENTRY });
        let mut chars = number(wanted.maxchars).unwrap_or(usize::MAX);
        let seconds = wanted.seconds.map(|s| Duration::from_secs(u64::from(s)));
        let earliest = seconds.and_then(|seconds| now.checked_sub(seconds));
        let since = wanted.since.as_deref();
        let mut shown: Vec<&Said> = Vec::new();
        for said in self.said.iter().rev().take(most) {
            let old = earliest.is_some_and(|earliest| said.since < earliest)
                || since.is_some_and(|since| is_before(&stamp(said.since), since));
            if old || said.size > chars {
                break;
            }
            chars -= said.size;
            shown.push(said);
        }
        shown.reverse();
        shown
    }

    /// A page of the archive (XEP-0313 §4), and its end.
    pub(super) fn page(&self, query: &Query) -> Result<(Vec<ArchiveResult>, Fin), StanzaError> {
        let filter = query.form.as_ref().map(Filter::from_form);
        let bad = || refusal(ErrorType::Modify, DefinedCondition::BadRequest);
        let filter = filter.transpose().map_err(|_| bad())?.unwrap_or_default();
        let time = |said: &Said, wanted: &Option<Text>, after: bool| {
            let at = stamp(said.since);
            wanted.as_ref().is_none_or(|wanted| match after {
                true => !is_before(&at, wanted),
                false => !is_before(wanted, &at),
            })
        };
        let mut found: Vec<&Said> = (self.said.iter())
            .filter(|said| time(said, &filter.start, true) && time(said, &filter.end, false))
            .collect();
        let count = found.len();
        let asked = query.page.clone().unwrap_or_default();
        let most = asked.max.and_then(|n| usize::try_from(n).ok());
        let most = most.unwrap_or(PAGE).min(PAGE);
        let missing = || refusal(ErrorType::Cancel, DefinedCondition::ItemNotFound);
        let place = |id: &Text| {
            let at = found.iter().position(|said| said.archive_id() == *id);
            at.ok_or_else(missing)
        };
        let (from, to) = match &asked.position {
            Position::First => (0, most.min(count)),
            Position::After(id) => {
                let from = place(id)? + 1;
                (from, (from + most).min(count))
            }
            Position::Before(id) => {
                let to = place(id)?;
                (to.saturating_sub(most), to)
            }
            Position::Last => (count.saturating_sub(most), count),
            Position::Index(_) => {
                let condition = DefinedCondition::FeatureNotImplemented;
                return Err(refusal(ErrorType::Cancel, condition));
            }
        };
        let backwards = matches!(asked.position, Position::Before(_) | Position::Last);
        let complete = if backwards { from == 0 } else { to == count };
        let page: Vec<&Said> = found.drain(from..to.max(from)).collect();
        let range = page.first().zip(page.last()).map(|(first, last)| Range {
            first: first.archive_id(),
            index: u32::try_from(from).ok(),
            last: last.archive_id(),
        });
        let mut results: Vec<_> = page
            .into_iter()
            .map(|said| ArchiveResult {
                queryid: query.queryid.clone(),
                id: said.archive_id(),
                forwarded: Forwarded {
                    delay: Some(Delay {
                        from: None,
                        stamp: stamp(said.since),
                        reason: None,
                    }),
                    ..Forwarded::of(&said.message.clone().into())
                },
            })
            .collect();
        if query.flip_page {
            results.reverse();
        }
        let fin = Fin {
            complete,
            page: Page {
                range,
                count: u32::try_from(count).ok(),
            },
            ..Fin::default()
        };
        Ok((results, fin))
    }
}

/// Whether one time in XEP-0082's form is before another; those that are not in UTC count
/// as they are written.
fn is_before(one: &str, other: &str) -> bool {
    let cut = |s: &str| s.trim_end_matches('Z').to_owned();
    cut(one) < cut(other)
}

/// About what it takes in memory.
pub(super) fn rough_size(message: &Message) -> usize {
    let texts = message.payloads.iter().map(|p| p.text().len() + 128);
    texts.sum::<usize>() + 256
}
