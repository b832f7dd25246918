//! A small XMPP server to embed: for demonstrations, for tests, for a local network.
//!
//! It starts without installation or configuration, makes its own certificate, and speaks
//! what clients need: STARTTLS and direct TLS, SCRAM with channel binding, one-to-one
//! messages with offline storage, an archive and carbons, presence and subscriptions,
//! rosters, rooms, publish/subscribe, stream management with resumption. One component, a
//! domain that is a program of its own, may attach itself ([`ComponentConfig`]). It knows no
//! other servers;
//! whoever needs those, or thousands of users, wants Prosody or ejabberd.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use stanchion_hub::{Accounts, Hub, HubConfig};
//!
//! let any_port = Some("127.0.0.1:0".parse()?);
//! let hub = Hub::bind(HubConfig {
//!     domain: "demo.example".into(),
//!     starttls: any_port,
//!     direct_tls: any_port,
//!     accounts: Accounts::open_demo([("lamp", "secret"), ("panel", "other secret")])?,
//!     ..HubConfig::default()
//! })
//! .await?;
//! println!("STARTTLS on {:?}, certificate {}", hub.addresses().starttls, hub.fingerprint());
//!
//! // Runs until told to stop.
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let running = tokio::spawn(hub.run(async { drop(stopped.await) }));
//! drop(stop);
//! running.await??;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # What holds
//! - Nothing is offered before TLS, and unknown users look like wrong passwords.
//! - A stanza that the hub has counted (`h`, XEP-0198) was routed: it is in the queue of
//!   a session, in offline storage, or its sender was told. Messages between two
//!   clients are kept in order.
//! - Offline messages outlive a crash if there is a state directory: they are written
//!   and synced before the sender can hear that they were counted. What waits
//!   in the queue of a session, connected or hibernating, is in memory: a crash loses it,
//!   an orderly stop moves it to offline storage. Archives are written, too, but not
//!   waited for. Rosters, who is blocked, rooms with what was said in them, and
//!   publish/subscribe nodes with their items and people are kept as offline messages are; who
//!   is in a room is not. Preferences and accounts that were made in band are in memory only.
//! - What waits for the component is in memory, and goes back to its sender with the
//!   component: it has no stream management, so what was written counts as arrived.
//! - Every queue has a bound ([`HubLimits`]). A client that does not read loses its
//!   connection; one that does not acknowledge, its session; its messages do not get lost
//!   with it. No client makes another one, or the hub, wait.
//!
//! # Silence
//! A client that is silent for [`HubLimits::idle`] is asked whether it is there: by
//! `<r/>` with stream management, by a ping (XEP-0199) without. White space does not count
//! as an answer, an element does. After [`HubLimits::probe`] without one the connection is
//! closed with `connection-timeout`, and the session hibernates if it can be resumed.
//!
//! # Where things are
//! [`stream`] negotiates one connection and [`router`] does the rest, both without
//! sockets, clock, random source or disk; the driver under [`Hub`] brings those.

mod accounts;
mod config;
mod driver;
mod error;
mod limits;
pub mod router;
mod stamp;
mod state;
pub mod stream;

pub use accounts::{Accounts, AccountsError};
pub use config::{ComponentConfig, HubConfig};
pub use driver::{Addresses, Hub};
pub use error::HubError;
pub use limits::HubLimits;
pub use stanchion_transport::security::Fingerprint;
