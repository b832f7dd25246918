//! Answers who asks what we are (XEP-0030 §3.1, §4.1): what all services announce, and
//! below a node of our own whatever it stands for.

use std::collections::VecDeque;

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::disco::{DiscoInfo, DiscoItems};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::{Iq, Payload as _, Stanza, Text, ns};

use crate::service::{Input, Output, Service, Taken};

/// What we are, as others ask for it.
#[derive(Debug, Default)]
pub struct Disco {
    info: DiscoInfo,
    answers: VecDeque<Stanza>,
}

impl Disco {
    fn answer(&self, iq: &Iq) -> Option<Iq> {
        let IqKind::Get(query) = &iq.kind else {
            return None;
        };
        if DiscoInfo::matches(query) {
            Some(match query.attr("node") {
                None => iq.result(Some(self.info.to_element())),
                Some(_) => no_such_node(iq),
            })
        } else if DiscoItems::matches(query) {
            Some(match query.attr("node") {
                // A client without things or commands has none (XEP-0030 §4.1).
                None => iq.result(Some(DiscoItems::default().to_element())),
                Some(_) => no_such_node(iq),
            })
        } else {
            None
        }
    }
}

fn no_such_node(iq: &Iq) -> Iq {
    iq.refuse(StanzaError::new(
        ErrorType::Cancel,
        DefinedCondition::ItemNotFound,
    ))
}

impl Service for Disco {
    const NAME: &'static str = "disco";
    type Event = ();

    fn features(&self) -> Vec<Text> {
        vec![Text::from_static(ns::DISCO_ITEMS)]
    }

    fn handle(&mut self, _now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Info(info) => self.info = info.clone(),
            Input::Stanza(Stanza::Iq(iq)) => {
                if let Some(answer) = self.answer(iq) {
                    self.answers.push_back(answer.into());
                    return Taken::Yes;
                }
            }
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<()> {
        match self.answers.pop_front() {
            Some(answer) => Output::Transmit(answer),
            None => Output::Wait(None),
        }
    }
}
