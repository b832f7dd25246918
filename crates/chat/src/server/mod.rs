//! `stanchion server`: the registry of servers, a verb a file. What the other verbs take
//! from it is in `settings`.

mod add;
mod entry;
mod import;
mod list;
mod remove;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use stanchion::connect::registry::{RegistryError, Server, ServerRegistry as _};
use stanchion::reliability::registry::SqliteRegistry;

use crate::exit::{Exit, Failure, Outcome, one_line, registry_failure};
use crate::settings::registry_file;

pub(crate) use add::Details;
#[cfg(feature = "tui")]
pub(crate) use entry::endpoint;
pub(crate) use test::{Looked, look, looked_json, report};

/// Register servers, list them, try them
#[derive(Debug, Args)]
#[command(after_help = "\
The registered servers are used by send and listen when no --jid is given, whichever of \
them is there; doctor looks at the first. The registry is a file for its owner only, as it holds the passwords.")]
pub(crate) struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(Box<add::Command>),
    List(list::Command),
    Remove(remove::Command),
    Test(test::Command),
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    match command.verb {
        Verb::Add(command) => add::run(*command).await,
        Verb::List(command) => list::run(command).await,
        Verb::Remove(command) => remove::run(command).await,
        Verb::Test(command) => test::run(command).await,
    }
}

/// Which registry.
#[derive(Debug, Args)]
pub(crate) struct RegistryArgs {
    /// The registry's file (default: the configuration's store, else servers.sqlite in
    /// the data folder, for all accounts of this user)
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// The configuration file (default: config.toml in the configuration folder)
    #[arg(long, value_name = "FILE", env = "STANCHION_CONFIG")]
    config: Option<PathBuf>,
}

impl RegistryArgs {
    /// As the other verbs are told by theirs.
    #[cfg(feature = "tui")]
    pub(crate) fn of(connection: &crate::settings::ConnectionArgs) -> Self {
        Self {
            store: connection.store.clone(),
            config: connection.config.clone(),
        }
    }

    /// Opens the registry, and makes it if there is none.
    async fn open(&self) -> Result<SqliteRegistry, Failure> {
        let path = registry_file(self.store.as_deref(), self.config.as_deref())?;
        if let Some(folder) = path.parent()
            && self.store.is_none()
        {
            std::fs::create_dir_all(folder)
                .map_err(|e| Failure::failed(format!("{}: {e}", folder.display())))?;
        }
        SqliteRegistry::open(&path)
            .await
            .map_err(|e| registry_failure(&e))
    }

    /// Opens the registry, if there is one: to look makes no file.
    async fn look(&self) -> Result<Option<SqliteRegistry>, Failure> {
        let path = registry_file(self.store.as_deref(), self.config.as_deref())?;
        if path.exists() {
            self.open().await.map(Some)
        } else {
            Ok(None)
        }
    }
}

/// Puts a server into a registry, with what a trial showed of its endpoints. Whether it is
/// there in another's place.
///
/// # Errors
/// The registry's.
pub(crate) async fn keep(
    registry: &RegistryArgs,
    server: Server,
    looked: Option<&mut Looked>,
) -> Result<bool, Failure> {
    let failed = |e| registry_failure(&e);
    let registry = registry.open().await?;
    let account = server.account.jid.clone();
    let before = Contents::of(&registry).await?.servers;
    let replaced = before.iter().any(|s| s.account.jid == account);
    registry.put(server).await.map_err(failed)?;
    if let Some(looked) = looked {
        let changes = looked.health.take_changes();
        let noted = registry.note_health(&account, changes).await;
        noted.map_err(failed)?;
    }
    Ok(replaced)
}

/// What can be read, and why the rest cannot.
#[derive(Debug, Default)]
struct Contents {
    servers: Vec<Server>,
    unreadable: Vec<RegistryError>,
}

impl Contents {
    async fn of(registry: &SqliteRegistry) -> Result<Self, Failure> {
        let unreadable = registry.unreadable().await;
        let unreadable = unreadable.map_err(|e| registry_failure(&e))?;
        match registry.servers().await {
            Ok(servers) => Ok(Self {
                servers,
                unreadable,
            }),
            // None can be read.
            Err(RegistryError::Unreadable { .. }) => Ok(Self {
                servers: Vec::new(),
                unreadable,
            }),
            Err(error) => Err(registry_failure(&error)),
        }
    }

    /// # Errors
    /// The entries that cannot be read, if there are some.
    fn conclude(&self) -> Outcome {
        let told: Vec<String> = self.unreadable.iter().map(|e| one_line(e)).collect();
        if told.is_empty() {
            Ok(Exit::Done)
        } else {
            Err(Failure::failed(told.join("; ")))
        }
    }
}
