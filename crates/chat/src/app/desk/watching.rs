//! The loop: takes what the session, the services and the person say, and hands on what takes
//! time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stanchion::reliability::store::SqliteReader;
use stanchion::services::Incoming;
use stanchion::services::chat::ChatEvent;
use stanchion::services::history::{Page, Progress};
use stanchion::services::presence::PresenceEvent;
use stanchion::services::rooms::{Invitation, Invitations, RoomEvent, RoomMessages};
use stanchion::services::roster::{Contact, RosterEvent};
use stanchion::session::SessionEvent;
use stanchion::stanza::payload::chat_states::ChatState;
use stanchion::stanza::payload::sensordata::Profile;
use stanchion::{BareJid, Jid};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::super::event::Event;
use super::super::flow::Gauge;
use super::super::order::Order;
use super::super::room::RoomChange;
use super::invitations::Waiting;
use super::speaking::{Speech, speak};
use super::{Held, doing, keeping, telling, things};
use crate::kept::now;

/// What is being done at once; further orders wait.
const AT_ONCE: usize = 64;
/// What may wait to be said.
const SPEECHES: usize = 64;
/// Accounts whose things are watched.
const WATCHED: usize = 256;
/// Conversations that are read again if something was missed.
const OPEN: usize = 32;
/// Between two gauges.
const GAUGE: Duration = Duration::from_secs(1);
/// A store that takes longer than this to count is counted less often.
const LONG: Duration = Duration::from_millis(50);

/// What came of something that was done on its own.
enum Done {
    Nothing,
    /// A room was entered, or not.
    Joined(BareJid, Option<RoomMessages>),
    /// An account has things, or not.
    Things(Jid, bool),
}

/// The loop's own.
pub(super) struct Watching {
    held: Arc<Held>,
    incoming: Option<Incoming>,
    orders: mpsc::Receiver<Order>,
    stopped: watch::Receiver<bool>,
    work: JoinSet<Done>,
    speeches: mpsc::Sender<Speech>,
    speaker: JoinSet<()>,
    /// Rooms that are being entered, or listened to.
    rooms: BTreeSet<BareJid>,
    /// Who listens to them, and who watches things.
    listeners: JoinSet<()>,
    watched: BTreeMap<BareJid, AbortHandle>,
    /// Those of whom a person said that they are not to be watched.
    unwatched: BTreeSet<BareJid>,
    /// Conversations that were opened, the latest last.
    open: Vec<BareJid>,
    /// How many messages have no outcome, and when that is counted next.
    queued: (u64, Instant),
    reader: Option<SqliteReader>,
}

/// What the services say.
struct Voices {
    status: watch::Receiver<stanchion::session::Status>,
    session: broadcast::Receiver<SessionEvent>,
    roster: broadcast::Receiver<RosterEvent>,
    presence: broadcast::Receiver<PresenceEvent>,
    chat: broadcast::Receiver<ChatEvent>,
    rooms: broadcast::Receiver<RoomEvent>,
    invitations: Option<Invitations>,
}

impl Watching {
    pub(super) fn new(
        held: Arc<Held>,
        incoming: Incoming,
        orders: mpsc::Receiver<Order>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let (speeches, speeches_rx) = mpsc::channel(SPEECHES);
        let mut speaker = JoinSet::new();
        speaker.spawn(speak(Arc::clone(&held), speeches_rx));
        Self {
            held,
            incoming: Some(incoming),
            orders,
            stopped,
            work: JoinSet::new(),
            speeches,
            speaker,
            rooms: BTreeSet::new(),
            listeners: JoinSet::new(),
            watched: BTreeMap::new(),
            unwatched: BTreeSet::new(),
            open: Vec::new(),
            queued: (0, Instant::now()),
            reader: None,
        }
    }

    /// Works until it is stopped, or the session has ended.
    pub(super) async fn run(mut self) {
        let client = &self.held.client;
        // First, so that nothing is missed in between.
        let mut voices = Voices {
            status: client.status(),
            session: client.events(),
            roster: client.roster().events(),
            presence: client.presences().events(),
            chat: client.chat().events(),
            rooms: client.rooms().events(),
            invitations: client.rooms().invitations().await.ok(),
        };
        voices.status.mark_changed();
        self.begin().await;
        let mut gauges = interval(GAUGE);
        gauges.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = self.work.len() < AT_ONCE;
            tokio::select! {
                _ = self.stopped.changed() => break,
                changed = voices.status.changed() => match changed {
                    Ok(()) => self.status(&mut voices.status).await,
                    Err(_) => break,
                },
                Some(done) = self.work.join_next() => self.done(done.unwrap_or(Done::Nothing)),
                Some(_) = self.listeners.join_next() => {}
                event = voices.session.recv() => self.session(event).await,
                event = voices.roster.recv() => self.roster(event).await,
                event = voices.presence.recv() => self.presence(event).await,
                event = voices.chat.recv() => self.chat(event).await,
                event = voices.rooms.recv() => self.room(event).await,
                invitation = next(&mut voices.invitations) => self.invited(invitation).await,
                received = next_of(&mut self.incoming) => match received {
                    Some(received) => keeping::take(&self.held, received).await,
                    None => self.incoming = None,
                },
                Some(order) = self.orders.recv(), if room => self.order(order).await,
                _ = gauges.tick() => self.gauge().await,
            }
        }
        self.end().await;
    }

    /// What was there before.
    async fn begin(&mut self) {
        doing::talks(&self.held).await;
        if let Ok(how) = self.held.client.presences().status().await {
            self.held.tell(telling::own(&how)).await;
        }
        self.contacts().await;
        match self.held.invitations.all().await {
            Ok(waiting) => {
                let events = waiting.iter().map(Waiting::event);
                self.held.tell_all(events).await;
            }
            Err(error) => {
                let what = "invitations cannot be read";
                self.held.failed(what, &error).await;
            }
        }
        for room in self.held.client.rooms().all().await.unwrap_or_default() {
            let room = room.jid().clone();
            let change = RoomChange::Entering;
            self.held.tell(Event::Room { room, change }).await;
        }
    }

    /// What was said and is not kept yet is kept first.
    async fn end(mut self) {
        // Also what a person said in the last moment.
        while let Ok(order) = self.orders.try_recv() {
            if let Order::Say { .. } | Order::Correct { .. } | Order::Again { .. } = order {
                self.order(order).await;
            }
        }
        drop(self.speeches);
        while self.speaker.join_next().await.is_some() {}
        self.work.shutdown().await;
        self.listeners.shutdown().await;
    }

    fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.work.spawn(async move {
            work.await;
            Done::Nothing
        });
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Joined(room, Some(messages)) => {
                let listen = doing::listen(Arc::clone(&self.held), room, messages);
                self.listeners.spawn(listen);
            }
            Done::Joined(room, None) => {
                self.rooms.remove(&room);
            }
            Done::Things(jid, true) => self.watch(jid),
            Done::Things(_, false) | Done::Nothing => {}
        }
    }

    // ---- what the session says ------------------------------------------------------

    async fn status(&mut self, status: &mut watch::Receiver<stanchion::session::Status>) {
        let state = telling::link(&status.borrow_and_update());
        let up = matches!(state, super::super::link::LinkState::Up { .. });
        self.held.tell(Event::Link(state)).await;
        if up {
            let held = Arc::clone(&self.held);
            // The roster is not asked for by itself. What it says is told as it comes.
            self.spawn(async move {
                let _ = held.client.roster().loaded().await;
            });
        }
    }

    async fn session(&mut self, event: Result<SessionEvent, RecvError>) {
        let event = match event {
            Ok(SessionEvent::ServerAccepted { id }) => Event::Progress {
                id,
                progress: Progress::ServerAccepted,
                why: None,
            },
            Ok(SessionEvent::Outcome { id, outcome }) => {
                let (progress, why) = Progress::of(&outcome);
                Event::Progress { id, progress, why }
            }
            Ok(SessionEvent::Warning(warning)) => telling::warning(&warning),
            Ok(_) | Err(RecvError::Closed) => return,
            Err(RecvError::Lagged(_)) => {
                for with in self.open.clone() {
                    doing::page(&self.held, with, Page::Latest).await;
                }
                return;
            }
        };
        self.held.tell(event).await;
    }

    async fn gauge(&mut self) {
        if Instant::now() >= self.queued.1 {
            self.count().await;
        }
        let counters = self.held.client.counters();
        let gauge = Gauge {
            at: now().as_unix_ms(),
            accepted: counters.accepted,
            transmitted: counters.transmitted,
            retransmitted: counters.retransmitted,
            acknowledged: counters.acknowledged,
            delivered: counters.delivered,
            not_delivered: counters.not_delivered,
            in_doubt: counters.in_doubt,
            received: counters.received,
            duplicates: counters.duplicates,
            queued: self.queued.0,
        };
        self.held.tell(Event::Gauge(gauge)).await;
    }

    /// How many messages have no outcome.
    async fn count(&mut self) {
        let reader = self.reader.take();
        let path = self.held.config.store.clone();
        let began = Instant::now();
        let counted = tokio::task::spawn_blocking(move || {
            let reader = match reader {
                Some(reader) => reader,
                None => SqliteReader::open(path)?,
            };
            reader.counts().map(|counts| (reader, counts))
        });
        if let Ok(Ok((reader, counts))) = counted.await {
            self.reader = Some(reader);
            self.queued.0 =
                counts.accepted + counts.in_flight + counts.server_accepted + counts.in_doubt;
        }
        let took = began.elapsed();
        let pause = match took > LONG {
            true => took * 20,
            false => Duration::ZERO,
        };
        self.queued.1 = Instant::now() + pause;
    }

    // ---- contacts and presence ------------------------------------------------------

    async fn contacts(&mut self) {
        let contacts = self.held.client.roster().contacts().await;
        let contacts = contacts.unwrap_or_default();
        for contact in &contacts {
            self.is_thing(contact);
        }
        let who: Vec<_> = contacts.iter().map(|c| c.jid.to_bare()).collect();
        self.held.tell(Event::Contacts(contacts)).await;
        for who in who {
            self.whereabouts(who).await;
        }
    }

    /// Who is noted as a thing is watched.
    fn is_thing(&mut self, contact: &Contact) {
        let noted = contact.groups.iter().any(|group| &**group == doing::THINGS);
        if noted && contact.is_seen() {
            self.watch(contact.jid.clone());
        }
    }

    async fn roster(&mut self, event: Result<RosterEvent, RecvError>) {
        let told = match event {
            Ok(RosterEvent::Changed(contact)) => {
                self.is_thing(&contact);
                Event::Contact(contact)
            }
            Ok(RosterEvent::Removed(jid)) => Event::ContactGone(jid.to_bare()),
            Ok(RosterEvent::Requested { from, text }) => Event::Asked {
                by: from,
                text: text.map(|t| t.to_string()).unwrap_or_default(),
            },
            Ok(RosterEvent::Accepted { by } | RosterEvent::Left { by }) => Event::NotAsked(by),
            Ok(RosterEvent::Approved { by }) => {
                telling::info(format!("{by} lets us see how they are"))
            }
            Ok(RosterEvent::Denied { by }) => {
                telling::info(format!("{by} does not let us see how they are"))
            }
            Ok(RosterEvent::Loaded | RosterEvent::Cleared) | Err(RecvError::Lagged(_)) => {
                return self.contacts().await;
            }
            Ok(_) | Err(RecvError::Closed) => return,
        };
        self.held.tell(told).await;
    }

    async fn presence(&mut self, event: Result<PresenceEvent, RecvError>) {
        match event {
            Ok(PresenceEvent::Available { jid, .. }) => {
                self.look_for_things(&jid);
                self.whereabouts(jid.to_bare()).await;
            }
            Ok(PresenceEvent::Unavailable { jid, .. }) => self.whereabouts(jid.to_bare()).await,
            Ok(PresenceEvent::Interrupted) => self.held.tell(Event::PresenceUnknown).await,
            Ok(PresenceEvent::Resumed | PresenceEvent::Reset) | Err(RecvError::Lagged(_)) => {
                self.contacts().await;
            }
            Ok(_) | Err(RecvError::Closed) => {}
        }
    }

    async fn whereabouts(&mut self, who: BareJid) {
        // Who is in a room is the room's to say.
        if self.rooms.contains(&who) || who == self.held.config.account {
            return;
        }
        let at = self.held.client.presences().of(&who).await;
        let at = at.unwrap_or_default().into_iter();
        let at = at.map(telling::whereabouts).collect();
        self.held.tell(Event::Presence { who, at }).await;
    }

    // ---- things ---------------------------------------------------------------------

    /// Asks somebody who came whether there are things.
    fn look_for_things(&mut self, jid: &Jid) {
        let who = jid.to_bare();
        let known = self.watched.contains_key(&who) || self.unwatched.contains(&who);
        if known || self.rooms.contains(&who) || self.work.len() >= AT_ONCE {
            return;
        }
        let (held, jid) = (Arc::clone(&self.held), jid.clone());
        self.work.spawn(async move {
            let contact = held.client.roster().contact(&who.clone().into()).await;
            // Strangers are not asked.
            if !matches!(contact, Ok(Some(contact)) if contact.is_seen()) {
                return Done::Nothing;
            }
            let features = held.client.discovery().features_of(jid).await;
            let has = features.is_ok_and(|info| {
                let mut all = Profile::ALL.into_iter();
                all.any(|profile| info.has(profile.sensor_data()))
            });
            Done::Things(who.into(), has)
        });
    }

    fn watch(&mut self, jid: Jid) {
        let who = jid.to_bare();
        if self.unwatched.contains(&who) || self.watched.len() >= WATCHED {
            return;
        }
        let watched = self.watched.get(&who);
        if watched.is_none_or(AbortHandle::is_finished) {
            let watch = things::watch(Arc::clone(&self.held), jid);
            self.watched.insert(who, self.listeners.spawn(watch));
        }
    }

    // ---- rooms and conversations ----------------------------------------------------

    async fn room(&mut self, event: Result<RoomEvent, RecvError>) {
        let event = match event {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) => {
                for room in self.rooms.clone() {
                    let held = Arc::clone(&self.held);
                    self.spawn(async move { again(&held, room).await });
                }
                return;
            }
            Err(RecvError::Closed) => return,
        };
        let room = event.room().clone();
        match event {
            RoomEvent::Entered { nick, .. } => {
                if !self.rooms.contains(&room) {
                    self.join(room.clone(), Some(nick.clone()), None);
                }
                let held = Arc::clone(&self.held);
                self.spawn(async move { doing::entered(&held, room, nick).await });
            }
            RoomEvent::Denied { error, .. } => {
                let text = format!("{room} refused: {error}");
                self.held.tell(telling::failure(text)).await;
            }
            RoomEvent::Locked { .. } => {
                let text = format!(
                    "{room} was lost by its service, and is locked: nobody else gets in until it \
                     is configured, or left and entered anew"
                );
                self.held.tell(telling::failure(text)).await;
            }
            RoomEvent::Declined { by, .. } => {
                let by = by.map(|by| by.to_string()).unwrap_or_default();
                let text = format!("{by} does not come to {room}");
                self.held.tell(telling::info(text)).await;
            }
            event => {
                if matches!(event, RoomEvent::Refused { .. } | RoomEvent::Left { .. }) {
                    self.rooms.remove(&room);
                }
                if let Some(change) = telling::room(event) {
                    self.held.tell(Event::Room { room, change }).await;
                }
            }
        }
    }

    fn join(
        &mut self,
        room: BareJid,
        nick: Option<String>,
        password: Option<stanchion::stanza::Text>,
    ) {
        self.rooms.insert(room.clone());
        let held = Arc::clone(&self.held);
        self.work.spawn(async move {
            let joined = doing::join(&held, room.clone(), nick, password).await;
            Done::Joined(room, joined)
        });
    }

    async fn invited(&mut self, invitation: Option<Invitation>) {
        let Some(invitation) = invitation else {
            return;
        };
        match self.held.invitations.keep(&invitation).await {
            Ok(Some(waiting)) => self.held.tell(waiting.event()).await,
            Ok(None) => {
                let room = &invitation.room;
                let text = format!(
                    "an invitation to {room} is passed over: answer some of those that wait"
                );
                self.held.tell(telling::failure(text)).await;
            }
            Err(error) => self.held.failed("an invitation comes again", &error).await,
        }
    }

    async fn chat(&mut self, event: Result<ChatEvent, RecvError>) {
        let told = match event {
            Ok(ChatEvent::State { from, state }) => Event::Writing {
                who: from,
                writes: state == ChatState::Composing,
            },
            Ok(ChatEvent::Displayed { by, id }) => Event::Displayed { by, id },
            _ => return,
        };
        self.held.tell(told).await;
    }

    // ---- what a person wants --------------------------------------------------------

    async fn order(&mut self, order: Order) {
        let held = Arc::clone(&self.held);
        match order {
            Order::Say { to, text } => {
                let room = self.rooms.contains(&to);
                self.speak(Speech::Say { to, room, text }).await;
            }
            Order::Correct { with, text } => self.speak(Speech::Correct { with, text }).await,
            Order::Again { with, place } => {
                let room = self.rooms.contains(&with);
                self.speak(Speech::Again { with, room, place }).await;
            }
            Order::Cancel { id } => self.spawn(async move { doing::cancel(&held, id).await }),
            Order::Open(with) => {
                self.open.retain(|other| *other != with);
                if self.open.len() == OPEN {
                    self.open.remove(0);
                }
                self.open.push(with.clone());
                self.spawn(async move { doing::page(&held, with, Page::Latest).await });
            }
            Order::Older { with, than } => {
                self.spawn(async move { doing::page(&held, with, Page::Before(than)).await });
            }
            Order::Seen { with, place } => {
                self.spawn(async move { doing::seen(&held, with, place).await });
            }
            Order::Writing(to) => {
                if !self.rooms.contains(&to) {
                    let _ = held.client.chat().writing(&to).await;
                }
            }
            Order::Search { words, with } => {
                self.spawn(async move { doing::search(&held, words, with).await });
            }
            Order::Status { availability, text } => {
                self.spawn(async move { doing::status(&held, availability, text).await });
            }
            Order::Attention(looks) => {
                self.spawn(async move { doing::attention(&held, looks).await });
            }
            Order::Add { who, name } => {
                self.spawn(async move { doing::add(&held, who, name).await });
            }
            Order::Remove(who) => self.spawn(async move { doing::remove(&held, who).await }),
            Order::Answer { to, answer } => {
                self.spawn(async move { doing::answer(&held, to, answer).await });
            }
            Order::Join {
                room,
                nick,
                password,
            } => self.join(room, nick, password),
            Order::Decline(room) => self.spawn(async move { doing::decline(&held, room).await }),
            Order::Leave(room) => {
                self.rooms.remove(&room);
                self.spawn(async move { doing::leave(&held, room).await });
            }
            Order::Topic { room, topic } => {
                self.spawn(async move { doing::topic(&held, room, topic).await });
            }
            Order::Invite { room, whom } => {
                self.spawn(async move { doing::invite(&held, room, whom).await });
            }
            Order::Watch(jid) => {
                self.unwatched.remove(&jid.to_bare());
                if jid.is_bare() {
                    let noted = jid.clone();
                    self.spawn(async move { doing::note_thing(&held, &noted, true).await });
                }
                self.watch(jid);
            }
            Order::Unwatch(who) => {
                if let Some(watch) = self.watched.remove(&who) {
                    watch.abort();
                }
                self.unwatched.insert(who.clone());
                self.spawn(async move { doing::note_thing(&held, &who.into(), false).await });
            }
            Order::Controls(of) => self.spawn(async move { things::controls(&held, of).await }),
            Order::Set {
                of,
                parameter,
                value,
            } => self.spawn(async move { things::set(&held, of, parameter, value).await }),
        }
    }

    /// Waits while too much is to be said.
    async fn speak(&mut self, speech: Speech) {
        // The speaker ends after this.
        let _ = self.speeches.send(speech).await;
    }
}

/// A room as it is, after something of it was missed.
async fn again(held: &Held, room: BareJid) {
    let rooms = held.client.rooms().all().await.unwrap_or_default();
    let Some(found) = rooms.into_iter().find(|one| *one.jid() == room) else {
        return;
    };
    if let Ok(Some(nick)) = found.nick().await {
        doing::entered(held, room, nick).await;
    }
}

async fn next(invitations: &mut Option<Invitations>) -> Option<Invitation> {
    match invitations {
        Some(taken) => match taken.recv().await {
            Some(invitation) => Some(invitation),
            None => {
                *invitations = None;
                std::future::pending().await
            }
        },
        None => std::future::pending().await,
    }
}

async fn next_of(incoming: &mut Option<Incoming>) -> Option<stanchion::session::Received> {
    match incoming {
        Some(incoming) => incoming.recv().await,
        None => std::future::pending().await,
    }
}
