//! Subscriptions to our things: who may have one, and the messages that tell. What is due
//! when is `subscriptions`', and how it is written `reading`'s.

use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::iot_events::{Subscribe, Unsubscribe};
use stanchion_stanza::payload::sensordata::{Accepted, Profile, Profiled as _};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};
use stanchion_stanza::{Iq, Jid, Message, Text};

use super::super::HostEvent;
use super::super::subscriptions::{SubscribeError, asked_for};
use super::super::table::Told;
use super::super::wish::{Unreadable, Wish};
use super::State;
use super::reading::Answering;

impl State {
    pub(super) fn subscribe(&mut self, now: Now, request: &Iq, profile: Profile, asked: Subscribe) {
        use DefinedCondition as C;
        let refuse = |kind, condition, why: &str| {
            let mut error = StanzaError::new(kind, condition);
            error.text = Text::new(why).ok();
            request.refuse(error)
        };
        let Some(who) = request.header.from.clone() else {
            let refusal = refuse(ErrorType::Cancel, C::NotAllowed, "nobody can be told");
            return self.answer(refusal);
        };
        if let Err(why) = self.is_readable(&who, profile, &asked) {
            let (kind, condition, text) = match why {
                Unreadable::Forbidden => (ErrorType::Auth, C::Forbidden, "it may not be read"),
                Unreadable::NotFound => (ErrorType::Cancel, C::ItemNotFound, "no such thing"),
                Unreadable::Time => (ErrorType::Modify, C::BadRequest, "a time is none"),
            };
            if why == Unreadable::Forbidden {
                let (who, what) = (Some(who), "to subscribe");
                self.event(HostEvent::Refused { who, what });
            }
            return self.answer(refuse(kind, condition, text));
        }
        let id = asked.id.clone();
        let begun = self
            .subscriptions
            .subscribe(now.monotonic, who, profile, asked, &self.table);
        match begun {
            Ok(()) => {
                let accepted = Accepted { id, queued: false };
                self.answer(request.result(Some(accepted.to_element_in(profile))));
            }
            Err(error) => {
                let (kind, condition) = match error {
                    SubscribeError::TooMany => (ErrorType::Wait, C::ResourceConstraint),
                    _ => (ErrorType::Modify, C::BadRequest),
                };
                self.answer(refuse(kind, condition, &error.to_string()));
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, request: &Iq, asked: &Unsubscribe) {
        let who = request.header.from.as_ref();
        let was = who.is_some_and(|who| self.subscriptions.unsubscribe(who, &asked.id));
        self.answer(match was {
            true => request.result(None),
            false => request.refuse(StanzaError::new(
                ErrorType::Cancel,
                DefinedCondition::ItemNotFound,
            )),
        });
    }

    /// Whether something of what a subscription is about may be read.
    fn is_readable(
        &self,
        who: &Jid,
        profile: Profile,
        asked: &Subscribe,
    ) -> Result<(), Unreadable> {
        let wish = Wish::of(Some(who.clone()), profile, &asked_for(asked))?;
        let (access, own) = (&self.config.access, self.own.as_ref());
        wish.things(&self.table, access, own).map(drop)
    }

    /// What our things told, to who subscribed to it.
    pub(super) fn tell_subscribers(&mut self, now: Duration, told: &[Told]) {
        self.now = now;
        if self.subscriptions.is_empty() {
            return;
        }
        for told in told {
            let thing = &told.sample.thing;
            let Some(spec) = self.table.thing(thing) else {
                continue;
            };
            let (access, own) = (&self.config.access, self.own.as_ref());
            let may = |who: &Jid, field: &Text| access.may_read(Some(who), own, thing, field);
            self.subscriptions.take(now, spec, told, may);
        }
    }

    /// The next message to a subscriber. One event after the other: of what a subscriber is
    /// told, one message is held at most.
    pub(super) fn next_event(&mut self) -> Option<Message> {
        loop {
            let event = match &mut self.telling {
                Some(event) => event,
                None => {
                    let next = self.subscriptions.next(self.now, &self.table)?;
                    self.telling
                        .insert(Answering::event(next.wish, next.things))
                }
            };
            let before = event.told();
            let own = self.own.as_ref();
            let message = event.next(&self.table, &self.config, own, self.wall);
            self.subscriptions.told(event.told() - before);
            if event.is_ended() {
                self.telling = None;
            }
            if message.is_some() {
                return message;
            }
        }
    }
}
