//! What others are answered about our things. Without I/O, as every service: what a thing
//! is to do, and what is to be looked up in the history, goes out as a [`Job`].

mod control;
mod events;
mod form;
mod reading;
mod readouts;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_reliability::store::WallTime;
use stanchion_services::{Input, Output, Service, Taken};
use stanchion_stanza::payload::control::{GetForm, Set};
use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::payload::iot_events::{Subscribe, Unsubscribe};
use stanchion_stanza::payload::sensordata::{Cancel, Profile, Profiled, Request};
use stanchion_stanza::payload::thing_command::{Command, CommandResult};
use stanchion_stanza::payload::{Payload as _, PayloadError};
use stanchion_stanza::stanza::PresenceType;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, MessageType, StanzaError};
use stanchion_stanza::{BareJid, Element, Iq, Jid, Message, Stanza, Text, ns};

use super::subscriptions::{SubscriptionFigures, Subscriptions};
use super::table::{Table, Told};
use super::{HostConfig, HostEvent};
use crate::adapter::{AdapterEvent, OrderError, Report};
use crate::model::{Reading, Sample};

pub(super) use control::together;
pub use control::{Plan, PlannedOrder, Refusal};

use control::{Asker, Before, Repeats};
use reading::Answering;
use readouts::Readouts;

/// Requests to set something that may be under way at once.
const MOST_SETS: usize = 256;
/// The same, of one account.
const MOST_SETS_OF_ONE_ACCOUNT: usize = 32;

/// What is to be done outside; its end is told by the number.
#[derive(Debug)]
#[non_exhaustive]
pub enum Job {
    /// Have things do something, then call [`State::carried_out`].
    Set {
        /// The job's name.
        number: u64,
        /// What.
        plan: Plan,
        /// By when, from now on.
        within: Duration,
    },
    /// Look something up, then call [`State::remembered`].
    Look {
        /// The job's name.
        number: u64,
        /// Of which things.
        things: Vec<Text>,
        /// From then on, in Unix milliseconds.
        from: i64,
        /// Until then.
        until: i64,
    },
}

/// Where jobs go; one that finds no room comes back.
pub type Jobs = Box<dyn FnMut(Job) -> Result<(), Job> + Send>;

/// Somebody who set something and waits.
#[derive(Debug)]
struct Setting {
    who: Option<Jid>,
    things: Vec<Text>,
    /// None if it came in a message, which gets no answer.
    request: Option<(Box<Iq>, Profile)>,
}

/// The service.
pub struct State {
    config: HostConfig,
    jobs: Jobs,
    own: Option<BareJid>,
    table: Table,
    next: u64,
    settings: HashMap<u64, Setting>,
    repeats: Repeats,
    readouts: Readouts,
    subscriptions: Subscriptions,
    /// What a subscriber is being told.
    telling: Option<Answering>,
    up: bool,
    now: Duration,
    wall: WallTime,
    /// Observers know that values are due.
    due_told: bool,
    outputs: VecDeque<Output<HostEvent>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("things", &self.table.len())
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Without things.
    #[must_use]
    pub fn new(config: HostConfig, jobs: Jobs) -> Self {
        Self {
            config,
            jobs,
            own: None,
            table: Table::default(),
            next: 0,
            settings: HashMap::new(),
            repeats: Repeats::default(),
            readouts: Readouts::default(),
            subscriptions: Subscriptions::default(),
            telling: None,
            up: false,
            now: Duration::ZERO,
            wall: WallTime::from_unix_ms(0),
            due_told: false,
            outputs: VecDeque::new(),
        }
    }

    /// Our things.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    // ---- what adapters tell ---------------------------------------------------------

    /// That adapter is no more.
    pub fn detach(&mut self, adapter: &str) {
        let gone = self.table.remove_all(adapter);
        gone.iter().for_each(|t| self.subscriptions.forget(t));
        self.tell(HostEvent::Gone, gone);
    }

    /// Takes in what an adapter told, and gives what is to be told on.
    pub fn take(&mut self, now: Now, event: AdapterEvent) -> Vec<Sample> {
        let adapter = event.adapter;
        match event.report {
            Report::Things(specs) => {
                let mut these = Vec::new();
                for spec in specs {
                    let id = spec.node.id.clone();
                    match self.table.put(&adapter, spec) {
                        Ok(()) => these.push(id),
                        Err(error) => tracing::warn!(%adapter, %error, "a thing is left out"),
                    }
                }
                self.tell(HostEvent::Things, these);
            }
            Report::Gone(mut these) => {
                these.retain(|thing| self.table.remove(&adapter, thing));
                these.iter().for_each(|t| self.subscriptions.forget(t));
                self.tell(HostEvent::Gone, these);
            }
            Report::Stale(mut these) => {
                these.retain(|thing| self.table.stale(&adapter, thing));
                these.iter().for_each(|t| self.subscriptions.forget(t));
                self.tell(HostEvent::Stale, these);
            }
            Report::Sample(sample) => {
                let told = self.table.sample(now.monotonic, &adapter, sample);
                return self.told(now, told);
            }
            _ => {}
        }
        Vec::new()
    }

    /// Values that were held back until now.
    pub fn take_due(&mut self, now: Now) -> Vec<Sample> {
        self.due_told = false;
        let due = self.table.take_due(now.monotonic);
        self.told(now, due)
    }

    fn told(&mut self, now: Now, told: impl IntoIterator<Item = Told>) -> Vec<Sample> {
        let told: Vec<Told> = told.into_iter().collect();
        self.tell_subscribers(now.monotonic, &told);
        told.into_iter().map(|told| told.sample).collect()
    }

    /// How it stands with those who subscribed.
    #[must_use]
    pub fn subscriptions(&self) -> SubscriptionFigures {
        self.subscriptions.figures()
    }

    fn tell(&mut self, event: impl FnOnce(Vec<Text>) -> HostEvent, of: Vec<Text>) {
        if !of.is_empty() {
            self.event(event(of));
        }
    }

    fn event(&mut self, event: HostEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    fn answer(&mut self, iq: Iq) {
        self.outputs.push_back(Output::Transmit(Stanza::Iq(iq)));
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    // ---- what is set ----------------------------------------------------------------

    /// What that sets, all of it checked, or why it may not be done.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is to be done then.
    pub fn plan(&mut self, who: Option<&Jid>, set: &Set) -> Result<Plan, Refusal> {
        let own = self.own.as_ref();
        let plan = control::plan(set, &self.table, &self.config, Asker { who, own });
        if plan.as_ref().is_err_and(Refusal::is_forbidden) {
            let (who, what) = (who.cloned(), "to set something");
            self.event(HostEvent::Refused { who, what });
        }
        plan
    }

    /// A command of [`State::plan`] has an outcome: for observers.
    pub fn command_ended(&mut self, by: Option<Jid>, things: Vec<Text>, result: CommandResult) {
        self.event(HostEvent::Set { by, things, result });
    }

    fn set(&mut self, now: Now, request: &Iq, profile: Profile, set: &Set, what: &Element) {
        match self.repeats.look(now.monotonic, request, what) {
            Before::New => {}
            Before::UnderWay => return,
            Before::Answered(answer) => return self.answer(*answer),
        }
        let who = request.header.from.as_ref();
        let refusal = match self.plan(who, set) {
            Ok(plan) => {
                let waiting = Some((Box::new(request.clone()), profile));
                match self.begin(who.cloned(), plan, waiting) {
                    Ok(()) => return self.repeats.begin(request, what),
                    Err(refusal) => refusal,
                }
            }
            Err(refusal) => refusal,
        };
        self.answer(refusal.answer(request, profile));
    }

    fn begin(
        &mut self,
        who: Option<Jid>,
        plan: Plan,
        request: Option<(Box<Iq>, Profile)>,
    ) -> Result<(), Refusal> {
        let account = who.as_ref().map(Jid::to_bare);
        let of_one = self.settings.values();
        let of_one = of_one.filter(|s| s.who.as_ref().map(Jid::to_bare) == account);
        if self.settings.len() >= MOST_SETS || of_one.count() >= MOST_SETS_OF_ONE_ACCOUNT {
            return Err(Refusal::busy());
        }
        let number = self.number();
        let things = plan.things();
        let within = self.config.set_within;
        let job = Job::Set {
            number,
            plan,
            within,
        };
        (self.jobs)(job).map_err(|_| Refusal::busy())?;
        let setting = Setting {
            who,
            things,
            request,
        };
        self.settings.insert(number, setting);
        Ok(())
    }

    /// What became of [`Job::Set`].
    pub fn carried_out(&mut self, now: Now, number: u64, outcome: &Result<(), OrderError>) {
        let Some(setting) = self.settings.remove(&number) else {
            return;
        };
        if let Some((request, profile)) = setting.request {
            let answer = match outcome {
                Ok(()) => control::done(&request, profile),
                Err(error) => Refusal::of(error).answer(&request, profile),
            };
            self.repeats.end(now.monotonic, &answer);
            self.answer(answer);
        }
        let (by, things, result) = (setting.who, setting.things, result_of(outcome));
        self.event(HostEvent::Set { by, things, result });
    }

    fn get_form(&mut self, request: &Iq, profile: Profile, asked: &GetForm) {
        let (who, own) = (request.header.from.as_ref(), self.own.as_ref());
        let asker = Asker { who, own };
        let answer = match control::form_of(&asked.nodes, &self.table, &self.config, asker) {
            Ok(form) => request.result(Some(form)),
            Err(refusal) => refusal.answer(request, profile),
        };
        self.answer(answer);
    }

    /// A command in a message that is not kept: carried out, and never answered (XEP-0325
    /// §3.2). One that was kept on its way by a server is too old to act.
    fn message(&mut self, message: &Message) -> Taken {
        if message.kind == MessageType::Error {
            // What we told came back: nobody is there who could be told more.
            if let Some(who) = &message.header.from {
                self.subscriptions.gone(who);
            }
            return Taken::No;
        }
        let Ok(Some((_, set))) = Set::find_any(&message.payloads) else {
            return Taken::No;
        };
        if message.payloads.iter().any(Delay::matches) {
            return Taken::Yes;
        }
        let who = message.header.from.clone();
        let begun = match self.plan(who.as_ref(), &set) {
            Ok(plan) => self.begin(who.clone(), plan, None),
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = begun {
            tracing::info!(?who, why = %refusal.text(), "a command in a message is not carried out");
        }
        Taken::Yes
    }

    // ---- read-outs ------------------------------------------------------------------

    /// What [`Job::Look`] found, all or a part.
    pub fn remembered(
        &mut self,
        number: u64,
        found: Vec<(Text, WallTime, Reading)>,
        is_last: bool,
    ) {
        let own = self.own.as_ref();
        let readouts = &mut self.readouts;
        readouts.remembered(number, found, is_last, &self.table, &self.config, own);
    }

    fn read(&mut self, now: Now, request: &Iq, profile: Profile, asked: &Request) {
        let number = self.number();
        let begun = self.readouts.ask(
            readouts::Ask {
                now,
                number,
                request,
                profile,
                asked,
            },
            &self.table,
            &self.config,
            self.own.as_ref(),
            &mut self.jobs,
        );
        match begun {
            Ok(accepted) => self.answer(request.result(Some(accepted))),
            Err(error) => {
                if error.condition == DefinedCondition::Forbidden {
                    let (who, what) = (request.header.from.clone(), "to read something");
                    self.event(HostEvent::Refused { who, what });
                }
                self.answer(readouts::refuse(request, profile, &asked.id, error));
            }
        }
    }

    fn cancel(&mut self, request: &Iq, profile: Profile, cancel: &Cancel) {
        let answer = self.readouts.cancel(request, profile, &cancel.id);
        self.answer(answer);
    }

    // ---- requests -------------------------------------------------------------------

    fn request(&mut self, now: Now, iq: &Iq) -> Taken {
        let (IqKind::Get(what) | IqKind::Set(what)) = &iq.kind else {
            return Taken::No;
        };
        let is_set = matches!(iq.kind, IqKind::Set(_));
        let handled = self.requested(now, iq, what, is_set);
        match handled {
            Ok(true) => Taken::Yes,
            Ok(false) => Taken::No,
            Err(error) => {
                let text = Text::new(error.to_string()).unwrap_or_default();
                let bad = StanzaError::new(ErrorType::Modify, DefinedCondition::BadRequest);
                self.answer(iq.refuse(bad.with_text(text)));
                Taken::Yes
            }
        }
    }

    fn requested(
        &mut self,
        now: Now,
        iq: &Iq,
        what: &Element,
        is_set: bool,
    ) -> Result<bool, PayloadError> {
        if is_set && let Some((profile, set)) = Set::find_any([what])? {
            self.set(now, iq, profile, &set, what);
        } else if let Some((profile, asked)) = Subscribe::find_any([what])? {
            // Some ask in a get.
            self.subscribe(now, iq, profile, asked);
        } else if let Some((_, asked)) = Unsubscribe::find_any([what])? {
            self.unsubscribe(iq, &asked);
        } else if let Some((profile, cancel)) = Cancel::find_any([what])? {
            self.cancel(iq, profile, &cancel);
        } else if is_set {
            return Ok(false);
        } else if let Some((profile, asked)) = Request::find_any([what])? {
            self.read(now, iq, profile, &asked);
        } else if let Some((profile, asked)) = GetForm::find_any([what])? {
            self.get_form(iq, profile, &asked);
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// In the words of a command's outcome.
#[must_use]
pub(super) const fn result_of(outcome: &Result<(), OrderError>) -> CommandResult {
    match outcome {
        Ok(()) => CommandResult::Done,
        Err(OrderError::Expired) => CommandResult::Expired,
        Err(OrderError::Refused(_)) => CommandResult::Refused,
        Err(OrderError::Unavailable(_)) => CommandResult::Unavailable,
        Err(OrderError::InDoubt(_)) => CommandResult::InDoubt,
    }
}

impl Service for State {
    const NAME: &'static str = "things";
    type Event = HostEvent;

    fn features(&self) -> Vec<Text> {
        let profiles = Profile::ALL.into_iter();
        let spoken = profiles.flat_map(|p| [p.sensor_data(), p.control(), p.events()]);
        let features = spoken.chain([ns::THING_COMMAND]);
        features.map(Text::from_static).collect()
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        (self.now, self.wall) = (now.monotonic, now.wall);
        match input {
            Input::Up(up) => {
                self.own = Some(up.jid.to_bare());
                match up.resumed {
                    true => self.subscriptions.again(),
                    false => self.subscriptions.clear(),
                }
                self.telling = None;
                self.up = true;
            }
            Input::Down => self.up = false,
            // Those whom it concerns are to see it, too.
            Input::Stanza(Stanza::Presence(presence)) => {
                if presence.kind == PresenceType::Unavailable
                    && let Some(who) = &presence.header.from
                {
                    self.subscriptions.gone(who);
                }
            }
            Input::Stanza(Stanza::Iq(iq)) => return self.request(now, iq),
            Input::Stanza(Stanza::Message(message)) => return self.message(message),
            Input::Tick => {
                self.subscriptions.tick(now.monotonic);
                let begun = self.readouts.tick(
                    now,
                    &self.table,
                    &self.config,
                    self.own.as_ref(),
                    &mut self.jobs,
                );
                let begun = begun.into_iter().map(Stanza::Message).map(Output::Transmit);
                self.outputs.extend(begun);
                if !self.due_told && self.table.due().is_some_and(|due| due <= now.monotonic) {
                    self.due_told = true;
                    self.event(HostEvent::Due);
                }
            }
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<HostEvent> {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        if self.up {
            let own = self.own.as_ref();
            let next = self
                .readouts
                .next(&self.table, &self.config, own, self.wall);
            if let Some(message) = next.or_else(|| self.next_event()) {
                return Output::Transmit(Stanza::Message(message));
            }
        }
        let due = self.table.due().filter(|_| !self.due_told);
        let due = due.into_iter().chain(self.readouts.due());
        // Without a stream nothing is told.
        let subscribers = self.subscriptions.wakes().filter(|_| self.up);
        Output::Wait(due.chain(subscribers).min())
    }

    fn claims(&self, message: &Message) -> bool {
        message.kind != MessageType::Error && message.payloads.iter().any(Command::matches)
    }
}
