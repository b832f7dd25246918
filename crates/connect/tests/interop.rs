//! Logins on the real servers that `STANCHION_TEST_SERVERS` names: what they really
//! offer, refuse and say. How many round trips a login takes is in `round_trips`; hangs
//! and hostility are left to the scripted server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod round_trips;

#[path = "cases/outcome.rs"]
mod outcome;
#[path = "cases/real.rs"]
mod real;
#[path = "cases/table.rs"]
#[allow(dead_code, reason = "the cases with scripted servers need the rest")]
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use stanchion_connect::error::ConnectError;
use stanchion_connect::negotiation::{FeatureStage, ResumeFailure, ServerMemory};
use stanchion_connect::probe::{Scope, inspect};
use stanchion_connect::resolve::TableResolver;
use stanchion_connect::{
    Account, Connect, ConnectConfig, Connection, Connector, Endpoint, Endpoints, Kind, Phase,
    ResumeToken, Resumption, Retry,
};
use stanchion_sasl::binding::{Binding, BindingType};
use stanchion_sasl::{Credentials, SaslCondition};
use stanchion_stanza::{Element, StreamEvent, Text, ns};
use stanchion_transport::security::Fingerprint;
use stanchion_transport::tls::{CertificateFault, Roots};
use stanchion_transport::{TlsMode, TlsPolicy};

struct Server(Value);

impl Server {
    fn named(name: &str) -> Self {
        let path = std::env::var_os("STANCHION_TEST_SERVERS")
            .expect("no servers: run `cargo xtask test --only interop`");
        let text = std::fs::read_to_string(path).unwrap();
        let mut all: Value = serde_json::from_str(&text).unwrap();
        Self(all[name].take())
    }

    fn both() -> [Self; 2] {
        [Self::named("prosody"), Self::named("ejabberd")]
    }

    fn domain(&self) -> &str {
        self.0["domain"].as_str().unwrap()
    }

    fn is_ejabberd(&self) -> bool {
        self.0["kind"] == "ejabberd"
    }

    fn endpoint(&self, mode: TlsMode) -> Endpoint {
        let port = match mode {
            TlsMode::Direct => "direct_tls",
            _ => "starttls",
        };
        let port = u16::try_from(self.0["ports"][port].as_u64().unwrap()).unwrap();
        Endpoint::at(SocketAddr::from(([127, 0, 0, 1], port)), mode)
    }

    fn account(&self, user: &str) -> Account {
        let jid = format!("{user}@{}", self.domain()).parse().unwrap();
        Account::with_password(jid, self.0["users"][user].as_str().unwrap())
    }

    fn config(&self, modes: &[TlsMode]) -> ConnectConfig {
        let ca = PathBuf::from(self.0["ca"].as_str().unwrap());
        ConnectConfig {
            endpoints: Endpoints::Explicit(modes.iter().map(|m| self.endpoint(*m)).collect()),
            tls: TlsPolicy {
                roots: vec![Roots::PemFile(ca)],
                ..TlsPolicy::default()
            },
            ..ConnectConfig::default()
        }
    }

    fn connector(&self, user: &str, mode: TlsMode) -> Connector {
        Connector::new(self.account(user), self.config(&[mode])).unwrap()
    }

    async fn login(&self, user: &str, mode: TlsMode) -> Connection {
        self.connector(user, mode).connect(None).await.unwrap()
    }
}

const MODES: [TlsMode; 2] = [TlsMode::StartTls, TlsMode::Direct];

#[tokio::test]
async fn a_login_is_bound_to_the_connection_where_the_server_can() {
    for server in Server::both() {
        for mode in MODES {
            let connection = server.login("sensor", mode).await;
            let established = &connection.established;
            assert_eq!(established.jid.domain(), server.domain());
            assert!(established.login.server_proved);
            let tls = connection.stream.security().tls.as_ref().unwrap();
            assert!(tls.peer_sha256.is_some());
            if server.is_ejabberd() {
                // It offers -PLUS on TLS 1.3, refuses it, and lets us in without.
                assert_eq!(established.login.binding, Binding::RefusedByServer);
                assert_eq!(established.login.mechanism, "SCRAM-SHA-512");
                assert_eq!(established.login.exchanges, 2);
            } else {
                let bound = Binding::Bound(BindingType::TlsExporter);
                assert_eq!(established.login.binding, bound);
                assert_eq!(established.login.mechanism, "SCRAM-SHA-256-PLUS");
            }
            let sm = established.stream_management.as_ref().unwrap();
            assert!(sm.resumable && sm.id.is_some(), "{sm:?}");
            assert_eq!(established.resumption, Resumption::NotTried);
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_once_and_for_all() {
    for server in Server::both() {
        let mut account = server.account("sensor");
        account.credentials = Credentials::password("sensor", "not the password");
        // A second candidate is there, and must not be tried.
        let connector = Connector::new(account, server.config(&MODES)).unwrap();
        let error = connector.connect(None).await.unwrap_err();
        assert!(
            matches!(
                error,
                ConnectError::AuthRefused {
                    condition: SaslCondition::NotAuthorized,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(
            (error.kind(), error.retry()),
            (Kind::Authentication, Retry::AfterUser)
        );
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused_and_its_fingerprint_can_be_pinned() {
    for server in Server::both() {
        for mode in MODES {
            let mut config = server.config(&[mode]);
            config.tls = TlsPolicy::default();
            let connector = Connector::new(server.account("sensor"), config.clone()).unwrap();
            let error = connector.connect(None).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.retry()),
                (Kind::Security, Retry::AfterUser)
            );
            let ConnectError::Certificate {
                fault: CertificateFault::UnknownIssuer { sha256, .. },
                ..
            } = error
            else {
                panic!("{error}");
            };
            let pinned = |pin: Fingerprint| {
                let mut config = config.clone();
                config.tls.pin = Some(pin);
                Connector::new(server.account("sensor"), config).unwrap()
            };
            pinned(sha256).connect(None).await.unwrap();
            let error = pinned(Fingerprint::of(b"another"))
                .connect(None)
                .await
                .unwrap_err();
            assert!(matches!(
                error,
                ConnectError::Certificate {
                    fault: CertificateFault::PinMismatch { .. },
                    ..
                }
            ));
        }
    }
}

#[tokio::test]
async fn a_domain_that_the_server_does_not_serve_is_named_as_such() {
    for server in Server::both() {
        let account = Account::with_password("a@elsewhere.example".parse().unwrap(), "b");
        let config = server.config(&[TlsMode::StartTls]);
        let error = Connector::new(account, config)
            .unwrap()
            .connect(None)
            .await
            .unwrap_err();
        // One ends the stream with host-unknown; both prove to be somebody else.
        let named = match &error {
            ConnectError::Stream { error, .. } => error.condition.as_str() == "host-unknown",
            ConnectError::Certificate { fault, .. } => {
                matches!(fault, CertificateFault::WrongName { .. })
            }
            _ => false,
        };
        assert!(named, "{error:?}");
        assert_ne!(error.retry(), Retry::Later);
    }
}

#[tokio::test]
async fn a_session_is_resumed_after_its_connection_was_lost() {
    for server in Server::both() {
        let connector = server.connector("phone", TlsMode::StartTls);
        let first = connector.connect(None).await.unwrap();
        let jid = first.established.jid.clone();
        let session = first.established.stream_management.clone().unwrap();
        let token = session.token(jid.clone(), 0).unwrap();
        // Gone without a closing tag: the server keeps the session.
        drop(first);
        let second = connector.connect(Some(token)).await.unwrap();
        assert_eq!(
            second.established.resumption,
            Resumption::Resumed { h: 0 },
            "{}",
            server.domain()
        );
        assert_eq!(second.established.jid, jid);
        assert_eq!(second.established.stream_management.unwrap().id, session.id);
    }
}

#[tokio::test]
async fn a_session_that_is_gone_is_reported_and_a_new_one_made() {
    for server in Server::both() {
        let connector = server.connector("phone", TlsMode::Direct);
        let token = ResumeToken {
            jid: connector.account().jid.with_resource("old").unwrap(),
            id: Text::from_static("no-such-session"),
            h: 7,
            max_seconds: None,
            location: None,
        };
        let connection = connector.connect(Some(token)).await.unwrap();
        let Resumption::Failed { h: None, reason } = connection.established.resumption else {
            panic!("{:?}", connection.established.resumption);
        };
        assert!(
            matches!(reason, ResumeFailure::Refused(Some(_))),
            "{reason:?}"
        );
        assert!(connection.established.stream_management.is_some());
    }
}

#[tokio::test]
async fn a_count_that_is_too_high_ends_in_a_new_session_and_no_loop() {
    for server in Server::both() {
        let connector = server.connector("app", TlsMode::StartTls);
        let first = connector.connect(None).await.unwrap();
        let session = first.established.stream_management.clone().unwrap();
        let token = session.token(first.established.jid.clone(), 4000).unwrap();
        drop(first);
        let second = connector.connect(Some(token)).await.unwrap();
        assert_eq!(
            second.established.resumption,
            Resumption::Failed {
                h: None,
                reason: ResumeFailure::StreamClosed
            },
            "{}",
            server.domain()
        );
    }
}

#[tokio::test]
async fn a_wish_for_a_resource_is_granted() {
    for server in Server::both() {
        let mut account = server.account("sensor");
        account.resource = Some(Text::from_static("bench"));
        let connector = Connector::new(account, server.config(&[TlsMode::StartTls])).unwrap();
        let connection = connector.connect(None).await.unwrap();
        assert_eq!(connection.established.jid.resource(), "bench");
    }
}

#[tokio::test]
async fn stanzas_flow_on_the_stream_that_is_handed_over() {
    for server in Server::both() {
        let mut connection = server.login("sensor", TlsMode::Direct).await;
        let ping = Element::new("iq", ns::CLIENT)
            .with_attr("type", Text::from_static("get"))
            .with_attr("id", Text::from_static("p1"))
            .with_attr("to", Text::new(server.domain()).unwrap())
            .with_child(Element::new("ping", ns::PING));
        connection.stream.send(&ping).unwrap();
        loop {
            match connection.stream.next().await.unwrap() {
                StreamEvent::Element(e) if e.attr("id") == Some("p1") => {
                    assert_eq!(e.attr("type"), Some("result"));
                    break;
                }
                StreamEvent::Element(_) => {}
                other => panic!("{other:?}"),
            }
        }
        connection.stream.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_session_over_a_websocket_works_and_resumes_as_over_tcp() {
    for server in Server::both() {
        let uri = server.0["websocket_tls"].as_str().unwrap();
        let mut config = server.config(&[]);
        config.endpoints = Endpoints::Explicit(vec![uri.parse().unwrap()]);
        let connector = Connector::new(server.account("app"), config).unwrap();
        let mut first = connector.connect(None).await.unwrap();
        assert_eq!(first.endpoint.to_string(), uri);
        assert!(first.established.login.server_proved);
        assert!(first.stream.security().is_encrypted());
        let ping = Element::new("iq", ns::CLIENT)
            .with_attr("type", Text::from_static("get"))
            .with_attr("id", Text::from_static("p1"))
            .with_attr("to", Text::new(server.domain()).unwrap())
            .with_child(Element::new("ping", ns::PING));
        first.stream.send(&ping).unwrap();
        let answer = loop {
            match first.stream.next().await.unwrap() {
                StreamEvent::Element(e) if e.attr("id") == Some("p1") => break e,
                StreamEvent::Element(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(answer.attr("type"), Some("result"));

        // Stanzas each way on the session: the request and its answer.
        let mut count = 1;
        let mut second = loop {
            let session = first.established.stream_management.clone().unwrap();
            let token = session.token(first.established.jid.clone(), count).unwrap();
            drop(first);
            let second = connector.connect(Some(token)).await.unwrap();
            match second.established.resumption {
                Resumption::Resumed { h } => {
                    assert_eq!(h, count, "{uri}");
                    break second;
                }
                // ejabberd may close a stream that resumes while the lost one still ends.
                Resumption::Failed {
                    reason: ResumeFailure::StreamClosed,
                    ..
                } if count == 1 && server.domain().starts_with("ejabberd") => count = 0,
                ref other => panic!("{uri}: {other:?}"),
            }
            first = second;
        };
        second.stream.end();
        while !matches!(second.stream.next().await.unwrap(), StreamEvent::Close) {}
        second.stream.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_weaker_offer_over_a_websocket_is_no_downgrade_of_tcp_and_is_one_of_itself() {
    for server in Server::both() {
        let uri = server.0["websocket_tls"].as_str().unwrap();
        let connector = || {
            let mut config = server.config(&[]);
            config.endpoints = Endpoints::Explicit(vec![uri.parse().unwrap()]);
            Connector::new(server.account("app"), config).unwrap()
        };
        let text = "stanchion-server 1\nstrongest SCRAM-SHA-512-PLUS tls-exporter\n";
        let strong = || ServerMemory::decode(text).unwrap();
        let over_web = connector().with_memory(strong());
        let mut connection = over_web.connect(None).await.unwrap();
        connection.stream.close().await.unwrap();
        let learnt = over_web.websocket_memory();
        assert!(learnt.offer.is_some());
        assert_ne!(learnt.strongest, strong().strongest, "{uri}");
        assert_eq!(*over_web.memory().encode(), *strong().encode());

        let pinned = connector().with_websocket_memory(strong());
        let error = pinned.connect(None).await.unwrap_err();
        assert!(matches!(error, ConnectError::NoMechanism(..)), "{error:?}");
    }
}

#[tokio::test]
async fn a_path_without_a_websocket_is_refused_with_the_answer_of_the_web_server() {
    for server in Server::both() {
        let uri = server.0["websocket_tls"].as_str().unwrap();
        let mut config = server.config(&[]);
        let wrong = format!("{uri}-not");
        config.endpoints = Endpoints::Explicit(vec![wrong.parse().unwrap()]);
        let connector = Connector::new(server.account("app"), config).unwrap();
        let error = connector.connect(None).await.unwrap_err();
        assert!(matches!(error, ConnectError::WebSocket { .. }), "{error:?}");
        assert_eq!(error.retry(), Retry::AfterUser);
        let mut causes = vec![error.to_string()];
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            causes.push(source.to_string());
            cause = source;
        }
        let told = causes.join(": ");
        assert!(told.contains("HTTP 404"), "{told}");
    }
}

#[tokio::test]
async fn records_in_dns_lead_to_both_kinds_of_ports() {
    for server in Server::both() {
        let domain = server.domain();
        let [starttls, direct] = MODES.map(|m| server.endpoint(m).port);
        let resolver = TableResolver::new()
            .with_srv(
                &format!("_xmpps-client._tcp.{domain}"),
                5,
                0,
                direct,
                "a.example.",
            )
            .with_srv(
                &format!("_xmpp-client._tcp.{domain}"),
                1,
                0,
                9,
                "b.example.",
            )
            .with_srv(
                &format!("_xmpp-client._tcp.{domain}"),
                9,
                0,
                starttls,
                "a.example.",
            )
            .with_address("a.example", [127, 0, 0, 1].into());
        let mut config = server.config(&[]);
        config.endpoints = Endpoints::Discover;
        let connector = Connector::new(server.account("sensor"), config)
            .unwrap()
            .with_resolver(Arc::new(resolver));
        let connection = connector.connect(None).await.unwrap();
        assert_eq!(connection.endpoint, server.endpoint(TlsMode::Direct));
        // The first record's host has no address: that is reported, not fatal.
        assert_eq!(connection.failed.len(), 1);
        assert_eq!(connection.failed[0].phase, Phase::Resolve);
    }
}

#[tokio::test]
async fn an_inspection_tells_what_the_server_offers_at_each_step() {
    for server in Server::both() {
        let config = server.config(&MODES);
        let connector = Connector::new(server.account("sensor"), config).unwrap();
        let found = inspect(&connector, Scope::All).await;
        assert_eq!(found.servers.len(), 2);
        for report in &found.servers {
            assert!(report.is_established(), "{:?}", report.error);
            let login = report.features_at(FeatureStage::BeforeLogin).unwrap();
            assert!(login.mechanisms.iter().any(|m| m == "SCRAM-SHA-256"));
            assert!(report.features_at(FeatureStage::AfterLogin).unwrap().bind);
            assert!(report.security.as_ref().unwrap().tls.is_some());
            assert!(report.timings.of(Phase::Authentication).as_nanos() > 0);
        }
        let starttls = found.servers[0].features_at(FeatureStage::BeforeTls);
        assert!(starttls.unwrap().starttls.is_some());
        assert_eq!(found.servers[1].features_at(FeatureStage::BeforeTls), None);
    }
}

#[tokio::test]
async fn an_inspection_reports_how_far_a_refused_login_got() {
    for server in Server::both() {
        let mut account = server.account("sensor");
        account.credentials = Credentials::password("sensor", "wrong");
        let connector = Connector::new(account, server.config(&MODES)).unwrap();
        let found = inspect(&connector, Scope::All).await;
        let [only] = &found.servers[..] else {
            panic!("a refused password was tried again");
        };
        assert!(matches!(only.error, Some(ConnectError::AuthRefused { .. })));
        assert!(only.features_at(FeatureStage::BeforeLogin).is_some());
        assert!(only.login.is_none() && !found.is_established());
    }
}
