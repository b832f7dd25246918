//! A look at the history in a store's file beside the session that lives on it: for people
//! and their commands.

use std::ops::Range;

use stanchion_reliability::store::{SqliteReader, StoreError, WallTime};
use stanchion_stanza::BareJid;

use super::entry::{Conversation, Entry, Found, Place};
use super::{bounded, query};

/// Reads the history of a store that may have a live owner. Each call sees what is durable at
/// its time, holds up no writer, and blocks on the file as [`SqliteReader`] does. It gives
/// [`History::MOST`](super::History::MOST) entries at most.
#[derive(Debug)]
pub struct HistoryReader<'a>(&'a SqliteReader);

impl<'a> HistoryReader<'a> {
    /// The history in that file; one that was never written is empty.
    #[must_use]
    pub const fn new(reader: &'a SqliteReader) -> Self {
        Self(reader)
    }

    /// The latest messages right before that place and not older than that time, of one
    /// conversation or all, oldest first. Go on backwards from the place of the first.
    ///
    /// # Errors
    /// [`StoreError`], as of [`SqliteReader::look`].
    pub fn latest(
        &self,
        with: Option<&BareJid>,
        since: WallTime,
        before: Place,
        most: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let most = bounded(most);
        self.0
            .look(|tx| query::latest(tx, with, since, before, most))
    }

    /// As [`History::conversations`](super::History::conversations).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn conversations(&self, skip: usize, most: usize) -> Result<Vec<Conversation>, StoreError> {
        let (skip, most) = (i64::try_from(skip).unwrap_or(i64::MAX), bounded(most));
        self.0.look(|tx| query::conversations(tx, skip, most))
    }

    /// As [`History::search`](super::History::search), in messages that were sent at a time
    /// in that range.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn search(
        &self,
        text: &str,
        with: Option<&BareJid>,
        sent: &Range<WallTime>,
        most: usize,
    ) -> Result<Vec<Found>, StoreError> {
        let most = bounded(most);
        self.0.look(|tx| query::search(tx, text, with, sent, most))
    }
}
