//! The way in for messages of a channel: what is said in the delivery protocol, which
//! message is kept, and which verdict leaves. What a message means to its channel is judged
//! in `delivery`; which kept one is given to the application next is `handing`'s affair.

use stanchion_stanza::payload::delivery::{
    Answer, Cancel, Channel, Close, Closed, Deliver, Device, Epoch, IdPrefix, MAX_SEQ, Place,
    Rotate, VerdictState, WrongStore,
};
use stanchion_stanza::{Element, Jid, Message, Payload as _, ns};

use super::correspondents::{Held, Speaking};
use super::inbound::{Origin, Repeated, Seat, key_of};
use super::management::Slot;
use super::{Effect, Engine, Event};
use crate::delivery::{Closing, Coordinates, Judgement, Ruling, Standing};
use crate::mutant;
use crate::store::{InboundKey, Op, OpResult};

/// Where a kept message sits, if it is a channel's.
pub(super) fn seat_of(key: &InboundKey, message: &Message) -> Option<Seat> {
    key.id.strip_prefix("d ")?;
    let said = message.payload::<Deliver>().ok()??;
    Some(Seat {
        device: said.from,
        channel: said.channel,
        epoch: said.epoch,
        seq: said.seq,
        id: said.id,
        boot: said.boot,
    })
}

impl Engine {
    /// Takes what a message says in the protocol. Gives back one that has no part in it.
    pub(super) fn protocol(&mut self, slot: Slot, message: Message) -> Option<Message> {
        let mut words = message.payloads.iter().filter(|p| p.ns() == ns::DELIVERY);
        let first = words.clone().next();
        let said = words.find(|p| Deliver::matches(p)).or(first);
        let (Some(said), Some(from)) = (said, message.header.from.clone()) else {
            return Some(message);
        };
        if Deliver::matches(said) {
            return match Deliver::from_element(said) {
                Ok(said) => {
                    self.deliver(slot, message, &from, said);
                    None
                }
                // What it says cannot be read: the rest can.
                Err(_) => Some(message),
            };
        }
        if !self.word(&from, said) {
            // A word of a later version, perhaps; beside it there may be something to read.
            self.counters.ignored += 1;
            return Some(message);
        }
        self.management.handled(slot);
        None
    }

    /// A word of the protocol without a message. Gives whether it was understood.
    fn word(&mut self, from: &Jid, said: &Element) -> bool {
        if let Some(answer) = read::<Answer>(said) {
            self.hear_answer(from, &answer);
        } else if let Some(cancel) = read::<Cancel>(said) {
            self.cancel(from, cancel);
        } else if let Some(rotate) = read::<Rotate>(said) {
            self.hear_rotate(from, &rotate);
        } else if let Some(close) = read::<Close>(said) {
            self.close(from, close);
        } else if let Some(closed) = read::<Closed>(said) {
            self.hear_closed(from, &closed);
        } else if let Some(wrong) = read::<WrongStore>(said) {
            self.hear_wrong_store(from, &wrong);
        } else {
            return false;
        }
        true
    }

    /// Whether something is for this device and this store; the second is answered if it
    /// is not.
    fn is_for_us(&mut self, from: &Jid, to: Option<&Place>, seat: &Seat) -> bool {
        let Some(own) = self.place.clone() else {
            return false;
        };
        let Some(to) = to else {
            return true;
        };
        if to.device != own.device && !mutant::is("ignore-device") {
            return false;
        }
        if to.store == own.store || mutant::is("ignore-store") {
            return true;
        }
        let wrong = WrongStore {
            to: seat.device.clone(),
            at: own,
            epoch: seat.epoch,
            channel: seat.channel.clone(),
            boot: seat.boot,
        };
        // It may be a stranger to this store: the answer goes where the question came
        // from.
        self.control(from.clone(), wrong.to_element());
        false
    }

    fn deliver(&mut self, slot: Slot, message: Message, from: &Jid, said: Deliver) {
        let seat = Seat {
            device: said.from.clone(),
            channel: said.channel.clone(),
            epoch: said.epoch,
            seq: said.seq,
            id: said.id,
            boot: said.boot,
        };
        if !self.is_for_us(from, said.to.as_ref(), &seat) {
            self.counters.ignored += 1;
            return self.management.handled(slot);
        }
        let at = Coordinates {
            epoch: said.epoch,
            seq: said.seq,
            low: said.low,
            id: said.id,
            prev: said.prev,
            boot: said.boot,
        };
        if self.is_full() && !self.takes_no_room(&seat, &at) && !self.gets_room(&seat, &at) {
            return self.refuse(slot, &message, Repeated::UntilAnswered);
        }
        match self.correspondents.speaking(&said.from, from) {
            Speaking::Yes(known) => {
                if let Some(jids) = &said.jids {
                    known.announces(jids);
                }
                known.learns(said.knows);
            }
            Speaking::No => {
                self.counters.ignored += 1;
                return self.management.handled(slot);
            }
            Speaking::NoRoom => return self.refuse(slot, &message, Repeated::UntilAnswered),
        }
        let Some(receiving) = self.correspondents.channel(&said.from, &said.channel) else {
            return self.refuse(slot, &message, Repeated::UntilAnswered);
        };
        let newest = receiving.channel.newest();
        if newest.is_none() {
            receiving.unordered = said.unordered;
        }
        let ruling = receiving.channel.arrives(&at);
        if newest.is_none_or(|newest| newest <= (said.epoch, said.seq))
            && let Some(known) = self.correspondents.get_mut(&said.from)
        {
            known.speaks_from(from);
        }
        self.correspondents.touch_device(&said.from);
        self.drop_seats(&seat, &ruling);
        // Before a store is addressed nothing is known of what it had.
        if ruling.rolled_back && said.to.is_some() {
            self.event(Event::RolledBack { from: from.clone() });
        }
        let late = said
            .deadline
            .is_some_and(|at| at < self.now.wall.as_unix_ms());
        // What is known of it may not be durable: it can have come on an earlier stream, whose
        // counter holds nothing back on this one.
        let known = matches!(ruling.judgement, Judgement::Known(_));
        match ruling.judgement {
            Judgement::Keep => return self.keep(slot, message, seat, late, said.to.is_none()),
            Judgement::Known(Standing::Held) => {
                self.counters.duplicates += 1;
                self.correspondents.touch(&said.from, &said.channel);
                if late {
                    self.answer_with(seat, VerdictState::Late);
                } else {
                    self.renew(&seat, said.deadline);
                    self.advance(&said.from, &said.channel);
                }
            }
            judgement => {
                self.counters.duplicates += u64::from(matches!(judgement, Judgement::Known(_)));
                self.answer_judgement(seat, judgement);
            }
        }
        if known && !mutant::is("copy-before-durable") {
            self.after_all(Effect::Known(slot));
        } else {
            self.management.handled(slot);
        }
        self.advance(&said.from, &said.channel);
    }

    /// Whether a message that comes to a full inbox takes no room there, or makes as much: it
    /// is answered and not kept, drops others, or is the very one that those wait for that
    /// are here. If these were sent back, the inbox could be full for ever.
    fn takes_no_room(&self, seat: &Seat, at: &Coordinates) -> bool {
        let known = self.correspondents.get(&seat.device);
        let Some(there) = known.and_then(|known| known.channels.get(&seat.channel)) else {
            return false;
        };
        let ruling = there.channel.clone().arrives(at);
        let keeps = ruling.judgement == Judgement::Keep;
        if mutant::is("full-inbox-refuses-awaited") {
            return matches!(ruling.judgement, Judgement::Known(_));
        }
        !keeps || !ruling.dropped.is_empty() || there.channel.is_awaited(at.epoch, at.seq, at.low)
    }

    /// Whether room can be made for a message that could be given to the application.
    fn gets_room(&mut self, seat: &Seat, at: &Coordinates) -> bool {
        let known = self.correspondents.get(&seat.device);
        let there = known.and_then(|known| known.channels.get(&seat.channel));
        let next = match there {
            Some(there) => {
                let mut then = there.channel.clone();
                then.arrives(at);
                then.is_next(at.epoch, at.seq, there.unordered)
            }
            None => at.seq == at.low,
        };
        next && self.makes_room()
    }

    /// Makes room in a full inbox for something that can be given to the application, if that
    /// has nothing to do: a message goes that waits for an earlier one, or is late and waits
    /// for its sender's word, which may never come, as when its sender has lost its store. One
    /// that comes after all is sent again, as its sender has no verdict on it. Gives whether
    /// there was one.
    pub(super) fn makes_room(&mut self) -> bool {
        if self.inbox.is_busy() || mutant::is("full-inbox-refuses-awaited") {
            return false;
        }
        let Some((device, channel, at)) = self.correspondents.blocked(&self.wanting) else {
            return false;
        };
        if let Some(receiving) = self.correspondents.channel(&device, &channel) {
            receiving.channel.forget_held(at.0, at.1);
        }
        self.drop_seat(&device, &channel, at);
        true
    }

    /// A message is new.
    fn keep(&mut self, slot: Slot, message: Message, seat: Seat, late: bool, greet: bool) {
        let room = self.inbox.has_room(self.config.hand_over);
        let receiving = self.correspondents.channel(&seat.device, &seat.channel);
        let Some(receiving) = receiving else {
            return self.management.handled(slot);
        };
        let next = receiving
            .channel
            .is_next(seat.epoch, seat.seq, receiving.unordered);
        let held_up = receiving.is_held_up((seat.epoch, seat.seq));
        // Those before it may not be marked yet. They are told of first, as the store answers
        // in order.
        let hand = next && room && !late && !held_up;
        let Some(op) = self.put_inbound(seat.key(), &message, hand) else {
            // It never can be kept: whoever sent it is told so, durably.
            self.conclude_seat(&seat, Standing::Void);
            self.answer_with(seat, VerdictState::Void);
            return self.management.handled(slot);
        };
        if hand && let Some(receiving) = self.correspondents.channel(&seat.device, &seat.channel) {
            receiving.channel.hand_over(seat.epoch, seat.seq);
            self.inbox.promise();
        }
        if !hand && next && !late {
            // It is read back when the application has room.
            self.inbox.look_in_store();
        }
        self.correspondents.touch(&seat.device, &seat.channel);
        if mutant::is("h-before-durable") {
            self.management.handled(slot);
        }
        if late && next {
            self.answer_with(seat.clone(), VerdictState::Late);
        }
        let message = hand.then(|| Box::new(message));
        let effect = Effect::Seated {
            slot,
            seat,
            greet,
            message,
        };
        self.persist(op, effect);
    }

    /// A message of a channel is durable.
    pub(super) fn seated(&mut self, seat: Seat, message: Option<Box<Message>>, result: &OpResult) {
        let (arrival, new) = match result {
            OpResult::Kept { arrival } => (*arrival, true),
            // Its record outlived what the channel knew of it.
            OpResult::Duplicate { arrival, .. } => (*arrival, false),
            _ => return,
        };
        if new {
            self.unhandled += 1;
            self.counters.received += 1;
            self.first_arrival.get_or_insert(arrival);
        } else {
            self.counters.duplicates += 1;
        }
        if let Some(message) = message {
            self.inbox.redeem();
            if self.inbox.holds(arrival) {
                return;
            }
            let (device, channel) = (seat.device.clone(), seat.channel.clone());
            self.inbox.put(arrival, Origin::Channel(seat));
            self.event(Event::Message {
                arrival,
                message,
                maybe_redelivered: !new,
            });
            // Later ones may have waited for it.
            return self.advance(&device, &channel);
        }
        let (device, channel) = (seat.device.clone(), seat.channel.clone());
        if let Some(receiving) = self.correspondents.channel(&device, &channel) {
            let at = (seat.epoch, seat.seq);
            if receiving.standing(at) == Some(Standing::Held) {
                receiving.held.insert(at, Held::new(arrival));
            }
        }
        self.advance(&device, &channel);
    }

    /// The fate of a seat is decided here.
    pub(super) fn conclude_seat(&mut self, seat: &Seat, standing: Standing) {
        if let Some(receiving) = self.correspondents.channel(&seat.device, &seat.channel) {
            receiving.channel.conclude(seat.epoch, seat.seq, standing);
            receiving.awaited.remove(&(seat.epoch, seat.seq));
        }
        self.correspondents.touch(&seat.device, &seat.channel);
    }

    /// Messages that were held and never will be handed over leave the inbox.
    fn drop_seats(&mut self, of: &Seat, ruling: &Ruling) {
        for at in &ruling.dropped {
            self.drop_seat(&of.device, &of.channel, *at);
        }
    }

    fn drop_seat(&mut self, device: &Device, channel: &Channel, at: (Epoch, u64)) {
        if let Some(receiving) = self.correspondents.channel(device, channel) {
            receiving.held.remove(&at);
        }
        self.correspondents.touch(device, channel);
        let op = Op::DropInbound {
            key: key_of(device, channel, at),
        };
        self.persist(op, Effect::Dropped);
    }

    // ---- cancels and ends of epochs -------------------------------------------------

    fn cancel(&mut self, from: &Jid, said: Cancel) {
        let seat = Seat {
            device: said.from.clone(),
            channel: said.channel.clone(),
            epoch: said.epoch,
            seq: said.seq,
            id: said.id,
            boot: said.boot,
        };
        if !self.is_for_us(from, said.to.as_ref(), &seat) || !self.may_speak(&said.from, from) {
            self.counters.ignored += 1;
            return;
        }
        if let Some(known) = self.correspondents.get_mut(&said.from) {
            if let Some(jids) = &said.jids {
                known.announces(jids);
            }
            known.learns(said.knows);
        }
        self.correspondents.touch_device(&said.from);
        let Some(receiving) = self.correspondents.channel(&said.from, &said.channel) else {
            return;
        };
        let ruling = receiving.channel.cancelled(&Coordinates {
            epoch: said.epoch,
            seq: said.seq,
            low: said.low,
            id: said.id,
            prev: said.prev,
            boot: said.boot,
        });
        self.correspondents.touch(&said.from, &said.channel);
        self.drop_seats(&seat, &ruling);
        self.answer_judgement(seat, ruling.judgement);
        self.advance(&said.from, &said.channel);
    }

    fn close(&mut self, from: &Jid, said: Close) {
        let seat = Seat {
            device: said.from.clone(),
            channel: said.channel.clone(),
            epoch: said.epoch,
            seq: 1,
            id: IdPrefix::from_bits(0),
            boot: said.boot,
        };
        if !self.is_for_us(from, said.to.as_ref(), &seat) || !self.may_speak(&said.from, from) {
            self.counters.ignored += 1;
            return;
        }
        let Some(receiving) = self.correspondents.channel(&said.from, &said.channel) else {
            return;
        };
        let mut dropped = Vec::new();
        let closing = receiving.channel.close(said.epoch, said.boot, &mut dropped);
        self.correspondents.touch(&said.from, &said.channel);
        for at in dropped {
            self.drop_seat(&said.from, &said.channel, at);
        }
        let Closing::Closed {
            by,
            known,
            low,
            highest,
            verdicts,
        } = closing
        else {
            return;
        };
        if let Some(at) = self.place.clone() {
            let closed = Closed {
                to: said.from.clone(),
                at,
                epoch: said.epoch,
                channel: said.channel,
                boot: said.boot,
                by,
                known,
                low: low.min(MAX_SEQ),
                highest,
                verdicts,
            };
            self.say(&said.from, closed.to_element());
        }
    }

    fn may_speak(&mut self, device: &Device, from: &Jid) -> bool {
        matches!(self.correspondents.speaking(device, from), Speaking::Yes(_))
    }

    // ---- answers --------------------------------------------------------------------

    fn answer_judgement(&mut self, seat: Seat, judgement: Judgement) {
        match judgement {
            Judgement::Known(standing) => {
                if let Some(verdict) = standing.verdict() {
                    self.answer_with(seat, verdict);
                }
            }
            Judgement::Settled => self.answer_with(seat, VerdictState::Settled),
            Judgement::Other => self.answer_with(seat, VerdictState::Other),
            Judgement::Rotate { above } => {
                let Some(at) = self.place.clone() else {
                    return;
                };
                let rotate = Rotate {
                    to: seat.device.clone(),
                    at,
                    epoch: seat.epoch,
                    channel: seat.channel,
                    boot: seat.boot,
                    above,
                };
                self.say(&seat.device, rotate.to_element());
            }
            Judgement::Keep | Judgement::Beyond => self.counters.ignored += 1,
        }
    }

    /// A verdict leaves once all that was decided so far is durable.
    pub(super) fn answer_with(&mut self, seat: Seat, state: VerdictState) {
        let verdict = seat.verdict(state);
        self.after_all(Effect::Verdict(seat, verdict));
    }
}

fn read<P: stanchion_stanza::Payload>(element: &Element) -> Option<P> {
    P::matches(element).then(|| P::from_element(element).ok())?
}
