//! How our things are shown, and what the application hears of it.

use std::time::Duration;

use stanchion_stanza::payload::thing_command::CommandResult;
use stanchion_stanza::{Jid, Text};

use super::Access;

/// How our things are shown.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HostConfig {
    /// Who may read and set what. Default: our own account everything, others nothing.
    pub access: Access,
    /// The thing that is meant by a command or a form for none in particular (XEP-0325
    /// §3.2). Default: the only thing, if there is but one.
    pub device: Option<Text>,
    /// How long a thing has to carry out what an iq sets. Default 10 s: whoever asks waits
    /// that long, or little longer.
    pub set_within: Duration,
    /// The same for a command in a message that names no limit. Default 5 min.
    pub command_within: Duration,
    /// Bytes of one message of a read-out, from 1 KiB to 192 KiB. Default 64 KiB.
    pub message_bytes: usize,
    /// Whether whole numbers and lengths of time are written as measures and texts in the
    /// legacy profile, for readers that know no others: slixmpp drops them, and nothing
    /// that it announces tells that. Default no.
    pub simple_types: bool,
    /// How much is remembered of what was told; none for nothing. Default: see
    /// [`HistoryConfig`](crate::history::HistoryConfig).
    pub history: Option<crate::history::HistoryConfig>,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            access: Access::default(),
            device: None,
            set_within: Duration::from_secs(10),
            command_within: Duration::from_secs(300),
            message_bytes: 64 * 1024,
            simple_types: false,
            history: Some(crate::history::HistoryConfig::default()),
        }
    }
}

/// What happens with our things.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostEvent {
    /// These are new, or described anew.
    Things(Vec<Text>),
    /// These are gone.
    Gone(Vec<Text>),
    /// These do not answer.
    Stale(Vec<Text>),
    /// Values that were held back are to be told.
    Due,
    /// Somebody set something, or tried to.
    Set {
        /// Who; none for our own server.
        by: Option<Jid>,
        /// Which things.
        things: Vec<Text>,
        /// What became of it.
        result: CommandResult,
    },
    /// Somebody was refused who may not do that.
    Refused {
        /// Who; none for our own server.
        who: Option<Jid>,
        /// What was asked for.
        what: &'static str,
    },
}
