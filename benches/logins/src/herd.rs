//! A thousand clients whose server is killed and started again: how hard they come back,
//! and how soon all are there.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clap::Args;
use serde::Serialize;
use stanchion_connect::backoff::{Backoff, BackoffPolicy};
use stanchion_connect::{Account, Connect as _, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_transport::security::Fingerprint;
use stanchion_transport::tls::Roots;
use stanchion_transport::{
    BoxTransport, Dial, DialError, TcpDial, TlsConnector, TlsMode, TlsPolicy, XmppStream,
};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Clients that log in at the same time in the beginning, which is not measured.
const AT_ONCE: usize = 16;

/// What to measure.
#[derive(Debug, Args)]
pub struct Plan {
    /// What the server is called in the report
    #[arg(long)]
    name: String,
    /// The port of its STARTTLS
    #[arg(long)]
    port: u16,
    /// Its domain
    #[arg(long)]
    domain: String,
    /// Whom to trust, in PEM
    #[arg(long, required_unless_present = "pin")]
    ca: Option<PathBuf>,
    /// The certificate to trust
    #[arg(long)]
    pin: Option<Fingerprint>,
    /// Accounts `u0` to `uN`, each with the password `secret`; the clients are spread over
    /// them
    #[arg(long)]
    accounts: usize,
    /// How many clients
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// How long the server is away, in seconds
    #[arg(long, default_value_t = 5)]
    away: u64,
    /// All clients wait as long as each other
    #[arg(long)]
    no_jitter: bool,
    /// The clients know how many they are
    #[arg(long)]
    fleet: bool,
    /// The server's program and arguments, as a JSON array: started and killed here
    #[arg(long)]
    program: Option<String>,
    /// A command that kills the server, as a JSON array
    #[arg(long, conflicts_with = "program", requires = "start_with")]
    kill_with: Option<String>,
    /// A command that starts it and ends once it listens, as a JSON array
    #[arg(long)]
    start_with: Option<String>,
    /// Give up when not all are back by then, in seconds
    #[arg(long, default_value_t = 180)]
    limit: u64,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Figures<'a> {
    server: &'a str,
    jitter: bool,
    fleet: bool,
    clients: usize,
    /// TCP connections begun in the busiest second after the server was back.
    peak_per_second: u32,
    /// TCP connections begun in the busiest tenth of a second, times ten.
    peak_rate: u32,
    /// Connections begun from the kill on until all were back, for each client.
    dials_per_client: f64,
    /// Seconds from the server's return until all had a session.
    seconds: f64,
}

/// What all clients share.
#[derive(Debug)]
struct Herd {
    up: AtomicUsize,
    dials: AtomicU32,
    /// Begin of each connection since the kill.
    begun: Mutex<Vec<Instant>>,
}

/// Counts what is dialled.
struct Counting {
    dial: TcpDial,
    herd: Arc<Herd>,
}

#[async_trait]
impl Dial for Counting {
    async fn dial(&self, endpoint: &Endpoint, domain: &str) -> Result<BoxTransport, DialError> {
        self.herd.dials.fetch_add(1, Ordering::Relaxed);
        lock(&self.herd.begun).push(Instant::now());
        self.dial.dial(endpoint, domain).await
    }

    async fn direct(
        &self,
        pipe: BoxTransport,
        endpoint: &Endpoint,
        domain: &str,
    ) -> Result<BoxTransport, DialError> {
        self.dial.direct(pipe, endpoint, domain).await
    }

    async fn upgrade(&self, pipe: BoxTransport, domain: &str) -> Result<BoxTransport, DialError> {
        self.dial.upgrade(pipe, domain).await
    }
}

/// The server, however it is started.
struct Server<'a> {
    plan: &'a Plan,
    child: Option<Child>,
}

impl Server<'_> {
    async fn start(&mut self) -> Result<(), String> {
        if let Some(program) = &self.plan.program {
            let mut command = command(program)?;
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .kill_on_drop(true);
            self.child = Some(command.spawn().map_err(|e| format!("{program}: {e}"))?);
            return self.listening().await;
        }
        match &self.plan.start_with {
            Some(start) => finish(start).await,
            None => self.listening().await,
        }
    }

    async fn listening(&self) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.plan.port))
                .await
                .is_ok()
            {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err("the server does not listen, or has no certificate".to_owned())
    }

    async fn kill(&mut self) -> Result<(), String> {
        if let Some(mut child) = self.child.take() {
            return child.kill().await.map_err(|e| format!("kill: {e}"));
        }
        match &self.plan.kill_with {
            Some(kill) => finish(kill).await,
            None => Err("there is no way to kill the server".to_owned()),
        }
    }
}

/// Runs one herd and prints its figures.
pub async fn run(plan: &Plan) -> Result<(), String> {
    let mut server = Server { plan, child: None };
    if plan.program.is_some() {
        server.start().await?;
    }
    let herd = Arc::new(Herd {
        up: AtomicUsize::new(0),
        dials: AtomicU32::new(0),
        begun: Mutex::new(Vec::new()),
    });
    let trust = match (plan.pin, &plan.ca) {
        (Some(pin), _) => TlsPolicy::pinned(pin),
        (None, ca) => TlsPolicy::with_roots(ca.iter().cloned().map(Roots::PemFile).collect()),
    };
    let tls = TlsConnector::new(&trust).map_err(|e| e.to_string())?;
    let dial: Arc<dyn Dial> = Arc::new(Counting {
        dial: TcpDial::new(tls),
        herd: Arc::clone(&herd),
    });

    let policy = match plan.fleet {
        true => BackoffPolicy::for_fleet(u32::try_from(plan.clients).unwrap_or(u32::MAX)),
        false => BackoffPolicy::default(),
    };
    let gate = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut clients = JoinSet::new();
    for n in 0..plan.clients {
        let connector = connector(plan, n, Arc::clone(&dial))?;
        let (herd, gate) = (Arc::clone(&herd), Arc::clone(&gate));
        clients.spawn(client(connector, herd, gate, plan.no_jitter, policy));
    }
    all_up(&herd, plan, "in the beginning").await?;

    herd.dials.store(0, Ordering::Relaxed);
    server.kill().await?;
    sleep(Duration::from_secs(plan.away)).await;
    lock(&herd.begun).clear();
    server.start().await?;
    let back = Instant::now();
    all_up(&herd, plan, "after the server's return").await?;
    let seconds = back.elapsed().as_secs_f64();

    let begun = lock(&herd.begun).clone();
    let figures = Figures {
        server: &plan.name,
        jitter: !plan.no_jitter,
        fleet: plan.fleet,
        clients: plan.clients,
        peak_per_second: busiest(&begun, Duration::from_secs(1)),
        peak_rate: 10 * busiest(&begun, Duration::from_millis(100)),
        dials_per_client: f64::from(herd.dials.load(Ordering::Relaxed)) / plan.clients as f64,
        seconds,
    };
    println!("{}", serde_json::json!(figures));
    clients.shutdown().await;
    if plan.program.is_some() {
        server.kill().await?;
    }
    Ok(())
}

async fn all_up(herd: &Herd, plan: &Plan, when: &str) -> Result<(), String> {
    let waiting = async {
        while herd.up.load(Ordering::Relaxed) < plan.clients {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(plan.limit), waiting)
        .await
        .map_err(|_| {
            let up = herd.up.load(Ordering::Relaxed);
            format!(
                "{when}, {up} of {} have a session after {} s",
                plan.clients, plan.limit
            )
        })
}

fn connector(plan: &Plan, n: usize, dial: Arc<dyn Dial>) -> Result<Connector, String> {
    let account = format!("u{}@{}", n % plan.accounts, plan.domain);
    let account = account.parse().map_err(|e| format!("{account}: {e}"))?;
    let place = Endpoint::at(([127, 0, 0, 1], plan.port).into(), TlsMode::StartTls);
    let config = ConnectConfig {
        endpoints: Endpoints::Explicit(vec![place]),
        ..ConnectConfig::default()
    };
    Connector::with_dial(Account::with_password(account, "secret"), config, dial)
        .map_err(|e| e.to_string())
}

/// Connects, holds the session until it is lost, and comes back: as a device does.
async fn client(
    connector: Connector,
    herd: Arc<Herd>,
    gate: Arc<tokio::sync::Semaphore>,
    no_jitter: bool,
    policy: BackoffPolicy,
) {
    let mut backoff = Backoff::new(policy);
    let started = Instant::now();
    // Only the first login waits for its turn.
    let mut turn = gate.acquire_owned().await.ok();
    loop {
        backoff.began(started.elapsed());
        let connected = connector.connect(None).await;
        drop(turn.take());
        if let Ok(connection) = connected {
            backoff.established(started.elapsed());
            herd.up.fetch_add(1, Ordering::Relaxed);
            hold(connection.stream).await;
            herd.up.fetch_sub(1, Ordering::Relaxed);
        }
        let random = if no_jitter { u64::MAX } else { random() };
        let wait = backoff.failed(started.elapsed(), random);
        sleep(wait).await;
    }
}

async fn hold(mut stream: XmppStream) {
    while stream.next().await.is_ok() {}
}

/// The most that begin within `window`.
fn busiest(begun: &[Instant], window: Duration) -> u32 {
    let mut begun = begun.to_vec();
    begun.sort_unstable();
    let mut first = 0;
    let mut most = 0;
    for (last, at) in begun.iter().enumerate() {
        while *at - begun[first] >= window {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    u32::try_from(most).unwrap_or(u32::MAX)
}

fn random() -> u64 {
    getrandom::u64().unwrap_or(1)
}

fn command(words: &str) -> Result<Command, String> {
    let words: Vec<String> = serde_json::from_str(words).map_err(|e| format!("{words}: {e}"))?;
    let (program, arguments) = words.split_first().ok_or("an empty command")?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

async fn finish(words: &str) -> Result<(), String> {
    let status = command(words)?
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .await
        .map_err(|e| format!("{words}: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{words}: {status}"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
