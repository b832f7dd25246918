//! The connection as a person sees it: the server in use, how it is protected, and what
//! happened to it.

use std::collections::VecDeque;

/// Turns that are remembered.
const TURNS: usize = 64;

/// Where the connection stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum LinkState {
    /// An attempt is under way.
    #[default]
    Connecting,
    /// A stream is up.
    Up {
        /// Our full address.
        jid: String,
        /// Host and port.
        server: String,
        /// Whether the session before goes on.
        resumed: bool,
        /// How it is protected.
        secured: Secured,
    },
    /// None; the next attempt follows.
    Waiting {
        /// In so many milliseconds.
        retry_in: u64,
        /// Why the last one ended or failed.
        why: String,
    },
    /// None, and no attempt either: a person must act.
    Refused {
        /// Why.
        why: String,
    },
    /// The session has ended.
    Closed,
}

/// How a stream is protected. In words, as they stand in the registries of IANA.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Secured {
    /// As `TLS 1.3`; none in the clear.
    pub(crate) tls: Option<String>,
    /// The cipher suite.
    pub(crate) cipher: Option<String>,
    /// As `SCRAM-SHA-256-PLUS`; none after a login by an earlier token.
    pub(crate) mechanism: String,
    /// The channel binding, as `tls-exporter`.
    pub(crate) binding: Option<String>,
    /// Whether the server proved that it knows the account.
    pub(crate) proved: bool,
}

/// Something that happened to the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    /// When, in Unix milliseconds.
    pub(crate) at: i64,
    /// Which server it is about, if it is about one.
    pub(crate) server: Option<String>,
    /// Whether a stream is up from then on.
    pub(crate) up: bool,
    /// What, in one line.
    pub(crate) text: String,
}

/// The connection and its past.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link {
    /// Now.
    pub(crate) state: LinkState,
    /// Since when.
    pub(crate) since: i64,
    /// The server of the last stream.
    pub(crate) server: Option<String>,
    /// Streams that were up, the one in use included.
    pub(crate) streams: u64,
    /// How often the server changed.
    pub(crate) failovers: u64,
    /// The newest last.
    pub(crate) turns: VecDeque<Turn>,
}

impl Link {
    /// Whether a stream is up.
    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.state, LinkState::Up { .. })
    }

    /// It is so from now on.
    pub(super) fn turn(&mut self, at: i64, state: LinkState) {
        let was_up = self.is_up();
        let said = match &state {
            LinkState::Up {
                server, resumed, ..
            } => {
                self.streams += 1;
                let before = self.server.replace(server.clone());
                let changed = before.filter(|before| before != server);
                self.failovers += u64::from(changed.is_some());
                let how = match (changed, resumed) {
                    (Some(before), _) => format!("failed over from {before} to {server}"),
                    (None, true) => format!("resumed at {server}"),
                    (None, false) => format!("connected to {server}"),
                };
                Some((Some(server.clone()), how))
            }
            LinkState::Waiting { why, .. } if was_up || self.is_news(why) => {
                Some((self.server.clone(), why.clone()))
            }
            LinkState::Refused { why } => Some((self.server.clone(), format!("given up: {why}"))),
            LinkState::Closed => Some((None, "the session has ended".to_owned())),
            LinkState::Connecting | LinkState::Waiting { .. } => None,
        };
        let up = matches!(state, LinkState::Up { .. });
        if was_up != up || self.since == 0 {
            self.since = at;
        }
        self.state = state;
        if let Some((server, text)) = said {
            if self.turns.len() == TURNS {
                self.turns.pop_front();
            }
            self.turns.push_back(Turn {
                at,
                server,
                up,
                text,
            });
        }
    }

    /// One cause again and again is told once.
    fn is_news(&self, why: &str) -> bool {
        self.turns.back().is_none_or(|turn| turn.text != why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(server: &str, resumed: bool) -> LinkState {
        LinkState::Up {
            jid: "a@b/c".to_owned(),
            server: server.to_owned(),
            resumed,
            secured: Secured::default(),
        }
    }

    fn waiting(why: &str) -> LinkState {
        LinkState::Waiting {
            retry_in: 1000,
            why: why.to_owned(),
        }
    }

    #[test]
    fn a_change_of_server_is_a_failover_and_a_resumption_is_none() {
        let mut link = Link::default();
        link.turn(1, up("one:5222", false));
        link.turn(2, waiting("lost"));
        link.turn(3, LinkState::Connecting);
        link.turn(4, up("one:5222", true));
        assert_eq!((link.streams, link.failovers), (2, 0));
        link.turn(5, waiting("lost"));
        link.turn(6, up("two:5222", false));
        assert_eq!((link.streams, link.failovers), (3, 1));
        let said: Vec<_> = link.turns.iter().map(|t| t.text.as_str()).collect();
        assert_eq!(
            said,
            [
                "connected to one:5222",
                "lost",
                "resumed at one:5222",
                "lost",
                "failed over from one:5222 to two:5222"
            ]
        );
        assert_eq!(link.since, 6);
    }

    #[test]
    fn a_cause_that_comes_again_is_told_once_and_the_past_is_bounded() {
        let mut link = Link::default();
        for at in 0..10 {
            link.turn(at, waiting("nobody listens"));
            link.turn(at, LinkState::Connecting);
        }
        assert_eq!(link.turns.len(), 1);
        for at in 0..1000 {
            link.turn(at, up("one:5222", true));
            link.turn(at, waiting("lost"));
        }
        assert_eq!(link.turns.len(), TURNS);
    }
}
