//! Why a command of the project could not be carried out.
//!
//! One enum for all commands: each variant says what was tried and what to do
//! next. How a failure is shown and which exit status it gives is `main`'s.

use std::io;
use std::path::{Path, PathBuf};

/// Why a command stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Failure {
    /// The file system refused.
    #[error("{action} {}: {source}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A program could not be started at all.
    #[error("cannot start `{program}`: {source}; is it installed?")]
    Spawn { program: String, source: io::Error },
    /// A program ended with a status other than 0.
    #[error("`{line}` failed ({status}){output}")]
    Program {
        line: String,
        status: String,
        output: String,
    },
    /// A JSON or TOML document is not what it should be.
    #[error("{what} cannot be read: {why}")]
    Malformed { what: String, why: String },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The server ended, or did not answer in time.
    #[error("{server} {why}\n{logs}")]
    Server {
        server: &'static str,
        why: String,
        logs: String,
    },
    /// Something needed is not installed; the text holds the command to run.
    #[error("{0}")]
    Missing(String),
    /// The caller asked for something that cannot be done.
    #[error("{0}")]
    Misuse(String),
    /// The work was done and the verdict is bad; it has been printed already.
    #[error("{0}")]
    Red(String),
}

/// What every command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Adds to an I/O error what was being done, and to which path.
pub(crate) trait Context<T> {
    fn doing(self, action: &'static str, path: &Path) -> Outcome<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing(self, action: &'static str, path: &Path) -> Outcome<T> {
        self.map_err(|source| Failure::File {
            action,
            path: path.to_owned(),
            source,
        })
    }
}
