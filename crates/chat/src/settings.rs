//! Which account, which server, which store: from flags, the environment and the
//! configuration file, in this order of precedence.
//!
//! Without an account, all registered servers are used: see `Settings::registered`. Of an
//! account that is registered, its entry says what nothing else does.

mod face;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use stanchion::builder::StartError;
use stanchion::connect::config::Plaintext;
use stanchion::connect::registry::{RegistryError, Server, ServerRegistry, read_place};
use stanchion::connect::{Account, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion::reliability::registry::{RegistryFault, SqliteRegistry};
use stanchion::reliability::store::StoreError;
use stanchion::services::Incoming;
use stanchion::session::{SessionConfig, SessionError};
use stanchion::transport::TlsMode;
use stanchion::transport::security::Fingerprint;
use stanchion::{BareJid, Client, ClientBuilder, Roots};
use stanchion_sasl::Credentials;
use tokio::time::Instant;

use crate::exit::{Failure, one_line, registry_failure};
use crate::registered::One;

#[cfg(feature = "tui")]
pub(crate) use face::Missing;

/// To write down how servers fared, and to tell it.
const TO_TELL: Duration = Duration::from_secs(2);

/// How to reach the server; the same for every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// The account, as name@domain (default: those of the registered servers, whichever
    /// of them is there; see `stanchion server`)
    #[arg(long, value_name = "JID", env = "STANCHION_JID")]
    pub(crate) jid: Option<BareJid>,
    /// Connect there, past any look-up; the certificate must still be the domain's. Also
    /// xmpps://HOST:PORT for TLS from the first byte, wss://HOST:PORT/PATH for WebSocket.
    /// Several with commas between: whichever is there, the first of them if it can be
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
    /// account, in the data folder); the servers registered in it count, too
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
    #[serde(default)]
    history: bool,
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
    /// Whose session it is; of registered servers, the first one's.
    server: Box<Server>,
    /// Whence this server and others are taken, and where it is noted how they fare.
    servers: Option<Arc<dyn ServerRegistry>>,
    /// Default: one for each account.
    store: Option<PathBuf>,
    /// The configuration wants a history of what is sent and received.
    history: bool,
}

/// What is said of a server on the command line and in the configuration.
#[derive(Debug, Default)]
struct Said {
    password: Option<SecretString>,
    places: Vec<Endpoint>,
    ca: Vec<PathBuf>,
    pin: Option<Fingerprint>,
    native_roots: bool,
    insecure_plaintext: bool,
}

impl Said {
    /// The server as it is then.
    ///
    /// # Errors
    /// A file that cannot be read; a place without TLS that nothing allows.
    fn of(&self, mut server: Server) -> Result<Server, Failure> {
        if !self.places.is_empty() {
            server.endpoints = Endpoints::Explicit(self.places.clone());
        }
        let mut roots = Vec::new();
        for path in &self.ca {
            // Read here, so that the error names the file.
            let pem = std::fs::read(path)
                .map_err(|e| Failure::usage(format!("--ca {}: {e}", path.display())))?;
            roots.push(Roots::Pem(pem));
        }
        if self.native_roots {
            roots.push(Roots::Native);
        }
        // Whom to trust is one question, answered here or there.
        if !roots.is_empty() || self.pin.is_some() {
            server.tls.pin = self.pin;
        }
        if !roots.is_empty() {
            server.tls.roots = roots;
        }
        if self.insecure_plaintext {
            server.plaintext = Plaintext::Allow;
            server.sasl.allow_plain_without_tls = true;
        }
        let bare = self.places.iter().find(|p| p.mode == TlsMode::None);
        if let Some(place) = bare
            && server.plaintext == Plaintext::Refuse
        {
            return Err(Failure::usage(format!(
                "{place} is without TLS: everybody on the way would read the password; use \
                 another endpoint, or give --insecure-plaintext"
            )));
        }
        if let Some(new) = &self.password {
            match &mut server.account.credentials {
                Credentials::Password { password, .. } => *password = new.clone(),
                _ => {
                    let jid = server.account.jid.clone();
                    let resource = server.account.resource.take();
                    server.account = Account::with_password(jid, new.expose_secret());
                    server.account.resource = resource;
                }
            }
        }
        Ok(server)
    }
}

impl ConnectionArgs {
    /// Whether something is said of a server, which then needs an account.
    fn names_a_server(&self) -> bool {
        self.connect.is_some()
            || self.direct_tls
            || !self.ca.is_empty()
            || self.pin.is_some()
            || self.native_roots
            || self.insecure_plaintext
            || self.password_file.is_some()
    }
}

impl Settings {
    /// Puts the sources together.
    ///
    /// # Errors
    /// Names what is missing or wrong, and where to put it.
    pub(crate) async fn load(args: &ConnectionArgs) -> Result<Self, Failure> {
        let file = read_file(args.config.as_deref())?;
        if args.jid.is_none()
            && file.jid.is_none()
            && !args.names_a_server()
            && let Some(settings) = Self::registered(args, file.store.as_deref()).await?
        {
            return Ok(Self {
                history: file.history,
                ..settings
            });
        }
        let Some(jid) = account(args.jid.as_ref(), file.jid.as_deref())? else {
            return Err(Failure::usage(
                "no account: give --jid name@domain, set jid in the configuration file, \
                 or register a server by `stanchion server add`",
            ));
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
        let (flag, in_file) = (args.password_file.as_deref(), file.password_file.as_deref());
        let said = Said {
            password: password(flag, in_file)?,
            places: places(
                args.connect.as_deref().or(file.connect.as_deref()),
                args.direct_tls || file.direct_tls,
            )?,
            ca: if args.ca.is_empty() {
                file.ca
            } else {
                args.ca.clone()
            },
            pin,
            native_roots: args.native_roots || file.native_roots,
            insecure_plaintext: args.insecure_plaintext,
        };
        let store = args.store.clone().or(file.store);
        if let Some((registry, server)) = Self::entry(&jid, store.as_deref()).await? {
            let server = said.of(server)?;
            let one = One {
                registry,
                server: server.clone(),
            };
            return Ok(Self {
                server: Box::new(server),
                servers: Some(Arc::new(one)),
                store,
                history: file.history,
            });
        }
        let Some(password) = &said.password else {
            return Err(Failure::usage(format!(
                "no password for {jid}: set STANCHION_PASSWORD, or give --password-file FILE"
            )));
        };
        let account = Account::with_password(jid, password.expose_secret());
        Ok(Self {
            server: Box::new(said.of(Server::new(account))?),
            servers: None,
            store,
            history: file.history,
        })
    }

    /// All registered servers; `None` if there is no registry, or none in it. The messages
    /// are then kept beside it: they belong to this machine, and may leave by any of its
    /// accounts.
    async fn registered(
        args: &ConnectionArgs,
        in_file: Option<&Path>,
    ) -> Result<Option<Self>, Failure> {
        let path = match args.store.as_deref().or(in_file) {
            Some(path) => path.to_owned(),
            None => default_registry()?,
        };
        if !path.exists() {
            return Ok(None);
        }
        let failed = |e| registry_failure(&e);
        let registry = SqliteRegistry::open(&path).await.map_err(failed)?;
        let servers = registry.servers().await.map_err(failed)?;
        let Some(first) = servers.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some(Self {
            server: Box::new(first),
            servers: Some(Arc::new(registry)),
            store: Some(path),
            history: false,
        }))
    }

    /// What is registered of an account that is named.
    async fn entry(
        jid: &BareJid,
        store: Option<&Path>,
    ) -> Result<Option<(SqliteRegistry, Server)>, Failure> {
        let path = match store {
            Some(path) => path.to_owned(),
            // Without a home folder there is no registry either.
            None => match default_registry() {
                Ok(path) => path,
                Err(_) => return Ok(None),
            },
        };
        if !path.exists() {
            return Ok(None);
        }
        let registry = match SqliteRegistry::open(&path).await {
            Ok(registry) => registry,
            // What is wrong with it is told when the messages are to be kept there.
            Err(error) if store.is_some() && !can_be_read_by_others(&error) => return Ok(None),
            Err(error) => return Err(registry_failure(&error)),
        };
        let unreadable = registry.unreadable().await;
        let unreadable = unreadable.map_err(|e| registry_failure(&e))?;
        // To do without what it demands of a login would not be safe.
        let own = unreadable.iter().find(
            |e| matches!(e, RegistryError::Unreadable { account, .. } if account == jid.as_str()),
        );
        if let Some(error) = own {
            return Err(registry_failure(error));
        }
        let servers = match registry.servers().await {
            Err(RegistryError::Unreadable { .. }) => Vec::new(),
            servers => servers.map_err(|e| registry_failure(&e))?,
        };
        let own = servers.into_iter().find(|s| s.account.jid == *jid);
        Ok(own.map(|server| (registry, server)))
    }

    /// Whether messages go into the history, by the switch of a command or always.
    pub(crate) const fn keeps_history(&self, switch: bool) -> bool {
        switch || self.history
    }

    /// The same account at the same server, apart from the messages of the other commands:
    /// with a store of its own and without a resource, so that several may live at once. Of
    /// several servers, the first.
    pub(crate) fn apart(&self, store: PathBuf) -> Self {
        let mut server = self.server.clone();
        server.account.resource = None;
        Self {
            server,
            servers: None,
            store: Some(store),
            history: false,
        }
    }

    /// A connector to look the server over: of several, the first. It asks for no token.
    ///
    /// # Errors
    /// What of the configuration cannot work.
    pub(crate) fn connector(&self) -> Result<Connector, Failure> {
        let config = self.server.config(&ConnectConfig {
            fast: false,
            ..ConnectConfig::default()
        });
        Connector::new(self.server.account.clone(), config)
            .map_err(|e| Failure::usage(one_line(&e)))
    }

    /// Describes a client that has no store yet.
    fn client(&self) -> ClientBuilder {
        let account = &self.server.account;
        let builder = Client::builder(account.jid.clone());
        if let Some(servers) = &self.servers {
            return builder.servers(Arc::clone(servers));
        }
        let builder = builder.connect_config(|config| *config = self.server.config(config));
        match &account.credentials {
            Credentials::Password { password, .. } => builder.password(password.clone()),
            // Only registered servers have others.
            _ => builder,
        }
    }

    /// Opens the store and starts to connect; `change` has the last word on the session.
    /// Tries at servers that do not answer end somewhat before `over`, if that is given:
    /// while it can still be told what happened at each.
    ///
    /// # Errors
    /// What is wrong with the configuration or with the store; nothing that a server does.
    pub(crate) async fn start(
        &self,
        over: Option<Instant>,
        change: impl FnOnce(&mut SessionConfig),
    ) -> Result<(Client, Incoming), Failure> {
        self.start_as(over, |client| client.session_config(change))
            .await
    }

    /// The same; `describe` has the last word on the client.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(crate) async fn start_as(
        &self,
        over: Option<Instant>,
        describe: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<(Client, Incoming), Failure> {
        let store = self.store_file()?;
        let mut client = describe(self.client().roster_when_asked().store_file(&store));
        if let Some(over) = over {
            let left = over.saturating_duration_since(Instant::now());
            client = client.first_within(left - (left / 4).min(TO_TELL));
        }
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

fn can_be_read_by_others(error: &RegistryError) -> bool {
    match error {
        RegistryError::Storage(source) => {
            matches!(source.downcast_ref(), Some(RegistryFault::Readable { .. }))
        }
        _ => false,
    }
}

/// What to do about a client that cannot be made.
fn start_failure(error: &StartError) -> Failure {
    match error {
        StartError::Store(_) | StartError::Session(_) => Failure::failed(one_line(error)),
        _ => Failure::usage(one_line(error)),
    }
}

/// The store's error, in the words of a command line.
pub(crate) fn store_failure(store: &Path, error: &StoreError) -> Failure {
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
            let file: File = toml::from_str(&text).map_err(|e| toml_failure(&path, &text, &e))?;
            Ok(file.seen_from(path.parent().unwrap_or(Path::new(""))))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !required => Ok(File::default()),
        Err(e) => Err(Failure::usage(format!("{}: {e}", path.display()))),
    }
}

/// A mistake in a TOML file, with its line and without the line's text or a value: either
/// may be a password in the wrong place.
pub(crate) fn toml_failure(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    let message = error.message().replace('\n', " ");
    let message = match message.rsplit_once("expected ") {
        Some((before, expected)) if before.starts_with("invalid ") => {
            format!("a value of another kind, expected {expected}")
        }
        _ => message,
    };
    Failure::usage(format!("{}, line {line}: {message}", path.display()))
}

/// The number of the line, from 1, in which a byte of the text is.
pub(crate) fn line_of(text: &str, byte: usize) -> usize {
    let before = text.bytes().take(byte);
    1 + before.filter(|b| *b == b'\n').count()
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
    Ok(store_of(jid, &folder))
}

fn store_of(jid: &BareJid, folder: &Path) -> PathBuf {
    // A canonical address has no `/`; other characters are fine in file names.
    folder.join(format!("{jid}.sqlite"))
}

/// Where `send` and `listen` keep the messages when the same is said to them.
pub(crate) fn messages_file(
    store: Option<&Path>,
    jid: Option<&BareJid>,
    config: Option<&Path>,
) -> Result<PathBuf, Failure> {
    let file = read_file(config)?;
    if let Some(store) = store.map(Path::to_owned).or(file.store) {
        return Ok(store);
    }
    match account(jid, file.jid.as_deref())? {
        Some(jid) => Ok(store_of(&jid, &folder(etcetera::BaseStrategy::data_dir)?)),
        None => default_registry(),
    }
}

/// The account that is named, on the command line or in the configuration.
fn account(jid: Option<&BareJid>, in_file: Option<&str>) -> Result<Option<BareJid>, Failure> {
    match (jid, in_file) {
        (Some(jid), _) => Ok(Some(jid.clone())),
        (None, Some(jid)) => jid
            .parse()
            .map(Some)
            .map_err(|e| Failure::usage(format!("the configuration's jid {jid:?}: {e}"))),
        (None, None) => Ok(None),
    }
}

/// The registry that all accounts of the user share.
fn default_registry() -> Result<PathBuf, Failure> {
    Ok(folder(etcetera::BaseStrategy::data_dir)?.join("servers.sqlite"))
}

/// Where the registered servers are: `store`, or what the configuration says.
pub(crate) fn registry_file(
    store: Option<&Path>,
    config: Option<&Path>,
) -> Result<PathBuf, Failure> {
    if let Some(store) = store {
        return Ok(store.to_owned());
    }
    match read_file(config)?.store {
        Some(store) => Ok(store),
        None => default_registry(),
    }
}

/// `HOST:PORT`, or one of the longer forms of an endpoint, or several with commas between.
fn places(text: Option<&str>, direct_tls: bool) -> Result<Vec<Endpoint>, Failure> {
    match text {
        Some(text) => text.split(',').map(|one| place(one, direct_tls)).collect(),
        None if direct_tls => Err(Failure::usage(
            "--direct-tls needs --connect HOST:PORT; without it, DNS says which servers \
             begin with TLS",
        )),
        None => Ok(Vec::new()),
    }
}

fn place(text: &str, direct_tls: bool) -> Result<Endpoint, Failure> {
    let endpoint = read_place(text).map_err(|e| Failure::usage(format!("--connect: {e}")))?;
    match endpoint.mode {
        TlsMode::StartTls if direct_tls => Ok(endpoint.with_mode(TlsMode::Direct)),
        TlsMode::None if direct_tls => Err(Failure::usage(format!(
            "--direct-tls contradicts {text}, which is without TLS; leave out one of them"
        ))),
        _ => Ok(endpoint),
    }
}

/// From the file of the command line, else the environment, else the file of the
/// configuration.
pub(crate) fn password(
    flag: Option<&Path>,
    in_file: Option<&Path>,
) -> Result<Option<SecretString>, Failure> {
    let environment = || std::env::var("STANCHION_PASSWORD").ok().map(Into::into);
    match (flag, environment(), in_file) {
        (Some(path), _, _) | (None, None, Some(path)) => read_password(path).map(Some),
        (None, password, _) => Ok(password),
    }
}

/// A component's secret, from where passwords are.
#[cfg(all(feature = "gateway", unix))]
pub(crate) fn secret(args: &ConnectionArgs) -> Result<SecretString, Failure> {
    let secret = password(args.password_file.as_deref(), None)?;
    secret.ok_or_else(|| {
        Failure::usage("no secret: set STANCHION_PASSWORD, or give --password-file FILE")
    })
}

/// From a file that only its owner can read. Never from an argument, which every user
/// of the machine could see.
pub(crate) fn read_password(path: &Path) -> Result<SecretString, Failure> {
    let wrong =
        |what: &dyn std::fmt::Display| Failure::usage(format!("{}: {what}", path.display()));
    let mut file = std::fs::File::open(path).map_err(|e| wrong(&e))?;
    only_for_owner(&file).map_err(|what| wrong(&what))?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|e| wrong(&e))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        Err(wrong(&"it holds no password"))
    } else {
        Ok(line.to_owned().into())
    }
}

/// Whether only its owner can read a file, where the system knows others.
///
/// # Errors
/// What is wrong and what to do, without the file's name.
pub(crate) fn only_for_owner(file: &std::fs::File) -> Result<(), String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file
            .metadata()
            .map_err(|e| e.to_string())?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(format!(
                "others can read it (mode {:o}), and it holds a password; run chmod 600 on it",
                mode & 0o777
            ));
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// `10s`, `500ms`, `2m`: for clap.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write 10s, 500ms or 2m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_in_every_form_and_tls_is_never_taken_from_it() {
        let read = |text, direct| places(Some(text), direct).map(|mut all| all.remove(0));
        for (text, direct, mode, shown) in [
            ("a.b:5222", false, TlsMode::StartTls, "a.b:5222"),
            ("[::1]:5222", false, TlsMode::StartTls, "[::1]:5222"),
            ("a.b:5223", true, TlsMode::Direct, "a.b:5223"),
            ("xmpps://a.b:5223", false, TlsMode::Direct, "a.b:5223"),
            ("xmpps://a.b:5223", true, TlsMode::Direct, "a.b:5223"),
            ("wss://a.b:443/x", true, TlsMode::Direct, "wss://a.b:443/x"),
            ("ws://a.b:80/x", false, TlsMode::None, "ws://a.b:80/x"),
        ] {
            let endpoint = read(text, direct).unwrap();
            assert_eq!((endpoint.mode, &*endpoint.to_string()), (mode, shown));
        }
        assert!(read("ws://a.b:80/x", true).is_err());
        assert!(places(None, true).is_err());
        assert!(places(None, false).unwrap().is_empty());
        let two = places(Some("127.0.0.1:1,127.0.0.1:2"), true).unwrap();
        assert_eq!(two.iter().map(|e| e.port).collect::<Vec<_>>(), [1, 2]);
        assert!(places(Some("127.0.0.1:1,"), false).is_err());
        for wrong in [
            "a",
            "a:",
            ":1",
            "a:b",
            "::1:5222",
            "a:0",
            "a:65536",
            "[::1:5222",
            "https://a:443",
        ] {
            let message = read(wrong, false).unwrap_err().message;
            assert!(message.contains("HOST:PORT"), "{message}");
        }
    }

    #[test]
    fn what_is_said_of_a_server_goes_before_its_entry_and_the_rest_stays() {
        let account = Account::with_password("lamp@home.example".parse().unwrap(), "old");
        let mut entry = Server::new(account);
        entry.tls.pin = Some(Fingerprint::of(b"a certificate"));
        entry.account.credentials = Credentials::Password {
            authcid: "other-name".to_owned(),
            password: "old".to_owned().into(),
            authzid: None,
        };
        let same = Said::default().of(entry.clone()).unwrap();
        assert!(same.logs_in_like(&entry));
        let said = Said {
            password: Some("new".to_owned().into()),
            native_roots: true,
            ..Said::default()
        };
        let server = said.of(entry).unwrap();
        assert_eq!(
            (server.tls.pin, server.tls.roots),
            (None, vec![Roots::Native])
        );
        let Credentials::Password {
            authcid, password, ..
        } = &server.account.credentials
        else {
            panic!("no password")
        };
        assert_eq!(authcid, "other-name");
        assert_eq!(password.expose_secret(), "new");
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
