//! Sessions of one person: what is seen, and what is ordered.

use stanchion::services::history::{Direction, Found, Progress};
use stanchion::services::presence::Availability;

use super::super::screen::{Do, Input};
use super::script::{MINUTE, NOW, Session, controls, hall, jid};
use crate::app::{Answer, Event, LinkState, Notice, Order, Severity};

const BOB: &str = "bob@home.example";
const ROOM: &str = "lounge@rooms.home.example";
const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (40, 12)];

/// Somebody with all that there is.
fn somebody(columns: u16, rows: u16) -> Session {
    let mut s = Session::new(columns, rows);
    s.up()
        .contact(BOB, "Bob")
        .contact("carol@home.example", "Carol")
        .contact("dave@home.example", "Dave")
        .contact("erin@home.example", "Erin")
        .is(BOB, Availability::Available, "at the desk")
        .is("carol@home.example", Availability::Busy, "")
        .is("dave@home.example", Availability::Away, "lunch")
        .hears("carol@home.example", 3 * MINUTE, "call me")
        .hears("carol@home.example", 2 * MINUTE, "soon")
        .room(ROOM, "Where people sit", &["dora", "bob", "anna", "emil"])
        .in_room(ROOM, "dora", 7 * MINUTE, "who is here?")
        .measures(&hall(), 3 * MINUTE, "20.5")
        .measures(&hall(), 2 * MINUTE, "21.0")
        .measures(&hall(), 1000, "21.5")
        .gauge(2);
    s
}

#[test]
fn a_message_is_shown_with_how_far_it_came_in_sign_and_word() {
    for (columns, rows) in SIZES {
        let mut s = somebody(columns, rows);
        let stages = [
            ("read by somebody", Progress::Delivered),
            ("delivered", Progress::Delivered),
            ("received", Progress::Acknowledged),
            ("at the server", Progress::ServerAccepted),
            ("kept", Progress::Accepted),
            ("lost on the way?", Progress::InDoubt),
            ("refused", Progress::NotDelivered),
        ];
        s.hears(BOB, 26 * 60 * MINUTE, "from yesterday");
        for (at, (text, far)) in stages.into_iter().enumerate() {
            let ago = 30 * MINUTE - i64::try_from(at).unwrap() * 1000;
            s.says(BOB, ago, text, far);
        }
        let id = |n| format!("id{n}");
        let first = s.model.talks[&jid(BOB)].entries[1].id.clone().unwrap();
        s.event(Event::Displayed {
            by: jid(BOB),
            id: first,
        });
        for (n, why) in [
            (10, "no answer within 30 s"),
            (11, "bob is not there: remote-server-not-found"),
        ] {
            let progress = match n {
                10 => Progress::InDoubt,
                _ => Progress::NotDelivered,
            };
            s.event(Event::Progress {
                id: id(n),
                progress,
                why: Some(why.to_owned()),
            });
        }
        s.hears(BOB, MINUTE, "an answer")
            .loaded(BOB)
            .event(Event::Writing {
                who: jid(BOB),
                writes: true,
            });
        s.types("<C-g>bob<Enter>");
        s.shows(&format!("stages-{columns}x{rows}"));
    }
}

#[test]
fn a_room_shows_who_is_there_and_who_said_what() {
    for (columns, rows) in SIZES {
        let mut s = somebody(columns, rows);
        s.in_room(ROOM, "emil", 6 * MINUTE, "me")
            .in_room(ROOM, "emil", 5 * MINUTE, "/me waves")
            .loaded(ROOM);
        s.types("<C-g>lounge<Enter>hello d<Tab>");
        s.shows(&format!("room-{columns}x{rows}"));
    }
}

#[test]
fn a_thing_shows_its_values_over_time_and_what_can_be_set() {
    for (columns, rows) in SIZES {
        let mut s = somebody(columns, rows);
        s.types("<C-g>hall<Enter>");
        s.event(Event::Controls {
            of: hall(),
            controls: controls(),
        });
        s.event(Event::Commanded {
            of: hall(),
            what: "light = true".to_owned(),
            outcome: Some(Err("it did not answer within 10 s".to_owned())),
        });
        s.shows(&format!("thing-{columns}x{rows}"));
    }
    let mut s = somebody(80, 24);
    let ordered = s.orders("<C-g>hall<Enter>");
    assert!(matches!(&ordered[..], [Order::Controls(of)] if *of == hall()));
    s.event(Event::Controls {
        of: hall(),
        controls: controls(),
    });
    s.types("<Down><Enter>");
    s.shows("set-80x24");
    assert!(s.orders("<C-u>99<Enter>").is_empty(), "out of bounds");
    let ordered = s.orders("<C-u>18.5<Enter>");
    assert!(matches!(&ordered[..], [Order::Set { parameter, value, .. }]
            if &**parameter == "target" && value == "18.5"));
    // The light is on: it is offered to be put out.
    let ordered = s.orders("<Up><Enter><Enter>");
    assert!(matches!(&ordered[..], [Order::Set { value, .. }] if value == "false"));
}

#[test]
fn a_search_leads_to_the_message_also_if_it_has_to_be_fetched() {
    let mut s = somebody(80, 24);
    let old = s.entry(BOB, 900 * MINUTE, Direction::In, "the key is under the mat");
    s.hears(BOB, 10 * MINUTE, "what key?");
    s.event(Event::Page {
        with: jid(BOB),
        entries: Vec::new(),
        first: false,
    });
    let ordered = s.orders("<C-f>key<Enter>");
    assert!(matches!(&ordered[..], [Order::Search { words, with: None }] if words == "key"));
    let snippet = format!("the {}key{} is under the mat", Found::OPEN, Found::CLOSE);
    let found = vec![Found::new(old.clone(), &snippet)];
    s.event(Event::Found {
        words: "key".to_owned(),
        found,
    });
    s.shows("search-80x24");
    let ordered = s.orders("<Enter>");
    let [Order::Open(with), Order::Older { than, .. }] = &ordered[..] else {
        panic!("{ordered:?}")
    };
    assert_eq!((with, than.at.as_unix_ms()), (&jid(BOB), NOW - 10 * MINUTE));
    s.event(Event::Page {
        with: jid(BOB),
        entries: vec![old],
        first: true,
    });
    s.shows("found-80x24");
}

#[test]
fn the_help_tells_every_key_and_every_command() {
    for (columns, rows) in SIZES {
        let mut s = somebody(columns, rows);
        s.types("?");
        s.shows(&format!("help-{columns}x{rows}"));
    }
    let mut s = Session::new(110, 120);
    s.types("<F1>");
    let all = s.draw();
    for (name, ..) in super::super::command::ALL {
        assert!(all.contains(&format!("/{name}")), "{name}");
    }
    for (_, keys) in super::super::keys::ALL {
        for (key, _) in *keys {
            assert!(all.contains(key), "{key}");
        }
    }
}

#[test]
fn an_outage_is_told_with_its_cause_and_what_is_said_waits() {
    for (columns, rows) in SIZES {
        let mut s = somebody(columns, rows);
        s.types("<C-g>bob<Enter>");
        s.loaded(BOB)
            .says(BOB, 1000, "are you there?", Progress::Accepted);
        s.event(Event::Link(LinkState::Waiting {
            retry_in: 4000,
            why: "one.home.example:5222: connection refused; is the server running?".to_owned(),
        }))
        .event(Event::PresenceUnknown)
        .gauge(3)
        .passes(1000);
        s.shows(&format!("outage-{columns}x{rows}"));
    }
}

#[test]
fn the_delivery_view_shows_figures_the_queue_and_what_the_connection_did() {
    for (columns, rows) in SIZES {
        let mut s = somebody(columns, rows);
        for queued in [0, 0, 2, 5, 9, 9, 4, 0] {
            s.passes(1000).gauge(queued);
        }
        s.event(Event::Link(LinkState::Waiting {
            retry_in: 1000,
            why: "the server closed the stream".to_owned(),
        }));
        s.passes(2000).up();
        let server = "two.home.example:5222".to_owned();
        let LinkState::Up { jid, secured, .. } = s.model.link.state.clone() else {
            unreachable!()
        };
        s.event(Event::Link(LinkState::Up {
            jid,
            server,
            resumed: false,
            secured,
        }));
        s.event(Event::Notice(Notice {
            at: NOW,
            severity: Severity::Warning,
            text: "the disk is nearly full".to_owned(),
        }));
        s.types("<F2>");
        s.shows(&format!("delivery-{columns}x{rows}"));
    }
}

#[test]
fn who_asks_gets_an_answer_and_nobody_is_answered_by_accident() {
    let mut s = somebody(80, 24);
    s.event(Event::Asked {
        by: jid("frank@home.example"),
        text: "it is me".to_owned(),
    });
    assert!(
        s.draw()
            .contains("frank@home.example asks to see how you are")
    );
    // Whoever writes goes on writing: no window takes the keys.
    assert!(
        s.orders("<C-g>bob<Enter>ad")
            .iter()
            .all(|o| !matches!(o, Order::Answer { .. }))
    );
    s.types("<F4>");
    s.shows("question-80x24");
    // The careful reply is what Enter gives.
    assert!(s.orders("<Enter>").is_empty());
    let ordered = s.orders("<F4>a");
    assert!(
        matches!(&ordered[..], [Order::Answer { answer: Answer::Accept, to }]
            if to.as_str() == "frank@home.example")
    );
    s.event(Event::NotAsked(jid("frank@home.example")));
    s.event(Event::Invited {
        room: jid("attic@rooms.home.example"),
        by: Some(BOB.to_owned()),
        reason: None,
    });
    let ordered = s.orders("<F4>j");
    assert!(matches!(&ordered[..], [Order::Join { room, .. }] if room.local() == Some("attic")));
    let ordered = s.orders("<F4>d");
    assert!(matches!(&ordered[..], [Order::Decline(room)] if room.local() == Some("attic")));
    s.event(Event::NotInvited(jid("attic@rooms.home.example")));
    assert!(s.orders("<F4>d").is_empty(), "nothing is asked any more");
}

#[test]
fn what_is_in_doubt_is_said_again_only_after_a_yes_and_what_failed_at_once() {
    let mut s = somebody(80, 24);
    s.says(BOB, 2000, "one", Progress::NotDelivered)
        .says(BOB, 1000, "two", Progress::InDoubt)
        .loaded(BOB);
    s.types("<C-g>bob<Enter>");
    assert!(s.orders("<C-Up>r").is_empty());
    s.shows("again-80x24");
    assert!(s.orders("<Enter>").is_empty(), "no is what Enter gives");
    let ordered = s.orders("ry");
    assert!(
        matches!(&ordered[..], [Order::Again { place, .. }] if place.at.as_unix_ms() == NOW - 1000)
    );
    let ordered = s.orders("<Up>r");
    assert!(
        matches!(&ordered[..], [Order::Again { place, .. }] if place.at.as_unix_ms() == NOW - 2000)
    );
    assert!(s.orders("c").is_empty(), "what failed cannot be taken back");
    let ordered = s.orders("<Down>c");
    assert!(matches!(&ordered[..], [Order::Cancel { .. }]));
    let ordered = s.orders("e<C-u>three<Enter>");
    assert!(matches!(ordered.last(), Some(Order::Correct { text, .. }) if text == "three"));
}

#[test]
fn a_message_is_seen_only_while_somebody_looks_at_it() {
    let mut s = somebody(80, 24);
    s.hears(BOB, 2000, "one").loaded(BOB);
    let seen = |orders: &[Order]| {
        orders
            .iter()
            .filter(|o| matches!(o, Order::Seen { .. }))
            .count()
    };
    let ordered = s.orders("<C-g>bob<Enter>");
    assert_eq!(seen(&ordered), 1);
    assert_eq!(seen(&s.orders("abc")), 0, "once is enough");
    s.input(Input::Focus(false));
    let mut two = s.entry(BOB, 1000, Direction::In, "two");
    two.unread = true;
    s.model.apply(NOW, Event::Said(Box::new(two)));
    let done = s.input(Input::Changed);
    assert!(matches!(&done[..], [Do::Bell]), "{done:?}");
    let done = s.input(Input::Focus(true));
    let orders = done
        .iter()
        .filter(|d| matches!(d, Do::Order(Order::Seen { .. })));
    assert_eq!(orders.count(), 1, "{done:?}");
}

#[test]
fn text_of_strangers_does_nothing_but_stand_there() {
    for (columns, rows) in SIZES {
        let mut s = Session::new(columns, rows);
        let marks = format!("e{}", "\u{301}".repeat(500));
        s.up()
            .contact(BOB, "Bo\u{202e}b\u{9b}31m")
            .is(BOB, Availability::Available, "\u{9b}2J\u{7}status")
            .room(
                ROOM,
                "topic\u{1b}]0;title\u{7}",
                &["evil\u{202d}\u{1b}[2J", "日本語の名前です"],
            )
            .hears(BOB, 10_000, &"line\n".repeat(5000))
            .hears(
                BOB,
                9000,
                "\u{1b}[2J\u{1b}]0;owned\u{7}\rover\u{8}written\u{202e}txet",
            )
            .hears(BOB, 8000, &format!("word{}", "x".repeat(150)))
            .hears(BOB, 7000, &"日本語テキスト👨‍👩‍👧‍👦👍🏽".repeat(5))
            .hears(BOB, 6000, &marks)
            .hears(BOB, 4000, "the end\u{2028}of it")
            .loaded(BOB)
            .event(Event::Notice(Notice {
                at: NOW,
                severity: Severity::Failure,
                text: "said \u{1b}[31mred".to_owned(),
            }));
        s.types("<C-g><Enter>");
        let shown = s.draw();
        assert!(
            !shown.chars().any(|c| c.is_control() && c != '\n'),
            "{shown:?}"
        );
        assert!(!shown.contains('\u{202e}') && !shown.contains('\u{2028}'));
        s.shows(&format!("hostile-{columns}x{rows}"));
    }
}

#[test]
fn the_window_stays_where_it_is_while_something_new_comes() {
    let mut s = somebody(80, 24);
    for at in 0..100 {
        s.hears(BOB, (200 - at) * MINUTE, &format!("message {at}"));
    }
    s.loaded(BOB);
    s.types("<C-g>bob<Enter><PageUp><PageUp>");
    let body = |text: &str| {
        let rows = text.lines().skip(2).take(15);
        let right = rows.map(|row| row.chars().skip(24).collect::<String>());
        right.collect::<Vec<_>>()
    };
    let before = body(&s.draw());
    s.hears(BOB, MINUTE, "something new");
    let shown = s.draw();
    assert_eq!(body(&shown), before);
    assert!(shown.contains("Ctrl-End"));
    s.types("<C-End>");
    assert!(s.draw().contains("something new"));
    // To the beginning, and not beyond.
    for _ in 0..100 {
        s.types("<PageUp>");
    }
    assert!(s.draw().contains("the beginning"));
}

#[test]
fn older_messages_are_asked_for_once_at_the_top() {
    let mut s = somebody(80, 24);
    for at in 0..100 {
        s.hears(BOB, (200 - at) * MINUTE, &format!("message {at}"));
    }
    s.event(Event::Page {
        with: jid(BOB),
        entries: Vec::new(),
        first: false,
    });
    s.types("<C-g>bob<Enter>");
    let mut asked = 0;
    for _ in 0..40 {
        let ordered = s.orders("<PageUp>");
        asked += ordered
            .iter()
            .filter(|o| matches!(o, Order::Older { .. }))
            .count();
    }
    assert_eq!(asked, 1);
}

#[test]
fn drafts_stay_with_their_conversations() {
    let mut s = somebody(80, 24);
    s.types("<C-g>bob<Enter>for bob<C-g>carol<Enter>");
    assert!(s.screen.line.is_empty());
    s.types("for carol<C-g>bob<Enter>");
    assert_eq!(s.screen.line.text(), "for bob");
    let ordered = s.orders("<Enter>");
    assert!(
        ordered
            .iter()
            .any(|o| matches!(o, Order::Say { to, text } if *to == jid(BOB) && text == "for bob"))
    );
}

#[test]
fn commands_are_carried_out_and_mistakes_stay_in_the_line() {
    let mut s = somebody(80, 24);
    let ordered = s.orders("/status busy do not disturb<Enter>");
    assert!(
        matches!(&ordered[..], [Order::Status { availability: Availability::Busy, text }]
            if text == "do not disturb")
    );
    assert!(s.orders("/staus busy<Enter>").is_empty());
    assert_eq!(s.screen.line.text(), "/staus busy");
    assert!(s.draw().contains("there is no /staus"));
    s.types("<C-c>");
    let ordered = s.orders("/join attic<Enter>");
    assert!(
        ordered
            .iter()
            .any(|o| matches!(o, Order::Join { room, .. } if room.local() == Some("attic")))
    );
    s.types("<C-g>bob<Enter>");
    assert!(s.orders("/remove<Enter>").is_empty());
    assert!(matches!(&s.orders("y")[..], [Order::Remove(who)] if *who == jid(BOB)));
    let ordered = s.orders("//not a command<Enter>");
    assert!(matches!(&ordered[..], [Order::Say { text, .. }] if text == "/not a command"));
    assert!(matches!(s.types("<C-q>")[..], [Do::Quit]));
}

#[test]
fn the_mouse_opens_chooses_and_scrolls() {
    let mut s = somebody(80, 24);
    s.says(BOB, 1000, "hello", Progress::Accepted).loaded(BOB);
    let row = s.draw().lines().position(|l| l.contains("Bob")).unwrap();
    s.click(5, u16::try_from(row).unwrap());
    assert!(
        s.draw()
            .lines()
            .next()
            .unwrap()
            .contains("Bob  available · at the desk")
    );
    let row = s.draw().lines().position(|l| l.contains("hello")).unwrap();
    s.click(30, u16::try_from(row).unwrap());
    assert!(s.draw().contains("c take it back"));
    s.click(3, 23);
    assert!(s.draw().contains("Delivery"));
}

#[test]
fn the_first_screen_says_what_can_be_done() {
    for (columns, rows) in SIZES {
        let mut s = Session::new(columns, rows);
        s.shows(&format!("empty-{columns}x{rows}"));
    }
}

#[test]
fn a_crowd_has_its_place_in_the_smallest_and_the_largest_terminal() {
    for (columns, rows) in [(40, 12), (80, 24), (220, 90)] {
        let mut s = somebody(columns, rows);
        for at in 0..10_000 {
            let of = crate::app::ThingKey {
                account: jid("gate@home.example"),
                thing: stanchion::stanza::Text::new(format!("meter-{at}")).unwrap(),
            };
            let controls = controls();
            s.model.apply(NOW, Event::Controls { of, controls });
        }
        let nicks: Vec<_> = (0..5000).map(|at| format!("nick{at:04}")).collect();
        let nicks: Vec<_> = nicks.iter().map(String::as_str).collect();
        s.room(ROOM, "a stadium", &nicks);
        s.hears(BOB, 1000, &"word ".repeat(12_000)).loaded(BOB);
        s.types("<C-g>lounge<Enter>");
        let shown = s.draw();
        if columns == 220 {
            assert!(shown.contains("5000 there"), "{shown}");
            assert!(shown.contains("more"), "{shown}");
        }
        s.types("<C-g>meter-77<Enter>");
        assert!(s.draw().contains("meter-77"));
        s.types("<C-g>bob<Enter><PageUp><C-Up>");
        assert!(s.draw().contains("there is more") || s.draw().contains("word word"));
    }
}
