//! What the server was told, and what it is to be told: every stream begins as active, one
//! that is resumed too (XEP-0352 §5.2).

use std::collections::VecDeque;

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::csi::{ClientState, Feature};
use stanchion_stanza::{Element, Payload as _};

use crate::service::{Input, Output, Service, Taken};

/// Whether somebody looks at us, as the server is told.
#[derive(Debug, Default)]
pub struct ClientStates {
    wanted: ClientState,
    /// What the stream that is up was told; none without a stream.
    told: Option<ClientState>,
    /// Whether the server said that it wants to know. One that resumes a session says
    /// little, so what it said before counts.
    offered: bool,
    outputs: VecDeque<Element>,
}

impl ClientStates {
    /// It is so from now on.
    pub fn set(&mut self, state: ClientState) {
        self.wanted = state;
        self.tell();
    }

    /// Whether the server wants to know.
    #[must_use]
    pub const fn is_offered(&self) -> bool {
        self.offered
    }

    fn tell(&mut self) {
        if self.offered && self.told.is_some_and(|told| told != self.wanted) {
            self.told = Some(self.wanted);
            self.outputs.push_back(self.wanted.to_element());
        }
    }
}

impl Service for ClientStates {
    const NAME: &'static str = "client-state";
    type Event = ();

    fn handle(&mut self, _now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Up(up) => {
                let offers = up.features.offers(Feature::NAME, Feature::NS);
                self.offered = offers || (up.resumed && self.offered);
                self.told = Some(ClientState::Active);
                self.outputs.clear();
                self.tell();
            }
            Input::Down => self.told = None,
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<()> {
        match self.outputs.pop_front() {
            Some(element) => Output::Nonza(element),
            None => Output::Wait(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{now, up};

    fn told(states: &mut ClientStates) -> Vec<ClientState> {
        let mut told = Vec::new();
        while let Output::Nonza(element) = states.poll_output() {
            told.push(ClientState::from_element(&element).unwrap());
        }
        told
    }

    fn offering() -> [Element; 1] {
        [Feature.to_element()]
    }

    #[test]
    fn a_server_that_does_not_ask_is_told_nothing() {
        let mut states = ClientStates::default();
        states.handle(now(0), Input::Up(&up(false, [])));
        states.set(ClientState::Inactive);
        assert_eq!(told(&mut states), []);
    }

    #[test]
    fn a_change_is_told_once_and_every_stream_hears_it_anew() {
        use ClientState::{Active, Inactive};
        let mut states = ClientStates::default();
        states.set(Inactive);
        assert_eq!(told(&mut states), [], "there is no stream");
        states.handle(now(0), Input::Up(&up(false, offering())));
        assert_eq!(told(&mut states), [Inactive]);
        states.set(Inactive);
        assert_eq!(told(&mut states), []);
        states.handle(now(1), Input::Down);
        // What is offered is not repeated after a resumption.
        states.handle(now(2), Input::Up(&up(true, [])));
        assert_eq!(told(&mut states), [Inactive]);
        states.set(Active);
        assert_eq!(told(&mut states), [Active]);
        // Streams begin so.
        states.handle(now(3), Input::Down);
        states.handle(now(4), Input::Up(&up(false, offering())));
        assert_eq!(told(&mut states), []);
        // Another server.
        states.handle(now(5), Input::Down);
        states.handle(now(6), Input::Up(&up(false, [])));
        states.set(Inactive);
        assert_eq!(told(&mut states), []);
    }
}
