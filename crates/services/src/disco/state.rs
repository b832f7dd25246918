//! Answers who asks what we are (XEP-0030 §3.1, §4.1): what all services announce, the
//! nodes that they and the application have, and the node that our capabilities name
//! (XEP-0115 §6.2). What others can is `capabilities`'.

use std::collections::{BTreeMap, VecDeque};

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::caps::Caps;
use stanchion_stanza::payload::disco::{DiscoInfo, DiscoItems, Item};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::{Element, Iq, Jid, Payload as _, Stanza, Text, ns};

use super::capabilities::{Asker, Capabilities};
use crate::service::{Input, Node, Output, Service, Taken};

/// What our capabilities name the software by (XEP-0115 §4).
pub const NODE: &str = "urn:stanchion";

/// What we were lately is told, too: who asks by the name of earlier capabilities is late.
const VERSIONS: usize = 4;

/// What we are, as others ask for it, and what others can.
#[derive(Debug, Default)]
pub struct Disco {
    info: DiscoInfo,
    /// What we are and lately were, by its capabilities' node; the newest last.
    versions: VecDeque<(String, DiscoInfo)>,
    /// Those of services, and of the application.
    nodes: Vec<Node>,
    own_nodes: BTreeMap<Text, Node>,
    here: Option<Jid>,
    others: Capabilities,
    outputs: VecDeque<Output<()>>,
}

impl Disco {
    pub(super) fn put_node(&mut self, node: Node) {
        self.own_nodes.insert(node.name.clone(), node);
    }

    pub(super) fn remove_node(&mut self, name: &Text) {
        self.own_nodes.remove(name);
    }

    pub(super) fn look_up(&mut self, jid: Jid, asker: Asker) {
        self.others.look_up(jid, asker);
    }

    pub(super) fn claim(&self, jid: &Jid) -> Option<(Caps, bool)> {
        self.others.claim(jid)
    }

    fn all_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().chain(self.own_nodes.values())
    }

    fn node(&self, name: &str) -> Option<&Node> {
        self.all_nodes().find(|node| node.name == name)
    }

    fn answer(&self, iq: &Iq) -> Option<Iq> {
        let IqKind::Get(query) = &iq.kind else {
            return None;
        };
        let node = query.attr_value("node").filter(|node| !node.is_empty());
        let answer = if DiscoInfo::matches(query) {
            self.info_of(node)
        } else if DiscoItems::matches(query) {
            self.items_of(node)
        } else {
            return None;
        };
        Some(match answer {
            Some(answer) => iq.result(Some(answer)),
            None => iq.refuse(StanzaError::new(
                ErrorType::Cancel,
                DefinedCondition::ItemNotFound,
            )),
        })
    }

    fn info_of(&self, node: Option<&Text>) -> Option<Element> {
        let Some(name) = node else {
            return Some(self.info.to_element());
        };
        let version = self.versions.iter().find(|(node, _)| *name == **node);
        let version = version.map(|(_, info)| info);
        let mut info = version
            .or_else(|| self.node(name).map(|n| &n.info))?
            .clone();
        info.node = Some(name.clone());
        Some(info.to_element())
    }

    fn items_of(&self, node: Option<&Text>) -> Option<Element> {
        let items = match node {
            Some(name) => self.node(name)?.items.clone(),
            None => self.listed(),
        };
        let node = node.cloned();
        Some(DiscoItems { node, items }.to_element())
    }

    /// Our own items: the nodes that are listed.
    fn listed(&self) -> Vec<Item> {
        let Some(jid) = &self.here else {
            return Vec::new();
        };
        let listed = self.all_nodes().filter(|node| node.listed);
        listed
            .map(|node| Item {
                jid: jid.clone(),
                node: Some(node.name.clone()),
                name: node.info.identities.first().and_then(|i| i.name.clone()),
            })
            .collect()
    }

    fn informed(&mut self, info: &DiscoInfo) {
        self.info = info.clone();
        let Ok(caps) = Caps::of(Text::from_static(NODE), info) else {
            return;
        };
        let node = format!("{NODE}#{}", caps.ver);
        self.versions.retain(|(known, _)| *known != node);
        self.versions.push_back((node, info.clone()));
        if self.versions.len() > VERSIONS {
            self.versions.pop_front();
        }
    }
}

impl Service for Disco {
    const NAME: &'static str = "disco";
    type Event = ();

    fn features(&self) -> Vec<Text> {
        [ns::DISCO_ITEMS, ns::CAPS].map(Text::from_static).to_vec()
    }

    fn restore(&mut self, key: &str, value: &[u8]) {
        self.others.restore(key, value);
    }

    fn handle(&mut self, _now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Info(info) => self.informed(info),
            Input::Nodes(nodes) => self.nodes = nodes.to_vec(),
            Input::Up(up) => {
                self.here = Some(up.jid.clone().into());
                if !up.resumed {
                    self.others.forget_claims();
                }
            }
            Input::Answer { tag, answer } => self.others.answered(tag, answer),
            // Those whom it concerns are to see it, too.
            Input::Stanza(Stanza::Presence(presence)) => self.others.heard(presence),
            Input::Stanza(Stanza::Iq(iq)) => {
                if let Some(answer) = self.answer(iq) {
                    self.outputs.push_back(Output::Transmit(answer.into()));
                    return Taken::Yes;
                }
            }
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<()> {
        let changes = self.others.take_changes();
        if !changes.is_empty() {
            self.outputs.push_back(Output::Keep { tag: None, changes });
        }
        let requests = self.others.take_requests().into_iter();
        let requests = requests.map(|(tag, request)| Output::Request { tag, request });
        self.outputs.extend(requests);
        self.outputs.pop_front().unwrap_or(Output::Wait(None))
    }
}

#[cfg(test)]
mod tests;
