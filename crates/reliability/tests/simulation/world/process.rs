//! The processes of the world: each a stand-in for a driver, and the application above
//! it.

use std::time::Duration;

use stanchion_reliability::engine::{
    Event as Told, Input, Mode, Output, ReconnectReason, Refusal, Submission,
};
use stanchion_reliability::outcome::Outcome;
use stanchion_reliability::protection::Protection;
use stanchion_stanza::payload::delivery::{Answer, Cancel};
use stanchion_stanza::payload::receipts::{Received, Request};
use stanchion_stanza::payload::sid::OriginId;
use stanchion_stanza::payload::sm::Ack;
use stanchion_stanza::{
    Encoder, Jid, Limits, Message, Payload as _, Scope, Text, codec::parse_element,
};
use stanchion_testkit::ToServer;

use super::{Event, MS, SLACK, World, must_be_durable, number_of};
use crate::device::{Device, Line, wall};
use crate::ledger::Checked;

impl World {
    pub(super) fn tell(&mut self, of: usize, input: Input) -> Checked {
        let now = self.now();
        if let Some(process) = &mut self.devices[of].process {
            process.tell(now, input);
        }
        self.drain(of)
    }

    /// Does what the engine wants, as a driver would.
    pub(super) fn drain(&mut self, of: usize) -> Checked {
        let now = self.now();
        let life = self.devices[of].life;
        let mut ticked = false;
        for _ in 0..10_000 {
            let Some(process) = &mut self.devices[of].process else {
                return Ok(());
            };
            match process.engine.poll_output() {
                Output::Persist(ops) => process.persist(ops),
                Output::Load(load) => process.load(load),
                Output::Transmit(bytes) => self.transmits(of, &bytes)?,
                Output::Reconnect(reason) => {
                    if matches!(reason, ReconnectReason::HandledTooHigh(_)) {
                        return Err(format!("blames an honest server: {reason}"));
                    }
                    if !reason.is_resumable() {
                        process.resumable = None;
                    }
                    self.lost(of)?;
                }
                Output::Event(Told::StoreFailed(_)) => return self.reopens(of),
                Output::Event(event) => self.told(of, event)?,
                Output::Wait(until) => {
                    let until = until.map(|at| process.started + at);
                    if until.is_some_and(|at| at <= now) {
                        if ticked {
                            return Err("the engine waits for the past".to_owned());
                        }
                        ticked = true;
                        process.tell(now, Input::Tick);
                        continue;
                    }
                    if let Some(at) = until
                        && process.wake.is_none_or(|planned| planned != at)
                    {
                        process.wake = Some(at);
                        self.schedule.at(at, Event::Wakes { of, life, at });
                    }
                    if !process.jobs.is_empty() && !process.stepping {
                        process.stepping = true;
                        let slow = now < self.devices[of].slow_until;
                        let most = if slow { 1500 * MS } else { 8 * MS };
                        let wait = self.random.time(Duration::ZERO, most);
                        self.schedule.after(wait, Event::StoreSteps { of, life });
                    }
                    return Ok(());
                }
            }
        }
        Err("the engine never waits".to_owned())
    }

    pub(super) fn reopens(&mut self, of: usize) -> Checked {
        let (now, entropy) = (self.now(), self.random.number());
        self.count(of);
        let connection = self.devices[of].reopen(now, self.setup.engine, entropy);
        self.hangs_up(connection, now);
        self.begins(of)
    }

    pub(super) fn transmits(&mut self, of: usize, bytes: &[u8]) -> Checked {
        let element = parse_element(bytes, &Scope::client(), &Limits::default())
            .map_err(|error| format!("transmits no element: {error}"))?;
        let Device {
            process, ledger, ..
        } = &mut self.devices[of];
        let Some(process) = process else {
            return Ok(());
        };
        let Line::Up(on) = process.line else {
            return Err("transmits without a stream".to_owned());
        };
        if let Ok(ack) = Ack::from_element(&element)
            && Ack::matches(&element)
        {
            process.acknowledges(ack.h, ledger)?;
        } else if let Some(id) = must_be_durable(&element) {
            let named = element.attr("id").unwrap_or_default();
            ledger.transmits(named, &id)?;
        } else if let Some(cancel) = element.children().find(|c| Cancel::matches(c)) {
            ledger.cancels(Cancel::from_element(cancel).map_err(|e| e.to_string())?.id);
        } else if let Some(answer) = element.children().find(|c| Answer::matches(c)) {
            for verdict in Answer::from_element(answer)
                .map_err(|e| e.to_string())?
                .verdicts
            {
                ledger.judges(&verdict)?;
            }
        } else if let Some(receipt) = element.children().find(|c| Received::matches(c)) {
            ledger.confirms(receipt.attr("id").unwrap_or_default())?;
        }
        self.puts_on_the_wire(on, ToServer::Element(element));
        Ok(())
    }

    pub(super) fn told(&mut self, of: usize, event: Told) -> Checked {
        let life = self.devices[of].life;
        if self.tell && !matches!(event, Told::Transient(_)) {
            println!("    {of} is told {event:?}");
        }
        match event {
            Told::Accepted { id } => self.accepted(of, &id, life),
            Told::Refused {
                id,
                why: Refusal::OutboxFull(_),
            } => {
                self.devices[of]
                    .ledger
                    .sent
                    .entry(id.clone())
                    .or_default()
                    .submitted = false;
                let number = number_of(&id);
                self.schedule
                    .after(1000 * MS, Event::Submits { of, number });
            }
            Told::Refused { id, .. } => {
                // Given again after a crash, and known: it was kept.
                if !self.devices[of].ledger.outbox.contains(&id) {
                    return Err(format!("{id} was refused for no reason"));
                }
                self.accepted(of, &id, 0);
            }
            Told::Outcome { id, outcome } => {
                let [a, b] = &mut self.devices;
                let (sender, receiver) = if of == 0 { (a, b) } else { (b, a) };
                let effected = receiver.ledger.effects.contains(&id);
                sender.ledger.outcome(life, &id, &outcome, effected)?;
                match outcome {
                    Outcome::Acknowledged { .. } | Outcome::Delivered { .. } => {
                        self.summary.acknowledged += 1
                    }
                    Outcome::NotDelivered(_) => self.summary.not_delivered += 1,
                    _ => self.summary.in_doubt += 1,
                }
            }
            Told::Message {
                arrival,
                message,
                maybe_redelivered,
            } => {
                let id = message.body().unwrap_or_default().into_owned();
                let Device {
                    process, ledger, ..
                } = &mut self.devices[of];
                if !ledger.inbox.contains(&id) {
                    return Err(format!("{id} was handed over before it was durable"));
                }
                if process
                    .as_mut()
                    .is_some_and(|p| !p.handed.insert(id.clone()))
                {
                    return Err(format!("{id} was handed over twice in one life"));
                }
                if !ledger.handed_over.contains(&id) {
                    ledger.handed_over.push(id.clone());
                }
                // Some take long.
                let slow = !self.calm && self.random.chance(40);
                let most = if slow { 20_000 * MS } else { 300 * MS };
                let wait = self.random.time(Duration::ZERO, most);
                let warned = maybe_redelivered;
                self.schedule.after(
                    wait,
                    Event::Acts {
                        of,
                        life,
                        arrival,
                        id,
                        warned,
                    },
                );
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn submits(&mut self, of: usize, number: u64) -> Checked {
        let now = self.now();
        let id = format!("{of}-{number}");
        let deadline = if self.random.chance(self.setup.deadlines) {
            Some(now + self.random.time(Duration::ZERO, 40_000 * MS))
        } else {
            None
        };
        let to = Jid::from(self.devices[1 - of].jid.clone()).to_bare();
        let Device {
            process, ledger, ..
        } = &mut self.devices[of];
        let Some(process) = process else {
            self.schedule.after(200 * MS, Event::Submits { of, number });
            return Ok(());
        };
        let sent = ledger.sent.entry(id.clone()).or_default();
        if sent.accepted.is_some() {
            return Ok(());
        }
        sent.submitted = true;
        let first = !std::mem::replace(&mut sent.given, true);
        if first {
            sent.deadline = deadline;
        }
        let deadline = sent.deadline.map(wall);
        if let Some(at) = sent.deadline.filter(|_| first) {
            let due = Event::Due { of, id: id.clone() };
            self.schedule.at(at + SLACK, due);
        }
        let text = Text::new(id.clone()).unwrap_or_default();
        let message = Message::chat(to.clone().into())
            .with_id(text.clone())
            .with_body(text.clone())
            .with_payload(OriginId { id: text }.to_element())
            .with_payload(Request.to_element());
        let stanza = Encoder::new(Scope::client(), Limits::default())
            .to_bytes(&message.to_element())
            .map_err(|error| error.to_string())?;
        let submission = Submission {
            id,
            to: to.into(),
            stanza: stanza.into(),
            deadline,
            protection: Protection::default(),
            mode: Mode::default(),
        };
        process.tell(now, Input::Send(submission));
        self.drain(of)
    }

    pub(super) fn accepted(&mut self, of: usize, id: &str, life: u64) {
        let sent = self.devices[of]
            .ledger
            .sent
            .entry(id.to_owned())
            .or_default();
        sent.accepted.get_or_insert(life);
    }

    /// The application acts on a message and commits it, if it lives so long.
    pub(super) fn acts(&mut self, of: usize, arrival: u64, id: &str, warned: bool) -> Checked {
        let [a, b] = &mut self.devices;
        let (receiver, sender) = if of == 0 { (a, b) } else { (b, a) };
        receiver.ledger.acts(id, warned)?;
        if sender.ledger.sent.get(id).is_some_and(|sent| sent.decided) {
            return Err(format!("{id} took effect after NotDelivered"));
        }
        if !self.calm && self.setup.faults.crashes > 0 && self.random.chance(30) {
            self.crashes(of, 1000 * MS);
            return Ok(());
        }
        self.tell(of, Input::Commit { arrival })
    }

    /// The time of a message is over: if its sender runs, it knows an outcome.
    pub(super) fn due(&mut self, of: usize, id: String) -> Checked {
        let now = self.now();
        let Device {
            process, ledger, ..
        } = &self.devices[of];
        let Some(sent) = ledger.sent.get(&id) else {
            return Ok(());
        };
        if sent.has_outcome() || (sent.accepted.is_none() && !sent.submitted) {
            return Ok(());
        }
        // It must have run for a while, with a store that answered.
        let ready = process.as_ref().is_some_and(|p| {
            p.engine_started + SLACK <= now && self.devices[of].slow_until + 10 * SLACK <= now
        });
        if ready && sent.accepted.is_some() {
            return Err(format!("{id} has no outcome at its deadline"));
        }
        self.schedule.after(500 * MS, Event::Due { of, id });
        Ok(())
    }
}
