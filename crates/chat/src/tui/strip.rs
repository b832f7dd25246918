//! The line at the bottom: the server in use, how it is secured, what waits, and what
//! happened last.

use ratatui::style::Style;
use ratatui::text::{Line as Row, Span};

use super::pen::Pen;
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

/// A piece of the strip: how little it matters, and what it says.
type Piece = (u8, String, Style);

/// The strip, without a connection since that time; what matters less is left out where there is no room. What is long, as a
/// cause, stands at the end and gets what is left.
pub(super) fn line(
    pen: Pen<'_>,
    model: &Model,
    waiting_since: i64,
    columns: usize,
) -> Row<'static> {
    let theme = pen.theme;
    let link = &model.link;
    let mut pieces: Vec<Piece> = Vec::new();
    let mut last = None;
    match &link.state {
        LinkState::Connecting => pieces.push((0, "◌ connecting".to_owned(), theme.doubtful())),
        LinkState::Up {
            server,
            secured: how,
            ..
        } => {
            let server = cut(&glance(server, 100), columns / 2);
            pieces.push((0, format!("▲ {server}"), theme.good()));
            let look = match how.tls {
                Some(_) => theme.faint(),
                None => theme.bad(),
            };
            let matters = [3, 4, 7].into_iter();
            let words = secured(how).into_iter().zip(matters);
            pieces.extend(words.map(|(word, matters)| (matters, word, look)));
            last = link.turns.back().map(|turn| {
                let at = when::hour(pen.zone, turn.at);
                (format!("{at} {}", glance(&turn.text, 200)), theme.faint())
            });
        }
        LinkState::Waiting { retry_in, why } => {
            let retry_in = i64::try_from(*retry_in).unwrap_or(i64::MAX);
            let next = waiting_since.saturating_add(retry_in);
            let when = match next.saturating_sub(pen.now).saturating_add(999) / 1000 {
                left @ 1.. => format!("next try in {left} s"),
                _ => "next try now".to_owned(),
            };
            let text = format!("▽ no connection, {when}");
            pieces.push((0, text, theme.bad()));
            last = Some((glance(why, 300), theme.doubtful()));
        }
        LinkState::Refused { why } => {
            pieces.push((0, "▽ given up".to_owned(), theme.bad()));
            last = Some((glance(why, 300), theme.bad()));
        }
        LinkState::Closed => {
            pieces.push((0, "▽ the session has ended".to_owned(), theme.bad()));
        }
    }
    let now = &model.flow.now;
    let look = match now.queued {
        0 => theme.faint(),
        _ => theme.doubtful(),
    };
    pieces.push((1, format!("queue {}", now.queued), look));
    if now.in_doubt > 0 {
        let text = format!("in doubt {}", now.in_doubt);
        pieces.push((2, text, theme.doubtful()));
    }
    // While there is no connection, its cause matters more.
    if matches!(link.state, LinkState::Connecting | LinkState::Up { .. }) {
        let text = format!("repeated {}", now.retransmitted);
        pieces.push((5, text, theme.faint()));
        let text = format!("duplicates stopped {}", now.duplicates);
        pieces.push((6, text, theme.faint()));
    }
    fitted(pen, pieces, last, columns)
}

fn fitted(
    pen: Pen<'_>,
    mut pieces: Vec<Piece>,
    last: Option<(String, Style)>,
    columns: usize,
) -> Row<'static> {
    const BETWEEN: &str = " · ";
    let between = width(BETWEEN);
    let wide = |pieces: &[Piece]| -> usize {
        let all = pieces.iter().map(|(_, text, _)| width(text) + between);
        all.sum()
    };
    while pieces.len() > 1 && wide(&pieces) > columns + 1 {
        let least = pieces.iter().map(|(matters, ..)| *matters).max();
        pieces.retain(|(matters, ..)| Some(*matters) != least);
    }
    let left = (columns + 1).saturating_sub(wide(&pieces));
    // A piece that says nothing any more is no piece.
    if let Some((text, look)) = last
        && left >= 10 + between
    {
        pieces.push((9, cut(&text, left - between), look));
    }
    let mut spans = vec![Span::raw(" ")];
    for (number, (_, text, look)) in pieces.into_iter().enumerate() {
        if number > 0 {
            spans.push(Span::styled(BETWEEN, pen.theme.faint()));
        }
        spans.push(Span::styled(cut(&text, columns), look));
    }
    Row::from(spans)
}
