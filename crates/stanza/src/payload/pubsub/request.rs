//! What anybody asks of a service (XEP-0060 §5 to §8.1). The answers are in `answer`.

use super::super::forms::Form;
use super::super::parts::{boolean, named};
use super::super::rsm::PageRequest;
use super::super::{Payload, PayloadError, parsed, required, required_address};
use super::{Item, form, node, with_form};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

/// The content of a get or set. An answer has the same element: see
/// [`Answer`](super::Answer).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Set: create a node (§8.1).
    Create {
        /// Its name; `None` leaves it to the service.
        node: Option<Text>,
        /// What differs from the service's defaults; see
        /// [`NodeConfig`](super::NodeConfig).
        configure: Option<Form>,
    },
    /// Set: subscribe to a node (§6.1).
    Subscribe {
        /// Who is to be notified: the sender, bare or full.
        jid: Jid,
        /// The node; none is the service itself.
        node: Option<Text>,
        /// Options set at once (§6.3.7); see [`SubscribeOptions`](super::SubscribeOptions).
        options: Option<Form>,
    },
    /// Set: end a subscription (§6.2).
    Unsubscribe {
        /// Who was notified.
        jid: Jid,
        /// The node.
        node: Option<Text>,
        /// Which subscription, where there are several.
        subid: Option<Text>,
    },
    /// Get, without a form, or set: options of a subscription (§6.3).
    Options {
        /// The subscriber.
        jid: Jid,
        /// The node.
        node: Option<Text>,
        /// Which subscription, where there are several.
        subid: Option<Text>,
        /// What to set.
        form: Option<Form>,
    },
    /// Get: the options that a new subscription has (§6.4).
    DefaultOptions {
        /// The node; none asks for those of the service.
        node: Option<Text>,
    },
    /// Get: items (§6.5).
    Items {
        /// The node.
        node: Text,
        /// The most recent ones only, so many at most (§6.5.7); at least 1.
        max_items: Option<u32>,
        /// Which subscription, where there are several.
        subid: Option<Text>,
        /// Those of these ids; none asks for all.
        ids: Vec<Text>,
        /// A page of them, where the service can (§6.5.4).
        page: Option<PageRequest>,
    },
    /// Set: publish (§7.1). The item of an id that the node has is replaced.
    Publish {
        /// The node.
        node: Text,
        /// One item; none only notifies, where a node has no items.
        items: Vec<Item>,
        /// What must be so for the items to be published (§7.1.5); see
        /// [`PublishOptions`](super::PublishOptions).
        options: Option<Form>,
    },
    /// Set: delete items (§7.2).
    Retract {
        /// The node.
        node: Text,
        /// The items; at least one.
        ids: Vec<Text>,
        /// Whether subscribers are told, if the node's configuration leaves it open.
        /// Default false.
        notify: bool,
    },
    /// Get: the sender's subscriptions (§5.6).
    Subscriptions {
        /// At one node; none asks for all.
        node: Option<Text>,
    },
    /// Get: the sender's affiliations (§5.7).
    Affiliations {
        /// With one node; none asks for all.
        node: Option<Text>,
    },
}

fn ids(element: &Element) -> Result<Vec<Text>, PayloadError> {
    let items = element.children().filter(|c| c.is("item", ns::PUBSUB));
    items.map(|item| required(item, "item", "id")).collect()
}

impl Payload for Request {
    const NAME: &'static str = "pubsub";
    const NS: &'static str = ns::PUBSUB;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let child = |name| element.child(name, ns::PUBSUB);
        // `configure`, `options` and `publish-options` may stand beside another request,
        // which says what they are for.
        let beside = |name| child(name).map(form).transpose().map(Option::flatten);
        let subid = |e: &Element| e.attr_text("subid");
        if let Some(e) = child("create") {
            return Ok(Self::Create {
                node: node(e),
                configure: beside("configure")?,
            });
        }
        if let Some(e) = child("subscribe") {
            return Ok(Self::Subscribe {
                jid: required_address(e, "subscribe", "jid")?,
                node: node(e),
                options: beside("options")?,
            });
        }
        if let Some(e) = child("publish") {
            return Ok(Self::Publish {
                node: required(e, "publish", "node")?,
                items: Item::list(e)?,
                options: beside("publish-options")?,
            });
        }
        let requests = element.children().filter(|c| c.ns() == ns::PUBSUB);
        for e in requests {
            return Ok(match e.name() {
                "unsubscribe" => Self::Unsubscribe {
                    jid: required_address(e, "unsubscribe", "jid")?,
                    node: node(e),
                    subid: subid(e),
                },
                "options" => Self::Options {
                    jid: required_address(e, "options", "jid")?,
                    node: node(e),
                    subid: subid(e),
                    form: form(e)?,
                },
                "default" => Self::DefaultOptions { node: node(e) },
                "items" => Self::Items {
                    node: required(e, "items", "node")?,
                    max_items: parsed(e, "items", "max_items")?,
                    subid: subid(e),
                    ids: ids(e)?,
                    page: PageRequest::find(element.children())?,
                },
                "retract" => Self::Retract {
                    node: required(e, "retract", "node")?,
                    ids: ids(e)?,
                    notify: named(e, "retract", "notify", boolean)?.unwrap_or(false),
                },
                "subscriptions" => Self::Subscriptions { node: node(e) },
                "affiliations" => Self::Affiliations { node: node(e) },
                _ => continue,
            });
        }
        Err(PayloadError::Invalid {
            element: Self::NAME,
            what: "request",
        })
    }

    fn to_element(&self) -> Element {
        let child = |name| Element::new(name, ns::PUBSUB);
        let of_node = |name, node: &Option<Text>| child(name).with_attr_opt("node", node.clone());
        let named = |id: &Text| child("item").with_attr("id", id.clone());
        let beside = |name, form: &Option<Form>| {
            form.as_ref().map(|form| with_form(child(name), Some(form)))
        };
        let pubsub = child(Self::NAME);
        match self {
            Self::Create { node, configure } => pubsub
                .with_child(of_node("create", node))
                .with_children(beside("configure", configure)),
            Self::Subscribe { jid, node, options } => pubsub
                .with_child(of_node("subscribe", node).with_attr("jid", jid))
                .with_children(beside("options", options)),
            Self::Unsubscribe { jid, node, subid } => pubsub.with_child(
                of_node("unsubscribe", node)
                    .with_attr("jid", jid)
                    .with_attr_opt("subid", subid.clone()),
            ),
            Self::Options {
                jid,
                node,
                subid,
                form,
            } => {
                let options = of_node("options", node)
                    .with_attr("jid", jid)
                    .with_attr_opt("subid", subid.clone());
                pubsub.with_child(with_form(options, form.as_ref()))
            }
            Self::DefaultOptions { node } => pubsub.with_child(of_node("default", node)),
            Self::Items {
                node,
                max_items,
                subid,
                ids,
                page,
            } => pubsub
                .with_child(
                    child("items")
                        .with_attr("node", node.clone())
                        .with_attr_opt("max_items", *max_items)
                        .with_attr_opt("subid", subid.clone())
                        .with_children(ids.iter().map(named)),
                )
                .with_children(page.as_ref().map(PageRequest::to_element)),
            Self::Publish {
                node,
                items,
                options,
            } => pubsub
                .with_child(
                    child("publish")
                        .with_attr("node", node.clone())
                        .with_children(items.iter().map(|i| i.to_element(ns::PUBSUB))),
                )
                .with_children(beside("publish-options", options)),
            Self::Retract { node, ids, notify } => pubsub.with_child(
                child("retract")
                    .with_attr("node", node.clone())
                    .with_attr_opt("notify", notify.then_some(true))
                    .with_children(ids.iter().map(named)),
            ),
            Self::Subscriptions { node } => pubsub.with_child(of_node("subscriptions", node)),
            Self::Affiliations { node } => pubsub.with_child(of_node("affiliations", node)),
        }
    }
}
