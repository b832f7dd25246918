//! A read-out: what is asked, what comes of it, and why nothing does (XEP-0323 §3).

use std::time::Duration;

use stanchion_reliability::store::WallTime;
use stanchion_stanza::payload::datetime::unix_ms;
use stanchion_stanza::payload::sensordata::{Field, Fields, NodeError, Request, Tokens};
use stanchion_stanza::{Jid, Text};

use crate::model::{Categories, Node};

/// What is to be read, and how long that may take.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Readout {
    /// Which things behind the address. Default: all.
    pub things: Vec<Node>,
    /// Which fields, by name. Default: all. A hint: devices may tell more.
    pub fields: Vec<Text>,
    /// Which kinds of values. Default [`Categories::MOMENTARY`], which some devices insist
    /// on.
    pub categories: Categories,
    /// All kinds of values. Default no.
    pub all: bool,
    /// Nothing older. Default: no limit. For values that the device remembers.
    pub from: Option<WallTime>,
    /// Nothing newer. Default: no limit.
    pub to: Option<WallTime>,
    /// What lets us in, from a provisioning server (XEP-0324). Default: none.
    pub tokens: Tokens,
    /// For the whole read-out, the time until there is a connection included. Default 30 s.
    pub within: Duration,
    /// Between two signs of life of a device that reads. Default 10 s.
    pub silence: Duration,
}

impl Default for Readout {
    fn default() -> Self {
        Self {
            things: Vec::new(),
            fields: Vec::new(),
            categories: Categories::MOMENTARY,
            all: false,
            from: None,
            to: None,
            tokens: Tokens::default(),
            within: Duration::from_secs(30),
            silence: Duration::from_secs(10),
        }
    }
}

impl Readout {
    /// All momentary values of all things there.
    #[must_use]
    pub fn momentary() -> Self {
        Self::default()
    }

    /// The same, of that thing, beside those that were said before.
    #[must_use]
    pub fn of(mut self, thing: Text) -> Self {
        self.things.push(Node::new(thing));
        self
    }

    /// The same, that field, beside those that were said before.
    #[must_use]
    pub fn field(mut self, name: Text) -> Self {
        self.fields.push(name);
        self
    }

    /// The same, of those kinds.
    #[must_use]
    pub const fn categories(mut self, categories: Categories) -> Self {
        self.categories = categories;
        self
    }

    /// The same, within that time.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// The same, given up after so long without a sign of life.
    #[must_use]
    pub const fn silence(mut self, time: Duration) -> Self {
        self.silence = time;
        self
    }

    pub(crate) fn request(&self) -> Request {
        let moment = |at: WallTime| stanchion_stanza::payload::datetime::utc(at.as_unix_ms());
        Request {
            categories: self.categories,
            all: self.all,
            nodes: self.things.clone(),
            fields: self.fields.clone(),
            from: self.from.map(moment),
            to: self.to.map(moment),
            tokens: self.tokens.clone(),
            ..Request::default()
        }
    }
}

/// The value of one field of one thing at one moment, as the device told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The thing. Its id is empty for a device that is one thing and does not name it.
    pub thing: Node,
    /// When, as it stood.
    pub time: Text,
    /// What.
    pub field: Field,
}

impl Measured {
    /// When, if it can be read. A time without a zone is taken for UTC (XEP-0323 §6.1 wants
    /// one, and some devices leave it out).
    #[must_use]
    pub fn at(&self) -> Option<WallTime> {
        let ms = unix_ms(&self.time).or_else(|| unix_ms(&format!("{}Z", self.time)));
        ms.map(WallTime::from_unix_ms)
    }
}

/// What came in one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Values.
    pub values: Vec<Measured>,
    /// Things that could not be read.
    pub failures: Vec<NodeError>,
}

impl Part {
    pub(super) fn of(fields: &Fields) -> Self {
        let values = fields.iter().map(|(thing, time, field)| Measured {
            thing: thing.clone(),
            time: time.clone(),
            field: field.clone(),
        });
        Self {
            values: values.collect(),
            failures: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len() + self.failures.len()
    }
}

/// All that a read-out gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readings {
    /// Values, in the order in which they came.
    pub values: Vec<Measured>,
    /// Things that could not be read, beside those that could.
    pub failures: Vec<NodeError>,
}

impl Readings {
    /// The value of that field, of the first thing that has it; the last one that came.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        let all = self.values.iter().rev().map(|m| &m.field);
        all.into_iter().find(|f| &*f.name == name)
    }

    /// The things, in the order in which they came first.
    #[must_use]
    pub fn things(&self) -> Vec<&Node> {
        let mut things: Vec<&Node> = Vec::new();
        for one in &self.values {
            if things.last() != Some(&&one.thing) && !things.contains(&&one.thing) {
                things.push(&one.thing);
            }
        }
        things
    }

    pub(crate) fn add(&mut self, part: Part) {
        self.values.extend(part.values);
        self.failures.extend(part.failures);
    }
}

/// Why a read-out gave nothing, or not all. Reading has no effect: it may be tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The device refused.
    #[error("{of} refused to be read: {why}")]
    Refused {
        /// Who.
        of: Jid,
        /// Why, in its words.
        why: String,
    },
    /// There is no such thing or field behind the address.
    #[error("{of} has no such thing: {why}; ask which things there are")]
    NoSuchThing {
        /// Who.
        of: Jid,
        /// What is not there, in its words.
        why: String,
    },
    /// There is nobody at that address, or nobody who can be read.
    #[error("{of} is not there, or cannot be read ({why})")]
    Unavailable {
        /// Who.
        of: Jid,
        /// What was said.
        why: String,
    },
    /// An account's devices are read at their full addresses, and none of them is seen.
    #[error(
        "no device of {of} is seen: subscribe to its presence, or give the full address, as \
         {of}/RESOURCE"
    )]
    NoneSeen {
        /// The account.
        of: Jid,
    },
    /// Nothing could be read of the thing, and the device says why.
    #[error("{of} could not read {thing}: {why}")]
    Failed {
        /// Who.
        of: Jid,
        /// The first thing that could not be read.
        thing: Text,
        /// Why, in its words.
        why: String,
    },
    /// The time was over.
    #[error("{of} did not end the read-out within {within:?}; {after} fields came")]
    Timeout {
        /// Who.
        of: Jid,
        /// Of what: the whole, or the silence.
        within: Duration,
        /// Fields that had come.
        after: usize,
    },
    /// There was no connection all the while: nothing was asked.
    #[error("there was no connection for {within:?}, so {of} was not asked")]
    NotAsked {
        /// Who.
        of: Jid,
        /// For how long.
        within: Duration,
    },
    /// What came cannot be read.
    #[error("what {of} told cannot be read: {what}")]
    Unreadable {
        /// Who.
        of: Jid,
        /// What is wrong with it.
        what: String,
    },
    /// More came than is held.
    #[error("{of} told more than {after} fields: read fewer things, fields or days at a time")]
    TooMuch {
        /// Who.
        of: Jid,
        /// Fields that were taken.
        after: usize,
    },
    /// The session was another one before all had come; the rest went to the old one.
    #[error("the connection was lost after {after} fields of {of}; read again")]
    Lost {
        /// Who.
        of: Jid,
        /// Fields that had come.
        after: usize,
    },
    /// It was cancelled here.
    #[error("the read-out of {of} was cancelled")]
    Cancelled {
        /// Who.
        of: Jid,
    },
    /// Too many read-outs are under way.
    #[error("too many read-outs are under way; wait for some")]
    TooMany,
    /// The client has ended.
    #[error("the client has ended")]
    Closed,
}
