//! Where iqs go (RFC 6121 §8), and what the hub answers itself: ping, service
//! discovery, software version, roster, archive, carbons, and the session request of old
//! clients.

use stanchion_stanza::payload::disco::{DiscoInfo, DiscoItems, Identity, Item as DiscoItem};
use stanchion_stanza::payload::ping::Ping;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::{BareJid, Element, Iq, Jid, Payload as _, Text, ns};

use super::component::away;
use super::message::{too_large, unavailable};
use super::{Now, Place, Router, SessionId};

/// Software version (XEP-0092).
const VERSION: &str = "jabber:iq:version";

/// Longest name or group in a roster, in bytes.
const ROSTER_TEXT: usize = 1023;

/// Most groups of one contact.
const ROSTER_GROUPS: usize = 32;

/// What was asked of the hub, by whom.
struct Question<'a> {
    session: SessionId,
    asker: &'a BareJid,
    set: bool,
    child: &'a Element,
}

pub(super) type Answer = Result<Option<Element>, StanzaError>;

impl Router {
    /// An iq of a session, its sender on it.
    pub(super) fn iq(&mut self, now: Now, id: SessionId, iq: Iq) {
        let place = match &iq.header.to {
            Some(to) => self.locate(to),
            // RFC 6120 §10.3.3: for the sender's own account.
            None => match self.sessions.get(&id) {
                Some(session) => Place::Account(session.local().to_owned()),
                None => return,
            },
        };
        let component = self.sessions.get(&id).is_some_and(|s| s.component);
        match place {
            // An account is told of by its own clients alone, and a component has none.
            Place::Account(_) if component => self.answer(now, id, &iq, Err(unavailable())),
            Place::Session(to) => {
                if self.enqueue(now, to, &iq.to_element()).is_err() && iq.is_request() {
                    self.answer(now, id, &iq, Err(too_large()));
                }
            }
            Place::Rooms => self.tell_rooms(now, iq),
            Place::Absent(_) | Place::Nobody => self.bounce_iq(now, &iq, unavailable()),
            Place::Detached => self.bounce_iq(now, &iq, away()),
            Place::Elsewhere => {
                let condition = DefinedCondition::RemoteServerNotFound;
                let error = StanzaError::new(ErrorType::Cancel, condition);
                self.answer(now, id, &iq, Err(error));
            }
            Place::Pubsub => {
                let answer = self.ask_pubsub(now, id, &iq);
                self.answer(now, id, &iq, answer);
            }
            Place::Server | Place::Account(_) => {
                let Some(asker) = self.sessions.get(&id).map(|s| s.bare()) else {
                    return;
                };
                let (set, child) = match &iq.kind {
                    IqKind::Get(child) => (false, child),
                    IqKind::Set(child) => (true, child),
                    // Answers to the hub's own pings and pushes.
                    IqKind::Result(_) | IqKind::Error(..) => return,
                };
                let question = Question {
                    session: id,
                    asker: &asker,
                    set,
                    child,
                };
                let answer = match &place {
                    Place::Account(local) => self.ask_account(now, local, &question),
                    _ => self.ask_server(&question),
                };
                self.answer(now, id, &iq, answer);
            }
        }
    }

    pub(super) fn answer(&mut self, now: Now, id: SessionId, request: &Iq, answer: Answer) {
        if !request.is_request() {
            return;
        }
        let reply = match answer {
            Ok(payload) => request.result(payload),
            Err(error) => request.refuse(error),
        };
        if self.enqueue(now, id, &reply.to_element()).is_err() {
            // A roster or list of sessions beyond what a client must take.
            let condition = DefinedCondition::ResourceConstraint;
            let refusal = request.refuse(StanzaError::new(ErrorType::Wait, condition));
            let _ = self.enqueue(now, id, &refusal.to_element());
        }
    }

    /// To the domain.
    fn ask_server(&self, question: &Question<'_>) -> Answer {
        let child = question.child;
        match (child.name(), child.ns(), question.set) {
            ("ping", ns::PING, false) if Ping::matches(child) => Ok(None),
            ("session", ns::SESSION, true) => Ok(None),
            ("query", VERSION, false) => Ok(Some(version())),
            ("query", ns::DISCO_INFO, false) => self.server_info(child),
            ("query", ns::DISCO_ITEMS, false) => Ok(Some(self.services())),
            _ => Err(unavailable()),
        }
    }

    /// XEP-0030 §3; requests about accounts are a feature where there are any (XEP-0077 §3).
    fn server_info(&self, child: &Element) -> Answer {
        let more: &[_] = match self.registers {
            true => &[ns::REGISTER],
            false => &[],
        };
        disco_info(child, "server", "im", more)
    }

    /// The services beside the accounts.
    fn services(&self) -> Element {
        let rooms = self.rooms.domain().map(|jid| DiscoItem {
            jid: jid.clone(),
            node: None,
            name: Some(Text::from_static("Rooms")),
        });
        let domain = format!("{}.{}", super::pubsub::LABEL, self.domain.domain());
        let pubsub = Jid::new(&domain).ok().map(|jid| DiscoItem {
            jid,
            node: None,
            name: None,
        });
        let component = self.component.as_ref().map(|component| DiscoItem {
            jid: component.domain.clone(),
            node: None,
            name: None,
        });
        DiscoItems {
            node: None,
            items: rooms.into_iter().chain(pubsub).chain(component).collect(),
        }
        .to_element()
    }

    /// To a bare address, on whose behalf the hub answers (RFC 6121 §8.5.2.1.3). To
    /// others than itself, an account that does not share its presence is as good as none.
    fn ask_account(&mut self, now: Now, local: &str, question: &Question<'_>) -> Answer {
        let own = question.asker.local() == Some(local);
        let child = question.child;
        let visible = own
            || self
                .bare(local)
                .is_some_and(|owner| self.shares_presence(&owner, question.asker));
        if !visible {
            return Err(unavailable());
        }
        match (child.name(), child.ns(), question.set) {
            ("ping", ns::PING, false) => Ok(None),
            ("session", ns::SESSION, true) if own => Ok(None),
            ("query", ns::DISCO_INFO, false) => disco_info(child, "account", "registered", &[]),
            ("query", ns::DISCO_ITEMS, false) => Ok(Some(self.sessions_of(local))),
            ("query", ns::ROSTER, false) if own => Ok(self.roster_get(local, question)),
            ("query", ns::MAM, true) if own => {
                self.query_archive(now, question.session, local, child)
            }
            ("prefs", ns::MAM, set) if own => self.archive_prefs(local, set, child),
            ("enable", ns::CARBONS, true) if own => self.set_copies(question.session, true),
            ("disable", ns::CARBONS, true) if own => self.set_copies(question.session, false),
            ("query", ns::ROSTER, true) if own => self.roster_set(now, question),
            ("blocklist", ns::BLOCKING, false) if own => {
                self.block_list(question.session, question.asker)
            }
            ("block", ns::BLOCKING, true) if own => self.block(now, question.asker, child),
            ("unblock", ns::BLOCKING, true) if own => self.unblock(now, question.asker, child),
            ("pubsub", _, set) => self.ask_account_pubsub(now, local, question.session, set, child),
            _ => Err(unavailable()),
        }
    }

    /// XEP-0280 §4, §5.
    fn set_copies(&mut self, id: SessionId, wanted: bool) -> Answer {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.copies = wanted;
        }
        Ok(None)
    }

    /// XEP-0030 §8: an account's items are its available sessions.
    fn sessions_of(&self, local: &str) -> Element {
        let sessions = self.bare(local).map(|bare| self.available_sessions(&bare));
        let items = sessions
            .unwrap_or_default()
            .into_iter()
            .filter_map(|id| self.sessions.get(&id))
            .map(|session| DiscoItem {
                jid: (*session.address).clone(),
                node: None,
                name: None,
            });
        DiscoItems {
            node: None,
            items: items.collect(),
        }
        .to_element()
    }

    /// RFC 6121 §2.1.3; from now on the session gets pushes. Nothing if it has that version
    /// (§2.6.3).
    fn roster_get(&mut self, local: &str, question: &Question<'_>) -> Option<Element> {
        if let Some(session) = self.sessions.get_mut(&question.session) {
            session.interested = true;
        }
        let Some(account) = self.accounts.get(local) else {
            return Some(Element::new("query", ns::ROSTER));
        };
        let has = question.child.attr("ver");
        let query = account.roster.to_query(has.is_some());
        let current = query.attr("ver").is_some_and(|ver| has == Some(ver));
        (!current).then_some(query)
    }

    /// RFC 6121 §2.3 to §2.5.
    fn roster_set(&mut self, now: Now, question: &Question<'_>) -> Answer {
        let refuse = |kind, condition| Err(StanzaError::new(kind, condition));
        let mut items = question.child.children();
        let (Some(item), None) = (items.next(), items.next()) else {
            return refuse(ErrorType::Modify, DefinedCondition::BadRequest);
        };
        let contact = item.attr("jid").map(BareJid::new);
        let (Some(Ok(contact)), true) = (contact, item.is("item", ns::ROSTER)) else {
            return refuse(ErrorType::Modify, DefinedCondition::BadRequest);
        };
        if contact == *question.asker {
            return refuse(ErrorType::Cancel, DefinedCondition::NotAllowed);
        }
        if item.attr("subscription") == Some("remove") {
            if self.remove_contact(now, question.asker, &contact) {
                return Ok(None);
            }
            return refuse(ErrorType::Modify, DefinedCondition::ItemNotFound);
        }
        let name = item.attr_value("name").filter(|n| !n.is_empty()).cloned();
        let mut groups: Vec<Text> = item
            .children()
            .filter(|c| c.is("group", ns::ROSTER))
            .map(Element::text_value)
            .collect();
        let too_long = |text: &Text| text.len() > ROSTER_TEXT;
        if groups.len() > ROSTER_GROUPS
            || name.as_ref().is_some_and(too_long)
            || groups.iter().any(|g| g.is_empty() || too_long(g))
        {
            return refuse(ErrorType::Modify, DefinedCondition::NotAcceptable);
        }
        groups.sort_unstable();
        if groups.windows(2).any(|pair| pair[0] == pair[1]) {
            return refuse(ErrorType::Modify, DefinedCondition::BadRequest);
        }
        let most = self.limits.roster_items;
        let entry = self
            .roster_mut(question.asker)
            .and_then(|roster| roster.item_mut(&contact, most));
        let Some(entry) = entry else {
            return refuse(ErrorType::Wait, DefinedCondition::ResourceConstraint);
        };
        entry.name = name;
        entry.groups = groups;
        self.push_roster(now, question.asker, &contact);
        Ok(None)
    }
}

/// XEP-0092.
fn version() -> Element {
    Element::new("query", VERSION)
        .with_child(Element::new("name", VERSION).with_text(Text::from_static("Stanchion hub")))
        .with_child(
            Element::new("version", VERSION)
                .with_text(Text::from_static(env!("CARGO_PKG_VERSION"))),
        )
}

/// XEP-0030 §3. There are no nodes. `more` are features that not all have.
fn disco_info(
    child: &Element,
    category: &'static str,
    kind: &'static str,
    more: &[&'static str],
) -> Answer {
    if child.attr("node").is_some_and(|node| !node.is_empty()) {
        let condition = DefinedCondition::ItemNotFound;
        return Err(StanzaError::new(ErrorType::Cancel, condition));
    }
    let features = [
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::BLOCKING,
        ns::PING,
        ns::CARBONS,
        ns::MAM,
        ns::OFFLINE,
        ns::SID,
        ns::SM,
        VERSION,
    ];
    let info = DiscoInfo {
        node: None,
        identities: vec![Identity {
            category: Text::from_static(category),
            kind: Text::from_static(kind),
            name: (category == "server").then(|| Text::from_static("Stanchion hub")),
            lang: None,
        }],
        features: (features.iter().chain(more))
            .map(|feature| Text::from_static(feature))
            .collect(),
        extensions: Vec::new(),
    };
    Ok(Some(info.to_element()))
}
