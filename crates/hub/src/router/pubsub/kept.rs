//! Nodes that outlive the hub: a node with its configuration is one record of offline
//! storage, and so is each item, each subscription and each affiliation, written anew when it
//! changes. What a node is, is `node`'s.

use std::collections::BTreeMap;

use stanchion_stanza::codec::parse_element;
use stanchion_stanza::payload::forms::{Form, FormType};
use stanchion_stanza::payload::pubsub::{Affiliation, NodeConfig};
use stanchion_stanza::{BareJid, Element, Jid, Payload as _, Scope, Text};

use super::super::{Account, Keeping, Now, Output, Persist, Router, StoredId, StoredMessage};
use super::node::{Host, Node, Part};
use super::{Nodes, SIZE};
use crate::limits::HubLimits;

/// Of what is kept.
const NS: &str = "urn:stanchion:hub:pubsub:0";

fn of(name: &'static str, node: &Text) -> Element {
    Element::new(name, NS).with_attr("node", node.clone())
}

/// An item as it is kept.
pub(super) fn item(node: &Text, id: &Text, publisher: &Jid, payload: &Element) -> Element {
    of("item", node)
        .with_attr("id", id.clone())
        .with_attr("publisher", publisher)
        .with_child(payload.clone())
}

impl Node {
    /// What is to be kept of a part; none if it is no more.
    fn record(&self, name: &Text, part: &Part) -> Option<Element> {
        Some(match part {
            Part::Itself => of("node", name)
                .with_attr("owner", &self.owner)
                .with_child(self.config().to_form(FormType::Submit).to_element()),
            Part::Item(id) => {
                let (publisher, payload) = self.item(id)?;
                item(name, id, publisher, payload)
            }
            Part::Subscriber(jid) => {
                self.subscribers.get(jid)?;
                of("subscriber", name).with_attr("jid", jid)
            }
            Part::Affiliated(jid) => of("affiliated", name)
                .with_attr("jid", jid)
                .with_attr("as", *self.affiliations.get(jid)?),
        })
    }

    /// A part as it was kept, whole: which one, unless it makes no sense. `known` tells who
    /// may be somebody here.
    fn restore(
        &mut self,
        record: &Element,
        bytes: usize,
        known: impl Fn(&BareJid) -> bool,
    ) -> Option<Part> {
        if record.is("item", NS) {
            let id = record.attr_value("id")?.clone();
            let publisher = Jid::new(record.attr("publisher")?).ok()?;
            let payload = record.children().next()?.clone();
            self.publish(id.clone(), publisher, payload, bytes + SIZE);
            return Some(Part::Item(id));
        }
        let jid = Jid::new(record.attr("jid")?).ok()?;
        known(&jid.to_bare()).then_some(())?;
        if record.is("subscriber", NS) {
            self.subscribe(jid.clone());
            Some(Part::Subscriber(jid))
        } else if record.is("affiliated", NS) {
            let jid = jid.to_bare();
            self.affiliate(jid.clone(), Affiliation::from_name(record.attr("as")?)?);
            Some(Part::Affiliated(jid))
        } else {
            None
        }
    }
}

impl Nodes {
    /// Takes what an earlier hub kept, the nodes themselves first; gives the record that is
    /// of no use, if one is.
    fn restore(
        &mut self,
        stored: &StoredMessage,
        limits: &HubLimits,
        accounts: &BTreeMap<String, Account>,
        domain: &Jid,
    ) -> Option<StoredId> {
        let useless = Some(stored.id);
        // A name that is free again is perhaps somebody else's the next time.
        let known = |jid: &BareJid| {
            let here = jid.domain() == domain.domain();
            !here || jid.local().is_some_and(|l| accounts.contains_key(l))
        };
        let host = match stored.account.as_str() {
            "" => Host::Service,
            local if accounts.contains_key(local) => Host::Account(local.to_owned()),
            _ => return useless,
        };
        let Ok(record) = parse_element(&stored.stanza, &Scope::client(), &limits.outbound()) else {
            return useless;
        };
        let Some(name) = record.attr_value("node").cloned() else {
            return useless;
        };
        let key = (host, name);
        if stored.keeping == Keeping::Node {
            let node = read(&record, &key.0).filter(|node| known(&node.owner));
            let Some(mut node) = node else {
                return useless;
            };
            node.kept(Part::Itself, stored.id);
            // Of two, the later counts.
            let older = self.by_name.insert(key, node);
            return older.and_then(|mut older| older.records.remove(&Part::Itself));
        }
        let Some(node) = self.by_name.get_mut(&key) else {
            return useless;
        };
        let Some(part) = node.restore(&record, stored.stanza.len(), known) else {
            return useless;
        };
        let older = node.kept(part, stored.id);
        // What found no place is no longer to be kept.
        self.touched.insert(key);
        older
    }

    /// It is no more.
    pub(super) fn delete(&mut self, key: &(Host, Text)) {
        if let Some(node) = self.by_name.remove(key) {
            self.gone.extend(node.records.into_values());
        }
    }
}

impl Router {
    /// Keeps what of the nodes changed in this input.
    pub(in super::super) fn keep_nodes(&mut self, now: Now) {
        let mut gone = std::mem::take(&mut self.nodes.gone);
        while let Some(key) = self.nodes.touched.pop_first() {
            let Some(node) = self.nodes.by_name.get_mut(&key) else {
                continue;
            };
            for part in node.take_unkept() {
                let fresh = match node.record(&key.1, &part) {
                    None => None,
                    Some(record) => match self.encoder.to_bytes(&record) {
                        Ok(stanza) => Some(stanza),
                        // Not possible: an item is looked at before, the rest is short.
                        Err(_) => continue,
                    },
                };
                let old = node.records.remove(&part);
                if let Some(stanza) = fresh {
                    let id = StoredId(self.next_stored);
                    self.next_stored += 1;
                    let keeping = match part {
                        Part::Itself => Keeping::Node,
                        _ => Keeping::NodePart,
                    };
                    node.records.insert(part, id);
                    self.outputs
                        .push_back(Output::Persist(Persist::Store(StoredMessage {
                            id,
                            keeping,
                            account: match &key.0 {
                                Host::Service => String::new(),
                                Host::Account(local) => local.clone(),
                            },
                            since: now.wall,
                            stanza,
                        })));
                }
                gone.extend(old);
            }
        }
        // After the new ones, which make them old.
        let gone = gone.into_iter().map(Persist::Remove);
        self.outputs.extend(gone.map(Output::Persist));
    }

    /// What an earlier hub kept, the nodes themselves first.
    pub(in super::super) fn restore_node(&mut self, stored: &StoredMessage) {
        let nodes = &mut self.nodes;
        let useless = nodes.restore(stored, &self.limits, &self.accounts, &self.domain);
        let forget = useless.map(|id| Output::Persist(Persist::Remove(id)));
        self.outputs.extend(forget);
    }
}

/// A node without its other parts.
fn read(record: &Element, host: &Host) -> Option<Node> {
    record.is("node", NS).then_some(())?;
    let owner = BareJid::new(record.attr("owner")?).ok()?;
    let form = Form::from_element(record.children().next()?).ok()?;
    let config = NodeConfig::from_form(&form).ok()?;
    let mut node = Node::new(owner, host);
    node.configure(&config, host).then_some(node)
}
