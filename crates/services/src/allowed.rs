//! Who may ask something of us. The roster of an account, or whatever else an application
//! goes by, comes in as a function of its own.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use stanchion_stanza::{BareJid, Jid};

/// Who may.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Allowed {
    /// Nobody at all.
    Nobody,
    /// The devices of our own account.
    #[default]
    OwnAccount,
    /// These accounts, and our own.
    Accounts(BTreeSet<BareJid>),
    /// Whoever this function says, and our own account. It is asked with the full address,
    /// in between two stanzas: it must not block.
    By(Arc<dyn Fn(&Jid) -> bool + Send + Sync>),
    /// Anybody in the world.
    Anybody,
}

impl Allowed {
    /// These accounts, and our own.
    #[must_use]
    pub fn accounts(accounts: impl IntoIterator<Item = BareJid>) -> Self {
        Self::Accounts(accounts.into_iter().collect())
    }

    /// Whoever this function says, and our own account.
    #[must_use]
    pub fn by(says: impl Fn(&Jid) -> bool + Send + Sync + 'static) -> Self {
        Self::By(Arc::new(says))
    }

    /// Whether `who` may, if `own` is our account. Without address it is our own server
    /// that asks for our account (RFC 6120 §8.1.2.1).
    #[must_use]
    pub fn has(&self, who: Option<&Jid>, own: Option<&BareJid>) -> bool {
        let account = who.map(Jid::to_bare);
        let is_own = match (&account, own) {
            (None, _) => true,
            (Some(account), Some(own)) => account == own,
            (Some(_), None) => false,
        };
        match self {
            Self::Nobody => false,
            Self::OwnAccount => is_own,
            Self::Accounts(these) => is_own || account.is_some_and(|a| these.contains(&a)),
            Self::By(says) => is_own || who.is_some_and(|who| says(who)),
            Self::Anybody => true,
        }
    }
}

impl fmt::Debug for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("Nobody"),
            Self::OwnAccount => f.write_str("OwnAccount"),
            Self::Accounts(these) => f.debug_tuple("Accounts").field(these).finish(),
            Self::By(_) => f.write_str("By(..)"),
            Self::Anybody => f.write_str("Anybody"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_lets_in_whom_it_names_and_our_own() {
        let jid = |s: &str| s.parse::<Jid>().unwrap();
        let own = "me@here.example".parse().unwrap();
        let friend = jid("friend@there.example/a");
        let (mine, foe) = (jid("me@here.example/b"), jid("foe@there.example/a"));
        let friends = || [friend.to_bare()];
        let there = |who: &Jid| who.resource() == Some("a") && who.local() == Some("friend");
        for (rule, expected) in [
            (Allowed::Nobody, [false, false, false]),
            (Allowed::OwnAccount, [true, false, false]),
            (Allowed::accounts(friends()), [true, true, false]),
            (Allowed::by(there), [true, true, false]),
            (Allowed::Anybody, [true, true, true]),
        ] {
            let has = [&mine, &friend, &foe].map(|who| rule.has(Some(who), Some(&own)));
            assert_eq!(has, expected, "{rule:?}");
            assert!(!rule.has(Some(&foe), None) || matches!(rule, Allowed::Anybody));
        }
        assert!(!Allowed::OwnAccount.has(Some(&mine), None), "not known yet");
    }
}
