//! Which reads of a tag are its arrival: one in a given time, however often it is read and
//! however many readers' restarts lie between. No clock here: times come in, monotonic, from
//! any one moment on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::codec::Epc;

/// How many tags are remembered by default. Beyond, the tag that was seen the longest time
/// ago is forgotten first.
pub const MOST_TAGS: usize = 10_000;

/// Tells arrivals from reads.
///
/// ```
/// use std::time::Duration;
/// use stanchion_device::adapters::llrp::arrivals::{Arrivals, MOST_TAGS};
/// use stanchion_device::adapters::llrp::codec::Epc;
/// let tag = Epc::of_96_bits([7; 12]);
/// let mut arrivals = Arrivals::new(Duration::from_secs(5), MOST_TAGS);
/// assert!(arrivals.read(Duration::from_secs(0), &tag));
/// assert!(!arrivals.read(Duration::from_secs(4), &tag));
/// assert!(arrivals.read(Duration::from_secs(5), &tag));
/// ```
#[derive(Debug)]
pub struct Arrivals {
    every: Duration,
    most: usize,
    tags: BTreeMap<Epc, Tag>,
    /// The tags by the order in which they were seen last.
    order: BTreeMap<u64, Epc>,
    turn: u64,
    forgotten_early: u64,
}

#[derive(Debug)]
struct Tag {
    arrived: Duration,
    turn: u64,
}

impl Arrivals {
    /// One arrival of a tag in that time, and at most so many tags, one at least.
    #[must_use]
    pub fn new(every: Duration, most: usize) -> Self {
        Self {
            every,
            most: most.max(1),
            tags: BTreeMap::new(),
            order: BTreeMap::new(),
            turn: 0,
            forgotten_early: 0,
        }
    }

    /// A tag was read: whether that is an arrival.
    pub fn read(&mut self, now: Duration, epc: &Epc) -> bool {
        self.turn += 1;
        let turn = self.turn;
        let (arrives, before) = match self.tags.get_mut(epc) {
            Some(tag) => {
                let arrives = now.saturating_sub(tag.arrived) >= self.every;
                if arrives {
                    tag.arrived = now;
                }
                (arrives, Some(std::mem::replace(&mut tag.turn, turn)))
            }
            None => {
                if self.tags.len() >= self.most {
                    self.forget_one(now);
                }
                let arrived = now;
                self.tags.insert(epc.clone(), Tag { arrived, turn });
                (true, None)
            }
        };
        let place = before.and_then(|turn| self.order.remove(&turn));
        self.order
            .insert(turn, place.unwrap_or_else(|| epc.clone()));
        arrives
    }

    fn forget_one(&mut self, now: Duration) {
        let oldest = self.order.pop_first().map(|(_, epc)| epc);
        let Some(tag) = oldest.and_then(|epc| self.tags.remove(&epc)) else {
            return;
        };
        if now.saturating_sub(tag.arrived) < self.every {
            self.forgotten_early += 1;
        }
    }

    /// How many tags are remembered.
    #[must_use]
    pub fn tags(&self) -> usize {
        self.tags.len()
    }

    /// How many tags were forgotten although their time was not over: their next read is an
    /// arrival again. Not 0 where more tags are about than there is room for.
    #[must_use]
    pub const fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn tag(number: u8) -> Epc {
        Epc::of_96_bits([number; 12])
    }

    #[test]
    fn the_tag_seen_the_longest_time_ago_is_forgotten_first() {
        let second = Duration::from_secs;
        let mut arrivals = Arrivals::new(second(5), 2);
        assert!(arrivals.read(second(0), &tag(1)));
        assert!(arrivals.read(second(1), &tag(2)));
        assert!(!arrivals.read(second(2), &tag(1)));
        assert!(arrivals.read(second(3), &tag(3)));
        assert!(!arrivals.read(second(3), &tag(1)), "seen after 2");
        assert!(arrivals.read(second(3), &tag(2)), "forgotten");
        assert_eq!(arrivals.forgotten_early(), 2);
    }

    proptest! {
        #[test]
        fn with_room_each_tag_arrives_at_its_first_read_and_never_twice_in_its_time(
            reads in vec((0u64..3000, 0u8..20), 1..300),
        ) {
            let every = Duration::from_secs(5);
            let mut arrivals = Arrivals::new(every, 20);
            let mut told: BTreeMap<u8, Duration> = BTreeMap::new();
            let mut now = Duration::ZERO;
            for (later, number) in reads {
                now += Duration::from_millis(later);
                let due = told.get(&number).is_none_or(|last| now - *last >= every);
                prop_assert_eq!(arrivals.read(now, &tag(number)), due);
                if due {
                    told.insert(number, now);
                }
            }
            prop_assert_eq!(arrivals.tags(), told.len());
            prop_assert_eq!(arrivals.forgotten_early(), 0);
        }

        #[test]
        fn no_more_tags_than_there_is_room_for_are_remembered(
            reads in vec(any::<u8>(), 1..500), most in 1usize..30,
        ) {
            let mut arrivals = Arrivals::new(Duration::from_secs(5), most);
            for number in reads {
                arrivals.read(Duration::ZERO, &tag(number));
                prop_assert!(arrivals.tags() <= most);
                prop_assert_eq!(arrivals.order.len(), arrivals.tags.len());
            }
        }
    }
}
