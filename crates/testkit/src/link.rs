//! One connection between a client and a server, as TCP gives it: in order, whole, late,
//! or broken. Who learns of a break, and when, is the test's to decide: silence is the
//! hard case.

use std::time::Duration;

use crate::Random;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Client to server.
    Up,
    /// Server to client.
    Down,
}

/// The connection.
#[derive(Debug, Clone)]
pub struct Link {
    latency: Duration,
    /// When the last packet of each direction arrives.
    last: [Duration; 2],
    stalled_until: Duration,
    /// Whether nothing arrives any more, for each direction.
    cut: [bool; 2],
}

impl Link {
    /// A connection whose packets take `latency`, and up to a half more.
    #[must_use]
    pub const fn new(latency: Duration) -> Self {
        Self {
            latency,
            last: [Duration::ZERO; 2],
            stalled_until: Duration::ZERO,
            cut: [false; 2],
        }
    }

    /// When a packet sent now arrives, never before an earlier one; `None` if it never
    /// does. The sender does not learn which.
    pub fn send(
        &mut self,
        now: Duration,
        direction: Direction,
        random: &mut Random,
    ) -> Option<Duration> {
        if self.cut[direction as usize] {
            return None;
        }
        let arrival = now.max(self.stalled_until) + self.latency + {
            random.time(Duration::ZERO, self.latency / 2 + Duration::from_millis(1))
        };
        let last = &mut self.last[direction as usize];
        *last = arrival.max(*last);
        Some(*last)
    }

    /// Nothing sent from now on arrives before `until` and the latency.
    pub fn stall(&mut self, until: Duration) {
        self.stalled_until = self.stalled_until.max(until);
    }

    /// Nothing arrives any more; ask [`Link::is_cut`] when a packet's time comes.
    pub const fn cut(&mut self) {
        self.cut = [true; 2];
    }

    /// Nothing arrives any more in that direction: a black hole with one mouth.
    pub const fn cut_one_way(&mut self, direction: Direction) {
        self.cut[direction as usize] = true;
    }

    /// Whether the connection is broken in that direction.
    #[must_use]
    pub const fn is_cut(&self, direction: Direction) -> bool {
        self.cut[direction as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_keep_their_order_through_a_stall() {
        let mut random = Random::new(3);
        let mut link = Link::new(Duration::from_millis(10));
        let first = link.send(Duration::ZERO, Direction::Up, &mut random);
        link.stall(Duration::from_secs(5));
        let second = link.send(Duration::ZERO, Direction::Up, &mut random);
        let third = link.send(Duration::from_secs(6), Direction::Up, &mut random);
        assert!(first < second && second < third);
        assert!(second >= Some(Duration::from_secs(5)));
        link.cut();
        assert_eq!(
            link.send(Duration::from_secs(7), Direction::Up, &mut random),
            None
        );
    }

    #[test]
    fn a_link_can_be_open_one_way() {
        let mut random = Random::new(3);
        let mut link = Link::new(Duration::from_millis(10));
        link.cut_one_way(Direction::Up);
        assert!(link.is_cut(Direction::Up) && !link.is_cut(Direction::Down));
        let mut send = |direction| link.send(Duration::ZERO, direction, &mut random);
        assert!(send(Direction::Up).is_none() && send(Direction::Down).is_some());
    }
}
