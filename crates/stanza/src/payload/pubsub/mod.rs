//! Publish-subscribe (XEP-0060): nodes of items, and who hears of them. Here what the
//! namespaces share; each has its file: requests and answers of anybody, those of a
//! node's owner, notifications, and errors. Forms have typed views in `config` and
//! `options`.

mod answer;
mod config;
mod error;
mod event;
mod options;
mod owner;
mod request;

pub use answer::Answer;
pub use config::{
    AccessModel, ItemReply, Limit, NodeConfig, NodeFull, NodeType, NotificationType, PublishModel,
    PublishOptions, SendLast,
};
pub use error::{Condition, Fault};
pub use event::{Event, Membership};
pub use options::{
    MetaData, SubscribeAuthorization, SubscribeOptions, SubscriptionDepth, SubscriptionType,
};
pub use owner::{Owner, OwnerSubscription};
pub use request::Request;

use super::forms::Form;
use super::parts::{named, names};
use super::{Payload, PayloadError, address, required_address};
use crate::jid::Jid;
use crate::xml::{Element, Text, View};

names! {
    /// What an entity may do with a node (XEP-0060 §4.1).
    Affiliation {
        /// Retrieves items and subscribes, where the access model is a whitelist.
        Member = "member",
        /// What the access model says.
        None = "none",
        /// Nothing.
        Outcast = "outcast",
        /// Everything.
        Owner = "owner",
        /// Publishes, and all that a member does.
        Publisher = "publisher",
        /// Publishes, and neither subscribes nor retrieves items.
        PublishOnly = "publish-only",
    }
}

names! {
    /// How far a subscription is (XEP-0060 §4.2).
    SubscriptionState {
        /// There is none.
        None = "none",
        /// An owner has not approved it yet.
        Pending = "pending",
        /// Notifications are sent.
        Subscribed = "subscribed",
        /// The subscriber must set its options first.
        Unconfigured = "unconfigured",
    }
}

/// An item of a node. The payload is absent where the node has none, where a
/// notification leaves it out, and where an item is only named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// Its id in the node; the service makes one if it is published without.
    pub id: Option<Text>,
    /// Who published it, as the service says (§7.1.2.3).
    pub publisher: Option<Jid>,
    /// What was published.
    pub payload: Option<Element>,
}

impl Item {
    /// An item that is named and not shown.
    #[must_use]
    pub const fn named(id: Text) -> Self {
        Self {
            id: Some(id),
            publisher: None,
            payload: None,
        }
    }

    /// An item to be published.
    #[must_use]
    pub fn of(id: Option<Text>, payload: impl Into<Element>) -> Self {
        Self {
            id,
            publisher: None,
            payload: Some(payload.into()),
        }
    }

    /// Two payloads are an error: the service answers with
    /// [`Condition::InvalidPayload`] (§7.1.3.6).
    fn read(element: View<'_>) -> Result<Self, PayloadError> {
        let mut payloads = element.children();
        let payload = payloads.next().map(View::to_element);
        if payloads.next().is_some() {
            return Err(PayloadError::Invalid {
                element: "item",
                what: "payload",
            });
        }
        Ok(Self {
            id: element.attr_text("id"),
            publisher: address(element, "item", "publisher")?,
            payload,
        })
    }

    fn to_element(&self, ns: &'static str) -> Element {
        Element::new("item", ns)
            .with_attr_opt("id", self.id.clone())
            .with_attr_opt("publisher", self.publisher.as_ref())
            .with_children(self.payload.clone())
    }

    /// The children `<item/>`.
    fn list<'a>(element: impl Into<View<'a>>) -> Result<Vec<Self>, PayloadError> {
        let element = element.into();
        let items = element.children().filter(|c| c.is("item", element.ns()));
        items.map(Self::read).collect()
    }
}

/// A subscription as a service tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The subscriber.
    pub jid: Jid,
    /// The node; none is the service itself.
    pub node: Option<Text>,
    /// Tells subscriptions of one entity to one node apart (§6.1.6).
    pub subid: Option<Text>,
    /// How far it is.
    pub state: Option<SubscriptionState>,
    /// When a lease ends, XEP-0082 DateTime; only in notifications.
    pub expiry: Option<Text>,
    /// Whether it has options to set, and whether it must have (§6.1.5); only in the
    /// answer to a request.
    pub options: Option<Configurable>,
}

/// Whether options can be set, or must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configurable {
    /// There are options, with defaults.
    Optional,
    /// Nothing is sent before the options are set.
    Required,
}

impl Subscription {
    /// A subscription of `jid`, and nothing more of it.
    #[must_use]
    pub const fn new(jid: Jid) -> Self {
        Self {
            jid,
            node: None,
            subid: None,
            state: None,
            expiry: None,
            options: None,
        }
    }

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let options = element.child("subscribe-options", element.ns());
        let required = |o: &Element| match o.child("required", o.ns()) {
            Some(_) => Configurable::Required,
            None => Configurable::Optional,
        };
        Ok(Self {
            jid: required_address(element, "subscription", "jid")?,
            node: node(element),
            subid: element.attr_text("subid"),
            state: named(
                element,
                "subscription",
                "subscription",
                SubscriptionState::from_name,
            )?,
            expiry: element.attr_text("expiry"),
            options: options.map(required),
        })
    }

    fn to_element(&self, ns: &'static str) -> Element {
        let options = self.options.map(|configurable| {
            let required = configurable == Configurable::Required;
            Element::new("subscribe-options", ns)
                .with_children(required.then(|| Element::new("required", ns)))
        });
        Element::new("subscription", ns)
            .with_attr_opt("node", self.node.clone())
            .with_attr("jid", &self.jid)
            .with_attr_opt("subid", self.subid.clone())
            .with_attr_opt("subscription", self.state)
            .with_attr_opt("expiry", self.expiry.clone())
            .with_children(options)
    }
}

/// The attribute `node`.
fn node(element: &Element) -> Option<Text> {
    element.attr_text("node")
}

/// The form in `element`.
fn form(element: &Element) -> Result<Option<Form>, PayloadError> {
    Form::find(element.children())
}

/// An element with a form in it.
fn with_form(element: Element, form: Option<&Form>) -> Element {
    element.with_children(form.map(Form::to_element))
}
