//! Each service on each server: the services' own tests, a cell of the table for each
//! pair. On the hub they are its scenarios; on Prosody and ejabberd those in which slixmpp
//! is at the other end.

use super::report::{Figures, Row, Verdict};
use super::server::Make;
use crate::failure::{Context, Failure, Outcome};
use crate::program::{self, Interrupt};
use crate::test::{self, InteropServers};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LAW: &str = "what the service promises, by its own tests";

/// The longest that the tests of one service may take on one server.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// A service: how it is called, its scenarios over the hub, and the beginnings of the names
/// of its tests on real servers.
struct Service {
    case: &'static str,
    scenarios: &'static str,
    real: &'static [&'static str],
}

const fn service(
    case: &'static str,
    scenarios: &'static str,
    real: &'static [&'static str],
) -> Service {
    Service {
        case,
        scenarios,
        real,
    }
}

const SERVICES: &[Service] = &[
    service("service: requests, ping", "host", &["ping::"]),
    service(
        "service: roster, presence, discovery, blocking",
        "presence",
        &["presence::"],
    ),
    service(
        "service: chat, history",
        "chat",
        &["chat::slixmpp_and_we_c"],
    ),
    service(
        "service: archive, carbons",
        "archive",
        &[
            "chat::slixmpp_and_we_g",
            "chat::slixmpp_and_we_f",
            "chat::w",
        ],
    ),
    service("service: rooms", "rooms", &["rooms"]),
    service("service: publish/subscribe", "pubsub", &["pubsub::"]),
    service("service: commands", "commands", &["commands::"]),
    service("service: registration", "registration", &["registration::"]),
    service(
        "service: version, time, last activity",
        "facts",
        &["facts::"],
    ),
    service("service: upload", "upload", &["upload::"]),
    service("service: component", "component", &["component::"]),
];

/// Tells of each service on those servers.
pub(super) fn rows(
    makes: &[Make],
    wanted: impl Fn(&str) -> bool,
    interrupt: &Interrupt,
    mut tell: impl FnMut(Row),
) -> Outcome {
    let services: Vec<&Service> = SERVICES.iter().filter(|s| wanted(s.case)).collect();
    if services.is_empty() || interrupt.seen() {
        return Ok(());
    }
    let tests = build()?;
    let real = makes.iter().any(|make| *make != Make::Hub);
    let servers = if real {
        Some(InteropServers::start()?)
    } else {
        None
    };
    for service in services {
        for make in makes {
            if interrupt.seen() {
                return Ok(());
            }
            let (target, filters) = match make {
                Make::Hub => (service.scenarios, &[][..]),
                _ => (test::INTEROP, service.real),
            };
            let begin = Instant::now();
            let mut figures = Figures::default();
            let verdict = match tests.get(target) {
                None => Verdict::NotRun("it has no such tests".to_owned()),
                Some(program) => {
                    let mut command = Command::new(program);
                    command.args(filters).current_dir(program::root());
                    if let (Some(servers), true) = (&servers, *make != Make::Hub) {
                        servers.tell(&mut command)?;
                        command.env("STANCHION_TEST_SERVER", make.name().to_lowercase());
                    }
                    judge(command, &mut figures, interrupt)
                }
            };
            tell(Row {
                paper: None,
                case: service.case,
                law: LAW,
                on: make.name().to_owned(),
                figures,
                verdict,
                took: begin.elapsed(),
            });
        }
    }
    Ok(())
}

/// Runs tests, and counts them.
fn judge(command: Command, figures: &mut Figures, interrupt: &Interrupt) -> Verdict {
    let (output, ended) = match run(command, interrupt) {
        Ok(ran) => ran,
        Err(failure) => return Verdict::Fail(failure.to_string().replace('\n', " ")),
    };
    let count = |word: &str| {
        let lines = output.lines().filter(|line| line.starts_with("test "));
        lines.filter(|line| line.ends_with(word)).count()
    };
    let (passed, failed) = (count("... ok"), count("... FAILED"));
    figures.count("tests passed", passed);
    match (passed, failed) {
        // Not by a test that says so: it hung, or the program broke.
        (_, 0) if ended.is_err() => {
            let why = ended.err().map(|failure| failure.to_string());
            Verdict::Fail(why.unwrap_or_default().replace('\n', " "))
        }
        (0, 0) => Verdict::NotRun("it has no such tests".to_owned()),
        (_, 0) => Verdict::Pass,
        (_, n) => {
            let failed = output.lines().filter_map(|line| {
                let name = line.strip_prefix("test ")?;
                name.strip_suffix(" ... FAILED")
            });
            let names: Vec<&str> = failed.collect();
            Verdict::Fail(format!("{n} tests failed: {}", names.join(", ")))
        }
    }
}

/// What it printed, and how it ended.
fn run(mut command: Command, interrupt: &Interrupt) -> Outcome<(String, Outcome)> {
    let place = std::env::temp_dir();
    let file = tempfile::NamedTempFile::new().doing("create a file in", &place)?;
    let output = file.reopen().doing("open", file.path())?;
    command.stdout(output).stderr(Stdio::null());
    let ended = program::run_within(&mut command, LIMIT, interrupt);
    Ok((program::text(file.path())?, ended))
}

/// The services' test programs, by name.
fn build() -> Outcome<BTreeMap<String, PathBuf>> {
    let mut command = program::cargo();
    command.args(["test", "--quiet", "--no-run", "--message-format", "json"]);
    command.args([
        "--package",
        "stanchion-services",
        "--features",
        test::INTEROP,
    ]);
    let mut programs = BTreeMap::new();
    for line in program::read(&mut command)?.lines() {
        let message: Value = program::json(line, "cargo test")?;
        let target = &message["target"];
        let is_test = target["kind"][0] == "test";
        if let (true, Some(name), Some(program)) = (
            is_test,
            target["name"].as_str(),
            message["executable"].as_str(),
        ) {
            programs.insert(name.to_owned(), PathBuf::from(program));
        }
    }
    if programs.is_empty() {
        return Err(Failure::Red("the services have no tests".to_owned()));
    }
    Ok(programs)
}
