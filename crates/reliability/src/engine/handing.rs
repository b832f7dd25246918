//! Which of the kept messages of a channel goes to the application next, and its way there:
//! read from the store, marked as handed over, given; again after a crash. What came in, and
//! what is said of it, is in `seats`.

use std::ops::Bound;

use stanchion_stanza::Message;
use stanchion_stanza::payload::delivery::{Channel, Deliver, Device, VerdictState};

use super::correspondents::{Found, Held};
use super::inbound::{Origin, Seat, key_of};
use super::{Effect, Engine, Event, Fetched, Load, Output, Why};
use crate::delivery::Standing;
use crate::mutant;
use crate::store::{InboundRecord, InboundState, Op};

/// How often a message is handed over, begun the second time and the third, and ends the
/// process, until it is given up.
const HAND_OVERS: u32 = 3;

/// Whether the message was handed over and begun again, and both times the process ended:
/// the third time it is given to the application alone, or it would take those with it
/// that were handed over beside it.
pub(super) const fn is_suspect(record: &InboundRecord) -> bool {
    matches!(record.state, InboundState::Handed { times } if times + 1 == HAND_OVERS)
}

/// Records that the store is asked for one by one, before it has answered.
const READS: usize = 48;

impl Engine {
    /// A copy of a held message came that is not late, and what it says of its deadline is
    /// newer.
    pub(super) fn renew(&mut self, seat: &Seat, deadline: Option<i64>) {
        let at = (seat.epoch, seat.seq);
        if let Some(receiving) = self.correspondents.channel(&seat.device, &seat.channel)
            && let Some(held) = receiving.held.get_mut(&at)
        {
            held.renew(deadline);
        }
    }

    /// Has the store read what is next in a channel and waits to be handed over. What follows
    /// it is read ahead in its turn, so that they are marked together.
    pub(super) fn advance(&mut self, device: &Device, name: &Channel) {
        let room = self.config.hand_over;
        let Some(receiving) = self.correspondents.channel(device, name) else {
            return;
        };
        let Some((at, arrival)) = receiving.to_fetch() else {
            return;
        };
        // Most of the room stays free for the first of each channel, and for what else waits in
        // the store: pages of it are read only while half is.
        let ahead = !receiving.was_late && self.inbox.has_room_ahead(room);
        if !receiving.fetching.is_empty() && !ahead {
            return;
        }
        let suspect = receiving.found.get(&at).is_some_and(|found| found.suspect);
        let busy = suspect && self.inbox.is_busy();
        if suspect {
            self.inbox.wait_alone();
        }
        if busy || !self.inbox.has_hands(room) {
            // Its record may be older than what was read last, so the channel has to be
            // remembered.
            self.wanting.insert((device.clone(), name.clone()));
            return self.inbox.look_in_store();
        }
        receiving.fetching.insert(at);
        if ahead && receiving.to_fetch().is_some() {
            // One of each channel at a time.
            self.wanting.insert((device.clone(), name.clone()));
        }
        self.inbox.promise();
        self.fetched.push_back(Fetched {
            device: device.clone(),
            channel: name.clone(),
            at,
            why: Why::ToHandOver { arrival },
        });
    }

    /// Asks the store for the records that are to be read, so many at a time: its queue has an
    /// end. Those that are handed over then are marked in one batch.
    pub(super) fn read_records(&mut self) {
        if self.asked > 0 {
            return;
        }
        for next in self.fetched.iter().take(READS) {
            let key = key_of(&next.device, &next.channel, next.at);
            self.outputs.push_back(Output::Load(Load::One(key)));
            self.asked += 1;
        }
    }

    /// Whether all that is to be written are marks, and more of them come with the answers to
    /// what the store was asked.
    pub(super) fn marks_wait(&self) -> bool {
        let mark = |op: &Option<Op>| matches!(op, Some(Op::MarkHanded { .. }));
        self.asked > 0 && self.ops.iter().all(|(op, _)| mark(op))
    }

    /// The application has room: the channels that wait for it have their turns.
    pub(super) fn hand_over_waiting(&mut self) {
        while self.inbox.has_hands(self.config.hand_over) {
            let last = self
                .served
                .as_ref()
                .map_or(Bound::Unbounded, Bound::Excluded);
            let next = self.wanting.range((last, Bound::Unbounded)).next();
            let Some(next) = next.or_else(|| self.wanting.first()).cloned() else {
                return;
            };
            self.wanting.remove(&next);
            self.advance(&next.0, &next.1);
            self.served = Some(next);
        }
    }

    /// A message of a channel was read.
    pub(super) fn load_one(&mut self, record: Option<InboundRecord>) {
        let Some(fetched) = self.fetched.pop_front() else {
            return;
        };
        self.asked = self.asked.saturating_sub(1);
        let Why::ToHandOver { arrival } = fetched.why else {
            return self.settle_handed(fetched, record);
        };
        let (device, name, at) = (fetched.device, fetched.channel, fetched.at);
        let message = record.as_ref().and_then(|record| self.read_message(record));
        let now = self.now.wall.as_unix_ms();
        let Some(receiving) = self.correspondents.channel(&device, &name) else {
            return self.inbox.redeem();
        };
        let again = receiving.found.remove(&at).is_some();
        let stands = match receiving.standing(at) {
            Some(Standing::Held) => true,
            // Its slot may be gone since it was found.
            Some(Standing::Handed) | None => again,
            _ => false,
        };
        let said = message.as_ref().and_then(|m| m.payload::<Deliver>().ok()?);
        let (Some(message), Some(said), true) = (message, said, stands) else {
            receiving.fetching.remove(&at);
            receiving.held.remove(&at);
            receiving.awaited.remove(&at);
            self.inbox.redeem();
            return self.advance(&device, &name);
        };
        if !again && !receiving.is_turn_of(at) && !mutant::is("read-ahead-overtakes") {
            // The one before it is late, say, and its sender has the word.
            receiving.fetching.remove(&at);
            self.inbox.redeem();
            if receiving.fetching.is_empty() {
                // What is next came meanwhile, or a copy of it.
                self.advance(&device, &name);
            }
            return;
        }
        let seat = Seat {
            device: device.clone(),
            channel: name.clone(),
            epoch: at.0,
            seq: at.1,
            id: said.id,
            boot: said.boot,
        };
        if !again && receiving.is_late(at, said.deadline, now) {
            receiving.fetching.remove(&at);
            self.inbox.redeem();
            self.answer_with(seat, VerdictState::Late);
            // Without order the others need not wait for it.
            return self.advance(&device, &name);
        }
        receiving.held.remove(&at);
        receiving.was_late = false;
        if again {
            self.handed_over(seat, arrival, Box::new(message), true);
        } else {
            self.mark_handed(seat, arrival, Box::new(message));
        }
    }

    /// Hands a kept message over for the first time, once that is durable.
    fn mark_handed(&mut self, seat: Seat, arrival: u64, message: Box<Message>) {
        if let Some(receiving) = self.correspondents.channel(&seat.device, &seat.channel)
            && !mutant::is("hand-over-unmarked")
        {
            receiving.channel.hand_over(seat.epoch, seat.seq);
        }
        self.correspondents.touch(&seat.device, &seat.channel);
        let op = Op::MarkHanded {
            key: seat.key(),
            at: self.now.wall,
        };
        let effect = Effect::HandedOver {
            seat,
            arrival,
            message,
        };
        self.persist(op, effect);
    }

    /// That a message is handed over is durable, perhaps since an earlier process: then
    /// `again`. The place that was promised to it is its own.
    pub(super) fn handed_over(
        &mut self,
        seat: Seat,
        arrival: u64,
        message: Box<Message>,
        again: bool,
    ) {
        self.inbox.redeem();
        let (device, channel) = (seat.device.clone(), seat.channel.clone());
        self.give(seat, arrival, message, again);
        self.advance(&device, &channel);
    }

    /// Gives a message to the application.
    fn give(&mut self, seat: Seat, arrival: u64, message: Box<Message>, again: bool) {
        if let Some(receiving) = self.correspondents.channel(&seat.device, &seat.channel) {
            receiving.fetching.remove(&(seat.epoch, seat.seq));
            receiving.awaited.remove(&(seat.epoch, seat.seq));
        }
        if !self.inbox.holds(arrival) {
            // Not in the order of arrival: earlier ones may still wait in the store.
            let origin = Origin::Channel(seat);
            if again {
                self.inbox.carry_again(arrival, origin);
            } else {
                self.inbox.carry(arrival, origin);
            }
            self.event(Event::Message {
                arrival,
                message,
                maybe_redelivered: again,
            });
        }
    }

    /// A channel's message was read in the order of arrival: after a start, or since the
    /// application had no room for it before.
    pub(super) fn load_seat(&mut self, seat: Seat, record: InboundRecord, message: Message) {
        let at = (seat.epoch, seat.seq);
        let arrival = record.arrival;
        let Some(receiving) = self.correspondents.channel(&seat.device, &seat.channel) else {
            return;
        };
        if receiving.fetching.contains(&at) {
            return;
        }
        let same = receiving.channel.id(seat.epoch, seat.seq) == Some(seat.id);
        match receiving.standing(at).filter(|_| same) {
            Some(Standing::Held) => {
                receiving.held.entry(at).or_insert(Held::new(arrival));
                let (device, channel) = (seat.device, seat.channel);
                self.advance(&device, &channel);
            }
            // Also one whose slot is gone: its sender gave it up after it was handed
            // over, so nothing says that it must not be handed over again.
            Some(Standing::Handed) | None
                if matches!(record.state, InboundState::Handed { .. }) =>
            {
                let times = match record.state {
                    InboundState::Handed { times } => times,
                    _ => 0,
                };
                if times >= HAND_OVERS && !mutant::is("poison-for-ever") {
                    return self.poisoned(seat, record);
                }
                if receiving.is_held_up(at) && receiving.awaited.contains(&at) {
                    let suspect = is_suspect(&record);
                    receiving.found.insert(at, Found { arrival, suspect });
                    return;
                }
                if mutant::is("queued-is-begun") {
                    let (key, at) = (record.key, self.now.wall);
                    self.persist(Op::MarkHanded { key, at }, Effect::None);
                }
                // Those after it have their turn when the page is through: its records
                // have their places, and others would take these.
                self.wanting
                    .insert((seat.device.clone(), seat.channel.clone()));
                self.give(seat, arrival, Box::new(message), true);
            }
            _ => {
                // The channel knows better: void, or below `low`.
                receiving.awaited.remove(&at);
                let op = Op::DropInbound { key: record.key };
                self.persist(op, Effect::Dropped);
            }
        }
    }

    /// A message failed its consumer too often.
    fn poisoned(&mut self, seat: Seat, record: InboundRecord) {
        tracing::error!(
            id = record.key.id,
            from = record.from_full,
            "a message was begun {HAND_OVERS} times, and each time the process ended: it is \
             handed over no more"
        );
        self.conclude_seat(&seat, Standing::Maybe);
        let op = Op::MarkHandled {
            key: record.key,
            at: self.now.wall,
        };
        self.persist(op, Effect::Dropped);
        self.event(Event::Poisoned {
            arrival: record.arrival,
            from: record.from_full,
        });
        // Those after it have their turn when the page is through.
        self.wanting
            .insert((seat.device.clone(), seat.channel.clone()));
        self.answer_with(seat, VerdictState::Maybe);
    }
}
