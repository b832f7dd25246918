//! Multi-user chat (XEP-0045). Here what its namespaces share, and the entry into a
//! room; what a room says of its occupants is in `user`, what is done to them in
//! `admin`, the room itself in `owner` and `config`.

mod admin;
mod config;
mod owner;
mod status;
mod user;

pub use admin::Admin;
pub use config::{AllowPrivateMessages, RoomConfig, WhoIs};
pub use owner::Owner;
pub use status::Status;
pub use user::{Continue, Decline, Invite, User};

use std::fmt;

use super::parts::{child_text, named, names, text_child};
use super::{Payload, PayloadError, address, parsed};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

names! {
    /// What an occupant may do for as long as it is in the room (§5.1).
    Role {
        /// Removes others, and gives and takes the right to speak.
        Moderator = "moderator",
        /// Not in the room.
        None = "none",
        /// Speaks.
        Participant = "participant",
        /// Listens.
        Visitor = "visitor",
    }
}

names! {
    /// What somebody is to the room, in it or not (§5.2).
    Affiliation {
        /// Bans, and makes members and moderators.
        Admin = "admin",
        /// Enters a members-only room.
        Member = "member",
        /// Nothing.
        None = "none",
        /// Banned.
        Outcast = "outcast",
        /// Configures and destroys the room, and makes owners and admins.
        Owner = "owner",
    }
}

/// A room's password; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub Text);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Password({} bytes)", self.0.len())
    }
}

impl Password {
    fn child_of(element: &Element) -> Option<Self> {
        child_text(element, "password").map(Self)
    }

    fn to_child(this: Option<&Self>, ns: &'static str) -> Option<Element> {
        text_child("password", ns, this.map(|p| p.0.clone()))
    }
}

/// How much of what was said before is wanted (§7.2.14). The least of all limits holds;
/// without any, the room decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Characters of XML at most; 0 for nothing at all.
    pub maxchars: Option<u32>,
    /// Messages at most.
    pub maxstanzas: Option<u32>,
    /// Messages of the last so many seconds.
    pub seconds: Option<u32>,
    /// Messages since then, XEP-0082 DateTime.
    pub since: Option<Text>,
}

/// Asks to enter a room, in a presence to the room's address with a nickname (§7.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Join {
    /// How much history is wanted.
    pub history: Option<History>,
    /// The room's password (§7.2.5).
    pub password: Option<Password>,
}

impl Payload for Join {
    const NAME: &'static str = "x";
    const NS: &'static str = ns::MUC;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let history = |h: &Element| {
            Ok(History {
                maxchars: parsed(h, "history", "maxchars")?,
                maxstanzas: parsed(h, "history", "maxstanzas")?,
                seconds: parsed(h, "history", "seconds")?,
                since: h.attr_value("since").cloned(),
            })
        };
        let asked = element.child("history", ns::MUC);
        Ok(Self {
            history: asked.map(history).transpose()?,
            password: Password::child_of(element),
        })
    }

    fn to_element(&self) -> Element {
        let history = |h: &History| {
            Element::new("history", ns::MUC)
                .with_attr_opt("maxchars", h.maxchars)
                .with_attr_opt("maxstanzas", h.maxstanzas)
                .with_attr_opt("seconds", h.seconds)
                .with_attr_opt("since", h.since.clone())
        };
        Element::new(Self::NAME, Self::NS)
            .with_children(self.history.as_ref().map(history))
            .with_children(Password::to_child(self.password.as_ref(), ns::MUC))
    }
}

/// Who did something to an occupant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// The address, where it may be seen.
    pub jid: Option<Jid>,
    /// The nickname in the room.
    pub nick: Option<Text>,
}

/// What is said of somebody by a room, or to be changed by one: the same element in the
/// namespaces of users and of admins. An absent part says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// What somebody is to the room.
    pub affiliation: Option<Affiliation>,
    /// What somebody may do in it.
    pub role: Option<Role>,
    /// The real address: the room shows it to all in a non-anonymous room, else to
    /// moderators.
    pub jid: Option<Jid>,
    /// The nickname; where it changes, the new one (§7.6).
    pub nick: Option<Text>,
    /// Who changed it.
    pub actor: Option<Actor>,
    /// Why, for people.
    pub reason: Option<Text>,
}

impl Item {
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let actor = |a: &Element| {
            Ok(Actor {
                jid: address(a, "actor", "jid")?,
                nick: a.attr_value("nick").cloned(),
            })
        };
        let acted = element.child("actor", element.ns());
        Ok(Self {
            affiliation: named(element, "item", "affiliation", Affiliation::from_name)?,
            role: named(element, "item", "role", Role::from_name)?,
            jid: address(element, "item", "jid")?,
            nick: element.attr_value("nick").cloned(),
            actor: acted.map(actor).transpose()?,
            reason: child_text(element, "reason"),
        })
    }

    fn to_element(&self, ns: &'static str) -> Element {
        let actor = |a: &Actor| {
            Element::new("actor", ns)
                .with_attr_opt("jid", a.jid.as_ref())
                .with_attr_opt("nick", a.nick.clone())
        };
        Element::new("item", ns)
            .with_attr_opt("affiliation", self.affiliation)
            .with_attr_opt("role", self.role)
            .with_attr_opt("jid", self.jid.as_ref())
            .with_attr_opt("nick", self.nick.clone())
            .with_children(self.actor.as_ref().map(actor))
            .with_children(text_child("reason", ns, self.reason.clone()))
    }

    /// The children `<item/>`.
    fn list(element: &Element) -> Result<Vec<Self>, PayloadError> {
        let items = element.children().filter(|c| c.is("item", element.ns()));
        items.map(Self::from_element).collect()
    }
}

/// The end of a room: the owner's order (§10.9), and what the occupants are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destroy {
    /// A room to go to instead.
    pub jid: Option<Jid>,
    /// Its password.
    pub password: Option<Password>,
    /// Why, for people.
    pub reason: Option<Text>,
}

impl Destroy {
    /// The child `<destroy/>`, if there is one.
    fn child_of(element: &Element) -> Result<Option<Self>, PayloadError> {
        let read = |d: &Element| {
            Ok(Self {
                jid: address(d, "destroy", "jid")?,
                password: Password::child_of(d),
                reason: child_text(d, "reason"),
            })
        };
        let destroy = element.child("destroy", element.ns());
        destroy.map(read).transpose()
    }

    fn to_element(&self, ns: &'static str) -> Element {
        Element::new("destroy", ns)
            .with_attr_opt("jid", self.jid.as_ref())
            .with_children(Password::to_child(self.password.as_ref(), ns))
            .with_children(text_child("reason", ns, self.reason.clone()))
    }
}
