//! Rows of the outbox, put one by one or several by one statement, which costs a quarter
//! less. Which of them may be put, and what a refusal means, is `apply`'s.

use std::sync::LazyLock;

use rusqlite::{Connection, ErrorCode, Statement};

use super::super::record::{OutboundRecord, WallTime};
use super::key::{Id, lane};
use super::schema::{state_code, to_sql};

/// Rows of the largest statement. More gain little.
pub(super) const MOST: usize = 16;
/// Rows of the statements for several, the largest first.
const SIZES: [usize; 4] = [MOST, 8, 4, 2];

// OR FAIL: the rows before one that is refused stay. To take them back, SQLite would copy
// each page first that it changes.
const ONE: &str = "INSERT OR FAIL INTO outbound (seq, id, lane, begins, recipient, channel, \
     accepted_at, deadline, protection, state, reason, attempts, updated_at, boot, place, prev, \
     stanza) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const NEXT: &str = ", (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const COLUMNS: usize = 17;
static SEVERAL: LazyLock<[String; SIZES.len()]> =
    LazyLock::new(|| SIZES.map(|rows| ONE.to_owned() + &NEXT.repeat(rows - 1)));

/// Where a row stands among those of its lane.
#[derive(Clone, Copy, Debug)]
struct Place {
    seq: u64,
    lane: i64,
}

/// The row that was put last, if it is known to be there: a row of the same lane right behind
/// it needs no entry in the index of lanes, as no other row stands between the two.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Previous(Option<Place>);

impl Previous {
    /// Whether the record of that lane begins a run of its rows; it is the last one then.
    fn begins(&mut self, record: &OutboundRecord, lane: i64) -> bool {
        let seq = record.seq;
        let before = self.0.replace(Place { seq, lane });
        before.is_none_or(|p| p.lane != lane || p.seq.checked_add(1) != Some(seq))
    }
}

/// Puts one row.
pub(super) fn put(
    connection: &Connection,
    previous: &mut Previous,
    record: &OutboundRecord,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(ONE)?;
    let lane = lane(&record.to, &record.channel);
    // Forgotten unless the row is put.
    let mut last = std::mem::take(previous);
    let begins = last.begins(record, lane);
    bind(&mut statement, 0, record, lane, begins)?;
    statement.raw_execute()?;
    *previous = last;
    Ok(())
}

/// Puts the first of those rows, as many as a statement takes or, if one of them is refused
/// because its key is there, those before it. Gives how many; 0 if there are fewer than two.
pub(super) fn put_several(
    connection: &Connection,
    previous: &mut Previous,
    records: &[&OutboundRecord],
) -> rusqlite::Result<usize> {
    let mut sized = SIZES.iter().zip(SEVERAL.iter());
    let Some((&rows, sql)) = sized.find(|(rows, _)| **rows <= records.len()) else {
        return Ok(0);
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut last = std::mem::take(previous);
    let mut of_lane: Option<(&OutboundRecord, i64)> = None;
    for (row, record) in records.iter().take(rows).enumerate() {
        let number = match of_lane {
            Some((r, number)) if r.to == record.to && r.channel == record.channel => number,
            _ => lane(&record.to, &record.channel),
        };
        of_lane = Some((record, number));
        let begins = last.begins(record, number);
        bind(&mut statement, row, record, number, begins)?;
    }
    match statement.raw_execute() {
        Err(error) if is_there(&error) => Ok(connection.changes() as usize),
        put => {
            put?;
            *previous = last;
            Ok(rows)
        }
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
    lane: i64,
    begins: bool,
) -> rusqlite::Result<()> {
    let mut column = row * COLUMNS;
    let mut next = || {
        column += 1;
        column
    };
    statement.raw_bind_parameter(next(), to_sql(record.seq))?;
    statement.raw_bind_parameter(next(), Id::of(&record.id))?;
    statement.raw_bind_parameter(next(), lane)?;
    statement.raw_bind_parameter(next(), begins)?;
    statement.raw_bind_parameter(next(), &record.to)?;
    statement.raw_bind_parameter(next(), &record.channel)?;
    statement.raw_bind_parameter(next(), record.accepted_at.as_unix_ms())?;
    statement.raw_bind_parameter(next(), record.deadline.map(WallTime::as_unix_ms))?;
    statement.raw_bind_parameter(next(), record.protection)?;
    statement.raw_bind_parameter(next(), state_code(&record.state))?;
    statement.raw_bind_parameter(next(), record.state.reason().map(|reason| &reason.0))?;
    statement.raw_bind_parameter(next(), record.attempts)?;
    statement.raw_bind_parameter(next(), record.updated_at.as_unix_ms())?;
    statement.raw_bind_parameter(next(), record.boot)?;
    statement.raw_bind_parameter(next(), to_sql(record.place))?;
    statement.raw_bind_parameter(next(), record.prev.map(u64::cast_signed))?;
    statement.raw_bind_parameter(next(), &record.stanza[..])
}
