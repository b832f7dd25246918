//! A server of an evaluation: the embedded hub as a process of its own, or Prosody or
//! ejabberd from `servers`. Each can be killed, started again with its ports and data,
//! and frozen.

use super::patience::Patience;
use crate::failure::{Context, Failure, Outcome};
use crate::program;
use crate::servers::daemon::Daemon;
use crate::servers::state::Kind;
use crate::servers::{self, Temporary, ports};
use clap::ValueEnum;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Everybody's password; the servers live on loopback, in folders of their own.
pub(super) const PASSWORD: &str = "correct-horse";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Make {
    /// The embedded one: nothing to install
    Hub,
    /// Prosody, which must be installed
    Prosody,
    /// ejabberd, which must be installed
    Ejabberd,
}

impl Make {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Prosody => "prosody",
            Self::Ejabberd => "ejabberd",
        }
    }
}

/// A server for as long as this value lives.
pub(super) struct Server {
    kept: Kept,
    domain: String,
    users: Vec<String>,
}

enum Kept {
    Hub(Hub),
    Real(Box<Temporary>),
}

struct Hub {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    direct_tls: u16,
    process: Option<Daemon>,
    /// A client that binds by tls-unique cannot log in where binding is offered.
    binding: bool,
}

impl Server {
    /// Starts one for a domain, with these accounts. `binding` is the hub's only.
    pub(super) fn start(
        make: Make,
        stanchion: &Path,
        domain: &str,
        users: &[String],
        binding: bool,
        patience: &Patience,
    ) -> Outcome<Self> {
        let kind = match make {
            Make::Hub => None,
            Make::Prosody => Some(Kind::Prosody),
            Make::Ejabberd => Some(Kind::Ejabberd),
        };
        let kept = match kind {
            Some(kind) => {
                let users: Vec<_> = users.iter().map(|u| (&**u, PASSWORD)).collect();
                Kept::Real(Box::new(Temporary::start(kind, domain, &users)?))
            }
            None => {
                let temp = std::env::temp_dir();
                let folder = tempfile::tempdir().doing("create a folder in", &temp)?;
                let [port, direct_tls] = ports::take()?;
                Kept::Hub(Hub {
                    program: stanchion.to_owned(),
                    folder,
                    port,
                    direct_tls,
                    process: None,
                    binding,
                })
            }
        };
        let mut server = Self {
            kept,
            domain: domain.to_owned(),
            users: users.to_vec(),
        };
        server.start_hub(patience)?;
        Ok(server)
    }

    pub(super) fn domain(&self) -> &str {
        &self.domain
    }

    /// The port for STARTTLS, on 127.0.0.1.
    pub(super) fn port(&self) -> u16 {
        match &self.kept {
            Kept::Hub(hub) => hub.port,
            Kept::Real(server) => server.state.ports.starttls,
        }
    }

    pub(super) fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Where TLS begins with the first byte.
    pub(super) fn direct_tls(&self) -> String {
        let port = match &self.kept {
            Kept::Hub(hub) => hub.direct_tls,
            Kept::Real(server) => server.state.ports.direct_tls,
        };
        format!("xmpps://127.0.0.1:{port}")
    }

    /// What to trust, PEM.
    pub(super) fn ca(&self) -> PathBuf {
        match &self.kept {
            Kept::Hub(hub) => hub.folder.path().join("cert.pem"),
            Kept::Real(server) => server.state.ca.clone(),
        }
    }

    /// Port and path of its WebSocket in the clear, if it has one.
    pub(super) fn clear(&self) -> Option<(u16, &str)> {
        let Kept::Real(server) = &self.kept else {
            return None;
        };
        let port = server.state.ports.http;
        let path = server.state.websocket.rsplit_once('/')?.1;
        Some((port, path))
    }

    /// Writes what a client of another make has to know, and tells where.
    pub(super) fn about(&self, folder: &Path) -> Outcome<PathBuf> {
        let users: serde_json::Map<String, Value> = self
            .users
            .iter()
            .map(|name| (name.clone(), PASSWORD.into()))
            .collect();
        let about = json!({
            "domain": self.domain, "ca": self.ca(), "users": users,
            "ports": { "starttls": self.port() },
        });
        let path = folder.join("server.json");
        fs::write(&path, about.to_string()).doing("write", &path)?;
        Ok(path)
    }

    /// SIGKILL, as in a crash; its port is closed afterwards.
    pub(super) fn kill(&mut self) -> Outcome {
        match &mut self.kept {
            Kept::Hub(hub) => hub.kill(),
            Kept::Real(server) => {
                servers::end(&server.state.dir, Signal::KILL)?;
            }
        }
        Ok(())
    }

    /// Starts what was killed: same port, same data.
    pub(super) fn start_again(&mut self, patience: &Patience) -> Outcome {
        if let Kept::Real(server) = &mut self.kept {
            server.state = servers::start_again(&server.state.dir)?;
        }
        self.start_hub(patience)
    }

    /// SIGSTOP: it hangs with its connections open.
    pub(super) fn freeze(&self) -> Outcome {
        self.signal(Signal::STOP)
    }

    pub(super) fn thaw(&self) -> Outcome {
        self.signal(Signal::CONT)
    }

    /// As it should be at the beginning of a case, whatever the one before did.
    pub(super) fn repair(&mut self, patience: &Patience) -> Outcome {
        if self.process().is_some_and(Daemon::alive) {
            return self.thaw();
        }
        self.start_again(patience)
    }

    const fn process(&self) -> Option<Daemon> {
        match &self.kept {
            Kept::Hub(hub) => hub.process,
            Kept::Real(server) => server.state.process,
        }
    }

    fn signal(&self, signal: Signal) -> Outcome {
        if self.process().is_some_and(|process| process.signal(signal)) {
            return Ok(());
        }
        Err(Failure::Red(format!(
            "the server of {} has ended by itself",
            self.domain
        )))
    }

    fn start_hub(&mut self, patience: &Patience) -> Outcome {
        let Kept::Hub(hub) = &mut self.kept else {
            return Ok(());
        };
        let folder = hub.folder.path();
        let mut command = Command::new(&hub.program);
        command.args(["hub", "--domain", &self.domain]);
        command.args(["--starttls", &format!("127.0.0.1:{}", hub.port)]);
        command.args(["--direct-tls", &format!("127.0.0.1:{}", hub.direct_tls)]);
        command.arg("--state").arg(folder);
        for user in &self.users {
            command.args(["--user", &format!("{user}:{PASSWORD}")]);
        }
        if !hub.binding {
            command.arg("--no-channel-binding");
        }
        let log = folder.join("hub.log");
        let process = Daemon::spawn(command, &log)?;
        hub.process = Some(process);
        let port = hub.port;
        patience.wait_for("the hub", || {
            if !process.alive() {
                return Err(Failure::Server {
                    server: "the hub",
                    why: "ended while it started".to_owned(),
                    logs: program::text(&log)?,
                });
            }
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .ok()
                .map(|_| ()))
        })
    }
}

impl Hub {
    fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.end(Signal::KILL);
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.kill();
    }
}
