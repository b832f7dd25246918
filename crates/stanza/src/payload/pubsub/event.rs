//! What subscribers are told, in a message (XEP-0060 §7.1.2.1, §7.2.2.1, §8).

use super::super::forms::Form;
use super::super::{Payload, PayloadError, required};
use super::owner::{delete, redirect};
use super::{Item, Subscription, form, node, with_form};
use crate::ns;
use crate::xml::{Element, Text};

/// A notification. Believe it only from the service that was subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Items were published or deleted (§7.1.2, §7.2.2); never both in one.
    Items {
        /// The node.
        node: Text,
        /// What was published, with or without payloads.
        items: Vec<Item>,
        /// Ids of what was deleted.
        retracted: Vec<Text>,
    },
    /// A node was put into a collection, or taken out of it (XEP-0248 §5.3.2).
    Collection {
        /// The collection; none is the root.
        node: Option<Text>,
        /// The node that came or went.
        change: Membership,
    },
    /// The configuration changed (§8.2.5.4).
    Configuration {
        /// The node.
        node: Option<Text>,
        /// The new configuration, if the node shows it.
        form: Option<Form>,
    },
    /// The node was deleted (§8.4.2).
    Delete {
        /// The node.
        node: Text,
        /// A URI of what takes its place.
        redirect: Option<Text>,
    },
    /// All items were deleted (§8.5.2).
    Purge {
        /// The node.
        node: Text,
    },
    /// The state of the recipient's subscription changed (§8.8.4).
    Subscription(Subscription),
}

/// What became of a node in a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// It is in the collection now.
    Associated {
        /// The node.
        node: Text,
        /// What it tells of itself; see [`MetaData`](super::MetaData).
        form: Option<Form>,
    },
    /// It is no longer in it.
    Dissociated {
        /// The node.
        node: Text,
    },
}

impl Membership {
    fn from_element(collection: &Element) -> Result<Self, PayloadError> {
        let child = |name| collection.child(name, ns::PUBSUB_EVENT);
        if let Some(e) = child("associate") {
            return Ok(Self::Associated {
                node: required(e, "associate", "node")?,
                form: form(e)?,
            });
        }
        // XEP-0248 has the first of these names, the schema of XEP-0060 the second.
        let dissociate = child("dissociate").or_else(|| child("disassociate"));
        let e = dissociate.ok_or(PayloadError::MissingChild {
            element: "collection",
            child: "associate",
        })?;
        let node = required(e, "dissociate", "node")?;
        Ok(Self::Dissociated { node })
    }

    fn to_element(&self) -> Element {
        let child = |name, node: &Text| {
            Element::new(name, ns::PUBSUB_EVENT).with_attr("node", node.clone())
        };
        match self {
            Self::Associated { node, form } => with_form(child("associate", node), form.as_ref()),
            Self::Dissociated { node } => child("dissociate", node),
        }
    }
}

impl Payload for Event {
    const NAME: &'static str = "event";
    const NS: &'static str = ns::PUBSUB_EVENT;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let changes = element.view().children();
        for view in changes.filter(|c| c.ns() == ns::PUBSUB_EVENT) {
            let e = &view.to_element();
            return Ok(match view.name() {
                "items" => Self::Items {
                    node: required(view, "items", "node")?,
                    items: Item::list(view)?,
                    retracted: view
                        .children()
                        .filter(|c| c.is("retract", ns::PUBSUB_EVENT))
                        .map(|r| required(r, "retract", "id"))
                        .collect::<Result<_, _>>()?,
                },
                "collection" => Self::Collection {
                    node: node(e),
                    change: Membership::from_element(e)?,
                },
                "configuration" => Self::Configuration {
                    node: node(e),
                    form: form(e)?,
                },
                "delete" => Self::Delete {
                    node: required(e, "delete", "node")?,
                    redirect: redirect(e)?,
                },
                "purge" => Self::Purge {
                    node: required(e, "purge", "node")?,
                },
                "subscription" => Self::Subscription(Subscription::from_element(e)?),
                _ => continue,
            });
        }
        Err(PayloadError::Invalid {
            element: Self::NAME,
            what: "change",
        })
    }

    fn to_element(&self) -> Element {
        let child = |name| Element::new(name, ns::PUBSUB_EVENT);
        child(Self::NAME).with_child(match self {
            Self::Items {
                node,
                items,
                retracted,
            } => {
                let retract = |id: &Text| child("retract").with_attr("id", id.clone());
                child("items")
                    .with_attr("node", node.clone())
                    .with_children(items.iter().map(|i| i.to_element(ns::PUBSUB_EVENT)))
                    .with_children(retracted.iter().map(retract))
            }
            Self::Collection { node, change } => child("collection")
                .with_attr_opt("node", node.clone())
                .with_child(change.to_element()),
            Self::Configuration { node, form } => with_form(
                child("configuration").with_attr_opt("node", node.clone()),
                form.as_ref(),
            ),
            Self::Delete { node, redirect } => delete(ns::PUBSUB_EVENT, node, redirect.as_ref()),
            Self::Purge { node } => child("purge").with_attr("node", node.clone()),
            Self::Subscription(subscription) => subscription.to_element(ns::PUBSUB_EVENT),
        })
    }
}
