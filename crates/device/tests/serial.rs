//! A car on a line of loopback, whose ELM327 says what the test wants it to: what becomes of
//! orders when the line, the car or the time is at its end.
#![cfg(feature = "serial")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

use std::time::Duration;

use stanchion_device::adapter::{AdapterError, Stopper};
use stanchion_device::adapters::serial::{Adapter, Config, Kind};
use stanchion_device::model::{Setting, SettingValue};
use stanchion_device::{Adapter as _, Link, Order, OrderError, Report};
use stanchion_stanza::Text;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

/// The adapter's ends, and the ELM327's.
struct Scene {
    reports: mpsc::Receiver<Report>,
    orders: mpsc::Sender<Order>,
    /// Ends the run when it is dropped.
    _stopper: Stopper,
    run: JoinHandle<Result<(), AdapterError>>,
    elm: Elm,
}

struct Elm(TcpStream);

impl Elm {
    /// What is asked next.
    async fn asked(&mut self) -> String {
        let mut asked = String::new();
        let reading = async {
            loop {
                match self.0.read_u8().await.unwrap() {
                    b'\r' => return,
                    byte => asked.push(char::from(byte)),
                }
            }
        };
        timeout(PATIENCE, reading).await.expect("nothing is asked");
        asked
    }

    async fn say(&mut self, answer: &str) {
        let answer = format!("{answer}\r\r>");
        self.0.write_all(answer.as_bytes()).await.unwrap();
    }

    /// Answers as a car of speed alone, up to that request.
    async fn until(&mut self, wanted: &str) {
        loop {
            let asked = self.asked().await;
            if asked == wanted {
                return;
            }
            let answer = match asked.as_str() {
                "ATZ" => "ELM327 v1.5",
                "0100" => "410000080000",
                "0902" => "NO DATA",
                "010D" => "410D0A",
                at if at.starts_with("AT") => "OK",
                other => panic!("{other} is asked for"),
            };
            self.say(answer).await;
        }
    }
}

async fn scene() -> Scene {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut config = Config::new(Kind::Obd, format!("tcp://127.0.0.1:{port}"));
    config.every = Some(Duration::from_millis(10));
    config.silence = Some(Duration::from_secs(1));
    config.fields = Some(vec!["speed".to_owned()]);
    let mut adapter = Adapter::new(config).unwrap();
    let (mut link, reports, orders) = Link::new(1024);
    let (stopper, stop) = Stopper::new();
    let run = tokio::spawn(async move { adapter.run(&mut link, &stop).await });
    let (stream, _) = listener.accept().await.unwrap();
    Scene {
        reports,
        orders,
        _stopper: stopper,
        run,
        elm: Elm(stream),
    }
}

type Answer = oneshot::Receiver<Result<(), OrderError>>;

impl Scene {
    async fn order(&self, thing: &'static str, to: bool, within: Duration) -> Answer {
        let setting = Setting {
            name: Text::from_static("clear-trouble-codes"),
            value: SettingValue::Boolean(to),
        };
        let thing = Text::from_static(thing);
        let (order, answer) = Order::new(thing, vec![setting], Instant::now() + within);
        self.orders.send(order).await.unwrap();
        answer
    }

    /// How the run ended.
    async fn end(self) -> AdapterError {
        drop(self.elm);
        timeout(PATIENCE, self.run)
            .await
            .unwrap()
            .unwrap()
            .unwrap_err()
    }
}

async fn told(answer: Answer) -> Result<(), OrderError> {
    timeout(PATIENCE, answer).await.expect("no answer").unwrap()
}

#[tokio::test]
async fn an_order_is_done_once_the_car_says_so_and_not_before() {
    let mut scene = scene().await;
    scene.elm.until("010D").await;
    let mut answer = scene.order("car", true, PATIENCE).await;
    scene.elm.say("410D0A").await;
    scene.elm.until("04").await;
    assert!(answer.try_recv().is_err());
    scene.elm.say("44").await;
    assert_eq!(told(answer).await, Ok(()));
    // And is not sent again.
    for _ in 0..3 {
        assert_eq!(scene.elm.asked().await, "010D");
        scene.elm.say("410D0B").await;
    }
    let connected = std::iter::from_fn(|| scene.reports.try_recv().ok());
    assert_eq!(connected.filter(|r| *r == Report::Connected).count(), 1);
}

#[tokio::test]
async fn an_order_that_was_written_and_not_answered_is_in_doubt() {
    let mut scene = scene().await;
    scene.elm.until("010D").await;
    let answer = scene.order("car", true, PATIENCE).await;
    scene.elm.say("410D0A").await;
    scene.elm.until("04").await;
    let error = scene.end().await;
    assert!(matches!(error, AdapterError::Connection { .. }), "{error}");
    assert!(matches!(told(answer).await, Err(OrderError::InDoubt(_))));
}

#[tokio::test]
async fn a_car_that_never_answers_leaves_the_order_in_doubt() {
    let mut scene = scene().await;
    scene.elm.until("010D").await;
    let answer = scene.order("car", true, PATIENCE).await;
    scene.elm.say("410D0A").await;
    scene.elm.until("04").await;
    assert!(matches!(told(answer).await, Err(OrderError::InDoubt(_))));
    let error = scene.end().await;
    assert!(error.to_string().contains("silent"), "{error}");
}

#[tokio::test]
async fn an_order_whose_time_is_over_before_its_turn_is_never_written() {
    let mut scene = scene().await;
    scene.elm.until("010D").await;
    // The car thinks about its speed for longer than the order is good.
    let answer = scene.order("car", true, Duration::from_millis(50)).await;
    assert_eq!(told(answer).await, Err(OrderError::Expired));
    scene.elm.say("410D0A").await;
    for _ in 0..3 {
        assert_eq!(scene.elm.asked().await, "010D");
        scene.elm.say("410D0A").await;
    }
}

#[tokio::test]
async fn an_order_that_waits_when_the_line_is_lost_had_no_effect() {
    let mut scene = scene().await;
    scene.elm.until("0100").await;
    let answer = scene.order("car", true, PATIENCE).await;
    scene.elm.say("UNABLE TO CONNECT").await;
    let error = scene.end().await;
    assert!(matches!(error, AdapterError::Refused { .. }), "{error}");
    assert!(matches!(
        told(answer).await,
        Err(OrderError::Unavailable(_))
    ));
}

#[tokio::test]
async fn what_the_car_cannot_do_is_refused_and_not_written() {
    let mut scene = scene().await;
    scene.elm.until("010D").await;
    for (thing, to) in [("truck", true), ("car", false)] {
        let answer = scene.order(thing, to, PATIENCE).await;
        assert!(matches!(told(answer).await, Err(OrderError::Refused(_))));
    }
    scene.elm.say("410D0A").await;
    assert_eq!(scene.elm.asked().await, "010D");
}
