//! Logins in the fewest round trips, on real servers behind a long line: SASL2, Bind 2,
//! tokens, inline resumption, and what is sent ahead of the features.

mod relay;

use std::path::PathBuf;
use std::process::Command;

use relay::Relay;
use serde_json::Value;
use stanchion_connect::error::ConnectError;
use stanchion_connect::negotiation::{ServerMemory, Token};
use stanchion_connect::{
    Account, Connect, ConnectConfig, Connection, Connector, Endpoint, Endpoints, Resumption,
};
use stanchion_sasl::Credentials;
use stanchion_sasl::SelectError;
use stanchion_sasl::binding::{Binding, BindingType};
use stanchion_sasl::policy::SaslProfile;
use stanchion_stanza::{Element, StreamEvent, Text, ns};
use stanchion_transport::TlsMode;

use super::{MODES, Server};

/// A Prosody with SASL2, of one test.
struct Own {
    server: Server,
    folder: PathBuf,
}

impl Own {
    fn start(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("connect-{test}-{}", std::process::id()));
        let users = ["--user", "sensor:secret"];
        let mut command = Command::new(xtask());
        command.args(["servers", "start", "prosody", "--sasl2", "--json"]);
        let output = command
            .args(users)
            .arg("--dir")
            .arg(&folder)
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        let about: Value = serde_json::from_slice(&output.stdout).unwrap();
        Self {
            server: Server(about),
            folder,
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut command = Command::new(xtask());
        command.args(["servers", "kill", "--dir"]);
        let _ = command.arg(&self.folder).output();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn xtask() -> std::ffi::OsString {
    std::env::var_os("STANCHION_XTASK")
        .expect("no xtask program: run `cargo xtask test --only interop`")
}

/// A server at the end of a long line, and a connector that remembers.
struct Far {
    relay: Relay,
    connector: Connector,
}

impl Far {
    async fn to(server: &Server, mode: TlsMode, change: impl FnOnce(&mut ConnectConfig)) -> Self {
        Self::with(server, mode, server.account("sensor"), change).await
    }

    async fn with(
        server: &Server,
        mode: TlsMode,
        account: Account,
        change: impl FnOnce(&mut ConnectConfig),
    ) -> Self {
        let endpoint = server.endpoint(mode);
        let stanchion_transport::Host::Ip(ip) = endpoint.host else {
            panic!("no address");
        };
        let relay = Relay::to((ip, endpoint.port).into()).await;
        let mut config = server.config(&[mode]);
        config.endpoints = Endpoints::Explicit(vec![Endpoint::at(relay.address, mode)]);
        change(&mut config);
        let connector = Connector::new(account, config).unwrap();
        Self { relay, connector }
    }

    /// One login and its round trips, TCP and TLS with them.
    async fn login(&self) -> (Connection, usize) {
        let connection = self.connector.connect(None).await.unwrap();
        let round_trips = self.relay.round_trips();
        (connection, round_trips)
    }
}

/// The stream is in order: what is asked is answered.
async fn answers(connection: &mut Connection) {
    let domain = connection.established.jid.domain().to_owned();
    let ping = Element::new("iq", ns::CLIENT)
        .with_attr("type", Text::from_static("get"))
        .with_attr("id", Text::from_static("p1"))
        .with_attr("to", Text::new(domain).unwrap())
        .with_child(Element::new("ping", ns::PING));
    connection.stream.send(&ping).unwrap();
    loop {
        match connection.stream.next().await.unwrap() {
            StreamEvent::Element(e) if e.attr("id") == Some("p1") => break,
            StreamEvent::Element(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_login_by_rfc_6120_over_starttls_takes_6_round_trips_once_the_server_is_known() {
    for server in Server::both() {
        let far = Far::to(&server, TlsMode::StartTls, |_| {}).await;
        let (first, round_trips) = far.login().await;
        // ejabberd refuses the binding that it offers: an exchange more.
        let more = usize::from(server.is_ejabberd());
        assert_eq!(round_trips, 9 + more, "{}", server.domain());
        assert_eq!(first.established.login.profile, SaslProfile::Rfc6120);
        let (mut second, round_trips) = far.login().await;
        assert_eq!(round_trips, 6 + more, "{}", server.domain());
        assert!(
            second
                .established
                .stream_management
                .as_ref()
                .unwrap()
                .resumable
        );
        assert_eq!(
            second.established.login.binding,
            first.established.login.binding
        );
        answers(&mut second).await;
        assert_eq!(far.relay.connections(), 2);
    }
}

#[tokio::test]
async fn a_resumption_by_rfc_6120_rides_with_the_header() {
    for server in Server::both() {
        let far = Far::to(&server, TlsMode::Direct, |_| {}).await;
        let (first, _) = far.login().await;
        let jid = first.established.jid.clone();
        let session = first.established.stream_management.clone().unwrap();
        drop(first);
        let token = session.token(jid.clone(), 0).unwrap();
        let mut second = far.connector.connect(Some(token)).await.unwrap();
        assert_eq!(
            far.relay.round_trips(),
            5 + usize::from(server.is_ejabberd())
        );
        let resumption = second.established.resumption;
        assert!(
            matches!(resumption, Resumption::Resumed { .. }),
            "{resumption:?}"
        );
        assert_eq!(second.established.jid, jid);
        answers(&mut second).await;
    }
}

#[tokio::test]
async fn a_login_by_sasl2_with_bind_2_takes_5_round_trips_over_starttls_and_4_over_direct_tls() {
    let own = Own::start("sasl2");
    for (mode, first, later) in [(TlsMode::StartTls, 7, 5), (TlsMode::Direct, 5, 4)] {
        let far = Far::to(&own.server, mode, |config| config.fast = false).await;
        let (_, round_trips) = far.login().await;
        assert_eq!(round_trips, first);
        let (mut connection, round_trips) = far.login().await;
        assert_eq!(round_trips, later);
        let done = &connection.established;
        assert_eq!(done.login.profile, SaslProfile::Sasl2);
        assert_eq!(done.login.mechanism, "SCRAM-SHA-256-PLUS");
        assert_eq!(done.login.binding, Binding::Bound(BindingType::TlsExporter));
        assert!(done.login.server_proved && done.memory.token.is_none());
        let sm = done.stream_management.as_ref().unwrap();
        assert!(sm.resumable && sm.id.is_some());
        answers(&mut connection).await;
    }
}

#[tokio::test]
async fn a_login_with_a_token_takes_4_round_trips_over_starttls_and_3_over_direct_tls() {
    let own = Own::start("fast");
    for (mode, expected) in [(TlsMode::StartTls, 4), (TlsMode::Direct, 3)] {
        let far = Far::to(&own.server, mode, |_| {}).await;
        far.login().await;
        for count in 1..=2 {
            let (mut connection, round_trips) = far.login().await;
            assert_eq!(round_trips, expected);
            let done = &connection.established;
            assert_eq!(done.login.mechanism, "HT-SHA-256-EXPR");
            assert_eq!(done.login.binding, Binding::Bound(BindingType::TlsExporter));
            assert!(done.login.server_proved);
            assert!(done.stream_management.as_ref().unwrap().resumable);
            assert_eq!(done.memory.token.as_ref().unwrap().count, count);
            answers(&mut connection).await;
        }
    }
}

#[tokio::test]
async fn a_session_is_resumed_inline_by_password_and_by_token() {
    let own = Own::start("resume");
    for (fast, expected) in [(false, 4), (true, 3)] {
        let far = Far::to(&own.server, TlsMode::Direct, |config| config.fast = fast).await;
        let (first, _) = far.login().await;
        let jid = first.established.jid.clone();
        let session = first.established.stream_management.clone().unwrap();
        drop(first);
        let token = session.token(jid.clone(), 0).unwrap();
        let mut second = far.connector.connect(Some(token)).await.unwrap();
        assert_eq!(far.relay.round_trips(), expected);
        let resumption = second.established.resumption;
        assert!(
            matches!(resumption, Resumption::Resumed { .. }),
            "{resumption:?}"
        );
        assert_eq!(second.established.jid, jid);
        answers(&mut second).await;
    }
}

#[tokio::test]
async fn a_session_that_is_gone_is_replaced_inline() {
    let own = Own::start("gone");
    for mode in MODES {
        let far = Far::to(&own.server, mode, |_| {}).await;
        let (first, _) = far.login().await;
        let mut token = first
            .established
            .stream_management
            .as_ref()
            .unwrap()
            .token(first.established.jid.clone(), 0)
            .unwrap();
        token.id = Text::from_static("no-such-session");
        let mut second = far.connector.connect(Some(token)).await.unwrap();
        assert_eq!(
            far.relay.round_trips(),
            if mode == TlsMode::Direct { 3 } else { 4 }
        );
        let resumption = second.established.resumption;
        assert!(
            matches!(resumption, Resumption::Failed { .. }),
            "{resumption:?}"
        );
        assert!(
            second
                .established
                .stream_management
                .as_ref()
                .unwrap()
                .resumable
        );
        answers(&mut second).await;
    }
}

#[tokio::test]
async fn a_refused_token_leads_to_the_password_and_to_a_new_token() {
    let own = Own::start("refused");
    let far = Far::to(&own.server, TlsMode::Direct, |_| {}).await;
    far.login().await;
    let text = far.connector.memory().encode();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.retain(|line| !line.starts_with("token-secret"));
    lines.push("token-secret not-the-one");
    let memory = ServerMemory::decode(&lines.join("\n")).unwrap();
    let id = memory.token.as_ref().unwrap().agent.clone();
    let agent = stanchion_stanza::payload::sasl2::UserAgent {
        id: Some(id),
        ..Default::default()
    };
    let Far { relay, connector } = far;
    let far = Far {
        connector: connector.with_memory(memory).with_agent(agent),
        relay,
    };
    let (mut connection, _) = far.login().await;
    let done = &connection.established;
    assert_eq!(done.login.mechanism, "SCRAM-SHA-256-PLUS");
    let secret = |token: &Token| secrecy::ExposeSecret::expose_secret(&token.secret).to_owned();
    let new = secret(done.memory.token.as_ref().unwrap());
    assert_ne!(new, "not-the-one");
    answers(&mut connection).await;
    let (connection, _) = far.login().await;
    assert_eq!(connection.established.login.mechanism, "HT-SHA-256-EXPR");
}

#[tokio::test]
async fn a_wish_for_a_resource_is_granted_by_sasl2_at_the_price_of_a_round_trip() {
    let own = Own::start("wish");
    let mut account = own.server.account("sensor");
    account.resource = Some(Text::from_static("bench"));
    let far = Far::with(&own.server, TlsMode::Direct, account, |_| {}).await;
    let (connection, _) = far.login().await;
    let done = &connection.established;
    assert_eq!(done.jid.resource(), "bench");
    assert_eq!(done.login.profile, SaslProfile::Sasl2);
    assert!(done.stream_management.as_ref().unwrap().resumable);
}

#[tokio::test]
async fn a_wrong_password_is_refused_by_sasl2_and_not_tried_twice() {
    let own = Own::start("wrong");
    let mut account = own.server.account("sensor");
    account.credentials = Credentials::password("sensor", "not the password");
    let far = Far::with(&own.server, TlsMode::Direct, account, |_| {}).await;
    let error = far.connector.connect(None).await.unwrap_err();
    assert!(matches!(error, ConnectError::AuthRefused { .. }), "{error}");
    assert_eq!(far.relay.connections(), 1);
}

#[tokio::test]
async fn a_server_that_loses_sasl2_is_logged_in_to_and_one_that_loses_mechanisms_is_not() {
    let own = Own::start("lost");
    let [plain, _] = Server::both();
    let with = Far::to(&own.server, TlsMode::Direct, |_| {}).await;
    with.login().await;
    // The same domain, and another server that has no SASL2.
    let without = Far::to(&plain, TlsMode::Direct, |_| {}).await;
    let connector = without.connector.with_memory(with.connector.memory());
    let mut connection = connector.connect(None).await.unwrap();
    assert_eq!(connection.established.login.profile, SaslProfile::Rfc6120);
    answers(&mut connection).await;
    // What was sent ahead was not taken; then step by step, on a second connection.
    assert_eq!(without.relay.connections(), 2);

    let text = connector.memory().encode().replace(
        "strongest SCRAM-SHA-256-PLUS",
        "strongest SCRAM-SHA-512-PLUS",
    );
    let connector = connector.with_memory(ServerMemory::decode(&text).unwrap());
    let error = connector.connect(None).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::NoMechanism(SelectError::Downgrade(_), _)
        ),
        "{error}"
    );
}
