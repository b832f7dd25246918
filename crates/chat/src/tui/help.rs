//! The help: all keys and all commands.

use ratatui::Frame;
use ratatui::text::{Line as Row, Span};

use super::pen::put;
use super::text::{fit, width, wrap};
use super::theme::{Theme, presence_word};
use super::{command, keys, window};
use crate::app::Stage;
use stanchion::services::presence::Availability;

/// Draws it, from that line on.
pub(super) fn view(theme: Theme, top: usize, frame: &mut Frame<'_>) {
    let title = "Help · Up, Down, PageUp, PageDown · Esc";
    let area = window::page(frame, theme, title);
    let lines = lines(theme, area.width.into());
    let top = top.min(lines.len().saturating_sub(area.height.into()));
    for (row, line) in lines
        .into_iter()
        .skip(top)
        .enumerate()
        .take(area.height.into())
    {
        put(frame, area, u16::try_from(row).unwrap_or(u16::MAX), line);
    }
}

/// The last line from which it can be shown on a terminal of so many columns and rows.
pub(super) fn last(theme: Theme, size: (u16, u16)) -> usize {
    let area = window::page_inside(size);
    let lines = lines(theme, area.width.into()).len();
    lines.saturating_sub(area.height.into())
}

fn lines(theme: Theme, columns: usize) -> Vec<Row<'static>> {
    let mut lines = Vec::new();
    for (heading, all) in keys::ALL {
        lines.push(Row::styled((*heading).to_owned(), theme.news()));
        for (keys, what) in *all {
            pair(&mut lines, theme, columns, keys, what);
        }
        lines.push(Row::default());
    }
    lines.push(Row::styled("Commands", theme.news()));
    for (name, takes, what) in command::ALL {
        pair(
            &mut lines,
            theme,
            columns,
            &format!("/{name} {takes}"),
            what,
        );
    }
    lines.extend([Row::default(), Row::styled("Signs", theme.news())]);
    let stages = [
        (Stage::Kept, "durable here; it goes as soon as it can"),
        (Stage::AtServer, "the server has it"),
        (Stage::Received, "the other side's client has it"),
        (
            Stage::Delivered,
            "its application acted on it; in a room: all were shown it",
        ),
        (Stage::Read, "somebody has seen it"),
        (Stage::InDoubt, "nobody can say whether it is there"),
        (Stage::Failed, "it is not there, for certain"),
        (Stage::Elsewhere, "another device of ours sent it"),
    ];
    for (stage, what) in stages {
        let (sign, _) = theme.stage(stage);
        pair(
            &mut lines,
            theme,
            columns,
            &format!("{sign} {}", stage.word()),
            what,
        );
    }
    let presences = [
        Some(Availability::Available),
        Some(Availability::Busy),
        Some(Availability::Away),
        Some(Availability::Unavailable),
        None,
    ];
    for how in presences {
        let (sign, look) = theme.presence(how);
        lines.push(Row::from(vec![
            Span::raw("  "),
            Span::styled(sign, look),
            Span::raw(format!(" {}", presence_word(how))),
        ]));
    }
    lines
}

/// A key, and what it does beside it; below it where there is no room.
fn pair(lines: &mut Vec<Row<'static>>, theme: Theme, columns: usize, key: &str, what: &str) {
    let left = columns.saturating_sub(4) * 2 / 5;
    let beside = width(key) <= left;
    if !beside {
        let parts = wrap(key, columns.saturating_sub(2), 4).into_iter();
        lines.extend(parts.map(|part| Row::styled(format!("  {part}"), theme.own())));
    }
    let room = columns.saturating_sub(4 + left).max(1);
    for (number, part) in wrap(what, room, 6).into_iter().enumerate() {
        let head = match (number, beside) {
            (0, true) => key,
            _ => "",
        };
        lines.push(Row::from(vec![
            Span::styled(format!("  {}", fit(head, left)), theme.own()),
            Span::raw(format!("  {part}")),
        ]));
    }
}
