//! Channel binding data (RFC 5056) of a finished handshake. What SASL makes of it is
//! in `sasl`.

use rustls::{ConnectionCommon, ProtocolVersion};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_parser::der_parser::oid;
use x509_parser::oid_registry::{
    OID_HASH_SHA1, OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512,
    OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA,
    OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512, Oid,
};
use x509_parser::parse_x509_certificate;
use x509_parser::signature_algorithm::SignatureAlgorithm;

use crate::security::Bindings;

/// ecdsa-with-SHA1 (RFC 3279 §2.2.3).
const ECDSA_WITH_SHA1: Oid<'static> = oid!(1.2.840.10045.4.1);

/// RFC 9266 §4.2.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// The bindings of a session, whose server showed `server_certificate` (DER).
pub(super) fn bindings<D>(
    connection: &ConnectionCommon<D>,
    server_certificate: Option<&[u8]>,
) -> Bindings {
    // On TLS 1.2 the exporter is not unique without the extended master secret
    // (RFC 9266 §4.2), and rustls does not tell whether it was used.
    let unique = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    Bindings {
        tls_exporter: unique
            .then(|| connection.export_keying_material([0; 32], EXPORTER_LABEL, Some(&[])))
            .and_then(Result::ok),
        tls_server_end_point: server_certificate.and_then(server_end_point),
    }
}

/// The certificate's hash, by the hash function of its own signature; MD5 and SHA-1
/// become SHA-256 (RFC 5929 §4.1). None if the signature names no hash function, which
/// that section leaves undefined.
pub(super) fn server_end_point(der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let algorithm = &certificate.signature_algorithm;
    let parsed = SignatureAlgorithm::try_from(algorithm);
    let oid = match &parsed {
        Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) => parameters.hash_algorithm_oid(),
        _ => &algorithm.algorithm,
    };
    let is = |candidates: &[Oid<'_>]| candidates.contains(oid);
    if is(&[
        OID_PKCS1_MD5WITHRSAENC,
        OID_PKCS1_SHA1WITHRSA,
        OID_PKCS1_SHA256WITHRSA,
        ECDSA_WITH_SHA1,
        OID_SIG_ECDSA_WITH_SHA256,
        OID_HASH_SHA1,
        OID_NIST_HASH_SHA256,
    ]) {
        Some(Sha256::digest(der).to_vec())
    } else if is(&[
        OID_PKCS1_SHA384WITHRSA,
        OID_SIG_ECDSA_WITH_SHA384,
        OID_NIST_HASH_SHA384,
    ]) {
        Some(Sha384::digest(der).to_vec())
    } else if is(&[
        OID_PKCS1_SHA512WITHRSA,
        OID_SIG_ECDSA_WITH_SHA512,
        OID_NIST_HASH_SHA512,
    ]) {
        Some(Sha512::digest(der).to_vec())
    } else {
        None
    }
}
