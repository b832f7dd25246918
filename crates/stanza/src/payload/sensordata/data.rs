//! What a read-out gives: fields by node and time, or errors (XEP-0323 §3).

use super::super::xs::flag;
use super::super::{Payload, PayloadError, required};
use super::profile::profiled;
use super::{Dialect, Field, LEGACY, Node, Profile, Profiled, RequestId};
use crate::ns;
use crate::xml::{Element, Text, View};

/// Fields of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// When, as `CCYY-MM-DDThh:mm:ss`, by rights with a time zone (§6.1).
    pub at: Text,
    /// The fields.
    pub fields: Vec<Field>,
}

impl Timestamp {
    fn read(element: View<'_>, words: &Dialect) -> Result<Self, PayloadError> {
        let fields = element.children().map(|c| Field::read(c, words));
        Ok(Self {
            at: required(element, words.timestamp, words.value)?,
            fields: fields
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?,
        })
    }

    fn write(&self, words: &Dialect) -> Element {
        Element::new(words.timestamp, words.ns)
            .with_attr(words.value, self.at.clone())
            .with_children(self.fields.iter().map(|f| f.write(words)))
    }
}

/// Fields of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFields {
    /// Which.
    pub node: Node,
    /// Its fields.
    pub timestamps: Vec<Timestamp>,
}

impl NodeFields {
    fn read(element: View<'_>, words: &Dialect) -> Result<Self, PayloadError> {
        let timestamps = element
            .children()
            .filter(|c| c.is(words.timestamp, words.ns));
        Ok(Self {
            node: Node::read(element, words.node, words)?,
            timestamps: timestamps
                .map(|t| Timestamp::read(t, words))
                .collect::<Result<_, _>>()?,
        })
    }

    fn write(&self, words: &Dialect) -> Element {
        let node = self.node.write(words);
        node.with_children(self.timestamps.iter().map(|t| t.write(words)))
    }
}

/// Data, all or a part.
///
/// ```
/// use stanchion_stanza::{Payload, Text};
/// use stanchion_stanza::payload::sensordata::{Field, Fields, Node, Value};
///
/// let temperature = Field::momentary(
///     Text::from_static("Temperature"),
///     Value::Numeric { value: "21.50".parse()?, unit: Text::from_static("Cel") },
/// );
/// let node = Node::new(Text::from_static("hall"));
/// let data = Fields::of(7, node, Text::from_static("2026-02-03T04:05:06Z"), vec![temperature]);
/// let read = Fields::from_element(&data.to_element())?;
/// assert_eq!(read.iter().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// The request's id.
    pub id: RequestId,
    /// Whether this is the last. The legacy profile says it of the last, the compact ones
    /// say of all others that more comes. Default `false`.
    pub done: bool,
    /// The data.
    pub nodes: Vec<NodeFields>,
}

impl Fields {
    /// The whole answer: one thing at one moment.
    #[must_use]
    pub fn of(id: impl Into<RequestId>, node: Node, at: Text, fields: Vec<Field>) -> Self {
        Self {
            id: id.into(),
            done: true,
            nodes: vec![NodeFields {
                node,
                timestamps: vec![Timestamp { at, fields }],
            }],
        }
    }

    /// Every field with its node and time, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Node, &Text, &Field)> {
        self.nodes.iter().flat_map(|n| {
            let timestamps = n.timestamps.iter();
            timestamps.flat_map(|t| t.fields.iter().map(|f| (&n.node, &t.at, f)))
        })
    }

    /// Reads the data. A field of an unknown type is left out; one of a known type whose
    /// value is none of that type is an error. What a compact device says of itself, without
    /// a node, is of one whose id is empty.
    fn read(element: View<'_>, words: &Dialect) -> Result<Self, PayloadError> {
        let nodes = element.children().filter(|c| c.is(words.node, words.ns));
        let mut nodes: Vec<_> = nodes
            .map(|n| NodeFields::read(n, words))
            .collect::<Result<_, _>>()?;
        // A device that is one thing names no node in the compact profiles.
        let own = element
            .children()
            .filter(|c| words.short && c.is(words.timestamp, words.ns));
        let own = own.map(|t| Timestamp::read(t, words));
        let timestamps = own.collect::<Result<Vec<_>, _>>()?;
        if !timestamps.is_empty() {
            let node = Node::new(Text::default());
            nodes.push(NodeFields { node, timestamps });
        }
        Ok(Self {
            id: RequestId::read(element, words.fields, words)?,
            done: if words.short {
                !flag(element, "more")
            } else {
                flag(element, "done")
            },
            nodes,
        })
    }

    fn write(&self, words: &Dialect) -> Element {
        let (end, is_said) = match words.short {
            true => ("more", !self.done),
            false => ("done", self.done),
        };
        Element::new(words.fields, words.ns)
            .with_attr(words.id, self.id.clone())
            .with_attr_opt(end, is_said.then_some(true))
            .with_children(self.nodes.iter().map(|n| n.write(words)))
    }
}

profiled!(Fields, "fields", "resp", sensor_data, sensor_data_words);

/// Why a thing could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeError {
    /// Which.
    pub node: Node,
    /// When it was tried.
    pub timestamp: Text,
    /// Why, for people.
    pub text: Text,
}

/// Some or all things could not be read (§3.2). Data of others may come as well. The legacy
/// profile alone has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// The request's id.
    pub id: RequestId,
    /// Whether this is the last. Default `false`.
    pub done: bool,
    /// What failed.
    pub errors: Vec<NodeError>,
}

impl Payload for Failure {
    const NAME: &'static str = "failure";
    const NS: &'static str = ns::IOT_SENSORDATA;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let mut errors = Vec::new();
        for error in element.children().filter(|c| c.is("error", Self::NS)) {
            errors.push(NodeError {
                node: Node::read(error.view(), "error", LEGACY)?,
                timestamp: required(error, "error", "timestamp")?,
                text: error.text_value(),
            });
        }
        Ok(Self {
            id: RequestId::read(element.view(), Self::NAME, LEGACY)?,
            done: flag(element, "done"),
            errors,
        })
    }

    fn to_element(&self) -> Element {
        let error = |e: &NodeError| {
            let error = Element::new("error", Self::NS);
            let error = e.node.write_to(error, LEGACY);
            error
                .with_attr("timestamp", e.timestamp.clone())
                .with_text(e.text.clone())
        };
        Element::new(Self::NAME, Self::NS)
            .with_attr(LEGACY.id, self.id.clone())
            .with_attr_opt("done", self.done.then_some(true))
            .with_children(self.errors.iter().map(error))
    }
}
