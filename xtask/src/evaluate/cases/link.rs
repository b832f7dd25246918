//! A link that dies without a word: both ends have a connection, and nothing passes.

use crate::evaluate::relay::{Mischief, Relay};
use crate::evaluate::scene::{Scene, is_success, must};
use crate::failure::Outcome;
use std::time::{Duration, Instant};

/// The device asks a connection that is quiet for 5 s, and gives it 5 s to answer.
const FOUND: Duration = Duration::from_secs(15);

/// The device only listens, so there is nothing of its own whose answer it misses.
pub(super) fn half_open(scene: &mut Scene<'_>) -> Outcome {
    let (device_account, app) = (scene.sensor(), scene.app());
    let relay = Relay::start(scene.first.port(), Mischief::Nothing)?;
    let mut device = scene.device(&device_account.by(relay.port()), &app)?;
    let mut sender = scene.send_lines(&app, &device_account, "50s")?;
    sender.write("before\n")?;
    let received = device.json_with("received")?;
    must(received["received"] == "before", || {
        format!("received {received}")
    })?;
    must(is_success(&sender.json()?), || {
        "the first message was not acknowledged".to_owned()
    })?;

    relay.fall_silent();
    let silent = Instant::now();
    let connections = relay.accepted();
    // The server takes the device to be there, and writes into the silence.
    sender.write("into the silence\n")?;
    scene.patience.wait_for("a second connection", || {
        Ok((relay.accepted() > connections).then_some(()))
    })?;
    let found = silent.elapsed();
    scene.figures.ms("found after", found);
    let received = device.json_with("received")?;
    scene.figures.ms("received after", silent.elapsed());
    must(received["received"] == "into the silence", || {
        format!("received {received}")
    })?;
    let outcome = sender.json()?;
    must(is_success(&outcome), || format!("the outcome is {outcome}"))?;
    sender.end()?.must_be("stanchion send", 0)?;
    must(found <= FOUND, || {
        format!("it was found after {found:?}; {FOUND:?} is allowed")
    })
}
