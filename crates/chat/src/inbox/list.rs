//! `stanchion inbox list`: what waits for the application, and how long already.

use clap::Args;
use serde_json::Value;
use stanchion::BareJid;
use stanchion::reliability::store::{InboundFilter, InboundQuery, InboundRecord, WallTime};

use super::{id, to_json};
use crate::age::rough;
use crate::exit::{Failure, Outcome};
use crate::kept::{Look, StoreArgs, between, counted, now};
use crate::listing::{Listing, Part, Row, STEP, StateFilter, show};

/// Show the messages that the application has not committed, the oldest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stanchion inbox list --jid cloud@example.org
  stanchion inbox list --state all --from sensor@example.org --json

Exit codes: 0 shown, 1 the store cannot be read, 2 usage, or there is no store.")]
pub(super) struct Command {
    #[command(flatten)]
    part: Part,
    /// Show those from this account only
    #[arg(long, value_name = "JID")]
    from: Option<BareJid>,
    /// Print one JSON object a message
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Carries out the command.
pub(super) fn run(command: &Command) -> Outcome {
    let inbox = Inbox {
        command,
        look: command.store.look()?,
        now: now(),
    };
    let none = match command.part.state {
        StateFilter::Pending => "no message waits; --state all shows those that are committed",
        _ => "there is no such message",
    };
    show(&inbox, &command.part, command.json, none)
}

struct Inbox<'a> {
    command: &'a Command,
    look: Look,
    now: WallTime,
}

impl Listing for Inbox<'_> {
    type Record = InboundRecord;

    fn page(&self, after: u64) -> Result<Vec<InboundRecord>, Failure> {
        let query = InboundQuery {
            filter: match self.command.part.state {
                StateFilter::Pending => InboundFilter::Unhandled,
                StateFilter::Final => InboundFilter::Handled,
                StateFilter::All => InboundFilter::All,
            },
            from_bare: self.command.from.as_ref().map(ToString::to_string),
            after,
            limit: STEP,
        };
        self.look.told(self.look.reader.inbound_page(&query))
    }

    fn number(record: &InboundRecord) -> u64 {
        record.arrival
    }

    fn json(&self, record: &InboundRecord) -> Value {
        to_json(record, self.now)
    }

    fn row(&self, record: &InboundRecord) -> Row {
        row(record, self.now)
    }
}

fn row(record: &InboundRecord, now: WallTime) -> Row {
    let age = match between(record.received_at, now) {
        Some(age) => format!("{} old", rough(age)),
        // A clock was set.
        None => "from the future".to_owned(),
    };
    let size = match &record.stanza {
        Some(stanza) => counted(stanza.len() as u64, "byte", "bytes"),
        None => "text removed".to_owned(),
    };
    [
        vec![record.arrival.to_string()],
        vec![id(record), format!("from {}", record.from_full)],
        vec![record.state.to_string()],
        vec![age, size],
    ]
}
