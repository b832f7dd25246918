//! Namespace bindings in scope: [`Scope`] holds those around an element, as of the
//! stream's opening tag; [`Bindings`] adds those of the elements being read.

use super::error::Rule;
use crate::ns;
use crate::xml::{Draft, Ns, NsId, Span, Tree, is_ncname_bytes};

/// The bindings that an element starts from: prefix (empty for the default) to
/// namespace. On a stream these are the declarations of its opening tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    bindings: Vec<Outer>,
    /// `jabber:component:accept` is read as `jabber:client`.
    component: bool,
}

/// A binding around an element.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outer {
    prefix: Box<str>,
    ns: Ns,
    /// The id in every tree, if the name is known.
    known: Option<NsId>,
}

impl Outer {
    fn new(prefix: &str, ns: Ns) -> Self {
        Self {
            prefix: prefix.into(),
            known: NsId::known(ns.as_str().as_bytes()),
            ns,
        }
    }

    /// Its namespace in the tree that is read.
    fn id(&self, draft: &mut Draft) -> NsId {
        self.known.unwrap_or_else(|| draft.outer(&self.ns))
    }
}

impl Scope {
    /// No binding but `xml`.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            bindings: Vec::new(),
            component: false,
        }
    }

    /// `content` as the default namespace, and the prefix `stream` bound: what every
    /// implementation declares (RFC 6120 §4.8).
    #[must_use]
    pub fn stream(content: &'static str) -> Self {
        Self::around(Ns::from_static(content))
    }

    pub(crate) fn around(content: Ns) -> Self {
        Self {
            bindings: vec![
                Outer::new("", content),
                Outer::new("stream", Ns::from_static(ns::STREAM)),
            ],
            component: false,
        }
    }

    /// A client's stream: [`Scope::stream`] of `jabber:client`.
    #[must_use]
    pub fn client() -> Self {
        Self::stream(ns::CLIENT)
    }

    /// The same, but whatever is in `jabber:component:accept` is read as if it were in
    /// `jabber:client`: the stanzas of a component mean what a client's do (XEP-0114 §3).
    #[must_use]
    pub fn of_component(mut self) -> Self {
        self.component = true;
        for bound in &mut self.bindings {
            if bound.ns.as_str() == ns::COMPONENT {
                *bound = Outer::new(&bound.prefix, Ns::CLIENT);
            }
        }
        self
    }

    pub(super) fn len(&self) -> usize {
        self.bindings.len()
    }

    /// The innermost binding of `prefix`.
    fn find(&self, prefix: &[u8]) -> Option<&Outer> {
        let mut innermost_first = self.bindings.iter().rev();
        innermost_first.find(|b| b.prefix.as_bytes() == prefix)
    }

    /// The default namespace, empty if none is declared.
    pub(super) fn default_ns(&self) -> &str {
        self.find(b"").map_or("", |b| b.ns.as_str())
    }

    /// Whether `prefix` stands for `ns` here.
    pub(super) fn binds(&self, prefix: &str, ns: &str) -> bool {
        self.find(prefix.as_bytes())
            .is_some_and(|b| b.ns.as_str() == ns)
    }
}

/// A binding made by an element that is open.
#[derive(Debug, Clone, Copy)]
struct Inner {
    /// In the text that is read.
    prefix: Span,
    ns: NsId,
    /// The default namespace before it.
    default: NsId,
}

/// The bindings in force while one element is read, beyond those around it. Kept from
/// element to element for the sake of its memory.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    inner: Vec<Inner>,
    /// The default namespace in force: nearly all names are in it.
    default: NsId,
}

/// What [`Bindings`] are looked up in.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// What is read.
    pub(super) frame: &'a [u8],
    pub(super) scope: &'a Scope,
}

impl Around<'_> {
    fn prefix(&self, span: Span) -> &[u8] {
        let range = span.start as usize..span.end as usize;
        self.frame.get(range).unwrap_or_default()
    }
}

impl Bindings {
    /// Only those of `scope`, before anything is read.
    pub(super) fn begin(&mut self, scope: &Scope, draft: &mut Draft) {
        self.inner.clear();
        self.default = scope.find(b"").map_or(NsId::NONE, |bound| bound.id(draft));
    }

    /// All of them, hidden ones too.
    pub(super) fn len(&self, around: Around<'_>) -> usize {
        around.scope.len() + self.inner.len()
    }

    /// Bindings made by the elements that are open: a mark for [`Bindings::close`].
    pub(super) fn mark(&self) -> usize {
        self.inner.len()
    }

    /// Forgets the bindings made since `mark`.
    pub(super) fn close(&mut self, mark: usize) {
        if let Some(first) = self.inner.get(mark) {
            self.default = first.default;
            self.inner.truncate(mark);
        }
    }

    /// Whether `prefix` was bound since `mark`.
    pub(super) fn made_since(&self, mark: usize, prefix: &[u8], around: Around<'_>) -> bool {
        self.inner[mark..]
            .iter()
            .any(|b| around.prefix(b.prefix) == prefix)
    }

    /// Adds a declaration, checked as Namespaces in XML §3 wants it.
    pub(super) fn declare(
        &mut self,
        span: Span,
        name: Span,
        around: Around<'_>,
        draft: &mut Draft,
    ) -> Result<(), Rule> {
        let prefix = around.prefix(span);
        let uri = draft.bytes(around.frame, name);
        if prefix == b"xmlns" || uri == ns::XMLNS.as_bytes() {
            return Err(Rule::Namespace("`xmlns` may not be declared"));
        }
        if (prefix == b"xml") != (uri == ns::XML.as_bytes()) {
            return Err(Rule::Namespace(
                "`xml` is bound to its own namespace and to no other",
            ));
        }
        if !prefix.is_empty() {
            if !is_ncname_bytes(prefix) {
                return Err(Rule::NotWellFormed("a prefix is no name"));
            }
            if uri.is_empty() {
                return Err(Rule::Namespace("a prefix may not be undeclared"));
            }
        }
        let read_as = match around.scope.component && uri == ns::COMPONENT.as_bytes() {
            true => ns::CLIENT.as_bytes(),
            false => uri,
        };
        let ns = match NsId::known(read_as) {
            Some(id) => id,
            None => self.foreign(name, around, draft),
        };
        let default = self.default;
        if prefix.is_empty() {
            self.default = ns;
        }
        self.inner.push(Inner {
            prefix: span,
            ns,
            default,
        });
        Ok(())
    }

    /// The id of a name that is not known: that of a binding that has it already, if
    /// there is one.
    fn foreign(&self, name: Span, around: Around<'_>, draft: &mut Draft) -> NsId {
        let uri = draft.bytes(around.frame, name);
        let mut inner = self.inner.iter();
        if let Some(same) = inner.find(|b| draft.ns(around.frame, b.ns) == uri) {
            return same.ns;
        }
        let mut outer = around.scope.bindings.iter();
        match outer.find(|b| b.ns.as_str().as_bytes() == uri) {
            Some(same) => draft.outer(&same.ns),
            None => draft.own(name),
        }
    }

    /// The namespace of `prefix`; of the default if it is empty.
    pub(super) fn resolve(
        &self,
        prefix: &[u8],
        around: Around<'_>,
        draft: &mut Draft,
    ) -> Result<NsId, Rule> {
        if prefix.is_empty() {
            return Ok(self.default);
        }
        let mut innermost_first = self.inner.iter().rev();
        if let Some(bound) = innermost_first.find(|b| around.prefix(b.prefix) == prefix) {
            return Ok(bound.ns);
        }
        if let Some(bound) = around.scope.find(prefix) {
            return Ok(bound.id(draft));
        }
        match prefix {
            b"xml" => Ok(NsId::XML),
            _ => Err(Rule::Namespace("a prefix is not declared")),
        }
    }

    /// The bindings of the elements that are open, as the scope of what is inside.
    pub(super) fn to_scope(&self, tree: &Tree) -> Scope {
        let bindings = self.inner.iter();
        Scope {
            bindings: bindings
                .map(|b| Outer::new(tree.str(b.prefix), tree.copied_ns(b.ns)))
                .collect(),
            component: false,
        }
    }
}
