//! What an archive has (XEP-0313), taken in as if it had just been received: kept once,
//! answered as usual, in the order in which it is given. Owns how much is taken at a time.
//! Reading the archive, and whom to believe, is the floor above's.

use stanchion_stanza::Message;
use stanchion_stanza::stanza::MessageType;

use super::management::Slot;
use super::{Effect, Engine, Event};

/// Messages that are taken at once; the rest of a longer page is given again.
pub const SLICE: usize = 64;

impl Engine {
    /// Takes as many as there is room for, from the first on, and tells how many once all
    /// of these are durable. The rest is not refused to anybody: its reader comes again.
    pub(super) fn archived(&mut self, ticket: u64, messages: Vec<Message>) {
        let before = self.archiving;
        let mut taken = 0;
        for message in messages.into_iter().take(SLICE) {
            self.flush_if_full();
            self.archiving += 1;
            if self.is_full() || !self.wants_input() {
                self.archiving -= 1;
                break;
            }
            taken += 1;
            // An error is about a copy that was sent long ago.
            if message.kind != MessageType::Error {
                self.message(Slot::ARCHIVED, message);
            }
        }
        let counted = self.archiving - before;
        self.after_all(Effect::Archived {
            ticket,
            taken,
            counted,
        });
    }

    pub(super) fn archived_is_durable(&mut self, ticket: u64, taken: usize, counted: usize) {
        self.archiving = self.archiving.saturating_sub(counted);
        self.event(Event::Archived { ticket, taken });
    }
}
