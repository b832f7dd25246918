//! RFID readers: LLRP 1.0.1 and 1.1 over TCP.
//!
//! A reader is three things: the reader itself, with its state; its *reads*, raw, which may
//! be switched off; and *arrivals*, one of each tag in a given time, which are what
//! applications want. Arrivals go in the control lane, and none is left out.
//!
//! ```toml
//! [[adapter]]
//! name = "gate"
//! type = "llrp"
//! address = "192.0.2.7:5084"
//! thing = "gate"
//! arrival_every = "5s"
//! reads = false
//! ```
//!
//! | thing | fields |
//! |---|---|
//! | `gate` | `inventory` (can be set), `model`, `manufacturer`, `firmware`, `reader_id`, `antennas`, `exception`, `buffer`, `tags`, `forgotten_early` |
//! | `gate/reads`, `gate/arrivals` | `epc`, `antenna`, `rssi`, `channel`, `seen_count`, `reader` |
//!
//! The wire is for [`codec`], what is said when for `session`, and which reads are arrivals
//! for [`arrivals`]. TLS (port 5085) is not spoken, and tags are neither written nor killed.

pub mod arrivals;
pub mod codec;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod properties;
mod session;
mod things;

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use stanchion_stanza::Text;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::adapter::{AdapterError, Link, Order, OrderError, Report, Stop};
use crate::model::{SettingValue, ThingSpec};

use arrivals::{Arrivals, MOST_TAGS};
use codec::{Cutter, LARGEST, Message};
use session::{Failure, Plan, Session, Told};
use things::Things;

/// How much is read at once, in bytes.
const PORTION: usize = 16 * 1024;

/// How a reader is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Host and port; readers listen on port 5084.
    pub address: String,
    /// The id of the reader's node; those of reads and arrivals follow it behind a slash.
    /// Default `reader`.
    #[serde(default = "defaults::thing")]
    pub thing: String,
    /// The antennas, counted from 1; 0 stands for all. Default all.
    #[serde(default = "defaults::antennas")]
    pub antennas: Vec<u16>,
    /// The number of our ROSpec, from 1 on. Default 1. All others are deleted.
    #[serde(default = "defaults::ro_spec")]
    pub ro_spec: u32,
    /// Whether it looks for tags from the beginning. Default yes.
    #[serde(default = "defaults::yes")]
    pub inventory: bool,
    /// Whether every read is told. Default yes.
    #[serde(default = "defaults::yes")]
    pub reads: bool,
    /// In which time a tag arrives once. Default 5 s.
    #[serde(default = "defaults::five", with = "crate::model::sampling::time")]
    pub arrival_every: Duration,
    /// Whether the reader's clock is believed, if it tells the date. Default yes.
    #[serde(default = "defaults::yes")]
    pub reader_clock: bool,
    /// How often the reader says that it is there: from 100 ms to one hour. Default 5 s.
    #[serde(default = "defaults::five", with = "crate::model::sampling::time")]
    pub keepalive: Duration,
    /// After how many of these without a word it is lost: from 1 to 100. Default 3.
    #[serde(default = "defaults::three")]
    pub missed: u32,
    /// How long connecting, and each answer, may take: from 100 ms to one minute. Default
    /// 10 s.
    #[serde(default = "defaults::ten", with = "crate::model::sampling::time")]
    pub answer_within: Duration,
}

mod defaults {
    use std::time::Duration;

    pub(super) fn thing() -> String {
        "reader".to_owned()
    }
    pub(super) fn antennas() -> Vec<u16> {
        vec![0]
    }
    pub(super) const fn ro_spec() -> u32 {
        1
    }
    pub(super) const fn yes() -> bool {
        true
    }
    pub(super) const fn three() -> u32 {
        3
    }
    pub(super) const fn five() -> Duration {
        Duration::from_secs(5)
    }
    pub(super) const fn ten() -> Duration {
        Duration::from_secs(10)
    }
}

/// One reader.
#[derive(Debug)]
pub struct Adapter {
    config: Config,
    things: Things,
    arrivals: Arrivals,
    /// What was asked for last, also for the next run.
    inventory: bool,
    started: Instant,
}

impl Adapter {
    /// A reader that is used so.
    ///
    /// # Errors
    /// [`AdapterError::Misuse`] names what cannot be right.
    pub fn new(config: Config) -> Result<Self, AdapterError> {
        let ms = Duration::from_millis;
        let misuse = |what: String| Err(AdapterError::Misuse(format!("llrp: {what}")));
        if !config.address.contains(':') {
            let address = &config.address;
            return misuse(format!(
                "`address = \"{address}\"` lacks a port, such as `:5084`"
            ));
        }
        if config.antennas.is_empty() || config.antennas.len() > 256 {
            return misuse("`antennas` is to hold from 1 to 256 numbers".to_owned());
        }
        if config.ro_spec == 0 {
            return misuse("`ro_spec` is to be from 1 on: 0 stands for all".to_owned());
        }
        if !(ms(100)..=ms(3_600_000)).contains(&config.keepalive) {
            return misuse("`keepalive` is to be from 100 ms to 1 h".to_owned());
        }
        if !(1..=100).contains(&config.missed) {
            return misuse("`missed` is to be from 1 to 100".to_owned());
        }
        if !(ms(100)..=ms(60_000)).contains(&config.answer_within) {
            return misuse("`answer_within` is to be from 100 ms to 1 min".to_owned());
        }
        let id = Text::new(config.thing.as_str())
            .ok()
            .filter(|id| !id.is_empty());
        let Some(id) = id else {
            return misuse("`thing` is to be a text that XML can hold".to_owned());
        };
        Ok(Self {
            things: Things::new(&id, config.reads, config.reader_clock),
            arrivals: Arrivals::new(config.arrival_every, MOST_TAGS),
            inventory: config.inventory,
            started: Instant::now(),
            config,
        })
    }

    fn plan(&self) -> Plan {
        Plan {
            antennas: self.config.antennas.clone(),
            ro_spec: self.config.ro_spec,
            keepalive: self.config.keepalive,
            missed: self.config.missed,
            answer: self.config.answer_within,
        }
    }

    fn failed(&self, why: Failure) -> AdapterError {
        let peer = format!("the RFID reader {}", self.config.address);
        match why {
            Failure::Refused(what) => AdapterError::Refused { peer, what },
            Failure::Misbehaved(what) => AdapterError::PeerMisbehaved { peer, what },
            Failure::Silent(what) => AdapterError::connection(
                format!("{peer}: {what}"),
                std::io::ErrorKind::TimedOut.into(),
            ),
            Failure::Closed => AdapterError::connection(
                format!("{peer} ended the connection"),
                std::io::ErrorKind::ConnectionReset.into(),
            ),
        }
    }

    fn lost(&self, source: std::io::Error) -> AdapterError {
        let address = &self.config.address;
        AdapterError::connection(format!("the RFID reader {address}"), source)
    }

    async fn connect(&self) -> Result<TcpStream, AdapterError> {
        let connecting = TcpStream::connect(&self.config.address);
        let socket = match timeout(self.config.answer_within, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        };
        let socket = socket.map_err(|e| self.lost(e))?;
        socket.set_nodelay(true).map_err(|e| self.lost(e))?;
        Ok(socket)
    }

    /// Sends what the session wants to be sent.
    async fn send(
        &self,
        session: &mut Session,
        socket: &mut TcpStream,
    ) -> Result<(), AdapterError> {
        let mut bytes = Vec::new();
        while let Some((id, message)) = session.next_message() {
            let written = message.encode(id);
            bytes.extend(written.map_err(|e| AdapterError::Misuse(format!("llrp: {e}")))?);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let written = match timeout(self.config.answer_within, socket.write_all(&bytes)).await {
            Ok(written) => written,
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        };
        written.map_err(|e| self.lost(e))
    }

    /// Passes on what the session tells.
    async fn tell(
        &mut self,
        session: &mut Session,
        link: &mut Link,
        order: &mut Option<Order>,
    ) -> Result<(), AdapterError> {
        while let Some(told) = session.next_told() {
            match told {
                Told::Ready => {
                    link.connected().await?;
                    link.report(Report::Things(self.things.specs())).await?;
                    self.tell_state(session, link).await?;
                }
                Told::Changed => self.tell_state(session, link).await?,
                Told::Noted(what) => {
                    tracing::warn!(reader = %self.config.address, what);
                }
                Told::Ordered(outcome) => {
                    if outcome.is_ok() {
                        self.inventory = session.inventory;
                    }
                    if let Some(order) = order.take() {
                        order.answer(outcome.map_err(OrderError::Refused));
                    }
                }
                Told::Tags(tags) => {
                    let before = self.arrivals.tags();
                    for tag in tags {
                        let arrives = self.arrivals.read(self.started.elapsed(), &tag.epc);
                        if arrives {
                            link.sample(self.things.arrival(&tag)).await?;
                        }
                        if self.config.reads {
                            link.sample(self.things.read(&tag)).await?;
                        }
                    }
                    if self.arrivals.tags() != before {
                        let (tags, early) = (self.arrivals.tags(), self.arrivals.forgotten_early());
                        link.sample(self.things.count(tags, early)).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn tell_state(&self, session: &Session, link: &mut Link) -> Result<(), AdapterError> {
        link.sample(self.things.state(session)).await?;
        Ok(())
    }

    /// Begins an order; what is left of it waits for its answer.
    fn begin(&self, session: &mut Session, order: Order) -> Option<Order> {
        let specs = self.things.specs();
        let spec = specs.iter().find(|spec| spec.node.id == *order.thing());
        let Some(spec) = spec else {
            let why = format!("the reader has no thing `{}`", order.thing());
            order.failed(OrderError::Refused(why));
            return None;
        };
        let wrong = order.settings().iter().find_map(|s| spec.check(s).err());
        if let Some(wrong) = wrong {
            order.failed(OrderError::Refused(wrong.to_string()));
            return None;
        }
        // Of several, the last one is what is left.
        let on = match order.settings().last().map(|setting| &setting.value) {
            Some(SettingValue::Boolean(on) | SettingValue::Bool(on)) => *on,
            _ => {
                order.done();
                return None;
            }
        };
        if order.is_expired() {
            order.failed(OrderError::Expired);
            return None;
        }
        session.order(self.started.elapsed(), on);
        Some(order)
    }

    async fn farewell(&self, session: &mut Session, socket: &mut TcpStream) {
        session.close(self.started.elapsed());
        // It is over in any case.
        if self.send(session, socket).await.is_ok() {
            let mut rest = [0; 256];
            let read_to_end = async { while socket.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
            let _ = timeout(Duration::from_secs(1), read_to_end).await;
        }
    }

    /// What came in, into the session.
    fn take(&self, cutter: &mut Cutter, session: &mut Session) -> Result<bool, AdapterError> {
        let misbehaved = |e: codec::Error| self.failed(Failure::Misbehaved(e.to_string()));
        let Some(frame) = cutter.next_frame().map_err(misbehaved)? else {
            return Ok(false);
        };
        let message = Message::decode(&frame).map_err(misbehaved)?;
        let now = self.started.elapsed();
        let taken = session.received(now, frame.id, message);
        taken.map_err(|why| self.failed(why))?;
        Ok(true)
    }
}

#[async_trait]
impl crate::Adapter for Adapter {
    fn things(&self) -> Vec<ThingSpec> {
        self.things.specs()
    }

    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        let mut socket = self.connect().await?;
        let mut session = Session::new(self.plan(), self.started.elapsed(), self.inventory);
        let mut cutter = Cutter::new(LARGEST);
        let mut portion = vec![0; PORTION];
        // The order that waits for the reader's answer. Lost with the connection, it is in
        // doubt.
        let mut order = None;
        loop {
            let due = self.started + session.due();
            tokio::select! {
                biased;
                () = stop.wanted() => {
                    self.farewell(&mut session, &mut socket).await;
                    return Ok(());
                }
                asked = link.order(), if session.is_idle() && order.is_none() => {
                    order = self.begin(&mut session, asked);
                }
                read = socket.read(&mut portion) => {
                    let count = read.map_err(|e| self.lost(e))?;
                    if count == 0 {
                        return Err(self.failed(Failure::Closed));
                    }
                    cutter.push(portion.get(..count).unwrap_or_default());
                    while self.take(&mut cutter, &mut session)? {
                        // At once: a keepalive must not wait for who takes reports.
                        self.send(&mut session, &mut socket).await?;
                        self.tell(&mut session, link, &mut order).await?;
                    }
                    // One that never stops talking may still owe an answer.
                    let now = self.started.elapsed();
                    session.tick(now).map_err(|why| self.failed(why))?;
                }
                () = sleep_until(due) => {
                    let now = self.started.elapsed();
                    session.tick(now).map_err(|why| self.failed(why))?;
                }
            }
            self.send(&mut session, &mut socket).await?;
            self.tell(&mut session, link, &mut order).await?;
        }
    }
}
