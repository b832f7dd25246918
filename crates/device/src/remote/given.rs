//! A command that was given to act once: durable here, carried out once there, or never.

use std::future::pending;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stanchion_reliability::outcome::Outcome;
use stanchion_reliability::session::{Lane, Outgoing, SendError, Sender};
use stanchion_reliability::store::OutboundState;
use stanchion_services::Handle;
use stanchion_stanza::payload::sensordata::{Profile, Profiled as _};
use stanchion_stanza::payload::thing_command;
use stanchion_stanza::{Jid, Payload as _};
use tokio::time::{Instant, sleep_until};

use super::Things;
use super::command::{Command, Done};
use super::set_error::SetError;
use super::state::{Entry, State};

/// The grace of a command that was found again.
const GRACE: Duration = Duration::from_secs(5);

/// A command that was given. Dropping it changes nothing about the command.
#[derive(Debug, Clone)]
pub struct Given {
    handle: Handle<State>,
    sender: Sender,
    key: String,
    to: Jid,
    by: Instant,
    grace: Duration,
}

impl Things {
    /// Gives a command that acts once; resolves when it is durable. The device need not be
    /// there at the moment. To who does not know such commands, none is carried out, and it
    /// ends in doubt: [`Things::set`] finds out.
    ///
    /// # Errors
    /// [`SetError::NotGiven`], [`SetError::TooMany`] and [`SetError::Closed`].
    pub async fn give(&self, jid: &Jid, command: Command) -> Result<Given, SetError> {
        let (began, at) = (Instant::now(), wall());
        let length = i64::try_from(command.within.as_millis()).unwrap_or(i64::MAX);
        let by = at.saturating_add(length);
        // All that know such commands know this profile.
        let set = command.element().to_element_in(Profile::Nf);
        let limit = thing_command::Command { by: Some(by) };
        let message = Outgoing::payload(jid.clone(), set)
            .with_payload(limit.to_element())
            .lane(Lane::Control)
            .within(command.within);
        let (message, key) = message.with_id();
        let entry = Entry {
            to: jid.to_string(),
            at,
            by,
            sent: false,
            settled: None,
        };
        // Before it is sent: whatever happens then, it is found.
        let noted = key.clone();
        let noted = self.handle.ask(move |state, _, waiter| {
            // Of one that is not noted, the waiter is dropped.
            state.note(&noted, entry, waiter);
        });
        noted.await.map_err(|_| SetError::TooMany)?;
        match self.sender.send(message).await {
            Ok(_) | Err(SendError::PerhapsKept { .. }) => {}
            Err(SendError::Closed) => return Err(SetError::Closed),
            Err(error) => return Err(SetError::NotGiven(error)),
        }
        let sent = key.clone();
        let sent = self.handle.call(move |state, _| state.sent(&sent)).await;
        sent.map_err(|_| SetError::Closed)?;
        Ok(Given {
            handle: self.handle.clone(),
            sender: self.sender.clone(),
            key,
            to: jid.clone(),
            by: began + command.within,
            grace: command.grace,
        })
    }

    /// A command that was given by this client, or an earlier one on the same store: the
    /// last thousand are remembered.
    ///
    /// # Errors
    /// [`SetError::NoSuchCommand`] and [`SetError::Closed`].
    pub async fn find_command(&self, key: &str) -> Result<Given, SetError> {
        let asked = key.to_owned();
        let entry = self.handle.call(move |state, _| state.entry(&asked)).await;
        let entry = entry.map_err(|_| SetError::Closed)?;
        let gone = || SetError::NoSuchCommand(key.to_owned());
        let entry = entry.ok_or_else(gone)?;
        let left = u64::try_from(entry.by.saturating_sub(wall())).unwrap_or(0);
        Ok(Given {
            handle: self.handle.clone(),
            sender: self.sender.clone(),
            key: key.to_owned(),
            to: entry.to.parse().map_err(|_| gone())?,
            by: Instant::now() + Duration::from_millis(left),
            grace: GRACE,
        })
    }
}

fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

impl Given {
    /// Its key: the id of its message.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// To whom it was given.
    #[must_use]
    pub const fn to(&self) -> &Jid {
        &self.to
    }

    /// What became of it, by its time and grace at the latest. What the device says after
    /// that is told who asks again.
    ///
    /// # Errors
    /// [`SetError`].
    pub async fn outcome(&self) -> Result<Done, SetError> {
        let over = self.by + self.grace;
        tokio::select! {
            biased;
            word = self.word() => word,
            error = self.undelivered() => Err(error),
            () = sleep_until(over) => Err(self.at_the_end().await),
        }
    }

    /// The device's own word.
    async fn word(&self) -> Result<Done, SetError> {
        let key = self.key.clone();
        let said = self
            .handle
            .ask(move |state, _, waiter| state.await_outcome(&key, waiter));
        let said = said.await.map_err(|_| SetError::Closed)?;
        let said = SetError::of_word(&self.to, &self.key, said)?;
        Ok(Done {
            text: said.text,
            parameters: said.parameters,
            key: Some(self.key.clone()),
        })
    }

    /// Resolves if the message never takes effect.
    async fn undelivered(&self) -> SetError {
        let Ok(Some(tracked)) = self.sender.find(&self.key).await else {
            return pending().await;
        };
        if let OutboundState::NotDelivered { .. } = tracked.record().state {
            return self.at_the_end().await;
        }
        let Some(sent) = tracked.into_sent() else {
            return pending().await;
        };
        match sent.outcome().await {
            Ok(Outcome::NotDelivered(why)) => SetError::of_message(&self.to, why),
            // It arrived, or perhaps: then the device has the word.
            _ => pending().await,
        }
    }

    /// What is known once no word came in time.
    async fn at_the_end(&self) -> SetError {
        let of = self.to.clone();
        let (key, name) = (Some(self.key.clone()), self.key.clone());
        let why = match self.sender.find(&self.key).await {
            Ok(Some(tracked)) => match &tracked.record().state {
                OutboundState::NotDelivered { reason } if reason.0 == "expired" => {
                    return SetError::Expired { of };
                }
                state @ OutboundState::NotDelivered { .. } => {
                    let why = state.to_string();
                    return SetError::NotDelivered { of, why };
                }
                OutboundState::Delivered | OutboundState::Acknowledged => {
                    "it has the command, and said nothing in time".to_owned()
                }
                state => state.to_string(),
            },
            Ok(None) => {
                let entry = self.handle.call(move |state, _| state.entry(&name)).await;
                if matches!(entry, Ok(Some(Entry { sent: false, .. }))) {
                    let why = "the client ended before it was sent".to_owned();
                    return SetError::NotDelivered { of, why };
                }
                "it is not in the store any more".to_owned()
            }
            Err(error) => error.to_string(),
        };
        SetError::InDoubt { of, why, key }
    }
}
