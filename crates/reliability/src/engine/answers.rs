//! Verdicts that may leave, until they do. Those of a channel go in one stanza, and for
//! more to come one waits a moment: to every server on the way a stanza costs what a
//! message costs, so answers one by one would take as much of it as the messages.

use std::collections::BTreeMap;
use std::time::Duration;

use stanchion_stanza::Payload as _;
use stanchion_stanza::payload::delivery::{
    Answer, Boot, Bundle, Channel, Device, Epoch, Verdict, VerdictState,
};

use super::Engine;
use super::inbound::Seat;

/// Verdicts that wait, for a stream or for others.
const WAITING: usize = 1024;
/// How long a verdict waits for others while more messages are on their way through the
/// application, and it commits them faster than that. It is short beside any timeout of a
/// sender, and nothing beside what a window of messages takes on a slow link.
const PAUSE: Duration = Duration::from_millis(5);

/// While the server has left so many stanzas unacknowledged, no more is answered: whoever
/// comes from a long absence may find thousands of copies, and an answer to each at once
/// would look as if the server took nothing any more. What waits goes in few stanzas then.
const UNACKED: usize = 256;

/// To which device, on which channel, under which boot.
type To = (Device, Channel, Epoch, Boot);

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Answers {
    waiting: BTreeMap<To, Vec<Verdict>>,
    count: usize,
    /// Since when the first of them has waited, or one that has left meanwhile.
    since: Option<Duration>,
    /// There is a stanza full of them.
    is_full: bool,
    /// There is one that waits for no others.
    is_urgent: bool,
    /// They come in close succession, so that more are worth waiting for. An application
    /// that takes its time has each of its verdicts sent at once.
    in_a_row: bool,
    /// When the last one came.
    last: Option<Duration>,
}

impl Answers {
    fn put(&mut self, to: To, verdict: Verdict, is_urgent: bool, now: Duration) {
        // A duplicate is answered again, so nothing is lost but time.
        if self.count >= WAITING {
            return;
        }
        self.is_urgent |= is_urgent;
        let verdicts = self.waiting.entry(to).or_default();
        if !verdicts.contains(&verdict) {
            verdicts.push(verdict);
            self.count += 1;
            self.is_full |= verdicts.len() >= Answer::MAX_VERDICTS;
            self.since.get_or_insert(now);
            let last = self.last.replace(now);
            self.in_a_row |= last.is_some_and(|last| now <= last + PAUSE);
        }
    }

    fn take_all(&mut self) -> Vec<(To, Vec<Verdict>)> {
        let last = self.last;
        let all = std::mem::replace(
            self,
            Self {
                last,
                ..Self::default()
            },
        );
        all.waiting.into_iter().collect()
    }

    /// Those that fill a stanza.
    fn take_full(&mut self) -> Vec<(To, Vec<Verdict>)> {
        self.is_full = false;
        let mut taken = Vec::new();
        for (to, verdicts) in &mut self.waiting {
            let whole = verdicts.len() - verdicts.len() % Answer::MAX_VERDICTS;
            if whole > 0 {
                self.count -= whole;
                taken.push((to.clone(), verdicts.drain(..whole).collect()));
            }
        }
        self.waiting.retain(|_, verdicts| !verdicts.is_empty());
        if self.waiting.is_empty() {
            (self.since, self.in_a_row) = (None, false);
        }
        taken
    }
}

impl Engine {
    /// A verdict may leave: with the others of its channel, in one stanza.
    pub(super) fn verdict(&mut self, seat: Seat, verdict: Verdict) {
        self.answer_to(seat, verdict, true);
    }

    /// A message was committed: the verdict may wait for those on the next ones. What else
    /// is to be said is said at once, as somebody asked for it or is to know who speaks.
    pub(super) fn delivered(&mut self, seat: Seat) {
        let verdict = seat.verdict(VerdictState::Delivered);
        self.answer_to(seat, verdict, false);
    }

    fn answer_to(&mut self, seat: Seat, verdict: Verdict, is_urgent: bool) {
        let to = (seat.device, seat.channel, seat.epoch, seat.boot);
        let now = self.now.monotonic;
        self.answers.put(to, verdict, is_urgent, now);
    }

    /// Whether the server has taken enough of what was said for more to be answered.
    pub(super) fn may_answer_more(&self) -> bool {
        self.management.unacked() < UNACKED
    }

    /// When those that wait for others leave without; never while the server is behind, as
    /// its acknowledgement comes first.
    pub(super) fn verdicts_due(&self) -> Option<Duration> {
        let since = self.answers.since.filter(|_| self.may_answer_more())?;
        let more = self.unhandled > 0 || self.management.arriving() > 0;
        let waits = more && self.answers.in_a_row && !self.answers.is_urgent;
        Some(if waits { since + PAUSE } else { since })
    }

    /// Sends those whose time has come.
    pub(super) fn send_due_verdicts(&mut self) {
        if self
            .verdicts_due()
            .is_some_and(|at| at <= self.now.monotonic)
        {
            self.send_verdicts();
        } else if self.answers.is_full && self.may_answer_more() {
            let full = self.answers.take_full();
            self.answer_all(full);
        }
    }

    /// Sends all.
    pub(super) fn send_verdicts(&mut self) {
        let all = self.answers.take_all();
        self.answer_all(all);
    }

    fn answer_all(&mut self, all: Vec<(To, Vec<Verdict>)>) {
        let Some(at) = self.place.clone() else {
            return;
        };
        for ((device, channel, epoch, boot), verdicts) in all {
            let Some(known) = self.correspondents.get(&device) else {
                continue;
            };
            let (knows, jids) = (known.version(), self.news_for(known.knows));
            for verdicts in verdicts.chunks(Answer::MAX_VERDICTS) {
                self.counters.verdicts += verdicts.len() as u64;
                let answer = Answer {
                    to: device.clone(),
                    at: at.clone(),
                    epoch,
                    channel: channel.clone(),
                    boot,
                    clock: self.now.wall.as_unix_ms(),
                    knows,
                    bundles: Bundle::MAX as u32,
                    verdicts: verdicts.to_vec(),
                    jids: jids.clone(),
                };
                self.say_now(&device, &answer.to_element());
            }
        }
    }
}
