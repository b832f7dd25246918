//! `stanchion outbox` and `stanchion inbox` on real store files: what a person sees of
//! them, beside a live owner too, and what becomes of what was steered.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Ended, Home, Running, run, words};
use serde_json::Value;
use stanchion::reliability::store::{
    InboundKey, NewInbound, Op, OpResult, Opening, OutboundRecord, OutboundState, Seed,
    SqliteStore, Store, WallTime,
};

const STORE: &str = "box.sqlite";
const PASSWORD: &str = "correct-horse";

fn now(seconds: i64) -> WallTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    WallTime::from_unix_ms(i64::try_from(now.as_millis()).unwrap() + seconds * 1000)
}

/// A message to bob that was accepted ten minutes ago.
fn to_bob(seq: u64, id: &str) -> OutboundRecord {
    message(seq, id, "bob@hub.test")
}

fn message(seq: u64, id: &str, to: &str) -> OutboundRecord {
    let stanza = format!(
        "<message xmlns='jabber:client' type='chat' to='{to}' id='{id}'><body>text of \
         {id}\nline 2</body><origin-id xmlns='urn:xmpp:sid:0' id='{id}'/><request \
         xmlns='urn:xmpp:receipts'/></message>"
    );
    OutboundRecord {
        seq,
        id: id.to_owned(),
        to: to.to_owned(),
        channel: String::new(),
        stanza: stanza.into_bytes().into(),
        accepted_at: now(-600),
        deadline: None,
        protection: 0,
        state: OutboundState::Accepted,
        attempts: 0,
        updated_at: now(-600),
        boot: 1,
        place: 0,
        prev: None,
    }
}

fn in_doubt(open: bool) -> OutboundState {
    OutboundState::InDoubt {
        reason: "no-receipt resource-constraint".into(),
        open,
    }
}

/// A message from bob that arrived ten minutes ago.
fn from_bob(id: &str) -> Op {
    let stanza = format!(
        "<message xmlns='jabber:client' type='chat' from='bob@hub.test/x' id='{id}'><body>text \
         of {id}</body><request xmlns='urn:xmpp:receipts'/></message>"
    );
    Op::PutInbound(NewInbound {
        key: key(id),
        from_full: "bob@hub.test/x".to_owned(),
        stanza: stanza.into_bytes().into(),
        received_at: now(-600),
        handed: false,
    })
}

fn key(id: &str) -> InboundKey {
    InboundKey::new("bob@hub.test", format!("o {id}"))
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, &Opening::new(Seed::from_os().unwrap(), now(0))).unwrap()
}

/// Does what a session would have done.
fn change(store: &SqliteStore, ops: Vec<Op>) -> Vec<OpResult> {
    let mut ticket = store.submit(ops).unwrap();
    loop {
        match ticket.try_take() {
            Some(done) => return done.unwrap().results,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn home(ops: Vec<Op>) -> Home {
    let home = Home::new();
    change(&open(&home.path(STORE)), ops);
    home
}

fn stanchion(home: &Home, line: &str) -> Ended {
    let mut command = home.command("", &words(line));
    command.env_remove("STANCHION_PASSWORD");
    run(command)
}

#[track_caller]
fn done(ended: &Ended) -> &str {
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    &ended.stdout
}

#[track_caller]
fn refused(ended: &Ended, code: i32, told: &str) {
    assert_eq!((ended.code, &*ended.stdout), (code, ""), "{ended:?}");
    assert!(ended.one_line().contains(told), "{ended:?}");
}

/// One message of each kind, in this order.
fn outbox() -> Vec<Op> {
    let mut waits = to_bob(1, "waits");
    waits.deadline = Some(now(3600));
    waits.channel = "alarm".to_owned();
    waits.attempts = 2;
    let mut overdue = message(2, "overdue", "carol@hub.test");
    overdue.deadline = Some(now(-300));
    let mut doubtful = to_bob(3, "doubtful");
    (doubtful.state, doubtful.deadline) = (in_doubt(true), Some(now(-300)));
    let mut given_up = to_bob(4, "given-up");
    given_up.state = in_doubt(false);
    let mut expired = to_bob(5, "expired");
    expired.state = OutboundState::NotDelivered {
        reason: "expired".into(),
    };
    let mut old = to_bob(6, "old");
    (old.state, old.updated_at) = (OutboundState::Acknowledged, now(-8 * 86_400));
    let all = [waits, overdue, doubtful, given_up, expired, old];
    all.map(Op::PutOutbound).into()
}

fn ids(ended: &Ended) -> Vec<String> {
    let id = |message: &Value| message["id"].as_str().unwrap().to_owned();
    ended.json().iter().map(id).collect()
}

#[test]
fn a_person_sees_what_is_stuck_and_why() {
    let home = home(outbox());
    let listed = stanchion(&home, "outbox list --store box.sqlite");
    let all: String = done(&listed).split_whitespace().collect();
    for told in [
        "waits",
        "channelalarm",
        "10minold",
        "59minleft",
        "2tries",
        "tocarol@",
        "5minoverdue",
        "noreceiptcamein",
        "resource-constraint",
    ] {
        assert!(all.contains(told), "{told}: {}", listed.stdout);
    }
    assert!(!all.contains("expired"), "{}", listed.stdout);
    assert!(listed.stdout.lines().all(|l| l.chars().count() <= 80));

    let list = |rest: &str| {
        stanchion(
            &home,
            &format!("outbox list --store box.sqlite --json {rest}"),
        )
    };
    assert_eq!(ids(&list("")), ["waits", "overdue", "doubtful"]);
    assert_eq!(ids(&list("--state final")), ["given-up", "expired", "old"]);
    assert_eq!(ids(&list("--state all --to carol@HUB.test")), ["overdue"]);
    let first = list("--state all --limit 2");
    assert_eq!(ids(&first), ["waits", "overdue"]);
    assert!(first.stderr.contains("--after 2"), "{first:?}");
    let rest = list("--state all --limit 10 --after 2");
    assert_eq!((ids(&rest).len(), &*rest.stderr), (4, ""));

    let json = list("--state all").json();
    assert_eq!(json[0]["state"], "accepted");
    assert_eq!(json[0]["attempts"], 2);
    let left = json[0]["left_s"].as_f64().unwrap();
    assert!((3500.0..3600.0).contains(&left), "{left}");
    assert!(json[1]["left_s"].as_f64().unwrap() < -299.0);
    assert_eq!(json[2]["reason"], "no-receipt resource-constraint");
    assert_eq!(
        (&json[2]["final"], &json[3]["final"]),
        (&false.into(), &true.into())
    );
    assert!(
        json[4]["detail"]
            .as_str()
            .unwrap()
            .contains("its time was over")
    );

    for name in ["doubtful", "3"] {
        let shown = stanchion(&home, &format!("outbox show {name} --store box.sqlite"));
        let shown = done(&shown);
        for told in [
            "to:         bob@hub.test",
            "\n  text of doubtful\n  line 2\n",
            "<message ",
        ] {
            assert!(shown.contains(told), "{told}: {shown}");
        }
    }
    let shown = stanchion(&home, "outbox show waits --json --store box.sqlite").json();
    assert_eq!(shown[0]["body"], "text of waits\nline 2");
    assert_eq!(shown[0]["protection"], "authenticated");
}

#[test]
fn a_look_works_beside_a_live_owner_and_a_change_says_whom_to_end() {
    let home = home(outbox());
    change(&open(&home.path(STORE)), vec![from_bob("i1")]);
    let owner = open(&home.path(STORE));
    change(&owner, vec![Op::PutOutbound(to_bob(7, "new"))]);
    let listed = stanchion(&home, "outbox list --json --store box.sqlite");
    assert_eq!(ids(&listed), ["waits", "overdue", "doubtful", "new"]);
    done(&stanchion(&home, "outbox show new --store box.sqlite"));
    assert_eq!(
        ids(&stanchion(&home, "inbox list --json --store box.sqlite")),
        ["i1"]
    );
    done(&stanchion(&home, "inbox show 1 --store box.sqlite"));
    for verb in [
        "outbox retry waits",
        "outbox cancel waits",
        "outbox purge --older-than 1s",
        "inbox retry 1",
        "inbox purge --older-than 1s",
    ] {
        let ended = stanchion(&home, &format!("{verb} --store box.sqlite"));
        refused(&ended, 1, "end that command");
    }
    drop(owner);
    done(&stanchion(&home, "outbox cancel waits --store box.sqlite"));
}

#[test]
fn what_is_final_stays_and_what_is_not_there_is_not_made() {
    let home = home(outbox());
    for verb in ["retry", "cancel"] {
        for id in ["given-up", "expired", "old"] {
            let ended = stanchion(&home, &format!("outbox {verb} {id} --store box.sqlite"));
            let advice = match id {
                "given-up" => "both take effect",
                _ => "send its text anew",
            };
            refused(&ended, 2, advice);
        }
        let ended = stanchion(&home, &format!("outbox {verb} nobody --store box.sqlite"));
        refused(&ended, 2, "no message nobody");
    }
    refused(
        &stanchion(&home, "outbox show 7 --store box.sqlite"),
        2,
        "no message 7",
    );
    refused(
        &stanchion(&home, "inbox show 0 --store box.sqlite"),
        2,
        "no message 0",
    );
    for line in [
        "outbox list",
        "outbox purge --older-than 1d",
        "inbox retry 1",
    ] {
        let ended = stanchion(&home, &format!("{line} --store none.sqlite"));
        refused(&ended, 2, "none.sqlite");
    }
    refused(
        &stanchion(&home, "inbox list --jid a@b.example"),
        2,
        "a@b.example.sqlite",
    );
    assert!(!home.path("none.sqlite").exists() && !home.path("data").exists());
    std::fs::write(home.path("notes.txt"), "Buy milk.\n".repeat(100)).unwrap();
    let ended = stanchion(&home, "outbox list --store notes.txt");
    refused(&ended, 1, "not a Stanchion store");
}

#[test]
fn what_is_given_up_is_in_doubt_for_good_and_never_called_undelivered() {
    let home = home(outbox());
    for id in ["waits", "doubtful"] {
        let ended = stanchion(&home, &format!("outbox cancel {id} --store box.sqlite"));
        assert!(done(&ended).contains("may have sent it"), "{ended:?}");
        let shown = stanchion(
            &home,
            &format!("outbox show {id} --json --store box.sqlite"),
        );
        let message = &shown.json()[0];
        assert_eq!(
            (&message["state"], &message["final"]),
            (&"in-doubt".into(), &true.into())
        );
        assert_eq!(message["reason"], "cancelled");
    }
    let waiting = stanchion(&home, "outbox list --json --store box.sqlite");
    assert_eq!(ids(&waiting), ["overdue"]);
}

#[test]
fn purging_removes_what_is_final_and_old_and_nothing_else() {
    let home = home(outbox());
    let purge = |age: &str| {
        let line = format!("outbox purge --older-than {age} --json --store box.sqlite");
        stanchion(&home, &line).json()[0]["messages"].clone()
    };
    assert_eq!(purge("7d"), 1);
    assert_eq!(purge("7d"), 0);
    assert_eq!(purge("1m"), 2);
    let left = stanchion(&home, "outbox list --state all --json --store box.sqlite");
    assert_eq!(ids(&left), ["waits", "overdue", "doubtful"]);
    let ended = stanchion(&home, "outbox purge --older-than 1s --store box.sqlite");
    assert_eq!(done(&ended), "removed 0 messages\n");
}

/// A hub with the accounts `alice` and `bob`.
struct Hub {
    _process: Running,
    access: String,
}

impl Hub {
    fn start(home: &Home) -> Self {
        let line = format!(
            "hub --json --domain hub.test --starttls 127.0.0.1:0 --user alice:{PASSWORD} --user \
             bob:{PASSWORD}"
        );
        let mut process = Running::start(home.command("", &words(&line)));
        let ready: Value = serde_json::from_str(&process.line()).unwrap();
        let access = format!(
            "--connect {} --pin {}",
            ready["starttls"].as_str().unwrap(),
            ready["fingerprint"].as_str().unwrap()
        );
        Self {
            _process: process,
            access,
        }
    }

    fn command(&self, home: &Home, line: &str) -> std::process::Command {
        home.command(PASSWORD, &words(&format!("{line} {}", self.access)))
    }
}

#[test]
fn a_message_that_gets_more_time_is_sent_by_the_next_session() {
    let home = home(outbox());
    let hub = Hub::start(&home);
    done(&stanchion(&home, "outbox cancel waits --store box.sqlite"));
    let retry = "outbox retry overdue --within 2m --store box.sqlite";
    refused(
        &stanchion(
            &home,
            "outbox retry overdue --within soon --store box.sqlite",
        ),
        2,
        "10s",
    );
    let retried = stanchion(&home, retry);
    assert!(done(&retried).contains("2 min left"), "{retried:?}");
    let doubtful = stanchion(
        &home,
        "outbox retry doubtful --within 2m --store box.sqlite",
    );
    assert!(done(&doubtful).contains("same id"), "{doubtful:?}");
    let shown = stanchion(&home, "outbox show doubtful --json --store box.sqlite").json();
    assert_eq!(shown[0]["state"], "accepted");

    // `overdue` goes to nobody that is there; the others arrive in their order, once each.
    let listen = hub.command(
        &home,
        "listen --jid bob@hub.test --json --store bob.sqlite --count 2",
    );
    let mut listener = Running::start(listen);
    let send = "send --jid alice@hub.test --store box.sqlite --to bob@hub.test later";
    done(&run(hub.command(&home, send)));
    for (id, body) in [
        (Some("doubtful"), "text of doubtful\nline 2"),
        (None, "later"),
    ] {
        let line: Value = serde_json::from_str(&listener.line()).unwrap();
        assert_eq!(line["body"], body);
        assert!(id.is_none_or(|id| line["id"] == id), "{line}");
    }
    assert_eq!(listener.end().code, 0);
    let all = stanchion(&home, "outbox list --state final --json --store box.sqlite").json();
    let of = |id: &str| all.iter().find(|m| m["id"] == id).unwrap()["state"].clone();
    assert_eq!(of("waits"), "in-doubt");
    assert!(["acknowledged", "delivered"].contains(&of("doubtful").as_str().unwrap()));
}

#[test]
fn a_message_that_was_not_committed_is_handed_over_again_and_one_that_was_never_is() {
    let home = Home::new();
    let hub = Hub::start(&home);
    let path = home.path("data/stanchion");
    std::fs::create_dir_all(&path).unwrap();
    // Where `listen --jid` looks by itself.
    let store = open(&path.join("alice@hub.test.sqlite"));
    let handed = || Op::MarkHanded {
        key: key("i1"),
        at: now(-500),
    };
    change(&store, vec![from_bob("i1"), handed(), handed(), handed()]);
    change(&store, vec![from_bob("i2")]);
    drop(store);

    let listed = stanchion(&home, "inbox list --jid alice@hub.test");
    let all: String = done(&listed).split_whitespace().collect();
    for told in [
        "i1",
        "frombob@hub.test/x",
        "begun3times",
        "10minold",
        "nothandedover",
    ] {
        assert!(all.contains(told), "{told}: {}", listed.stdout);
    }
    let shown = stanchion(&home, "inbox show 1 --jid alice@hub.test");
    assert!(done(&shown).contains("\n  text of i1\n"), "{shown:?}");
    let ended = stanchion(&home, "inbox retry 1 --jid alice@hub.test");
    assert!(done(&ended).contains("may have acted on"), "{ended:?}");
    let retried = stanchion(&home, "inbox list --json --jid alice@hub.test").json();
    assert_eq!(
        (&retried[0]["state"], &retried[0]["handed_over"]),
        (&"handed".into(), &1.into())
    );
    assert!(done(&stanchion(&home, "inbox retry 2 --jid alice@hub.test")).contains("its turn"));

    let mut listener = Running::start(hub.command(&home, "listen --jid alice@hub.test --count 2"));
    assert_eq!(listener.line(), "bob@hub.test/x (maybe again): text of i1");
    listener.line();
    assert_eq!(listener.end().code, 0);

    let none = stanchion(&home, "inbox list --jid alice@hub.test");
    assert!(done(&none).contains("no message waits"), "{none:?}");
    refused(
        &stanchion(&home, "inbox retry 1 --jid alice@hub.test"),
        2,
        "take effect twice",
    );
    let kept = stanchion(&home, "inbox purge --older-than 1d --jid alice@hub.test");
    assert!(done(&kept).starts_with("removed 0 texts"), "{kept:?}");
    let purged = stanchion(
        &home,
        "inbox purge --older-than 0s --json --jid alice@hub.test",
    );
    assert_eq!(purged.json()[0]["texts"], 2);
    let all = stanchion(&home, "inbox list --state all --json --jid alice@hub.test").json();
    assert_eq!((all.len(), &all[0]["bytes"]), (2, &Value::Null));
    // A copy is still known as one.
    let store = open(&path.join("alice@hub.test.sqlite"));
    let again = change(&store, vec![from_bob("i1")]);
    assert!(matches!(
        again[..],
        [OpResult::Duplicate { arrival: 1, .. }]
    ));
}
