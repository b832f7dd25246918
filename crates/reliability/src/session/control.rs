//! What the handles ask the driver for.

use stanchion_stanza::{BareJid, Element, Jid, Message};
use tokio::sync::oneshot;

use super::SendError;
use super::outgoing::{InvalidMessage, Outgoing, Prepared};
use super::progress::{Teller, given};
use super::sent::Given;
use crate::engine::Mode;
use crate::store::Effect;

/// A message on its way into the outbox.
#[derive(Debug)]
pub(super) struct SendCommand {
    pub(super) prepared: Prepared,
    pub(super) teller: Teller,
}

impl SendCommand {
    /// The command, and what waits until the message is kept.
    pub(super) fn new(message: Outgoing) -> Result<(Self, Given), InvalidMessage> {
        let prepared = message.prepare()?;
        let (teller, keeping) = given();
        let given = Given::new(prepared.id.clone(), keeping);
        Ok((Self { prepared, teller }, given))
    }

    /// Whether it is kept nowhere.
    pub(super) fn is_fleeting(&self) -> bool {
        self.prepared.mode == Mode::AtMostOnce
    }

    pub(super) fn refuse(self, why: SendError) {
        self.teller.refuse(why);
    }
}

/// Everything else that a handle asks for.
#[derive(Debug)]
pub(super) enum Control {
    /// Answered when the application may act on the message.
    Begin {
        arrival: u64,
        answer: oneshot::Sender<()>,
    },
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
    /// A room is to be entered; with whether its archive is to be read.
    HoldRoom {
        room: BareJid,
        gather: bool,
    },
    /// It was; answered with whether nothing is missing.
    EnterRoom {
        room: BareJid,
        settled: bool,
        answer: oneshot::Sender<bool>,
    },
    LeaveRoom(BareJid),
    /// A message that is kept nowhere: it waits for no disk and no room.
    Fleeting(SendCommand),
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
