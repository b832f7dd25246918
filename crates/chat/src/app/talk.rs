//! A conversation, as far as it is shown: a window of the history.

use stanchion::BareJid;
use stanchion::services::history::{Direction, Entry, Place, Progress};

/// Messages of one conversation that are held; older ones are read from the history again.
pub(super) const WINDOW: usize = 1000;

/// With what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TalkKind {
    /// A person, or a device.
    Person,
    /// A room.
    Room,
}

/// How far a message of ours has come, in the words of who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is about to be kept.
    Writing,
    /// It is durable here.
    Kept,
    /// The server has it.
    AtServer,
    /// The recipient's client has it.
    Received,
    /// The recipient's application acted on it. In a room: the room showed it to all.
    Delivered,
    /// A person there has seen it.
    Read,
    /// Nobody can say.
    InDoubt,
    /// It never took effect.
    Failed,
    /// Another device of ours sent it.
    Elsewhere,
    /// Nothing more will be known.
    Unknown,
}

impl Stage {
    /// The stage of an entry of ours.
    pub(crate) const fn of(entry: &Entry) -> Option<Self> {
        let Some(progress) = entry.progress else {
            return None;
        };
        Some(match progress {
            Progress::NotDelivered => Self::Failed,
            Progress::Delivered | Progress::Acknowledged if entry.displayed => Self::Read,
            Progress::Writing => Self::Writing,
            Progress::Accepted => Self::Kept,
            Progress::ServerAccepted | Progress::Transmitted => Self::AtServer,
            Progress::Acknowledged => Self::Received,
            Progress::Delivered => Self::Delivered,
            Progress::InDoubt => Self::InDoubt,
            Progress::Elsewhere => Self::Elsewhere,
            _ => Self::Unknown,
        })
    }

    /// One or two words.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Writing => "writing",
            Self::Kept => "kept",
            Self::AtServer => "at server",
            Self::Received => "received",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::InDoubt => "in doubt",
            Self::Failed => "failed",
            Self::Elsewhere => "elsewhere",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it can still be taken back.
    pub(crate) const fn can_be_cancelled(self) -> bool {
        matches!(self, Self::Kept | Self::AtServer | Self::InDoubt)
    }

    /// Whether it can be said again: with certainty that it is not there, or in doubt.
    pub(crate) const fn can_be_said_again(self) -> bool {
        matches!(self, Self::Failed | Self::InDoubt)
    }
}

/// A conversation.
#[derive(Debug, Clone)]
pub(crate) struct Talk {
    /// With whom.
    pub(crate) with: BareJid,
    /// What that is.
    pub(crate) kind: TalkKind,
    /// Messages, in their order.
    pub(crate) entries: Vec<Entry>,
    /// Whether nothing is older than the first of these.
    pub(crate) first: bool,
    /// Whether the latest messages were read from the history.
    pub(crate) loaded: bool,
    /// Messages that were not read.
    pub(crate) unread: u64,
    /// When the latest was sent, in Unix milliseconds; 0 if there is none.
    pub(crate) latest: i64,
    /// The latest, cut to one line.
    pub(crate) preview: String,
    /// Whether the other side writes.
    pub(crate) writes: bool,
}

impl Talk {
    pub(super) const fn new(with: BareJid, kind: TalkKind) -> Self {
        Self {
            with,
            kind,
            entries: Vec::new(),
            first: false,
            loaded: false,
            unread: 0,
            latest: 0,
            preview: String::new(),
            writes: false,
        }
    }

    /// The message at that place.
    pub(crate) fn entry(&self, place: Place) -> Option<&Entry> {
        let found = self.entries.binary_search_by(|e| e.place.cmp(&place));
        found.ok().and_then(|at| self.entries.get(at))
    }

    /// A message is new, or another now. Whether it is new.
    pub(super) fn said(&mut self, entry: Entry) -> bool {
        self.glance(&entry);
        match self.entries.binary_search_by(|e| e.place.cmp(&entry.place)) {
            Ok(at) => {
                if let Some(old) = self.entries.get_mut(at) {
                    *old = entry;
                }
                false
            }
            // It is older than what is shown, and comes when that is asked for.
            Err(0) if !self.first && self.loaded && !self.entries.is_empty() => false,
            Err(at) => {
                if entry.unread {
                    self.unread += 1;
                }
                self.entries.insert(at, entry);
                self.bound();
                true
            }
        }
    }

    /// A part of it, oldest first.
    pub(super) fn page(&mut self, entries: Vec<Entry>, first: bool) {
        self.loaded = true;
        self.first |= first;
        for entry in entries {
            self.glance(&entry);
            match self.entries.binary_search_by(|e| e.place.cmp(&entry.place)) {
                Ok(at) => {
                    if let Some(old) = self.entries.get_mut(at) {
                        *old = entry;
                    }
                }
                Err(at) => self.entries.insert(at, entry),
            }
        }
        self.bound();
    }

    /// What a list shows of it.
    pub(super) fn glance(&mut self, entry: &Entry) {
        let at = entry.place.at.as_unix_ms();
        if at >= self.latest {
            self.latest = at;
            let line = entry.body.lines().next().unwrap_or_default();
            self.preview = line.chars().take(120).collect();
        }
        if entry.direction == Direction::In {
            self.writes = false;
        }
    }

    fn bound(&mut self) {
        let more = self.entries.len().saturating_sub(WINDOW);
        if more > 0 {
            self.entries.drain(..more);
            self.first = false;
        }
    }

    /// A message of ours came so far. Whether it is one of these.
    pub(super) fn progress(&mut self, id: &str, progress: Progress, why: Option<&String>) -> bool {
        let mut ours = self.entries.iter_mut().rev();
        let ours = ours.find(|e| e.direction == Direction::Out && e.id.as_deref() == Some(id));
        match ours {
            Some(entry) => {
                entry.progress = Some(progress);
                entry.why = why.cloned();
                true
            }
            None => false,
        }
    }

    /// The other side displayed ours up to that one.
    pub(super) fn displayed(&mut self, id: &str) {
        let at = self
            .entries
            .iter()
            .rposition(|e| e.id.as_deref() == Some(id));
        let Some(at) = at else { return };
        for entry in self.entries.iter_mut().take(at + 1) {
            entry.displayed |= entry.direction == Direction::Out;
        }
    }

    /// We have read all up to there.
    pub(super) fn read(&mut self, up_to: Place) {
        for entry in &mut self.entries {
            if entry.place <= up_to {
                entry.unread = false;
            }
        }
        let left = self.entries.iter().filter(|e| e.unread).count();
        self.unread = left.try_into().unwrap_or(u64::MAX);
    }
}
