//! `stanchion bench`: what a person's own server does for this library: round trips, and
//! messages with their receipts between two sessions of an account. Owns the measuring;
//! what is told of the times is `figures`'.

mod figures;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use stanchion::services::Incoming;
use stanchion::services::ping::ping;
use stanchion::session::{Outgoing, SendError, Status};
use stanchion::{Client, Jid, Outcome as Delivery};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::figures::Times;
use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::interrupt::Interrupt;
use crate::kept::counted;
use crate::settings::{ConnectionArgs, Settings, duration};
use crate::table::Table;
use crate::terminal::{columns, harmless, json_line, print};
use crate::watch;

/// Round trips that are measured.
const PINGS: usize = 20;
/// Messages that are measured one at a time, at most.
const ALONE: u64 = 100;
/// For a clean end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Measure your server: round trips, messages a second, times to the receipt
#[derive(Debug, Args)]
#[command(after_help = "\
Two sessions of the account (of several registered servers, the first) send messages from one \
to the other, through the server; with --to, one session sends to that address, where a \
`stanchion listen` or another client that gives receipts has to be. A message's time is that from the call of send to its receipt: it \
is kept at the sender, passes the server, is kept and committed at the recipient, and the \
receipt passes the server. So the disk and the processor of this machine count, with both \
ends on it; and a server that limits the traffic of a session is measured by its limit. The \
stores are temporary files. Messages without a receipt are in no figure, but told.

Examples:
  stanchion bench --jid sensor@example.org
  stanchion bench --messages 10000 --at-once 256 --limit 5m --json
  stanchion bench --to cloud@example.org --messages 200

Exit codes: 0 measured, 1 some messages had no receipt within --limit, 2 usage, 12 no \
connection in time, 13 refused for security or authentication.

The password is taken from STANCHION_PASSWORD, or from --password-file.")]
pub(crate) struct Command {
    /// Send to this address (default: to a second session of the account)
    #[arg(long, value_name = "JID")]
    to: Option<Jid>,
    /// How many messages, besides at most 100 one at a time
    #[arg(long, value_name = "N", default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    messages: u64,
    /// How many of them are under way at the same time
    #[arg(long, value_name = "N", default_value_t = 64,
        value_parser = clap::value_parser!(u64).range(1..=1024))]
    at_once: u64,
    /// How long a message's text is, in bytes
    #[arg(long, value_name = "N", default_value_t = 64,
        value_parser = clap::value_parser!(u64).range(1..=65_536))]
    bytes: u64,
    /// How long to measure at most, connected
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    limit: Duration,
    /// How long to try to get the connections before giving up
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let over = Instant::now() + command.timeout;
    let settings = Settings::load(&command.connection).await?;
    let mut interrupt = Interrupt::watch()?;
    let folder = tempfile::Builder::new().prefix("stanchion-bench").tempdir();
    let folder =
        folder.map_err(|e| Failure::failed(format!("no temporary folder: {e}; set TMPDIR")))?;
    let mut bench = Bench::start(&command, &settings, folder.path(), over).await?;
    let done = tokio::select! {
        measured = bench.measure(over) => measured,
        () = interrupt.seen() => Err(Failure::new(
            Exit::Failed,
            "interrupted; nothing is told of a part",
        )),
    };
    bench.end().await;
    let figures = done?;
    let text = match command.json {
        true => json_line(&figures.json(&command)),
        false => figures.text(&command, columns()),
    };
    let _ = print(&text)?;
    figures.conclude()
}

/// Both ends.
struct Bench<'a> {
    command: &'a Command,
    sender: Client,
    _from_others: Incoming,
    /// None with `--to`.
    recipient: Option<(Client, Incoming)>,
}

impl<'a> Bench<'a> {
    async fn start(
        command: &'a Command,
        settings: &Settings,
        folder: &Path,
        over: Instant,
    ) -> Result<Self, Failure> {
        let start = async |name: &str| {
            let settings = settings.apart(folder.join(name));
            settings.start(Some(over), |_| {}).await
        };
        let (sender, from_others) = start("sender.sqlite").await?;
        let recipient = match command.to {
            Some(_) => None,
            None => Some(start("recipient.sqlite").await?),
        };
        Ok(Self {
            command,
            sender,
            _from_others: from_others,
            recipient,
        })
    }

    async fn measure(&mut self, over: Instant) -> Result<Figures, Failure> {
        watch::connected(&self.sender, over, self.command.timeout).await?;
        let to = match (&self.command.to, &self.recipient) {
            (Some(to), _) => to.clone(),
            (None, Some((recipient, _))) => {
                watch::connected(recipient, over, self.command.timeout).await?;
                let (jid, _) = place(recipient)?;
                jid
            }
            (None, None) => return Err(Failure::usage("give --to")),
        };
        let (from, endpoint) = place(&self.sender)?;
        let mut figures = Figures {
            from: from.to_bare().to_string(),
            to: to.to_string(),
            endpoint,
            ..Figures::default()
        };
        let sending = async {
            let all = Sending {
                command: self.command,
                client: &self.sender,
                to,
            };
            let measuring = all.all(&mut figures);
            // What was measured by then is told.
            let _ = tokio::time::timeout(self.command.limit, measuring).await;
        };
        let committing = async {
            match &mut self.recipient {
                Some((_, incoming)) => {
                    while let Some(received) = incoming.recv().await {
                        if received.commit().await.is_err() {
                            return;
                        }
                    }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sending => {}
            () = committing => {
                return Err(Failure::failed("the receiving session ended; start again"));
            }
        }
        figures.sent_again = self.sender.counters().retransmitted;
        Ok(figures)
    }

    async fn end(self) {
        let recipient = self.recipient.map(|(client, _)| client);
        let ends = [Some(self.sender), recipient].into_iter().flatten();
        for client in ends.filter(Client::is_connected) {
            let _ = tokio::time::timeout(FAREWELL, client.shutdown()).await;
        }
    }
}

/// Who a client is, and where it is connected.
fn place(client: &Client) -> Result<(Jid, String), Failure> {
    match &*client.status().borrow() {
        Status::Connected { jid, endpoint, .. } => Ok((jid.clone().into(), endpoint.to_string())),
        _ => Err(Failure::new(
            Exit::NoConnection,
            "the connection was lost; start again",
        )),
    }
}

struct Sending<'a> {
    command: &'a Command,
    client: &'a Client,
    to: Jid,
}

impl Sending<'_> {
    async fn all(&self, figures: &mut Figures) {
        let requests = self.client.requests();
        for _ in 0..PINGS {
            match ping(&requests, None).await {
                Ok(time) => figures.pings.add(time),
                Err(error) => {
                    figures.trouble = Some(one_line(&error));
                    break;
                }
            }
        }
        // The first one finds out what the recipient is.
        self.one(0, figures).await;
        let began = Instant::now();
        let alone = self.command.messages.div_ceil(10).min(ALONE);
        for number in 1..=alone {
            // A server that is slow has more to do than this.
            if began.elapsed() > self.command.limit / 4 {
                break;
            }
            if let Some(time) = self.one(number, figures).await {
                figures.alone.add(time);
            }
        }
        self.together(alone + 1, figures).await;
    }

    /// One message, from the call to the receipt.
    async fn one(&self, number: u64, figures: &mut Figures) -> Option<Duration> {
        let began = Instant::now();
        figures.sent += 1;
        let outcome = match self.send(number).await {
            Ok(sent) => sent.outcome().await,
            Err(error) => Err(error),
        };
        figures.note(outcome).then(|| began.elapsed())
    }

    /// The others, so many under way at once.
    async fn together(&self, first: u64, figures: &mut Figures) {
        let began = Instant::now();
        let mut waiting = JoinSet::new();
        let mut numbers = first..first + self.command.messages;
        loop {
            if waiting.len() < usize::try_from(self.command.at_once).unwrap_or(1)
                && let Some(number) = numbers.next()
            {
                let began = Instant::now();
                figures.sent += 1;
                match self.send(number).await {
                    Ok(sent) => {
                        waiting.spawn(async move { (sent.outcome().await, began.elapsed()) });
                    }
                    Err(error) => drop(figures.note(Err(error))),
                }
                continue;
            }
            let Some(ended) = waiting.join_next().await else {
                return;
            };
            if let Ok((outcome, took)) = ended
                && figures.note(outcome)
            {
                figures.together.add(took);
                // Told of what is done, whenever it ends.
                figures.took = began.elapsed();
            }
        }
    }

    async fn send(&self, number: u64) -> Result<stanchion::session::Sent, SendError> {
        let mut text = format!("stanchion bench {number} ");
        let bytes = usize::try_from(self.command.bytes).unwrap_or_default();
        text.extend(std::iter::repeat_n('.', bytes.saturating_sub(text.len())));
        text.truncate(bytes);
        let message = Outgoing::text(self.to.clone(), text).map_err(SendError::Invalid)?;
        let message = message.within(self.command.limit);
        self.client.send(message).await
    }
}

/// What was measured.
#[derive(Debug, Default)]
struct Figures {
    from: String,
    to: String,
    endpoint: String,
    pings: Times,
    alone: Times,
    together: Times,
    /// From the first of those that were sent together to the last receipt.
    took: Duration,
    sent: u64,
    delivered: u64,
    acknowledged: u64,
    sent_again: u64,
    /// What went wrong last.
    trouble: Option<String>,
}

impl Figures {
    /// Counts an outcome. Whether there was a receipt.
    fn note(&mut self, outcome: Result<Delivery, SendError>) -> bool {
        let trouble = match outcome {
            Ok(Delivery::Delivered { .. }) => {
                self.delivered += 1;
                return true;
            }
            Ok(Delivery::Acknowledged { .. }) => {
                self.acknowledged += 1;
                return true;
            }
            Ok(other) => other.to_string(),
            Err(error) => one_line(&error),
        };
        self.trouble = Some(trouble);
        false
    }

    fn without_receipt(&self) -> u64 {
        self.sent - self.delivered - self.acknowledged
    }

    fn per_second(&self) -> Option<f64> {
        let seconds = self.took.as_secs_f64();
        let count = u32::try_from(self.together.count()).unwrap_or(u32::MAX);
        (seconds > 0.0).then(|| f64::from(count) / seconds)
    }

    fn text(&self, command: &Command, columns: usize) -> String {
        let mut table = Table::new(&["MEASURED", "COUNT", "MEDIAN", "99 %", "LONGEST"]);
        let mut row = |what: String, times: &Times| {
            let [median, most, longest] = times.cells();
            let count = times.count().to_string();
            let cells = [what, count, median, most, longest];
            table.row(cells.map(|cell| vec![cell]).to_vec());
        };
        row("round trip to the server".to_owned(), &self.pings);
        row("message to receipt, alone".to_owned(), &self.alone);
        let together = format!("the same, {} at once", command.at_once);
        row(together, &self.together);
        let mut text = harmless(&format!(
            "{} at {}, to {}",
            self.from, self.endpoint, self.to
        ));
        text.push_str("\n\n");
        text.push_str(&table.render(columns));
        text.push_str(&match self.per_second() {
            Some(rate) => format!(
                "\n\n{rate:.0} messages/s with receipts, {} at once, {} bytes each; {} sent again",
                command.at_once, command.bytes, self.sent_again
            ),
            None => "\n\nno messages/s: there was no receipt".to_owned(),
        });
        text
    }

    fn json(&self, command: &Command) -> serde_json::Value {
        json!({
            "from": self.from,
            "to": self.to,
            "endpoint": self.endpoint,
            "ping": self.pings.json(),
            "alone": self.alone.json(),
            "together": self.together.json(),
            "at_once": command.at_once,
            "bytes": command.bytes,
            "seconds": self.took.as_secs_f64(),
            "messages_per_second": self.per_second(),
            "sent": self.sent,
            "delivered": self.delivered,
            "acknowledged": self.acknowledged,
            "without_receipt": self.without_receipt(),
            "sent_again": self.sent_again,
            "trouble": self.trouble,
        })
    }

    fn conclude(&self) -> Outcome {
        let missing = self.without_receipt();
        if missing == 0 && self.together.count() > 0 {
            return Ok(Exit::Done);
        }
        let why = self.trouble.as_deref();
        let why = why.unwrap_or("the time was over: give a longer --limit or fewer --messages");
        Err(Failure::failed(format!(
            "{} sent had no receipt: {why}",
            counted(missing, "message", "messages")
        )))
    }
}
