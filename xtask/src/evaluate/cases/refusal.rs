//! What must not succeed, and what is said of it.

use crate::evaluate::process::Ended;
use crate::evaluate::relay::{Mischief, Relay};
use crate::evaluate::scene::{Account, Scene, must};
use crate::failure::{Context, Outcome};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Nobody should wait for what no waiting brings.
const AT_ONCE: Duration = Duration::from_secs(5);

pub(super) fn password(scene: &mut Scene<'_>) -> Outcome {
    let relay = Relay::start(scene.first.port(), Mischief::Nothing)?;
    let wrong = Account {
        password: "battery-staple",
        ..scene.sensor().by(relay.port())
    };
    let sent = scene.send(&wrong, &scene.app(), &["hello"])?;
    scene.figures.ms("refused after", sent.took);
    scene.figures.count("connections", relay.accepted());
    refused(&sent, "password")?;
    scene.figures.word("told", sent.told());
    must(relay.accepted() == 1, || {
        format!("it connected {} times", relay.accepted())
    })
}

pub(super) fn certificate(scene: &mut Scene<'_>) -> Outcome {
    let (sensor, app) = (scene.sensor(), scene.app());
    let elsewhere = scene.account("sensor", scene.second);
    let unknown = Account {
        ca: stranger(scene.folder())?,
        ..sensor.clone()
    };
    let sent = scene.send(&unknown, &app, &["hello"])?;
    scene
        .figures
        .ms("unknown authority, refused after", sent.took);
    refused(&sent, "certificate")?;
    scene.figures.word("told", sent.told());
    // The server is trusted, but for its own domain. TLS comes first here, or the server
    // itself would say that it has no such domain.
    let other = Account {
        jid: sensor.jid.clone(),
        place: scene.second.direct_tls(),
        ..elsewhere
    };
    let sent = scene.send(&other, &app, &["hello"])?;
    scene.figures.ms("another domain, refused after", sent.took);
    refused(&sent, scene.first.domain())?;
    scene.figures.word("told of that", sent.told());
    Ok(())
}

/// An authority that signed nothing here.
fn stranger(folder: &Path) -> Outcome<PathBuf> {
    let mut params = CertificateParams::new(Vec::new())?;
    let name = "Somebody else's authority";
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let path = folder.join("stranger.pem");
    let text = params.self_signed(&KeyPair::generate()?)?.pem();
    std::fs::write(&path, text).doing("write", &path)?;
    Ok(path)
}

fn refused(sent: &Ended, named: &str) -> Outcome {
    sent.must_be("stanchion send", 13)?;
    let told = sent.told();
    must(told.contains(named), || {
        format!("{named} is not in what was told: {told}")
    })?;
    must(sent.took <= AT_ONCE, || {
        format!("that took {:?}", sent.took)
    })
}
