//! The tour on the terminal: where the dashboards are, what is up, what was counted, and the
//! keys. Leaves the terminal as it was.

use std::io;
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use futures_util::StreamExt as _;
use ratatui::DefaultTerminal;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::tally::{Connection, ServerState, Tally};
use crate::exit::Failure;
use crate::terminal::harmless;

/// A person's dashboard.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// Whose.
    pub(super) who: String,
    /// Where.
    pub(super) url: String,
}

/// A key that does something, and what.
pub(super) type Key = (char, &'static str);

/// The terminal, while the tour has it.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    events: EventStream,
    links: Vec<Link>,
    keys: Vec<Key>,
}

/// What is shown.
pub(super) struct View<'a> {
    pub(super) tally: &'a Tally,
    /// Since the beginning.
    pub(super) at: Duration,
    /// What is being done to the server, if something is.
    pub(super) doing: Option<&'static str>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// The terminal's.
    pub(super) fn open(links: &[Link], keys: Vec<Key>) -> Result<Self, Failure> {
        let terminal = ratatui::try_init();
        let terminal = terminal
            .map_err(|e| Failure::failed(format!("the terminal failed: {e}; give --headless")))?;
        Ok(Self {
            terminal,
            events: EventStream::new(),
            links: links.to_vec(),
            keys,
        })
    }

    /// The next key; `q` for Escape and Ctrl-C too. Cancel-safe.
    pub(super) async fn key(&mut self) -> char {
        loop {
            match self.events.next().await {
                Some(Ok(Event::Key(key))) if key.kind == KeyEventKind::Press => match key.code {
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                        return 'q';
                    }
                    KeyCode::Char(c) => return c.to_ascii_lowercase(),
                    KeyCode::Esc => return 'q',
                    _ => {}
                },
                Some(Ok(_)) => {}
                // The terminal is gone.
                Some(Err(_)) | None => return 'q',
            }
        }
    }

    /// Draws it.
    ///
    /// # Errors
    /// The terminal's.
    pub(super) fn draw(&mut self, view: &View<'_>) -> io::Result<()> {
        let (links, keys) = (&self.links, &self.keys);
        let drawn = self.terminal.draw(|frame| draw(frame, view, links, keys));
        drawn.map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn draw(frame: &mut Frame<'_>, view: &View<'_>, links: &[Link], keys: &[Key]) {
    let tally = view.tally;
    let [title, _, picture, _, open, _, counts, _, log, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(u16::try_from(links.len()).unwrap_or(2) + 1),
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let seconds = view.at.as_secs();
    let time = format!("{}:{:02}", seconds / 60, seconds % 60);
    sides(
        frame,
        title,
        Span::styled("Stanchion: a house, a ward, two people", bold),
        Span::raw(time),
    );
    frame.render_widget(link_line(tally, picture.width), picture);
    let mut lines = vec![Line::from(
        "Open these side by side, and write from one to the other:",
    )];
    for link in links {
        lines.push(Line::from(vec![
            Span::raw(format!("  {:<7}", link.who)),
            Span::styled(link.url.clone(), bold),
        ]));
    }
    frame.render_widget(Paragraph::new(lines), open);
    frame.render_widget(Paragraph::new(figures(tally)), counts);
    let room = usize::from(log.height);
    let skip = tally.log.len().saturating_sub(room);
    let said = tally.log.iter().skip(skip).map(|(when, text)| {
        let line = format!("{:>7.2} s  {}", when.as_secs_f64(), harmless(text));
        match text.starts_with("server") || text.starts_with("the ") {
            true => Line::styled(line, bold),
            false => Line::raw(line),
        }
    });
    frame.render_widget(Paragraph::new(said.collect::<Vec<_>>()), log);
    frame.render_widget(Paragraph::new(key_line(view, keys)), bottom);
}

fn sides(frame: &mut Frame<'_>, area: Rect, left: Span<'_>, right: Span<'_>) {
    let width = u16::try_from(right.width()).unwrap_or(0);
    let [one, other] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(width)]).areas(area);
    frame.render_widget(left, one);
    frame.render_widget(right, other);
}

/// The two ends and the server between them, and which links are up.
fn link_line(tally: &Tally, width: u16) -> Line<'static> {
    let (state, colour) = match tally.server {
        ServerState::Up => ("up", Color::Green),
        ServerState::Killed => ("KILLED", Color::Red),
        ServerState::Starting => ("starting", Color::Yellow),
    };
    let kills = match tally.kills {
        0 => String::new(),
        1 => ", killed once".to_owned(),
        n => format!(", killed {n} times"),
    };
    let server = format!(" hub {state}{kills} ");
    let words = "sensor ".len() + server.len() + " phone".len();
    let rest = usize::from(width).saturating_sub(words).min(60);
    let link = |connection: &Connection, cells: usize| {
        let up = connection.up && tally.server == ServerState::Up;
        match up {
            true => Span::styled("━".repeat(cells), Style::new().fg(Color::Green)),
            false => Span::styled("╌".repeat(cells), Style::new().fg(Color::Red)),
        }
    };
    Line::from(vec![
        Span::raw("sensor "),
        link(&tally.sensor, rest / 2),
        Span::styled(server, Style::new().fg(colour)),
        link(&tally.phone, rest - rest / 2),
        Span::raw(" phone"),
    ])
}

fn figures(tally: &Tally) -> Vec<Line<'static>> {
    let bad = |n: u64, text: String| match n {
        0 => Span::styled(text, Style::new().fg(Color::Green)),
        _ => Span::styled(text, Style::new().fg(Color::Red)),
    };
    let on_the_way = tally.sent.saturating_sub(tally.delivered());
    vec![
        Line::raw(format!(
            "The sensor sent {}; the phone acted on {}; on the way {}.",
            tally.sent,
            tally.delivered(),
            on_the_way,
        )),
        Line::raw(format!(
            "Sent again {}, copies stopped {}.",
            tally.retransmitted, tally.duplicates_stopped
        )),
        Line::from(vec![
            bad(tally.failed, format!("lost {}", tally.failed)),
            Span::raw("   "),
            bad(
                tally.duplicated(),
                format!("doubled {}", tally.duplicated()),
            ),
            Span::raw("   "),
            bad(
                tally.out_of_order,
                format!("out of order {}", tally.out_of_order),
            ),
        ]),
    ]
}

fn key_line(view: &View<'_>, keys: &[Key]) -> Line<'static> {
    if let Some(doing) = view.doing {
        let text = format!("{doing}… watch the dashboards");
        return Line::styled(text, Style::new().fg(Color::Yellow));
    }
    let reversed = Style::new().add_modifier(Modifier::REVERSED);
    let mut spans = Vec::new();
    for (key, label) in keys.iter().chain(&[('q', "End")]) {
        spans.push(Span::styled(format!(" {key} "), reversed));
        spans.push(Span::raw(format!(" {label}   ")));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;
    use ratatui::{Terminal, buffer};

    use super::super::tally::{End, Report};
    use super::*;

    fn shown(tally: &Tally, doing: Option<&'static str>, size: (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        let links = ["alice", "bob"].map(|who| Link {
            who: who.to_owned(),
            url: "http://127.0.0.1:4000/".to_owned(),
        });
        let view = View {
            tally,
            at: Duration::from_secs(75),
            doing,
        };
        let keys = [('k', "Kill the server"), ('c', "Cut the link")];
        terminal
            .draw(|frame| draw(frame, &view, &links, &keys))
            .unwrap();
        text(terminal.backend().buffer())
    }

    fn text(buffer: &buffer::Buffer) -> String {
        let width = usize::from(buffer.area.width);
        let cells: Vec<_> = buffer.content.iter().map(|cell| cell.symbol()).collect();
        let lines = cells.chunks(width).map(|line| line.concat());
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn it_says_where_to_look_what_is_up_and_which_keys_there_are() {
        let mut tally = Tally::new(10, 0);
        for end in [End::Sensor, End::Phone] {
            let (text, connected) = ("connected".to_owned(), true);
            tally.report(Duration::ZERO, end, Report::Status { text, connected });
        }
        let up = shown(&tally, None, (80, 24));
        assert!(up.contains("1:15") && up.contains("━ hub up ━"), "{up}");
        assert!(up.contains("alice  http://127.0.0.1:4000/"), "{up}");
        assert!(up.contains(" k  Kill the server"), "{up}");
        tally.server_is(Duration::ZERO, ServerState::Killed);
        let killed = shown(&tally, Some("Kill the server"), (80, 24));
        assert!(killed.contains("╌ hub KILLED, killed once ╌"), "{killed}");
        assert!(killed.contains("Kill the server… watch"), "{killed}");
    }

    #[test]
    fn what_a_server_says_cannot_break_it_whatever_its_size() {
        let mut tally = Tally::new(10, 0);
        let text = String::from("retry: \x1b[2J\n\u{202e}");
        let report = Report::Status {
            text,
            connected: false,
        };
        tally.report(Duration::ZERO, End::Phone, report);
        for width in 1..100 {
            for height in [1, 2, 7, 24] {
                let shown = shown(&tally, None, (width, height));
                assert!(!shown.contains(['\x1b', '\u{202e}']), "{shown:?}");
            }
        }
    }
}
