//! What outlives a hub: its certificate and key (`identity`), the secret that hides which
//! users exist, offline messages (`spool`) and archives (`annals`). Here: the directory, its
//! lock, how a file is replaced, and how long a record may be.
//!
//! | file | holds |
//! |---|---|
//! | `identity.pem` | private key and certificate, mode 0600 |
//! | `cert.pem` | the certificate alone, for clients to trust |
//! | `secret` | 32 random bytes, mode 0600 |
//! | `offline.xml` | offline messages, rosters, whom accounts block, rooms with what was said there, and nodes with their items, mode 0600 |
//! | `archive.xml` | archived messages, mode 0600 |
//! | `lock` | locked while a hub runs |

mod annals;
mod identity;
mod spool;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use stanchion_stanza::Limits;
use zeroize::Zeroizing;

use crate::error::HubError;
use crate::limits::HubLimits;
pub(crate) use identity::HubIdentity;
pub(crate) use spool::{Kept, Spool};

/// A locked state directory.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    /// Unlocked when it is dropped, or when the process ends.
    _lock: File,
}

impl StateDir {
    /// Makes the directory if need be, for its owner alone, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, HubError> {
        create_directory(path).map_err(|source| failed(path, source))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|source| failed(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(HubError::StateInUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(&lock_path, source)),
        }
    }

    /// The certificate and key for `domain`, made at the first start.
    pub(crate) fn identity(&self, domain: &str) -> Result<HubIdentity, HubError> {
        let path = self.path.join("identity.pem");
        let identity = match read_secret(&path) {
            Ok(text) => HubIdentity::read(domain, &path, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = HubIdentity::make(domain)?;
                replace(&path, identity.to_file().as_bytes())
                    .map_err(|source| failed(&path, source))?;
                identity
            }
            Err(source) => return Err(failed(&path, source)),
        };
        // For others to read, and easily made again.
        let public = self.path.join("cert.pem");
        if fs::read_to_string(&public).ok().as_deref() != Some(identity.certificate_pem()) {
            fs::write(&public, identity.certificate_pem())
                .map_err(|source| failed(&public, source))?;
        }
        Ok(identity)
    }

    /// The hub's secret; `fresh` becomes it at the first start.
    pub(crate) fn secret(&self, fresh: [u8; 32]) -> Result<Zeroizing<[u8; 32]>, HubError> {
        let path = self.path.join("secret");
        match fs::read(&path).map(Zeroizing::new) {
            Ok(bytes) => match <[u8; 32]>::try_from(bytes.as_slice()) {
                Ok(secret) => Ok(Zeroizing::new(secret)),
                Err(_) => Err(HubError::StateDamaged { path, offset: 0 }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                replace(&path, &fresh).map_err(|source| failed(&path, source))?;
                Ok(Zeroizing::new(fresh))
            }
            Err(source) => Err(failed(&path, source)),
        }
    }

    /// Offline storage and archives, and what they hold. The lock goes with them.
    pub(crate) fn into_spool(self, limits: HubLimits) -> Result<(Spool, Kept), HubError> {
        Spool::open(self, limits)
    }
}

fn failed(path: &Path, source: io::Error) -> HubError {
    HubError::State {
        path: path.to_owned(),
        source,
    }
}

fn read_secret(path: &Path) -> io::Result<Zeroizing<String>> {
    fs::read_to_string(path).map(Zeroizing::new)
}

fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// What one record of a journal may take: a stanza of 16 MiB may take six times that as
/// escaped text.
fn record_limits() -> Limits {
    Limits::default().with_stanza_bytes(100 * 1024 * 1024)
}

/// Opens a file that its owner alone may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Replaces a file, so that after a crash at any time the old one or the new one is
/// there, whole.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().write(true).create_new(true).open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_parent(path)
}

/// Makes a rename in the directory outlive a power loss, where the system can.
fn sync_parent(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_and_secret_are_the_same_at_every_start() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, secret) = {
            let state = StateDir::open(folder.path()).unwrap();
            let identity = state.identity("hub.example").unwrap();
            let secret = state.secret([1; 32]).unwrap();
            (identity.certificate_pem().to_owned(), secret)
        };
        let state = StateDir::open(folder.path()).unwrap();
        let identity = state.identity("hub.example").unwrap();
        assert_eq!(identity.certificate_pem(), certificate);
        assert_eq!(*state.secret([2; 32]).unwrap(), *secret);
        let public = fs::read_to_string(folder.path().join("cert.pem")).unwrap();
        assert_eq!(public, certificate);
        assert!(!public.contains("PRIVATE"));
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("new")).unwrap();
        state.identity("hub.example").unwrap();
        state.secret([1; 32]).unwrap();
        for file in ["identity.pem", "secret"] {
            let path = folder.path().join("new").join(file);
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn two_hubs_do_not_share_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateDir::open(folder.path()).unwrap();
        let second = StateDir::open(folder.path());
        assert!(matches!(second, Err(HubError::StateInUse { .. })));
        drop(first);
        assert!(StateDir::open(folder.path()).is_ok());
    }

    #[test]
    fn a_directory_of_another_domain_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        state.identity("one.example").unwrap();
        let other = state.identity("two.example");
        assert!(
            matches!(other, Err(HubError::OtherDomain { found, .. }) if found == "one.example")
        );
    }
}
