//! A client with things of others, over the session that a test says how to begin.

#![allow(dead_code, reason = "each test uses a part")]

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stanchion_connect::Connector;
use stanchion_device::remote;
use stanchion_device::remote::Things;
use stanchion_reliability::Session;
use stanchion_reliability::session::{SessionConfig, Status};
use stanchion_reliability::store::{Opening, Seed, SqliteStore, StoreError, WallTime};
use stanchion_services::{HostBuilder, Incoming, Standard, StandardConfig};
use stanchion_stanza::Jid;

pub(crate) struct Client {
    pub(crate) things: Things,
    pub(crate) services: Standard,
    pub(crate) session: Session,
    pub(crate) incoming: Incoming,
}

impl Client {
    /// Connects, with a store in that file.
    pub(crate) async fn start(connector: Connector, file: &Path) -> Self {
        Self::start_with(connector, file, |_| ()).await.0
    }

    /// The same, with more services.
    pub(crate) async fn start_with<T>(
        connector: Connector,
        file: &Path,
        add: impl FnOnce(&mut HostBuilder) -> T,
    ) -> (Self, T) {
        let opening = Opening::new(Seed::from_os().unwrap(), WallTime::from_unix_ms(0));
        // One that was dropped, as if killed, has it for a moment more.
        let store = loop {
            match SqliteStore::open(file, &opening) {
                Err(StoreError::InUse { .. }) => tokio::task::yield_now().await,
                store => break store.unwrap(),
            }
        };
        let transactor = store.transactor().unwrap();
        let mut config = SessionConfig::default();
        // The service for it announces it.
        config.presence = None;
        let (session, receiver, stanzas) =
            Session::start_with_stanzas(Arc::new(connector), Box::new(store), config)
                .await
                .unwrap();
        let sender = session.sender();
        let started = Standard::start_with(
            StandardConfig::default(),
            sender.clone(),
            receiver,
            stanzas,
            transactor,
            |builder| (remote::add(builder), add(builder)),
        );
        let (services, incoming, (added, more)) = started.await.unwrap();
        let things = added.start(&services, sender);
        let client = Self {
            things,
            services,
            session,
            incoming,
        };
        client.connected().await;
        (client, more)
    }

    pub(crate) async fn connected(&self) {
        let mut status = self.session.status();
        let up = status.wait_for(|s| matches!(s, Status::Connected { .. }));
        soon(up).await.unwrap();
    }

    pub(crate) fn jid(&self) -> Jid {
        match &*self.session.status().borrow() {
            Status::Connected { jid, .. } => jid.clone().into(),
            other => panic!("not connected: {other:?}"),
        }
    }

    pub(crate) async fn stop(self) {
        self.services.shutdown().await;
        self.session.shutdown().await.unwrap();
    }
}

/// What takes longer hangs.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, what).await.expect("in time")
}
