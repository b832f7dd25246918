//! PLAIN: the message and nothing else (RFC 4616).
//!
//! Owns its grammar. That it is sent inside verified TLS only is enforced in
//! [`crate::policy`] for clients and in [`crate::server`] for servers.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::prepare::{MAX_CREDENTIAL_BYTES, PrepareError, check_verbatim};

/// Writes the one message of the client. The strings go out as they are: the
/// server prepares them (RFC 4616 §2).
pub(crate) fn message(
    authzid: Option<&str>,
    authcid: &str,
    password: &SecretString,
) -> Result<Zeroizing<Vec<u8>>, PrepareError> {
    let password = password.expose_secret();
    check_verbatim(authcid)?;
    check_verbatim(password)?;
    let authzid = authzid.unwrap_or_default();
    if !authzid.is_empty() {
        check_verbatim(authzid)?;
    }
    // Sized before, so that no smaller copy of the password is left behind.
    let mut message = Zeroizing::new(Vec::with_capacity(
        authzid.len() + authcid.len() + password.len() + 2,
    ));
    message.extend_from_slice(authzid.as_bytes());
    message.push(0);
    message.extend_from_slice(authcid.as_bytes());
    message.push(0);
    message.extend_from_slice(password.as_bytes());
    Ok(message)
}

/// What a client sent.
#[derive(PartialEq, Eq)]
pub(crate) struct PlainMessage<'a> {
    pub(crate) authzid: Option<&'a str>,
    pub(crate) authcid: &'a str,
    /// A secret: the reason why `Debug` is written by hand.
    pub(crate) password: &'a str,
}

impl fmt::Debug for PlainMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainMessage")
            .field("authzid", &self.authzid)
            .field("authcid", &self.authcid)
            .finish_non_exhaustive()
    }
}

/// The message is not `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the PLAIN message is not `[authzid] NUL authcid NUL passwd` (RFC 4616 §2)")]
pub(crate) struct BadPlainMessage;

impl<'a> PlainMessage<'a> {
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, BadPlainMessage> {
        if message.len() > 3 * MAX_CREDENTIAL_BYTES + 2 {
            return Err(BadPlainMessage);
        }
        let text = std::str::from_utf8(message).map_err(|_| BadPlainMessage)?;
        let mut fields = text.split('\0');
        let (Some(authzid), Some(authcid), Some(password), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(BadPlainMessage);
        };
        let sizes = 1..=MAX_CREDENTIAL_BYTES;
        if !sizes.contains(&authcid.len())
            || !sizes.contains(&password.len())
            || authzid.len() > MAX_CREDENTIAL_BYTES
        {
            return Err(BadPlainMessage);
        }
        Ok(Self {
            authzid: (!authzid.is_empty()).then_some(authzid),
            authcid,
            password,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_4616_are_written_and_read() {
        let tim = message(None, "tim", &"tanstaaftanstaaf".into()).unwrap();
        assert_eq!(tim.as_slice(), b"\0tim\0tanstaaftanstaaf");
        let kurt = message(Some("Ursel"), "Kurt", &"xipj3plmq".into()).unwrap();
        assert_eq!(kurt.as_slice(), b"Ursel\0Kurt\0xipj3plmq");
        assert_eq!(
            PlainMessage::parse(&kurt),
            Ok(PlainMessage {
                authzid: Some("Ursel"),
                authcid: "Kurt",
                password: "xipj3plmq"
            })
        );
    }

    #[test]
    fn a_nul_cannot_be_smuggled_into_a_field() {
        assert_eq!(
            message(None, "a\0b", &"pw".into()).err(),
            Some(PrepareError::Prohibited)
        );
        assert_eq!(
            message(None, "a", &"p\0w".into()).err(),
            Some(PrepareError::Prohibited)
        );
        assert_eq!(
            message(Some("z\0"), "a", &"pw".into()).err(),
            Some(PrepareError::Prohibited)
        );
    }

    #[test]
    fn a_message_out_of_form_is_refused() {
        let long = "x".repeat(MAX_CREDENTIAL_BYTES + 1);
        for bad in [
            &b""[..],
            b"\0",
            b"\0\0",
            b"\0user\0",
            b"\0\0password",
            b"user\0password",
            b"\0user\0password\0",
            b"\0us\xFFer\0password",
            format!("\0user\0{long}").as_bytes(),
            format!("{long}\0user\0password").as_bytes(),
        ] {
            assert_eq!(PlainMessage::parse(bad), Err(BadPlainMessage));
        }
    }
}
