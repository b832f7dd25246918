//! The gateway's figures, for whoever monitors it: the text format of OpenMetrics over
//! HTTP, at `/metrics`.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use stanchion::reliability::engine::Counters;
use stanchion_device::model::{Value, as_f64};
use stanchion_device::outflow::Flow;
use stanchion_device::sink::Latest;
use tokio::net::TcpListener;

use crate::exit::Failure;

/// What of an adapter is shown.
#[derive(Debug, Clone)]
pub(crate) struct AdapterFigures {
    pub(crate) name: String,
    pub(crate) connected: bool,
    pub(crate) reports: u64,
}

/// What of a connection is shown.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionFigures {
    pub(crate) name: String,
    pub(crate) connected: bool,
    pub(crate) counters: Counters,
}

/// What of somebody who gets readings is shown.
#[derive(Debug, Clone)]
pub(crate) struct FlowFigures {
    pub(crate) connection: String,
    pub(crate) to: String,
    pub(crate) flow: Flow,
}

/// All of them at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) adapters: Vec<AdapterFigures>,
    /// MQTT brokers, and whether each is there.
    pub(crate) brokers: Vec<(String, bool)>,
    pub(crate) connections: Vec<ConnectionFigures>,
    pub(crate) flows: Vec<FlowFigures>,
    pub(crate) reloads: u64,
}

/// Where the figures come from: asked for each time that somebody looks.
pub(crate) trait Source: Send + Sync + std::fmt::Debug + 'static {
    fn figures(&self) -> Figures;
}

/// The last values, if they are shown.
pub(crate) type Readings = Arc<Mutex<Latest>>;

#[derive(Debug)]
struct Page {
    source: Arc<dyn Source>,
    readings: Option<Readings>,
}

/// One figure of several of the same kind.
struct Family<'a, 'b> {
    name: &'a str,
    help: &'a str,
    kind: MetricType,
    encoder: &'a mut DescriptorEncoder<'b>,
}

impl Family<'_, '_> {
    fn write<const N: usize, M: EncodeMetric>(
        self,
        members: impl Iterator<Item = ([(&'static str, String); N], M)>,
    ) -> fmt::Result {
        let mut metric = self
            .encoder
            .encode_descriptor(self.name, self.help, None, self.kind)?;
        for (labels, value) in members {
            value.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn gauge<'a, 'b>(
    encoder: &'a mut DescriptorEncoder<'b>,
    name: &'a str,
    help: &'a str,
) -> Family<'a, 'b> {
    Family {
        name,
        help,
        kind: MetricType::Gauge,
        encoder,
    }
}

fn counter<'a, 'b>(
    encoder: &'a mut DescriptorEncoder<'b>,
    name: &'a str,
    help: &'a str,
) -> Family<'a, 'b> {
    Family {
        name,
        help,
        kind: MetricType::Counter,
        encoder,
    }
}

/// A figure of the engine's: what it is called, what it says, and which it is.
type EngineFigure = (&'static str, &'static str, fn(&Counters) -> u64);

/// What is shown of each connection's engine.
const ENGINE: [EngineFigure; 8] = [
    ("messages_accepted", "Messages taken for delivery", |c| {
        c.accepted
    }),
    (
        "messages_delivered",
        "Messages that took effect at their recipients",
        |c| c.delivered,
    ),
    (
        "messages_not_delivered",
        "Messages that certainly had no effect",
        |c| c.not_delivered,
    ),
    (
        "messages_in_doubt",
        "Messages of which nobody can say",
        |c| c.in_doubt,
    ),
    ("transmissions", "Messages written to a connection", |c| {
        c.transmitted
    }),
    ("retransmissions", "Of these, once more", |c| {
        c.retransmitted
    }),
    ("messages_received", "Messages received and kept", |c| {
        c.received
    }),
    ("duplicates", "Copies that were left out", |c| c.duplicates),
];

/// The same of the readings' ways.
type FlowFigure = (&'static str, &'static str, fn(&Flow) -> u64);

/// What is shown of each of them.
const FLOW: [FlowFigure; 4] = [
    (
        "readings_handed_over",
        "Readings that are kept for delivery",
        |f| f.handed_over,
    ),
    ("readings_refused", "Readings that nobody could send", |f| {
        f.refused
    }),
    (
        "readings_coalesced",
        "Readings that newer ones replaced",
        |f| f.left_out.coalesced,
    ),
    (
        "readings_dropped",
        "Readings for which there was no room",
        |f| f.left_out.dropped,
    ),
];

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.source.figures();
        let (adapters, connections) = (&figures.adapters, &figures.connections);
        let e = &mut encoder;
        let of = |a: &AdapterFigures| [("adapter", a.name.clone())];
        let connected = |yes: bool| ConstGauge::new(i64::from(yes));
        gauge(e, "adapter_connected", "Whether an adapter has its device")
            .write(adapters.iter().map(|a| (of(a), connected(a.connected))))?;
        counter(e, "adapter_reports", "What an adapter told").write(
            adapters
                .iter()
                .map(|a| (of(a), ConstCounter::new(a.reports))),
        )?;
        let brokers = figures.brokers.iter();
        gauge(
            e,
            "broker_connected",
            "Whether there is a connection to an MQTT broker",
        )
        .write(brokers.map(|(name, yes)| ([("broker", name.clone())], connected(*yes))))?;
        let of = |c: &ConnectionFigures| [("connection", c.name.clone())];
        gauge(e, "connected", "Whether there is a stream to a server")
            .write(connections.iter().map(|c| (of(c), connected(c.connected))))?;
        for (name, help, figure) in ENGINE {
            let all = connections.iter();
            counter(e, name, help)
                .write(all.map(|c| (of(c), ConstCounter::new(figure(&c.counters)))))?;
        }
        let of = |f: &FlowFigures| [("connection", f.connection.clone()), ("to", f.to.clone())];
        let flows = figures.flows.iter();
        let waiting = |f: &FlowFigures| i64::try_from(f.flow.waiting).unwrap_or(i64::MAX);
        gauge(
            e,
            "readings_waiting",
            "Readings that are not handed over yet",
        )
        .write(flows.clone().map(|f| (of(f), ConstGauge::new(waiting(f)))))?;
        for (name, help, figure) in FLOW {
            let all = flows.clone();
            counter(e, name, help)
                .write(all.map(|f| (of(f), ConstCounter::new(figure(&f.flow)))))?;
        }
        gauge(e, "reloads", "How often the configuration was read again").write(
            std::iter::once((
                [],
                ConstGauge::new(i64::try_from(figures.reloads).unwrap_or(0)),
            )),
        )?;
        match &self.readings {
            Some(readings) => latest(e, &readings.lock().unwrap_or_else(PoisonError::into_inner)),
            None => Ok(()),
        }
    }
}

/// The last values that are numbers, or true or false.
fn latest(encoder: &mut DescriptorEncoder<'_>, latest: &Latest) -> fmt::Result {
    let numbers = latest.iter().filter_map(|(device, thing, field, reading)| {
        let (number, unit) = match &reading.value {
            Value::Boolean(on) => (f64::from(u8::from(*on)), String::new()),
            Value::Numeric { value, unit } => (value.to_f64(), unit.to_string()),
            value => (as_f64(value)?, String::new()),
        };
        let labels = [
            (
                "device",
                device.map(ToString::to_string).unwrap_or_default(),
            ),
            ("thing", thing.to_string()),
            ("field", field.to_string()),
            ("unit", unit),
        ];
        Some((labels, ConstGauge::new(number)))
    });
    gauge(encoder, "reading", "The last value of a field").write(numbers)
}

/// Serves the page until `end` resolves.
///
/// # Errors
/// The address cannot be had.
pub(crate) async fn serve(
    listen: SocketAddr,
    source: Arc<dyn Source>,
    readings: Option<Readings>,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<(SocketAddr, impl Future<Output = ()>), Failure> {
    let failed = |e| Failure::failed(format!("the figures cannot be shown at {listen}: {e}"));
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let mut registry = Registry::with_prefix("stanchion");
    registry.register_collector(Box::new(Page { source, readings }));
    let router = Router::new()
        .route("/metrics", get(page))
        .with_state(Arc::new(registry));
    let serving = axum::serve(listener, router).with_graceful_shutdown(end);
    let serving = async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the figures are no longer shown");
        }
    };
    Ok((address, serving))
}

async fn page(State(registry): State<Arc<Registry>>) -> Response {
    let mut body = String::new();
    match text::encode(&mut body, &registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
