//! Deliberate faults of the product, compiled in under `--cfg stanchion_mutants` only.
//! What they are, and where, is the reliability crate's; here one is chosen for a thread.

#[cfg(stanchion_mutants)]
pub use stanchion_reliability::mutant::ALL;

/// Name and rule of each; none in a build without them.
#[cfg(not(stanchion_mutants))]
pub const ALL: &[(&str, &str)] = &[];

/// Whether this build has them.
pub const BUILT_IN: bool = cfg!(stanchion_mutants);

/// Faults that no world here is small or odd enough for, and the test of `reliability` that
/// finds each: walks through the protocol alone (`--test delivery`), or a test of the rule.
pub const ELSEWHERE: &[(&str, &str)] = &[
    (
        "forget-older-epochs",
        "a_message_that_moved_keeps_the_verdict_of_the_older_epoch",
    ),
    ("ignore-next-prev", "the walks of tests/delivery"),
    ("accept-in-closed-epoch", "the walks of tests/delivery"),
    ("accept-old-epoch", "the walks of tests/delivery"),
    (
        "close-says-unknown",
        "closed_names_who_closed_first_and_whether_the_asking_boot_is_known",
    ),
    ("ignore-device", "a_message_for_another_device_does_nothing"),
    (
        "answer-any-boot",
        "settled_and_other_are_no_outcome_and_count_under_the_present_boot_only",
    ),
    ("low-is-not-told", "the walks of tests/delivery"),
    (
        "doubt-unsent",
        "what_was_never_transmitted_moves_whatever_low_the_peer_knows",
    ),
    (
        "send-while-closing",
        "nothing_is_sent_while_an_epoch_is_closed_and_until_the_next_is_durable",
    ),
    ("epoch-index-not-raised", "the walks of tests/delivery"),
    (
        "bind-undurable",
        "a_message_names_a_store_only_once_that_is_durable",
    ),
    (
        "copy-before-durable",
        "a_copy_on_a_new_stream_is_not_acknowledged_before_the_first_is_durable",
    ),
    (
        "part-stands-for-all",
        "a_bundle_is_acknowledged_once_all_in_it_is_durable",
    ),
    ("back-off-forgotten", "an_answer_to_a_copy_ends_no_back_off"),
    (
        "back-off-for-ever",
        "an_answer_to_a_message_that_was_sent_once_ends_the_back_off",
    ),
    (
        "waits-are-round-trips",
        "how_long_a_message_waited_for_a_copy_of_an_earlier_one_is_no_round_trip",
    ),
    (
        "full-inbox-drops-what-is-said-once",
        "what_nobody_repeats_is_answered_however_far_the_server_is_behind",
    ),
    (
        "late-fills-an-inbox-for-ever",
        "what_is_late_and_waits_for_its_sender_leaves_a_full_inbox_for_what_can_be_given",
    ),
    (
        "read-ahead-overtakes",
        "what_was_read_ahead_waits_for_one_that_is_late",
    ),
];

/// The test that finds that fault, if no run here is meant to.
#[must_use]
pub fn elsewhere(name: &str) -> Option<&'static str> {
    let mut all = ELSEWHERE.iter();
    all.find(|(known, _)| *known == name).map(|(_, test)| *test)
}

/// The name as it is known, if it is.
#[must_use]
pub fn known(name: &str) -> Option<&'static str> {
    ALL.iter()
        .map(|(known, _)| *known)
        .find(|known| *known == name)
}

/// A choice for this thread, until it is dropped.
pub(crate) struct Chosen(());

impl Chosen {
    pub(crate) fn new(name: Option<&'static str>) -> Self {
        choose(name);
        Self(())
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        choose(None);
    }
}

#[cfg(stanchion_mutants)]
fn choose(name: Option<&'static str>) {
    stanchion_reliability::mutant::choose(name);
}

#[cfg(not(stanchion_mutants))]
const fn choose(_: Option<&'static str>) {}
