//! `stanchion pub` and `sub`: publish/subscribe from the shell (XEP-0060). What the two
//! share: where a node is, the connection, and how an item is written; the reliable ends are
//! `stanchion::services::pubsub`'s.

mod item;
mod publish;
mod subscribe;

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use stanchion::services::Incoming;
use stanchion::session::Status;
use stanchion::stanza::Text;
use stanchion::{BareJid, Client, Jid};
use tokio::time::Instant;

use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::settings::{ConnectionArgs, Settings, duration};
use crate::watch;

pub(crate) use publish::Command as PublishCommand;
pub(crate) use publish::run as publish;
pub(crate) use subscribe::Command as SubscribeCommand;
pub(crate) use subscribe::run as subscribe;

/// For a clean end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Which node; the same for both verbs.
#[derive(Debug, Args)]
struct NodeArgs {
    /// The service, such as pubsub.example.org, an account as a service, or `me` for our own
    /// account (XEP-0163)
    #[arg(value_name = "SERVICE")]
    service: Service,
    /// The node's name at the service
    #[arg(value_name = "NODE", value_parser = text)]
    node: Text,
    /// How long to try to get the connection before giving up
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
}

/// Where a node is.
#[derive(Debug, Clone)]
enum Service {
    /// At our own account.
    Own,
    /// There.
    At(Jid),
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "me" => Ok(Self::Own),
            _ => text.parse().map(Self::At).map_err(|e| format!("{e}")),
        }
    }
}

fn text(word: &str) -> Result<Text, String> {
    match Text::new(word) {
        Ok(text) if !text.is_empty() => Ok(text),
        Ok(_) => Err("it is empty".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A client with a connection, and where the node is for it.
struct Connected {
    client: Client,
    /// None: at our own account.
    service: Option<Jid>,
    /// Received messages are not this command's: they wait for `listen`.
    _incoming: Incoming,
}

impl Connected {
    /// Connects. Nothing is kept before there is a connection: so a command that ends
    /// without one leaves nothing behind that a later one would publish.
    async fn open(
        args: &NodeArgs,
        connection: &ConnectionArgs,
        interrupt: &mut Interrupt,
    ) -> Result<Self, Failure> {
        let over = Instant::now() + args.timeout;
        let settings = Settings::load(connection).await?;
        let (client, incoming) = settings.start(Some(over), |_| {}).await?;
        let first = tokio::select! {
            first = watch::connected(&client, over, args.timeout) => first,
            () = interrupt.seen() => Err(Failure::new(
                Exit::NoConnection,
                "interrupted before there was a connection; nothing was done",
            )),
        };
        let mut this = Self {
            client,
            service: None,
            _incoming: incoming,
        };
        if let Err(failure) = first {
            this.close().await;
            return Err(failure);
        }
        this.service = match (&args.service, this.account()) {
            // Our own account is one place, whichever way it is named.
            (Service::At(jid), Some(own)) if *jid == Jid::from(own.clone()) => None,
            (Service::At(jid), _) => Some(jid.clone()),
            (Service::Own, _) => None,
        };
        Ok(this)
    }

    /// Which account it is, of several.
    fn account(&self) -> Option<BareJid> {
        match &*self.client.status().borrow() {
            Status::Connected { jid, .. } => Some(jid.to_bare()),
            _ => None,
        }
    }

    /// Ends the session; not for long, as all that counts is durable.
    async fn close(self) {
        if self.client.is_connected() {
            let _ = tokio::time::timeout(FAREWELL, self.client.shutdown()).await;
        }
    }
}
