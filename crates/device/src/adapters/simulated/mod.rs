//! A fleet that is not there: for demonstrations, load and tests. What it measures follows
//! from the seed.
//!
//! ```toml
//! [[adapter]]
//! name = "lamps"
//! type = "simulated"
//! kind = "lamp"            # thermometer, meter, patient, lamp, tag-reader
//! count = 20
//! interval = "10s"
//! latency = "50ms"
//! failure_rate = 0.01
//! ```
//!
//! [`Fleet`] is its core on virtual time; this file owns the task that plays it in real
//! time, and its orders.

mod fleet;
mod kinds;
mod random;

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::Text;
use tokio::time::{Instant, sleep_until};

pub use fleet::{Fleet, Measured};
pub use kinds::{Kind, REMEMBERED, TAGS, WAVEFORM_HZ};

use crate::adapter::{AdapterError, Link, Order, OrderError, Stop, wall_clock};
use crate::model::{Sample, ThingSpec};
use random::Random;

/// The most things of a fleet.
pub const MOST: usize = 100_000;
/// Orders that may be under way; further ones wait in the link.
const ORDERS: usize = 256;

/// A fleet, and how it behaves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// What it is made of.
    pub kind: Kind,
    /// How many there are, 1 to 100,000. Default 1.
    #[serde(default = "one")]
    pub count: usize,
    /// How often each of them measures, 1 ms to 1 day. Default 1 s.
    #[serde(default = "second", with = "crate::model::sampling::time")]
    pub interval: Duration,
    /// What all that looks random follows from. Default 1.
    #[serde(default = "seed")]
    pub seed: u64,
    /// What their ids begin with; `-1` and so on follow. Default: the kind's name.
    #[serde(default)]
    pub prefix: Option<String>,
    /// How long an order takes, 0 s to 1 min. Default none.
    #[serde(default, with = "crate::model::sampling::time")]
    pub latency: Duration,
    /// The share of orders that fail, without an effect, 0 to 1. Default 0.
    #[serde(default)]
    pub failure_rate: f64,
}

const fn one() -> usize {
    1
}
const fn second() -> Duration {
    Duration::from_secs(1)
}
const fn seed() -> u64 {
    1
}

impl Config {
    /// One thing of that kind, all else by default.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            count: one(),
            interval: second(),
            seed: seed(),
            prefix: None,
            latency: Duration::ZERO,
            failure_rate: 0.0,
        }
    }

    fn check(&self) -> Result<(), String> {
        let day = Duration::from_secs(86_400);
        if !(1..=MOST).contains(&self.count) {
            return Err(format!("`count` is to be from 1 to {MOST}"));
        }
        if !(Duration::from_millis(1)..=day).contains(&self.interval) {
            return Err("`interval` is to be from 1ms to 1day".to_owned());
        }
        if self.latency > Duration::from_secs(60) {
            return Err("`latency` is to be at most 1m".to_owned());
        }
        if !(0.0..=1.0).contains(&self.failure_rate) {
            return Err("`failure_rate` is to be from 0 to 1".to_owned());
        }
        match &self.prefix {
            Some(prefix) if prefix.is_empty() || Text::new(prefix.as_str()).is_err() => {
                Err("`prefix` is to be text that XML allows".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// A simulated fleet, kept by a [`Supervisor`](crate::adapter::Supervisor). What its things
/// keep, such as a lamp's count of actuations, outlives a run.
#[derive(Debug)]
pub struct Adapter {
    fleet: Fleet,
    latency: Duration,
    failure_rate: f64,
    failures: Random,
    /// Fleet time as far as it was played.
    played: Duration,
}

impl Adapter {
    /// A fleet by its configuration.
    ///
    /// # Errors
    /// [`AdapterError::Misuse`] names what cannot be.
    pub fn new(config: Config) -> Result<Self, AdapterError> {
        let misuse = |what| AdapterError::Misuse(format!("simulated fleet: {what}"));
        config.check().map_err(misuse)?;
        let prefix = config.prefix.as_deref().unwrap_or(config.kind.name());
        let (count, interval, seed) = (config.count, config.interval, config.seed);
        Ok(Self {
            fleet: Fleet::named(config.kind, prefix, count, interval, seed),
            latency: config.latency,
            failure_rate: config.failure_rate,
            failures: Random::new(config.seed, u64::MAX),
            played: Duration::ZERO,
        })
    }
}

/// How the fleet's time lies in real time.
#[derive(Clone, Copy)]
struct Clock {
    began: Instant,
    wall: WallTime,
    played: Duration,
}

impl Clock {
    /// The fleet's time now.
    fn now(&self) -> Duration {
        self.played.saturating_add(self.began.elapsed())
    }

    /// When it will be that time.
    fn instant(&self, at: Duration) -> Option<Instant> {
        self.began.checked_add(at.saturating_sub(self.played))
    }

    fn wall(&self, at: Duration) -> WallTime {
        let ms = at.saturating_sub(self.played).as_millis();
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        WallTime::from_unix_ms(self.wall.as_unix_ms().saturating_add(ms))
    }

    fn sample(&self, measured: Measured) -> Sample {
        Sample {
            thing: measured.thing,
            at: self.wall(measured.at),
            readings: measured.readings,
        }
    }
}

#[async_trait]
impl crate::Adapter for Adapter {
    fn things(&self) -> Vec<ThingSpec> {
        self.fleet.specs()
    }

    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        let clock = Clock {
            began: Instant::now(),
            wall: wall_clock(),
            played: self.played,
        };
        link.connected().await?;
        // In the order in which they came: all take equally long.
        let mut orders: VecDeque<(Instant, Order)> = VecDeque::new();
        let outcome = loop {
            let measure_at = self.fleet.due().and_then(|at| clock.instant(at));
            let carry_out_at = orders.front().map(|(at, _)| *at);
            tokio::select! {
                () = stop.wanted() => break Ok(()),
                () = at(carry_out_at) => {
                    if let Some((_, order)) = orders.pop_front()
                        && let Some(measured) = self.carry_out(order, clock.now())
                    {
                        link.sample(clock.sample(measured)).await?;
                    }
                }
                order = link.order(), if orders.len() < ORDERS => {
                    orders.push_back((Instant::now() + self.latency, order));
                }
                () = at(measure_at) => {
                    if let Some(measured) = self.fleet.next() {
                        self.played = measured.at;
                        link.sample(clock.sample(measured)).await?;
                    }
                }
            }
        };
        for (_, order) in orders {
            let why = "its adapter has ended".to_owned();
            order.failed(OrderError::Unavailable(why));
        }
        outcome
    }
}

impl Adapter {
    /// Does it, if its time is not over and it does not fail. What the thing is then.
    fn carry_out(&mut self, order: Order, now: Duration) -> Option<Measured> {
        if order.is_expired() {
            order.failed(OrderError::Expired);
            return None;
        }
        if self.failures.share() < self.failure_rate {
            let why = "the simulated device fails, as it is to now and then".to_owned();
            order.failed(OrderError::Refused(why));
            return None;
        }
        match self.fleet.set(order.thing(), order.settings(), now) {
            Ok(measured) => {
                order.done();
                Some(measured)
            }
            Err(error) => {
                order.failed(OrderError::Refused(error.to_string()));
                None
            }
        }
    }
}

/// Resolves at that time; never, if there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
