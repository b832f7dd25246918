//! The line at the bottom: the server in use, how it is secured, what waits, and what
//! happened last.

use ratatui::style::Style;
use ratatui::text::{Line as Row, Span};

use super::screen::Screen;
use super::text::{clean, cut, glance, width};
use super::when;
use crate::app::{LinkState, Model, Secured};

/// What protects the stream, in words.
pub(super) fn secured(secured: &Secured) -> Vec<String> {
    let mut words = Vec::new();
    words.push(match &secured.tls {
        Some(tls) => clean(tls),
        None => "IN THE CLEAR".to_owned(),
    });
    if !secured.mechanism.is_empty() {
        words.push(clean(&secured.mechanism));
    }
    match &secured.binding {
        Some(binding) => words.push(clean(binding)),
        None => words.push("not bound".to_owned()),
    }
    words
}

/// The strip; what matters less is left out where there is no room.
pub(super) fn line(screen: &Screen, model: &Model, columns: usize) -> Row<'static> {
    let theme = screen.theme;
    let link = &model.link;
    let mut first: Vec<(String, Style)> = Vec::new();
    let mut more: Vec<(String, Style)> = Vec::new();
    match &link.state {
        LinkState::Connecting => first.push(("◌ connecting".to_owned(), theme.doubtful())),
        LinkState::Up {
            server,
            secured: how,
            ..
        } => {
            first.push((format!("▲ {}", glance(server, 100)), theme.good()));
            let look = match how.tls {
                Some(_) => theme.faint(),
                None => theme.bad(),
            };
            for word in secured(how) {
                more.push((word, look));
            }
        }
        LinkState::Waiting { retry_in, why } => {
            let retry_in = i64::try_from(*retry_in).unwrap_or(i64::MAX);
            let left = screen.waiting_since.saturating_add(retry_in) - screen.now;
            let when = match (left + 999) / 1000 {
                left @ 1.. => format!("next try in {left} s"),
                _ => "next try now".to_owned(),
            };
            first.push((format!("▽ no connection, {when}"), theme.bad()));
            more.push((glance(why, 300), theme.doubtful()));
        }
        LinkState::Refused { why } => {
            first.push(("▽ given up".to_owned(), theme.bad()));
            more.push((glance(why, 300), theme.bad()));
        }
        LinkState::Closed => first.push(("▽ the session has ended".to_owned(), theme.bad())),
    }
    let now = &model.flow.now;
    let mut figures: Vec<(String, Style)> = Vec::new();
    let look = match now.queued {
        0 => theme.faint(),
        _ => theme.doubtful(),
    };
    figures.push((format!("queue {}", now.queued), look));
    if now.in_doubt > 0 {
        figures.push((format!("in doubt {}", now.in_doubt), theme.doubtful()));
    }
    figures.push((format!("repeated {}", now.retransmitted), theme.faint()));
    figures.push((
        format!("duplicates stopped {}", now.duplicates),
        theme.faint(),
    ));
    let waits = matches!(
        link.state,
        LinkState::Waiting { .. } | LinkState::Refused { .. }
    );
    let (then, last) = match waits {
        true => (more, figures),
        false => (figures, more),
    };
    let mut all = first;
    let queue = then.into_iter();
    all.extend(queue);
    all.extend(last);
    if let Some(turn) = link.turns.back().filter(|_| link.is_up()) {
        let text = format!(
            "{} {}",
            when::hour(&screen.zone, turn.at),
            glance(&turn.text, 200)
        );
        all.push((text, theme.faint()));
    }
    let mut spans = vec![Span::raw(" ")];
    let mut left = columns.saturating_sub(1);
    for (number, (text, look)) in all.into_iter().enumerate() {
        let before = if number == 0 { "" } else { " · " };
        let room = left.saturating_sub(width(before));
        // A piece is cut only if there is something of it left that can be read.
        if room < width(&text).min(12) {
            break;
        }
        let text = cut(&text, room);
        left = room.saturating_sub(width(&text));
        spans.push(Span::styled(before, theme.faint()));
        spans.push(Span::styled(text, look));
    }
    Row::from(spans)
}
