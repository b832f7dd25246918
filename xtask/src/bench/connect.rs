//! Logins beside those of other clients, on Prosody with and without SASL2. Round trips are
//! counted by a relay that sees what the network sees; they and the ratio of CPU times hold
//! on any machine, and are judged. Times are only reported.

use super::{Report, workspace};
use crate::failure::{Context, Failure, Outcome};
use crate::measure::Measure;
use crate::program;
use crate::requirements;
use crate::servers::Temporary;
use crate::servers::state::{Kind, Options};
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The other client in C, from the project's folder.
const STROPHE: &str = "benches/logins/src/strophe.c";

/// One client's figures, as the program prints them.
#[derive(Debug, Clone, Deserialize, PartialEq)]
struct Figures {
    server: String,
    client: String,
    tls: String,
    round_trips: f64,
    micros: f64,
    cpu_micros: f64,
}

/// The most round trips that a login may take, TCP and TLS with them.
struct Goal {
    what: &'static str,
    server: &'static str,
    client: &'static str,
    tls: &'static str,
    at_most: f64,
}

const PLAIN: &str = "Prosody";
const SASL2: &str = "Prosody with SASL2";

const GOALS: [Goal; 4] = [
    Goal {
        what: "RFC 6120, STARTTLS",
        server: PLAIN,
        client: "ours",
        tls: "starttls",
        at_most: 6.0,
    },
    Goal {
        what: "SASL2 with Bind 2, STARTTLS",
        server: SASL2,
        client: "ours",
        tls: "starttls",
        at_most: 5.0,
    },
    Goal {
        what: "FAST, STARTTLS",
        server: SASL2,
        client: "ours-fast",
        tls: "starttls",
        at_most: 4.0,
    },
    Goal {
        what: "FAST, direct TLS",
        server: SASL2,
        client: "ours-fast",
        tls: "direct",
        at_most: 3.0,
    },
];

/// The most CPU time of a login, as a share of the peer's.
const CPU: f64 = 1.0 / 3.0;
/// The peer.
const PEER: &str = "tokio-xmpp";

/// Measures and judges.
pub(super) fn run() -> Outcome<Report> {
    requirements::ensure(true)?;
    let program = workspace::LOGINS.build()?;
    let folder = tempfile::tempdir().doing("create a folder in", &std::env::temp_dir())?;
    let strophe = compile(folder.path())?;
    let mut all: Vec<Figures> = Vec::new();
    for (name, sasl2) in [(PLAIN, false), (SASL2, true)] {
        let options = Options {
            sasl2,
            ..Options::default()
        };
        let server = Temporary::start_with(
            Kind::Prosody,
            "prosody.test",
            &[("sensor", "secret")],
            options,
        )?;
        let mut measure = Command::new(&program);
        measure.args(["measure", "--name", name, "--server"]);
        measure.arg(server.state.dir.join("server.json"));
        measure.arg("--strophe").arg(&strophe);
        if sasl2 {
            measure.arg("--sasl2");
        }
        all.extend(workspace::figures::<Figures>(&mut measure)?);
    }
    Ok(Report {
        table: table(&all),
        values: all.iter().flat_map(values).collect(),
        goals: judge(&all)?,
    })
}

fn compile(folder: &Path) -> Outcome<PathBuf> {
    let binary = folder.join("strophe");
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-o"]).arg(&binary);
    cc.arg(program::root().join(STROPHE)).arg("-lstrophe");
    program::run(&mut cc)?;
    Ok(binary)
}

fn name(figures: &Figures) -> String {
    format!(
        "connect/{}/{}/{}",
        figures.server, figures.tls, figures.client
    )
}

fn values(figures: &Figures) -> Vec<Measure> {
    let name = name(figures);
    vec![
        Measure::alone(format!("{name}, round trips"), figures.round_trips, "count"),
        Measure::alone(format!("{name}, time"), figures.micros, "µs"),
        Measure::alone(format!("{name}, CPU"), figures.cpu_micros, "µs"),
    ]
}

fn find<'a>(all: &'a [Figures], server: &str, client: &str, tls: &str) -> Outcome<&'a Figures> {
    let mut all = all.iter();
    all.find(|f| (&*f.server, &*f.client, &*f.tls) == (server, client, tls))
        .ok_or_else(|| Failure::Missing(format!("{client} was not measured on {server} by {tls}")))
}

fn judge(all: &[Figures]) -> Outcome<Vec<Measure>> {
    let mut goals = Vec::new();
    for goal in &GOALS {
        let found = find(all, goal.server, goal.client, goal.tls)?.round_trips;
        goals.push(Measure {
            goal: Some(format!("value <= {}", goal.at_most)),
            pass: found <= goal.at_most,
            ..Measure::alone(format!("round trips, {}", goal.what), found, "count")
        });
    }
    for tls in ["starttls", "direct"] {
        let (ours, theirs) = (find(all, PLAIN, "ours", tls)?, find(all, PLAIN, PEER, tls)?);
        let ratio = ours.cpu_micros / theirs.cpu_micros;
        goals.push(Measure {
            against: Some(PEER.to_owned()),
            ratio: Some(ratio),
            goal: Some("ratio <= 0.33".to_owned()),
            pass: ratio <= CPU,
            ..Measure::alone(format!("CPU a login, {tls}"), ours.cpu_micros, "µs")
        });
    }
    Ok(goals)
}

fn table(all: &[Figures]) -> String {
    let mut table = format!(
        "\n{:<20} {:<9} {:<12} {:>11} {:>9} {:>9}\n",
        "server", "TLS", "client", "round trips", "ms", "CPU ms"
    );
    for f in all {
        let _ = writeln!(
            table,
            "{:<20} {:<9} {:<12} {:>11} {:>9.1} {:>9.2}",
            f.server,
            f.tls,
            f.client,
            f.round_trips,
            f.micros / 1000.0,
            f.cpu_micros / 1000.0
        );
    }
    table += "(ours-new knows nothing of the server; ours is kept from login to login; times on \
              loopback, the median)\n";
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(server: &str, client: &str, tls: &str, round_trips: f64, cpu: f64) -> Figures {
        Figures {
            server: server.to_owned(),
            client: client.to_owned(),
            tls: tls.to_owned(),
            round_trips,
            micros: 1000.0,
            cpu_micros: cpu,
        }
    }

    #[test]
    fn one_round_trip_too_many_misses_the_goal() {
        let mut all = Vec::new();
        for goal in &GOALS {
            all.push(figures(
                goal.server,
                goal.client,
                goal.tls,
                goal.at_most,
                1.0,
            ));
        }
        for tls in ["starttls", "direct"] {
            all.push(figures(PLAIN, PEER, tls, 10.0, 4.0));
        }
        all.push(figures(PLAIN, "ours", "direct", 5.0, 1.0));
        assert!(judge(&all).unwrap().iter().all(|m| m.pass));
        all[0].round_trips += 1.0;
        let missed: Vec<_> = judge(&all)
            .unwrap()
            .into_iter()
            .filter(|m| !m.pass)
            .collect();
        assert_eq!(missed.len(), 1);
        assert!(missed[0].what.contains(GOALS[0].what));
    }

    #[test]
    fn what_was_not_measured_is_no_success() {
        assert!(judge(&[]).is_err());
    }
}
