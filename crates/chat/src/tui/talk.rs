//! The middle pane of a conversation: messages in lines, a window over them that stays where
//! it is while new ones come, and the message that is chosen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line as Row, Span};
use stanchion::services::history::{Direction, Entry, Place};

use super::pen::{Pen, put};
use super::text::{cut, glance, width, wrap};
use super::theme::Theme;
use super::when;
use crate::app::{Model, Stage, Talk, TalkKind};

/// Lines of one message that are shown.
const LINES: usize = 200;
/// After that long a silence, in milliseconds, it is said again who speaks, and when.
const PAUSE: i64 = 5 * 60 * 1000;
/// Blanks before a body.
const INDENT: usize = 2;

/// What is known of how one conversation is looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    /// The message that stands at the bottom, and how many of its lines are below it. None:
    /// the newest, whichever that is.
    pub(super) bottom: Option<(Place, usize)>,
    /// The message that is chosen.
    pub(super) chosen: Option<Place>,
    /// The first that was new when it was opened.
    pub(super) new_from: Option<Place>,
    /// What was asked for last, as older than that.
    pub(super) older: Option<Place>,
    /// What was told to be seen last.
    pub(super) seen: Option<Place>,
}

/// All that is needed to make lines of messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paper<'a> {
    pub(super) model: &'a Model,
    pub(super) talk: &'a Talk,
    pub(super) look: &'a Look,
    pub(super) pen: Pen<'a>,
    pub(super) columns: usize,
    pub(super) rows: usize,
}

impl Paper<'_> {
    fn index(&self, place: Place) -> usize {
        let found = self.talk.entries.binary_search_by(|e| e.place.cmp(&place));
        let last = self.talk.entries.len().saturating_sub(1);
        found.unwrap_or_else(|at| at.min(last))
    }

    /// The message at the bottom, and how many of its lines are below.
    fn bottom(&self) -> (usize, usize) {
        match self.look.bottom {
            Some((place, below)) => (self.index(place), below),
            None => (self.talk.entries.len().saturating_sub(1), 0),
        }
    }

    fn height(&self, at: usize) -> usize {
        self.block(at).len()
    }

    /// The lines that are seen, each with its message; from the top.
    fn seen(&self) -> Vec<(usize, Row<'static>)> {
        let (mut at, below) = self.bottom();
        let mut lines: Vec<(usize, Row<'static>)> = Vec::new();
        if self.talk.entries.is_empty() {
            return lines;
        }
        let mut hidden = below;
        loop {
            let block = self.block(at);
            let seen = block.len().saturating_sub(hidden);
            hidden = hidden.saturating_sub(block.len());
            let block: Vec<_> = block.into_iter().take(seen).collect();
            for line in block.into_iter().rev() {
                if lines.len() < self.rows {
                    lines.push((at, line));
                }
            }
            match at.checked_sub(1) {
                Some(before) if lines.len() < self.rows => at = before,
                _ => break,
            }
        }
        lines.reverse();
        lines
    }

    /// The window, so many lines nearer to the past; and whether it is at its first message.
    pub(super) fn up(&self, lines: usize) -> (Option<(Place, usize)>, bool) {
        let (mut at, mut below) = self.bottom();
        if self.talk.entries.is_empty() {
            return (None, true);
        }
        below += lines;
        // To the message in which that is.
        let mut height = self.height(at);
        while below >= height {
            let Some(before) = at.checked_sub(1) else {
                break;
            };
            below -= height;
            at = before;
            height = self.height(at);
        }
        below = below.min(height);
        // Not beyond the first line.
        let mut above = height - below;
        let mut first = at;
        while above < self.rows {
            let Some(before) = first.checked_sub(1) else {
                break;
            };
            first = before;
            above += self.height(first);
        }
        let is_first = first == 0 && above <= self.rows;
        let missing = self.rows.saturating_sub(above);
        let (at, below) = self.down_from(at, below, missing);
        (self.anchor(at, below), is_first)
    }

    /// The window, so many lines nearer to now.
    pub(super) fn down(&self, lines: usize) -> Option<(Place, usize)> {
        let (at, below) = self.bottom();
        let (at, below) = self.down_from(at, below, lines);
        self.anchor(at, below)
    }

    fn down_from(&self, mut at: usize, mut below: usize, mut lines: usize) -> (usize, usize) {
        loop {
            if below >= lines {
                return (at, below - lines);
            }
            lines -= below;
            if at + 1 >= self.talk.entries.len() {
                return (at, 0);
            }
            at += 1;
            below = self.height(at);
        }
    }

    fn anchor(&self, at: usize, below: usize) -> Option<(Place, usize)> {
        if below == 0 && at + 1 >= self.talk.entries.len() {
            return None;
        }
        self.talk.entries.get(at).map(|entry| (entry.place, below))
    }

    /// The window, moved just so far that a message is seen: its end, if it is higher than
    /// the window.
    pub(super) fn showing(&self, place: Place) -> Option<(Place, usize)> {
        let at = self.index(place);
        let seen = self.seen();
        let lines = seen.iter().filter(|(which, _)| *which == at).count();
        if lines == self.height(at).min(self.rows) {
            return self.look.bottom;
        }
        let above = seen.first().is_some_and(|(first, _)| at <= *first);
        if !above {
            return self.anchor(at, 0);
        }
        // At the top: so many lines below its first as there are rows.
        let mut left = self.rows.saturating_sub(self.height(at));
        let mut bottom = (at, 0);
        while left > 0 && bottom.0 + 1 < self.talk.entries.len() {
            let next = self.height(bottom.0 + 1);
            bottom = (bottom.0 + 1, next.saturating_sub(left));
            left = left.saturating_sub(next);
        }
        self.anchor(bottom.0, bottom.1)
    }

    /// The message at that row.
    pub(super) fn at_row(&self, row: usize) -> Option<Place> {
        let seen = self.seen();
        let row = row.checked_sub(self.rows.saturating_sub(seen.len()))?;
        let (at, _) = seen.get(row)?;
        self.talk.entries.get(*at).map(|entry| entry.place)
    }

    /// The lines of a message, with all that stands above it.
    fn block(&self, at: usize) -> Vec<Row<'static>> {
        let Some(entry) = self.talk.entries.get(at) else {
            return Vec::new();
        };
        let before = at.checked_sub(1).and_then(|at| self.talk.entries.get(at));
        let mut lines = Vec::new();
        let sent = entry.place.at.as_unix_ms();
        let day = when::day(self.pen.zone, sent);
        let mut apart = false;
        if before.is_none() && self.talk.first {
            lines.push(self.rule("the beginning", self.pen.theme.faint()));
        }
        if before.is_none_or(|b| when::day(self.pen.zone, b.place.at.as_unix_ms()) != day) {
            lines.push(self.rule(&when::date(day), self.pen.theme.faint()));
            apart = true;
        }
        if self.look.new_from == Some(entry.place) {
            lines.push(self.rule("new", self.pen.theme.news()));
            apart = true;
        }
        let author = self.author(entry);
        let goes_on = before.is_some_and(|b| {
            b.direction == entry.direction
                && self.author(b) == author
                && sent - b.place.at.as_unix_ms() < PAUSE
        });
        let action = entry.body.strip_prefix("/me ");
        if (apart || !goes_on) && action.is_none() {
            if !apart {
                lines.push(Row::default());
            }
            lines.push(self.header(entry, &author, sent));
        }
        let chosen = self.look.chosen == Some(entry.place);
        let from = lines.len();
        match action {
            Some(action) => self.body(&format!("* {author} {action}"), &mut lines),
            None => self.body(&entry.body, &mut lines),
        }
        self.marks(entry, &mut lines);
        if chosen {
            for line in lines.iter_mut().skip(from) {
                let missing = self.columns.saturating_sub(line.width());
                line.push_span(Span::raw(" ".repeat(missing)));
                *line = std::mem::take(line).patch_style(self.pen.theme.chosen());
            }
        }
        lines
    }

    fn rule(&self, text: &str, look: Style) -> Row<'static> {
        let text = cut(text, self.columns.saturating_sub(6));
        let left = self.columns.saturating_sub(width(&text) + 2);
        let (left, right) = (left / 2, left - left / 2);
        let line = format!("{} {text} {}", "─".repeat(left), "─".repeat(right));
        Row::styled(line, look)
    }

    fn header(&self, entry: &Entry, author: &str, sent: i64) -> Row<'static> {
        let look = match (entry.direction, self.talk.kind) {
            (Direction::Out, _) => self.pen.theme.own().patch(self.pen.theme.bold()),
            (Direction::In, TalkKind::Room) => self.pen.theme.author(author),
            (Direction::In, TalkKind::Person) => self.pen.theme.bold(),
        };
        let hour = when::hour(self.pen.zone, sent);
        let author = cut(author, self.columns.saturating_sub(hour.len() + 1));
        Row::from(vec![
            Span::styled(author, look),
            Span::raw(" "),
            Span::styled(hour, self.pen.theme.faint()),
        ])
    }

    /// Who wrote it.
    fn author(&self, entry: &Entry) -> String {
        match (self.talk.kind, &entry.author) {
            (TalkKind::Room, Some(author)) => {
                let nick = author.resource().unwrap_or_else(|| author.as_str());
                glance(nick, 80)
            }
            (TalkKind::Room, None) => {
                let room = self.model.rooms.get(&self.talk.with);
                let nick = room.map(|room| room.nick.as_str()).unwrap_or_default();
                match nick.is_empty() {
                    true => "you".to_owned(),
                    false => glance(nick, 80),
                }
            }
            (TalkKind::Person, _) if entry.direction == Direction::Out => "you".to_owned(),
            (TalkKind::Person, _) => glance(&self.model.name_of(&self.talk.with), 80),
        }
    }

    fn body(&self, text: &str, lines: &mut Vec<Row<'static>>) {
        let columns = self.columns.saturating_sub(INDENT);
        for part in wrap(text, columns, LINES) {
            let look = match part.starts_with("> ") {
                true => self.pen.theme.faint(),
                false => Style::new(),
            };
            let part = format!("{:INDENT$}{part}", "");
            lines.push(Row::styled(part, look));
        }
    }

    /// How far it has come and whether it was corrected: at the end of the last line, if there
    /// is room.
    fn marks(&self, entry: &Entry, lines: &mut Vec<Row<'static>>) {
        let mut marks = Vec::new();
        if entry.edits > 0 {
            marks.push(Span::styled("corrected ", self.pen.theme.faint()));
        }
        let stage = Stage::of(entry);
        if let Some(stage) = stage {
            let (sign, look) = self.pen.theme.stage(stage);
            marks.push(Span::styled(format!("{sign} {}", stage.word()), look));
        }
        let wide: usize = marks.iter().map(Span::width).sum();
        if wide > 0 {
            let last = lines.last().map_or(0, Row::width);
            if last + 1 + wide > self.columns {
                lines.push(Row::default());
            }
            if let Some(line) = lines.last_mut() {
                let blanks = self.columns.saturating_sub(line.width() + wide);
                line.push_span(Span::raw(" ".repeat(blanks)));
                for mark in marks {
                    line.push_span(mark);
                }
            }
        }
        let Some(stage @ (Stage::Failed | Stage::InDoubt)) = stage else {
            return;
        };
        let (_, look) = self.pen.theme.stage(stage);
        if let Some(why) = &entry.why {
            let columns = self.columns.saturating_sub(INDENT);
            for part in wrap(why, columns, 4) {
                lines.push(Row::styled(format!("{:INDENT$}{part}", ""), look));
            }
        }
    }
}

/// What can be done about the message that is chosen, as a line.
pub(super) fn offers(talk: &Talk, entry: &Entry) -> String {
    let mut offers = Vec::new();
    if let Some(stage) = Stage::of(entry) {
        if stage.can_be_said_again() {
            offers.push("r say it again");
        }
        if stage.can_be_cancelled() && entry.id.is_some() {
            offers.push("c take it back");
        }
        if is_our_last(talk, entry) {
            offers.push("e correct");
        }
    }
    offers.extend(["q quote", "Esc back"]);
    offers.join(" · ")
}

/// Whether it is what we said last there: only that can be corrected.
pub(super) fn is_our_last(talk: &Talk, entry: &Entry) -> bool {
    let ours = talk.entries.iter().rfind(|e| e.direction == Direction::Out);
    ours.is_some_and(|last| last.place == entry.place)
}

/// Draws the conversation, its end at the bottom.
pub(super) fn view(
    pen: Pen<'_>,
    model: &Model,
    talk: &Talk,
    look: Option<&Look>,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let empty = Look::default();
    let look = look.unwrap_or(&empty);
    let paper = Paper {
        model,
        talk,
        look,
        pen,
        columns: area.width.into(),
        rows: area.height.into(),
    };
    let seen = paper.seen();
    let above = usize::from(area.height).saturating_sub(seen.len());
    if seen.is_empty() {
        let text = match talk.loaded {
            true => " nothing was said here yet",
            false => " reading …",
        };
        let row = area.height.saturating_sub(1);
        let text = cut(text, area.width.into());
        put(frame, area, row, Row::styled(text, pen.theme.faint()));
    }
    for (row, (_, line)) in seen.into_iter().enumerate() {
        put(
            frame,
            area,
            u16::try_from(above + row).unwrap_or(u16::MAX),
            line,
        );
    }
    if look.bottom.is_some() {
        let text = format!(" ▼ Ctrl-End: newest ({} more) ", below(&paper));
        let text = cut(&text, area.width.into());
        let wide = u16::try_from(width(&text)).unwrap_or(area.width);
        let last = Rect {
            x: area.x + area.width.saturating_sub(wide),
            y: area.bottom().saturating_sub(1),
            width: wide.min(area.width),
            height: 1.min(area.height),
        };
        put(frame, last, 0, Row::styled(text, pen.theme.chosen()));
    }
}

/// Messages below the window.
fn below(paper: &Paper<'_>) -> usize {
    let (at, _) = paper.bottom();
    paper.talk.entries.len().saturating_sub(at + 1)
}

/// The line above: with whom, and how they are or what it is about.
pub(super) fn head(theme: Theme, model: &Model, talk: &Talk, columns: usize) -> Row<'static> {
    let name = glance(&model.name_of(&talk.with), 80);
    let mut spans = Vec::new();
    let rest = match (model.rooms.get(&talk.with), model.persons.get(&talk.with)) {
        (Some(room), _) => {
            spans.push(Span::styled("# ", theme.own()));
            let how = match (&room.refused, room.entered) {
                (Some(why), _) => format!("not in: {}", glance(why, 200)),
                (None, false) => "not in at the moment".to_owned(),
                (None, true) => match room.topic.is_empty() {
                    true => format!("{} there", room.members.len()),
                    false => glance(&room.topic, 300),
                },
            };
            match room.gap {
                true => format!("something may be missing here · {how}"),
                false => how,
            }
        }
        (None, Some(person)) => {
            let (sign, look) = theme.presence(person.availability());
            spans.push(Span::styled(format!("{sign} "), look));
            let word = super::theme::presence_word(person.availability());
            match person.status() {
                "" => word.to_owned(),
                text => format!("{word} · {}", glance(text, 300)),
            }
        }
        (None, None) => "no contact".to_owned(),
    };
    spans.push(Span::styled(
        cut(&name, columns.saturating_sub(4)),
        theme.bold(),
    ));
    let left = columns.saturating_sub(4 + width(&name));
    spans.push(Span::styled(cut(&format!("  {rest}"), left), theme.faint()));
    Row::from(spans)
}
