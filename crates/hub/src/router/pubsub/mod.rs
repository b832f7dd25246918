//! Publish/subscribe (XEP-0060) at `pubsub.DOMAIN`, and at accounts for themselves and who
//! sees their presence (XEP-0163). Nodes are leaves; subscriptions are by bare or full
//! address, without options; notifications are headlines. Nodes outlive the hub, with all that
//! is theirs (`kept`).
//!
//! Not here: notifications by capabilities (`+notify`), collections, approval, roster
//! groups.

mod kept;
mod node;

use std::collections::{BTreeMap, BTreeSet};

use stanchion_stanza::payload::disco::{DiscoInfo, DiscoItems, Identity, Item as DiscoItem};
use stanchion_stanza::payload::forms::{Form, FormType};
use stanchion_stanza::payload::pubsub::{
    Affiliation, Answer, Condition, Event, Fault, Item, NodeConfig, Owner, OwnerSubscription,
    PublishOptions, Request, Subscription, SubscriptionState,
};
use stanchion_stanza::payload::rsm::{Page, PageRequest, Position, Range};
use stanchion_stanza::stanza::{
    DefinedCondition, ErrorType, Header, IqKind, MessageType, StanzaError,
};
use stanchion_stanza::{BareJid, Element, Iq, Jid, Message, Payload as _, Text, ns};

use super::session::hex;
use super::{Now, Router, SessionId, StoredId};
use node::{Host, ITEMS, Node, PEOPLE};

/// What the service's domain begins with.
pub(super) const LABEL: &str = "pubsub";

/// Nodes of one owner, at most.
const NODES: usize = 256;
/// Bytes of a node's name, and of an item's id.
const NAME: usize = 1023;
/// Bytes of items in one answer, about: the rest is for another page.
const ANSWER: usize = 128 * 1024;
/// Bytes that an item takes beside those of its record, about.
const SIZE: usize = 256;
/// Ids in one request.
const IDS: usize = 1000;

/// All nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    by_name: BTreeMap<(Host, Text), Node>,
    /// Makes up ids.
    next_id: u64,
    /// Nodes that may have changed.
    touched: BTreeSet<(Host, Text)>,
    /// Records of nodes that are no more.
    gone: Vec<StoredId>,
}

impl Nodes {
    /// The account is no more: its own nodes go, and it is nobody at those of others.
    pub(super) fn forget(&mut self, local: &str, account: &BareJid) {
        let own = Host::Account(local.to_owned());
        let keys = self.by_name.keys().filter(|(host, _)| *host == own);
        for key in keys.cloned().collect::<Vec<_>>() {
            self.delete(&key);
        }
        for (key, node) in &mut self.by_name {
            node.forget(account);
            self.touched.insert(key.clone());
        }
    }
}

/// Who asks what, where.
struct Asker<'a> {
    host: Host,
    /// The address that is asked, and speaks.
    service: Jid,
    full: &'a Jid,
    bare: BareJid,
}

type Done = Result<Option<Element>, StanzaError>;

impl Router {
    /// A request to the service.
    pub(super) fn ask_pubsub(&mut self, now: Now, id: SessionId, iq: &Iq) -> Done {
        let (Some(session), Some(service)) = (self.sessions.get(&id), iq.header.to.clone()) else {
            return Err(refuse(
                ErrorType::Cancel,
                DefinedCondition::ServiceUnavailable,
            ));
        };
        let full: Jid = (*session.address).clone();
        let asker = Asker {
            host: Host::Service,
            service,
            bare: full.to_bare(),
            full: &full,
        };
        match &iq.kind {
            IqKind::Get(child) if child.ns() == ns::DISCO_INFO => self.pubsub_info(&asker, child),
            IqKind::Get(child) if child.ns() == ns::DISCO_ITEMS => self.pubsub_items(&asker),
            IqKind::Get(child) => self.pubsub(now, &asker, false, child),
            IqKind::Set(child) => self.pubsub(now, &asker, true, child),
            _ => Ok(None),
        }
    }

    /// A request to an account that may see it, or is its own.
    pub(super) fn ask_account_pubsub(
        &mut self,
        now: Now,
        local: &str,
        id: SessionId,
        set: bool,
        child: &Element,
    ) -> Done {
        let (Some(session), Some(service)) = (self.sessions.get(&id), self.bare(local)) else {
            return Err(refuse(
                ErrorType::Cancel,
                DefinedCondition::ServiceUnavailable,
            ));
        };
        let full: Jid = (*session.address).clone();
        let asker = Asker {
            host: Host::Account(local.to_owned()),
            service: (*service).clone(),
            bare: full.to_bare(),
            full: &full,
        };
        self.pubsub(now, &asker, set, child)
    }

    fn pubsub(&mut self, now: Now, asker: &Asker<'_>, set: bool, child: &Element) -> Done {
        let unreadable = |_| refuse(ErrorType::Modify, DefinedCondition::BadRequest);
        if Request::matches(child) {
            let request = Request::from_element(child).map_err(unreadable)?;
            let answer = match set {
                true => self.pubsub_set(now, asker, request),
                false => self.pubsub_get(asker, request),
            }?;
            Ok(answer.map(|answer| answer.to_element()))
        } else if Owner::matches(child) {
            let owner = Owner::from_element(child).map_err(unreadable)?;
            let answer = self.pubsub_owner(now, asker, set, owner)?;
            Ok(answer.map(|answer| answer.to_element()))
        } else {
            Err(refuse(
                ErrorType::Cancel,
                DefinedCondition::ServiceUnavailable,
            ))
        }
    }

    fn node(&mut self, asker: &Asker<'_>, node: &Text) -> Result<&mut Node, StanzaError> {
        let key = (asker.host.clone(), node.clone());
        let found = self.nodes.by_name.get_mut(&key);
        if found.is_some() {
            self.nodes.touched.insert(key);
        }
        found.ok_or_else(|| refuse(ErrorType::Cancel, DefinedCondition::ItemNotFound))
    }

    fn owned(&mut self, asker: &Asker<'_>, node: &Text) -> Result<&mut Node, StanzaError> {
        let node = self.node(asker, node)?;
        match node.affiliation(&asker.bare) {
            Affiliation::Owner => Ok(node),
            _ => Err(refuse(ErrorType::Auth, DefinedCondition::Forbidden)),
        }
    }

    fn readable(&mut self, asker: &Asker<'_>, node: &Text) -> Result<&mut Node, StanzaError> {
        let node = self.node(asker, node)?;
        match node.may_read(&asker.bare) {
            true => Ok(node),
            false => Err(fault(
                ErrorType::Cancel,
                DefinedCondition::NotAllowed,
                Condition::ClosedNode,
            )),
        }
    }

    // ---- anybody --------------------------------------------------------------------

    fn pubsub_get(
        &mut self,
        asker: &Asker<'_>,
        get: Request,
    ) -> Result<Option<Answer>, StanzaError> {
        match get {
            Request::Items {
                node: name,
                max_items,
                ids,
                page,
                ..
            } => {
                let node = self.readable(asker, &name)?;
                let (items, page) = choose(node, max_items, &ids, page)?;
                Ok(Some(Answer::Items {
                    node: name,
                    items,
                    page,
                }))
            }
            Request::Subscriptions { node } => {
                let all = self.nodes.by_name.iter();
                let here = all.filter(|((host, name), _)| {
                    *host == asker.host && node.as_ref().is_none_or(|node| node == name)
                });
                let mine = here.flat_map(|((_, name), node)| {
                    let mine = node.subscribers.iter();
                    let mine = mine.filter(|jid| jid.to_bare() == asker.bare);
                    mine.map(|jid| subscription(jid.clone(), name.clone()))
                });
                let subscriptions = mine.collect();
                Ok(Some(Answer::Subscriptions {
                    node,
                    subscriptions,
                }))
            }
            Request::Affiliations { node } => {
                let all = self.nodes.by_name.iter();
                let here = all.filter(|((host, name), _)| {
                    *host == asker.host && node.as_ref().is_none_or(|node| node == name)
                });
                let mine = here.map(|((_, name), n)| (name.clone(), n.affiliation(&asker.bare)));
                let affiliations = mine.filter(|(_, a)| *a != Affiliation::None).collect();
                Ok(Some(Answer::Affiliations { node, affiliations }))
            }
            Request::Options { .. } | Request::DefaultOptions { .. } => {
                Err(unsupported("subscription-options"))
            }
            _ => Err(refuse(ErrorType::Modify, DefinedCondition::BadRequest)),
        }
    }

    fn pubsub_set(
        &mut self,
        now: Now,
        asker: &Asker<'_>,
        set: Request,
    ) -> Result<Option<Answer>, StanzaError> {
        match set {
            Request::Create { node, configure } => {
                let config = configure
                    .map(|form| NodeConfig::from_form(&form))
                    .transpose();
                let config = config.map_err(|_| refuse_form())?.unwrap_or_default();
                let instant = node.is_none();
                let node = match node {
                    Some(node) => node,
                    None => self.made_up(now),
                };
                self.create_node(asker, node.clone(), &config)?;
                Ok(instant.then_some(Answer::Created { node }))
            }
            Request::Publish {
                node,
                items,
                options,
            } => self
                .publish(now, asker, node, items, options.as_ref())
                .map(Some),
            Request::Retract { node, ids, notify } => {
                let found = self.node(asker, &node)?;
                if !found.may_publish(&asker.bare) {
                    return Err(refuse(ErrorType::Auth, DefinedCondition::Forbidden));
                }
                let gone: Vec<_> = ids.into_iter().filter(|id| found.retract(id)).collect();
                if gone.is_empty() {
                    return Err(refuse(ErrorType::Cancel, DefinedCondition::ItemNotFound));
                }
                if notify || found.tells_of_retraction() {
                    let event = Event::Items {
                        node: node.clone(),
                        items: Vec::new(),
                        retracted: gone,
                    };
                    self.notify(now, asker, &node, &event);
                }
                Ok(None)
            }
            Request::Subscribe { jid, node, .. } => {
                let node = node.ok_or_else(|| lacks(Condition::NodeidRequired))?;
                if jid != *asker.full && jid != *asker.bare {
                    return Err(lacks(Condition::InvalidJid));
                }
                let found = self.readable(asker, &node)?;
                if found.subscribers.len() >= PEOPLE && !found.subscribers.contains(&jid) {
                    return Err(refuse(
                        ErrorType::Wait,
                        DefinedCondition::ResourceConstraint,
                    ));
                }
                found.subscribe(jid.clone());
                Ok(Some(Answer::Subscribed(subscription(jid, node))))
            }
            Request::Unsubscribe { jid, node, .. } => {
                let node = node.ok_or_else(|| lacks(Condition::NodeidRequired))?;
                if jid.to_bare() != asker.bare {
                    return Err(refuse(ErrorType::Auth, DefinedCondition::Forbidden));
                }
                match self.node(asker, &node)?.unsubscribe(&jid) {
                    true => Ok(None),
                    false => Err(fault(
                        ErrorType::Cancel,
                        DefinedCondition::UnexpectedRequest,
                        Condition::NotSubscribed,
                    )),
                }
            }
            Request::Options { .. } => Err(unsupported("subscription-options")),
            _ => Err(refuse(ErrorType::Modify, DefinedCondition::BadRequest)),
        }
    }

    fn made_up(&mut self, now: Now) -> Text {
        self.nodes.next_id += 1;
        let at = crate::stamp::milliseconds(now.wall);
        let id = hex(&at.to_be_bytes()[2..]);
        Text::new(format!("{id}-{:x}", self.nodes.next_id)).unwrap_or_default()
    }

    fn create_node(
        &mut self,
        asker: &Asker<'_>,
        name: Text,
        config: &NodeConfig,
    ) -> Result<(), StanzaError> {
        let own = match &asker.host {
            Host::Service => true,
            Host::Account(local) => asker.bare.local() == Some(local),
        };
        if !own || name.is_empty() || name.len() > NAME {
            return Err(refuse(ErrorType::Auth, DefinedCondition::Forbidden));
        }
        let owned = self.nodes.by_name.values();
        if owned.filter(|node| node.owner == asker.bare).count() >= NODES {
            return Err(fault(
                ErrorType::Cancel,
                DefinedCondition::Conflict,
                Condition::MaxNodesExceeded,
            ));
        }
        let key = (asker.host.clone(), name);
        if self.nodes.by_name.contains_key(&key) {
            return Err(refuse(ErrorType::Cancel, DefinedCondition::Conflict));
        }
        let mut node = Node::new(asker.bare.clone(), &asker.host);
        if !node.configure(config, &asker.host) {
            return Err(refuse_form());
        }
        self.nodes.touched.insert(key.clone());
        self.nodes.by_name.insert(key, node);
        Ok(())
    }

    fn publish(
        &mut self,
        now: Now,
        asker: &Asker<'_>,
        name: Text,
        items: Vec<Item>,
        options: Option<&Form>,
    ) -> Result<Answer, StanzaError> {
        let options = options.map(PublishOptions::from_form).transpose();
        let options = options.map_err(|_| refuse_form())?;
        let mut items = items.into_iter();
        let (Some(item), None) = (items.next(), items.next()) else {
            return Err(lacks(Condition::ItemRequired));
        };
        let payload = item
            .payload
            .ok_or_else(|| lacks(Condition::PayloadRequired))?;
        let id = match item.id {
            Some(id) if id.len() > NAME => {
                return Err(refuse(ErrorType::Modify, DefinedCondition::NotAcceptable));
            }
            Some(id) => id,
            None => self.made_up(now),
        };
        // Accounts make nodes as they publish (XEP-0163 §3).
        if let (Host::Account(_), Err(_)) = (&asker.host, self.node(asker, &name)) {
            let config = options.clone().unwrap_or_default().0;
            self.create_node(asker, name.clone(), &config)?;
        }
        let publisher: Jid = (*asker.bare).clone();
        let record = kept::item(&name, &id, &publisher, &payload);
        let bytes = self
            .letter(&record)
            .map_err(|_| super::message::too_large())?;
        let bytes = bytes.bytes().len() + SIZE;
        let node = self.node(asker, &name)?;
        if !node.may_publish(&asker.bare) {
            return Err(refuse(ErrorType::Auth, DefinedCondition::Forbidden));
        }
        if options.is_some_and(|options| !node.meets(&options.0)) {
            return Err(fault(
                ErrorType::Cancel,
                DefinedCondition::Conflict,
                Condition::PreconditionNotMet,
            ));
        }
        node.publish(id.clone(), publisher.clone(), payload.clone(), bytes);
        let mut item = Item::of(Some(id.clone()), payload);
        item.publisher = Some(publisher);
        let event = Event::Items {
            node: name.clone(),
            items: vec![item],
            retracted: Vec::new(),
        };
        self.notify(now, asker, &name, &event);
        Ok(Answer::Published {
            node: name,
            ids: vec![id],
        })
    }

    /// Tells who is subscribed.
    fn notify(&mut self, now: Now, asker: &Asker<'_>, node: &Text, event: &Event) {
        let subscribers: Vec<Jid> = match self.node(asker, node) {
            Ok(node) => node.subscribers.iter().cloned().collect(),
            Err(_) => return,
        };
        let event = event.to_element();
        for to in subscribers {
            let header = Header {
                from: Some(asker.service.clone()),
                to: Some(to),
                ..Header::default()
            };
            let message = Message {
                header,
                kind: MessageType::Headline,
                payloads: vec![event.clone()],
            };
            self.message(now, message);
        }
    }

    // ---- owners ---------------------------------------------------------------------

    fn pubsub_owner(
        &mut self,
        now: Now,
        asker: &Asker<'_>,
        set: bool,
        owner: Owner,
    ) -> Result<Option<Owner>, StanzaError> {
        match (owner, set) {
            (Owner::Configure { node, .. }, false) => {
                let config = self.owned(asker, &node)?.config();
                let form = Some(config.to_form(FormType::Form));
                Ok(Some(Owner::Configure { node, form }))
            }
            (Owner::Configure { node, form }, true) => {
                let form = form.ok_or_else(refuse_form)?;
                if form.kind == FormType::Cancel {
                    return Ok(None);
                }
                let wish = NodeConfig::from_form(&form).map_err(|_| refuse_form())?;
                match self.owned(asker, &node)?.configure(&wish, &asker.host) {
                    true => Ok(None),
                    false => Err(refuse_form()),
                }
            }
            (Owner::Default { .. }, false) => {
                let config = Node::new(asker.bare.clone(), &asker.host).config();
                let form = Some(config.to_form(FormType::Form));
                Ok(Some(Owner::Default { form }))
            }
            (Owner::Delete { node, redirect }, true) => {
                self.owned(asker, &node)?;
                let event = Event::Delete {
                    node: node.clone(),
                    redirect,
                };
                self.notify(now, asker, &node, &event);
                self.nodes.delete(&(asker.host.clone(), node));
                Ok(None)
            }
            (Owner::Purge { node }, true) => {
                self.owned(asker, &node)?.purge();
                let event = Event::Purge { node: node.clone() };
                self.notify(now, asker, &node, &event);
                Ok(None)
            }
            (Owner::Subscriptions { node, .. }, false) => {
                let name = node.ok_or_else(|| lacks(Condition::NodeidRequired))?;
                let subscribers = self.owned(asker, &name)?.subscribers.iter();
                let subscriptions = subscribers.map(|jid| OwnerSubscription {
                    jid: jid.clone(),
                    subid: None,
                    state: SubscriptionState::Subscribed,
                });
                Ok(Some(Owner::Subscriptions {
                    subscriptions: subscriptions.collect(),
                    node: Some(name),
                }))
            }
            (
                Owner::Subscriptions {
                    node,
                    subscriptions,
                },
                true,
            ) => {
                let name = node.ok_or_else(|| lacks(Condition::NodeidRequired))?;
                let node = self.owned(asker, &name)?;
                for OwnerSubscription { jid, state, .. } in subscriptions {
                    match state {
                        SubscriptionState::Subscribed if node.subscribers.len() < PEOPLE => {
                            node.subscribe(jid);
                        }
                        SubscriptionState::None => drop(node.unsubscribe(&jid)),
                        _ => return Err(refuse(ErrorType::Cancel, DefinedCondition::NotAllowed)),
                    }
                }
                Ok(None)
            }
            (Owner::Affiliations { node, .. }, false) => {
                let found = self.owned(asker, &node)?;
                let owner = ((*found.owner).clone(), Affiliation::Owner);
                let others = found.affiliations.iter();
                let others = others.map(|(jid, a)| ((**jid).clone(), *a));
                Ok(Some(Owner::Affiliations {
                    affiliations: std::iter::once(owner).chain(others).collect(),
                    node,
                }))
            }
            (Owner::Affiliations { node, affiliations }, true) => {
                let node = self.owned(asker, &node)?;
                for (jid, affiliation) in affiliations {
                    let jid = jid.to_bare();
                    let fewer = jid == node.owner || affiliation == Affiliation::None;
                    if fewer || node.affiliations.len() < PEOPLE {
                        node.affiliate(jid, affiliation);
                    } else {
                        return Err(refuse(
                            ErrorType::Wait,
                            DefinedCondition::ResourceConstraint,
                        ));
                    }
                }
                Ok(None)
            }
            _ => Err(refuse(ErrorType::Modify, DefinedCondition::BadRequest)),
        }
    }

    // ---- discovery ------------------------------------------------------------------

    fn pubsub_info(&mut self, asker: &Asker<'_>, query: &Element) -> Done {
        let node = query.attr_text("node").filter(|node| !node.is_empty());
        let (kind, extensions) = match &node {
            None => ("service", Vec::new()),
            Some(name) => {
                let form = self.readable(asker, name)?.metadata();
                ("leaf", vec![form.to_element()])
            }
        };
        let does = |feature: &&str| Text::new(format!("{}#{feature}", ns::PUBSUB)).ok();
        let mut features = vec![
            Text::from_static(ns::DISCO_INFO),
            Text::from_static(ns::DISCO_ITEMS),
            Text::from_static(ns::PUBSUB),
        ];
        features.extend(FEATURES.iter().filter_map(does));
        let info = DiscoInfo {
            node,
            identities: vec![Identity {
                category: Text::from_static("pubsub"),
                kind: Text::from_static(kind),
                name: None,
                lang: None,
            }],
            features,
            extensions,
        };
        Ok(Some(info.to_element()))
    }

    fn pubsub_items(&self, asker: &Asker<'_>) -> Done {
        let all = self.nodes.by_name.iter();
        let here =
            all.filter(|((host, _), node)| *host == asker.host && node.may_read(&asker.bare));
        let items = here.map(|((_, name), _)| DiscoItem {
            jid: asker.service.clone(),
            node: Some(name.clone()),
            name: None,
        });
        let items = DiscoItems {
            node: None,
            items: items.take(IDS).collect(),
        };
        Ok(Some(items.to_element()))
    }
}

/// What the service can do (§10).
const FEATURES: [&str; 22] = [
    "access-open",
    "access-whitelist",
    "config-node",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "instant-nodes",
    "item-ids",
    "manage-subscriptions",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "persistent-items",
    "publish",
    "publish-options",
    "purge-nodes",
    "retract-items",
    "retrieve-affiliations",
    "retrieve-items",
    "retrieve-subscriptions",
    "subscribe",
];

fn subscription(jid: Jid, node: Text) -> Subscription {
    let mut subscription = Subscription::new(jid);
    subscription.node = Some(node);
    subscription.state = Some(SubscriptionState::Subscribed);
    subscription
}

/// The items that were asked for, in the order in which they were published. Of those that
/// were not named as many as fit into an answer, and which part they are (XEP-0059).
fn choose(
    node: &Node,
    latest: Option<u32>,
    ids: &[Text],
    page: Option<PageRequest>,
) -> Result<(Vec<Item>, Option<Page>), StanzaError> {
    let not_found = || refuse(ErrorType::Cancel, DefinedCondition::ItemNotFound);
    if ids.len() > IDS {
        return Err(refuse(ErrorType::Modify, DefinedCondition::PolicyViolation));
    }
    if !ids.is_empty() {
        return Ok((node.by_ids(ids).map(|(item, _)| item).collect(), None));
    }
    let count = node.len();
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let paged = page.is_some();
    let page = page.unwrap_or(PageRequest {
        max: latest,
        position: Position::Last,
    });
    let most = page.max.map_or(count, size).min(count);
    let backwards = matches!(page.position, Position::Last | Position::Before(_));
    let (first, end) = match &page.position {
        Position::First => (0, most),
        Position::Last => (count - most, count),
        Position::Index(index) => (size(*index).min(count), count),
        Position::After(id) => (node.index_of(id).ok_or_else(not_found)? + 1, count),
        Position::Before(id) => {
            let end = node.index_of(id).ok_or_else(not_found)?;
            (end.saturating_sub(most), end)
        }
    };
    let end = end.min(first.saturating_add(most)).max(first);
    let mut bytes = 0;
    let mut fits = |(_, size): &(Item, usize)| {
        bytes += size;
        bytes <= ANSWER || bytes == *size
    };
    let chosen = node.all().skip(first).take(end - first);
    let items: Vec<Item> = if backwards {
        let chosen: Vec<_> = chosen.collect();
        let kept = chosen.into_iter().rev().take_while(&mut fits);
        let mut kept: Vec<_> = kept.map(|(item, _)| item).collect();
        kept.reverse();
        kept
    } else {
        chosen.take_while(&mut fits).map(|(item, _)| item).collect()
    };
    let first = if backwards { end - items.len() } else { first };
    let whole = u32::try_from(count).unwrap_or(u32::MAX);
    let end_ids = items.first().zip(items.last());
    let range = end_ids.and_then(|(one, other)| {
        Some(Range {
            first: one.id.clone()?,
            index: u32::try_from(first).ok(),
            last: other.id.clone()?,
        })
    });
    let asked = latest.map_or(count, size).min(count);
    let page = (paged || items.len() < asked).then_some(Page {
        range,
        count: Some(whole),
    });
    Ok((items, page))
}

const fn refuse(kind: ErrorType, condition: DefinedCondition) -> StanzaError {
    StanzaError::new(kind, condition)
}

fn fault(kind: ErrorType, condition: DefinedCondition, what: Condition) -> StanzaError {
    let mut error = StanzaError::new(kind, condition);
    error.application = Some(Box::new(Fault::from(what).to_element()));
    error
}

fn lacks(what: Condition) -> StanzaError {
    fault(ErrorType::Modify, DefinedCondition::BadRequest, what)
}

fn unsupported(feature: &'static str) -> StanzaError {
    let condition = DefinedCondition::FeatureNotImplemented;
    let mut error = StanzaError::new(ErrorType::Cancel, condition);
    let fault = Fault {
        condition: Condition::Unsupported,
        feature: Some(Text::from_static(feature)),
    };
    error.application = Some(Box::new(fault.to_element()));
    error
}

/// What the form says cannot be (§8.2.5.3), with what can.
fn refuse_form() -> StanzaError {
    let text = format!(
        "access_model open or whitelist (presence at accounts), max_items 1 to {ITEMS}, \
         persist_items, deliver_payloads and deliver_notifications true, a short title"
    );
    let error = StanzaError::new(ErrorType::Modify, DefinedCondition::NotAcceptable);
    error.with_text(Text::new(text).unwrap_or_default())
}
