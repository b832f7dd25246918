//! Home Assistant's discovery: an announcement becomes entities, or a reason why not. The
//! names are those of its documentation of MQTT discovery, long or abbreviated. What is not
//! understood is left out by name, and never guessed at. Sans-IO.

use std::time::Duration;

use serde_json::{Map, Value as Json};
use stanchion_stanza::Text;

use super::abbreviation::expanded;
use super::entity::{Availability, Entity, Meaning, Outlet, Rule, Setter, Source, Writing, name};
use super::template::{CommandTemplate, Template, TemplateError, written};
use super::topic::{is_name, matches};
use crate::model::{FieldSpec, Kind, ParameterKind, ParameterSpec, units};

/// Entities that one announcement may have.
const MAX_COMPONENTS: usize = 128;
/// Topics of availability of one.
const MAX_AVAILABILITY: usize = 8;
/// Words to choose from.
const MAX_OPTIONS: usize = 256;

/// Why something that is announced is not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum LeftOut {
    #[error("the announcement is no JSON object")]
    NotJson,
    #[error("`{0}` is no kind of entity that is known here")]
    Component(String),
    #[error("a light with the schema `{0}` is not known here")]
    Schema(String),
    #[error("it has no `{0}`")]
    Missing(&'static str),
    #[error("its `{key}` is no topic: `{topic}`")]
    NoTopic { key: &'static str, topic: String },
    #[error("its topic `{0}` is one that is to be left out")]
    Ours(String),
    #[error("its `{key}`: {source}")]
    Template {
        key: &'static str,
        source: TemplateError,
    },
    #[error("its `{0}` is none that can be")]
    Unfit(&'static str),
    #[error("there are too many {0}")]
    TooMany(&'static str),
    #[error("its thing has a field `{0}` already")]
    NameTaken(Text),
}

/// What an announcement comes to: of each entity, its own part of the topic or the name of
/// its component.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) entities: Vec<(String, Entity)>,
    pub(super) left_out: Vec<(String, LeftOut)>,
}

/// The topic of an announcement: `<prefix>/<component>/[<node>/]<object>/config`.
struct Place<'a> {
    component: &'a str,
    node: Option<&'a str>,
    object: &'a str,
}

impl<'a> Place<'a> {
    fn of(prefix: &str, topic: &'a str) -> Option<Self> {
        let rest = topic.strip_prefix(prefix)?.strip_prefix('/')?;
        let rest = rest.strip_suffix("/config")?;
        let mut levels = rest.split('/');
        let (component, first, second) = (levels.next()?, levels.next()?, levels.next());
        if levels.next().is_some() {
            return None;
        }
        Some(match second {
            None => Self {
                component,
                node: None,
                object: first,
            },
            Some(object) => Self {
                component,
                node: Some(first),
                object,
            },
        })
    }
}

/// Whether something is announced there.
pub(super) fn is_announcement(prefix: &str, topic: &str) -> bool {
    !prefix.is_empty() && Place::of(prefix, topic).is_some()
}

/// Reads an announcement that is not empty.
pub(super) fn read(prefix: &str, leave_out: &[String], topic: &str, payload: &str) -> Found {
    let mut found = Found::default();
    let Some(place) = Place::of(prefix, topic) else {
        return found;
    };
    let own = place.object.to_owned();
    let Ok(Json::Object(options)) = serde_json::from_str::<Json>(payload) else {
        found.left_out.push((own, LeftOut::NotJson));
        return found;
    };
    let options = expanded(options);
    if place.component != "device" {
        let reader = Reader {
            options: &options,
            device: options.get("device").and_then(Json::as_object),
            leave_out,
        };
        let name = reader.field_name(&place);
        match reader.entity(place.component, &name, &place) {
            Ok(entity) => found.entities.push((own, entity)),
            Err(why) => found.left_out.push((own, why)),
        }
        return found;
    }
    let Some(Json::Object(components)) = options.get("components") else {
        found.left_out.push((own, LeftOut::Missing("components")));
        return found;
    };
    if components.len() > MAX_COMPONENTS {
        found.left_out.push((own, LeftOut::TooMany("components")));
        return found;
    }
    for (key, component) in components {
        let Some(component) = component.as_object() else {
            found.left_out.push((key.clone(), LeftOut::NotJson));
            continue;
        };
        let mut own = expanded(component.clone());
        let platform = own.remove("platform");
        // A component that has nothing but its platform is taken back.
        if own.is_empty() {
            continue;
        }
        // What is said once for all of them.
        for (shared, value) in &options {
            let inherited = shared.starts_with("availability")
                || shared.starts_with("payload_")
                || matches!(
                    &**shared,
                    "state_topic" | "command_topic" | "qos" | "encoding"
                );
            if inherited && !own.contains_key(shared) {
                own.insert(shared.clone(), value.clone());
            }
        }
        let reader = Reader {
            options: &own,
            device: options.get("device").and_then(Json::as_object),
            leave_out,
        };
        let platform = platform.as_ref().and_then(Json::as_str).unwrap_or_default();
        match reader.entity(platform, key, &place) {
            Ok(entity) => found.entities.push((key.clone(), entity)),
            Err(why) => found.left_out.push((key.clone(), why)),
        }
    }
    found
}

struct Reader<'a> {
    options: &'a Map<String, Json>,
    device: Option<&'a Map<String, Json>>,
    leave_out: &'a [String],
}

impl Reader<'_> {
    /// By which name a field is known: short and lasting. With a node in the topic that is
    /// the object's; else what the entity is called.
    fn field_name(&self, place: &Place<'_>) -> String {
        let called = self.options.get("name").and_then(Json::as_str);
        match (place.node, called) {
            (None, Some(called)) => called.to_owned(),
            _ => place.object.to_owned(),
        }
    }

    fn entity(&self, component: &str, field: &str, place: &Place<'_>) -> Result<Entity, LeftOut> {
        let field = name(field).ok_or(LeftOut::Unfit("name"))?;
        let outlets = self.outlets(component, &field)?;
        let (thing, label) = self.thing(place)?;
        let seconds = self.options.get("expire_after").and_then(Json::as_u64);
        let expires = seconds.filter(|s| (1..=31_536_000).contains(s));
        Ok(Entity {
            thing,
            label,
            outlets,
            availability: self.availability()?,
            rule: match self.options.get("availability_mode").and_then(Json::as_str) {
                Some("all") => Rule::All,
                Some("any") => Rule::Any,
                _ => Rule::Latest,
            },
            expires: expires.map(Duration::from_secs),
        })
    }

    fn thing(&self, place: &Place<'_>) -> Result<(Text, Option<Text>), LeftOut> {
        let label = self.device.and_then(|device| device.get("name"));
        let label = label.and_then(Json::as_str).and_then(name);
        let first = |key: &str| match self.device?.get(key)? {
            Json::Array(list) => list.first(),
            one => Some(one),
        };
        let identifier = first("identifiers").and_then(written);
        let connection = || {
            let pair = first("connections")?.as_array()?;
            Some(format!(
                "{}:{}",
                pair.first()?.as_str()?,
                pair.get(1)?.as_str()?
            ))
        };
        let of_its_own = || {
            let unique = self.options.get("unique_id").and_then(written);
            unique.unwrap_or_else(|| match place.node {
                Some(node) => format!("{node}_{}", place.object),
                None => place.object.to_owned(),
            })
        };
        let id = identifier.or_else(connection).unwrap_or_else(of_its_own);
        let id = name(&id).ok_or(LeftOut::Unfit("identifiers"))?;
        Ok((id, label))
    }

    fn outlets(&self, component: &str, field: &Text) -> Result<Vec<Outlet>, LeftOut> {
        let one = match component {
            "sensor" => self.sensor(field)?,
            "binary_sensor" => self.switch(field, ("payload_on", "payload_off"), false)?,
            "switch" | "siren" | "fan" => self.switch(field, ("state_on", "state_off"), true)?,
            "number" => self.number(field)?,
            "select" => self.select(field)?,
            "text" => self.text_entity(field)?,
            "button" => self.button(field, "payload_press", "PRESS")?,
            "scene" => self.button(field, "payload_on", "ON")?,
            "light" => return self.light(field),
            other => return Err(LeftOut::Component(other.to_owned())),
        };
        Ok(vec![one])
    }

    fn sensor(&self, field: &Text) -> Result<Outlet, LeftOut> {
        let class = self.options.get("device_class").and_then(Json::as_str);
        let measured = ["unit_of_measurement", "state_class"];
        let kind = match class {
            Some("timestamp") => Kind::DateTime,
            Some("date") => Kind::Date,
            Some("enum") => Kind::Enum,
            _ if measured.iter().any(|key| self.is_there(key)) => Kind::Numeric,
            _ => Kind::String,
        };
        let spec = FieldSpec::new(field.clone(), kind);
        self.read_only("state_topic", "value_template", spec, Meaning::AsItIs)
    }

    fn read_only(
        &self,
        topic: &'static str,
        template: &'static str,
        spec: FieldSpec,
        meaning: Meaning,
    ) -> Result<Outlet, LeftOut> {
        let name = spec.name.clone();
        let source = self.source(topic, template, spec, meaning)?;
        Ok(Outlet {
            name,
            source: Some(source.ok_or(LeftOut::Missing(topic))?),
            setter: None,
        })
    }

    /// What is on or off. Its states have words of their own, or those of its commands.
    fn switch(
        &self,
        field: &Text,
        (state_on, state_off): (&'static str, &'static str),
        settable: bool,
    ) -> Result<Outlet, LeftOut> {
        let on = self.text("payload_on").unwrap_or_else(|| "ON".to_owned());
        let off = self.text("payload_off").unwrap_or_else(|| "OFF".to_owned());
        let spec = FieldSpec::new(field.clone(), Kind::Boolean);
        let meaning = Meaning::Switch {
            on: self.text(state_on).unwrap_or_else(|| on.clone()),
            off: self.text(state_off).unwrap_or_else(|| off.clone()),
        };
        if !settable {
            return self.read_only("state_topic", "value_template", spec, meaning);
        }
        let template = match self.is_there("state_value_template") {
            true => "state_value_template",
            false => "value_template",
        };
        let off = Some(off);
        let writing = Writing::Switch { on, off };
        let parameter = ParameterSpec::new(field.clone(), ParameterKind::Boolean);
        Ok(Outlet {
            name: field.clone(),
            source: self.source("state_topic", template, spec, meaning)?,
            setter: Some(self.setter("command_topic", writing, parameter, 0.0)?),
        })
    }

    fn number(&self, field: &Text) -> Result<Outlet, LeftOut> {
        let number = |key, other| match self.options.get(key) {
            None => Ok(other),
            Some(json) => {
                let number = json.as_f64().filter(|number| number.is_finite());
                number.ok_or(LeftOut::Unfit(key))
            }
        };
        let bounds = number("min", 1.0)?..=number("max", 100.0)?;
        if bounds.is_empty() {
            return Err(LeftOut::Unfit("max"));
        }
        let step = number("step", 1.0)?.abs();
        let spec = FieldSpec::new(field.clone(), Kind::Numeric);
        let writing = Writing::Value(self.command_template("command_template")?);
        let parameter = ParameterSpec::new(field.clone(), ParameterKind::Double(bounds));
        Ok(Outlet {
            name: field.clone(),
            source: self.source("state_topic", "value_template", spec, Meaning::AsItIs)?,
            setter: Some(self.setter("command_topic", writing, parameter, step / 2.0)?),
        })
    }

    fn select(&self, field: &Text) -> Result<Outlet, LeftOut> {
        let words = self.options.get("options").and_then(Json::as_array);
        let words = words.ok_or(LeftOut::Missing("options"))?;
        if words.len() > MAX_OPTIONS {
            return Err(LeftOut::TooMany("options"));
        }
        let words = words.iter().filter_map(written).map(Text::new);
        let words = words
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| LeftOut::Unfit("options"))?;
        self.words(field, Kind::Enum, ParameterKind::OneOf(words))
    }

    fn text_entity(&self, field: &Text) -> Result<Outlet, LeftOut> {
        self.words(field, Kind::String, ParameterKind::String)
    }

    fn words(&self, field: &Text, is: Kind, set: ParameterKind) -> Result<Outlet, LeftOut> {
        let spec = FieldSpec::new(field.clone(), is);
        let writing = Writing::Value(self.command_template("command_template")?);
        let parameter = ParameterSpec::new(field.clone(), set);
        Ok(Outlet {
            name: field.clone(),
            source: self.source("state_topic", "value_template", spec, Meaning::AsItIs)?,
            setter: Some(self.setter("command_topic", writing, parameter, 0.0)?),
        })
    }

    fn button(&self, field: &Text, key: &str, usual: &str) -> Result<Outlet, LeftOut> {
        let on = self.text(key).unwrap_or_else(|| usual.to_owned());
        let mut parameter = ParameterSpec::new(field.clone(), ParameterKind::Boolean);
        // To press twice is to press twice.
        parameter.idempotent = false;
        let writing = Writing::Switch { on, off: None };
        Ok(Outlet {
            name: field.clone(),
            source: None,
            setter: Some(self.setter("command_topic", writing, parameter, 0.0)?),
        })
    }

    /// On and off, and how bright; colors are left to others.
    fn light(&self, field: &Text) -> Result<Vec<Outlet>, LeftOut> {
        let level = name(&format!("{field}_brightness")).ok_or(LeftOut::Unfit("name"))?;
        let scale = match self.options.get("brightness_scale") {
            None => 255,
            Some(json) => json
                .as_i64()
                .and_then(|scale| i32::try_from(scale).ok())
                .filter(|scale| *scale > 0)
                .ok_or(LeftOut::Unfit("brightness_scale"))?,
        };
        let spec = FieldSpec::new(level.clone(), Kind::Int);
        let parameter = ParameterSpec::new(level.clone(), ParameterKind::Int(0..=scale));
        match self.options.get("schema").and_then(Json::as_str) {
            None | Some("basic" | "default") => {}
            Some("json") => return self.json_light(field, spec, parameter),
            Some(other) => return Err(LeftOut::Schema(other.to_owned())),
        }
        let mut outlets = vec![self.switch(field, ("state_on", "state_off"), true)?];
        if self.is_there("brightness_command_topic") {
            let template = "brightness_value_template";
            let writing = Writing::Value(self.command_template("brightness_command_template")?);
            outlets.push(Outlet {
                name: level,
                source: self.source("brightness_state_topic", template, spec, Meaning::AsItIs)?,
                setter: Some(self.setter("brightness_command_topic", writing, parameter, 1.0)?),
            });
        }
        Ok(outlets)
    }

    fn json_light(
        &self,
        field: &Text,
        level: FieldSpec,
        brightness: ParameterSpec,
    ) -> Result<Vec<Outlet>, LeftOut> {
        let state_topic = self.topic("state_topic")?;
        let part = |pointer, spec: FieldSpec, meaning| -> Result<Option<Source>, LeftOut> {
            let Some(topic) = state_topic.clone() else {
                return Ok(None);
            };
            let template = Template::pointer(pointer).map_err(|source| LeftOut::Template {
                key: "schema",
                source,
            })?;
            Ok(Some(Source {
                topic,
                template,
                meaning,
                field: spec,
            }))
        };
        let writing = Writing::Switch {
            on: r#"{"state":"ON"}"#.to_owned(),
            off: Some(r#"{"state":"OFF"}"#.to_owned()),
        };
        let words = Meaning::Switch {
            on: "ON".to_owned(),
            off: "OFF".to_owned(),
        };
        let on = ParameterSpec::new(field.clone(), ParameterKind::Boolean);
        let mut outlets = vec![Outlet {
            name: field.clone(),
            source: part(
                "/state",
                FieldSpec::new(field.clone(), Kind::Boolean),
                words,
            )?,
            setter: Some(self.setter("command_topic", writing, on, 0.0)?),
        }];
        let dimmed = self.options.get("brightness").and_then(Json::as_bool);
        let modes = self.options.get("supported_color_modes");
        let modes = modes.and_then(Json::as_array);
        let only_on = modes.is_some_and(|modes| modes.iter().all(|mode| mode == "onoff"));
        if dimmed == Some(true) || (modes.is_some() && !only_on) {
            let text = r#"{"state":"ON","brightness":{{ value }}}"#;
            let template = CommandTemplate::parse(text).map_err(|source| LeftOut::Template {
                key: "schema",
                source,
            })?;
            let writing = Writing::Value(template);
            outlets.push(Outlet {
                name: level.name.clone(),
                source: part("/brightness", level, Meaning::AsItIs)?,
                setter: Some(self.setter("command_topic", writing, brightness, 1.0)?),
            });
        }
        Ok(outlets)
    }

    fn availability(&self) -> Result<Vec<Availability>, LeftOut> {
        const KEY: &str = "availability_topic";
        let one = |options: &Map<String, Json>, topic: &str, template: &str| {
            let text = |key: &str, usual: &str| {
                let text = options.get(key).and_then(written);
                text.unwrap_or_else(|| usual.to_owned())
            };
            let Some(topic) = options.get(topic).and_then(Json::as_str) else {
                return Ok(None);
            };
            Ok(Some(Availability {
                topic: self.checked(KEY, topic)?,
                template: read_template(options, "availability_template", template)?,
                online: text("payload_available", "online"),
                offline: text("payload_not_available", "offline"),
            }))
        };
        let mut all = Vec::new();
        match self.options.get("availability") {
            Some(Json::Array(list)) if list.len() > MAX_AVAILABILITY => {
                return Err(LeftOut::TooMany("topics of availability"));
            }
            Some(Json::Array(list)) => {
                for options in list.iter().filter_map(Json::as_object) {
                    all.extend(one(options, "topic", "value_template")?);
                }
            }
            _ => all.extend(one(self.options, KEY, "availability_template")?),
        }
        Ok(all)
    }

    fn source(
        &self,
        topic: &'static str,
        template: &'static str,
        mut field: FieldSpec,
        meaning: Meaning,
    ) -> Result<Option<Source>, LeftOut> {
        let Some(topic) = self.topic(topic)? else {
            return Ok(None);
        };
        if field.kind == Kind::Numeric {
            let said = self.text("unit_of_measurement").unwrap_or_default();
            let unit = units::canonical(&said).unwrap_or(&said);
            field.unit = Text::new(unit).map_err(|_| LeftOut::Unfit("unit_of_measurement"))?;
        }
        Ok(Some(Source {
            topic,
            template: read_template(self.options, template, template)?,
            meaning,
            field,
        }))
    }

    fn setter(
        &self,
        topic: &'static str,
        writing: Writing,
        parameter: ParameterSpec,
        tolerance: f64,
    ) -> Result<Setter, LeftOut> {
        Ok(Setter {
            topic: self.topic(topic)?.ok_or(LeftOut::Missing(topic))?,
            writing,
            retain: self.options.get("retain").and_then(Json::as_bool) == Some(true),
            parameter,
            tolerance,
        })
    }

    fn command_template(&self, key: &'static str) -> Result<CommandTemplate, LeftOut> {
        match self.options.get(key).and_then(Json::as_str) {
            None => Ok(CommandTemplate::value_alone()),
            Some(text) => {
                CommandTemplate::parse(text).map_err(|source| LeftOut::Template { key, source })
            }
        }
    }

    fn topic(&self, key: &'static str) -> Result<Option<String>, LeftOut> {
        let topic = self.options.get(key).and_then(Json::as_str);
        topic.map(|topic| self.checked(key, topic)).transpose()
    }

    fn checked(&self, key: &'static str, topic: &str) -> Result<String, LeftOut> {
        let topic = topic.to_owned();
        if !is_name(&topic) {
            return Err(LeftOut::NoTopic { key, topic });
        }
        if self.leave_out.iter().any(|filter| matches(filter, &topic)) {
            return Err(LeftOut::Ours(topic));
        }
        Ok(topic)
    }

    fn is_there(&self, key: &str) -> bool {
        self.options.get(key).is_some_and(|json| !json.is_null())
    }

    fn text(&self, key: &str) -> Option<String> {
        self.options.get(key).and_then(written)
    }
}

fn read_template(
    options: &Map<String, Json>,
    key: &'static str,
    at: &str,
) -> Result<Template, LeftOut> {
    match options.get(at).and_then(Json::as_str) {
        None => Ok(Template::WHOLE),
        Some(text) => Template::parse(text).map_err(|source| LeftOut::Template { key, source }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::adapters::mqtt::abbreviation::SHORT;
    use crate::adapters::mqtt::template::Payload;
    use crate::model::{SettingValue, Value};

    fn one(topic: &str, payload: &str) -> Result<Entity, LeftOut> {
        let ours = ["stanchion/#".to_owned()];
        let mut found = read("homeassistant", &ours, topic, payload);
        match found.entities.pop() {
            Some((_, entity)) => Ok(entity),
            None => Err(found.left_out.pop().unwrap().1),
        }
    }

    #[test]
    fn a_sensor_with_short_names_and_a_base_topic_is_a_field_of_its_device() {
        let entity = one(
            "homeassistant/sensor/0x00158d/temperature/config",
            r#"{"~": "z2m/cellar", "stat_t": "~", "avty": [{"t": "~/availability"}],
                "val_tpl": "{{ value_json.temperature | round(1) }}", "unit_of_meas": "°C",
                "dev_cla": "temperature", "exp_aft": 90, "uniq_id": "x1",
                "dev": {"ids": ["0x00158d"], "name": "Cellar"}}"#,
        )
        .unwrap();
        assert_eq!(
            (&*entity.thing, entity.label.as_deref()),
            ("0x00158d", Some("Cellar"))
        );
        assert_eq!(entity.expires, Some(Duration::from_secs(90)));
        assert_eq!(entity.availability[0].topic, "z2m/cellar/availability");
        let source = entity.outlets[0].source.as_ref().unwrap();
        assert_eq!(
            (&*source.topic, &*source.field.name),
            ("z2m/cellar", "temperature")
        );
        let value = source.value(&Payload::new(r#"{"temperature": 21.46}"#));
        let Some(Value::Numeric { value, unit }) = value else {
            panic!()
        };
        assert_eq!((value.as_str(), &*unit), ("21.5", "Cel"));
    }

    #[test]
    fn a_json_boolean_is_compared_as_home_assistant_writes_it() {
        let entity = one(
            "homeassistant/binary_sensor/door/config",
            r#"{"state_topic": "z2m/door", "value_template": "{{ value_json.contact }}",
                "payload_on": false, "payload_off": true}"#,
        )
        .unwrap();
        let source = entity.outlets[0].source.as_ref().unwrap();
        let open = source.value(&Payload::new(r#"{"contact": false}"#));
        assert_eq!(open, Some(Value::Boolean(true)));
    }

    #[test]
    fn lights_of_both_schemas_are_switched_and_dimmed() {
        let basic = one(
            "homeassistant/light/hall/config",
            r#"{"stat_t": "h/s", "cmd_t": "h/c", "bri_stat_t": "h/bs", "bri_cmd_t": "h/bc",
                "bri_scl": 100, "name": "hall"}"#,
        )
        .unwrap();
        let json = one(
            "homeassistant/light/n/hall/config",
            r#"{"schema": "json", "stat_t": "h", "cmd_t": "h/set", "brightness": true}"#,
        )
        .unwrap();
        let text = |entity: &Entity, at: usize, value| {
            let setter = entity.outlets[at].setter.as_ref().unwrap();
            setter.text(&value).unwrap()
        };
        assert_eq!(text(&basic, 0, SettingValue::Boolean(true)), "ON");
        assert_eq!(text(&basic, 1, SettingValue::Int(100)), "100");
        assert_eq!(
            text(&json, 0, SettingValue::Boolean(false)),
            r#"{"state":"OFF"}"#
        );
        let dimmed = r#"{"state":"ON","brightness":12}"#;
        assert_eq!(text(&json, 1, SettingValue::Int(12)), dimmed);
        assert_eq!(&*json.outlets[1].name, "hall_brightness");
        let source = json.outlets[1].source.as_ref().unwrap();
        assert_eq!(source.value(&Payload::new(dimmed)), Some(Value::Int(12)));
    }

    #[test]
    fn an_announced_device_has_all_its_components() {
        let payload = r#"{"dev": {"ids": "d1", "name": "Station"}, "o": {"name": "test"},
            "avty_t": "d1/there",
            "cmps": {"t": {"p": "sensor", "stat_t": "d1/t", "unit_of_meas": "°C"},
                     "r": {"p": "button", "cmd_t": "d1/r", "pl_prs": "go"},
                     "gone": {"p": "sensor"},
                     "c": {"p": "climate", "stat_t": "d1/c"}}}"#;
        let found = read(
            "homeassistant",
            &[],
            "homeassistant/device/d1/config",
            payload,
        );
        let names: Vec<_> = found.entities.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(names, ["r", "t"]);
        assert!(found.entities.iter().all(|(_, e)| &*e.thing == "d1"));
        assert!(
            found
                .entities
                .iter()
                .all(|(_, e)| e.availability.len() == 1)
        );
        let left_out = [("c".to_owned(), LeftOut::Component("climate".to_owned()))];
        assert_eq!(found.left_out, left_out);
        let press = found.entities[0].1.outlets[0].setter.as_ref().unwrap();
        assert_eq!(press.text(&SettingValue::Boolean(true)).unwrap(), "go");
        assert!(press.text(&SettingValue::Boolean(false)).is_err());
    }

    #[test]
    fn what_is_not_understood_is_left_out_with_its_reason() {
        let why = |component: &str, payload| {
            let topic = format!("homeassistant/{component}/x/config");
            one(&topic, payload).unwrap_err().to_string()
        };
        assert_eq!(why("sensor", "[]"), "the announcement is no JSON object");
        assert_eq!(why("sensor", "{}"), "it has no `state_topic`");
        assert_eq!(
            why("switch", r#"{"stat_t": "a"}"#),
            "it has no `command_topic`"
        );
        let told = why("sensor", r#"{"stat_t": "a/+"}"#);
        assert_eq!(told, "its `state_topic` is no topic: `a/+`");
        let told = why(
            "sensor",
            r#"{"stat_t": "a", "val_tpl": "{{ value_json.a / 10 }}"}"#,
        );
        assert!(told.starts_with("its `value_template`: `{{ value_json.a / 10 }}` is more"));
        let told = why("light", r#"{"cmd_t": "a", "schema": "template"}"#);
        assert_eq!(told, "a light with the schema `template` is not known here");
        let told = why("number", r#"{"cmd_t": "a", "min": 5, "max": 1}"#);
        assert_eq!(told, "its `max` is none that can be");
    }

    #[test]
    fn what_we_publish_ourselves_is_left_out() {
        let why = one(
            "homeassistant/sensor/stanchion_gw/t/config",
            r#"{"state_topic": "stanchion/gw/t/state", "unique_id": "x"}"#,
        );
        assert_eq!(why, Err(LeftOut::Ours("stanchion/gw/t/state".to_owned())));
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let keys = SHORT.iter().flat_map(|(short, full)| [*short, *full]);
        let mut keys: Vec<_> = keys.collect();
        keys.extend(["~", "min", "max", "step", "schema", "brightness", "name"]);
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            "\\PC{0,12}".prop_map(Json::from),
            prop::sample::select(vec![
                "a/b",
                "~/x",
                "x/~",
                "json",
                "sensor",
                "light",
                "{{ value_json.a }}",
                "{{ value }}",
            ])
            .prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 64, 12, move |inner| {
            let key = prop::sample::select(keys.clone());
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                prop::collection::btree_map(key, inner, 0..12).prop_map(|map| {
                    Json::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_announcement_makes_it_panic(json in any_json(), component in prop::sample::select(vec![
            "sensor", "binary_sensor", "switch", "light", "number", "select", "button", "text",
            "device", "climate",
        ])) {
            let topic = format!("homeassistant/{component}/n/o/config");
            let found = read("homeassistant", &[], &topic, &json.to_string());
            for (_, entity) in found.entities {
                prop_assert!(entity.topics().all(is_name));
                prop_assert!(entity.thing.len() <= 128);
                for outlet in entity.outlets {
                    let payload = json.to_string();
                    let _ = outlet.source.map(|s| s.value(&Payload::new(&payload)));
                    let _ = outlet.setter.map(|s| s.text(&SettingValue::Boolean(true)));
                }
            }
        }

        #[test]
        fn no_topic_and_no_text_make_it_panic(topic in "\\PC{0,40}", payload in "\\PC{0,60}") {
            let _ = read("homeassistant", &[], &format!("homeassistant/{topic}/config"), &payload);
            let _ = is_announcement("homeassistant", &topic);
        }
    }
}
