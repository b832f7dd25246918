//! Which account, which server, which store: from flags, the environment and the
//! configuration file, in this order of precedence.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use serde::Deserialize;
use stanchion::{BareJid, Client, ClientBuilder, Fingerprint, Roots};

use crate::exit::Failure;

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
    /// TLS from the first byte (port 5223 as a rule) instead of STARTTLS
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
    /// Keep messages in this file (default: one for each account, in the data folder)
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
    /// Read the password from this file; only its owner may be able to read it
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

/// Everything that is needed to connect.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) jid: BareJid,
    password: SecretString,
    connect: Option<(String, u16)>,
    direct_tls: bool,
    ca: Vec<PathBuf>,
    pin: Option<Fingerprint>,
    native_roots: bool,
    insecure_plaintext: bool,
    pub(crate) store: PathBuf,
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
        let password_file = args.password_file.clone().or(file.password_file);
        Ok(Self {
            password: password(password_file.as_deref(), &jid)?,
            connect,
            direct_tls: args.direct_tls || file.direct_tls,
            ca: if args.ca.is_empty() {
                file.ca
            } else {
                args.ca.clone()
            },
            pin,
            native_roots: args.native_roots || file.native_roots,
            insecure_plaintext: args.insecure_plaintext,
            store: match args.store.clone().or(file.store) {
                Some(store) => store,
                None => default_store(&jid)?,
            },
            jid,
        })
    }

    /// A client builder with all of it.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn client(&self) -> Result<ClientBuilder, Failure> {
        let mut builder = Client::builder(self.jid.clone())
            .password(self.password.clone())
            .store_file(&self.store);
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
        Ok(text) => toml::from_str(&text).map_err(|e| {
            Failure::usage(format!(
                "{}: {}",
                path.display(),
                e.to_string().replace('\n', " ")
            ))
        }),
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

/// From `STANCHION_PASSWORD`, or from a file that only its owner can read. Never from
/// an argument, which every user of the machine could see.
fn password(file: Option<&Path>, jid: &BareJid) -> Result<SecretString, Failure> {
    if let Ok(password) = std::env::var("STANCHION_PASSWORD") {
        return Ok(password.into());
    }
    let Some(path) = file else {
        return Err(Failure::usage(format!(
            "no password for {jid}: set STANCHION_PASSWORD, or give --password-file FILE"
        )));
    };
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
        let jid: BareJid = "a@b".parse().unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = password(Some(&path), &jid).unwrap_err();
        assert!(refused.message.contains("chmod 600"), "{}", refused.message);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(password(Some(&path), &jid).is_ok());
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
