//! Last activity (XEP-0012): for how long an entity has been idle, away or up.

use super::{Payload, PayloadError, parsed};
use crate::ns;
use crate::xml::{Element, Text};

/// `<query/>`: empty in a request, with seconds in a result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastActivity {
    /// Seconds. Of an account since its last device left (0: one is there), of a device
    /// since somebody used it, of a server since it started (§3 to §5).
    pub seconds: Option<u64>,
    /// The status of the presence by which the last device left; empty if it had none.
    pub status: Text,
}

impl Payload for LastActivity {
    const NAME: &'static str = "query";
    const NS: &'static str = ns::LAST;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            seconds: parsed(element, Self::NAME, "seconds")?,
            status: element.text_value(),
        })
    }

    fn to_element(&self) -> Element {
        let query = Element::new(Self::NAME, Self::NS).with_attr_opt("seconds", self.seconds);
        match self.status.is_empty() {
            true => query,
            false => query.with_text(self.status.clone()),
        }
    }
}
