//! Why a handshake failed, sorted by blame, and how rustls' words become ours.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use rustls::{AlertDescription, CertificateError};
use x509_parser::time::ASN1Time;

use crate::security::Fingerprint;

/// Why a TLS configuration cannot be used. All are the caller's to correct.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// A file cannot be read.
    #[error("cannot read {}; check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A text is not the PEM that was expected.
    #[error("cannot read {what} from the PEM text; check that it is complete")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// Why it was not found.
        source: rustls::pki_types::pem::Error,
    },
    /// There is no certificate in what was given.
    #[error("no certificate was given; a PEM text has one after -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// A certificate cannot be parsed.
    #[error("a certificate is not valid DER; make it anew")]
    Certificate,
    /// A private key cannot be parsed, or is of no supported kind.
    #[error("the private key is unreadable; use RSA (2048 bits or more), P-256, P-384 or Ed25519")]
    Key,
    /// The private key belongs to another certificate.
    #[error("the private key is not the certificate's; check which files belong together")]
    KeyMismatch,
    /// The policy trusts nobody.
    #[error("there are no trusted roots and no pin; add one of them")]
    NoRoots,
    /// The system's list gave no root.
    #[error("the system's trusted roots cannot be read; install them, or give a PEM file")]
    Native(#[source] rustls_native_certs::Error),
    /// The provider refuses the combination.
    #[error("the TLS configuration is refused")]
    Refused(#[source] rustls::Error),
}

/// Why a TLS handshake failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Retry later: the connection failed under the handshake.
    #[error("the connection failed during the TLS handshake; try later")]
    Io(#[source] io::Error),
    /// Retry later: the peer closed the connection. Servers do so when overloaded, or
    /// when they know no certificate for the domain.
    #[error("the peer closed the connection during the TLS handshake; try later")]
    Closed,
    /// Another mode or port: the peer answered, but not in TLS.
    #[error(
        "the peer does not speak TLS at this point; \
         if this is a STARTTLS port, do not begin with TLS, and if this network has a login \
         page, log in by a browser"
    )]
    NotTls,
    /// The peer has no version of TLS that the policy allows.
    #[error("the peer supports no allowed version of TLS; it has to be upgraded")]
    Version,
    /// The peer gave up, with this alert (RFC 8446 §6.2).
    #[error("the peer refused the TLS handshake with the alert {:?}; {}", .0, advice(.0))]
    Refused(AlertDescription),
    /// The peer broke the protocol, or the two share no algorithm.
    #[error("the TLS handshake failed by the peer's fault; report it to its operator")]
    PeerMisbehaved(#[source] rustls::Error),
    /// Ask the user: the peer is not proven to be who it should be.
    #[error(transparent)]
    Certificate(CertificateFault),
    /// The caller's: a domain that no certificate can name.
    #[error("{0:?} is neither a domain name nor an IP address; correct it")]
    Domain(String),
}

/// Why a certificate is not believed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// Its time is over.
    #[error(
        "the server's certificate expired on {}; the server's operator has to renew it \
         (or this machine's clock is wrong)", date(.not_after)
    )]
    Expired {
        /// When it ended.
        not_after: SystemTime,
    },
    /// Its time has not come: mostly a machine whose clock was not set.
    #[error(
        "the server's certificate is valid only from {}; check this machine's clock",
        date(.not_before)
    )]
    NotYetValid {
        /// When it begins.
        not_before: SystemTime,
    },
    /// It names others.
    #[error(
        "the server's certificate is not for {wanted}, but for {}; \
         check the address, or pin {sha256}", names(.presented)
    )]
    WrongName {
        /// The domain that was asked for.
        wanted: String,
        /// The domains and addresses that it names.
        presented: Vec<String>,
        /// Its fingerprint.
        sha256: Fingerprint,
    },
    /// No trusted root vouches for it.
    #[error(
        "the server's certificate, for {}, is {}; if that is the right server, trust its issuer by a \
         PEM file, or pin {sha256}",
        names(.presented),
        if *.self_signed { "self-signed" } else { "from an unknown issuer" }
    )]
    UnknownIssuer {
        /// Whether it vouches for itself.
        self_signed: bool,
        /// The domains and addresses that it names: those of a network that wants a
        /// login first, say. Nobody vouches for them.
        presented: Vec<String>,
        /// Its fingerprint, to be compared with the server's before it is pinned.
        sha256: Fingerprint,
    },
    /// It is not the pinned one.
    #[error(
        "the server's certificate has the fingerprint {got}, not the pinned {expected}; \
         it was renewed, or someone is in between: ask the server's operator"
    )]
    PinMismatch {
        /// The pin.
        expected: Fingerprint,
        /// What the server showed.
        got: Fingerprint,
    },
    /// Another fault of the certificate or of its chain.
    #[error("the peer's certificate is refused, and its operator has to correct it: {0}")]
    Invalid(CertificateError),
}

/// What may be done about an alert (RFC 8446 §6.2).
const fn advice(alert: &AlertDescription) -> &'static str {
    use AlertDescription as A;
    match alert {
        A::UnrecognisedName => "it does not serve this domain: check the address",
        A::HandshakeFailure | A::InsufficientSecurity | A::NoApplicationProtocol => {
            "the two have no algorithm or protocol in common: its TLS has to be updated"
        }
        A::BadCertificate
        | A::CertificateExpired
        | A::CertificateRequired
        | A::CertificateRevoked
        | A::CertificateUnknown
        | A::UnknownCA
        | A::UnsupportedCertificate
        | A::AccessDenied => "check the client certificate, or ask the server's operator",
        A::InternalError => "try later",
        _ => "report it to its operator",
    }
}

fn date(time: &SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
    let Ok(time) = ASN1Time::from_timestamp(seconds) else {
        return "a distant date".into();
    };
    let time = time.to_datetime();
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute) = (time.hour(), time.minute());
    format!(
        "{year:04}-{:02}-{day:02} {hour:02}:{minute:02} UTC",
        u8::from(month)
    )
}

fn names(presented: &[String]) -> String {
    match presented {
        [] => "no name at all".into(),
        names => names.join(", "),
    }
}

impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Closed;
        }
        match error.downcast::<rustls::Error>() {
            Ok(tls) => Self::from(tls),
            Err(other) => Self::Io(other),
        }
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        use rustls::{Error as E, InvalidMessage, PeerIncompatible as P};
        match error {
            E::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            E::AlertReceived(AlertDescription::ProtocolVersion)
            | E::PeerIncompatible(
                P::ServerDoesNotSupportTls12Or13
                | P::ServerTlsVersionIsDisabledByOurConfig
                | P::Tls12NotOffered
                | P::Tls12NotOfferedOrEnabled
                | P::Tls13RequiredForQuic
                | P::SupportedVersionsExtensionRequired,
            ) => Self::Version,
            E::AlertReceived(alert) => Self::Refused(alert),
            E::InvalidCertificate(fault) => Self::Certificate(fault.into()),
            other => Self::PeerMisbehaved(other),
        }
    }
}

impl From<CertificateError> for CertificateFault {
    fn from(error: CertificateError) -> Self {
        if let CertificateError::Other(other) = &error
            && let Some(fault) = other.0.downcast_ref::<Self>()
        {
            return fault.clone();
        }
        Self::Invalid(error)
    }
}
