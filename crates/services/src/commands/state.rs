//! The provider of commands (XEP-0050): which there are, who may see and run them, and the
//! executions under way, each bound to the full address that began it. What a command does
//! is the application's, which takes its turns through the face in `provider`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::commands::{Action, Command, Condition, Status};
use stanchion_stanza::payload::disco::{DiscoInfo, DiscoItems, Identity, Item};
use stanchion_stanza::payload::forms::Form;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, PresenceType, StanzaError};
use stanchion_stanza::{BareJid, Iq, Jid, Payload as _, Stanza, Text, ns};

use super::offer::{Conclusion, Offer, Stage};
use crate::forms;
use crate::service::{Input, Output, Service, Taken};

/// Commands that may be offered at once.
pub const MOST_COMMANDS: usize = 256;
/// Executions that may be under way at once.
pub const MOST_EXECUTIONS: usize = 64;
/// The same, of one account.
pub const MOST_OF_ONE_ACCOUNT: usize = 8;
/// Executions that are remembered as expired, so that their requesters hear so.
const EXPIRED: usize = 256;

/// What the provider tells its face: look at your executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed;

/// Why a command is not offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// There is one with that node.
    #[error("there is a command `{0}` already; withdraw it first")]
    Offered(Text),
    /// There are too many.
    #[error("{MOST_COMMANDS} commands are offered, and no more can be")]
    TooMany,
    /// The client has ended.
    #[error(transparent)]
    Ended(#[from] crate::Ended),
}

/// Why an execution does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Over {
    /// The requester gave up.
    #[error("the requester cancelled the command")]
    Cancelled,
    /// It said nothing for too long.
    #[error("the requester did not go on in time")]
    Expired,
    /// The application took too long over its turn; the requester was told so.
    #[error("the command was not answered in time, and its requester was told so")]
    TooLate,
    /// The requester, or our own session, is gone.
    #[error("the session with the requester is gone")]
    Gone,
    /// The command was withdrawn.
    #[error("the command was withdrawn")]
    Withdrawn,
    /// The client has ended.
    #[error("the client has ended")]
    Ended,
}

/// An execution that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begun {
    /// Its name.
    pub(super) session: Text,
    /// Who runs it.
    pub(super) requester: Option<Jid>,
    /// The language that the requester wants to be spoken to in.
    pub(super) lang: Option<Text>,
    /// What came with the request.
    pub(super) form: Option<Form>,
}

/// What the requester did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// [`Action::Next`], [`Action::Prev`] or [`Action::Complete`]: one that the stage
    /// allowed.
    pub action: Action,
    /// What it filled in, checked against the stage's form. None if it goes back, or if the
    /// stage had no form.
    pub form: Option<Form>,
}

/// One execution.
#[derive(Debug)]
struct Execution {
    node: Text,
    requester: Option<Jid>,
    due: Duration,
    turn: Turn,
}

/// Whose turn it is.
#[derive(Debug)]
enum Turn {
    /// The application's: this request waits.
    Ours {
        request: Box<Iq>,
        step: Option<Step>,
    },
    /// The requester's: it sees this stage.
    Theirs(Box<Stage>),
    /// It is over, and the application is to hear why.
    Over(Over),
}

/// The commands that we provide.
#[derive(Debug)]
pub struct Provider {
    /// Nobody else can guess the name of an execution.
    secret: u64,
    count: u64,
    offers: BTreeMap<Text, Offer>,
    executions: HashMap<Text, Execution>,
    begun: VecDeque<(Text, Begun)>,
    expired: VecDeque<Text>,
    own: Option<BareJid>,
    address: Option<Jid>,
    outputs: VecDeque<Output<Changed>>,
}

impl Provider {
    /// Without commands. `secret` is random.
    #[must_use]
    pub fn new(secret: u64) -> Self {
        Self {
            secret,
            count: 0,
            offers: BTreeMap::new(),
            executions: HashMap::new(),
            begun: VecDeque::new(),
            expired: VecDeque::new(),
            own: None,
            address: None,
            outputs: VecDeque::new(),
        }
    }

    // ---- what the application does --------------------------------------------------

    /// Offers a command.
    ///
    /// # Errors
    /// [`OfferError`].
    pub fn offer(&mut self, offer: Offer) -> Result<(), OfferError> {
        if self.offers.contains_key(&offer.node) {
            return Err(OfferError::Offered(offer.node));
        }
        if self.offers.len() >= MOST_COMMANDS {
            return Err(OfferError::TooMany);
        }
        if self.offers.is_empty() {
            self.outputs.push_back(Output::Announce);
        }
        self.offers.insert(offer.node.clone(), offer);
        Ok(())
    }

    /// Offers it no more, and ends its executions.
    pub fn withdraw(&mut self, node: &Text) {
        if self.offers.remove(node).is_some() && self.offers.is_empty() {
            self.outputs.push_back(Output::Announce);
        }
        let of_node = self.executions.iter().filter(|(_, e)| e.node == *node);
        let sessions: Vec<Text> = of_node.map(|(session, _)| session.clone()).collect();
        for session in sessions {
            self.end(&session, Over::Withdrawn);
        }
        self.begun.retain(|(of, _)| of != node);
    }

    /// The next execution of that command that begins.
    pub(super) fn take_begun(&mut self, node: &Text) -> Option<Begun> {
        let at = self.begun.iter().position(|(of, _)| of == node)?;
        self.begun.remove(at).map(|(_, begun)| begun)
    }

    /// Shows the requester a stage.
    pub(super) fn ask(&mut self, now: Now, session: &Text, stage: Stage) -> Result<(), Over> {
        let request = self.request_of(session)?;
        let mut answer = Command::new(Text::default());
        answer.status = Some(Status::Executing);
        answer.actions = Some(stage.actions());
        answer.notes.clone_from(&stage.notes);
        answer
            .payload
            .extend(stage.form.as_ref().map(Form::to_element));
        let idle = self
            .offer_of(session)
            .map_or(Offer::IDLE, |offer| offer.idle);
        if let Some(execution) = self.executions.get_mut(session) {
            execution.turn = Turn::Theirs(Box::new(stage));
            execution.due = now.monotonic.saturating_add(idle);
        }
        self.answer(&request, session, answer);
        Ok(())
    }

    /// What the requester did with the stage that it saw; none yet.
    pub(super) fn take_step(&mut self, session: &Text) -> Result<Option<Step>, Over> {
        match self.executions.get_mut(session).map(|e| &mut e.turn) {
            None => Err(Over::Gone),
            Some(Turn::Ours { step, .. }) => Ok(step.take()),
            Some(Turn::Theirs(_)) => Ok(None),
            Some(Turn::Over(why)) => {
                let why = *why;
                self.executions.remove(session);
                Err(why)
            }
        }
    }

    /// Ends an execution.
    pub(super) fn conclude(&mut self, session: &Text, end: Conclusion) -> Result<(), Over> {
        let request = self.request_of(session)?;
        let mut answer = Command::new(Text::default());
        answer.status = Some(Status::Completed);
        (answer.notes, answer.payload) = (end.notes, end.payload);
        self.answer(&request, session, answer);
        self.executions.remove(session);
        Ok(())
    }

    /// The application looks after an execution no more.
    pub(super) fn abandon(&mut self, session: &Text) {
        if let Some(Execution {
            turn: Turn::Ours { request, .. },
            ..
        }) = self.executions.remove(session)
        {
            self.refuse(&request, failed("the command was given up"));
        } else {
            self.remember_as_expired(session.clone());
        }
    }

    fn offer_of(&self, session: &Text) -> Option<&Offer> {
        self.offers.get(&self.executions.get(session)?.node)
    }

    /// The request that waits for the application.
    fn request_of(&mut self, session: &Text) -> Result<Box<Iq>, Over> {
        match self.executions.get(session).map(|e| &e.turn) {
            None => Err(Over::Gone),
            Some(Turn::Ours { request, .. }) => Ok(request.clone()),
            // The face takes turns.
            Some(Turn::Theirs(_)) => Err(Over::Gone),
            Some(Turn::Over(why)) => {
                let why = *why;
                self.executions.remove(session);
                Err(why)
            }
        }
    }

    // ---- what others ask ------------------------------------------------------------

    fn command(&mut self, now: Now, iq: &Iq, command: Result<Command, Condition>) {
        let command = match command {
            Ok(command) => command,
            Err(condition) => return self.refuse(iq, bad(condition)),
        };
        match command.session.clone() {
            None => self.begin(now, iq, &command),
            Some(session) => self.go_on(now, iq, &command, &session),
        }
    }

    fn begin(&mut self, now: Now, iq: &Iq, command: &Command) {
        let from = iq.header.from.as_ref();
        let Some(offer) = self.offers.get(&command.node) else {
            return self.refuse(iq, cancel(DefinedCondition::ItemNotFound));
        };
        if !offer.allowed.has(from, self.own.as_ref()) {
            return self.refuse(iq, forbidden());
        }
        if command.action != Action::Execute {
            return self.refuse(iq, bad(Condition::BadAction));
        }
        if self.executions.len() >= MOST_EXECUTIONS {
            // Those that are over, and that the application has not asked about.
            self.executions
                .retain(|_, e| !matches!(e.turn, Turn::Over(_)));
        }
        let account = from.map(Jid::to_bare);
        let under_way = self.executions.values();
        let of_account = under_way.filter(|e| e.requester.as_ref().map(Jid::to_bare) == account);
        if self.executions.len() >= MOST_EXECUTIONS || of_account.count() >= MOST_OF_ONE_ACCOUNT {
            let mut error = StanzaError::new(ErrorType::Wait, DefinedCondition::ResourceConstraint);
            error.text = Some(Text::from_static("too many commands are under way"));
            return self.refuse(iq, error);
        }
        self.count += 1;
        let session = Text::new(format!("{:x}-{:x}", self.secret, self.count)).unwrap_or_default();
        let execution = Execution {
            node: command.node.clone(),
            requester: from.cloned(),
            due: now.monotonic.saturating_add(offer.patience),
            turn: Turn::Ours {
                request: Box::new(iq.clone()),
                step: None,
            },
        };
        self.executions.insert(session.clone(), execution);
        let begun = Begun {
            session,
            requester: from.cloned(),
            lang: command.lang.clone().or_else(|| iq.header.lang.clone()),
            form: form_of(command),
        };
        self.begun.push_back((command.node.clone(), begun));
        self.outputs.push_back(Output::Event(Changed));
    }

    fn go_on(&mut self, now: Now, iq: &Iq, command: &Command, session: &Text) {
        // An execution of somebody else's is none: its name tells nothing.
        let theirs = |e: &&Execution| e.requester == iq.header.from && e.node == command.node;
        let Some(execution) = self.executions.get(session).filter(theirs) else {
            return match self.expired.contains(session) {
                true => self.refuse(iq, expired()),
                false => self.refuse(iq, bad(Condition::BadSessionid)),
            };
        };
        let Turn::Theirs(stage) = &execution.turn else {
            return match execution.turn {
                Turn::Over(_) => self.refuse(iq, expired()),
                // The request before is not answered yet.
                _ => self.refuse(
                    iq,
                    StanzaError::new(ErrorType::Wait, DefinedCondition::UnexpectedRequest),
                ),
            };
        };
        let actions = stage.actions();
        let action = match command.action {
            Action::Execute => actions.default_action().unwrap_or(Action::Complete),
            action => action,
        };
        let allowed = match action {
            Action::Cancel => {
                let mut answer = Command::new(Text::default());
                answer.status = Some(Status::Canceled);
                self.answer(iq, session, answer);
                return self.end(session, Over::Cancelled);
            }
            Action::Prev => actions.prev,
            Action::Next => actions.next,
            Action::Complete => actions.complete,
            Action::Execute => false,
        };
        if !allowed {
            return self.refuse(iq, bad(Condition::BadAction));
        }
        let form = match (&stage.form, action) {
            (None, _) | (_, Action::Prev) => None,
            (Some(asked), _) => {
                let submitted = form_of(command);
                let checked = match &submitted {
                    Some(submitted) => forms::check(asked, submitted),
                    None => Err(forms::FillError::NotSubmitted),
                };
                if let Err(error) = checked {
                    let mut refusal = bad(Condition::BadPayload);
                    refusal.text = Text::new(error.to_string()).ok();
                    return self.refuse(iq, refusal);
                }
                submitted
            }
        };
        let patience = self
            .offer_of(session)
            .map_or(Offer::PATIENCE, |o| o.patience);
        if let Some(execution) = self.executions.get_mut(session) {
            execution.due = now.monotonic.saturating_add(patience);
            execution.turn = Turn::Ours {
                request: Box::new(iq.clone()),
                step: Some(Step { action, form }),
            };
        }
        self.outputs.push_back(Output::Event(Changed));
    }

    fn info(&self, iq: &Iq, node: Text) -> Iq {
        let identity = |kind, name| Identity {
            category: Text::from_static("automation"),
            kind: Text::from_static(kind),
            name,
            lang: None,
        };
        let offer = self.offers.get(&node);
        let identity = match offer {
            None => identity("command-list", None),
            Some(offer)
                if !offer
                    .allowed
                    .has(iq.header.from.as_ref(), self.own.as_ref()) =>
            {
                return iq.refuse(forbidden());
            }
            Some(offer) => identity("command-node", Some(offer.name.clone())),
        };
        let info = DiscoInfo {
            node: Some(node),
            identities: vec![identity],
            features: [ns::COMMANDS, ns::FORMS].map(Text::from_static).into(),
            extensions: Vec::new(),
        };
        iq.result(Some(info.to_element()))
    }

    fn items(&self, iq: &Iq, node: Text) -> Iq {
        let from = iq.header.from.as_ref();
        let jid = iq.header.to.as_ref().or(self.address.as_ref());
        let allowed = |offer: &&Offer| offer.allowed.has(from, self.own.as_ref());
        let mut items = Vec::new();
        if let (Some(jid), true) = (jid, node.as_str() == ns::COMMANDS) {
            let offers = self.offers.values().filter(allowed);
            items.extend(offers.map(|offer| Item {
                jid: jid.clone(),
                node: Some(offer.node.clone()),
                name: Some(offer.name.clone()),
            }));
        }
        let items = DiscoItems {
            node: Some(node),
            items,
        };
        iq.result(Some(items.to_element()))
    }

    fn iq(&mut self, now: Now, iq: &Iq) -> Taken {
        match &iq.kind {
            IqKind::Set(query) if Command::matches(query) => {
                let command = Command::from_element(query).map_err(|_| {
                    let action = query.attr("action");
                    match action.is_none_or(|a| Action::from_name(a).is_some()) {
                        true if query.attr("sessionid") == Some("") => Condition::BadSessionid,
                        true => Condition::BadPayload,
                        false => Condition::MalformedAction,
                    }
                });
                self.command(now, iq, command);
                Taken::Yes
            }
            IqKind::Get(query) => {
                let node = query.attr_text("node");
                let ours =
                    |node: &Text| node.as_str() == ns::COMMANDS || self.offers.contains_key(node);
                let Some(node) = node.filter(ours) else {
                    return Taken::No;
                };
                let answer = match query.ns() {
                    ns::DISCO_INFO => self.info(iq, node),
                    ns::DISCO_ITEMS => self.items(iq, node),
                    _ => return Taken::No,
                };
                self.outputs.push_back(Output::Transmit(answer.into()));
                Taken::Yes
            }
            _ => Taken::No,
        }
    }

    // ---- answers and ends -----------------------------------------------------------

    fn answer(&mut self, iq: &Iq, session: &Text, mut answer: Command) {
        if let Some(execution) = self.executions.get(session) {
            answer.node = execution.node.clone();
        }
        answer.session = Some(session.clone());
        let answer = iq.result(Some(answer.to_element()));
        self.outputs.push_back(Output::Transmit(answer.into()));
    }

    fn refuse(&mut self, iq: &Iq, error: StanzaError) {
        let refusal = iq.refuse(error);
        self.outputs.push_back(Output::Transmit(refusal.into()));
    }

    /// It is over, and the application hears why. The requester, if it waits, too.
    fn end(&mut self, session: &Text, why: Over) {
        let Some(execution) = self.executions.get_mut(session) else {
            return;
        };
        let turn = std::mem::replace(&mut execution.turn, Turn::Over(why));
        // The application has not heard of it, and need not.
        let unheard = self
            .begun
            .iter()
            .position(|(_, begun)| begun.session == *session);
        if let Some(at) = unheard {
            self.begun.remove(at);
            self.executions.remove(session);
        }
        self.remember_as_expired(session.clone());
        if let Turn::Ours { request, .. } = turn
            && why != Over::Gone
        {
            let text = match why {
                Over::Withdrawn => "the command is not offered any more",
                _ => "the command did not answer in time",
            };
            self.refuse(&request, failed(text));
        }
        self.outputs.push_back(Output::Event(Changed));
    }

    fn remember_as_expired(&mut self, session: Text) {
        if self.expired.len() >= EXPIRED {
            self.expired.pop_front();
        }
        self.expired.push_back(session);
    }

    fn end_where(&mut self, why: Over, which: impl Fn(&Execution) -> bool) {
        let alive = self.executions.iter();
        let alive = alive.filter(|(_, e)| !matches!(e.turn, Turn::Over(_)) && which(e));
        let sessions: Vec<Text> = alive.map(|(session, _)| session.clone()).collect();
        for session in sessions {
            self.end(&session, why);
        }
    }

    fn tick(&mut self, now: Duration) {
        let ours = |e: &Execution| matches!(e.turn, Turn::Ours { .. });
        self.end_where(Over::TooLate, |e| e.due <= now && ours(e));
        self.end_where(Over::Expired, |e| e.due <= now && !ours(e));
    }
}

impl Service for Provider {
    const NAME: &'static str = "commands";
    type Event = Changed;

    fn features(&self) -> Vec<Text> {
        match self.offers.is_empty() {
            true => Vec::new(),
            false => vec![Text::from_static(ns::COMMANDS)],
        }
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Up(up) => {
                self.own = Some(up.jid.to_bare());
                self.address = Some(up.jid.clone().into());
                if !up.resumed {
                    // What was asked of the session before, or of its address, is lost.
                    self.end_where(Over::Gone, |_| true);
                }
            }
            Input::Tick => self.tick(now.monotonic),
            Input::Stanza(Stanza::Iq(iq)) => return self.iq(now, iq),
            Input::Stanza(Stanza::Presence(presence))
                if presence.kind == PresenceType::Unavailable =>
            {
                let from = presence.header.from.as_ref();
                if from.is_some_and(|from| from.resource().is_some()) {
                    self.end_where(Over::Gone, |e| e.requester.as_ref() == from);
                }
            }
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<Changed> {
        let alive = self.executions.values();
        let alive = alive.filter(|e| !matches!(e.turn, Turn::Over(_)));
        let due = alive.map(|e| e.due).min();
        self.outputs.pop_front().unwrap_or(Output::Wait(due))
    }
}

fn form_of(command: &Command) -> Option<Form> {
    Form::find(&command.payload).ok().flatten()
}

fn cancel(condition: DefinedCondition) -> StanzaError {
    StanzaError::new(ErrorType::Cancel, condition)
}

fn forbidden() -> StanzaError {
    StanzaError::new(ErrorType::Auth, DefinedCondition::Forbidden)
}

/// A request that cannot be followed (§4.4).
fn bad(condition: Condition) -> StanzaError {
    let mut error = StanzaError::new(ErrorType::Modify, DefinedCondition::BadRequest);
    error.application = Some(Box::new(condition.to_element()));
    error
}

fn expired() -> StanzaError {
    let mut error = cancel(DefinedCondition::NotAllowed);
    error.application = Some(Box::new(Condition::SessionExpired.to_element()));
    error
}

fn failed(text: &'static str) -> StanzaError {
    let mut error = StanzaError::new(ErrorType::Wait, DefinedCondition::InternalServerError);
    error.text = Some(Text::from_static(text));
    error
}

#[cfg(test)]
mod tests;
