//! Sets of numbers that lie mostly side by side: which items of a stream are done.

use std::fmt::{self, Write as _};

/// Numbers, as ranges with both ends: in order, apart from each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds all from `first` to `last`.
    pub(crate) fn insert(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let start = self
            .0
            .partition_point(|(_, end)| end.saturating_add(1) < first);
        let end = self
            .0
            .partition_point(|(begin, _)| *begin <= last.saturating_add(1));
        let (mut low, mut high) = (first, last);
        if start < end {
            low = low.min(self.0[start].0);
            high = high.max(self.0[end - 1].1);
        }
        self.0.splice(start..end, [(low, high)]);
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, number: u64) {
        let Some(at) = self.position(number) else {
            return;
        };
        let (first, last) = self.0[at];
        let mut rest = Vec::new();
        if first < number {
            rest.push((first, number - 1));
        }
        if number < last {
            rest.push((number + 1, last));
        }
        self.0.splice(at..=at, rest);
    }

    fn position(&self, number: u64) -> Option<usize> {
        let at = self.0.partition_point(|(_, end)| *end < number);
        self.0
            .get(at)
            .is_some_and(|(begin, _)| *begin <= number)
            .then_some(at)
    }

    /// The end of the range that this number is in.
    pub(crate) fn end_of(&self, number: u64) -> Option<u64> {
        self.position(number).map(|at| self.0[at].1)
    }

    /// Where the first range begins that lies after this number.
    pub(crate) fn start_after(&self, number: u64) -> Option<u64> {
        let at = self.0.partition_point(|(begin, _)| *begin <= number);
        self.0.get(at).map(|(begin, _)| *begin)
    }

    /// Takes all out that are less.
    pub(crate) fn remove_below(&mut self, number: u64) {
        self.0.retain(|(_, end)| *end >= number);
        if let Some((begin, _)) = self.0.first_mut() {
            *begin = (*begin).max(number);
        }
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.position(number).is_some()
    }

    /// How many ranges they are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Leaves the latest `most` ranges.
    pub(crate) fn keep_last(&mut self, most: usize) {
        let over = self.0.len().saturating_sub(most);
        self.0.drain(..over);
    }

    /// As [`Ranges::to_text`] wrote it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut ranges = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-')?;
            ranges.insert(first.parse().ok()?, last.parse().ok()?);
        }
        Some(ranges)
    }

    /// As text: `1-5,7-7`.
    pub(crate) fn to_text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_char(',')?;
            }
            write!(f, "{first}-{last}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ranges_are_the_set_of_their_numbers() {
        // Every short history of insertions and removals, against a plain set.
        let mut state = 7_u64;
        let mut random = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state >> 33
        };
        for _ in 0..300 {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for _ in 0..20 {
                let (first, length) = (random() % 24, random() % 5);
                if random() % 3 == 0 {
                    ranges.remove(first);
                    set.remove(&first);
                } else {
                    ranges.insert(first, first + length);
                    set.extend(first..=first + length);
                }
                for number in 0..32 {
                    assert_eq!(ranges.contains(number), set.contains(&number));
                }
                let again = Ranges::parse(&ranges.to_text()).unwrap();
                assert_eq!(again, ranges);
                let apart = ranges.0.windows(2).all(|w| w[0].1 + 1 < w[1].0);
                assert!(apart, "{ranges}");
            }
        }
    }

    #[test]
    fn the_largest_numbers_do_no_harm() {
        let mut ranges = Ranges::default();
        ranges.insert(u64::MAX, u64::MAX);
        ranges.insert(1, u64::MAX - 1);
        assert_eq!(ranges.len(), 1);
        assert_eq!(ranges.end_of(5), Some(u64::MAX));
        ranges.remove(u64::MAX);
        assert!(!ranges.contains(u64::MAX));
        assert_eq!(Ranges::parse("5"), None);
    }
}
