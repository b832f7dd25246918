//! The conversation with an ELM327 and a car that are a table.

use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn wanted(fields: Option<&[&str]>) -> Wanted {
    let fields: Option<Vec<String>> = fields.map(|f| f.iter().map(|&f| f.into()).collect());
    let id = Text::from_static("car");
    Wanted::new(
        id.clone(),
        id,
        fields.as_deref(),
        SECOND,
        60 * SECOND,
        5 * SECOND,
    )
    .unwrap()
}

/// A car of engine speed, speed and voltage, on an ELM327.
fn car() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("ATZ", "ATZ\r\r\rELM327 v1.5\r\r>"),
        ("ATE0", "ATE0\rOK\r\r>"),
        ("ATL0", "OK\r\r>"),
        ("ATS0", "OK\r\r>"),
        ("ATH0", "OK\r\r>"),
        ("ATSP0", "OK\r\r>"),
        ("0100", "SEARCHING...\r410080180000\r\r>"),
        (
            "0902",
            "014\r0:490201314434\r1:47503030523535\r2:42313233343536\r\r>",
        ),
        ("010C", "410C145F\r\r>"),
        ("010D", "410D0A\r\r>"),
        ("ATRV", "12.6V\r\r>"),
        ("0101", "410181000000\r\r>"),
        ("03", "43010143\r\r>"),
        ("04", "44\r\r>"),
    ])
}

/// Runs the conversation for so many requests; each takes a millisecond. What was sent, and
/// what became known.
fn run(
    session: &mut Session,
    now: &mut Duration,
    car: &BTreeMap<&str, &str>,
    requests: usize,
) -> (Vec<String>, Vec<Event>) {
    let (mut sent, mut events) = (Vec::new(), Vec::new());
    while sent.len() < requests {
        match session.poll_output(*now) {
            Output::Write(text) | Output::Clear(text) => {
                let text = text.trim_end().to_owned();
                *now += Duration::from_millis(1);
                if let Some(answer) = car.get(text.as_str()) {
                    // In two parts, as lines do.
                    let (one, other) = answer.split_at(answer.len() / 2);
                    session.handle(*now, &Input::Bytes(one.as_bytes()));
                    session.handle(*now, &Input::Bytes(other.as_bytes()));
                }
                sent.push(text);
            }
            Output::Event(event) => events.push(event),
            Output::Wait(Duration::MAX) => break,
            Output::Wait(until) => {
                *now = until;
                session.handle(*now, &Input::Tick);
            }
        }
    }
    while let Output::Event(event) = session.poll_output(*now) {
        events.push(event);
    }
    (sent, events)
}

fn start(fields: Option<&[&str]>) -> (Session, Duration) {
    (
        Session::new(Duration::ZERO, &wanted(fields)),
        Duration::ZERO,
    )
}

fn failure(car: &BTreeMap<&str, &str>) -> Failure {
    let (mut session, mut now) = start(None);
    let (_, mut events) = run(&mut session, &mut now, car, 100);
    match events.pop() {
        Some(Event::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_is_set_up_asks_what_there_is_and_then_for_that_alone() {
    let (mut session, mut now) = start(None);
    let (sent, events) = run(&mut session, &mut now, &car(), 16);
    let expected = [
        "ATZ", "ATE0", "ATL0", "ATS0", "ATH0", "ATSP0", "0100", "0902", "010C", "010D", "0101",
        "03", "ATRV", "010C", "010D", "ATRV",
    ];
    // The car has parameter 01 by its bitmap, and so it is asked.
    assert_eq!(sent, expected);
    assert!(matches!(&events[0], Event::Ready(has) if has.pid(0x0C) && !has.pid(0x05)));
    let Event::Readings(readings) = &events[1] else {
        panic!("{events:?}")
    };
    let fields: Vec<_> = readings.iter().map(|r| r.field.as_str()).collect();
    let expected = [
        "vin",
        "engine-speed",
        "speed",
        "trouble-light",
        "trouble-count",
        "trouble-codes",
        "battery-voltage",
    ];
    assert_eq!(fields, expected);
    let vin = Value::String(Text::from_static("1D4GP00R55B123456"));
    assert_eq!(readings[0].value, vin);
    assert_eq!(readings[5].value, Value::String(Text::from_static("P0143")));
    assert!(now >= SECOND, "the second round came too early");
}

#[test]
fn only_what_is_wanted_is_asked_for() {
    let (mut session, mut now) = start(Some(&["speed"]));
    let (sent, _) = run(&mut session, &mut now, &car(), 10);
    assert_eq!(sent[8..], ["010D", "010D"]);
}

#[test]
fn the_codes_are_cleared_between_two_requests_and_read_again_at_once() {
    let (mut session, mut now) = start(Some(&["speed", "trouble-codes"]));
    run(&mut session, &mut now, &car(), 10);
    session.handle(now, &Input::Clear);
    let cleared = BTreeMap::from([("03", "4300\r\r>")]);
    let mut car = car();
    car.extend(cleared);
    let before = now;
    let (sent, events) = run(&mut session, &mut now, &car, 3);
    assert_eq!(sent, ["04", "010D", "03"]);
    assert!(events.contains(&Event::Cleared(Outcome::Done)));
    assert!(now - before < SECOND);
    let codes = Reading::automatic(
        Text::from_static("trouble-codes"),
        Value::String(Text::default()),
    );
    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::Readings(r) if r.contains(&codes)))
    );
}

#[test]
fn what_became_of_clearing_is_told_truly() {
    for (answer, expected) in [
        ("7F0422\r\r>", "refused"),
        ("?\r\r>", "not sent"),
        ("UNABLE TO CONNECT\r\r>", "not sent"),
        ("NO DATA\r\r>", "unknown"),
        ("STOPPED\r\r>", "unknown"),
        ("7F0478\r\r>", "unknown"),
        ("ELM327 v1.5\r\r>", "unknown"),
        ("", "unknown"),
    ] {
        let (mut session, mut now) = start(Some(&["speed"]));
        run(&mut session, &mut now, &car(), 10);
        session.handle(now, &Input::Clear);
        let mut car = car();
        car.insert("04", answer);
        let (_, events) = run(&mut session, &mut now, &car, 2);
        let outcome = events.iter().find_map(|event| match event {
            Event::Cleared(Outcome::Refused(_)) => Some("refused"),
            Event::Cleared(Outcome::NotSent(_)) => Some("not sent"),
            Event::Cleared(Outcome::Unknown(_)) => Some("unknown"),
            Event::Cleared(Outcome::Done) => Some("done"),
            _ => None,
        });
        assert_eq!(outcome, Some(expected), "{answer:?}");
    }
}

#[test]
fn clearing_that_nobody_wants_any_more_is_left_out() {
    let (mut session, mut now) = start(Some(&["speed"]));
    run(&mut session, &mut now, &car(), 10);
    session.handle(now, &Input::Clear);
    assert_eq!(session.poll_output(now), Output::Clear("04\r".to_owned()));
    session.handle(now, &Input::ClearSkipped);
    let (sent, events) = run(&mut session, &mut now, &car(), 2);
    assert_eq!(sent, ["010D", "010D"]);
    assert!(!events.iter().any(|e| matches!(e, Event::Cleared(_))));
}

#[test]
fn a_parameter_without_an_answer_is_not_measured_and_the_others_are() {
    for answer in [
        "NO DATA\r\r>",
        "BUFFER FULL\r\r>",
        "7F0112\r\r>",
        "CAN ERROR\r\r>",
    ] {
        let mut car = car();
        car.insert("010C", answer);
        let (mut session, mut now) = start(Some(&["engine-speed", "speed"]));
        let (_, events) = run(&mut session, &mut now, &car, 10);
        let Event::Readings(readings) = &events[1] else {
            panic!("{events:?}")
        };
        assert_eq!(readings.len(), 1, "{answer:?}");
    }
}

#[test]
fn a_car_that_does_not_answer_is_gone() {
    for answer in [
        "UNABLE TO CONNECT\r\r>",
        "NO DATA\r\r>",
        "BUS INIT: ...ERROR\r\r>",
    ] {
        let mut car = car();
        car.insert("0100", answer);
        assert!(matches!(failure(&car), Failure::NoCar(_)), "{answer:?}");
    }
    let mut car = car();
    for request in ["010C", "010D", "0101", "03"] {
        car.insert(request, "NO DATA\r\r>");
    }
    assert!(matches!(failure(&car), Failure::NoCar(_)));
}

#[test]
fn a_car_that_is_asked_nothing_is_not_gone_and_nobody_spins() {
    for (field, asked) in [("battery-voltage", "ATRV"), ("trouble-codes", "03")] {
        let (mut session, mut now) = start(Some(&[field]));
        let (sent, events) = run(&mut session, &mut now, &car(), 20);
        assert!(sent[8..].iter().all(|s| s == asked), "{sent:?}");
        assert!(
            !events.iter().any(|e| matches!(e, Event::Failed(_))),
            "{events:?}"
        );
    }
    let mut wanted = wanted(Some(&["vin"]));
    wanted.every = Duration::ZERO;
    let mut session = Session::new(Duration::ZERO, &wanted);
    let mut now = Duration::ZERO;
    run(&mut session, &mut now, &car(), 8);
    let mut waits = 0;
    for _ in 0..20 {
        if let Output::Wait(until) = session.poll_output(now) {
            assert!(until > now);
            now = until;
            waits += 1;
        }
    }
    assert!((9..=11).contains(&waits), "{waits}");
}

#[test]
fn what_is_no_elm327_or_is_silent_or_begins_anew_is_told_apart() {
    assert_eq!(failure(&BTreeMap::new()), Failure::Silent);
    let mut other = car();
    other.insert("ATE0", "?\r\r>");
    assert!(matches!(failure(&other), Failure::NotElm(_)));
    let mut other = car();
    other.insert("010D", "\r\rELM327 v1.5\r\r>");
    assert_eq!(failure(&other), Failure::Restarted);
    let mut other = car();
    other.remove("010D");
    assert_eq!(failure(&other), Failure::Silent);
}

proptest! {
    #[test]
    fn any_answers_are_survived_and_the_conversation_goes_on_or_ends(
        answers in proptest::collection::vec(
            prop_oneof![
                "[0-9A-F: .\r]{0,40}>",
                "(NO DATA|\\?|OK|SEARCHING...|STOPPED|410C145F|4100FFFFFFFF|44|43)\r\r>",
                "\\PC{0,20}>{0,2}",
            ],
            1..60,
        ),
    ) {
        let (mut session, mut now) = start(None);
        let mut answers = answers.into_iter();
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 2000, "it never waits");
            match session.poll_output(now) {
                Output::Wait(Duration::MAX) => break,
                Output::Wait(until) => match answers.next() {
                    Some(answer) => session.handle(now, &Input::Bytes(answer.as_bytes())),
                    None => {
                        if steps > 300 {
                            break;
                        }
                        now = until;
                        session.handle(now, &Input::Tick);
                    }
                },
                Output::Write(_) | Output::Clear(_) | Output::Event(_) => {}
            }
            prop_assert!(session.next.len() <= PIDS.len() + 10);
            prop_assert!(session.readings.len() <= PIDS.len() + 5);
        }
    }
}
