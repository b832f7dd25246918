//! Windows over the screen: where they stand, and their frames. What is in them is theirs.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line as Row, Span};
use ratatui::widgets::{Block, Clear};

use super::pen::put;
use super::text::cut;
use super::theme::Theme;

/// Columns of a window with a question, and of one that is read.
const WIDTH: u16 = 64;
const PAGE: u16 = 100;

/// A window in the middle, as high as its lines; where its inside is.
pub(super) fn middle(frame: &mut Frame<'_>, theme: Theme, title: &str, rows: usize) -> Rect {
    let area = place(frame.area(), rows, WIDTH);
    open(frame, theme, title, area)
}

/// A window as wide as text is read well, and as high as the screen; where its inside is.
pub(super) fn page(frame: &mut Frame<'_>, theme: Theme, title: &str) -> Rect {
    let area = place(frame.area(), usize::from(u16::MAX), PAGE);
    open(frame, theme, title, area)
}

/// The inside of such a page, on a terminal of so many columns and rows.
pub(super) fn page_inside((width, height): (u16, u16)) -> Rect {
    let area = place(Rect::new(0, 0, width, height), usize::from(u16::MAX), PAGE);
    inside(Block::bordered().inner(area))
}

/// A blank at each side.
fn inside(area: Rect) -> Rect {
    Rect {
        x: area.x.saturating_add(1).min(area.right()),
        width: area.width.saturating_sub(2),
        ..area
    }
}

fn open(frame: &mut Frame<'_>, theme: Theme, title: &str, area: Rect) -> Rect {
    frame.render_widget(Clear, area);
    let title = cut(title, usize::from(area.width.saturating_sub(4)));
    let block = Block::bordered()
        .border_style(theme.own())
        .title(Span::styled(format!(" {title} "), theme.bold()));
    let within = block.inner(area);
    frame.render_widget(block, area);
    inside(within)
}

/// In the middle, and not over the strip.
fn place(screen: Rect, rows: usize, most: u16) -> Rect {
    let height = screen.height.saturating_sub(1).max(1);
    let wide = screen
        .width
        .saturating_sub(4)
        .min(most)
        .max(screen.width.min(36));
    let high = u16::try_from(rows.saturating_add(2))
        .unwrap_or(u16::MAX)
        .min(height);
    Rect {
        x: screen.x + screen.width.saturating_sub(wide) / 2,
        y: screen.y + (height - high) / 2,
        width: wide,
        height: high,
    }
}

/// Where a window with so many lines stands.
pub(super) fn outside(screen: Rect, rows: usize) -> Rect {
    place(screen, rows, WIDTH)
}

/// How many columns a window has inside.
pub(super) fn columns(screen: Rect) -> usize {
    usize::from(place(screen, 1, WIDTH).width.saturating_sub(4)).max(1)
}

/// Draws a window in the middle, as high as its lines.
pub(super) fn draw(frame: &mut Frame<'_>, theme: Theme, title: &str, lines: Vec<Row<'static>>) {
    let area = middle(frame, theme, title, lines.len());
    // The end is what can be answered.
    let skip = lines.len().saturating_sub(area.height.into());
    for (row, line) in lines.into_iter().skip(skip).enumerate() {
        put(frame, area, u16::try_from(row).unwrap_or(u16::MAX), line);
    }
}
