//! A process is killed while it writes: every message it was told is durable
//! must be there. (A power cut is not shown here: the system's cache survives
//! a kill. That each commit is flushed is a unit test.)

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first error"
)]

mod store;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use stanchion_reliability::store::{
    InboundFilter, InboundKey, InboundQuery, Op, OutboundQuery, SqliteStore, Store, StoreError,
};
use store::{inbound, opening, outbound};

const PATH: &str = "STANCHION_TEST_STORE";
const MARK: &str = "durable ";

/// Batches in flight at once, so that a kill meets a group.
const IN_FLIGHT: usize = 16;

#[tokio::test]
#[ignore = "the other half of what_was_durable_survives_a_kill, which starts it"]
async fn child_that_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else {
        return;
    };
    let store = SqliteStore::open(path, &opening()).unwrap();
    let first = store.recover(0).await.unwrap().next_seq;
    let mut tickets = std::collections::VecDeque::new();
    for seq in first.. {
        let id = seq.to_string();
        let batch = vec![
            Op::PutOutbound(outbound(seq, &id)),
            Op::PutInbound(inbound("a@b", &id)),
        ];
        tickets.push_back((seq, store.submit(batch).unwrap()));
        if tickets.len() == IN_FLIGHT
            && let Some((seq, ticket)) = tickets.pop_front()
        {
            ticket.await.unwrap();
            // Past the harness's capture, and each line at once.
            let mut out = std::io::stdout().lock();
            writeln!(out, "{MARK}{seq}").unwrap();
            out.flush().unwrap();
        }
    }
}

/// The child, killed and reaped at the latest when the test ends.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn what_was_durable_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let mut told = 0;
    for (round, lines) in [1, 40, 200, 97].into_iter().enumerate() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_it_is_killed"])
            .args(["--ignored", "--nocapture"])
            .env(PATH, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut child = Writer(child);
        let mut output = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut durable = |line: String| {
            if let Some(seq) = line.strip_prefix(MARK) {
                told = seq.parse().unwrap();
                true
            } else {
                false
            }
        };
        let mut seen = 0;
        while seen < lines {
            let line = output.next().expect("the child died early").unwrap();
            seen += usize::from(durable(line));
        }
        // It lives, so the store is its.
        let refused = SqliteStore::open(&path, &opening());
        assert!(matches!(refused, Err(StoreError::InUse { .. })));
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        // A torn last line names a smaller number, which must be there as well.
        for line in output.map_while(Result::ok) {
            durable(line);
        }

        let store = SqliteStore::open(&path, &opening()).unwrap();
        assert_eq!(store.identity().boot_count, 2 * round as u64 + 2);
        let recovered = store.recover(0).await.unwrap();
        let kept = recovered.counts.accepted;
        assert!(kept >= told, "{kept} kept, {told} told");
        // Contiguous, and both halves of each batch or none.
        assert_eq!(recovered.next_seq, kept + 1);
        assert_eq!(recovered.counts.kept, kept);
        let last = store.outbound(&told.to_string()).await.unwrap();
        assert_eq!(last, Some(outbound(told, &told.to_string())));
        let key = InboundKey::new("a@b", told.to_string());
        assert!(store.inbound(&key).await.unwrap().is_some());
        assert_order(&store, kept).await;
    }
}

async fn assert_order(store: &SqliteStore, kept: u64) {
    for after in (0..kept).step_by(100) {
        let expected = Vec::from_iter(after + 1..=kept.min(after + 100));
        let outbound = store.outbound_page(OutboundQuery {
            after,
            ..OutboundQuery::default()
        });
        let inbound = store.inbound_page(InboundQuery {
            filter: InboundFilter::All,
            after,
            ..InboundQuery::default()
        });
        let seqs = Vec::from_iter(outbound.await.unwrap().iter().map(|record| record.seq));
        assert_eq!(seqs, expected);
        let arrivals = Vec::from_iter(inbound.await.unwrap().iter().map(|r| r.arrival));
        assert_eq!(arrivals, expected);
    }
}
