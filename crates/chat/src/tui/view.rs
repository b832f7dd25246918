//! The drawing of it all: each pane in its place, and the lines between them. A function of
//! the screen and the model.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line as Row, Span};
use ratatui::widgets::Clear;

use super::areas::Areas;
use super::pen::put;
use super::screen::{Focus, Over, Screen};
use super::subject::Subject;
use super::text::{cut, glance, width};
use super::{aside, delivery, dialog, help, list, search, strip, talk, things};
use crate::app::{LinkState, Model, Notice, Severity};

/// For how long something that was told stands above the line, in milliseconds.
const TOLD: i64 = 15_000;

/// Draws everything.
pub(crate) fn view(screen: &Screen, model: &Model, frame: &mut Frame<'_>) {
    let all = frame.area();
    if all.width == 0 || all.height == 0 {
        return;
    }
    let theme = screen.theme;
    let areas = screen.areas_in(all);
    let pen = screen.pen();
    if areas.list.height > 0 {
        list::view(pen, model, &screen.listed(), frame, areas.list);
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
        aside::view(pen, model, screen.open.as_ref(), frame, areas.aside);
    }
    let columns = usize::from(areas.strip.width);
    let strip = strip::line(pen, model, screen.waiting_since, columns);
    put(frame, areas.strip, 0, strip);
    let above = Rect {
        height: all.height.saturating_sub(1).max(1),
        ..all
    };
    match &screen.over {
        None => {}
        Some(Over::Help(top)) => help::view(theme, *top, frame),
        Some(Over::Delivery(top)) => delivery::view(pen, model, *top, frame, above),
        Some(Over::Search(search)) => search::view(pen, model, search, frame),
        Some(Over::Question(question)) => dialog::question(theme, question, frame),
        Some(Over::Setting(setting)) => dialog::setting(theme, model, setting, frame),
    }
}

fn middle(screen: &Screen, model: &Model, frame: &mut Frame<'_>, areas: &Areas) {
    let (pen, theme) = (screen.pen(), screen.theme);
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
                let head = talk::head(theme, model, talk, columns);
                put(frame, areas.head, 0, head);
                let look = screen.looks.get(with);
                talk::view(pen, model, talk, look, frame, areas.body);
            } else {
                let name = cut(&glance(&model.name_of(with), 200), columns);
                put(frame, areas.head, 0, Row::styled(name, theme.bold()));
            }
        }
        Some(Subject::Thing(key)) => {
            put(frame, areas.rule, 0, Row::styled(rule, theme.line(focused)));
            let head = things::head(pen, model, key, columns);
            put(frame, areas.head, 0, head);
            let look = screen.things.get(key).copied().unwrap_or_default();
            let shown = things::Shown { key, look, focused };
            things::view(pen, model, shown, frame, areas.body);
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
