//! How we are and what of it was told, and how others are. Who may see us is the
//! `roster`'s affair; presence of rooms is taken by whoever serves them before it comes
//! here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_reliability::session::Up;
use stanchion_stanza::payload::caps::Caps;
use stanchion_stanza::payload::delivery::{At, Place};
use stanchion_stanza::payload::disco::DiscoInfo;
use stanchion_stanza::stanza::PresenceType;
use stanchion_stanza::{BareJid, Jid, Payload as _, Presence, Stanza, Text};

use super::own::Told;
use super::seen::Seen;
use super::status::Status;
use super::{PresenceConfig, PresenceEvent, ShowError};
use crate::disco::NODE;
use crate::row;
use crate::service::{Change, Input, Output, Service, Taken};
use crate::shorten::shortened;

/// Those who are shown presence on their own.
pub(super) const SHOWN: usize = 256;
/// Bytes of a status text of somebody else.
const SAID: usize = 1024;
/// The row.
const STATUS: &str = "status";

/// Our presence, and that of others.
#[derive(Debug, Default)]
pub struct Present {
    own: Status,
    keep: bool,
    told: Told,
    /// Who is shown what on its own, and what it was told.
    shown: BTreeMap<Jid, (Status, Told)>,
    place: Option<Place>,
    caps: Option<Caps>,
    /// Our address, while a stream is up.
    here: Option<Jid>,
    lost: Option<Duration>,
    seen: Seen,
    outputs: VecDeque<Output<PresenceEvent>>,
}

impl Present {
    /// We are so, to begin with.
    #[must_use]
    pub fn new(config: PresenceConfig) -> Self {
        Self {
            own: config.status,
            keep: config.keep,
            ..Self::default()
        }
    }

    pub(super) const fn status(&self) -> &Status {
        &self.own
    }

    pub(super) fn set(&mut self, now: Now, status: Status) {
        self.own = status;
        if self.keep
            && let Some(value) = row::write(&self.own.to_presence().to_element())
        {
            let key = STATUS.to_owned();
            self.keep(Change::Put { key, value });
        }
        self.tell(now);
    }

    fn keep(&mut self, change: Change) {
        let changes = vec![change];
        self.outputs.push_back(Output::Keep { tag: None, changes });
    }

    pub(super) fn show_to(&mut self, now: Now, to: Jid, status: Status) -> Result<(), ShowError> {
        if !status.is_available() {
            self.hide_from(now, &to);
            return Ok(());
        }
        if self.shown.len() >= SHOWN {
            self.shown.retain(|_, (status, told)| {
                status.is_available() || !matches!(told, Told::This { .. })
            });
        }
        let full = self.shown.len() >= SHOWN;
        match self.shown.get_mut(&to) {
            Some((shown, _)) => *shown = status,
            None if full => return Err(ShowError::TooMany),
            None => {
                self.shown.insert(to, (status, Told::Nothing));
            }
        }
        self.tell(now);
        Ok(())
    }

    /// What is to be said stays until it was.
    pub(super) fn hide_from(&mut self, now: Now, to: &Jid) {
        if let Some((shown, _)) = self.shown.get_mut(to) {
            *shown = Status::unavailable();
            self.tell(now);
        }
    }

    /// A presence that says so, with who we are and what we can.
    fn presence(&self, status: &Status) -> Presence {
        let mut presence = status.to_presence();
        if status.is_available() {
            let at = self.place.clone().map(|place| At(place).to_element());
            let caps = self.caps.as_ref().map(Caps::to_element);
            presence.payloads.extend(at.into_iter().chain(caps));
        }
        presence
    }

    /// Tells what was not told.
    fn tell(&mut self, now: Now) {
        if self.here.is_none() {
            return;
        }
        let at = now.monotonic;
        let what = self.presence(&self.own);
        if !self.told.is(&what, self.own.is_available()) {
            if matches!(self.told, Told::Unknown) && self.own.is_available() {
                // The session goes on, and who was there is forgotten with the process that
                // had it. Whoever comes is told of all (RFC 6121 §4.2.2), and of those who
                // wait to be let in (§3.1.3), so we go and come.
                let gone = Presence::of(PresenceType::Unavailable);
                self.outputs.push_back(Output::Transmit(gone.into()));
            }
            self.outputs
                .push_back(Output::Transmit(what.clone().into()));
            if !self.own.is_available() {
                // The server says goodbye to all, those included who see us on their own.
                for (_, told) in self.shown.values_mut() {
                    *told = Told::Nothing;
                }
            }
            self.told = Told::This { what, at };
        }
        let mut news = Vec::new();
        for (to, (status, told)) in &self.shown {
            let mut what = self.presence(status);
            what.header.to = Some(to.clone());
            if !told.is(&what, status.is_available()) {
                news.push(what);
            }
        }
        for what in news {
            self.outputs
                .push_back(Output::Transmit(what.clone().into()));
            let to = what.header.to.clone();
            if let Some((_, told)) = to.and_then(|to| self.shown.get_mut(&to)) {
                *told = Told::This { what, at };
            }
        }
    }

    fn up(&mut self, now: Now, up: &Up) {
        self.here = Some(Jid::from(up.jid.clone()));
        self.place.clone_from(&up.place);
        let lost = self.lost.take();
        if up.resumed {
            self.told.resumed(lost);
            for (_, told) in self.shown.values_mut() {
                told.resumed(lost);
            }
            self.event(PresenceEvent::Resumed);
        } else {
            self.told = Told::Nothing;
            for (_, told) in self.shown.values_mut() {
                *told = Told::Nothing;
            }
            if self.seen.clear() {
                self.event(PresenceEvent::Reset);
            }
        }
        self.tell(now);
        // Their goodbye was said, or went with the session.
        self.shown.retain(|_, (status, told)| {
            status.is_available() || matches!(told, Told::This { at, .. } if *at == now.monotonic)
        });
    }

    fn info(&mut self, now: Now, info: &DiscoInfo) {
        let caps = Caps::of(Text::from_static(NODE), info);
        self.caps = caps
            .inspect_err(|error| tracing::warn!(%error, "no capabilities are announced"))
            .ok();
        self.tell(now);
    }

    /// Says how we are once more to a contact that lets us see its presence now. Some servers
    /// note what those can to whom they may tell something only from presence that comes
    /// after that (ejabberd does, for nodes at accounts, XEP-0060 §9.2); the last that came
    /// was from before. The contact sees our presence as it is.
    fn say_once_more(&mut self, contact: &BareJid) {
        let known = matches!(self.told, Told::This { .. }) && self.own.is_available();
        let on_its_own = self
            .shown
            .keys()
            .any(|to| to.bare_str() == contact.as_str());
        if self.here.is_none() || !known || on_its_own {
            return;
        }
        let mut presence = self.presence(&self.own);
        presence.header.to = Some(contact.clone().into());
        self.outputs.push_back(Output::Transmit(presence.into()));
    }

    fn event(&mut self, event: PresenceEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    // ---- others ----------------------------------------------------------------------

    pub(super) fn of(&self, account: &BareJid) -> Vec<(Jid, Status)> {
        match self.here {
            Some(_) => self.seen.of(account),
            None => Vec::new(),
        }
    }

    fn heard(&mut self, presence: &Presence) {
        let Some(from) = &presence.header.from else {
            return;
        };
        if self.here.as_ref() == Some(from) {
            return;
        }
        match presence.kind {
            PresenceType::Available => {
                let status = Status {
                    availability: presence.show().into(),
                    text: presence.status().and_then(|text| shortened(&text, SAID)),
                    priority: presence.priority(),
                    payloads: Vec::new(),
                };
                let (news, evicted) = self.seen.shows(from, status.clone());
                if let Some(jid) = evicted {
                    self.event(PresenceEvent::Unavailable { jid, text: None });
                }
                if news {
                    let jid = from.clone();
                    self.event(PresenceEvent::Available { jid, status });
                }
            }
            PresenceType::Unavailable => {
                let text = presence.status().and_then(|text| shortened(&text, SAID));
                self.gone(from, text);
            }
            PresenceType::Error => {
                self.gone(from, None);
                let jid = from.clone();
                let error = Box::new(presence.error().unwrap_or_default());
                self.event(PresenceEvent::Refused { jid, error });
            }
            _ => {}
        }
    }

    fn gone(&mut self, jid: &Jid, text: Option<Text>) {
        for jid in self.seen.leaves(jid) {
            let text = text.clone();
            self.event(PresenceEvent::Unavailable { jid, text });
        }
    }
}

impl Service for Present {
    const NAME: &'static str = "presence";
    type Event = PresenceEvent;

    fn restore(&mut self, key: &str, value: &[u8]) {
        if key != STATUS {
            return;
        }
        if !self.keep {
            // The application does not want it any more.
            let key = STATUS.to_owned();
            return self.keep(Change::Delete { key });
        }
        let presence = row::read(value).and_then(|e| Presence::from_element(e).ok());
        if let Some(presence) = presence {
            self.own = presence.into();
        }
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Info(info) => self.info(now, info),
            Input::Up(up) => self.up(now, up),
            Input::Down => {
                self.here = None;
                self.lost = Some(now.monotonic);
                self.event(PresenceEvent::Interrupted);
            }
            Input::Mutual(contact) => self.say_once_more(contact),
            // Others may want to see it, too.
            Input::Stanza(Stanza::Presence(presence)) => self.heard(presence),
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<PresenceEvent> {
        self.outputs.pop_front().unwrap_or(Output::Wait(None))
    }
}

#[cfg(test)]
mod tests;
