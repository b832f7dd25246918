//! Orders that were published and are not done: what each still waits for.

use tokio::time::Instant;

use super::connection::Connection;
use super::entity::Setter;
use super::registry::{Place, Registry};
use crate::adapter::{AdapterError, Order, OrderError};
use crate::model::{SettingValue, Value};

/// Orders that may wait at once.
pub(super) const MAX_WAITING: usize = 32;
/// Settings of one order.
const MAX_SETTINGS: usize = 64;

/// What is to happen before a setting is done.
#[derive(Debug)]
struct Step {
    place: Place,
    setter: Setter,
    wanted: SettingValue,
    pkid: u16,
    acknowledged: bool,
    /// By the topic of its value; none has nothing to wait for.
    confirmed: bool,
}

#[derive(Debug)]
struct Waiting {
    order: Order,
    steps: Vec<Step>,
}

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Orders(Vec<Waiting>);

impl Orders {
    /// Whether there is room for another one.
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MAX_WAITING
    }

    /// Publishes all that an order wants, or nothing of it.
    pub(super) fn take(
        &mut self,
        order: Order,
        registry: &Registry,
        connection: &mut Connection,
    ) -> Result<(), AdapterError> {
        let prepared = prepare(&order, registry);
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(why) => {
                order.failed(why);
                return Ok(());
            }
        };
        if order.is_expired() {
            order.failed(OrderError::Expired);
            return Ok(());
        }
        let mut steps = Vec::with_capacity(prepared.len());
        for (mut step, text) in prepared {
            let setter = &step.setter;
            step.pkid = connection.publish(&setter.topic, text.as_bytes(), setter.retain)?;
            steps.push(step);
        }
        self.0.push(Waiting { order, steps });
        self.settle();
        Ok(())
    }

    /// The broker has it.
    pub(super) fn acknowledged(&mut self, pkid: u16) {
        let steps = self.0.iter_mut().flat_map(|waiting| &mut waiting.steps);
        for step in steps.filter(|step| step.pkid == pkid) {
            step.acknowledged = true;
        }
        self.settle();
    }

    /// That was read just now.
    pub(super) fn read(&mut self, place: Place, value: &Value) {
        let steps = self.0.iter_mut().flat_map(|waiting| &mut waiting.steps);
        for step in steps.filter(|step| step.place == place) {
            if step.setter.is_confirmed_by(&step.wanted, value) {
                step.confirmed = true;
            }
        }
        self.settle();
    }

    /// When the next one's time is over.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.iter().map(|waiting| waiting.order.by()).min()
    }

    /// Those whose time is over are in doubt: they were published.
    pub(super) fn expire(&mut self, now: Instant) {
        let over = self.0.extract_if(.., |waiting| waiting.order.by() <= now);
        for Waiting { order, steps } in over {
            let open = steps
                .iter()
                .find(|step| !step.acknowledged || !step.confirmed);
            let why = open.map_or_else(String::new, |step| {
                let name = &step.setter.parameter.name;
                match step.acknowledged {
                    true => format!("the broker has it, but `{name}` was not seen to change"),
                    false => format!("the broker did not acknowledge the command for `{name}`"),
                }
            });
            order.failed(OrderError::InDoubt(why));
        }
    }

    fn settle(&mut self) {
        let is_done = |waiting: &mut Waiting| {
            let mut steps = waiting.steps.iter();
            steps.all(|step| step.acknowledged && step.confirmed)
        };
        for waiting in self.0.extract_if(.., is_done) {
            waiting.order.done();
        }
    }
}

fn prepare(order: &Order, registry: &Registry) -> Result<Vec<(Step, String)>, OrderError> {
    if order.settings().len() > MAX_SETTINGS {
        let why = format!("more than {MAX_SETTINGS} settings at once");
        return Err(OrderError::Refused(why));
    }
    let mut prepared = Vec::with_capacity(order.settings().len());
    for setting in order.settings() {
        let (thing, name) = (order.thing(), &setting.name);
        let found = registry.setter(thing, name);
        let (place, setter, is_read) = found
            .ok_or_else(|| OrderError::Refused(format!("`{thing}` has no parameter `{name}`")))?;
        let text = setter.text(&setting.value).map_err(OrderError::Refused)?;
        if registry.is_offline(place) {
            let why = format!("`{thing}` has told the broker that it is offline");
            return Err(OrderError::Unavailable(why));
        }
        let step = Step {
            place,
            setter: setter.clone(),
            wanted: setting.value.clone(),
            pkid: 0,
            acknowledged: false,
            confirmed: !is_read,
        };
        prepared.push((step, text));
    }
    Ok(prepared)
}
