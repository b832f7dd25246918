//! Two engines back to back, and a hand on what goes between them: nothing is carried
//! unless a test says so, and anything may be lost, carried twice, or later.

use std::time::Duration;

use stanchion_reliability::engine::{EngineConfig, Event, Input};
use stanchion_reliability::outcome::Outcome;
use stanchion_stanza::{Limits, Scope, codec::parse_element};

use crate::script::{SECOND, Script, between};

/// Messages of a channel that are without verdict at once, as is the default.
pub(crate) const ON_THEIR_WAY: u64 = 96;

/// One of the two.
pub(crate) struct End {
    pub(crate) s: Script,
    /// Where its stanzas come from.
    pub(crate) jid: String,
    /// What was told of its messages, in short.
    pub(crate) outcomes: Vec<(String, String)>,
    /// What was handed over and not looked at: arrival, body, with a warning.
    pub(crate) handed: Vec<(u64, String, bool)>,
    /// All else that was told.
    pub(crate) told: Vec<Event>,
}

impl End {
    fn new(seed: u8, jid: &str, change: impl Fn(&mut EngineConfig)) -> Self {
        let s = Script::of(seed, |config| {
            // Nothing here is about the life of a stream.
            config.probe_after = Duration::from_secs(1_000_000_000);
            change(config);
        });
        let mut end = Self {
            s,
            jid: jid.to_owned(),
            outcomes: Vec::new(),
            handed: Vec::new(),
            told: Vec::new(),
        };
        end.s.bind(false, None);
        end
    }

    /// What it sent since the last look.
    pub(crate) fn out(&mut self) -> Vec<String> {
        self.listen();
        let sent = self.s.sent().into_iter();
        sent.filter(|xml| xml.starts_with("<message")).collect()
    }

    /// A stanza comes from there.
    pub(crate) fn take(&mut self, from: &str, xml: &str) {
        let limits = Limits::default();
        let mut element = parse_element(xml.as_bytes(), &Scope::client(), &limits).unwrap();
        element.set_attr(
            "from",
            stanchion_stanza::Text::new(from.to_owned()).unwrap(),
        );
        self.s.give(Input::Received(element));
        self.listen();
    }

    /// Sorts what was told.
    pub(crate) fn listen(&mut self) {
        for event in self.s.events() {
            match event {
                Event::Outcome { id, outcome } => self.outcomes.push((id, short(&outcome))),
                Event::Message {
                    arrival,
                    message,
                    maybe_redelivered,
                } => {
                    let body = message.body().unwrap_or_default().into_owned();
                    self.handed.push((arrival, body, maybe_redelivered));
                }
                other => self.told.push(other),
            }
        }
    }

    /// The application begins with all that it was warned of.
    pub(crate) fn begins_all(&mut self) {
        for (arrival, _, warned) in &self.handed {
            if *warned {
                self.s.give(Input::Begin { arrival: *arrival });
            }
        }
        self.listen();
    }

    /// The process is replaced.
    pub(crate) fn becomes(&mut self, next: impl FnOnce(Script) -> Script) {
        let now = std::mem::replace(&mut self.s, Script::new());
        self.s = next(now);
        self.handed.clear();
        self.s.bind(false, None);
        self.listen();
    }

    /// What was told of that message, oldest first.
    pub(crate) fn outcomes_of(&self, id: &str) -> Vec<&str> {
        let of = self.outcomes.iter().filter(|(of, _)| of == id);
        of.map(|(_, what)| what.as_str()).collect()
    }
}

/// The two: `a` sends, `b` receives.
pub(crate) struct Pair {
    pub(crate) a: End,
    pub(crate) b: End,
    /// The application at `b` commits what it gets, at once.
    pub(crate) commits: bool,
    /// What took effect at `b`: committed, or handed over before a crash.
    pub(crate) effects: Vec<String>,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl Fn(&mut EngineConfig)) -> Self {
        Self {
            a: End::new(1, "anna@x/1", &change),
            b: End::new(2, "bob@y/1", &change),
            commits: true,
            effects: Vec::new(),
        }
    }

    /// The same, after a first message that was delivered: `a` knows the device.
    pub(crate) fn acquainted() -> Self {
        let mut pair = Self::new();
        pair.get_acquainted();
        pair
    }

    pub(crate) fn get_acquainted(&mut self) {
        self.send("hello");
        self.carry();
        assert_eq!(self.a.outcomes_of("hello"), ["delivered"]);
        self.effects.clear();
        self.a.outcomes.clear();
    }

    pub(crate) fn send(&mut self, id: &str) {
        self.a.s.send_to("bob@y", id, None);
    }

    pub(crate) fn send_within(&mut self, id: &str, time: Duration) {
        self.a.s.send_to("bob@y", id, Some(time));
    }

    pub(crate) fn reaches_b(&mut self, xml: &str) {
        self.b.take(&self.a.jid.clone(), xml);
        self.apply();
    }

    pub(crate) fn reaches_a(&mut self, xml: &str) {
        self.a.take(&self.b.jid.clone(), xml);
    }

    /// The application at `b` acts on what it got.
    pub(crate) fn apply(&mut self) {
        self.b.listen();
        while self.commits && !self.b.handed.is_empty() {
            let (arrival, body, _) = self.b.handed.remove(0);
            self.effects.push(body);
            self.b.s.commit(arrival);
            self.b.listen();
        }
    }

    /// Everything arrives, until nothing is on its way.
    pub(crate) fn carry(&mut self) {
        for _ in 0..1000 {
            self.apply();
            let (out, back) = (self.a.out(), self.b.out());
            if out.is_empty() && back.is_empty() {
                return;
            }
            for xml in out {
                self.reaches_b(&xml);
            }
            for xml in back {
                self.reaches_a(&xml);
            }
        }
        panic!("the two never stop talking");
    }

    /// Time passes for both, and all that they say is lost.
    pub(crate) fn pass_deaf(&mut self, time: Duration) {
        self.a.s.pass(time);
        self.b.s.pass(time);
        self.a.out();
        self.b.out();
    }

    /// Time passes for both, and everything arrives.
    pub(crate) fn pass(&mut self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(SECOND / 4);
            self.a.s.pass(step);
            self.b.s.pass(step);
            self.carry();
            left -= step;
        }
    }
}

/// An outcome in a word, with its reason.
pub(crate) fn short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Acknowledged { .. } => "acknowledged".to_owned(),
        Outcome::Delivered { .. } => "delivered".to_owned(),
        Outcome::NotDelivered(why) => format!("not delivered {why:?}").to_lowercase(),
        Outcome::InDoubt(why) => {
            let why = format!("{why:?}").to_lowercase();
            format!("in doubt {}", why.split(' ').next().unwrap_or_default())
        }
        _ => "unknown".to_owned(),
    }
}

/// Whether a stanza has that element of the protocol.
pub(crate) fn says(xml: &str, name: &str) -> bool {
    xml.contains(&format!("<{name} xmlns='urn:stanchion:delivery:0'"))
}

/// An attribute of the protocol's element in it.
pub(crate) fn said(xml: &str, name: &str) -> String {
    let at = xml.find("xmlns='urn:stanchion:delivery:0'").unwrap();
    between(&xml[at..], &format!(" {name}='"), "'")
}
