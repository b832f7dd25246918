//! The demo on one screen: drawn anew in place, plain ANSI, within the terminal's size.

use std::io::{self, Write as _};
use std::time::Duration;

use super::tally::{Connection, ServerState, Tally};
use crate::terminal::harmless;

/// Lines above the log.
const HEAD: usize = 13;
/// Lines of the log, if there is room.
const LOG: usize = 7;
/// Other lines: the command above, the result and the next prompt below.
const OTHERS: usize = 4;
/// Columns that are used.
const WIDTH: usize = 79;

/// A screen that redraws over itself. Leaves the terminal as it was.
#[derive(Debug)]
pub(super) struct Screen {
    server: String,
    colour: bool,
    /// Lines of the log.
    log: usize,
    /// Lines drawn last time.
    drawn: usize,
}

impl Screen {
    /// A screen, if the terminal has room for one.
    pub(super) fn new(server: &str) -> Option<Self> {
        let rows = terminal_size::terminal_size().map_or(24, |(_, rows)| usize::from(rows.0));
        Some(Self {
            server: server.to_owned(),
            colour: std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
            log: rows.checked_sub(HEAD + OTHERS + 1)?.min(LOG - 1) + 1,
            drawn: 0,
        })
    }

    /// Draws the state.
    ///
    /// # Errors
    /// The terminal's.
    pub(super) fn draw(&mut self, tally: &Tally, at: Duration) -> io::Result<()> {
        let frame = self.frame(tally, at);
        // No cursor, and no wrapping: a narrow terminal cuts the lines.
        let mut text = String::from("\x1b[?25l\x1b[?7l");
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        for line in &frame {
            text.push_str("\r\x1b[2K");
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = frame.len();
        let mut out = io::stdout().lock();
        // In one piece, so that no half of a frame is seen.
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// The screen's lines.
    fn frame(&self, tally: &Tally, at: Duration) -> Vec<String> {
        let mut lines = vec![
            format!(
                "{}{:>42.1} s",
                self.paint("1", "Stanchion demo: every message once"),
                at.as_secs_f64()
            ),
            String::new(),
            self.picture(tally),
            String::new(),
            end("sensor", &tally.sensor),
            format!(
                "         {:>6} without receipt   {:>6} sent again",
                tally.waiting(),
                tally.retransmitted
            ),
            end("phone", &tally.phone),
            format!(
                "         {:>6} copies stopped    {:>6} out of order",
                tally.duplicates_stopped, tally.out_of_order
            ),
            String::new(),
            bar("kept", tally.sent, tally.goal),
            bar("received", tally.delivered(), tally.goal),
            bar("receipts", tally.acknowledged, tally.goal),
            String::new(),
        ];
        let skip = tally.log.len().saturating_sub(self.log);
        for (when, text) in tally.log.iter().skip(skip) {
            let line = clip(&format!("{:>7.2} s  {text}", when.as_secs_f64()));
            let server = text.starts_with("server");
            lines.push(if server { self.paint("1", &line) } else { line });
        }
        lines.resize(HEAD + self.log, String::new());
        lines
    }

    /// The two ends and the server between them, and which links are up.
    fn picture(&self, tally: &Tally) -> String {
        let (state, colour) = match tally.server {
            ServerState::Up => ("up", "32"),
            ServerState::Killed => ("KILLED", "1;31"),
            ServerState::Starting => ("starting", "33"),
        };
        let kills = match (tally.kills, tally.kills_asked()) {
            (_, 0) => String::new(),
            (done, asked) => format!(", killed {done} of {asked}"),
        };
        let server = clip(&format!("{} {state}{kills}", self.server));
        let rest = 66_usize.saturating_sub(server.chars().count());
        let link = |connection: &Connection, cells: usize| {
            let (cell, colour) = if connection.up && tally.server == ServerState::Up {
                ("━", "32")
            } else {
                ("╌", "31")
            };
            self.paint(colour, &cell.repeat(cells))
        };
        format!(
            " sensor {} {} {} phone",
            link(&tally.sensor, rest / 2),
            self.paint(colour, &server),
            link(&tally.phone, rest - rest / 2 - 4)
        )
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.drawn > 0 {
            // Nothing can be done about a terminal that has gone.
            let _ = write!(io::stdout(), "\x1b[?7h\x1b[?25h");
            let _ = io::stdout().flush();
        }
    }
}

fn end(name: &str, connection: &Connection) -> String {
    clip(&format!(" {name:<9}{}", connection.text))
}

fn bar(name: &str, done: u64, goal: u64) -> String {
    const CELLS: u64 = 45;
    let full = (done.min(goal) * CELLS).checked_div(goal).unwrap_or(CELLS);
    let cells: String = (0..CELLS)
        .map(|cell| if cell < full { '█' } else { '░' })
        .collect();
    format!(" {name:<9}{cells} {done} of {goal}")
}

/// One line of at most 79 columns, whatever a server said.
fn clip(line: &str) -> String {
    let line = harmless(line);
    if line.chars().count() <= WIDTH {
        return line;
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tally::{End, Report};
    use super::*;

    fn screen(colour: bool) -> Screen {
        Screen {
            server: "hub".to_owned(),
            colour,
            log: LOG,
            drawn: 0,
        }
    }

    #[test]
    fn the_screen_keeps_its_height_and_fits_80_by_24_with_the_result_below() {
        let mut tally = Tally::new(1_000_000, 1000);
        let empty = screen(false).frame(&tally, Duration::ZERO).len();
        assert!(empty + OTHERS <= 24, "{empty}");
        for n in 0..30 {
            tally.note(Duration::from_secs(n), "x".repeat(200));
        }
        for end in [End::Sensor, End::Phone] {
            let (text, connected) = ("y".repeat(200), true);
            tally.report(Duration::ZERO, end, Report::Status { text, connected });
        }
        for state in [ServerState::Killed, ServerState::Starting, ServerState::Up] {
            for _ in 0..1000 {
                tally.server_is(Duration::from_secs(99_999), state);
            }
            let full = screen(false).frame(&tally, Duration::from_secs(99_999));
            assert_eq!(full.len(), empty);
            for line in full {
                assert!(line.chars().count() <= WIDTH, "{line}");
            }
        }
    }

    #[test]
    fn a_kill_is_seen_and_so_is_its_end() {
        let mut tally = Tally::new(10, 1);
        let picture = |tally: &Tally| screen(false).picture(tally);
        for end in [End::Sensor, End::Phone] {
            let text = String::from("connected");
            tally.report(
                Duration::ZERO,
                end,
                Report::Status {
                    text,
                    connected: true,
                },
            );
        }
        assert!(picture(&tally).contains("━ hub up, killed 0 of 1 ━"));
        tally.server_is(Duration::ZERO, ServerState::Killed);
        assert!(picture(&tally).contains("╌ hub KILLED, killed 1 of 1 ╌"));
        assert!(!picture(&tally).contains('━'));
        tally.server_is(Duration::ZERO, ServerState::Up);
        assert!(picture(&tally).contains("hub up"));
    }

    #[test]
    fn what_a_server_says_cannot_break_the_screen() {
        let mut tally = Tally::new(10, 1);
        let text = String::from("retry: \x1b[2J\n\u{202e}");
        let report = Report::Status {
            text,
            connected: false,
        };
        tally.report(Duration::ZERO, End::Phone, report);
        let frame = screen(false).frame(&tally, Duration::ZERO).join("");
        assert!(!frame.contains(['\x1b', '\n', '\u{202e}']), "{frame:?}");
    }
}
