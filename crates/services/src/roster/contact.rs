//! What applications see of the roster: contacts, events, and who may subscribe.

use stanchion_stanza::payload::roster::{Item, Subscription};
use stanchion_stanza::{BareJid, Jid, Text};

/// A contact (RFC 6121 §2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contact {
    /// Its address; bare as a rule.
    pub jid: Jid,
    /// What the user calls it.
    pub name: Option<Text>,
    /// Who sees whose presence.
    pub subscription: Subscription,
    /// We asked to see its presence, and it has not answered.
    pub asked: bool,
    /// It will see our presence as soon as it asks.
    pub approved: bool,
    /// The groups that it is in.
    pub groups: Vec<Text>,
}

impl Contact {
    /// Whether it sees our presence.
    #[must_use]
    pub const fn sees_us(&self) -> bool {
        matches!(self.subscription, Subscription::From | Subscription::Both)
    }

    /// Whether we see its presence.
    #[must_use]
    pub const fn is_seen(&self) -> bool {
        matches!(self.subscription, Subscription::To | Subscription::Both)
    }
}

impl From<Item> for Contact {
    fn from(item: Item) -> Self {
        Self {
            jid: item.jid,
            name: item.name.filter(|name| !name.is_empty()),
            subscription: item.subscription.unwrap_or(Subscription::None),
            asked: item.ask,
            approved: item.approved,
            groups: item.groups,
        }
    }
}

impl From<&Contact> for Item {
    fn from(contact: &Contact) -> Self {
        let mut item = Self::new(contact.jid.clone());
        item.name.clone_from(&contact.name);
        item.subscription = Some(contact.subscription);
        item.ask = contact.asked;
        item.approved = contact.approved;
        item.groups.clone_from(&contact.groups);
        item
    }
}

/// What becomes of somebody who asks to see our presence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// The application is asked: [`RosterEvent::Requested`].
    #[default]
    Ask,
    /// Everybody may.
    AcceptAll,
    /// These may, and of others the application is asked: accounts, or domains for all
    /// accounts at them.
    AcceptFrom(Vec<BareJid>),
}

impl Policy {
    pub(super) fn accepts(&self, who: &BareJid) -> bool {
        match self {
            Self::Ask => false,
            Self::AcceptAll => true,
            Self::AcceptFrom(list) => list.iter().any(|listed| {
                listed == who || (listed.local().is_none() && listed.domain() == who.domain())
            }),
        }
    }
}

/// What observers hear.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RosterEvent {
    /// The contacts are those that the server has. What differed was told before, unless
    /// it was more than 64 contacts: then look at all of them.
    Loaded,
    /// A contact is new or another, by whichever client of the account.
    Changed(Contact),
    /// A contact is gone.
    Removed(Jid),
    /// All contacts are gone: they were another account's.
    Cleared,
    /// Somebody asks to see our presence; approve or deny it. The server asks again in
    /// each session until it has an answer.
    Requested {
        /// Who.
        from: BareJid,
        /// What they say, cut to 1 KiB.
        text: Option<Text>,
    },
    /// Somebody asked, and the [`Policy`] said yes.
    Accepted {
        /// Who.
        by: BareJid,
    },
    /// A contact lets us see its presence.
    Approved {
        /// Who.
        by: BareJid,
    },
    /// A contact does not let us see its presence, or not any more.
    Denied {
        /// Who.
        by: BareJid,
    },
    /// Somebody does not want to see our presence any more, or takes a request back.
    Left {
        /// Who.
        by: BareJid,
    },
}
