//! What others are answered about our things. Without I/O, as every service.

use std::collections::VecDeque;

use stanchion_reliability::engine::Now;
use stanchion_services::{Input, Output, Service, Taken};

use super::table::Table;
use super::{HostConfig, HostEvent};
use crate::adapter::{AdapterEvent, Report};
use crate::model::Sample;

/// The service.
#[derive(Debug)]
pub struct State {
    config: HostConfig,
    table: Table,
    outputs: VecDeque<Output<HostEvent>>,
}

impl State {
    /// Without things.
    #[must_use]
    pub fn new(config: HostConfig) -> Self {
        Self {
            config,
            table: Table::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Our things.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// That adapter is no more.
    pub fn detach(&mut self, adapter: &str) {
        let gone = self.table.remove_all(adapter);
        if !gone.is_empty() {
            self.outputs.push_back(Output::Event(HostEvent::Gone(gone)));
        }
    }

    /// Takes in what an adapter told, and gives what is to be told on.
    pub fn take(&mut self, now: Now, event: AdapterEvent) -> Vec<Sample> {
        let adapter = event.adapter;
        match event.report {
            Report::Things(specs) => {
                let mut these = Vec::new();
                for spec in specs {
                    let id = spec.node.id.clone();
                    match self.table.put(&adapter, spec) {
                        Ok(()) => these.push(id),
                        Err(error) => tracing::warn!(%adapter, %error, "a thing is left out"),
                    }
                }
                self.tell(HostEvent::Things, these);
            }
            Report::Gone(mut these) => {
                these.retain(|thing| self.table.remove(&adapter, thing));
                self.tell(HostEvent::Gone, these);
            }
            Report::Stale(mut these) => {
                these.retain(|thing| self.table.stale(&adapter, thing));
                self.tell(HostEvent::Stale, these);
            }
            Report::Sample(sample) => {
                let told = self.table.sample(now.monotonic, &adapter, sample);
                return told.into_iter().collect();
            }
            _ => {}
        }
        Vec::new()
    }

    fn tell<T>(&mut self, event: impl FnOnce(Vec<T>) -> HostEvent, of: Vec<T>) {
        if !of.is_empty() {
            self.outputs.push_back(Output::Event(event(of)));
        }
    }
}

impl Service for State {
    const NAME: &'static str = "things";
    type Event = HostEvent;

    fn handle(&mut self, _: Now, _: Input<'_>) -> Taken {
        Taken::No
    }

    fn poll_output(&mut self) -> Output<HostEvent> {
        match self.outputs.pop_front() {
            Some(output) => output,
            None => Output::Wait(None),
        }
    }
}
