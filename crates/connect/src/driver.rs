//! One attempt at one address, in two halves: up to a protected connection, and the login
//! over it. Dials, runs the negotiation over a stream, and keeps the clock. Owns the
//! sockets and the deadlines of the attempt; which address comes next, and which one logs
//! in, is the race's affair.

use std::future::Future;
use std::time::Duration;

use stanchion_sasl::policy::{ChannelSecurity, TlsVersion};
use stanchion_sasl::{Channel, ChannelBindings};
use stanchion_stanza::stream::StreamError;
use stanchion_stanza::{Limits, Payload as _, StreamEvent};
use stanchion_transport::security::{self, Security, Trust};
use stanchion_transport::stream::DetachError;
use stanchion_transport::{BoxTransport, Dial, Endpoint, StreamFault, TlsMode, XmppStream};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{ConnectConfig, Timeouts};
use crate::connection::Timings;
use crate::error::{ConnectError, Foreign, Misuse};
use crate::event::{ConnectEvent, Observer};
use crate::misbehaviour::Misbehaviour;
use crate::negotiation::{Established, Input, Negotiation, Output, Setup, Start};
use crate::phase::Phase;

/// How long a stream that is given up may take to say so to the server.
const FAREWELL: Duration = Duration::from_secs(1);

/// The least that a server must take in one stanza (RFC 6120 §13.12), and the most that
/// is believed of an announcement (XEP-0478).
const SENDABLE: std::ops::RangeInclusive<u64> = 10_000..=16 * 1024 * 1024;

/// One attempt.
pub(crate) struct Attempting<'a> {
    pub(crate) dial: &'a dyn Dial,
    pub(crate) config: &'a ConnectConfig,
    pub(crate) domain: &'a str,
    pub(crate) endpoint: Endpoint,
    pub(crate) observer: &'a Observer<'a>,
    pub(crate) clock: Clock,
    /// The other side has shown that it speaks XMPP.
    pub(crate) opened: bool,
}

/// A connection as protected as it is going to be. Nothing that belongs to the account
/// has been sent over it.
pub(crate) struct Secured {
    stream: XmppStream,
    negotiation: Negotiation,
}

impl Secured {
    /// The stream, where the protected one begins: nothing was said on it. If there was no
    /// TLS to be had, it is the one in the clear.
    pub(crate) fn into_stream(self) -> XmppStream {
        self.stream
    }
}

/// How far to go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Secured,
    Established,
}

/// Which phase runs since when, and how long the ones before took.
pub(crate) struct Clock {
    timeouts: Timeouts,
    give_up: Instant,
    phase: Phase,
    since: Instant,
    pub(crate) timings: Timings,
}

impl Clock {
    /// `give_up`: when the whole walk ends.
    pub(crate) fn start(timeouts: Timeouts, give_up: Instant) -> Self {
        Self {
            timeouts,
            give_up,
            phase: Phase::Tcp,
            since: Instant::now(),
            timings: Timings::default(),
        }
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Ends the phase before, if `phase` is another one.
    fn enter(&mut self, phase: Phase) -> bool {
        if phase == self.phase {
            return false;
        }
        self.stop();
        self.phase = phase;
        true
    }

    pub(crate) fn stop(&mut self) {
        let now = Instant::now();
        self.timings.push(self.phase, now - self.since);
        self.since = now;
    }

    /// When this phase ends, whatever happens.
    fn deadline(&self) -> Instant {
        self.give_up.min(self.since + self.timeouts.of(self.phase))
    }

    async fn limit<T>(&self, work: impl Future<Output = T>) -> Result<T, ConnectError> {
        let deadline = self.deadline();
        timeout_at(deadline, work)
            .await
            .map_err(|_| ConnectError::Deadline {
                endpoint: None,
                phase: self.phase,
                limit: readable(deadline - self.since),
            })
    }
}

/// A limit as people read it: what is left of a round has nanoseconds, too.
fn readable(limit: Duration) -> Duration {
    const STEP: u64 = 10;
    match u64::try_from(limit.as_millis()) {
        Ok(ms) if ms >= 10 * STEP => Duration::from_millis(ms.next_multiple_of(STEP)),
        _ => limit,
    }
}

impl Attempting<'_> {
    /// Connects, up to and with the TLS handshake. `setup.start` is overwritten by what
    /// the endpoint says.
    pub(crate) async fn secure(
        &mut self,
        mut setup: Setup,
        or_plaintext: bool,
    ) -> Result<Secured, ConnectError> {
        self.tell(&ConnectEvent::Phase(&self.endpoint, Phase::Tcp));
        let pipe = self.connect().await?;
        setup.start = match self.endpoint.mode {
            TlsMode::StartTls => Start::StartTls { or_plaintext },
            TlsMode::None => Start::Plaintext,
            TlsMode::Direct => Start::Protected(channel(pipe.security())),
        };
        let mut secured = Secured {
            stream: self.frame(pipe).await?,
            negotiation: Negotiation::new(setup),
        };
        if self.endpoint.mode == TlsMode::StartTls {
            let result = self.negotiate(&mut secured, Until::Secured).await;
            if let Err(error) = result {
                // The others do not wait for a farewell.
                self.part(&mut secured.stream, &error, Duration::ZERO).await;
                return Err(error);
            }
        }
        Ok(secured)
    }

    /// Logs in.
    pub(crate) async fn log_in(
        &mut self,
        mut secured: Secured,
    ) -> Result<(XmppStream, Established), ConnectError> {
        let result = self.negotiate(&mut secured, Until::Established).await;
        self.clock.stop();
        let Secured {
            mut stream,
            negotiation,
        } = secured;
        match result {
            Ok(Some(established)) => {
                if let Some(bytes) = established.features.max_bytes {
                    let bytes = bytes.clamp(*SENDABLE.start(), *SENDABLE.end());
                    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                    stream.set_send_limits(Limits::default().with_stanza_bytes(bytes));
                }
                Ok((stream, *established))
            }
            // Only where the login is not asked for.
            Ok(None) => Err(ConnectError::Lost {
                endpoint: None,
                phase: self.clock.phase(),
                source: None,
            }),
            Err(mut error) => {
                // Silence to a request to resume would be the same at every other try.
                if matches!(error, ConnectError::Deadline { .. }) && negotiation.may_be_resuming() {
                    error = ConnectError::ResumeUnanswered;
                }
                // The server may keep what it has for this stream until it hears this;
                // it gets one short chance.
                self.part(&mut stream, &error, FAREWELL).await;
                Err(error)
            }
        }
    }

    /// Gives a stream up, and says why if a rule was broken (RFC 6120 §4.9).
    async fn part(&self, stream: &mut XmppStream, error: &ConnectError, limit: Duration) {
        if let ConnectError::PeerMisbehaved {
            source: Misbehaviour::Decode(fault),
            ..
        } = error
        {
            let _ = stream.send(&StreamError::new(fault.condition()).to_element());
        }
        let _ = timeout(limit, stream.close()).await;
    }

    async fn connect(&mut self) -> Result<BoxTransport, ConnectError> {
        let endpoint = self.endpoint.clone();
        let refused = |error| ConnectError::dial(&endpoint, error);
        // The handshake of direct TLS comes apart, under its own deadline.
        let mode = match self.endpoint.mode {
            TlsMode::Direct => TlsMode::None,
            mode => mode,
        };
        let place = self.endpoint.clone().with_mode(mode);
        let dialled = self.dial.dial(&place, self.domain);
        let pipe = self.clock.limit(dialled).await?.map_err(refused)?;
        if self.endpoint.mode != TlsMode::Direct {
            return Ok(pipe);
        }
        self.enter(Phase::Tls);
        let pipe = self
            .clock
            .limit(self.dial.direct(pipe, &self.endpoint, self.domain))
            .await?
            .map_err(refused)?;
        let pipe = protected(pipe)?;
        self.tell(&ConnectEvent::Secured(&self.endpoint, pipe.security()));
        Ok(pipe)
    }

    /// Makes a stream of the pipe, by way of a WebSocket if the endpoint is one.
    async fn frame(&mut self, pipe: BoxTransport) -> Result<XmppStream, ConnectError> {
        let Some(uri) = self.endpoint.websocket().cloned() else {
            return Ok(XmppStream::new(pipe, self.config.limits));
        };
        self.enter(Phase::Stream);
        let upgraded = XmppStream::websocket(pipe, &uri, self.config.limits);
        let upgraded = self.clock.limit(upgraded).await?;
        upgraded.map_err(|error| ConnectError::dial(&self.endpoint, error))
    }

    /// `None`: it is secured, and that was all that was asked for.
    async fn negotiate(
        &mut self,
        secured: &mut Secured,
        until: Until,
    ) -> Result<Option<Box<Established>>, ConnectError> {
        let Secured {
            stream,
            negotiation,
        } = secured;
        loop {
            // Also where there is no TLS and plaintext is allowed: the outputs that wait
            // now are the beginning of the login.
            if until == Until::Secured && negotiation.phase() == Phase::Authentication {
                return Ok(None);
            }
            self.enter(negotiation.phase());
            let input = match negotiation.poll_output() {
                Some(Output::OpenStream(header)) => {
                    stream.open(&header);
                    continue;
                }
                Some(Output::Send(element)) => {
                    stream.send(&element).map_err(Misuse::Encode)?;
                    continue;
                }
                Some(Output::RestartStream) => {
                    stream.reset();
                    continue;
                }
                Some(Output::Report(report)) => {
                    self.tell(&ConnectEvent::Login(&self.endpoint, &report));
                    continue;
                }
                Some(Output::Done(established)) => return Ok(Some(established)),
                Some(Output::Failed(error)) => return Err(error),
                Some(Output::StartTls) => {
                    negotiation.handle(self.upgrade(stream).await?);
                    if until == Until::Secured {
                        return Ok(None);
                    }
                    continue;
                }
                Some(Output::Derive(derivation)) => {
                    // Dropping the handle leaves the thread to finish its rounds, whose
                    // number is bounded.
                    let work = tokio::task::spawn_blocking(move || derivation.run());
                    match self.clock.limit(work).await? {
                        Ok(derived) => Input::Derived(derived),
                        Err(_) => return Err(Misuse::ShuttingDown.into()),
                    }
                }
                None => match self.clock.limit(stream.next()).await? {
                    Ok(event) => {
                        self.opened |= matches!(event, StreamEvent::Open(_));
                        Input::Event(event)
                    }
                    Err(fault @ (StreamFault::Decode(_) | StreamFault::WebServer { .. }))
                        if !self.opened =>
                    {
                        return Err(ConnectError::NotXmpp {
                            endpoint: self.endpoint.clone(),
                            what: Foreign::of(&fault, stream.unread()),
                            source: fault,
                        });
                    }
                    Err(StreamFault::Decode(error)) => {
                        return Err(Misbehaviour::Decode(error).into());
                    }
                    Err(fault) => return Err(disconnected(negotiation, fault)),
                },
            };
            negotiation.handle(input);
        }
    }

    /// STARTTLS was agreed: the handshake, and a new stream over it.
    async fn upgrade(&mut self, stream: &mut XmppStream) -> Result<Input, ConnectError> {
        let lost = |fault| ConnectError::Lost {
            endpoint: None,
            phase: Phase::Tls,
            source: Some(fault),
        };
        self.clock.limit(stream.flush()).await?.map_err(lost)?;
        // The old stream is put out of the way by an empty one.
        let (stub, _) = stanchion_transport::memory::pair(1);
        let clear = std::mem::replace(stream, XmppStream::new(stub, self.config.limits));
        let pipe = clear.into_transport().map_err(|fault| match fault {
            DetachError::Unread(bytes) => ConnectError::from(Misbehaviour::Injected(bytes)),
            _ => ConnectError::Lost {
                endpoint: None,
                phase: Phase::Tls,
                source: None,
            },
        })?;
        let pipe = self
            .clock
            .limit(self.dial.upgrade(pipe, self.domain))
            .await?
            .map_err(|error| ConnectError::dial(&self.endpoint, error))?;
        let pipe = protected(pipe)?;
        self.tell(&ConnectEvent::Secured(&self.endpoint, pipe.security()));
        let channel = channel(pipe.security());
        *stream = XmppStream::new(pipe, self.config.limits);
        Ok(Input::TlsReady(channel))
    }

    fn enter(&mut self, phase: Phase) {
        if self.clock.enter(phase) {
            self.tell(&ConnectEvent::Phase(&self.endpoint, phase));
        }
    }

    fn tell(&self, event: &ConnectEvent<'_>) {
        (self.observer)(event);
    }
}

/// The negotiation judges what the end of the connection means; what it cannot know is
/// how the connection ended.
fn disconnected(negotiation: &mut Negotiation, fault: StreamFault) -> ConnectError {
    let phase = negotiation.phase();
    negotiation.handle(Input::Disconnected);
    while let Some(output) = negotiation.poll_output() {
        match output {
            Output::Failed(ConnectError::Lost { .. }) => break,
            Output::Failed(error) => return error,
            _ => {}
        }
    }
    ConnectError::Lost {
        endpoint: None,
        phase,
        source: Some(fault),
    }
}

/// A pipe that TLS was asked for, if it is one: a login must not take the word of a dialler
/// that did nothing.
fn protected(pipe: BoxTransport) -> Result<BoxTransport, ConnectError> {
    match pipe.security().tls {
        Some(_) => Ok(pipe),
        None => Err(Misuse::Unprotected.into()),
    }
}

/// What SASL needs to know of a connection.
fn channel(security: &Security) -> Channel {
    let Some(tls) = &security.tls else {
        return Channel::default();
    };
    let bindings = ChannelBindings {
        tls_exporter: security.bindings.tls_exporter,
        tls_server_end_point: security.bindings.tls_server_end_point.clone(),
        ..ChannelBindings::default()
    };
    Channel {
        security: ChannelSecurity::Tls {
            version: match tls.version {
                security::TlsVersion::Tls13 => TlsVersion::Tls13,
                _ => TlsVersion::Tls12,
            },
            server_verified: matches!(tls.trust, Trust::Chain | Trust::Pin),
        },
        client_certificate_shown: tls.client_certificate,
        bindings,
    }
}
