//! Things of others over the embedded hub: read, watched, and set by commands that act once;
//! the device is a script.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

mod client;

use std::collections::VecDeque;
use std::time::Duration;

use client::{Client, soon};
use stanchion_connect::{Account, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_device::model::SettingValue;
use stanchion_device::remote::{Command, How, ReadError, Readout, SetError, Watch, WatchEvent};
use stanchion_hub::{Accounts, Fingerprint, Hub, HubConfig};
use stanchion_reliability::engine::Now;
use stanchion_reliability::session::Outgoing;
use stanchion_services::{HostBuilder, Incoming, Input, Output, Service, Taken};
use stanchion_stanza::payload::control::Set;
use stanchion_stanza::payload::datetime::utc;
use stanchion_stanza::payload::iot_events::{Subscribe, Unsubscribe};
use stanchion_stanza::payload::sensordata::{
    Accepted, Field, Fields, Node, Profile, Profiled as _, Request, RequestId, Value,
};
use stanchion_stanza::payload::thing_command::{self, CommandOutcome, CommandResult};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::{Iq, Jid, Message, Payload as _, Stanza, Text, ns};
use stanchion_transport::TlsMode;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

fn text(s: &'static str) -> Text {
    Text::from_static(s)
}

/// A hub; each account's password is its name.
struct Server {
    address: std::net::SocketAddr,
    fingerprint: Fingerprint,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), stanchion_hub::HubError>>,
}

impl Server {
    async fn start() -> Self {
        let names = ["lamp", "phone"];
        let config = HubConfig {
            domain: "home.example".to_owned(),
            starttls: None,
            direct_tls: Some(([127, 0, 0, 1], 0).into()),
            state: None,
            accounts: Accounts::open_demo(names.map(|name| (name, name))).unwrap(),
            ..HubConfig::default()
        };
        let hub = Hub::bind(config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            address: hub.addresses().direct_tls.unwrap(),
            fingerprint: hub.fingerprint(),
            stop,
            running: tokio::spawn(hub.run(async { drop(stopped.await) })),
        }
    }

    fn connector(&self, name: &str) -> Connector {
        let mut config = ConnectConfig::default();
        config.tls.pin = Some(self.fingerprint);
        let endpoint = Endpoint::at(self.address, TlsMode::Direct);
        config.endpoints = Endpoints::Explicit(vec![endpoint]);
        let jid = format!("{name}@home.example").parse().unwrap();
        Connector::new(Account::with_password(jid, name), config).unwrap()
    }

    async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap().unwrap();
    }
}

/// A lamp: its field `on` can be read, and it tells by itself, if it is to; commands are the
/// test's.
#[derive(Default)]
struct Lamp {
    features: Vec<&'static str>,
    outputs: VecDeque<Output<()>>,
    subscriber: Option<(Jid, RequestId)>,
    unsubscribed: usize,
}

impl Lamp {
    fn fields(id: RequestId) -> Fields {
        let field = Field::momentary(text("on"), Value::Boolean(true));
        Fields::of(
            id,
            Node::new(text("lamp")),
            text("2026-01-01T00:00:00Z"),
            vec![field],
        )
    }

    fn tell(&mut self, to: Jid, id: RequestId) {
        let message = Message {
            kind: stanchion_stanza::stanza::MessageType::Normal,
            ..Message::chat(to)
        };
        let fields = Self::fields(id).to_element_in(Profile::Nf);
        let message = message.with_payload(fields);
        self.outputs.push_back(Output::Transmit(message.into()));
    }

    fn value(&mut self) {
        if let Some((to, id)) = self.subscriber.clone() {
            self.tell(to, id);
        }
    }

    fn answer(&mut self, iq: &Iq) -> Option<Iq> {
        let (IqKind::Get(what) | IqKind::Set(what)) = &iq.kind else {
            return None;
        };
        let from = iq.header.from.clone().unwrap();
        let accepted = |id| {
            let queued = false;
            Some(Accepted { id, queued }.to_element_in(Profile::Nf))
        };
        if let Ok(Some((profile, request))) = Request::find_any([what]) {
            assert_eq!(profile, Profile::Nf, "the best that is announced");
            if request.nodes.iter().any(|n| n.id != "lamp") {
                let error = StanzaError::new(ErrorType::Cancel, DefinedCondition::ItemNotFound);
                return Some(iq.refuse(error));
            }
            self.outputs.push_back(Output::Transmit(
                iq.result(accepted(request.id.clone())).into(),
            ));
            self.tell(from, request.id);
            return None;
        }
        if let Ok(Some((_, subscribe))) = Subscribe::find_any([what]) {
            assert!(subscribe.now && subscribe.max_interval.is_some());
            self.subscriber = Some((from, subscribe.id.clone()));
            return Some(iq.result(accepted(subscribe.id)));
        }
        if let Ok(Some(_)) = Unsubscribe::find_any([what]) {
            self.subscriber = None;
            self.unsubscribed += 1;
            return Some(iq.result(None));
        }
        Set::find_any([what]).ok()??;
        Some(iq.result(None))
    }
}

impl Service for Lamp {
    const NAME: &'static str = "test-lamp";
    type Event = ();

    fn features(&self) -> Vec<Text> {
        self.features
            .iter()
            .copied()
            .map(Text::from_static)
            .collect()
    }

    fn handle(&mut self, _: Now, input: Input<'_>) -> Taken {
        if let Input::Stanza(Stanza::Iq(iq)) = input
            && let IqKind::Get(what) | IqKind::Set(what) = &iq.kind
            && what.ns().starts_with("urn:nf:iot")
        {
            if let Some(answer) = self.answer(iq) {
                self.outputs.push_back(Output::Transmit(answer.into()));
            }
            return Taken::Yes;
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<()> {
        self.outputs.pop_front().unwrap_or(Output::Wait(None))
    }

    fn claims(&self, message: &Message) -> bool {
        message.payloads.iter().any(thing_command::Command::matches)
    }
}

type Orders = Incoming;

fn lamp(
    features: Vec<&'static str>,
) -> impl FnOnce(&mut HostBuilder) -> (stanchion_services::Handle<Lamp>, Orders) {
    move |builder| {
        builder.add_claiming(Lamp {
            features,
            ..Lamp::default()
        })
    }
}

/// Takes one command, and says what became of it.
async fn carry_out(lamp: &Client, orders: &mut Orders, result: CommandResult) -> (Set, String) {
    let received = soon(orders.recv()).await.unwrap();
    let message = received.message().clone();
    let (_, set) = Set::find_any(message.payloads.iter()).unwrap().unwrap();
    let command: thing_command::Command = message.payload().unwrap().unwrap();
    assert!(
        command.by.is_some_and(|by| by > 1_700_000_000_000),
        "{}",
        utc(0)
    );
    let of = message.header.id.clone().unwrap();
    let outcome = CommandOutcome {
        of: of.clone(),
        result,
        text: text("so it is"),
    };
    let to = message.header.from.clone().unwrap();
    let answer = Outgoing::payload(to, outcome.to_element());
    lamp.session.sender().send(answer).await.unwrap();
    received.commit().await.unwrap();
    (set, of.to_string())
}

fn on() -> Command {
    Command::set(text("on"), SettingValue::Boolean(true)).of(text("lamp"))
}

#[tokio::test]
async fn a_thing_is_read_in_the_best_profile_and_tells_by_itself() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let features = vec![ns::IOT_SENSORDATA, ns::IOT_SENSORDATA_NF, ns::IOT_EVENTS_NF];
    let path = folder.path().join("l");
    let start = Client::start_with(server.connector("lamp"), &path, lamp(features));
    let (device, (handle, _orders)) = start.await;
    let phone = Client::start(server.connector("phone"), &folder.path().join("p")).await;
    let (things, jid) = (&phone.things, device.jid());

    let readings = soon(things.read(&jid, Readout::momentary())).await.unwrap();
    assert_eq!(readings.field("on").unwrap().value, Value::Boolean(true));
    assert_eq!(&*readings.things()[0].id, "lamp");
    let none = soon(things.read(&jid, Readout::momentary().of(text("attic")))).await;
    assert!(
        matches!(none, Err(ReadError::NoSuchThing { .. })),
        "{none:?}"
    );
    let account = jid.to_bare().into();
    let unseen = soon(things.read(&account, Readout::momentary())).await;
    assert!(
        matches!(unseen, Err(ReadError::NoneSeen { .. })),
        "{unseen:?}"
    );

    let mut watching = things.watch(&jid, Watch::all());
    let first = soon(watching.next()).await.unwrap();
    assert_eq!(first, WatchEvent::Subscribed { of: jid.clone() });
    for _ in 0..3 {
        handle.call(|lamp, _| lamp.value()).await.unwrap();
        let WatchEvent::Values(part) = soon(watching.next()).await.unwrap() else {
            panic!("no values")
        };
        assert_eq!(part.values.len(), 1);
    }
    drop(watching);
    soon(async {
        while handle.call(|lamp, _| lamp.unsubscribed).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    device.stop().await;
    phone.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_command_ends_with_the_word_of_the_device_and_is_found_after_a_restart() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let features = || vec![ns::IOT_CONTROL_NF, ns::THING_COMMAND];
    let path = folder.path().join("l");
    let start = Client::start_with(server.connector("lamp"), &path, lamp(features()));
    let (device, (_, mut orders)) = start.await;
    let file = folder.path().join("p");
    let phone = Client::start(server.connector("phone"), &file).await;
    let jid = device.jid();

    for (result, wanted) in [
        (CommandResult::Done, "done"),
        (CommandResult::Refused, "refused the command: so it is"),
        (CommandResult::Forbidden, "does not allow us the command"),
        (CommandResult::Expired, "expired before it was carried out"),
        (CommandResult::Unavailable, "the thing is not there"),
        (CommandResult::InDoubt, "nobody knows"),
    ] {
        let device = carry_out(&device, &mut orders, result);
        let (set, ended) = tokio::join!(device, soon(phone.things.set(&jid, on())));
        assert_eq!(set.0.parameters, on().settings);
        let said = match ended {
            Ok(done) => {
                assert_eq!(done.key.as_ref(), Some(&set.1));
                "done".to_owned()
            }
            Err(error) => {
                assert_eq!(error.had_no_effect(), result.had_no_effect());
                error.to_string()
            }
        };
        assert!(said.contains(wanted), "{said}");
    }

    // It is away, and so is whoever gave the command before there is a word.
    let account: Jid = jid.to_bare().into();
    device.stop().await;
    let given = soon(phone.things.give(&account, on().how(How::Once)))
        .await
        .unwrap();
    let key = given.key().to_owned();
    drop(given);
    phone.stop().await;
    let start = Client::start_with(server.connector("lamp"), &path, lamp(features()));
    let (device, (_, mut orders)) = start.await;
    let phone = Client::start(server.connector("phone"), &file).await;
    let given = soon(phone.things.find_command(&key)).await.unwrap();
    let carried = carry_out(&device, &mut orders, CommandResult::Done);
    let ((_, of), done) = tokio::join!(carried, soon(given.outcome()));
    assert_eq!((&of, done.unwrap().key), (&key, Some(key.clone())));
    // And again, from what is kept.
    assert!(soon(given.outcome()).await.is_ok());
    let none = phone.things.find_command("nothing").await;
    assert!(matches!(none, Err(SetError::NoSuchCommand(_))));
    device.stop().await;
    phone.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn there_always_is_an_answer_soon_after_the_time_is_over() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let features = vec![ns::IOT_CONTROL_NF, ns::THING_COMMAND];
    let path = folder.path().join("l");
    let start = Client::start_with(server.connector("lamp"), &path, lamp(features));
    let (device, (_, mut orders)) = start.await;
    let phone = Client::start(server.connector("phone"), &folder.path().join("p")).await;
    let jid = device.jid();
    let mut order = on().within(Duration::from_millis(700));
    order.grace = Duration::from_millis(300);
    // The device takes it, and says nothing.
    let silent = async { soon(orders.recv()).await.unwrap().commit().await.unwrap() };
    let (_, ended) = tokio::join!(silent, soon(phone.things.set(&jid, order.clone())));
    let Err(SetError::InDoubt { key: Some(key), .. }) = ended else {
        panic!("{ended:?}")
    };
    // What it says later is told who asks again.
    let late = CommandOutcome {
        of: Text::new(key.clone()).unwrap(),
        result: CommandResult::Refused,
        text: Text::default(),
    };
    let late = Outgoing::payload(phone.jid(), late.to_element());
    let sent = device.session.sender().send(late).await.unwrap();
    soon(sent.outcome()).await.unwrap();
    let word = soon(phone.things.find_command(&key)).await.unwrap();
    assert!(matches!(
        soon(word.outcome()).await,
        Err(SetError::Refused { .. })
    ));

    // The device is away all the while.
    let account: Jid = jid.to_bare().into();
    device.stop().await;
    let ended = soon(phone.things.set(&account, order.how(How::Once))).await;
    let error = ended.unwrap_err();
    assert!(
        matches!(error, SetError::InDoubt { .. } | SetError::Expired { .. }),
        "{error:?}"
    );
    phone.stop().await;
    server.stop().await;
}
