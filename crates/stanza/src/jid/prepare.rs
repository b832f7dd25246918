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
fn lower_ascii(s: &str) -> Cow<'_, str> {
    if s.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(s.to_ascii_lowercase())
    } else {
        Cow::Borrowed(s)
    }
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
    if s.bytes().all(|b| b.is_ascii_graphic()) {
        let excluded = |b| EXCLUDED.contains(&char::from(b));
        if s.bytes().any(excluded) {
            return Err(JidError::Forbidden(Part::Local));
        }
        return Ok(lower_ascii(s));
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
    if s.as_bytes().split(|b| *b == b'.').all(is_plain_label) {
        return Ok(lower_ascii(s));
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

/// Letters, digits and inner hyphens, and none of the labels that IDNA reserves.
fn is_plain_label(b: &[u8]) -> bool {
    (1..=63).contains(&b.len())
        && b.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && b[0] != b'-'
        && b[b.len() - 1] != b'-'
        && b.get(2..4) != Some(b"--")
}
