//! Streams over a WebSocket, with servers of another make on the loopback network, and
//! with what else may answer there.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use stanchion_stanza::payload::starttls;
use stanchion_stanza::{
    Element, Limits, Message, Payload as _, StreamEvent, Text, ns, stream::StreamHeader,
};
use stanchion_transport::security::Trust;
use stanchion_transport::stream::{DetachError, StreamFault, WebSocketFault};
use stanchion_transport::tcp::{self, TcpOptions};
use stanchion_transport::tls::{CertificateFault, TlsError};
use stanchion_transport::websocket::UpgradeError;
use stanchion_transport::{
    BoxTransport, Dial, DialError, Endpoint, TcpDial, TlsMode, XmppStream, memory,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::pki::{Authority, Pair};

pub(crate) const DOMAIN: &str = "a.example";
const FEATURES: &str = "<stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind \
     xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>";
const ANSWER: &str =
    "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='a.example' id='1' version='1.0'/>";
const OPEN: &str =
    "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a.example' version='1.0'/>";
const CLOSE: &str = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";

/// A listener and the URI that leads to it.
async fn listening(scheme: &str) -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let uri = format!("{scheme}://127.0.0.1:{port}/xmpp?a=b");
    (listener, uri.parse().unwrap())
}

async fn accepted(listener: &TcpListener) -> BoxTransport {
    let (stream, _) = listener.accept().await.unwrap();
    tcp::accepted(stream, TcpOptions::default()).unwrap()
}

async fn connected(dial: &TcpDial, endpoint: &Endpoint) -> Result<XmppStream, DialError> {
    let pipe = dial.dial(endpoint, DOMAIN).await?;
    XmppStream::websocket(pipe, endpoint.websocket().unwrap(), Limits::default()).await
}

/// A web server's TLS.
fn web(pair: &Pair) -> tokio_rustls::TlsAcceptor {
    let provider = rustls::crypto::ring::default_provider();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config).into()
}

/// The server's handshake, agreeing to `protocol`.
async fn handshake<S>(pipe: S, protocol: Option<&'static str>) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    #[allow(clippy::result_large_err, reason = "the library's type")]
    let agree = |request: &Request, mut response: Response| {
        let field = |name| request.headers().get(name).map(|v| v.to_str().unwrap());
        assert_eq!(request.uri(), "/xmpp?a=b");
        assert_eq!(field("sec-websocket-protocol"), Some("xmpp"));
        let host = field("host").unwrap();
        assert!(host.starts_with("127.0.0.1:"), "{host}");
        if let Some(protocol) = protocol {
            let protocol = protocol.parse().unwrap();
            response
                .headers_mut()
                .insert("sec-websocket-protocol", protocol);
        }
        Ok(response)
    };
    tokio_tungstenite::accept_hdr_async(pipe, agree)
        .await
        .unwrap()
}

async fn text<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> String {
    match socket.next().await.unwrap().unwrap() {
        Frame::Text(text) => text.to_string(),
        other => panic!("{other}"),
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, text: &str) {
    socket.send(Frame::text(text)).await.unwrap();
}

fn header() -> StreamHeader {
    StreamHeader::initial(DOMAIN.parse().unwrap())
}

fn message(body: &str) -> Element {
    Message::chat("lamp@a.example".parse().unwrap())
        .with_body(Text::new(body).unwrap())
        .to_element()
}

async fn opened(stream: &mut XmppStream) -> StreamHeader {
    match stream.next().await.unwrap() {
        StreamEvent::Open(header) => header,
        other => panic!("{other:?}"),
    }
}

async fn element(stream: &mut XmppStream) -> Element {
    match stream.next().await.unwrap() {
        StreamEvent::Element(element) => element,
        other => panic!("{other:?}"),
    }
}

async fn server_session<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) {
    for _ in 0..2 {
        assert_eq!(text(socket).await, OPEN);
        say(socket, ANSWER).await;
        say(socket, FEATURES).await;
    }
    assert_eq!(
        text(socket).await,
        "<message xmlns='jabber:client' to='lamp@a.example' type='chat'>\
         <body>on &amp; bright</body></message>"
    );
    assert_eq!(text(socket).await, "<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(text(socket).await, "<iq xmlns='jabber:client' id='1'/>");
    assert_eq!(text(socket).await, "<presence xmlns='jabber:client'/>");
    say(socket, "<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
    say(
        socket,
        "<message xmlns='jabber:client'><body>x</body></message>",
    )
    .await;
    assert_eq!(text(socket).await, CLOSE);
    say(socket, CLOSE).await;
    let Frame::Close(Some(frame)) = socket.next().await.unwrap().unwrap() else {
        panic!("the WebSocket is closed as well");
    };
    assert_eq!(frame.code, CloseCode::Normal);
}

async fn client_session(stream: &mut XmppStream) {
    for id in 0..2 {
        if id > 0 {
            // As after SASL: the restart is a new <open/> (RFC 7395 §3.7).
            stream.reset();
        }
        stream.open(&header());
        let header = opened(stream).await;
        assert_eq!(
            (header.id.as_deref(), header.version),
            (Some("1"), Some((1, 0)))
        );
        let features = element(stream).await;
        assert!(features.is("features", ns::STREAM));
        assert!(features.child("bind", ns::BIND).is_some());
    }
    stream.send(&message("on & bright")).unwrap();
    stream.send(&Element::new("r", ns::SM)).unwrap();
    stream.send_bytes(b"<iq id='1'/> <presence/>");
    assert!(stream.queued() > 100);
    assert!(element(stream).await.is("a", ns::SM));
    assert_eq!(stream.queued(), 0);
    let message = element(stream).await;
    assert!(message.is("message", ns::CLIENT));
    assert!(message.child("body", ns::CLIENT).is_some());
    stream.end();
    assert_eq!(stream.next().await.unwrap(), StreamEvent::Close);
    // Nothing is sent any more.
    stream.send(&Element::new("r", ns::SM)).unwrap();
    stream.send_bytes(b"<presence/>");
    stream.close().await.unwrap();
}

#[tokio::test]
async fn a_session_in_the_clear_is_as_over_tcp() {
    let dial = TcpDial::new(Authority::new("root").connector());
    let (listener, endpoint) = listening("ws").await;
    assert_eq!(endpoint.mode, TlsMode::None);
    let server = async {
        let mut socket = handshake(accepted(&listener).await, Some("xmpp")).await;
        server_session(&mut socket).await;
    };
    let client = async {
        let mut stream = connected(&dial, &endpoint).await.unwrap();
        assert!(!stream.security().is_encrypted());
        assert_eq!(stream.traffic().turns, 2, "TCP and HTTP");
        client_session(&mut stream).await;
        assert_eq!(stream.traffic().turns, 6);
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_session_over_tls_is_protected_for_the_domain_of_the_jid() {
    let authority = Authority::new("root");
    let dial = TcpDial::new(authority.connector());
    let tls = web(&authority.issue_for(&[DOMAIN]));
    let (listener, endpoint) = listening("wss").await;
    for resumed in [false, true] {
        let server = async {
            let pipe = tls.accept(accepted(&listener).await).await.unwrap();
            let mut socket = handshake(pipe, Some("xmpp")).await;
            server_session(&mut socket).await;
        };
        let client = async {
            let mut stream = connected(&dial, &endpoint).await.unwrap();
            let info = stream.security().tls.clone().unwrap();
            assert_eq!(info.trust, Trust::Chain);
            assert_eq!(info.alpn.as_deref(), Some(&b"http/1.1"[..]));
            assert_eq!(info.handshake.to_string() == "resumed session", resumed);
            assert!(stream.security().bindings.tls_exporter.is_some());
            assert_eq!(stream.traffic().turns, 3, "TCP, TLS and HTTP");
            client_session(&mut stream).await;
        };
        tokio::join!(server, client);
    }

    // The host of the URI is not the domain.
    let other = web(&authority.issue_for(&["127.0.0.1"]));
    let server = async {
        assert!(other.accept(accepted(&listener).await).await.is_err());
    };
    let (refused, ()) = tokio::join!(connected(&dial, &endpoint), server);
    let DialError::Tls {
        source: TlsError::Certificate(CertificateFault::WrongName { .. }),
        ..
    } = refused.unwrap_err()
    else {
        panic!("the certificate is not the domain's");
    };
}

#[tokio::test]
async fn a_wss_uri_over_a_plaintext_pipe_is_refused() {
    let (near, _far) = memory::pair(4096);
    let endpoint: Endpoint = "wss://a.example/".parse().unwrap();
    let refused = XmppStream::websocket(near, endpoint.websocket().unwrap(), Limits::default());
    let DialError::WebSocket { source, uri } = refused.await.unwrap_err() else {
        panic!();
    };
    assert!(matches!(source, UpgradeError::Unprotected), "{source}");
    assert_eq!(uri, "wss://a.example:443/");
}

#[tokio::test]
async fn a_websocket_that_is_not_for_xmpp_is_refused() {
    let dial = TcpDial::new(Authority::new("root").connector());
    for protocol in [None, Some("chat")] {
        let (listener, endpoint) = listening("ws").await;
        let server = async { handshake(accepted(&listener).await, protocol).await };
        let (refused, _socket) = tokio::join!(connected(&dial, &endpoint), server);
        let error = refused.unwrap_err();
        assert!(!error.is_transient());
        let DialError::WebSocket {
            source: UpgradeError::Subprotocol,
            ..
        } = error
        else {
            panic!("{protocol:?}: {error:?}");
        };
    }
}

/// What the user is told when `answer` comes instead of a WebSocket.
async fn told(answer: &[u8]) -> UpgradeError {
    let (near, mut far) = memory::pair(256 * 1024);
    let endpoint: Endpoint = "ws://a.example/ws".parse().unwrap();
    let client = async {
        let uri = endpoint.websocket().unwrap();
        XmppStream::websocket(near, uri, Limits::default()).await
    };
    let server = async {
        let mut request = vec![0; 4096];
        let n = far.read(&mut request).await.unwrap();
        let request = String::from_utf8(request[..n].to_vec()).unwrap();
        assert!(request.starts_with("GET /ws HTTP/1.1\r\nHost: a.example\r\n"));
        far.write_all(answer).await.unwrap();
        drop(far);
    };
    let (refused, ()) = tokio::join!(client, server);
    match refused.unwrap_err() {
        DialError::WebSocket { source, uri } => {
            assert_eq!(uri, "ws://a.example:80/ws");
            source
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_else_may_answer_is_told_in_words_that_help() {
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Log in!</html>";
    let error = told(page).await;
    assert!(matches!(error, UpgradeError::Page { status: 200 }));
    assert!(
        error
            .to_string()
            .contains("log in to this network by a browser")
    );

    let error = told(b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/login\r\n\r\n").await;
    assert_eq!(
        error.to_string(),
        "the web server redirects (HTTP 302) to \"http://portal.example/login\"; if this is \
         the service, use its wss:// URI, and if it is a login page of this network, log in by \
         a browser"
    );
    let long = [
        b"HTTP/1.1 301 x\r\nLocation: ",
        &[0xFF; 3000][..],
        b"\r\n\r\n",
    ]
    .concat();
    let UpgradeError::Redirected { location, .. } = told(&long).await else {
        panic!();
    };
    assert_eq!(location.chars().count(), 200);
    assert!(matches!(
        told(b"HTTP/1.1 307 x\r\n\r\n").await,
        UpgradeError::Redirected { status: 307, location } if location.is_empty()
    ));

    let error = told(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(
        error.to_string(),
        "the web server answered HTTP 404: there is nothing at that path; check the URI"
    );
    assert!(!error.is_transient());
    assert!(told(b"HTTP/1.1 503 x\r\n\r\n").await.is_transient());

    for no_http in [
        &b"HTTP/1.0 200 OK\r\n\r\n"[..],
        b"<?xml version='1.0'?><stream:stream>",
        b"SSH-2.0-x\r\n",
        b"\x15\x03\x01\0\x02\x02\x46",
    ] {
        let error = told(no_http).await;
        assert!(matches!(error, UpgradeError::NotHttp), "{error:?}");
    }
    for cut in [&b""[..], b"HTTP/1.1 101 Switching"] {
        let error = told(cut).await;
        assert!(matches!(error, UpgradeError::Closed), "{error:?}");
    }
    let endless = [b"HTTP/1.1 101 x\r\na: ".as_slice(), &[b'b'; 100_000]].concat();
    for broken in [
        &b"HTTP/1.1 101 x\r\n\r\n"[..],
        b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        &endless,
    ] {
        let error = told(broken).await;
        assert!(
            matches!(error, UpgradeError::PeerMisbehaved(_)),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_web_server_at_the_port_of_xmpp_is_told_apart_from_a_broken_server() {
    for (answer, line) in [
        (
            "HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n",
            "HTTP/1.1 400 Bad Request",
        ),
        ("HTTP/1.0 302 Found\r\n", "HTTP/1.0 302 Found"),
        ("<!DOCTYPE HTML>\n<html>", "<!DOCTYPE HTML>"),
        ("<html><head></head></html>", "<html><head></head></html>"),
    ] {
        let (near, mut far) = memory::pair(4096);
        far.write_all(answer.as_bytes()).await.unwrap();
        let mut stream = XmppStream::new(near, Limits::default());
        stream.open(&header());
        for _ in 0..2 {
            let fault = stream.next().await.unwrap_err();
            assert!(
                fault
                    .to_string()
                    .contains("log in to this network by a browser")
            );
            let StreamFault::WebServer { line: told } = fault else {
                panic!("{answer}: {fault:?}");
            };
            assert_eq!(told, line);
        }
    }
    // A peer that has spoken XMPP is no web server, whatever it says later.
    let (near, mut far) = memory::pair(4096);
    far.write_all(
        b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
          HTTP/1.1 200 OK",
    )
    .await
    .unwrap();
    let mut stream = XmppStream::new(near, Limits::default());
    opened(&mut stream).await;
    assert!(matches!(stream.next().await, Err(StreamFault::Decode(_))));

    let (near, mut far) = memory::pair(4096);
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .await
        .unwrap();
    let connector = Authority::new("root").connector();
    let DialError::Tls { source, .. } = connector.direct(near, DOMAIN).await.unwrap_err() else {
        panic!();
    };
    assert!(matches!(source, TlsError::NotTls));
    assert!(source.to_string().contains("by a browser"), "{source}");
}

/// Both ends of a WebSocket over a pipe of this process.
pub(crate) async fn ends() -> (XmppStream, WebSocketStream<BoxTransport>) {
    ends_with(Limits::default(), 64 * 1024).await
}

async fn ends_with(limits: Limits, buffer: usize) -> (XmppStream, WebSocketStream<BoxTransport>) {
    let (near, far) = memory::pair(buffer);
    let endpoint: Endpoint = "ws://127.0.0.1:1/xmpp?a=b".parse().unwrap();
    let client = XmppStream::websocket(near, endpoint.websocket().unwrap(), limits);
    let (client, server) = tokio::join!(client, handshake(far, Some("xmpp")));
    (client.unwrap(), server)
}

#[tokio::test]
async fn a_ping_is_answered_while_the_stream_waits() {
    let (mut stream, mut socket) = ends().await;
    let server = async {
        socket.send(Frame::Ping("abc".into())).await.unwrap();
        assert_eq!(
            socket.next().await.unwrap().unwrap(),
            Frame::Pong("abc".into())
        );
        socket.send(Frame::Pong("unasked".into())).await.unwrap();
        say(&mut socket, ANSWER).await;
    };
    let (_, header) = tokio::join!(server, opened(&mut stream));
    assert_eq!(header.id.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_server_that_closes_is_believed_and_asked_why() {
    for (frame, expected) in [
        (None, None),
        (Some((CloseCode::Normal, "")), None),
        (Some((CloseCode::Away, "restart")), None),
        (
            Some((CloseCode::Policy, "too slow")),
            Some((1008, "too slow")),
        ),
        (Some((CloseCode::Error, "")), Some((1011, ""))),
    ] {
        let (mut stream, mut socket) = ends().await;
        say(&mut socket, ANSWER).await;
        let frame = frame.map(|(code, reason)| CloseFrame {
            code,
            reason: reason.into(),
        });
        socket.close(frame).await.unwrap();
        opened(&mut stream).await;
        let fault = stream.next().await.unwrap_err();
        match (expected, &fault) {
            (None, StreamFault::Closed) => {}
            (
                Some((code, reason)),
                StreamFault::WebSocket(WebSocketFault::Closed { code: c, reason: r }),
            ) => assert_eq!((code, reason), (*c, r.as_str())),
            _ => panic!("{fault:?}"),
        }
        assert!(matches!(stream.next().await, Err(StreamFault::Closed)));
        // There is nobody to say goodbye to.
        stream.close().await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Frame::Close(_)))));
    }
}

#[tokio::test]
async fn a_connection_that_just_ends_is_closed() {
    let (mut stream, socket) = ends().await;
    drop(socket);
    assert!(matches!(stream.next().await, Err(StreamFault::Closed)));
    stream.send(&message("x")).unwrap();
    assert!(stream.next().await.is_err());
    stream.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_gone_after_its_close_is_closed_without_error() {
    let (mut stream, mut socket) = ends().await;
    stream.open(&header());
    say(&mut socket, ANSWER).await;
    opened(&mut stream).await;
    stream.end();
    stream.flush().await.unwrap();
    say(&mut socket, CLOSE).await;
    drop(socket);
    assert_eq!(stream.next().await.unwrap(), StreamEvent::Close);
    stream.close().await.unwrap();
}

/// The bytes of a short message of the client's: head, mask and text.
const fn frame(text: &str) -> usize {
    2 + 4 + text.len()
}

#[tokio::test]
async fn a_server_that_is_gone_once_it_has_our_close_is_no_error() {
    // The closing frame does not fit behind `<close/>` and so waits for the server.
    let (mut stream, mut socket) = ends_with(Limits::default(), frame(CLOSE)).await;
    let server = async {
        assert_eq!(text(&mut socket).await, CLOSE);
        drop(socket);
    };
    let (closed, ()) = tokio::join!(stream.close(), server);
    closed.unwrap();
}

#[tokio::test]
async fn a_server_that_is_gone_before_it_has_our_close_is_no_error() {
    let (mut stream, socket) = ends().await;
    drop(socket);
    stream.close().await.unwrap();
}

#[tokio::test]
async fn a_stanza_that_did_not_get_out_before_our_close_is_an_error() {
    let presence = "<presence xmlns='jabber:client'/>";
    let (mut stream, mut socket) = ends_with(Limits::default(), frame(presence) + 1).await;
    stream.send_bytes(b"<presence/><presence/>");
    let server = async {
        assert_eq!(text(&mut socket).await, presence);
        drop(socket);
    };
    let (closed, ()) = tokio::join!(stream.close(), server);
    let Err(StreamFault::Io(error)) = closed else {
        panic!("the second presence was lost");
    };
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn another_place_to_connect_to_is_told_and_nothing_else_done() {
    let moved = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing' \
                 see-other-uri='wss://b.example/ws'/>";
    for opens in [true, false] {
        let (mut stream, mut socket) = ends().await;
        if opens {
            say(&mut socket, ANSWER).await;
            opened(&mut stream).await;
        }
        say(&mut socket, moved).await;
        let StreamFault::SeeOther { uri } = stream.next().await.unwrap_err() else {
            panic!();
        };
        let endpoint: Endpoint = uri.parse().unwrap();
        assert_eq!(endpoint.to_string(), "wss://b.example:443/ws");
        let (closed, heard) = tokio::join!(stream.close(), text(&mut socket));
        closed.unwrap();
        assert_eq!(heard, CLOSE);
    }
}

#[tokio::test]
async fn there_is_no_starttls_over_a_websocket() {
    let (mut stream, mut socket) = ends().await;
    say(&mut socket, ANSWER).await;
    say(
        &mut socket,
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    )
    .await;
    opened(&mut stream).await;
    assert!(starttls::Proceed::matches(&element(&mut stream).await));
    assert_eq!(stream.into_transport().unwrap_err(), DetachError::WebSocket);
}

#[tokio::test]
async fn both_ends_may_write_more_than_the_pipe_holds() {
    const COUNT: usize = 300;
    let body = "x".repeat(1000);
    let (mut stream, mut socket) = ends_with(Limits::default(), 512).await;
    stream.open(&header());
    for _ in 0..COUNT {
        stream.send(&message(&body)).unwrap();
    }
    let queued = stream.queued();
    assert!(queued > COUNT * 1000);
    let (mut writes, mut reads) = {
        say(&mut socket, ANSWER).await;
        socket.split()
    };
    let writing = async {
        for _ in 0..COUNT {
            let text = format!("<message xmlns='jabber:client'><body>{body}</body></message>");
            writes.send(Frame::text(text)).await.unwrap();
        }
    };
    let reading = async {
        for _ in 0..=COUNT {
            assert!(reads.next().await.unwrap().unwrap().is_text());
        }
    };
    let client = async {
        opened(&mut stream).await;
        for _ in 0..COUNT {
            assert!(element(&mut stream).await.is("message", ns::CLIENT));
        }
        stream.flush().await.unwrap();
        assert_eq!(stream.queued(), 0);
    };
    tokio::join!(writing, reading, client);
}

#[tokio::test]
async fn what_has_come_is_given_out_without_waiting() {
    let (mut stream, mut socket) = ends().await;
    for text in [ANSWER, FEATURES, "<presence xmlns='jabber:client'/>"] {
        socket.feed(Frame::text(text)).await.unwrap();
    }
    socket.flush().await.unwrap();
    assert_eq!(stream.try_next().unwrap(), None, "nothing was read yet");
    opened(&mut stream).await;
    assert!(matches!(
        stream.try_next(),
        Ok(Some(StreamEvent::Element(_)))
    ));
    assert!(matches!(
        stream.try_next(),
        Ok(Some(StreamEvent::Element(_)))
    ));
    assert_eq!(stream.try_next().unwrap(), None);
}
