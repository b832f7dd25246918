//! Which account, which server, which store: from flags, the environment and the
//! configuration file, in this order of precedence.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use serde::Deserialize;
use stanchion::reliability::store::StoreError;
use stanchion::session::{Receiver, SessionConfig, SessionError};
use stanchion::{BareJid, Client, ClientBuilder, Fingerprint, Roots, StartError};

use crate::exit::{Failure, one_line};

/// How to reach the server; the same for every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// The account, as name@domain
    #[arg(long, value_name = "JID", env = "STANCHION_JID")]
    pub(crate) jid: Option<BareJid>,
    /// Connect there, past any look-up; the certificate must still be the domain's
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) connect: Option<String>,
    /// With --connect: TLS from the first byte (port 5223 as a rule), not STARTTLS
    #[arg(long)]
    pub(crate) direct_tls: bool,
    /// Trust the certificate authorities in this file (PEM), and no others
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Vec<PathBuf>,
    /// Trust this certificate only: its SHA-256 in hexadecimal
    #[arg(long, value_name = "SHA256")]
    pub(crate) pin: Option<Fingerprint>,
    /// Trust the operating system's certificate authorities
    #[arg(long)]
    pub(crate) native_roots: bool,
    /// Send the password and everything else in the clear if the server has no TLS
    #[arg(long)]
    pub(crate) insecure_plaintext: bool,
    /// Keep messages in this file, for one command at a time (default: one for each
    /// account, in the data folder)
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
    /// Read the password from this file, not from STANCHION_PASSWORD; only its owner may
    /// be able to read it
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// The configuration file (default: config.toml in the configuration folder)
    #[arg(long, value_name = "FILE", env = "STANCHION_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    jid: Option<String>,
    connect: Option<String>,
    #[serde(default)]
    direct_tls: bool,
    #[serde(default)]
    ca: Vec<PathBuf>,
    pin: Option<String>,
    #[serde(default)]
    native_roots: bool,
    store: Option<PathBuf>,
    password_file: Option<PathBuf>,
}

impl File {
    /// Paths in the file are seen from the file's folder.
    fn seen_from(mut self, folder: &Path) -> Self {
        let paths = [&mut self.store, &mut self.password_file];
        for path in paths.into_iter().flatten().chain(&mut self.ca) {
            *path = folder.join(&*path);
        }
        self
    }
}

/// Everything that is needed to connect.
#[derive(Debug)]
pub(crate) struct Settings {
    jid: BareJid,
    password: SecretString,
    connect: Option<(String, u16)>,
    direct_tls: bool,
    ca: Vec<PathBuf>,
    pin: Option<Fingerprint>,
    native_roots: bool,
    insecure_plaintext: bool,
    /// Default: one for each account.
    store: Option<PathBuf>,
}

impl Settings {
    /// Puts the sources together.
    ///
    /// # Errors
    /// Names what is missing or wrong, and where to put it.
    pub(crate) fn load(args: &ConnectionArgs) -> Result<Self, Failure> {
        let file = read_file(args.config.as_deref())?;
        let jid = match (&args.jid, &file.jid) {
            (Some(jid), _) => jid.clone(),
            (None, Some(jid)) => jid
                .parse()
                .map_err(|e| Failure::usage(format!("the configuration's jid {jid:?}: {e}")))?,
            (None, None) => {
                return Err(Failure::usage(
                    "no account: give --jid name@domain, or set jid in the configuration file",
                ));
            }
        };
        if jid.local().is_none() {
            return Err(Failure::usage(format!(
                "{jid} is a domain; give the account as name@{jid}"
            )));
        }
        let pin = match (args.pin, &file.pin) {
            (Some(pin), _) => Some(pin),
            (None, Some(pin)) => Some(
                pin.parse()
                    .map_err(|e| Failure::usage(format!("the configuration's pin: {e}")))?,
            ),
            (None, None) => None,
        };
        let connect = args
            .connect
            .as_deref()
            .or(file.connect.as_deref())
            .map(host_port)
            .transpose()?;
        let direct_tls = args.direct_tls || file.direct_tls;
        if direct_tls && connect.is_none() {
            return Err(Failure::usage(
                "--direct-tls needs --connect HOST:PORT; without it, DNS says which servers \
                 begin with TLS",
            ));
        }
        let environment = std::env::var("STANCHION_PASSWORD").ok().map(Into::into);
        let password = match (&args.password_file, environment, &file.password_file) {
            (Some(path), _, _) | (None, None, Some(path)) => read_password(path)?,
            (None, Some(password), _) => password,
            (None, None, None) => {
                return Err(Failure::usage(format!(
                    "no password for {jid}: set STANCHION_PASSWORD, or give --password-file FILE"
                )));
            }
        };
        Ok(Self {
            jid,
            password,
            connect,
            direct_tls,
            ca: if args.ca.is_empty() {
                file.ca
            } else {
                args.ca.clone()
            },
            pin,
            native_roots: args.native_roots || file.native_roots,
            insecure_plaintext: args.insecure_plaintext,
            store: args.store.clone().or(file.store),
        })
    }

    /// Describes a client that has no store yet.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn client(&self) -> Result<ClientBuilder, Failure> {
        let mut builder = Client::builder(self.jid.clone()).password(self.password.clone());
        if let Some((host, port)) = &self.connect {
            builder = builder.server(host, *port);
        }
        if self.direct_tls {
            builder = builder.direct_tls();
        }
        for path in &self.ca {
            // Read here, so that the error names the file.
            let pem = std::fs::read(path)
                .map_err(|e| Failure::usage(format!("--ca {}: {e}", path.display())))?;
            builder = builder.trust(Roots::Pem(pem));
        }
        if self.native_roots {
            builder = builder.trust(Roots::Native);
        }
        if let Some(pin) = self.pin {
            builder = builder.pin(pin);
        }
        if self.insecure_plaintext {
            builder = builder.insecure_plaintext();
        }
        Ok(builder)
    }

    /// Opens the store and starts to connect; `change` has the last word on the session.
    ///
    /// # Errors
    /// What is wrong with the configuration or with the store; nothing that a server does.
    pub(crate) async fn start(
        &self,
        change: impl FnOnce(&mut SessionConfig),
    ) -> Result<(Client, Receiver), Failure> {
        let store = match &self.store {
            Some(store) => store.clone(),
            None => default_store(&self.jid)?,
        };
        let client = self.client()?.store_file(&store).session_config(change);
        client.start().await.map_err(|e| match &e {
            StartError::Store(error) | StartError::Session(SessionError::Store(error)) => {
                store_failure(&store, error)
            }
            _ => start_failure(&e),
        })
    }

    /// What to do about a session that failed.
    pub(crate) fn session_failure(&self, error: &SessionError) -> Failure {
        match (error, &self.store) {
            (SessionError::Store(error), Some(store)) => store_failure(store, error),
            _ => Failure::failed(one_line(error)),
        }
    }
}

/// What to do about a client that cannot be made.
pub(crate) fn start_failure(error: &StartError) -> Failure {
    match error {
        StartError::Store(_) | StartError::Session(_) => Failure::failed(one_line(error)),
        _ => Failure::usage(one_line(error)),
    }
}

/// The store's error, in the words of a command line.
fn store_failure(store: &Path, error: &StoreError) -> Failure {
    let store = store.display();
    let message = match error {
        StoreError::InUse { .. } => format!(
            "another stanchion uses {store}: wait until it ends, or give this one a file of \
             its own by --store"
        ),
        StoreError::Full(_) => format!("the disk of {store} is full: free space, then start again"),
        StoreError::Io(cause) => format!(
            "{store} cannot be used: {cause}; check the path and its permissions, or give \
             another by --store"
        ),
        _ => one_line(error),
    };
    Failure::failed(message)
}

fn read_file(path: Option<&Path>) -> Result<File, Failure> {
    let (path, required) = match path {
        Some(path) => (path.to_owned(), true),
        None => match folder(etcetera::BaseStrategy::config_dir) {
            Ok(folder) => (folder.join("config.toml"), false),
            Err(_) => return Ok(File::default()),
        },
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let file: File = toml::from_str(&text).map_err(|e| {
                // Without the line's text: it may be a password in the wrong place.
                let before = e.span().map_or(0, |span| span.start).min(text.len());
                let line = 1 + text.as_bytes()[..before]
                    .iter()
                    .filter(|b| **b == b'\n')
                    .count();
                let message = e.message().replace('\n', " ");
                Failure::usage(format!("{}, line {line}: {message}", path.display()))
            })?;
            Ok(file.seen_from(path.parent().unwrap_or(Path::new(""))))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !required => Ok(File::default()),
        Err(e) => Err(Failure::usage(format!("{}: {e}", path.display()))),
    }
}

fn folder(kind: impl Fn(&etcetera::base_strategy::Xdg) -> PathBuf) -> Result<PathBuf, Failure> {
    let strategy = etcetera::base_strategy::Xdg::new()
        .map_err(|_| Failure::usage("there is no home folder: give --store and --config"))?;
    Ok(kind(&strategy).join("stanchion"))
}

fn default_store(jid: &BareJid) -> Result<PathBuf, Failure> {
    let folder = folder(etcetera::BaseStrategy::data_dir)?;
    std::fs::create_dir_all(&folder)
        .map_err(|e| Failure::failed(format!("{}: {e}", folder.display())))?;
    // A canonical address has no `/`; other characters are fine in file names.
    Ok(folder.join(format!("{jid}.sqlite")))
}

/// `host:port`, the host a name, an IPv4 address or a bracketed IPv6 address.
pub(crate) fn host_port(text: &str) -> Result<(String, u16), Failure> {
    let wrong = || {
        Failure::usage(format!(
            "{text:?} is not HOST:PORT, such as xmpp.example.org:5222"
        ))
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or_else(wrong)?,
        None if host.contains(':') => return Err(wrong()),
        None => host,
    };
    let port = port.parse().ok().filter(|p| *p > 0).ok_or_else(wrong)?;
    if host.is_empty() {
        Err(wrong())
    } else {
        Ok((host.to_owned(), port))
    }
}

/// From a file that only its owner can read. Never from an argument, which every user
/// of the machine could see.
fn read_password(path: &Path) -> Result<SecretString, Failure> {
    let wrong =
        |what: &dyn std::fmt::Display| Failure::usage(format!("{}: {what}", path.display()));
    let mut file = std::fs::File::open(path).map_err(|e| wrong(&e))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().map_err(|e| wrong(&e))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(wrong(&format_args!(
                "others can read it (mode {:o}); run chmod 600 on it",
                mode & 0o777
            )));
        }
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|e| wrong(&e))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        Err(wrong(&"it holds no password"))
    } else {
        Ok(line.to_owned().into())
    }
}

/// `10s`, `500ms`, `2m`: for clap.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write 10s, 500ms or 2m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_told_apart() {
        assert_eq!(host_port("a.b:5222").unwrap(), ("a.b".to_owned(), 5222));
        assert_eq!(host_port("[::1]:5222").unwrap(), ("::1".to_owned(), 5222));
        for wrong in [
            "a",
            "a:",
            ":1",
            "a:b",
            "::1:5222",
            "a:0",
            "a:65536",
            "[::1:5222",
        ] {
            assert!(host_port(wrong).is_err(), "{wrong}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_password_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "secret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = read_password(&path).unwrap_err();
        assert!(refused.message.contains("chmod 600"), "{}", refused.message);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(read_password(&path).is_ok());
    }

    #[test]
    fn a_mistake_in_the_configuration_never_shows_a_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for text in ["jid = 'a@b'\npassword = 'hunter2'\n", "\nhunter2"] {
            std::fs::write(&path, text).unwrap();
            let message = read_file(Some(&path)).unwrap_err().message;
            assert!(message.contains("line 2"), "{message}");
            assert!(
                !message.contains("hunter2") && !message.contains('\n'),
                "{message}"
            );
        }
    }

    #[test]
    fn paths_in_the_configuration_are_seen_from_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "store = 'a.sqlite'\nca = ['b.pem', '/c.pem']\n").unwrap();
        let file = read_file(Some(&path)).unwrap();
        assert_eq!(file.store, Some(folder.path().join("a.sqlite")));
        assert_eq!(file.ca, [folder.path().join("b.pem"), "/c.pem".into()]);
    }

    #[test]
    fn an_unknown_key_in_the_configuration_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "jid = 'a@b'\npasword_file = 'x'\n").unwrap();
        let failure = read_file(Some(&path)).unwrap_err();
        assert!(
            failure.message.contains("pasword_file"),
            "{}",
            failure.message
        );
    }
}
