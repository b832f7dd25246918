//! Deliberate faults that only tests of the rule find: with each switched on, its test fails.

use std::panic::catch_unwind;

use stanchion_reliability::mutant::choose;

use crate::{bundles, delivery, inbox, pace, reading_ahead};

fn is_found(fault: &'static str, law: fn()) {
    choose(Some(fault));
    let broken = catch_unwind(law).is_err();
    choose(None);
    assert!(broken, "{fault} is not found");
    law();
}

#[test]
fn the_rules_of_the_back_off_are_needed() {
    is_found(
        "back-off-forgotten",
        pace::an_answer_to_a_copy_ends_no_back_off,
    );
    is_found(
        "back-off-for-ever",
        pace::an_answer_to_a_message_that_was_sent_once_ends_the_back_off,
    );
    is_found(
        "waits-are-round-trips",
        pace::how_long_a_message_waited_for_a_copy_of_an_earlier_one_is_no_round_trip,
    );
}

#[test]
fn the_rule_of_what_is_acknowledged_is_needed() {
    is_found(
        "copy-before-durable",
        inbox::a_copy_on_a_new_stream_is_not_acknowledged_before_the_first_is_durable,
    );
}

#[test]
fn the_rule_of_what_a_bundle_counts_for_is_needed() {
    is_found(
        "part-stands-for-all",
        bundles::the_server_hears_of_a_bundle_once_all_in_it_is_durable,
    );
}

#[test]
fn the_rules_of_a_full_inbox_are_needed() {
    is_found(
        "full-inbox-refuses-awaited",
        inbox::a_full_inbox_takes_the_message_that_those_in_it_wait_for,
    );
    is_found(
        "full-inbox-drops-what-is-said-once",
        inbox::what_nobody_repeats_is_answered_however_far_the_server_is_behind,
    );
    is_found(
        "late-fills-an-inbox-for-ever",
        inbox::what_is_late_and_waits_for_its_sender_leaves_a_full_inbox_for_what_can_be_given,
    );
}

#[test]
fn the_rule_of_what_is_read_ahead_is_needed() {
    is_found(
        "read-ahead-overtakes",
        reading_ahead::what_was_read_ahead_waits_for_one_that_is_late,
    );
}

#[test]
fn the_rules_of_what_is_begun_again_are_needed() {
    is_found(
        "begin-unmarked",
        delivery::an_application_begins_again_once_that_is_durable,
    );
    is_found(
        "queued-is-begun",
        delivery::what_waits_in_a_queue_is_not_blamed_for_the_end_of_its_process,
    );
}
