//! The room's configuration and its end (XEP-0045 §10).

use super::super::forms::Form;
use super::super::{Payload, PayloadError};
use super::Destroy;
use crate::ns;
use crate::xml::Element;

/// What an owner asks or orders, and the room's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Get: the configuration is wanted.
    Ask,
    /// In a result, the configuration to fill in; in a set, filled in. A new room stays
    /// locked until then: `submit` an empty form for the defaults (§10.1.2), `cancel`
    /// one to give it up. See [`RoomConfig`](super::RoomConfig).
    Configure(Form),
    /// Set: the room is to end (§10.9).
    Destroy(Destroy),
}

impl Payload for Owner {
    const NAME: &'static str = "query";
    const NS: &'static str = ns::MUC_OWNER;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        if let Some(destroy) = Destroy::child_of(element)? {
            return Ok(Self::Destroy(destroy));
        }
        let form = Form::find(element.children())?;
        Ok(form.map_or(Self::Ask, Self::Configure))
    }

    fn to_element(&self) -> Element {
        let query = Element::new(Self::NAME, Self::NS);
        match self {
            Self::Ask => query,
            Self::Configure(form) => query.with_child(form.to_element()),
            Self::Destroy(destroy) => query.with_child(destroy.to_element(ns::MUC_OWNER)),
        }
    }
}
