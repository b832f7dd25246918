//! Forms about subscriptions, and what a node tells of itself (XEP-0060 §17.4.1 to
//! §17.4.3).

use super::super::forms::view::{form_view, list_single};
use super::super::parts::names;
use super::{AccessModel, Limit, PublishModel};
use crate::jid::Jid;
use crate::xml::Text;

names! {
    /// What a subscription to a collection is about.
    SubscriptionType {
        /// New items.
        Items = "items",
        /// New nodes.
        Nodes = "nodes",
        ..
    }
}

names! {
    /// How far down a subscription to a collection reaches.
    SubscriptionDepth {
        /// To its own nodes.
        One = "1",
        /// To all nodes below it.
        All = "all",
        ..
    }
}

list_single!(SubscriptionType, SubscriptionDepth);

form_view! {
    /// A subscription's options (§6.3). What is absent is as the service wants it.
    SubscribeOptions, "http://jabber.org/protocol/pubsub#subscribe_options" {
        /// Whether to notify.
        deliver: bool = "pubsub#deliver",
        /// Whether to gather notifications.
        digest: bool = "pubsub#digest",
        /// Milliseconds between two gatherings at least.
        digest_frequency: u64 = "pubsub#digest_frequency",
        /// When a lease ends, XEP-0082 DateTime, or `presence` for that of the subscriber.
        expire: Text = "pubsub#expire",
        /// Whether to add a message body.
        include_body: bool = "pubsub#include_body",
        /// The presence in which to notify: `online`, or a value of `<show/>`.
        show_values: Vec<Text> = "pubsub#show-values",
        /// What it is about.
        subscription_type: SubscriptionType = "pubsub#subscription_type",
        /// How far down it reaches.
        subscription_depth: SubscriptionDepth = "pubsub#subscription_depth",
    }
}

form_view! {
    /// A request to subscribe, which an owner is sent and answers (§8.6).
    SubscribeAuthorization, "http://jabber.org/protocol/pubsub#subscribe_authorization" {
        /// Whether to allow it.
        allow: bool = "pubsub#allow",
        /// The node.
        node: Text = "pubsub#node",
        /// Who asks.
        subscriber_jid: Jid = "pubsub#subscriber_jid",
        /// Which subscription.
        subid: Text = "pubsub#subid",
    }
}

form_view! {
    /// What a node tells of itself, in the extension of a `disco#info` answer (§5.4).
    MetaData, "http://jabber.org/protocol/pubsub#meta-data" {
        /// Whom to ask.
        contact: Vec<Jid> = "pubsub#contact",
        /// When it was created, XEP-0082 DateTime.
        creation_date: Text = "pubsub#creation_date",
        /// Who created it.
        creator: Jid = "pubsub#creator",
        /// What it is about, for people.
        description: Text = "pubsub#description",
        /// Its language.
        language: Text = "pubsub#language",
        /// Who may subscribe and retrieve items.
        access_model: AccessModel = "pubsub#access_model",
        /// Who may publish.
        publish_model: PublishModel = "pubsub#publish_model",
        /// How many subscribers it has.
        num_subscribers: u64 = "pubsub#num_subscribers",
        /// Who owns it.
        owner: Vec<Jid> = "pubsub#owner",
        /// Who publishes.
        publisher: Vec<Jid> = "pubsub#publisher",
        /// A name for people.
        title: Text = "pubsub#title",
        /// What the payloads are: their namespace as a rule.
        payload_type: Text = "pubsub#type",
        /// Items that are kept.
        max_items: Limit = "pubsub#max_items",
    }
}
