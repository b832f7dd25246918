//! Which attributes of which class become which fields, and in which unit. Reads and writes
//! files, and knows nothing of time.
//!
//! | class | attributes | fields |
//! |---|---|---|
//! | hwmon | `tempN_input`, `inN_input`, `currN_input`, `powerN_input`, `energyN_input`, `humidityN_input`, `fanN_input` | `tempN` … |
//! | iio | `in_NAME_input`, or `in_NAME_raw` with offset and scale | `NAME` |
//! | w1 | `temperature`, or `w1_slave` with its checksum | `temperature` |
//! | leds | `brightness` | `brightness`, can be set up to `max_brightness` |
//! | power_supply | `voltage_now`, `current_now`, `power_now`, `capacity`, `temp`, `status`, `online` | the same |
//! | thermal | `temp` | `temperature` |

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use stanchion_stanza::Text;

use super::{Class, MOST_THINGS};
use crate::adapter::OrderError;
use crate::model::{FieldSpec, Kind, ParameterKind, ParameterSpec, ThingSpec, Value, number};

/// The most bytes of an attribute: a page, as the kernel has it.
const LARGEST: u64 = 4096;
/// The most attributes of one device.
const MOST_FIELDS: usize = 256;

/// What a field of one device has, or nothing if it could not be read.
type Values = Vec<(Text, Option<Value>)>;

/// A device: its folder, and what it looks like.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) spec: ThingSpec,
    pub(super) folder: PathBuf,
}

/// One attribute.
struct Attribute {
    field: FieldSpec,
    value: Option<Value>,
}

impl Class {
    const fn folder(self) -> &'static str {
        match self {
            Self::Hwmon => "class/hwmon",
            Self::Iio => "bus/iio/devices",
            Self::W1 => "bus/w1/devices",
            Self::Leds => "class/leds",
            Self::PowerSupply => "class/power_supply",
            Self::Thermal => "class/thermal",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Hwmon => "hwmon",
            Self::Iio => "iio",
            Self::W1 => "w1",
            Self::Leds => "leds",
            Self::PowerSupply => "power_supply",
            Self::Thermal => "thermal",
        }
    }
}

/// All devices of these classes, and what they measure.
pub(super) fn read_all(root: &Path, classes: &BTreeSet<Class>) -> Vec<(Device, Values)> {
    let mut all = Vec::new();
    let mut ids = BTreeSet::new();
    for class in classes {
        for folder in entries(&root.join(class.folder())) {
            if all.len() >= MOST_THINGS {
                tracing::warn!("more than {MOST_THINGS} devices: the rest is left out");
                return all;
            }
            let attributes = attributes(*class, &folder);
            let short = file_name(&folder);
            let name = match class {
                Class::Hwmon | Class::Iio => line(&folder.join("name")).ok(),
                Class::Thermal => line(&folder.join("type")).ok(),
                _ => None,
            };
            let name = name.unwrap_or_else(|| short.clone());
            let mut id = text(&format!("{}/{name}", class.name()));
            if attributes.is_empty() {
                continue;
            }
            // Two of the same kind are told apart by their folders.
            if !ids.insert(id.clone()) {
                id = text(&format!("{id}.{short}"));
                ids.insert(id.clone());
            }
            let mut spec = ThingSpec::new(id);
            spec.label = text(&name);
            let mut values = Vec::new();
            for attribute in attributes {
                values.push((attribute.field.name.clone(), attribute.value));
                if attribute.field.writable {
                    let most = line(&folder.join("max_brightness")).ok();
                    let most = most.and_then(|n| n.parse().ok()).unwrap_or(255);
                    let kind = ParameterKind::Int(0..=most);
                    let parameter = ParameterSpec::new(attribute.field.name.clone(), kind);
                    spec.parameters.push(parameter);
                }
                spec.fields.push(attribute.field);
            }
            all.push((Device { spec, folder }, values));
        }
    }
    all
}

fn attributes(class: Class, folder: &Path) -> Vec<Attribute> {
    let there = |name: &str| folder.join(name).exists();
    let mut found = Vec::new();
    match class {
        Class::Hwmon => {
            for path in entries(folder) {
                let file = file_name(&path);
                let Some(name) = file.strip_suffix("_input") else {
                    continue;
                };
                let (scale, unit) = match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
                    "temp" => (1e-3, "Cel"),
                    "in" => (1e-3, "V"),
                    "curr" => (1e-3, "A"),
                    "power" => (1e-6, "W"),
                    "energy" => (1e-6, "J"),
                    "humidity" => (1e-3, "%RH"),
                    "fan" => (1.0, "/min"),
                    _ => continue,
                };
                found.push(measure(
                    name,
                    unit,
                    scaled(&path, 0.0, scale),
                    decimals(scale),
                ));
            }
        }
        Class::Iio => {
            for path in entries(folder) {
                let file = file_name(&path);
                let Some(channel) = file.strip_prefix("in_") else {
                    continue;
                };
                let (name, raw) =
                    match (channel.strip_suffix("_input"), channel.strip_suffix("_raw")) {
                        (Some(name), _) => (name, false),
                        (_, Some(name)) if !there(&format!("in_{name}_input")) => (name, true),
                        _ => continue,
                    };
                let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
                // What the kernel calls a processed value is in thousandths, but for these.
                let (to_base, unit, digits) = match kind {
                    "temp" => (1e-3, "Cel", 3),
                    "voltage" => (1e-3, "V", 6),
                    "current" => (1e-3, "A", 6),
                    "power" => (1e-3, "W", 6),
                    "humidityrelative" => (1e-3, "%RH", 3),
                    "pressure" => (1e3, "Pa", 1),
                    "illuminance" => (1.0, "lx", 2),
                    _ => continue,
                };
                // A channel's own calibration, or that of all channels of its kind.
                let of_channel = |what: &str| {
                    let own = folder.join(format!("in_{name}_{what}"));
                    let shared = folder.join(format!("in_{kind}_{what}"));
                    let path = if own.exists() { own } else { shared };
                    path.exists().then(|| float(&path))
                };
                let value = if raw {
                    let scale = of_channel("scale").unwrap_or(Ok(1.0));
                    let offset = of_channel("offset").unwrap_or(Ok(0.0));
                    match (scale, offset) {
                        (Ok(scale), Ok(offset)) => scaled(&path, offset, scale * to_base),
                        (Err(e), _) | (_, Err(e)) => Err(e),
                    }
                } else {
                    scaled(&path, 0.0, to_base)
                };
                found.push(measure(name, unit, value, digits));
            }
        }
        Class::W1 => {
            let (celsius, slave) = (folder.join("temperature"), folder.join("w1_slave"));
            if celsius.exists() {
                found.push(measure(
                    "temperature",
                    "Cel",
                    scaled(&celsius, 0.0, 1e-3),
                    3,
                ));
            } else if slave.exists() {
                found.push(measure("temperature", "Cel", w1_slave(&slave), 3));
            }
        }
        Class::Leds if there("brightness") => {
            let mut field = FieldSpec::new(Text::from_static("brightness"), Kind::Int);
            field.writable = true;
            let read = line(&folder.join("brightness")).ok();
            let value = read.and_then(|n| n.parse().ok()).map(Value::Int);
            found.push(Attribute { field, value });
        }
        Class::Leds => {}
        Class::PowerSupply => {
            for (name, scale, unit) in [
                ("voltage_now", 1e-6, "V"),
                ("current_now", 1e-6, "A"),
                ("power_now", 1e-6, "W"),
                ("capacity", 1.0, "%"),
                ("temp", 1e-1, "Cel"),
            ] {
                if there(name) {
                    let value = scaled(&folder.join(name), 0.0, scale);
                    found.push(measure(name, unit, value, decimals(scale)));
                }
            }
            for (name, kind) in [("status", Kind::String), ("online", Kind::Boolean)] {
                if there(name) {
                    let read = line(&folder.join(name)).ok();
                    let value = read.map(|said| match kind {
                        Kind::Boolean => Value::Boolean(said != "0"),
                        _ => Value::String(text(&said)),
                    });
                    let field = FieldSpec::new(text(name), kind);
                    found.push(Attribute { field, value });
                }
            }
        }
        Class::Thermal => {
            if there("temp") {
                let value = scaled(&folder.join("temp"), 0.0, 1e-3);
                found.push(measure("temperature", "Cel", value, 3));
            }
        }
    }
    found.truncate(MOST_FIELDS);
    found
}

fn decimals(scale: f64) -> usize {
    match scale {
        s if s >= 1.0 => 0,
        s if s >= 0.1 => 1,
        s if s >= 1e-3 => 3,
        _ => 6,
    }
}

fn measure(name: &str, unit: &str, value: io::Result<f64>, decimals: usize) -> Attribute {
    let unit = text(unit);
    let value = value
        .ok()
        .and_then(|v| number(v, decimals, unit.clone()).ok());
    Attribute {
        field: FieldSpec::numeric(text(name), unit),
        value,
    }
}

fn scaled(path: &Path, offset: f64, scale: f64) -> io::Result<f64> {
    Ok((float(path)? + offset) * scale)
}

fn float(path: &Path) -> io::Result<f64> {
    let line = line(path)?;
    // Some add the unit.
    let number = line.split_whitespace().next().unwrap_or_default();
    number.parse().map_err(io::Error::other)
}

/// Two lines: nine bytes, their checksum, and whether it is right; and again with `t=` and
/// thousandths of degrees.
fn w1_slave(path: &Path) -> io::Result<f64> {
    let content = read(path)?;
    let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let (checked, measured) = content.split_once('\n').ok_or(wrong("one line only"))?;
    if !checked.trim_end().ends_with("YES") {
        return Err(wrong("the checksum is wrong"));
    }
    let (_, t) = measured.rsplit_once("t=").ok_or(wrong("no temperature"))?;
    let thousandths: f64 = t.trim().parse().map_err(io::Error::other)?;
    Ok(thousandths * 1e-3)
}

/// Writes a LED's brightness, and reads it back.
pub(super) fn set_brightness(folder: &Path, level: i32) -> Result<(), OrderError> {
    let path = folder.join("brightness");
    let refused = |e: io::Error| OrderError::Refused(format!("{}: {e}", path.display()));
    let doubt = |what: String| OrderError::InDoubt(format!("{}: {what}", path.display()));
    let mut file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&path)
        .map_err(refused)?;
    file.write_all(level.to_string().as_bytes())
        .map_err(refused)?;
    drop(file);
    let back = line(&path).map_err(|e| doubt(format!("it cannot be read back: {e}")))?;
    match back.parse() == Ok(level) {
        true => Ok(()),
        false => Err(doubt(format!("{level} was written, {back} is read"))),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut content = String::new();
    File::open(path)?
        .take(LARGEST)
        .read_to_string(&mut content)?;
    Ok(content)
}

fn line(path: &Path) -> io::Result<String> {
    let content = read(path)?;
    let line = content.lines().next().unwrap_or_default().trim();
    match line.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty")),
        false => Ok(line.to_owned()),
    }
}

/// What is in a folder, by name; nothing if there is no such folder. Links are followed:
/// devices are links in sysfs.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn text(raw: &str) -> Text {
    Text::new(raw.replace(char::is_control, "")).unwrap_or_default()
}
