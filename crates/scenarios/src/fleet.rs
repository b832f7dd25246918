//! Devices that report, and the account of what they reported against what was kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stanchion::device::model::{Sample, as_f64};
use stanchion::device::outflow::{Outflow, OutflowConfig, ToRecipient};
use stanchion::session::{Lane, Status};
use stanchion::stanza::Text;
use stanchion::stanza::payload::sensordata::Profile;
use stanchion::{Client, ClientBuilder, Jid};

use crate::collector::Values;
use crate::failure::{Doing as _, Failure};
use crate::report::Report;
use crate::server::DOMAIN;

/// For what is still to be handed over at the end.
const FAREWELL: Duration = Duration::from_secs(60);

/// A device that reports to the collector, and remembers what.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) user: String,
    client: Client,
    outflow: Outflow,
    reported: Values,
}

impl Device {
    /// Runs it as that account, reporting to that one.
    pub(crate) async fn start(
        user: String,
        client: ClientBuilder,
        to: &str,
        config: OutflowConfig,
    ) -> Result<Self, Failure> {
        let (client, _) = client.start().await.doing("start a device")?;
        let to: Jid = format!("{to}@{DOMAIN}").parse().doing("an account")?;
        let way = ToRecipient::new(client.sender(), to, Profile::Nf, None);
        Self::over(user, client, way, config)
    }

    /// The same, for whom a newer reading is worth more than an older one.
    pub(crate) async fn start_newest_first(
        user: String,
        client: ClientBuilder,
        to: &str,
        config: OutflowConfig,
    ) -> Result<Self, Failure> {
        let (client, _) = client.start().await.doing("start a device")?;
        let to: Jid = format!("{to}@{DOMAIN}").parse().doing("an account")?;
        let way = ToRecipient::new(client.sender(), to, Profile::Nf, None).newest_first();
        Self::over(user, client, way, config)
    }

    fn over(
        user: String,
        client: Client,
        way: ToRecipient,
        config: OutflowConfig,
    ) -> Result<Self, Failure> {
        let outflow = Outflow::start(Arc::new(way), config);
        let reported = BTreeMap::new();
        Ok(Self {
            user,
            client,
            outflow,
            reported,
        })
    }

    /// Reports a sample.
    pub(crate) async fn report(&mut self, lane: Lane, sample: &Sample) {
        self.outflow.give(lane, sample).await;
        for reading in &sample.readings {
            let device = format!("{}@{DOMAIN}", self.user);
            let key = (device, sample.thing.to_string(), reading.field.to_string());
            let value = (sample.at.as_unix_ms(), as_f64(&reading.value));
            self.reported.entry(key).or_default().push(value);
        }
    }

    /// Resolves once it is connected.
    pub(crate) async fn connected(&self) {
        let mut status = self.client.status();
        let connected = status.wait_for(|s| matches!(s, Status::Connected { .. }));
        // An error means that it has ended, which its end will tell.
        let _ = connected.await.map(drop);
    }

    /// Hands over what waits. Gives the readings that were left.
    pub(crate) async fn finish(self) -> (Client, Values, usize) {
        let left = self.outflow.shutdown(FAREWELL).await;
        (self.client, self.reported, left)
    }
}

/// A name, for what is known to be one.
pub(crate) fn text(name: &str) -> Text {
    name.parse().unwrap_or_default()
}

/// Readings in all.
pub(crate) fn count(values: &Values) -> usize {
    values.values().map(Vec::len).sum()
}

/// Puts what was kept to account: nothing lost, doubled, out of order or made up.
pub(crate) fn account(report: &mut Report, reported: &Values, kept: &Values) {
    let misordered = account_unordered(report, reported, kept);
    report.none("readings out of order", misordered);
}

/// The same where order does not count; gives how many were out of it.
pub(crate) fn account_unordered(report: &mut Report, reported: &Values, kept: &Values) -> usize {
    let (mut lost, mut doubled, mut misordered, mut invented) = (0, 0, 0, 0);
    let none = Vec::new();
    for (key, reported) in reported {
        let kept = kept.get(key).unwrap_or(&none);
        let mut sorted = kept.clone();
        sorted.sort_by_key(|(at, _)| *at);
        misordered += kept.iter().zip(&sorted).filter(|(a, b)| a.0 != b.0).count();
        // On a busy machine two reports may be of the same millisecond.
        let mut counts: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        for (at, value) in reported {
            counts.entry((*at, value.map(f64::to_bits))).or_default().0 += 1;
        }
        for (at, value) in kept {
            counts.entry((*at, value.map(f64::to_bits))).or_default().1 += 1;
        }
        for (reported, kept) in counts.into_values() {
            lost += reported.saturating_sub(kept);
            match reported {
                0 => invented += kept,
                _ => doubled += kept.saturating_sub(reported),
            }
        }
    }
    invented += kept
        .keys()
        .filter(|key| !reported.contains_key(*key))
        .count();
    report.none("readings lost", lost);
    report.none("readings doubled", doubled);
    report.none("readings that nobody sent", invented);
    misordered
}
