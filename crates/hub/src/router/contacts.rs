//! Rosters that outlive the hub: each entry, with who asked and has no answer, is one record
//! of offline storage, written anew when it changes. What a roster is, is `roster`'s.

use std::collections::BTreeMap;

use stanchion_stanza::BareJid;

use super::{Keeping, Now, Output, Persist, Router, StoredId, StoredMessage, roster};

/// The records of one roster: under which name each is kept, and as what.
#[derive(Debug, Default)]
pub(super) struct Records(BTreeMap<BareJid, (StoredId, Vec<u8>)>);

impl Records {
    /// Under which names they are kept.
    pub(super) fn into_ids(self) -> impl Iterator<Item = StoredId> {
        self.0.into_values().map(|(id, _)| id)
    }
}

impl Router {
    /// Keeps what of the rosters changed in this input.
    pub(super) fn keep_rosters(&mut self, now: Now) {
        while let Some(local) = self.rosters.pop_first() {
            let Some(account) = self.accounts.get_mut(&local) else {
                continue;
            };
            for contact in account.roster.take_changed() {
                let element = account.roster.record(&contact);
                let known = account.records.0.get(&contact);
                let mut bytes = Vec::new();
                if let Some(element) = &element
                    && self.encoder.element(element, &mut bytes).is_err()
                {
                    // Not possible: it came in a stanza within the limits.
                    continue;
                }
                if known.map_or(bytes.is_empty(), |(_, kept)| *kept == bytes) {
                    continue;
                }
                let old = account.records.0.remove(&contact);
                if !bytes.is_empty() {
                    let id = StoredId(self.next_stored);
                    self.next_stored += 1;
                    account.records.0.insert(contact, (id, bytes.clone()));
                    self.outputs
                        .push_back(Output::Persist(Persist::Store(StoredMessage {
                            id,
                            keeping: Keeping::Contact,
                            account: local.clone(),
                            since: now.wall,
                            stanza: bytes,
                        })));
                }
                // After the new one: of two, the later counts.
                if let Some((id, _)) = old {
                    self.outputs.push_back(Output::Persist(Persist::Remove(id)));
                }
            }
        }
    }

    /// An entry that an earlier hub kept. One of an account that is gone, or that cannot be
    /// read, goes.
    pub(super) fn restore_contact(&mut self, stored: StoredMessage) {
        let read = roster::read(&stored.stanza);
        let account = self.accounts.get_mut(&stored.account);
        let (Some(account), Some((contact, item, asks))) = (account, read) else {
            self.outputs
                .push_back(Output::Persist(Persist::Remove(stored.id)));
            return;
        };
        account.roster.restore(contact.clone(), item, asks);
        let record = (stored.id, stored.stanza);
        if let Some((old, _)) = account.records.0.insert(contact, record) {
            self.outputs
                .push_back(Output::Persist(Persist::Remove(old)));
        }
    }
}
