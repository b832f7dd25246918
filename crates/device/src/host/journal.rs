//! The journal of commands: which were begun, what became of them, and whether whoever gave
//! them was told. A table in the store; a command is known by its sender's account and the
//! id of its message.

use stanchion_reliability::store::rusqlite::{self, OptionalExtension as _, Transaction, params};
use stanchion_stanza::payload::thing_command::CommandResult;

/// For how long it is remembered what became of a command: as long as the engine below
/// knows its message again. In milliseconds.
const AGE: i64 = 7 * 24 * 3600 * 1000;
/// Commands that are remembered at most; those whose outcome is not told yet, always.
const MOST: i64 = 10_000;
/// How many commands come between two looks at what is too much.
const SELDOM: i64 = 64;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// The sender's bare address.
    pub(super) sender: String,
    /// The id of its message.
    pub(super) id: String,
}

/// What the journal says of a command that is to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Before {
    /// It was not begun before: it is, now.
    New,
    /// An earlier process began it, and nobody knows how that ended.
    Begun,
    /// It has had its outcome.
    Ended,
    /// Another command had that id.
    Other,
}

/// What became of a command, for whoever gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Of which.
    pub(super) id: String,
    /// The full address that gave it.
    pub(super) to: String,
    /// What became of it.
    pub(super) result: CommandResult,
    /// For people.
    pub(super) words: String,
    /// The profile of the command, by its place among all.
    pub(super) profile: u8,
    /// The id of the message that says so.
    pub(super) answer: String,
}

/// An outcome that is perhaps not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Untold {
    pub(super) number: i64,
    pub(super) outcome: Outcome,
}

pub(super) fn make(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS app_stanchion_commands (
             number INTEGER PRIMARY KEY AUTOINCREMENT,
             sender TEXT NOT NULL,
             id TEXT NOT NULL,
             what TEXT NOT NULL,
             begun INTEGER NOT NULL,
             recipient TEXT,
             result TEXT,
             words TEXT,
             profile INTEGER,
             answer TEXT,
             told INTEGER NOT NULL DEFAULT 0,
             UNIQUE (sender, id)
         ) STRICT",
    )
}

/// What is known of a command; `what` says what it does, so that another one of the same
/// id is told apart.
pub(super) fn look(tx: &Transaction<'_>, key: &Key, what: &str) -> rusqlite::Result<Before> {
    let found = tx
        .prepare_cached(
            "SELECT what, result FROM app_stanchion_commands WHERE sender = ?1 AND id = ?2",
        )?
        .query_row(params![key.sender, key.id], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
        })
        .optional()?;
    Ok(match found {
        None => Before::New,
        Some((other, _)) if other != what => Before::Other,
        Some((_, None)) => Before::Begun,
        Some((_, Some(_))) => Before::Ended,
    })
}

/// Notes that a command begins, unless it was begun before.
pub(super) fn begin(
    tx: &Transaction<'_>,
    key: &Key,
    what: &str,
    now: i64,
) -> rusqlite::Result<Before> {
    let before = look(tx, key, what)?;
    if before == Before::New {
        insert(tx, key, what, now)?;
    }
    Ok(before)
}

/// Puts a command in. Once in a while, what is too old or too much goes.
fn insert(tx: &Transaction<'_>, key: &Key, what: &str, now: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO app_stanchion_commands (sender, id, what, begun)
         VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![key.sender, key.id, what, now])?;
    match tx.last_insert_rowid() % SELDOM {
        0 => prune(tx, now),
        _ => Ok(()),
    }
}

/// Notes what became of a command, begun or not. Gives the number by which it is told, or
/// none if it had an outcome before: that one stands.
pub(super) fn end(
    tx: &Transaction<'_>,
    key: &Key,
    what: &str,
    now: i64,
    outcome: &Outcome,
) -> rusqlite::Result<Option<i64>> {
    insert(tx, key, what, now)?;
    let number = tx
        .prepare_cached(
            "UPDATE app_stanchion_commands
             SET recipient = ?3, result = ?4, words = ?5, profile = ?6, answer = ?7
             WHERE sender = ?1 AND id = ?2 AND result IS NULL RETURNING number",
        )?
        .query_row(
            params![
                key.sender,
                key.id,
                outcome.to,
                outcome.result.as_str(),
                outcome.words,
                outcome.profile,
                outcome.answer
            ],
            |row| row.get(0),
        )
        .optional()?;
    Ok(number)
}

/// That outcome is told by another message than the one that was noted.
pub(super) fn answer(tx: &Transaction<'_>, number: i64, answer: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE app_stanchion_commands SET answer = ?2 WHERE number = ?1")?
        .execute(params![number, answer])?;
    Ok(())
}

/// The message with that outcome is in the outbox.
pub(super) fn told(tx: &Transaction<'_>, number: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE app_stanchion_commands SET told = 1 WHERE number = ?1")?
        .execute([number])?;
    Ok(())
}

/// Outcomes that are perhaps not told, the oldest first, so many at most.
pub(super) fn untold(tx: &Transaction<'_>, most: i64) -> rusqlite::Result<Vec<Untold>> {
    let mut statement = tx.prepare_cached(
        "SELECT number, id, recipient, result, words, profile, answer
         FROM app_stanchion_commands
         WHERE told = 0 AND result IS NOT NULL ORDER BY number LIMIT ?1",
    )?;
    let rows = statement.query_map([most], |row| {
        let result: String = row.get(3)?;
        Ok(Untold {
            number: row.get(0)?,
            outcome: Outcome {
                id: row.get(1)?,
                to: row.get(2)?,
                // Whatever an other release may have written: it is not known here.
                result: CommandResult::from_name(&result).unwrap_or(CommandResult::InDoubt),
                words: row.get(4)?,
                profile: row.get(5)?,
                answer: row.get(6)?,
            },
        })
    })?;
    rows.collect()
}

fn prune(tx: &Transaction<'_>, now: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM app_stanchion_commands WHERE told = 1 AND begun < ?1")?
        .execute([now.saturating_sub(AGE)])?;
    tx.prepare_cached(
        "DELETE FROM app_stanchion_commands WHERE told = 1 AND number <= (
             SELECT max(number) - ?1 FROM app_stanchion_commands)",
    )?
    .execute([MOST])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use stanchion_reliability::store::Transactor;

    use super::*;

    fn key(id: &str) -> Key {
        Key {
            sender: "me@home.example".to_owned(),
            id: id.to_owned(),
        }
    }

    fn outcome(id: &str) -> Outcome {
        Outcome {
            id: id.to_owned(),
            to: "me@home.example/a".to_owned(),
            result: CommandResult::Done,
            words: String::new(),
            profile: 0,
            answer: format!("answer-{id}"),
        }
    }

    async fn journal<T: Send + 'static>(
        run: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        let store = Transactor::in_memory().unwrap();
        store.transact(make).await.unwrap();
        store.transact(run).await.unwrap()
    }

    #[tokio::test]
    async fn a_command_begins_once_ends_once_and_is_told_apart_from_another_of_its_id() {
        journal(|tx| {
            assert_eq!(begin(tx, &key("1"), "on", 0)?, Before::New);
            assert_eq!(begin(tx, &key("1"), "on", 0)?, Before::Begun);
            assert_eq!(begin(tx, &key("1"), "off", 0)?, Before::Other);
            assert!(untold(tx, 9)?.is_empty());
            let number = end(tx, &key("1"), "on", 0, &outcome("1"))?.unwrap();
            assert_eq!(begin(tx, &key("1"), "on", 0)?, Before::Ended);
            assert_eq!(end(tx, &key("1"), "on", 0, &outcome("1"))?, None);
            let all = untold(tx, 9)?;
            assert_eq!((all.len(), &all[0].outcome), (1, &outcome("1")));
            told(tx, number)?;
            assert!(untold(tx, 9)?.is_empty());
            Ok(())
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_told_is_forgotten_by_age_and_count_and_what_is_not_never_is() {
        journal(|tx| {
            for n in 0..MOST + 5 {
                let id = n.to_string();
                let number = end(tx, &key(&id), "on", n, &outcome(&id))?.unwrap();
                if n != 2 {
                    told(tx, number)?;
                }
            }
            prune(tx, MOST)?;
            let count = |tx: &Transaction<'_>| {
                let sql = "SELECT count(*) FROM app_stanchion_commands";
                tx.query_row(sql, [], |row| row.get::<_, i64>(0))
            };
            assert_eq!(count(tx)?, MOST + 1);
            assert_eq!(look(tx, &key("1"), "on")?, Before::New);
            assert_eq!(look(tx, &key("2"), "on")?, Before::Ended);
            prune(tx, 2 * AGE)?;
            assert_eq!(count(tx)?, 1);
            Ok(())
        })
        .await;
    }
}
