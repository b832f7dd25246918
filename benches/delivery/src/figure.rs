//! What is printed of a measurement, and the few statistics that are needed for it.

use std::error::Error;
use std::time::Duration;

/// Prints one value.
pub fn print(what: &str, value: f64, unit: &str) {
    let line = serde_json::json!({ "what": what, "value": value, "unit": unit });
    println!("{line}");
}

/// The middle one; 0 of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Below which this share of them lies, in microseconds; 0 of none.
pub fn quantile(times: &[Duration], share: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    times.get(at).map_or(0.0, |t| t.as_secs_f64() * 1e6)
}

/// An error with its causes.
pub fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// A text of 100 bytes that begins with a number.
pub fn body(n: usize) -> String {
    format!("{n:<100}")
}

/// The number of a text.
pub fn number(body: &str) -> Option<usize> {
    body.trim_end().parse().ok()
}
