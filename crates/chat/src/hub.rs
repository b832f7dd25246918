//! `stanchion hub`: the embedded server as a command.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use stanchion_hub::{Accounts, ComponentConfig, Hub, HubConfig, HubLimits};

use crate::demo::{HubReady, end_of_input};
use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::interrupt::Interrupt;
use crate::settings::read_password;
use crate::terminal::print;

/// Run the embedded XMPP server until interrupted
#[derive(Debug, Args)]
#[command(after_help = "\
For demonstrations, tests and a local network. For more, use Prosody or ejabberd.

Examples:
  stanchion hub --user alice:secret --user bob:secret
  stanchion hub --domain hub.example --state hub --accounts users.toml

Exit codes: 0 interrupted, 1 a fault of this machine, such as a port in use, 2 usage.")]
pub(crate) struct Command {
    /// The domain that is served
    #[arg(long, value_name = "DOMAIN", default_value = "localhost")]
    domain: String,
    /// Listen there for STARTTLS; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5222")]
    starttls: SocketAddr,
    /// Listen there for direct TLS, too
    #[arg(long, value_name = "ADDRESS:PORT")]
    direct_tls: Option<SocketAddr>,
    /// Keep the certificate and offline messages in this folder (default: nowhere; each
    /// start makes another certificate)
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// An account made on the fly, for tries: other users of this machine can see it
    #[arg(long, value_name = "NAME:PASSWORD")]
    user: Vec<String>,
    /// A TOML file with accounts
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// Connections open at a time, logged in or not; one more is closed at once
    #[arg(long, value_name = "N", default_value_t = HubLimits::default().connections)]
    max_connections: usize,
    /// Offer no channel binding: for clients that bind by tls-unique, which TLS 1.3 does
    /// not have, such as slixmpp 1.8
    #[arg(long)]
    no_channel_binding: bool,
    /// Let anybody make an account in band (XEP-0077); such accounts go with the hub
    #[arg(long)]
    registration: bool,
    /// Let a component attach itself as that domain (XEP-0114). Its secret is taken from
    /// STANCHION_COMPONENT_SECRET, or from --component-secret-file
    #[arg(long, value_name = "DOMAIN", requires = "component_listen")]
    component: Option<String>,
    /// Listen there for the component, on loopback; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", requires = "component")]
    component_listen: Option<SocketAddr>,
    /// Read the component's secret from this file; only its owner may read it
    #[arg(long, value_name = "FILE", requires = "component")]
    component_secret_file: Option<PathBuf>,
    /// Print where it listens as one JSON object
    #[arg(long)]
    json: bool,
    /// End with the standard input, too: with the process that started this one
    #[arg(long, hide = true)]
    end_with_input: bool,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let accounts = accounts(&command)?;
    let component = component(&command)?;
    let mut interrupt = Interrupt::watch()?;
    let hub = Hub::bind(HubConfig {
        domain: command.domain.clone(),
        starttls: Some(command.starttls),
        direct_tls: command.direct_tls,
        state: command.state.clone(),
        accounts,
        channel_binding: !command.no_channel_binding,
        registration: command.registration,
        component,
        limits: HubLimits {
            connections: command.max_connections,
            ..HubLimits::default()
        },
        ..HubConfig::default()
    })
    .await
    .map_err(|e| Failure::failed(one_line(&e)))?;
    announce(&command, &hub)?;
    hub.run(async {
        tokio::select! {
            () = interrupt.seen() => {}
            () = end_of_input(), if command.end_with_input => {}
        }
    })
    .await
    .map_err(|e| Failure::failed(one_line(&e)))?;
    Ok(Exit::Done)
}

fn accounts(command: &Command) -> Result<Accounts, Failure> {
    if command.user.is_empty() {
        return match &command.accounts {
            Some(path) => Accounts::open(path)
                .map_err(|e| Failure::usage(format!("{}: {}", path.display(), one_line(&e)))),
            None if command.registration => Ok(Accounts::new()),
            None => Err(Failure::usage(
                "nobody could log in: give --user NAME:PASSWORD, --accounts FILE, or --registration",
            )),
        };
    }
    if command.accounts.is_some() {
        return Err(Failure::usage("give --user or --accounts, not both"));
    }
    let pairs = command.user.iter().map(|u| u.split_once(':'));
    let pairs: Option<Vec<_>> = pairs.collect();
    let pairs = pairs.ok_or_else(|| Failure::usage("--user wants NAME:PASSWORD"))?;
    Accounts::open_demo(pairs).map_err(|e| Failure::usage(one_line(&e)))
}

/// The secret comes from a file or the environment: arguments are for every user of the
/// machine to see.
fn component(command: &Command) -> Result<Option<ComponentConfig>, Failure> {
    let (Some(domain), Some(listen)) = (&command.component, command.component_listen) else {
        return Ok(None);
    };
    let secret = match &command.component_secret_file {
        Some(path) => read_password(path)?,
        None => std::env::var("STANCHION_COMPONENT_SECRET")
            .map(Into::into)
            .map_err(|_| {
                Failure::usage(
                    "no secret for the component: set STANCHION_COMPONENT_SECRET, or give --component-secret-file FILE",
                )
            })?,
    };
    Ok(Some(ComponentConfig {
        listen,
        domain: domain.clone(),
        secret,
    }))
}

/// Says where it listens. If nobody reads that, it listens all the same.
fn announce(command: &Command, hub: &Hub) -> Result<(), Failure> {
    let addresses = hub.addresses();
    let fingerprint = hub.fingerprint().to_string();
    let Some(starttls) = addresses.starttls else {
        return Ok(());
    };
    let domain = &command.domain;
    let lines = if command.json {
        json!(HubReady {
            domain: domain.clone(),
            starttls,
            direct_tls: addresses.direct_tls,
            component: addresses.component,
            fingerprint,
        })
        .to_string()
    } else {
        let direct = addresses.direct_tls.map_or_else(String::new, |address| {
            format!("\n  and at {address} (direct TLS)")
        });
        let component = (command.component.as_ref().zip(addresses.component))
            .map(|(name, address)| format!("\n{name} may attach itself at {address}"))
            .unwrap_or_default();
        format!(
            "{domain} is served at {starttls} (STARTTLS){direct}{component}\n\
             SHA-256 of its certificate:\n  {fingerprint}\n\
             Try, with the account's password in STANCHION_PASSWORD:\n  \
             stanchion listen --jid NAME@{domain} --connect {starttls} \\\n    \
             --pin {}\n\
             Ctrl-C ends it",
            fingerprint.replace(':', "")
        )
    };
    let _ = print(&lines)?;
    Ok(())
}
