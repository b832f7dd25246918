//! Running other programs, cargo above all, and the workspace they run in.
//!
//! Also owns what Ctrl-C does: a command that has servers to end goes on for
//! long enough to end them.

use crate::failure::{Context, Failure, Outcome};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a program has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Cargo in the workspace's folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // `cargo run` tells this program about its own package. Some build scripts
    // watch these variables and would run again whenever they come or go.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let own = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        if own.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

/// The command line as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            if word.contains([' ', '(', '"']) {
                format!("'{word}'")
            } else {
                word.into_owned()
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a program in the terminal until it ends.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let status = command
        .status()
        .map_err(|source| spawn_failure(command, source))?;
    judge(command, status, String::new())
}

/// Runs a program without stdin, in a process group of its own that ends
/// when `limit` is over or when this program is interrupted.
pub(crate) fn run_within(command: &mut Command, limit: Duration, interrupt: &Interrupt) -> Outcome {
    let begin = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|source| spawn_failure(command, source))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    loop {
        let ended = child
            .try_wait()
            .map_err(|source| spawn_failure(command, source))?;
        if let Some(status) = ended {
            return judge(command, status, String::new());
        }
        let why = if interrupt.seen() {
            "interrupted".to_owned()
        } else if begin.elapsed() > limit {
            format!("not done within {} s", limit.as_secs())
        } else {
            sleep(Duration::from_millis(20));
            continue;
        };
        if let Some(group) = group {
            // First politely, so that a child can end its own servers. An
            // error means that the group has ended meanwhile.
            let _ = kill_process_group(group, Signal::TERM);
            let asked = Instant::now();
            while asked.elapsed() < GRACE && matches!(child.try_wait(), Ok(None)) {
                sleep(Duration::from_millis(20));
            }
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.wait();
        return Err(Failure::Program {
            line: line(command),
            status: why,
            output: String::new(),
        });
    }
}

/// Runs a program and returns what it printed on stdout.
pub(crate) fn read(command: &mut Command) -> Outcome<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| spawn_failure(command, source))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    judge(command, output.status, format!(":\n{}", errors.trim_end()))?;
    Ok(text)
}

/// Whether a program is on the search path or where Debian keeps daemons.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// What cargo knows about the workspace; `deps` adds every dependency.
pub(crate) fn metadata(deps: bool) -> Outcome<Value> {
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1"]);
    if !deps {
        command.arg("--no-deps");
    }
    json(&read(&mut command)?, "cargo metadata")
}

/// Parses a JSON document that `what` gave.
pub(crate) fn json(text: &str, what: &str) -> Outcome<Value> {
    serde_json::from_str(text).map_err(|e| Failure::Malformed {
        what: what.to_owned(),
        why: e.to_string(),
    })
}

/// Builds one program of the workspace and tells where it is.
pub(crate) fn build(package: &str, program: &str, release: bool) -> Outcome<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--quiet", "--package", package, "--bin", program]);
    if release {
        command.arg("--release");
    }
    artifact(command, program)
}

/// The same for an example of a package.
pub(crate) fn build_example(package: &str, example: &str) -> Outcome<PathBuf> {
    let mut command = cargo();
    command.args([
        "build",
        "--quiet",
        "--package",
        package,
        "--example",
        example,
    ]);
    artifact(command, example)
}

/// Runs a build, and tells where the program is that it made.
fn artifact(mut command: Command, program: &str) -> Outcome<PathBuf> {
    command.arg("--message-format=json-render-diagnostics");
    // Diagnostics go to the terminal, the list of artifacts comes to us.
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| spawn_failure(&command, source))?;
    judge(&command, output.status, String::new())?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == program)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| Failure::Malformed {
            what: line(&command),
            why: format!("it names no program `{program}`"),
        })
}

/// Reads a text file.
pub(crate) fn text(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).doing("read", path)
}

fn judge(command: &Command, status: ExitStatus, output: String) -> Outcome {
    if status.success() {
        return Ok(());
    }
    Err(Failure::Program {
        line: line(command),
        status: status.to_string(),
        output,
    })
}

fn spawn_failure(command: &Command, source: std::io::Error) -> Failure {
    Failure::Spawn {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    }
}

/// Turns Ctrl-C and SIGTERM into a flag, so that a command can clean up.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on such a signal sets the flag and does nothing else: some
    /// senders signal both the process and its group, so a second one means
    /// nothing.
    pub(crate) fn watch() -> Outcome<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&flag))
                .doing("watch signals of", Path::new("/proc/self"))?;
        }
        Ok(Self(flag))
    }

    pub(crate) fn seen(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// An argument list as a JSON array: what `--kill-with` and its like take.
pub(crate) fn argv<S: AsRef<OsStr>>(words: &[S]) -> String {
    let words: Vec<_> = words
        .iter()
        .map(|word| word.as_ref().to_string_lossy())
        .collect();
    Value::from(words).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let interrupt = Interrupt(Arc::new(AtomicBool::new(false)));
        let begin = Instant::now();
        let outcome = run_within(
            Command::new("sleep").arg("60"),
            Duration::from_millis(50),
            &interrupt,
        );
        assert!(
            matches!(outcome, Err(Failure::Program { status, .. }) if status.contains("not done"))
        );
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_bad_exit_status_is_a_failure() {
        assert!(matches!(
            read(&mut Command::new("false")),
            Err(Failure::Program { .. })
        ));
    }

    #[test]
    fn an_argument_with_a_space_stays_one_argument() {
        assert_eq!(argv(&["a b", "c\"d"]), r#"["a b","c\"d"]"#);
    }
}
