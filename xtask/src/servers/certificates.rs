//! The certificate authority of a server folder and the server's certificate.
//!
//! All keys are ECDSA P-256. The validity is fixed (2020 to 2049), so that no
//! test depends on the day it runs; an expired one ended in 2021.

use crate::failure::{Context, Outcome};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::fs;
use std::path::Path;

/// What is wrong with a server certificate on purpose.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flaws {
    pub(crate) expired: bool,
    pub(crate) self_signed: bool,
}

/// Makes `DIR/ca.pem` and `DIR/ca.key` unless they are there.
pub(crate) fn authority(dir: &Path) -> Outcome {
    let certificate = dir.join("ca.pem");
    if certificate.exists() {
        return Ok(());
    }
    let key = KeyPair::generate()?;
    let text = authority_params()?.self_signed(&key)?.pem();
    write_private(&dir.join("ca.key"), &key.serialize_pem())?;
    fs::write(&certificate, text).doing("write", &certificate)
}

/// Makes `DIR/certs/DOMAIN.crt`, `.key` and `.pem` (certificate and key) for
/// DOMAIN, *.DOMAIN, localhost and 127.0.0.1, over any that are there.
pub(crate) fn server(dir: &Path, domain: &str, flaws: Flaws) -> Outcome {
    let mut params = CertificateParams::new(vec![
        domain.to_owned(),
        format!("*.{domain}"),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
    ])?;
    params.distinguished_name.push(DnType::CommonName, domain);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(if flaws.expired { 2021 } else { 2049 }, 1, 1);

    let key = KeyPair::generate()?;
    let certificate = if flaws.self_signed {
        params.self_signed(&key)?
    } else {
        let path = dir.join("ca.key");
        let text = fs::read_to_string(&path).doing("read", &path)?;
        // The authority's parameters never change, so its key is all there is to keep.
        params.signed_by(
            &key,
            &Issuer::new(authority_params()?, KeyPair::from_pem(&text)?),
        )?
    };
    let certs = dir.join("certs");
    fs::create_dir_all(&certs).doing("create", &certs)?;
    let (text, key) = (certificate.pem(), key.serialize_pem());
    let path = certs.join(format!("{domain}.crt"));
    fs::write(&path, &text).doing("write", &path)?;
    write_private(&certs.join(format!("{domain}.key")), &key)?;
    write_private(
        &certs.join(format!("{domain}.pem")),
        &format!("{text}{key}"),
    )
}

fn authority_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Stanchion test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    Ok(params)
}

fn write_private(path: &Path, text: &str) -> Outcome {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .doing("write", path)?;
    file.write_all(text.as_bytes()).doing("write", path)
}
