//! One publisher's stream at a node, as a subscriber takes it in: from whatever order and
//! source its items come, they go out in order, each once, and what the node no longer
//! holds goes out as a gap in its place.

use std::collections::BTreeMap;

use stanchion_stanza::payload::pubsub::Item;

use super::cursor::StreamCursor;
use super::ranges::Ranges;

/// Items that wait for earlier ones. Beyond, the latest are forgotten, and asked for again.
const READY: usize = 512;

/// What goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// An item. Once it took effect, all from `from` to `number` are done.
    Item {
        from: u64,
        number: u64,
        item: Item,
        late: bool,
    },
    /// The node does not hold these.
    Gap { first: u64, last: u64 },
}

#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// The first that did not go out.
    next: u64,
    /// The last that there is, as far as is known.
    target: u64,
    /// What took effect in an earlier life.
    done: Ranges,
    ready: BTreeMap<u64, Item>,
    /// What the node was asked for, and did not have.
    gone: Ranges,
    /// What went out as gaps.
    gaps: Ranges,
    /// Where the gap begins that is not at its end yet.
    gap_from: Option<u64>,
    /// What is not there before the first item was never ours.
    silent: bool,
    /// Whether it is to be looked whether there is more.
    pub(crate) probe: bool,
    /// The latest ones were used last.
    pub(crate) used: u64,
}

impl Lane {
    /// One that was not known. `silent`: what is missing before its first item is no gap.
    pub(crate) fn new(silent: bool) -> Self {
        Self {
            next: 1,
            silent,
            ..Self::default()
        }
    }

    /// One of which some took effect.
    pub(crate) fn restored(cursor: StreamCursor) -> Self {
        Self {
            next: 1,
            done: cursor.done,
            gaps: cursor.gaps,
            ..Self::default()
        }
    }

    /// All up to that one were there before we came.
    pub(crate) fn skip(&mut self, number: u64) {
        self.done.insert(1, number);
        self.target = self.target.max(number);
        self.ready.retain(|n, _| *n > number);
    }

    pub(crate) fn cursor(&self, touched: i64) -> StreamCursor {
        StreamCursor {
            done: self.done.clone(),
            gaps: self.gaps.clone(),
            touched,
        }
    }

    /// The node holds, or held, that one. What lies `depth` before it and further is gone
    /// without asking.
    pub(crate) fn exists(&mut self, number: u64, depth: u64) {
        if number <= self.target {
            return;
        }
        self.target = number;
        let far = number.saturating_sub(depth);
        self.settle_done();
        if far >= self.next {
            self.gone.insert(self.next, far);
        }
    }

    /// An item came. Gives it back at once if it comes late: after it was told as a gap.
    pub(crate) fn offer(&mut self, number: u64, item: Item) -> Option<Step> {
        self.settle_done();
        if number < self.next {
            if !self.gaps.contains(number) || item.payload.is_none() {
                return None;
            }
            self.gaps.remove(number);
            return Some(Step::Item {
                from: number,
                number,
                item,
                late: true,
            });
        }
        if self.done.contains(number) {
            return None;
        }
        // Asked for before it was there.
        self.gone.remove(number);
        if self.ready.len() >= READY && !self.ready.contains_key(&number) {
            match self.ready.last_key_value() {
                Some((last, _)) if *last > number => drop(self.ready.pop_last()),
                _ => return None,
            }
        }
        self.ready.entry(number).or_insert(item);
        None
    }

    /// The node does not have those of these numbers that did not come.
    pub(crate) fn lacks(&mut self, asked: &[u64]) {
        for number in asked.iter().filter(|n| **n <= self.target) {
            if !self.ready.contains_key(number) && *number >= self.next {
                self.gone.insert(*number, *number);
            }
        }
    }

    /// Nothing that is missing can be asked for.
    pub(crate) fn lacks_all(&mut self) {
        let mut number = self.next;
        while number <= self.target && !self.ready.contains_key(&number) {
            let until = self
                .ready
                .range(number..)
                .next()
                .map_or(self.target, |(n, _)| n - 1);
            self.gone.insert(number, until.min(self.target));
            number = until.saturating_add(1);
        }
    }

    fn settle_done(&mut self) {
        while let Some(end) = self.done.end_of(self.next) {
            self.next = end.saturating_add(1);
        }
    }

    /// The next thing to go out.
    pub(crate) fn step(&mut self) -> Option<Step> {
        loop {
            if self.done.contains(self.next) || self.ready.contains_key(&self.next) {
                if let Some(gap) = self.end_gap() {
                    return Some(gap);
                }
                let number = self.next;
                self.next += 1;
                if let Some(item) = self.ready.remove(&number) {
                    let from = if self.silent { 1 } else { number };
                    self.silent = false;
                    return Some(Step::Item {
                        from,
                        number,
                        item,
                        late: false,
                    });
                }
                self.next = number;
                self.settle_done();
                continue;
            }
            if self.next > self.target {
                return self.end_gap();
            }
            let mut end = self.gone.end_of(self.next)?.min(self.target);
            let ready = self.ready.range(self.next..).next().map(|(n, _)| *n);
            for there in ready.into_iter().chain(self.done.start_after(self.next)) {
                end = end.min(there - 1);
            }
            self.gap_from.get_or_insert(self.next);
            self.next = end + 1;
        }
    }

    fn end_gap(&mut self) -> Option<Step> {
        let first = self.gap_from.take()?;
        let last = self.next - 1;
        self.gone.remove_below(self.next);
        if self.silent {
            return None;
        }
        self.gaps.insert(first, last);
        self.gaps.keep_last(64);
        Some(Step::Gap { first, last })
    }

    /// Which to ask for, at most so many.
    pub(crate) fn missing(&self, most: usize) -> Vec<u64> {
        let mut asked = Vec::new();
        let mut number = self.next;
        while number <= self.target && asked.len() < most {
            if let Some(end) = self.done.end_of(number).or(self.gone.end_of(number)) {
                number = end.saturating_add(1);
                continue;
            }
            if !self.ready.contains_key(&number) {
                asked.push(number);
            } else if asked.is_empty() {
                // The next one is there: it goes out before more is needed.
                return asked;
            }
            number += 1;
        }
        asked
    }

    /// Which to ask for to see whether there is more.
    pub(crate) fn beyond(&self, most: usize) -> Vec<u64> {
        let first = self.next.max(self.target.saturating_add(1));
        (first..first.saturating_add(most as u64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_stanza::{Element, Text};

    fn item(number: u64) -> Item {
        let id = Text::new(number.to_string()).unwrap();
        Item::of(Some(id), Element::new("v", "urn:example"))
    }

    fn numbers(lane: &mut Lane) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        while let Some(step) = lane.step() {
            out.push(match step {
                Step::Item { number, .. } => (number, number),
                Step::Gap { first, last } => (first, last),
            });
        }
        out
    }

    fn give(lane: &mut Lane, number: u64) -> Option<Step> {
        lane.exists(number, 1000);
        lane.offer(number, item(number))
    }

    #[test]
    fn items_go_out_in_order_and_once_whatever_the_order_they_come_in() {
        let mut lane = Lane::new(false);
        for number in [2, 2, 3] {
            assert_eq!(give(&mut lane, number), None);
            assert_eq!(numbers(&mut lane), []);
        }
        assert_eq!(lane.missing(10), [1]);
        give(&mut lane, 1);
        assert_eq!(numbers(&mut lane), [(1, 1), (2, 2), (3, 3)]);
        for again in [1, 2, 3] {
            assert_eq!(give(&mut lane, again), None);
        }
        assert_eq!(numbers(&mut lane), []);
        assert_eq!(lane.beyond(2), [4, 5]);
    }

    #[test]
    fn what_the_node_lacks_is_one_gap_in_its_place() {
        let mut lane = Lane::new(false);
        give(&mut lane, 1);
        give(&mut lane, 9);
        assert_eq!(numbers(&mut lane), [(1, 1)]);
        assert_eq!(lane.missing(4), [2, 3, 4, 5]);
        lane.lacks(&[2, 3, 4, 5]);
        assert_eq!(numbers(&mut lane), [], "the gap may go on");
        assert_eq!(lane.missing(4), [6, 7, 8]);
        lane.offer(8, item(8));
        lane.lacks(&[6, 7, 8]);
        assert_eq!(numbers(&mut lane), [(2, 7), (8, 8), (9, 9)]);
    }

    #[test]
    fn what_was_told_as_a_gap_and_comes_late_is_not_lost() {
        let mut lane = Lane::new(false);
        give(&mut lane, 3);
        lane.lacks(&[1, 2]);
        assert_eq!(numbers(&mut lane), [(1, 2), (3, 3)]);
        let late = give(&mut lane, 2);
        assert!(
            matches!(
                late,
                Some(Step::Item {
                    number: 2,
                    late: true,
                    ..
                })
            ),
            "{late:?}"
        );
        assert_eq!(give(&mut lane, 2), None, "and comes once");
    }

    #[test]
    fn holes_of_an_earlier_life_go_out_again_and_nothing_else() {
        let cursor = StreamCursor::parse(b"1-3,5-6;;0").unwrap();
        let mut lane = Lane::restored(cursor);
        give(&mut lane, 7);
        assert_eq!(lane.missing(9), [4]);
        give(&mut lane, 5);
        give(&mut lane, 4);
        assert_eq!(numbers(&mut lane), [(4, 4), (7, 7)]);
    }

    #[test]
    fn who_comes_late_to_a_stream_misses_nothing_that_was_before() {
        let mut lane = Lane::new(true);
        lane.exists(5000, 1000);
        assert_eq!(lane.missing(2), [4001, 4002]);
        lane.lacks(&[4001]);
        lane.offer(4002, item(4002));
        let step = lane.step();
        assert!(
            matches!(
                step,
                Some(Step::Item {
                    from: 1,
                    number: 4002,
                    ..
                })
            ),
            "{step:?}"
        );
        lane.lacks(&[4003]);
        lane.offer(4004, item(4004));
        assert_eq!(
            numbers(&mut lane),
            [(4003, 4003), (4004, 4004)],
            "from then on it does"
        );
    }

    #[test]
    fn what_waits_has_a_bound_and_is_asked_for_again() {
        let mut lane = Lane::new(false);
        for number in 2..2 + 2 * READY as u64 {
            give(&mut lane, number);
        }
        assert_eq!(lane.ready.len(), READY);
        give(&mut lane, 1);
        assert_eq!(lane.ready.len(), READY, "the latest gave way");
        assert_eq!(numbers(&mut lane).len(), READY);
        assert_eq!(lane.missing(1), [READY as u64 + 1]);
    }

    #[test]
    fn a_number_out_of_all_reason_costs_one_gap() {
        let mut lane = Lane::new(false);
        give(&mut lane, 1 << 53);
        assert_eq!(lane.missing(1), [(1 << 53) - 999]);
        lane.lacks_all();
        assert_eq!(numbers(&mut lane), [(1, (1 << 53) - 1), (1 << 53, 1 << 53)]);
    }
}
