//! Stream errors (RFC 6120 §4.9): always fatal to the stream.

use std::fmt;

use crate::ns;
use crate::payload::{Payload, PayloadError};
use crate::xml::{Element, Text};

macro_rules! conditions {
    ($(#[$meta:meta])* $name:ident, $section:literal, $other:literal { $($(#[doc = $doc:literal])* $variant:ident = $wire:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $doc])* $variant,)*
        }

        impl $name {
            /// Every condition that the RFC defines.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The element's name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire,)*
                }
            }

            /// The condition with that name, if there is one; an unknown condition is
            #[doc = concat!("to be read as `", $other, "` (RFC 6120 ", $section, ").")]
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|c| c.as_str() == name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use conditions;

conditions! {
    /// The defined conditions of a stream error (RFC 6120 §4.9.3).
    StreamCondition, "§4.9.3", "undefined-condition" {
        /// Unprocessable XML.
        BadFormat = "bad-format",
        /// A prefix that is not declared, or not supported.
        BadNamespacePrefix = "bad-namespace-prefix",
        /// Another stream of the same resource took over.
        Conflict = "conflict",
        /// The peer is thought to be gone.
        ConnectionTimeout = "connection-timeout",
        /// The domain is no longer served here.
        HostGone = "host-gone",
        /// The domain is not served here.
        HostUnknown = "host-unknown",
        /// An address is missing or no JID.
        ImproperAddressing = "improper-addressing",
        /// The server has a fault.
        InternalServerError = "internal-server-error",
        /// `from` is not the peer's.
        InvalidFrom = "invalid-from",
        /// The stream's namespace is wrong.
        InvalidNamespace = "invalid-namespace",
        /// XML that the schema forbids.
        InvalidXml = "invalid-xml",
        /// A stanza before authentication.
        NotAuthorized = "not-authorized",
        /// XML that is not well-formed.
        NotWellFormed = "not-well-formed",
        /// A local rule, such as a size limit.
        PolicyViolation = "policy-violation",
        /// A server behind this one cannot be reached.
        RemoteConnectionFailed = "remote-connection-failed",
        /// The server asks for a new negotiation.
        Reset = "reset",
        /// The server is out of something.
        ResourceConstraint = "resource-constraint",
        /// Comments, instructions, document types or entities.
        RestrictedXml = "restricted-xml",
        /// Connect to the host that the element names.
        SeeOtherHost = "see-other-host",
        /// The server goes down.
        SystemShutdown = "system-shutdown",
        /// None of the others.
        UndefinedCondition = "undefined-condition",
        /// Not UTF-8.
        UnsupportedEncoding = "unsupported-encoding",
        /// A required feature was not negotiated.
        UnsupportedFeature = "unsupported-feature",
        /// A top-level element that is no stanza.
        UnsupportedStanzaType = "unsupported-stanza-type",
        /// The XMPP version.
        UnsupportedVersion = "unsupported-version",
    }
}

/// A stream error as sent or received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream error {condition}{}", text.as_ref().map(|t| format!(": {t}")).unwrap_or_default())]
pub struct StreamError {
    /// The defined condition.
    pub condition: StreamCondition,
    /// Its content: for `see-other-host`, the other host (RFC 6120 §4.9.3.19).
    pub value: Option<Text>,
    /// What the peer says for people.
    pub text: Option<Text>,
    /// An application's own condition.
    pub application: Option<Box<Element>>,
}

impl StreamError {
    /// An error with that condition alone.
    #[must_use]
    pub const fn new(condition: StreamCondition) -> Self {
        Self {
            condition,
            value: None,
            text: None,
            application: None,
        }
    }

    /// The same, with a text for people.
    #[must_use]
    pub fn with_text(mut self, text: Text) -> Self {
        self.text = Some(text);
        self
    }
}

impl Payload for StreamError {
    const NAME: &'static str = "error";
    const NS: &'static str = ns::STREAM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let mut error = Self::new(StreamCondition::UndefinedCondition);
        for child in element.children() {
            if child.ns() != ns::STREAMS {
                error.application = Some(Box::new(child.clone()));
            } else if child.name() == "text" {
                error.text = Some(child.text_value());
            } else if let Some(condition) = StreamCondition::from_name(child.name()) {
                error.condition = condition;
                error.value = Some(child.text_value()).filter(|t| !t.is_empty());
            }
        }
        Ok(error)
    }

    fn to_element(&self) -> Element {
        let mut condition = Element::new(self.condition.as_str(), ns::STREAMS);
        if let Some(value) = &self.value {
            condition.push_text(value.clone());
        }
        let mut error = Element::new(Self::NAME, Self::NS).with_child(condition);
        if let Some(text) = &self.text {
            error.push(Element::new("text", ns::STREAMS).with_text(text.clone()));
        }
        error.with_children(self.application.as_deref().cloned())
    }
}
