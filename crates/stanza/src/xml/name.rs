//! Names: local names without colon (Namespaces in XML §4) and namespace names.

use std::sync::Arc;

use super::text::{Text, first_invalid};
use super::tree::{Span, Tree};
use crate::ns;

/// A string that cannot name an element, an attribute or a namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Not an NCName: empty, a forbidden character, or a colon.
    #[error("{0:?} is not an XML local name (Namespaces in XML §4)")]
    NotLocalName(String),
    /// `xmlns` is a declaration, not an attribute.
    #[error("`xmlns` declares a namespace; give it to the element instead")]
    Declaration,
    /// A reserved namespace name, or one with characters that XML forbids.
    #[error("{0:?} cannot be used as a namespace name (Namespaces in XML §3)")]
    Namespace(String),
}

const fn is_name_start(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
        | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

const fn is_name_char(c: char) -> bool {
    is_name_start(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// Whether `s` is an NCName (XML 1.0 §2.3 without the colon).
fn is_ncname(s: &str) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let bytes = s.as_bytes();
    if bytes.iter().all(plain) {
        return bytes
            .first()
            .is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    }
    let mut chars = s.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}

/// [`is_ncname`] of what need not be UTF-8.
pub(crate) fn is_ncname_bytes(s: &[u8]) -> bool {
    std::str::from_utf8(s).is_ok_and(is_ncname)
}

/// A checked local name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name(Text);

impl Name {
    pub(crate) fn new(s: &str) -> Result<Self, NameError> {
        if is_ncname(s) {
            Ok(Self(Text::checked(s.to_owned())))
        } else {
            Err(NameError::NotLocalName(s.to_owned()))
        }
    }

    /// Panics on a bad literal: a mistake in the program, not in its input.
    pub(crate) fn from_static(s: &'static str) -> Self {
        assert!(is_ncname(s), "literal is not an XML local name: {s:?}");
        Self(Text::literal(s))
    }

    /// A literal that is known to be a name.
    pub(crate) const fn literal(s: &'static str) -> Self {
        Self(Text::literal(s))
    }

    /// A name that the parser checked.
    pub(super) fn part(tree: &Arc<Tree>, span: Span) -> Self {
        Self(Text::part(tree, span))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `s` can be declared (Namespaces in XML §3).
fn is_namespace_name(s: &str) -> bool {
    s != ns::XMLNS && first_invalid(s).is_none()
}

/// A checked namespace name. Empty means "in no namespace".
///
/// Shared, never copied: one long name that a peer declares once may be in force for
/// thousands of elements.
#[derive(Clone, Debug)]
pub(crate) enum Ns {
    /// From the program's own text.
    Static(&'static str),
    /// From a peer, in a copy of its own.
    Shared(Arc<str>),
    /// From a peer, where it stands in what was read.
    Part(Arc<Tree>, Span),
}

impl Ns {
    pub(crate) const NONE: Self = Self::Static("");
    pub(crate) const XML: Self = Self::Static(ns::XML);
    pub(crate) const CLIENT: Self = Self::Static(ns::CLIENT);

    pub(crate) fn new(s: &str) -> Result<Self, NameError> {
        if let Some(known) = ns::known(s) {
            return Ok(Self::Static(known));
        }
        if !is_namespace_name(s) {
            return Err(NameError::Namespace(s.to_owned()));
        }
        Ok(Self::Shared(s.into()))
    }

    pub(crate) fn from_static(s: &'static str) -> Self {
        assert!(
            is_namespace_name(s),
            "literal is not a namespace name: {s:?}"
        );
        Self::Static(s)
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Static(s) => s,
            Self::Shared(s) => s,
            Self::Part(tree, span) => tree.str(*span),
        }
    }
}

impl PartialEq for Ns {
    /// By address first: within one stanza, equal names mostly share their storage.
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.as_str(), other.as_str());
        std::ptr::eq(a, b) || a == b
    }
}
impl Eq for Ns {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_production() {
        for good in ["a", "_x", "é", "a-b.c1", "x\u{B7}"] {
            assert!(is_ncname(good), "{good}");
        }
        for bad in ["", "1a", "-a", "a:b", "a b", "a\u{0}", "a<", "\u{D7}"] {
            assert!(!is_ncname(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_xmlns_namespace_is_reserved() {
        assert!(Ns::new(ns::XMLNS).is_err());
        assert!(Ns::new("urn:a\u{1}").is_err());
        assert_eq!(Ns::new(ns::SM).unwrap().as_str(), ns::SM);
    }
}
