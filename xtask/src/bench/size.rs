//! What the smallest useful client takes: the size of its program, and of its memory once
//! it is connected over TLS and has sent a message; beside clients of other makes in the
//! same run, on one server.

use super::Report;
use crate::failure::{Context, Failure, Outcome};
use crate::measure::Measure;
use crate::program;
use crate::requirements;
use crate::servers::Temporary;
use crate::servers::state::{Kind, Options};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const FOLDER: &str = "benches/size";
/// The most that the program may be, in bytes.
const PROGRAM: f64 = 4_000_000.0;
/// The most that its memory may be, in KiB: 6 MB.
const MEMORY: f64 = 6_000_000.0 / 1024.0;
/// After the last word, for what is still to settle.
const SETTLE: Duration = Duration::from_secs(1);
/// What every program of a system has, and none brings.
const SYSTEM: [&str; 8] = [
    "ld-linux",
    "libc.so",
    "libm.so",
    "libgcc_s",
    "libdl",
    "libpthread",
    "librt",
    "libresolv",
];

/// One client's figures.
#[derive(Debug)]
struct Figures {
    client: &'static str,
    /// Bytes of the program.
    program: u64,
    /// The same with the libraries that it brings.
    with_libraries: u64,
    /// Resident memory, in KiB.
    resident: u64,
    /// Of it, memory of its own.
    own: u64,
}

/// Measures and judges.
pub(super) fn run() -> Outcome<Report> {
    requirements::ensure(true)?;
    let folder = tempfile::tempdir().doing("create a folder in", &std::env::temp_dir())?;
    let (ours, theirs) = (build("smallest-ours")?, build("smallest-theirs")?);
    let strophe = compile(folder.path())?;
    let users = [("sensor", "secret"), ("cloud", "secret")];
    let server = Temporary::start_with(Kind::Prosody, "prosody.test", &users, Options::default())?;
    let told = server.state.report();
    let port = told["ports"]["starttls"].to_string();
    let ca = told["ca"].as_str().unwrap_or_default().to_owned();
    let (jid, to) = ("sensor@prosody.test", "cloud@prosody.test");
    let store = folder.path().join("sensor.sqlite");

    let mut command = Command::new(&ours);
    command
        .args([jid, "secret", &port, &ca])
        .arg(&store)
        .arg(to);
    let mut all = vec![measure("ours", &ours, &mut command)?];
    let mut command = Command::new(&theirs);
    command
        .args([jid, "secret", &port, to])
        .env("SSL_CERT_FILE", &ca);
    all.push(measure("tokio-xmpp", &theirs, &mut command)?);
    let mut command = Command::new(&strophe);
    command.args([jid, "secret", &port, &ca, to]);
    all.push(measure("libstrophe", &strophe, &mut command)?);
    Ok(Report {
        table: table(&all),
        values: all.iter().flat_map(values).collect(),
        goals: judge(&all)?,
    })
}

fn build(package: &str) -> Outcome<PathBuf> {
    let folder = program::root().join(FOLDER);
    let mut build = program::cargo();
    build.args(["build", "--quiet", "--release", "--package", package]);
    // The folder's own configuration counts, and not what this process was run with.
    build.env_remove("LIBSQLITE3_FLAGS").env_remove("CFLAGS");
    program::run(build.current_dir(&folder))?;
    Ok(folder.join("target/release").join(package))
}

fn compile(folder: &Path) -> Outcome<PathBuf> {
    let binary = folder.join("smallest-strophe");
    let mut cc = Command::new("cc");
    cc.args(["-Os", "-s", "-o"]).arg(&binary);
    cc.arg(program::root().join(FOLDER).join("strophe.c"))
        .arg("-lstrophe");
    program::run(&mut cc)?;
    Ok(binary)
}

/// A client, ended with this.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(client: &'static str, program: &Path, command: &mut Command) -> Outcome<Figures> {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let spawned = spawned.map_err(|source| Failure::Spawn {
        program: client.to_owned(),
        source,
    })?;
    let mut running = Client(spawned);
    let out = running.0.stdout.take();
    let mut lines = out.into_iter().flat_map(|out| BufReader::new(out).lines());
    if !lines.any(|line| line.is_ok_and(|line| line == "sent")) {
        return Err(Failure::Red(format!("{client} did not connect and send")));
    }
    std::thread::sleep(SETTLE);
    let of = PathBuf::from(format!("/proc/{}", running.0.id()));
    let status = read(&of.join("status"))?;
    let maps = read(&of.join("maps"))?;
    let size = |path: &Path| {
        std::fs::metadata(path)
            .map(|m| m.len())
            .doing("look at", path)
    };
    let mut with_libraries = size(program)?;
    for library in libraries(&maps) {
        with_libraries += size(&library)?;
    }
    Ok(Figures {
        client,
        program: size(program)?,
        with_libraries,
        resident: kib(&status, "VmRSS:")?,
        own: kib(&status, "RssAnon:")?,
    })
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).doing("read", path)
}

/// The shared libraries of a process that its program brings.
fn libraries(maps: &str) -> BTreeSet<PathBuf> {
    let paths = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5));
    let libraries = paths.filter(|path| path.contains(".so"));
    let brought = |path: &&str| !SYSTEM.iter().any(|name| path.contains(name));
    libraries.filter(brought).map(PathBuf::from).collect()
}

fn kib(status: &str, what: &str) -> Outcome<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| Failure::Missing(format!("the system does not tell {what}")))
}

fn values(figures: &Figures) -> Vec<Measure> {
    let of = |what, value: u64, unit| {
        #[allow(clippy::cast_precision_loss, reason = "sizes of programs")]
        let value = value as f64;
        Measure::alone(format!("size/{}, {what}", figures.client), value, unit)
    };
    vec![
        of("program", figures.program, "bytes"),
        of(
            "program with its libraries",
            figures.with_libraries,
            "bytes",
        ),
        of("resident", figures.resident, "KiB"),
        of("memory of its own", figures.own, "KiB"),
    ]
}

fn judge(all: &[Figures]) -> Outcome<Vec<Measure>> {
    let ours = all.iter().find(|figures| figures.client == "ours");
    let ours = ours.ok_or_else(|| Failure::Missing("ours was not measured".to_owned()))?;
    let values = values(ours);
    let goal = |at: usize, below: f64| Measure {
        goal: Some(format!("value < {below:.0}")),
        pass: values[at].value < below,
        ..values[at].clone()
    };
    Ok(vec![goal(0, PROGRAM), goal(2, MEMORY)])
}

fn table(all: &[Figures]) -> String {
    let mut table = format!(
        "\n{:<12} {:>12} {:>16} {:>13} {:>9}\n",
        "client", "program KiB", "with libraries", "resident KiB", "own KiB"
    );
    for f in all {
        let _ = writeln!(
            table,
            "{:<12} {:>12} {:>16} {:>13} {:>9}",
            f.client,
            f.program / 1024,
            f.with_libraries / 1024,
            f.resident,
            f.own
        );
    }
    table += "(connected over TLS, one message sent; ours keeps it in a file until its recipient \
              has it, the others keep nothing)\n";
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(program: u64, resident: u64) -> Figures {
        Figures {
            client: "ours",
            program,
            with_libraries: program,
            resident,
            own: resident,
        }
    }

    #[test]
    fn a_byte_or_a_page_too_many_misses_the_goal() {
        let passes = |f| {
            judge(&[f])
                .unwrap()
                .iter()
                .map(|m| m.pass)
                .collect::<Vec<_>>()
        };
        assert_eq!(passes(figures(3_999_999, 5_859)), [true, true]);
        assert_eq!(passes(figures(4_000_000, 5_860)), [false, false]);
        assert!(judge(&[]).is_err());
    }

    #[test]
    fn a_program_brings_the_libraries_that_not_every_system_has() {
        let maps = "7f0 r-xp 0 08:01 1 /usr/lib/libstrophe.so.0\n\
                    7f1 r--p 0 08:01 1 /usr/lib/libstrophe.so.0\n\
                    7f2 r-xp 0 08:01 2 /usr/lib/libc.so.6\n7f3 rw-p 0 00:00 0\n";
        let brought: Vec<_> = libraries(maps).into_iter().collect();
        assert_eq!(brought, [PathBuf::from("/usr/lib/libstrophe.so.0")]);
    }
}
