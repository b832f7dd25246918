//! What a connection costs, counted on the wire.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use stanchion_stanza::{Element, Limits, StreamEvent, Text, ns, stream::StreamHeader};
use stanchion_transport::security::{Handshake, TlsVersion};
use stanchion_transport::tcp::{self, TcpOptions};
use stanchion_transport::{
    BoxTransport, Dial, Endpoint, TcpDial, TlsAcceptor, TlsMode, XmppStream, memory,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::pki::{Authority, Pair};

const DOMAIN: &str = "a.example";

/// A server of XMPP streams: it answers each header, and STARTTLS.
async fn serve(mut pipe: BoxTransport, acceptor: Option<&TlsAcceptor>) {
    if let Some(acceptor) = acceptor {
        pipe = acceptor.upgrade(pipe).await.unwrap();
    }
    let mut stream = XmppStream::new(pipe, Limits::default());
    while let Ok(event) = stream.next().await {
        match event {
            StreamEvent::Open(_) => stream.open(&StreamHeader::response(
                DOMAIN.parse().unwrap(),
                Text::from_static("1"),
            )),
            StreamEvent::Element(element) => stream.send(&element).unwrap(),
            StreamEvent::Close => return,
        }
        stream.flush().await.unwrap();
    }
}

async fn open(stream: &mut XmppStream) {
    stream.open(&StreamHeader::initial(DOMAIN.parse().unwrap()));
    assert!(matches!(stream.next().await, Ok(StreamEvent::Open(_))));
}

async fn ask(stream: &mut XmppStream) {
    stream.send(&Element::new("presence", ns::CLIENT)).unwrap();
    assert!(matches!(stream.next().await, Ok(StreamEvent::Element(_))));
}

#[tokio::test]
async fn each_answer_that_was_waited_for_is_a_turn() {
    let authority = Authority::new("root");
    let acceptor = authority.acceptor(&[DOMAIN]);
    let dial = TcpDial::new(authority.connector());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for (mode, turns) in [(TlsMode::None, 2), (TlsMode::Direct, 3)] {
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            let pipe = tcp::accepted(stream, TcpOptions::default()).unwrap();
            serve(pipe, (mode == TlsMode::Direct).then_some(&acceptor)).await;
        };
        let client = async {
            let endpoint = Endpoint::at(address, mode);
            let pipe = dial.dial(&endpoint, DOMAIN).await.unwrap();
            assert_eq!(pipe.traffic().turns, turns - 1, "TCP, and TLS");
            let mut stream = XmppStream::new(pipe, Limits::default());
            open(&mut stream).await;
            assert_eq!(stream.traffic().turns, turns);
            let before = stream.traffic();
            ask(&mut stream).await;
            let after = stream.traffic();
            assert_eq!(after.turns, turns + 1);
            assert_eq!(after.writes, before.writes + 1);
            assert!(after.bytes_out > before.bytes_out && after.bytes_in > before.bytes_in);
            stream.close().await.unwrap();
        };
        tokio::join!(server, client);
    }
}

#[tokio::test]
async fn an_accepted_connection_has_asked_for_nothing_yet() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(dialled, listener.accept());
    let mut far = tcp::accepted(far.unwrap().0, TcpOptions::default()).unwrap();
    near.unwrap().write_all(b"abc").await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), b'a');
    let traffic = far.traffic();
    assert_eq!((traffic.turns, traffic.reads, traffic.bytes_in), (0, 1, 1));
}

#[tokio::test]
async fn the_count_goes_on_through_starttls() {
    let authority = Authority::new("root");
    let (connector, acceptor) = (authority.connector(), authority.acceptor(&[DOMAIN]));
    let (near, far) = memory::pair(64 * 1024);
    let server = async {
        let mut stream = XmppStream::new(far, Limits::default());
        assert!(matches!(stream.next().await, Ok(StreamEvent::Open(_))));
        stream.open(&StreamHeader::response(
            DOMAIN.parse().unwrap(),
            Text::from_static("1"),
        ));
        assert!(matches!(stream.next().await, Ok(StreamEvent::Element(_))));
        stream.send(&Element::new("proceed", ns::TLS)).unwrap();
        stream.flush().await.unwrap();
        serve(stream.into_transport().unwrap(), Some(&acceptor)).await;
    };
    let client = async {
        let mut stream = XmppStream::new(near, Limits::default());
        open(&mut stream).await;
        stream.send(&Element::new("starttls", ns::TLS)).unwrap();
        assert!(matches!(stream.next().await, Ok(StreamEvent::Element(_))));
        let clear = stream.traffic();
        assert_eq!(clear.turns, 2);
        let pipe = stream.into_transport().unwrap();
        let pipe = connector.upgrade(pipe, DOMAIN).await.unwrap();
        assert_eq!(pipe.traffic().turns, 3);
        assert!(pipe.traffic().bytes_in > clear.bytes_in + 500);
        let mut stream = XmppStream::new(pipe, Limits::default());
        open(&mut stream).await;
        assert_eq!(stream.traffic().turns, 4);
        stream.close().await.unwrap();
    };
    tokio::join!(server, client);
}

fn server(pair: &Pair, provider: CryptoProvider, tls12: bool) -> Arc<ServerConfig> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let versions = if tls12 {
        &[&rustls::version::TLS12]
    } else {
        &[&rustls::version::TLS13]
    };
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
        );
    Arc::new(config.unwrap())
}

#[tokio::test]
async fn a_handshake_costs_the_turns_that_it_took() {
    let authority = Authority::new("root");
    let pair = authority.issue_for(&[DOMAIN]);
    let mut unguessed = ring::default_provider();
    // The client offers a key for X25519 only.
    unguessed.kx_groups = vec![ring::kx_group::SECP384R1];
    for (config, version, first, again) in [
        (
            server(&pair, ring::default_provider(), false),
            TlsVersion::Tls13,
            (Handshake::Full, 1),
            (Handshake::Resumed, 1),
        ),
        (
            server(&pair, ring::default_provider(), true),
            TlsVersion::Tls12,
            (Handshake::Full, 2),
            (Handshake::Resumed, 1),
        ),
        (
            server(&pair, unguessed, false),
            TlsVersion::Tls13,
            (Handshake::FullWithRetry, 2),
            // The group is remembered with the session.
            (Handshake::Resumed, 1),
        ),
    ] {
        let connector = authority.connector();
        for (handshake, turns) in [first, again] {
            let (near, mut far) = memory::pair(64 * 1024);
            let serving = async {
                let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&config));
                let mut far = acceptor.accept(&mut far).await.unwrap();
                far.write_all(b"x").await.unwrap();
                far.flush().await.unwrap();
                far
            };
            let (near, _far) = tokio::join!(connector.direct(near, DOMAIN), serving);
            let mut near = near.unwrap();
            let tls = near.security().tls.as_ref().unwrap();
            assert_eq!((tls.version, tls.handshake), (version, handshake));
            assert_eq!(near.traffic().turns, turns, "{version} {handshake}");
            // The tickets come with the first byte, and are no turn that was awaited
            // by itself.
            near.read_u8().await.unwrap();
        }
    }
}
