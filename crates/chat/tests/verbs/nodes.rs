//! `stanchion pub` and `sub`.

use std::process::Stdio;

use serde_json::json;

use crate::common::{Ended, Running};
use crate::hub::Hub;

const NODE: [&str; 2] = ["pubsub.hub.test", "readings"];

impl Hub {
    fn publish(&self, item: &str, rest: &[&str]) -> Ended {
        self.run("alice", "pub", &[&NODE[..], &[item], rest].concat())
    }

    fn make(&self, item: &str) {
        let made = self.publish(item, &["--create", "--persist"]);
        assert_eq!((made.code, &*made.stderr), (0, ""), "{made:?}");
    }

    fn subscribe(&self, rest: &[&str]) -> Ended {
        self.run("bob", "sub", &[&NODE[..], rest].concat())
    }
}

#[test]
fn an_item_that_is_confirmed_is_printed_once() {
    let hub = Hub::start();
    hub.make("{\"celsius\": 21.50}");
    let xml = hub.publish("<c xmlns='urn:example'>22</c>", &["--json"]);
    assert_eq!((xml.code, &*xml.stderr), (0, ""), "{xml:?}");
    assert_eq!(xml.json()[0]["outcome"], "confirmed");

    let first = hub.subscribe(&["--count", "2"]);
    assert_eq!((first.code, &*first.stderr), (0, ""), "{first:?}");
    let lines: Vec<&str> = first.stdout.lines().collect();
    assert!(lines[0].ends_with(".1: {\"celsius\": 21.50}"), "{lines:?}");
    assert!(
        lines[1].ends_with(".2: <c xmlns='urn:example'>22</c>"),
        "{lines:?}"
    );

    let none = hub.subscribe(&["--count", "1", "--wait", "500ms"]);
    assert_eq!((none.code, &*none.stdout), (1, ""), "{none:?}");
    assert!(none.one_line().contains("0 of 1 items came"), "{none:?}");
    assert_eq!(hub.publish("[3]", &[]).code, 0);
    let next = hub.subscribe(&["--count", "1", "--json"]);
    let item = &next.json()[0];
    assert_eq!(item["event"], "item");
    assert_eq!(item["json"], json!([3]));
    assert_eq!(item["publisher"], "alice@hub.test");
}

#[test]
fn each_line_is_an_item_in_its_order_and_a_bad_one_is_told_in_its_place() {
    let hub = Hub::start();
    hub.make("0");
    let all = [&NODE[..], &["-"]].concat();
    let mut publisher = Running::start(hub.command("alice", "pub", &all));
    for number in 1..=300 {
        let item = match number {
            7 => "no item\n".to_owned(),
            _ => format!("{number}\n"),
        };
        publisher.write(&item);
    }
    let ended = publisher.end();
    assert_eq!(ended.code, 10, "{ended:?}");
    assert!(ended.one_line().contains("299 confirmed, 1 refused"));
    for (number, line) in (1..).zip(ended.stdout.lines()) {
        assert!(line.starts_with(&format!("line {number}: ")), "{line}");
        assert_eq!(line.contains("neither XML nor JSON"), number == 7, "{line}");
    }
    let printed = hub.subscribe(&["--count", "300"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    let numbers = printed.stdout.lines().map(|line| {
        let (_, number) = line.rsplit_once(' ').unwrap();
        number.parse::<u64>().unwrap()
    });
    let wanted: Vec<u64> = (0..=300).filter(|n| *n != 7).collect();
    assert_eq!(numbers.collect::<Vec<_>>(), wanted);
}

#[test]
fn a_node_that_is_not_there_is_told_with_what_to_do() {
    let hub = Hub::start();
    let refused = hub.publish("1", &[]);
    assert_eq!((refused.code, &*refused.stdout), (10, ""), "{refused:?}");
    assert!(refused.one_line().contains("--create"), "{refused:?}");
    let refused = hub.subscribe(&[]);
    assert_eq!(refused.code, 13, "{refused:?}");
    assert!(refused.one_line().contains("item-not-found"), "{refused:?}");
    for wrong in ["warm", "<a", ""] {
        let wrong = hub.publish(wrong, &[]);
        assert_eq!(wrong.code, 2, "{wrong:?}");
        assert!(wrong.one_line().contains("the item is"), "{wrong:?}");
    }
}

#[test]
fn what_is_not_confirmed_in_time_is_kept_and_said_to_be() {
    let hub = Hub::start();
    let all = ["nowhere.hub.test", "x", "1", "--within", "500ms"];
    let waiting = hub.run("alice", "pub", &all);
    assert_eq!((waiting.code, &*waiting.stdout), (11, ""), "{waiting:?}");
    assert!(waiting.one_line().contains("it is kept"), "{waiting:?}");
    assert!(waiting.one_line().contains("--give-up"), "{waiting:?}");
    let given_up = ["gave up 1 item\n", "gave up 0 items\n"];
    for told in given_up {
        let ended = hub.run("alice", "pub nowhere.hub.test x --give-up", &[]);
        assert_eq!((ended.code, &*ended.stdout), (0, told), "{ended:?}");
    }
}

#[test]
fn from_now_leaves_out_what_the_node_holds() {
    let hub = Hub::start();
    hub.make("\"old\"");
    let all = [&NODE[..], &["--from-now", "--count", "1"]].concat();
    let mut subscriber = Running::start(hub.command("bob", "sub", &all));
    // Nothing says when it is subscribed: a later item comes for certain.
    let all = [&NODE[..], &["-"]].concat();
    let mut publisher = Running::start(hub.command("alice", "pub", &all));
    let printed = std::thread::spawn(move || (subscriber.line(), subscriber.end()));
    while !printed.is_finished() {
        publisher.write("\"new\"\n");
        assert!(publisher.line().contains("published as"));
    }
    let (line, ended) = printed.join().unwrap();
    assert!(line.ends_with(": \"new\""), "{line}");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(publisher.end().code, 0);
}

#[test]
fn an_item_that_nobody_read_comes_again() {
    let hub = Hub::start();
    hub.make("1");
    let mut unread = hub.command("bob", "sub", &NODE);
    unread.stdout(Stdio::piped()).stdin(Stdio::null());
    let mut child = unread.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let again = hub.subscribe(&["--count", "1"]);
    assert!(again.stdout.ends_with(".1: 1\n"), "{again:?}");
}

#[test]
fn a_subscription_that_was_ended_is_ended() {
    let hub = Hub::start();
    hub.make("1");
    assert_eq!(hub.subscribe(&["--count", "1"]).code, 0);
    let ended = hub.subscribe(&["--unsubscribe", "--json"]);
    assert_eq!(ended.json()[0]["event"], "unsubscribed", "{ended:?}");
    let again = hub.subscribe(&["--unsubscribe"]);
    assert_eq!(again.code, 13, "{again:?}");
    again.one_line();
}

#[test]
fn our_own_account_is_a_service_too() {
    let hub = Hub::start();
    let all = [
        "me",
        "urn:example:mood",
        "\"glad\"",
        "--create",
        "--id",
        "current",
    ];
    let published = hub.run("alice", "pub", &all);
    assert_eq!(
        published.stdout.split(" (").next(),
        Some("published as current")
    );
    for service in ["me", "alice@hub.test"] {
        let all = [service, "urn:example:mood", "--wait", "1s"];
        let read = hub.run("alice", "sub", &all);
        // The same place by both names: printed at the first.
        let wanted = if service == "me" {
            "current: \"glad\"\n"
        } else {
            ""
        };
        assert_eq!(
            (read.code, &*read.stdout),
            (0, wanted),
            "{service} {read:?}"
        );
    }
}
