//! Invitations to rooms that go straight to whom they invite (XEP-0249). Those that go
//! through the room are [`muc::Invite`](super::muc::Invite).

use super::muc::Password;
use super::parts::{boolean, named};
use super::{Payload, PayloadError, required_address};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

/// An invitation, in a message of whoever invites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectInvite {
    /// The room.
    pub room: Jid,
    /// Its password.
    pub password: Option<Password>,
    /// Why, for people.
    pub reason: Option<Text>,
    /// Whether a conversation of two goes on in the room. Default false.
    pub continues: bool,
    /// Its thread.
    pub thread: Option<Text>,
}

impl DirectInvite {
    /// An invitation to that room.
    #[must_use]
    pub const fn to(room: Jid) -> Self {
        Self {
            room,
            password: None,
            reason: None,
            continues: false,
            thread: None,
        }
    }
}

impl Payload for DirectInvite {
    const NAME: &'static str = "x";
    const NS: &'static str = ns::CONFERENCE;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            room: required_address(element, Self::NAME, "jid")?,
            password: element.attr_value("password").cloned().map(Password),
            reason: element.attr_value("reason").cloned(),
            continues: named(element, Self::NAME, "continue", boolean)?.unwrap_or(false),
            thread: element.attr_value("thread").cloned(),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr("jid", &self.room)
            .with_attr_opt("password", self.password.as_ref().map(|p| p.0.clone()))
            .with_attr_opt("reason", self.reason.clone())
            .with_attr_opt("continue", self.continues.then_some(true))
            .with_attr_opt("thread", self.thread.clone())
    }
}
