//! Exit codes: what a script may rely on.

use std::fmt;

use stanchion::connect::registry::RegistryError;
use stanchion::reliability::registry::RegistryFault;

/// How a command ended. Every code but 0 comes with one line on standard error that
/// says what happened and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; for `send`: acknowledged by the recipient.
    Done,
    /// A fault of this machine or a goal that was missed.
    Failed,
    /// The command line or the configuration is wrong. (clap's own code.)
    Usage,
    /// The message was not delivered, and never will be.
    NotDelivered,
    /// Nobody can say whether the message was delivered.
    InDoubt,
    /// There was no connection in time.
    NoConnection,
    /// Refused, for security or authentication.
    Refused,
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotDelivered => 10,
            Self::InDoubt => 11,
            Self::NoConnection => 12,
            Self::Refused => 13,
        }
    }
}

/// An end that needs an explanation.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code.
    pub(crate) exit: Exit,
    /// What happened and what to do, in one line.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
        }
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message)
    }
}

/// What a command gives back.
pub(crate) type Outcome = Result<Exit, Failure>;

/// An error with its causes, in one line.
pub(crate) fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors repeat their cause.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text.replace('\n', " ")
}

/// What to do about a registry that gives no answer.
pub(crate) fn registry_failure(error: &RegistryError) -> Failure {
    match error {
        RegistryError::Storage(source) => {
            let exit = match source.downcast_ref() {
                Some(RegistryFault::Readable { .. }) => Exit::Usage,
                _ => Exit::Failed,
            };
            // The fault says it all: which file, what is wrong, what to do.
            Failure::new(exit, one_line(&**source))
        }
        RegistryError::Unreadable { .. } => Failure::failed(one_line(error)),
        _ => Failure::usage(one_line(error)),
    }
}
