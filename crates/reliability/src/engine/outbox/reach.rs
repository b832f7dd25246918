//! Where a recipient is reached, and what shows that it can be reached again: which of its
//! addresses is used, when a timer that grew while nobody answered is shortened, and when
//! another server of ours is worth a try. What came back and why is judged in `verdicts`.

use std::time::Duration;

use stanchion_stanza::Jid;

use super::{LaneId, Outbox, Recipient, Stage, stretch};

/// An answer has so long to come from another address before this device goes to another
/// server; it doubles with each time that this did not help.
const BEFORE_MOVE: Duration = Duration::from_secs(4);
/// How often it doubles at most: then it is about four minutes.
const DOUBLINGS: u32 = 6;
/// Transmissions without an answer after which a timer is a long one.
const LONG: u32 = 2;

/// Who cannot be reached from this server.
#[derive(Debug, Default)]
pub(super) struct Moving {
    /// Since it came back, and when it is enough.
    waits: Option<(Jid, Duration)>,
    /// Moves for somebody since that one answered.
    before: Option<(Jid, u32)>,
}

impl Recipient {
    /// Which of its addresses that is: the whole one, or its server alone.
    fn route_of(&self, to: &Jid, from: &Jid) -> Option<usize> {
        let all =
            || std::iter::once(to.bare_str()).chain(self.others.iter().map(|jid| jid.as_str()));
        let whole = all().position(|jid| jid == from.bare_str());
        whole.or_else(|| all().position(|jid| domain(jid) == from.as_str()))
    }

    /// Something came back from there: another address is used. Gives whether there is one
    /// from which nothing came back. Many messages that come back from one address are one
    /// step, not many.
    fn comes_back(&mut self, at: usize) -> bool {
        let routes = self.others.len() + 1;
        self.back |= 1 << at.min(15);
        let next = (0..routes).map(|step| (self.route + step) % routes);
        let next = next.into_iter().find(|route| self.back & (1 << route) == 0);
        self.route = next.unwrap_or((at + 1) % routes);
        next.is_some()
    }
}

fn domain(jid: &str) -> &str {
    jid.rsplit_once('@').map_or(jid, |(_, domain)| domain)
}

impl Outbox {
    /// Something to that recipient came back from there. Gives whether it has an address
    /// from which nothing has; with `gives_up`, all are tried anew after the last one.
    pub(in crate::engine) fn returned_from(&mut self, to: &Jid, from: &Jid, ends: bool) -> bool {
        let recipient = self.recipient_mut(to);
        let at = recipient.route_of(to, from).unwrap_or(recipient.route);
        let elsewhere = recipient.comes_back(at);
        if !elsewhere && ends {
            (recipient.back, recipient.route) = (0, 0);
        }
        elsewhere
    }

    /// The message goes to another address now.
    pub(in crate::engine) fn redirected(&mut self, seq: u64) {
        self.change(seq, |flight| flight.tries = 0);
        self.wait_again(seq);
    }

    /// From this server the recipient is not reached there, and another one of ours could.
    pub(in crate::engine) fn is_beyond(&mut self, to: &Jid, now: Duration) {
        if self.moving.waits.is_some() {
            return;
        }
        let before = self.moving.before.as_ref().filter(|(who, _)| who == to);
        let times = before.map_or(0, |(_, times)| *times).min(DOUBLINGS);
        // Two that look for each other must not go to and fro in step.
        let wait = stretch(BEFORE_MOVE * (1 << times), self.random_share());
        self.moving.waits = Some((to.clone(), now + wait));
    }

    pub(super) fn moves_at(&self) -> Option<Duration> {
        self.moving.waits.as_ref().map(|(_, at)| *at)
    }

    /// For whom another server is to be tried now: somebody who is waited for still.
    pub(in crate::engine) fn moves(&mut self, now: Duration) -> Option<Jid> {
        let (to, _) = self.moving.waits.take_if(|(_, at)| *at <= now)?;
        let lanes = self.lanes_to(&to);
        let open = |id: &LaneId| self.lanes.get(id).is_some_and(|lane| !lane.all.is_empty());
        if !lanes.iter().any(open) {
            return None;
        }
        let before = self.moving.before.take().filter(|(who, _)| *who == to);
        let times = before.map_or(0, |(_, times)| times).saturating_add(1);
        self.moving.before = Some((to.clone(), times));
        Some(to)
    }

    /// The recipient has answered from there: that address is used, and what it had time to
    /// forget while it was silent is asked about soon.
    pub(in crate::engine) fn answers(&mut self, to: &Jid, from: &Jid, now: Duration) {
        let recipient = self.recipient_mut(to);
        recipient.route = recipient.route_of(to, from).unwrap_or(recipient.route);
        recipient.back = 0;
        let silent = now.saturating_sub(std::mem::replace(&mut recipient.heard_at, now));
        let long = silent >= recipient.rto.timeout(LONG);
        let _ = self.moving.waits.take_if(|(who, _)| who == to);
        let _ = self.moving.before.take_if(|(who, _)| who == to);
        if long {
            let lanes = self.lanes_to(to).into_iter();
            let all = lanes.filter_map(|id| self.lanes.get(&id));
            let all: Vec<u64> = all.flat_map(|lane| lane.all.iter().copied()).collect();
            self.hurry(all, now, |tries, handed| tries > LONG && !handed);
        }
    }

    /// A message has its verdict. Of earlier ones of its channel, which were sent before it,
    /// the verdict may be lost.
    pub(in crate::engine) fn hurry_earlier(&mut self, seq: u64, now: Duration) {
        let Some(flight) = self.flights.get(&seq) else {
            return;
        };
        let Some(lane) = self.lanes.get(&flight.lane).filter(|l| !l.unordered) else {
            return;
        };
        if lane.is_loose() {
            return;
        }
        let sent_before = |other: &&u64| {
            let other = self.flights.get(other);
            other.is_some_and(|other| other.sent_at <= flight.sent_at)
        };
        let earlier: Vec<u64> = lane.all.range(..seq).filter(sent_before).copied().collect();
        self.hurry(earlier, now, |_, _| true);
    }

    /// A new session, or one that goes on: what grew while there was none, or while the
    /// server did not answer, begins anew.
    pub(in crate::engine) fn begins_anew(&mut self, now: Duration) {
        self.moving.waits = None;
        for recipient in self.recipients.values_mut() {
            recipient.back = 0;
        }
        let all = self.flights.keys().copied().collect();
        self.hurry(all, now, |_, _| true);
        let kept = self.flights.values_mut();
        for flight in kept.filter(|flight| flight.stage == Stage::Kept) {
            flight.tries = 0;
        }
        let closing = std::mem::take(&mut self.closing);
        for (id, (at, _)) in closing {
            self.closing.insert(id, (at.min(now), 0));
        }
    }

    /// Those of them that wait for an answer are sent again after the shortest pause, at the
    /// latest.
    fn hurry(&mut self, seqs: Vec<u64>, now: Duration, which: impl Fn(u32, bool) -> bool) {
        for seq in seqs {
            let share = self.random_share();
            let Some(flight) = self.flights.get(&seq) else {
                continue;
            };
            let pause = self
                .lanes
                .get(&flight.lane)
                .map(|lane| self.timeout(&lane.to, 1));
            let (Some(pause), Stage::ServerAccepted | Stage::InFlight) = (pause, flight.stage)
            else {
                continue;
            };
            if which(flight.tries, flight.handed) {
                let soon = now + stretch(pause, share);
                self.change(seq, |flight| {
                    flight.tries = flight.tries.min(1);
                    flight.retry_at = flight.retry_at.map(|at| at.min(soon));
                });
            }
        }
    }
}
