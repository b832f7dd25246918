//! The whole hub over real sockets, by a hand-written client.
#![allow(clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::time::Duration;

use stanchion_hub::{Hub, HubConfig, HubError, HubLimits};
use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::stanza::{DefinedCondition, PresenceType};
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{
    Element, Payload as _, Presence, Stanza, StreamEvent, Text, ns, stream::StreamHeader,
};
use stanchion_transport::{TlsMode, XmppStream};
use support::{Client, Refused, Running, element, open, patient};

#[tokio::test]
async fn two_clients_talk_over_starttls_and_direct_tls() {
    let hub = Running::start(HubConfig::default()).await;
    let mut a = Client::available(&hub, "a", "one").await;
    let mut b = Client::connect(&hub, TlsMode::Direct).await;
    b.authenticate("b", "secret").await.unwrap();
    assert_eq!(b.bind("two").await, "b@hub.example/two");
    b.announce().await;
    a.chat("b@hub.example", "m1", "is anybody there?");
    a.flush().await;
    let message = b.message().await;
    assert_eq!(message.body().as_deref(), Some("is anybody there?"));
    assert_eq!(message.header.id, Some(Text::from_static("m1")));
    let from = message.header.from.unwrap();
    assert_eq!(
        from.as_str(),
        "a@hub.example/one",
        "the hub stamps the sender"
    );
    b.chat(from.as_str(), "m2", "yes");
    b.flush().await;
    assert_eq!(a.message().await.body().as_deref(), Some("yes"));
    a.close().await;
    b.close().await;
    hub.stop().await;
}

#[tokio::test]
async fn the_offer_is_scram_with_binding_and_no_plain() {
    let hub = Running::start(HubConfig::default()).await;
    let client = Client::connect(&hub, TlsMode::StartTls).await;
    let offered: Vec<_> = client
        .features
        .mechanisms
        .iter()
        .map(Text::as_str)
        .collect();
    for hash in ["SHA-512", "SHA-256", "SHA-1"] {
        assert!(offered.contains(&format!("SCRAM-{hash}-PLUS").as_str()));
        assert!(offered.contains(&format!("SCRAM-{hash}").as_str()));
    }
    assert_eq!(offered.len(), 6, "{offered:?}");
    let bindings = client.features.channel_bindings.unwrap();
    assert!(bindings.contains(&Text::from_static("tls-exporter")));
    assert!(bindings.contains(&Text::from_static("tls-server-end-point")));
    hub.stop().await;
}

#[tokio::test]
async fn wrong_passwords_and_unknown_users_look_alike_and_end_after_three() {
    let hub = Running::start(HubConfig::default()).await;
    for (user, password) in [("a", "wrong"), ("nobody", "secret")] {
        let mut client = Client::connect(&hub, TlsMode::Direct).await;
        for _ in 0..3 {
            match client.authenticate(user, password).await {
                Err(Refused::Sasl(failure)) => assert_eq!(failure.condition, "not-authorized"),
                other => panic!("{other:?}"),
            }
        }
        let error = client.stream_error().await;
        assert_eq!(error.condition, StreamCondition::PolicyViolation);
    }
    hub.stop().await;
}

#[tokio::test]
async fn bytes_behind_starttls_end_the_connection() {
    let hub = Running::start(HubConfig::default()).await;
    let mut stream = Client::raw(&hub).await;
    open(&mut stream).await;
    stream.send_bytes(
        b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><auth \
          xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAc2VjcmV0</auth>",
    );
    let proceed = element(&mut stream).await;
    assert_eq!(proceed.name(), "proceed");
    assert!(
        patient(stream.next()).await.is_err(),
        "no handshake follows"
    );
    hub.stop().await;
}

async fn stream_error(stream: &mut XmppStream) -> StreamError {
    loop {
        match patient(stream.next()).await.unwrap() {
            StreamEvent::Element(e) if StreamError::matches(&e) => {
                return StreamError::from_element(&e).unwrap();
            }
            StreamEvent::Open(_) | StreamEvent::Element(_) => {}
            StreamEvent::Close => panic!("closed without an error"),
        }
    }
}

#[tokio::test]
async fn what_breaks_the_stream_is_answered_by_its_condition() {
    let hub = Running::start(HubConfig::default()).await;
    let cases: [(&[u8], StreamCondition); 5] = [
        (b"<message/>", StreamCondition::NotAuthorized),
        (
            b"<x xmlns='urn:x'/>",
            StreamCondition::UnsupportedStanzaType,
        ),
        (b"<a></b>", StreamCondition::NotWellFormed),
        (b"<!-- -->", StreamCondition::RestrictedXml),
        (b"<a>&\xff</a>", StreamCondition::UnsupportedEncoding),
    ];
    for (bytes, condition) in &cases {
        let mut stream = Client::raw(&hub).await;
        open(&mut stream).await;
        stream.send_bytes(bytes);
        let error = stream_error(&mut stream).await;
        assert_eq!(
            error.condition,
            *condition,
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
    // More than a client may say before it has logged in.
    let mut stream = Client::raw(&hub).await;
    open(&mut stream).await;
    stream.send_bytes(&[b"<a b='".as_slice(), &[b'x'; 20_000], b"'/>"].concat());
    assert_eq!(
        stream_error(&mut stream).await.condition,
        StreamCondition::PolicyViolation
    );
    // Another domain.
    let mut stream = Client::raw(&hub).await;
    stream.open(&StreamHeader::initial("elsewhere.example".parse().unwrap()));
    assert_eq!(
        stream_error(&mut stream).await.condition,
        StreamCondition::HostUnknown
    );
    hub.stop().await;
}

#[tokio::test]
async fn who_does_not_log_in_in_time_is_closed() {
    let limits = HubLimits {
        login_time: Duration::from_millis(200),
        ..HubLimits::default()
    };
    let hub = Running::start(HubConfig {
        limits,
        ..HubConfig::default()
    })
    .await;
    let mut stream = Client::raw(&hub).await;
    open(&mut stream).await;
    let error = stream_error(&mut stream).await;
    assert_eq!(error.condition, StreamCondition::ConnectionTimeout);
    hub.stop().await;
}

#[tokio::test]
async fn more_connections_than_allowed_are_closed_at_once() {
    let limits = HubLimits {
        connections: 1,
        ..HubLimits::default()
    };
    let hub = Running::start(HubConfig {
        limits,
        ..HubConfig::default()
    })
    .await;
    let mut first = Client::raw(&hub).await;
    open(&mut first).await;
    let mut second = Client::raw(&hub).await;
    assert!(patient(second.next()).await.is_err());
    drop(first);
    // Its place is free once the hub has noticed.
    patient(async {
        loop {
            let mut third = Client::raw(&hub).await;
            third.open(&StreamHeader::initial(support::DOMAIN.parse().unwrap()));
            if third.next().await.is_ok() {
                break;
            }
        }
    })
    .await;
    hub.stop().await;
}

#[tokio::test]
async fn a_cut_session_resumes_and_loses_nothing() {
    let hub = Running::start(HubConfig::default()).await;
    let mut a = Client::available(&hub, "a", "one").await;
    let mut b = Client::bound(&hub, "b", "two").await;
    let previd = b.enable().await;
    b.announce().await;
    a.chat("b@hub.example/two", "m1", "1");
    a.flush().await;
    assert_eq!(b.message().await.body().as_deref(), Some("1"));
    b.chat("a@hub.example/one", "m0", "0");
    b.flush().await;
    a.message().await;
    b.cut();
    for n in 2..=9 {
        a.chat("b@hub.example/two", &format!("m{n}"), &n.to_string());
    }
    a.flush().await;
    let mut b = Client::authenticated(&hub, "b").await;
    // The presence came before; message 1 is said not to have come.
    let handled = b.resume(previd, 1).await.unwrap();
    assert_eq!(handled, 2, "a presence and a message");
    for n in 1..=9 {
        let message = b.message().await;
        assert_eq!(
            message.body(),
            Some(n.to_string().into()),
            "in order, each once"
        );
        assert!(message.payload::<Delay>().unwrap().is_none());
    }
    a.close().await;
    b.close().await;
    hub.stop().await;
}

#[tokio::test]
async fn resuming_replaces_a_connection_that_is_still_open() {
    let hub = Running::start(HubConfig::default()).await;
    let mut old = Client::bound(&hub, "a", "one").await;
    let previd = old.enable().await;
    let mut new = Client::authenticated(&hub, "a").await;
    assert_eq!(new.resume(previd.clone(), 0).await.unwrap(), 0);
    assert_eq!(
        old.stream_error().await.condition,
        StreamCondition::Conflict
    );
    // The session lives on the new one.
    new.announce().await;
    new.chat("a@hub.example", "m", "to myself");
    new.flush().await;
    assert_eq!(new.message().await.body().as_deref(), Some("to myself"));
    hub.stop().await;
}

#[tokio::test]
async fn a_session_that_is_over_cannot_be_resumed_but_says_what_it_handled() {
    let hub = Running::start(HubConfig {
        resume_timeout: Duration::from_secs(1),
        ..HubConfig::default()
    })
    .await;
    let mut a = Client::bound(&hub, "a", "one").await;
    let previd = a.enable().await;
    a.announce().await;
    a.cut();
    // Told to those who see it, as everything else is.
    let mut other = Client::bound(&hub, "a", "other").await;
    other.send(&Presence::available().to_element());
    patient(async {
        loop {
            if let Stanza::Presence(presence) = other.stanza().await
                && presence.kind == PresenceType::Unavailable
            {
                break;
            }
        }
    })
    .await;
    let mut again = Client::authenticated(&hub, "a").await;
    let failed = again.resume(previd, 0).await.unwrap_err();
    assert_eq!(failed.condition, Some(DefinedCondition::ItemNotFound));
    assert_eq!(failed.h, Some(1), "its presence");
    // The stream is still good.
    again.bind("one").await;
    hub.stop().await;
}

#[tokio::test]
async fn offline_messages_outlive_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let config = || HubConfig {
        state: Some(folder.path().to_owned()),
        ..HubConfig::default()
    };
    let hub = Running::start(config()).await;
    let fingerprint = hub.fingerprint;
    let mut a = Client::bound(&hub, "a", "one").await;
    a.enable().await;
    for n in 1..=3 {
        a.chat("b@hub.example", &format!("m{n}"), &n.to_string());
    }
    assert_eq!(a.handled().await, 3, "counted, so kept");
    hub.kill().await;

    let hub = Running::start(config()).await;
    assert_eq!(hub.fingerprint, fingerprint, "clients pin it");
    let mut b = Client::bound(&hub, "b", "two").await;
    b.announce().await;
    for n in 1..=3 {
        let message = b.message().await;
        assert_eq!(message.body(), Some(n.to_string().into()));
        let delay = message.payload::<Delay>().unwrap().unwrap();
        assert_eq!(delay.from, Some("hub.example".parse().unwrap()));
    }
    b.close().await;
    hub.stop().await;

    let hub = Running::start(config()).await;
    let mut b = Client::available(&hub, "b", "two").await;
    b.chat("b@hub.example", "last", "nothing is left");
    b.flush().await;
    assert_eq!(b.message().await.header.id, Some(Text::from_static("last")));
    hub.stop().await;
}

#[tokio::test]
async fn an_orderly_stop_keeps_what_a_session_had_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let config = || HubConfig {
        state: Some(folder.path().to_owned()),
        ..HubConfig::default()
    };
    let hub = Running::start(config()).await;
    let mut b = Client::bound(&hub, "b", "two").await;
    b.enable().await;
    b.announce().await;
    let mut a = Client::available(&hub, "a", "one").await;
    a.chat("b@hub.example/two", "m", "unacknowledged");
    a.flush().await;
    b.message().await;
    let stopping = tokio::spawn(hub.stop());
    assert_eq!(
        a.stream_error().await.condition,
        StreamCondition::SystemShutdown
    );
    assert_eq!(
        b.stream_error().await.condition,
        StreamCondition::SystemShutdown
    );
    drop((a, b));
    patient(stopping).await.unwrap();

    let hub = Running::start(config()).await;
    let mut b = Client::available(&hub, "b", "two").await;
    let again = b.message().await;
    assert_eq!(again.body().as_deref(), Some("unacknowledged"));
    assert!(again.payload::<Delay>().unwrap().is_some());
    hub.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_connection_and_none_of_its_messages() {
    let limits = HubLimits {
        outbound_bytes: 200_000,
        outbound_stanzas: 10,
        ..HubLimits::default()
    };
    let hub = Running::start(HubConfig {
        limits,
        ..HubConfig::default()
    })
    .await;
    let mut b = Client::bound(&hub, "b", "two").await;
    let previd = b.enable().await;
    b.announce().await;
    let mut a = Client::bound(&hub, "a", "one").await;
    let body = "x".repeat(100_000);
    // More than the sockets' buffers and the queue together.
    for n in 0..150 {
        a.chat("b@hub.example/two", &format!("m{n}"), &body);
        a.flush().await;
    }
    // The hub serves others meanwhile.
    a.announce().await;
    let mut again = Client::authenticated(&hub, "b").await;
    again.resume(previd, 1).await.unwrap();
    for n in 0..150 {
        let message = again.message().await;
        assert_eq!(message.header.id, Some(Text::new(format!("m{n}")).unwrap()));
    }
    // Only now does the first connection show that it was given up.
    let given_up = patient(async {
        loop {
            match b.next().await {
                Ok(StreamEvent::Element(e)) if StreamError::matches(&e) => {
                    break StreamError::from_element(&e).ok().map(|e| e.condition);
                }
                Ok(_) => {}
                Err(_) => break None,
            }
        }
    })
    .await;
    assert_ne!(
        given_up,
        Some(StreamCondition::Conflict),
        "it was given up before"
    );
    hub.stop().await;
}

#[tokio::test]
async fn an_old_client_may_ask_for_a_session() {
    let hub = Running::start(HubConfig::default()).await;
    let mut a = Client::bound(&hub, "a", "one").await;
    assert!(a.features.offers("session", ns::SESSION));
    let session = Element::new("iq", ns::CLIENT)
        .with_attr("type", Text::from_static("set"))
        .with_attr("id", Text::from_static("s"))
        .with_child(Element::new("session", ns::SESSION));
    a.send(&session);
    let Stanza::Iq(answer) = a.stanza().await else {
        panic!()
    };
    assert!(matches!(
        answer.kind,
        stanchion_stanza::stanza::IqKind::Result(None)
    ));
    assert_eq!(answer.header.id, Some(Text::from_static("s")));
    hub.stop().await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let bound = Hub::bind(HubConfig {
        starttls: Some(address),
        direct_tls: None,
        ..HubConfig::default()
    })
    .await;
    assert!(matches!(bound, Err(HubError::AddressInUse { address: a }) if a == address));
    let nowhere = HubConfig {
        starttls: None,
        direct_tls: None,
        ..HubConfig::default()
    };
    assert!(matches!(
        Hub::bind(nowhere).await,
        Err(HubError::NoListener)
    ));
}

#[tokio::test]
async fn a_second_client_on_a_resource_takes_it() {
    let hub = Running::start(HubConfig::default()).await;
    let mut old = Client::available(&hub, "a", "one").await;
    let mut new = Client::available(&hub, "a", "one").await;
    assert_eq!(
        old.stream_error().await.condition,
        StreamCondition::Conflict
    );
    new.chat("nobody@hub.example", "m", "?");
    let answer = new.message().await;
    let error = answer.error().unwrap();
    assert_eq!(error.condition, DefinedCondition::ServiceUnavailable);
    hub.stop().await;
}
