//! SASL2 (XEP-0388): the elements of an authentication that does other things on the
//! way. The feature is in `feature`, the end of the exchange in `outcome`. The
//! mechanisms' bytes, and which mechanism to take, are not for this crate.

mod feature;
mod outcome;

use std::fmt;

use super::{Payload, PayloadError, base64_content, required};
use crate::ns;
use crate::xml::{Element, Text};

pub use feature::{Authentication, Inline};
pub use outcome::{Abort, Continue, Failure, Next, Success, TaskData};

/// The children that are not of SASL2 itself: what goes along inline.
fn foreign(element: &Element) -> Vec<Element> {
    let foreign = element.children().filter(|c| c.ns() != ns::SASL2);
    foreign.cloned().collect()
}

/// The data of the child `name`, if it is there; without content it is no bytes (§2.2).
fn data(element: &Element, name: &'static str) -> Result<Option<Vec<u8>>, PayloadError> {
    let child = element.child(name, ns::SASL2);
    let data = child.map(|c| base64_content(c, name)).transpose()?;
    Ok(data.map(Option::unwrap_or_default))
}

/// A child that holds data.
fn data_element(name: &'static str, data: Option<&Vec<u8>>) -> Option<Element> {
    data.map(|d| Element::new(name, ns::SASL2).with_text(Text::base64(d)))
}

/// A child that holds text.
fn text_element(name: &'static str, text: Option<&Text>) -> Option<Element> {
    text.map(|t| Element::new(name, ns::SASL2).with_text(t.clone()))
}

fn text(element: &Element, name: &str) -> Option<Text> {
    element.child(name, ns::SASL2).map(Element::text_value)
}

/// How many bytes there are, for `Debug`: never which.
struct Hidden<'a>(Option<&'a Vec<u8>>);

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(data) => write!(f, "[{} bytes]", data.len()),
            None => f.write_str("None"),
        }
    }
}

/// What the client says of itself (§2.3). Servers show it to the account's owner and to
/// nobody else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserAgent {
    /// A version 4 UUID of this installation, the same for ever: the server derives the
    /// resource from it (XEP-0386 §3.2), and FAST needs it (XEP-0484 §4.1).
    pub id: Option<Text>,
    /// The program, for people.
    pub software: Option<Text>,
    /// The device, for people.
    pub device: Option<Text>,
}

impl Payload for UserAgent {
    const NAME: &'static str = "user-agent";
    const NS: &'static str = ns::SASL2;

    /// Reads the agent. Whether the id is a UUID is for the server to judge.
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            id: element.attr_value("id").cloned(),
            software: text(element, "software"),
            device: text(element, "device"),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("id", self.id.clone())
            .with_children(text_element("software", self.software.as_ref()))
            .with_children(text_element("device", self.device.as_ref()))
    }
}

/// The client begins (§2.3).
///
/// ```
/// use stanchion_stanza::{Payload, Text, payload::{bind2, fast, sasl2::Authenticate}};
/// let mut authenticate = Authenticate::new(Text::from_static("SCRAM-SHA-256"));
/// authenticate.initial = Some(b"n,,n=lamp,r=k0".to_vec());
/// authenticate.inline.push(bind2::Request::default().to_element());
/// let read = Authenticate::from_element(&authenticate.to_element())?;
/// assert!(bind2::Request::find(&read.inline)?.is_some());
/// assert!(fast::RequestToken::find(&read.inline)?.is_none());
/// # Ok::<(), stanchion_stanza::payload::PayloadError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Authenticate {
    /// The mechanism's registered name, one of those offered.
    pub mechanism: Text,
    /// The initial response; `None` if the mechanism has none, which is not the same as
    /// one without bytes (§2.2).
    pub initial: Option<Vec<u8>>,
    /// Who asks.
    pub user_agent: Option<UserAgent>,
    /// What to do on success: [`bind2::Request`](super::bind2::Request),
    /// [`sm::Resume`](super::sm::Resume),
    /// [`fast::RequestToken`](super::fast::RequestToken) and others, in order. They have
    /// no effect if authentication fails (§2.6.2).
    pub inline: Vec<Element>,
}

impl Authenticate {
    /// The choice of a mechanism, and nothing more.
    #[must_use]
    pub const fn new(mechanism: Text) -> Self {
        Self {
            mechanism,
            initial: None,
            user_agent: None,
            inline: Vec::new(),
        }
    }
}

impl fmt::Debug for Authenticate {
    /// The initial response may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticate")
            .field("mechanism", &self.mechanism)
            .field("initial", &Hidden(self.initial.as_ref()))
            .field("user_agent", &self.user_agent)
            .field("inline", &self.inline)
            .finish()
    }
}

impl Payload for Authenticate {
    const NAME: &'static str = "authenticate";
    const NS: &'static str = ns::SASL2;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            mechanism: required(element, Self::NAME, "mechanism")?,
            initial: data(element, "initial-response")?,
            user_agent: UserAgent::find(element.children())?,
            inline: foreign(element),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr("mechanism", self.mechanism.clone())
            .with_children(data_element("initial-response", self.initial.as_ref()))
            .with_children(self.user_agent.as_ref().map(Payload::to_element))
            .with_children(self.inline.iter().cloned())
    }
}

macro_rules! exchanged {
    ($(#[$doc:meta])* $name:ident, $wire:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(pub Vec<u8>);

        impl fmt::Debug for $name {
            /// The data may hold a password or its proof.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} bytes)"), self.0.len())
            }
        }

        impl Payload for $name {
            const NAME: &'static str = $wire;
            const NS: &'static str = ns::SASL2;

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

exchanged! {
    /// The server asks (§2.5).
    Challenge, "challenge"
}
exchanged! {
    /// The client answers (§2.5).
    Response, "response"
}
