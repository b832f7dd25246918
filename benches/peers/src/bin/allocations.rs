//! Allocations of one stanza, by kind and in the whole corpus: calls of the allocator that
//! give memory (`alloc` and `realloc`), of stanzas in the middle of a stream. One line for
//! each kind and reader: `kind<TAB>reader<TAB>mean<TAB>worst`.

use std::alloc::System;
use std::hint::black_box;

use stanchion_peers_bench::corpus::{self, Kind};
use stanchion_peers_bench::{ours, theirs};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Stanzas counted of one kind.
const OF_A_KIND: usize = 200;
/// Stanzas counted of the corpus, one with a large body among them.
const OF_ALL: usize = 1000;

fn main() {
    for kind in Kind::ALL {
        count(kind.name(), &corpus::of(kind, 2 * OF_A_KIND));
    }
    let mixed: Vec<_> = corpus::stanzas(2 * OF_ALL)
        .into_iter()
        .map(|(_, stanza)| stanza)
        .collect();
    count("corpus", &mixed);
}

/// Every reader, each on a stream of its own.
fn count(kind: &str, stanzas: &[String]) {
    let mut decoder = ours::decoder();
    report(kind, "ours, envelopes", stanzas, |stanza| {
        ours::elements(&mut decoder, stanza, |e| {
            black_box(ours::envelope(e));
        });
    });
    report(kind, "ours, payloads", stanzas, |stanza| {
        ours::elements(&mut decoder, stanza, |e| {
            let envelope = ours::envelope(e);
            ours::typed(&envelope, |payload| {
                black_box(payload);
            });
        });
    });
    let mut decoder = theirs::Decoder::<theirs::Envelope>::new();
    report(kind, "xmpp-parsers, envelopes", stanzas, |stanza| {
        decoder.elements(stanza, |e| {
            black_box(e);
        });
    });
    report(kind, "xmpp-parsers, payloads", stanzas, |stanza| {
        decoder.elements(stanza, |e| {
            theirs::typed(e, |payload| {
                black_box(payload);
            });
        });
    });
    let mut decoder = theirs::Decoder::<minidom::Element>::new();
    report(kind, "minidom, elements", stanzas, |stanza| {
        decoder.elements(stanza, |e| {
            black_box(e);
        });
    });
}

/// The first half makes it warm.
fn report(kind: &str, reader: &str, stanzas: &[String], mut read: impl FnMut(&[u8])) {
    let (warm, counted) = stanzas.split_at(stanzas.len() / 2);
    for stanza in warm {
        read(stanza.as_bytes());
    }
    let (mut all, mut worst) = (0, 0);
    for stanza in counted {
        let region = Region::new(ALLOCATOR);
        read(stanza.as_bytes());
        let change = region.change();
        let calls = change.allocations + change.reallocations;
        all += calls;
        worst = worst.max(calls);
    }
    println!(
        "{kind}\t{reader}\t{:.2}\t{worst}",
        all as f64 / counted.len() as f64
    );
}
