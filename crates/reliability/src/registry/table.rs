//! The statements on the registry's tables. Each runs inside the caller's transaction.

use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension as _, params};
use secrecy::ExposeSecret as _;
use stanchion_connect::Endpoint;
use stanchion_connect::registry::{
    EndpointHealth, MAX_ENDPOINTS, MAX_NOTE, MAX_SERVERS, Note, Server, read_place,
};

use super::row::{self, Columns, Fault, MAX_ROOTS};

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// All entries, each with its account, as a server or as what cannot be read of it.
pub(super) fn servers(
    connection: &Connection,
) -> Result<Vec<(String, std::result::Result<Server, Fault>)>> {
    let mut accounts =
        connection.prepare_cached("SELECT CAST(account AS BLOB) FROM servers LIMIT ?1")?;
    let accounts: Vec<Vec<u8>> = accounts
        .query_map([limit(MAX_SERVERS)], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let mut entries = Vec::with_capacity(accounts.len());
    for account in accounts {
        entries.push(match String::from_utf8(account) {
            Ok(account) => {
                let entry = server(connection, &account)?;
                (account, entry)
            }
            Err(e) => (
                String::from_utf8_lossy(e.as_bytes()).into_owned(),
                Err("account"),
            ),
        });
    }
    Ok(entries)
}

fn server(connection: &Connection, account: &str) -> Result<std::result::Result<Server, Fault>> {
    let places = children(
        connection,
        "SELECT CAST(place AS BLOB) FROM server_endpoints WHERE account = ?1
         ORDER BY position LIMIT ?2",
        account,
        MAX_ENDPOINTS,
        |row| row.get::<_, Vec<u8>>(0),
    )?;
    let places: std::result::Result<Vec<String>, _> =
        places.into_iter().map(String::from_utf8).collect();
    let roots = children(
        connection,
        "SELECT kind, value FROM server_roots WHERE account = ?1 ORDER BY position LIMIT ?2",
        account,
        MAX_ROOTS,
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut row = connection.prepare_cached("SELECT * FROM servers WHERE account = ?1")?;
    row.query_row([account], |row| {
        Ok(match places {
            Ok(places) => row::server(account, row, &places, roots),
            Err(_) => Err("endpoints"),
        })
    })
}

fn children<T>(
    connection: &Connection,
    statement: &str,
    account: &str,
    most: usize,
    read: impl FnMut(&rusqlite::Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(statement)?;
    let rows = statement.query_map(params![account, limit(most)], read)?;
    rows.collect()
}

pub(super) fn has(connection: &Connection, account: &str) -> Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM servers WHERE account = ?1")?
        .exists([account])
}

pub(super) fn count(connection: &Connection) -> Result<usize> {
    let count: i64 = connection.query_row("SELECT count(*) FROM servers", [], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Adds or replaces; health and notes stay.
pub(super) fn put(connection: &Connection, account: &str, columns: &Columns<'_>) -> Result<()> {
    let mut server = connection.prepare_cached(
        "INSERT INTO servers (account, priority, resource, credentials, authcid, password,
             authzid, explicit, pin, client_chain, client_key, min_tls, channel_binding,
             min_mechanism, plain_without_tls, prefer_external, min_iterations,
             max_iterations, max_salt, plaintext)
         VALUES (:account, :priority, :resource, :credentials, :authcid, :password,
             :authzid, :explicit, :pin, :client_chain, :client_key, :min_tls,
             :channel_binding, :min_mechanism, :plain_without_tls, :prefer_external,
             :min_iterations, :max_iterations, :max_salt, :plaintext)
         ON CONFLICT (account) DO UPDATE SET priority = excluded.priority,
             resource = excluded.resource, credentials = excluded.credentials,
             authcid = excluded.authcid, password = excluded.password,
             authzid = excluded.authzid, explicit = excluded.explicit, pin = excluded.pin,
             client_chain = excluded.client_chain, client_key = excluded.client_key,
             min_tls = excluded.min_tls, channel_binding = excluded.channel_binding,
             min_mechanism = excluded.min_mechanism,
             plain_without_tls = excluded.plain_without_tls,
             prefer_external = excluded.prefer_external,
             min_iterations = excluded.min_iterations,
             max_iterations = excluded.max_iterations, max_salt = excluded.max_salt,
             plaintext = excluded.plaintext",
    )?;
    columns.with(account, |values| server.execute(values))?;
    for table in ["server_endpoints", "server_roots"] {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE account = ?1"))?
            .execute([account])?;
    }
    let mut place =
        connection.prepare_cached("INSERT INTO server_endpoints VALUES (?1, ?2, ?3)")?;
    for (position, text) in columns.places.iter().flatten().enumerate() {
        place.execute(params![account, limit(position), text])?;
    }
    let mut root = connection.prepare_cached("INSERT INTO server_roots VALUES (?1, ?2, ?3, ?4)")?;
    for (position, (kind, value)) in columns.roots.iter().enumerate() {
        root.execute(params![account, limit(position), kind, value])?;
    }
    Ok(())
}

/// With all that refers to it. Tells whether there was one.
pub(super) fn remove(connection: &Connection, account: &str) -> Result<bool> {
    let removed = connection
        .prepare_cached("DELETE FROM servers WHERE account = ?1")?
        .execute([account])?;
    Ok(removed > 0)
}

/// The least recently noted first. What another version wrote is left out: health is a
/// hint.
pub(super) fn health(
    connection: &Connection,
    account: &str,
) -> Result<Vec<(Endpoint, EndpointHealth)>> {
    let entries = children(
        connection,
        "SELECT place, failures, failed_at, succeeded_at, open_until, latency
         FROM server_health WHERE account = ?1 ORDER BY used LIMIT ?2",
        account,
        MAX_ENDPOINTS,
        |row| Ok(one_health(row).ok()),
    )?;
    Ok(entries.into_iter().flatten().collect())
}

fn one_health(
    row: &rusqlite::Row<'_>,
) -> std::result::Result<(Endpoint, EndpointHealth), Box<dyn std::error::Error>> {
    let place: String = row.get(0)?;
    let time = |index| -> Result<Option<SystemTime>> {
        Ok(row.get::<_, Option<i64>>(index)?.and_then(from_ms))
    };
    let latency: Option<i64> = row.get(5)?;
    let health = EndpointHealth {
        failures: row.get(1)?,
        failed_at: time(2)?,
        succeeded_at: time(3)?,
        open_until: time(4)?,
        shunned_until: None,
        latency: latency
            .map(u64::try_from)
            .transpose()?
            .map(Duration::from_micros),
    };
    Ok((read_place(&place)?, health))
}

/// Replaces the health of some endpoints, in the order in which they were used, and
/// keeps the last [`MAX_ENDPOINTS`].
pub(super) fn note_health(
    connection: &Connection,
    account: &str,
    health: &[(String, EndpointHealth)],
) -> Result<()> {
    let mut replace = connection.prepare_cached(
        "INSERT OR REPLACE INTO server_health
             (account, place, failures, failed_at, succeeded_at, open_until, latency, used)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ifnull(max(used), 0) + 1
         FROM server_health WHERE account = ?1",
    )?;
    for (place, health) in health {
        let latency = health
            .latency
            .map(|l| l.as_micros().min(MOST_MICROS) as i64);
        replace.execute(params![
            account,
            place,
            health.failures,
            health.failed_at.map(to_ms),
            health.succeeded_at.map(to_ms),
            health.open_until.map(to_ms),
            latency,
        ])?;
    }
    connection
        .prepare_cached(
            "DELETE FROM server_health WHERE account = ?1 AND place NOT IN
                 (SELECT place FROM server_health WHERE account = ?1
                  ORDER BY used DESC LIMIT ?2)",
        )?
        .execute(params![account, limit(MAX_ENDPOINTS)])?;
    Ok(())
}

/// `None` also for what is too long to be one of ours.
pub(super) fn recall(connection: &Connection, account: &str, key: &str) -> Result<Option<Note>> {
    let value: Option<Vec<u8>> = connection
        .prepare_cached(
            "SELECT value FROM server_notes
             WHERE account = ?1 AND key = ?2 AND length(value) <= ?3",
        )?
        .query_row(params![account, key, limit(MAX_NOTE)], |row| row.get(0))
        .optional()?;
    Ok(value.map(Note::from))
}

pub(super) fn learn(connection: &Connection, account: &str, key: &str, value: &Note) -> Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO server_notes VALUES (?1, ?2, ?3)")?
        .execute(params![account, key, value.expose_secret()])
        .map(drop)
}

pub(super) fn forget(connection: &Connection, account: &str, key: &str) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM server_notes WHERE account = ?1 AND key = ?2")?
        .execute([account, key])
        .map(drop)
}

pub(super) fn notes(connection: &Connection, account: &str) -> Result<usize> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM server_notes WHERE account = ?1")?
        .query_row([account], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// The longest latency, about 292 000 years.
const MOST_MICROS: u128 = i64::MAX as u128;

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Milliseconds since the Unix epoch, towards the past. A clock may be wrong by any
/// amount.
fn to_ms(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => {
            let nanos = before.duration().as_nanos();
            i64::try_from(nanos.div_ceil(1_000_000)).map_or(i64::MIN, |ms| -ms)
        }
    }
}

fn from_ms(ms: i64) -> Option<SystemTime> {
    let distance = Duration::from_millis(ms.unsigned_abs());
    if ms < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}
