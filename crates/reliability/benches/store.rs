//! What group commit is worth: one producer that waits for each commit, and 16
//! that wait together. The ratio is of one run, on the disk of the system's
//! temporary folder (set `TMPDIR` for another).

use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stanchion_reliability::store::{
    Op, Opening, OutboundRecord, OutboundState, Seed, SqliteStore, Store, StoreId, WallTime,
};

const PRODUCERS: u64 = 16;

fn record(seq: u64) -> OutboundRecord {
    let now = WallTime::from_unix_ms(1_700_000_000_000);
    OutboundRecord {
        seq,
        id: format!("01890a5d-ac96-774b-bcce-{seq:012x}"),
        to: "pump@plant.example".into(),
        channel: String::new(),
        stanza: vec![b'x'; 500].into(),
        accepted_at: now,
        deadline: Some(now),
        protection: 0,
        state: OutboundState::Accepted,
        attempts: 0,
        updated_at: now,
        boot: 1,
        place: 0,
        prev: None,
    }
}

/// Keeps `rounds` messages of each of `producers`, each waiting for its commit
/// before its next message.
#[expect(clippy::expect_used, reason = "a bench stops at the first error")]
async fn produce(store: &SqliteStore, next: &mut u64, producers: u64, rounds: u64) {
    for _ in 0..rounds {
        let tickets: Vec<_> = (0..producers)
            .map(|_| {
                *next += 1;
                store
                    .submit(vec![Op::PutOutbound(record(*next))])
                    .expect("the queue holds 16")
            })
            .collect();
        for ticket in tickets {
            ticket.await.expect("durable");
        }
    }
}

#[expect(clippy::expect_used, reason = "a bench stops at the first error")]
#[expect(clippy::print_stdout, reason = "the ratio is the result")]
fn store(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seed = Seed {
        store_id: StoreId([7; 16]),
        boot_token: 1,
    };
    let opening = Opening::new(seed, WallTime::default());
    let store = SqliteStore::open(folder.path().join("s.db"), &opening).expect("a store");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut next = 0;

    let mut rate = |producers, rounds| {
        let start = Instant::now();
        runtime.block_on(produce(&store, &mut next, producers, rounds));
        (producers * rounds) as f64 / start.elapsed().as_secs_f64()
    };
    rate(1, 50);
    let alone = rate(1, 500);
    let together = rate(PRODUCERS, 500);
    println!(
        "one commit each: {alone:.0}/s; {PRODUCERS} producers: {together:.0}/s; ratio {:.1}",
        together / alone
    );

    let mut group = criterion.benchmark_group("store");
    for producers in [1, PRODUCERS] {
        group.throughput(Throughput::Elements(producers));
        group.bench_function(format!("{producers} producers"), |bencher| {
            bencher.iter(|| runtime.block_on(produce(&store, &mut next, producers, 1)));
        });
    }
    group.finish();
}

criterion_group!(benches, store);
criterion_main!(benches);
