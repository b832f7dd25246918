//! Whether a peer's certificate is to be believed, and the reasons why not in words
//! that help. Path building is webpki's; signatures are checked by the provider.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::error::CertificateFault;
use crate::security::Fingerprint;

/// What makes a certificate the server's.
#[derive(Debug)]
pub(super) enum Rule {
    /// It is this one. Its names and dates do not matter, as with DANE-EE
    /// (RFC 7671 §5.1): who pins a certificate has decided about exactly that.
    Pin(Fingerprint),
    /// It leads to a root, or is itself one of those given as trusted, and it names
    /// the domain, and its time is now. The second case is the self-signed certificate,
    /// which path building refuses as a leaf if it marks itself as an authority.
    Chain {
        /// None if there is no root that may issue.
        webpki: Option<Arc<WebPkiServerVerifier>>,
        trusted: Vec<CertificateDer<'static>>,
    },
}

#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) rule: Rule,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = match &self.rule {
            Rule::Pin(expected) => {
                let (expected, got) = (*expected, Fingerprint::of(end_entity));
                return if got == expected {
                    Ok(ServerCertVerified::assertion())
                } else {
                    Err(refuse(CertificateFault::PinMismatch { expected, got }))
                };
            }
            Rule::Chain { trusted, .. } if trusted.iter().any(|t| **t == **end_entity) => {
                verify_itself(end_entity, server_name, now)
            }
            Rule::Chain { webpki: None, .. } => Err(CertificateError::UnknownIssuer.into()),
            Rule::Chain {
                webpki: Some(webpki),
                ..
            } => webpki.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
        };
        verdict.map_err(|error| match error {
            Error::InvalidCertificate(fault) => refuse(explain(fault, end_entity, server_name)),
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The one client that is let in, by its certificate.
#[derive(Debug)]
pub(super) struct PinnedClient {
    pub(super) pin: Fingerprint,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for PinnedClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let (expected, got) = (self.pin, Fingerprint::of(end_entity));
        match got == expected {
            true => Ok(ClientCertVerified::assertion()),
            false => Err(refuse(CertificateFault::PinMismatch { expected, got })),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A certificate that is trusted by itself: only its dates and names are left to check.
fn verify_itself(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let (_, parsed) =
        parse_x509_certificate(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if seconds > parsed.validity().not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    if seconds < parsed.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    Ok(ServerCertVerified::assertion())
}

fn refuse(fault: CertificateFault) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(fault))))
}

/// The fault with what the user needs to know, which is read from the certificate.
fn explain(
    error: CertificateError,
    end_entity: &CertificateDer<'_>,
    wanted: &ServerName<'_>,
) -> CertificateFault {
    use CertificateError as E;
    let Ok((_, parsed)) = parse_x509_certificate(end_entity) else {
        return CertificateFault::Invalid(E::BadEncoding);
    };
    let sha256 = Fingerprint::of(end_entity);
    let self_signed = parsed.subject() == parsed.issuer();
    let time = |seconds: i64| {
        let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        SystemTime::UNIX_EPOCH.checked_add(since)
    };
    match error {
        E::Expired => match time(parsed.validity().not_after.timestamp()) {
            Some(not_after) => CertificateFault::Expired { not_after },
            None => CertificateFault::Invalid(error),
        },
        // Of whichever certificate of the chain it is.
        E::ExpiredContext { not_after, .. } => match time(seconds(not_after)) {
            Some(not_after) => CertificateFault::Expired { not_after },
            None => CertificateFault::Invalid(error),
        },
        E::NotValidYet => match time(parsed.validity().not_before.timestamp()) {
            Some(not_before) => CertificateFault::NotYetValid { not_before },
            None => CertificateFault::Invalid(error),
        },
        E::NotValidYetContext { not_before, .. } => match time(seconds(not_before)) {
            Some(not_before) => CertificateFault::NotYetValid { not_before },
            None => CertificateFault::Invalid(error),
        },
        E::NotValidForName | E::NotValidForNameContext { .. } => CertificateFault::WrongName {
            wanted: wanted.to_str().into_owned(),
            presented: subject_names(&parsed),
            sha256,
        },
        E::UnknownIssuer => CertificateFault::UnknownIssuer {
            self_signed,
            presented: subject_names(&parsed),
            sha256,
        },
        // Webpki's word for an authority's own certificate in a server's hands.
        E::Other(_) if self_signed => CertificateFault::UnknownIssuer {
            self_signed,
            presented: subject_names(&parsed),
            sha256,
        },
        other => CertificateFault::Invalid(other),
    }
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// The domains and addresses that a certificate names (RFC 6125 §6.4): what a check
/// goes by, so not the subject's common name.
pub(super) fn subject_names(
    certificate: &x509_parser::certificate::X509Certificate<'_>,
) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(dns) => Some((*dns).to_owned()),
            GeneralName::IPAddress(octets) => match **octets {
                [a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string()),
                ref octets => <[u8; 16]>::try_from(octets)
                    .ok()
                    .map(|v6| std::net::Ipv6Addr::from(v6).to_string()),
            },
            _ => None,
        })
        .collect()
}
