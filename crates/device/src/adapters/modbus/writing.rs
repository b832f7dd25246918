//! What becomes of an order: all of it is checked before anything is written, and it is
//! answered once the device has said that it did the last of it.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_modbus::ExceptionCode;

use super::line::Fault;
use super::wire::{Answer, Request};
use super::{Adapter, Run};
use crate::{Order, OrderError};

/// How long a device that is busy is left in peace.
const BUSY_AGAIN_IN: Duration = Duration::from_millis(100);

/// How one write ended.
enum Written {
    /// The device did it.
    Done,
    /// It did not, and will not.
    Not(OrderError),
    /// Nobody knows.
    InDoubt(String, Option<Fault>),
}

impl Adapter {
    /// Carries an order out and answers it.
    ///
    /// # Errors
    /// [`Fault`]: the connection is of no more use.
    pub(super) async fn obey(&self, run: &mut Run, order: Order) -> Result<(), Fault> {
        let requests = match self.requests(&order) {
            Ok(requests) => requests,
            Err(why) => {
                order.failed(OrderError::Refused(why));
                return Ok(());
            }
        };
        for (place, (request, name)) in requests.iter().enumerate() {
            let (why, fault) = match self.write(run, request, name, order.by()).await {
                Written::Done => continue,
                Written::Not(why) if place == 0 => {
                    order.failed(why);
                    return Ok(());
                }
                // What was set before stays.
                Written::Not(why) => (why.to_string(), None),
                Written::InDoubt(why, fault) => (why, fault),
            };
            let why = match place {
                0 => why,
                _ => format!("`{}` was set, and then: {why}", requests[place - 1].1),
            };
            order.failed(OrderError::InDoubt(why));
            return fault.map_or(Ok(()), Err);
        }
        order.done();
        Ok(())
    }

    /// What to write, or why that cannot be.
    fn requests(&self, order: &Order) -> Result<Vec<(Request, String)>, String> {
        let settings = order.settings();
        if settings.is_empty() {
            return Err("it says nothing to set".to_owned());
        }
        (settings.iter())
            .map(|setting| {
                let named =
                    |p: &&super::Point| p.thing == *order.thing() && p.field.name == setting.name;
                let point = self.points.iter().find(named);
                let parameter = point.and_then(|p| p.parameter.as_ref());
                let (Some(point), Some(parameter)) = (point, parameter) else {
                    let (thing, name) = (order.thing(), &setting.name);
                    return Err(format!("`{thing}` has no parameter `{name}`"));
                };
                parameter.check(&setting.value).map_err(|e| e.to_string())?;
                let request = point.write(&setting.value)?;
                Ok((request, setting.name.to_string()))
            })
            .collect()
    }

    async fn write(&self, run: &mut Run, request: &Request, name: &str, by: Instant) -> Written {
        use ExceptionCode as E;
        debug_assert!(request.is_write());
        loop {
            match run.line.ready().await {
                Ok(()) => {}
                Err(Fault::Silent) => {
                    let why = format!("{}: others speak all the time", self.place);
                    return Written::Not(OrderError::Unavailable(why));
                }
                // Nothing left. The next round of reading sees that the way is gone.
                Err(fault) => {
                    let why = self.lost(fault).to_string();
                    return Written::Not(OrderError::Unavailable(why));
                }
            }
            if Instant::now() >= by {
                return Written::Not(OrderError::Expired);
            }
            let code = match run.line.ask(request).await {
                Ok(Answer::Exception(code)) => code,
                Ok(_) if self.config.verify => return self.verify(run, request, name).await,
                Ok(_) => return Written::Done,
                Err(fault) => {
                    let unanswered = matches!(fault, Fault::Silent);
                    if unanswered && self.config.verify {
                        return self.verify(run, request, name).await;
                    }
                    let why = format!("`{name}` was sent, and then: {fault}");
                    let resumable = unanswered || self.config.serial.is_some();
                    let broken = matches!(fault, Fault::Broken(_));
                    let fault = (broken || !resumable).then_some(fault);
                    return Written::InDoubt(why, fault);
                }
            };
            match code {
                E::ServerDeviceBusy if Instant::now() + BUSY_AGAIN_IN < by => {
                    sleep(BUSY_AGAIN_IN).await;
                }
                E::ServerDeviceBusy => {
                    let why = format!("{} was busy all the time", self.place);
                    return Written::Not(OrderError::Unavailable(why));
                }
                E::GatewayPathUnavailable => {
                    let why = format!("the gateway has no way to {}", self.place);
                    return Written::Not(OrderError::Unavailable(why));
                }
                E::IllegalFunction | E::IllegalDataAddress | E::IllegalDataValue => {
                    let why = format!("the device refuses `{name}`: {code}");
                    return Written::Not(OrderError::Refused(why));
                }
                // It was taken, or broke off in between.
                code => {
                    let why = format!("the device says of `{name}`: {code}");
                    return Written::InDoubt(why, None);
                }
            }
        }
    }

    /// Reads back what was written.
    async fn verify(&self, run: &mut Run, request: &Request, name: &str) -> Written {
        let (read, wanted) = match request {
            Request::Read { .. } => return Written::Done,
            Request::WriteCoil { address, on } => {
                (one(super::Table::Coil, *address), vec![u16::from(*on)])
            }
            Request::WriteCoils { address, bits } => (
                one(super::Table::Coil, *address),
                bits.iter().take(1).map(|on| u16::from(*on)).collect(),
            ),
            Request::WriteRegister { address, word } => {
                (one(super::Table::Holding, *address), vec![*word])
            }
            Request::WriteRegisters { address, words } => {
                let count = u16::try_from(words.len()).unwrap_or(u16::MAX);
                let read = Request::Read {
                    table: super::Table::Holding,
                    address: *address,
                    count,
                };
                (read, words.clone())
            }
        };
        let outcome = match run.line.ready().await {
            Ok(()) => run.line.ask(&read).await,
            Err(fault) => Err(fault),
        };
        let shown = match outcome {
            Ok(Answer::Bits(bits)) => bits.into_iter().map(u16::from).collect(),
            Ok(Answer::Words(words)) => words,
            Ok(_) => {
                let why = format!("`{name}` was sent, and cannot be read back");
                return Written::InDoubt(why, None);
            }
            Err(fault) => {
                let why = format!("`{name}` was sent, and cannot be read back: {fault}");
                let broken = matches!(fault, Fault::Broken(_));
                return Written::InDoubt(why, broken.then_some(fault));
            }
        };
        if shown == wanted {
            return Written::Done;
        }
        let why = format!("`{name}` was sent, and the device shows another value");
        Written::InDoubt(why, None)
    }
}

const fn one(table: super::Table, address: u16) -> Request {
    Request::Read {
        table,
        address,
        count: 1,
    }
}
