//! The server registry on disk, beside the messages: an SQLite file that holds which
//! servers a device may use, and what is remembered of each. Owns the handle; `table`
//! has the statements, `row` the columns, `fault` the errors. The seam is in
//! [`stanchion_connect::registry`].
//!
//! A registry and a store may share a file, in one process or in several: the store has
//! one live owner, the registry any number of users. Each call is one transaction.
//!
//! Passwords, private keys and tokens are in the file as they are: the file is for its
//! owner only, and one that others can read is refused. They are not encrypted: a key
//! would have to lie beside the file, for a device starts without anybody to type it,
//! and whoever can read the one can then read the other. Encrypt the disk if it may be
//! stolen. What is removed or replaced is overwritten, in the write-ahead log with the
//! next checkpoint.
//!
//! ```
//! use stanchion_connect::Account;
//! use stanchion_connect::registry::{Server, ServerRegistry as _};
//! use stanchion_reliability::registry::SqliteRegistry;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("servers.sqlite");
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let registry = SqliteRegistry::open(&path).await?;
//! let home = Account::with_password("lamp@home.example".parse()?, "secret");
//! registry.put(Server::new(home)).await?;
//! drop(registry);
//! assert_eq!(SqliteRegistry::open(&path).await?.servers().await?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fault;
mod row;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use stanchion_connect::Endpoint;
use stanchion_connect::registry::{
    EndpointHealth, MAX_NOTES, MAX_SERVERS, Note, RegistryError, Server, ServerRegistry,
    check_note, write_place,
};
use stanchion_stanza::BareJid;
use tokio::sync::Mutex;

use crate::store::{Check, sqlite};

pub use fault::RegistryFault;
pub use row::{MAX_ROOTS, MAX_SECRET, MAX_TRUSTED};

/// Servers in an SQLite file. Clones share one connection.
///
/// Of a call that is dropped, it is not known whether it took place.
#[derive(Clone)]
pub struct SqliteRegistry {
    path: PathBuf,
    /// Its calls take place one after another, off the threads that poll.
    connection: Arc<Mutex<Connection>>,
}

impl fmt::Debug for SqliteRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteRegistry")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What ends a transaction, which is then rolled back.
enum Stop {
    Sqlite(rusqlite::Error),
    Registry(RegistryError),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<RegistryError> for Stop {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl SqliteRegistry {
    /// Opens the registry in the file at `path`, or makes the file. The folder must
    /// exist. A file of messages without a registry gets one.
    ///
    /// # Errors
    /// [`RegistryError::Storage`], whose source is a [`RegistryFault`]: the file can be
    /// read by others, is no store, is a newer one, is damaged, or cannot be used.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, RegistryError> {
        let asked = path.as_ref().to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            let path = sqlite::make(&asked).map_err(|e| RegistryFault::of(e, &asked))?;
            fault::refuse_readable(&path)?;
            let connection = sqlite::connect(&path, Check::IfSmall)
                .and_then(|connection| {
                    configure(&connection).map_err(sqlite::sqlite_fault)?;
                    Ok(connection)
                })
                .map_err(|e| RegistryFault::of(e, &path))?;
            Ok((path, connection))
        });
        match opened.await {
            Ok(Ok((path, connection))) => Ok(Self {
                path,
                connection: Arc::new(Mutex::new(connection)),
            }),
            Ok(Err(fault)) => Err(RegistryFault::into(fault)),
            Err(_) => Err(RegistryFault::Closed.into()),
        }
    }

    /// The file, with links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what is kept under a name, also one that is no address: an entry that
    /// cannot be read. Tells whether there was one.
    ///
    /// # Errors
    /// [`RegistryError::Storage`].
    pub async fn discard(&self, account: &str) -> Result<bool, RegistryError> {
        let account = account.to_owned();
        self.write(move |transaction| Ok(table::remove(transaction, &account)?))
            .await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, RegistryError> {
        self.run(|connection| {
            // All that is read is of one moment.
            let moment = connection.transaction()?;
            work(&moment)
        })
        .await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, RegistryError> {
        self.run(|connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        // At most one at a time, and SQLite bounds how long it waits for others.
        let result = tokio::task::spawn_blocking(move || work(&mut connection)).await;
        match result {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Stop::Registry(error))) => Err(error),
            Ok(Err(Stop::Sqlite(error))) => {
                Err(RegistryFault::of(sqlite::sqlite_fault(error), &self.path).into())
            }
            Err(_) => Err(RegistryFault::Closed.into()),
        }
    }
}

fn configure(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is overwritten: it may have been a password.
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))
}

fn unreadable(account: &str, what: &'static str) -> RegistryError {
    RegistryError::Unreadable {
        account: account.to_owned(),
        what,
    }
}

#[async_trait]
impl ServerRegistry for SqliteRegistry {
    async fn servers(&self) -> Result<Vec<Server>, RegistryError> {
        let entries = self
            .read(|connection| Ok(table::servers(connection)?))
            .await?;
        let mut servers = Vec::with_capacity(entries.len());
        let mut fault = None;
        for (account, entry) in entries {
            match entry {
                Ok(server) => servers.push(server),
                Err(what) => {
                    let error = unreadable(&account, what);
                    tracing::warn!(%error, "a server is left out");
                    fault.get_or_insert(error);
                }
            }
        }
        match fault {
            Some(fault) if servers.is_empty() => Err(fault),
            _ => {
                servers.sort_by(|a, b| {
                    (a.priority, &a.account.jid).cmp(&(b.priority, &b.account.jid))
                });
                Ok(servers)
            }
        }
    }

    async fn put(&self, server: Server) -> Result<(), RegistryError> {
        self.write(move |transaction| {
            let account = server.account.jid.as_str();
            if !table::has(transaction, account)? && table::count(transaction)? >= MAX_SERVERS {
                return Err(RegistryError::Full.into());
            }
            let columns = row::Columns::of(&server)
                .map_err(|what| RegistryError::not_kept(&server.account.jid, what))?;
            Ok(table::put(transaction, account, &columns)?)
        })
        .await
    }

    async fn remove(&self, account: &BareJid) -> Result<bool, RegistryError> {
        self.discard(account.as_str()).await
    }

    async fn health(
        &self,
        account: &BareJid,
    ) -> Result<Vec<(Endpoint, EndpointHealth)>, RegistryError> {
        let account = account.to_string();
        self.read(move |connection| Ok(table::health(connection, &account)?))
            .await
    }

    async fn note_health(
        &self,
        account: &BareJid,
        health: Vec<(Endpoint, EndpointHealth)>,
    ) -> Result<(), RegistryError> {
        let mut places = Vec::with_capacity(health.len());
        for (endpoint, health) in health {
            let place = write_place(&endpoint)
                .ok_or_else(|| RegistryError::not_kept(account, "an endpoint's host"))?;
            places.push((place, health));
        }
        let account = account.to_string();
        self.write(move |transaction| {
            if table::has(transaction, &account)? {
                table::note_health(transaction, &account, &places)?;
            }
            Ok(())
        })
        .await
    }

    async fn unreadable(&self) -> Result<Vec<RegistryError>, RegistryError> {
        let entries = self
            .read(|connection| Ok(table::servers(connection)?))
            .await?;
        let faults = entries
            .into_iter()
            .filter_map(|(account, entry)| Some(unreadable(&account, entry.err()?)));
        Ok(faults.collect())
    }

    async fn recall(&self, account: &BareJid, key: &str) -> Result<Option<Note>, RegistryError> {
        let (account, key) = (account.to_string(), key.to_owned());
        self.read(move |connection| Ok(table::recall(connection, &account, &key)?))
            .await
    }

    async fn learn(
        &self,
        account: &BareJid,
        key: &str,
        value: Option<Note>,
    ) -> Result<(), RegistryError> {
        if let Some(value) = &value {
            check_note(account, key, value)?;
        }
        let (account, key) = (account.clone(), key.to_owned());
        self.write(move |transaction| {
            let name = account.as_str();
            let Some(value) = value else {
                return Ok(table::forget(transaction, name, &key)?);
            };
            if !table::has(transaction, name)? {
                return Ok(());
            }
            table::learn(transaction, name, &key, &value)?;
            if table::notes(transaction, name)? > MAX_NOTES {
                return Err(RegistryError::not_kept(&account, "too many notes").into());
            }
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests;
