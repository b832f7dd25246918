//! Who is in a room, as it says in presence (XEP-0045 §7.2, §5).

use std::collections::BTreeMap;

use stanchion_stanza::payload::muc::{Affiliation, Item, Role};

use super::super::event::Occupant;

/// Occupants of one room that are remembered; in a larger one the rest is not.
const MOST: usize = 5000;

/// They, by nickname.
#[derive(Debug, Clone, Default)]
pub(super) struct Occupants(BTreeMap<String, Occupant>);

/// What a presence changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    Arrived(Occupant),
    Changed(Occupant),
    Nothing,
}

impl Occupants {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn all(&self) -> Vec<Occupant> {
        self.0.values().cloned().collect()
    }

    /// Somebody is there, as the room says.
    pub(super) fn shows(&mut self, nick: &str, item: Option<&Item>) -> News {
        let occupant = Occupant {
            nick: nick.to_owned(),
            role: item.and_then(|i| i.role).unwrap_or(Role::None),
            affiliation: item
                .and_then(|i| i.affiliation)
                .unwrap_or(Affiliation::None),
            jid: item.and_then(|i| i.jid.clone()),
        };
        let full = self.0.len() >= MOST;
        match self.0.get_mut(nick) {
            Some(known) if *known == occupant => News::Nothing,
            Some(known) => {
                known.clone_from(&occupant);
                News::Changed(occupant)
            }
            None if full => News::Nothing,
            None => {
                self.0.insert(nick.to_owned(), occupant.clone());
                News::Arrived(occupant)
            }
        }
    }

    pub(super) fn leaves(&mut self, nick: &str) -> Option<Occupant> {
        self.0.remove(nick)
    }

    pub(super) fn renames(&mut self, from: &str, to: &str) {
        if let Some(mut occupant) = self.0.remove(from) {
            to.clone_into(&mut occupant.nick);
            self.0.insert(to.to_owned(), occupant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_of_any_size_takes_bounded_memory() {
        let mut occupants = Occupants::default();
        for n in 0..MOST + 10 {
            occupants.shows(&n.to_string(), None);
        }
        assert_eq!(occupants.all().len(), MOST);
        assert_eq!(occupants.shows("0", None), News::Nothing);
        occupants.leaves("0");
        assert!(matches!(occupants.shows("late", None), News::Arrived(_)));
    }
}
