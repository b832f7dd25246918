//! The verbs for things of others, against the hub that the command brings; the thing is a
//! script in this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    dead_code,
    reason = "what tests have in common is more than is used here"
)]

mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use common::{Ended, Home, Running, run, words};
use serde_json::{Value as Json, json};
use stanchion::connect::{Account, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion::device::model::{Node, Value};
use stanchion::reliability::engine::Now;
use stanchion::reliability::store::{Image, MemoryStore, Opening, Seed, Transactor, WallTime};
use stanchion::services::{HostBuilder, Input, Output, Service, Standard, StandardConfig, Taken};
use stanchion::session::{Session, SessionConfig, Status};
use stanchion::stanza::payload::control::{GetForm, Set, SetResponse, Value as Setting};
use stanchion::stanza::payload::forms::{Field as FormField, FieldType, Form, FormType};
use stanchion::stanza::payload::iot_events::Subscribe;
use stanchion::stanza::payload::sensordata::{
    Accepted, Field, Fields, Profile, Profiled as _, Request, RequestId,
};
use stanchion::stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion::stanza::{Element, Iq, Jid, Message, Payload as _, Stanza, Text, ns};
use stanchion::transport::TlsMode;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

const PASSWORD: &str = "correct-horse";
const P: Profile = Profile::Nf;

fn text(s: &'static str) -> Text {
    Text::from_static(s)
}

/// A hall with a temperature and a lamp.
struct Hall {
    outputs: VecDeque<Output<()>>,
    set: Sender<Set>,
}

impl Hall {
    fn tell(&mut self, to: Jid, id: RequestId) {
        let temperature = Value::Numeric {
            value: "21.50".parse().unwrap(),
            unit: text("Cel"),
        };
        let fields = vec![
            Field::momentary(text("temperature"), temperature),
            Field::momentary(text("on"), Value::Boolean(true)),
        ];
        let at = text("2026-01-01T00:00:00Z");
        let fields = Fields::of(id, Node::new(text("hall")), at, fields);
        let message = Message::chat(to).with_payload(fields.to_element_in(P));
        self.outputs.push_back(Output::Transmit(message.into()));
    }

    fn answer(&mut self, iq: &Iq, what: &Element) -> Iq {
        let refuse = |kind, condition| iq.refuse(StanzaError::new(kind, condition));
        let from = iq.header.from.clone().unwrap();
        if let Ok(Some((_, Request { id, nodes, .. }))) = Request::find_any([what]) {
            if nodes.iter().any(|n| n.id != "hall") {
                return refuse(ErrorType::Cancel, DefinedCondition::ItemNotFound);
            }
            // Before it is accepted, as may be.
            self.tell(from, id.clone());
            let accepted = Accepted { id, queued: false };
            return iq.result(Some(accepted.to_element_in(P)));
        }
        if let Ok(Some((_, Subscribe { id, .. }))) = Subscribe::find_any([what]) {
            self.tell(from.clone(), id.clone());
            self.tell(from, id.clone());
            let accepted = Accepted { id, queued: false };
            return iq.result(Some(accepted.to_element_in(P)));
        }
        if GetForm::profile_of(what).is_some() {
            let mut form = Form::new(FormType::Form);
            let level = FormField::with_values(text("level"), vec![text("0")]);
            let mut level = level.with_kind(FieldType::TextSingle);
            let validate = Element::new("validate", "http://jabber.org/protocol/xdata-validate");
            level.extensions = vec![validate.with_attr("datatype", text("xs:long"))];
            form.fields = vec![level];
            return iq.result(Some(form.to_element()));
        }
        match Set::find_any([what]) {
            Ok(Some((_, set))) if set.parameters.iter().any(|p| p.name == "secret") => {
                refuse(ErrorType::Auth, DefinedCondition::Forbidden)
            }
            Ok(Some((_, set))) => {
                self.set.send(set).unwrap();
                iq.result(Some(SetResponse::ok().to_element_in(P)))
            }
            _ => iq.result(None),
        }
    }
}

impl Service for Hall {
    const NAME: &'static str = "test-hall";
    type Event = ();

    fn features(&self) -> Vec<Text> {
        [ns::IOT_SENSORDATA_NF, ns::IOT_CONTROL_NF, ns::IOT_EVENTS_NF]
            .map(text)
            .to_vec()
    }

    fn handle(&mut self, _: Now, input: Input<'_>) -> Taken {
        if let Input::Stanza(Stanza::Iq(iq)) = input
            && let IqKind::Get(what) | IqKind::Set(what) = &iq.kind
            && what.ns().starts_with("urn:nf:iot")
        {
            let answer = self.answer(iq, what);
            self.outputs.push_back(Output::Transmit(answer.into()));
            return Taken::Yes;
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<()> {
        self.outputs.pop_front().unwrap_or(Output::Wait(None))
    }
}

/// A hub in a process of its own, and the hall at it, as a device of `alice`.
struct Scene {
    home: Home,
    _hub: Running,
    ready: Json,
    jid: String,
    set: Receiver<Set>,
    _end: oneshot::Sender<()>,
    _runtime: Runtime,
}

impl Scene {
    fn start() -> Self {
        let home = Home::new();
        let mut hub = words("hub --json --domain hub.test --direct-tls 127.0.0.1:0 --state hub");
        let users = ["alice", "bob"].map(|u| format!("{u}:{PASSWORD}"));
        hub.extend(["--starttls", "127.0.0.1:0"]);
        for user in &users {
            hub.extend(["--user", user]);
        }
        let mut process = Running::start(home.command("", &hub));
        let ready: Json = serde_json::from_str(&process.line()).unwrap();
        let mut config = ConnectConfig::default();
        config.tls.pin = Some(ready["fingerprint"].as_str().unwrap().parse().unwrap());
        let place = ready["direct_tls"].as_str().unwrap().parse().unwrap();
        config.endpoints = Endpoints::Explicit(vec![Endpoint::at(place, TlsMode::Direct)]);
        let account = Account::with_password("alice@hub.test".parse().unwrap(), PASSWORD);
        let connector = Connector::new(account, config).unwrap();
        let runtime = Runtime::new().unwrap();
        let (set_in, set) = channel();
        let (end, ended) = oneshot::channel::<()>();
        let (online_in, online) = channel();
        runtime.spawn(async move {
            let opening = Opening::new(Seed::from_os().unwrap(), WallTime::from_unix_ms(0));
            let store = MemoryStore::open(Image::default(), &opening).unwrap();
            let mut config = SessionConfig::default();
            config.presence = None;
            let (session, receiver, stanzas) =
                Session::start_with_stanzas(Arc::new(connector), Box::new(store), config)
                    .await
                    .unwrap();
            let hall = Hall {
                outputs: VecDeque::new(),
                set: set_in,
            };
            let _services = Standard::start_with(
                StandardConfig::default(),
                session.sender(),
                receiver,
                stanzas,
                Transactor::in_memory().unwrap(),
                |builder: &mut HostBuilder| builder.add(hall),
            )
            .await
            .unwrap();
            let mut status = session.status();
            let up = status
                .wait_for(|s| matches!(s, Status::Connected { .. }))
                .await;
            if let Status::Connected { jid, .. } = &*up.unwrap() {
                online_in.send(jid.to_string()).unwrap();
            }
            let _ = ended.await;
        });
        let jid = online.recv_timeout(Duration::from_secs(30)).unwrap();
        Self {
            home,
            _hub: process,
            ready,
            jid,
            set,
            _end: end,
            _runtime: runtime,
        }
    }

    /// A command of an account, which has a store of its own.
    fn run(&self, user: &str, verb: &str, rest: &[&str]) -> Ended {
        let (jid, store) = (format!("{user}@hub.test"), format!("{user}.sqlite"));
        let mut all = vec![verb, "--jid", &jid, "--store", &store];
        all.extend(["--connect", self.ready["starttls"].as_str().unwrap()]);
        all.extend(["--pin", self.ready["fingerprint"].as_str().unwrap()]);
        all.extend(rest);
        run(self.home.command(PASSWORD, &all))
    }
}

#[test]
fn a_thing_is_listed_read_watched_and_set() {
    let scene = Scene::start();
    let jid = scene.jid.as_str();

    let listed = scene.run("bob", "things", &[jid]);
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(listed.stdout.contains("tells by itself"), "{listed:?}");
    assert!(
        listed.stdout.ends_with("hall: temperature, on\n"),
        "{listed:?}"
    );
    let listed = scene.run("bob", "things", &["--json", jid]);
    assert_eq!(listed.json()[0]["thing"], "hall");

    let read = scene.run("bob", "read", &[jid]);
    assert_eq!(
        read.stdout, "hall temperature 21.50 Cel\nhall on true\n",
        "{read:?}"
    );
    let read = scene.run(
        "bob",
        "read",
        &[jid, "hall", "temperature", "-F", "%v {unit}"],
    );
    assert_eq!((read.code, &*read.stdout), (0, "21.50 Cel\n"), "{read:?}");
    let read = scene.run("bob", "read", &["--json", "-C", "1", jid]);
    let wanted = json!({ "thing": "hall", "field": "temperature", "value": 21.5, "unit": "Cel",
        "time": "2026-01-01T00:00:00.000Z", "quality": ["automaticReadout"] });
    assert_eq!(read.json(), [wanted]);
    // A device of one's own account is seen.
    let read = scene.run(
        "alice",
        "read",
        &["alice@hub.test", "hall", "on", "-F", "%v"],
    );
    assert_eq!((read.code, &*read.stdout), (0, "true\n"), "{read:?}");

    let watched = scene.run("bob", "watch", &[jid, "-C", "3", "-W", "20", "-F", "%f"]);
    assert_eq!(
        watched.stdout, "temperature\non\ntemperature\n",
        "{watched:?}"
    );
    assert_eq!(watched.code, 0);

    // The type is the form's, or the field's, or the one that is said.
    let set = scene.run(
        "bob",
        "set",
        &[jid, "hall", "level=40", "name:string=7", "on=true"],
    );
    assert_eq!((set.code, &*set.stdout), (0, "done\n"), "{set:?}");
    let set = scene.set.recv_timeout(Duration::from_secs(5)).unwrap();
    let values: Vec<_> = set.parameters.into_iter().map(|p| p.value).collect();
    let wanted = [
        Setting::Long(40),
        Setting::String(text("7")),
        Setting::Boolean(true),
    ];
    assert_eq!((values, &*set.nodes[0].id), (wanted.to_vec(), "hall"));
    let set = scene.run(
        "bob",
        "set",
        &["--json", jid, "hall", "level=41", "--within", "10s"],
    );
    assert_eq!(set.json()[0]["result"], "done");
}

#[test]
fn what_goes_wrong_has_its_code_and_one_line_that_says_what_to_do() {
    let scene = Scene::start();
    let jid = scene.jid.as_str();
    let nobody = "alice@hub.test/nobody";
    for (code, verb, words, says) in [
        (1, "read", vec![jid, "attic"], "no such thing"),
        (1, "read", vec![nobody], "is not there"),
        (1, "read", vec!["alice@hub.test"], "give the full address"),
        (
            1,
            "read",
            vec![jid, "hall", "humidity"],
            "lists what there is",
        ),
        (2, "read", vec![jid, "-F", "%x"], "after a percent sign"),
        (
            1,
            "watch",
            vec![jid, "-C", "9", "-W", "1"],
            "4 of 9 values came",
        ),
        (2, "set", vec![jid, "hall", "on"], "NAME=VALUE"),
        (2, "set", vec![jid, "hall", "level=much"], "no long"),
        (
            13,
            "set",
            vec![jid, "hall", "secret:int=1"],
            "ask its owner",
        ),
        (
            10,
            "set",
            vec![nobody, "hall", "on:boolean=true"],
            "not there",
        ),
    ] {
        let ended = scene.run("bob", verb, &words);
        assert_eq!(ended.code, code, "{verb} {words:?}: {ended:?}");
        assert!(
            ended.one_line().contains(says),
            "{verb} {words:?}: {ended:?}"
        );
    }
}
