//! What a server offers at this point of the negotiation (RFC 6120 §4.3.2).

use crate::ns;
use crate::payload::{Payload, PayloadError};
use crate::xml::{Element, Text};

/// Whether a feature must be negotiated before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// It may be left out.
    Optional,
    /// It comes first (`<required/>`).
    Required,
}

/// Stream features. Those that are not named here stay in [`StreamFeatures::other`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamFeatures {
    /// STARTTLS (RFC 6120 §5.4.1).
    pub starttls: Option<Requirement>,
    /// SASL mechanisms, in the server's order, which carries no meaning for us
    /// (RFC 6120 §6.4.1). Empty once authenticated.
    pub mechanisms: Vec<Text>,
    /// The channel-binding types that the server says it supports (XEP-0440); `None`
    /// if it does not say.
    pub channel_bindings: Option<Vec<Text>>,
    /// Resource binding (RFC 6120 §7.4).
    pub bind: bool,
    /// Stream management, version 3 (XEP-0198 §3).
    pub stream_management: bool,
    /// Largest stanza in bytes that the server takes (XEP-0478).
    pub max_bytes: Option<u64>,
    /// Seconds of silence after which the server may check or close the stream
    /// (XEP-0478).
    pub idle_seconds: Option<u64>,
    /// Everything else, as it stood.
    pub other: Vec<Element>,
}

impl StreamFeatures {
    /// Whether a feature `name` in `ns` is among the others.
    #[must_use]
    pub fn offers(&self, name: &str, ns: &str) -> bool {
        self.other.iter().any(|e| e.is(name, ns))
    }
}

impl Payload for StreamFeatures {
    const NAME: &'static str = "features";
    const NS: &'static str = ns::STREAM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let mut features = Self::default();
        for child in element.children() {
            match (child.name(), child.ns()) {
                ("starttls", ns::TLS) => {
                    features.starttls = Some(match child.child("required", ns::TLS) {
                        Some(_) => Requirement::Required,
                        None => Requirement::Optional,
                    });
                }
                ("mechanisms", ns::SASL) => {
                    features.mechanisms = child
                        .children()
                        .filter(|m| m.is("mechanism", ns::SASL))
                        .map(Element::text_value)
                        .collect();
                }
                ("sasl-channel-binding", ns::SASL_CB) => {
                    let types = child
                        .children()
                        .filter(|t| t.is("channel-binding", ns::SASL_CB));
                    features.channel_bindings =
                        Some(types.filter_map(|t| t.attr_text("type")).collect());
                }
                ("bind", ns::BIND) => features.bind = true,
                ("sm", ns::SM) => features.stream_management = true,
                ("limits", ns::LIMITS) => {
                    let number = |name| {
                        let limit = child.child(name, ns::LIMITS)?;
                        limit.text().trim().parse().ok()
                    };
                    features.max_bytes = number("max-bytes");
                    features.idle_seconds = number("idle-seconds");
                }
                _ => features.other.push(child.clone()),
            }
        }
        Ok(features)
    }

    fn to_element(&self) -> Element {
        let mut features = Element::new(Self::NAME, Self::NS);
        if let Some(requirement) = self.starttls {
            let required =
                (requirement == Requirement::Required).then(|| Element::new("required", ns::TLS));
            features.push(Element::new("starttls", ns::TLS).with_children(required));
        }
        if !self.mechanisms.is_empty() {
            let mechanism = |m: &Text| Element::new("mechanism", ns::SASL).with_text(m.clone());
            features.push(
                Element::new("mechanisms", ns::SASL)
                    .with_children(self.mechanisms.iter().map(mechanism)),
            );
        }
        if let Some(types) = &self.channel_bindings {
            let binding = |t: &Text| {
                Element::new("channel-binding", ns::SASL_CB).with_attr("type", t.clone())
            };
            features.push(
                Element::new("sasl-channel-binding", ns::SASL_CB)
                    .with_children(types.iter().map(binding)),
            );
        }
        if self.bind {
            features.push(Element::new("bind", ns::BIND));
        }
        if self.stream_management {
            features.push(Element::new("sm", ns::SM));
        }
        if self.max_bytes.is_some() || self.idle_seconds.is_some() {
            let limit = |name, value: Option<u64>| {
                value.map(|v| Element::new(name, ns::LIMITS).with_text(v))
            };
            features.push(
                Element::new("limits", ns::LIMITS)
                    .with_children(limit("max-bytes", self.max_bytes))
                    .with_children(limit("idle-seconds", self.idle_seconds)),
            );
        }
        features.with_children(self.other.iter().cloned())
    }
}
