//! What another protocol with exactly-once delivery does: MQTT, QoS 2, a broker in this
//! process, one client that publishes and one that subscribes, over loopback, without TLS.
//! Nothing is kept on disk: it stands beside our figures, not for the same promise.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Packet, QoS};
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use tokio::time::{Instant, sleep, timeout};

use crate::figure::{self, body, number, told};

/// What to measure.
#[derive(Debug, Args)]
pub struct Plan {
    /// Messages under way at once
    #[arg(long, default_value_t = 20_000)]
    together: usize,
    /// Rounds; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

const TOPIC: &str = "bench";
/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// Prints the rate.
pub async fn run(plan: &Plan) -> Result<(), String> {
    let port = broker()?;
    let mut rates = Vec::new();
    for round in 0..plan.rounds {
        let rate = timeout(LIMIT, publish(port, round, plan.together));
        rates.push(
            rate.await
                .map_err(|_| format!("no end within {LIMIT:?}"))??,
        );
    }
    figure::print("delivery/MQTT, QoS 2", figure::median(rates), "1/s");
    Ok(())
}

/// Starts a broker, which lives as long as this process. Gives its port.
fn broker() -> Result<u16, String> {
    let listen = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .map_err(|e| told(&e))?;
    let server = ServerSettings {
        name: "bench".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 5000,
            max_payload_size: 20_480,
            max_inflight_count: 500,
            auth: None,
            external_auth: None,
            dynamic_filters: false,
        },
    };
    let config = Config {
        router: RouterConfig {
            max_connections: 16,
            max_outgoing_packet_count: 200,
            max_segment_size: 104_857_600,
            max_segment_count: 10,
            ..RouterConfig::default()
        },
        v4: Some(HashMap::from([("1".to_owned(), server)])),
        ..Config::default()
    };
    std::thread::Builder::new()
        .name("broker".to_owned())
        .spawn(move || {
            if let Err(error) = Broker::new(config).start() {
                eprintln!("the broker ended: {error}");
            }
        })
        .map_err(|e| told(&e))?;
    Ok(listen.port())
}

fn client(name: &str, round: usize, port: u16) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(format!("{name}{round}"), "127.0.0.1", port);
    options.set_keep_alive(Duration::from_secs(60));
    let (client, mut events) = AsyncClient::new(options, 256);
    // As our sockets have it.
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    events.set_network_options(network);
    (client, events)
}

/// Messages a second, from the first publish until all are complete and received.
async fn publish(port: u16, round: usize, count: usize) -> Result<f64, String> {
    let (subscriber, mut incoming) = client("to", round, port);
    subscriber
        .subscribe(TOPIC, QoS::ExactlyOnce)
        .await
        .map_err(|e| told(&e))?;
    loop {
        match incoming.poll().await {
            Ok(Event::Incoming(Packet::SubAck(_))) => break,
            Ok(_) => {}
            // The broker takes a moment to listen.
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
    let (publisher, mut outgoing) = client("from", round, port);
    let start = Instant::now();
    let giving = async {
        for n in 0..count {
            let published = publisher.publish(TOPIC, QoS::ExactlyOnce, false, body(n));
            published.await.map_err(|e| told(&e))?;
        }
        Ok::<(), String>(())
    };
    let completing = async {
        let mut complete = 0;
        while complete < count {
            let event = outgoing.poll().await.map_err(|e| told(&e))?;
            complete += usize::from(matches!(event, Event::Incoming(Packet::PubComp(_))));
        }
        Ok(())
    };
    let receiving = async {
        let mut seen = vec![false; count];
        let mut received = 0;
        while received < count {
            let event = incoming.poll().await.map_err(|e| told(&e))?;
            let Event::Incoming(Packet::Publish(message)) = event else {
                continue;
            };
            let text = std::str::from_utf8(&message.payload).unwrap_or_default();
            let n = number(text).filter(|n| *n < count);
            let n = n.ok_or_else(|| format!("received {text:?}"))?;
            if std::mem::replace(&mut seen[n], true) {
                return Err(format!("message {n} was received twice"));
            }
            received += 1;
        }
        Ok(())
    };
    tokio::try_join!(giving, completing, receiving)?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
