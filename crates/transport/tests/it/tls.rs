//! TLS between a client and a server of this process.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, IsCa};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use stanchion_stanza::{Element, Limits, StreamEvent, ns, stream::StreamHeader};
use stanchion_transport::security::{Fingerprint, Handshake, TlsInfo, TlsVersion, Trust};
use stanchion_transport::tls::{CertificateFault, Identity, Roots, TlsConfigError, TlsError};
use stanchion_transport::{
    BoxTransport, DialError, StreamFault, TlsAcceptor, TlsConnector, TlsMode, TlsPolicy,
    XmppStream, memory,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::pipes::Counting;
use crate::pki::{Authority, Pair, dated, params};
use crate::stream::exchange_without_deadlock;

const DOMAIN: &str = "a.example";
const BUFFER: usize = 16 * 1024;

type Ends = (BoxTransport, BoxTransport);

async fn connect(
    connector: &TlsConnector,
    mode: TlsMode,
    pipe: BoxTransport,
    domain: &str,
) -> Result<BoxTransport, DialError> {
    match mode {
        TlsMode::Direct => connector.direct(pipe, domain).await,
        _ => connector.upgrade(pipe, domain).await,
    }
}

/// Both handshakes over a fresh pipe.
async fn shake(
    connector: &TlsConnector,
    acceptor: &TlsAcceptor,
    mode: TlsMode,
    domain: &str,
) -> (
    Result<BoxTransport, DialError>,
    Result<BoxTransport, TlsError>,
) {
    let (near, far) = memory::pair(BUFFER);
    tokio::join!(
        connect(connector, mode, near, domain),
        acceptor.upgrade(far)
    )
}

async fn shaken(connector: &TlsConnector, acceptor: &TlsAcceptor, mode: TlsMode) -> Ends {
    let (near, far) = shake(connector, acceptor, mode, DOMAIN).await;
    (near.unwrap(), far.unwrap())
}

/// Why the client refused the server.
async fn refusal(connector: &TlsConnector, acceptor: &TlsAcceptor, domain: &str) -> TlsError {
    let (near, far) = shake(connector, acceptor, TlsMode::Direct, domain).await;
    assert!(far.is_err(), "the server hears of it");
    tls_error(near)
}

fn tls_error(result: Result<BoxTransport, DialError>) -> TlsError {
    match result.unwrap_err() {
        DialError::Tls { source, .. } => source,
        other => panic!("{other}"),
    }
}

fn fault(error: TlsError) -> CertificateFault {
    match error {
        TlsError::Certificate(fault) => fault,
        other => panic!("{other}"),
    }
}

fn info(pipe: &BoxTransport) -> &TlsInfo {
    pipe.security().tls.as_ref().unwrap()
}

/// One byte each way, so that session tickets have been read.
async fn exchange((near, far): &mut Ends) {
    far.write_all(b"s").await.unwrap();
    far.flush().await.unwrap();
    assert_eq!(near.read_u8().await.unwrap(), b's');
    near.write_all(b"c").await.unwrap();
    near.flush().await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), b'c');
}

#[tokio::test]
async fn both_ends_know_what_protects_them_and_bind_to_the_same_channel() {
    let authority = Authority::new("root");
    let pair = authority.issue_for(&[DOMAIN]);
    let (connector, acceptor) = (authority.connector(), pair.acceptor());
    let mut exporters = Vec::new();
    for (mode, alpn) in [
        (TlsMode::Direct, Some(b"xmpp-client".to_vec())),
        (TlsMode::StartTls, None),
    ] {
        let mut ends = shaken(&connector, &acceptor, mode).await;
        exchange(&mut ends).await;
        let (client, server) = (info(&ends.0), info(&ends.1));
        assert_eq!(
            (client.trust, server.trust),
            (Trust::Chain, Trust::Anonymous)
        );
        assert_eq!((&client.alpn, &server.alpn), (&alpn, &alpn));
        assert_eq!(
            (client.version, server.version),
            (TlsVersion::Tls13, TlsVersion::Tls13)
        );
        assert!(client.cipher.starts_with("TLS13_"), "{}", client.cipher);
        assert_eq!(client.cipher, server.cipher);
        assert_eq!(client.peer_sha256, Some(acceptor.sha256()));
        assert_eq!(server.peer_sha256, None);
        assert!(!client.client_certificate && !server.client_certificate);

        let (client, server) = (ends.0.security(), ends.1.security());
        assert!(client.is_encrypted());
        assert_eq!(client.bindings, server.bindings);
        exporters.push(client.bindings.tls_exporter.unwrap());
        let der = pair.identity().end_entity().to_vec();
        let sha256 = Fingerprint::of(&der).as_bytes().to_vec();
        assert_eq!(client.bindings.tls_server_end_point, Some(sha256));
    }
    assert_ne!(exporters[0], exporters[1], "each session has its own");
}

#[tokio::test]
async fn sessions_resume_in_each_mode_and_stay_authenticated_and_bound() {
    let authority = Authority::new("root");
    let (connector, acceptor) = (authority.connector(), authority.acceptor(&[DOMAIN]));
    for mode in [TlsMode::Direct, TlsMode::StartTls] {
        let mut first = shaken(&connector, &acceptor, mode).await;
        assert_eq!(info(&first.0).handshake, Handshake::Full);
        exchange(&mut first).await;

        // A clone shares the sessions.
        let mut second = shaken(&connector.clone(), &acceptor, mode).await;
        exchange(&mut second).await;
        for end in [&second.0, &second.1] {
            assert_eq!(info(end).handshake, Handshake::Resumed);
        }
        assert_eq!(info(&second.0).peer_sha256, Some(acceptor.sha256()));
        let [first, again, server] =
            [&first.0, &second.0, &second.1].map(|e| &e.security().bindings);
        assert_eq!(again, server);
        assert_ne!(again.tls_exporter, first.tls_exporter);
        assert_eq!(again.tls_server_end_point, first.tls_server_end_point);
    }
}

#[tokio::test]
async fn a_session_of_one_domain_does_not_speak_for_another() {
    let authority = Authority::new("root");
    let (connector, acceptor) = (authority.connector(), authority.acceptor(&[DOMAIN]));
    let mut ends = shaken(&connector, &acceptor, TlsMode::Direct).await;
    exchange(&mut ends).await;
    let fault = fault(refusal(&connector, &acceptor, "b.example").await);
    assert!(
        matches!(fault, CertificateFault::WrongName { .. }),
        "{fault}"
    );
}

#[tokio::test]
async fn the_domain_may_be_international_or_an_address() {
    let authority = Authority::new("root");
    let names = ["xn--bcher-kva.example", "127.0.0.1", "::1"];
    let (connector, acceptor) = (authority.connector(), authority.acceptor(&names));
    for domain in ["bücher.example", "127.0.0.1", "[::1]", "::1"] {
        let (near, _) = shake(&connector, &acceptor, TlsMode::Direct, domain).await;
        assert!(near.is_ok(), "{domain}: {:?}", near.err());
    }
    let (near, _) = shake(&connector, &acceptor, TlsMode::Direct, "127.0.0.2").await;
    assert!(matches!(
        fault(tls_error(near)),
        CertificateFault::WrongName { .. }
    ));
    let (near, _far) = memory::pair(BUFFER);
    let error = tls_error(connector.direct(near, "a example").await);
    assert!(matches!(error, TlsError::Domain(ref d) if d == "a example"));
}

#[tokio::test]
async fn an_expired_certificate_is_refused_with_its_date() {
    let authority = Authority::new("root");
    let acceptor = authority.issue(&dated(&[DOMAIN], 2001, 2002)).acceptor();
    let fault = fault(refusal(&authority.connector(), &acceptor, DOMAIN).await);
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_009_843_200);
    assert_eq!(fault, CertificateFault::Expired { not_after: end });
    assert!(fault.to_string().contains("2002"), "{fault}");
}

#[tokio::test]
async fn a_certificate_of_the_future_is_refused_with_its_date() {
    let authority = Authority::new("root");
    let acceptor = authority.issue(&dated(&[DOMAIN], 3001, 3002)).acceptor();
    let fault = fault(refusal(&authority.connector(), &acceptor, DOMAIN).await);
    assert!(
        matches!(fault, CertificateFault::NotYetValid { .. }),
        "{fault}"
    );
    assert!(fault.to_string().contains("3001"), "{fault}");
}

#[tokio::test]
async fn a_wrong_name_is_refused_with_the_names_there_are() {
    let authority = Authority::new("root");
    let acceptor = authority.acceptor(&["b.example", "*.c.example", "192.0.2.1"]);
    let fault = fault(refusal(&authority.connector(), &acceptor, DOMAIN).await);
    let presented = ["b.example", "*.c.example", "192.0.2.1"].map(str::to_owned);
    let expected = CertificateFault::WrongName {
        wanted: DOMAIN.to_owned(),
        presented: presented.to_vec(),
        sha256: acceptor.sha256(),
    };
    assert_eq!(fault, expected);
    assert!(
        fault
            .to_string()
            .contains("b.example, *.c.example, 192.0.2.1")
    );
}

#[tokio::test]
async fn an_unknown_issuer_is_refused_with_the_fingerprint_to_pin() {
    let authority = Authority::new("root");
    let acceptor = authority.acceptor(&[DOMAIN]);
    let public = TlsConnector::new(&TlsPolicy::default()).unwrap();
    for connector in [Authority::new("other").connector(), public] {
        let fault = fault(refusal(&connector, &acceptor, DOMAIN).await);
        let expected = CertificateFault::UnknownIssuer {
            self_signed: false,
            presented: vec![DOMAIN.to_owned()],
            sha256: acceptor.sha256(),
        };
        assert_eq!(fault, expected);
        assert!(fault.to_string().contains(&acceptor.sha256().to_string()));
    }
}

/// As the usual commands make them: one marks itself as an authority, one does not.
fn self_signed(names: &[&str]) -> [Pair; 2] {
    let plain = params(names);
    let mut authority = params(names);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    [plain, authority].map(|params| Pair::self_signed(&params))
}

#[tokio::test]
async fn a_self_signed_certificate_is_called_that() {
    let connector = Authority::new("root").connector();
    for pair in self_signed(&[DOMAIN]) {
        let fault = fault(refusal(&connector, &pair.acceptor(), DOMAIN).await);
        let CertificateFault::UnknownIssuer {
            self_signed: true, ..
        } = fault
        else {
            panic!("{fault}");
        };
    }
}

#[tokio::test]
async fn a_self_signed_certificate_may_be_trusted_by_its_own_pem_for_its_own_name() {
    for pair in self_signed(&[DOMAIN]) {
        let roots = vec![Roots::Pem(pair.certificate.clone().into_bytes())];
        let connector = TlsConnector::new(&TlsPolicy::with_roots(roots)).unwrap();
        let ends = shaken(&connector, &pair.acceptor(), TlsMode::Direct).await;
        assert_eq!(info(&ends.0).trust, Trust::Chain);
        let fault = fault(refusal(&connector, &pair.acceptor(), "b.example").await);
        assert!(
            matches!(fault, CertificateFault::WrongName { .. }),
            "{fault}"
        );
    }
    let expired = Pair::self_signed(&dated(&[DOMAIN], 2001, 2002));
    let roots = vec![Roots::Pem(expired.certificate.clone().into_bytes())];
    let connector = TlsConnector::new(&TlsPolicy::with_roots(roots)).unwrap();
    let fault = fault(refusal(&connector, &expired.acceptor(), DOMAIN).await);
    assert!(matches!(fault, CertificateFault::Expired { .. }), "{fault}");
}

#[tokio::test]
async fn a_server_trusted_by_its_own_pem_cannot_vouch_for_others() {
    let [plain, authority] = self_signed(&[DOMAIN]);
    for (pair, vouches) in [(plain, false), (authority, true)] {
        let issuer = Authority::holding(params(&[DOMAIN]), &pair);
        let roots = vec![Roots::Pem(pair.certificate.clone().into_bytes())];
        let connector = TlsConnector::new(&TlsPolicy::with_roots(roots)).unwrap();
        let acceptor = issuer.acceptor(&["b.example"]);
        let (near, _) = shake(&connector, &acceptor, TlsMode::Direct, "b.example").await;
        assert_eq!(near.is_ok(), vouches);
        if let Err(DialError::Tls { source, .. }) = near {
            let fault = fault(source);
            assert!(
                matches!(fault, CertificateFault::UnknownIssuer { .. }),
                "{fault}"
            );
        }
    }
}

#[tokio::test]
async fn a_pin_trusts_that_certificate_alone_whatever_it_says() {
    let pinned = Pair::self_signed(&dated(&["b.example"], 2001, 2002));
    let pin = pinned.identity().sha256();
    let policy = TlsPolicy::pinned(pin);
    let connector = TlsConnector::new(&policy).unwrap();
    let ends = shaken(&connector, &pinned.acceptor(), TlsMode::Direct).await;
    assert_eq!(info(&ends.0).trust, Trust::Pin);

    // A valid certificate of a trusted issuer is still another one.
    let authority = Authority::new("root");
    let acceptor = authority.acceptor(&[DOMAIN]);
    let policy = TlsPolicy {
        roots: authority.roots(),
        ..policy
    };
    let connector = TlsConnector::new(&policy).unwrap();
    let fault = fault(refusal(&connector, &acceptor, DOMAIN).await);
    let expected = CertificateFault::PinMismatch {
        expected: pin,
        got: acceptor.sha256(),
    };
    assert_eq!(fault, expected);
    let text = fault.to_string();
    assert!(text.contains(&pin.to_string()) && text.contains(&acceptor.sha256().to_string()));
}

/// Shows a certificate without having its key.
#[derive(Debug)]
struct Impostor(Arc<CertifiedKey>);

impl ResolvesServerCert for Impostor {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn der(pair: &Pair) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    (
        vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()],
        PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
    )
}

#[tokio::test]
async fn a_pinned_certificate_without_its_key_is_refused() {
    let authority = Authority::new("root");
    let real = authority.issue_for(&[DOMAIN]);
    let stolen = der(&real).0;
    let own_key = der(&authority.issue_for(&[DOMAIN])).1;
    let key = provider().key_provider.load_private_key(own_key).unwrap();
    let impostor = Impostor(Arc::new(CertifiedKey::new(stolen, key)));
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Impostor(Arc::clone(&impostor.0))));
        let server = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let pinning = TlsConnector::new(&TlsPolicy::pinned(real.identity().sha256())).unwrap();
        for connector in [pinning, authority.connector()] {
            let (near, far) = memory::pair(BUFFER);
            let (near, _) = tokio::join!(connector.direct(near, DOMAIN), server.accept(far));
            let fault = fault(tls_error(near));
            assert!(matches!(fault, CertificateFault::Invalid(_)), "{fault}");
        }
    }
}

/// A server that speaks TLS 1.2 only.
fn old_server(pair: &Pair) -> tokio_rustls::TlsAcceptor {
    let (chain, key) = der(pair);
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn on_tls_1_2_there_is_an_end_point_and_no_exporter() {
    let authority = Authority::new("root");
    let server = old_server(&authority.issue_for(&[DOMAIN]));
    let (near, far) = memory::pair(BUFFER);
    let connector = authority.connector();
    let (near, far) = tokio::join!(connector.direct(near, DOMAIN), server.accept(far));
    let (near, _far) = (near.unwrap(), far.unwrap());
    assert_eq!(info(&near).version, TlsVersion::Tls12);
    assert_eq!(near.security().bindings.tls_exporter, None);
    assert!(near.security().bindings.tls_server_end_point.is_some());
}

#[tokio::test]
async fn a_server_below_the_least_version_is_refused() {
    let authority = Authority::new("root");
    let server = old_server(&authority.issue_for(&[DOMAIN]));
    let policy = TlsPolicy {
        min_version: TlsVersion::Tls13,
        ..TlsPolicy::with_roots(authority.roots())
    };
    let connector = TlsConnector::new(&policy).unwrap();
    let (near, far) = memory::pair(BUFFER);
    let (near, _) = tokio::join!(connector.direct(near, DOMAIN), server.accept(far));
    let error = tls_error(near);
    assert!(matches!(error, TlsError::Version), "{error}");
}

#[tokio::test]
async fn a_plaintext_answer_is_told_as_such_at_both_ends() {
    let authority = Authority::new("root");
    for answer in [
        "<?xml version='1.0'?><stream:stream",
        "HTTP/1.1 400 Bad Request\r\n",
        "\n",
    ] {
        let (near, mut far) = memory::pair(BUFFER);
        far.write_all(answer.as_bytes()).await.unwrap();
        // A record's header has five bytes.
        far.write_all(b"     ").await.unwrap();
        let error = tls_error(authority.connector().direct(near, DOMAIN).await);
        assert!(matches!(error, TlsError::NotTls), "{answer}: {error}");
    }
    let (mut near, far) = memory::pair(BUFFER);
    near.write_all(b"<?xml version='1.0'?><stream:stream")
        .await
        .unwrap();
    let error = authority
        .acceptor(&[DOMAIN])
        .upgrade(far)
        .await
        .unwrap_err();
    assert!(matches!(error, TlsError::NotTls), "{error}");
}

#[tokio::test]
async fn a_connection_that_ends_in_the_handshake_is_told_as_such() {
    let authority = Authority::new("root");
    let (near, far) = memory::pair(BUFFER);
    let server = async {
        let mut far = far;
        far.read_u8().await.unwrap();
    };
    let connector = authority.connector();
    let (near, ()) = tokio::join!(connector.direct(near, DOMAIN), server);
    let error = tls_error(near);
    assert!(matches!(error, TlsError::Closed), "{error}");
}

#[tokio::test]
async fn a_server_that_agrees_to_no_application_protocol_refuses() {
    let authority = Authority::new("root");
    let (chain, key) = der(&authority.issue_for(&[DOMAIN]));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let server = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (near, far) = memory::pair(BUFFER);
    let connector = authority.connector();
    let (near, _) = tokio::join!(connector.direct(near, DOMAIN), server.accept(far));
    let error = tls_error(near);
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
    assert!(matches!(error, TlsError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let server = servers.issue_for(&[DOMAIN]);
    let acceptor = TlsAcceptor::requesting_clients(server.identity(), &clients.roots()).unwrap();
    let client = |identity: Option<Identity>| {
        let policy = TlsPolicy {
            client_certificate: identity,
            ..TlsPolicy::with_roots(servers.roots())
        };
        TlsConnector::new(&policy).unwrap()
    };

    let identity = clients.issue_for(&["client"]).identity();
    let connector = client(Some(identity.clone()));
    for handshake in [Handshake::Full, Handshake::Resumed] {
        let mut ends = shaken(&connector, &acceptor, TlsMode::Direct).await;
        exchange(&mut ends).await;
        assert_eq!(info(&ends.1).peer_sha256, Some(identity.sha256()));
        assert_eq!(info(&ends.1).trust, Trust::Chain);
        assert!(info(&ends.0).client_certificate && info(&ends.1).client_certificate);
        assert_eq!(info(&ends.0).handshake, handshake);
    }

    let ends = shaken(&client(None), &acceptor, TlsMode::Direct).await;
    assert_eq!(info(&ends.1).trust, Trust::Anonymous);
    assert!(!info(&ends.1).client_certificate);

    let stranger = Authority::new("strangers")
        .issue_for(&["client"])
        .identity();
    let (_, far) = shake(&client(Some(stranger)), &acceptor, TlsMode::Direct, DOMAIN).await;
    assert!(matches!(far.unwrap_err(), TlsError::Certificate(_)));
}

#[tokio::test]
async fn only_the_client_with_the_pinned_certificate_and_its_key_is_let_in() {
    let [server, client, stranger] = [(); 3].map(|()| self_signed(&["neighbour"])[0].identity());
    let acceptor = TlsAcceptor::pinned_client(server.clone(), client.sha256()).unwrap();
    let connector = |identity: Option<Identity>| {
        let policy = TlsPolicy {
            client_certificate: identity,
            ..TlsPolicy::pinned(server.sha256())
        };
        TlsConnector::new(&policy).unwrap()
    };
    let right = connector(Some(client.clone()));
    for _ in 0..2 {
        let mut ends = shaken(&right, &acceptor, TlsMode::StartTls).await;
        exchange(&mut ends).await;
        assert_eq!(info(&ends.1).peer_sha256, Some(client.sha256()));
        assert_eq!(info(&ends.1).trust, Trust::Pin);
    }
    for wrong in [Some(stranger), None] {
        let connector = connector(wrong);
        let (_, far) = shake(&connector, &acceptor, TlsMode::StartTls, DOMAIN).await;
        far.unwrap_err();
    }
}

fn streams((near, far): Ends) -> (XmppStream, XmppStream) {
    let new = |pipe| XmppStream::new(pipe, Limits::default());
    (new(near), new(far))
}

fn header() -> StreamHeader {
    StreamHeader::initial(DOMAIN.parse().unwrap())
}

#[tokio::test]
async fn a_missing_close_notify_is_a_plain_end() {
    let authority = Authority::new("root");
    let (connector, acceptor) = (authority.connector(), authority.acceptor(&[DOMAIN]));
    let (mut client, mut server) = streams(shaken(&connector, &acceptor, TlsMode::Direct).await);
    server.open(&header());
    server.flush().await.unwrap();
    drop(server);
    assert!(matches!(client.next().await, Ok(StreamEvent::Open(_))));
    let end = client.next().await;
    assert!(matches!(end, Err(StreamFault::Closed)), "{end:?}");
}

#[tokio::test]
async fn a_flush_through_tls_is_one_write_below() {
    let authority = Authority::new("root");
    let (connector, acceptor) = (authority.connector(), authority.acceptor(&[DOMAIN]));
    let (near, far) = memory::pair(256 * 1024);
    let (near, writes) = Counting::over(near);
    let (near, far) = tokio::join!(connector.direct(near, DOMAIN), acceptor.upgrade(far));
    let (mut client, mut server) = streams((near.unwrap(), far.unwrap()));
    *writes.lock().unwrap() = 0;
    client.open(&header());
    // Some records' worth.
    while client.queued() < 40_000 {
        client.send(&Element::new("presence", ns::CLIENT)).unwrap();
    }
    client.send(&Element::new("r", ns::SM)).unwrap();
    client.flush().await.unwrap();
    assert_eq!(*writes.lock().unwrap(), 1);
    assert!(matches!(server.next().await, Ok(StreamEvent::Open(_))));
}

#[tokio::test(start_paused = true)]
async fn two_ends_with_full_buffers_do_not_deadlock_under_tls() {
    let authority = Authority::new("root");
    let (connector, acceptor) = (authority.connector(), authority.acceptor(&[DOMAIN]));
    let (near, far) = memory::pair(1000);
    let (near, far) = tokio::join!(connector.direct(near, DOMAIN), acceptor.upgrade(far));
    exchange_without_deadlock(near.unwrap(), far.unwrap()).await;
}

#[tokio::test]
async fn starttls_turns_a_plaintext_stream_into_a_protected_one() {
    let authority = Authority::new("root");
    let (connector, acceptor) = (authority.connector(), authority.acceptor(&[DOMAIN]));
    let (mut client, mut server) = streams(memory::pair(BUFFER));
    let client = async {
        client.open(&header());
        client.send(&Element::new("starttls", ns::TLS)).unwrap();
        assert!(matches!(client.next().await, Ok(StreamEvent::Open(_))));
        let StreamEvent::Element(proceed) = client.next().await.unwrap() else {
            panic!("an element was sent");
        };
        assert!(proceed.is("proceed", ns::TLS));
        let pipe = client.into_transport().unwrap();
        let pipe = connector.upgrade(pipe, DOMAIN).await.unwrap();
        let mut client = XmppStream::new(pipe, Limits::default());
        assert!(client.security().is_encrypted());
        client.open(&header());
        client.end();
        // Gone earlier, it would fail the server's handshake, which ends with tickets.
        assert!(matches!(client.next().await, Err(StreamFault::Closed)));
    };
    let server = async {
        server.next().await.unwrap();
        server.next().await.unwrap();
        server.open(&header());
        server.send(&Element::new("proceed", ns::TLS)).unwrap();
        server.flush().await.unwrap();
        let pipe = acceptor
            .upgrade(server.into_transport().unwrap())
            .await
            .unwrap();
        let mut server = XmppStream::new(pipe, Limits::default());
        assert!(matches!(server.next().await, Ok(StreamEvent::Open(_))));
        assert_eq!(server.next().await.unwrap(), StreamEvent::Close);
    };
    tokio::join!(client, server);
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_its_reason() {
    use TlsConfigError as E;
    let connector = |roots| TlsConnector::new(&TlsPolicy::with_roots(roots)).unwrap_err();
    assert!(matches!(connector(Vec::new()), E::NoRoots));
    assert!(matches!(
        connector(vec![Roots::Pem(b"nothing".to_vec())]),
        E::NoCertificate
    ));
    let garbage = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        connector(vec![Roots::Pem(garbage.to_vec())]),
        E::Certificate
    ));
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.pem");
    let E::Read { path, .. } = connector(vec![Roots::PemFile(missing.clone())]) else {
        panic!("the file is missing");
    };
    assert_eq!(path, missing);

    let authority = Authority::new("root");
    let (one, other) = (
        authority.issue_for(&[DOMAIN]),
        authority.issue_for(&[DOMAIN]),
    );
    let identity = |certificate: &str, key: &str| {
        Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err()
    };
    assert!(matches!(
        identity(&one.certificate, &other.key),
        E::KeyMismatch
    ));
    assert!(matches!(identity("", &one.key), E::NoCertificate));
    assert!(matches!(identity(&one.certificate, ""), E::Pem { .. }));
    let unreadable = Identity::from_der(vec![der(&one).0[0].to_vec()], b"key");
    assert!(matches!(unreadable.unwrap_err(), E::Key));
}

#[test]
fn an_identity_is_read_from_files_and_from_der_alike() {
    let pair = Authority::new("root").issue_for(&[DOMAIN]);
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (
        folder.path().join("chain.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&chain, &pair.certificate).unwrap();
    std::fs::write(&key, &pair.key).unwrap();
    let from_files = Identity::from_pem_files(&chain, &key).unwrap();
    assert_eq!(from_files.sha256(), pair.identity().sha256());
    let (chain, key) = der(&pair);
    let chain = chain.iter().map(|c| c.to_vec()).collect();
    let from_der = Identity::from_der(chain, key.secret_der()).unwrap();
    assert_eq!(from_der.sha256(), pair.identity().sha256());
}

#[tokio::test]
async fn roots_of_several_sources_are_all_trusted() {
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.pem");
    let [Roots::Pem(pem)] = &one.roots()[..] else {
        panic!("a PEM text");
    };
    std::fs::write(&file, pem).unwrap();
    let mut roots = vec![Roots::WebPki, Roots::PemFile(file)];
    roots.extend(other.roots());
    let connector = TlsConnector::new(&TlsPolicy::with_roots(roots)).unwrap();
    for authority in [&one, &other] {
        shaken(&connector, &authority.acceptor(&[DOMAIN]), TlsMode::Direct).await;
    }
}
