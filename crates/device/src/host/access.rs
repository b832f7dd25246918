//! Who may read and set what. Nobody but our own account, unless a grant says so.

use std::collections::BTreeSet;

use stanchion_services::allowed::Allowed;
use stanchion_stanza::{BareJid, Jid, Text};

/// Some names, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Names {
    /// None of them.
    #[default]
    None,
    /// These.
    These(BTreeSet<Text>),
    /// All of them.
    All,
}

impl Names {
    /// These.
    #[must_use]
    pub fn these(names: impl IntoIterator<Item = Text>) -> Self {
        Self::These(names.into_iter().collect())
    }

    /// Whether that one is among them.
    #[must_use]
    pub fn has(&self, name: &Text) -> bool {
        match self {
            Self::None => false,
            Self::These(these) => these.contains(name),
            Self::All => true,
        }
    }
}

/// What some may do with some things. Default: our own account, with all things, nothing.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Who. All but [`Allowed::Nobody`] have our own account among them.
    pub who: Allowed,
    /// With which things.
    pub things: Names,
    /// Which fields may be read.
    pub read: Names,
    /// Which parameters may be set.
    pub set: Names,
}

impl Grant {
    /// Those may read all fields of all things.
    #[must_use]
    pub const fn to_read(who: Allowed) -> Self {
        Self {
            who,
            things: Names::All,
            read: Names::All,
            set: Names::None,
        }
    }

    /// Those may read and set all that there is.
    #[must_use]
    pub const fn to_all(who: Allowed) -> Self {
        Self {
            who,
            things: Names::All,
            read: Names::All,
            set: Names::All,
        }
    }

    /// The same of these things alone.
    #[must_use]
    pub fn of(mut self, things: Names) -> Self {
        self.things = things;
        self
    }
}

/// Who may do what: any of the grants lets in. Default: our own account may read and set
/// everything, and nobody else anything.
///
/// ```
/// use stanchion_device::host::{Access, Grant};
/// use stanchion_services::allowed::Allowed;
/// let neighbour = "neighbour@there.example".parse()?;
/// let access = Access::default().with(Grant::to_read(Allowed::accounts([neighbour])));
/// let (asks, own) = ("neighbour@there.example/phone".parse()?, "me@home.example".parse()?);
/// let (meter, energy) = ("meter".parse()?, "energy".parse()?);
/// assert!(access.may_read(Some(&asks), Some(&own), &meter, &energy));
/// assert!(!access.may_set(Some(&asks), Some(&own), &meter, &energy));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Access {
    grants: Vec<Grant>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            grants: vec![Grant::to_all(Allowed::OwnAccount)],
        }
    }
}

impl Access {
    /// Nobody may do anything, not even our own account.
    #[must_use]
    pub const fn nobody() -> Self {
        Self { grants: Vec::new() }
    }

    /// The same, and that.
    #[must_use]
    pub fn with(mut self, grant: Grant) -> Self {
        self.grants.push(grant);
        self
    }

    /// Whether that field may be read. `who` is none for our own server, `own` while our
    /// account is not known.
    #[must_use]
    pub fn may_read(
        &self,
        who: Option<&Jid>,
        own: Option<&BareJid>,
        thing: &Text,
        field: &Text,
    ) -> bool {
        let names = |g: &Grant| g.things.has(thing) && g.read.has(field);
        self.any(who, own, names)
    }

    /// Whether that parameter may be set, likewise.
    #[must_use]
    pub fn may_set(
        &self,
        who: Option<&Jid>,
        own: Option<&BareJid>,
        thing: &Text,
        parameter: &Text,
    ) -> bool {
        let names = |g: &Grant| g.things.has(thing) && g.set.has(parameter);
        self.any(who, own, names)
    }

    /// Whether anything at all may be read.
    #[must_use]
    pub fn may_read_something(&self, who: Option<&Jid>, own: Option<&BareJid>) -> bool {
        let names = |g: &Grant| g.things != Names::None && g.read != Names::None;
        self.any(who, own, names)
    }

    /// Whether anything at all may be set.
    #[must_use]
    pub fn may_set_something(&self, who: Option<&Jid>, own: Option<&BareJid>) -> bool {
        let names = |g: &Grant| g.things != Names::None && g.set != Names::None;
        self.any(who, own, names)
    }

    fn any(
        &self,
        who: Option<&Jid>,
        own: Option<&BareJid>,
        names: impl Fn(&Grant) -> bool,
    ) -> bool {
        // The names first: to ask who it is may be the application's function.
        let mut grants = self.grants.iter().filter(|g| names(g));
        grants.any(|g| g.who.has(who, own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_may_nothing_and_a_grant_no_more_than_it_says() {
        let own: BareJid = "me@home.example".parse().unwrap();
        let jid = |s: &str| s.parse::<Jid>().unwrap();
        let (mine, friend) = (jid("me@home.example/b"), jid("friend@there.example/a"));
        let stranger = jid("stranger@there.example/a");
        let text = Text::from_static;
        let only_lamp = Grant {
            who: Allowed::accounts([friend.to_bare()]),
            things: Names::these([text("lamp")]),
            read: Names::All,
            set: Names::these([text("on")]),
        };
        let access = Access::default().with(only_lamp);
        let read =
            |who, thing| access.may_read(Some(who), Some(&own), &text(thing), &text("level"));
        let set =
            |who, thing, name| access.may_set(Some(who), Some(&own), &text(thing), &text(name));
        assert!(read(&mine, "lamp") && read(&mine, "door") && set(&mine, "door", "open"));
        assert!(read(&friend, "lamp") && !read(&friend, "door"));
        assert!(set(&friend, "lamp", "on") && !set(&friend, "lamp", "level"));
        assert!(!set(&friend, "door", "on"));
        assert!(!read(&stranger, "lamp") && !set(&stranger, "lamp", "on"));
        assert!(
            !access.may_read(Some(&mine), None, &text("lamp"), &text("level")),
            "not known yet"
        );
        assert!(!Access::nobody().may_read(Some(&mine), Some(&own), &text("lamp"), &text("level")));
    }
}
