//! Case 4 of the paper: messages by TLS and SASL, and messages that need neither.

use crate::evaluate::process::Running;
use crate::evaluate::relay::{Mischief, Relay};
use crate::evaluate::scene::{Account, Scene, acknowledged, is_message, must};
use crate::failure::Outcome;
use crate::program;

pub(super) fn levels(scene: &mut Scene<'_>) -> Outcome {
    secured(scene)?;
    hidden(scene)?;
    let Some((port, path)) = scene.first.clear() else {
        scene.figures.word("in the clear", "not offered");
        return Ok(());
    };
    let path = path.to_owned();
    unsecured(scene, port, &path)
}

fn secured(scene: &mut Scene<'_>) -> Outcome {
    const BODY: &str = "secured 21.5";
    let (sensor, app) = (scene.sensor(), scene.app());
    let relay = Relay::start(scene.first.port(), Mischief::Nothing)?;
    let by_relay = sensor.by(relay.port());
    let looked = scene.run(scene.stanchion(&by_relay, "doctor", &["--json"]))?;
    looked.must_be("stanchion doctor", 0)?;
    let report = looked.json()?;
    let server = &report["servers"][0];
    for (what, found) in [
        ("on the wire", &server["tls"]["version"]),
        ("login", &server["login"]["mechanism"]),
        ("binding", &server["login"]["binding"]),
    ] {
        scene.figures.word(what, found.as_str().unwrap_or("none"));
    }
    let mut listener = scene.listen(&app)?;
    acknowledged(&scene.send(&by_relay, &app, &[BODY])?)?;
    is_message(&listener.json()?, BODY, false)?;
    // The beginning of a stream is in the clear: it has looked at the right bytes.
    must(relay.has_seen("stream:stream"), || {
        "the relay has seen no stream".to_owned()
    })?;
    must(!relay.has_seen(BODY), || {
        "the message could be read on the way".to_owned()
    })
}

/// Somebody on the way takes the offer of TLS out.
fn hidden(scene: &mut Scene<'_>) -> Outcome {
    const BODY: &str = "hidden 21.5";
    let relay = Relay::start(scene.first.port(), Mischief::HideTls)?;
    let sent = scene.send(&scene.sensor().by(relay.port()), &scene.app(), &[BODY])?;
    sent.must_be("stanchion send, its TLS hidden,", 13)?;
    must(relay.accepted() > 0 && !relay.has_seen(BODY), || {
        "the message left in the clear".to_owned()
    })?;
    scene.figures.word("hidden TLS", "refused");
    Ok(())
}

fn unsecured(scene: &mut Scene<'_>, port: u16, path: &str) -> Outcome {
    const BODY: &str = "unsecured 21.5";
    let relay = Relay::start(port, Mischief::Nothing)?;
    let clear = |account: Account| Account {
        place: format!("ws://127.0.0.1:{}/{path}", relay.port()),
        ..account
    };
    let (sensor, app) = (clear(scene.sensor()), clear(scene.app()));
    let words = ["--insecure-plaintext", BODY];
    let kept = scene.send(&sensor, &app, &words)?;
    kept.must_be("stanchion send of a message that asks for TLS", 13)?;

    let words = ["--json", "--insecure-plaintext"];
    let command = scene.stanchion(&app, "listen", &words);
    let mut listener = Running::start(command, &scene.patience)?;
    let words = ["--insecure-plaintext", "--protection", "any", BODY];
    acknowledged(&scene.send(&sensor, &app, &words)?)?;
    let line = program::json(&listener.line()?, "a line of the listener")?;
    is_message(&line, BODY, false)?;
    // On its way to the recipient: what a client sends by WebSocket is masked.
    must(relay.has_seen(BODY), || {
        "the relay has not seen the message, which was to go in the clear".to_owned()
    })?;
    scene.figures.word("in the clear", "only when allowed");
    Ok(())
}
