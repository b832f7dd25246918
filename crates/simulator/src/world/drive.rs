//! The processes of the world: each a stand-in for a driver, and the application above
//! it.

use std::time::Duration;

use stanchion_reliability::engine::{
    Event as Told, Input, Mode, Output, ReconnectReason, Refusal, Submission,
};
use stanchion_reliability::outcome::Outcome;
use stanchion_reliability::protection::Protection;
use stanchion_stanza::payload::delivery::{Cancel, Channel, Deliver, StoreTag};
use stanchion_stanza::payload::receipts::{Received, Request};
use stanchion_stanza::payload::sid::OriginId;
use stanchion_stanza::payload::sm::Ack;
use stanchion_stanza::{
    Element, Encoder, Jid, Limits, Message, Payload as _, Scope, Text, codec::parse_element, ns,
};
use stanchion_testkit::ToServer;

use super::{Event, Phase, SLACK, World, bundled, kept_body, poison};
use crate::device::{Line, Process};
use crate::law::{Checked, Law};
use crate::ledger::{self, CHANNELS, Id};
use crate::setup::MS;
use crate::switch::Switch;

/// Numbers of a channel, from the lowest that is open on, that may be on their way.
const WINDOW: u64 = 136;
/// Outputs of one drain at most; a process that gives more does not come to rest.
const OUTPUTS: usize = 20_000;

impl World {
    /// Does what the engine wants, as a driver would. The process may be killed between
    /// any two outputs.
    pub(super) fn drain(&mut self, of: usize) -> Checked {
        let mut ticked = false;
        for _ in 0..OUTPUTS {
            let Some(process) = &mut self.devices[of].process else {
                return Ok(());
            };
            if !process.has_room() {
                self.flush(of);
                self.store_works(of);
                return self.bounds(of);
            }
            if let Some((outputs, lasts)) = &mut process.doom {
                if *outputs == 0 {
                    let lasts = *lasts;
                    return self.crashes(of, lasts);
                }
                *outputs -= 1;
            }
            match process.engine.poll_output() {
                Output::Persist(ops) => process.persist(of, ops, &mut self.ledger)?,
                Output::Load(load) => process.load(load),
                Output::Transmit(bytes) => self.transmits(of, &bytes)?,
                Output::Reconnect(reason) => {
                    self.flush(of);
                    self.reconnects(of, &reason)?;
                }
                Output::Event(Told::StoreFailed(_)) => return self.store_failed(of),
                Output::Event(Told::Cloned { channel, .. }) => {
                    self.tells(|| format!("d{of} is told that it was cloned, on {channel}"));
                    if !self.ledger.messages.iter().any(|m| {
                        m.from == of
                            && (self.ledger.was_set_back(of) || self.ledger.was_set_back(m.to))
                    }) {
                        let how = format!("d{of} takes itself for a clone");
                        return Err(Law::Protocol.broken(how));
                    }
                    // A person looks after it, and starts it again.
                    return self.dies(of, 1000 * MS);
                }
                Output::Event(event) => self.told(of, event)?,
                Output::Wait(until) => {
                    self.flush(of);
                    if !self.waits(of, until, ticked)? {
                        return self.bounds(of);
                    }
                    ticked = true;
                }
            }
        }
        Err(Law::Rest.broken(format!("d{of} never waits")))
    }

    /// The engine waits. Gives whether its time is there already.
    fn waits(
        &mut self,
        of: usize,
        until: Option<Duration>,
        ticked: bool,
    ) -> Result<bool, crate::law::Violation> {
        let now = self.now();
        let device = &mut self.devices[of];
        let (life, wall) = (device.life, device.wall(now));
        let Some(process) = &mut device.process else {
            return Ok(false);
        };
        let until = until.map(|at| process.world_time(at));
        if until.is_some_and(|at| at <= now) {
            if ticked {
                return Err(Law::Rest.broken(format!("d{of} waits for the past")));
            }
            let clock = process.clock(now, wall);
            process.engine.handle(clock, Input::Tick);
            return Ok(true);
        }
        if let Some(at) = until
            && process.wake.is_none_or(|planned| planned != at)
        {
            process.wake = Some(at);
            self.schedule.at(at, Event::Wakes { of, life, at });
        }
        self.store_works(of);
        Ok(false)
    }

    /// The store answers the next of its requests after a while.
    fn store_works(&mut self, of: usize) {
        let now = self.now();
        let device = &mut self.devices[of];
        let (life, slow) = (device.life, now < device.slow_until);
        if let Some(process) = &mut device.process
            && process.has_jobs()
            && !process.stepping
        {
            process.stepping = true;
            let most = if slow { 1500 * MS } else { 8 * MS };
            let wait = self.random.time(Duration::ZERO, most);
            self.schedule.after(wait, Event::StoreSteps { of, life });
        }
    }

    pub(super) fn wakes(&mut self, of: usize, at: Duration) -> Checked {
        let Some(process) = &mut self.devices[of].process else {
            return Ok(());
        };
        if process.wake != Some(at) {
            return Ok(());
        }
        process.wake = None;
        self.tell(of, Input::Tick)
    }

    fn reconnects(&mut self, of: usize, reason: &ReconnectReason) -> Checked {
        if matches!(reason, ReconnectReason::HandledTooHigh(_)) {
            return Err(Law::Protocol.broken(format!("d{of} blames an honest server: {reason}")));
        }
        self.tells(|| format!("d{of} gives the stream up: {reason}"));
        if !reason.is_resumable()
            && let Some(process) = &mut self.devices[of].process
        {
            process.resumable = None;
        }
        self.lost(of)
    }

    /// What was given to the stream goes out.
    fn flush(&mut self, of: usize) {
        let Some(process) = &mut self.devices[of].process else {
            return;
        };
        if process.unflushed.is_empty() {
            return;
        }
        let elements = std::mem::take(&mut process.unflushed);
        if let Line::Up { on, .. } = process.line {
            for element in elements {
                self.puts_on_the_wire(on, ToServer::Element(element));
            }
        }
    }

    /// The same as the process is killed: the first ones may have gone out.
    pub(super) fn flush_some(&mut self, of: usize) {
        let Some(process) = &mut self.devices[of].process else {
            return;
        };
        let some = self.random.below(process.unflushed.len() as u64 + 1) as usize;
        process.unflushed.truncate(some);
        self.flush(of);
    }

    fn transmits(&mut self, of: usize, bytes: &[u8]) -> Checked {
        let element =
            parse_element(bytes, &Scope::client(), &Limits::default()).map_err(|error| {
                Law::Protocol.broken(format!("d{of} transmits no element: {error}"))
            })?;
        let Some(process) = &self.devices[of].process else {
            return Ok(());
        };
        let Line::Up { clear, .. } = process.line else {
            return Err(Law::Protocol.broken(format!("d{of} transmits without a stream")));
        };
        self.examines(of, &element, clear)?;
        let inner = bundled(&element);
        if !inner.is_empty() {
            self.summary.bundled += inner.len() as u64;
            let ids = inner.iter().filter_map(kept_body);
            let ids = ids.filter_map(|body| ledger::number(&body)).collect();
            let named = element.attr("id").unwrap_or_default();
            self.ledger.bundles(of, named, ids);
        }
        for message in inner {
            self.examines(of, &message, clear)?;
        }
        if let Some(process) = &mut self.devices[of].process {
            process.unflushed.push(element);
        }
        Ok(())
    }

    /// What is transmitted, against the laws.
    fn examines(&mut self, of: usize, element: &Element, clear: bool) -> Checked {
        if Ack::matches(element) {
            let h = Ack::from_element(element).map_or(u32::MAX, |ack| ack.h);
            return self.devices[of].acknowledges(h, &self.ledger);
        }
        if element.attr("type") == Some("error") {
            let to = element.attr("to").and_then(|to| to.parse::<Jid>().ok());
            let to = to.as_ref().map_or("", Jid::bare_str);
            let named = element.attr("id").unwrap_or_default();
            self.ledger.sends_back(of, to, named);
        } else if let Some(body) = kept_body(element) {
            let Some(id) = ledger::number(&body) else {
                return Ok(());
            };
            let named = element.attr("id").unwrap_or_default();
            let said = element.children().find(|child| Deliver::matches(child));
            let said = said.and_then(|said| Deliver::from_element(said).ok());
            let spoken = said.is_some();
            if let Some(said) = &said
                && said.seq >= said.low + WINDOW
            {
                let how = format!("{named} left at {} with {} open", said.seq, said.low);
                return Err(Law::Bounds.broken(how));
            }
            if let Some(said) = &said {
                self.ledger.transmits_in(id, said);
            }
            let store = said.and_then(|said| Some(said.to?.store));
            self.ledger.transmits(id, named, spoken, store)?;
            if clear && self.ledger.get(id).is_some_and(|m| m.strict) {
                return Err(Law::Protection.broken(format!("{named} left on a stream without TLS")));
            }
            self.stranger.overhears(id);
        } else if let Some(receipt) = element.children().find(|c| Received::matches(c)) {
            let of_whom = receipt.attr("id").unwrap_or_default();
            let to = element.attr("to").and_then(|to| to.parse::<Jid>().ok());
            let to = to.as_ref().map_or("", Jid::bare_str);
            self.ledger.confirms(of_whom, to)?;
        } else if let Some(said) = element.children().find(|c| c.ns() == ns::DELIVERY) {
            if let (true, Ok(cancel)) = (Cancel::matches(said), Cancel::from_element(said)) {
                if cancel.seq >= cancel.low + WINDOW {
                    let how = format!("{} was cancelled with {} open", cancel.seq, cancel.low);
                    return Err(Law::Bounds.broken(how));
                }
                self.ledger.cancels(cancel.id);
            }
            let to = element.attr("to").and_then(|to| to.parse::<Jid>().ok());
            self.ledger
                .says(of, to.as_ref().map_or("", Jid::bare_str), said)?;
        }
        Ok(())
    }

    fn store_failed(&mut self, of: usize) -> Checked {
        if let Some(process) = &mut self.devices[of].process {
            process.unflushed.clear();
            let connection = process.line.connection();
            process.line = Line::Down;
            self.count(of);
            self.hangs_up(connection);
        }
        self.reopens(of)
    }

    /// The store is opened again, or tried again later.
    pub(super) fn reopens(&mut self, of: usize) -> Checked {
        let (now, entropy) = (self.now(), self.random.number());
        let engine = self.setup.engine;
        match self.devices[of].reopen(now, engine, entropy) {
            Some(connection) => {
                self.hangs_up(connection);
                self.begins(of)
            }
            None => {
                if let Some(process) = &mut self.devices[of].process {
                    process.fails_again(now);
                }
                let life = self.devices[of].life;
                self.schedule.after(1000 * MS, Event::Reopens { of, life });
                Ok(())
            }
        }
    }

    fn told(&mut self, of: usize, event: Told) -> Checked {
        let life = self.devices[of].life;
        if !matches!(event, Told::Transient(_)) {
            self.tells(|| format!("d{of} is told {event:?}"));
        }
        match event {
            Told::Accepted { id } => self.accepted(&id, life),
            Told::Refused {
                id,
                why: Refusal::OutboxFull { .. },
            } => {
                if let Some(id) = ledger::number(&id)
                    && let Some(message) = self.ledger.get_mut(id)
                {
                    message.submitted = false;
                    self.schedule.after(1000 * MS, Event::Submits(id));
                }
            }
            Told::Refused { id, .. } => {
                // Given again after a crash, and known: it was kept.
                let known = ledger::number(&id).and_then(|id| self.ledger.get(id));
                if !known.is_some_and(|m| m.kept) {
                    return Err(Law::Lost.broken(format!("{id} was refused for no reason")));
                }
                self.accepted(&id, 0);
            }
            Told::Outcome { id, outcome } => self.outcome(&id, life, &outcome)?,
            Told::Message {
                arrival,
                message,
                maybe_redelivered,
            } => self.handed(of, arrival, &message, maybe_redelivered)?,
            Told::Begun { arrival } => {
                let process = self.devices[of].process.as_mut();
                if let Some(id) = process.and_then(|p| p.beginning.remove(&arrival)) {
                    let acts = Event::Acts {
                        of,
                        life,
                        arrival,
                        id,
                        warned: true,
                        begun: true,
                    };
                    self.schedule.after(Duration::ZERO, acts);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn outcome(&mut self, id: &str, life: u64, outcome: &Outcome) -> Checked {
        let Some(id) = ledger::number(id) else {
            return Err(Law::WrongOutcome.broken(format!("an outcome for {id}, which nobody sent")));
        };
        self.ledger.outcome(life, id, outcome)?;
        match outcome {
            Outcome::Acknowledged { .. } => self.summary.acknowledged += 1,
            Outcome::NotDelivered(_) => self.summary.not_delivered += 1,
            Outcome::InDoubt(_) => self.summary.in_doubt += 1,
            _ => self.summary.delivered += 1,
        }
        Ok(())
    }

    /// A message is handed to the application.
    fn handed(&mut self, of: usize, arrival: u64, message: &Message, warned: bool) -> Checked {
        let body = message.body().unwrap_or_default();
        let from = message.header.from.as_ref().map_or("", Jid::bare_str);
        let id = self.ledger.genuine(&body, from);
        let device = &mut self.devices[of];
        let life = device.life;
        if let Some(process) = &mut device.process
            && !process.handed.insert(arrival)
        {
            return Err(Law::Twice.broken(format!("{body} was handed over twice in one life")));
        }
        if id
            .and_then(|id| self.ledger.get(id))
            .is_some_and(|known| known.to != of)
        {
            return Err(Law::Protocol.broken(format!("d{of} got {body}, which is another's")));
        }
        if let (Some(id), Some(process)) = (id, &self.devices[of].process) {
            let store = process
                .engine
                .place()
                .map_or(StoreTag(0), |place| place.store);
            self.ledger.hands_over(id, store)?;
        }
        // Some take long.
        let rough = self.phase == Phase::Trouble && self.setup.on.has(Switch::SlowApplication);
        let slow = rough && self.random.chance(40);
        let most = if slow { 20_000 * MS } else { 300 * MS };
        let wait = self.random.time(Duration::ZERO, most);
        let acts = Event::Acts {
            of,
            life,
            arrival,
            id,
            warned,
            begun: !warned,
        };
        self.schedule.after(wait, acts);
        Ok(())
    }

    /// The application is about to act on a message that an earlier process had.
    pub(super) fn is_about_to_act(&mut self, of: usize, arrival: u64, id: Option<Id>) -> Checked {
        if let Some(id) = id {
            self.ledger.begins(id);
        }
        if let Some(process) = &mut self.devices[of].process {
            process.beginning.insert(arrival, id);
        }
        self.tell(of, Input::Begin { arrival })
    }

    /// The application acts on a message and commits it, if it lives so long.
    pub(super) fn acts(
        &mut self,
        of: usize,
        arrival: u64,
        id: Option<Id>,
        warned: bool,
    ) -> Checked {
        let (life, transactional) = (self.devices[of].life, self.devices[of].transactional);
        if let Some(id) = id
            && !transactional
        {
            self.ledger.acts(id, warned, life)?;
        }
        if id.is_some_and(|id| self.ledger.get(id).is_some_and(|m| m.doomed)) {
            self.summary.count(Switch::Doomed, 1);
            return self.crashes(of, 1000 * MS);
        }
        let may_crash =
            self.phase == Phase::Trouble && self.setup.on.has(Switch::CrashWhileProcessing);
        if may_crash && self.random.chance(25) {
            self.summary.count(Switch::CrashWhileProcessing, 1);
            return self.crashes(of, 1000 * MS);
        }
        self.tell(of, Input::Commit { arrival })
    }

    pub(super) fn submits(&mut self, id: Id) -> Checked {
        let now = self.now();
        let Some(message) = self.ledger.get_mut(id) else {
            return Ok(());
        };
        if message.accepted.is_some() || message.forgotten {
            return Ok(());
        }
        let of = message.from;
        // A session takes nothing while its store has no room.
        let takes = self.devices[of].process.as_ref().map(Process::has_room);
        if takes == Some(false) {
            self.schedule.after(20 * MS, Event::Submits(id));
            return Ok(());
        }
        if self.devices[of].process.is_none() {
            let at = self.once_they_run(200 * MS);
            self.schedule.at(at, Event::Submits(id));
            return Ok(());
        }
        message.submitted = true;
        let first = !std::mem::replace(&mut message.given, true);
        if first {
            message.deadline = message.lifetime.map(|lifetime| now + lifetime);
            message.slip = self.devices[of].slip;
        }
        // On the device's clock: what is left, from now.
        let wall = self.devices[of].wall(now);
        let deadline = message.deadline.map(|at| {
            let left = i128::try_from(at.as_millis()).unwrap_or(0)
                - i128::try_from(now.as_millis()).unwrap_or(0);
            let left = i64::try_from(left).unwrap_or(0);
            stanchion_reliability::store::WallTime::from_unix_ms(
                wall.as_unix_ms().saturating_add(left),
            )
        });
        if let Some(at) = message.deadline.filter(|_| first) {
            self.schedule.at(at + SLACK, Event::Due(id));
        }
        let protection = if message.strict {
            Protection::default()
        } else {
            Protection::Any
        };
        let mode = match CHANNELS.get(usize::from(message.channel)) {
            Some(channel) => Channel::new(channel).map_or(Mode::AtLeastOnce, Mode::ExactlyOnce),
            None => Mode::AtLeastOnce,
        };
        if let Some(regret) = message.regret.filter(|_| first) {
            self.schedule.at(now + regret, Event::TakesBack(id));
        }
        let to = Jid::from(self.devices[message.to].accounts[0].jid.to_bare());
        let stanza = encode(id, &to, message.poison)
            .ok_or_else(|| Law::Protocol.broken(format!("m{id} cannot be encoded")))?;
        let submission = Submission {
            id: ledger::name(id),
            to,
            stanza: stanza.into(),
            deadline,
            protection,
            mode,
        };
        self.tell(of, Input::Send(submission))
    }

    /// The application takes a message back, if it knows that it was accepted.
    pub(super) fn takes_back(&mut self, id: Id) -> Checked {
        let Some(message) = self.ledger.get_mut(id) else {
            return Ok(());
        };
        let of = message.from;
        if self.devices[of].process.is_none() || message.accepted.is_none() || message.forgotten {
            return Ok(());
        }
        message.taken_back = true;
        self.tell(
            of,
            Input::Cancel {
                id: ledger::name(id),
            },
        )
    }

    fn accepted(&mut self, id: &str, life: u64) {
        let now = self.now();
        if let Some(id) = ledger::number(id)
            && let Some(message) = self.ledger.get_mut(id)
        {
            if message.accepted.is_none() {
                message.accepted_at = now;
            }
            message.accepted.get_or_insert(life);
        }
    }

    /// After a while; but nobody runs before copies come days later.
    fn once_they_run(&self, wait: Duration) -> Duration {
        let at = self.now() + wait;
        match self.phase {
            Phase::Later(since) => since.max(at),
            Phase::Trouble | Phase::Calm => at,
        }
    }

    /// The time of a message is over: if its sender runs, it knows an outcome.
    pub(super) fn due(&mut self, id: Id) -> Checked {
        let now = self.now();
        let Some(message) = self.ledger.get(id) else {
            return Ok(());
        };
        if message.has_outcome() || message.forgotten || !message.submitted {
            return Ok(());
        }
        let device = &self.devices[message.from];
        // What its clocks slipped since, it may be late.
        let slipped = device.slip.saturating_sub(message.slip);
        let over = message
            .deadline
            .is_some_and(|at| at.max(message.accepted_at) + slipped + SLACK <= now);
        // It must have run for a while, with a store that answered.
        let ready = device.process.as_ref().is_some_and(|p| {
            p.engine_started + p.slept + SLACK <= now && device.slow_until + 10 * SLACK <= now
        });
        if ready && over && message.accepted.is_some() {
            return Err(Law::Late.broken(format!("m{id} has no outcome at its deadline")));
        }
        let at = self.once_they_run(500 * MS);
        self.schedule.at(at, Event::Due(id));
        Ok(())
    }
}

/// A message as a session makes it.
fn encode(id: Id, to: &Jid, poisoned: bool) -> Option<Vec<u8>> {
    let text = Text::new(ledger::name(id)).ok()?;
    let mut message = Message::chat(to.clone())
        .with_id(text.clone())
        .with_body(text.clone())
        .with_payload(OriginId { id: text }.to_element())
        .with_payload(Request.to_element());
    if poisoned {
        message = message.with_payload(poison());
    }
    Encoder::new(Scope::client(), Limits::default())
        .to_bytes(&message.to_element())
        .ok()
}
