//! What a person says of a server, from the command line or from a file, and the server
//! that follows from it. Everything that can be wrong with it is told here, before it is
//! kept.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use stanchion::connect::config::Plaintext;
use stanchion::connect::registry::{Server, read_place};
use stanchion::connect::{Account, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion::stanza::Text;
use stanchion::transport::security::Fingerprint;
use stanchion::{BareJid, Roots};
use stanchion_sasl::mechanism::Mechanism;
use stanchion_sasl::policy::ChannelBindingPolicy;

use crate::exit::one_line;

/// A server in a person's words.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) jid: BareJid,
    pub(super) password: SecretString,
    pub(super) resource: Option<String>,
    /// None: they are in DNS.
    pub(super) endpoints: Vec<Endpoint>,
    /// None: those of the Web.
    pub(super) ca: Vec<PathBuf>,
    pub(super) pin: Option<Fingerprint>,
    pub(super) native_roots: bool,
    pub(super) priority: u16,
    pub(super) insecure_plaintext: bool,
    pub(super) min_mechanism: Option<Mechanism>,
    pub(super) require_binding: bool,
}

impl Entry {
    /// The server, with the trusted certificates as they are in their files now.
    ///
    /// # Errors
    /// What is wrong, in one line; never a password.
    pub(super) fn server(self) -> Result<Server, String> {
        let Some(_) = self.jid.local() else {
            let jid = self.jid;
            return Err(format!("{jid} is a domain; give the account as name@{jid}"));
        };
        let mut account = Account::with_password(self.jid, self.password.expose_secret());
        account.resource = self
            .resource
            .map(Text::new)
            .transpose()
            .map_err(|e| format!("the resource cannot be used: {e}"))?;
        let mut server = Server {
            priority: self.priority,
            ..Server::new(account)
        };
        if !self.endpoints.is_empty() {
            server.endpoints = Endpoints::Explicit(self.endpoints);
        }
        let mut roots = Vec::new();
        for path in &self.ca {
            let pem = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
            roots.push(Roots::Pem(pem));
        }
        if self.native_roots {
            roots.push(Roots::Native);
        }
        if !roots.is_empty() {
            server.tls.roots = roots;
        }
        server.tls.pin = self.pin;
        if self.insecure_plaintext {
            server.plaintext = Plaintext::Allow;
            server.sasl.allow_plain_without_tls = true;
        }
        if let Some(minimum) = self.min_mechanism {
            server.sasl.minimum = minimum;
        }
        if self.require_binding {
            server.sasl.channel_binding = ChannelBindingPolicy::Require;
        }
        // What could never connect is not kept.
        let config = server.config(&ConnectConfig::default());
        Connector::new(server.account.clone(), config).map_err(|e| one_line(&e))?;
        Ok(server)
    }
}

/// `HOST:PORT` or `xmpps://HOST:PORT`: for clap, too.
pub(crate) fn endpoint(text: &str) -> Result<Endpoint, String> {
    read_place(text).map_err(|e| e.to_string())
}

/// A mechanism by its registered name: for clap, too.
pub(super) fn mechanism(text: &str) -> Result<Mechanism, String> {
    let usable = || {
        Mechanism::STRONGEST_FIRST
            .into_iter()
            .filter(|m| m.scram_hash().is_some() || *m == Mechanism::Plain)
    };
    usable().find(|m| m.as_str() == text).ok_or_else(|| {
        let names: Vec<&str> = usable().map(Mechanism::as_str).collect();
        format!(
            "no mechanism for a password; give one of {}",
            names.join(", ")
        )
    })
}
