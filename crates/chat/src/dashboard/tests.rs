//! The dashboard without a client: what happens is made by hand, and what a browser would
//! read is read over a connection of its own.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value as Json, json};
use stanchion::BareJid;
use stanchion::device::history::{History as Readings, HistoryConfig};
use stanchion::device::model::{Reading, Sample, Value};
use stanchion::reliability::store::{Transactor, WallTime};
use stanchion::services::history::{Direction, Entry, Place, Progress};
use stanchion::stanza::Text;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::site::Parts;
use super::{Dashboard, Door, Seat};
use crate::app::{Event, Member, Notice, Order, Point, RoomChange, Severity, ThingKey};

/// Nothing here takes so long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(30);

fn jid(text: &str) -> BareJid {
    text.parse().unwrap()
}

/// A dashboard, and both ends of what is behind it.
struct Scene {
    dashboard: Dashboard,
    address: SocketAddr,
    csrf: String,
    events: mpsc::Sender<Event>,
    orders: mpsc::Receiver<Order>,
    looked_at: watch::Receiver<bool>,
}

impl Scene {
    async fn start() -> Self {
        Self::with(None, None).await
    }

    async fn with(tour: Option<Seat>, readings: Option<Readings>) -> Self {
        let listen = ([127, 0, 0, 1], 0).into();
        let door = Door::open(listen, None).await.unwrap();
        let address = door.listener.local_addr().unwrap();
        let csrf = door.guard.csrf().to_owned();
        let (events, events_rx) = mpsc::channel(64);
        let (orders, orders_rx) = mpsc::channel(4);
        let parts = |guard, asks, acts| Parts {
            guard,
            asks,
            acts,
            orders,
            history: None,
            readings,
        };
        let account = jid("anna@home.example");
        let (dashboard, looked_at) = Dashboard::serve(door, account, events_rx, parts, tour);
        Self {
            dashboard,
            address,
            csrf,
            events,
            orders: orders_rx,
            looked_at,
        }
    }

    async fn tell(&self, event: Event) {
        self.events.send(event).await.unwrap();
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Asks, and gives the head and the body of the answer.
    async fn ask(&self, method: &str, path: &str, more: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect().await;
        let long = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Length: {long}\r\n{more}\r\n{body}",
            self.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    async fn get(&self, path: &str) -> (u16, Json) {
        let (status, body) = self.ask("GET", path, "", "").await;
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    async fn order(&self, order: &str) -> (u16, String) {
        let more = format!(
            "Content-Type: application/json\r\nX-Stanchion-Csrf: {}\r\n",
            self.csrf
        );
        self.ask("POST", "/api/orders", &more, order).await
    }

    async fn page(&self) -> Page {
        let mut stream = self.connect().await;
        let request = format!("GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        Page {
            stream,
            read: Vec::new(),
            body: Vec::new(),
        }
    }
}

/// A page that reads the stream of events.
struct Page {
    stream: TcpStream,
    /// What came and is not taken apart yet.
    read: Vec<u8>,
    /// What chunks were made of.
    body: Vec<u8>,
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|part| part == what)
}

impl Page {
    /// The next event as it stood there; none at the end of the stream.
    async fn next_raw(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.body, b"\n\n") {
                let event = self.body.drain(..end + 2).collect();
                return Some(String::from_utf8(event).unwrap());
            }
            if !self.unchunk() {
                let mut some = vec![0; 65_536];
                let reading = tokio::time::timeout(LIMIT, self.stream.read(&mut some));
                match reading.await.expect("an event comes").unwrap() {
                    0 => return None,
                    count => self.read.extend_from_slice(&some[..count]),
                }
            }
        }
    }

    /// Takes the head off, or a chunk. Whether there was one.
    fn unchunk(&mut self) -> bool {
        if self.read.starts_with(b"HTTP/1.1 ") {
            let Some(end) = find(&self.read, b"\r\n\r\n") else {
                return false;
            };
            let head = String::from_utf8(self.read.drain(..end + 4).collect()).unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            assert!(head.contains("content-type: text/event-stream"), "{head}");
        }
        let Some(end) = find(&self.read, b"\r\n") else {
            return false;
        };
        let long = std::str::from_utf8(&self.read[..end]).unwrap();
        let long = usize::from_str_radix(long, 16).unwrap();
        if self.read.len() < end + 2 + long + 2 {
            return false;
        }
        self.body
            .extend_from_slice(&self.read[end + 2..end + 2 + long]);
        self.read.drain(..end + 2 + long + 2);
        true
    }

    async fn next(&mut self) -> Option<(String, Json)> {
        loop {
            let raw = self.next_raw().await?;
            let mut lines = raw.lines();
            let name = lines.next().unwrap();
            if let Some(name) = name.strip_prefix("event: ") {
                let data = lines.next().unwrap().strip_prefix("data: ").unwrap();
                return Some((name.to_owned(), serde_json::from_str(data).unwrap()));
            }
        }
    }

    /// The next event of that name.
    async fn until(&mut self, name: &str) -> Json {
        let over = tokio::time::Instant::now() + LIMIT;
        loop {
            assert!(tokio::time::Instant::now() < over, "no {name} in time");
            let (is, data) = self.next().await.expect("the stream goes on");
            if is == name {
                return data;
            }
        }
    }
}

fn said(at: i64, direction: Direction, body: &str) -> Event {
    let at_time = WallTime::from_unix_ms(at);
    let place = Place {
        at: at_time,
        row: at,
    };
    let mut entry = Entry::new(place, jid("bob@home.example"), direction, body);
    entry.id = Some(format!("id{at}"));
    if direction == Direction::Out {
        entry.progress = Some(Progress::Accepted);
    }
    Event::Said(Box::new(entry))
}

fn value(thing: &'static str, at: i64, value: Value) -> Event {
    let of = ThingKey {
        account: jid("house@home.example"),
        thing: Text::from_static(thing),
    };
    let readings = vec![Reading::automatic(Text::from_static("power"), value)];
    Event::Values {
        of,
        points: vec![Point { at, readings }],
    }
}

fn notice(text: &str) -> Event {
    Event::Notice(Notice {
        at: 1,
        severity: Severity::Info,
        text: text.to_owned(),
    })
}

#[tokio::test]
async fn a_page_gets_everything_and_then_what_changes() {
    let scene = Scene::start().await;
    scene.tell(said(1, Direction::In, "before")).await;
    let mut page = scene.page().await;
    let state = page.until("state").await;
    assert_eq!(state["account"], "anna@home.example");
    assert_eq!(state["csrf"], scene.csrf.as_str());
    assert_eq!(state["talks"][0]["preview"], "before");
    let opened = scene
        .order(r#"{"order":"open","with":"bob@home.example"}"#)
        .await;
    assert_eq!(opened.0, 202);
    scene.tell(said(2, Direction::Out, "after")).await;
    let entry = page.until("entry").await;
    assert_eq!(
        (&entry["body"], &entry["stage"]),
        (&json!("after"), &json!("kept"))
    );
    assert_eq!(entry["can"], json!(["cancel"]));
    let progress = Progress::InDoubt;
    let (id, why) = (
        "id2".to_owned(),
        Some("the server said <b>no</b>".to_owned()),
    );
    scene.tell(Event::Progress { id, progress, why }).await;
    let entry = page.until("entry").await;
    assert_eq!(entry["stage"], "in doubt");
    assert_eq!(entry["can"], json!(["cancel", "again"]));
    assert_eq!(entry["why"], "the server said <b>no</b>");
}

#[tokio::test]
async fn what_nobody_opened_is_not_told_message_by_message() {
    let scene = Scene::start().await;
    let mut page = scene.page().await;
    page.until("state").await;
    scene.tell(said(1, Direction::In, "hello")).await;
    scene.tell(notice("last")).await;
    let mut names = Vec::new();
    while let Some((name, _)) = page.next().await {
        names.push(name);
        if names.last().is_some_and(|name| name == "notice") {
            break;
        }
    }
    assert_eq!(names, ["talk", "notice"]);
}

#[tokio::test]
async fn what_strangers_say_is_a_string_and_nothing_else() {
    let scene = Scene::start().await;
    let mut page = scene.page().await;
    page.until("state").await;
    scene
        .order(r#"{"order":"open","with":"bob@home.example"}"#)
        .await;
    let hostile = "</script><script>alert(1)</script>\u{2028}\u{202e}\u{1b}[2J\u{9b}\u{0}\"\\\r\n\r\nevent: state\ndata: {}\n\n";
    scene.tell(said(1, Direction::In, hostile)).await;
    let room = jid("tea@rooms.example");
    let nick = hostile.to_owned();
    let member = Member {
        nick: nick.clone(),
        role: "moderator".to_owned(),
        affiliation: "owner".to_owned(),
        jid: None,
    };
    let change = RoomChange::Entered {
        nick: "anna".to_owned(),
        members: vec![member],
        topic: nick.clone(),
    };
    scene.tell(Event::Room { room, change }).await;
    scene
        .tell(value(
            "<b>",
            1,
            Value::String(Text::from_static("<i>\u{2029}")),
        ))
        .await;
    scene.tell(notice(hostile)).await;
    let mut seen = 0;
    while seen < 4 {
        let raw = page.next_raw().await.unwrap();
        assert!(
            !raw.contains([
                '<', '>', '\u{2028}', '\u{2029}', '\u{202e}', '\u{1b}', '\u{9b}'
            ]),
            "{raw}"
        );
        assert_eq!(
            raw.lines().count(),
            3,
            "an event is one line of data: {raw}"
        );
        let data: Json = serde_json::from_str(&raw.lines().nth(1).unwrap()[6..]).unwrap();
        seen += match raw.lines().next().unwrap() {
            "event: entry" => {
                assert_eq!(data["body"], hostile);
                1
            }
            "event: room" => {
                assert_eq!(data["members"][0]["nick"], hostile);
                assert_eq!(data["topic"], hostile);
                1
            }
            "event: things" => {
                assert_eq!(data[0]["thing"], "<b>");
                assert_eq!(data[0]["fields"]["power"]["value"], "<i>\u{2029}");
                1
            }
            "event: notice" => {
                assert_eq!(data["text"], hostile);
                1
            }
            _ => 0,
        };
    }
}

#[tokio::test]
async fn a_huge_text_is_cut() {
    let scene = Scene::start().await;
    let mut page = scene.page().await;
    page.until("state").await;
    scene.tell(notice(&"ä".repeat(1_000_000))).await;
    let told = page.until("notice").await;
    assert_eq!(told["text"].as_str().unwrap().chars().count(), 2001);
}

#[tokio::test]
async fn values_of_a_thousand_things_are_told_together_and_the_last_one_counts() {
    let scene = Scene::start().await;
    let mut page = scene.page().await;
    page.until("state").await;
    for at in 0..5000 {
        let number = Value::Int(i32::try_from(at).unwrap());
        scene.tell(value("meter", at, number)).await;
    }
    let mut batches = 0;
    loop {
        let things = page.until("things").await;
        batches += 1;
        let power = &things[0]["fields"]["power"];
        assert_eq!(power["type"], "int");
        if power["number"] == 4999.0 {
            break;
        }
    }
    // Five thousand changes in a few seconds at most, and four batches in one.
    assert!(batches <= 40, "{batches}");
}

#[tokio::test]
async fn a_page_that_does_not_read_gets_the_state_anew_and_no_gap() {
    let scene = Scene::start().await;
    let mut slow = scene.page().await;
    let mut quick = scene.page().await;
    slow.until("state").await;
    quick.until("state").await;
    // More than a connection and the bound of a page hold.
    let text = "x".repeat(1900);
    for n in 0..40 {
        for m in 0..100 {
            scene.tell(notice(&format!("{n} {m} {text}"))).await;
        }
        // The quick one keeps up, as all of these are told.
        loop {
            let told = quick.until("notice").await;
            let told = told["text"].as_str().unwrap();
            if told.starts_with(&format!("{n} 99 ")) {
                break;
            }
        }
    }
    let mut last = String::new();
    let state = loop {
        let (name, data) = slow.next().await.unwrap();
        match name.as_str() {
            "state" => break data,
            "notice" => last = data["text"].as_str().unwrap()[..6].to_owned(),
            _ => {}
        }
    };
    assert!(!last.starts_with("39 99"), "it was not slow");
    let notices = state["notices"].as_array().unwrap();
    let newest = notices.last().unwrap()["text"].as_str().unwrap();
    assert!(newest.starts_with("39 99 "), "{}", &newest[..6]);
    scene.tell(notice("and on")).await;
    assert_eq!(slow.until("notice").await["text"], "and on");
}

#[tokio::test]
async fn so_many_pages_are_open_and_no_more_and_somebody_looks_while_there_is_one() {
    let mut scene = Scene::start().await;
    assert!(!*scene.looked_at.borrow());
    let mut pages = Vec::new();
    for _ in 0..super::board::PAGES {
        let mut page = scene.page().await;
        page.until("state").await;
        pages.push(page);
    }
    let (status, said) = scene.get("/api/events").await;
    assert_eq!(status, 503);
    assert!(said["error"].as_str().unwrap().contains("close"), "{said}");
    scene.looked_at.wait_for(|looks| *looks).await.unwrap();
    pages.clear();
    let seen = async {
        // Who has gone is noticed when something is told.
        while *scene.looked_at.borrow() {
            scene.events.send(notice("x")).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, seen).await.unwrap();
    scene.page().await.until("state").await;
}

#[tokio::test]
async fn an_order_is_taken_once_it_is_whole_and_refused_with_a_reason() {
    let mut scene = Scene::start().await;
    let say = r#"{"order":"say","to":"bob@home.example","text":"hello"}"#;
    assert_eq!(scene.order(say).await.0, 202);
    let Some(Order::Say { to, text }) = scene.orders.recv().await else {
        panic!("another order");
    };
    assert_eq!((to.as_str(), text.as_str()), ("bob@home.example", "hello"));
    let (status, why) = scene.order(r#"{"order":"say","to":"@","text":"x"}"#).await;
    assert_eq!(status, 400);
    assert!(why.contains("anna@example.org"), "{why}");
    let form = "Content-Type: text/plain\r\n";
    let with = format!("{form}X-Stanchion-Csrf: {}\r\n", scene.csrf);
    assert_eq!(scene.ask("POST", "/api/orders", &with, say).await.0, 415);
    assert_eq!(scene.ask("POST", "/api/orders", form, say).await.0, 403);
    let huge = format!(
        r#"{{"order":"say","to":"a@b","text":"{}"}}"#,
        "x".repeat(300_000)
    );
    assert_eq!(scene.order(&huge).await.0, 413);
    let tour = scene.order(r#"{"order":"tour","button":"kill"}"#).await;
    assert_eq!(tour.0, 404);
    // So many wait, and no more.
    let mut refused = None;
    for _ in 0..5 {
        let (status, why) = scene.order(say).await;
        if status == 503 {
            refused = Some(why);
        }
    }
    assert!(refused.unwrap().contains("try again"));
    scene.orders.close();
    while scene.orders.recv().await.is_some() {}
    let (status, why) = scene.order(say).await;
    assert_eq!(status, 503);
    assert!(why.contains("start stanchion dashboard again"), "{why}");
}

#[tokio::test]
async fn the_tour_is_told_as_it_is_and_its_buttons_are_pressed() {
    let (tell, told) = watch::channel(std::sync::Arc::new(json!({ "lost": 0 })));
    let (acts, mut pressed) = mpsc::channel(1);
    let scene = Scene::with(Some(Seat { told, acts }), None).await;
    let mut page = scene.page().await;
    assert_eq!(page.until("state").await["tour"]["lost"], 0);
    let button = r#"{"order":"tour","button":"kill"}"#;
    assert_eq!(scene.order(button).await.0, 202);
    assert_eq!(pressed.recv().await.unwrap(), "kill");
    tell.send_replace(std::sync::Arc::new(json!({ "lost": 7 })));
    assert_eq!(page.until("tour").await["lost"], 7);
    drop(tell);
    scene.tell(notice("and on")).await;
    page.until("notice").await;
}

#[tokio::test]
async fn a_plot_comes_out_of_the_history_and_what_is_wrong_with_a_question_is_said() {
    let store = Transactor::in_memory().unwrap();
    let start = WallTime::from_unix_ms(0);
    let readings = Readings::open(store, HistoryConfig::default(), start);
    let readings = readings.await.unwrap();
    let samples = (0..100).map(|at| {
        let thing = Text::from_static("house@home.example/meter");
        let at_time = WallTime::from_unix_ms(at * 1000);
        let value = Value::Int(i32::try_from(at).unwrap());
        Sample::one(thing, at_time, Text::from_static("power"), value)
    });
    let now = WallTime::from_unix_ms(100_000);
    readings.remember(now, samples.collect()).await.unwrap();
    let scene = Scene::with(None, Some(readings)).await;
    let of = "/api/series?account=house%40home.example&thing=meter&field=power";
    let (status, plot) = scene
        .get(&format!("{of}&from=0&until=99999&buckets=10"))
        .await;
    assert_eq!(status, 200);
    assert_eq!(plot["points"].as_array().unwrap().len(), 10);
    assert_eq!(plot["points"][1], json!([14500, 10.0, 14.5, 19.0]));
    let (_, all) = scene.get(of).await;
    assert_eq!((&all["from"], &all["until"]), (&json!(0), &json!(99_000)));
    let (status, wrong) = scene.get("/api/series?account=%40&field=power").await;
    assert_eq!(status, 400);
    assert!(wrong["error"].as_str().unwrap().contains("account"));
    let (status, _) = scene
        .get("/api/series?account=a%40b&field=x&from=soon")
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn at_its_end_streams_end_and_connections_close_and_who_tells_can_end() {
    let scene = Scene::start().await;
    let mut page = scene.page().await;
    page.until("state").await;
    let mut idle = scene.connect().await;
    let mut half = scene.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let Scene {
        dashboard, events, ..
    } = scene;
    let closing = tokio::spawn(dashboard.close());
    while page.next().await.is_some() {}
    // More than there is room for: all of it is taken.
    for n in 0..500 {
        events.send(notice(&n.to_string())).await.unwrap();
    }
    assert!(!closing.is_finished());
    drop(events);
    let closed = tokio::time::timeout(LIMIT, closing).await;
    closed.unwrap().unwrap().unwrap();
    for stream in [&mut idle, &mut half] {
        let mut rest = Vec::new();
        // Closed, or reset: it has ended.
        let _ = stream.read_to_end(&mut rest).await;
    }
}
