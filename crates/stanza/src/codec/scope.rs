//! Namespace bindings in scope: [`Scope`] holds those around an element, as of the
//! stream's opening tag; [`Bindings`] adds those of the elements being read.

use super::error::Rule;
use crate::ns;
use crate::xml::{Ns, is_ncname};

/// The bindings that an element starts from: prefix (empty for the default) to
/// namespace. On a stream these are the declarations of its opening tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    bindings: Vec<(Box<str>, Ns)>,
}

impl Scope {
    /// No binding but `xml`.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            bindings: Vec::new(),
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
                (Box::default(), content),
                ("stream".into(), Ns::from_static(ns::STREAM)),
            ],
        }
    }

    /// A client's stream: [`Scope::stream`] of `jabber:client`.
    #[must_use]
    pub fn client() -> Self {
        Self::stream(ns::CLIENT)
    }

    pub(super) fn len(&self) -> usize {
        self.bindings.len()
    }

    fn find(&self, prefix: &str) -> Option<&Ns> {
        find(&self.bindings, prefix)
    }

    /// The default namespace, empty if none is declared.
    pub(super) fn default_ns(&self) -> &str {
        self.find("").map_or("", Ns::as_str)
    }

    /// Whether `prefix` stands for `ns` here.
    pub(super) fn binds(&self, prefix: &str, ns: &str) -> bool {
        self.find(prefix).is_some_and(|n| n.as_str() == ns)
    }
}

/// The innermost binding of `prefix`.
fn find<'a>(bindings: &'a [(Box<str>, Ns)], prefix: &str) -> Option<&'a Ns> {
    let mut innermost_first = bindings.iter().rev();
    innermost_first
        .find(|(p, _)| **p == *prefix)
        .map(|(_, ns)| ns)
}

/// The bindings in force while one element is read: those around it, and those of the
/// elements that are open.
pub(super) struct Bindings<'a> {
    outer: &'a Scope,
    inner: Vec<(Box<str>, Ns)>,
}

impl<'a> Bindings<'a> {
    pub(super) const fn new(outer: &'a Scope) -> Self {
        Self {
            outer,
            inner: Vec::new(),
        }
    }

    /// All of them, hidden ones too.
    pub(super) fn len(&self) -> usize {
        self.outer.len() + self.inner.len()
    }

    /// Bindings made by the elements that are open: a mark for [`Bindings::close`].
    pub(super) fn mark(&self) -> usize {
        self.inner.len()
    }

    /// Forgets the bindings made since `mark`.
    pub(super) fn close(&mut self, mark: usize) {
        self.inner.truncate(mark);
    }

    /// Whether `prefix` was bound since `mark`.
    pub(super) fn made_since(&self, mark: usize, prefix: &str) -> bool {
        self.inner[mark..].iter().any(|(p, _)| **p == *prefix)
    }

    /// Adds a declaration, checked as Namespaces in XML §3 wants it.
    pub(super) fn declare(&mut self, prefix: &str, uri: &str) -> Result<(), Rule> {
        if prefix == "xmlns" || uri == ns::XMLNS {
            return Err(Rule::Namespace("`xmlns` may not be declared"));
        }
        if (prefix == "xml") != (uri == ns::XML) {
            return Err(Rule::Namespace(
                "`xml` is bound to its own namespace and to no other",
            ));
        }
        if !prefix.is_empty() {
            if !is_ncname(prefix) {
                return Err(Rule::NotWellFormed("a prefix is no name"));
            }
            if uri.is_empty() {
                return Err(Rule::Namespace("a prefix may not be undeclared"));
            }
        }
        self.inner.push((prefix.into(), self.shared(uri)?));
        Ok(())
    }

    /// The name in the storage of a binding that has it already, if there is one.
    fn shared(&self, uri: &str) -> Result<Ns, Rule> {
        let mut bindings = self.inner.iter().chain(&self.outer.bindings);
        match bindings.find(|(_, ns)| ns.as_str() == uri) {
            Some((_, ns)) => Ok(ns.clone()),
            None => Ns::new(uri).map_err(|_| Rule::Namespace("a reserved namespace name")),
        }
    }

    /// The namespace of `prefix`; of the default if it is empty.
    pub(super) fn resolve(&self, prefix: &str) -> Result<Ns, Rule> {
        if prefix == "xml" {
            return Ok(Ns::XML);
        }
        match find(&self.inner, prefix).or_else(|| self.outer.find(prefix)) {
            Some(ns) => Ok(ns.clone()),
            None if prefix.is_empty() => Ok(Ns::NONE),
            None => Err(Rule::Namespace("a prefix is not declared")),
        }
    }

    /// The bindings of the elements that are open, as the scope of what is inside.
    pub(super) fn into_scope(self) -> Scope {
        Scope {
            bindings: self.inner,
        }
    }
}
