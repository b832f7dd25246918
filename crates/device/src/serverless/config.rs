//! How we are on the local network.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use stanchion_stanza::{BareJid, Text};
use stanchion_transport::security::Fingerprint;

use super::record::{Availability, Capabilities};
use super::trust::Plaintext;

/// Which interfaces of the machine are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interfaces {
    /// All that there are, whatever comes and goes.
    #[default]
    All,
    /// The machine itself, over IPv4.
    Loopback,
    /// These, by their names.
    Named(Vec<String>),
}

/// Bounds on what neighbours may take of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one stanza, at least 10,000. Default 262,144.
    pub stanza_bytes: usize,
    /// Streams at once, of both directions. Default 64.
    pub streams: usize,
    /// The same from one address, or to it. Default 8.
    pub streams_of_one_address: usize,
    /// From the first byte to the open stream. Default 10 s.
    pub handshake: Duration,
    /// A stream on which nothing is said is closed after that. Default 10 min.
    pub idle: Duration,
    /// Who takes what we write slower than that is lost. Default 10 s.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stanza_bytes: 256 * 1024,
            streams: 64,
            streams_of_one_address: 8,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            write: Duration::from_secs(10),
        }
    }
}

/// How we are on the local network.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Who we are: `user@machine`. A half that is taken gets a number:
    /// [`Neighbourhood::name`](super::Neighbourhood::name) says which.
    pub name: BareJid,
    /// The file with our key and certificate; it is made if it is not there.
    pub identity: PathBuf,
    /// Who is trusted: by name, SHA-256 of its certificate. Default: nobody.
    pub trust: BTreeMap<BareJid, Fingerprint>,
    /// What is said without protection. Default: nothing.
    pub plaintext: Plaintext,
    /// Where we are seen. Default: everywhere.
    pub interfaces: Interfaces,
    /// The port that we listen on. Default 0: any.
    pub port: u16,
    /// Whether we are to be disturbed.
    pub status: Availability,
    /// More on that, for people. Default: nothing.
    pub message: Option<Text>,
    /// What we can do, as in our presence (XEP-0115). Default: not told.
    pub capabilities: Option<Capabilities>,
    /// Whether the fingerprint of our certificate is told, as a hint for whoever pairs.
    /// Default yes.
    pub show_fingerprint: bool,
    /// Bounds.
    pub limits: Limits,
    /// The port of multicast DNS: another than 5353 makes a network of its own, for tests.
    pub mdns_port: u16,
}

impl Config {
    /// Under that name, with the identity in that file; trusts nobody.
    #[must_use]
    pub fn new(name: BareJid, identity: impl Into<PathBuf>) -> Self {
        Self {
            name,
            identity: identity.into(),
            trust: BTreeMap::new(),
            plaintext: Plaintext::default(),
            interfaces: Interfaces::default(),
            port: 0,
            status: Availability::default(),
            message: None,
            capabilities: None,
            show_fingerprint: true,
            limits: Limits::default(),
            mdns_port: mdns_sd::MDNS_PORT,
        }
    }

    /// The same, and whoever shows that certificate is that name.
    #[must_use]
    pub fn trusting(mut self, name: BareJid, certificate: Fingerprint) -> Self {
        self.trust.insert(name, certificate);
        self
    }
}
