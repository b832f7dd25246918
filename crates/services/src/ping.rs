//! XMPP ping (XEP-0199), both roles: answers, and asks. When to probe one's own
//! connection is the engine's affair.

use std::collections::VecDeque;
use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::ping::Ping;
use stanchion_stanza::stanza::IqKind;
use stanchion_stanza::{Jid, Payload as _, Stanza, Text, ns};

use crate::host::Requests;
use crate::request::{Request, RequestError};
use crate::service::{Input, Output, Service, Taken};

/// Answers pings.
#[derive(Debug, Default)]
pub struct Pings {
    answers: VecDeque<Stanza>,
}

impl Service for Pings {
    const NAME: &'static str = "ping";
    type Event = ();

    fn features(&self) -> Vec<Text> {
        vec![Text::from_static(ns::PING)]
    }

    fn handle(&mut self, _now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Stanza(Stanza::Iq(iq)) => match &iq.kind {
                IqKind::Get(query) if Ping::matches(query) => {
                    self.answers.push_back(iq.result(None).into());
                    Taken::Yes
                }
                _ => Taken::No,
            },
            _ => Taken::No,
        }
    }

    fn poll_output(&mut self) -> Output<()> {
        match self.answers.pop_front() {
            Some(answer) => Output::Transmit(answer),
            None => Output::Wait(None),
        }
    }
}

/// Pings `to` (none: our own server's account), and gives the time until the answer. A
/// refusal is an answer, too: whoever refuses is there (XEP-0199 §4.1).
///
/// # Errors
/// [`RequestError`]; a refusal that says that there is nobody, too.
pub async fn ping(requests: &Requests, to: Option<Jid>) -> Result<Duration, RequestError> {
    use stanchion_stanza::stanza::DefinedCondition as C;
    let started = tokio::time::Instant::now();
    match requests.ask(Request::get(to, Ping.to_element())).await {
        Ok(_) => Ok(started.elapsed()),
        // A client without this extension answers so, and so does a server for a client
        // that is not there: only of a feature that is missing is it known who said it.
        Err(RequestError::Refused { error, .. }) if error.condition == C::FeatureNotImplemented => {
            Ok(started.elapsed())
        }
        Err(error) => Err(error),
    }
}
