//! The laws of addresses (RFC 7622). The property tests and the fuzz target `jid` look
//! for a counterexample.

use std::borrow::Borrow as _;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use stanchion_stanza::{BareJid, FullJid, Jid, Text};

/// Whatever parses is canonical, whole, within the limits and writable in XML.
///
/// # Panics
/// If a law is broken.
pub(crate) fn canonical_or_refused(s: &str) {
    let Ok(jid) = Jid::new(s) else {
        assert!(BareJid::new(s).is_err() && FullJid::new(s).is_err());
        return;
    };
    let again = Jid::new(jid.as_str());
    assert_eq!(again.as_ref(), Ok(&jid), "the canonical form is canonical");
    assert_eq!(
        again.map(|a| (a.local().map(str::len), a.domain().len())),
        Ok((jid.local().map(str::len), jid.domain().len())),
        "the parts lie where they lay"
    );
    let parts = (jid.local(), jid.domain(), jid.resource());
    assert_eq!(
        Jid::from_parts(parts.0, parts.1, parts.2).as_ref(),
        Ok(&jid)
    );
    let local = parts.0.map(|l| format!("{l}@")).unwrap_or_default();
    let resource = parts.2.map(|r| format!("/{r}")).unwrap_or_default();
    assert_eq!(jid.as_str(), format!("{local}{}{resource}", parts.1));
    for part in [parts.0, Some(parts.1), parts.2].into_iter().flatten() {
        assert!((1..=1023).contains(&part.len()), "{part:?}");
    }
    assert!(
        !parts
            .0
            .is_some_and(|l| l.contains(['"', '&', '\'', '/', ':', '<', '>', '@', ' ']))
    );
    assert!(!parts.1.contains(['/', '@', ' ', '<', '&', '\'']));

    let bare = jid.to_bare();
    assert_eq!(bare.as_str(), jid.bare_str());
    assert_eq!(BareJid::new(bare.as_str()).as_ref(), Ok(&bare));
    assert_eq!(jid.is_bare(), jid == *bare);
    assert_eq!(BareJid::new(s).is_ok(), jid.is_bare());
    match jid.to_full() {
        Some(full) => {
            assert_eq!(FullJid::new(s).as_ref(), Ok(&full));
            assert_eq!(bare.with_resource(full.resource()), Ok(full));
        }
        None => assert!(FullJid::new(s).is_err()),
    }
    // The value goes into attributes without another check.
    assert_eq!(Text::new(jid.as_str()), Ok(Text::from(&jid)));
    // Every way in and out is the same.
    assert_eq!(jid.to_string(), jid.as_str());
    assert_eq!(s.parse().as_ref(), Ok(&jid));
    if let Ok(text) = Text::new(s) {
        assert_eq!(Jid::try_from(text).as_ref(), Ok(&jid));
    }
    // A map of addresses is asked with a bare one as with any other.
    let as_address: &Jid = bare.borrow();
    assert_eq!(hash(&bare), hash(as_address));
    assert_eq!(*as_address == jid, jid.is_bare());
}

/// Two addresses compare as their canonical forms do, and exchange their parts freely.
///
/// # Panics
/// If a law is broken.
pub(crate) fn compared_by_canonical_form(one: &str, other: &str) {
    let (Ok(one), Ok(other)) = (Jid::new(one), Jid::new(other)) else {
        return;
    };
    assert_eq!(one == other, one.as_str() == other.as_str());
    assert_eq!(one.cmp(&other), one.as_str().cmp(other.as_str()));
    assert!(one != other || hash(&one) == hash(&other));
    assert_eq!(
        one.to_bare() == other.to_bare(),
        one.bare_str() == other.bare_str()
    );
    let parts = (one.local(), other.domain(), one.resource());
    let mixed = Jid::from_parts(parts.0, parts.1, parts.2);
    assert_eq!(
        mixed
            .as_ref()
            .map(|m| (m.local(), m.domain(), m.resource())),
        Ok(parts)
    );
}

fn hash(value: &impl std::hash::Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}
