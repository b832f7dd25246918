//! SASL on the stream (RFC 6120 §6): the elements around the mechanisms' bytes.

use super::{Payload, PayloadError, base64_content, required};
use crate::ns;
use crate::xml::{Element, Text};

/// Empty data is `=`, to be told from no data (RFC 6120 §6.4.2).
fn encoded(bytes: &[u8]) -> Text {
    if bytes.is_empty() {
        Text::from_static("=")
    } else {
        Text::base64(bytes)
    }
}

/// The client chooses a mechanism.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    /// The mechanism's registered name.
    pub mechanism: Text,
    /// The initial response; `None` if the mechanism has none.
    pub initial: Option<Vec<u8>>,
}

impl std::fmt::Debug for Auth {
    /// The data may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

impl Payload for Auth {
    const NAME: &'static str = "auth";
    const NS: &'static str = ns::SASL;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            mechanism: required(element, Self::NAME, "mechanism")?,
            initial: base64_content(element, Self::NAME)?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr("mechanism", self.mechanism.clone())
            .with_text(self.initial.as_deref().map(encoded).unwrap_or_default())
    }
}

macro_rules! data {
    ($(#[$doc:meta])* $name:ident, $wire:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(pub Vec<u8>);

        impl std::fmt::Debug for $name {
            /// The data may hold a password or its proof.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({} bytes)"), self.0.len())
            }
        }

        impl Payload for $name {
            const NAME: &'static str = $wire;
            const NS: &'static str = ns::SASL;

            fn from_element(element: &Element) -> Result<Self, PayloadError> {
                let data = base64_content(element, Self::NAME)?;
                Ok(Self(data.unwrap_or_default()))
            }

            fn to_element(&self) -> Element {
                Element::new(Self::NAME, Self::NS).with_text(Text::base64(&self.0))
            }
        }
    };
}

data! {
    /// The server asks.
    Challenge, "challenge"
}
data! {
    /// The client answers.
    Response, "response"
}

/// Authenticated, as far as the server says: the mechanism must still agree with the
/// additional data (RFC 6120 §6.4.6).
#[derive(Clone, PartialEq, Eq)]
pub struct Success(pub Option<Vec<u8>>);

impl std::fmt::Debug for Success {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Success({:?} bytes)", self.0.as_ref().map(Vec::len))
    }
}

impl Payload for Success {
    const NAME: &'static str = "success";
    const NS: &'static str = ns::SASL;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        base64_content(element, Self::NAME).map(Self)
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_text(self.0.as_deref().map(encoded).unwrap_or_default())
    }
}

/// Not authenticated (RFC 6120 §6.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The condition's name, such as `not-authorized`.
    pub condition: Text,
    /// What the server says for people.
    pub text: Option<Text>,
}

impl Payload for Failure {
    const NAME: &'static str = "failure";
    const NS: &'static str = ns::SASL;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let condition = element
            .children()
            .find(|c| c.ns() == ns::SASL && c.name() != "text");
        Ok(Self {
            condition: Text::checked(condition.map_or("not-authorized", Element::name).to_owned()),
            text: element.child("text", ns::SASL).map(Element::text_value),
        })
    }

    fn to_element(&self) -> Element {
        // A name that cannot be written as a condition says no more than the default.
        let condition = Element::try_new(&self.condition, ns::SASL)
            .ok()
            .filter(|c| c.name() != "text")
            .unwrap_or_else(|| Element::new("not-authorized", ns::SASL));
        let mut failure = Element::new(Self::NAME, Self::NS).with_child(condition);
        if let Some(text) = &self.text {
            failure.push(Element::new("text", ns::SASL).with_text(text.clone()));
        }
        failure
    }
}

/// The client gives up on this exchange (RFC 6120 §6.4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abort;

impl Payload for Abort {
    const NAME: &'static str = "abort";
    const NS: &'static str = ns::SASL;

    fn from_element(_: &Element) -> Result<Self, PayloadError> {
        Ok(Self)
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
    }
}
