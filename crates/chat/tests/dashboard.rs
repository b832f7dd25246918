//! `stanchion dashboard` as a process, over the hub, as a browser would use it: pages, the
//! stream of events, orders, the login. What the pages do with it is in `browser`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![cfg(all(feature = "dashboard", unix))]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use common::house::{House, PASSWORD};
use common::{LIMIT, Running, run, words};
use serde_json::{Value, json};

/// A dashboard, and where it is.
struct Dashboard {
    process: Running,
    address: String,
    link: String,
}

/// What was answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let lines = self.head.lines();
        let mut values = lines.filter_map(|line| line.split_once(": "));
        values
            .find(|(is, _)| is.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Dashboard {
    /// Of alice.
    fn start(house: &House, rest: &[&str]) -> Self {
        let mut all = vec!["--json"];
        all.extend(rest);
        if !rest.contains(&"--listen") {
            all.extend(["--listen", "127.0.0.1:0"]);
        }
        let mut process = Running::start(house.command("alice", "dashboard", &all));
        let ready: Value = serde_json::from_str(&process.line()).unwrap();
        let told = |what: &str| ready[what].as_str().unwrap().to_owned();
        Self {
            address: told("url")
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_owned(),
            link: told("link"),
            process,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// One request on a connection of its own; `headers` in place of its own `Host`, if they
    /// have one.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            text.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head[9..12].parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    fn order(&self, page: &Page, order: &Value) -> Answer {
        let headers = [
            ("Content-Type", "application/json"),
            ("X-Stanchion-Csrf", &page.csrf),
        ];
        self.ask("POST", "/api/orders", &headers, &order.to_string())
    }

    #[track_caller]
    fn ordered(&self, page: &Page, order: &Value) {
        let answer = self.order(page, order);
        assert_eq!(answer.status, 202, "{answer:?}");
    }

    /// A page that is open, and the state that it got.
    fn page(&self) -> (Page, Value) {
        let mut stream = self.connect();
        let address = &self.address;
        let request = format!("GET /api/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut page = Page {
            lines: BufReader::new(stream),
            csrf: String::new(),
        };
        let state = page.until("state", |_| true);
        state["csrf"].as_str().unwrap().clone_into(&mut page.csrf);
        (page, state)
    }
}

/// A page that reads the stream of events.
struct Page {
    lines: BufReader<TcpStream>,
    csrf: String,
}

impl Page {
    /// The next line; none at the end of the stream.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line).unwrap() {
            0 => None,
            _ => Some(line.trim_end().to_owned()),
        }
    }

    /// The data of the next such event, as it stands there.
    #[track_caller]
    fn raw(&mut self, name: &str, so: impl Fn(&Value) -> bool) -> String {
        let wanted = format!("event: {name}");
        let over = Instant::now() + LIMIT;
        loop {
            assert!(Instant::now() < over, "no such {name} in time");
            let line = self.line().expect("the stream goes on");
            if line != wanted {
                continue;
            }
            let data = self.line().unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            if so(&serde_json::from_str(data).unwrap()) {
                return data.to_owned();
            }
        }
    }

    #[track_caller]
    fn until(&mut self, name: &str, so: impl Fn(&Value) -> bool) -> Value {
        serde_json::from_str(&self.raw(name, so)).unwrap()
    }
}

#[test]
fn pages_are_safe_to_have_open_and_other_sites_can_do_nothing() {
    let house = House::start(&["alice", "bob", "house"]);
    let dashboard = Dashboard::start(&house, &[]);
    let index = dashboard.get("/");
    assert_eq!(index.status, 200);
    assert_eq!(index.header("content-type"), "text/html; charset=utf-8");
    let policy = index.header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(index.header("x-content-type-options"), "nosniff");
    assert_eq!(index.header("referrer-policy"), "no-referrer");
    let script = dashboard.get("/assets/app.js");
    let kind = script.header("content-type");
    assert_eq!(
        (script.status, kind),
        (200, "text/javascript; charset=utf-8")
    );
    let tag = [("If-None-Match", script.header("etag"))];
    let again = dashboard.ask("GET", "/assets/app.js", &tag, "");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(dashboard.get("/assets/no").status, 404);
    assert_eq!(dashboard.get("/assets/..%2Fmod.rs").status, 404);
    assert_eq!(
        dashboard.get("/api/talk?with=%40").header("cache-control"),
        "no-store"
    );

    let (page, _) = dashboard.page();
    let rebound = [("Host", "evil.example")];
    for path in ["/", "/api/events", "/assets/app.js"] {
        let refused = dashboard.ask("GET", path, &rebound, "");
        assert_eq!(refused.status, 421, "{refused:?}");
        assert!(refused.body.contains("127.0.0.1"), "{refused:?}");
    }
    let say = json!({ "order": "say", "to": "bob@hub.test", "text": "x" }).to_string();
    let post = |more: &[(&str, &str)]| {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(more);
        dashboard.ask("POST", "/api/orders", &headers, &say).status
    };
    let csrf = ("X-Stanchion-Csrf", page.csrf.as_str());
    assert_eq!(post(&[]), 403);
    assert_eq!(post(&[("X-Stanchion-Csrf", "0")]), 403);
    assert_eq!(post(&[csrf, ("Origin", "http://evil.example")]), 403);
    assert_eq!(post(&[csrf, ("Origin", "null")]), 403);
    let own = format!("http://{}", dashboard.address);
    assert_eq!(post(&[csrf, ("Origin", &own)]), 202);
}

#[test]
fn what_is_said_in_the_browser_is_delivered_and_what_comes_is_a_string() {
    let house = House::start(&["alice", "bob", "house"]);
    let dashboard = Dashboard::start(&house, &[]);
    let (mut page, state) = dashboard.page();
    if state["link"]["state"] != "up" {
        page.until("link", |link| link["state"] == "up");
    }
    let mut bob = Running::start(house.command("bob", "listen", &["--json"]));
    let open = json!({ "order": "open", "with": "bob@hub.test" });
    dashboard.ordered(&page, &open);
    let say = json!({ "order": "say", "to": "bob@hub.test", "text": "is it warm?" });
    dashboard.ordered(&page, &say);
    let told: Value = serde_json::from_str(&bob.line()).unwrap();
    assert_eq!(told["body"], "is it warm?");
    let entry = page.until("entry", |entry| entry["stage"] == "delivered");
    assert_eq!(
        (&entry["body"], &entry["out"]),
        (&json!("is it warm?"), &json!(true))
    );
    assert_eq!(entry["can"], json!([]));
    bob.signal("TERM");
    assert_eq!(bob.end().code, 0);

    let hostile = "<script>alert(1)</script>\u{2028}\u{202e}&\"\u{85}";
    let to = ["--to", "alice@hub.test", hostile];
    let sent = run(house.command("bob", "send", &to));
    assert_eq!(sent.code, 0, "{sent:?}");
    let raw = page.raw("entry", |entry| entry["out"] == false);
    let forbidden = ['<', '>', '&', '\u{2028}', '\u{202e}', '\u{85}'];
    assert!(!raw.contains(forbidden), "{raw}");
    let entry: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(entry["body"], hostile);

    let talk = dashboard.get("/api/talk?with=bob%40hub.test").json();
    assert_eq!(talk["first"], true);
    let bodies = talk["entries"].as_array().unwrap().iter();
    let bodies: Vec<_> = bodies.map(|entry| entry["body"].clone()).collect();
    assert_eq!(bodies, ["is it warm?", hostile]);
    let before = talk["entries"][1]["place"].as_str().unwrap();
    let older = dashboard.get(&format!("/api/talk?with=bob%40hub.test&before={before}"));
    assert_eq!(older.json()["entries"].as_array().unwrap().len(), 1);
    let found = dashboard.get("/api/search?words=warm").json();
    assert_eq!(found["found"][0]["body"], "is it warm?");
    let wrong = dashboard.get("/api/talk?with=nobody%40%40");
    assert_eq!(wrong.status, 400);
    assert!(wrong.json()["error"].as_str().unwrap().contains("with"));
    let nonsense = dashboard.order(&page, &json!({ "order": "explode" }));
    assert_eq!(nonsense.status, 400);
}

#[test]
fn an_end_is_clean_while_pages_are_open_and_the_next_start_knows_all() {
    let house = House::start(&["alice", "bob", "house"]);
    let mut dashboard = Dashboard::start(&house, &[]);
    let (mut page, _) = dashboard.page();
    let open = json!({ "order": "open", "with": "bob@hub.test" });
    dashboard.ordered(&page, &open);
    let say = json!({ "order": "say", "to": "bob@hub.test", "text": "kept" });
    dashboard.ordered(&page, &say);
    page.until("entry", |entry| entry["body"] == "kept");
    dashboard.process.signal("TERM");
    while page.line().is_some() {}
    let ended = dashboard.process.end_with_open_input();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let listen = dashboard.address.clone();
    let again = Dashboard::start(&house, &["--listen", &listen]);
    let (_, state) = again.page();
    assert_eq!(state["talks"][0]["preview"], "kept");
}

/// A file that only its owner can read.
fn secret_file(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn beyond_loopback_there_is_a_login() {
    let house = House::start(&["alice", "bob", "house"]);
    // Every address of this machine, loopback among them.
    let dashboard = Dashboard::start(&house, &["--listen", "0.0.0.0:0"]);
    let (_, token) = dashboard.link.split_once("login#token=").unwrap();
    assert_eq!(token.len(), 32);
    let index = dashboard.get("/");
    assert_eq!((index.status, index.header("location")), (303, "/login"));
    assert_eq!(dashboard.get("/api/events").status, 401);
    let login = dashboard.get("/login");
    assert_eq!(login.status, 200);
    assert!(login.body.contains("name=\"token\""));
    assert_eq!(dashboard.get("/assets/login.js").status, 200);

    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let give = |token: &str, more: &[(&str, &str)]| {
        let mut headers = vec![form];
        headers.extend(more);
        dashboard.ask("POST", "/login", &headers, &format!("token={token}"))
    };
    let wrong = give("not-the-token-at-all", &[]);
    assert_eq!(wrong.header("location"), "/login?said=wrong");
    assert_eq!(wrong.header("set-cookie"), "");
    let elsewhere = give(token, &[("Origin", "http://evil.example")]);
    assert_eq!(elsewhere.status, 403);
    let right = give(token, &[]);
    assert_eq!((right.status, right.header("location")), (303, "/"));
    let cookie = right.header("set-cookie");
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let with = [("Cookie", cookie), ("Host", "house.example")];
    assert_eq!(dashboard.ask("GET", "/", &with, "").status, 200);
    let answer = dashboard.ask("GET", "/api/talk?with=bob%40hub.test", &with, "");
    assert_eq!(answer.status, 200);
    // Who guesses on waits, with the right one, too.
    for _ in 0..5 {
        give("not-the-token-at-all", &[]);
    }
    let slow = give(token, &[]);
    assert_eq!(slow.header("location"), "/login?said=slow");
    assert!(slow.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[test]
fn a_token_of_ones_own_is_asked_for_on_loopback_too_and_must_be_long() {
    let house = House::start(&["alice", "bob", "house"]);
    let file = house.home.path("token");
    secret_file(&file, "short\n");
    let words = ["--token-file", "token", "--listen", "127.0.0.1:0"];
    let ended = run(house.command("alice", "dashboard", &words));
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.one_line().contains("16 characters"), "{ended:?}");
    secret_file(&file, "a-very-long-token-of-mine\n");
    let dashboard = Dashboard::start(&house, &["--token-file", "token"]);
    assert!(!dashboard.link.contains("token"), "{}", dashboard.link);
    assert_eq!(dashboard.get("/api/events").status, 401);
    let taken = dashboard.address.as_str();
    let ended = run(house.command("bob", "dashboard", &["--listen", taken]));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.one_line().contains("--listen"), "{ended:?}");
}

#[cfg(feature = "gateway")]
#[test]
fn things_are_watched_and_what_they_told_is_plotted() {
    let house = House::start(&["alice", "bob", "house"]);
    let (starttls, pin) = (house.address(), house.pin());
    let text = format!(
        "[[connection]]\njid = \"house@hub.test\"\nconnect = \"{starttls}\"\npin = \"{pin}\"\n\
         store = \"house.sqlite\"\nreaders = [\"alice@hub.test\"]\n\
         controllers = [\"alice@hub.test\"]\n\n\
         [[adapter]]\nname = \"lamps\"\ntype = \"simulated\"\nkind = \"lamp\"\n\
         count = 3\ninterval = \"100ms\"\n"
    );
    std::fs::write(house.home.path("gateway.toml"), text).unwrap();
    let words = words("gateway --config gateway.toml");
    let _gateway = Running::start(house.home.command(PASSWORD, &words));
    let dashboard = Dashboard::start(&house, &[]);
    let (mut page, _) = dashboard.page();
    dashboard.ordered(&page, &json!({ "order": "watch", "jid": "house@hub.test" }));
    let numbers = |things: &Value| {
        let fields = things[0]["fields"].as_object().unwrap();
        fields.values().any(|field| field["number"].is_number())
    };
    let things = page.until("things", numbers);
    assert_eq!(things[0]["account"], "house@hub.test");
    let thing = things[0]["thing"].as_str().unwrap();
    let fields = things[0]["fields"].as_object().unwrap();
    let (field, _) = fields
        .iter()
        .find(|(_, f)| f["number"].is_number())
        .unwrap();
    let of = format!("/api/series?account=house%40hub.test&thing={thing}&field={field}");
    let plot = dashboard.get(&of).json();
    let points = plot["points"].as_array().unwrap();
    assert!(!points.is_empty(), "{plot}");
    let [at, min, mean, max] = [0, 1, 2, 3].map(|n| points[0][n].as_f64().unwrap());
    assert!(min <= mean && mean <= max && at > 1e12, "{plot}");

    let of = json!({ "order": "controls", "account": "house@hub.test", "thing": thing });
    dashboard.ordered(&page, &of);
    let told = page.until("controls", |told| told["controls"].is_array());
    let controls = told["controls"].as_array().unwrap();
    let switch = controls.iter().find(|c| c["kind"] == "switch").unwrap();
    let set = json!({
        "order": "set", "account": "house@hub.test", "thing": thing,
        "parameter": switch["name"], "value": "true",
    });
    dashboard.ordered(&page, &set);
    let done = page.until("command", |command| !command["outcome"].is_null());
    assert_eq!(done["outcome"], "done", "{done}");
}
