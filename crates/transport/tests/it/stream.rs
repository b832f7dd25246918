//! The laws of `XmppStream`.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use stanchion_stanza::{
    Element, Encoder, Limits, Message, Scope, StreamEvent, Text, ns, stream::StreamHeader,
};
use stanchion_transport::stream::DetachError;
use stanchion_transport::{BoxTransport, StreamFault, XmppStream, memory};

use crate::pipes::Script;

const OPEN: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='a.example' version='1.0'>";

fn message(id: usize, bytes: usize) -> Element {
    let body = "x".repeat(bytes);
    Message::chat("lamp@a.example".parse().unwrap())
        .with_id(Text::new(format!("m{id}")).unwrap())
        .with_body(Text::new(body).unwrap())
        .to_element()
}

fn encoded(element: &Element) -> Vec<u8> {
    Encoder::new(Scope::client(), Limits::default())
        .to_bytes(element)
        .unwrap()
}

fn header() -> StreamHeader {
    StreamHeader::initial("a.example".parse().unwrap())
}

fn stream(pipe: BoxTransport) -> XmppStream {
    XmppStream::new(pipe, Limits::default())
}

#[tokio::test]
async fn a_flush_is_one_write_of_whole_stanzas() {
    let (pipe, log) = Script::default().boxed();
    let mut stream = stream(pipe);
    let mut expected = OPEN.as_bytes().to_vec();
    stream.open(&header());
    for id in 0..50 {
        stream.send(&message(id, 100)).unwrap();
        expected.extend(encoded(&message(id, 100)));
    }
    stream.send_bytes(&encoded(&message(50, 7)));
    expected.extend(encoded(&message(50, 7)));
    stream.send(&Element::new("r", ns::SM)).unwrap();
    expected.extend(encoded(&Element::new("r", ns::SM)));
    assert_eq!(stream.queued(), expected.len());
    assert!(
        log.lock().unwrap().writes.is_empty(),
        "queueing does no I/O"
    );

    stream.flush().await.unwrap();
    assert_eq!(stream.queued(), 0);
    assert_eq!(log.lock().unwrap().writes, [expected]);
    assert_eq!(log.lock().unwrap().flushes, 1);

    stream.flush().await.unwrap();
    assert_eq!(
        log.lock().unwrap().writes.len(),
        1,
        "nothing queued, nothing written"
    );
}

#[tokio::test]
async fn waiting_for_input_is_one_write_of_what_is_queued() {
    let (pipe, log) = Script::ending(OPEN).boxed();
    let mut stream = stream(pipe);
    for id in 0..5 {
        stream.send(&message(id, 100)).unwrap();
    }
    assert!(matches!(stream.next().await, Ok(StreamEvent::Open(_))));
    assert_eq!(log.lock().unwrap().writes.len(), 1);
    assert_eq!(stream.queued(), 0);
}

#[tokio::test]
async fn a_partial_write_goes_on_from_where_it_stopped() {
    let script = Script {
        write_step: 7,
        hesitates: true,
        ..Script::default()
    };
    let (pipe, log) = script.boxed();
    let mut stream = stream(pipe);
    let mut expected = Vec::new();
    for id in 0..3 {
        stream.send(&message(id, 40)).unwrap();
        expected.extend(encoded(&message(id, 40)));
        // A few bytes leave, then more is queued behind the rest.
        poll_once(stream.flush()).await;
        poll_once(stream.flush()).await;
    }
    stream.flush().await.unwrap();
    assert_eq!(log.lock().unwrap().written(), expected);
}

/// Polls a future once and drops it.
async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn cancelling_next_at_every_await_loses_and_doubles_no_byte() {
    let sent: Vec<Element> = (0..4).map(|id| message(id, 30)).collect();
    let mut input = OPEN.as_bytes().to_vec();
    for element in &sent {
        input.extend(encoded(element));
    }
    input.extend(b"</stream:stream>");
    for (step, hesitates) in [(1, true), (1, false), (3, true), (0, true)] {
        let script = Script {
            read_step: step,
            write_step: step,
            hesitates,
            ..Script::ending(&input)
        };
        let (pipe, log) = script.boxed();
        let mut stream = stream(pipe);
        stream.open(&header());
        let mut expected = OPEN.as_bytes().to_vec();
        for id in 100..104 {
            stream.send(&message(id, 30)).unwrap();
            expected.extend(encoded(&message(id, 30)));
        }
        let mut events = Vec::new();
        let mut cancelled = 0;
        while events.last() != Some(&StreamEvent::Close) {
            match poll_once(stream.next()).await {
                Some(event) => events.push(event.unwrap()),
                None => cancelled += 1,
            }
        }
        if step == 1 && hesitates {
            let least = input.len() - events.len();
            assert!(cancelled >= least, "only {cancelled} cancellations");
        }
        stream.flush().await.unwrap();
        assert!(matches!(events[0], StreamEvent::Open(_)));
        let elements: Vec<Element> = events
            .into_iter()
            .filter_map(|event| match event {
                StreamEvent::Element(element) => Some(element),
                _ => None,
            })
            .collect();
        assert_eq!(elements, sent);
        assert_eq!(log.lock().unwrap().written(), expected);
    }
}

/// Sends a megabyte while reading one; the queue is filled at once, as by a caller
/// without back pressure.
async fn exchange_a_megabyte(mut stream: XmppStream) {
    const COUNT: usize = 256;
    const SIZE: usize = 4096;
    stream.open(&header());
    for id in 0..COUNT {
        stream.send(&message(id, SIZE)).unwrap();
    }
    assert!(stream.queued() > COUNT * SIZE);
    assert!(matches!(stream.next().await, Ok(StreamEvent::Open(_))));
    for id in 0..COUNT {
        let event = stream.next().await.unwrap();
        assert_eq!(event, StreamEvent::Element(message(id, SIZE)));
    }
    // The other end may still want the rest of ours.
    stream.close().await.unwrap();
    assert_eq!(stream.next().await.unwrap(), StreamEvent::Close);
}

pub(crate) async fn exchange_without_deadlock(near: BoxTransport, far: BoxTransport) {
    let both = async {
        tokio::join!(
            exchange_a_megabyte(stream(near)),
            exchange_a_megabyte(stream(far))
        )
    };
    // With the clock paused, this fires as soon as nothing else can happen.
    tokio::time::timeout(Duration::from_secs(3600), both)
        .await
        .expect("deadlock");
}

#[tokio::test(start_paused = true)]
async fn two_ends_with_full_buffers_do_not_deadlock() {
    for buffer in [64, 1000, 64 * 1024] {
        let (near, far) = memory::pair(buffer);
        exchange_without_deadlock(near, far).await;
    }
}

#[tokio::test]
async fn reads_are_bounded_and_their_events_come_first() {
    let mut input = OPEN.as_bytes().to_vec();
    let stanza = encoded(&message(1, 200));
    for _ in 0..2000 {
        input.extend(&stanza);
    }
    let total = input.len();
    let (pipe, log) = Script::ending(input).boxed();
    let mut stream = stream(pipe);
    stream.next().await.unwrap();
    let mut taken = OPEN.len();
    for _ in 0..2000 {
        assert!(matches!(stream.next().await, Ok(StreamEvent::Element(_))));
        taken += stanza.len();
        let log = log.lock().unwrap();
        let read: usize = log.reads.iter().sum();
        assert!(read <= taken + 16 * 1024, "{read} read, {taken} given out");
    }
    let log = log.lock().unwrap();
    assert!(log.reads.iter().all(|n| *n <= 16 * 1024), "{:?}", log.reads);
    let fewest = total / (16 * 1024);
    assert!(log.reads.len() < fewest + 8, "{} reads", log.reads.len());
}

#[tokio::test]
async fn a_slow_connection_reserves_little() {
    let script = Script {
        read_step: 100,
        ..Script::ending(OPEN.repeat(10))
    };
    let (pipe, log) = script.boxed();
    let mut stream = stream(pipe);
    while stream.next().await.is_ok() {
        stream.reset();
    }
    let log = log.lock().unwrap();
    assert!(log.reads.len() > 10);
    assert!(log.reads.iter().all(|n| *n <= 2048), "{:?}", log.reads);
}

#[tokio::test]
async fn a_stanza_beyond_the_limit_is_refused_before_it_has_come_whole() {
    let limits = Limits::default().with_stanza_bytes(10_000);
    let mut input = OPEN.as_bytes().to_vec();
    input.extend(b"<message><body>");
    input.resize(10_000_000, b'x');
    let (pipe, log) = Script::ending(input).boxed();
    let mut stream = XmppStream::new(pipe, limits);
    stream.next().await.unwrap();
    assert!(matches!(stream.next().await, Err(StreamFault::Decode(_))));
    let read: usize = log.lock().unwrap().reads.iter().sum();
    assert!(read < 64 * 1024, "{read} bytes were read");
}

#[tokio::test]
async fn the_end_of_the_transport_is_told_from_the_end_of_the_stream() {
    let (pipe, _) = Script::ending(format!("{OPEN} \n ")).boxed();
    let mut quiet = stream(pipe);
    quiet.next().await.unwrap();
    assert!(matches!(quiet.next().await, Err(StreamFault::Closed)));
    assert!(
        matches!(quiet.next().await, Err(StreamFault::Closed)),
        "again"
    );

    let (pipe, _) = Script::ending(format!("{OPEN}<presence fro")).boxed();
    let mut cut = stream(pipe);
    cut.next().await.unwrap();
    assert!(matches!(
        cut.next().await,
        Err(StreamFault::Truncated { bytes: 13 })
    ));

    let (pipe, _) = Script::ending(format!("{OPEN}</stream:stream>\n")).boxed();
    let mut closed = stream(pipe);
    closed.next().await.unwrap();
    assert_eq!(closed.next().await.unwrap(), StreamEvent::Close);
    assert!(matches!(closed.next().await, Err(StreamFault::Closed)));
}

#[tokio::test]
async fn after_a_breach_of_the_rules_nothing_more_is_believed() {
    let (pipe, _) = Script::ending(format!("{OPEN}<!-- hm --><presence/>")).boxed();
    let mut stream = stream(pipe);
    stream.next().await.unwrap();
    for _ in 0..3 {
        assert!(matches!(stream.next().await, Err(StreamFault::Decode(_))));
        assert!(matches!(stream.try_next(), Err(StreamFault::Decode(_))));
    }
}

#[tokio::test]
async fn the_peers_last_words_are_heard_before_our_failed_write_is_told() {
    let script = Script {
        takes: Some(0),
        ..Script::reading(format!("{OPEN}<presence/></stream:stream>"))
    };
    let (pipe, _) = script.boxed();
    let mut stream = stream(pipe);
    stream.send(&message(1, 10)).unwrap();
    assert!(matches!(stream.next().await, Ok(StreamEvent::Open(_))));
    assert!(matches!(stream.next().await, Ok(StreamEvent::Element(_))));
    assert_eq!(stream.next().await.unwrap(), StreamEvent::Close);
    let Some(Err(StreamFault::Io(error))) = poll_once(stream.next()).await else {
        panic!("the write failed");
    };
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn buffered_events_are_given_out_without_io() {
    let (pipe, log) = Script::reading(format!("{OPEN}<presence/><presence/>")).boxed();
    let mut stream = stream(pipe);
    assert!(stream.try_next().unwrap().is_none(), "nothing was read yet");
    stream.next().await.unwrap();
    stream.send(&message(1, 10)).unwrap();
    let reads = log.lock().unwrap().reads.len();
    assert!(matches!(
        stream.try_next(),
        Ok(Some(StreamEvent::Element(_)))
    ));
    assert!(matches!(stream.next().await, Ok(StreamEvent::Element(_))));
    assert!(stream.try_next().unwrap().is_none());
    let log = log.lock().unwrap();
    assert_eq!((log.reads.len(), log.writes.len()), (reads, 0));
}

const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

#[tokio::test]
async fn bytes_injected_before_the_tls_handshake_prevent_it() {
    let injected = "<iq type='set' id='evil'/>";
    for extra in [injected, "<", "\n"] {
        let (pipe, _) = Script::reading(format!("{OPEN}{PROCEED}{extra}")).boxed();
        let mut stream = stream(pipe);
        stream.next().await.unwrap();
        stream.next().await.unwrap();
        let refused = stream.into_transport().unwrap_err();
        assert_eq!(refused, DetachError::Unread(extra.len()));
    }
    let (pipe, _) = Script::reading(format!("{OPEN}{PROCEED}")).boxed();
    let mut stream = stream(pipe);
    stream.next().await.unwrap();
    stream.next().await.unwrap();
    assert!(stream.into_transport().is_ok());
}

#[tokio::test]
async fn a_transport_is_not_given_away_under_unsent_bytes() {
    let (pipe, _) = Script::default().boxed();
    let mut waiting = stream(pipe);
    waiting.send_bytes(PROCEED.as_bytes());
    let refused = waiting.into_transport().unwrap_err();
    assert_eq!(refused, DetachError::Unsent(PROCEED.len()));

    let script = Script {
        hesitates: true,
        ..Script::default()
    };
    let (pipe, log) = script.boxed();
    let mut unflushed = stream(pipe);
    unflushed.send_bytes(PROCEED.as_bytes());
    while log.lock().unwrap().writes.is_empty() {
        poll_once(unflushed.flush()).await;
    }
    assert_eq!(
        unflushed.into_transport().unwrap_err(),
        DetachError::Unsent(0)
    );
}

#[tokio::test]
async fn a_stream_restarts_on_the_same_transport() {
    let (near, far) = memory::pair(1024);
    let (mut client, mut server) = (stream(near), stream(far));
    for round in 0..3 {
        client.open(&header());
        client.send(&message(round, 5)).unwrap();
        client.flush().await.unwrap();
        assert!(matches!(server.next().await, Ok(StreamEvent::Open(_))));
        let event = server.next().await.unwrap();
        assert_eq!(event, StreamEvent::Element(message(round, 5)));
        client.reset();
        server.reset();
    }
    client.open(&header());
    client.open(&header());
    client.flush().await.unwrap();
    server.next().await.unwrap();
    let without_reset = server.next().await;
    assert!(matches!(without_reset, Err(StreamFault::Decode(_))));
}

#[tokio::test]
async fn a_stream_is_closed_once_and_sends_nothing_after() {
    let (pipe, log) = Script::default().boxed();
    let mut stream = stream(pipe);
    stream.send(&message(1, 3)).unwrap();
    stream.end();
    stream.end();
    stream.send(&message(2, 3)).unwrap();
    stream.send_bytes(b"<presence/>");
    stream.close().await.unwrap();
    stream.close().await.unwrap();
    let expected = [&encoded(&message(1, 3))[..], b"</stream:stream>"].concat();
    assert_eq!(log.lock().unwrap().writes, [expected]);
    assert!(log.lock().unwrap().shutdowns >= 1);
}

/// A stream over a pipe that takes so many bytes before the peer is gone.
fn cut_after(bytes: usize) -> XmppStream {
    let script = Script {
        takes: Some(bytes),
        ..Script::default()
    };
    stream(script.boxed().0)
}

#[tokio::test]
async fn a_peer_that_is_gone_before_our_closing_tag_is_out_is_no_error() {
    let said = encoded(&message(1, 3));
    let tag = "</stream:stream>".len();
    for more in 0..=tag {
        let mut stream = cut_after(said.len() + more);
        stream.send_bytes(&said);
        stream.flush().await.unwrap();
        stream.close().await.unwrap();
    }
    // In one write, of which all was taken.
    let mut stream = cut_after(said.len() + tag);
    stream.send_bytes(&said);
    stream.close().await.unwrap();
}

#[tokio::test]
async fn a_stanza_that_did_not_get_out_before_the_closing_tag_is_an_error() {
    let said = encoded(&message(1, 3));
    for taken in 0..said.len() {
        for ends_first in [true, false] {
            let mut stream = cut_after(taken);
            stream.send_bytes(&said);
            if ends_first {
                stream.end();
            }
            for _ in 0..2 {
                let Err(StreamFault::Io(error)) = stream.close().await else {
                    panic!("the stanza was lost after {taken} bytes");
                };
                assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
            }
        }
    }
}

#[tokio::test]
async fn what_the_send_limits_forbid_leaves_the_queue_as_it_was() {
    let (pipe, _) = Script::default().boxed();
    let mut stream = stream(pipe);
    stream.set_send_limits(Limits::default().with_stanza_bytes(1000));
    stream.send(&message(1, 10)).unwrap();
    let queued = stream.queued();
    assert!(stream.send(&message(2, 1000)).is_err());
    assert_eq!(stream.queued(), queued);
}

#[tokio::test]
async fn the_read_limits_can_be_widened_after_authentication() {
    let big = encoded(&message(1, 20_000));
    let input = [OPEN.as_bytes(), &big].concat();
    let (pipe, _) = Script::ending(&input).boxed();
    let mut stream = XmppStream::new(pipe, Limits::default().with_stanza_bytes(10_000));
    stream.next().await.unwrap();
    stream.set_limits(Limits::default());
    assert!(matches!(stream.next().await, Ok(StreamEvent::Element(_))));
    let (pipe, _) = Script::ending(&input).boxed();
    let mut narrow = XmppStream::new(pipe, Limits::default().with_stanza_bytes(10_000));
    narrow.next().await.unwrap();
    assert!(matches!(narrow.next().await, Err(StreamFault::Decode(_))));
}
