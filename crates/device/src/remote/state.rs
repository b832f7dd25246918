//! What we ask of others' things, and what comes of it. Without I/O, as every service.

use stanchion_reliability::engine::Now;
use stanchion_services::{Input, Output, Service, Taken};

/// The service.
#[derive(Debug, Default)]
pub struct State {}

impl Service for State {
    const NAME: &'static str = "remote-things";
    type Event = ();

    fn handle(&mut self, _: Now, _: Input<'_>) -> Taken {
        Taken::No
    }

    fn poll_output(&mut self) -> Output<()> {
        Output::Wait(None)
    }
}
