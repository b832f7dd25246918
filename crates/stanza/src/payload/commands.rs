//! Ad-hoc commands (XEP-0050): what an entity lets others do, step by step. Which
//! commands there are is told by [`disco`](super::disco), at the node of this namespace.

use super::parts::{named, names};
use super::{Payload, PayloadError, required};
use crate::ns;
use crate::xml::{Element, Text};

names! {
    /// What the requester wants done (§4.1).
    #[derive(Default)]
    Action {
        /// Give up.
        Cancel = "cancel",
        /// Finish.
        Complete = "complete",
        /// Begin, or do what [`Actions::default_action`] says. What no action at all
        /// means.
        #[default]
        Execute = "execute",
        /// Go on to the next stage.
        Next = "next",
        /// Go back to the stage before.
        Prev = "prev",
    }
}

names! {
    /// How far the responder has come (§4.1).
    Status {
        /// Given up; the session is over.
        Canceled = "canceled",
        /// Done, or failed if a note of type `error` says so (§3.6); the session is over.
        Completed = "completed",
        /// There is more to do.
        Executing = "executing",
    }
}

names! {
    /// How grave a note is (§4.3).
    #[derive(Default)]
    Severity {
        /// The command failed, or will.
        Error = "error",
        /// Only to know. What no type at all, or an unknown one, means.
        #[default]
        Info = "info",
        /// Something is odd.
        Warn = "warn",
    }
}

names! {
    /// Why a command was refused: beside a stanza error's own condition (§4.4).
    Condition {
        /// With `bad-request`: not this action now.
        BadAction = "bad-action",
        /// With `bad-request`: not in this language.
        BadLocale = "bad-locale",
        /// With `bad-request`: the form or other payload will not do.
        BadPayload = "bad-payload",
        /// With `bad-request`: there is no such session.
        BadSessionid = "bad-sessionid",
        /// With `bad-request`: there is no such action.
        MalformedAction = "malformed-action",
        /// With `not-allowed`: the session is over.
        SessionExpired = "session-expired",
    }
}

impl Condition {
    /// The condition that `element` is, if it is one: look at
    /// [`StanzaError::application`](crate::stanza::StanzaError::application).
    #[must_use]
    pub fn from_element(element: &Element) -> Option<Self> {
        Self::from_name(element.name()).filter(|_| element.ns() == ns::COMMANDS)
    }

    /// The condition as an element.
    #[must_use]
    pub fn to_element(self) -> Element {
        Element::new(self.as_str(), ns::COMMANDS)
    }
}

/// What may be done next (§4.2). Giving up is always allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Actions {
    /// Whether one may go back.
    pub prev: bool,
    /// Whether one may go on.
    pub next: bool,
    /// Whether one may finish.
    pub complete: bool,
    /// What [`Action::Execute`] means; by rights one of those allowed.
    pub execute: Option<Action>,
}

impl Actions {
    /// What [`Action::Execute`] means here, and so what a button shown first does:
    /// without a word the next stage, if there is one (§3.4).
    #[must_use]
    pub fn default_action(&self) -> Option<Action> {
        self.execute.or(self.next.then_some(Action::Next))
    }

    fn read(element: &Element) -> Result<Self, PayloadError> {
        let has = |action: Action| element.child(action.as_str(), ns::COMMANDS).is_some();
        let execute = named(element, "actions", "execute", Action::from_name)?;
        Ok(Self {
            prev: has(Action::Prev),
            next: has(Action::Next),
            complete: has(Action::Complete),
            execute,
        })
    }

    fn write(&self) -> Element {
        let allowed = [
            (self.prev, Action::Prev),
            (self.next, Action::Next),
            (self.complete, Action::Complete),
        ];
        let allowed = allowed.into_iter().filter(|(allowed, _)| *allowed);
        Element::new("actions", ns::COMMANDS)
            .with_attr_opt("execute", self.execute)
            .with_children(allowed.map(|(_, a)| Element::new(a.as_str(), ns::COMMANDS)))
    }
}

/// Something for people (§4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// How grave it is.
    pub severity: Severity,
    /// What it says.
    pub text: Text,
}

/// A command, in a request or an answer.
///
/// ```
/// use stanchion_stanza::{Payload, Text, payload::commands::{Action, Command, Status}};
/// let mut answer = Command::new(Text::from_static("restart"));
/// answer.session = Some(Text::from_static("s1"));
/// answer.status = Some(Status::Executing);
/// let again = answer.follow_up(Action::Cancel);
/// assert_eq!(
///     again.to_element().attr("action").zip(again.to_element().attr("sessionid")),
///     Some(("cancel", "s1"))
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Which command.
    pub node: Text,
    /// The execution that this belongs to; the responder gives it a name, which is not
    /// empty. `None` only in the first request.
    pub session: Option<Text>,
    /// What the requester wants; says nothing in an answer.
    pub action: Action,
    /// How far the responder is; says nothing in a request.
    pub status: Option<Status>,
    /// The language of the session (§3.7).
    pub lang: Option<Text>,
    /// What may be done next, in an answer.
    pub actions: Option<Actions>,
    /// Notes, in an answer.
    pub notes: Vec<Note>,
    /// A form (XEP-0004) or others, as they stood; the first counts most (§3.5).
    pub payload: Vec<Element>,
}

impl Command {
    /// The first request: begin.
    #[must_use]
    pub const fn new(node: Text) -> Self {
        Self {
            node,
            session: None,
            action: Action::Execute,
            status: None,
            lang: None,
            actions: None,
            notes: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// The request that follows this answer, without payload.
    #[must_use]
    pub fn follow_up(&self, action: Action) -> Self {
        Self {
            session: self.session.clone(),
            action,
            lang: self.lang.clone(),
            ..Self::new(self.node.clone())
        }
    }

    /// Whether it is done and did not fail (§3.6).
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status == Some(Status::Completed)
            && self.notes.iter().all(|n| n.severity != Severity::Error)
    }
}

impl Payload for Command {
    const NAME: &'static str = "command";
    const NS: &'static str = ns::COMMANDS;

    /// Reads the command.
    ///
    /// # Errors
    /// [`PayloadError::MissingAttribute`] without `node`; [`PayloadError::Invalid`] for
    /// an unknown `action` (answer with [`Condition::MalformedAction`]), an unknown
    /// `status` or `execute`, or an empty `sessionid`.
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let session = element.attr_value("sessionid").cloned();
        if session.as_ref().is_some_and(|s| s.is_empty()) {
            return Err(PayloadError::Invalid {
                element: Self::NAME,
                what: "sessionid",
            });
        }
        let mut command = Self {
            session,
            action: named(element, Self::NAME, "action", Action::from_name)?.unwrap_or_default(),
            status: named(element, Self::NAME, "status", Status::from_name)?,
            lang: element.lang().map(|l| Text::checked(l.to_owned())),
            ..Self::new(required(element, Self::NAME, "node")?)
        };
        for child in element.children() {
            match (child.name(), child.ns()) {
                ("actions", ns::COMMANDS) => command.actions = Some(Actions::read(child)?),
                ("note", ns::COMMANDS) => {
                    let severity = child.attr("type").and_then(Severity::from_name);
                    command.notes.push(Note {
                        severity: severity.unwrap_or_default(),
                        text: child.text_value(),
                    });
                }
                (_, ns::COMMANDS) => {}
                _ => command.payload.push(child.clone()),
            }
        }
        Ok(command)
    }

    fn to_element(&self) -> Element {
        let note = |n: &Note| {
            Element::new("note", ns::COMMANDS)
                .with_attr("type", n.severity)
                .with_text(n.text.clone())
        };
        let action = (self.action != Action::default()).then_some(self.action);
        let mut command = Element::new(Self::NAME, Self::NS)
            .with_attr("node", self.node.clone())
            .with_attr_opt("sessionid", self.session.clone())
            .with_attr_opt("action", action)
            .with_attr_opt("status", self.status);
        if let Some(lang) = &self.lang {
            command.set_lang(lang.clone());
        }
        command
            .with_children(self.actions.as_ref().map(Actions::write))
            .with_children(self.notes.iter().map(note))
            .with_children(self.payload.iter().cloned())
    }
}
