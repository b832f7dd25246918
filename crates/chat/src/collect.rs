//! `stanchion collect`: the readings of a fleet, each kept once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use serde_json::json;
use stanchion::services::Incoming;
use stanchion::session::{Received, Status};
use stanchion::stanza::Jid;
use stanchion::{BareJid, Client};
use stanchion_device::format::from_message;
use stanchion_device::json::of_sample;
use stanchion_device::model::Sample;
use stanchion_device::sink::{Latest, LatestConfig, Lines, SinkError, Table};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::gateway::metrics::{self, ConnectionFigures, Figures, Readings};
use crate::interrupt::Interrupt;
use crate::settings::{ConnectionArgs, Settings, secret, store_failure};
use crate::terminal::{Reader, json_line, print};

/// Keep the readings that things send here, each exactly once
#[derive(Debug, Args)]
#[command(after_help = "\
Readings go to the table app_readings of the store (--store), in the transaction that \
confirms their message; with --lines to a file, whose valid length is kept so; with --json \
to the standard output, where a line may come again after a crash.

As a component (XEP-0114), the collector is a domain of its own beside a server's.

Examples:
  stanchion collect --jid cloud@example.org --store readings.sqlite
  stanchion collect --lines readings.jsonl

Exit codes: 0 interrupted, or --count reached, or nobody reads the output any more; \
1 a fault of this machine, 2 usage, 13 refused for security or authentication.

The password, or the component's secret, is taken from STANCHION_PASSWORD, or from \
--password-file.")]
pub(crate) struct Command {
    /// Append a line of JSON a sample to this file
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    lines: Option<PathBuf>,
    /// Print a line of JSON a sample
    #[arg(long)]
    json: bool,
    /// Take readings from these accounts, or from all of a domain, and refuse others
    /// (default: whoever can reach this account)
    #[arg(long, value_name = "JID")]
    from: Vec<BareJid>,
    /// Show the last values and figures there, for a monitoring system (OpenMetrics, at
    /// /metrics)
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// End after so many readings
    #[arg(long, short = 'C', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Be the component of this address, at --connect (default 127.0.0.1:5347); needs
    /// --store
    #[arg(long, value_name = "ADDRESS", requires = "store")]
    component: Option<BareJid>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let mut interrupt = Interrupt::watch()?;
    let (client, incoming) = start(&command).await?;
    let client = Arc::new(client);
    let page = Page::open(&command, &client).await?;
    let readings = page.as_ref().map(|page| Arc::clone(&page.readings));
    let done = tokio::select! {
        done = collect(&command, &client, incoming, readings) => done,
        () = interrupt.seen() => Ok(Exit::Done),
    };
    if let Some(page) = page {
        page.close().await;
    }
    match Arc::try_unwrap(client).map(Client::shutdown) {
        Ok(ending) => {
            let ended = ending.await.map_err(|e| Failure::failed(one_line(&e)));
            done.and_then(|exit| ended.map(|()| exit))
        }
        Err(_) => done,
    }
}

async fn start(command: &Command) -> Result<(Client, Incoming), Failure> {
    let args = &command.connection;
    let Some(address) = &command.component else {
        let settings = Settings::load(args).await?;
        return settings.start(None, |_| {}).await;
    };
    let store = args.store.clone().unwrap_or_default();
    let mut component = Client::component(address.clone())
        .secret(secret(args)?)
        .store_file(&store);
    if let Some(place) = &args.connect {
        let (host, port) = (place.rsplit_once(':'))
            .and_then(|(host, port)| Some((host, port.parse().ok()?)))
            .ok_or_else(|| Failure::usage(format!("--connect {place}: give HOST:PORT")))?;
        component = component.server(host, port);
    }
    if args.direct_tls {
        component = component.direct_tls();
    }
    if let Some(pin) = args.pin {
        component = component.pin(pin);
    }
    if args.insecure_plaintext {
        component = component.insecure_plaintext();
    }
    let started = component.start().await;
    started.map_err(|e| match &e {
        stanchion::builder::StartError::Store(error) => store_failure(&store, error),
        _ => Failure::usage(one_line(&e)),
    })
}

/// Where readings go.
enum Sink {
    Table(Table),
    Lines(Lines),
    Print,
}

impl Sink {
    async fn open(command: &Command, client: &Client) -> Result<Self, Failure> {
        let failed = |e: SinkError| Failure::failed(one_line(&e));
        if command.json {
            return Ok(Self::Print);
        }
        Ok(match &command.lines {
            Some(path) => Self::Lines(Lines::open(path, &client.store()).await.map_err(failed)?),
            None => {
                let table = Table::open(&client.store()).await;
                Self::Table(table.map_err(|e| Failure::failed(one_line(&e)))?)
            }
        })
    }
}

async fn collect(
    command: &Command,
    client: &Client,
    mut incoming: Incoming,
    readings: Option<Readings>,
) -> Outcome {
    let mut sink = Sink::open(command, client).await?;
    let mut count = 0;
    loop {
        let received = tokio::select! {
            received = incoming.recv() => received,
            failure = crate::watch::refused(client) => return Err(failure),
        };
        let Some(received) = received else {
            return Err(Failure::failed("the session ended; start again"));
        };
        let samples = match wanted(command, &received) {
            Ok(samples) => samples,
            Err(why) => {
                tracing::warn!(from = ?received.message().header.from, %why, "refused");
                let refused = received.reject(&why).await;
                refused.map_err(|e| Failure::failed(one_line(&e)))?;
                continue;
            }
        };
        if let Some(readings) = &readings {
            let from = received.message().header.from.as_ref().map(Jid::to_bare);
            let mut latest = readings.lock().unwrap_or_else(PoisonError::into_inner);
            samples
                .iter()
                .for_each(|sample| latest.note(from.as_ref(), sample));
        }
        let of = |samples: &[Sample]| samples.iter().map(|sample| sample.readings.len()).sum();
        let kept: Result<usize, SinkError> = match &mut sink {
            Sink::Table(table) => table.keep(&received, samples).await,
            Sink::Lines(lines) => lines.keep(&received, &samples).await,
            Sink::Print => {
                if print_all(&received, &samples)? == Reader::Gone {
                    return Ok(Exit::Done);
                }
                let kept = of(&samples);
                let committed = received.commit().await;
                committed.map_err(|e| Failure::failed(one_line(&e)))?;
                Ok(kept)
            }
        };
        // What could not be kept comes again after the next start.
        count += kept.map_err(|e| Failure::failed(one_line(&e)))?;
        let enough = command
            .count
            .is_some_and(|most| u64::try_from(count).is_ok_and(|n| n >= most));
        if enough {
            return Ok(Exit::Done);
        }
    }
}

/// The readings of a message, if they are wanted; or why it is refused.
fn wanted(command: &Command, received: &Received) -> Result<Vec<Sample>, String> {
    let from = received.message().header.from.as_ref().map(Jid::to_bare);
    let allowed = |from: &BareJid| {
        command.from.iter().any(|one| match one.local() {
            Some(_) => one == from,
            None => one.domain() == from.domain(),
        })
    };
    if !command.from.is_empty() && !from.as_ref().is_some_and(allowed) {
        return Err("this collector takes no readings from you".to_owned());
    }
    match from_message(received.message()) {
        Ok(samples) if samples.is_empty() => Err("there are no readings in it".to_owned()),
        Ok(samples) => Ok(samples),
        Err(error) => Err(one_line(&error)),
    }
}

fn print_all(received: &Received, samples: &[Sample]) -> Result<Reader, Failure> {
    let from = received
        .message()
        .header
        .from
        .as_ref()
        .map(|jid| jid.to_bare().to_string());
    for sample in samples {
        let mut line = of_sample(sample);
        line["device"] = json!(from);
        if print(&json_line(&line))? == Reader::Gone {
            return Ok(Reader::Gone);
        }
    }
    Ok(Reader::There)
}

/// The page of figures, served.
struct Page {
    readings: Readings,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

/// A collector's one connection.
#[derive(Debug)]
struct Source(std::sync::Weak<Client>);

impl metrics::Source for Source {
    fn figures(&self) -> Figures {
        let connection = |client: Arc<Client>| ConnectionFigures {
            name: "main".to_owned(),
            connected: matches!(*client.status().borrow(), Status::Connected { .. }),
            counters: client.counters(),
        };
        Figures {
            connections: self.0.upgrade().map(connection).into_iter().collect(),
            ..Figures::default()
        }
    }
}

impl Page {
    async fn open(command: &Command, client: &Arc<Client>) -> Result<Option<Self>, Failure> {
        let Some(listen) = command.metrics else {
            return Ok(None);
        };
        let readings = Arc::new(Mutex::new(Latest::new(LatestConfig::default())));
        let (stop, stopped) = oneshot::channel::<()>();
        let source = Arc::new(Source(Arc::downgrade(client)));
        let end = async { drop(stopped.await) };
        let (at, serving) =
            metrics::serve(listen, source, Some(Arc::clone(&readings)), end).await?;
        tracing::info!("figures at http://{at}/metrics");
        Ok(Some(Self {
            readings,
            stop,
            serving: tokio::spawn(serving),
        }))
    }

    async fn close(self) {
        drop(self.stop);
        let second = std::time::Duration::from_secs(1);
        let _ = tokio::time::timeout(second, self.serving).await;
    }
}
