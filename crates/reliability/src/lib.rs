//! Reliable delivery over XMPP: what is accepted is kept, and what is kept has an
//! outcome.
//!
//! For an application that wants more than "written to a socket", on any store and any
//! connection. [`session::Session`] is a running session; [`engine::Engine`] is its
//! core, without sockets, clock, store or runtime, for simulators and other drivers;
//! [`store`] is where messages are kept, and [`registry`] where servers are: in the same
//! file. How often a message takes effect is chosen by its sender, in
//! [`session::Outgoing`], and by how it is committed: [`session::Received`].
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use stanchion_connect::memory::MemoryConnect;
//! use stanchion_reliability::outcome::{NotDelivered, Outcome};
//! use stanchion_reliability::session::{Outgoing, Session, SessionConfig};
//! use stanchion_reliability::store::{Image, MemoryStore, Opening, Seed, WallTime};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let opening = Opening::new(Seed::from_os()?, WallTime::from_unix_ms(0));
//! let store = Box::new(MemoryStore::open(Image::default(), &opening)?);
//! // A connection factory that never gives a connection.
//! let (session, _received) =
//!     Session::start(Arc::new(MemoryConnect::new().0), store, SessionConfig::default()).await?;
//!
//! let message = Outgoing::text("lamp@example.org".parse()?, "on")?.within(Duration::from_millis(20));
//! let sent = session.sender().send(message).await?; // durable, as far as this store goes
//! assert_eq!(sent.outcome().await?, Outcome::NotDelivered(NotDelivered::Expired));
//! session.shutdown().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod delivery;
pub mod engine;
pub mod lane;
pub mod mutant;
pub mod outcome;
pub mod protection;
pub mod registry;
pub mod session;
pub mod store;

pub use engine::Engine;
pub use lane::Lane;
pub use outcome::Outcome;
pub use protection::Protection;
pub use session::Session;
pub use store::Store;
