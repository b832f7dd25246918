//! What a provider of commands says, as plain data: the command itself, a stage of its
//! execution, and its end.

use std::time::Duration;

use stanchion_stanza::payload::commands::{Action, Actions, Note, Severity};
use stanchion_stanza::payload::forms::Form;
use stanchion_stanza::{Element, Payload as _, Text};

use crate::allowed::Allowed;

/// A command that others may run.
#[derive(Debug, Clone)]
pub struct Offer {
    pub(super) node: Text,
    pub(super) name: Text,
    pub(super) allowed: Allowed,
    pub(super) idle: Duration,
    pub(super) patience: Duration,
}

impl Offer {
    /// How long a requester may take over a stage unless it is said otherwise.
    pub const IDLE: Duration = Duration::from_secs(600);
    /// How long the application may take over a stage unless it is said otherwise.
    pub const PATIENCE: Duration = Duration::from_secs(60);

    /// A command, for our own account's devices. The node names it for programs, the name
    /// for people.
    #[must_use]
    pub const fn new(node: Text, name: Text) -> Self {
        Self {
            node,
            name,
            allowed: Allowed::OwnAccount,
            idle: Self::IDLE,
            patience: Self::PATIENCE,
        }
    }

    /// Who may run it, and see it. Default: the devices of our own account.
    #[must_use]
    pub fn allowed(mut self, allowed: Allowed) -> Self {
        self.allowed = allowed;
        self
    }

    /// How long the requester may take over a stage; then the execution is over. Default
    /// 10 minutes.
    #[must_use]
    pub const fn idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// How long the application may take over a stage; then the requester is told so, and
    /// the execution is over. Default 1 minute; requesters often wait for less.
    #[must_use]
    pub const fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }
}

/// A stage of an execution: what the requester sees, and what it may do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    pub(super) form: Option<Form>,
    pub(super) notes: Vec<Note>,
    pub(super) prev: bool,
    pub(super) next: bool,
    pub(super) complete: bool,
}

impl Stage {
    /// A form to fill in. What is submitted is checked against it before the application
    /// sees it. Without another word it is the last one.
    #[must_use]
    pub const fn form(form: Form) -> Self {
        Self {
            form: Some(form),
            notes: Vec::new(),
            prev: false,
            next: false,
            complete: true,
        }
    }

    /// Something to agree to, without a form.
    #[must_use]
    pub fn question(text: Text) -> Self {
        Self {
            form: None,
            notes: vec![note(Severity::Info, text)],
            prev: false,
            next: false,
            complete: true,
        }
    }

    /// There is more to ask: the requester goes on, and may not finish here.
    #[must_use]
    pub const fn with_more(mut self) -> Self {
        (self.next, self.complete) = (true, false);
        self
    }

    /// There is more to ask, and the requester may do without.
    #[must_use]
    pub const fn with_more_if_wanted(mut self) -> Self {
        (self.next, self.complete) = (true, true);
        self
    }

    /// The requester may go back.
    #[must_use]
    pub const fn with_a_way_back(mut self) -> Self {
        self.prev = true;
        self
    }

    /// The same, with a note for people.
    #[must_use]
    pub fn with_note(mut self, severity: Severity, text: Text) -> Self {
        self.notes.push(note(severity, text));
        self
    }

    /// What may be done next. What `execute` means is always one of those allowed (§3.4).
    pub(super) const fn actions(&self) -> Actions {
        Actions {
            prev: self.prev,
            next: self.next,
            complete: self.complete,
            execute: Some(match self.next {
                true => Action::Next,
                false => Action::Complete,
            }),
        }
    }
}

/// The end of an execution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conclusion {
    pub(super) notes: Vec<Note>,
    pub(super) payload: Vec<Element>,
}

impl Conclusion {
    /// Done, and nothing more to say.
    #[must_use]
    pub fn done() -> Self {
        Self::default()
    }

    /// It failed, and this is why (§3.6).
    #[must_use]
    pub fn failed(why: Text) -> Self {
        Self::done().with_note(Severity::Error, why)
    }

    /// The same, with a note for people.
    #[must_use]
    pub fn with_note(mut self, severity: Severity, text: Text) -> Self {
        self.notes.push(note(severity, text));
        self
    }

    /// The same, with a form of results.
    #[must_use]
    pub fn with_form(self, form: &Form) -> Self {
        self.with_payload(form.to_element())
    }

    /// The same, with any other result.
    #[must_use]
    pub fn with_payload(mut self, payload: Element) -> Self {
        self.payload.push(payload);
        self
    }
}

const fn note(severity: Severity, text: Text) -> Note {
    Note { severity, text }
}
