//! The streams of the task: who is let in, who is gone to, and what is said on which.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stanchion_stanza::payload::disco::DiscoInfo;
use stanchion_stanza::payload::sensordata::Profile;
use stanchion_stanza::{BareJid, Jid, Stanza};
use stanchion_transport::BoxTransport;
use stanchion_transport::tcp::{TcpOptions, accepted};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Done, SAYINGS, Work};
use crate::serverless::connection::{Saying, Times, Written, converse};
use crate::serverless::desk::Speaker;
use crate::serverless::error::ContactError;
use crate::serverless::opening::{self, Closed, Opened, We};
use crate::serverless::table::Seen;
use crate::serverless::trust::{Trust, Way};

/// What waits for one neighbour while there is no stream yet.
pub(super) const MOST_PENDING: usize = 64;

/// A stream that is open.
pub(super) struct Stream {
    pub(super) sayings: mpsc::Sender<Saying>,
    pub(super) speaker: Speaker,
    /// Whom it leads to: proven, or whom we went to.
    pub(super) name: Option<BareJid>,
    pub(super) address: IpAddr,
    pub(super) info: Option<DiscoInfo>,
}

/// A stream to a neighbour, as far as who asks has to know.
#[derive(Debug, Clone, Copy)]
pub(in crate::serverless) struct Contact {
    pub(in crate::serverless) reads: Profile,
    pub(in crate::serverless) sets: Profile,
    pub(in crate::serverless) plain: bool,
}

/// A stream that is being opened by us.
#[derive(Default)]
pub(super) struct Dialling {
    pub(super) contacts: Vec<oneshot::Sender<Result<Contact, ContactError>>>,
    pub(super) sayings: Vec<(Saying, Option<String>)>,
}

impl Work {
    fn is_room_for(&self, address: IpAddr) -> bool {
        let limits = &self.parts.limits;
        let open = self.streams.values().filter(|s| s.address == address);
        let coming = self.coming.get(&address).copied().unwrap_or(0);
        let all = self.streams.len() + self.coming.values().sum::<usize>() + self.dialling.len();
        all < limits.streams && open.count() + coming < limits.streams_of_one_address
    }

    pub(super) fn came(&mut self, socket: TcpStream, from: IpAddr) {
        if !self.is_room_for(from) {
            tracing::debug!(%from, "too many streams: one is not let in");
            return;
        }
        let Ok(pipe) = accepted(socket, TcpOptions::default()) else {
            return;
        };
        *self.coming.entry(from).or_default() += 1;
        let (we, trust, within) = self.to_open();
        self.tasks.spawn(async move {
            let own = we.name.clone();
            let decide = |name: Option<&BareJid>, modern| trust.by(name, &own, modern);
            let opened = timeout(within, opening::accept(pipe, &we, decide)).await;
            let late = |_| Closed::Broken {
                from: None,
                what: format!("no stream within {within:?}"),
            };
            let opened = opened.map_err(late).and_then(|opened| opened);
            Done::Accepted(from, Box::new(opened))
        });
    }

    fn to_open(&self) -> (We, Trust, Duration) {
        let mut we = self.parts.we.clone();
        we.info = Arc::new(self.parts.desk.info());
        (we, self.parts.trust.clone(), self.parts.limits.handshake)
    }

    /// Opens a stream to that neighbour, if there is a way.
    pub(super) fn dial(&mut self, to: &BareJid) -> Result<(), ContactError> {
        let who = to.clone();
        let way = self.parts.trust.to(to, &self.parts.we.name);
        let way = way.map_err(|why| ContactError::Untrusted { who, why })?;
        let who = to.clone();
        let seen = self.table.get(to).cloned();
        let seen = seen.ok_or(ContactError::NotSeen { who })?;
        let room = seen.addresses.iter().any(|ip| self.is_room_for(*ip));
        if !room {
            return Err(ContactError::Busy { who: to.clone() });
        }
        let (we, _, within) = self.to_open();
        let to = to.clone();
        self.tasks.spawn(async move {
            let opened = timeout(within, reach(&we, &seen, way)).await;
            let late = |_| ContactError::Timeout {
                who: to.clone(),
                within,
            };
            let opened = opened.map_err(late).and_then(|opened| opened);
            Done::Dialled(to, Box::new(opened))
        });
        Ok(())
    }

    pub(super) fn add(&mut self, opened: Opened, address: IpAddr, dialled: bool) -> Option<u64> {
        let Opened {
            stream,
            name,
            way,
            info,
        } = opened;
        let number = self.next;
        self.next += 1;
        let (name, speaker) = match (way, name) {
            // What was trusted when it began may not be any more.
            (Way::Pinned(pin), Some(name)) => {
                if self.parts.trust.pin_of(&name) != Some(pin) {
                    return None;
                }
                let speaker = Speaker::pinned(&name);
                (Some(name), speaker)
            }
            (Way::Pinned(_), None) => return None,
            (Way::Plain, name) => {
                let name = name.filter(|_| dialled);
                let speaker = Speaker::plain(number, name.as_ref())?;
                (name, speaker)
            }
        };
        let (sayings, receiver) = mpsc::channel(SAYINGS);
        let times = Times {
            idle: self.parts.limits.idle,
            write: self.parts.limits.write,
        };
        let told = self.told.0.clone();
        self.tasks.spawn(async move {
            converse(number, stream, receiver, told, times).await;
            Done::Over(number)
        });
        let stream = Stream {
            sayings,
            speaker,
            name,
            address,
            info,
        };
        self.streams.insert(number, stream);
        Some(number)
    }

    pub(super) fn dialled(&mut self, to: &BareJid, opened: Result<(Opened, IpAddr), ContactError>) {
        let waiting = self.dialling.remove(to).unwrap_or_default();
        let opened = opened.and_then(|(opened, address)| {
            let lost = || ContactError::Lost { who: to.clone() };
            self.add(opened, address, true).ok_or_else(lost)
        });
        match opened {
            Ok(number) => {
                let contact = self.streams.get(&number).map(Stream::contact);
                for waiter in waiting.contacts {
                    let lost = || ContactError::Lost { who: to.clone() };
                    // It may have given up.
                    let _ = waiter.send(contact.ok_or_else(lost));
                }
                for (saying, id) in waiting.sayings {
                    self.say_on(number, saying, id.as_deref());
                }
            }
            Err(error) => {
                for waiter in waiting.contacts {
                    let _ = waiter.send(Err(error.clone()));
                }
                let (now, why) = (self.now(), error.to_string());
                for (saying, id) in waiting.sayings {
                    if let Some(waiter) = saying.written {
                        let _ = waiter.send(Err(error.clone()));
                    }
                    if let Some(id) = id {
                        self.parts.desk.unheard(now, &id, &why);
                    }
                }
            }
        }
    }

    /// The stream to that neighbour: the newest one.
    pub(super) fn stream_to(&self, name: &BareJid) -> Option<u64> {
        let all = self.streams.iter();
        let to = all.filter(|(_, s)| s.name.as_ref() == Some(name) && !s.sayings.is_closed());
        to.map(|(number, _)| *number).max()
    }

    /// Says something on a stream; a neighbour that does not listen is left.
    pub(super) fn say_on(&mut self, number: u64, saying: Saying, id: Option<&str>) {
        let Some(stream) = self.streams.get(&number) else {
            return;
        };
        if stream.sayings.try_send(saying).is_err() {
            tracing::debug!(number, "a neighbour does not listen: its stream is closed");
            self.streams.remove(&number);
            if let Some(id) = id {
                let now = self.now();
                self.parts.desk.unheard(now, id, "it takes nothing more");
            }
        }
    }

    /// Addresses are logical ones (XEP-0174 §7): to whom nobody knows, there is none.
    pub(super) fn saying(
        &self,
        number: u64,
        mut stanza: Stanza,
        written: Option<Written>,
    ) -> Saying {
        let to = self.streams.get(&number).and_then(|s| s.name.clone());
        let header = match &mut stanza {
            Stanza::Iq(iq) => &mut iq.header,
            Stanza::Message(message) => &mut message.header,
            Stanza::Presence(presence) => &mut presence.header,
        };
        header.from = Some(self.parts.we.name.clone().into());
        header.to = to.map(Jid::from);
        Saying {
            element: stanza.to_element(),
            written,
        }
    }

    /// Says something to a neighbour, over the stream there is, or a new one.
    pub(super) fn say_to(
        &mut self,
        to: &BareJid,
        stanza: Stanza,
        written: &mut Option<Written>,
        id: Option<&str>,
    ) -> Result<(), ContactError> {
        if let Some(number) = self.stream_to(to) {
            let saying = self.saying(number, stanza, written.take());
            self.say_on(number, saying, id);
            return Ok(());
        }
        if !self.dialling.contains_key(to) {
            self.dial(to)?;
            self.dialling.insert(to.clone(), Dialling::default());
        }
        let mut stanza = stanza;
        let header = match &mut stanza {
            Stanza::Iq(iq) => &mut iq.header,
            Stanza::Message(message) => &mut message.header,
            Stanza::Presence(presence) => &mut presence.header,
        };
        header.from = Some(self.parts.we.name.clone().into());
        header.to = Some(to.clone().into());
        let element = stanza.to_element();
        let waiting = self.dialling.entry(to.clone()).or_default();
        if waiting.sayings.len() >= MOST_PENDING {
            return Err(ContactError::Busy { who: to.clone() });
        }
        let saying = Saying {
            element,
            written: written.take(),
        };
        waiting.sayings.push((saying, id.map(str::to_owned)));
        Ok(())
    }
}

impl Stream {
    pub(super) fn contact(&self) -> Contact {
        let best = |feature: fn(Profile) -> &'static str| {
            let all = [Profile::Nf, Profile::Nfi, Profile::Ieee, Profile::Legacy];
            let info = self.info.as_ref()?;
            all.into_iter().find(|p| info.has(feature(*p)))
        };
        // Whoever is protected is one of ours, or close to it.
        let otherwise = match self.speaker.plain {
            true => Profile::Legacy,
            false => Profile::Nf,
        };
        let reads = best(Profile::sensor_data).unwrap_or(otherwise);
        Contact {
            reads,
            sets: best(Profile::control).unwrap_or(reads),
            plain: self.speaker.plain,
        }
    }
}

/// A stream to one of the neighbour's addresses, and which.
async fn reach(we: &We, seen: &Seen, way: Way) -> Result<(Opened, IpAddr), ContactError> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "it has no address");
    for address in &seen.addresses {
        let socket = match TcpStream::connect((*address, seen.port)).await {
            Ok(socket) => socket,
            Err(error) => {
                last = error;
                continue;
            }
        };
        let pipe: BoxTransport = match accepted(socket, TcpOptions::default()) {
            Ok(pipe) => pipe,
            Err(error) => {
                last = error;
                continue;
            }
        };
        let opened = opening::open(pipe, we, &seen.name, way).await?;
        return Ok((opened, *address));
    }
    Err(ContactError::Unreachable {
        who: seen.name.clone(),
        source: Arc::new(last),
    })
}
