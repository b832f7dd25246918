//! A resolver that answers from a table: for tests, and for networks without DNS.

use std::collections::BTreeMap;
use std::net::IpAddr;

use async_trait::async_trait;

use super::{Answer, Resolve, ResolveError, SrvRecord};

/// Answers from memory. A name that is not in the table does not exist.
///
/// ```
/// use stanchion_connect::resolve::TableResolver;
/// let resolver = TableResolver::new()
///     .with_srv("_xmpp-client._tcp.example.org", 10, 0, 5222, "xmpp.example.org")
///     .with_address("xmpp.example.org", "192.0.2.1".parse()?);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct TableResolver {
    srv: BTreeMap<String, Result<Vec<SrvRecord>, ResolveError>>,
    addresses: BTreeMap<String, Vec<IpAddr>>,
}

impl TableResolver {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more SRV record of `name`.
    #[must_use]
    pub fn with_srv(
        mut self,
        name: &str,
        priority: u16,
        weight: u16,
        port: u16,
        target: &str,
    ) -> Self {
        let record = SrvRecord {
            priority,
            weight,
            port,
            target: target.to_owned(),
        };
        let entry = self.srv.entry(name.to_owned()).or_insert(Ok(Vec::new()));
        match entry {
            Ok(records) => records.push(record),
            Err(_) => *entry = Ok(vec![record]),
        }
        self
    }

    /// With a name server that fails when asked for the SRV records of `name`.
    #[must_use]
    pub fn with_srv_failure(mut self, name: &str) -> Self {
        let failure = ResolveError::Failed {
            name: name.to_owned(),
            why: "SERVFAIL".to_owned(),
        };
        self.srv.insert(name.to_owned(), Err(failure));
        self
    }

    /// With one more address of `host`.
    #[must_use]
    pub fn with_address(mut self, host: &str, address: IpAddr) -> Self {
        let addresses = self.addresses.entry(host.to_owned()).or_default();
        addresses.push(address);
        self
    }
}

#[async_trait]
impl Resolve for TableResolver {
    async fn srv(&self, name: &str) -> Result<Answer<SrvRecord>, ResolveError> {
        let found = self.srv.get(name).cloned().unwrap_or(Ok(Vec::new()))?;
        Ok(Answer::new(found))
    }

    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, ResolveError> {
        self.addresses
            .get(host)
            .cloned()
            .map(Answer::new)
            .ok_or_else(|| ResolveError::NoSuchName {
                name: host.to_owned(),
            })
    }
}
