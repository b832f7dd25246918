//! SASLprep (RFC 4013): the form in which names and passwords are compared.
//!
//! Owns the call to the stringprep tables and the limits around it.

use thiserror::Error;
use zeroize::Zeroizing;

/// Most bytes that a user name, password or authorization identity may have.
///
/// A JID has at most 3071 bytes (RFC 7622 §3.1), a localpart or a sensible
/// password far fewer.
pub const MAX_CREDENTIAL_BYTES: usize = 3071;

/// Why a user name, password or authorization identity cannot be used. Ask the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// Nothing is left, before or after preparation.
    #[error("it is empty: give one")]
    Empty,
    /// Over [`MAX_CREDENTIAL_BYTES`].
    #[error("it has more than 3071 bytes: shorten it")]
    TooLong,
    /// A character that RFC 4013 prohibits: a control character, one that
    /// Unicode 3.2 does not know, or letters that run both ways.
    #[error("it has a character that RFC 4013 (SASLprep) prohibits: choose another")]
    Prohibited,
}

/// Prepares a user name or a password as a stored string (RFC 4013 §2.5, RFC 5802 §2.2).
pub(crate) fn prepare(text: &str) -> Result<Zeroizing<String>, PrepareError> {
    check_length(text)?;
    let prepared = stringprep::saslprep(text).map_err(|_| PrepareError::Prohibited)?;
    if prepared.is_empty() {
        return Err(PrepareError::Empty);
    }
    // NUL separates the fields of PLAIN; stringprep prohibits it, its fast path too.
    Ok(Zeroizing::new(prepared.into_owned()))
}

/// The limits for text that goes out as it is (an authorization identity).
pub(crate) fn check_verbatim(text: &str) -> Result<(), PrepareError> {
    check_length(text)?;
    if text.contains('\0') {
        return Err(PrepareError::Prohibited);
    }
    Ok(())
}

fn check_length(text: &str) -> Result<(), PrepareError> {
    match text.len() {
        0 => Err(PrepareError::Empty),
        1..=MAX_CREDENTIAL_BYTES => Ok(()),
        _ => Err(PrepareError::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str) -> Result<String, PrepareError> {
        prepare(text).map(|p| p.as_str().to_owned())
    }

    #[test]
    fn the_examples_of_rfc_4013_hold() {
        assert_eq!(prepared("I\u{AD}X"), Ok("IX".into()));
        assert_eq!(prepared("user"), Ok("user".into()));
        assert_eq!(prepared("USER"), Ok("USER".into()));
        assert_eq!(prepared("\u{AA}"), Ok("a".into()));
        assert_eq!(prepared("\u{2168}"), Ok("IX".into()));
        assert_eq!(prepared("\u{07}"), Err(PrepareError::Prohibited));
        assert_eq!(prepared("\u{627}1"), Err(PrepareError::Prohibited));
    }

    #[test]
    fn nothing_left_after_preparation_is_empty() {
        assert_eq!(prepared("\u{AD}"), Err(PrepareError::Empty));
        assert_eq!(prepared(""), Err(PrepareError::Empty));
    }

    #[test]
    fn nul_is_prohibited() {
        assert_eq!(prepared("a\0b"), Err(PrepareError::Prohibited));
        assert_eq!(check_verbatim("a\0b"), Err(PrepareError::Prohibited));
    }

    #[test]
    fn an_overlong_credential_is_refused_before_any_work() {
        let long = "x".repeat(MAX_CREDENTIAL_BYTES + 1);
        assert_eq!(prepared(&long), Err(PrepareError::TooLong));
    }
}
