//! Things of another make on real servers: slixmpp's plugins as the device, read and set by
//! us.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use stanchion_connect::{Account, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_device::model::{Categories, SettingValue, Value as Measure};
use stanchion_device::remote::{self, ReadError, Readout, SetError, Watch, WatchEvent};
use stanchion_stanza::payload::sensordata::Profile;
use stanchion_stanza::{Jid, Text};
use stanchion_transport::TlsMode;
use stanchion_transport::tls::Roots;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::client::{Client, soon};
use crate::peer::python;

/// A server that `STANCHION_TEST_SERVERS` names.
struct Real(Value);

impl Real {
    fn all() -> Vec<Self> {
        let path = std::env::var_os("STANCHION_TEST_SERVERS");
        let path = path.expect("run `cargo xtask test --only interop`");
        let mut all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let kinds = ["prosody", "ejabberd"];
        kinds.map(|kind| Self(all[kind].take())).into()
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    fn port(&self) -> u16 {
        u16::try_from(self.0["ports"]["starttls"].as_u64().unwrap()).unwrap()
    }

    /// An account of this run alone; its password is its name.
    fn add(&self, name: &str) -> String {
        let user = format!("remote-{}-{name}", std::process::id());
        let xtask = std::env::var_os("STANCHION_XTASK").expect("STANCHION_XTASK");
        let output = Command::new(xtask)
            .args([
                "servers",
                "adduser",
                &user,
                &user,
                "--dir",
                self.text("dir"),
            ])
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{user}: {complaint}");
        user
    }

    fn connector(&self, user: &str) -> Connector {
        let mut config = ConnectConfig::default();
        let pem = std::fs::read(self.text("ca")).unwrap();
        config.tls.roots = vec![Roots::Pem(pem)];
        let address = ([127, 0, 0, 1], self.port()).into();
        config.endpoints = Endpoints::Explicit(vec![Endpoint::at(address, TlsMode::StartTls)]);
        let jid = format!("{user}@{}", self.text("domain")).parse().unwrap();
        Connector::new(Account::with_password(jid, user), config).unwrap()
    }
}

/// The device.
struct Thing {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    jid: Jid,
}

impl Thing {
    async fn start(server: &Real) -> Self {
        let user = server.add("thing");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/peers");
        let mut child = tokio::process::Command::new(python())
            .args(["-W", "ignore"])
            .arg(folder.join("slixmpp_thing.py"))
            .arg(format!("{user}@{}", server.text("domain")))
            .args([&user, "127.0.0.1", &server.port().to_string()])
            .arg(server.text("ca"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let online = says(&mut lines, "online ").await;
        let jid = online["online ".len()..].parse().unwrap();
        Self {
            _child: child,
            lines,
            jid,
        }
    }
}

async fn says(lines: &mut Lines<BufReader<ChildStdout>>, beginning: &str) -> String {
    soon(async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it has ended");
            if line.starts_with(beginning) {
                return line;
            }
        }
    })
    .await
}

fn text(s: &'static str) -> Text {
    Text::from_static(s)
}

fn set(name: &'static str, value: SettingValue) -> remote::Command {
    remote::Command::set(text(name), value).of(text("hall"))
}

#[tokio::test]
async fn things_of_slixmpp_are_read_and_set() {
    for server in Real::all() {
        let mut thing = Thing::start(&server).await;
        let folder = tempfile::tempdir().unwrap();
        let user = server.add("reader");
        let client = Client::start(server.connector(&user), &folder.path().join("s")).await;
        let (things, jid) = (&client.things, thing.jid.clone());
        let hall = || Readout::momentary().of(text("hall"));

        let began = Instant::now();
        let readings = soon(things.read(&jid, hall())).await.unwrap();
        let took = began.elapsed();
        assert_eq!(readings.values.len(), 3, "{readings:?}");
        let Some(Measure::Numeric { value, unit }) =
            readings.field("temperature").map(|f| &f.value)
        else {
            panic!("{readings:?}")
        };
        assert_eq!((value.as_str(), &**unit), ("21.50", "Cel"));
        assert_eq!(readings.field("on").unwrap().value, Measure::Boolean(true));
        assert!(readings.values[0].at().is_some());

        // What it remembers comes in parts.
        let hours = hall().categories(Categories::HISTORICAL);
        let mut reading = soon(things.start_read(&jid, hours)).await.unwrap();
        let mut parts = 0;
        while let Some(part) = soon(reading.next()).await.unwrap() {
            assert_eq!(part.values.len(), 1);
            parts += 1;
        }
        assert_eq!(parts, 3);

        // A refusal, without a stanza error.
        let no = soon(things.read(&jid, Readout::momentary().of(text("attic")))).await;
        let no = no.unwrap_err();
        assert!(matches!(no, ReadError::Refused { .. }), "{no:?}");
        assert!(no.to_string().contains("Invalid nodeId attic"), "{no}");

        // One that fails, as the device says.
        let broken = Readout::momentary().of(text("broken"));
        let failed = soon(things.read(&jid, broken)).await.unwrap_err();
        let said = format!("{jid} could not read broken: Timeout");
        assert_eq!(failed.to_string(), said);

        // One that says nothing: given up, and the device is told.
        let mute = Readout::momentary().of(text("mute"));
        let short = mute.clone().silence(Duration::from_secs(1));
        let given_up = soon(things.read(&jid, short)).await.unwrap_err();
        assert!(
            matches!(given_up, ReadError::Timeout { after: 0, .. }),
            "{given_up:?}"
        );
        says(&mut thing.lines, "cancel").await;
        let mut reading = soon(things.start_read(&jid, mute)).await.unwrap();
        reading.cancel().await;
        let cancelled = soon(reading.next()).await.unwrap_err();
        assert!(matches!(cancelled, ReadError::Cancelled { .. }));
        says(&mut thing.lines, "cancel").await;

        // Set, and the device shows it.
        let done = things.set(&jid, set("on", SettingValue::Boolean(true)));
        assert_eq!(soon(done).await.unwrap().key, None);
        assert_eq!(says(&mut thing.lines, "set ").await, "set hall on true");
        soon(things.set(&jid, set("level", SettingValue::Int(40))))
            .await
            .unwrap();
        assert_eq!(says(&mut thing.lines, "set ").await, "set hall level 40");
        let no = soon(things.set(&jid, set("speed", SettingValue::Int(1))))
            .await
            .unwrap_err();
        assert!(matches!(no, SetError::NoSuchThing { .. }), "{no:?}");
        assert!(
            no.had_no_effect() && no.to_string().contains("Invalid field speed"),
            "{no}"
        );

        // What there is; and without subscriptions, it is asked again and again.
        let found = soon(things.discover(&jid, hall())).await.unwrap();
        assert_eq!(
            (found.reads, found.acts_once),
            (vec![Profile::Legacy], false)
        );
        assert_eq!(found.things[0].fields.len(), 3);
        let mut watching = things.watch(&jid, Watch::all().of(text("hall")));
        let first = soon(watching.next()).await.unwrap();
        assert!(matches!(first, WatchEvent::Polling { .. }), "{first:?}");
        let WatchEvent::Values(part) = soon(watching.next()).await.unwrap() else {
            panic!("no values")
        };
        assert_eq!(part.values.len(), 3);

        // Nobody is there: it certainly had no effect.
        let nobody: Jid = format!("{}/nobody", jid.bare_str()).parse().unwrap();
        let none = soon(things.read(&nobody, hall())).await.unwrap_err();
        assert!(matches!(none, ReadError::Unavailable { .. }), "{none:?}");
        let none = soon(things.set(&nobody, set("on", SettingValue::Boolean(true)))).await;
        let none = none.unwrap_err();
        assert!(
            matches!(none, SetError::Unavailable { .. }) && none.had_no_effect(),
            "{none:?}"
        );
        println!("{}: a read-out took {took:?}", server.text("domain"));
        drop(watching);
        client.stop().await;
    }
}
