//! A wall clock that is set while the process runs, as one is that had no power. What this
//! engine accepted has its deadline on the monotonic clock, which nobody sets. Of what an
//! earlier one accepted only the wall clock's time is known, so that is looked at again
//! whenever the clock was set. The timers themselves are `outbox`'s.

use std::time::Duration;

use super::{Engine, Now};

/// A wall clock that is off by more than this against the monotonic one was set, or the
/// device was suspended.
const SET: u64 = 1000;
/// How often the clock is looked at, if nothing else happens, while a deadline depends on
/// it: nobody tells a process that it was set.
const LOOK: Duration = Duration::from_secs(10);

/// How far the wall clock is ahead of the monotonic one, in milliseconds.
pub(super) fn ahead(now: Now) -> i64 {
    let monotonic = i64::try_from(now.monotonic.as_millis()).unwrap_or(i64::MAX);
    now.wall.as_unix_ms().saturating_sub(monotonic)
}

impl Engine {
    /// It is that late.
    pub(super) fn time_is(&mut self, now: Now) {
        self.now = now;
        let ahead = ahead(now);
        if ahead.abs_diff(self.wall_ahead) > SET {
            self.wall_ahead = ahead;
            self.clock_was_set();
        }
    }

    fn clock_was_set(&mut self) {
        for seq in self.outbox.due_of_earlier(self.first_seq) {
            let Some(flight) = self.outbox.get(seq) else {
                continue;
            };
            let Some(deadline) = flight.due.map(|due| self.monotonic(due)) else {
                continue;
            };
            let cancel = self.cancel_before(deadline, flight.lane);
            self.outbox.change(seq, |flight| {
                flight.deadline = flight.deadline.map(|_| deadline);
                flight.cancel_at = flight.cancel_at.map(|_| cancel);
            });
        }
        if self.has_earlier_in_store() {
            let now = self.now.monotonic;
            self.look_for_due = self.look_for_due.map(|_| now);
        }
    }

    /// Whether the store may have messages of an earlier engine that are not in memory.
    fn has_earlier_in_store(&self) -> bool {
        self.hungry.iter().any(|id| {
            let lane = self.outbox.lane(*id);
            lane.is_some_and(|lane| lane.loaded + 1 < self.first_seq)
        })
    }

    /// When the clock is looked at, if a deadline depends on it.
    pub(super) fn next_look_at_clock(&self) -> Option<Duration> {
        let in_store = self.look_for_due.is_some() && self.has_earlier_in_store();
        let depends = in_store || self.outbox.may_have_earlier(self.first_seq);
        depends.then(|| self.now.monotonic + LOOK)
    }
}
