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

/// Whether two strings are equal, for constants.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

impl NsId {
    pub(crate) const NONE: Self = Self(0);

    /// That of the prefix `xml`.
    pub(crate) const XML: Self = {
        let mut at = 0;
        while !same(ns::KNOWN[at], ns::XML) {
            at += 1;
        }
        Self(at as u32 + 1)
    };

    /// The id of a known name.
    pub(crate) fn known(name: &[u8]) -> Option<Self> {
        match name {
            b"" => Some(Self::NONE),
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
    text: String,
    /// The first is the root.
    records: Vec<Record>,
    /// Names of namespaces that are not known.
    foreign: Vec<Foreign>,
    /// Whether it may live on for the sake of one value.
    light: bool,
}

/// The name of a namespace that is not known.
#[derive(Debug)]
enum Foreign {
    /// From around the element.
    Outer(Ns),
    /// Declared in it.
    Own(Span),
}

impl Tree {
    /// The heaviest tree, in bytes, that a single value taken from it keeps in memory.
    const LIGHT: usize = 4096;

    /// Whether it may live on for the sake of one value.
    pub(super) const fn is_light(&self) -> bool {
        self.light
    }

    /// Bytes that it takes, about.
    fn weight(&self) -> usize {
        let outer = self.foreign.iter().map(|f| match f {
            Foreign::Outer(ns) => ns.as_str().len(),
            Foreign::Own(_) => 0,
        });
        self.text.capacity()
            + self.records.capacity() * size_of::<Record>()
            + self.foreign.capacity() * size_of::<Foreign>()
            + outer.sum::<usize>()
    }

    /// Takes what was read from `frame`, in place of what it held. Grows to what is needed
    /// and no further, so that its memory stays that of the heaviest it held.
    fn fill(&mut self, frame: &str, draft: &mut Draft) {
        self.text.clear();
        self.text.reserve_exact(frame.len() + draft.decoded.len());
        self.text.push_str(frame);
        self.text.push_str(&draft.decoded);
        self.records.clear();
        self.records.reserve_exact(draft.records.len());
        self.records.extend_from_slice(&draft.records);
        self.foreign.clear();
        self.foreign.reserve_exact(draft.foreign.len());
        self.foreign.append(&mut draft.foreign);
        if !draft.decoded.is_empty() {
            self.settle(frame.len() as u32);
        }
        self.light = self.weight() <= Self::LIGHT;
    }

    /// What was decoded stands behind a frame of that length from now on.
    fn settle(&mut self, frame: u32) {
        let settle = |span: &mut Span| {
            if let Some(at) = span.start.checked_sub(Draft::DECODED) {
                let length = span.end - span.start;
                span.start = frame + at;
                span.end = span.start + length;
            }
        };
        for record in &mut self.records {
            match record {
                Record::Attribute { value: span, .. } | Record::Text(span) => settle(span),
                Record::Element { .. } => {}
            }
        }
        for foreign in &mut self.foreign {
            if let Foreign::Own(span) = foreign {
                settle(span);
            }
        }
    }

    pub(crate) fn str(&self, span: Span) -> &str {
        // The parser makes no span that is out of bounds.
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// Whether that part of the text reads so.
    fn reads(&self, span: Span, s: &str) -> bool {
        // The length first: it tells most names apart.
        (span.end - span.start) as usize == s.len()
            && self
                .text
                .as_bytes()
                .get(span.start as usize..span.end as usize)
                == Some(s.as_bytes())
    }

    /// Whether that namespace has the name.
    fn is_named(&self, id: NsId, ns: &str) -> bool {
        match place(&self.foreign, id) {
            // No comparison: some memory routines take long for empty ones.
            Place::None => ns.is_empty(),
            Place::Known(name) => name == ns,
            Place::Foreign(_) => self.ns_str(id) == ns,
        }
    }

    pub(crate) fn ns_str(&self, id: NsId) -> &str {
        match place(&self.foreign, id) {
            Place::None => "",
            Place::Known(name) => name,
            Place::Foreign(Foreign::Outer(ns)) => ns.as_str(),
            Place::Foreign(Foreign::Own(span)) => self.str(*span),
        }
    }

    /// The name of a namespace, to keep: it keeps the tree.
    fn shared_ns(self: &Arc<Self>, id: NsId) -> Ns {
        match place(&self.foreign, id) {
            Place::Foreign(Foreign::Own(span)) => Ns::Part(self.clone(), *span),
            _ => self.copied_ns(id),
        }
    }

    /// The name of a namespace, to keep without the tree.
    pub(crate) fn copied_ns(&self, id: NsId) -> Ns {
        match place(&self.foreign, id) {
            Place::None => Ns::NONE,
            Place::Known(name) => Ns::Static(name),
            Place::Foreign(Foreign::Outer(ns)) => ns.clone(),
            Place::Foreign(Foreign::Own(span)) => Ns::Shared(self.str(*span).into()),
        }
    }
}

enum Place<'a> {
    None,
    Known(&'static str),
    Foreign(&'a Foreign),
}

fn place(foreign: &[Foreign], id: NsId) -> Place<'_> {
    let Some(at) = (id.0 as usize).checked_sub(1) else {
        return Place::None;
    };
    match ns::KNOWN.get(at) {
        Some(name) => Place::Known(name),
        None => foreign
            .get(at - ns::KNOWN.len())
            .map_or(Place::None, Place::Foreign),
    }
}

/// A tree while it is read. Its parts lie in the frame that is read, or, from
/// [`Draft::DECODED`] on, in what was decoded. Kept from tree to tree for the sake of its
/// memory.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) records: Vec<Record>,
    decoded: String,
    foreign: Vec<Foreign>,
    /// The tree before, if it is light. When the next is read, and nobody holds this one any
    /// more, it is filled again: a program that is done with one stanza before it takes
    /// the next has all of them read into the same memory.
    last: Option<Arc<Tree>>,
}

impl Draft {
    /// No frame is so long.
    pub(crate) const DECODED: u32 = 1 << 31;
    /// What is kept for the next tree: records, and bytes of decoded text.
    const KEPT: (usize, usize) = (128, 1024);

    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.decoded.clear();
        self.foreign.clear();
        self.records.shrink_to(Self::KEPT.0);
        self.decoded.shrink_to(Self::KEPT.1);
    }

    /// Decoded text is appended here.
    pub(crate) const fn decoded_mut(&mut self) -> &mut String {
        &mut self.decoded
    }

    /// The place behind the decoded text.
    pub(crate) fn decoded_end(&self) -> u32 {
        Self::DECODED + self.decoded.len() as u32
    }

    pub(crate) fn bytes<'a>(&'a self, frame: &'a [u8], span: Span) -> &'a [u8] {
        let (text, base) = match span.start.checked_sub(Self::DECODED) {
            Some(_) => (self.decoded.as_bytes(), Self::DECODED),
            None => (frame, 0),
        };
        text.get((span.start - base) as usize..span.end.saturating_sub(base) as usize)
            .unwrap_or_default()
    }

    /// The name of a namespace.
    pub(crate) fn ns<'a>(&'a self, frame: &'a [u8], id: NsId) -> &'a [u8] {
        match place(&self.foreign, id) {
            Place::None => b"",
            Place::Known(name) => name.as_bytes(),
            Place::Foreign(Foreign::Outer(ns)) => ns.as_str().as_bytes(),
            Place::Foreign(Foreign::Own(span)) => self.bytes(frame, *span),
        }
    }

    /// The id of a name from around the element that is not known.
    pub(crate) fn outer(&mut self, ns: &Ns) -> NsId {
        let mut foreign = self.foreign.iter();
        let at = foreign.position(|f| match f {
            Foreign::Outer(other) => std::ptr::eq(other.as_str(), ns.as_str()),
            Foreign::Own(..) => false,
        });
        match at {
            Some(at) => Self::foreign_id(at),
            None => self.add(Foreign::Outer(ns.clone())),
        }
    }

    /// The id of a name that is not known and was declared there.
    pub(crate) fn own(&mut self, name: Span) -> NsId {
        self.add(Foreign::Own(name))
    }

    fn add(&mut self, foreign: Foreign) -> NsId {
        self.foreign.push(foreign);
        Self::foreign_id(self.foreign.len() - 1)
    }

    const fn foreign_id(at: usize) -> NsId {
        NsId((ns::KNOWN.len() + 1 + at) as u32)
    }

    /// The tree of all that was read from `frame`.
    pub(crate) fn finish(&mut self, frame: &str) -> Arc<Tree> {
        let mut tree = self.last.take().unwrap_or_default();
        if let Some(free) = Arc::get_mut(&mut tree) {
            free.fill(frame, self);
        } else {
            let mut fresh = Tree::default();
            fresh.fill(frame, self);
            tree = Arc::new(fresh);
        }
        self.last = tree.is_light().then(|| tree.clone());
        tree
    }
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

    pub(super) fn is(self, name: &str, ns: &str) -> bool {
        let (span, id, _) = self.head();
        self.tree.reads(span, name) && self.tree.is_named(id, ns)
    }

    pub(crate) fn name_span(self) -> Span {
        self.head().0
    }

    pub(crate) fn ns(self) -> &'a str {
        self.tree.ns_str(self.head().1)
    }

    pub(crate) fn shared_ns(self) -> Ns {
        self.tree.shared_ns(self.head().1)
    }

    pub(crate) fn attributes(self) -> Leaves<'a> {
        Leaves {
            tree: self.tree,
            at: self.at + 1,
        }
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

/// The attributes of an element of a tree.
pub(crate) struct Leaves<'a> {
    tree: &'a Arc<Tree>,
    at: u32,
}

impl<'a> Iterator for Leaves<'a> {
    type Item = Leaf<'a>;

    fn next(&mut self) -> Option<Leaf<'a>> {
        match self.tree.records.get(self.at as usize)? {
            Record::Attribute { name, ns, value } => {
                self.at += 1;
                Some(Leaf {
                    tree: self.tree,
                    name: *name,
                    ns: *ns,
                    value: *value,
                })
            }
            _ => None,
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
    pub(super) fn is(self, name: &str, ns: &str) -> bool {
        self.tree.reads(self.name, name) && self.tree.is_named(self.ns, ns)
    }

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
        self.tree.shared_ns(self.ns)
    }
}
