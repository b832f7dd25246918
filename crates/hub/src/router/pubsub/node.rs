//! Nodes: their items, configuration and people. Data with bounds; who may do what with it is
//! asked here, and told by the parent module. `kept` keeps it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use stanchion_stanza::payload::forms::{Field, Form, FormType};
use stanchion_stanza::payload::pubsub::{
    AccessModel, Affiliation, Item, Limit, NodeConfig, NotificationType, PublishModel, SendLast,
};
use stanchion_stanza::{BareJid, Element, Jid, Text};

use super::super::StoredId;

/// Items of one node, at most.
pub(super) const ITEMS: u64 = 10_000;
/// Bytes of them.
const BYTES: usize = 16 * 1024 * 1024;
/// Subscribers and affiliated people of one node, each.
pub(super) const PEOPLE: usize = 1000;
/// Bytes of its title.
const TITLE: usize = 4096;

/// Whose nodes: the service's, or an account's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Host {
    Service,
    Account(String),
}

#[derive(Debug)]
struct Stored {
    id: Text,
    publisher: Jid,
    payload: Element,
    bytes: usize,
}

/// A part of a node that is a record of its own. The node itself is the first: without it
/// the others are nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Itself,
    Item(Text),
    Subscriber(Jid),
    Affiliated(BareJid),
}

/// A leaf.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) owner: BareJid,
    access: AccessModel,
    publish: PublishModel,
    most: u64,
    notify_retract: bool,
    title: Option<Text>,
    pub(super) affiliations: BTreeMap<BareJid, Affiliation>,
    pub(super) subscribers: BTreeSet<Jid>,
    /// In the order in which they were published.
    items: BTreeMap<u64, Stored>,
    by_id: HashMap<Text, u64>,
    next: u64,
    bytes: usize,
    /// Under which name each part is kept.
    pub(super) records: BTreeMap<Part, StoredId>,
    /// Parts that are perhaps other than they were kept.
    unkept: BTreeSet<Part>,
}

impl Node {
    /// An empty one. On accounts, who sees the owner's presence sees it (XEP-0163 §3).
    pub(super) fn new(owner: BareJid, host: &Host) -> Self {
        let access = match host {
            Host::Service => AccessModel::Open,
            Host::Account(_) => AccessModel::Presence,
        };
        Self {
            owner,
            access,
            publish: PublishModel::Publishers,
            most: match host {
                Host::Service => 1000,
                Host::Account(_) => 1,
            },
            notify_retract: true,
            title: None,
            affiliations: BTreeMap::new(),
            subscribers: BTreeSet::new(),
            items: BTreeMap::new(),
            by_id: HashMap::new(),
            next: 0,
            bytes: 0,
            records: BTreeMap::new(),
            unkept: BTreeSet::from([Part::Itself]),
        }
    }

    /// What may have changed since this was asked last.
    pub(super) fn take_unkept(&mut self) -> BTreeSet<Part> {
        std::mem::take(&mut self.unkept)
    }

    /// A part is as it is kept under that name; the record that is older, if there is one.
    pub(super) fn kept(&mut self, part: Part, id: StoredId) -> Option<StoredId> {
        self.unkept.remove(&part);
        self.records.insert(part, id)
    }

    // ---- configuration --------------------------------------------------------------

    /// What can be configured, as it is.
    pub(super) fn config(&self) -> NodeConfig {
        NodeConfig {
            access_model: Some(self.access.clone()),
            publish_model: Some(self.publish.clone()),
            max_items: Some(Limit::At(self.most)),
            notify_retract: Some(self.notify_retract),
            title: self.title.clone(),
            persist_items: Some(true),
            deliver_payloads: Some(true),
            deliver_notifications: Some(true),
            notification_type: Some(NotificationType::Headline),
            send_last_published_item: Some(SendLast::Never),
            ..NodeConfig::default()
        }
    }

    /// Sets what can be set; false if a wish cannot be met, and then nothing is changed.
    pub(super) fn configure(&mut self, wish: &NodeConfig, host: &Host) -> bool {
        let access = wish.access_model.as_ref().unwrap_or(&self.access);
        let can = match access {
            AccessModel::Open | AccessModel::Whitelist => true,
            AccessModel::Presence => matches!(host, Host::Account(_)),
            _ => false,
        };
        let publish = wish.publish_model.as_ref().unwrap_or(&self.publish);
        let known = matches!(
            publish,
            PublishModel::Publishers | PublishModel::Subscribers | PublishModel::Open
        );
        let fixed = self.config();
        let stays = |wish: &Option<bool>, is: &Option<bool>| wish.is_none() || wish == is;
        let most = match wish.max_items {
            Some(Limit::Max) => ITEMS,
            Some(Limit::At(most)) => most,
            None => self.most,
        };
        if !can
            || !known
            || !(1..=ITEMS).contains(&most)
            || wish.title.as_ref().is_some_and(|title| title.len() > TITLE)
            || !stays(&wish.persist_items, &fixed.persist_items)
            || !stays(&wish.deliver_payloads, &fixed.deliver_payloads)
            || !stays(&wish.deliver_notifications, &fixed.deliver_notifications)
        {
            return false;
        }
        (self.access, self.publish, self.most) = (access.clone(), publish.clone(), most);
        self.notify_retract = wish.notify_retract.unwrap_or(self.notify_retract);
        self.title = wish.title.clone().or_else(|| self.title.take());
        self.unkept.insert(Part::Itself);
        while self.items.len() as u64 > self.most {
            self.forget_oldest();
        }
        true
    }

    /// What a node tells of itself (XEP-0060 §5.4).
    pub(super) fn metadata(&self) -> Form {
        let field = |var: &'static str, value: Text| Field {
            var: Some(Text::from_static(var)),
            values: vec![value],
            ..Field::default()
        };
        let form_type = Text::from_static("http://jabber.org/protocol/pubsub#meta-data");
        let mut form = Form::of(FormType::Result, form_type)
            .with(field("pubsub#owner", Text::from(&*self.owner)))
            .with(field("pubsub#max_items", Text::from(self.most)))
            .with(field(
                "pubsub#access_model",
                Text::from(self.access.clone()),
            ));
        if let Some(title) = &self.title {
            form = form.with(field("pubsub#title", title.clone()));
        }
        form
    }

    /// Whether those options hold (§7.1.5).
    pub(super) fn meets(&self, options: &NodeConfig) -> bool {
        let is = self.config();
        let met = |wish: bool| wish;
        met(options.access_model.is_none() || options.access_model == is.access_model)
            && met(options.publish_model.is_none() || options.publish_model == is.publish_model)
            && met(options.persist_items != Some(false))
            && match options.max_items {
                Some(Limit::At(most)) => most == self.most,
                _ => true,
            }
    }

    // ---- people ---------------------------------------------------------------------

    pub(super) fn affiliation(&self, who: &BareJid) -> Affiliation {
        match self.affiliations.get(who) {
            _ if self.owner == *who => Affiliation::Owner,
            Some(affiliation) => *affiliation,
            None => Affiliation::None,
        }
    }

    /// Whether somebody may subscribe and retrieve items. Who reaches an account's node at
    /// all sees its presence.
    pub(super) fn may_read(&self, who: &BareJid) -> bool {
        match self.affiliation(who) {
            Affiliation::Outcast | Affiliation::PublishOnly => false,
            Affiliation::None => self.access != AccessModel::Whitelist,
            _ => true,
        }
    }

    pub(super) fn may_publish(&self, who: &BareJid) -> bool {
        use Affiliation as A;
        let subscribed = || self.subscribers.iter().any(|jid| jid.to_bare() == *who);
        match self.affiliation(who) {
            A::Owner | A::Publisher | A::PublishOnly => true,
            A::Outcast => false,
            _ => match self.publish {
                PublishModel::Open => true,
                PublishModel::Subscribers => subscribed(),
                _ => false,
            },
        }
    }

    pub(super) fn subscribe(&mut self, jid: Jid) {
        self.unkept.insert(Part::Subscriber(jid.clone()));
        self.subscribers.insert(jid);
    }

    /// Whether they were subscribed.
    pub(super) fn unsubscribe(&mut self, jid: &Jid) -> bool {
        self.unkept.insert(Part::Subscriber(jid.clone()));
        self.subscribers.remove(jid)
    }

    /// Nothing for [`Affiliation::None`], and for the owner.
    pub(super) fn affiliate(&mut self, jid: BareJid, affiliation: Affiliation) {
        self.unkept.insert(Part::Affiliated(jid.clone()));
        if jid == self.owner || affiliation == Affiliation::None {
            self.affiliations.remove(&jid);
        } else {
            self.affiliations.insert(jid, affiliation);
        }
    }

    /// Somebody is nobody any more.
    pub(super) fn forget(&mut self, account: &BareJid) {
        self.affiliate(account.clone(), Affiliation::None);
        let theirs = |jid: &&Jid| jid.bare_str() == account.as_str();
        let theirs: Vec<Jid> = self.subscribers.iter().filter(theirs).cloned().collect();
        for jid in theirs {
            self.unsubscribe(&jid);
        }
    }

    // ---- items ----------------------------------------------------------------------

    pub(super) fn publish(&mut self, id: Text, publisher: Jid, payload: Element, bytes: usize) {
        self.retract(&id);
        let at = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.by_id.insert(id.clone(), at);
        self.unkept.insert(Part::Item(id.clone()));
        let stored = Stored {
            id,
            publisher,
            payload,
            bytes,
        };
        self.items.insert(at, stored);
        while self.items.len() as u64 > self.most || (self.bytes > BYTES && self.items.len() > 1) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, oldest)) = self.items.pop_first() {
            self.by_id.remove(&oldest.id);
            self.bytes -= oldest.bytes;
            self.unkept.insert(Part::Item(oldest.id));
        }
    }

    /// Whether it was there.
    pub(super) fn retract(&mut self, id: &Text) -> bool {
        let found = self.by_id.remove(id).and_then(|at| self.items.remove(&at));
        self.bytes -= found.as_ref().map_or(0, |stored| stored.bytes);
        if found.is_some() {
            self.unkept.insert(Part::Item(id.clone()));
        }
        found.is_some()
    }

    pub(super) fn purge(&mut self) {
        self.items.clear();
        let gone = self.by_id.drain().map(|(id, _)| Part::Item(id));
        self.unkept.extend(gone);
        self.bytes = 0;
    }

    pub(super) const fn tells_of_retraction(&self) -> bool {
        self.notify_retract
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    fn show(stored: &Stored) -> (Item, usize) {
        let mut item = Item::of(Some(stored.id.clone()), stored.payload.clone());
        item.publisher = Some(stored.publisher.clone());
        (item, stored.bytes)
    }

    /// Who published it, and what it says.
    pub(super) fn item(&self, id: &Text) -> Option<(&Jid, &Element)> {
        let stored = self.items.get(self.by_id.get(id)?)?;
        Some((&stored.publisher, &stored.payload))
    }

    /// Those of these ids that are there, each with its size.
    pub(super) fn by_ids<'a>(&'a self, ids: &'a [Text]) -> impl Iterator<Item = (Item, usize)> {
        let found = ids.iter().filter_map(|id| self.by_id.get(id));
        found.filter_map(|at| self.items.get(at)).map(Self::show)
    }

    /// All, the oldest first, each with its size.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = (Item, usize)> {
        self.items.values().map(Self::show)
    }

    /// How many there are before that one.
    pub(super) fn index_of(&self, id: &Text) -> Option<usize> {
        let at = self.by_id.get(id)?;
        Some(self.items.range(..at).count())
    }
}
