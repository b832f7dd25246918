//! `cargo xtask servers`: real XMPP servers on loopback, for tests and demos.
//!
//! Each server lives in a folder of its own: configuration, data, logs,
//! certificates and `server.json`. This file owns the life of a server; what
//! differs from server to server is left to `prosody` and `ejabberd`.

pub(crate) mod certificates;
pub(crate) mod daemon;
mod ejabberd;
pub(crate) mod ports;
pub(crate) mod prosody;
mod ready;
pub(crate) mod state;

use crate::failure::{Context, Failure, Outcome};
use certificates::Flaws;
use clap::{Args, Subcommand};
use daemon::Ending;
use rustix::process::Signal;
use state::{FolderLock, Kind, Options, Ports, State};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest a server may take to answer: a busy machine included.
const START_LIMIT: Duration = Duration::from_secs(180);

/// The longest that a dead server's sockets may stay open.
const SOCKETS_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a server, or start again the one of a folder with its ports and data
    ///
    /// Blocks until the server answers a stream header with features. Without
    /// a name, starts again what `stop` or `kill` ended in --dir.
    Start(Start),
    /// End a server politely (SIGTERM)
    Stop(Folder),
    /// End a server at once (SIGKILL), as a crash would
    Kill(Folder),
    /// Freeze a server with its connections open (SIGSTOP)
    Pause(Folder),
    /// Let a frozen server go on (SIGCONT)
    Unpause(Folder),
    /// Tell what is known about a folder's server; exit status 1 when it is down
    Status(Folder),
    /// Add an account, or change its password, while the server runs
    Adduser(AddUser),
    /// Make the server's certificate anew, good or flawed; restart the server to use it
    Servercert(ServerCert),
}

#[derive(Debug, Args)]
struct Folder {
    /// The server's folder
    #[arg(long)]
    dir: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Start {
    /// Which server; needed the first time
    kind: Option<Kind>,
    /// The server's folder [default: a new one among the temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The XMPP domain it serves [default: NAME.test]
    #[arg(long)]
    domain: Option<String>,
    /// An account; may be given more than once
    #[arg(long = "user", value_name = "NAME:PASSWORD", value_parser = name_and_password)]
    users: Vec<(String, String)>,
    #[command(flatten)]
    options: Options,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct AddUser {
    #[command(flatten)]
    folder: Folder,
    /// The localpart of the JID
    name: String,
    password: String,
}

#[derive(Debug, Args)]
struct ServerCert {
    #[command(flatten)]
    folder: Folder,
    /// One that ended in 2021
    #[arg(long)]
    expired: bool,
    /// One that no authority signed
    #[arg(long)]
    self_signed: bool,
}

/// Carries out the command.
pub(crate) fn run(command: Command) -> Outcome {
    match command.verb {
        Verb::Start(start) => {
            let json = start.json;
            let state = match (start.kind, &start.dir) {
                (None, Some(dir)) => start_again(dir)?,
                (None, None) => {
                    return Err(Failure::Misuse(
                        "say which server (prosody or ejabberd), or the --dir of a stopped one"
                            .to_owned(),
                    ));
                }
                (Some(kind), _) => self::start(Plan {
                    kind,
                    dir: match start.dir {
                        Some(dir) => dir,
                        None => fresh_folder()?,
                    },
                    domain: start
                        .domain
                        .unwrap_or_else(|| format!("{}.test", kind.name())),
                    users: start.users.into_iter().collect(),
                    options: start.options,
                })?,
            };
            tell(&state, json);
            Ok(())
        }
        Verb::Stop(folder) => ended(&folder, end(&folder.dir, Signal::TERM)?),
        Verb::Kill(folder) => ended(&folder, end(&folder.dir, Signal::KILL)?),
        Verb::Pause(folder) => signal(&folder, Signal::STOP),
        Verb::Unpause(folder) => signal(&folder, Signal::CONT),
        Verb::Status(folder) => {
            let state = State::existing(&absolute(&folder.dir)?)?;
            tell(&state, folder.json);
            if state.running() {
                Ok(())
            } else {
                Err(Failure::Red(format!(
                    "{} is not running",
                    state.kind.name()
                )))
            }
        }
        Verb::Adduser(add) => {
            let state = add_user(&add.folder.dir, &add.name, &add.password)?;
            tell(&state, add.folder.json);
            Ok(())
        }
        Verb::Servercert(order) => {
            let dir = absolute(&order.folder.dir)?;
            let _lock = FolderLock::take(&dir)?;
            let state = State::existing(&dir)?;
            let flaws = Flaws {
                expired: order.expired,
                self_signed: order.self_signed,
            };
            certificates::server(&dir, &state.domain, flaws)?;
            tell(&state, order.folder.json);
            Ok(())
        }
    }
}

/// All that is chosen when a server is started for the first time.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) dir: PathBuf,
    pub(crate) domain: String,
    pub(crate) users: BTreeMap<String, String>,
    pub(crate) options: Options,
}

/// Starts a server in a folder. Over a stopped one of the same kind and domain
/// it takes the new options and keeps ports, data, certificates and accounts.
pub(crate) fn start(plan: Plan) -> Outcome<State> {
    fs::create_dir_all(&plan.dir).doing("create", &plan.dir)?;
    let dir = absolute(&plan.dir)?;
    let _lock = FolderLock::take(&dir)?;
    let state = match State::load(&dir)? {
        Some(old) if old.kind != plan.kind || old.domain != plan.domain => {
            return Err(Failure::Misuse(format!(
                "{} belongs to {} for {}: choose another --dir",
                dir.display(),
                old.kind.name(),
                old.domain
            )));
        }
        Some(mut old) => {
            old.users.extend(plan.users);
            old.options = plan.options;
            old
        }
        None => {
            let [starttls, direct_tls, http, https, component] = ports::take()?;
            let path = match plan.kind {
                Kind::Prosody => "xmpp-websocket",
                Kind::Ejabberd => "ws",
            };
            State {
                kind: plan.kind,
                domain: plan.domain,
                host: "127.0.0.1".to_owned(),
                ports: Ports {
                    starttls,
                    direct_tls,
                    http,
                    https,
                    component,
                },
                ca: dir.join("ca.pem"),
                users: plan.users,
                websocket: format!("ws://127.0.0.1:{http}/{path}"),
                websocket_tls: format!("wss://127.0.0.1:{https}/{path}"),
                log: dir.join(format!("{}.log", plan.kind.name())),
                options: plan.options,
                process: None,
                dir,
            }
        }
    };
    certificates::authority(&state.dir)?;
    if !state.certificate("crt").exists() {
        certificates::server(&state.dir, &state.domain, Flaws::default())?;
    }
    launch(state)
}

/// A server for as long as this value lives, in a temporary folder that goes
/// with it. It may be killed and started again meanwhile.
pub(crate) struct Temporary {
    pub(crate) state: State,
    _folder: TempDir,
}

impl Temporary {
    pub(crate) fn start(kind: Kind, domain: &str, users: &[(&str, &str)]) -> Outcome<Self> {
        Self::start_with(kind, domain, users, Options::default())
    }

    /// The same, with options.
    pub(crate) fn start_with(
        kind: Kind,
        domain: &str,
        users: &[(&str, &str)],
        options: Options,
    ) -> Outcome<Self> {
        let temp = std::env::temp_dir();
        let folder = tempfile::Builder::new()
            .prefix("stanchion-")
            .tempdir()
            .doing("create a folder in", &temp)?;
        let state = start(Plan {
            kind,
            dir: folder.path().to_owned(),
            domain: domain.to_owned(),
            users: users
                .iter()
                .map(|(name, password)| ((*name).to_owned(), (*password).to_owned()))
                .collect(),
            options,
        })?;
        Ok(Self {
            state,
            _folder: folder,
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(failure) = end(&self.state.dir, Signal::KILL) {
            eprintln!("error: {failure}");
        }
    }
}

/// The path of this program, for others to call.
pub(crate) fn own_program() -> Outcome<PathBuf> {
    let path = std::env::current_exe().doing("find", Path::new("/proc/self/exe"))?;
    // Linux adds this once cargo has built the program anew: that one will do.
    let text = path.to_string_lossy();
    Ok(text
        .strip_suffix(" (deleted)")
        .map_or_else(|| path.clone(), PathBuf::from))
}

/// Starts the server of a folder again: same ports, data and options.
pub(crate) fn start_again(dir: &Path) -> Outcome<State> {
    let dir = absolute(dir)?;
    let _lock = FolderLock::take(&dir)?;
    launch(State::existing(&dir)?)
}

fn launch(mut state: State) -> Outcome<State> {
    if state.running() {
        return Err(Failure::Misuse(format!(
            "{} already runs in {}",
            state.kind.name(),
            state.dir.display()
        )));
    }
    // Prosody goes on without a port that it cannot have: look first.
    if let Some(port) = state.ports.in_use() {
        return Err(Failure::Misuse(format!(
            "port {port} is in use by another program: choose another --dir to get other ports"
        )));
    }
    state.save()?;
    let outcome = match state.kind {
        Kind::Prosody => prosody::start(&mut state, START_LIMIT),
        Kind::Ejabberd => ejabberd::start(&mut state, START_LIMIT),
    };
    if let Err(failure) = outcome {
        if let Some(daemon) = state.process {
            daemon.end(Signal::KILL);
        }
        return Err(failure);
    }
    state.save()?;
    Ok(state)
}

/// Ends the server of a folder with SIGTERM or SIGKILL and waits for its end.
pub(crate) fn end(dir: &Path, signal: Signal) -> Outcome<Ending> {
    let dir = absolute(dir)?;
    let _lock = FolderLock::take(&dir)?;
    let state = State::existing(&dir)?;
    let ending = state
        .process
        .map_or(Ending::NotRunning, |daemon| daemon.end(signal));
    // A process with many threads is a zombie shortly before its last thread
    // closes the sockets. Whoever connects after this call must be refused.
    let begin = Instant::now();
    while state.ports.in_use().is_some() && begin.elapsed() < SOCKETS_LIMIT {
        sleep(Duration::from_millis(5));
    }
    Ok(ending)
}

fn add_user(dir: &Path, name: &str, password: &str) -> Outcome<State> {
    let dir = absolute(dir)?;
    let _lock = FolderLock::take(&dir)?;
    let mut state = State::existing(&dir)?;
    match state.kind {
        Kind::Prosody => prosody::add_user(&state, name, password)?,
        // A stopped one gets the account when it starts.
        Kind::Ejabberd if state.running() => {
            ejabberd::add_users(
                &state,
                [(&name.to_owned(), &password.to_owned())].into_iter(),
            )?;
        }
        Kind::Ejabberd => {}
    }
    state.users.insert(name.to_owned(), password.to_owned());
    state.save()?;
    Ok(state)
}

fn signal(folder: &Folder, signal: Signal) -> Outcome {
    let state = State::existing(&absolute(&folder.dir)?)?;
    if state.process.is_some_and(|daemon| daemon.signal(signal)) {
        tell(&state, folder.json);
        return Ok(());
    }
    Err(Failure::Misuse(format!(
        "{} is not running",
        state.kind.name()
    )))
}

fn ended(folder: &Folder, ending: Ending) -> Outcome {
    if folder.json {
        println!(
            "{}",
            serde_json::json!({ "dir": folder.dir, "ending": ending })
        );
    } else {
        println!(
            "{}: {}",
            folder.dir.display(),
            match ending {
                Ending::NotRunning => "was not running",
                Ending::Ended => "ended",
                Ending::KilledAfterWaiting => "killed, for it did not end within 10 s",
            }
        );
    }
    Ok(())
}

fn tell(state: &State, json: bool) {
    if json {
        println!("{}", state.report());
        return;
    }
    let running = if state.running() {
        "running"
    } else {
        "stopped"
    };
    println!("{} {running} in {}", state.kind.name(), state.dir.display());
    println!("  domain      {}", state.domain);
    println!("  STARTTLS    {}:{}", state.host, state.ports.starttls);
    println!("  direct TLS  {}:{}", state.host, state.ports.direct_tls);
    println!("  WebSocket   {}  {}", state.websocket_tls, state.websocket);
    if let Some((name, secret)) = &state.options.component {
        let (host, port) = (&state.host, state.ports.component);
        println!(
            "  component   {host}:{port}  {name}.{} {secret}",
            state.domain
        );
    }
    println!("  CA          {}", state.ca.display());
    println!("  log         {}", state.log.display());
    for (name, password) in &state.users {
        println!("  user        {name}@{} {password}", state.domain);
    }
    let mut names = state.users.keys();
    if let Some(from) = names.next() {
        let to = names.next().unwrap_or(from);
        println!("\nTry:\n  STANCHION_PASSWORD={} \\", state.users[from]);
        println!(
            "  stanchion send --jid {from}@{domain} --connect {host}:{port} --ca {ca} --to {to}@{domain} hello",
            domain = state.domain,
            host = state.host,
            port = state.ports.starttls,
            ca = state.ca.display(),
        );
    }
    println!(
        "\nEnd it:\n  cargo xtask servers stop --dir {}",
        state.dir.display()
    );
}

fn fresh_folder() -> Outcome<PathBuf> {
    let temp = std::env::temp_dir();
    tempfile::Builder::new()
        .prefix("stanchion-")
        .tempdir()
        .map(TempDir::keep)
        .doing("create a folder in", &temp)
}

fn absolute(dir: &Path) -> Outcome<PathBuf> {
    dir.canonicalize().doing("open", dir)
}

fn name_and_password(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, password)) if !name.is_empty() && !password.is_empty() => {
            Ok((name.to_owned(), password.to_owned()))
        }
        _ => Err("write NAME:PASSWORD".to_owned()),
    }
}
