//! What an account wants archived (XEP-0441).

use super::super::parts::{named, names};
use super::super::{Payload, PayloadError};
use crate::jid::Jid;
use crate::ns;
use crate::xml::Element;

names! {
    /// What happens to messages of addresses in neither list (XEP-0441 §2.1.1).
    DefaultPolicy {
        /// They are archived.
        Always = "always",
        /// They are not.
        Never = "never",
        /// They are, if the address is in the roster.
        Roster = "roster",
    }
}

/// The preferences, asked for, answered or set. A server may apply others than were
/// set, and answers with what it applies (XEP-0441 §2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefs {
    /// For addresses in neither list; `None` only asks for the preferences.
    pub default: Option<DefaultPolicy>,
    /// Addresses whose messages are archived; a bare one stands for all its resources.
    pub always: Vec<Jid>,
    /// Addresses whose messages are not.
    pub never: Vec<Jid>,
}

fn addresses(prefs: &Element, list: &str) -> Result<Vec<Jid>, PayloadError> {
    let list = prefs.child(list, ns::MAM).into_iter();
    let jids = list.flat_map(|l| l.children().filter(|c| c.is("jid", ns::MAM)));
    let read = |e: &Element| {
        Jid::new(&e.text()).map_err(|source| PayloadError::Jid {
            element: "jid",
            source,
        })
    };
    jids.map(read).collect()
}

impl Payload for Prefs {
    const NAME: &'static str = "prefs";
    const NS: &'static str = ns::MAM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            default: named(element, Self::NAME, "default", DefaultPolicy::from_name)?,
            always: addresses(element, "always")?,
            never: addresses(element, "never")?,
        })
    }

    fn to_element(&self) -> Element {
        let prefs = Element::new(Self::NAME, Self::NS).with_attr_opt("default", self.default);
        if *self == Self::default() {
            return prefs;
        }
        let jid = |jid: &Jid| Element::new("jid", ns::MAM).with_text(jid);
        let list =
            |name, jids: &[Jid]| Element::new(name, ns::MAM).with_children(jids.iter().map(jid));
        prefs
            .with_child(list("always", &self.always))
            .with_child(list("never", &self.never))
    }
}
