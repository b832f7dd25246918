//! Which points are read in one request: as few requests as there can be, none over what
//! the protocol allows, and no gap wider than was allowed.

use super::wire::Table;

/// Where one point lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) table: Table,
    pub(super) address: u16,
    /// How many coils or registers, at least one.
    pub(super) count: u16,
}

/// What one request reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) table: Table,
    pub(super) address: u16,
    pub(super) count: u16,
    /// The points that lie in it, by their places in the list that was planned.
    pub(super) points: Vec<usize>,
}

/// How far points are read together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Registers in one request.
    pub(super) registers: u16,
    /// Coils, or discrete inputs, in one request.
    pub(super) bits: u16,
    /// What may be read between two points without being asked for.
    pub(super) slack: u16,
}

impl Limits {
    fn of(self, table: Table) -> u32 {
        match table.is_bits() {
            true => self.bits.into(),
            false => self.registers.into(),
        }
    }
}

impl Span {
    const fn end(self) -> u32 {
        self.address as u32 + self.count as u32
    }

    /// A request for it alone.
    pub(super) fn alone(self, point: usize) -> Block {
        Block {
            table: self.table,
            address: self.address,
            count: self.count,
            points: vec![point],
        }
    }
}

/// The requests that read all of them. A point that is wider than the limit is read alone.
pub(super) fn plan(spans: &[Span], limits: Limits) -> Vec<Block> {
    let mut order: Vec<_> = spans.iter().copied().enumerate().collect();
    order.sort_by_key(|(place, span)| (span.table, span.address, span.end(), *place));
    let mut blocks: Vec<Block> = Vec::new();
    for (place, span) in order {
        if let Some(block) = blocks.last_mut()
            && block.table == span.table
        {
            let start = u32::from(block.address);
            let end = start + u32::from(block.count);
            let joined = end.max(span.end()) - start;
            let near = u32::from(span.address) <= end + u32::from(limits.slack);
            if near
                && joined <= limits.of(span.table)
                && let Ok(count) = u16::try_from(joined)
            {
                block.count = count;
                block.points.push(place);
                continue;
            }
        }
        blocks.push(span.alone(place));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        let table = prop_oneof![
            Just(Table::Coil),
            Just(Table::Discrete),
            Just(Table::Input),
            Just(Table::Holding)
        ];
        let address = prop_oneof![0u16..400, 65_300u16..=65_531];
        let span = (table, address, 1u16..=4).prop_map(|(table, address, count)| Span {
            table,
            address,
            count,
        });
        prop::collection::vec(span, 0..80)
    }

    proptest! {
        #[test]
        fn every_point_is_read_once_within_the_limits_and_no_gap_is_too_wide(
            spans in spans(),
            registers in 4u16..=125,
            bits in 4u16..=2000,
            slack in 0u16..40,
        ) {
            let limits = Limits { registers, bits, slack };
            let blocks = plan(&spans, limits);
            let mut read = vec![0; spans.len()];
            for block in &blocks {
                prop_assert!(u32::from(block.count) <= limits.of(block.table));
                let end = u32::from(block.address) + u32::from(block.count);
                prop_assert!(end <= 65_536);
                let mut reached = u32::from(block.address);
                for &point in &block.points {
                    let span = spans[point];
                    read[point] += 1;
                    prop_assert_eq!(span.table, block.table);
                    prop_assert!(span.address >= block.address && span.end() <= end);
                    prop_assert!(u32::from(span.address) <= reached + u32::from(slack));
                    reached = reached.max(span.end());
                }
                prop_assert_eq!(reached, end);
            }
            prop_assert!(read.iter().all(|times| *times == 1));
        }
    }

    #[test]
    fn neighbours_are_read_together_and_what_is_far_is_not() {
        let holding = |address| Span {
            table: Table::Holding,
            address,
            count: 2,
        };
        let limits = Limits {
            registers: 125,
            bits: 2000,
            slack: 8,
        };
        let blocks = plan(&[holding(0), holding(12), holding(2), holding(23)], limits);
        let read: Vec<_> = blocks.iter().map(|b| (b.address, b.count)).collect();
        assert_eq!(read, [(0, 14), (23, 2)]);
        assert_eq!(blocks[0].points, [0, 2, 1]);
    }
}
