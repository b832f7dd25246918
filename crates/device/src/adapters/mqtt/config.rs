//! What a user says of a broker, of topics and of what goes out; and whether it can be so.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::topic::{is_filter, is_name};
use crate::adapter::Misuse;
use crate::model::{Kind, Sampling};

/// How the way to a broker is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// By TLS, with a certificate for the host's name or address.
    #[default]
    On,
    /// Not at all: the broker must be on this machine or in a private network
    /// (RFC 1918, RFC 4193, link-local); anywhere else is refused.
    Off,
}

/// A broker, and who we are to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// Its name or address.
    pub host: String,
    /// Its port. Default 8883 with TLS, 1883 without.
    #[serde(default)]
    pub port: Option<u16>,
    /// Default `on`.
    #[serde(default)]
    pub tls: Tls,
    /// The roots that its certificate may come from, or that certificate, as PEM. Default:
    /// those of the public web.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Who we are, 1 to 64 letters, digits, `-` and `_`. The same each time, and nobody
    /// else's: the broker ends the connection of another one that says the same.
    pub client_id: String,
    /// The user. Default none.
    #[serde(default)]
    pub user: Option<String>,
    /// The file that holds the user's password, in its first line.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The environment variable that holds it.
    #[serde(default)]
    pub password_env: Option<String>,
    /// How long a silent broker is believed in: it is pinged after this time, and lost
    /// after another. 1 s to 1 h, default 30 s.
    #[serde(default = "keep_alive", with = "crate::model::sampling::time")]
    pub keep_alive: Duration,
    /// The longest packet that is taken, in bytes, 1 KiB to 4 MiB. Longer publications are
    /// left out. Default 256 KiB.
    #[serde(default = "max_packet")]
    pub max_packet: usize,
}

const fn keep_alive() -> Duration {
    Duration::from_secs(30)
}

const fn max_packet() -> usize {
    256 * 1024
}

impl Broker {
    /// That broker, with TLS, and who we are to it.
    #[must_use]
    pub fn new(host: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: None,
            tls: Tls::On,
            ca_file: None,
            client_id: client_id.into(),
            user: None,
            password_file: None,
            password_env: None,
            keep_alive: keep_alive(),
            max_packet: max_packet(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            Tls::On => 8883,
            Tls::Off => 1883,
        })
    }

    pub(super) fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port()),
            false => format!("{}:{}", self.host, self.port()),
        }
    }

    pub(super) fn check(&self) -> Result<(), Misuse> {
        if self.host.is_empty() {
            return Err(Misuse::of("broker.host", "it is empty; name the broker"));
        }
        if !is_word(&self.client_id) {
            let what = "it is to have 1 to 64 letters, digits, `-` and `_`";
            return Err(Misuse::of("broker.client_id", what));
        }
        if self.password_file.is_some() && self.password_env.is_some() {
            let what = "there is a `password_file` as well; give one of them";
            return Err(Misuse::of("broker.password_env", what));
        }
        let password = self.password_file.is_some() || self.password_env.is_some();
        if password && self.user.is_none() {
            return Err(Misuse::of(
                "broker.user",
                "there is a password, but no user",
            ));
        }
        if self.user.as_ref().is_some_and(|user| user.len() > 1024) {
            return Err(Misuse::of("broker.user", "it is longer than 1024 bytes"));
        }
        let seconds = Duration::from_secs(1)..=Duration::from_secs(3600);
        if !seconds.contains(&self.keep_alive) {
            return Err(Misuse::of(
                "broker.keep_alive",
                "it is to be from 1 s to 1 h",
            ));
        }
        if !(1024..=4 * 1024 * 1024).contains(&self.max_packet) {
            let what = "it is to be from 1024 to 4194304 bytes";
            return Err(Misuse::of("broker.max_packet", what));
        }
        Ok(())
    }

    /// The password, read each time: it may have been changed. At most 1024 bytes.
    pub(super) fn password(&self) -> Result<Option<SecretString>, String> {
        let password = self.password_as_given()?;
        let too_long = password
            .as_ref()
            .is_some_and(|word| word.expose_secret().len() > 1024);
        match too_long {
            true => Err("the password is longer than 1024 bytes".to_owned()),
            false => Ok(password),
        }
    }

    fn password_as_given(&self) -> Result<Option<SecretString>, String> {
        if let Some(file) = &self.password_file {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("the password file {}: {error}", file.display()))?;
            let line = text.lines().next().unwrap_or_default();
            return Ok(Some(line.into()));
        }
        let Some(name) = &self.password_env else {
            return Ok(None);
        };
        let word = std::env::var(name)
            .map_err(|_| format!("the environment variable `{name}` has no password; set it"))?;
        Ok(Some(word.into()))
    }
}

/// Whether it is a word that may stand in a topic and in an id.
pub(super) fn is_word(word: &str) -> bool {
    (1..=64).contains(&word.len())
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// What the broker does with what comes while we are away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Session {
    /// It keeps it for us, as much as it likes. Such values come with the quality
    /// `timeOffset`: nobody knows from when they are.
    #[default]
    Kept,
    /// It drops it.
    Clean,
}

/// What is taken in from a broker.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which.
    pub broker: Broker,
    /// Default `kept`.
    #[serde(default)]
    pub session: Session,
    /// The first level of the topics of Home Assistant's discovery; empty for none. Default
    /// `homeassistant`.
    #[serde(default = "discovery")]
    pub discovery: String,
    /// Filters of topics that nothing is taken in from: what we publish there ourselves.
    /// Default `stanchion/#`.
    #[serde(default = "leave_out")]
    pub leave_out: Vec<String>,
    /// Topics that nobody announces, at most 1024. Default none.
    #[serde(default)]
    pub points: Vec<Point>,
}

pub(super) fn discovery() -> String {
    "homeassistant".to_owned()
}

fn leave_out() -> Vec<String> {
    vec!["stanchion/#".to_owned()]
}

/// One field of a thing, on a topic of its own or as a part of what comes there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Which thing.
    pub thing: String,
    /// Which of its fields.
    pub field: String,
    /// Where its value comes; none for what can only be set.
    #[serde(default)]
    pub topic: Option<String>,
    /// Its type. Default `numeric`.
    #[serde(default = "numeric")]
    pub kind: Kind,
    /// The unit of a measure. Default none.
    #[serde(default)]
    pub unit: String,
    /// Where in a JSON text the value is (RFC 6901), such as `/bme280/temperature`.
    /// Default: the text as a whole is the value.
    #[serde(default)]
    pub pointer: Option<String>,
    /// The text that means yes; with `off`, for the kind `boolean`. Default `ON`.
    #[serde(default)]
    pub on: Option<String>,
    /// The text that means no. Default `OFF`.
    #[serde(default)]
    pub off: Option<String>,
    /// When a new value is told. Default as for any field.
    #[serde(default)]
    pub sampling: Sampling,
    /// How it is set; none for what can only be read.
    #[serde(default)]
    pub command: Option<Command>,
}

const fn numeric() -> Kind {
    Kind::Numeric
}

/// How a field is set: by a publication with QoS 1. It is done once `topic` says that it has
/// the value; without such a topic, once the broker has it, which says nothing of the device.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Where to.
    pub topic: String,
    /// The text for yes. Default that of the point.
    #[serde(default)]
    pub on: Option<String>,
    /// The text for no. Default that of the point.
    #[serde(default)]
    pub off: Option<String>,
    /// The text for any other kind, with `{{ value }}` in place of the value. Default the
    /// value alone.
    #[serde(default)]
    pub template: Option<String>,
    /// The least number. Default 0.
    #[serde(default)]
    pub min: Option<f64>,
    /// The greatest number. Default 100.
    #[serde(default)]
    pub max: Option<f64>,
    /// The words that there are. Default: any text.
    #[serde(default)]
    pub options: Vec<String>,
    /// Whether the broker keeps it for devices that come later. A command that is obeyed
    /// later than it should may do harm. Default `false`.
    #[serde(default)]
    pub retain: bool,
}

impl Config {
    /// That broker, with discovery, and no topics besides.
    #[must_use]
    pub fn new(broker: Broker) -> Self {
        Self {
            broker,
            session: Session::Kept,
            discovery: discovery(),
            leave_out: leave_out(),
            points: Vec::new(),
        }
    }

    /// Whether that can be; of the points, see [`Adapter::new`](super::Adapter::new).
    pub(super) fn check(&self) -> Result<(), Misuse> {
        self.broker.check()?;
        check_prefix("discovery", &self.discovery, true)?;
        for filter in &self.leave_out {
            if !is_filter(filter) {
                let what = format!("`{filter}` is no topic filter (MQTT 3.1.1 §4.7)");
                return Err(Misuse::of("leave_out", what));
            }
        }
        if self.points.len() > 1024 {
            return Err(Misuse::of("points", "there are more than 1024"));
        }
        Ok(())
    }
}

/// Whether topics may begin so.
pub(super) fn check_prefix(key: &str, prefix: &str, may_be_none: bool) -> Result<(), Misuse> {
    let good = match prefix.is_empty() {
        true => may_be_none,
        false => is_name(prefix) && prefix.len() <= 128 && !prefix.ends_with('/'),
    };
    match good {
        true => Ok(()),
        false => {
            let what = "it is to be the beginning of a topic, without `+`, `#` and a last `/`";
            Err(Misuse::of(key, what))
        }
    }
}

/// What goes out to a broker.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublisherConfig {
    /// Which. Its `client_id` must be another than that of what is taken in.
    pub broker: Broker,
    /// The first level of the topics of Home Assistant's discovery. Default
    /// `homeassistant`.
    #[serde(default = "discovery")]
    pub discovery: String,
    /// The beginning of the topics of values and commands. What takes in from the same
    /// broker is to leave it out. Default `stanchion`.
    #[serde(default = "base")]
    pub base: String,
    /// Which of several gateways this is, a word of 1 to 64 letters, digits, `-` and `_`:
    /// it stands in each topic and each unique id. Default the `client_id`.
    #[serde(default)]
    pub instance: Option<String>,
    /// How long after a connection what an earlier run announced, and this one does not, is
    /// still let stand, as not available; then it is taken back. Default 10 min.
    #[serde(default = "forget_after", with = "crate::model::sampling::time")]
    pub forget_after: Duration,
    /// Commands that may wait for whoever takes them, 1 to 4096. Default 64.
    #[serde(default = "room")]
    pub room: usize,
}

fn base() -> String {
    "stanchion".to_owned()
}

const fn forget_after() -> Duration {
    Duration::from_secs(600)
}

const fn room() -> usize {
    64
}

impl PublisherConfig {
    /// To that broker.
    #[must_use]
    pub fn new(broker: Broker) -> Self {
        Self {
            broker,
            discovery: discovery(),
            base: base(),
            instance: None,
            forget_after: forget_after(),
            room: room(),
        }
    }

    pub(super) fn check(&self) -> Result<(), Misuse> {
        self.broker.check()?;
        check_prefix("discovery", &self.discovery, false)?;
        check_prefix("base", &self.base, false)?;
        if self.instance.as_ref().is_some_and(|word| !is_word(word)) {
            let what = "it is to have 1 to 64 letters, digits, `-` and `_`";
            return Err(Misuse::of("instance", what));
        }
        if !(1..=4096).contains(&self.room) {
            return Err(Misuse::of("room", "it is to be from 1 to 4096"));
        }
        Ok(())
    }

    pub(super) fn instance(&self) -> &str {
        self.instance.as_deref().unwrap_or(&self.broker.client_id)
    }
}
