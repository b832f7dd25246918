//! The left pane: people, rooms and things, each with what is new there.

use std::cmp::Reverse;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line as Row, Span};
use stanchion::services::presence::Availability;

use super::input::Line;
use super::pen::{Pen, put};
use super::subject::Subject;
use super::text::{cut, cut_middle, fit, glance, width};
use super::theme::Theme;
use super::{things, when};
use crate::app::{Model, Person, TalkKind};

/// What the pane knows itself.
#[derive(Debug, Clone, Default)]
pub(super) struct List {
    /// What the names shown have in them, while one looks for something.
    pub(super) filter: Option<Line>,
    /// Where the cursor is.
    pub(super) at: Option<Subject>,
}

/// What is shown, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    /// What the pane knows.
    pub(super) list: &'a List,
    /// What is open.
    pub(super) open: Option<&'a Subject>,
    /// Whether the pane has the keys.
    pub(super) focused: bool,
}

/// A line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Heading(&'static str),
    Subject(Subject),
}

/// All lines: in each part those first in which something happened last; things by name, so
/// that they stay where they are.
pub(super) fn items(model: &Model, filter: Option<&Line>) -> Vec<Item> {
    let filter = filter
        .map(|line| line.text().to_lowercase())
        .unwrap_or_default();
    let fits = |name: &str, jid: &str| {
        filter.is_empty() || name.to_lowercase().contains(&filter) || jid.contains(&filter)
    };
    let latest = |jid| model.talks.get(jid).map_or(0, |talk| talk.latest);
    let mut people = Vec::new();
    let mut silent = Vec::new();
    for person in model.persons.values() {
        if !fits(person.name(), person.jid.as_str()) {
            continue;
        }
        let is_thing = person.thing && latest(&person.jid) == 0;
        if !is_thing {
            people.push((Reverse(latest(&person.jid)), person.name(), &person.jid));
        } else if !has_things(model, person) {
            silent.push(&person.jid);
        }
    }
    for talk in model.talks.values() {
        let name = talk.with.local().unwrap_or_else(|| talk.with.domain());
        if talk.kind == TalkKind::Person
            && !model.persons.contains_key(&talk.with)
            && fits(name, talk.with.as_str())
        {
            people.push((Reverse(talk.latest), name, &talk.with));
        }
    }
    people.sort_unstable();
    let rooms = model.rooms.values();
    let rooms = rooms.filter(|room| fits(room.name(), room.jid.as_str()));
    let mut rooms: Vec<_> = rooms
        .map(|room| (Reverse(latest(&room.jid)), room.name(), &room.jid))
        .collect();
    rooms.sort_unstable();
    let things = model.things.keys();
    let things = things.filter(|key| fits(&key.thing, key.account.as_str()));
    let things = things.map(|key| Subject::Thing(key.clone()));
    let things = things.chain(silent.into_iter().map(|jid| Subject::Talk(jid.clone())));
    let talk = |(_, _, jid): (Reverse<i64>, &str, &stanchion::BareJid)| Subject::Talk(jid.clone());
    let mut all = Vec::new();
    let mut part = |heading, subjects: Vec<Subject>| {
        if !subjects.is_empty() {
            all.push(Item::Heading(heading));
            all.extend(subjects.into_iter().map(Item::Subject));
        }
    };
    part("People", people.into_iter().map(talk).collect());
    part("Rooms", rooms.into_iter().map(talk).collect());
    part("Things", things.collect());
    all
}

fn has_things(model: &Model, person: &Person) -> bool {
    let first = crate::app::ThingKey {
        account: person.jid.clone(),
        thing: stanchion::stanza::Text::from_static(""),
    };
    let next = model.things.range(first..).next();
    next.is_some_and(|(key, _)| key.account == person.jid)
}

/// The subjects alone.
pub(super) fn subjects(model: &Model, filter: Option<&Line>) -> Vec<Subject> {
    let all = items(model, filter).into_iter();
    all.filter_map(|item| match item {
        Item::Subject(subject) => Some(subject),
        Item::Heading(_) => None,
    })
    .collect()
}

/// The line at the top of the pane: so that the cursor, or else what is open, is seen.
fn top(items: &[Item], at: Option<&Subject>, rows: usize) -> usize {
    let at = at.and_then(|at| {
        let mut all = items.iter();
        all.position(|item| matches!(item, Item::Subject(subject) if subject == at))
    });
    let at = at.unwrap_or(0);
    let last = items.len().saturating_sub(rows);
    at.saturating_sub(rows.saturating_sub(2).max(rows / 2))
        .min(last)
}

/// Where the lines begin: below the head.
const HEAD: u16 = 1;

fn marked<'a>(shown: &Shown<'a>) -> Option<&'a Subject> {
    match shown.focused {
        true => shown.list.at.as_ref().or(shown.open),
        false => shown.open,
    }
}

/// What stands at that row of the pane.
pub(super) fn at_row(model: &Model, shown: &Shown<'_>, area: Rect, row: u16) -> Option<Subject> {
    let items = items(model, shown.list.filter.as_ref());
    let rows = usize::from(area.height.saturating_sub(HEAD));
    let top = top(&items, marked(shown), rows);
    let row = row.checked_sub(HEAD)?;
    match items.get(top + usize::from(row)) {
        Some(Item::Subject(subject)) => Some(subject.clone()),
        _ => None,
    }
}

/// Draws it.
pub(super) fn view(
    pen: Pen<'_>,
    model: &Model,
    shown: &Shown<'_>,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let theme = pen.theme;
    let columns = usize::from(area.width);
    let focused = shown.focused;
    head(pen.theme, model, shown, frame, area);
    let items = items(model, shown.list.filter.as_ref());
    let rows = usize::from(area.height.saturating_sub(HEAD));
    let marked = marked(shown);
    let top = top(&items, marked, rows);
    if items.is_empty() {
        let text = match &shown.list.filter {
            Some(_) => " nobody has that name",
            None => " nobody is here yet",
        };
        put(
            frame,
            area,
            HEAD,
            Row::styled(cut(text, columns), theme.faint()),
        );
        if shown.list.filter.is_none() {
            let text = cut(" /add name@domain", columns);
            put(frame, area, HEAD + 1, Row::styled(text, theme.faint()));
        }
    }
    for (row, item) in items.iter().skip(top).take(rows).enumerate() {
        let row = HEAD + u16::try_from(row).unwrap_or(u16::MAX - HEAD);
        let line = match item {
            Item::Heading(text) => Row::styled(fit(text, columns), theme.faint()),
            Item::Subject(subject) => {
                let chosen = marked == Some(subject);
                let base = match (chosen, focused) {
                    (true, true) => theme.chosen(),
                    (true, false) => theme.bold(),
                    _ => Style::new(),
                };
                entry(pen, model, subject, columns, chosen).patch_style(base)
            }
        };
        put(frame, area, row, line);
    }
}

fn head(theme: Theme, model: &Model, shown: &Shown<'_>, frame: &mut Frame<'_>, area: Rect) {
    let columns = usize::from(area.width);
    let line = match &shown.list.filter {
        Some(filter) => {
            let (lines, (_, column)) = filter.shown(usize::MAX);
            let text = lines.concat();
            if shown.focused {
                let column = u16::try_from(column + 1).unwrap_or(u16::MAX);
                let x = area
                    .x
                    .saturating_add(column)
                    .min(area.right().saturating_sub(1));
                frame.set_cursor_position((x, area.y));
            }
            Row::from(vec![
                Span::styled("/", theme.own()),
                Span::raw(cut(&text, columns.saturating_sub(2))),
            ])
        }
        None => {
            let (how, text) = &model.own;
            let how = model.link.is_up().then_some(*how);
            let (sign, look) = match how {
                Some(how) => theme.presence(Some(how)),
                None => theme.presence(Some(Availability::Unavailable)),
            };
            let name = model
                .account
                .local()
                .unwrap_or_else(|| model.account.domain());
            let text = match text.is_empty() {
                true => String::new(),
                false => format!(" {}", glance(text, 80)),
            };
            let name = cut(&glance(name, 80), columns.saturating_sub(2));
            let left = columns.saturating_sub(2 + width(&name));
            Row::from(vec![
                Span::styled(format!("{sign} "), look),
                Span::styled(name, theme.bold()),
                Span::styled(cut(&text, left), theme.faint()),
            ])
        }
    };
    put(frame, area, 0, line);
}

fn entry(
    pen: Pen<'_>,
    model: &Model,
    subject: &Subject,
    columns: usize,
    chosen: bool,
) -> Row<'static> {
    let theme = pen.theme;
    let (sign, look, name, right, news) = match subject {
        Subject::Talk(with) => {
            let talk = model.talks.get(with);
            let unread = talk.map_or(0, |talk| talk.unread);
            let right = match (unread, talk) {
                (1.., _) => unread.min(9999).to_string(),
                (0, Some(talk)) if talk.writes => "…".to_owned(),
                (0, Some(talk)) => when::short(pen.zone, pen.now, talk.latest),
                (0, None) => String::new(),
            };
            let name = glance(&model.name_of(with), 80);
            let (sign, look) = match (model.rooms.get(with), model.persons.get(with)) {
                (Some(room), _) if room.entered => ("#", theme.own()),
                (Some(room), _) if room.refused.is_some() => ("✗", theme.bad()),
                (Some(_), _) => ("#", theme.faint()),
                (None, Some(person)) if person.thing => ("◇", theme.faint()),
                (None, Some(person)) => theme.presence(person.availability()),
                (None, None) => (" ", Style::new()),
            };
            (sign, look, name, right, unread > 0)
        }
        Subject::Thing(key) => {
            let silent = model.persons.get(&key.account);
            let silent = silent.is_some_and(|person| person.silent.is_some());
            let (sign, look) = match silent {
                true => ("◇", theme.faint()),
                false => ("◆", theme.own()),
            };
            let thing = model.things.get(key);
            let value = thing.map(things::main_value).unwrap_or_default();
            (sign, look, things::name(model, key), value, false)
        }
    };
    let news_look = match news {
        true => theme.news(),
        false => theme.faint(),
    };
    let mark = if chosen { "▸" } else { " " };
    let right = cut(&right, columns / 2);
    let between = usize::from(!right.is_empty());
    let room = columns.saturating_sub(width(sign) + 3 + between + width(&right));
    let name = match subject {
        Subject::Talk(_) => name,
        Subject::Thing(_) => cut_middle(&name, room),
    };
    let name_look = if news { theme.bold() } else { Style::new() };
    Row::from(vec![
        Span::raw(mark),
        Span::styled(format!("{sign} "), look),
        Span::styled(format!("{}{:between$}", fit(&name, room), ""), name_look),
        Span::styled(right, news_look),
        Span::raw(" "),
    ])
}
