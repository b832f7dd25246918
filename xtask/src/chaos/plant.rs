//! The servers of a run: which there are, who has accounts there, how one is killed and
//! started again. What a real server needs is known to `servers`.

use super::ledger::Outage;
use super::plan::Random;
use super::process::Process;
use crate::failure::{Context, Failure, Outcome};
use crate::servers::state::{Cluster, Federation, Kind, Options, State};
use crate::servers::{self, Plan, certificates, ports};
use clap::ValueEnum;
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// All accounts' password; the servers live on loopback, in folders of their own.
pub(crate) const PASSWORD: &str = "chaos";
/// Of the two servers of `domains`.
const DOMAINS: [&str; 2] = ["alpha.test", "beta.test"];
/// The hub has so long to say where it listens.
const HUB_LIMIT: Duration = Duration::from_secs(20);

/// Between what the two ends stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Server {
    /// The embedded server: nothing to install
    #[default]
    Hub,
    /// Prosody
    Prosody,
    /// ejabberd
    Ejabberd,
    /// Two nodes of ejabberd for one domain: both ends know both
    Cluster,
    /// Two Prosodies that federate: the sender has accounts at both, the receiver at the
    /// second; the first is away for seconds each time
    Domains,
    /// Two Prosodies that know nothing of each other, and both ends have accounts at both
    DomainsUnfederated,
}

impl Server {
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether Prosody and ejabberd must be installed.
    pub(crate) fn is_real(self) -> bool {
        self != Self::Hub
    }
}

/// One server that an end has an account at, as the registry of servers is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) jid: String,
    /// Places of the nodes, by their number.
    pub(crate) nodes: Vec<usize>,
    /// How its certificate is known: an option of `stanchion server add`, and its value.
    pub(crate) trust: (&'static str, String),
}

/// A real server's node, and how its certificate is known.
type Started = ((Node, SocketAddr), (&'static str, String));

/// A server's process, up or down; it ends with this value.
#[derive(Debug)]
pub(crate) enum Node {
    /// The command's own.
    Hub(Box<Hub>),
    /// Another one, in its folder.
    Real(PathBuf),
}

/// The embedded server.
#[derive(Debug)]
pub(crate) struct Hub {
    program: PathBuf,
    folder: PathBuf,
    process: Option<Process>,
    /// Once it has been up.
    address: Option<SocketAddr>,
    fingerprint: String,
}

/// A node, or what is being done to it.
#[derive(Debug)]
enum Seat {
    Up(Node),
    /// It comes back with when it went and was up again.
    Out(JoinHandle<(Node, Outcome<Outage>)>),
    Gone,
}

/// All servers of a run.
#[derive(Debug)]
pub(crate) struct Plant {
    seats: Vec<Seat>,
    addresses: Vec<SocketAddr>,
    pub(crate) sender: Vec<Home>,
    pub(crate) receiver: Vec<Home>,
    /// How long the first node is away after a kill: at least and at most, in milliseconds.
    away: (u64, u64),
    /// Makes outages short: the run is over.
    hurry: Arc<AtomicBool>,
    pub(crate) outages: Vec<Outage>,
    pub(crate) kills: u64,
}

impl Plant {
    /// Starts the servers in folders below `root`.
    pub(crate) fn start(server: Server, program: &Path, root: &Path) -> Outcome<Self> {
        match server {
            Server::Hub => Self::hub(program, root),
            Server::Prosody => Self::single(Kind::Prosody, root),
            Server::Ejabberd => Self::single(Kind::Ejabberd, root),
            Server::Cluster => Self::cluster(root),
            Server::Domains => Self::domains(root, true),
            Server::DomainsUnfederated => Self::domains(root, false),
        }
    }

    fn cluster(root: &Path) -> Outcome<Self> {
        let [port] = ports::take()?;
        let secret = format!("chaos{}", micros());
        let first = Ipv4Addr::new(127, 0, 0, 2);
        let second = Ipv4Addr::new(127, 0, 0, 3);
        let folders = [root.join("node-a"), root.join("node-b")];
        one_authority(&folders)?;
        let [folder_a, folder_b] = folders;
        let start = |folder, address, joins: Option<Ipv4Addr>| {
            let cluster = Some(Cluster {
                address,
                port,
                secret: secret.clone(),
                first: joins,
            });
            real(
                Kind::Ejabberd,
                folder,
                "chaos.test",
                Options {
                    cluster,
                    ..options()
                },
            )
        };
        let state = start(folder_a, first, None)?;
        let trust = ("--ca", state.ca.display().to_string());
        // Held from here on, so that it ends if the second one does not start.
        let a = node(&state);
        let b = node(&start(folder_b, second, Some(first))?);
        let [sender, receiver] = ["sender", "receiver"].map(|name| {
            vec![Home {
                nodes: vec![0, 1],
                ..home(name, "chaos.test", 0, &trust)
            }]
        });
        let mut plant = Self::of(vec![a, b], sender, receiver);
        plant.away = (500, 3000);
        Ok(plant)
    }

    fn domains(root: &Path, federated: bool) -> Outcome<Self> {
        let ports: [u16; 2] = ports::take()?;
        let folders = DOMAINS.map(|domain| root.join(domain));
        one_authority(&folders)?;
        let [first, second] = folders;
        let start = |folder, place: usize| -> Outcome<Started> {
            let federation = federated.then(|| Federation {
                port: ports[place],
                neighbours: [(DOMAINS[1 - place].to_owned(), ports[1 - place])].into(),
            });
            let options = Options {
                federation,
                ..options()
            };
            let state = real(Kind::Prosody, folder, DOMAINS[place], options)?;
            let trust = ("--ca", state.ca.display().to_string());
            Ok((node(&state), trust))
        };
        let (alpha, beta) = (start(first, 0)?, start(second, 1)?);
        let at = |name, place: usize| {
            let trust = [&alpha.1, &beta.1][place];
            home(name, DOMAINS[place], place, trust)
        };
        let sender = vec![at("sender", 0), at("sender", 1)];
        let receiver = if federated {
            vec![at("receiver", 1)]
        } else {
            vec![at("receiver", 0), at("receiver", 1)]
        };
        let mut plant = Self::of(vec![alpha.0, beta.0], sender, receiver);
        plant.away = (2000, 6000);
        Ok(plant)
    }

    fn hub(program: &Path, root: &Path) -> Outcome<Self> {
        let mut hub = Hub {
            program: program.to_owned(),
            folder: root.join("hub"),
            process: None,
            address: None,
            fingerprint: String::new(),
        };
        let address = hub.start()?;
        let trust = ("--pin", hub.fingerprint.clone());
        Ok(Self::of(
            vec![(Node::Hub(Box::new(hub)), address)],
            vec![home("sender", "chaos.test", 0, &trust)],
            vec![home("receiver", "chaos.test", 0, &trust)],
        ))
    }

    fn single(kind: Kind, root: &Path) -> Outcome<Self> {
        let state = real(kind, root.join(kind.name()), "chaos.test", options())?;
        let trust = ("--ca", state.ca.display().to_string());
        Ok(Self::of(
            vec![node(&state)],
            vec![home("sender", "chaos.test", 0, &trust)],
            vec![home("receiver", "chaos.test", 0, &trust)],
        ))
    }

    fn of(nodes: Vec<(Node, SocketAddr)>, sender: Vec<Home>, receiver: Vec<Home>) -> Self {
        let (nodes, addresses): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();
        Self {
            seats: nodes.into_iter().map(Seat::Up).collect(),
            addresses,
            sender,
            receiver,
            away: (0, 500),
            hurry: Arc::new(AtomicBool::new(false)),
            outages: Vec::new(),
            kills: 0,
        }
    }

    /// Where each node listens for STARTTLS.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether a node may be killed now: all are up.
    pub(crate) fn is_whole(&self) -> bool {
        self.seats.iter().all(|seat| matches!(seat, Seat::Up(_)))
    }

    /// Whether that node is up.
    pub(crate) fn is_up(&self, node: usize) -> bool {
        matches!(self.seats.get(node), Some(Seat::Up(_)))
    }

    /// Kills a node at once, and starts it again after a while, while this goes on. Of two,
    /// the first is meant twice as often, and is away for longer.
    pub(crate) fn kill(&mut self, random: &mut Random) {
        let second = self.seats.len() > 1 && random.below(3) == 0;
        let (from, to) = if second { (0, 500) } else { self.away };
        let down = random.millis(from, to);
        let Some(seat) = self.seats.get_mut(usize::from(second)) else {
            return;
        };
        match std::mem::replace(seat, Seat::Gone) {
            Seat::Up(mut node) => {
                self.kills += 1;
                let hurry = Arc::clone(&self.hurry);
                *seat = Seat::Out(std::thread::spawn(move || {
                    let back = outage(&mut node, down, &hurry);
                    (node, back)
                }));
            }
            other => *seat = other,
        }
    }

    /// Notes which nodes are back.
    pub(crate) fn look(&mut self) -> Outcome {
        for seat in &mut self.seats {
            if matches!(seat, Seat::Out(thread) if thread.is_finished()) {
                back(seat, &mut self.outages)?;
            }
        }
        Ok(())
    }

    /// Waits until all nodes are up.
    pub(crate) fn settle(&mut self) -> Outcome {
        self.hurry.store(true, Ordering::SeqCst);
        let outcome = self
            .seats
            .iter_mut()
            .map(|seat| back(seat, &mut self.outages))
            .fold(Ok(()), Outcome::and);
        self.hurry.store(false, Ordering::SeqCst);
        outcome
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        // Those that are in an outage come back to be killed for good.
        if let Err(failure) = self.settle() {
            eprintln!("error: {failure}");
        }
    }
}

/// Takes a node back from its outage, if it is in one.
fn back(seat: &mut Seat, outages: &mut Vec<Outage>) -> Outcome {
    match std::mem::replace(seat, Seat::Gone) {
        Seat::Out(thread) => {
            let (node, outage) = thread
                .join()
                .map_err(|_| Failure::Red("the thread of an outage panicked".to_owned()))?;
            *seat = Seat::Up(node);
            outages.push(outage?);
        }
        other => *seat = other,
    }
    Ok(())
}

fn outage(node: &mut Node, down: Duration, hurry: &AtomicBool) -> Outcome<Outage> {
    node.kill()?;
    let gone = micros();
    let begin = Instant::now();
    while begin.elapsed() < down && !hurry.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(5));
    }
    node.start()?;
    Ok(Outage {
        down: gone,
        up: micros(),
    })
}

impl Node {
    fn kill(&mut self) -> Outcome {
        match self {
            Self::Hub(hub) => {
                hub.process = None;
                Ok(())
            }
            Self::Real(dir) => servers::end(dir, Signal::KILL).map(|_| ()),
        }
    }

    fn start(&mut self) -> Outcome {
        match self {
            Self::Hub(hub) => hub.start().map(|_| ()),
            Self::Real(dir) => servers::start_again(dir).map(|_| ()),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(failure) = self.kill() {
            eprintln!("error: {failure}");
        }
    }
}

impl Hub {
    /// Starts it, at the address that it had before.
    fn start(&mut self) -> Outcome<SocketAddr> {
        let listen = self
            .address
            .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let ready = self.folder.with_extension("ready");
        // What an earlier life said is not meant.
        let _ = fs::remove_file(&ready);
        let mut command = Command::new(&self.program);
        command
            .args([
                "hub",
                "--json",
                "--end-with-input",
                "--domain",
                "chaos.test",
            ])
            .args(["--user", &format!("sender:{PASSWORD}")])
            .args(["--user", &format!("receiver:{PASSWORD}")])
            .args(["--starttls", &listen.to_string(), "--state"])
            .arg(&self.folder);
        let mut process = Process::start("hub", command, &ready)?;
        let begin = Instant::now();
        let (address, fingerprint) = loop {
            let text = fs::read_to_string(&ready).unwrap_or_default();
            if let Some(found) = text.split_once('\n').and_then(|(line, _)| read_ready(line)) {
                break found;
            }
            if let Some(status) = process.ended()? {
                return Err(process.failure(status));
            }
            if begin.elapsed() > HUB_LIMIT {
                return Err(Failure::Red(format!(
                    "the hub did not say where it listens within {} s: see {}",
                    HUB_LIMIT.as_secs(),
                    ready.display()
                )));
            }
            sleep(Duration::from_millis(2));
        };
        self.process = Some(process);
        self.address = Some(address);
        self.fingerprint = fingerprint;
        Ok(address)
    }
}

/// What the hub prints once it listens.
fn read_ready(line: &str) -> Option<(SocketAddr, String)> {
    let ready: Value = serde_json::from_str(line).ok()?;
    let address = ready["starttls"].as_str()?.parse().ok()?;
    Some((address, ready["fingerprint"].as_str()?.to_owned()))
}

/// As devices meet them, but for the archive: nothing here reads it, and the servers write
/// it so slowly that it would set the pace.
fn options() -> Options {
    Options {
        no_mam: true,
        ..Options::default()
    }
}

/// Has the servers of two folders be certified by the same authority: the second finds it
/// made.
fn one_authority(folders: &[PathBuf; 2]) -> Outcome {
    let [first, second] = folders;
    for folder in folders {
        fs::create_dir_all(folder).doing("create", folder)?;
    }
    certificates::authority(first)?;
    for name in ["ca.pem", "ca.key"] {
        let (from, to) = (first.join(name), second.join(name));
        fs::copy(&from, &to).doing("copy", &from)?;
    }
    Ok(())
}

fn real(kind: Kind, dir: PathBuf, domain: &str, options: Options) -> Outcome<State> {
    let users = ["sender", "receiver"]
        .map(|name| (name.to_owned(), PASSWORD.to_owned()))
        .into();
    servers::start(Plan {
        kind,
        dir,
        domain: domain.to_owned(),
        users,
        options,
    })
}

fn node(state: &State) -> (Node, SocketAddr) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, state.ports.starttls));
    (Node::Real(state.dir.clone()), address)
}

fn home(name: &str, domain: &str, node: usize, trust: &(&'static str, String)) -> Home {
    Home {
        jid: format!("{name}@{domain}"),
        nodes: vec![node],
        trust: trust.clone(),
    }
}

/// The wall clock in microseconds, as the ends write it.
pub(crate) fn micros() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_says_where_it_listens() {
        let line =
            r#"{"domain":"d","starttls":"127.0.0.1:5","direct_tls":null,"fingerprint":"AB:C"}"#;
        let (address, fingerprint) = read_ready(line).unwrap();
        assert_eq!((address.port(), &*fingerprint), (5, "AB:C"));
        assert!(read_ready("{}").is_none());
    }
}
