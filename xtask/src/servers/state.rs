//! `DIR/server.json`: all that is known about the server of a folder.
//!
//! The one record that later calls, other programs and tests read. Writing it
//! is left to the holder of the folder's lock.

use super::daemon::Daemon;
use super::ports::is_free;
use crate::failure::{Context, Failure, Outcome};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Prosody 0.12
    Prosody,
    /// ejabberd 23.01
    Ejabberd,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Prosody => "prosody",
            Self::Ejabberd => "ejabberd",
        }
    }
}

/// Ports on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    /// Client connections that begin in the clear and must take STARTTLS.
    pub(crate) starttls: u16,
    /// Client connections with TLS from the first byte (XEP-0368).
    pub(crate) direct_tls: u16,
    /// WebSocket over plain HTTP (RFC 7395).
    pub(crate) http: u16,
    /// WebSocket over HTTPS.
    pub(crate) https: u16,
    /// Components (XEP-0114), in the clear. 0 in records of before there were any.
    #[serde(default)]
    pub(crate) component: u16,
}

impl Ports {
    /// The first of the ports that something listens on.
    pub(crate) fn in_use(self) -> Option<u16> {
        [
            self.starttls,
            self.direct_tls,
            self.http,
            self.https,
            self.component,
        ]
        .into_iter()
        .find(|port| *port != 0 && !is_free(*port))
    }
}

/// How a server behaves, as chosen on the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
pub(crate) struct Options {
    /// Seconds for which a lost session can be resumed (XEP-0198)
    #[arg(long, value_name = "S", default_value_t = 300)]
    pub(crate) hibernation: u32,
    /// Most stanzas the server keeps unacknowledged for a session (XEP-0198)
    #[arg(long, value_name = "N", default_value_t = 5000)]
    pub(crate) sm_queue: u32,
    /// Most bytes in a client's stanza [default: 262144]
    #[arg(long, value_name = "N")]
    pub(crate) stanza_size: Option<u32>,
    /// The only TLS version offered [default: 1.2 and 1.3]
    #[arg(long, value_name = "VERSION", value_parser = ["tlsv1_2", "tlsv1_3"])]
    pub(crate) tls_protocol: Option<String>,
    /// Prosody as it comes: no channel binding on TLS 1.3, no XEP-0440
    #[arg(long)]
    pub(crate) stock: bool,
    /// Prosody: also SASL2, Bind 2 and FAST (XEP-0388, XEP-0386, XEP-0484)
    #[arg(long, conflicts_with_all = ["stock", "no_smacks"])]
    #[serde(default)]
    pub(crate) sasl2: bool,
    /// No archive (XEP-0313)
    #[arg(long)]
    pub(crate) no_mam: bool,
    /// No storage for users who are away (XEP-0160)
    #[arg(long)]
    pub(crate) no_offline: bool,
    /// No stream management (XEP-0198)
    #[arg(long)]
    pub(crate) no_smacks: bool,
    /// A domain NAME below the server's own for a component with that secret (XEP-0114)
    #[arg(long, value_name = "NAME:SECRET", value_parser = super::name_and_password)]
    #[serde(default)]
    pub(crate) component: Option<(String, String)>,
    /// Accounts may be made, changed and removed in band (XEP-0077)
    #[arg(long)]
    #[serde(default)]
    pub(crate) registration: bool,
    /// A place for files at upload.DOMAIN (XEP-0363), over plain HTTP on loopback
    #[arg(long)]
    #[serde(default)]
    pub(crate) uploads: bool,
    /// A log with all details
    #[arg(long)]
    pub(crate) debug: bool,
    /// Prosody: other servers that it talks to; none if there is none.
    #[arg(skip)]
    #[serde(default)]
    pub(crate) federation: Option<Federation>,
    /// ejabberd: a node among others; none if it is alone.
    #[arg(skip)]
    #[serde(default)]
    pub(crate) cluster: Option<Cluster>,
}

/// A node of a cluster. Each has a loopback address of its own, and all listen there at one
/// port: so they find each other without a register of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// Between nodes; 127.0.0.0/8.
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    /// What a node must know to be let in.
    pub(crate) secret: String,
    /// The address of the node to join on the first start; none for the first node.
    pub(crate) first: Option<Ipv4Addr>,
}

/// Talk between servers on loopback (RFC 6120 §3). All must have certificates of one
/// authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Federation {
    /// Where this server listens for others.
    pub(crate) port: u16,
    /// Where the others listen, by their domains.
    pub(crate) neighbours: BTreeMap<String, u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hibernation: 300,
            sm_queue: 5000,
            stanza_size: None,
            tls_protocol: None,
            stock: false,
            sasl2: false,
            no_mam: false,
            no_offline: false,
            no_smacks: false,
            component: None,
            registration: false,
            uploads: false,
            debug: false,
            federation: None,
            cluster: None,
        }
    }
}

/// The whole record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) kind: Kind,
    pub(crate) dir: PathBuf,
    pub(crate) domain: String,
    pub(crate) host: String,
    pub(crate) ports: Ports,
    /// The certificate authority to trust, PEM.
    pub(crate) ca: PathBuf,
    /// Name to password.
    pub(crate) users: BTreeMap<String, String>,
    pub(crate) websocket: String,
    pub(crate) websocket_tls: String,
    pub(crate) log: PathBuf,
    pub(crate) options: Options,
    #[serde(flatten)]
    pub(crate) process: Option<Daemon>,
}

impl State {
    /// Reads the record of a folder; none when there was never a server.
    pub(crate) fn load(dir: &Path) -> Outcome<Option<Self>> {
        let path = dir.join("server.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).doing("read", &path),
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|e| Failure::Malformed {
                what: path.display().to_string(),
                why: e.to_string(),
            })
    }

    /// Reads the record of a folder that must have one.
    pub(crate) fn existing(dir: &Path) -> Outcome<Self> {
        Self::load(dir)?.ok_or_else(|| {
            Failure::Misuse(format!(
                "no server was started in {}: run `cargo xtask servers start prosody --dir {0}`",
                dir.display()
            ))
        })
    }

    /// Replaces the record in one step.
    pub(crate) fn save(&self) -> Outcome {
        let path = self.dir.join("server.json");
        let new = self.dir.join("server.json.new");
        let text = serde_json::to_string_pretty(self).map_err(|e| Failure::Malformed {
            what: path.display().to_string(),
            why: e.to_string(),
        })?;
        fs::write(&new, text + "\n").doing("write", &new)?;
        fs::rename(&new, &path).doing("write", &path)
    }

    /// Whether the server's process runs.
    pub(crate) fn running(&self) -> bool {
        self.process.is_some_and(Daemon::alive)
    }

    /// The record as callers see it: with `running`.
    pub(crate) fn report(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value["running"] = self.running().into();
        value
    }

    pub(crate) fn certificate(&self, extension: &str) -> PathBuf {
        self.dir
            .join("certs")
            .join(format!("{}.{extension}", self.domain))
    }
}

/// Holds `DIR/lock` while it lives: one command at a time works on a folder.
pub(crate) struct FolderLock(#[expect(dead_code, reason = "held, never read")] File);

impl FolderLock {
    pub(crate) fn take(dir: &Path) -> Outcome<Self> {
        let path = dir.join("lock");
        let file = File::create(&path).doing("create", &path)?;
        file.lock().doing("lock", &path)?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn the_command_line_has_the_same_defaults() {
        assert_eq!(Line::parse_from(["start"]).options, Options::default());
    }
}
