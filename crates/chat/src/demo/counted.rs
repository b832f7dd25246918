//! The counted run: so many messages, so many kills of the server, and what came of it.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use stanchion::Jid;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::process::{self, EndProcess};
use super::server::{Server, ServerError};
use super::tally::{End, ServerState, Tally};
use super::{Access, Command, PASSWORD, result};
use crate::exit::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::terminal::print;

/// The server stays down for so long after a kill.
const DOWN: Duration = Duration::from_millis(700);
/// A run that was given no time ends after this.
const LIMIT: u64 = 600;

/// Carries it out.
pub(super) async fn run(command: Command) -> Outcome {
    let interrupt = Interrupt::watch()?;
    let folder = tempfile::Builder::new()
        .prefix("stanchion-demo-")
        .tempdir()
        .map_err(|e| Failure::failed(format!("no temporary folder: {e}")))?;
    let (server, access) = prepare(&command, folder.path()).await?;
    let mut run = Run::start(&command, &access, folder.path(), server)?;
    let ended = run.go(interrupt).await;
    run.stop(ended.is_ok()).await;
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
        let phone = EndProcess::start(End::Phone, access, folder, false, &[])?;
        let to = [
            "--to".to_owned(),
            access.phone.clone(),
            "--messages".to_owned(),
            command.messages.to_string(),
        ];
        let sensor = EndProcess::start(End::Sensor, access, folder, false, &to)?;
        Ok(Self {
            tally: Tally::new(command.messages, command.kills),
            sensor,
            phone,
            plant: Plant::Up(server),
            progress: !command.json,
            started: Instant::now(),
            kills: command.kills,
            limit: Duration::from_secs(command.limit.unwrap_or(LIMIT)),
        })
    }

    /// Until everything has an outcome, the ends have died, or the time is over.
    async fn go(&mut self, mut interrupt: Interrupt) -> Result<(), Failure> {
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
                Some(state) = server.recv() => self.server_is(state),
                (server, back) = self.plant.back() => {
                    self.plant = Plant::Up(server);
                    back.map_err(Failure::failed)?;
                }
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
        Ok(())
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

    fn server_is(&mut self, state: ServerState) {
        self.tally.server_is(self.started.elapsed(), state);
        if let (true, ServerState::Killed, Some((at, text))) =
            (self.progress, state, self.tally.log.back())
        {
            // Who does not read has the exit code.
            let _ = print(&format!("{:>7.2} s  {text}", at.as_secs_f64()));
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
