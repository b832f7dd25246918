//! The rooms' place at the host: the state machine, and who waits for what of it. Hands
//! each room's messages to whoever reads that room.

use std::collections::{HashMap, VecDeque};

use stanchion_reliability::engine::Now;
use stanchion_reliability::session::Received;
use stanchion_stanza::stanza::{MessageType, StanzaError};
use stanchion_stanza::{BareJid, Message, Stanza, Text, ns};
use tokio::sync::{mpsc, oneshot};

use super::error::JoinError;
use super::event::RoomEvent;
use super::invitation::Invitation;
use super::options::{JoinOptions, RoomsConfig};
use super::state::State;
use crate::service::{Input, Output, Service, Taken};

/// Messages of one room that may wait for its reader; the session hands over fewer.
const MESSAGES: usize = 4096;
/// Invitations that may wait.
const INVITATIONS: usize = 64;

/// The service; see [`Rooms`](super::Rooms) for its face.
#[derive(Debug, Default)]
pub struct RoomsService {
    pub(super) state: State,
    readers: HashMap<BareJid, Reader>,
    joins: HashMap<BareJid, Vec<oneshot::Sender<Result<String, JoinError>>>>,
    /// Who waits for another nickname or subject of ours.
    changes: Vec<Waiting>,
    invitations: Option<mpsc::Sender<Invitation>>,
}

/// Who reads a room.
#[derive(Debug, Default)]
struct Reader {
    messages: Option<mpsc::Sender<Received>>,
    /// What came when nobody did; no more than the session hands over.
    waiting: VecDeque<Received>,
}

/// A change that the room is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Our nickname.
    Nick(String),
    /// The subject.
    Subject(Text),
}

#[derive(Debug)]
struct Waiting {
    room: BareJid,
    change: Change,
    answer: oneshot::Sender<Result<(), Box<StanzaError>>>,
}

/// How a change ends.
pub(super) type Changed = oneshot::Receiver<Result<(), Box<StanzaError>>>;

impl RoomsService {
    pub(super) fn new(config: RoomsConfig) -> Self {
        Self {
            state: State::new(config),
            ..Self::default()
        }
    }

    /// Enters a room, and gives what tells how that ends.
    pub(super) fn join(
        &mut self,
        now: Now,
        room: BareJid,
        nick: String,
        options: JoinOptions,
    ) -> oneshot::Receiver<Result<String, JoinError>> {
        let (answer, result) = oneshot::channel();
        match self.state.join(now, room.clone(), nick, options) {
            Ok(None) => self.joins.entry(room).or_default().push(answer),
            Ok(Some(nick)) => drop(answer.send(Ok(nick))),
            Err(error) => drop(answer.send(Err(error))),
        }
        result
    }

    /// From now on the room's messages go there, those that wait first.
    pub(super) fn read(&mut self, room: &BareJid) -> mpsc::Receiver<Received> {
        let (sender, receiver) = mpsc::channel(MESSAGES);
        let reader = self.readers.entry(room.clone()).or_default();
        while let Some(received) = reader.waiting.pop_front() {
            if let Err(error) = sender.try_send(received) {
                reader.waiting.push_front(error.into_inner());
                break;
            }
        }
        reader.messages = Some(sender);
        receiver
    }

    pub(super) fn leave(&mut self, room: &BareJid, status: Option<Text>) {
        self.state.leave(room, status);
        // What is in its reader's hands can still be taken.
        self.readers.remove(room);
    }

    /// Waits for a change to be shown.
    pub(super) fn wait_for(&mut self, room: &BareJid, change: Change) -> Changed {
        let (answer, result) = oneshot::channel();
        self.changes.retain(|waiting| !waiting.answer.is_closed());
        self.changes.push(Waiting {
            room: room.clone(),
            change,
            answer,
        });
        result
    }

    /// From now on invitations go there.
    pub(super) fn take_invitations(&mut self) -> mpsc::Receiver<Invitation> {
        let (sender, receiver) = mpsc::channel(INVITATIONS);
        self.invitations = Some(sender);
        receiver
    }

    fn invites(&self, message: &Message) -> Option<(Invitation, mpsc::Sender<Invitation>)> {
        let takes = self
            .invitations
            .as_ref()
            .filter(|taker| !taker.is_closed())?;
        let invitation = Invitation::read(message)?;
        Some((invitation, takes.clone()))
    }

    /// Tells those who wait for that.
    fn notice(&mut self, event: &RoomEvent) {
        match event {
            RoomEvent::Entered { room, nick, .. } => {
                for waiting in self.joins.remove(room).unwrap_or_default() {
                    // Whoever gave up waiting is in all the same.
                    let _ = waiting.send(Ok(nick.clone()));
                }
            }
            RoomEvent::Refused { room, error } => self.not_joined(room, error),
            RoomEvent::Left { room, .. } => {
                let error = JoinError::Left { room: room.clone() };
                self.not_joined(room, &error);
            }
            RoomEvent::Renamed { room, to, .. } => {
                self.changed(room, &Change::Nick(to.clone()));
            }
            RoomEvent::Subject { room, subject, .. } => {
                self.changed(room, &Change::Subject(subject.clone()));
            }
            RoomEvent::Denied { room, error } => {
                // Rooms answer in order.
                let first = self.changes.iter().position(|w| w.room == *room);
                if let Some(at) = first {
                    let waiting = self.changes.remove(at);
                    let _ = waiting.answer.send(Err(error.clone()));
                }
            }
            _ => {}
        }
    }

    fn not_joined(&mut self, room: &BareJid, error: &JoinError) {
        for waiting in self.joins.remove(room).unwrap_or_default() {
            let _ = waiting.send(Err(error.clone()));
        }
        // Its end is seen by the reader.
        self.readers.remove(room);
    }

    fn changed(&mut self, room: &BareJid, change: &Change) {
        let at = |w: &Waiting| w.room == *room && w.change == *change;
        if let Some(at) = self.changes.iter().position(at) {
            let _ = self.changes.remove(at).answer.send(Ok(()));
        }
    }
}

impl Service for RoomsService {
    const NAME: &'static str = "rooms";
    type Event = RoomEvent;

    fn features(&self) -> Vec<Text> {
        vec![
            Text::from_static(ns::MUC),
            Text::from_static(ns::CONFERENCE),
        ]
    }

    fn restore(&mut self, key: &str, value: &[u8]) {
        self.state.restore(key, value);
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        if let Input::Stanza(Stanza::Message(message)) = &input
            && message.kind != MessageType::Error
            && let Some((invitation, takes)) = self.invites(message)
        {
            if takes.try_send(invitation).is_err() {
                tracing::warn!("an invitation is passed over, as too many wait");
            }
            return Taken::Yes;
        }
        self.state.handle(now, input)
    }

    fn poll_output(&mut self) -> Output<RoomEvent> {
        let output = self.state.poll_output();
        if let Output::Event(event) = &output {
            self.notice(event);
        }
        output
    }

    fn claims(&self, message: &Message) -> bool {
        self.state.claims(message).is_some() || self.invites(message).is_some()
    }

    fn deliver(&mut self, now: Now, received: Received) -> Result<(), Received> {
        if let Some(room) = self.state.claims(received.message()) {
            self.state.handed(now, &room, received.message());
            let reader = self.readers.entry(room).or_default();
            let left = match &reader.messages {
                Some(messages) => match messages.try_send(received) {
                    Ok(()) => return Ok(()),
                    Err(error) => error.into_inner(),
                },
                None => received,
            };
            if reader.waiting.len() >= MESSAGES {
                return Err(left);
            }
            reader.waiting.push_back(left);
            return Ok(());
        }
        let Some((mut invitation, takes)) = self.invites(received.message()) else {
            return Err(received);
        };
        invitation.received = Some(received);
        match takes.try_send(invitation) {
            Ok(()) => Ok(()),
            Err(error) => match error.into_inner().received {
                Some(received) => Err(received),
                None => Ok(()),
            },
        }
    }
}
