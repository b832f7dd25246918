//! Case 1 of the paper: the sender is told of the reception (XEP-0184), and what got lost
//! is sent again.

use crate::evaluate::relay::{Mischief, Relay};
use crate::evaluate::scene::{Scene, acknowledged, is_message, is_success, must, time};
use crate::failure::Outcome;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Messages that are verified.
const MESSAGES: usize = 50;

pub(super) fn verified(scene: &mut Scene<'_>) -> Outcome {
    let (sensor, app) = (scene.sensor(), scene.app());
    let mut listener = scene.listen(&app)?;
    let alone = acknowledged(&scene.send(&sensor, &app, &["first"])?)?;
    is_message(&listener.json()?, "first", false)?;
    scene.figures.ms("a command and its receipt", alone);

    let mut sender = scene.send_lines(&sensor, &app, "20s")?;
    let mut received: BTreeMap<String, usize> = BTreeMap::new();
    let (mut took, mut good) = (Vec::new(), 0);
    for n in 0..MESSAGES {
        sender.write(&format!("reading {n}\n"))?;
        let outcome = sender.json()?;
        took.push(time(&outcome)?);
        good += usize::from(is_success(&outcome));
        let line = listener.json()?;
        let body = line["body"].as_str().unwrap_or_default();
        *received.entry(body.to_owned()).or_default() += 1;
    }
    sender.end()?.must_be("stanchion send", 0)?;
    let once = received.values().filter(|n| **n == 1).count();
    scene.figures.count("sent", MESSAGES);
    scene.figures.count("acknowledged", good);
    scene.figures.count("received once", once);
    scene.figures.spread("to the receipt", took);
    must((good, once) == (MESSAGES, MESSAGES), || {
        format!("of {MESSAGES} messages {good} were acknowledged and {once} received once")
    })
}

pub(super) fn sent_again(scene: &mut Scene<'_>) -> Outcome {
    /// The message is at the server by then, and has no reason to be anywhere else.
    const ON_ITS_WAY: Duration = Duration::from_secs(1);
    let (sensor, app) = (scene.sensor(), scene.app());
    let relay = Relay::start(scene.first.port(), Mischief::Nothing)?;
    let mut listener = scene.listen(&app.by(relay.port()))?;
    let mut sender = scene.send_lines(&sensor, &app, "50s")?;
    sender.write("first\n")?;
    is_message(&listener.json()?, "first", false)?;
    must(is_success(&sender.json()?), || {
        "the first message was not acknowledged".to_owned()
    })?;

    relay.fall_silent();
    sender.write("second\n")?;
    scene.patience.pass(ON_ITS_WAY)?;
    must(sender.is_quiet(), || {
        "there was an outcome although the recipient had nothing".to_owned()
    })?;
    // What a server keeps for a client that is connected is in its memory alone.
    scene.first.kill()?;
    listener.kill();
    scene.first.start_again(&scene.patience)?;
    let back = Instant::now();
    let mut listener = scene.listen(&app)?;
    is_message(&listener.json()?, "second", false)?;
    scene
        .figures
        .ms("received after the server's return", back.elapsed());
    let outcome = sender.json()?;
    must(is_success(&outcome), || format!("the outcome is {outcome}"))?;
    scene.figures.ms("to the receipt", time(&outcome)?);
    sender.end()?.must_be("stanchion send", 0)
}
