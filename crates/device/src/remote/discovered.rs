//! What there is at an address: features, and things.

use stanchion_stanza::payload::sensordata::Profile;
use stanchion_stanza::{Jid, Text, ns};

use super::Things;
use super::readout::{ReadError, Readout};
use crate::model::{Kind, Node, kind_of};

/// Things that are told of at one address.
const MOST: usize = 4096;

/// What is at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discovered {
    /// Who was asked: the full address of an account's device.
    pub jid: Jid,
    /// What it can be read in, the best first. Empty if it announces nothing; then the
    /// legacy profile was tried.
    pub reads: Vec<Profile>,
    /// What it can be set in, likewise.
    pub sets: Vec<Profile>,
    /// What it can be subscribed to in, likewise.
    pub tells: Vec<Profile>,
    /// Whether commands to it act once.
    pub acts_once: bool,
    /// Its things.
    pub things: Vec<DiscoveredThing>,
    /// Why they could not be read, if they could not; then `things` is what else is known.
    pub unread: Option<ReadError>,
}

/// A thing there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredThing {
    /// Which. The id is empty for a device that is one thing and does not name it.
    pub node: Node,
    /// What people call it, if that is said.
    pub label: Option<Text>,
    /// What it told when it was read: name, type, and whether it says that it can be set.
    pub fields: Vec<(Text, Kind, bool)>,
}

impl Things {
    /// Which things are there, and what can be done with them: by service discovery
    /// (XEP-0030), and by a read-out of all momentary values, as most devices list their
    /// things nowhere.
    ///
    /// # Errors
    /// [`ReadError`] if nobody is there.
    pub async fn discover(&self, jid: &Jid, readout: Readout) -> Result<Discovered, ReadError> {
        let peer = self.peer(jid).await?;
        let announced = |feature: fn(Profile) -> &'static str| {
            let all = [Profile::Nf, Profile::Nfi, Profile::Ieee, Profile::Legacy];
            let all = all.into_iter();
            all.filter(|p| peer.has(feature(*p))).collect::<Vec<_>>()
        };
        let mut found = Discovered {
            jid: peer.jid.clone(),
            reads: announced(Profile::sensor_data),
            sets: announced(Profile::control),
            tells: announced(Profile::events),
            acts_once: peer.has(ns::THING_COMMAND),
            things: Vec::new(),
            unread: None,
        };
        let within = readout.within;
        let reading = self.read_at(peer, &readout, within).await;
        let read = match reading {
            Ok(mut reading) => loop {
                match reading.next().await {
                    Ok(Some(part)) => found.add(part),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            },
            Err(error) => Err(error),
        };
        match read {
            Err(ReadError::Closed) => return Err(ReadError::Closed),
            read => found.unread = read.err(),
        }
        // What people call them.
        if let Ok(items) = self.discovery.items(found.jid.clone(), None).await {
            for item in items.items.into_iter().filter(|i| i.jid == found.jid) {
                if let Some(thing) = found
                    .things
                    .iter_mut()
                    .find(|t| item.node.as_ref() == Some(&t.node.id))
                {
                    thing.label = item.name;
                }
            }
        }
        Ok(found)
    }
}

impl Discovered {
    fn thing(&mut self, node: &Node) -> Option<&mut DiscoveredThing> {
        let at = match self.things.iter().position(|t| t.node == *node) {
            Some(at) => at,
            None if self.things.len() < MOST => {
                self.things.push(DiscoveredThing {
                    node: node.clone(),
                    label: None,
                    fields: Vec::new(),
                });
                self.things.len() - 1
            }
            None => return None,
        };
        self.things.get_mut(at)
    }

    fn add(&mut self, part: super::Part) {
        for value in part.values {
            let Some(thing) = self.thing(&value.thing) else {
                return;
            };
            let field = value.field;
            if !thing.fields.iter().any(|(name, ..)| *name == field.name) {
                let kind = kind_of(&field.value);
                let writable = field.writable.unwrap_or(false);
                thing.fields.push((field.name, kind, writable));
            }
        }
        for failure in part.failures {
            self.thing(&failure.node);
        }
    }
}
