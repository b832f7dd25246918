//! `stanchion demo`: a sensor and a phone, each a process of its own, with a server
//! between them that is killed in mid-stream; and the count of what arrived.

mod ends;
mod screen;
mod server;
mod tally;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use stanchion::Jid;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command as Process};
use tokio::time::{Instant, interval, sleep, sleep_until};

use crate::exit::{Exit, Failure, Outcome};
use crate::settings::{ConnectionArgs, Settings};
use screen::Screen;
use server::Server;
use tally::{End, Report, Tally};

pub(crate) use server::HubReady;

/// The demo's own accounts need no better one: the hub listens on loopback only.
const PASSWORD: &str = "demo";
/// The server stays down for so long after a kill.
const DOWN: Duration = Duration::from_millis(700);

/// Sends messages from a sensor to a phone while the server is killed, and counts
#[derive(Debug, Args)]
pub(crate) struct Command {
    /// How many messages the sensor sends
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    messages: u64,
    /// How often the server is killed meanwhile
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=1000))]
    kills: u64,
    /// No screen: run, print the result, end
    #[arg(long)]
    headless: bool,
    /// Print the result as JSON lines (implies --headless)
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
    let settings = Settings::load(&command.connection)?;
    match (command.end, command.to) {
        (EndArg::Sensor, Some(to)) => ends::sensor(&settings, to, command.messages).await,
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
    let folder = tempfile::Builder::new()
        .prefix("stanchion-demo-")
        .tempdir()
        .map_err(|e| Failure::failed(format!("no temporary folder: {e}")))?;
    let (mut server, access) = prepare(&command, folder.path()).await?;
    let mut run = Run::start(&command, &access, folder.path())?;
    let ended = run.go(&mut server, &access.name).await;
    run.stop().await;
    // A hub is ours to end; another server was not started by us.
    if server.hub_ready().is_some() {
        server.kill().await.map_err(Failure::failed)?;
    }
    ended?;
    conclude(&command, &run)
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

/// One end's process.
struct EndProcess {
    child: Child,
    reports: Lines<BufReader<ChildStdout>>,
    /// Open as long as the end shall live.
    _input: Option<ChildStdin>,
}

impl EndProcess {
    fn start(end: &str, access: &Access, folder: &Path, extra: &[String]) -> Result<Self, Failure> {
        let broken = |e| Failure::failed(format!("the {end} could not be started: {e}"));
        let jid = if end == "sensor" {
            &access.sensor
        } else {
            &access.phone
        };
        let mut child = Process::new(std::env::current_exe().map_err(broken)?)
            .args(["demo-end", end, "--jid", jid, "--store"])
            .arg(folder.join(format!("{end}.sqlite")))
            .args(&access.arguments)
            .args(extra)
            .env("STANCHION_PASSWORD", &access.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(broken)?;
        let input = child.stdin.take();
        let output = child
            .stdout
            .take()
            .ok_or_else(|| Failure::failed("an end has no output"))?;
        Ok(Self {
            child,
            reports: BufReader::new(output).lines(),
            _input: input,
        })
    }

    async fn next(&mut self) -> Option<Report> {
        loop {
            let line = self.reports.next_line().await.ok()??;
            if let Ok(report) = serde_json::from_str(&line) {
                return Some(report);
            }
        }
    }

    /// Lets the end finish by itself for a while, then ends it.
    async fn stop(mut self) {
        drop(self._input.take());
        if tokio::time::timeout(Duration::from_secs(5), self.child.wait())
            .await
            .is_err()
        {
            let _ = self.child.kill().await;
        }
    }
}

struct Run {
    tally: Tally,
    sensor: Option<EndProcess>,
    phone: Option<EndProcess>,
    screen: Option<Screen>,
    started: Instant,
    kills: u64,
    limit: Duration,
}

impl Run {
    fn start(command: &Command, access: &Access, folder: &Path) -> Result<Self, Failure> {
        let screen = !command.headless && !command.json && std::io::stdout().is_terminal();
        let phone = EndProcess::start("phone", access, folder, &[])?;
        let to = [
            "--to".to_owned(),
            access.phone.clone(),
            "--messages".to_owned(),
            command.messages.to_string(),
        ];
        let sensor = EndProcess::start("sensor", access, folder, &to)?;
        Ok(Self {
            tally: Tally::new(command.messages),
            sensor: Some(sensor),
            phone: Some(phone),
            screen: screen.then(Screen::default),
            started: Instant::now(),
            kills: command.kills,
            limit: Duration::from_secs(command.limit),
        })
    }

    /// Until everything has an outcome, the ends have died, or the time is over.
    async fn go(&mut self, server: &mut Server, name: &str) -> Result<(), Failure> {
        let mut frames = interval(Duration::from_millis(100));
        let over = self.started + self.limit;
        loop {
            let (Some(sensor), Some(phone)) = (&mut self.sensor, &mut self.phone) else {
                return Ok(());
            };
            tokio::select! {
                report = sensor.next() => match report {
                    Some(report) => self.tally.report(self.started.elapsed(), End::Sensor, report),
                    None => break,
                },
                report = phone.next() => match report {
                    Some(report) => self.tally.report(self.started.elapsed(), End::Phone, report),
                    None => return Err(Failure::failed("the phone's process ended before its time")),
                },
                _ = frames.tick() => self.draw(name)?,
                () = sleep_until(over) => {
                    let seconds = self.limit.as_secs();
                    self.tally.note(self.started.elapsed(), format!("given up after {seconds} s"));
                    break;
                }
                _ = tokio::signal::ctrl_c() => return Err(Failure::failed("interrupted")),
            }
            if self.kill_is_due() {
                self.kill(server, name).await?;
            }
        }
        self.draw(name)
    }

    /// Kills are spread evenly over the messages.
    fn kill_is_due(&self) -> bool {
        let next = self.tally.kills + 1;
        next <= self.kills && self.tally.delivered() >= self.tally.goal * next / (self.kills + 1)
    }

    async fn kill(&mut self, server: &mut Server, name: &str) -> Result<(), Failure> {
        server.kill().await.map_err(Failure::failed)?;
        self.tally.kills += 1;
        self.tally.server_up = false;
        let waiting = self.tally.sent.saturating_sub(self.tally.acknowledged);
        let text = format!(
            "server killed, kill {} of {}; {waiting} messages wait",
            self.tally.kills, self.kills
        );
        self.tally.note(self.started.elapsed(), text);
        self.draw(name)?;
        sleep(DOWN).await;
        server.start().await.map_err(Failure::failed)?;
        self.tally.server_up = true;
        self.tally
            .note(self.started.elapsed(), "server started again");
        Ok(())
    }

    fn draw(&mut self, name: &str) -> Result<(), Failure> {
        match &mut self.screen {
            Some(screen) => screen
                .draw(&self.tally, name, self.started.elapsed())
                .map_err(|e| Failure::failed(format!("the terminal failed: {e}"))),
            None => Ok(()),
        }
    }

    /// Ends both processes, and hears what the phone still has to say.
    async fn stop(&mut self) {
        if let Some(sensor) = self.sensor.take() {
            sensor.stop().await;
        }
        if let Some(mut phone) = self.phone.take() {
            drop(phone._input.take());
            let rest = async {
                while let Some(report) = phone.next().await {
                    self.tally
                        .report(self.started.elapsed(), End::Phone, report);
                }
            };
            // What does not come in this time counts as lost.
            let _ = tokio::time::timeout(Duration::from_secs(5), rest).await;
            phone.stop().await;
        }
    }
}

#[allow(clippy::print_stdout)] // The result is what the command is for.
fn conclude(command: &Command, run: &Run) -> Outcome {
    let tally = &run.tally;
    let seconds = run.started.elapsed().as_secs_f64();
    if command.json {
        let goal = |what: &str, value: u64, goal: u64| {
            println!(
                "{}",
                measure(what, json!(value), "messages", Some(goal), value == goal)
            );
        };
        goal("sent", tally.sent, command.messages);
        goal("delivered", tally.delivered(), command.messages);
        goal("acknowledged", tally.acknowledged, command.messages);
        goal("lost", tally.lost(), 0);
        goal("duplicated", tally.duplicated(), 0);
        for (what, value) in [
            ("retransmitted", tally.retransmitted),
            ("copies stopped", tally.duplicates_stopped),
            ("out of order", tally.out_of_order),
        ] {
            println!("{}", measure(what, json!(value), "messages", None, true));
        }
        println!(
            "{}",
            measure(
                "kills",
                json!(tally.kills),
                "kills",
                Some(run.kills),
                tally.kills == run.kills
            )
        );
        println!(
            "{}",
            measure(
                "time",
                json!((seconds * 1000.0).round() / 1000.0),
                "s",
                None,
                true
            )
        );
    } else {
        println!(
            "{} kills, {} retransmitted, {} copies stopped, {} out of order, {seconds:.1} s",
            tally.kills, tally.retransmitted, tally.duplicates_stopped, tally.out_of_order
        );
        println!("{}", tally.verdict());
    }
    if tally.passed() && tally.kills == run.kills {
        return Ok(Exit::Done);
    }
    Err(Failure::failed(format!(
        "the demo failed: {} of {} acknowledged, {} with another outcome, {} of {} kills; sensor {}, phone {}",
        tally.acknowledged,
        tally.goal,
        tally.failed,
        tally.kills,
        run.kills,
        tally.sensor_status,
        tally.phone_status
    )))
}

/// One figure, in the form that all measuring commands share.
fn measure(
    what: &str,
    value: serde_json::Value,
    unit: &str,
    goal: Option<u64>,
    pass: bool,
) -> String {
    json!({
        "what": what, "value": value, "unit": unit, "against": null, "ratio": null, "goal": goal, "pass": pass,
    })
    .to_string()
}
