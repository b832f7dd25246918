//! What outlives the hub, as the router tells of it: records to be kept, and those that no
//! longer are. Data alone; how they lie on disk is [`state`](crate::state)'s.

use std::time::SystemTime;

use super::StoredId;

/// A change of offline storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Persist {
    /// Keep a message.
    Store(StoredMessage),
    /// It was delivered, or its place is needed no more.
    Remove(StoredId),
    /// Keep a message in an archive, as long as there is room for it there.
    Archive(ArchivedMessage),
    /// The account is no more, and so is what its archive has; by localpart.
    Forget(String),
}

/// A message in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedMessage {
    /// Its name in the archive, greater than those of earlier ones.
    pub id: u64,
    /// Localpart of the account whose archive it is.
    pub account: String,
    /// When it was archived.
    pub at: SystemTime,
    /// The stanza.
    pub stanza: Vec<u8>,
}

/// What a stored stanza is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// A message that waits for an account.
    Offline,
    /// What a room is: no stanza, but an element.
    Room,
    /// What was said in a room.
    Said,
    /// An entry of a roster: no stanza, but an element.
    Contact,
    /// An address that an account does not want to hear from: no stanza, but an element.
    Blocked,
    /// What a publish/subscribe node is: no stanza, but an element.
    Node,
    /// An item of it, or what somebody is to it: no stanza, but an element.
    NodePart,
}

/// A message in offline storage, or a part of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its name.
    pub id: StoredId,
    /// What it is.
    pub keeping: Keeping,
    /// Localpart of the account that it waits for or is of, or of the room; empty for a node
    /// of the publish/subscribe service.
    pub account: String,
    /// When it was sent.
    pub since: SystemTime,
    /// The stanza as it will be delivered, delay stamp included.
    pub stanza: Vec<u8>,
}
