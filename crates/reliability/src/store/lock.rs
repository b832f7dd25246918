//! One live owner for a store: an exclusive lock on a file beside it. The
//! system releases it when the process dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::error::StoreError;

/// Held as long as the store is open.
#[derive(Debug)]
pub(super) struct OwnerLock(#[expect(dead_code, reason = "held for its lock")] File);

impl OwnerLock {
    /// Locks `<store>.lock`. The file stays behind, as removing it would let
    /// two owners lock two files of one name.
    pub(super) fn take(store: &Path) -> Result<Self, StoreError> {
        let mut name = store.as_os_str().to_owned();
        name.push(".lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        private(&mut options);
        let file = options.open(Path::new(&name)).map_err(StoreError::io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
                path: store.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(StoreError::io(error)),
        }
    }
}

/// Readable and writable by the owner only, where the system knows that.
pub(super) fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = options;
}
