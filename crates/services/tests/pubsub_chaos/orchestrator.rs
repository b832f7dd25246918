//! Starts both ends, kills them as a seed says, starts them again, and reads in the end
//! what took effect.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use stanchion_reliability::store::{Opening, Seed, SqliteStore, Store as _, WallTime, rusqlite};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::Options;
use crate::place::Place;

/// Without any progress for so long, a run has failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// An end that runs.
struct End {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl End {
    async fn tell(&mut self, effects: u64) {
        let line = format!("{effects}\n");
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(line.as_bytes()).await.unwrap();
    }
}

struct Run {
    place: Place,
    node: String,
    items: u64,
    folder: tempfile::TempDir,
    users: [String; 2],
}

const NAMES: [&str; 2] = ["publisher", "subscriber"];

impl Run {
    fn start(&self, which: usize) -> End {
        let store = self.folder.path().join(NAMES[which]);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--end", NAMES[which], "--user", &self.users[which]])
            .args(["--node", &self.node, "--items", &self.items.to_string()])
            .arg("--store")
            .arg(store)
            .args(self.place.to_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        End { child, lines }
    }
}

/// A sequence that a seed gives (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }
}

/// What took effect, in order, and which gaps were told.
struct Effects {
    numbers: Vec<u64>,
    late: u64,
    gaps: Vec<(u64, u64)>,
}

pub(crate) async fn run(options: &Options) {
    let kind = options.text("server").unwrap_or("hub");
    let items = options.number("items", 1000);
    let kills = options.number("kills", 4);
    let own = u64::from(std::process::id());
    let seed = options.number("seed", own);
    let folder = tempfile::tempdir().unwrap();
    let users = NAMES.map(|name| format!("chaos-{own}-{name}"));
    let names = [users[0].as_str(), users[1].as_str()];
    let (place, running) = Place::open(kind, names, folder.path()).await;
    let run = Run {
        place,
        node: format!("chaos-{own}"),
        items,
        folder,
        users,
    };
    let began = Instant::now();
    let mut random = Random(seed);
    // Which end is killed once so many took effect, a little later.
    let mut plan: Vec<(u64, usize)> = (0..kills)
        .map(|_| (random.next(items * 95 / 100), random.next(2) as usize))
        .collect();
    plan.sort_unstable();
    let mut plan = plan.into_iter().peekable();
    let mut publisher = run.start(0);
    let there =
        async { while publisher.lines.next_line().await.unwrap().expect("it runs") != "there" {} };
    let there = tokio::time::timeout(PATIENCE, there).await;
    there.expect("the node is there in time");
    let mut ends = [publisher, run.start(1)];
    let (mut effects, mut done) = (0, false);
    let mut killed = [0_u32; 2];
    while !done || effects < items {
        let [publisher, subscriber] = &mut ends;
        let line = tokio::time::timeout(PATIENCE, async {
            tokio::select! {
                line = publisher.lines.next_line() => (0, line),
                line = subscriber.lines.next_line() => (1, line),
            }
        });
        let Ok((which, line)) = line.await else {
            panic!("nothing happened for {PATIENCE:?} at {effects} of {items}, seed {seed}");
        };
        let Some(line) = line.unwrap() else {
            let status = ends[which].child.wait().await.unwrap();
            panic!(
                "the {} ended by itself: {status}, seed {seed}",
                NAMES[which]
            );
        };
        match line.split_once(' ') {
            Some(("effect", number)) => {
                effects = number.parse().unwrap();
                ends[0].tell(effects).await;
            }
            None if line == "done" => done = true,
            _ => {}
        }
        while let Some((_, which)) = plan.next_if(|(at, _)| *at <= effects) {
            tokio::time::sleep(Duration::from_millis(random.next(40))).await;
            let end = &mut ends[which];
            // SIGKILL: nothing of it runs any more.
            end.child.start_kill().unwrap();
            end.child.wait().await.unwrap();
            killed[which] += 1;
            done &= which != 0;
            ends[which] = run.start(which);
            if which == 0 {
                ends[0].tell(effects).await;
            }
        }
    }
    let took = began.elapsed();
    for end in &mut ends {
        drop(end.child.stdin.take());
        let status = tokio::time::timeout(PATIENCE, end.child.wait()).await;
        assert!(status.unwrap().unwrap().success());
    }
    let found = read(&run.folder.path().join("subscriber")).await;
    running.stop().await;
    conclude(&found, items, seed);
    let rate = items as f64 / took.as_secs_f64();
    println!(
        "{kind}: {items} items, {} kills of the publisher and {} of the subscriber (SIGKILL), \
         {took:.1?}, {rate:.0} items/s: each took effect once and in order, {} of them late, \
         no gap; seed {seed}",
        killed[0], killed[1], found.late
    );
    assert_eq!(u64::from(killed[0] + killed[1]), kills);
}

/// No gap, nothing twice, in order.
fn conclude(found: &Effects, items: u64, seed: u64) {
    let mut times = BTreeMap::new();
    for number in &found.numbers {
        *times.entry(*number).or_insert(0) += 1;
    }
    let missing: Vec<_> = (1..=items).filter(|n| !times.contains_key(n)).collect();
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(
        missing.is_empty(),
        "missing: {missing:?}, gaps {:?}, seed {seed}",
        found.gaps
    );
    assert!(twice.is_empty(), "more than once: {twice:?}, seed {seed}");
    assert_eq!(found.numbers.len() as u64, items);
    assert!(
        found.gaps.is_empty(),
        "told as gaps: {:?}, seed {seed}",
        found.gaps
    );
    let disorder = found
        .numbers
        .windows(2)
        .filter(|pair| pair[0] > pair[1])
        .count();
    assert_eq!(disorder as u64, found.late, "out of order, seed {seed}");
}

async fn read(path: &Path) -> Effects {
    let opening = Opening::new(Seed::from_os().unwrap(), WallTime::from_unix_ms(0));
    let store = SqliteStore::open(path, &opening).unwrap();
    let read = store.transact(|tx| {
        let mut numbers = Vec::new();
        let mut late = 0;
        let mut statement = tx.prepare("SELECT number, late FROM app_effects ORDER BY at")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            numbers.push(row.get::<_, i64>(0)? as u64);
            late += row.get::<_, i64>(1)? as u64;
        }
        let mut statement = tx.prepare("SELECT first, last FROM app_gaps")?;
        let gaps = statement.query_map([], |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64))
        })?;
        Ok::<_, rusqlite::Error>(Effects {
            numbers,
            late,
            gaps: gaps.collect::<Result<_, _>>()?,
        })
    });
    let effects = read.await.unwrap();
    Box::new(store).close().await.unwrap();
    effects
}
