//! A command of somebody else's, being run by us: the answers as they come, and the steps
//! that they allow.

use stanchion_stanza::payload::commands::{Action, Actions, Command, Condition, Note, Status};
use stanchion_stanza::payload::forms::{Form, FormType};
use stanchion_stanza::stanza::StanzaError;
use stanchion_stanza::{Element, Jid, Payload as _, Text};

use crate::forms::Filling;
use crate::host::Requests;
use crate::request::{Request, RequestError};

/// Why a command did not begin, or not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The responder refused. What it says by `condition` is told where it is
    /// ([`Condition`]); after [`Condition::BadPayload`] the stage is still the same one.
    #[error("{} refused the command: {error}{}", name(.by.as_ref()), .condition.map(|c| format!(" ({})", c.as_str())).unwrap_or_default())]
    Refused {
        /// Who.
        by: Option<Jid>,
        /// Why, if it is about commands (XEP-0050 §4.4).
        condition: Option<Condition>,
        /// Why.
        error: Box<StanzaError>,
    },
    /// The stage does not allow it; nothing was asked.
    #[error("this stage does not allow `{}`; see what it allows", .0.as_str())]
    NotAllowed(Action),
    /// The command has ended; nothing was asked.
    #[error("the command has ended")]
    Over,
    /// The answer belongs to another command or another execution.
    #[error("the answer belongs to another execution")]
    Mixed,
    /// No answer.
    #[error(transparent)]
    Request(RequestError),
}

fn name(jid: Option<&Jid>) -> &str {
    jid.map_or("the server", Jid::as_str)
}

impl From<RequestError> for CommandError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused { by, error, .. } => {
                let condition = error.application.as_deref();
                let condition = condition.and_then(Condition::from_element);
                Self::Refused {
                    by,
                    condition,
                    error,
                }
            }
            error => Self::Request(error),
        }
    }
}

/// One execution of a command at `with`, as far as it has come. If it is dropped before its
/// end, the responder waits until it loses patience: [`Dialogue::cancel`] says so.
#[derive(Debug)]
pub struct Dialogue {
    requests: Requests,
    with: Jid,
    answer: Command,
}

impl Dialogue {
    pub(super) async fn begin(
        requests: Requests,
        with: Jid,
        command: Command,
    ) -> Result<Self, CommandError> {
        let node = command.node.clone();
        let answer = ask(&requests, &with, &command).await?;
        let without_name = answer.session.is_none() && answer.status != Some(Status::Completed);
        if answer.node != node || without_name {
            return Err(CommandError::Mixed);
        }
        Ok(Self {
            requests,
            with,
            answer,
        })
    }

    /// Who runs it for us.
    #[must_use]
    pub const fn with(&self) -> &Jid {
        &self.with
    }

    /// Whether there is more to do.
    #[must_use]
    pub fn is_executing(&self) -> bool {
        self.answer.status == Some(Status::Executing)
    }

    /// Whether it is done and did not fail (XEP-0050 §3.6).
    #[must_use]
    pub fn has_succeeded(&self) -> bool {
        self.answer.succeeded()
    }

    /// What the responder says to people.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.answer.notes
    }

    /// All that the responder gave, as it stood.
    #[must_use]
    pub fn payload(&self) -> &[Element] {
        &self.answer.payload
    }

    /// The form that is to be filled in, or the results; none if there is none that can be
    /// read.
    #[must_use]
    pub fn form(&self) -> Option<Form> {
        Form::find(&self.answer.payload).ok().flatten()
    }

    /// The form, to be filled in; none if there is none to fill in.
    #[must_use]
    pub fn fill(&self) -> Option<Filling> {
        let form = self.form().filter(|form| form.kind == FormType::Form)?;
        Some(Filling::of(&form))
    }

    /// What may be done next. Without a word of the responder's: finish (§3.4).
    #[must_use]
    pub fn actions(&self) -> Actions {
        self.answer.actions.unwrap_or(Actions {
            complete: true,
            execute: Some(Action::Complete),
            ..Actions::default()
        })
    }

    /// Goes on to the next stage.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn next(&mut self, form: Option<Form>) -> Result<(), CommandError> {
        self.step(Action::Next, form).await
    }

    /// Goes back to the stage before.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn prev(&mut self) -> Result<(), CommandError> {
        self.step(Action::Prev, None).await
    }

    /// Finishes.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn complete(&mut self, form: Option<Form>) -> Result<(), CommandError> {
        self.step(Action::Complete, form).await
    }

    /// Gives up; always allowed while it executes.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn cancel(mut self) -> Result<(), CommandError> {
        self.step(Action::Cancel, None).await
    }

    async fn step(&mut self, action: Action, form: Option<Form>) -> Result<(), CommandError> {
        if !self.is_executing() {
            return Err(CommandError::Over);
        }
        let actions = self.actions();
        let allowed = match action {
            Action::Cancel => true,
            Action::Next => actions.next,
            Action::Prev => actions.prev,
            Action::Complete => actions.complete,
            Action::Execute => false,
        };
        if !allowed {
            return Err(CommandError::NotAllowed(action));
        }
        let mut request = self.answer.follow_up(action);
        request.payload.extend(form.as_ref().map(Form::to_element));
        let answer = ask(&self.requests, &self.with, &request).await?;
        if answer.node != self.answer.node || answer.session != self.answer.session {
            return Err(CommandError::Mixed);
        }
        self.answer = answer;
        Ok(())
    }
}

async fn ask(requests: &Requests, with: &Jid, command: &Command) -> Result<Command, CommandError> {
    let request = Request::set(Some(with.clone()), command.to_element());
    let answer: Command = requests.ask_for(request).await?;
    if answer.status.is_none() {
        let what = "<command/> has no `status`".to_owned();
        return Err(RequestError::Unreadable(what).into());
    }
    Ok(answer)
}

/// A command that somebody offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Available {
    /// Where it is run.
    pub jid: Jid,
    /// Its name for programs.
    pub node: Text,
    /// Its name for people.
    pub name: Option<Text>,
}
