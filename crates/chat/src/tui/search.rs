//! Looking for messages: the words, and what was found, each leading there.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::text::{Line as Row, Span};
use stanchion::BareJid;
use stanchion::services::history::{Found, Place};

use super::input::Line;
use super::pen::{Pen, put};
use super::text::{clean, cut, fit, glance, width};
use super::theme::Theme;
use super::{keys, when, window};
use crate::app::{Model, Order};

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Search {
    /// The words.
    pub(super) line: Line,
    /// Only in that conversation.
    pub(super) with: Option<BareJid>,
    /// The conversation that is open: Tab goes between it and all.
    pub(super) open: Option<BareJid>,
    /// What was asked for.
    pub(super) asked: Option<String>,
    /// Which of what was found.
    pub(super) at: usize,
}

/// What comes of a key.
#[derive(Debug)]
pub(super) enum Came {
    Nothing,
    /// It goes.
    Over,
    /// That is asked.
    Ask(Order),
    /// That message is shown.
    Jump(BareJid, Place),
}

impl Search {
    /// What was found, if it is what was asked for.
    fn found<'a>(&self, model: &'a Model) -> Option<&'a [Found]> {
        let (words, found) = model.found.as_ref()?;
        (self.asked.as_ref() == Some(words)).then_some(found.as_slice())
    }

    pub(super) fn ask(&mut self) -> Came {
        let words = self.line.text().trim().to_owned();
        if words.is_empty() {
            return Came::Nothing;
        }
        self.asked = Some(words.clone());
        self.at = 0;
        Came::Ask(Order::Search {
            words,
            with: self.with.clone(),
        })
    }

    pub(super) fn key(&mut self, model: &Model, key: KeyEvent) -> Came {
        let found = self.found(model).unwrap_or_default();
        let last = found.len().saturating_sub(1);
        match key.code {
            KeyCode::Esc => return Came::Over,
            KeyCode::Up => self.at = self.at.saturating_sub(1),
            KeyCode::Down => self.at = (self.at + 1).min(last),
            KeyCode::PageUp => self.at = self.at.saturating_sub(5),
            KeyCode::PageDown => self.at = (self.at + 5).min(last),
            KeyCode::Tab => {
                self.with = match self.with {
                    Some(_) => None,
                    None => self.open.clone(),
                };
                return self.ask();
            }
            KeyCode::Enter => {
                let asked = self.asked.as_deref() == Some(self.line.text().trim());
                return match found.get(self.at).filter(|_| asked) {
                    Some(Found { entry, .. }) => {
                        Came::Jump(entry.conversation.clone(), entry.place)
                    }
                    None => self.ask(),
                };
            }
            _ => {
                if let Some(letter) = keys::letter(key) {
                    self.line.insert(letter.encode_utf8(&mut [0; 4]));
                } else if let Some(edit) = keys::edit(key) {
                    self.line.edit(edit);
                }
            }
        }
        Came::Nothing
    }
}

/// Draws it over all but the strip.
pub(super) fn view(pen: Pen<'_>, model: &Model, search: &Search, frame: &mut Frame<'_>) {
    let theme = pen.theme;
    let place = match &search.with {
        Some(with) => format!(
            "Look for messages with {}",
            glance(&model.name_of(with), 40)
        ),
        None => "Look for messages everywhere".to_owned(),
    };
    let area = window::page(frame, theme, &place);
    let columns = usize::from(area.width);
    let (lines, (_, column)) = search.line.shown(columns.max(2));
    let line = lines.last().cloned().unwrap_or_default();
    put(frame, area, 0, Row::styled(line, theme.bold()));
    let x = area.x
        + u16::try_from(column)
            .unwrap_or(0)
            .min(area.width.saturating_sub(1));
    frame.set_cursor_position((x, area.y));
    let found = search.found(model);
    let told = match (found, &search.asked) {
        (Some([]), _) => "nothing was found".to_owned(),
        (Some(found), _) => format!("{} found · Enter goes there", found.len()),
        (None, Some(_)) => "looking …".to_owned(),
        (None, None) => "Enter looks".to_owned(),
    };
    let tab = match (&search.open, &search.with) {
        (None, _) => "",
        (_, Some(_)) => " · Tab: everywhere",
        (_, None) => " · Tab: only here",
    };
    let told = cut(&format!("{told}{tab} · Esc"), columns);
    put(frame, area, 1, Row::styled(told, theme.faint()));
    // Two lines each.
    let each = usize::from(area.height.saturating_sub(2)) / 2;
    let found = found.unwrap_or_default();
    let top = search.at.saturating_sub(each.saturating_sub(1));
    for (row, (at, hit)) in found.iter().enumerate().skip(top).take(each).enumerate() {
        let row = u16::try_from(2 + 2 * row).unwrap_or(u16::MAX);
        let chosen = at == search.at;
        let [head, body] = lines_of(pen, model, hit, columns);
        let (head, body) = match chosen {
            true => (head.patch_style(theme.chosen()), body),
            false => (head, body),
        };
        put(frame, area, row, head);
        put(frame, area, row.saturating_add(1), body);
    }
}

fn lines_of(pen: Pen<'_>, model: &Model, hit: &Found, columns: usize) -> [Row<'static>; 2] {
    let theme = pen.theme;
    let at = hit.entry.place.at.as_unix_ms();
    let when = format!(
        "{} {}",
        when::short(pen.zone, pen.now, at),
        when::hour(pen.zone, at)
    );
    let room = columns.saturating_sub(width(&when) + 1);
    let name = fit(&glance(&model.name_of(&hit.entry.conversation), 80), room);
    let head = Row::from(vec![
        Span::raw(name),
        Span::raw(" "),
        Span::styled(when, theme.faint()),
    ]);
    [head, snippet(&hit.snippet, columns, theme)]
}

/// The part that was found, the words in it marked.
fn snippet(text: &str, columns: usize, theme: Theme) -> Row<'static> {
    let mut spans = vec![Span::raw("  ")];
    let mut left = columns.saturating_sub(2);
    let line: String = text
        .chars()
        .map(|c| if c == '\n' { ' ' } else { c })
        .take(500)
        .collect();
    for (number, part) in line.split(Found::OPEN).enumerate() {
        let (word, rest) = match number {
            0 => ("", part),
            _ => part.split_once(Found::CLOSE).unwrap_or((part, "")),
        };
        for (text, look) in [(word, theme.news()), (rest, ratatui::style::Style::new())] {
            let text = cut(&clean(text), left);
            left = left.saturating_sub(width(&text));
            spans.push(Span::styled(text, look));
        }
    }
    Row::from(spans)
}
