//! Namespace bindings in scope: those of the stream's opening tag, and those of the
//! open elements above the one being read.

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

    /// Forgets the bindings made since the scope had `len` of them.
    pub(super) fn truncate(&mut self, len: usize) {
        self.bindings.truncate(len);
    }

    /// The prefixes declared since the scope had `len` bindings.
    pub(super) fn declared_since(&self, len: usize) -> impl Iterator<Item = &str> {
        self.bindings[len..].iter().map(|(prefix, _)| &**prefix)
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
        if prefix == "xml" {
            return Ok(());
        }
        if !prefix.is_empty() {
            if !is_ncname(prefix) {
                return Err(Rule::NotWellFormed("a prefix is no name"));
            }
            if uri.is_empty() {
                return Err(Rule::Namespace("a prefix may not be undeclared"));
            }
        }
        let ns = Ns::new(uri).map_err(|_| Rule::Namespace("a reserved namespace name"))?;
        self.bindings.push((prefix.into(), ns));
        Ok(())
    }

    /// The namespace of `prefix`; of the default if it is empty.
    pub(super) fn resolve(&self, prefix: &str) -> Result<Ns, Rule> {
        if prefix == "xml" {
            return Ok(Ns::XML);
        }
        match self.bindings.iter().rev().find(|(p, _)| **p == *prefix) {
            Some((_, ns)) => Ok(ns.clone()),
            None if prefix.is_empty() => Ok(Ns::NONE),
            None => Err(Rule::Namespace("a prefix is not declared")),
        }
    }

    /// The default namespace, empty if none is declared.
    pub(super) fn default_ns(&self) -> &str {
        self.bindings
            .iter()
            .rev()
            .find(|(p, _)| p.is_empty())
            .map_or("", |(_, ns)| ns.as_str())
    }

    /// Whether `prefix` stands for `ns` here.
    pub(super) fn binds(&self, prefix: &str, ns: &str) -> bool {
        self.bindings
            .iter()
            .rev()
            .find(|(p, _)| **p == *prefix)
            .is_some_and(|(_, n)| n.as_str() == ns)
    }
}
