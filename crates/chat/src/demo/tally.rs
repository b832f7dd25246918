//! What the demo counts, from what its two ends report. Pure state: no processes, no
//! screen.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Lines of the log that are kept for the screen.
const LOG: usize = 200;

/// What an end of the demo reports, as one line of JSON on its standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub(crate) enum Report {
    /// The connection changed.
    Status {
        /// For people.
        text: String,
        /// Whether a stream is up.
        connected: bool,
    },
    /// The sensor's outbox has kept this many messages.
    Kept {
        /// Messages so far.
        count: u64,
    },
    /// The sensor's counters.
    Sensor {
        /// Messages acknowledged by the phone.
        acknowledged: u64,
        /// Messages with any other outcome.
        failed: u64,
        /// Transmissions that were not the first.
        retransmitted: u64,
    },
    /// The phone's application acted on a message, numbered from 1.
    Received {
        /// Its number.
        number: u64,
    },
    /// The phone's counters.
    Phone {
        /// Copies that deduplication stopped.
        duplicates_stopped: u64,
    },
}

/// The state of the run.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Messages to be sent.
    pub(crate) goal: u64,
    /// Kept by the sensor.
    pub(crate) sent: u64,
    /// Acknowledged, as the sensor knows it.
    pub(crate) acknowledged: u64,
    /// Ended in another way.
    pub(crate) failed: u64,
    /// Sent again.
    pub(crate) retransmitted: u64,
    /// Copies stopped at the phone.
    pub(crate) duplicates_stopped: u64,
    /// Whether the phone's application has acted on each message.
    effects: Vec<bool>,
    delivered: u64,
    duplicated: u64,
    /// Messages that the application got after a later one.
    pub(crate) out_of_order: u64,
    highest: u64,
    /// Kills so far.
    pub(crate) kills: u64,
    /// Kills that were asked for.
    kills_asked: u64,
    /// The server.
    pub(crate) server: ServerState,
    /// The sensor's connection.
    pub(crate) sensor: Connection,
    /// The phone's connection.
    pub(crate) phone: Connection,
    /// Since the beginning.
    pub(crate) log: VecDeque<(Duration, String)>,
}

/// An end's connection, as it says.
#[derive(Debug)]
pub(crate) struct Connection {
    /// For people.
    pub(crate) text: String,
    /// Whether a stream is up.
    pub(crate) up: bool,
}

impl Connection {
    fn new() -> Self {
        Self {
            text: "starting".to_owned(),
            up: false,
        }
    }
}

/// The server, as the demo knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerState {
    Up,
    Killed,
    Starting,
}

/// Which end reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Sensor,
    Phone,
}

impl Tally {
    pub(crate) fn new(goal: u64, kills: u64) -> Self {
        Self {
            goal,
            sent: 0,
            acknowledged: 0,
            failed: 0,
            retransmitted: 0,
            duplicates_stopped: 0,
            effects: vec![false; usize::try_from(goal).unwrap_or(usize::MAX)],
            delivered: 0,
            duplicated: 0,
            out_of_order: 0,
            highest: 0,
            kills: 0,
            kills_asked: kills,
            server: ServerState::Up,
            sensor: Connection::new(),
            phone: Connection::new(),
            log: VecDeque::new(),
        }
    }

    pub(crate) fn note(&mut self, at: Duration, text: impl Into<String>) {
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back((at, text.into()));
    }

    pub(crate) fn report(&mut self, at: Duration, end: End, report: Report) {
        match report {
            Report::Status { text, connected } => {
                let (name, connection) = match end {
                    End::Sensor => ("sensor", &mut self.sensor),
                    End::Phone => ("phone", &mut self.phone),
                };
                connection.up = connected;
                // Each attempt begins with the same word; the log has what came of it.
                let news = connection.text != text && text != "connecting";
                connection.text.clone_from(&text);
                if news {
                    self.note(at, format!("{name}: {text}"));
                }
            }
            Report::Kept { count } => self.sent = self.sent.max(count),
            Report::Sensor {
                acknowledged,
                failed,
                retransmitted,
            } => {
                self.acknowledged = acknowledged;
                self.failed = failed;
                self.retransmitted = retransmitted;
            }
            Report::Received { number } => self.effect(number),
            Report::Phone { duplicates_stopped } => self.duplicates_stopped = duplicates_stopped,
        }
    }

    fn effect(&mut self, number: u64) {
        let index = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        // A number from nowhere is none of ours.
        let Some(acted) = index.and_then(|i| self.effects.get_mut(i)) else {
            return;
        };
        if std::mem::replace(acted, true) {
            self.duplicated += 1;
        } else {
            self.delivered += 1;
        }
        if number < self.highest {
            self.out_of_order += 1;
        }
        self.highest = self.highest.max(number);
    }

    /// What happened to the server.
    pub(crate) fn server_is(&mut self, at: Duration, state: ServerState) {
        self.server = state;
        match state {
            ServerState::Killed => {
                self.kills += 1;
                let of = match self.kills_asked {
                    0 => String::new(),
                    asked => format!(" ({} of {asked})", self.kills),
                };
                let text = format!(
                    "server killed{of}: {} received, {} without receipt",
                    self.delivered,
                    self.waiting()
                );
                self.note(at, text);
            }
            ServerState::Starting => {}
            ServerState::Up => self.note(at, "server started again"),
        }
    }

    /// Messages that were kept and have no outcome yet.
    pub(crate) fn waiting(&self) -> u64 {
        self.sent.saturating_sub(self.acknowledged + self.failed)
    }

    /// Messages on which the application acted at least once.
    pub(crate) const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Messages that were kept and on which it did not act.
    pub(crate) fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.delivered)
    }

    /// Times that it acted on a message again.
    pub(crate) const fn duplicated(&self) -> u64 {
        self.duplicated
    }

    /// Whether both ends are done: everything has an outcome.
    pub(crate) fn settled(&self) -> bool {
        self.sent == self.goal && self.acknowledged + self.failed == self.goal
    }

    /// Whether the run kept the promise.
    pub(crate) fn passed(&self) -> bool {
        self.settled()
            && self.sent == self.goal
            && self.acknowledged == self.goal
            && self.delivered() == self.goal
            && self.duplicated() == 0
    }

    /// The one line that matters.
    pub(crate) fn verdict(&self) -> String {
        format!(
            "sent {}, delivered {}, lost {}, duplicated {}",
            self.sent,
            self.delivered(),
            self.lost(),
            self.duplicated()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(goal: u64, received: &[u64]) -> Tally {
        let mut tally = Tally::new(goal, 0);
        tally.report(Duration::ZERO, End::Sensor, Report::Kept { count: goal });
        let counters = Report::Sensor {
            acknowledged: goal,
            failed: 0,
            retransmitted: 0,
        };
        tally.report(Duration::ZERO, End::Sensor, counters);
        for number in received {
            tally.report(
                Duration::ZERO,
                End::Phone,
                Report::Received { number: *number },
            );
        }
        tally
    }

    #[test]
    fn only_each_message_exactly_once_passes() {
        assert!(tally(3, &[1, 2, 3]).passed());
        assert!(!tally(3, &[1, 2]).passed());
        assert!(!tally(3, &[1, 2, 3, 3]).passed());
        assert_eq!(
            tally(3, &[1, 2, 2]).verdict(),
            "sent 3, delivered 2, lost 1, duplicated 1"
        );
    }

    #[test]
    fn an_acknowledgement_that_is_missing_does_not_pass() {
        let mut t = tally(2, &[1, 2]);
        t.report(
            Duration::ZERO,
            End::Sensor,
            Report::Sensor {
                acknowledged: 1,
                failed: 1,
                retransmitted: 0,
            },
        );
        assert!(t.settled() && !t.passed());
    }

    #[test]
    fn order_is_counted_and_numbers_from_nowhere_are_not_believed() {
        assert_eq!(tally(3, &[2, 1, 3]).out_of_order, 1);
        assert_eq!(tally(1, &[0, 7]).delivered(), 0);
    }
}
