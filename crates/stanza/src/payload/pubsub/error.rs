//! The conditions that a service adds to a stanza error (XEP-0060 §18.2).

use super::super::parts::names;
use crate::ns;
use crate::stanza::StanzaError;
use crate::xml::{Element, Text};

names! {
    /// Why a request was refused, beyond the stanza error's condition.
    Condition {
        /// The node takes no more subscriptions.
        ClosedNode = "closed-node",
        /// The subscription must be configured first.
        ConfigurationRequired = "configuration-required",
        /// The subscriber's address is not the sender's.
        InvalidJid = "invalid-jid",
        /// The options cannot be set so.
        InvalidOptions = "invalid-options",
        /// The item has several payloads, or one of the wrong namespace.
        InvalidPayload = "invalid-payload",
        /// There is no subscription of that id.
        InvalidSubid = "invalid-subid",
        /// The node has no items, so there can be none in the request.
        ItemForbidden = "item-forbidden",
        /// The request needs an item.
        ItemRequired = "item-required",
        /// The request needs the subscriber's address.
        JidRequired = "jid-required",
        /// The node is full.
        MaxItemsExceeded = "max-items-exceeded",
        /// The owner has as many nodes as it may.
        MaxNodesExceeded = "max-nodes-exceeded",
        /// The request needs the name of a node.
        NodeidRequired = "nodeid-required",
        /// The requester is in none of the roster groups that may.
        NotInRosterGroup = "not-in-roster-group",
        /// The entity is not subscribed.
        NotSubscribed = "not-subscribed",
        /// The payload is larger than the node allows.
        PayloadTooBig = "payload-too-big",
        /// The item needs a payload.
        PayloadRequired = "payload-required",
        /// The subscription is not approved yet.
        PendingSubscription = "pending-subscription",
        /// The publish options are not met.
        PreconditionNotMet = "precondition-not-met",
        /// The requester does not see the owner's presence.
        PresenceSubscriptionRequired = "presence-subscription-required",
        /// The request must say which subscription.
        SubidRequired = "subid-required",
        /// The entity has as many subscriptions as it may.
        TooManySubscriptions = "too-many-subscriptions",
        /// The service lacks a feature.
        Unsupported = "unsupported",
        /// The node cannot have that access model.
        UnsupportedAccessModel = "unsupported-access-model",
    }
}

/// A condition, with the feature that is lacking. Each condition is an element of its
/// own, so this is no `Payload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The condition.
    pub condition: Condition,
    /// The name of the feature, of `unsupported` alone: such as `retrieve-items`.
    pub feature: Option<Text>,
}

impl Fault {
    /// What `error` says of publish-subscribe, if it says anything that is known.
    #[must_use]
    pub fn of(error: &StanzaError) -> Option<Self> {
        error.application.as_deref().and_then(Self::from_element)
    }

    /// The condition that `element` is, if it is one that is known.
    #[must_use]
    pub fn from_element(element: &Element) -> Option<Self> {
        if element.ns() != ns::PUBSUB_ERRORS {
            return None;
        }
        Condition::from_name(element.name()).map(|condition| Self {
            condition,
            feature: element.attr_text("feature"),
        })
    }

    /// The condition as an element, for [`StanzaError::application`].
    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new(self.condition.as_str(), ns::PUBSUB_ERRORS)
            .with_attr_opt("feature", self.feature.clone())
    }
}

impl From<Condition> for Fault {
    fn from(condition: Condition) -> Self {
        Self {
            condition,
            feature: None,
        }
    }
}
