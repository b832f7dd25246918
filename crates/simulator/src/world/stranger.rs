//! A stranger with an account of its own, who hears what others send and wants to be
//! taken for one of them. Servers stamp its address on what it says, so all it can do is
//! to say it.

use std::collections::VecDeque;

use stanchion_stanza::payload::delivery::Bundle;
use stanchion_stanza::payload::receipts::{Received, Request};
use stanchion_stanza::payload::sid::OriginId;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, MessageType, StanzaError};
use stanchion_stanza::{
    Element, Encoder, FullJid, Jid, Limits, Message, Payload as _, Presence, Scope, Text,
};
use stanchion_testkit::{Login, Random, ToServer};

use super::World;
use crate::law::Violation;
use crate::ledger::{Id, device, name};
use crate::setup::stream_of;
use crate::switch::Switch;

/// The namespace of the delivery extension.
const DELIVERY: &str = stanchion_stanza::ns::DELIVERY;

/// What it remembers at most of each kind.
const MEMORY: usize = 16;
/// Stanzas in a flood.
const FLOOD: u64 = 60;

/// The stranger.
pub(super) struct Stranger {
    random: Random,
    /// Messages of others.
    ids: VecDeque<Id>,
    /// Elements of the delivery extension that others sent.
    seen: VecDeque<Element>,
}

impl Stranger {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: stream_of(seed, Switch::MaliciousPeer),
            ids: VecDeque::new(),
            seen: VecDeque::new(),
        }
    }

    /// Somebody sends that message.
    pub(super) fn overhears(&mut self, id: Id) {
        if self.ids.len() >= MEMORY {
            self.ids.pop_front();
        }
        self.ids.push_back(id);
    }

    fn sees(&mut self, element: &Element) {
        for child in element.children().filter(|child| child.ns() == DELIVERY) {
            if self.seen.len() >= MEMORY {
                self.seen.pop_front();
            }
            self.seen.push_back(child.clone());
        }
    }

    /// An id that somebody used, or none that anybody did.
    fn some_id(&mut self) -> Text {
        let known: Vec<Id> = self.ids.iter().copied().collect();
        let id = if known.is_empty() || self.random.chance(100) {
            format!("x{}", self.random.below(1000))
        } else {
            name(*self.random.pick(&known))
        };
        Text::new(id).unwrap_or_default()
    }

    /// A value for some attribute: small numbers, huge ones, words, and rubbish.
    fn value(&mut self) -> Text {
        let number = self.random.number();
        let text = match self.random.below(9) {
            0 => self.random.below(70).to_string(),
            1 => number.to_string(),
            2 => format!("d{}", self.random.below(4)),
            3 => format!(
                "d{}.AAAAAAAAAA{}",
                self.random.below(4),
                ["A", "E", "I"][(number % 3) as usize]
            ),
            4 => format!(
                "{}.AAAAA{}",
                self.random.below(6),
                ["A", "Q", "g"][(number % 3) as usize]
            ),
            5 => (*self
                .random
                .pick(&["d", "v", "h", "m", "o", "z", "late", "1", "0", ""]))
            .to_owned(),
            6 => format!("{number:x}").chars().take(11).collect(),
            7 => "9".repeat(1 + self.random.below(40) as usize),
            _ => "\u{1F9E8}".repeat(1 + self.random.below(8) as usize),
        };
        Text::new(text).unwrap_or_default()
    }

    /// An element of the extension: one that was seen, changed here and there, or one
    /// that is made up.
    fn forgery(&mut self) -> Element {
        const NAMES: [&str; 9] = [
            "d",
            "a",
            "cancel",
            "rotate",
            "close",
            "closed",
            "wrong-store",
            "at",
            "nonsense",
        ];
        const ATTRS: [&str; 17] = [
            "d", "t", "e", "c", "n", "l", "i", "p", "b", "x", "w", "at", "by", "known", "hi", "j",
            "u",
        ];
        let seen: Vec<Element> = self.seen.iter().cloned().collect();
        let mut element = if seen.is_empty() || self.random.chance(300) {
            let mut made_up = Element::new(self.random.pick::<&'static str>(&NAMES), DELIVERY);
            for attribute in ATTRS {
                if self.random.chance(600) {
                    made_up = made_up.with_attr(attribute, self.value());
                }
            }
            made_up
        } else {
            let seen = self.random.pick(&seen).clone();
            let renamed = if self.random.chance(300) {
                Element::new(self.random.pick::<&'static str>(&NAMES), DELIVERY)
            } else {
                Element::try_new(seen.name(), DELIVERY)
                    .unwrap_or_else(|_| Element::new("d", DELIVERY))
            };
            let mut copy = renamed;
            for attribute in ATTRS {
                let changed = self.random.chance(150);
                match seen.attr(attribute) {
                    _ if changed => copy = copy.with_attr(attribute, self.value()),
                    Some(value) => {
                        copy = copy.with_attr(attribute, Text::new(value).unwrap_or_default());
                    }
                    None => {}
                }
            }
            copy
        };
        for _ in 0..self.random.below(4) {
            let mut verdict = Element::new("v", DELIVERY);
            for attribute in ["n", "i", "s"] {
                verdict = verdict.with_attr(attribute, self.value());
            }
            element = element.with_child(verdict);
        }
        element
    }

    /// Something that is said to somebody.
    fn says(&mut self, to: Jid, known: &[usize]) -> Message {
        let id = self.some_id();
        let message = Message::chat(to.clone());
        match self.random.below(6) {
            // A receipt for somebody else's message.
            0 => message.with_payload(Received { id }.to_element()),
            // An error for one.
            1 => {
                let condition = *self.random.pick(&[
                    DefinedCondition::ServiceUnavailable,
                    DefinedCondition::BadRequest,
                    DefinedCondition::Gone,
                    DefinedCondition::NotAcceptable,
                ]);
                let mut error = message.with_id(id);
                error.kind = MessageType::Error;
                error.with_payload(StanzaError::new(ErrorType::Cancel, condition).to_element())
            }
            // A message that looks like somebody else's.
            2 => message
                .with_id(id.clone())
                .with_body(id.clone())
                .with_payload(OriginId { id }.to_element())
                .with_payload(Request.to_element()),
            // One in the extension's words, with a body or without.
            3 => message
                .with_id(id.clone())
                .with_body(id)
                .with_payload(own_name(self.forgery(), known)),
            // Several of those, as if they were one device's.
            4 => {
                let messages = (0..=self.random.below(4)).map(|_| self.part(&to, known));
                let bundle = Bundle {
                    messages: messages.collect(),
                };
                message.with_id(id).with_payload(bundle.to_element())
            }
            _ => message.with_payload(own_name(self.forgery(), known)),
        }
    }

    /// A message of a bundle, or rubbish.
    fn part(&mut self, to: &Jid, known: &[usize]) -> Vec<u8> {
        let id = self.some_id();
        if self.random.chance(200) {
            return b"<message><body/>".to_vec();
        }
        let message = Message::chat(to.clone())
            .with_id(id.clone())
            .with_body(id)
            .with_payload(own_name(self.forgery(), known));
        let encoder = Encoder::new(Scope::client(), Limits::default());
        encoder.to_bytes(&message.to_element()).unwrap_or_default()
    }
}

/// A name belongs to whoever uses it first, at each recipient: only names that are taken
/// there can be tried.
fn own_name(said: Element, known: &[usize]) -> Element {
    let taken = |name: &str| known.iter().any(|of| device(*of) == name);
    match said.attr("d") {
        Some(name) if !taken(name) => said.with_attr("d", Text::from_static("stranger")),
        _ => said,
    }
}

impl World {
    /// What servers are sent, the stranger sees.
    pub(super) fn samples(&mut self, packet: &ToServer) {
        if let ToServer::Element(element) = packet
            && self.setup.on.has(Switch::MaliciousPeer)
            && element.name() == "message"
        {
            self.stranger.sees(element);
        }
    }

    /// The devices whose names are taken for good at a device: one that is set back may
    /// forget who has them.
    fn names_taken_at(&self, of: usize) -> Vec<usize> {
        let mut setting_back = [Switch::Restored, Switch::Cloned, Switch::Reinstalled].into_iter();
        if setting_back.any(|switch| self.setup.on.has(switch)) {
            return Vec::new();
        }
        self.ledger.heard_by(of)
    }

    /// The stranger logs in and says something to everybody, once or many times.
    pub(super) fn attacks(&mut self) -> Result<bool, Violation> {
        let now = self.now();
        let site = self.stranger.random.below(self.sites.len() as u64) as usize;
        let domain = self.sites[site].domain.clone();
        let Some(jid) = format!("stranger@{domain}/x").parse::<FullJid>().ok() else {
            return Ok(false);
        };
        if !self.sites[site].runs {
            return Ok(false);
        }
        let on = self.next_connection;
        self.next_connection += 1;
        let login = Login {
            jid,
            manage: false,
            resume: None,
            node: 0,
        };
        let server = &mut self.sites[site].server;
        server.receive(now, on, ToServer::Login(login));
        if self.stranger.random.chance(300) {
            let presence = Presence::available().to_element();
            server.receive(now, on, ToServer::Element(presence));
        }
        let times = if self.stranger.random.chance(150) {
            FLOOD
        } else {
            3
        };
        for _ in 0..times {
            let at = self.stranger.random.below(self.devices.len() as u64) as usize;
            let account = &self.devices[at].accounts[0].jid;
            let full = self.stranger.random.chance(300);
            let to = if full {
                Jid::from(account.clone())
            } else {
                Jid::from(account.to_bare())
            };
            let known = self.names_taken_at(at);
            let message = self.stranger.says(to, &known);
            let packet = ToServer::Element(message.to_element());
            self.sites[site].server.receive(now, on, packet);
        }
        self.schedule
            .after(crate::setup::MS, super::Event::Leaves { site, on });
        self.pump(site)?;
        Ok(true)
    }
}
