//! What a hostile or broken server can put into a WebSocket, frame by frame.

use proptest::prelude::*;
use stanchion_stanza::codec::{DecodeError, Rule};
use stanchion_stanza::stream::StreamHeader;
use stanchion_stanza::{Element, Limits, StreamEvent, Text, ns};
use stanchion_transport::stream::{StreamFault, WebSocketFault};
use stanchion_transport::{BoxTransport, Endpoint, XmppStream, memory};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const ANSWER: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0'/>";
const CONTINUES: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The header of a server's frame that promises `length` bytes.
fn promise(last: bool, opcode: u8, length: u64) -> Vec<u8> {
    let mut header = vec![u8::from(last) << 7 | opcode];
    match length {
        0..=125 => header.push(u8::try_from(length).unwrap()),
        126..=0xFFFF => {
            header.push(126);
            header.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend(length.to_be_bytes());
        }
    }
    header
}

fn frame(last: bool, opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = promise(last, opcode, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

fn text(payload: &str) -> Vec<u8> {
    frame(true, TEXT, payload)
}

/// A client, and the pipe at the server after its side of the handshake.
async fn ends(limits: Limits, buffer: usize) -> (XmppStream, BoxTransport) {
    let (near, mut far) = memory::pair(buffer);
    let endpoint: Endpoint = "ws://a.example/".parse().unwrap();
    let client = XmppStream::websocket(near, endpoint.websocket().unwrap(), limits);
    let server = async {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(far.read_buf(&mut request).await.unwrap() > 0);
        }
        let request = String::from_utf8(request).unwrap();
        let mut lines = request.lines();
        let key = lines.find_map(|l| l.strip_prefix("Sec-WebSocket-Key: "));
        let accept = derive_accept_key(key.unwrap().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Protocol: xmpp\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        far.write_all(answer.as_bytes()).await.unwrap();
        far
    };
    let (client, far) = tokio::join!(client, server);
    (client.unwrap(), far)
}

/// What a client hears of those bytes, and the server after it.
struct Heard {
    events: Vec<StreamEvent>,
    fault: StreamFault,
    stream: XmppStream,
    far: BoxTransport,
}

async fn hear_with(limits: Limits, bytes: impl AsRef<[u8]>) -> Heard {
    let (mut stream, mut far) = ends(limits, 256 * 1024).await;
    far.write_all(bytes.as_ref()).await.unwrap();
    let mut events = Vec::new();
    let fault = loop {
        match stream.next().await {
            Ok(event) => events.push(event),
            Err(fault) => break fault,
        }
    };
    Heard {
        events,
        fault,
        stream,
        far,
    }
}

async fn hear(frames: &[Vec<u8>]) -> Heard {
    hear_with(Limits::default(), frames.concat()).await
}

/// A frame of the client's, unmasked.
async fn client_frame(far: &mut BoxTransport) -> (u8, Vec<u8>) {
    let opcode = far.read_u8().await.unwrap();
    let length = far.read_u8().await.unwrap();
    assert_eq!(length & 0x80, 0x80, "a client masks (RFC 6455 §5.1)");
    let length = match length & 0x7F {
        126 => usize::from(far.read_u16().await.unwrap()),
        short => usize::from(short),
    };
    let mut mask = [0; 4];
    far.read_exact(&mut mask).await.unwrap();
    let mut payload = vec![0; length];
    far.read_exact(&mut payload).await.unwrap();
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    (opcode, payload)
}

fn rule(heard: &Heard) -> &Rule {
    match &heard.fault {
        StreamFault::Decode(DecodeError { rule, .. }) => rule,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_may_come_in_fragments_with_pings_between_them() {
    let stanza = "<presence xmlns='jabber:client'><show>äway</show></presence>";
    let cut = stanza.find('ä').unwrap();
    let bytes = stanza.as_bytes();
    // The second cut is inside a character.
    let frames = [
        text(ANSWER),
        frame(false, TEXT, &bytes[..5]),
        frame(true, PING, b"1"),
        frame(false, CONTINUES, b""),
        frame(false, CONTINUES, &bytes[5..=cut]),
        frame(true, PONG, b"2"),
        frame(true, CONTINUES, &bytes[cut + 1..]),
    ]
    .concat();
    let (mut stream, mut far) = ends(Limits::default(), 4096).await;
    let server = async move {
        for byte in frames {
            far.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(client_frame(&mut far).await, (0x8A, b"1".to_vec()));
    };
    let client = async {
        assert!(matches!(stream.next().await, Ok(StreamEvent::Open(_))));
        let StreamEvent::Element(presence) = stream.next().await.unwrap() else {
            panic!();
        };
        let show = presence.child("show", ns::CLIENT).unwrap();
        assert_eq!(show.text(), "äway");
        // Only the end of the connection is waited for now.
        assert!(matches!(stream.next().await, Err(StreamFault::Closed)));
    };
    tokio::join!(client, server);
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_before_it_has_come() {
    let limits = Limits::default().with_stanza_bytes(1000);
    let whole = [text(ANSWER), promise(true, TEXT, 1001)].concat();
    let huge = [text(ANSWER), promise(true, TEXT, u64::MAX >> 1)].concat();
    let part = [b'x'; 600];
    let parts = [
        text(ANSWER),
        frame(false, TEXT, part),
        frame(false, CONTINUES, part),
    ]
    .concat();
    for input in [whole, huge, parts] {
        let mut heard = hear_with(limits, input).await;
        assert_eq!(heard.events.len(), 1);
        assert!(matches!(rule(&heard), Rule::Limit { limit: 1000, .. }));
        // The server can still be told.
        let error = Element::new("error", ns::STREAM);
        heard.stream.send(&error).unwrap();
        heard.stream.close().await.unwrap();
        let (opcode, payload) = client_frame(&mut heard.far).await;
        assert_eq!(opcode, 0x81);
        assert!(payload.starts_with(b"<error xmlns='http://etherx"));
        assert_eq!(client_frame(&mut heard.far).await.0, 0x81, "<close/>");
        assert_eq!(client_frame(&mut heard.far).await.0, 0x88);
    }
}

#[tokio::test]
async fn limits_may_be_raised_and_lowered_on_the_way() {
    let (mut stream, mut far) = ends(Limits::default().with_stanza_bytes(200), 4096).await;
    let long = format!("<presence xmlns='jabber:client' id='{}'/>", "x".repeat(300));
    far.write_all(&text(ANSWER)).await.unwrap();
    assert!(matches!(stream.next().await, Ok(StreamEvent::Open(_))));
    stream.set_limits(Limits::default().with_stanza_bytes(500));
    far.write_all(&text(&long)).await.unwrap();
    assert!(matches!(stream.next().await, Ok(StreamEvent::Element(_))));
    stream.set_limits(Limits::default().with_stanza_bytes(300));
    far.write_all(&text(&long)).await.unwrap();
    assert!(matches!(stream.next().await, Err(StreamFault::Decode(_))));
}

#[tokio::test]
async fn a_binary_message_is_refused_with_its_code() {
    let mut heard = hear(&[text(ANSWER), frame(true, BINARY, b"<presence/>")]).await;
    assert_eq!(heard.events.len(), 1);
    assert!(matches!(
        heard.fault,
        StreamFault::WebSocket(WebSocketFault::Binary)
    ));
    let (opcode, payload) = client_frame(&mut heard.far).await;
    assert_eq!((opcode, &payload[..2]), (0x88, &1003u16.to_be_bytes()[..]));
    heard.stream.close().await.unwrap();
    drop(heard.stream);
    assert_eq!(heard.far.read(&mut [0]).await.unwrap(), 0, "said once");
}

#[tokio::test]
async fn frames_that_rfc_6455_forbids_end_the_stream() {
    let masked = {
        let mut frame = text("abcd");
        frame[1] |= 0x80;
        frame.extend(b"mask");
        frame
    };
    let mut reserved = text(ANSWER);
    reserved[0] |= 0x40;
    for (what, frames) in [
        ("masked", vec![masked]),
        ("reserved bits", vec![reserved]),
        ("an opcode", vec![frame(true, 3, b"")]),
        ("a control opcode", vec![frame(true, 11, b"")]),
        ("nothing to continue", vec![frame(true, CONTINUES, b"x")]),
        ("a fragmented ping", vec![frame(false, PING, b"")]),
        ("a long ping", vec![frame(true, PING, [b'x'; 126])]),
        ("interleaved", vec![frame(false, TEXT, b"<"), text("<a/>")]),
        ("a short close", vec![frame(true, CLOSE, b"x")]),
    ] {
        let mut heard = hear(&frames).await;
        assert!(heard.events.is_empty());
        assert!(
            matches!(
                heard.fault,
                StreamFault::WebSocket(WebSocketFault::PeerMisbehaved(_))
            ),
            "{what}: {:?}",
            heard.fault
        );
        heard.stream.close().await.unwrap();
        let (opcode, payload) = client_frame(&mut heard.far).await;
        assert_eq!((opcode, payload), (0x88, 1002u16.to_be_bytes().to_vec()));
    }
}

#[tokio::test]
async fn a_message_is_one_whole_element_and_the_stream_has_an_order() {
    let close = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";
    let presence = "<presence xmlns='jabber:client'/>";
    for (messages, events) in [
        (vec![presence], 0),
        (vec!["<?xml version='1.0'?>"], 0),
        (
            vec!["<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>"],
            0,
        ),
        (
            vec!["<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='@'/>"],
            0,
        ),
        (
            vec!["<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='x'/>"],
            0,
        ),
        (vec!["<open xmlns='jabber:client'/>"], 0),
        (vec![ANSWER, ANSWER], 1),
        (
            vec![ANSWER, "<presence xmlns='jabber:client'>", "</presence>"],
            1,
        ),
        (vec![ANSWER, "<a/><b/>"], 1),
        (vec![ANSWER, "<a/>x"], 1),
        (vec![ANSWER, "</a>"], 1),
        (vec![ANSWER, ""], 1),
        (vec![ANSWER, " "], 1),
        (vec![ANSWER, "<stream:features/>"], 1),
        (vec![ANSWER, "<!-- x --><a/>"], 1),
        (
            vec![
                ANSWER,
                "<resume xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
            ],
            1,
        ),
        (vec![ANSWER, close, presence], 2),
        (vec![ANSWER, close, close], 2),
        (vec![close, ANSWER], 1),
    ] {
        let frames: Vec<_> = messages.iter().map(|m| text(m)).collect();
        let mut heard = hear(&frames).await;
        assert_eq!(heard.events.len(), events, "{messages:?}");
        rule(&heard);
        assert!(heard.stream.try_next().is_err(), "it gives nothing more");
    }
    let heard = hear(&[text(ANSWER), frame(true, TEXT, b"<a>\xFF</a>")]).await;
    assert_eq!(rule(&heard), &Rule::Utf8);
    // White space around the element is none of the element's.
    let heard = hear(&[text(&format!("\n{ANSWER}\n ")), frame(true, CLOSE, b"")]).await;
    assert_eq!(heard.events.len(), 1);
    assert!(matches!(heard.fault, StreamFault::Closed));
}

#[tokio::test]
async fn what_comes_with_the_answer_to_the_handshake_is_not_lost() {
    let (near, mut far) = memory::pair(4096);
    let endpoint: Endpoint = "ws://a.example/".parse().unwrap();
    let client = XmppStream::websocket(near, endpoint.websocket().unwrap(), Limits::default());
    let server = async {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            far.read_buf(&mut request).await.unwrap();
        }
        let request = String::from_utf8(request).unwrap();
        let key = request
            .lines()
            .find_map(|l| l.strip_prefix("Sec-WebSocket-Key: "))
            .unwrap();
        let accept = derive_accept_key(key.as_bytes());
        let head = format!(
            "HTTP/1.1 101 x\r\nupgrade: WebSocket\r\nconnection: upgrade\r\n\
             sec-websocket-protocol: xmpp\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        let bytes = [head.as_bytes(), &text(ANSWER)].concat();
        far.write_all(&bytes).await.unwrap();
    };
    let (stream, ()) = tokio::join!(client, server);
    assert!(matches!(
        stream.unwrap().next().await,
        Ok(StreamEvent::Open(_))
    ));
}

#[tokio::test]
async fn cancelling_next_loses_and_doubles_no_message() {
    const COUNT: usize = 50;
    let (mut stream, mut far) = ends(Limits::default(), 7).await;
    let server = async {
        far.write_all(&text(ANSWER)).await.unwrap();
        for id in 0..COUNT {
            let stanza = format!("<iq xmlns='jabber:client' id='{id}'/>");
            far.write_all(&text(&stanza)).await.unwrap();
            let (opcode, payload) = client_frame(&mut far).await;
            let expected = format!("<iq xmlns='jabber:client' id='{id}'/>");
            assert_eq!((opcode, payload), (0x81, expected.into_bytes()));
        }
    };
    let client = async {
        for id in 0..COUNT {
            let iq = Element::new("iq", ns::CLIENT);
            let iq = iq.with_attr("id", Text::new(id.to_string()).unwrap());
            stream.send(&iq).unwrap();
        }
        let mut ids = Vec::new();
        while ids.len() < COUNT {
            // Dropped after one poll, whatever it was about to do.
            let next = stream.next();
            tokio::select! {
                biased;
                event = next => match event.unwrap() {
                    StreamEvent::Element(iq) => ids.push(iq.attr("id").unwrap().to_owned()),
                    event => assert!(matches!(event, StreamEvent::Open(_))),
                },
                () = tokio::task::yield_now() => {}
            }
        }
        stream.flush().await.unwrap();
        let expected: Vec<_> = (0..COUNT).map(|id| id.to_string()).collect();
        assert_eq!(ids, expected);
    };
    tokio::join!(client, server);
}

/// Drives a client over whatever the server says, to the end.
fn survives(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let limits = Limits::default().with_stanza_bytes(4096);
        let (mut stream, mut far) = ends(limits, 64 * 1024).await;
        far.write_all(bytes).await.unwrap();
        far.shutdown().await.unwrap();
        stream.open(&StreamHeader::initial("a.example".parse().unwrap()));
        let mut events = 0;
        while stream.next().await.is_ok() {
            events += 1;
        }
        assert!(events <= bytes.len());
        stream.reset();
        while stream.next().await.is_ok() {}
        let _ = stream.close().await;
    });
}

/// Something like a frame, so that the arbitrary goes deep.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        Just(ANSWER.as_bytes().to_vec()),
        Just(b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>".to_vec()),
        Just(b"<message xmlns='jabber:client'>".to_vec()),
        Just(b"<a xmlns:b='c' b:d=\"e\"/>".to_vec()),
        Just(1000u16.to_be_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..200),
        "[<>/a='\" &;]{0,20}".prop_map(String::into_bytes),
    ];
    let opcode = prop_oneof![4 => Just(TEXT), 2 => Just(CONTINUES), 1 => 0..16u8];
    (any::<bool>(), opcode, payload, 0..40usize).prop_map(|(last, opcode, payload, cut)| {
        let mut frame = frame(last, opcode, payload);
        // Mostly whole.
        if cut < 3 {
            frame.truncate(frame.len().saturating_sub(cut));
        }
        frame
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_after_the_handshake_do_no_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..2000)
    ) {
        survives(&bytes);
    }

    #[test]
    fn arbitrary_frames_after_the_handshake_do_no_harm(
        frames in prop::collection::vec(any_frame(), 0..12),
    ) {
        survives(&[text(ANSWER), frames.concat()].concat());
    }
}
