//! Deliveries through a real Prosody, beside messages that a bare stream carries there.

use std::path::PathBuf;

use clap::Args;
use stanchion::transport::tls::Roots;

use crate::bare::{self, Form};
use crate::ends::{Ends, FROM, Run, TO};
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
    let (mut runs, mut bare, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        // Alone each: neither has the other's sessions beside it.
        bare.push(bare::run(&server, Form::Delivery, plan.together).await?);
        bodies.push(bare::run(&server, Form::Body, plan.together).await?);
        let stores = folder.path().join(round.to_string());
        std::fs::create_dir(&stores).map_err(|e| told(&e))?;
        let mut ends = Ends::start(&stores, &server.domain, |user, builder| {
            builder
                .password(server.users[user].clone().into())
                .server("127.0.0.1", server.ports.direct_tls)
                .direct_tls()
                .trust(Roots::PemFile(server.ca.clone()))
        })
        .await?;
        runs.push(ends.deliver(plan.together, plan.single).await?);
        ends.stop().await?;
    }
    let bodies = figure::median(bodies);
    figure::print("delivery/Prosody, bare, bodies alone", bodies, "1/s");
    figure::print("delivery/Prosody, bare", figure::median(bare), "1/s");
    Run::print("Prosody", &runs);
    Ok(())
}
