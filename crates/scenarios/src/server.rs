//! The server of a scenario, as a process of its own, that can be killed and started again
//! with its data and its ports.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use clap::ValueEnum;
use serde_json::Value;
use stanchion::connect::Endpoints;
use stanchion::connect::config::Plaintext;
use stanchion::transport::Endpoint;
use stanchion::transport::security::Fingerprint;
use stanchion::{Client, ClientBuilder, Roots};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Setting;
use crate::failure::{Doing as _, Failure};

/// The domain of all accounts.
pub(crate) const DOMAIN: &str = "things.test";
/// The password of all accounts: there is nobody here but us.
const PASSWORD: &str = "a long enough secret";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The embedded one: nothing to install
    Hub,
    /// Prosody
    Prosody,
    /// ejabberd
    Ejabberd,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hub => "hub",
            Self::Prosody => "prosody",
            Self::Ejabberd => "ejabberd",
        })
    }
}

/// How its certificate is known.
#[derive(Debug, Clone)]
enum Trust {
    Pin(Fingerprint),
    Pem(Vec<u8>),
}

/// A server, running or killed. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    setting: Setting,
    folder: PathBuf,
    users: Vec<String>,
    port: u16,
    /// Where it takes connections without TLS, if it does.
    clear: Option<Endpoint>,
    trust: Trust,
    /// The hub's process; the others are looked after by `xtask`.
    hub: Option<Child>,
}

impl Server {
    /// Starts one in that folder, with these accounts.
    pub(crate) async fn start(
        setting: &Setting,
        folder: &Path,
        users: impl IntoIterator<Item = String>,
    ) -> Result<Self, Failure> {
        let users: Vec<String> = users.into_iter().collect();
        let folder = folder.join("server");
        let mut server = Self {
            setting: setting.clone(),
            folder,
            users,
            port: 0,
            clear: None,
            trust: Trust::Pem(Vec::new()),
            hub: None,
        };
        match setting.kind {
            Kind::Hub => server.run_hub().await?,
            Kind::Prosody | Kind::Ejabberd => {
                let kind = setting.kind.to_string();
                let mut words = vec!["start".to_owned(), kind, "--json".to_owned()];
                words.extend(["--domain".to_owned(), DOMAIN.to_owned()]);
                for user in &server.users {
                    words.extend(["--user".to_owned(), format!("{user}:{PASSWORD}")]);
                }
                let told = server.xtask(&words).await?;
                let told: Value = serde_json::from_slice(&told).doing("read what xtask says")?;
                server.port = port(&told["ports"]["starttls"])?;
                let clear = told["websocket"].as_str();
                server.clear = clear.and_then(|uri| uri.parse().ok());
                let ca = told["ca"].as_str().unwrap_or_default();
                let pem = tokio::fs::read(ca).await.doing(format!("read {ca}"))?;
                server.trust = Trust::Pem(pem);
            }
        }
        Ok(server)
    }

    /// Ends it as a power failure would.
    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        match &mut self.hub {
            Some(hub) => hub.kill().await.doing("kill the hub"),
            None => self.xtask(&["kill".to_owned()]).await.map(drop),
        }
    }

    /// Starts it again, with its ports and its data. Resolves once it answers.
    pub(crate) async fn restart(&mut self) -> Result<(), Failure> {
        match self.setting.kind {
            Kind::Hub => self.run_hub().await,
            _ => self.xtask(&["start".to_owned()]).await.map(drop),
        }
    }

    /// Its port for STARTTLS on loopback.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    fn of(user: &str, folder: &Path) -> Result<ClientBuilder, Failure> {
        let jid = format!("{user}@{DOMAIN}").parse().doing("an account")?;
        Ok(Client::builder(jid)
            .password(PASSWORD.to_owned().into())
            .store_file(folder.join(format!("{user}.sqlite"))))
    }

    /// A client of that account without TLS, if the server takes any: by WebSocket over plain
    /// HTTP.
    pub(crate) fn client_without_tls(
        &self,
        user: &str,
        folder: &Path,
    ) -> Result<Option<ClientBuilder>, Failure> {
        let Some(place) = self.clear.clone() else {
            return Ok(None);
        };
        let client = Self::of(user, folder)?.connect_config(|config| {
            config.endpoints = Endpoints::Explicit(vec![place]);
            config.plaintext = Plaintext::Allow;
        });
        Ok(Some(client))
    }

    /// A client of that account, with its store in that folder.
    pub(crate) fn client(&self, user: &str, folder: &Path) -> Result<ClientBuilder, Failure> {
        self.client_at(self.port, user, folder)
    }

    /// The same at another port: of a relay.
    pub(crate) fn client_at(
        &self,
        port: u16,
        user: &str,
        folder: &Path,
    ) -> Result<ClientBuilder, Failure> {
        let client = Self::of(user, folder)?.server("127.0.0.1", port);
        Ok(match &self.trust {
            Trust::Pin(pin) => client.pin(*pin),
            Trust::Pem(pem) => client.trust(Roots::Pem(pem.clone())),
        })
    }

    async fn run_hub(&mut self) -> Result<(), Failure> {
        let mut command = Command::new(&self.setting.stanchion);
        command.args([
            "hub",
            "--json",
            "--domain",
            DOMAIN,
            "--max-connections",
            "2000",
        ]);
        command
            .arg("--starttls")
            .arg(format!("127.0.0.1:{}", self.port));
        command.arg("--state").arg(&self.folder);
        for user in &self.users {
            command.arg("--user").arg(format!("{user}:{PASSWORD}"));
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut hub = command.spawn().doing("start the hub")?;
        let out = hub
            .stdout
            .take()
            .ok_or_else(|| Failure::of("the hub has no output"))?;
        let mut line = String::new();
        let mut out = BufReader::new(out);
        out.read_line(&mut line)
            .await
            .doing("read what the hub says")?;
        let told: Value = serde_json::from_str(&line).doing("read what the hub says")?;
        let place = told["starttls"].as_str().unwrap_or_default();
        let place: std::net::SocketAddr = place.parse().doing("the hub's address")?;
        self.port = place.port();
        let pin = told["fingerprint"].as_str().unwrap_or_default();
        self.trust = Trust::Pin(pin.parse().doing("the hub's certificate")?);
        self.hub = Some(hub);
        Ok(())
    }

    async fn xtask(&self, words: &[String]) -> Result<Vec<u8>, Failure> {
        let mut command = Command::new(&self.setting.xtask);
        command
            .arg("servers")
            .args(words)
            .arg("--dir")
            .arg(&self.folder);
        let done = command.stdin(Stdio::null()).output().await;
        let done = done.doing("run xtask servers")?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            return Err(Failure::of(format!("xtask servers {}: {said}", words[0])));
        }
        Ok(done.stdout)
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        self.kill().await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.setting.kind != Kind::Hub {
            // A scenario that failed leaves no server behind; one that was killed stays so.
            let mut command = std::process::Command::new(&self.setting.xtask);
            command.args(["servers", "kill", "--dir"]).arg(&self.folder);
            let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

fn port(value: &Value) -> Result<u16, Failure> {
    let port = value.as_u64().and_then(|port| u16::try_from(port).ok());
    port.ok_or_else(|| Failure::of("xtask servers told no port"))
}
