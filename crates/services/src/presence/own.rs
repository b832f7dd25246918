//! What was told of our own presence, to all or to one, and whether it has to be told
//! again.

use std::time::Duration;

use stanchion_stanza::Presence;

/// What is sent so shortly before a stream is noticed to be lost may have missed it, and is
/// told again even if the session goes on.
const DOUBTFUL: Duration = Duration::from_secs(10);

/// What was told last on this session.
#[derive(Debug, Clone, Default)]
pub(super) enum Told {
    /// That is not known: an earlier process may have told something.
    #[default]
    Unknown,
    /// Something that may not have arrived.
    Doubtful,
    /// Nothing: the session is new.
    Nothing,
    /// That, at that time.
    This { what: Presence, at: Duration },
}

impl Told {
    /// Whether that is what was told last. Of somebody who is not there, it is the same as
    /// nothing.
    pub(super) fn is(&self, wanted: &Presence, available: bool) -> bool {
        match self {
            Self::Unknown | Self::Doubtful => false,
            Self::Nothing => !available,
            Self::This { what, .. } => what == wanted,
        }
    }

    /// The session goes on after a stream that was lost at that time.
    pub(super) fn resumed(&mut self, lost: Option<Duration>) {
        if let (Self::This { at, .. }, Some(lost)) = (&*self, lost)
            && lost <= *at + DOUBTFUL
        {
            *self = Self::Doubtful;
        }
    }
}
