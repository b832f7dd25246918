//! What the application wants of the task.

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::control::Set;
use stanchion_stanza::payload::sensordata::Profiled as _;
use stanchion_stanza::{BareJid, Message, Stanza};
use stanchion_transport::security::Fingerprint;
use tokio::sync::oneshot;

use super::Work;
use super::streams::{Contact, MOST_PENDING, Stream};
use crate::adapter::{AdapterEvent, Control};
use crate::serverless::desk::Desk;
use crate::serverless::error::ContactError;
use crate::serverless::record::Record;
use crate::serverless::table::Seen;
use crate::serverless::trust::{No, Way};

/// Something that is done at the desk.
pub(in crate::serverless) type AtDesk = Box<dyn FnOnce(&mut Desk, Now) + Send>;

/// What the application wants.
pub(in crate::serverless) enum Call {
    /// Something of the desk's.
    Desk(AtDesk),
    /// A stream to that neighbour.
    Contact(BareJid, oneshot::Sender<Result<Contact, ContactError>>),
    /// Say that to it.
    Message(
        Box<Message>,
        BareJid,
        oneshot::Sender<Result<(), ContactError>>,
    ),
    /// Who is there.
    Neighbours(oneshot::Sender<Vec<Seen>>),
    /// An adapter told something.
    Take(AdapterEvent, oneshot::Sender<()>),
    /// Orders to that adapter go there.
    Attach(Control),
    /// It is no more.
    Detach(String),
    /// That name is whoever shows that certificate, or nobody any more.
    Trust(BareJid, Option<Fingerprint>, oneshot::Sender<()>),
    /// We say something else of ourselves.
    Record(Box<Record>),
}

impl Work {
    pub(super) fn call(&mut self, call: Call) {
        let now = self.now();
        match call {
            Call::Desk(run) => run(&mut self.parts.desk, now),
            Call::Contact(to, answer) => self.contact(to, answer),
            Call::Message(message, to, answer) => self.message(*message, &to, answer),
            Call::Neighbours(answer) => {
                // Who asked may have given up, here and below.
                let _ = answer.send(self.table.all().cloned().collect());
            }
            Call::Take(event, taken) => {
                if let Some(host) = &mut self.parts.desk.host {
                    // What is told on is the client's own host's business.
                    host.take(now, event);
                }
                let _ = taken.send(());
            }
            Call::Attach(control) => {
                self.controls.attach(control);
            }
            Call::Detach(name) => {
                self.controls.detach(&name);
                if let Some(host) = &mut self.parts.desk.host {
                    host.detach(&name);
                }
            }
            Call::Trust(name, pin, done) => {
                match pin {
                    Some(pin) => self.parts.trust.pin(name.clone(), pin),
                    None => {
                        self.parts.trust.forget(&name);
                    }
                }
                // What stands was opened in another trust.
                let theirs = |s: &Stream| s.name.as_ref() == Some(&name);
                self.streams.retain(|_, stream| !theirs(stream));
                self.parts.desk.lost(now, &name);
                let _ = done.send(());
            }
            Call::Record(record) => {
                let fingerprint = self.parts.record.fingerprint;
                self.parts.record = *record;
                self.parts.record.fingerprint = fingerprint;
                self.register();
            }
        }
    }

    fn contact(&mut self, to: BareJid, answer: oneshot::Sender<Result<Contact, ContactError>>) {
        if let Some(number) = self.stream_to(&to)
            && let Some(stream) = self.streams.get(&number)
        {
            let _ = answer.send(Ok(stream.contact()));
            return;
        }
        if !self.dialling.contains_key(&to)
            && let Err(error) = self.dial(&to)
        {
            let _ = answer.send(Err(error));
            return;
        }
        let waiting = self.dialling.entry(to.clone()).or_default();
        match waiting.contacts.len() < MOST_PENDING {
            true => waiting.contacts.push(answer),
            false => {
                let _ = answer.send(Err(ContactError::Busy { who: to }));
            }
        }
    }

    fn message(
        &mut self,
        message: Message,
        to: &BareJid,
        answer: oneshot::Sender<Result<(), ContactError>>,
    ) {
        let plain = !matches!(
            self.parts.trust.to(to, &self.parts.we.name),
            Ok(Way::Pinned(_))
        );
        if plain && !matches!(Set::find_any(&message.payloads), Ok(None)) {
            let (who, why) = (to.clone(), No::NotPinned);
            let _ = answer.send(Err(ContactError::Untrusted { who, why }));
            return;
        }
        let mut answer = Some(answer);
        if let Err(error) = self.say_to(to, Stanza::Message(message), &mut answer, None)
            && let Some(answer) = answer
        {
            let _ = answer.send(Err(error));
        }
    }
}
