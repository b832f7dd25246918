//! One reader or writer of the corpus, over and over, and nothing else: for a profiler.
//!
//! ```text
//! cd benches/peers && export CARGO_PROFILE_RELEASE_DEBUG=1
//! cargo build --release --bin profile
//! valgrind --tool=callgrind target/release/profile payloads 20
//! perf record target/release/profile envelopes 20000
//! ```
//!
//! `callgrind` counts instructions, which do not depend on what else the machine does: of
//! two versions of the codec, run it with the same arguments.

use std::hint::black_box;

use stanchion_peers_bench::{PORTION, corpus, ours};

const USAGE: &str = "usage: profile elements|envelopes|payloads|encode [TIMES]";
/// Stanzas of one round.
const STANZAS: usize = 1000;

fn main() {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let times = words.next().map_or(Ok(20), |times| times.parse::<u32>());
    let Ok(times) = times else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    let stream: String = corpus::stanzas(STANZAS)
        .into_iter()
        .map(|(_, stanza)| stanza)
        .collect();
    match &*what {
        "elements" => read(&stream, times, |element| {
            black_box(element);
        }),
        "envelopes" => read(&stream, times, |element| {
            black_box(ours::envelope(element));
        }),
        "payloads" => read(&stream, times, |element| {
            let envelope = ours::envelope(element);
            ours::typed(&envelope, |payload| {
                black_box(payload);
            });
        }),
        "encode" => write(&stream, times),
        _ => {
            eprintln!("{USAGE}");
            std::process::exit(2);
        }
    }
}

fn read(stream: &str, times: u32, mut each: impl FnMut(stanchion_stanza::Element)) {
    let mut decoder = ours::decoder();
    for _ in 0..times {
        for portion in black_box(stream.as_bytes()).chunks(PORTION) {
            ours::elements(&mut decoder, portion, &mut each);
        }
    }
}

fn write(stream: &str, times: u32) {
    let mut built = Vec::new();
    ours::elements(&mut ours::decoder(), stream.as_bytes(), |element| {
        built.push(ours::built(ours::envelope(element)));
    });
    let encoder = ours::encoder();
    let mut out = Vec::with_capacity(2 * stream.len());
    for _ in 0..times {
        out.clear();
        for envelope in &built {
            ours::write(&encoder, black_box(envelope), &mut out);
        }
        black_box(&out);
    }
}
