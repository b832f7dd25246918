//! The network's side: tells others that we are here, and hears who else is (RFC 6762,
//! RFC 6763). The library has a thread of its own, which ends with [`Mdns::end`].
//!
//! The entries of our record are handed over in the order of XEP-0174, `txtvers` first; the
//! library does not promise to keep it.

use std::net::IpAddr;
use std::time::Duration;

use mdns_sd::{DaemonEvent, IfKind, RRType, Receiver, ServiceDaemon, ServiceEvent, ServiceInfo};
use stanchion_stanza::BareJid;
use tokio::time::timeout;

use super::config::Interfaces;
use super::error::StartError;
use super::name::{Half, OwnName, SERVICE, of_service};
use super::record::Record;
use super::table::Seen;

/// Bytes of the machine's name that leave room for a port behind it.
const MOST_OF_MACHINE: usize = 57;
/// For the good-bye, which is said twice.
const FAREWELL: Duration = Duration::from_secs(2);
/// Between the first good-bye and the library's end.
const SECOND_GOODBYE: Duration = Duration::from_millis(200);

/// What the network says.
#[derive(Debug)]
pub(super) enum Heard {
    /// Somebody is there.
    Seen(Seen),
    /// Somebody is gone.
    Gone(BareJid),
    /// Half of our name is taken.
    Taken(Half),
    /// Everybody knows us.
    Announced,
    /// It hears nothing any more.
    Deaf,
}

/// Us on the network.
pub(super) struct Mdns {
    daemon: ServiceDaemon,
    browsed: Receiver<ServiceEvent>,
    monitored: Receiver<DaemonEvent>,
    interfaces: Vec<IfKind>,
    addresses: Option<IpAddr>,
    /// The full name that is registered.
    registered: Option<String>,
    /// The host's name that goes with it.
    host: String,
}

impl std::fmt::Debug for Mdns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mdns")
            .field("registered", &self.registered)
            .finish_non_exhaustive()
    }
}

impl Mdns {
    /// Listens, on these interfaces.
    pub(super) fn start(interfaces: &Interfaces, port: u16) -> Result<Self, StartError> {
        let daemon = ServiceDaemon::new_with_port(port).map_err(StartError::Mdns)?;
        let (kinds, addresses) = match interfaces {
            Interfaces::All => (vec![IfKind::All], None),
            Interfaces::Loopback => {
                let ip = IpAddr::from([127, 0, 0, 1]);
                (vec![IfKind::LoopbackV4], Some(ip))
            }
            Interfaces::Named(names) => {
                let kinds = names.iter().cloned().map(IfKind::Name).collect();
                (kinds, None)
            }
        };
        let listen = || {
            if *interfaces != Interfaces::All {
                daemon.disable_interface(IfKind::All)?;
                daemon.enable_interface(kinds.clone())?;
            }
            Ok((daemon.monitor()?, daemon.browse(SERVICE)?))
        };
        match listen() {
            Ok((monitored, browsed)) => Ok(Self {
                daemon: daemon.clone(),
                browsed,
                monitored,
                interfaces: kinds.clone(),
                addresses,
                registered: None,
                host: String::new(),
            }),
            Err(error) => {
                // Nothing was told to anybody; its thread ends by itself.
                let _ = daemon.shutdown();
                Err(StartError::Mdns(error))
            }
        }
    }

    /// Tells who we are; in place of what was told before.
    pub(super) fn register(
        &mut self,
        name: &OwnName,
        port: u16,
        record: &Record,
    ) -> Result<(), StartError> {
        let host = host(&name.machine(), port);
        let entries = record.entries(port);
        let addresses: Vec<IpAddr> = self.addresses.into_iter().collect();
        let info = ServiceInfo::new(
            SERVICE,
            &name.instance(),
            &host,
            addresses.as_slice(),
            port,
            entries.as_slice(),
        );
        let mut info = info.map_err(StartError::Mdns)?;
        if self.addresses.is_none() {
            info = info.enable_addr_auto();
        }
        info.set_interfaces(self.interfaces.clone());
        self.host = host;
        let full = info.get_fullname().to_owned();
        let before = self.registered.replace(full.clone());
        if let Some(before) = before.filter(|before| *before != full) {
            // Whether the good-bye was said is told; nobody waits for it.
            let _ = self.daemon.unregister(&before);
        }
        self.daemon.register(info).map_err(StartError::Mdns)
    }

    /// What is heard next. Cancel-safe.
    pub(super) async fn heard(&self) -> Heard {
        loop {
            let heard = tokio::select! {
                event = self.browsed.recv_async() => match event {
                    Ok(event) => browsed(event),
                    Err(_) => Some(Heard::Deaf),
                },
                event = self.monitored.recv_async() => match event {
                    Ok(event) => self.monitored(event),
                    Err(_) => Some(Heard::Deaf),
                },
            };
            if let Some(heard) = heard {
                return heard;
            }
        }
    }

    fn monitored(&self, event: DaemonEvent) -> Option<Heard> {
        match event {
            DaemonEvent::NameChange(change) => {
                // What was ours before is no concern of ours any more.
                let (ours, half) = match change.rr_type {
                    RRType::A | RRType::AAAA => (Some(&self.host), Half::Machine),
                    _ => (self.registered.as_ref(), Half::User),
                };
                ours.is_some_and(|ours| ours.eq_ignore_ascii_case(&change.original))
                    .then_some(Heard::Taken(half))
            }
            DaemonEvent::Announce(full, _) => {
                let ours = self.registered.as_ref();
                ours.is_some_and(|ours| ours.eq_ignore_ascii_case(&full))
                    .then_some(Heard::Announced)
            }
            DaemonEvent::Error(error) => {
                tracing::warn!(%error, "multicast DNS is in trouble");
                None
            }
            _ => None,
        }
    }

    /// Says good-bye (XEP-0174 §9), and ends.
    pub(super) async fn end(self) {
        let farewell = async {
            if let Some(full) = &self.registered
                && let Ok(said) = self.daemon.unregister(full)
            {
                // Only that it is over matters.
                let _ = said.recv_async().await;
                tokio::time::sleep(SECOND_GOODBYE).await;
            }
            if let Ok(ended) = self.daemon.shutdown() {
                let _ = ended.recv_async().await;
            }
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!("multicast DNS did not end in time");
        }
    }
}

impl Drop for Mdns {
    /// Its thread ends, whoever forgot to end it. A second time does nothing.
    fn drop(&mut self) {
        let _ = self.daemon.shutdown();
    }
}

/// The name of the host's addresses. XEP-0174 §3 has `machine.local.`, which all applications
/// of the machine share: but the library's good-bye withdraws the addresses as well, and whoever
/// leaves would take the others with it. So each has a name of its own.
fn host(machine: &str, port: u16) -> String {
    // One label has 63 bytes, and the name is of ASCII.
    let machine = machine.get(..MOST_OF_MACHINE).unwrap_or(machine);
    format!("{machine}-{port}.local.")
}

fn browsed(event: ServiceEvent) -> Option<Heard> {
    match event {
        ServiceEvent::ServiceResolved(service) => {
            let name = of_service(&service.fullname)?;
            let entries = service.txt_properties.iter();
            let record = Record::read(entries.map(|e| (e.key(), e.val())));
            let addresses = service.addresses.iter();
            Some(Heard::Seen(Seen {
                name,
                addresses: addresses.map(mdns_sd::ScopedIp::to_ip_addr).collect(),
                port: service.port,
                record,
            }))
        }
        ServiceEvent::ServiceRemoved(_, full) => of_service(&full).map(Heard::Gone),
        _ => None,
    }
}
