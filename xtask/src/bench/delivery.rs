//! Messages delivered, from `send` to outcome: through the embedded hub, and through
//! Prosody beside a bare stream there. MQTT's figure stands beside them, unjudged, as it
//! keeps nothing on disk.

use super::workspace::{self, DELIVERY};
use super::{Report, listing};
use crate::failure::Outcome;
use crate::measure::Measure;
use crate::requirements;
use crate::servers::Temporary;
use crate::servers::state::{Kind, Options};
use std::process::Command;

/// Through the hub.
const HUB: &str = "delivery/hub, TLS";
/// Through Prosody, whose work is by the stanza: several messages in each.
const PROSODY: &str = "delivery/Prosody, bundles";
/// What a bare stream carries there.
const BARE: &str = "delivery/Prosody, bare";

/// Messages a second through the hub, at least.
const RATE: f64 = 20_000.0;
/// The least share of what a bare stream carries.
const SHARE: f64 = 0.8;

/// Measures and judges.
pub(super) fn run() -> Outcome<Report> {
    requirements::ensure(true)?;
    let program = DELIVERY.build()?;
    let mut values = workspace::values(Command::new(&program).arg("hub"))?;
    // An archive writes each message to disk, a bare stream's too: it would be measured
    // instead of the two.
    let options = Options {
        no_mam: true,
        ..Options::default()
    };
    let users = [("sensor", "secret"), ("cloud", "secret")];
    let server = Temporary::start_with(Kind::Prosody, "prosody.test", &users, options)?;
    let mut prosody = Command::new(&program);
    prosody.args(["prosody", "--server"]);
    prosody.arg(server.state.dir.join("server.json"));
    values.extend(workspace::values(&mut prosody)?);
    drop(server);
    values.extend(workspace::values(Command::new(&program).arg("mqtt"))?);
    Ok(Report {
        table: listing("messages delivered, each committed once", &values),
        goals: judge(&values)?,
        values,
    })
}

fn judge(values: &[Measure]) -> Outcome<Vec<Measure>> {
    let hub = workspace::find(values, HUB)?;
    Ok(vec![
        Measure {
            goal: Some(format!("value >= {RATE}")),
            pass: hub.value >= RATE,
            ..hub.clone()
        },
        workspace::at_least(values, PROSODY, BARE, SHARE)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_is_judged_by_its_rate_and_prosody_by_its_bare_stream() {
        let value = |what: &str, value| Measure::alone(what.to_owned(), value, "1/s");
        let mut values = vec![
            value(HUB, 20_000.0),
            value(PROSODY, 800.0),
            value(BARE, 1000.0),
        ];
        assert!(judge(&values).unwrap().iter().all(|m| m.pass));
        values[0].value -= 1.0;
        values[1].value -= 1.0;
        assert!(judge(&values).unwrap().iter().all(|m| !m.pass));
        assert!(judge(&values[1..]).is_err());
    }
}
