//! Preparation of the three parts of an address (RFC 7622 §3.2 to §3.4), each with
//! a fast path for the ASCII that almost every address is.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use precis_core::profile::PrecisFastInvocation as _;
use precis_profiles::{OpaqueString, UsernameCaseMapped};

/// RFC 7622 §3.3: excluded from localparts beyond what PRECIS excludes.
const EXCLUDED: &[char] = &['"', '&', '\'', '/', ':', '<', '>', '@'];
/// RFC 7622 §3.2 to §3.4: the longest part, in bytes.
const MAX_PART: usize = 1023;

/// A part of an address, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Before `@`.
    Local,
    /// Between `@` and `/`.
    Domain,
    /// After `/`.
    Resource,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Local => "localpart",
            Self::Domain => "domainpart",
            Self::Resource => "resourcepart",
        })
    }
}

/// Why a string is no XMPP address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JidError {
    /// A part that is there must not be empty.
    #[error("the {0} is empty (RFC 7622 §3)")]
    Empty(Part),
    /// A part may have 1023 bytes.
    #[error("the {0} is longer than 1023 bytes (RFC 7622 §3)")]
    TooLong(Part),
    /// A character or a combination that preparation rejects.
    #[error("the {0} has characters that are not allowed there (RFC 7622 §3)")]
    Forbidden(Part),
    /// A bare address was asked for.
    #[error("the address has a resource; give it as local@domain")]
    UnexpectedResource,
    /// A full address was asked for.
    #[error("the address has no resource; give it as local@domain/resource")]
    MissingResource,
}

fn sized(part: Part, s: &str) -> Result<(), JidError> {
    match s.len() {
        0 => Err(JidError::Empty(part)),
        1..=MAX_PART => Ok(()),
        _ => Err(JidError::TooLong(part)),
    }
}

/// Lower-cases only where there is something to lower.
fn lower_ascii(s: &str, seen: u8) -> Cow<'_, str> {
    if seen & UPPER == 0 {
        Cow::Borrowed(s)
    } else {
        Cow::Owned(s.to_ascii_lowercase())
    }
}

/// Not a letter, digit or mark of ASCII.
const NOT_GRAPHIC: u8 = 1;
/// One of [`EXCLUDED`].
const IS_EXCLUDED: u8 = 2;
/// `A` to `Z`.
const UPPER: u8 = 4;
/// Nothing that plain domain names are made of.
const NOT_IN_DOMAIN: u8 = 8;
/// `-` or `.`, which only stand between letters and digits.
const DOMAIN_MARK: u8 = 16;
/// Nothing that resources of plain ASCII are made of.
const NOT_IN_RESOURCE: u8 = 32;

/// What a byte may be.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        if !byte.is_ascii_graphic() {
            table[b] |= NOT_GRAPHIC;
        }
        if byte.is_ascii_uppercase() {
            table[b] |= UPPER;
        }
        if !byte.is_ascii_alphanumeric() && byte != b'-' && byte != b'.' {
            table[b] |= NOT_IN_DOMAIN;
        }
        if byte == b'-' || byte == b'.' {
            table[b] |= DOMAIN_MARK;
        }
        if !byte.is_ascii_graphic() && byte != b' ' {
            table[b] |= NOT_IN_RESOURCE;
        }
        b += 1;
    }
    let mut at = 0;
    while at < EXCLUDED.len() {
        table[EXCLUDED[at] as usize] |= IS_EXCLUDED;
        at += 1;
    }
    table
};

/// The classes of all bytes.
fn classes(s: &str) -> u8 {
    s.bytes().fold(0, |seen, b| seen | CLASS[usize::from(b)])
}

/// Where the domain of an address begins and where `/` stands, if one pass can tell that
/// all of it is canonical as it stands: lower-case ASCII, and short.
pub(super) fn plain(s: &str) -> Option<(u16, Option<u16>)> {
    let bytes = s.as_bytes();
    let run = |start: usize, ends: u8| {
        let rest = bytes.get(start..).unwrap_or_default();
        let inside = |b: &u8| CLASS[usize::from(*b)] & ends == 0;
        start + rest.iter().take_while(|b| inside(b)).count()
    };
    let head = run(0, NOT_GRAPHIC | IS_EXCLUDED | UPPER);
    let (domain, slash) = match bytes.get(head) {
        Some(b'@') if head > 0 => (head + 1, run(head + 1, NOT_IN_DOMAIN | UPPER)),
        Some(b'/') | None => (0, head),
        _ => return None,
    };
    let end = match bytes.get(slash) {
        Some(b'/') => run(slash + 1, NOT_IN_RESOURCE),
        _ => slash,
    };
    // A lone `/` has nothing behind it.
    let whole = end == bytes.len() && end != slash + 1 && end <= MAX_PART;
    (whole && is_plain_domain(&bytes[domain..slash]))
        .then_some((domain as u16, (slash < end).then_some(slash as u16)))
}

/// Whether that is a name of lower-case letters and digits, with single marks between them.
fn is_plain_domain(name: &[u8]) -> bool {
    const LONGEST_LABEL: usize = 63;
    let mut marked = true;
    let plain = name.iter().all(|b| {
        let class = CLASS[usize::from(*b)];
        let follows = std::mem::replace(&mut marked, class & DOMAIN_MARK != 0);
        class & (NOT_IN_DOMAIN | UPPER) == 0 && !(follows && marked)
    });
    plain && !marked && name.len() <= LONGEST_LABEL
}

/// Runs a PRECIS profile until stable: a result that changes when it is prepared
/// again has no canonical form, and is refused.
fn stable<'a>(
    part: Part,
    s: &'a str,
    enforce: impl Fn(&str) -> Result<String, precis_core::Error>,
) -> Result<Cow<'a, str>, JidError> {
    let forbidden = |_| JidError::Forbidden(part);
    let once = enforce(s).map_err(forbidden)?;
    let twice = enforce(&once).map_err(forbidden)?;
    if once != twice {
        return Err(JidError::Forbidden(part));
    }
    sized(part, &once)?;
    Ok(Cow::Owned(once))
}

/// RFC 7622 §3.3: UsernameCaseMapped, less eight characters.
pub(super) fn local(s: &str) -> Result<Cow<'_, str>, JidError> {
    sized(Part::Local, s)?;
    let seen = classes(s);
    if seen & NOT_GRAPHIC == 0 {
        if seen & IS_EXCLUDED != 0 {
            return Err(JidError::Forbidden(Part::Local));
        }
        return Ok(lower_ascii(s, seen));
    }
    let prepared = stable(Part::Local, s, |s| {
        UsernameCaseMapped::enforce(s).map(Cow::into_owned)
    })?;
    // Checked after mapping: full-width forms map onto the excluded characters.
    if prepared.contains(EXCLUDED) {
        return Err(JidError::Forbidden(Part::Local));
    }
    Ok(prepared)
}

/// RFC 7622 §3.4: OpaqueString.
pub(super) fn resource(s: &str) -> Result<Cow<'_, str>, JidError> {
    sized(Part::Resource, s)?;
    if s.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Ok(Cow::Borrowed(s));
    }
    stable(Part::Resource, s, |s| {
        OpaqueString::enforce(s).map(Cow::into_owned)
    })
}

/// RFC 7622 §3.2: an IP literal or a domain name, as U-labels, without final dot.
pub(super) fn domain(s: &str) -> Result<Cow<'_, str>, JidError> {
    let forbidden = || JidError::Forbidden(Part::Domain);
    let s = s.strip_suffix('.').unwrap_or(s);
    sized(Part::Domain, s)?;
    if let Some(inner) = s.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(forbidden)?;
        let address: Ipv6Addr = inner.parse().map_err(|_| forbidden())?;
        return Ok(Cow::Owned(format!("[{address}]")));
    }
    let seen = classes(s);
    if seen & NOT_IN_DOMAIN == 0 && s.as_bytes().split(|b| *b == b'.').all(is_plain_label) {
        return Ok(lower_ascii(s, seen));
    }
    let ascii = idna::domain_to_ascii_strict(s).map_err(|_| forbidden())?;
    let (unicode, outcome) = idna::domain_to_unicode(&ascii);
    outcome.map_err(|_| forbidden())?;
    // A name that does not come back to itself has no canonical form.
    if idna::domain_to_ascii_strict(&unicode).ok().as_deref() != Some(&*ascii)
        || unicode.ends_with('.')
    {
        return Err(forbidden());
    }
    sized(Part::Domain, &unicode)?;
    Ok(Cow::Owned(unicode))
}

/// Of letters, digits and hyphens: whether the hyphens are inner ones, and none of the
/// labels that IDNA reserves.
fn is_plain_label(b: &[u8]) -> bool {
    (1..=63).contains(&b.len())
        && b[0] != b'-'
        && b[b.len() - 1] != b'-'
        && b.get(2..4) != Some(b"--")
}
