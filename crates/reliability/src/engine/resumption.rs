//! What is kept of a stream, so that the next process can resume it (XEP-0198 §5): the
//! token, and the count `h` of stanzas that were handled on it. The counters are
//! `management`'s; the token is the driver's to use.
//!
//! # Why this neither loses nor repeats
//! - **The record is written in the batch that makes the stanzas durable**, so it never
//!   counts one that the store does not have. A stanza that needs no store (presence, an
//!   iq, a receipt) is counted with the next batch, or in one of its own when the server
//!   asks.
//! - **The server is told no more than what is on record.** So the count of the next
//!   process is never below one that the server has heard, which servers refuse; and it is
//!   above none of what they sent, which one server punishes by destroying the messages.
//! - **Of what the earlier process sent, the server's `h` tells nothing**: which stanzas
//!   these were is not known any more. Nothing is taken as acknowledged; the outbox sends
//!   again what has no outcome, and verdicts or receipts tell copies.
//! - **A resumption that fails**, in whatever way, ends in a new session, and the record is
//!   replaced by that one's or removed. A record that was not yet replaced when a process
//!   ended leads to the older session or to none: its count is as true as it was.
//! - **A store that was restored from a backup** has an old record. If its session still
//!   lives, the count is too low: a server refuses it, and there is a new session; or it
//!   sends what it still has, and what it does not have any more was kept by the history
//!   that the restore threw away. What comes a second time, the inbox knows. The count
//!   stays too low from then on, so nothing is acknowledged that was not received.
//!
//! With the token and the account's password a session can be taken over: it is kept where
//! the password may be, and stands in no log.

use bytes::{Buf as _, BufMut as _};
use stanchion_connect::ResumeToken;
use stanchion_stanza::{FullJid, Text};

use super::{Effect, Engine};
use crate::store::{Op, Opaque, STATE};

/// The one key, below [`STATE`].
const KEY: &str = "stream";
const VERSION: u8 = 1;
/// Bytes of a session's id and place, at most: they are written again with each batch.
const MOST: usize = 1024;

/// The stream that may be resumed.
#[derive(Debug, Default)]
pub(super) struct Resumable {
    token: Option<ResumeToken>,
    /// The store has another one than that, or has one although there is none.
    stale: bool,
    /// The store may have one.
    on_record: bool,
}

impl Resumable {
    pub(super) const fn is_stale(&self) -> bool {
        self.stale
    }

    /// There is none any more.
    pub(super) fn forget(&mut self) {
        self.token = None;
        self.stale = self.on_record;
    }

    fn is_kept(&self) -> bool {
        self.token.as_ref().is_some_and(|token| {
            let place = token.location.as_ref().map_or(0, |l| l.len());
            token.id.len() + place <= MOST
        })
    }
}

impl Engine {
    /// What is needed to resume the lost stream, or one that an earlier process had.
    #[must_use]
    pub fn resumption(&self) -> Option<ResumeToken> {
        let token = self.resumable.token.clone()?;
        Some(ResumeToken {
            h: self.management.h(),
            ..token
        })
    }

    /// The stream that there is can be resumed by that.
    pub(super) fn resumable(&mut self, token: Option<ResumeToken>) {
        let Some(token) = token else {
            self.resumable.forget();
            return self.management.record_no_more();
        };
        let same = |kept: &ResumeToken| {
            kept.id == token.id && kept.jid == token.jid && kept.location == token.location
        };
        if self.resumable.token.as_ref().is_some_and(same) {
            return;
        }
        self.resumable.token = Some(token);
        if self.resumable.is_kept() {
            self.management.record();
            self.resumable.stale = true;
        } else {
            self.resumable.stale = self.resumable.on_record;
        }
    }

    /// Takes a value of the store. Gives whether it was this one.
    pub(super) fn recall_stream(&mut self, key: &str, value: &Opaque) -> bool {
        if key.strip_prefix(STATE) != Some(KEY) {
            return false;
        }
        self.resumable.on_record = true;
        match read(value) {
            Some(token) => {
                self.management.inherit(token.h);
                self.resumable.token = Some(token);
            }
            None => {
                tracing::error!(key, "what the store has of a stream cannot be read");
                self.resumable.stale = true;
            }
        }
        true
    }

    /// What the next batch says of the stream, if it has to say anything.
    pub(super) fn record_stream(&mut self) {
        let stale = std::mem::take(&mut self.resumable.stale);
        let key = format!("{STATE}{KEY}");
        if !self.resumable.is_kept() {
            if stale {
                self.resumable.on_record = false;
                self.persist(Op::DeleteMeta { key }, Effect::None);
            }
            return;
        }
        for (_, effect) in &self.ops {
            if let Effect::Arrived { slot, .. }
            | Effect::Seated { slot, .. }
            | Effect::Known(slot) = effect
            {
                self.management.submitted(*slot);
            }
        }
        let (Some(token), Some((stream, h))) =
            (&self.resumable.token, self.management.submit_count(stale))
        else {
            return;
        };
        self.resumable.on_record = true;
        let value = write(token, h).into();
        self.persist(Op::PutMeta { key, value }, Effect::Recorded { stream, h });
    }
}

fn write(token: &ResumeToken, h: u32) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.put_u32_le(h);
    // 0 is no `max`, and says the same as none.
    bytes.put_u32_le(token.max_seconds.unwrap_or(0));
    let place = token.location.as_deref().unwrap_or_default();
    for text in [token.jid.as_str(), &token.id, place] {
        // Addresses have at most 3071 bytes, the rest at most `MOST`.
        bytes.put_u16_le(text.len() as u16);
        bytes.put_slice(text.as_bytes());
    }
    bytes
}

fn read(mut bytes: &[u8]) -> Option<ResumeToken> {
    if bytes.try_get_u8().ok()? != VERSION {
        return None;
    }
    let h = bytes.try_get_u32_le().ok()?;
    let max = bytes.try_get_u32_le().ok()?;
    let mut text = || {
        let length = bytes.try_get_u16_le().ok()?;
        let text = bytes.split_off(..usize::from(length))?;
        std::str::from_utf8(text).ok()
    };
    let (jid, id, place) = (text()?, text()?, text()?);
    let place = (!place.is_empty()).then(|| Text::new(place.to_owned()));
    Some(ResumeToken {
        jid: FullJid::new(jid).ok()?,
        id: Text::new(id.to_owned()).ok()?,
        h,
        max_seconds: (max > 0).then_some(max),
        location: place.transpose().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(location: Option<&'static str>, max_seconds: Option<u32>) -> ResumeToken {
        ResumeToken {
            jid: FullJid::new("lamp@home.example/a").unwrap(),
            id: Text::from_static("previous"),
            h: u32::MAX,
            max_seconds,
            location: location.map(Text::from_static),
        }
    }

    #[test]
    fn what_is_kept_of_a_stream_comes_back() {
        for token in [token(None, None), token(Some("a.example:5222"), Some(300))] {
            assert_eq!(read(&write(&token, token.h)), Some(token));
        }
    }

    #[test]
    fn a_record_that_is_cut_or_damaged_is_none() {
        let whole = write(&token(Some("a.example"), Some(1)), 7);
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None);
        }
        let mut other = whole;
        other[0] = 2;
        assert_eq!(read(&other), None);
    }
}
