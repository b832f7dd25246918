//! What a room is, and what becomes of one that its service has lost and makes anew as we
//! enter again (XEP-0045 §10.1). Such a room is locked and ours, with all that was
//! configured gone. It is opened to others only if it then is what it was: because it was
//! made by us with the service's defaults and nobody has configured it since, or because it
//! says of itself what the lost one said (§6.4). Any other stays locked, and the
//! application is told.

use stanchion_stanza::Text;
use stanchion_stanza::payload::disco::DiscoInfo;
use stanchion_stanza::payload::forms::{Form, FormType};
use stanchion_stanza::payload::muc::Owner;
use stanchion_stanza::{Element, Payload as _};

use super::super::super::event::RoomEvent;
use super::super::super::options::OnCreation;
use super::super::Out;
use super::super::row::Nature;
use super::{Phase, Room, What, read};
use crate::request::{Request, RequestError};

/// What a room may say of its kind, in bytes; one that says more says nothing.
const KIND: usize = 1024;

/// Whether what the room is now was asked, after it was entered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Asked {
    #[default]
    No,
    Once,
    /// It changed meanwhile: the answer may be too old.
    Again,
}

impl Room {
    /// It did not exist, and is locked.
    pub(super) fn created(&mut self, out: &mut Out) {
        self.locked = true;
        // Of an archive that is gone with the room.
        self.position = None;
        let instant = self.options.on_creation == OnCreation::Instant;
        match self.again {
            false if instant => self.unlock(out),
            false => self.entered(true, out),
            true if !instant || self.options.password.is_some() => self.stays_locked(out),
            true if self.nature.made => self.unlock(out),
            true if self.nature.kind.is_none() => self.stays_locked(out),
            true => {
                self.phase = Phase::Unlocking;
                self.ask_info(What::Renewed, out);
            }
        }
    }

    fn unlock(&mut self, out: &mut Out) {
        self.phase = Phase::Unlocking;
        let form = Owner::Configure(Form::new(FormType::Submit)).to_element();
        self.request(What::Unlock, Request::set(Some(self.jid()), form), out);
    }

    /// It is open to others, with the service's defaults.
    pub(super) fn unlocked(&mut self, out: &mut Out) {
        self.locked = false;
        self.nature = Nature {
            made: true,
            kind: None,
        };
        self.entered(true, out);
    }

    /// We are in, and nobody else gets in.
    pub(super) fn stays_locked(&mut self, out: &mut Out) {
        self.locked = true;
        // What it will be configured to be is not seen.
        self.nature = Nature::default();
        self.entered(true, out);
        let room = self.jid.clone();
        out.event(RoomEvent::Locked { room });
    }

    /// What the room that was made anew says of itself.
    pub(super) fn renewed(
        &mut self,
        answer: &Result<Option<Element>, RequestError>,
        out: &mut Out,
    ) {
        let now = read::<DiscoInfo>(answer).and_then(|info| kind_of(&info));
        if now.is_some() && now == self.nature.kind {
            self.unlock(out);
        } else {
            self.stays_locked(out);
        }
    }

    /// What a room that is open says of itself.
    pub(super) fn learn(&mut self, info: &DiscoInfo, out: &mut Out) {
        let kind = kind_of(info);
        if self.locked || self.nature.kind == kind {
            return;
        }
        // Somebody configured it while we were away.
        self.nature.made &= self.nature.kind.is_none();
        self.nature.kind = kind;
        self.keep(out);
    }

    /// Somebody configured it.
    pub(super) fn configured(&mut self, out: &mut Out) {
        self.locked = false;
        self.nature = Nature::default();
        self.keep(out);
        self.ask_info_after(out);
    }

    /// Asks what it is, now that we are in.
    pub(super) fn ask_info_after(&mut self, out: &mut Out) {
        match self.asked {
            Asked::No => {
                self.asked = Asked::Once;
                self.ask_info(What::InfoAfter, out);
            }
            Asked::Once | Asked::Again => self.asked = Asked::Again,
        }
    }

    /// What it is, unless that is asked once more.
    pub(super) fn told_after(
        &mut self,
        answer: &Result<Option<Element>, RequestError>,
    ) -> Option<DiscoInfo> {
        read::<DiscoInfo>(answer).filter(|_| self.asked != Asked::Again)
    }
}

/// What a room says that it is (§6.4): whether it is public, open, moderated and so on.
fn kind_of(info: &DiscoInfo) -> Option<Text> {
    let mut kinds: Vec<&str> = (info.features.iter())
        .map(|feature| &**feature)
        .filter(|feature| feature.starts_with("muc_"))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let kinds = kinds.join(" ");
    let says = !kinds.is_empty() && kinds.len() <= KIND;
    says.then(|| Text::new(kinds).ok()).flatten()
}
