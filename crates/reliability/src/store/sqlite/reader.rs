//! A look at a store's file beside its owner: for people and their commands. It changes
//! nothing, and takes neither the owner's lock nor a boot.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction};

use super::super::error::StoreError;
use super::super::lock::OwnerLock;
use super::super::record::{Check, Identity, InboundRecord, OutboundRecord};
use super::super::{Counts, InboundQuery, OutboundQuery};
use super::fault::sqlite_fault;
use super::file::{connect, is_older};
use super::guard::Guard;
use super::{query, schema};

/// Reads a store that may have a live owner, in this process or in another: each call
/// sees what is durable at its time, and holds up no writer.
///
/// Every call blocks on the file, for 5 s at most if another program holds it: from
/// async code, call it inside `spawn_blocking`.
///
/// ```
/// use stanchion_reliability::store::{
///     OutboundQuery, Opening, Seed, SqliteReader, SqliteStore, WallTime,
/// };
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("messages.sqlite");
/// let opening = Opening::new(Seed::from_os()?, WallTime::from_unix_ms(0));
/// let _owner = SqliteStore::open(&path, &opening)?;
///
/// let reader = SqliteReader::open(&path)?;
/// assert!(reader.outbound_page(&OutboundQuery::default())?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteReader {
    path: PathBuf,
    connection: Connection,
    guard: Guard,
}

impl SqliteReader {
    /// Opens the file at `path`, which must exist. One of an older release is brought
    /// to this release's version, and one that was made and never used gets its tables;
    /// nothing else is written.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Corrupt`], [`StoreError::NotAStore`] and
    /// [`StoreError::FutureVersion`]; [`StoreError::InUse`] if an owner of an older release has
    /// it, which could not go on with this release's version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().canonicalize().map_err(StoreError::io)?;
        // Held while it is brought to this version, and else not asked for.
        let _alone = match is_older(&path) {
            true => Some(OwnerLock::take(&path)?),
            false => None,
        };
        // Damage is told when it is met: a look need not read the whole file.
        let mut connection = connect(&path, Check::Never)?;
        let guard = Guard::on(&mut connection).map_err(sqlite_fault)?;
        connection
            .pragma_update(None, "query_only", true)
            .map_err(sqlite_fault)?;
        Ok(Self {
            path,
            connection,
            guard,
        })
    }

    /// The file, with links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose store it is; `None` if it never had an owner.
    ///
    /// # Errors
    /// [`StoreError::Io`] and [`StoreError::Corrupt`], as with the calls below.
    pub fn identity(&self) -> Result<Option<Identity>, StoreError> {
        schema::read_identity(&self.connection).map_err(sqlite_fault)
    }

    /// One outbound message.
    ///
    /// # Errors
    /// As above.
    pub fn outbound(&self, id: &str) -> Result<Option<OutboundRecord>, StoreError> {
        query::outbound(&self.connection, id).map_err(sqlite_fault)
    }

    /// Outbound messages in the order of `seq`. Their stanzas are read with them: ask
    /// for few at a time.
    ///
    /// # Errors
    /// As above.
    pub fn outbound_page(&self, query: &OutboundQuery) -> Result<Vec<OutboundRecord>, StoreError> {
        let read = || {
            // It is read by several statements.
            let moment = self.connection.unchecked_transaction()?;
            query::outbound_page(&moment, query)
        };
        read().map_err(sqlite_fault)
    }

    /// Inbound messages in the order of arrival, with their stanzas.
    ///
    /// # Errors
    /// As above.
    pub fn inbound_page(&self, query: &InboundQuery) -> Result<Vec<InboundRecord>, StoreError> {
        query::inbound_page(&self.connection, query).map_err(sqlite_fault)
    }

    /// Reads tables of an application's own, whose names begin with `app_`, as they are at one
    /// moment. It may read what an [`Effect`](super::super::Effect) may, and change nothing.
    ///
    /// # Errors
    /// As above, and what SQLite says of the statements.
    pub fn look<T>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let snapshot = self.connection.unchecked_transaction();
        let snapshot = snapshot.map_err(sqlite_fault)?;
        self.guard.reading(|| read(&snapshot)).map_err(sqlite_fault)
    }

    /// How much is kept. Reads whole tables.
    ///
    /// # Errors
    /// As above.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        query::counts(&self.connection).map_err(sqlite_fault)
    }
}

impl fmt::Debug for SqliteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteReader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
