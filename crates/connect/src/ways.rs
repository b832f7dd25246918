//! What is known of the ways to an account's servers: how well each endpoint is, where the
//! last session was, and where it was sent to. Owns the order that follows from it. Which
//! candidates there are is the connector's, who runs when the race's affair.

use std::time::SystemTime;

use stanchion_stanza::stream::StreamCondition;
use stanchion_transport::Endpoint;

use crate::backoff::BackoffPolicy;
use crate::connection::SessionEnd;
use crate::health::{HealthBook, order};
use crate::redirect::place;
use crate::registry::EndpointHealth;
use crate::resolve::discover::Candidate;

/// What is known of the ways to the servers. Held only to copy in or out.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    pub(crate) health: HealthBook,
    pub(crate) last: Option<LastSession>,
    /// Where the last session was sent to (`see-other-host`).
    pub(crate) moved: Option<Endpoint>,
}

/// Where the last session was given.
#[derive(Debug)]
pub(crate) struct LastSession {
    pub(crate) address: Endpoint,
    /// The name that the address was found under.
    pub(crate) name: Option<Endpoint>,
    /// Failures in a row of the address before. A session that does not last has undone
    /// none of them.
    pub(crate) failures: u32,
}

impl Ways {
    /// Puts candidates in the order that their history suggests.
    pub(crate) fn ordered(&self, candidates: Vec<Candidate>) -> Vec<Endpoint> {
        let with_history = candidates
            .into_iter()
            .map(|c| (c.priority, self.health.get(&c.endpoint), c.endpoint))
            .collect();
        let ordered = order(with_history, SystemTime::now());
        ordered
            .into_iter()
            .map(|(_, _, endpoint)| endpoint)
            .collect()
    }

    /// A session has ended: what that says of its endpoint.
    pub(crate) fn ended(&mut self, end: &SessionEnd) {
        let now = SystemTime::now();
        let last = self.last.take_if(|last| last.address == end.endpoint);
        let failures = last.as_ref().map_or(0, |last| last.failures);
        let name = last.and_then(|last| last.name);
        let mut note = |change: &dyn Fn(&mut EndpointHealth)| {
            for endpoint in std::iter::once(&end.endpoint).chain(&name) {
                self.health.note(endpoint, change);
            }
        };
        let condition = end.error.as_ref().map(|error| error.condition);
        match condition {
            _ if end.elsewhere => note(&|health| health.shun(now)),
            Some(StreamCondition::SystemShutdown | StreamCondition::ResourceConstraint) => {
                note(&|health| health.shun(now));
            }
            Some(StreamCondition::SeeOtherHost) => {
                let value = end.error.as_ref().and_then(|error| error.value.as_deref());
                self.moved = value.and_then(|value| place(value, &end.endpoint));
            }
            _ if end.lasted < BackoffPolicy::default().lasting => note(&|health| {
                health.failures = health.failures.max(failures);
                health.failed(now);
            }),
            _ => {}
        }
    }
}
