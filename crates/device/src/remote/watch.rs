//! Things that are watched: told by the device, or asked again and again.

use std::collections::HashMap;
use std::time::Duration;

use stanchion_services::Handle;
use stanchion_stanza::payload::iot_events::{Subscribe, Watched, interval_text};
use stanchion_stanza::{Jid, Text};
use tokio::time::{Instant, sleep_until};

use super::Things;
use super::peer::Peer;
use super::reading::Reading;
use super::readout::{Part, ReadError, Readout};
use super::state::{Ask, State, Told};
use crate::model::{Categories, Node, Sampler, Sampling};

/// Between two tries, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How late what must be told may be.
const LATE: Duration = Duration::from_secs(10);
/// For the answer to a subscription.
const ANSWER: Duration = Duration::from_secs(30);
/// Fields whose last value is remembered between two read-outs; of further ones every value
/// is told.
const MOST: usize = 20_000;

/// What is to be watched.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Watch {
    /// Which things. Default: all; some devices then tell of themselves alone.
    pub things: Vec<Node>,
    /// Which fields, and how much each must change. Default: all, by anything.
    pub fields: Vec<Watched>,
    /// Which kinds of values. Default [`Categories::MOMENTARY`].
    pub categories: Categories,
    /// Nothing is told sooner after what was told last. Default: no limit. Of a device that
    /// has to be asked, the time between two read-outs, if it is longer than `poll`.
    pub min_interval: Option<Duration>,
    /// Something is told after that time at the latest. Default 1 minute. It also tells that
    /// the device is there: after this time and 10 s of silence, it is subscribed to anew.
    pub max_interval: Duration,
    /// Between two read-outs of a device that does not tell by itself. Default 30 s.
    pub poll: Duration,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            things: Vec::new(),
            fields: Vec::new(),
            categories: Categories::MOMENTARY,
            min_interval: None,
            max_interval: Duration::from_secs(60),
            poll: Duration::from_secs(30),
        }
    }
}

impl Watch {
    /// All momentary values of all things there.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The same, of that thing, beside those that were said before.
    #[must_use]
    pub fn of(mut self, thing: Text) -> Self {
        self.things.push(Node::new(thing));
        self
    }

    /// The same, that field, beside those that were said before.
    #[must_use]
    pub fn field(mut self, name: Text) -> Self {
        self.fields.push(Watched::new(name));
        self
    }

    /// The same, that field, told if it changed by more than that.
    #[must_use]
    pub fn field_by(mut self, name: Text, by: f64) -> Self {
        let by = Some(by.into());
        let watched = Watched {
            by,
            ..Watched::new(name)
        };
        self.fields.push(watched);
        self
    }

    fn subscribe(&self) -> Subscribe {
        Subscribe {
            categories: self.categories,
            min_interval: self.min_interval.map(interval_text),
            max_interval: Some(interval_text(self.max_interval)),
            nodes: self.things.clone(),
            fields: self.fields.clone(),
            now: true,
            ..Subscribe::default()
        }
    }

    fn readout(&self) -> Readout {
        Readout {
            things: self.things.clone(),
            fields: self.fields.iter().map(|f| f.name.clone()).collect(),
            categories: self.categories,
            ..Readout::default()
        }
    }

    fn sampling(&self, field: &str) -> Sampling {
        let mut sampling = Sampling::default().at_least_every(self.max_interval);
        let watched = self.fields.iter().find(|f| &*f.name == field);
        if let Some(by) = watched.and_then(|f| f.by.as_ref()) {
            sampling = sampling.deadband(by.to_f64());
        }
        sampling
    }
}

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchEvent {
    /// The device tells by itself from now on; for the first time, or again.
    Subscribed {
        /// Who: the full address of an account's device.
        of: Jid,
    },
    /// The device does not tell by itself, so it is read again and again: what changes back
    /// in between is not seen.
    Polling {
        /// Who.
        of: Jid,
        /// How often.
        every: Duration,
    },
    /// Values. Of a device that is read again and again, those that changed.
    Values(Part),
    /// So many messages with values were not fetched in time, and are gone: the oldest.
    Missed(u64),
    /// So many values were not fetched in time, and newer ones of the same fields took their
    /// place.
    Coalesced(u64),
    /// Nothing comes at the moment; it is tried again by itself.
    Interrupted(ReadError),
}

/// A watch. It works while [`Watching::next`] is awaited. Dropped, it ends.
#[derive(Debug)]
pub struct Watching {
    things: Things,
    jid: Jid,
    watch: Watch,
    stage: Stage,
    retry: Duration,
    samplers: HashMap<(Text, Text), Sampler>,
    began: Instant,
}

#[derive(Debug)]
enum Stage {
    /// To be begun then.
    Begin(Instant),
    Subscribed(Subscribed),
    /// To be read then.
    Poll(Jid, Instant),
    Reading(Reading, Instant),
    Ended,
}

#[derive(Debug)]
struct Subscribed {
    handle: Handle<State>,
    name: u64,
    of: Jid,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        let name = self.name;
        self.handle.post(move |state, _| state.close(name));
    }
}

impl Things {
    /// Watches the things behind an address: subscribes to who tells by itself
    /// (`urn:nf:iot:events:1.0` and its kin), and reads others again and again. After a new
    /// session, or when the device comes back, it is begun anew by itself.
    #[must_use]
    pub fn watch(&self, jid: &Jid, watch: Watch) -> Watching {
        Watching {
            things: self.clone(),
            jid: jid.clone(),
            watch,
            stage: Stage::Begin(Instant::now()),
            retry: RETRY.0,
            samplers: HashMap::new(),
            began: Instant::now(),
        }
    }
}

impl Watching {
    /// What comes next. Cancel-safe but for the values that were about to be given.
    ///
    /// # Errors
    /// [`ReadError`] of the kind that trying again does not mend: refused, no such thing,
    /// ended. Nothing follows but [`ReadError::Closed`].
    pub async fn next(&mut self) -> Result<WatchEvent, ReadError> {
        loop {
            let event = match &mut self.stage {
                Stage::Ended => return Err(ReadError::Closed),
                Stage::Begin(at) => {
                    sleep_until(*at).await;
                    self.begin().await
                }
                Stage::Subscribed(subscribed) => {
                    let name = subscribed.name;
                    let told = subscribed.handle.ask(move |s, _, w| s.next(name, w)).await;
                    match told.map_err(|_| ReadError::Closed)? {
                        Told::Accepted => {
                            self.retry = RETRY.0;
                            let of = subscribed.of.clone();
                            Ok(Some(WatchEvent::Subscribed { of }))
                        }
                        Told::Part(part) => Ok(Some(WatchEvent::Values(part))),
                        Told::Missed(count) => Ok(Some(WatchEvent::Missed(count))),
                        Told::Coalesced(count) => Ok(Some(WatchEvent::Coalesced(count))),
                        Told::End(Err(error)) => Err(error),
                        Told::End(Ok(())) => Err(ReadError::Lost {
                            of: subscribed.of.clone(),
                            after: 0,
                        }),
                    }
                }
                Stage::Poll(of, at) => {
                    sleep_until(*at).await;
                    let of = of.clone();
                    self.read(of).await
                }
                Stage::Reading(reading, next) => {
                    let next = *next;
                    match reading.next().await {
                        Ok(Some(part)) => Ok(self.changed(part).map(WatchEvent::Values)),
                        Ok(None) => {
                            self.retry = RETRY.0;
                            self.stage = Stage::Poll(reading.of().clone(), next);
                            Ok(None)
                        }
                        Err(error) => Err(error),
                    }
                }
            };
            match event {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(error) => return self.failed(error),
            }
        }
    }

    fn failed(&mut self, error: ReadError) -> Result<WatchEvent, ReadError> {
        use ReadError as E;
        match error {
            E::Refused { .. } | E::NoSuchThing { .. } | E::Closed | E::Unreadable { .. } => {
                self.stage = Stage::Ended;
                Err(error)
            }
            error => {
                let now = Instant::now();
                let at = match error {
                    // The new stream is there.
                    E::Lost { .. } => now,
                    _ => now + self.retry,
                };
                self.retry = (self.retry * 2).min(RETRY.1);
                self.stage = Stage::Begin(at);
                Ok(WatchEvent::Interrupted(error))
            }
        }
    }

    async fn begin(&mut self) -> Result<Option<WatchEvent>, ReadError> {
        let peer = self.things.peer(&self.jid).await?;
        let of = peer.jid.clone();
        let Some(profile) = peer.tells() else {
            let every = self
                .watch
                .poll
                .max(self.watch.min_interval.unwrap_or_default());
            self.stage = Stage::Poll(of.clone(), Instant::now());
            return Ok(Some(WatchEvent::Polling { of, every }));
        };
        let ask = Ask::Subscribe(Box::new(self.watch.subscribe()));
        let silence = self.watch.max_interval.saturating_add(LATE);
        let to = of.clone();
        let handle = self.things.handle.clone();
        let begun = handle.call(move |s, now| s.begin(now, to, profile, ask, ANSWER, silence));
        let name = begun.await.map_err(|_| ReadError::Closed)??;
        self.stage = Stage::Subscribed(Subscribed { handle, name, of });
        Ok(None)
    }

    async fn read(&mut self, of: Jid) -> Result<Option<WatchEvent>, ReadError> {
        let every = self
            .watch
            .poll
            .max(self.watch.min_interval.unwrap_or_default());
        let next = Instant::now() + every;
        let info = self.things.discovery.features_of(of.clone()).await.ok();
        let peer = Peer { jid: of, info };
        let readout = self.watch.readout();
        let reading = self.things.read_at(peer, &readout, readout.within).await?;
        self.stage = Stage::Reading(reading, next);
        Ok(None)
    }

    /// What of it is worth telling.
    fn changed(&mut self, mut part: Part) -> Option<Part> {
        let now = self.began.elapsed();
        let (samplers, watch) = (&mut self.samplers, &self.watch);
        part.values.retain(|value| {
            let key = (value.thing.id.clone(), value.field.name.clone());
            if samplers.len() >= MOST && !samplers.contains_key(&key) {
                return true;
            }
            let sampling = watch.sampling(&value.field.name);
            let sampler = samplers
                .entry(key)
                .or_insert_with(|| Sampler::new(sampling));
            sampler.take(now, &value.field.value)
        });
        (part.len() > 0).then_some(part)
    }
}
