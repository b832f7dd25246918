//! The connection factory: gives sessions on the servers of an account's domain, and
//! says exactly what went wrong when it cannot.
//!
//! For whoever wants a logged-in XMPP stream without writing the login: it finds the
//! hosts in DNS, lets them race up to TLS, negotiates authentication, a resource and
//! stream management with the winner, or resumes the session before; and if a device has
//! accounts at several servers, it takes the one that is there. Then it leaves: after the login no
//! byte passes through it. What to do with the stream is the caller's affair, or that of
//! the reliability layer above.
//!
//! What it learns of a server makes the next login shorter: [`negotiation`] says which bytes
//! ride together, and [`Connector::memory`] gives what may be kept.
//!
//! ```
//! use stanchion_connect::resolve::TableResolver;
//! use stanchion_connect::{Account, Connect, ConnectConfig, Connector, Kind, Retry};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let account = Account::with_password("lamp@example.invalid".parse()?, "secret");
//! let connector = Connector::new(account, ConnectConfig::default())?
//!     .with_resolver(std::sync::Arc::new(TableResolver::new())); // knows no host
//!
//! let error = connector.connect(None).await.unwrap_err();
//! assert_eq!((error.kind(), error.retry()), (Kind::Network, Retry::AfterUser));
//! assert!(error.to_string().starts_with("no such host: example.invalid"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//! - Nothing goes out in the clear but the stream header and `<starttls/>`, unless the
//!   configuration allows plaintext in so many words.
//! - A login counts only when the server has proved itself as its mechanism can; a
//!   server's `<success/>` alone is no login.
//! - Candidates race, but a login is made at one of them only, and nothing that belongs
//!   to the account leaves before. Connections that lost are closed.
//! - A password that was refused is not tried again, neither at another host of the
//!   domain; by a [`factory`], not before its entry in the registry is changed.
//! - A host with an open circuit is tried last, but it is tried.
//! - A server that offers weaker mechanisms, weaker channel bindings or no TLS where it
//!   once did is refused, as long as the connector or its memory lives.
//! - Every phase has a deadline, and the error names the phase.
//! - What a server sends cannot panic, loop or fill the memory.
//!
//! # Where things are
//! [`Connector`] connects one account, by a race of the candidates; [`negotiation`] is
//! the login without I/O, to be used on its own over any transport; [`resolve`] asks DNS,
//! and remembers; [`health`] says which candidates are well. [`factory`] connects to one
//! of several servers, which a [`registry`] holds; [`persistent`] goes on trying for a
//! given time; [`component`] attaches a whole domain to its server,
//! [`registration`] makes an account; [`backoff`] says how long to wait before the next call. [`event`] tells an
//! observer what happens, [`notice`] makes a stream of it; [`probe`] looks servers over
//! for people, with a [`timeline`] of what it did; [`memory`] stands in for all of it in
//! tests.

pub mod backoff;
pub mod component;
pub mod config;
pub mod connection;
pub mod connector;
mod driver;
pub mod entropy;
pub mod error;
pub mod event;
pub mod factory;
pub mod health;
mod learnt;
pub mod memory;
pub mod misbehaviour;
pub mod negotiation;
pub mod notice;
pub mod persistent;
pub mod phase;
pub mod probe;
mod race;
mod redirect;
pub mod registration;
pub mod registry;
pub mod resolve;
pub mod timeline;
mod ways;

pub use config::{Account, ConnectConfig, Endpoints};
pub use connection::{Connect, Connection};
pub use connector::Connector;
pub use error::{ConnectError, Kind, Retry};
pub use event::ConnectEvent;
pub use negotiation::{ResumeToken, Resumption, SmSession};
pub use phase::Phase;
pub use stanchion_transport::Endpoint;
