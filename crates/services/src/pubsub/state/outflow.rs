//! One node's publisher: what waits to be published there, in order, and what became of
//! it. Durable before it is sent, and sent again from the first one without an answer
//! after a stream was lost. Which of several publishers may send is `state`'s affair.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use stanchion_reliability::session::Lane;
use stanchion_stanza::payload::forms::{Form, FormType};
use stanchion_stanza::payload::pubsub::{self as wire, Item};
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{
    Element, Encoder, Jid, Limits, Payload as _, Scope, Text, codec::parse_element,
};

use super::super::error::{Reason, is_transient};
use super::place::{Place, StreamId};
use crate::request::{Request, RequestError};
use crate::service::Change;

/// Bytes of one payload: what servers take, less what is around it.
pub(crate) const PAYLOAD: usize = 200 * 1024;

/// Between two tries, at most.
const LONGEST: Duration = Duration::from_secs(60);

/// For an answer.
const PATIENCE: Duration = Duration::from_secs(60);

const ROW: &str = "urn:stanchion:pubsub:row:0";

/// What became of a publication so far.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// It is not durable yet.
    Accepted,
    /// It is durable: it will be published, in this life or in a later one.
    Kept,
    /// It is not known whether it was published, for longer than wanted. It stays in the
    /// queue, and another stage follows.
    InDoubt,
    /// The service has it.
    Confirmed,
    /// The service will not have it. Subscribers see a gap in its place.
    Refused(Reason),
    /// It gave way to newer ones before it was sent, or was [given
    /// up](crate::pubsub::Publisher::give_up). Subscribers see a gap in its place.
    Dropped,
}

impl Stage {
    /// Whether no other stage follows.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Confirmed | Self::Refused(_) | Self::Dropped)
    }
}

/// Wakes somebody who waits.
pub(crate) struct Wake(pub(crate) Box<dyn Fn() + Send>);

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wake")
    }
}

/// Tells whoever waits of each stage.
pub(crate) type Tell = Box<dyn FnMut(&Stage) + Send>;

/// What to do with a publication for which there is no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// It waits.
    #[default]
    Wait,
    /// The oldest that was not sent gives way: for values of which the newest counts.
    DropOldest,
}

/// How a publisher behaves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PublisherConfig {
    /// Publications that may wait, durable ones included; 1 to 10,000. Default 1000.
    pub capacity: usize,
    /// Bytes of them. Default 16 MiB.
    pub bytes: usize,
    /// What to do beyond. Default: wait.
    pub overflow: Overflow,
    /// Requests under way at once, 1 to 64. Default 8. A service handles them in order;
    /// with more than one, a service that refuses one for the time being has already
    /// taken later ones, which are then published once more.
    pub window: usize,
    /// Which publishers go first. Default [`Lane::Control`].
    pub lane: Lane,
    /// After this time without an answer of the service, a publication is
    /// [in doubt](Stage::InDoubt). Default 60 s.
    pub doubt_after: Duration,
    /// Creates the node so if it is not there. Default: it must be there, or the service
    /// creates it by itself.
    pub create: Option<stanchion_stanza::payload::pubsub::NodeConfig>,
}

impl Default for PublisherConfig {
    fn default() -> Self {
        Self {
            capacity: 1000,
            bytes: 16 * 1024 * 1024,
            overflow: Overflow::Wait,
            window: 8,
            lane: Lane::Control,
            doubt_after: Duration::from_secs(60),
            create: None,
        }
    }
}

/// What a publisher has done so far, in this life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublisherCounters {
    /// Publications confirmed by the service.
    pub confirmed: u64,
    /// Requests, repeated ones included.
    pub requests: u64,
    /// Publications that were refused for good.
    pub refused: u64,
    /// Publications that gave way to newer ones.
    pub dropped: u64,
}

struct Entry {
    position: u64,
    id: Text,
    payload: Element,
    bytes: usize,
    kept: bool,
    confirmed: bool,
    since: Duration,
    doubted: bool,
    tell: Option<Tell>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("position", &self.position)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Entry {
    fn tell(&mut self, stage: &Stage) {
        if let Some(tell) = &mut self.tell {
            tell(stage);
        }
    }
}

/// What an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    Create,
    Publish { generation: u64, position: u64 },
}

/// Why a publication is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// There is no room at the moment.
    Full,
    /// It can never be published.
    TooBig,
}

/// Whether the node is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    /// Nobody said otherwise.
    Assumed,
    /// To be created first.
    Wanted,
    /// Being created.
    Asked,
    Created,
}

#[derive(Debug)]
pub(crate) struct Outflow {
    /// None: our own account.
    to: Option<Jid>,
    node: Text,
    /// What its rows are named by.
    name: String,
    stream: StreamId,
    next_number: u64,
    next_position: u64,
    queue: VecDeque<Entry>,
    bytes: usize,
    /// So many at the front of the queue are sent.
    sent: usize,
    /// Answers to what was sent in an earlier one are void.
    generation: u64,
    failures: u32,
    not_before: Duration,
    state: Node,
    create: Option<Form>,
    pub(crate) config: PublisherConfig,
    pub(crate) counters: PublisherCounters,
    /// Wakes who waits for room.
    pub(crate) room: Option<Wake>,
}

impl Outflow {
    /// A new one, with its first row still to be kept.
    pub(crate) fn new(to: Option<Jid>, node: Text, name: String, entropy: u64) -> Self {
        Self {
            to,
            node,
            name,
            stream: StreamId::random(entropy),
            next_number: 1,
            next_position: 1,
            queue: VecDeque::new(),
            bytes: 0,
            sent: 0,
            generation: 0,
            failures: 0,
            not_before: Duration::ZERO,
            state: Node::Assumed,
            create: None,
            config: PublisherConfig::default(),
            counters: PublisherCounters::default(),
            room: None,
        }
    }

    pub(crate) const fn stream(&self) -> &StreamId {
        &self.stream
    }

    pub(crate) const fn last_number(&self) -> u64 {
        self.next_number - 1
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn configure(&mut self, config: PublisherConfig) {
        self.create = config
            .create
            .as_ref()
            .map(|config| config.to_form(FormType::Submit));
        if self.create.is_some() && self.state == Node::Assumed {
            self.state = Node::Wanted;
        }
        self.config = config;
        self.config.capacity = self.config.capacity.clamp(1, 10_000);
        self.config.window = self.config.window.clamp(1, 64);
    }

    // ---- rows -----------------------------------------------------------------------

    /// The row of the stream: its name, and what comes next.
    pub(crate) fn head(&self) -> Change {
        let (number, position) = (self.next_number, self.next_position);
        let lane = self.config.lane.name();
        Change::Put {
            key: format!("p{}", self.name),
            value: format!("{};{number};{position};{lane}", self.stream).into_bytes(),
        }
    }

    /// Reads it.
    pub(crate) fn restore_head(&mut self, value: &[u8]) -> Option<()> {
        let mut parts = std::str::from_utf8(value).ok()?.split(';');
        self.stream = StreamId::parse(parts.next()?)?;
        self.next_number = parts.next()?.parse().ok().filter(|n| *n > 0)?;
        self.next_position = parts.next()?.parse().ok().filter(|n| *n > 0)?;
        self.config.lane = Lane::of(parts.next()?);
        Some(())
    }

    fn key_of(&self, position: u64) -> String {
        format!("q{}\u{1f}{position:020}", self.name)
    }

    /// Reads the row of a publication; they come in order.
    pub(crate) fn restore_entry(&mut self, position: &str, value: &[u8]) -> Option<()> {
        let position = position.parse().ok()?;
        let limits = Limits::default().with_stanza_bytes(2 * PAYLOAD);
        let row = parse_element(value, &Scope::empty(), &limits).ok()?;
        let id = row.attr_text("id")?;
        let payload = row.children().next()?.clone();
        if let Some(place) = Place::of(&id).filter(|place| place.stream == self.stream) {
            self.next_number = self.next_number.max(place.number + 1);
        }
        self.next_position = self.next_position.max(position + 1);
        self.bytes += value.len();
        self.queue.push_back(Entry {
            position,
            id,
            payload,
            bytes: value.len(),
            kept: true,
            confirmed: false,
            since: Duration::ZERO,
            doubted: false,
            tell: None,
        });
        Some(())
    }

    // ---- the application ------------------------------------------------------------

    /// Takes a publication; none as id: the next one of the stream. Gives its id and its
    /// position; once `changes` are durable, it is kept.
    ///
    /// # Errors
    /// [`NotTaken`], and what was to be told.
    pub(crate) fn publish(
        &mut self,
        now: Duration,
        id: Option<Text>,
        payload: Element,
        tell: Tell,
        changes: &mut Vec<Change>,
    ) -> Result<(Text, u64), NotTaken> {
        let numbered = id.is_none();
        let id = id.unwrap_or_else(|| {
            let place = Place {
                stream: self.stream.clone(),
                number: self.next_number,
            };
            // Digits and a dot.
            Text::new(place.to_string()).unwrap_or_default()
        });
        let value = row(&id, &payload).filter(|row| row.len() <= PAYLOAD);
        let value = value.ok_or(NotTaken::TooBig)?;
        while self.queue.len() >= self.config.capacity
            || (!self.queue.is_empty() && self.bytes + value.len() > self.config.bytes)
        {
            if self.config.overflow == Overflow::Wait || !self.drop_oldest(changes) {
                return Err(NotTaken::Full);
            }
        }
        self.next_number += u64::from(numbered);
        let position = self.next_position;
        self.next_position += 1;
        if position == 1 {
            changes.push(self.head());
        }
        let bytes = value.len();
        self.bytes += bytes;
        changes.push(Change::Put {
            key: self.key_of(position),
            value,
        });
        self.queue.push_back(Entry {
            position,
            id: id.clone(),
            payload,
            bytes,
            kept: false,
            confirmed: false,
            since: now,
            doubted: false,
            tell: Some(tell),
        });
        Ok((id, position))
    }

    /// The oldest that was not sent goes. False if all are sent.
    fn drop_oldest(&mut self, changes: &mut Vec<Change>) -> bool {
        let Some(mut entry) = self.queue.remove(self.sent) else {
            return false;
        };
        self.bytes -= entry.bytes;
        self.counters.dropped += 1;
        entry.tell(&Stage::Dropped);
        changes.push(Change::Delete {
            key: self.key_of(entry.position),
        });
        // Its number is used up, whatever rows are left.
        changes.push(self.head());
        true
    }

    /// All that wait go, sent or not. How many, and changes of the rows.
    pub(crate) fn give_up(&mut self) -> (usize, Vec<Change>) {
        let mut changes = Vec::new();
        let given_up = std::mem::take(&mut self.queue);
        let count = given_up.len();
        for mut entry in given_up {
            entry.tell(&Stage::Dropped);
            self.counters.dropped += 1;
            changes.push(Change::Delete {
                key: self.key_of(entry.position),
            });
        }
        // Answers that still come are void.
        self.generation += 1;
        (self.sent, self.bytes) = (0, 0);
        (count, self.made_room(changes))
    }

    /// All up to that one are durable.
    pub(crate) fn kept(&mut self, position: u64) {
        for entry in &mut self.queue {
            if entry.position > position {
                break;
            }
            if !entry.kept {
                entry.kept = true;
                entry.tell(&Stage::Kept);
            }
        }
    }

    // ---- the service ----------------------------------------------------------------

    /// What is to be asked now, if anything.
    pub(crate) fn next(&mut self, now: Duration) -> Option<(Errand, Request)> {
        if now < self.not_before {
            return None;
        }
        match self.state {
            Node::Asked => return None,
            Node::Wanted => {
                self.state = Node::Asked;
                let create = wire::Request::Create {
                    node: Some(self.node.clone()),
                    configure: self.create.clone(),
                };
                return Some((Errand::Create, self.request(&create)));
            }
            Node::Assumed | Node::Created => {}
        }
        if self.sent >= self.config.window {
            return None;
        }
        let entry = self.queue.get(self.sent).filter(|entry| entry.kept)?;
        let item = Item::of(Some(entry.id.clone()), entry.payload.clone());
        let publish = wire::Request::Publish {
            node: self.node.clone(),
            items: vec![item],
            options: None,
        };
        let errand = Errand::Publish {
            generation: self.generation,
            position: entry.position,
        };
        self.sent += 1;
        self.counters.requests += 1;
        Some((errand, self.request(&publish)))
    }

    fn request(&self, what: &wire::Request) -> Request {
        Request::set(self.to.clone(), what.to_element()).within(PATIENCE)
    }

    /// What was asked is answered. Gives changes of the rows.
    pub(crate) fn answered(
        &mut self,
        now: Duration,
        errand: Errand,
        answer: Result<(), RequestError>,
    ) -> Vec<Change> {
        match errand {
            Errand::Create => {
                self.created(now, answer);
                Vec::new()
            }
            // Another one is on its way, or was refused meanwhile.
            Errand::Publish { generation, .. } if generation != self.generation => Vec::new(),
            Errand::Publish { position, .. } => {
                let found = self.queue.binary_search_by_key(&position, |e| e.position);
                match found {
                    Ok(at) => self.published(now, at, answer),
                    Err(_) => Vec::new(),
                }
            }
        }
    }

    fn created(&mut self, now: Duration, answer: Result<(), RequestError>) {
        let there = |error: &RequestError| {
            error
                .refusal()
                .is_some_and(|e| e.condition == DefinedCondition::Conflict)
        };
        match answer {
            Ok(()) => self.state = Node::Created,
            Err(error) if there(&error) => self.state = Node::Created,
            Err(error) if is_transient(&error) => {
                self.state = Node::Wanted;
                self.back_off(now);
            }
            // Perhaps it is there, and others own it: publishing will tell.
            Err(error) => {
                tracing::warn!(node = %self.node, %error, "the node is not created");
                self.state = Node::Created;
            }
        }
    }

    fn published(
        &mut self,
        now: Duration,
        at: usize,
        answer: Result<(), RequestError>,
    ) -> Vec<Change> {
        match answer {
            Ok(()) => {
                self.failures = 0;
                if let Some(entry) = self.queue.get_mut(at) {
                    entry.confirmed = true;
                }
                self.conclude()
            }
            Err(error) if self.lacks_node(&error) => {
                self.again();
                self.state = Node::Wanted;
                self.back_off(now);
                Vec::new()
            }
            Err(error) if is_transient(&error) => {
                tracing::debug!(node = %self.node, %error, "publishing again");
                self.again();
                self.back_off(now);
                Vec::new()
            }
            Err(error) => self.refused(at, &error),
        }
    }

    /// The node is not there, and we may create it.
    fn lacks_node(&self, error: &RequestError) -> bool {
        self.create.is_some()
            && error
                .refusal()
                .is_some_and(|e| e.condition == DefinedCondition::ItemNotFound)
    }

    /// Those at the front that are confirmed are done with.
    fn conclude(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some(mut entry) = self.queue.pop_front_if(|entry| entry.confirmed) {
            self.sent = self.sent.saturating_sub(1);
            self.bytes -= entry.bytes;
            self.counters.confirmed += 1;
            entry.tell(&Stage::Confirmed);
            changes.push(Change::Delete {
                key: self.key_of(entry.position),
            });
        }
        self.made_room(changes)
    }

    fn refused(&mut self, at: usize, error: &RequestError) -> Vec<Change> {
        let Some(mut entry) = self.queue.remove(at) else {
            return Vec::new();
        };
        if at < self.sent {
            self.sent -= 1;
        }
        self.bytes -= entry.bytes;
        self.counters.refused += 1;
        let reason = Reason::of(error);
        tracing::warn!(node = %self.node, id = %entry.id, %reason, "a publication is refused");
        entry.tell(&Stage::Refused(reason));
        let mut changes = vec![Change::Delete {
            key: self.key_of(entry.position),
        }];
        changes.extend(self.conclude());
        self.made_room(changes)
    }

    /// The numbers of deleted rows are used up.
    fn made_room(&self, mut changes: Vec<Change>) -> Vec<Change> {
        if !changes.is_empty() {
            changes.push(self.head());
            if let Some(room) = &self.room {
                (room.0)();
            }
        }
        changes
    }

    /// All without an answer are to be sent again, in order.
    fn again(&mut self) {
        self.generation += 1;
        self.sent = 0;
        for entry in &mut self.queue {
            entry.confirmed = false;
        }
    }

    fn back_off(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        let delay = Duration::from_millis(500 << self.failures.min(8)).min(LONGEST);
        // Up to half as much again, so that many publishers do not try as one.
        let own = self.stream.as_str().bytes().fold(self.failures, |sum, b| {
            sum.wrapping_mul(31).wrapping_add(u32::from(b))
        });
        self.not_before = now + delay + delay * (own % 64) / 128;
    }

    /// A new stream: what was under way on the one before is lost.
    pub(crate) fn restart(&mut self) {
        self.again();
        self.failures = 0;
        self.not_before = Duration::ZERO;
        if self.state == Node::Asked {
            self.state = Node::Wanted;
        }
    }

    /// When there is something to do without an input.
    pub(crate) fn due(&self, now: Duration) -> Option<Duration> {
        let waits = self.queue.get(self.sent).is_some_and(|entry| entry.kept);
        let waits = waits || self.state == Node::Wanted;
        let retry = (waits && self.not_before > now).then_some(self.not_before);
        let doubt = self.queue.iter().find(|entry| !entry.doubted);
        let doubt = doubt.map(|entry| entry.since + self.config.doubt_after);
        retry.into_iter().chain(doubt).min()
    }

    /// Tells those that are in doubt.
    pub(crate) fn doubt(&mut self, now: Duration) {
        for entry in &mut self.queue {
            if entry.since + self.config.doubt_after > now {
                break;
            }
            if !entry.doubted {
                entry.doubted = true;
                entry.tell(&Stage::InDoubt);
            }
        }
    }
}

/// The row of a publication; none if it is beyond all limits.
fn row(id: &Text, payload: &Element) -> Option<Vec<u8>> {
    let row = Element::new("item", ROW)
        .with_attr("id", id.clone())
        .with_child(payload.clone());
    let limits = Limits::default().with_stanza_bytes(2 * PAYLOAD);
    let encoder = Encoder::new(Scope::empty(), limits);
    encoder.to_bytes(&row).ok()
}
