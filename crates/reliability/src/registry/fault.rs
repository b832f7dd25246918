//! Why the registry's file cannot be used, in words that say what to do; and the refusal
//! of a file that others can read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stanchion_connect::registry::RegistryError;
use thiserror::Error;

use crate::store::StoreError;

/// Why the file of a registry cannot be used: the source of a
/// [`RegistryError::Storage`].
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RegistryFault {
    /// Ask the user: it holds passwords, and may have been read.
    #[error(
        "others can read {path} (mode {mode:o}), and it holds passwords; run chmod 600 on it",
        path = .path.display()
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The machine: nothing was changed.
    #[error("the disk of {path} is full; free space, then try again", path = .path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The machine: nothing was changed.
    #[error(
        "{path} cannot be written; check the permissions of the file and of its folder",
        path = .path.display()
    )]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// Another program: try again.
    #[error("{path} is held by another program; wait until that is done", path = .path.display())]
    Busy {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The machine.
    #[error("{path} cannot be read or written; check the path and the disk", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The file: its servers can be added anew to another one.
    #[error(
        "{path} is damaged; restore a backup, or move it away and add the servers again",
        path = .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: Arc<io::Error>,
    },
    /// The file is no store, or a newer release's.
    #[error(transparent)]
    Store(StoreError),
    /// The runtime shuts down.
    #[error("the runtime shuts down")]
    Closed,
}

impl RegistryFault {
    pub(super) fn of(error: StoreError, path: &Path) -> Self {
        let path = path.to_owned();
        match error {
            StoreError::Full(source) => Self::Full { path, source },
            StoreError::Corrupt(source) => Self::Damaged { path, source },
            StoreError::Io(source) => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Self::ReadOnly { path, source }
                }
                io::ErrorKind::ResourceBusy => Self::Busy { path, source },
                _ => Self::Io { path, source },
            },
            other => Self::Store(other),
        }
    }
}

impl From<RegistryFault> for RegistryError {
    fn from(fault: RegistryFault) -> Self {
        Self::Storage(Box::new(fault))
    }
}

/// Refuses a file whose passwords others can read, where the system knows others. The
/// write-ahead log is as secret as the file.
pub(super) fn refuse_readable(path: &Path) -> Result<(), RegistryFault> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        for path in [path.to_owned(), PathBuf::from(log)] {
            let mode = match std::fs::metadata(&path) {
                Ok(file) => file.permissions().mode() & 0o777,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => {
                    return Err(RegistryFault::Io {
                        path,
                        source: Arc::new(e),
                    });
                }
            };
            if mode & 0o077 != 0 {
                return Err(RegistryFault::Readable { path, mode });
            }
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
