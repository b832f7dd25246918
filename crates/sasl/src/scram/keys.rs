//! The keys of SCRAM (RFC 5802 §3): what is derived from a password, what a
//! client may keep, what a server stores.
//!
//! Owns every use of the hash functions. The messages are in `message`, the
//! order of steps in `client` and `server`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::{Digest, KeyInit, Mac};
use hmac::{Hmac, digest};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use std::fmt;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::mechanism::{Mechanism, ScramHash};
use crate::prepare::{PrepareError, prepare};

/// A digest, key or signature; wiped when dropped.
pub(crate) type Bytes = Zeroizing<Vec<u8>>;

fn hash_of<D: Digest>(data: &[u8]) -> Bytes {
    Zeroizing::new(D::digest(data).to_vec())
}

/// HMAC without the error path of `new_from_slice`: a key of exactly one block
/// cannot fail, and HMAC itself brings every key to one block (RFC 2104 §2).
fn hmac_of<M: Mac + KeyInit, D: Digest>(key: &[u8], parts: &[&[u8]]) -> Bytes {
    let mut block = digest::Key::<M>::default();
    let short = if key.len() > block.len() {
        hash_of::<D>(key)
    } else {
        Zeroizing::new(key.to_vec())
    };
    for (to, from) in block.iter_mut().zip(short.iter()) {
        *to = *from;
    }
    let mut mac = <M as KeyInit>::new(&block);
    block.fill(0);
    for part in parts {
        Mac::update(&mut mac, part);
    }
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

impl ScramHash {
    /// `H()` of RFC 5802 §2.2.
    pub(crate) fn digest(self, data: &[u8]) -> Bytes {
        match self {
            Self::Sha1 => hash_of::<Sha1>(data),
            Self::Sha256 => hash_of::<Sha256>(data),
            Self::Sha512 => hash_of::<Sha512>(data),
        }
    }

    /// `HMAC()` of RFC 5802 §2.2, over the parts as if joined.
    pub(crate) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Bytes {
        match self {
            Self::Sha1 => hmac_of::<Hmac<Sha1>, Sha1>(key, parts),
            Self::Sha256 => hmac_of::<Hmac<Sha256>, Sha256>(key, parts),
            Self::Sha512 => hmac_of::<Hmac<Sha512>, Sha512>(key, parts),
        }
    }

    /// `Hi()` of RFC 5802 §2.2: PBKDF2, the slow one.
    fn hi(self, password: &[u8], salt: &[u8], iterations: u32) -> Bytes {
        let mut out = Zeroizing::new(vec![0; self.output_len()]);
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut out),
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut out),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut out),
        }
        out
    }
}

/// Compares two secrets in a time that depends on their lengths only.
pub(crate) fn same_secret(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// `a XOR b`; `None` if the lengths differ.
pub(crate) fn xor(a: &[u8], b: &[u8]) -> Option<Bytes> {
    (a.len() == b.len()).then(|| Zeroizing::new(a.iter().zip(b).map(|(x, y)| x ^ y).collect()))
}

/// A client's derived keys, so that PBKDF2 does not run at every login.
///
/// Handed out by [`Authenticated::keys`](crate::client::Authenticated) after the
/// server has proved itself; given back with
/// [`ClientAuth::use_keys`](crate::client::ClientAuth::use_keys). They are used only if
/// hash, user name, salt and iteration count are all the same; otherwise the
/// password is used as if they were not there. They stand for the password they
/// were derived from: throw them away when the password is changed.
///
/// As good as the password for logging in with the same salt: keep them as safe.
#[derive(Clone)]
pub struct ScramKeys {
    hash: ScramHash,
    username: String,
    salt: Vec<u8>,
    iterations: u32,
    client_key: SecretSlice<u8>,
    server_key: SecretSlice<u8>,
}

impl ScramKeys {
    /// Runs PBKDF2. Takes about 0.2 to 0.5 ms for each 1000 iterations on a PC,
    /// ten and more times that on a small device.
    ///
    /// # Errors
    ///
    /// [`PrepareError`] if SASLprep refuses the user name or the password.
    pub fn derive(
        hash: ScramHash,
        username: &str,
        password: &SecretString,
        salt: &[u8],
        iterations: u32,
    ) -> Result<Self, PrepareError> {
        let username = prepare(username)?;
        let password = prepare(password.expose_secret())?;
        Ok(Self::derive_prepared(
            hash, &username, &password, salt, iterations,
        ))
    }

    pub(crate) fn derive_prepared(
        hash: ScramHash,
        username: &str,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Self {
        let salted = hash.hi(password.as_bytes(), salt, iterations);
        Self {
            hash,
            username: username.to_owned(),
            salt: salt.to_vec(),
            iterations,
            client_key: secret(&hash.hmac(&salted, &[b"Client Key"])),
            server_key: secret(&hash.hmac(&salted, &[b"Server Key"])),
        }
    }

    /// Puts keys together that were kept in parts.
    ///
    /// # Errors
    ///
    /// [`BadStoredKeys`] if a key has not the length of the hash, or a number is zero.
    pub fn from_parts(
        hash: ScramHash,
        username: &str,
        salt: &[u8],
        iterations: u32,
        client_key: SecretSlice<u8>,
        server_key: SecretSlice<u8>,
    ) -> Result<Self, BadStoredKeys> {
        let len = hash.output_len();
        if client_key.expose_secret().len() != len || server_key.expose_secret().len() != len {
            return Err(BadStoredKeys::KeyLength);
        }
        if iterations == 0 || salt.is_empty() {
            return Err(BadStoredKeys::Empty);
        }
        Ok(Self {
            hash,
            username: username.to_owned(),
            salt: salt.to_vec(),
            iterations,
            client_key,
            server_key,
        })
    }

    /// Whether these keys are the ones that this server-first-message asks for.
    #[must_use]
    pub fn fits(&self, hash: ScramHash, username: &str, salt: &[u8], iterations: u32) -> bool {
        self.hash == hash
            && self.username == username
            && self.salt == salt
            && self.iterations == iterations
    }

    /// The hash they were derived with.
    #[must_use]
    pub fn hash(&self) -> ScramHash {
        self.hash
    }

    /// The user name they belong to, after SASLprep.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The salt they were derived with, as the server sent it.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// How often PBKDF2 went round.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// `ClientKey` of RFC 5802 §3. Secret.
    #[must_use]
    pub fn client_key(&self) -> &SecretSlice<u8> {
        &self.client_key
    }

    /// `ServerKey` of RFC 5802 §3. Secret.
    #[must_use]
    pub fn server_key(&self) -> &SecretSlice<u8> {
        &self.server_key
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys")
            .field("hash", &self.hash)
            .field("username", &self.username)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// What a server keeps of a password for one hash (RFC 5802 §3): enough to
/// check a login, not enough to log in elsewhere.
#[derive(Clone)]
pub struct StoredKeys {
    hash: ScramHash,
    salt: Vec<u8>,
    iterations: u32,
    stored_key: SecretSlice<u8>,
    server_key: SecretSlice<u8>,
}

impl StoredKeys {
    /// Derives what to store. Runs PBKDF2: see [`ScramKeys::derive`] for the time.
    ///
    /// The salt must be random and used for this account only; 16 bytes are
    /// usual. RFC 7677 §4 asks for 4096 iterations at least.
    ///
    /// # Errors
    ///
    /// [`BadStoredKeys`] if SASLprep refuses the password, the salt is empty or
    /// `iterations` is zero.
    pub fn from_password(
        hash: ScramHash,
        password: &SecretString,
        salt: &[u8],
        iterations: u32,
    ) -> Result<Self, BadStoredKeys> {
        if iterations == 0 || salt.is_empty() {
            return Err(BadStoredKeys::Empty);
        }
        let password = prepare(password.expose_secret())?;
        let keys = ScramKeys::derive_prepared(hash, "", &password, salt, iterations);
        Ok(Self {
            hash,
            salt: keys.salt,
            iterations,
            stored_key: secret(&hash.digest(keys.client_key.expose_secret())),
            server_key: keys.server_key,
        })
    }

    /// Keys that no password fits, for an unknown user. The salt depends on the
    /// secret and the name alone, so that it is the same at every try.
    pub(crate) fn imaginary(
        hash: ScramHash,
        secret_bytes: &[u8],
        username: &str,
        iterations: u32,
    ) -> Self {
        let derive = |label: &[u8]| {
            hash.hmac(
                secret_bytes,
                &[
                    label,
                    hash_name(hash).as_bytes(),
                    b"\0",
                    username.as_bytes(),
                ],
            )
        };
        let mut salt = derive(b"salt\0").to_vec();
        salt.truncate(16);
        Self {
            hash,
            salt,
            iterations,
            stored_key: secret(&derive(b"stored key\0")),
            server_key: secret(&derive(b"server key\0")),
        }
    }

    /// Writes the keys as RFC 5803 does:
    /// `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`, the last three in base64.
    #[must_use]
    pub fn to_rfc5803(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "{}${}:{}${}:{}",
            hash_name(self.hash),
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key.expose_secret()),
            STANDARD.encode(self.server_key.expose_secret()),
        ))
    }

    /// Reads what [`StoredKeys::to_rfc5803`] wrote.
    ///
    /// # Errors
    ///
    /// [`BadStoredKeys`] for anything else.
    pub fn from_rfc5803(text: &str) -> Result<Self, BadStoredKeys> {
        let mut fields = text.split('$');
        let (Some(name), Some(info), Some(value), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(BadStoredKeys::Syntax);
        };
        let Some(Mechanism::Scram(hash)) = Mechanism::parse(name) else {
            return Err(BadStoredKeys::UnknownHash);
        };
        let (iterations, salt) = info.split_once(':').ok_or(BadStoredKeys::Syntax)?;
        let (stored, server) = value.split_once(':').ok_or(BadStoredKeys::Syntax)?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| BadStoredKeys::Syntax);
        let iterations = iterations.parse().map_err(|_| BadStoredKeys::Syntax)?;
        let (salt, stored_key, server_key) = (decode(salt)?, decode(stored)?, decode(server)?);
        if stored_key.len() != hash.output_len() || server_key.len() != hash.output_len() {
            return Err(BadStoredKeys::KeyLength);
        }
        if iterations == 0 || salt.is_empty() {
            return Err(BadStoredKeys::Empty);
        }
        Ok(Self {
            hash,
            salt,
            iterations,
            stored_key: stored_key.into(),
            server_key: server_key.into(),
        })
    }

    /// Whether this password gives these keys. Runs PBKDF2; the comparison takes
    /// the same time whatever the password. A password that SASLprep refuses
    /// costs the same work and never fits.
    #[must_use]
    pub fn fits_password(&self, password: &str) -> bool {
        let prepared = prepare(password);
        let (candidate, usable) = match &prepared {
            Ok(text) => (text.as_str(), true),
            Err(_) => ("", false),
        };
        let keys =
            ScramKeys::derive_prepared(self.hash, "", candidate, &self.salt, self.iterations);
        let stored = self.hash.digest(keys.client_key.expose_secret());
        same_secret(&stored, self.stored_key.expose_secret()) && usable
    }

    /// The hash they were derived with.
    #[must_use]
    pub fn hash(&self) -> ScramHash {
        self.hash
    }

    /// The salt, sent to the client.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// How often PBKDF2 goes round, sent to the client.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    pub(crate) fn stored_key(&self) -> &[u8] {
        self.stored_key.expose_secret()
    }

    pub(crate) fn server_key(&self) -> &[u8] {
        self.server_key.expose_secret()
    }
}

impl fmt::Debug for StoredKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKeys")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// Why stored or kept keys cannot be used. The caller's storage is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadStoredKeys {
    /// Not the form of RFC 5803.
    #[error("the text is not in the form of RFC 5803: derive the keys again")]
    Syntax,
    /// A hash that this crate does not implement.
    #[error("the hash is not SHA-1, SHA-256 or SHA-512: derive the keys again")]
    UnknownHash,
    /// A key is shorter or longer than the hash's output.
    #[error("a key has the wrong length for its hash: derive the keys again")]
    KeyLength,
    /// No salt, or no iterations.
    #[error("the salt is empty or the iteration count zero: give both")]
    Empty,
    /// SASLprep refuses the password.
    #[error("the password cannot be prepared")]
    Password(#[from] PrepareError),
}

fn secret(bytes: &[u8]) -> SecretSlice<u8> {
    bytes.to_vec().into()
}

const fn hash_name(hash: ScramHash) -> &'static str {
    Mechanism::Scram(hash).as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> SecretString {
        text.into()
    }

    #[test]
    fn a_key_longer_than_a_block_is_hashed_first() {
        // RFC 2202 §3, test case 6; RFC 4231 §4.7, test case 6.
        let message: &[&[u8]] = &[b"Test Using Larger Than Block-Size Key - Hash Key First"];
        let sha1 = ScramHash::Sha1.hmac(&[0xAA; 80], message);
        assert_eq!(hex(&sha1), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
        let sha256 = ScramHash::Sha256.hmac(&[0xAA; 131], message);
        assert_eq!(
            hex(&sha256),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn pbkdf2_gives_the_values_of_rfc_6070() {
        let out = ScramHash::Sha1.hi(b"password", b"salt", 4096);
        assert_eq!(hex(&out), "4b007901b765489abead49d926f721d065a429c1");
    }

    #[test]
    fn stored_keys_read_back_as_they_were_written() {
        for hash in ScramHash::STRONGEST_FIRST {
            let keys = StoredKeys::from_password(hash, &password("pencil"), b"salt", 16).unwrap();
            let text = keys.to_rfc5803();
            let back = StoredKeys::from_rfc5803(&text).unwrap();
            assert_eq!(back.to_rfc5803(), text);
            assert!(back.fits_password("pencil"));
            assert!(!back.fits_password("Pencil"));
            assert!(!back.fits_password(""));
            assert!(!back.fits_password("\u{7}"));
        }
    }

    #[test]
    fn damaged_stored_keys_are_refused() {
        let good = "SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=";
        assert!(StoredKeys::from_rfc5803(good).is_ok());
        for (bad, why) in [
            ("", BadStoredKeys::Syntax),
            ("SCRAM-MD5$1:AA==$AA==:AA==", BadStoredKeys::UnknownHash),
            ("PLAIN$1:AA==$AA==:AA==", BadStoredKeys::UnknownHash),
            ("SCRAM-SHA-1$1:AA==$AA==:AA==", BadStoredKeys::KeyLength),
            ("SCRAM-SHA-1$1$AA==:AA==", BadStoredKeys::Syntax),
            ("SCRAM-SHA-1$-1:AA==$AA==:AA==", BadStoredKeys::Syntax),
            (&good.replace("4096", "0"), BadStoredKeys::Empty),
            (&good.replace("QSXCR+Q6sek8bf92", ""), BadStoredKeys::Empty),
            (&format!("{good}$x"), BadStoredKeys::Syntax),
        ] {
            assert_eq!(StoredKeys::from_rfc5803(bad).err(), Some(why), "{bad}");
        }
    }

    #[test]
    fn the_stored_keys_of_the_rfc_5802_example_are_derived() {
        let salt = STANDARD.decode("QSXCR+Q6sek8bf92").unwrap();
        let keys =
            StoredKeys::from_password(ScramHash::Sha1, &password("pencil"), &salt, 4096).unwrap();
        assert_eq!(
            keys.to_rfc5803().as_str(),
            "SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE="
        );
    }

    #[test]
    fn an_unknown_user_has_the_same_salt_at_every_try_and_another_than_the_next_user() {
        let make = |user| StoredKeys::imaginary(ScramHash::Sha256, &[7; 32], user, 4096);
        assert_eq!(make("mallory").salt(), make("mallory").salt());
        assert_ne!(make("mallory").salt(), make("eve").salt());
        assert_eq!(make("mallory").salt().len(), 16);
        assert!(!make("mallory").fits_password("anything"));
    }

    #[test]
    fn kept_keys_fit_only_what_they_were_derived_for() {
        let keys =
            ScramKeys::derive(ScramHash::Sha256, "alice", &password("pw"), b"salt", 16).unwrap();
        assert!(keys.fits(ScramHash::Sha256, "alice", b"salt", 16));
        assert!(!keys.fits(ScramHash::Sha512, "alice", b"salt", 16));
        assert!(!keys.fits(ScramHash::Sha256, "bob", b"salt", 16));
        assert!(!keys.fits(ScramHash::Sha256, "alice", b"pepper", 16));
        assert!(!keys.fits(ScramHash::Sha256, "alice", b"salt", 17));
    }

    #[test]
    fn keys_do_not_show_in_debug_output() {
        let keys =
            ScramKeys::derive(ScramHash::Sha256, "alice", &password("pw"), b"salt", 16).unwrap();
        let parts = ScramKeys::from_parts(
            ScramHash::Sha256,
            "alice",
            b"salt",
            16,
            vec![1; 32].into(),
            vec![2; 32].into(),
        );
        for shown in [format!("{keys:?}"), format!("{:?}", parts.unwrap())] {
            assert!(shown.ends_with("iterations: 16, .. }"), "{shown}");
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}
