//! A service in its place at the host, its type erased; and the handle that knows it.

use std::any::Any;
use std::fmt;

use stanchion_reliability::engine::Now;
use stanchion_reliability::session::Received;
use stanchion_stanza::{Message, Text};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::service::{Input, Node, Output, Service, Taken};
use crate::waiter::Waiter;

/// Events that a slow observer may be behind before it misses some.
const EVENTS: usize = 256;

/// What the host has of a service.
pub(crate) trait Slot: Send {
    fn name(&self) -> &'static str;
    fn features(&self) -> Vec<Text>;
    fn nodes(&self) -> Vec<Node>;
    fn restore(&mut self, key: &str, value: &[u8]);
    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken;
    /// Events are told here; what else there is to do is given.
    fn poll(&mut self) -> Output<()>;
    fn claims(&self, message: &Message) -> bool;
    /// Hands a claimed message over, or back.
    fn deliver(&mut self, now: Now, received: Received) -> Result<(), Received>;
    fn service(&mut self) -> &mut dyn Any;
}

pub(crate) struct Typed<S: Service> {
    service: S,
    events: broadcast::Sender<S::Event>,
    deliveries: Option<mpsc::Sender<Received>>,
}

impl<S: Service> Typed<S> {
    pub(crate) fn new(service: S) -> Self {
        Self {
            service,
            events: broadcast::channel(EVENTS).0,
            deliveries: None,
        }
    }

    /// The same, and where the messages go that it claims: as many as there can be.
    pub(crate) fn with_deliveries(mut self, room: usize) -> (Self, mpsc::Receiver<Received>) {
        let (sender, receiver) = mpsc::channel(room.max(1));
        self.deliveries = Some(sender);
        (self, receiver)
    }

    pub(crate) fn handle_at(&self, slot: usize, calls: mpsc::Sender<Call>) -> Handle<S> {
        Handle {
            slot,
            calls,
            events: self.events.clone(),
        }
    }
}

impl<S: Service> Slot for Typed<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn features(&self) -> Vec<Text> {
        self.service.features()
    }

    fn nodes(&self) -> Vec<Node> {
        self.service.nodes()
    }

    fn restore(&mut self, key: &str, value: &[u8]) {
        self.service.restore(key, value);
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        self.service.handle(now, input)
    }

    fn poll(&mut self) -> Output<()> {
        loop {
            return match self.service.poll_output() {
                Output::Event(event) => {
                    // Nobody needs to observe.
                    let _ = self.events.send(event);
                    continue;
                }
                Output::Transmit(stanza) => Output::Transmit(stanza),
                Output::Nonza(element) => Output::Nonza(element),
                Output::Request { tag, request } => Output::Request { tag, request },
                Output::Keep { tag, changes } => Output::Keep { tag, changes },
                Output::Archived { tag, messages } => Output::Archived { tag, messages },
                Output::HoldRoom { room, gather } => Output::HoldRoom { room, gather },
                Output::EnterRoom { tag, room, settled } => {
                    Output::EnterRoom { tag, room, settled }
                }
                Output::LeaveRoom(room) => Output::LeaveRoom(room),
                Output::Announce => Output::Announce,
                Output::Mutual(contact) => Output::Mutual(contact),
                Output::Wait(until) => Output::Wait(until),
            };
        }
    }

    fn claims(&self, message: &Message) -> bool {
        self.service.claims(message)
    }

    fn deliver(&mut self, now: Now, received: Received) -> Result<(), Received> {
        match &self.deliveries {
            Some(deliveries) => deliveries.try_send(received).map_err(|e| e.into_inner()),
            None => self.service.deliver(now, received),
        }
    }

    fn service(&mut self) -> &mut dyn Any {
        &mut self.service
    }
}

/// What a handle has the host do with a service.
pub(crate) struct Call {
    pub(crate) slot: usize,
    pub(crate) run: Run,
}

/// What is done with a service of the type that the handle knows.
type Run = Box<dyn FnOnce(&mut dyn Any, Now) + Send>;

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

/// The host has ended, and the service with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has ended")]
pub struct Ended;

/// Reaches a service where it runs. Cheap to clone.
pub struct Handle<S: Service> {
    slot: usize,
    calls: mpsc::Sender<Call>,
    events: broadcast::Sender<S::Event>,
}

impl<S: Service> Handle<S> {
    /// Runs `call` on the service, between two of its inputs, and gives what it gave. What
    /// the service then wants is done right after.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn call<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut S, Now) -> R + Send + 'static,
    ) -> Result<R, Ended> {
        let (answer, result) = oneshot::channel();
        let run = Box::new(move |service: &mut dyn Any, now: Now| {
            if let Some(service) = service.downcast_mut::<S>() {
                // Whoever called may have given up.
                let _ = answer.send(call(service, now));
            }
        });
        let call = Call {
            slot: self.slot,
            run,
        };
        self.calls.send(call).await.map_err(|_| Ended)?;
        result.await.map_err(|_| Ended)
    }

    /// Runs `call` on the service, if the host can take one more: for a farewell that is
    /// said while something is dropped. What must not be missed has a deadline in the
    /// service besides.
    pub fn post(&self, call: impl FnOnce(&mut S, Now) + Send + 'static) {
        let run = Box::new(move |service: &mut dyn Any, now: Now| {
            if let Some(service) = service.downcast_mut::<S>() {
                call(service, now);
            }
        });
        let call = Call {
            slot: self.slot,
            run,
        };
        // Then the deadline does it.
        let _ = self.calls.try_send(call);
    }

    /// Waits until the host has ended. Events do not tell, for a handle holds on to them.
    pub async fn ended(&self) {
        self.calls.closed().await;
    }

    /// The same for what the service can only answer later: `call` gets who waits, and the
    /// service answers through it. If the future is dropped, nobody hears the answer.
    ///
    /// # Errors
    /// [`Ended`], also if the service drops the waiter without an answer.
    pub async fn ask<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut S, Now, Waiter<R>) + Send + 'static,
    ) -> Result<R, Ended> {
        let (waiter, answer) = Waiter::new();
        self.call(move |service, now| call(service, now, waiter))
            .await?;
        answer.await.map_err(|_| Ended)
    }

    /// What the service tells from now on. Lossy: an observer that is more than 256 events
    /// behind misses the oldest, and is told so.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<S::Event> {
        self.events.subscribe()
    }
}

impl<S: Service> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self {
            slot: self.slot,
            calls: self.calls.clone(),
            events: self.events.clone(),
        }
    }
}

impl<S: Service> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&S::NAME).finish()
    }
}
