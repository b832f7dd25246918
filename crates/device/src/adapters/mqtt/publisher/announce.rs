//! Our things in the words of Home Assistant's discovery: which entity a field or parameter
//! is, under which topics, and what its values and commands are written as. Sans-IO.

use serde_json::{Value as Json, json};
use stanchion_stanza::Text;

use crate::adapters::mqtt::topic::MAX_TOPIC;
use crate::model::{
    Categories, FieldSpec, Kind, ParameterKind, ParameterSpec, SettingValue, ThingSpec, Value,
    units,
};

const ON: &str = "ON";
const OFF: &str = "OFF";
const PRESS: &str = "PRESS";

/// Where things are told. The same each time for the same names.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) discovery: String,
    pub(super) base: String,
    pub(super) instance: String,
}

/// One entity.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Announced {
    pub(super) name: Text,
    pub(super) config_topic: String,
    pub(super) config: Json,
    pub(super) state_topic: Option<String>,
    pub(super) command: Option<(String, ParameterSpec)>,
}

impl Names {
    /// Whether all of us is there.
    pub(super) fn status(&self) -> String {
        format!("{}/{}/status", self.base, self.instance)
    }

    /// Whether a thing is.
    pub(super) fn thing_status(&self, thing: &str) -> String {
        format!("{}/{}/{}/status", self.base, self.instance, word(thing))
    }

    fn topic(&self, thing: &str, name: &str, last: &str) -> String {
        let (thing, name) = (word(thing), word(name));
        format!("{}/{}/{thing}/{name}/{last}", self.base, self.instance)
    }

    fn config(&self, component: &str, thing: &str, name: &str) -> String {
        let (thing, name) = (word(thing), word(name));
        let node = self.node();
        format!(
            "{}/{component}/{node}/{thing}__{name}/config",
            self.discovery
        )
    }

    fn node(&self) -> String {
        format!("stanchion_{}", self.instance)
    }

    /// What takes in all commands.
    pub(super) fn commands(&self) -> String {
        format!("{}/{}/+/+/set", self.base, self.instance)
    }

    /// What takes in all that we announced, now and before.
    pub(super) fn announcements(&self) -> String {
        format!("{}/+/{}/+/config", self.discovery, self.node())
    }

    /// Whether a topic is one of our values or states.
    pub(super) fn is_ours(&self, topic: &str) -> bool {
        let rest = topic.strip_prefix(&*self.base);
        let rest = rest.and_then(|rest| rest.strip_prefix('/'));
        let rest = rest.and_then(|rest| rest.strip_prefix(&*self.instance));
        rest.is_some_and(|rest| rest.starts_with('/'))
            && topic.len() <= MAX_TOPIC
            && !topic.contains(['+', '#', '\0'])
    }

    /// All entities of a thing.
    pub(super) fn announce(&self, thing: &ThingSpec) -> Vec<Announced> {
        let alone = thing
            .parameters
            .iter()
            .filter(|p| thing.field(&p.name).is_none());
        let alone = alone.map(|parameter| (None, Some(parameter)));
        let fields = thing.fields.iter();
        let fields = fields.map(|field| (Some(field), thing.parameter(&field.name)));
        fields
            .chain(alone)
            .filter_map(|(field, parameter)| self.entity(thing, field, parameter))
            .collect()
    }

    fn entity(
        &self,
        thing: &ThingSpec,
        field: Option<&FieldSpec>,
        parameter: Option<&ParameterSpec>,
    ) -> Option<Announced> {
        let id = &thing.node.id;
        let name = field.map(|f| &f.name).or(parameter.map(|p| &p.name))?;
        let (component, own) = match (field, parameter) {
            (field, Some(parameter)) => settable(field, parameter),
            (Some(field), None) => readable(field),
            (None, None) => return None,
        };
        let state_topic = field.map(|_| self.topic(id, name, "state"));
        let command_topic = parameter.map(|_| self.topic(id, name, "set"));
        let (node, thing_word) = (self.node(), word(id));
        let label = parameter.map_or(name, |parameter| &parameter.label);
        let mut config = json!({
            "name": &**label,
            "unique_id": format!("{node}_{thing_word}__{}", word(name)),
            "availability": [
                {"topic": self.status()},
                {"topic": self.thing_status(id)},
            ],
            "availability_mode": "all",
            "device": {
                "identifiers": [format!("{node}_{thing_word}")],
                "name": &*thing.label,
            },
            "origin": {"name": "Stanchion", "sw_version": env!("CARGO_PKG_VERSION")},
            "qos": 1,
        });
        if let (Json::Object(config), Json::Object(own)) = (&mut config, own) {
            config.extend(own);
            if let Some(topic) = &state_topic {
                config.insert("state_topic".to_owned(), topic.clone().into());
            }
            if let Some(topic) = &command_topic {
                config.insert("command_topic".to_owned(), topic.clone().into());
            }
        }
        Some(Announced {
            name: name.clone(),
            config_topic: self.config(component, id, name),
            config,
            state_topic,
            command: command_topic.zip(parameter.cloned()),
        })
    }
}

fn readable(field: &FieldSpec) -> (&'static str, Json) {
    let mut own = match field.kind {
        Kind::Boolean => json!({"payload_on": ON, "payload_off": OFF}),
        Kind::Numeric | Kind::Int | Kind::Long => {
            let (unit, class) = measured(&field.unit);
            let mut own = json!({"state_class": "measurement"});
            if !unit.is_empty() {
                own["unit_of_measurement"] = unit.into();
            }
            if let Some(class) = class {
                own["device_class"] = class.into();
            }
            own
        }
        _ => json!({}),
    };
    if field
        .categories
        .intersects(Categories::STATUS | Categories::IDENTITY)
    {
        own["entity_category"] = "diagnostic".into();
    }
    match field.kind {
        Kind::Boolean => ("binary_sensor", own),
        _ => ("sensor", own),
    }
}

fn settable(field: Option<&FieldSpec>, parameter: &ParameterSpec) -> (&'static str, Json) {
    let number = |min: Json, max: Json, step: f64| {
        let mut own = json!({"min": min, "max": max, "step": step, "mode": "box"});
        let unit = field.map_or("", |field| measured(&field.unit).0);
        if !unit.is_empty() {
            own["unit_of_measurement"] = unit.into();
        }
        ("number", own)
    };
    // What has no end in a number of JSON has one here.
    let end = |bound: f64| bound.clamp(-1e15, 1e15);
    match &parameter.kind {
        ParameterKind::Boolean if parameter.idempotent || field.is_some() => {
            ("switch", json!({"payload_on": ON, "payload_off": OFF}))
        }
        ParameterKind::Boolean => ("button", json!({"payload_press": PRESS})),
        ParameterKind::Double(range) => {
            let (from, to) = (end(*range.start()), end(*range.end()));
            let step = if to - from > 10.0 { 0.1 } else { 0.001 };
            number(from.into(), to.into(), step)
        }
        ParameterKind::Int(range) => number((*range.start()).into(), (*range.end()).into(), 1.0),
        ParameterKind::Long(range) => number((*range.start()).into(), (*range.end()).into(), 1.0),
        ParameterKind::OneOf(words) => {
            let words: Vec<&str> = words.iter().map(|word| &**word).collect();
            ("select", json!({"options": words}))
        }
        _ => ("text", json!({})),
    }
}

/// Home Assistant's name of a unit, and the class of what is measured in it, where there is
/// no doubt.
fn measured(unit: &str) -> (&str, Option<&'static str>) {
    match units::display(unit) {
        "%RH" => ("%", Some("humidity")),
        shown @ ("°C" | "°F" | "K") => (shown, Some("temperature")),
        shown @ ("V" | "mV") => (shown, Some("voltage")),
        shown @ ("A" | "mA") => (shown, Some("current")),
        shown @ ("W" | "kW") => (shown, Some("power")),
        shown @ ("Hz" | "kHz" | "MHz") => (shown, Some("frequency")),
        "lx" => ("lx", Some("illuminance")),
        shown => (shown, None),
    }
}

/// A word for a topic and an id. One that had to be changed ends with a digest of what it
/// was, so that no two are the same.
fn word(from: &str) -> String {
    const LONGEST: usize = 48;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let same =
        (1..=LONGEST).contains(&from.len()) && from.chars().all(fits) && !from.contains("__");
    if same {
        return from.to_owned();
    }
    let mut word: String = from
        .chars()
        .take(LONGEST)
        .map(|c| if fits(c) && c != '_' { c } else { '-' })
        .collect();
    // FNV-1a, which is the same everywhere and at all times.
    let digest = from
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
    word.push_str(&format!("_{digest:016x}"));
    word
}

/// What is published of a value.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Boolean(true) => ON.to_owned(),
        Value::Boolean(false) => OFF.to_owned(),
        Value::Numeric { value, .. } => value.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Long(number) => number.to_string(),
        Value::Date(text)
        | Value::DateTime(text)
        | Value::Duration(text)
        | Value::Time(text)
        | Value::String(text)
        | Value::Enum { value: text, .. } => text.to_string(),
    }
}

/// What a command sets, if it can be set so.
pub(super) fn wanted(parameter: &ParameterSpec, command: &str) -> Option<SettingValue> {
    use SettingValue as V;
    // Numbers may come as `5.0`.
    let whole = || command.strip_suffix(".0").unwrap_or(command);
    let text = || Text::new(command).ok();
    let value = match &parameter.kind {
        ParameterKind::Boolean => match command {
            ON => V::Boolean(true),
            PRESS if !parameter.idempotent => V::Boolean(true),
            OFF => V::Boolean(false),
            _ => return None,
        },
        ParameterKind::Color => V::Color(command.parse().ok()?),
        ParameterKind::Double(_) => V::Double(command.parse().ok()?),
        ParameterKind::Int(_) => V::Int(whole().parse().ok()?),
        ParameterKind::Long(_) => V::Long(whole().parse().ok()?),
        ParameterKind::Date => V::Date(text()?),
        ParameterKind::DateTime => V::DateTime(text()?),
        ParameterKind::Duration => V::Duration(text()?),
        ParameterKind::Time => V::Time(text()?),
        ParameterKind::String | ParameterKind::OneOf(_) => V::String(text()?),
    };
    parameter.check(&value).is_ok().then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::adapters::mqtt::discovery;
    use crate::adapters::mqtt::template::Payload;

    fn names() -> Names {
        Names {
            discovery: "homeassistant".to_owned(),
            base: "stanchion".to_owned(),
            instance: "gw".to_owned(),
        }
    }

    fn lamp() -> ThingSpec {
        let t = Text::from_static;
        let level = ParameterSpec::new(t("level"), ParameterKind::Int(0..=100));
        let on = ParameterSpec::new(t("on"), ParameterKind::Boolean);
        let mut reset = ParameterSpec::new(t("reset"), ParameterKind::Boolean);
        reset.idempotent = false;
        let modes = ["eco", "full"].map(Text::from_static).to_vec();
        let mode = ParameterSpec::new(t("mode"), ParameterKind::OneOf(modes));
        ThingSpec::new(t("lamp 1/ä"))
            .with_field(FieldSpec::numeric(t("temperature"), t("Cel")))
            .with_field(FieldSpec::new(t("on"), Kind::Boolean))
            .with_field(FieldSpec::new(t("motion"), Kind::Boolean))
            .with_field(FieldSpec::new(t("state of it"), Kind::String))
            .with_parameter(level)
            .with_parameter(on)
            .with_parameter(reset)
            .with_parameter(mode)
    }

    #[test]
    fn what_is_announced_is_what_the_other_direction_understands() {
        for announced in names().announce(&lamp()) {
            let (topic, config) = (&announced.config_topic, announced.config.to_string());
            let found = discovery::read("homeassistant", &[], topic, &config);
            assert!(found.left_out.is_empty(), "{:?}", found.left_out);
            let entity = &found.entities[0].1;
            let outlet = &entity.outlets[0];
            let source = outlet.source.as_ref();
            assert_eq!(source.map(|s| &s.topic), announced.state_topic.as_ref());
            let values = [
                (
                    "temperature",
                    Value::Numeric {
                        value: "21.50".parse().unwrap(),
                        unit: Text::from_static("Cel"),
                    },
                ),
                ("on", Value::Boolean(false)),
            ];
            for (name, value) in values {
                if &*announced.name == name {
                    let text = text(&value);
                    let read = source.unwrap().value(&Payload::new(&text));
                    assert_eq!(read, Some(value));
                }
            }
        }
    }

    #[test]
    fn each_kind_is_an_entity_of_its_own() {
        let all = names().announce(&lamp());
        let component = |name: &str| {
            let one = all.iter().find(|one| &*one.name == name).unwrap();
            one.config_topic.split('/').nth(1).unwrap().to_owned()
        };
        assert_eq!(component("temperature"), "sensor");
        assert_eq!(component("motion"), "binary_sensor");
        assert_eq!(component("on"), "switch");
        assert_eq!(component("level"), "number");
        assert_eq!(component("reset"), "button");
        assert_eq!(component("mode"), "select");
    }

    #[test]
    fn a_command_that_cannot_be_is_none() {
        let level = ParameterSpec::new(Text::from_static("l"), ParameterKind::Int(0..=100));
        assert_eq!(wanted(&level, "50"), Some(SettingValue::Int(50)));
        assert_eq!(wanted(&level, "50.0"), Some(SettingValue::Int(50)));
        for none in ["101", "50.5", "", "ON", "NaN"] {
            assert_eq!(wanted(&level, none), None, "{none}");
        }
        let on = ParameterSpec::new(Text::from_static("on"), ParameterKind::Boolean);
        assert_eq!(wanted(&on, "PRESS"), None);
        let exact = ParameterSpec::new(Text::from_static("x"), ParameterKind::Double(0.0..=1.0));
        assert_eq!(wanted(&exact, "NaN"), None);
    }

    #[test]
    fn words_are_the_same_each_time_and_never_the_same_for_two() {
        assert_eq!(word("lamp-1"), "lamp-1");
        let words = ["a b", "a/b", "a__b", "a-b", "", " ", "ä", "+"].map(word);
        let distinct: std::collections::BTreeSet<_> = words.iter().collect();
        assert_eq!(distinct.len(), words.len());
        // FNV-1a of `a b`.
        assert_eq!(word("a b"), "a-b_e63f991904833892");
    }

    proptest! {
        #[test]
        fn any_name_gives_topics_that_can_be(thing in "\\PC{0,60}", field in "\\PC{0,60}") {
            use crate::adapters::mqtt::topic::is_name;
            let names = names();
            prop_assert!(is_name(&names.thing_status(&thing)));
            prop_assert!(is_name(&names.topic(&thing, &field, "state")));
            prop_assert!(is_name(&names.config("sensor", &thing, &field)));
            prop_assert!(names.is_ours(&names.topic(&thing, &field, "state")));
        }
    }
}
