//! A name server on the loopback interface that knows one zone, and the ways in which
//! such a server fails.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use stanchion_connect::resolve::HickoryResolver;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// A record of the zone.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Known {
    /// `_xmpp-client._tcp` or `_xmpps-client._tcp` of the domain, with the port of a
    /// server of the case, counted from 1, or 0.
    Srv {
        direct: bool,
        priority: u16,
        port_of: usize,
        target: &'static str,
    },
    /// A host has this address.
    Host(&'static str, &'static str),
    /// The domain exists, and has nothing.
    Empty,
}

/// How the name server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Good,
    /// Answers SERVFAIL to all.
    Failing,
    /// Answers nothing.
    Silent,
}

/// The zone, and the server's health until it is healed.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    pub(crate) health: Health,
    pub(crate) records: Vec<Known>,
}

pub(crate) fn zone(records: &[Known]) -> Zone {
    Zone {
        health: Health::Good,
        records: records.to_vec(),
    }
}

impl Zone {
    pub(crate) fn being(self, health: Health) -> Self {
        Self { health, ..self }
    }
}

/// The name server, running until dropped.
pub(crate) struct NameServer {
    pub(crate) resolver: HickoryResolver,
    healed: Arc<AtomicBool>,
    _task: JoinSet<()>,
}

impl NameServer {
    /// `servers` are those of the case.
    pub(crate) async fn start(zone: Zone, servers: Vec<SocketAddr>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let healed = Arc::new(AtomicBool::new(zone.health == Health::Good));
        let is_healed = Arc::clone(&healed);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (n, client) = socket.recv_from(&mut buffer).await.unwrap();

                let asked = Message::from_vec(&buffer[..n]).unwrap();
                let health = match is_healed.load(Ordering::SeqCst) {
                    true => Health::Good,
                    false => zone.health,
                };
                if health == Health::Silent {
                    continue;
                }
                let answer = answer(&asked, &zone, &servers, health);
                socket
                    .send_to(&answer.to_vec().unwrap(), client)
                    .await
                    .unwrap();
            }
        });
        Self {
            resolver: HickoryResolver::from_servers(&[address]).unwrap(),
            healed,
            _task: task,
        }
    }

    pub(crate) fn heal(&self) {
        self.healed.store(true, Ordering::SeqCst);
    }
}

fn answer(asked: &Message, zone: &Zone, servers: &[SocketAddr], health: Health) -> Message {
    let query = asked.queries[0].clone();
    let mut answer = Message::response(asked.metadata.id, OpCode::Query);
    let name = query.name().to_ascii();
    let mut exists = false;
    for known in &zone.records {
        let data = match known {
            Known::Srv {
                direct,
                priority,
                port_of,
                target,
            } => {
                let service = if *direct {
                    "_xmpps-client"
                } else {
                    "_xmpp-client"
                };
                if name != format!("{service}._tcp.example.org.") {
                    continue;
                }
                let port = port_of.checked_sub(1).map_or(0, |n| servers[n].port());
                let target = Name::from_ascii(target).unwrap();
                RData::SRV(SRV::new(*priority, 1, port, target))
            }
            Known::Host(host, address) if name == *host => match address.parse().unwrap() {
                IpAddr::V4(v4) => RData::A(A(v4)),
                IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
            },
            Known::Host(..) => continue,
            Known::Empty => {
                exists = true;
                continue;
            }
        };
        exists = true;
        let kind = match &data {
            RData::SRV(_) => RecordType::SRV,
            RData::A(_) => RecordType::A,
            _ => RecordType::AAAA,
        };
        if query.query_type() == kind {
            answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
        }
    }
    if health == Health::Failing {
        answer.metadata.response_code = ResponseCode::ServFail;
    } else if !exists {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    answer.add_query(query);
    answer
}
