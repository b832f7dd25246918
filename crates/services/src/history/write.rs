//! What goes into the history, in the store's transaction: messages and their corrections,
//! outcomes, markers; and what goes out of it again for its age or number.

use stanchion_reliability::store::WallTime;
use stanchion_reliability::store::rusqlite::{self, OptionalExtension as _, Transaction, params};
use stanchion_stanza::BareJid;

use super::HistoryConfig;
use super::entry::{Direction, Place, Progress};
use super::note::{MessageNote, Note};
use super::schema::exists;

/// Earlier versions that are kept of one message; the oldest go.
const VERSIONS: i64 = 32;
/// Messages that one new one may drive out for their age: the history shrinks soon, and no
/// transaction is long.
const AT_ONCE: i64 = 64;

/// What became of a message that was to go into the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recorded {
    /// It is there now.
    New(Place),
    /// It was there before.
    Known(Place),
    /// It corrected the one that stands there.
    Corrected(Place),
}

impl Recorded {
    /// Where it is, or what it corrected.
    #[must_use]
    pub const fn place(self) -> Place {
        let (Self::New(place) | Self::Known(place) | Self::Corrected(place)) = self;
        place
    }
}

impl Direction {
    pub(super) const fn number(self) -> i64 {
        match self {
            Self::In => 0,
            Self::Out => 1,
        }
    }
}

/// Carries a note out. The tables are there.
pub(crate) fn apply(tx: &Transaction<'_>, note: &Note) -> Result<(), rusqlite::Error> {
    match note {
        Note::Message(message) => message_in(tx, message).map(drop),
        Note::Progress { id, progress, why } => {
            // What is final stays so: an outcome may be told twice, in any order with what
            // was looked up.
            tx.prepare_cached(
                "UPDATE app_stanchion_history SET stage = ?2, why = ?3
                 WHERE message_id = ?1 AND direction = 1
                   AND stage IN ('writing', 'accepted', 'server', 'in doubt')",
            )?
            .execute(params![id, progress.name(), why])
            .map(drop)
        }
        Note::Unsent { id } => {
            unwrite(tx, id)?;
            let progress = Progress::Unknown;
            let (id, why) = (id.clone(), None);
            apply(tx, &Note::Progress { id, progress, why })
        }
        Note::Displayed { conversation, id } => {
            let Some(up_to) = named(tx, conversation, Direction::Out, id)? else {
                return Ok(());
            };
            tx.prepare_cached(
                "UPDATE app_stanchion_history SET mark = 2
                 WHERE conversation = ?1 AND (at, id) <= (?2, ?3) AND direction = 1 AND mark < 2",
            )?
            .execute(params![
                conversation.as_str(),
                up_to.at.as_unix_ms(),
                up_to.row
            ])
            .map(drop)
        }
        Note::ReadElsewhere { conversation, id } => {
            match named(tx, conversation, Direction::In, id)? {
                Some(up_to) => read_up_to(tx, conversation, up_to).map(drop),
                None => Ok(()),
            }
        }
    }
}

/// Puts a message in, once. The tables are there.
pub(crate) fn message_in(
    tx: &Transaction<'_>,
    note: &MessageNote,
) -> Result<Recorded, rusqlite::Error> {
    if let Some(place) = known(tx, note)? {
        return Ok(Recorded::Known(place));
    }
    if let Some(id) = &note.replaces
        && let Some(recorded) = correct(tx, note, id)?
    {
        return Ok(recorded);
    }
    let unread = note.direction == Direction::In;
    tx.prepare_cached(
        "INSERT INTO app_stanchion_history
             (conversation, direction, author, key, message_id, origin_id, archive_id, thread,
              reply_to, replaces, body, at, stage, unread, markable)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        note.conversation.as_str(),
        note.direction.number(),
        note.author.as_ref().map(|author| author.as_str()),
        note.key,
        note.id,
        note.origin_id,
        note.archive_id,
        note.thread,
        note.reply_to,
        note.replaces,
        note.body,
        note.at.as_unix_ms(),
        note.progress.map(|progress| progress.name()),
        unread,
        note.markable,
    ])?;
    let row = tx.last_insert_rowid();
    tx.prepare_cached(
        "INSERT INTO app_stanchion_history_talks VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET latest = max(latest, excluded.latest)",
    )?
    .execute(params![note.conversation.as_str(), note.at.as_unix_ms()])?;
    forget_old(tx, row)?;
    Ok(Recorded::New(Place { at: note.at, row }))
}

/// Whether the message is there; a copy may know more of it.
fn known(tx: &Transaction<'_>, note: &MessageNote) -> Result<Option<Place>, rusqlite::Error> {
    let place = tx
        .prepare_cached(
            "SELECT at, id FROM app_stanchion_history
             WHERE conversation = ?1 AND direction = ?2 AND key = ?3",
        )?
        .query_row(
            params![
                note.conversation.as_str(),
                note.direction.number(),
                note.key
            ],
            place,
        )
        .optional()?;
    if let (Some(place), Some(archived)) = (place, &note.archive_id) {
        tx.prepare_cached(
            "UPDATE app_stanchion_history SET archive_id = ?2
             WHERE id = ?1 AND archive_id IS NULL",
        )?
        .execute(params![place.row, archived])?;
    }
    Ok(place)
}

/// Puts the correction in place of what it corrects, if that is here and of the same author
/// (XEP-0308 §4).
fn correct(
    tx: &Transaction<'_>,
    note: &MessageNote,
    id: &str,
) -> Result<Option<Recorded>, rusqlite::Error> {
    // Of a conversation between two, the direction says who it was.
    let author = note.author.as_ref().filter(|_| note.by_full_address);
    let author = author.map_or("", |author| author.as_str());
    let target = tx
        .prepare_cached(
            "SELECT at, id, body FROM app_stanchion_history
             WHERE message_id = ?1 AND conversation = ?2 AND direction = ?3
               AND ?4 IN ('', author)
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row(
            params![
                id,
                note.conversation.as_str(),
                note.direction.number(),
                author
            ],
            |row| Ok((place(row)?, row.get::<_, String>(2)?)),
        )
        .optional()?;
    let Some((place, before)) = target else {
        return Ok(None);
    };
    let fresh = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO app_stanchion_history_versions VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![place.row, note.key, before, note.at.as_unix_ms()])?;
    if fresh == 0 {
        return Ok(Some(Recorded::Known(place)));
    }
    tx.prepare_cached(
        "UPDATE app_stanchion_history SET body = ?2, edits = edits + 1, edited_at = ?3
         WHERE id = ?1",
    )?
    .execute(params![place.row, note.body, note.at.as_unix_ms()])?;
    tx.prepare_cached(
        "DELETE FROM app_stanchion_history_versions WHERE of = ?1 AND rowid NOT IN
             (SELECT rowid FROM app_stanchion_history_versions WHERE of = ?1
              ORDER BY rowid DESC LIMIT ?2)",
    )?
    .execute(params![place.row, VERSIONS])?;
    let newest = tx
        .prepare_cached("SELECT max(id) FROM app_stanchion_history")?
        .query_row([], |row| row.get(0))?;
    forget_old(tx, newest)?;
    Ok(Some(Recorded::Corrected(place)))
}

/// Where the message of that id stands.
fn named(
    tx: &Transaction<'_>,
    conversation: &BareJid,
    direction: Direction,
    id: &str,
) -> Result<Option<Place>, rusqlite::Error> {
    tx.prepare_cached(
        "SELECT at, id FROM app_stanchion_history
         WHERE message_id = ?1 AND conversation = ?2 AND direction = ?3
         ORDER BY id DESC LIMIT 1",
    )?
    .query_row(
        params![id, conversation.as_str(), direction.number()],
        place,
    )
    .optional()
}

/// Nothing up to there is unread any more. How many were.
pub(super) fn read_up_to(
    tx: &Transaction<'_>,
    conversation: &BareJid,
    up_to: Place,
) -> Result<usize, rusqlite::Error> {
    if !exists(tx)? {
        return Ok(0);
    }
    tx.prepare_cached(
        "UPDATE app_stanchion_history SET unread = 0
         WHERE conversation = ?1 AND unread = 1 AND (at, id) <= (?2, ?3)",
    )?
    .execute(params![
        conversation.as_str(),
        up_to.at.as_unix_ms(),
        up_to.row
    ])
}

/// A message that was never handed to the session, as the record of it came first.
pub(super) fn unwrite(tx: &Transaction<'_>, id: &str) -> Result<(), rusqlite::Error> {
    tx.prepare_cached(
        "DELETE FROM app_stanchion_history
         WHERE message_id = ?1 AND direction = 1 AND stage = 'writing'",
    )?
    .execute([id])?;
    sweep(tx)
}

/// What is to be kept, from now on.
pub(super) fn configure(
    tx: &Transaction<'_>,
    config: &HistoryConfig,
) -> Result<(), rusqlite::Error> {
    let age = config
        .age
        .map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let entries = i64::try_from(config.entries.max(1)).unwrap_or(i64::MAX);
    let mut put =
        tx.prepare_cached("INSERT OR REPLACE INTO app_stanchion_history_about VALUES (?1, ?2)")?;
    put.execute(params!["age", age.unwrap_or(i64::MAX)])?;
    put.execute(params!["entries", entries])?;
    let bytes = i64::try_from(config.bytes).unwrap_or(i64::MAX);
    put.execute(params!["most bytes", bytes])?;
    Ok(())
}

fn about(tx: &Transaction<'_>, name: &str, default: i64) -> Result<i64, rusqlite::Error> {
    let value = tx
        .prepare_cached("SELECT value FROM app_stanchion_history_about WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(value.unwrap_or(default))
}

/// Removes what is too much after `newest` came.
fn forget_old(tx: &Transaction<'_>, newest: i64) -> Result<(), rusqlite::Error> {
    let default = i64::try_from(HistoryConfig::ENTRIES).unwrap_or(i64::MAX);
    let entries = about(tx, "entries", default)?;
    let mut gone = tx
        .prepare_cached(
            "DELETE FROM app_stanchion_history WHERE id IN
                 (SELECT id FROM app_stanchion_history WHERE id <= ?1 ORDER BY id LIMIT ?2)",
        )?
        .execute(params![newest.saturating_sub(entries), AT_ONCE])?;
    let default = i64::try_from(HistoryConfig::BYTES).unwrap_or(i64::MAX);
    let most = about(tx, "most bytes", default)?;
    for _ in 0..AT_ONCE {
        // What just came stays, however large it is.
        if about(tx, "bytes", 0)? <= most {
            break;
        }
        gone += tx
            .prepare_cached(
                "DELETE FROM app_stanchion_history
                 WHERE id = (SELECT min(id) FROM app_stanchion_history) AND id < ?1",
            )?
            .execute([newest])?;
    }
    let age = about(tx, "age", i64::MAX)?;
    if age < i64::MAX {
        // The newest stamp in the history is as good as a clock, and cannot be ahead of it.
        let latest: i64 = tx
            .prepare_cached("SELECT max(at) FROM app_stanchion_history")?
            .query_row([], |row| row.get(0))?;
        gone += tx
            .prepare_cached(
                "DELETE FROM app_stanchion_history WHERE id IN
                     (SELECT id FROM app_stanchion_history WHERE at < ?1 ORDER BY at LIMIT ?2)",
            )?
            .execute(params![latest.saturating_sub(age), AT_ONCE])?;
    }
    if gone > 0 { sweep(tx) } else { Ok(()) }
}

/// A conversation goes with its last message.
fn sweep(tx: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    tx.prepare_cached(
        "DELETE FROM app_stanchion_history_talks WHERE NOT EXISTS
             (SELECT 1 FROM app_stanchion_history AS h
              WHERE h.conversation = app_stanchion_history_talks.conversation)",
    )?
    .execute([])
    .map(drop)
}

/// Removes all that was sent before that time, in one conversation or all, at most so many
/// messages. How many were.
pub(super) fn forget_before(
    tx: &Transaction<'_>,
    with: Option<&BareJid>,
    time: WallTime,
    most: i64,
) -> Result<usize, rusqlite::Error> {
    if !exists(tx)? {
        return Ok(0);
    }
    let time = time.as_unix_ms();
    let gone = match with {
        None => tx
            .prepare_cached(
                "DELETE FROM app_stanchion_history WHERE id IN
                     (SELECT id FROM app_stanchion_history WHERE at < ?1 ORDER BY at LIMIT ?2)",
            )?
            .execute(params![time, most])?,
        Some(with) => tx
            .prepare_cached(
                "DELETE FROM app_stanchion_history WHERE id IN
                     (SELECT id FROM app_stanchion_history WHERE conversation = ?3 AND at < ?1
                      ORDER BY at LIMIT ?2)",
            )?
            .execute(params![time, most, with.as_str()])?,
    };
    sweep(tx)?;
    Ok(gone)
}

/// From the columns `at, id`, the first two.
pub(super) fn place(row: &rusqlite::Row<'_>) -> Result<Place, rusqlite::Error> {
    Ok(Place {
        at: WallTime::from_unix_ms(row.get(0)?),
        row: row.get(1)?,
    })
}
