//! Which endpoints are well: a circuit breaker for each, how long each takes, and the
//! order that follows from it. Sans-IO: the time is an argument, in wall-clock time, for
//! what is known outlives the process. Where it is kept is the registry's affair.
//!
//! ```text
//!            3 failures in a row                  time is over
//!   closed ───────────────────────▶ open ────────────────────▶ half-open
//!     ▲                              ▲  twice as long as before    │  │
//!     │                              └────────── failure ──────────┘  │
//!     └───────────────────────────── success ─────────────────────────┘
//! ```

use std::cmp::Reverse;
use std::time::{Duration, SystemTime};

use stanchion_transport::Endpoint;

use crate::registry::{EndpointHealth, MAX_ENDPOINTS};

/// Failures in a row that open a circuit.
pub const FAILURES: u32 = 3;

/// How long a circuit is open at first; twice as long after each further failure.
pub const OPEN_FOR: Duration = Duration::from_secs(30);

/// How long a circuit is open at most.
pub const OPEN_AT_MOST: Duration = Duration::from_secs(3600);

/// How long an endpoint that said so itself (`system-shutdown`, `resource-constraint`)
/// is left alone.
pub const SHUN_FOR: Duration = Duration::from_secs(60);

/// A better endpoint that has not failed for so long goes first again, at the next
/// connection. No session is given up for it.
pub const RETURN_AFTER: Duration = Duration::from_secs(600);

/// Among equals, the one that gave the last session goes first for so long; then the
/// load is spread anew.
pub const STICKY_FOR: Duration = Duration::from_secs(24 * 3600);

/// Whether an endpoint is to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Circuit {
    /// As any other.
    Closed,
    /// A single time, to see whether it is well again.
    HalfOpen,
    /// After all others.
    Open,
}

impl EndpointHealth {
    /// Whether it is to be tried.
    #[must_use]
    pub fn circuit(&self, now: SystemTime) -> Circuit {
        match self.open_until {
            None => Circuit::Closed,
            // Further away than any circuit is open: the clock was set back.
            Some(until) => match until.duration_since(now) {
                Ok(left) if !left.is_zero() && left <= OPEN_AT_MOST => Circuit::Open,
                _ => Circuit::HalfOpen,
            },
        }
    }

    /// It gave a session, and was secured within `latency`.
    pub fn succeeded(&mut self, now: SystemTime, latency: Duration) {
        self.failures = 0;
        self.open_until = None;
        self.shunned_until = None;
        self.succeeded_at = Some(now);
        self.latency = Some(self.latency.map_or(latency, |old| (old * 7 + latency) / 8));
    }

    /// It failed.
    pub fn failed(&mut self, now: SystemTime) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now);
        if let Some(times) = self.failures.checked_sub(FAILURES) {
            let factor = 1u32.checked_shl(times).unwrap_or(u32::MAX);
            let open = OPEN_FOR.saturating_mul(factor).min(OPEN_AT_MOST);
            self.open_until = now.checked_add(open);
        }
    }

    /// A later starter was secured first, after this one had run for `time`. It may be
    /// dead or only far away: it counts as a failure, and the next time the others wait
    /// longer for it.
    pub fn overtaken(&mut self, now: SystemTime, time: Duration) {
        self.failed(now);
        self.latency = Some(self.latency.map_or(time, |old| old.max(time)));
    }

    /// It asked to be left alone for a while, or was left for another one.
    pub fn shun(&mut self, now: SystemTime) {
        self.failed(now);
        let until = now.checked_add(SHUN_FOR);
        self.open_until = self.open_until.max(until);
        self.shunned_until = until;
    }

    fn is_shunned(&self, now: SystemTime) -> bool {
        let left = self
            .shunned_until
            .and_then(|at| at.duration_since(now).ok());
        // Further away: the clock was set back.
        left.is_some_and(|left| !left.is_zero() && left <= SHUN_FOR)
    }

    /// Whether it failed within `time` before `now`.
    pub(crate) fn failed_within(&self, now: SystemTime, time: Duration) -> bool {
        let since = self.failed_at.and_then(|at| now.duration_since(at).ok());
        since.is_some_and(|since| since < time)
    }
}

/// Puts candidates in the order in which to try them. They come with their priority, the
/// lower the better, in the order that they would have without a history.
///
/// - Those with an open circuit go last. None is left out; one that was left on purpose goes
///   behind those that failed, and then the one that failed longest ago goes first.
/// - Of the half-open ones the first keeps its place; the others go behind.
/// - Within one priority, those that failed last time go behind those that did not.
/// - The one that gave the last session goes first among its equals for [`STICKY_FOR`],
///   and before better ones that failed within [`RETURN_AFTER`].
pub fn order<T>(
    candidates: Vec<(u16, EndpointHealth, T)>,
    now: SystemTime,
) -> Vec<(u16, EndpointHealth, T)> {
    let mut probe = true;
    let (mut ready, mut behind): (Vec<_>, Vec<_>) =
        candidates
            .into_iter()
            .partition(|(_, health, _)| match health.circuit(now) {
                Circuit::Closed => true,
                Circuit::HalfOpen => std::mem::take(&mut probe),
                Circuit::Open => false,
            });
    ready.sort_by_key(|(priority, health, _)| (*priority, health.failures > 0));
    let sticky = |health: &EndpointHealth| {
        let at = health.succeeded_at.filter(|_| health.failures == 0)?;
        let since = now.duration_since(at).ok()?;
        (since < STICKY_FOR).then_some(since)
    };
    let may_lead = |place: usize| {
        let priority = ready[place].0;
        ready[..place].iter().all(|(better, health, _)| {
            *better == priority || health.failed_within(now, RETURN_AFTER)
        })
    };
    let last_good = ready
        .iter()
        .enumerate()
        .filter_map(|(place, (_, health, _))| Some((sticky(health)?, place)))
        .filter(|(_, place)| may_lead(*place))
        .min();
    if let Some((_, place)) = last_good {
        ready[..=place].rotate_right(1);
    }
    let is_open = |health: &EndpointHealth| health.circuit(now) == Circuit::Open;
    behind.sort_by_key(|(_, health, _)| {
        let open = is_open(health);
        (open, open && health.is_shunned(now), health.failed_at)
    });
    ready.extend(behind);
    ready
}

/// What is known of the endpoints of one account.
#[derive(Debug, Clone, Default)]
pub struct HealthBook {
    /// The least recently used first.
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    endpoint: Endpoint,
    health: EndpointHealth,
    /// Not written down yet.
    changed: bool,
}

impl HealthBook {
    /// Begins with what was known before.
    #[must_use]
    pub fn new(known: Vec<(Endpoint, EndpointHealth)>) -> Self {
        let surplus = known.len().saturating_sub(MAX_ENDPOINTS);
        let entries = known.into_iter().skip(surplus);
        let entry = |(endpoint, health)| Entry {
            endpoint,
            health,
            changed: false,
        };
        Self {
            entries: entries.map(entry).collect(),
        }
    }

    /// What is known of one; nothing, if it was never tried.
    #[must_use]
    pub fn get(&self, endpoint: &Endpoint) -> EndpointHealth {
        let entry = self.entries.iter().find(|e| e.endpoint == *endpoint);
        entry.map(|e| e.health.clone()).unwrap_or_default()
    }

    /// Notes something of one. Of [`MAX_ENDPOINTS`] the least recently used is
    /// forgotten.
    pub fn note(&mut self, endpoint: &Endpoint, change: impl FnOnce(&mut EndpointHealth)) {
        let known = self.entries.iter().position(|e| e.endpoint == *endpoint);
        let mut entry = match known {
            Some(place) => self.entries.remove(place),
            None => Entry {
                endpoint: endpoint.clone(),
                health: EndpointHealth::default(),
                changed: false,
            },
        };
        if self.entries.len() >= MAX_ENDPOINTS {
            self.entries.remove(0);
        }
        change(&mut entry.health);
        entry.changed = true;
        self.entries.push(entry);
    }

    /// All that is known.
    pub fn iter(&self) -> impl Iterator<Item = (&Endpoint, &EndpointHealth)> {
        self.entries.iter().map(|e| (&e.endpoint, &e.health))
    }

    /// What has changed since the last call.
    #[must_use]
    pub fn take_changes(&mut self) -> Vec<(Endpoint, EndpointHealth)> {
        let changed = self.entries.iter_mut().filter(|e| e.changed);
        let take = |e: &mut Entry| {
            e.changed = false;
            (e.endpoint.clone(), e.health.clone())
        };
        changed.map(take).collect()
    }

    /// The health of the server behind all these endpoints: what happened last counts.
    #[must_use]
    pub fn of_the_server(&self) -> EndpointHealth {
        let all = || self.entries.iter().map(|e| &e.health);
        let succeeded_at = all().filter_map(|h| h.succeeded_at).max();
        let last_failed = all().max_by_key(|h| (h.failed_at, Reverse(h.failures)));
        let failing = last_failed.filter(|h| h.failures > 0 && h.failed_at > succeeded_at);
        EndpointHealth {
            failures: failing.map_or(0, |h| h.failures),
            failed_at: last_failed.and_then(|h| h.failed_at),
            succeeded_at,
            open_until: failing.and_then(|h| h.open_until),
            shunned_until: failing.and_then(|h| h.shunned_until),
            latency: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_transport::TlsMode;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn place(n: u8) -> Endpoint {
        Endpoint::at(([192, 0, 2, n], 5222).into(), TlsMode::StartTls)
    }

    fn failed(times: u32, when: u64) -> EndpointHealth {
        let mut health = EndpointHealth::default();
        for _ in 0..times {
            health.failed(at(when));
        }
        health
    }

    fn good(when: u64) -> EndpointHealth {
        let mut health = EndpointHealth::default();
        health.succeeded(at(when), Duration::from_millis(80));
        health
    }

    fn ordered(candidates: Vec<(u16, EndpointHealth, char)>, now: u64) -> String {
        let ordered = order(candidates, at(now));
        ordered.into_iter().map(|(_, _, name)| name).collect()
    }

    fn fresh() -> EndpointHealth {
        EndpointHealth::default()
    }

    #[test]
    fn a_circuit_opens_after_three_failures_in_a_row_and_one_success_closes_it() {
        let mut health = failed(2, 0);
        assert_eq!(health.circuit(at(0)), Circuit::Closed);
        health.failed(at(0));
        assert_eq!(health.circuit(at(29)), Circuit::Open);
        assert_eq!(health.circuit(at(30)), Circuit::HalfOpen);
        health.succeeded(at(30), Duration::ZERO);
        assert_eq!(health.circuit(at(30)), Circuit::Closed);
        health.failed(at(31));
        assert_eq!(health.circuit(at(31)), Circuit::Closed);
    }

    #[test]
    fn a_probe_that_fails_opens_for_twice_as_long_up_to_an_hour() {
        let mut health = failed(3, 0);
        let mut now = 0;
        for open in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600] {
            now += open;
            assert_eq!(health.circuit(at(now - 1)), Circuit::Open);
            assert_eq!(health.circuit(at(now)), Circuit::HalfOpen);
            health.failed(at(now));
        }
        for _ in 0..100 {
            health.failed(at(now));
        }
        assert_eq!(health.circuit(at(now + 3600)), Circuit::HalfOpen);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_a_circuit_open() {
        let health = failed(3, 1_000_000);
        assert_eq!(health.circuit(at(0)), Circuit::HalfOpen);
    }

    #[test]
    fn an_open_one_goes_last_and_is_still_tried_when_nothing_else_is_left() {
        let open = || failed(3, 95);
        let some = vec![(0, open(), 'a'), (1, fresh(), 'b'), (2, fresh(), 'c')];
        assert_eq!(ordered(some, 100), "bca");
        let all = vec![(0, open(), 'a'), (1, open(), 'b')];
        assert_eq!(ordered(all, 100), "ab");
    }

    #[test]
    fn of_open_ones_that_which_was_just_left_goes_last() {
        let mut left = good(99);
        left.shun(at(100));
        let down = failed(4, 95);
        let both = vec![(0, left, 'a'), (1, down, 'b')];
        assert_eq!(ordered(both, 100), "ba");
    }

    #[test]
    fn one_that_was_left_on_purpose_waits_while_the_connection_to_another_breaks() {
        let mut left = good(90);
        left.shun(at(100));
        let breaks = failed(4, 103);
        let both = || vec![(0, left.clone(), 'a'), (1, breaks.clone(), 'b')];
        assert_eq!(ordered(both(), 104), "ba");
        // Of two that were left, the other one.
        let mut too = good(101);
        too.shun(at(103));
        assert_eq!(
            ordered(vec![(0, left.clone(), 'a'), (1, too, 'b')], 104),
            "ab"
        );
        let later = 100 + SHUN_FOR.as_secs();
        assert_eq!(ordered(both(), later), "ab");
        left.succeeded(at(105), Duration::ZERO);
        left.failed(at(106));
        assert_eq!(left.shunned_until, None);
    }

    #[test]
    fn only_one_half_open_one_is_tried_in_its_place() {
        let all = vec![
            (0, failed(3, 0), 'a'),
            (1, failed(3, 0), 'b'),
            (2, fresh(), 'c'),
        ];
        assert_eq!(ordered(all, 100), "acb");
    }

    #[test]
    fn of_equals_one_that_failed_goes_behind_and_the_last_good_one_goes_first() {
        let all = vec![
            (5, failed(1, 99), 'a'),
            (5, fresh(), 'b'),
            (5, good(50), 'c'),
            (7, good(60), 'd'),
        ];
        assert_eq!(ordered(all, 100), "cbad");
        let long_ago = vec![(5, fresh(), 'b'), (5, good(0), 'c')];
        assert_eq!(ordered(long_ago, STICKY_FOR.as_secs()), "bc");
    }

    #[test]
    fn the_second_best_stays_first_until_the_best_has_been_well_for_ten_minutes() {
        let all = || vec![(0, failed(1, 0), 'a'), (1, good(1), 'b')];
        assert_eq!(ordered(all(), 599), "ba");
        assert_eq!(ordered(all(), 600), "ab");
        let with_a_circuit = || vec![(0, failed(3, 0), 'a'), (1, good(1), 'b')];
        assert_eq!(ordered(with_a_circuit(), 100), "ba");
        assert_eq!(ordered(with_a_circuit(), 600), "ab");
        // One that never failed is not passed over.
        let both = vec![(0, fresh(), 'a'), (1, good(1), 'b')];
        assert_eq!(ordered(both, 2), "ab");
    }

    #[test]
    fn latency_is_a_moving_average_and_an_overtaken_one_is_waited_for_longer() {
        let mut health = good(0);
        health.succeeded(at(1), Duration::from_millis(160));
        assert_eq!(health.latency, Some(Duration::from_millis(90)));
        health.overtaken(at(2), Duration::from_millis(300));
        assert_eq!(health.latency, Some(Duration::from_millis(300)));
        assert_eq!(health.failures, 1);
    }

    #[test]
    fn one_that_shuts_down_is_left_alone_for_a_minute() {
        let mut health = good(0);
        health.shun(at(10));
        assert_eq!(health.circuit(at(69)), Circuit::Open);
        assert_eq!(health.circuit(at(70)), Circuit::HalfOpen);
    }

    #[test]
    fn a_book_has_an_end_and_tells_what_changed_once() {
        let mut book = HealthBook::new(vec![(place(250), good(0))]);
        assert!(book.take_changes().is_empty());
        for n in 0..100 {
            book.note(&place(n), |h| h.failed(at(0)));
        }
        assert_eq!(book.iter().count(), MAX_ENDPOINTS);
        assert_eq!(book.get(&place(250)), fresh());
        assert_eq!(book.get(&place(99)).failures, 1);
        assert_eq!(book.take_changes().len(), MAX_ENDPOINTS);
        assert!(book.take_changes().is_empty());
    }

    #[test]
    fn a_server_is_as_well_as_its_endpoint_that_was_used_last() {
        let mut book = HealthBook::default();
        book.note(&place(1), |h| h.succeeded(at(0), Duration::ZERO));
        for second in 1..=3 {
            book.note(&place(2), |h| h.failed(at(second)));
        }
        assert_eq!(book.of_the_server().circuit(at(4)), Circuit::Open);
        book.note(&place(1), |h| h.succeeded(at(4), Duration::ZERO));
        let server = book.of_the_server();
        assert_eq!(
            (server.failures, server.circuit(at(5))),
            (0, Circuit::Closed)
        );
        assert_eq!(server.failed_at, Some(at(3)));
    }
}
