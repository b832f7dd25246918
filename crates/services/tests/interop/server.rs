//! The servers that `STANCHION_TEST_SERVERS` names, accounts of our own at them, and
//! devices on these.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stanchion_connect::component::{ComponentConfig, ComponentConnector};
use stanchion_connect::{Account, Connect, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_reliability::Session;
use stanchion_reliability::session::{SessionConfig, Status};
use stanchion_reliability::store::{Opening, Seed, SqliteStore, StoreError, Transactor, WallTime};
use stanchion_services::{Host, HostBuilder, Incoming};
use stanchion_transport::TlsMode;
use stanchion_transport::tls::Roots;

use crate::soon;

fn xtask(words: &[&str]) -> Command {
    let mut command = Command::new(given("STANCHION_XTASK"));
    command.args(words);
    command
}

/// A real server, and a name that no other test has.
#[derive(Debug, Clone)]
pub(crate) struct Real {
    about: Value,
    test: String,
}

fn given(name: &str) -> PathBuf {
    std::env::var_os(name)
        .expect("run `cargo xtask test --only interop`")
        .into()
}

impl Real {
    /// `kind` is `prosody` or `ejabberd`; `test` makes the accounts unique.
    pub(crate) fn named(kind: &str, test: &str) -> Self {
        let text = std::fs::read_to_string(given("STANCHION_TEST_SERVERS")).unwrap();
        let mut all: Value = serde_json::from_str(&text).unwrap();
        let run = std::process::id();
        Self {
            about: all[kind].take(),
            test: format!("{test}-{run}-"),
        }
    }

    /// Prosody and ejabberd, or the one that `STANCHION_TEST_SERVER` names.
    pub(crate) fn both(test: &str) -> Vec<Self> {
        let one = std::env::var("STANCHION_TEST_SERVER");
        let kinds = ["prosody", "ejabberd"].into_iter();
        let wanted = kinds.filter(|kind| one.as_ref().map_or(true, |one| one == kind));
        wanted.map(|kind| Self::named(kind, test)).collect()
    }

    pub(crate) fn is_ejabberd(&self) -> bool {
        self.about["kind"] == "ejabberd"
    }

    pub(crate) fn domain(&self) -> &str {
        self.about["domain"].as_str().unwrap()
    }

    pub(crate) fn port(&self, which: &str) -> u16 {
        u16::try_from(self.about["ports"][which].as_u64().unwrap()).unwrap()
    }

    pub(crate) fn ca(&self) -> &Path {
        Path::new(self.about["ca"].as_str().unwrap())
    }

    /// A name for an account that no other test has.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.test)
    }

    /// The account of that name, of this test alone; its password is its name.
    pub(crate) fn add(&self, name: &str) -> String {
        let user = self.name(name);
        let output = xtask(&["servers", "adduser", &user, &user])
            .args(["--dir", self.about["dir"].as_str().unwrap()])
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{user}: {complaint}");
        user
    }

    /// Whether that account is not let in.
    pub(crate) async fn refuses(&self, user: &str, password: &str) -> bool {
        let connector = self.connector_with(user, password);
        match soon(connector.connect(None)).await {
            Ok(_) => false,
            Err(error) => error.is_a_refusal(),
        }
    }

    /// How to attach as the component that the server was started with; `local` is empty,
    /// or a local part with its `@`.
    pub(crate) fn component(&self, local: &str) -> ComponentConnector {
        let (name, secret) = match self.about["options"]["component"]
            .as_array()
            .map(Vec::as_slice)
        {
            Some([name, secret]) => (name.as_str().unwrap(), secret.as_str().unwrap()),
            _ => panic!("start the servers with `--component cloud:SECRET`"),
        };
        let place = Endpoint::at(
            ([127, 0, 0, 1], self.port("component")).into(),
            TlsMode::None,
        );
        let address = format!("{local}{name}.{}", self.domain()).parse().unwrap();
        let config = ComponentConfig::at(place);
        ComponentConnector::new(address, secret.into(), config).unwrap()
    }

    /// A server of this test's own, in that folder, with the component `cloud`.
    pub(crate) fn start_own(kind: &str, folder: &Path) -> Self {
        let domain = format!("own-{kind}.test");
        let text = xtask(&["servers", "start", kind, "--json", "--component", "cloud:s"])
            .args(["--domain", &domain, "--dir"])
            .arg(folder)
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&text.stderr);
        assert!(text.status.success(), "{kind}: {complaint}");
        Self {
            about: serde_json::from_slice(&text.stdout).unwrap(),
            test: String::new(),
        }
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&self) {
        let dir = self.about["dir"].as_str().unwrap();
        let killed = xtask(&["servers", "kill", "--dir", dir]).output().unwrap();
        assert!(killed.status.success());
    }

    /// Ends it if it runs.
    pub(crate) fn end(&self) {
        let dir = self.about["dir"].as_str().unwrap();
        let _ = xtask(&["servers", "kill", "--dir", dir]).output();
    }

    /// Starts it again after that.
    pub(crate) fn start_again(&self) {
        let dir = self.about["dir"].as_str().unwrap();
        let started = xtask(&["servers", "start", "--dir", dir]).output().unwrap();
        let complaint = String::from_utf8_lossy(&started.stderr);
        assert!(started.status.success(), "{complaint}");
    }

    pub(crate) fn connector(&self, user: &str) -> Connector {
        self.connector_with(user, user)
    }

    fn connector_with(&self, user: &str, password: &str) -> Connector {
        let mut config = ConnectConfig::default();
        config.tls.roots = vec![Roots::Pem(std::fs::read(self.ca()).unwrap())];
        let address = ([127, 0, 0, 1], self.port("starttls")).into();
        let endpoint = Endpoint::at(address, TlsMode::StartTls);
        config.endpoints = Endpoints::Explicit(vec![endpoint]);
        let jid = format!("{user}@{}", self.domain()).parse().unwrap();
        Connector::new(Account::with_password(jid, password), config).unwrap()
    }
}

/// A server of one test's own, which may be killed.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) server: Real,
    folder: tempfile::TempDir,
}

impl Own {
    pub(crate) fn start(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let domain = format!("{kind}.test");
        let about = servers(
            &["start", kind, "--domain", &domain, "--json"],
            folder.path(),
        );
        let server = Real {
            about: serde_json::from_slice(&about).unwrap(),
            test: String::new(),
        };
        Self { server, folder }
    }

    /// Ends it at once, and starts it again where it was.
    pub(crate) fn crash(&self) {
        servers(&["kill"], self.folder.path());
        servers(&["start"], self.folder.path());
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        servers(&["stop"], self.folder.path());
    }
}

fn servers(words: &[&str], folder: &Path) -> Vec<u8> {
    let mut command = Command::new(given("STANCHION_XTASK"));
    let output = command.arg("servers").args(words).arg("--dir").arg(folder);
    let output = output.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {complaint}");
    output.stdout
}

/// One of our sessions at a real server.
pub(crate) struct Device {
    pub(crate) session: Session,
    pub(crate) host: Host,
    pub(crate) incoming: Incoming,
    pub(crate) transactor: Transactor,
    folder: Option<tempfile::TempDir>,
}

impl Device {
    /// Adds an account and connects.
    pub(crate) async fn start(server: &Real, name: &str, services: HostBuilder) -> Self {
        let user = server.add(name);
        Self::login(server, &user, services).await
    }

    /// Connects as an account that [`Real::add`] gave.
    pub(crate) async fn login(server: &Real, user: &str, services: HostBuilder) -> Self {
        Self::login_as(server, user, services, SessionConfig::default()).await
    }

    /// The same with that configuration.
    pub(crate) async fn login_as(
        server: &Real,
        user: &str,
        services: HostBuilder,
        config: SessionConfig,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::login_in(folder, server, user, services, config).await
    }

    /// As if its process were killed; gives what it leaves behind.
    pub(crate) fn kill(self) -> tempfile::TempDir {
        self.folder.expect("a folder of its own")
    }

    /// The next process, in what one left behind.
    pub(crate) async fn login_in(
        folder: tempfile::TempDir,
        server: &Real,
        user: &str,
        services: HostBuilder,
        config: SessionConfig,
    ) -> Self {
        let connect = Arc::new(server.connector(user));
        let path = folder.path().join("store");
        let mut device = Self::over(connect, config, &path, services).await;
        device.folder = Some(folder);
        device.connected().await;
        device
    }

    /// The same in the usual way.
    pub(crate) async fn again(
        server: &Real,
        user: &str,
        folder: tempfile::TempDir,
        services: HostBuilder,
    ) -> Self {
        let config = SessionConfig::default();
        Self::login_in(folder, server, user, services, config).await
    }

    /// The component that the server was started with.
    pub(crate) async fn component(
        server: &Real,
        local: &str,
        path: &Path,
        services: HostBuilder,
    ) -> Self {
        let connect = Arc::new(server.component(local));
        let mut config = SessionConfig::default();
        config.presence = None;
        config.backoff.cap = Duration::from_secs(2);
        config.engine.rto.max = Duration::from_secs(3);
        Self::over(connect, config, path, services).await
    }

    /// Over any connector, with a store there, and not yet connected.
    pub(crate) async fn over(
        connect: Arc<dyn Connect>,
        config: SessionConfig,
        path: &Path,
        services: HostBuilder,
    ) -> Self {
        let store = soon(opened(path)).await;
        let transactor = store.transactor().unwrap();
        let begun = Session::start_with_stanzas(connect, Box::new(store), config).await;
        let (session, receiver, stanzas) = begun.unwrap();
        let sender = session.sender();
        let started = services.start(sender, receiver, stanzas, transactor.clone());
        let (host, incoming) = started.await.unwrap();
        Self {
            session,
            host,
            incoming,
            transactor,
            folder: None,
        }
    }

    pub(crate) async fn connected(&self) {
        let mut status = self.session.status();
        let up = status.wait_for(|s| matches!(s, Status::Connected { .. }));
        soon(up).await.unwrap();
    }

    pub(crate) fn full(&self) -> stanchion_stanza::FullJid {
        match &*self.session.status().borrow() {
            Status::Connected { jid, .. } => jid.clone(),
            other => panic!("not connected: {other:?}"),
        }
    }

    pub(crate) fn jid(&self) -> stanchion_stanza::Jid {
        match &*self.session.status().borrow() {
            Status::Connected { jid, .. } => jid.clone().into(),
            other => panic!("not connected: {other:?}"),
        }
    }

    pub(crate) async fn stop(self) {
        self.host.shutdown().await;
        self.session.shutdown().await.unwrap();
    }

    /// The same, but its folder stays.
    pub(crate) async fn end(self) -> tempfile::TempDir {
        self.host.shutdown().await;
        self.session.shutdown().await.unwrap();
        self.folder.expect("a folder of its own")
    }

    /// Ends it as a crash would; its folder stays, and is nobody's when this resolves.
    pub(crate) async fn crash(self) -> tempfile::TempDir {
        let Self {
            session,
            host,
            incoming,
            folder,
            ..
        } = self;
        let folder = folder.expect("a folder of its own");
        drop((session, host, incoming));
        let free = async {
            let opening = Opening::new(Seed::from_os().unwrap(), WallTime::from_unix_ms(0));
            while SqliteStore::open(folder.path().join("store"), &opening).is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        soon(free).await;
        folder
    }
}

/// Opens a store. One that was dropped, as by a crash, is closed by its own thread a
/// moment later.
async fn opened(path: &Path) -> SqliteStore {
    loop {
        let opening = Opening::new(Seed::from_os().unwrap(), WallTime::from_unix_ms(0));
        match SqliteStore::open(path, &opening) {
            Ok(store) => return store,
            Err(StoreError::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}
