//! What we ask of others' things, and what comes of it: read-outs and subscriptions, matched
//! by id and sender, and the commands that were given. Without I/O, as every service.

mod commands;
mod feed;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_services::waiter::Waiter;
use stanchion_services::{Input, Output, Request, RequestError, Service, Taken};
use stanchion_stanza::payload::iot_events::Unsubscribe;
use stanchion_stanza::payload::sensordata::{
    Accepted, Cancel, Done, Failure, Fields, Profile, Profiled as _, RequestId, Started,
};
use stanchion_stanza::payload::thing_command::CommandOutcome;
use stanchion_stanza::{Element, Jid, Message, Payload as _, Stanza};

pub(super) use commands::{Entry, Settled};
pub(crate) use feed::{Ask, Told};
use feed::{Feed, Phase};
pub(super) use refusal::{No, refusal};

use super::readout::{Part, ReadError};
use commands::Commands;

/// Read-outs and subscriptions at once.
const MOST_FEEDS: usize = 256;
/// Fields that one read-out may give.
const MOST_OF_ONE: usize = 20_000;
/// Fields of one subscription that may wait to be fetched. Where there are more, of each the
/// newest value stays; and if that are too many, the oldest go.
pub(super) const MOST_WAITING: usize = 32_768;
/// Fields of all of them that may wait to be fetched.
const MOST_HELD: usize = 100_000;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(10);

/// The service.
#[derive(Debug)]
pub struct State {
    feeds: BTreeMap<u64, Feed>,
    by_id: HashMap<RequestId, u64>,
    next: u64,
    /// Ids of the legacy profile are numbers; where they begin, nobody can guess.
    next_id: i32,
    /// Fields that wait to be fetched, of all feeds.
    held: usize,
    up: bool,
    commands: Commands,
    outputs: VecDeque<Output<()>>,
    /// Who waits until a change is durable.
    keeping: BTreeMap<u64, Vec<Waiter<()>>>,
    next_kept: u64,
}

impl State {
    /// Without anything under way. `secret` is random.
    #[must_use]
    pub fn new(secret: u32) -> Self {
        Self {
            feeds: BTreeMap::new(),
            by_id: HashMap::new(),
            next: 0,
            next_id: i32::try_from(secret >> 1).unwrap_or_default(),
            held: 0,
            up: false,
            commands: Commands::default(),
            outputs: VecDeque::new(),
            keeping: BTreeMap::new(),
            next_kept: 0,
        }
    }

    // ---- read-outs and subscriptions ------------------------------------------------

    /// Asks, and gives the name of what comes of it.
    pub(crate) fn begin(
        &mut self,
        now: Now,
        to: Jid,
        profile: Profile,
        ask: Ask,
        within: Duration,
        silence: Duration,
    ) -> Result<u64, ReadError> {
        if self.feeds.len() >= MOST_FEEDS {
            return Err(ReadError::TooMany);
        }
        self.next += 1;
        let feed = Feed::new(now.monotonic, to, profile, ask, within, silence);
        self.feeds.insert(self.next, feed);
        self.ask(self.next, now.monotonic);
        Ok(self.next)
    }

    /// What comes next; one caller at a time.
    pub(crate) fn next(&mut self, name: u64, waiter: Waiter<Told>) {
        // Of one that is gone nothing comes: the waiter is dropped.
        self.with(name, |feed| feed.next(waiter));
    }

    /// Tells the device that no more is wanted. What had come can still be fetched.
    pub(super) fn cancel(&mut self, name: u64) {
        let Some(feed) = self.feeds.get(&name) else {
            return;
        };
        let of = feed.to.clone();
        self.farewell(name);
        self.finish(name, Err(ReadError::Cancelled { of }));
    }

    /// The same, and nobody wants to know.
    pub(crate) fn close(&mut self, name: u64) {
        self.farewell(name);
        if let Some(feed) = self.feeds.remove(&name) {
            self.held -= feed.held;
            self.by_id.remove(&feed.id);
        }
    }

    /// Changes one feed; what waits in all is counted here.
    fn with<T>(&mut self, name: u64, change: impl FnOnce(&mut Feed) -> T) -> Option<T> {
        let feed = self.feeds.get_mut(&name)?;
        let before = feed.held;
        let gave = change(feed);
        self.held = (self.held + feed.held).saturating_sub(before);
        Some(gave)
    }

    fn finish(&mut self, name: u64, end: Result<(), ReadError>) {
        let id = self.with(name, |feed| {
            feed.finish(end);
            feed.id.clone()
        });
        if let Some(id) = id {
            self.by_id.remove(&id);
        }
    }

    /// A new id, and the request under it.
    fn ask(&mut self, name: u64, now: Duration) {
        let id = loop {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            let id = RequestId::from(self.next_id);
            if !self.by_id.contains_key(&id) {
                break id;
            }
        };
        let up = self.up;
        let Some(feed) = self.feeds.get_mut(&name) else {
            return;
        };
        self.by_id.remove(&feed.id);
        self.by_id.insert(id.clone(), name);
        feed.id = id;
        feed.asked = up;
        feed.phase = Phase::Asked;
        let element = feed.ask.element(&feed.id, feed.profile);
        let to = Some(feed.to.clone());
        let request = match feed.ask.is_subscription() {
            true => Request::set(to, element),
            false => Request::get(to, element),
        };
        let left = feed.due.map_or(feed.within, |due| due.saturating_sub(now));
        // The end of the time is told here, and not by the request's own clock.
        let request = request.within(left.saturating_add(Duration::from_secs(1)));
        let tag = name << 1;
        self.outputs.push_back(Output::Request { tag, request });
    }

    fn farewell(&mut self, name: u64) {
        let Some(feed) = self.feeds.get(&name) else {
            return;
        };
        if feed.end.is_some() || !feed.asked || !self.up {
            return;
        }
        let (id, to) = (feed.id.clone(), Some(feed.to.clone()));
        let request = match feed.ask.is_subscription() {
            true => Request::set(to, Unsubscribe { id }.to_element_in(feed.profile)),
            false => Request::get(to, Cancel { id }.to_element_in(feed.profile)),
        };
        let request = request.within(FAREWELL);
        let tag = (name << 1) | 1;
        self.outputs.push_back(Output::Request { tag, request });
    }

    fn answered(&mut self, now: Now, tag: u64, answer: Result<Option<Element>, RequestError>) {
        let name = tag >> 1;
        if tag & 1 == 1 {
            return;
        }
        let Some(feed) = self.feeds.get_mut(&name).filter(|f| f.end.is_none()) else {
            return;
        };
        let of = feed.to.clone();
        match answer {
            Ok(None) => feed.lives(now.monotonic, Phase::Reading),
            Ok(Some(element)) => match Accepted::find_any([&element]) {
                Ok(Some((_, accepted))) => {
                    // Data may have come before.
                    if !(accepted.queued && feed.phase == Phase::Reading) {
                        let phase = match accepted.queued {
                            true => Phase::Queued,
                            false => Phase::Reading,
                        };
                        feed.lives(now.monotonic, phase);
                    }
                }
                _ => {
                    let id = feed.id.clone();
                    if !self.told(now, &of, &id, &element) {
                        let what = format!("<{}/> in place of <accepted/>", element.name());
                        self.finish(name, Err(ReadError::Unreadable { of, what }));
                    }
                }
            },
            Err(RequestError::Refused { error, beside, .. }) => {
                let said = refusal(&error, beside.as_deref());
                let why = said.why;
                let error = match said.no {
                    No::Unknown => ReadError::NoSuchThing { of, why },
                    No::Nobody => ReadError::Unavailable { of, why },
                    No::Forbidden | No::Refused => ReadError::Refused { of, why },
                };
                self.finish(name, Err(error));
            }
            // The next stream decides about what was asked on this one, and time about
            // what is not answered: data may come all the same.
            Err(RequestError::Lost | RequestError::TimedOut { .. }) => {}
            Err(RequestError::NotAsked { .. }) => self.expire(name),
            Err(RequestError::TooMany) => self.finish(name, Err(ReadError::TooMany)),
            Err(error) => {
                let what = error.to_string();
                self.finish(name, Err(ReadError::Unreadable { of, what }));
            }
        }
    }

    /// What somebody says about a read-out of ours; `false` if it is not about one, or not
    /// from whom was asked.
    fn heard(&mut self, now: Now, message: &Message) -> bool {
        let Some(from) = &message.header.from else {
            return false;
        };
        let mut ours = false;
        for element in &message.payloads {
            if let Some(id) = about(element) {
                ours |= self.told(now, from, &id, element);
            }
        }
        ours
    }

    fn told(&mut self, now: Now, from: &Jid, id: &RequestId, element: &Element) -> bool {
        let Some(name) = self.by_id.get(id).copied() else {
            return false;
        };
        let Some(feed) = self.feeds.get_mut(&name).filter(|f| f.to == *from) else {
            return false;
        };
        let Some(saying) = Saying::read(element) else {
            return false;
        };
        let saying = match saying {
            Ok(saying) => saying,
            Err(what) => {
                let of = from.clone();
                self.finish(name, Err(ReadError::Unreadable { of, what }));
                return true;
            }
        };
        feed.lives(now.monotonic, Phase::Reading);
        let subscription = feed.ask.is_subscription();
        if let Some(part) = saying.part.filter(|part| part.len() > 0) {
            self.take(name, subscription, part);
        }
        if saying.done && !subscription {
            self.finish(name, Ok(()));
        }
        true
    }

    fn take(&mut self, name: u64, subscription: bool, part: Part) {
        let (got, all) = (part.len(), self.held + part.len());
        let fits = self.with(name, |feed| {
            if !subscription && (feed.got + got > MOST_OF_ONE || all > MOST_HELD) {
                return Err((feed.to.clone(), feed.got));
            }
            let others = all - feed.held - got;
            feed.take(part);
            let is_full = |feed: &Feed| {
                let waiting = feed.held;
                subscription && (waiting > MOST_WAITING || others + waiting > MOST_HELD)
            };
            if is_full(feed) {
                feed.coalesce();
            }
            while is_full(feed) && feed.parts.len() > 1 {
                feed.drop_oldest();
            }
            Ok(())
        });
        if let Some(Err((of, after))) = fits {
            self.farewell(name);
            self.finish(name, Err(ReadError::TooMuch { of, after }));
        }
    }

    fn expire(&mut self, name: u64) {
        let Some(feed) = self.feeds.get(&name).filter(|f| f.end.is_none()) else {
            return;
        };
        let of = feed.to.clone();
        let error = if !feed.asked {
            let within = feed.within;
            ReadError::NotAsked { of, within }
        } else {
            let after = feed.got;
            let quiet = feed.phase == Phase::Reading;
            let within = match feed.due {
                Some(due) if !quiet || due <= feed.heard.saturating_add(feed.silence) => {
                    feed.within
                }
                _ => feed.silence,
            };
            ReadError::Timeout { of, within, after }
        };
        self.farewell(name);
        self.finish(name, Err(error));
    }

    fn new_stream(&mut self, now: Now, resumed: bool) {
        self.up = true;
        let names: Vec<u64> = self.feeds.keys().copied().collect();
        for name in names {
            let Some(feed) = self.feeds.get_mut(&name).filter(|f| f.end.is_none()) else {
                continue;
            };
            if !feed.asked {
                // Its request waits for this stream.
                feed.asked = true;
            } else if !resumed {
                let (of, after) = (feed.to.clone(), feed.got);
                if after > 0 || feed.ask.is_subscription() {
                    self.finish(name, Err(ReadError::Lost { of, after }));
                } else {
                    // Reading has no effect: once more, under another id.
                    self.ask(name, now.monotonic);
                }
            }
        }
    }

    // ---- commands -------------------------------------------------------------------

    /// Notes a command that is about to be given; `waiter` hears when that is durable.
    ///
    /// # Errors
    /// The waiter, if too many are without outcome.
    pub(super) fn note(&mut self, key: &str, entry: Entry, waiter: Waiter<()>) -> bool {
        let noted = self.commands.note(key, entry);
        if noted {
            self.keep(Some(waiter));
        }
        noted
    }

    /// It was handed over to be sent.
    pub(super) fn sent(&mut self, key: &str) {
        self.commands.sent(key);
        self.keep(None);
    }

    pub(super) fn entry(&self, key: &str) -> Option<Entry> {
        self.commands.get(key)
    }

    /// The device's word, once there is one.
    pub(super) fn await_outcome(&mut self, key: &str, waiter: Waiter<Settled>) {
        self.commands.wait(key, waiter);
    }

    /// Something that somebody sent to be kept: an outcome, or data. `waiter` hears once it
    /// is safe to forget the message.
    pub(super) fn received(&mut self, now: Now, message: &Message, waiter: Waiter<()>) {
        if let Ok(Some(outcome)) = message.payload::<CommandOutcome>()
            && let Some(from) = &message.header.from
        {
            let response =
                stanchion_stanza::payload::control::SetResponse::find_any(message.payloads.iter());
            let response = response.ok().flatten().map(|(_, response)| response);
            if self.commands.settle(from, &outcome, response.as_ref()) {
                self.keep(Some(waiter));
                return;
            }
        }
        self.heard(now, message);
        waiter.answer(());
    }

    /// Whether that account is known for commands that act once.
    pub(super) fn is_known(&self, account: &str) -> bool {
        self.commands.is_known(account)
    }

    /// Notes whether it is.
    pub(super) fn know(&mut self, account: &str, acts_once: bool) {
        if self.commands.know(account, acts_once) {
            self.keep(None);
        }
    }

    fn keep(&mut self, waiter: Option<Waiter<()>>) {
        let changes = self.commands.take_changes();
        if changes.is_empty() {
            if let Some(waiter) = waiter {
                waiter.answer(());
            }
            return;
        }
        self.next_kept += 1;
        let tag = self.next_kept;
        self.keeping.insert(tag, waiter.into_iter().collect());
        let tag = Some(tag);
        self.outputs.push_back(Output::Keep { tag, changes });
    }
}

/// What a device says of a read-out.
struct Saying {
    part: Option<Part>,
    done: bool,
}

impl Saying {
    fn read(element: &Element) -> Option<Result<Self, String>> {
        let say = |part, done| Some(Ok(Self { part, done }));
        let wrong = |e: stanchion_stanza::payload::PayloadError| Some(Err(e.to_string()));
        match Fields::find_any([element]) {
            Ok(Some((_, fields))) => return say(Some(Part::of(&fields)), fields.done),
            Ok(None) => {}
            Err(error) => return wrong(error),
        }
        if Failure::matches(element) {
            return match Failure::from_element(element) {
                Ok(failure) => {
                    let part = Part {
                        failures: failure.errors,
                        ..Part::default()
                    };
                    say(Some(part), failure.done)
                }
                Err(error) => wrong(error),
            };
        }
        if Started::profile_of(element).is_some() {
            return say(None, false);
        }
        Done::profile_of(element).and_then(|_| say(None, true))
    }
}

/// Which read-out an element is about, if it is about any. Its id is read although the rest
/// may not be readable.
fn about(element: &Element) -> Option<RequestId> {
    let profile = Fields::profile_of(element)
        .or_else(|| Started::profile_of(element))
        .or_else(|| Done::profile_of(element))
        .or_else(|| Failure::matches(element).then_some(Profile::Legacy))?;
    let name = match profile.is_compact() {
        true => "id",
        false => "seqnr",
    };
    let text = element.attr_value(name)?.clone();
    // Spelled in another way, it is the same number.
    match text.trim().parse::<i32>() {
        Ok(number) => Some(number.into()),
        Err(_) => Some(text.into()),
    }
}

impl Service for State {
    const NAME: &'static str = "remote-things";
    type Event = ();

    fn restore(&mut self, key: &str, value: &[u8]) {
        self.commands.restore(key, value);
    }

    fn claims(&self, message: &Message) -> bool {
        let mut all = message.payloads.iter();
        all.any(|e| {
            CommandOutcome::matches(e) || about(e).is_some_and(|id| self.by_id.contains_key(&id))
        })
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Up(up) => self.new_stream(now, up.resumed),
            Input::Down => self.up = false,
            Input::Answer { tag, answer } => self.answered(now, tag, answer),
            Input::Stanza(Stanza::Message(message)) if self.heard(now, message) => {
                return Taken::Yes;
            }
            Input::Kept { tag } => {
                for waiter in self.keeping.remove(&tag).unwrap_or_default() {
                    waiter.answer(());
                }
            }
            Input::Tick => {
                let over = |(name, feed): (&u64, &Feed)| {
                    let wakes = feed.wakes().is_some_and(|at| at <= now.monotonic);
                    wakes.then_some(*name)
                };
                let over: Vec<u64> = self.feeds.iter().filter_map(over).collect();
                over.into_iter().for_each(|name| self.expire(name));
            }
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<()> {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        Output::Wait(self.feeds.values().filter_map(Feed::wakes).min())
    }
}
