//! The sender's outbox, read while no session holds it: which numbers were accepted, and
//! what became of them.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use stanchion::reliability::store::{
    Check, MAX_PAGE, Opening, OutboundFilter, OutboundQuery, OutboundRecord, OutboundState, Seed,
    SqliteStore, Store as _, StoreError, WallTime,
};

use super::number_in;
use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::terminal::print;

/// Shows every record, in the order in which the messages were accepted.
///
/// # Errors
/// The store's.
pub(super) async fn read(
    path: &Path,
    mut each: impl FnMut(&OutboundRecord),
) -> Result<(), Failure> {
    let broken = |e: StoreError| Failure::failed(format!("{}: {}", path.display(), one_line(&e)));
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = WallTime::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    let mut opening = Opening::new(Seed::from_os().map_err(broken)?, now);
    // The session's own opening looks the file over.
    opening.check = Check::Never;
    let store = SqliteStore::open(path, &opening).map_err(broken)?;
    let mut after = 0;
    loop {
        let query = OutboundQuery {
            filter: OutboundFilter::All,
            after,
            limit: MAX_PAGE,
            ..OutboundQuery::default()
        };
        let page = store.outbound_page(query).await.map_err(broken)?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        page.iter().for_each(&mut each);
    }
    Box::new(store).close().await.map_err(broken)
}

/// Prints the outbox: a line a message, `SEQ ID NUMBER STATE DEADLINE`, the last in
/// milliseconds of Unix time.
pub(super) async fn list(path: &Path) -> Outcome {
    let mut lines = String::new();
    read(path, |record| {
        let number = number_of(record).map_or_else(|| "-".to_owned(), |n| n.to_string());
        let state = word(&record.state);
        let deadline = record
            .deadline
            .map_or_else(|| "-".to_owned(), |at| at.as_unix_ms().to_string());
        let (seq, id) = (record.seq, &record.id);
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{seq} {id} {number} {state} {deadline}");
    })
    .await?;
    let _ = print(lines.trim_end())?;
    Ok(Exit::Done)
}

/// Which of the numbered messages a record is; none of ours has none.
pub(super) fn number_of(record: &OutboundRecord) -> Option<u64> {
    let stanza = std::str::from_utf8(&record.stanza).ok()?;
    let (_, rest) = stanza.split_once("<body>")?;
    number_in(rest.split_once("</body>")?.0)
}

/// A state in one word. One that is not known here is `unknown`, which no run passes with.
const fn word(state: &OutboundState) -> &'static str {
    match state {
        OutboundState::Accepted | OutboundState::InFlight | OutboundState::ServerAccepted => "open",
        OutboundState::Acknowledged => "acknowledged",
        OutboundState::Delivered => "delivered",
        OutboundState::NotDelivered { .. } => "not-delivered",
        OutboundState::InDoubt { .. } => "in-doubt",
        _ => "unknown",
    }
}
