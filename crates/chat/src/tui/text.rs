//! Text of strangers as it may stand on a screen: without control, cut, measured in columns
//! as the terminal counts them, and wrapped. Pure functions.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use crate::terminal::harmless;

/// Characters that one cell may hold: a letter with its marks, a family of emoji. More marks
/// are a way to draw over the lines above.
const MARKS: usize = 12;
/// Columns of a tab.
const TAB: &str = "    ";

/// How wide a text is, in columns.
pub(super) fn width(text: &str) -> usize {
    text.graphemes(true).map(|g| g.width()).sum()
}

/// A text as one line that does nothing but stand there.
pub(super) fn clean(text: &str) -> String {
    let harmless = harmless(text).replace('\t', TAB);
    if harmless.is_ascii() {
        return harmless;
    }
    let mut line = String::with_capacity(harmless.len());
    for grapheme in harmless.graphemes(true) {
        line.extend(grapheme.chars().take(MARKS));
    }
    line
}

/// The first line of a text, clean and no longer than `most` characters before that.
pub(super) fn glance(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    clean(&line.chars().take(most).collect::<String>())
}

/// A clean text cut to that many columns, with an ellipsis if something is missing.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut line = String::new();
    let mut left = columns.saturating_sub(1);
    for grapheme in text.graphemes(true) {
        match left.checked_sub(grapheme.width()) {
            Some(rest) => left = rest,
            None => break,
        }
        line.push_str(grapheme);
    }
    if columns > 0 {
        line.push('…');
    }
    line
}

/// A clean text cut in its middle, where it is its end that tells things apart.
pub(super) fn cut_middle(text: &str, columns: usize) -> String {
    let end = columns / 3;
    if width(text) <= columns || end == 0 {
        return cut(text, columns);
    }
    let mut tail = Vec::new();
    let mut left = end;
    for grapheme in text.graphemes(true).rev() {
        match left.checked_sub(grapheme.width()) {
            Some(rest) => left = rest,
            None => break,
        }
        tail.push(grapheme);
    }
    tail.reverse();
    let head = cut(text, columns - end);
    format!("{head}{}", tail.concat())
}

/// A clean text cut to that many columns, and blanks behind it up to that many columns.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let mut line = cut(text, columns);
    let missing = columns.saturating_sub(width(&line));
    line.extend(std::iter::repeat_n(' ', missing));
    line
}

/// A text of several lines, wrapped to that many columns; at most `most` lines, of which the
/// last says that there is more. Words that are longer than a line are broken.
pub(super) fn wrap(text: &str, columns: usize, most: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    for part in text.lines() {
        // What cannot be shown anyway is not measured.
        let room = columns.saturating_mul(most + 1);
        let part: String = part.chars().take(room).collect();
        wrap_line(&clean(&part), columns, &mut lines);
        if lines.len() > most {
            break;
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = cut("… there is more", columns);
        }
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

/// One clean line. Blanks between words stay, but for those at which it is broken.
fn wrap_line(text: &str, columns: usize, lines: &mut Vec<String>) {
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_word_bounds() {
        let wide = width(word);
        if used + wide <= columns {
            line.push_str(word);
            used += wide;
            continue;
        }
        let blank = word.chars().all(char::is_whitespace);
        if used > 0 {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
        }
        if blank {
            continue;
        }
        for grapheme in word.graphemes(true) {
            // What is wider than all there is has no place.
            let wide = grapheme.width();
            let (grapheme, wide) = match wide > columns {
                true => ("?", 1),
                false => (grapheme, wide),
            };
            if used + wide > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push_str(grapheme);
            used += wide;
        }
    }
    lines.push(line.trim_end().to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_there_is_room() {
        let hostile = format!(
            "日本語テキスト 👨‍👩‍👧‍👦👍🏽 {} e{} \u{202e}abc\u{1b}[2J\ttab",
            "x".repeat(500),
            "\u{301}".repeat(300)
        );
        for columns in 1..60 {
            for line in wrap(&hostile, columns, 1000) {
                assert!(width(&line) <= columns, "{columns}: {line:?}");
                assert!(!line.chars().any(char::is_control));
            }
            assert!(width(&cut(&hostile, columns)) <= columns);
            assert_eq!(width(&fit("ab日本", columns)), columns);
            assert!(width(&cut_middle(&hostile, columns)) <= columns);
        }
    }

    #[test]
    fn words_stay_whole_where_they_can_and_blank_lines_stay() {
        assert_eq!(
            wrap("one two  three\n\nfour", 8, 10),
            ["one two", "three", "", "four"]
        );
        assert_eq!(wrap("abcdefgh", 3, 10), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 3, 10), [""]);
    }

    #[test]
    fn what_is_cut_in_its_middle_keeps_its_end() {
        assert_eq!(cut_middle("thermometer-12", 10), "thermo…-12");
        assert_eq!(cut_middle("hall-1", 10), "hall-1");
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let lines = wrap(&"word ".repeat(100_000), 20, 5);
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[4], "… there is more");
    }

    #[test]
    fn marks_without_end_do_not_draw_over_other_lines() {
        let clean = clean(&format!("e{}", "\u{301}".repeat(1000)));
        assert!(clean.chars().count() <= MARKS);
    }
}
