//! What a room says in presence and in messages of its own, and what follows (XEP-0045 §7):
//! who is in it, whether we are, and why no longer.

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::muc::{Status, User};
use stanchion_stanza::stanza::{DefinedCondition, PresenceType, StanzaError};
use stanchion_stanza::{Message, Presence, Text};

use super::super::super::error::JoinError;
use super::super::super::event::{Departure, RoomEvent};
use super::super::super::options::{OnConflict, RoomsConfig};
use super::super::Out;
use super::super::occupants::News;
use super::{Next, Phase, RETRY, Room};

/// Other nicknames that are tried at most.
const NICKS: u32 = 8;

impl Room {
    /// What a presence of the room says. Gives whether we are out for good.
    pub(in super::super) fn presence(
        &mut self,
        now: Now,
        nick: Option<&str>,
        presence: &Presence,
        config: &RoomsConfig,
        out: &mut Out,
    ) -> bool {
        let said = presence.payload::<User>().ok().flatten();
        let said = said.unwrap_or_default();
        match presence.kind {
            PresenceType::Error => {
                let error = presence.error().unwrap_or_default();
                return self.refused(now, error, config, out);
            }
            PresenceType::Available => {
                self.heard(now);
                if let Some(nick) = nick {
                    self.shows(nick, &said, out);
                }
            }
            PresenceType::Unavailable => {
                self.heard(now);
                return match nick {
                    Some(nick) => self.hides(now, nick, said, out),
                    None => false,
                };
            }
            _ => {}
        }
        false
    }

    fn refused(
        &mut self,
        now: Now,
        error: StanzaError,
        config: &RoomsConfig,
        out: &mut Out,
    ) -> bool {
        if self.phase != Phase::Entering {
            // Another nickname was refused, or another presence.
            let room = self.jid.clone();
            let error = Box::new(error);
            out.event(RoomEvent::Denied { room, error });
            return false;
        }
        if error.condition == DefinedCondition::Conflict
            && let OnConflict::Append(tries) = self.options.on_conflict
            && self.conflicts < tries.min(NICKS)
        {
            self.conflicts += 1;
            self.nick.push('_');
            if self.address(&self.nick).is_some() {
                self.enter(now, config, out);
                return false;
            }
        }
        let error = JoinError::of(self.jid.clone(), error);
        self.not_entered(now, error, out)
    }

    /// Gives whether we are out for good.
    pub(super) fn not_entered(&mut self, now: Now, error: JoinError, out: &mut Out) -> bool {
        if self.again && error.may_pass() {
            self.nick.clone_from(&self.wanted);
            self.conflicts = 0;
            self.try_later(now);
            return false;
        }
        let room = self.jid.clone();
        out.event(RoomEvent::Refused { room, error });
        true
    }

    pub(super) fn try_later(&mut self, now: Now) {
        let pause = RETRY
            .0
            .saturating_mul(1 << self.failures.min(8))
            .min(RETRY.1);
        self.failures += 1;
        self.attempt += 1;
        self.phase = Phase::Waiting(Next::Enter);
        self.until = Some(now.monotonic + pause);
        self.ping_at = None;
    }

    /// Somebody is in the room.
    fn shows(&mut self, nick: &str, said: &User, out: &mut Out) {
        let room = || self.jid.clone();
        match self.occupants.shows(nick, said.items.first()) {
            News::Arrived(occupant) => out.event(RoomEvent::Arrived {
                room: room(),
                occupant,
            }),
            News::Changed(occupant) => out.event(RoomEvent::Changed {
                room: room(),
                occupant,
            }),
            News::Nothing => {}
        }
        // A service of old says so by the nickname alone.
        let ourselves = said.has(Status::SelfPresence) || nick == self.nick;
        if ourselves {
            nick.clone_into(&mut self.nick);
        }
        if ourselves && self.phase == Phase::Entering {
            let created = said.has(Status::RoomCreated);
            self.until = None;
            match created {
                true => self.created(out),
                false => self.entered(false, out),
            }
        }
    }

    /// Somebody is gone. Gives whether we are out for good.
    fn hides(&mut self, now: Now, nick: &str, said: User, out: &mut Out) -> bool {
        let room = self.jid.clone();
        let item = said.items.first();
        let ourselves = said.has(Status::SelfPresence) || nick == self.nick;
        if said.has(Status::NickChanged)
            && let Some(to) = item.and_then(|i| i.nick.as_deref())
        {
            self.occupants.renames(nick, to);
            if ourselves {
                to.clone_into(&mut self.nick);
                to.clone_into(&mut self.wanted);
                self.keep(out);
            }
            let (from, to) = (nick.to_owned(), to.to_owned());
            out.event(RoomEvent::Renamed { room, from, to });
            return false;
        }
        let known = self.occupants.leaves(nick).is_some();
        let why = departure(said);
        if !ourselves {
            if known {
                let nick = nick.to_owned();
                out.event(RoomEvent::Gone { room, nick, why });
            }
            return false;
        }
        if self.nick_inside().is_none() {
            // Of an occupant of ours that is older than this try.
            return false;
        }
        if why.is_accident() {
            out.event(RoomEvent::Lost { room });
            self.hold(false, out);
            self.try_later(now);
            return false;
        }
        out.event(RoomEvent::Left { room, why });
        true
    }

    /// The room itself says something in a message.
    pub(in super::super) fn says(&mut self, user: User, out: &mut Out) {
        let room = self.jid.clone();
        if let Some(decline) = user.decline {
            let (by, reason) = (decline.from, decline.reason);
            out.event(RoomEvent::Declined { room, by, reason });
        } else if !user.statuses.is_empty() {
            let statuses = user.statuses;
            out.event(RoomEvent::Configured { room, statuses });
            if self.nick_inside().is_some() {
                self.configured(out);
            }
        }
    }

    /// The room sent something back. If it says that we are not in it, we enter again.
    pub(in super::super) fn refuses(&mut self, message: &Message, out: &mut Out) {
        let error = message.error().unwrap_or_default();
        if error.condition == DefinedCondition::NotAcceptable && self.phase == Phase::Inside {
            return self.thrown_out(out);
        }
        let (room, error) = (self.jid.clone(), Box::new(error));
        out.event(RoomEvent::Denied { room, error });
    }

    pub(in super::super) fn says_subject(
        &mut self,
        nick: Option<&str>,
        subject: Text,
        out: &mut Out,
    ) {
        self.subject = Some(subject.clone());
        out.event(RoomEvent::Subject {
            room: self.jid.clone(),
            by: nick.map(str::to_owned),
            subject,
        });
    }
}

/// Why somebody is gone (§16.6).
fn departure(said: User) -> Departure {
    let item = said.items.first();
    let by = item.and_then(|i| i.actor.clone());
    let by = by.and_then(|a| {
        a.nick
            .map(Text::into_string)
            .or(a.jid.map(|j| j.to_string()))
    });
    let reason = item.and_then(|i| i.reason.clone()).map(Text::into_string);
    if let Some(destroy) = said.destroy {
        return Departure::Destroyed {
            instead: destroy.jid,
            reason: destroy.reason.map(Text::into_string),
        };
    }
    // An error is told as a kick by some (§9.7).
    let cases = [
        (
            Status::Banned,
            Departure::Banned {
                by: by.clone(),
                reason: reason.clone(),
            },
        ),
        (Status::RemovedByError, Departure::Error),
        (Status::ServiceShutdown, Departure::Shutdown),
        (Status::Kicked, Departure::Kicked { by, reason }),
        (Status::RemovedByAffiliation, Departure::NotMember),
        (Status::RemovedAsNonMember, Departure::NotMember),
    ];
    let statuses = said.statuses;
    let found = cases
        .into_iter()
        .find(|(status, _)| statuses.contains(status));
    found.map_or(Departure::Left, |(_, why)| why)
}
