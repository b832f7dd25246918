//! A component and its server, both ends in this process (XEP-0114).
#![allow(clippy::unwrap_used, reason = "a test may fail so")]

mod scripted;

use std::sync::Arc;

use rcgen::CertificateParams;
use scripted::World;
use stanchion_connect::component::{ComponentConfig, ComponentConnector};
use stanchion_connect::{Connect, ConnectError, Connection, Retry};
use stanchion_stanza::ns;
use stanchion_transport::{Endpoint, Host, StreamFault, TlsAcceptor, TlsMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server says after its header, and what the component makes of it.
async fn answered(header: &str, rest: &str) -> (Result<Connection, ConnectError>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = Endpoint::at(listener.local_addr().unwrap(), TlsMode::None);
    let config = ComponentConfig::at(place);
    let domain = "cloud.example".parse().unwrap();
    let component = ComponentConnector::new(domain, "secret".into(), config).unwrap();
    let (connection, server) = tokio::join!(component.connect(None), async {
        let (mut server, _) = listener.accept().await.unwrap();
        until(&mut server, ">").await;
        server.write_all(header.as_bytes()).await.unwrap();
        if header.contains("accept") && header.contains("'cloud") {
            let said = until(&mut server, "</handshake>").await;
            // SHA-1 of `3BF96D32secret`.
            let proof = "<handshake>b09ea9b3b7f586be8a08d0a3dd7466f110aeb136</handshake>";
            assert!(said.ends_with(proof), "{said}");
        }
        server.write_all(rest.as_bytes()).await.unwrap();
        server
    });
    (connection, server)
}

/// Reads until what was said holds `end` behind the stream's opening tag.
async fn until(server: &mut TcpStream, end: &str) -> String {
    let mut said = String::new();
    loop {
        let mut bytes = [0; 4096];
        let n = server.read(&mut bytes).await.unwrap();
        said.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
        let whole = said.replace("<?xml version='1.0'?>", "");
        if whole.contains(end) || n == 0 {
            return said;
        }
    }
}

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
    xmlns:stream='http://etherx.jabber.org/streams' from='cloud.example' id='3BF96D32'>";

#[tokio::test]
async fn a_component_proves_itself_and_speaks_as_its_domain() {
    let early = "<handshake/><message from='a@b/c' to='cloud.example'><body>x</body></message>";
    let (connection, mut server) = answered(HEADER, early).await;
    let mut connection = connection.unwrap();
    assert_eq!(
        connection.established.jid.to_bare().as_str(),
        "cloud.example"
    );
    assert!(connection.local && connection.established.stream_management.is_none());
    let stanchion_stanza::StreamEvent::Element(message) = connection.stream.next().await.unwrap()
    else {
        panic!("no message")
    };
    assert!(message.is("message", ns::CLIENT) && message.child("body", ns::CLIENT).is_some());
    connection
        .stream
        .send_bytes(b"<message to='a@b/c'><body>y</body></message>");
    connection.stream.flush().await.unwrap();
    let said = until(&mut server, "</message>").await;
    assert_eq!(
        said,
        "<message from='cloud.example' to='a@b/c'><body>y</body></message>"
    );
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_not_tried_again() {
    let refusal = "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
        </stream:error></stream:stream>";
    let (connection, _) = answered(HEADER, refusal).await;
    let error = connection.unwrap_err();
    assert!(error.is_a_refusal() && !error.may_pass(), "{error}");
    assert_eq!(error.retry(), Retry::AfterUser);
}

#[tokio::test]
async fn a_process_before_that_seems_to_be_there_is_waited_for() {
    for condition in ["conflict", "host-unknown", "system-shutdown"] {
        let refusal = format!(
            "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             </stream:error></stream:stream>"
        );
        let (connection, _) = answered(HEADER, &refusal).await;
        let error = connection.unwrap_err();
        assert!(error.may_pass(), "{error}");
        assert!(error.to_string().contains(condition), "{error}");
    }
}

#[tokio::test]
async fn a_port_for_clients_and_a_foreign_domain_are_named() {
    let clients = HEADER.replace("component:accept", "client");
    let (connection, _) = answered(&clients, "").await;
    let said = stanchion_connect::error::with_causes(&connection.unwrap_err());
    assert!(said.contains("not one for components"), "{said}");
    let other = HEADER.replace("'cloud.example'", "'other.example'");
    let (connection, _) = answered(&other, "").await;
    let said = stanchion_connect::error::with_causes(&connection.unwrap_err());
    assert!(said.contains("other.example"), "{said}");
    let (connection, _) = answered(HEADER, "<message to='a'/>").await;
    let said = stanchion_connect::error::with_causes(&connection.unwrap_err());
    assert!(
        said.contains("<message/>") && said.contains("XEP-0114"),
        "{said}"
    );
    let (connection, _) = answered("HTTP/1.1 400 Bad Request\r\n\r\n", "").await;
    let error = connection.unwrap_err();
    assert!(matches!(
        error,
        ConnectError::NotXmpp {
            source: StreamFault::WebServer { .. },
            ..
        }
    ));
}

/// A component that comes with TLS to a server with a certificate for `name`.
async fn over_tls(name: &str) -> Result<Connection, ConnectError> {
    let mut world = World::new();
    let host = Host::Name("server.example".to_owned());
    let mut listener = world.dial.listen(host.clone(), 5348);
    let identity = world.issue(&CertificateParams::new([name.to_owned()]).unwrap());
    let acceptor = TlsAcceptor::new(identity).unwrap();
    let config = ComponentConfig::at(Endpoint::new(host, 5348, TlsMode::Direct));
    let domain = "cloud.example".parse().unwrap();
    let dial = Arc::new(world.dial.clone());
    let component = ComponentConnector::with_dial(domain, "secret".into(), config, dial).unwrap();
    let server = async {
        let pipe = listener.accept().await.unwrap();
        let Ok(mut pipe) = acceptor.upgrade(pipe).await else {
            return;
        };
        let mut bytes = [0; 4096];
        let _ = pipe.read(&mut bytes).await.unwrap();
        pipe.write_all(HEADER.as_bytes()).await.unwrap();
        let _ = pipe.read(&mut bytes).await.unwrap();
        pipe.write_all(b"<handshake/>").await.unwrap();
        pipe.flush().await.unwrap();
    };
    tokio::join!(component.connect(None), server).0
}

#[tokio::test]
async fn over_a_network_the_certificate_must_be_the_components_domains() {
    let connection = over_tls("cloud.example").await.unwrap();
    assert!(!connection.local, "what protects it is TLS");
    let tls = connection.stream.security().tls.as_ref();
    assert!(tls.is_some_and(|tls| tls.trust == stanchion_transport::security::Trust::Chain));
    let error = over_tls("server.example").await.unwrap_err();
    assert!(matches!(error, ConnectError::Certificate { .. }), "{error}");
}
