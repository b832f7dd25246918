//! What the handles ask the driver for.

use stanchion_stanza::{Element, Jid, Message};
use tokio::sync::{oneshot, watch};

use super::SendError;
use super::outgoing::{InvalidMessage, Outgoing, Prepared};
use super::sent::{Sent, Stage};
use super::waiters::Waiter;
use crate::store::Effect;

/// A message on its way into the outbox.
#[derive(Debug)]
pub(super) struct SendCommand {
    pub(super) prepared: Prepared,
    pub(super) waiter: Waiter,
}

impl SendCommand {
    /// The command, what tells that the message is kept, and the handle to it.
    #[allow(clippy::type_complexity)] // Three things that part ways at once.
    pub(super) fn new(
        message: Outgoing,
    ) -> Result<(Self, oneshot::Receiver<Result<(), SendError>>, Sent), InvalidMessage> {
        let prepared = message.prepare()?;
        let (kept_tx, kept) = oneshot::channel();
        let (stage_tx, stage) = watch::channel(Stage::Accepted);
        let sent = Sent::new(prepared.id.clone(), stage);
        let waiter = Waiter {
            kept: Some(kept_tx),
            stage: stage_tx,
        };
        Ok((Self { prepared, waiter }, kept, sent))
    }

    pub(super) fn refuse(self, why: SendError) {
        if let Some(kept) = self.waiter.kept {
            let _ = kept.send(Err(why));
        }
    }
}

/// Everything else that a handle asks for.
#[derive(Debug)]
pub(super) enum Control {
    Commit {
        arrival: u64,
        answer: Answer,
    },
    CommitWith {
        arrival: u64,
        effect: Effect,
        answer: oneshot::Sender<Decision>,
    },
    Reject {
        arrival: u64,
        answer: oneshot::Sender<Decision>,
    },
    Cancel {
        id: String,
    },
    Forget {
        to: Jid,
    },
    Transmit(Element),
    /// Messages of an archive; answered with how many were taken.
    Archived {
        messages: Vec<Message>,
        answer: oneshot::Sender<usize>,
    },
    TrySend(SendCommand),
    Shutdown,
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is durable.
    Done,
    /// Nothing has changed.
    NotDone,
    /// The store runs no effects.
    NoTransactions,
}

/// Who waits for a decision, if anybody does.
pub(super) type Answer = Option<oneshot::Sender<Decision>>;
