//! The fault plan: what goes wrong, and when. Drawn from a seed before the run begins,
//! so that a run can be told again.

use std::time::Duration;

use crate::Random;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A client's connection breaks. If `silent`, neither side is told.
    Cut {
        /// Which client.
        client: usize,
        /// Whether nobody learns of it.
        silent: bool,
    },
    /// Nothing passes on a client's connection for a while.
    Stall {
        /// Which client.
        client: usize,
        /// For how long.
        lasts: Duration,
    },
    /// A client's process is killed; what is durable stays.
    Crash {
        /// Which client.
        client: usize,
        /// When it starts again.
        lasts: Duration,
    },
    /// A client's store fails once; `applied` if the batch was kept all the same.
    StoreFailure {
        /// Which client.
        client: usize,
        /// Whether the failed batch is durable.
        applied: bool,
    },
    /// A client's store takes long for everything.
    SlowStore {
        /// Which client.
        client: usize,
        /// For how long it is slow.
        lasts: Duration,
    },
    /// The server is killed (SIGKILL) and started again.
    KillServer {
        /// When it starts again.
        lasts: Duration,
    },
}

/// How often things go wrong, as the mean number of each in the planned time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Connections that break, of each client.
    pub cuts: u32,
    /// Stalls, of each client.
    pub stalls: u32,
    /// Crashes, of each client.
    pub crashes: u32,
    /// Store failures, of each client.
    pub store_failures: u32,
    /// Slow phases of the store, of each client.
    pub slow_stores: u32,
    /// Kills of the server.
    pub server_kills: u32,
}

/// Draws a plan for `clients` clients, in the order of time, all before `until`.
#[must_use]
pub fn plan(
    faults: Faults,
    clients: usize,
    until: Duration,
    random: &mut Random,
) -> Vec<(Duration, Fault)> {
    let mut plan = Vec::new();
    let mut draw = |mean: u32, random: &mut Random, make: &dyn Fn(&mut Random) -> Fault| {
        for _ in 0..random.below(u64::from(mean) * 2 + 1) {
            let at = random.time(Duration::ZERO, until);
            plan.push((at, make(random)));
        }
    };
    for client in 0..clients {
        draw(faults.cuts, random, &|r| Fault::Cut {
            client,
            silent: r.chance(400),
        });
        draw(faults.stalls, random, &|r| Fault::Stall {
            client,
            lasts: seconds(r, 1, 40),
        });
        draw(faults.crashes, random, &|r| Fault::Crash {
            client,
            lasts: seconds(r, 0, 15),
        });
        draw(faults.store_failures, random, &|r| Fault::StoreFailure {
            client,
            applied: r.chance(500),
        });
        draw(faults.slow_stores, random, &|r| Fault::SlowStore {
            client,
            lasts: seconds(r, 1, 10),
        });
    }
    draw(faults.server_kills, random, &|r| Fault::KillServer {
        lasts: seconds(r, 0, 10),
    });
    plan.sort_by_key(|(at, _)| *at);
    plan
}

fn seconds(random: &mut Random, least: u64, most: u64) -> Duration {
    random.time(Duration::from_secs(least), Duration::from_secs(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_follows_from_its_seed_and_ends_in_time() {
        let faults = Faults {
            cuts: 5,
            crashes: 5,
            server_kills: 5,
            ..Faults::default()
        };
        let until = Duration::from_secs(60);
        let draw = |seed| plan(faults, 2, until, &mut Random::new(seed));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).iter().all(|(at, _)| *at < until));
        assert!(
            !draw(1)
                .iter()
                .any(|(_, f)| matches!(f, Fault::Stall { .. }))
        );
    }
}
