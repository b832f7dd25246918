//! Virtual time: events wait in the order of their times, and the clock stands where
//! the last one happened.

use std::collections::BTreeMap;
use std::time::Duration;

/// Events to come, and the clock.
#[derive(Debug, Clone)]
pub struct Schedule<E> {
    now: Duration,
    /// Tells apart events of one time: first scheduled, first out.
    next: u64,
    events: BTreeMap<(Duration, u64), E>,
}

impl<E> Default for Schedule<E> {
    fn default() -> Self {
        Self {
            now: Duration::ZERO,
            next: 0,
            events: BTreeMap::new(),
        }
    }
}

impl<E> Schedule<E> {
    /// The time, since the world began.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// Events that are to come.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether none is to come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Schedules an event; one in the past happens now.
    pub fn at(&mut self, time: Duration, event: E) {
        self.events.insert((time.max(self.now), self.next), event);
        self.next += 1;
    }

    /// Schedules an event from now.
    pub fn after(&mut self, wait: Duration, event: E) {
        self.at(self.now + wait, event);
    }

    /// The next event; the clock moves to its time.
    pub fn pop(&mut self) -> Option<E> {
        let ((time, _), event) = self.events.pop_first()?;
        self.now = time;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_happen_in_order_and_the_clock_never_goes_back() {
        let mut schedule = Schedule::default();
        schedule.after(Duration::from_secs(2), "late");
        schedule.after(Duration::from_secs(1), "early");
        schedule.after(Duration::from_secs(1), "early too");
        assert_eq!(schedule.pop(), Some("early"));
        schedule.at(Duration::ZERO, "past");
        let rest: Vec<_> = std::iter::from_fn(|| schedule.pop()).collect();
        assert_eq!(rest, ["early too", "past", "late"]);
        assert_eq!(schedule.now(), Duration::from_secs(2));
    }
}
