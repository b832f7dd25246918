//! Which resources show themselves in presence, and with `<at/>` as which device. A hint
//! alone: that a device is there before it has answered anything, or that it is away. What
//! its store holds is told by its answers; what being away means for what is sent to it is
//! `outbox::absence`'s.

use std::collections::{HashMap, HashSet};

use stanchion_stanza::payload::delivery::{Device, Place};
use stanchion_stanza::{BareJid, Jid};

use super::Engine;

/// Resources that are remembered, and accounts without any; beyond them nothing is learnt
/// from presence.
const MOST: usize = 4096;

/// Who is there in this session, as far as it was told.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// Resources that are available, with the device at each that shows one.
    here: HashMap<Jid, Option<Place>>,
    /// Accounts whose last resource has left.
    gone: HashSet<BareJid>,
    /// Not all that is available is remembered.
    overflowed: bool,
}

impl Present {
    /// A resource is available, and says which device it is, or does not.
    pub(super) fn shows(&mut self, at: &Jid, place: Option<&Place>) {
        self.gone.remove(&at.to_bare());
        if self.here.len() < MOST || self.here.contains_key(at) {
            self.here.insert(at.clone(), place.cloned());
        } else {
            self.overflowed = true;
        }
    }

    /// A resource is gone; with an account's own address, all of its are.
    pub(super) fn leaves(&mut self, at: &Jid) {
        match at.is_bare() {
            true => self.here.retain(|jid, _| jid.bare_str() != at.as_str()),
            false => drop(self.here.remove(at)),
        }
        if self.of_account(at).next().is_none() && self.gone.len() < MOST {
            self.gone.insert(at.to_bare());
        }
    }

    /// Somebody in a room is gone, which says nothing of the others there.
    pub(super) fn leaves_room(&mut self, occupant: &Jid) {
        self.here.remove(occupant);
    }

    /// A new session: its server tells anew who is there.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The device at that resource.
    pub(super) fn at(&self, resource: &Jid) -> Option<&Place> {
        self.here.get(resource)?.as_ref()
    }

    fn of_account(&self, account: &Jid) -> impl Iterator<Item = Option<&Place>> {
        let account = account.bare_str().to_owned();
        let all = self.here.iter();
        let here = all.filter(move |(jid, _)| jid.bare_str() == account);
        here.map(|(_, place)| place.as_ref())
    }

    /// The device of that account, if all its resources that show one show the same.
    pub(super) fn of(&self, account: &Jid) -> Option<&Place> {
        let mut here = self.of_account(account).flatten();
        let first = here.next()?;
        here.all(|place| place == first).then_some(first)
    }

    /// Whether nobody is there at that account who could be that device, or be anybody if
    /// the device is not known.
    fn lacks(&self, account: &Jid, device: Option<&Device>) -> bool {
        let mut here = self.of_account(account).peekable();
        if here.peek().is_none() {
            return self.gone.contains(&account.to_bare());
        }
        let other = |place: Option<&Place>| {
            let known = place.map(|place| &place.device).zip(device);
            known.is_some_and(|(here, wanted)| here != wanted)
        };
        here.all(other)
    }
}

impl Engine {
    /// Whether a recipient is known to be away, at each of its addresses.
    fn is_away(&self, to: &Jid) -> bool {
        if self.present.overflowed {
            return false;
        }
        let recipient = self.outbox.recipient(to);
        let device = recipient.and_then(|r| r.place.as_ref().map(|place| &place.device));
        let others = recipient.map(|r| &r.others).into_iter().flatten();
        self.present.lacks(to, device)
            && others
                .cloned()
                .all(|other| self.present.lacks(&other.into(), device))
    }

    /// Somebody of that account has left.
    pub(super) fn somebody_left(&mut self, account: &BareJid) {
        for to in self.outbox.recipients_at(account) {
            self.look_for(&to);
        }
    }

    /// A recipient may be away; there is a lane to it.
    pub(super) fn look_for(&mut self, to: &Jid) {
        if self.is_away(to) {
            self.outbox.goes_away(to, self.now.monotonic);
        }
    }

    /// Somebody of that account is there. A recipient that was away before a new session is
    /// so until it is seen, or heard.
    pub(super) fn somebody_came(&mut self, account: &BareJid) {
        for to in self.outbox.recipients_at(account) {
            if !self.is_away(&to) {
                self.outbox.comes_back(&to, self.now.monotonic);
            }
        }
        self.outbox.peer_is_back(account);
    }
}
