//! The fault plan: what happens in a run, and when. Drawn before it begins, each switch
//! from a stream of its own, so that a run can be told again with one switch less.

use std::time::Duration;

use stanchion_testkit::{Direction, Random};

use crate::setup::{MS, Setup, TROUBLE, stream_of};
use crate::switch::Switch;

/// How a store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DiskFault {
    pub(crate) full: bool,
    /// Whether the failed batch is durable.
    pub(crate) applied: bool,
    /// How often reopening it fails.
    pub(crate) reopens: usize,
}

/// One thing that goes wrong. `of` is a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A connection breaks. If `silent`, neither side is told.
    Cut {
        of: usize,
        silent: bool,
    },
    OneWay {
        of: usize,
        direction: Direction,
    },
    Stall {
        of: usize,
        lasts: Duration,
    },
    /// The process is killed after so many more outputs.
    Crash {
        of: usize,
        outputs: u32,
        lasts: Duration,
    },
    Disk {
        of: usize,
        fault: DiskFault,
    },
    SlowDisk {
        of: usize,
        lasts: Duration,
    },
    Clock {
        of: usize,
        by_ms: i64,
    },
    Suspend {
        of: usize,
        lasts: Duration,
    },
    Conflict {
        of: usize,
        lasts: Duration,
    },
    /// A backup is taken, or a clone.
    Backup {
        of: usize,
        clone: bool,
    },
    /// The last backup is put in place of the store.
    Restore {
        of: usize,
        lasts: Duration,
    },
    /// The last clone takes over.
    CloneTakesOver {
        of: usize,
    },
    Reinstall {
        of: usize,
        lasts: Duration,
    },
    KillServer {
        site: usize,
        lasts: Duration,
    },
    KillNode {
        site: usize,
        node: u8,
    },
    ShutDown {
        site: usize,
        lasts: Duration,
    },
    /// Two domains are apart. With `errors`, stanzas come back.
    Apart {
        from: usize,
        to: usize,
        errors: bool,
        lasts: Duration,
    },
    /// The stranger does something.
    Attack,
}

impl Fault {
    /// The switch it belongs to.
    pub(crate) const fn switch(self) -> Switch {
        match self {
            Self::Cut { silent: false, .. } => Switch::Cut,
            Self::Cut { silent: true, .. } => Switch::HalfOpen,
            Self::OneWay { .. } => Switch::OneWay,
            Self::Stall { .. } => Switch::Stall,
            Self::Crash { .. } => Switch::Crash,
            Self::Disk { fault, .. } if fault.full => Switch::DiskFull,
            Self::Disk { .. } => Switch::DiskFails,
            Self::SlowDisk { .. } => Switch::SlowDisk,
            Self::Clock { .. } => Switch::ClockJumps,
            Self::Suspend { .. } => Switch::Suspend,
            Self::Conflict { .. } => Switch::Conflict,
            Self::Backup { clone: false, .. } | Self::Restore { .. } => Switch::Restored,
            Self::Backup { clone: true, .. } | Self::CloneTakesOver { .. } => Switch::Cloned,
            Self::Reinstall { .. } => Switch::Reinstalled,
            Self::KillServer { .. } => Switch::ServerKilled,
            Self::KillNode { .. } => Switch::NodeKilled,
            Self::ShutDown { .. } => Switch::Shutdown,
            Self::Apart { errors: true, .. } => Switch::FederationCut,
            Self::Apart { errors: false, .. } => Switch::FederationSilent,
            Self::Attack => Switch::MaliciousPeer,
        }
    }
}

/// Draws faults of one switch into a plan.
struct Draw<'a> {
    setup: &'a Setup,
    plan: Vec<(Duration, Fault)>,
}

impl Draw<'_> {
    /// On average `mean` for each of `count`, if the switch is on.
    fn each(
        &mut self,
        switch: Switch,
        count: usize,
        mean: u64,
        mut make: impl FnMut(&mut Random, usize) -> Fault,
    ) {
        if !self.setup.on.has(switch) {
            return;
        }
        let mut random = stream_of(self.setup.seed, switch);
        for which in 0..count {
            for _ in 0..random.below(mean * 2 + 1) {
                let at = random.time(Duration::ZERO, TROUBLE);
                let fault = make(&mut random, which);
                self.plan.push((at, fault));
            }
        }
    }
}

fn seconds(random: &mut Random, least: u64, most: u64) -> Duration {
    random.time(Duration::from_secs(least), Duration::from_secs(most))
}

/// Everything that happens to a world, all before the trouble ends.
pub(crate) fn plan(setup: &Setup) -> Vec<(Duration, Fault)> {
    let devices = setup.devices.len();
    let sites = setup.sites.len();
    let plan = Vec::new();
    let mut draw = Draw { setup, plan };
    connections(&mut draw, devices);
    stores(&mut draw, devices);
    draw.each(Switch::Crash, devices, 2, |r, of| Fault::Crash {
        of,
        outputs: r.below(12) as u32,
        lasts: seconds(r, 0, 15),
    });
    draw.each(Switch::ClockJumps, devices, 2, |r, of| {
        let far = *r.pick(&[5_000, 120_000, 90_000_000]);
        let by = i64::try_from(r.below(far)).unwrap_or(0);
        let by_ms = if r.chance(500) { by } else { -by };
        Fault::Clock { of, by_ms }
    });
    draw.each(Switch::Suspend, devices, 1, |r, of| Fault::Suspend {
        of,
        lasts: seconds(r, 1, 60),
    });
    draw.each(Switch::ServerKilled, sites, 2, |r, site| {
        Fault::KillServer {
            site,
            lasts: seconds(r, 0, 10),
        }
    });
    draw.each(Switch::Shutdown, sites, 1, |r, site| Fault::ShutDown {
        site,
        lasts: seconds(r, 0, 10),
    });
    draw.each(Switch::NodeKilled, sites, 2, |r, site| Fault::KillNode {
        site,
        node: r.below(2) as u8,
    });
    let apart = |errors| {
        move |r: &mut Random, pair: usize| Fault::Apart {
            from: pair / sites,
            to: pair % sites,
            errors,
            lasts: seconds(r, 1, 40),
        }
    };
    draw.each(Switch::FederationCut, sites * sites, 1, apart(true));
    draw.each(Switch::FederationSilent, sites * sites, 1, apart(false));
    draw.each(Switch::MaliciousPeer, 1, 12, |_, _| Fault::Attack);
    let mut plan = draw.plan;
    plan.sort_by_key(|(at, _)| *at);
    plan
}

fn connections(draw: &mut Draw<'_>, devices: usize) {
    for (switch, silent) in [(Switch::Cut, false), (Switch::HalfOpen, true)] {
        draw.each(switch, devices, 2, |_, of| Fault::Cut { of, silent });
    }
    draw.each(Switch::OneWay, devices, 1, |r, of| Fault::OneWay {
        of,
        direction: *r.pick(&[Direction::Up, Direction::Down]),
    });
    draw.each(Switch::Stall, devices, 1, |r, of| Fault::Stall {
        of,
        lasts: seconds(r, 1, 40),
    });
    draw.each(Switch::Conflict, devices, 1, |r, of| Fault::Conflict {
        of,
        lasts: seconds(r, 5, 30),
    });
}

fn stores(draw: &mut Draw<'_>, devices: usize) {
    draw.each(Switch::DiskFull, devices, 1, |r, of| Fault::Disk {
        of,
        fault: DiskFault {
            full: true,
            applied: false,
            reopens: r.below(4) as usize,
        },
    });
    draw.each(Switch::DiskFails, devices, 1, |r, of| Fault::Disk {
        of,
        fault: DiskFault {
            full: false,
            applied: r.chance(500),
            reopens: r.below(2) as usize,
        },
    });
    draw.each(Switch::SlowDisk, devices, 1, |r, of| Fault::SlowDisk {
        of,
        lasts: seconds(r, 1, 10),
    });
    set_backs(draw, devices);
    draw.each(Switch::Reinstalled, devices, 1, |r, of| Fault::Reinstall {
        of,
        lasts: seconds(r, 0, 15),
    });
}

/// Backups, and what comes of them.
fn set_backs(draw: &mut Draw<'_>, devices: usize) {
    for (switch, clone) in [(Switch::Restored, false), (Switch::Cloned, true)] {
        if !draw.setup.on.has(switch) {
            continue;
        }
        let mut random = stream_of(draw.setup.seed, switch);
        for of in 0..devices {
            for _ in 0..random.below(3) {
                let at = random.time(Duration::ZERO, TROUBLE);
                let (made, then) = if clone {
                    let made = at.saturating_sub(CLONE_AGE);
                    (made, Fault::CloneTakesOver { of })
                } else {
                    let lasts = seconds(&mut random, 0, 15);
                    let made = random.time(Duration::ZERO, at + MS);
                    (made, Fault::Restore { of, lasts })
                };
                draw.plan.push((made, Fault::Backup { of, clone }));
                draw.plan.push((at, then));
            }
        }
    }
}

/// So much older than the original is a clone that takes over.
const CLONE_AGE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::{Selection, Switches};

    #[test]
    fn a_plan_follows_from_its_seed_and_ends_in_time() {
        let all = Selection {
            only: Some(Switch::ALL.iter().copied().collect()),
            without: Switches::default(),
        };
        let draw = |seed| plan(&Setup::draw(seed, 10, all));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).iter().all(|(at, _)| *at < TROUBLE));
    }

    #[test]
    fn one_switch_less_changes_nothing_else() {
        let with = |without: Switches| {
            let only = [Switch::Cut, Switch::Crash, Switch::Stall]
                .into_iter()
                .collect();
            let selection = Selection {
                only: Some(only),
                without,
            };
            plan(&Setup::draw(7, 10, selection))
        };
        let all = with(Switches::default());
        let fewer = with(Switches::default().with(Switch::Crash));
        let rest: Vec<_> = all
            .into_iter()
            .filter(|(_, f)| f.switch() != Switch::Crash)
            .collect();
        assert_eq!(rest, fewer);
    }
}
