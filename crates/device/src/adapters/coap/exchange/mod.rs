//! Requests to one server and their answers: message ids and tokens, retransmission,
//! duplicates, separate responses, block-wise bodies, observation. A state machine without
//! socket, clock or source of randomness: [`Exchange::handle`] what happens, then
//! [`Exchange::poll_output`] until it says [`Output::Wait`].
//!
//! (RFC 7252 §4, §5; RFC 7641; RFC 7959 §2.4. What comes from another address than the
//! server's is not handed in.)

mod message;
mod observation;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(crate) use message::Method;
use message::{Block, Kind, Message, Options};
use observation::Observation;

/// Answers to messages of the server that are remembered, so that copies get the same.
const MOST_REMEMBERED: usize = 512;
/// How long an id means the same message (RFC 7252 §4.8.2, EXCHANGE_LIFETIME).
const REMEMBERED_FOR: Duration = Duration::from_secs(247);
/// Requests that may be open.
pub(crate) const MOST_REQUESTS: usize = 512;
/// How often a body is begun anew because it changed while it was fetched.
const MOST_RESTARTS: u8 = 4;
/// The first class of errors (RFC 7252 §5.9).
const ERROR_CLASS: u8 = 4;

/// The parameters of transmission (RFC 7252 §4.8).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters {
    /// The least wait before the first retransmission, ACK_TIMEOUT. The random factor is
    /// 1.5.
    pub(crate) ack_timeout: Duration,
    /// How often a message is sent again, MAX_RETRANSMIT.
    pub(crate) max_retransmit: u32,
    /// How many requests may wait for their first sign of life, NSTART.
    pub(crate) nstart: usize,
    /// How long a response may take after its request was acknowledged.
    pub(crate) patience: Duration,
    /// The longest body that is put together, in bytes.
    pub(crate) max_body: usize,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<String>,
    pub(crate) accept: Option<u16>,
    /// Of the payload.
    pub(crate) format: Option<u16>,
    pub(crate) payload: Vec<u8>,
    /// Whether it is to be told of changes, too.
    pub(crate) observe: bool,
    /// It goes before others, and nothing of it leaves after this time.
    pub(crate) by: Option<Duration>,
}

/// What happens.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// A request, by a number of the caller's.
    Request(u64, Request),
    /// A datagram from the server.
    Datagram(&'a [u8]),
    /// Nothing but time.
    Tick,
    /// The server is told that it need not tell of changes any more.
    Forget(u64),
}

/// A response, or a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// Class and detail: 2.05 is `0x45`.
    pub(crate) code: u8,
    pub(crate) format: Option<u16>,
    pub(crate) body: Vec<u8>,
    /// Whether more will follow by itself.
    pub(crate) observed: bool,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("it does not answer")]
    Silent,
    #[error("its time was over before it could be sent")]
    Expired,
    #[error("the server rejects the message; does it speak CoAP there?")]
    Rejected,
    #[error("the request is too long for one message")]
    TooLong,
    #[error("too many requests wait")]
    TooMany,
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    #[error("the parts of the body do not fit together")]
    Parts,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// This datagram goes to the server.
    Transmit(Vec<u8>),
    /// A request has its response. It is at its end, unless it is observed.
    Response(u64, Response),
    /// A request is at its end without one.
    Failed(u64, Failure),
    /// Nothing more, until something happens or it is that late.
    Wait(Option<Duration>),
}

/// A message on its way.
#[derive(Debug)]
struct Sending {
    id: u16,
    token: [u8; 8],
    bytes: Vec<u8>,
    /// When it was sent first.
    since: Duration,
    state: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Not sent yet.
    Queued,
    /// Sent again then, unless something is heard.
    Sent {
        next: Duration,
        pause: Duration,
        tries: u32,
    },
    /// It arrived; its response is to come by then.
    Acknowledged { until: Duration },
}

/// A body whose parts are fetched.
#[derive(Debug)]
struct Parts {
    body: Vec<u8>,
    etag: Option<Vec<u8>>,
    restarts: u8,
    first: Response,
}

#[derive(Debug)]
struct Open {
    request: Request,
    sending: Option<Sending>,
    parts: Option<Parts>,
    /// Its token, and what was accepted.
    token: [u8; 8],
    observation: Option<Observation>,
}

/// All that is open with one server.
pub(crate) struct Exchange {
    parameters: Parameters,
    entropy: Box<dyn FnMut() -> u64 + Send>,
    next_id: u16,
    open: BTreeMap<u64, Open>,
    queue: VecDeque<u64>,
    /// The server's messages, and what they were answered with: nothing, or an empty message.
    remembered: VecDeque<(Duration, u16, Option<Kind>)>,
    outputs: VecDeque<Output>,
    now: Duration,
}

impl Exchange {
    /// Nothing open yet. `entropy` gives numbers that nobody can guess.
    pub(crate) fn new(parameters: Parameters, mut entropy: Box<dyn FnMut() -> u64 + Send>) -> Self {
        let [high, low, ..] = entropy().to_be_bytes();
        Self {
            parameters,
            next_id: u16::from_be_bytes([high, low]),
            entropy,
            open: BTreeMap::new(),
            queue: VecDeque::new(),
            remembered: VecDeque::new(),
            outputs: VecDeque::new(),
            now: Duration::ZERO,
        }
    }

    /// Takes what happens. Times never go back.
    pub(crate) fn handle(&mut self, now: Duration, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Request(number, request) => self.begin(number, request),
            Input::Datagram(bytes) => self.receive(bytes),
            Input::Tick => {}
            Input::Forget(number) => self.forget(number),
        }
        self.time_passes();
        self.send_queued();
    }

    /// What is to be done about it.
    pub(crate) fn poll_output(&mut self) -> Output {
        let next = self.outputs.pop_front();
        next.unwrap_or_else(|| Output::Wait(self.next_moment()))
    }

    fn begin(&mut self, number: u64, request: Request) {
        if self.open.len() >= MOST_REQUESTS || self.open.contains_key(&number) {
            self.fail(number, Failure::TooMany);
            return;
        }
        let token = self.token();
        let open = Open {
            request,
            sending: None,
            parts: None,
            token,
            observation: None,
        };
        self.open.insert(number, open);
        self.prepare(number, token, None);
    }

    /// Makes the next message of a request, and queues it.
    fn prepare(&mut self, number: u64, token: [u8; 8], block: Option<Block>) {
        let id = self.id();
        let Some(open) = self.open.get_mut(&number) else {
            return;
        };
        let request = &open.request;
        let options = Options {
            path: &request.path,
            query: &request.query,
            accept: request.accept,
            format: request.format,
            // Parts after the first are asked for apart (RFC 7959 §2.6).
            observe: (request.observe && block.is_none()).then_some(0),
            block,
        };
        let kind = Kind::Confirmable;
        let bytes = message::request(kind, id, &token, request.method, &options, &request.payload);
        let Some(bytes) = bytes else {
            self.end(number, Failure::TooLong);
            return;
        };
        let urgent = request.by.is_some();
        open.sending = Some(Sending {
            id,
            token,
            bytes,
            since: self.now,
            state: Progress::Queued,
        });
        // Of what it was to send before, nothing leaves any more.
        self.queue.retain(|queued| *queued != number);
        match urgent {
            // Behind other urgent ones.
            true => {
                let is_urgent = |n: &u64| self.open.get(n).is_some_and(|o| o.request.by.is_some());
                let at = self.queue.iter().take_while(|n| is_urgent(n)).count();
                self.queue.insert(at, number);
            }
            false => self.queue.push_back(number),
        }
    }

    /// Sends what is queued, as far as it may be.
    fn send_queued(&mut self) {
        let unheard = |open: &&Open| {
            let state = open.sending.as_ref().map(|sending| sending.state);
            matches!(state, Some(Progress::Sent { .. }))
        };
        let mut unheard = self.open.values().filter(unheard).count();
        while unheard < self.parameters.nstart.max(1) {
            let Some(number) = self.queue.pop_front() else {
                return;
            };
            let random = (self.entropy)();
            let Some(open) = self.open.get_mut(&number) else {
                continue;
            };
            let Some(sending) = &mut open.sending else {
                continue;
            };
            sending.since = self.now;
            let base = self.parameters.ack_timeout;
            // Between one and one and a half times.
            let factor = 1000 + u32::try_from(random % 501).unwrap_or(0);
            let pause = base * factor / 1000;
            sending.state = Progress::Sent {
                next: self.now + pause,
                pause,
                tries: 0,
            };
            let bytes = sending.bytes.clone();
            self.outputs.push_back(Output::Transmit(bytes));
            unheard += 1;
        }
    }

    /// Whatever is due.
    fn time_passes(&mut self) {
        let now = self.now;
        while let Some((at, ..)) = self.remembered.front()
            && *at + REMEMBERED_FOR <= now
        {
            self.remembered.pop_front();
        }
        let due: Vec<u64> = (self.open.iter())
            .filter(|(_, open)| open.moment().is_some_and(|at| at <= now))
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            self.due(number);
        }
    }

    fn due(&mut self, number: u64) {
        let (now, most) = (self.now, self.parameters.max_retransmit);
        let Some(open) = self.open.get_mut(&number) else {
            return;
        };
        let late = open.request.by.is_some_and(|by| by <= now);
        let Some(sending) = &mut open.sending else {
            if open.observation.is_some_and(|o| o.again_at <= now) {
                // With the same token: the same registration (RFC 7641 §3.3.1).
                let token = open.token;
                self.prepare(number, token, None);
            }
            return;
        };
        match &mut sending.state {
            Progress::Queued if late => self.end(number, Failure::Expired),
            Progress::Queued => {}
            _ if late => self.end(number, Failure::Silent),
            Progress::Sent { next, pause, tries } if *next <= now => {
                if *tries >= most {
                    self.end(number, Failure::Silent);
                    return;
                }
                *tries += 1;
                *pause *= 2;
                *next = now + *pause;
                self.outputs
                    .push_back(Output::Transmit(sending.bytes.clone()));
            }
            Progress::Acknowledged { until } if *until <= now => {
                self.end(number, Failure::Silent);
            }
            _ => {}
        }
    }

    fn next_moment(&self) -> Option<Duration> {
        self.open.values().filter_map(Open::moment).min()
    }

    fn receive(&mut self, bytes: &[u8]) {
        let Some(message) = Message::decode(bytes) else {
            // A confirmable message that cannot be read is rejected (RFC 7252 §4.2).
            if let [first, _, high, low, ..] = *bytes
                && first >> 4 == 4
            {
                let id = u16::from_be_bytes([high, low]);
                self.outputs
                    .push_back(Output::Transmit(message::empty(Kind::Reset, id)));
            }
            return;
        };
        match message.kind {
            Kind::Acknowledgement | Kind::Reset => self.receive_reply(message),
            Kind::Confirmable | Kind::NonConfirmable => {
                let known = self.remembered.iter().find(|(_, id, _)| *id == message.id);
                if let Some((_, id, reply)) = known {
                    // A copy: the same again, and nothing else.
                    if let Some(reply) = reply {
                        let bytes = message::empty(*reply, *id);
                        self.outputs.push_back(Output::Transmit(bytes));
                    }
                    return;
                }
                let (id, confirmable) = (message.id, message.kind == Kind::Confirmable);
                let wanted = message.is_response() && !message.unusable;
                let number = wanted.then(|| self.whose(&message.token)).flatten();
                let reply = match number {
                    Some(_) => confirmable.then_some(Kind::Acknowledgement),
                    // To a notification that nobody wants, a reset ends them all.
                    None if confirmable || message.is_response() => Some(Kind::Reset),
                    None => None,
                };
                if self.remembered.len() >= MOST_REMEMBERED {
                    self.remembered.pop_front();
                }
                self.remembered.push_back((self.now, id, reply));
                if let Some(reply) = reply {
                    let bytes = message::empty(reply, id);
                    self.outputs.push_back(Output::Transmit(bytes));
                }
                if let Some(number) = number {
                    self.respond(number, message);
                }
            }
        }
    }

    /// To a message of ours, by its id.
    fn receive_reply(&mut self, message: Message) {
        let patience = self.now + self.parameters.patience;
        let sent = self.open.iter_mut().find(|(_, open)| {
            let sending = open.sending.as_ref();
            sending.is_some_and(|s| s.id == message.id && s.state != Progress::Queued)
        });
        let Some((&number, open)) = sent else {
            return;
        };
        if message.kind == Kind::Reset {
            self.end(number, Failure::Rejected);
        } else if message.is_empty() {
            if let Some(sending) = &mut open.sending
                && matches!(sending.state, Progress::Sent { .. })
            {
                sending.state = Progress::Acknowledged { until: patience };
            }
        } else if message.is_response() {
            let ours = open.sending.as_ref().map(|s| s.token);
            if ours.is_some_and(|token| message.token == token) {
                match message.unusable {
                    true => self.end(number, Failure::Rejected),
                    false => self.respond(number, message),
                }
            }
        }
    }

    /// The request of that token.
    fn whose(&self, token: &[u8]) -> Option<u64> {
        let mut open = self.open.iter();
        let found = open.find(|(_, open)| {
            let sent = open.sending.as_ref();
            let asked = sent.is_some_and(|s| s.state != Progress::Queued && s.token == token);
            asked || (open.observation.is_some() && open.token == token)
        });
        found.map(|(number, _)| *number)
    }

    /// A response to a request, or a notification.
    fn respond(&mut self, number: u64, message: Message) {
        let (now, random) = (self.now, (self.entropy)());
        let Some(open) = self.open.get_mut(&number) else {
            return;
        };
        let of_block = open.parts.is_some()
            && open
                .sending
                .as_ref()
                .is_some_and(|s| s.token == *message.token)
            && open.token != *message.token;
        if of_block {
            self.continue_body(number, message);
            return;
        }
        let success = message.code >> 5 == 2;
        let accepted = message.observe.filter(|_| open.request.observe && success);
        // What answers our own message is newer than all that came before that was sent,
        // whatever its number: the server may have begun anew.
        let sent = open.sending.as_ref().map(|sending| sending.since);
        let answers = message.kind == Kind::Acknowledgement;
        let anew = |known: &Observation| answers && sent.is_some_and(|since| known.at() < since);
        if let (Some(sequence), Some(known)) = (accepted, &open.observation)
            && !known.is_older_than(now, sequence)
            && !anew(known)
        {
            // Late. But the request that may be open has its response by now.
            if open
                .sending
                .as_ref()
                .is_some_and(|s| s.token == *message.token)
            {
                open.sending = None;
                let again = Observation::new(now, known.number(), message.max_age, random);
                open.observation = Some(again);
            }
            return;
        }
        open.observation =
            accepted.map(|sequence| Observation::new(now, sequence, message.max_age, random));
        open.sending = None;
        open.parts = None;
        let first = Response {
            code: message.code,
            format: message.format,
            body: message.payload,
            observed: open.observation.is_some(),
        };
        match message.block {
            Some(block) if success && (block.more || block.number > 0) => {
                self.begin_body(number, first, block, message.etag, 0);
            }
            _ => self.finish(number, first),
        }
    }

    /// The first part of a longer body.
    fn begin_body(
        &mut self,
        number: u64,
        mut first: Response,
        block: Block,
        etag: Option<Vec<u8>>,
        restarts: u8,
    ) {
        let body = std::mem::take(&mut first.body);
        if block.number != 0 || body.len() != block.size() {
            self.end(number, Failure::Parts);
            return;
        }
        let Some(open) = self.open.get_mut(&number) else {
            return;
        };
        open.parts = Some(Parts {
            body,
            etag,
            restarts,
            first,
        });
        self.fetch(number, block.exponent);
    }

    /// Asks for the next part.
    fn fetch(&mut self, number: u64, exponent: u8) {
        let token = self.token();
        let most = self.parameters.max_body;
        let Some(parts) = self.open.get(&number).and_then(|o| o.parts.as_ref()) else {
            return;
        };
        let have = parts.body.len();
        if have >= most {
            self.end(number, Failure::TooLarge(most));
            return;
        }
        let mut block = Block {
            number: 0,
            more: false,
            exponent,
        };
        block.number = u32::try_from(have / block.size()).unwrap_or(u32::MAX);
        // Numbers have 20 bits.
        if block.number >= 1 << 20 || have % block.size() != 0 {
            self.end(number, Failure::Parts);
            return;
        }
        self.prepare(number, token, Some(block));
    }

    /// A further part.
    fn continue_body(&mut self, number: u64, message: Message) {
        let most = self.parameters.max_body;
        let Some(open) = self.open.get_mut(&number) else {
            return;
        };
        open.sending = None;
        let Some(parts) = &mut open.parts else {
            return;
        };
        let Some(block) = message.block.filter(|_| message.code >> 5 == 2) else {
            if message.code >> 5 >= ERROR_CLASS {
                let response = Response {
                    code: message.code,
                    format: message.format,
                    body: message.payload,
                    observed: open.observation.is_some(),
                };
                open.parts = None;
                self.finish(number, response);
                return;
            }
            self.end(number, Failure::Parts);
            return;
        };
        if message.etag != parts.etag || message.code != parts.first.code {
            // It changed meanwhile: from the beginning (RFC 7959 §2.4).
            let restarts = parts.restarts + 1;
            if restarts > MOST_RESTARTS {
                self.end(number, Failure::Parts);
                return;
            }
            parts.restarts = restarts;
            parts.etag = message.etag;
            parts.first.code = message.code;
            parts.body.clear();
            self.fetch(number, block.exponent);
            return;
        }
        let at = usize::try_from(block.number).unwrap_or(usize::MAX);
        let fits = at.checked_mul(block.size()) == Some(parts.body.len());
        let length = message.payload.len();
        let whole = match block.more {
            true => length == block.size(),
            false => length <= block.size(),
        };
        if !fits || !whole {
            self.end(number, Failure::Parts);
            return;
        }
        if parts.body.len() + length > most {
            self.end(number, Failure::TooLarge(most));
            return;
        }
        parts.body.extend(message.payload);
        if block.more {
            self.fetch(number, block.exponent);
            return;
        }
        let Some(parts) = open.parts.take() else {
            return;
        };
        let response = Response {
            body: parts.body,
            observed: open.observation.is_some(),
            ..parts.first
        };
        self.finish(number, response);
    }

    /// Hands a response out.
    fn finish(&mut self, number: u64, response: Response) {
        if !response.observed {
            self.close(number);
        }
        self.outputs.push_back(Output::Response(number, response));
    }

    fn fail(&mut self, number: u64, why: Failure) {
        self.outputs.push_back(Output::Failed(number, why));
    }

    fn end(&mut self, number: u64, why: Failure) {
        self.close(number);
        self.fail(number, why);
    }

    fn close(&mut self, number: u64) {
        self.open.remove(&number);
        self.queue.retain(|queued| *queued != number);
    }

    /// Ends a request; an observation is ended at the server, too, as far as one message
    /// does it (RFC 7641 §3.6): a notification later is answered with a reset.
    fn forget(&mut self, number: u64) {
        let id = self.id();
        let Some(open) = self.open.get(&number) else {
            return;
        };
        if open.observation.is_some() {
            let request = &open.request;
            let options = Options {
                path: &request.path,
                query: &request.query,
                accept: request.accept,
                observe: Some(1),
                ..Options::default()
            };
            let kind = Kind::NonConfirmable;
            let bytes = message::request(kind, id, &open.token, Method::Get, &options, &[]);
            self.outputs.extend(bytes.map(Output::Transmit));
        }
        self.close(number);
    }

    /// A token that nobody can guess (RFC 7252 §5.3.1).
    fn token(&mut self) -> [u8; 8] {
        (self.entropy)().to_be_bytes()
    }

    /// The next id: none that was used within the last 65,000 messages.
    const fn id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }
}

impl Open {
    /// When something is to be done about it.
    fn moment(&self) -> Option<Duration> {
        let Some(sending) = &self.sending else {
            return self.observation.map(|o| o.again_at);
        };
        let moment = match sending.state {
            Progress::Queued => None,
            Progress::Sent { next, .. } => Some(next),
            Progress::Acknowledged { until } => Some(until),
        };
        match (moment, self.request.by) {
            (Some(at), Some(by)) => Some(at.min(by)),
            (at, by) => at.or(by),
        }
    }
}

#[cfg(test)]
mod tests;
