//! The tables of the history, made when they are first needed: a device that only sends
//! readings has none. What is in them is written by `write` and read by `query`.

use stanchion_reliability::store::rusqlite::{self, Transaction};

/// Makes the tables if they are not there; in a transaction of its own, as an index that is
/// made, filled and undone together would fail what other effects did.
pub(super) fn ensure(tx: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    if exists(tx)? {
        return Ok(());
    }
    tx.execute_batch(TABLES)
}

/// Whether there is any history, so that a look at it need not make one.
pub(super) fn exists(tx: &Transaction<'_>) -> Result<bool, rusqlite::Error> {
    tx.prepare_cached(
        "SELECT count(*) FROM sqlite_master WHERE name = 'app_stanchion_history_about'",
    )?
    .query_row([], |row| row.get(0))
}

/// Times are Unix milliseconds. `direction` is 0 for what came in and 1 for what went out;
/// `mark` is 2 for what the other side has displayed. The `bytes` are those of all texts,
/// earlier versions included. Rows are never renumbered, so that a
/// place in the history stays what it is.
const TABLES: &str = "
CREATE TABLE app_stanchion_history_about (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO app_stanchion_history_about VALUES ('version', 1), ('bytes', 0);

CREATE TABLE app_stanchion_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation TEXT NOT NULL,
    direction INTEGER NOT NULL,
    author TEXT,
    key TEXT NOT NULL,
    message_id TEXT,
    origin_id TEXT,
    archive_id TEXT,
    thread TEXT,
    reply_to TEXT,
    replaces TEXT,
    body TEXT NOT NULL,
    markable INTEGER NOT NULL,
    at INTEGER NOT NULL,
    stage TEXT,
    why TEXT,
    edits INTEGER NOT NULL DEFAULT 0,
    edited_at INTEGER,
    mark INTEGER NOT NULL DEFAULT 0,
    unread INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX app_stanchion_history_once
    ON app_stanchion_history (conversation, direction, key);
CREATE INDEX app_stanchion_history_order ON app_stanchion_history (conversation, at, id);
CREATE INDEX app_stanchion_history_age ON app_stanchion_history (at);
CREATE INDEX app_stanchion_history_named ON app_stanchion_history (message_id);
CREATE INDEX app_stanchion_history_unread
    ON app_stanchion_history (conversation) WHERE unread = 1;
CREATE INDEX app_stanchion_history_open
    ON app_stanchion_history (id) WHERE stage IN ('writing', 'accepted', 'server', 'in doubt');

CREATE TABLE app_stanchion_history_versions (
    of INTEGER NOT NULL,
    key TEXT NOT NULL,
    before TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (of, key)
) STRICT;

CREATE TABLE app_stanchion_history_talks (
    conversation TEXT PRIMARY KEY,
    latest INTEGER NOT NULL
) STRICT;
CREATE INDEX app_stanchion_history_latest ON app_stanchion_history_talks (latest);

CREATE VIRTUAL TABLE app_stanchion_history_words USING fts5(
    body,
    content = 'app_stanchion_history',
    content_rowid = 'id',
    tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER app_stanchion_history_in AFTER INSERT ON app_stanchion_history BEGIN
    INSERT INTO app_stanchion_history_words (rowid, body) VALUES (new.id, new.body);
    UPDATE app_stanchion_history_about SET value = value + octet_length(new.body)
        WHERE name = 'bytes';
END;
CREATE TRIGGER app_stanchion_history_out AFTER DELETE ON app_stanchion_history BEGIN
    UPDATE app_stanchion_history_about SET value = value - octet_length(old.body)
        WHERE name = 'bytes';
    INSERT INTO app_stanchion_history_words (app_stanchion_history_words, rowid, body)
        VALUES ('delete', old.id, old.body);
    DELETE FROM app_stanchion_history_versions WHERE of = old.id;
END;
CREATE TRIGGER app_stanchion_history_edit AFTER UPDATE OF body ON app_stanchion_history BEGIN
    INSERT INTO app_stanchion_history_words (app_stanchion_history_words, rowid, body)
        VALUES ('delete', old.id, old.body);
    INSERT INTO app_stanchion_history_words (rowid, body) VALUES (new.id, new.body);
    UPDATE app_stanchion_history_about
        SET value = value + octet_length(new.body) - octet_length(old.body)
        WHERE name = 'bytes';
END;
CREATE TRIGGER app_stanchion_history_version_in
    AFTER INSERT ON app_stanchion_history_versions BEGIN
    UPDATE app_stanchion_history_about SET value = value + octet_length(new.before)
        WHERE name = 'bytes';
END;
CREATE TRIGGER app_stanchion_history_version_out
    AFTER DELETE ON app_stanchion_history_versions BEGIN
    UPDATE app_stanchion_history_about SET value = value - octet_length(old.before)
        WHERE name = 'bytes';
END;
";
