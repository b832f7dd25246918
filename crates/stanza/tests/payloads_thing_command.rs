//! Commands to things that act once, and their outcomes: read, compared, written back,
//! and refused where broken.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod laws;
mod support;

use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::payload::thing_command::{Command, CommandOutcome, CommandResult};
use support::values::{self, travels};
use support::{invalid, lacks, means, same, text};

const NS: &str = "xmlns='urn:stanchion:command:0'";

#[test]
fn a_command_says_by_when() {
    same(&format!("<command {NS}/>"), Command { by: None });
    let by = Some(1_795_644_000_250);
    same(
        &format!("<command {NS} by='2026-11-25T22:00:00.250Z'/>"),
        Command { by },
    );
    means(
        &format!("<command {NS} by='2026-11-25T23:00:00.25+01:00'/>"),
        Command { by },
    );
}

#[test]
fn a_time_that_cannot_be_read_is_not_no_limit() {
    for by in ["", "soon", "2026-11-25", "2026-11-25T22:00:00"] {
        invalid::<Command>(&format!("<command {NS} by='{by}'/>"), "command", "by");
    }
}

#[test]
fn an_outcome_says_of_which_command_and_what_became_of_it() {
    for result in CommandResult::ALL {
        same(
            &format!("<outcome {NS} of='k7' result='{}'/>", result.as_str()),
            CommandOutcome {
                of: text("k7"),
                result,
                text: text(""),
            },
        );
    }
    same(
        &format!("<outcome {NS} of='k7' result='unavailable'>no power</outcome>"),
        CommandOutcome {
            of: text("k7"),
            result: CommandResult::Unavailable,
            text: text("no power"),
        },
    );
}

#[test]
fn an_outcome_that_says_nothing_is_refused() {
    lacks::<CommandOutcome>(&format!("<outcome {NS} result='done'/>"), "of");
    lacks::<CommandOutcome>(&format!("<outcome {NS} of='k7'/>"), "result");
    for result in ["", "Done", "perhaps"] {
        let xml = format!("<outcome {NS} of='k7' result='{result}'/>");
        invalid::<CommandOutcome>(&xml, "outcome", "result");
    }
}

#[test]
fn only_what_was_done_or_is_in_doubt_may_have_had_an_effect() {
    let may = CommandResult::ALL.into_iter();
    let may: Vec<_> = may.filter(|r| !r.had_no_effect()).collect();
    assert_eq!(may, [CommandResult::Done, CommandResult::InDoubt]);
}

proptest! {
    #[test]
    fn commands_come_back_as_they_went(
        by in option::of(-62_167_219_200_000_i64..=253_402_300_799_999)
    ) {
        travels(&Command { by });
    }

    #[test]
    fn outcomes_come_back_as_they_went(
        of in values::text(),
        result in prop::sample::select(CommandResult::ALL.to_vec()),
        text in values::text(),
    ) {
        travels(&CommandOutcome { of, result, text });
    }
}
