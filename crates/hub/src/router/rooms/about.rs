//! What the service and its rooms say of themselves (XEP-0045 §6), the archive by pages
//! (XEP-0313), and whether somebody is in a room (XEP-0410).

use stanchion_stanza::payload::disco::{DiscoInfo, DiscoItems, Identity, Item};
use stanchion_stanza::payload::mam::Query;
use stanchion_stanza::payload::muc::Affiliation;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, MessageType, StanzaError};
use stanchion_stanza::{Element, Message, Payload as _, Text, ns};

use super::room::Room;
use super::{Answer, Rooms, Turn, refusal, text};
use crate::limits::HubLimits;

/// Pings to oneself are answered by the room (XEP-0410 §4).
const SELF_PING: &str = "http://jabber.org/protocol/muc#self-ping-optimization";

const fn unavailable() -> StanzaError {
    refusal(ErrorType::Cancel, DefinedCondition::ServiceUnavailable)
}

fn info(name: Option<Text>, features: Vec<Text>) -> Element {
    DiscoInfo {
        node: None,
        identities: vec![Identity {
            category: Text::from_static("conference"),
            kind: Text::from_static("text"),
            name,
            lang: None,
        }],
        features,
        extensions: Vec::new(),
    }
    .to_element()
}

impl Rooms {
    /// To the service itself.
    pub(super) fn service_answers(&self, set: bool, child: &Element) -> Answer {
        match (child.name(), child.ns(), set) {
            ("ping", ns::PING, false) => Ok(None),
            ("query", ns::DISCO_INFO, false) => {
                let features = [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::MUC, ns::PING];
                let features = features.map(Text::from_static).to_vec();
                Ok(Some(info(Some(Text::from_static("Rooms")), features)))
            }
            ("query", ns::DISCO_ITEMS, false) => {
                let shown = self
                    .rooms
                    .values()
                    .filter(|r| !r.settings.hidden && !r.locked);
                let items = shown.map(|room| Item {
                    jid: room.address.clone(),
                    node: None,
                    name: room.settings.name.clone(),
                });
                Ok(Some(
                    DiscoItems {
                        node: None,
                        items: items.collect(),
                    }
                    .to_element(),
                ))
            }
            _ => Err(unavailable()),
        }
    }
}

impl Room {
    /// To the room.
    pub(super) fn answers(
        &mut self,
        turn: &mut Turn<'_>,
        set: bool,
        child: &Element,
        limits: &HubLimits,
    ) -> Answer {
        match (child.name(), child.ns(), set) {
            ("ping", ns::PING, false) => Ok(None),
            ("query", ns::DISCO_INFO, false) => Ok(Some(self.info())),
            ("query", ns::DISCO_ITEMS, false) => Ok(Some(self.items(turn))),
            ("query", ns::MUC_ADMIN, false) => self.lists(turn, child),
            ("query", ns::MUC_ADMIN, true) => self.changes(turn, child, limits),
            ("query", ns::MUC_OWNER, set) => self.owner_asks(turn, set, child),
            ("query", ns::MAM, true) => self.reads(turn, child),
            _ => Err(unavailable()),
        }
    }

    fn info(&self) -> Element {
        let settings = &self.settings;
        let either = |is, yes, no| if is { yes } else { no };
        let features = [
            ns::DISCO_INFO,
            ns::DISCO_ITEMS,
            ns::MUC,
            ns::MAM,
            ns::SID,
            ns::PING,
            SELF_PING,
            "muc_persistent",
            either(settings.hidden, "muc_hidden", "muc_public"),
            either(settings.members_only, "muc_membersonly", "muc_open"),
            either(settings.moderated, "muc_moderated", "muc_unmoderated"),
            either(settings.open, "muc_nonanonymous", "muc_semianonymous"),
            either(
                settings.password.is_some(),
                "muc_passwordprotected",
                "muc_unsecured",
            ),
        ];
        info(settings.name.clone(), features.map(text).to_vec())
    }

    /// Who is in it, for those who are (§6.5).
    fn items(&self, turn: &Turn<'_>) -> Element {
        let inside = self.by_address(&turn.sender).is_some();
        let items = self.occupants.keys().filter(|_| inside).map(|nick| Item {
            jid: self.occupant_jid(nick),
            node: None,
            name: None,
        });
        DiscoItems {
            node: None,
            items: items.collect(),
        }
        .to_element()
    }

    /// The archive, for those who are in the room or could be (XEP-0313 §6.2).
    fn reads(&self, turn: &mut Turn<'_>, child: &Element) -> Answer {
        let inside = self.by_address(&turn.sender).is_some();
        let affiliation = self.affiliation(&turn.sender.to_bare());
        let closed = self.settings.members_only || self.settings.password.is_some();
        let may = match affiliation {
            Affiliation::Outcast => false,
            Affiliation::None => inside || !closed,
            _ => true,
        };
        if !may || self.locked {
            return Err(refusal(ErrorType::Auth, DefinedCondition::Forbidden));
        }
        let query = Query::from_element(child);
        let query = query.map_err(|_| refusal(ErrorType::Modify, DefinedCondition::BadRequest))?;
        let (results, fin) = self.history.page(&query)?;
        for result in results {
            let mut message = Message::chat(turn.sender.clone()).with_payload(result.to_element());
            message.kind = MessageType::Normal;
            message.header.from = Some(self.address.clone());
            turn.send(message);
        }
        Ok(Some(fin.to_element()))
    }

    /// To somebody in the room: pings to oneself tell whether one is there.
    pub(super) fn occupant_answers(
        &self,
        turn: &Turn<'_>,
        nick: &str,
        set: bool,
        child: &Element,
    ) -> Answer {
        let Some(own) = self.by_address(&turn.sender) else {
            return Err(refusal(ErrorType::Modify, DefinedCondition::NotAcceptable));
        };
        if !self.occupants.contains_key(nick) {
            return Err(refusal(ErrorType::Cancel, DefinedCondition::ItemNotFound));
        }
        match (own == nick, child.name(), child.ns(), set) {
            (true, "ping", ns::PING, false) => Ok(None),
            _ => Err(unavailable()),
        }
    }
}
