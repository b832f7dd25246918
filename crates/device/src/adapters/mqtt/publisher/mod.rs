//! The other direction: our things on a broker, for Home Assistant and whoever reads its
//! discovery; and their commands.

mod announce;
mod board;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rumqttc::{LastWill, Publish, QoS};
use stanchion_stanza::Text;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use self::announce::Names;
use self::board::Board;
use super::config::PublisherConfig;
use super::connection::{Connection, Event, Greeting};
use crate::adapter::{Adapter, AdapterError, Link, Misuse, OrderError, Report, Stop};
use crate::model::Setting;

/// Publications without an acknowledgement.
const MAX_INFLIGHT: usize = 64;
/// The longest command, in bytes.
const MAX_COMMAND: usize = 4096;

/// Somebody on the broker wants a thing to be set so. To be made an [`Order`] of, for
/// whoever has the thing.
///
/// [`Order`]: crate::Order
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which thing.
    pub thing: Text,
    /// What of it, and how. Checked against its parameters.
    pub setting: Setting,
}

/// Puts our things on a broker. See the [module](super).
///
/// ```no_run
/// # use std::time::Duration;
/// # use stanchion_device::adapter::{Control, Order, Report, Supervisor, SupervisorConfig, from_adapters};
/// # use stanchion_device::adapters::mqtt::{Broker, Publisher, PublisherConfig};
/// # async fn example(lamps: Control, report: Report) -> Result<(), Box<dyn std::error::Error>> {
/// let config = PublisherConfig::new(Broker::new("broker.home", "gateway-out"));
/// let (publisher, feed, mut wanted) = Publisher::new(config)?;
/// let (events, _heard) = from_adapters(16);
/// let kept = Supervisor::start("out", Box::new(publisher), events, SupervisorConfig::default());
/// // Each report of the other adapters:
/// feed.tell(&report);
/// // And each command from the broker:
/// while let Some(wanted) = wanted.recv().await {
///     let by = tokio::time::Instant::now() + Duration::from_secs(10);
///     let (order, _answer) = Order::new(wanted.thing, vec![wanted.setting], by);
///     lamps.order(order);
/// }
/// # kept.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// Its events are to be taken as any adapter's: they say whether it is connected.
///
/// It is kept going as an [`Adapter`] that has no things of its own. What it is to tell
/// comes by its [`Feed`]; what is wanted of the things goes to the receiver that was made
/// with it. Commands that the broker kept are not obeyed: neither retained ones, nor those
/// of while we were away.
#[derive(Debug)]
pub struct Publisher {
    config: PublisherConfig,
    shared: Arc<Shared>,
    wanted: mpsc::Sender<Wanted>,
}

/// Where a publisher is told of things. Cheap to clone; never waits. What the broker has
/// not taken yet is replaced by what is newer.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Shared>);

/// Both ends work on one board, and not over a channel: a broker that is away must neither
/// hold up whoever tells, nor lose that a thing is gone.
#[derive(Debug)]
struct Shared {
    board: Mutex<Board>,
    news: Notify,
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        // No code that holds it stops half-way.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    /// What an adapter told, as it was. The things of the same broker are not to be among
    /// it.
    pub fn tell(&self, report: &Report) {
        self.0.board().told(report);
        self.0.news.notify_one();
    }
}

impl Publisher {
    /// With that configuration; where it is told of things, and what is wanted of them. A
    /// command that finds no room there is dropped, and the log says so.
    ///
    /// # Errors
    /// [`Misuse`] names the setting that cannot be.
    pub fn new(config: PublisherConfig) -> Result<(Self, Feed, mpsc::Receiver<Wanted>), Misuse> {
        config.check()?;
        let names = Names {
            discovery: config.discovery.clone(),
            base: config.base.clone(),
            instance: config.instance().to_owned(),
        };
        let shared = Arc::new(Shared {
            board: Mutex::new(Board::new(names)),
            news: Notify::new(),
        });
        let (wanted, settings) = mpsc::channel(config.room);
        let feed = Feed(Arc::clone(&shared));
        let publisher = Self {
            config,
            shared,
            wanted,
        };
        Ok((publisher, feed, settings))
    }
}

#[async_trait]
impl Adapter for Publisher {
    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        let (topic, offline) = self.shared.board().farewell();
        let greeting = Greeting {
            client_id: self.config.broker.client_id.clone(),
            // Commands that come late may do harm.
            clean: true,
            will: Some(LastWill::new(
                topic.clone(),
                offline,
                QoS::AtLeastOnce,
                true,
            )),
        };
        let mut connection = tokio::select! {
            () = stop.wanted() => return Ok(()),
            connection = Connection::open(&self.config.broker, greeting) => connection?,
        };
        let filters = {
            let mut board = self.shared.board();
            board.begin();
            board.filters()
        };
        connection.subscribe(&filters)?;
        link.connected().await?;
        let mut run = Run {
            shared: &self.shared,
            wanted: &self.wanted,
            connection,
            inflight: BTreeSet::new(),
            forget_at: Some(Instant::now() + self.config.forget_after),
        };
        run.work(link, stop).await?;
        run.farewell(&topic, offline).await;
        Ok(())
    }
}

struct Run<'a> {
    shared: &'a Shared,
    wanted: &'a mpsc::Sender<Wanted>,
    connection: Connection,
    inflight: BTreeSet<u16>,
    forget_at: Option<Instant>,
}

impl Run<'_> {
    async fn work(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        loop {
            self.publish()?;
            let far = Instant::now() + Duration::from_secs(3600);
            let forget_at = self.forget_at.unwrap_or(far);
            tokio::select! {
                biased;
                () = stop.wanted() => return Ok(()),
                order = link.order() => {
                    let why = "the broker's things are another adapter's".to_owned();
                    order.failed(OrderError::Refused(why));
                }
                () = sleep_until(forget_at) => {
                    if self.forget_at.take().is_some() {
                        self.shared.board().forget();
                    }
                }
                event = self.connection.next() => self.event(event?)?,
                () = self.shared.news.notified() => {}
            }
        }
    }

    /// As much as may be on its way.
    fn publish(&mut self) -> Result<(), AdapterError> {
        while self.inflight.len() < MAX_INFLIGHT {
            let Some((topic, payload)) = self.shared.board().next() else {
                break;
            };
            let pkid = self.connection.publish(&topic, payload.as_bytes(), true)?;
            self.inflight.insert(pkid);
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), AdapterError> {
        match event {
            Event::Acknowledged(pkid) => drop(self.inflight.remove(&pkid)),
            Event::Publish(publish) => {
                self.publication(&publish);
                self.connection.acknowledge(&publish)?;
            }
            Event::TooLong { topic, length } => {
                tracing::warn!(%topic, length, "a publication is too long, and left out");
            }
            Event::Subscribed { refused, .. } if !refused.is_empty() => {
                tracing::warn!("the broker does not let us read commands; grant it there");
            }
            Event::Subscribed { .. } | Event::Written => {}
        }
        Ok(())
    }

    fn publication(&self, publish: &Publish) {
        let topic = &publish.topic;
        let Ok(payload) = std::str::from_utf8(&publish.payload) else {
            return;
        };
        if topic.ends_with("/config") {
            // What is not retained comes from ourselves just now.
            if publish.retain {
                self.shared.board().found(topic, payload);
                self.shared.news.notify_one();
            }
            return;
        }
        if publish.retain {
            tracing::warn!(%topic, "a retained command is not obeyed; take it back");
            return;
        }
        let command = (payload.len() <= MAX_COMMAND)
            .then(|| self.shared.board().command(topic, payload.trim()))
            .flatten();
        let Some((thing, setting)) = command else {
            tracing::warn!(%topic, "a command is for no parameter, or not as it may be");
            return;
        };
        let wanted = Wanted { thing, setting };
        if let Err(error) = self.wanted.try_send(wanted) {
            tracing::warn!(%topic, %error, "a command is dropped");
        }
    }

    /// Says that all of us is away, and waits until the broker knows.
    async fn farewell(mut self, topic: &str, offline: &str) {
        const FAREWELL: Duration = Duration::from_secs(2);
        let Ok(last) = self.connection.publish(topic, offline.as_bytes(), true) else {
            return;
        };
        let known = async {
            while let Ok(event) = self.connection.next().await {
                if event == Event::Acknowledged(last) {
                    break;
                }
            }
        };
        let _ = timeout(FAREWELL, known).await;
        self.connection.close().await;
    }
}
