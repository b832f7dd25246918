//! The file format: tables, their versions, the numbers that stand for states,
//! and the identity row. Opening the file is in `sqlite::file`.

use rusqlite::types::FromSqlError;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::super::error::StoreError;
use super::super::record::{
    Identity, InboundState, Opening, OutboundState, Reason, StoreId, WallTime,
};
use super::fault::sqlite_fault;
use super::key;

/// `PRAGMA application_id` of a store: "Stan".
pub(super) const APPLICATION_ID: i32 = 0x5374_616e;

/// Step n brings a file from version n to n + 1. Steps are never edited once
/// released, only added.
///
/// Times are milliseconds since the Unix epoch. No `seq` and no `arrival` is used
/// twice, also after deletions: see `highest`. The numbers of `state` are in
/// [`state_code`] and [`InboundCode`]; the partial indexes repeat their ranges.
/// Step 1 is the server registry's: what its columns mean is in `registry::row`.
pub(super) const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    store_id BLOB NOT NULL CHECK (length(store_id) = 16),
    device TEXT NOT NULL,
    boot_count INTEGER NOT NULL,
    boot_token INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE outbound (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    recipient TEXT NOT NULL,
    channel TEXT NOT NULL,
    stanza BLOB NOT NULL,
    accepted_at INTEGER NOT NULL,
    deadline INTEGER,
    protection INTEGER NOT NULL,
    state INTEGER NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    boot INTEGER NOT NULL
) STRICT;
CREATE INDEX outbound_pending ON outbound (seq) WHERE state < 10;
CREATE INDEX outbound_lane ON outbound (recipient, channel, seq) WHERE state < 10;
CREATE INDEX outbound_due ON outbound (deadline, seq) WHERE state < 3 AND deadline IS NOT NULL;
CREATE INDEX outbound_final ON outbound (updated_at) WHERE state >= 10;
CREATE TABLE inbound (
    arrival INTEGER PRIMARY KEY AUTOINCREMENT,
    from_bare TEXT NOT NULL,
    id TEXT NOT NULL,
    from_full TEXT NOT NULL,
    stanza BLOB,
    received_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    state INTEGER NOT NULL,
    handed_count INTEGER NOT NULL,
    UNIQUE (id, from_bare)
) STRICT;
CREATE INDEX inbound_unhandled ON inbound (arrival) WHERE state < 2;
CREATE INDEX inbound_payload ON inbound (arrival, changed_at)
    WHERE state = 2 AND stanza IS NOT NULL;
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE servers (
    account TEXT PRIMARY KEY NOT NULL,
    priority INTEGER NOT NULL,
    resource TEXT,
    credentials INTEGER NOT NULL,
    authcid TEXT,
    password TEXT,
    authzid TEXT,
    explicit INTEGER NOT NULL,
    pin BLOB,
    client_chain BLOB,
    client_key BLOB,
    min_tls INTEGER NOT NULL,
    channel_binding INTEGER NOT NULL,
    min_mechanism TEXT NOT NULL,
    plain_without_tls INTEGER NOT NULL,
    prefer_external INTEGER NOT NULL,
    min_iterations INTEGER NOT NULL,
    max_iterations INTEGER NOT NULL,
    max_salt INTEGER NOT NULL,
    plaintext INTEGER NOT NULL
) STRICT;
CREATE TABLE server_endpoints (
    account TEXT NOT NULL REFERENCES servers ON DELETE CASCADE,
    position INTEGER NOT NULL,
    place TEXT NOT NULL,
    PRIMARY KEY (account, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE server_roots (
    account TEXT NOT NULL REFERENCES servers ON DELETE CASCADE,
    position INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    value BLOB,
    PRIMARY KEY (account, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE server_health (
    account TEXT NOT NULL REFERENCES servers ON DELETE CASCADE,
    place TEXT NOT NULL,
    failures INTEGER NOT NULL,
    failed_at INTEGER,
    succeeded_at INTEGER,
    open_until INTEGER,
    latency INTEGER,
    used INTEGER NOT NULL,
    PRIMARY KEY (account, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE server_notes (
    account TEXT NOT NULL REFERENCES servers ON DELETE CASCADE,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
",
    "
ALTER TABLE outbound ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbound ADD COLUMN prev INTEGER;
",
    // Each message is put into it and taken out again, and only people read by it: they
    // pass over what is finished.
    "
DROP INDEX outbound_pending;
",
    // AUTOINCREMENT writes the highest number down with each row, which is a page more for
    // each commit. `highest` has it only for rows that are gone. Views of applications that
    // lead nowhere are theirs: without the old way of renaming, they would be an error here.
    "
PRAGMA legacy_alter_table = ON;
CREATE TABLE highest (
    name TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO highest (name, number)
    SELECT name, max(seq) FROM sqlite_sequence WHERE name IN ('outbound', 'inbound')
    GROUP BY name;
CREATE TABLE new_outbound (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    recipient TEXT NOT NULL,
    channel TEXT NOT NULL,
    stanza BLOB NOT NULL,
    accepted_at INTEGER NOT NULL,
    deadline INTEGER,
    protection INTEGER NOT NULL,
    state INTEGER NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    place INTEGER NOT NULL,
    prev INTEGER
) STRICT;
INSERT INTO new_outbound (seq, id, recipient, channel, stanza, accepted_at, deadline,
    protection, state, reason, attempts, updated_at, boot, place, prev)
    SELECT seq, id, recipient, channel, stanza, accepted_at, deadline,
    protection, state, reason, attempts, updated_at, boot, place, prev FROM outbound;
DROP TABLE outbound;
ALTER TABLE new_outbound RENAME TO outbound;
CREATE INDEX outbound_lane ON outbound (recipient, channel, seq) WHERE state < 10;
CREATE INDEX outbound_due ON outbound (deadline, seq) WHERE state < 3 AND deadline IS NOT NULL;
CREATE INDEX outbound_final ON outbound (updated_at) WHERE state >= 10;
CREATE TABLE new_inbound (
    arrival INTEGER PRIMARY KEY,
    from_bare TEXT NOT NULL,
    id TEXT NOT NULL,
    from_full TEXT NOT NULL,
    stanza BLOB,
    received_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    state INTEGER NOT NULL,
    handed_count INTEGER NOT NULL,
    UNIQUE (id, from_bare)
) STRICT;
INSERT INTO new_inbound (arrival, from_bare, id, from_full, stanza, received_at, changed_at,
    state, handed_count)
    SELECT arrival, from_bare, id, from_full, stanza, received_at, changed_at,
    state, handed_count FROM inbound;
DROP TABLE inbound;
ALTER TABLE new_inbound RENAME TO inbound;
CREATE INDEX inbound_unhandled ON inbound (arrival) WHERE state < 2;
CREATE INDEX inbound_payload ON inbound (arrival, changed_at)
    WHERE state = 2 AND stanza IS NOT NULL;
PRAGMA legacy_alter_table = OFF;
",
    // The keys of the indexes become short: see `key`. Of rows of one lane that follow each
    // other without a gap, `outbound_lane` has the first: `begins` is 1 there. It may be 1
    // elsewhere, too. The stanza is last, so that who looks for a state need not pass it.
    "
PRAGMA legacy_alter_table = ON;
CREATE TABLE new_outbound (
    seq INTEGER PRIMARY KEY,
    id ANY NOT NULL UNIQUE,
    lane INTEGER NOT NULL,
    begins INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    channel TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    deadline INTEGER,
    protection INTEGER NOT NULL,
    state INTEGER NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    place INTEGER NOT NULL,
    prev INTEGER,
    stanza BLOB NOT NULL
) STRICT;
INSERT INTO new_outbound (seq, id, lane, begins, recipient, channel, accepted_at, deadline,
    protection, state, reason, attempts, updated_at, boot, place, prev, stanza)
    SELECT seq, stanchion_id(id), stanchion_lane(recipient, channel), 1, recipient, channel,
    accepted_at, deadline, protection, state, reason, attempts, updated_at, boot, place, prev,
    stanza FROM outbound;
DROP TABLE outbound;
ALTER TABLE new_outbound RENAME TO outbound;
CREATE INDEX outbound_lane ON outbound (lane) WHERE begins = 1;
CREATE INDEX outbound_due ON outbound (deadline, seq) WHERE state < 3 AND deadline IS NOT NULL;
CREATE INDEX outbound_final ON outbound (updated_at) WHERE state >= 10;
PRAGMA legacy_alter_table = OFF;
",
    // Ids have six bytes in the records of channels, which earlier releases cannot read.
    "",
];

/// The version this release writes, and the newest it reads.
pub(super) const VERSION: u32 = MIGRATIONS.len() as u32;

/// Brings the file to [`VERSION`], one transaction for all steps.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let version = |connection: &Connection| -> Result<u32, rusqlite::Error> {
        connection.pragma_query_value(None, "user_version", |row| row.get(0))
    };
    // A version never falls, so this look needs no lock, and waits for no writer.
    if version(connection)? >= VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    // Another connection may have been here since it was looked at.
    if found >= VERSION {
        return Ok(());
    }
    key::add_functions(&transaction)?;
    for step in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(step)?;
    }
    key::remove_functions(&transaction)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Makes or reads the identity and counts this opening, durably.
pub(super) fn begin_life(
    connection: &mut Connection,
    opening: &Opening,
) -> Result<Identity, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sqlite_fault)?;
    let stored = read_identity(&transaction).map_err(sqlite_fault)?;
    let identity = opening.identity(stored)?;
    transaction
        .execute(
            "INSERT OR REPLACE INTO identity
             (one, store_id, device, boot_count, boot_token, created_at)
             VALUES (1, ?1, ?2, ?3, ?4, ?5)",
            params![
                identity.store_id.0,
                identity.device,
                to_sql(identity.boot_count),
                identity.boot_token,
                identity.created_at.as_unix_ms(),
            ],
        )
        .map_err(sqlite_fault)?;
    transaction.commit().map_err(sqlite_fault)?;
    Ok(identity)
}

pub(super) fn read_identity(connection: &Connection) -> Result<Option<Identity>, rusqlite::Error> {
    connection
        .query_row(
            "SELECT store_id, device, boot_count, boot_token, created_at FROM identity",
            [],
            |row| {
                Ok(Identity {
                    store_id: StoreId(row.get(0)?),
                    device: row.get(1)?,
                    boot_count: from_sql(row.get(2)?)?,
                    boot_token: row.get(3)?,
                    created_at: WallTime::from_unix_ms(row.get(4)?),
                })
            },
        )
        .optional()
}

/// The numbers of the outbound states that are final begin here.
pub(super) const FINAL: i64 = 10;

/// The number of an outbound state: below 3 undecided, below 10 pending, from
/// 10 final.
pub(super) fn state_code(state: &OutboundState) -> i64 {
    match state {
        OutboundState::Accepted => 0,
        OutboundState::InFlight => 1,
        OutboundState::ServerAccepted => 2,
        OutboundState::InDoubt { open: true, .. } => 3,
        OutboundState::Acknowledged => 10,
        OutboundState::Delivered => 11,
        OutboundState::NotDelivered { .. } => 12,
        OutboundState::InDoubt { open: false, .. } => 13,
    }
}

pub(super) fn outbound_state(
    code: i64,
    reason: Option<String>,
) -> Result<OutboundState, rusqlite::Error> {
    Ok(match (code, reason) {
        (0, None) => OutboundState::Accepted,
        (1, None) => OutboundState::InFlight,
        (2, None) => OutboundState::ServerAccepted,
        (10, None) => OutboundState::Acknowledged,
        (11, None) => OutboundState::Delivered,
        (12, Some(reason)) => OutboundState::NotDelivered {
            reason: Reason(reason),
        },
        (3 | 13, Some(reason)) => OutboundState::InDoubt {
            reason: Reason(reason),
            open: code == 3,
        },
        _ => return Err(out_of_range(code)),
    })
}

/// The numbers of an inbound state.
pub(super) enum InboundCode {}

impl InboundCode {
    pub(super) const KEPT: i64 = 0;
    pub(super) const HANDED: i64 = 1;
    pub(super) const HANDLED: i64 = 2;
}

pub(super) fn inbound_state(code: i64, handed_count: u32) -> Result<InboundState, rusqlite::Error> {
    Ok(match code {
        InboundCode::KEPT => InboundState::Kept,
        InboundCode::HANDED => InboundState::Handed {
            times: handed_count,
        },
        InboundCode::HANDLED => InboundState::Handled,
        _ => return Err(out_of_range(code)),
    })
}

/// A count as SQLite keeps it. No count reaches 2⁶³; one that did would stay
/// there.
pub(super) fn to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn from_sql(count: i64) -> Result<u64, rusqlite::Error> {
    u64::try_from(count).map_err(|_| out_of_range(count))
}

fn out_of_range(value: i64) -> rusqlite::Error {
    FromSqlError::OutOfRange(value).into()
}
