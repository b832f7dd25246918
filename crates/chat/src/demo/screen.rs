//! The demo on one screen: drawn anew in place, plain ANSI, at most 80 columns.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use super::tally::Tally;

const WIDTH: usize = 78;
const LOG_LINES: usize = 10;

/// A screen that redraws over itself.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// Lines drawn last time.
    drawn: usize,
}

impl Screen {
    /// Draws the state.
    ///
    /// # Errors
    /// The terminal's.
    pub(crate) fn draw(&mut self, tally: &Tally, server: &str, at: Duration) -> io::Result<()> {
        let frame = frame(tally, server, at);
        let mut out = io::stdout().lock();
        if self.drawn > 0 {
            write!(out, "\x1b[{}A", self.drawn)?;
        }
        for line in &frame {
            writeln!(out, "\x1b[2K{line}")?;
        }
        self.drawn = frame.len();
        out.flush()
    }
}

/// The screen's lines.
fn frame(tally: &Tally, server: &str, at: Duration) -> Vec<String> {
    let state = if tally.server_up {
        "\x1b[32mup\x1b[0m"
    } else {
        "\x1b[31mKILLED\x1b[0m"
    };
    let waiting = tally.sent.saturating_sub(tally.acknowledged + tally.failed);
    let mut lines = vec![
        format!("\x1b[1mStanchion demo\x1b[0m   {:.1} s", at.as_secs_f64()),
        String::new(),
        row("sensor", &tally.sensor_status),
        format!(
            "          kept {:>6}   waiting {:>6}   acknowledged {:>6}   again {:>5}",
            tally.sent, waiting, tally.acknowledged, tally.retransmitted
        ),
        format!("   server {server}: {state}, killed {} times", tally.kills),
        row("phone", &tally.phone_status),
        format!(
            "          received {:>6}   copies stopped {:>5}   out of order {:>5}",
            tally.delivered(),
            tally.duplicates_stopped,
            tally.out_of_order
        ),
        String::new(),
        format!("   {}", bar(tally.delivered(), tally.goal)),
        String::new(),
    ];
    let skip = tally.log.len().saturating_sub(LOG_LINES);
    for (when, text) in tally.log.iter().skip(skip) {
        lines.push(clip(&format!("   {:>6.2} s  {text}", when.as_secs_f64())));
    }
    lines.resize(lines.len().max(10 + LOG_LINES), String::new());
    lines
}

fn row(name: &str, status: &str) -> String {
    clip(&format!("{name:>9} {status}"))
}

fn bar(done: u64, goal: u64) -> String {
    const CELLS: u64 = 50;
    let full = (done * CELLS).checked_div(goal).unwrap_or(CELLS);
    let mut bar = String::new();
    for cell in 0..CELLS {
        bar.push(if cell < full { '█' } else { '░' });
    }
    let _ = write!(bar, " {done} of {goal}");
    bar
}

fn clip(line: &str) -> String {
    line.chars().take(WIDTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_keeps_its_height_and_fits_80_columns() {
        let mut tally = Tally::new(100);
        let empty = frame(&tally, "hub", Duration::ZERO).len();
        for n in 0..30 {
            tally.note(Duration::from_secs(n), "x".repeat(200));
        }
        let full = frame(&tally, "hub", Duration::ZERO);
        assert_eq!(full.len(), empty);
        for line in full {
            let visible: String = line
                .replace("\x1b[1m", "")
                .replace("\x1b[0m", "")
                .replace("\x1b[32m", "");
            assert!(visible.chars().count() <= 80, "{visible}");
        }
    }
}
