//! Speed of the codec, in bytes of XML: what a client reads and writes all day, and a
//! large message. rxml parses the same in the same run, to events without a tree, so
//! that its numbers say how near to bare parsing a tree can come.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rxml::{Parse as _, Parser, WithOptions as _};
use stanchion_stanza::{
    Decoder, Element, Encoder, Limits, Scope, StreamEvent, codec::parse_element,
};

const HEADER: &str = "<stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

const MESSAGE: &str = "<message from='lamp@example.org/hall' to='panel@example.org/desk' \
    id='0192f0c1-7d2e-7a50-b3a1-0c6d1f5a9e21' type='chat'>\
    <body>The lamp in the hall is on &amp; draws 11.5 W</body>\
    <origin-id xmlns='urn:xmpp:sid:0' id='0192f0c1-7d2e-7a50-b3a1-0c6d1f5a9e21'/>\
    <request xmlns='urn:xmpp:receipts'/></message>";

const PRESENCE: &str = "<presence from='lamp@example.org/hall' to='panel@example.org'>\
    <show>away</show><priority>5</priority>\
    <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://example.org/lamp' \
    ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>";

fn disco() -> String {
    let features: String = (0..24)
        .map(|n| format!("<feature var='http://jabber.org/protocol/feature-{n}'/>"))
        .collect();
    format!(
        "<iq from='example.org' to='lamp@example.org/hall' id='d1' type='result'>\
         <query xmlns='http://jabber.org/protocol/disco#info'>\
         <identity category='server' type='im' name='example'/>{features}</query></iq>"
    )
}

fn large() -> String {
    let line = "21.5 °C at 06:15, door shut; &quot;all well&quot;\n";
    let body = line.repeat(64 * 1024 / line.len());
    format!("<message to='panel@example.org' type='chat'><body>{body}</body></message>")
}

fn codec(criterion: &mut Criterion) {
    let cases = [
        ("message", MESSAGE.to_owned()),
        ("presence", PRESENCE.to_owned()),
        ("disco", disco()),
        ("64KiB", large()),
    ];
    for (name, xml) in &cases {
        let mut group = criterion.benchmark_group(*name);
        group.throughput(Throughput::Bytes(xml.len() as u64));
        group.bench_function("decode", |b| {
            let mut decoder = Decoder::new(Limits::default());
            decoder.push(HEADER.as_bytes());
            assert!(matches!(
                decoder.next_event(),
                Ok(Some(StreamEvent::Open(_)))
            ));
            b.iter(|| {
                decoder.push(black_box(xml.as_bytes()));
                decoder.next_event()
            });
        });
        group.bench_function("rxml", |b| {
            let mut parser = Parser::with_options(rxml::Options {
                max_token_length: Limits::default().stanza_bytes,
                ..rxml::Options::default()
            });
            events(&mut parser, HEADER);
            b.iter(|| events(&mut parser, black_box(xml)));
        });
        group.bench_function("encode", |b| {
            let element = element(xml);
            let encoder = Encoder::new(Scope::client(), Limits::default());
            let mut out = Vec::new();
            b.iter(|| {
                out.clear();
                encoder.element(black_box(&element), &mut out)
            });
        });
        group.finish();
    }
}

fn element(xml: &str) -> Element {
    parse_element(xml.as_bytes(), &Scope::client(), &Limits::default())
        .unwrap_or_else(|fault| panic!("{fault}"))
}

/// Takes every event that is there.
fn events(parser: &mut Parser, xml: &str) {
    let mut rest = xml.as_bytes();
    while let Ok(Some(event)) = parser.parse(&mut rest, false) {
        black_box(event);
    }
    assert!(rest.is_empty(), "rxml stopped");
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .without_plots();
    targets = codec
}
criterion_main!(benches);
