//! The configuration of a node, and the options of a publication, which are wishes of
//! the same names (XEP-0060 §7.1.5, §17.4.4).

use super::super::PayloadError;
use super::super::forms::view::{self, FieldValue, form_view, list_single, single};
use super::super::forms::{FieldType, Form, FormType};
use super::super::parts::names;
use crate::jid::Jid;
use crate::xml::Text;

names! {
    /// Who may subscribe and retrieve items (§4.5).
    AccessModel {
        /// Whom an owner approves.
        Authorize = "authorize",
        /// Anybody.
        Open = "open",
        /// Who sees the owner's presence.
        Presence = "presence",
        /// Who is in one of the owner's roster groups.
        Roster = "roster",
        /// Whom an owner lists.
        Whitelist = "whitelist",
        ..
    }
}

names! {
    /// Who may publish.
    PublishModel {
        /// Publishers and owners.
        Publishers = "publishers",
        /// Subscribers too.
        Subscribers = "subscribers",
        /// Anybody.
        Open = "open",
        ..
    }
}

names! {
    /// When the last item is sent by itself (§6.1.7).
    SendLast {
        /// Never.
        Never = "never",
        /// To a new subscriber.
        OnSub = "on_sub",
        /// To a new subscriber, and to one that comes online.
        OnSubAndPresence = "on_sub_and_presence",
        ..
    }
}

names! {
    /// The kind of message that notifies.
    NotificationType {
        /// Stored for who is offline.
        Normal = "normal",
        /// Not stored.
        Headline = "headline",
        ..
    }
}

names! {
    /// Whom replies to an item go to.
    ItemReply {
        /// The owner.
        Owner = "owner",
        /// The publisher.
        Publisher = "publisher",
        ..
    }
}

names! {
    /// What publishing to a full node does.
    NodeFull {
        /// The oldest item goes, and subscribers are told.
        RetractOldest = "retract-oldest",
        /// The oldest item goes in silence.
        DiscardOldest = "discard-oldest",
        /// The new item is refused.
        Reject = "reject",
        ..
    }
}

names! {
    /// What a node holds.
    NodeType {
        /// Items.
        Leaf = "leaf",
        /// Nodes (XEP-0248).
        Collection = "collection",
        ..
    }
}

list_single!(
    AccessModel,
    PublishModel,
    SendLast,
    NotificationType,
    ItemReply,
    NodeFull,
    NodeType
);

/// A count, or as much as the service allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `max`: the service's own limit, whatever it is.
    Max,
    /// At most this.
    At(u64),
}

impl FieldValue for Limit {
    const KIND: FieldType = FieldType::TextSingle;

    fn read(values: &[Text]) -> Result<Option<Self>, ()> {
        single(values, |value| match value {
            "max" => Some(Self::Max),
            number => number.parse().ok().map(Self::At),
        })
    }

    fn write(&self) -> Vec<Text> {
        vec![match self {
            Self::Max => Text::from_static("max"),
            Self::At(number) => Text::from(*number),
        }]
    }
}

form_view! {
    /// A node's configuration. What is absent is as the service wants it: its defaults
    /// can be asked for (§8.3).
    NodeConfig, "http://jabber.org/protocol/pubsub#node_config" {
        /// Who may subscribe and retrieve items.
        access_model: AccessModel = "pubsub#access_model",
        /// A URL of what makes a message's body of a payload.
        body_xslt: Text = "pubsub#body_xslt",
        /// Whom to ask.
        contact: Vec<Jid> = "pubsub#contact",
        /// A URL of what makes a form of a payload.
        dataform_xslt: Text = "pubsub#dataform_xslt",
        /// Whether subscribers are notified at all.
        deliver_notifications: bool = "pubsub#deliver_notifications",
        /// Whether notifications hold the payload.
        deliver_payloads: bool = "pubsub#deliver_payloads",
        /// What the node is about, for people.
        description: Text = "pubsub#description",
        /// Seconds after which an item is deleted.
        item_expire: Limit = "pubsub#item_expire",
        /// Whom replies go to.
        itemreply: ItemReply = "pubsub#itemreply",
        /// The language of the node.
        language: Text = "pubsub#language",
        /// Items that are kept.
        max_items: Limit = "pubsub#max_items",
        /// The largest payload, in bytes.
        max_payload_size: u64 = "pubsub#max_payload_size",
        /// What the node holds.
        node_type: NodeType = "pubsub#node_type",
        /// The kind of message that notifies.
        notification_type: NotificationType = "pubsub#notification_type",
        /// Whether subscribers hear of a new configuration.
        notify_config: bool = "pubsub#notify_config",
        /// Whether subscribers hear of the node's deletion.
        notify_delete: bool = "pubsub#notify_delete",
        /// Whether subscribers hear of deleted items.
        notify_retract: bool = "pubsub#notify_retract",
        /// Whether owners hear of subscribers that come and go.
        notify_sub: bool = "pubsub#notify_sub",
        /// Whether items are kept.
        persist_items: bool = "pubsub#persist_items",
        /// Whether only subscribers that are available are notified.
        presence_based_delivery: bool = "pubsub#presence_based_delivery",
        /// Who may publish.
        publish_model: PublishModel = "pubsub#publish_model",
        /// What publishing to a full node does.
        publish_node_full: NodeFull = "pubsub#publish_node_full",
        /// Whether items go when their publisher goes offline.
        purge_offline: bool = "pubsub#purge_offline",
        /// The groups of [`AccessModel::Roster`].
        roster_groups_allowed: Vec<Text> = "pubsub#roster_groups_allowed",
        /// When the last item is sent by itself.
        send_last_published_item: SendLast = "pubsub#send_last_published_item",
        /// Whether subscriptions end with the subscriber's presence.
        tempsub: bool = "pubsub#tempsub",
        /// Whether anybody can subscribe.
        subscribe: bool = "pubsub#subscribe",
        /// A name for people.
        title: Text = "pubsub#title",
        /// What the payloads are: their namespace as a rule.
        payload_type: Text = "pubsub#type",
    }
}

/// What must be so for an item to be published; a node that does not exist is created
/// so, where the service can (§7.1.5). If it is not so, the answer is
/// [`Condition::PreconditionNotMet`](super::Condition::PreconditionNotMet).
///
/// ```
/// use stanchion_stanza::payload::pubsub::{AccessModel, NodeConfig, PublishOptions};
/// let private = PublishOptions(NodeConfig {
///     access_model: Some(AccessModel::Whitelist),
///     persist_items: Some(true),
///     ..NodeConfig::default()
/// });
/// let form = private.to_form();
/// assert_eq!(form.form_type(), Some(PublishOptions::FORM_TYPE));
/// assert_eq!(PublishOptions::from_form(&form)?, private);
/// # Ok::<(), stanchion_stanza::payload::PayloadError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishOptions(pub NodeConfig);

impl PublishOptions {
    /// The `FORM_TYPE` of the form.
    pub const FORM_TYPE: &'static str = "http://jabber.org/protocol/pubsub#publish-options";

    /// Reads the options.
    ///
    /// # Errors
    /// As [`NodeConfig::from_form`].
    pub fn from_form(form: &Form) -> Result<Self, PayloadError> {
        view::of_type(form, Self::FORM_TYPE)?;
        NodeConfig::read(form).map(Self)
    }

    /// Writes the options, as a form of type `submit`.
    #[must_use]
    pub fn to_form(&self) -> Form {
        let form_type = Text::from_static(Self::FORM_TYPE);
        self.0.write(Form::of(FormType::Submit, form_type))
    }
}
