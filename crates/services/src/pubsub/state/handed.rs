//! How a subscription is to behave, what comes out of it, and what is kept of it: the words
//! between the application's face and the `intake`.

use std::time::Duration;

use stanchion_stanza::Text;
use stanchion_stanza::payload::pubsub::{Item, NodeConfig, SubscribeOptions};

use super::super::error::Reason;
use super::cursor::{Foreign, Print, StreamCursor};
use super::place::StreamId;

/// Where a subscription begins that was never there before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beginning {
    /// With what the node holds.
    #[default]
    Held,
    /// With what is published from now on.
    New,
}

/// How a subscription behaves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SubscriptionConfig {
    /// Where it begins, the first time. Default: with what the node holds.
    pub beginning: Beginning,
    /// Options of the subscription (XEP-0060 §6.3). Default: the service's.
    pub options: Option<SubscribeOptions>,
    /// The latest items that are asked for at a new session: what can be had of foreign
    /// publishers, and how many streams can show. 1 to 1000. Default 64.
    pub back_fill: u32,
    /// The most items that the node keeps. What lies further back in a stream than this
    /// counts as gone, without asking. Default 10,000.
    pub depth: u64,
    /// So often it is looked whether a notification was lost on the way. Default 5 min.
    pub check_every: Duration,
}

impl Default for SubscriptionConfig {
    fn default() -> Self {
        Self {
            beginning: Beginning::Held,
            options: None,
            back_fill: 64,
            depth: 10_000,
            check_every: Duration::from_secs(300),
        }
    }
}

/// What goes to the application.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Handed {
    Numbered {
        stream: StreamId,
        from: u64,
        number: u64,
        item: Item,
        late: bool,
    },
    Foreign {
        item: Item,
        print: Print,
    },
    Gap {
        stream: StreamId,
        first: u64,
        last: u64,
    },
    ForeignGap,
    Retracted(Vec<Text>),
    Purged,
    Deleted(Option<Text>),
    Configured(Option<Box<NodeConfig>>),
    Pending,
    Unsubscribed,
    Refused(Reason),
}

/// What was kept of a subscription.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) begun: bool,
    pub(crate) streams: Vec<(StreamId, StreamCursor)>,
    pub(crate) foreign: Foreign,
}

/// The row that says that a subscription has begun.
pub(crate) fn begun_key(name: &str) -> String {
    format!("b{name}")
}

/// The row of a stream.
pub(crate) fn stream_key(name: &str, stream: &StreamId) -> String {
    format!("c{name}\u{1f}{stream}")
}

/// The row of foreign items.
pub(crate) fn foreign_key(name: &str) -> String {
    format!("f{name}")
}
