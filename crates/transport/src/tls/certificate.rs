//! What a peer's certificate says, for people: nothing is decided by it. Whether a
//! certificate is believed is in `verify`.

use std::time::{Duration, SystemTime};

use x509_parser::parse_x509_certificate;

use super::verify::subject_names;

/// A peer's end-entity certificate, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCertificate {
    /// Whose it is, as in `CN=example.org, O=Example`. May be empty.
    pub subject: String,
    /// Who signed it; the subject again if it is self-signed.
    pub issuer: String,
    /// The domains and addresses that it is for.
    pub names: Vec<String>,
    /// When it begins to be valid.
    pub not_before: SystemTime,
    /// When it expires.
    pub not_after: SystemTime,
}

impl PeerCertificate {
    /// From DER; `None` if it cannot be read.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, parsed) = parse_x509_certificate(der).ok()?;
        let validity = parsed.validity();
        Some(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            names: subject_names(&parsed),
            not_before: time(validity.not_before.timestamp())?,
            not_after: time(validity.not_after.timestamp())?,
        })
    }

    /// Whether it was signed with its own key, as far as its names tell.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }
}

/// Seconds since the Unix epoch.
fn time(seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_tells_its_names_and_its_time() {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["xmpp.example".to_owned(), "192.0.2.1".to_owned()];
        let mut params = rcgen::CertificateParams::new(names.clone()).unwrap();
        params.not_before = rcgen::date_time_ymd(1960, 1, 1);
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "plant");
        let certificate = params.self_signed(&key).unwrap();
        let read = PeerCertificate::read(certificate.der()).unwrap();
        assert!(read.subject.contains("CN=plant") && read.is_self_signed());
        assert_eq!(read.names, names);
        let century = Duration::from_secs(4_102_444_800);
        assert_eq!(read.not_after, SystemTime::UNIX_EPOCH + century);
        assert!(read.not_before < SystemTime::UNIX_EPOCH);
        assert_eq!(PeerCertificate::read(b"no certificate"), None);
    }
}
