//! Recipients who are not there, and times that are kept all the same.

use crate::evaluate::process::Running;
use crate::evaluate::scene::{Scene, acknowledged, is_message, must, time};
use crate::failure::Outcome;
use std::time::{Duration, Instant};

pub(super) fn recipient_away(scene: &mut Scene<'_>) -> Outcome {
    const AWAY: Duration = Duration::from_millis(1500);
    let (sensor, app) = (scene.sensor(), scene.app());
    let words = ["--to", &app.jid, "--json", "--timeout", "40s", "hello"];
    let mut sender = Running::start(scene.stanchion(&sensor, "send", &words), &scene.patience)?;
    scene.patience.pass(AWAY)?;
    must(sender.is_quiet(), || {
        "there was an outcome without a recipient".to_owned()
    })?;
    let back = Instant::now();
    let mut listener = scene.listen(&app)?;
    is_message(&listener.json()?, "hello", false)?;
    scene.figures.ms("away", AWAY);
    scene
        .figures
        .ms("received after the recipient's start", back.elapsed());
    let sent = sender.end()?;
    scene.figures.ms("the command took", sent.took);
    acknowledged(&sent).map(|_| ())
}

pub(super) fn deadline(scene: &mut Scene<'_>) -> Outcome {
    let (sensor, app) = (scene.sensor(), scene.app());
    let mut sender = scene.send_lines(&sensor, &app, "2s")?;
    // Its time includes the login, so it is not judged.
    sender.write("connected\n")?;
    sender.json()?;
    overrun(scene, &mut sender, "recipient absent")?;
    scene.first.freeze()?;
    overrun(scene, &mut sender, "server frozen")?;
    let ended = sender.end()?;
    scene.first.thaw()?;
    ended.must_be("stanchion send", 11)
}

/// Messages whose time is over at nearly the same moment; none has an outcome before. The
/// time of a message begins when the command hands it over, so the command's own clock is
/// judged; what a script around it sees is shown beside it.
fn overrun(scene: &mut Scene<'_>, sender: &mut Running, what: &str) -> Outcome {
    const MESSAGES: usize = 10;
    const TIME: Duration = Duration::from_secs(2);
    const LATE: Duration = Duration::from_millis(250);
    /// Times are told in whole milliseconds, by two clocks that are read one after the other.
    const EARLY: Duration = Duration::from_millis(5);
    let begin = Instant::now();
    for n in 0..MESSAGES {
        sender.write(&format!("{n}\n"))?;
    }
    let mut latest = Duration::ZERO;
    for _ in 0..MESSAGES {
        let outcome = sender.json()?;
        let took = time(&outcome)?;
        must(
            outcome["outcome"] == "in-doubt" && took + EARLY >= TIME,
            || format!("after {took:?} there was an outcome nobody could know: {outcome}"),
        )?;
        latest = latest.max(took.saturating_sub(TIME));
    }
    scene.figures.ms(&format!("{what}, late by"), latest);
    let seen = begin.elapsed().saturating_sub(TIME);
    scene.figures.ms(&format!("{what}, all read after"), seen);
    must(latest <= LATE, || {
        format!("an outcome was {latest:?} late; {LATE:?} is allowed")
    })
}
