//! Where readings of others are kept, each batch exactly once: a table in the store's own
//! file, a file of lines, the last values for whoever looks. What a message says is read by
//! [`format`](crate::format).

mod latest;
mod lines;
mod table;

use stanchion_reliability::session::CommitError;
use stanchion_reliability::store::TransactError;

pub use latest::{Latest, LatestConfig, LatestReading};
pub use lines::Lines;
pub use table::Table;

/// Why readings are not kept. The message is not committed, and comes again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The message could not be committed with them.
    #[error("the readings are not kept")]
    Commit(#[from] CommitError),
    /// The store's affair.
    #[error("the table of readings cannot be used")]
    Store(#[from] TransactError),
    /// The file's affair.
    #[error("{path} cannot be written")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
