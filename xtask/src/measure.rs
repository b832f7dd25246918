//! The record of one measurement, shared by every command that measures.
//!
//! With `--json` each record is one line with all seven keys, so that two
//! runs can be compared by a program.

use serde::Serialize;

/// One measured value, perhaps set against another and judged by a goal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Measure {
    /// What was measured, such as `codec/decode/message`.
    pub(crate) what: String,
    pub(crate) value: f64,
    /// Of `value`: `ns`, `MB/s`, `1/s`, `edges`, `inputs`, `bytes`, `count`.
    pub(crate) unit: &'static str,
    /// What it is compared with; none when it stands alone.
    pub(crate) against: Option<String>,
    /// Value divided by the other's value.
    pub(crate) ratio: Option<f64>,
    /// What must hold, such as `ratio >= 1.5`; none when it is only reported.
    pub(crate) goal: Option<String>,
    /// Whether the goal is met; true without one.
    pub(crate) pass: bool,
}

impl Measure {
    /// A value that is only reported.
    pub(crate) fn alone(what: String, value: f64, unit: &'static str) -> Self {
        Self {
            what,
            value,
            unit,
            against: None,
            ratio: None,
            goal: None,
            pass: true,
        }
    }

    /// Prints the record: a JSON line, or a line of a table.
    pub(crate) fn print(&self, json: bool) {
        if json {
            // Strings, numbers and booleans always make a JSON document.
            println!("{}", serde_json::json!(self));
            return;
        }
        let mut line = format!("{:<48} {:>12.1} {}", self.what, self.value, self.unit);
        if let (Some(against), Some(ratio)) = (&self.against, self.ratio) {
            line += &format!("  {ratio:.2} x {against}");
        }
        if let Some(goal) = &self.goal {
            let verdict = if self.pass { "met" } else { "MISSED" };
            line += &format!("  goal {goal}: {verdict}");
        }
        println!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_has_all_seven_keys() {
        let value = serde_json::json!(Measure::alone("a".to_owned(), 1.5, "ns"));
        let keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            keys,
            ["against", "goal", "pass", "ratio", "unit", "value", "what"]
        );
        assert_eq!(value["goal"], serde_json::Value::Null);
        assert_eq!(value["pass"], true);
    }
}
