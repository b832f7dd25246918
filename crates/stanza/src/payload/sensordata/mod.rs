//! Sensor data: a read-out asked for and answered, in the legacy profile (XEP-0323) or a
//! compact one (IEEE P1451-99), see [`Profile`]. Requests and what is said about them are
//! here, the data in `data`. When to read, and what a peer understands of all this, is not
//! for this crate.
//!
//! The client asks ([`Request`], in a get) and the device accepts or refuses at once; the
//! data follows in messages. The last says so (`done`), or [`Done`] does.

mod data;
mod dialect;
mod field;
mod flags;
mod id;
mod profile;

use std::fmt;

use super::xs::flag;
use super::{Payload, PayloadError, required};
use crate::ns;
use crate::xml::{Element, Text, View};

pub use data::{Failure, Fields, NodeError, NodeFields, Timestamp};
pub(crate) use dialect::Dialect;
pub use field::{Field, Value};
pub use flags::{Categories, Quality};
pub use id::RequestId;
pub(crate) use profile::profiled;
pub use profile::{Profile, Profiled};

/// The words of what the legacy profile alone has.
const LEGACY: &Dialect = Profile::Legacy.sensor_data_words();

/// Which of the things behind an address (§5.9).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its id.
    pub id: Text,
    /// The data source that has it, if the id is not enough.
    pub source: Option<Text>,
    /// The part of the source that has it (`cacheType`), if that is not enough either.
    pub partition: Option<Text>,
}

impl Node {
    /// A node whose id is enough.
    #[must_use]
    pub const fn new(id: Text) -> Self {
        Self {
            id,
            source: None,
            partition: None,
        }
    }

    /// Reads the attributes of a node.
    pub(crate) fn read(
        element: View<'_>,
        kind: &'static str,
        words: &Dialect,
    ) -> Result<Self, PayloadError> {
        Ok(Self {
            id: required(element, kind, words.node_id)?,
            source: element.attr_text(words.source),
            partition: element.attr_text(words.partition),
        })
    }

    /// Reads the children that are nodes.
    pub(crate) fn read_all(element: View<'_>, words: &Dialect) -> Result<Vec<Self>, PayloadError> {
        let nodes = element.children().filter(|c| c.is(words.node, words.ns));
        nodes.map(|n| Self::read(n, words.node, words)).collect()
    }

    /// Sets the attributes of a node.
    pub(crate) fn write_to(&self, element: Element, words: &Dialect) -> Element {
        element
            .with_attr(words.node_id, self.id.clone())
            .with_attr_opt(words.source, self.source.clone())
            .with_attr_opt(words.partition, self.partition.clone())
    }

    pub(crate) fn write(&self, words: &Dialect) -> Element {
        self.write_to(Element::new(words.node, words.ns), words)
    }
}

/// What a provisioning server gave to the requester, to be shown to the device
/// (XEP-0324).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of a service.
    pub service: Option<Text>,
    /// Of a device.
    pub device: Option<Text>,
    /// Of a person.
    pub user: Option<Text>,
}

impl fmt::Debug for Tokens {
    /// Which there are; who has them gets in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("service", &self.service.is_some())
            .field("device", &self.device.is_some())
            .field("user", &self.user.is_some())
            .finish()
    }
}

impl Tokens {
    pub(crate) fn read(element: View<'_>, words: &Dialect) -> Self {
        Self {
            service: element.attr_text(words.service_token),
            device: element.attr_text(words.device_token),
            user: element.attr_text(words.user_token),
        }
    }

    pub(crate) fn write_to(&self, element: Element, words: &Dialect) -> Element {
        element
            .with_attr_opt(words.service_token, self.service.clone())
            .with_attr_opt(words.device_token, self.device.clone())
            .with_attr_opt(words.user_token, self.user.clone())
    }
}

/// A read-out, please (§3). All of it are hints: what comes is more, or less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Unique among the requests of this client; everything that answers has it.
    pub id: RequestId,
    /// Which kinds of values. Some devices want
    /// [`Categories::MOMENTARY`] at least.
    pub categories: Categories,
    /// All kinds of values. Default `false`.
    pub all: bool,
    /// Which things; empty for all behind this address.
    pub nodes: Vec<Node>,
    /// Which fields by name; empty for all.
    pub fields: Vec<Text>,
    /// Nothing older, as `CCYY-MM-DDThh:mm:ss`.
    pub from: Option<Text>,
    /// Nothing newer.
    pub to: Option<Text>,
    /// When to read; `None` for now.
    pub when: Option<Text>,
    /// What lets the client in.
    pub tokens: Tokens,
}

impl Request {
    /// All momentary values, now.
    #[must_use]
    pub fn momentary(id: impl Into<RequestId>) -> Self {
        Self {
            id: id.into(),
            categories: Categories::MOMENTARY,
            ..Self::default()
        }
    }

    fn read(element: View<'_>, words: &Dialect) -> Result<Self, PayloadError> {
        let fields = element.children().filter(|c| c.is(words.field, words.ns));
        Ok(Self {
            id: RequestId::read(element, "req", words)?,
            categories: Categories::read(element, words),
            all: flag(element, "all"),
            nodes: Node::read_all(element, words)?,
            fields: fields
                .map(|f| required(f, words.field, words.name))
                .collect::<Result<_, _>>()?,
            from: element.attr_text("from"),
            to: element.attr_text("to"),
            when: element.attr_text("when"),
            tokens: Tokens::read(element, words),
        })
    }

    fn write(&self, words: &Dialect) -> Element {
        let field =
            |name: &Text| Element::new(words.field, words.ns).with_attr(words.name, name.clone());
        let mut request = Element::new("req", words.ns).with_attr(words.id, self.id.clone());
        self.categories.write(&mut request, words);
        let request = request
            .with_attr_opt("all", self.all.then_some(true))
            .with_attr_opt("from", self.from.clone())
            .with_attr_opt("to", self.to.clone())
            .with_attr_opt("when", self.when.clone());
        self.tokens
            .write_to(request, words)
            .with_children(self.nodes.iter().map(|n| n.write(words)))
            .with_children(self.fields.iter().map(field))
    }
}

profiled!(Request, "req", "req", sensor_data, sensor_data_words);

/// The device will read (§3). It may leave this out and send data at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The request's id.
    pub id: RequestId,
    /// Whether it will do so later, and send [`Started`] then. Default `false`.
    pub queued: bool,
}

impl Accepted {
    fn read(element: View<'_>, words: &Dialect) -> Result<Self, PayloadError> {
        Ok(Self {
            id: RequestId::read(element, "accepted", words)?,
            queued: flag(element, "queued"),
        })
    }

    fn write(&self, words: &Dialect) -> Element {
        Element::new("accepted", words.ns)
            .with_attr(words.id, self.id.clone())
            .with_attr_opt("queued", self.queued.then_some(true))
    }
}

profiled!(
    Accepted,
    "accepted",
    "accepted",
    sensor_data,
    sensor_data_words
);

/// The device will not read: so until version 0.3, and some still say it in a stanza of
/// type `error` without a stanza error. Look for it in
/// [`IqKind::Error`](crate::stanza::IqKind::Error); do not send it. The legacy profile alone
/// has it: a stanza error refuses in all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejected {
    /// The request's id; the stanza's says it as well.
    pub id: Option<RequestId>,
    /// Why, for people.
    pub errors: Vec<Text>,
}

impl Payload for Rejected {
    const NAME: &'static str = "rejected";
    const NS: &'static str = ns::IOT_SENSORDATA;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let errors = element.children().filter(|c| c.is("error", Self::NS));
        Ok(Self {
            id: match element.attr(LEGACY.id) {
                Some(_) => Some(RequestId::read(element.view(), Self::NAME, LEGACY)?),
                None => None,
            },
            errors: errors.map(Element::text_value).collect(),
        })
    }

    fn to_element(&self) -> Element {
        let error = |e: &Text| Element::new("error", Self::NS).with_text(e.clone());
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt(LEGACY.id, self.id.clone())
            .with_children(self.errors.iter().map(error))
    }
}

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident, $wire:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            /// The request's id.
            pub id: RequestId,
        }

        impl $name {
            fn read(element: View<'_>, words: &Dialect) -> Result<Self, PayloadError> {
                let id = RequestId::read(element, $wire, words)?;
                Ok(Self { id })
            }

            fn write(&self, words: &Dialect) -> Element {
                Element::new($wire, words.ns).with_attr(words.id, self.id.clone())
            }
        }
    };
}

numbered! {
    /// A queued request is worked on now.
    Started, "started"
}
profiled!(
    Started,
    "started",
    "started",
    sensor_data,
    sensor_data_words
);

numbered! {
    /// A queued request shall go (§3.7).
    Cancel, "cancel"
}
profiled!(Cancel, "cancel", "cancel", sensor_data, sensor_data_words);

numbered! {
    /// It is gone (§3.7). The legacy profile alone has it.
    Cancelled, "cancelled"
}

impl Payload for Cancelled {
    const NAME: &'static str = "cancelled";
    const NS: &'static str = ns::IOT_SENSORDATA;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Self::read(element.view(), LEGACY)
    }

    fn to_element(&self) -> Element {
        self.write(LEGACY)
    }
}

numbered! {
    /// There is no more data. Better say so in the last [`Fields`] or [`Failure`]: some
    /// wait for that and not for this.
    Done, "done"
}
profiled!(Done, "done", "done", sensor_data, sensor_data_words);
