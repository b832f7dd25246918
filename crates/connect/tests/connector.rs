//! The connector against scripted servers, in virtual time: deadlines, certificates,
//! the order of candidates, redirections, resumption. Real servers are in
//! `interop`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod scripted;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use scripted::{DOMAIN, Script, World, endpoint, hanging, stream_error, timeouts, token};
use stanchion_connect::config::{ConfigError, Plaintext};
use stanchion_connect::error::{ConnectError, Misuse};
use stanchion_connect::misbehaviour::Misbehaviour;
use stanchion_connect::negotiation::{FeatureStage, ResumeFailure, ResumeToken};
use stanchion_connect::probe::{Scope, inspect};
use stanchion_connect::resolve::{Answer, Resolve, ResolveError, SrvRecord, TableResolver};
use stanchion_connect::{
    Account, Connect, ConnectConfig, ConnectEvent, Connector, Endpoint, Endpoints, Kind, Phase,
    Resumption, Retry,
};
use stanchion_sasl::binding::{Binding, BindingType};
use stanchion_stanza::stream::StreamCondition;
use stanchion_transport::tls::CertificateFault;
use stanchion_transport::{BoxTransport, Dial, DialError, Host, MemoryDial, TlsMode};
use tokio::time::Instant;

async fn refusal(connector: &Connector) -> ConnectError {
    connector.connect(None).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_login_works_over_starttls_and_over_direct_tls() {
    for mode in [TlsMode::StartTls, TlsMode::Direct] {
        let mut world = World::new();
        world.add(5222, mode, Script::default());
        let connection = world.connector().connect(None).await.unwrap();
        let done = connection.established;
        assert_eq!(done.jid.resource(), "given");
        assert_eq!(done.login.binding, Binding::Bound(BindingType::TlsExporter));
        assert!(done.stream_management.unwrap().resumable);
        assert!(connection.failed.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_told_by_the_phase_it_hangs_in() {
    for phase in [
        Phase::Tls,
        Phase::Stream,
        Phase::StartTls,
        Phase::Authentication,
        Phase::Binding,
        Phase::StreamManagement,
    ] {
        for mode in [TlsMode::StartTls, TlsMode::Direct] {
            if phase == Phase::StartTls && mode == TlsMode::Direct {
                continue;
            }
            let mut world = World::new();
            world.add(5222, mode, hanging(phase));
            let connector = world.connector();
            let begin = Instant::now();
            let error = refusal(&connector).await;
            let ConnectError::Deadline {
                phase: told, limit, ..
            } = error
            else {
                panic!("{phase}: {error:?}");
            };
            assert_eq!((told, limit), (phase, timeouts().of(phase)));
            // The farewell of a second included, and no more.
            assert!(begin.elapsed() < limit + Duration::from_millis(1100));
            assert_eq!((error.kind(), error.retry()), (Kind::Network, Retry::Later));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_to_a_resumption_gives_a_new_session() {
    let world = World::with(hanging(Phase::Resumption));
    let connector = world.connector();
    let begin = Instant::now();
    let connection = connector.connect(Some(token(None))).await.unwrap();
    assert_eq!(
        connection.established.resumption,
        Resumption::Failed {
            h: None,
            reason: ResumeFailure::StreamClosed
        }
    );
    assert!(begin.elapsed() < timeouts().resume + Duration::from_millis(1100));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_trickles_gains_no_time() {
    for phase in [Phase::Stream, Phase::Authentication, Phase::Binding] {
        let script = Script {
            trickle: true,
            ..hanging(phase)
        };
        let error = refusal(&World::with(script).connector()).await;
        assert!(
            matches!(error, ConnectError::Deadline { phase: p, .. } if p == phase),
            "{error:?}"
        );
    }
}

/// Never answers.
#[derive(Debug)]
struct Silence;

#[async_trait]
impl Resolve for Silence {
    async fn srv(&self, _: &str) -> Result<Answer<SrvRecord>, ResolveError> {
        std::future::pending().await
    }
    async fn addresses(&self, _: &str) -> Result<Answer<IpAddr>, ResolveError> {
        std::future::pending().await
    }
}

#[async_trait]
impl Dial for Silence {
    async fn dial(&self, _: &Endpoint, _: &str) -> Result<BoxTransport, DialError> {
        std::future::pending().await
    }
    async fn direct(
        &self,
        _: BoxTransport,
        _: &Endpoint,
        _: &str,
    ) -> Result<BoxTransport, DialError> {
        std::future::pending().await
    }
    async fn upgrade(&self, _: BoxTransport, _: &str) -> Result<BoxTransport, DialError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_name_server_and_a_silent_host_are_told_apart() {
    let world = World::with(Script::default());
    let mut config = world.config();
    config.endpoints = Endpoints::Discover;
    let connector = world
        .connector_with("r0m30", config)
        .with_resolver(Arc::new(Silence));
    let error = refusal(&connector).await;
    assert!(matches!(
        error,
        ConnectError::Deadline {
            phase: Phase::Resolve,
            ..
        }
    ));

    let account = Account::with_password(format!("a@{DOMAIN}").parse().unwrap(), "b");
    let connector = Connector::with_dial(account, world.config(), Arc::new(Silence)).unwrap();
    let error = refusal(&connector).await;
    assert!(matches!(
        error,
        ConnectError::Deadline {
            phase: Phase::Tcp,
            ..
        }
    ));
}

#[tokio::test(start_paused = true)]
async fn all_candidates_together_have_a_time_limit() {
    let mut world = World::new();
    for port in 0..30 {
        world.add(6000 + port, TlsMode::StartTls, hanging(Phase::Stream));
    }
    let mut config = world.config();
    config.timeouts.total = Duration::from_secs(12);
    let connector = world.connector_with("r0m30", config);
    let begin = Instant::now();
    let error = refusal(&connector).await;
    assert!(begin.elapsed() <= Duration::from_secs(13));
    let ConnectError::AllFailed(attempts) = &error else {
        panic!("{error:?}");
    };
    assert!((16..=24).contains(&attempts.len()), "{}", attempts.len());
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_a_certificate_has_its_own_error() {
    let fault = async |world: &World, dial: MemoryDial| {
        let jid = format!("juliet@{DOMAIN}").parse().unwrap();
        let account = Account::with_password(jid, "r0m30");
        let connector = Connector::with_dial(account, world.config(), Arc::new(dial)).unwrap();
        let error = refusal(&connector).await;
        assert_eq!(
            (error.kind(), error.retry()),
            (Kind::Security, Retry::AfterUser)
        );
        match error {
            ConnectError::Certificate { fault, .. } => fault,
            other => panic!("{other:?}"),
        }
    };

    let world = World::with(Script {
        expired: true,
        ..Script::default()
    });
    let found = fault(&world, world.dial.clone()).await;
    assert!(matches!(found, CertificateFault::Expired { .. }));

    let world = World::with(Script {
        names: vec!["elsewhere.example".to_owned()],
        ..Script::default()
    });
    let found = fault(&world, world.dial.clone()).await;
    assert!(found.to_string().contains("elsewhere.example"));
    assert!(matches!(found, CertificateFault::WrongName { .. }));

    // Servers of one world, trust of another.
    let mut strange = World::new();
    let other = World::certified_by("Authority of another");
    strange.dial = MemoryDial::new(scripted::connector(&other.roots), 64 * 1024);
    strange.add(5222, TlsMode::StartTls, Script::default());
    let found = fault(&strange, strange.dial.clone()).await;
    assert!(matches!(found, CertificateFault::UnknownIssuer { .. }));
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_error_tells_of_each() {
    let mut world = World::new();
    world.endpoints.push(endpoint(1, TlsMode::StartTls));
    let no_tls = Script {
        no_tls: true,
        ..Script::default()
    };
    world.add(2, TlsMode::StartTls, no_tls);
    let error = refusal(&world.connector()).await;
    let text = error.to_string();
    let first = "127.0.0.1:1 (TCP connection, 0.0 s): nothing listens";
    assert!(text.contains(first), "{text}");
    let second = "127.0.0.1:2 (stream header and features, 0.0 s): the server offers no TLS";
    assert!(text.contains(second), "{text}");
    assert_eq!(error.kind(), Kind::Security);

    // One attempt alone is reported as itself.
    world.endpoints.pop();
    let error = refusal(&world.connector()).await;
    assert!(matches!(error, ConnectError::Refused { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_is_tried_nowhere_else() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, Script::default());
    world.add(2, TlsMode::StartTls, Script::default());
    let connector = world.connector_with("wrong", world.config());
    let error = refusal(&connector).await;
    assert!(matches!(error, ConnectError::AuthRefused { .. }));
    assert_eq!((world.visits(1), world.visits(2)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_resumption_without_an_answer_ends_in_a_new_session_on_the_same_server() {
    let world = World::with(Script {
        drop_resume: true,
        ..Script::default()
    });
    let connection = world.connector().connect(Some(token(None))).await.unwrap();
    assert_eq!(
        connection.established.resumption,
        Resumption::Failed {
            h: None,
            reason: ResumeFailure::StreamClosed
        }
    );
    assert_eq!(connection.established.jid.resource(), "given");
    assert_eq!(world.visits(5222), 2);
    assert!(connection.failed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_bound_another_address_does_not_stop_a_device_for_good() {
    let world = World::with(Script {
        as_another: true,
        ..Script::default()
    });
    let connector = world.connector();
    let established = connector.connect(None).await.unwrap().established;
    assert_eq!(established.jid.local(), Some("capulet"));
    let given = ResumeToken {
        jid: established.jid,
        ..token(None)
    };
    let again = connector.connect(Some(given.clone())).await.unwrap();
    assert!(matches!(
        again.established.resumption,
        Resumption::Failed { .. }
    ));
    // What the caller mixed up is still told.
    let error = world.connector().connect(Some(given)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Misuse(Misuse::ForeignToken)));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_resumed_where_the_server_prefers_it() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, Script::default());
    world.hide(2, TlsMode::StartTls, Script::default());
    let mut config = world.config();
    config.endpoints = Endpoints::Discover;
    let resolver = TableResolver::new()
        .with_srv(
            &format!("_xmpp-client._tcp.{DOMAIN}"),
            0,
            0,
            1,
            "one.example",
        )
        .with_address("one.example", [127, 0, 0, 1].into());
    let connector = world
        .connector_with("r0m30", config)
        .with_resolver(Arc::new(resolver));
    let resume = Some(token(Some("127.0.0.1:2")));
    let connection = connector.connect(resume).await.unwrap();
    assert_eq!(connection.endpoint.port, 2);
    assert_eq!(
        connection.established.resumption,
        Resumption::Resumed { h: 3 }
    );
    assert_eq!(connection.established.jid.resource(), "old");
}

#[tokio::test(start_paused = true)]
async fn a_redirection_is_followed_and_a_circle_is_not() {
    let redirecting = |to| Script {
        error: Some(stream_error(StreamCondition::SeeOtherHost, Some(to))),
        ..Script::default()
    };
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, redirecting("127.0.0.1:2"));
    world.hide(2, TlsMode::StartTls, Script::default());
    let connection = world.connector().connect(None).await.unwrap();
    assert_eq!(connection.endpoint.port, 2);

    let mut world = World::new();
    world.add(1, TlsMode::StartTls, redirecting("127.0.0.1:1"));
    let error = refusal(&world.connector()).await;
    assert!(matches!(error, ConnectError::TooManyRedirects { limit: 3 }));
    assert_eq!(world.visits(1), 4);
}

#[tokio::test(start_paused = true)]
async fn a_redirection_does_not_change_whose_certificate_is_wanted() {
    let mut world = World::new();
    let to_thief = stream_error(StreamCondition::SeeOtherHost, Some("127.0.0.1:2"));
    world.add(
        1,
        TlsMode::StartTls,
        Script {
            error: Some(to_thief),
            ..Script::default()
        },
    );
    world.hide(
        2,
        TlsMode::StartTls,
        Script {
            names: vec!["127.0.0.1".to_owned(), "thief.example".to_owned()],
            ..Script::default()
        },
    );
    let error = refusal(&world.connector()).await;
    assert!(matches!(
        error,
        ConnectError::Certificate {
            fault: CertificateFault::WrongName { .. },
            ..
        }
    ));
}

#[tokio::test(start_paused = true)]
async fn bytes_before_the_handshake_are_not_believed_after_it() {
    let world = World::with(Script {
        inject: Some(b"<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>"),
        ..Script::default()
    });
    let error = refusal(&world.connector()).await;
    assert!(
        matches!(
            error,
            ConnectError::PeerMisbehaved {
                source: Misbehaviour::Injected(_),
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_no_xml_is_the_peers_fault() {
    let world = World::with(Script {
        garbage: Some(b"<stream:features><a></b></stream:features>"),
        ..Script::default()
    });
    let error = refusal(&world.connector()).await;
    assert!(matches!(
        error,
        ConnectError::PeerMisbehaved {
            source: Misbehaviour::Decode(_),
            ..
        }
    ));
    assert_eq!((error.kind(), error.retry()), (Kind::Peer, Retry::Never));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_the_stream_is_quoted() {
    let world = World::with(Script {
        error: Some(stream_error(StreamCondition::SystemShutdown, None)),
        ..Script::default()
    });
    let error = refusal(&world.connector()).await;
    assert!(error.to_string().contains("system-shutdown"));
    assert_eq!(error.retry(), Retry::Later);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_host_is_named() {
    let world = World::with(Script::default());
    let mut config = world.config();
    config.endpoints = Endpoints::Explicit(vec![Endpoint::new(
        Host::Name("typo.example".to_owned()),
        5222,
        TlsMode::StartTls,
    )]);
    let connector = world
        .connector_with("r0m30", config)
        .with_resolver(Arc::new(TableResolver::new()));
    let error = refusal(&connector).await;
    assert!(matches!(
        error,
        ConnectError::Resolve(ResolveError::NoSuchName { .. })
    ));
    assert!(error.to_string().contains("typo.example"));
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_before_any_connection() {
    let world = World::new();
    let make = |config: ConnectConfig, password: &str| {
        let account = Account::with_password(format!("a@{DOMAIN}").parse().unwrap(), password);
        Connector::with_dial(account, config, Arc::new(world.dial.clone())).map(drop)
    };
    let with = |endpoints| ConnectConfig {
        endpoints: Endpoints::Explicit(endpoints),
        ..ConnectConfig::default()
    };
    assert!(matches!(
        make(with(Vec::new()), "b"),
        Err(ConfigError::NoEndpoint)
    ));
    let clear = with(vec![endpoint(1, TlsMode::None)]);
    assert!(matches!(
        make(clear.clone(), "b"),
        Err(ConfigError::PlaintextRefused(_))
    ));
    let allowed = ConnectConfig {
        plaintext: Plaintext::Allow,
        ..clear
    };
    assert!(make(allowed, "b").is_ok());
    assert!(matches!(
        make(ConnectConfig::default(), ""),
        Err(ConfigError::Credentials(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn an_observer_hears_of_each_phase_in_order() {
    let world = World::with(Script::default());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let connector = world
        .connector()
        .with_observer(Arc::new(move |event: &ConnectEvent<'_>| {
            if let ConnectEvent::Phase(_, phase) = event {
                ear.lock().unwrap().push(*phase);
            }
        }));
    let connection = connector.connect(None).await.unwrap();
    let expected = [
        Phase::Tcp,
        Phase::Stream,
        Phase::StartTls,
        Phase::Tls,
        Phase::Stream,
        Phase::Authentication,
        Phase::Stream,
        Phase::Binding,
        Phase::StreamManagement,
    ];
    assert_eq!(*heard.lock().unwrap(), expected);
    let timed: Vec<_> = connection.timings.iter().map(|(p, _)| p).collect();
    assert_eq!(timed, expected);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_given_up_closes_its_connection() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, hanging(Phase::Binding));
    let connector = world.connector();
    let given_up = tokio::time::timeout(Duration::from_secs(1), connector.connect(None)).await;
    assert!(given_up.is_err());
    assert_eq!(world.visits(1), 1);
    // The server serves one after the other: it can only come here if the first is gone.
    let second = tokio::time::timeout(Duration::from_secs(1), connector.connect(None)).await;
    assert!(second.is_err());
    assert_eq!(world.visits(1), 2);
}

#[tokio::test(start_paused = true)]
async fn an_inspection_shows_each_server_up_to_where_it_fails() {
    let mut world = World::new();
    world.endpoints.push(endpoint(1, TlsMode::StartTls));
    world.add(2, TlsMode::StartTls, hanging(Phase::Binding));
    world.add(3, TlsMode::Direct, Script::default());
    let found = inspect(&world.connector(), Scope::UntilEstablished).await;
    let [refused, hung, good] = &found.servers[..] else {
        panic!("{found:?}");
    };
    assert!(refused.security.is_none() && refused.headers.is_empty());
    assert!(matches!(refused.error, Some(ConnectError::Refused { .. })));

    assert_eq!(hung.headers.len(), 3);
    let offered = hung.features_at(FeatureStage::BeforeLogin).unwrap();
    assert!(offered.channel_bindings.is_some());
    assert!(hung.login.is_some() && hung.jid.is_none());
    assert!(matches!(hung.error, Some(ConnectError::Deadline { .. })));

    assert!(good.is_established() && found.is_established());
    assert_eq!(good.jid.as_ref().unwrap().resource(), "given");
    assert!(good.round_trips.unwrap() > 0);
    let traffic = good.traffic.unwrap();
    assert!(traffic.turns > 0 && traffic.bytes_in > 0);
    assert!(hung.traffic.is_none());
    // The endpoints were given: DNS was not asked.
    assert!(found.discovered.is_empty());
    assert!(good.stream_management.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_inspection_tells_what_dns_says_of_the_candidates() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, Script::default());
    let mut config = world.config();
    config.endpoints = Endpoints::Discover;
    let record = format!("_xmpp-client._tcp.{DOMAIN}");
    let resolver = TableResolver::new()
        .with_srv(&record, 5, 30, 1, "one.example")
        .with_address("one.example", [127, 0, 0, 1].into());
    let connector = world
        .connector_with("r0m30", config)
        .with_resolver(Arc::new(resolver));
    let found = inspect(&connector, Scope::UntilEstablished).await;
    assert!(found.is_established());
    let told: Vec<_> = found
        .discovered
        .iter()
        .map(|c| (c.endpoint.to_string(), c.priority, c.weight))
        .collect();
    assert_eq!(told, [("one.example:1".to_owned(), 5, Some(30))]);
}
