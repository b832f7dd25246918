//! Which fault strikes when: all of it follows from the seed. How a fault is done is left
//! to `run`.

use clap::ValueEnum;
use std::collections::VecDeque;
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Fault {
    /// SIGKILL of the sender's process, which is started again
    KillSender,
    /// SIGKILL of the receiver's process, which is started again
    KillReceiver,
    /// SIGKILL of a server, which is started again with its data
    KillServer,
    /// One end's connection is reset in the middle of what it carries
    Cut,
    /// One end's connection stands still for a while, and goes on
    Stall,
    /// One direction is a black hole for a while; then the connection is reset
    OneWay,
    /// One end's connection is slow for a while
    Throttle,
}

/// One fault of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) fault: Fault,
    /// It is due when so many messages took effect...
    pub(crate) effects: u64,
    /// ...and so much time has passed since then: so that two faults can coincide.
    pub(crate) after: Duration,
}

/// A small generator of random numbers (splitmix64): for tests, not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `bound`, without it; 0 for a bound of 0.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        match self.next().checked_rem(bound) {
            Some(number) => number,
            None => 0,
        }
    }

    /// Between two times, in milliseconds.
    pub(crate) const fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to.saturating_sub(from) + 1))
    }
}

/// `times` strikes of each fault, spread over `messages`, in the order in which they are
/// due.
pub(crate) fn plan(
    faults: &[Fault],
    times: u64,
    messages: u64,
    random: &mut Random,
) -> VecDeque<Strike> {
    let mut strikes = Vec::new();
    for fault in faults {
        for turn in 0..times {
            // One in each of as many equal parts: spread evenly, but not in step.
            let (from, to) = (messages * turn / times, messages * (turn + 1) / times);
            strikes.push(Strike {
                fault: *fault,
                effects: from + random.below(to - from),
                after: random.millis(0, 60),
            });
        }
    }
    strikes.sort_by_key(|strike| (strike.effects, strike.after, strike.fault));
    strikes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [Fault; 2] = [Fault::KillSender, Fault::Cut];

    #[test]
    fn a_seed_gives_one_plan_and_another_seed_another() {
        let of = |seed| plan(&TWO, 20, 1000, &mut Random::new(seed));
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn each_fault_strikes_as_often_as_asked_and_before_the_last_message() {
        let strikes = plan(&TWO, 5, 100, &mut Random::new(1));
        for fault in TWO {
            assert_eq!(strikes.iter().filter(|s| s.fault == fault).count(), 5);
        }
        assert!(strikes.iter().all(|s| s.effects < 100));
        assert!(strikes.iter().is_sorted_by_key(|s| s.effects));
        // More strikes than messages are possible, too.
        assert_eq!(plan(&TWO, 9, 3, &mut Random::new(1)).len(), 18);
    }
}
