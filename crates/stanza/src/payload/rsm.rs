//! Result set management (XEP-0059): a large answer, a page at a time. Request and
//! answer share an element, and only the query around it tells which one it is.

use super::parts::{child_number, child_text, text_child};
use super::{Payload, PayloadError, parsed};
use crate::ns;
use crate::xml::{Element, Text};

/// Where a page begins or ends. Ids are the responder's, and opaque.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Position {
    /// The first page (§2.2).
    #[default]
    First,
    /// What follows this item (§2.2).
    After(Text),
    /// What precedes this item (§2.3); not empty.
    Before(Text),
    /// The last page (§2.5).
    Last,
    /// What begins at this index, counted from 0 (§2.6). Not every responder can.
    Index(u32),
}

/// The page that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Items wanted at most; 0 asks only for the count (§2.7). `None` leaves it to the
    /// responder, which may always send fewer.
    pub max: Option<u32>,
    /// Which page.
    pub position: Position,
}

impl PageRequest {
    /// A page of at most `max` items.
    #[must_use]
    pub const fn of(max: u32, position: Position) -> Self {
        Self {
            max: Some(max),
            position,
        }
    }
}

impl Payload for PageRequest {
    const NAME: &'static str = "set";
    const NS: &'static str = ns::RSM;

    /// Two positions at once mean nothing (§2 gives each alone), so they are an error.
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let after = child_text(element, "after").map(Position::After);
        let before = child_text(element, "before").map(|uid| match uid.is_empty() {
            true => Position::Last,
            false => Position::Before(uid),
        });
        let index = child_number(element, Self::NAME, "index")?.map(Position::Index);
        let mut positions = [after, before, index].into_iter().flatten();
        let position = positions.next().unwrap_or_default();
        if positions.next().is_some() {
            return Err(PayloadError::Invalid {
                element: Self::NAME,
                what: "position",
            });
        }
        Ok(Self {
            max: child_number(element, Self::NAME, "max")?,
            position,
        })
    }

    fn to_element(&self) -> Element {
        let set =
            Element::new(Self::NAME, Self::NS).with_children(text_child("max", ns::RSM, self.max));
        let position = match &self.position {
            Position::First => None,
            Position::After(uid) => text_child("after", ns::RSM, Some(uid.clone())),
            Position::Before(uid) => text_child("before", ns::RSM, Some(uid.clone())),
            Position::Last => Some(Element::new("before", ns::RSM)),
            Position::Index(index) => text_child("index", ns::RSM, Some(*index)),
        };
        set.with_children(position)
    }
}

fn is_negative(number: &str) -> bool {
    number.parse::<i64>().is_ok_and(|number| number < 0)
}

/// The ends of a page that has items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The first item: what to ask for what is [before](Position::Before).
    pub first: Text,
    /// Where that item is in the whole, counted from 0; may be approximate. `None` also if
    /// it is negative, as ejabberd has it where it knows none.
    pub index: Option<u32>,
    /// The last item: what to ask for what is [after](Position::After).
    pub last: Text,
}

/// The page that was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Its ends; an empty page has none.
    pub range: Option<Range>,
    /// Items in the whole; may be approximate.
    pub count: Option<u32>,
}

impl Payload for Page {
    const NAME: &'static str = "set";
    const NS: &'static str = ns::RSM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let lacks = |child| PayloadError::MissingChild {
            element: Self::NAME,
            child,
        };
        let range = match (element.child("first", ns::RSM), child_text(element, "last")) {
            (None, None) => None,
            (None, Some(_)) => return Err(lacks("first")),
            (Some(_), None) => return Err(lacks("last")),
            (Some(first), Some(last)) => Some(Range {
                first: first.text_value(),
                index: match first.attr("index") {
                    Some(below) if is_negative(below) => None,
                    _ => parsed(first, "first", "index")?,
                },
                last,
            }),
        };
        Ok(Self {
            range,
            count: child_number(element, Self::NAME, "count")?,
        })
    }

    fn to_element(&self) -> Element {
        let mut set = Element::new(Self::NAME, Self::NS);
        if let Some(Range { first, index, last }) = &self.range {
            set.push(
                Element::new("first", ns::RSM)
                    .with_attr_opt("index", *index)
                    .with_text(first.clone()),
            );
            set.push(Element::new("last", ns::RSM).with_text(last.clone()));
        }
        set.with_children(text_child("count", ns::RSM, self.count))
    }
}
