//! Where what stands on the screen, and the drawing of it all. A function of the screen and
//! the model.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line as Row, Span};
use ratatui::widgets::Clear;

use super::screen::{Focus, Over, Screen, Subject};
use super::text::{cut, glance, width};
use super::{aside, delivery, dialog, help, list, search, strip, talk, things};
use crate::app::{LinkState, Model, Notice, Severity};

/// From that width on the list stands beside the conversation.
const BESIDE: u16 = 60;
/// From that width on there is a right pane.
const WIDE: u16 = 104;
/// Rows that the line of a person may grow to.
const TALLEST: u16 = 6;
/// For how long something that was told stands above the line, in milliseconds.
const TOLD: i64 = 15_000;

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

/// Puts everything in its place.
pub(super) fn areas(screen: &Screen, all: Rect) -> Areas {
    let mut areas = Areas::default();
    let (main, strip) = split_bottom(all, 1);
    areas.strip = strip;
    let narrow = all.width < BESIDE;
    if narrow {
        if screen.focus == Focus::List {
            areas.list = main;
            return areas;
        }
        if screen.open.is_none() {
            let (rest, input) = split_bottom(main, 1);
            let (list, note) = split_bottom(rest, 1);
            (areas.list, areas.note, areas.input) = (list, note, input);
            return areas;
        }
        talk_areas(screen, main, &mut areas);
        return areas;
    }
    let wide = if all.width >= WIDE { 30 } else { 24 };
    let (left, rest) = split_left(main, wide);
    areas.list = left;
    let (between, mut middle) = split_left(rest, 1);
    areas.between = between;
    if all.width >= WIDE && screen.aside && screen.open.is_some() {
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
    talk_areas(screen, middle, &mut areas);
    areas
}

fn talk_areas(screen: &Screen, area: Rect, areas: &mut Areas) {
    let (rest, input) = match screen.open {
        Some(Subject::Talk(_)) | None => {
            let columns = usize::from(area.width.saturating_sub(2));
            let (lines, _) = screen.line.shown(columns);
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

/// One line at a row of an area; nothing if that is outside.
pub(super) fn put(frame: &mut Frame<'_>, area: Rect, row: u16, line: Row<'static>) {
    if row >= area.height {
        return;
    }
    let place = Rect {
        y: area.y.saturating_add(row),
        height: 1,
        ..area
    };
    frame.render_widget(line, place.intersection(frame.area()));
}

/// Draws everything.
pub(crate) fn view(screen: &Screen, model: &Model, frame: &mut Frame<'_>) {
    let all = frame.area();
    if all.width == 0 || all.height == 0 {
        return;
    }
    let theme = screen.theme;
    let areas = areas(screen, all);
    if areas.list.height > 0 {
        list::view(screen, model, frame, areas.list);
    }
    for (area, focused) in [
        (areas.between, screen.focus == Focus::List),
        (areas.beside, false),
    ] {
        for row in 0..area.height {
            put(frame, area, row, Row::styled("│", theme.line(focused)));
        }
    }
    middle(screen, model, frame, &areas);
    if areas.aside.height > 0 {
        aside::view(screen, model, frame, areas.aside);
    }
    let columns = usize::from(areas.strip.width);
    put(frame, areas.strip, 0, strip::line(screen, model, columns));
    let above = Rect {
        height: all.height.saturating_sub(1).max(1),
        ..all
    };
    match &screen.over {
        None => {}
        Some(Over::Help(top)) => help::view(screen, *top, frame),
        Some(Over::Delivery(top)) => delivery::view(screen, model, *top, frame, above),
        Some(Over::Search(search)) => search::view(screen, model, search, frame),
        Some(Over::Question(question)) => dialog::question(screen, question, frame),
        Some(Over::Setting(setting)) => dialog::setting(screen, model, setting, frame),
    }
}

fn middle(screen: &Screen, model: &Model, frame: &mut Frame<'_>, areas: &Areas) {
    let theme = screen.theme;
    let columns = usize::from(areas.head.width);
    if areas.input.height == 0 {
        return;
    }
    let rule = "─".repeat(usize::from(areas.rule.width));
    let focused = screen.focus == Focus::Body;
    match &screen.open {
        None => welcome(screen, model, frame, areas.body),
        Some(Subject::Talk(with)) => {
            put(frame, areas.rule, 0, Row::styled(rule, theme.line(focused)));
            if let Some(talk) = model.talks.get(with) {
                put(
                    frame,
                    areas.head,
                    0,
                    talk::head(screen, model, talk, columns),
                );
                talk::view(screen, model, talk, frame, areas.body);
            } else {
                let name = cut(&glance(&model.name_of(with), 200), columns);
                put(frame, areas.head, 0, Row::styled(name, theme.bold()));
            }
        }
        Some(Subject::Thing(key)) => {
            put(frame, areas.rule, 0, Row::styled(rule, theme.line(focused)));
            put(
                frame,
                areas.head,
                0,
                things::head(screen, model, key, columns),
            );
            things::view(screen, model, key, frame, areas.body);
        }
    }
    put(
        frame,
        areas.note,
        0,
        note(screen, model, usize::from(areas.note.width)),
    );
    input(screen, frame, areas.input);
}

fn welcome(screen: &Screen, model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let theme = screen.theme;
    let lines = [
        format!("This is {}.", model.account),
        String::new(),
        "Ctrl-G or Tab   choose somebody on the left".to_owned(),
        "/open name@domain   talk to somebody".to_owned(),
        "/join room@service   enter a room".to_owned(),
        "F1   all keys and commands".to_owned(),
    ];
    let first = area.height.saturating_sub(6) / 3;
    for (row, line) in lines.into_iter().enumerate() {
        let row = first.saturating_add(u16::try_from(row).unwrap_or(u16::MAX));
        let text = cut(&format!("   {line}"), area.width.into());
        put(frame, area, row, Row::styled(text, theme.faint()));
    }
}

/// The line above the input: what matters most at the moment.
fn note(screen: &Screen, model: &Model, columns: usize) -> Row<'static> {
    let theme = screen.theme;
    let talk = screen.talk(model);
    if let Some(chosen) = screen.chosen_entry(model)
        && let Some(talk) = talk
    {
        return Row::styled(cut(&talk::offers(talk, chosen), columns), theme.own());
    }
    if let Some((at, severity, text)) = &screen.told
        && screen.now - at < TOLD
    {
        let (sign, look) = theme.severity(*severity);
        let text = glance(text, 500);
        return Row::styled(cut(&format!("{sign} {text}"), columns), look);
    }
    if screen.correcting.is_some() {
        let text = "correcting what was said last · Enter replaces it · Esc leaves it";
        return Row::styled(cut(text, columns), theme.own());
    }
    let mut notices = model.notices.iter().rev();
    let recent = |notice: &&Notice| screen.now - notice.at < TOLD;
    let urgent = notices
        .clone()
        .find(|n| recent(n) && n.severity != Severity::Info);
    let question = screen.question_line(model);
    let info = notices.next().filter(|_| question.is_none());
    if let Some(notice) = urgent.or(info.filter(recent)) {
        let (sign, look) = theme.severity(notice.severity);
        let text = glance(&notice.text, 500);
        return Row::styled(cut(&format!("{sign} {text}"), columns), look);
    }
    if let Some(question) = question {
        let text = cut(&format!("? {question} · F4 answers"), columns);
        return Row::styled(text, theme.news());
    }
    if let Some(talk) = talk.filter(|talk| talk.writes) {
        let text = format!("{} is writing …", glance(&model.name_of(&talk.with), 80));
        return Row::styled(cut(&text, columns), theme.faint());
    }
    if !screen.completing.is_empty() {
        let words = screen.completing.words().join(" ");
        return Row::styled(cut(&glance(&words, 500), columns), theme.faint());
    }
    let waits = matches!(
        model.link.state,
        LinkState::Waiting { .. } | LinkState::Refused { .. } | LinkState::Closed
    );
    if waits && talk.is_some() {
        let text = cut("what is said now is kept here, and goes later", columns);
        return Row::styled(text, theme.faint());
    }
    Row::default()
}

fn input(screen: &Screen, frame: &mut Frame<'_>, area: Rect) {
    let theme = screen.theme;
    if area.height == 0 {
        return;
    }
    let focused = screen.focus == Focus::Input;
    let look = if focused { theme.own() } else { theme.faint() };
    let (lines, (row, column)) = screen.line.shown(usize::from(area.width.saturating_sub(2)));
    let rows = usize::from(area.height);
    let top = (row + 1).saturating_sub(rows);
    frame.render_widget(Clear, area);
    for (at, text) in lines.iter().skip(top).take(rows).enumerate() {
        let mark = if at + top == 0 { "> " } else { "  " };
        let line = Row::from(vec![Span::styled(mark, look), Span::raw(text.clone())]);
        put(frame, area, u16::try_from(at).unwrap_or(u16::MAX), line);
    }
    if screen.line.is_empty() {
        let hint = match (&screen.open, focused) {
            (Some(Subject::Talk(_)), true) => "Enter sends, ? helps",
            (Some(Subject::Thing(_)), true) => "/set PARAMETER VALUE",
            (Some(Subject::Thing(_)), false) => "Enter sets, r asks again, Tab: this line",
            (None, true) => "/open name@domain, ? helps",
            _ => "",
        };
        let hint = cut(hint, usize::from(area.width.saturating_sub(3)));
        let x = area
            .right()
            .saturating_sub(u16::try_from(width(&hint) + 1).unwrap_or(0));
        let place = Rect {
            x: x.max(area.x),
            width: area.right().saturating_sub(x.max(area.x)),
            ..area
        };
        put(frame, place, 0, Row::styled(hint, theme.faint()));
    }
    if focused && screen.over.is_none() {
        let x = area
            .x
            .saturating_add(u16::try_from(2 + column).unwrap_or(u16::MAX));
        let y = area.y.saturating_add(u16::try_from(row - top).unwrap_or(0));
        let x = x.min(area.right().saturating_sub(1));
        frame.set_cursor_position((x, y.min(area.bottom().saturating_sub(1))));
    }
}
