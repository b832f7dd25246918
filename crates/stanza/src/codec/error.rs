//! Why input was refused or output could not be written, and the stream error
//! that says so on the wire.

use crate::stream::StreamCondition;
use crate::xml::InvalidChar;

/// Input that ends the stream (RFC 6120 §4.9).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {rule}")]
pub struct DecodeError {
    /// Bytes of the stream before the place of the fault.
    pub offset: u64,
    /// The rule that was broken.
    pub rule: Rule,
}

/// The rules of RFC 6120 §11, XML 1.0 and Namespaces in XML that input can break,
/// and the limits of this receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// A comment, processing instruction or document type declaration.
    #[error("{0} are not allowed in XMPP (RFC 6120 §11.1)")]
    Restricted(&'static str),
    /// A character that XML forbids.
    #[error("{0} (XML 1.0 §2.2)")]
    Character(InvalidChar),
    /// Not UTF-8.
    #[error("the input is not UTF-8 (RFC 6120 §11.6)")]
    Utf8,
    /// The grammar of XML 1.0 is broken.
    #[error("not well-formed: {0} (XML 1.0 §2, §3)")]
    NotWellFormed(&'static str),
    /// A prefix without declaration, a reserved prefix, or equal attributes.
    #[error("namespaces: {0} (Namespaces in XML §3, §6)")]
    Namespace(&'static str),
    /// A reference to an entity other than the five predefined.
    #[error("entity references other than the five predefined are not allowed (RFC 6120 §11.1)")]
    Entity,
    /// Text between stanzas, or elements where the stream allows none.
    #[error("{0} (RFC 6120 §4)")]
    Stream(&'static str),
    /// An address of the stream header is no JID.
    #[error("an address of the stream header is no JID (RFC 6120 §4.7.1, §4.7.2)")]
    Address,
    /// The stream's version is not `major.minor`.
    #[error("the stream's version is not major.minor (RFC 6120 §4.7.5)")]
    Version,
    /// A root element that is not `stream` in its namespace.
    #[error("the root element is not <stream:stream/> (RFC 6120 §4.8.1)")]
    NotAStream,
    /// A limit of this receiver.
    #[error("more than {limit} {what} (RFC 6120 §13.12)")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
}

impl Rule {
    /// The text that sets the rule, and where in it.
    #[must_use]
    pub const fn section(&self) -> &'static str {
        match self {
            Self::Restricted(_) | Self::Entity => "RFC 6120 §11.1",
            Self::Character(_) => "XML 1.0 §2.2",
            Self::Utf8 => "RFC 6120 §11.6",
            Self::NotWellFormed(_) => "XML 1.0 §2, §3",
            Self::Namespace(_) => "Namespaces in XML §3, §6",
            Self::Stream(_) => "RFC 6120 §4",
            Self::Address => "RFC 6120 §4.7.1, §4.7.2",
            Self::Version => "RFC 6120 §4.7.5",
            Self::NotAStream => "RFC 6120 §4.8.1",
            Self::Limit { .. } => "RFC 6120 §13.12",
        }
    }
}

impl DecodeError {
    /// The condition to send before closing (RFC 6120 §4.9.3).
    #[must_use]
    pub const fn condition(&self) -> StreamCondition {
        match self.rule {
            Rule::Restricted(_) | Rule::Entity => StreamCondition::RestrictedXml,
            // Namespace well-formedness is well-formedness (RFC 6120 §4.9.3.13, §11.3).
            Rule::Character(_) | Rule::NotWellFormed(_) | Rule::Namespace(_) => {
                StreamCondition::NotWellFormed
            }
            Rule::Utf8 => StreamCondition::UnsupportedEncoding,
            Rule::Stream(_) => StreamCondition::BadFormat,
            Rule::Address => StreamCondition::ImproperAddressing,
            Rule::Version => StreamCondition::UnsupportedVersion,
            Rule::NotAStream => StreamCondition::InvalidNamespace,
            Rule::Limit { .. } => StreamCondition::PolicyViolation,
        }
    }
}

/// An element that the receiver's limits would refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// More bytes than [`Limits::stanza_bytes`](super::Limits::stanza_bytes).
    #[error(
        "the stanza takes at least {bytes} bytes, more than the {limit} allowed; send less, or upload it"
    )]
    TooLarge {
        /// Its size on the wire, or of the part that was looked at.
        bytes: usize,
        /// The limit in force.
        limit: usize,
    },
    /// Deeper than [`Limits::depth`](super::Limits::depth).
    #[error("the stanza is nested deeper than {0} levels; flatten it")]
    TooDeep(usize),
    /// More attributes than [`Limits::attributes`](super::Limits::attributes).
    #[error("an element has more than {0} attributes; use child elements")]
    TooManyAttributes(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_says_its_section() {
        let what = "levels of nesting";
        let bad = InvalidChar {
            offset: 0,
            character: '\u{1}',
        };
        for rule in [
            Rule::Restricted("comments"),
            Rule::Character(bad),
            Rule::Utf8,
            Rule::NotWellFormed("a tag is broken"),
            Rule::Namespace("a prefix is not declared"),
            Rule::Entity,
            Rule::Stream("text may not stand between stanzas"),
            Rule::Address,
            Rule::Version,
            Rule::NotAStream,
            Rule::Limit { what, limit: 64 },
        ] {
            let said = format!("({})", rule.section());
            assert!(rule.to_string().ends_with(&said), "{rule}");
        }
    }
}
