//! Who plays in the tour, and where: a house and a ward of patients on a gateway, a sensor
//! and a phone, two persons and a robot.

use std::path::Path;
use std::process::Stdio;

use stanchion::BareJid;
use stanchion::connect::registry::read_place;
use tokio::process::{Child, Command};

use super::super::PASSWORD;
use super::super::process::apart;
use super::super::server::HubReady;
use super::way::Way;
use crate::exit::Failure;
use crate::settings::ConnectionArgs;

/// Accounts of persons.
pub(super) const PERSONS: [&str; 2] = ["alice", "bob"];
/// The account of the robot.
pub(super) const ROBOT: &str = "carol";
/// Accounts of the gateway's things.
pub(super) const GATEWAYS: [&str; 2] = ["house", "ward"];
/// The hub's domain.
pub(super) const DOMAIN: &str = "demo.test";

/// All accounts, as the hub takes them.
pub(super) fn users() -> Vec<String> {
    let all = PERSONS.iter().chain([&ROBOT, &"sensor", &"phone"]);
    let all = all.chain(&GATEWAYS);
    all.map(|name| format!("{name}:{PASSWORD}")).collect()
}

/// The address of an account.
///
/// # Errors
/// Never: the names are ours.
pub(super) fn account(name: &str) -> Result<BareJid, Failure> {
    format!("{name}@{DOMAIN}").parse().map_err(Failure::failed)
}

/// The room that all persons are in.
///
/// # Errors
/// Never: the name is ours.
pub(super) fn room() -> Result<BareJid, Failure> {
    format!("kitchen@rooms.{DOMAIN}")
        .parse()
        .map_err(Failure::failed)
}

/// The ways to the server, and how to know it.
#[derive(Debug)]
pub(super) struct Place {
    /// In the order in which they are tried.
    pub(super) ways: [Way; 2],
    /// The server behind them.
    pub(super) hub: HubReady,
}

impl Place {
    /// Both ways, as they are given to a command.
    pub(super) fn connect(&self) -> String {
        let ways = self.ways.each_ref().map(|way| way.address().to_string());
        ways.join(",")
    }

    /// Options of a command that leads there.
    pub(super) fn options(&self) -> Vec<String> {
        let options = ["--connect", &self.connect(), "--pin", &self.hub.fingerprint];
        options.map(str::to_owned).to_vec()
    }

    /// The same, for a client of this process.
    ///
    /// # Errors
    /// Never: it is ours.
    pub(super) fn args(&self, name: &str, folder: &Path) -> Result<ConnectionArgs, Failure> {
        for way in &self.ways {
            read_place(&way.address().to_string()).map_err(Failure::failed)?;
        }
        let password = folder.join("password");
        Ok(ConnectionArgs {
            jid: Some(account(name)?),
            connect: Some(self.connect()),
            pin: Some(self.hub.fingerprint.parse().map_err(Failure::failed)?),
            store: Some(folder.join(format!("{name}.sqlite"))),
            password_file: Some(password),
            // All is said here.
            config: Some("/dev/null".into()),
            ..ConnectionArgs::default()
        })
    }
}

/// The gateway with the house and the ward, as a process of its own.
///
/// # Errors
/// It cannot be started.
pub(super) fn gateway(place: &Place, folder: &Path) -> Result<Child, Failure> {
    let failed = |e| Failure::failed(format!("the gateway could not be started: {e}"));
    let file = folder.join("gateway.toml");
    std::fs::write(&file, configuration(place)).map_err(failed)?;
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command
        .args(["gateway", "--end-with-input", "--config"])
        .arg(file)
        .env("STANCHION_PASSWORD", PASSWORD)
        .env_remove("STANCHION_LOG")
        // It ends with its input: with us, even if we are killed.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    apart(&mut command).spawn().map_err(failed)
}

fn configuration(place: &Place) -> String {
    let (connect, pin) = (place.connect(), &place.hub.fingerprint);
    let persons = PERSONS
        .map(|name| format!("\"{name}@{DOMAIN}\""))
        .join(", ");
    let mut text = String::new();
    for name in GATEWAYS {
        text += &format!(
            r#"
[[connection]]
name = "{name}"
jid = "{name}@{DOMAIN}"
connect = "{connect}"
pin = "{pin}"
store = "{name}-gateway.sqlite"
controllers = [{persons}]
"#
        );
        for person in PERSONS {
            text += &format!(
                r#"
[[connection.recipient]]
to = "{person}@{DOMAIN}"
telemetry = {{ pressure = "coalesce", within = "500ms" }}
"#
            );
        }
    }
    let fleets = [
        ("lamps", "house", "lamp", "lamp", 6, "5s"),
        ("rooms", "house", "thermometer", "room", 5, "2s"),
        ("meter", "house", "meter", "meter", 2, "2s"),
        ("beds", "ward", "patient", "bed", 8, "1s"),
    ];
    for (name, connection, kind, prefix, count, interval) in fleets {
        text += &format!(
            r#"
[[adapter]]
name = "{name}"
type = "simulated"
connection = "{connection}"
kind = "{kind}"
prefix = "{prefix}"
count = {count}
interval = "{interval}"
"#
        );
    }
    text
}
