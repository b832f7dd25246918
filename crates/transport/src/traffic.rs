//! What went over a pipe, counted where the bytes leave for the network: below TLS, and
//! below WebSocket. How long it took is the caller's to measure.

use std::fmt;

/// The traffic of one connection since it was dialled or accepted. It counts on through
/// a TLS handshake, for TLS is spoken over the same pipe. Bytes are those that the
/// network is handed, without the headers of TCP and IP; what failed is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub struct Traffic {
    /// Writes that the system took, whole or in part: system calls, on a socket.
    pub writes: u64,
    /// Reads that gave bytes.
    pub reads: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// How often an answer of the peer was awaited: one for the TCP connection of a
    /// dialled pipe, and one each time that bytes came after some were written since
    /// bytes came last. On a connection that does nothing but wait for answers, these
    /// are round trips. Looking up a name is not in it.
    pub turns: u64,
}

/// In one line, for people.
impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} turns, {} bytes sent by {} writes, {} bytes received by {} reads",
            self.turns, self.bytes_out, self.writes, self.bytes_in, self.reads
        )
    }
}

/// Counts, for the pipe that it belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meter {
    traffic: Traffic,
    /// Whether bytes were written since some came.
    asked: bool,
}

impl Meter {
    /// Of a connection that the peer has answered already, once.
    pub(crate) fn dialled() -> Self {
        let mut meter = Self::default();
        meter.traffic.turns = 1;
        meter
    }

    pub(crate) const fn traffic(&self) -> Traffic {
        self.traffic
    }

    pub(crate) const fn wrote(&mut self, bytes: usize) {
        if bytes > 0 {
            self.traffic.writes += 1;
            self.traffic.bytes_out += bytes as u64;
            self.asked = true;
        }
    }

    pub(crate) const fn read(&mut self, bytes: usize) {
        if bytes > 0 {
            self.traffic.reads += 1;
            self.traffic.bytes_in += bytes as u64;
            self.traffic.turns += self.asked as u64;
            self.asked = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_an_answer_to_all_that_was_written_before() {
        let mut meter = Meter::dialled();
        meter.read(5);
        assert_eq!(meter.traffic().turns, 1, "nothing was asked");
        meter.wrote(3);
        meter.wrote(4);
        meter.read(0);
        assert_eq!(meter.traffic().turns, 1, "the end of input is no answer");
        meter.read(6);
        meter.read(7);
        meter.wrote(0);
        meter.read(1);
        let expected = Traffic {
            writes: 2,
            reads: 4,
            bytes_out: 7,
            bytes_in: 19,
            turns: 2,
        };
        assert_eq!(meter.traffic(), expected);
        assert_eq!(
            expected.to_string(),
            "2 turns, 7 bytes sent by 2 writes, 19 bytes received by 4 reads"
        );
    }
}
