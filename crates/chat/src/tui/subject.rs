//! What can be open: a conversation or a thing.

use stanchion::BareJid;

use crate::app::ThingKey;

/// Something that can be open.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// A conversation.
    Talk(BareJid),
    /// A thing.
    Thing(ThingKey),
}
