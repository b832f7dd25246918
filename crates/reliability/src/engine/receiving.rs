//! The way in: from a received element to a message in the application's hands, and
//! back to its receipt.

use stanchion_stanza::payload::delivery::At;
use stanchion_stanza::payload::receipts::Received;
use stanchion_stanza::payload::sm::{Ack, AckRequest};
use stanchion_stanza::stanza::{
    DefinedCondition, ErrorType, IqKind, MessageType, PresenceType, StanzaError,
};
use stanchion_stanza::{
    Element, Iq, Jid, Limits, Message, Payload as _, Presence, Scope, Stanza, codec::parse_element,
    ns,
};

use super::inbound::{self, Origin, Receipt, Repeated};
use super::management::Slot;
use super::recipients::WORDS;
use super::seats::seat_of;
use super::stream::PROBE;
use super::{Effect, Engine, Event, respond};
use crate::mutant;
use crate::store::{InboundKey, InboundRecord, InboundState, NewInbound, Op, OpResult};

impl Engine {
    pub(super) fn received(&mut self, element: Element) {
        if Ack::matches(&element) {
            return match Ack::from_element(&element) {
                Ok(ack) => match self.management.acknowledge(ack.h) {
                    Ok(stanzas) => {
                        self.server_accepted(stanzas);
                        // More may have gone out since the request that this answers.
                        if self.outbox.awaits_server() {
                            self.ask();
                        }
                    }
                    Err(error) => self.give_up(error.into()),
                },
                Err(_) => self.counters.ignored += 1,
            };
        }
        if AckRequest::matches(&element) {
            self.management.asked();
            return self.answer();
        }
        if !Stanza::is_stanza(&element) {
            self.counters.ignored += 1;
            return;
        }
        let slot = self.management.received();
        self.stanza(slot, element);
        self.answer_in_time();
    }

    /// Before stream management begins nothing is counted.
    pub(super) fn received_early(&mut self, element: Element) {
        if Stanza::is_stanza(&element) {
            self.stanza(Slot::UNCOUNTED, element);
        }
    }

    fn stanza(&mut self, slot: Slot, element: Element) {
        match Stanza::from_element(element) {
            Ok(Stanza::Message(message)) => self.message(slot, message),
            Ok(Stanza::Presence(presence)) => {
                self.presence(&presence);
                self.management.handled(slot);
                self.event(Event::Transient(Box::new(presence.into())));
            }
            Ok(Stanza::Iq(iq)) => {
                self.management.handled(slot);
                self.iq(iq);
            }
            Err(error) => {
                tracing::debug!(%error, "a stanza was not understood");
                self.management.handled(slot);
                self.counters.ignored += 1;
            }
        }
    }

    /// Tells the server unasked, before it runs into its own bounds.
    pub(super) fn answer_in_time(&mut self) {
        if self.management.untold() >= self.config.ack_every || self.management.owes() {
            self.answer();
        }
    }

    /// Tells the server what is handled, now and without delay (XEP-0198 §4): the
    /// count is of what is durable, which need not be all that was received.
    pub(super) fn answer(&mut self) {
        if self.connected && self.management.is_enabled() {
            let h = self.management.answer();
            self.nonza(&Ack { h }.to_element());
        }
    }

    fn iq(&mut self, iq: Iq) {
        let answers = matches!(iq.kind, IqKind::Result(_) | IqKind::Error(..));
        if answers && iq.header.id.as_deref() == Some(PROBE) {
            self.proved();
        }
        let answer = match self.config.answer_requests {
            true => respond::respond(&iq, self.place.as_ref()),
            false => None,
        };
        match answer {
            Some(answer) => self.transmit(&answer),
            None => self.event(Event::Transient(Box::new(iq.into()))),
        }
    }

    fn presence(&mut self, presence: &Presence) {
        let Some(from) = &presence.header.from else {
            return;
        };
        let occupant = presence.payloads.iter().any(|p| p.is("x", ns::MUC_USER));
        match presence.kind {
            PresenceType::Available => {
                let at = presence.payloads.iter().find(|p| At::matches(p));
                let at = at.and_then(|at| At::from_element(at).ok());
                // Our own comes back to us (RFC 6121 §4.2.2), and is nobody to send to: what
                // goes to our account is for another device of it.
                let own = self.place.as_ref().map(|own| &own.device);
                let at = at.filter(|At(place)| own != Some(&place.device));
                match &at {
                    None if occupant => self.present.leaves_room(from),
                    at => self.present.shows(from, at.as_ref().map(|At(place)| place)),
                }
                // It has a name before it has said a word. Of its store nothing is concluded
                // here: presence can be old, and only `wrong-store` counts.
                let account = Jid::from(from.to_bare());
                for to in [from, &account] {
                    if self.outbox.recipient(to).is_some() {
                        self.bind_by_presence(to);
                    }
                }
                self.somebody_came(&from.to_bare());
            }
            PresenceType::Unavailable if occupant => self.present.leaves_room(from),
            PresenceType::Unavailable => {
                self.present.leaves(from);
                self.somebody_left(&from.to_bare());
            }
            _ => {}
        }
    }

    pub(super) fn message(&mut self, slot: Slot, message: Message) {
        if message.kind == MessageType::Error {
            self.bounce(&message);
            return self.management.handled(slot);
        }
        if message.kind == MessageType::Groupchat {
            self.reflected(&message);
            if let Some(message) = self.gather(slot, message) {
                self.plain(slot, message);
            }
        } else if self.place.is_some() {
            if self.unbundle(slot, &message) {
                return;
            }
            if let Some(message) = self.protocol(slot, message) {
                self.plain(slot, message);
            }
        } else {
            self.plain(slot, message);
        }
    }

    /// A message without a part in the delivery protocol.
    fn plain(&mut self, slot: Slot, message: Message) {
        let receipts: Vec<_> = message
            .payloads
            .iter()
            .filter(|p| Received::matches(p))
            .collect();
        if let (Some(from), false) = (&message.header.from, receipts.is_empty()) {
            let from = from.clone();
            let ids: Vec<_> = receipts
                .iter()
                .filter_map(|r| Received::from_element(r).ok())
                .collect();
            for receipt in ids {
                self.receipt(&from, &receipt.id);
            }
            if message.body().is_none() {
                return self.management.handled(slot);
            }
        }
        let receipt = Receipt::wanted_by(&message);
        // Worth keeping: something to read, or somebody who waits for a receipt.
        let (Some(key), true) = (
            inbound::key(&message),
            message.body().is_some() || receipt.is_some(),
        ) else {
            self.management.handled(slot);
            if slot != Slot::ARCHIVED {
                self.event(Event::Transient(Box::new(message.into())));
            }
            return;
        };
        if self.is_full() && !self.makes_room() {
            return self.refuse(slot, &message, Repeated::Never);
        }
        let Some(op) = self.put_inbound(key.clone(), &message, false) else {
            return self.management.handled(slot);
        };
        self.persist(
            op,
            Effect::Arrived {
                slot,
                message: Box::new(message),
                origin: Origin::Plain { key, receipt },
            },
        );
    }

    pub(super) fn is_full(&self) -> bool {
        let arriving = self.management.arriving() + self.archiving;
        let arriving = arriving - self.apart.as_ref().map_or(0, |apart| apart.unlooked);
        self.unhandled + arriving > self.config.inbox
    }

    /// The op that keeps a message; none if it does not fit into the store.
    pub(super) fn put_inbound(
        &mut self,
        key: InboundKey,
        message: &Message,
        handed: bool,
    ) -> Option<Op> {
        // It was decoded within the same limits, but the encoder's form can be longer.
        let stanza = self.encoder.to_bytes(&message.to_element()).ok();
        let from = message.header.from.as_ref();
        let op = stanza.map(|stanza| {
            Op::PutInbound(NewInbound {
                key,
                from_full: from.map(Jid::to_string).unwrap_or_default(),
                stanza: stanza.into(),
                received_at: self.now.wall,
                handed,
            })
        });
        let op = op.filter(|op| op.check().is_ok());
        self.counters.ignored += u64::from(op.is_none());
        op
    }

    /// There is no place for the message: its sender is told, and tries again later.
    /// A room is told nothing; it has a history to ask for. Nor is the sender of a message
    /// that an archive had.
    pub(super) fn refuse(&mut self, slot: Slot, message: &Message, repeated: Repeated) {
        self.management.handled(slot);
        self.counters.ignored += 1;
        match &mut self.apart {
            // The bundle goes back as one.
            Some(apart) => apart.refused = true,
            None => self.say_full(slot, message, repeated),
        }
    }

    /// Says so of that stanza.
    pub(super) fn say_full(&mut self, slot: Slot, message: &Message, repeated: Repeated) {
        let asked = message.kind != MessageType::Groupchat && slot != Slot::ARCHIVED;
        let comes_again =
            repeated == Repeated::UntilAnswered || mutant::is("full-inbox-drops-what-is-said-once");
        if asked && !(comes_again && self.management.unacked() >= WORDS) {
            let full = StanzaError::new(ErrorType::Wait, DefinedCondition::ResourceConstraint);
            let answer = Message {
                header: message.header.reply(),
                kind: MessageType::Error,
                payloads: vec![full.to_element()],
            };
            self.transmit(&answer.to_element());
        }
    }

    pub(super) fn arrived(&mut self, message: Box<Message>, origin: Origin, result: &OpResult) {
        match result {
            OpResult::Kept { arrival } => {
                self.unhandled += 1;
                self.counters.received += 1;
                self.first_arrival.get_or_insert(*arrival);
                if self
                    .inbox
                    .hand_over(*arrival, origin, self.config.hand_over)
                {
                    self.event(Event::Message {
                        arrival: *arrival,
                        message,
                        maybe_redelivered: false,
                    });
                }
            }
            OpResult::Duplicate {
                state: InboundState::Handled,
                ..
            } => {
                self.counters.duplicates += 1;
                // The receipt was lost, or was too late for the sender; if it is not said now,
                // the next copy asks for it.
                if self.may_answer_more() {
                    self.committed(origin);
                }
            }
            // Its receipt follows when the application commits the first copy.
            _ => self.counters.duplicates += 1,
        }
    }

    pub(super) fn load_inbound(&mut self, record: InboundRecord) {
        self.inbox.passed(record.arrival);
        if self.inbox.holds(record.arrival) {
            return;
        }
        let Some(message) = self.read_message(&record) else {
            return;
        };
        if let Some(seat) = seat_of(&record.key, &message) {
            return self.load_seat(seat, record, message);
        }
        let origin = Origin::Plain {
            key: record.key,
            receipt: Receipt::wanted_by(&message),
        };
        self.inbox.put(record.arrival, origin);
        let maybe_redelivered = self.is_of_earlier_process(record.arrival);
        self.event(Event::Message {
            arrival: record.arrival,
            message: Box::new(message),
            maybe_redelivered,
        });
    }

    pub(super) fn read_message(&self, record: &InboundRecord) -> Option<Message> {
        let stanza = record.stanza.as_ref()?;
        let message = parse_element(stanza, &Scope::client(), &Limits::default())
            .ok()
            .and_then(|e| Message::from_element(e).ok());
        if message.is_none() {
            tracing::error!(
                id = record.key.id,
                "the inbox holds a message that cannot be read"
            );
        }
        message
    }

    pub(super) fn is_of_earlier_process(&self, arrival: u64) -> bool {
        self.first_arrival.is_none_or(|first| arrival < first)
    }
}
