//! Modbus devices, over TCP and on serial lines (RTU): coils and registers become fields,
//! and what is writable parameters.
//!
//! - `config`: what a user says; `point`: what registers mean;
//! - `plan`: which points are read in one request;
//! - `wire`: requests and answers as bytes; `line`: the way to the unit;
//! - `writing`: what becomes of an order; this file: the rounds of reading.
//!
//! ```
//! # use stanchion_device::adapters::modbus::{Adapter, Config};
//! let config: Config = toml::from_str(r#"
//!     tcp = "192.0.2.7:502"       # or: serial = { device = "/dev/ttyUSB0", baud = 9600 }
//!     unit = 1
//!     thing = "boiler"
//!     poll = "2s"
//!
//!     [[points]]
//!     name = "flow"
//!     kind = "input"
//!     address = 0
//!     type = "i16"
//!     scale = 0.1
//!     unit = "Cel"
//!
//!     [[points]]
//!     name = "pump"
//!     kind = "coil"
//!     address = 4
//!     writable = true
//! "#)?;
//! let boiler = Adapter::new(config)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod line;
mod plan;
mod point;
mod wire;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use stanchion_stanza::Text;
use tokio::time::{Instant, sleep_until};
use tokio_modbus::ExceptionCode;

pub use config::{Config, MOST_POINTS, Parity, Serial};
pub use point::{Order, PointConfig, Type};
pub use wire::Table;

use crate::adapter::{Misuse, wall_clock};
use crate::model::{Reading, Sample, Sampler, ThingSpec};
use crate::{AdapterError, Link, Report, Stop};
use line::{Fault, Line};
use plan::{Block, plan};
use point::Point;
use wire::{Answer, Request};

/// How long a point that the device refuses is left alone.
const REFUSED_AGAIN_IN: Duration = Duration::from_secs(60);
/// Requests in a row that a unit may leave unanswered.
const MOST_UNANSWERED: u32 = 3;
/// How long after an order the next round of reading begins at the latest.
const AFTER_AN_ORDER: Duration = Duration::from_millis(50);

/// One unit, and its points as things.
#[derive(Debug)]
pub struct Adapter {
    config: Config,
    place: String,
    points: Vec<Point>,
    samplers: Vec<Sampler>,
    since: Instant,
}

/// What one run knows of the device.
struct Run {
    line: Line,
    blocks: Vec<Reads>,
    /// Requests in a row that were not answered.
    unanswered: u32,
    /// Whether one of those had been answered before.
    missed: bool,
    /// Whether the device was heard at all.
    heard: bool,
    stale: BTreeSet<Text>,
}

/// A block, and how it goes with it.
#[derive(Debug)]
struct Reads {
    block: Block,
    /// Whether it was ever read.
    answered: bool,
    /// When it is asked for next.
    due: Instant,
}

impl Adapter {
    /// An adapter for that device.
    ///
    /// # Errors
    /// [`Misuse`] names what cannot be right.
    pub fn new(config: Config) -> Result<Self, Misuse> {
        let points = config.check()?;
        let samplers = points.iter().map(|p| Sampler::new(p.field.sampling));
        Ok(Self {
            place: config.place(),
            samplers: samplers.collect(),
            points,
            config,
            since: Instant::now(),
        })
    }

    fn lost(&self, fault: Fault) -> AdapterError {
        match fault {
            Fault::Broken(source) => AdapterError::connection(self.place.clone(), source),
            Fault::Silent => {
                let silent = std::io::ErrorKind::TimedOut.into();
                let what = format!(
                    "{} does not answer; is it on, and is `unit` right?",
                    self.place
                );
                AdapterError::connection(what, silent)
            }
            Fault::Garbled(what) => AdapterError::PeerMisbehaved {
                peer: self.place.clone(),
                what,
            },
        }
    }

    /// Reads all that is due, one order between two requests.
    async fn round(
        &mut self,
        run: &mut Run,
        link: &mut Link,
        stop: &Stop,
    ) -> Result<(), AdapterError> {
        let mut readings: BTreeMap<Text, Vec<Reading>> = BTreeMap::new();
        let (mut asked, mut heard) = (0_u32, false);
        let mut at = 0;
        while at < run.blocks.len() && !stop.is_wanted() {
            tokio::select! {
                biased;
                order = link.order() => {
                    let settled = self.obey(run, order).await;
                    settled.map_err(|fault| self.lost(fault))?;
                }
                () = std::future::ready(()) => {}
            }
            if run.blocks[at].due > Instant::now() {
                at += 1;
                continue;
            }
            asked += 1;
            let request = run.blocks[at].request();
            let outcome = match run.line.ready().await {
                Ok(()) => run.line.ask(&request).await,
                Err(fault) => Err(fault),
            };
            match outcome {
                Ok(Answer::Exception(code)) => {
                    heard = true;
                    run.hears(link).await?;
                    if self.refused(run, at, code) {
                        continue;
                    }
                }
                Ok(answer) => {
                    heard = true;
                    run.hears(link).await?;
                    run.blocks[at].answered = true;
                    self.take(&run.blocks[at].block, &answer, &mut readings);
                }
                Err(Fault::Silent) => {
                    if self.silent(run, at)? {
                        continue;
                    }
                }
                Err(Fault::Garbled(what)) if self.config.serial.is_some() => {
                    // The next request begins in silence again.
                    heard = true;
                    let place = &self.place;
                    tracing::warn!(%place, %what, "an answer is left out");
                }
                Err(fault) => return Err(self.lost(fault)),
            }
            at += 1;
        }
        if asked > 0 && !heard && !stop.is_wanted() {
            return Err(self.lost(Fault::Silent));
        }
        let read: BTreeSet<Text> = readings.keys().cloned().collect();
        self.tell(readings, link).await?;
        self.tell_stale(run, &read, link).await
    }

    /// What was read, as values.
    fn take(&self, block: &Block, answer: &Answer, into: &mut BTreeMap<Text, Vec<Reading>>) {
        for &place in &block.points {
            let point = &self.points[place];
            let from = usize::from(point.span.address - block.address);
            let to = from + usize::from(point.span.count);
            let value = match answer {
                Answer::Bits(bits) => {
                    let bit = bits.get(from).copied();
                    bit.map(crate::model::Value::Boolean)
                        .ok_or(point::NoValue::Missing)
                }
                Answer::Words(words) => match words.get(from..to) {
                    Some(words) => point.value_of_words(words),
                    None => Err(point::NoValue::Missing),
                },
                _ => Err(point::NoValue::Missing),
            };
            match value {
                Ok(value) => {
                    let reading = Reading::automatic(point.field.name.clone(), value);
                    into.entry(point.thing.clone()).or_default().push(reading);
                }
                Err(error) => {
                    let (place, field) = (&self.place, &point.field.name);
                    tracing::debug!(%place, %field, %error, "a value is left out");
                    into.entry(point.thing.clone()).or_default();
                }
            }
        }
    }

    /// Tells what is worth it.
    async fn tell(
        &mut self,
        readings: BTreeMap<Text, Vec<Reading>>,
        link: &mut Link,
    ) -> Result<(), AdapterError> {
        let (at, now) = (wall_clock(), self.since.elapsed());
        for (thing, read) in readings {
            let worth = |reading: &Reading| {
                let is = |p: &Point| p.thing == thing && p.field.name == reading.field;
                let place = self.points.iter().position(is);
                place.is_some_and(|place| self.samplers[place].take(now, &reading.value))
            };
            let readings: Vec<_> = read.into_iter().filter(worth).collect();
            if !readings.is_empty() {
                let sample = Sample {
                    thing,
                    at,
                    readings,
                };
                link.sample(sample).await?;
            }
        }
        Ok(())
    }

    /// Tells which things have no point left that can be read.
    async fn tell_stale(
        &self,
        run: &mut Run,
        read: &BTreeSet<Text>,
        link: &mut Link,
    ) -> Result<(), AdapterError> {
        run.stale.retain(|thing| !read.contains(thing));
        let things = self.points.iter().map(|point| &point.thing);
        let silent: BTreeSet<_> = things.filter(|thing| !read.contains(*thing)).collect();
        let new: Vec<Text> = (silent.into_iter())
            .filter(|thing| run.stale.insert((*thing).clone()))
            .cloned()
            .collect();
        if !new.is_empty() {
            link.report(Report::Stale(new)).await?;
        }
        Ok(())
    }

    /// The device gives something else than these values. Whether they are read apart now.
    fn refused(&self, run: &mut Run, at: usize, code: ExceptionCode) -> bool {
        use ExceptionCode as E;
        let (place, address) = (&self.place, run.blocks[at].block.address);
        match code {
            E::IllegalFunction | E::IllegalDataAddress | E::IllegalDataValue => {
                if run.split(at, &self.points) {
                    tracing::debug!(%place, address, %code, "read apart from now on");
                    return true;
                }
                tracing::warn!(%place, address, %code, "refused; is the address right?");
                run.blocks[at].due = Instant::now() + REFUSED_AGAIN_IN;
            }
            _ => tracing::debug!(%place, address, %code, "not now"),
        }
        false
    }

    /// Nobody answered. Whether these are read apart now.
    fn silent(&self, run: &mut Run, at: usize) -> Result<bool, AdapterError> {
        run.unanswered += 1;
        run.missed |= run.blocks[at].answered;
        if run.unanswered >= MOST_UNANSWERED && (run.missed || !run.heard) {
            return Err(self.lost(Fault::Silent));
        }
        // Some devices are silent where others refuse.
        if !run.blocks[at].answered && run.heard {
            if run.split(at, &self.points) {
                return Ok(true);
            }
            let (place, address) = (&self.place, run.blocks[at].block.address);
            tracing::warn!(%place, address, "no answer; is the address right?");
            run.blocks[at].due = Instant::now() + REFUSED_AGAIN_IN;
        }
        Ok(false)
    }
}

impl Reads {
    const fn request(&self) -> Request {
        Request::Read {
            table: self.block.table,
            address: self.block.address,
            count: self.block.count,
        }
    }
}

impl Run {
    /// The device is there.
    async fn hears(&mut self, link: &mut Link) -> Result<(), AdapterError> {
        self.unanswered = 0;
        self.missed = false;
        if !std::mem::replace(&mut self.heard, true) {
            link.connected().await?;
        }
        Ok(())
    }

    /// Reads the points of a block each alone from now on. Not if it is one already.
    fn split(&mut self, at: usize, points: &[Point]) -> bool {
        if self.blocks[at].block.points.len() < 2 {
            return false;
        }
        let due = self.blocks[at].due;
        let places = std::mem::take(&mut self.blocks[at].block.points);
        let alone = places.into_iter().map(|point| Reads {
            block: points[point].span.alone(point),
            answered: false,
            due,
        });
        self.blocks.splice(at..=at, alone);
        true
    }
}

#[async_trait]
impl crate::Adapter for Adapter {
    fn things(&self) -> Vec<ThingSpec> {
        let mut things: Vec<ThingSpec> = Vec::new();
        for point in &self.points {
            let known = things.iter().position(|t| t.node.id == point.thing);
            let place = known.unwrap_or_else(|| {
                things.push(ThingSpec::new(point.thing.clone()));
                things.len() - 1
            });
            let thing = &mut things[place];
            thing.fields.push(point.field.clone());
            thing.parameters.extend(point.parameter.clone());
        }
        if let (Some(label), Some(thing)) = (&self.config.label, things.first_mut())
            && let Ok(label) = Text::new(label.as_str())
        {
            thing.label = label;
        }
        things
    }

    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        let opened = tokio::select! {
            () = stop.wanted() => return Ok(()),
            opened = Line::open(&self.config) => opened,
        };
        let line = opened.map_err(|e| self.lost(Fault::Broken(e)))?;
        let spans: Vec<_> = self.points.iter().map(|point| point.span).collect();
        let now = Instant::now();
        let blocks = plan(&spans, self.config.limits()).into_iter();
        let mut run = Run {
            line,
            blocks: blocks
                .map(|block| Reads {
                    block,
                    answered: false,
                    due: now,
                })
                .collect(),
            unanswered: 0,
            missed: false,
            heard: false,
            stale: BTreeSet::new(),
        };
        // Others may have forgotten what they were told before.
        for (sampler, point) in self.samplers.iter_mut().zip(&self.points) {
            *sampler = Sampler::new(point.field.sampling);
        }
        let mut next = now;
        while !stop.is_wanted() {
            if next <= Instant::now() {
                let begun = Instant::now();
                self.round(&mut run, link, stop).await?;
                next = (next + self.config.poll).max(begun);
                continue;
            }
            tokio::select! {
                biased;
                () = stop.wanted() => break,
                order = link.order() => {
                    let settled = self.obey(&mut run, order).await;
                    settled.map_err(|fault| self.lost(fault))?;
                    next = next.min(Instant::now() + AFTER_AN_ORDER);
                }
                () = sleep_until(next) => {}
            }
        }
        Ok(())
    }
}
