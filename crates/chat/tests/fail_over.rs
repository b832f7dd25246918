//! Several registered servers from end to end: one that is absent, one that is lost, all
//! that are dead. Each is a hub of its own domain, as the command brings it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::net::TcpListener;
use std::time::Duration;

use common::{Ended, Home, Running, run, words};
use serde_json::Value;

const PASSWORD: &str = "correct-horse";

/// A hub of one domain, with the accounts `lamp` and `bob`.
struct Hub {
    domain: &'static str,
    process: Running,
    place: String,
    pin: String,
}

impl Hub {
    fn start(home: &Home, domain: &'static str) -> Self {
        let mut hub = words("hub --json --starttls 127.0.0.1:0 --domain");
        let users = ["lamp", "bob"].map(|user| format!("{user}:{PASSWORD}"));
        hub.push(domain);
        for user in &users {
            hub.extend(["--user", user]);
        }
        let mut process = Running::start(home.command("", &hub));
        let ready: Value = serde_json::from_str(&process.line()).unwrap();
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        Self {
            domain,
            process,
            place: text("starttls"),
            pin: text("fingerprint"),
        }
    }

    fn kill(self) {
        self.process.signal("KILL");
        let mut process = self.process;
        process.end_with_open_input();
    }

    /// A command of `bob` at this hub, on a file of his own.
    fn bob(&self, home: &Home, verb: &str) -> std::process::Command {
        let line = format!(
            "{verb} --jid bob@{} --connect {} --pin {} --store bob.{}.sqlite",
            self.domain, self.place, self.pin, self.domain
        );
        home.command(PASSWORD, &words(&line))
    }
}

fn register(home: &Home, jid: &str, place: &str, pin: &str, priority: u16) {
    let line = format!("server add {jid} --endpoint {place} --pin {pin} --priority {priority}");
    let added = run(home.command(PASSWORD, &words(&line)));
    assert_eq!(added.code, 0, "{added:?}");
}

/// A command of the device: no account, no password.
fn device(home: &Home, line: &str) -> std::process::Command {
    let mut command = home.command("", &words(line));
    command.env_remove("STANCHION_PASSWORD");
    command
}

fn list(home: &Home) -> Vec<Value> {
    run(device(home, "server list --json")).json()
}

/// Nothing listens at a port that was free a moment ago.
fn dead_place() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

fn some_pin() -> String {
    "ab".repeat(32)
}

#[track_caller]
fn delivered(ended: &Ended) {
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.json()[0]["outcome"], "delivered", "{ended:?}");
}

#[test]
fn a_message_goes_by_the_second_server_while_the_first_is_absent() {
    let home = Home::new();
    let plant = Hub::start(&home, "plant.test");
    let dead = dead_place();
    register(&home, "lamp@home.test", &dead, &some_pin(), 0);
    register(&home, "lamp@plant.test", &plant.place, &plant.pin, 10);

    let mut bob = Running::start(plant.bob(&home, "listen --json --count 1"));
    let sent = run(device(&home, "send --to bob@plant.test --json 21.5"));
    delivered(&sent);
    let received: Value = serde_json::from_str(&bob.line()).unwrap();
    assert_eq!(received["body"], "21.5");
    assert!(
        received["from"]
            .as_str()
            .unwrap()
            .starts_with("lamp@plant.test/"),
        "{received}"
    );
    assert_eq!(bob.end().code, 0);

    let servers = list(&home);
    assert_eq!(servers[0]["account"], "lamp@home.test");
    assert_eq!(servers[0]["health"]["failures"], 1, "{servers:?}");
    assert_eq!(servers[0]["health"]["last_success"], Value::Null);
    assert_eq!(servers[1]["health"]["failures"], 0);
    assert_eq!(servers[1]["health"]["last_good"], *plant.place);
}

#[test]
fn a_listener_comes_back_by_the_second_server_when_the_first_is_lost() {
    let home = Home::new();
    let first = Hub::start(&home, "home.test");
    let plant = Hub::start(&home, "plant.test");
    register(&home, "lamp@home.test", &first.place, &first.pin, 0);
    register(&home, "lamp@plant.test", &plant.place, &plant.pin, 10);

    let mut lamp = Running::start(device(&home, "listen --count 2"));
    delivered(&run(first.bob(&home, "send --to lamp@home.test --json on")));
    assert!(lamp.line().ends_with(": on"));
    first.kill();
    // The hub keeps it for whoever is not there yet.
    delivered(&run(
        plant.bob(&home, "send --to lamp@plant.test --json off")
    ));
    let line = lamp.line();
    assert!(
        line.starts_with("bob@plant.test") && line.ends_with(": off"),
        "{line}"
    );
    assert_eq!(lamp.end().code, 0);

    let servers = list(&home);
    let health = |n: usize| &servers[n]["health"];
    assert!(health(0)["failures"].as_u64().unwrap() >= 1, "{servers:?}");
    assert!(health(0)["last_success"].is_string());
    assert!(health(1)["last_success"].is_string());
}

#[test]
fn two_devices_go_on_by_their_other_accounts_when_a_server_is_lost() {
    let (lamp_home, bob_home) = (Home::new(), Home::new());
    let first = Hub::start(&lamp_home, "home.test");
    let plant = Hub::start(&lamp_home, "plant.test");
    for (home, user) in [(&lamp_home, "lamp"), (&bob_home, "bob")] {
        register(
            home,
            &format!("{user}@home.test"),
            &first.place,
            &first.pin,
            0,
        );
        register(
            home,
            &format!("{user}@plant.test"),
            &plant.place,
            &plant.pin,
            10,
        );
    }
    let mut bob = Running::start(device(&bob_home, "listen --count 2"));
    let send = |text: &str| {
        let line = format!("send --to bob@home.test --json --timeout 60s {text}");
        run(device(&lamp_home, &line))
    };
    delivered(&send("on"));
    assert!(bob.line().ends_with(": on"));
    first.kill();
    // Nobody is at that address any more; the device is known to have another one.
    delivered(&send("off"));
    let line = bob.line();
    assert!(
        line.starts_with("lamp@plant.test") && line.ends_with(": off"),
        "{line}"
    );
    assert_eq!(bob.end().code, 0);
}

#[test]
fn a_server_that_refuses_the_account_does_not_keep_a_message_from_the_others() {
    let home = Home::new();
    let (first, plant) = (
        Hub::start(&home, "home.test"),
        Hub::start(&home, "plant.test"),
    );
    let wrong = format!(
        "server add lamp@home.test --endpoint {} --pin {}",
        first.place, first.pin
    );
    assert_eq!(run(home.command("battery-staple", &words(&wrong))).code, 0);
    register(&home, "lamp@plant.test", &plant.place, &plant.pin, 10);
    let bob = Running::start(plant.bob(&home, "listen --count 1"));
    delivered(&run(device(&home, "send --to bob@plant.test --json on")));
    assert_eq!(bob.end().code, 0);
}

#[test]
fn when_all_servers_are_dead_it_is_told_in_time_what_happened_at_each() {
    let home = Home::new();
    // It takes connections, as far as TCP goes, and never says a word.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute_place = mute.local_addr().unwrap().to_string();
    let dead = dead_place();
    register(&home, "lamp@home.test", &dead, &some_pin(), 0);
    register(&home, "lamp@plant.test", &mute_place, &some_pin(), 10);
    for verb in [
        "send --to bob@plant.test --timeout 2s on",
        "listen --timeout 2s",
    ] {
        let ended = run(device(&home, verb));
        assert_eq!(ended.code, 12, "{ended:?}");
        assert!(ended.took < Duration::from_secs(10), "{ended:?}");
        let line = ended.one_line();
        for told in ["lamp@home.test: ", "lamp@plant.test: ", &*dead, "within 2s"] {
            assert!(line.contains(told), "{told}: {line}");
        }
    }
    let servers = list(&home);
    for server in &servers {
        assert!(
            server["health"]["failures"].as_u64().unwrap() >= 1,
            "{server}"
        );
    }
    let shown = run(device(&home, "server list"));
    assert!(shown.stdout.contains("never connected"), "{shown:?}");
    assert!(shown.stdout.contains("failure"), "{shown:?}");
}

#[test]
fn an_account_that_is_named_uses_its_entry_where_nothing_else_is_said() {
    let home = Home::new();
    let plant = Hub::start(&home, "plant.test");
    register(&home, "lamp@plant.test", &plant.place, &plant.pin, 0);
    let bob = Running::start(plant.bob(&home, "listen --count 1"));
    // Place, trust and password are the entry's.
    let line = "send --jid lamp@plant.test --to bob@plant.test --json on";
    delivered(&run(device(&home, line)));
    assert_eq!(bob.end().code, 0);
    assert_eq!(list(&home)[0]["health"]["last_good"], *plant.place);

    // A flag goes before it, and the entry stays as it is.
    let elsewhere = format!("{line} --timeout 1s --connect {}", dead_place());
    let ended = run(device(&home, &elsewhere));
    assert_eq!(ended.code, 12, "{ended:?}");
    let wrong = run(home.command("battery-staple", &words(line)));
    assert_eq!(wrong.code, 13, "{wrong:?}");
    assert_eq!(list(&home)[0]["endpoints"][0], *plant.place);
}
