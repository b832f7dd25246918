//! Which devices show themselves in presence (`<at/>`). A hint alone: that a device is there
//! before it has answered anything. What its store holds is told by its answers.

use std::collections::HashMap;

use stanchion_stanza::Jid;
use stanchion_stanza::payload::delivery::Place;

/// Resources that are remembered; beyond them nothing is learnt from presence.
const MOST: usize = 4096;

/// Resources that are available, with the device at each.
#[derive(Debug, Default)]
pub(super) struct Present(HashMap<Jid, Place>);

impl Present {
    /// A resource is available, and says which device it is, or does not.
    pub(super) fn shows(&mut self, at: &Jid, place: Option<&Place>) {
        match place {
            Some(place) if self.0.len() < MOST || self.0.contains_key(at) => {
                self.0.insert(at.clone(), place.clone());
            }
            _ => self.leaves(at),
        }
    }

    /// A resource is gone.
    pub(super) fn leaves(&mut self, at: &Jid) {
        self.0.remove(at);
    }

    /// A new session: its server tells anew who is there.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The device at that resource.
    pub(super) fn at(&self, resource: &Jid) -> Option<&Place> {
        self.0.get(resource)
    }

    /// The device of that account, if all its resources that show one show the same.
    pub(super) fn of(&self, account: &Jid) -> Option<&Place> {
        let all = self.0.iter();
        let mut here = all.filter(|(jid, _)| jid.bare_str() == account.bare_str());
        let (_, first) = here.next()?;
        here.all(|(_, place)| place == first).then_some(first)
    }
}
