//! The clients that are measured, each in a process of its own so that its CPU time is its
//! own: see `main`. Says what it did in lines, as the one in C does.

use std::time::Duration;

use futures_util::StreamExt as _;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, timeout};
use tokio_xmpp::connect::{DirectTlsServerConnector, DnsConfig, StartTlsServerConnector};
use tokio_xmpp::xmlstream::Timeouts;
use tokio_xmpp::{Client, Event};

use crate::ours;
use crate::task::{Task, Way};

/// No login takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// Logs in again and again: `ready MICROSECONDS` for each, then `cpu MICROSECONDS` of all
/// but the first.
pub async fn run(task: &Task) -> Result<(), String> {
    let mut cpu = Duration::ZERO;
    let mut ours = ours::Logins::new(task)?;
    for n in 0..task.count {
        if n == 1 {
            cpu = cpu_time();
        }
        let begun = Instant::now();
        match task.way {
            Way::TokioXmpp => {
                let client = theirs(task).await?;
                ready(begun);
                // Its worker may have gone already.
                let _ = timeout(LIMIT, client.send_end()).await;
            }
            _ => {
                let stream = ours.login(task).await?;
                ready(begun);
                ours::leave(stream, LIMIT).await;
            }
        }
    }
    println!("cpu {}", (cpu_time() - cpu).as_micros());
    Ok(())
}

fn ready(begun: Instant) {
    println!("ready {}", begun.elapsed().as_micros());
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default())
        + Duration::from_nanos(nanos)
}

/// It takes its roots from SSL_CERT_FILE, which `main` sets.
async fn theirs(task: &Task) -> Result<Client, String> {
    let jid: tokio_xmpp::jid::Jid = task.jid.parse().map_err(|e| format!("{e}"))?;
    let place = DnsConfig::addr(&format!("127.0.0.1:{}", task.port));
    let password = task.password.clone();
    let mut client = if task.direct {
        let connector = DirectTlsServerConnector::from(place);
        Client::new_with_connector(jid, password, connector, Timeouts::default())
    } else {
        let connector = StartTlsServerConnector::from(place);
        Client::new_with_connector(jid, password, connector, Timeouts::default())
    };
    let online = async {
        while let Some(event) = client.next().await {
            if matches!(event, Event::Online { .. }) {
                return Ok(());
            }
        }
        Err("tokio-xmpp gave up".to_owned())
    };
    timeout(LIMIT, online)
        .await
        .map_err(|_| "tokio-xmpp did not log in".to_owned())??;
    Ok(client)
}
