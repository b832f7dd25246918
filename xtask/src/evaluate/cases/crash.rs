//! Processes that are killed: the recipient before it commits, the sender as soon as its
//! message is kept.

use crate::evaluate::process::Running;
use crate::evaluate::relay::{Mischief, Relay};
use crate::evaluate::scene::{Scene, is_message, is_success, must};
use crate::failure::Outcome;
use std::time::Instant;

pub(super) fn recipient(scene: &mut Scene<'_>) -> Outcome {
    /// More than a pipe holds: who prints it waits for a reader.
    const BYTES: usize = 100_000;
    let (sensor, app) = (scene.sensor(), scene.app());
    let body = "x".repeat(BYTES);
    let command = scene.stanchion(&app, "listen", &["--json"]);
    let mut first = Running::start_unread(command, &scene.patience)?;
    let mut sender = scene.send_lines(&sensor, &app, "80s")?;
    sender.write(&format!("{body}\n"))?;
    // The message is handed over: it is being printed. It is committed only after that.
    first.line()?;
    must(sender.is_quiet(), || {
        "there was an outcome before the commit".to_owned()
    })?;
    first.kill();
    let mut second = scene.listen(&app)?;
    let started = Instant::now();
    is_message(&second.json()?, &body, true)?;
    scene
        .figures
        .ms("handed over again after the restart", started.elapsed());
    let outcome = sender.json()?;
    must(is_success(&outcome), || format!("the outcome is {outcome}"))?;
    scene
        .figures
        .ms("receipt after the restart", started.elapsed());
    sender.end()?.must_be("stanchion send", 0)
}

pub(super) fn sender(scene: &mut Scene<'_>) -> Outcome {
    let (sensor, app) = (scene.sensor(), scene.app());
    // Nothing that this process says reaches the server once the relay is silent.
    let relay = Relay::start(scene.first.port(), Mischief::Nothing)?;
    let mut device = scene.device(&sensor.by(relay.port()), &app)?;
    while device.json_with("connected")?["connected"] != true {}
    relay.fall_silent();
    device.write("kept\n")?;
    let kept = device.json_with("kept")?["kept"].clone();
    device.kill();

    let mut listener = scene.listen(&app)?;
    let started = Instant::now();
    let mut device = scene.device(&sensor, &app)?;
    let line = listener.json()?;
    scene
        .figures
        .ms("received after the restart", started.elapsed());
    is_message(&line, "kept", false)?;
    must(line["id"] == kept, || {
        format!("it arrived as {}, and was kept as {kept}", line["id"])
    })?;
    let outcome = device.json_with("outcome")?;
    must(outcome["id"] == kept, || {
        format!("the outcome is another message's: {outcome}")
    })?;
    scene
        .figures
        .ms("receipt after the restart", started.elapsed());
    scene
        .figures
        .word("outcome", outcome["outcome"].as_str().unwrap_or_default());
    device.end()?.must_be("the device", 0)
}
