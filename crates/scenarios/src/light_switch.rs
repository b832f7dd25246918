//! A light switch: a thousand commands while one connection in five is cut under them, and
//! some whose time is over before their lamp can hear them.

use std::collections::HashMap;
use std::time::Duration;

use stanchion::Jid;
use stanchion::device::model::SettingValue;
use stanchion::device::remote::{Command, How, SetError};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::Setting;
use crate::failure::{Doing as _, Failure};
use crate::fleet::text;
use crate::loads::{LEVEL, Loads, Manner};
use crate::relay::Relay;
use crate::report::Report;
use crate::server::{DOMAIN, Server};
use crate::timing::Times;

const COMMANDS: usize = 1000;
/// At a time: two of ten are cut.
const AT_A_TIME: usize = 10;
const WITHIN: Duration = Duration::from_secs(60);
/// Commands that must expire.
const LATE: usize = 50;

pub(crate) async fn run(setting: &Setting) -> Result<Report, Failure> {
    let folder = tempfile::tempdir().doing("make a folder")?;
    let users = ["lamp", "switch"].map(str::to_owned);
    let server = Server::start(setting, folder.path(), users).await?;
    let lamp_relay = Relay::start(server.port()).await?;
    let switch_relay = Relay::start(server.port()).await?;
    let client = |relay: &Relay, user| server.client_at(relay.port(), user, folder.path());
    let lamp = vec![("lamp".to_owned(), Manner::Obeys)];
    let lamp = Loads::start(quick(client(&lamp_relay, "lamp")?), lamp, "switch").await?;
    let (switch, _incoming) = quick(client(&switch_relay, "switch")?)
        .start()
        .await
        .doing("start the switch")?;
    let to: Jid = format!("lamp@{DOMAIN}").parse().doing("an account")?;
    let began = Instant::now();
    let (mut times, mut failed, mut cuts) = (Times::default(), Vec::new(), 0);
    for batch in 0..COMMANDS / AT_A_TIME {
        let mut given = JoinSet::new();
        for n in 0..AT_A_TIME {
            let (things, to) = (switch.things().clone(), to.clone());
            let level = level(batch * AT_A_TIME + n);
            given.spawn(async move {
                let began = Instant::now();
                (
                    things.set(&to, command(level).within(WITHIN)).await,
                    began.elapsed(),
                )
            });
        }
        // One end each, while the commands are on their way.
        sleep(Duration::from_micros(700 * (batch as u64 % 11))).await;
        switch_relay.cut();
        sleep(Duration::from_micros(900 * (batch as u64 % 7))).await;
        lamp_relay.cut();
        cuts += 2;
        while let Some(outcome) = given.join_next().await {
            let (outcome, took) = outcome.doing("a command")?;
            times.note(took);
            if let Err(error) = outcome {
                failed.push(error.to_string());
            }
        }
    }
    let took = began.elapsed();
    let (expired, wrong) = late(&switch, &to, &lamp_relay).await?;

    let mut report = Report::new("light switch", setting.kind);
    let done = lamp.done();
    report.figure("commands", COMMANDS);
    report.figure("cuts", cuts);
    report.figure(
        "connections",
        lamp_relay.connections().len() + switch_relay.connections().len(),
    );
    report.figure("time", format!("{:.1} s", took.as_secs_f64()));
    report.figure("until the lamp's word was there", times.summary());
    let mut counts: HashMap<i32, usize> = HashMap::new();
    for actuation in &done {
        *counts.entry(actuation.level).or_default() += 1;
    }
    let acted = |n: usize| counts.get(&level(n)).copied().unwrap_or(0);
    let missing = (0..COMMANDS).filter(|n| acted(*n) == 0).count();
    let first = failed
        .first()
        .map(|e| format!("{}, such as: {e}", failed.len()));
    report.promise(
        "commands without the lamp's word",
        failed.is_empty(),
        first.unwrap_or_default(),
    );
    report.none("commands that were not carried out", missing);
    report.none(
        "commands that were carried out twice",
        counts.values().filter(|n| **n > 1).count(),
    );
    report.none(
        "actuations after their time",
        done.iter().filter(|a| a.late).count(),
    );
    report.promise("actuations", done.len() == COMMANDS, done.len());
    let ghosts = (COMMANDS..COMMANDS + LATE)
        .filter(|n| acted(*n) > 0)
        .count();
    report.none("commands carried out of those that expired", ghosts);
    report.promise(
        "expired commands told as such",
        wrong == 0,
        format!("{expired} of {LATE}"),
    );
    lamp.stop().await?;
    switch.shutdown().await.doing("end the switch")?;
    server.stop().await?;
    Ok(report)
}

/// A switch and a lamp try again soon: there are two of them.
fn quick(client: stanchion::ClientBuilder) -> stanchion::ClientBuilder {
    client.session_config(|config| {
        config.backoff.base = Duration::from_millis(100);
        config.backoff.cap = Duration::from_secs(1);
    })
}

fn level(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn command(level: i32) -> Command {
    Command::set(text(LEVEL), SettingValue::Int(level)).how(How::Once)
}

/// Commands while the lamp is away, and gone by when it is back. Gives how many were told
/// as having had no effect, and how many as something else.
async fn late(
    switch: &stanchion::Client,
    to: &Jid,
    lamp: &Relay,
) -> Result<(usize, usize), Failure> {
    lamp.close();
    let mut given = JoinSet::new();
    for n in COMMANDS..COMMANDS + LATE {
        let (things, to) = (switch.things().clone(), to.clone());
        let command = command(level(n)).within(Duration::from_secs(1));
        given.spawn(async move { things.set(&to, command).await });
    }
    sleep(Duration::from_secs(2)).await;
    lamp.open();
    let (mut expired, mut wrong) = (0, 0);
    while let Some(outcome) = given.join_next().await {
        match outcome.doing("a command")? {
            Err(SetError::Expired { .. } | SetError::NotDelivered { .. }) => expired += 1,
            // Nobody's lie, and no promise kept either.
            _ => wrong += 1,
        }
    }
    // For what may still come.
    sleep(Duration::from_secs(3)).await;
    Ok((expired, wrong))
}
