//! The servers that `STANCHION_TEST_SERVERS` names, accounts of our own at them, and
//! devices on these.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use stanchion_connect::{Account, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_reliability::Session;
use stanchion_reliability::session::{SessionConfig, Status};
use stanchion_reliability::store::{Opening, Seed, SqliteStore, Transactor, WallTime};
use stanchion_services::{Host, HostBuilder, Incoming};
use stanchion_transport::TlsMode;
use stanchion_transport::tls::Roots;

use crate::soon;

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

    pub(crate) fn both(test: &str) -> [Self; 2] {
        [Self::named("prosody", test), Self::named("ejabberd", test)]
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

    /// The account of that name, of this test alone; its password is its name.
    pub(crate) fn add(&self, name: &str) -> String {
        let user = format!("{}{name}", self.test);
        let output = Command::new(given("STANCHION_XTASK"))
            .args(["servers", "adduser", &user, &user])
            .args(["--dir", self.about["dir"].as_str().unwrap()])
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{user}: {complaint}");
        user
    }

    fn connector(&self, user: &str) -> Connector {
        let mut config = ConnectConfig::default();
        config.tls.roots = vec![Roots::Pem(std::fs::read(self.ca()).unwrap())];
        let address = ([127, 0, 0, 1], self.port("starttls")).into();
        let endpoint = Endpoint::at(address, TlsMode::StartTls);
        config.endpoints = Endpoints::Explicit(vec![endpoint]);
        let jid = format!("{user}@{}", self.domain()).parse().unwrap();
        Connector::new(Account::with_password(jid, user), config).unwrap()
    }
}

/// One of our sessions at a real server.
pub(crate) struct Device {
    pub(crate) session: Session,
    pub(crate) host: Host,
    pub(crate) incoming: Incoming,
    pub(crate) store: Transactor,
    _folder: tempfile::TempDir,
}

impl Device {
    /// Adds an account and connects.
    pub(crate) async fn start(server: &Real, name: &str, services: HostBuilder) -> Self {
        let user = server.add(name);
        Self::login(server, &user, services).await
    }

    /// Connects as an account that [`Real::add`] gave.
    pub(crate) async fn login(server: &Real, user: &str, services: HostBuilder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opening = Opening::new(Seed::from_os().unwrap(), WallTime::from_unix_ms(0));
        let store = SqliteStore::open(folder.path().join("store"), &opening).unwrap();
        let transactor = store.transactor().unwrap();
        let connect = Arc::new(server.connector(user));
        let (session, receiver, stanzas) =
            Session::start_with_stanzas(connect, Box::new(store), SessionConfig::default())
                .await
                .unwrap();
        let sender = session.sender();
        let store = transactor.clone();
        let started = services.start(sender, receiver, stanzas, transactor).await;
        let (host, incoming) = started.unwrap();
        let mut status = session.status();
        let up = status.wait_for(|s| matches!(s, Status::Connected { .. }));
        soon(up).await.unwrap();
        Self {
            session,
            host,
            incoming,
            store,
            _folder: folder,
        }
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
}
