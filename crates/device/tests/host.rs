//! Our things as others reach them, over the hub: read, refused, set, and commands that act
//! exactly once whatever ends the process when.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::Duration;

use stanchion_device::adapter::AdapterEvent;
use stanchion_device::host::{Access, Grant};
use stanchion_device::model::{Kind, Node, ParameterKind, Sampling, SettingValue, Value};
use stanchion_device::{FieldSpec, HostConfig, ParameterSpec, Report, Sample, ThingSpec};
use stanchion_reliability::session::Outgoing;
use stanchion_services::allowed::Allowed;
use stanchion_services::service::Request as Ask;
use stanchion_services::{HostBuilder, RequestError};
use stanchion_stanza::payload::Payload as _;
use stanchion_stanza::payload::control::{Set, SetResponse};
use stanchion_stanza::payload::datetime::utc;
use stanchion_stanza::payload::sensordata::{Accepted, Request};
use stanchion_stanza::payload::thing_command::{Command, CommandOutcome, CommandResult};
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{Element, Jid, Message};
use support::{Dark, Lamp, LampHost, Mood, Peer, Server, soon, text};

fn set_level(value: i32) -> Element {
    Set::one(text("level"), SettingValue::Int(value)).to_element()
}

fn toggle() -> Element {
    Set::one(text("toggle"), SettingValue::Boolean(true)).to_element()
}

/// A command in a message; `by` in milliseconds from now.
fn command(to: Jid, set: Element, by: Option<i64>) -> (Outgoing, String) {
    let now = stanchion_device::adapter::wall_clock().as_unix_ms();
    let by = by.map(|by| now + by);
    Outgoing::payload(to, set)
        .with_payload(Command { by }.to_element())
        .with_id()
}

/// The outcome that comes next, and whether a response of the thing is with it.
async fn outcome(peer: &mut Peer) -> (CommandOutcome, bool) {
    let received = soon(peer.incoming.recv()).await.unwrap();
    let message: Message = received.commit().await.unwrap();
    let outcome = message.payload::<CommandOutcome>().unwrap().unwrap();
    let response = message.payload::<SetResponse>().unwrap();
    (outcome, response.is_some_and(|r| r.succeeded()))
}

struct Home {
    server: Server,
    folder: tempfile::TempDir,
    host: LampHost,
    phone: Peer,
}

impl Home {
    async fn start(lamp: Lamp, config: HostConfig) -> Self {
        Self::start_as("owner", lamp, config).await
    }

    /// The same with a phone of that account.
    async fn start_as(name: &str, lamp: Lamp, config: HostConfig) -> Self {
        let server = Server::start(&["me", "owner", "mallory"]).await;
        let folder = tempfile::tempdir().unwrap();
        let host = Self::host(&server, &folder, lamp, config).await;
        let phone = folder.path().join("phone.sqlite");
        let phone = Peer::start(&server, name, &phone, HostBuilder::new()).await;
        Self {
            server,
            folder,
            host,
            phone,
        }
    }

    async fn host(
        server: &Server,
        folder: &tempfile::TempDir,
        lamp: Lamp,
        mut config: HostConfig,
    ) -> LampHost {
        let owner = "owner@home.example".parse().unwrap();
        config.access = Access::default().with(Grant::to_all(Allowed::accounts([owner])));
        let file = folder.path().join("host.sqlite");
        LampHost::start(server, "me", &file, config, lamp).await
    }

    async fn stop(self) {
        self.host.stop().await;
        self.phone.stop().await;
        self.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_account_reads_and_sets_and_a_stranger_is_refused() {
    let (lamp, _acts) = Lamp::new(Mood::Obeys);
    let home = Home::start_as("me", lamp.clone(), HostConfig::default()).await;
    let lamp_jid = home.host.peer.jid();
    let to = Some(lamp_jid.clone());
    let asks = home.phone.host.requests();
    let request = Request::momentary(3).to_element();
    let accepted = asks.ask_for::<Accepted>(Ask::get(to.clone(), request.clone()));
    assert!(!soon(accepted).await.unwrap().queued);
    let set = asks.ask_for::<SetResponse>(Ask::set(to.clone(), set_level(7)));
    assert!(soon(set).await.unwrap().succeeded());
    assert_eq!(lamp.count(), 1);

    let file = home.folder.path().join("mallory.sqlite");
    let mut mallory = Peer::start(&home.server, "mallory", &file, HostBuilder::new()).await;
    let asks = mallory.host.requests();
    for ask in [
        Ask::get(to.clone(), request),
        Ask::set(to.clone(), set_level(9)),
    ] {
        let refused = soon(asks.ask(ask)).await.unwrap_err();
        let condition = refused.refusal().map(|e| e.condition);
        assert_eq!(condition, Some(DefinedCondition::Forbidden));
    }
    let (message, id) = command(lamp_jid, set_level(9), None);
    mallory.session.sender().send(message).await.unwrap();
    let (told, _) = outcome(&mut mallory).await;
    assert_eq!((&*told.of, told.result), (&*id, CommandResult::Forbidden));
    assert_eq!(lamp.count(), 1);
    mallory.stop().await;
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_thing_makes_of_an_order_is_what_is_answered() {
    for (mood, expected) in [
        (Mood::Refuses, DefinedCondition::NotAcceptable),
        (Mood::Hangs, DefinedCondition::InternalServerError),
        (Mood::Away, DefinedCondition::RecipientUnavailable),
    ] {
        let (lamp, _acts) = Lamp::new(mood);
        let mut config = HostConfig::default();
        config.set_within = Duration::from_millis(200);
        let home = Home::start(lamp, config).await;
        let ask = Ask::set(Some(home.host.peer.jid()), set_level(7));
        let refused = soon(home.phone.host.requests().ask(ask)).await.unwrap_err();
        let RequestError::Refused { error, .. } = refused else {
            panic!("{refused}")
        };
        assert_eq!(error.condition, expected, "{mood:?}");
        home.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_acts_once_and_its_outcome_is_told_in_a_message() {
    // The phone is of the lamp's own account.
    let (lamp, _acts) = Lamp::new(Mood::Obeys);
    let mut home = Home::start_as("me", lamp.clone(), HostConfig::default()).await;
    let to = home.host.peer.jid();
    for n in 1..=20 {
        let (message, id) = command(to.clone(), toggle(), Some(60_000));
        home.phone.session.sender().send(message).await.unwrap();
        let (told, responded) = outcome(&mut home.phone).await;
        assert_eq!((&*told.of, told.result), (&*id, CommandResult::Done));
        assert!(responded);
        assert_eq!(lamp.count(), n);
    }
    let wrong = Set::one(text("level"), SettingValue::Int(101)).to_element();
    let (message, _) = command(to.clone(), wrong, None);
    home.phone.session.sender().send(message).await.unwrap();
    let (told, _) = outcome(&mut home.phone).await;
    assert_eq!(told.result, CommandResult::Refused);
    assert_eq!(&*told.text, "`level` is to be from 0 to 100");
    let (message, _) = command(to, toggle(), Some(-1));
    home.phone.session.sender().send(message).await.unwrap();
    let (told, _) = outcome(&mut home.phone).await;
    assert_eq!(told.result, CommandResult::Expired);
    assert_eq!(lamp.count(), 20);
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_to_one_thing_keep_their_order() {
    let (lamp, _acts) = Lamp::new(Mood::Obeys);
    let mut home = Home::start(lamp.clone(), HostConfig::default()).await;
    let to = home.host.peer.jid();
    for level in 0..50 {
        let (message, _) = command(to.clone(), set_level(level), None);
        home.phone.session.sender().send(message).await.unwrap();
    }
    for _ in 0..50 {
        let (told, _) = outcome(&mut home.phone).await;
        assert_eq!(told.result, CommandResult::Done);
    }
    let acts = lamp.acts.lock().unwrap().clone();
    let levels: Vec<_> = acts.into_iter().map(|s| s.value).collect();
    let expected: Vec<_> = (0..50).map(SettingValue::Int).collect();
    assert_eq!(levels, expected);
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_for_a_thing_that_is_away_expires_and_never_acts() {
    let (lamp, _acts) = Lamp::new(Mood::Away);
    let mut home = Home::start(lamp.clone(), HostConfig::default()).await;
    let (message, _) = command(home.host.peer.jid(), toggle(), Some(300));
    home.phone.session.sender().send(message).await.unwrap();
    let (told, _) = outcome(&mut home.phone).await;
    assert!(told.result.had_no_effect(), "{told:?}");
    assert_eq!(lamp.count(), 0);
    home.stop().await;
}

/// Crashes the host once its lamp acted, before it could say so, and starts it again.
async fn crashed_between(set: Element, by: Option<i64>) -> (Lamp, CommandOutcome) {
    let (lamp, mut acts) = Lamp::new(Mood::Hangs);
    let home = Home::start(lamp.clone(), HostConfig::default()).await;
    let Home {
        server,
        folder,
        host,
        mut phone,
    } = home;
    let (message, id) = command(host.peer.jid(), set, by);
    phone.session.sender().send(message).await.unwrap();
    soon(acts.recv()).await.unwrap();
    host.crash();
    let again = lamp.in_mood(Mood::Obeys);
    let host = Home::host(&server, &folder, again, HostConfig::default()).await;
    let (told, _) = outcome(&mut phone).await;
    assert_eq!(&*told.of, &*id);
    host.stop().await;
    phone.stop().await;
    server.stop().await;
    (lamp, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_was_begun_before_a_crash_is_in_doubt_and_not_done_again() {
    let (lamp, told) = crashed_between(toggle(), Some(60_000)).await;
    assert_eq!(told.result, CommandResult::InDoubt);
    assert_eq!(lamp.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_was_begun_before_a_crash_is_set_again() {
    let (lamp, told) = crashed_between(set_level(7), Some(60_000)).await;
    assert_eq!(told.result, CommandResult::Done, "{told:?}");
    assert_eq!(lamp.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_here_before_its_thing_waits_for_it_as_long_as_a_start_takes() {
    let server = Server::start(&["me", "owner"]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = HostConfig::default();
    let owner = "owner@home.example".parse().unwrap();
    config.access = Access::default().with(Grant::to_all(Allowed::accounts([owner])));
    let file = folder.path().join("host.sqlite");
    let dark = Dark::start_by(server.connector("me"), &file, config).await;
    let phone = folder.path().join("phone.sqlite");
    let mut phone = Peer::start(&server, "owner", &phone, HostBuilder::new()).await;
    // What ends before there is a lamp shows that the one behind it is looked at by then.
    let (soon_over, first) = command(dark.peer.jid(), toggle(), Some(200));
    phone.session.sender().send(soon_over).await.unwrap();
    let (message, second) = command(dark.peer.jid(), set_level(7), Some(60_000));
    phone.session.sender().send(message).await.unwrap();
    let (told, _) = outcome(&mut phone).await;
    assert_eq!(*told.of, *first);
    assert!(told.result.had_no_effect(), "{told:?}");
    let (lamp, _acts) = Lamp::new(Mood::Obeys);
    let host = dark.light(lamp.clone()).await;
    let (told, _) = outcome(&mut phone).await;
    assert_eq!(*told.of, *second);
    assert_eq!(told.result, CommandResult::Done, "{told:?}");
    assert_eq!(lamp.count(), 1);
    host.stop().await;
    phone.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_was_not_told_before_a_crash_is_told_after_it_and_nothing_acts_again() {
    let (lamp, _acts) = Lamp::new(Mood::Obeys);
    let home = Home::start(lamp.clone(), HostConfig::default()).await;
    let Home {
        server,
        folder,
        host,
        mut phone,
    } = home;
    let (message, id) = command(host.peer.jid(), toggle(), None);
    phone.session.sender().send(message).await.unwrap();
    let (first, _) = outcome(&mut phone).await;
    assert_eq!(first.result, CommandResult::Done);
    // As if the process had ended between the commit and the outbox.
    let forget = host.peer.store.transact(|tx| {
        tx.execute(
            "UPDATE app_stanchion_commands SET told = 0, answer = ''",
            [],
        )
    });
    assert_eq!(forget.await.unwrap(), 1);
    host.crash();
    let host = Home::host(&server, &folder, lamp.clone(), HostConfig::default()).await;
    let (again, _) = outcome(&mut phone).await;
    assert_eq!((&*again.of, again.result), (&*id, CommandResult::Done));
    assert_eq!(lamp.count(), 1);
    host.stop().await;
    phone.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_remembered_and_read_out() {
    let (lamp, _acts) = Lamp::new(Mood::Obeys);
    let home = Home::start(lamp, HostConfig::default()).await;
    // What is remembered is written a little later.
    let written = async {
        loop {
            let count = home.host.peer.store.transact(|tx| {
                let sql = "SELECT count(*) FROM app_stanchion_readings";
                tx.query_row(sql, [], |row| row.get::<_, i64>(0))
            });
            if count.await.is_ok_and(|count| count > 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(written).await;
    let mut request = Request::momentary(4);
    request.categories = stanchion_device::model::Categories::HISTORICAL;
    request.from = Some(utc(0));
    let (events, mut seen) = tokio::sync::mpsc::channel(8);
    let mut session = home.phone.session.events();
    let watch = tokio::spawn(async move {
        while let Ok(event) = session.recv().await {
            if let stanchion_reliability::session::SessionEvent::Transient(stanza) = event {
                let _ = events.send(stanza).await;
            }
        }
    });
    let ask = Ask::get(Some(home.host.peer.jid()), request.to_element());
    let asks = home.phone.host.requests();
    soon(asks.ask_for::<Accepted>(ask)).await.unwrap();
    let fields = async {
        loop {
            let said = format!("{:?}", seen.recv().await.unwrap());
            if said.contains("historicalOther") {
                return said;
            }
        }
    };
    assert!(soon(fields).await.contains("40"));
    watch.abort();
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_to_different_things_do_not_wait_for_each_other() {
    let (lamp, mut acts) = Lamp::new(Mood::Hangs);
    let mut home = Home::start(lamp, HostConfig::default()).await;
    // A thing whose adapter is not running: it cannot obey, and says so at once.
    let on = ParameterSpec::new(text("on"), ParameterKind::Boolean);
    let ghost = ThingSpec::new(text("ghost")).with_parameter(on);
    let report = Report::Things(vec![ghost]);
    let adapter = "nobody".into();
    home.host
        .things
        .take(AdapterEvent { adapter, report })
        .await
        .unwrap();
    let mut to_lamp = Set::one(text("toggle"), SettingValue::Boolean(true));
    to_lamp.nodes = vec![Node::new(text("lamp"))];
    let mut to_ghost = Set::one(text("on"), SettingValue::Boolean(true));
    to_ghost.nodes = vec![Node::new(text("ghost"))];
    let to = home.host.peer.jid();
    let (slow, slow_id) = command(to.clone(), to_lamp.to_element(), Some(1_500));
    let (quick, quick_id) = command(to, to_ghost.to_element(), Some(60_000));
    let sender = home.phone.session.sender();
    sender.send(slow).await.unwrap();
    soon(acts.recv()).await.unwrap();
    sender.send(quick).await.unwrap();
    let (first, _) = outcome(&mut home.phone).await;
    assert_eq!(
        (&*first.of, first.result),
        (&*quick_id, CommandResult::Unavailable)
    );
    let (second, _) = outcome(&mut home.phone).await;
    assert_eq!(
        (&*second.of, second.result),
        (&*slow_id, CommandResult::InDoubt)
    );
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_worth_it_is_told_at_once_and_what_was_held_back_in_its_time() {
    let (lamp, _acts) = Lamp::new(Mood::Obeys);
    let home = Home::start(lamp, HostConfig::default()).await;
    let things = &home.host.things;
    let mut told = things.told();
    let calm = Sampling::default().at_most_every(Duration::from_millis(100));
    let energy = FieldSpec::new(text("energy"), Kind::Int).sampled(calm);
    let meter = ThingSpec::new(text("meter")).with_field(energy);
    let take = async |report| {
        let adapter = "meters".into();
        things.take(AdapterEvent { adapter, report }).await.unwrap();
    };
    take(Report::Things(vec![meter])).await;
    for value in [1, 2, 3] {
        let at = stanchion_device::adapter::wall_clock();
        let value = Value::Int(value);
        let sample = Sample::one(text("meter"), at, text("energy"), value);
        take(Report::Sample(sample)).await;
    }
    let mut values = Vec::new();
    while values.len() < 2 {
        let sample = soon(told.recv()).await.unwrap();
        if sample.thing == text("meter") {
            values.push(sample.readings[0].value.clone());
        }
    }
    assert_eq!(values, [Value::Int(1), Value::Int(3)]);
    let latest = things.latest(&text("meter")).await.unwrap().unwrap();
    assert_eq!(latest[0].reading.value, Value::Int(3));
    things.detach("meters").await.unwrap();
    assert_eq!(things.latest(&text("meter")).await.unwrap(), None);
    home.stop().await;
}
