//! What is no XMPP server, or half of one, and a name server that comes and goes: each
//! has a clear error, and none stops a device for good.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod scripted;

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use scripted::{DOMAIN, Script, World};
use stanchion_connect::error::{ConnectError, Foreign, with_causes};
use stanchion_connect::resolve::{
    Answer, CachingResolver, Resolve, ResolveError, SrvRecord, TableResolver,
};
use stanchion_connect::{Connect, Endpoints, Kind, Phase, Retry};
use stanchion_stanza::stream::StreamCondition;
use stanchion_transport::TlsMode;

async fn refusal(mode: TlsMode, script: Script) -> ConnectError {
    let mut world = World::new();
    world.add(5222, mode, script);
    world.connector().connect(None).await.unwrap_err()
}

fn greeting(bytes: &'static [u8]) -> Script {
    Script {
        greeting: Some(bytes),
        ..Script::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_captive_portal_is_told_by_its_http() {
    for page in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>"[..],
        b"<!DOCTYPE html><html><body>Log in</body></html>",
    ] {
        let error = refusal(TlsMode::StartTls, greeting(page)).await;
        let ConnectError::NotXmpp { what, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(what, Foreign::Http);
        assert!(error.to_string().contains("captive portal"), "{error}");
        // A person can do something about it, and a device goes on trying.
        assert_eq!(error.retry(), Retry::AfterUser);
        assert!(error.may_pass());
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_of_direct_tls_and_one_of_starttls_that_are_mixed_up_are_told_so() {
    let alert = b"\x15\x03\x03\x00\x02\x02\x46";
    let error = refusal(TlsMode::StartTls, greeting(alert)).await;
    assert!(error.to_string().contains("as direct TLS"), "{error}");

    let page = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let error = refusal(TlsMode::Direct, greeting(page)).await;
    assert!(matches!(error, ConnectError::Tls { .. }));
    assert!(
        with_causes(&error).contains("does not speak TLS"),
        "{error:?}"
    );
    assert!(error.may_pass());
}

#[tokio::test(start_paused = true)]
async fn a_tls_alert_is_quoted() {
    let handshake_failure = b"\x15\x03\x03\x00\x02\x02\x28";
    let error = refusal(TlsMode::Direct, greeting(handshake_failure)).await;
    let text = with_causes(&error);
    assert!(
        text.contains(DOMAIN) && text.contains("HandshakeFailure"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn half_a_feature_list_is_told_by_its_end() {
    let half = Script {
        garbage: Some(b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>"),
        ..Script::default()
    };
    let error = refusal(TlsMode::StartTls, half.clone()).await;
    let phase = Phase::Stream;
    assert!(
        matches!(error, ConnectError::Deadline { phase: p, .. } if p == phase),
        "{error:?}"
    );
    let cut = Script {
        leave: true,
        ..half
    };
    let error = refusal(TlsMode::StartTls, cut).await;
    assert!(matches!(error, ConnectError::Lost { phase: p, .. } if p == phase));
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("inside a stanza"), "{cause}");
    assert_eq!((error.kind(), error.retry()), (Kind::Network, Retry::Later));
}

#[tokio::test(start_paused = true)]
async fn an_smtp_server_is_no_xmpp_server() {
    let banner = b"220 mail.example ESMTP ready\r\n";
    let error = refusal(TlsMode::StartTls, greeting(banner)).await;
    let what = Foreign::Unknown;
    assert!(matches!(error, ConnectError::NotXmpp { what: w, .. } if w == what));
    assert!(error.to_string().contains("127.0.0.1:5222"));
}

/// A name server that is away while told so.
#[derive(Debug)]
struct Flaky {
    table: TableResolver,
    away: AtomicBool,
}

impl Flaky {
    fn check(&self, name: &str) -> Result<(), ResolveError> {
        if self.away.load(Ordering::SeqCst) {
            let (name, why) = (name.to_owned(), "no route".to_owned());
            return Err(ResolveError::Failed { name, why });
        }
        Ok(())
    }
}

#[async_trait]
impl Resolve for Flaky {
    async fn srv(&self, name: &str) -> Result<Answer<SrvRecord>, ResolveError> {
        self.check(name)?;
        self.table.srv(name).await
    }
    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, ResolveError> {
        self.check(host)?;
        self.table.addresses(host).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_finds_its_server_while_the_name_server_is_away_and_after_it_is_back() {
    let mut world = World::new();
    world.hide(7, TlsMode::StartTls, Script::default());
    let table = TableResolver::new()
        .with_srv(&format!("_xmpp-client._tcp.{DOMAIN}"), 0, 0, 7, "a.example")
        .with_address("a.example", [127, 0, 0, 1].into());
    let flaky = Arc::new(Flaky {
        table,
        away: AtomicBool::new(true),
    });
    let mut config = world.config();
    config.endpoints = Endpoints::Discover;
    let connector = world
        .connector_with("r0m30", config)
        .with_resolver(Arc::new(CachingResolver::new(Arc::clone(&flaky) as _)));

    let error = connector.connect(None).await.unwrap_err();
    assert!(error.to_string().contains("no route"), "{error}");
    assert_eq!((error.kind(), error.retry()), (Kind::Network, Retry::Later));

    // Healed, away for a day, and healed again.
    for (away, hours) in [(false, 0), (true, 24), (false, 48)] {
        flaky.away.store(away, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(hours * 3600)).await;
        let mut connection = connector.connect(None).await.unwrap();
        assert_eq!(connection.endpoint.port, 7);
        connection.stream.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_on_the_way_stops_a_device_for_good_by_a_stream_error_in_the_clear() {
    for condition in StreamCondition::ALL {
        let said = format!(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
             version='1.0' from='{DOMAIN}' id='1'><stream:error><{condition} \
             xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
        );
        let said: &'static [u8] = Vec::leak(said.into_bytes());
        let error = refusal(TlsMode::StartTls, greeting(said)).await;
        assert!(matches!(error, ConnectError::Stream { .. }), "{error:?}");
        assert!(error.may_pass(), "{condition}: {error}");
    }
}
