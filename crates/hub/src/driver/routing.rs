//! The task that owns the router: takes inputs in turn, keeps what is to be kept, then
//! passes on what is to be sent. It waits for the disk and for nothing else: a
//! connection that has no room for an order is one that broke the router's promise of
//! one order at a time.

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use stanchion_stanza::stanza::StanzaError;
use stanchion_stanza::stream::StreamError;
use stanchion_stanza::{Element, Iq};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::error::HubError;
use crate::router::{ConnectionId, Ending, Input, Now, Output, Persist, Router};
use crate::state::Spool;

/// Inputs that are taken before outputs are carried out: one wait for the disk for all.
const BATCH: usize = 64;

/// What connections tell the router.
pub(super) enum ToRouter {
    /// A client logged in; orders for its connection go to `orders`.
    LoggedIn {
        connection: ConnectionId,
        account: String,
        entropy: [u8; 24],
        orders: mpsc::Sender<Order>,
    },
    /// The component proved that it knows the secret.
    Attached {
        connection: ConnectionId,
        orders: mpsc::Sender<Order>,
    },
    /// There is an account more.
    Registered(String),
    Element(ConnectionId, Element),
    /// A request about the account itself, and what became of it.
    Account {
        connection: ConnectionId,
        request: Box<Iq>,
        answer: Result<Option<Element>, StanzaError>,
        ended: Option<String>,
    },
    Written(ConnectionId),
    Ended(ConnectionId, Ending),
    /// The hub goes down. Nothing is taken after it.
    Shutdown,
}

/// What the router tells a connection.
#[derive(Debug)]
pub(super) enum Order {
    /// Write this, and say so.
    Send(Vec<u8>),
    /// Send the error, if any, and close.
    Close(Option<Box<StreamError>>),
}

/// Orders that may wait for a connection: the router gives one to send at a time, and
/// one to close.
pub(super) const ORDERS: usize = 2;

/// The router with its disk and its clock.
pub(super) struct Routing {
    router: Router,
    spool: Option<Spool>,
    connections: HashMap<ConnectionId, mpsc::Sender<Order>>,
    down: bool,
}

impl Routing {
    pub(super) fn new(router: Router, spool: Option<Spool>) -> Self {
        Self {
            router,
            spool,
            connections: HashMap::new(),
            down: false,
        }
    }

    /// Runs until the hub goes down, or the disk fails. Then the connections' orders
    /// end, and they with them.
    pub(super) async fn run(
        mut self,
        mut inputs: mpsc::Receiver<ToRouter>,
    ) -> Result<(), HubError> {
        let mut deadline = self.carry_out().await?;
        while !self.down {
            let input = tokio::select! {
                input = inputs.recv() => input.map_or(Some(ToRouter::Shutdown), Some),
                () = sleep_until(deadline) => None,
            };
            let now = now();
            if deadline.is_some_and(|deadline| deadline <= now.monotonic) {
                self.router.handle(now, Input::Tick);
            }
            if let Some(input) = input {
                self.take(now, input);
            }
            for _ in 1..BATCH {
                match inputs.try_recv() {
                    Ok(input) if !self.down => self.take(now, input),
                    _ => break,
                }
            }
            deadline = self.carry_out().await?;
        }
        Ok(())
    }

    fn take(&mut self, now: Now, input: ToRouter) {
        let input = match input {
            ToRouter::LoggedIn {
                connection,
                account,
                entropy,
                orders,
            } => {
                self.connections.insert(connection, orders);
                Input::Authenticated {
                    connection,
                    account,
                    entropy,
                }
            }
            ToRouter::Attached { connection, orders } => {
                self.connections.insert(connection, orders);
                Input::Attached { connection }
            }
            ToRouter::Registered(account) => Input::Registered { account },
            ToRouter::Element(connection, element) => Input::Element {
                connection,
                element,
            },
            ToRouter::Account {
                connection,
                request,
                answer,
                ended,
            } => Input::Account {
                connection,
                request,
                answer,
                ended,
            },
            ToRouter::Written(connection) => Input::Written { connection },
            ToRouter::Ended(connection, ending) => {
                self.connections.remove(&connection);
                Input::Ended { connection, ending }
            }
            ToRouter::Shutdown => {
                self.down = true;
                Input::Shutdown
            }
        };
        self.router.handle(now, input);
    }

    /// Carries out all outputs, those for the disk first. When the next is due.
    async fn carry_out(&mut self) -> Result<Option<Instant>, HubError> {
        let (mut changes, mut orders) = (Vec::new(), Vec::new());
        let deadline = loop {
            match self.router.poll_output() {
                Output::Persist(change) => changes.push(change),
                Output::Send { connection, bytes } => orders.push((connection, Order::Send(bytes))),
                Output::Close { connection, error } => {
                    orders.push((connection, Order::Close(error)));
                }
                Output::Wait(deadline) => break deadline,
            }
        };
        if !changes.is_empty() {
            self.persist(changes).await?;
        }
        for (connection, order) in orders {
            let closes = matches!(order, Order::Close(_));
            if let Some(orders) = self.connections.get(&connection)
                && let Err(error) = orders.try_send(order)
            {
                // It has ended, and will say so.
                tracing::debug!(%error, "an order came too late");
            }
            if closes {
                self.connections.remove(&connection);
            }
        }
        Ok(deadline)
    }

    async fn persist(&mut self, changes: Vec<Persist>) -> Result<(), HubError> {
        let Some(mut spool) = self.spool.take() else {
            return Ok(());
        };
        let (spool, written) = spawn_blocking(move || {
            let written = spool.apply(&changes);
            (spool, written)
        })
        .await
        .map_err(|_| HubError::Fault)?;
        let written = written.map_err(|source| HubError::State {
            path: spool.path().to_owned(),
            source,
        });
        self.spool = Some(spool);
        written
    }
}

/// Both clocks.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the driver: clocks are read here"
)]
pub(super) fn now() -> Now {
    Now {
        monotonic: tokio::time::Instant::now().into_std(),
        wall: SystemTime::now(),
    }
}

/// Until then; for ever if there is no time.
pub(super) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
