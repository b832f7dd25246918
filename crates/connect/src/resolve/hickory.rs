//! DNS, asked by this process itself.

use std::net::IpAddr;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;

use super::{Resolve, ResolveError, SrvRecord, SystemResolver};

/// Asks the name servers that the operating system is set up with (RFC 1035), and its
/// hosts file. Answers are cached for as long as they say. A look-up that is given up
/// leaves nothing behind.
///
/// Names without a dot and names in `.local` are left to the operating system, which
/// may know them from multicast DNS or from a container's network.
#[derive(Clone)]
pub struct HickoryResolver {
    resolver: TokioResolver,
}

impl std::fmt::Debug for HickoryResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HickoryResolver").finish_non_exhaustive()
    }
}

impl HickoryResolver {
    /// Reads the operating system's configuration (`/etc/resolv.conf`).
    ///
    /// # Errors
    /// [`ResolveError::Failed`] if there is none, or it cannot be understood.
    pub fn from_system() -> Result<Self, ResolveError> {
        TokioResolver::builder_tokio()
            .and_then(|builder| builder.build())
            .map(|resolver| Self { resolver })
            .map_err(|e| failed("the system's configuration", &e))
    }
}

fn failed(name: &str, e: &NetError) -> ResolveError {
    ResolveError::Failed {
        name: name.to_owned(),
        why: e.to_string(),
    }
}

#[async_trait]
impl Resolve for HickoryResolver {
    async fn srv(&self, name: &str) -> Result<Vec<SrvRecord>, ResolveError> {
        // With the final dot, or the search list of the configuration is tried too.
        let answer = match self.resolver.srv_lookup(format!("{name}.")).await {
            Ok(answer) => answer,
            Err(e) if e.is_no_records_found() => return Ok(Vec::new()),
            Err(e) => return Err(failed(name, &e)),
        };
        let records = answer.answers().iter().filter_map(|r| match &r.data {
            RData::SRV(srv) => Some(SrvRecord {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_ascii(),
            }),
            _ => None,
        });
        Ok(records.collect())
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if !host.contains('.') || host.ends_with(".local") {
            return SystemResolver.addresses(host).await;
        }
        let no_such = || ResolveError::NoSuchName {
            name: host.to_owned(),
        };
        match self.resolver.lookup_ip(format!("{host}.")).await {
            Ok(found) => {
                let addresses: Vec<IpAddr> = found.iter().collect();
                if addresses.is_empty() {
                    Err(no_such())
                } else {
                    Ok(addresses)
                }
            }
            Err(e) if e.is_no_records_found() => Err(no_such()),
            Err(e) => Err(failed(host, &e)),
        }
    }
}
