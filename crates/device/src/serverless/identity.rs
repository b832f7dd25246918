//! Our certificate among neighbours: self-signed, made once, and kept in a file that only its
//! owner can read. It has no end, as neighbours pin it.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use stanchion_transport::tls::Identity;
use zeroize::Zeroizing;

use super::error::StartError;

/// Reads the identity in that file, or makes one and writes it there. Blocks on the disk.
pub(super) fn open(path: &Path) -> Result<Identity, StartError> {
    match fs::read(path) {
        Ok(pem) => read(path, &Zeroizing::new(pem)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(source) => Err(failed(path, source)),
    }
}

fn read(path: &Path, pem: &[u8]) -> Result<Identity, StartError> {
    Identity::from_pem(pem, pem).map_err(|source| StartError::Identity {
        path: path.to_owned(),
        source,
    })
}

fn make(path: &Path) -> Result<Identity, StartError> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Stanchion neighbour");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(StartError::Certificate)?;
    let certificate = params.self_signed(&key).map_err(StartError::Certificate)?;
    let key = Zeroizing::new(key.serialize_pem());
    let pem = Zeroizing::new(format!("{}{}", *key, certificate.pem()));
    write(path, pem.as_bytes()).map_err(|source| failed(path, source))?;
    read(path, pem.as_bytes())
}

/// Under another name first, so that there never is half a file.
fn write(path: &Path, pem: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(pem)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn failed(path: &Path, source: io::Error) -> StartError {
    let path = path.to_owned();
    StartError::IdentityFile { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_stays_the_same_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.pem");
        let first = open(&path).unwrap();
        assert_eq!(open(&path).unwrap().sha256(), first.sha256());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
    }

    #[test]
    fn a_damaged_identity_is_no_reason_to_make_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.pem");
        fs::write(&path, "nothing").unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, StartError::Identity { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"nothing");
    }
}
