//! The right pane: who is in the room and what it is about; how a contact stands to us and
//! which devices it has; where a thing is.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line as Row, Span};

use super::pen::{Pen, put};
use super::subject::Subject;
use super::text::{clean, cut, glance, wrap};
use super::theme::presence_word;
use super::when;
use crate::app::{Model, Person, Room, ThingKey};

/// Draws it.
pub(super) fn view(
    pen: Pen<'_>,
    model: &Model,
    open: Option<&Subject>,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let columns = usize::from(area.width);
    let rows = usize::from(area.height);
    let lines = match open {
        Some(Subject::Talk(with)) => match (model.rooms.get(with), model.persons.get(with)) {
            (Some(one), _) => room(pen, one, columns, rows),
            (None, Some(one)) => person(pen, one, columns),
            (None, None) => stranger(pen, with.as_str(), columns),
        },
        Some(Subject::Thing(key)) => thing(pen, model, key, columns),
        None => Vec::new(),
    };
    for (row, line) in lines.into_iter().take(rows).enumerate() {
        put(frame, area, u16::try_from(row).unwrap_or(u16::MAX), line);
    }
}

fn address(pen: Pen<'_>, jid: &str, columns: usize, lines: &mut Vec<Row<'static>>) {
    for part in wrap(jid, columns, 3) {
        lines.push(Row::styled(part, pen.theme.faint()));
    }
}

fn room(pen: Pen<'_>, room: &Room, columns: usize, rows: usize) -> Vec<Row<'static>> {
    let theme = pen.theme;
    let mut lines = Vec::new();
    address(pen, room.jid.as_str(), columns, &mut lines);
    if !room.topic.is_empty() {
        lines.push(Row::default());
        lines.extend(wrap(&room.topic, columns, 6).into_iter().map(Row::from));
    }
    if let Some(why) = &room.refused {
        let parts = wrap(why, columns, 4).into_iter();
        lines.extend(parts.map(|part| Row::styled(part, theme.bad())));
    }
    if !room.entered {
        let text = cut("we are not in", columns);
        lines.push(Row::styled(text, theme.faint()));
        return lines;
    }
    lines.push(Row::default());
    let count = room.members.len();
    lines.push(Row::styled(
        cut(&format!("{count} there"), columns),
        theme.bold(),
    ));
    let free = rows.saturating_sub(lines.len());
    let moderates = |role: &str| role == "moderator";
    let first = room.members.values().filter(|m| moderates(&m.role));
    let rest = room.members.values().filter(|m| !moderates(&m.role));
    let shown = match count > free {
        true => free.saturating_sub(1),
        false => count,
    };
    for member in first.chain(rest).take(shown) {
        let sign = match (member.role.as_str(), member.affiliation.as_str()) {
            (_, "owner") => "★",
            ("moderator", _) => "+",
            ("visitor", _) => "-",
            _ => " ",
        };
        let own = member.nick == room.nick;
        let nick = glance(&member.nick, 80);
        let look = match own {
            true => theme.own().patch(theme.bold()),
            false => theme.author(&nick),
        };
        lines.push(Row::from(vec![
            Span::styled(format!("{sign} "), theme.faint()),
            Span::styled(cut(&nick, columns.saturating_sub(2)), look),
        ]));
    }
    if shown < count {
        let text = cut(&format!("  and {} more", count - shown), columns);
        lines.push(Row::styled(text, theme.faint()));
    }
    lines
}

fn person(pen: Pen<'_>, person: &Person, columns: usize) -> Vec<Row<'static>> {
    let theme = pen.theme;
    let mut lines = Vec::new();
    address(pen, person.jid.as_str(), columns, &mut lines);
    lines.push(Row::default());
    let how = match &person.contact {
        None => "no contact: /add makes one",
        Some(contact) => match (contact.is_seen(), contact.sees_us()) {
            (true, true) => "we see each other",
            (true, false) => "does not see how we are",
            (false, true) => "sees how we are",
            (false, false) if contact.asked => "was asked, has not answered",
            (false, false) => "neither sees the other",
        },
    };
    lines.extend(wrap(how, columns, 3).into_iter().map(Row::from));
    if let Some(contact) = person.contact.as_ref().filter(|c| !c.groups.is_empty()) {
        let groups: Vec<_> = contact
            .groups
            .iter()
            .take(20)
            .map(|g| glance(g, 40))
            .collect();
        let parts = wrap(&groups.join(", "), columns, 3).into_iter();
        lines.extend(parts.map(|part| Row::styled(part, theme.faint())));
    }
    if let Some(why) = &person.silent {
        let parts = wrap(why, columns, 4).into_iter();
        lines.extend(parts.map(|part| Row::styled(part, theme.doubtful())));
    }
    lines.push(Row::default());
    let devices = match (person.known, person.at.len()) {
        (false, _) => "Not known while offline".to_owned(),
        (true, 0) => "No device is there".to_owned(),
        (true, 1) => "1 device".to_owned(),
        (true, n) => format!("{n} devices"),
    };
    lines.push(Row::styled(cut(&devices, columns), theme.bold()));
    for at in person.at.iter().take(50) {
        let how = person.known.then_some(at.availability);
        let (sign, look) = theme.presence(how);
        lines.push(Row::from(vec![
            Span::styled(format!("{sign} "), look),
            Span::raw(cut(&glance(&at.resource, 80), columns.saturating_sub(2))),
        ]));
        let text = match at.text.is_empty() {
            true => presence_word(how).to_owned(),
            false => format!("{}: {}", presence_word(how), at.text),
        };
        for part in wrap(&text, columns.saturating_sub(2), 3) {
            lines.push(Row::styled(format!("  {part}"), theme.faint()));
        }
    }
    lines
}

fn stranger(pen: Pen<'_>, jid: &str, columns: usize) -> Vec<Row<'static>> {
    let mut lines = Vec::new();
    address(pen, jid, columns, &mut lines);
    lines.push(Row::default());
    let how = wrap("no contact: /add makes one", columns, 2).into_iter();
    lines.extend(how.map(Row::from));
    lines
}

fn thing(pen: Pen<'_>, model: &Model, key: &ThingKey, columns: usize) -> Vec<Row<'static>> {
    let theme = pen.theme;
    let mut lines = Vec::new();
    address(pen, key.account.as_str(), columns, &mut lines);
    if !key.thing.is_empty() {
        lines.push(Row::from(cut(&clean(&key.thing), columns)));
    }
    if let Some(thing) = model.things.get(key) {
        lines.push(Row::default());
        let text = match thing.fields.len() {
            1 => "1 value".to_owned(),
            fields => format!("{fields} values"),
        };
        lines.push(Row::from(cut(&text, columns)));
        if thing.at > 0 {
            let text = format!("last at {}", when::second(pen.zone, thing.at));
            lines.push(Row::styled(cut(&text, columns), theme.faint()));
        }
    }
    if let Some(person) = model.persons.get(&key.account) {
        lines.push(Row::default());
        let (sign, look) = theme.presence(person.availability());
        lines.push(Row::from(vec![
            Span::styled(format!("{sign} "), look),
            Span::raw(presence_word(person.availability())),
        ]));
        let how = match &person.silent {
            Some(why) => glance(why, 300),
            None => "it tells by itself".to_owned(),
        };
        lines.extend(wrap(&how, columns, 5).into_iter().map(Row::from));
    }
    lines
}
