//! Where what stands on a screen of some size. Pure functions.

use ratatui::layout::Rect;

use super::input::Line;
use super::subject::Subject;

/// From that width on the list stands beside the conversation.
const BESIDE: u16 = 60;
/// From that width on there is a right pane.
const WIDE: u16 = 104;
/// Rows that the line of a person may grow to.
const TALLEST: u16 = 6;
/// Where what stands. What is not there has no height.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) list: Rect,
    pub(super) between: Rect,
    pub(super) head: Rect,
    pub(super) rule: Rect,
    pub(super) body: Rect,
    pub(super) note: Rect,
    pub(super) input: Rect,
    pub(super) beside: Rect,
    pub(super) aside: Rect,
    pub(super) strip: Rect,
}

/// What decides where everything stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    /// What is open.
    pub(super) open: Option<&'a Subject>,
    /// Whether the list has the keys.
    pub(super) list: bool,
    /// Whether the right pane is wanted.
    pub(super) aside: bool,
    /// What is being written: it grows with its lines.
    pub(super) line: &'a Line,
}

/// Puts everything in its place.
pub(super) fn areas(shown: Shown<'_>, all: Rect) -> Areas {
    let mut areas = Areas::default();
    let (main, strip) = split_bottom(all, 1);
    areas.strip = strip;
    let narrow = all.width < BESIDE;
    if narrow {
        if shown.list {
            areas.list = main;
            return areas;
        }
        if shown.open.is_none() {
            let (rest, input) = split_bottom(main, 1);
            let (list, note) = split_bottom(rest, 1);
            (areas.list, areas.note, areas.input) = (list, note, input);
            return areas;
        }
        talk_areas(shown, main, &mut areas);
        return areas;
    }
    let wide = if all.width >= WIDE { 30 } else { 24 };
    let (left, rest) = split_left(main, wide);
    areas.list = left;
    let (between, mut middle) = split_left(rest, 1);
    areas.between = between;
    if all.width >= WIDE && shown.aside && shown.open.is_some() {
        let right = (all.width / 4).clamp(26, 40);
        let (rest, aside) = split_left(middle, middle.width.saturating_sub(right));
        let (beside, aside) = split_left(aside, 1);
        middle = rest;
        areas.beside = beside;
        areas.aside = Rect {
            x: aside.x.saturating_add(1),
            width: aside.width.saturating_sub(1),
            ..aside
        };
    }
    talk_areas(shown, middle, &mut areas);
    areas
}

fn talk_areas(shown: Shown<'_>, area: Rect, areas: &mut Areas) {
    let (rest, input) = match shown.open {
        Some(Subject::Talk(_)) | None => {
            let columns = usize::from(area.width.saturating_sub(2));
            let (lines, _) = shown.line.shown(columns);
            let lines = u16::try_from(lines.len()).unwrap_or(TALLEST);
            split_bottom(area, lines.min(TALLEST).min(area.height / 3).max(1))
        }
        Some(Subject::Thing(_)) => split_bottom(area, 1),
    };
    areas.input = input;
    let (rest, note) = split_bottom(rest, 1);
    areas.note = note;
    let (head, rest) = split_top(rest, 1);
    areas.head = head;
    // A rule only where there is room for such.
    let (rule, body) = split_top(rest, u16::from(area.height >= 16));
    areas.rule = rule;
    areas.body = body;
}

fn split_bottom(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    let rest = Rect {
        height: area.height - rows,
        ..area
    };
    let bottom = Rect {
        y: area.y + rest.height,
        height: rows,
        ..area
    };
    (rest, bottom)
}

fn split_top(area: Rect, rows: u16) -> (Rect, Rect) {
    let (top, rest) = split_bottom(area, area.height - rows.min(area.height));
    (top, rest)
}

fn split_left(area: Rect, columns: u16) -> (Rect, Rect) {
    let columns = columns.min(area.width);
    let left = Rect {
        width: columns,
        ..area
    };
    let rest = Rect {
        x: area.x + columns,
        width: area.width - columns,
        ..area
    };
    (left, rest)
}
