//! Fifty people in a room, some of them without TLS where the server allows it, and a burst
//! of a thousand messages in which the server is killed: each arrives at everybody once, and
//! those of one person in their order. Who is busy is seen as busy, before and after.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use stanchion::services::Incoming;
use stanchion::services::presence::{Availability, Status as How};
use stanchion::services::rooms::{JoinOptions, Room, RoomMessages};
use stanchion::services::roster::Policy;
use stanchion::session::{Outgoing, Protection, Status};
use stanchion::{BareJid, Client, Outcome};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::Setting;
use crate::failure::{Doing as _, Failure};
use crate::report::Report;
use crate::server::{DOMAIN, Kind, Server};

const PEOPLE: usize = 50;
/// Of each person.
const MESSAGES: usize = 20;
/// Of them, such as come without TLS, if the server offers that.
const WITHOUT_TLS: usize = 10;
/// The server is killed once so many were shown.
const KILL_AFTER: usize = PEOPLE * MESSAGES / 3;
const DOWN: Duration = Duration::from_secs(2);
/// What does not come although nothing came for so long is lost: longer than any pause
/// between two tries.
const QUIET: Duration = Duration::from_secs(90);
/// For somebody to be seen.
const SEEN: Duration = Duration::from_secs(30);

pub(crate) async fn run(setting: &Setting) -> Result<Report, Failure> {
    let folder = tempfile::tempdir().doing("make a folder")?;
    let mut server = Server::start(setting, folder.path(), (0..PEOPLE).map(name)).await?;
    let rooms = match setting.kind {
        Kind::Hub => "rooms",
        Kind::Prosody | Kind::Ejabberd => "conference",
    };
    let room: BareJid = (format!("tea@{rooms}.{DOMAIN}").parse()).doing("a room's address")?;
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        people.push(Person::start(&server, n, folder.path(), &room).await?);
    }
    let without = people.iter().filter(|person| !person.has_tls()).count();
    let busy = watch_each_other(&people).await?;

    let (heard, mut told) = mpsc::channel(1024);
    let mut listening = JoinSet::new();
    let mut sending = JoinSet::new();
    let began = Instant::now();
    for (n, person) in people.iter_mut().enumerate() {
        let Some((room, messages)) = person.room.take() else {
            continue;
        };
        // Otherwise it would be held back until there is a stream with TLS.
        let protection = match person.has_tls() {
            true => Protection::default(),
            false => Protection::Any,
        };
        listening.spawn(listen(n, messages, heard.clone()));
        sending.spawn(say_all(n, room, protection));
    }
    drop(heard);
    let mut ledger = Ledger::default();
    let mut killed = false;
    let all = async {
        while ledger.heard < PEOPLE * PEOPLE * MESSAGES {
            let Ok(Some((by, who, number))) = timeout(QUIET, told.recv()).await else {
                break;
            };
            ledger.note(by, who, number);
            if !killed && ledger.heard >= KILL_AFTER * PEOPLE {
                killed = true;
                server.kill().await?;
                sleep(DOWN).await;
                server.restart().await?;
            }
        }
        Ok::<_, Failure>(())
    };
    all.await?;
    let took = began.elapsed();
    let mut settled = 0;
    let outcomes = async {
        while let Some(said) = sending.join_next().await {
            settled += said.doing("a person who speaks")??;
        }
        Ok::<_, Failure>(())
    };
    if let Ok(done) = timeout(SEEN, outcomes).await {
        done?;
    }
    // What comes twice would come about now.
    let late = async {
        while let Some((by, who, number)) = told.recv().await {
            ledger.note(by, who, number);
        }
    };
    let _ = timeout(Duration::from_secs(2), late).await;
    listening.shutdown().await;
    let busy_after = sees_busy(&people).await;

    let mut report = Report::new("chat", setting.kind);
    report.figure("people", PEOPLE);
    report.figure("of them without TLS", without);
    report.figure("messages", PEOPLE * MESSAGES);
    report.figure("heard", ledger.heard);
    report.figure("took", format!("{:.1} s", took.as_secs_f64()));
    report.promise("the server was killed in the burst", killed, killed);
    let wanted = PEOPLE * MESSAGES;
    report.promise("messages that the room showed", settled == wanted, settled);
    let missing = (PEOPLE * wanted).saturating_sub(ledger.distinct());
    report.none("messages lost, over all who should have heard", missing);
    report.none("messages doubled", ledger.doubled);
    report.none("messages of one person out of order", ledger.misordered);
    report.promise("busy is seen before", busy, busy);
    report.promise("busy is seen after", busy_after, busy_after);
    for person in people {
        person.client.shutdown().await.doing("end a person")?;
    }
    server.stop().await?;
    Ok(report)
}

fn name(n: usize) -> String {
    format!("person{n}")
}

fn account(n: usize) -> Result<BareJid, Failure> {
    format!("{}@{DOMAIN}", name(n)).parse().doing("an account")
}

struct Person {
    client: Client,
    /// Nobody speaks to one person alone here.
    _incoming: Incoming,
    room: Option<(Room, RoomMessages)>,
}

impl Person {
    async fn start(
        server: &Server,
        n: usize,
        folder: &Path,
        room: &BareJid,
    ) -> Result<Self, Failure> {
        let clear = match n < WITHOUT_TLS {
            true => server.client_without_tls(&name(n), folder)?,
            false => None,
        };
        let client = match clear {
            Some(client) => client,
            None => server.client(&name(n), folder)?,
        };
        let client = client.subscriptions(Policy::AcceptAll);
        let (client, incoming) = client.start().await.doing("start a person")?;
        let nick = name(n);
        let joined = client
            .rooms()
            .join(room.clone(), &nick, JoinOptions::default());
        let joined = joined.await.doing("enter the room")?;
        Ok(Self {
            client,
            _incoming: incoming,
            room: Some(joined),
        })
    }

    fn has_tls(&self) -> bool {
        match &*self.client.status().borrow() {
            Status::Connected { report, .. } => report.tls.is_some(),
            _ => false,
        }
    }
}

/// The first person asks to see the others, some of whom are busy; whether that is seen.
async fn watch_each_other(people: &[Person]) -> Result<bool, Failure> {
    for (n, person) in people.iter().enumerate().skip(1) {
        if n % 7 == 0 {
            let busy = How::of(Availability::Busy);
            person.client.presences().set(busy).await.doing("be busy")?;
        }
    }
    let first = &people[0].client;
    for n in (1..PEOPLE).filter(|n| n % 7 == 0) {
        first
            .roster()
            .subscribe(account(n)?)
            .await
            .doing("subscribe")?;
    }
    Ok(sees_busy(people).await)
}

async fn sees_busy(people: &[Person]) -> bool {
    let presences = people[0].client.presences();
    let all = async {
        for n in (1..PEOPLE).filter(|n| n % 7 == 0) {
            let Ok(who) = account(n) else { return };
            let mut events = presences.events();
            loop {
                let best = presences.best(&who).await.ok().flatten();
                if best.is_some_and(|(_, how)| how.availability == Availability::Busy) {
                    break;
                }
                if let Err(tokio::sync::broadcast::error::RecvError::Closed) = events.recv().await {
                    return;
                }
            }
        }
    };
    timeout(SEEN, all).await.is_ok()
}

/// Says all that a person has to say, and gives how much of it the room showed.
async fn say_all(n: usize, room: Room, protection: Protection) -> Result<usize, Failure> {
    let mut sent = Vec::with_capacity(MESSAGES);
    for number in 0..MESSAGES {
        let message = Outgoing::room(room.jid().clone(), format!("{n} {number}"));
        let message = message.doing("say")?.protection(protection);
        sent.push(room.send(message).await.doing("say")?);
    }
    let mut shown = 0;
    for message in sent {
        let outcome = message.outcome().await.doing("hear what became of it")?;
        shown += usize::from(matches!(outcome, Outcome::Acknowledged { .. }));
    }
    Ok(shown)
}

/// Hears all that is said: by whom it was heard, who said it, and its number.
async fn listen(n: usize, mut messages: RoomMessages, heard: mpsc::Sender<(usize, usize, usize)>) {
    while let Some(message) = messages.recv().await {
        let said = message.body().into_owned();
        let said = said
            .split_once(' ')
            .and_then(|(who, number)| Some((who.parse().ok()?, number.parse().ok()?)));
        if let Some((who, number)) = said
            && heard.send((n, who, number)).await.is_err()
        {
            return;
        }
        if message.commit().await.is_err() {
            return;
        }
    }
}

/// Who heard what.
#[derive(Debug, Default)]
struct Ledger {
    heard: usize,
    doubled: usize,
    misordered: usize,
    /// How often each was heard by whom.
    times: HashMap<(usize, usize, usize), u32>,
    last: HashMap<(usize, usize), usize>,
}

impl Ledger {
    fn note(&mut self, by: usize, who: usize, number: usize) {
        self.heard += 1;
        let times = self.times.entry((by, who, number)).or_default();
        *times += 1;
        if *times > 1 {
            self.doubled += 1;
            return;
        }
        let last = self.last.insert((by, who), number);
        if last.is_some_and(|last| last > number) {
            self.misordered += 1;
        }
    }

    fn distinct(&self) -> usize {
        self.times.len()
    }
}
