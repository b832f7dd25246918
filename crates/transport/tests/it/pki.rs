//! A small certificate authority for tests.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use stanchion_transport::tls::{Identity, Roots};
use stanchion_transport::{TlsAcceptor, TlsConnector, TlsPolicy};

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// One that signs by that certificate, be it an authority's or not.
    pub(crate) fn holding(params: CertificateParams, pair: &Pair) -> Self {
        let key = KeyPair::from_pem(&pair.key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            pem: pair.certificate.clone(),
        }
    }

    /// The authority's own certificate, as trusted roots.
    pub(crate) fn roots(&self) -> Vec<Roots> {
        vec![Roots::Pem(self.pem.clone().into_bytes())]
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        Pair {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn issue_for(&self, names: &[&str]) -> Pair {
        self.issue(&params(names))
    }

    /// A client that trusts this authority.
    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::new(&TlsPolicy::with_roots(self.roots())).unwrap()
    }

    /// A server with a certificate of this authority.
    pub(crate) fn acceptor(&self, names: &[&str]) -> TlsAcceptor {
        self.issue_for(names).acceptor()
    }
}

/// A certificate and its key, in PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(self.certificate.as_bytes(), self.key.as_bytes()).unwrap()
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::new(self.identity()).unwrap()
    }
}

/// Parameters of a certificate that is valid for a long time.
pub(crate) fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "leaf");
    params
}

/// The same, valid from the first to the second year only.
pub(crate) fn dated(names: &[&str], from: i32, to: i32) -> CertificateParams {
    let mut params = params(names);
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params
}
