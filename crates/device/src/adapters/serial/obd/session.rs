//! The conversation with an ELM327: set up, what the car has, then round after round of
//! requests, each after the answer to the one before. No I/O and no clock: bytes and the
//! time come in by [`Session::handle`], and what is to be done comes out of
//! [`Session::poll_output`] until it says [`Output::Wait`].

use std::collections::VecDeque;
use std::time::Duration;

use stanchion_stanza::Text;

use super::elm::{self, Reply};
use super::pid::{self, Cleared, PIDS, Pid};
use super::{TROUBLE_CODES, TROUBLE_COUNT, TROUBLE_LIGHT, VIN, VOLTAGE, Wanted};
use crate::model::{Reading, Value};

/// Reset, no echo, no line feeds, no spaces, no headers, the protocol found by itself.
const SETUP: [&str; 6] = ["ATZ", "ATE0", "ATL0", "ATS0", "ATH0", "ATSP0"];
/// How long a reset, and the search for the car's protocol, may take at least.
const LONG: Duration = Duration::from_secs(30);
/// The car is gone once it was asked something in so many rounds, and answered nothing.
const EMPTY_ROUNDS: u32 = 3;
/// How soon a round without anything to ask is over at the earliest.
const IDLE: Duration = Duration::from_secs(1);
/// Clears the trouble codes (service 04).
const CLEAR: &str = "04";

/// What happens to the conversation. Times are monotonic, from any one moment on.
#[derive(Debug)]
pub(super) enum Input<'a> {
    /// Bytes came.
    Bytes(&'a [u8]),
    /// Time passed.
    Tick,
    /// The trouble codes are to be cleared.
    Clear,
    /// [`Output::Clear`] was not carried out.
    ClearSkipped,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Output {
    /// Write that.
    Write(String),
    /// Write that, which has an effect, or say [`Input::ClearSkipped`].
    Clear(String),
    /// Take notice.
    Event(Event),
    /// Nothing before that time, unless something comes.
    Wait(Duration),
}

/// What became known.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// The car answers; it has these parameters.
    Ready(Has),
    /// A round of requests is over.
    Readings(Vec<Reading>),
    /// What became of clearing the codes.
    Cleared(Outcome),
    /// The conversation is at its end.
    Failed(Failure),
}

/// What became of clearing the codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// They are cleared.
    Done,
    /// They are not.
    Refused(String),
    /// Nothing was sent.
    NotSent(String),
    /// Nobody knows.
    Unknown(String),
}

/// Why it is at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// No answer in time.
    Silent,
    /// It does not talk as an ELM327 does.
    NotElm(String),
    /// The car does not answer.
    NoCar(String),
    /// The ELM327 began anew.
    Restarted,
}

/// The parameters that a car has, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Has([u32; 8]);

impl Has {
    pub(super) fn pid(&self, id: u8) -> bool {
        let Some(at) = id.checked_sub(1) else {
            return true;
        };
        let map = self.0.get(usize::from(at / 32)).copied().unwrap_or(0);
        map >> (31 - at % 32) & 1 == 1
    }
}

/// What was asked.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Setup(usize),
    Bitmap(u8),
    Vin,
    Pid(&'static Pid),
    Voltage,
    Status,
    Codes,
    Clear,
}

/// The conversation.
#[derive(Debug)]
pub(super) struct Session {
    framer: elm::Framer,
    /// What is to be asked next, before anything that time brings.
    next: VecDeque<Asked>,
    /// What was asked, and when its answer is too late.
    asked: Option<(Asked, Duration)>,
    sent: String,
    outputs: VecDeque<Output>,
    /// How long an answer may take.
    patience: Duration,
    every: Duration,
    trouble_every: Duration,
    fields: Vec<String>,
    all: bool,
    has: Has,
    vin: Option<Text>,
    ready: bool,
    clear: bool,
    /// Of this round.
    readings: Vec<Reading>,
    /// Whether a round is under way.
    in_round: bool,
    /// Whether the car is asked something in it, and not only the ELM327.
    asks_car: bool,
    round_at: Duration,
    trouble_at: Duration,
    empty_rounds: u32,
    over: bool,
}

impl Session {
    /// Nothing said yet.
    pub(super) fn new(now: Duration, wanted: &Wanted) -> Self {
        Self {
            framer: elm::Framer::default(),
            next: (0..SETUP.len()).map(Asked::Setup).collect(),
            asked: None,
            sent: String::new(),
            outputs: VecDeque::new(),
            patience: wanted.patience,
            every: wanted.every,
            trouble_every: wanted.trouble_every,
            fields: wanted.fields.clone().unwrap_or_default(),
            all: wanted.fields.is_none(),
            has: Has::default(),
            vin: None,
            ready: false,
            clear: false,
            readings: Vec::new(),
            in_round: false,
            asks_car: false,
            round_at: now,
            trouble_at: now,
            empty_rounds: 0,
            over: false,
        }
    }

    fn wants(&self, field: &str) -> bool {
        self.all || self.fields.iter().any(|f| f == field)
    }

    /// Takes in what happened.
    pub(super) fn handle(&mut self, now: Duration, input: &Input<'_>) {
        match input {
            Input::Bytes(bytes) => {
                for byte in *bytes {
                    if let Some(lines) = self.framer.take(*byte) {
                        // A prompt without a question: what is left of before the reset.
                        if let Some((asked, _)) = self.asked.take() {
                            let reply = elm::interpret(&self.sent, &lines);
                            self.answered(now, asked, reply);
                        }
                    }
                }
            }
            Input::Tick => {
                if let Some((asked, by)) = self.asked
                    && by <= now
                {
                    self.asked = None;
                    if matches!(asked, Asked::Clear) {
                        let why = "the car did not answer in time".to_owned();
                        self.tell(Event::Cleared(Outcome::Unknown(why)));
                    }
                    self.fail(Failure::Silent);
                }
            }
            Input::Clear => self.clear = true,
            Input::ClearSkipped => self.asked = None,
        }
    }

    /// What is to be done next.
    pub(super) fn poll_output(&mut self, now: Duration) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            if self.over {
                return Output::Wait(Duration::MAX);
            }
            if let Some((_, by)) = self.asked {
                return Output::Wait(by);
            }
            if self.ready && std::mem::take(&mut self.clear) {
                return Output::Clear(self.ask(now, Asked::Clear));
            }
            if let Some(asked) = self.next.pop_front() {
                return Output::Write(self.ask(now, asked));
            }
            if std::mem::take(&mut self.in_round) {
                self.end_round();
            } else if now >= self.round_at {
                self.begin_round(now);
            } else {
                return Output::Wait(self.round_at);
            }
        }
    }

    fn ask(&mut self, now: Duration, asked: Asked) -> String {
        self.sent = match asked {
            Asked::Setup(at) => SETUP.get(at).copied().unwrap_or_default().to_owned(),
            Asked::Bitmap(base) => format!("01{base:02X}"),
            Asked::Vin => "0902".to_owned(),
            Asked::Pid(pid) => pid.request(),
            Asked::Voltage => "ATRV".to_owned(),
            Asked::Status => "0101".to_owned(),
            Asked::Codes => "03".to_owned(),
            Asked::Clear => CLEAR.to_owned(),
        };
        let patience = match asked {
            // The protocol is looked for at the first request.
            Asked::Setup(0) | Asked::Bitmap(0) => self.patience.max(LONG),
            _ => self.patience,
        };
        self.asked = Some((asked, now + patience));
        self.framer.clear();
        format!("{}\r", self.sent)
    }

    fn answered(&mut self, now: Duration, asked: Asked, reply: Reply) {
        // Whatever was asked.
        let restarted = reply == Reply::Restarted && !matches!(asked, Asked::Setup(_));
        match (&reply, asked) {
            (_, Asked::Clear) => return self.clear_answered(now, reply),
            _ if restarted => return self.fail(Failure::Restarted),
            (Reply::NoBus(why), _) => return self.fail(Failure::NoCar(why.clone())),
            _ => {}
        }
        match (asked, reply) {
            // Makers of copies write other names.
            (Asked::Setup(0), _) | (Asked::Setup(_), Reply::Fine) => {}
            (Asked::Setup(at), reply) => {
                let command = SETUP.get(at).copied().unwrap_or_default();
                self.fail(Failure::NotElm(format!(
                    "{command} has the answer {reply:?}"
                )));
            }
            (Asked::Bitmap(base), Reply::Data(messages)) => match pid::supported(base, &messages) {
                Some(map) => self.bitmap(base, map),
                None if base == 0 => {
                    let what = format!("0100 has the answer {messages:02X?}");
                    self.fail(Failure::NotElm(what));
                }
                None => self.ask_vin(),
            },
            (Asked::Bitmap(0), reply) => {
                let what = match reply {
                    Reply::NoData => "NO DATA".to_owned(),
                    other => format!("{other:?}"),
                };
                self.fail(Failure::NoCar(what));
            }
            // It said that it has more, and does not tell what.
            (Asked::Bitmap(_), _) => self.ask_vin(),
            (Asked::Vin, reply) => {
                if let Reply::Data(messages) = reply {
                    self.vin = pid::vin(&messages);
                }
                self.ready = true;
                self.round_at = now;
                self.tell(Event::Ready(self.has.clone()));
            }
            (Asked::Pid(pid), Reply::Data(messages)) => {
                if let Some(value) = pid.value(&messages) {
                    self.read(pid.field, value);
                }
            }
            (Asked::Voltage, Reply::Said(said)) => {
                if let Some(value) = pid::voltage(&said) {
                    self.read(VOLTAGE, value);
                }
            }
            (Asked::Status, Reply::Data(messages)) => {
                if let Some((light, count)) = pid::status(&messages) {
                    self.read(TROUBLE_LIGHT, Value::Boolean(light));
                    self.read(TROUBLE_COUNT, Value::Int(count.into()));
                }
            }
            (Asked::Codes, Reply::Data(messages)) => {
                let codes = pid::trouble_codes(&messages);
                if let Some(Ok(codes)) = codes.map(|codes| Text::new(codes.join(" "))) {
                    self.read(TROUBLE_CODES, Value::String(codes));
                }
            }
            // Not measured this time.
            _ => {}
        }
    }

    fn clear_answered(&mut self, now: Duration, reply: Reply) {
        let outcome = match reply {
            Reply::Data(messages) => match pid::cleared(&messages) {
                Cleared::Yes => Outcome::Done,
                // With the engine running, most say 0x22: conditions not correct.
                Cleared::Refused(why) => Outcome::Refused(format!(
                    "the car does not clear its codes now (response {why:02X}); switch the \
                     engine off and the ignition on, and try again"
                )),
                Cleared::Pending => {
                    let why = "the car needs more time than the ELM327 gives it";
                    Outcome::Unknown(why.to_owned())
                }
                Cleared::Unclear => Outcome::Unknown(format!("the car says {messages:02X?}")),
            },
            Reply::NotUnderstood => Outcome::NotSent("the ELM327 did not understand".to_owned()),
            Reply::NoBus(why) => {
                self.tell(Event::Cleared(Outcome::NotSent(why.clone())));
                return self.fail(Failure::NoCar(why));
            }
            Reply::Restarted => {
                let why = "the ELM327 began anew".to_owned();
                self.tell(Event::Cleared(Outcome::Unknown(why)));
                return self.fail(Failure::Restarted);
            }
            other => Outcome::Unknown(format!("the answer is {other:?}")),
        };
        self.tell(Event::Cleared(outcome));
        // What there is now is told at once.
        self.trouble_at = now;
        if !self.in_round {
            self.round_at = now;
        }
    }

    fn bitmap(&mut self, base: u8, map: u32) {
        if let Some(has) = self.has.0.get_mut(usize::from(base / 32)) {
            *has = map;
        }
        match base.checked_add(32) {
            // Its last bit says whether there are more.
            Some(more) if map & 1 == 1 => self.next.push_back(Asked::Bitmap(more)),
            _ => self.ask_vin(),
        }
    }

    fn ask_vin(&mut self) {
        self.next.push_back(Asked::Vin);
    }

    fn begin_round(&mut self, now: Duration) {
        if !self.ready {
            // The set-up is over: what does the car have?
            self.next.push_back(Asked::Bitmap(0));
            self.round_at = Duration::MAX;
            return;
        }
        self.round_at = now.saturating_add(self.every);
        self.in_round = true;
        let pids = PIDS.iter();
        let pids = pids.filter(|pid| self.has.pid(pid.id) && self.wants(pid.field));
        let pids: Vec<_> = pids.map(Asked::Pid).collect();
        self.next.extend(pids);
        if now >= self.trouble_at {
            self.trouble_at = now.saturating_add(self.trouble_every);
            let status = self.wants(TROUBLE_LIGHT) || self.wants(TROUBLE_COUNT);
            if status && self.has.pid(1) {
                self.next.push_back(Asked::Status);
            }
            if self.wants(TROUBLE_CODES) {
                self.next.push_back(Asked::Codes);
            }
        }
        self.asks_car = !self.next.is_empty();
        if self.wants(VOLTAGE) {
            self.next.push_back(Asked::Voltage);
        }
        if self.next.is_empty() {
            self.round_at = self.round_at.max(now.saturating_add(IDLE));
        }
        if let Some(vin) = self.vin.clone()
            && self.wants(VIN)
        {
            self.read(VIN, Value::String(vin));
        }
    }

    /// What was measured; nothing at all, several times, is no car.
    fn end_round(&mut self) {
        let readings = std::mem::take(&mut self.readings);
        let of_car = |r: &Reading| r.field != VOLTAGE && r.field != VIN;
        if readings.iter().any(of_car) {
            self.empty_rounds = 0;
        } else if self.asks_car {
            self.empty_rounds += 1;
        }
        if self.empty_rounds >= EMPTY_ROUNDS {
            return self.fail(Failure::NoCar("it no longer answers".to_owned()));
        }
        if !readings.is_empty() {
            self.tell(Event::Readings(readings));
        }
    }

    fn read(&mut self, field: &'static str, value: Value) {
        let field = Text::from_static(field);
        self.readings.push(Reading::automatic(field, value));
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn fail(&mut self, failure: Failure) {
        self.over = true;
        self.next.clear();
        self.tell(Event::Failed(failure));
    }
}

#[cfg(test)]
mod tests;
