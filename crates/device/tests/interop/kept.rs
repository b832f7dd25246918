//! An adapter that a supervisor keeps going, and what is heard of it.

use std::collections::BTreeMap;
use std::time::Duration;

use stanchion_connect::backoff::BackoffPolicy;
use stanchion_device::adapter::{AdapterEvent, Supervisor, SupervisorConfig, from_adapters};
use stanchion_device::model::{Setting, SettingValue, Value};
use stanchion_device::{Adapter, Order, OrderError, Report, Sample};
use stanchion_stanza::Text;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Kept {
    pub(crate) supervisor: Supervisor,
    pub(crate) events: mpsc::Receiver<AdapterEvent>,
    /// The last value of each field.
    pub(crate) values: BTreeMap<String, Value>,
}

impl Kept {
    /// Keeps it going, with short pauses.
    pub(crate) fn start(name: &str, adapter: impl Adapter) -> Self {
        let (events, heard) = from_adapters(64);
        let mut config = SupervisorConfig::default();
        config.backoff = BackoffPolicy {
            base: Duration::from_millis(100),
            cap: Duration::from_millis(500),
            ..BackoffPolicy::default()
        };
        Self {
            supervisor: Supervisor::start(name, Box::new(adapter), events, config),
            events: heard,
            values: BTreeMap::new(),
        }
    }

    /// What it tells next.
    pub(crate) async fn next(&mut self) -> Report {
        let event = timeout(PATIENCE, self.events.recv()).await;
        let report = event.expect("it tells nothing").unwrap().report;
        if let Report::Sample(Sample { readings, .. }) = &report {
            for reading in readings {
                let field = reading.field.to_string();
                self.values.insert(field, reading.value.clone());
            }
        }
        report
    }

    /// Takes what it tells until that holds.
    pub(crate) async fn until(&mut self, holds: impl Fn(&Self, &Report) -> bool) {
        let since = Instant::now();
        loop {
            let report = self.next().await;
            if holds(self, &report) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "last: {report:?}");
        }
    }

    /// Waits until it has told that value.
    pub(crate) async fn has(&mut self, field: &str, value: &Value) {
        let since = Instant::now();
        while self.values.get(field) != Some(value) {
            self.next().await;
            assert!(since.elapsed() < PATIENCE, "{field}: {:?}", self.values);
        }
    }

    /// Orders something.
    pub(crate) fn order(
        &self,
        thing: &str,
        settings: &[(&str, SettingValue)],
        within: Duration,
    ) -> oneshot::Receiver<Result<(), OrderError>> {
        let settings = settings.iter().map(|(name, value)| Setting {
            name: Text::new(*name).unwrap(),
            value: value.clone(),
        });
        let thing = Text::new(thing).unwrap();
        let (order, answer) = Order::new(thing, settings.collect(), Instant::now() + within);
        self.supervisor.control().order(order);
        answer
    }

    /// Orders something, and waits for what becomes of it.
    pub(crate) async fn set(
        &mut self,
        thing: &str,
        settings: &[(&str, SettingValue)],
    ) -> Result<(), OrderError> {
        let mut answer = self.order(thing, settings, Duration::from_secs(20));
        loop {
            tokio::select! {
                answer = &mut answer => return answer.unwrap(),
                _ = self.next() => {}
            }
        }
    }
}
