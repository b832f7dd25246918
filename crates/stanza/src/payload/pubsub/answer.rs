//! What a service answers to a `Request` (XEP-0060 §5 to §8.1).

use super::super::forms::Form;
use super::super::parts::named;
use super::super::rsm::Page;
use super::super::{Payload, PayloadError, required, required_address};
use super::{Affiliation, Item, Subscription, form, node, with_form};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

/// The content of a result, where it has any: most requests are answered by an empty
/// result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// No content: a whole set that is empty (XEP-0059 §2.2).
    Empty,
    /// The node was created, and has this name (§8.1.2).
    Created {
        /// The name.
        node: Text,
    },
    /// The subscription that was asked for (§6.1.2), or its state after its end.
    Subscribed(Subscription),
    /// Options of a subscription, to be filled in (§6.3.3).
    Options {
        /// The subscriber.
        jid: Jid,
        /// The node.
        node: Option<Text>,
        /// Which subscription, where there are several.
        subid: Option<Text>,
        /// The options; see [`SubscribeOptions`](super::SubscribeOptions).
        form: Option<Form>,
    },
    /// The options that a new subscription has (§6.4.2).
    DefaultOptions {
        /// The node; none is the service.
        node: Option<Text>,
        /// The options.
        form: Option<Form>,
    },
    /// Items (§6.5.3).
    Items {
        /// The node.
        node: Text,
        /// The items, in the service's order.
        items: Vec<Item>,
        /// Which part of them it is, if not all (§6.5.4).
        page: Option<Page>,
    },
    /// What was published, by id (§7.1.2).
    Published {
        /// The node.
        node: Text,
        /// Ids; the service made those that were not given.
        ids: Vec<Text>,
    },
    /// The requester's subscriptions (§5.6).
    Subscriptions {
        /// At one node; none is all.
        node: Option<Text>,
        /// The subscriptions.
        subscriptions: Vec<Subscription>,
    },
    /// The requester's affiliations (§5.7).
    Affiliations {
        /// With one node; none is all.
        node: Option<Text>,
        /// Nodes, and the affiliation with each.
        affiliations: Vec<(Text, Affiliation)>,
    },
}

/// What the requester is to that node.
fn affiliation(element: &Element) -> Result<(Text, Affiliation), PayloadError> {
    const KIND: &str = "affiliation";
    let affiliation = named(element, KIND, KIND, Affiliation::from_name)?;
    Ok((
        required(element, KIND, "node")?,
        affiliation.ok_or(PayloadError::MissingAttribute {
            element: KIND,
            attribute: KIND,
        })?,
    ))
}

impl Payload for Answer {
    const NAME: &'static str = "pubsub";
    const NS: &'static str = ns::PUBSUB;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let answers = element.children().filter(|c| c.ns() == ns::PUBSUB);
        for e in answers {
            let listed = |name| e.children().filter(move |c| c.is(name, ns::PUBSUB));
            return Ok(match e.name() {
                "create" => Self::Created {
                    node: required(e, "create", "node")?,
                },
                "subscription" => Self::Subscribed(Subscription::from_element(e)?),
                "options" => Self::Options {
                    jid: required_address(e, "options", "jid")?,
                    node: node(e),
                    subid: e.attr_text("subid"),
                    form: form(e)?,
                },
                "default" => Self::DefaultOptions {
                    node: node(e),
                    form: form(e)?,
                },
                "items" => Self::Items {
                    node: required(e, "items", "node")?,
                    items: Item::list(e)?,
                    page: Page::find(element.children())?,
                },
                "publish" => Self::Published {
                    node: required(e, "publish", "node")?,
                    ids: listed("item")
                        .map(|item| required(item, "item", "id"))
                        .collect::<Result<_, _>>()?,
                },
                "subscriptions" => Self::Subscriptions {
                    node: node(e),
                    subscriptions: listed("subscription")
                        .map(Subscription::from_element)
                        .collect::<Result<_, _>>()?,
                },
                "affiliations" => Self::Affiliations {
                    node: node(e),
                    affiliations: listed("affiliation")
                        .map(affiliation)
                        .collect::<Result<_, _>>()?,
                },
                _ => continue,
            });
        }
        Ok(Self::Empty)
    }

    fn to_element(&self) -> Element {
        let child = |name| Element::new(name, ns::PUBSUB);
        let of_node = |name, node: &Option<Text>| child(name).with_attr_opt("node", node.clone());
        let pubsub = child(Self::NAME);
        match self {
            Self::Empty => pubsub,
            Self::Created { node } => {
                pubsub.with_child(child("create").with_attr("node", node.clone()))
            }
            Self::Subscribed(subscription) => {
                pubsub.with_child(subscription.to_element(ns::PUBSUB))
            }
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
            Self::DefaultOptions { node, form } => {
                pubsub.with_child(with_form(of_node("default", node), form.as_ref()))
            }
            Self::Items { node, items, page } => pubsub
                .with_child(
                    child("items")
                        .with_attr("node", node.clone())
                        .with_children(items.iter().map(|i| i.to_element(ns::PUBSUB))),
                )
                .with_children(page.as_ref().map(Page::to_element)),
            Self::Published { node, ids } => {
                let named = |id: &Text| child("item").with_attr("id", id.clone());
                let publish = child("publish").with_attr("node", node.clone());
                pubsub.with_child(publish.with_children(ids.iter().map(named)))
            }
            Self::Subscriptions {
                node,
                subscriptions,
            } => {
                let list = subscriptions.iter().map(|s| s.to_element(ns::PUBSUB));
                pubsub.with_child(of_node("subscriptions", node).with_children(list))
            }
            Self::Affiliations { node, affiliations } => {
                let list = affiliations.iter().map(|(node, affiliation)| {
                    child("affiliation")
                        .with_attr("node", node.clone())
                        .with_attr("affiliation", *affiliation)
                });
                pubsub.with_child(of_node("affiliations", node).with_children(list))
            }
        }
    }
}
