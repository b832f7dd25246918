//! The codes by which a room says what happened (XEP-0045 §12, §16.6).

use crate::xml::Text;

macro_rules! statuses {
    ($($(#[doc = $doc:literal])* $variant:ident = $code:literal,)*) => {
        /// A status code. A registry may grow: unknown codes are kept.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Status {
            $($(#[doc = $doc])* $variant,)*
            /// A code that has no name here, from 100 to 999.
            Other(u16),
        }

        impl Status {
            /// Every code that XEP-0045 registers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other(code) => code,
                }
            }

            /// The status of that number, which has three digits.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    100..=999 => Some(Self::Other(code)),
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    /// Everybody in the room sees real addresses.
    NonAnonymous = 100,
    /// The user's affiliation changed while it was not in the room.
    AffiliationChanged = 101,
    /// The room now shows members that are not there.
    ShowsUnavailable = 102,
    /// The room no longer shows members that are not there.
    HidesUnavailable = 103,
    /// The configuration changed in a way that does not touch privacy.
    ConfigurationChanged = 104,
    /// The presence is the user's own.
    SelfPresence = 110,
    /// What is said is logged.
    LoggingEnabled = 170,
    /// What is said is no longer logged.
    LoggingDisabled = 171,
    /// Everybody in the room sees real addresses from now on.
    NowNonAnonymous = 172,
    /// Only moderators see real addresses from now on.
    NowSemiAnonymous = 173,
    /// The room is new, and the user owns it.
    RoomCreated = 201,
    /// The service gave the user this nickname.
    NickAssigned = 210,
    /// Banned.
    Banned = 301,
    /// The nickname changed.
    NickChanged = 303,
    /// Kicked.
    Kicked = 307,
    /// Removed, because the affiliation changed.
    RemovedByAffiliation = 321,
    /// Removed, because the room is for members now.
    RemovedAsNonMember = 322,
    /// Removed, because the service shuts down.
    ServiceShutdown = 332,
    /// Removed, because the user could not be reached.
    RemovedByError = 333,
}

impl From<Status> for Text {
    fn from(status: Status) -> Self {
        Self::from(status.code())
    }
}
