//! What a client asks of a server's TLS, as a plain struct, and the reading of roots.

use std::fs;
use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::error::TlsConfigError;
use super::identity::Identity;
use crate::security::{Fingerprint, TlsVersion};

/// Whom a client trusts, and what it shows. The default: the public web's roots, no
/// pin, no client certificate, TLS 1.2 or later.
#[derive(Debug, Clone)]
pub struct TlsPolicy {
    /// Where trusted roots come from, all together. Default: [`Roots::WebPki`]. Not
    /// looked at if there is a pin.
    pub roots: Vec<Roots>,
    /// Trust exactly this certificate, whoever issued it, whatever it names and
    /// whenever it expires (as DANE-EE, RFC 7671 §5.1); and no other. The server still
    /// proves that it holds the key. Default: none.
    pub pin: Option<Fingerprint>,
    /// Shown to a server that asks for one (SASL EXTERNAL, XEP-0178). Default: none.
    pub client_certificate: Option<Identity>,
    /// The oldest version to accept. Default: TLS 1.2.
    pub min_version: TlsVersion,
}

impl Default for TlsPolicy {
    fn default() -> Self {
        Self {
            roots: vec![Roots::WebPki],
            pin: None,
            client_certificate: None,
            min_version: TlsVersion::Tls12,
        }
    }
}

impl TlsPolicy {
    /// The default, but with these roots only.
    #[must_use]
    pub fn with_roots(roots: Vec<Roots>) -> Self {
        Self {
            roots,
            ..Self::default()
        }
    }

    /// The default, but with that certificate as the only trusted one.
    #[must_use]
    pub fn pinned(pin: Fingerprint) -> Self {
        Self {
            pin: Some(pin),
            ..Self::default()
        }
    }
}

/// A source of trusted roots. A certificate from [`Roots::PemFile`] or [`Roots::Pem`]
/// may also be the server's own, self-signed one; unless it marks itself as an
/// authority (RFC 5280 §4.2.1.9), it then vouches for nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Roots {
    /// Mozilla's list, as compiled in.
    WebPki,
    /// The operating system's list, read once for each
    /// [`TlsConnector`](super::TlsConnector).
    Native,
    /// The certificates in a PEM file, read once for each connector.
    PemFile(PathBuf),
    /// The certificates in a PEM text.
    Pem(Vec<u8>),
}

/// What the roots of a policy come to.
pub(super) struct LoadedRoots {
    /// Those that may issue.
    pub(super) store: RootCertStore,
    /// All that were given in PEM, authorities or not.
    pub(super) given: Vec<CertificateDer<'static>>,
}

impl LoadedRoots {
    pub(super) fn load(sources: &[Roots]) -> Result<Self, TlsConfigError> {
        let mut loaded = Self {
            store: RootCertStore::empty(),
            given: Vec::new(),
        };
        for source in sources {
            match source {
                Roots::WebPki => loaded
                    .store
                    .extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
                Roots::Native => loaded.add_native()?,
                Roots::PemFile(path) => {
                    let pem = fs::read(path).map_err(|source| TlsConfigError::Read {
                        path: path.clone(),
                        source,
                    })?;
                    loaded.add_pem(&pem)?;
                }
                Roots::Pem(pem) => loaded.add_pem(pem)?,
            }
        }
        if loaded.store.is_empty() && loaded.given.is_empty() {
            return Err(TlsConfigError::NoRoots);
        }
        Ok(loaded)
    }

    /// The system's list often holds some unreadable ones; the rest is used.
    fn add_native(&mut self) -> Result<(), TlsConfigError> {
        let native = rustls_native_certs::load_native_certs();
        let (added, _) = self.store.add_parsable_certificates(native.certs);
        match native.errors.into_iter().next() {
            Some(error) if added == 0 => Err(TlsConfigError::Native(error)),
            _ => Ok(()),
        }
    }

    fn add_pem(&mut self, pem: &[u8]) -> Result<(), TlsConfigError> {
        let before = self.given.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|source| TlsConfigError::Pem {
                what: "a trusted certificate",
                source,
            })?;
            if may_issue(&certificate)? {
                self.store
                    .add(certificate.clone())
                    .map_err(|_| TlsConfigError::Certificate)?;
            }
            self.given.push(certificate);
        }
        if self.given.len() == before {
            return Err(TlsConfigError::NoCertificate);
        }
        Ok(())
    }
}

/// Whether a certificate is an authority's. Path building does not ask that of a root,
/// and a server's own certificate must not become one.
fn may_issue(der: &CertificateDer<'_>) -> Result<bool, TlsConfigError> {
    let (_, certificate) =
        x509_parser::parse_x509_certificate(der).map_err(|_| TlsConfigError::Certificate)?;
    // Old roots are of version 1, which has no extensions to say it.
    Ok(certificate.is_ca() || certificate.version() == x509_parser::x509::X509Version::V1)
}
