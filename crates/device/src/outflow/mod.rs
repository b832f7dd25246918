//! Our readings on their way to others. Each recipient has a queue for each lane, so that
//! an alarm never waits for telemetry, and each queue does as it was told when there is no
//! room. What happens to readings once they are handed over is not decided here: see
//! [`Way`].

mod queue;
mod way;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stanchion_reliability::session::Lane;
use stanchion_stanza::Text;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub use queue::{LeftOut, Pressure, Queue, QueueConfig};
pub use way::{ToNode, ToRecipient, Way, WayError};

use crate::adapter::{Stop, Stopper};
use crate::model::{Sample, ThingSpec};

/// Samples on their way to a queue.
const INPUT: usize = 64;

/// A sample's readings by the lanes of their fields, in the order of [`Lane::ALL`]; what is
/// not described goes with telemetry.
#[must_use]
pub fn by_lane(spec: Option<&ThingSpec>, sample: Sample) -> Vec<(Lane, Sample)> {
    let lane = |field: &str| {
        let described = spec.and_then(|spec| spec.field(field));
        described.map_or(Lane::Telemetry, |field| field.lane)
    };
    let Sample {
        thing,
        at,
        readings,
    } = sample;
    let mut parts = Lane::ALL.map(|lane| (lane, Vec::new()));
    for reading in readings {
        let lane = lane(&reading.field);
        let part = parts.iter_mut().find(|(one, _)| *one == lane);
        if let Some((_, part)) = part {
            part.push(reading);
        }
    }
    let parts = parts.into_iter().filter(|(_, part)| !part.is_empty());
    let sample = |readings| Sample {
        thing: thing.clone(),
        at,
        readings,
    };
    parts
        .map(|(lane, readings)| (lane, sample(readings)))
        .collect()
}

/// Which readings somebody gets, and how they wait.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OutflowConfig {
    /// The things, by the ids of their nodes; none for all.
    pub things: Option<BTreeSet<Text>>,
    /// The queue of alarms. Their batches do not wait, whatever is said here.
    pub alarm: QueueConfig,
    /// The queue of what is in between.
    pub control: QueueConfig,
    /// The queue of telemetry.
    pub telemetry: QueueConfig,
}

/// How an outflow is: readings, since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flow {
    /// Readings that wait here.
    pub waiting: usize,
    /// Readings that were handed over.
    pub handed_over: u64,
    /// Readings that nobody could send.
    pub refused: u64,
    /// Readings that were left out for want of room.
    pub left_out: LeftOut,
}

impl Flow {
    fn plus(self, other: Self) -> Self {
        Self {
            waiting: self.waiting + other.waiting,
            handed_over: self.handed_over + other.handed_over,
            refused: self.refused + other.refused,
            left_out: LeftOut {
                coalesced: self.left_out.coalesced + other.left_out.coalesced,
                dropped: self.left_out.dropped + other.left_out.dropped,
            },
        }
    }
}

/// Shows how an outflow is. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FlowGauge([watch::Receiver<Flow>; 3]);

impl FlowGauge {
    /// How it is.
    #[must_use]
    pub fn flow(&self) -> Flow {
        let flows = self.0.iter().map(|lane| *lane.borrow());
        flows.fold(Flow::default(), Flow::plus)
    }
}

/// The readings' way to somebody, running. Dropping it leaves out what waits here.
#[derive(Debug)]
pub struct Outflow {
    things: Option<BTreeSet<Text>>,
    lanes: [LaneEnd; 3],
    stopper: Stopper,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct LaneEnd {
    input: mpsc::Sender<Sample>,
    flow: watch::Receiver<Flow>,
}

impl Outflow {
    /// Runs it. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(way: Arc<dyn Way>, config: OutflowConfig) -> Self {
        let (stopper, stop) = Stopper::new();
        let mut tasks = JoinSet::new();
        let alarm = QueueConfig {
            within: Duration::ZERO,
            ..config.alarm
        };
        let queues = [alarm, config.control, config.telemetry];
        let mut queues = queues.into_iter();
        let lanes = Lane::ALL.map(|lane| {
            let (input, samples) = mpsc::channel(INPUT);
            let (told, flow) = watch::channel(Flow::default());
            let task = Task {
                way: Arc::clone(&way),
                lane,
                queue: Queue::new(queues.next().unwrap_or_default()),
                samples,
                told,
                stop: stop.clone(),
                started: Instant::now(),
            };
            tasks.spawn(task.run());
            LaneEnd { input, flow }
        });
        Self {
            things: config.things,
            lanes,
            stopper,
            tasks,
        }
    }

    /// Gives it a sample, if it is to have it. Waits while the lane has no room and is not
    /// to leave anything out.
    pub async fn give(&self, lane: Lane, sample: &Sample) {
        let wanted = self.things.as_ref();
        if wanted.is_some_and(|these| !these.contains(&sample.thing)) {
            return;
        }
        let at = Lane::ALL.iter().position(|one| *one == lane).unwrap_or(1);
        // A lane ends only with the outflow, or with whoever takes the readings.
        let _ = self.lanes[at].input.send(sample.clone()).await;
    }

    /// How it is.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.gauge().flow()
    }

    /// Where that can be seen, also after its end.
    #[must_use]
    pub fn gauge(&self) -> FlowGauge {
        FlowGauge(self.lanes.each_ref().map(|lane| lane.flow.clone()))
    }

    /// Ends it: hands over what waits, for as long as `within`; what is left is given back
    /// as a count of readings.
    pub async fn shutdown(mut self, within: Duration) -> usize {
        self.stopper.stop();
        let over = Instant::now() + within;
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout_at(over, ended).await;
        self.flow().waiting
    }
}

struct Task {
    way: Arc<dyn Way>,
    lane: Lane,
    queue: Queue,
    samples: mpsc::Receiver<Sample>,
    told: watch::Sender<Flow>,
    stop: Stop,
    started: Instant,
}

impl Task {
    async fn run(mut self) {
        let stop = self.stop.clone();
        let stopping = stop.wanted();
        tokio::pin!(stopping);
        // Nothing more comes in; what waits is handed over.
        let mut is_over = false;
        loop {
            let at = match self.queue.due() {
                Some(due) if !is_over => Some(self.started + due),
                Some(_) => Some(Instant::now()),
                None if is_over => return,
                None => None,
            };
            tokio::select! {
                biased;
                () = due(at) => {
                    let batch = self.queue.take();
                    if !self.hand_over(batch).await {
                        return;
                    }
                }
                sample = self.samples.recv(), if !is_over && !self.queue.blocks() => match sample {
                    Some(sample) => self.push(sample),
                    None => is_over = true,
                },
                () = &mut stopping, if !self.samples.is_closed() => self.samples.close(),
            }
        }
    }

    /// Hands a batch over, and takes in what comes meanwhile. Gives whether to go on.
    async fn hand_over(&mut self, batch: Vec<Sample>) -> bool {
        let readings: usize = batch.iter().map(|sample| sample.readings.len()).sum();
        let way = Arc::clone(&self.way);
        let outcome = {
            let handing_over = way.hand_over(&batch, self.lane);
            tokio::pin!(handing_over);
            loop {
                tokio::select! {
                    outcome = &mut handing_over => break outcome,
                    Some(sample) = self.samples.recv(), if !self.queue.blocks() => {
                        self.push(sample);
                    }
                }
            }
        };
        let count = u64::try_from(readings).unwrap_or(u64::MAX);
        match outcome {
            Ok(()) => self.told.send_modify(|flow| flow.handed_over += count),
            Err(WayError::Ended) => {
                self.told.send_modify(|flow| flow.waiting += readings);
                return false;
            }
            Err(error) => {
                tracing::error!(%error, readings, "readings are left out");
                self.told.send_modify(|flow| flow.refused += count);
            }
        }
        self.tell();
        true
    }

    fn push(&mut self, sample: Sample) {
        self.queue.push(self.started.elapsed(), sample);
        self.tell();
    }

    fn tell(&self) {
        self.told.send_modify(|flow| {
            flow.waiting = self.queue.waiting();
            flow.left_out = self.queue.left_out();
        });
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;
    use async_trait::async_trait;
    use stanchion_reliability::store::WallTime;
    use tokio::sync::Semaphore;

    /// Takes a batch for each permit.
    struct Slow {
        permits: Semaphore,
        taken: mpsc::UnboundedSender<(Lane, usize)>,
    }

    #[async_trait]
    impl Way for Slow {
        async fn hand_over(&self, batch: &[Sample], lane: Lane) -> Result<(), WayError> {
            self.permits.acquire().await.unwrap().forget();
            self.taken.send((lane, batch.len())).unwrap();
            Ok(())
        }
    }

    fn sample(value: i32) -> Sample {
        let at = WallTime::from_unix_ms(0);
        let (thing, field) = (Text::from_static("hall"), Text::from_static("t"));
        Sample::one(thing, at, field, Value::Int(value))
    }

    fn slow() -> (Arc<Slow>, mpsc::UnboundedReceiver<(Lane, usize)>) {
        let (taken, out) = mpsc::unbounded_channel();
        let permits = Semaphore::new(0);
        (Arc::new(Slow { permits, taken }), out)
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_does_not_wait_for_telemetry() {
        let (way, mut taken) = slow();
        let outflow = Outflow::start(way.clone(), OutflowConfig::default());
        for value in 0..10 {
            outflow.give(Lane::Telemetry, &sample(value)).await;
        }
        outflow.give(Lane::Alarm, &sample(0)).await;
        way.permits.add_permits(1);
        // Telemetry's first batch is due in a second only.
        assert_eq!(taken.recv().await, Some((Lane::Alarm, 1)));
        way.permits.add_permits(1);
        assert_eq!(taken.recv().await, Some((Lane::Telemetry, 10)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_handed_over_at_the_end_and_what_is_left_is_counted() {
        let (way, mut taken) = slow();
        let outflow = Outflow::start(way.clone(), OutflowConfig::default());
        outflow.give(Lane::Telemetry, &sample(1)).await;
        way.permits.add_permits(1);
        assert_eq!(outflow.shutdown(Duration::from_secs(1)).await, 0);
        assert_eq!(taken.recv().await, Some((Lane::Telemetry, 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_measures_waits_when_nothing_may_be_left_out() {
        let (way, _taken) = slow();
        let mut config = OutflowConfig::default();
        config.telemetry.room = 1;
        config.telemetry.batch = 1;
        let outflow = Outflow::start(way.clone(), config);
        let give = async {
            loop {
                outflow.give(Lane::Telemetry, &sample(1)).await;
            }
        };
        let gave_up = tokio::time::timeout(Duration::from_secs(60), give).await;
        assert!(gave_up.is_err());
        assert_eq!(outflow.flow().left_out, LeftOut::default());
    }

    #[test]
    fn a_sample_is_split_by_the_lanes_of_its_fields() {
        use crate::model::{FieldSpec, Kind, Reading};
        let text = Text::from_static;
        let smoke = FieldSpec::new(text("smoke"), Kind::Boolean).in_lane(Lane::Alarm);
        let spec = ThingSpec::new(text("hall")).with_field(smoke);
        let mut both = sample(21);
        let smoke = Reading::automatic(text("smoke"), Value::Boolean(true));
        both.readings.push(smoke.clone());
        let parts = by_lane(Some(&spec), both.clone());
        let lanes: Vec<_> = parts.iter().map(|(lane, _)| *lane).collect();
        assert_eq!(lanes, [Lane::Alarm, Lane::Telemetry]);
        assert_eq!(parts[0].1.readings, [smoke]);
        let [(Lane::Telemetry, whole)] = &by_lane(None, both.clone())[..] else {
            panic!("not described, so not split")
        };
        assert_eq!(*whole, both);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_things_that_were_asked_for_go() {
        let (way, _taken) = slow();
        let config = OutflowConfig {
            things: Some(BTreeSet::from([Text::from_static("cellar")])),
            ..OutflowConfig::default()
        };
        let outflow = Outflow::start(way, config);
        outflow.give(Lane::Telemetry, &sample(1)).await;
        assert_eq!(outflow.shutdown(Duration::ZERO).await, 0);
    }
}
