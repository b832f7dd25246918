//! Cases 2 and 3 of the paper, and what follows from them: a primary server that is absent,
//! one that is lost, another that takes its place, and none that is left.
//!
//! Two registered servers are of different domains, and there is no federation: what a
//! device says by the second, it says as its account there.

use crate::evaluate::process::Running;
use crate::evaluate::scene::{Scene, acknowledged, is_message, is_success, must, time};
use crate::failure::Outcome;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub(super) fn absent_then_back(scene: &mut Scene<'_>) -> Outcome {
    const AWAY: Duration = Duration::from_secs(2);
    let (sensor, app) = (scene.sensor(), scene.app());
    scene.first.kill()?;
    let words = ["--to", &app.jid, "--json", "--timeout", "30s", "hello"];
    let sender = Running::start(scene.stanchion(&sensor, "send", &words), &scene.patience)?;
    scene.patience.pass(AWAY)?;
    scene.first.start_again(&scene.patience)?;
    let back = Instant::now();
    let mut listener = scene.listen(&app)?;
    is_message(&listener.json()?, "hello", false)?;
    scene.figures.ms("away", AWAY);
    scene
        .figures
        .ms("received after the server's return", back.elapsed());
    let sent = sender.end()?;
    scene.figures.ms("the command took", sent.took);
    acknowledged(&sent).map(|_| ())
}

pub(super) fn absent(scene: &mut Scene<'_>) -> Outcome {
    let app = scene.account("app", scene.second);
    let there = scene.account("sensor", scene.second);
    scene.register(&[scene.sensor(), there.clone()])?;
    scene.first.kill()?;
    let mut listener = scene.listen(&app)?;
    let words = ["--to", &app.jid, "--json", "--timeout", "20s", "hello"];
    let sent = scene.run(scene.registered("send", &words))?;
    scene.figures.ms("the command took", sent.took);
    acknowledged(&sent)?;
    let line = listener.json()?;
    is_message(&line, "hello", false)?;
    let from = line["from"].as_str().unwrap_or_default();
    must(from.starts_with(&there.jid), || {
        format!("it came from {from}, not from {}", there.jid)
    })
}

pub(super) fn lost(scene: &mut Scene<'_>) -> Outcome {
    let (here, there) = (scene.app(), scene.account("app", scene.second));
    scene.register(&[here.clone(), there.clone()])?;
    let command = scene.registered("listen", &["--json"]);
    let mut device = Running::start(command, &scene.patience)?;
    acknowledged(&scene.send(&scene.sensor(), &here, &["on"])?)?;
    is_message(&device.json()?, "on", false)?;

    scene.first.kill()?;
    let killed = Instant::now();
    let sender = scene.account("sensor", scene.second);
    // The server keeps it for a device that is not there yet.
    let sent = scene.send(&sender, &there, &["--timeout", "40s", "off"])?;
    is_message(&device.json()?, "off", false)?;
    acknowledged(&sent)?;
    scene.figures.ms(
        "from the kill to the receipt by the second",
        killed.elapsed(),
    );
    Ok(())
}

pub(super) fn lost_in_mid_stream(scene: &mut Scene<'_>) -> Outcome {
    const MESSAGES: usize = 200;
    let (sensor, app) = (scene.sensor(), scene.app());
    let listener = scene.listen(&app)?;
    let mut sender = scene.send_lines(&sensor, &app, "60s")?;
    let lines = |from: usize, to: usize| (from..to).map(|n| format!("{n}\n")).collect::<String>();
    sender.write(&lines(0, MESSAGES / 2))?;
    // Some are acknowledged, others under way.
    let mut outcomes = vec![sender.json()?];
    scene.first.kill()?;
    sender.write(&lines(MESSAGES / 2, MESSAGES))?;
    scene.first.start_again(&scene.patience)?;
    let back = Instant::now();
    while outcomes.len() < MESSAGES {
        outcomes.push(sender.json()?);
    }
    scene
        .figures
        .ms("all settled after the server's return", back.elapsed());
    sender.end()?.must_be("stanchion send", 0)?;
    let good = outcomes
        .iter()
        .filter(|outcome| is_success(outcome))
        .count();
    let mut took = Vec::new();
    for outcome in &outcomes {
        took.push(time(outcome)?);
    }
    // Each outcome followed the recipient's line, so they are all here or never come.
    let (mut bodies, mut twice) = (BTreeSet::new(), 0);
    for line in listener.stop()? {
        let line = crate::program::json(&line, "a line of the listener")?;
        twice += usize::from(!bodies.insert(line["body"].to_string()));
    }
    scene.figures.count("sent", MESSAGES);
    scene.figures.count("acknowledged", good);
    scene.figures.count("lost", MESSAGES - bodies.len());
    scene.figures.count("twice", twice);
    scene.figures.spread("to the receipt", took);
    must(
        (good, bodies.len(), twice) == (MESSAGES, MESSAGES, 0),
        || {
            format!(
                "of {MESSAGES} messages {good} were acknowledged, {} received, {twice} twice",
                bodies.len()
            )
        },
    )
}

pub(super) fn all_dead(scene: &mut Scene<'_>) -> Outcome {
    const TIME: Duration = Duration::from_secs(2);
    /// To start the program and to end it.
    const AROUND: Duration = Duration::from_millis(500);
    let accounts = [scene.sensor(), scene.account("sensor", scene.second)];
    scene.register(&accounts)?;
    scene.first.kill()?;
    // It takes connections, as far as TCP goes, and says nothing.
    scene.second.freeze()?;
    let to = scene.app().jid;
    let words = ["--to", &to, "--timeout", "2s", "hello"];
    let sent = scene.run(scene.registered("send", &words))?;
    scene.figures.ms("chosen", TIME);
    scene.figures.ms("the command took", sent.took);
    sent.must_be("stanchion send", 12)?;
    let told = sent.told();
    for account in &accounts {
        for part in [&account.jid, &account.place] {
            must(told.contains(part), || {
                format!("{part} is not in what was told: {told}")
            })?;
        }
    }
    scene.figures.word("told", told);
    must(sent.took <= TIME + AROUND, || {
        format!("it took {:?}, and {TIME:?} was chosen", sent.took)
    })
}
