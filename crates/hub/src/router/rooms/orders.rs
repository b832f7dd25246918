//! What moderators, admins and owners do (XEP-0045 §8, §9, §10).

use stanchion_stanza::payload::forms::FormType;
use stanchion_stanza::payload::muc::{
    Admin, Affiliation, Item, Owner, Password, Role, RoomConfig, Status, WhoIs,
};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};
use stanchion_stanza::{Element, Payload as _};

use super::room::{Removal, Room};
use super::{Answer, Turn, refusal, text};
use crate::limits::HubLimits;

fn forbidden() -> StanzaError {
    refusal(ErrorType::Auth, DefinedCondition::Forbidden)
}

fn bad_request() -> StanzaError {
    refusal(ErrorType::Modify, DefinedCondition::BadRequest)
}

fn not_allowed() -> StanzaError {
    refusal(ErrorType::Cancel, DefinedCondition::NotAllowed)
}

/// Who may do more to whom.
const fn rank(affiliation: Affiliation) -> u8 {
    match affiliation {
        Affiliation::Outcast => 0,
        Affiliation::None => 1,
        Affiliation::Member => 2,
        Affiliation::Admin => 3,
        Affiliation::Owner => 4,
    }
}

impl Room {
    // ---- roles and affiliations -----------------------------------------------------

    pub(super) fn lists(&self, turn: &Turn<'_>, query: &Element) -> Answer {
        let admin = Admin::from_element(query).map_err(|_| bad_request())?;
        let own = rank(self.affiliation(&turn.sender.to_bare()));
        let moderates = self
            .by_address(&turn.sender)
            .and_then(|nick| self.occupants.get(nick))
            .is_some_and(|occupant| occupant.role == Role::Moderator);
        let [asked] = &admin.items[..] else {
            return Err(bad_request());
        };
        let items = match (asked.affiliation, asked.role) {
            (Some(affiliation), _) if own >= 3 => {
                let there = self.affiliations.iter().filter(|(_, a)| **a == affiliation);
                there
                    .map(|(jid, affiliation)| Item {
                        affiliation: Some(*affiliation),
                        jid: Some(jid.clone().into()),
                        ..Item::default()
                    })
                    .collect()
            }
            (None, Some(role)) if moderates => {
                let there = self.occupants.iter().filter(|(_, o)| o.role == role);
                there
                    .map(|(nick, occupant)| Item {
                        affiliation: Some(self.affiliation(&occupant.address.to_bare())),
                        role: Some(role),
                        jid: Some(occupant.address.clone()),
                        nick: Some(text(nick)),
                        ..Item::default()
                    })
                    .collect()
            }
            (None, None) => return Err(bad_request()),
            _ => return Err(forbidden()),
        };
        Ok(Some(Admin { items }.to_element()))
    }

    pub(super) fn changes(
        &mut self,
        turn: &mut Turn<'_>,
        query: &Element,
        limits: &HubLimits,
    ) -> Answer {
        let admin = Admin::from_element(query).map_err(|_| bad_request())?;
        for item in admin.items.into_iter().take(64) {
            match (item.role, item.affiliation) {
                (Some(role), None) => self.changes_role(turn, &item, role)?,
                (None, Some(affiliation)) => {
                    self.changes_affiliation(turn, &item, affiliation, limits)?;
                }
                _ => return Err(bad_request()),
            }
        }
        Ok(None)
    }

    fn changes_role(
        &mut self,
        turn: &mut Turn<'_>,
        item: &Item,
        role: Role,
    ) -> Result<(), StanzaError> {
        let own = self.by_address(&turn.sender).map(str::to_owned);
        let moderator = own.as_deref().and_then(|nick| self.occupants.get(nick));
        let moderates = moderator.is_some_and(|o| o.role == Role::Moderator);
        let own_rank = rank(self.affiliation(&turn.sender.to_bare()));
        // To make and unmake moderators takes an admin (§9.6).
        if !moderates || (role == Role::Moderator && own_rank < 3) {
            return Err(forbidden());
        }
        let nick = item.nick.as_deref().ok_or_else(bad_request)?;
        let missing = || refusal(ErrorType::Cancel, DefinedCondition::ItemNotFound);
        let there = self.occupants.get(nick).ok_or_else(missing)?;
        let theirs = rank(self.affiliation(&there.address.to_bare()));
        if theirs > own_rank || (theirs >= 3 && role != Role::Moderator && own_rank <= theirs) {
            return Err(not_allowed());
        }
        if role == Role::None {
            let removal = Removal {
                status: Status::Kicked,
                by: own,
                reason: item.reason.clone(),
            };
            self.removes(turn, nick, removal);
            return Ok(());
        }
        if let Some(occupant) = self.occupants.get_mut(nick) {
            occupant.role = role;
        }
        self.show(turn, nick);
        Ok(())
    }

    fn changes_affiliation(
        &mut self,
        turn: &mut Turn<'_>,
        item: &Item,
        affiliation: Affiliation,
        limits: &HubLimits,
    ) -> Result<(), StanzaError> {
        let account = match (&item.jid, &item.nick) {
            (Some(jid), _) => jid.to_bare(),
            (None, Some(nick)) => {
                let there = self.occupants.get(nick.as_str());
                there.ok_or_else(bad_request)?.address.to_bare()
            }
            (None, None) => return Err(bad_request()),
        };
        let own_rank = rank(self.affiliation(&turn.sender.to_bare()));
        let theirs = rank(self.affiliation(&account));
        let wanted = rank(affiliation);
        if own_rank < 3 || (own_rank == 3 && (wanted >= 3 || theirs >= 3)) {
            return Err(forbidden());
        }
        let owners = self
            .affiliations
            .values()
            .filter(|a| **a == Affiliation::Owner);
        let last = theirs == 4 && owners.count() == 1;
        if (last && wanted < 4) || (account == turn.sender.to_bare() && wanted == 0) {
            return Err(refusal(ErrorType::Cancel, DefinedCondition::Conflict));
        }
        let full = self.affiliations.len() >= limits.room_affiliations
            && !self.affiliations.contains_key(&account);
        if affiliation == Affiliation::None {
            self.affiliations.remove(&account);
        } else if full {
            return Err(refusal(
                ErrorType::Wait,
                DefinedCondition::ResourceConstraint,
            ));
        } else {
            self.affiliations.insert(account.clone(), affiliation);
        }
        self.changed = true;
        let by = self.by_address(&turn.sender).map(str::to_owned);
        let theirs = self
            .occupants
            .iter()
            .filter(|(_, o)| o.address.to_bare() == account);
        let nicks: Vec<String> = theirs.map(|(nick, _)| nick.clone()).collect();
        for nick in nicks {
            let status = match affiliation {
                Affiliation::Outcast => Some(Status::Banned),
                Affiliation::None if self.settings.members_only => {
                    Some(Status::RemovedByAffiliation)
                }
                _ => None,
            };
            if let Some(status) = status {
                let removal = Removal {
                    status,
                    by: by.clone(),
                    reason: item.reason.clone(),
                };
                self.removes(turn, &nick, removal);
                continue;
            }
            let role = self.role_for(affiliation);
            if let Some(occupant) = self.occupants.get_mut(&nick) {
                occupant.role = role;
            }
            self.show(turn, &nick);
        }
        Ok(())
    }

    // ---- the room itself ------------------------------------------------------------

    pub(super) fn owner_asks(&mut self, turn: &mut Turn<'_>, set: bool, query: &Element) -> Answer {
        if self.affiliation(&turn.sender.to_bare()) != Affiliation::Owner {
            return Err(forbidden());
        }
        let owner = Owner::from_element(query).map_err(|_| bad_request())?;
        match (set, owner) {
            (false, Owner::Ask) => {
                let form = self.config().to_form(FormType::Form);
                Ok(Some(Owner::Configure(form).to_element()))
            }
            (true, Owner::Destroy(destroy)) => {
                self.ends(turn, &destroy);
                Ok(None)
            }
            (true, Owner::Configure(form)) => {
                match form.kind {
                    FormType::Cancel if self.locked => {
                        self.ends(turn, &stanchion_stanza::payload::muc::Destroy::default());
                    }
                    FormType::Cancel => {}
                    FormType::Submit => {
                        if !form.fields.is_empty() {
                            let config = RoomConfig::from_form(&form);
                            self.configure(turn, config.map_err(|_| bad_request())?)?;
                        }
                        self.locked = false;
                        self.changed = true;
                    }
                    _ => return Err(bad_request()),
                }
                Ok(None)
            }
            _ => Err(bad_request()),
        }
    }

    fn config(&self) -> RoomConfig {
        let settings = &self.settings;
        RoomConfig {
            name: settings.name.clone(),
            public: Some(!settings.hidden),
            persistent: Some(true),
            members_only: Some(settings.members_only),
            moderated: Some(settings.moderated),
            password_protected: Some(settings.password.is_some()),
            password: settings.password.clone().map(Password),
            whois: Some(match settings.open {
                true => WhoIs::Anyone,
                false => WhoIs::Moderators,
            }),
            change_subject: Some(settings.subject_by_all),
            ..RoomConfig::default()
        }
    }

    fn configure(&mut self, turn: &mut Turn<'_>, config: RoomConfig) -> Result<(), StanzaError> {
        let before = self.settings.clone();
        let settings = &mut self.settings;
        let set = |to: &mut bool, from: Option<bool>| *to = from.unwrap_or(*to);
        set(&mut settings.members_only, config.members_only);
        set(&mut settings.moderated, config.moderated);
        set(&mut settings.subject_by_all, config.change_subject);
        set(&mut settings.hidden, config.public.map(|public| !public));
        set(
            &mut settings.open,
            config.whois.map(|who| who == WhoIs::Anyone),
        );
        if config.name.is_some() {
            settings.name = config.name;
        }
        let given = config
            .password
            .map(|Password(p)| p)
            .filter(|p| !p.is_empty());
        match (config.password_protected, given) {
            (Some(false), _) => settings.password = None,
            (_, Some(password)) => settings.password = Some(password),
            (Some(true), None) if settings.password.is_none() => {
                return Err(refusal(ErrorType::Modify, DefinedCondition::NotAcceptable));
            }
            _ => {}
        }
        if before != *settings && !self.locked {
            self.tells_configured(turn, &before);
        }
        Ok(())
    }

    /// §10.2.1.
    fn tells_configured(&self, turn: &mut Turn<'_>, before: &super::room::Settings) {
        let privacy = match (before.open, self.settings.open) {
            (false, true) => Status::NowNonAnonymous,
            (true, false) => Status::NowSemiAnonymous,
            _ => Status::ConfigurationChanged,
        };
        for occupant in self.occupants.values() {
            let user = stanchion_stanza::payload::muc::User {
                statuses: vec![privacy],
                ..Default::default()
            };
            let mut message = stanchion_stanza::Message::chat(occupant.address.clone())
                .with_payload(user.to_element());
            message.kind = stanchion_stanza::stanza::MessageType::Groupchat;
            message.header.from = Some(self.address.clone());
            turn.send(message);
        }
    }
}
