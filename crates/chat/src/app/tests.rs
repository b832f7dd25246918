//! What can be seen, by events made by hand.

use stanchion::BareJid;
use stanchion::device::model::{Reading, Value};
use stanchion::reliability::store::WallTime;
use stanchion::services::history::{Direction, Entry, Place, Progress};
use stanchion::services::presence::Availability;
use stanchion::stanza::Text;

use super::event::{Event, Notice, Severity};
use super::flow::Gauge;
use super::model::{ALL_FIELDS, Model};
use super::person::Whereabouts;
use super::room::{Member, RoomChange};
use super::talk::{Stage, TalkKind, WINDOW};
use super::thing::{Point, SERIES, ThingKey};

fn jid(text: &str) -> BareJid {
    text.parse().unwrap()
}

fn model() -> Model {
    Model::new(jid("anna@home.example"))
}

const fn place(at: i64) -> Place {
    Place {
        at: WallTime::from_unix_ms(at),
        row: at,
    }
}

fn entry(at: i64, direction: Direction, body: &str) -> Entry {
    let mut entry = Entry::new(place(at), jid("bob@home.example"), direction, body);
    entry.id = Some(format!("id{at}"));
    if direction == Direction::Out {
        entry.progress = Some(Progress::Accepted);
    } else {
        entry.unread = true;
    }
    entry
}

fn said(model: &mut Model, entry: Entry) {
    model.apply(0, Event::Said(Box::new(entry)));
}

fn progress(model: &mut Model, id: &str, progress: Progress) {
    let (id, why) = (id.to_owned(), None);
    model.apply(0, Event::Progress { id, progress, why });
}

fn stages(model: &Model) -> Vec<Stage> {
    let talk = &model.talks[&jid("bob@home.example")];
    talk.entries.iter().filter_map(Stage::of).collect()
}

#[test]
fn a_message_is_as_far_as_was_told_last_and_also_if_that_came_before_it() {
    let mut model = model();
    said(&mut model, entry(1, Direction::Out, "one"));
    assert_eq!(stages(&model), [Stage::Kept]);
    progress(&mut model, "id1", Progress::ServerAccepted);
    assert_eq!(stages(&model), [Stage::AtServer]);
    progress(&mut model, "id2", Progress::Delivered);
    said(&mut model, entry(2, Direction::Out, "two"));
    assert_eq!(stages(&model), [Stage::AtServer, Stage::Delivered]);
    let (by, id) = (jid("bob@home.example"), "id2".to_owned());
    model.apply(0, Event::Displayed { by, id });
    assert_eq!(stages(&model), [Stage::AtServer, Stage::Read]);
    progress(&mut model, "id1", Progress::InDoubt);
    assert!(stages(&model)[0].can_be_said_again());
    progress(&mut model, "id1", Progress::NotDelivered);
    assert!(stages(&model)[0].can_be_said_again() && !stages(&model)[0].can_be_cancelled());
}

#[test]
fn what_was_not_displayed_is_not_read_and_what_failed_never_is() {
    let mut model = model();
    for at in 1..=3 {
        said(&mut model, entry(at, Direction::Out, "x"));
        progress(&mut model, &format!("id{at}"), Progress::Delivered);
    }
    progress(&mut model, "id1", Progress::NotDelivered);
    let (by, id) = (jid("bob@home.example"), "id2".to_owned());
    model.apply(0, Event::Displayed { by, id });
    assert_eq!(
        stages(&model),
        [Stage::Failed, Stage::Read, Stage::Delivered]
    );
}

#[test]
fn messages_stand_by_their_place_whenever_they_come_and_once() {
    let mut model = model();
    let with = jid("bob@home.example");
    let entries = vec![entry(5, Direction::In, "e"), entry(6, Direction::In, "f")];
    let page = |entries, first| Event::Page {
        with: with.clone(),
        entries,
        first,
    };
    model.apply(0, page(entries, false));
    said(&mut model, entry(8, Direction::In, "h"));
    said(&mut model, entry(7, Direction::In, "g"));
    said(&mut model, entry(7, Direction::In, "g, corrected"));
    // It came late from an archive: the page that is shown begins after it.
    said(&mut model, entry(2, Direction::In, "b"));
    let bodies = |model: &Model| {
        let entries = model.talks[&with].entries.iter();
        entries.map(|e| e.body.clone()).collect::<Vec<_>>()
    };
    assert_eq!(bodies(&model), ["e", "f", "g, corrected", "h"]);
    let older = vec![entry(2, Direction::In, "b"), entry(5, Direction::In, "e")];
    model.apply(0, page(older, true));
    assert_eq!(bodies(&model), ["b", "e", "f", "g, corrected", "h"]);
    assert!(model.talks[&with].first);
    assert_eq!(model.talks[&with].preview, "h");
}

#[test]
fn what_was_read_is_not_unread_and_what_came_after_is() {
    let mut model = model();
    for at in 1..=4 {
        said(&mut model, entry(at, Direction::In, "x"));
    }
    assert_eq!(model.unread(), 4);
    let (with, up_to) = (jid("bob@home.example"), place(3));
    model.apply(0, Event::Read { with, up_to });
    assert_eq!(model.unread(), 1);
}

#[test]
fn nothing_that_others_send_grows_without_bound() {
    let mut model = model();
    for at in 0..3000 {
        said(&mut model, entry(at, Direction::In, "x"));
    }
    assert_eq!(model.talks[&jid("bob@home.example")].entries.len(), WINDOW);
    for n in 0..1500 {
        let with = jid(&format!("stranger{n}@far.example"));
        let entry = Entry::new(place(n), with.clone(), Direction::In, "hello");
        said(&mut model, entry);
        let text = String::new();
        let by = with.clone();
        model.apply(0, Event::Asked { by, text });
        let (by, reason) = (None, None);
        let room = with.clone();
        model.apply(0, Event::Invited { room, by, reason });
        let change = RoomChange::Entering;
        model.apply(0, Event::Room { room: with, change });
        progress(&mut model, &format!("nobody's {n}"), Progress::Delivered);
        let text = "x".to_owned();
        let (at, severity) = (n, Severity::Info);
        model.apply(0, Event::Notice(Notice { at, severity, text }));
    }
    assert_eq!(model.talks.len(), 1000);
    assert!(model.talks.contains_key(&jid("stranger1499@far.example")));
    assert!(model.asked.len() <= 100 && model.invited.len() <= 100);
    assert!(model.rooms.len() <= 200 && model.notices.len() <= 100);
}

#[test]
fn who_is_invited_is_so_until_the_room_is_entered_or_the_answer_is_no() {
    let mut model = model();
    let room = jid("tea@rooms.home.example");
    let invited = |reason: &str| Event::Invited {
        room: room.clone(),
        by: Some("bob@home.example".to_owned()),
        reason: Some(reason.to_owned()),
    };
    let change = |change| Event::Room {
        room: room.clone(),
        change,
    };
    model.apply(0, invited("come"));
    model.apply(0, invited("come now"));
    assert_eq!(model.invited[&room].1.as_deref(), Some("come now"));
    // To be let in is asked for, and refused; both say so, in any order.
    let refused = || RoomChange::Out {
        why: Some("a password is wanted".to_owned()),
    };
    model.apply(0, change(RoomChange::Entering));
    assert!(model.invited.is_empty());
    model.apply(0, invited("come now"));
    model.apply(0, change(refused()));
    assert!(model.invited.contains_key(&room));
    model.apply(0, Event::NotInvited(room.clone()));
    assert!(model.invited.is_empty());
}

fn there(availability: Availability) -> Vec<Whereabouts> {
    vec![Whereabouts {
        resource: "phone".to_owned(),
        availability,
        text: "on a ladder".to_owned(),
        priority: 0,
    }]
}

#[test]
fn how_somebody_is_is_unknown_while_there_is_no_connection_and_strangers_are_forgotten() {
    let mut model = model();
    let who = jid("bob@home.example");
    let at = there(Availability::Busy);
    let of = who.clone();
    model.apply(0, Event::Presence { who: of, at });
    assert_eq!(model.persons[&who].availability(), Some(Availability::Busy));
    model.apply(0, Event::PresenceUnknown);
    assert_eq!(model.persons[&who].availability(), None);
    let at = Vec::new();
    let of = who.clone();
    model.apply(0, Event::Presence { who: of, at });
    assert!(!model.persons.contains_key(&who), "he is in no roster");
}

#[test]
fn a_room_is_one_of_ours_until_it_is_left_and_says_why_it_refuses() {
    let mut model = model();
    let tea = jid("tea@rooms.example");
    let change = |model: &mut Model, change| {
        let room = tea.clone();
        model.apply(0, Event::Room { room, change });
    };
    let member = |nick: &str| Member {
        nick: nick.to_owned(),
        role: "participant".to_owned(),
        affiliation: "none".to_owned(),
        jid: None,
    };
    change(&mut model, RoomChange::Entering);
    assert_eq!(model.talks[&tea].kind, TalkKind::Room);
    let entered = RoomChange::Entered {
        nick: "anna".to_owned(),
        members: vec![member("anna"), member("bob")],
        topic: "tea".to_owned(),
    };
    change(&mut model, entered.clone());
    let (from, to) = ("anna".to_owned(), "ann".to_owned());
    change(&mut model, RoomChange::Renamed { from, to });
    let nick = "bob".to_owned();
    change(&mut model, RoomChange::Gone { nick });
    let room = &model.rooms[&tea];
    assert_eq!((room.nick.as_str(), room.members.len()), ("ann", 1));
    change(&mut model, RoomChange::Lost);
    assert!(!model.rooms[&tea].entered && model.rooms[&tea].members.is_empty());
    let why = Some("members only".to_owned());
    change(&mut model, RoomChange::Out { why });
    assert_eq!(model.rooms[&tea].refused.as_deref(), Some("members only"));
    change(&mut model, entered);
    assert_eq!(model.rooms[&tea].refused, None);
    change(&mut model, RoomChange::Out { why: None });
    assert!(model.rooms.is_empty() && model.talks.contains_key(&tea));
}

#[test]
fn of_a_thing_the_newest_value_counts_and_a_series_is_bounded() {
    let mut model = model();
    let of = ThingKey {
        account: jid("meter@home.example"),
        thing: Text::from_static("hall"),
    };
    let point = |at: i64, value: Value| Point {
        at,
        readings: vec![Reading::automatic(Text::from_static("power"), value)],
    };
    let told = |model: &mut Model, points| {
        let of = of.clone();
        model.apply(0, Event::Values { of, points });
    };
    for at in 0..1000 {
        told(&mut model, vec![point(at, Value::Int(7))]);
    }
    told(&mut model, vec![point(500, Value::Int(3))]);
    let field = &model.things[&of].fields[&Text::from_static("power")];
    assert_eq!(field.value, Value::Int(7));
    assert_eq!(field.series.len(), SERIES);
    told(&mut model, vec![point(1000, Value::Boolean(true))]);
    let field = &model.things[&of].fields[&Text::from_static("power")];
    assert_eq!(field.series.back(), Some(&(1000, 1.0)));
    assert!(model.persons[&of.account].thing);
}

#[test]
fn a_fleet_that_makes_fields_up_does_not_fill_the_memory() {
    let mut model = model();
    for n in 0..300_u32 {
        let of = ThingKey {
            account: jid("meter@home.example"),
            thing: Text::new(n.to_string()).unwrap(),
        };
        let readings = (0..300_u32).map(|field| {
            let field = Text::new(format!("field{field}")).unwrap();
            Reading::automatic(field, Value::Int(7))
        });
        let readings = readings.collect();
        let points = vec![Point { at: 1, readings }];
        model.apply(0, Event::Values { of, points });
    }
    let fields = model.things.values().map(|thing| thing.fields.len());
    assert_eq!(fields.sum::<usize>(), ALL_FIELDS);
}

#[test]
fn rates_are_the_differences_of_counts() {
    let mut model = model();
    for (at, accepted) in [(0, 0), (1, 5), (2, 5), (3, 9)] {
        let gauge = Gauge {
            at,
            accepted,
            ..Gauge::default()
        };
        model.apply(0, Event::Gauge(gauge));
    }
    assert_eq!(model.flow.per_second(60, |g| g.accepted), [5, 0, 4]);
    assert_eq!(model.flow.per_second(1, |g| g.accepted), [4]);
}
