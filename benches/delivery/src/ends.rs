//! The two ends of a delivery: a client that sends, one that receives and commits, each
//! with a file of its own. Who measures says how to reach the server.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stanchion::services::Incoming;
use stanchion::session::{Outgoing, Sent, Status};
use stanchion::stanza::payload::delivery::Bundle;
use stanchion::{Client, ClientBuilder, Outcome};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};

use crate::figure::{self, body, number, told};

/// The domain of all accounts that are made here.
pub const DOMAIN: &str = "bench.example";
/// Who sends.
pub const FROM: &str = "sensor";
/// Who receives.
pub const TO: &str = "cloud";

/// Calls of `send` that are under way at once.
const SENDERS: usize = 256;
/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// The figures are of messages that are alone in a stanza, and of full bundles.
pub const BUNDLES: [usize; 2] = [1, Bundle::MAX];

/// One of [`BUNDLES`].
pub fn bundle(text: &str) -> Result<usize, String> {
    let found = text.parse().ok().filter(|of| BUNDLES.contains(of));
    found.ok_or_else(|| format!("it is one of {BUNDLES:?}"))
}

/// A client that never finds its server, and whose outbox has no end.
pub async fn cut_off(store: &Path) -> Result<(Client, Incoming), String> {
    Client::builder(jid(FROM, DOMAIN)?)
        .password("secret".to_owned().into())
        // Nothing listens there.
        .server("127.0.0.1", 1)
        .store_file(store)
        .session_config(|config| {
            config.engine.outbox = usize::MAX;
            config.engine.outbox_bytes = u64::MAX;
        })
        .start()
        .await
        .map_err(|e| told(&e))
}

/// The nth message.
pub fn message(n: usize) -> Result<Outgoing, String> {
    to(DOMAIN, n)
}

fn to(domain: &str, n: usize) -> Result<Outgoing, String> {
    Outgoing::text(jid(TO, domain)?.into(), body(n)).map_err(|e| told(&e))
}

/// An address.
pub fn jid(user: &str, domain: &str) -> Result<stanchion::BareJid, String> {
    format!("{user}@{domain}")
        .parse()
        .map_err(|e| format!("{e}"))
}

/// Two ends that are connected.
pub struct Ends {
    domain: String,
    from: Client,
    /// Kept, or nothing would be received.
    _receipts: Incoming,
    to: Client,
    incoming: Option<Incoming>,
}

/// What one run of deliveries took.
pub struct Run {
    /// From the first send to the last outcome, all under way at once.
    pub per_second: f64,
    /// From send to outcome, one at a time.
    pub single: Vec<Duration>,
}

impl Ends {
    /// Starts both, with stores in `folder`, and waits until they are connected. `reach`
    /// is told whose client it is.
    pub async fn start(
        folder: &Path,
        domain: &str,
        reach: impl Fn(&str, ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, String> {
        let start = async |user: &str| {
            let builder = Client::builder(jid(user, domain)?)
                .store_file(folder.join(format!("{user}.sqlite")));
            let (client, receiver) = reach(user, builder).start().await.map_err(|e| told(&e))?;
            let mut status = client.status();
            let up = status.wait_for(|s| matches!(s, Status::Connected { .. }));
            match timeout(Duration::from_secs(30), up).await {
                Ok(Ok(_)) => {}
                _ => {
                    return Err(format!(
                        "{user} got no session: {:?}",
                        client.status().borrow()
                    ));
                }
            }
            Ok((client, receiver))
        };
        let (to, incoming) = start(TO).await?;
        let (from, receipts) = start(FROM).await?;
        Ok(Self {
            domain: domain.to_owned(),
            from,
            _receipts: receipts,
            to,
            incoming: Some(incoming),
        })
    }

    /// Delivers `together` messages under way at once, then `single` ones one by one, and
    /// sees to it that each arrived once.
    pub async fn deliver(&mut self, together: usize, single: usize) -> Result<Run, String> {
        let incoming = self.incoming.take().ok_or("nobody receives")?;
        let receiving = receive(incoming, together + single);
        let run = timeout(LIMIT, self.send_all(together, single))
            .await
            .map_err(|_| format!("no outcomes within {LIMIT:?}"))??;
        let incoming = timeout(LIMIT, receiving)
            .await
            .map_err(|_| format!("not all was received within {LIMIT:?}"))?
            .map_err(|e| told(&e))??;
        self.incoming = Some(incoming);
        Ok(run)
    }

    async fn send_all(&self, together: usize, single: usize) -> Result<Run, String> {
        let next = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..SENDERS {
            let (sender, next) = (self.from.sender(), Arc::clone(&next));
            let domain = self.domain.clone();
            tasks.spawn(async move {
                let mut sent = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= together {
                        return Ok::<Vec<Sent>, String>(sent);
                    }
                    sent.push(sender.send(to(&domain, n)?).await.map_err(|e| told(&e))?);
                }
            });
        }
        while let Some(sent) = tasks.join_next().await {
            for sent in sent.map_err(|e| told(&e))?? {
                arrived(sent).await?;
            }
        }
        let per_second = together as f64 / start.elapsed().as_secs_f64();
        let mut times = Vec::with_capacity(single);
        for n in together..together + single {
            let message = to(&self.domain, n)?;
            let start = Instant::now();
            arrived(self.from.send(message).await.map_err(|e| told(&e))?).await?;
            times.push(start.elapsed());
        }
        Ok(Run {
            per_second,
            single: times,
        })
    }

    /// Transmissions so far for each message accepted, less one.
    pub fn sent_again(&self) -> f64 {
        let counters = self.from.counters();
        counters.retransmitted as f64 / counters.accepted.max(1) as f64
    }

    /// Ends both.
    pub async fn stop(self) -> Result<(), String> {
        self.from.shutdown().await.map_err(|e| told(&e))?;
        self.to.shutdown().await.map_err(|e| told(&e))
    }
}

impl Run {
    /// Prints the values of some runs on one server: medians, and quantiles of all.
    pub fn print(server: &str, runs: &[Self]) {
        let rates = runs.iter().map(|r| r.per_second).collect();
        figure::print(&format!("delivery/{server}"), figure::median(rates), "1/s");
        let times: Vec<Duration> = runs.iter().flat_map(|r| r.single.clone()).collect();
        if times.is_empty() {
            return;
        }
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let what = format!("delivery/{server}, one at a time, {name}");
            figure::print(&what, figure::quantile(&times, share), "µs");
        }
    }
}

async fn arrived(sent: Sent) -> Result<(), String> {
    match sent.outcome().await.map_err(|e| told(&e))? {
        Outcome::NotDelivered(why) => Err(format!("a message was not delivered: {why}")),
        Outcome::InDoubt(why) => Err(format!("a message is in doubt: {why}")),
        _ => Ok(()),
    }
}

/// Commits `all` messages, whose numbers must be 0 to `all`, each once. Gives the receiver
/// back.
fn receive(mut incoming: Incoming, all: usize) -> JoinHandle<Result<Incoming, String>> {
    tokio::spawn(async move {
        let mut seen = vec![false; all];
        for _ in 0..all {
            let received = incoming
                .recv()
                .await
                .ok_or("the receiver's session ended")?;
            let message = received.commit().await.map_err(|e| told(&e))?;
            let text = message.body().unwrap_or_default();
            let n = number(&text).ok_or_else(|| format!("received {text:?}"))?;
            match seen.get_mut(n) {
                Some(seen) if !*seen => *seen = true,
                Some(_) => return Err(format!("message {n} was received twice")),
                None => return Err(format!("message {n} was not sent")),
            }
        }
        Ok(incoming)
    })
}
