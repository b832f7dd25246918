//! Rosters that outlive the hub: each entry, with who asked and has no answer, is one record
//! of offline storage, written anew when it changes. What a roster is, is `roster`'s.

use std::collections::BTreeMap;

use stanchion_stanza::codec::parse_element;
use stanchion_stanza::{BareJid, Element, Limits, Scope, Text};

use super::roster::Item;
use super::{Keeping, Now, Output, Persist, Router, StoredId, StoredMessage};

const NS: &str = "urn:stanchion:hub:roster:0";

/// The records of one roster: under which name each is kept, and as what.
#[derive(Debug, Default)]
pub(super) struct Records(BTreeMap<BareJid, (StoredId, Vec<u8>)>);

impl Router {
    /// Keeps what of the rosters changed in this input.
    pub(super) fn keep_rosters(&mut self, now: Now) {
        while let Some(local) = self.rosters.pop_first() {
            let Some(account) = self.accounts.get_mut(&local) else {
                continue;
            };
            for contact in account.roster.take_changed() {
                let element = account.roster.record(&contact);
                let known = account.records.0.get(&contact);
                let mut bytes = Vec::new();
                if let Some(element) = &element
                    && self.encoder.element(element, &mut bytes).is_err()
                {
                    // Not possible: it came in a stanza within the limits.
                    continue;
                }
                if known.map_or(bytes.is_empty(), |(_, kept)| *kept == bytes) {
                    continue;
                }
                let old = account.records.0.remove(&contact);
                if !bytes.is_empty() {
                    let id = StoredId(self.next_stored);
                    self.next_stored += 1;
                    account.records.0.insert(contact, (id, bytes.clone()));
                    self.outputs
                        .push_back(Output::Persist(Persist::Store(StoredMessage {
                            id,
                            keeping: Keeping::Contact,
                            account: local.clone(),
                            since: now.wall,
                            stanza: bytes,
                        })));
                }
                // After the new one: of two, the later counts.
                if let Some((id, _)) = old {
                    self.outputs.push_back(Output::Persist(Persist::Remove(id)));
                }
            }
        }
    }

    /// An entry that an earlier hub kept. One of an account that is gone, or that cannot be
    /// read, goes.
    pub(super) fn restore_contact(&mut self, stored: StoredMessage) {
        let read = read(&stored.stanza);
        let account = self.accounts.get_mut(&stored.account);
        let (Some(account), Some((contact, item, asks))) = (account, read) else {
            self.outputs
                .push_back(Output::Persist(Persist::Remove(stored.id)));
            return;
        };
        account.roster.restore(contact.clone(), item, asks);
        let record = (stored.id, stored.stanza);
        if let Some((old, _)) = account.records.0.insert(contact, record) {
            self.outputs
                .push_back(Output::Persist(Persist::Remove(old)));
        }
    }
}

/// An entry, and whether its contact asks for ours.
pub(super) fn record(contact: &BareJid, item: Option<&Item>, asks: bool) -> Element {
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

fn read(bytes: &[u8]) -> Option<(BareJid, Option<Item>, bool)> {
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
