//! Messages of a channel that waited in the store for the application: they are read ahead of
//! their turn and marked together, and none of them overtakes another.

use stanchion_stanza::payload::delivery::{Channel, IdPrefix, VerdictState};

use crate::script::{SECOND, Script};

const ROOM: usize = 40;
/// Messages of one channel, of which none is committed: within its window.
const MOST: u64 = 130;

/// What the application holds, and in which order it was given.
#[derive(Default)]
struct Application {
    in_hands: Vec<u64>,
    order: Vec<String>,
}

impl Application {
    fn take(&mut self, s: &mut Script) {
        for (arrival, id, _) in s.handed() {
            self.in_hands.push(arrival);
            self.order.push(id);
        }
        assert!(
            self.in_hands.len() <= ROOM,
            "{} in hands",
            self.in_hands.len()
        );
    }

    fn commit_first(&mut self, s: &mut Script, most: usize) {
        let most = most.min(self.in_hands.len());
        for arrival in self.in_hands.drain(..most) {
            s.commit(arrival);
        }
    }

    fn is_given(&self, id: &str) -> bool {
        self.order.iter().any(|given| given == id)
    }
}

fn connected() -> Script {
    let mut s = Script::with(|c| c.hand_over = ROOM);
    s.connect();
    s
}

fn id(n: u64) -> String {
    format!("m{n:03}")
}

fn comes(s: &mut Script, n: u64) {
    comes_with(s, n, None);
}

fn comes_with(s: &mut Script, n: u64, deadline: Option<i64>) {
    s.channel_message_that(&id(n), n, |said| {
        said.prev = (n > 1).then(|| IdPrefix::from_bits(n + 99));
        said.deadline = deadline;
    });
}

/// So many messages of one channel come, and the application commits none.
fn backlog(most: u64) -> Script {
    let mut s = connected();
    (1..=most).for_each(|n| comes(&mut s, n));
    s
}

fn all(most: u64) -> Vec<String> {
    (1..=most).map(id).collect()
}

#[test]
fn what_waited_for_the_application_is_marked_together() {
    let mut s = backlog(MOST);
    let mut app = Application::default();
    app.take(&mut s);
    assert_eq!(app.in_hands.len(), ROOM);
    s.store_waits();
    while !app.in_hands.is_empty() || s.asked() > 0 {
        app.commit_first(&mut s, ROOM);
        s.store_answers_once();
        app.take(&mut s);
    }
    assert_eq!(app.order, all(MOST));
    // 90 waited.
    assert!(s.markings < 25, "marked in {} batches", s.markings);
}

#[test]
fn an_application_that_commits_each_at_once_does_not_stay_behind() {
    let mut s = backlog(MOST);
    let mut app = Application::default();
    s.store_waits();
    for _ in 0..2_000 {
        app.take(&mut s);
        app.commit_first(&mut s, 1);
        s.store_answers_once();
    }
    assert_eq!(app.order, all(MOST));
    // It commits one for each answer, so they come in pairs at best.
    assert!(s.markings < 60, "marked in {} batches", s.markings);
    s.store_answers();
    // Nothing is left behind that would have the next ones wait in the store, too.
    while !app.in_hands.is_empty() {
        app.commit_first(&mut s, ROOM);
        app.take(&mut s);
    }
    let before = s.markings;
    for n in MOST + 1..=MOST + ROOM as u64 {
        s.channel_message_that(&id(n), n, |said| said.low = n);
    }
    app.take(&mut s);
    assert_eq!((app.in_hands.len(), s.markings), (ROOM, before));
}

#[test]
fn one_that_is_handed_over_on_its_arrival_overtakes_none_that_is_being_marked() {
    for at in 1..12 {
        let mut s = connected();
        (2..=5).for_each(|n| comes(&mut s, n));
        s.store_waits();
        comes(&mut s, 1);
        for _ in 0..at {
            s.store_answers_once();
        }
        (6..=8).for_each(|n| comes(&mut s, n));
        s.store_answers();
        let mut app = Application::default();
        app.take(&mut s);
        assert_eq!(app.order, all(8), "after {at} answers");
    }
}

#[test]
pub(crate) fn what_was_read_ahead_waits_for_one_that_is_late() {
    let mut s = connected();
    let by = s.now().wall.as_unix_ms() + 5_000;
    for n in 2..=8 {
        comes_with(&mut s, n, (n == 4).then_some(by));
    }
    s.pass(6 * SECOND);
    s.sent();
    comes(&mut s, 1);
    let mut app = Application::default();
    app.take(&mut s);
    assert_eq!(app.order, all(3));
    let verdicts = s.sent().concat();
    assert_eq!(verdicts.matches("s='late'").count(), 1, "{verdicts}");
    s.channel_cancel(4, 1);
    app.take(&mut s);
    assert_eq!(
        app.order,
        ["m001", "m002", "m003", "m005", "m006", "m007", "m008"]
    );
}

#[test]
fn copies_with_later_deadlines_count_whenever_they_come() {
    for at in 0..12 {
        for other in [None, Some(65_000)] {
            let mut s = connected();
            let start = s.now().wall.as_unix_ms();
            for n in 2..=8 {
                comes_with(&mut s, n, (n == 4).then_some(start + 5_000));
            }
            s.pass(6 * SECOND);
            s.store_waits();
            comes(&mut s, 1);
            for _ in 0..at {
                s.store_answers_once();
            }
            // The sender says its window again in one burst.
            comes_with(&mut s, 4, Some(start + 65_000));
            comes_with(&mut s, 5, other);
            s.store_answers();
            let mut app = Application::default();
            app.take(&mut s);
            assert_eq!(app.order, all(8), "after {at} answers");
        }
    }
}

#[test]
fn a_late_message_that_made_room_and_comes_anew_is_handed_over() {
    let mut s = Script::with(|c| (c.hand_over, c.inbox) = (1, 3));
    s.connect();
    s.message("p1");
    let start = s.now().wall.as_unix_ms();
    comes_with(&mut s, 1, Some(start + 1_000));
    let p1 = s.handed().remove(0).0;
    s.pass(6 * SECOND);
    s.commit(p1);
    assert_eq!(s.handed(), []);
    let of_another = |s: &mut Script, n: u64, low: u64| {
        s.channel_message_that(&id(n), n, |said| {
            said.channel = Channel::new("d").unwrap();
            said.low = low;
        });
    };
    // Two others fill the inbox, so a plain one takes the place of the late one.
    of_another(&mut s, 4, 1);
    of_another(&mut s, 5, 1);
    s.message("p2");
    let p2 = s.handed().remove(0).0;
    of_another(&mut s, 12, 10);
    comes_with(&mut s, 1, Some(start + 100_000));
    assert_eq!(s.handed(), []);
    s.commit(p2);
    let handed = s.handed();
    assert_eq!(handed.len(), 1, "{handed:?}");
    assert_eq!(handed[0].1, id(1));
}

#[test]
fn in_a_channel_without_order_a_late_message_holds_up_none_and_is_told_of_once() {
    let mut s = connected();
    (0..ROOM).for_each(|n| s.message(&format!("p{n}")));
    let by = s.now().wall.as_unix_ms() + 5_000;
    let comes = |s: &mut Script, n: u64, by: Option<i64>| {
        s.channel_message_that(&id(n), n, |said| {
            said.unordered = true;
            said.deadline = by;
        });
    };
    for n in 1..=30 {
        comes(&mut s, n, (n % 3 != 0).then_some(by));
    }
    s.pass(6 * SECOND);
    let in_hands: Vec<_> = s
        .handed()
        .into_iter()
        .map(|(arrival, ..)| arrival)
        .collect();
    in_hands.into_iter().for_each(|arrival| s.commit(arrival));
    let in_time: Vec<_> = (1..=10).map(|n| id(3 * n)).collect();
    let handed: Vec<_> = s.handed().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(handed, in_time);
    assert_eq!(lates(&mut s), 20);
    comes(&mut s, 1, Some(by + 60_000));
    assert_eq!(s.handed().len(), 1);
    assert_eq!(lates(&mut s), 0);
}

fn lates(s: &mut Script) -> usize {
    let verdicts = s.verdicts().into_iter();
    verdicts
        .filter(|(_, state)| *state == VerdictState::Late)
        .count()
}

#[test]
fn a_backlog_that_is_late_is_not_read_again_and_again() {
    let mut s = Script::new();
    s.connect();
    let by = s.now().wall.as_unix_ms() + 5_000;
    for n in 2..=MOST {
        comes_with(&mut s, n, (n <= 61).then_some(by));
    }
    s.pass(6 * SECOND);
    s.store_waits();
    let mut answers = 0;
    let mut quiet = |s: &mut Script| {
        while s.asked() > 0 {
            s.store_answers_once();
            answers += 1;
        }
    };
    comes(&mut s, 1);
    quiet(&mut s);
    let mut late = lates(&mut s);
    for n in 2..=61 {
        s.channel_cancel(n, 1);
        quiet(&mut s);
        late += lates(&mut s);
    }
    assert_eq!(late, 60);
    assert_eq!(s.handed().len() as u64, MOST - 60);
    // One after the other they take 318.
    assert!(answers < 400, "{answers} answers of the store");
}

#[test]
fn channels_that_are_always_behind_hold_up_no_other_message() {
    for (room, channels, most) in [(ROOM, 4, 30), (256, 4, 96), (256, 8, 96), (1024, 4, 130)] {
        let mut s = Script::with(|c| c.hand_over = room);
        s.connect();
        let mut sent = vec![0_u64; channels];
        let mut send = |s: &mut Script, channel: usize, low: u64| {
            sent[channel] += 1;
            let n = sent[channel];
            s.channel_message_that(&format!("{channel} {n}"), n, |said| {
                said.channel = Channel::new(&format!("c{channel}")).unwrap();
                said.low = low;
                said.prev = (n > 1).then(|| IdPrefix::from_bits(n + 99));
            });
        };
        for channel in (0..most).flat_map(|_| 0..channels) {
            send(&mut s, channel, 1);
        }
        s.message("other");
        s.store_waits();
        let (mut given, mut steps) = (0, 0);
        'given: loop {
            for (arrival, id, _) in s.handed() {
                let Some((channel, n)) = id.split_once(' ') else {
                    break 'given;
                };
                given += 1;
                s.commit(arrival);
                // Its sender has the verdict, and sends another one.
                let n: u64 = n.parse().unwrap();
                send(&mut s, channel.parse().unwrap(), n + 1);
            }
            s.store_answers_once();
            steps += 1;
            assert!(steps < 20_000, "{given} given, the other one never");
        }
        assert!(given < 2 * room, "{given} given before");
    }
}

/// How many are given before one of another channel, or of none, that came after them all.
fn given_before(restart: bool, other: impl Fn(&mut Script)) -> usize {
    let mut s = backlog(MOST);
    other(&mut s);
    if restart {
        s = s.crash();
        s.connect();
    }
    let mut app = Application::default();
    app.take(&mut s);
    s.store_waits();
    let mut steps = 0;
    while !app.is_given("other") {
        app.commit_first(&mut s, ROOM);
        s.store_answers_once();
        app.take(&mut s);
        steps += 1;
        assert!(steps < 2_000, "{:?}", app.order);
    }
    app.order.len()
}

#[test]
fn a_long_backlog_of_one_channel_holds_up_no_other_message() {
    for restart in [false, true] {
        let channel = given_before(restart, |s| {
            s.channel_message_that("other", 1, |said| said.channel = Channel::new("d").unwrap());
        });
        assert!(channel <= 2 * ROOM, "{channel}, restart {restart}");
        let plain = given_before(restart, |s| s.message("other"));
        assert!(plain <= 2 * ROOM, "{plain}, restart {restart}");
    }
}

#[test]
fn one_commit_brings_one_message_however_many_are_in_hands() {
    let mut s = connected();
    comes(&mut s, 2);
    // None is handed over before the restart.
    (3..=100).for_each(|n| comes(&mut s, n));
    let mut s = s.crash();
    s.connect();
    comes(&mut s, 1);
    let mut app = Application::default();
    app.take(&mut s);
    assert_eq!(app.in_hands.len(), ROOM);
    for n in 1..=20 {
        app.commit_first(&mut s, 1);
        app.take(&mut s);
        assert_eq!(app.order.len(), ROOM + n);
    }
    assert_eq!(app.order, all(60));
}

#[test]
fn no_more_is_asked_of_the_store_than_its_queue_has_room_for() {
    let most = 600;
    let mut s = Script::with(|c| c.hand_over = most);
    s.connect();
    for channel in 0..6 {
        for n in 2..=100 {
            s.channel_message_that(&format!("{channel}-{n}"), n, |said| {
                said.channel = Channel::new(&format!("c{channel}")).unwrap();
                said.prev = Some(IdPrefix::from_bits(n + 99));
            });
        }
    }
    for channel in 0..6 {
        s.channel_message_that(&format!("{channel}-1"), 1, |said| {
            said.channel = Channel::new(&format!("c{channel}")).unwrap();
        });
    }
    assert_eq!(s.handed().len(), most);
    assert!(s.most_asked < 80, "{} requests", s.most_asked);
    // And those that were handed over before the end of a process are looked for likewise.
    let mut s = s.crash();
    assert_eq!(s.handed().len(), most);
    assert!(s.most_asked < 80, "{} requests", s.most_asked);
}
