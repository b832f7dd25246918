//! Where a server looks accounts up: the seam [`AccountStore`], and accounts in
//! memory.
//!
//! Owns no file and no database: another implementation keeps accounts on disk.
//! What an answer means for a login is decided in [`crate::server`].

use secrecy::SecretString;
use std::collections::HashMap;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::condition::SaslCondition;
use crate::mechanism::ScramHash;
use crate::prepare::{MAX_CREDENTIAL_BYTES, prepare};
use crate::scram::keys::{BadStoredKeys, StoredKeys};

/// The accounts that a server knows. User names come after SASLprep.
///
/// For unknown users to look like known ones, all accounts should have another
/// 16-byte salt for each hash, and the iteration count of
/// [`ServerPolicy`](crate::server::ServerPolicy).
pub trait AccountStore: Send + Sync {
    /// The stored keys of one account; `None` for an unknown user or a hash
    /// that the account has no keys for.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`] if it cannot tell now; the client is told to try later.
    fn scram_keys(
        &self,
        username: &str,
        hash: ScramHash,
    ) -> Result<Option<StoredKeys>, StoreUnavailable>;

    /// Checks a bare password, after SASLprep. `None` (the default) leaves that
    /// to the stored keys.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`] if it cannot tell now.
    fn check_plain(
        &self,
        _username: &str,
        _password: &str,
    ) -> Result<Option<bool>, StoreUnavailable> {
        Ok(None)
    }

    /// Whether a user who has proved itself may log in, and as this identity.
    /// `None` is its own. The default lets everybody in, as nobody but oneself.
    ///
    /// # Errors
    ///
    /// The condition to answer with, such as [`SaslCondition::InvalidAuthzid`] or
    /// [`SaslCondition::AccountDisabled`].
    fn authorize(&self, username: &str, authzid: Option<&str>) -> Result<(), SaslCondition> {
        match authzid {
            None => Ok(()),
            Some(authzid) if authzid == username => Ok(()),
            Some(_) => Err(SaslCondition::InvalidAuthzid),
        }
    }
}

/// The store of accounts cannot answer now. It has logged its own reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the store of accounts cannot answer now: try later")]
pub struct StoreUnavailable;

/// Accounts in memory: for tests, demonstrations and small fixed sets.
#[derive(Debug, Clone, Default)]
pub struct MemoryAccounts {
    domain: Option<String>,
    keys: HashMap<(String, ScramHash), StoredKeys>,
}

impl MemoryAccounts {
    /// No accounts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a user also act as `username@domain`, which is its own bare JID.
    #[must_use]
    pub fn with_domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Adds an account or changes its password, with keys for every hash. Runs
    /// PBKDF2 three times.
    ///
    /// `entropy` is the random seed of its salts: another one for each account
    /// and each change.
    ///
    /// # Errors
    ///
    /// [`BadStoredKeys`] if SASLprep refuses name or password, or `iterations` is 0.
    pub fn set(
        &mut self,
        username: &str,
        password: &SecretString,
        iterations: u32,
        entropy: [u8; 16],
    ) -> Result<(), BadStoredKeys> {
        let username = prepare(username)?.to_string();
        let mut fresh = Vec::with_capacity(ScramHash::STRONGEST_FIRST.len());
        for hash in ScramHash::STRONGEST_FIRST {
            let label = [hash.output_len() as u8];
            let mut salt = hash.hmac(&entropy, &[&label]).to_vec();
            salt.truncate(16);
            fresh.push(StoredKeys::from_password(
                hash, password, &salt, iterations,
            )?);
        }
        for keys in fresh {
            self.keys.insert((username.clone(), keys.hash()), keys);
        }
        Ok(())
    }

    /// Takes an account away; whether there was one.
    pub fn remove(&mut self, username: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|(name, _), _| name != username);
        before != self.keys.len()
    }
}

impl AccountStore for MemoryAccounts {
    fn scram_keys(
        &self,
        username: &str,
        hash: ScramHash,
    ) -> Result<Option<StoredKeys>, StoreUnavailable> {
        Ok(self.keys.get(&(username.to_owned(), hash)).cloned())
    }

    fn authorize(&self, username: &str, authzid: Option<&str>) -> Result<(), SaslCondition> {
        let own = |authzid: &str| {
            authzid == username
                || self
                    .domain
                    .as_deref()
                    .is_some_and(|domain| authzid.split_once('@') == Some((username, domain)))
        };
        match authzid {
            Some(authzid) if !own(authzid) => Err(SaslCondition::InvalidAuthzid),
            _ => Ok(()),
        }
    }
}

/// What the server's checks share: the store, and how unknown users are made up.
pub(crate) struct Lookup<'a> {
    pub(crate) accounts: &'a dyn AccountStore,
    pub(crate) secret: &'a [u8],
    pub(crate) iterations: u32,
}

impl Lookup<'_> {
    /// The keys for a SCRAM exchange; imaginary ones if there are none.
    pub(crate) fn keys(
        &self,
        username: &str,
        hash: ScramHash,
    ) -> Result<StoredKeys, StoreUnavailable> {
        let known = match prepare(username) {
            Ok(name) => self.accounts.scram_keys(&name, hash)?,
            Err(_) => None,
        };
        Ok(known
            .filter(|keys| keys.hash() == hash)
            .unwrap_or_else(|| self.imaginary(username, hash)))
    }

    /// Checks a bare password; an unknown user costs the same work.
    pub(crate) fn check_plain(
        &self,
        username: &str,
        password: &str,
    ) -> Result<bool, StoreUnavailable> {
        let (Ok(name), Ok(password)) = (prepare(username), prepare(password)) else {
            return Ok(self
                .imaginary(username, ScramHash::Sha256)
                .fits_password("x"));
        };
        if let Some(verdict) = self.accounts.check_plain(&name, &password)? {
            return Ok(verdict);
        }
        for hash in [ScramHash::Sha256, ScramHash::Sha512, ScramHash::Sha1] {
            if let Some(keys) = self.accounts.scram_keys(&name, hash)? {
                return Ok(keys.fits_password(&password));
            }
        }
        Ok(self
            .imaginary(username, ScramHash::Sha256)
            .fits_password(&password))
    }

    fn imaginary(&self, username: &str, hash: ScramHash) -> StoredKeys {
        // Bounded, as the name may be anything that a message can carry.
        let end = username.floor_char_boundary(username.len().min(MAX_CREDENTIAL_BYTES));
        StoredKeys::imaginary(hash, self.secret, &username[..end], self.iterations)
    }
}

/// The prepared form of a user name that has proved itself.
pub(crate) fn prepared_name(username: &str) -> Option<Zeroizing<String>> {
    prepare(username).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> MemoryAccounts {
        let mut accounts = MemoryAccounts::new().with_domain("example.org");
        accounts
            .set("alice", &"secret".into(), 16, [1; 16])
            .unwrap();
        accounts
    }

    #[test]
    fn one_acts_as_oneself_and_as_nobody_else() {
        let accounts = accounts();
        for own in [None, Some("alice"), Some("alice@example.org")] {
            assert_eq!(accounts.authorize("alice", own), Ok(()));
        }
        for other in ["bob", "alice@example.com", "bob@example.org", "alice@", "@"] {
            assert_eq!(
                accounts.authorize("alice", Some(other)),
                Err(SaslCondition::InvalidAuthzid)
            );
        }
    }

    #[test]
    fn each_hash_has_its_own_salt() {
        let accounts = accounts();
        let salt = |hash| {
            let keys = accounts.scram_keys("alice", hash).unwrap().unwrap();
            keys.salt().to_vec()
        };
        assert_ne!(salt(ScramHash::Sha1), salt(ScramHash::Sha256));
        assert_ne!(salt(ScramHash::Sha256), salt(ScramHash::Sha512));
    }

    #[test]
    fn a_removed_account_is_unknown() {
        let mut accounts = accounts();
        assert!(accounts.remove("alice"));
        assert!(!accounts.remove("alice"));
        let keys = accounts.scram_keys("alice", ScramHash::Sha256).unwrap();
        assert!(keys.is_none());
    }

    #[test]
    fn a_bare_password_is_checked_against_the_stored_keys() {
        let accounts = accounts();
        let lookup = Lookup {
            accounts: &accounts,
            secret: &[9; 32],
            iterations: 16,
        };
        assert_eq!(lookup.check_plain("alice", "secret"), Ok(true));
        assert_eq!(lookup.check_plain("alice", "Secret"), Ok(false));
        assert_eq!(lookup.check_plain("mallory", "secret"), Ok(false));
        assert_eq!(lookup.check_plain("\u{7}", "secret"), Ok(false));
        assert_eq!(lookup.check_plain("alice", "\u{7}"), Ok(false));
    }
}
