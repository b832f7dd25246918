//! The task of a car: socket and clock for the conversation, and its orders.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::super::line::{Line, Way};
use super::session::{Event, Failure, Input, Outcome, Output, Session};
use super::{CLEAR, Wanted};
use crate::adapter::{AdapterError, Link, Order, OrderError, Report, Stop, wall_clock};
use crate::model::{Sample, SettingValue};

/// An order to clear the codes.
enum Held {
    /// Nothing was written.
    Waiting(Order),
    /// It was, or may have been.
    Written(Order),
}

/// A conversation with its clock.
struct Driver<'a> {
    line: Line,
    session: Session,
    began: Instant,
    wanted: &'a Wanted,
    held: Option<Held>,
}

/// Talks to the car until it is to stop, or it is lost.
pub(in super::super) async fn run(
    way: &Way,
    wanted: &Wanted,
    link: &mut Link,
    stop: &Stop,
) -> Result<(), AdapterError> {
    let line = tokio::select! {
        () = stop.wanted() => return Ok(()),
        line = way.open() => line?,
    };
    let mut driver = Driver {
        line,
        session: Session::new(Duration::ZERO, wanted),
        began: Instant::now(),
        wanted,
        held: None,
    };
    let outcome = driver.talk(link, stop).await;
    // One whose bytes left is in doubt, which its end says by itself.
    if let Some(Held::Waiting(order)) = driver.held.take() {
        let why = outcome.as_ref().err().map(ToString::to_string);
        let why = why.unwrap_or_else(|| "its adapter has ended".to_owned());
        order.failed(OrderError::Unavailable(why));
    }
    outcome
}

impl Driver<'_> {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    async fn talk(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        let mut buffer = [0; 1024];
        loop {
            let now = self.now();
            let wake = match self.session.poll_output(now) {
                Output::Write(text) => {
                    self.line.write(text.as_bytes()).await?;
                    continue;
                }
                Output::Clear(text) => {
                    self.clear(&text).await?;
                    continue;
                }
                Output::Event(event) => {
                    self.event(event, link).await?;
                    continue;
                }
                Output::Wait(until) => self.began.checked_add(until),
            };
            let expires = match &self.held {
                Some(Held::Waiting(order)) => Some(order.by()),
                _ => None,
            };
            tokio::select! {
                () = stop.wanted() => return Ok(()),
                read = self.line.read(&mut buffer) => {
                    let read = read?;
                    let now = self.now();
                    self.session.handle(now, &Input::Bytes(&buffer[..read]));
                }
                order = link.order(), if self.held.is_none() => self.order(order),
                () = at(expires) => {
                    if let Some(Held::Waiting(order)) = self.held.take() {
                        order.failed(OrderError::Expired);
                    }
                }
                () = at(wake) => {
                    let now = self.now();
                    self.session.handle(now, &Input::Tick);
                }
            }
        }
    }

    fn order(&mut self, order: Order) {
        let refuse = |order: Order, why: String| order.failed(OrderError::Refused(why));
        let spec = self.wanted.spec(|_| true);
        if *order.thing() != spec.node.id {
            let why = format!("there is no `{}` on this line", order.thing());
            return refuse(order, why);
        }
        if let Some(error) = order.settings().iter().find_map(|s| spec.check(s).err()) {
            return refuse(order, error.to_string());
        }
        let [setting] = order.settings() else {
            return refuse(order, format!("set `{CLEAR}` once, and alone"));
        };
        if !matches!(
            setting.value,
            SettingValue::Boolean(true) | SettingValue::Bool(true)
        ) {
            return refuse(
                order,
                format!("`{CLEAR}` does something only if it is true"),
            );
        }
        self.held = Some(Held::Waiting(order));
        let now = self.now();
        self.session.handle(now, &Input::Clear);
    }

    /// Clears the codes, if somebody still wants it.
    async fn clear(&mut self, text: &str) -> Result<(), AdapterError> {
        let order = match self.held.take() {
            Some(Held::Waiting(order)) if !order.is_expired() => order,
            other => {
                if let Some(Held::Waiting(order)) = other {
                    order.failed(OrderError::Expired);
                }
                let now = self.now();
                self.session.handle(now, &Input::ClearSkipped);
                return Ok(());
            }
        };
        self.held = Some(Held::Written(order));
        self.line.write(text.as_bytes()).await
    }

    async fn event(&mut self, event: Event, link: &mut Link) -> Result<(), AdapterError> {
        match event {
            Event::Ready(has) => {
                link.connected().await?;
                let spec = self.wanted.spec(|id| has.pid(id));
                link.report(Report::Things(vec![spec])).await?;
            }
            Event::Readings(readings) => {
                let sample = Sample {
                    thing: self.wanted.id.clone(),
                    at: wall_clock(),
                    readings,
                };
                link.sample(sample).await?;
            }
            Event::Cleared(outcome) => {
                if let Some(Held::Written(order)) = self.held.take() {
                    order.answer(match outcome {
                        Outcome::Done => Ok(()),
                        Outcome::Refused(why) => Err(OrderError::Refused(why)),
                        Outcome::NotSent(why) => Err(OrderError::Unavailable(why)),
                        Outcome::Unknown(why) => Err(OrderError::InDoubt(why)),
                    });
                }
            }
            Event::Failed(failure) => return Err(self.error(failure)),
        }
        Ok(())
    }

    fn error(&self, failure: Failure) -> AdapterError {
        let peer = format!("the ELM327 on {}", self.line.name());
        match failure {
            Failure::Silent => self.line.silent(),
            Failure::NotElm(what) => AdapterError::PeerMisbehaved { peer, what },
            Failure::Restarted => {
                let what = "it began anew; is its supply steady?".to_owned();
                AdapterError::PeerMisbehaved { peer, what }
            }
            Failure::NoCar(why) => {
                let what = format!("the car does not answer ({why}); is the ignition on?");
                AdapterError::Refused { peer, what }
            }
        }
    }
}

/// Resolves at that time; never, if there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
