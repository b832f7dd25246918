//! Last activity (XEP-0012), both roles: says for how long nobody has used us, to those
//! who may know, and asks others.

use std::collections::VecDeque;
use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::last_activity::LastActivity;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::{BareJid, Jid, Payload as _, Stanza, Text, ns};

use crate::allowed::Allowed;
use crate::host::Requests;
use crate::request::{Request, RequestError};
use crate::service::{Input, Output, Service, Taken};
use crate::slot::{Ended, Handle};

/// Answers those who may ask for how long nobody has used us.
#[derive(Debug, Default)]
pub struct LastActivities {
    allowed: Allowed,
    /// Monotonic; the host's beginning, before anybody did anything.
    active: Duration,
    own: Option<BareJid>,
    answers: VecDeque<Stanza>,
}

impl LastActivities {
    /// For these. Who may see our presence may know it, too (XEP-0012 §8); by default only
    /// our own account.
    #[must_use]
    pub fn new(allowed: Allowed) -> Self {
        Self {
            allowed,
            ..Self::default()
        }
    }
}

impl Service for LastActivities {
    const NAME: &'static str = "last-activity";
    type Event = ();

    fn features(&self) -> Vec<Text> {
        match self.allowed {
            Allowed::Nobody => Vec::new(),
            _ => vec![Text::from_static(ns::LAST)],
        }
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Up(up) => self.own = Some(up.jid.to_bare()),
            Input::Stanza(Stanza::Iq(iq)) => {
                let IqKind::Get(query) = &iq.kind else {
                    return Taken::No;
                };
                if !LastActivity::matches(query) || matches!(self.allowed, Allowed::Nobody) {
                    return Taken::No;
                }
                let may = (self.allowed).has(iq.header.from.as_ref(), self.own.as_ref());
                let idle = now.monotonic.saturating_sub(self.active).as_secs();
                let answer = match may {
                    true => iq.result(Some(
                        LastActivity {
                            seconds: Some(idle),
                            status: Text::default(),
                        }
                        .to_element(),
                    )),
                    false => iq.refuse(StanzaError::new(
                        ErrorType::Auth,
                        DefinedCondition::Forbidden,
                    )),
                };
                self.answers.push_back(answer.into());
                return Taken::Yes;
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

/// Notes that somebody uses us. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Activity(Handle<LastActivities>);

impl Activity {
    /// Over a host that runs that service.
    #[must_use]
    pub const fn new(service: Handle<LastActivities>) -> Self {
        Self(service)
    }

    /// Somebody does something at this moment. Nothing else counts: neither messages nor
    /// requests of others.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn now(&self) -> Result<(), Ended> {
        let note = |service: &mut LastActivities, now: Now| service.active = now.monotonic;
        self.0.call(note).await
    }
}

/// For how long `of` has been idle: a device since it was used, an account since its last
/// device left, a server since it started (XEP-0012 §3 to §5). A server refuses for those
/// who may not see the presence of the account.
///
/// # Errors
/// [`RequestError`].
pub async fn last_activity(requests: &Requests, of: Jid) -> Result<LastActivity, RequestError> {
    let query = LastActivity::default().to_element();
    let last: LastActivity = requests.ask_for(Request::get(Some(of), query)).await?;
    if last.seconds.is_none() {
        let what = "<query/> has no `seconds`".to_owned();
        return Err(RequestError::Unreadable(what));
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_reliability::store::WallTime;
    use stanchion_stanza::Iq;

    fn asked(service: &mut LastActivities, from: Option<&str>, at: u64) -> Option<IqKind> {
        let mut ask = Iq::get(None, Text::from_static("1"), &LastActivity::default());
        ask.header.from = from.map(|from| from.parse().unwrap());
        let now = Now {
            monotonic: Duration::from_millis(at),
            wall: WallTime::from_unix_ms(0),
        };
        if service.handle(now, Input::Stanza(&ask.into())) == Taken::No {
            return None;
        }
        match service.poll_output() {
            Output::Transmit(Stanza::Iq(answer)) => Some(answer.kind),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_may_know_is_told_whole_seconds_since_the_last_use() {
        let mut service = LastActivities::new(Allowed::Anybody);
        service.active = Duration::from_secs(100);
        for (at, seconds) in [(99_000, 0), (100_000, 0), (101_999, 1)] {
            let Some(IqKind::Result(Some(told))) = asked(&mut service, Some("a@b/c"), at) else {
                panic!("no result")
            };
            let told = LastActivity::from_element(&told).unwrap();
            assert_eq!(told.seconds, Some(seconds));
        }
    }

    #[test]
    fn others_are_refused_and_it_may_be_switched_off() {
        let mut service = LastActivities::default();
        let answer = asked(&mut service, Some("a@b/c"), 0);
        assert!(matches!(answer, Some(IqKind::Error(..))), "{answer:?}");
        let answer = asked(&mut service, None, 0);
        assert!(matches!(answer, Some(IqKind::Result(_))), "our own server");
        assert_eq!(service.features(), [ns::LAST]);
        let mut nobody = LastActivities::new(Allowed::Nobody);
        assert_eq!(asked(&mut nobody, None, 0), None);
        assert_eq!(nobody.features(), [""; 0]);
    }
}
