//! A line, or a few, in which a person writes: by graphemes, with what was sent before at
//! hand, and nothing lost that was begun.

use std::collections::VecDeque;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::text::clean;

/// Bytes that one text may have; what is pasted beyond that is left out.
const LONGEST: usize = 60_000;
/// Texts that are remembered.
const REMEMBERED: usize = 100;

/// A text with a cursor in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    text: String,
    /// A byte, always between two graphemes.
    cursor: usize,
    /// What was cut last.
    cut: String,
}

impl Line {
    /// With that text, and the cursor at its end.
    pub(super) fn of(text: &str) -> Self {
        let mut line = Self::default();
        line.insert(text);
        line
    }

    /// What stands there.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What stands before the cursor.
    pub(super) fn before(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    fn after(&self) -> &str {
        self.text.get(self.cursor..).unwrap_or_default()
    }

    /// Whether nothing stands there.
    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes all away.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Writes at the cursor. Control characters but for line ends are left out, as is what is
    /// too long.
    pub(super) fn insert(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut room = LONGEST.saturating_sub(self.text.len());
        let fits = |c: &char| {
            let rest = room.checked_sub(c.len_utf8());
            room = rest.unwrap_or(room);
            rest.is_some()
        };
        let text: String = text
            .chars()
            .filter(|c| matches!(c, '\n' | '\t') || !c.is_control())
            .take_while(fits)
            .collect();
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        self.settle();
    }

    /// A mark that joins what was before it moves the border: the cursor goes behind it.
    fn settle(&mut self) {
        let mut at = 0;
        for grapheme in self.text.graphemes(true) {
            if at >= self.cursor {
                break;
            }
            at += grapheme.len();
        }
        self.cursor = at;
    }

    /// Replaces the `bytes` before the cursor.
    pub(super) fn replace_before(&mut self, bytes: usize, text: &str) {
        let from = self.cursor.saturating_sub(bytes);
        if self.text.is_char_boundary(from) {
            self.text.replace_range(from..self.cursor, "");
            self.cursor = from;
            self.insert(text);
        }
    }

    fn remove(&mut self, from: usize, to: usize) -> String {
        let cut: String = self.text.drain(from..to).collect();
        self.cursor = from;
        self.settle();
        cut
    }

    fn left_of(&self) -> usize {
        let last = self.before().graphemes(true).next_back();
        self.cursor - last.map_or(0, str::len)
    }

    fn right_of(&self) -> usize {
        let next = self.after().graphemes(true).next();
        self.cursor + next.map_or(0, str::len)
    }

    fn word_left(&self) -> usize {
        let mut at = self.cursor;
        for word in self.before().split_word_bounds().rev() {
            at -= word.len();
            if word.chars().any(char::is_alphanumeric) {
                break;
            }
        }
        at
    }

    fn word_right(&self) -> usize {
        let mut at = self.cursor;
        for word in self.after().split_word_bounds() {
            at += word.len();
            if word.chars().any(char::is_alphanumeric) {
                break;
            }
        }
        at
    }

    fn start_of_line(&self) -> usize {
        self.before().rfind('\n').map_or(0, |at| at + 1)
    }

    fn end_of_line(&self) -> usize {
        let end = self.after().find('\n');
        end.map_or(self.text.len(), |at| self.cursor + at)
    }

    /// Changes it; whether there was something to do.
    pub(super) fn edit(&mut self, edit: Edit) -> bool {
        let before = (self.cursor, self.text.len());
        match edit {
            Edit::Left => self.cursor = self.left_of(),
            Edit::Right => self.cursor = self.right_of(),
            Edit::WordLeft => self.cursor = self.word_left(),
            Edit::WordRight => self.cursor = self.word_right(),
            Edit::Home => self.cursor = self.start_of_line(),
            Edit::End => self.cursor = self.end_of_line(),
            Edit::Up => self.vertical(true),
            Edit::Down => self.vertical(false),
            Edit::Backspace => drop(self.remove(self.left_of(), self.cursor)),
            Edit::Delete => drop(self.remove(self.cursor, self.right_of())),
            Edit::CutWord => self.cut = self.remove(self.word_left(), self.cursor),
            Edit::CutWordRight => self.cut = self.remove(self.cursor, self.word_right()),
            Edit::CutToStart => self.cut = self.remove(self.start_of_line(), self.cursor),
            Edit::CutToEnd => self.cut = self.remove(self.cursor, self.end_of_line()),
            Edit::Paste => {
                let cut = self.cut.clone();
                self.insert(&cut);
            }
        }
        before != (self.cursor, self.text.len())
    }

    /// To the same place, in graphemes, of the line above or below.
    fn vertical(&mut self, up: bool) {
        let start = self.start_of_line();
        let column = self.text.get(start..self.cursor).unwrap_or_default();
        let column = column.graphemes(true).count();
        let end = self.end_of_line();
        let (from, to) = if up {
            let Some(to) = start.checked_sub(1) else {
                return;
            };
            let above = self.text.get(..to).unwrap_or_default();
            (above.rfind('\n').map_or(0, |at| at + 1), to)
        } else {
            if end == self.text.len() {
                return;
            }
            let below = self.text.get(end + 1..).unwrap_or_default();
            let to = below.find('\n').map_or(self.text.len(), |at| end + 1 + at);
            (end + 1, to)
        };
        let line = self.text.get(from..to).unwrap_or_default();
        let moved: usize = line.graphemes(true).take(column).map(str::len).sum();
        self.cursor = from + moved;
    }

    /// As it is shown: lines of at most that many columns, and where the cursor is in them.
    pub(super) fn shown(&self, columns: usize) -> (Vec<String>, (usize, usize)) {
        let columns = columns.max(2);
        let mut lines = vec![String::new()];
        let (mut used, mut at, mut cursor) = (0, 0, None);
        for grapheme in self.text.graphemes(true) {
            if at == self.cursor {
                cursor = Some((lines.len() - 1, used));
            }
            at += grapheme.len();
            if grapheme == "\n" {
                lines.push(String::new());
                used = 0;
                continue;
            }
            let shown = clean(grapheme);
            let wide = shown.width();
            if used + wide >= columns {
                if cursor == Some((lines.len() - 1, used)) {
                    cursor = Some((lines.len(), 0));
                }
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                // One that alone is wider than all there is has no place.
                line.push_str(if wide >= columns { "?" } else { &shown });
            }
            used += if wide >= columns { 1 } else { wide };
        }
        let cursor = cursor.unwrap_or((lines.len() - 1, used));
        (lines, cursor)
    }
}

/// What can be done to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    Backspace,
    Delete,
    CutWord,
    CutWordRight,
    CutToStart,
    CutToEnd,
    Paste,
}

/// What was sent, and what was begun when one looked there.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    past: VecDeque<String>,
    /// How far back we look, and what was begun before that.
    looked: Option<(usize, Line)>,
}

impl Sent {
    /// Remembers what was sent. What was begun before, if one looked back meanwhile, is what
    /// is written next.
    pub(super) fn remember(&mut self, text: &str) -> Line {
        let begun = self.looked.take().map(|(_, begun)| begun);
        if self.past.front().is_none_or(|last| last != text) {
            if self.past.len() == REMEMBERED {
                self.past.pop_back();
            }
            self.past.push_front(text.to_owned());
        }
        begun.unwrap_or_default()
    }

    /// One further back. What was begun is kept.
    pub(super) fn back(&mut self, line: &mut Line) {
        let next = self.looked.as_ref().map_or(0, |(at, _)| at + 1);
        let Some(text) = self.past.get(next) else {
            return;
        };
        let begun = match self.looked.take() {
            Some((_, begun)) => begun,
            None => line.clone(),
        };
        self.looked = Some((next, begun));
        *line = Line::of(text);
    }

    /// One nearer, and at last what was begun.
    pub(super) fn forth(&mut self, line: &mut Line) {
        let Some((at, begun)) = self.looked.take() else {
            return;
        };
        match at.checked_sub(1).and_then(|at| self.past.get(at)) {
            Some(text) => {
                *line = Line::of(text);
                self.looked = Some((at - 1, begun));
            }
            None => *line = begun,
        }
    }

    /// Nothing is looked at any more.
    pub(super) fn over(&mut self) {
        self.looked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_with_its_marks_is_one_step() {
        let mut line = Line::of("a👨‍👩‍👧e\u{301}");
        line.edit(Edit::Backspace);
        assert_eq!(line.text(), "a👨‍👩‍👧");
        line.edit(Edit::Left);
        line.insert("b");
        assert_eq!(line.text(), "ab👨‍👩‍👧");
        line.edit(Edit::Delete);
        assert_eq!(line.text(), "ab");
    }

    #[test]
    fn words_lines_and_what_was_cut() {
        let mut line = Line::of("one two\nthree four");
        line.edit(Edit::WordLeft);
        assert_eq!(line.before(), "one two\nthree ");
        line.edit(Edit::CutToStart);
        assert_eq!(line.text(), "one two\nfour");
        line.edit(Edit::Up);
        line.edit(Edit::Paste);
        assert_eq!(line.text(), "three one two\nfour");
        line.edit(Edit::Down);
        line.edit(Edit::End);
        line.edit(Edit::CutWord);
        assert_eq!(line.text(), "three one two\n");
    }

    #[test]
    fn control_characters_do_not_get_in_and_lines_do() {
        let line = Line::of("a\x1b[31mb\r\nc\u{9b}\x07");
        assert_eq!(line.text(), "a[31mb\nc");
        let long = Line::of(&"日".repeat(100_000));
        assert!(long.text().len() <= LONGEST);
    }

    #[test]
    fn what_was_begun_is_there_again_after_a_look_back() {
        let mut sent = Sent::default();
        sent.remember("first");
        sent.remember("second");
        let mut line = Line::of("begun");
        sent.back(&mut line);
        sent.back(&mut line);
        sent.back(&mut line);
        assert_eq!(line.text(), "first");
        sent.forth(&mut line);
        assert_eq!(line.text(), "second");
        sent.forth(&mut line);
        sent.forth(&mut line);
        assert_eq!(line.text(), "begun");
        sent.back(&mut line);
        line.insert("!");
        assert_eq!(sent.remember(line.text()).text(), "begun");
    }

    #[test]
    fn the_cursor_is_where_the_next_letter_stands() {
        let line = Line::of("日本語");
        assert_eq!(line.shown(5), (vec!["日本".into(), "語".into()], (1, 2)));
        assert_eq!(Line::of("ab\n").shown(5).1, (1, 0));
    }
}
