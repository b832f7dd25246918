//! The hub's own certificate: self-signed, ECDSA P-256, for its domain, `localhost` and
//! 127.0.0.1, and without an end, as clients pin it. TLS itself is the transport's.

use std::net::IpAddr;
use std::path::Path;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256};
use stanchion_transport::tls::Identity;
use zeroize::Zeroizing;

use crate::error::HubError;

/// What the first line of the file begins with.
const HEADING: &str = "Stanchion hub, private key and certificate for ";

/// A certificate and its key.
pub(crate) struct HubIdentity {
    domain: String,
    certificate_pem: String,
    key_pem: Zeroizing<String>,
}

impl HubIdentity {
    /// Makes them anew. `domain` is prepared (RFC 7622 §3.2).
    pub(crate) fn make(domain: &str) -> Result<Self, HubError> {
        let refused = || HubError::NotADomain {
            domain: domain.to_owned(),
        };
        // Certificates name internationalised domains in their ASCII form.
        let name = match domain.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) => ip.to_string(),
            Err(_) => idna::domain_to_ascii_strict(domain).map_err(|_| refused())?,
        };
        let mut names = vec![name.clone()];
        for always in ["localhost", "127.0.0.1"] {
            if name != always {
                names.push(always.to_owned());
            }
        }
        let mut params = CertificateParams::new(names).map_err(|_| refused())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(HubError::Certificate)?;
        let certificate = params.self_signed(&key).map_err(HubError::Certificate)?;
        Ok(Self {
            domain: domain.to_owned(),
            certificate_pem: certificate.pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
        })
    }

    /// Reads what [`HubIdentity::to_file`] wrote.
    pub(super) fn read(domain: &str, path: &Path, text: &str) -> Result<Self, HubError> {
        let damaged = |offset: usize| HubError::StateDamaged {
            path: path.to_owned(),
            offset: offset as u64,
        };
        let (heading, rest) = text.split_once('\n').ok_or_else(|| damaged(0))?;
        let found = heading.strip_prefix(HEADING).ok_or_else(|| damaged(0))?;
        if found != domain {
            return Err(HubError::OtherDomain {
                path: path.to_owned(),
                found: found.to_owned(),
            });
        }
        let at = rest
            .find("-----BEGIN CERTIFICATE-----")
            .ok_or_else(|| damaged(text.len()))?;
        let (key, certificate) = rest.split_at(at);
        Ok(Self {
            domain: domain.to_owned(),
            certificate_pem: certificate.to_owned(),
            key_pem: Zeroizing::new(key.to_owned()),
        })
    }

    pub(super) fn to_file(&self) -> Zeroizing<String> {
        let Self {
            domain,
            certificate_pem,
            key_pem,
        } = self;
        Zeroizing::new(format!("{HEADING}{domain}\n{}{certificate_pem}", **key_pem))
    }

    /// The certificate alone.
    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// For TLS.
    pub(crate) fn to_tls(&self) -> Result<Identity, HubError> {
        let identity = Identity::from_pem(self.certificate_pem.as_bytes(), self.key_pem.as_bytes());
        Ok(identity?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_can_be_made_for_every_kind_of_domain() {
        for domain in [
            "hub.example",
            "localhost",
            "b\u{fc}ro.example",
            "192.168.7.1",
            "[::1]",
        ] {
            let identity = HubIdentity::make(domain).unwrap();
            assert!(identity.to_tls().is_ok(), "{domain}");
        }
    }

    #[test]
    fn a_truncated_file_is_damaged() {
        let whole = HubIdentity::make("hub.example").unwrap().to_file();
        for end in [0, 10, HEADING.len(), HEADING.len() + 40] {
            let read = HubIdentity::read("hub.example", Path::new("x"), &whole[..end]);
            assert!(matches!(
                read,
                Err(HubError::StateDamaged { .. } | HubError::OtherDomain { .. })
            ));
        }
    }
}
