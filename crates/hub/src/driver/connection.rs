//! The task of one connection: carries bytes between the socket, the negotiation and
//! the router. Reads on while it writes, so that a client that does both in turn is
//! never stuck.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use stanchion_sasl::ChannelBindings;
use stanchion_sasl::server::ServerChannel;
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{Payload as _, StreamEvent};
use stanchion_transport::tcp::{TcpOptions, accepted};
use stanchion_transport::{BoxTransport, Security, StreamFault, TlsAcceptor, XmppStream};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{timeout, timeout_at};

use super::routing::{ORDERS, Order, ToRouter, now, sleep_until};
use crate::limits::HubLimits;
use crate::router::{ConnectionId, Ending};
use crate::stream::{Attachable, Input, Negotiable, Negotiation, Output};

/// How long a client may take to hear the last words and to close its side.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// STARTTLS (RFC 6120 §5).
    StartTls,
    /// TLS from the first byte (XEP-0368).
    DirectTls,
    /// By components, without TLS (XEP-0114).
    Component,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) negotiable: Negotiable,
    /// The component that may attach itself, if any.
    pub(super) component: Option<Arc<Attachable>>,
    pub(super) acceptor: TlsAcceptor,
    pub(super) limits: HubLimits,
}

/// One connection, before it is served.
pub(super) struct Connection {
    id: ConnectionId,
    shared: Arc<Shared>,
    to_router: mpsc::Sender<ToRouter>,
    going_down: watch::Receiver<bool>,
    /// What the router orders, once the client has logged in.
    orders: Option<mpsc::Receiver<Order>>,
    /// An order is being written, and has to be by then.
    writing: Option<Instant>,
}

/// Why a connection is over.
enum Over {
    /// Something was said that is still to be written, the stream's end included.
    LastWords(XmppStream, Option<Ending>),
    /// It broke, or there is nobody to talk to.
    Lost,
    /// The router said so, or has gone itself.
    Ordered(XmppStream),
}

/// Why a wait gave nothing to go on with.
enum Stop {
    /// The connection broke, or has to be given up.
    Lost,
    /// The router said so, or has gone itself: close, with this error if any.
    Ordered(Option<StreamError>),
}

/// What woke the task.
enum Woken {
    Event(Result<StreamEvent, StreamFault>),
    /// All that was ordered is written.
    Written,
    Order(Option<Order>),
    Tick,
    WriteTooSlow,
    GoingDown,
}

impl Connection {
    pub(super) fn new(
        id: ConnectionId,
        shared: Arc<Shared>,
        to_router: mpsc::Sender<ToRouter>,
        going_down: watch::Receiver<bool>,
    ) -> Self {
        Self {
            id,
            shared,
            to_router,
            going_down,
            orders: None,
            writing: None,
        }
    }

    /// Serves a client until one of the two closes.
    pub(super) async fn serve(mut self, socket: TcpStream, port: Port) {
        let Ok(pipe) = accepted(socket, TcpOptions::default()) else {
            return;
        };
        let over = Box::pin(self.converse(pipe, port)).await;
        let ending = match &over {
            Over::LastWords(_, ending) => *ending,
            Over::Lost => Some(Ending::Lost),
            Over::Ordered(_) => None,
        };
        if let Some(ending) = ending
            && self.orders.is_some()
        {
            // Before the last words: who hears them may come back at once. The router
            // may have gone before.
            let _ = self.to_router.send(ToRouter::Ended(self.id, ending)).await;
        }
        if let Over::LastWords(stream, _) | Over::Ordered(stream) = over {
            say_last_words(stream).await;
        }
    }

    async fn converse(&mut self, pipe: BoxTransport, port: Port) -> Over {
        let Some(entropy) = entropy() else {
            return Over::Lost;
        };
        let started = now().monotonic;
        let shared = self.shared.negotiable.clone();
        let component = self.shared.component.clone();
        let mut negotiation = match component.filter(|_| port == Port::Component) {
            Some(component) => Negotiation::of_component(shared, component, started, entropy),
            None => Negotiation::new(shared, started, entropy),
        };
        let mut stream = if port == Port::DirectTls {
            match self.secure(pipe, &mut negotiation).await {
                Some(stream) => stream,
                None => return Over::Lost,
            }
        } else {
            XmppStream::new(pipe, self.shared.limits.before_login())
        };
        loop {
            match negotiation.poll_output() {
                Output::Open(header) => stream.open(&header),
                Output::Send(element) => {
                    // Of the hub's own making, and small.
                    if let Err(error) = stream.send(&element) {
                        tracing::error!(%error, "an answer was not sent");
                    }
                }
                Output::StartTls => match self.start_tls(stream, &mut negotiation).await {
                    Some(secured) => stream = secured,
                    None => return Over::Lost,
                },
                Output::Restart => {
                    stream.reset();
                    stream.set_limits(self.shared.limits.inbound());
                }
                Output::Registered { account } => {
                    let input = ToRouter::Registered(account);
                    if self.to_router.send(input).await.is_err() {
                        return self.router_gone(stream);
                    }
                }
                Output::LoggedIn { account } => {
                    if self.log_in(account).await.is_none() {
                        return Over::Lost;
                    }
                }
                Output::Attached { domain } => {
                    stream.set_limits(self.shared.limits.inbound());
                    stream.of_component(&domain);
                    if self.attach().await.is_none() {
                        return Over::Lost;
                    }
                }
                Output::Account {
                    request,
                    answer,
                    ended,
                } => {
                    let input = ToRouter::Account {
                        connection: self.id,
                        request,
                        answer,
                        ended,
                    };
                    if self.to_router.send(input).await.is_err() {
                        return self.router_gone(stream);
                    }
                }
                Output::Element(element) => {
                    let input = ToRouter::Element(self.id, element);
                    if self.to_router.send(input).await.is_err() {
                        return self.router_gone(stream);
                    }
                }
                Output::Close { by_client } => {
                    let ending = if by_client {
                        Ending::Closed
                    } else {
                        Ending::Lost
                    };
                    return Over::LastWords(stream, Some(ending));
                }
                Output::Wait(deadline) => {
                    match self.wait(&mut stream, deadline, negotiation).await {
                        Ok(back) => negotiation = back,
                        Err(Stop::Lost) => return Over::Lost,
                        Err(Stop::Ordered(error)) => {
                            if let Some(error) = error {
                                let _ = stream.send(&error.to_element());
                            }
                            return Over::Ordered(stream);
                        }
                    }
                }
            }
        }
    }

    /// Waits for the next thing to happen and gives it to whom it concerns.
    async fn wait(
        &mut self,
        stream: &mut XmppStream,
        deadline: Option<Instant>,
        mut negotiation: Negotiation,
    ) -> Result<Negotiation, Stop> {
        let shutdown = || Stop::Ordered(Some(StreamError::new(StreamCondition::SystemShutdown)));
        match self.woken(stream, deadline).await {
            Woken::Event(Ok(event)) => {
                let entropy = entropy().ok_or(Stop::Lost)?;
                let at = now().monotonic;
                if negotiation.is_costly(&event) {
                    return spawn_blocking(move || {
                        negotiation.handle(at, Input::Event(event, entropy));
                        negotiation
                    })
                    .await
                    .map_err(|_| Stop::Lost);
                }
                negotiation.handle(at, Input::Event(event, entropy));
            }
            Woken::Event(Err(StreamFault::Decode(error))) => {
                negotiation.handle(now().monotonic, Input::Fault(error));
            }
            Woken::Event(Err(_)) | Woken::WriteTooSlow => return Err(Stop::Lost),
            Woken::Written => {
                self.writing = None;
                let written = ToRouter::Written(self.id);
                if self.to_router.send(written).await.is_err() {
                    return Err(shutdown());
                }
            }
            Woken::Order(Some(Order::Send(bytes))) => {
                stream.send_bytes(&bytes);
                self.writing = Some(now().monotonic + self.shared.limits.write_time);
            }
            Woken::Order(Some(Order::Close(error))) => {
                return Err(Stop::Ordered(error.map(|e| *e)));
            }
            Woken::Order(None) | Woken::GoingDown => return Err(shutdown()),
            Woken::Tick => negotiation.handle(now().monotonic, Input::Tick),
        }
        Ok(negotiation)
    }

    async fn woken(&mut self, stream: &mut XmppStream, deadline: Option<Instant>) -> Woken {
        let logged_in = self.orders.is_some();
        let orders = &mut self.orders;
        let order = async {
            match orders {
                Some(orders) => orders.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Orders first, or a client that never stops sending would get no answer.
            biased;
            order = order => Woken::Order(order),
            // Once logged in, the router's last order comes instead.
            _ = self.going_down.wait_for(|down| *down), if !logged_in => Woken::GoingDown,
            woken = next(stream, self.writing.is_some()) => woken,
            () = sleep_until(deadline) => Woken::Tick,
            () = sleep_until(self.writing) => Woken::WriteTooSlow,
        }
    }

    /// Direct TLS, or the second half of STARTTLS.
    async fn secure(
        &self,
        pipe: BoxTransport,
        negotiation: &mut Negotiation,
    ) -> Option<XmppStream> {
        let deadline = negotiation.deadline()?;
        let handshake = self.shared.acceptor.upgrade(pipe);
        let pipe = match timeout_at(deadline.into(), handshake).await {
            Ok(Ok(pipe)) => pipe,
            Ok(Err(error)) => {
                tracing::debug!(%error, "no TLS with a client");
                return None;
            }
            Err(_) => return None,
        };
        let channel = channel(pipe.security());
        negotiation.handle(now().monotonic, Input::Secured(channel));
        Some(XmppStream::new(pipe, self.shared.limits.before_login()))
    }

    async fn start_tls(
        &self,
        mut stream: XmppStream,
        negotiation: &mut Negotiation,
    ) -> Option<XmppStream> {
        let deadline = negotiation.deadline()?;
        timeout_at(deadline.into(), stream.flush())
            .await
            .ok()?
            .ok()?;
        // Refused if bytes came behind <starttls/>: they may have been injected.
        let pipe = stream.into_transport().ok()?;
        self.secure(pipe, negotiation).await
    }

    async fn log_in(&mut self, account: String) -> Option<()> {
        let (orders, receiver) = mpsc::channel(ORDERS);
        self.orders = Some(receiver);
        let input = ToRouter::LoggedIn {
            connection: self.id,
            account,
            entropy: entropy()?,
            orders,
        };
        self.to_router.send(input).await.ok()
    }

    async fn attach(&mut self) -> Option<()> {
        let (orders, receiver) = mpsc::channel(ORDERS);
        self.orders = Some(receiver);
        let connection = self.id;
        let input = ToRouter::Attached { connection, orders };
        self.to_router.send(input).await.ok()
    }

    fn router_gone(&self, mut stream: XmppStream) -> Over {
        let error = StreamError::new(StreamCondition::SystemShutdown);
        // Fixed and small.
        let _ = stream.send(&error.to_element());
        Over::Ordered(stream)
    }
}

/// The next event, or, if asked for, that all queued output is written. A new future for
/// each poll: `XmppStream::next` keeps nothing in it.
async fn next(stream: &mut XmppStream, until_written: bool) -> Woken {
    poll_fn(|cx| {
        if let Poll::Ready(event) = pin!(stream.next()).poll(cx) {
            return Poll::Ready(Woken::Event(event));
        }
        if until_written && stream.queued() == 0 {
            return Poll::Ready(Woken::Written);
        }
        Poll::Pending
    })
    .await
}

/// Writes what is queued and the stream's end, then lets the client close: a socket that
/// is closed with input unread would take the last words back.
async fn say_last_words(mut stream: XmppStream) {
    let farewell = async {
        stream.close().await?;
        loop {
            if let StreamEvent::Close = stream.next().await? {
                return Ok::<(), StreamFault>(());
            }
        }
    };
    // Whatever comes of it, the connection is over.
    let _ = timeout(LAST_WORDS, farewell).await;
}

/// What SASL has to know of the connection.
fn channel(security: &Security) -> ServerChannel {
    let bindings = &security.bindings;
    ServerChannel {
        encrypted: security.is_encrypted(),
        bindings: ChannelBindings {
            tls_exporter: bindings.tls_exporter,
            tls_server_end_point: bindings.tls_server_end_point.clone(),
            tls_unique: None,
        },
        certificate_identities: Vec::new(),
    }
}

/// Random bytes. Without any, the connection ends.
fn entropy() -> Option<[u8; 24]> {
    let mut bytes = [0; 24];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Some(bytes),
        Err(error) => {
            tracing::error!(%error, "the system gives no random bytes");
            None
        }
    }
}
