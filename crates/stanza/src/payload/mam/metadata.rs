//! What an archive holds (XEP-0313 §5).

use super::super::{Payload, PayloadError, required};
use crate::ns;
use crate::xml::{Element, Text};

/// A message at an end of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The archive's id of it.
    pub id: Text,
    /// When the archive received it, XEP-0082 DateTime.
    pub timestamp: Text,
}

/// The ends of an archive that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The oldest message.
    pub start: Mark,
    /// The newest message.
    pub end: Mark,
}

/// The request, and the answer: `None` is an empty archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata(pub Option<Span>);

fn mark(metadata: &Element, name: &'static str) -> Result<Option<Mark>, PayloadError> {
    let read = |e| {
        Ok(Mark {
            id: required(e, name, "id")?,
            timestamp: required(e, name, "timestamp")?,
        })
    };
    metadata.child(name, ns::MAM).map(read).transpose()
}

impl Payload for Metadata {
    const NAME: &'static str = "metadata";
    const NS: &'static str = ns::MAM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let lacks = |child| PayloadError::MissingChild {
            element: Self::NAME,
            child,
        };
        match (mark(element, "start")?, mark(element, "end")?) {
            (None, None) => Ok(Self(None)),
            (None, Some(_)) => Err(lacks("start")),
            (Some(_), None) => Err(lacks("end")),
            (Some(start), Some(end)) => Ok(Self(Some(Span { start, end }))),
        }
    }

    fn to_element(&self) -> Element {
        let mark = |name, mark: &Mark| {
            Element::new(name, ns::MAM)
                .with_attr("id", mark.id.clone())
                .with_attr("timestamp", mark.timestamp.clone())
        };
        let ends = |s: &Span| [mark("start", &s.start), mark("end", &s.end)];
        Element::new(Self::NAME, Self::NS)
            .with_children(self.0.as_ref().map(ends).into_iter().flatten())
    }
}
