//! The outbox's window: which messages are in memory, which are on a stream, when one
//! is sent again, and when its time is over. Counting on the stream is
//! `management`'s; what becomes durable is decided in `mod`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use stanchion_stanza::BareJid;
use stanchion_stanza::payload::datetime;
use stanchion_stanza::stanza::DefinedCondition;

use super::config::EngineConfig;
use super::rto::Rto;
use crate::protection::Protection;
use crate::store::WallTime;

/// Peers whose round-trip estimate is remembered while nothing is on its way to them.
const KNOWN_PEERS: usize = 1024;

/// Where a message of the window stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not durable yet.
    Persisting,
    /// Waits for its turn, or for a stream.
    Kept,
    /// On a stream; the server has not acknowledged it.
    InFlight,
    /// The server has it; the receipt is awaited.
    ServerAccepted,
}

/// A message of the window.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) id: String,
    pub(super) peer: BareJid,
    pub(super) stanza: Bytes,
    pub(super) accepted_at: WallTime,
    /// On the monotonic clock.
    pub(super) deadline: Option<Duration>,
    /// What a stream must meet.
    pub(super) protection: Protection,
    /// A stream was up that could not carry it while it waited, for its own sake or for
    /// that of an earlier one.
    pub(super) held_back: bool,
    pub(super) stage: Stage,
    /// Transmissions in this process life.
    pub(super) transmissions: u32,
    /// Accepted by an earlier engine, which may have sent it, whatever its record says.
    pub(super) inherited: bool,
    /// When the last transmission was.
    pub(super) sent_at: Duration,
    /// When it is sent again, if nothing happens before.
    pub(super) retry_at: Option<Duration>,
    /// The last error that came back.
    pub(super) last_error: Option<DefinedCondition>,
    /// The last copy came back.
    pub(super) bounced: bool,
}

impl Flight {
    /// Whether any transport may have had it: false only for a message that this
    /// engine accepted and never transmitted.
    pub(super) const fn maybe_sent(&self) -> bool {
        self.inherited || self.transmissions > 0
    }

    /// It is transmitted now.
    const fn transmitted(&mut self, now: Duration) {
        self.stage = Stage::InFlight;
        self.transmissions = self.transmissions.saturating_add(1);
        self.sent_at = now;
        self.retry_at = None;
        self.bounced = false;
    }
}

/// Per-peer state.
#[derive(Debug)]
struct Peer {
    rto: Rto,
    /// Messages in the stages `InFlight` and `ServerAccepted`.
    in_flight: usize,
}

/// The window.
#[derive(Debug)]
pub(super) struct Window {
    config: EngineConfig,
    flights: BTreeMap<u64, Flight>,
    by_id: HashMap<String, u64>,
    peers: HashMap<BareJid, Peer>,
    /// What the stream offers, or the last one did.
    stream: Protection,
    /// State of a small generator for jitter.
    jitter: u64,
}

impl Window {
    pub(super) fn new(config: EngineConfig, entropy: u64) -> Self {
        Self {
            config,
            flights: BTreeMap::new(),
            by_id: HashMap::new(),
            peers: HashMap::new(),
            stream: Protection::Any,
            jitter: entropy | 1,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.flights.len() < self.config.in_memory
    }

    pub(super) fn insert(&mut self, seq: u64, flight: Flight) {
        // An id that is given again is refused by the store; until then, and after,
        // it is the first one's.
        self.by_id.entry(flight.id.clone()).or_insert(seq);
        self.peers
            .entry(flight.peer.clone())
            .or_insert_with(|| Peer {
                rto: Rto::new(self.config.rto),
                in_flight: 0,
            });
        self.flights.insert(seq, flight);
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Flight> {
        self.flights.get(&seq)
    }

    pub(super) fn seq_of(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    /// Takes a message out: it has an outcome.
    pub(super) fn remove(&mut self, seq: u64) -> Option<Flight> {
        let flight = self.flights.remove(&seq)?;
        if self.by_id.get(&flight.id) == Some(&seq) {
            self.by_id.remove(&flight.id);
        }
        let counted = matches!(flight.stage, Stage::InFlight | Stage::ServerAccepted);
        self.uncount(&flight.peer, counted);
        // Estimates outlive their messages, up to a bound.
        if self.peers.len() > KNOWN_PEERS {
            let flights = &self.flights;
            self.peers
                .retain(|jid, _| flights.values().any(|f| f.peer == *jid));
        }
        Some(flight)
    }

    fn uncount(&mut self, peer: &BareJid, counted: bool) {
        if let (true, Some(peer)) = (counted, self.peers.get_mut(peer)) {
            peer.in_flight = peer.in_flight.saturating_sub(1);
        }
    }

    /// The message is durable.
    pub(super) fn kept(&mut self, seq: u64) {
        if let Some(flight) = self.flights.get_mut(&seq)
            && flight.stage == Stage::Persisting
        {
            flight.stage = Stage::Kept;
        }
    }

    /// The next message to put on the stream, if its peer's window has room; the
    /// caller transmits what is given. Messages to one peer leave in order.
    pub(super) fn next_to_send(&mut self, now: Duration, managed: bool) -> Option<(u64, Bytes)> {
        let seq = self.sendable()?;
        let wait = self.random_share();
        let flight = self.flights.get_mut(&seq)?;
        let peer = self.peers.get_mut(&flight.peer)?;
        peer.in_flight += 1;
        let again = flight.maybe_sent();
        flight.transmitted(now);
        // On a managed stream the timer starts when the server has the message.
        flight.retry_at =
            (!managed).then(|| now + stretch(peer.rto.timeout(flight.transmissions), wait));
        let bytes = if again {
            with_delay(&flight.stanza, flight.accepted_at)
        } else {
            flight.stanza.clone()
        };
        Some((seq, bytes))
    }

    /// The first message that waits, of the peers whose window has room. A message
    /// that is not durable yet, or that the stream may not carry, holds back its peer's
    /// later ones.
    fn sendable(&self) -> Option<u64> {
        let mut held: Vec<&BareJid> = Vec::new();
        for (seq, flight) in &self.flights {
            if held.contains(&&flight.peer) {
                continue;
            }
            match flight.stage {
                Stage::InFlight | Stage::ServerAccepted => {}
                Stage::Persisting => held.push(&flight.peer),
                Stage::Kept => {
                    let room = self
                        .peers
                        .get(&flight.peer)
                        .is_some_and(|p| p.in_flight < self.config.window);
                    if room && self.stream.meets(flight.protection) {
                        return Some(*seq);
                    }
                    held.push(&flight.peer);
                }
            }
        }
        None
    }

    /// A stream is up that offers that.
    pub(super) const fn stream_is(&mut self, protection: Protection) {
        self.stream = protection;
    }

    pub(super) fn stream_meets(&self, wanted: Protection) -> bool {
        self.stream.meets(wanted)
    }

    /// Of these, which were on a stream that is resumed, those wait again that the
    /// stream may not carry, and those behind one that waits for such a stream. Gives
    /// which.
    pub(super) fn hold_back(&mut self, seqs: impl Iterator<Item = u64>) -> BTreeSet<u64> {
        let mut back = BTreeSet::new();
        // In the order of the outbox: an older one may stand behind a newer one on the
        // stream, as it was sent again.
        for seq in seqs.collect::<BTreeSet<u64>>() {
            let Some(flight) = self.flights.get(&seq) else {
                continue;
            };
            let held = !self.stream.meets(flight.protection)
                || self.flights.range(..seq).any(|(_, earlier)| {
                    earlier.stage == Stage::Kept
                        && earlier.peer == flight.peer
                        && !self.stream.meets(earlier.protection)
                });
            if held {
                self.wait_again(seq);
                back.insert(seq);
            }
        }
        back
    }

    /// Notes of those that wait whether it is the stream's protection that they lack.
    pub(super) fn note_held_back(&mut self) {
        let mut held: HashSet<&BareJid> = HashSet::new();
        for flight in self.flights.values_mut() {
            if flight.stage != Stage::Kept {
                continue;
            }
            if !self.stream.meets(flight.protection) {
                held.insert(&flight.peer);
            }
            flight.held_back |= held.contains(&flight.peer);
        }
    }

    /// Whether a message waits that could be sent.
    pub(super) fn has_sendable(&self) -> bool {
        self.sendable().is_some()
    }

    /// The server has the message: the receipt is awaited from now on.
    pub(super) fn server_accepted(&mut self, seq: u64, now: Duration) -> bool {
        let wait = self.random_share();
        let Some(flight) = self.flights.get_mut(&seq) else {
            return false;
        };
        if flight.stage != Stage::InFlight {
            return false;
        }
        flight.stage = Stage::ServerAccepted;
        if let Some(peer) = self.peers.get(&flight.peer) {
            flight.retry_at = Some(now + stretch(peer.rto.timeout(flight.transmissions), wait));
        }
        true
    }

    /// The message goes out again on a resumed stream. Gives whether it is still in the
    /// window; one that has an outcome need not be sent.
    pub(super) fn resent(&mut self, seq: u64, now: Duration) -> bool {
        let Some(flight) = self.flights.get_mut(&seq) else {
            return false;
        };
        let counted = matches!(flight.stage, Stage::InFlight | Stage::ServerAccepted);
        flight.transmitted(now);
        if !counted && let Some(peer) = self.peers.get_mut(&flight.peer) {
            peer.in_flight += 1;
        }
        true
    }

    /// A receipt came: a sample, if the message was sent once (Karn).
    pub(super) fn sample(&mut self, seq: u64, now: Duration) {
        if let Some(flight) = self.flights.get(&seq)
            && flight.transmissions == 1
            && !flight.inherited
            && let Some(peer) = self.peers.get_mut(&flight.peer)
        {
            peer.rto.sample(now.saturating_sub(flight.sent_at));
        }
    }

    /// A copy came back with an error that may pass: the timer decides when to try
    /// again, from now on.
    pub(super) fn bounced(&mut self, seq: u64, condition: DefinedCondition, now: Duration) {
        let wait = self.random_share();
        if let Some(flight) = self.flights.get_mut(&seq)
            && let Some(peer) = self.peers.get(&flight.peer)
        {
            flight.last_error = Some(condition);
            flight.bounced = true;
            let pause = peer.rto.timeout(flight.transmissions.saturating_add(1));
            flight.retry_at = Some(now + stretch(pause, wait));
        }
    }

    /// The stream is gone. What was on it waits for the next one; with `all`, also what
    /// the server had acknowledged, since it may have lost that.
    pub(super) fn stream_lost(&mut self, all: bool) {
        let seqs: Vec<u64> = self.flights.keys().copied().collect();
        for seq in seqs {
            match self.flights[&seq].stage {
                Stage::InFlight => self.wait_again(seq),
                Stage::ServerAccepted if all => self.wait_again(seq),
                _ => {}
            }
        }
    }

    /// The peer is there: what came back is sent again at once.
    pub(super) fn peer_is_back(&mut self, peer: &BareJid) {
        let awaited: Vec<u64> = self
            .flights
            .iter()
            // Once for each time that it came back, however often the peer says so.
            .filter(|(_, f)| f.peer == *peer && f.stage == Stage::ServerAccepted && f.bounced)
            .map(|(seq, _)| *seq)
            .collect();
        for seq in awaited {
            self.wait_again(seq);
        }
    }

    /// Messages whose retransmission is due wait for their turn again.
    pub(super) fn retransmissions_due(&mut self, now: Duration) -> u64 {
        let due: Vec<u64> = self
            .flights
            .iter()
            .filter(|(_, f)| f.retry_at.is_some_and(|at| at <= now))
            .map(|(seq, _)| *seq)
            .collect();
        for seq in &due {
            self.wait_again(*seq);
        }
        due.len() as u64
    }

    pub(super) fn wait_again(&mut self, seq: u64) {
        let Some(flight) = self.flights.get_mut(&seq) else {
            return;
        };
        let counted = matches!(flight.stage, Stage::InFlight | Stage::ServerAccepted);
        flight.retry_at = None;
        if counted {
            flight.stage = Stage::Kept;
            let peer = flight.peer.clone();
            self.uncount(&peer, true);
        }
    }

    /// Messages whose time is over.
    pub(super) fn expired(&self, now: Duration) -> Vec<u64> {
        self.flights
            .iter()
            .filter(|(_, f)| f.deadline.is_some_and(|at| at <= now))
            .map(|(seq, _)| *seq)
            .collect()
    }

    /// When something is to be done, if nothing happens before.
    pub(super) fn next_timeout(&self, connected: bool) -> Option<Duration> {
        let retry = |f: &Flight| f.retry_at.filter(|_| connected);
        // What is not durable yet is decided when it is.
        let kept = self
            .flights
            .values()
            .filter(|f| f.stage != Stage::Persisting);
        kept.filter_map(|f| [f.deadline, retry(f)].into_iter().flatten().min())
            .min()
    }

    /// Whether a message is on the stream that the server has not acknowledged.
    pub(super) fn awaits_server(&self) -> bool {
        self.flights.values().any(|f| f.stage == Stage::InFlight)
    }

    /// 0 to 255 of 1024ths, for jitter (xorshift; not for secrets).
    const fn random_share(&mut self) -> u32 {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        (self.jitter >> 32) as u32 & 0xFF
    }
}

/// Up to a quarter longer.
fn stretch(d: Duration, share: u32) -> Duration {
    d + d * share / 1024
}

/// The stanza with the time at which the application gave it (XEP-0203).
fn with_delay(stanza: &Bytes, at: WallTime) -> Bytes {
    const END: &[u8] = b"</message>";
    let Some(body) = stanza.strip_suffix(END) else {
        return stanza.clone();
    };
    let mut out = BytesMut::with_capacity(stanza.len() + 64);
    out.extend_from_slice(body);
    out.extend_from_slice(b"<delay xmlns='urn:xmpp:delay' stamp='");
    out.extend_from_slice(datetime::utc(at.as_unix_ms()).as_bytes());
    out.extend_from_slice(b"'/>");
    out.extend_from_slice(END);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_stands_inside_the_message() {
        let stamped = with_delay(
            &Bytes::from_static(b"<message><body>x</body></message>"),
            WallTime::from_unix_ms(0),
        );
        assert_eq!(
            &stamped[..],
            b"<message><body>x</body><delay xmlns='urn:xmpp:delay' stamp='1970-01-01T00:00:00.000Z'/></message>"
        );
    }
}
