//! `stanchion history`, and the switches that fill it.

use serde_json::Value;

use crate::common::house::PASSWORD;
use crate::common::{Ended, run};
use crate::hub::Hub;

impl Hub {
    /// `history` on the store of an account.
    fn history(&self, user: &str, rest: &[&str]) -> Ended {
        let store = format!("{user}.sqlite");
        let all = [&["history", "--store", &store], rest].concat();
        run(self.home.command("", &all))
    }

    fn say(&self, text: &str) {
        let sent = self.run("alice", "send --to bob@hub.test --history", &[text]);
        assert_eq!(sent.code, 0, "{sent:?}");
    }
}

fn bodies(ended: &Ended) -> Vec<String> {
    let body = |v: &Value| v["body"].as_str().unwrap().to_owned();
    ended.json().iter().map(body).collect()
}

#[test]
fn both_ends_have_what_was_said_and_its_outcome_while_a_session_lives() {
    let hub = Hub::start();
    let mut listener = hub.listener("bob", &["--history"]);
    for text in ["the boiler has 2.1 bar", "one\ntwo \u{9b}2J"] {
        hub.say(text);
        listener.line();
    }
    let doubt = "send --to nobody@hub.test --history --timeout 1s lost";
    assert_eq!(hub.run("alice", doubt, &[]).code, 11);

    let own = hub.history("alice", &["bob@hub.test"]);
    assert_eq!((own.code, &*own.stderr), (0, ""), "{own:?}");
    let lines: Vec<&str> = own.stdout.lines().collect();
    assert!(
        lines[0].ends_with("Z  me: the boiler has 2.1 bar  [delivered]"),
        "{lines:?}"
    );
    assert_eq!(lines[2], r"    two \u{9b}2J  [delivered]");
    let lost = hub.history("alice", &["nobody@hub.test"]);
    assert!(
        lost.stdout.contains("me: lost  [in doubt: it was sent"),
        "{lost:?}"
    );

    // Beside the session that writes it.
    let theirs = hub.history("bob", &["alice@hub.test", "--json"]);
    assert_eq!(
        bodies(&theirs),
        ["the boiler has 2.1 bar", "one\ntwo \u{9b}2J"]
    );
    assert_eq!(theirs.json()[0]["direction"], "in");
    assert_eq!(theirs.json()[0]["outcome"], Value::Null);
    let talks = hub.history("bob", &[]);
    for told in ["alice@hub.test", "carol@hub.test", "one two"] {
        assert!(talks.stdout.contains(told), "{told}: {talks:?}");
    }
    let all = hub.history("alice", &["--json"]);
    assert_eq!(all.json().len(), 2);
    assert_eq!(all.json()[0]["with"], "nobody@hub.test", "the latest first");

    let busy = hub.history("bob", &["alice@hub.test", "--purge"]);
    assert_eq!(busy.code, 1, "{busy:?}");
    assert!(busy.one_line().contains("a session lives on"), "{busy:?}");
    listener.signal("INT");
    assert_eq!(listener.end().code, 0);
    let removed = hub.history("bob", &["alice@hub.test", "--purge"]);
    assert_eq!(removed.stdout, "removed 2 messages\n", "{removed:?}");
    assert_eq!(
        hub.history("bob", &["--json"]).json().len(),
        1,
        "carol's stays"
    );
}

#[test]
fn messages_are_found_by_words_and_by_time() {
    let hub = Hub::start();
    let _listener = hub.listener("bob", &[]);
    for text in ["boiler at 60", "pump stopped", "Boiler pressure low"] {
        hub.say(text);
    }
    let with = |rest: &[&str]| bodies(&hub.history("alice", &[rest, &["--json"]].concat()));
    assert_eq!(
        with(&["--search", "boiler"]),
        ["boiler at 60", "Boiler pressure low"]
    );
    assert_eq!(with(&["--search", "boiler pres"]), ["Boiler pressure low"]);
    assert_eq!(with(&["--search", "boiler", "--until", "1h"]), [""; 0]);
    assert_eq!(with(&["--since", "1h"]).len(), 3);
    assert_eq!(
        with(&["--since", "1h", "--limit", "1"]),
        ["Boiler pressure low"]
    );
    assert_eq!(with(&["bob@hub.test", "--until", "2020-01-31"]), [""; 0]);
    let wrong = hub.history("alice", &["--since", "yesterday"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(
        wrong.one_line().contains("2026-01-31T12:00:00Z"),
        "{wrong:?}"
    );
    let all = hub.history("alice", &["--purge"]);
    assert_eq!(
        all.code, 2,
        "a purge of everything is said in so many words: {all:?}"
    );
    let all = hub.history("alice", &["--purge", "--until", "0s", "--json"]);
    assert_eq!(all.json()[0]["messages"], 3, "{all:?}");
}

#[tokio::test]
async fn the_people_in_a_room_are_named_by_their_nicknames() {
    use stanchion::services::rooms::JoinOptions;
    let hub = Hub::start();
    let (host, port) = hub.address().rsplit_once(':').unwrap();
    let start = async |user: &str| {
        let account = format!("{user}@hub.test").parse().unwrap();
        let client = stanchion::Client::builder(account)
            .password(PASSWORD.to_owned().into())
            .server(host, port.parse().unwrap())
            .pin(hub.pin().parse().unwrap())
            .store_file(hub.home.path(&format!("{user}.sqlite")));
        let (client, incoming) = client.start().await.unwrap();
        let room = "ward@rooms.hub.test".parse().unwrap();
        let options = JoinOptions::default();
        let nick = format!("Nurse {user}");
        let joined = client.rooms().join(room, &nick, options);
        let (room, messages) = joined.await.unwrap();
        (client, incoming, room, messages)
    };
    let (alice, _from_others, _room, mut messages) = start("alice").await;
    let (_bob, _from_others, room, _messages) = start("bob").await;
    room.say("bed 4 rings").await.unwrap();
    let message = messages.recv().await.unwrap();
    let received = message.into_received();
    alice.chat().commit(received).await.unwrap();
    let shown = hub.history("alice", &["ward@rooms.hub.test", "--room"]);
    assert!(
        shown.stdout.ends_with("Z  Nurse bob: bed 4 rings\n"),
        "{shown:?}"
    );
    let account = hub.history("alice", &["ward@rooms.hub.test"]);
    assert!(
        account.stdout.contains("  ward@rooms.hub.test: bed 4"),
        "{account:?}"
    );
}

#[test]
fn there_is_a_history_only_if_that_is_wanted_by_a_switch_or_always() {
    let hub = Hub::start();
    let _listener = hub.listener("bob", &[]);
    assert_eq!(hub.run("alice", "send --to bob@hub.test", &["a"]).code, 0);
    let empty = hub.history("alice", &[]);
    assert_eq!(empty.code, 0, "{empty:?}");
    assert!(empty.stdout.contains("--history"), "{empty:?}");

    let config = hub.home.path("config.toml");
    let (connect, pin) = (hub.address(), hub.pin());
    let text = format!(
        "jid = 'alice@hub.test'\nconnect = '{connect}'\npin = '{pin}'\n\
         store = 'alice.sqlite'\nhistory = true\n"
    );
    std::fs::write(&config, text).unwrap();
    let config = ["--config", "config.toml"];
    let all = [&["send", "--to", "bob@hub.test", "b"][..], &config].concat();
    assert_eq!(run(hub.home.command(PASSWORD, &all)).code, 0);
    let all = [&["history", "bob@hub.test", "--json"][..], &config].concat();
    let kept = run(hub.home.command("", &all));
    assert_eq!(bodies(&kept), ["b"]);
}
