//! The verdict of a run, from what was written down: the sender's outbox and journal, the
//! receiver's journal, and when servers came back. Pure: no processes, no clock. The files'
//! formats are those of the command's `chaos-end`.

use crate::failure::{Failure, Outcome};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Violations that are shown one by one.
const EXAMPLES: usize = 10;
/// An outcome is told in time if it is so soon after its deadline, in milliseconds.
pub(crate) const ON_TIME_MS: u64 = 250;

/// A message of the outbox.
#[derive(Debug)]
struct Kept {
    seq: u64,
    id: String,
    number: u64,
    state: String,
    /// By the wall clock in microseconds, as all times here.
    deadline: Option<u64>,
}

/// An outcome as the session told it.
#[derive(Debug)]
struct Said {
    id: String,
    word: String,
    at: u64,
    /// When the process began that told it.
    began: u64,
}

/// One hand-over to the receiving application.
#[derive(Debug)]
struct HandOver {
    micros: u64,
    id: String,
    flagged: bool,
    effect: bool,
}

/// All that was written down.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    messages: u64,
    outbox: Vec<Kept>,
    /// Number and id, as `send` returned.
    returned: Vec<(u64, String)>,
    said: Vec<Said>,
    hand_overs: Vec<HandOver>,
    counts: Counts,
    copies: u64,
    connections: u64,
    resumed: u64,
    outages: Vec<Outage>,
    struck: Vec<Struck>,
}

/// A server was away, by the wall clock in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outage {
    /// It was killed.
    pub(crate) down: u64,
    /// It answered again.
    pub(crate) up: u64,
}

/// What was done to an end or to its line, by the wall clock in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Struck {
    pub(crate) at: u64,
    /// When it is over.
    pub(crate) until: u64,
    pub(crate) what: String,
}

/// Of the sender's processes together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    transmitted: u64,
    retransmitted: u64,
}

/// What the run shows. A run passes when the first block is all zeros.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Findings {
    /// Done with, and no effect. With a deadline that is right, unless the outcome says
    /// otherwise; without, whatever it says.
    pub(crate) lost: u64,
    /// Effects beyond the first of a message.
    pub(crate) duplicated: u64,
    /// First effects after that of a message which was accepted later.
    pub(crate) misordered: u64,
    /// Outcomes that contradict the effects, or each other.
    pub(crate) wrong: u64,
    /// Messages without an outcome, or that never entered the outbox.
    pub(crate) without_outcome: u64,
    /// Messages whose `send` had returned and that the outbox does not have.
    pub(crate) forgotten: u64,
    /// Numbers that entered the outbox more than once: a fault of the test's own sender.
    pub(crate) given_twice: u64,
    /// First outcomes that were told more than [`ON_TIME_MS`] after the deadline, by a process
    /// that was there at the deadline.
    pub(crate) late: u64,

    /// Messages to be sent.
    pub(crate) messages: u64,
    /// Messages in the outbox.
    pub(crate) accepted: u64,
    /// Messages that took effect.
    pub(crate) effects: u64,
    /// By the state in the outbox at the end.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Hand-overs to the application, commits or not.
    pub(crate) hand_overs: u64,
    /// Those that came with the warning `maybe_redelivered`.
    pub(crate) maybe_redelivered: u64,
    /// Copies that the receiver's last process stopped by itself.
    pub(crate) copies_stopped: u64,
    /// Of messages. What a killed process sent in its last 50 ms is not counted.
    pub(crate) transmissions: u64,
    /// Those that were not the first.
    pub(crate) retransmissions: u64,
    /// Transmissions a message.
    pub(crate) amplification: f64,
    /// Sessions of both ends, new ones and resumed ones.
    pub(crate) connections: u64,
    /// Those that went on with the session before.
    pub(crate) resumed: u64,
    /// Effects while a server was away: over another one, or late.
    pub(crate) effects_in_outages: u64,
    /// From a server being up again to the next effect.
    pub(crate) recovery: Times,
    /// The longest of these, and what else was wrong from when the server was killed until
    /// that effect.
    pub(crate) slowest: Option<Slowest>,
    /// How long after the deadline outcomes were told; none without deadlines.
    pub(crate) told: Option<Times>,
    /// The same after the start of a process, of what it found to be over: one that was killed
    /// between its store and its word has said nothing, and what the next one says before
    /// anybody listens is not heard.
    pub(crate) told_from_start: Option<Times>,
    /// The first violations, in words.
    pub(crate) examples: Vec<String>,
}

/// A recovery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Slowest {
    pub(crate) ms: f64,
    /// So long the server was away before.
    pub(crate) away_ms: f64,
    /// Each with its time, from when the server was up.
    pub(crate) meanwhile: Vec<String>,
}

/// Times in milliseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Times {
    pub(crate) times: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Ledger {
    /// An empty one, for that many messages.
    pub(crate) fn new(messages: u64) -> Self {
        Self {
            messages,
            ..Self::default()
        }
    }

    /// The outbox at the end: `SEQ ID NUMBER STATE DEADLINE` a line.
    pub(crate) fn read_outbox(&mut self, text: &str) -> Outcome {
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [seq, id, number, state, deadline] = words[..] else {
                return Err(unreadable("the outbox", line));
            };
            let deadline = match deadline {
                "-" => None,
                ms => Some(parse(ms, line)?.saturating_mul(1000)),
            };
            self.outbox.push(Kept {
                seq: parse(seq, line)?,
                id: id.to_owned(),
                number: parse(number, line)?,
                state: state.to_owned(),
                deadline,
            });
        }
        Ok(())
    }

    /// The sender's journal. Its last line may be half a line.
    pub(crate) fn read_sender(&mut self, text: &str) -> Outcome {
        let (mut life, mut begun) = (Counts::default(), 0);
        for line in whole_lines(text) {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["began", at] => {
                    begun = parse(at, line)?;
                    self.counts.add(life);
                    life = Counts::default();
                }
                ["kept", number, id] => {
                    self.returned.push((parse(number, line)?, id.to_owned()));
                }
                ["outcome", id, word, at] => self.said.push(Said {
                    id: id.to_owned(),
                    word: word.to_owned(),
                    at: parse(at, line)?,
                    began: begun,
                }),
                ["connected", resumed] => self.connected(resumed),
                ["counters", transmitted, retransmitted] => {
                    life = life.next(
                        Counts {
                            transmitted: parse(transmitted, line)?,
                            retransmitted: parse(retransmitted, line)?,
                        },
                        &mut self.counts,
                    );
                }
                ["done"] => {}
                _ => return Err(unreadable("the sender's journal", line)),
            }
        }
        self.counts.add(life);
        Ok(())
    }

    /// The receiver's journal. Its last line may be half a line.
    pub(crate) fn read_receiver(&mut self, text: &str) -> Outcome {
        for line in whole_lines(text) {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                [micros, _, id, flagged, effect] => self.hand_overs.push(HandOver {
                    micros: parse(micros, line)?,
                    id: id.to_owned(),
                    flagged: flagged == "1",
                    effect: effect == "1",
                }),
                ["connected", resumed] => self.connected(resumed),
                ["copies", copies] => self.copies += parse(copies, line)?,
                _ => return Err(unreadable("the receiver's journal", line)),
            }
        }
        Ok(())
    }

    /// When servers were away.
    pub(crate) fn outages(&mut self, outages: &[Outage]) {
        self.outages.extend(outages);
    }

    /// What was done to the two ends.
    pub(crate) fn struck(&mut self, struck: Vec<Struck>) {
        self.struck.extend(struck);
    }

    fn connected(&mut self, resumed: &str) {
        self.connections += 1;
        self.resumed += u64::from(resumed == "1");
    }

    /// Judges.
    pub(crate) fn findings(&self) -> Findings {
        let mut examples = Examples::default();
        let mut effects: HashMap<&str, u64> = HashMap::new();
        for hand_over in self.hand_overs.iter().filter(|h| h.effect) {
            *effects.entry(&hand_over.id).or_default() += 1;
        }
        let mut findings = Findings {
            messages: self.messages,
            accepted: self.outbox.len() as u64,
            effects: effects.len() as u64,
            duplicated: self.duplicated(&effects, &mut examples),
            misordered: self.misordered(&mut examples),
            wrong: self.wrong(&effects, &mut examples),
            forgotten: self.forgotten(&mut examples),
            hand_overs: self.hand_overs.len() as u64,
            maybe_redelivered: self.hand_overs.iter().filter(|h| h.flagged).count() as u64,
            copies_stopped: self.copies,
            transmissions: self.counts.transmitted,
            retransmissions: self.counts.retransmitted,
            amplification: self.counts.transmitted as f64 / self.messages.max(1) as f64,
            connections: self.connections,
            resumed: self.resumed,
            effects_in_outages: self.effects_in_outages(),
            recovery: Times::of(self.recoveries().iter().map(|(_, took)| *took).collect()),
            slowest: self.slowest(),
            ..Findings::default()
        };
        let (there, started) = self.late_by();
        findings.late = there.iter().filter(|by| **by > ON_TIME_MS * 1000).count() as u64;
        findings.told = (!there.is_empty()).then(|| Times::of(there));
        findings.told_from_start = (!started.is_empty()).then(|| Times::of(started));
        let mut numbers = HashSet::new();
        for kept in &self.outbox {
            *findings.outcomes.entry(kept.state.clone()).or_default() += 1;
            // What is open may still take effect: it has no outcome, and is not lost.
            let may_lack = kept.deadline.is_some() && !is_success(&kept.state);
            if kept.state != "open" && !may_lack && !effects.contains_key(&*kept.id) {
                findings.lost += 1;
                examples.add(format_args!(
                    "{} has no effect ({})",
                    kept.number, kept.state
                ));
            }
            findings.without_outcome += u64::from(!has_outcome(&kept.state));
            if !numbers.insert(kept.number) {
                findings.given_twice += 1;
                examples.add(format_args!("{} entered the outbox twice", kept.number));
            }
        }
        let absent = (1..=self.messages).filter(|n| !numbers.contains(n)).count();
        findings.without_outcome += absent as u64;
        findings.examples = examples.0;
        findings
    }

    fn duplicated(&self, effects: &HashMap<&str, u64>, examples: &mut Examples) -> u64 {
        let mut again = 0;
        for kept in &self.outbox {
            let times = effects.get(&*kept.id).copied().unwrap_or_default();
            if times > 1 {
                again += times - 1;
                examples.add(format_args!("{} took effect {times} times", kept.number));
            }
        }
        again
    }

    /// Against the order of the outbox, which is that of acceptance.
    fn misordered(&self, examples: &mut Examples) -> u64 {
        let places: HashMap<&str, &Kept> = self.outbox.iter().map(|k| (&*k.id, k)).collect();
        let mut seen = HashSet::new();
        let mut highest: Option<&Kept> = None;
        let mut late = 0;
        for hand_over in self.hand_overs.iter().filter(|h| h.effect) {
            let Some(kept) = places.get(&*hand_over.id) else {
                continue;
            };
            if !seen.insert(&*hand_over.id) {
                continue;
            }
            match highest {
                Some(before) if before.seq > kept.seq => {
                    late += 1;
                    examples.add(format_args!(
                        "{} took effect after {}, which was accepted later",
                        kept.number, before.number
                    ));
                }
                _ => highest = Some(kept),
            }
        }
        late
    }

    /// Messages with an outcome that is not true, and effects of messages that nobody sent.
    fn wrong(&self, effects: &HashMap<&str, u64>, examples: &mut Examples) -> u64 {
        let states: HashMap<&str, &str> = self.outbox.iter().map(|k| (&*k.id, &*k.state)).collect();
        let at_the_end = states.iter().map(|(id, state)| (*id, *state));
        let meanwhile = self.said.iter().map(|said| (&*said.id, &*said.word));
        let mut wrong = HashSet::new();
        for (id, outcome) in at_the_end.chain(meanwhile) {
            let took_effect = effects.contains_key(id);
            let false_now = match outcome {
                word if is_success(word) => !took_effect,
                "not-delivered" => took_effect,
                _ => false,
            };
            let last = states.get(id).copied().unwrap_or("absent");
            let taken_back = is_definite(outcome) && is_definite(last) && outcome != last;
            if (false_now || taken_back) && wrong.insert(id) {
                examples.add(format_args!(
                    "{id} is {outcome}, {last} at the end, and took effect {} times",
                    effects.get(id).copied().unwrap_or_default()
                ));
            }
        }
        for id in effects.keys().filter(|id| !states.contains_key(**id)) {
            if wrong.insert(id) {
                examples.add(format_args!("{id} took effect and is not in the outbox"));
            }
        }
        wrong.len() as u64
    }

    fn forgotten(&self, examples: &mut Examples) -> u64 {
        let there: HashSet<&str> = self.outbox.iter().map(|k| &*k.id).collect();
        let mut forgotten = 0;
        for (number, id) in &self.returned {
            if !there.contains(&**id) {
                forgotten += 1;
                examples.add(format_args!(
                    "{number} was accepted and is not in the outbox"
                ));
            }
        }
        forgotten
    }

    fn effects_in_outages(&self) -> u64 {
        let away = |at: u64| self.outages.iter().any(|o| (o.down..o.up).contains(&at));
        let effects = self.hand_overs.iter().filter(|h| h.effect);
        effects.filter(|h| away(h.micros)).count() as u64
    }

    /// From a server's return to the next effect, each time.
    fn recoveries(&self) -> Vec<(Outage, u64)> {
        let effects = self.hand_overs.iter().filter(|h| h.effect);
        let mut effects: Vec<u64> = effects.map(|h| h.micros).collect();
        effects.sort_unstable();
        let next = |outage: &Outage| {
            let next = effects.partition_point(|at| *at < outage.up);
            effects.get(next).map(|at| (*outage, at - outage.up))
        };
        self.outages.iter().filter_map(next).collect()
    }

    fn slowest(&self) -> Option<Slowest> {
        let all = self.recoveries().into_iter();
        let (outage, took) = all.max_by_key(|(_, took)| *took)?;
        let there = |other: &&Struck| other.until > outage.down && other.at < outage.up + took;
        let after = |at: u64| (i128::from(at) - i128::from(outage.up)) / 1000;
        let told = |other: &Struck| format!("{} ms: {}", after(other.at), other.what);
        Some(Slowest {
            ms: took as f64 / 1000.0,
            away_ms: (outage.up - outage.down) as f64 / 1000.0,
            meanwhile: self.struck.iter().filter(there).map(told).collect(),
        })
    }

    /// How long after its deadline each message had its first outcome, if the session said it;
    /// and how long after the start of the process, if that was after the deadline.
    fn late_by(&self) -> (Vec<u64>, Vec<u64>) {
        let mut first: HashMap<&str, &Said> = HashMap::new();
        for said in &self.said {
            first.entry(&said.id).or_insert(said);
        }
        let (mut there, mut started) = (Vec::new(), Vec::new());
        for kept in &self.outbox {
            let (Some(said), Some(deadline)) = (first.get(&*kept.id), kept.deadline) else {
                continue;
            };
            if deadline < said.began {
                started.push(said.at.saturating_sub(said.began));
            } else {
                there.push(said.at.saturating_sub(deadline));
            }
        }
        (there, started)
    }
}

impl Times {
    /// Of these, in microseconds.
    fn of(mut took: Vec<u64>) -> Self {
        took.sort_unstable();
        // The nearest rank.
        let rank = |share: usize| {
            let place = (took.len() * share).div_ceil(100).max(1) - 1;
            took.get(place)
                .map_or(0.0, |micros| *micros as f64 / 1000.0)
        };
        Self {
            times: took.len() as u64,
            p50_ms: rank(50),
            p99_ms: rank(99),
            max_ms: rank(100),
        }
    }
}

impl Findings {
    /// Whether every promise was kept.
    pub(crate) const fn passed(&self) -> bool {
        self.lost == 0
            && self.duplicated == 0
            && self.misordered == 0
            && self.wrong == 0
            && self.without_outcome == 0
            && self.forgotten == 0
            && self.given_twice == 0
            && self.late == 0
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.transmitted += other.transmitted;
        self.retransmitted += other.retransmitted;
    }

    /// Counters of one process only rise, but it may have more than one session in its
    /// life: when they fall, those of the session before are over, and go to `sum`.
    fn next(self, new: Self, sum: &mut Self) -> Self {
        if new.transmitted < self.transmitted {
            sum.add(self);
        }
        new
    }
}

#[derive(Debug, Default)]
struct Examples(Vec<String>);

impl Examples {
    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        if self.0.len() < EXAMPLES {
            self.0.push(text.to_string());
        }
    }
}

/// Whether a state of the outbox is an outcome. In doubt is one: the session said so.
fn has_outcome(state: &str) -> bool {
    is_definite(state) || state == "in-doubt"
}

fn is_definite(state: &str) -> bool {
    is_success(state) || state == "not-delivered"
}

fn is_success(state: &str) -> bool {
    matches!(state, "acknowledged" | "delivered")
}

/// Without the half line that a killed process may leave.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    text.rsplit_once('\n')
        .map_or("", |(whole, _)| whole)
        .lines()
}

fn parse(word: &str, line: &str) -> Outcome<u64> {
    word.parse().map_err(|_| unreadable("a journal", line))
}

fn unreadable(what: &str, line: &str) -> Failure {
    Failure::Malformed {
        what: what.to_owned(),
        why: format!("the line is not known: {line:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTBOX: &str = "1 a 1 acknowledged -\n2 b 2 delivered -\n3 c 3 acknowledged -\n";
    const SENDER: &str = "began 0\nkept 1 a\nkept 2 b\noutcome a acknowledged 5\nconnected 0\n\
        counters 4 1\nbegan 9\nconnected 1\ncounters 2 0\ndone\n";

    fn findings(outbox: &str, sender: &str, receiver: &str) -> Findings {
        let mut ledger = Ledger::new(3);
        ledger.read_outbox(outbox).unwrap();
        ledger.read_sender(sender).unwrap();
        ledger.read_receiver(receiver).unwrap();
        ledger.outages(&[Outage { down: 10, up: 15 }, Outage { down: 31, up: 100 }]);
        let struck = |at, until, what: &str| Struck {
            at,
            until,
            what: what.to_owned(),
        };
        ledger.struck(vec![
            struck(1, 9, "a throttle that was over"),
            struck(13, 14, "a stall"),
            struck(18, 18, "a cut"),
            struck(20, 20, "a cut that came later"),
        ]);
        ledger.findings()
    }

    #[test]
    fn each_message_once_and_in_order_passes() {
        let seen = findings(
            OUTBOX,
            SENDER,
            "connected 0\n10 1 a 0 1\n20 2 b 0 1\n21 2 b 1 0\n30 3 c 0 1\ncopies 4\n40 3 c",
        );
        assert!(seen.passed(), "{seen:?}");
        assert_eq!(
            (seen.hand_overs, seen.maybe_redelivered, seen.effects),
            (4, 1, 3)
        );
        assert_eq!((seen.transmissions, seen.retransmissions), (6, 1));
        assert_eq!(
            (seen.connections, seen.resumed, seen.copies_stopped),
            (3, 1, 4)
        );
        assert_eq!(seen.effects_in_outages, 1);
        // Nothing took effect after the second return of a server.
        assert_eq!((seen.recovery.times, seen.recovery.max_ms), (1, 0.005));
        let slowest = seen.slowest.clone().unwrap();
        assert_eq!((slowest.ms, slowest.away_ms), (0.005, 0.005));
        assert_eq!(slowest.meanwhile, ["0 ms: a stall", "0 ms: a cut"]);
    }

    #[test]
    fn a_message_without_effect_is_lost_and_its_outcome_wrong() {
        let seen = findings(OUTBOX, SENDER, "10 1 a 0 1\n30 3 c 0 1\n");
        assert_eq!((seen.lost, seen.wrong, seen.passed()), (1, 1, false));
        assert!(seen.examples.iter().any(|e| e.contains("2 has no effect")));
    }

    #[test]
    fn a_second_effect_is_a_duplicate() {
        let seen = findings(
            OUTBOX,
            SENDER,
            "1 1 a 0 1\n2 2 b 0 1\n3 2 b 0 1\n4 3 c 0 1\n",
        );
        assert_eq!(
            (seen.duplicated, seen.misordered, seen.passed()),
            (1, 0, false)
        );
    }

    #[test]
    fn first_effects_count_for_the_order_of_the_outbox() {
        let seen = findings(OUTBOX, SENDER, "1 2 b 0 1\n2 3 c 0 1\n3 1 a 0 1\n");
        assert_eq!(
            (seen.misordered, seen.duplicated, seen.passed()),
            (1, 0, false)
        );
    }

    #[test]
    fn what_was_said_not_to_take_effect_must_not() {
        let outbox = "1 a 1 not-delivered -\n2 b 2 acknowledged -\n3 c 3 acknowledged -\n";
        let all = "1 1 a 0 1\n2 2 b 0 1\n3 3 c 0 1\n";
        assert_eq!(findings(outbox, "", all).wrong, 1);
        // It was said meanwhile, and taken back.
        let said = "outcome a not-delivered 1\n";
        assert_eq!(findings(OUTBOX, said, all).wrong, 1);
        let doubt = "outcome a in-doubt 1\n";
        assert_eq!(findings(OUTBOX, doubt, all).wrong, 0);
    }

    #[test]
    fn every_message_needs_an_outcome() {
        let all = "1 1 a 0 1\n2 2 b 0 1\n3 3 c 0 1\n";
        let open = "1 a 1 open -\n2 b 2 acknowledged -\n";
        let seen = findings(open, "", all);
        // One is open, one never came; and what came of it came from nowhere.
        assert_eq!((seen.without_outcome, seen.wrong), (2, 1));
        // What is open is not lost.
        assert_eq!(findings(open, "", "").lost, 1);
        let unknown = "1 a 1 unknown -\n2 b 2 delivered -\n3 c 3 in-doubt -\n";
        assert_eq!(findings(unknown, "", all).without_outcome, 1);
    }

    #[test]
    fn what_send_accepted_must_stay_in_the_outbox() {
        let seen = findings("2 b 2 delivered -\n", SENDER, "2 2 b 0 1\n");
        assert_eq!((seen.forgotten, seen.passed()), (1, false));
        let twice = "1 a 1 acknowledged -\n2 b 1 acknowledged -\n";
        assert_eq!(findings(twice, "", "").given_twice, 1);
    }

    #[test]
    fn what_has_a_deadline_may_take_no_effect_and_says_so_in_time() {
        let outbox = "1 a 1 not-delivered 1\n2 b 2 in-doubt 600\n3 c 3 delivered 1\n";
        let told = "began 0\noutcome a not-delivered 1001\nbegan 600000\n\
            outcome b in-doubt 850000\noutcome c delivered 900000\n";
        let seen = findings(outbox, told, "1 3 c 0 1\n");
        assert!(seen.passed(), "{seen:?}");
        let times = seen.told.unwrap();
        assert_eq!((times.times, times.max_ms), (2, 250.0));
        // Its process was not there at the deadline.
        let times = seen.told_from_start.unwrap();
        assert_eq!((times.times, times.max_ms), (1, 300.0));
        let late = told.replace("850000", "850001");
        assert_eq!(findings(outbox, &late, "1 3 c 0 1\n").late, 1);
        // A success is one.
        assert_eq!(findings(outbox, told, "").lost, 1);
    }

    #[test]
    fn a_line_that_is_not_known_is_an_error() {
        let mut ledger = Ledger::new(1);
        assert!(ledger.read_outbox("x\n").is_err());
        assert!(ledger.read_sender("kept x y\n").is_err());
        assert!(ledger.read_receiver("1 2 3\n").is_err());
    }
}
