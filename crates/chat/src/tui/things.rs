//! The middle pane of a thing: its values with what they were a while ago, and what can be
//! set, a line each.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line as Row, Span};
use stanchion::device::model::Value;
use stanchion::stanza::Text;

use super::pen::{Pen, put};
use super::text::{clean, cut, fit, glance, width, wrap};
use super::theme::Theme;
use super::when;
use crate::app::{Control, ControlKind, Field, Model, Thing, ThingKey};

/// How a thing is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    /// Which control is chosen.
    pub(super) chosen: usize,
    /// Fields above the window.
    pub(super) top: usize,
}

/// What is shown, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    /// Which thing.
    pub(super) key: &'a ThingKey,
    /// How it is looked at.
    pub(super) look: Look,
    /// Whether the pane has the keys.
    pub(super) focused: bool,
}

/// What people call it.
pub(super) fn name(model: &Model, key: &ThingKey) -> String {
    match key.thing.is_empty() {
        true => glance(&model.name_of(&key.account), 80),
        false => glance(&key.thing, 80),
    }
}

/// A value in few words, with its unit.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::Boolean(true) => "on".to_owned(),
        Value::Boolean(false) => "off".to_owned(),
        Value::Date(text)
        | Value::DateTime(text)
        | Value::Duration(text)
        | Value::Enum { value: text, .. }
        | Value::String(text)
        | Value::Time(text) => glance(text, 200),
        Value::Int(number) => number.to_string(),
        Value::Long(number) => number.to_string(),
        Value::Numeric { value, unit } => {
            let unit = match &**unit {
                "Cel" => "°C",
                "1" | "" => return clean(value.as_str()),
                unit => unit,
            };
            clean(&format!("{} {unit}", value.as_str()))
        }
    }
}

/// The value that stands for the thing in a list: the first measure, else the first that is
/// on or off, else the first.
pub(super) fn main_value(thing: &Thing) -> String {
    let is_measure =
        |field: &&Field| matches!(&field.value, Value::Numeric { unit, .. } if !unit.is_empty());
    let is_switch = |field: &&Field| matches!(field.value, Value::Boolean(_));
    let fields = || thing.fields.values();
    let field = fields().find(is_measure);
    let field = field.or_else(|| fields().find(is_switch));
    let field = field.or_else(|| fields().next());
    field.map(|field| written(&field.value)).unwrap_or_default()
}

/// What a series looks like in that many columns: the newest at the right, from the least to
/// the most that is shown.
fn sparkline(field: &Field, columns: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let skip = field.series.len().saturating_sub(columns);
    let shown = field.series.iter().skip(skip).map(|(_, number)| *number);
    let least = shown.clone().fold(f64::INFINITY, f64::min);
    let most = shown.clone().fold(f64::NEG_INFINITY, f64::max);
    let span = most - least;
    let bar = |number: f64| {
        let part = match span > 0.0 && span.is_finite() {
            true => (number - least) / span,
            // It does not change.
            false => 0.4,
        };
        // Between 0 and 7, as `part` is between 0 and 1.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let at = (part * 7.0).round().clamp(0.0, 7.0) as usize;
        BARS.get(at).copied().unwrap_or(' ')
    };
    shown.map(bar).collect()
}

/// What a control takes, in few words.
pub(super) fn takes(kind: &ControlKind) -> String {
    match kind {
        ControlKind::Switch => "on or off".to_owned(),
        ControlKind::Number { min, max, whole } => {
            let what = if *whole { "whole number" } else { "number" };
            match (min, max) {
                (Some(min), Some(max)) => format!("{what}, {min} to {max}"),
                (Some(min), None) => format!("{what}, {min} or more"),
                (None, Some(max)) => format!("{what}, {max} or less"),
                (None, None) => what.to_owned(),
            }
        }
        ControlKind::Choice(options) => format!("one of {}", options.len()),
        ControlKind::Text => "text".to_owned(),
    }
}

/// What a control is at the moment: what the thing told last under the same name, else what
/// it said when it was asked.
pub(super) fn current(thing: &Thing, control: &Control) -> Option<String> {
    let told = thing.fields.get(&control.name);
    let told = told.map(|field| match &field.value {
        Value::Boolean(on) => on.to_string(),
        Value::Numeric { value, .. } => value.as_str().to_owned(),
        value => written(value),
    });
    told.or_else(|| control.now.clone())
}

fn shown(control: &Control, value: &str) -> String {
    match (&control.kind, value) {
        (ControlKind::Switch, "true" | "1") => "on".to_owned(),
        (ControlKind::Switch, "false" | "0") => "off".to_owned(),
        (ControlKind::Choice(options), value) => {
            let named = options.iter().find(|(one, _)| one == value);
            glance(named.map_or(value, |(_, label)| label), 80)
        }
        _ => glance(value, 80),
    }
}

/// The line above.
pub(super) fn head(pen: Pen<'_>, model: &Model, key: &ThingKey, columns: usize) -> Row<'static> {
    let theme = pen.theme;
    let name = name(model, key);
    let thing = model.things.get(key);
    let ago = thing.filter(|thing| thing.at > 0);
    let ago = ago.map(|thing| format!("told {} ago · ", when::ago(pen.now, thing.at)));
    let rest = format!(
        "  {}{}",
        ago.unwrap_or_default(),
        clean(key.account.as_str())
    );
    let left = columns.saturating_sub(2 + width(&name));
    Row::from(vec![
        Span::styled("◆ ", theme.own()),
        Span::styled(cut(&name, columns.saturating_sub(2)), theme.bold()),
        Span::styled(cut(&rest, left), theme.faint()),
    ])
}

/// Draws the thing.
pub(super) fn view(
    pen: Pen<'_>,
    model: &Model,
    shown: Shown<'_>,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let theme = pen.theme;
    let columns = usize::from(area.width);
    let rows = usize::from(area.height);
    let Some(thing) = model.things.get(shown.key) else {
        let row = Row::styled(cut(" the thing is gone", columns), theme.faint());
        return put(frame, area, 0, row);
    };
    let mut lines = Vec::new();
    let person = model.persons.get(&shown.key.account);
    if let Some(why) = person.and_then(|person| person.silent.as_ref()) {
        let text = format!(" nothing comes at the moment: {}", glance(why, 300));
        lines.push(Row::styled(cut(&text, columns), theme.doubtful()));
    }
    let bottom = controls(pen.theme, thing, shown, columns, rows);
    let room = rows.saturating_sub(lines.len() + bottom.len());
    let top = shown.look.top.min(thing.fields.len().saturating_sub(room));
    let fields = thing.fields.iter().skip(top).take(room);
    lines.extend(fields.map(|(name, field)| row(pen, name, field, columns)));
    let missing = thing.fields.len().saturating_sub(top + room);
    if missing > 0
        && let Some(last) = lines.last_mut()
    {
        let text = format!(" … {} more: PageDown", missing + 1);
        *last = Row::styled(cut(&text, columns), theme.faint());
    }
    if thing.fields.is_empty() {
        let text = cut(" it has told nothing yet", columns);
        lines.push(Row::styled(text, theme.faint()));
    }
    lines.extend(bottom);
    for (at, line) in lines.into_iter().take(rows).enumerate() {
        put(frame, area, u16::try_from(at).unwrap_or(u16::MAX), line);
    }
}

fn row(pen: Pen<'_>, name: &Text, field: &Field, columns: usize) -> Row<'static> {
    let theme = pen.theme;
    // Name, value, series, age: a third each, and six for the age.
    let age = 7.min(columns / 5);
    let third = columns.saturating_sub(age + 1) / 3;
    let series = columns.saturating_sub(age + 3 + 2 * third);
    Row::from(vec![
        Span::raw(" "),
        Span::raw(format!(
            "{} ",
            fit(&glance(name, 80), third.saturating_sub(1))
        )),
        Span::styled(
            format!("{} ", fit(&written(&field.value), third)),
            theme.bold(),
        ),
        Span::styled(fit(&sparkline(field, series), series), theme.own()),
        Span::styled(
            format!(" {}", cut(&when::ago(pen.now, field.at), age)),
            theme.faint(),
        ),
    ])
}

/// What can be set, and what became of the last command.
fn controls(
    theme: Theme,
    thing: &Thing,
    pane: Shown<'_>,
    columns: usize,
    rows: usize,
) -> Vec<Row<'static>> {
    // Half of the pane, and less where there is more to see.
    let most = (rows / 2).saturating_sub(2).clamp(1, 8);
    let mut lines = Vec::new();
    if rows >= 14 {
        lines.push(Row::default());
    }
    match &thing.controls {
        None => lines.push(Row::styled(
            cut(" r: ask what can be set", columns),
            theme.faint(),
        )),
        Some(controls) if controls.is_empty() => lines.push(Row::styled(
            cut(" nothing can be set here", columns),
            theme.faint(),
        )),
        Some(controls) => {
            let look = pane.look;
            let text = cut(" To set: Up, Down, Enter", columns);
            lines.push(Row::styled(text, theme.faint()));
            let first = look.chosen.saturating_sub(most - 1);
            for (at, control) in controls.iter().enumerate().skip(first).take(most) {
                let now = current(thing, control);
                let now = now.map(|now| shown(control, &now)).unwrap_or_default();
                let third = columns.saturating_sub(4) / 3;
                let quarter = columns.saturating_sub(4) / 4;
                let rest = columns.saturating_sub(4 + third + quarter);
                let chosen = at == look.chosen && pane.focused;
                let mark = if chosen { "▸" } else { " " };
                let line = Row::from(vec![
                    Span::raw(format!(
                        "{mark} {}",
                        fit(&glance(&control.label, 80), third)
                    )),
                    Span::styled(format!(" {}", fit(&now, quarter)), theme.bold()),
                    Span::styled(
                        format!(" {}", fit(&takes(&control.kind), rest)),
                        theme.faint(),
                    ),
                ]);
                lines.push(match chosen {
                    true => line.patch_style(theme.chosen()),
                    false => line,
                });
            }
        }
    }
    if let Some((what, outcome)) = &thing.command {
        let what = glance(what, 200);
        let (text, look) = match outcome {
            None => (format!(" … {what}: on its way"), theme.faint()),
            Some(Ok(said)) if said.is_empty() => (format!(" ✓ {what}: done"), theme.good()),
            Some(Ok(said)) => (format!(" ✓ {what}: {}", glance(said, 200)), theme.good()),
            Some(Err(why)) => (format!(" ✗ {what}: {}", glance(why, 300)), theme.bad()),
        };
        let parts = match rows >= 14 {
            true => wrap(&text, columns, 3),
            false => vec![cut(&text, columns)],
        };
        lines.extend(parts.into_iter().map(|part| Row::styled(part, look)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(numbers: &[f64]) -> Field {
        Field {
            value: Value::Int(1),
            at: 1,
            series: numbers.iter().map(|number| (1, *number)).collect(),
        }
    }

    #[test]
    fn a_series_goes_from_its_least_to_its_most() {
        assert_eq!(sparkline(&field(&[0.0, 7.0, 3.5]), 10), "▁█▅");
        assert_eq!(sparkline(&field(&[5.0, 1.0, 2.0]), 2), "▁█");
        assert_eq!(sparkline(&field(&[3.0, 3.0]), 5), "▄▄");
        assert_eq!(
            sparkline(&field(&[f64::MIN, f64::MAX]), 5).chars().count(),
            2
        );
        assert_eq!(sparkline(&field(&[]), 5), "");
    }
}
