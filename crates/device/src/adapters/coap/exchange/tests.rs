//! Requests over a network that loses, copies and reorders, in virtual time, with a server
//! that keeps to the RFCs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType};
use proptest::prelude::*;

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;
const PATH: [&str; 3] = ["level", "big", "watch"];
const BIG: usize = 1000;

fn parameters() -> Parameters {
    Parameters {
        ack_timeout: MS(2000),
        max_retransmit: 4,
        nstart: 2,
        patience: MS(60_000),
        max_body: 4096,
    }
}

/// Numbers in an order that a seed decides (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn of_hundred(&mut self, percent: u64) -> bool {
        self.roll() % 100 < percent
    }
}

fn exchange(seed: u64) -> Exchange {
    let mut dice = Dice(seed | 1);
    Exchange::new(parameters(), Box::new(move || dice.roll()))
}

fn get(path: &str) -> Request {
    Request {
        method: Method::Get,
        path: vec![path.to_owned()],
        query: Vec::new(),
        accept: None,
        format: None,
        payload: Vec::new(),
        observe: false,
        by: None,
    }
}

fn put(value: u64) -> Request {
    Request {
        method: Method::Put,
        payload: value.to_string().into_bytes(),
        ..get("level")
    }
}

fn watch() -> Request {
    Request {
        observe: true,
        ..get("watch")
    }
}

/// Everything that is to be done now, and until when to wait.
fn drain(exchange: &mut Exchange) -> (Vec<Output>, Option<Duration>) {
    let mut outputs = Vec::new();
    loop {
        match exchange.poll_output() {
            Output::Wait(until) => return (outputs, until),
            output => outputs.push(output),
        }
    }
}

fn sent(outputs: &[Output]) -> Vec<Packet> {
    let datagrams = outputs.iter().filter_map(|output| match output {
        Output::Transmit(bytes) => Some(Packet::from_bytes(bytes).unwrap()),
        _ => None,
    });
    datagrams.collect()
}

fn message(kind: MessageType, id: u16, code: u8, token: &[u8]) -> Packet {
    let mut packet = Packet::new();
    packet.header.set_version(1);
    packet.header.set_type(kind);
    packet.header.message_id = id;
    packet.header.code = MessageClass::from(code);
    packet.set_token(token.to_vec());
    packet
}

fn with(mut packet: Packet, payload: &[u8]) -> Vec<u8> {
    packet.payload = payload.to_vec();
    packet.to_bytes().unwrap()
}

/// A server as the RFCs have it.
#[derive(Default)]
struct Server {
    /// What each message of the client was answered with.
    answered: BTreeMap<u16, Vec<u8>>,
    /// What was set, each time it took effect.
    effects: Vec<u64>,
    observer: Option<Vec<u8>>,
    watched: u32,
    next_id: u16,
    /// Confirmable messages on their way: by id, when again, how often yet.
    unconfirmed: BTreeMap<u16, (Vec<u8>, Duration, u32)>,
}

impl Server {
    fn confirmable(&mut self, now: Duration, mut packet: Packet) -> Vec<u8> {
        self.next_id = self.next_id.wrapping_add(1);
        packet.header.message_id = self.next_id;
        packet.header.set_type(MessageType::Confirmable);
        let bytes = packet.to_bytes().unwrap();
        let entry = (bytes.clone(), now + MS(2500), 6);
        self.unconfirmed.insert(self.next_id, entry);
        bytes
    }

    /// The watched value changes.
    fn change(&mut self, now: Duration) -> Vec<Vec<u8>> {
        self.watched += 1;
        let Some(token) = self.observer.clone() else {
            return Vec::new();
        };
        let mut packet = message(MessageType::Confirmable, 0, 0x45, &token);
        packet.add_option(
            CoapOption::Observe,
            self.watched.to_be_bytes()[1..].to_vec(),
        );
        packet.add_option(CoapOption::MaxAge, vec![20]);
        packet.payload = self.watched.to_string().into_bytes();
        vec![self.confirmable(now, packet)]
    }

    fn again(&mut self, now: Duration) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        self.unconfirmed.retain(|_, (bytes, at, left)| {
            if *at <= now {
                *at = now + MS(4000);
                *left -= 1;
                out.push(bytes.clone());
            }
            *left > 0
        });
        out
    }

    fn take(&mut self, now: Duration, bytes: &[u8], dice: &mut Dice) -> Vec<Vec<u8>> {
        let packet = Packet::from_bytes(bytes).unwrap();
        let id = packet.header.message_id;
        match packet.header.get_type() {
            MessageType::Acknowledgement => {
                self.unconfirmed.remove(&id);
                return Vec::new();
            }
            MessageType::Reset => {
                if self.unconfirmed.remove(&id).is_some() {
                    self.observer = None;
                }
                return Vec::new();
            }
            MessageType::NonConfirmable => return Vec::new(),
            MessageType::Confirmable => {}
        }
        if let Some(answer) = self.answered.get(&id) {
            return vec![answer.clone()];
        }
        let token = packet.get_token().to_vec();
        let path = packet.get_first_option(CoapOption::UriPath).unwrap();
        let put = packet.header.code == MessageClass::Request(RequestType::Put);
        let mut answer = message(MessageType::Acknowledgement, id, 0x45, &token);
        match (std::str::from_utf8(path).unwrap(), put) {
            ("level", true) => {
                let text = std::str::from_utf8(&packet.payload).unwrap();
                self.effects.push(text.parse().unwrap());
                answer.header.code = MessageClass::from(0x44);
            }
            ("level", false) => answer.payload = b"7".to_vec(),
            ("big", _) => {
                let asked = packet.get_first_option(CoapOption::Block2);
                let word = asked.map_or(0, |b| b.iter().fold(0, |n, b| n << 8 | usize::from(*b)));
                let (number, size) = (word >> 4, 64);
                let (from, to) = (number * size, BIG.min(number * size + size));
                let more = to < BIG;
                let word = number << 4 | usize::from(more) << 3 | 2;
                let word = u32::try_from(word).unwrap().to_be_bytes();
                answer.add_option(CoapOption::Block2, word[1..].to_vec());
                answer.add_option(CoapOption::ETag, vec![1]);
                answer.payload = (from..to).map(|at| (at % 251) as u8).collect();
            }
            ("watch", _) => {
                self.observer = Some(token.clone());
                let sequence = self.watched.to_be_bytes()[1..].to_vec();
                answer.add_option(CoapOption::Observe, sequence);
                answer.add_option(CoapOption::MaxAge, vec![20]);
                answer.payload = self.watched.to_string().into_bytes();
            }
            other => panic!("{other:?}"),
        }
        if dice.of_hundred(30) && path != b"watch" {
            // A separate response.
            let empty = message(MessageType::Acknowledgement, id, 0, &[]);
            let empty = empty.to_bytes().unwrap();
            self.answered.insert(id, empty.clone());
            return vec![empty, self.confirmable(now, answer)];
        }
        let bytes = answer.to_bytes().unwrap();
        self.answered.insert(id, bytes.clone());
        vec![bytes]
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    ToServer(Vec<u8>),
    ToClient(Vec<u8>),
    Wake,
    ServerWakes,
    Changes,
    Put(u64),
    Get,
    Big,
}

/// Runs it all; what each request of the client came to, and what was seen of the watched.
fn run(seed: u64, loss: u64) -> (Server, BTreeMap<u64, Vec<Output>>, Vec<u32>) {
    const HEALED: Duration = Duration::from_secs(120);
    const END: Duration = Duration::from_secs(400);
    let mut dice = Dice(seed | 1);
    let (mut client, mut server) = (exchange(seed ^ 0x5555), Server::default());
    let mut events = BinaryHeap::new();
    let mut order = 0_u64;
    let mut at = |events: &mut BinaryHeap<_>, when: Duration, event: Event| {
        order += 1;
        events.push(Reverse((when, order, event)));
    };
    for step in 0..10 {
        at(&mut events, MS(step * 9_000), Event::Put(step));
        at(&mut events, MS(step * 9_000 + 100), Event::Get);
        at(&mut events, MS(step * 9_000 + 200), Event::Big);
    }
    for step in 0..30 {
        at(&mut events, MS(step * 4_000 + 50), Event::Changes);
    }
    at(&mut events, MS(0), Event::ServerWakes);
    client.handle(MS(0), Input::Request(1, watch()));
    at(&mut events, MS(0), Event::Wake);
    let (mut ended, mut seen) = (BTreeMap::<u64, Vec<Output>>::new(), Vec::new());
    let mut number = 100;
    while let Some(Reverse((now, _, event))) = events.pop() {
        if now > END {
            break;
        }
        let mut to_client = Vec::new();
        match event {
            Event::ToServer(bytes) => to_client = server.take(now, &bytes, &mut dice),
            Event::ServerWakes => {
                to_client = server.again(now);
                at(&mut events, now + MS(500), Event::ServerWakes);
            }
            Event::Changes => to_client = server.change(now),
            Event::ToClient(bytes) => client.handle(now, Input::Datagram(&bytes)),
            Event::Wake => client.handle(now, Input::Tick),
            Event::Put(value) => client.handle(now, Input::Request(1000 + value, put(value))),
            Event::Get | Event::Big => {
                number += 1;
                let path = if event == Event::Get { "level" } else { "big" };
                client.handle(now, Input::Request(number, get(path)));
            }
        }
        let (outputs, until) = drain(&mut client);
        let mut to_server = Vec::new();
        for output in outputs {
            match output {
                Output::Transmit(bytes) => to_server.push(bytes),
                Output::Response(1, response) => {
                    assert!(response.observed);
                    seen.push(
                        std::str::from_utf8(&response.body)
                            .unwrap()
                            .parse()
                            .unwrap(),
                    );
                }
                // The registration was lost: the caller begins anew.
                Output::Failed(1, _) => client.handle(now, Input::Request(1, watch())),
                Output::Response(n, _) | Output::Failed(n, _) => {
                    ended.entry(n).or_default().push(output);
                }
                Output::Wait(_) => unreachable!(),
            }
        }
        if let Some(until) = until {
            at(&mut events, until.max(now + MS(1)), Event::Wake);
        }
        let bad = now < HEALED;
        let to_server = to_server.into_iter().map(Event::ToServer as fn(_) -> _);
        for event in to_server.chain(to_client.into_iter().map(Event::ToClient)) {
            if bad && dice.of_hundred(loss) {
                continue;
            }
            let mut when = || now + MS(5 + if bad { dice.roll() % 3000 } else { 0 });
            let first = when();
            let copy = when();
            if bad && dice.of_hundred(20) {
                let copied = match &event {
                    Event::ToServer(bytes) => Event::ToServer(bytes.clone()),
                    Event::ToClient(bytes) => Event::ToClient(bytes.clone()),
                    _ => continue,
                };
                at(&mut events, copy, copied);
            }
            at(&mut events, first, event);
        }
        let unheard = client.open.values().filter(|open| {
            let state = open.sending.as_ref().map(|s| s.state);
            matches!(state, Some(Progress::Sent { .. }))
        });
        assert!(unheard.count() <= parameters().nstart);
        assert!(client.remembered.len() <= MOST_REMEMBERED);
    }
    (server, ended, seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_network_does_each_request_ends_once_and_truly(
        seed in any::<u64>(),
        loss in 0u64..60,
    ) {
        let (server, ended, seen) = run(seed, loss);
        prop_assert_eq!(ended.len(), 30, "each request ends");
        for (number, outputs) in &ended {
            prop_assert_eq!(outputs.len(), 1, "request {} ends once", number);
            let Output::Response(_, response) = &outputs[0] else { continue };
            if let Some(value) = number.checked_sub(1000) {
                prop_assert_eq!(response.code, 0x44);
                prop_assert!(server.effects.contains(&value), "what is answered was done");
            } else if response.body != b"7" {
                let big: Vec<u8> = (0..BIG).map(|at| (at % 251) as u8).collect();
                prop_assert!(response.body == big, "a body is whole");
            }
        }
        let mut effects = server.effects.clone();
        effects.sort_unstable();
        effects.dedup();
        prop_assert_eq!(effects.len(), server.effects.len(), "nothing is done twice");
        prop_assert!(seen.is_sorted(), "an older value never follows a newer: {:?}", seen);
        prop_assert_eq!(seen.last(), Some(&server.watched), "the newest is known at the end");
    }

    #[test]
    fn no_datagrams_panic_or_take_memory_without_bound(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..200),
        seed in any::<u64>(),
    ) {
        let mut client = exchange(seed);
        client.handle(MS(0), Input::Request(1, watch()));
        client.handle(MS(0), Input::Request(2, get("big")));
        for (at, mut bytes) in datagrams.into_iter().enumerate() {
            // Half of them look like replies.
            if at % 2 == 0 && bytes.len() > 4 {
                bytes[0] = 0x40 | bytes[0] & 0x3F;
                bytes[2..4].copy_from_slice(&client.next_id.to_be_bytes());
            }
            client.handle(MS(at as u64), Input::Datagram(&bytes));
            drain(&mut client);
        }
        prop_assert!(client.open.len() <= 2);
    }
}

#[test]
fn a_silent_server_is_asked_five_times_ever_more_seldom_and_then_given_up() {
    let mut client = exchange(7);
    client.handle(MS(0), Input::Request(1, get("level")));
    let (mut times, mut now) = (Vec::new(), MS(0));
    let failed = loop {
        let (outputs, until) = drain(&mut client);
        times.extend(sent(&outputs).iter().map(|_| now));
        if let Some(Output::Failed(1, why)) = outputs.last() {
            break why.clone();
        }
        now = until.unwrap();
        client.handle(now, Input::Tick);
    };
    assert_eq!(failed, Failure::Silent);
    assert_eq!(times.len(), 5);
    let first = times[1];
    assert!((MS(2000)..=MS(3000)).contains(&first));
    assert_eq!(times[2..], [first * 3, first * 7, first * 15]);
    assert_eq!(now, first * 31);
}

#[test]
fn nothing_of_a_request_leaves_after_its_time() {
    let mut client = exchange(7);
    let by = Some(MS(4000));
    let urgent = Request { by, ..put(1) };
    client.handle(MS(0), Input::Request(1, urgent.clone()));
    let mut sent_at = Vec::new();
    let (mut outputs, mut until) = drain(&mut client);
    let mut now = MS(0);
    while !outputs.iter().any(|o| matches!(o, Output::Failed(..))) {
        sent_at.extend(sent(&outputs).iter().map(|_| now));
        now = until.unwrap();
        client.handle(now, Input::Tick);
        (outputs, until) = drain(&mut client);
    }
    assert_eq!(outputs, [Output::Failed(1, Failure::Silent)]);
    assert_eq!((sent_at.len(), now), (2, MS(4000)));
    // One that never left had no effect.
    for number in 2..4 {
        client.handle(now, Input::Request(number, get("level")));
    }
    let by = Some(now + MS(10));
    client.handle(now, Input::Request(9, Request { by, ..urgent }));
    drain(&mut client);
    client.handle(now + MS(10), Input::Tick);
    let (outputs, _) = drain(&mut client);
    assert_eq!(outputs, [Output::Failed(9, Failure::Expired)]);
}

#[test]
fn a_copy_of_a_separate_response_is_acknowledged_again_and_told_once() {
    let mut client = exchange(7);
    client.handle(MS(0), Input::Request(1, get("level")));
    let asked = sent(&drain(&mut client).0).remove(0);
    let token = asked.get_token();
    let ack = message(
        MessageType::Acknowledgement,
        asked.header.message_id,
        0,
        &[],
    );
    client.handle(MS(10), Input::Datagram(&ack.to_bytes().unwrap()));
    assert_eq!(
        drain(&mut client).1,
        Some(MS(60_010)),
        "it waits for the response"
    );
    let response = with(message(MessageType::Confirmable, 77, 0x45, token), b"7");
    for copy in 0..3 {
        client.handle(MS(5000), Input::Datagram(&response));
        let (outputs, _) = drain(&mut client);
        let told = outputs.iter().filter(|o| matches!(o, Output::Response(..)));
        assert_eq!(told.count(), usize::from(copy == 0));
        let reply = sent(&outputs).remove(0);
        assert_eq!(reply.header.get_type(), MessageType::Acknowledgement);
        assert_eq!(reply.header.message_id, 77);
    }
}

#[test]
fn a_response_with_another_token_is_nobody_s() {
    let mut client = exchange(7);
    client.handle(MS(0), Input::Request(1, get("level")));
    let asked = sent(&drain(&mut client).0).remove(0);
    let id = asked.header.message_id;
    let forged = with(
        message(MessageType::Acknowledgement, id, 0x45, &[1; 8]),
        b"9",
    );
    client.handle(MS(1), Input::Datagram(&forged));
    assert_eq!(drain(&mut client).0, []);
    let forged = with(message(MessageType::Confirmable, 3, 0x45, &[1; 8]), b"9");
    client.handle(MS(1), Input::Datagram(&forged));
    let (outputs, _) = drain(&mut client);
    assert_eq!(outputs, [Output::Transmit(vec![0x70, 0, 0, 3])], "a reset");
}

#[test]
fn a_body_that_is_too_large_or_does_not_fit_is_refused() {
    let mut client = exchange(7);
    for (more, number, expected) in [(true, 0, None), (true, 3, Some(Failure::Parts))] {
        client.handle(MS(0), Input::Request(1, get(PATH[1])));
        let asked = sent(&drain(&mut client).0).pop().unwrap();
        let id = asked.header.message_id;
        let mut part = message(MessageType::Acknowledgement, id, 0x45, asked.get_token());
        part.add_option(
            CoapOption::Block2,
            vec![number << 4 | u8::from(more) << 3 | 2],
        );
        client.handle(MS(1), Input::Datagram(&with(part, &[0; 64])));
        let (outputs, _) = drain(&mut client);
        let failed = outputs.iter().find_map(|output| match output {
            Output::Failed(1, why) => Some(why.clone()),
            _ => None,
        });
        assert_eq!(failed, expected);
        client.handle(MS(1), Input::Forget(1));
    }
    client.handle(MS(0), Input::Request(1, get(PATH[1])));
    let mut outputs = drain(&mut client).0;
    let failed = loop {
        let asked = sent(&outputs).pop().unwrap();
        let number = asked.get_first_option(CoapOption::Block2);
        let number = number.map_or(0, |b| {
            b.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) >> 4
        });
        let id = asked.header.message_id;
        let mut part = message(MessageType::Acknowledgement, id, 0x45, asked.get_token());
        let word = (number << 4 | 8 | 2).to_be_bytes();
        part.add_option(CoapOption::Block2, word[1..].to_vec());
        client.handle(MS(1), Input::Datagram(&with(part, &[0; 64])));
        outputs = drain(&mut client).0;
        if let Some(Output::Failed(1, why)) = outputs.last() {
            break why.clone();
        }
    };
    assert_eq!(failed, Failure::TooLarge(4096));
}
