//! Software version (XEP-0092), both roles: says what program we are, as far as it may be
//! known, and asks.

use std::collections::VecDeque;

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::version::Version;
use stanchion_stanza::stanza::IqKind;
use stanchion_stanza::{Jid, Payload as _, Stanza, Text, ns};

use crate::host::Requests;
use crate::request::{Request, RequestError};
use crate::service::{Input, Output, Service, Taken};

/// What we say that we are. Default: this library's name and version, and nothing of the
/// system that it runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Software(Option<Version>);

impl Default for Software {
    fn default() -> Self {
        Self::named(
            Text::from_static("Stanchion"),
            Text::from_static(env!("CARGO_PKG_VERSION")),
        )
    }
}

impl Software {
    /// A program of that name and version.
    #[must_use]
    pub const fn named(name: Text, version: Text) -> Self {
        Self(Some(Version {
            name: Some(name),
            version: Some(version),
            os: None,
        }))
    }

    /// The same, and what it runs on: attackers want to know that, too (XEP-0092 §7).
    #[must_use]
    pub fn on(mut self, os: Text) -> Self {
        if let Some(version) = &mut self.0 {
            version.os = Some(os);
        }
        self
    }

    /// Nothing: who asks is told that this is not supported.
    #[must_use]
    pub const fn hidden() -> Self {
        Self(None)
    }
}

/// Answers who asks for our version.
#[derive(Debug, Default)]
pub struct Versions {
    software: Software,
    answers: VecDeque<Stanza>,
}

impl Versions {
    /// Says that.
    #[must_use]
    pub const fn new(software: Software) -> Self {
        Self {
            software,
            answers: VecDeque::new(),
        }
    }
}

impl Service for Versions {
    const NAME: &'static str = "version";
    type Event = ();

    fn features(&self) -> Vec<Text> {
        let told = self.software.0.is_some();
        told.then(|| Text::from_static(ns::VERSION))
            .into_iter()
            .collect()
    }

    fn handle(&mut self, _now: Now, input: Input<'_>) -> Taken {
        if let Input::Stanza(Stanza::Iq(iq)) = input
            && let IqKind::Get(query) = &iq.kind
            && Version::matches(query)
            && let Some(version) = &self.software.0
        {
            let answer = iq.result(Some(version.to_element()));
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

/// What program `of` is.
///
/// # Errors
/// [`RequestError`].
pub async fn version(requests: &Requests, of: Jid) -> Result<Version, RequestError> {
    let query = Version::default().to_element();
    requests.ask_for(Request::get(Some(of), query)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_reliability::store::WallTime;
    use stanchion_stanza::Iq;

    #[test]
    fn what_is_hidden_is_neither_told_nor_announced() {
        let now = Now {
            monotonic: std::time::Duration::ZERO,
            wall: WallTime::from_unix_ms(0),
        };
        let ask = Iq::get(None, Text::from_static("1"), &Version::default());
        let mut hidden = Versions::new(Software::hidden());
        let stanza = Stanza::Iq(ask.clone());
        assert_eq!(hidden.handle(now, Input::Stanza(&stanza)), Taken::No);
        assert_eq!(hidden.features(), [""; 0]);

        let mut open = Versions::default();
        assert_eq!(open.features(), [ns::VERSION]);
        assert_eq!(open.handle(now, Input::Stanza(&stanza)), Taken::Yes);
        let Output::Transmit(Stanza::Iq(answer)) = open.poll_output() else {
            panic!("no answer")
        };
        let IqKind::Result(Some(query)) = answer.kind else {
            panic!("no result")
        };
        let told = Version::from_element(&query).unwrap();
        assert_eq!(told.name.as_deref(), Some("Stanchion"));
        assert_eq!(told.os, None);
    }
}
