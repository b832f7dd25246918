//! `stanchion sub`: prints what is published at a node, each item once, and remembers what
//! was printed.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use stanchion::Jid;
use stanchion::services::pubsub::{
    Beginning, Gap, Item, NodeEvent, Subscription, SubscriptionConfig,
};
use stanchion::stanza::Text;

use super::{Connected, NodeArgs, item};
use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::interrupt::Interrupt;
use crate::kept::counted;
use crate::settings::{ConnectionArgs, duration};
use crate::terminal::{Reader, harmless, json_line, print};
use crate::watch;

/// Print what is published at a node; each item once, also over several runs
#[derive(Debug, Args)]
#[command(after_help = "\
The first run begins with what the node holds, a later one where the last one ended: an item \
counts as printed once it was, and the place is kept in the store. What the node no longer \
held is told on standard error. The subscription at the service stays; --unsubscribe ends it.

Examples:
  stanchion sub pubsub.example.org readings
  stanchion sub pubsub.example.org readings --from-now --count 10 --wait 1h
  stanchion sub pubsub.example.org readings --json | jq .json.celsius
  stanchion sub pubsub.example.org readings --unsubscribe

Exit codes: 0 interrupted, or --count reached, or --wait over without --count, or nobody reads \
the output any more; 1 fewer than --count within --wait; 2 usage, 12 no connection in time, 13 \
refused, by the service or for security or authentication.

The password is taken from STANCHION_PASSWORD, or from --password-file.")]
pub(crate) struct Command {
    #[command(flatten)]
    node: NodeArgs,
    /// The first time, begin with what is published from now on
    #[arg(long)]
    from_now: bool,
    /// End after so many items
    #[arg(long, short = 'C', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time
    #[arg(long, short = 'W', value_name = "TIME", value_parser = duration)]
    wait: Option<Duration>,
    /// End the subscription at the service, and print nothing
    #[arg(long, conflicts_with_all = ["from_now", "count", "wait"])]
    unsubscribe: bool,
    /// Print one JSON object an event: item, gap, retracted, purged, deleted
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let mut interrupt = Interrupt::watch()?;
    let connected = Connected::open(&command.node, &command.connection, &mut interrupt).await?;
    let work = async {
        match command.unsubscribe {
            true => unsubscribe(&command, &connected).await,
            false => print_all(&command, &connected).await,
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = interrupt.seen() => Ok(Exit::Done),
    };
    connected.close().await;
    done
}

async fn unsubscribe(command: &Command, connected: &Connected) -> Outcome {
    let pubsub = connected.client.pubsub();
    let service = match &connected.service {
        Some(at) => pubsub.service(at.clone()),
        None => pubsub.own(),
    };
    let own = connected.account();
    let own = own.ok_or_else(|| Failure::new(Exit::NoConnection, "the connection was lost"))?;
    let node = command.node.node.clone();
    match service
        .unsubscribe(Jid::from(own), node.clone(), None)
        .await
    {
        Ok(()) => {
            let _ = print(&if command.json {
                json_line(&json!({ "event": "unsubscribed", "node": node.as_str() }))
            } else {
                harmless(&format!("unsubscribed from {node}"))
            })?;
            Ok(Exit::Done)
        }
        Err(error) => Err(Failure::new(Exit::Refused, one_line(&error))),
    }
}

async fn print_all(command: &Command, connected: &Connected) -> Outcome {
    let mut config = SubscriptionConfig::default();
    if command.from_now {
        config.beginning = Beginning::New;
    }
    let pubsub = connected.client.pubsub();
    let opened = pubsub.subscribe(connected.service.clone(), command.node.node.clone(), config);
    let mut printing = Printing {
        command,
        subscription: opened.await.map_err(|e| Failure::failed(one_line(&e)))?,
        left: command.count.unwrap_or(u64::MAX),
        taken: false,
    };
    let all = async {
        loop {
            let event = tokio::select! {
                event = printing.subscription.next() => event,
                failure = watch::refused(&connected.client) => return Err(failure),
            };
            let event = event.map_err(|e| Failure::failed(one_line(&e)))?;
            if printing.event(event).await? == Next::End {
                return Ok(Exit::Done);
            }
        }
    };
    let Some(wait) = command.wait else {
        return all.await;
    };
    match tokio::time::timeout(wait, all).await {
        Ok(done) => done,
        Err(_) => match command.count {
            Some(count) => Err(Failure::failed(format!(
                "{} of {count} items came within {}; wait longer, or ask for fewer",
                count - printing.left,
                humantime::format_duration(wait)
            ))),
            None => Ok(Exit::Done),
        },
    }
}

/// Whether there is more to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    More,
    End,
}

struct Printing<'a> {
    command: &'a Command,
    subscription: Subscription,
    /// Items that are still to be printed.
    left: u64,
    /// Something was heard of the node: a refusal may pass then.
    taken: bool,
}

impl Printing<'_> {
    async fn event(&mut self, event: NodeEvent) -> Result<Next, Failure> {
        match event {
            NodeEvent::Item(item) => {
                self.taken = true;
                return self.item(item).await;
            }
            NodeEvent::Gap(gap) => return self.gap(gap).await,
            NodeEvent::Retracted(ids) => {
                let ids: Vec<&str> = ids.iter().map(Text::as_str).collect();
                let told = format!("retracted: {}", ids.join(", "));
                return self.tell(&told, json!({ "event": "retracted", "ids": ids }));
            }
            NodeEvent::Purged => {
                let told = "all items of the node were deleted";
                return self.tell(told, json!({ "event": "purged" }));
            }
            NodeEvent::Deleted(uri) => {
                self.taken = true;
                let told = match &uri {
                    Some(uri) => format!("the node was deleted; {uri} takes its place"),
                    None => "the node was deleted; if it comes back, this goes on".to_owned(),
                };
                let uri = uri.as_ref().map(Text::as_str);
                return self.tell(&told, json!({ "event": "deleted", "uri": uri }));
            }
            NodeEvent::Pending => note("the node's owner has to approve the subscription first"),
            NodeEvent::Unsubscribed => {
                note("the service ended the subscription; it is asked for again");
            }
            NodeEvent::Refused(reason) if self.taken => note(&reason.to_string()),
            // There is somebody to read it; a session that lasts asks again.
            NodeEvent::Refused(reason) => return Err(Failure::new(Exit::Refused, reason)),
            _ => {}
        }
        Ok(Next::More)
    }

    /// Printed and flushed before it is committed.
    async fn item(&mut self, item: Item) -> Result<Next, Failure> {
        let line = match self.command.json {
            true => json_line(&item_json(&item)),
            false => {
                let shown = item::shown(&item);
                let shown = shown.as_deref().unwrap_or("(no payload)");
                harmless(&format!("{}: {shown}", item.id()))
            }
        };
        if print(&line)? == Reader::Gone {
            // It comes again, to somebody who reads it.
            return Ok(Next::End);
        }
        let committed = item.commit().await;
        committed.map_err(|e| Failure::failed(one_line(&e)))?;
        self.left -= 1;
        Ok(match self.left {
            0 => Next::End,
            _ => Next::More,
        })
    }

    async fn gap(&mut self, gap: Gap) -> Result<Next, Failure> {
        let (first, last) = (gap.first(), gap.last());
        let missing = gap.stream().map(|_| last.saturating_sub(first) + 1);
        let told = match missing {
            Some(count) => format!(
                "{} missing: the node held {} no longer",
                counted(count, "item is", "items are"),
                if count == 1 { "it" } else { "them" }
            ),
            None => "items may be missing: the node held no more".to_owned(),
        };
        let stream = gap.stream().map(ToString::to_string);
        let value = json!({ "event": "gap", "stream": stream, "first": first, "last": last,
            "missing": missing });
        let next = self.tell(&told, value)?;
        if next == Next::More {
            let committed = gap.commit().await;
            committed.map_err(|e| Failure::failed(one_line(&e)))?;
        }
        Ok(next)
    }

    /// What is no item: an object for programs, a note beside the items for people.
    fn tell(&self, told: &str, value: Value) -> Result<Next, Failure> {
        if !self.command.json {
            note(told);
            return Ok(Next::More);
        }
        Ok(match print(&json_line(&value))? {
            Reader::There => Next::More,
            Reader::Gone => Next::End,
        })
    }
}

fn item_json(item: &Item) -> Value {
    let json = item::json(item).and_then(|text| serde_json::from_str::<Value>(&text).ok());
    json!({
        "event": "item",
        "id": item.id().as_str(),
        "publisher": item.publisher().map(ToString::to_string),
        "late": item.is_late(),
        "json": json,
        "xml": item.payload().map(item::xml),
    })
}

/// What people should know, beside what is printed.
fn note(message: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "stanchion: {}", harmless(message));
}
