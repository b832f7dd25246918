//! Rows of the outbox, put one by one or several by one statement, which costs a quarter
//! less. Which of them may be put, and what a refusal means, is `apply`'s.

use std::sync::LazyLock;

use rusqlite::{Connection, ErrorCode, Statement};

use super::super::record::{OutboundRecord, WallTime};
use super::key::{Id, lane};
use super::schema::{state_code, to_sql};

/// Rows of the largest statement. More gain little.
pub(super) const MOST: usize = 16;
/// Rows of the statements, the largest first.
const SIZES: [usize; 5] = [MOST, 8, 4, 2, 1];

// OR FAIL: the rows before one that is refused stay. To take them back, SQLite would copy
// each page first that it changes.
const INTO: &str = "INSERT OR FAIL INTO outbound (lane, recipient, channel, accepted_at, \
     protection, state, reason, attempts, updated_at, boot, seq, id, begins, deadline, place, \
     prev, stanza) VALUES ";
/// Of the columns, the first are often the same in all rows that are put together; then they
/// are bound once.
const SHARED: usize = 10;
const OWN: usize = 7;

/// The statements for so many rows.
struct Statements {
    rows: usize,
    /// For rows that have the shared columns in common, and for any.
    alike: String,
    any: String,
}

impl Statements {
    fn of(rows: usize) -> Self {
        let values = |begin: &dyn Fn(usize) -> (usize, usize)| {
            let row = |at| {
                let (shared, own) = begin(at);
                let shared = shared..shared + SHARED;
                let numbers = shared.chain(own..own + OWN);
                let numbered: Vec<String> = numbers.map(|n| format!("?{n}")).collect();
                format!("({})", numbered.join(", "))
            };
            INTO.to_owned() + &(0..rows).map(row).collect::<Vec<_>>().join(", ")
        };
        Self {
            rows,
            alike: values(&|at| (1, 1 + SHARED + at * OWN)),
            any: values(&|at| (1 + at * (SHARED + OWN), 1 + at * (SHARED + OWN) + SHARED)),
        }
    }
}

static STATEMENTS: LazyLock<[Statements; SIZES.len()]> =
    LazyLock::new(|| SIZES.map(Statements::of));

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

/// Whether the shared columns are the same.
fn alike(one: &OutboundRecord, other: &OutboundRecord) -> bool {
    one.to == other.to
        && one.channel == other.channel
        && one.accepted_at == other.accepted_at
        && one.protection == other.protection
        && one.state == other.state
        && one.attempts == other.attempts
        && one.updated_at == other.updated_at
        && one.boot == other.boot
}

/// Puts the first of those rows, as many as a statement takes or, if one of them is refused
/// because its key is there, those before it; if that is the first, it is an error. Gives
/// how many.
pub(super) fn put(
    connection: &Connection,
    previous: &mut Previous,
    records: &[&OutboundRecord],
) -> rusqlite::Result<usize> {
    let mut sized = STATEMENTS.iter();
    let Some(statements) = sized.find(|some| some.rows <= records.len()) else {
        return Ok(0);
    };
    let records = &records[..statements.rows];
    let are_alike = records.windows(2).all(|two| alike(two[0], two[1]));
    let mut statement = connection.prepare_cached(match are_alike {
        true => &statements.alike,
        false => &statements.any,
    })?;
    // Forgotten unless the rows are put.
    let mut last = std::mem::take(previous);
    let mut of_lane: Option<(&OutboundRecord, i64)> = None;
    let mut parameter = 0;
    for (row, record) in records.iter().enumerate() {
        let number = match of_lane {
            Some((r, number)) if r.to == record.to && r.channel == record.channel => number,
            _ => lane(&record.to, &record.channel),
        };
        of_lane = Some((record, number));
        let begins = last.begins(record, number);
        if row == 0 || !are_alike {
            bind_shared(&mut statement, &mut parameter, record, number)?;
        }
        bind_own(&mut statement, &mut parameter, record, begins)?;
    }
    match statement.raw_execute() {
        Err(error) if is_there(&error) && connection.changes() > 0 => {
            Ok(connection.changes() as usize)
        }
        put => {
            put?;
            *previous = last;
            Ok(records.len())
        }
    }
}

/// Whether a row was not put because its key is there. To try costs less than to look first,
/// as nearly all rows are new.
pub(super) fn is_there(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

fn bind_shared(
    statement: &mut Statement<'_>,
    parameter: &mut usize,
    record: &OutboundRecord,
    lane: i64,
) -> rusqlite::Result<()> {
    let mut next = next(parameter);
    statement.raw_bind_parameter(next(), lane)?;
    statement.raw_bind_parameter(next(), &record.to)?;
    statement.raw_bind_parameter(next(), &record.channel)?;
    statement.raw_bind_parameter(next(), record.accepted_at.as_unix_ms())?;
    statement.raw_bind_parameter(next(), record.protection)?;
    statement.raw_bind_parameter(next(), state_code(&record.state))?;
    statement.raw_bind_parameter(next(), record.state.reason().map(|reason| &reason.0))?;
    statement.raw_bind_parameter(next(), record.attempts)?;
    statement.raw_bind_parameter(next(), record.updated_at.as_unix_ms())?;
    statement.raw_bind_parameter(next(), record.boot)
}

fn bind_own(
    statement: &mut Statement<'_>,
    parameter: &mut usize,
    record: &OutboundRecord,
    begins: bool,
) -> rusqlite::Result<()> {
    let mut next = next(parameter);
    statement.raw_bind_parameter(next(), to_sql(record.seq))?;
    statement.raw_bind_parameter(next(), Id::of(&record.id))?;
    statement.raw_bind_parameter(next(), begins)?;
    statement.raw_bind_parameter(next(), record.deadline.map(WallTime::as_unix_ms))?;
    statement.raw_bind_parameter(next(), to_sql(record.place))?;
    statement.raw_bind_parameter(next(), record.prev.map(u64::cast_signed))?;
    statement.raw_bind_parameter(next(), &record.stanza[..])
}

/// Counts parameters on.
fn next(parameter: &mut usize) -> impl FnMut() -> usize {
    || {
        *parameter += 1;
        *parameter
    }
}
