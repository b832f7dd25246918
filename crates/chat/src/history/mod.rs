//! `stanchion history`: what was said, as it is kept in the store. Owns the question; how a
//! message is shown is `show`'s, and what is kept is `stanchion::services::history`'s.

mod show;
mod time;

use std::ops::Range;

use clap::Args;
use serde_json::json;
use stanchion::BareJid;
use stanchion::reliability::store::WallTime;
use stanchion::services::history::{Entry, History, HistoryConfig, HistoryReader, Place};

use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::kept::{Look, StoreArgs, counted};
use crate::terminal::{Reader, json_line, print};

/// Show, search or remove what was said: messages that were sent and received
#[derive(Debug, Args)]
#[command(after_help = "\
The history holds what `send --history` and `listen --history` put there, or all that they \
send and receive with `history = true` in the configuration. Without an address and a time, \
the conversations are listed; the latest messages come last. It looks at the store while a \
session lives on it; --purge needs the store for itself. TIME is 2h, 7d (so long ago), \
2026-01-31 or 2026-01-31T12:00:00Z.

Examples:
  stanchion history --jid alice@example.org
  stanchion history bob@example.org --since 7d
  stanchion history --search 'boiler pressure' --json | jq -r .body
  stanchion history ward@rooms.example.org --room --limit 20
  stanchion history bob@example.org --purge --until 30d

Exit codes: 0 shown or removed, 1 the store cannot be used, as for --purge while a session \
lives on it, 2 usage, or there is no store.")]
pub(crate) struct Command {
    /// The conversation with this account or in this room (default: all)
    #[arg(value_name = "WITH")]
    with: Option<BareJid>,
    /// Show messages with all of these words; the last may be the beginning of one
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// It is a room: name who wrote by the nickname
    #[arg(long, requires = "with")]
    room: bool,
    /// Show what was sent at this time or later
    #[arg(long, value_name = "TIME", value_parser = time::read)]
    since: Option<WallTime>,
    /// Show what was sent before this time
    #[arg(long, value_name = "TIME", value_parser = time::read)]
    until: Option<WallTime>,
    /// Show so many at most, the latest
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
    /// Remove the messages with WITH, or those before --until, or both together
    #[arg(long, conflicts_with_all = ["search", "since", "room"])]
    purge: bool,
    /// Print one JSON object a message, or a conversation
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    if command.purge {
        return purge(&command).await;
    }
    let look = command.store.look()?;
    if let Some(words) = &command.search {
        return search(&command, &look, words);
    }
    if command.with.is_none() && command.since.is_none() && command.until.is_none() {
        return conversations(&command, &look);
    }
    messages(&command, &look)
}

impl Command {
    /// When the messages were sent.
    fn sent(&self) -> Range<WallTime> {
        let since = self.since.unwrap_or(WallTime::from_unix_ms(i64::MIN));
        since..self.until.unwrap_or(WallTime::MAX)
    }

    fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// What to do if nothing was found.
    fn none(&self) -> &'static str {
        if self.with.is_some() || self.search.is_some() || self.since.is_some() {
            "there is no such message in the history"
        } else {
            "the history is empty: send and listen write it with --history"
        }
    }

    /// Prints the messages, the oldest first.
    fn print(&self, entries: &[Entry]) -> Outcome {
        if entries.is_empty() && !self.json {
            let _ = print(self.none())?;
        }
        for entry in entries {
            let text = match self.json {
                true => json_line(&show::json(entry)),
                false => show::lines(entry, self.with.is_some(), self.room),
            };
            if print(&text)? == Reader::Gone {
                break;
            }
        }
        Ok(Exit::Done)
    }
}

fn messages(command: &Command, look: &Look) -> Outcome {
    let history = HistoryReader::new(&look.reader);
    let sent = command.sent();
    let mut before = Place {
        at: sent.end,
        row: i64::MIN,
    };
    // From the end backwards, page by page.
    let mut pages: Vec<Vec<Entry>> = Vec::new();
    let mut left = command.limit();
    while left > 0 {
        let most = left.min(History::MOST);
        let page = history.latest(command.with.as_ref(), sent.start, before, most);
        let page = look.told(page)?;
        let Some(first) = page.first() else { break };
        before = first.place;
        left -= page.len();
        pages.push(page);
    }
    pages.reverse();
    command.print(&pages.concat())
}

fn search(command: &Command, look: &Look, words: &str) -> Outcome {
    let most = command.limit().min(History::MOST);
    let history = HistoryReader::new(&look.reader);
    let found = history.search(words, command.with.as_ref(), &command.sent(), most);
    let mut entries: Vec<Entry> = look.told(found)?.into_iter().map(|f| f.entry).collect();
    entries.sort_by_key(|entry| entry.place);
    command.print(&entries)
}

fn conversations(command: &Command, look: &Look) -> Outcome {
    let history = HistoryReader::new(&look.reader);
    let mut all = Vec::new();
    let limit = command.limit();
    while all.len() < limit {
        let most = (limit - all.len()).min(History::MOST);
        let some = look.told(history.conversations(all.len(), most))?;
        if some.is_empty() {
            break;
        }
        all.extend(some);
    }
    if command.json {
        for conversation in &all {
            if print(&json_line(&show::conversation_json(conversation)))? == Reader::Gone {
                break;
            }
        }
        return Ok(Exit::Done);
    }
    let _ = print(&match all.is_empty() {
        true => command.none().to_owned(),
        false => show::conversations(&all, crate::kept::now(), crate::terminal::columns()),
    })?;
    Ok(Exit::Done)
}

async fn purge(command: &Command) -> Outcome {
    if command.with.is_none() && command.until.is_none() {
        return Err(Failure::usage(
            "--purge removes for good: say which messages, by WITH, by --until TIME (--until 0s \
             is all), or by both",
        ));
    }
    let owned = command.store.open().await?;
    let before = command.until.unwrap_or(WallTime::MAX);
    let mut removed = 0;
    {
        let failed = |e: &dyn std::error::Error| Failure::failed(one_line(e));
        let history = History::open(owned.transactor()?, HistoryConfig::default()).await;
        let history = history.map_err(|e| failed(&e))?;
        loop {
            let gone = match &command.with {
                Some(with) => history.forget_conversation(with, before).await,
                None => history.forget_before(before).await,
            };
            let gone = gone.map_err(|e| failed(&e))?;
            removed += gone as u64;
            if gone < History::MOST {
                break;
            }
        }
    }
    owned.close().await?;
    let _ = print(&if command.json {
        json_line(&json!({ "outcome": "purged", "messages": removed }))
    } else {
        format!("removed {}", counted(removed, "message", "messages"))
    })?;
    Ok(Exit::Done)
}
