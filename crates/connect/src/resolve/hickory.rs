//! DNS, asked by this process itself.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;

use super::cache::NEGATIVE;
use super::{Answer, Resolve, ResolveError, SrvRecord, SystemResolver};

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
            .and_then(|mut builder| {
                // A record that is made a minute later is found a minute later.
                builder.options_mut().negative_max_ttl = Some(NEGATIVE);
                builder.build()
            })
            .map(|resolver| Self { resolver })
            .map_err(|e| failed("the system's configuration", &e))
    }
}

impl HickoryResolver {
    /// Asks these name servers, over UDP and, for long answers, TCP; the system's
    /// configuration is not looked at.
    ///
    /// # Errors
    /// [`ResolveError::Failed`] if the resolver cannot be set up.
    pub fn from_servers(servers: &[SocketAddr]) -> Result<Self, ResolveError> {
        let connection = |mut kind: ConnectionConfig, server: &SocketAddr| {
            kind.port = server.port();
            kind
        };
        let servers = servers.iter().map(|server| {
            let udp = connection(ConnectionConfig::udp(), server);
            let tcp = connection(ConnectionConfig::tcp(), server);
            NameServerConfig::new(server.ip(), true, vec![udp, tcp])
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().negative_max_ttl = Some(NEGATIVE);
        builder
            .build()
            .map(|resolver| Self { resolver })
            .map_err(|e| failed("the given name servers", &e))
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

fn failed(name: &str, e: &NetError) -> ResolveError {
    ResolveError::Failed {
        name: name.to_owned(),
        why: e.to_string(),
    }
}

#[async_trait]
impl Resolve for HickoryResolver {
    async fn srv(&self, name: &str) -> Result<Answer<SrvRecord>, ResolveError> {
        // With the final dot, or the search list of the configuration is tried too.
        let answer = match self.resolver.srv_lookup(format!("{name}.")).await {
            Ok(answer) => answer,
            Err(e) if e.is_no_records_found() => return Ok(Answer::new(Vec::new())),
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
        Ok(Answer {
            found: records.collect(),
            ttl: Some(left(answer.valid_until())),
        })
    }

    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, ResolveError> {
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
                    Ok(Answer {
                        found: addresses,
                        ttl: Some(left(found.valid_until())),
                    })
                }
            }
            Err(e) if e.is_no_records_found() => Err(no_such()),
            Err(e) => Err(failed(host, &e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
    use hickory_resolver::proto::rr::rdata::{A, SRV};
    use hickory_resolver::proto::rr::{Name, Record, RecordType};
    use tokio::net::UdpSocket;
    use tokio::task::JoinSet;

    /// A name server that knows one domain, and fails when asked for `broken.`.
    async fn name_server() -> (HickoryResolver, JoinSet<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (n, client) = socket.recv_from(&mut buffer).await.unwrap();
                let asked = Message::from_vec(&buffer[..n]).unwrap();
                let answer = answer(&asked).to_vec().unwrap();
                socket.send_to(&answer, client).await.unwrap();
            }
        });
        (HickoryResolver::from_servers(&[address]).unwrap(), tasks)
    }

    fn answer(asked: &Message) -> Message {
        let query = asked.queries[0].clone();
        let mut answer = Message::response(asked.metadata.id, OpCode::Query);
        let target = || Name::from_ascii("a.example.org.").unwrap();
        let name = query.name().to_ascii();
        match (name.as_str(), query.query_type()) {
            ("_xmpp-client._tcp.example.org.", RecordType::SRV) => {
                let srv = SRV::new(5, 1, 5223, target());
                answer.add_answer(Record::from_rdata(
                    query.name().clone(),
                    60,
                    RData::SRV(srv),
                ));
            }
            ("a.example.org.", RecordType::A) => {
                let a = RData::A(A::new(192, 0, 2, 7));
                answer.add_answer(Record::from_rdata(target(), 60, a));
            }
            ("a.example.org.", _) => {}
            ("broken.example.org.", _) => answer.metadata.response_code = ResponseCode::ServFail,
            _ => answer.metadata.response_code = ResponseCode::NXDomain,
        }
        answer.add_query(query);
        answer
    }

    #[tokio::test]
    async fn records_and_addresses_come_from_the_name_server() {
        let (resolver, _server) = name_server().await;
        let records = resolver.srv("_xmpp-client._tcp.example.org").await.unwrap();
        let expected = SrvRecord {
            priority: 5,
            weight: 1,
            port: 5223,
            target: "a.example.org.".to_owned(),
        };
        assert_eq!(records.found, [expected]);
        let minute = Duration::from_secs(55)..=Duration::from_secs(60);
        assert!(records.ttl.is_some_and(|ttl| minute.contains(&ttl)));
        let addresses = resolver.addresses("a.example.org").await.unwrap();
        assert_eq!(addresses.found, [IpAddr::from([192, 0, 2, 7])]);
    }

    #[tokio::test]
    async fn no_such_name_and_no_answer_are_told_apart() {
        let (resolver, _server) = name_server().await;
        assert_eq!(
            resolver.srv("_xmpp-client._tcp.none.org").await,
            Ok(Answer::new(Vec::new()))
        );
        let none = resolver.addresses("none.example.org").await;
        assert!(
            matches!(none, Err(ResolveError::NoSuchName { .. })),
            "{none:?}"
        );
        let broken = resolver.addresses("broken.example.org").await;
        assert!(
            matches!(broken, Err(ResolveError::Failed { .. })),
            "{broken:?}"
        );
    }
}
