//! A neighbour, as the application speaks to it: read, set, and written to.

use std::time::Duration;

use stanchion_services::waiter::Waiter;
use stanchion_services::{Request, RequestError};
use stanchion_stanza::payload::control::SetResponse;
use stanchion_stanza::payload::sensordata::Profiled as _;
use stanchion_stanza::{BareJid, Element, Jid, Message};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use stanchion_reliability::engine::Now;

use super::desk::Desk;
use super::error::ContactError;
use super::work::{Call, Contact};
use crate::remote::state::{Ask, Told};
use crate::remote::{Command, Done, ReadError, Readings, Readout, SetError};

/// Somebody on the local network, seen now or not. Cheap to clone. A stream is opened when
/// there is something to say, and closed when nothing was said for a while.
#[derive(Debug, Clone)]
pub struct Neighbour {
    pub(super) name: BareJid,
    pub(super) calls: mpsc::Sender<Call>,
}

impl Neighbour {
    /// Who.
    #[must_use]
    pub const fn name(&self) -> &BareJid {
        &self.name
    }

    /// Sends a message. It is not kept and not repeated; resolves once it is handed to the
    /// network, which is no proof that it arrived.
    ///
    /// # Errors
    /// [`ContactError`]. After [`ContactError::Lost`] it may have arrived.
    pub async fn message(&self, mut message: Message) -> Result<(), ContactError> {
        message.header.to = Some(self.jid());
        let (answer, answered) = oneshot::channel();
        let call = Call::Message(Box::new(message), self.name.clone(), answer);
        let sent = self.calls.send(call).await;
        sent.map_err(|_| ContactError::Ended)?;
        let who = self.name.clone();
        let answered = answered.await;
        answered.unwrap_or(Err(ContactError::Lost { who }))
    }

    /// Reads its things (XEP-0323).
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(&self, readout: Readout) -> Result<Readings, ReadError> {
        let over = Instant::now() + readout.within;
        let contact = match timeout_at(over, self.contact()).await {
            Ok(contact) => contact.map_err(|error| self.not_read(error))?,
            Err(_) => return Err(self.late(readout.within)),
        };
        let (to, ask) = (self.jid(), Ask::Read(Box::new(readout.request())));
        let left = over.saturating_duration_since(Instant::now());
        let silence = readout.silence;
        let begin = move |desk: &mut Desk, now| {
            desk.remote
                .begin(now, to, contact.reads, ask, left, silence)
        };
        let name = self.desk(begin).await.ok_or(ReadError::Closed)??;
        // Ended, it is taken off the table whatever becomes of us.
        let _open = Open {
            name,
            calls: self.calls.clone(),
        };
        let mut all = Readings::default();
        loop {
            let (waiter, told) = Waiter::new();
            let next = move |desk: &mut Desk, _| desk.remote.next(name, waiter);
            self.desk(next).await.ok_or(ReadError::Closed)?;
            match told.await.map_err(|_| ReadError::Closed)? {
                Told::Part(part) => all.add(part),
                Told::End(Err(error)) => return Err(error),
                Told::End(Ok(())) => break,
                // Of subscriptions alone.
                Told::Missed(_) | Told::Coalesced(_) | Told::Accepted => {}
            }
        }
        match all.failures.first() {
            Some(first) if all.values.is_empty() => Err(ReadError::Failed {
                of: self.jid(),
                thing: first.node.id.clone(),
                why: first.text.to_string(),
            }),
            _ => Ok(all),
        }
    }

    /// Sets parameters by a request (XEP-0325 §3.2), which is sent once and never again: if
    /// the answer is lost, nobody knows. How the command is to be given otherwise is not
    /// looked at, for between neighbours there is no other way; and to one who has no pinned
    /// certificate none is given.
    ///
    /// # Errors
    /// [`SetError`], which says whether it may have had an effect.
    pub async fn set(&self, command: Command) -> Result<Done, SetError> {
        let over = Instant::now() + command.within;
        let contact = match timeout_at(over, self.contact()).await {
            Ok(contact) => contact.map_err(|error| self.not_set(error))?,
            Err(_) => return Err(self.not_delivered("there was no stream in time")),
        };
        if contact.plain {
            return Err(SetError::Forbidden {
                of: self.jid(),
                why: "nothing is set over a stream without TLS; pair the two first".to_owned(),
            });
        }
        let left = over.saturating_duration_since(Instant::now()) + command.grace;
        let set = command.element().to_element_in(contact.sets);
        let answer = self.ask(Request::set(Some(self.jid()), set).within(left));
        let of = self.jid();
        let element = answer.await.map_err(|e| SetError::of_request(&of, e))?;
        let response = match &element {
            None => SetResponse::default(),
            Some(element) => match SetResponse::find_any([element]) {
                Ok(Some((_, response))) => response,
                _ => {
                    return Err(SetError::InDoubt {
                        of,
                        why: format!("<{}/> in place of <setResponse/>", element.name()),
                        key: None,
                    });
                }
            },
        };
        if !response.succeeded() {
            return Err(SetError::of_response(&of, &response));
        }
        let parameters = response.parameters.iter();
        Ok(Done {
            text: String::new(),
            parameters: parameters.map(ToString::to_string).collect(),
            key: None,
        })
    }

    /// Asks it something else.
    ///
    /// # Errors
    /// [`RequestError`]: refused by nobody, if it was not reached.
    pub async fn ask(&self, mut request: Request) -> Result<Option<Element>, RequestError> {
        request.to = Some(self.jid());
        let (waiter, answer) = Waiter::new();
        let asked = self.desk(move |desk, now| desk.ask(now, request, waiter));
        asked.await.ok_or(RequestError::Closed)?;
        answer.await.unwrap_or(Err(RequestError::Closed))
    }

    fn jid(&self) -> Jid {
        self.name.clone().into()
    }

    async fn contact(&self) -> Result<Contact, ContactError> {
        let (answer, answered) = oneshot::channel();
        let call = Call::Contact(self.name.clone(), answer);
        let sent = self.calls.send(call).await;
        sent.map_err(|_| ContactError::Ended)?;
        answered.await.map_err(|_| ContactError::Ended)?
    }

    async fn desk<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Desk, Now) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let call = Call::Desk(Box::new(move |desk, now| {
            // Who asked may have given up.
            let _ = answer.send(run(desk, now));
        }));
        self.calls.send(call).await.ok()?;
        answered.await.ok()
    }

    fn not_read(&self, error: ContactError) -> ReadError {
        let (of, why) = (self.jid(), error.to_string());
        match error {
            ContactError::Ended => ReadError::Closed,
            ContactError::Busy { .. } => ReadError::TooMany,
            ContactError::Untrusted { .. }
            | ContactError::Refused { .. }
            | ContactError::Insecure { .. } => ReadError::Refused { of, why },
            ContactError::Misbehaves { what, .. } => ReadError::Unreadable { of, what },
            _ => ReadError::Unavailable { of, why },
        }
    }

    fn not_set(&self, error: ContactError) -> SetError {
        let (of, why) = (self.jid(), error.to_string());
        match error {
            ContactError::Ended => SetError::NotDelivered { of, why },
            ContactError::Busy { .. } => SetError::TooMany,
            ContactError::Untrusted { .. }
            | ContactError::Refused { .. }
            | ContactError::Insecure { .. } => SetError::Forbidden { of, why },
            ContactError::NotSeen { .. } | ContactError::Unreachable { .. } => {
                SetError::Unavailable { of, why }
            }
            _ => SetError::NotDelivered { of, why },
        }
    }

    fn not_delivered(&self, why: &str) -> SetError {
        SetError::NotDelivered {
            of: self.jid(),
            why: why.to_owned(),
        }
    }

    fn late(&self, within: Duration) -> ReadError {
        ReadError::Timeout {
            of: self.jid(),
            within,
            after: 0,
        }
    }
}

/// A read-out under way.
struct Open {
    name: u64,
    calls: mpsc::Sender<Call>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let name = self.name;
        // If there is no room to say so, it ends by its time.
        let _ = self.calls.try_send(Call::Desk(Box::new(move |desk, _| {
            desk.remote.close(name);
        })));
    }
}
