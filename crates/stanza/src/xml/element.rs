//! The element tree: what every payload is read from and written to, and what an
//! unknown payload stays.

use std::borrow::Cow;
use std::fmt;

use super::{Name, NameError, Ns, Text};
use crate::ns;

/// An attribute: namespace (empty for almost all), local name, value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub(crate) ns: Ns,
    pub(crate) name: Name,
    pub(crate) value: Text,
}

impl Attribute {
    /// Namespace name; empty for an attribute without prefix.
    #[must_use]
    pub fn ns(&self) -> &str {
        self.ns.as_str()
    }
    /// Local name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }
    /// Value after reference expansion and white-space normalisation.
    #[must_use]
    pub fn value(&self) -> &Text {
        &self.value
    }
}

/// A child: an element, or a run of character data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A child element.
    Element(Element),
    /// Character data; two runs never stand side by side.
    Text(Text),
}

/// An XML element: expanded name, attributes, children. Prefixes are not kept;
/// the encoder chooses them.
///
/// Equality counts the order of attributes, as XML does not. `Debug` shows XML, but not the secrets of a login. Cloning, comparing and showing an
/// element recurse into its children; those that were decoded are at most
/// [`Limits::MAX_DEPTH`](crate::Limits::MAX_DEPTH) deep.
///
/// ```
/// use stanchion_stanza::{Element, Text};
/// let reading = Element::new("reading", "urn:example:thing")
///     .with_attr("unit", Text::from_static("Cel"))
///     .with_text(Text::new("21.5")?);
/// assert_eq!(reading.attr("unit"), Some("Cel"));
/// assert_eq!(reading.text(), "21.5");
/// # Ok::<(), stanchion_stanza::xml::InvalidChar>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Element {
    pub(crate) name: Name,
    pub(crate) ns: Ns,
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) nodes: Vec<Node>,
}

impl Element {
    /// An element named in the program's own text.
    ///
    /// # Panics
    /// If `name` is no NCName or `ns` is reserved: a mistake in the program. Use
    /// [`Element::try_new`] for names that come from outside.
    #[must_use]
    pub fn new(name: &'static str, ns: &'static str) -> Self {
        Self::from_parts(Name::from_static(name), Ns::from_static(ns))
    }

    /// An element whose name comes from outside.
    ///
    /// # Errors
    /// [`NameError`] if `name` is no NCName or `ns` cannot name a namespace.
    pub fn try_new(name: &str, ns: &str) -> Result<Self, NameError> {
        Ok(Self::from_parts(Name::new(name)?, Ns::new(ns)?))
    }

    pub(crate) const fn from_parts(name: Name, ns: Ns) -> Self {
        Self {
            name,
            ns,
            attrs: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// Local name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Namespace name; empty if in no namespace.
    #[must_use]
    pub fn ns(&self) -> &str {
        self.ns.as_str()
    }

    /// Whether this is `name` in `ns`.
    #[must_use]
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name() == name && self.ns() == ns
    }

    /// The value of the attribute `name` in no namespace.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attr_ns("", name)
    }

    /// The value of the attribute `name` in namespace `ns`.
    #[must_use]
    pub fn attr_ns(&self, ns: &str, name: &str) -> Option<&str> {
        self.attr_text(ns, name).map(Text::as_str)
    }

    pub(crate) fn attr_text(&self, ns: &str, name: &str) -> Option<&Text> {
        self.attrs
            .iter()
            .find(|a| a.name() == name && a.ns() == ns)
            .map(|a| &a.value)
    }

    /// The attribute as [`Text`], to be put into another element without a check.
    #[must_use]
    pub fn attr_value(&self, name: &str) -> Option<&Text> {
        self.attr_text("", name)
    }

    /// `xml:lang` on this element itself (RFC 6120 §8.1.5).
    #[must_use]
    pub fn lang(&self) -> Option<&str> {
        self.attr_ns(ns::XML, "lang")
    }

    /// All attributes, in document order.
    pub fn attrs(&self) -> impl Iterator<Item = &Attribute> {
        self.attrs.iter()
    }

    /// Sets an attribute named in the program's own text; an earlier value goes.
    ///
    /// # Panics
    /// If `name` is no NCName, or `xmlns`: a mistake in the program.
    pub fn set_attr(&mut self, name: &'static str, value: impl Into<Text>) {
        assert!(
            name != "xmlns",
            "`xmlns` declares a namespace; give it to Element::new"
        );
        self.put_attr(Ns::NONE, Name::from_static(name), value.into());
    }

    /// Sets an attribute whose name comes from outside.
    ///
    /// # Errors
    /// [`NameError`] if the name or namespace cannot be written.
    pub fn try_set_attr(
        &mut self,
        ns: &str,
        name: &str,
        value: impl Into<Text>,
    ) -> Result<(), NameError> {
        if ns.is_empty() && name == "xmlns" {
            return Err(NameError::Declaration);
        }
        self.put_attr(Ns::new(ns)?, Name::new(name)?, value.into());
        Ok(())
    }

    /// Sets `xml:lang` (RFC 6120 §8.1.5).
    pub fn set_lang(&mut self, lang: impl Into<Text>) {
        self.put_attr(Ns::XML, Name::from_static("lang"), lang.into());
    }

    pub(crate) fn put_attr(&mut self, ns: Ns, name: Name, value: Text) {
        match self.attrs.iter_mut().find(|a| a.name == name && a.ns == ns) {
            Some(attr) => attr.value = value,
            None => self.attrs.push(Attribute { ns, name, value }),
        }
    }

    /// [`Element::set_attr`], for building.
    #[must_use]
    pub fn with_attr(mut self, name: &'static str, value: impl Into<Text>) -> Self {
        self.set_attr(name, value);
        self
    }

    /// [`Element::set_attr`] where there is a value.
    #[must_use]
    pub fn with_attr_opt(self, name: &'static str, value: Option<impl Into<Text>>) -> Self {
        match value {
            Some(value) => self.with_attr(name, value),
            None => self,
        }
    }

    /// Appends a child element, for building.
    #[must_use]
    pub fn with_child(mut self, child: impl Into<Element>) -> Self {
        self.push(child);
        self
    }

    /// Appends child elements, for building.
    #[must_use]
    pub fn with_children<E: Into<Element>>(
        mut self,
        children: impl IntoIterator<Item = E>,
    ) -> Self {
        self.nodes
            .extend(children.into_iter().map(|c| Node::Element(c.into())));
        self
    }

    /// Appends character data, for building.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<Text>) -> Self {
        self.push_text(text);
        self
    }

    /// Appends a child element.
    pub fn push(&mut self, child: impl Into<Element>) {
        self.nodes.push(Node::Element(child.into()));
    }

    /// Appends character data, joined to a run that stands last.
    pub fn push_text(&mut self, text: impl Into<Text>) {
        let text = text.into();
        match self.nodes.last_mut() {
            Some(Node::Text(last)) => last.push_str(&text),
            _ if text.is_empty() => {}
            _ => self.nodes.push(Node::Text(text)),
        }
    }

    /// [`Element::push_text`] of characters that were checked, without a copy to join.
    pub(crate) fn append(&mut self, run: &str) {
        match self.nodes.last_mut() {
            Some(Node::Text(last)) => last.push_str(run),
            _ if run.is_empty() => {}
            _ => self.nodes.push(Node::Text(Text::checked(run.to_owned()))),
        }
    }

    /// Child nodes, in document order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Child elements, in document order.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.nodes.iter().filter_map(|n| match n {
            Node::Element(e) => Some(e),
            Node::Text(_) => None,
        })
    }

    /// The child elements alone; character data between them is dropped.
    #[must_use]
    pub fn into_children(mut self) -> Vec<Element> {
        std::mem::take(&mut self.nodes)
            .into_iter()
            .filter_map(|n| match n {
                Node::Element(e) => Some(e),
                Node::Text(_) => None,
            })
            .collect()
    }

    /// The first child element `name` in `ns`.
    #[must_use]
    pub fn child(&self, name: &str, ns: &str) -> Option<&Element> {
        self.children().find(|c| c.is(name, ns))
    }

    /// The character data directly in this element, joined.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        let mut runs = self.nodes.iter().filter_map(|n| match n {
            Node::Text(t) => Some(t.as_str()),
            Node::Element(_) => None,
        });
        match (runs.next(), runs.next()) {
            (None, _) => Cow::Borrowed(""),
            (Some(only), None) => Cow::Borrowed(only),
            (Some(first), Some(second)) => {
                let mut joined = format!("{first}{second}");
                joined.extend(runs);
                Cow::Owned(joined)
            }
        }
    }

    /// As [`Element::text`], as a value to put into another element.
    #[must_use]
    pub fn text_value(&self) -> Text {
        Text::checked(self.text().into_owned())
    }
}

impl fmt::Debug for Element {
    /// As XML, with the length of what may hold a password, a proof or a token in place
    /// of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |length: usize| format!("[{length} bytes]");
        write!(f, "<{} xmlns={:?}", self.name(), self.ns())?;
        for Attribute { ns, name, value } in &self.attrs {
            f.write_str(" ")?;
            if !ns.as_str().is_empty() {
                write!(f, "{{{}}}", ns.as_str())?;
            }
            match name.as_str() {
                "token" if self.ns() == ns::FAST => write!(f, "token={}", hidden(value.len()))?,
                name => write!(f, "{name}={value:?}")?,
            }
        }
        if self.nodes.is_empty() {
            return f.write_str("/>");
        }
        f.write_str(">")?;
        for node in &self.nodes {
            match node {
                Node::Element(child) => fmt::Debug::fmt(child, f)?,
                Node::Text(text) if self.holds_a_secret() => f.write_str(&hidden(text.len()))?,
                Node::Text(text) => write!(f, "{text:?}")?,
            }
        }
        write!(f, "</{}>", self.name())
    }
}

impl Element {
    /// Whether the text may be a password or what proves one.
    fn holds_a_secret(&self) -> bool {
        match self.name() {
            "password" => true,
            "auth" | "challenge" | "response" | "success" | "initial-response"
            | "additional-data" => matches!(self.ns(), ns::SASL | ns::SASL2),
            _ => false,
        }
    }
}

impl Drop for Element {
    /// Without recursion: a tree that a program builds may be of any depth.
    fn drop(&mut self) {
        let mut pending = std::mem::take(&mut self.nodes);
        while let Some(node) = pending.pop() {
            if let Node::Element(mut element) = node {
                pending.append(&mut element.nodes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_set_twice_stands_once() {
        let e = Element::new("a", "urn:x")
            .with_attr("b", 1u32)
            .with_attr("b", 2u32);
        assert_eq!(e.attrs().count(), 1);
        assert_eq!(e.attr("b"), Some("2"));
    }

    #[test]
    fn adjacent_text_is_one_run() {
        let e = Element::new("a", "urn:x").with_text(1u32).with_text(2u32);
        assert_eq!(e.nodes().len(), 1);
        assert_eq!(e.text(), "12");
    }

    #[test]
    fn a_declaration_is_no_attribute() {
        let mut e = Element::new("a", "urn:x");
        assert_eq!(
            e.try_set_attr("", "xmlns", Text::default()),
            Err(NameError::Declaration)
        );
        assert!(e.try_set_attr(ns::XMLNS, "p", Text::default()).is_err());
        assert!(e.try_set_attr("", "p:q", Text::default()).is_err());
    }
}
