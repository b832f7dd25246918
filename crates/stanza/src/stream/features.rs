//! What a server offers at this point of the negotiation (RFC 6120 §4.3.2).

use crate::ns;
use crate::payload::channel_binding::ChannelBindings;
use crate::payload::limits::StreamLimits;
use crate::payload::sasl2::Authentication;
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
    /// SASL2, with what can be done inline: Bind 2, FAST, resumption (XEP-0388 §2.1).
    /// One that offers no mechanism stays among the others.
    pub sasl2: Option<Authentication>,
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
    /// Whether a feature `name` in `ns` is offered, be it named here or among the others.
    #[must_use]
    pub fn offers(&self, name: &str, ns: &str) -> bool {
        self.to_element().child(name, ns).is_some()
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
                    let bindings = ChannelBindings::from_element(child)?;
                    features.channel_bindings = Some(bindings.types);
                }
                ("authentication", ns::SASL2) => match Authentication::from_element(child) {
                    Ok(authentication) => features.sasl2 = Some(authentication),
                    // The other ways to log in are still good.
                    Err(_) => features.other.push(child.clone()),
                },
                ("bind", ns::BIND) => features.bind = true,
                ("sm", ns::SM) => features.stream_management = true,
                ("limits", ns::LIMITS) => {
                    let limits = StreamLimits::from_element(child)?;
                    features.max_bytes = limits.max_bytes;
                    features.idle_seconds = limits.idle_seconds;
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
        if let Some(authentication) = &self.sasl2 {
            features.push(authentication.to_element());
        }
        if let Some(types) = self.channel_bindings.clone() {
            features.push(ChannelBindings { types }.to_element());
        }
        if self.bind {
            features.push(Element::new("bind", ns::BIND));
        }
        if self.stream_management {
            features.push(Element::new("sm", ns::SM));
        }
        let limits = StreamLimits {
            max_bytes: self.max_bytes,
            idle_seconds: self.idle_seconds,
        };
        if limits != StreamLimits::default() {
            features.push(limits.to_element());
        }
        features.with_children(self.other.iter().cloned())
    }
}
