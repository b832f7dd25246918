//! What is read of the history: pages of a conversation, the conversations, searches. Each
//! answer has a bound.

use std::ops::Range;
use std::str::FromStr;

use stanchion_reliability::store::WallTime;
use stanchion_reliability::store::rusqlite::types::Type;
use stanchion_reliability::store::rusqlite::{
    self, OptionalExtension as _, Row, Transaction, params,
};
use stanchion_stanza::{BareJid, Jid};

use super::entry::{Conversation, Direction, Entry, Found, Place, Progress, Version};
use super::schema::exists;
use super::write::place;

/// Which part of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Page {
    /// The latest messages.
    #[default]
    Latest,
    /// Those right before that place: to go on backwards.
    Before(Place),
    /// Those right after it: to go on forwards.
    After(Place),
}

/// Words of a search that count; further ones do not.
const WORDS: usize = 16;
/// Words of a snippet.
const SNIPPET: i64 = 16;

/// The columns of an entry, in the order in which [`entry`] reads them.
const COLUMNS: &str = "h.at, h.id, h.conversation, h.direction, h.author, h.message_id, \
    h.origin_id, h.archive_id, h.thread, h.reply_to, h.replaces, h.body, h.edits, h.edited_at, \
    h.stage, h.why, h.mark, h.unread, h.markable";

fn entry(row: &Row<'_>) -> Result<Entry, rusqlite::Error> {
    let stage: Option<String> = row.get(14)?;
    let edited_at: Option<i64> = row.get(13)?;
    Ok(Entry {
        place: place(row)?,
        conversation: read(row, 2)?,
        direction: match row.get::<_, i64>(3)? {
            0 => Direction::In,
            _ => Direction::Out,
        },
        author: match row.get_ref(4)?.data_type() {
            Type::Null => None,
            _ => Some(read::<Jid>(row, 4)?),
        },
        id: row.get(5)?,
        origin_id: row.get(6)?,
        archive_id: row.get(7)?,
        thread: row.get(8)?,
        reply_to: row.get(9)?,
        replaces: row.get(10)?,
        body: row.get(11)?,
        edits: row.get(12)?,
        edited_at: edited_at.map(WallTime::from_unix_ms),
        progress: stage.as_deref().and_then(Progress::of_name),
        why: row.get(15)?,
        markable: row.get(18)?,
        displayed: row.get::<_, i64>(16)? >= 2,
        unread: row.get(17)?,
    })
}

fn read<T>(row: &Row<'_>, at: usize) -> Result<T, rusqlite::Error>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get::<_, String>(at)?
        .parse()
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(e)))
}

/// A page of a conversation, oldest first.
pub(super) fn page(
    tx: &Transaction<'_>,
    with: &BareJid,
    page: Page,
    most: i64,
) -> Result<Vec<Entry>, rusqlite::Error> {
    if !exists(tx)? {
        return Ok(Vec::new());
    }
    let (bound, order, at) = match page {
        Page::Latest => ("", "DESC", None),
        Page::Before(at) => ("AND (h.at, h.id) < (?3, ?4)", "DESC", Some(at)),
        Page::After(at) => ("AND (h.at, h.id) > (?3, ?4)", "ASC", Some(at)),
    };
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM app_stanchion_history AS h
         WHERE h.conversation = ?1 {bound} ORDER BY h.at {order}, h.id {order} LIMIT ?2"
    ))?;
    let rows = match at {
        None => statement.query_map(params![with.as_str(), most], entry)?,
        Some(at) => statement.query_map(
            params![with.as_str(), most, at.at.as_unix_ms(), at.row],
            entry,
        )?,
    };
    let mut entries = rows.collect::<Result<Vec<_>, _>>()?;
    if order == "DESC" {
        entries.reverse();
    }
    Ok(entries)
}

/// The latest messages right before that place and not older than that time, of one
/// conversation or all, oldest first.
pub(super) fn latest(
    tx: &Transaction<'_>,
    with: Option<&BareJid>,
    since: WallTime,
    before: Place,
    most: i64,
) -> Result<Vec<Entry>, rusqlite::Error> {
    if !exists(tx)? {
        return Ok(Vec::new());
    }
    // Two statements, so that each has its index.
    let of = match with {
        Some(_) => "h.conversation = ?1",
        None => "?1 = ''",
    };
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM app_stanchion_history AS h
         WHERE {of} AND h.at >= ?2 AND (h.at, h.id) < (?3, ?4)
         ORDER BY h.at DESC, h.id DESC LIMIT ?5"
    ))?;
    let with = with.map_or("", |with| with.as_str());
    let given = params![
        with,
        since.as_unix_ms(),
        before.at.as_unix_ms(),
        before.row,
        most
    ];
    let entries = statement.query_map(given, entry)?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.reverse();
    Ok(entries)
}

/// The message in that row.
pub(super) fn one(tx: &Transaction<'_>, row: i64) -> Result<Option<Entry>, rusqlite::Error> {
    if !exists(tx)? {
        return Ok(None);
    }
    tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM app_stanchion_history AS h WHERE h.id = ?1"
    ))?
    .query_row([row], entry)
    .optional()
}

/// Our last message of a conversation.
pub(super) fn last_own(
    tx: &Transaction<'_>,
    with: &BareJid,
) -> Result<Option<Entry>, rusqlite::Error> {
    if !exists(tx)? {
        return Ok(None);
    }
    tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM app_stanchion_history AS h
         WHERE h.conversation = ?1 AND h.direction = 1 ORDER BY h.at DESC, h.id DESC LIMIT 1"
    ))?
    .query_row([with.as_str()], entry)
    .optional()
}

/// Our own message of a conversation with that id.
pub(super) fn own(
    tx: &Transaction<'_>,
    with: &BareJid,
    id: &str,
) -> Result<Option<Entry>, rusqlite::Error> {
    if !exists(tx)? {
        return Ok(None);
    }
    tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM app_stanchion_history AS h
         WHERE h.message_id = ?2 AND h.conversation = ?1 AND h.direction = 1"
    ))?
    .query_row([with.as_str(), id], entry)
    .optional()
}

/// What a message was before it was corrected, oldest first.
pub(super) fn versions(tx: &Transaction<'_>, row: i64) -> Result<Vec<Version>, rusqlite::Error> {
    if !exists(tx)? {
        return Ok(Vec::new());
    }
    let mut statement = tx.prepare_cached(
        "SELECT before, at FROM app_stanchion_history_versions WHERE of = ?1 ORDER BY rowid",
    )?;
    let versions = statement.query_map([row], |row| {
        Ok(Version {
            body: row.get(0)?,
            until: WallTime::from_unix_ms(row.get(1)?),
        })
    })?;
    versions.collect()
}

/// The conversations, the latest first, from `skip` on.
pub(super) fn conversations(
    tx: &Transaction<'_>,
    skip: i64,
    most: i64,
) -> Result<Vec<Conversation>, rusqlite::Error> {
    if !exists(tx)? {
        return Ok(Vec::new());
    }
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {COLUMNS},
             (SELECT count(*) FROM app_stanchion_history AS u
              WHERE u.conversation = t.conversation AND u.unread = 1)
         FROM (SELECT conversation, latest FROM app_stanchion_history_talks
               ORDER BY latest DESC, conversation LIMIT ?2 OFFSET ?1) AS t
         JOIN app_stanchion_history AS h ON h.id =
             (SELECT id FROM app_stanchion_history AS l WHERE l.conversation = t.conversation
              ORDER BY l.at DESC, l.id DESC LIMIT 1)
         ORDER BY t.latest DESC, t.conversation"
    ))?;
    let conversations = statement.query_map([skip, most], |row| {
        let latest = entry(row)?;
        Ok(Conversation {
            with: latest.conversation.clone(),
            latest,
            unread: row.get::<_, i64>(19)?.unsigned_abs(),
        })
    })?;
    conversations.collect()
}

/// Messages with all of these words, those that came latest first; the last word may be the beginning of
/// one.
pub(super) fn search(
    tx: &Transaction<'_>,
    text: &str,
    with: Option<&BareJid>,
    sent: &Range<WallTime>,
    most: i64,
) -> Result<Vec<Found>, rusqlite::Error> {
    let Some(words) = match_of(text) else {
        return Ok(Vec::new());
    };
    if !exists(tx)? {
        return Ok(Vec::new());
    }
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {COLUMNS}, snippet(app_stanchion_history_words, 0, ?4, ?5, '…', {SNIPPET})
         FROM app_stanchion_history_words AS w JOIN app_stanchion_history AS h ON h.id = w.rowid
         WHERE app_stanchion_history_words MATCH ?1 AND ?2 IN ('', h.conversation)
           AND h.at >= ?6 AND h.at < ?7
         ORDER BY w.rowid DESC LIMIT ?3"
    ))?;
    let with = with.map_or("", |with| with.as_str());
    let (open, close) = (Found::OPEN.to_string(), Found::CLOSE.to_string());
    let (since, until) = (sent.start.as_unix_ms(), sent.end.as_unix_ms());
    let given = params![words, with, most, open, close, since, until];
    let found = statement.query_map(given, |row| {
        Ok(Found {
            entry: entry(row)?,
            snippet: row.get(19)?,
        })
    })?;
    found.collect()
}

/// What a person typed, as FTS5 wants it: each word a string of its own, so that none of it
/// is taken for syntax.
fn match_of(text: &str) -> Option<String> {
    let words = text
        .split_whitespace()
        .filter(|w| w.chars().any(char::is_alphanumeric));
    let words: Vec<_> = words
        .take(WORDS)
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    (!words.is_empty()).then(|| format!("{}*", words.join(" ")))
}

/// The ids of our messages after `row` that have no definite outcome, with their rows.
pub(super) fn open(
    tx: &Transaction<'_>,
    after: i64,
    most: i64,
) -> Result<Vec<(i64, String)>, rusqlite::Error> {
    if !exists(tx)? {
        return Ok(Vec::new());
    }
    let mut statement = tx.prepare_cached(
        "SELECT id, message_id FROM app_stanchion_history
         WHERE stage IN ('writing', 'accepted', 'server', 'in doubt') AND id > ?1
           AND message_id IS NOT NULL
         ORDER BY id LIMIT ?2",
    )?;
    let open = statement.query_map([after, most], |row| Ok((row.get(0)?, row.get(1)?)))?;
    open.collect()
}
