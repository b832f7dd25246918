//! Without a server: neighbours on the local network find each other by multicast DNS, and
//! speak XMPP straight to each other (XEP-0174). This file is the application's face.
//!
//! Nothing that the network says is believed. A neighbour is who it says that it is if it
//! shows the certificate that is **pinned** for that name, over TLS on both sides; the
//! application adds pins, as from a code on the device. Whoever has none is refused; or, if
//! that is [allowed in so many words](Plaintext), is spoken to in the clear, and then
//! nothing is ever set.
//!
//! What a thing measures meanwhile is not told to neighbours by itself: it waits in its
//! [outflow](crate::outflow) until the server is back.
//!
//! ```no_run
//! use stanchion_device::host::{Access, Grant, HostConfig};
//! use stanchion_device::model::SettingValue;
//! use stanchion_device::remote::Command;
//! use stanchion_device::serverless::{Config, Neighbourhood, Serving};
//! use stanchion_services::allowed::Allowed;
//! # async fn example(pin: stanchion_transport::security::Fingerprint)
//! #     -> Result<(), Box<dyn std::error::Error>> {
//! let lamp = "lamp@hall".parse()?;
//! let config = Config::new("phone@pocket".parse()?, "identity.pem").trusting(lamp, pin);
//! let (here, mut messages) = Neighbourhood::start(config, Serving::default()).await?;
//! let lamp = here.neighbour("lamp@hall".parse()?);
//! lamp.set(Command::set("on".parse()?, SettingValue::Boolean(true))).await?;
//! # Ok(()) }
//! ```

mod config;
mod connection;
mod desk;
mod error;
mod event;
mod identity;
mod mdns;
mod name;
mod neighbour;
mod opening;
mod record;
mod table;
mod trust;
mod work;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use stanchion_reliability::engine::Now;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::BareJid;
use stanchion_transport::security::Fingerprint;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use crate::adapter::{AdapterEvent, Control, Stopper};
use crate::host::{HostConfig, State};

pub use config::{Config, Interfaces, Limits};
pub use desk::{Served, Wanted};
pub use error::{ContactError, StartError};
pub use event::{Event, Heard, Messages, Standing};
pub use name::{MOST_TRIES, NameError, SERVICE};
pub use neighbour::Neighbour;
pub use record::{Availability, Capabilities, Record};
pub use table::{MOST_ADDRESSES, MOST_NEIGHBOURS, Seen};
pub use trust::{No, Plaintext};

use desk::Desk;
use mdns::Mdns;
use name::OwnName;
use opening::We;
use trust::Trust;
use work::{Call, Parts, Work};

/// Calls that wait.
const CALLS: usize = 64;
/// Events that an observer may be behind.
const EVENTS: usize = 256;
/// Messages that wait for the application.
const MESSAGES: usize = 256;
/// Orders to our things that wait.
const JOBS: usize = 256;
/// The least that a stanza may be (RFC 6120 §13.12), in bytes.
const LEAST_STANZA: usize = 10_000;

/// What neighbours are served with. Default: nothing.
#[derive(Default)]
pub struct Serving {
    things: Option<HostConfig>,
    others: Vec<Box<dyn Served>>,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("things", &self.things)
            .field("others", &self.others.len())
            .finish()
    }
}

impl Serving {
    /// Our things. Whom a grant names as `user@machine` is the neighbour whose certificate
    /// is pinned under that name. Whoever comes in the clear has an address at
    /// `plaintext.invalid`, which only a grant to anybody lets in.
    #[must_use]
    pub fn things(mut self, config: HostConfig) -> Self {
        self.things = Some(config);
        self
    }

    /// A service besides. It gets no messages of those who come in the clear, and none of
    /// their requests that set something.
    #[must_use]
    pub fn with(mut self, service: impl Served + 'static) -> Self {
        self.others.push(Box::new(service));
        self
    }
}

/// Us on the local network. Dropping it ends it at once; nobody is told then.
#[derive(Debug)]
pub struct Neighbourhood {
    calls: mpsc::Sender<Call>,
    events: broadcast::Sender<Event>,
    standing: watch::Receiver<Standing>,
    fingerprint: Fingerprint,
    port: u16,
    stopper: Stopper,
    task: Option<JoinHandle<()>>,
}

impl Neighbourhood {
    /// Tells the network that we are there, and looks who else is. Must be called inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config, serving: Serving) -> Result<(Self, Messages), StartError> {
        let own = OwnName::new(&config.name)?;
        check(&config.limits)?;
        let path = config.identity.clone();
        let identity = spawn_blocking(move || identity::open(&path)).await;
        let identity = identity.map_err(|_| StartError::Interrupted)??;
        let fingerprint = identity.sha256();
        let secret = getrandom::u64().map_err(StartError::Entropy)?;
        let listener = listen(&config.interfaces, config.port).await?;
        let failed = |source| StartError::Listen {
            port: config.port,
            source,
        };
        let port = listener.local_addr().map_err(failed)?.port();
        let (jobs_in, jobs) = mpsc::channel(JOBS);
        let put = Box::new(move |job| jobs_in.try_send(job).map_err(|e| e.into_inner()));
        let host = serving.things.map(|config| State::new(config, put));
        let name = config.name.clone();
        let desk = Desk::new(now(), name.clone(), host, serving.others, secret);
        let record = Record {
            status: config.status,
            message: config.message,
            capabilities: config.capabilities,
            fingerprint: config.show_fingerprint.then_some(fingerprint),
        };
        let mut mdns = Mdns::start(&config.interfaces, config.mdns_port)?;
        mdns.register(&own, port, &record)?;
        let (calls, calls_in) = mpsc::channel(CALLS);
        let (heard, messages) = mpsc::channel(MESSAGES);
        let events = broadcast::Sender::new(EVENTS);
        let (standing_in, standing) = watch::channel(Standing::new(name.clone()));
        let (stopper, stop) = Stopper::new();
        let we = We {
            name,
            identity,
            stanza_bytes: config.limits.stanza_bytes,
            info: Arc::new(desk.info()),
        };
        let work = Work::new(Parts {
            own,
            we,
            desk,
            started: Instant::now(),
            trust: Trust::new(config.trust, config.plaintext),
            limits: config.limits,
            mdns,
            record,
            listener,
            port,
            jobs,
            calls: calls_in,
            events: events.clone(),
            heard,
            standing: standing_in,
        });
        let here = Self {
            calls,
            events,
            standing,
            fingerprint,
            port,
            stopper,
            task: Some(tokio::spawn(work.run(stop))),
        };
        Ok((here, Messages(messages)))
    }

    /// Our name: the configured one, or, if that is taken, one with a number.
    #[must_use]
    pub fn name(&self) -> BareJid {
        self.standing.borrow().name.clone()
    }

    /// How we stand, and its changes.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// SHA-256 of our certificate: what others pin. To be shown on the device itself, as in
    /// a code that a camera reads.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The port that we listen on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What happens from now on. Lossy: an observer that is more than 256 events behind
    /// misses the oldest; [`Neighbourhood::neighbours`] says what is.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Who is there now, by their names; nobody once we are not.
    pub async fn neighbours(&self) -> Vec<Seen> {
        let (answer, answered) = oneshot::channel();
        // Once it has ended, nobody answers.
        let _ = self.calls.send(Call::Neighbours(answer)).await;
        answered.await.unwrap_or_default()
    }

    /// That neighbour, seen or not.
    #[must_use]
    pub fn neighbour(&self, name: BareJid) -> Neighbour {
        Neighbour {
            name,
            calls: self.calls.clone(),
        }
    }

    /// From now on, that name is whoever shows that certificate. To keep it is the
    /// application's business. Streams with that name are closed.
    pub async fn trust(&self, name: BareJid, certificate: Fingerprint) {
        self.pin(name, Some(certificate)).await;
    }

    /// From now on, that name is nobody. Streams with it are closed.
    pub async fn distrust(&self, name: BareJid) {
        self.pin(name, None).await;
    }

    /// Resolves once it holds.
    async fn pin(&self, name: BareJid, pin: Option<Fingerprint>) {
        let (done, is_done) = oneshot::channel();
        let sent = self.calls.send(Call::Trust(name, pin, done)).await;
        if sent.is_ok() {
            // Once it has ended, nobody is let in at all.
            let _ = is_done.await;
        }
    }

    /// Says something else of us; the fingerprint stays as configured.
    pub async fn tell(&self, record: Record) {
        let _ = self.calls.send(Call::Record(Box::new(record))).await;
    }

    /// Orders of neighbours to the things of that adapter go there from now on. What it
    /// tells is to be [given](Self::take) besides.
    pub async fn attach(&self, control: Control) {
        let _ = self.calls.send(Call::Attach(control)).await;
    }

    /// That adapter is no more: its things are gone.
    pub async fn detach(&self, name: &str) {
        let _ = self.calls.send(Call::Detach(name.to_owned())).await;
    }

    /// Takes in what an adapter told: its things, and their last values.
    pub async fn take(&self, event: AdapterEvent) {
        let (taken, is_taken) = oneshot::channel();
        if self.calls.send(Call::Take(event, taken)).await.is_ok() {
            let _ = is_taken.await;
        }
    }

    /// Closes all streams, and says good-bye (XEP-0174 §9).
    pub async fn shutdown(mut self) {
        self.stopper.stop();
        if let Some(task) = &mut self.task {
            // In place: if the caller gives up waiting, the task is aborted with us.
            if task.await.is_err() {
                tracing::error!("the neighbourhood's task panicked");
            }
        }
        self.task = None;
    }
}

impl Drop for Neighbourhood {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let wall = i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
    Now {
        monotonic: std::time::Duration::ZERO,
        wall: WallTime::from_unix_ms(wall),
    }
}

fn check(limits: &Limits) -> Result<(), StartError> {
    let wrong = if limits.stanza_bytes < LEAST_STANZA {
        "a stanza may be 10,000 bytes at least (RFC 6120 §13.12): raise `stanza_bytes`"
    } else if limits.streams == 0 || limits.streams_of_one_address == 0 {
        "without a stream nobody is reached: allow one at least"
    } else {
        return Ok(());
    };
    Err(StartError::Misuse(wrong.to_owned()))
}

/// On all interfaces, or on the machine itself.
async fn listen(interfaces: &Interfaces, port: u16) -> Result<TcpListener, StartError> {
    let places: &[IpAddr] = match interfaces {
        Interfaces::Loopback => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
        // Where there is no IPv6, IPv4 will do.
        _ => &[
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        ],
    };
    let mut last = None;
    for place in places {
        match TcpListener::bind(SocketAddr::new(*place, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    let source = last.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into());
    Err(StartError::Listen { port, source })
}
