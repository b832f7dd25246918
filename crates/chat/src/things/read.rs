//! `stanchion read`: reads things once.

use std::time::Duration;

use clap::Args;
use stanchion::Jid;
use stanchion::device::remote::Readout;
use stanchion::stanza::Text;

use super::{Common, Printing, read_failure, seconds, session, text};
use crate::exit::{Exit, Failure, Outcome};
use crate::terminal::harmless;

/// Read things of others, and print their values
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stanchion read gateway@example.org
  stanchion read gateway@example.org hall temperature -F '%v %u'

Exit codes: 0 read, 1 not or not all read, 2 usage, 12 no connection in time, 13 refused.

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
    /// Read all kinds of values, and not only what is measured now
    #[arg(long)]
    all: bool,
    /// End after so many values
    #[arg(long, short = 'C', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// How long the things may take to answer, in seconds
    #[arg(long, short = 'W', value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    wait: Duration,
    #[command(flatten)]
    printing: Printing,
    #[command(flatten)]
    common: Common,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let jid = command.of.clone();
    let command = &command;
    Box::pin(session(&command.common, &jid, |things| async move {
        let mut readout = Readout::momentary().within(command.wait);
        readout.silence = readout.silence.min(command.wait);
        readout.all = command.all;
        readout.things.extend(
            command
                .thing
                .clone()
                .map(stanchion::device::model::Node::new),
        );
        readout.fields.clone_from(&command.fields);
        let reading = things.start_read(&command.of, readout).await;
        let mut reading = reading.map_err(|e| read_failure(&e))?;
        let (mut left, mut failed) = (command.count.unwrap_or(u64::MAX), None);
        let mut any = false;
        while let Some(part) = reading.next().await.map_err(|e| read_failure(&e))? {
            let take = usize::try_from(left).unwrap_or(usize::MAX);
            // Some tell more than they were asked for.
            let wanted = part.values.into_iter().filter(|value| {
                command.fields.is_empty() || command.fields.contains(&value.field.name)
            });
            let values: Vec<_> = wanted.take(take).collect();
            any |= !values.is_empty();
            left -= values.len() as u64;
            if command.printing.print(&values)?.is_none() || left == 0 {
                return Ok(Exit::Done);
            }
            failed = failed.or(part.failures.into_iter().next());
        }
        match failed {
            Some(first) => Err(Failure::failed(harmless(&format!(
                "{} could not read {}: {}",
                reading.of(),
                first.node.id,
                first.text
            )))),
            None if !any => Err(Failure::failed(format!(
                "{} told nothing of that; `stanchion things` lists what there is",
                reading.of()
            ))),
            None => Ok(Exit::Done),
        }
    }))
    .await
}
