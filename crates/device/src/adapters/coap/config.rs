//! What a user says of a CoAP server and of its resources; and whether it can be so.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use stanchion_stanza::Text;

use super::exchange::{Method, Parameters};
use crate::adapter::Misuse;
use crate::model::{FieldSpec, Kind, ParameterKind, ParameterSpec, Sampling};

/// How many resources one adapter may have.
pub const MOST_RESOURCES: usize = 128;

/// A server, and what is read of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its host and UDP port, such as `192.0.2.9:5683`.
    pub server: String,
    /// The id of the thing that its resources belong to. Default `coap`.
    #[serde(default)]
    pub thing: Option<String>,
    /// What people call that thing. Default its id.
    #[serde(default)]
    pub label: Option<String>,
    /// The least wait before a message is sent again, 100 ms to 1 min. Default 2 s
    /// (RFC 7252 §4.8, ACK_TIMEOUT). Each further wait is twice as long.
    #[serde(default = "two_seconds", with = "crate::model::sampling::time")]
    pub ack_timeout: Duration,
    /// How often it is sent again, 0 to 10. Default 4 (MAX_RETRANSMIT). With the defaults a
    /// server is given up after 62 to 93 s.
    #[serde(default = "four")]
    pub max_retransmit: u32,
    /// How many requests may wait for a sign of life at a time, 1 to 16. Default 1 (NSTART).
    #[serde(default = "one")]
    pub nstart: usize,
    /// How long a response may take after the server said that it will come, 1 s to 10 min.
    /// Default 30 s.
    #[serde(default = "half_a_minute", with = "crate::model::sampling::time")]
    pub patience: Duration,
    /// The longest body that is put together of parts, 1 KiB to 1 MiB. Default 64 KiB.
    #[serde(default = "max_body")]
    pub max_body: usize,
    /// Whether the server is asked which resources it has (`/.well-known/core`, RFC 6690):
    /// those with plain text that are not configured become fields of the thing, as texts
    /// with their paths as names. Default `false`.
    #[serde(default)]
    pub discover: bool,
    /// What is read. May be empty with `discover`.
    #[serde(default)]
    pub resources: Vec<ResourceConfig>,
}

/// A resource of the server, as a field.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceConfig {
    /// The field's name, unique in its thing.
    pub name: String,
    /// Where it is: `/rooms/1/temperature`, with a query if need be: `/t?unit=c`.
    pub path: String,
    /// The thing it belongs to. Default that of the server.
    #[serde(default)]
    pub thing: Option<String>,
    /// What its value is. Default `number`.
    #[serde(default, rename = "type")]
    pub of: Type,
    /// How its value is written. Default `text`.
    #[serde(default)]
    pub format: Format,
    /// Where in the JSON the value is (RFC 6901), such as `/sensor/value`. Default all of it.
    #[serde(default)]
    pub pointer: String,
    /// Which record of the SenML it is, by its full name. Default the last with a value.
    #[serde(default)]
    pub record: Option<String>,
    /// The unit, as it is written on the wire, such as `Cel`. Default none.
    #[serde(default)]
    pub unit: String,
    /// How many decimals are told, 0 to 12. Default as many as the server writes.
    #[serde(default)]
    pub decimals: Option<u8>,
    /// Whether the server is asked to tell of changes (RFC 7641). One that does not is
    /// asked every `poll`. Default `false`.
    #[serde(default)]
    pub observe: bool,
    /// How often it is asked, 1 s to 1 day. Default 30 s.
    #[serde(default = "half_a_minute", with = "crate::model::sampling::time")]
    pub poll: Duration,
    /// Whether it may be set. Default `false`.
    #[serde(default)]
    pub writable: bool,
    /// How it is set. Default `put`: to do that twice is the same as once.
    #[serde(default)]
    pub method: SetBy,
    /// The least number that it may be set to. Default any.
    #[serde(default)]
    pub min: Option<f64>,
    /// The most. Default any.
    #[serde(default)]
    pub max: Option<f64>,
    /// When its value is told.
    #[serde(default)]
    pub sampling: Sampling,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Type {
    /// A number.
    #[default]
    Number,
    /// A whole number of 64 bits.
    Integer,
    /// Yes or no.
    Boolean,
    /// Any text.
    String,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `text/plain`: the value and nothing else.
    #[default]
    Text,
    /// `application/json`.
    Json,
    /// `application/senml+json` (RFC 8428).
    Senml,
}

/// With which method something is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetBy {
    /// PUT.
    #[default]
    Put,
    /// POST.
    Post,
}

const fn two_seconds() -> Duration {
    Duration::from_secs(2)
}

const fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

const fn four() -> u32 {
    4
}

const fn one() -> usize {
    1
}

const fn max_body() -> usize {
    64 * 1024
}

impl Format {
    /// Its number (RFC 7252 §12.3, RFC 8428 §12.2).
    pub(super) const fn number(self) -> u16 {
        match self {
            Self::Text => 0,
            Self::Json => 50,
            Self::Senml => 110,
        }
    }
}

/// A resource that was checked.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) thing: Text,
    pub(super) field: FieldSpec,
    pub(super) parameter: Option<ParameterSpec>,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<String>,
    pub(super) of: Type,
    pub(super) format: Format,
    pub(super) pointer: String,
    pub(super) record: Option<String>,
    pub(super) decimals: Option<usize>,
    pub(super) observe: bool,
    pub(super) poll: Duration,
    pub(super) method: Method,
}

impl Config {
    /// Checks it all.
    pub(super) fn check(&self) -> Result<Vec<Resource>, Misuse> {
        let is_place = (self.server.rsplit_once(':'))
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !is_place {
            let server = &self.server;
            let what = format!("`{server}` is to be host and port, such as `192.0.2.9:5683`");
            return Err(Misuse::of("server", what));
        }
        let ms = Duration::from_millis;
        Misuse::unless_time("ack_timeout", self.ack_timeout, ms(100), ms(60_000))?;
        Misuse::unless_time("patience", self.patience, ms(1000), ms(600_000))?;
        Misuse::unless_within("max_retransmit", self.max_retransmit, 0, 10)?;
        Misuse::unless_within("nstart", self.nstart, 1, 16)?;
        Misuse::unless_within("max_body", self.max_body, 1024, 1024 * 1024)?;
        let least = usize::from(!self.discover);
        Misuse::unless_within("resources", self.resources.len(), least, MOST_RESOURCES)?;
        let thing = self.thing()?;
        let resources = self.resources.iter().map(|r| r.check(&thing));
        let resources = resources.collect::<Result<Vec<_>, _>>()?;
        let mut names = BTreeSet::new();
        for resource in &resources {
            if !names.insert((&resource.thing, &resource.field.name)) {
                let key = format!("resources.{}", resource.field.name);
                return Err(Misuse::of(
                    key,
                    "another resource of that thing has the same name",
                ));
            }
        }
        Ok(resources)
    }

    fn thing(&self) -> Result<Text, Misuse> {
        Misuse::unless_text("thing", self.thing.as_deref().unwrap_or("coap"))
    }

    /// A resource that the server has told of; nothing if it cannot be one.
    pub(super) fn discovered(&self, path: &str, observe: bool) -> Option<Resource> {
        let resource = ResourceConfig {
            name: path.to_owned(),
            path: path.to_owned(),
            thing: None,
            of: Type::String,
            format: Format::Text,
            pointer: String::new(),
            record: None,
            unit: String::new(),
            decimals: None,
            observe,
            poll: half_a_minute(),
            writable: false,
            method: SetBy::Put,
            min: None,
            max: None,
            sampling: Sampling::default(),
        };
        resource.check(&self.thing().ok()?).ok()
    }

    pub(super) const fn parameters(&self) -> Parameters {
        Parameters {
            ack_timeout: self.ack_timeout,
            max_retransmit: self.max_retransmit,
            nstart: self.nstart,
            patience: self.patience,
            max_body: self.max_body,
        }
    }
}

impl ResourceConfig {
    fn check(&self, thing: &Text) -> Result<Resource, Misuse> {
        let key = format!("resources.{}", self.name);
        let wrong = |what: &str| Err(Misuse::of(&key, what));
        let name = Misuse::unless_text(&key, &self.name)?;
        let thing = match &self.thing {
            Some(thing) => Misuse::unless_text(&format!("{key}.thing"), thing)?,
            None => thing.clone(),
        };
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let Some(path) = path.strip_prefix('/') else {
            return wrong("`path` begins with `/`");
        };
        let parts = |of: &str, by: char| -> Vec<String> {
            let parts = of.split(by).filter(|_| !of.is_empty());
            parts.map(str::to_owned).collect()
        };
        let (path, query) = (parts(path, '/'), parts(query, '&'));
        let mut all = path.iter().chain(&query);
        if self.path.len() > 512 || all.any(|part| part.len() > 255) {
            return wrong("`path` has at most 512 bytes, and 255 between two `/`");
        }
        if !self.pointer.is_empty()
            && (self.format != Format::Json || !self.pointer.starts_with('/'))
        {
            return wrong("`pointer` is for JSON, and begins with `/`");
        }
        if self.record.is_some() && self.format != Format::Senml {
            return wrong("`record` is for SenML");
        }
        let is_number = matches!(self.of, Type::Number);
        if !is_number && (self.decimals.is_some() || !self.unit.is_empty()) {
            return wrong("`decimals` and `unit` are for numbers");
        }
        Misuse::unless_within(
            &format!("{key}.decimals"),
            self.decimals.unwrap_or(0),
            0,
            12,
        )?;
        let day = Duration::from_secs(86_400);
        Misuse::unless_time(
            &format!("{key}.poll"),
            self.poll,
            Duration::from_secs(1),
            day,
        )?;
        if self.sampling.deadband.is_nan() || self.sampling.deadband < 0.0 {
            return wrong("`deadband` is not to be negative");
        }
        let kind = match self.of {
            Type::Number => Kind::Numeric,
            Type::Integer => Kind::Long,
            Type::Boolean => Kind::Boolean,
            Type::String => Kind::String,
        };
        let mut field = FieldSpec::new(name.clone(), kind).sampled(self.sampling);
        field.writable = self.writable;
        if !self.unit.is_empty() {
            field.unit = Misuse::unless_text(&format!("{key}.unit"), &self.unit)?;
        }
        let bounds = self.min.is_some() || self.max.is_some();
        if bounds && !(self.writable && matches!(self.of, Type::Number | Type::Integer)) {
            return wrong("`min` and `max` are for numbers that are `writable`");
        }
        let (min, max) = (self.min.unwrap_or(f64::MIN), self.max.unwrap_or(f64::MAX));
        let ordered = min <= max;
        if !ordered {
            return wrong("`min` is to be less than `max`");
        }
        // Bounds with a fraction are rounded inwards; the casts saturate.
        #[allow(clippy::cast_possible_truncation)]
        let kind = match self.of {
            Type::Number => ParameterKind::Double(min..=max),
            Type::Integer => ParameterKind::Long(min.ceil() as i64..=max.floor() as i64),
            Type::Boolean => ParameterKind::Boolean,
            Type::String => ParameterKind::String,
        };
        let mut parameter = ParameterSpec::new(name, kind);
        parameter.idempotent = self.method == SetBy::Put;
        Ok(Resource {
            thing,
            field,
            parameter: self.writable.then_some(parameter),
            path,
            query,
            of: self.of,
            format: self.format,
            pointer: self.pointer.clone(),
            record: self.record.clone(),
            decimals: self.decimals.map(usize::from),
            observe: self.observe,
            poll: self.poll,
            method: match self.method {
                SetBy::Put => Method::Put,
                SetBy::Post => Method::Post,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_right_is_named() {
        let wrong = [
            ("server = 'lamp'", "", "`server`"),
            ("server = 'l:5683'\nnstart = 0", "", "`nstart`"),
            ("server = 'l:5683'\nmax_body = 10", "", "`max_body`"),
            ("server = 'l:5683'", "path = 'x'", "`path`"),
            ("server = 'l:5683'", "path = '/x'\npoll = '1ms'", "poll"),
            (
                "server = 'l:5683'",
                "path = '/x'\npointer = '/a'",
                "`pointer`",
            ),
            ("server = 'l:5683'", "path = '/x'\nmin = 1", "`min`"),
            (
                "server = 'l:5683'",
                "path = '/x'\nobserved = true",
                "observed",
            ),
        ];
        for (head, rest, named) in wrong {
            let rest = if rest.is_empty() { "path = '/x'" } else { rest };
            let text = format!("{head}\n[[resources]]\nname = 'r'\n{rest}");
            let config = toml::from_str::<Config>(&text).map_err(|e| e.to_string());
            let checked = config.and_then(|c| c.check().map_err(|e| e.to_string()));
            let error = checked.unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn a_path_has_parts_and_a_query() {
        let text = "server = 'l:5683'\n[[resources]]\nname = 'r'\npath = '/a/b?c=d&e'";
        let config: Config = toml::from_str(text).unwrap();
        let resource = config.check().unwrap().remove(0);
        assert_eq!(resource.path, ["a", "b"]);
        assert_eq!(resource.query, ["c=d", "e"]);
    }
}
