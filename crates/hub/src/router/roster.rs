//! Rosters (RFC 6121 §2): data and its form on the wire. What changes a subscription is
//! in `subscription`.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use stanchion_stanza::codec::parse_element;
use stanchion_stanza::{BareJid, Element, Limits, Scope, Text, ns};

/// Of what is kept.
const NS: &str = "urn:stanchion:hub:roster:0";

/// One account's roster, and who asked to subscribe. `contacts` keeps it.
#[derive(Debug, Default)]
pub(super) struct Roster {
    items: BTreeMap<BareJid, Item>,
    /// Who asked, and has no answer yet ("Pending In", RFC 6121 §A.1).
    requests: BTreeSet<BareJid>,
    /// Entries and requests that are perhaps other than they were.
    changed: BTreeSet<BareJid>,
}

/// One contact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: Option<Text>,
    pub(super) groups: Vec<Text>,
    /// The account sees the contact's presence.
    pub(super) to: bool,
    /// The contact sees the account's presence.
    pub(super) from: bool,
    /// The account asked, and has no answer yet ("Pending Out").
    pub(super) asked: bool,
}

impl Item {
    fn subscription(&self) -> &'static str {
        match (self.to, self.from) {
            (true, true) => "both",
            (true, false) => "to",
            (false, true) => "from",
            (false, false) => "none",
        }
    }

    pub(super) fn to_element(&self, contact: &BareJid) -> Element {
        Element::new("item", ns::ROSTER)
            .with_attr("jid", contact)
            .with_attr_opt("name", self.name.clone())
            .with_attr("subscription", Text::from_static(self.subscription()))
            .with_attr_opt("ask", self.asked.then(|| Text::from_static("subscribe")))
            .with_children(
                self.groups
                    .iter()
                    .map(|g| Element::new("group", ns::ROSTER).with_text(g.clone())),
            )
    }
}

impl Roster {
    pub(super) fn item(&self, contact: &BareJid) -> Option<&Item> {
        self.items.get(contact)
    }

    /// The contact's entry, made if need be and if there is room.
    pub(super) fn item_mut(&mut self, contact: &BareJid, most: usize) -> Option<&mut Item> {
        if !self.items.contains_key(contact) && self.len() >= most {
            return None;
        }
        self.changed.insert(contact.clone());
        Some(self.items.entry(contact.clone()).or_default())
    }

    /// The contact's entry, if there is one.
    pub(super) fn existing_mut(&mut self, contact: &BareJid) -> Option<&mut Item> {
        self.changed.insert(contact.clone());
        self.items.get_mut(contact)
    }

    pub(super) fn remove(&mut self, contact: &BareJid) -> Option<Item> {
        self.changed.insert(contact.clone());
        self.items.remove(contact)
    }

    /// What may have changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> BTreeSet<BareJid> {
        std::mem::take(&mut self.changed)
    }

    /// What there is of a contact, to be kept; none if there is nothing.
    pub(super) fn record(&self, contact: &BareJid) -> Option<Element> {
        let (item, asks) = (self.items.get(contact), self.requests.contains(contact));
        (item.is_some() || asks).then(|| record(contact, item, asks))
    }

    /// What there was of a contact.
    pub(super) fn restore(&mut self, contact: BareJid, item: Option<Item>, asks: bool) {
        match item {
            Some(item) => self.items.insert(contact.clone(), item),
            None => self.items.remove(&contact),
        };
        match asks {
            true => self.requests.insert(contact),
            false => self.requests.remove(&contact),
        };
    }

    /// Notes a request; false if there is no room.
    pub(super) fn request(&mut self, contact: &BareJid, most: usize) -> bool {
        if !self.requests.contains(contact) && self.len() >= most {
            return false;
        }
        self.changed.insert(contact.clone());
        self.requests.insert(contact.clone());
        true
    }

    /// Takes a request back or answers it; whether there was one.
    pub(super) fn settle_request(&mut self, contact: &BareJid) -> bool {
        self.changed.insert(contact.clone());
        self.requests.remove(contact)
    }

    pub(super) fn contacts(&self) -> impl Iterator<Item = &BareJid> {
        self.items.keys()
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = &BareJid> {
        self.requests.iter()
    }

    /// Contacts that see the account's presence.
    pub(super) fn subscribers(&self) -> impl Iterator<Item = &BareJid> {
        self.items.iter().filter(|(_, i)| i.from).map(|(c, _)| c)
    }

    /// Contacts whose presence the account sees.
    pub(super) fn subscriptions(&self) -> impl Iterator<Item = &BareJid> {
        self.items.iter().filter(|(_, i)| i.to).map(|(c, _)| c)
    }

    fn len(&self) -> usize {
        self.items.len() + self.requests.len()
    }

    /// Names what the roster holds (§2.6). It is a hash of it, because a count would begin
    /// anew with each start of the hub, and name two rosters alike.
    pub(super) fn version(&self) -> Text {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        };
        for (contact, item) in &self.items {
            add(contact.as_str());
            add(item.name.as_deref().unwrap_or_default());
            add(item.subscription());
            add(if item.asked { "asked" } else { "" });
            item.groups.iter().for_each(|group| add(group));
            add("");
        }
        Text::base64(&hash.finalize()[..12])
    }

    /// The answer to a roster get, with its version if the client counts versions.
    /// Requests without an entry do not show (§A.1).
    pub(super) fn to_query(&self, versioned: bool) -> Element {
        Element::new("query", ns::ROSTER)
            .with_attr_opt("ver", versioned.then(|| self.version()))
            .with_children(
                self.items
                    .iter()
                    .map(|(contact, item)| item.to_element(contact)),
            )
    }
}

/// An entry, and whether its contact asks for ours.
fn record(contact: &BareJid, item: Option<&Item>, asks: bool) -> Element {
    let flag = |on: bool| on.then(|| Text::from_static("true"));
    let mut element = Element::new("contact", NS)
        .with_attr("jid", contact)
        .with_attr_opt("asks", flag(asks));
    if let Some(item) = item {
        let groups = item.groups.iter();
        element = element
            .with_attr("entry", Text::from_static("true"))
            .with_attr_opt("name", item.name.clone())
            .with_attr_opt("to", flag(item.to))
            .with_attr_opt("from", flag(item.from))
            .with_attr_opt("asked", flag(item.asked))
            .with_children(groups.map(|g| Element::new("group", NS).with_text(g.clone())));
    }
    element
}

/// An entry that was kept: whose, what, and whether they ask.
pub(super) fn read(bytes: &[u8]) -> Option<(BareJid, Option<Item>, bool)> {
    let element = parse_element(bytes, &Scope::client(), &Limits::default()).ok()?;
    if !element.is("contact", NS) {
        return None;
    }
    let flag = |name| element.attr(name) == Some("true");
    let groups = element.children().filter(|c| c.is("group", NS));
    let item = flag("entry").then(|| Item {
        name: element.attr_value("name").cloned(),
        groups: groups.map(Element::text_value).collect(),
        to: flag("to"),
        from: flag("from"),
        asked: flag("asked"),
    });
    Some((BareJid::new(element.attr("jid")?).ok()?, item, flag("asks")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let contact: BareJid = "bob@home.example".parse().unwrap();
        let item = Item {
            name: Some(Text::from_static("Bob & <son>")),
            groups: vec![Text::from_static("Things"), Text::from_static("Friends")],
            to: true,
            from: false,
            asked: true,
        };
        let encoder = stanchion_stanza::Encoder::new(Scope::client(), Limits::default());
        for (item, asks) in [(Some(item), false), (None, true)] {
            let mut bytes = Vec::new();
            let element = record(&contact, item.as_ref(), asks);
            encoder.element(&element, &mut bytes).unwrap();
            assert_eq!(read(&bytes), Some((contact.clone(), item, asks)));
        }
        assert_eq!(read(b"<contact xmlns='urn:x'/>"), None);
    }
}
