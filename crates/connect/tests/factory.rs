//! Several servers: which is tried when, what is learnt and what is kept, and trying for
//! a given time. Scripted servers, virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod scripted;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use scripted::{DOMAIN, Script, World, endpoint, hanging, stream_error, timeouts, token};
use secrecy::ExposeSecret as _;
use stanchion_connect::backoff::RESTARTING;
use stanchion_connect::config::Plaintext;
use stanchion_connect::connection::SessionEnd;
use stanchion_connect::entropy::SeededEntropy;
use stanchion_connect::error::ConnectError;
use stanchion_connect::factory::ConnectionFactory;
use stanchion_connect::negotiation::ServerMemory;
use stanchion_connect::notice::{self, Notice};
use stanchion_connect::persistent::Persistent;
use stanchion_connect::registry::{
    EndpointHealth, MemoryRegistry, Note, RegistryError, Server, ServerRegistry,
};
use stanchion_connect::{
    Account, Connect, ConnectConfig, Connection, Endpoint, Endpoints, Kind, Phase, Resumption,
    Retry,
};
use stanchion_stanza::BareJid;
use stanchion_stanza::stream::StreamCondition;
use stanchion_transport::{BoxTransport, Dial, DialError, MemoryDial, TlsMode};
use tokio::time::Instant;

/// The second server's domain.
const SECOND: &str = "second.example";

fn jid(domain: &str) -> BareJid {
    format!("juliet@{domain}").parse().unwrap()
}

fn server(domain: &str, port: u16, priority: u16, password: &str) -> Server {
    Server {
        endpoints: Endpoints::Explicit(vec![endpoint(port, TlsMode::StartTls)]),
        priority,
        ..Server::new(Account::with_password(jid(domain), password))
    }
}

/// The primary at port 1 and the second at port 2, registered.
struct Two {
    world: World,
    registry: Arc<MemoryRegistry>,
}

impl Two {
    async fn new(primary: Script, second: Script) -> Self {
        let mut world = World::new();
        world.add(1, TlsMode::StartTls, primary);
        let domain = Some(SECOND);
        world.add(2, TlsMode::StartTls, Script { domain, ..second });
        let registry = Arc::new(MemoryRegistry::new());
        for server in [server(DOMAIN, 1, 0, "r0m30"), server(SECOND, 2, 1, "r0m30")] {
            registry.put(server).await.unwrap();
        }
        Self { world, registry }
    }

    async fn well() -> Self {
        Self::new(Script::default(), Script::default()).await
    }

    fn factory(&self) -> ConnectionFactory {
        self.factory_over(Arc::clone(&self.registry) as _)
    }

    fn factory_over(&self, registry: Arc<dyn ServerRegistry>) -> ConnectionFactory {
        let config = ConnectConfig {
            timeouts: timeouts(),
            ..ConnectConfig::default()
        };
        ConnectionFactory::new(registry, config)
            .with_dial(Arc::new(self.world.dial.clone()))
            .with_entropy(Arc::new(SeededEntropy::new(1)))
    }

    async fn know(&self, domain: &str, port: u16, health: EndpointHealth) {
        let known = vec![(endpoint(port, TlsMode::StartTls), health)];
        let account = jid(domain);
        self.registry.note_health(&account, known).await.unwrap();
    }

    async fn known(&self, domain: &str) -> EndpointHealth {
        let known = self.registry.health(&jid(domain)).await.unwrap();
        known.into_iter().next().map(|(_, h)| h).unwrap_or_default()
    }
}

/// Connects, and leaves at once.
async fn visit(connect: &dyn Connect) -> String {
    let mut connection = connect.connect(None).await.unwrap();
    connection.stream.close().await.unwrap();
    connection.established.jid.domain().to_owned()
}

fn absent() -> Script {
    hanging(Phase::Stream)
}

fn failed(seconds_ago: u64, times: u32) -> EndpointHealth {
    let mut health = EndpointHealth::default();
    for _ in 0..times {
        health.failed(SystemTime::now() - Duration::from_secs(seconds_ago));
    }
    health
}

fn good(seconds_ago: u64) -> EndpointHealth {
    let mut health = EndpointHealth::default();
    let when = SystemTime::now() - Duration::from_secs(seconds_ago);
    health.succeeded(when, Duration::from_millis(40));
    health
}

#[tokio::test(start_paused = true)]
async fn the_server_of_the_lowest_priority_is_first_and_the_others_are_left_alone() {
    let two = Two::well().await;
    let factory = two.factory();
    for _ in 0..3 {
        assert_eq!(visit(&factory).await, DOMAIN);
    }
    assert_eq!(two.world.visits(2), 0);
}

#[tokio::test(start_paused = true)]
async fn where_the_primary_is_absent_the_next_one_gives_the_session_and_both_are_noted() {
    let two = Two::new(absent(), Script::default()).await;
    let factory = two.factory();
    assert_eq!(visit(&factory).await, SECOND);
    assert_eq!(two.known(DOMAIN).await.failures, 1);
    assert!(two.known(SECOND).await.succeeded_at.is_some());
    // It is not waited for again.
    let begin = Instant::now();
    assert_eq!(visit(&factory).await, SECOND);
    assert!(begin.elapsed() < Duration::from_millis(10));
    assert_eq!(two.world.visits(1), 1);
    // Nor by the next process.
    assert_eq!(visit(&two.factory()).await, SECOND);
    assert_eq!(two.world.visits(1), 1);
}

#[tokio::test(start_paused = true)]
async fn the_primary_is_first_again_once_it_has_not_failed_for_ten_minutes() {
    for (failed_ago, expected) in [(590, SECOND), (610, DOMAIN)] {
        let two = Two::well().await;
        two.know(DOMAIN, 1, failed(failed_ago, 1)).await;
        two.know(SECOND, 2, good(500)).await;
        assert_eq!(visit(&two.factory()).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_resumed_at_its_own_server_and_nowhere_else() {
    let mut other = token(None);
    other.jid = format!("juliet@{SECOND}/old").parse().unwrap();
    // The primary failed a while ago, so it is not yet the time to go back.
    let two = Two::well().await;
    two.know(DOMAIN, 1, failed(60, 1)).await;
    let connection = two.factory().connect(Some(other.clone())).await.unwrap();
    let resumed = Resumption::Resumed { h: 3 };
    assert_eq!(connection.established.resumption, resumed);
    assert_eq!((two.world.visits(1), two.world.visits(2)), (0, 1));

    // The server of the session is away: a new session elsewhere, without the token.
    let two = Two::new(absent(), Script::default()).await;
    let connection = two.factory().connect(Some(token(None))).await.unwrap();
    assert_eq!(connection.established.jid.domain(), SECOND);
    assert_eq!(connection.established.resumption, Resumption::NotTried);

    // A better server that is well takes over even from a session that could go on.
    let two = Two::well().await;
    two.know(DOMAIN, 1, good(3600)).await;
    let connection = two.factory().connect(Some(other)).await.unwrap();
    assert_eq!(connection.established.jid.domain(), DOMAIN);
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_is_not_repeated_until_the_entry_changes() {
    let two = Two::well().await;
    let wrong = server(DOMAIN, 1, 0, "wrong");
    two.registry.put(wrong.clone()).await.unwrap();
    let factory = two.factory();
    for _ in 0..3 {
        assert_eq!(visit(&factory).await, SECOND);
    }
    assert_eq!(two.world.logins(1), 1);
    // Another priority is no reason to try again.
    let priority = Server {
        priority: 0,
        ..wrong
    };
    two.registry.put(priority).await.unwrap();
    assert_eq!(visit(&factory).await, SECOND);
    assert_eq!(two.world.logins(1), 1);
    two.registry
        .put(server(DOMAIN, 1, 0, "r0m30"))
        .await
        .unwrap();
    assert_eq!(visit(&factory).await, DOMAIN);
    assert_eq!(two.world.logins(1), 2);
}

#[tokio::test(start_paused = true)]
async fn when_all_refuse_it_is_over_at_once_and_each_is_named() {
    let two = Two::well().await;
    for server in [server(DOMAIN, 1, 0, "wrong"), server(SECOND, 2, 1, "wrong")] {
        two.registry.put(server).await.unwrap();
    }
    let factory = Arc::new(two.factory());
    let persistent = Persistent::new(Arc::clone(&factory) as _, Duration::from_secs(3600));
    let begin = Instant::now();
    for round in 0..3 {
        let error = persistent.connect(None).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (Kind::Authentication, Retry::AfterUser)
        );
        let text = error.to_string();
        assert!(text.contains(DOMAIN) && text.contains(SECOND), "{text}");
        assert_eq!(text.contains("refused before"), round > 0, "{text}");
        assert!(text.contains("check the user name"), "{text}");
    }
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!((two.world.logins(1), two.world.logins(2)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_makes_way_for_the_next_one() {
    let two = Two::well().await;
    let factory = two.factory();
    let connection = factory.connect(None).await.unwrap();
    assert_eq!(connection.established.jid.domain(), DOMAIN);
    end(&factory, &connection, 3600, StreamCondition::SystemShutdown);
    drop(connection);
    assert_eq!(visit(&factory).await, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_each_session_at_once_makes_way_for_the_next_one() {
    let two = Two::well().await;
    let factory = two.factory();
    let mut domains = Vec::new();
    for _ in 0..4 {
        let connection = factory.connect(None).await.unwrap();
        domains.push(connection.established.jid.domain().to_owned());
        end(
            &factory,
            &connection,
            0,
            StreamCondition::UndefinedCondition,
        );
    }
    assert_eq!(domains, [DOMAIN, DOMAIN, DOMAIN, SECOND]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_another_server_is_not_given_the_same_at_once() {
    let two = Two::well().await;
    let factory = two.factory();
    let mut domains = Vec::new();
    for _ in 0..2 {
        let connection = factory.connect(None).await.unwrap();
        domains.push(connection.established.jid.domain().to_owned());
        factory.ended(&SessionEnd {
            jid: connection.established.jid.clone(),
            endpoint: connection.endpoint.clone(),
            lasted: Duration::from_secs(3600),
            error: None,
            elsewhere: true,
        });
    }
    assert_eq!(domains, [DOMAIN, SECOND]);
}

fn end(factory: &ConnectionFactory, of: &Connection, lasted: u64, condition: StreamCondition) {
    factory.ended(&SessionEnd {
        jid: of.established.jid.clone(),
        endpoint: of.endpoint.clone(),
        lasted: Duration::from_secs(lasted),
        error: Some(stream_error(condition, None)),
        elsewhere: false,
    });
}

#[tokio::test(start_paused = true)]
async fn what_a_login_teaches_is_known_to_the_next_process() {
    let two = Two::well().await;
    visit(&two.factory()).await;
    let recall = async |key| {
        let note = two.registry.recall(&jid(DOMAIN), key).await.unwrap();
        String::from_utf8(note.unwrap().expose_secret().to_vec()).unwrap()
    };
    let (memory, agent) = (recall("login").await, recall("agent").await);
    let strongest = ServerMemory::decode(&memory).unwrap().strongest;
    assert!(strongest.to_string().contains("SCRAM"), "{strongest}");
    assert_eq!(agent.len(), 36);

    // Another process is the same user agent.
    visit(&two.factory()).await;
    assert_eq!(recall("agent").await, agent);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_had_tls_once_is_not_used_without_it_by_the_next_process() {
    for (had_tls, expected) in [(false, DOMAIN), (true, SECOND)] {
        let no_tls = Script {
            no_tls: true,
            ..Script::default()
        };
        let two = Two::new(no_tls, Script::default()).await;
        let mut entry = server(DOMAIN, 1, 0, "r0m30");
        entry.plaintext = Plaintext::Allow;
        two.registry.put(entry).await.unwrap();
        let mut memory = ServerMemory::default();
        memory.tls = had_tls;
        let note = Note::from(memory.encode().as_bytes().to_vec());
        let account = jid(DOMAIN);
        two.registry
            .learn(&account, "login", Some(note))
            .await
            .unwrap();
        assert_eq!(visit(&two.factory()).await, expected);
    }
}

/// A registry whose disk fails while told so.
#[derive(Debug)]
struct Broken {
    inner: Arc<MemoryRegistry>,
    fails: AtomicBool,
    hangs: AtomicBool,
}

impl Broken {
    async fn check(&self) -> Result<(), RegistryError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(RegistryError::Storage("I/O error".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl ServerRegistry for Broken {
    async fn servers(&self) -> Result<Vec<Server>, RegistryError> {
        self.check().await?;
        self.inner.servers().await
    }
    async fn put(&self, server: Server) -> Result<(), RegistryError> {
        self.check().await?;
        self.inner.put(server).await
    }
    async fn remove(&self, account: &BareJid) -> Result<bool, RegistryError> {
        self.check().await?;
        self.inner.remove(account).await
    }
    async fn health(
        &self,
        account: &BareJid,
    ) -> Result<Vec<(Endpoint, EndpointHealth)>, RegistryError> {
        self.check().await?;
        self.inner.health(account).await
    }
    async fn note_health(
        &self,
        account: &BareJid,
        health: Vec<(Endpoint, EndpointHealth)>,
    ) -> Result<(), RegistryError> {
        self.check().await?;
        self.inner.note_health(account, health).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_fails_or_hangs_costs_memory_and_not_the_connection() {
    let two = Two::well().await;
    let broken = Arc::new(Broken {
        inner: Arc::clone(&two.registry),
        fails: AtomicBool::new(true),
        hangs: AtomicBool::new(false),
    });
    let factory = two.factory_over(Arc::clone(&broken) as _);
    // Nothing was ever read: there is nobody to connect to, yet.
    let error = factory.connect(None).await.unwrap_err();
    assert!(matches!(error, ConnectError::Registry(_)));
    assert_eq!(error.retry(), Retry::Later);
    broken.fails.store(false, Ordering::SeqCst);
    assert_eq!(visit(&factory).await, DOMAIN);
    broken.fails.store(true, Ordering::SeqCst);
    assert_eq!(visit(&factory).await, DOMAIN);
    broken.hangs.store(true, Ordering::SeqCst);
    let begin = Instant::now();
    assert_eq!(visit(&factory).await, DOMAIN);
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn an_empty_registry_is_told_so_and_a_removed_server_is_not_used() {
    let two = Two::well().await;
    let factory = two.factory();
    assert_eq!(visit(&factory).await, DOMAIN);
    two.registry.remove(&jid(DOMAIN)).await.unwrap();
    assert_eq!(visit(&factory).await, SECOND);
    two.registry.remove(&jid(SECOND)).await.unwrap();
    let error = factory.connect(None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Misuse);
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_entry_cannot_be_used_does_not_stop_the_others() {
    let two = Two::well().await;
    let mut odd = server(DOMAIN, 1, 0, "r0m30");
    odd.endpoints = Endpoints::Explicit(Vec::new());
    two.registry.put(odd).await.unwrap();
    assert_eq!(visit(&two.factory()).await, SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_primary_does_not_use_up_the_time_of_the_second() {
    let mut world = Two::well().await;
    for port in 10..40 {
        world.world.add(port, TlsMode::StartTls, absent());
    }
    let mut slow = server(DOMAIN, 1, 0, "r0m30");
    let all = (10..40).map(|port| endpoint(port, TlsMode::StartTls));
    slow.endpoints = Endpoints::Explicit(all.collect());
    world.registry.put(slow).await.unwrap();
    let begin = Instant::now();
    assert_eq!(visit(&world.factory()).await, SECOND);
    assert!(begin.elapsed() <= Duration::from_secs(21));
}

/// Refuses all connections until told otherwise.
struct Gate {
    dial: MemoryDial,
    open: Arc<AtomicBool>,
}

#[async_trait]
impl Dial for Gate {
    async fn dial(&self, at: &Endpoint, domain: &str) -> Result<BoxTransport, DialError> {
        if self.open.load(Ordering::SeqCst) {
            return self.dial.dial(at, domain).await;
        }
        Err(DialError::Unreachable {
            endpoint: at.to_string(),
            source: std::io::ErrorKind::ConnectionRefused.into(),
        })
    }
    async fn direct(
        &self,
        pipe: BoxTransport,
        at: &Endpoint,
        domain: &str,
    ) -> Result<BoxTransport, DialError> {
        self.dial.direct(pipe, at, domain).await
    }
    async fn upgrade(&self, pipe: BoxTransport, domain: &str) -> Result<BoxTransport, DialError> {
        self.dial.upgrade(pipe, domain).await
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_until_the_time_is_over_and_each_pause_is_told() {
    let two = Two::well().await;
    let open = Arc::new(AtomicBool::new(false));
    let gate = Gate {
        dial: two.world.dial.clone(),
        open: Arc::clone(&open),
    };
    let (observer, mut notices) = notice::stream();
    let factory = two.factory().with_dial(Arc::new(gate));
    let persistent = Persistent::new(Arc::new(factory), Duration::from_secs(120))
        .with_entropy(Arc::new(SeededEntropy::new(5)))
        .with_observer(observer);
    let begin = Instant::now();
    let error = persistent.connect(None).await.unwrap_err();
    assert!(begin.elapsed() <= Duration::from_secs(120));
    let ConnectError::GaveUp {
        rounds,
        last: Some(last),
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    // Where nobody listens the pauses grow to 4 s, and are half of that at least.
    assert!((20..=RESTARTING + 4).contains(rounds), "{rounds}");
    let text = last.to_string();
    for part in [
        "juliet@example.org",
        "127.0.0.1:1",
        SECOND,
        "nothing listens",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!((error.kind(), error.retry()), (Kind::Network, Retry::Later));
    let mut waits = 0;
    while let Ok(notice) = notices.try_recv() {
        if let Notice::Waiting { wait, rounds, why } = notice {
            waits += 1;
            assert_eq!(rounds, waits);
            assert!(wait < Duration::from_secs(60) && why.contains(SECOND));
        }
    }
    assert_eq!(waits, rounds - 1);

    // The servers come back in the middle.
    let connecting = persistent.connect(None);
    let healing = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        open.store(true, Ordering::SeqCst);
    };
    let (connection, ()) = tokio::join!(connecting, healing);
    assert!(connection.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_notices_learns_of_each_step() {
    let two = Two::new(absent(), Script::default()).await;
    let (observer, mut notices) = notice::stream();
    let factory = two.factory().with_observer(observer);
    assert_eq!(visit(&factory).await, SECOND);
    let seen = Mutex::new(Vec::new());
    while let Ok(notice) = notices.try_recv() {
        let word = match notice {
            Notice::Server(account) => format!("server {}", account.domain()),
            Notice::Failed { phase, kind, .. } => format!("failed {phase} {kind:?}"),
            Notice::ServerFailed { account, .. } => format!("gave up {}", account.domain()),
            Notice::Secured(at) => format!("secured {}", at.port),
            Notice::Established { jid, .. } => format!("session {}", jid.domain()),
            _ => continue,
        };
        seen.lock().unwrap().push(word);
    }
    assert_eq!(
        seen.into_inner().unwrap(),
        [
            "server example.org",
            "failed stream header and features Network",
            "gave up example.org",
            "server second.example",
            "secured 2",
            "session second.example"
        ]
    );
}
