//! Windows over the screen that want an answer: a question with its replies, and the value
//! that something is to be set to.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line as Row, Span};

use super::input::Line;
use super::text::{cut, fit, glance, wrap};
use super::theme::Theme;
use super::{keys, things, window};
use crate::app::{Control, ControlKind, Model, Order, ThingKey};

/// What comes of a key in a window.
#[derive(Debug)]
pub(super) enum Came {
    /// It stays.
    Nothing,
    /// It goes, and that is ordered.
    Over(Vec<Order>),
}

/// One reply to a question.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    /// The key that gives it.
    pub(super) key: char,
    /// What it says.
    pub(super) word: &'static str,
    /// What is ordered then.
    pub(super) orders: Vec<Order>,
}

/// A question.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// What is asked.
    pub(super) text: String,
    /// The replies, the careful one first.
    pub(super) replies: Vec<Reply>,
    /// Which one Enter gives.
    pub(super) at: usize,
}

impl Question {
    /// Whether to do something that cannot be undone.
    pub(super) fn sure(text: String, word: &'static str, order: Order) -> Self {
        let no = Reply {
            key: 'n',
            word: "No",
            orders: Vec::new(),
        };
        let yes = Reply {
            key: 'y',
            word,
            orders: vec![order],
        };
        Self {
            text,
            replies: vec![no, yes],
            at: 0,
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Came {
        let last = self.replies.len().saturating_sub(1);
        match key.code {
            KeyCode::Esc => return Came::Over(Vec::new()),
            KeyCode::Left | KeyCode::Up | KeyCode::BackTab => {
                self.at = self.at.saturating_sub(1);
            }
            KeyCode::Right | KeyCode::Down | KeyCode::Tab => self.at = (self.at + 1).min(last),
            KeyCode::Enter => {
                let reply = self.replies.get(self.at);
                return Came::Over(reply.map(|r| r.orders.clone()).unwrap_or_default());
            }
            _ => {
                let letter = keys::letter(key);
                let mut replies = self.replies.iter();
                if let Some(reply) = replies.find(|reply| Some(reply.key) == letter) {
                    return Came::Over(reply.orders.clone());
                }
            }
        }
        Came::Nothing
    }

    fn lines(&self, theme: Theme, columns: usize) -> Vec<Row<'static>> {
        let mut lines: Vec<_> = wrap(&self.text, columns, 12)
            .into_iter()
            .map(Row::from)
            .collect();
        lines.push(Row::default());
        for (at, reply) in self.replies.iter().enumerate() {
            let chosen = at == self.at;
            let mark = if chosen { "▸" } else { " " };
            let text = fit(&format!("{mark} {}  {}", reply.key, reply.word), columns);
            let look = match chosen {
                true => theme.chosen(),
                false => theme.own(),
            };
            lines.push(Row::styled(text, look));
        }
        lines
    }

    /// The reply at that row of the window.
    fn row(&mut self, row: usize, lines: usize) -> Came {
        let first = lines.saturating_sub(self.replies.len());
        let reply = row.checked_sub(first).and_then(|at| self.replies.get(at));
        match reply {
            Some(reply) => Came::Over(reply.orders.clone()),
            None => Came::Nothing,
        }
    }
}

/// Something that is to be set.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    of: ThingKey,
    control: Control,
    /// Where there are values to choose from: they, and which.
    values: Vec<(String, String)>,
    at: usize,
    /// Where there are none: what is written.
    line: Line,
    wrong: Option<String>,
}

impl Setting {
    /// Begins with the value that it has.
    pub(super) fn new(of: ThingKey, control: Control, now: Option<String>) -> Self {
        let values = match &control.kind {
            ControlKind::Switch => [("true", "on"), ("false", "off")]
                .map(|(value, label)| (value.to_owned(), label.to_owned()))
                .to_vec(),
            ControlKind::Choice(options) => options.clone(),
            ControlKind::Number { .. } | ControlKind::Text => Vec::new(),
        };
        let now = now.unwrap_or_default();
        // A switch is offered the other way.
        let at = match control.kind {
            ControlKind::Switch => usize::from(matches!(now.as_str(), "true" | "1")),
            _ => {
                let at = values.iter().position(|(value, _)| *value == now);
                at.unwrap_or(0)
            }
        };
        let line = match values.is_empty() {
            true => Line::of(&now),
            false => Line::default(),
        };
        Self {
            of,
            control,
            values,
            at,
            line,
            wrong: None,
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Came {
        let last = self.values.len().saturating_sub(1);
        match key.code {
            KeyCode::Esc => return Came::Over(Vec::new()),
            KeyCode::Enter => return self.done(),
            KeyCode::Up | KeyCode::BackTab => self.at = self.at.saturating_sub(1),
            KeyCode::Down | KeyCode::Tab => self.at = (self.at + 1).min(last),
            _ if self.values.is_empty() => {
                self.wrong = None;
                if let Some(letter) = keys::letter(key) {
                    self.line.insert(letter.encode_utf8(&mut [0; 4]));
                } else if let Some(edit) = keys::edit(key) {
                    self.line.edit(edit);
                }
            }
            _ => {}
        }
        Came::Nothing
    }

    pub(super) fn paste(&mut self, text: &str) {
        if self.values.is_empty() {
            self.line.insert(text.lines().next().unwrap_or_default());
        }
    }

    fn done(&mut self) -> Came {
        let value = match self.values.get(self.at) {
            Some((value, _)) => value.clone(),
            None => self.line.text().to_owned(),
        };
        if let Err(wrong) = check(&self.control.kind, &value) {
            self.wrong = Some(wrong);
            return Came::Nothing;
        }
        Came::Over(vec![Order::Set {
            of: self.of.clone(),
            parameter: self.control.name.clone(),
            value,
        }])
    }

    fn lines(&self, model: &Model, theme: Theme, columns: usize) -> Vec<Row<'static>> {
        let title = format!(
            "{}: {}",
            things::name(model, &self.of),
            glance(&self.control.label, 80)
        );
        let mut lines = vec![
            Row::styled(cut(&title, columns), theme.bold()),
            Row::styled(
                cut(&things::takes(&self.control.kind), columns),
                theme.faint(),
            ),
            Row::default(),
        ];
        let first = self.at.saturating_sub(7);
        for (at, (_, label)) in self.values.iter().enumerate().skip(first).take(8) {
            let chosen = at == self.at;
            let mark = if chosen { "▸" } else { " " };
            let text = fit(&format!("{mark} {}", glance(label, 80)), columns);
            let look = match chosen {
                true => theme.chosen(),
                false => theme.own(),
            };
            lines.push(Row::styled(text, look));
        }
        if self.values.is_empty() {
            let (shown, _) = self.line.shown(columns.max(2));
            let last = shown.into_iter().next_back().unwrap_or_default();
            lines.push(Row::from(vec![
                Span::raw(last),
                Span::styled(" ", theme.chosen()),
            ]));
        }
        let last = match &self.wrong {
            Some(wrong) => Row::styled(cut(wrong, columns), theme.bad()),
            None => Row::styled(cut("Enter sets it, Esc leaves it", columns), theme.faint()),
        };
        lines.extend([Row::default(), last]);
        lines
    }
}

/// Whether a value can be meant.
///
/// # Errors
/// What is wrong with it.
fn check(kind: &ControlKind, value: &str) -> Result<(), String> {
    let ControlKind::Number { min, max, whole } = kind else {
        return Ok(());
    };
    let number: Result<f64, _> = value.trim().parse();
    let Some(number) = number.ok().filter(|number| number.is_finite()) else {
        return Err("that is no number".to_owned());
    };
    if *whole && number.fract() != 0.0 {
        return Err("only whole numbers".to_owned());
    }
    if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
        return Err(format!("only a {}", things::takes(kind)));
    }
    Ok(())
}

/// Draws a question.
pub(super) fn question(theme: Theme, question: &Question, frame: &mut Frame<'_>) {
    let lines = question.lines(theme, window::columns(frame.area()));
    window::draw(frame, theme, "A question", lines);
}

/// Draws what is to be set.
pub(super) fn setting(theme: Theme, model: &Model, setting: &Setting, frame: &mut Frame<'_>) {
    let lines = setting.lines(model, theme, window::columns(frame.area()));
    window::draw(frame, theme, "Set", lines);
}

/// A click on a question.
pub(super) fn click(question: &mut Question, screen: Rect, theme: Theme, x: u16, y: u16) -> Came {
    let lines = question.lines(theme, window::columns(screen)).len();
    let area = window::outside(screen, lines);
    if !area.contains((x, y).into()) {
        return Came::Nothing;
    }
    let inside = usize::from(area.height.saturating_sub(2));
    let row = usize::from(y.saturating_sub(area.y + 1));
    question.row(row + lines.saturating_sub(inside), lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_its_bounds_is_not_sent() {
        let kind = ControlKind::Number {
            min: Some(0.0),
            max: Some(100.0),
            whole: true,
        };
        assert!(check(&kind, "40").is_ok());
        for wrong in ["", "x", "1.5", "-1", "101", "NaN", "inf"] {
            assert!(check(&kind, wrong).is_err(), "{wrong}");
        }
    }
}
