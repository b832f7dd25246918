//! Readings in a file, a line of JSON each sample. How far the file is valid is kept in the
//! store, in the transaction that marks their message as handled: what a process wrote
//! beyond that before it ended is cut off at the next start.

use std::path::{Path, PathBuf};

use stanchion_reliability::session::Received;
use stanchion_reliability::store::Transactor;
use stanchion_reliability::store::rusqlite::{self, OptionalExtension as _, params};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _, SeekFrom};

use super::SinkError;
use crate::json;
use crate::model::Sample;

const MAKE: &str =
    "CREATE TABLE IF NOT EXISTS app_lines (path TEXT PRIMARY KEY, valid INTEGER NOT NULL)";

/// A file of lines (NDJSON): `device`, `message`, and the sample as in
/// [`json`](crate::json).
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    name: String,
    file: File,
    valid: u64,
}

impl Lines {
    /// Opens it, and cuts off what is not valid. A file of before, which the store does not
    /// know, is kept as it is.
    ///
    /// # Errors
    /// [`SinkError`].
    pub async fn open(path: &Path, store: &Transactor) -> Result<Self, SinkError> {
        let failed = |source| SinkError::File {
            path: path.display().to_string(),
            source,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).await.map_err(failed)?;
        let whole = tokio::fs::canonicalize(path).await.map_err(failed)?;
        let name = whole.to_string_lossy().into_owned();
        let asked = name.clone();
        let known = move |tx: &rusqlite::Transaction<'_>| {
            tx.execute_batch(MAKE)?;
            tx.query_row(
                "SELECT valid FROM app_lines WHERE path = ?1",
                [asked],
                |row| row.get::<_, i64>(0),
            )
            .optional()
        };
        let known = store.transact(known).await?;
        let there = file.metadata().await.map_err(failed)?.len();
        let valid = known.map_or(there, |valid| u64::try_from(valid).unwrap_or(0));
        if valid < there {
            file.set_len(valid).await.map_err(failed)?;
        }
        // One that somebody else made shorter goes on where it ends.
        let valid = valid.min(there);
        file.seek(SeekFrom::Start(valid)).await.map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            name,
            file,
            valid,
        })
    }

    /// Writes the samples of a message, and commits it once they are on the disk. Gives how
    /// many readings there were. Before anything else it takes back what an earlier call
    /// wrote and could not commit.
    ///
    /// # Errors
    /// [`SinkError`].
    pub async fn keep(
        &mut self,
        received: &Received,
        samples: &[Sample],
    ) -> Result<usize, SinkError> {
        let text = text(received, samples);
        let written = self.write(text.as_bytes()).await;
        let valid = written.map_err(|source| SinkError::File {
            path: self.path.display().to_string(),
            source,
        })?;
        let (name, mark) = (self.name.clone(), i64::try_from(valid).unwrap_or(i64::MAX));
        let commit = move |tx: &rusqlite::Transaction<'_>| {
            tx.execute(
                "INSERT INTO app_lines (path, valid) VALUES (?1, ?2)
                 ON CONFLICT (path) DO UPDATE SET valid = excluded.valid",
                params![name, mark],
            )
        };
        received.commit_with(commit).await?;
        self.valid = valid;
        Ok(samples.iter().map(|sample| sample.readings.len()).sum())
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<u64> {
        if self.file.metadata().await?.len() > self.valid {
            self.file.set_len(self.valid).await?;
        }
        self.file.seek(SeekFrom::Start(self.valid)).await?;
        self.file.write_all(bytes).await?;
        self.file.flush().await?;
        self.file.sync_data().await?;
        let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(self.valid.saturating_add(more))
    }
}

fn text(received: &Received, samples: &[Sample]) -> String {
    let message = received.message();
    let device = message
        .header
        .from
        .as_ref()
        .map(|jid| jid.to_bare().to_string());
    let mut text = String::new();
    for sample in samples {
        let mut line = json::of_sample(sample);
        line["device"] = device.clone().into();
        line["message"] = received.id().into();
        text.push_str(&line.to_string());
        text.push('\n');
    }
    text
}
