//! `stanchion demo`: a sensor and a phone, each a process of its own, with a server
//! between them that is killed in mid-stream; and the count of what arrived.

mod ends;
mod process;
mod result;
mod screen;
mod server;
mod tally;

use std::future::Future;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use clap::{Args, ValueEnum};
use stanchion::Jid;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, sleep_until};

use crate::exit::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::settings::{ConnectionArgs, Settings, duration};
use crate::terminal::print;
use process::EndProcess;
use screen::Screen;
use server::{Server, ServerError};
use tally::{End, ServerState, Tally};

pub(crate) use ends::end_of_input;
pub(crate) use server::HubReady;

/// The demo's own accounts need no better one: the hub listens on loopback only.
const PASSWORD: &str = "demo";
/// The server stays down for so long after a kill.
const DOWN: Duration = Duration::from_millis(700);
/// Frames of the screen.
const FRAME: Duration = Duration::from_millis(100);

/// Send messages from a sensor to a phone while the server is killed, and count
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stanchion demo
  stanchion demo --messages 10000 --kills 10 --headless

Exit codes: 0 each message arrived once, 1 one did not, or a fault of this machine, 2 usage.")]
pub(crate) struct Command {
    /// How many messages the sensor sends
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    messages: u64,
    /// How often the server is killed meanwhile
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=1000))]
    kills: u64,
    /// No screen: print a line for each kill, and the result
    #[arg(long)]
    headless: bool,
    /// Print nothing but the result, as JSON lines
    #[arg(long)]
    json: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    limit: u64,
    /// A server that runs already, instead of the embedded hub
    #[arg(long, value_name = "HOST:PORT", requires_all = ["domain", "sensor_jid", "phone_jid", "kill_with", "start_with"])]
    server: Option<String>,
    /// Its domain
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Its certificate authority (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The sensor's account there; the password is in `STANCHION_DEMO_PASSWORD`
    #[arg(long, value_name = "JID")]
    sensor_jid: Option<Jid>,
    /// The phone's account there
    #[arg(long, value_name = "JID")]
    phone_jid: Option<Jid>,
    /// Kills it: words, or a JSON array of strings
    #[arg(long, value_name = "COMMAND")]
    kill_with: Option<String>,
    /// Starts it again
    #[arg(long, value_name = "COMMAND")]
    start_with: Option<String>,
}

/// One end of the demo; started by the demo itself
#[derive(Debug, Args)]
pub(crate) struct EndCommand {
    /// Which
    end: EndArg,
    /// For the sensor: whom to send to
    #[arg(long, value_name = "JID")]
    to: Option<Jid>,
    /// For the sensor: how many messages
    #[arg(long, value_name = "N", default_value_t = 1)]
    messages: u64,
    /// For the sensor: how long to wait before each
    #[arg(long, value_name = "TIME", value_parser = duration)]
    every: Option<Duration>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EndArg {
    Sensor,
    Phone,
}

/// Carries out `demo-end`.
pub(crate) async fn run_end(command: EndCommand) -> Outcome {
    let settings = Settings::load(&command.connection).await?;
    match (command.end, command.to) {
        (EndArg::Sensor, Some(to)) => {
            ends::sensor(&settings, to, command.messages, command.every).await
        }
        (EndArg::Sensor, None) => Err(Failure::usage("the sensor needs --to")),
        (EndArg::Phone, _) => ends::phone(&settings).await,
    }
}

/// How the ends reach the server, as arguments of theirs.
struct Access {
    name: String,
    sensor: String,
    phone: String,
    password: String,
    arguments: Vec<String>,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let interrupt = Interrupt::watch()?;
    let folder = tempfile::Builder::new()
        .prefix("stanchion-demo-")
        .tempdir()
        .map_err(|e| Failure::failed(format!("no temporary folder: {e}")))?;
    let (server, access) = prepare(&command, folder.path()).await?;
    let mut run = Run::start(&command, &access, folder.path(), server)?;
    let ended = run.go(interrupt).await;
    run.stop(ended.is_ok()).await;
    drop(run.screen.take());
    ended?;
    result::conclude(command.json, run.started.elapsed(), run.kills, &run.tally)
}

async fn prepare(command: &Command, folder: &Path) -> Result<(Server, Access), Failure> {
    if let Some(address) = &command.server {
        let text = |jid: &Option<Jid>| jid.as_ref().map(Jid::to_string).unwrap_or_default();
        let commands = |c: &Option<String>| c.clone().unwrap_or_default();
        let server = Server::commands(
            &commands(&command.kill_with),
            &commands(&command.start_with),
        )
        .map_err(Failure::usage)?;
        let mut arguments = vec!["--connect".to_owned(), address.clone()];
        if let Some(ca) = &command.ca {
            arguments.extend(["--ca".to_owned(), ca.display().to_string()]);
        }
        let password = std::env::var("STANCHION_DEMO_PASSWORD").map_err(|_| {
            Failure::usage("put the accounts' password into STANCHION_DEMO_PASSWORD")
        })?;
        let access = Access {
            name: command.domain.clone().unwrap_or_default(),
            sensor: text(&command.sensor_jid),
            phone: text(&command.phone_jid),
            password,
            arguments,
        };
        return Ok((server, access));
    }
    hub(folder).await
}

/// Our own server, started.
async fn hub(folder: &Path) -> Result<(Server, Access), Failure> {
    let users = ["sensor", "phone"]
        .map(|u| format!("{u}:{PASSWORD}"))
        .to_vec();
    let mut server = Server::hub(folder.join("hub"), users);
    server.start().await.map_err(Failure::failed)?;
    let ready = server
        .hub_ready()
        .ok_or_else(|| Failure::failed("the hub did not come up"))?;
    let access = Access {
        name: "hub".to_owned(),
        sensor: "sensor@demo.test".to_owned(),
        phone: "phone@demo.test".to_owned(),
        password: PASSWORD.to_owned(),
        arguments: vec![
            "--connect".to_owned(),
            ready.starttls.to_string(),
            "--pin".to_owned(),
            ready.fingerprint.clone(),
        ],
    };
    Ok((server, access))
}

/// A kill and a new start, which give the server back.
type Outage = Pin<Box<dyn Future<Output = (Server, Result<(), ServerError>)> + Send>>;

/// The server, or what is being done to it.
enum Plant {
    Up(Server),
    Outage(Outage),
    Gone,
}

impl Plant {
    /// Resolves at the end of an outage.
    async fn back(&mut self) -> (Server, Result<(), ServerError>) {
        match self {
            Self::Outage(outage) => outage.await,
            Self::Up(_) | Self::Gone => std::future::pending().await,
        }
    }
}

struct Run {
    tally: Tally,
    sensor: EndProcess,
    phone: EndProcess,
    plant: Plant,
    screen: Option<Screen>,
    /// Whether a line for each kill is printed.
    progress: bool,
    started: Instant,
    kills: u64,
    limit: Duration,
}

impl Run {
    fn start(
        command: &Command,
        access: &Access,
        folder: &Path,
        server: Server,
    ) -> Result<Self, Failure> {
        let terminal = std::io::stdout().is_terminal();
        let screen = (terminal && !command.headless && !command.json)
            .then(|| Screen::new(&access.name))
            .flatten();
        let quiet = screen.is_some();
        let phone = EndProcess::start(End::Phone, access, folder, quiet, &[])?;
        let to = [
            "--to".to_owned(),
            access.phone.clone(),
            "--messages".to_owned(),
            command.messages.to_string(),
        ];
        let sensor = EndProcess::start(End::Sensor, access, folder, quiet, &to)?;
        Ok(Self {
            tally: Tally::new(command.messages, command.kills),
            sensor,
            phone,
            plant: Plant::Up(server),
            progress: !quiet && !command.json,
            screen,
            started: Instant::now(),
            kills: command.kills,
            limit: Duration::from_secs(command.limit),
        })
    }

    /// Until everything has an outcome, the ends have died, or the time is over.
    async fn go(&mut self, mut interrupt: Interrupt) -> Result<(), Failure> {
        let mut frames = interval(FRAME);
        let over = self.started + self.limit;
        let (news, mut server) = mpsc::channel(4);
        loop {
            tokio::select! {
                report = self.sensor.next() => match report {
                    Some(report) => self.tally.report(self.started.elapsed(), End::Sensor, report),
                    None if self.tally.settled() => break,
                    None => return Err(self.sensor.died().await),
                },
                report = self.phone.next() => match report {
                    Some(report) => self.tally.report(self.started.elapsed(), End::Phone, report),
                    None => return Err(self.phone.died().await),
                },
                Some(state) = server.recv() => self.server_is(state)?,
                (server, back) = self.plant.back() => {
                    self.plant = Plant::Up(server);
                    back.map_err(Failure::failed)?;
                }
                _ = frames.tick() => self.draw()?,
                () = sleep_until(over) => {
                    let seconds = self.limit.as_secs();
                    return Err(Failure::failed(format!("given up after {seconds} s: {}", self.tally.verdict())));
                }
                () = interrupt.seen() => return Err(Failure::failed("interrupted")),
            }
            if self.kill_is_due() {
                self.kill(news.clone());
            }
        }
        self.draw()
    }

    /// Kills are spread evenly over the messages.
    fn kill_is_due(&self) -> bool {
        let next = self.tally.kills + 1;
        matches!(self.plant, Plant::Up(_))
            && next <= self.kills
            && self.tally.delivered() >= self.tally.goal * next / (self.kills + 1)
    }

    /// Begins an outage. What the ends report meanwhile is heard as at all times.
    fn kill(&mut self, news: mpsc::Sender<ServerState>) {
        let Plant::Up(mut server) = std::mem::replace(&mut self.plant, Plant::Gone) else {
            return;
        };
        self.plant = Plant::Outage(Box::pin(async move {
            let done = async {
                server.kill().await?;
                // The receiver outlives the outage, or nobody is interested any more.
                let _ = news.send(ServerState::Killed).await;
                sleep(DOWN).await;
                let _ = news.send(ServerState::Starting).await;
                server.start().await?;
                let _ = news.send(ServerState::Up).await;
                Ok(())
            }
            .await;
            (server, done)
        }));
    }

    fn server_is(&mut self, state: ServerState) -> Result<(), Failure> {
        self.tally.server_is(self.started.elapsed(), state);
        if let (true, ServerState::Killed, Some((at, text))) =
            (self.progress, state, self.tally.log.back())
        {
            let _ = print(&format!("{:>7.2} s  {text}", at.as_secs_f64()))?;
        }
        self.draw()
    }

    fn draw(&mut self) -> Result<(), Failure> {
        match &mut self.screen {
            Some(screen) => screen
                .draw(&self.tally, self.started.elapsed())
                .map_err(|e| Failure::failed(format!("the terminal failed: {e}"))),
            None => Ok(()),
        }
    }

    /// Ends all processes. After a good end, hears what the phone still has to say.
    async fn stop(&mut self, good: bool) {
        if good {
            self.phone.let_go();
            let rest = async {
                while let Some(report) = self.phone.next().await {
                    self.tally
                        .report(self.started.elapsed(), End::Phone, report);
                }
            };
            // What does not come in this time counts as lost.
            let _ = tokio::time::timeout(process::PATIENCE, rest).await;
            self.sensor.end().await;
            self.phone.end().await;
        } else {
            self.sensor.kill().await;
            self.phone.kill().await;
        }
        let server = match std::mem::replace(&mut self.plant, Plant::Gone) {
            Plant::Up(server) => Some(server),
            // A server that is being started must not be left behind half-started.
            Plant::Outage(outage) => Some(outage.await.0),
            Plant::Gone => None,
        };
        // A hub is ours to end; another server was not started by us.
        if let Some(mut server @ Server::Hub { .. }) = server {
            // It is killed when it is dropped, if not here.
            let _ = server.kill().await;
        }
    }
}
