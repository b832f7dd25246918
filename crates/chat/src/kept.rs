//! The file of the kept messages, as `outbox`, `inbox` and `history` use it: which one, opened for a
//! look beside its owner, or for a change as its owner. What is in it is theirs to tell.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use stanchion::BareJid;
use stanchion::reliability::store::{
    Op, OpResult, Opening, Seed, SqliteReader, SqliteStore, Store as _, StoreError, Transactor,
    WallTime,
};
use stanchion::stanza::codec::parse_element;
use stanchion::stanza::{Limits, Message, Scope};

use crate::exit::{Failure, one_line};
use crate::settings::{messages_file, store_failure};
use crate::terminal::harmless;

/// Which store; the same for every verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreArgs {
    /// The file that keeps the messages (default: that of the account, in the data folder;
    /// without an account, that of the registered servers)
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// The account whose messages they are, as given to `send` and `listen`
    #[arg(long, value_name = "JID", env = "STANCHION_JID")]
    jid: Option<BareJid>,
    /// The configuration file (default: config.toml in the configuration folder)
    #[arg(long, value_name = "FILE", env = "STANCHION_CONFIG")]
    config: Option<PathBuf>,
}

impl StoreArgs {
    /// The file, which must be there: neither a look nor a change makes one.
    fn path(&self) -> Result<PathBuf, Failure> {
        let (store, config) = (self.store.as_deref(), self.config.as_deref());
        let path = messages_file(store, self.jid.as_ref(), config)?;
        if path.exists() {
            return Ok(path);
        }
        Err(Failure::usage(format!(
            "no messages are kept in {}: there is no such file; give the --store or the --jid \
             of the command that sent or listened",
            path.display()
        )))
    }

    /// Opens it for a look, whoever owns it. The reads block, which harms nobody: a command
    /// that looks does nothing else.
    pub(crate) fn look(&self) -> Result<Look, Failure> {
        Look::at(self.path()?)
    }

    /// Opens it for a change, as its only owner.
    pub(crate) async fn open(&self) -> Result<Owned, Failure> {
        let path = self.path()?;
        let failed = |error: &StoreError| match error {
            StoreError::InUse { .. } => Failure::failed(format!(
                "a session lives on {}, and what waits there is in its hands: end that \
                 command, then try again; list and show work meanwhile",
                path.display()
            )),
            error => store_failure(&path, error),
        };
        let opening = Seed::from_os().map(|seed| Opening::new(seed, now()));
        let opening = opening.map_err(|e| failed(&e))?;
        let file = path.clone();
        let store = tokio::task::spawn_blocking(move || SqliteStore::open(file, &opening))
            .await
            .map_err(|_| Failure::failed("the runtime shuts down; start again"))?
            .map_err(|e| failed(&e))?;
        let look = Look::at(path.clone())?;
        Ok(Owned {
            look,
            store: Box::new(store),
        })
    }
}

/// A look at a store.
#[derive(Debug)]
pub(crate) struct Look {
    path: PathBuf,
    pub(crate) reader: SqliteReader,
}

impl Look {
    fn at(path: PathBuf) -> Result<Self, Failure> {
        match SqliteReader::open(&path) {
            Ok(reader) => Ok(Self { path, reader }),
            Err(error) => Err(store_failure(&path, &error)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An answer of the store, or what to do about its error.
    pub(crate) fn told<T>(&self, answer: Result<T, StoreError>) -> Result<T, Failure> {
        answer.map_err(|e| store_failure(&self.path, &e))
    }
}

/// A store that nobody else has.
#[derive(Debug)]
pub(crate) struct Owned {
    pub(crate) look: Look,
    store: Box<SqliteStore>,
}

impl Owned {
    /// For what is kept beside the messages.
    pub(crate) fn transactor(&self) -> Result<Transactor, Failure> {
        let transactor = self.store.transactor();
        transactor.ok_or_else(|| Failure::failed("the store was closed; start again"))
    }

    /// Makes a change, durably, as one transaction.
    pub(crate) async fn change(&self, ops: Vec<Op>) -> Result<Vec<OpResult>, Failure> {
        let ticket = self.store.submit(ops);
        let ticket = ticket.map_err(|busy| Failure::failed(one_line(&busy)))?;
        Ok(self.look.told(ticket.await)?.results)
    }

    /// Removes what an op removes, as often as it takes, and counts payloads and rows.
    pub(crate) async fn prune(&self, op: Op) -> Result<(u64, u64), Failure> {
        let mut removed = (0, 0);
        loop {
            let results = self.change(vec![op.clone()]).await?;
            let Some(OpResult::Pruned {
                payloads,
                rows,
                more,
            }) = results.first()
            else {
                return Ok(removed);
            };
            removed = (removed.0 + payloads, removed.1 + rows);
            if !more {
                return Ok(removed);
            }
        }
    }

    /// Closes it.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        let Self { look, store } = self;
        look.told(store.close().await)
    }
}

/// The wall clock, as the store keeps times.
pub(crate) fn now() -> WallTime {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    WallTime::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// How long after `earlier` a time is; `None` if it is before.
pub(crate) fn between(earlier: WallTime, later: WallTime) -> Option<Duration> {
    let ms = later.as_unix_ms().checked_sub(earlier.as_unix_ms())?;
    u64::try_from(ms).ok().map(Duration::from_millis)
}

/// `time` after `start`, or the latest time that can be kept.
pub(crate) fn later(start: WallTime, time: Duration) -> WallTime {
    let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    WallTime::from_unix_ms(start.as_unix_ms().saturating_add(ms))
}

/// For [`crate::age::rfc3339`].
pub(crate) fn clock(time: WallTime) -> SystemTime {
    let ms = u64::try_from(time.as_unix_ms()).unwrap_or_default();
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms));
    // The formatter ends with the year 9999.
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    time.unwrap_or(last).min(last)
}

/// The message in a stanza that was kept; `None` if it cannot be read.
pub(crate) fn message(stanza: &[u8]) -> Option<Message> {
    let element = parse_element(stanza, &Scope::client(), &Limits::default()).ok()?;
    Message::from_element(element).ok()
}

/// What a message says and how it is written, for people; each line is harmless.
pub(crate) fn content(stanza: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    match message(stanza) {
        Some(message) => match message.body() {
            Some(body) => {
                lines.push("body:".to_owned());
                lines.extend(body.lines().map(|line| format!("  {}", harmless(line))));
            }
            None => lines.push("body:       none".to_owned()),
        },
        None => lines.push("body:       the stanza cannot be read".to_owned()),
    }
    lines.push("stanza:".to_owned());
    let text = String::from_utf8_lossy(stanza);
    lines.push(format!("  {}", harmless(&text)));
    lines
}

/// A count with its noun.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_are_held_at_their_ends() {
        let at = WallTime::from_unix_ms;
        assert_eq!(between(at(5), at(3)), None);
        assert_eq!(between(at(3), at(5)), Some(Duration::from_millis(2)));
        assert_eq!(between(at(-2), at(i64::MAX)), None);
        assert_eq!(later(at(1), Duration::MAX), WallTime::MAX);
        for time in [at(i64::MIN), WallTime::MAX] {
            assert!(crate::age::rfc3339(clock(time)).ends_with('Z'));
        }
    }

    #[test]
    fn what_a_stranger_wrote_is_shown_harmless() {
        let stanza =
            "<message xmlns='jabber:client' from='a@b'><body>one\u{9b}2J\ntwo</body></message>";
        let shown = content(stanza.as_bytes());
        assert_eq!(shown[..3], ["body:", r"  one\u{9b}2J", "  two"]);
        assert!(!shown.concat().contains('\u{9b}'));
        assert!(content(b"<mess\xff")[0].contains("cannot be read"));
    }
}
