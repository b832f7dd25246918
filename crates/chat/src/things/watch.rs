//! `stanchion watch`: prints values of things as they change.

use std::time::Duration;

use clap::Args;
use stanchion::Jid;
use stanchion::device::model::Node;
use stanchion::device::remote::{Watch, WatchEvent};
use stanchion::stanza::Text;
use stanchion::stanza::payload::iot_events::Watched;

use super::{Common, Printing, read_failure, seconds, session, text};
use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::terminal::harmless;

/// Print values of things of others as they change
#[derive(Debug, Args)]
#[command(after_help = "\
A thing that tells by itself is subscribed to; another one is read again and again.

Examples:
  stanchion watch gateway@example.org
  stanchion watch gateway@example.org hall temperature --by 0.5 --json

Exit codes: 0 interrupted, or --count reached, or --wait over without --count, or nobody \
reads the output any more; 1 fewer than --count within --wait; 2 usage, 12 no connection in \
time, 13 refused.

The password is taken from STANCHION_PASSWORD, or from --password-file.")]
pub(crate) struct Command {
    /// The address: an account, which is asked whether we may see its presence, or a full one
    #[arg(value_name = "JID")]
    of: Jid,
    /// The thing behind the address (default: all)
    #[arg(value_name = "THING", value_parser = text)]
    thing: Option<Text>,
    /// Fields (default: all)
    #[arg(value_name = "FIELD", value_parser = text)]
    fields: Vec<Text>,
    /// With fields: how much a number must change to be told
    #[arg(long, value_name = "NUMBER", requires = "fields")]
    by: Option<f64>,
    /// Not more often than that
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    min_interval: Option<Duration>,
    /// Every so often at least, changed or not
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = seconds)]
    max_interval: Duration,
    /// How often to read a thing that does not tell by itself
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = seconds)]
    poll: Duration,
    /// End after so many values
    #[arg(long, short = 'C', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds
    #[arg(long, short = 'W', value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,
    #[command(flatten)]
    printing: Printing,
    #[command(flatten)]
    common: Common,
}

impl Command {
    fn watch(&self) -> Watch {
        let mut watch = Watch::all();
        watch.things.extend(self.thing.clone().map(Node::new));
        watch.fields = (self.fields.iter())
            .map(|name| Watched {
                by: self.by.map(Into::into),
                ..Watched::new(name.clone())
            })
            .collect();
        watch.min_interval = self.min_interval;
        watch.max_interval = self.max_interval;
        watch.poll = self.poll;
        watch
    }
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let jid = command.of.clone();
    let command = &command;
    Box::pin(session(&command.common, &jid, |things| async move {
        let mut watching = things.watch(&command.of, command.watch());
        let mut left = command.count.unwrap_or(u64::MAX);
        let all = async {
            loop {
                let event = watching.next().await.map_err(|e| read_failure(&e))?;
                match event {
                    WatchEvent::Values(part) => {
                        let take = usize::try_from(left).unwrap_or(usize::MAX);
                        let wanted = part.values.into_iter().filter(|value| {
                            command.fields.is_empty()
                                || command.fields.contains(&value.field.name)
                        });
                        let values: Vec<_> = wanted.take(take).collect();
                        left -= values.len() as u64;
                        if command.printing.print(&values)?.is_none() || left == 0 {
                            return Ok(Exit::Done);
                        }
                        for failure in part.failures {
                            note(&format!("{}: {}", failure.node.id, failure.text));
                        }
                    }
                    WatchEvent::Missed(count) => {
                        note(&format!("{count} messages with values were missed"));
                    }
                    WatchEvent::Coalesced(count) => {
                        note(&format!("{count} values were missed: newer ones took their place"));
                    }
                    WatchEvent::Interrupted(error) => note(&one_line(&error)),
                    WatchEvent::Polling { of, every } => {
                        tracing::info!(%of, ?every, "it does not tell by itself, and is read again and again");
                    }
                    WatchEvent::Subscribed { of } => tracing::info!(%of, "subscribed"),
                    _ => {}
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
                    "{} of {count} values came within {wait:?}",
                    count - left
                ))),
                None => Ok(Exit::Done),
            },
        }
    }))
    .await
}

/// What people should know, and scripts need not.
fn note(message: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "stanchion: {}", harmless(message));
}
