//! Recipients that are known to be away. What is new to them goes out, for their servers may
//! keep it; but nothing goes out again soon, which would only be kept twice. When they are
//! back, the usual timers run. Who is away is `present`'s.

use std::time::Duration;

use stanchion_stanza::{BareJid, Jid};

use super::{Outbox, stretch};

impl Outbox {
    /// The recipients that have an address at that account.
    pub(in crate::engine) fn recipients_at(&self, account: &BareJid) -> Vec<Jid> {
        let all = self.recipients.iter();
        let at = all.filter(|(to, recipient)| {
            to.bare_str() == account.as_str() || recipient.others.contains(account)
        });
        at.map(|(to, _)| to.clone()).collect()
    }

    /// A pause, or the long one of those that are away.
    pub(in crate::engine) fn longer_if_away(&self, to: &Jid, usual: Duration) -> Duration {
        match self.recipients.get(to).map(|recipient| recipient.away) {
            Some(Some(_)) => usual.max(self.config.away_retry),
            _ => usual,
        }
    }

    /// The recipient is away: what it was sent is not sent again soon.
    pub(in crate::engine) fn goes_away(&mut self, to: &Jid, now: Duration) {
        match self.recipients.get_mut(to) {
            Some(recipient) if recipient.away.is_none() => recipient.away = Some(now),
            _ => return,
        }
        for (seq, at) in self.awaited(to) {
            let wait = self.random_share();
            let later = now + stretch(self.config.away_retry, wait);
            if at < later {
                self.change(seq, |flight| {
                    flight.retry_at = Some(later);
                    flight.armed = None;
                });
            }
        }
    }

    /// The recipient is there again, if it was away. What was sent before it left may have
    /// gone to a stream that was lost, and goes out again at once, if the usual time to
    /// answer is over. What was sent since is likely to be kept by its server, which is
    /// about to give it away: that goes out again if no answer comes in the usual time from
    /// now. What came back is `peer_is_back`'s.
    pub(in crate::engine) fn comes_back(&mut self, to: &Jid, now: Duration) {
        let Some(recipient) = self.recipients.get_mut(to) else {
            return;
        };
        let Some(left) = recipient.away.take() else {
            return;
        };
        // That it was away is why it was silent, and how long it was is no round trip.
        recipient.rto.begin_anew();
        recipient.path_since = now;
        let usual = self.usual(to, 1);
        for (seq, at) in self.awaited(to) {
            let wait = self.random_share();
            let pause = self.config.rto.max;
            self.change(seq, |flight| {
                let soon = match (flight.handed, flight.sent_at < left) {
                    (true, _) => now + stretch(pause, wait),
                    (false, true) => now.max(flight.sent_at + stretch(usual, wait)),
                    (false, false) => now + stretch(usual, wait),
                };
                flight.tries = flight.tries.min(1);
                flight.retry_at = Some(at.min(soon));
                flight.armed = None;
            });
        }
        for lane in self.lanes_to(to) {
            if let Some((at, asked)) = self.closing.get_mut(&lane) {
                *at = (*at).min(now + usual);
                *asked = (*asked).min(1);
            }
        }
    }

    /// What is on its way to that recipient, and when it is sent again.
    pub(super) fn awaited(&self, to: &Jid) -> Vec<(u64, Duration)> {
        let lanes = self.recipients.get(to).map(|r| r.lanes.iter());
        let lanes = lanes
            .into_iter()
            .flatten()
            .filter_map(|id| self.lanes.get(id));
        let all = lanes.flat_map(|lane| &lane.all).filter_map(|seq| {
            let flight = self.flights.get(seq)?;
            let sent = flight.is_on_its_way();
            Some((*seq, flight.retry_at.filter(|_| sent)?))
        });
        all.collect()
    }
}
