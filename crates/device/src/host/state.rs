//! What others are answered about our things. Without I/O, as every service.

use stanchion_reliability::engine::Now;
use stanchion_services::{Input, Output, Service, Taken};

use super::HostConfig;

/// The service.
#[derive(Debug)]
pub struct State {}

impl State {
    /// Without things.
    #[must_use]
    pub fn new(config: HostConfig) -> Self {
        let HostConfig {} = config;
        Self {}
    }
}

impl Service for State {
    const NAME: &'static str = "things";
    type Event = ();

    fn handle(&mut self, _: Now, _: Input<'_>) -> Taken {
        Taken::No
    }

    fn poll_output(&mut self) -> Output<()> {
        Output::Wait(None)
    }
}
