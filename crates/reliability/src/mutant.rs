//! Deliberate faults, for the test that tests find faults: each removes one rule of the
//! protocol. Compiled in only with `--cfg stanchion_mutants`; without it every question
//! is answered with a constant no.

/// Every mutant: its name, and the rule that it removes.
pub const ALL: &[(&str, &str)] = &[
    (
        "accept-below-low",
        "a seq below `low` is never first-delivered",
    ),
    (
        "forget-verdicts",
        "a duplicate is answered with its recorded verdict, not kept again",
    ),
    (
        "forget-older-epochs",
        "a message that moved has the verdict that an older epoch has on it",
    ),
    (
        "ignore-other-id",
        "a slot that holds another id answers `other`",
    ),
    (
        "ignore-prev",
        "a predecessor that is not the recorded one answers `rotate`",
    ),
    (
        "ignore-next-prev",
        "a message that its recorded successor contradicts answers `rotate`",
    ),
    ("hand-over-gaps", "a message waits for its predecessors"),
    ("void-handed", "what was handed over is never voided"),
    (
        "cancel-leaves-no-tombstone",
        "a cancel voids a message that has not arrived yet",
    ),
    (
        "cancel-without-effect",
        "a voided message is never handed over",
    ),
    (
        "accept-in-closed-epoch",
        "a closed epoch takes nothing that it has not committed",
    ),
    (
        "accept-old-epoch",
        "an unknown epoch at or below the highest is refused",
    ),
    (
        "higher-epoch-leaves-lower-open",
        "a higher epoch closes the lower ones",
    ),
    ("close-keeps-held", "closing drops what is held"),
    (
        "close-ignores-handed",
        "`closed` waits for what was handed over",
    ),
    (
        "close-forgets-verdicts",
        "`closed` lists what is delivered and void",
    ),
    (
        "close-forgets-by",
        "`closed` says who closed the epoch first",
    ),
    (
        "close-says-unknown",
        "`closed` says whether the boot was ever accepted",
    ),
    ("ignore-store", "a message for another store does nothing"),
    ("ignore-device", "a message for another device does nothing"),
    (
        "answer-any-id",
        "only a verdict with the id of the message counts",
    ),
    (
        "answer-any-boot",
        "`other`, `rotate` and `settled` count under the current boot only",
    ),
    (
        "answer-any-sender",
        "verdicts come from a registered JID only",
    ),
    ("settled-is-delivered", "`settled` proves nothing"),
    ("low-counts-open", "`low` counts only finals"),
    ("low-counts-undurable", "`low` counts only durable finals"),
    (
        "low-is-not-told",
        "a risen `low` is told when later messages wait",
    ),
    (
        "window-unbounded",
        "only a window of seqs from `low` on is transmitted",
    ),
    (
        "cancel-beyond-window",
        "a cancel keeps to the window as a message does",
    ),
    (
        "move-delivered",
        "what `closed` lists as delivered is not moved",
    ),
    (
        "move-inherited-by-others",
        "inherited messages move only if this boot closed the epoch",
    ),
    (
        "move-below-low",
        "a message below the peer's `low` moves only if its boot was never accepted",
    ),
    (
        "doubt-unsent",
        "what was never transmitted in an epoch that ends moves on, whatever `low` is told",
    ),
    (
        "send-while-closing",
        "nothing is sent in an epoch that is being closed",
    ),
    (
        "epoch-index-not-raised",
        "a new epoch is above both sides' highest",
    ),
    (
        "reset-moves-transmitted",
        "after `wrong-store` what was transmitted is in doubt",
    ),
    (
        "expire-transmitted",
        "what was transmitted needs the peer's void to be `NotDelivered`",
    ),
    (
        "expire-inherited",
        "what an earlier process accepted needs the peer's void",
    ),
    (
        "bounce-is-final",
        "a permanent bounce is in doubt until a void is heard",
    ),
    (
        "receipt-settles",
        "a plain receipt settles nothing once the device has spoken",
    ),
    (
        "transmit-before-durable",
        "nothing is transmitted before it is durable",
    ),
    (
        "bind-undurable",
        "a message names a store only once that is durable",
    ),
    (
        "receipt-before-commit",
        "no verdict leaves before the commit is durable",
    ),
    ("h-before-durable", "`h` covers nothing that is not durable"),
    (
        "full-inbox-refuses-awaited",
        "a full inbox takes the message that those in it wait for",
    ),
    (
        "full-inbox-drops-what-is-said-once",
        "a full inbox sends back what nobody repeats, however far the server is behind",
    ),
    (
        "late-fills-an-inbox-for-ever",
        "what is late leaves a full inbox for what can be given to the application",
    ),
    (
        "part-stands-for-all",
        "a bundle is acknowledged once every message in it is durable",
    ),
    (
        "copy-before-durable",
        "nor does it cover a copy of what came on an earlier stream and is not durable",
    ),
    ("hand-over-unmarked", "a hand-over is marked durably"),
    (
        "again-in-any-order",
        "what an earlier process was given comes again in order, before any later message",
    ),
    (
        "read-ahead-overtakes",
        "what was read ahead waits for an earlier message that turns out to be late",
    ),
    (
        "pass-what-waits",
        "a message that waits in the inbox is not passed for good by a later one",
    ),
    (
        "not-delivered-undurable",
        "`NotDelivered` is durable before it is told",
    ),
    (
        "no-cancel",
        "a message that is due is cancelled at its recipient",
    ),
    ("no-retransmission", "what has no verdict is sent again"),
    (
        "back-off-forgotten",
        "a recipient's back-off stays until a message that was sent once is answered",
    ),
    (
        "back-off-for-ever",
        "an answer to a message that was sent once ends the back-off, for what waits too",
    ),
    (
        "waits-are-round-trips",
        "how long a message waited for a copy of an earlier one is no round trip",
    ),
    (
        "unacked-forgotten",
        "what a failed resumption left is sent again",
    ),
    (
        "poison-for-ever",
        "a message that fails its consumer three times is handed over no more",
    ),
    (
        "begin-unmarked",
        "that the application begins again with a message is on record before it acts",
    ),
    (
        "queued-is-begun",
        "a message that waits in the application's queue is not blamed for the end of the \
         process",
    ),
];

#[cfg(stanchion_mutants)]
mod chosen {
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Switches one mutant on for this thread, or all off.
    pub fn choose(name: Option<&'static str>) {
        CHOSEN.set(name);
    }

    pub(crate) fn is(name: &'static str) -> bool {
        CHOSEN.get() == Some(name)
    }
}

#[cfg(stanchion_mutants)]
pub use chosen::choose;
#[cfg(stanchion_mutants)]
pub(crate) use chosen::is;

/// Whether the fault of that name is switched on.
#[cfg(not(stanchion_mutants))]
#[inline]
pub(crate) const fn is(_name: &'static str) -> bool {
    false
}
