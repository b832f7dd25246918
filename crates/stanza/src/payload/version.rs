//! Software version (XEP-0092): what program an entity is, if it says so.

use super::parts::{child_text, text_child};
use super::{Payload, PayloadError};
use crate::ns;
use crate::xml::{Element, Text};

/// `<query/>`: empty in a request, filled in in a result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// The program's name in the language of its makers.
    pub name: Option<Text>,
    /// Which version of it.
    pub version: Option<Text>,
    /// What it runs on.
    pub os: Option<Text>,
}

impl Payload for Version {
    const NAME: &'static str = "query";
    const NS: &'static str = ns::VERSION;

    /// Reads the query. A result should have name and version; one without is read, too,
    /// for some entities hide them so.
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            name: child_text(element, "name"),
            version: child_text(element, "version"),
            os: child_text(element, "os"),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_children(text_child("name", Self::NS, self.name.clone()))
            .with_children(text_child("version", Self::NS, self.version.clone()))
            .with_children(text_child("os", Self::NS, self.os.clone()))
    }
}
