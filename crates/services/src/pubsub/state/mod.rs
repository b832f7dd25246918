//! All publishers and subscriptions of a client at once: which may send, whose an answer
//! or an event is, and what is to be kept. What each does is in `outflow` and `intake`.

mod cursor;
mod handed;
mod intake;
mod lane;
mod outflow;
mod place;
mod ranges;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_reliability::session::Lane;
use stanchion_stanza::payload::pubsub::Event;
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{Element, Jid, Message, Stanza, Text};

use super::error::PubsubError;
use crate::request::RequestError;
use crate::service::{Change, Input, Output, Service, Taken};
use intake::Intake;
use outflow::{NotTaken, Outflow};

pub(crate) use cursor::{Foreign, HOLES, Print, StreamCursor};
pub use handed::{Beginning, SubscriptionConfig};
pub(crate) use handed::{Handed, Kept, begun_key, foreign_key, stream_key};
pub use outflow::{Overflow, PublisherConfig, PublisherCounters, Stage};
pub(crate) use outflow::{PAYLOAD, Tell, Wake};
pub use place::{Place, StreamId};

/// Publishers that a client may have.
pub const PUBLISHERS: usize = 256;

/// Subscriptions that a client may have.
pub const SUBSCRIPTIONS: usize = 256;

/// Publications under way at once, of all publishers.
const UNDER_WAY: usize = 128;

/// Of these are kept free for alarms.
const ALARMS: usize = UNDER_WAY / 4;

/// Events of contacts that wait for the application; the oldest gives way.
const FOLLOWED: usize = 256;

/// Whose an answer is.
#[derive(Debug)]
enum Owner {
    Outflow(u64, outflow::Errand),
    Intake(u64, intake::Errand),
}

/// Who waits for rows to be durable.
#[derive(Debug)]
enum Waiting {
    Outflow(u64, u64),
    Intake(u64),
}

/// What contacts publish at a node of that name.
#[derive(Debug)]
struct Follow {
    node: Text,
    queue: VecDeque<(Jid, Event)>,
    missed: u64,
    wake: Wake,
    open: Arc<AtomicBool>,
}

/// The publishers and subscriptions of a client.
#[derive(Debug, Default)]
pub struct State {
    outflows: BTreeMap<u64, Outflow>,
    names: BTreeMap<String, u64>,
    intakes: BTreeMap<u64, (Intake, Arc<AtomicBool>)>,
    follows: BTreeMap<u64, Follow>,
    next_id: u64,
    next_tag: u64,
    errands: HashMap<u64, Owner>,
    /// Of the errands those that publish.
    under_way: usize,
    waiting: HashMap<u64, Waiting>,
    outputs: VecDeque<Output<()>>,
    now: Duration,
    wall: i64,
    /// Our bare address, while a stream is up.
    own: Option<Jid>,
    turn: u64,
}

/// A publication to be taken: its id, if not the next one of the stream.
pub(crate) struct Publishing {
    pub(crate) id: Option<Text>,
    pub(crate) payload: Element,
    pub(crate) tell: Tell,
}

/// What rows of a service's node are named by. U+001F is in no address and no node.
pub(crate) fn name_of(service: Option<&Jid>, node: &str) -> String {
    let service = service.map_or("", Jid::as_str);
    format!("{service}\u{1f}{node}")
}

impl State {
    fn set_now(&mut self, now: Now) {
        self.now = now.monotonic;
        self.wall = now.wall.as_unix_ms() / 1000;
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn keep(&mut self, changes: Vec<Change>, waiting: Option<Waiting>) {
        if changes.is_empty() && waiting.is_none() {
            return;
        }
        let tag = waiting.map(|waiting| {
            self.next_tag += 1;
            self.waiting.insert(self.next_tag, waiting);
            self.next_tag
        });
        self.outputs.push_back(Output::Keep { tag, changes });
    }

    // ---- publishers -----------------------------------------------------------------

    fn outflow_named(&mut self, name: &str, entropy: u64) -> Option<u64> {
        if let Some(id) = self.names.get(name) {
            return Some(*id);
        }
        let (service, node) = name.split_once('\u{1f}')?;
        let to = match service {
            "" => None,
            service => Some(Jid::new(service).ok()?),
        };
        let node = Text::new(node).ok()?;
        let id = self.id();
        let outflow = Outflow::new(to, node, name.to_owned(), entropy);
        self.outflows.insert(id, outflow);
        self.names.insert(name.to_owned(), id);
        Some(id)
    }

    /// The publisher of a node: the one that is there, or a new one with a stream of these
    /// random bits.
    pub(crate) fn open_publisher(
        &mut self,
        service: Option<&Jid>,
        node: &str,
        config: PublisherConfig,
        entropy: u64,
        room: Wake,
    ) -> Result<u64, PubsubError> {
        let name = name_of(service, node);
        if !self.names.contains_key(&name) && self.outflows.len() >= PUBLISHERS {
            return Err(PubsubError::TooMany(PUBLISHERS));
        }
        let id = self.outflow_named(&name, entropy);
        let id = id.ok_or(PubsubError::Unexpected("a name"))?;
        if let Some(outflow) = self.outflows.get_mut(&id) {
            outflow.configure(config);
            outflow.room = Some(room);
        }
        Ok(id)
    }

    /// Takes publications in order, as many as there is room for. Gives their ids, and
    /// those for which there is none.
    pub(crate) fn publish(
        &mut self,
        now: Now,
        publisher: u64,
        publications: Vec<Publishing>,
    ) -> Result<Vec<Text>, PubsubError> {
        self.set_now(now);
        let outflow = self.outflows.get_mut(&publisher);
        let outflow = outflow.ok_or(PubsubError::Ended)?;
        let (mut changes, mut ids) = (Vec::new(), Vec::new());
        let mut last = None;
        let mut too_big = false;
        for Publishing { id, payload, tell } in publications {
            match outflow.publish(self.now, id, payload, tell, &mut changes) {
                Ok((id, position)) => {
                    ids.push(id);
                    last = Some(position);
                }
                Err(NotTaken::Full) => break,
                Err(NotTaken::TooBig) => {
                    too_big = true;
                    break;
                }
            }
        }
        let waiting = last.map(|position| Waiting::Outflow(publisher, position));
        self.keep(changes, waiting);
        match (too_big, ids.is_empty()) {
            (true, true) => Err(PubsubError::TooBig(PAYLOAD)),
            _ => Ok(ids),
        }
    }

    /// Gives up what waits at a publisher. How many that were.
    pub(crate) fn give_up(&mut self, publisher: u64) -> Option<usize> {
        let (count, changes) = self.outflows.get_mut(&publisher)?.give_up();
        self.keep(changes, None);
        Some(count)
    }

    /// What a publisher has done, its stream, and how many publications wait.
    pub(crate) fn publisher(&self, publisher: u64) -> Option<(PublisherCounters, StreamId, usize)> {
        let outflow = self.outflows.get(&publisher)?;
        Some((outflow.counters, outflow.stream().clone(), outflow.len()))
    }

    /// The number of a publisher's last item.
    pub(crate) fn taken(&self, publisher: u64) -> Option<u64> {
        self.outflows.get(&publisher).map(Outflow::last_number)
    }

    // ---- subscriptions --------------------------------------------------------------

    /// Subscribes to a node, from where the rows say.
    pub(crate) fn open_subscription(
        &mut self,
        service: Option<Jid>,
        node: Text,
        config: SubscriptionConfig,
        kept: Kept,
        wake: Wake,
        open: Arc<AtomicBool>,
    ) -> Result<u64, PubsubError> {
        self.sweep();
        let mut all = self.intakes.values();
        if all.any(|(intake, _)| intake.is_of(service.as_ref(), &node)) {
            return Err(PubsubError::AlreadyOpen(node.into_string()));
        }
        if self.intakes.len() >= SUBSCRIPTIONS {
            return Err(PubsubError::TooMany(SUBSCRIPTIONS));
        }
        let id = self.id();
        let name = name_of(service.as_ref(), &node);
        let intake = Intake::new(service, node, name, config, kept, wake);
        self.intakes.insert(id, (intake, open));
        Ok(id)
    }

    /// What is there for a subscription's application.
    pub(crate) fn take(&mut self, subscription: u64, most: usize) -> Option<Vec<Handed>> {
        let (intake, _) = self.intakes.get_mut(&subscription)?;
        Some(intake.take(most))
    }

    /// Looks out for what contacts publish at nodes of that name.
    pub(crate) fn follow(
        &mut self,
        node: Text,
        wake: Wake,
        open: Arc<AtomicBool>,
    ) -> Result<u64, PubsubError> {
        self.sweep();
        if self.follows.len() >= SUBSCRIPTIONS {
            return Err(PubsubError::TooMany(SUBSCRIPTIONS));
        }
        let id = self.id();
        let follow = Follow {
            node,
            queue: VecDeque::new(),
            missed: 0,
            wake,
            open,
        };
        self.follows.insert(id, follow);
        self.outputs.push_back(Output::Announce);
        Ok(id)
    }

    /// What came of contacts, and how many gave way meanwhile.
    pub(crate) fn take_followed(&mut self, id: u64) -> Option<(Option<(Jid, Event)>, u64)> {
        let follow = self.follows.get_mut(&id)?;
        Some((follow.queue.pop_front(), std::mem::take(&mut follow.missed)))
    }

    /// What was dropped by its application is forgotten.
    fn sweep(&mut self) {
        let open = |open: &Arc<AtomicBool>| open.load(Ordering::Relaxed);
        self.intakes.retain(|_, (_, is_open)| open(is_open));
        let before = self.follows.len();
        self.follows.retain(|_, follow| open(&follow.open));
        if self.follows.len() != before {
            self.outputs.push_back(Output::Announce);
        }
    }

    fn event(&mut self, message: &Message) -> Taken {
        let (Some(from), Ok(Some(event))) = (&message.header.from, message.payload::<Event>())
        else {
            return Taken::No;
        };
        if message.kind == MessageType::Error {
            return Taken::No;
        }
        let own = self.own.as_ref() == Some(from);
        let service = (!own).then_some(from);
        let node = match &event {
            Event::Items { node, .. } | Event::Delete { node, .. } | Event::Purge { node } => {
                Some(node.clone())
            }
            Event::Configuration { node, .. } | Event::Collection { node, .. } => node.clone(),
            Event::Subscription(subscription) => subscription.node.clone(),
        };
        let Some(node) = node else {
            return Taken::No;
        };
        let mut taken = Taken::No;
        let mut changes = Vec::new();
        for (intake, _) in self.intakes.values_mut() {
            // Our own address may be named, too.
            if intake.is_of(service, &node) || (own && intake.is_of(Some(from), &node)) {
                intake.event(event.clone(), &mut changes);
                taken = Taken::Yes;
            }
        }
        // An account's server speaks for it without a resource.
        if from.local().is_some() && from.resource().is_none() {
            for follow in self.follows.values_mut().filter(|f| f.node == node) {
                if follow.queue.len() >= FOLLOWED {
                    follow.queue.pop_front();
                    follow.missed += 1;
                }
                follow.queue.push_back((from.clone(), event.clone()));
                (follow.wake.0)();
                taken = Taken::Yes;
            }
        }
        self.keep(changes, None);
        taken
    }

    // ---- requests -------------------------------------------------------------------

    fn answered(&mut self, tag: u64, answer: Result<Option<Element>, RequestError>) {
        match self.errands.remove(&tag) {
            Some(Owner::Outflow(id, errand)) => {
                self.under_way -= 1;
                if let Some(outflow) = self.outflows.get_mut(&id) {
                    let changes = outflow.answered(self.now, errand, answer.map(drop));
                    self.keep(changes, None);
                }
            }
            Some(Owner::Intake(id, errand)) => {
                if let Some((intake, _)) = self.intakes.get_mut(&id) {
                    let mut changes = Vec::new();
                    intake.wall = self.wall;
                    let waits = intake.answered(self.now, errand, answer, &mut changes);
                    self.keep(changes, waits.then_some(Waiting::Intake(id)));
                }
            }
            None => {}
        }
    }

    fn up(&mut self, own: Jid, resumed: bool) {
        self.own = Some(own);
        if resumed {
            return;
        }
        self.errands.clear();
        self.under_way = 0;
        for outflow in self.outflows.values_mut() {
            outflow.restart();
        }
        for (intake, _) in self.intakes.values_mut() {
            intake.restart();
        }
    }

    /// Asks for whatever may be asked for now.
    fn pump(&mut self) {
        self.sweep();
        let Some(own) = self.own.clone() else {
            return;
        };
        for lane in Lane::ALL {
            let most = match lane {
                Lane::Alarm => UNDER_WAY,
                _ => UNDER_WAY - ALARMS,
            };
            while self.under_way < most && self.pump_lane(lane, most) {}
        }
        for (id, (intake, _)) in &mut self.intakes {
            while let Some((errand, request)) = intake.next(self.now, &own) {
                self.next_tag += 1;
                let tag = self.next_tag;
                self.errands.insert(tag, Owner::Intake(*id, errand));
                self.outputs.push_back(Output::Request { tag, request });
            }
        }
    }

    /// One request of each publisher of a lane, another one first each time. False if
    /// there is none.
    fn pump_lane(&mut self, lane: Lane, most: usize) -> bool {
        let of_lane = self.outflows.iter().filter(|(_, o)| o.config.lane == lane);
        let mut ids: Vec<_> = of_lane.map(|(id, _)| *id).collect();
        let middle = ids.partition_point(|id| *id <= self.turn);
        ids.rotate_left(middle);
        let mut any = false;
        for id in ids {
            if self.under_way >= most {
                break;
            }
            if let Some(outflow) = self.outflows.get_mut(&id)
                && let Some((errand, request)) = outflow.next(self.now)
            {
                self.next_tag += 1;
                let tag = self.next_tag;
                self.errands.insert(tag, Owner::Outflow(id, errand));
                self.under_way += 1;
                self.outputs.push_back(Output::Request { tag, request });
                self.turn = id;
                any = true;
            }
        }
        any
    }

    fn due(&self) -> Option<Duration> {
        let outflows = self.outflows.values().filter_map(|o| o.due(self.now));
        let intakes = self.intakes.values().filter_map(|(i, _)| i.due(self.now));
        let intakes = intakes.filter(|_| self.own.is_some());
        outflows.chain(intakes).min()
    }
}

impl Service for State {
    const NAME: &'static str = "pubsub";
    type Event = ();

    /// What we look out for at our contacts (XEP-0163 §3).
    fn features(&self) -> Vec<Text> {
        let follows = self
            .follows
            .values()
            .filter(|f| f.open.load(Ordering::Relaxed));
        let mut features: Vec<_> = follows
            .filter_map(|follow| Text::new(format!("{}+notify", follow.node)).ok())
            .collect();
        features.dedup();
        features
    }

    fn restore(&mut self, key: &str, value: &[u8]) {
        let name = key.get(1..).unwrap_or_default();
        if key.starts_with('p') {
            if let Some(id) = self.outflow_named(name, 0)
                && let Some(outflow) = self.outflows.get_mut(&id)
            {
                outflow.restore_head(value);
            }
        } else if key.starts_with('q')
            && let Some((name, position)) = name.rsplit_once('\u{1f}')
            && let Some(outflow) = self.names.get(name)
            && let Some(outflow) = self.outflows.get_mut(outflow)
        {
            outflow.restore_entry(position, value);
        }
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        self.set_now(now);
        match input {
            Input::Up(up) => self.up((*up.jid.to_bare()).clone(), up.resumed),
            Input::Down => self.own = None,
            Input::Stanza(Stanza::Message(message)) => return self.event(message),
            Input::Answer { tag, answer } => self.answered(tag, answer),
            Input::Kept { tag } => match self.waiting.remove(&tag) {
                Some(Waiting::Outflow(id, position)) => {
                    if let Some(outflow) = self.outflows.get_mut(&id) {
                        outflow.kept(position);
                    }
                }
                Some(Waiting::Intake(id)) => {
                    if let Some((intake, _)) = self.intakes.get_mut(&id) {
                        intake.kept();
                    }
                }
                None => {}
            },
            Input::Tick => {
                for outflow in self.outflows.values_mut() {
                    outflow.doubt(self.now);
                }
            }
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<()> {
        if self.outputs.is_empty() {
            self.pump();
        }
        match self.outputs.pop_front() {
            Some(output) => output,
            None => Output::Wait(self.due()),
        }
    }
}
