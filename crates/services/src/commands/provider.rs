//! The application's face of a command that it offers: executions as they begin, and its
//! turns in each. Whose turn it is, and for how long, is decided in `state`.

use std::future::Future;

use stanchion_stanza::payload::forms::Form;
use stanchion_stanza::{Jid, Text};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::JoinSet;

use super::offer::{Conclusion, Stage};
use super::state::{Begun, Changed, Over, Provider, Step};
use crate::Handle;

/// The executions of a command that is offered. When it is dropped, no more begin that
/// anybody would look after; [`Offered::withdraw`] says so to the requesters.
#[derive(Debug)]
pub struct Offered {
    pub(super) provider: Handle<Provider>,
    pub(super) changes: Receiver<Changed>,
    pub(super) node: Text,
}

impl Offered {
    /// The next execution that begins; `None` once the client has ended. May be dropped at
    /// any time, and then nothing is lost.
    pub async fn next(&mut self) -> Option<Execution> {
        loop {
            let node = self.node.clone();
            let begun = self.provider.call(move |p, _| p.take_begun(&node)).await;
            if let Some(begun) = begun.ok()? {
                return Some(Execution {
                    provider: self.provider.clone(),
                    changes: self.provider.events(),
                    begun,
                    over: false,
                });
            }
            // What happened before this was looked at is found above.
            if !changed(&self.provider, &mut self.changes).await {
                return None;
            }
        }
    }

    /// Runs `handler` for each execution, all of them at the same time, until the client
    /// ends. They are aborted if this is dropped. What a handler gives ends its execution;
    /// an error by which it gave up says nothing new to anybody, and is left out.
    pub async fn serve<H, F>(mut self, handler: H)
    where
        H: Fn(Execution) -> F,
        F: Future<Output = Result<(), Over>> + Send + 'static,
    {
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                execution = self.next() => match execution {
                    Some(execution) => {
                        under_way.spawn(handler(execution));
                    }
                    None => break,
                },
                Some(ended) = under_way.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, node = %self.node, "a command's handler failed");
                    }
                }
            }
        }
    }

    /// Offers the command no more, and ends its executions.
    pub async fn withdraw(self) {
        let node = self.node.clone();
        // If the client has ended, so have they.
        let _ = self.provider.call(move |p, _| p.withdraw(&node)).await;
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        let node = self.node.clone();
        self.provider.post(move |p, _| p.withdraw(&node));
    }
}

/// Waits until something may have changed; `false` if nothing will any more.
async fn changed(provider: &Handle<Provider>, changes: &mut Receiver<Changed>) -> bool {
    tokio::select! {
        change = changes.recv() => !matches!(change, Err(RecvError::Closed)),
        () = provider.ended() => false,
    }
}

/// One execution of a command, at the application's turn. Dropped without an end, it is
/// given up, and its requester is told so.
#[derive(Debug)]
pub struct Execution {
    provider: Handle<Provider>,
    changes: Receiver<Changed>,
    begun: Begun,
    over: bool,
}

impl Execution {
    /// Who runs the command: a full address, unless the server itself does. It was allowed
    /// to when it began.
    #[must_use]
    pub const fn requester(&self) -> Option<&Jid> {
        self.begun.requester.as_ref()
    }

    /// The language that it asked for.
    #[must_use]
    pub fn lang(&self) -> Option<&str> {
        self.begun.lang.as_deref()
    }

    /// The form that came with the first request, unchecked: nobody asked for one.
    #[must_use]
    pub const fn given(&self) -> Option<&Form> {
        self.begun.form.as_ref()
    }

    /// Shows the requester a stage, and waits for what it does: one of the actions that the
    /// stage allows, with a form that answers the stage's.
    ///
    /// # Errors
    /// [`Over`]; then there is nothing more to do, and nobody to tell.
    pub async fn ask(&mut self, stage: Stage) -> Result<Step, Over> {
        let session = self.begun.session.clone();
        let asked = self.provider.call({
            let session = session.clone();
            move |p, now| p.ask(now, &session, stage)
        });
        let asked = asked.await.unwrap_or(Err(Over::Ended));
        self.note_over(asked)?;
        loop {
            let session = session.clone();
            let step = self.provider.call(move |p, _| p.take_step(&session)).await;
            if let Some(step) = self.note_over(step.unwrap_or(Err(Over::Ended)))? {
                return Ok(step);
            }
            if !changed(&self.provider, &mut self.changes).await {
                return self.note_over(Err(Over::Ended));
            }
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`Over`]: the requester will not hear of it.
    pub async fn conclude(mut self, end: Conclusion) -> Result<(), Over> {
        let session = self.begun.session.clone();
        let concluded = self.provider.call(move |p, _| p.conclude(&session, end));
        let concluded = concluded.await.unwrap_or(Err(Over::Ended));
        self.over = true;
        concluded
    }

    fn note_over<T>(&mut self, result: Result<T, Over>) -> Result<T, Over> {
        self.over |= result.is_err();
        result
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        if !self.over {
            let session = self.begun.session.clone();
            self.provider.post(move |p, _| p.abandon(&session));
        }
    }
}
