//! Laws of the server registry on disk: it keeps what it was given, behaves as the one
//! in memory, is for its owner only, and lives beside a store.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first error"
)]

mod store;

use std::error::Error as _;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use rusqlite::Connection;
use secrecy::ExposeSecret as _;
use stanchion_connect::Endpoint;
use stanchion_connect::config::{Account, Endpoints, Plaintext};
use stanchion_connect::registry::{
    EndpointHealth, MAX_ENDPOINTS, MAX_NOTE, MAX_NOTES, MAX_SERVERS, MemoryRegistry, Note,
    RegistryError, Server, ServerRegistry, read_place,
};
use stanchion_reliability::registry::{RegistryFault, SqliteRegistry};
use stanchion_reliability::store::{Op, OpResult, SqliteStore, Store, StoreError};
use stanchion_sasl::Credentials;
use stanchion_sasl::mechanism::Mechanism;
use stanchion_sasl::policy::ChannelBindingPolicy;
use stanchion_stanza::{BareJid, Text};
use stanchion_transport::security::TlsVersion;
use stanchion_transport::tls::{Identity, Roots};
use store::{commit, opening, outbound};

const ACCOUNTS: [&str; 4] = [
    "a@a.example",
    "b@a.example",
    "a@b.example",
    "anonymous.example",
];
const PLACES: [&str; 4] = [
    "a.example:5222",
    "xmpps://a.example:443",
    "192.0.2.1:5222",
    "plain://[2001:db8::1]:1",
];

fn server(account: &str) -> Server {
    Server::new(Account::with_password(account.parse().unwrap(), "hunter2"))
}

fn jid(account: &str) -> BareJid {
    account.parse().unwrap()
}

async fn open(path: &Path) -> SqliteRegistry {
    SqliteRegistry::open(path).await.unwrap()
}

#[track_caller]
fn fault(error: &RegistryError) -> &RegistryFault {
    error.source().unwrap().downcast_ref().unwrap()
}

/// All of a server, secrets included.
fn all_of(server: &Server) -> String {
    let mut text = format!("{server:?}");
    if let Credentials::Password { password, .. } = &server.account.credentials {
        let _ = write!(text, " {:?}", password.expose_secret());
    }
    if let Some(identity) = &server.tls.client_certificate {
        let chain: Vec<&[u8]> = identity.chain().collect();
        let _ = write!(text, " {chain:?} {:?}", identity.private_key());
    }
    text
}

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["lamp.example".to_owned()]).unwrap();
    let der = made.cert.der().to_vec();
    // Twice: a chain, as far as keeping it goes.
    Identity::from_der(vec![der.clone(), der], &made.signing_key.serialize_der()).unwrap()
});

fn any_server() -> impl Strategy<Value = Server> {
    let credentials = prop_oneof![
        4 => (any::<String>(), any::<String>(), any::<Option<String>>()).prop_map(
            |(authcid, password, authzid)| Credentials::Password {
                authcid, password: password.into(), authzid
            }
        ),
        1 => any::<Option<String>>().prop_map(|authzid| Credentials::Certificate { authzid }),
        1 => Just(Credentials::Anonymous),
    ];
    let resource = proptest::option::of("[a-zé/ ]{0,8}")
        .prop_map(|text| text.map(|text| Text::new(text).unwrap()));
    let account =
        (0..ACCOUNTS.len(), resource, credentials).prop_map(|(n, resource, credentials)| Account {
            jid: jid(ACCOUNTS[n]),
            resource,
            credentials,
        });
    let endpoints = proptest::option::of(proptest::collection::vec(any_place(), 0..5))
        .prop_map(|places| places.map_or(Endpoints::Discover, Endpoints::Explicit));
    let root = prop_oneof![
        Just(Roots::WebPki),
        Just(Roots::Native),
        "/[a-zé ]{1,9}".prop_map(|path| Roots::PemFile(path.into())),
        any::<Vec<u8>>().prop_map(Roots::Pem),
    ];
    let tls = (
        proptest::collection::vec(root, 0..4),
        any::<Option<[u8; 32]>>(),
        any::<bool>(),
        any::<bool>(),
    );
    let sasl = (
        0..3usize,
        proptest::sample::select(Mechanism::STRONGEST_FIRST.to_vec()),
        any::<[bool; 3]>(),
        any::<(u32, u32, u32)>(),
    );
    (account, endpoints, tls, sasl, any::<u16>()).prop_map(
        |(account, endpoints, tls, sasl, priority)| {
            let mut server = Server {
                endpoints,
                priority,
                ..Server::new(account)
            };
            server.tls.roots = tls.0;
            server.tls.pin = tls.1.map(Into::into);
            server.tls.client_certificate = tls.2.then(|| IDENTITY.clone());
            server.tls.min_version = if tls.3 {
                TlsVersion::Tls13
            } else {
                TlsVersion::Tls12
            };
            server.sasl.channel_binding = [
                ChannelBindingPolicy::Prefer,
                ChannelBindingPolicy::Require,
                ChannelBindingPolicy::Never,
            ][sasl.0];
            server.sasl.minimum = sasl.1;
            let bare;
            [
                server.sasl.allow_plain_without_tls,
                server.sasl.prefer_external,
                bare,
            ] = sasl.2;
            server.plaintext = if bare {
                Plaintext::Allow
            } else {
                Plaintext::Refuse
            };
            server.sasl.scram.min_iterations = sasl.3.0;
            server.sasl.scram.max_iterations = sasl.3.1;
            server.sasl.scram.max_salt = sasl.3.2 as usize;
            server
        },
    )
}

fn any_place() -> impl Strategy<Value = Endpoint> {
    (0..PLACES.len()).prop_map(|n| read_place(PLACES[n]).unwrap())
}

fn any_health() -> impl Strategy<Value = EndpointHealth> {
    // To the millisecond, also before the epoch.
    let time = || {
        proptest::option::of(-4_000_000_000_000..4_000_000_000_000i64).prop_map(|ms| {
            ms.map(|ms| {
                let distance = Duration::from_millis(ms.unsigned_abs());
                if ms < 0 {
                    SystemTime::UNIX_EPOCH - distance
                } else {
                    SystemTime::UNIX_EPOCH + distance
                }
            })
        })
    };
    let latency = proptest::option::of((0..u64::from(u32::MAX)).prop_map(Duration::from_micros));
    (any::<u32>(), time(), time(), time(), latency).prop_map(
        |(failures, failed_at, succeeded_at, open_until, latency)| EndpointHealth {
            failures,
            failed_at,
            succeeded_at,
            open_until,
            latency,
            ..EndpointHealth::default()
        },
    )
}

/// A call, or a new start of the process.
#[derive(Debug, Clone)]
enum Step {
    Put(Box<Server>),
    Remove(usize),
    Note(usize, Vec<(Endpoint, EndpointHealth)>),
    Learn(usize, String, Option<Vec<u8>>),
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    let which = || 0..ACCOUNTS.len();
    prop_oneof![
        4 => any_server().prop_map(|s| Step::Put(Box::new(s))),
        1 => which().prop_map(Step::Remove),
        3 => (which(), proptest::collection::vec((any_place(), any_health()), 0..5))
            .prop_map(|(n, health)| Step::Note(n, health)),
        3 => (which(), "[ab]{0,1}", any::<Option<Vec<u8>>>())
            .prop_map(|(n, key, value)| Step::Learn(n, key, value)),
        1 => Just(Step::Reopen),
    ]
}

/// What a caller can see of a registry.
async fn view(registry: &dyn ServerRegistry) -> String {
    let mut text = String::new();
    for server in registry.servers().await.unwrap() {
        let _ = writeln!(text, "{}", all_of(&server));
    }
    for account in ACCOUNTS.map(jid) {
        let _ = writeln!(text, "{:?}", registry.health(&account).await.unwrap());
        for key in ["", "a", "b"] {
            let note = registry.recall(&account, key).await.unwrap();
            let _ = writeln!(text, "{:?}", note.map(|n| n.expose_secret().to_vec()));
        }
    }
    text
}

async fn apply(registry: &dyn ServerRegistry, step: &Step) -> String {
    match step.clone() {
        Step::Put(server) => format!("{:?}", registry.put(*server).await),
        Step::Remove(n) => format!("{:?}", registry.remove(&jid(ACCOUNTS[n])).await),
        Step::Note(n, health) => {
            format!(
                "{:?}",
                registry.note_health(&jid(ACCOUNTS[n]), health).await
            )
        }
        Step::Learn(n, key, value) => {
            let value = value.map(Note::from);
            format!("{:?}", registry.learn(&jid(ACCOUNTS[n]), &key, value).await)
        }
        Step::Reopen => String::new(),
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_server_comes_back_as_it_was_given(server in any_server()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.sqlite");
        let kept = block_on(async {
            open(&path).await.put(server.clone()).await.unwrap();
            open(&path).await.servers().await.unwrap()
        });
        prop_assert_eq!(kept.len(), 1);
        prop_assert_eq!(all_of(&kept[0]), all_of(&server));
    }

    #[test]
    fn on_disk_and_in_memory_a_history_looks_the_same(
        steps in proptest::collection::vec(any_step(), 1..16)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.sqlite");
        block_on(async {
            let memory = MemoryRegistry::new();
            let mut disk = open(&path).await;
            for step in &steps {
                let (told, expected) = (apply(&disk, step).await, apply(&memory, step).await);
                prop_assert_eq!(told, expected);
                if let Step::Reopen = step {
                    disk = open(&path).await;
                }
                prop_assert_eq!(view(&disk).await, view(&memory).await);
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn the_bounds_are_those_of_the_one_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder.path().join("r.sqlite")).await;
    let memory = MemoryRegistry::new();
    for registry in [&disk as &dyn ServerRegistry, &memory] {
        for n in 0..MAX_SERVERS {
            registry
                .put(server(&format!("a@{n}.example")))
                .await
                .unwrap();
        }
        let one_more = registry.put(server("a@a.example")).await;
        assert!(matches!(one_more, Err(RegistryError::Full)));
        registry.put(server("a@0.example")).await.unwrap();

        let account = jid("a@0.example");
        let health = |n: usize| {
            let place = read_place(&format!("192.0.2.1:{}", n + 1)).unwrap();
            (
                place,
                EndpointHealth {
                    failures: n as u32,
                    ..EndpointHealth::default()
                },
            )
        };
        for n in 0..MAX_ENDPOINTS + 2 {
            registry
                .note_health(&account, vec![health(n)])
                .await
                .unwrap();
        }
        let kept = registry.health(&account).await.unwrap();
        let expected: Vec<_> = (2..MAX_ENDPOINTS + 2).map(health).collect();
        assert_eq!(kept, expected);

        let note = |bytes| Some(Note::from(vec![7; bytes]));
        for n in 0..MAX_NOTES {
            registry
                .learn(&account, &format!("{n}"), note(MAX_NOTE))
                .await
                .unwrap();
        }
        for (key, bytes) in [("one more", 1), ("0", MAX_NOTE + 1), ("", 1)] {
            let refused = registry.learn(&account, key, note(bytes)).await;
            assert!(
                matches!(refused, Err(RegistryError::NotKept { .. })),
                "{key}"
            );
        }
        assert!(
            registry
                .recall(&account, "one more")
                .await
                .unwrap()
                .is_none()
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_others_can_read_is_refused_and_told_what_to_do() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.sqlite");
    let registry = open(&path).await;
    registry.put(server("a@a.example")).await.unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    drop(registry);
    for mode in [0o640, 0o604, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = SqliteRegistry::open(&path).await.unwrap_err();
        assert!(matches!(fault(&error), RegistryFault::Readable { .. }));
        assert!(fault(&error).to_string().contains("chmod 600"));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(open(&path).await.servers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_registry_can_be_used_while_a_store_lives_on_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let live = SqliteStore::open(&path, &opening()).unwrap();
    let (one, other) = (open(&path).await, open(&path).await);
    let messages = async {
        for n in 1..=50 {
            let put = Op::PutOutbound(outbound(n, &format!("m{n}")));
            assert_eq!(commit(&live, vec![put]).await, [OpResult::Done]);
        }
    };
    let servers = async {
        for n in 0..25 {
            one.put(server(&format!("a@{n}.example"))).await.unwrap();
            other.put(server(&format!("b@{n}.example"))).await.unwrap();
        }
    };
    tokio::join!(messages, servers);
    assert_eq!(one.servers().await.unwrap().len(), 50);
    // The store still has its one owner.
    assert!(matches!(
        SqliteStore::open(&path, &opening()),
        Err(StoreError::InUse { .. })
    ));
    Box::new(live).close().await.unwrap();
    let again = SqliteStore::open(&path, &opening()).unwrap();
    assert_eq!(again.counts().await.unwrap().accepted, 50);
    assert_eq!(open(&path).await.servers().await.unwrap().len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_file_may_be_opened_by_many_at_once() {
    for _ in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sqlite");
        let mut all = tokio::task::JoinSet::new();
        for n in 0..8 {
            let path = path.clone();
            all.spawn(async move {
                let registry = open(&path).await;
                registry
                    .put(server(&format!("a@{n}.example")))
                    .await
                    .unwrap();
            });
        }
        let store = tokio::task::spawn_blocking({
            let path = path.clone();
            move || SqliteStore::open(path, &opening()).map(drop)
        });
        store.await.unwrap().unwrap();
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
        assert_eq!(open(&path).await.servers().await.unwrap().len(), 8);
    }
}

#[tokio::test]
async fn what_was_removed_is_nowhere_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.sqlite");
    let found = |secret: &str| {
        fs::read_dir(folder.path()).unwrap().any(|entry| {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(secret.len()).any(|w| w == secret.as_bytes())
        })
    };
    let registry = open(&path).await;
    registry.put(server("a@a.example")).await.unwrap();
    let token = Note::from(b"token-of-login".to_vec());
    registry
        .learn(&jid("a@a.example"), "token", Some(token))
        .await
        .unwrap();
    drop(registry);
    assert!(found("hunter2") && found("token-of-login"));
    let registry = open(&path).await;
    registry.remove(&jid("a@a.example")).await.unwrap();
    drop(registry);
    assert!(!found("hunter2") && !found("token-of-login"));
}

#[tokio::test]
async fn a_secret_never_shows_in_debug_output() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder.path().join("r.sqlite")).await;
    registry.put(server("a@a.example")).await.unwrap();
    let servers = registry.servers().await.unwrap();
    assert!(!format!("{registry:?} {servers:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(
        &text,
        "not a database, but more than the header of one ".repeat(9),
    )
    .unwrap();
    let foreign = folder.path().join("f.sqlite");
    let other = Connection::open(&foreign).unwrap();
    other
        .execute_batch("CREATE TABLE servers (account TEXT)")
        .unwrap();
    other.close().unwrap();
    for path in [text, foreign] {
        private(&path);
        let before = fs::read(&path).unwrap();
        let error = SqliteRegistry::open(&path).await.unwrap_err();
        assert!(
            matches!(
                fault(&error),
                RegistryFault::Store(StoreError::NotAStore { .. })
            ),
            "{error:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    let nowhere = folder.path().join("no/r.sqlite");
    let error = SqliteRegistry::open(&nowhere).await.unwrap_err();
    assert!(
        matches!(fault(&error), RegistryFault::Io { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_damaged_file_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.sqlite");
    let registry = open(&path).await;
    for n in 0..MAX_SERVERS {
        registry
            .put(server(&format!("a@{n}.example")))
            .await
            .unwrap();
    }
    drop(registry);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    for byte in bytes.iter_mut().skip(4096) {
        *byte ^= 0x5a;
    }
    assert!(middle > 4096);
    fs::write(&path, bytes).unwrap();
    let error = SqliteRegistry::open(&path).await.unwrap_err();
    assert!(
        matches!(fault(&error), RegistryFault::Damaged { .. }),
        "{error:?}"
    );
}

fn private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = path;
}
