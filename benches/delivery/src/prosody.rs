//! Deliveries through a real Prosody, each message alone and several in a stanza, beside
//! messages that a bare stream carries there.

use std::path::PathBuf;

use clap::Args;
use stanchion::transport::tls::Roots;

use crate::bare::{self, Form};
use crate::ends::{self, BUNDLES, Ends, FROM, Run, TO};
use crate::figure::{self, told};
use crate::server::Server;

/// What to measure.
#[derive(Debug, Args)]
pub struct Plan {
    /// A server's description, as `cargo xtask servers start --json` prints it
    #[arg(long)]
    server: PathBuf,
    /// Messages under way at once
    #[arg(long, default_value_t = 5000)]
    together: usize,
    /// Messages one at a time
    #[arg(long, default_value_t = 500)]
    single: usize,
    /// Rounds; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only deliveries, with so many messages in a stanza: for a profiler
    #[arg(long, value_parser = ends::bundle)]
    only: Option<usize>,
}

/// Prints the rates and times.
pub async fn run(plan: &Plan) -> Result<(), String> {
    let text = std::fs::read_to_string(&plan.server)
        .map_err(|e| format!("{}: {e}", plan.server.display()))?;
    let server: Server =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", plan.server.display()))?;
    for user in [FROM, TO] {
        server.password(user)?;
    }
    let folder = tempfile::tempdir().map_err(|e| told(&e))?;
    let (mut bare, mut bodies) = (Vec::new(), Vec::new());
    let (mut runs, mut bundled) = (Vec::new(), Vec::new());
    let mut costs = Costs::default();
    for round in 0..plan.rounds {
        // Alone each: neither has the other's sessions beside it.
        if plan.only.is_none() {
            for (form, rates, costs) in [
                (Form::Delivery, &mut bare, &mut costs.bare),
                (Form::Body, &mut bodies, &mut costs.bodies),
            ] {
                let before = server.processor();
                rates.push(bare::run(&server, form, plan.together).await?);
                costs.extend(server.cost_since(before, plan.together));
            }
        }
        let each = [
            (&mut runs, &mut costs.ours),
            (&mut bundled, &mut costs.bundled),
        ];
        for (bundle, (runs, costs)) in BUNDLES.into_iter().zip(each) {
            if plan.only.is_some_and(|only| only != bundle) {
                continue;
            }
            let stores = folder.path().join(format!("{round}-{bundle}"));
            std::fs::create_dir(&stores).map_err(|e| told(&e))?;
            let mut ends = Ends::start(&stores, &server.domain, |user, builder| {
                builder
                    .password(server.users[user].clone().into())
                    .server("127.0.0.1", server.ports.direct_tls)
                    .direct_tls()
                    .trust(Roots::PemFile(server.ca.clone()))
                    .session_config(move |config| config.engine.bundle = bundle)
            })
            .await?;
            let before = server.processor();
            let mut run = ends.deliver(plan.together, 0).await?;
            costs.extend(server.cost_since(before, plan.together));
            run.single = ends.deliver(0, plan.single).await?.single;
            runs.push(run);
            ends.stop().await?;
        }
    }
    for (what, rates, costs) in [
        ("delivery/Prosody, bare, bodies alone", bodies, costs.bodies),
        ("delivery/Prosody, bare", bare, costs.bare),
        ("delivery/Prosody", Vec::new(), costs.ours),
        ("delivery/Prosody, bundles", Vec::new(), costs.bundled),
    ] {
        if !rates.is_empty() {
            figure::print(what, figure::median(rates), "1/s");
        }
        if !costs.is_empty() {
            let what = format!("{what}, the server's time for a message");
            figure::print(&what, figure::median(costs), "µs");
        }
    }
    for (what, runs) in [("Prosody", &runs), ("Prosody, bundles", &bundled)] {
        if !runs.is_empty() {
            Run::print(what, runs);
        }
    }
    Ok(())
}

/// Processor time of the server for a message, in microseconds, of each round. Beside the
/// rates it tells whether the server was busy all the time.
#[derive(Default)]
struct Costs {
    bare: Vec<f64>,
    bodies: Vec<f64>,
    ours: Vec<f64>,
    bundled: Vec<f64>,
}
