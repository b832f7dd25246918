//! The roster (RFC 6121 §2): an account's contacts, kept by its server. What is asked,
//! answered, changed and pushed all have one shape.

use super::parts::{boolean, named, names};
use super::{Payload, PayloadError, required_address};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

names! {
    /// Who sees whose presence (RFC 6121 §2.1.2.5).
    Subscription {
        /// Nobody. What no value means.
        None = "none",
        /// The account sees the contact.
        To = "to",
        /// The contact sees the account.
        From = "from",
        /// Either sees the other.
        Both = "both",
        /// The contact is to go, or is gone.
        Remove = "remove",
    }
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The address that names the item; bare as a rule.
    pub jid: Jid,
    /// The user's own name for the contact (§2.1.2.4).
    pub name: Option<Text>,
    /// Who sees whose presence. A client leaves it out, or says
    /// [`Remove`](Subscription::Remove): a server ignores anything else, and so values
    /// that are not known are read as none (§2.1.2.5).
    pub subscription: Option<Subscription>,
    /// Whether a request to see the contact waits for its answer (§2.1.2.2).
    pub ask: bool,
    /// Whether a request of the contact will be granted by itself (§2.1.2.1). Default
    /// false.
    pub approved: bool,
    /// The groups that it is in, as the user calls them (§2.1.2.6).
    pub groups: Vec<Text>,
}

impl Item {
    /// A contact of that address, and nothing else: how to add or to rename one begins.
    #[must_use]
    pub const fn new(jid: Jid) -> Self {
        Self {
            jid,
            name: None,
            subscription: None,
            ask: false,
            approved: false,
            groups: Vec::new(),
        }
    }

    /// The order to remove a contact (§2.5).
    #[must_use]
    pub const fn removal(jid: Jid) -> Self {
        let mut item = Self::new(jid);
        item.subscription = Some(Subscription::Remove);
        item
    }

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let groups = element.children().filter(|c| c.is("group", ns::ROSTER));
        Ok(Self {
            jid: required_address(element, "item", "jid")?,
            name: element.attr_value("name").cloned(),
            subscription: element
                .attr("subscription")
                .and_then(Subscription::from_name),
            ask: element.attr("ask") == Some("subscribe"),
            approved: named(element, "item", "approved", boolean)?.unwrap_or(false),
            groups: groups.map(Element::text_value).collect(),
        })
    }

    fn to_element(&self) -> Element {
        let group = |g: &Text| Element::new("group", ns::ROSTER).with_text(g.clone());
        Element::new("item", ns::ROSTER)
            .with_attr("jid", &self.jid)
            .with_attr_opt("name", self.name.clone())
            .with_attr_opt("subscription", self.subscription)
            .with_attr_opt("ask", self.ask.then(|| Text::from_static("subscribe")))
            .with_attr_opt("approved", self.approved.then_some(true))
            .with_children(self.groups.iter().map(group))
    }
}

/// The whole roster in a result, one item in a set or a push, nothing in a get.
///
/// Believe a push only if it comes from no address or the account's own (§2.1.6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// In a get, the version that the client has, empty for none; else the version that
    /// the answer or push leads to (§2.6). Only where the server offers
    /// [`ns::ROSTER_VER`].
    pub ver: Option<Text>,
    /// The contacts.
    pub items: Vec<Item>,
}

impl Roster {
    /// One change (§2.3 to §2.5).
    #[must_use]
    pub fn change(item: Item) -> Self {
        Self {
            ver: None,
            items: vec![item],
        }
    }
}

impl Payload for Roster {
    const NAME: &'static str = "query";
    const NS: &'static str = ns::ROSTER;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let items = element.children().filter(|c| c.is("item", ns::ROSTER));
        Ok(Self {
            ver: element.attr_value("ver").cloned(),
            items: items.map(Item::from_element).collect::<Result<_, _>>()?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("ver", self.ver.clone())
            .with_children(self.items.iter().map(Item::to_element))
    }
}
