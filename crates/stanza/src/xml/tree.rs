//! A decoded element as it lies in memory: the text of the stanza, once, and a flat list
//! of records that point into it. Made by the codec's parser, never changed. What the
//! world sees of it is in `element` and `text`.

use std::sync::Arc;

use super::{Name, Ns, Text};
use crate::ns;

/// A part of a tree's text, in bytes. Text is at most 4 GiB long: the parser sees to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A namespace of a tree: 0 is none, then come the known names, then the tree's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NsId(pub(crate) u32);

impl NsId {
    pub(crate) const NONE: Self = Self(0);

    /// That of the prefix `xml`.
    pub(crate) const XML: Self = {
        let mut at = 0;
        while at < ns::KNOWN.len() && ns::KNOWN[at].len() != ns::XML.len() {
            at += 1;
        }
        Self(at as u32 + 1)
    };

    /// The id of a known name.
    pub(crate) fn known(name: &str) -> Option<Self> {
        match name {
            "" => Some(Self::NONE),
            name => ns::index(name).map(|at| Self(at as u32 + 1)),
        }
    }
}

/// One piece of a tree. An element is followed by its attributes, then by its content.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Record {
    Element {
        name: Span,
        ns: NsId,
        /// Index of the record behind the whole element.
        next: u32,
    },
    Attribute {
        name: Span,
        ns: NsId,
        value: Span,
    },
    /// Never empty; two never stand side by side.
    Text(Span),
}

/// One decoded element with all that is in it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The element as written, and behind it what references and line ends stood for.
    pub(crate) text: String,
    /// The first is the root.
    pub(crate) records: Vec<Record>,
    /// Names of namespaces that are not known.
    pub(crate) foreign: Vec<Ns>,
}

impl Tree {
    /// The heaviest tree, in bytes, that a single value taken from it keeps in memory.
    const LIGHT: usize = 4096;

    /// Whether it may live on for the sake of one value.
    pub(super) fn is_light(&self) -> bool {
        self.text.capacity() + self.records.capacity() * size_of::<Record>() <= Self::LIGHT
            && self.foreign.is_empty()
    }

    pub(crate) fn str(&self, span: Span) -> &str {
        // The parser makes no span that is out of bounds.
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    pub(crate) fn ns_str(&self, id: NsId) -> &str {
        match self.place(id) {
            Place::None => "",
            Place::Known(name) => name,
            Place::Foreign(ns) => ns.as_str(),
        }
    }

    pub(crate) fn ns(&self, id: NsId) -> Ns {
        match self.place(id) {
            Place::None => Ns::NONE,
            Place::Known(name) => Ns::Static(name),
            Place::Foreign(ns) => ns.clone(),
        }
    }

    fn place(&self, id: NsId) -> Place<'_> {
        let Some(at) = (id.0 as usize).checked_sub(1) else {
            return Place::None;
        };
        match ns::KNOWN.get(at) {
            Some(name) => Place::Known(name),
            None => self
                .foreign
                .get(at - ns::KNOWN.len())
                .map_or(Place::None, Place::Foreign),
        }
    }

    /// The id of a name that is not known, which is kept. One that is shared with a name
    /// that is here already gets the same id.
    pub(crate) fn intern(&mut self, ns: &Ns) -> NsId {
        let mut foreign = self.foreign.iter();
        match foreign.position(|n| std::ptr::eq(n.as_str(), ns.as_str())) {
            Some(at) => Self::foreign_id(at),
            None => self.add(ns.clone()),
        }
    }

    /// Keeps a name that is not known.
    pub(crate) fn add(&mut self, ns: Ns) -> NsId {
        self.foreign.push(ns);
        Self::foreign_id(self.foreign.len() - 1)
    }

    const fn foreign_id(at: usize) -> NsId {
        NsId((ns::KNOWN.len() + 1 + at) as u32)
    }
}

enum Place<'a> {
    None,
    Known(&'static str),
    Foreign(&'a Ns),
}

/// An element of a tree.
#[derive(Clone, Copy)]
pub(crate) struct Branch<'a> {
    pub(super) tree: &'a Arc<Tree>,
    pub(super) at: u32,
}

/// An attribute of a tree.
#[derive(Clone, Copy)]
pub(crate) struct Leaf<'a> {
    tree: &'a Arc<Tree>,
    name: Span,
    ns: NsId,
    value: Span,
}

/// A child in a tree.
#[derive(Clone, Copy)]
pub(crate) enum Twig<'a> {
    Element(Branch<'a>),
    Text(&'a Arc<Tree>, Span),
}

impl<'a> Branch<'a> {
    fn head(self) -> (Span, NsId, u32) {
        match self.tree.records.get(self.at as usize) {
            Some(Record::Element { name, ns, next }) => (*name, *ns, *next),
            // No branch begins elsewhere.
            _ => (Span::default(), NsId::NONE, 0),
        }
    }

    pub(crate) fn name(self) -> &'a str {
        self.tree.str(self.head().0)
    }

    pub(crate) fn name_span(self) -> Span {
        self.head().0
    }

    pub(crate) fn ns(self) -> &'a str {
        self.tree.ns_str(self.head().1)
    }

    pub(crate) fn shared_ns(self) -> Ns {
        self.tree.ns(self.head().1)
    }

    pub(crate) fn attributes(self) -> impl Iterator<Item = Leaf<'a>> {
        let tree = self.tree;
        let own = tree.records.get(self.at as usize + 1..).unwrap_or_default();
        own.iter().map_while(move |record| match record {
            Record::Attribute { name, ns, value } => Some(Leaf {
                tree,
                name: *name,
                ns: *ns,
                value: *value,
            }),
            _ => None,
        })
    }

    pub(crate) fn children(self) -> Twigs<'a> {
        let mut at = self.at + 1;
        while let Some(Record::Attribute { .. }) = self.tree.records.get(at as usize) {
            at += 1;
        }
        Twigs {
            tree: self.tree,
            at,
            end: self.head().2,
        }
    }
}

/// The children of an element of a tree.
pub(crate) struct Twigs<'a> {
    tree: &'a Arc<Tree>,
    at: u32,
    end: u32,
}

impl<'a> Iterator for Twigs<'a> {
    type Item = Twig<'a>;

    fn next(&mut self) -> Option<Twig<'a>> {
        if self.at >= self.end {
            return None;
        }
        let at = self.at;
        match self.tree.records.get(at as usize)? {
            Record::Element { next, .. } => {
                self.at = *next;
                Some(Twig::Element(Branch {
                    tree: self.tree,
                    at,
                }))
            }
            Record::Text(span) => {
                self.at += 1;
                Some(Twig::Text(self.tree, *span))
            }
            Record::Attribute { .. } => None,
        }
    }
}

impl<'a> Leaf<'a> {
    pub(crate) fn name(self) -> &'a str {
        self.tree.str(self.name)
    }

    pub(crate) fn ns(self) -> &'a str {
        self.tree.ns_str(self.ns)
    }

    pub(crate) fn value(self) -> &'a str {
        self.tree.str(self.value)
    }

    pub(crate) fn shared_value(self) -> Text {
        Text::part(self.tree, self.value)
    }

    pub(crate) fn shared_name(self) -> Name {
        Name::part(self.tree, self.name)
    }

    pub(crate) fn shared_ns(self) -> Ns {
        self.tree.ns(self.ns)
    }
}
