//! Keeps adapters going: runs each, again after a pause if it ended, and tells in between
//! that its values are stale. No adapter holds another one up.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use stanchion_connect::backoff::{Backoff, BackoffPolicy};
use stanchion_stanza::Text;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::{Adapter, AdapterError, Link, Order, OrderError, Report, Stop, Stopper};

/// How an adapter is kept going.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SupervisorConfig {
    /// The pauses after runs that failed. Default as for servers: from 1 s, doubled up to
    /// 60 s, each drawn at random.
    pub backoff: BackoffPolicy,
    /// Reports, and orders, that may be on their way. Default 256.
    pub room: usize,
    /// How long an adapter has to end by itself. Default 5 s.
    pub farewell: Duration,
}

impl Default for SupervisorConfig {
    fn default() -> Self {
        Self {
            backoff: BackoffPolicy::default(),
            room: 256,
            farewell: Duration::from_secs(5),
        }
    }
}

/// Where an adapter stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It tries to reach its device.
    Connecting,
    /// It has it.
    Connected,
    /// It failed, and tries again.
    Waiting {
        /// In how long.
        retry_in: Duration,
        /// What happened, in one line.
        cause: String,
    },
    /// It has ended.
    Ended,
}

/// What one of several adapters told, and which.
#[derive(Debug)]
pub struct AdapterEvent {
    /// Its name.
    pub adapter: Arc<str>,
    /// What.
    pub report: Report,
}

/// Where orders to an adapter go, and how it is. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Control {
    name: Arc<str>,
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<State>,
}

impl Control {
    /// The adapter's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hands an order over. It waits there for the adapter until its time is over. Never
    /// waits itself: with too many before it, it is answered so.
    pub fn order(&self, order: Order) {
        let (order, why) = match self.orders.try_send(order) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(order)) => (order, "too many commands wait for it"),
            Err(mpsc::error::TrySendError::Closed(order)) => (order, "its adapter has ended"),
        };
        order.failed(OrderError::Unavailable(format!("{}: {why}", self.name)));
    }

    /// Where it stands, and its changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }
}

/// A kept adapter. Dropping it ends the adapter at once.
#[derive(Debug)]
pub struct Supervisor {
    control: Control,
    stopper: Stopper,
    farewell: Duration,
    task: Option<JoinHandle<()>>,
}

/// Where the reports of several adapters come together: at most so many on their way.
#[must_use]
pub fn from_adapters(room: usize) -> (mpsc::Sender<AdapterEvent>, mpsc::Receiver<AdapterEvent>) {
    mpsc::channel(room.max(1))
}

impl Supervisor {
    /// Keeps that adapter going; what it tells goes to `events`, its things first. Must be
    /// called inside a tokio runtime.
    #[must_use]
    pub fn start(
        name: impl Into<Arc<str>>,
        adapter: Box<dyn Adapter>,
        events: mpsc::Sender<AdapterEvent>,
        config: SupervisorConfig,
    ) -> Self {
        let name = name.into();
        let (link, reports, hand_over) = Link::new(config.room);
        let (orders, coming) = mpsc::channel(config.room.max(1));
        let (state_in, state) = watch::channel(State::Connecting);
        let (stopper, stop) = Stopper::new();
        let task = Task {
            name: Arc::clone(&name),
            adapter,
            link,
            reports,
            events,
            state: state_in,
            stop,
            backoff: Backoff::new(config.backoff),
            things: BTreeSet::new(),
            waiting: Waiting {
                coming,
                hand_over,
                orders: VecDeque::new(),
                room: config.room.max(1),
            },
            started: Instant::now(),
        };
        let control = Control {
            name,
            orders,
            state,
        };
        Self {
            control,
            stopper,
            farewell: config.farewell,
            task: Some(tokio::spawn(task.run())),
        }
    }

    /// Where orders go, and how it is.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Ends the adapter, by force if it does not.
    pub async fn shutdown(mut self) {
        self.stopper.stop();
        if let Some(task) = &mut self.task
            && tokio::time::timeout(self.farewell, &mut *task)
                .await
                .is_err()
        {
            tracing::warn!(adapter = %self.control.name, "did not end in time");
            task.abort();
        }
        self.task = None;
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Task {
    name: Arc<str>,
    adapter: Box<dyn Adapter>,
    link: Link,
    reports: mpsc::Receiver<Report>,
    events: mpsc::Sender<AdapterEvent>,
    state: watch::Sender<State>,
    stop: Stop,
    backoff: Backoff,
    /// The things that it has, for when it loses them all.
    things: BTreeSet<Text>,
    waiting: Waiting,
    started: Instant,
}

/// Orders that the adapter cannot have yet. Their time is watched here: whoever gave one
/// hears of its end when it is over, whether the adapter is there or not.
struct Waiting {
    coming: mpsc::Receiver<Order>,
    hand_over: mpsc::Sender<Order>,
    orders: VecDeque<Order>,
    room: usize,
}

impl Waiting {
    /// Does one thing of what there is to do: takes an order in, hands the first one over
    /// if the adapter is there, or tells one that its time is over. Cancel-safe.
    async fn look_after(&mut self, connected: bool) {
        let Self {
            coming,
            hand_over,
            orders,
            room,
        } = self;
        let first_end = orders.iter().map(Order::by).min();
        let (has_room, any) = (orders.len() < *room, !orders.is_empty());
        tokio::select! {
            // An error means that nobody can give any.
            Some(order) = coming.recv(), if has_room => orders.push_back(order),
            Ok(place) = hand_over.reserve(), if connected && any => {
                if let Some(order) = orders.pop_front() {
                    place.send(order);
                }
            }
            () = sleep_until(first_end.unwrap_or_else(Instant::now)), if any => expire(orders),
            else => std::future::pending().await,
        }
    }

    /// The adapter's run has ended: what it has not taken waits again.
    fn take_back(&mut self, link: &mut Link) {
        if let Some(order) = link.take_back() {
            self.orders.push_front(order);
        }
    }
}

fn expire(orders: &mut VecDeque<Order>) {
    for order in std::mem::take(orders) {
        match order.is_expired() {
            true => order.failed(OrderError::Expired),
            false => orders.push_back(order),
        }
    }
}

impl Drop for Waiting {
    /// What nobody has begun had no effect.
    fn drop(&mut self) {
        self.coming.close();
        let coming = std::iter::from_fn(|| self.coming.try_recv().ok());
        for order in self.orders.drain(..).chain(coming) {
            let why = "its adapter has ended".to_owned();
            order.failed(OrderError::Unavailable(why));
        }
    }
}

impl Task {
    async fn run(mut self) {
        let things = self.adapter.things();
        if !things.is_empty() && !self.tell(Report::Things(things)).await {
            return;
        }
        while !self.stop.is_wanted() {
            self.state.send_replace(State::Connecting);
            self.backoff.began(self.started.elapsed());
            let outcome = self.run_once().await;
            let Some(outcome) = outcome else { break };
            let cause = match outcome {
                Ok(()) if self.stop.is_wanted() => break,
                Ok(()) => "the device ended the connection".to_owned(),
                Err(AdapterError::Ended(_)) => break,
                Err(error) => one_line(&error),
            };
            tracing::warn!(adapter = %self.name, %cause, "the device is lost");
            let random = getrandom::u64().unwrap_or_default();
            let retry_in = self.backoff.failed(self.started.elapsed(), random);
            let at = Instant::now() + retry_in;
            self.state.send_replace(State::Waiting { retry_in, cause });
            let stale = self.things.iter().cloned().collect();
            if !self.tell(Report::Stale(stale)).await {
                break;
            }
            if !self.pause(at).await {
                break;
            }
        }
        self.state.send_replace(State::Ended);
    }

    /// Waits until then. Gives whether to go on.
    async fn pause(&mut self, until: Instant) -> bool {
        let stop = self.stop.clone();
        let over = sleep_until(until);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = stop.wanted() => return false,
                () = self.events.closed() => return false,
                () = &mut over => return true,
                () = self.waiting.look_after(false) => {}
            }
        }
    }

    /// One run of the adapter, whose reports are passed on meanwhile. `None` if nobody
    /// takes them.
    async fn run_once(&mut self) -> Option<Result<(), AdapterError>> {
        let Self {
            name,
            adapter,
            link,
            reports,
            events,
            state,
            stop,
            backoff,
            things,
            waiting,
            started,
        } = self;
        let mut connected = false;
        let outcome = {
            let run = adapter.run(link, stop);
            tokio::pin!(run);
            loop {
                tokio::select! {
                    biased;
                    report = reports.recv() => {
                        // The link lives as long as we do.
                        let report = report?;
                        if report == Report::Connected {
                            connected = true;
                            backoff.established(started.elapsed());
                            state.send_replace(State::Connected);
                        }
                        note(things, &report);
                        let event = AdapterEvent { adapter: Arc::clone(name), report };
                        // Meanwhile the adapter waits, and so does its device.
                        events.send(event).await.ok()?;
                    }
                    outcome = &mut run => break outcome,
                    () = waiting.look_after(connected) => {}
                }
            }
        };
        waiting.take_back(link);
        // What it said before it ended.
        while let Ok(report) = reports.try_recv() {
            note(things, &report);
            let adapter = Arc::clone(name);
            events.send(AdapterEvent { adapter, report }).await.ok()?;
        }
        Some(outcome)
    }

    async fn tell(&mut self, report: Report) -> bool {
        note(&mut self.things, &report);
        let adapter = Arc::clone(&self.name);
        self.events
            .send(AdapterEvent { adapter, report })
            .await
            .is_ok()
    }
}

fn note(things: &mut BTreeSet<Text>, report: &Report) {
    match report {
        Report::Things(these) => things.extend(these.iter().map(|thing| thing.node.id.clone())),
        Report::Gone(these) => these.iter().for_each(|thing| {
            things.remove(thing);
        }),
        _ => {}
    }
}

/// An error with its causes, in one line.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ParameterKind, ParameterSpec, Setting, SettingValue, ThingSpec};

    /// Fails as often as it is told to, then stays and obeys.
    struct Shaky {
        failures: u32,
    }

    #[async_trait::async_trait]
    impl Adapter for Shaky {
        fn things(&self) -> Vec<ThingSpec> {
            let on = ParameterSpec::new(Text::from_static("on"), ParameterKind::Boolean);
            vec![ThingSpec::new(Text::from_static("lamp")).with_parameter(on)]
        }

        async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
            if self.failures > 0 {
                self.failures -= 1;
                let refused = std::io::ErrorKind::ConnectionRefused.into();
                return Err(AdapterError::connection("the lamp", refused));
            }
            link.connected().await?;
            loop {
                tokio::select! {
                    () = stop.wanted() => return Ok(()),
                    order = link.order() => order.done(),
                }
            }
        }
    }

    fn on() -> Vec<Setting> {
        vec![Setting {
            name: Text::from_static("on"),
            value: SettingValue::Boolean(true),
        }]
    }

    fn order_within(
        time: Duration,
    ) -> (
        Order,
        tokio::sync::oneshot::Receiver<Result<(), OrderError>>,
    ) {
        Order::new(Text::from_static("lamp"), on(), Instant::now() + time)
    }

    fn start(failures: u32) -> (Supervisor, mpsc::Receiver<AdapterEvent>) {
        let (events, heard) = from_adapters(16);
        let shaky = Box::new(Shaky { failures });
        let kept = Supervisor::start("shaky", shaky, events, SupervisorConfig::default());
        (kept, heard)
    }

    #[tokio::test(start_paused = true)]
    async fn an_adapter_that_fails_is_run_again_and_its_things_are_stale_until_then() {
        let (kept, mut heard) = start(2);
        let mut told = Vec::new();
        while told.last() != Some(&Report::Connected) {
            told.push(heard.recv().await.unwrap().report);
        }
        let stale = Report::Stale(vec![Text::from_static("lamp")]);
        assert!(matches!(told[0], Report::Things(_)));
        assert_eq!(told[1..], [stale.clone(), stale, Report::Connected]);
        assert_eq!(*kept.control().state().borrow(), State::Connected);
        kept.shutdown().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_waits_for_its_adapter_until_its_time_is_over() {
        let (kept, mut heard) = start(1);
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        let (late, late_answer) = order_within(Duration::ZERO);
        let (order, answer) = order_within(Duration::from_secs(90));
        kept.control().order(late);
        kept.control().order(order);
        assert_eq!(late_answer.await.unwrap(), Err(OrderError::Expired));
        assert_eq!(answer.await.unwrap(), Ok(()));
        kept.shutdown().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_is_told_that_its_time_is_over_while_its_adapter_is_away() {
        let (kept, mut heard) = start(1000);
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        let given = Instant::now();
        let (order, answer) = order_within(Duration::from_millis(1500));
        kept.control().order(order);
        assert_eq!(answer.await.unwrap(), Err(OrderError::Expired));
        assert!(given.elapsed() < Duration::from_millis(1600));
        kept.shutdown().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_to_an_adapter_that_has_ended_had_no_effect() {
        let (kept, mut heard) = start(0);
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        let control = kept.control();
        kept.shutdown().await;
        let (order, answer) = order_within(Duration::from_secs(1));
        control.order(order);
        assert!(matches!(
            answer.await.unwrap(),
            Err(OrderError::Unavailable(_))
        ));
    }

    #[tokio::test]
    async fn an_order_that_is_dropped_is_in_doubt() {
        let (order, answer) = order_within(Duration::from_secs(1));
        drop(order);
        assert!(matches!(answer.await.unwrap(), Err(OrderError::InDoubt(_))));
    }
}
