//! The switches: what can go wrong, each with a name and the words that its failure goes
//! by. What a switch does is in `setup` (how servers behave) and `plan` (what happens when).

use std::fmt;

macro_rules! switches {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $what:literal;)*) => {
        /// One thing that can go wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Switch {
            $(#[doc = $what] $variant,)*
        }

        impl Switch {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What goes wrong.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$variant => $what,)*
                }
            }
        }
    };
}

switches! {
    AckedThenLost = "acked-then-lost", "The server acknowledges a message, and loses it.";
    ServerKilled = "server-killed", "A server is killed: sessions and queues are gone.";
    PowerLoss = "power-loss", "What a server wrote in its last seconds is lost with it.";
    ResumeRefused = "resume-refused", "`<resume/>` is answered with `<failed/>`.";
    ResumeRefusedWithCount = "resume-refused-with-h", "`<resume/>` is answered with `<failed h='…'/>`.";
    ResumeUnanswered = "resume-unanswered", "`<resume/>` is answered with silence and a close.";
    NoResumption = "no-resumption", "`<enabled/>` comes without resume.";
    NoManagement = "no-management", "The server has no stream management.";
    ShortHibernation = "session-expires", "Sessions expire soon; what they held is routed on.";
    ExpiryBounced = "expiry-bounced", "What an expired session held comes back as an error.";
    ExpiryDropped = "expiry-dropped", "What an expired session held vanishes.";
    QueueEnds = "queue-ends", "A few unacknowledged stanzas end the session.";
    QueueForgets = "queue-forgets", "A few unacknowledged stanzas push out the oldest.";
    OfflineWiped = "offline-wiped", "Offline storage forgets what it writes to a socket.";
    OfflineMissing = "offline-missing", "Offline storage is small, refuses, or drops.";
    ReceiptLost = "receipt-lost", "Receipts are lost.";
    Bounced = "bounced", "Messages come back as service-unavailable.";
    Refused = "refused", "Messages come back for good, as not-acceptable.";
    BodilessNotStored = "bodiless-not-stored", "Messages without body are not stored.";
    Copies = "copies", "Messages arrive twice.";
    Delays = "delays", "Messages are overtaken by others.";
    StaleCopies = "stale-copies", "Copies arrive days later.";
    Doomed = "doomed", "A receiver crashes whenever it acts on a certain message.";
    CrashWhileProcessing = "crash-while-processing", "A receiver crashes while it acts on a message.";
    Crash = "crash", "A process is killed, between any two outputs.";
    Cut = "cut", "A connection breaks.";
    HalfOpen = "half-open", "A connection breaks, and nobody is told.";
    OneWay = "one-way", "A connection becomes a black hole in one direction.";
    Stall = "stall", "Nothing passes on a connection for a while.";
    Conflict = "conflict", "Another process binds the same address.";
    FailedConnect = "failed-connect", "Connecting fails: see-other-host, a portal, a wrong certificate.";
    Shutdown = "shutdown", "A server says system-shutdown and stops.";
    Poison = "poison", "A message ends every stream that carries it.";
    ClockJumps = "clock-jumps", "A device's wall clock jumps, forward or back.";
    Suspend = "suspend", "A device is suspended: its monotonic clock stops.";
    DiskFull = "disk-full", "A commit fails: the disk is full for a while.";
    DiskFails = "disk-fails", "A commit fails, and may be durable all the same.";
    SlowDisk = "slow-disk", "A store takes long for everything.";
    Restored = "restored", "A store is restored from an older backup.";
    Cloned = "cloned", "A copy of a store takes over, and the original is stopped.";
    Reinstalled = "reinstalled", "A device starts with a new, empty store.";
    OtherClient = "other-client", "Another client of an account says that it received messages.";
    MaliciousPeer = "malicious-peer", "A stranger forges receipts and errors, sends rubbish, and floods.";
    FederationCut = "federation-cut", "Two domains cannot reach each other; errors come back.";
    FederationSilent = "federation-silent", "Stanzas between two domains vanish.";
    NodeKilled = "node-killed", "A node of a cluster is killed.";
    ClearStream = "clear-stream", "Some streams have no TLS.";
    SmallBounds = "small-bounds", "Windows, queues and outboxes are small.";
    SlowApplication = "slow-application", "Applications take long for some messages.";
    Failover = "failover", "A device moves to its account on another domain.";
}

impl Switch {
    /// The switch of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.name() == name)
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Switches(u64);

impl Switches {
    /// Whether it is on.
    #[must_use]
    pub const fn has(self, switch: Switch) -> bool {
        self.0 & (1 << switch as u32) != 0
    }

    /// The same, with it on.
    #[must_use]
    pub const fn with(self, switch: Switch) -> Self {
        Self(self.0 | 1 << switch as u32)
    }

    /// The same, with those off.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Those that are on, in order.
    pub fn iter(self) -> impl Iterator<Item = Switch> {
        Switch::ALL.iter().copied().filter(move |s| self.has(*s))
    }

    /// Whether none is on.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Switch> for Switches {
    fn from_iter<T: IntoIterator<Item = Switch>>(switches: T) -> Self {
        switches.into_iter().fold(Self::default(), Self::with)
    }
}

/// Which switches the caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection {
    /// These are on for every seed, and no other is; none leaves it to the seed.
    pub only: Option<Switches>,
    /// These are off.
    pub without: Switches,
}

impl Selection {
    /// What is on, of what a seed drew.
    #[must_use]
    pub fn of(self, drawn: Switches) -> Switches {
        self.only.unwrap_or(drawn).without(self.without)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_is_found_by_its_name_and_has_a_place_in_a_set() {
        assert!(Switch::ALL.len() <= 64);
        for switch in Switch::ALL {
            assert_eq!(Switch::named(switch.name()), Some(*switch));
            let set = Switches::default().with(*switch);
            assert_eq!(set.iter().collect::<Vec<_>>(), [*switch]);
        }
    }

    #[test]
    fn what_is_named_is_on_and_what_is_excluded_is_off() {
        let drawn: Switches = [Switch::Cut, Switch::Crash].into_iter().collect();
        let cut = Switches::default().with(Switch::Cut);
        let without = Selection {
            only: None,
            without: cut,
        };
        assert_eq!(
            without.of(drawn).iter().collect::<Vec<_>>(),
            [Switch::Crash]
        );
        let only = Selection {
            only: Some(cut),
            ..Selection::default()
        };
        assert_eq!(only.of(Switches::default()), cut);
    }
}
