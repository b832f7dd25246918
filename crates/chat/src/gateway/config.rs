//! The gateway's configuration: which connections, which adapters, who gets which readings.
//! What an adapter's own keys mean is its own affair; see docs/devices.md.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use stanchion::stanza::payload::sensordata::Profile;
use stanchion::stanza::{BareJid, Jid, Text};
use stanchion_device::outflow::{OutflowConfig, QueueConfig};

use crate::exit::Failure;
use crate::settings::{ConnectionArgs, toml_failure};

/// Connections and adapters at most: what is more is a mistake.
const MOST: usize = 10_000;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    #[serde(default)]
    pub(super) metrics: Option<Metrics>,
    #[serde(rename = "connection")]
    pub(super) connections: Vec<Connection>,
    #[serde(rename = "adapter", default)]
    pub(super) adapters: Vec<Adapter>,
    #[serde(rename = "broker", default)]
    pub(super) brokers: Vec<Broker>,
}

/// Where the figures are shown.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metrics {
    /// Address and port; loopback, unless all who can reach it may read them.
    pub(super) listen: SocketAddr,
    /// Whether to show the last value of each field, too.
    #[serde(default)]
    pub(super) readings: bool,
}

/// One account, and what is done with it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connection {
    /// What adapters, logs and figures call it.
    #[serde(default = "Connection::main")]
    pub(super) name: String,
    jid: String,
    connect: Option<String>,
    #[serde(default)]
    direct_tls: bool,
    #[serde(default)]
    ca: Vec<PathBuf>,
    pin: Option<String>,
    #[serde(default)]
    native_roots: bool,
    #[serde(default)]
    insecure_plaintext: bool,
    store: PathBuf,
    password_file: Option<PathBuf>,
    /// Its things, by id; none for those of the adapters that name it.
    #[serde(default, deserialize_with = "words::several")]
    pub(super) things: Option<BTreeSet<Text>>,
    /// Who may read its things, beside its own account.
    #[serde(default)]
    pub(super) readers: BTreeSet<String>,
    /// Who may read and set them.
    #[serde(default)]
    pub(super) controllers: BTreeSet<String>,
    #[serde(rename = "recipient", default)]
    pub(super) recipients: Vec<Recipient>,
    #[serde(rename = "node", default)]
    pub(super) nodes: Vec<Node>,
}

impl Connection {
    fn main() -> String {
        "main".to_owned()
    }

    /// As it would be said on the command line.
    pub(super) fn args(&self) -> Result<ConnectionArgs, Failure> {
        let wrong = |what, why: &dyn std::fmt::Display| {
            Failure::usage(format!("connection `{}`: {what}: {why}", self.name))
        };
        let pin = self.pin.as_ref().map(|pin| pin.parse()).transpose();
        Ok(ConnectionArgs {
            jid: Some(self.jid.parse().map_err(|e| wrong("jid", &e))?),
            connect: self.connect.clone(),
            direct_tls: self.direct_tls,
            ca: self.ca.clone(),
            pin: pin.map_err(|e| wrong("pin", &e))?,
            native_roots: self.native_roots,
            insecure_plaintext: self.insecure_plaintext,
            store: Some(self.store.clone()),
            password_file: self.password_file.clone(),
            // All is said here.
            config: Some(PathBuf::from("/dev/null")),
        })
    }

    /// The accounts of a list.
    pub(super) fn accounts(&self, list: &BTreeSet<String>) -> Result<Vec<BareJid>, Failure> {
        let account = |word: &String| {
            word.parse().map_err(|e| {
                Failure::usage(format!("connection `{}`: account `{word}`: {e}", self.name))
            })
        };
        list.iter().map(account).collect()
    }
}

/// Somebody who gets readings in messages.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipient {
    to: String,
    #[serde(default)]
    profile: Words,
    /// What has not arrived by then is given up. Default: never.
    #[serde(default, with = "time")]
    pub(super) within: Option<Duration>,
    /// Whether the message's body has the readings, too, as JSON.
    #[serde(default)]
    pub(super) json: bool,
    /// Whether the newest readings go first, and order does not count.
    #[serde(default)]
    pub(super) newest_first: bool,
    #[serde(flatten)]
    flow: Flow,
}

impl Recipient {
    pub(super) fn to(&self) -> Result<Jid, Failure> {
        let wrong = |e| Failure::usage(format!("recipient `{}`: {e}", self.to));
        self.to.parse().map_err(wrong)
    }

    pub(super) fn profile(&self) -> Profile {
        self.profile.into()
    }

    pub(super) fn flow(&self) -> OutflowConfig {
        self.flow.config()
    }

    /// What logs and figures call it.
    pub(super) fn name(&self) -> &str {
        &self.to
    }
}

/// A node of a publish/subscribe service that gets readings as items.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    /// The service's address; none for the own account (XEP-0163).
    service: Option<String>,
    #[serde(deserialize_with = "words::one")]
    pub(super) node: Text,
    #[serde(default)]
    profile: Words,
    #[serde(flatten)]
    flow: Flow,
}

impl Node {
    pub(super) fn service(&self) -> Result<Option<Jid>, Failure> {
        let read = |word: &String| {
            let wrong = |e| Failure::usage(format!("publish/subscribe service `{word}`: {e}"));
            word.parse().map_err(wrong)
        };
        self.service.as_ref().map(read).transpose()
    }

    pub(super) fn profile(&self) -> Profile {
        self.profile.into()
    }

    pub(super) fn flow(&self) -> OutflowConfig {
        self.flow.config()
    }

    /// What logs and figures call it.
    pub(super) fn name(&self) -> String {
        let service = self.service.as_deref().unwrap_or("own account");
        format!("{}@{service}", self.node)
    }
}

/// Which readings somebody gets, and how they wait.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Flow {
    #[serde(default, deserialize_with = "words::several")]
    things: Option<BTreeSet<Text>>,
    #[serde(default)]
    alarm: QueueConfig,
    #[serde(default)]
    control: QueueConfig,
    #[serde(default)]
    telemetry: QueueConfig,
}

impl Flow {
    fn config(&self) -> OutflowConfig {
        let mut config = OutflowConfig::default();
        config.things.clone_from(&self.things);
        config.alarm = self.alarm;
        config.control = self.control;
        config.telemetry = self.telemetry;
        config
    }
}

/// The words that readings are told in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Words {
    /// XEP-0323.
    Legacy,
    /// `urn:nf:iot`, which is a third shorter.
    #[default]
    Nf,
    /// IEEE P1451-99.
    Ieee,
}

impl From<Words> for Profile {
    fn from(words: Words) -> Self {
        match words {
            Words::Legacy => Self::Legacy,
            Words::Nf => Self::Nf,
            Words::Ieee => Self::Ieee,
        }
    }
}

/// An adapter: what it is called, which it is, and what it is to know.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Adapter {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The connection of its things.
    #[serde(default = "Connection::main")]
    pub(super) connection: String,
    #[serde(flatten)]
    pub(super) rest: toml::Table,
}

/// Texts that XML can carry.
mod words {
    use std::collections::BTreeSet;

    use serde::{Deserialize as _, Deserializer, de::Error as _};
    use stanchion::stanza::Text;

    pub(super) fn one<'de, D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
        let word = String::deserialize(from)?;
        Text::new(word).map_err(|e| D::Error::custom(format!("a word: {e}")))
    }

    pub(super) fn several<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<BTreeSet<Text>>, D::Error> {
        let words = Vec::<String>::deserialize(from)?;
        let text = |word| Text::new(word).map_err(|e| D::Error::custom(format!("a word: {e}")));
        words
            .into_iter()
            .map(text)
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

/// An MQTT broker that gets the things of all adapters but some.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Broker {
    pub(super) name: String,
    /// Whether whoever may publish there may set things. Default no.
    #[serde(default)]
    pub(super) obey: bool,
    /// Adapters whose things do not go there: those that come from it.
    #[serde(default)]
    pub(super) without: BTreeSet<String>,
    #[serde(flatten)]
    pub(super) rest: toml::Table,
}

/// A length of time that need not be there.
mod time {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, de::Error as _};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        let wrong = |e| D::Error::custom(format!("`{text}` is no length of time: {e}"));
        humantime::parse_duration(&text).map(Some).map_err(wrong)
    }
}

/// Reads the file. Paths in it are seen from its folder.
///
/// # Errors
/// Names what is wrong, and in which line.
pub(super) fn read(path: &Path) -> Result<Config, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("--config {}: {e}", path.display())))?;
    let mut config: Config = toml::from_str(&text).map_err(|e| toml_failure(path, &text, &e))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for connection in &mut config.connections {
        connection.store = folder.join(&connection.store);
        let paths = connection.password_file.iter_mut();
        for path in paths.chain(&mut connection.ca) {
            *path = folder.join(&*path);
        }
    }
    config.check()?;
    Ok(config)
}

impl Config {
    fn check(&self) -> Result<(), Failure> {
        if self.connections.is_empty() {
            return Err(Failure::usage(
                "no [[connection]]: give an account to put things on",
            ));
        }
        if self.connections.len() > MOST || self.adapters.len() > MOST {
            let most = format!("at most {MOST} connections and as many adapters");
            return Err(Failure::usage(most));
        }
        let mut names = BTreeSet::new();
        let mut stores = BTreeSet::new();
        for connection in &self.connections {
            if !names.insert(connection.name.as_str()) {
                let twice = format!("two connections are called `{}`", connection.name);
                return Err(Failure::usage(twice));
            }
            if !stores.insert(&connection.store) {
                let store = connection.store.display();
                let twice = format!("two connections keep their messages in {store}");
                return Err(Failure::usage(twice));
            }
        }
        let mut adapters = BTreeSet::new();
        for adapter in &self.adapters {
            if !adapters.insert(adapter.name.as_str()) {
                let twice = format!("two adapters are called `{}`", adapter.name);
                return Err(Failure::usage(twice));
            }
            if !names.contains(adapter.connection.as_str()) {
                return Err(Failure::usage(format!(
                    "adapter `{}`: there is no connection `{}`",
                    adapter.name, adapter.connection
                )));
            }
        }
        let mut brokers = BTreeSet::new();
        for broker in &self.brokers {
            if !brokers.insert(broker.name.as_str()) {
                let twice = format!("two brokers are called `{}`", broker.name);
                return Err(Failure::usage(twice));
            }
            if let Some(other) = broker
                .without
                .iter()
                .find(|a| !adapters.contains(a.as_str()))
            {
                let name = &broker.name;
                let missing = format!("broker `{name}`: there is no adapter `{other}`");
                return Err(Failure::usage(missing));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[metrics]
listen = "127.0.0.1:9464"

[[connection]]
jid = "gateway@example.org"
store = "gateway.sqlite"
readers = ["anna@example.org"]

[[connection.recipient]]
to = "cloud@example.org"
within = "1h"
telemetry = { pressure = "coalesce", batch = 60 }

[[connection.node]]
node = "readings"

[[adapter]]
name = "fleet"
type = "simulated"
count = 3
"#;

    fn read_text(text: &str) -> Result<Config, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn a_file_says_who_gets_what_and_leaves_the_rest_to_the_adapter() {
        let config = read_text(FILE).unwrap();
        let connection = &config.connections[0];
        let recipient = &connection.recipients[0];
        assert_eq!(recipient.within, Some(Duration::from_secs(3600)));
        assert_eq!(recipient.flow().telemetry.batch, 60);
        assert_eq!(recipient.flow().control, QueueConfig::default());
        assert_eq!(connection.nodes[0].name(), "readings@own account");
        let adapter = &config.adapters[0];
        assert_eq!(adapter.connection, "main");
        assert_eq!(adapter.rest["count"].as_integer(), Some(3));
        assert!(connection.args().is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (change, told) in [
            (("[metrics]", "[metric]"), "unknown field"),
            (("within = \"1h\"", "wihtin = \"1h\""), "unknown field"),
            (
                ("type = ", "connection = \"other\"\ntype = "),
                "no connection `other`",
            ),
            (("\"1h\"", "\"soon\""), "`soon` is no length of time"),
            (("store = \"gateway.sqlite\"", ""), "missing field `store`"),
        ] {
            let failure = read_text(&FILE.replace(change.0, change.1)).unwrap_err();
            assert!(failure.message.contains(told), "{}", failure.message);
        }
    }
}
