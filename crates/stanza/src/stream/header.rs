//! The attributes of a stream's opening tag (RFC 6120 §4.7).

use crate::codec::Rule;
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Attribute, Element, Name, Ns, Text};

/// A stream header. An initial one has `to` (and `from` once TLS protects it), a
/// response has `from` and `id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamHeader {
    /// The sender (RFC 6120 §4.7.1).
    pub from: Option<Jid>,
    /// The receiver (RFC 6120 §4.7.2).
    pub to: Option<Jid>,
    /// The stream's id, chosen by the receiving entity (RFC 6120 §4.7.3).
    pub id: Option<Text>,
    /// Default language of the stanzas (RFC 6120 §4.7.4).
    pub lang: Option<Text>,
    /// `major.minor`; none means 0.9 (RFC 6120 §4.7.5).
    pub version: Option<(u16, u16)>,
    content: Ns,
}

impl StreamHeader {
    /// The header that a client sends first: to `domain`, version 1.0, content
    /// namespace `jabber:client`.
    #[must_use]
    pub fn initial(domain: Jid) -> Self {
        Self {
            to: Some(domain),
            ..Self::empty()
        }
    }

    /// The header that a component sends first (XEP-0114 §3): to its own domain, in
    /// `jabber:component:accept`, without a version, for there are no features to wait for.
    #[must_use]
    pub fn component(domain: Jid) -> Self {
        Self {
            to: Some(domain),
            version: None,
            content: Ns::from_static(ns::COMPONENT),
            ..Self::empty()
        }
    }

    /// The header that answers it.
    #[must_use]
    pub fn response(domain: Jid, id: Text) -> Self {
        Self {
            from: Some(domain),
            id: Some(id),
            ..Self::empty()
        }
    }

    fn empty() -> Self {
        Self {
            from: None,
            to: None,
            id: None,
            lang: None,
            version: Some((1, 0)),
            content: Ns::from_static(ns::CLIENT),
        }
    }

    /// The content namespace: `jabber:client` here, unless the peer declared another.
    #[must_use]
    pub fn content_namespace(&self) -> &str {
        self.content.as_str()
    }

    pub(crate) const fn content(&self) -> &Ns {
        &self.content
    }

    /// Whether the peer speaks XMPP 1.0, thus features (RFC 6120 §4.7.5).
    #[must_use]
    pub fn is_xmpp_1(&self) -> bool {
        self.version.is_some_and(|(major, _)| major >= 1)
    }

    pub(crate) fn from_opening_tag(tag: &Element, content: &str) -> Result<Self, Rule> {
        let address = |name| {
            let jid = tag.attr(name).map(Jid::new).transpose();
            jid.map_err(|_| Rule::Address)
        };
        let version = tag.attr("version").map(version).transpose()?;
        Ok(Self {
            from: address("from")?,
            to: address("to")?,
            id: tag.attr_text("id"),
            lang: tag.lang_text(),
            version,
            content: Ns::new(content).map_err(|_| Rule::Namespace("a reserved namespace name"))?,
        })
    }

    pub(crate) fn to_attributes(&self) -> Vec<Attribute> {
        let plain = |name, value: Option<Text>| {
            value.map(|value| Attribute {
                ns: Ns::NONE,
                name: Name::from_static(name),
                value,
            })
        };
        let version = self
            .version
            .map(|(major, minor)| Text::checked(format!("{major}.{minor}")));
        [
            plain("from", self.from.as_ref().map(Text::from)),
            plain("to", self.to.as_ref().map(Text::from)),
            plain("id", self.id.clone()),
            plain("version", version),
            self.lang.clone().map(|value| Attribute {
                ns: Ns::XML,
                name: Name::from_static("lang"),
                value,
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// `major.minor`, digits only; leading zeros do not count (RFC 6120 §4.7.5).
fn version(s: &str) -> Result<(u16, u16), Rule> {
    let number = |s: &str| {
        let digits = s.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| s.parse().ok()).flatten()
    };
    s.split_once('.')
        .and_then(|(major, minor)| Some((number(major)?, number(minor)?)))
        .ok_or(Rule::Version)
}
