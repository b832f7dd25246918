//! Dialling, over the loopback network and inside the process.

use std::net::{Ipv4Addr, SocketAddr};

use stanchion_stanza::{Element, Limits, StreamEvent, ns, stream::StreamHeader};
use stanchion_transport::security::Trust;
use stanchion_transport::tcp::{self, TcpOptions};
use stanchion_transport::tls::{CertificateFault, TlsError};
use stanchion_transport::{
    BoxTransport, Dial, DialError, Endpoint, Host, MemoryDial, TcpDial, TlsMode, XmppStream,
};
use tokio::net::TcpListener;

use crate::pki::Authority;

const DOMAIN: &str = "a.example";

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn accept(listener: &TcpListener) -> BoxTransport {
    let (stream, _) = listener.accept().await.unwrap();
    tcp::accepted(stream, TcpOptions::default()).unwrap()
}

async fn greet(near: BoxTransport, far: BoxTransport) {
    let mut client = XmppStream::new(near, Limits::default());
    let mut server = XmppStream::new(far, Limits::default());
    client.open(&StreamHeader::initial(DOMAIN.parse().unwrap()));
    client.send(&Element::new("presence", ns::CLIENT)).unwrap();
    client.close().await.unwrap();
    assert!(matches!(server.next().await, Ok(StreamEvent::Open(_))));
    assert!(matches!(server.next().await, Ok(StreamEvent::Element(_))));
    assert_eq!(server.next().await.unwrap(), StreamEvent::Close);
}

#[tokio::test]
async fn tcp_carries_streams_in_each_mode() {
    let authority = Authority::new("root");
    let (dial, acceptor) = (
        TcpDial::new(authority.connector()),
        authority.acceptor(&[DOMAIN]),
    );
    let (listener, address) = listener().await;

    let plain = Endpoint::at(address, TlsMode::None);
    let (near, far) = tokio::join!(dial.dial(&plain, DOMAIN), accept(&listener));
    let near = near.unwrap();
    assert!(!near.security().is_encrypted());
    greet(near, far).await;

    // The host is not the domain: only the latter has to be in the certificate.
    let direct = Endpoint::new(
        Host::Name("localhost".into()),
        address.port(),
        TlsMode::Direct,
    );
    let (near, far) = tokio::join!(dial.dial(&direct, DOMAIN), async {
        acceptor.upgrade(accept(&listener).await).await
    });
    let near = near.unwrap();
    assert_eq!(near.security().tls.as_ref().unwrap().trust, Trust::Chain);
    greet(near, far.unwrap()).await;

    let starttls = Endpoint::at(address, TlsMode::StartTls);
    let (near, far) = tokio::join!(dial.dial(&starttls, DOMAIN), accept(&listener));
    let near = near.unwrap();
    assert!(!near.security().is_encrypted());
    let (near, far) = tokio::join!(dial.upgrade(near, DOMAIN), acceptor.upgrade(far));
    greet(near.unwrap(), far.unwrap()).await;
}

#[tokio::test]
async fn the_certificate_is_checked_against_the_domain_not_the_host() {
    let authority = Authority::new("root");
    let dial = TcpDial::new(authority.connector());
    let acceptor = authority.acceptor(&["localhost", "127.0.0.1"]);
    let (listener, address) = listener().await;
    let endpoint = Endpoint::new(
        Host::Name("localhost".into()),
        address.port(),
        TlsMode::Direct,
    );
    let (near, _) = tokio::join!(dial.dial(&endpoint, DOMAIN), async {
        acceptor.upgrade(accept(&listener).await).await
    });
    let error = near.unwrap_err();
    assert!(!error.is_transient());
    let DialError::Tls {
        domain,
        source: TlsError::Certificate(CertificateFault::WrongName { .. }),
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(domain, DOMAIN);
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_unreachable() {
    let dial = TcpDial::new(Authority::new("root").connector());
    let (listener, address) = listener().await;
    drop(listener);
    let error = dial
        .dial(&Endpoint::at(address, TlsMode::None), DOMAIN)
        .await
        .unwrap_err();
    assert!(error.is_transient());
    let DialError::Unreachable { endpoint, source } = error else {
        panic!("{error}");
    };
    assert_eq!(endpoint, address.to_string());
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_host_without_address_does_not_resolve() {
    let dial = TcpDial::new(Authority::new("root").connector());
    // No resolver is asked for a name with a NUL in it.
    let endpoint = Endpoint::new(Host::Name("a\0b".into()), 5222, TlsMode::StartTls);
    let error = dial.dial(&endpoint, DOMAIN).await.unwrap_err();
    assert!(matches!(error, DialError::Resolve { .. }), "{error}");
}

#[tokio::test]
async fn memory_carries_streams_in_each_mode() {
    let authority = Authority::new("root");
    let acceptor = authority.acceptor(&[DOMAIN]);
    let mut dial = MemoryDial::new(authority.connector(), 4096);
    let host = Host::Name("server".into());
    let mut listener = dial.listen(host.clone(), 5222);
    let endpoint = |mode| Endpoint::new(host.clone(), 5222, mode);

    let plain = endpoint(TlsMode::None);
    let (near, far) = tokio::join!(dial.dial(&plain, DOMAIN), listener.accept());
    greet(near.unwrap(), far.unwrap()).await;

    let direct = endpoint(TlsMode::Direct);
    let (near, far) = tokio::join!(dial.dial(&direct, DOMAIN), async {
        acceptor.upgrade(listener.accept().await.unwrap()).await
    });
    greet(near.unwrap(), far.unwrap()).await;

    let starttls = endpoint(TlsMode::StartTls);
    let (near, far) = tokio::join!(dial.dial(&starttls, DOMAIN), listener.accept());
    let (near, far) = tokio::join!(
        dial.upgrade(near.unwrap(), DOMAIN),
        acceptor.upgrade(far.unwrap())
    );
    greet(near.unwrap(), far.unwrap()).await;
    drop(dial);
    assert!(listener.accept().await.is_none());
}

#[tokio::test]
async fn a_place_in_memory_where_nobody_listens_is_unreachable() {
    let mut dial = MemoryDial::new(Authority::new("root").connector(), 4096);
    let host = Host::Name("server".into());
    let listener = dial.listen(host.clone(), 5222);
    for (port, drops) in [(5223, None), (5222, Some(listener))] {
        drop(drops);
        let endpoint = Endpoint::new(host.clone(), port, TlsMode::None);
        let error = dial.dial(&endpoint, DOMAIN).await.unwrap_err();
        assert!(matches!(error, DialError::Unreachable { .. }), "{error}");
    }
}
