//! From a domain to the endpoints that may speak for it (RFC 6120 §3.2, XEP-0368),
//! in the order in which to try them. Dialling them is left to the connector.

use std::net::IpAddr;

use stanchion_transport::{Endpoint, Host, TlsMode};

use super::order::order;
use super::{Resolve, ResolveError, SrvRecord};

/// The port of a domain without SRV records (RFC 6120 §3.2.2).
pub const DEFAULT_PORT: u16 = 5222;

/// Most SRV records of a domain that are looked at. A zone with more is cut, by the
/// order of RFC 2782.
pub const MAX_RECORDS: usize = 16;

/// Most addresses of one host that are tried.
pub const MAX_ADDRESSES: usize = 8;

/// A host that may speak for a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Lower comes first; that of the SRV record.
    pub priority: u16,
    /// Share among those of one priority, if an SRV record says so.
    pub weight: Option<u16>,
    /// Where it is.
    pub endpoint: Endpoint,
}

/// The hosts of `domain`, a JID's domainpart. Names are not looked up yet; see
/// [`addresses`].
///
/// The records of `_xmpp-client._tcp` (STARTTLS) and `_xmpps-client._tcp` (direct TLS)
/// form one set. Without any, the domain itself at port 5222 is the endpoint; so it is
/// when the name server fails, as the certificate decides who may answer. An IP address
/// as a domain is not looked up at all.
///
/// # Errors
/// [`ResolveError::NotOffered`] if the records say so, [`ResolveError::InvalidName`].
pub async fn hosts(
    resolver: &dyn Resolve,
    domain: &str,
    random: impl FnMut() -> u64,
) -> Result<Vec<Candidate>, ResolveError> {
    let fallback = |host| {
        vec![Candidate {
            priority: 0,
            weight: None,
            endpoint: Endpoint::new(host, DEFAULT_PORT, TlsMode::StartTls),
        }]
    };
    if let Some(ip) = literal(domain) {
        return Ok(fallback(Host::Ip(ip)));
    }
    let ascii = ascii(domain)?;
    let starttls = format!("_xmpp-client._tcp.{ascii}");
    let direct = format!("_xmpps-client._tcp.{ascii}");
    let (starttls, direct) = tokio::join!(resolver.srv(&starttls), resolver.srv(&direct));

    let mut refused = false;
    let mut records = Vec::new();
    for (answer, mode) in [(starttls, TlsMode::StartTls), (direct, TlsMode::Direct)] {
        match answer {
            Ok(answer) => {
                let offered = answer.found.into_iter().filter(|r| {
                    refused |= r.is_refusal();
                    !r.is_refusal()
                });
                records.extend(offered.map(|r| (r, mode)));
            }
            Err(e) => {
                tracing::debug!(%domain, error = %e, "SRV look-up failed");
            }
        }
    }
    if records.is_empty() {
        return if refused {
            Err(ResolveError::NotOffered {
                domain: domain.to_owned(),
            })
        } else {
            Ok(fallback(Host::Name(ascii)))
        };
    }
    let mut ordered: Vec<(SrvRecord, TlsMode)> = order(records, |r| &r.0, random);
    ordered.truncate(MAX_RECORDS);
    let candidate = |(record, mode): (SrvRecord, TlsMode)| {
        let name = record.target.trim_end_matches('.').to_ascii_lowercase();
        Candidate {
            priority: record.priority,
            weight: Some(record.weight),
            endpoint: Endpoint::new(Host::Name(name), record.port, mode),
        }
    };
    Ok(ordered.into_iter().map(candidate).collect())
}

/// The addresses of an endpoint's host, IPv6 and IPv4 in turns so that a broken family
/// costs one attempt and not all.
///
/// # Errors
/// [`ResolveError`] if the name has none.
pub async fn addresses(
    resolver: &dyn Resolve,
    endpoint: &Endpoint,
) -> Result<Vec<Endpoint>, ResolveError> {
    let name = match &endpoint.host {
        Host::Ip(_) => return Ok(vec![endpoint.clone()]),
        Host::Name(name) => name,
    };
    if let Some(ip) = literal(name) {
        return Ok(vec![endpoint.clone().with_host(Host::Ip(ip))]);
    }
    let found = resolver.addresses(&ascii(name)?).await?.found;
    let (v6, v4): (Vec<IpAddr>, Vec<IpAddr>) = found.into_iter().partition(IpAddr::is_ipv6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut turns = Vec::new();
    loop {
        let before = turns.len();
        turns.extend(v6.next());
        turns.extend(v4.next());
        if turns.len() == before || turns.len() >= MAX_ADDRESSES {
            break;
        }
    }
    turns.truncate(MAX_ADDRESSES);
    let at = |ip| endpoint.clone().with_host(Host::Ip(ip));
    Ok(turns.into_iter().map(at).collect())
}

/// An IP address as it stands in a JID: IPv6 in brackets.
fn literal(domain: &str) -> Option<IpAddr> {
    let bare = domain
        .strip_prefix('[')
        .and_then(|d| d.strip_suffix(']'))
        .unwrap_or(domain);
    bare.parse().ok()
}

fn ascii(name: &str) -> Result<String, ResolveError> {
    let name = name.trim_end_matches('.');
    let invalid = || ResolveError::InvalidName {
        name: name.to_owned(),
    };
    let ascii = if name.is_ascii() {
        name.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii_strict(name).map_err(|_| invalid())?
    };
    // RFC 1035 §2.3.4.
    let fits = ascii.len() <= 253 && ascii.split('.').all(|l| (1..=63).contains(&l.len()));
    if fits { Ok(ascii) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::super::TableResolver;
    use super::*;

    const STARTTLS: &str = "_xmpp-client._tcp.example.org";
    const DIRECT: &str = "_xmpps-client._tcp.example.org";

    async fn found(resolver: TableResolver, domain: &str) -> Result<Vec<String>, ResolveError> {
        let hosts = hosts(&resolver, domain, || 0).await?;
        let show = |c: &Candidate| format!("{:?} {}", c.endpoint.mode, c.endpoint);
        Ok(hosts.iter().map(show).collect())
    }

    #[tokio::test]
    async fn both_kinds_of_records_form_one_order() {
        let resolver = TableResolver::new()
            .with_srv(STARTTLS, 5, 0, 5222, "a.example.org.")
            .with_srv(STARTTLS, 20, 0, 5222, "c.example.org")
            .with_srv(DIRECT, 10, 0, 443, "B.example.org.");
        assert_eq!(
            found(resolver, "example.org").await.unwrap(),
            [
                "StartTls a.example.org:5222",
                "Direct b.example.org:443",
                "StartTls c.example.org:5222"
            ]
        );
    }

    #[tokio::test]
    async fn a_host_keeps_the_priority_and_weight_of_its_record() {
        let resolver = TableResolver::new().with_srv(STARTTLS, 5, 30, 5222, "a.example.org.");
        let told = |found: &[Candidate]| (found[0].priority, found[0].weight);
        let found = hosts(&resolver, "example.org", || 0).await.unwrap();
        assert_eq!(told(&found), (5, Some(30)));
        let none = hosts(&TableResolver::new(), "example.org", || 0).await;
        assert_eq!(told(&none.unwrap()), (0, None));
    }

    #[tokio::test]
    async fn a_domain_without_records_is_its_own_host() {
        for resolver in [
            TableResolver::new(),
            TableResolver::new().with_srv_failure(STARTTLS),
            TableResolver::new()
                .with_srv_failure(STARTTLS)
                .with_srv_failure(DIRECT),
        ] {
            assert_eq!(
                found(resolver, "example.org").await.unwrap(),
                ["StartTls example.org:5222"]
            );
        }
    }

    #[tokio::test]
    async fn a_dot_as_target_means_not_offered() {
        let refused = TableResolver::new().with_srv(STARTTLS, 0, 0, 0, ".");
        assert!(matches!(
            found(refused.clone(), "example.org").await,
            Err(ResolveError::NotOffered { .. })
        ));
        let only_direct = refused.with_srv(DIRECT, 0, 0, 5223, "a.example.org");
        assert_eq!(
            found(only_direct, "example.org").await.unwrap(),
            ["Direct a.example.org:5223"]
        );
        let only_starttls = TableResolver::new()
            .with_srv(DIRECT, 0, 0, 0, ".")
            .with_srv(STARTTLS, 0, 0, 5222, "a.example.org");
        assert_eq!(
            found(only_starttls, "example.org").await.unwrap(),
            ["StartTls a.example.org:5222"]
        );
    }

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        let none = TableResolver::new();
        assert_eq!(
            found(none.clone(), "192.0.2.1").await.unwrap(),
            ["StartTls 192.0.2.1:5222"]
        );
        assert_eq!(found(none, "[::1]").await.unwrap(), ["StartTls [::1]:5222"]);
    }

    #[tokio::test]
    async fn an_international_domain_is_asked_for_in_ascii() {
        let resolver =
            TableResolver::new().with_srv("_xmpp-client._tcp.xn--mnchen-3ya.de", 0, 0, 1, "a.de");
        assert_eq!(
            found(resolver, "münchen.de").await.unwrap(),
            ["StartTls a.de:1"]
        );
    }

    #[tokio::test]
    async fn a_name_that_dns_cannot_hold_is_refused() {
        for bad in ["a..b", &"x".repeat(64), &"x.".repeat(130)] {
            assert!(matches!(
                found(TableResolver::new(), bad).await,
                Err(ResolveError::InvalidName { .. })
            ));
        }
    }

    #[tokio::test]
    async fn a_zone_full_of_records_is_cut() {
        let resolver = (0..500).fold(TableResolver::new(), |r, n| {
            r.with_srv(STARTTLS, n, 0, 5222, "a.example.org")
        });
        assert_eq!(
            found(resolver, "example.org").await.unwrap().len(),
            MAX_RECORDS
        );
    }

    #[tokio::test]
    async fn the_address_families_take_turns() {
        let resolver = ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
            .iter()
            .fold(TableResolver::new(), |r, a| {
                r.with_address("a.example.org", a.parse().unwrap())
            });
        let endpoint = Endpoint::new(Host::Name("a.example.org".into()), 1, TlsMode::Direct);
        let all = addresses(&resolver, &endpoint).await.unwrap();
        let all: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["[2001:db8::1]:1", "192.0.2.1:1", "192.0.2.2:1"]);
    }

    #[tokio::test]
    async fn a_host_without_address_is_named() {
        let endpoint = Endpoint::new(Host::Name("gone.example".into()), 1, TlsMode::Direct);
        let error = addresses(&TableResolver::new(), &endpoint)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("gone.example"));
    }
}
