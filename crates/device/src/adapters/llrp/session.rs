//! What is said to a reader, and when: from its first event up to its reports, one request
//! at a time. No socket and no clock here; times come in, monotonic, from any one moment on.
//!
//! The reader says that the connection is taken; it is asked what it is, told what to tell
//! and to say at times that it is there, rid of old ROSpecs, and given ours: added, enabled,
//! and started if it is to look for tags. From then on it reports.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::codec::{
    AiSpec, Device, Inventory, Message, ReportContent, ReportSpec, Request, RoSpec, Status, Stop,
    TagReport, WhatHappened,
};

/// The most antennas that are remembered of a reader.
const MOST_ANTENNAS: usize = 256;

/// The events that are asked for: ROSpecs, a full buffer, exceptions, antennas.
const EVENTS: [(u16, bool); 4] = [(2, true), (3, true), (4, true), (8, true)];

/// How a reader is to be used.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// At which antennas; 0 stands for all.
    pub(super) antennas: Vec<u16>,
    /// The ROSpec's number.
    pub(super) ro_spec: u32,
    /// Every how long the reader says that it is there.
    pub(super) keepalive: Duration,
    /// After how many of these without a word it is lost.
    pub(super) missed: u32,
    /// How long an answer may take.
    pub(super) answer: Duration,
}

/// Why there is no session any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The reader refuses.
    Refused(String),
    /// The reader does not keep to the protocol.
    Misbehaved(String),
    /// The reader does not answer, or says nothing any more.
    Silent(String),
    /// The reader ends the connection.
    Closed,
}

/// What a session tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    /// It is set up.
    Ready,
    /// Its state is another one.
    Changed,
    /// Tags were seen.
    Tags(Vec<TagReport>),
    /// How the order went.
    Ordered(Result<(), String>),
    /// Something happened that somebody may want to know.
    Noted(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    Capabilities,
    Configuration,
    Configure,
    DeleteAll,
    DeleteOurs,
    Add,
    Enable,
    Start,
    /// It is set up, and no request is on its way.
    Idle,
    /// A START_ROSPEC or STOP_ROSPEC by order.
    Order {
        on: bool,
    },
    Closing,
}

/// One connection to a reader.
#[derive(Debug)]
pub(super) struct Session {
    plan: Plan,
    step: Step,
    /// The id of the request that waits for its answer.
    id: u32,
    since: Duration,
    heard: Duration,
    enabling: Option<u32>,
    out: VecDeque<(u32, Message)>,
    told: VecDeque<Told>,
    wanted: bool,
    ready: bool,
    /// Whether it looks for tags.
    pub(super) inventory: bool,
    /// What it is.
    pub(super) device: Option<Device>,
    holds: bool,
    /// Which reader it is, in hexadecimal.
    pub(super) reader_id: Option<String>,
    /// Its antennas, and whether each is connected, as far as it says.
    pub(super) antennas: BTreeMap<u16, bool>,
    /// What went wrong with it last.
    pub(super) exception: Option<String>,
    /// How full its buffer of reports was, in percent, when it told last.
    pub(super) buffer: Option<u8>,
}

impl Session {
    /// A connection that was just made, and whether the reader is to look for tags.
    pub(super) fn new(plan: Plan, now: Duration, wanted: bool) -> Self {
        Self {
            plan,
            step: Step::Connect,
            id: 0,
            since: now,
            heard: now,
            enabling: None,
            out: VecDeque::new(),
            told: VecDeque::new(),
            wanted,
            ready: false,
            inventory: false,
            device: None,
            holds: false,
            reader_id: None,
            antennas: BTreeMap::new(),
            exception: None,
            buffer: None,
        }
    }

    /// What is to be sent next, and under which id.
    pub(super) fn next_message(&mut self) -> Option<(u32, Message)> {
        self.out.pop_front()
    }

    /// What there is to tell next.
    pub(super) fn next_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    /// Whether an order can be taken.
    pub(super) fn is_idle(&self) -> bool {
        self.step == Step::Idle
    }

    /// Looks for tags, or does not any more. Call it when [idle](Self::is_idle).
    pub(super) fn order(&mut self, now: Duration, on: bool) {
        if self.inventory == on {
            self.told.push_back(Told::Ordered(Ok(())));
            return;
        }
        let id = self.plan.ro_spec;
        let message = match on {
            true => Message::StartRoSpec(id),
            false => Message::StopRoSpec(id),
        };
        self.request(now, Step::Order { on }, message);
    }

    /// Ends it in peace.
    pub(super) fn close(&mut self, now: Duration) {
        self.request(now, Step::Closing, Message::CloseConnection);
    }

    /// When to [look](Self::tick) at the latest.
    pub(super) fn due(&self) -> Duration {
        let silent = self.heard + self.patience();
        match self.step {
            Step::Idle => silent,
            _ if self.ready => silent.min(self.since + self.plan.answer),
            _ => self.since + self.plan.answer,
        }
    }

    fn patience(&self) -> Duration {
        self.plan.keepalive * self.plan.missed
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Duration) -> Result<(), Failure> {
        let waits = self.step != Step::Idle;
        if waits && now >= self.since + self.plan.answer {
            let step = match self.step {
                Step::Connect => "it does not say whether the connection is taken".to_owned(),
                step => format!("it does not answer to {}", step.name()),
            };
            return Err(Failure::Silent(step));
        }
        if self.ready && now >= self.heard + self.patience() {
            let times = self.plan.missed;
            return Err(Failure::Silent(format!(
                "{times} of its keepalives are missing"
            )));
        }
        Ok(())
    }

    fn request(&mut self, now: Duration, step: Step, message: Message) {
        self.id = self.id.wrapping_add(1);
        self.step = step;
        self.since = now;
        self.out.push_back((self.id, message));
    }

    /// The reader said that.
    pub(super) fn received(
        &mut self,
        now: Duration,
        id: u32,
        message: Message,
    ) -> Result<(), Failure> {
        self.heard = now;
        match message {
            Message::Keepalive => self.out.push_back((id, Message::KeepaliveAck)),
            Message::Report(tags) => self.told.push_back(Told::Tags(tags)),
            Message::Event(event) => return self.happened(now, event),
            Message::Error(status) if Some(id) == self.enabling => {
                self.enabling = None;
                // Some that claim to hold reports back do not know the message.
                self.told.push_back(Told::Noted(format!(
                    "ENABLE_EVENTS_AND_REPORTS is not taken: {status}"
                )));
            }
            Message::Error(status) if id == self.id && self.waits() => {
                return self.answered(now, &status);
            }
            Message::Error(status) => {
                self.told
                    .push_back(Told::Noted(format!("the reader says: {status}")));
            }
            Message::Capabilities(read) if self.awaits(Step::Capabilities, id) => {
                self.holds = read.functions.is_some_and(|f| f.holds_reports());
                self.device = read.device;
                return self.answered(now, &read.status);
            }
            Message::ReaderConfig(read) if self.awaits(Step::Configuration, id) => {
                self.reader_id = read.identification.map(|which| {
                    let digits = which.id.iter().map(|byte| format!("{byte:02X}"));
                    digits.collect()
                });
                let antennas = read.antennas.iter().map(|(id, on, _)| (*id, *on));
                self.antennas = antennas.take(MOST_ANTENNAS).collect();
                return self.answered(now, &read.status);
            }
            Message::Answer(request, status)
                if self.waits() && id == self.id && self.step.asks() == Some(request) =>
            {
                return self.answered(now, &status);
            }
            Message::Answer(..) | Message::Capabilities(_) | Message::ReaderConfig(_) => {
                return Err(Failure::Misbehaved(format!(
                    "{} with id {id} answers no request that waits",
                    message.name()
                )));
            }
            other => {
                let name = other.name();
                self.told
                    .push_back(Told::Noted(format!("{name} is not expected")));
            }
        }
        Ok(())
    }

    fn waits(&self) -> bool {
        !matches!(self.step, Step::Connect | Step::Idle)
    }

    fn awaits(&self, step: Step, id: u32) -> bool {
        self.step == step && self.id == id
    }

    fn happened(&mut self, now: Duration, event: WhatHappened) -> Result<(), Failure> {
        match event.connection_attempt {
            Some(0) if self.step == Step::Connect => {
                self.request(now, Step::Capabilities, Message::GetReaderCapabilities(0));
            }
            Some(status @ 1..=3) if self.step == Step::Connect => {
                let why = match status {
                    1 | 2 => "another client is connected: end its connection, or wait",
                    _ => "it does not take the connection, and does not say why",
                };
                return Err(Failure::Refused(why.to_owned()));
            }
            Some(4) => self
                .told
                .push_back(Told::Noted("another client tries to connect".to_owned())),
            _ => {}
        }
        if event.connection_close {
            return Err(Failure::Closed);
        }
        let before = self.inventory;
        if let Some(spec) = event
            .ro_spec
            .filter(|spec| self.ready && spec.id == self.plan.ro_spec)
        {
            self.inventory = spec.kind == 0;
        }
        let mut changed = before != self.inventory;
        if let Some((antenna, connected)) = event.antenna
            && (self.antennas.len() < MOST_ANTENNAS || self.antennas.contains_key(&antenna))
        {
            changed |= self.antennas.insert(antenna, connected) != Some(connected);
        }
        if let Some(level) = event.buffer_level {
            changed |= self.buffer.replace(level) != Some(level);
        }
        let lost = (event.buffer_overflow)
            .then(|| "its buffer of reports was full: reports are lost".to_owned());
        if let Some(exception) = event.exception.or(lost) {
            self.told.push_back(Told::Noted(exception.clone()));
            self.exception = Some(exception);
            changed = true;
        }
        if changed && self.ready {
            self.told.push_back(Told::Changed);
        }
        Ok(())
    }

    /// The request that waited was answered so.
    fn answered(&mut self, now: Duration, status: &Status) -> Result<(), Failure> {
        if let Step::Order { on } = self.step {
            self.step = Step::Idle;
            let outcome = match status.is_success() {
                true => {
                    self.inventory = on;
                    self.told.push_back(Told::Changed);
                    Ok(())
                }
                false => Err(status.to_string()),
            };
            self.told.push_back(Told::Ordered(outcome));
            return Ok(());
        }
        // There may be none to delete, and a reader need not know all of its own settings.
        let may_fail = matches!(
            self.step,
            Step::Configuration | Step::DeleteAll | Step::DeleteOurs | Step::Closing
        );
        if !status.is_success() && !may_fail {
            let name = self.step.name();
            return Err(Failure::Refused(format!("{name}: {status}")));
        }
        let ours = self.plan.ro_spec;
        match self.step {
            Step::Capabilities => {
                self.request(now, Step::Configuration, Message::GetReaderConfig(0));
            }
            Step::Configuration => self.request(now, Step::Configure, self.configuration()),
            Step::Configure => {
                self.request(now, Step::DeleteAll, Message::DeleteRoSpec(0));
            }
            // Some take 0 for a number like others.
            Step::DeleteAll if !status.is_success() => {
                self.request(now, Step::DeleteOurs, Message::DeleteRoSpec(ours));
            }
            Step::DeleteAll | Step::DeleteOurs => {
                self.request(now, Step::Add, Message::AddRoSpec(self.ro_spec()));
            }
            Step::Add => self.request(now, Step::Enable, Message::EnableRoSpec(ours)),
            Step::Enable if self.wanted => {
                self.request(now, Step::Start, Message::StartRoSpec(ours));
            }
            Step::Enable => self.set_up(),
            Step::Start => {
                self.inventory = true;
                self.set_up();
            }
            Step::Closing => return Err(Failure::Closed),
            Step::Connect | Step::Idle | Step::Order { .. } => {}
        }
        Ok(())
    }

    fn set_up(&mut self) {
        self.step = Step::Idle;
        self.ready = true;
        if self.holds {
            self.id = self.id.wrapping_add(1);
            self.enabling = Some(self.id);
            self.out
                .push_back((self.id, Message::EnableEventsAndReports));
        }
        self.told.push_back(Told::Ready);
    }

    fn configuration(&self) -> Message {
        let ms = self.plan.keepalive.as_millis();
        Message::SetReaderConfig {
            reset: false,
            events: EVENTS.to_vec(),
            keepalive_ms: Some(u32::try_from(ms).unwrap_or(u32::MAX)),
            // What was seen while nobody was connected is told afterwards.
            hold: self.holds.then_some(true),
        }
    }

    fn ro_spec(&self) -> RoSpec {
        let inventory = Inventory { id: 1, protocol: 1 };
        RoSpec {
            id: self.plan.ro_spec,
            priority: 0,
            state: 0,
            start: 0,
            stop: Stop::NEVER,
            inventories: vec![AiSpec {
                antennas: self.plan.antennas.clone(),
                stop: Stop::NEVER,
                inventories: vec![inventory],
            }],
            report: Some(ReportSpec {
                trigger: 2,
                tags: 1,
                content: ReportContent {
                    ro_spec: true,
                    antenna: true,
                    channel: true,
                    peak_rssi: true,
                    first_seen: true,
                    last_seen: true,
                    seen_count: true,
                    ..ReportContent::default()
                },
            }),
        }
    }
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Connect | Self::Idle => "nothing",
            Self::Capabilities => "GET_READER_CAPABILITIES",
            Self::Configuration => "GET_READER_CONFIG",
            Self::Configure => "SET_READER_CONFIG",
            Self::DeleteAll | Self::DeleteOurs => "DELETE_ROSPEC",
            Self::Add => "ADD_ROSPEC",
            Self::Enable => "ENABLE_ROSPEC",
            Self::Start | Self::Order { on: true } => "START_ROSPEC",
            Self::Order { on: false } => "STOP_ROSPEC",
            Self::Closing => "CLOSE_CONNECTION",
        }
    }

    /// The request whose answer only says how it went.
    const fn asks(self) -> Option<Request> {
        Some(match self {
            Self::Configure => Request::SetReaderConfig,
            Self::DeleteAll | Self::DeleteOurs => Request::DeleteRoSpec,
            Self::Add => Request::AddRoSpec,
            Self::Enable => Request::EnableRoSpec,
            Self::Start | Self::Order { on: true } => Request::StartRoSpec,
            Self::Order { on: false } => Request::StopRoSpec,
            Self::Closing => Request::CloseConnection,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::llrp::codec::{Capabilities, ReaderConfig, Timestamp};

    const SECOND: Duration = Duration::from_secs(1);

    fn plan() -> Plan {
        Plan {
            antennas: vec![0],
            ro_spec: 7,
            keepalive: SECOND,
            missed: 3,
            answer: 10 * SECOND,
        }
    }

    fn connected(status: u16) -> Message {
        Message::Event(WhatHappened {
            connection_attempt: Some(status),
            ..WhatHappened::nothing(Timestamp::Utc(1))
        })
    }

    /// What a reader that has nothing to say answers.
    fn answer(to: &Message) -> Option<Message> {
        let good = |request| Some(Message::Answer(request, Status::success()));
        match to {
            Message::GetReaderCapabilities(_) => Some(Message::Capabilities(Capabilities {
                status: Status::success(),
                device: None,
                functions: None,
            })),
            Message::GetReaderConfig(_) => Some(Message::ReaderConfig(ReaderConfig {
                status: Status::success(),
                identification: None,
                antennas: vec![(1, true, 0)],
                keepalive_ms: None,
                hold: None,
            })),
            Message::SetReaderConfig { .. } => good(Request::SetReaderConfig),
            Message::DeleteRoSpec(_) => good(Request::DeleteRoSpec),
            Message::AddRoSpec(_) => good(Request::AddRoSpec),
            Message::EnableRoSpec(_) => good(Request::EnableRoSpec),
            Message::StartRoSpec(_) => good(Request::StartRoSpec),
            Message::StopRoSpec(_) => good(Request::StopRoSpec),
            _ => None,
        }
    }

    fn told(session: &mut Session) -> Vec<Told> {
        std::iter::from_fn(|| session.next_told()).collect()
    }

    fn set_up() -> (Session, Vec<&'static str>) {
        let mut session = Session::new(plan(), Duration::ZERO, true);
        session.received(SECOND, 0, connected(0)).unwrap();
        let mut said = Vec::new();
        while let Some((id, message)) = session.next_message() {
            said.push(message.name());
            if let Some(answer) = answer(&message) {
                session.received(SECOND, id, answer).unwrap();
            }
        }
        assert_eq!(told(&mut session), [Told::Ready]);
        (session, said)
    }

    #[test]
    fn a_reader_is_asked_configured_and_rid_of_old_rospecs_before_ours_is_started() {
        let (session, said) = set_up();
        assert_eq!(
            said,
            [
                "GET_READER_CAPABILITIES",
                "GET_READER_CONFIG",
                "SET_READER_CONFIG",
                "DELETE_ROSPEC",
                "ADD_ROSPEC",
                "ENABLE_ROSPEC",
                "START_ROSPEC",
            ]
        );
        assert!(session.is_idle() && session.inventory);
    }

    #[test]
    fn a_reader_that_misses_its_keepalives_is_lost_and_anything_it_says_counts() {
        let (mut session, _) = set_up();
        assert_eq!(session.due(), 4 * SECOND);
        let report = Message::Report(Vec::new());
        session.received(3 * SECOND, 0, report).unwrap();
        assert_eq!(session.tick(4 * SECOND), Ok(()));
        assert!(matches!(session.tick(6 * SECOND), Err(Failure::Silent(_))));
    }

    #[test]
    fn a_keepalive_is_acknowledged_with_its_id() {
        let (mut session, _) = set_up();
        session.received(SECOND, 98, Message::Keepalive).unwrap();
        assert_eq!(session.next_message(), Some((98, Message::KeepaliveAck)));
    }

    #[test]
    fn a_reader_that_is_taken_says_so() {
        let mut session = Session::new(plan(), Duration::ZERO, true);
        let refused = session.received(SECOND, 0, connected(2));
        assert!(matches!(refused, Err(Failure::Refused(_))));
    }

    #[test]
    fn an_order_is_done_once_the_reader_says_so_and_one_that_changes_nothing_at_once() {
        let (mut session, _) = set_up();
        session.order(SECOND, true);
        assert_eq!(told(&mut session), [Told::Ordered(Ok(()))]);
        session.order(SECOND, false);
        let (id, message) = session.next_message().unwrap();
        assert_eq!(message, Message::StopRoSpec(7));
        assert!(!session.is_idle() && session.inventory);
        session
            .received(SECOND, id, answer(&message).unwrap())
            .unwrap();
        assert_eq!(told(&mut session), [Told::Changed, Told::Ordered(Ok(()))]);
        assert!(!session.inventory);
    }

    #[test]
    fn an_answer_to_nothing_is_misbehaviour() {
        let (mut session, _) = set_up();
        let answer = Message::Answer(Request::AddRoSpec, Status::success());
        let outcome = session.received(SECOND, 99, answer);
        assert!(matches!(outcome, Err(Failure::Misbehaved(_))));
    }
}
