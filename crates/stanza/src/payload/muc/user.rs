//! What a room says of its occupants, and invitations through it (XEP-0045 §7).

use super::super::parts::{child_text, text_child};
use super::super::{Payload, PayloadError, address, parsed};
use super::{Destroy, Item, Password, Status};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

/// An invitation through the room (§7.8.2): sent to the room with `to`, and by the room
/// with `from`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invite {
    /// Who invites, as the room says.
    pub from: Option<Jid>,
    /// Who is invited.
    pub to: Option<Jid>,
    /// Why, for people.
    pub reason: Option<Text>,
    /// Whether a conversation of two goes on in the room (§7.9).
    pub continues: Option<Continue>,
}

/// The conversation of two that goes on in a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Continue {
    /// Its thread.
    pub thread: Option<Text>,
}

/// The refusal of an [`Invite`], by the same way back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decline {
    /// Who refuses, as the room says.
    pub from: Option<Jid>,
    /// Who invited.
    pub to: Option<Jid>,
    /// Why, for people.
    pub reason: Option<Text>,
}

/// What stands in a room's presences and messages. Any occupant can put this in a
/// message that the room passes on: believe it only in a presence, or in a message
/// from the room's bare address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Who the presence is about; one as a rule.
    pub items: Vec<Item>,
    /// What happened.
    pub statuses: Vec<Status>,
    /// Invitations; the room sends one at a time.
    pub invites: Vec<Invite>,
    /// A refusal.
    pub decline: Option<Decline>,
    /// The room is gone.
    pub destroy: Option<Destroy>,
    /// The password of the room that the invitation is to.
    pub password: Option<Password>,
}

impl User {
    /// Whether the room said that.
    #[must_use]
    pub fn has(&self, status: Status) -> bool {
        self.statuses.contains(&status)
    }
}

impl Invite {
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let continues = element.child("continue", ns::MUC_USER);
        Ok(Self {
            from: address(element, "invite", "from")?,
            to: address(element, "invite", "to")?,
            reason: child_text(element, "reason"),
            continues: continues.map(|c| Continue {
                thread: c.attr_value("thread").cloned(),
            }),
        })
    }

    fn to_element(&self) -> Element {
        let continues = self.continues.as_ref().map(|c| {
            Element::new("continue", ns::MUC_USER).with_attr_opt("thread", c.thread.clone())
        });
        Element::new("invite", ns::MUC_USER)
            .with_attr_opt("from", self.from.as_ref())
            .with_attr_opt("to", self.to.as_ref())
            .with_children(text_child("reason", ns::MUC_USER, self.reason.clone()))
            .with_children(continues)
    }
}

impl Decline {
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            from: address(element, "decline", "from")?,
            to: address(element, "decline", "to")?,
            reason: child_text(element, "reason"),
        })
    }

    fn to_element(&self) -> Element {
        Element::new("decline", ns::MUC_USER)
            .with_attr_opt("from", self.from.as_ref())
            .with_attr_opt("to", self.to.as_ref())
            .with_children(text_child("reason", ns::MUC_USER, self.reason.clone()))
    }
}

fn status(element: &Element) -> Result<Status, PayloadError> {
    let code = parsed(element, "status", "code")?.ok_or(PayloadError::MissingAttribute {
        element: "status",
        attribute: "code",
    })?;
    Status::from_code(code).ok_or(PayloadError::Invalid {
        element: "status",
        what: "code",
    })
}

impl Payload for User {
    const NAME: &'static str = "x";
    const NS: &'static str = ns::MUC_USER;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let children = |name| element.children().filter(move |c| c.is(name, ns::MUC_USER));
        let decline = element.child("decline", ns::MUC_USER);
        Ok(Self {
            items: Item::list(element)?,
            statuses: children("status").map(status).collect::<Result<_, _>>()?,
            invites: children("invite")
                .map(Invite::from_element)
                .collect::<Result<_, _>>()?,
            decline: decline.map(Decline::from_element).transpose()?,
            destroy: Destroy::child_of(element)?,
            password: Password::child_of(element),
        })
    }

    fn to_element(&self) -> Element {
        let status = |s: &Status| Element::new("status", ns::MUC_USER).with_attr("code", *s);
        Element::new(Self::NAME, Self::NS)
            .with_children(self.items.iter().map(|i| i.to_element(ns::MUC_USER)))
            .with_children(self.invites.iter().map(Invite::to_element))
            .with_children(self.decline.as_ref().map(Decline::to_element))
            .with_children(self.destroy.as_ref().map(|d| d.to_element(ns::MUC_USER)))
            .with_children(Password::to_child(self.password.as_ref(), ns::MUC_USER))
            .with_children(self.statuses.iter().map(status))
    }
}
