//! CoAP with libcoap's server: values that are observed, asked for, and set, bodies in
//! parts, responses that come apart; over a network that loses, and one that is cut.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stanchion_device::adapters::coap::{Adapter, Config};
use stanchion_device::model::{SettingValue, Value};
use stanchion_device::{OrderError, Report};
use stanchion_stanza::Text;

use crate::kept::Kept;
use crate::peer::Peer;

const RESOURCES: &str = r"
    [[resources]]
    name = 'ticks'
    path = '/time?ticks'
    observe = true
    [[resources]]
    name = 'data'
    path = '/example_data'
    type = 'string'
    poll = '1s'
    observe = true
    writable = true
    [[resources]]
    name = 'slow'
    path = '/async?1'
    type = 'string'
    poll = '1s'
    [[resources]]
    name = 'level'
    path = '/level'
    format = 'json'
    pointer = '/v'
    unit = '%'
    poll = '1s'
    writable = true
    max = 100
    [[resources]]
    name = 'fixed'
    path = '/async'
    type = 'string'
    poll = '1s'
    writable = true
";

fn adapter(port: u16, head: &str) -> Adapter {
    let text = format!(
        "server = '127.0.0.1:{port}'\nthing = 'house'\nack_timeout = '200ms'\n{head}\n{RESOURCES}"
    );
    let config: Config = toml::from_str(&text).unwrap();
    Adapter::new(config).unwrap()
}

/// A UDP port that is free on loopback at the moment.
fn free() -> u16 {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.local_addr().unwrap().port()
}

/// Packages differ in which of them they have.
fn server(port: u16, more: &[&str]) -> Peer {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["coap-server", "coap-server-notls"];
    let program = (std::env::split_paths(&path))
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.exists())
        .expect("libcoap's server: run `cargo xtask test --only interop`");
    let port = port.to_string();
    let words = [
        &["-A", "127.0.0.1", "-p", &port, "-d", "5", "-v", "3"],
        more,
    ]
    .concat();
    Peer::start(program, &words)
}

fn text(of: &'static str) -> Value {
    Value::String(Text::from_static(of))
}

fn string(of: &'static str) -> SettingValue {
    SettingValue::String(Text::from_static(of))
}

fn percent(digits: &str) -> Value {
    Value::Numeric {
        value: digits.parse().unwrap(),
        unit: Text::from_static("%"),
    }
}

async fn reads(kept: &mut Kept) {
    kept.until(|kept, _| {
        ["ticks", "data", "fixed", "slow"]
            .iter()
            .all(|field| kept.values.contains_key(*field))
    })
    .await;
}

async fn reads_and_sets(kept: &mut Kept) {
    reads(kept).await;
    let Value::String(data) = &kept.values["data"] else {
        panic!("{:?}", kept.values);
    };
    assert!(
        data.len() > 1024,
        "a body of more than one part: {}",
        data.len()
    );
    assert_eq!(kept.values["slow"], text("done"));
    assert!(!kept.values.contains_key("level"), "there is none yet");

    let level = |percent| [("level", SettingValue::Int(percent))];
    assert_eq!(kept.set("house", &level(40)).await, Ok(()));
    kept.has("level", &percent("40")).await;
    let too_much = kept.set("house", &level(101)).await;
    assert!(matches!(too_much, Err(OrderError::Refused(_))));

    // It is told, and not asked.
    assert_eq!(kept.set("house", &[("data", string("warm"))]).await, Ok(()));
    kept.has("data", &text("warm")).await;
    let refused = kept.set("house", &[("fixed", string("x"))]).await;
    assert!(
        matches!(&refused, Err(OrderError::Refused(why)) if why.contains("4.05")),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_observed_asked_and_set_and_comes_back() {
    let port = free();
    let mut peer = server(port, &[]);
    let mut kept = Kept::start("house", adapter(port, ""));
    reads_and_sets(&mut kept).await;

    peer.kill();
    kept.until(|_, report| matches!(report, Report::Stale(_)))
        .await;
    kept.values.clear();
    let level = [("level", SettingValue::Int(7))];
    let soon = kept.order("house", &level, Duration::from_millis(1));
    let later = kept.order("house", &level, Duration::from_secs(60));
    let _peer = server(port, &[]);
    reads(&mut kept).await;
    assert_eq!(soon.await.unwrap(), Err(OrderError::Expired));
    assert_eq!(later.await.unwrap(), Ok(()));
    kept.has("level", &percent("7")).await;

    // Observed once a second, for some seconds.
    let (since, mut told) = (Instant::now(), 0_u32);
    let mut last = kept.values["ticks"].clone();
    while told < 5 {
        kept.next().await;
        if kept.values["ticks"] != last {
            told += 1;
            last = kept.values["ticks"].clone();
        }
    }
    println!(
        "coap: 5 notifications of /time in {:.1} s",
        since.elapsed().as_secs_f64()
    );
    kept.supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_on_the_way_is_sent_again() {
    let port = free();
    let _peer = server(port, &["-l", "30%"]);
    let mut kept = Kept::start("house", adapter(port, "max_retransmit = 8\nnstart = 4"));
    reads_and_sets(&mut kept).await;
    for step in 0..10 {
        let level = [("level", SettingValue::Int(step))];
        assert_eq!(kept.set("house", &level).await, Ok(()));
    }
    kept.has("level", &percent("9")).await;
    kept.supervisor.shutdown().await;
}

/// Carries datagrams between one client and a server until it is told to drop them.
fn relay(server: u16, cut: Arc<AtomicBool>) -> u16 {
    let ours = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let port = ours.local_addr().unwrap().port();
    // A socket to the server for each of the client's, as a gateway's would be.
    std::thread::spawn(move || {
        let mut ways = std::collections::HashMap::new();
        let mut room = [0; 2048];
        while let Ok((read, client)) = ours.recv_from(&mut room) {
            let way = ways.entry(client).or_insert_with(|| {
                let way = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
                way.connect(("127.0.0.1", server)).unwrap();
                let (back, ours) = (way.try_clone().unwrap(), ours.try_clone().unwrap());
                let cut = Arc::clone(&cut);
                std::thread::spawn(move || {
                    let mut room = [0; 2048];
                    while let Ok(read) = back.recv(&mut room) {
                        if !cut.load(Ordering::Relaxed) {
                            let _ = ours.send_to(&room[..read], client);
                        }
                    }
                });
                way
            });
            let _ = way.send(&room[..read]);
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_answer_is_lost_is_in_doubt() {
    let port = free();
    let _peer = server(port, &[]);
    let cut = Arc::new(AtomicBool::new(false));
    let way = relay(port, Arc::clone(&cut));
    let mut kept = Kept::start("house", adapter(way, "max_retransmit = 2"));
    reads(&mut kept).await;
    cut.store(true, Ordering::Relaxed);
    let doubtful = kept.set("house", &[("data", string("cold"))]).await;
    assert!(
        matches!(doubtful, Err(OrderError::InDoubt(_))),
        "{doubtful:?}"
    );
    kept.until(|_, report| matches!(report, Report::Stale(_)))
        .await;
    cut.store(false, Ordering::Relaxed);
    // It was done, after all.
    kept.has("data", &text("cold")).await;
    kept.supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_says_that_it_has_becomes_fields() {
    let port = free();
    let _peer = server(port, &[]);
    let head = format!("server = '127.0.0.1:{port}'\nthing = 'house'\ndiscover = true");
    let config: Config = toml::from_str(&head).unwrap();
    let mut kept = Kept::start("house", Adapter::new(config).unwrap());
    let known = |report: &Report| match report {
        Report::Things(things) => things.iter().any(|thing| thing.field("/time").is_some()),
        _ => false,
    };
    kept.until(|_, report| known(report)).await;
    // Of what can be observed, the second value comes by itself.
    kept.until(|kept, _| kept.values.contains_key("/time"))
        .await;
    let first = kept.values["/time"].clone();
    kept.until(|kept, _| kept.values["/time"] != first).await;
    kept.until(|kept, _| kept.values.contains_key("/example_data"))
        .await;
    kept.supervisor.shutdown().await;
}
