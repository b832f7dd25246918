//! The SASL error conditions of RFC 6120 §6.5, as names and as a type.
//!
//! Owns the list and the spelling. The `<failure/>` element around a condition
//! belongs to the stanza layer; what to do about one is decided in [`crate::client`].

use std::fmt;

/// Why authentication was refused, in the words of RFC 6120 §6.5.
///
/// [`SaslCondition::parse`] answers `None` for any other name; treat such a
/// failure as [`SaslCondition::NotAuthorized`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SaslCondition {
    /// The client gave up with `<abort/>` (§6.5.1).
    Aborted,
    /// The account exists but may not be used now (§6.5.2).
    AccountDisabled,
    /// The password or other credential has run out (§6.5.3).
    CredentialsExpired,
    /// The mechanism needs TLS, and there is none (§6.5.4).
    EncryptionRequired,
    /// The data was not base64 as RFC 4648 has it (§6.5.5). The XML layer finds this.
    IncorrectEncoding,
    /// The authorization identity is malformed or not allowed (§6.5.6).
    InvalidAuthzid,
    /// The mechanism was not offered, or not known (§6.5.7).
    InvalidMechanism,
    /// The message broke the mechanism's syntax or order (§6.5.8).
    MalformedRequest,
    /// The mechanism is weaker than the server's policy allows (§6.5.9).
    MechanismTooWeak,
    /// The credentials are wrong; also what an unknown user gets (§6.5.10).
    NotAuthorized,
    /// The server cannot tell now; try again later (§6.5.11).
    TemporaryAuthFailure,
}

impl SaslCondition {
    /// Every condition, in the order of RFC 6120.
    pub const ALL: [Self; 11] = [
        Self::Aborted,
        Self::AccountDisabled,
        Self::CredentialsExpired,
        Self::EncryptionRequired,
        Self::IncorrectEncoding,
        Self::InvalidAuthzid,
        Self::InvalidMechanism,
        Self::MalformedRequest,
        Self::MechanismTooWeak,
        Self::NotAuthorized,
        Self::TemporaryAuthFailure,
    ];

    /// The element name inside `<failure/>`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::AccountDisabled => "account-disabled",
            Self::CredentialsExpired => "credentials-expired",
            Self::EncryptionRequired => "encryption-required",
            Self::IncorrectEncoding => "incorrect-encoding",
            Self::InvalidAuthzid => "invalid-authzid",
            Self::InvalidMechanism => "invalid-mechanism",
            Self::MalformedRequest => "malformed-request",
            Self::MechanismTooWeak => "mechanism-too-weak",
            Self::NotAuthorized => "not-authorized",
            Self::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }

    /// Reads an element name; `None` for a name that RFC 6120 does not define.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == name)
    }
}

impl fmt::Display for SaslCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_reads_back_from_its_own_name() {
        for condition in SaslCondition::ALL {
            assert_eq!(SaslCondition::parse(condition.as_str()), Some(condition));
        }
    }

    #[test]
    fn an_unknown_name_is_no_condition() {
        assert_eq!(SaslCondition::parse("not-authorised"), None);
        assert_eq!(SaslCondition::parse(""), None);
    }
}
