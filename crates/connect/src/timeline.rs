//! What a connector did at which moment, as plain data: the race of the candidates, for
//! people to read. What each step led to is told by the events themselves.

use std::time::Duration;

use stanchion_transport::Endpoint;
use tokio::time::Instant;

use crate::event::ConnectEvent;
use crate::phase::Phase;

/// Steps that are kept, at most; the first ones.
pub const MAX_STEPS: usize = 256;

/// The steps of one walk over the candidates, in their order.
#[derive(Debug, Clone)]
pub struct Timeline {
    began: Instant,
    steps: Vec<Step>,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// When, from the beginning of the walk.
    pub at: Duration,
    /// At which candidate.
    pub endpoint: Endpoint,
    /// What.
    pub what: What,
}

/// What happened at a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// Its host's addresses are looked up.
    Resolving,
    /// A connection is begun.
    Started,
    /// TLS is there, and the certificate is believed.
    Secured,
    /// It sends us there.
    Redirected(Endpoint),
    /// Another one was secured first; the connection was closed.
    Overtaken,
    /// It gave no session; in which phase it failed.
    Failed(Phase),
    /// It gave the session.
    Established,
}

impl Default for Timeline {
    /// Begins now.
    fn default() -> Self {
        Self {
            began: Instant::now(),
            steps: Vec::new(),
        }
    }
}

impl Timeline {
    /// The steps so far.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The candidate that was secured first, and when.
    #[must_use]
    pub fn first_secured(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.what == What::Secured)
    }

    /// Adds an event that happens now, if it is a step.
    pub fn note(&mut self, event: &ConnectEvent<'_>) {
        let (endpoint, what) = match event {
            ConnectEvent::Phase(at, Phase::Resolve) => (*at, What::Resolving),
            ConnectEvent::Phase(at, Phase::Tcp) => (*at, What::Started),
            ConnectEvent::Secured(at, _) => (*at, What::Secured),
            ConnectEvent::Redirected { from, to } => (*from, What::Redirected((*to).clone())),
            ConnectEvent::Failed(attempt) => (&attempt.endpoint, What::Failed(attempt.phase)),
            ConnectEvent::Established(at, ..) => (*at, What::Established),
            ConnectEvent::Overtaken(at) => (*at, What::Overtaken),
            _ => return,
        };
        if self.steps.len() < MAX_STEPS {
            self.steps.push(Step {
                at: self.began.elapsed(),
                endpoint: endpoint.clone(),
                what,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use stanchion_transport::{Security, TlsMode};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timeline_tells_who_started_when_and_who_was_secured_first() {
        let place = |last| Endpoint::at(([192, 0, 2, last], 5222).into(), TlsMode::StartTls);
        let (one, two) = (place(1), place(2));
        let mut timeline = Timeline::default();
        timeline.note(&ConnectEvent::Phase(&one, Phase::Tcp));
        tokio::time::advance(Duration::from_millis(250)).await;
        timeline.note(&ConnectEvent::Phase(&two, Phase::Tcp));
        timeline.note(&ConnectEvent::Phase(&two, Phase::Stream));
        tokio::time::advance(Duration::from_millis(50)).await;
        timeline.note(&ConnectEvent::Secured(&two, &Security::plaintext()));
        let told: Vec<_> = timeline
            .steps()
            .iter()
            .map(|s| (s.at.as_millis(), &s.endpoint, &s.what))
            .collect();
        assert_eq!(
            told,
            [
                (0, &one, &What::Started),
                (250, &two, &What::Started),
                (300, &two, &What::Secured)
            ]
        );
        assert_eq!(timeline.first_secured().map(|s| &s.endpoint), Some(&two));
        for _ in 0..2 * MAX_STEPS {
            timeline.note(&ConnectEvent::Phase(&one, Phase::Tcp));
        }
        assert_eq!(timeline.steps().len(), MAX_STEPS);
    }
}
