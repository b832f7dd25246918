//! A process is killed while it commits messages with their effects: after the next start
//! each message took effect once, and each that its sender was told of is there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first error"
)]

mod peer;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use peer::{Peer, opening};
use stanchion_connect::memory::MemoryConnect;
use stanchion_reliability::session::{Session, SessionConfig};
use stanchion_reliability::store::rusqlite::{Connection, Error, Transaction};
use stanchion_reliability::store::{InboundFilter, InboundQuery, SqliteReader, SqliteStore};
use stanchion_stanza::payload::delivery::VerdictState;
use tokio::time::timeout;

const PATH: &str = "STANCHION_TEST_EFFECTS";
const MARK: &str = "delivered ";
/// Messages on their way at once; the sender says all of them again after a restart.
const WINDOW: u64 = 24;

#[tokio::test]
#[ignore = "the other half of each_effect_is_there_once_after_any_number_of_kills, which starts it"]
async fn child_that_commits_until_it_is_killed() {
    let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else {
        return;
    };
    let store = SqliteStore::open(&path, &opening()).unwrap();
    let first = store
        .transact(|tx: &Transaction<'_>| {
            tx.execute_batch("CREATE TABLE IF NOT EXISTS app_seen (seq INTEGER)")?;
            tx.query_row("SELECT ifnull(max(seq), 0) FROM app_seen", [], |row| {
                row.get::<_, i64>(0)
            })
        })
        .await
        .unwrap();
    let first = u64::try_from(first).unwrap();
    let (connect, mut server) = MemoryConnect::new();
    let config = SessionConfig::default();
    let started = Session::start(Arc::new(connect), Box::new(store), config).await;
    let (_session, mut receiver) = started.unwrap();
    let application = async {
        while let Some(received) = receiver.recv().await {
            let seq: i64 = received.id().unwrap().parse().unwrap();
            let effect = move |tx: &Transaction<'_>| {
                tx.execute("INSERT INTO app_seen VALUES (?1)", [seq])?;
                // Some fail at first, after they did something.
                Err::<(), Error>(Error::InvalidQuery)
            };
            if seq % 3 == 0 {
                received.commit_with(effect).await.unwrap_err();
            }
            received
                .commit_with(move |tx| tx.execute("INSERT INTO app_seen VALUES (?1)", [seq]))
                .await
                .unwrap();
        }
    };
    let sender = async {
        let mut peer = Peer::accept(&mut server).await;
        // What it was not told of by the last process, and what it was.
        peer.low = first.saturating_sub(WINDOW).max(1);
        let mut next = peer.low;
        let mut awaited = next;
        loop {
            while next < awaited + WINDOW {
                peer.low = peer.low.max(next.saturating_sub(2 * WINDOW));
                peer.send(&next.to_string(), next).await;
                next += 1;
            }
            let verdict = timeout(Duration::from_secs(60), peer.verdict(awaited)).await;
            assert_eq!(verdict.unwrap(), VerdictState::Delivered);
            let mut out = std::io::stdout().lock();
            writeln!(out, "{MARK}{awaited}").unwrap();
            out.flush().unwrap();
            awaited += 1;
        }
    };
    tokio::join!(application, sender);
}

/// The child, killed and reaped at the latest when the test ends.
struct Committer(Child);

impl Drop for Committer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn each_effect_is_there_once_after_any_number_of_kills() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let mut told = 0_i64;
    for lines in [1, 30, 90, 7, 61, 2] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_commits_until_it_is_killed"])
            .args(["--ignored", "--nocapture"])
            .env(PATH, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut child = Committer(child);
        let mut output = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut heard = |line: String| {
            let seq = line.strip_prefix(MARK).and_then(|n| n.parse().ok());
            told = told.max(seq.unwrap_or(0));
            seq.is_some()
        };
        let mut seen = 0;
        while seen < lines {
            let line = output.next().expect("the child died early").unwrap();
            seen += usize::from(heard(line));
        }
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        for line in output.map_while(Result::ok) {
            heard(line);
        }
        judge(&path, told);
    }
}

fn judge(path: &Path, told: i64) {
    let reader = SqliteReader::open(path).unwrap();
    let file = Connection::open(path).unwrap();
    let seqs = || {
        let mut rows = file.prepare("SELECT seq FROM app_seen ORDER BY seq")?;
        rows.query_map([], |row| row.get(0))?
            .collect::<Result<Vec<i64>, _>>()
    };
    let seqs = seqs().unwrap();
    let last = seqs.last().copied().unwrap_or(0);
    // In order, without a gap, none twice.
    assert_eq!(seqs, Vec::from_iter(1..=last));
    assert!(last >= told, "{told} told, {last} there");
    // The mark on each message says what its effect says.
    let mut handled = 0;
    let mut query = InboundQuery {
        filter: InboundFilter::Handled,
        ..InboundQuery::default()
    };
    loop {
        let page = reader.inbound_page(&query).unwrap();
        let Some(end) = page.last() else { break };
        query.after = end.arrival;
        handled += page.len() as i64;
    }
    assert_eq!(handled, last);
}
