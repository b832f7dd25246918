//! What is said in a room (XEP-0045 §7.4, §7.5, §8.1), and who is invited through it
//! (§7.8.2).

use stanchion_stanza::payload::muc::{Affiliation, Decline, Invite, Password, Role, User};
use stanchion_stanza::payload::sid::StanzaId;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, MessageType, StanzaError};
use stanchion_stanza::{Element, Encoder, Jid, Message, Payload as _, Text, ns};

use super::history::{archive_id, rough_size};
use super::room::Room;
use super::{Turn, refusal, text};
use crate::limits::HubLimits;
use crate::router::{Keeping, Persist, StoredMessage};

fn outside() -> StanzaError {
    refusal(ErrorType::Modify, DefinedCondition::NotAcceptable)
}

fn forbidden() -> StanzaError {
    refusal(ErrorType::Auth, DefinedCondition::Forbidden)
}

impl Room {
    /// To all.
    pub(super) fn says(
        &mut self,
        turn: &mut Turn<'_>,
        mut message: Message,
        limits: &HubLimits,
        encoder: &Encoder,
    ) -> Result<(), StanzaError> {
        let nick = self
            .by_address(&turn.sender)
            .ok_or_else(outside)?
            .to_owned();
        let role = self.occupants.get(&nick).map_or(Role::None, |o| o.role);
        let has = |message: &Message, name| message.payloads.iter().any(|p| p.is(name, ns::CLIENT));
        let sets_subject = has(&message, "subject") && !has(&message, "body");
        if role == Role::Visitor
            || (sets_subject && role != Role::Moderator && !self.settings.subject_by_all)
        {
            return Err(forbidden());
        }
        let from = self.occupant_jid(&nick);
        let by_room = |p: &Element, name| p.attr(name) == Some(self.address.as_str());
        message.payloads.retain(|p| {
            // What the room alone says (XEP-0359 §5; XEP-0045 §7.2).
            !(StanzaId::matches(p) && by_room(p, "by")) && p.ns() != ns::MUC_USER
        });
        message.header.from = Some(from);
        message.header.to = None;
        if sets_subject {
            let subject = message
                .payloads
                .iter()
                .find(|p| p.is("subject", ns::CLIENT));
            self.subject = subject.map(|subject| (nick, subject.text_value()));
            self.changed = true;
        } else if has(&message, "body") {
            let id = turn.id();
            let stanza_id = StanzaId {
                id: archive_id(id, turn.now),
                by: self.address.clone(),
            };
            message.payloads.push(stanza_id.to_element());
            let too_large = || refusal(ErrorType::Modify, DefinedCondition::PolicyViolation);
            let stanza = encoder
                .to_bytes(&message.to_element())
                .map_err(|_| too_large())?;
            let account = self.address.local().unwrap_or_default().to_owned();
            turn.effects.persist.push(Persist::Store(StoredMessage {
                id,
                keeping: Keeping::Said,
                account,
                since: turn.now,
                stanza,
            }));
            let size = rough_size(&message);
            // The room's own record comes with the first message.
            self.changed |= self.history.is_empty();
            self.history.push(id, turn.now, message.clone(), size);
            let gone = self.history.trim(limits.room_messages, limits.room_bytes);
            turn.effects
                .persist
                .extend(gone.into_iter().map(Persist::Remove));
        }
        for occupant in self.occupants.values() {
            message.header.to = Some(occupant.address.clone());
            turn.send(message.clone());
        }
        Ok(())
    }

    /// To one.
    pub(super) fn whispers(
        &mut self,
        turn: &mut Turn<'_>,
        to: &str,
        mut message: Message,
    ) -> Result<(), StanzaError> {
        let nick = self
            .by_address(&turn.sender)
            .ok_or_else(outside)?
            .to_owned();
        if message.kind == MessageType::Groupchat {
            return Err(refusal(ErrorType::Modify, DefinedCondition::BadRequest));
        }
        let Some(there) = self.occupants.get(to) else {
            return Err(refusal(ErrorType::Cancel, DefinedCondition::ItemNotFound));
        };
        message.header.from = Some(self.occupant_jid(&nick));
        message.header.to = Some(there.address.clone());
        message.payloads.retain(|p| p.ns() != ns::MUC_USER);
        message.payloads.push(User::default().to_element());
        turn.send(message);
        Ok(())
    }

    /// To the room itself: invitations, and their refusals.
    pub(super) fn passes_on(
        &mut self,
        turn: &mut Turn<'_>,
        message: &Message,
    ) -> Result<(), StanzaError> {
        let bad = || refusal(ErrorType::Modify, DefinedCondition::BadRequest);
        let user = message
            .payload::<User>()
            .map_err(|_| bad())?
            .ok_or_else(bad)?;
        if let Some(decline) = user.decline {
            // From whoever was asked, who need not be in the room.
            let to = decline.to.ok_or_else(bad)?;
            let decline = Decline {
                from: Some(turn.sender.to_bare().into()),
                to: None,
                reason: decline.reason,
            };
            let said = User {
                decline: Some(decline),
                ..User::default()
            };
            self.sends(turn, to, said, None);
            return Ok(());
        }
        self.by_address(&turn.sender).ok_or_else(outside)?;
        for invite in user.invites.into_iter().take(16) {
            let to = invite.to.ok_or_else(bad)?;
            let inviter = self.affiliation(&turn.sender.to_bare());
            let may = !self.settings.members_only
                || matches!(inviter, Affiliation::Owner | Affiliation::Admin);
            if !may {
                return Err(forbidden());
            }
            if self.settings.members_only && self.affiliation(&to.to_bare()) == Affiliation::None {
                self.affiliations.insert(to.to_bare(), Affiliation::Member);
                self.changed = true;
            }
            let body = format!("{} invites you to {}", turn.sender.to_bare(), self.address);
            let invite = Invite {
                from: Some(turn.sender.to_bare().into()),
                to: None,
                ..invite
            };
            let said = User {
                invites: vec![invite],
                password: self.settings.password.clone().map(Password),
                ..User::default()
            };
            self.sends(turn, to, said, Some(text(&body)));
        }
        Ok(())
    }

    fn sends(&self, turn: &mut Turn<'_>, to: Jid, said: User, body: Option<Text>) {
        let mut message = Message::chat(to);
        if let Some(body) = body {
            message = message.with_body(body);
        }
        message.kind = MessageType::Normal;
        message.header.from = Some(self.address.clone());
        message.payloads.push(said.to_element());
        turn.send(message);
    }
}
