//! The order of SRV records (RFC 2782, "Usage rules"): by priority, then at random
//! by weight. Pure; the random numbers are an argument.

use super::SrvRecord;

/// Puts `items` in the order in which to try them.
///
/// `random` is called once for each item; its numbers must be uniform over `u64`.
pub fn order<T>(
    mut items: Vec<T>,
    record: impl Fn(&T) -> &SrvRecord,
    mut random: impl FnMut() -> u64,
) -> Vec<T> {
    // Records of weight 0 stand first in their group: so says the RFC, and it gives
    // them a small chance of being chosen before the others.
    items.sort_by_key(|i| (record(i).priority, record(i).weight));
    let mut ordered = Vec::with_capacity(items.len());
    while let Some(first) = items.first() {
        let priority = record(first).priority;
        let group = items
            .iter()
            .take_while(|i| record(i).priority == priority)
            .count();
        let sum: u64 = items[..group]
            .iter()
            .map(|i| u64::from(record(i).weight))
            .sum();
        // Uniform in 0..=sum.
        let mark = ((u128::from(sum) + 1) * u128::from(random())) >> 64;
        let mut running = 0u128;
        let chosen = items[..group]
            .iter()
            .position(|i| {
                running += u128::from(record(i).weight);
                running >= mark
            })
            .unwrap_or(0);
        ordered.push(items.remove(chosen));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> SrvRecord {
        SrvRecord {
            priority,
            weight,
            port: 5222,
            target: target.to_owned(),
        }
    }

    fn names(records: &[SrvRecord]) -> Vec<&str> {
        records.iter().map(|r| r.target.as_str()).collect()
    }

    #[test]
    fn a_lower_priority_comes_first_whatever_the_weights() {
        let records = vec![
            record(20, 60000, "c"),
            record(5, 0, "a"),
            record(10, 1, "b"),
        ];
        for random in [0, u64::MAX] {
            let ordered = order(records.clone(), |r| r, || random);
            assert_eq!(names(&ordered), ["a", "b", "c"]);
        }
    }

    #[test]
    fn records_of_one_priority_are_chosen_in_proportion_to_their_weights() {
        let records = vec![record(1, 10, "light"), record(1, 30, "heavy")];
        // A deterministic sweep over the whole range stands for the random source.
        let rounds = 4000u64;
        let heavy_first = (0..rounds)
            .filter(|n| {
                let random = u64::MAX / rounds * n;
                order(records.clone(), |r| r, || random)[0].target == "heavy"
            })
            .count();
        assert!((2800..=3050).contains(&heavy_first), "{heavy_first}");
    }

    #[test]
    fn a_record_of_weight_zero_is_not_starved() {
        let records = vec![record(1, 9, "nine"), record(1, 0, "zero")];
        assert_eq!(order(records.clone(), |r| r, || 0)[0].target, "zero");
        assert_eq!(order(records, |r| r, || u64::MAX)[0].target, "nine");
    }

    #[test]
    fn nothing_is_lost_or_doubled() {
        let records: Vec<_> = (0..20u16)
            .map(|n| record(n % 3, n * 7 % 5, &n.to_string()))
            .collect();
        let mut state = 1u64;
        let ordered = order(
            records.clone(),
            |r| r,
            || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                state
            },
        );
        let mut sorted = ordered.clone();
        sorted.sort_by_key(|r| r.target.parse::<u16>().unwrap());
        assert_eq!(sorted, records);
        assert!(ordered.windows(2).all(|w| w[0].priority <= w[1].priority));
    }
}
