//! How the demo ends: the figures, for people or for scripts, and the exit.

use std::time::Duration;

use serde_json::{Value, json};

use super::tally::Tally;
use crate::exit::{Exit, Failure, Outcome};
use crate::terminal::print;

/// Prints the figures.
///
/// # Errors
/// The promise was not kept, or the run is not what was asked for.
pub(super) fn conclude(json: bool, took: Duration, kills: u64, tally: &Tally) -> Outcome {
    let seconds = (took.as_secs_f64() * 1000.0).round() / 1000.0;
    // The exit code tells the result to those who do not read.
    let _ = print(&if json {
        figures(tally, kills, seconds).join("\n")
    } else {
        format!(
            "{} kills, {} sent again, {} copies stopped, {} out of order, {seconds:.1} s\n{}",
            tally.kills,
            tally.retransmitted,
            tally.duplicates_stopped,
            tally.out_of_order,
            tally.verdict()
        )
    })?;
    if tally.passed() && tally.kills == kills {
        return Ok(Exit::Done);
    }
    Err(Failure::failed(format!(
        "the demo failed: {} of {} acknowledged, {} with another outcome, {} of {kills} kills; \
         sensor {}, phone {}",
        tally.acknowledged,
        tally.goal,
        tally.failed,
        tally.kills,
        tally.sensor.text,
        tally.phone.text
    )))
}

/// The figures, in the form that all measuring commands share.
fn figures(tally: &Tally, kills: u64, seconds: f64) -> Vec<String> {
    let messages = |what, value: u64, goal| figure(what, json!(value), "messages", goal);
    vec![
        messages("sent", tally.sent, Some(tally.goal)),
        messages("delivered", tally.delivered(), Some(tally.goal)),
        messages("acknowledged", tally.acknowledged, Some(tally.goal)),
        messages("lost", tally.lost(), Some(0)),
        messages("duplicated", tally.duplicated(), Some(0)),
        messages("retransmitted", tally.retransmitted, None),
        messages("copies stopped", tally.duplicates_stopped, None),
        messages("out of order", tally.out_of_order, None),
        figure("kills", json!(tally.kills), "kills", Some(kills)),
        figure("time", json!(seconds), "s", None),
    ]
}

fn figure(what: &str, value: Value, unit: &str, goal: Option<u64>) -> String {
    let pass = goal.is_none_or(|goal| value == json!(goal));
    json!({
        "what": what, "value": value, "unit": unit, "against": null, "ratio": null,
        "goal": goal, "pass": pass,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_missed_is_said_in_the_figures_and_by_the_exit() {
        let tally = Tally::new(3, 0);
        let figures = figures(&tally, 0, 1.5);
        let pass = |what: &str| {
            let wanted = format!("\"what\":\"{what}\"");
            let line = figures.iter().find(|line| line.contains(&wanted)).unwrap();
            serde_json::from_str::<Value>(line).unwrap()["pass"].as_bool()
        };
        assert_eq!(pass("delivered"), Some(false));
        assert_eq!(pass("lost"), Some(true));
        assert_eq!(pass("time"), Some(true));
        assert_eq!(
            conclude(true, Duration::ZERO, 0, &tally).unwrap_err().exit,
            Exit::Failed
        );
    }
}
