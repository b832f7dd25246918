//! Who may log in: accounts from a file or made on the fly, and their keys. Checking a
//! login is the `sasl` crate's, everything that an account owns the `router`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::{fs, io};

use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use stanchion_sasl::SaslCondition;
use stanchion_sasl::accounts::{AccountStore, StoreUnavailable};
use stanchion_sasl::mechanism::ScramHash;
use stanchion_sasl::scram::keys::{BadStoredKeys, StoredKeys};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};
use stanchion_stanza::{Jid, jid::JidError};
use zeroize::Zeroizing;

use crate::stream::Registrar;

/// Iterations for keys that are derived from a password here.
pub(crate) const ITERATIONS: u32 = 10_000;

/// The accounts of a hub. Passwords and keys never show in `Debug`.
///
/// ```
/// use stanchion_hub::Accounts;
/// // Made once, and written into the file in place of the password.
/// let keys = Accounts::stored_keys(&"open sesame".into(), &[7; 16])?;
/// let file = format!("[accounts]\nlamp = 'correct horse'\ndoor = {}", *keys);
/// let accounts = Accounts::from_toml(&file)?;
/// assert_eq!(accounts.names().collect::<Vec<_>>(), ["door", "lamp"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Accounts {
    entries: BTreeMap<String, Secret>,
}

#[derive(Clone)]
enum Secret {
    Password(SecretString),
    Keys(Vec<StoredKeys>),
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

/// Why accounts cannot be used. All are for whoever wrote them to correct.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// The file cannot be read.
    #[error("cannot read {}; check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The text has another form. What stands there is not repeated: it may be a
    /// password.
    #[error(
        "line {line} does not fit: below [accounts], write name = \"password\", \
         or name = [\"SCRAM-SHA-256$…\", …] with stored keys"
    )]
    Form {
        /// Counted from 1.
        line: usize,
    },
    /// A name that no JID can have.
    #[error("{name:?} cannot be an account's name; it is the part of a JID before @")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: JidError,
    },
    /// Two names are the same once they are prepared (RFC 7622 §3.3).
    #[error("the account {name} stands twice; remove one")]
    Twice {
        /// Their common form.
        name: String,
    },
    /// A password or stored keys that cannot be used.
    #[error("the password or keys of {name} cannot be used")]
    Secret {
        /// The account.
        name: String,
        /// What is wrong with them.
        source: BadStoredKeys,
    },
    /// No mechanism fits all accounts: unknown users could be told from known ones.
    #[error("the accounts have no SCRAM hash in common; derive keys for one hash for all")]
    NoCommonHash,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    accounts: BTreeMap<String, FileSecret>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum FileSecret {
    Password(String),
    Keys(Vec<String>),
}

impl Accounts {
    /// No accounts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Accounts from a TOML file; see [`Accounts::from_toml`].
    ///
    /// # Errors
    /// [`AccountsError`].
    pub fn open(path: &Path) -> Result<Self, AccountsError> {
        let text = fs::read_to_string(path).map_err(|source| AccountsError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_toml(&Zeroizing::new(text))
    }

    /// Accounts from a TOML text: a table `accounts` of names, each with a password, or
    /// better with a list of stored keys in the form of RFC 5803, which
    /// [`Accounts::stored_keys`] makes. Stored keys are enough to check a login, not to
    /// log in.
    ///
    /// # Errors
    /// [`AccountsError`], all but `Read`.
    pub fn from_toml(text: &str) -> Result<Self, AccountsError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().map_or(0, |span| span.start).min(text.len());
            AccountsError::Form {
                line: 1 + text.as_bytes()[..before]
                    .iter()
                    .filter(|b| **b == b'\n')
                    .count(),
            }
        })?;
        let mut accounts = Self::new();
        for (name, secret) in file.accounts {
            let secret = match secret {
                FileSecret::Password(password) => Secret::Password(password.into()),
                FileSecret::Keys(keys) => {
                    let keys = keys.iter().map(|k| StoredKeys::from_rfc5803(k));
                    let keys = keys.collect::<Result<_, _>>();
                    Secret::Keys(keys.map_err(|source| AccountsError::Secret {
                        name: name.clone(),
                        source,
                    })?)
                }
            };
            accounts.insert(&name, secret)?;
        }
        Ok(accounts)
    }

    /// Accounts made on the fly, for a demonstration or a test.
    ///
    /// # Errors
    /// [`AccountsError::Name`] or [`AccountsError::Twice`].
    pub fn open_demo<N: AsRef<str>, P: Into<SecretString>>(
        users: impl IntoIterator<Item = (N, P)>,
    ) -> Result<Self, AccountsError> {
        let mut accounts = Self::new();
        for (name, password) in users {
            accounts.insert(name.as_ref(), Secret::Password(password.into()))?;
        }
        Ok(accounts)
    }

    /// A list of stored keys for a password, as a TOML value to put behind a name.
    /// `salt` is random, and another one for each account. Computes for some
    /// milliseconds.
    ///
    /// # Errors
    /// [`BadStoredKeys`] if no mechanism could carry the password.
    pub fn stored_keys(
        password: &SecretString,
        salt: &[u8; 16],
    ) -> Result<Zeroizing<String>, BadStoredKeys> {
        let mut list = Zeroizing::new(String::from("["));
        for (index, keys) in derive(password, salt)?.iter().enumerate() {
            list.push_str(if index == 0 { "\"" } else { ", \"" });
            list.push_str(&keys.to_rfc5803());
            list.push('"');
        }
        list.push(']');
        Ok(list)
    }

    /// The names, prepared and in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    fn insert(&mut self, name: &str, secret: Secret) -> Result<(), AccountsError> {
        let local = localpart_of(name).map_err(|source| AccountsError::Name {
            name: name.to_owned(),
            source,
        })?;
        if self.entries.contains_key(&local) {
            return Err(AccountsError::Twice { name: local });
        }
        self.entries.insert(local, secret);
        Ok(())
    }

    /// Derives all keys. Salts come from the hub's secret, so that they stay the same
    /// over restarts, as those of unknown users do. Computes for some milliseconds an
    /// account.
    pub(crate) fn into_directory(
        self,
        domain: &str,
        hub_secret: &[u8],
        registered: usize,
    ) -> Result<Directory, AccountsError> {
        let mut keys = BTreeMap::new();
        for (name, secret) in self.entries {
            let stored = match secret {
                Secret::Keys(keys) => keys,
                Secret::Password(password) => {
                    let salt = salt_for(hub_secret, &name);
                    derive(&password, &salt).map_err(|source| AccountsError::Secret {
                        name: name.clone(),
                        source,
                    })?
                }
            };
            keys.insert(name, stored);
        }
        let directory = Directory {
            domain: domain.to_owned(),
            hub_secret: Zeroizing::new(hub_secret.to_vec()),
            most: keys.len().saturating_add(registered),
            known: RwLock::new(Known {
                keys,
                ..Known::default()
            }),
        };
        if directory.hashes().is_empty() {
            return Err(AccountsError::NoCommonHash);
        }
        Ok(directory)
    }
}

/// The localpart that a name stands for.
fn localpart_of(name: &str) -> Result<String, JidError> {
    let jid = Jid::from_parts(Some(name), "localhost", None)?;
    Ok(jid.local().unwrap_or_default().to_owned())
}

/// The localpart for a user name that has proved itself; SASL's preparation differs
/// from that of addresses, in upper case among others.
pub(crate) fn localpart(username: &str) -> Option<String> {
    localpart_of(username).ok()
}

fn derive(password: &SecretString, salt: &[u8; 16]) -> Result<Vec<StoredKeys>, BadStoredKeys> {
    ScramHash::STRONGEST_FIRST
        .into_iter()
        .map(|hash| StoredKeys::from_password(hash, password, salt, ITERATIONS))
        .collect()
}

fn salt_for(secret: &[u8], name: &str) -> [u8; 16] {
    let mut salt = [0; 16];
    // HMAC takes keys of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) {
        mac.update(b"account salt\0");
        mac.update(name.as_bytes());
        salt.copy_from_slice(&mac.finalize().into_bytes()[..16]);
    }
    salt
}

/// The keys of all accounts, as SASL asks for them.
pub(crate) struct Directory {
    domain: String,
    hub_secret: Zeroizing<Vec<u8>>,
    /// Accounts, those made in band included.
    most: usize,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    keys: BTreeMap<String, Vec<StoredKeys>>,
    /// Those of them that were made in band: they may change, and end, likewise.
    in_band: BTreeSet<String>,
    /// Names of accounts that ended. Nobody else gets them: others may know the address, and
    /// take a stranger for whoever had it.
    ended: BTreeSet<String>,
}

impl Directory {
    /// The hashes that every account has keys for, strongest first. With no accounts,
    /// all.
    pub(crate) fn hashes(&self) -> Vec<ScramHash> {
        let all = self.read();
        let has = |keys: &[StoredKeys], hash| keys.iter().any(|k| k.hash() == hash);
        ScramHash::STRONGEST_FIRST
            .into_iter()
            .filter(|hash| all.keys.values().all(|keys| has(keys, *hash)))
            .collect()
    }

    /// The iterations that most keys have, for unknown users to look alike.
    pub(crate) fn iterations(&self) -> u32 {
        let mut counts = BTreeMap::<u32, usize>::new();
        for keys in self.read().keys.values().flatten() {
            *counts.entry(keys.iterations()).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or(ITERATIONS, |(iterations, _)| iterations)
    }

    /// The localparts.
    pub(crate) fn names(&self) -> Vec<String> {
        self.read().keys.keys().cloned().collect()
    }

    /// A writer that panicked has changed nothing: it inserts whole accounts.
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there may be another account of that name.
    fn is_free(&self, known: &Known, local: &str) -> Result<(), StanzaError> {
        if known.keys.contains_key(local) || known.ended.contains(local) {
            let taken = DefinedCondition::Conflict;
            return Err(StanzaError::new(ErrorType::Cancel, taken));
        }
        if known.keys.len() + known.ended.len() >= self.most {
            let full = DefinedCondition::ResourceConstraint;
            return Err(StanzaError::new(ErrorType::Wait, full));
        }
        Ok(())
    }
}

/// An account that stands in a file is its writer's: what was changed here would be as it was
/// with the next start.
fn may_change(known: &Known, account: &str) -> Result<(), StanzaError> {
    if known.in_band.contains(account) {
        return Ok(());
    }
    let not_allowed = DefinedCondition::NotAllowed;
    Err(StanzaError::new(ErrorType::Cancel, not_allowed))
}

impl Registrar for Directory {
    fn register(&self, name: &str, password: &SecretString) -> Result<String, StanzaError> {
        let unfit = || StanzaError::new(ErrorType::Modify, DefinedCondition::NotAcceptable);
        let local = localpart(name).filter(|local| !local.is_empty());
        let local = local.ok_or_else(unfit)?;
        if password.expose_secret().is_empty() {
            return Err(unfit());
        }
        self.is_free(&self.read(), &local)?;
        let salt = salt_for(&self.hub_secret, &local);
        let stored = derive(password, &salt).map_err(|_| unfit())?;
        // Another connection may have been faster meanwhile.
        let mut known = self.write();
        self.is_free(&known, &local)?;
        known.keys.insert(local.clone(), stored);
        known.in_band.insert(local.clone());
        Ok(local)
    }

    fn change(&self, account: &str, password: &SecretString) -> Result<(), StanzaError> {
        let unfit = || StanzaError::new(ErrorType::Modify, DefinedCondition::NotAcceptable);
        may_change(&self.read(), account)?;
        if password.expose_secret().is_empty() {
            return Err(unfit());
        }
        let salt = salt_for(&self.hub_secret, account);
        let stored = derive(password, &salt).map_err(|_| unfit())?;
        // It may have ended meanwhile.
        let mut known = self.write();
        may_change(&known, account)?;
        known.keys.insert(account.to_owned(), stored);
        Ok(())
    }

    fn end(&self, account: &str) -> Result<(), StanzaError> {
        let mut known = self.write();
        may_change(&known, account)?;
        known.keys.remove(account);
        known.in_band.remove(account);
        known.ended.insert(account.to_owned());
        Ok(())
    }
}

impl AccountStore for Directory {
    fn scram_keys(
        &self,
        username: &str,
        hash: ScramHash,
    ) -> Result<Option<StoredKeys>, StoreUnavailable> {
        let all = self.read();
        let keys = localpart(username).and_then(|local| all.keys.get(&local));
        Ok(keys.and_then(|keys| keys.iter().find(|k| k.hash() == hash).cloned()))
    }

    fn authorize(&self, username: &str, authzid: Option<&str>) -> Result<(), SaslCondition> {
        let Some(authzid) = authzid else {
            return Ok(());
        };
        // RFC 6120 §6.3.8: a bare JID. Some clients send the localpart alone.
        let own = localpart(username);
        let meant = match Jid::new(authzid) {
            Ok(jid) if jid.local().is_some() => (jid.is_bare() && jid.domain() == self.domain)
                .then(|| jid.local().unwrap_or_default().to_owned()),
            _ => localpart(authzid),
        };
        if own.is_some() && own == meant {
            Ok(())
        } else {
            Err(SaslCondition::InvalidAuthzid)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(toml: &str) -> Result<Directory, AccountsError> {
        Accounts::from_toml(toml)?.into_directory("example.org", &[7; 32], 2)
    }

    #[test]
    fn stored_keys_check_the_password_that_they_were_made_of() {
        let keys = Accounts::stored_keys(&"secret".into(), &[3; 16]).unwrap();
        let directory = directory(&format!("[accounts]\nlamp = {}", &*keys)).unwrap();
        for hash in ScramHash::STRONGEST_FIRST {
            let keys = directory.scram_keys("LAMP", hash).unwrap().unwrap();
            assert!(keys.fits_password("secret"));
            assert!(!keys.fits_password("Secret"));
        }
    }

    #[test]
    fn a_salt_belongs_to_one_account_and_stays_over_restarts() {
        let text = "[accounts]\na = 'x'\nb = 'x'";
        let salt = |directory: &Directory, name| {
            let keys = directory.scram_keys(name, ScramHash::Sha256).unwrap();
            keys.unwrap().salt().to_vec()
        };
        let (one, again) = (directory(text).unwrap(), directory(text).unwrap());
        assert_eq!(salt(&one, "a"), salt(&again, "a"));
        assert_ne!(salt(&one, "a"), salt(&one, "b"));
    }

    #[test]
    fn only_hashes_that_all_accounts_have_are_offered() {
        let keys = Accounts::stored_keys(&"secret".into(), &[3; 16]).unwrap();
        let sha256 = keys
            .split('"')
            .find(|k| k.starts_with("SCRAM-SHA-256$"))
            .unwrap();
        let sha1 = keys
            .split('"')
            .find(|k| k.starts_with("SCRAM-SHA-1$"))
            .unwrap();
        let mixed = directory(&format!("[accounts]\na = ['{sha256}']\nb = 'x'")).unwrap();
        assert_eq!(mixed.hashes(), [ScramHash::Sha256]);
        let none = directory(&format!("[accounts]\na = ['{sha256}']\nb = ['{sha1}']"));
        assert!(matches!(none, Err(AccountsError::NoCommonHash)));
    }

    #[test]
    fn as_many_accounts_are_made_as_may_be_each_name_once() {
        let directory = directory("[accounts]\na = 'x'").unwrap();
        let register = |name: &str, password: &str| {
            let made = directory.register(name, &password.to_owned().into());
            made.map_err(|error| error.condition)
        };
        assert_eq!(register("A", "y"), Err(DefinedCondition::Conflict));
        for (name, password) in [("b", ""), ("", "x"), ("b@c", "x"), ("b", "\u{7}")] {
            let refused = register(name, password);
            assert_eq!(refused, Err(DefinedCondition::NotAcceptable), "{name:?}");
        }
        assert_eq!(register("B", "secret").as_deref(), Ok("b"));
        assert_eq!(register("b", "other"), Err(DefinedCondition::Conflict));
        let keys = directory.scram_keys("b", ScramHash::Sha256).unwrap();
        assert!(keys.unwrap().fits_password("secret"));
        assert_eq!(register("c", "x").as_deref(), Ok("c"));
        assert_eq!(
            register("d", "x"),
            Err(DefinedCondition::ResourceConstraint)
        );
    }

    #[test]
    fn who_was_made_in_band_may_change_and_end_and_nobody_gets_the_name() {
        let directory = directory("[accounts]\na = 'x'").unwrap();
        let secret = |text: &str| text.to_owned().into();
        let fits = |name: &str, password: &str| {
            let keys = directory.scram_keys(name, ScramHash::Sha256).unwrap();
            keys.map(|keys| keys.fits_password(password))
        };
        directory.register("b", &secret("one")).unwrap();
        let change = |name, password: &str| {
            let changed = directory.change(name, &secret(password));
            changed.map_err(|error| error.condition)
        };
        assert_eq!(change("b", "two"), Ok(()));
        assert_eq!(
            (fits("b", "one"), fits("b", "two")),
            (Some(false), Some(true))
        );
        assert_eq!(change("b", ""), Err(DefinedCondition::NotAcceptable));
        // That of the file is as it stands there.
        for name in ["a", "nobody"] {
            assert_eq!(change(name, "y"), Err(DefinedCondition::NotAllowed));
            let ended = directory.end(name).map_err(|error| error.condition);
            assert_eq!(ended, Err(DefinedCondition::NotAllowed));
        }
        assert_eq!(fits("a", "x"), Some(true));

        directory.end("b").unwrap();
        assert_eq!(fits("b", "two"), None);
        assert_eq!(change("b", "three"), Err(DefinedCondition::NotAllowed));
        let register = |name| {
            let made = directory.register(name, &secret("x"));
            made.map_err(|error| error.condition)
        };
        assert_eq!(register("b"), Err(DefinedCondition::Conflict));
        // It still counts, so that names are not remembered without bound.
        assert_eq!(register("c").as_deref(), Ok("c"));
        assert_eq!(register("d"), Err(DefinedCondition::ResourceConstraint));
    }

    #[test]
    fn names_that_are_the_same_address_stand_once() {
        let twice = Accounts::from_toml("[accounts]\nLamp = 'x'\nlamp = 'y'");
        assert!(matches!(twice, Err(AccountsError::Twice { name }) if name == "lamp"));
        let bad = Accounts::open_demo([("a@b", "x")]);
        assert!(matches!(bad, Err(AccountsError::Name { .. })));
    }

    #[test]
    fn a_mistake_is_told_by_its_line_and_never_shows_a_password() {
        let error = Accounts::from_toml("[accounts]\na = 'x'\nb = hunter2").unwrap_err();
        let (plain, debug) = (error.to_string(), format!("{error:?}"));
        assert!(plain.contains("line 3"), "{plain}");
        assert!(!plain.contains("hunter2") && !debug.contains("hunter2"));
        let accounts = Accounts::open_demo([("a", "hunter2")]).unwrap();
        assert!(!format!("{accounts:?}").contains("hunter2"));
    }

    #[test]
    fn one_acts_as_oneself_and_as_nobody_else() {
        let directory = directory("[accounts]\nlamp = 'x'").unwrap();
        for own in [
            None,
            Some("lamp"),
            Some("lamp@example.org"),
            Some("Lamp@Example.org"),
        ] {
            assert_eq!(directory.authorize("lamp", own), Ok(()), "{own:?}");
        }
        for other in ["door", "lamp@example.com", "lamp@example.org/r", "", "@"] {
            assert_eq!(
                directory.authorize("lamp", Some(other)),
                Err(SaslCondition::InvalidAuthzid),
                "{other}"
            );
        }
    }
}
