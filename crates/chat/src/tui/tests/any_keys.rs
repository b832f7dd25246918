//! Whatever keys are pressed, on whatever size, over whatever was said: it goes on.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;
use stanchion::services::history::Progress;
use stanchion::services::presence::Availability;

use super::super::screen::{Do, Input};
use super::script::{MINUTE, Session, controls, hall, jid};
use crate::app::{Event, LinkState, Order};

const PEOPLE: [&str; 3] = [
    "bob@home.example",
    "carol@home.example",
    "日本@home.example",
];
const ROOM: &str = "lounge@rooms.home.example";

fn key() -> impl Strategy<Value = Input> {
    let code = prop_oneof![
        6 => any::<char>().prop_map(KeyCode::Char),
        6 => proptest::char::range(' ', '~').prop_map(KeyCode::Char),
        10 => proptest::sample::select(vec![
            KeyCode::Enter,
            KeyCode::Esc,
            KeyCode::Tab,
            KeyCode::BackTab,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::Home,
            KeyCode::End,
            KeyCode::PageUp,
            KeyCode::PageDown,
            KeyCode::Backspace,
            KeyCode::Delete,
            KeyCode::Insert,
            KeyCode::F(1),
            KeyCode::F(2),
            KeyCode::F(3),
            KeyCode::F(4),
            KeyCode::Null,
        ]),
        3 => proptest::sample::select("acdefghjknpquwy".chars().collect::<Vec<_>>())
            .prop_map(KeyCode::Char),
    ];
    let modifiers = proptest::sample::select(vec![
        KeyModifiers::NONE,
        KeyModifiers::NONE,
        KeyModifiers::CONTROL,
        KeyModifiers::ALT,
        KeyModifiers::SHIFT,
    ]);
    (code, modifiers).prop_map(|(code, modifiers)| Input::Key(KeyEvent::new(code, modifiers)))
}

fn input() -> impl Strategy<Value = Input> {
    let mouse = (0_u16..220, 0_u16..90, 0_u8..3).prop_map(|(column, row, kind)| {
        Input::Mouse(MouseEvent {
            kind: match kind {
                0 => MouseEventKind::Down(MouseButton::Left),
                1 => MouseEventKind::ScrollUp,
                _ => MouseEventKind::ScrollDown,
            },
            column,
            row,
            modifiers: KeyModifiers::NONE,
        })
    });
    let words = [
        "/open bob@home.example",
        "/join attic",
        "/set light=true",
        "/search key",
        "two\nlines",
        "日本語👨‍👩‍👧‍👦e\u{301}\u{301}\u{202e}",
        "\u{1b}[2J",
    ];
    prop_oneof![
        20 => key(),
        3 => mouse,
        2 => proptest::sample::select(words.to_vec()).prop_map(|w| Input::Paste(w.to_owned())),
        2 => (1_u16..200, 1_u16..80).prop_map(|(columns, rows)| Input::Size(columns, rows)),
        1 => any::<bool>().prop_map(Input::Focus),
        1 => Just(Input::Tick),
    ]
}

/// What the desk would say to an order, roughly.
fn answer(session: &mut Session, order: Order) {
    match order {
        Order::Open(with) => {
            session.event(Event::Page {
                with,
                entries: Vec::new(),
                first: false,
            });
        }
        Order::Older { with, than } => {
            let ago = super::script::NOW - than.at.as_unix_ms() + MINUTE;
            let entries = (0..5).map(|at| {
                let ago = ago + at * MINUTE;
                let direction = stanchion::services::history::Direction::In;
                session.entry(with.as_str(), ago, direction, "older")
            });
            let mut entries: Vec<_> = entries.collect();
            entries.reverse();
            let first = ago > 3000 * MINUTE;
            session.event(Event::Page {
                with,
                entries,
                first,
            });
        }
        Order::Say { to, text } => {
            session.says(to.as_str(), 0, &text, Progress::InDoubt);
        }
        Order::Controls(of) => {
            session.event(Event::Controls {
                of,
                controls: controls(),
            });
        }
        Order::Search { words, .. } => {
            session.event(Event::Found {
                words,
                found: Vec::new(),
            });
        }
        _ => {}
    }
}

fn populated(columns: u16, rows: u16) -> Session {
    let mut s = Session::new(columns, rows);
    s.up();
    for (at, who) in (1..).zip(PEOPLE) {
        s.contact(who, "A\u{202e}name\u{9b}")
            .is(who, Availability::Away, "日本\u{7}");
        s.hears(who, at * MINUTE, "one\n\ntwo 日本語 wide");
        s.hears(who, at * 900, &"x".repeat(700));
        s.says(who, at * 800, "mine", Progress::NotDelivered);
    }
    s.room(ROOM, "topic 日本", &["dora", "anna", "日本"])
        .in_room(ROOM, "dora", MINUTE, "/me is here")
        .measures(&hall(), 1000, "21.5")
        .event(Event::Asked {
            by: jid("frank@home.example"),
            text: "x".repeat(3000),
        })
        .event(Event::Invited {
            room: jid("attic@rooms.home.example"),
            by: None,
            reason: Some("y\n".repeat(300)),
        });
    s
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_keys_on_no_size_end_it(
        columns in 1_u16..200,
        rows in 1_u16..80,
        inputs in proptest::collection::vec(input(), 1..60),
    ) {
        let mut session = populated(columns, rows);
        session.draw();
        for (at, input) in inputs.into_iter().enumerate() {
            for deed in session.input(input) {
                if let Do::Order(order) = deed {
                    answer(&mut session, order);
                }
            }
            if at % 7 == 0 {
                session.event(Event::Link(LinkState::Waiting {
                    retry_in: 1000,
                    why: "gone\n\u{1b}".to_owned(),
                }));
            }
            session.draw();
        }
    }
}
