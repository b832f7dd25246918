//! Entity time (XEP-0202), both roles: tells what our clock says, and asks others. Whose
//! clock is right is not decided here.

use std::collections::VecDeque;

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::time::{Clock, Time};
use stanchion_stanza::stanza::IqKind;
use stanchion_stanza::{Jid, Payload as _, Stanza, Text, ns};

use crate::host::Requests;
use crate::request::{Request, RequestError};
use crate::service::{Input, Output, Service, Taken};

/// Tells the time to whoever asks.
#[derive(Debug, Default)]
pub struct Times {
    offset_minutes: i16,
    answers: VecDeque<Stanza>,
}

impl Times {
    /// In a zone that is so many minutes ahead of UTC. Default 0: where we are is nobody's
    /// business.
    #[must_use]
    pub const fn in_zone(offset_minutes: i16) -> Self {
        Self {
            offset_minutes,
            answers: VecDeque::new(),
        }
    }
}

impl Service for Times {
    const NAME: &'static str = "time";
    type Event = ();

    fn features(&self) -> Vec<Text> {
        vec![Text::from_static(ns::TIME)]
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        if let Input::Stanza(Stanza::Iq(iq)) = input
            && let IqKind::Get(query) = &iq.kind
            && Time::matches(query)
        {
            let clock = Clock {
                unix_ms: now.wall.as_unix_ms(),
                offset_minutes: self.offset_minutes,
            };
            let time = Time { clock: Some(clock) };
            let answer = iq.result(Some(time.to_element()));
            self.answers.push_back(answer.into());
            return Taken::Yes;
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

/// What the clock of `of` says, when it was asked: by now it is later, by up to the time
/// that the answer took.
///
/// # Errors
/// [`RequestError`].
pub async fn time(requests: &Requests, of: Jid) -> Result<Clock, RequestError> {
    let query = Time::default().to_element();
    let time: Time = requests.ask_for(Request::get(Some(of), query)).await?;
    let missing = || RequestError::Unreadable("<time/> has no time in it".to_owned());
    time.clock.ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_reliability::store::WallTime;
    use stanchion_stanza::Iq;

    #[test]
    fn the_time_is_that_of_the_answer() {
        let mut times = Times::in_zone(-90);
        let ask = Stanza::Iq(Iq::get(None, Text::from_static("1"), &Time::default()));
        for unix_ms in [0, 1_700_000_000_123] {
            let now = Now {
                monotonic: std::time::Duration::ZERO,
                wall: WallTime::from_unix_ms(unix_ms),
            };
            assert_eq!(times.handle(now, Input::Stanza(&ask)), Taken::Yes);
            let Output::Transmit(Stanza::Iq(answer)) = times.poll_output() else {
                panic!("no answer")
            };
            let IqKind::Result(Some(time)) = answer.kind else {
                panic!("no result")
            };
            let told = Time::from_element(&time).unwrap().clock;
            let offset_minutes = -90;
            let clock = Clock {
                unix_ms,
                offset_minutes,
            };
            assert_eq!(told, Some(clock));
        }
    }
}
