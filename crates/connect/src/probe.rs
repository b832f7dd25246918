//! Looking a domain's servers over, for people: what each offers at each step, how long
//! it takes, and how far it gets. Owns the collecting; the steps are those of every
//! other login.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stanchion_stanza::{
    FullJid,
    stream::{StreamFeatures, StreamHeader},
};
use stanchion_transport::traffic::Traffic;
use stanchion_transport::{Endpoint, Security};
use tokio::time::timeout;

use crate::connection::Timings;
use crate::connector::Connector;
use crate::error::ConnectError;
use crate::event::ConnectEvent;
use crate::negotiation::{FeatureStage, LoginReport, Report, SmSession};
use crate::phase::Phase;
use crate::resolve::discover::Candidate;
use crate::timeline::Timeline;

/// How many candidates to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// Up to the first that gives a session: what a login would see.
    #[default]
    UntilEstablished,
    /// All of them, logging in at each; but none after the account was refused.
    All,
}

/// What was found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Inspection {
    /// The hosts of the domain, in the order in which they are tried.
    pub candidates: Vec<Endpoint>,
    /// What DNS says of them, with priorities and weights; empty if it was not asked.
    pub discovered: Vec<Candidate>,
    /// Each address that was tried.
    pub servers: Vec<ServerReport>,
    /// Why there was nothing to try, if there was not.
    pub unresolved: Option<ConnectError>,
    /// What happened when.
    pub timeline: Timeline,
}

/// One address. What is empty was not reached.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServerReport {
    /// Where.
    pub endpoint: Endpoint,
    /// TLS version, cipher suite, how the certificate is trusted, its SHA-256, and the
    /// channel bindings of this side.
    pub security: Option<Security>,
    /// The server's stream headers, one for each stream.
    pub headers: Vec<StreamHeader>,
    /// What it offers at each stage: mechanisms and channel binding types before the
    /// login, the rest after it.
    pub features: Vec<(FeatureStage, StreamFeatures)>,
    /// How the login went.
    pub login: Option<LoginReport>,
    /// The address that the server gave.
    pub jid: Option<FullJid>,
    /// Stream management, if it could be enabled.
    pub stream_management: Option<SmSession>,
    /// Times that the login had to wait for the server, if it came to its end.
    pub round_trips: Option<u32>,
    /// What went over the wire up to the session, as the transport counted it:
    /// [`Traffic::turns`] are the round trips, TCP and TLS among them.
    pub traffic: Option<Traffic>,
    /// Each phase that was begun, in order.
    pub phases: Vec<Phase>,
    /// How long each phase took, if the login came to its end.
    pub timings: Timings,
    /// Another address was secured first, and the connection to this one was closed.
    pub overtaken: bool,
    /// How long the attempt took, if it failed.
    pub elapsed: Option<Duration>,
    /// What ended it, if it did not come to its end.
    pub error: Option<ConnectError>,
}

impl ServerReport {
    const fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            security: None,
            headers: Vec::new(),
            features: Vec::new(),
            login: None,
            jid: None,
            stream_management: None,
            round_trips: None,
            traffic: None,
            phases: Vec::new(),
            timings: Timings::new(),
            overtaken: false,
            elapsed: None,
            error: None,
        }
    }

    /// What the server offers at `stage`, if it was reached.
    #[must_use]
    pub fn features_at(&self, stage: FeatureStage) -> Option<&StreamFeatures> {
        let found = self.features.iter().find(|(s, _)| *s == stage);
        found.map(|(_, features)| features)
    }

    /// Whether a session was established.
    #[must_use]
    pub const fn is_established(&self) -> bool {
        self.error.is_none() && self.jid.is_some()
    }
}

impl Inspection {
    /// Whether a login at one of the servers works.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.servers.iter().any(ServerReport::is_established)
    }

    fn note(&mut self, event: &ConnectEvent<'_>) {
        self.timeline.note(event);
        match event {
            ConnectEvent::Discovered(all) => self.discovered = all.to_vec(),
            ConnectEvent::Candidates(all) => self.candidates = all.to_vec(),
            ConnectEvent::Phase(at, phase) => {
                // An address begins with TCP; a name that must be looked up is none yet.
                if *phase == Phase::Tcp {
                    // It runs again, because the login at the other one failed.
                    self.servers
                        .retain(|s| !(s.overtaken && s.endpoint == **at));
                    self.servers.push(ServerReport::new((*at).clone()));
                }
                if let Some(server) = self.server(at) {
                    server.phases.push(*phase);
                }
            }
            ConnectEvent::Secured(at, security) => {
                if let Some(server) = self.server(at) {
                    server.security = Some((*security).clone());
                }
            }
            ConnectEvent::Overtaken(at) => {
                if let Some(server) = self.server(at) {
                    server.overtaken = true;
                }
            }
            ConnectEvent::Login(at, report) => {
                if let Some(server) = self.server(at) {
                    server.note(report);
                }
            }
            ConnectEvent::Established(at, established, timings) => {
                if let Some(server) = self.server(at) {
                    server.jid = Some(established.jid.clone());
                    server.stream_management = established.stream_management.clone();
                    server.round_trips = Some(established.round_trips);
                    server.timings = (*timings).clone();
                }
            }
            _ => {}
        }
    }

    /// The report of an address that is being tried, the newest if it was tried before.
    fn server(&mut self, at: &Endpoint) -> Option<&mut ServerReport> {
        self.servers.iter_mut().rfind(|s| s.endpoint == *at)
    }
}

impl ServerReport {
    fn note(&mut self, report: &Report) {
        match report {
            Report::StreamOpened(header) => self.headers.push(header.clone()),
            Report::Features(stage, features) => self.features.push((*stage, features.clone())),
            Report::LoggedIn(login) => self.login = Some(login.clone()),
            Report::Bound(jid) => self.jid = Some(jid.clone()),
            _ => {}
        }
    }
}

/// Looks the servers of `connector`'s account over, and leaves no session behind. A
/// failed login is no error here: the report tells how far it got.
pub async fn inspect(connector: &Connector, scope: Scope) -> Inspection {
    let found = Mutex::new(Inspection::default());
    let observer = |event: &ConnectEvent<'_>| lock(&found).note(event);
    let limit = connector.config().timeouts.total;
    match connector.begin(None, &observer, limit).await {
        Err(error) => lock(&found).unresolved = Some(error),
        Ok(race) => {
            let mut race = match scope {
                Scope::UntilEstablished => race,
                Scope::All => race.one_after_the_other(),
            };
            while let Some(result) = race.next().await {
                match result {
                    Ok(mut connection) => {
                        if let Some(server) = lock(&found).server(&connection.endpoint) {
                            server.traffic = Some(connection.stream.traffic());
                        }
                        // Whether the server hears the farewell does not matter.
                        let limit = connector.config().timeouts.stream;
                        let _ = timeout(limit, connection.stream.close()).await;
                        if scope == Scope::UntilEstablished {
                            break;
                        }
                    }
                    Err(attempt) => {
                        let last = attempt.error.ends_the_walk();
                        let mut found = lock(&found);
                        if found.server(&attempt.endpoint).is_none() {
                            let server = ServerReport::new(attempt.endpoint.clone());
                            found.servers.push(server);
                        }
                        if let Some(server) = found.server(&attempt.endpoint) {
                            server.elapsed = Some(attempt.elapsed);
                            server.error = Some(attempt.error);
                        }
                        if last {
                            break;
                        }
                    }
                }
            }
        }
    }
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn lock(found: &Mutex<Inspection>) -> std::sync::MutexGuard<'_, Inspection> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}
