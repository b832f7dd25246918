//! The gateway and the collector from end to end, as processes, over the hub: figures,
//! reloads, a crash.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use common::house::{House, PASSWORD};
use common::{Running, eventually, run, words};

/// A hub, and where the gateway on it shows its figures.
struct Hub {
    house: House,
    page: u16,
}

impl Hub {
    fn start() -> Self {
        Self {
            house: House::start(&["gateway", "lamp", "cloud"]),
            page: free_port(),
        }
    }

    /// Writes the gateway's configuration: so many lamps.
    fn configure(&self, lamps: usize, more: &str) {
        let (starttls, page) = (self.house.address(), self.page);
        let pin = self.house.pin().replace(':', "");
        let text = format!(
            r#"
[metrics]
listen = "127.0.0.1:{page}"
readings = true

[[connection]]
jid = "gateway@hub.test"
connect = "{starttls}"
pin = "{pin}"
store = "gateway.sqlite"

[[connection.recipient]]
to = "cloud@hub.test"
telemetry = {{ within = "50ms" }}

[[adapter]]
name = "lamps"
type = "simulated"
kind = "lamp"
count = {lamps}
interval = "100ms"

[[adapter]]
name = "energy"
type = "simulated"
kind = "meter"
interval = "100ms"
{more}
"#
        );
        self.house.write("gateway.toml", &text);
    }

    fn gateway(&self) -> Running {
        let words = words("gateway --config gateway.toml --verbose");
        Running::start(self.house.home.command(PASSWORD, &words))
    }

    fn collect(&self, more: &str) -> common::Ended {
        self.house.run("cloud", &format!("collect {more}"), &[])
    }

    /// The gateway's figures; nothing while it does not show them.
    fn figures(&self) -> String {
        let Ok(mut page) = TcpStream::connect(("127.0.0.1", self.page)) else {
            return String::new();
        };
        let ask = "GET /metrics HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n";
        let mut text = String::new();
        match page
            .write_all(ask.as_bytes())
            .and_then(|()| page.read_to_string(&mut text))
        {
            Ok(_) => text,
            Err(_) => String::new(),
        }
    }

    /// How many samples of each thing were among those that a collector printed.
    fn printed(&self, count: usize) -> BTreeMap<String, usize> {
        let ended = self.collect(&format!("--json --count {count}"));
        assert_eq!(ended.code, 0, "{ended:?}");
        let mut things = BTreeMap::new();
        for line in ended.json() {
            assert_eq!(line["device"], "gateway@hub.test");
            *things
                .entry(line["thing"].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
        things
    }
}

#[test]
fn what_the_adapters_of_a_file_measure_reaches_the_collector() {
    let hub = Hub::start();
    hub.configure(2, "");
    let gateway = hub.gateway();
    let things = hub.printed(60);
    let names: Vec<_> = things.keys().map(String::as_str).collect();
    assert_eq!(names, ["lamp-1", "lamp-2", "meter-1"]);
    gateway.signal("TERM");
    let ended = gateway.end();
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn a_reload_starts_what_is_new_and_one_that_is_wrong_changes_nothing() {
    let hub = Hub::start();
    hub.configure(1, "");
    let gateway = hub.gateway();
    assert!(!hub.printed(20).contains_key("lamp-3"));
    hub.configure(3, "");
    gateway.signal("HUP");
    eventually("there are three lamps", || hub.figures().contains("lamp-3"));
    assert!(
        hub.figures().contains("stanchion_reloads{} 1"),
        "{}",
        hub.figures()
    );
    hub.configure(1, "wrong = [");
    gateway.signal("HUP");
    assert!(hub.printed(60).contains_key("lamp-3"));
    gateway.signal("INT");
    let ended = gateway.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    for told in [
        "the configuration was read again",
        "the configuration is as before",
    ] {
        assert!(ended.stderr.contains(told), "{told}: {ended:?}");
    }
}

#[test]
fn what_was_reported_before_a_crash_is_kept_once_and_in_order() {
    let hub = Hub::start();
    hub.configure(1, "");
    for _ in 0..3 {
        let gateway = hub.gateway();
        let ended = hub.collect("--count 40");
        assert_eq!(ended.code, 0, "{ended:?}");
        gateway.signal("KILL");
    }
    let store = stanchion::reliability::store::rusqlite::Connection::open(
        hub.house.home.path("cloud.sqlite"),
    );
    let store = store.unwrap();
    let mut rows = store
        .prepare("SELECT at FROM app_readings WHERE thing = 'meter-1' AND field = 'energy' ORDER BY rowid")
        .unwrap();
    let rows = rows.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    let all: Vec<i64> = rows.map(Result::unwrap).collect();
    assert!(all.len() > 20, "{all:?}");
    assert!(
        all.is_sorted_by(|a, b| a < b),
        "each once, in order: {all:?}"
    );
}

#[test]
fn a_collector_refuses_whom_it_was_not_told_to_take_readings_from() {
    let hub = Hub::start();
    hub.configure(1, "");
    let gateway = hub.gateway();
    let of_others = words("--json --from other.test");
    let collector = Running::start(hub.house.command("cloud", "collect", &of_others));
    eventually("the gateway is told so", || {
        let figures = hub.figures();
        let refused = figures.lines().find_map(|line| {
            let of = "stanchion_messages_not_delivered_total{connection=\"main\"} ";
            line.strip_prefix(of)?.parse::<u64>().ok()
        });
        refused.is_some_and(|count| count > 0)
    });
    collector.signal("INT");
    assert_eq!(collector.end().stdout, "");
    gateway.signal("TERM");
    assert_eq!(gateway.end().code, 0);
}

#[test]
fn a_thing_may_have_a_connection_of_its_own() {
    let hub = Hub::start();
    let starttls = hub.house.address();
    let pin = hub.house.pin().replace(':', "");
    let own = format!(
        r#"
[[connection]]
name = "lamp"
jid = "lamp@hub.test"
connect = "{starttls}"
pin = "{pin}"
store = "lamp.sqlite"
things = ["lamp-2"]

[[connection.recipient]]
to = "cloud@hub.test"
json = true
telemetry = {{ within = "50ms" }}
"#
    );
    hub.configure(2, &own);
    let gateway = hub.gateway();
    let ended = hub.collect("--json --count 120");
    assert_eq!(ended.code, 0, "{ended:?}");
    for line in ended.json() {
        let expected = match line["thing"].as_str().unwrap() {
            "lamp-2" => "lamp@hub.test",
            _ => "gateway@hub.test",
        };
        assert_eq!(line["device"], expected);
    }
    assert!(ended.stdout.contains("lamp@hub.test"));
    gateway.signal("TERM");
    assert_eq!(gateway.end().code, 0);
}

#[test]
fn what_is_wrong_with_a_configuration_is_told_in_one_line() {
    let hub = Hub::start();
    for (more, told) in [
        ("wrong = [", "line"),
        (
            "[[adapter]]\nname = \"x\"\ntype = \"magic\"",
            "there is no type `magic`",
        ),
        (
            "[[adapter]]\nname = \"energy\"\ntype = \"simulated\"",
            "two adapters are called `energy`",
        ),
        ("latency = \"soon\"", "adapter `energy`"),
    ] {
        hub.configure(1, more);
        let check = words("gateway --config gateway.toml --check");
        let ended = run(hub.house.home.command(PASSWORD, &check));
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.one_line().contains(told), "{ended:?}");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn who_may_read_is_let_see_the_gateway_and_nobody_else_is() {
    let hub = Hub::start();
    hub.configure(1, "");
    let path = hub.house.home.path("gateway.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let store = "store = \"gateway.sqlite\"\n";
    let listed = format!("{store}readers = [\"lamp@hub.test\"]\n");
    std::fs::write(&path, text.replace(store, &listed)).unwrap();
    let gateway = hub.gateway();
    let ask = |who: &str| hub.house.run(who, "things gateway@hub.test", &[]);
    let ended = ask("lamp");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stdout.contains("lamp-1: on (can be set)"),
        "{ended:?}"
    );
    let ended = ask("cloud");
    assert_eq!((ended.code, &*ended.stdout), (1, ""), "{ended:?}");
    assert!(
        ended
            .one_line()
            .contains("no device of gateway@hub.test is seen")
    );
    gateway.signal("TERM");
    assert_eq!(gateway.end().code, 0);
}
