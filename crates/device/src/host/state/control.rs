//! What is set (XEP-0325): everything is checked before anything acts, and a request that
//! comes twice acts once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use stanchion_stanza::payload::Payload as _;
use stanchion_stanza::payload::control::{ParameterError, ResponseCode, Set, SetResponse};
use stanchion_stanza::payload::forms::{Form, FormType};
use stanchion_stanza::payload::sensordata::{Node, Profile, Profiled as _};
use stanchion_stanza::payload::thing_command::CommandResult;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::{BareJid, Element, Iq, Jid, Text};

use super::super::HostConfig;
use super::super::table::Table;
use super::super::wish;
use super::form;
use crate::adapter::OrderError;
use crate::model::{Setting, ThingSpec};

/// Things that one command may be for.
const MOST_THINGS_AT_ONCE: usize = 256;
/// Answers that are remembered for requests that come twice.
const REMEMBERED: usize = 512;
/// For how long.
const REMEMBERED_FOR: Duration = Duration::from_secs(30);

/// What is to be done, all of it checked.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Each thing, whose it is, and what to set there, in this order.
    pub orders: Vec<PlannedOrder>,
    /// Whether doing it twice is the same as doing it once.
    pub idempotent: bool,
}

/// What one thing is to do.
#[derive(Debug, Clone)]
pub struct PlannedOrder {
    /// Which.
    pub thing: Text,
    /// Whose.
    pub adapter: Arc<str>,
    /// What to set.
    pub settings: Vec<Setting>,
}

impl Plan {
    /// Which things.
    #[must_use]
    pub fn things(&self) -> Vec<Text> {
        self.orders.iter().map(|o| o.thing.clone()).collect()
    }
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    condition: DefinedCondition,
    kind: ErrorType,
    code: ResponseCode,
    text: Text,
    parameter: Option<ParameterError>,
}

impl Refusal {
    fn new(condition: DefinedCondition, text: &str) -> Self {
        let (kind, code) = match condition {
            DefinedCondition::Forbidden => (ErrorType::Auth, ResponseCode::InsufficientPrivileges),
            DefinedCondition::ItemNotFound => (ErrorType::Cancel, ResponseCode::NotFound),
            DefinedCondition::BadRequest => (ErrorType::Modify, ResponseCode::FormError),
            DefinedCondition::NotAcceptable => (ErrorType::Modify, ResponseCode::OtherError),
            DefinedCondition::InternalServerError => (ErrorType::Cancel, ResponseCode::OtherError),
            _ => (ErrorType::Wait, ResponseCode::OtherError),
        };
        Self {
            condition,
            kind,
            code,
            text: Text::new(text).unwrap_or_default(),
            parameter: None,
        }
    }

    pub(super) fn forbidden() -> Self {
        Self::new(DefinedCondition::Forbidden, "you may not set that")
    }

    pub(super) fn busy() -> Self {
        let text = "too many requests are under way; ask again later";
        Self::new(DefinedCondition::ResourceConstraint, text)
    }

    fn not_found(node: &Node) -> Self {
        let text = format!("there is no thing `{}`", node.id);
        Self::new(DefinedCondition::ItemNotFound, &text)
    }

    fn nothing_there() -> Self {
        Self::new(DefinedCondition::ItemNotFound, "there is no thing here")
    }

    /// Whether nothing is known of what is meant.
    pub(crate) fn is_not_found(&self) -> bool {
        self.condition == DefinedCondition::ItemNotFound
    }

    fn bad(text: &str) -> Self {
        Self::new(DefinedCondition::BadRequest, text)
    }

    fn parameter(name: &Text, text: &str) -> Self {
        let mut refusal = Self::bad(text);
        refusal.parameter = Some(ParameterError {
            name: name.clone(),
            text: refusal.text.clone(),
        });
        refusal
    }

    /// Of an order that was not carried out, or is not known to be.
    pub(super) fn of(error: &OrderError) -> Self {
        let condition = match error {
            OrderError::Expired => DefinedCondition::RemoteServerTimeout,
            OrderError::Refused(_) => DefinedCondition::NotAcceptable,
            OrderError::Unavailable(_) => DefinedCondition::RecipientUnavailable,
            OrderError::InDoubt(_) => DefinedCondition::InternalServerError,
        };
        Self::new(condition, &error.to_string())
    }

    /// Whether it is for want of a right.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.condition == DefinedCondition::Forbidden
    }

    /// The same in the words of a command's outcome.
    #[must_use]
    pub fn result(&self) -> CommandResult {
        match self.condition {
            DefinedCondition::Forbidden => CommandResult::Forbidden,
            _ => CommandResult::Refused,
        }
    }

    /// The same for people.
    #[must_use]
    pub const fn text(&self) -> &Text {
        &self.text
    }

    /// The answer to the request. In the legacy profile, beside the error, in the words
    /// from before version 0.4: some peers hear nothing else.
    pub(super) fn answer(&self, request: &Iq, profile: Profile) -> Iq {
        let mut error = StanzaError::new(self.kind, self.condition).with_text(self.text.clone());
        let parameter = self.parameter.as_ref();
        error.application = parameter.map(|p| Box::new(p.to_element_in(profile)));
        let response = SetResponse {
            code: Some(self.code),
            errors: self.parameter.iter().cloned().collect(),
            ..SetResponse::default()
        };
        let beside = (profile == Profile::Legacy).then(|| response.to_element());
        let mut iq = request.refuse(error);
        if let IqKind::Error(_, child) = &mut iq.kind {
            *child = beside;
        }
        iq
    }
}

/// Who asks, and who we are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) who: Option<&'a Jid>,
    pub(super) own: Option<&'a BareJid>,
}

/// The things that are meant.
fn things<'t>(
    nodes: &[Node],
    table: &'t Table,
    config: &HostConfig,
    asker: Asker<'_>,
) -> Result<Vec<&'t Arc<ThingSpec>>, Refusal> {
    let access = &config.access;
    if !access.may_set_something(asker.who, asker.own) {
        return Err(Refusal::forbidden());
    }
    if nodes.len() > MOST_THINGS_AT_ONCE {
        return Err(Refusal::bad("too many things at once"));
    }
    let mut things: Vec<&Arc<ThingSpec>> = Vec::new();
    for node in nodes {
        let thing = table.thing(&node.id).filter(|t| wish::is(t, node));
        let thing = thing.ok_or_else(|| Refusal::not_found(node))?;
        if !things.iter().any(|t| t.node.id == thing.node.id) {
            things.push(thing);
        }
    }
    if nodes.is_empty() {
        let several = "name the thing that is meant: there are several";
        let device = match &config.device {
            Some(device) => table.thing(device),
            None if table.len() > 1 => return Err(Refusal::bad(several)),
            None => table.things().next(),
        };
        things.push(device.ok_or_else(Refusal::nothing_there)?);
    }
    Ok(things)
}

/// What a request sets, all of it checked, or why nothing is.
pub(super) fn plan(
    set: &Set,
    table: &Table,
    config: &HostConfig,
    asker: Asker<'_>,
) -> Result<Plan, Refusal> {
    let things = things(&set.nodes, table, config, asker)?;
    let form = match &set.form {
        Some(element) => {
            let form = Form::from_element(element);
            let form = form.map_err(|e| Refusal::bad(&e.to_string()))?;
            if form.kind != FormType::Submit {
                return Err(Refusal::bad("the form is not filled in"));
            }
            Some(form)
        }
        None => None,
    };
    let mut plan = Plan {
        orders: Vec::new(),
        idempotent: true,
    };
    for thing in things {
        let id = &thing.node.id;
        let mut settings = set.parameters.clone();
        if let Some(form) = &form {
            let of_form = form::settings(form, |name| thing.parameter(name));
            settings.extend(of_form.map_err(|(name, why)| Refusal::parameter(&name, why))?);
        }
        if settings.is_empty() {
            return Err(Refusal::bad("nothing is to be set"));
        }
        for setting in &settings {
            let access = &config.access;
            if !access.may_set(asker.who, asker.own, id, &setting.name) {
                return Err(Refusal::forbidden());
            }
            let check = thing.check(setting);
            check.map_err(|e| Refusal::parameter(&setting.name, &e.to_string()))?;
            let parameter = thing.parameter(&setting.name);
            plan.idempotent &= parameter.is_some_and(|p| p.idempotent);
        }
        let Some(adapter) = table.adapter(id) else {
            return Err(Refusal::bad("the thing is gone"));
        };
        plan.orders.push(PlannedOrder {
            thing: id.clone(),
            adapter: Arc::clone(adapter),
            settings,
        });
    }
    Ok(plan)
}

/// The form of the parameters that all things have that are meant, of those that may be
/// set.
pub(super) fn form_of(
    nodes: &[Node],
    table: &Table,
    config: &HostConfig,
    asker: Asker<'_>,
) -> Result<Element, Refusal> {
    let things = things(nodes, table, config, asker)?;
    let Some((first, others)) = things.split_first() else {
        return Err(Refusal::bad("no thing is meant"));
    };
    let may = |thing: &ThingSpec, name: &Text| {
        config
            .access
            .may_set(asker.who, asker.own, &thing.node.id, name)
    };
    let is_common = |name: &Text| {
        let mut others = others.iter();
        may(first, name) && others.all(|t| t.parameter(name).is_some() && may(t, name))
    };
    let parameters: Vec<_> = first
        .parameters
        .iter()
        .filter(|p| is_common(&p.name))
        .collect();
    if parameters.is_empty() && !first.parameters.is_empty() && others.is_empty() {
        return Err(Refusal::forbidden());
    }
    let now = |name: &Text| match others.is_empty() {
        true => table.value(&first.node.id, name).map(|v| v.reading.value),
        // They may differ.
        false => None,
    };
    let parameters = parameters.into_iter().map(|p| (p, now(&p.name)));
    Ok(form::of(first.label.clone(), parameters).to_element())
}

/// The answer to a request that was carried out.
pub(super) fn done(request: &Iq, profile: Profile) -> Iq {
    request.result(Some(SetResponse::ok().to_element_in(profile)))
}

/// What became of several orders, as of one.
pub(in super::super) fn together(
    outcomes: &[(Text, Result<(), OrderError>)],
) -> Result<(), OrderError> {
    let failed = |o: &&(Text, Result<(), OrderError>)| o.1.is_err();
    let Some((_, Err(first))) = outcomes.iter().find(failed) else {
        return Ok(());
    };
    let of_doubt =
        |o: &(Text, Result<(), OrderError>)| matches!(o.1, Ok(()) | Err(OrderError::InDoubt(_)));
    if outcomes.len() == 1 || !outcomes.iter().any(of_doubt) {
        return Err(first.clone());
    }
    let word = |(thing, outcome): &(Text, Result<(), OrderError>)| match outcome {
        Ok(()) => format!("{thing}: done"),
        Err(error) => format!("{thing}: {error}"),
    };
    let words: Vec<String> = outcomes.iter().map(word).collect();
    Err(OrderError::InDoubt(words.join("; ")))
}

/// Requests under way and answered, so that one that comes twice acts once: known by the
/// full address, the id and what they say.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    known: HashMap<(Option<Jid>, Text), Seen>,
    order: VecDeque<(Duration, (Option<Jid>, Text))>,
}

#[derive(Debug)]
struct Seen {
    what: Element,
    answer: Option<Iq>,
}

/// What is known of a request.
#[derive(Debug)]
pub(super) enum Before {
    /// Nothing.
    New,
    /// It is being carried out, and will be answered.
    UnderWay,
    /// It was answered so.
    Answered(Box<Iq>),
}

impl Repeats {
    pub(super) fn look(&mut self, now: Duration, request: &Iq, what: &Element) -> Before {
        while let Some((at, key)) = self.order.front()
            && (self.order.len() > REMEMBERED || *at + REMEMBERED_FOR <= now)
        {
            self.known.remove(key);
            self.order.pop_front();
        }
        match self.known.get(&key(request)) {
            Some(seen) if seen.what == *what => match &seen.answer {
                Some(answer) => Before::Answered(Box::new(answer.clone())),
                None => Before::UnderWay,
            },
            _ => Before::New,
        }
    }

    pub(super) fn begin(&mut self, request: &Iq, what: &Element) {
        let (what, answer) = (what.clone(), None);
        self.order.retain(|(_, k)| *k != key(request));
        self.known.insert(key(request), Seen { what, answer });
    }

    pub(super) fn end(&mut self, now: Duration, answer: &Iq) {
        let key = (
            answer.header.to.clone(),
            answer.header.id.clone().unwrap_or_default(),
        );
        if let Some(seen) = self.known.get_mut(&key)
            && seen.answer.is_none()
        {
            seen.answer = Some(answer.clone());
            self.order.push_back((now, key));
        }
    }
}

fn key(request: &Iq) -> (Option<Jid>, Text) {
    let id = request.header.id.clone().unwrap_or_default();
    (request.header.from.clone(), id)
}
