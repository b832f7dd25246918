//! The element tree: what every payload is read from and written to, and what an
//! unknown payload stays.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::tree::{Branch, Leaf, Leaves, Tree, Twig, Twigs};
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
///
/// A clone shares what it is a clone of, until either is changed. An element that was
/// decoded, and each that is taken from it, keeps the whole stanza in memory.
#[derive(Clone)]
pub struct Element(Repr);

#[derive(Clone)]
enum Repr {
    Built(Arc<Built>),
    Decoded(Decoded),
}

/// What a program put together.
#[derive(Clone)]
pub(crate) struct Built {
    name: Name,
    ns: Ns,
    attrs: Vec<Attribute>,
    nodes: Vec<Node>,
}

/// An element of a tree, and what it lent out.
struct Decoded {
    tree: Arc<Tree>,
    at: u32,
    attrs: OnceLock<Box<[Attribute]>>,
    nodes: OnceLock<Box<[Node]>>,
}

impl Clone for Decoded {
    fn clone(&self) -> Self {
        Self::new(self.tree.clone(), self.at)
    }
}

impl Decoded {
    const fn new(tree: Arc<Tree>, at: u32) -> Self {
        Self {
            tree,
            at,
            attrs: OnceLock::new(),
            nodes: OnceLock::new(),
        }
    }

    fn of(branch: Branch<'_>) -> Self {
        Self::new(branch.tree.clone(), branch.at)
    }

    const fn branch(&self) -> Branch<'_> {
        Branch {
            tree: &self.tree,
            at: self.at,
        }
    }

    fn attrs(&self) -> &[Attribute] {
        self.attrs.get_or_init(|| {
            let mut attrs = Vec::with_capacity(self.branch().attributes().count());
            attrs.extend(self.branch().attributes().map(Attribute::from));
            attrs.into()
        })
    }

    fn nodes(&self) -> &[Node] {
        self.nodes.get_or_init(|| {
            let mut nodes = Vec::with_capacity(self.branch().children().count());
            nodes.extend(self.branch().children().map(Node::from));
            nodes.into()
        })
    }
}

impl From<Leaf<'_>> for Attribute {
    fn from(leaf: Leaf<'_>) -> Self {
        Self {
            ns: leaf.shared_ns(),
            name: leaf.shared_name(),
            value: leaf.shared_value(),
        }
    }
}

impl From<Twig<'_>> for Node {
    fn from(twig: Twig<'_>) -> Self {
        match twig {
            Twig::Element(branch) => Self::Element(Element(Repr::Decoded(Decoded::of(branch)))),
            Twig::Text(tree, span) => Self::Text(Text::part(tree, span)),
        }
    }
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

    fn from_parts(name: Name, ns: Ns) -> Self {
        Self(Repr::Built(Arc::new(Built {
            name,
            ns,
            attrs: Vec::new(),
            nodes: Vec::new(),
        })))
    }

    /// Of parts that were checked, no two attributes equal.
    pub(crate) fn of(name: &'static str, ns: Ns, attrs: Vec<Attribute>, children: &[Self]) -> Self {
        Self(Repr::Built(Arc::new(Built {
            name: Name::literal(name),
            ns,
            attrs,
            nodes: children.iter().cloned().map(Node::Element).collect(),
        })))
    }

    /// The root of a tree.
    pub(crate) const fn decoded(tree: Arc<Tree>) -> Self {
        Self(Repr::Decoded(Decoded::new(tree, 0)))
    }

    /// The element as it lies there; lends out nothing that has to be made first.
    pub(crate) fn view(&self) -> View<'_> {
        match &self.0 {
            Repr::Built(built) => View::Built(built),
            Repr::Decoded(decoded) => View::Decoded(decoded.branch()),
        }
    }

    /// To change it: no longer shared, its own attributes and children at hand.
    fn own(&mut self) -> &mut Built {
        if let Repr::Decoded(decoded) = &self.0 {
            let branch = decoded.branch();
            let built = Built {
                name: Name::part(&decoded.tree, branch.name_span()),
                ns: branch.shared_ns(),
                attrs: branch.attributes().map(Attribute::from).collect(),
                nodes: branch.children().map(Node::from).collect(),
            };
            self.0 = Repr::Built(Arc::new(built));
        }
        match &mut self.0 {
            Repr::Built(built) => Arc::make_mut(built),
            Repr::Decoded(_) => unreachable!("it was replaced above"),
        }
    }

    /// Local name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.view().name()
    }

    /// Namespace name; empty if in no namespace.
    #[must_use]
    pub fn ns(&self) -> &str {
        self.view().ns()
    }

    /// Whether this is `name` in `ns`.
    #[must_use]
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.view().is(name, ns)
    }

    /// The value of the attribute `name` in no namespace.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attr_ns("", name)
    }

    /// The value of the attribute `name` in namespace `ns`.
    #[must_use]
    pub fn attr_ns(&self, ns: &str, name: &str) -> Option<&str> {
        self.attr_view(ns, name).map(AttributeView::value)
    }

    fn attr_view(&self, ns: &str, name: &str) -> Option<AttributeView<'_>> {
        let mut attributes = self.view().attributes();
        attributes.find(|a| a.is(name, ns))
    }

    /// The value of the attribute `name` in no namespace, to keep: of a decoded element it
    /// is no copy (see [`Text`]).
    #[must_use]
    pub fn attr_text(&self, name: &str) -> Option<Text> {
        self.attr_view("", name).map(AttributeView::shared_value)
    }

    /// The attribute as [`Text`], to be put into another element without a check.
    #[must_use]
    pub fn attr_value(&self, name: &str) -> Option<&Text> {
        let found = self.attr_list().iter();
        found
            .filter(|a| a.name() == name && a.ns().is_empty())
            .map(|a| &a.value)
            .next()
    }

    fn attr_list(&self) -> &[Attribute] {
        match &self.0 {
            Repr::Built(built) => &built.attrs,
            Repr::Decoded(decoded) => decoded.attrs(),
        }
    }

    /// `xml:lang` on this element itself (RFC 6120 §8.1.5).
    #[must_use]
    pub fn lang(&self) -> Option<&str> {
        self.attr_ns(ns::XML, "lang")
    }

    /// [`Element::lang`] as a value of its own.
    pub(crate) fn lang_text(&self) -> Option<Text> {
        self.attr_view(ns::XML, "lang")
            .map(AttributeView::shared_value)
    }

    /// All attributes, in document order.
    pub fn attrs(&self) -> impl Iterator<Item = &Attribute> {
        self.attr_list().iter()
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
        let attrs = &mut self.own().attrs;
        match attrs.iter_mut().find(|a| a.name == name && a.ns == ns) {
            Some(attr) => attr.value = value,
            None => attrs.push(Attribute { ns, name, value }),
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
        self.own()
            .nodes
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
        self.own().nodes.push(Node::Element(child.into()));
    }

    /// Appends character data, joined to a run that stands last.
    pub fn push_text(&mut self, text: impl Into<Text>) {
        let text = text.into();
        let nodes = &mut self.own().nodes;
        match nodes.last_mut() {
            Some(Node::Text(last)) => last.push_str(&text),
            _ if text.is_empty() => {}
            _ => nodes.push(Node::Text(text)),
        }
    }

    /// Child nodes, in document order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        match &self.0 {
            Repr::Built(built) => &built.nodes,
            Repr::Decoded(decoded) => decoded.nodes(),
        }
    }

    /// Child elements, in document order.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.nodes().iter().filter_map(|n| match n {
            Node::Element(e) => Some(e),
            Node::Text(_) => None,
        })
    }

    /// The child elements alone; character data between them is dropped.
    #[must_use]
    pub fn into_children(self) -> Vec<Element> {
        match self.0 {
            Repr::Built(built) => {
                let nodes = match Arc::try_unwrap(built) {
                    Ok(mut own) => std::mem::take(&mut own.nodes),
                    Err(shared) => shared.nodes.clone(),
                };
                let elements = nodes.into_iter().filter_map(|n| match n {
                    Node::Element(e) => Some(e),
                    Node::Text(_) => None,
                });
                elements.collect()
            }
            Repr::Decoded(decoded) => {
                let branches = || {
                    decoded.branch().children().filter_map(|n| match n {
                        Twig::Element(branch) => Some(branch),
                        Twig::Text(..) => None,
                    })
                };
                let mut children = Vec::with_capacity(branches().count());
                children.extend(branches().map(|b| Self(Repr::Decoded(Decoded::of(b)))));
                children
            }
        }
    }

    /// The first child element `name` in `ns`.
    #[must_use]
    pub fn child(&self, name: &str, ns: &str) -> Option<&Element> {
        self.children().find(|c| c.is(name, ns))
    }

    /// The character data directly in this element, joined.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        let mut runs = self.view().nodes().filter_map(|n| match n {
            NodeView::Text(run) => Some(run),
            NodeView::Element(_) => None,
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
        if let Repr::Decoded(decoded) = &self.0 {
            let mut runs = decoded.branch().children().filter_map(|n| match n {
                Twig::Text(tree, span) => Some((tree, span)),
                Twig::Element(_) => None,
            });
            match (runs.next(), runs.next()) {
                (None, _) => return Text::default(),
                (Some((tree, only)), None) => return Text::part(tree, only),
                _ => {}
            }
        }
        Text::checked(self.text().into_owned())
    }
}

/// An element as it lies in memory.
#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    Built(&'a Arc<Built>),
    Decoded(Branch<'a>),
}

/// An attribute as it lies in memory.
#[derive(Clone, Copy)]
pub(crate) enum AttributeView<'a> {
    Built(&'a Attribute),
    Decoded(Leaf<'a>),
}

/// A child as it lies in memory.
pub(crate) enum NodeView<'a> {
    Element(View<'a>),
    Text(&'a str),
}

impl<'a> From<&'a Element> for View<'a> {
    fn from(element: &'a Element) -> Self {
        element.view()
    }
}

impl<'a> View<'a> {
    pub(crate) fn name(self) -> &'a str {
        match self {
            Self::Built(built) => built.name.as_str(),
            Self::Decoded(branch) => branch.name(),
        }
    }

    pub(crate) fn ns(self) -> &'a str {
        match self {
            Self::Built(built) => built.ns.as_str(),
            Self::Decoded(branch) => branch.ns(),
        }
    }

    pub(crate) fn is(self, name: &str, ns: &str) -> bool {
        match self {
            Self::Built(built) => built.name.as_str() == name && built.ns.as_str() == ns,
            Self::Decoded(branch) => branch.is(name, ns),
        }
    }

    pub(crate) fn attributes(self) -> Attributes<'a> {
        match self {
            Self::Built(built) => Attributes::Built(built.attrs.iter()),
            Self::Decoded(branch) => Attributes::Decoded(branch.attributes()),
        }
    }

    pub(crate) fn nodes(self) -> Nodes<'a> {
        match self {
            Self::Built(built) => Nodes::Built(built.nodes.iter()),
            Self::Decoded(branch) => Nodes::Decoded(branch.children()),
        }
    }

    fn attribute(self, name: &str) -> Option<AttributeView<'a>> {
        self.attributes().find(|a| a.is(name, ""))
    }

    pub(crate) fn attr(self, name: &str) -> Option<&'a str> {
        self.attribute(name).map(AttributeView::value)
    }

    pub(crate) fn attr_text(self, name: &str) -> Option<Text> {
        self.attribute(name).map(AttributeView::shared_value)
    }

    /// The child elements; unlike [`Element::children`], nothing is made for them.
    pub(crate) fn children(self) -> impl Iterator<Item = Self> {
        self.nodes().filter_map(|n| match n {
            NodeView::Element(child) => Some(child),
            NodeView::Text(_) => None,
        })
    }

    /// The element, to keep: shared, not copied.
    pub(crate) fn to_element(self) -> Element {
        Element(match self {
            Self::Built(built) => Repr::Built(built.clone()),
            Self::Decoded(branch) => Repr::Decoded(Decoded::of(branch)),
        })
    }
}

/// The attributes of a [`View`].
pub(crate) enum Attributes<'a> {
    Built(std::slice::Iter<'a, Attribute>),
    Decoded(Leaves<'a>),
}

impl<'a> Iterator for Attributes<'a> {
    type Item = AttributeView<'a>;

    fn next(&mut self) -> Option<AttributeView<'a>> {
        match self {
            Self::Built(attributes) => attributes.next().map(AttributeView::Built),
            Self::Decoded(leaves) => leaves.next().map(AttributeView::Decoded),
        }
    }
}

/// The children of a [`View`].
pub(crate) enum Nodes<'a> {
    Built(std::slice::Iter<'a, Node>),
    Decoded(Twigs<'a>),
}

impl<'a> Iterator for Nodes<'a> {
    type Item = NodeView<'a>;

    fn next(&mut self) -> Option<NodeView<'a>> {
        match self {
            Self::Built(nodes) => nodes.next().map(|node| match node {
                Node::Element(element) => NodeView::Element(element.view()),
                Node::Text(text) => NodeView::Text(text),
            }),
            Self::Decoded(twigs) => twigs.next().map(|twig| match twig {
                Twig::Element(branch) => NodeView::Element(View::Decoded(branch)),
                Twig::Text(tree, span) => NodeView::Text(tree.str(span)),
            }),
        }
    }
}

impl<'a> AttributeView<'a> {
    fn is(self, name: &str, ns: &str) -> bool {
        match self {
            Self::Built(attribute) => {
                attribute.name.as_str() == name && attribute.ns.as_str() == ns
            }
            Self::Decoded(leaf) => leaf.is(name, ns),
        }
    }

    pub(crate) fn ns(self) -> &'a str {
        match self {
            Self::Built(attribute) => attribute.ns.as_str(),
            Self::Decoded(leaf) => leaf.ns(),
        }
    }

    pub(crate) fn name(self) -> &'a str {
        match self {
            Self::Built(attribute) => attribute.name.as_str(),
            Self::Decoded(leaf) => leaf.name(),
        }
    }

    pub(crate) fn value(self) -> &'a str {
        match self {
            Self::Built(attribute) => attribute.value.as_str(),
            Self::Decoded(leaf) => leaf.value(),
        }
    }

    pub(crate) fn shared_value(self) -> Text {
        match self {
            Self::Built(attribute) => attribute.value.clone(),
            Self::Decoded(leaf) => leaf.shared_value(),
        }
    }

    pub(crate) fn to_attribute(self) -> Attribute {
        match self {
            Self::Built(attribute) => attribute.clone(),
            Self::Decoded(leaf) => leaf.into(),
        }
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}
impl Eq for Element {}

impl PartialEq for View<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
            && self.ns() == other.ns()
            && self.attributes().eq(other.attributes())
            && self.nodes().eq(other.nodes())
    }
}

impl PartialEq for AttributeView<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.ns() == other.ns() && self.value() == other.value()
    }
}

impl PartialEq for NodeView<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Element(a), Self::Element(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Debug for Element {
    /// As XML, with the length of what may hold a password, a proof or a token in place
    /// of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.view(), f)
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |length: usize| format!("[{length} bytes]");
        write!(f, "<{} xmlns={:?}", self.name(), self.ns())?;
        for attribute in self.attributes() {
            f.write_str(" ")?;
            if !attribute.ns().is_empty() {
                write!(f, "{{{}}}", attribute.ns())?;
            }
            let value = attribute.value();
            match attribute.name() {
                "token" if self.ns() == ns::FAST => write!(f, "token={}", hidden(value.len()))?,
                name => write!(f, "{name}={value:?}")?,
            }
        }
        let mut nodes = self.nodes().peekable();
        if nodes.peek().is_none() {
            return f.write_str("/>");
        }
        f.write_str(">")?;
        for node in nodes {
            match node {
                NodeView::Element(child) => fmt::Debug::fmt(&child, f)?,
                NodeView::Text(text) if self.holds_a_secret() => {
                    f.write_str(&hidden(text.len()))?
                }
                NodeView::Text(text) => write!(f, "{text:?}")?,
            }
        }
        write!(f, "</{}>", self.name())
    }
}

impl View<'_> {
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

impl Drop for Built {
    /// Without recursion: a tree that a program builds may be of any depth.
    fn drop(&mut self) {
        let mut pending = std::mem::take(&mut self.nodes);
        while let Some(node) = pending.pop() {
            if let Node::Element(Element(Repr::Built(shared))) = node
                && let Some(mut last) = Arc::into_inner(shared)
            {
                pending.append(&mut last.nodes);
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
