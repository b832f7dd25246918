//! Which SQLite failure is whose: the one place that maps them.

use std::io;
use std::sync::Arc;

use rusqlite::{Error, ErrorCode};

use super::super::error::StoreError;

/// Sorts an SQLite error by blame.
pub(crate) fn sqlite_fault(error: Error) -> StoreError {
    let kind = match &error {
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => io::ErrorKind::InvalidData,
        error => match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => io::ErrorKind::StorageFull,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                io::ErrorKind::InvalidData
            }
            Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                io::ErrorKind::PermissionDenied
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                io::ErrorKind::ResourceBusy
            }
            _ => io::ErrorKind::Other,
        },
    };
    let error = Arc::new(io::Error::new(kind, error));
    match kind {
        io::ErrorKind::StorageFull => StoreError::Full(error),
        io::ErrorKind::InvalidData => StoreError::Corrupt(error),
        _ => StoreError::Io(error),
    }
}

/// Damage that SQLite does not call so.
pub(super) fn damage(what: String) -> StoreError {
    StoreError::Corrupt(Arc::new(io::Error::new(io::ErrorKind::InvalidData, what)))
}
