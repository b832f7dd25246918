//! A certificate with its private key: a server's, or a client's (XEP-0178).

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::error::TlsConfigError;
use super::provider;
use crate::security::Fingerprint;

/// A certificate chain and the private key of its first certificate. Debug output
/// shows the fingerprint only.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    /// What `key` was made of: its signer does not give it back.
    key_der: Arc<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("sha256", &self.sha256())
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// From PEM: the end-entity certificate first, then its issuers; the key as PKCS #8,
    /// PKCS #1 or SEC 1. Both may stand in one text, given twice.
    ///
    /// # Errors
    /// [`TlsConfigError`] if one of them is missing or unreadable, or if they do not
    /// belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsConfigError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| TlsConfigError::Pem {
                what: "a certificate chain",
                source,
            })?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| TlsConfigError::Pem {
            what: "a private key",
            source,
        })?;
        Self::new(chain, key)
    }

    /// From two PEM files, or from one given twice; see [`Identity::from_pem`].
    ///
    /// # Errors
    /// As [`Identity::from_pem`], and [`TlsConfigError::Read`].
    pub fn from_pem_files(chain: &Path, key: &Path) -> Result<Self, TlsConfigError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| TlsConfigError::Read {
                path: path.to_owned(),
                source,
            })
        };
        Self::from_pem(&read(chain)?, &Zeroizing::new(read(key)?))
    }

    /// From DER: the end-entity certificate first, then its issuers; the key as PKCS #8,
    /// PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// As [`Identity::from_pem`].
    pub fn from_der(chain: Vec<Vec<u8>>, key: &[u8]) -> Result<Self, TlsConfigError> {
        let key = PrivateKeyDer::try_from(key).map_err(|_| TlsConfigError::Key)?;
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        Self::new(chain, key.clone_key())
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsConfigError> {
        if chain.is_empty() {
            return Err(TlsConfigError::NoCertificate);
        }
        let key_der = Arc::new(Zeroizing::new(key.secret_der().to_vec()));
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsConfigError::KeyMismatch,
            rustls::Error::InvalidCertificate(_) => TlsConfigError::Certificate,
            _ => TlsConfigError::Key,
        })?;
        Ok(Self {
            key: Arc::new(key),
            key_der,
        })
    }

    /// SHA-256 of the end-entity certificate: what the other end may pin.
    #[must_use]
    pub fn sha256(&self) -> Fingerprint {
        Fingerprint::of(self.end_entity())
    }

    /// The end-entity certificate in DER.
    #[must_use]
    pub fn end_entity(&self) -> &[u8] {
        self.key.cert.first().map_or(&[], |c| c)
    }

    /// All certificates in DER, the end-entity's first.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.key.cert.iter().map(|der| &**der)
    }

    /// **Secret.** The private key in DER, for whoever keeps identities;
    /// [`Identity::from_der`] takes it back.
    #[must_use]
    pub fn private_key(&self) -> &[u8] {
        &self.key_der
    }

    pub(super) fn resolver(&self) -> Arc<rustls::sign::SingleCertAndKey> {
        let key = CertifiedKey::clone(&self.key);
        Arc::new(rustls::sign::SingleCertAndKey::from(key))
    }
}
