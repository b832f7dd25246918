//! How an element of this extension is read and written. Each says once what it consists
//! of; from that come an [`Element`], and bytes without one.

use std::fmt;

use super::value::{Seq, Value};
use crate::codec::escape_text;
use crate::jid::BareJid;
use crate::ns;
use crate::payload::{Payload, PayloadError};
use crate::xml::{Element, NodeView, Text, View};

/// An element of this extension, or a child of one.
pub(super) trait Part: Payload {
    /// Reads it.
    fn read(element: Reader<'_>) -> Result<Self, PayloadError>;

    /// Tells its attributes, and then its children.
    fn write(&self, to: &mut impl Sink);
}

/// Makes [`Payload`] of a [`Part`].
macro_rules! element {
    ($name:ident, $wire:literal) => {
        impl $crate::payload::Payload for $name {
            const NAME: &'static str = $wire;
            const NS: &'static str = $crate::ns::DELIVERY;

            fn from_element(
                element: &$crate::xml::Element,
            ) -> Result<Self, $crate::payload::PayloadError> {
                $crate::payload::delivery::shape::read(element)
            }

            fn to_element(&self) -> $crate::xml::Element {
                $crate::payload::delivery::shape::to_element(self)
            }
        }
    };
}
pub(super) use element;

pub(super) fn read<P: Part>(element: &Element) -> Result<P, PayloadError> {
    P::read(Reader {
        view: element.into(),
        kind: P::NAME,
    })
}

/// An element, to be read strictly.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    view: View<'a>,
    kind: &'static str,
}

impl<'a> Reader<'a> {
    /// The error that `what`, an attribute or a child, is not as it must be.
    pub(super) const fn invalid(self, what: &'static str) -> PayloadError {
        PayloadError::Invalid {
            element: self.kind,
            what,
        }
    }

    /// The error that there is no such child.
    pub(super) const fn lacks(self, child: &'static str) -> PayloadError {
        PayloadError::MissingChild {
            element: self.kind,
            child,
        }
    }

    /// The attribute, if it is there.
    pub(super) fn maybe<T: Value>(self, name: &'static str) -> Result<Option<T>, PayloadError> {
        let written = self.view.attr(name);
        let read = written.map(|w| T::read(w).map_err(|_| self.invalid(name)));
        read.transpose()
    }

    /// The attribute.
    pub(super) fn attr<T: Value>(self, name: &'static str) -> Result<T, PayloadError> {
        self.maybe(name)?.ok_or(PayloadError::MissingAttribute {
            element: self.kind,
            attribute: name,
        })
    }

    /// The attribute, a sequence number.
    pub(super) fn seq(self, name: &'static str) -> Result<u64, PayloadError> {
        self.attr::<Seq>(name).map(|seq| seq.0)
    }

    /// The children of that name in this extension; nothing is made for the others.
    fn named(self, name: &'static str) -> impl Iterator<Item = Reader<'a>> {
        let children = self.view.children();
        let named = children.filter(move |c| c.is(name, ns::DELIVERY));
        named.map(move |view| Reader { view, kind: name })
    }

    /// The children of that name as `read` reads them: `most` at most, and no more than
    /// that is looked at.
    pub(super) fn list<T>(
        self,
        name: &'static str,
        most: usize,
        read: impl Fn(Reader<'a>) -> Result<T, PayloadError>,
    ) -> Result<Vec<T>, PayloadError> {
        let mut list = Vec::new();
        for child in self.named(name) {
            if list.len() == most {
                return Err(self.invalid(name));
            }
            list.push(read(child)?);
        }
        Ok(list)
    }

    /// As [`Reader::list`], where at least one must be.
    pub(super) fn some<T>(
        self,
        name: &'static str,
        most: usize,
        read: impl Fn(Reader<'a>) -> Result<T, PayloadError>,
    ) -> Result<Vec<T>, PayloadError> {
        let list = self.list(name, most, read)?;
        if list.is_empty() {
            return Err(self.lacks(name));
        }
        Ok(list)
    }

    /// The child of that kind, if it is there; it may not stand twice.
    pub(super) fn child<P: Part>(self) -> Result<Option<P>, PayloadError> {
        let mut children = self.named(P::NAME);
        let first = children.next();
        if children.next().is_some() {
            return Err(self.invalid(P::NAME));
        }
        first.map(P::read).transpose()
    }

    /// The character data, if it has at most that many bytes.
    pub(super) fn text(self, most: usize) -> Option<String> {
        let mut text = String::new();
        for node in self.view.nodes() {
            if let NodeView::Text(run) = node {
                if text.len() + run.len() > most {
                    return None;
                }
                text.push_str(run);
            }
        }
        Some(text)
    }
}

/// What an element is written to.
pub(super) trait Sink {
    /// One more attribute; none may follow a child.
    fn attr(&mut self, name: &'static str, value: &impl Value);

    /// One more child.
    fn child<P: Part>(&mut self, child: &P);

    /// One more child, `<jid/>` with an address in it.
    fn jid(&mut self, jid: &BareJid);

    /// Character data that needs no escape; no attribute and no child may follow.
    fn text(&mut self, text: &str);

    /// One more attribute, if there is a value.
    fn maybe<T: Value>(&mut self, name: &'static str, value: Option<&T>) {
        if let Some(value) = value {
            self.attr(name, value);
        }
    }

    /// A sequence number.
    fn seq(&mut self, name: &'static str, seq: u64) {
        self.attr(name, &Seq(seq));
    }

    /// The version of the addresses that is known; 0 goes without saying.
    fn knows(&mut self, version: u32) {
        self.maybe("j", (version > 0).then_some(&version));
    }

    /// A flag; false goes without saying.
    fn flag(&mut self, name: &'static str, flag: bool) {
        self.maybe(name, flag.then_some(&flag));
    }

    /// More children.
    fn children<'a, P: Part + 'a>(&mut self, children: impl IntoIterator<Item = &'a P>) {
        for child in children {
            self.child(child);
        }
    }
}

pub(super) fn to_element<P: Part>(part: &P) -> Element {
    let mut tree = Tree(Element::new(P::NAME, P::NS));
    part.write(&mut tree);
    tree.0
}

/// An element in the making.
struct Tree(Element);

impl Sink for Tree {
    fn attr(&mut self, name: &'static str, value: &impl Value) {
        let mut written = String::new();
        // A string takes whatever is written to it.
        let _ = value.write(&mut written);
        self.0.set_attr(name, Text::checked(written));
    }

    fn child<P: Part>(&mut self, child: &P) {
        self.0.push(to_element(child));
    }

    fn jid(&mut self, jid: &BareJid) {
        self.0
            .push(Element::new("jid", ns::DELIVERY).with_text(jid));
    }

    fn text(&mut self, text: &str) {
        self.0.push_text(Text::checked(text.to_owned()));
    }
}

/// Appends the element to `out`, as the encoder writes it where another namespace is the
/// default.
pub(super) fn append<P: Part>(part: &P, out: &mut Vec<u8>) {
    let mut bytes = Bytes { out, is_open: true };
    bytes.put("<");
    bytes.put(P::NAME);
    bytes.put(" xmlns='");
    bytes.put(P::NS);
    bytes.put("'");
    part.write(&mut bytes);
    bytes.end(P::NAME);
}

/// The bytes of an element in the making.
struct Bytes<'a> {
    out: &'a mut Vec<u8>,
    /// Whether its start tag still waits for more attributes.
    is_open: bool,
}

impl Bytes<'_> {
    fn put(&mut self, part: &str) {
        self.out.extend_from_slice(part.as_bytes());
    }

    fn end(&mut self, name: &str) {
        if self.is_open {
            self.put("/>");
        } else {
            self.put("</");
            self.put(name);
            self.put(">");
        }
    }

    /// Begins a child, in the namespace that is the default here.
    fn start(&mut self, name: &str) -> Bytes<'_> {
        if self.is_open {
            self.put(">");
            self.is_open = false;
        }
        self.put("<");
        self.put(name);
        Bytes {
            out: self.out,
            is_open: true,
        }
    }
}

impl fmt::Write for Bytes<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.put(s);
        Ok(())
    }
}

impl Sink for Bytes<'_> {
    fn attr(&mut self, name: &'static str, value: &impl Value) {
        self.put(" ");
        self.put(name);
        self.put("='");
        // Bytes take whatever is written to them, and no value needs to be escaped.
        let _ = value.write(self);
        self.put("'");
    }

    fn child<P: Part>(&mut self, child: &P) {
        let mut inner = self.start(P::NAME);
        child.write(&mut inner);
        inner.end(P::NAME);
    }

    fn jid(&mut self, jid: &BareJid) {
        let mut inner = self.start("jid");
        inner.put(">");
        inner.is_open = false;
        escape_text(jid.as_str(), inner.out);
        inner.end("jid");
    }

    fn text(&mut self, text: &str) {
        self.put(">");
        self.is_open = false;
        self.put(text);
    }
}
