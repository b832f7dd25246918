//! What names a received message for good, for applications that keep their effects in a
//! store of their own.

use std::fmt;

use crate::store::InboundKey;

/// Names a received message: the same at each hand-over of it, also by a later process on
/// the same store, and another one for any other message. Of a Stanchion sender it stands
/// for device, channel, epoch, number and id; of any other, for address and id.
///
/// An application that keeps its effect in a database of its own writes the token in the
/// same transaction, and skips a message whose token is there already:
///
/// ```
/// use stanchion_reliability::session::Token;
/// use stanchion_reliability::store::rusqlite::{self, Connection};
///
/// /// Gives whether the reading is new.
/// fn keep(own: &mut Connection, token: &Token, celsius: f64) -> rusqlite::Result<bool> {
///     let tx = own.transaction()?;
///     let new = tx.execute("INSERT OR IGNORE INTO seen VALUES (?1)", [token.as_str()])? == 1;
///     if new {
///         tx.execute("INSERT INTO readings VALUES (?1)", [celsius])?;
///     }
///     tx.commit()?;
///     Ok(new) // either way: now commit the message
/// }
///
/// let mut own = Connection::open_in_memory()?;
/// own.execute_batch("CREATE TABLE seen (token TEXT PRIMARY KEY); CREATE TABLE readings (celsius REAL)")?;
/// # let key = stanchion_reliability::store::InboundKey::new("sensor", "d t 1 0000002a 17");
/// # let token = Token::of(&key);
/// // let token = received.token();
/// assert!(keep(&mut own, &token, 21.5)?);
/// assert!(!keep(&mut own, &token, 21.5)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Tokens may be forgotten once the messages are older than any copy that can still come:
/// the inbox itself keeps what it knows of a message for 30 days.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(String);

impl Token {
    /// The token of the message that the inbox keeps under that key.
    #[must_use]
    pub fn of(key: &InboundKey) -> Self {
        // The length tells the two parts apart, whatever they hold.
        Self(format!(
            "{} {} {}",
            key.from_bare.len(),
            key.from_bare,
            key.id
        ))
    }

    /// Its text, at most 8 KiB; what a Stanchion sender causes is below 200 bytes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_messages_share_a_token() {
        let one = Token::of(&InboundKey::new("room@x/a", "o b o c"));
        let other = Token::of(&InboundKey::new("room@x/a o b", "o c"));
        assert_ne!(one, other);
    }
}
