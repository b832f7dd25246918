//! A contact, or an account that shows us how it is.

use stanchion::BareJid;
use stanchion::services::presence::Availability;
use stanchion::services::roster::Contact;

/// One device of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    /// Its resource.
    pub(crate) resource: String,
    /// In one word.
    pub(crate) availability: Availability,
    /// For people.
    pub(crate) text: String,
    /// Which gets the account's messages: the highest.
    pub(crate) priority: i8,
}

/// Somebody.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// Who.
    pub(crate) jid: BareJid,
    /// What the roster says; none of who is not in it.
    pub(crate) contact: Option<Contact>,
    /// The devices that are there, the best first.
    pub(crate) at: Vec<Whereabouts>,
    /// Whether that is known at the moment.
    pub(crate) known: bool,
    /// Whether things are behind the account, and are watched.
    pub(crate) thing: bool,
    /// Why things do not tell at the moment.
    pub(crate) silent: Option<String>,
}

impl Person {
    pub(super) fn new(jid: BareJid) -> Self {
        Self {
            jid,
            contact: None,
            at: Vec::new(),
            known: true,
            thing: false,
            silent: None,
        }
    }

    /// What we call it: its name in the roster, or the first part of its address.
    pub(crate) fn name(&self) -> &str {
        let name = self.contact.as_ref().and_then(|c| c.name.as_deref());
        name.or_else(|| self.jid.local())
            .unwrap_or_else(|| self.jid.domain())
    }

    /// How it is, in one word; none while that is not known.
    pub(crate) fn availability(&self) -> Option<Availability> {
        if !self.known {
            return None;
        }
        let best = self.at.first().map(|at| at.availability);
        Some(best.unwrap_or(Availability::Unavailable))
    }

    /// What it says for people.
    pub(crate) fn status(&self) -> &str {
        self.at.first().map_or("", |at| at.text.as_str())
    }
}
