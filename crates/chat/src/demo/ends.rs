//! The two ends of the demo, each in a process of its own: the sensor sends numbered
//! readings, the phone acts on them. Both report to the parent in JSON lines on their
//! standard output.

use std::io::Write as _;
use std::time::Duration;

use stanchion::session::{Disconnect, Outgoing, SessionEvent, Status};
use stanchion::{Client, Jid, Outcome as Delivery};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::tally::Report;
use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::settings::Settings;

/// Outcomes awaited at the same time.
const AWAITED: usize = 512;
/// Counters are reported so often, if they have changed.
const REPORT: Duration = Duration::from_millis(50);
/// For the last outcomes of a sensor with a pace.
const REST: Duration = Duration::from_secs(20);
/// The longest wait between two attempts to connect: shorter than by default, so that a
/// demonstration has no long pauses.
const RETRY: Duration = Duration::from_secs(1);

/// Sends `count` readings to `to` and waits for all outcomes. One with a pace ends before
/// that when its standard input does, and waits for the outcomes of what it has sent.
pub(super) async fn sensor(
    settings: &Settings,
    to: Jid,
    count: u64,
    every: Option<Duration>,
) -> Outcome {
    let (client, _incoming) = start(settings).await?;
    let mut events = client.events();
    let sender = client.sender();
    let (ended, mut ends) = mpsc::channel(AWAITED);
    let feed = async move {
        let mut waiting = JoinSet::new();
        let mut parent = Box::pin(end_of_input());
        for number in 1..=count {
            if let Some(every) = every {
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = &mut parent => break,
                }
            }
            let message =
                Outgoing::text(to.clone(), format!("reading {number}")).map_err(Failure::failed)?;
            let sent = sender.send(message).await.map_err(Failure::failed)?;
            say(&Report::Kept { count: number });
            let ended = ended.clone();
            waiting.spawn(async move {
                // The receiver lives as long as this process has work.
                let _ = ended.send(sent.outcome().await).await;
            });
            while waiting.len() >= AWAITED {
                waiting.join_next().await;
            }
        }
        drop(ended);
        let rest = async { while waiting.join_next().await.is_some() {} };
        match every {
            // Nobody waits for ever for one that was told to end.
            Some(_) => drop(tokio::time::timeout(REST, rest).await),
            None => rest.await,
        }
        Ok::<(), Failure>(())
    };
    let watch = async {
        let (mut acknowledged, mut failed) = (0, 0);
        let mut said = None;
        let mut report = interval(REPORT);
        loop {
            let over = tokio::select! {
                end = ends.recv() => {
                    match end {
                        Some(Ok(Delivery::Delivered { .. } | Delivery::Acknowledged { .. })) => {
                            acknowledged += 1;
                        }
                        Some(_) => failed += 1,
                        None => {}
                    }
                    if end.is_some() {
                        continue;
                    }
                    true
                }
                event = events.recv() => {
                    if let Ok(SessionEvent::Status(status)) = event {
                        say(&describe(&status));
                    }
                    continue;
                }
                _ = report.tick() => false,
            };
            let counters = Report::Sensor {
                acknowledged,
                failed,
                retransmitted: client.counters().retransmitted,
            };
            if said.as_ref() != Some(&counters) {
                say(&counters);
                said = Some(counters);
            }
            if over {
                break;
            }
        }
    };
    let fed = tokio::select! {
        (fed, ()) = async { tokio::join!(feed, watch) } => fed,
        // The parent has no more use for us.
        () = end_of_input(), if every.is_none() => Ok(()),
    };
    fed?;
    client
        .shutdown()
        .await
        .map_err(|e| Failure::failed(one_line(&e)))?;
    Ok(Exit::Done)
}

/// Receives until its standard input ends.
pub(super) async fn phone(settings: &Settings) -> Outcome {
    let (client, mut incoming) = start(settings).await?;
    let mut events = client.events();
    let mut parent = Box::pin(end_of_input());
    loop {
        tokio::select! {
            received = incoming.recv() => {
                let Some(received) = received else { break };
                let number = received.message().body().and_then(|b| b.strip_prefix("reading ")?.parse().ok());
                // The effect, and then the commit: what the parent counts is what the
                // application did.
                if let Some(number) = number {
                    say(&Report::Received { number });
                }
                if received.commit().await.is_err() {
                    break;
                }
                say(&Report::Phone { duplicates_stopped: client.counters().duplicates });
            }
            event = events.recv() => {
                if let Ok(SessionEvent::Status(status)) = event {
                    say(&describe(&status));
                }
            }
            () = &mut parent => break,
        }
    }
    client
        .shutdown()
        .await
        .map_err(|e| Failure::failed(one_line(&e)))?;
    Ok(Exit::Done)
}

async fn start(settings: &Settings) -> Result<(Client, stanchion::services::Incoming), Failure> {
    settings
        .start(None, |session| session.backoff.cap = RETRY)
        .await
}

/// Resolves at the end of the standard input: the parent closes it when it is done with us,
/// or dies.
pub(crate) async fn end_of_input() {
    use tokio::io::AsyncReadExt as _;
    let mut input = tokio::io::stdin();
    let mut byte = [0];
    while matches!(input.read(&mut byte).await, Ok(n) if n > 0) {}
}

fn describe(status: &Status) -> Report {
    let cause = |d: &Disconnect| one_line(d);
    let (text, connected) = match status {
        Status::Connecting => ("connecting".to_owned(), false),
        Status::Connected { resumed: true, .. } => ("connected, session resumed".to_owned(), true),
        Status::Connected { .. } => ("connected, new session".to_owned(), true),
        Status::Waiting {
            retry_in,
            cause: why,
        } => (
            format!("retry in {:.1} s: {}", retry_in.as_secs_f64(), cause(why)),
            false,
        ),
        Status::Refused(why) => (format!("given up: {}", cause(why)), false),
        _ => ("ended".to_owned(), false),
    };
    Report::Status { text, connected }
}

/// One line for the parent. If nobody reads any more, there is nobody to tell.
fn say(report: &Report) {
    if let Ok(line) = serde_json::to_string(report) {
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}
