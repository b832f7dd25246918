//! `stanchion server remove`: forgets a server.

use clap::Args;
use serde_json::json;
use stanchion::BareJid;

use super::RegistryArgs;
use crate::exit::{Exit, Failure, Outcome, registry_failure};
use crate::terminal::{harmless, json_line, print};

/// Forget a server with all that is remembered of it
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  stanchion server remove lamp@home.example

Exit codes: 0 removed, 1 the registry cannot be used, 2 usage, or no such server.")]
pub(super) struct Command {
    /// The account, as `server list` shows it
    #[arg(value_name = "JID")]
    account: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Carries out the command.
pub(super) async fn run(command: Command) -> Outcome {
    // An entry whose name is no address can be removed, too.
    let account = command
        .account
        .parse()
        .map_or(command.account, |jid: BareJid| jid.to_string());
    let removed = match command.registry.look().await? {
        None => false,
        Some(registry) => registry
            .discard(&account)
            .await
            .map_err(|e| registry_failure(&e))?,
    };
    if !removed {
        return Err(Failure::usage(format!(
            "{account} is not registered; `stanchion server list` shows what is"
        )));
    }
    let _ = print(&if command.json {
        json_line(&json!({ "account": account, "outcome": "removed" }))
    } else {
        harmless(&format!("removed {account}"))
    })?;
    Ok(Exit::Done)
}
