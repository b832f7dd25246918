//! A command to a thing of somebody else: parameters to set, and how it is given.

use std::time::Duration;

use stanchion_services::Request;
use stanchion_stanza::payload::control::{GetForm, Set, SetResponse};
use stanchion_stanza::payload::forms::Form;
use stanchion_stanza::payload::sensordata::{Profiled as _, Tokens};
use stanchion_stanza::{Jid, Text, ns};
use tokio::time::{Instant, timeout};

use super::Things;
use super::peer::not_asked;
use super::readout::ReadError;
use super::set_error::SetError;
use crate::model::{Node, Setting, SettingValue};

/// How long is waited for what a device announces before a command is given to one that is
/// known.
const KNOWN: Duration = Duration::from_secs(3);

/// How a command is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum How {
    /// Once and durably to who announces that, and as a request to others. Somebody who
    /// announced it once is known, and need not be there.
    #[default]
    Best,
    /// Once and durably, whatever is known of the device: it may be away.
    Once,
    /// As a request (XEP-0325 §3.2): sent once, never again.
    Request,
}

/// Parameters that are to be set, in this order, all or none.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Command {
    /// Which things; none for the device itself.
    pub things: Vec<Node>,
    /// What to set.
    pub settings: Vec<Setting>,
    /// The device does not carry it out after that time, by its clock. Default 30 s.
    pub within: Duration,
    /// How long the device's word may take beyond that. Default 5 s.
    pub grace: Duration,
    /// How it is given.
    pub how: How,
    /// What lets us in, from a provisioning server (XEP-0324). Default: none.
    pub tokens: Tokens,
}

impl Command {
    /// One parameter of the device itself.
    #[must_use]
    pub fn set(name: Text, value: SettingValue) -> Self {
        Self {
            things: Vec::new(),
            settings: vec![Setting { name, value }],
            within: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            how: How::default(),
            tokens: Tokens::default(),
        }
    }

    /// The same, with one parameter more.
    #[must_use]
    pub fn and(mut self, name: Text, value: SettingValue) -> Self {
        self.settings.push(Setting { name, value });
        self
    }

    /// The same, of that thing, beside those that were said before.
    #[must_use]
    pub fn of(mut self, thing: Text) -> Self {
        self.things.push(Node::new(thing));
        self
    }

    /// The same, within that time.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// The same, given so.
    #[must_use]
    pub const fn how(mut self, how: How) -> Self {
        self.how = how;
        self
    }

    pub(crate) fn element(&self) -> Set {
        Set {
            nodes: self.things.clone(),
            parameters: self.settings.clone(),
            tokens: self.tokens.clone(),
            ..Set::default()
        }
    }
}

/// A command that was carried out: the device said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// In its words; empty for none.
    pub text: String,
    /// The parameters that were set, if those are not all that were named.
    pub parameters: Vec<String>,
    /// The command's key, if it was given to act once.
    pub key: Option<String>,
}

impl Things {
    /// Sets parameters, and waits until the device said that it did it: a receipt is not
    /// enough. To a device that announces that its commands act once
    /// (`urn:stanchion:command:0`), the command is durable and carried out once, or not at
    /// all. To another one it is sent once, and what became of it is in doubt if the answer
    /// is lost.
    ///
    /// Within the command's time and grace there always is an answer.
    ///
    /// # Errors
    /// [`SetError`], which says whether the command may have had an effect.
    pub async fn set(&self, jid: &Jid, command: Command) -> Result<Done, SetError> {
        let began = Instant::now();
        let once = match command.how {
            How::Once => true,
            How::Request => false,
            How::Best => self.acts_once(jid, &command).await?,
        };
        let command = Command {
            within: command.within.saturating_sub(began.elapsed()),
            ..command
        };
        match once {
            true => self.give(jid, command).await?.outcome().await,
            false => self.request(jid, &command).await,
        }
    }

    /// Whether commands there act once.
    async fn acts_once(&self, jid: &Jid, command: &Command) -> Result<bool, SetError> {
        let account = jid.bare_str().to_owned();
        let name = account.clone();
        let known = self.handle.call(move |state, _| state.is_known(&name));
        let known = known.await.map_err(|_| SetError::Closed)?;
        let patience = match known {
            true => KNOWN.min(command.within),
            false => command.within,
        };
        match timeout(patience, self.peer(jid)).await {
            Ok(Ok(peer)) if peer.info.is_some() => {
                let once = peer.has(ns::THING_COMMAND);
                let noted = self.handle.call(move |state, _| state.know(&account, once));
                noted.await.map_err(|_| SetError::Closed)?;
                Ok(once)
            }
            _ if known => Ok(true),
            Ok(Ok(_)) => Ok(false),
            Ok(Err(error)) => Err(SetError::not_given(jid, error)),
            Err(_) => Err(SetError::NotDelivered {
                of: jid.clone(),
                why: format!("nobody said within {patience:?} what it is"),
            }),
        }
    }

    async fn request(&self, jid: &Jid, command: &Command) -> Result<Done, SetError> {
        let over = Instant::now() + command.within;
        let peer = timeout(command.within, self.peer(jid)).await;
        let peer = match peer {
            Ok(peer) => peer.map_err(|error| SetError::not_given(jid, error))?,
            Err(_) => {
                return Err(SetError::NotDelivered {
                    of: jid.clone(),
                    why: "nobody said in time what it is".to_owned(),
                });
            }
        };
        let set = command.element().to_element_in(peer.sets());
        let left = over.saturating_duration_since(Instant::now()) + command.grace;
        let request = Request::set(Some(peer.jid.clone()), set).within(left);
        let answer = self.requests.ask(request).await;
        let element = answer.map_err(|error| SetError::of_request(&peer.jid, error))?;
        let response = match &element {
            // Some say nothing beyond that it was done.
            None => SetResponse::default(),
            Some(element) => match SetResponse::find_any([element]) {
                Ok(Some((_, response))) => response,
                _ => {
                    return Err(SetError::InDoubt {
                        of: peer.jid,
                        why: format!("<{}/> in place of <setResponse/>", element.name()),
                        key: None,
                    });
                }
            },
        };
        if !response.succeeded() {
            return Err(SetError::of_response(&peer.jid, &response));
        }
        Ok(Done {
            text: String::new(),
            parameters: response
                .parameters
                .iter()
                .map(ToString::to_string)
                .collect(),
            key: None,
        })
    }

    /// The parameters of a thing, or of the device itself, as a form (XEP-0325 §3.3).
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn form(&self, jid: &Jid, thing: Option<Node>) -> Result<Form, ReadError> {
        let peer = self.peer(jid).await?;
        let query = GetForm {
            nodes: thing.into_iter().collect(),
            ..GetForm::default()
        };
        let request = Request::get(Some(peer.jid.clone()), query.to_element_in(peer.sets()));
        let answer = self.requests.ask_for(request).await;
        answer.map_err(|error| not_asked(&peer.jid, error))
    }
}
