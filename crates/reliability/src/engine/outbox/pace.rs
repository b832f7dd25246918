//! How long an answer is waited for: the timer of a message, the back-off of its recipient,
//! and what ends it. The arithmetic is `rto`'s. What shows that a recipient is reached again
//! is `reach`'s and `absence`'s; they shorten what was started before.

use std::time::Duration;

use stanchion_stanza::Jid;

use super::{Outbox, Recipient, stretch};
use crate::mutant;

/// As after so many transmissions is the longest timer of the first copies to a recipient
/// that may be at another address.
const SEARCHES: u32 = 2;

impl Recipient {
    /// How long an answer is waited for after so many transmissions. A back-off is that of
    /// one path: it must not keep us for minutes from looking at another address.
    fn timeout(&self, tries: u32) -> Duration {
        let timeout = self.rto.timeout(tries);
        if self.others.is_empty() {
            return timeout;
        }
        timeout.min(self.rto.usual(tries.max(SEARCHES)))
    }
}

impl Outbox {
    /// A round trip to that recipient as far as it is known, doubled for each transmission
    /// after the first.
    pub(in crate::engine) fn usual(&self, to: &Jid, tries: u32) -> Duration {
        self.recipients
            .get(to)
            .map_or(self.config.rto.initial, |r| r.rto.usual(tries))
    }

    /// The back-off that a recipient's path has now.
    pub(super) fn back_off(&self, to: &Jid) -> u32 {
        self.recipients.get(to).map_or(0, |r| r.rto.back_off())
    }

    /// The message is with our server, or beyond it: its answer is awaited from now on.
    pub(super) fn starts_timer(&mut self, seq: u64, now: Duration, share: u32) {
        let Some(flight) = self.flights.get(&seq) else {
            return;
        };
        let Some(to) = self.lanes.get(&flight.lane).map(|lane| &lane.to) else {
            return;
        };
        let timeout = self
            .recipients
            .get(to)
            .map_or(self.config.rto.initial, |r| r.timeout(flight.tries));
        let timeout = self.longer_if_away(to, timeout);
        let at = self.back_off(to);
        self.change(seq, |flight| {
            flight.retry_at = Some(now + stretch(timeout, share));
            flight.armed = Some(at);
        });
    }

    /// The timer of a message ran out. If no answer came in time, whatever goes to that
    /// recipient waits for longer (RFC 6298 §5.5). That it came back, that the application
    /// there has it, or that its recipient is away is no silence.
    pub(super) fn ran_out(&mut self, seq: u64) {
        let Some(flight) = self.flights.get(&seq) else {
            return;
        };
        if let Some(at) = flight.armed.filter(|_| !flight.handed && !flight.bounced)
            && let Some(lane) = self.lanes.get(&flight.lane)
            && let Some(recipient) = self.recipients.get_mut(&lane.to)
            && recipient.away.is_none()
        {
            recipient.rto.ran_out(at);
        }
    }

    /// Something came from that recipient. How long it was silent is counted from when
    /// something began to wait for it.
    pub(super) fn heard(&mut self, to: &Jid, now: Duration) {
        let Some(recipient) = self.recipients.get_mut(to) else {
            return;
        };
        let heard_at = std::mem::replace(&mut recipient.heard_at, now);
        recipient.silent = Duration::ZERO;
        // Most answers come soon after another one.
        if now.saturating_sub(heard_at) < recipient.rto.usual(1) {
            return;
        }
        let lanes = recipient.lanes.iter().filter_map(|id| self.lanes.get(id));
        let all = lanes.flat_map(|lane| &lane.all);
        let sent = all.filter_map(|seq| {
            let flight = self.flights.get(seq)?;
            (flight.transmissions > 0).then_some(flight.first_sent_at)
        });
        if let Some(since) = sent.min()
            && let Some(recipient) = self.recipients.get_mut(to)
        {
            recipient.silent = now.saturating_sub(since.max(heard_at));
        }
    }

    /// A receipt came.
    pub(in crate::engine) fn acknowledged(&mut self, seq: u64, now: Duration) {
        let lane = self.flights.get(&seq).and_then(|f| self.lanes.get(&f.lane));
        if let Some(to) = lane.map(|lane| lane.to.clone()) {
            self.heard(&to, now);
        }
        self.sample(seq, now);
    }

    /// A verdict or a receipt came: a sample, if the message was sent once, on this stream
    /// and to where the recipient is now (Karn), and nothing of an ordered lane went out again
    /// since: it may have waited there for that copy. How long that took is the timer's doing,
    /// and a timer made from it would grow by itself. A sample ends the back-off. So does an
    /// answer to a copy if nothing was heard for longer than any path takes: it was away.
    pub(in crate::engine) fn sample(&mut self, seq: u64, now: Duration) {
        let Some(flight) = self.flights.get(&seq) else {
            return;
        };
        let Some(lane) = self.lanes.get(&flight.lane) else {
            return;
        };
        let to = lane.to.clone();
        let waits = !lane.unordered && !lane.is_loose() && !mutant::is("waits-are-round-trips");
        let again_at = if waits { lane.again_at } else { Duration::ZERO };
        let Some(recipient) = self.recipients.get_mut(&to) else {
            return;
        };
        let since = self.stream_since.max(recipient.path_since).max(again_at);
        let once = flight.transmissions == 1 && !flight.inherited && flight.sent_at >= since;
        let waited = now.saturating_sub(flight.first_sent_at);
        let before = recipient.rto.back_off();
        if once {
            recipient.rto.sample(now.saturating_sub(flight.sent_at));
        } else if waited.min(recipient.silent) >= recipient.rto.absence() {
            recipient.rto.begin_anew();
        }
        if recipient.rto.back_off() < before {
            self.shorten(&to, now);
        }
    }

    /// The back-off of a recipient has ended: the timers that were started with it are as
    /// long as they would be without.
    fn shorten(&mut self, to: &Jid, now: Duration) {
        for (seq, at) in self.awaited(to) {
            let share = self.random_share();
            let armed = self.flights.get(&seq).filter(|f| f.armed.is_some());
            let Some(usual) = armed.map(|flight| self.usual(to, flight.tries)) else {
                continue;
            };
            let soon = now + stretch(usual, share);
            if soon < at {
                self.change(seq, |flight| {
                    flight.retry_at = Some(soon);
                    flight.armed = Some(0);
                });
            }
        }
    }
}
