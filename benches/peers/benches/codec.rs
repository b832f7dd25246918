//! Time for 1,000 stanzas of the corpus, in portions of 8 KiB. Goals are set in
//! `cargo xtask bench codec`, as ratios of what is measured here in one run.

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stanchion_peers_bench::{PORTION, corpus, ours, scans, theirs};

const STANZAS: usize = 1000;

/// How much one iteration reads or writes.
fn amount(stream: &str) -> Throughput {
    Throughput::ElementsAndBytes {
        elements: STANZAS as u64,
        bytes: stream.len() as u64,
    }
}

fn decode(criterion: &mut Criterion) {
    let stream: String = corpus::stanzas(STANZAS)
        .into_iter()
        .map(|(_, s)| s)
        .collect();
    let portions = || black_box(stream.as_bytes()).chunks(PORTION);
    let mut group = criterion.benchmark_group("decode");
    group.throughput(amount(&stream));
    group.bench_function("ours, elements", |b| {
        let mut decoder = ours::decoder();
        b.iter(|| {
            for portion in portions() {
                ours::elements(&mut decoder, portion, |e| {
                    black_box(e);
                });
            }
        });
    });
    group.bench_function("ours, envelopes", |b| {
        let mut decoder = ours::decoder();
        b.iter(|| {
            for portion in portions() {
                ours::elements(&mut decoder, portion, |e| {
                    black_box(ours::envelope(e));
                });
            }
        });
    });
    group.bench_function("ours, payloads", |b| {
        let mut decoder = ours::decoder();
        b.iter(|| {
            for portion in portions() {
                ours::elements(&mut decoder, portion, |e| {
                    let envelope = ours::envelope(e);
                    ours::typed(&envelope, |payload| {
                        black_box(payload);
                    });
                    black_box(envelope);
                });
            }
        });
    });
    group.bench_function("xmpp-parsers, envelopes", |b| {
        let mut decoder = theirs::Decoder::<theirs::Envelope>::new();
        b.iter(|| {
            for portion in portions() {
                decoder.elements(portion, |e| {
                    black_box(e);
                });
            }
        });
    });
    group.bench_function("xmpp-parsers, payloads", |b| {
        let mut decoder = theirs::Decoder::<theirs::Envelope>::new();
        b.iter(|| {
            for portion in portions() {
                decoder.elements(portion, |e| {
                    theirs::typed(e, |payload| {
                        black_box(payload);
                    });
                });
            }
        });
    });
    group.bench_function("minidom, elements", |b| {
        let mut decoder = theirs::Decoder::<minidom::Element>::new();
        b.iter(|| {
            for portion in portions() {
                decoder.elements(portion, |e| {
                    black_box(e);
                });
            }
        });
    });
    group.bench_function("rxml, events", |b| {
        let mut parser = rxml::Parser::default();
        theirs::events(&mut parser, stanchion_peers_bench::HEADER.as_bytes(), drop);
        b.iter(|| {
            for portion in portions() {
                theirs::events(&mut parser, portion, |event| {
                    black_box(event);
                });
            }
        });
    });
    group.bench_function("quick-xml, events", |b| {
        b.iter(|| scans::events(black_box(&stream)));
    });
    group.bench_function("quick-xml, resolved events", |b| {
        b.iter(|| scans::resolved(black_box(&stream)));
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let stream: String = corpus::stanzas(STANZAS)
        .into_iter()
        .map(|(_, s)| s)
        .collect();
    let mut decoded = Vec::new();
    let mut built = Vec::new();
    for each in [true, false] {
        ours::elements(&mut ours::decoder(), stream.as_bytes(), |e| {
            let envelope = ours::envelope(e);
            if each {
                decoded.push(envelope);
            } else {
                built.push(ours::built(envelope));
            }
        });
    }
    let mut parsed = Vec::new();
    theirs::Decoder::<theirs::Envelope>::new().elements(stream.as_bytes(), |e| parsed.push(e));
    let mut group = criterion.benchmark_group("encode");
    group.throughput(amount(&stream));
    for (name, envelopes) in [("ours, built", &built), ("ours, decoded", &decoded)] {
        group.bench_function(name, |b| {
            let encoder = ours::encoder();
            let mut out = Vec::with_capacity(2 * stream.len());
            b.iter(|| {
                out.clear();
                for envelope in envelopes {
                    ours::write(&encoder, black_box(envelope), &mut out);
                }
                assert!(out.len() > stream.len() / 2);
            });
        });
    }
    group.bench_function("xmpp-parsers", |b| {
        let mut encoder = theirs::encoder();
        let mut out = BytesMut::with_capacity(2 * stream.len());
        b.iter(|| {
            out.clear();
            for envelope in &parsed {
                theirs::write(&mut encoder, black_box(envelope), &mut out);
            }
            assert!(out.len() > stream.len() / 2);
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .without_plots();
    targets = decode, encode
}
criterion_main!(benches);
