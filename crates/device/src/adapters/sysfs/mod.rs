//! What Linux tells of its hardware in sysfs, read at intervals: sensors (hwmon, industrial
//! I/O, 1-Wire), power supplies, thermal zones, and LEDs, which can be set.
//!
//! Values are scaled to base units: `Cel`, `V`, `A`, `W`, `J`, `Pa`, `lx`, `%RH`, `%`. What
//! comes and goes while this runs is noticed at the next reading. An attribute that cannot be
//! read is told with its last value and the quality *missing*, and holds up no other.
//!
//! ```toml
//! [[adapter]]
//! name = "board"
//! type = "sysfs"
//! every = "10s"
//! classes = ["hwmon", "leds"]
//! ```
//!
//! A thing's id is its class and its name, such as `hwmon/coretemp`, `w1/28-0316a2794bff`,
//! `leds/status`. Which attributes become which fields is in `attributes`. Configuration
//! names classes and no paths below the root.

mod attributes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use stanchion_stanza::Text;
use tokio::time::Instant;

use crate::adapter::{AdapterError, Link, Order, OrderError, Report, Stop, wall_clock};
use crate::model::{Quality, Reading, Sample, SettingValue, ThingSpec, Value};

use attributes::Device;

/// The most things that are taken.
pub const MOST_THINGS: usize = 1024;

/// A class of hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    /// Sensors of boards and chips.
    Hwmon,
    /// Industrial I/O.
    Iio,
    /// Thermometers on 1-Wire.
    W1,
    /// LEDs.
    Leds,
    /// Batteries and mains.
    PowerSupply,
    /// Thermal zones.
    Thermal,
}

/// How sysfs is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where sysfs is. Default `/sys`.
    #[serde(default = "defaults::sysroot")]
    pub sysroot: PathBuf,
    /// How often it is read: from 10 ms to one day. Default 10 s.
    #[serde(default = "defaults::every", with = "crate::model::sampling::time")]
    pub every: Duration,
    /// What of it is read. Default all classes.
    #[serde(default = "defaults::classes")]
    pub classes: BTreeSet<Class>,
}

mod defaults {
    use super::Class;
    use std::collections::BTreeSet;
    use std::path::PathBuf;
    use std::time::Duration;

    pub(super) fn sysroot() -> PathBuf {
        PathBuf::from("/sys")
    }
    pub(super) const fn every() -> Duration {
        Duration::from_secs(10)
    }
    pub(super) fn classes() -> BTreeSet<Class> {
        use Class::{Hwmon, Iio, Leds, PowerSupply, Thermal, W1};
        [Hwmon, Iio, W1, Leds, PowerSupply, Thermal].into()
    }
}

/// The hardware of this machine.
#[derive(Debug)]
pub struct Adapter {
    config: Config,
    devices: BTreeMap<Text, Known>,
}

/// A device, and what was read of it.
#[derive(Debug)]
struct Known {
    device: Device,
    values: BTreeMap<Text, Value>,
}

impl Adapter {
    /// Hardware that is read so.
    ///
    /// # Errors
    /// [`AdapterError::Misuse`] names what cannot be right.
    pub fn new(config: Config) -> Result<Self, AdapterError> {
        let misuse = |what: &str| Err(AdapterError::Misuse(format!("sysfs: {what}")));
        let day = Duration::from_secs(24 * 60 * 60);
        if !(Duration::from_millis(10)..=day).contains(&config.every) {
            return misuse("`every` is to be from 10 ms to 1 day");
        }
        if config.classes.is_empty() {
            return misuse("`classes` is to name one at least");
        }
        Ok(Self {
            config,
            devices: BTreeMap::new(),
        })
    }

    /// Looks what there is, and tells what came, what is gone and what all measure.
    async fn poll(&mut self, link: &mut Link) -> Result<(), AdapterError> {
        let Config {
            sysroot, classes, ..
        } = self.config.clone();
        let found = blocking(move || attributes::read_all(&sysroot, &classes)).await?;
        let ids: BTreeSet<_> = found.iter().map(|(d, _)| d.spec.node.id.clone()).collect();
        let gone: Vec<Text> = (self.devices.keys())
            .filter(|id| !ids.contains(*id))
            .cloned()
            .collect();
        if !gone.is_empty() {
            self.devices.retain(|id, _| ids.contains(id));
            link.report(Report::Gone(gone)).await?;
        }
        let is_new = |device: &Device| {
            let known = self.devices.get(&device.spec.node.id);
            known.is_none_or(|known| known.device.spec != device.spec)
        };
        let new = found.iter().filter(|(device, _)| is_new(device));
        let new: Vec<ThingSpec> = new.map(|(device, _)| device.spec.clone()).collect();
        if !new.is_empty() {
            link.report(Report::Things(new)).await?;
        }
        let mut stale = Vec::new();
        for (device, values) in found {
            let id = device.spec.node.id.clone();
            let before = self.devices.remove(&id).map(|known| known.values);
            let mut known = Known {
                device,
                values: before.unwrap_or_default(),
            };
            if values.iter().all(|(_, value)| value.is_none()) {
                stale.push(id.clone());
            } else {
                link.sample(known.sample(values)).await?;
            }
            self.devices.insert(id, known);
        }
        if !stale.is_empty() {
            link.report(Report::Stale(stale)).await?;
        }
        Ok(())
    }

    /// Sets a LED, and looks whether it is set.
    async fn obey(&mut self, order: Order, link: &mut Link) -> Result<(), AdapterError> {
        let known = self.devices.get(order.thing());
        let Some(known) = known else {
            let why = format!("there is no thing `{}`", order.thing());
            order.failed(OrderError::Refused(why));
            return Ok(());
        };
        let spec = &known.device.spec;
        let wrong = order.settings().iter().find_map(|s| spec.check(s).err());
        if let Some(wrong) = wrong {
            order.failed(OrderError::Refused(wrong.to_string()));
            return Ok(());
        }
        let levels: Vec<i32> = (order.settings().iter())
            .filter_map(|setting| match setting.value {
                SettingValue::Int(level) => Some(level),
                _ => None,
            })
            .collect();
        for level in levels {
            if order.is_expired() {
                order.failed(OrderError::Expired);
                return Ok(());
            }
            let folder = known.device.folder.clone();
            let set = blocking(move || attributes::set_brightness(&folder, level)).await?;
            if let Err(why) = set {
                order.failed(why);
                return Ok(());
            }
            let (thing, field) = (order.thing().clone(), Text::from_static("brightness"));
            let sample = Sample::one(thing, wall_clock(), field, Value::Int(level));
            link.sample(sample).await?;
        }
        order.done();
        Ok(())
    }
}

/// Files of sysfs answer when their hardware does: some take a second.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AdapterError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| AdapterError::connection("reading sysfs", std::io::Error::other(e)))
}

impl Known {
    /// What was read, and of what was not, what it was before.
    fn sample(&mut self, values: Vec<(Text, Option<Value>)>) -> Sample {
        let mut readings = Vec::new();
        for (field, value) in values {
            match value {
                Some(value) => {
                    self.values.insert(field.clone(), value.clone());
                    readings.push(Reading::automatic(field, value));
                }
                None => readings.extend(self.values.get(&field).map(|value| Reading {
                    field: field.clone(),
                    value: value.clone(),
                    quality: Quality::MISSING,
                })),
            }
        }
        Sample {
            thing: self.device.spec.node.id.clone(),
            at: wall_clock(),
            readings,
        }
    }
}

#[async_trait]
impl crate::Adapter for Adapter {
    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        let root = self.config.sysroot.clone();
        let there = blocking(move || Path::read_dir(&root).map(|_| ())).await?;
        let what = || format!("sysfs at {}", self.config.sysroot.display());
        there.map_err(|e| AdapterError::connection(what(), e))?;
        link.connected().await?;
        let mut next = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = stop.wanted() => return Ok(()),
                order = link.order() => self.obey(order, link).await?,
                () = tokio::time::sleep_until(next) => {
                    self.poll(link).await?;
                    next = Instant::now() + self.config.every;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
