//! The same with real servers: what Prosody and ejabberd make a user read. Each has a
//! server of its own here, which is frozen, stopped, and given a certificate that is over.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use stanchion_connect::{
    Account, ConnectConfig, Connector, Endpoint, Endpoints, Kind, Phase, Retry,
};
use stanchion_transport::tls::Roots;
use stanchion_transport::{TlsMode, TlsPolicy};

use crate::outcome::{Expected, Outcome, Time, watch, without_chance};
use crate::table::{self, Row};

/// How long a frozen server is waited for.
const IMPATIENCE: Duration = Duration::from_secs(1);

const USER: &str = "sensor";
const PASSWORD: &str = "sensor-secret";

/// A server that nobody else uses. Killed, and its folder removed, when dropped.
struct Own(Value);

impl Own {
    fn start(kind: &str) -> Self {
        let user = format!("{USER}:{PASSWORD}");
        let started = xtask(&["start", kind, "--user", &user, "--json"]);
        Self(serde_json::from_slice(&started).unwrap())
    }

    fn dir(&self) -> &str {
        self.0["dir"].as_str().unwrap()
    }

    fn domain(&self) -> &str {
        self.0["domain"].as_str().unwrap()
    }

    /// Has something done to the server.
    fn is(&self, words: &[&str]) {
        xtask(&[words, &["--dir", self.dir()]].concat());
    }

    fn endpoint(&self, mode: TlsMode) -> Endpoint {
        let port = match mode {
            TlsMode::Direct => "direct_tls",
            _ => "starttls",
        };
        let port = u16::try_from(self.0["ports"][port].as_u64().unwrap()).unwrap();
        Endpoint::at(SocketAddr::from(([127, 0, 0, 1], port)), mode)
    }

    fn labels(&self) -> [(String, &'static str); 2] {
        [(TlsMode::StartTls, ":PORT1"), (TlsMode::Direct, ":PORT2")]
            .map(|(mode, label)| (format!(":{}", self.endpoint(mode).port), label))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = command(&["kill", "--dir", self.dir()]).output();
        let _ = std::fs::remove_dir_all(self.dir());
    }
}

fn command(words: &[&str]) -> Command {
    let program = std::env::var_os("STANCHION_XTASK")
        .expect("no servers: run `cargo xtask test --only interop`");
    let mut command = Command::new(program);
    command.arg("servers").args(words);
    command
}

fn xtask(words: &[&str]) -> Vec<u8> {
    let output = command(words).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {complaint}");
    output.stdout
}

/// A case: whose session is wanted, on which port, and what comes of it.
struct Case<'a> {
    name: &'static str,
    domain: &'a str,
    password: &'a str,
    mode: TlsMode,
    expected: Expected,
}

async fn run(server: &Own, family: &'static str, case: Case<'_>) -> Row {
    let mut config = ConnectConfig {
        endpoints: Endpoints::Explicit(vec![server.endpoint(case.mode)]),
        tls: TlsPolicy::with_roots(vec![Roots::PemFile(
            server.0["ca"].as_str().unwrap().into(),
        )]),
        ..ConnectConfig::default()
    };
    if let Time::After(time) = case.expected.time {
        config.timeouts.stream = time;
    }
    let jid = format!("{USER}@{}", case.domain).parse().unwrap();
    let account = Account::with_password(jid, case.password);
    let connector = Connector::new(account, config).unwrap();
    let (mut seen, _) = watch(connector, None).await;
    seen.text = server
        .labels()
        .iter()
        .fold(without_chance(&seen.text), |text, (port, label)| {
            text.replace(port, label)
        });
    case.expected.check(case.name, &seen);
    Row {
        family,
        name: case.name.to_owned(),
        expected: case.expected,
        seen,
    }
}

const fn refused(
    kind: Kind,
    retry: Retry,
    phases: &'static [Phase],
    says: &'static [&'static str],
) -> Expected {
    Expected {
        outcome: Outcome::Refused(kind, retry),
        phases,
        time: Time::AtOnce,
        says,
    }
}

async fn story(server: &Own, family: &'static str) -> Vec<Row> {
    let good = |name, mode| Case {
        name,
        domain: server.domain(),
        password: PASSWORD,
        mode,
        expected: Expected {
            outcome: Outcome::Session,
            phases: &[],
            time: Time::AtOnce,
            says: &["a session at 127.0.0.1:PORT"],
        },
    };
    let otherwise = |name, expected| Case {
        expected,
        ..good(name, TlsMode::StartTls)
    };
    let mut rows = Vec::new();
    for case in [
        good("a_login_over_starttls", TlsMode::StartTls),
        good("a_login_over_direct_tls", TlsMode::Direct),
        Case {
            password: "wr0ng",
            ..otherwise(
                "a_wrong_password",
                refused(
                    Kind::Authentication,
                    Retry::AfterUser,
                    &[Phase::Authentication],
                    &["not-authorized", "check the user name and the password"],
                ),
            )
        },
        Case {
            domain: "elsewhere.example",
            mode: TlsMode::Direct,
            ..otherwise(
                "a_name_that_its_certificate_lacks",
                refused(
                    Kind::Security,
                    Retry::AfterUser,
                    &[Phase::Tls],
                    &["elsewhere.example"],
                ),
            )
        },
        Case {
            domain: "elsewhere.example",
            ..otherwise(
                "a_domain_that_is_not_served",
                refused(
                    Kind::Network,
                    Retry::AfterUser,
                    &[Phase::Stream],
                    &["host-unknown", "check the address"],
                ),
            )
        },
    ] {
        rows.push(run(server, family, case).await);
    }

    server.is(&["pause"]);
    let frozen = Expected {
        time: Time::After(IMPATIENCE),
        ..refused(
            Kind::Network,
            Retry::Later,
            &[Phase::Stream],
            &["no answer within 1 s"],
        )
    };
    rows.push(run(server, family, otherwise("a_frozen_server", frozen)).await);
    server.is(&["unpause"]);

    server.is(&["servercert", "--expired"]);
    server.is(&["stop"]);
    let stopped = refused(
        Kind::Network,
        Retry::Later,
        &[Phase::Tcp],
        &["nothing listens at 127.0.0.1:PORT1"],
    );
    rows.push(run(server, family, otherwise("a_stopped_server", stopped)).await);

    server.is(&["start"]);
    let expired = refused(
        Kind::Security,
        Retry::AfterUser,
        &[Phase::Tls],
        &["expired on 2021"],
    );
    rows.push(run(server, family, otherwise("an_expired_certificate", expired)).await);
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_real_servers_is_what_the_run_says() {
    let mut rows = Vec::new();
    for (kind, family) in [("prosody", "Prosody"), ("ejabberd", "ejabberd")] {
        let server = Own::start(kind);
        rows.extend(story(&server, family).await);
    }
    table::close("Real servers", "connect-cases-real.md", &rows);
}
