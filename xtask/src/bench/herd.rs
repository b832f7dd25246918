//! A thousand clients whose server is killed and started again: how hard they come back,
//! and how soon all are there, with jitter and without. On the hub and on Prosody.

use super::{Report, workspace};
use crate::failure::{Context, Failure, Outcome};
use crate::measure::Measure;
use crate::program;
use crate::requirements;
use crate::servers::state::{Kind, Options};
use crate::servers::{self, Temporary, ports};
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// How many clients.
const CLIENTS: usize = 1000;
/// Accounts that they share: a server bounds the sessions of one.
const ACCOUNTS: usize = 100;

/// How the clients wait before they come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// At random, by a policy for so many.
    Fleet,
    /// At random, by the default policy.
    Jitter,
    /// All as long as each other.
    Same,
}

/// What the program prints of one herd.
#[derive(Debug, Clone, Deserialize, PartialEq)]
struct Figures {
    server: String,
    jitter: bool,
    fleet: bool,
    peak_per_second: f64,
    peak_rate: f64,
    dials_per_client: f64,
    seconds: f64,
}

/// Measures and judges.
pub(super) fn run() -> Outcome<Report> {
    requirements::ensure(true)?;
    let program = workspace::LOGINS.build()?;
    let stanchion = program::build("stanchion-chat", "stanchion", true)?;
    let mut all = Vec::new();
    for wait in [Wait::Fleet, Wait::Jitter, Wait::Same] {
        all.extend(hub(&program, &stanchion, wait)?);
        all.extend(prosody(&program, wait)?);
    }
    Ok(Report {
        table: table(&all),
        values: all.iter().flat_map(values).collect(),
        goals: judge(&all)?,
    })
}

fn command(program: &Path, name: &str, domain: &str, port: u16, wait: Wait) -> Command {
    let mut command = Command::new(program);
    command.args(["herd", "--name", name, "--domain", domain]);
    command.args(["--port", &port.to_string()]);
    command.args(["--accounts", &ACCOUNTS.to_string()]);
    command.args(["--clients", &CLIENTS.to_string()]);
    match wait {
        Wait::Fleet => _ = command.arg("--fleet"),
        Wait::Jitter => {}
        Wait::Same => _ = command.arg("--no-jitter"),
    }
    command
}

fn hub(program: &Path, stanchion: &Path, wait: Wait) -> Outcome<Vec<Figures>> {
    let folder = tempfile::tempdir().doing("create a folder in", &std::env::temp_dir())?;
    let [port] = ports::take()?;
    let mut words = vec![
        stanchion.display().to_string(),
        "hub".to_owned(),
        format!("--starttls=127.0.0.1:{port}"),
        format!("--state={}", folder.path().display()),
        format!("--max-connections={}", 2 * CLIENTS),
    ];
    for n in 0..ACCOUNTS {
        words.push(format!("--user=u{n}:secret"));
    }
    let mut command = command(program, "hub", "localhost", port, wait);
    command.arg("--program").arg(program::argv(&words));
    command.arg("--ca").arg(folder.path().join("cert.pem"));
    workspace::figures(&mut command)
}

fn prosody(program: &Path, wait: Wait) -> Outcome<Vec<Figures>> {
    let users: Vec<String> = (0..ACCOUNTS).map(|n| format!("u{n}")).collect();
    let users: Vec<(&str, &str)> = users.iter().map(|u| (&**u, "secret")).collect();
    let server = Temporary::start_with(Kind::Prosody, "prosody.test", &users, Options::default())?;
    let state = &server.state;
    let xtask = servers::own_program()?;
    let verb = |verb: &str| {
        program::argv(&[
            xtask.as_os_str(),
            "servers".as_ref(),
            verb.as_ref(),
            "--dir".as_ref(),
            state.dir.as_os_str(),
        ])
    };
    let mut command = command(
        program,
        "Prosody",
        &state.domain,
        state.ports.starttls,
        wait,
    );
    command.arg("--ca").arg(&state.ca);
    command.args(["--kill-with", &verb("kill"), "--start-with", &verb("start")]);
    workspace::figures(&mut command)
}

fn name(figures: &Figures) -> String {
    let wait = match (figures.jitter, figures.fleet) {
        (true, true) => "jitter for a fleet",
        (true, false) => "jitter",
        (false, _) => "no jitter",
    };
    format!("herd/{}, {wait}", figures.server)
}

fn values(figures: &Figures) -> Vec<Measure> {
    let name = name(figures);
    vec![
        Measure::alone(
            format!("{name}, busiest second"),
            figures.peak_per_second,
            "1/s",
        ),
        Measure::alone(format!("{name}, busiest 100 ms"), figures.peak_rate, "1/s"),
        Measure::alone(
            format!("{name}, connects a client"),
            figures.dials_per_client,
            "count",
        ),
        Measure::alone(format!("{name}, all back"), figures.seconds, "s"),
    ]
}

/// Jitter has to spread what comes back: that is judged, on each server.
fn judge(all: &[Figures]) -> Outcome<Vec<Measure>> {
    let mut goals = Vec::new();
    for with in all.iter().filter(|f| f.jitter) {
        let without = all.iter().find(|f| f.server == with.server && !f.jitter);
        let without = without.ok_or_else(|| {
            Failure::Missing(format!("{} was not measured without jitter", with.server))
        })?;
        let ratio = with.peak_per_second / without.peak_per_second;
        goals.push(Measure {
            against: Some(name(without)),
            ratio: Some(ratio),
            goal: Some("ratio <= 0.5".to_owned()),
            pass: ratio <= 0.5,
            ..Measure::alone(
                format!("{}, busiest second", name(with)),
                with.peak_per_second,
                "1/s",
            )
        });
    }
    Ok(goals)
}

fn table(all: &[Figures]) -> String {
    let mut table = format!(
        "\n{CLIENTS} clients, the server killed and away for 5 s\n{:<30} {:>10} {:>12} {:>12} {:>10}\n",
        "server", "connects", "busiest", "busiest", "all back"
    );
    let _ = writeln!(
        table,
        "{:<30} {:>10} {:>12} {:>12} {:>10}",
        "", "a client", "second, 1/s", "100 ms, 1/s", "after, s"
    );
    for f in all {
        let _ = writeln!(
            table,
            "{:<30} {:>10.1} {:>12} {:>12} {:>10.1}",
            name(f).trim_start_matches("herd/"),
            f.dials_per_client,
            f.peak_per_second,
            f.peak_rate,
            f.seconds
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(jitter: bool, peak_per_second: f64) -> Figures {
        Figures {
            server: "hub".to_owned(),
            jitter,
            fleet: false,
            peak_per_second,
            peak_rate: 1.0,
            dials_per_client: 3.0,
            seconds: 9.0,
        }
    }

    #[test]
    fn jitter_that_spreads_nothing_misses_the_goal() {
        for (peak, pass) in [(100.0, true), (900.0, false)] {
            let goals = judge(&[figures(true, peak), figures(false, 1000.0)]).unwrap();
            assert_eq!(goals[0].pass, pass, "{peak}");
        }
        assert!(judge(&[figures(true, 1.0)]).is_err());
    }
}
