//! What is to stand on the broker, topic by topic, and which of it does not yet. What
//! changes again before it was published is published once, as it is then: a broker that is
//! away or slow costs no memory and holds nobody up. Sans-IO.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde_json::Value as Json;
use stanchion_stanza::Text;

use super::announce::{Names, text, wanted};
use crate::adapter::Report;
use crate::model::{ParameterSpec, Sample, Setting, ThingSpec};

/// Topics that are kept on the broker.
const MAX_TOPICS: usize = 65_536;
/// What an earlier run left there, at most.
const MAX_LEFT: usize = 4096;
/// The longest value that is published, in bytes.
const MAX_VALUE: usize = 64 * 1024;

const ONLINE: &str = "online";
const OFFLINE: &str = "offline";

#[derive(Debug, Default)]
struct Shown {
    topics: BTreeSet<String>,
    /// Where the value of each field goes.
    states: HashMap<Text, String>,
    /// Where it says whether it is there.
    status: String,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Board {
    names: Names,
    image: BTreeMap<String, String>,
    dirty: VecDeque<String>,
    is_dirty: BTreeSet<String>,
    things: BTreeMap<Text, Shown>,
    commands: HashMap<String, (Text, ParameterSpec)>,
    /// What an earlier run announced, with the topics that belong to it.
    left: BTreeMap<String, Vec<String>>,
    full: bool,
}

impl Board {
    pub(super) fn new(names: Names) -> Self {
        let image = BTreeMap::from([(names.status(), ONLINE.to_owned())]);
        Self {
            names,
            image,
            dirty: VecDeque::new(),
            is_dirty: BTreeSet::new(),
            things: BTreeMap::new(),
            commands: HashMap::new(),
            left: BTreeMap::new(),
            full: false,
        }
    }

    /// What an adapter told.
    pub(super) fn told(&mut self, report: &Report) {
        match report {
            Report::Things(things) => things.iter().for_each(|thing| self.thing(thing)),
            Report::Gone(things) => things.iter().for_each(|thing| self.gone(thing)),
            Report::Sample(sample) => self.sample(sample),
            Report::Stale(things) => things.iter().for_each(|thing| self.status(thing, OFFLINE)),
            Report::Connected => {}
        }
    }

    fn thing(&mut self, thing: &ThingSpec) {
        let id = &thing.node.id;
        let announced = self.names.announce(thing);
        let mut shown = Shown {
            status: self.names.thing_status(id),
            ..Shown::default()
        };
        shown.topics.insert(shown.status.clone());
        for one in &announced {
            shown.topics.insert(one.config_topic.clone());
            if let Some(state) = &one.state_topic {
                shown.topics.insert(state.clone());
                shown.states.insert(one.name.clone(), state.clone());
            }
        }
        let before = self.things.remove(id).unwrap_or_default();
        if self.image.len() + shown.topics.len() > MAX_TOPICS + before.topics.len() {
            if !std::mem::replace(&mut self.full, true) {
                tracing::warn!(thing = %id, "too many things for the broker; it is left out");
            }
            self.things.insert(id.clone(), before);
            return;
        }
        for topic in before.topics.difference(&shown.topics) {
            self.put(topic, None);
        }
        self.commands.retain(|_, (owner, _)| owner != id);
        for one in announced {
            self.put(&one.config_topic, Some(one.config.to_string()));
            if let Some((topic, parameter)) = one.command {
                self.commands.insert(topic, (id.clone(), parameter));
            }
        }
        if before.topics.is_empty() {
            // What measures something is there once it did.
            let status = if shown.states.is_empty() {
                ONLINE
            } else {
                OFFLINE
            };
            self.put(&shown.status, Some(status.to_owned()));
        }
        self.things.insert(id.clone(), shown);
    }

    fn gone(&mut self, thing: &Text) {
        let Some(shown) = self.things.remove(thing) else {
            return;
        };
        self.commands.retain(|_, (owner, _)| owner != thing);
        for topic in &shown.topics {
            self.put(topic, None);
        }
    }

    fn sample(&mut self, sample: &Sample) {
        let Some(shown) = self.things.get(&sample.thing) else {
            return;
        };
        let readings = sample.readings.iter();
        let values: Vec<_> = readings
            .filter_map(|reading| {
                let topic = shown.states.get(&reading.field)?;
                let text = text(&reading.value);
                (text.len() <= MAX_VALUE).then(|| (topic.clone(), text))
            })
            .collect();
        for (topic, text) in values {
            self.put(&topic, Some(text));
        }
        self.status(&sample.thing, ONLINE);
    }

    fn status(&mut self, thing: &Text, status: &str) {
        let Some(shown) = self.things.get(thing) else {
            return;
        };
        let topic = shown.status.clone();
        if self.image.get(&topic).map(String::as_str) != Some(status) {
            self.put(&topic, Some(status.to_owned()));
        }
    }

    /// That is to stand there, or nothing.
    fn put(&mut self, topic: &str, payload: Option<String>) {
        match payload {
            Some(payload) => drop(self.image.insert(topic.to_owned(), payload)),
            None => drop(self.image.remove(topic)),
        }
        if self.is_dirty.insert(topic.to_owned()) {
            self.dirty.push_back(topic.to_owned());
        }
    }

    /// The connection is new: nobody knows what stands there.
    pub(super) fn begin(&mut self) {
        let topics: Vec<String> = self.image.keys().cloned().collect();
        for topic in topics {
            if self.is_dirty.insert(topic.clone()) {
                self.dirty.push_back(topic);
            }
        }
    }

    /// What is to be published next, retained. Nothing takes a topic back.
    pub(super) fn next(&mut self) -> Option<(String, String)> {
        let topic = self.dirty.pop_front()?;
        self.is_dirty.remove(&topic);
        let payload = self.image.get(&topic).cloned().unwrap_or_default();
        Some((topic, payload))
    }

    /// What all of us is, for the will.
    pub(super) fn farewell(&self) -> (String, &'static str) {
        (self.names.status(), OFFLINE)
    }

    pub(super) fn filters(&self) -> Vec<String> {
        vec![self.names.commands(), self.names.announcements()]
    }

    /// A command that came, if it is one: which thing, and what is to be set.
    pub(super) fn command(&self, topic: &str, payload: &str) -> Option<(Text, Setting)> {
        let (thing, parameter) = self.commands.get(topic)?;
        let value = wanted(parameter, payload)?;
        let name = parameter.name.clone();
        Some((thing.clone(), Setting { name, value }))
    }

    /// Something announced in our name stands on the broker. What is not of this run is
    /// not available any more.
    pub(super) fn found(&mut self, topic: &str, payload: &str) {
        if self.image.contains_key(topic) || payload.is_empty() || self.left.len() >= MAX_LEFT {
            return;
        }
        let Ok(config) = serde_json::from_str::<Json>(payload) else {
            self.left.insert(topic.to_owned(), Vec::new());
            return;
        };
        let ours = |json: &Json| {
            let topic = json.as_str().filter(|topic| self.names.is_ours(topic))?;
            Some(topic.to_owned())
        };
        let state = ours(&config["state_topic"]);
        // The second one is the thing's: see `announce`.
        let status = ours(&config["availability"][1]["topic"]);
        let status = status.filter(|topic| !self.image.contains_key(topic));
        if let Some(status) = &status {
            self.put(status, Some(OFFLINE.to_owned()));
        }
        let belonging = state.into_iter().chain(status).collect();
        self.left.insert(topic.to_owned(), belonging);
    }

    /// What is still not of this run is taken back.
    pub(super) fn forget(&mut self) {
        let claimed: BTreeSet<String> = self
            .things
            .values()
            .flat_map(|shown| shown.topics.iter().cloned())
            .collect();
        for (config, belonging) in std::mem::take(&mut self.left) {
            for topic in belonging.into_iter().chain([config]) {
                if !claimed.contains(&topic) {
                    self.put(&topic, None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use stanchion_reliability::store::WallTime;

    use super::*;
    use crate::model::{FieldSpec, ParameterKind, SettingValue, Value};

    fn board() -> Board {
        Board::new(Names {
            discovery: "ha".to_owned(),
            base: "st".to_owned(),
            instance: "gw".to_owned(),
        })
    }

    fn probe() -> ThingSpec {
        let t = Text::from_static;
        let level = ParameterSpec::new(t("level"), ParameterKind::Int(0..=9));
        ThingSpec::new(t("probe"))
            .with_field(FieldSpec::numeric(t("temp"), t("Cel")))
            .with_parameter(level)
    }

    fn sample(digits: &str) -> Report {
        let value = Value::Numeric {
            value: digits.parse().unwrap(),
            unit: Text::from_static("Cel"),
        };
        let (thing, field) = (Text::from_static("probe"), Text::from_static("temp"));
        Report::Sample(Sample::one(thing, WallTime::from_unix_ms(0), field, value))
    }

    fn published(board: &mut Board) -> BTreeMap<String, String> {
        let all: Vec<_> = std::iter::from_fn(|| board.next()).collect();
        let count = all.len();
        let map: BTreeMap<_, _> = all.into_iter().collect();
        assert_eq!(map.len(), count, "a topic was published twice");
        map
    }

    #[test]
    fn only_the_newest_of_many_values_waits() {
        let mut board = board();
        board.told(&Report::Things(vec![probe()]));
        for value in ["20", "21", "22"] {
            board.told(&sample(value));
        }
        let all = published(&mut board);
        assert_eq!(all["st/gw/probe/temp/state"], "22");
        assert_eq!(all["st/gw/probe/status"], "online");
        assert_eq!(all.len(), 4);
        board.told(&Report::Stale(vec![Text::from_static("probe")]));
        let lost = published(&mut board);
        assert_eq!(lost["st/gw/probe/status"], "offline");
        assert_eq!(lost.len(), 1);
    }

    #[test]
    fn a_new_connection_says_all_again_and_what_is_gone_is_taken_back() {
        let mut board = board();
        board.told(&Report::Things(vec![probe()]));
        board.told(&sample("20"));
        let all = published(&mut board);
        board.begin();
        let again = published(&mut board);
        assert_eq!(again.len(), all.len() + 1);
        assert_eq!(again["st/gw/status"], "online");
        board.told(&Report::Gone(vec![Text::from_static("probe")]));
        let gone = published(&mut board);
        assert_eq!(gone.len(), all.len());
        assert!(gone.values().all(String::is_empty));
        assert_eq!(board.command("st/gw/probe/level/set", "5"), None);
    }

    #[test]
    fn a_command_for_a_parameter_is_a_setting() {
        let mut board = board();
        board.told(&Report::Things(vec![probe()]));
        let (thing, setting) = board.command("st/gw/probe/level/set", "5").unwrap();
        assert_eq!((&*thing, &*setting.name), ("probe", "level"));
        assert_eq!(setting.value, SettingValue::Int(5));
        assert_eq!(board.command("st/gw/probe/level/set", "10"), None);
        assert_eq!(board.command("st/gw/probe/temp/set", "5"), None);
    }

    #[test]
    fn what_an_earlier_run_left_is_not_available_and_then_taken_back() {
        let mut board = board();
        let mut other = probe();
        other.node.id = Text::from_static("old");
        let old = board.names.announce(&other);
        board.found(&old[0].config_topic, &old[0].config.to_string());
        let evil = r#"{"state_topic": "homeassistant/status", "availability": 5}"#;
        board.found("ha/sensor/stanchion_gw/evil/config", evil);
        board.told(&Report::Things(vec![probe()]));
        let all = published(&mut board);
        assert_eq!(all["st/gw/old/status"], "offline");
        board.forget();
        let gone = published(&mut board);
        let topics: Vec<_> = gone.keys().map(String::as_str).collect();
        assert_eq!(
            topics,
            [
                "ha/sensor/stanchion_gw/evil/config",
                "ha/sensor/stanchion_gw/old__temp/config",
                "st/gw/old/status",
                "st/gw/old/temp/state",
            ]
        );
        assert!(gone.values().all(String::is_empty));
    }
}
