//! CoAP servers (RFC 7252): resources become fields, observed (RFC 7641) or asked for now
//! and then, and what is writable parameters.
//!
//! - `config`: what a user says; `content`: bodies as values;
//! - `links`: which resources a server says that it has;
//! - `exchange`: requests and their answers, as a state machine;
//! - this file: socket and clock around it, and what becomes of orders.
//!
//! Plain CoAP over UDP: nothing is encrypted, and nobody shows who they are (no DTLS, no
//! OSCORE). What counts as an answer comes from the server's address and port, and has the
//! token of 64 random bits that the request had; who can read along can forge it all the
//! same.
//!
//! ```
//! # use stanchion_device::adapters::coap::{Adapter, Config};
//! let config: Config = toml::from_str(r#"
//!     server = "192.0.2.9:5683"
//!     thing = "greenhouse"
//!
//!     [[resources]]
//!     name = "temperature"
//!     path = "/sensors/temperature"
//!     unit = "Cel"
//!     observe = true
//!
//!     [[resources]]
//!     name = "window"
//!     path = "/actuators/window"
//!     format = "json"
//!     pointer = "/open"
//!     type = "boolean"
//!     poll = "10s"
//!     writable = true
//! "#)?;
//! let greenhouse = Adapter::new(config)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod content;
mod exchange;
mod links;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use stanchion_stanza::Text;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

pub use config::{Config, Format, MOST_RESOURCES, ResourceConfig, SetBy, Type};

use crate::adapter::{Misuse, wall_clock};
use crate::model::{Sample, Sampler, ThingSpec, Value};
use crate::{AdapterError, Link, Order, OrderError, Report, Stop};
use config::Resource;
use exchange::{Exchange, Failure, Input, Method, Output, Request, Response};

/// How long a resource that the server refuses is left alone at least.
const REFUSED_AGAIN_IN: Duration = Duration::from_secs(60);
/// Orders on their way to the server.
const MOST_ORDERS: usize = 64;
/// The number of the request for what there is.
const DISCOVERY: u64 = ORDERS - 1;
/// The numbers of requests for orders begin here; below are those of resources.
const ORDERS: u64 = 1 << 32;
/// The longest datagram that is read.
const MOST_READ: usize = 64 * 1024;

/// One server, and its resources as things.
#[derive(Debug)]
pub struct Adapter {
    config: Config,
    resources: Vec<Resource>,
}

/// How it goes with a resource.
#[derive(Debug)]
struct Watch {
    sampler: Sampler,
    /// What was heard last.
    last: Option<Value>,
    /// When it is asked for; none while it is asked or observed.
    due: Option<Instant>,
    /// When it was asked for last.
    asked: Instant,
    failing: bool,
}

/// An order on its way.
#[derive(Debug)]
struct Pending {
    order: Order,
    /// Which resource each setting is of, and the body.
    writes: Vec<(usize, Vec<u8>)>,
    /// How many of them are done.
    done: usize,
}

/// One run.
struct Run<'a> {
    config: &'a Config,
    resources: Vec<Resource>,
    place: &'a str,
    exchange: Exchange,
    since: Instant,
    watches: Vec<Watch>,
    orders: BTreeMap<u64, Pending>,
    next_order: u64,
    /// When the server was heard last.
    heard: Option<Instant>,
    /// The things that were told to be stale.
    stale: BTreeSet<Text>,
}

impl Adapter {
    /// An adapter for that server.
    ///
    /// # Errors
    /// [`Misuse`] names what cannot be right.
    pub fn new(config: Config) -> Result<Self, Misuse> {
        let resources = config.check()?;
        Ok(Self { config, resources })
    }

    /// A socket that hears that server alone.
    async fn connect(&self) -> io::Result<UdpSocket> {
        let mut last = io::ErrorKind::NotFound.into();
        for address in tokio::net::lookup_host(&self.config.server).await? {
            let ours = match address {
                SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            };
            let socket = UdpSocket::bind(ours).await?;
            match socket.connect(address).await {
                Ok(()) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Numbers that nobody can guess.
fn entropy() -> u64 {
    // Without them there is nothing that could be done safely: those of a clock and an
    // address, hashed, are the next best.
    getrandom::u64().unwrap_or_else(|_| {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(wall_clock().as_unix_ms())
    })
}

#[async_trait]
impl crate::Adapter for Adapter {
    fn things(&self) -> Vec<ThingSpec> {
        self.config.things(&self.resources)
    }

    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        let place = format!("the CoAP server at {}", self.config.server);
        let lost = |error| AdapterError::connection(place.clone(), error);
        let socket = tokio::select! {
            () = stop.wanted() => return Ok(()),
            socket = self.connect() => socket.map_err(lost)?,
        };
        let now = Instant::now();
        let watches = self
            .resources
            .iter()
            .map(|resource| Watch::new(resource, now));
        let mut run = Run {
            config: &self.config,
            resources: self.resources.clone(),
            place: &place,
            exchange: Exchange::new(self.config.parameters(), Box::new(entropy)),
            since: now,
            watches: watches.collect(),
            orders: BTreeMap::new(),
            next_order: ORDERS,
            heard: None,
            stale: BTreeSet::new(),
        };
        if self.config.discover {
            run.discover();
        }
        let mut room = vec![0; MOST_READ];
        loop {
            run.ask_what_is_due();
            let wait = run.settle(&socket, link).await?;
            let wake = run.wake(wait);
            // A server that was never heard is given no order: it would be in doubt.
            let takes = run.heard.is_some() && run.orders.len() < MOST_ORDERS;
            tokio::select! {
                () = stop.wanted() => break,
                read = socket.recv(&mut room) => {
                    let read = read.map_err(lost)?;
                    run.hears(link).await?;
                    run.input(Input::Datagram(&room[..read]));
                }
                order = link.order(), if takes => run.take(order),
                () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => {
                    run.input(Input::Tick);
                }
            }
        }
        // The server need not tell us of changes any more.
        for number in 0..run.resources.len() {
            run.input(Input::Forget(number as u64));
        }
        while let Output::Transmit(bytes) = run.exchange.poll_output() {
            let _ = socket.try_send(&bytes);
        }
        Ok(())
    }
}

impl Config {
    /// What those resources are, as things.
    fn things(&self, resources: &[Resource]) -> Vec<ThingSpec> {
        let mut things: Vec<ThingSpec> = Vec::new();
        for resource in resources {
            let known = things.iter().position(|t| t.node.id == resource.thing);
            let place = known.unwrap_or_else(|| {
                things.push(ThingSpec::new(resource.thing.clone()));
                things.len() - 1
            });
            let thing = &mut things[place];
            thing.fields.push(resource.field.clone());
            thing.parameters.extend(resource.parameter.clone());
        }
        if let (Some(label), Some(thing)) = (&self.label, things.first_mut())
            && let Ok(label) = Text::new(label.as_str())
        {
            thing.label = label;
        }
        things
    }
}

impl Watch {
    fn new(resource: &Resource, now: Instant) -> Self {
        Self {
            sampler: Sampler::new(resource.field.sampling),
            last: None,
            due: Some(now),
            asked: now,
            failing: false,
        }
    }
}

impl Run<'_> {
    /// Asks what there is.
    fn discover(&mut self) {
        let request = Request {
            method: Method::Get,
            path: [".well-known", "core"].map(str::to_owned).to_vec(),
            query: Vec::new(),
            accept: None,
            format: None,
            payload: Vec::new(),
            observe: false,
            by: None,
        };
        self.input(Input::Request(DISCOVERY, request));
    }

    /// Takes in what the server says that it has.
    async fn discovered(
        &mut self,
        response: &Response,
        link: &mut Link,
    ) -> Result<(), AdapterError> {
        let document = match (response.code >> 5, std::str::from_utf8(&response.body)) {
            (2, Ok(document)) => document,
            _ => {
                let why = said(response);
                tracing::warn!(place = self.place, %why, "it does not say what it has");
                return Ok(());
            }
        };
        let before = self.resources.len();
        for found in links::parse(document)
            .into_iter()
            .filter(|found| found.text)
        {
            let Some(resource) = self.config.discovered(&found.path, found.observable) else {
                continue;
            };
            let same = |r: &Resource| {
                (&r.path, &r.query) == (&resource.path, &resource.query)
                    || (&r.thing, &r.field.name) == (&resource.thing, &resource.field.name)
            };
            if self.resources.len() < MOST_RESOURCES && !self.resources.iter().any(same) {
                self.watches.push(Watch::new(&resource, Instant::now()));
                self.resources.push(resource);
            }
        }
        if self.resources.len() > before {
            let things = self.config.things(&self.resources);
            link.report(Report::Things(things)).await?;
        }
        Ok(())
    }

    fn input(&mut self, input: Input<'_>) {
        self.exchange.handle(self.since.elapsed(), input);
    }

    async fn hears(&mut self, link: &mut Link) -> Result<(), AdapterError> {
        if self.heard.replace(Instant::now()).is_none() {
            link.connected().await?;
        }
        Ok(())
    }

    fn ask_what_is_due(&mut self) {
        let now = Instant::now();
        for number in 0..self.resources.len() {
            let (resource, watch) = (&self.resources[number], &mut self.watches[number]);
            if watch.due.is_some_and(|due| due <= now) {
                watch.due = None;
                watch.asked = now;
                let request = Request {
                    method: Method::Get,
                    path: resource.path.clone(),
                    query: resource.query.clone(),
                    accept: Some(resource.format.number()),
                    format: None,
                    payload: Vec::new(),
                    observe: resource.observe,
                    by: None,
                };
                self.input(Input::Request(number as u64, request));
            }
        }
    }

    /// When there is something to do by itself.
    fn wake(&self, wait: Option<Duration>) -> Option<Instant> {
        let held = self.watches.iter().filter_map(|watch| watch.sampler.due());
        let times = wait.into_iter().chain(held).map(|at| self.since + at);
        let due = self.watches.iter().filter_map(|watch| watch.due);
        times.chain(due).min()
    }

    /// Does what is to be done. When more is.
    async fn settle(
        &mut self,
        socket: &UdpSocket,
        link: &mut Link,
    ) -> Result<Option<Duration>, AdapterError> {
        let wait = loop {
            match self.exchange.poll_output() {
                Output::Wait(wait) => break wait,
                Output::Transmit(bytes) => {
                    let sent = socket.send(&bytes).await;
                    sent.map_err(|e| AdapterError::connection(self.place, e))?;
                }
                Output::Response(number, response) if number >= ORDERS => {
                    self.answered(number, &response);
                }
                Output::Failed(number, why) if number >= ORDERS => self.unanswered(number, why),
                Output::Response(DISCOVERY, response) => self.discovered(&response, link).await?,
                Output::Response(number, response) => self.read(number, response, link).await?,
                Output::Failed(DISCOVERY, why) if self.heard.is_none() => {
                    let silent = io::Error::other(why.to_string());
                    return Err(AdapterError::connection(self.place, silent));
                }
                Output::Failed(number, why) => self.unread(number, why, link).await?,
            }
        };
        self.tell_held(link).await?;
        Ok(wait)
    }

    /// A representation of a resource, or why there is none.
    async fn read(
        &mut self,
        number: u64,
        response: Response,
        link: &mut Link,
    ) -> Result<(), AdapterError> {
        let Some(number) = usize::try_from(number)
            .ok()
            .filter(|n| *n < self.watches.len())
        else {
            return Ok(());
        };
        let (resource, now) = (&self.resources[number], self.since.elapsed());
        let watch = &mut self.watches[number];
        let value = match response.code >> 5 {
            2 => content::read(resource, response.format, &response.body),
            _ => Err(said(&response)),
        };
        if !response.observed {
            // What the server cannot do now (5.xx) may be otherwise soon.
            let pause = match value.is_err() && response.code >> 5 != 5 {
                true => resource.poll.max(REFUSED_AGAIN_IN),
                false => resource.poll,
            };
            watch.due = Some(Instant::now() + pause);
        }
        match value {
            Ok(value) => {
                watch.failing = false;
                self.stale.remove(&resource.thing);
                watch.last = Some(value.clone());
                if watch.sampler.take(now, &value) {
                    let field = resource.field.name.clone();
                    let sample = Sample::one(resource.thing.clone(), wall_clock(), field, value);
                    link.sample(sample).await?;
                }
                Ok(())
            }
            Err(why) => self.failing(number, &why, link).await,
        }
    }

    /// A resource gives nothing.
    async fn unread(
        &mut self,
        number: u64,
        why: Failure,
        link: &mut Link,
    ) -> Result<(), AdapterError> {
        let Some(number) = usize::try_from(number)
            .ok()
            .filter(|n| *n < self.watches.len())
        else {
            return Ok(());
        };
        let asked = self.watches[number].asked;
        let silent = why == Failure::Silent;
        // What was observed was asked for long ago: the newest is what counts.
        let window = self.since.elapsed().min(Duration::from_secs(30));
        let recent = Instant::now() - window;
        if silent && self.heard.is_none_or(|heard| heard < asked.max(recent)) {
            let silent = io::ErrorKind::TimedOut.into();
            return Err(AdapterError::connection(self.place, silent));
        }
        let poll = self.resources[number].poll;
        self.watches[number].due = Some(Instant::now() + poll);
        self.failing(number, &why.to_string(), link).await
    }

    /// Says so, once; and that a thing is stale of which nothing is left.
    async fn failing(
        &mut self,
        number: usize,
        why: &str,
        link: &mut Link,
    ) -> Result<(), AdapterError> {
        let resource = &self.resources[number];
        let watch = &mut self.watches[number];
        if !std::mem::replace(&mut watch.failing, true) {
            let field = &resource.field.name;
            tracing::warn!(place = self.place, %field, why, "a resource gives no value");
        }
        let thing = &resource.thing;
        let mut of_thing = (self.resources.iter().zip(&self.watches))
            .filter(|(resource, _)| resource.thing == *thing);
        if of_thing.all(|(_, watch)| watch.failing) && self.stale.insert(thing.clone()) {
            link.report(Report::Stale(vec![thing.clone()])).await?;
        }
        Ok(())
    }

    /// What came too early is told by now.
    async fn tell_held(&mut self, link: &mut Link) -> Result<(), AdapterError> {
        let now = self.since.elapsed();
        for (resource, watch) in self.resources.iter().zip(&mut self.watches) {
            if watch.sampler.due().is_some_and(|due| due <= now)
                && let Some(value) = watch.last.clone()
            {
                watch.sampler.tell(now, &value);
                let field = resource.field.name.clone();
                let sample = Sample::one(resource.thing.clone(), wall_clock(), field, value);
                link.sample(sample).await?;
            }
        }
        Ok(())
    }

    /// Checks an order, and begins it.
    fn take(&mut self, order: Order) {
        let writes: Result<Vec<_>, String> = (order.settings().iter())
            .map(|setting| {
                let named =
                    |r: &Resource| r.thing == *order.thing() && r.field.name == setting.name;
                let number = self.resources.iter().position(named);
                let resource = number.map(|number| &self.resources[number]);
                let parameter = resource.and_then(|r| r.parameter.as_ref());
                let (Some(number), Some(resource), Some(parameter)) = (number, resource, parameter)
                else {
                    let (thing, name) = (order.thing(), &setting.name);
                    return Err(format!("`{thing}` has no parameter `{name}`"));
                };
                parameter.check(&setting.value).map_err(|e| e.to_string())?;
                Ok((number, content::write(resource, &setting.value)?))
            })
            .collect();
        match writes {
            Ok(writes) if !writes.is_empty() => {
                let done = 0;
                self.proceed(Pending {
                    order,
                    writes,
                    done,
                });
            }
            Ok(_) => {
                let why = "it says nothing to set".to_owned();
                order.failed(OrderError::Refused(why));
            }
            Err(why) => order.failed(OrderError::Refused(why)),
        }
    }

    /// Sends what is next of an order; answers it if nothing is.
    fn proceed(&mut self, pending: Pending) {
        let Some((number, body)) = pending.writes.get(pending.done) else {
            pending.order.done();
            return;
        };
        let resource = &self.resources[*number];
        let by = pending.order.by().saturating_duration_since(self.since);
        let request = Request {
            method: resource.method,
            path: resource.path.clone(),
            query: resource.query.clone(),
            accept: None,
            format: Some(resource.format.number()),
            payload: body.clone(),
            observe: false,
            by: Some(by),
        };
        let number = self.next_order;
        self.next_order += 1;
        self.orders.insert(number, pending);
        self.input(Input::Request(number, request));
    }

    fn answered(&mut self, number: u64, response: &Response) {
        let Some(mut pending) = self.orders.remove(&number) else {
            return;
        };
        match response.code {
            code if code >> 5 == 2 => {
                let (number, _) = pending.writes[pending.done];
                // One that is not observed is asked how it is now.
                if let Some(due) = &mut self.watches[number].due {
                    *due = Instant::now();
                }
                pending.done += 1;
                self.proceed(pending);
            }
            // 5.03: it did nothing.
            0xA3 => pending.failed(OrderError::Unavailable(said(response))),
            code if code >> 5 == 4 => pending.failed(OrderError::Refused(said(response))),
            _ => pending.failed(OrderError::InDoubt(said(response))),
        }
    }

    fn unanswered(&mut self, number: u64, why: Failure) {
        let Some(pending) = self.orders.remove(&number) else {
            return;
        };
        let text = why.to_string();
        pending.failed(match why {
            Failure::Expired => OrderError::Expired,
            Failure::Rejected | Failure::TooLong => OrderError::Refused(text),
            Failure::TooMany => OrderError::Unavailable(text),
            Failure::Silent | Failure::TooLarge(_) | Failure::Parts => OrderError::InDoubt(text),
        });
    }
}

impl Pending {
    /// It is at its end; what was set before stays.
    fn failed(self, why: OrderError) {
        self.order.failed(match self.done {
            0 => why,
            done => OrderError::InDoubt(format!("{done} of it were set, and then: {why}")),
        });
    }
}

/// A response that is no success, for people.
fn said(response: &Response) -> String {
    let code = format!("{}.{:02}", response.code >> 5, response.code & 0x1F);
    // A diagnostic text may follow (RFC 7252 §5.5.2).
    let text: String = String::from_utf8_lossy(&response.body)
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    match text.is_empty() {
        true => format!("the server says {code}"),
        false => format!("the server says {code}, {text}"),
    }
}
