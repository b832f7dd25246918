//! The race of the candidates against scripted servers: who starts when, who logs in,
//! what happens to the others, and what is learnt for the next time. In virtual time but
//! for black holes, which are real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod scripted;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use scripted::{DOMAIN, Script, World, endpoint, hanging, stream_error, token};
use stanchion_connect::connection::SessionEnd;
use stanchion_connect::error::ConnectError;
use stanchion_connect::probe::{Scope, ServerReport, inspect};
use stanchion_connect::registry::EndpointHealth;
use stanchion_connect::resolve::{Answer, Resolve, ResolveError, SrvRecord, TableResolver};
use stanchion_connect::{
    Account, Connect, ConnectConfig, ConnectEvent, Connection, Connector, Endpoint, Endpoints,
    Phase, Resumption,
};
use stanchion_stanza::stream::StreamCondition;
use stanchion_transport::{BoxTransport, Dial, DialError, Host, TcpDial, TlsMode};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

/// What an observer heard, in few words.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<String>>>);

impl Ear {
    fn on(&self, connector: Connector) -> Connector {
        let heard = Arc::clone(&self.0);
        connector.with_observer(Arc::new(move |event: &ConnectEvent<'_>| {
            let word = match event {
                ConnectEvent::Phase(at, Phase::Resolve) => format!("look up {}", at.host),
                ConnectEvent::Phase(at, Phase::Tcp) => format!("start {}", at.port),
                ConnectEvent::Phase(at, Phase::Authentication) => format!("login {}", at.port),
                ConnectEvent::Overtaken(at) => format!("overtaken {}", at.port),
                ConnectEvent::Failed(attempt) => format!("failed {}", attempt.endpoint.port),
                ConnectEvent::Established(at, ..) => format!("session {}", at.port),
                _ => return,
            };
            heard.lock().unwrap().push(word);
        }))
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn failing(when: SystemTime, times: u32) -> EndpointHealth {
    let mut health = EndpointHealth::default();
    for _ in 0..times {
        health.failed(when);
    }
    health
}

async fn session(connector: &Connector) -> Connection {
    connector.connect(None).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_that_is_secured_in_time_has_no_rival() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, Script::default());
    world.add(2, TlsMode::Direct, Script::default());
    let ear = Ear::default();
    session(&ear.on(world.connector())).await;
    assert_eq!(ear.heard(), ["start 1", "login 1", "session 1"]);
    assert_eq!(world.visits(2), 0);
}

#[tokio::test(start_paused = true)]
async fn the_next_one_starts_a_quarter_of_a_second_later_or_when_one_fails() {
    let mut world = World::new();
    world.endpoints.push(endpoint(1, TlsMode::StartTls));
    world.add(2, TlsMode::StartTls, hanging(Phase::Stream));
    world.add(3, TlsMode::Direct, hanging(Phase::Tls));
    world.add(4, TlsMode::Direct, Script::default());
    let ear = Ear::default();
    let begin = Instant::now();
    let connection = session(&ear.on(world.connector())).await;
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_millis(510));
    let said = ear.heard();
    assert_eq!(
        said,
        [
            "start 1",
            "failed 1",
            "start 2",
            "start 3",
            "start 4",
            "overtaken 3",
            "overtaken 2",
            "login 4",
            "session 4"
        ]
    );
    assert_eq!(connection.endpoint.port, 4);
    assert_eq!(connection.overtaken.len(), 2);
    assert_eq!(connection.logins, 1);
    let failed: Vec<_> = connection.failed.iter().map(|a| a.endpoint.port).collect();
    assert_eq!(failed, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_loser_is_closed_and_only_the_winner_sees_a_login() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, hanging(Phase::Stream));
    world.add(2, TlsMode::StartTls, Script::default());
    let connector = world.connector();
    let _one = session(&connector).await;
    // This server serves one after the other: it is there for a second visitor only if
    // the first one has left.
    tokio::time::timeout(Duration::from_secs(1), async {
        let mut config = world.config();
        config.endpoints = Endpoints::Explicit(vec![endpoint(1, TlsMode::StartTls)]);
        let _ = world.connector_with("r0m30", config).connect(None).await;
    })
    .await
    .unwrap_err();
    assert_eq!(world.visits(1), 2);
    assert_eq!((world.logins(1), world.logins(2)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn when_the_login_at_the_winner_fails_the_rest_race_on() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, hanging(Phase::Stream));
    world.add(2, TlsMode::StartTls, hanging(Phase::Authentication));
    world.add(3, TlsMode::StartTls, Script::default());
    let ear = Ear::default();
    let connection = session(&ear.on(world.connector())).await;
    assert_eq!(
        ear.heard(),
        [
            "start 1",
            "start 2",
            "overtaken 1",
            "login 2",
            "failed 2",
            "start 1",
            "start 3",
            "overtaken 1",
            "login 3",
            "session 3"
        ]
    );
    assert_eq!(connection.logins, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_ends_the_race() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, hanging(Phase::Stream));
    world.add(2, TlsMode::StartTls, Script::default());
    world.add(3, TlsMode::StartTls, Script::default());
    let connector = world.connector_with("wrong", world.config());
    let error = connector.connect(None).await.unwrap_err();
    assert!(matches!(error, ConnectError::AuthRefused { .. }));
    assert_eq!((world.logins(2), world.visits(3)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn not_more_run_at_once_than_the_configuration_says() {
    let mut world = World::new();
    for port in 1..=6 {
        world.add(port, TlsMode::StartTls, hanging(Phase::Stream));
    }
    let mut config = world.config();
    config.race.at_once = 2;
    config.race.in_all = 5;
    let ear = Ear::default();
    let connector = ear.on(world.connector_with("r0m30", config));
    let error = connector.connect(None).await.unwrap_err();
    let ConnectError::AllFailed(attempts) = error else {
        panic!("{error:?}");
    };
    assert_eq!(attempts.len(), 5);
    let mut running = 0i32;
    for word in ear.heard() {
        running += if word.starts_with("start") { 1 } else { -1 };
        assert!((0..=2).contains(&running));
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_winner_asks_to_resume_and_where_it_is_not_answered_a_new_session_begins() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, hanging(Phase::StartTls));
    world.add(
        2,
        TlsMode::StartTls,
        Script {
            drop_resume: true,
            ..Script::default()
        },
    );
    let connection = world.connector().connect(Some(token(None))).await.unwrap();
    assert!(matches!(
        connection.established.resumption,
        Resumption::Failed { .. }
    ));
    assert_eq!((world.logins(1), world.logins(2)), (0, 2));
    // Whoever counts connections counts both.
    assert_eq!(connection.logins, 2);
}

/// Hangs for one name.
#[derive(Debug)]
struct Sticks(TableResolver, &'static str);

#[async_trait]
impl Resolve for Sticks {
    async fn srv(&self, name: &str) -> Result<Answer<SrvRecord>, ResolveError> {
        self.0.srv(name).await
    }
    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, ResolveError> {
        if host == self.1 {
            std::future::pending::<()>().await;
        }
        self.0.addresses(host).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_looked_up_for_long_does_not_hold_up_the_others() {
    let mut world = World::new();
    world.hide(2, TlsMode::StartTls, Script::default());
    let srv = format!("_xmpp-client._tcp.{DOMAIN}");
    let table = TableResolver::new()
        .with_srv(&srv, 0, 0, 1, "slow.example")
        .with_srv(&srv, 1, 0, 2, "quick.example")
        .with_address("quick.example", [127, 0, 0, 1].into());
    let mut config = world.config();
    config.endpoints = Endpoints::Discover;
    let ear = Ear::default();
    let connector = ear.on(world
        .connector_with("r0m30", config)
        .with_resolver(Arc::new(Sticks(table, "slow.example"))));
    let begin = Instant::now();
    assert_eq!(session(&connector).await.endpoint.port, 2);
    assert!(begin.elapsed() < Duration::from_millis(260));
    let said = ear.heard();
    assert_eq!(
        said[..3],
        ["look up slow.example", "look up quick.example", "start 2"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_broken_address_family_costs_one_stagger_once() {
    let mut world = World::new();
    world.hide(1, TlsMode::StartTls, Script::default());
    let v6 = world
        .dial
        .listen(Host::Ip("2001:db8::1".parse().unwrap()), 1);
    let table = TableResolver::new()
        .with_srv(&format!("_xmpp-client._tcp.{DOMAIN}"), 0, 0, 1, "a.example")
        .with_address("a.example", "2001:db8::1".parse().unwrap())
        .with_address("a.example", [127, 0, 0, 1].into());
    let mut config = world.config();
    config.endpoints = Endpoints::Discover;
    let connector = world
        .connector_with("r0m30", config)
        .with_resolver(Arc::new(table));
    for (round, longest) in [(1, 260), (2, 10), (3, 10)] {
        let begin = Instant::now();
        let connection = session(&connector).await;
        assert!(begin.elapsed() < Duration::from_millis(longest), "{round}");
        assert!(matches!(connection.endpoint.host, Host::Ip(IpAddr::V4(_))));
        connection_over(connection).await;
    }
    drop(v6);
}

async fn connection_over(mut connection: Connection) {
    connection.stream.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_last_good_one_goes_first_until_the_preferred_one_has_been_well_for_long() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, Script::default());
    world.add(2, TlsMode::StartTls, Script::default());
    let now = SystemTime::now();
    let ago = |seconds| now - Duration::from_secs(seconds);
    let mut good = EndpointHealth::default();
    good.succeeded(ago(300), Duration::from_millis(50));
    let [first, second] = [1, 2].map(|port| endpoint(port, TlsMode::StartTls));
    for (failed_ago, expected) in [(400, 2), (700, 1)] {
        let known = vec![
            (first.clone(), failing(ago(failed_ago), 1)),
            (second.clone(), good.clone()),
        ];
        let connector = world.connector().with_health(known);
        let connection = session(&connector).await;
        assert_eq!(connection.endpoint.port, expected);
        let used = connector.health().get(&connection.endpoint);
        assert_eq!((used.failures, used.succeeded_at >= Some(now)), (0, true));
        connection_over(connection).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_with_an_open_circuit_is_tried_last_and_a_success_closes_it() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, Script::default());
    world.add(2, TlsMode::StartTls, hanging(Phase::Binding));
    let broken = endpoint(1, TlsMode::StartTls);
    let known = vec![(broken.clone(), failing(SystemTime::now(), 5))];
    let connector = world.connector().with_health(known);
    let connection = session(&connector).await;
    // The other one hung, so the open one was all that was left.
    assert_eq!(connection.failed[0].endpoint.port, 2);
    assert_eq!(connection.endpoint, broken);
    assert_eq!(connector.health().get(&broken).open_until, None);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_known_to_be_far_away_is_waited_for_longer() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, hanging(Phase::Stream));
    world.add(2, TlsMode::StartTls, Script::default());
    let mut far = EndpointHealth::default();
    far.succeeded(SystemTime::now(), Duration::from_millis(600));
    let known = vec![(endpoint(1, TlsMode::StartTls), far)];
    let connector = world.connector().with_health(known);
    let begin = Instant::now();
    session(&connector).await;
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(1200) && took < Duration::from_millis(1210));
}

#[tokio::test(start_paused = true)]
async fn where_a_session_is_sent_to_is_where_the_next_one_begins_and_only_that() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, Script::default());
    world.hide(2, TlsMode::StartTls, Script::default());
    let connector = world.connector();
    let end = |connection: &Connection, condition, value| SessionEnd {
        jid: connection.established.jid.clone(),
        endpoint: connection.endpoint.clone(),
        lasted: Duration::from_secs(60),
        error: Some(stream_error(condition, value)),
        elsewhere: false,
    };
    let first = session(&connector).await;
    let moved = StreamCondition::SeeOtherHost;
    connector.ended(&end(&first, moved, Some("127.0.0.1:2")));
    connection_over(first).await;
    let second = session(&connector).await;
    assert_eq!(second.endpoint.port, 2);
    connector.ended(&end(&second, StreamCondition::Reset, None));
    connection_over(second).await;
    assert_eq!(session(&connector).await.endpoint.port, 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_is_not_the_first_to_be_tried_again() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, Script::default());
    world.add(2, TlsMode::StartTls, Script::default());
    for condition in [
        StreamCondition::SystemShutdown,
        StreamCondition::ResourceConstraint,
    ] {
        let connector = world.connector();
        let connection = session(&connector).await;
        assert_eq!(connection.endpoint.port, 1);
        connector.ended(&SessionEnd {
            jid: connection.established.jid.clone(),
            endpoint: connection.endpoint.clone(),
            lasted: Duration::from_secs(3600),
            error: Some(stream_error(condition, None)),
            elsewhere: false,
        });
        connection_over(connection).await;
        let next = session(&connector).await;
        assert_eq!(next.endpoint.port, 2);
        connection_over(next).await;
    }
}

/// The servers of a world at real addresses, which stand for ports of the world.
struct Mixed {
    world: stanchion_transport::MemoryDial,
    holes: TcpDial,
}

#[async_trait]
impl Dial for Mixed {
    async fn dial(&self, at: &Endpoint, domain: &str) -> Result<BoxTransport, DialError> {
        if at.port < 100 {
            self.world.dial(at, domain).await
        } else {
            self.holes.dial(at, domain).await
        }
    }
    async fn direct(
        &self,
        pipe: BoxTransport,
        at: &Endpoint,
        domain: &str,
    ) -> Result<BoxTransport, DialError> {
        self.world.direct(pipe, at, domain).await
    }
    async fn upgrade(&self, pipe: BoxTransport, domain: &str) -> Result<BoxTransport, DialError> {
        self.world.upgrade(pipe, domain).await
    }
}

/// A listener whose queue is full: the system drops further connections unanswered.
async fn full() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fill = Vec::new();
    for _ in 0..8 {
        let connect = TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_millis(100), connect).await {
            Ok(stream) => fill.push(stream.unwrap()),
            Err(_) => break,
        }
    }
    (address, listener, fill)
}

/// Real time and real sockets: two that never accept, two that accept and say nothing.
#[tokio::test]
async fn four_black_holes_do_not_keep_the_fifth_from_giving_a_session_in_time() {
    let mut world = World::new();
    let mut holes = Vec::new();
    let mut endpoints = Vec::new();
    for mode in [TlsMode::StartTls, TlsMode::Direct] {
        let hole = full().await;
        endpoints.push(Endpoint::at(hole.0, mode));
        holes.push((hole.1, hole.2));
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        endpoints.push(Endpoint::at(silent.local_addr().unwrap(), mode));
        holes.push((silent, Vec::new()));
    }
    world.add(5, TlsMode::StartTls, Script::default());
    endpoints.append(&mut world.endpoints);
    let account = Account::with_password(format!("juliet@{DOMAIN}").parse().unwrap(), "r0m30");
    let config = ConnectConfig {
        endpoints: Endpoints::Explicit(endpoints),
        ..ConnectConfig::default()
    };
    let dial = Mixed {
        world: world.dial.clone(),
        holes: TcpDial::new(scripted::connector(&world.roots)),
    };
    let connector = Connector::with_dial(account, config, Arc::new(dial)).unwrap();
    let begin = Instant::now();
    let connection = session(&connector).await;
    assert!(
        begin.elapsed() < Duration::from_millis(1500),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(connection.endpoint.port, 5);
    assert_eq!(connection.overtaken.len(), 4);
    // The silent ones see that the other side has left.
    for (listener, _) in [&holes[1], &holes[3]] {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut said = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut said);
        let _ = tokio::time::timeout(Duration::from_secs(5), read)
            .await
            .unwrap();
    }
    // The next time the good one is first.
    let begin = Instant::now();
    connection_over(connection).await;
    session(&connector).await;
    assert!(begin.elapsed() < Duration::from_millis(250));
}

#[tokio::test(start_paused = true)]
async fn an_inspection_shows_who_was_overtaken_and_all_one_by_one_if_asked() {
    let mut world = World::new();
    world.add(1, TlsMode::StartTls, hanging(Phase::Stream));
    world.add(2, TlsMode::StartTls, Script::default());
    world.add(3, TlsMode::StartTls, Script::default());
    let shown = async |scope| {
        let found = inspect(&world.connector(), scope).await;
        let one = |s: &ServerReport| (s.endpoint.port, s.overtaken, s.is_established());
        found.servers.iter().map(one).collect::<Vec<_>>()
    };
    let raced = shown(Scope::UntilEstablished).await;
    assert_eq!(raced, [(1, true, false), (2, false, true)]);
    let all = shown(Scope::All).await;
    assert_eq!(all, [(1, false, false), (2, false, true), (3, false, true)]);
}
