//! Who is there, as the network says: bounded, without ourselves, and each name once on
//! however many interfaces it is seen (XEP-0174 §11.1).

use std::collections::BTreeMap;
use std::net::IpAddr;

use stanchion_stanza::BareJid;

use super::record::Record;

/// Neighbours that are remembered; more are not seen.
pub const MOST_NEIGHBOURS: usize = 1024;
/// Addresses of one neighbour that are tried.
pub const MOST_ADDRESSES: usize = 16;

/// Somebody on the local network, as it says of itself. Nothing here is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// Who it says that it is.
    pub name: BareJid,
    /// Where it listens, the likeliest first. Of IPv6 no addresses of a link alone.
    pub addresses: Vec<IpAddr>,
    /// On which port.
    pub port: u16,
    /// What it says of itself.
    pub record: Record,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// It is new.
    Found(Seen),
    /// It says something else.
    Changed(Seen),
    /// It said good-bye, or was not heard any more.
    Gone(BareJid),
}

/// Who is there.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<BareJid, Seen>);

impl Table {
    /// Somebody is seen. None if nothing changed, if it is `own`, or if there is no room.
    pub(super) fn seen(&mut self, own: &BareJid, mut seen: Seen) -> Option<Change> {
        if seen.name == *own || seen.port == 0 {
            return None;
        }
        seen.addresses.retain(usable);
        // A machine's own address means that machine, and that is us.
        seen.addresses
            .sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6(), *ip));
        seen.addresses.dedup();
        seen.addresses.truncate(MOST_ADDRESSES);
        if seen.addresses.is_empty() {
            return None;
        }
        match self.0.get(&seen.name) {
            Some(before) if *before == seen => None,
            None if self.0.len() >= MOST_NEIGHBOURS => {
                tracing::debug!(name = %seen.name, "too many neighbours: one is not seen");
                None
            }
            before => {
                let change = match before {
                    Some(_) => Change::Changed(seen.clone()),
                    None => Change::Found(seen.clone()),
                };
                self.0.insert(seen.name.clone(), seen);
                Some(change)
            }
        }
    }

    /// Somebody is gone.
    pub(super) fn gone(&mut self, name: &BareJid) -> Option<Change> {
        self.0.remove(name).map(|seen| Change::Gone(seen.name))
    }

    /// What is known of that one.
    #[must_use]
    pub(super) fn get(&self, name: &BareJid) -> Option<&Seen> {
        self.0.get(name)
    }

    /// All, by their names.
    pub(super) fn all(&self) -> impl Iterator<Item = &Seen> {
        self.0.values()
    }
}

/// An address of one link alone needs the interface besides, which is not told.
fn usable(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast(),
        IpAddr::V6(v6) => {
            !v6.is_unspecified() && !v6.is_multicast() && v6.segments()[0] & 0xffc0 != 0xfe80
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, ip: &str) -> Seen {
        Seen {
            name: name.parse().unwrap(),
            addresses: vec![ip.parse().unwrap()],
            port: 5562,
            record: Record::default(),
        }
    }

    #[test]
    fn a_neighbour_is_found_once_changes_and_goes() {
        let own = "me@here".parse().unwrap();
        let mut table = Table::default();
        let lamp = seen("lamp@hall", "192.0.2.1");
        assert_eq!(
            table.seen(&own, lamp.clone()),
            Some(Change::Found(lamp.clone()))
        );
        assert_eq!(table.seen(&own, lamp.clone()), None);
        let moved = seen("lamp@hall", "192.0.2.2");
        assert_eq!(
            table.seen(&own, moved.clone()),
            Some(Change::Changed(moved))
        );
        assert_eq!(
            table.gone(&lamp.name),
            Some(Change::Gone(lamp.name.clone()))
        );
        assert_eq!(table.gone(&lamp.name), None);
    }

    #[test]
    fn we_are_no_neighbour_of_ours() {
        let own = "me@here".parse().unwrap();
        let mut table = Table::default();
        assert_eq!(table.seen(&own, seen("me@here", "192.0.2.1")), None);
    }

    #[test]
    fn who_cannot_be_reached_is_not_there() {
        let own = "me@here".parse().unwrap();
        let mut table = Table::default();
        for ip in ["0.0.0.0", "224.0.0.251", "fe80::1", "::"] {
            assert_eq!(table.seen(&own, seen("lamp@hall", ip)), None, "{ip}");
        }
    }

    #[test]
    fn no_more_than_the_bound_are_remembered() {
        let own = "me@here".parse().unwrap();
        let mut table = Table::default();
        for n in 0..MOST_NEIGHBOURS + 50 {
            table.seen(&own, seen(&format!("n{n}@hall"), "192.0.2.1"));
        }
        assert_eq!(table.all().count(), MOST_NEIGHBOURS);
    }
}
