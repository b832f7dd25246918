//! Messages of a channel that waited in the store for the application: they are read ahead of
//! their turn and marked together, and none of them overtakes another.

use stanchion_reliability::engine::Input;
use stanchion_stanza::payload::delivery::{Channel, IdPrefix};

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
    while app.order.len() < all(MOST).len() {
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
    let mut s = connected();
    (2..=20).for_each(|n| comes(&mut s, n));
    s.store_waits();
    comes(&mut s, 1);
    let mut n = 20;
    let mut app = Application::default();
    while s.asked() > 0 {
        if n < 40 {
            n += 1;
            comes(&mut s, n);
        }
        s.store_answers_once();
        app.take(&mut s);
        app.commit_first(&mut s, 3);
    }
    assert_eq!(app.order, all(40));
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
fn a_copy_with_a_later_deadline_frees_what_waits_for_it_while_that_is_read() {
    let mut s = connected();
    let by = s.now().wall.as_unix_ms() + 5_000;
    for n in 2..=8 {
        comes_with(&mut s, n, (n == 4).then_some(by));
    }
    s.pass(6 * SECOND);
    s.store_waits();
    comes(&mut s, 1);
    let mut app = Application::default();
    let mut copied = false;
    while s.asked() > 0 {
        s.store_answers_once();
        app.take(&mut s);
        // The late one was read, those after it are on their way.
        if app.order.len() == 3 && !copied {
            copied = true;
            comes_with(&mut s, 4, Some(by + 60_000));
        }
    }
    assert_eq!(app.order, all(8));
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
    while !app.is_given("other") {
        app.commit_first(&mut s, ROOM);
        s.store_answers_once();
        app.take(&mut s);
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
    s.store_waits();
    for channel in 0..6 {
        s.channel_message_that(&format!("{channel}-1"), 1, |said| {
            said.channel = Channel::new(&format!("c{channel}")).unwrap();
        });
    }
    let (mut asked, mut handed) = (0, 0);
    while s.asked() > 0 {
        s.store_answers_once();
        asked = asked.max(s.asked());
        handed += s.handed().len();
    }
    assert_eq!(handed, most);
    assert!(asked < 80, "{asked} requests wait");
    // And those that were handed over before the end of a process are looked for likewise.
    s.store_waits();
    let mut s = s.crash();
    s.give(Input::Tick);
    assert_eq!(s.handed().len(), most);
}
