//! Allocations of one stanza, by kind: calls of the allocator that give memory (`alloc`
//! and `realloc`), the mean of 200 stanzas in the middle of a stream. One line for each
//! kind and reader: `kind<TAB>reader<TAB>count`.

use std::alloc::System;
use std::hint::black_box;

use stanchion_peers_bench::corpus::{self, Kind};
use stanchion_peers_bench::{ours, theirs};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const STANZAS: usize = 200;

fn main() {
    for kind in Kind::ALL {
        let stanzas = corpus::of(kind, 2 * STANZAS);
        let mut decoder = ours::decoder();
        report(kind, "ours, envelopes", &stanzas, |stanza| {
            ours::elements(&mut decoder, stanza, |e| {
                black_box(ours::envelope(e));
            });
        });
        report(kind, "ours, payloads", &stanzas, |stanza| {
            ours::elements(&mut decoder, stanza, |e| {
                let envelope = ours::envelope(e);
                ours::typed(&envelope, |payload| {
                    black_box(payload);
                });
            });
        });
        let mut decoder = theirs::Decoder::<theirs::Envelope>::new();
        report(kind, "xmpp-parsers, envelopes", &stanzas, |stanza| {
            decoder.elements(stanza, |e| {
                black_box(e);
            });
        });
        report(kind, "xmpp-parsers, payloads", &stanzas, |stanza| {
            decoder.elements(stanza, |e| {
                theirs::typed(e, |payload| {
                    black_box(payload);
                });
            });
        });
        let mut decoder = theirs::Decoder::<minidom::Element>::new();
        report(kind, "minidom, elements", &stanzas, |stanza| {
            decoder.elements(stanza, |e| {
                black_box(e);
            });
        });
    }
}

/// The first half makes it warm.
fn report(kind: Kind, reader: &str, stanzas: &[String], mut read: impl FnMut(&[u8])) {
    let (warm, counted) = stanzas.split_at(STANZAS);
    for stanza in warm {
        read(stanza.as_bytes());
    }
    let region = Region::new(ALLOCATOR);
    for stanza in counted {
        read(stanza.as_bytes());
    }
    let change = region.change();
    let calls = change.allocations + change.reallocations;
    println!(
        "{}\t{reader}\t{:.1}",
        kind.name(),
        calls as f64 / counted.len() as f64
    );
}
