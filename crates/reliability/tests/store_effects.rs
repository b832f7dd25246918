//! Effects of an application in the store's transaction, against real files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first error"
)]

mod store;

use stanchion_reliability::store::rusqlite::{Error, Transaction};
use stanchion_reliability::store::{
    Effect, EffectAnswer, EffectError, InboundKey, InboundState, Misuse, Op, OpResult, SqliteStore,
    Store, StoreError, TransactError,
};
use store::{Bed, MemoryBed, at, inbound, opening};
use tempfile::TempDir;

async fn open() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("s.db"), &opening()).unwrap();
    let make = |tx: &Transaction<'_>| tx.execute_batch("CREATE TABLE app_seen (n INTEGER)");
    store.transact(make).await.unwrap();
    (folder, store)
}

fn key(id: &str) -> InboundKey {
    InboundKey::new("a@b", id)
}

async fn arrive(store: &SqliteStore, ids: &[&str]) {
    let batch = ids.iter().map(|id| Op::PutInbound(inbound("a@b", id)));
    store.submit(batch.collect()).unwrap().await.unwrap();
}

fn apply(id: &str) -> Op {
    Op::Apply {
        arrival: 0,
        key: key(id),
        at: at(2),
    }
}

fn insert(n: i64) -> (Effect, EffectAnswer<i64>) {
    Effect::new(move |tx| {
        tx.execute("INSERT INTO app_seen VALUES (?1)", [n])?;
        Ok::<_, Error>(n)
    })
}

/// Inserts and then fails.
fn fails(n: i64) -> (Effect, EffectAnswer<()>) {
    Effect::new(move |tx| {
        tx.execute("INSERT INTO app_seen VALUES (?1)", [n])?;
        Err::<(), EffectFailure>("no such room".into())
    })
}

type EffectFailure = Box<dyn std::error::Error + Send + Sync>;

async fn seen(store: &SqliteStore) -> Vec<i64> {
    let read = |tx: &Transaction<'_>| {
        let mut rows = tx.prepare("SELECT n FROM app_seen ORDER BY rowid")?;
        rows.query_map([], |row| row.get(0))?
            .collect::<Result<Vec<i64>, _>>()
    };
    store.transact(read).await.unwrap()
}

async fn state(store: &SqliteStore, id: &str) -> InboundState {
    store.inbound(&key(id)).await.unwrap().unwrap().state
}

#[tokio::test]
async fn an_effect_is_there_with_its_mark_after_the_next_start() {
    let (folder, store) = open().await;
    arrive(&store, &["m"]).await;
    let (effect, gave) = insert(7);
    let committed = store.submit_with(vec![apply("m")], vec![effect]).unwrap();
    assert_eq!(committed.await.unwrap().results, [OpResult::Done]);
    assert_eq!(gave.take().await.unwrap().unwrap(), 7);
    drop(store);
    let store = SqliteStore::open(folder.path().join("s.db"), &opening()).unwrap();
    assert_eq!(state(&store, "m").await, InboundState::Handled);
    assert_eq!(seen(&store).await, [7]);
}

#[tokio::test]
async fn an_effect_that_fails_undoes_itself_and_nothing_else() {
    let (_folder, store) = open().await;
    arrive(&store, &["m1", "m2", "m3"]).await;
    let note = |key: &str| Op::PutMeta {
        key: key.into(),
        value: "x".into(),
    };
    let (first, _) = insert(1);
    let (second, gave) = fails(2);
    let (third, _) = insert(3);
    let batch = vec![
        note("before"),
        apply("m1"),
        apply("m2"),
        note("between"),
        apply("m3"),
    ];
    let ticket = store.submit_with(batch, vec![first, second, third]);
    let results = ticket.unwrap().await.unwrap().results;
    assert_eq!(
        results,
        [
            OpResult::Done,
            OpResult::Done,
            OpResult::EffectFailed,
            OpResult::Done,
            OpResult::Done
        ]
    );
    let Some(Err(EffectError::Failed(why))) = gave.take().await else {
        panic!("the effect's own error is lost");
    };
    assert_eq!(why.to_string(), "no such room");
    assert_eq!(seen(&store).await, [1, 3]);
    assert_eq!(state(&store, "m1").await, InboundState::Handled);
    assert_eq!(state(&store, "m2").await, InboundState::Kept);
    assert_eq!(state(&store, "m3").await, InboundState::Handled);
    assert!(store.meta("between").await.unwrap().is_some());
}

#[tokio::test]
async fn an_effect_that_panics_is_undone_and_the_store_lives_on() {
    let (_folder, store) = open().await;
    arrive(&store, &["m"]).await;
    let (effect, gave) = Effect::new(|tx| -> Result<(), Error> {
        tx.execute("INSERT INTO app_seen VALUES (1)", [])?;
        panic!("a defect of the application");
    });
    let ticket = store.submit_with(vec![apply("m")], vec![effect]).unwrap();
    assert_eq!(ticket.await.unwrap().results, [OpResult::EffectFailed]);
    let Some(Err(EffectError::Panicked(words))) = gave.take().await else {
        panic!("the panic is not told");
    };
    assert_eq!(words, "a defect of the application");
    assert_eq!(seen(&store).await, Vec::<i64>::new());

    let (effect, _) = insert(2);
    let ticket = store.submit_with(vec![apply("m")], vec![effect]).unwrap();
    assert_eq!(ticket.await.unwrap().results, [OpResult::Done]);
    assert_eq!(seen(&store).await, [2]);
}

#[tokio::test]
async fn the_effect_of_a_message_that_cannot_be_committed_never_runs() {
    let (_folder, store) = open().await;
    arrive(&store, &["m"]).await;
    let handled = Op::MarkHandled {
        key: key("m"),
        at: at(2),
    };
    let (first, gave_first) = insert(1);
    let (second, gave_second) = insert(2);
    let batch = vec![handled, apply("m"), apply("never came")];
    let ticket = store.submit_with(batch, vec![first, second]).unwrap();
    assert_eq!(
        ticket.await.unwrap().results,
        [OpResult::Done, OpResult::AlreadyHandled, OpResult::NotFound]
    );
    assert!(gave_first.take().await.is_none());
    assert!(gave_second.take().await.is_none());
    assert_eq!(seen(&store).await, Vec::<i64>::new());
}

#[tokio::test]
async fn an_effect_touches_the_tables_of_the_application_alone() {
    let (_folder, store) = open().await;
    arrive(&store, &["m"]).await;
    for sql in [
        "DELETE FROM inbound",
        "UPDATE outbound SET state = 11",
        "INSERT INTO meta VALUES ('k', x'00')",
        "SELECT password FROM servers",
        "CREATE TABLE mine (n INTEGER)",
        "CREATE INDEX app_i ON inbound (id)",
        "CREATE TRIGGER app_t AFTER INSERT ON inbound BEGIN DELETE FROM app_seen; END",
        "CREATE TEMP TABLE app_temporary (n INTEGER)",
        "CREATE VIEW app_secrets AS SELECT password FROM servers; SELECT * FROM app_secrets",
        "CREATE TRIGGER app_t AFTER INSERT ON app_seen BEGIN DELETE FROM inbound; END;
         INSERT INTO app_seen VALUES (1)",
        "ALTER TABLE inbound RENAME TO app_inbound",
        "ALTER TABLE app_seen RENAME TO seen",
        "DROP TABLE inbound",
        "PRAGMA synchronous = OFF",
        "PRAGMA writable_schema = ON",
        "ATTACH ':memory:' AS app_other",
        "VACUUM",
        "COMMIT",
        "ROLLBACK",
        "RELEASE effect",
        "ROLLBACK TO effect",
    ] {
        let outcome = store.transact(move |tx| tx.execute_batch(sql)).await;
        let refused = matches!(outcome, Err(TransactError::Effect(EffectError::Failed(_))));
        assert!(refused, "{sql}: {outcome:?}");
    }
    assert_eq!(state(&store, "m").await, InboundState::Kept);
    assert_eq!(seen(&store).await, Vec::<i64>::new());

    for sql in [
        "CREATE TABLE app_t (id INTEGER PRIMARY KEY AUTOINCREMENT, k TEXT UNIQUE,
         n INTEGER REFERENCES app_t)",
        "CREATE INDEX app_by_n ON app_t (n)",
        "CREATE TABLE app_log (k TEXT)",
        "CREATE TRIGGER app_logs AFTER INSERT ON app_t
         BEGIN INSERT INTO app_log VALUES (new.k); END",
        "CREATE VIEW app_all AS SELECT t.k, count(*) AS times FROM app_t AS t GROUP BY t.k",
        "INSERT INTO app_t (k) SELECT value FROM json_each('[\"a\", \"b\"]')",
        "WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 9)
         INSERT INTO app_seen SELECT n FROM up",
        "SAVEPOINT app_step; UPDATE app_t SET k = 'c' WHERE k = 'b'; ROLLBACK TO app_step;
         RELEASE app_step",
        "SELECT * FROM app_all",
        "ALTER TABLE app_t ADD COLUMN more TEXT",
        "REINDEX app_by_n",
        "DROP VIEW app_all",
        "DROP INDEX app_by_n",
        "DROP TRIGGER app_logs",
        "ALTER TABLE app_t RENAME COLUMN more TO less",
        "DROP TABLE app_t",
    ] {
        let outcome = store.transact(move |tx| tx.execute_batch(sql)).await;
        assert!(outcome.is_ok(), "{sql}: {outcome:?}");
    }
    assert_eq!(seen(&store).await.len(), 9);
    // The store's own statements know no guard.
    arrive(&store, &["m2"]).await;
}

#[tokio::test]
async fn an_effect_that_ends_the_transaction_fails_the_store_closed() {
    let (_folder, store) = open().await;
    arrive(&store, &["m1", "m2"]).await;
    let (first, _) = insert(1);
    let (second, _) = Effect::new(|tx| {
        tx.execute_batch(
            "CREATE TABLE app_u (n INTEGER UNIQUE); INSERT INTO app_u VALUES (1);
             INSERT OR ROLLBACK INTO app_u VALUES (1)",
        )
    });
    let batch = vec![apply("m1"), apply("m2")];
    let ticket = store.submit_with(batch, vec![first, second]).unwrap();
    assert!(matches!(ticket.await, Err(StoreError::Io(_))));
    store.reopen().await.unwrap();
    assert_eq!(seen(&store).await, Vec::<i64>::new());
    assert_eq!(state(&store, "m1").await, InboundState::Kept);
    // The guard is on the new connection, too.
    let outcome = store.transact(|tx| tx.execute_batch("DELETE FROM inbound"));
    assert!(outcome.await.is_err());
}

#[tokio::test]
async fn effects_and_ops_that_do_not_match_change_nothing() {
    let (_folder, store) = open().await;
    arrive(&store, &["m"]).await;
    let (effect, gave) = insert(1);
    let two = vec![apply("m"), apply("m")];
    let ticket = store.submit_with(two, vec![effect]).unwrap();
    let misuse = Misuse::Effects {
        wanted: 2,
        effects: 1,
    };
    let refused = ticket.await;
    assert!(matches!(refused, Err(StoreError::Misuse(why)) if why == misuse));
    assert!(gave.take().await.is_none());

    let alone = store.submit(vec![apply("m")]).unwrap().await.unwrap();
    assert_eq!(alone.results, [OpResult::EffectFailed]);
    assert_eq!(state(&store, "m").await, InboundState::Kept);
}

#[tokio::test]
async fn a_store_without_transactions_says_so() {
    let store = MemoryBed::new().open();
    assert!(!store.runs_effects());
    let (effect, gave) = insert(1);
    let ticket = store.submit_with(vec![apply("m")], vec![effect]).unwrap();
    let refused = ticket.await;
    assert!(
        matches!(&refused, Err(StoreError::Misuse(Misuse::NoTransactions))),
        "{refused:?}"
    );
    assert!(gave.take().await.is_none());
}

/// Full-text search keeps its index in shadow tables, which it names after its own: they
/// are the application's, and nothing else becomes so.
#[tokio::test]
async fn an_application_may_search_its_texts_and_nobody_elses() {
    let (folder, store) = open().await;
    let make = |tx: &Transaction<'_>| {
        tx.execute_batch(
            "CREATE VIRTUAL TABLE app_words USING fts5(body, tokenize = 'unicode61');
             INSERT INTO app_words (rowid, body) VALUES (1, 'the lamp is on'), (2, 'off')",
        )
    };
    store.transact(make).await.unwrap();
    let search = |tx: &Transaction<'_>| {
        let mut found = tx.prepare(
            "SELECT snippet(app_words, 0, '[', ']', '…', 8) FROM app_words
             WHERE app_words MATCH ?1 ORDER BY rank",
        )?;
        found
            .query_map(["lamp"], |row| row.get(0))?
            .collect::<Result<Vec<String>, _>>()
    };
    assert_eq!(store.transact(search).await.unwrap(), ["the [lamp] is on"]);
    let change = |tx: &Transaction<'_>| {
        tx.execute_batch(
            "UPDATE app_words SET body = 'dark' WHERE rowid = 1;
             DELETE FROM app_words WHERE rowid = 2",
        )
    };
    store.transact(change).await.unwrap();
    assert_eq!(store.transact(search).await.unwrap(), Vec::<String>::new());
    for refused in [
        "CREATE VIRTUAL TABLE words USING fts5(body)",
        "CREATE VIRTUAL TABLE outbound_words USING fts5(body, content = 'outbound')",
        "PRAGMA data_version = 7",
        "PRAGMA user_version",
    ] {
        let tried = store.transact(move |tx| tx.execute_batch(refused)).await;
        assert!(matches!(tried, Err(TransactError::Effect(_))), "{refused}");
    }
    // An index over a table of the store's own can be made, but never filled.
    let spies = "CREATE VIRTUAL TABLE app_spy USING fts5(stanza, content = 'inbound')";
    let make = move |tx: &Transaction<'_>| tx.execute_batch(spies);
    store.transact(make).await.unwrap();
    let fill = "INSERT INTO app_spy (app_spy) VALUES ('rebuild')";
    let tried = store.transact(move |tx| tx.execute_batch(fill)).await;
    assert!(matches!(tried, Err(TransactError::Effect(_))), "{tried:?}");
    // What an effect that fails put into an index is not in it.
    let half = |tx: &Transaction<'_>| {
        tx.execute("INSERT INTO app_words (rowid, body) VALUES (3, 'lamp')", [])?;
        Err::<(), EffectFailure>("no such room".into())
    };
    let tried = store.transact(half).await;
    assert!(matches!(tried, Err(TransactError::Effect(_))), "{tried:?}");
    assert_eq!(store.transact(search).await.unwrap(), Vec::<String>::new());
    drop(store);
    let store = SqliteStore::open(folder.path().join("s.db"), &opening()).unwrap();
    let drop_it = |tx: &Transaction<'_>| tx.execute_batch("DROP TABLE app_words");
    store.transact(drop_it).await.unwrap();
}
