//! The server between the two ends of the demo: started, killed and started again. Our
//! own hub in a process of its own, or any other by two commands.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::process::apart;

/// A server that does not come up in this time has failed.
const START: Duration = Duration::from_secs(60);

/// Why the server did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ServerError {
    /// A process could not be started or ended.
    #[error("{what} failed: {source}")]
    Process {
        /// What was tried.
        what: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A command ended with an error.
    #[error("`{command}` ended with {status}; run it by hand to see why")]
    Command {
        /// The command.
        command: String,
        /// Its status.
        status: std::process::ExitStatus,
    },
    /// The hub said nothing, or nothing useful.
    #[error("the hub did not come up; run `stanchion hub` to see why")]
    Silent,
    /// `--kill-with` or `--start-with` is no command.
    #[error("`{0}` is no command: give words, or a JSON array of strings")]
    NoCommand(String),
}

/// Where the hub listens, and how to know it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct HubReady {
    /// The domain that is served.
    pub(crate) domain: String,
    /// The address for STARTTLS.
    pub(crate) starttls: std::net::SocketAddr,
    /// The address for direct TLS, if there is one.
    pub(crate) direct_tls: Option<std::net::SocketAddr>,
    /// The address for the component, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) component: Option<std::net::SocketAddr>,
    /// SHA-256 of its certificate, in hexadecimal.
    pub(crate) fingerprint: String,
}

/// The server.
#[derive(Debug)]
pub(crate) enum Server {
    /// Our hub, run by this program.
    Hub {
        /// Its process, while it runs.
        child: Option<Box<Child>>,
        /// Its state; kept across kills.
        state: PathBuf,
        /// The accounts, as `name:password`.
        users: Vec<String>,
        /// Once it has been up.
        ready: Option<HubReady>,
    },
    /// Another one, by commands.
    Commands {
        /// Kills it at once.
        kill: Vec<String>,
        /// Starts it again, and returns when it answers.
        start: Vec<String>,
    },
}

impl Server {
    /// A hub that keeps its state in `state`; not started yet.
    pub(crate) const fn hub(state: PathBuf, users: Vec<String>) -> Self {
        Self::Hub {
            child: None,
            state,
            users,
            ready: None,
        }
    }

    /// A server that runs already.
    ///
    /// # Errors
    /// [`ServerError::NoCommand`].
    pub(crate) fn commands(kill: &str, start: &str) -> Result<Self, ServerError> {
        Ok(Self::Commands {
            kill: words(kill)?,
            start: words(start)?,
        })
    }

    /// Starts it, or starts it again.
    ///
    /// # Errors
    /// [`ServerError`].
    pub(crate) async fn start(&mut self) -> Result<(), ServerError> {
        match self {
            Self::Commands { start, .. } => run(start).await,
            Self::Hub {
                child,
                state,
                users,
                ready,
            } => {
                let listen = ready
                    .as_ref()
                    .map_or_else(|| "127.0.0.1:0".to_owned(), |r| r.starttls.to_string());
                let (process, up) = timeout(START, start_hub(state, users, &listen))
                    .await
                    .map_err(|_| ServerError::Silent)??;
                *child = Some(Box::new(process));
                *ready = Some(up);
                Ok(())
            }
        }
    }

    /// Ends it without a warning: SIGKILL, or what the command does.
    ///
    /// # Errors
    /// [`ServerError`].
    pub(crate) async fn kill(&mut self) -> Result<(), ServerError> {
        match self {
            Self::Commands { kill, .. } => run(kill).await,
            Self::Hub { child, .. } => match child.take() {
                Some(mut child) => child
                    .kill()
                    .await
                    .map_err(|e| process("killing the hub", e)),
                None => Ok(()),
            },
        }
    }

    /// Where the hub listens, once it has been started.
    pub(crate) const fn hub_ready(&self) -> Option<&HubReady> {
        match self {
            Self::Hub { ready, .. } => ready.as_ref(),
            Self::Commands { .. } => None,
        }
    }
}

async fn start_hub(
    state: &PathBuf,
    users: &[String],
    listen: &str,
) -> Result<(Child, HubReady), ServerError> {
    let program = std::env::current_exe().map_err(|e| process("finding this program", e))?;
    let mut command = Command::new(program);
    command
        .args([
            "hub",
            "--json",
            "--end-with-input",
            "--domain",
            "demo.test",
            "--starttls",
            listen,
            "--state",
        ])
        .arg(state);
    for user in users {
        command.args(["--user", user]);
    }
    // It ends with its input: with us, even if we are killed.
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = apart(&mut command)
        .spawn()
        .map_err(|e| process("starting the hub", e))?;
    let stdout = child.stdout.take().ok_or(ServerError::Silent)?;
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .await
        .map_err(|e| process("reading from the hub", e))?;
    let ready = serde_json::from_str(&line).map_err(|_| ServerError::Silent)?;
    Ok((child, ready))
}

async fn run(words: &[String]) -> Result<(), ServerError> {
    let [program, arguments @ ..] = words else {
        return Err(ServerError::NoCommand(String::new()));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let status = apart(&mut command)
        .status()
        .await
        .map_err(|e| process(&format!("`{program}`"), e))?;
    if status.success() {
        Ok(())
    } else {
        Err(ServerError::Command {
            command: words.join(" "),
            status,
        })
    }
}

/// A command line: a JSON array of strings, or words with blanks between.
fn words(command: &str) -> Result<Vec<String>, ServerError> {
    let no_command = || ServerError::NoCommand(command.to_owned());
    let words = if command.trim_start().starts_with('[') {
        serde_json::from_str(command).map_err(|_| no_command())?
    } else {
        command
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    if words.is_empty() {
        Err(no_command())
    } else {
        Ok(words)
    }
}

fn process(what: &str, source: io::Error) -> ServerError {
    ServerError::Process {
        what: what.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_words_or_a_json_array() {
        assert_eq!(words("kill -9 5").unwrap(), ["kill", "-9", "5"]);
        assert_eq!(words(r#"["a b", "c"]"#).unwrap(), ["a b", "c"]);
        assert!(words("").is_err());
        assert!(words("[1]").is_err());
    }

    #[tokio::test]
    async fn a_command_that_fails_is_reported_with_its_status() {
        let mut server = Server::commands("false", "true").unwrap();
        assert!(matches!(
            server.kill().await,
            Err(ServerError::Command { .. })
        ));
        server.start().await.unwrap();
    }
}
