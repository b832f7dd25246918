//! What each op does to the tables, inside the writer's transaction. The same
//! as `memory::tables`, which the tests compare.

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::super::op::{Op, OpResult, PRUNE_STEP};
use super::super::record::{
    InboundKey, InboundState, NewInbound, OutboundRecord, OutboundState, WallTime,
};
use super::insertion::{self, Previous, is_there};
use super::key::Id;
use super::query::Numbered;
use super::schema::{InboundCode, from_sql, inbound_state, outbound_state, state_code, to_sql};

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// The highest numbers that rows ever had, once they are known, and the row that was put
/// last. True as long as nobody else
/// writes, and every transaction with it was committed.
#[derive(Debug, Default)]
pub(super) struct Last {
    seq: Option<u64>,
    arrival: Option<u64>,
    put: Previous,
}

impl Last {
    fn seq(&mut self, connection: &Connection) -> Result<u64> {
        known(&mut self.seq, connection, Numbered::Outbound)
    }

    fn arrival(&mut self, connection: &Connection) -> Result<u64> {
        known(&mut self.arrival, connection, Numbered::Inbound)
    }
}

fn known(last: &mut Option<u64>, connection: &Connection, table: Numbered) -> Result<u64> {
    match *last {
        Some(last) => Ok(last),
        None => table.last(connection).map(|found| *last.insert(found)),
    }
}

/// Does what `op` says. The caller keeps `last`.
pub(super) fn apply(connection: &Connection, last: &mut Last, op: &Op) -> Result<OpResult> {
    match op {
        Op::PutOutbound(record) => put_outbound(connection, last, record),
        Op::SetOutboundState { id, state, at } => {
            let changed = connection
                .prepare_cached(
                    "UPDATE outbound SET state = ?2, reason = ?3, updated_at = ?4
                     WHERE id = ?1 AND state < 10",
                )?
                .execute(params![
                    Id::of(id),
                    state_code(state),
                    state.reason().map(|reason| &reason.0),
                    at.as_unix_ms(),
                ])?;
            changed_outbound(connection, id, changed)
        }
        Op::SetOutboundAttempts { id, attempts, at } => {
            let changed = connection
                .prepare_cached(
                    "UPDATE outbound SET attempts = ?2, updated_at = ?3
                     WHERE id = ?1 AND state < 10",
                )?
                .execute(params![Id::of(id), attempts, at.as_unix_ms()])?;
            changed_outbound(connection, id, changed)
        }
        // Without a deadline, `max` gives none either.
        Op::ExtendDeadline { id, deadline, at } => {
            let changed = connection
                .prepare_cached(
                    "UPDATE outbound SET deadline = max(deadline, ?2), updated_at = ?3
                     WHERE id = ?1 AND state < 10",
                )?
                .execute(params![Id::of(id), deadline.as_unix_ms(), at.as_unix_ms()])?;
            changed_outbound(connection, id, changed)
        }
        Op::PruneOutbound { before } => prune_outbound(connection, last, *before),
        Op::TrimOutbound {
            keep_bytes,
            keep_rows,
        } => trim_outbound(connection, last, *keep_bytes, *keep_rows),
        Op::TrimInbound { keep_bytes } => trim_inbound(connection, *keep_bytes),
        Op::PutInbound(new) => put_inbound(connection, last, new),
        Op::MarkHanded { key, at } => change_inbound(connection, key, InboundCode::HANDED, *at),
        Op::MarkHandled { key, at } => change_inbound(connection, key, InboundCode::HANDLED, *at),
        // The writer runs it, as it takes an effect.
        Op::Apply { .. } => Ok(OpResult::EffectFailed),
        Op::DropInbound { key } => drop_inbound(connection, key),
        Op::RestartHandOvers { key, at } => restart_hand_overs(connection, key, *at),
        Op::PruneInbound {
            payloads_before,
            keys_before,
            keep_at_least,
            keep_at_most,
        } => prune_inbound(
            connection,
            *payloads_before,
            *keys_before,
            *keep_at_least,
            *keep_at_most,
        ),
        Op::PutMeta { key, value } => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
                .execute(params![key, &value[..]])?;
            Ok(OpResult::Done)
        }
        Op::DeleteMeta { key } => {
            let gone = connection
                .prepare_cached("DELETE FROM meta WHERE key = ?1")?
                .execute([key])?;
            Ok(if gone == 0 {
                OpResult::NotFound
            } else {
                OpResult::Done
            })
        }
    }
}

fn find_outbound(connection: &Connection, id: &str) -> Result<Option<(i64, OutboundState)>> {
    connection
        .prepare_cached("SELECT seq, state, reason FROM outbound WHERE id = ?1")?
        .query_row([Id::of(id)], |row| {
            Ok((row.get(0)?, outbound_state(row.get(1)?, row.get(2)?)?))
        })
        .optional()
}

fn put_outbound(
    connection: &Connection,
    last: &mut Last,
    record: &OutboundRecord,
) -> Result<OpResult> {
    let highest = last.seq(connection)?;
    if record.seq <= highest {
        return Ok(match find_outbound(connection, &record.id)? {
            Some((_, state)) => OpResult::OutboundExists { state },
            None => OpResult::SeqTaken {
                next_seq: highest + 1,
            },
        });
    }
    match insertion::put(connection, &mut last.put, &[record]) {
        Err(error) if is_there(&error) => match find_outbound(connection, &record.id)? {
            Some((_, state)) => Ok(OpResult::OutboundExists { state }),
            None => Err(error),
        },
        put => {
            put?;
            last.seq = Some(record.seq);
            Ok(OpResult::Done)
        }
    }
}

/// Puts messages that `ops` begins with by one statement, if they begin with several. Gives how
/// many; 0 if the first of them is not new, or there are none.
pub(super) fn put_together(connection: &Connection, last: &mut Last, ops: &[Op]) -> Result<usize> {
    let [Op::PutOutbound(_), Op::PutOutbound(_), ..] = ops else {
        return Ok(0);
    };
    let mut highest = last.seq(connection)?;
    let rising = ops.iter().take(insertion::MOST).map_while(|op| match op {
        Op::PutOutbound(record) if record.seq > highest => {
            highest = record.seq;
            Some(record)
        }
        _ => None,
    });
    let records: Vec<&OutboundRecord> = rising.collect();
    let put = match insertion::put(connection, &mut last.put, &records) {
        Err(error) if is_there(&error) => 0,
        put => put?,
    };
    if let Some(newest) = put.checked_sub(1).and_then(|n| records.get(n)) {
        last.seq = Some(newest.seq);
    }
    Ok(put)
}

/// Deletes rows of that table: the highest number that one ever had stays known. It is
/// written down only when the row with it goes, which is seldom: rows come at that end and
/// go at the other.
fn deleting(
    connection: &Connection,
    table: Numbered,
    delete: impl FnOnce() -> Result<usize>,
) -> Result<usize> {
    let last = table.last(connection)?;
    let rows = delete()?;
    if rows > 0 && table.last(connection)? < last {
        connection
            .prepare_cached("INSERT OR REPLACE INTO highest (name, number) VALUES (?1, ?2)")?
            .execute(params![table.name(), to_sql(last)])?;
    }
    Ok(rows)
}

/// What an update of `changed` rows of an undecided message means.
fn changed_outbound(connection: &Connection, id: &str, changed: usize) -> Result<OpResult> {
    if changed > 0 {
        return Ok(OpResult::Done);
    }
    Ok(match find_outbound(connection, id)? {
        None => OpResult::NotFound,
        Some((_, state)) => OpResult::AlreadyFinal { state },
    })
}

fn prune_outbound(connection: &Connection, last: &mut Last, before: WallTime) -> Result<OpResult> {
    let rows = delete_outbound(
        connection,
        last,
        "DELETE FROM outbound WHERE seq IN (
           SELECT seq FROM outbound WHERE state >= 10 AND updated_at < ?1
           ORDER BY seq LIMIT ?2) RETURNING seq",
        params![before.as_unix_ms(), to_sql(PRUNE_STEP)],
    )?;
    Ok(pruned(0, rows as u64))
}

/// Deletes the rows that `sql` says and returns. What stood behind them begins a run of them
/// from now on.
fn delete_outbound(
    connection: &Connection,
    last: &mut Last,
    sql: &str,
    params: &[&dyn ToSql],
) -> Result<usize> {
    last.put = Previous::default();
    let mut gone: Vec<i64> = Vec::new();
    let rows = deleting(connection, Numbered::Outbound, || {
        let mut statement = connection.prepare_cached(sql)?;
        gone = statement
            .query_map(params, |row| row.get(0))?
            .collect::<Result<_>>()?;
        Ok(gone.len())
    })?;
    gone.sort_unstable();
    let mut begin = connection
        .prepare_cached("UPDATE outbound SET begins = 1 WHERE seq = ?1 AND begins = 0")?;
    for (at, seq) in gone.iter().enumerate() {
        let behind = seq.saturating_add(1);
        if gone.get(at + 1) != Some(&behind) {
            begin.execute([behind])?;
        }
    }
    Ok(rows)
}

fn trim_outbound(
    connection: &Connection,
    last: &mut Last,
    keep_bytes: u64,
    keep_rows: u64,
) -> Result<OpResult> {
    let finals: i64 = connection
        .prepare_cached("SELECT count(*) FROM outbound WHERE state >= 10")?
        .query_row([], |row| row.get(0))?;
    if !has_more_than(connection, keep_bytes)? && from_sql(finals)? <= keep_rows {
        return Ok(pruned(0, 0));
    }
    let rows = delete_outbound(
        connection,
        last,
        "DELETE FROM outbound WHERE seq IN (
           SELECT seq FROM (
             SELECT seq, sum(length(stanza)) OVER newest AS bytes,
                    row_number() OVER newest AS place
             FROM outbound WHERE state >= 10
             WINDOW newest AS (ORDER BY seq DESC ROWS UNBOUNDED PRECEDING))
           WHERE bytes > ?1 OR place > ?2 ORDER BY seq LIMIT ?3) RETURNING seq",
        params![to_sql(keep_bytes), to_sql(keep_rows), to_sql(PRUNE_STEP)],
    )?;
    Ok(pruned(0, rows as u64))
}

fn trim_inbound(connection: &Connection, keep_bytes: u64) -> Result<OpResult> {
    if !has_more_than(connection, keep_bytes)? {
        return Ok(pruned(0, 0));
    }
    let payloads = connection
        .prepare_cached(
            "UPDATE inbound SET stanza = NULL WHERE arrival IN (
               SELECT arrival FROM (
                 SELECT arrival, sum(length(stanza)) OVER newest AS bytes
                 FROM inbound WHERE state = 2 AND stanza IS NOT NULL
                 WINDOW newest AS (ORDER BY arrival DESC ROWS UNBOUNDED PRECEDING))
               WHERE bytes > ?1 ORDER BY arrival LIMIT ?2)",
        )?
        .execute(params![to_sql(keep_bytes), to_sql(PRUNE_STEP)])?;
    Ok(pruned(payloads as u64, 0))
}

/// Whether there can be so many bytes of stanzas. Adding them up reads every row; the
/// file, which holds more than them, tells at once that most stores need not.
fn has_more_than(connection: &Connection, bytes: u64) -> Result<bool> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    let file = from_sql(pages)?.saturating_mul(from_sql(pragma("page_size")?)?);
    Ok(file > bytes)
}

fn find_inbound(connection: &Connection, key: &InboundKey) -> Result<Option<(i64, InboundState)>> {
    connection
        .prepare_cached(
            "SELECT arrival, state, handed_count FROM inbound WHERE id = ?1 AND from_bare = ?2",
        )?
        .query_row([&key.id, &key.from_bare], |row| {
            Ok((row.get(0)?, inbound_state(row.get(1)?, row.get(2)?)?))
        })
        .optional()
}

fn put_inbound(connection: &Connection, last: &mut Last, new: &NewInbound) -> Result<OpResult> {
    let arrival = last.arrival(connection)?.saturating_add(1);
    let put = connection
        .prepare_cached(
            "INSERT INTO inbound (from_bare, id, from_full, stanza, received_at, changed_at,
             state, handed_count, arrival) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            new.key.from_bare,
            new.key.id,
            new.from_full,
            &new.stanza[..],
            new.received_at.as_unix_ms(),
            if new.handed {
                InboundCode::HANDED
            } else {
                InboundCode::KEPT
            },
            i64::from(new.handed),
            to_sql(arrival),
        ]);
    match put {
        Err(error) if is_there(&error) => match find_inbound(connection, &new.key)? {
            Some((arrival, state)) => Ok(OpResult::Duplicate {
                arrival: from_sql(arrival)?,
                state,
            }),
            None => Err(error),
        },
        put => {
            put?;
            last.arrival = Some(arrival);
            Ok(OpResult::Kept { arrival })
        }
    }
}

/// Why a message cannot be committed, if it cannot.
pub(super) fn not_committable(
    connection: &Connection,
    key: &InboundKey,
) -> Result<Option<OpResult>> {
    Ok(match find_inbound(connection, key)? {
        None => Some(OpResult::NotFound),
        Some((_, InboundState::Handled)) => Some(OpResult::AlreadyHandled),
        Some(_) => None,
    })
}

fn change_inbound(
    connection: &Connection,
    key: &InboundKey,
    code: i64,
    at: WallTime,
) -> Result<OpResult> {
    let handed = i64::from(code == InboundCode::HANDED);
    let changed = connection
        .prepare_cached(
            "UPDATE inbound SET state = ?3, handed_count = min(handed_count + ?4, ?5),
             changed_at = ?6 WHERE id = ?1 AND from_bare = ?2 AND state < 2",
        )?
        .execute(params![
            key.id,
            key.from_bare,
            code,
            handed,
            u32::MAX,
            at.as_unix_ms()
        ])?;
    if changed > 0 {
        return Ok(OpResult::Done);
    }
    Ok(match find_inbound(connection, key)? {
        None => OpResult::NotFound,
        Some(_) => OpResult::AlreadyHandled,
    })
}

fn drop_inbound(connection: &Connection, key: &InboundKey) -> Result<OpResult> {
    match find_inbound(connection, key)? {
        None => Ok(OpResult::NotFound),
        Some((_, InboundState::Handled)) => Ok(OpResult::AlreadyHandled),
        Some((arrival, _)) => {
            deleting(connection, Numbered::Inbound, || {
                connection
                    .prepare_cached("DELETE FROM inbound WHERE arrival = ?1")?
                    .execute([arrival])
            })?;
            Ok(OpResult::Done)
        }
    }
}

fn restart_hand_overs(connection: &Connection, key: &InboundKey, at: WallTime) -> Result<OpResult> {
    match find_inbound(connection, key)? {
        None => Ok(OpResult::NotFound),
        Some((_, InboundState::Handled)) => Ok(OpResult::AlreadyHandled),
        Some((_, InboundState::Kept)) => Ok(OpResult::Done),
        Some((arrival, InboundState::Handed { .. })) => {
            connection
                .prepare_cached(
                    "UPDATE inbound SET handed_count = 1, changed_at = ?2 WHERE arrival = ?1",
                )?
                .execute(params![arrival, at.as_unix_ms()])?;
            Ok(OpResult::Done)
        }
    }
}

fn prune_inbound(
    connection: &Connection,
    payloads_before: WallTime,
    keys_before: WallTime,
    keep_at_least: u64,
    keep_at_most: u64,
) -> Result<OpResult> {
    let handled: i64 = connection
        .prepare_cached("SELECT count(*) FROM inbound WHERE state = 2")?
        .query_row([], |row| row.get(0))?;
    let handled = from_sql(handled)?;
    let excess = handled.saturating_sub(keep_at_most);
    let spare = handled.saturating_sub(keep_at_least).max(excess);
    // The oldest `spare` keys may go; the oldest `excess` of them must.
    let rows = deleting(connection, Numbered::Inbound, || {
        connection
            .prepare_cached(
                "DELETE FROM inbound WHERE arrival IN (
                   SELECT arrival FROM (
                     SELECT arrival, changed_at, row_number() OVER (ORDER BY arrival) AS place
                     FROM (SELECT arrival, changed_at FROM inbound WHERE state = 2
                           ORDER BY arrival LIMIT ?1))
                   WHERE place <= ?2 OR changed_at < ?3 ORDER BY arrival LIMIT ?4)",
            )?
            .execute(params![
                to_sql(spare),
                to_sql(excess),
                keys_before.as_unix_ms(),
                to_sql(PRUNE_STEP),
            ])
    })?;
    let payloads = connection
        .prepare_cached(
            "UPDATE inbound SET stanza = NULL WHERE arrival IN (
               SELECT arrival FROM inbound
               WHERE state = 2 AND stanza IS NOT NULL AND changed_at < ?1
               ORDER BY arrival LIMIT ?2)",
        )?
        .execute(params![payloads_before.as_unix_ms(), to_sql(PRUNE_STEP)])?;
    Ok(pruned(payloads as u64, rows as u64))
}

fn pruned(payloads: u64, rows: u64) -> OpResult {
    OpResult::Pruned {
        payloads,
        rows,
        more: payloads == PRUNE_STEP || rows == PRUNE_STEP,
    }
}
