//! The adapter: what a broker says becomes things and samples, and orders become
//! publications.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use rumqttc::Publish;
use tokio::time::{Instant, sleep_until};

use super::config::{Config, Session};
use super::connection::{Connection, Event, Greeting};
use super::orders::Orders;
use super::registry::{Age, Changes, Registry};
use crate::adapter::{AdapterError, Link, Misuse, Report, Stop, wall_clock};
use crate::model::{Sample, ThingSpec};

/// Filters of one packet.
const FILTERS: usize = 32;
/// Subscriptions that may wait for an answer.
const MAX_ASKED: usize = 1024;
/// How long what comes first is taken for old, if the broker does not say where it ends.
const OLD: Duration = Duration::from_secs(10);

/// Takes in what is on a broker. See the [module](super).
#[derive(Debug)]
pub struct Adapter {
    config: Config,
    registry: Registry,
    /// What the registry's times count from.
    started: Instant,
}

impl Adapter {
    /// With that configuration.
    ///
    /// # Errors
    /// [`Misuse`] names the setting that cannot be.
    pub fn new(config: Config) -> Result<Self, Misuse> {
        config.check()?;
        let registry = Registry::new(&config)?;
        let started = Instant::now();
        Ok(Self {
            config,
            registry,
            started,
        })
    }
}

#[async_trait]
impl crate::Adapter for Adapter {
    fn things(&self) -> Vec<ThingSpec> {
        self.registry.things()
    }

    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        let greeting = Greeting {
            client_id: self.config.broker.client_id.clone(),
            clean: self.config.session == Session::Clean,
            will: None,
        };
        let connection = tokio::select! {
            () = stop.wanted() => return Ok(()),
            connection = Connection::open(&self.config.broker, greeting) => connection?,
        };
        let mark = Mark::new(&self.config.broker.client_id, connection.is_resumed());
        let mut run = Run {
            config: &self.config,
            registry: &mut self.registry,
            started: self.started,
            connection,
            orders: Orders::default(),
            mark,
            asked: HashMap::new(),
        };
        run.begin()?;
        link.connected().await?;
        run.work(link, stop).await?;
        run.connection.close().await;
        Ok(())
    }
}

/// Where what the broker kept for us ends: behind it, it says again what we published once
/// the subscriptions stood.
struct Mark {
    topic: String,
    word: String,
    until: Option<Instant>,
    /// The subscription after which it is published.
    after: Option<u16>,
}

impl Mark {
    fn new(client_id: &str, resumed: bool) -> Self {
        Self {
            topic: format!("stanchion/{client_id}/mark"),
            word: format!("{:016x}", getrandom::u64().unwrap_or_default()),
            until: resumed.then(|| Instant::now() + OLD),
            after: None,
        }
    }

    /// Whether what comes now is new.
    const fn is_behind(&self) -> bool {
        self.until.is_none()
    }
}

struct Run<'a> {
    config: &'a Config,
    registry: &'a mut Registry,
    started: Instant,
    connection: Connection,
    orders: Orders,
    mark: Mark,
    /// Subscriptions without an answer.
    asked: HashMap<u16, Vec<String>>,
}

impl Run<'_> {
    fn begin(&mut self) -> Result<(), AdapterError> {
        self.registry.begin();
        let mut filters = Vec::new();
        let prefix = &self.config.discovery;
        if !prefix.is_empty() {
            filters.push(format!("{prefix}/+/+/config"));
            filters.push(format!("{prefix}/+/+/+/config"));
        }
        if !filters.is_empty() {
            self.ask(filters)?;
        }
        self.subscribe()?;
        if !self.mark.is_behind() {
            let topic = self.mark.topic.clone();
            let pkid = self.ask(vec![topic])?;
            self.mark.after = Some(pkid);
        }
        Ok(())
    }

    fn ask(&mut self, filters: Vec<String>) -> Result<u16, AdapterError> {
        if self.asked.len() >= MAX_ASKED {
            let what = "it does not answer subscriptions (MQTT 3.1.1 §3.8.4)";
            return Err(self.connection.misbehaved(what));
        }
        let pkid = self.connection.subscribe(&filters)?;
        self.asked.insert(pkid, filters);
        Ok(pkid)
    }

    /// What the registry wants to hear, and what not any more.
    fn subscribe(&mut self) -> Result<(), AdapterError> {
        let (subscribe, unsubscribe) = self.registry.subscriptions();
        for topics in unsubscribe.chunks(FILTERS) {
            self.connection.unsubscribe(topics.to_vec())?;
        }
        for topics in subscribe.chunks(FILTERS) {
            self.ask(topics.to_vec())?;
        }
        Ok(())
    }

    async fn work(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        loop {
            let far = Instant::now() + Duration::from_secs(3600);
            let due = [
                self.orders.due(),
                self.registry.expires_at().map(|at| self.started + at),
                self.mark.until,
            ];
            let due = due.into_iter().flatten().min().unwrap_or(far);
            // A command waits with us only as long as nothing waits before it.
            let may_order =
                self.mark.is_behind() && self.orders.has_room() && self.connection.is_flushed();
            tokio::select! {
                biased;
                () = stop.wanted() => return Ok(()),
                () = sleep_until(due) => self.tick(link).await?,
                order = link.order(), if may_order => {
                    self.orders.take(order, self.registry, &mut self.connection)?;
                }
                event = self.connection.next() => {
                    let mut next = Some(event?);
                    // What came together is told together: an announced device as one.
                    while let Some(event) = next.take() {
                        self.event(event, link).await?;
                        next = self.connection.ready()?;
                        if self.orders.due().is_some_and(|due| due <= Instant::now()) {
                            self.orders.expire(Instant::now());
                        }
                    }
                    self.tell_changes(link).await?;
                    self.subscribe()?;
                }
            }
        }
    }

    async fn tick(&mut self, link: &mut Link) -> Result<(), AdapterError> {
        let now = Instant::now();
        self.orders.expire(now);
        if self.mark.until.is_some_and(|until| until <= now) {
            self.mark.until = None;
        }
        let stale = self.registry.expire(self.started.elapsed());
        if !stale.is_empty() {
            self.connection.report(link, Report::Stale(stale)).await?;
        }
        Ok(())
    }

    async fn event(&mut self, event: Event, link: &mut Link) -> Result<(), AdapterError> {
        match event {
            Event::Publish(publish) => {
                self.publication(&publish, link).await?;
                self.connection.acknowledge(&publish)
            }
            Event::TooLong { topic, length } => {
                tracing::warn!(%topic, length, "a publication is too long, and left out");
                Ok(())
            }
            Event::Written => Ok(()),
            Event::Acknowledged(pkid) => {
                self.orders.acknowledged(pkid);
                Ok(())
            }
            Event::Subscribed { pkid, refused } => {
                let filters = self.asked.remove(&pkid).unwrap_or_default();
                for filter in refused.iter().filter_map(|at| filters.get(*at)) {
                    tracing::warn!(%filter, "the broker does not let us read it; grant it there");
                }
                if self.mark.after == Some(pkid) {
                    self.mark.after = None;
                    let (topic, word) = (&self.mark.topic, &self.mark.word);
                    self.connection.publish(topic, word.as_bytes(), false)?;
                }
                Ok(())
            }
        }
    }

    async fn publication(
        &mut self,
        publish: &Publish,
        link: &mut Link,
    ) -> Result<(), AdapterError> {
        let topic = &publish.topic;
        let Ok(payload) = std::str::from_utf8(&publish.payload) else {
            tracing::debug!(%topic, "a publication is no text, and left out");
            return Ok(());
        };
        if *topic == self.mark.topic {
            if payload == self.mark.word {
                self.mark.until = None;
            }
            return Ok(());
        }
        if self.registry.is_announcement(topic) {
            for (part, why) in self.registry.announced(topic, payload) {
                tracing::warn!(%topic, %part, %why, "an entity is left out");
            }
            return Ok(());
        }
        // Of a thing that was never told nobody could make anything.
        self.tell_changes(link).await?;
        let age = match publish.retain {
            true => Age::Retained,
            false if self.mark.is_behind() => Age::Now,
            false => Age::Late,
        };
        let now = self.started.elapsed();
        let outcome = self.registry.published(topic, payload, age, now);
        if !outcome.wanted {
            // Of a session of before, with other topics.
            self.connection.unsubscribe(vec![topic.clone()])?;
        }
        let at = wall_clock();
        for (thing, readings) in outcome.readings {
            let sample = Sample {
                thing,
                at,
                readings,
            };
            self.connection.report(link, Report::Sample(sample)).await?;
        }
        if !outcome.stale.is_empty() {
            let stale = Report::Stale(outcome.stale);
            self.connection.report(link, stale).await?;
        }
        if age == Age::Now {
            for (place, value) in &outcome.read {
                self.orders.read(*place, value);
            }
        }
        Ok(())
    }

    async fn tell_changes(&mut self, link: &mut Link) -> Result<(), AdapterError> {
        let Changes { things, gone } = self.registry.changes();
        if !things.is_empty() {
            self.connection.report(link, Report::Things(things)).await?;
        }
        if !gone.is_empty() {
            self.connection.report(link, Report::Gone(gone)).await?;
        }
        Ok(())
    }
}
