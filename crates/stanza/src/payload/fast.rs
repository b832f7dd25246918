//! Fast authentication streamlining tokens (XEP-0484): a token in place of a password,
//! in one round trip. All of it goes along with SASL2. The HT mechanisms that use the
//! token are not in this crate.

use std::fmt;

use super::xs::flag;
use super::{Payload, PayloadError, parsed, required};
use crate::ns;
use crate::xml::{Element, Text};

/// The server can do it (§3.1). It stands in [`sasl2::Inline`](super::sasl2::Inline),
/// and has the same name as the client's [`Fast`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feature {
    /// Mechanisms for tokens, such as `HT-SHA-256-EXPR`; one at least.
    pub mechanisms: Vec<Text>,
    /// Whether authentication may come in TLS 1.3 early data. Default `false`.
    pub tls_0rtt: bool,
}

impl Payload for Feature {
    const NAME: &'static str = "fast";
    const NS: &'static str = ns::FAST;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let mechanisms = element.children().filter(|m| m.is("mechanism", ns::FAST));
        let mechanisms: Vec<_> = mechanisms.map(Element::text_value).collect();
        if mechanisms.is_empty() {
            return Err(PayloadError::MissingChild {
                element: Self::NAME,
                child: "mechanism",
            });
        }
        Ok(Self {
            mechanisms,
            tls_0rtt: flag(element, "tls-0rtt"),
        })
    }

    fn to_element(&self) -> Element {
        let mechanism = |m: &Text| Element::new("mechanism", ns::FAST).with_text(m.clone());
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("tls-0rtt", self.tls_0rtt.then_some(true))
            .with_children(self.mechanisms.iter().map(mechanism))
    }
}

/// The client would like a token for later (§3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestToken {
    /// The mechanism that the token will be for, one of those offered; it is good for no
    /// other (§3.4).
    pub mechanism: Text,
}

impl Payload for RequestToken {
    const NAME: &'static str = "request-token";
    const NS: &'static str = ns::FAST;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let mechanism = required(element, Self::NAME, "mechanism")?;
        Ok(Self { mechanism })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS).with_attr("mechanism", self.mechanism.clone())
    }
}

/// A token, asked for or to take the place of the one just used (§3.3, §3.5). The old one
/// is good until the new one has been used.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// As good as a password: keep it as one.
    pub token: Text,
    /// When it ends, as `CCYY-MM-DDThh:mm:ss[.sss]TZD` (XEP-0082), as it stood.
    pub expiry: Text,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

impl Payload for Token {
    const NAME: &'static str = "token";
    const NS: &'static str = ns::FAST;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            token: required(element, Self::NAME, "token")?,
            expiry: required(element, Self::NAME, "expiry")?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr("expiry", self.expiry.clone())
            .with_attr("token", self.token.clone())
    }
}

/// The client authenticates with a token (§3.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fast {
    /// How often this token was tried, more each time; needed in early data, where the
    /// server refuses a count that it has seen.
    pub count: Option<u32>,
    /// Whether the token shall be good for nothing after this (§3.6). Default `false`.
    pub invalidate: bool,
}

impl Payload for Fast {
    const NAME: &'static str = "fast";
    const NS: &'static str = ns::FAST;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            count: parsed(element, Self::NAME, "count")?,
            invalidate: flag(element, "invalidate"),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("count", self.count)
            .with_attr_opt("invalidate", self.invalidate.then_some(true))
    }
}
