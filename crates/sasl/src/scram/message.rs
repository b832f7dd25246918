//! The four messages of SCRAM, read and written (RFC 5802 §5.1 and §7).
//!
//! Owns the grammar: nothing here knows a key or an order of messages. Reading
//! borrows from the received text, because the signatures cover the bytes as
//! received, never a re-written form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::fmt;
use thiserror::Error;

use crate::nonce::is_printable;

/// Most bytes that a message may have, in either direction.
///
/// Real ones have a few hundred.
pub const MAX_MESSAGE_BYTES: usize = 8192;

/// How a message breaks RFC 5802. The peer is at fault; retrying does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Over [`MAX_MESSAGE_BYTES`].
    #[error("the SCRAM message has more than 8192 bytes")]
    TooLong,
    /// Not UTF-8, or with a NUL (RFC 5802 §7, `value-char`).
    #[error("the SCRAM message is not UTF-8 without NUL (RFC 5802 §7)")]
    NotText,
    /// An attribute is missing, out of order, or not of the form `x=value` (§5.1).
    #[error("the SCRAM message lacks the attribute {expected:?} in its place (RFC 5802 §5.1)")]
    Missing {
        /// The attribute that must stand there.
        expected: char,
    },
    /// One attribute twice: it would be open which one is signed or used.
    #[error("the SCRAM message has the attribute {0:?} twice")]
    Duplicate(char),
    /// `m=`: an extension that must be understood, and is not (§5.1).
    #[error("the SCRAM message asks for a mandatory extension, `m=` (RFC 5802 §5.1)")]
    MandatoryExtension,
    /// The value of an attribute breaks the grammar of §7.
    #[error("the SCRAM attribute {0:?} has a malformed value (RFC 5802 §7)")]
    BadValue(char),
    /// The GS2 header is malformed (§7, `gs2-header`).
    #[error("the GS2 header of the SCRAM message is malformed (RFC 5802 §7)")]
    BadGs2Header,
}

/// The channel binding flag of the GS2 header (RFC 5802 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gs2Flag<'a> {
    /// `n`: this client does not bind.
    NotSupported,
    /// `y`: this client could bind and thinks that the server cannot.
    ServerLacks,
    /// `p=…`: bound with this type.
    Used(&'a str),
}

impl fmt::Display for Gs2Flag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupported => f.write_str("n"),
            Self::ServerLacks => f.write_str("y"),
            Self::Used(name) => write!(f, "p={name}"),
        }
    }
}

/// Writes the GS2 header, with its closing comma.
pub(crate) fn gs2_header(flag: Gs2Flag<'_>, authzid: Option<&str>) -> String {
    match authzid {
        Some(authzid) => format!("{flag},a={},", escape(authzid)),
        None => format!("{flag},,"),
    }
}

/// client-first-message.
#[derive(Debug)]
pub(crate) struct ClientFirst<'a> {
    /// The GS2 header as received, with its closing comma.
    pub(crate) gs2_header: &'a str,
    pub(crate) flag: Gs2Flag<'a>,
    pub(crate) authzid: Option<String>,
    /// client-first-message-bare as received.
    pub(crate) bare: &'a str,
    pub(crate) username: String,
    pub(crate) nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, MessageError> {
        let text = text_of(message)?;
        let mut parts = text.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(MessageError::BadGs2Header);
        };
        let gs2_header = &text[..text.len() - bare.len()];
        let flag = match flag {
            "n" => Gs2Flag::NotSupported,
            "y" => Gs2Flag::ServerLacks,
            _ => match flag.strip_prefix("p=") {
                Some(name) if is_cb_name(name) => Gs2Flag::Used(name),
                _ => return Err(MessageError::BadGs2Header),
            },
        };
        let authzid = match authzid {
            "" => None,
            _ => {
                let value = authzid
                    .strip_prefix("a=")
                    .ok_or(MessageError::BadGs2Header)?;
                Some(unescape(value).ok_or(MessageError::BadValue('a'))?)
            }
        };
        let mut attributes = Attributes::of(bare);
        let username = unescape(attributes.expect('n')?).ok_or(MessageError::BadValue('n'))?;
        let nonce = nonce_of(attributes.expect('r')?)?;
        attributes.skip_extensions()?;
        Ok(Self {
            gs2_header,
            flag,
            authzid,
            bare,
            username,
            nonce,
        })
    }
}

/// Writes client-first-message-bare.
pub(crate) fn client_first_bare(username: &str, nonce: &str) -> String {
    format!("n={},r={nonce}", escape(username))
}

/// server-first-message.
#[derive(Debug)]
pub(crate) struct ServerFirst<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: u32,
    /// The optional attribute `h` of XEP-0474, still in base64.
    pub(crate) offer_hash: Option<&'a str>,
}

impl<'a> ServerFirst<'a> {
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, MessageError> {
        let mut attributes = Attributes::of(text_of(message)?);
        let nonce = nonce_of(attributes.expect('r')?)?;
        let salt = base64_of('s', attributes.expect('s')?)?;
        let iterations = iterations_of(attributes.expect('i')?)?;
        let mut offer_hash = None;
        while let Some((name, value)) = attributes.next_extension()? {
            if name == 'h' {
                offer_hash = Some(value);
            }
        }
        Ok(Self {
            nonce,
            salt,
            iterations,
            offer_hash,
        })
    }
}

/// Writes server-first-message.
pub(crate) fn server_first(
    nonce: &str,
    salt: &[u8],
    iterations: u32,
    offer_hash: Option<&str>,
) -> String {
    let mut text = format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt));
    if let Some(hash) = offer_hash {
        text.push_str(",h=");
        text.push_str(hash);
    }
    text
}

/// client-final-message.
#[derive(Debug)]
pub(crate) struct ClientFinal<'a> {
    /// client-final-message-without-proof as received.
    pub(crate) without_proof: &'a str,
    /// GS2 header and binding value, decoded.
    pub(crate) channel_binding: Vec<u8>,
    pub(crate) nonce: &'a str,
    pub(crate) proof: Vec<u8>,
}

impl<'a> ClientFinal<'a> {
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, MessageError> {
        let text = text_of(message)?;
        // The proof is the last attribute, and no value has a comma.
        let (without_proof, last) = text
            .rsplit_once(',')
            .ok_or(MessageError::Missing { expected: 'p' })?;
        let proof = last
            .strip_prefix("p=")
            .ok_or(MessageError::Missing { expected: 'p' })?;
        let proof = base64_of('p', proof)?;
        let mut attributes = Attributes::of(without_proof);
        attributes.mark('p')?;
        let channel_binding = base64_of('c', attributes.expect('c')?)?;
        let nonce = nonce_of(attributes.expect('r')?)?;
        attributes.skip_extensions()?;
        Ok(Self {
            without_proof,
            channel_binding,
            nonce,
            proof,
        })
    }
}

/// Writes client-final-message-without-proof.
pub(crate) fn client_final_without_proof(channel_binding: &[u8], nonce: &str) -> String {
    format!("c={},r={nonce}", STANDARD.encode(channel_binding))
}

/// Adds the proof to a client-final-message-without-proof.
pub(crate) fn with_proof(mut without_proof: String, proof: &[u8]) -> String {
    without_proof.push_str(",p=");
    without_proof.push_str(&STANDARD.encode(proof));
    without_proof
}

/// server-final-message.
#[derive(Debug)]
pub(crate) enum ServerFinal {
    /// `v=`: the server's signature.
    Verifier(Vec<u8>),
    /// `e=`: the server refuses.
    Error(ServerError),
}

impl ServerFinal {
    pub(crate) fn parse(message: &[u8]) -> Result<Self, MessageError> {
        let text = text_of(message)?;
        let mut attributes = Attributes::of(text);
        let parsed = if text.starts_with("e=") {
            Self::Error(ServerError::parse(attributes.expect('e')?))
        } else {
            Self::Verifier(base64_of('v', attributes.expect('v')?)?)
        };
        attributes.skip_extensions()?;
        Ok(parsed)
    }
}

/// Writes server-final-message with a signature.
pub(crate) fn server_final(signature: &[u8]) -> String {
    format!("v={}", STANDARD.encode(signature))
}

/// The `e=` values of RFC 5802 §7, sent by a server that refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The server cannot read `c=` and the like.
    #[error("invalid-encoding")]
    InvalidEncoding,
    /// The server does not know an extension.
    #[error("extensions-not-supported")]
    ExtensionsNotSupported,
    /// The proof is wrong: the password is.
    #[error("invalid-proof")]
    InvalidProof,
    /// Both ends see another TLS connection, or the server compares wrongly.
    #[error("channel-bindings-dont-match")]
    ChannelBindingsDontMatch,
    /// The flag was `y`, and the server does support binding.
    #[error("server-does-support-channel-binding")]
    ServerDoesSupportChannelBinding,
    /// The server cannot bind.
    #[error("channel-binding-not-supported")]
    ChannelBindingNotSupported,
    /// The server cannot bind with this type.
    #[error("unsupported-channel-binding-type")]
    UnsupportedChannelBindingType,
    /// There is no such user.
    #[error("unknown-user")]
    UnknownUser,
    /// The user name is not SASLprep's UTF-8.
    #[error("invalid-username-encoding")]
    InvalidUsernameEncoding,
    /// The server has not what it needs now; a later try may succeed.
    #[error("no-resources")]
    NoResources,
    /// `other-error`, or a value that RFC 5802 does not define.
    #[error("other-error")]
    OtherError,
}

impl ServerError {
    fn parse(value: &str) -> Self {
        match value {
            "invalid-encoding" => Self::InvalidEncoding,
            "extensions-not-supported" => Self::ExtensionsNotSupported,
            "invalid-proof" => Self::InvalidProof,
            "channel-bindings-dont-match" => Self::ChannelBindingsDontMatch,
            "server-does-support-channel-binding" => Self::ServerDoesSupportChannelBinding,
            "channel-binding-not-supported" => Self::ChannelBindingNotSupported,
            "unsupported-channel-binding-type" => Self::UnsupportedChannelBindingType,
            "unknown-user" => Self::UnknownUser,
            "invalid-username-encoding" => Self::InvalidUsernameEncoding,
            "no-resources" => Self::NoResources,
            _ => Self::OtherError,
        }
    }

    /// Whether the server names channel binding as what it cannot do.
    ///
    /// `server-does-support-channel-binding` is not among them: it answers a
    /// `y` whose offer was stripped on the way, and must not be given way to.
    #[must_use]
    pub const fn refuses_binding(self) -> bool {
        matches!(
            self,
            Self::ChannelBindingsDontMatch
                | Self::ChannelBindingNotSupported
                | Self::UnsupportedChannelBindingType
        )
    }
}

/// Walks over the attributes of a message in their order.
struct Attributes<'a> {
    rest: Option<&'a str>,
    /// One bit for each letter seen.
    seen: u64,
}

impl<'a> Attributes<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            rest: Some(text),
            seen: 0,
        }
    }

    fn mark(&mut self, name: char) -> Result<(), MessageError> {
        // Letters only, so the difference is below 58.
        let bit = 1u64 << (u32::from(name).wrapping_sub(u32::from('A')) & 63);
        if self.seen & bit != 0 {
            return Err(MessageError::Duplicate(name));
        }
        self.seen |= bit;
        Ok(())
    }

    /// The next `x=value`, whatever it is; `None` at the end.
    fn take(&mut self, expected: char) -> Result<Option<(char, &'a str)>, MessageError> {
        let Some(rest) = self.rest else {
            return Ok(None);
        };
        let (attribute, rest) = match rest.split_once(',') {
            Some((attribute, rest)) => (attribute, Some(rest)),
            None => (rest, None),
        };
        let missing = MessageError::Missing { expected };
        let mut characters = attribute.chars();
        let name = characters
            .next()
            .filter(char::is_ascii_alphabetic)
            .ok_or(missing)?;
        let value = characters.as_str().strip_prefix('=').ok_or(missing)?;
        if name == 'm' {
            return Err(MessageError::MandatoryExtension);
        }
        if value.is_empty() {
            return Err(MessageError::BadValue(name));
        }
        self.mark(name)?;
        self.rest = rest;
        Ok(Some((name, value)))
    }

    /// The value of the attribute that must come now.
    fn expect(&mut self, expected: char) -> Result<&'a str, MessageError> {
        match self.take(expected)? {
            Some((name, value)) if name == expected => Ok(value),
            _ => Err(MessageError::Missing { expected }),
        }
    }

    fn next_extension(&mut self) -> Result<Option<(char, &'a str)>, MessageError> {
        self.take('x')
    }

    fn skip_extensions(&mut self) -> Result<(), MessageError> {
        while self.next_extension()?.is_some() {}
        Ok(())
    }
}

fn text_of(message: &[u8]) -> Result<&str, MessageError> {
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(MessageError::TooLong);
    }
    match std::str::from_utf8(message) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(MessageError::NotText),
    }
}

fn nonce_of(value: &str) -> Result<&str, MessageError> {
    if is_printable(value) {
        Ok(value)
    } else {
        Err(MessageError::BadValue('r'))
    }
}

fn base64_of(name: char, value: &str) -> Result<Vec<u8>, MessageError> {
    STANDARD
        .decode(value)
        .map_err(|_| MessageError::BadValue(name))
}

/// `posit-number`: digits, the first not zero.
fn iterations_of(value: &str) -> Result<u32, MessageError> {
    let well_formed = !value.starts_with('0') && value.bytes().all(|b| b.is_ascii_digit());
    match value.parse() {
        Ok(number) if well_formed => Ok(number),
        // A number over u32 is well-formed, and over any bound.
        Err(_) if well_formed => Ok(u32::MAX),
        _ => Err(MessageError::BadValue('i')),
    }
}

/// `cb-name` of RFC 5802 §7.
fn is_cb_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

/// Writes a `saslname`: `=` and `,` have escapes (RFC 5802 §5.1).
fn escape(name: &str) -> Cow<'_, str> {
    if name.contains(['=', ',']) {
        Cow::Owned(name.replace('=', "=3D").replace(',', "=2C"))
    } else {
        Cow::Borrowed(name)
    }
}

/// Reads a `saslname`; `None` if an `=` stands for anything else.
fn unescape(value: &str) -> Option<String> {
    let mut name = String::with_capacity(value.len());
    let mut pieces = value.split('=');
    name.push_str(pieces.next()?);
    for piece in pieces {
        if let Some(rest) = piece.strip_prefix("2C") {
            name.push(',');
            name.push_str(rest);
        } else {
            name.push('=');
            name.push_str(piece.strip_prefix("3D")?);
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_read_back() {
        assert_eq!(escape("a=b,c"), "a=3Db=2Cc");
        assert_eq!(escape("=2C"), "=3D2C");
        for name in ["plain", "=", ",", "=,=,", "=2C", "=3D", "é,ß="] {
            assert_eq!(unescape(&escape(name)).as_deref(), Some(name));
        }
    }

    #[test]
    fn an_equals_sign_that_is_no_escape_is_malformed() {
        for bad in ["=", "a=", "=2", "=2c", "=3d", "=41", "=3D=", "=é"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_bare_message_and_the_header_are_kept_as_received() {
        let first = ClientFirst::parse(b"p=tls-exporter,a=x=2Cy,n=u=3Dv,r=abc,x=1").unwrap();
        assert_eq!(first.gs2_header, "p=tls-exporter,a=x=2Cy,");
        assert_eq!(first.bare, "n=u=3Dv,r=abc,x=1");
        assert_eq!(first.flag, Gs2Flag::Used("tls-exporter"));
        assert_eq!(first.authzid.as_deref(), Some("x,y"));
        assert_eq!(first.username, "u=v");
    }

    #[test]
    fn a_client_first_message_out_of_form_is_refused() {
        use MessageError as E;
        for (bad, why) in [
            ("", E::BadGs2Header),
            ("n", E::BadGs2Header),
            ("n,", E::BadGs2Header),
            ("n,,", E::Missing { expected: 'n' }),
            ("x,,n=u,r=abc", E::BadGs2Header),
            ("p=,,n=u,r=abc", E::BadGs2Header),
            ("p=a b,,n=u,r=abc", E::BadGs2Header),
            ("n,b=z,n=u,r=abc", E::BadGs2Header),
            ("n,a=%=,n=u,r=abc", E::BadValue('a')),
            ("n,,r=abc,n=u", E::Missing { expected: 'n' }),
            ("n,,n=u", E::Missing { expected: 'r' }),
            ("n,,n=,r=abc", E::BadValue('n')),
            ("n,,n=u=,r=abc", E::BadValue('n')),
            ("n,,n=u,r=", E::BadValue('r')),
            ("n,,n=u,r=a b", E::BadValue('r')),
            ("n,,n=u,r=é", E::BadValue('r')),
            ("n,,m=x,n=u,r=abc", E::MandatoryExtension),
            ("n,,n=u,r=abc,m=x", E::MandatoryExtension),
            ("n,,n=u,r=abc,n=v", E::Duplicate('n')),
            ("n,,n=u,r=abc,x=1,x=2", E::Duplicate('x')),
            ("n,,n=u,r=abc,", E::Missing { expected: 'x' }),
            ("n,,n=u,r=abc,é=1", E::Missing { expected: 'x' }),
            ("n,,n=u\0,r=abc", E::NotText),
        ] {
            assert_eq!(ClientFirst::parse(bad.as_bytes()).err(), Some(why), "{bad}");
        }
    }

    #[test]
    fn iteration_counts_are_digits_without_a_leading_zero() {
        assert_eq!(iterations_of("4096"), Ok(4096));
        assert_eq!(iterations_of("99999999999999999999"), Ok(u32::MAX));
        for bad in ["", "0", "04096", "+4096", "-1", "4096 ", "4e3", "٤"] {
            assert_eq!(
                iterations_of(bad),
                Err(MessageError::BadValue('i')),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_proof_is_the_last_attribute_and_comes_once() {
        let ok = ClientFinal::parse(b"c=biws,r=abc,x=1,p=AAAA").unwrap();
        assert_eq!(ok.without_proof, "c=biws,r=abc,x=1");
        for bad in ["c=biws,r=abc", "p=AAAA", "c=biws,r=abc,p=AAAA,x=1"] {
            assert_eq!(
                ClientFinal::parse(bad.as_bytes()).err(),
                Some(MessageError::Missing { expected: 'p' }),
                "{bad}"
            );
        }
        assert_eq!(
            ClientFinal::parse(b"c=biws,r=abc,p=AAAA,p=AAAA").err(),
            Some(MessageError::Duplicate('p'))
        );
    }

    #[test]
    fn an_unknown_server_error_is_other_error() {
        assert!(matches!(
            ServerFinal::parse(b"e=the-moon"),
            Ok(ServerFinal::Error(ServerError::OtherError))
        ));
    }
}
