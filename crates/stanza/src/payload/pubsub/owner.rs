//! What a node's owner asks and sets (XEP-0060 §8.2 to §8.9). Requests and answers have
//! one shape.

use super::super::forms::Form;
use super::super::parts::named;
use super::super::{Payload, PayloadError, required, required_address};
use super::{Affiliation, SubscriptionState, form, node, with_form};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

/// Somebody's subscription, to be seen or changed by the owner (§8.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerSubscription {
    /// The subscriber.
    pub jid: Jid,
    /// Which subscription, where there are several.
    pub subid: Option<Text>,
    /// How far it is, or is to be; `None` in a set ends it.
    pub state: SubscriptionState,
}

/// The content of a get, a set or a result in the owner's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A node's configuration: asked for without a form, answered and set with one
    /// (§8.2); see [`NodeConfig`](super::NodeConfig).
    Configure {
        /// The node.
        node: Text,
        /// The configuration.
        form: Option<Form>,
    },
    /// The configuration that a new node has: asked for without a form, answered with
    /// one (§8.3).
    Default {
        /// The configuration.
        form: Option<Form>,
    },
    /// Set: delete the node (§8.4).
    Delete {
        /// The node.
        node: Text,
        /// A URI of what takes its place.
        redirect: Option<Text>,
    },
    /// Set: delete all its items (§8.5).
    Purge {
        /// The node.
        node: Text,
    },
    /// Subscriptions: asked for with none, answered with all, set with those that
    /// change (§8.8).
    Subscriptions {
        /// The node. It must be there (§8.8); yet Prosody leaves it out of its answers
        /// and names it in each subscription, if there are any, where it is read, too.
        node: Option<Text>,
        /// The subscriptions.
        subscriptions: Vec<OwnerSubscription>,
    },
    /// Affiliations: asked for with none, answered with all, set with those that change
    /// (§8.9).
    Affiliations {
        /// The node.
        node: Text,
        /// Entities, and the affiliation of each.
        affiliations: Vec<(Jid, Affiliation)>,
    },
}

/// The attribute that says what somebody is, which must be there.
fn required_name<T>(
    element: &Element,
    kind: &'static str,
    from_name: impl Fn(&str) -> Option<T>,
) -> Result<T, PayloadError> {
    named(element, kind, kind, from_name)?.ok_or(PayloadError::MissingAttribute {
        element: kind,
        attribute: kind,
    })
}

impl OwnerSubscription {
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            jid: required_address(element, "subscription", "jid")?,
            subid: element.attr_text("subid"),
            state: required_name(element, "subscription", SubscriptionState::from_name)?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new("subscription", ns::PUBSUB_OWNER)
            .with_attr("jid", &self.jid)
            .with_attr_opt("subid", self.subid.clone())
            .with_attr("subscription", self.state)
    }
}

fn affiliation(element: &Element) -> Result<(Jid, Affiliation), PayloadError> {
    Ok((
        required_address(element, "affiliation", "jid")?,
        required_name(element, "affiliation", Affiliation::from_name)?,
    ))
}

/// Where a deleted node went, if its element says so.
pub(super) fn redirect(element: &Element) -> Result<Option<Text>, PayloadError> {
    let redirect = element.child("redirect", element.ns());
    redirect.map(|r| required(r, "redirect", "uri")).transpose()
}

/// A deleted node's element.
pub(super) fn delete(ns: &'static str, node: &Text, redirect: Option<&Text>) -> Element {
    Element::new("delete", ns)
        .with_attr("node", node.clone())
        .with_children(
            redirect.map(|uri| Element::new("redirect", ns).with_attr("uri", uri.clone())),
        )
}

impl Payload for Owner {
    const NAME: &'static str = "pubsub";
    const NS: &'static str = ns::PUBSUB_OWNER;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let requests = element.children().filter(|c| c.ns() == ns::PUBSUB_OWNER);
        for e in requests {
            let listed = |name| e.children().filter(move |c| c.is(name, ns::PUBSUB_OWNER));
            return Ok(match e.name() {
                "configure" => Self::Configure {
                    node: required(e, "configure", "node")?,
                    form: form(e)?,
                },
                "default" => Self::Default { form: form(e)? },
                "delete" => Self::Delete {
                    node: required(e, "delete", "node")?,
                    redirect: redirect(e)?,
                },
                "purge" => Self::Purge {
                    node: required(e, "purge", "node")?,
                },
                "subscriptions" => Self::Subscriptions {
                    node: node(e).or_else(|| listed("subscription").find_map(node)),
                    subscriptions: listed("subscription")
                        .map(OwnerSubscription::from_element)
                        .collect::<Result<_, _>>()?,
                },
                "affiliations" => Self::Affiliations {
                    node: required(e, "affiliations", "node")?,
                    affiliations: listed("affiliation")
                        .map(affiliation)
                        .collect::<Result<_, _>>()?,
                },
                _ => continue,
            });
        }
        Err(PayloadError::Invalid {
            element: Self::NAME,
            what: "request",
        })
    }

    fn to_element(&self) -> Element {
        let child = |name| Element::new(name, ns::PUBSUB_OWNER);
        let of_node = |name, node: &Text| child(name).with_attr("node", node.clone());
        child(Self::NAME).with_child(match self {
            Self::Configure { node, form } => with_form(of_node("configure", node), form.as_ref()),
            Self::Default { form } => with_form(child("default"), form.as_ref()),
            Self::Delete { node, redirect } => delete(ns::PUBSUB_OWNER, node, redirect.as_ref()),
            Self::Purge { node } => of_node("purge", node),
            Self::Subscriptions {
                node,
                subscriptions,
            } => child("subscriptions")
                .with_attr_opt("node", node.clone())
                .with_children(subscriptions.iter().map(OwnerSubscription::to_element)),
            Self::Affiliations { node, affiliations } => {
                let list = affiliations.iter().map(|(jid, affiliation)| {
                    child("affiliation")
                        .with_attr("jid", jid)
                        .with_attr("affiliation", *affiliation)
                });
                of_node("affiliations", node).with_children(list)
            }
        })
    }
}
