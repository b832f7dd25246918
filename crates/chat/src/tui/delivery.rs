//! The delivery view: what became of messages in figures, what waited over time, and what
//! the connection did.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::symbols::Marker;
use ratatui::text::{Line as Row, Span};
use ratatui::widgets::{Axis, Block, Chart, Clear, Dataset, GraphType};

use super::pen::{Pen, put};
use super::text::{cut, fit, glance, wrap};
use super::{strip, when};
use crate::app::{LinkState, Model};

/// Rows that the chart has where there is room for it.
const CHART: u16 = 8;

/// Draws it over the whole screen but the strip.
pub(super) fn view(pen: Pen<'_>, model: &Model, top: usize, frame: &mut Frame<'_>, area: Rect) {
    let theme = pen.theme;
    frame.render_widget(Clear, area);
    let title = " Delivery · Up, Down scroll · Esc ";
    let block = Block::bordered()
        .border_style(theme.own())
        .title(Span::styled(
            cut(title, usize::from(area.width.saturating_sub(2))),
            theme.bold(),
        ));
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let columns = usize::from(inside.width);
    let head = head(pen, model, columns);
    let figures = figures(pen, model, columns);
    let mut row = 0;
    for line in head.into_iter().chain(figures) {
        put(frame, inside, row, line);
        row += 1;
    }
    let left = inside.height.saturating_sub(row);
    if left >= CHART + 4 && inside.width >= 30 {
        let place = Rect {
            y: inside.y + row,
            height: CHART,
            ..inside
        };
        chart(pen, model, frame, place);
        row += CHART;
    }
    let past = past(pen, model, columns);
    let rows = usize::from(inside.height.saturating_sub(row));
    let top = top.min(past.len().saturating_sub(rows));
    for line in past.into_iter().skip(top).take(rows) {
        put(frame, inside, row, line);
        row += 1;
    }
}

fn head(pen: Pen<'_>, model: &Model, columns: usize) -> Vec<Row<'static>> {
    let theme = pen.theme;
    let link = &model.link;
    let mut lines = Vec::new();
    let since = when::ago(pen.now, link.since);
    let state = match &link.state {
        LinkState::Up {
            jid,
            server,
            secured,
            resumed,
        } => {
            let words = strip::secured(secured).join(" · ");
            let cipher = secured.cipher.as_deref().unwrap_or_default();
            let proved = match secured.proved {
                true => "the server proved that it knows the account",
                false => "the server proved nothing beyond its certificate",
            };
            let how = if *resumed { "resumed" } else { "new session" };
            lines.push(Row::from(cut(
                &format!(" {words} {}", glance(cipher, 60)),
                columns,
            )));
            lines.push(Row::from(cut(&format!(" {proved}"), columns)));
            let who = format!(
                "▲ {} at {}, {how}, for {since}",
                glance(jid, 100),
                glance(server, 100)
            );
            Row::styled(cut(&format!(" {who}"), columns), theme.good())
        }
        LinkState::Connecting => Row::styled(" ◌ connecting", theme.doubtful()),
        LinkState::Waiting { why, .. } => {
            let why = glance(why, 300);
            Row::styled(cut(&format!(" ▽ for {since}: {why}"), columns), theme.bad())
        }
        LinkState::Refused { why } => {
            let why = glance(why, 300);
            Row::styled(cut(&format!(" ▽ given up: {why}"), columns), theme.bad())
        }
        LinkState::Closed => Row::styled(" ▽ the session has ended", theme.bad()),
    };
    lines.insert(0, state);
    lines
}

/// The figures, in as many columns as there is room for.
fn figures(pen: Pen<'_>, model: &Model, columns: usize) -> Vec<Row<'static>> {
    let theme = pen.theme;
    let now = &model.flow.now;
    let rate = |of: fn(&crate::app::Gauge) -> u64| -> String {
        let last = model.flow.per_second(10, of);
        let sum: u64 = last.iter().sum();
        match (sum, u64::try_from(last.len())) {
            (1.., Ok(seconds @ 1..)) => {
                let tenths = sum.saturating_mul(10) / seconds;
                format!(" ({}.{}/s)", tenths / 10, tenths % 10)
            }
            _ => String::new(),
        }
    };
    let all: [(&str, String, bool); 12] = [
        ("waiting", now.queued.to_string(), now.queued > 0),
        (
            "accepted",
            format!("{}{}", now.accepted, rate(|g| g.accepted)),
            false,
        ),
        (
            "transmitted",
            format!("{}{}", now.transmitted, rate(|g| g.transmitted)),
            false,
        ),
        ("repeated", now.retransmitted.to_string(), false),
        ("acknowledged", now.acknowledged.to_string(), false),
        ("delivered", now.delivered.to_string(), false),
        (
            "not delivered",
            now.not_delivered.to_string(),
            now.not_delivered > 0,
        ),
        ("in doubt", now.in_doubt.to_string(), now.in_doubt > 0),
        (
            "received",
            format!("{}{}", now.received, rate(|g| g.received)),
            false,
        ),
        ("duplicates stopped", now.duplicates.to_string(), false),
        ("streams", model.link.streams.to_string(), false),
        ("failovers", model.link.failovers.to_string(), false),
    ];
    let across = (columns / 34).clamp(1, 3);
    let wide = columns / across;
    let mut lines = Vec::new();
    let rows = all.len().div_ceil(across);
    for row in 0..rows {
        let mut spans = Vec::new();
        for (name, value, look) in all.iter().skip(row).step_by(rows) {
            let look = if *look {
                theme.doubtful()
            } else {
                theme.bold()
            };
            let name_wide = 20.min(wide / 2);
            spans.push(Span::raw(format!(" {}", fit(name, name_wide))));
            let left = wide.saturating_sub(name_wide + 1);
            spans.push(Span::styled(fit(value, left), look));
        }
        lines.push(Row::from(spans));
    }
    lines
}

/// What waited, over the last minutes.
fn chart(pen: Pen<'_>, model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let theme = pen.theme;
    let past = &model.flow.past;
    // A second is a point: less than 2^53 of them, and no queue is longer than that either.
    #[allow(clippy::cast_precision_loss)]
    let points: Vec<(f64, f64)> = past
        .iter()
        .map(|g| ((g.at - pen.now) as f64 / 1000.0, g.queued as f64))
        .collect();
    let most = points.iter().map(|(_, y)| *y).fold(1.0, f64::max);
    let first = points.first().map_or(-60.0, |(x, _)| *x).min(-60.0);
    let back = format!("{:.0} min ago", (-first / 60.0).ceil());
    let data = Dataset::default()
        .marker(Marker::Braille)
        .graph_type(GraphType::Line)
        .style(theme.own())
        .data(&points);
    let chart = Chart::new(vec![data])
        .x_axis(
            Axis::default()
                .style(theme.faint())
                .bounds([first, 0.0])
                .labels([Span::raw(back), Span::raw("now")]),
        )
        .y_axis(
            Axis::default()
                .title("waiting")
                .style(theme.faint())
                .bounds([0.0, most])
                .labels([Span::raw("0"), Span::raw(format!("{most:.0}"))]),
        );
    frame.render_widget(chart, area);
}

/// What the connection did, the latest first; then what was told to the person.
fn past(pen: Pen<'_>, model: &Model, columns: usize) -> Vec<Row<'static>> {
    let theme = pen.theme;
    let mut lines = vec![Row::styled(" The connection", theme.bold())];
    for turn in model.link.turns.iter().rev() {
        let (sign, look) = match turn.up {
            true => ("▲", theme.good()),
            false => ("▽", theme.bad()),
        };
        let text = wrap(&turn.text, columns.saturating_sub(13), 3);
        for (number, part) in text.into_iter().enumerate() {
            lines.push(match number {
                0 => Row::from(vec![
                    Span::styled(
                        format!(" {} ", when::second(pen.zone, turn.at)),
                        theme.faint(),
                    ),
                    Span::styled(format!("{sign} "), look),
                    Span::raw(part),
                ]),
                _ => Row::raw(format!("{:12}{part}", "")),
            });
        }
    }
    lines.push(Row::default());
    lines.push(Row::styled(" What was told", theme.bold()));
    for notice in model.notices.iter().rev() {
        let (sign, look) = theme.severity(notice.severity);
        let text = wrap(&notice.text, columns.saturating_sub(13), 3);
        for (number, part) in text.into_iter().enumerate() {
            lines.push(match number {
                0 => Row::from(vec![
                    Span::styled(
                        format!(" {} ", when::second(pen.zone, notice.at)),
                        theme.faint(),
                    ),
                    Span::styled(format!("{sign} "), look),
                    Span::raw(part),
                ]),
                _ => Row::raw(format!("{:12}{part}", "")),
            });
        }
    }
    lines
}
