//! Sets of flags: what kind of value a field has (XEP-0323 §5.6), and how far it can be
//! relied upon (§5.7).

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use super::super::xs::flag;
use super::dialect::Dialect;
use crate::xml::{Element, View};

macro_rules! flags {
    (
        $(#[$doc:meta])* $name:ident
        { $($(#[$flag_doc:meta])* $flag:ident = $bit:literal, $long:literal, $short:literal;)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub struct $name(u16);

        impl $name {
            /// None of them.
            pub const NONE: Self = Self(0);
            $($(#[$flag_doc])* pub const $flag: Self = Self(1 << $bit);)*

            /// Each of them, alone.
            pub const ALL: &[Self] = &[$(Self::$flag,)*];

            /// Long and short names, in the order of `ALL`.
            const NAMES: &[(&'static str, &'static str)] = &[$(($long, $short),)*];

            /// Whether there are none.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether all of `other` are among these.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any of `other` is among these.
            #[must_use]
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            fn names(dialect: &Dialect) -> impl Iterator<Item = (Self, &'static str)> {
                let short = dialect.short;
                let flags = Self::ALL.iter().zip(Self::NAMES);
                flags.map(move |(flag, names)| (*flag, if short { names.1 } else { names.0 }))
            }

            /// The first flag of each name that is set.
            pub(crate) fn read(element: View<'_>, dialect: &Dialect) -> Self {
                let mut all = Self::NONE;
                let mut last = "";
                for (one, name) in Self::names(dialect) {
                    if name != last && flag(element, name) {
                        all |= one;
                    }
                    last = name;
                }
                all
            }

            pub(crate) fn write(self, element: &mut Element, dialect: &Dialect) {
                for (_, name) in Self::names(dialect).filter(|(flag, _)| self.contains(*flag)) {
                    element.set_attr(name, true);
                }
            }
        }

        impl BitOr for $name {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl BitOrAssign for $name {
            fn bitor_assign(&mut self, other: Self) {
                *self = *self | other;
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let all = Self::ALL.iter().zip(Self::NAMES);
                let set = all.filter(|(flag, _)| self.contains(**flag));
                f.debug_set().entries(set.map(|(_, names)| names.0)).finish()
            }
        }
    };
}

flags! {
    /// Kinds of values. In a request: any of them (union). On a field: all of them at
    /// once (intersection), such as a historical status.
    Categories {
        /// Measured when it was read.
        MOMENTARY = 0, "momentary", "m";
        /// The greatest or least of a period.
        PEAK = 1, "peak", "p";
        /// How the device is.
        STATUS = 2, "status", "s";
        /// Computed, not measured.
        COMPUTED = 3, "computed", "c";
        /// Who the device is: serial numbers, names, places.
        IDENTITY = 4, "identity", "i";
        /// Remembered, of any period. In the legacy profile it is for requests; a field
        /// says which period.
        HISTORICAL = 5, "historical", "h";
        /// Remembered at a full second.
        HISTORICAL_SECOND = 6, "historicalSecond", "h";
        /// Remembered at a full minute.
        HISTORICAL_MINUTE = 7, "historicalMinute", "h";
        /// Remembered at a full hour.
        HISTORICAL_HOUR = 8, "historicalHour", "h";
        /// Remembered at midnight.
        HISTORICAL_DAY = 9, "historicalDay", "h";
        /// Remembered at midnight before Monday.
        HISTORICAL_WEEK = 10, "historicalWeek", "h";
        /// Remembered at midnight before the first of a month.
        HISTORICAL_MONTH = 11, "historicalMonth", "h";
        /// Remembered at the beginning of January, April, July or October.
        HISTORICAL_QUARTER = 12, "historicalQuarter", "h";
        /// Remembered at the beginning of a year.
        HISTORICAL_YEAR = 13, "historicalYear", "h";
        /// Remembered at some other time.
        HISTORICAL_OTHER = 14, "historicalOther", "h";
    }
}

impl Categories {
    /// Every category at once, what `all` in a request means (§5.6).
    #[must_use]
    pub fn every() -> Self {
        Self::ALL.iter().fold(Self::NONE, |all, one| all | *one)
    }

    /// Whether these are of something remembered, whatever the period.
    #[must_use]
    pub const fn are_historical(self) -> bool {
        self.0 >= Self::HISTORICAL.0
    }
}

flags! {
    /// Quality of service of a value, from the least reliable on. None at all is as good
    /// as [`Quality::AUTOMATIC_READOUT`].
    Quality {
        /// There is none.
        MISSING = 0, "missing", "ms";
        /// Not final yet: read again later.
        IN_PROGRESS = 1, "inProgress", "pr";
        /// Estimated by the device.
        AUTOMATIC_ESTIMATE = 2, "automaticEstimate", "ae";
        /// Estimated by a person.
        MANUAL_ESTIMATE = 3, "manualEstimate", "me";
        /// Read by a person.
        MANUAL_READOUT = 4, "manualReadout", "mr";
        /// Read by the device.
        AUTOMATIC_READOUT = 5, "automaticReadout", "ar";
        /// The clock was off, and set right, in the period.
        TIME_OFFSET = 6, "timeOffset", "of";
        /// A warning was logged in the period.
        WARNING = 7, "warning", "w";
        /// An error was logged in the period.
        ERROR = 8, "error", "er";
        /// Signed by an operator.
        SIGNED = 9, "signed", "so";
        /// On an invoice.
        INVOICED = 10, "invoiced", "iv";
        /// The last of a series, such as when a tenant moves out.
        END_OF_SERIES = 11, "endOfSeries", "eos";
        /// Power failed in the period.
        POWER_FAILURE = 12, "powerFailure", "pf";
        /// On an invoice that was confirmed.
        INVOICE_CONFIRMED = 13, "invoiceConfirmed", "ic";
    }
}
