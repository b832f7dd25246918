//! The tour: a house and a ward of patients, two persons with a dashboard each, and a server
//! that can be killed, cut off and gone around while all of them go on. A sensor and a phone
//! count along, so that the tour ends with what was lost (nothing) and doubled (nothing).

mod act;
mod cast;
mod robot;
mod way;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stanchion::services::roster::Policy;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

use super::process::{EndProcess, PATIENCE};
use super::screen::{Link, Screen, View};
use super::server::Server;
use super::tally::{End, ServerState, Tally};
use super::{Access, PASSWORD};
use crate::app::Order;
use crate::dashboard::{Dashboard, DashboardConfig, Seat};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::kept::now;
use crate::settings::Settings;
use crate::terminal::print;
use act::{Act, UnderWay};
use cast::{GATEWAYS, PERSONS, Place};
use way::Way;

/// Frames of the screen.
const FRAME: Duration = Duration::from_millis(100);
/// Between two readings of the sensor.
const PACE: &str = "400ms";
/// Readings at most: more than a tour has time for.
const READINGS: u64 = 1_000_000;
/// What is told to the dashboards, so often.
const TOLD: Duration = Duration::from_millis(250);
/// Lines of the log that dashboards show.
const LOG: usize = 40;
/// How long the last readings may take to arrive.
const REST: Duration = Duration::from_secs(25);

/// How the tour is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// Whether there is a screen to draw on, and keys to press.
    pub(super) screen: bool,
    /// Whether where the dashboards are is printed as a line of JSON.
    pub(super) json: bool,
    /// It ends after so long.
    pub(super) limit: Option<Duration>,
}

/// Gives the tour, until it is interrupted or its time is over.
pub(super) async fn run(options: Options) -> Outcome {
    let interrupt = Interrupt::watch()?;
    let folder = tempfile::Builder::new()
        .prefix("stanchion-demo-")
        .tempdir()
        .map_err(|e| Failure::failed(format!("no temporary folder: {e}")))?;
    let mut tour = Tour::start(options, folder.path()).await?;
    let ended = tour.go(interrupt).await;
    tour.end(ended).await
}

/// Persons and their dashboards.
struct Tour {
    started: Instant,
    options: Options,
    tally: Tally,
    place: Place,
    /// The server; none while something is being done to it.
    server: Option<Server>,
    under_way: Option<(Act, UnderWay)>,
    sensor: EndProcess,
    phone: EndProcess,
    gateway: tokio::process::Child,
    robot: JoinHandle<()>,
    dashboards: Vec<Dashboard>,
    links: Vec<Link>,
    told: watch::Sender<Arc<Value>>,
    wanted: mpsc::Receiver<String>,
    screen: Option<Screen>,
}

impl Tour {
    async fn start(options: Options, folder: &Path) -> Result<Self, Failure> {
        let mut server = Server::hub(folder.join("hub"), cast::users());
        server.start().await.map_err(Failure::failed)?;
        let hub = server.hub_ready().cloned();
        let hub = hub.ok_or_else(|| Failure::failed("the hub did not come up"))?;
        let no_way = |e| Failure::failed(format!("no port on loopback: {e}"));
        let ways = [
            Way::to(hub.starttls).await.map_err(no_way)?,
            Way::to(hub.starttls).await.map_err(no_way)?,
        ];
        let place = Place { ways, hub };
        write_password(folder)?;
        let gateway = cast::gateway(&place, folder)?;
        let access = Access {
            sensor: cast::account("sensor")?.to_string(),
            phone: cast::account("phone")?.to_string(),
            password: PASSWORD.to_owned(),
            arguments: place.options(),
        };
        let phone = EndProcess::start(End::Phone, &access, folder, true, &[])?;
        let (to, readings) = (access.phone.as_str(), READINGS.to_string());
        let words = ["--to", to, "--messages", &readings, "--every", PACE];
        let words = words.map(str::to_owned);
        let sensor = EndProcess::start(End::Sensor, &access, folder, true, &words)?;
        let (told, seen) = watch::channel(Arc::new(Value::Null));
        let (acts, wanted) = mpsc::channel(4);
        let mut dashboards = Vec::new();
        for person in PERSONS {
            let seat = Seat {
                told: seen.clone(),
                acts: acts.clone(),
            };
            dashboards.push(sit_down(person, &place, folder, seat).await?);
        }
        let mut robot = robot::play(&place, folder).await?;
        let robot = tokio::spawn(async move {
            // It ends with the tour.
            let _ = robot.work().await;
            robot.end().await;
        });
        let links = PERSONS.iter().zip(&dashboards);
        let links = links.map(|(person, dashboard)| Link {
            who: (*person).to_owned(),
            url: dashboard.url().to_owned(),
        });
        let links: Vec<_> = links.collect();
        let keys = Act::ALL.map(|act| (act.key(), act.label())).to_vec();
        let screen = options.screen.then(|| Screen::open(&links, keys));
        let screen = screen.transpose()?;
        Ok(Self {
            started: Instant::now(),
            options,
            tally: Tally::new(READINGS, 0),
            place,
            server: Some(server),
            under_way: None,
            sensor,
            phone,
            gateway,
            robot,
            dashboards,
            links,
            told,
            wanted,
            screen,
        })
    }

    fn say_where(&self) -> Result<(), Failure> {
        if self.options.screen {
            return Ok(());
        }
        let lines: Vec<String> = match self.options.json {
            true => {
                let links = self.links.iter().map(|l| (l.who.clone(), json!(l.url)));
                let links: serde_json::Map<_, _> = links.collect();
                vec![json!({ "dashboards": links }).to_string()]
            }
            false => {
                let links = self.links.iter();
                links.map(|l| format!("{}: {}", l.who, l.url)).collect()
            }
        };
        // Somebody who does not read it can still look at the end.
        let _ = print(&lines.join("\n"))?;
        Ok(())
    }

    /// Until a person ends it.
    async fn go(&mut self, mut interrupt: Interrupt) -> Result<(), Failure> {
        self.say_where()?;
        let (say, mut said) = mpsc::channel(8);
        let mut frames = interval(FRAME);
        let mut telling = interval(TOLD);
        let over = self.options.limit.map(|limit| self.started + limit);
        loop {
            tokio::select! {
                report = self.sensor.next() => match report {
                    Some(report) => self.tally.report(self.started.elapsed(), End::Sensor, report),
                    None => return Err(self.sensor.died().await),
                },
                report = self.phone.next() => match report {
                    Some(report) => self.tally.report(self.started.elapsed(), End::Phone, report),
                    None => return Err(self.phone.died().await),
                },
                Some(text) = said.recv() => self.note(text),
                (server, done) = under_way(&mut self.under_way) => {
                    self.server = Some(server);
                    self.under_way = None;
                    done.map_err(Failure::failed)?;
                }
                Some(name) = self.wanted.recv() => self.act(Act::named(&name), &say),
                key = key_of(&mut self.screen) => match key {
                    'q' => return Ok(()),
                    key => self.act(Act::ALL.into_iter().find(|act| act.key() == key), &say),
                },
                _ = frames.tick() => self.draw()?,
                _ = telling.tick() => self.tell(),
                () = until(over) => return Ok(()),
                () = interrupt.seen() => return Ok(()),
            }
        }
    }

    fn note(&mut self, text: &str) {
        let at = self.started.elapsed();
        let state = match text {
            "the server is killed" => Some(ServerState::Killed),
            "the server is started again" => Some(ServerState::Up),
            _ => None,
        };
        match state {
            Some(state) => self.tally.server_is(at, state),
            None => self.tally.note(at, text),
        }
    }

    /// One thing at a time is done to the server.
    fn act(&mut self, act: Option<Act>, say: &mpsc::Sender<&'static str>) {
        let Some(act) = act else { return };
        if let Some(server) = self.server.take() {
            let ways = self.place.ways.clone();
            self.under_way = Some((act, act::begin(act, server, ways, say.clone())));
        }
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let at = self.started.elapsed();
        let doing = self.under_way.as_ref().map(|(act, _)| act.label());
        match &mut self.screen {
            Some(screen) => screen
                .draw(&View {
                    tally: &self.tally,
                    at,
                    doing,
                })
                .map_err(|e| Failure::failed(format!("the terminal failed: {e}"))),
            None => Ok(()),
        }
    }

    /// What the dashboards show of the tour.
    fn tell(&self) {
        let doing = self.under_way.as_ref().map(|(act, _)| *act);
        let buttons = Act::ALL.map(|act| {
            json!({
                "name": act.name(), "label": act.label(), "key": act.key().to_string(),
                "enabled": doing.is_none(), "doing": doing == Some(act),
            })
        });
        let tally = &self.tally;
        let skip = tally.log.len().saturating_sub(LOG);
        let log = tally.log.iter().skip(skip);
        // By the wall, as all that pages show.
        let began = now().before(self.started.elapsed()).as_unix_ms();
        let log: Vec<Value> = log
            .map(|(at, text)| {
                let at = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
                json!({ "at": began.saturating_add(at), "text": text })
            })
            .collect();
        let told = json!({
            "buttons": buttons,
            "server": match tally.server {
                ServerState::Up => "up",
                ServerState::Killed => "killed",
                ServerState::Starting => "starting",
            },
            "sent": tally.sent,
            "delivered": tally.delivered(),
            "waiting": tally.waiting(),
            "lost": tally.failed,
            "duplicated": tally.duplicated(),
            "out_of_order": tally.out_of_order,
            "retransmitted": tally.retransmitted,
            "duplicates_stopped": tally.duplicates_stopped,
            "log": log,
        });
        self.told.send_replace(Arc::new(told));
    }

    /// Ends all, in order: first what sends, then what receives, then what lies between.
    async fn end(mut self, ended: Result<(), Failure>) -> Outcome {
        self.screen = None;
        // Whatever was begun is undone, so that the last readings can arrive.
        if let Some((_, under_way)) = self.under_way.take() {
            let (server, done) = under_way.await;
            self.server = Some(server);
            done.map_err(Failure::failed)?;
        }
        self.robot.abort();
        for dashboard in self.dashboards.drain(..) {
            // How it ends is of no consequence: its store is gone with it.
            let _ = dashboard.close().await;
        }
        self.sensor.let_go();
        let rest = async {
            let mut sends = true;
            while sends || self.tally.lost() > 0 {
                tokio::select! {
                    report = self.sensor.next(), if sends => match report {
                        Some(report) => self.tally.report(self.started.elapsed(), End::Sensor, report),
                        None => sends = false,
                    },
                    report = self.phone.next() => match report {
                        Some(report) => self.tally.report(self.started.elapsed(), End::Phone, report),
                        None => break,
                    },
                }
            }
        };
        // What does not come in this time counts as lost.
        let _ = tokio::time::timeout(REST, rest).await;
        self.sensor.end().await;
        self.phone.end().await;
        drop(self.gateway.stdin.take());
        if tokio::time::timeout(PATIENCE, self.gateway.wait())
            .await
            .is_err()
        {
            // It may have ended by itself.
            let _ = self.gateway.kill().await;
        }
        if let Some(mut server) = self.server.take() {
            // It is killed when it is dropped, if not here.
            let _ = server.kill().await;
        }
        ended?;
        let tally = &self.tally;
        let _ = print(&tally.verdict())?;
        match tally.lost() == 0 && tally.duplicated() == 0 && tally.failed == 0 {
            true => Ok(Exit::Done),
            false => Err(Failure::failed(format!(
                "the tour broke its promise: {}",
                tally.verdict()
            ))),
        }
    }
}

/// A person with a dashboard, who knows the others.
async fn sit_down(
    person: &str,
    place: &Place,
    folder: &Path,
    seat: Seat,
) -> Result<Dashboard, Failure> {
    let settings = Settings::load(&place.args(person, folder)?).await?;
    let domain = cast::DOMAIN.parse().map_err(Failure::failed)?;
    let everybody = Policy::AcceptFrom(vec![domain]);
    let mut config = DashboardConfig::new(
        cast::account(person)?,
        folder.join(format!("{person}.sqlite")),
    );
    config.tour = Some(seat);
    let describe = |client: stanchion::ClientBuilder| client.subscriptions(everybody);
    let dashboard = Dashboard::start(&settings, config, describe).await?;
    let orders = dashboard.orders();
    let others = PERSONS.iter().filter(|other| **other != person);
    let others = others.chain([&cast::ROBOT]).chain(&GATEWAYS);
    for other in others {
        let who = cast::account(other)?;
        let order = match GATEWAYS.contains(other) {
            true => Order::Watch(who.into()),
            false => Order::Add { who, name: None },
        };
        // A desk that has ended says so by itself.
        let _ = orders.send(order).await;
    }
    let room = cast::room()?;
    let join = Order::Join {
        room,
        nick: None,
        password: None,
    };
    let _ = orders.send(join).await;
    Ok(dashboard)
}

/// The password of all, where commands of this process read it.
fn write_password(folder: &Path) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |e| Failure::failed(format!("the temporary folder: {e}"));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join("password"))
        .map_err(failed)?;
    file.write_all(PASSWORD.as_bytes()).map_err(failed)
}

async fn under_way(
    doing: &mut Option<(Act, UnderWay)>,
) -> (Server, Result<(), super::server::ServerError>) {
    match doing {
        Some((_, under_way)) => under_way.await,
        None => std::future::pending().await,
    }
}

async fn key_of(screen: &mut Option<Screen>) -> char {
    match screen {
        Some(screen) => screen.key().await,
        None => std::future::pending().await,
    }
}

async fn until(over: Option<Instant>) {
    match over {
        Some(over) => tokio::time::sleep_until(over).await,
        None => std::future::pending().await,
    }
}
