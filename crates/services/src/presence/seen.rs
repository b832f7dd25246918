//! How others are: one entry for each resource that is available. Owns the bounds.

use std::collections::{BTreeMap, HashMap};

use stanchion_stanza::{BareJid, Jid};

use super::status::Status;

/// Resources that are remembered. When there are more, the domain that has the most of
/// them makes room, so that nobody is crowded out by strangers of another domain.
pub(super) const MOST: usize = 4096;

#[derive(Debug)]
struct Entry {
    status: Status,
    /// When it spoke last, counted in presences.
    turn: u64,
}

/// The resources that are available.
#[derive(Debug, Default)]
pub(super) struct Seen {
    accounts: HashMap<BareJid, BTreeMap<Jid, Entry>>,
    /// How many there are of each domain.
    domains: BTreeMap<String, usize>,
    count: usize,
    turn: u64,
}

impl Seen {
    /// Somebody is so. Whether it is news, and who had to make room.
    pub(super) fn shows(&mut self, jid: &Jid, status: Status) -> (bool, Option<Jid>) {
        self.turn += 1;
        let turn = self.turn;
        let account = jid.to_bare();
        let known = self.accounts.get_mut(&account);
        if let Some(entry) = known.and_then(|resources| resources.get_mut(jid)) {
            let news = entry.status != status;
            *entry = Entry { status, turn };
            return (news, None);
        }
        let evicted = match self.count >= MOST {
            true => match self.make_room(jid) {
                Some(evicted) => Some(evicted),
                None => return (false, None),
            },
            false => None,
        };
        let resources = self.accounts.entry(account).or_default();
        resources.insert(jid.clone(), Entry { status, turn });
        *self.domains.entry(jid.domain().to_owned()).or_default() += 1;
        self.count += 1;
        (true, evicted)
    }

    /// The newest of the domain that has the most; none if that is the newcomer's own.
    fn make_room(&mut self, newcomer: &Jid) -> Option<Jid> {
        let (domain, _) = self.domains.iter().max_by_key(|(_, count)| **count)?;
        if domain == newcomer.domain() {
            return None;
        }
        let here = self.accounts.iter().filter(|(a, _)| a.domain() == domain);
        let newest = here
            .flat_map(|(_, resources)| resources)
            .max_by_key(|(_, entry)| entry.turn)?;
        let newest = newest.0.clone();
        self.leaves(&newest);
        Some(newest)
    }

    /// A resource is gone, or all of an account if there is no resource. Gives those that
    /// were there.
    pub(super) fn leaves(&mut self, jid: &Jid) -> Vec<Jid> {
        let account = jid.to_bare();
        let Some(resources) = self.accounts.get_mut(&account) else {
            return Vec::new();
        };
        let gone: Vec<Jid> = match jid.is_bare() {
            true => std::mem::take(resources).into_keys().collect(),
            false => resources
                .remove(jid)
                .map(|_| jid.clone())
                .into_iter()
                .collect(),
        };
        if resources.is_empty() {
            self.accounts.remove(&account);
        }
        self.count -= gone.len();
        if let Some(count) = self.domains.get_mut(jid.domain()) {
            *count -= gone.len();
            if *count == 0 {
                self.domains.remove(jid.domain());
            }
        }
        gone
    }

    /// The resources of an account, best first.
    pub(super) fn of(&self, account: &BareJid) -> Vec<(Jid, Status)> {
        let resources = self.accounts.get(account).into_iter().flatten();
        let mut all: Vec<_> = resources.collect();
        all.sort_by_key(|(_, entry)| {
            let rank = (entry.status.priority, entry.turn);
            std::cmp::Reverse(rank)
        });
        all.into_iter()
            .map(|(jid, entry)| (jid.clone(), entry.status.clone()))
            .collect()
    }

    /// Nobody is there. Whether somebody was.
    pub(super) fn clear(&mut self) -> bool {
        let some = self.count > 0;
        *self = Self::default();
        some
    }

    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.count
    }
}
