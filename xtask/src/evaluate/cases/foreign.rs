//! A standard client that nobody here wrote on the other side: slixmpp.

use crate::evaluate::process::Running;
use crate::evaluate::scene::{Scene, acknowledged, is_message, must};
use crate::failure::Outcome;
use crate::program;

/// By the second server: slixmpp 1.8 binds its login by tls-unique, which TLS 1.3 does not
/// have, so it needs a hub that offers no binding.
pub(super) fn both_ways(scene: &mut Scene<'_>) -> Outcome {
    let sensor = scene.account("sensor", scene.second);
    let app = scene.account("app", scene.second);
    let about = scene.second.about(scene.folder())?;
    let name = |jid: &str| jid.split('@').next().unwrap_or_default().to_owned();
    let foreign = |words: &[&str]| {
        let script = program::root().join("crates/chat/tests/foreign_client.py");
        let mut command = scene.bare(&scene.programs.python);
        command.arg(script).arg(&about).args(words);
        Running::start(command, &scene.patience)
    };

    let mut theirs = foreign(&["receive", &name(&app.jid)])?;
    let ready = theirs.json_with("ready")?;
    let sent = scene.send(&sensor, &app, &["to slixmpp"])?;
    let to_them = acknowledged(&sent)?;
    let outcome = sent.json()?;
    let received = theirs.json_with("body")?;
    must(
        received["body"] == "to slixmpp" && received["id"] == outcome["id"],
        || format!("slixmpp received {received}"),
    )?;
    let by = ready["ready"].as_str().unwrap_or_default();
    let detail = outcome["detail"].as_str().unwrap_or_default();
    must(!by.is_empty() && detail.ends_with(by), || {
        format!("the receipt is not slixmpp's: {detail}")
    })?;
    theirs.end()?.must_be("slixmpp", 0)?;

    // slixmpp sends once, so the listener has to be there before.
    let mut listener = scene.listen(&app)?;
    acknowledged(&scene.send(&sensor, &app, &["there?"])?)?;
    is_message(&listener.json()?, "there?", false)?;
    let words = ["send", &name(&sensor.jid), &app.jid, "from slixmpp"];
    let mut theirs = foreign(&words)?;
    let id = theirs.json_with("sent")?["sent"].clone();
    let line = listener.json()?;
    is_message(&line, "from slixmpp", false)?;
    let receipt = theirs.json_with("receipt")?;
    must(line["id"] == id && receipt["receipt"] == id, || {
        format!("slixmpp sent {id}, we received {line}, and it has {receipt}")
    })?;
    theirs.end()?.must_be("slixmpp", 0)?;
    scene.figures.ms("to slixmpp's receipt", to_them);
    scene.figures.word("both receipts", "yes");
    Ok(())
}
