//! What a login teaches, as a registry keeps it: small values by account and key. What
//! is in them, and when to forget them, is for whoever writes them.

use secrecy::{ExposeSecret as _, SecretSlice};
use stanchion_stanza::BareJid;

use super::RegistryError;

/// A value, which may be as secret as a password.
pub type Note = SecretSlice<u8>;

/// Keys of one account, at most.
pub const MAX_NOTES: usize = 32;

/// The longest key, in bytes. The shortest is 1.
pub const MAX_NOTE_KEY: usize = 64;

/// The largest value, in bytes.
pub const MAX_NOTE: usize = 16 * 1024;

/// Whether a value may be kept: for those who implement a registry.
///
/// # Errors
/// [`RegistryError::NotKept`] names the bound.
pub fn check_note(account: &BareJid, key: &str, value: &Note) -> Result<(), RegistryError> {
    let not_kept = |what| RegistryError::not_kept(account, what);
    if key.is_empty() || key.len() > MAX_NOTE_KEY {
        return Err(not_kept("a note's key is empty or too long"));
    }
    if value.expose_secret().len() > MAX_NOTE {
        return Err(not_kept("a note is too long"));
    }
    Ok(())
}
