//! A table for people, as wide as the terminal and no wider.

/// No column is made narrower than this, if there is another one to take from.
const NARROWEST: usize = 8;
/// Blanks between two columns.
const GAP: usize = 2;

/// Rows of cells under a heading. A cell has lines, and each line is wrapped to its
/// column.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<Vec<String>>>,
}

impl Table {
    pub(crate) fn new(heading: &[&str]) -> Self {
        let cell = |text: &&str| vec![(*text).to_owned()];
        Self {
            rows: vec![heading.iter().map(cell).collect()],
        }
    }

    /// Adds a row of as many cells as the heading has.
    pub(crate) fn row(&mut self, cells: Vec<Vec<String>>) {
        self.rows.push(cells);
    }

    /// The table's text, without a line end at the end.
    pub(crate) fn render(&self, columns: usize) -> String {
        let widths = self.widths(columns);
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<Vec<String>> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| cell.iter().flat_map(|line| wrap(line, *width)).collect())
                .collect();
            let lines = cells.iter().map(Vec::len).max().unwrap_or_default();
            for number in 0..lines {
                let mut line = String::new();
                for (cell, width) in cells.iter().zip(&widths) {
                    let part = cell.get(number).map_or("", String::as_str);
                    line.push_str(part);
                    let blanks = width + GAP - part.chars().count().min(width + GAP);
                    line.extend(std::iter::repeat_n(' ', blanks));
                }
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
        text.truncate(text.trim_end_matches('\n').len());
        text
    }

    /// As wide as the longest line of each, then the widest made narrower until all fit.
    fn widths(&self, columns: usize) -> Vec<usize> {
        let count = self.rows.first().map_or(0, Vec::len);
        let mut widths: Vec<usize> = (0..count)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let lines = cells.flatten().map(|line| line.chars().count());
                lines.max().unwrap_or_default()
            })
            .collect();
        let gaps = GAP * count.saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > columns {
            match widths.iter_mut().max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

/// Cuts a line into parts of at most `width` characters, behind a blank or a mark where
/// there is one.
pub(crate) fn wrap(line: &str, width: usize) -> Vec<String> {
    let mut rest: Vec<char> = line.chars().collect();
    let mut parts = Vec::new();
    while rest.len() > width.max(1) {
        let most = width.max(1);
        let blank = rest[..=most].iter().rposition(|c| *c == ' ');
        let mark = rest[..most].iter().rposition(|c| "@:./,-".contains(*c));
        let cut = match (blank, mark) {
            (Some(blank), _) if blank > 0 => blank,
            (_, Some(mark)) if mark > 0 => mark + 1,
            _ => most,
        };
        let tail = rest.split_off(cut);
        parts.push(rest.iter().collect::<String>().trim_end().to_owned());
        rest = tail.into_iter().skip_while(|c| *c == ' ').collect();
    }
    parts.push(rest.into_iter().collect());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_and_loses_nothing() {
        let mut table = Table::new(&["ACCOUNT", "WHERE"]);
        let cell = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect();
        let long = "a-rather-long-name-of-a-thing@in-a-domain-with-a-long-name.example";
        table.row(vec![cell(&[long]), cell(&["one:1", "two:2"])]);
        for columns in [30, 40, 200] {
            let text = table.render(columns);
            assert!(text.lines().all(|l| l.chars().count() <= columns), "{text}");
            let all: String = text.split_whitespace().collect();
            for part in ["one:1", "two:2", "ACCOUNT"] {
                assert!(all.contains(part), "{text}");
            }
        }
        assert!(table.render(200).contains(long));
        assert_eq!(table.render(200).lines().count(), 3);
    }

    #[test]
    fn a_line_is_cut_at_blanks_then_at_marks_then_anywhere() {
        assert_eq!(wrap("ok 3 min ago", 8), ["ok 3 min", "ago"]);
        assert_eq!(wrap("lamp@home.example", 10), ["lamp@home.", "example"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 3), [""]);
        assert_eq!(wrap("äöü", 0), ["ä", "ö", "ü"]);
    }
}
