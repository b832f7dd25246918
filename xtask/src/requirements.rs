//! What the suite needs beside cargo, and getting it on Debian.
//!
//! Installs through apt when it may (root, or sudo without a password) and
//! says so; otherwise names the one command to run.

use crate::failure::{Context as _, Failure, Outcome};
use crate::program;
use crate::servers::prosody;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Something that must be there, and the Debian packages that bring it.
struct Need {
    what: &'static str,
    packages: &'static [&'static str],
    present: fn() -> bool,
}

const COMPILER: Need = Need {
    what: "a C++ compiler (for libFuzzer and SQLite)",
    packages: &["g++"],
    present: || program::find("c++").is_some() || program::find("g++").is_some(),
};
const PROSODY: Need = Need {
    what: "Prosody",
    // The second one is for SASL2.
    packages: &["prosody", "prosody-modules"],
    present: || program::find("prosody").is_some() && prosody::has_community_modules(),
};
const EJABBERD: Need = Need {
    what: "ejabberd",
    // The second one lets it keep its archive in SQLite.
    packages: &["ejabberd", "erlang-p1-sqlite3"],
    present: || program::find("ejabberdctl").is_some() && program::find("erl").is_some(),
};
const SLIXMPP: Need = Need {
    what: "slixmpp (a client that is not ours)",
    packages: &["python3", "python3-slixmpp"],
    present: || python().is_some(),
};

const LIBSTROPHE: Need = Need {
    what: "libstrophe (another one)",
    packages: &["libstrophe-dev", "gcc"],
    present: || Path::new("/usr/include/strophe.h").exists() && program::find("cc").is_some(),
};

const VENV: Need = Need {
    what: "Python's virtual environments (for devices that are not ours)",
    packages: &["python3", "python3-venv"],
    present: || {
        let mut python = Command::new("/usr/bin/python3");
        program::read(python.args(["-c", "import ensurepip, venv"])).is_ok()
    },
};
const MOSQUITTO: Need = Need {
    what: "mosquitto (an MQTT broker)",
    packages: &["mosquitto"],
    present: || mosquitto().is_some(),
};
const LIBCOAP: Need = Need {
    what: "libcoap's server",
    packages: &["libcoap3-bin"],
    present: || {
        program::find("coap-server").is_some() || program::find("coap-server-notls").is_some()
    },
};

const TMUX: Need = Need {
    what: "tmux (people's terminals)",
    packages: &["tmux"],
    present: || program::find("tmux").is_some(),
};

const BROWSER: Need = Need {
    what: "Chromium (for the pages of the dashboard)",
    packages: &["chromium", "chromium-driver"],
    present: browser,
};

/// Whether there is a browser that can be driven.
fn browser() -> bool {
    program::find("chromium").is_some() && program::find("chromedriver").is_some()
}

/// What is installed in a virtual environment of the project's own, and never linked: a
/// client with sensor data and control, an RFID reader and another decoder of its
/// protocol, a Modbus device, a car.
const PEERS: [&str; 6] = [
    "slixmpp==1.17.0",
    "llrpkit==0.3.0",
    "pyllrp==3.1.1",
    // What pyllrp is written for: from 5.0 on it has no streams.
    "bitstring==4.4.0",
    "pymodbus==3.16.1",
    "ELM327-emulator==4.0.0",
];

/// Makes sure that all is there; without `servers`, of the compiler only.
///
/// # Errors
/// `Failure::Missing` with the command to run when it may not install.
pub(crate) fn ensure(servers: bool) -> Outcome {
    let all = [
        COMPILER, PROSODY, EJABBERD, SLIXMPP, LIBSTROPHE, VENV, MOSQUITTO, LIBCOAP, BROWSER, TMUX,
    ];
    install(if servers { &all[..] } else { &all[..1] })
}

/// What a build from nothing takes of the disk, in GB, with what makes the next one quicker.
const DISK: u64 = 18;

/// Says so if the disk may be too small: what then fails is a linker, a database or a test,
/// and hardly one of them says why.
pub(crate) fn tell_of_disk() {
    let free = rustix::fs::statvfs(program::root()).map(|disk| disk.f_bavail * disk.f_frsize);
    if let Some(warning) = free.ok().and_then(too_small) {
        eprintln!("{warning}");
    }
}

fn too_small(free: u64) -> Option<String> {
    let free = free / 1_000_000_000;
    (free < DISK).then(|| {
        format!(
            "{free} GB are free on this disk. A build from nothing takes {DISK}, and 9 with \
             CARGO_INCREMENTAL=0; `cargo clean` gives back what earlier ones took"
        )
    })
}

/// Makes sure that there is a browser that can be driven.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn ensure_browser() -> Outcome {
    install(&[COMPILER, BROWSER])
}

/// Makes sure that there is what `talk` needs.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn ensure_terminals() -> Outcome {
    install(&[COMPILER, TMUX, PROSODY])
}

fn install(needs: &[Need]) -> Outcome {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|need| need.what).collect();
    let packages: Vec<_> = missing
        .iter()
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    let by_hand = format!(
        "missing: {}. Run `apt-get update && apt-get install -y --no-install-recommends {}` as root",
        names.join(", "),
        packages.join(" ")
    );
    let (Some(mut update), Some(mut install)) = (apt(), apt()) else {
        return Err(Failure::Missing(by_hand));
    };
    eprintln!("Installing {} ({})", names.join(", "), packages.join(" "));
    // An old list of packages may still do, so a failed update is no end yet.
    if let Err(failure) = program::run(update.arg("update")) {
        eprintln!("{failure}");
    }
    install
        .args(["install", "-y", "--no-install-recommends"])
        .args(&packages);
    program::run(&mut install)?;
    match missing.iter().find(|need| !(need.present)()) {
        None => Ok(()),
        Some(need) => Err(Failure::Missing(format!(
            "{} is still missing after the installation; {by_hand}",
            need.what
        ))),
    }
}

/// A Python that has slixmpp: Debian's own first, then the one on the path.
pub(crate) fn python() -> Option<PathBuf> {
    let mut candidates = vec![PathBuf::from("/usr/bin/python3")];
    candidates.extend(program::find("python3"));
    candidates.into_iter().find(|python| {
        program::read(Command::new(python).args(["-c", "import slixmpp; slixmpp.ClientXMPP"]))
            .is_ok()
    })
}

/// The broker: Debian has it where only root looks.
fn mosquitto() -> Option<PathBuf> {
    let at = PathBuf::from("/usr/sbin/mosquitto");
    program::find("mosquitto").or_else(|| at.exists().then_some(at))
}

/// The Python of the virtual environment that has the [`PEERS`]; made if it is not there.
///
/// # Errors
/// What stands in the way: no network, as a rule.
pub(crate) fn peers() -> Outcome<PathBuf> {
    let folder = program::root().join("target/peers");
    let (python, stamp) = (folder.join("bin/python"), folder.join("peers.txt"));
    let wanted = PEERS.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(python);
    }
    eprintln!("Installing {} into {}", PEERS.join(", "), folder.display());
    let mut venv = Command::new("/usr/bin/python3");
    program::run(venv.args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    program::run(pip.args(PEERS))?;
    std::fs::write(&stamp, wanted).doing("write", &stamp)?;
    Ok(python)
}

/// `apt-get`, with sudo where needed; none when this user may not install.
fn apt() -> Option<Command> {
    let apt = program::find("apt-get")?;
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("env")
    } else {
        let sudo = program::find("sudo")?;
        program::read(Command::new(&sudo).args(["-n", "true"])).ok()?;
        let mut command = Command::new(sudo);
        command.args(["-n", "env"]);
        command
    };
    // The suite starts servers of its own: RUNLEVEL=1 keeps the packages'
    // services down where init scripts decide that.
    command.args(["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]);
    command.arg(apt).current_dir(Path::new("/"));
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_is_told_of_and_a_large_one_is_not() {
        let warning = too_small(7_100_000_000).unwrap();
        assert!(warning.starts_with("7 GB are free"), "{warning}");
        assert_eq!(too_small(DISK * 1_000_000_000), None);
    }
}
