//! The reads. The same as those of `memory::tables`, which the tests compare.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::super::record::{Identity, InboundKey, InboundRecord, Opaque, OutboundRecord, WallTime};
use super::super::{
    Counts, InboundFilter, InboundQuery, MAX_PAGE, OutboundFilter, OutboundQuery, Recovered, STATE,
};
use super::key::{Id, StoredId, lane};
use super::schema::{FINAL, from_sql, inbound_state, outbound_state, to_sql};

type Result<T> = std::result::Result<T, rusqlite::Error>;

const OUTBOUND: &str = "SELECT seq, id, recipient, channel, accepted_at, deadline, protection, \
     state, reason, attempts, updated_at, boot, place, prev, stanza FROM outbound";
/// Of rows that are passed over, the stanza, which may be large, is not read.
const ROWS_OF_LANE: &str = "SELECT seq, id, recipient, channel, accepted_at, deadline, \
     protection, state, reason, attempts, updated_at, boot, place, prev, \
     CASE WHEN lane = ?2 AND state >= ?3 AND state < ?4 THEN stanza END, lane FROM outbound \
     WHERE seq > ?1 ORDER BY seq";
const RECIPIENT: usize = 2;
const CHANNEL: usize = 3;
const STATE_CODE: usize = 7;
const LANE: usize = 15;
const INBOUND: &str = "SELECT arrival, from_bare, id, from_full, stanza, received_at, changed_at, \
     state, handed_count FROM inbound";

fn outbound_record(row: &Row<'_>) -> Result<OutboundRecord> {
    Ok(OutboundRecord {
        seq: from_sql(row.get(0)?)?,
        id: row.get::<_, StoredId>(1)?.0,
        to: row.get(2)?,
        channel: row.get(3)?,
        accepted_at: WallTime::from_unix_ms(row.get(4)?),
        deadline: row.get::<_, Option<i64>>(5)?.map(WallTime::from_unix_ms),
        protection: row.get(6)?,
        state: outbound_state(row.get(7)?, row.get(8)?)?,
        attempts: row.get(9)?,
        updated_at: WallTime::from_unix_ms(row.get(10)?),
        boot: row.get(11)?,
        place: from_sql(row.get(12)?)?,
        // Any 64 bits: SQLite's numbers have a sign.
        prev: row.get::<_, Option<i64>>(13)?.map(i64::cast_unsigned),
        stanza: Opaque::from(row.get::<_, Vec<u8>>(14)?),
    })
}

fn inbound_record(row: &Row<'_>) -> Result<InboundRecord> {
    Ok(InboundRecord {
        arrival: from_sql(row.get(0)?)?,
        key: InboundKey {
            from_bare: row.get(1)?,
            id: row.get(2)?,
        },
        from_full: row.get(3)?,
        stanza: row.get::<_, Option<Vec<u8>>>(4)?.map(Opaque::from),
        received_at: WallTime::from_unix_ms(row.get(5)?),
        changed_at: WallTime::from_unix_ms(row.get(6)?),
        state: inbound_state(row.get(7)?, row.get(8)?)?,
    })
}

fn limit(asked: usize) -> i64 {
    to_sql(asked.min(MAX_PAGE) as u64)
}

/// A table whose rows are numbered, and no number is used twice.
#[derive(Clone, Copy, Debug)]
pub(super) enum Numbered {
    Outbound,
    Inbound,
}

impl Numbered {
    /// Its name in `highest`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }

    /// The highest number that a row ever had, also if that row is gone; 0 if there was none.
    pub(super) fn last(self, connection: &Connection) -> Result<u64> {
        let sql = match self {
            Self::Outbound => {
                "SELECT max(coalesce((SELECT max(seq) FROM outbound), 0),
                   coalesce((SELECT number FROM highest WHERE name = ?1), 0))"
            }
            Self::Inbound => {
                "SELECT max(coalesce((SELECT max(arrival) FROM inbound), 0),
                   coalesce((SELECT number FROM highest WHERE name = ?1), 0))"
            }
        };
        connection
            .prepare_cached(sql)?
            .query_row([self.name()], |row| row.get(0))
            .and_then(from_sql)
    }
}

pub(super) fn outbound(connection: &Connection, id: &str) -> Result<Option<OutboundRecord>> {
    connection
        .prepare_cached(&format!("{OUTBOUND} WHERE id = ?1"))?
        .query_row([Id::of(id)], outbound_record)
        .optional()
}

/// The statement for a page, made of fixed parts: each filter that is there
/// adds one, so that SQLite can choose an index for it.
fn outbound_page_sql(query: &OutboundQuery) -> (String, Vec<Value>) {
    let mut sql = format!("{OUTBOUND} WHERE seq > ?");
    let mut values = vec![Value::from(to_sql(query.after))];
    sql.push_str(match query.filter {
        OutboundFilter::Pending => " AND state < 10",
        OutboundFilter::Final => " AND state >= 10",
        OutboundFilter::All => "",
    });
    if let Some(to) = &query.to {
        sql.push_str(" AND recipient = ?");
        values.push(to.clone().into());
    }
    if let Some(channel) = &query.channel {
        sql.push_str(" AND channel = ?");
        values.push(channel.clone().into());
    }
    sql.push_str(" ORDER BY seq LIMIT ?");
    values.push(limit(query.limit).into());
    (sql, values)
}

pub(super) fn outbound_page(
    connection: &Connection,
    query: &OutboundQuery,
) -> Result<Vec<OutboundRecord>> {
    if let (Some(to), Some(channel)) = (&query.to, &query.channel) {
        return lane_page(connection, query, to, channel);
    }
    let (sql, values) = outbound_page_sql(query);
    connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), outbound_record)?
        .collect()
}

const NEXT_OF_LANE: &str =
    "SELECT seq FROM outbound WHERE begins = 1 AND lane = ?1 AND seq > ?2 ORDER BY seq LIMIT 1";

/// Rows of one lane. Where they follow each other without another's between, the index has
/// the first: see `schema`.
fn lane_page(
    connection: &Connection,
    query: &OutboundQuery,
    to: &str,
    channel: &str,
) -> Result<Vec<OutboundRecord>> {
    let lane = lane(to, channel);
    let mut page = Vec::new();
    let (from, to_below) = match query.filter {
        OutboundFilter::Pending => (i64::MIN, FINAL),
        OutboundFilter::Final => (FINAL, i64::MAX),
        OutboundFilter::All => (i64::MIN, i64::MAX),
    };
    let mut rows_after = connection.prepare_cached(ROWS_OF_LANE)?;
    let mut next_of_lane = connection.prepare_cached(NEXT_OF_LANE)?;
    let mut after = to_sql(query.after);
    loop {
        let mut rows = rows_after.query([after, lane, from, to_below])?;
        loop {
            let Some(row) = rows.next()? else {
                return Ok(page);
            };
            after = row.get(0)?;
            if row.get::<_, i64>(LANE)? != lane {
                break;
            }
            if page.len() >= query.limit.min(MAX_PAGE) {
                return Ok(page);
            }
            // Lanes of the same number are told apart here.
            if (from..to_below).contains(&row.get(STATE_CODE)?)
                && row.get_ref(RECIPIENT)?.as_str()? == to
                && row.get_ref(CHANNEL)?.as_str()? == channel
            {
                page.push(outbound_record(row)?);
            }
        }
        let next = next_of_lane.query_row([lane, after], |row| row.get::<_, i64>(0));
        match next.optional()? {
            // There is one, so it is more than `after`, which is no less than 0.
            Some(next) => after = next - 1,
            None => return Ok(page),
        }
    }
}

fn due_sql() -> String {
    format!(
        "{OUTBOUND} WHERE state < 3 AND deadline IS NOT NULL AND deadline <= ?1 \
         ORDER BY deadline, seq LIMIT ?2"
    )
}

pub(super) fn due(
    connection: &Connection,
    by: WallTime,
    asked: usize,
) -> Result<Vec<OutboundRecord>> {
    connection
        .prepare_cached(&due_sql())?
        .query_map(params![by.as_unix_ms(), limit(asked)], outbound_record)?
        .collect()
}

pub(super) fn inbound(connection: &Connection, key: &InboundKey) -> Result<Option<InboundRecord>> {
    connection
        .prepare_cached(&format!("{INBOUND} WHERE id = ?1 AND from_bare = ?2"))?
        .query_row([&key.id, &key.from_bare], inbound_record)
        .optional()
}

fn inbound_page_sql(query: &InboundQuery) -> (String, Vec<Value>) {
    let mut sql = format!("{INBOUND} WHERE arrival > ?");
    let mut values = vec![Value::from(to_sql(query.after))];
    sql.push_str(match query.filter {
        InboundFilter::Unhandled => " AND state < 2",
        InboundFilter::Handled => " AND state = 2",
        InboundFilter::All => "",
    });
    if let Some(from) = &query.from_bare {
        sql.push_str(" AND from_bare = ?");
        values.push(from.clone().into());
    }
    sql.push_str(" ORDER BY arrival LIMIT ?");
    values.push(limit(query.limit).into());
    (sql, values)
}

pub(super) fn inbound_page(
    connection: &Connection,
    query: &InboundQuery,
) -> Result<Vec<InboundRecord>> {
    let (sql, values) = inbound_page_sql(query);
    connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), inbound_record)?
        .collect()
}

pub(super) fn meta(connection: &Connection, key: &str) -> Result<Option<Opaque>> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get::<_, Vec<u8>>(0))
        .optional()
        .map(|value| value.map(Opaque::from))
}

pub(super) fn meta_page(
    connection: &Connection,
    prefix: &str,
    after: Option<&str>,
    asked: usize,
) -> Result<Vec<(String, Opaque)>> {
    // Keys sort by bytes, so those with the prefix lie side by side.
    let (sql, from) = match after {
        Some(after) if after >= prefix => (
            "SELECT key, value FROM meta WHERE key > ?1 ORDER BY key LIMIT ?2",
            after,
        ),
        _ => (
            "SELECT key, value FROM meta WHERE key >= ?1 ORDER BY key LIMIT ?2",
            prefix,
        ),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![from, limit(asked)])?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        if !key.starts_with(prefix) {
            break;
        }
        page.push((key, Opaque::from(row.get::<_, Vec<u8>>(1)?)));
    }
    Ok(page)
}

pub(super) fn counts(connection: &Connection) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut statement = connection.prepare_cached(
        "SELECT state, count(*), sum(length(stanza)) FROM outbound GROUP BY state",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let state: i64 = row.get(0)?;
        let count = from_sql(row.get(1)?)?;
        if state < 3 {
            counts.pending_bytes += from_sql(row.get(2)?)?;
        }
        match state {
            0 => counts.accepted = count,
            1 => counts.in_flight = count,
            2 => counts.server_accepted = count,
            3 => counts.in_doubt = count,
            _ => counts.finished += count,
        }
    }
    let mut statement =
        connection.prepare_cached("SELECT state, count(*) FROM inbound GROUP BY state")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let count = from_sql(row.get(1)?)?;
        match row.get::<_, i64>(0)? {
            0 => counts.kept = count,
            1 => counts.handed = count,
            _ => counts.handled += count,
        }
    }
    Ok(counts)
}

fn lanes(connection: &Connection) -> Result<Vec<(String, String)>> {
    connection
        .prepare_cached(
            "SELECT DISTINCT recipient, channel FROM outbound WHERE state < 10
             ORDER BY recipient, channel",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// All of the engine's values.
fn state(connection: &Connection) -> Result<Vec<(String, Opaque)>> {
    let mut all: Vec<(String, Opaque)> = Vec::new();
    loop {
        let after = all.last().map(|(key, _)| key.as_str());
        let page = meta_page(connection, STATE, after, MAX_PAGE)?;
        let last = page.len() < MAX_PAGE;
        all.extend(page);
        if last {
            return Ok(all);
        }
    }
}

pub(super) fn recover(
    connection: &Connection,
    identity: Identity,
    limit: usize,
) -> Result<Recovered> {
    Ok(Recovered {
        identity,
        next_seq: Numbered::Outbound.last(connection)?.saturating_add(1),
        outbound: outbound_page(
            connection,
            &OutboundQuery {
                limit,
                ..OutboundQuery::default()
            },
        )?,
        inbound: inbound_page(
            connection,
            &InboundQuery {
                limit,
                ..InboundQuery::default()
            },
        )?,
        counts: counts(connection)?,
        state: state(connection)?,
        lanes: lanes(connection)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::schema::migrate;
    use super::*;

    fn plan(sql: &str, values: Vec<Value>) -> String {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let steps: Vec<String> = statement
            .query_map(params_from_iter(values), |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        steps.join("; ")
    }

    #[test]
    fn reads_of_open_messages_pass_over_no_finished_ones() {
        // Of all lanes together only people ask, in the order of what was accepted.
        let (sql, values) = outbound_page_sql(&OutboundQuery::default());
        let all = plan(&sql, values);
        assert!(
            all.contains("rowid>?") && !all.contains("TEMP B-TREE"),
            "{all}"
        );

        let lane = plan(NEXT_OF_LANE, vec![Value::from(0), Value::from(1)]);
        assert!(
            lane.contains("outbound_lane (lane=? AND rowid>?)"),
            "{lane}"
        );

        let due = plan(&due_sql(), vec![Value::from(0), Value::from(1)]);
        assert!(due.contains("outbound_due") && !due.contains("TEMP B-TREE"));

        let (sql, values) = inbound_page_sql(&InboundQuery::default());
        assert!(plan(&sql, values).contains("inbound_unhandled"));
    }
}
