//! Info/query (RFC 6120 §8.2.3): a request and exactly one answer, matched by id and
//! sender.

use super::{Header, StanzaError, StanzaParseError};
use crate::jid::Jid;
use crate::payload::{Payload, PayloadError};
use crate::xml::{Element, Text};

/// What an iq does, with the one child that its type allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IqKind {
    /// Asks.
    Get(Element),
    /// Orders.
    Set(Element),
    /// Answers.
    Result(Option<Element>),
    /// Refuses. The request may be repeated in it.
    Error(StanzaError, Option<Element>),
}

/// An iq stanza; its id is required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iq {
    /// Addresses, id, language.
    pub header: Header,
    /// Type and child.
    pub kind: IqKind,
}

impl Iq {
    /// A request for information.
    #[must_use]
    pub fn get(to: Option<Jid>, id: Text, payload: &impl Payload) -> Self {
        Self::request(to, id, IqKind::Get(payload.to_element()))
    }

    /// A request to change something.
    #[must_use]
    pub fn set(to: Option<Jid>, id: Text, payload: &impl Payload) -> Self {
        Self::request(to, id, IqKind::Set(payload.to_element()))
    }

    fn request(to: Option<Jid>, id: Text, kind: IqKind) -> Self {
        Self {
            header: Header {
                to,
                id: Some(id),
                ..Header::default()
            },
            kind,
        }
    }

    /// The answer to this request.
    #[must_use]
    pub fn result(&self, payload: Option<Element>) -> Self {
        Self {
            header: self.header.reply(),
            kind: IqKind::Result(payload),
        }
    }

    /// The refusal of this request.
    #[must_use]
    pub fn refuse(&self, error: StanzaError) -> Self {
        Self {
            header: self.header.reply(),
            kind: IqKind::Error(error, None),
        }
    }

    /// Whether it must be answered.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        matches!(self.kind, IqKind::Get(_) | IqKind::Set(_))
    }

    /// Reads an iq.
    ///
    /// # Errors
    /// [`StanzaParseError`]: an address is no JID, the id or type is missing or wrong,
    /// or the children do not fit the type.
    pub fn from_element(element: Element) -> Result<Self, StanzaParseError> {
        let (header, kind) = Header::read(&element, "iq")?;
        if header.id.is_none() {
            return Err(PayloadError::MissingAttribute {
                element: "iq",
                attribute: "id",
            }
            .into());
        }
        let kind = match kind {
            Some("get") => IqType::Get,
            Some("set") => IqType::Set,
            Some("result") => IqType::Result,
            Some("error") => IqType::Error,
            Some(_) => {
                return Err(PayloadError::Invalid {
                    element: "iq",
                    what: "type",
                }
                .into());
            }
            None => {
                return Err(PayloadError::MissingAttribute {
                    element: "iq",
                    attribute: "type",
                }
                .into());
            }
        };
        let mut children = element.into_children();
        let kind = match kind {
            IqType::Get => {
                IqKind::Get(only(children, "get")?.ok_or(StanzaParseError::IqChildren("get"))?)
            }
            IqType::Set => {
                IqKind::Set(only(children, "set")?.ok_or(StanzaParseError::IqChildren("set"))?)
            }
            IqType::Result => IqKind::Result(only(children, "result")?),
            IqType::Error => {
                let at = children.iter().position(StanzaError::matches);
                // Some peers leave the error out; it is an error all the same.
                let error = match at {
                    Some(at) => StanzaError::from_element(&children.remove(at))?,
                    None => StanzaError::default(),
                };
                let request = children.into_iter().find(|c| !StanzaError::matches(c));
                IqKind::Error(error, request)
            }
        };
        Ok(Self { header, kind })
    }

    /// Writes the iq.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let element =
            |kind, children: &[Element]| self.header.to_element("iq", Some(kind), children);
        match &self.kind {
            IqKind::Get(child) => element("get", std::slice::from_ref(child)),
            IqKind::Set(child) => element("set", std::slice::from_ref(child)),
            IqKind::Result(child) => element("result", child.as_slice()),
            IqKind::Error(error, request) => {
                element("error", request.as_slice()).with_child(error.to_element())
            }
        }
    }

    /// The child of a request or a result, if it is in `ns`.
    #[must_use]
    pub fn payload_in(&self, namespace: &str) -> Option<&Element> {
        let (IqKind::Get(child) | IqKind::Set(child) | IqKind::Result(Some(child))) = &self.kind
        else {
            return None;
        };
        (child.ns() == namespace).then_some(child)
    }
}

/// The values of `type` (RFC 6120 §8.2.3).
enum IqType {
    Get,
    Set,
    Result,
    Error,
}

fn only(
    mut children: Vec<Element>,
    kind: &'static str,
) -> Result<Option<Element>, StanzaParseError> {
    if children.len() > 1 {
        return Err(StanzaParseError::IqChildren(kind));
    }
    Ok(children.pop())
}
