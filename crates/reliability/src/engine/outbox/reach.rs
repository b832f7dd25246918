//! Where a recipient is reached, and what shows that it can be reached again: which of its
//! addresses is used, when a timer that grew while nobody answered is shortened, and when
//! another server of ours is worth a try. How long timers are is `pace`'s; what came back
//! and why is judged in `verdicts`.

use std::time::Duration;

use stanchion_stanza::{BareJid, Jid};

use super::{Flight, LaneId, Outbox, Recipient, Stage, stretch};

/// An answer has so long to come from another address before this device goes to another
/// server; it doubles with each second time that this did not help: one move can cross the
/// recipient's, or end at a server that is gone.
const BEFORE_MOVE: Duration = Duration::from_secs(3);
/// How often it doubles at most: then it is about three minutes.
const DOUBLINGS: u32 = 6;
/// Copies without an answer after which any message goes to another address; of those to
/// a recipient that seems to be away, which are far between, each goes to the next one.
const PATIENT: u32 = 4;
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

    /// Whether something came back from that address on this stream.
    const fn is_back(&self, route: usize) -> bool {
        let bit = if route > 15 { 15 } else { route };
        self.back & (1 << bit) != 0
    }

    /// All its addresses, from the one that is used on.
    fn routes(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, all) = (self.route, self.others.len() + 1);
        (0..all).map(move |step| (first + step) % all)
    }

    /// The address for a message that was sent so many times in vain: the recipient may be
    /// at another one. First a message that `searches` goes to those from which nothing has
    /// come back; later any message goes to any. None is the address that the application
    /// named.
    fn route_after(&self, tries: u32, searches: bool, stream_since: Duration) -> Option<&BareJid> {
        let heard = self.heard_at > stream_since;
        let further = |patience: u32| tries.saturating_sub(patience) as usize;
        let patience = if self.away.is_some() { 0 } else { PATIENT };
        let route = if further(patience) > 0 {
            self.routes()
                .nth(further(patience) % (self.others.len() + 1))
        } else if searches && further(heard.into()) > 0 {
            let quiet: Vec<usize> = self.routes().filter(|at| !self.is_back(*at)).collect();
            quiet
                .get(further(heard.into()) % quiet.len().max(1))
                .copied()
        } else {
            None
        };
        self.others.get(route.unwrap_or(self.route).checked_sub(1)?)
    }

    /// Something came back from there: another address is used. Gives whether there is one
    /// from which nothing came back. Many messages that come back from one address are one
    /// step, not many.
    fn comes_back(&mut self, at: usize, now: Duration) -> bool {
        self.back |= 1 << at.min(15);
        let next = self.routes().find(|route| !self.is_back(*route));
        let after = (at + 1) % (self.others.len() + 1);
        self.goes_by(next.unwrap_or(after), now);
        next.is_some()
    }

    /// It is reached at that address from now on. Gives whether it is another one.
    pub(in crate::engine) const fn goes_by(&mut self, route: usize, now: Duration) -> bool {
        if self.route == route {
            return false;
        }
        self.route = route;
        self.rto.new_path();
        self.path_since = now;
        true
    }
}

fn domain(jid: &str) -> &str {
    jid.rsplit_once('@').map_or(jid, |(_, domain)| domain)
}

impl Outbox {
    /// Where a recipient is reached at present, by what was sent so many times in vain and
    /// may look for it elsewhere.
    pub(in crate::engine) fn address(&self, to: &Jid, tries: u32, searches: bool) -> Jid {
        let recipient = self.recipients.get(to);
        let route = recipient.and_then(|r| r.route_after(tries, searches, self.stream_since));
        route.map_or_else(|| to.clone(), |other| other.clone().into())
    }

    /// Whether that message looks for its recipient elsewhere: the first of its lane that
    /// nobody is known to have does, and the others do not. A window full of them would
    /// come back.
    pub(in crate::engine) fn searches(&self, seq: u64) -> bool {
        let lane = (self.flights.get(&seq)).and_then(|flight| self.lanes.get(&flight.lane));
        let open = |other: &&u64| {
            let other = self.flights.get(other);
            other.is_some_and(|other| !other.handed && other.stage != Stage::Decided)
        };
        lane.and_then(|lane| lane.all.iter().find(open)) == Some(&seq)
    }

    /// Something to that recipient came back from there. Gives whether it has an address
    /// from which nothing has; with `gives_up`, all are tried anew after the last one.
    pub(in crate::engine) fn returned_from(
        &mut self,
        to: &Jid,
        from: &Jid,
        ends: bool,
        now: Duration,
    ) -> bool {
        let recipient = self.recipient_mut(to);
        let at = recipient.route_of(to, from).unwrap_or(recipient.route);
        let elsewhere = recipient.comes_back(at, now);
        if !elsewhere && ends {
            recipient.back = 0;
            recipient.goes_by(0, now);
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
        let doublings = before.map_or(0, |(_, times)| *times / 2).min(DOUBLINGS);
        // Two that look for each other must not go to and fro in step.
        let wait = stretch(BEFORE_MOVE * (1 << doublings), self.random_share());
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

    /// The recipient has answered from there: that address is used. Gives whether that came
    /// after a silence, and what it had time to forget is to be asked about soon.
    pub(in crate::engine) fn answers(&mut self, to: &Jid, from: &Jid, now: Duration) -> bool {
        self.heard(to, now);
        let recipient = self.recipient_mut(to);
        let long = recipient.silent >= recipient.rto.timeout(LONG);
        let route = recipient.route_of(to, from).unwrap_or(recipient.route);
        let moved = recipient.goes_by(route, now);
        recipient.back = 0;
        let _ = self.moving.waits.take_if(|(who, _)| who == to);
        let _ = self.moving.before.take_if(|(who, _)| who == to);
        long || moved
    }

    /// Of what waits for that recipient, what waits for long is sent again soon.
    pub(in crate::engine) fn hurry_all(&mut self, to: &Jid, now: Duration) {
        let all = self.awaited(to).into_iter().map(|(seq, _)| seq).collect();
        self.hurry(all, now, |flight| {
            let long = flight.tries > LONG || flight.armed.is_some_and(|at| at >= LONG);
            long && !flight.handed
        });
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
        let earlier = lane.on_their_way.range(..seq);
        let earlier: Vec<u64> = earlier.filter(sent_before).copied().collect();
        self.hurry(earlier, now, |_| true);
    }

    /// A new session, or one that goes on: what grew while there was none, or while the
    /// server did not answer, begins anew.
    pub(in crate::engine) fn begins_anew(&mut self, now: Duration) {
        self.moving.waits = None;
        self.stream_since = now;
        for recipient in self.recipients.values_mut() {
            recipient.back = 0;
            recipient.alone = false;
            recipient.rto.begin_anew();
        }
        let all = self.flights.keys().copied().collect();
        self.hurry(all, now, |_| true);
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
    /// latest: once, for how the path is only a sample tells.
    fn hurry(&mut self, seqs: Vec<u64>, now: Duration, which: impl Fn(&Flight) -> bool) {
        for seq in seqs {
            let share = self.random_share();
            let Some(flight) = self.flights.get(&seq).filter(|f| f.is_on_its_way()) else {
                continue;
            };
            let to = self.lanes.get(&flight.lane).map(|lane| &lane.to);
            let Some(to) = to.filter(|_| which(flight)) else {
                continue;
            };
            let soon = now + stretch(self.usual(to, 1), share);
            let at = self.back_off(to);
            self.change(seq, |flight| {
                flight.tries = flight.tries.min(1);
                // What ran out while there was no stream could not be answered.
                if flight.retry_at.is_some_and(|at| at > soon || at <= now) {
                    flight.retry_at = Some(soon);
                    // A shorter pause than the path asks for tells nothing of it.
                    flight.armed = (at == 0).then_some(0);
                }
            });
        }
    }
}
