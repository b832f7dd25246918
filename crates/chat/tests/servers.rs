//! `stanchion server` from end to end, against the hub that the command brings: what is
//! registered is used, and no output ever shows a password.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Ended, Home, Running, run, word, words};
use serde_json::Value;

const PASSWORD: &str = "correct-horse";
const WRONG: &str = "battery-staple";

/// A hub with the accounts `alice` and `bob`, and a folder with a registry.
struct Hub {
    home: Home,
    _process: Running,
    ready: Value,
}

impl Hub {
    fn start() -> Self {
        let home = Home::new();
        let mut hub = words("hub --json --domain hub.test --direct-tls 127.0.0.1:0");
        let users = ["alice", "bob"].map(|user| format!("{user}:{PASSWORD}"));
        hub.extend(["--starttls", "127.0.0.1:0"]);
        for user in &users {
            hub.extend(["--user", user]);
        }
        let mut process = Running::start(home.command("", &hub));
        let ready = serde_json::from_str(&process.line()).unwrap();
        Self {
            home,
            _process: process,
            ready,
        }
    }

    fn value(&self, what: &str) -> &str {
        self.ready[what].as_str().unwrap()
    }

    /// `server add`, at the hub's address.
    fn add(&self, user: &str, password: &str, rest: &[&str]) -> Ended {
        let jid = format!("{user}@hub.test");
        let mut all = vec!["server", "add", &jid, "--pin", self.value("fingerprint")];
        all.extend(["--endpoint", self.value("starttls")]);
        all.extend(rest);
        secretive(self.home.command(password, &all))
    }

    /// Any other command, with no password in its environment.
    fn run(&self, line: &str) -> Ended {
        secretive(without_password(&self.home, &words(line)))
    }
}

fn without_password(home: &Home, words: &[&str]) -> Command {
    let mut command = home.command("", words);
    command.env_remove("STANCHION_PASSWORD");
    command
}

/// Runs a command as loudly as can be; nothing that it says shows a password.
#[track_caller]
fn secretive(mut command: Command) -> Ended {
    command.env("STANCHION_LOG", "trace");
    let mut ended = run(command);
    for said in [&ended.stdout, &ended.stderr] {
        assert!(!said.contains(PASSWORD) && !said.contains(WRONG), "{said}");
    }
    // Without the log, as a person sees it.
    ended.stderr = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("stanchion: "))
        .map(|line| format!("{line}\n"))
        .collect();
    ended
}

#[track_caller]
fn done(ended: &Ended) {
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
}

#[test]
fn what_is_registered_is_listed_tried_used_and_removed() {
    let hub = Hub::start();
    done(&hub.run("server list"));
    assert!(!hub.home.path("data").exists(), "a look makes no file");

    let direct = format!("xmpps://{}", hub.value("direct_tls"));
    let more = ["--endpoint", &direct, "--min-mechanism", "SCRAM-SHA-256"];
    let more = [&more[..], &["--require-binding", "--priority", "3"]].concat();
    let added = hub.add("alice", PASSWORD, &more);
    done(&added);
    assert_eq!(added.stdout, "added alice@hub.test\n");
    let again = hub.add("alice", PASSWORD, &[&more[..], &["--json"]].concat());
    assert_eq!(again.json()[0]["outcome"], "replaced");

    let listed = hub.run("server list --json");
    let [server] = &listed.json()[..] else {
        panic!("{listed:?}")
    };
    assert_eq!(server["account"], "alice@hub.test");
    assert_eq!(server["priority"], 3);
    assert_eq!(server["endpoints"][0], hub.value("starttls"));
    assert_eq!(server["endpoints"][1], direct);
    assert_eq!(server["trust"]["pin"], hub.value("fingerprint"));
    assert_eq!(server["min_mechanism"], "SCRAM-SHA-256");
    assert_eq!(server["require_binding"], true);
    assert_eq!(server["health"]["last_success"], Value::Null);

    let tested = hub.run("server test --all");
    done(&tested);
    assert_eq!(tested.stdout.matches("a session").count(), 2, "{tested:?}");
    assert!(tested.stdout.contains("TLS handshake"), "{tested:?}");
    let listed = hub.run("server list");
    assert!(listed.stdout.contains("ok "), "{listed:?}");
    assert!(listed.stdout.lines().all(|l| l.chars().count() <= 80));
    assert!(tested.stdout.contains("circuit closed"), "{tested:?}");
    let health = &hub.run("server list --json").json()[0]["health"];
    assert_eq!(health["last_good"], direct);
    assert_eq!(health["endpoints"].as_array().unwrap().len(), 2);

    let removed = hub.run("server remove ALICE@hub.test --json");
    done(&removed);
    assert_eq!(removed.json()[0]["outcome"], "removed");
    let again = hub.run("server remove alice@hub.test");
    assert_eq!(again.code, 2);
    assert!(again.one_line().contains("not registered"));
    assert!(
        hub.run("server list")
            .stdout
            .contains("no server is registered")
    );
}

#[test]
fn the_verbs_use_the_registered_server_when_no_account_is_named() {
    let hub = Hub::start();
    let unnamed = hub.run("listen --count 1");
    assert_eq!(unnamed.code, 2);
    assert!(unnamed.one_line().contains("server add"), "{unnamed:?}");

    done(&hub.add("alice", PASSWORD, &["--resource", "lamp"]));
    // The one of the highest priority counts.
    done(&hub.add("bob", WRONG, &["--priority", "1"]));
    let doctor = hub.run("doctor --json");
    done(&doctor);
    let report = &doctor.json()[0];
    assert_eq!(report["servers"][0]["jid"], "alice@hub.test/lamp");

    // The message is kept in the file of the registry, and bob has his own.
    let listen = ["listen", "--jid", "bob@hub.test", "--count", "1"];
    let access = [
        "--connect",
        hub.value("starttls"),
        "--pin",
        hub.value("fingerprint"),
    ];
    let listen = [&listen[..], &access, &["--store", "bob.sqlite"]].concat();
    let mut listener = Running::start(hub.home.command(PASSWORD, &listen));
    let sent = hub.run("send --to bob@hub.test 21.5");
    done(&sent);
    assert!(listener.line().ends_with(": 21.5"));
    assert_eq!(listener.end().code, 0);
    let files: Vec<_> = std::fs::read_dir(hub.home.path("data/stanchion"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".sqlite"))
        .collect();
    assert_eq!(files, ["servers.sqlite"]);

    // What is said of a server on the command line needs an account, as ever.
    let half = hub.run("doctor --native-roots");
    assert_eq!(half.code, 2);
    assert!(half.one_line().contains("no account"), "{half:?}");
}

#[test]
fn the_registry_can_be_changed_while_a_client_lives_on_its_file() {
    let hub = Hub::start();
    done(&hub.add("alice", PASSWORD, &["--store", "all.sqlite"]));
    let words = words("listen --store all.sqlite --count 1");
    let mut listener = Running::start(without_password(&hub.home, &words));
    let access = [
        "--connect",
        hub.value("starttls"),
        "--pin",
        hub.value("fingerprint"),
    ];
    let send = [
        "send",
        "--jid",
        "bob@hub.test",
        "--store",
        "bob.sqlite",
        "--to",
    ];
    let sent = |text| {
        let all = [&send[..], &["alice@hub.test", text], &access].concat();
        secretive(hub.home.command(PASSWORD, &all))
    };
    done(&hub.add("bob", PASSWORD, &["--store", "all.sqlite"]));
    assert_eq!(
        hub.run("server list --store all.sqlite --json")
            .json()
            .len(),
        2
    );
    done(&hub.run("server test bob@hub.test --store all.sqlite"));
    done(&sent("on"));
    assert!(listener.line().ends_with(": on"));
    assert_eq!(listener.end().code, 0);
    assert_eq!(
        hub.run("server list --store all.sqlite --json")
            .json()
            .len(),
        2
    );
}

#[test]
fn a_test_says_at_which_server_and_in_which_phase_it_failed() {
    let hub = Hub::start();
    done(&hub.add("alice", PASSWORD, &[]));
    done(&hub.add("bob", WRONG, &["--priority", "1"]));
    let tested = hub.run("server test");
    assert_eq!(tested.code, 13, "{tested:?}");
    let line = tested.one_line();
    assert!(
        line.contains("1 of 2") && line.contains("bob@hub.test"),
        "{line}"
    );
    assert!(
        tested.stdout.contains("authentication failed"),
        "{tested:?}"
    );
    assert!(tested.stdout.contains("a session"), "{tested:?}");

    // Nothing listens at a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = free.local_addr().unwrap().to_string();
    drop(free);
    done(&hub.run("server remove bob@hub.test"));
    done(&hub.add("alice", PASSWORD, &["--endpoint", &gone]));
    let first = hub.run("server test --json");
    done(&first);
    let tested = hub.run("server test --all --json");
    done(&tested);
    let [server] = &tested.json()[..] else {
        panic!("{tested:?}")
    };
    let candidates = &server["inspection"]["servers"];
    assert_eq!(candidates[0]["established"], true);
    assert_eq!(candidates[1]["phase"], "TCP connection");
    assert_eq!(
        hub.run("server list --json").json()[0]["health"]["failures"],
        1
    );

    done(&hub.run("server remove alice@hub.test"));
    let nobody = hub.run("server test");
    assert_eq!(nobody.code, 2, "{nobody:?}");
    nobody.one_line();
}

#[test]
fn servers_are_imported_from_a_file_and_a_mistake_changes_nothing() {
    let hub = Hub::start();
    let file = hub.home.path("servers.toml");
    let place = hub.value("starttls");
    let pin = hub.value("fingerprint");
    let good = format!(
        "[[server]]\njid = 'alice@hub.test'\npassword = '{PASSWORD}'\npin = '{pin}'\n\
         endpoints = ['{place}']\n\
         [[server]]\njid = 'bob@hub.test'\npassword_file = 'bob.pw'\npin = '{pin}'\n\
         endpoints = ['{place}']\npriority = 2\n"
    );
    write(&hub.home.path("bob.pw"), PASSWORD);
    let import = format!("server add --from {}", word(&file));
    for (from, to, line, told) in [
        ("priority", "prioritty", 11, "prioritty"),
        (
            "priority = 2",
            &*format!("priority = '{PASSWORD}'"),
            11,
            "u16",
        ),
        ("bob@", "alice@", 6, "twice"),
        ("bob.pw", "eve.pw", 8, "eve.pw"),
    ] {
        write(&file, &good.replace(from, to));
        let refused = hub.run(&import);
        assert_eq!(refused.code, 2, "{refused:?}");
        let said = refused.one_line();
        assert!(
            said.contains(&format!("line {line}: ")) && said.contains(told),
            "{said}"
        );
        assert!(hub.run("server list --json").json().is_empty());
    }
    write(&file, &good);
    let imported = hub.run(&import);
    done(&imported);
    assert_eq!(
        imported.stdout,
        "added alice@hub.test\nadded bob@hub.test\n"
    );
    done(&hub.run("server test"));
}

#[test]
fn what_cannot_work_is_refused_before_it_is_kept() {
    let hub = Hub::start();
    for (rest, told) in [
        ("--endpoint gopher://a:1", "HOST:PORT"),
        ("--min-mechanism ROT13", "SCRAM-SHA-256"),
        ("--ca none.pem", "none.pem"),
        ("--pin ab", "64 hexadecimal"),
        ("--endpoint plain://127.0.0.1:1", "plaintext"),
        ("--from servers.toml", "cannot be used with"),
        ("--priority 65536", "65535"),
    ] {
        let line = format!("server add alice@hub.test {rest}");
        let refused = secretive(hub.home.command(PASSWORD, &words(&line)));
        assert_eq!(refused.code, 2, "{rest}: {refused:?}");
        assert!(refused.one_line().contains(told), "{rest}: {refused:?}");
    }
    let domain = secretive(hub.home.command(PASSWORD, &words("server add hub.test")));
    assert!(domain.one_line().contains("name@hub.test"), "{domain:?}");
    let mute = hub.run("server add alice@hub.test");
    assert_eq!(mute.code, 2);
    assert!(mute.one_line().contains("STANCHION_PASSWORD"), "{mute:?}");
    assert!(hub.run("server list --json").json().is_empty());
}

#[cfg(unix)]
#[test]
fn a_registry_that_others_can_read_is_refused_by_every_verb() {
    use std::os::unix::fs::PermissionsExt as _;
    let hub = Hub::start();
    done(&hub.add("alice", PASSWORD, &[]));
    let file = hub.home.path("data/stanchion/servers.sqlite");
    let mode = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    mode(0o644);
    for line in [
        "server list",
        "server test",
        "server remove a@b",
        "doctor",
        "listen",
    ] {
        let refused = hub.run(line);
        assert_eq!(refused.code, 2, "{line}: {refused:?}");
        assert!(
            refused.one_line().contains("chmod 600"),
            "{line}: {refused:?}"
        );
    }
    assert_eq!(hub.add("bob", PASSWORD, &[]).code, 2);
    mode(0o600);
    assert_eq!(hub.run("server list --json").json().len(), 1);
}

#[test]
fn doctor_tells_the_race_the_certificate_and_what_a_second_login_saves() {
    let hub = Hub::start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = free.local_addr().unwrap().to_string();
    drop(free);
    let jid = [
        "server",
        "add",
        "alice@hub.test",
        "--pin",
        hub.value("fingerprint"),
    ];
    let places = ["--endpoint", &gone, "--endpoint", hub.value("starttls")];
    done(&secretive(
        hub.home.command(PASSWORD, &[&jid[..], &places].concat()),
    ));
    let looked = hub.run("doctor --json");
    done(&looked);
    let report = &looked.json()[0];
    let race: Vec<(&str, &str)> = report["race"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["endpoint"].as_str().unwrap(), s["what"].as_str().unwrap()))
        .collect();
    let good = hub.value("starttls");
    for step in [
        (&*gone, "started"),
        (&*gone, "failed"),
        (good, "started"),
        (good, "secured"),
        (good, "established"),
    ] {
        assert!(race.contains(&step), "{race:?}");
    }
    let server = &report["servers"][1];
    let count = |key: &str| server[key].as_u64().unwrap();
    // TCP and TLS 1.3 take one each, beyond those of the login.
    assert_eq!(count("round_trips_in_all"), count("round_trips") + 2);
    assert!(count("bytes_sent") > 500 && count("bytes_received") > 500);
    assert_eq!(server["tls"]["handshake"], "full handshake");
    assert_eq!(server["short_cuts"], serde_json::json!([]));
    let certificate = &server["tls"]["certificate"];
    assert_eq!(certificate["names"][0], "hub.test", "{report}");
    assert!(certificate["days_left"].as_i64().unwrap() > 300);
    assert_eq!(report["again"]["established"], true);
    assert_eq!(report["again"]["tls_resumed"], true);
    let advice = report["advice"].to_string();
    assert!(
        advice.contains("1 of 2") && advice.contains("pinned"),
        "{advice}"
    );

    let direct = format!(
        "doctor --jid alice@hub.test --once --json --connect xmpps://{}",
        hub.value("direct_tls")
    );
    // The password and the trust are those of the entry.
    let direct = hub.run(&direct);
    done(&direct);
    assert_eq!(direct.json()[0]["servers"][0]["mode"], "direct TLS");

    let looked = hub.run("doctor --once");
    done(&looked);
    for told in [
        "secured, the first",
        "full handshake",
        "TCP and TLS among them",
        "no SASL2",
        "what would go wrong",
        "issuer",
        "expires",
    ] {
        assert!(looked.stdout.contains(told), "{told}: {looked:?}");
    }
    assert!(!looked.stdout.contains("second login"));
    assert!(looked.stdout.lines().all(|l| l.chars().count() <= 80));
}

#[test]
fn help_has_examples_and_fits_80_columns() {
    let home = Home::new();
    for verb in ["", "add", "list", "remove", "test"] {
        let help = run(home.command("", &words(&format!("server {verb} --help"))));
        assert_eq!((help.code, &*help.stderr), (0, ""), "{verb}");
        for line in help.stdout.lines() {
            assert!(line.chars().count() <= 80, "{verb}: {line}");
        }
        assert!(verb.is_empty() || help.stdout.contains("Example"), "{verb}");
        assert!(
            verb.is_empty() || help.stdout.contains("Exit codes"),
            "{verb}"
        );
    }
}

/// A file for its owner only.
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}
