//! The command from end to end, against the hub that it brings. Real servers are in
//! `interop.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Ended, Home, LIMIT, Running, eventually, run, signal, word, words};
use serde_json::{Value, json};
use stanchion::Client;
use stanchion::session::Status;

const PASSWORD: &str = "correct-horse";

/// A hub in a process of its own, with the accounts `alice`, `bob` and `carol`.
struct Hub {
    home: Home,
    process: Running,
    ready: Value,
}

impl Hub {
    fn start() -> Self {
        Self::start_in(Home::new(), "127.0.0.1:0")
    }

    fn start_in(home: Home, starttls: &str) -> Self {
        let mut hub = words("hub --json --domain hub.test --direct-tls 127.0.0.1:0 --state hub");
        let users = ["alice", "bob", "carol"].map(|u| format!("{u}:{PASSWORD}"));
        hub.extend(["--starttls", starttls]);
        for user in &users {
            hub.extend(["--user", user]);
        }
        let mut process = Running::start(home.command("", &hub));
        let ready = serde_json::from_str(&process.line()).unwrap();
        Self {
            home,
            process,
            ready,
        }
    }

    /// A crash and a new start on the same port.
    fn kill_and_start_again(self) -> Self {
        let starttls = self.address("starttls").to_owned();
        self.process.signal("KILL");
        drop(self.process);
        Self::start_in(self.home, &starttls)
    }

    fn address(&self, mode: &str) -> &str {
        self.ready[mode].as_str().unwrap()
    }

    fn fingerprint(&self) -> &str {
        self.ready["fingerprint"].as_str().unwrap()
    }

    /// A command of an account, which has a store of its own.
    fn command(&self, verb: &str, user: &str, rest: &[&str]) -> Command {
        let jid = format!("{user}@hub.test");
        let store = format!("{user}.sqlite");
        let mut all = vec![verb, "--jid", &jid, "--store", &store];
        all.extend(["--connect", self.address("starttls")]);
        all.extend(["--pin", self.fingerprint()]);
        all.extend(rest);
        self.home.command(PASSWORD, &all)
    }

    fn send(&self, rest: &[&str]) -> Ended {
        run(self.command("send", "alice", rest))
    }

    /// A listener that is connected; its first message has been received.
    fn listener(&self, user: &str, rest: &[&str]) -> Running {
        let mut listener = Running::start(self.command("listen", user, rest));
        let to = format!("{user}@hub.test");
        // Kept for it, if it is not connected yet.
        let first = run(self.command("send", "carol", &["--to", &to, "first"]));
        assert_eq!(first.code, 0, "{first:?}");
        assert!(listener.line().contains("first"));
        listener
    }
}

#[test]
fn a_message_that_was_printed_is_acknowledged_and_ends_with_0() {
    let hub = Hub::start();
    let mut listener = hub.listener("bob", &["--count", "3"]);
    let sent = hub.send(&["--to", "bob@hub.test", "21.5"]);
    assert_eq!(sent.code, 0, "{sent:?}");
    assert!(
        sent.stdout.starts_with("delivered to bob@hub.test/"),
        "{sent:?}"
    );
    assert_eq!(sent.stderr, "");
    let line = listener.line();
    assert!(
        line.starts_with("alice@hub.test/") && line.ends_with(": 21.5"),
        "{line}"
    );

    let direct = [
        "--to",
        "bob@hub.test",
        "--json",
        "--direct-tls",
        "--connect",
    ];
    let jid = [
        "send",
        "--jid",
        "alice@hub.test",
        "--pin",
        hub.fingerprint(),
    ];
    let all = [&jid[..], &direct, &[hub.address("direct_tls"), "-3.5"]].concat();
    let sent = run(hub.home.command(PASSWORD, &all));
    assert_eq!(sent.code, 0, "{sent:?}");
    let [outcome] = &sent.json()[..] else {
        panic!("{sent:?}")
    };
    assert_eq!(outcome["outcome"], "delivered");
    assert_eq!(outcome["to"], "bob@hub.test");
    assert!(listener.line().ends_with(": -3.5"));
    let listened = listener.end();
    assert_eq!((listened.code, &*listened.stderr), (0, ""));
}

#[test]
fn each_of_1000_lines_arrives_once_and_in_order() {
    let hub = Hub::start();
    let mut listener = hub.listener("bob", &["--count", "1001", "--json"]);
    let mut sender =
        Running::start(hub.command("send", "alice", &["--to", "bob@hub.test", "--json", "-"]));
    for number in 1..=1000 {
        sender.write(&format!("line {number}\n"));
    }
    let sent = sender.end();
    assert_eq!((sent.code, &*sent.stderr), (0, ""));
    let lines: BTreeSet<u64> = sent
        .json()
        .iter()
        .map(|o| o["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, (1..=1000).collect());
    assert!(sent.json().iter().all(|o| o["outcome"] == "delivered"));
    for number in 1..=1000 {
        let message: Value = serde_json::from_str(&listener.line()).unwrap();
        assert_eq!(message["body"], format!("line {number}"));
        assert_eq!(message["maybe_redelivered"], false);
    }
    assert_eq!(listener.end().code, 0);
}

#[test]
fn an_outcome_is_told_while_the_input_is_idle_and_an_interrupt_ends_well() {
    let hub = Hub::start();
    let _listener = hub.listener("bob", &[]);
    let mut sender = Running::start(hub.command("send", "alice", &["--to", "bob@hub.test", "-"]));
    for number in 1..=2 {
        sender.write("typed\n");
        let told = sender.line();
        assert!(
            told.starts_with(&format!("line {number}: delivered")),
            "{told}"
        );
    }
    sender.signal("INT");
    let ended = sender.end_with_open_input();
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
}

#[test]
fn a_line_that_cannot_be_sent_is_told_and_the_others_go_on() {
    let hub = Hub::start();
    let mut listener = hub.listener("bob", &["--count", "4"]);
    let mut sender =
        Running::start(hub.command("send", "alice", &["--to", "bob@hub.test", "--json", "-"]));
    let huge = "x".repeat(400_000);
    let longer = "x".repeat(1_000_000);
    sender.write(&format!("one\na\u{1}b\n{huge}\ntwo\n{longer}\nthree"));
    let sent = sender.end();
    assert_eq!(sent.code, 10, "{sent:?}");
    assert!(
        sent.one_line()
            .contains("3 delivered, 0 acknowledged, 3 not delivered, 0 in doubt")
    );
    let lost: BTreeSet<u64> = sent
        .json()
        .iter()
        .filter(|o| o["outcome"] == "not-delivered")
        .map(|o| o["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lost, BTreeSet::from([2, 3, 5]));
    for body in ["one", "two", "three"] {
        assert!(listener.line().ends_with(body));
    }
    assert_eq!(listener.end().code, 0);

    // A single text is the caller's mistake.
    for text in ["a\u{1}b", &"x".repeat(100_000).replace('x', "&")] {
        let sent = hub.send(&["--to", "bob@hub.test", text]);
        assert_eq!(sent.code, 2, "{sent:?}");
        sent.one_line();
    }
}

#[test]
fn a_message_without_receipt_is_in_doubt_when_its_time_is_over() {
    let hub = Hub::start();
    for to in ["bob@hub.test", "nobody@hub.test", "bob@elsewhere.test"] {
        let sent = hub.send(&["--to", to, "--timeout", "1s", "x"]);
        assert_eq!(sent.code, 11, "{sent:?}");
        assert_eq!(sent.stdout, "");
        assert!(sent.one_line().contains("ask the recipient"), "{sent:?}");
        let took = sent.took.as_secs_f64();
        assert!((1.0..3.0).contains(&took), "{took}");
    }
}

#[test]
fn what_was_never_transmitted_is_not_delivered_and_not_in_doubt() {
    let hub = Hub::start();
    let _listener = hub.listener("bob", &[]);
    let all = ["--to", "bob@hub.test", "--timeout", "1s", "--json", "-"];
    let mut sender = Running::start(hub.command("send", "alice", &all));
    let mut outcome_of = |text: &str| {
        sender.write(text);
        let line: Value = serde_json::from_str(&sender.line()).unwrap();
        line["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(outcome_of("there\n"), "delivered");
    hub.process.signal("KILL");
    // It may be on its way when the loss is noticed, but its successor cannot be.
    outcome_of("perhaps\n");
    assert_eq!(outcome_of("never\n"), "not-delivered");
}

#[test]
fn without_a_connection_in_time_nothing_is_kept() {
    let hub = Hub::start();
    let mut listener = hub.listener("bob", &[]);
    // Nobody listens at the one, and at the other nobody answers.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = (silent.local_addr().unwrap(), silent);
    for (address, why) in [(closed, "nothing listens"), (silent.0, "no answer within")] {
        let all = [
            "--to",
            "bob@hub.test",
            "--timeout",
            "1s",
            "lost",
            "--connect",
        ];
        let mut send = words("send --jid alice@hub.test --store alice.sqlite");
        let address = address.to_string();
        send.extend(all);
        send.push(&address);
        let sent = run(hub.home.command(PASSWORD, &send));
        assert_eq!(sent.code, 12, "{sent:?}");
        assert!(
            sent.one_line().contains("no connection within 1s"),
            "{sent:?}"
        );
        assert!(sent.one_line().contains(why), "{sent:?}");
        let took = sent.took.as_secs_f64();
        assert!((1.0..2.5).contains(&took), "{took}");
    }
    assert_eq!(hub.send(&["--to", "bob@hub.test", "second"]).code, 0);
    assert!(listener.line().ends_with("second"));
}

#[test]
fn what_waiting_does_not_mend_is_refused_at_once() {
    let hub = Hub::start();
    let to = ["--to", "bob@hub.test", "--timeout", "60s", "x"];
    let mut wrong_password = hub.command("send", "alice", &to);
    wrong_password.env("STANCHION_PASSWORD", "wrong");
    let other = format!("00{}", &hub.fingerprint()[2..]);
    let base = ["send", "--connect", hub.address("starttls"), "--jid"];
    let send = |rest: &[&str]| {
        let all = [&base[..], rest, &to].concat();
        hub.home.command(PASSWORD, &all)
    };
    let cases = [
        (wrong_password, 13, "password"),
        (send(&["alice@hub.test"]), 13, "pin"),
        (send(&["alice@hub.test", "--pin", &other]), 13, "pinned"),
        (
            send(&["alice@other.test", "--pin", hub.fingerprint()]),
            12,
            "does not serve",
        ),
        (
            send(&["alice@hub.test", "--direct-tls", "--pin", &other]),
            13,
            "STARTTLS",
        ),
    ];
    for (command, code, advice) in cases {
        let sent = run(command);
        assert_eq!(sent.code, code, "{sent:?}");
        assert!(sent.one_line().contains(advice), "{sent:?}");
        assert!(sent.took < Duration::from_secs(20), "{sent:?}");
        assert_eq!(sent.stdout, "");
    }
}

#[test]
fn an_interrupt_before_there_is_a_connection_ends_at_once_and_nothing_was_sent() {
    let home = Home::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    for (verb, code) in [("send", 10), ("listen", 0), ("doctor", 12)] {
        let mut all = vec![verb, "--jid", "alice@hub.test", "--connect", &address];
        if verb == "send" {
            all.extend(["--to", "bob@hub.test", "-"]);
        }
        let mut command = Running::start(home.command(PASSWORD, &all));
        // It connects, so it handles signals by now.
        let _connection = silent.accept().unwrap();
        command.signal("TERM");
        let ended = command.end_with_open_input();
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.took < LIMIT / 4, "{ended:?}");
    }
}

#[test]
fn a_store_is_for_one_command_at_a_time_and_the_message_says_so() {
    let hub = Hub::start();
    let _listener = hub.listener("bob", &[]);
    let second = run(hub.command("listen", "bob", &[]));
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.one_line().contains("--store"), "{second:?}");

    let file = hub.home.path("alice.sqlite");
    std::fs::write(&file, "not a store").unwrap();
    #[cfg(unix)]
    {
        // Others must not be able to read it, whatever it is.
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let unreadable = hub.send(&["--to", "bob@hub.test", "x"]);
    assert_eq!(unreadable.code, 1, "{unreadable:?}");
    assert!(
        unreadable.one_line().contains("alice.sqlite"),
        "{unreadable:?}"
    );
}

#[test]
fn a_wrong_command_line_ends_with_2_and_one_line() {
    let home = Home::new();
    for line in [
        "send",
        "sned",
        "send --jid a@b.test --to b@b.test --tmieout=3s",
        "send --jid a@b.test --to b@b.test --timeout 10 x",
        "send --jid b.test --to b@b.test x",
        "send --jid a@b.test/r --to b@b.test x",
        "send --to b@b.test x",
        "send --jid a@b.test --to b@b.test --connect host x",
        "send --jid a@b.test --to b@b.test --pin 00 x",
        "send --jid a@b.test --to b@b.test --direct-tls x",
        "send --jid a@b.test --to b@b.test --connect ws://127.0.0.1:1/x x",
        "send --jid a@b.test --to b@b.test --connect https://b.test:443 x",
        "send --jid a@b.test --to b@b.test --ca none.pem x",
        "listen --jid a@b.test --count 0",
        "listen --jid a@b.test --config none.toml",
        "hub",
        "hub --user alice",
        "demo --messages 0",
        "demo --server h:1",
    ] {
        let ended = run(home.command(PASSWORD, &words(line)));
        assert_eq!(ended.code, 2, "{line}: {ended:?}");
        assert_eq!(ended.stdout, "", "{line}");
        ended.one_line();
    }
    let mut without = home.command("", &words("listen --jid a@b.test"));
    let ended = run({
        without.env_remove("STANCHION_PASSWORD");
        without
    });
    assert_eq!(ended.code, 2);
    assert!(ended.one_line().contains("STANCHION_PASSWORD"));
}

#[test]
fn help_fits_80_columns() {
    let home = Home::new();
    for verb in ["", "send", "listen", "doctor", "demo", "hub"] {
        let ended = run(home.command("", &words(&format!("{verb} --help"))));
        assert_eq!((ended.code, &*ended.stderr), (0, ""), "{verb}");
        for line in ended.stdout.lines() {
            assert!(line.chars().count() <= 80, "{verb}: {line}");
        }
    }
}

#[test]
fn a_password_is_in_no_log() {
    let hub = Hub::start();
    let mut listener = hub.listener("bob", &["--count", "2"]);
    let mut loud = hub.command("send", "alice", &["--to", "bob@hub.test", "-vv", "x"]);
    loud.env("STANCHION_LOG", "trace");
    let sent = run(loud);
    assert_eq!(sent.code, 0, "{sent:?}");
    assert!(sent.stderr.contains("connected"), "{sent:?}");
    assert!(!sent.stderr.contains(PASSWORD), "{sent:?}");
    listener.line();
    assert_eq!(listener.end().code, 0);
}

#[test]
fn text_of_strangers_cannot_control_the_terminal() {
    let hub = Hub::start();
    let text = "a\u{9b}2Jb\u{202e}c\td\ne";
    let mut plain = hub.listener("bob", &["--count", "2"]);
    assert_eq!(hub.send(&["--to", "bob@hub.test", text]).code, 0);
    let line = plain.line();
    assert!(line.ends_with(r": a\u{9b}2Jb\u{202e}c	d\ne"), "{line}");
    assert_eq!(plain.end().code, 0);

    let mut json = hub.listener("bob", &["--count", "2", "--json"]);
    assert_eq!(hub.send(&["--to", "bob@hub.test", text]).code, 0);
    let line = json.line();
    assert!(!line.contains(['\u{9b}', '\u{202e}']), "{line}");
    let message: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(message["body"], text);
    assert_eq!(json.end().code, 0);
}

#[test]
fn a_message_that_nobody_could_read_is_not_acknowledged_and_comes_again() {
    let hub = Hub::start();
    let mut command = hub.command("listen", "bob", &["--json"]);
    let mut unread = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(unread.stdout.take());
    let mut sender = Running::start(hub.command("send", "alice", &["--to", "bob@hub.test", "x"]));
    // It ends quietly with its reader, as soon as it has something to say.
    let mut complaint = String::new();
    unread
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut complaint)
        .unwrap();
    assert_eq!((unread.wait().unwrap().code(), &*complaint), (Some(0), ""));

    let mut read = Running::start(hub.command("listen", "bob", &["--json", "--count", "1"]));
    let message: Value = serde_json::from_str(&read.line()).unwrap();
    assert_eq!(message["body"], "x");
    assert_eq!(message["maybe_redelivered"], true);
    assert_eq!(read.end().code, 0);
    assert!(sender.line().starts_with("delivered"));
    assert_eq!(sender.end().code, 0);
}

#[test]
fn the_exit_tells_the_worst_although_nobody_reads_the_outcomes() {
    let hub = Hub::start();
    let all = ["--to", "bob@hub.test", "--timeout", "1s", "-"];
    let mut command = hub.command("send", "alice", &all);
    let mut sender = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(sender.stdout.take());
    use std::io::Write as _;
    sender.stdin.take().unwrap().write_all(b"a\nb\n").unwrap();
    let ended = sender.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(11));
    let complaint = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains("2 in doubt"), "{complaint}");
}

#[test]
fn a_killed_hub_keeps_its_certificate_and_what_waits_for_the_absent() {
    let hub = Hub::start();
    let before = hub.fingerprint().to_owned();
    let words = ["--to", "bob@hub.test", "--timeout", "90s", "patience"];
    let sender = Running::start(hub.command("send", "alice", &words));
    let kept = hub.home.path("hub/offline.xml");
    eventually("the hub keeps the message", || {
        std::fs::read_to_string(&kept).is_ok_and(|text| text.contains("patience"))
    });
    // It cannot send it again.
    sender.signal("KILL");
    let hub = hub.kill_and_start_again();
    assert_eq!(hub.fingerprint(), before);
    let mut listener = Running::start(hub.command("listen", "bob", &["--count", "1"]));
    assert!(listener.line().ends_with("patience"));
    assert_eq!(listener.end().code, 0);
}

#[test]
fn lines_arrive_once_although_the_server_is_killed_between_them() {
    let mut hub = Hub::start();
    let mut listener = hub.listener("bob", &["--json"]);
    let mut sender =
        Running::start(hub.command("send", "alice", &["--to", "bob@hub.test", "--json", "-"]));
    for round in 0..3 {
        for line in 0..20 {
            sender.write(&format!("{round}/{line}\n"));
        }
        // In mid-stream: some are acknowledged, and others are not.
        sender.line();
        if round < 2 {
            hub = hub.kill_and_start_again();
        }
    }
    let sent = sender.end();
    assert_eq!(sent.code, 0, "{sent:?}");
    let mut bodies = BTreeSet::new();
    while bodies.len() < 60 {
        let message: Value = serde_json::from_str(&listener.line()).unwrap();
        let body = message["body"].as_str().unwrap().to_owned();
        assert!(bodies.insert(body), "a second time: {message}");
    }
}

#[test]
fn a_hub_says_that_its_port_is_taken() {
    let hub = Hub::start();
    let all = [
        "hub",
        "--user",
        "a:b",
        "--starttls",
        hub.address("starttls"),
    ];
    let second = run(hub.home.command("", &all));
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.one_line().contains("in use"), "{second:?}");
}

#[test]
fn a_hub_takes_a_component_whose_secret_is_no_argument() {
    let home = Home::new();
    let hub = |listen: &str, secret: Option<&str>| {
        let line = format!(
            "hub --json --domain hub.test --starttls 127.0.0.1:0 --user a:b \
             --component cloud.hub.test --component-listen {listen}"
        );
        let mut command = home.command("", &words(&line));
        match secret {
            Some(secret) => command.env("STANCHION_COMPONENT_SECRET", secret),
            None => command.env_remove("STANCHION_COMPONENT_SECRET"),
        };
        command
    };
    let without = run(hub("127.0.0.1:0", None));
    assert_eq!(without.code, 2, "{without:?}");
    assert!(without.one_line().contains("STANCHION_COMPONENT_SECRET"));
    let open = run(hub("0.0.0.0:0", Some("shared")));
    assert_eq!(open.code, 1, "{open:?}");
    assert!(open.one_line().contains("loopback"), "{open:?}");

    let mut running = Running::start(hub("127.0.0.1:0", Some("shared")));
    let ready: Value = serde_json::from_str(&running.line()).unwrap();
    let (host, port) = ready["component"]
        .as_str()
        .unwrap()
        .split_once(':')
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (cloud, _incoming) = Client::component("cloud.hub.test".parse().unwrap())
            .secret("shared".into())
            .server(host, port.parse().unwrap())
            .store_in_memory()
            .start()
            .await
            .unwrap();
        let mut status = cloud.status();
        let up = status.wait_for(|s| matches!(s, Status::Connected { .. }));
        tokio::time::timeout(LIMIT, up).await.unwrap().unwrap();
        cloud.shutdown().await.unwrap();
    });
}

#[test]
fn an_interrupted_hub_ends_with_0() {
    let hub = Hub::start();
    let mut process = hub.process;
    process.signal("TERM");
    let ended = process.end_with_open_input();
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
}

#[test]
fn a_configuration_file_says_what_the_command_line_does_not() {
    let hub = Hub::start();
    let _listener = hub.listener("bob", &[]);
    let folder = hub.home.path("config/stanchion");
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "jid = 'alice@hub.test'\nconnect = '{}'\npin = '{}'\nstore = 'kept.sqlite'\npassword_file = 'password'\n",
        hub.address("starttls"),
        hub.fingerprint()
    );
    std::fs::write(folder.join("config.toml"), text).unwrap();
    let password = folder.join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let chmod = |mode| {
        Command::new("chmod")
            .args([mode, word(&password)])
            .status()
            .unwrap()
    };
    let send = || {
        let mut command = hub.home.command("", &words("send --to bob@hub.test x"));
        command.env_remove("STANCHION_PASSWORD");
        run(command)
    };
    chmod("644");
    assert!(send().one_line().contains("chmod 600"));
    chmod("600");
    let sent = send();
    assert_eq!(sent.code, 0, "{sent:?}");
    assert!(folder.join("kept.sqlite").exists());
    // The environment goes before the file, and the command line before both.
    let mut environment = hub
        .home
        .command("wrong", &words("send --to bob@hub.test x"));
    assert_eq!(
        run({
            environment.env("STANCHION_PASSWORD", "wrong");
            environment
        })
        .code,
        13
    );
    let flag = [
        "send",
        "--to",
        "bob@hub.test",
        "x",
        "--password-file",
        word(&password),
    ];
    assert_eq!(run(hub.home.command("wrong", &flag)).code, 0);
}

#[test]
fn doctor_tells_what_the_hub_offers() {
    let hub = Hub::start();
    let looked = run(hub.command("doctor", "alice", &["--json"]));
    assert_eq!((looked.code, &*looked.stderr), (0, ""));
    let [report] = &looked.json()[..] else {
        panic!("{looked:?}")
    };
    assert_eq!(report["established"], true);
    let server = &report["servers"][0];
    assert_eq!(server["login"]["binding"], "tls-exporter");
    assert_eq!(server["login"]["server_proved"], true);
    assert_eq!(server["tls"]["trust"], "the pinned one");
    assert!(
        !hub.home.path("alice.sqlite").exists(),
        "a look needs no store"
    );

    let mut wrong = hub.command("doctor", "alice", &[]);
    let looked = run({
        wrong.env("STANCHION_PASSWORD", "wrong");
        wrong
    });
    assert_eq!(looked.code, 13);
    looked.one_line();
    assert!(
        looked.stdout.contains("TLS 1.3") && looked.stdout.contains("failed"),
        "{looked:?}"
    );
    assert!(
        looked.stdout.lines().all(|l| l.chars().count() <= 80),
        "{looked:?}"
    );
}

#[test]
fn the_demo_loses_nothing_and_leaves_nothing() {
    let home = Home::new();
    let demo = run(home.command("", &words("demo --json --messages 150 --kills 2")));
    assert_eq!((demo.code, &*demo.stderr), (0, ""), "{demo:?}");
    let figures = demo.json();
    let value = |what: &str| &figures.iter().find(|f| f["what"] == what).unwrap()["value"];
    for (what, expected) in [
        ("sent", 150),
        ("delivered", 150),
        ("acknowledged", 150),
        ("lost", 0),
        ("duplicated", 0),
        ("kills", 2),
    ] {
        assert_eq!(value(what), &json!(expected), "{what}");
    }
    assert!(figures.iter().all(|f| f["pass"] == true), "{figures:?}");
    assert_eq!(home.leftovers(), 0);
    assert_eq!(home.processes(), Vec::<String>::new());
}

#[test]
fn the_demo_without_a_screen_says_one_line_a_kill_and_the_result() {
    let home = Home::new();
    let demo = run(home.command("", &words("demo --messages 60 --kills 1")));
    assert_eq!((demo.code, &*demo.stderr), (0, ""), "{demo:?}");
    let lines: Vec<&str> = demo.stdout.lines().collect();
    let [kill, figures, verdict] = lines[..] else {
        panic!("{demo:?}")
    };
    assert!(kill.contains("server killed (1 of 1)"), "{kill}");
    assert!(figures.starts_with("1 kills, "), "{figures}");
    assert_eq!(verdict, "sent 60, delivered 60, lost 0, duplicated 0");
}

#[test]
fn an_ended_demo_leaves_no_process_and_no_folder() {
    for name in ["INT", "TERM", "KILL"] {
        let home = Home::new();
        let mut demo = Running::start(
            home.command("", &words("demo --headless --messages 100000 --kills 1000")),
        );
        // During an outage.
        assert!(demo.line().contains("server killed"));
        signal(demo.pid(), name);
        let ended = demo.end_with_open_input();
        if name != "KILL" {
            assert_eq!(ended.code, 1, "{ended:?}");
            assert!(ended.one_line().contains("interrupted"), "{ended:?}");
            assert_eq!(home.leftovers(), 0);
        }
        eventually("its children end", || home.processes().is_empty());
    }
}
