//! Roles and affiliations asked for and changed (XEP-0045 §8, §9).

use super::super::{Payload, PayloadError};
use super::Item;
use crate::ns;
use crate::xml::Element;

/// In a get, one item with the role or affiliation whose bearers are wanted; in its
/// result, the bearers; in a set, those that change. A role belongs to a nickname, an
/// affiliation to an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admin {
    /// The items.
    pub items: Vec<Item>,
}

impl Payload for Admin {
    const NAME: &'static str = "query";
    const NS: &'static str = ns::MUC_ADMIN;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Item::list(element).map(|items| Self { items })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_children(self.items.iter().map(|i| i.to_element(ns::MUC_ADMIN)))
    }
}
