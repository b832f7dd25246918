//! What an application's effect may do in the store's file, and its savepoint. A guard
//! against mistakes, not against an attacker: the closure runs in our own process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Transaction};

use super::super::effect::{APP_PREFIX, Effect};

/// Tables of SQLite itself, which it changes when tables are made and dropped. What they
/// hold cannot be changed directly.
const SCHEMA: [&str; 8] = [
    "sqlite_master",
    "sqlite_schema",
    "sqlite_temp_master",
    "sqlite_sequence",
    "sqlite_stat1",
    "sqlite_stat4",
    "json_each",
    "json_tree",
];

/// Whether an effect runs on a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard(Arc<AtomicBool>);

impl Guard {
    /// Puts a guard on a connection.
    ///
    /// It is there all the time and looks at a flag, as putting it on and taking it off
    /// would have SQLite compile every statement anew.
    pub(super) fn on(connection: &mut Connection) -> Result<Self, rusqlite::Error> {
        let guard = Self::default();
        let flag = guard.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            if flag.0.load(Ordering::Relaxed) {
                judge(&context)
            } else {
                Authorization::Allow
            }
        }))?;
        Ok(guard)
    }

    /// Runs an effect inside a savepoint, with the op that goes with it. Gives whether it
    /// is kept; nothing of one that is not. An error means that the whole transaction is
    /// lost.
    pub(super) fn run(
        &self,
        transaction: &Transaction<'_>,
        effect: Effect,
    ) -> Result<bool, rusqlite::Error> {
        transaction
            .prepare_cached("SAVEPOINT effect")?
            .execute([])?;
        let started = Instant::now();
        self.0.store(true, Ordering::Relaxed);
        let done = effect.run(transaction);
        self.0.store(false, Ordering::Relaxed);
        let took = started.elapsed();
        if took > Effect::SLOW {
            tracing::warn!(?took, "an application's effect held up the store");
        }
        if transaction.is_autocommit() {
            // SQLite gave the transaction up, as it does on a full disk.
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR),
                Some("the transaction ended inside an application's effect".to_owned()),
            ));
        }
        if !done {
            transaction
                .prepare_cached("ROLLBACK TO effect")?
                .execute([])?;
        }
        transaction.prepare_cached("RELEASE effect")?.execute([])?;
        Ok(done)
    }
}

impl Guard {
    /// Lets an application read on the connection: what an effect may not touch, it may not
    /// either.
    pub(super) fn reading<T>(&self, read: impl FnOnce() -> T) -> T {
        self.0.store(true, Ordering::Relaxed);
        let gave = read();
        self.0.store(false, Ordering::Relaxed);
        gave
    }
}

fn judge(context: &AuthContext<'_>) -> Authorization {
    use AuthAction as A;
    let named = match &context.action {
        A::Select | A::Recursive => true,
        // The first reads programs into the process. The second renames tables, and to what
        // is not told here.
        A::Function { function_name } => {
            !["load_extension", "sqlite_rename_table"].contains(function_name)
        }
        A::Read { table_name, .. }
        | A::Insert { table_name }
        | A::Update { table_name, .. }
        | A::Delete { table_name } => is_apps(table_name) || SCHEMA.contains(table_name),
        // SQLite makes that one for the first table whose rows are never renumbered, and
        // refuses everybody else who would.
        A::CreateTable { table_name } => is_apps(table_name) || *table_name == "sqlite_sequence",
        A::DropTable { table_name }
        | A::AlterTable { table_name, .. }
        | A::Analyze { table_name } => is_apps(table_name),
        // Those that SQLite makes for a constraint have names of its own.
        A::CreateIndex {
            index_name,
            table_name,
        }
        | A::DropIndex {
            index_name,
            table_name,
        } => is_apps(table_name) && (is_apps(index_name) || index_name.starts_with("sqlite_")),
        A::Reindex { index_name } => is_apps(index_name) || index_name.starts_with("sqlite_"),
        A::CreateTrigger {
            trigger_name,
            table_name,
        }
        | A::DropTrigger {
            trigger_name,
            table_name,
        } => is_apps(trigger_name) && is_apps(table_name),
        A::CreateView { view_name } | A::DropView { view_name } => is_apps(view_name),
        A::CreateVtable { table_name, .. } | A::DropVtable { table_name, .. } => {
            is_apps(table_name)
        }
        // Full-text search (FTS5) asks so whether its shadow tables changed. It changes
        // nothing.
        A::Pragma {
            pragma_name,
            pragma_value: None,
        } => *pragma_name == "data_version",
        // Savepoints of its own are its own affair, as long as they have other names.
        A::Savepoint { savepoint_name, .. } => is_apps(savepoint_name),
        _ => false,
    };
    if named {
        Authorization::Allow
    } else {
        tracing::debug!(action = ?context.action, "an application's effect was refused");
        Authorization::Deny
    }
}

fn is_apps(name: &str) -> bool {
    name.get(..APP_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(APP_PREFIX))
}
