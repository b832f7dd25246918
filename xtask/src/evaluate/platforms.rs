//! Case 5 of the paper: the same source on other platforms. Each is built with the standard
//! library that rustup has for it, and what can be run here is tried out.

use super::patience::Patience;
use super::process::{Running, run};
use super::report::{Figures, Row, Verdict};
use super::scene::{acknowledged, is_message};
use super::server::{Make, PASSWORD, Server};
use crate::failure::{Context, Failure, Outcome};
use crate::program::{self, Interrupt};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

pub(super) const NAME: &str = "platform independence";

const LAW: &str = "the same source is built for each platform, and what can be run here works: the demo (100 messages, a killed server, none lost) or, emulated, a message and its receipt";

/// The longest that one platform may take.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// A platform, and what it takes beside its standard library.
struct Platform {
    /// None for the machine that this runs on.
    target: Option<&'static str>,
    /// A C compiler for SQLite and ring, and the packages that have it.
    compiler: Option<(&'static str, &'static str)>,
    /// Whether it has to link as well. For musl rustc brings all that is linked, and
    /// musl-gcc would add its own a second time.
    links: bool,
    builds: Builds,
    runs: Runs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Builds {
    /// The command, and so every crate of the product.
    Command,
    /// The crate `stanza` alone: the others need sockets, files or a C compiler.
    Stanza,
}

/// How it is tried out.
enum Runs {
    Here,
    /// By this emulator, if it is there.
    Under(&'static str, &'static [&'static str]),
    Never,
}

const PLATFORMS: &[Platform] = &[
    Platform {
        target: None,
        compiler: None,
        links: false,
        builds: Builds::Command,
        runs: Runs::Here,
    },
    Platform {
        target: Some("x86_64-unknown-linux-musl"),
        compiler: Some(("musl-gcc", "musl-tools")),
        links: false,
        builds: Builds::Command,
        runs: if cfg!(target_arch = "x86_64") {
            Runs::Here
        } else {
            Runs::Never
        },
    },
    Platform {
        target: Some("aarch64-unknown-linux-gnu"),
        compiler: Some((
            "aarch64-linux-gnu-gcc",
            "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
        )),
        links: true,
        builds: Builds::Command,
        runs: Runs::Under("qemu-aarch64-static", &["-L", "/usr/aarch64-linux-gnu"]),
    },
    Platform {
        target: Some("wasm32-unknown-unknown"),
        compiler: None,
        links: false,
        builds: Builds::Stanza,
        runs: Runs::Never,
    },
];

/// Tells of each platform; of none if they are not `wanted`.
pub(super) fn rows(wanted: bool, interrupt: &Interrupt, mut tell: impl FnMut(Row)) -> Outcome {
    if !wanted {
        tell(row(
            "-".to_owned(),
            Figures::default(),
            Verdict::NotRun("builds take minutes: give --platforms".to_owned()),
            Duration::ZERO,
        ));
        return Ok(());
    }
    for platform in PLATFORMS {
        if interrupt.seen() {
            break;
        }
        let begin = Instant::now();
        let on = platform.target.unwrap_or("this machine").to_owned();
        let mut figures = Figures::default();
        let verdict = match missing(platform)? {
            Some(what) => Verdict::NotRun(what),
            None => match try_out(platform, &mut figures, interrupt) {
                Ok(()) => Verdict::Pass,
                Err(failure) => Verdict::Fail(failure.to_string().replace('\n', " ")),
            },
        };
        tell(row(on, figures, verdict, begin.elapsed()));
    }
    Ok(())
}

fn row(on: String, figures: Figures, verdict: Verdict, took: Duration) -> Row {
    Row {
        paper: Some(5),
        case: NAME,
        law: LAW,
        on,
        figures,
        verdict,
        took,
    }
}

/// What has to be installed first, and how.
fn missing(platform: &Platform) -> Outcome<Option<String>> {
    let Some(target) = platform.target else {
        return Ok(None);
    };
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--print", "target-libdir", "--target", target]);
    let folder = PathBuf::from(program::read(&mut command)?.trim());
    if !folder.is_dir() {
        return Ok(Some(format!(
            "its standard library is not here: rustup target add {target}"
        )));
    }
    Ok(platform
        .compiler
        .filter(|(compiler, _)| program::find(compiler).is_none())
        .map(|(compiler, packages)| format!("{compiler} is not here: apt-get install {packages}")))
}

fn try_out(platform: &Platform, figures: &mut Figures, interrupt: &Interrupt) -> Outcome {
    let patience = Patience::new(LIMIT, interrupt);
    let mut build = program::cargo();
    build.args(["build", "--quiet", "--locked"]);
    if let Some(target) = platform.target {
        build.args(["--target", target]);
        if let Some((compiler, _)) = platform.compiler {
            let name = target.replace('-', "_");
            build.env(format!("CC_{name}"), compiler);
            if platform.links {
                let linker = format!("CARGO_TARGET_{}_LINKER", name.to_uppercase());
                build.env(linker, compiler);
            }
        }
    }
    let (what, words): (_, &[&str]) = match platform.builds {
        Builds::Command => (
            "every crate, as the command",
            &["--package", "stanchion-chat", "--bin", "stanchion"],
        ),
        Builds::Stanza => ("the crate stanza", &["--package", "stanchion-stanza"]),
    };
    build.args(words);
    let built = run(build, &patience)?;
    built.must_be("cargo build", 0)?;
    figures.word("built", what);
    figures.seconds("build", built.took);
    if platform.builds == Builds::Stanza {
        return Ok(());
    }
    let program = folder()?
        .join(platform.target.unwrap_or_default())
        .join("debug/stanchion");
    match platform.runs {
        Runs::Here => {
            let mut demo = Command::new(program);
            demo.args(["demo", "--headless", "--json"]);
            demo.args(["--messages", "100", "--kills", "1"]);
            let ran = run(demo, &patience)?;
            ran.must_be("stanchion demo", 0)?;
            figures.seconds("demo", ran.took);
        }
        Runs::Under(emulator, words) => match program::find(emulator) {
            Some(emulator) => {
                let stanchion = || {
                    let mut command = Command::new(&emulator);
                    command.args(words).arg(&program);
                    command
                };
                figures.ms("to the receipt, emulated", exchange(stanchion, &patience)?);
            }
            None => figures.word("run", &format!("not here, without {emulator}")),
        },
        Runs::Never => figures.word("run", "cannot be run here"),
    }
    Ok(())
}

/// A message and its receipt, by this machine's hub. The demo starts itself again, which an
/// emulator does not see.
fn exchange(stanchion: impl Fn() -> Command, patience: &Patience) -> Outcome<Duration> {
    let here = program::build("stanchion-chat", "stanchion", false)?;
    let users = ["sensor", "app"].map(str::to_owned);
    let hub = Server::start(Make::Hub, &here, "home.test", &users, true, patience)?;
    let temp = std::env::temp_dir();
    let folder = tempfile::tempdir().doing("create a folder in", &temp)?;
    let command = |verb: &str, user: &str, rest: &[&str]| {
        let mut command = stanchion();
        command
            .args([verb, "--json", "--timeout", "60s"])
            .args(["--jid", &format!("{user}@home.test")])
            .args(["--connect", &hub.place(), "--ca"])
            .arg(hub.ca())
            .args(["--store", &format!("{user}.sqlite")])
            .args(rest)
            .env("STANCHION_PASSWORD", PASSWORD)
            .env("HOME", folder.path())
            .current_dir(folder.path());
        command
    };
    let mut listener = Running::start(command("listen", "app", &[]), patience)?;
    let words = ["--to", "app@home.test", "hello"];
    let sent = run(command("send", "sensor", &words), patience)?;
    is_message(&listener.json()?, "hello", false)?;
    acknowledged(&sent)
}

/// Where cargo builds, for whatever platform.
fn folder() -> Outcome<PathBuf> {
    let metadata = program::metadata(false)?;
    let folder = metadata["target_directory"].as_str().map(PathBuf::from);
    folder.ok_or_else(|| Failure::Malformed {
        what: "cargo metadata".to_owned(),
        why: "it names no target folder".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_run_is_said_to_be_not_run() {
        let mut told = Vec::new();
        let interrupt = Interrupt::watch().unwrap();
        rows(false, &interrupt, |row| told.push(row)).unwrap();
        let [row] = &told[..] else { panic!("{told:?}") };
        assert!(matches!(row.verdict, Verdict::NotRun(_)) && row.paper == Some(5));
    }
}
