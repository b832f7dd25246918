//! Rows of the outbox, put one by one or several by one statement, which costs a quarter
//! less. Which of them may be put, and what a refusal means, is `apply`'s.

use std::sync::LazyLock;

use rusqlite::{Connection, ErrorCode, Statement};

use super::super::record::{OutboundRecord, WallTime};
use super::schema::{state_code, to_sql};

/// Rows of the largest statement. More gain little.
pub(super) const MOST: usize = 16;
/// Rows of the statements for several, the largest first.
const SIZES: [usize; 4] = [MOST, 8, 4, 2];

// OR FAIL: the rows before one that is refused stay. To take them back, SQLite would copy
// each page first that it changes.
const ONE: &str = "INSERT OR FAIL INTO outbound (seq, id, recipient, channel, stanza, accepted_at, \
     deadline, protection, state, reason, attempts, updated_at, boot, place, prev) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const NEXT: &str = ", (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const COLUMNS: usize = 15;
static SEVERAL: LazyLock<[String; SIZES.len()]> =
    LazyLock::new(|| SIZES.map(|rows| ONE.to_owned() + &NEXT.repeat(rows - 1)));

/// Puts one row.
pub(super) fn put(connection: &Connection, record: &OutboundRecord) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(ONE)?;
    bind(&mut statement, 0, record)?;
    statement.raw_execute().map(drop)
}

/// Puts the first of those rows, as many as a statement takes or, if one of them is refused
/// because its key is there, those before it. Gives how many; 0 if there are fewer than two.
pub(super) fn put_several(
    connection: &Connection,
    records: &[&OutboundRecord],
) -> rusqlite::Result<usize> {
    let mut sized = SIZES.iter().zip(SEVERAL.iter());
    let Some((&rows, sql)) = sized.find(|(rows, _)| **rows <= records.len()) else {
        return Ok(0);
    };
    let mut statement = connection.prepare_cached(sql)?;
    for (row, record) in records.iter().take(rows).enumerate() {
        bind(&mut statement, row, record)?;
    }
    match statement.raw_execute() {
        Err(error) if is_there(&error) => Ok(connection.changes() as usize),
        put => put.map(|_| rows),
    }
}

/// Whether a row was not put because its key is there. To try costs less than to look first,
/// as nearly all rows are new.
pub(super) fn is_there(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

fn bind(
    statement: &mut Statement<'_>,
    row: usize,
    record: &OutboundRecord,
) -> rusqlite::Result<()> {
    let mut column = row * COLUMNS;
    let mut next = || {
        column += 1;
        column
    };
    statement.raw_bind_parameter(next(), to_sql(record.seq))?;
    statement.raw_bind_parameter(next(), &record.id)?;
    statement.raw_bind_parameter(next(), &record.to)?;
    statement.raw_bind_parameter(next(), &record.channel)?;
    statement.raw_bind_parameter(next(), &record.stanza[..])?;
    statement.raw_bind_parameter(next(), record.accepted_at.as_unix_ms())?;
    statement.raw_bind_parameter(next(), record.deadline.map(WallTime::as_unix_ms))?;
    statement.raw_bind_parameter(next(), record.protection)?;
    statement.raw_bind_parameter(next(), state_code(&record.state))?;
    statement.raw_bind_parameter(next(), record.state.reason().map(|reason| &reason.0))?;
    statement.raw_bind_parameter(next(), record.attempts)?;
    statement.raw_bind_parameter(next(), record.updated_at.as_unix_ms())?;
    statement.raw_bind_parameter(next(), record.boot)?;
    statement.raw_bind_parameter(next(), to_sql(record.place))?;
    statement.raw_bind_parameter(next(), record.prev.map(u64::cast_signed))
}
