//! SASL for XMPP (RFC 4422, RFC 6120 §6) without sockets, clock or random source.
//!
//! Both sides: a client chooses the strongest mechanism that its credentials, its
//! policy and the connection allow; a server offers, checks, and tells nobody
//! which users exist. Mechanisms: SCRAM-SHA-1, -256 and -512 (RFC 5802, RFC 7677), each
//! also bound to the TLS connection (`-PLUS`), PLAIN inside TLS, EXTERNAL,
//! ANONYMOUS.
//!
//! The caller brings what is outside: the names in the server's features, the TLS
//! connection's binding values, random bytes for a [`Nonce`], and base64 and XML
//! around the raw messages. No call waits; the one that may compute for long says so
//! beforehand ([`Authenticator::iterations`]).
//!
//! # A client and a server
//!
//! ```
//! use std::sync::Arc;
//! use stanchion_sasl::accounts::MemoryAccounts;
//! use stanchion_sasl::policy::{ChannelSecurity, TlsVersion};
//! use stanchion_sasl::server::{Identity, ServerChannel, ServerPolicy};
//! use stanchion_sasl::*;
//!
//! // Both ends of one TLS connection export the same value (RFC 9266).
//! let bindings = ChannelBindings { tls_exporter: Some([7; 32]), ..Default::default() };
//!
//! let mut accounts = MemoryAccounts::new();
//! accounts.set("juliet", &"r0m30".into(), 4096, [1; 16])?;
//! let channel = ServerChannel { encrypted: true, bindings: bindings.clone(), ..Default::default() };
//! let policy = Arc::new(ServerPolicy::new(vec![9; 32].into()));
//! let mut server = ServerAuth::new(policy, channel, Arc::new(accounts));
//!
//! // The server's features, as the client reads them.
//! let offer = Offer {
//!     mechanisms: server.advertised(),
//!     bindings: server.advertised_bindings(),
//!     ..Default::default()
//! };
//! let channel = Channel {
//!     security: ChannelSecurity::Tls { version: TlsVersion::Tls13, server_verified: true },
//!     bindings,
//!     ..Default::default()
//! };
//! let credentials = Credentials::password("juliet", "r0m30");
//! // In earnest, the bytes of a nonce are random.
//! let nonce = Nonce::from_entropy([2; 24]);
//! let mut client = ClientAuth::select(&offer, &channel, &credentials, &Policy::default(), nonce)?;
//! assert_eq!(client.mechanism(), "SCRAM-SHA-512-PLUS");
//!
//! let initial = client.initial_response()?;
//! let mut step = server.start(client.mechanism(), initial.as_deref(), Nonce::from_entropy([3; 24]));
//! let accepted = loop {
//!     step = match step {
//!         Step::Challenge(data) => server.respond(&client.challenge(&data)?),
//!         Step::Success(accepted) => break accepted,
//!         refused => panic!("{refused:?}"),
//!     };
//! };
//! // Only this says that the server is the right one.
//! let authenticated = client.success(accepted.additional_data.as_deref())?;
//! assert!(authenticated.server_proved);
//! assert_eq!(accepted.identity, Identity::Account("juliet".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! - A password goes out bare only inside TLS to a verified server, unless
//!   [`Policy::allow_plain_without_tls`](policy::Policy::allow_plain_without_tls) says otherwise.
//! - A login counts only after the server's proof ([`Authenticator::success`]).
//! - Nothing that a peer sends makes this crate panic, and what it may cost is bounded:
//!   8 KiB a message, [`ScramLimits`](policy::ScramLimits) for the rest.
//! - A refused channel binding is given up once, only to a verified server that
//!   named it as the reason, and is reported ([`binding::Binding::RefusedByServer`]).
//! - A stripped offer is noticed by the flag `y` (RFC 5802 §6), by the hash over the
//!   offer where the server sends one (XEP-0474), and by the memory of earlier
//!   offers ([`policy::OfferStrength`]).
//!
//! # Where things are
//!
//! [`client`] and [`server`] run one exchange; [`policy`] chooses; [`scram`] has the
//! state machines without any framework. The mechanisms are registered with the
//! `rsasl` framework, which does not show in the interface.

pub mod accounts;
pub mod binding;
pub mod client;
pub mod condition;
pub mod credentials;
pub mod error;
mod framework;
pub mod mechanism;
pub mod nonce;
mod plain;
pub mod policy;
pub mod prepare;
pub mod scram;
pub mod server;

pub use binding::ChannelBindings;
pub use client::{Authenticated, Authenticator, ClientAuth, Retry};
pub use condition::SaslCondition;
pub use credentials::Credentials;
pub use error::AuthError;
pub use nonce::Nonce;
pub use policy::{Channel, Offer, Policy, SelectError};
pub use server::{ServerAuth, Step};
