//! Messages and conversations of the history, for people and for programs.

use serde_json::{Value, json};
use stanchion::reliability::store::WallTime;
use stanchion::services::history::{Conversation, Direction, Entry, Progress};

use crate::age::{ago, rfc3339};
use crate::kept::clock;
use crate::table::Table;
use crate::terminal::harmless;

/// What of a conversation's latest message is shown, in characters.
const GLIMPSE: usize = 200;

/// A message: when, who, what, and what became of it. Further lines of it are indented.
pub(super) fn lines(entry: &Entry, one_conversation: bool, room: bool) -> String {
    let at = humantime::format_rfc3339_seconds(clock(entry.place.at));
    let who = who(entry, one_conversation, room);
    let mut body = entry.body.lines();
    let first = body.next().unwrap_or_default();
    let mut text = harmless(&format!("{at}  {who}: {first}"));
    for line in body {
        text.push_str("\n    ");
        text.push_str(&harmless(line));
    }
    let marks = marks(entry);
    if !marks.is_empty() {
        text.push_str(&harmless(&format!("  [{}]", marks.join(", "))));
    }
    text
}

fn who(entry: &Entry, one_conversation: bool, room: bool) -> String {
    if entry.direction == Direction::Out {
        return match one_conversation {
            true => "me".to_owned(),
            false => format!("me to {}", entry.conversation),
        };
    }
    match &entry.author {
        Some(author) if room => author.resource().unwrap_or(author.as_str()).to_owned(),
        _ => entry.conversation.to_string(),
    }
}

/// What is to be said of a message besides its text.
fn marks(entry: &Entry) -> Vec<String> {
    let mut marks = Vec::new();
    if entry.edits > 0 {
        marks.push("corrected".to_owned());
    }
    if let Some(progress) = entry.progress {
        marks.push(match &entry.why {
            Some(why) => format!("{}: {why}", word(progress)),
            None => word(progress).to_owned(),
        });
    }
    if entry.displayed {
        marks.push("displayed".to_owned());
    }
    marks
}

/// How far a message of ours has come, in words that programs may compare.
const fn word(progress: Progress) -> &'static str {
    match progress {
        Progress::Writing => "not sent",
        Progress::Accepted => "waits",
        Progress::ServerAccepted => "at the server",
        Progress::Acknowledged => "acknowledged",
        Progress::Delivered => "delivered",
        Progress::Transmitted => "transmitted",
        Progress::NotDelivered => "not delivered",
        Progress::InDoubt => "in doubt",
        Progress::Elsewhere => "by another device",
        _ => "unknown",
    }
}

/// A message for programs.
pub(super) fn json(entry: &Entry) -> Value {
    json!({
        "at": rfc3339(clock(entry.place.at)),
        "with": entry.conversation.to_string(),
        "direction": match entry.direction {
            Direction::In => "in",
            Direction::Out => "out",
        },
        "author": entry.author.as_ref().map(ToString::to_string),
        "id": entry.id,
        "body": entry.body,
        "outcome": entry.progress.map(word),
        "final": entry.progress.map(Progress::is_final),
        "why": entry.why,
        "corrected": entry.edits,
        "reply_to": entry.reply_to,
        "thread": entry.thread,
        "displayed": entry.displayed,
        "unread": entry.unread,
    })
}

/// The conversations as a table.
pub(super) fn conversations(all: &[Conversation], now: WallTime, columns: usize) -> String {
    let mut table = Table::new(&["WITH", "LATEST MESSAGE", "WHEN"]);
    for conversation in all {
        let latest = &conversation.latest;
        let own = match latest.direction {
            Direction::In => "",
            Direction::Out => "me: ",
        };
        let glimpse: String = latest.body.chars().take(GLIMPSE).collect();
        let glimpse = glimpse.replace(['\n', '\r', '\t'], " ");
        table.row(vec![
            vec![harmless(conversation.with.as_str())],
            vec![harmless(&format!("{own}{glimpse}"))],
            vec![ago(clock(latest.place.at), clock(now))],
        ]);
    }
    table.render(columns)
}

/// A conversation for programs.
pub(super) fn conversation_json(conversation: &Conversation) -> Value {
    json!({
        "with": conversation.with.to_string(),
        "unread": conversation.unread,
        "latest": json(&conversation.latest),
    })
}
