//! A world drawn from a seed: its shape, how its servers behave, and its messages. What
//! happens in it, and when, is `plan`'s.
//!
//! Each concern draws from a stream of its own, so that a switch that is turned off
//! changes nothing else.

use std::time::Duration;

use stanchion_reliability::engine::EngineConfig;
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_testkit::server::{AnswerToResume, Offline, Overflow, WhenExpired};
use stanchion_testkit::{Behaviour, Random};

use crate::ledger::{Draft, LOOSE};
use crate::switch::{Selection, Switch, Switches};

/// Things fail and messages are given for so long; then all is well.
pub(crate) const TROUBLE: Duration = Duration::from_secs(90);
pub(crate) const MS: Duration = Duration::from_millis(1);

/// How rough a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Nothing fails.
    Clean,
    /// The server loses, sends back or copies one stanza in ten.
    Light,
    /// Whatever the switches say.
    Rough,
}

/// What a run is made of.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) on: Switches,
    pub(crate) weather: Weather,
    pub(crate) devices: Vec<DeviceSetup>,
    /// Nodes of each domain's server.
    pub(crate) sites: Vec<SiteSetup>,
    pub(crate) engine: EngineConfig,
    pub(crate) latency: Duration,
    /// From domain to domain.
    pub(crate) distance: Duration,
    pub(crate) messages: Vec<Draft>,
}

/// One device.
#[derive(Debug, Clone)]
pub(crate) struct DeviceSetup {
    /// The sites at which it has an account, the usual one first.
    pub(crate) sites: Vec<usize>,
    /// Whether its application's effects are part of the commit.
    pub(crate) transactional: bool,
}

/// One domain.
#[derive(Debug, Clone)]
pub(crate) struct SiteSetup {
    pub(crate) nodes: u8,
    pub(crate) behaviour: Behaviour,
}

/// A stream of choices for one concern of a seed.
pub(crate) fn stream(seed: u64, concern: u64) -> Random {
    let mut mixer = Random::new(seed ^ concern.wrapping_mul(0xD6E8_FEB8_6659_FD93));
    Random::new(mixer.number())
}

/// The same, for a switch.
pub(crate) fn stream_of(seed: u64, switch: Switch) -> Random {
    stream(seed, 1000 + switch as u64)
}

impl Setup {
    /// The world of a seed.
    pub(crate) fn draw(seed: u64, messages: u32, selection: Selection) -> Self {
        let mut random = stream(seed, 1);
        let weather = match random.below(16) {
            _ if selection.only.is_some() => Weather::Rough,
            0 => Weather::Clean,
            1 => Weather::Light,
            _ => Weather::Rough,
        };
        let mut rough = stream(seed, 2);
        let drawn = Switch::ALL
            .iter()
            .copied()
            .filter(|_| rough.chance(300))
            .collect();
        let on = match weather {
            Weather::Rough => selection.of(drawn),
            Weather::Clean | Weather::Light => Switches::default(),
        };
        let sites = 1 + random.below(3).saturating_sub(random.below(2)) as usize;
        let devices = 2 + random.below(3) as usize;
        let latency = random.time(MS, 200 * MS);
        let distance = random.time(MS, 200 * MS);
        let devices: Vec<_> = (0..devices)
            .map(|_| draw_device(sites, &mut random))
            .collect();
        let sites = (0..sites)
            .map(|at| {
                let mut random = stream(seed, 10 + at as u64);
                SiteSetup {
                    nodes: 1 + u8::from(random.chance(300) || on.has(Switch::NodeKilled)),
                    behaviour: behaviour(seed, at, on, weather),
                }
            })
            .collect();
        let messages = draw_messages(messages, devices.len(), on, stream(seed, 3));
        Self {
            seed,
            on,
            weather,
            devices,
            sites,
            engine: engine(seed, on),
            latency,
            distance,
            messages,
        }
    }
}

fn draw_device(sites: usize, random: &mut Random) -> DeviceSetup {
    let first = random.below(sites as u64) as usize;
    let other = random.below(sites as u64) as usize;
    let mut own = vec![first];
    if other != first {
        own.push(other);
    }
    DeviceSetup {
        sites: own,
        transactional: random.chance(500),
    }
}

fn draw_messages(count: u32, devices: usize, on: Switches, mut random: Random) -> Vec<Draft> {
    // Deadlines for some of them.
    let deadlines = *random.pick(&[0, 300, 1000]);
    let regrets = *random.pick(&[0, 50, 200]);
    // Sometimes all are of one channel.
    let crowded = random.chance(150);
    let mut draw = |_| {
        let from = random.below(devices as u64) as usize;
        let to = (from + 1 + random.below(devices as u64 - 1) as usize) % devices;
        let (from, to) = if crowded { (0, 1) } else { (from, to) };
        let within = random.time(Duration::ZERO, 40_000 * MS);
        let limited = random.chance(deadlines);
        let poison = random.chance(15) && on.has(Switch::Poison);
        let doomed = random.chance(20) && on.has(Switch::Doomed);
        let channel = match random.below(16) as u8 {
            // An account apart is another sender to who has only the addresses to go by.
            0 if !on.has(Switch::Failover) => LOOSE,
            _ if crowded => 1,
            number => number % LOOSE,
        };
        let regret = random.time(Duration::ZERO, 20_000 * MS);
        let regrets = random.chance(regrets);
        Draft {
            from,
            to,
            channel,
            // What poisons streams must end some time.
            lifetime: (limited || poison).then_some(within),
            strict: !random.chance(200),
            poison,
            regret: regrets.then_some(regret),
            // Outside of channels nothing is given up.
            doomed: doomed && channel != LOOSE,
        }
    };
    (0..count).map(&mut draw).collect()
}

fn engine(seed: u64, on: Switches) -> EngineConfig {
    let mut engine = EngineConfig::default();
    // Most of them send some messages together.
    engine.bundle = *stream(seed, 5).pick(&[1, 2, 8, 32]);
    if on.has(Switch::SmallBounds) {
        // A few messages overflow them.
        let mut random = stream_of(seed, Switch::SmallBounds);
        engine.window = *random.pick(&[1, 2, 4, 8]);
        engine.in_memory = *random.pick(&[2, 4, 9, 32]);
        engine.outbox = *random.pick(&[5, 12, 10_000]);
        engine.hand_over = *random.pick(&[1, 2, 5, 16]);
        engine.ack_every = *random.pick(&[1, 3, 10]);
        engine.inbox = *random.pick(&[3, 8, 40, 10_000]);
    }
    engine
}

/// How the server of a site behaves while there is trouble.
fn behaviour(seed: u64, site: usize, on: Switches, weather: Weather) -> Behaviour {
    let mut behaviour = Behaviour::default();
    if weather == Weather::Light {
        behaviour.loses = 50;
        behaviour.bounces = 25;
        behaviour.copies = 25;
        return behaviour;
    }
    // Not on every site.
    let draw = |switch: Switch| {
        let mut random = stream(stream_of(seed, switch).number(), site as u64);
        let here = on.has(switch) && random.chance(800);
        here.then_some(random)
    };
    let rate = |switch: Switch, most: u64| {
        draw(switch).map_or(0, |mut random| 1 + random.below(most) as u32)
    };
    behaviour.loses = rate(Switch::AckedThenLost, 150);
    behaviour.loses_receipts = rate(Switch::ReceiptLost, 250);
    behaviour.bounces = rate(Switch::Bounced, 150);
    behaviour.refuses = rate(Switch::Refused, 100);
    behaviour.copies = rate(Switch::Copies, 250);
    behaviour.delays = rate(Switch::Delays, 250);
    behaviour.asides = rate(Switch::StaleCopies, 150);
    behaviour.keeps_bodiless = draw(Switch::BodilessNotStored).is_none();
    behaviour.offline_wiped = draw(Switch::OfflineWiped).is_some();
    behaviour.chokes = on.has(Switch::Poison);
    behaviour.resumption = draw(Switch::NoResumption).is_none();
    behaviour.management = draw(Switch::NoManagement).is_none();
    if draw(Switch::PowerLoss).is_some() {
        behaviour.offline_unsynced = Duration::from_secs(2);
    }
    if draw(Switch::ShortHibernation).is_some() {
        behaviour.hibernation = Duration::from_secs(2);
    }
    if draw(Switch::ExpiryBounced).is_some() {
        behaviour.hibernation = Duration::from_secs(5);
        behaviour.expired = WhenExpired::Bounced;
    }
    if draw(Switch::ExpiryDropped).is_some() {
        behaviour.hibernation = Duration::from_secs(5);
        behaviour.expired = WhenExpired::Dropped;
    }
    if let Some(mut random) = draw(Switch::OfflineMissing) {
        behaviour.offline = *random.pick(&[
            Offline::Kept { most: 3 },
            Offline::Refused,
            Offline::Dropped,
        ]);
        behaviour.bounced_as = *random.pick(&[
            DefinedCondition::RecipientUnavailable,
            DefinedCondition::ServiceUnavailable,
        ]);
    }
    if let Some(mut random) = draw(Switch::QueueEnds) {
        behaviour.queue = *random.pick(&[12, 20, 40]);
        behaviour.overflow = Overflow::Ends;
    }
    if let Some(mut random) = draw(Switch::QueueForgets) {
        behaviour.queue = *random.pick(&[12, 20, 40]);
        behaviour.overflow = Overflow::DropsOldest;
    }
    let refusals = [
        (Switch::ResumeRefused, AnswerToResume::Failed),
        (
            Switch::ResumeRefusedWithCount,
            AnswerToResume::FailedWithCount,
        ),
        (Switch::ResumeUnanswered, AnswerToResume::Silence),
    ];
    for (at, (switch, answer)) in refusals.into_iter().enumerate() {
        if draw(switch).is_some() {
            behaviour.answers_to_resume[at * 2] = answer;
            behaviour.answers_to_resume[at * 2 + 1] = answer;
        }
    }
    behaviour
}
