//! Deliveries through the embedded hub, in this process as it is meant to be, over
//! loopback: each message alone and several in a stanza.

use clap::Args;
use stanchion_hub::{Accounts, Hub, HubConfig, HubLimits};
use tokio::sync::oneshot;

use crate::ends::{self, BUNDLES, DOMAIN, Ends, FROM, Run, TO};
use crate::figure::{self, told};

/// What to measure.
#[derive(Debug, Args)]
pub struct Plan {
    /// Messages under way at once
    #[arg(long, default_value_t = 20_000)]
    together: usize,
    /// Messages one at a time
    #[arg(long, default_value_t = 500)]
    single: usize,
    /// Rounds; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only deliveries with so many messages in a stanza: for a profiler
    #[arg(long, value_parser = ends::bundle)]
    only: Option<usize>,
}

/// Prints the rates and times.
pub async fn run(plan: &Plan) -> Result<(), String> {
    let any = Some(([127, 0, 0, 1], 0).into());
    let accounts = [(FROM, "secret"), (TO, "secret")];
    let hub = Hub::bind(HubConfig {
        domain: DOMAIN.into(),
        starttls: None,
        direct_tls: any,
        accounts: Accounts::open_demo(accounts).map_err(|e| told(&e))?,
        limits: HubLimits {
            // A broker keeps none either.
            archive_messages: 0,
            ..HubLimits::default()
        },
        ..HubConfig::default()
    })
    .await
    .map_err(|e| told(&e))?;
    let port = hub.addresses().direct_tls.map_or(0, |a| a.port());
    let pin = hub.fingerprint();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(hub.run(async { drop(stopped.await) }));

    let folder = tempfile::tempdir().map_err(|e| told(&e))?;
    for (name, bundle) in ["hub, TLS", "hub, TLS, bundles"].into_iter().zip(BUNDLES) {
        if plan.only.is_some_and(|only| only != bundle) {
            continue;
        }
        let stores = folder.path().join(bundle.to_string());
        std::fs::create_dir(&stores).map_err(|e| told(&e))?;
        let mut ends = Ends::start(&stores, DOMAIN, |_, builder| {
            builder
                .password("secret".to_owned().into())
                .server("127.0.0.1", port)
                .direct_tls()
                .pin(pin)
                .session_config(move |config| config.engine.bundle = bundle)
        })
        .await?;
        let mut runs = Vec::new();
        for _ in 0..plan.rounds {
            runs.push(ends.deliver(plan.together, plan.single).await?);
        }
        Run::print(name, &runs);
        let again = 100.0 * ends.sent_again();
        figure::print(&format!("delivery/{name}, sent again"), again, "%");
        ends.stop().await?;
    }
    drop(stop);
    running.await.map_err(|e| told(&e))?.map_err(|e| told(&e))
}
