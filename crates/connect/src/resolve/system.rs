//! The operating system's resolver: addresses only, it knows no SRV records.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;

use super::{Answer, Resolve, ResolveError, SrvRecord};

/// Asks the operating system (`getaddrinfo`), so that its hosts file and multicast
/// DNS count. Without SRV records a domain is reached at its own address, port 5222.
///
/// A look-up that takes long keeps a thread of the runtime's blocking pool busy,
/// also after it was given up.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn srv(&self, _: &str) -> Result<Answer<SrvRecord>, ResolveError> {
        Ok(Answer::new(Vec::new()))
    }

    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, ResolveError> {
        match tokio::net::lookup_host((host, 0)).await {
            Ok(found) => {
                let mut addresses: Vec<IpAddr> = Vec::new();
                for address in found {
                    if !addresses.contains(&address.ip()) {
                        addresses.push(address.ip());
                    }
                }
                if addresses.is_empty() {
                    return Err(ResolveError::NoSuchName {
                        name: host.to_owned(),
                    });
                }
                Ok(Answer::new(addresses))
            }
            Err(e) => Err(failure(host, &e)),
        }
    }
}

/// `getaddrinfo` has its own error codes, which the standard library turns into
/// text: EAI_NONAME and EAI_NODATA cannot be told from EAI_AGAIN otherwise.
fn failure(host: &str, e: &io::Error) -> ResolveError {
    let text = e.to_string();
    let again = text.contains("Temporary failure") || text.contains("Try again");
    if e.raw_os_error().is_none() && !again {
        ResolveError::NoSuchName {
            name: host.to_owned(),
        }
    } else {
        ResolveError::Failed {
            name: host.to_owned(),
            why: text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_local_host_has_an_address_and_no_srv_record() {
        let addresses = SystemResolver.addresses("localhost").await.unwrap();
        assert!(addresses.found.iter().all(IpAddr::is_loopback));
        let srv = SystemResolver.srv("_xmpp-client._tcp.localhost").await;
        assert_eq!(srv, Ok(Answer::new(Vec::new())));
    }

    #[test]
    fn a_name_that_does_not_exist_is_told_from_a_silent_name_server() {
        let error = |text: &str| io::Error::other(text.to_owned());
        let prefix = "failed to lookup address information: ";
        assert!(matches!(
            failure("x", &error(&format!("{prefix}Name or service not known"))),
            ResolveError::NoSuchName { .. }
        ));
        assert!(matches!(
            failure(
                "x",
                &error(&format!("{prefix}Temporary failure in name resolution"))
            ),
            ResolveError::Failed { .. }
        ));
    }
}
