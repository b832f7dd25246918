//! What is known of a pipe's protection: TLS, who was authenticated and how, and the
//! channel binding data for SASL. Only plain data; `tls` fills it in.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::tls::PeerCertificate;

/// What protects a pipe. The default is plaintext.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Security {
    /// The TLS session, or `None` for plaintext.
    pub tls: Option<TlsInfo>,
    /// What SASL can bind authentication to (RFC 5056); empty for plaintext.
    pub bindings: Bindings,
}

impl Security {
    /// No protection at all.
    #[must_use]
    pub fn plaintext() -> Self {
        Self::default()
    }

    /// Whether the bytes are encrypted.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }
}

/// A TLS session, as negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The protocol's version.
    pub version: TlsVersion,
    /// The cipher suite, in the IANA registry's words, e.g. `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// How the peer was authenticated.
    pub trust: Trust,
    /// SHA-256 of the peer's end-entity certificate, if it showed one. To pin a
    /// server, keep this.
    pub peer_sha256: Option<Fingerprint>,
    /// What that certificate says of itself, for people.
    pub peer_certificate: Option<Arc<PeerCertificate>>,
    /// The application protocol agreed on (RFC 7301): `xmpp-client` for direct TLS with
    /// a server that knows it (XEP-0368), `None` after STARTTLS.
    pub alpn: Option<Vec<u8>>,
    /// At a client: whether it has a certificate to show, should the server ask (whether
    /// it did is not known). At a server: whether the client showed one.
    pub client_certificate: bool,
    /// What the handshake had to do.
    pub handshake: Handshake,
}

impl TlsInfo {
    /// A session of which nothing else is known, to be filled in: for transports of
    /// other crates.
    #[must_use]
    pub const fn new(version: TlsVersion, trust: Trust) -> Self {
        Self {
            version,
            cipher: String::new(),
            trust,
            peer_sha256: None,
            peer_certificate: None,
            alpn: None,
            client_certificate: false,
            handshake: Handshake::Full,
        }
    }
}

/// A version of TLS. Older ones than 1.2 are never spoken (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}

/// What a handshake had to do, which decides what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Handshake {
    /// Everything: certificates and key exchange. One round trip in TLS 1.3, two in
    /// TLS 1.2.
    #[default]
    Full,
    /// Everything, and one round trip more, because the server wanted another key
    /// exchange than the client guessed (HelloRetryRequest, RFC 8446 §4.1.4).
    FullWithRetry,
    /// An earlier session was resumed (RFC 8446 §2.2), which saves the certificates'
    /// exchange, and in TLS 1.2 a round trip.
    Resumed,
}

impl fmt::Display for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full handshake",
            Self::FullWithRetry => "full handshake with a retry",
            Self::Resumed => "resumed session",
        })
    }
}

/// How a TLS peer was authenticated. A client never accepts a server that is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trust {
    /// Its certificate leads to a trusted root, names it, and is valid today.
    Chain,
    /// Its certificate is the pinned one.
    Pin,
    /// Not at all: this end is the server, and the client showed no certificate.
    Anonymous,
}

/// Channel binding data (RFC 5056), equal at both ends of one TLS session and of no
/// other. Each is present only where its security holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Bindings {
    /// `tls-exporter` (RFC 9266): 32 bytes, on TLS 1.3 only. On TLS 1.2 it would need
    /// the extended master secret, which cannot be told from outside the handshake.
    pub tls_exporter: Option<[u8; 32]>,
    /// `tls-server-end-point` (RFC 5929 §4): the hash of the server's certificate.
    /// None if its signature algorithm names no single hash (e.g. Ed25519), or if the
    /// peer has no certificate to show.
    pub tls_server_end_point: Option<Vec<u8>>,
}

/// The SHA-256 of a certificate in DER, as `openssl x509 -fingerprint -sha256` prints it.
///
/// ```
/// use stanchion_transport::security::Fingerprint;
/// let text = "9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:\
///             A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08";
/// let pin: Fingerprint = text.parse()?;
/// assert_eq!(pin, Fingerprint::of(b"test"));
/// assert_eq!(pin.to_string(), text);
/// # Ok::<(), stanchion_transport::security::FingerprintError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(der).into())
    }

    /// The hash itself.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(hash: [u8; 32]) -> Self {
        Self(hash)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A text that is no SHA-256 fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits (SHA-256), with or without colons between bytes")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Hexadecimal digits of either case; colons between bytes are optional.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut hash = [0; 32];
        let mut digits = s.bytes().filter(|b| *b != b':');
        let mut digit = || {
            let byte = digits.next().ok_or(FingerprintError)?;
            let value = char::from(byte).to_digit(16).ok_or(FingerprintError)?;
            u8::try_from(value).map_err(|_| FingerprintError)
        };
        for byte in &mut hash {
            *byte = digit()? << 4 | digit()?;
        }
        digits
            .next()
            .map_or(Ok(Self(hash)), |_| Err(FingerprintError))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons_and_in_either_case() {
        let pin = Fingerprint::of(b"certificate");
        let text = pin.to_string();
        assert_eq!(text.len(), 32 * 3 - 1);
        assert_eq!(text.parse(), Ok(pin));
        assert_eq!(text.replace(':', "").to_lowercase().parse(), Ok(pin));
    }

    #[test]
    fn a_fingerprint_of_another_length_or_alphabet_is_refused() {
        let text = Fingerprint::of(b"certificate").to_string();
        for wrong in [
            &text[1..],
            &format!("{text}0"),
            &text.replace(':', " "),
            "",
            "é",
        ] {
            assert_eq!(
                wrong.parse::<Fingerprint>(),
                Err(FingerprintError),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_says_nothing_is_plaintext() {
        assert!(!Security::default().is_encrypted());
        assert_eq!(Security::plaintext().bindings, Bindings::default());
    }
}
