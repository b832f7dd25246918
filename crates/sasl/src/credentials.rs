//! What a client proves itself with.
//!
//! Owns the kinds of credentials. Preparing them (SASLprep) happens when a
//! mechanism is chosen; where they are kept is the caller's business.

use secrecy::SecretString;

/// What a client proves itself with. Secrets never show in `Debug`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// A user name and a password: SCRAM, or PLAIN inside verified TLS.
    Password {
        /// The user name; for XMPP the localpart of the JID (RFC 6120 §6.3.8).
        authcid: String,
        /// The password, as the user typed it.
        password: SecretString,
        /// Act as this identity (a bare JID); `None`: the one that belongs to `authcid`.
        authzid: Option<String>,
    },
    /// The client certificate of the TLS connection: EXTERNAL (XEP-0178).
    Certificate {
        /// Act as this identity (a bare JID); `None`: the one in the certificate.
        authzid: Option<String>,
    },
    /// No identity: ANONYMOUS (RFC 4505).
    Anonymous,
}

impl Credentials {
    /// A user name and a password, acting as oneself.
    #[must_use]
    pub fn password(authcid: impl Into<String>, password: impl Into<SecretString>) -> Self {
        Self::Password {
            authcid: authcid.into(),
            password: password.into(),
            authzid: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_show_in_debug_output() {
        let credentials = Credentials::password("alice", "hunter2");
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
