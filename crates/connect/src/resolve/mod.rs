//! Finding the hosts of a domain: the seam to DNS, and what is asked of it.
//!
//! Owns the look-ups and their errors. What is remembered is in [`cache`], the order of records is in [`order`], what
//! a domain's records mean in [`discover`]; connecting is left to the connector.

pub mod cache;
mod default;
pub mod discover;
#[cfg(feature = "dns")]
mod hickory;
pub mod order;
mod system;
mod table;

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

pub use cache::CachingResolver;
pub(crate) use default::default_resolver;
#[cfg(feature = "dns")]
pub use hickory::HickoryResolver;
pub use system::SystemResolver;
pub use table::TableResolver;

/// One SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvRecord {
    /// Lower comes first.
    pub priority: u16,
    /// Share among the records of one priority.
    pub weight: u16,
    /// TCP port.
    pub port: u16,
    /// Host name, with or without the final dot; `.` alone says that the domain
    /// does not offer the service.
    pub target: String,
}

impl SrvRecord {
    /// Whether it says "not offered" (RFC 2782, `Target`).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.target.is_empty() || self.target == "."
    }
}

/// Why a look-up gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The network: no usable answer. Retry later.
    #[error(
        "the name server gave no usable answer for {name}: {why}; check the network and its DNS"
    )]
    Failed {
        /// What was asked.
        name: String,
        /// What the resolver says.
        why: String,
    },
    /// The name has no address, or does not exist.
    #[error(
        "no such host: {name} has no address; check the spelling, or name the server's host and port"
    )]
    NoSuchName {
        /// What was asked.
        name: String,
    },
    /// The domain's SRV records say that it has no XMPP service (RFC 6120 §3.2.1).
    #[error("{domain} says in DNS that it offers no XMPP service; check the address")]
    NotOffered {
        /// The domain.
        domain: String,
    },
    /// The name cannot be written in DNS (RFC 5891).
    #[error("{name} is no valid host name; check the spelling")]
    InvalidName {
        /// What was asked.
        name: String,
    },
}

/// What a look-up gave, and for how long it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was found.
    pub found: Vec<T>,
    /// The shortest time to live among it (RFC 1035 §3.2.1); `None` if it is not known.
    pub ttl: Option<Duration>,
}

impl<T> Answer<T> {
    /// An answer of unknown age.
    #[must_use]
    pub const fn new(found: Vec<T>) -> Self {
        Self { found, ttl: None }
    }
}

/// Look-ups by name. [`HickoryResolver`] asks DNS, [`SystemResolver`] the operating
/// system, [`TableResolver`] a table in memory; [`CachingResolver`] remembers what
/// another one said.
///
/// Names are given in ASCII (A-labels), without the final dot.
#[async_trait]
pub trait Resolve: Send + Sync + std::fmt::Debug {
    /// The SRV records of `name`, in any order; empty if there are none.
    ///
    /// # Errors
    /// [`ResolveError::Failed`] without a usable answer. That a name does not exist
    /// is no error here.
    async fn srv(&self, name: &str) -> Result<Answer<SrvRecord>, ResolveError>;

    /// The addresses of a host, at least one.
    ///
    /// # Errors
    /// [`ResolveError::NoSuchName`] if there is none, [`ResolveError::Failed`]
    /// without a usable answer.
    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, ResolveError>;
}
