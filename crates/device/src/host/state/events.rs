//! Subscriptions to our things: who may have one, and the messages that tell. What is due
//! when is `subscriptions`'.

use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_services::Output;
use stanchion_stanza::payload::datetime::utc;
use stanchion_stanza::payload::iot_events::{Subscribe, Unsubscribe};
use stanchion_stanza::payload::sensordata::{
    Accepted, Field, Node, Profile, Profiled as _, Request,
};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, MessageType, StanzaError};
use stanchion_stanza::{Iq, Jid, Message, Stanza, Text};

use super::super::HostEvent;
use super::super::subscriptions::{Due, SubscribeError};
use super::State;
use super::reading::{Unreadable, Wish, known};
use crate::model::Sample;

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
        let latest = match self.readable(&who, profile, &asked) {
            Ok(latest) => latest,
            Err(Unreadable::Forbidden) => {
                let (who, what) = (Some(who), "to subscribe");
                self.event(HostEvent::Refused { who, what });
                let refusal = refuse(ErrorType::Auth, C::Forbidden, "it may not be read");
                return self.answer(refusal);
            }
            Err(Unreadable::NotFound) => {
                let refusal = refuse(ErrorType::Cancel, C::ItemNotFound, "no such thing");
                return self.answer(refusal);
            }
            Err(Unreadable::Time) => {
                let refusal = refuse(ErrorType::Modify, C::BadRequest, "a time is none");
                return self.answer(refusal);
            }
        };
        let id = asked.id.clone();
        let begun = self
            .subscriptions
            .subscribe(now.monotonic, who, profile, asked, &latest);
        match begun {
            Ok(due) => {
                let accepted = Accepted { id, queued: false };
                self.answer(request.result(Some(accepted.to_element_in(profile))));
                self.tell_due(due);
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

    /// The values that a subscription is about, as they are.
    fn readable(
        &self,
        who: &Jid,
        profile: Profile,
        asked: &Subscribe,
    ) -> Result<Vec<(Node, Text, Field)>, Unreadable> {
        let request = Request {
            nodes: asked.nodes.clone(),
            ..Request::default()
        };
        let wish = Wish::of(Some(who.clone()), profile, &request)?;
        let (access, own) = (&self.config.access, self.own.as_ref());
        let things = wish.things(&self.table, access, own)?;
        let mut latest = Vec::new();
        for thing in things.iter().filter_map(|id| self.table.thing(id)) {
            for field in &thing.fields {
                let id = &thing.node.id;
                if access.may_read(Some(who), own, id, &field.name)
                    && let Some(value) = self.table.value(id, &field.name)
                {
                    let at = utc(value.at.as_unix_ms());
                    latest.push((thing.node.clone(), at, known(field, value)));
                }
            }
        }
        Ok(latest)
    }

    /// What our things told, to who subscribed to it.
    pub(super) fn tell_subscribers(&mut self, now: Duration, samples: &[Sample]) {
        if self.subscriptions.is_empty() {
            return;
        }
        for sample in samples {
            let Some(spec) = self.table.thing(&sample.thing) else {
                continue;
            };
            let (access, own) = (&self.config.access, self.own.as_ref());
            let may =
                |who: &Jid, field: &Text| access.may_read(Some(who), own, &sample.thing, field);
            let due = self.subscriptions.sample(now, spec, sample, may);
            self.tell_due(due);
        }
    }

    pub(super) fn tell_due(&mut self, due: impl IntoIterator<Item = Due>) {
        for due in due {
            let mut message = Message::chat(due.to);
            message.kind = MessageType::Normal;
            let message = message.with_payload(due.fields.to_element_in(due.profile));
            self.outputs
                .push_back(Output::Transmit(Stanza::Message(message)));
        }
    }
}
