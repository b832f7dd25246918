//! With Debian's mosquitto as the broker, and a client of `rumqttc` as devices and as
//! whoever reads what we announce.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, Publish, QoS};
use serde_json::{Value as Json, json};
use stanchion_device::adapter::{
    AdapterEvent, Control, Order, OrderError, Report, State, Supervisor, SupervisorConfig,
    from_adapters,
};
use stanchion_device::adapters::mqtt::{
    Adapter, Broker, Config, Feed, Publisher, PublisherConfig, Tls, Wanted,
};
use stanchion_device::model::{
    FieldSpec, Kind, ParameterKind, ParameterSpec, Quality, Reading, Sample, Setting, SettingValue,
    ThingSpec, Value, as_f64,
};
use stanchion_stanza::Text;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::peer::{Peer, free_port, listening};

const PATIENCE: Duration = Duration::from_secs(30);

/// A broker with a folder of its own, and a port that it keeps over restarts.
struct Mosquitto {
    folder: tempfile::TempDir,
    port: u16,
    running: Peer,
}

impl Mosquitto {
    async fn start() -> Self {
        Self::with(|_| "allow_anonymous true".to_owned()).await
    }

    /// One that still knows what it kept after it was killed.
    async fn start_durable() -> Self {
        Self::with(|_| {
            "allow_anonymous true\npersistence true\nautosave_on_changes true\nautosave_interval 1"
                .to_owned()
        })
        .await
    }

    /// With these lines more, for a folder.
    async fn with(lines: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let path = folder.path().display();
        let more = lines(folder.path());
        // It would give up the right to write here if it were started by root.
        let config = format!(
            "user root\nlistener {port} 127.0.0.1\npersistence_location {path}/\n\
             max_queued_messages 0\nlog_type error\n{more}\n"
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let running = Self::run(folder.path());
        listening(port).await;
        Self {
            folder,
            port,
            running,
        }
    }

    fn run(folder: &Path) -> Peer {
        let config = folder.join("mosquitto.conf");
        Peer::start("/usr/sbin/mosquitto", &["-c".as_ref(), config.as_os_str()])
    }

    fn kill(&mut self) {
        self.running.kill();
    }

    async fn restart(&mut self) {
        self.running = Self::run(self.folder.path());
        listening(self.port).await;
    }

    fn broker(&self, client_id: &str) -> Broker {
        let mut broker = Broker::new("127.0.0.1", client_id);
        broker.port = Some(self.port);
        broker.tls = Tls::Off;
        broker
    }
}

/// Another client of the broker.
struct Client {
    client: AsyncClient,
    echo: String,
    heard: mpsc::UnboundedReceiver<Publish>,
    task: JoinHandle<()>,
}

impl Client {
    async fn connect(broker: &Mosquitto, id: &str, filters: &[&str]) -> Self {
        let mut options = MqttOptions::new(id, "127.0.0.1", broker.port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        // What a device is told while it is away waits for it.
        options.set_clean_session(id != "device");
        let (client, mut events) = AsyncClient::new(options, 64);
        let echo = format!("echo/{id}");
        for filter in filters.iter().copied().chain([&*echo]) {
            client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        }
        let (ready, is_ready) = oneshot::channel();
        let (hear, heard) = mpsc::unbounded_channel();
        let mut waits_for = filters.len() + 1;
        let mut ready = Some(ready);
        let task = tokio::spawn(async move {
            // It ends with its broker.
            while let Ok(event) = events.poll().await {
                match event {
                    Event::Incoming(Packet::Publish(publish)) => drop(hear.send(publish)),
                    Event::Incoming(Packet::SubAck(_)) => waits_for -= 1,
                    _ => {}
                }
                if waits_for == 0
                    && let Some(ready) = ready.take()
                {
                    let _ = ready.send(());
                }
            }
        });
        timeout(PATIENCE, is_ready).await.unwrap().unwrap();
        Self {
            client,
            echo,
            heard,
            task,
        }
    }

    /// Resolves once the broker has all that was published; what came before is passed by.
    async fn settled(&mut self) {
        let echo = self.echo.clone();
        self.publish(&echo, "").await;
        self.hears(&echo).await;
    }

    async fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        let qos = QoS::AtLeastOnce;
        self.client
            .publish(topic, qos, false, payload)
            .await
            .unwrap();
    }

    async fn retain(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        let qos = QoS::AtLeastOnce;
        self.client
            .publish(topic, qos, true, payload)
            .await
            .unwrap();
    }

    /// The next on that topic.
    async fn hears(&mut self, topic: &str) -> Publish {
        let next = async {
            loop {
                let publish = self.heard.recv().await.unwrap();
                if publish.topic == topic {
                    return publish;
                }
            }
        };
        let heard = timeout(PATIENCE, next).await;
        heard.unwrap_or_else(|_| panic!("nothing on {topic}"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What came of a kept adapter.
struct Heard(mpsc::Receiver<AdapterEvent>);

impl Heard {
    async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&Report) -> Option<T>) -> T {
        let next = async {
            loop {
                let event = self.0.recv().await.unwrap();
                if let Some(found) = wanted(&event.report) {
                    return found;
                }
            }
        };
        let found = timeout(PATIENCE, next).await;
        found.unwrap_or_else(|_| panic!("{what} never came"))
    }

    /// A thing with so many fields and parameters.
    async fn thing(&mut self, id: &str, fields: usize, parameters: usize) -> ThingSpec {
        let described = |report: &Report| match report {
            Report::Things(things) => {
                let mut things = things.iter();
                let thing = things.find(|thing| &*thing.node.id == id)?;
                let is_whole = thing.fields.len() == fields && thing.parameters.len() == parameters;
                is_whole.then(|| thing.clone())
            }
            _ => None,
        };
        self.until(&format!("thing {id}"), described).await
    }

    async fn reading(&mut self, field: &str) -> Reading {
        let read = |report: &Report| match report {
            Report::Sample(sample) => {
                let mut readings = sample.readings.iter();
                readings.find(|reading| &*reading.field == field).cloned()
            }
            _ => None,
        };
        self.until(&format!("field {field}"), read).await
    }

    async fn stale(&mut self, id: &str) {
        let lost = |report: &Report| match report {
            Report::Stale(things) => things.iter().any(|thing| &**thing == id).then_some(()),
            _ => None,
        };
        self.until(&format!("the loss of {id}"), lost).await;
    }

    async fn connected(&mut self) {
        let connected = |report: &Report| (*report == Report::Connected).then_some(());
        self.until("the connection", connected).await;
    }
}

fn quick() -> SupervisorConfig {
    let mut config = SupervisorConfig::default();
    config.backoff.base = Duration::from_millis(50);
    config.backoff.cap = Duration::from_millis(200);
    config
}

fn take_in(config: Config) -> (Supervisor, Heard) {
    let (events, heard) = from_adapters(256);
    let adapter = Box::new(Adapter::new(config).unwrap());
    let kept = Supervisor::start("broker", adapter, events, quick());
    (kept, Heard(heard))
}

fn give_out(config: PublisherConfig) -> (Supervisor, Heard, Feed, mpsc::Receiver<Wanted>) {
    let (publisher, feed, wanted) = Publisher::new(config).unwrap();
    let (events, heard) = from_adapters(256);
    let kept = Supervisor::start("publisher", Box::new(publisher), events, quick());
    (kept, Heard(heard), feed, wanted)
}

fn setting(name: &'static str, value: SettingValue) -> Vec<Setting> {
    let name = Text::from_static(name);
    vec![Setting { name, value }]
}

fn order(
    control: &Control,
    settings: Vec<Setting>,
    within: Duration,
) -> oneshot::Receiver<Result<(), OrderError>> {
    let by = tokio::time::Instant::now() + within;
    let (order, answer) = Order::new(Text::from_static("d1"), settings, by);
    control.order(order);
    answer
}

async fn outcome(answer: oneshot::Receiver<Result<(), OrderError>>) -> Result<(), OrderError> {
    timeout(PATIENCE, answer).await.unwrap().unwrap()
}

const DEVICE: &str = r#""dev": {"ids": ["d1"], "name": "Plug"}, "avty_t": "d1/there""#;

async fn announce(device: &mut Client) {
    let power = format!(
        r#"{{"~": "d1", "stat_t": "~/state", "val_tpl": "{{{{ value_json.power | float }}}}",
            "unit_of_meas": "W", "uniq_id": "d1p", {DEVICE}}}"#
    );
    let relay = format!(
        r#"{{"~": "d1", "stat_t": "~/state", "val_tpl": "{{{{ value_json['relay'] }}}}",
            "cmd_t": "~/relay/set", "uniq_id": "d1r", {DEVICE}}}"#
    );
    let beep = format!(r#"{{"cmd_t": "d1/beep", "uniq_id": "d1b", {DEVICE}}}"#);
    let odd = format!(r#"{{"stat_t": "d1/state", "val_tpl": "{{{{ now() }}}}", {DEVICE}}}"#);
    device
        .retain("homeassistant/sensor/d1/power/config", power)
        .await;
    device
        .retain("homeassistant/switch/d1/relay/config", relay)
        .await;
    device
        .retain("homeassistant/button/d1/beep/config", beep)
        .await;
    device
        .retain("homeassistant/sensor/d1/odd/config", odd)
        .await;
    device.retain("d1/there", "online").await;
    device
        .retain("d1/state", r#"{"power": 0.5, "relay": "OFF"}"#)
        .await;
    device.settled().await;
}

/// Does what its relay is told, as long as it lives.
fn obey(mut device: Client) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(command) = device.heard.recv().await {
            let word = String::from_utf8(command.payload.to_vec()).unwrap();
            let state = json!({"power": 60.5, "relay": word});
            device.retain("d1/state", state.to_string()).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_device_is_a_thing_that_speaks_and_obeys_and_outlives_its_broker() {
    let mut broker = Mosquitto::start_durable().await;
    let mut device = Client::connect(&broker, "device", &["d1/relay/set"]).await;
    announce(&mut device).await;
    let (kept, mut heard) = take_in(Config::new(broker.broker("gateway")));
    let control = kept.control();

    let thing = heard.thing("d1", 2, 2).await;
    assert_eq!(&*thing.label, "Plug");
    assert!(thing.field("relay").unwrap().writable);
    assert!(thing.field("odd").is_none());
    let retained = heard.reading("power").await;
    assert_eq!(as_f64(&retained.value), Some(0.5));
    assert!(retained.quality.contains(Quality::TIME_OFFSET));

    device
        .retain("d1/state", r#"{"power": 1.25, "relay": "OFF"}"#)
        .await;
    let live = heard.reading("power").await;
    assert_eq!(as_f64(&live.value), Some(1.25));
    assert_eq!(live.quality, Quality::AUTOMATIC_READOUT);

    // The device obeys, and says so.
    let obeying = obey(device);
    let on = || setting("relay", SettingValue::Boolean(true));
    let answer = order(&control, on(), PATIENCE);
    assert_eq!(outcome(answer).await, Ok(()));
    assert_eq!(as_f64(&heard.reading("power").await.value), Some(60.5));

    // A button has no state: the broker's word is all there is.
    let beep = setting("beep", SettingValue::Boolean(true));
    assert_eq!(outcome(order(&control, beep, PATIENCE)).await, Ok(()));

    broker.kill();
    heard.stale("d1").await;
    let late = order(&control, on(), Duration::from_millis(1));
    let patient = order(&control, on(), PATIENCE);
    obeying.abort();
    let began = Instant::now();
    broker.restart().await;
    let device = Client::connect(&broker, "device", &["d1/relay/set"]).await;
    let obeying = obey(device);
    heard.connected().await;
    let kept_by_broker = heard.reading("power").await;
    assert_eq!(as_f64(&kept_by_broker.value), Some(60.5));
    eprintln!(
        "values again {:?} after the broker was started",
        began.elapsed()
    );
    assert_eq!(outcome(late).await, Err(OrderError::Expired));
    assert_eq!(outcome(patient).await, Ok(()));
    obeying.abort();

    let other = Client::connect(&broker, "other", &[]).await;
    for topic in ["sensor/d1/power", "switch/d1/relay", "button/d1/beep"] {
        other
            .retain(&format!("homeassistant/{topic}/config"), "")
            .await;
    }
    let gone = |report: &Report| match report {
        Report::Gone(things) => Some(things.clone()),
        _ => None,
    };
    assert_eq!(heard.until("the end of d1", gone).await, ["d1"]);
    kept.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_done_only_once_the_state_says_so() {
    let mut broker = Mosquitto::start().await;
    let mut device = Client::connect(&broker, "device", &["d1/relay/set"]).await;
    announce(&mut device).await;
    let (kept, mut heard) = take_in(Config::new(broker.broker("gateway")));
    let control = kept.control();
    heard.thing("d1", 2, 2).await;
    heard.reading("relay").await;
    let off = || setting("relay", SettingValue::Boolean(false));

    // It hears, and says nothing; that it is off is known from before alone.
    let silent = order(&control, off(), Duration::from_secs(1));
    let command = device.hears("d1/relay/set").await;
    assert_eq!((&*command.payload, command.retain), (&b"OFF"[..], false));
    let doubt = outcome(silent).await;
    assert!(matches!(doubt, Err(OrderError::InDoubt(_))), "{doubt:?}");

    // It says something else first.
    let answer = order(&control, off(), PATIENCE);
    device.hears("d1/relay/set").await;
    device.publish("d1/state", r#"{"relay": "ON"}"#).await;
    device.publish("d1/state", r#"{"power": 2}"#).await;
    heard.reading("power").await;
    device.publish("d1/state", r#"{"relay": "OFF"}"#).await;
    assert_eq!(outcome(answer).await, Ok(()));

    let wrong = order(&control, setting("relay", SettingValue::Int(1)), PATIENCE);
    assert!(matches!(outcome(wrong).await, Err(OrderError::Refused(_))));
    let unknown = order(&control, setting("odd", SettingValue::Int(1)), PATIENCE);
    assert!(matches!(
        outcome(unknown).await,
        Err(OrderError::Refused(_))
    ));

    device.retain("d1/there", "offline").await;
    heard.stale("d1").await;
    let refused = outcome(order(&control, off(), PATIENCE)).await;
    assert!(
        matches!(refused, Err(OrderError::Unavailable(_))),
        "{refused:?}"
    );
    device.retain("d1/there", "online").await;
    heard.reading("relay").await;

    // The broker is lost after it had the command.
    let answer = order(&control, off(), PATIENCE);
    device.hears("d1/relay/set").await;
    broker.kill();
    let doubt = outcome(answer).await;
    assert!(matches!(doubt, Err(OrderError::InDoubt(_))), "{doubt:?}");
    kept.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_we_were_away_is_told_as_old_and_confirms_nothing() {
    let broker = Mosquitto::start().await;
    let mut device = Client::connect(&broker, "device", &[]).await;
    let config: Config = toml::from_str(&format!(
        "broker = {{ host = '127.0.0.1', port = {}, tls = 'off', client_id = 'gateway' }}\n\
         [[points]]\nthing = 'd1'\nfield = 'level'\nkind = 'int'\ntopic = 'tank/level'\n\
         pointer = '/cm'\ncommand = {{ topic = 'tank/set', max = 300.0 }}\n",
        broker.port
    ))
    .unwrap();
    let (kept, mut heard) = take_in(config.clone());
    heard.thing("d1", 1, 1).await;
    heard.connected().await;
    // Its first value shows that it is subscribed to.
    device.retain("tank/level", r#"{"cm": 1}"#).await;
    heard.reading("level").await;
    device.retain("tank/level", "").await;
    device.settled().await;
    kept.shutdown().await;
    device.publish("tank/level", r#"{"cm": 77}"#).await;
    let too_long = format!(r#"{{"cm": 78, "pad": "{}"}}"#, "x".repeat(300_000));
    device.publish("tank/level", too_long).await;
    device.settled().await;

    let (kept, mut heard) = take_in(config);
    let answer = order(
        &kept.control(),
        setting("level", SettingValue::Int(77)),
        Duration::from_secs(2),
    );
    let old = loop {
        let old = heard.reading("level").await;
        if old.value != Value::Int(1) {
            break old;
        }
    };
    assert_eq!(old.value, Value::Int(77));
    assert!(old.quality.contains(Quality::TIME_OFFSET));
    let doubt = outcome(answer).await;
    assert!(matches!(doubt, Err(OrderError::InDoubt(_))), "{doubt:?}");
    // What was too long is left out, and does not come again and again.
    device.publish("tank/level", r#"{"cm": 79}"#).await;
    let live = heard.reading("level").await;
    let quality = Quality::AUTOMATIC_READOUT;
    assert_eq!((live.value, live.quality), (Value::Int(79), quality));
    kept.shutdown().await;
}

fn lamp() -> ThingSpec {
    let t = Text::from_static;
    ThingSpec::new(t("lamp"))
        .with_field(FieldSpec::numeric(t("temperature"), t("Cel")))
        .with_field(FieldSpec::new(t("on"), Kind::Boolean))
        .with_parameter(ParameterSpec::new(t("on"), ParameterKind::Boolean))
        .with_parameter(ParameterSpec::new(t("level"), ParameterKind::Int(0..=100)))
}

fn lamp_is(on: bool) -> Report {
    let t = Text::from_static;
    let warm = Value::Numeric {
        value: "41.50".parse().unwrap(),
        unit: t("Cel"),
    };
    let at = stanchion_device::adapter::wall_clock();
    let mut sample = Sample::one(t("lamp"), at, t("temperature"), warm);
    let on = Reading::automatic(t("on"), Value::Boolean(on));
    sample.readings.push(on);
    Report::Sample(sample)
}

#[tokio::test(flavor = "multi_thread")]
async fn our_things_stand_on_the_broker_as_discovery_and_take_commands() {
    let mut broker = Mosquitto::start_durable().await;
    let (kept, mut up, feed, mut wanted) = give_out(PublisherConfig::new(broker.broker("gw")));
    feed.tell(&Report::Things(vec![lamp()]));
    feed.tell(&lamp_is(false));
    up.connected().await;

    // Whoever comes later reads what the broker kept.
    let config_topic = "homeassistant/switch/stanchion_gw/lamp__on/config";
    let mut watcher =
        Client::connect(&broker, "watcher", &["homeassistant/#", "stanchion/#"]).await;
    let mut kept_there = std::collections::BTreeMap::new();
    let all = async {
        let there = "stanchion/gw/lamp/status";
        while kept_there.len() < 7 || kept_there.get(there).is_none_or(|text| text != "online") {
            let publish = watcher.heard.recv().await.unwrap();
            kept_there.insert(publish.topic, publish.payload);
        }
    };
    timeout(PATIENCE, all).await.unwrap();
    let text = |topic: &str| std::str::from_utf8(&kept_there[topic]).unwrap();
    assert_eq!(text("stanchion/gw/lamp/temperature/state"), "41.50");
    assert_eq!(text("stanchion/gw/lamp/on/state"), "OFF");
    assert_eq!(text("stanchion/gw/lamp/status"), "online");
    assert_eq!(text("stanchion/gw/status"), "online");
    let config: Json = serde_json::from_str(text(config_topic)).unwrap();
    assert_eq!(config["unique_id"], "stanchion_gw_lamp__on");
    assert_eq!(config["state_topic"], "stanchion/gw/lamp/on/state");
    let command_topic = config["command_topic"].as_str().unwrap();

    // A command of somebody else's; one that cannot be, and a retained one, are not taken.
    watcher.retain(command_topic, "ON").await;
    watcher.publish(command_topic, "sideways").await;
    watcher.publish("stanchion/gw/lamp/level/set", "55").await;
    watcher.publish(command_topic, "ON").await;
    let first = timeout(PATIENCE, wanted.recv()).await.unwrap().unwrap();
    // Mosquitto hands a retained one on as a live one to whoever is there.
    assert_eq!((&*first.thing, &*first.setting.name), ("lamp", "on"));
    let level = timeout(PATIENCE, wanted.recv()).await.unwrap().unwrap();
    assert_eq!(level.setting.value, SettingValue::Int(55));
    let on = timeout(PATIENCE, wanted.recv()).await.unwrap().unwrap();
    assert_eq!(on.setting.value, SettingValue::Boolean(true));
    feed.tell(&lamp_is(true));
    assert_eq!(
        &*watcher.hears("stanchion/gw/lamp/on/state").await.payload,
        b"ON"
    );

    // Stale and back; the broker killed meanwhile, and nothing is lost of it.
    feed.tell(&Report::Stale(vec![Text::from_static("lamp")]));
    assert_eq!(
        &*watcher.hears("stanchion/gw/lamp/status").await.payload,
        b"offline"
    );
    broker.kill();
    feed.tell(&lamp_is(false));
    broker.restart().await;
    let mut watcher = Client::connect(&broker, "watcher", &["stanchion/#"]).await;
    let status =
        async { while &*watcher.hears("stanchion/gw/lamp/status").await.payload != b"online" {} };
    timeout(PATIENCE, status).await.unwrap();
    up.connected().await;
    // The retained command is not obeyed after the restart.
    watcher.publish("stanchion/gw/lamp/level/set", "7").await;
    let next = timeout(PATIENCE, wanted.recv()).await.unwrap().unwrap();
    assert_eq!(next.setting.value, SettingValue::Int(7));

    // Without a word of goodbye, the will speaks.
    drop(kept);
    let will =
        async { while &*watcher.hears("stanchion/gw/status").await.payload != b"offline" {} };
    timeout(PATIENCE, will).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_publish_is_not_taken_in_again() {
    let broker = Mosquitto::start().await;
    let (publisher, mut up, feed, _wanted) = give_out(PublisherConfig::new(broker.broker("gw")));
    feed.tell(&Report::Things(vec![lamp()]));
    feed.tell(&lamp_is(true));
    up.connected().await;
    let topics = ["stanchion/gw/lamp/on/state", "stanchion/gw/status"];
    let mut watcher = Client::connect(&broker, "watcher", &topics).await;
    watcher.hears("stanchion/gw/lamp/on/state").await;

    // Another device is announced after all that, so that it is seen last.
    announce(&mut watcher).await;
    let (ours, mut heard) = take_in(Config::new(broker.broker("in")));
    let mut things = Vec::new();
    let seen = |report: &Report| {
        if let Report::Things(told) = report {
            things.extend(told.iter().map(|thing| thing.node.id.to_string()));
        }
        matches!(report, Report::Sample(_)).then_some(())
    };
    heard.until("a sample of d1", seen).await;
    things.dedup();
    assert_eq!(things, ["d1"]);

    // Another house may: what is published is what is understood.
    let mut config = Config::new(broker.broker("neighbour"));
    config.leave_out.clear();
    let (theirs, mut heard) = take_in(config);
    let thing = heard.thing("stanchion_gw_lamp", 2, 2).await;
    assert_eq!(&*thing.label, "lamp");
    assert_eq!(thing.field("lamp__temperature").unwrap().unit, "Cel");
    let reading = heard.reading("lamp__on").await;
    assert_eq!(reading.value, Value::Boolean(true));
    for kept in [publisher, ours, theirs] {
        kept.shutdown().await;
    }
    // We said goodbye.
    let status =
        async { while &*watcher.hears("stanchion/gw/status").await.payload != b"offline" {} };
    timeout(PATIENCE, status).await.unwrap();
}

fn password_file(folder: &Path, name: &str, word: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, format!("{word}\n")).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_and_a_right_one_is_not() {
    let broker = Mosquitto::with(|folder| {
        let users = folder.join("users");
        let made = std::process::Command::new("mosquitto_passwd")
            .args(["-c", "-b"])
            .arg(&users)
            .args(["gateway", "sesame"])
            .status()
            .unwrap();
        assert!(made.success());
        format!("allow_anonymous false\npassword_file {}", users.display())
    })
    .await;
    let with = |word| {
        let mut config = Config::new(broker.broker("gateway"));
        config.broker.user = Some("gateway".to_owned());
        config.broker.password_file = Some(password_file(broker.folder.path(), word, word));
        config
    };
    let (kept, _heard) = take_in(with("simsim"));
    let mut state = kept.control().state();
    let refused = |state: &State| match state {
        State::Waiting { cause, .. } => cause.contains("refuses") && cause.contains("password"),
        _ => false,
    };
    timeout(PATIENCE, state.wait_for(refused))
        .await
        .unwrap()
        .unwrap();
    kept.shutdown().await;
    let (kept, mut heard) = take_in(with("sesame"));
    heard.connected().await;
    kept.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tls_the_certificate_is_checked() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let secure = free_port();
    let broker = Mosquitto::with(|folder| {
        std::fs::write(folder.join("cert.pem"), &certificate).unwrap();
        std::fs::write(folder.join("key.pem"), &key).unwrap();
        let path = folder.display();
        format!(
            "allow_anonymous true\nlistener {secure} 127.0.0.1\n\
             certfile {path}/cert.pem\nkeyfile {path}/key.pem"
        )
    })
    .await;
    listening(secure).await;
    let mut config = Config::new(broker.broker("gateway"));
    config.broker.port = Some(secure);
    config.broker.tls = Tls::On;
    // The web's roots do not know it.
    let (kept, _heard) = take_in(config.clone());
    let mut state = kept.control().state();
    let waits = |state: &State| matches!(state, State::Waiting { .. });
    let cause = timeout(PATIENCE, state.wait_for(waits))
        .await
        .unwrap()
        .unwrap()
        .clone();
    let State::Waiting { cause, .. } = cause else {
        panic!()
    };
    assert!(cause.contains("certificate"), "{cause}");
    kept.shutdown().await;

    config.broker.ca_file = Some(broker.folder.path().join("cert.pem"));
    let mut device = Client::connect(&broker, "device", &[]).await;
    announce(&mut device).await;
    let (kept, mut heard) = take_in(config);
    heard.thing("d1", 2, 2).await;
    assert_eq!(as_f64(&heard.reading("power").await.value), Some(0.5));
    kept.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_taken_whole() {
    const MESSAGES: u32 = 20_000;
    let broker = Mosquitto::start().await;
    let device = Client::connect(&broker, "device", &[]).await;
    let config = format!(
        "broker = {{ host = '127.0.0.1', port = {}, tls = 'off', client_id = 'gateway' }}\n\
         points = [{{ thing = 'd1', field = 'count', kind = 'long', topic = 'count' }}]",
        broker.port
    );
    let (kept, mut heard) = take_in(toml::from_str(&config).unwrap());
    heard.connected().await;
    device.retain("count", "-1").await;
    heard.reading("count").await;

    let began = Instant::now();
    let sender = device.client.clone();
    let sending = tokio::spawn(async move {
        for count in 0..MESSAGES {
            let qos = QoS::AtLeastOnce;
            let text = count.to_string();
            sender.publish("count", qos, false, text).await.unwrap();
        }
    });
    let mut expected = 0;
    while expected < MESSAGES {
        let reading = heard.reading("count").await;
        if reading.value != Value::Long(-1) {
            assert_eq!(reading.value, Value::Long(i64::from(expected)));
            expected += 1;
        }
    }
    let rate = f64::from(MESSAGES) / began.elapsed().as_secs_f64();
    eprintln!("{MESSAGES} publications with QoS 1 taken in order, {rate:.0}/s");
    sending.await.unwrap();
    kept.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_of_a_thousand_entities_is_known_with_its_values() {
    const DEVICES: usize = 250;
    let broker = Mosquitto::start().await;
    let mut house = Client::connect(&broker, "house", &[]).await;
    for at in 0..DEVICES {
        for part in ["a", "b", "c", "d"] {
            let config = json!({
                "stat_t": format!("h/{at}"), "val_tpl": format!("{{{{ value_json.{part} }}}}"),
                "unit_of_meas": "W", "uniq_id": format!("h{at}{part}"),
                "dev": {"ids": format!("h{at}")},
            });
            let topic = format!("homeassistant/sensor/h{at}/{part}/config");
            house.retain(&topic, config.to_string()).await;
        }
        let values = json!({"a": at, "b": at, "c": at, "d": at});
        house.retain(&format!("h/{at}"), values.to_string()).await;
    }
    house.settled().await;
    let began = Instant::now();
    let (kept, mut heard) = take_in(Config::new(broker.broker("gateway")));
    let mut values = std::collections::BTreeSet::new();
    let all = |report: &Report| {
        if let Report::Sample(sample) = report {
            let fields = sample
                .readings
                .iter()
                .map(|reading| reading.field.to_string());
            values.extend(fields.map(|field| (sample.thing.to_string(), field)));
        }
        (values.len() == 4 * DEVICES).then_some(())
    };
    heard.until("all values", all).await;
    eprintln!(
        "{} entities known with their values in {:?}",
        4 * DEVICES,
        began.elapsed()
    );
    kept.shutdown().await;
}
