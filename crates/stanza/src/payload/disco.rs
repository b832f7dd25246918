//! Service discovery (XEP-0030): what an entity is and can do, and what it has.

use super::{Payload, PayloadError, required, required_address};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

/// Who the entity is, of the registry's categories (XEP-0030 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Such as `client`, `server`, `device`.
    pub category: Text,
    /// Such as `pc`, `im`, `sensor`.
    pub kind: Text,
    /// A name for people.
    pub name: Option<Text>,
    /// Its language.
    pub lang: Option<Text>,
}

/// `disco#info`, query and answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoInfo {
    /// The node asked about.
    pub node: Option<Text>,
    /// Identities; an answer has at least one.
    pub identities: Vec<Identity>,
    /// Feature names.
    pub features: Vec<Text>,
    /// Extension forms (XEP-0128), as they stood.
    pub extensions: Vec<Element>,
}

impl DiscoInfo {
    /// Whether `feature` is announced.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|f| *f == feature)
    }
}

impl Payload for DiscoInfo {
    const NAME: &'static str = "query";
    const NS: &'static str = ns::DISCO_INFO;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let mut info = Self {
            node: element.attr_text("node"),
            ..Self::default()
        };
        for child in element.children() {
            match (child.name(), child.ns()) {
                ("identity", ns::DISCO_INFO) => {
                    info.identities.push(Identity {
                        category: required(child, "identity", "category")?,
                        kind: required(child, "identity", "type")?,
                        name: child.attr_text("name"),
                        lang: child.lang_text(),
                    });
                }
                ("feature", ns::DISCO_INFO) => {
                    info.features.push(required(child, "feature", "var")?);
                }
                _ => info.extensions.push(child.clone()),
            }
        }
        Ok(info)
    }

    fn to_element(&self) -> Element {
        let identity = |i: &Identity| {
            let mut e = Element::new("identity", ns::DISCO_INFO)
                .with_attr("category", i.category.clone())
                .with_attr("type", i.kind.clone())
                .with_attr_opt("name", i.name.clone());
            if let Some(lang) = &i.lang {
                e.set_lang(lang.clone());
            }
            e
        };
        let feature =
            |f: &Text| Element::new("feature", ns::DISCO_INFO).with_attr("var", f.clone());
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("node", self.node.clone())
            .with_children(self.identities.iter().map(identity))
            .with_children(self.features.iter().map(feature))
            .with_children(self.extensions.iter().cloned())
    }
}

/// One item of an entity (XEP-0030 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its address.
    pub jid: Jid,
    /// A node at that address.
    pub node: Option<Text>,
    /// A name for people.
    pub name: Option<Text>,
}

/// `disco#items`, query and answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoItems {
    /// The node asked about.
    pub node: Option<Text>,
    /// The items.
    pub items: Vec<Item>,
}

impl Payload for DiscoItems {
    const NAME: &'static str = "query";
    const NS: &'static str = ns::DISCO_ITEMS;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let mut items = Vec::new();
        for child in element.children().filter(|c| c.is("item", ns::DISCO_ITEMS)) {
            items.push(Item {
                jid: required_address(child, "item", "jid")?,
                node: child.attr_text("node"),
                name: child.attr_text("name"),
            });
        }
        Ok(Self {
            node: element.attr_text("node"),
            items,
        })
    }

    fn to_element(&self) -> Element {
        let item = |i: &Item| {
            Element::new("item", ns::DISCO_ITEMS)
                .with_attr("jid", &i.jid)
                .with_attr_opt("node", i.node.clone())
                .with_attr_opt("name", i.name.clone())
        };
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("node", self.node.clone())
            .with_children(self.items.iter().map(item))
    }
}
