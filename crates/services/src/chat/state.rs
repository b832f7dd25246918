//! The state machine of conversations: chat states (XEP-0085) in both directions, with their
//! timers, and markers (XEP-0333). States go only to who sent some, or was never asked: not
//! to who answered without. What is said is the engine's, and what was said the history's.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::chat_states::ChatState;
use stanchion_stanza::payload::hints::Hint;
use stanchion_stanza::payload::markers::Displayed;
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{BareJid, Element, Jid, Message, Payload as _, Stanza, Text, ns};

use super::ChatEvent;
use crate::history::Note;
use crate::service::{Change, Input, Output, Service, Taken};

/// Conversations whose states are known; the one that was silent for longest goes.
pub const TALKS: usize = 256;
/// Who was writing and does not go on has paused (XEP-0085 §2).
pub const PAUSED: Duration = Duration::from_secs(30);
/// And is inactive so long after that, or after the last message.
pub const INACTIVE: Duration = Duration::from_secs(120);

/// The tag of what is kept.
const MARK: u64 = 0;

/// Whether the other side wants to know (XEP-0085 §5.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Interest {
    /// It has not answered so far: a state goes along with messages, and none alone.
    #[default]
    Unknown,
    /// It sent a state.
    Yes,
    /// It answered without one.
    No,
}

#[derive(Debug, Default)]
struct Talk {
    interest: Interest,
    /// What we told last.
    told: Option<ChatState>,
    /// What we tell then, if nothing else happens.
    due: Option<(Duration, ChatState)>,
    theirs: Option<ChatState>,
    /// When something happened last.
    touched: u64,
}

/// The chat service. See the module's head.
#[derive(Debug, Default)]
pub struct Chats {
    announced: bool,
    account: Option<BareJid>,
    up: bool,
    talks: BTreeMap<BareJid, Talk>,
    /// Markers that wait for a stream: of each conversation the last.
    markers: BTreeMap<BareJid, Text>,
    /// Markers that are not durable in the history yet, to be told then.
    marking: VecDeque<ChatEvent>,
    clock: u64,
    outputs: VecDeque<Output<ChatEvent>>,
}

impl Chats {
    /// A service that announces to others what people do here: states, corrections, markers
    /// and replies. The default one does not, as a device without a person has none.
    #[must_use]
    pub fn announced() -> Self {
        Self {
            announced: true,
            ..Self::default()
        }
    }

    /// Our account, once there was a stream.
    #[must_use]
    pub const fn account(&self) -> Option<&BareJid> {
        self.account.as_ref()
    }

    /// What the other side does, as far as it says.
    #[must_use]
    pub fn state_of(&self, with: &BareJid) -> Option<ChatState> {
        self.talks.get(with)?.theirs
    }

    /// A message goes to that conversation: what is to go along with it.
    pub fn sends(&mut self, now: Now, to: &BareJid) -> Option<ChatState> {
        let talk = self.talk(to);
        talk.told = Some(ChatState::Active);
        talk.due = (talk.interest == Interest::Yes)
            .then(|| (now.monotonic.saturating_add(INACTIVE), ChatState::Inactive));
        (talk.interest != Interest::No).then_some(ChatState::Active)
    }

    /// The user does that in the conversation. Composing is taken back by itself after
    /// [`PAUSED`]: say it with each key.
    pub fn does(&mut self, now: Now, to: &BareJid, state: ChatState) {
        let talk = self.talk(to);
        if talk.interest != Interest::Yes {
            return;
        }
        let after = |time: Duration| now.monotonic.saturating_add(time);
        talk.due = match state {
            ChatState::Composing => Some((after(PAUSED), ChatState::Paused)),
            ChatState::Active | ChatState::Paused => Some((after(INACTIVE), ChatState::Inactive)),
            ChatState::Inactive | ChatState::Gone => None,
        };
        self.tell(to, state);
    }

    /// Sends a state, unless it was the last one (XEP-0085 §5.3).
    fn tell(&mut self, to: &BareJid, state: ChatState) {
        let up = self.up;
        let talk = self.talk(to);
        // Without a stream it would be worth nothing by the time there is one.
        if !up || talk.told == Some(state) {
            return;
        }
        talk.told = Some(state);
        let message = Message::chat(to.clone().into())
            .with_payload(state.to_element())
            .with_payload(Hint::NoStore.to_element());
        self.outputs.push_back(Output::Transmit(message.into()));
    }

    /// The user has seen all up to the message of that id; its sender asked to be told.
    pub fn displayed(&mut self, to: &BareJid, id: Text) {
        if self.up {
            return self.mark(to, id);
        }
        if self.markers.len() < TALKS || self.markers.contains_key(to) {
            self.markers.insert(to.clone(), id);
        }
    }

    fn mark(&mut self, to: &BareJid, id: Text) {
        let message = Message::chat(to.clone().into())
            .with_payload(Displayed { id }.to_element())
            .with_payload(Hint::Store.to_element());
        self.outputs.push_back(Output::Transmit(message.into()));
    }

    fn talk(&mut self, with: &BareJid) -> &mut Talk {
        self.clock += 1;
        if self.talks.len() >= TALKS && !self.talks.contains_key(with) {
            let oldest = self.talks.iter().min_by_key(|(_, talk)| talk.touched);
            if let Some(oldest) = oldest.map(|(with, _)| with.clone()) {
                self.talks.remove(&oldest);
            }
        }
        let talk = self.talks.entry(with.clone()).or_default();
        talk.touched = self.clock;
        talk
    }

    // ---- what comes -----------------------------------------------------------------

    /// From whom a message of a conversation between two is.
    fn peer(&self, message: &Message) -> Option<BareJid> {
        let between_two = matches!(message.kind, MessageType::Chat | MessageType::Normal);
        let from = message.header.from.as_ref().map(Jid::to_bare);
        from.filter(|from| between_two && Some(from) != self.account.as_ref())
    }

    fn said(&mut self, message: &Message) {
        let Some(from) = self.peer(message) else {
            return;
        };
        match ChatState::find(&message.payloads) {
            Some(state) => self.theirs(from, state),
            // Who was never told of states cannot be said to have answered without.
            None => {
                if let Some(talk) = self.talks.get_mut(&from)
                    && talk.told.is_some()
                {
                    talk.interest = Interest::No;
                    talk.due = None;
                }
            }
        }
    }

    fn theirs(&mut self, from: BareJid, state: ChatState) {
        let talk = self.talk(&from);
        talk.interest = Interest::Yes;
        if talk.theirs.replace(state) != Some(state) {
            self.outputs
                .push_back(Output::Event(ChatEvent::State { from, state }));
        }
    }

    fn without_text(&mut self, message: &Message) -> Taken {
        let Some(from) = self.peer(message) else {
            return Taken::No;
        };
        let mut taken = Taken::No;
        if let Some(state) = ChatState::find(&message.payloads) {
            self.theirs(from.clone(), state);
            taken = Taken::Yes;
        }
        if let Ok(Some(Displayed { id })) = message.payload::<Displayed>() {
            let id = id.as_str().to_owned();
            let conversation = from.clone();
            let note = Note::Displayed {
                conversation,
                id: id.clone(),
            };
            self.outputs.push_back(Output::Keep {
                tag: Some(MARK),
                changes: vec![Change::History(Box::new(note))],
            });
            self.marking
                .push_back(ChatEvent::Displayed { by: from, id });
            taken = Taken::Yes;
        }
        taken
    }

    fn tick(&mut self, now: Now) {
        let due = |talk: &Talk| talk.due.filter(|(at, _)| *at <= now.monotonic);
        let talks = self.talks.iter().filter_map(|(with, talk)| {
            let (_, state) = due(talk)?;
            Some((with.clone(), state))
        });
        let all: Vec<_> = talks.collect();
        for (with, state) in all {
            self.does(now, &with, state);
        }
    }
}

impl Service for Chats {
    const NAME: &'static str = "chat";
    type Event = ChatEvent;

    fn features(&self) -> Vec<Text> {
        let features = [ns::CHAT_STATES, ns::CORRECTION, ns::MARKERS, ns::REPLY];
        match self.announced {
            true => features.map(Text::from_static).to_vec(),
            false => Vec::new(),
        }
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Up(up) => {
                self.up = true;
                self.account = Some(up.jid.to_bare());
                if !up.resumed {
                    // Nobody knows any more what we did.
                    for talk in self.talks.values_mut() {
                        (talk.told, talk.due) = (None, None);
                    }
                }
                for (to, id) in std::mem::take(&mut self.markers) {
                    self.mark(&to, id);
                }
            }
            Input::Down => self.up = false,
            Input::Received(message) => self.said(message),
            Input::Stanza(Stanza::Message(message)) => return self.without_text(message),
            Input::Kept { tag: MARK } => {
                let event = self.marking.pop_front();
                self.outputs.extend(event.map(Output::Event));
            }
            Input::Tick => self.tick(now),
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<ChatEvent> {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let due = self.talks.values().filter_map(|talk| talk.due);
        Output::Wait(due.map(|(at, _)| at).min())
    }
}

/// The thread that a message belongs to (RFC 6121 §5.2.5).
pub(super) fn thread(id: Text) -> Element {
    Element::new("thread", ns::CLIENT).with_text(id)
}

#[cfg(test)]
mod tests;
