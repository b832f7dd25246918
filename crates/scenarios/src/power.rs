//! An overload: a hundred loads are shed. Each is confirmed, or named as failed, within two
//! seconds; and somebody whom nobody trusts is refused.

use std::time::Duration;

use stanchion::device::model::SettingValue;
use stanchion::device::remote::{Command, How, SetError};
use stanchion::{Client, Jid};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Setting;
use crate::failure::{Doing as _, Failure};
use crate::fleet::text;
use crate::loads::{LEVEL, Loads, Manner};
use crate::report::Report;
use crate::server::{DOMAIN, Server};
use crate::timing::Times;

const LOADS: usize = 100;
/// Of them, such as cannot.
const LOCKED: usize = 3;
/// Of them, such as say nothing.
const DEAD: usize = 2;
/// For all of it.
const WITHIN: Duration = Duration::from_secs(2);

pub(crate) async fn run(setting: &Setting) -> Result<Report, Failure> {
    let folder = tempfile::tempdir().doing("make a folder")?;
    let users = ["loads", "grid", "stranger"].map(str::to_owned);
    let server = Server::start(setting, folder.path(), users).await?;
    let loads = (0..LOADS).map(|n| (name(n), manner(n))).collect();
    let loads = Loads::start(server.client("loads", folder.path())?, loads, "grid").await?;
    let start = |user| {
        let client = server.client(user, folder.path());
        async { client?.start().await.doing("start a controller") }
    };
    let (grid, _grid_incoming) = start("grid").await?;
    let (stranger, _stranger_incoming) = start("stranger").await?;
    let to: Jid = format!("loads@{DOMAIN}").parse().doing("an account")?;
    // The first command opens the channel; an overload is not the first.
    let first = shed(&grid, &to, 0, 7, Duration::from_secs(20)).await.0;
    first.map_err(|e| Failure::new("the first command", &e))?;

    let mut given = JoinSet::new();
    let began = Instant::now();
    for n in 0..LOADS {
        let (grid, to) = (grid.things().clone(), to.clone());
        given.spawn(async move {
            let began = Instant::now();
            let mut command = command(n, 0).within(Duration::from_millis(1500));
            command.grace = Duration::from_millis(400);
            (n, grid.set(&to, command).await, began.elapsed())
        });
    }
    let mut times = Times::default();
    let (mut confirmed, mut named, mut wrong) = (0, Vec::new(), Vec::new());
    while let Some(outcome) = given.join_next().await {
        let (n, outcome, took) = outcome.doing("a command")?;
        times.note(took);
        match (manner(n), outcome) {
            (Manner::Obeys, Ok(_)) => confirmed += 1,
            (Manner::Refuses, Err(SetError::Refused { why, .. })) => named.push((name(n), why)),
            (
                Manner::Silent,
                Err(error @ (SetError::InDoubt { .. } | SetError::Expired { .. })),
            ) => {
                named.push((name(n), error.to_string()));
            }
            (_, outcome) => wrong.push(format!("{}: {outcome:?}", name(n))),
        }
    }
    let took = began.elapsed();
    let done = loads.done();
    let (refused, _) = shed(&stranger, &to, 1, 9, Duration::from_secs(5)).await;
    let after = loads.done();

    let mut report = Report::new("power", setting.kind);
    report.figure("loads", LOADS);
    report.figure("confirmed", confirmed);
    report.figure("named as failed", named.len());
    report.figure("until each was told", times.summary());
    for (name, why) in &named {
        report.figure("failed", format!("{name}: {why}"));
    }
    let shed = done.iter().filter(|a| a.level == 0).count();
    report.promise("loads shed, each once", shed == LOADS - LOCKED - DEAD, shed);
    let first = wrong.first().cloned().unwrap_or_default();
    report.promise(
        "loads of which something else was told",
        wrong.is_empty(),
        first,
    );
    report.promise("all told within 2 s", took <= WITHIN, format!("{took:.2?}"));
    let is_refused = matches!(refused, Err(SetError::Forbidden { .. }));
    let told = refused.map_or_else(|e| e.to_string(), |_| "carried out".to_owned());
    report.promise("a stranger is refused", is_refused, told);
    report.none("actuations by a stranger", after.len() - done.len());
    loads.stop().await?;
    for client in [grid, stranger] {
        client.shutdown().await.doing("end a controller")?;
    }
    server.stop().await?;
    Ok(report)
}

fn name(n: usize) -> String {
    format!("load{n}")
}

fn manner(n: usize) -> Manner {
    match n {
        10..13 => Manner::Refuses,
        20..22 => Manner::Silent,
        _ => Manner::Obeys,
    }
}

fn command(load: usize, level: i32) -> Command {
    let command = Command::set(text(LEVEL), SettingValue::Int(level));
    command.of(text(&name(load))).how(How::Once)
}

async fn shed(
    by: &Client,
    to: &Jid,
    load: usize,
    level: i32,
    within: Duration,
) -> (Result<(), SetError>, Duration) {
    let began = Instant::now();
    let outcome = by
        .things()
        .set(to, command(load, level).within(within))
        .await;
    (outcome.map(drop), began.elapsed())
}
