//! `stanchion server add`: registers one server, or those of a file.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;
use serde_json::json;
use stanchion::BareJid;
use stanchion::connect::Endpoint;
use stanchion::connect::registry::{Server, ServerRegistry as _};
use stanchion::reliability::registry::SqliteRegistry;
use stanchion::transport::security::Fingerprint;
use stanchion_sasl::mechanism::Mechanism;

use super::entry::{Entry, endpoint, mechanism};
use super::{Contents, RegistryArgs, import};
use crate::exit::{Exit, Failure, Outcome, registry_failure};
use crate::settings::password;
use crate::terminal::{harmless, json_line, print};

/// Register a server, or change what is registered of it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stanchion server add lamp@home.example
  stanchion server add lamp@plant.example --priority 10 --ca plant.pem \\
      --endpoint 192.0.2.7:5222 --endpoint xmpps://192.0.2.8:5223
  stanchion server add --from servers.toml

The password is taken from STANCHION_PASSWORD, or from --password-file. The format of \
the file is in docs/configuration.md.

Exit codes: 0 registered, 1 the registry cannot be used, 2 usage.")]
pub(super) struct Command {
    /// The account, as name@domain; one that is registered is replaced
    #[arg(
        value_name = "JID",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    jid: Option<BareJid>,
    /// Register the servers of this TOML file: all or, if one is wrong, none
    #[arg(long, value_name = "FILE", conflicts_with = "Details")]
    from: Option<PathBuf>,
    #[command(flatten)]
    details: Details,
    /// Print one JSON object a server
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// What is said of a server besides its account.
#[derive(Debug, Default, Args)]
pub(crate) struct Details {
    /// Read the password from this file, not from STANCHION_PASSWORD; only its owner may
    /// be able to read it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Connect there, past any look-up, or with xmpps:// in front by TLS from the first
    /// byte; several are tried in this order
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    endpoint: Vec<Endpoint>,
    /// Trust the certificate authorities in this file (PEM), and no others; the file is
    /// read now, and not needed later
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// Trust this certificate only: its SHA-256 in hexadecimal
    #[arg(long, value_name = "SHA256")]
    pin: Option<Fingerprint>,
    /// Trust the operating system's certificate authorities
    #[arg(long)]
    native_roots: bool,
    /// Servers of a lower number are tried first
    #[arg(long, value_name = "N", default_value_t = 0)]
    priority: u16,
    /// The resource to ask for (default: the server's choice)
    #[arg(long, value_name = "NAME")]
    resource: Option<String>,
    /// Log in by no weaker mechanism, such as SCRAM-SHA-256
    #[arg(long, value_name = "MECHANISM", value_parser = mechanism)]
    min_mechanism: Option<Mechanism>,
    /// Log in only if the login can be bound to the TLS connection
    #[arg(long)]
    require_binding: bool,
    /// Send the password and everything else in the clear if the server has no TLS
    #[arg(long)]
    insecure_plaintext: bool,
}

/// Carries out the command.
pub(super) async fn run(command: Command) -> Outcome {
    let servers = match (command.jid, &command.from) {
        (_, Some(file)) => import::read(file)?,
        (Some(jid), None) => vec![one(jid, &command.details)?],
        (None, None) => return Err(Failure::usage("give a JID, or --from FILE")),
    };
    let registry = command.registry.open().await?;
    let before = Contents::of(&registry).await?;
    for (done, server) in servers.into_iter().enumerate() {
        let jid = server.account.jid.clone();
        let replaced = before.servers.iter().any(|s| s.account.jid == jid);
        put(&registry, server, done).await?;
        let word = if replaced { "replaced" } else { "added" };
        // Whether or not somebody reads it, all are registered.
        let _ = print(&if command.json {
            json_line(&json!({ "account": jid.to_string(), "outcome": word }))
        } else {
            harmless(&format!("{word} {jid}"))
        })?;
    }
    Ok(Exit::Done)
}

async fn put(registry: &SqliteRegistry, server: Server, done: usize) -> Result<(), Failure> {
    registry.put(server).await.map_err(|e| {
        let failure = registry_failure(&e);
        let message = match done {
            0 => failure.message,
            n => format!("{} (the first {n} are registered)", failure.message),
        };
        Failure { message, ..failure }
    })
}

fn one(jid: BareJid, details: &Details) -> Result<Server, Failure> {
    let password = details.password()?.ok_or_else(|| {
        Failure::usage(format!(
            "no password for {jid}: set STANCHION_PASSWORD, or give --password-file FILE"
        ))
    })?;
    details.server(jid, password)
}

impl Details {
    /// The password, if it is in the file that is named, or in the environment.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn password(&self) -> Result<Option<SecretString>, Failure> {
        password(self.password_file.as_deref(), None)
    }

    /// Only where it is and which certificate it has: nowhere and none are what DNS and the
    /// Web's authorities say.
    pub(crate) fn place(endpoint: Option<Endpoint>, pin: Option<Fingerprint>) -> Self {
        Self {
            endpoint: endpoint.into_iter().collect(),
            pin,
            ..Self::default()
        }
    }

    /// The server of that account.
    ///
    /// # Errors
    /// What could never connect.
    pub(crate) fn server(&self, jid: BareJid, password: SecretString) -> Result<Server, Failure> {
        let entry = Entry {
            jid,
            password,
            resource: self.resource.clone(),
            endpoints: self.endpoint.clone(),
            ca: self.ca.clone(),
            pin: self.pin,
            native_roots: self.native_roots,
            priority: self.priority,
            insecure_plaintext: self.insecure_plaintext,
            min_mechanism: self.min_mechanism,
            require_binding: self.require_binding,
        };
        entry.server().map_err(Failure::usage)
    }
}
