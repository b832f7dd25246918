//! What every pane draws with: how things look, where the clock stands, and a line at its
//! place. It knows no pane.

use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line as Row;

use super::theme::Theme;

/// What a drawing depends on beside what it shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pen<'a> {
    /// How things look.
    pub(super) theme: Theme,
    /// In which times are written.
    pub(super) zone: &'a TimeZone,
    /// The time, in Unix milliseconds.
    pub(super) now: i64,
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
