//! `stanchion outbox list`: what waits, how long already and still, and why.

use clap::Args;
use serde_json::Value;
use stanchion::Jid;
use stanchion::reliability::store::{
    OutboundFilter, OutboundQuery, OutboundRecord, OutboundState, WallTime,
};

use super::to_json;
use crate::age::rough;
use crate::exit::{Failure, Outcome};
use crate::kept::{Look, StoreArgs, between, counted, now};
use crate::listing::{Listing, Part, Row, STEP, StateFilter, show};

/// Show the messages that wait to be sent, the oldest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stanchion outbox list --jid sensor@example.org
  stanchion outbox list --state all --json | jq -r '[.state, .id] | @tsv'

Pending is also what is in doubt while a receipt can still settle it.

Exit codes: 0 shown, 1 the store cannot be read, 2 usage, or there is no store.")]
pub(super) struct Command {
    #[command(flatten)]
    part: Part,
    /// Show those to this address only
    #[arg(long, value_name = "JID")]
    to: Option<Jid>,
    /// Print one JSON object a message
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Carries out the command.
pub(super) fn run(command: &Command) -> Outcome {
    let outbox = Outbox {
        command,
        look: command.store.look()?,
        now: now(),
    };
    let none = match command.part.state {
        StateFilter::Pending => "no message waits; --state all shows those with an outcome",
        _ => "there is no such message",
    };
    show(&outbox, &command.part, command.json, none)
}

struct Outbox<'a> {
    command: &'a Command,
    look: Look,
    now: WallTime,
}

impl Listing for Outbox<'_> {
    type Record = OutboundRecord;

    fn page(&self, after: u64) -> Result<Vec<OutboundRecord>, Failure> {
        let query = OutboundQuery {
            filter: match self.command.part.state {
                StateFilter::Pending => OutboundFilter::Pending,
                StateFilter::Final => OutboundFilter::Final,
                StateFilter::All => OutboundFilter::All,
            },
            to: self.command.to.as_ref().map(ToString::to_string),
            after,
            limit: STEP,
            ..OutboundQuery::default()
        };
        self.look.told(self.look.reader.outbound_page(&query))
    }

    fn number(record: &OutboundRecord) -> u64 {
        record.seq
    }

    fn json(&self, record: &OutboundRecord) -> Value {
        to_json(record, self.now)
    }

    fn row(&self, record: &OutboundRecord) -> Row {
        row(record, self.now)
    }
}

fn row(record: &OutboundRecord, now: WallTime) -> Row {
    let mut message = vec![record.id.clone(), format!("to {}", record.to)];
    if !record.channel.is_empty() {
        message.push(format!("channel {}", record.channel));
    }
    let mut times = vec![match between(record.accepted_at, now) {
        Some(age) => format!("{} old", rough(age)),
        // A clock was set.
        None => "from the future".to_owned(),
    }];
    times.extend(left(record, now));
    if record.attempts > 0 {
        times.push(counted(record.attempts.into(), "try", "tries"));
    }
    times.push(counted(record.stanza.len() as u64, "byte", "bytes"));
    [
        vec![record.seq.to_string()],
        message,
        vec![record.state.to_string()],
        times,
    ]
}

/// Until when an outcome is due, if one is.
pub(super) fn left(record: &OutboundRecord, now: WallTime) -> Option<String> {
    if record.state.is_final() || matches!(record.state, OutboundState::InDoubt { .. }) {
        return None;
    }
    Some(match record.deadline {
        None => "no deadline".to_owned(),
        Some(deadline) => match between(now, deadline) {
            Some(left) => format!("{} left", rough(left)),
            None => {
                let over = between(deadline, now).unwrap_or_default();
                format!("{} overdue", rough(over))
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::table;

    #[test]
    fn the_list_fits_its_columns_and_says_what_is_stuck_and_why() {
        let at = WallTime::from_unix_ms;
        let record = OutboundRecord {
            seq: 123_456,
            id: "0192f7a3-1c5b-7a7e-9a43-aa21f6cd1f02".to_owned(),
            to: "a-rather-long-name-of-a-cloud@in-a-long-domain.example".to_owned(),
            channel: "telemetry".to_owned(),
            stanza: "<message/>".into(),
            accepted_at: at(0),
            deadline: Some(at(300_000)),
            protection: 0,
            state: OutboundState::Accepted,
            attempts: 3,
            updated_at: at(0),
            boot: 1,
            place: 0,
            prev: None,
        };
        let doubt = OutboundRecord {
            state: OutboundState::InDoubt {
                reason: "no-receipt resource-constraint".into(),
                open: true,
            },
            ..record.clone()
        };
        for columns in [60, 80, 160] {
            let rows = [&record, &doubt].map(|record| row(record, at(180_000)));
            let text = table(rows.to_vec(), columns);
            assert!(text.lines().all(|l| l.chars().count() <= columns), "{text}");
            let all: String = text.split_whitespace().collect();
            for told in ["3minold", "2minleft", "3tries", "10bytes", "telemetry"] {
                assert!(all.contains(told), "{told}: {text}");
            }
        }
        assert_eq!(left(&record, at(900_000)).unwrap(), "10 min overdue");
        assert_eq!(left(&doubt, at(0)), None);
    }
}
