//! One case: which servers there are, what they do, what the client is given, and what
//! has to come of it. Plain data, and how it is run.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stanchion_connect::{
    Account, ConnectConfig, Connector, Endpoint, Endpoints, Kind, Phase, ResumeToken, Retry,
};
use stanchion_stanza::Text;
use stanchion_transport::TlsPolicy;
use stanchion_transport::tls::Roots;

use crate::name_server::{NameServer, Zone};
use crate::outcome::{Expected, Outcome, Time, watch, without_chance};
use crate::script::{Running, Server};
use crate::scripted::DOMAIN;
use crate::table::{self, Row};

/// How long the phase lasts in which a case hangs.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// What is said of something that is no XMPP server.
pub(crate) const NOT_XMPP: (Kind, Retry) = (Kind::Network, Retry::AfterUser);

/// A case.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    servers: Vec<Server>,
    zone: Option<Zone>,
    password: &'static str,
    resource: Option<&'static str>,
    resumes: bool,
    impatient: Option<Phase>,
    tune: fn(&mut ConnectConfig),
    visits: Option<&'static [usize]>,
    heals: bool,
    expected: Expected,
}

impl Case {
    fn new(servers: Vec<Server>, outcome: Outcome, phases: &'static [Phase]) -> Self {
        Self {
            servers,
            zone: None,
            password: "r0m30",
            resource: None,
            resumes: false,
            impatient: None,
            tune: |_| {},
            visits: None,
            heals: false,
            expected: Expected {
                outcome,
                phases,
                time: Time::AtOnce,
                says: &[],
            },
        }
    }

    /// The domain's servers are looked up.
    pub(crate) fn asking(self, zone: Zone) -> Self {
        Self {
            zone: Some(zone),
            ..self
        }
    }

    pub(crate) fn with_password(self, password: &'static str) -> Self {
        Self { password, ..self }
    }

    /// Wishes for a resource.
    pub(crate) fn wishing(self, resource: &'static str) -> Self {
        Self {
            resource: Some(resource),
            ..self
        }
    }

    /// There is a session to resume.
    pub(crate) fn resuming(self) -> Self {
        Self {
            resumes: true,
            ..self
        }
    }

    /// The case hangs in this phase, so many times: it gets 1 s each time.
    pub(crate) fn hanging(mut self, phase: Phase, times: u32) -> Self {
        self.impatient = Some(phase);
        self.expected.time = Time::After(IMPATIENCE * times);
        self
    }

    pub(crate) fn tuned(self, tune: fn(&mut ConnectConfig)) -> Self {
        Self { tune, ..self }
    }

    /// How many connections each server sees.
    pub(crate) fn visiting(self, visits: &'static [usize]) -> Self {
        Self {
            visits: Some(visits),
            ..self
        }
    }

    /// The name server recovers, and the same connector then finds its way.
    pub(crate) fn healing(self) -> Self {
        Self {
            heals: true,
            ..self
        }
    }

    /// What the user has to be told.
    pub(crate) fn says(mut self, says: &'static [&'static str]) -> Self {
        self.expected.says = says;
        self
    }

    /// Runs it, and panics where it is not as expected.
    pub(crate) async fn run(&self, family: &'static str, name: &str) -> Row {
        let running = Running::start(&self.servers).await;
        let mut config = ConnectConfig {
            tls: TlsPolicy::with_roots(vec![Roots::Pem(running.world.roots.clone())]),
            ..ConnectConfig::default()
        };
        if self.zone.is_none() {
            let listed = self.servers.iter().zip(&running.addresses);
            let listed = listed.filter(|(server, _)| server.listed);
            let endpoint = |(s, a): (&Server, &SocketAddr)| match s.web {
                true => format!("ws://{a}/xmpp").parse().unwrap(),
                false => Endpoint::at(*a, s.mode),
            };
            config.endpoints = Endpoints::Explicit(listed.map(endpoint).collect());
        }
        let timeouts = &mut config.timeouts;
        match self.impatient {
            Some(Phase::Resolve) => timeouts.resolve = IMPATIENCE,
            Some(Phase::Tcp) => timeouts.tcp = IMPATIENCE,
            Some(Phase::Tls) => timeouts.tls = IMPATIENCE,
            Some(Phase::Stream | Phase::StartTls) => timeouts.stream = IMPATIENCE,
            Some(Phase::Authentication) => timeouts.sasl = IMPATIENCE,
            Some(Phase::Resumption) => timeouts.resume = IMPATIENCE,
            Some(_) => timeouts.bind = IMPATIENCE,
            None => {}
        }
        (self.tune)(&mut config);

        let jid = format!("juliet@{DOMAIN}").parse().unwrap();
        let mut account = Account::with_password(jid, self.password);
        account.resource = self.resource.map(Text::from_static);
        let resume = self.resumes.then(|| ResumeToken {
            jid: format!("juliet@{DOMAIN}/old").parse().unwrap(),
            id: Text::from_static("session"),
            h: 2,
            max_seconds: None,
            location: None,
        });
        let mut connector = Connector::new(account, config).unwrap();
        let mut name_server = None;
        if let Some(zone) = &self.zone {
            let server = NameServer::start(zone.clone(), running.addresses.clone()).await;
            connector = connector.with_resolver(Arc::new(server.resolver.clone()));
            name_server = Some(server);
        }

        let (mut seen, connector) = watch(connector, resume).await;
        seen.text = running
            .labels()
            .iter()
            .fold(without_chance(&seen.text), |text, (port, label)| {
                text.replace(port, label)
            });
        self.expected.check(name, &seen);
        if let Some(visits) = self.visits {
            assert_eq!(running.visits(), visits, "{name}: {}", seen.text);
        }
        if self.heals {
            name_server.as_ref().unwrap().heal();
            let (healed, _) = watch(connector, None).await;
            assert_eq!(healed.outcome, Outcome::Session, "{name}: {}", healed.text);
            seen.text.push_str(" – and, asked again, a session");
        }
        Row {
            family,
            name: name.to_owned(),
            expected: self.expected.clone(),
            seen,
        }
    }
}

/// A session comes of it, after attempts that failed in these phases.
pub(crate) fn session(servers: impl Into<Vec<Server>>, phases: &'static [Phase]) -> Case {
    Case::new(servers.into(), Outcome::Session, phases)
}

/// No session comes of it.
pub(crate) fn refused(
    servers: impl Into<Vec<Server>>,
    kind: Kind,
    retry: Retry,
    phases: &'static [Phase],
) -> Case {
    Case::new(servers.into(), Outcome::Refused(kind, retry), phases)
}

/// Runs one case as a test of its own.
pub(crate) fn test(family: &'static str, name: &str, case: &Case) {
    let row = block_on(case.run(family, name));
    table::compare(&row);
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// Makes each case a test, and `all` of them a list.
macro_rules! cases {
    ($family:literal, $($name:ident: $case:expr,)+) => {
        pub(crate) fn all() -> Vec<(&'static str, &'static str, $crate::case::Case)> {
            vec![$(($family, stringify!($name), $case)),+]
        }
        $(
            #[test]
            fn $name() {
                $crate::case::test($family, stringify!($name), &$case);
            }
        )+
    };
}
pub(crate) use cases;
