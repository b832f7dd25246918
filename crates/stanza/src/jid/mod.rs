//! XMPP addresses (RFC 7622): `[local@]domain[/resource]`, kept in canonical form.
//! Preparation of the three parts is in `prepare`.

mod prepare;

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use crate::Text;
pub use prepare::{JidError, Part};

/// An address of either form, canonical and cheap to clone.
///
/// Two JIDs are equal if and only if RFC 7622 says that they are: preparation is
/// done at parsing. Parts hold 1 to 1023 bytes each.
///
/// ```
/// use stanchion_stanza::Jid;
/// let jid: Jid = "Alice@Example.ORG/Phone".parse()?;
/// assert_eq!(jid.as_str(), "alice@example.org/Phone");
/// assert_eq!(jid.to_bare().as_str(), "alice@example.org");
/// # Ok::<(), stanchion_stanza::jid::JidError>(())
/// ```
#[derive(Clone)]
pub struct Jid {
    text: Text,
    /// Where the domain begins: just after `@`, or 0. At most 1024.
    domain: u16,
    /// Where `/` stands; none in a bare address.
    slash: Option<u16>,
}

impl Jid {
    /// Parses and prepares an address (RFC 7622 §3).
    ///
    /// # Errors
    /// [`JidError`] names the part and the rule.
    pub fn new(s: &str) -> Result<Self, JidError> {
        if let Some((domain, slash)) = prepare::plain(s) {
            return Ok(Self {
                text: Text::counted(s),
                domain,
                slash,
            });
        }
        let (local, domain, resource) = split(s);
        let prepared = Prepared::new(local, domain, resource)?;
        Ok(if prepared.is(local, domain, resource) {
            prepared.named(Text::counted(s))
        } else {
            prepared.join()
        })
    }

    /// Builds an address from unprepared parts.
    ///
    /// # Errors
    /// [`JidError`] names the part and the rule.
    pub fn from_parts(
        local: Option<&str>,
        domain: &str,
        resource: Option<&str>,
    ) -> Result<Self, JidError> {
        Ok(Prepared::new(local, domain, resource)?.join())
    }

    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The localpart.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        (self.domain > 0).then(|| &self.text[..usize::from(self.domain) - 1])
    }

    /// The domainpart.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[usize::from(self.domain)..self.bare_len()]
    }

    /// The resourcepart.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.slash.map(|at| &self.text[usize::from(at) + 1..])
    }

    /// The address without its resource, as a string.
    #[must_use]
    pub fn bare_str(&self) -> &str {
        &self.text[..self.bare_len()]
    }

    fn bare_len(&self) -> usize {
        self.slash.map_or(self.text.len(), usize::from)
    }

    /// Whether there is no resource.
    #[must_use]
    pub const fn is_bare(&self) -> bool {
        self.slash.is_none()
    }

    /// The address without its resource.
    #[must_use]
    pub fn to_bare(&self) -> BareJid {
        BareJid(match self.slash {
            None => self.clone(),
            Some(_) => Self {
                text: self.text.prefix(self.bare_len()),
                domain: self.domain,
                slash: None,
            },
        })
    }

    /// The full address, if there is a resource.
    #[must_use]
    pub fn to_full(&self) -> Option<FullJid> {
        self.slash.is_some().then(|| FullJid(self.clone()))
    }
}

/// RFC 7622 §3.1: the first `/` ends the domain, then the first `@` ends the local part.
fn split(s: &str) -> (Option<&str>, &str, Option<&str>) {
    let (rest, resource) = match memchr::memchr(b'/', s.as_bytes()) {
        Some(at) => (&s[..at], Some(&s[at + 1..])),
        None => (s, None),
    };
    match memchr::memchr(b'@', rest.as_bytes()) {
        Some(at) => (Some(&rest[..at]), &rest[at + 1..], resource),
        None => (None, rest, resource),
    }
}

/// The parts of an address in canonical form, of at most 1023 bytes each.
struct Prepared<'a> {
    local: Option<Cow<'a, str>>,
    domain: Cow<'a, str>,
    resource: Option<Cow<'a, str>>,
}

impl<'a> Prepared<'a> {
    fn new(
        local: Option<&'a str>,
        domain: &'a str,
        resource: Option<&'a str>,
    ) -> Result<Self, JidError> {
        Ok(Self {
            local: local.map(prepare::local).transpose()?,
            domain: prepare::domain(domain)?,
            resource: resource.map(prepare::resource).transpose()?,
        })
    }

    /// Where the domain begins and where `/` stands. Both fit, as each part is short.
    fn offsets(&self) -> (u16, Option<u16>) {
        let domain = self.local.as_ref().map_or(0, |l| l.len() + 1);
        let slash = domain + self.domain.len();
        (domain as u16, self.resource.as_ref().map(|_| slash as u16))
    }

    /// Whether these are the parts as they stood.
    fn is(&self, local: Option<&str>, domain: &str, resource: Option<&str>) -> bool {
        self.domain == domain
            && self.local.as_deref() == local
            && self.resource.as_deref() == resource
    }

    /// The address, which reads like `text`.
    fn named(&self, text: Text) -> Jid {
        let (domain, slash) = self.offsets();
        Jid {
            text,
            domain,
            slash,
        }
    }

    fn join(self) -> Jid {
        let length = |part: &Option<Cow<'_, str>>| part.as_ref().map_or(0, |p| p.len() + 1);
        let mut text =
            String::with_capacity(length(&self.local) + self.domain.len() + length(&self.resource));
        if let Some(local) = &self.local {
            text.push_str(local);
            text.push('@');
        }
        text.push_str(&self.domain);
        if let Some(resource) = &self.resource {
            text.push('/');
            text.push_str(resource);
        }
        self.named(Text::counted(&text))
    }
}

impl TryFrom<Text> for Jid {
    type Error = JidError;

    /// As [`Jid::new`]; what was decoded and is canonical is shared, not copied.
    fn try_from(text: Text) -> Result<Self, JidError> {
        if let Some((domain, slash)) = prepare::plain(&text) {
            return Ok(Self {
                text: text.into_shared(),
                domain,
                slash,
            });
        }
        let (local, domain, resource) = split(&text);
        let prepared = Prepared::new(local, domain, resource)?;
        if !prepared.is(local, domain, resource) {
            return Ok(prepared.join());
        }
        let (domain, slash) = prepared.offsets();
        Ok(Self {
            text: text.into_shared(),
            domain,
            slash,
        })
    }
}

/// An address without resource: an account, a room or a domain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BareJid(Jid);

/// An address with a resource: one connected client.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FullJid(Jid);

impl BareJid {
    /// Parses an address that must have no resource.
    ///
    /// # Errors
    /// [`JidError::UnexpectedResource`], or what [`Jid::new`] finds.
    pub fn new(s: &str) -> Result<Self, JidError> {
        let jid = Jid::new(s)?;
        if jid.is_bare() {
            Ok(Self(jid))
        } else {
            Err(JidError::UnexpectedResource)
        }
    }

    /// The same account, at `resource`.
    ///
    /// # Errors
    /// [`JidError`] if `resource` cannot be prepared (RFC 7622 §3.4).
    pub fn with_resource(&self, resource: &str) -> Result<FullJid, JidError> {
        Jid::from_parts(self.0.local(), self.0.domain(), Some(resource)).map(FullJid)
    }
}

impl FullJid {
    /// Parses an address that must have a resource.
    ///
    /// # Errors
    /// [`JidError::MissingResource`], or what [`Jid::new`] finds.
    pub fn new(s: &str) -> Result<Self, JidError> {
        Jid::new(s)?.to_full().ok_or(JidError::MissingResource)
    }

    /// The resourcepart.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.0.resource().unwrap_or_default()
    }
}

// Equality, order and hash are those of the canonical text.
impl PartialEq for Jid {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Jid {}
impl std::hash::Hash for Jid {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl PartialOrd for Jid {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Jid {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

macro_rules! textual {
    ($($t:ty),*) => {$(
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl FromStr for $t {
            type Err = JidError;
            fn from_str(s: &str) -> Result<Self, JidError> {
                Self::new(s)
            }
        }
        impl From<&$t> for Text {
            /// Preparation leaves only characters that XML allows.
            fn from(jid: &$t) -> Self {
                jid.text.clone()
            }
        }
    )*};
}
textual!(Jid, BareJid, FullJid);

macro_rules! wraps_jid {
    ($($t:ty),*) => {$(
        impl std::ops::Deref for $t {
            type Target = Jid;
            fn deref(&self) -> &Jid {
                &self.0
            }
        }
        impl Borrow<Jid> for $t {
            fn borrow(&self) -> &Jid {
                &self.0
            }
        }
        impl From<$t> for Jid {
            fn from(jid: $t) -> Self {
                jid.0
            }
        }
    )*};
}
wraps_jid!(BareJid, FullJid);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_7622_parse_or_fail_as_listed() {
        // §3.5, table 1 and 2.
        for good in [
            "juliet@example.com",
            "juliet@example.com/foo",
            "juliet@example.com/foo bar",
            "juliet@example.com/foo@bar",
            "foo\\20bar@example.com",
            "fussball@example.com",
            "fu\u{DF}ball@example.com",
            "\u{3C0}@example.com",
            "\u{3A3}@example.com/foo",
            "\u{3C3}@example.com/foo",
            "\u{3C2}@example.com/foo",
            "king@example.com/\u{265A}",
            "example.com",
            "example.com/foobar",
            "a.example.com/b@example.net",
        ] {
            assert!(Jid::new(good).is_ok(), "{good}: {:?}", Jid::new(good));
        }
        for bad in [
            "\"juliet\"@example.com",
            "foo bar@example.com",
            "juliet@example.com/",
            "@example.com/",
            "henry\u{2163}@example.com",
            "\u{265A}@example.com",
            "juliet@",
            "/foobar",
            "",
            "@",
            "a@/b",
        ] {
            assert!(Jid::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn case_folds_in_local_and_domain_but_not_in_resource() {
        let jid = Jid::new("JULIET@Example.COM./Balcony").unwrap();
        assert_eq!(jid.as_str(), "juliet@example.com/Balcony");
        assert_eq!(
            Jid::new("\u{3A3}@example.com").unwrap(),
            Jid::new("\u{3C3}@example.com").unwrap()
        );
    }

    #[test]
    fn addresses_are_equal_where_rfc_7622_says_so() {
        let equal = |a, b| Jid::new(a).unwrap() == Jid::new(b).unwrap();
        // The notes below table 1, and what the profiles map.
        assert!(equal("\u{3A3}@example.com/foo", "\u{3C3}@example.com/foo"));
        assert!(equal("\u{FF21}b@example.com", "ab@example.com"));
        assert!(equal(
            "e\u{301}@example.com/e\u{301}",
            "\u{E9}@example.com/\u{E9}"
        ));
        assert!(equal("a@example.com/x\u{3000}y", "a@example.com/x y"));
        assert!(equal("a@example\u{3002}com", "a@example.com"));
        for (a, b) in [
            ("fussball@example.com", "fu\u{DF}ball@example.com"),
            ("\u{3C3}@example.com", "\u{3C2}@example.com"),
            ("juliet@example.com/foo", "juliet@example.com/Foo"),
            ("juliet@example.com", "juliet@example.com/foo"),
            ("foo\\20bar@example.com", "foobar@example.com"),
            ("a@example.com/\u{FF21}", "a@example.com/A"),
        ] {
            assert!(!equal(a, b), "{a} {b}");
        }
    }

    #[test]
    fn characters_that_a_part_excludes_are_refused_there() {
        // RFC 7622 §3.3.1, also where width mapping makes them.
        for excluded in
            "\"&'/:<>@ \u{FF02}\u{FF06}\u{FF07}\u{FF0F}\u{FF1A}\u{FF1C}\u{FF1E}\u{FF20}".chars()
        {
            let local = format!("a{excluded}b");
            let made = Jid::from_parts(Some(&local), "example.com", None);
            assert_eq!(made, Err(JidError::Forbidden(Part::Local)), "{excluded:?}");
        }
        for control in ["\0", "\t", "\u{7F}", "\u{85}", "\u{FFFE}", "\u{378}"] {
            assert!(
                Jid::from_parts(None, "b", Some(control)).is_err(),
                "{control:?}"
            );
            assert!(
                Jid::from_parts(Some(control), "b", None).is_err(),
                "{control:?}"
            );
            assert!(Jid::from_parts(None, control, None).is_err(), "{control:?}");
        }
        for domain in [
            "a_b", "a b", "-a", "a-", "a..b", ".", "a..", ".a", "xn--a", "a@b", "a/b", "[1::2",
        ] {
            assert!(Jid::from_parts(None, domain, None).is_err(), "{domain}");
        }
    }

    #[test]
    fn international_domains_are_kept_as_u_labels() {
        let a = Jid::new("x@xn--mnchen-3ya.de").unwrap();
        assert_eq!(a, Jid::new("x@MÜNCHEN.de").unwrap());
        assert_eq!(a.domain(), "münchen.de");
    }

    #[test]
    fn address_literals_are_domains() {
        assert_eq!(Jid::new("a@[0:0::1]").unwrap().domain(), "[::1]");
        assert_eq!(Jid::new("a@192.0.2.1").unwrap().domain(), "192.0.2.1");
        assert!(Jid::new("a@[::1").is_err());
        assert!(Jid::new("a@::1").is_err());
    }

    #[test]
    fn parts_are_limited_to_1023_bytes() {
        let long = "a".repeat(1023);
        assert!(Jid::new(&format!("{long}@b")).is_ok());
        assert!(Jid::new(&format!("{long}a@b")).is_err());
        assert!(Jid::new(&format!("b/{long}")).is_ok());
        assert!(Jid::new(&format!("b/{long}a")).is_err());
    }

    #[test]
    fn the_short_way_takes_only_what_the_long_way_leaves_as_it_is() {
        const ALPHABET: [char; 10] = ['a', '1', 'A', '-', '.', '@', '/', ' ', '[', 'é'];
        let mut taken = 0;
        for mut number in 0..ALPHABET.len().pow(5) {
            let mut s = String::new();
            while number > 0 {
                s.push(ALPHABET[number % ALPHABET.len()]);
                number /= ALPHABET.len();
            }
            if let Some(offsets) = prepare::plain(&s) {
                let (local, domain, resource) = split(&s);
                let prepared = Prepared::new(local, domain, resource).unwrap();
                assert!(prepared.is(local, domain, resource), "{s}");
                assert_eq!(prepared.offsets(), offsets, "{s}");
                taken += 1;
            }
        }
        assert!(taken > 1000, "{taken}");
        assert!(prepare::plain("a1@b.c/A é").is_none() && prepare::plain("a1@b.c/A ~").is_some());
        let long = "a".repeat(1021);
        assert!(prepare::plain(&format!("{long}/b")).is_none());
        assert!(prepare::plain(&format!("b/{long}")).is_some());
        assert!(prepare::plain(&format!("b/{long}a")).is_none());
    }

    #[test]
    fn bare_and_full_types_hold_their_promise() {
        assert!(BareJid::new("a@b/c").is_err());
        assert!(FullJid::new("a@b").is_err());
        let full = FullJid::new("a@b/c").unwrap();
        assert_eq!(full.resource(), "c");
        assert_eq!(full.to_bare().with_resource("c").unwrap(), full);
    }
}
