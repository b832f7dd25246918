//! A connection to a broker (MQTT 3.1.1): the way there, with TLS or without, the session,
//! packet ids, acknowledgements and pings. What is subscribed to and what comes of it are
//! others' business. Nothing is sent again: what was not acknowledged when the connection
//! was lost is for whoever sent it to judge.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rumqttc::{
    Connect, ConnectReturnCode, LastWill, Login, Packet, PubAck, Publish, QoS, Subscribe,
    SubscribeFilter, Unsubscribe,
};
use secrecy::ExposeSecret as _;
use stanchion_transport::dial::Dial as _;
use stanchion_transport::tls::Roots;
use stanchion_transport::{
    BoxTransport, Endpoint, Host, TcpDial, TlsConnector, TlsMode, TlsPolicy,
};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};

use super::config::{Broker, Tls};
use super::framing::{Frame, Framing, is_exactly_once, write};
use crate::adapter::{AdapterError, Ended, Link, Report};

/// How long the way to a broker, TLS and the login may take together.
const CONNECT: Duration = Duration::from_secs(15);
/// What may wait to be written before nothing more is read.
const MAX_OUT: usize = 256 * 1024;
const CHUNK: usize = 16 * 1024;

/// How we present ourselves.
#[derive(Debug, Clone)]
pub(super) struct Greeting {
    pub(super) client_id: String,
    pub(super) clean: bool,
    pub(super) will: Option<LastWill>,
}

/// What a broker said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// Something was published. To be [acknowledged](Connection::acknowledge).
    Publish(Publish),
    /// A publication was too long, and is acknowledged.
    TooLong { topic: String, length: usize },
    /// The broker has what we published under that id.
    Acknowledged(u16),
    /// All that was to be sent is with the system now.
    Written,
    /// The broker has taken a subscription, or not those of its filters.
    Subscribed { pkid: u16, refused: Vec<usize> },
}

/// A connection, as long as it lives.
pub(super) struct Connection {
    peer: String,
    pipe: BoxTransport,
    framing: Framing,
    out: BytesMut,
    unflushed: bool,
    chunk: Box<[u8]>,
    last_pkid: u16,
    keep_alive: Duration,
    ping_at: Instant,
    pinged: bool,
    /// Pings fell due while nothing was read.
    unheard: bool,
    resumed: bool,
}

impl Connection {
    /// Connects and logs in.
    pub(super) async fn open(broker: &Broker, greeting: Greeting) -> Result<Self, AdapterError> {
        let peer = broker.address();
        let connected = timeout(CONNECT, Self::login(broker, greeting, &peer)).await;
        let late = |_| {
            let what = format!("the broker {peer} did not answer in {CONNECT:?}");
            AdapterError::connection(what, io::ErrorKind::TimedOut.into())
        };
        connected.map_err(late)?
    }

    async fn login(broker: &Broker, greeting: Greeting, peer: &str) -> Result<Self, AdapterError> {
        let pipe = dial(broker, peer).await?;
        let password = broker.password().map_err(AdapterError::Misuse)?;
        let login = broker.user.as_ref().map(|user| Login {
            username: user.clone(),
            password: password.map_or_else(String::new, |word| word.expose_secret().to_owned()),
        });
        let mut connect = Connect::new(greeting.client_id);
        connect.clean_session = greeting.clean;
        connect.last_will = greeting.will;
        connect.login = login;
        connect.keep_alive = u16::try_from(broker.keep_alive.as_secs()).unwrap_or(u16::MAX);
        let mut connection = Self {
            peer: peer.to_owned(),
            pipe,
            framing: Framing::new(broker.max_packet),
            out: BytesMut::new(),
            unflushed: false,
            chunk: vec![0; CHUNK].into_boxed_slice(),
            last_pkid: 0,
            keep_alive: broker.keep_alive,
            ping_at: Instant::now() + broker.keep_alive,
            pinged: false,
            unheard: false,
            resumed: false,
        };
        connection.send(&Packet::Connect(connect))?;
        let answer = loop {
            if let Some(answer) = connection.frame().await? {
                break answer;
            }
        };
        match answer {
            Frame::Packet(Packet::ConnAck(ack)) if ack.code == ConnectReturnCode::Success => {
                connection.resumed = ack.session_present;
                Ok(connection)
            }
            Frame::Packet(Packet::ConnAck(ack)) => {
                let what = refusal(ack.code).to_owned();
                let peer = connection.peer;
                Err(AdapterError::Refused { peer, what })
            }
            _ => Err(connection.misbehaved("it did not answer a CONNECT (MQTT 3.1.1 §3.2)")),
        }
    }

    /// Whether the broker still had our session, and with it what came meanwhile.
    pub(super) const fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Whether all that was to be sent is with the system.
    pub(super) fn is_flushed(&self) -> bool {
        self.out.is_empty() && !self.unflushed
    }

    /// Subscribes to these with QoS 1; at once, and with one packet id.
    pub(super) fn subscribe(&mut self, filters: &[String]) -> Result<u16, AdapterError> {
        let filters = filters
            .iter()
            .map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
        let mut subscribe = Subscribe::new_many(filters);
        subscribe.pkid = self.next_pkid();
        let pkid = subscribe.pkid;
        self.send(&Packet::Subscribe(subscribe))?;
        Ok(pkid)
    }

    /// These are of no interest any more.
    pub(super) fn unsubscribe(&mut self, topics: Vec<String>) -> Result<(), AdapterError> {
        let pkid = self.next_pkid();
        self.send(&Packet::Unsubscribe(Unsubscribe { pkid, topics }))
    }

    /// Publishes with QoS 1, and gives the id under which it is acknowledged. It is for the
    /// caller to have few of them on their way.
    pub(super) fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        retain: bool,
    ) -> Result<u16, AdapterError> {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        publish.retain = retain;
        publish.pkid = self.next_pkid();
        let pkid = publish.pkid;
        self.send(&Packet::Publish(publish))?;
        Ok(pkid)
    }

    /// It was dealt with: the broker may forget it.
    pub(super) fn acknowledge(&mut self, publish: &Publish) -> Result<(), AdapterError> {
        match publish.qos {
            QoS::AtMostOnce => Ok(()),
            _ => self.send(&Packet::PubAck(PubAck::new(publish.pkid))),
        }
    }

    /// What comes next; writes and pings meanwhile. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Event, AdapterError> {
        loop {
            let Some(frame) = self.frame().await? else {
                return Ok(Event::Written);
            };
            if let Some(event) = self.event(frame)? {
                return Ok(event);
            }
        }
    }

    /// What has come already.
    pub(super) fn ready(&mut self) -> Result<Option<Event>, AdapterError> {
        while let Some(frame) = self.framed()? {
            if let Some(event) = self.event(frame)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Tells a report, and keeps the connection alive while nobody takes it: the broker
    /// then waits as well.
    pub(super) async fn report(
        &mut self,
        link: &mut Link,
        report: Report,
    ) -> Result<(), AdapterError> {
        let told = link.report(report);
        tokio::pin!(told);
        let told: Result<(), Ended> = loop {
            let ping_at = self.ping_at;
            tokio::select! {
                biased;
                told = &mut told => break told,
                lost = poll_fn(|cx| self.poll_write(cx)) => {
                    return Err(self.lost(lost));
                }
                () = sleep_until(ping_at) => {
                    self.unheard = true;
                    self.ping()?;
                }
            }
        };
        Ok(told?)
    }

    /// Writes what there is, and says goodbye: the broker then keeps the will to itself.
    pub(super) async fn close(mut self) {
        const FAREWELL: Duration = Duration::from_secs(2);
        if self.send(&Packet::Disconnect).is_err() {
            return;
        }
        let written = poll_fn(|cx| {
            if self.poll_write(cx).is_ready() {
                return Poll::Ready(());
            }
            match self.is_flushed() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        // Whether it hears that is its own affair.
        let _ = timeout(FAREWELL, written).await;
    }

    fn event(&mut self, frame: Frame) -> Result<Option<Event>, AdapterError> {
        let packet = match frame {
            Frame::Packet(packet) => packet,
            Frame::TooLong {
                topic,
                pkid,
                length,
            } => {
                if let Some(pkid) = pkid {
                    self.send(&Packet::PubAck(PubAck::new(pkid)))?;
                }
                return Ok(Some(Event::TooLong { topic, length }));
            }
        };
        Ok(match packet {
            Packet::Publish(publish) if is_exactly_once(publish.qos) => {
                return Err(self.misbehaved("QoS 2 was never asked for (MQTT 3.1.1 §3.8.4)"));
            }
            Packet::Publish(publish) => Some(Event::Publish(publish)),
            Packet::PubAck(ack) => Some(Event::Acknowledged(ack.pkid)),
            Packet::SubAck(ack) => {
                let codes = ack.return_codes.iter().enumerate();
                let refused = codes
                    .filter(|(_, code)| matches!(code, rumqttc::SubscribeReasonCode::Failure))
                    .map(|(at, _)| at)
                    .collect();
                let pkid = ack.pkid;
                Some(Event::Subscribed { pkid, refused })
            }
            Packet::PingResp => {
                self.pinged = false;
                None
            }
            Packet::UnsubAck(_) => None,
            _ => return Err(self.misbehaved("it sent what only a client sends (MQTT 3.1.1 §3)")),
        })
    }

    fn framed(&mut self) -> Result<Option<Frame>, AdapterError> {
        let next = self.framing.next();
        next.map_err(|error| self.misbehaved(&error.to_string()))
    }

    /// The next frame; none once all is written.
    async fn frame(&mut self) -> Result<Option<Frame>, AdapterError> {
        if std::mem::take(&mut self.unheard) {
            // What was not read was no silence of the broker's.
            self.ping_at = Instant::now() + self.keep_alive;
        }
        loop {
            if let Some(frame) = self.framed()? {
                return Ok(Some(frame));
            }
            let ping_at = self.ping_at;
            tokio::select! {
                biased;
                read = poll_fn(|cx| self.poll(cx)) => {
                    let length = match read {
                        Ok(None) => return Ok(None),
                        Ok(Some(0)) => return Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
                        Ok(Some(length)) => length,
                        Err(error) => return Err(self.lost(error)),
                    };
                    self.framing.feed(&self.chunk[..length]);
                }
                () = sleep_until(ping_at) => {
                    if self.pinged {
                        return Err(self.lost(io::ErrorKind::TimedOut.into()));
                    }
                    self.ping()?;
                }
            }
        }
    }

    fn ping(&mut self) -> Result<(), AdapterError> {
        self.pinged = true;
        self.ping_at = Instant::now() + self.keep_alive;
        self.send(&Packet::PingReq)
    }

    fn send(&mut self, packet: &Packet) -> Result<(), AdapterError> {
        let written = write(packet, &mut self.out);
        written.map_err(|error| AdapterError::Misuse(format!("to the broker: {error}")))
    }

    /// Writes, and reads if what is written does not pile up. Nothing, once all is written.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<usize>>> {
        let had_to_write = !self.is_flushed();
        if let Poll::Ready(error) = self.poll_write(cx) {
            return Poll::Ready(Err(error));
        }
        if had_to_write && self.is_flushed() {
            return Poll::Ready(Ok(None));
        }
        if self.out.len() >= MAX_OUT {
            return Poll::Pending;
        }
        let mut read = ReadBuf::new(&mut self.chunk);
        std::task::ready!(Pin::new(&mut self.pipe).poll_read(cx, &mut read))?;
        Poll::Ready(Ok(Some(read.filled().len())))
    }

    /// Writes what can be written. Ready with what went wrong.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while !self.out.is_empty() {
            match Pin::new(&mut self.pipe).poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => return Poll::Ready(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.out.advance(written);
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.pipe).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    /// The next packet id; none is zero (MQTT 3.1.1 §2.3.1). With so few on their way none
    /// is taken that still is.
    fn next_pkid(&mut self) -> u16 {
        self.last_pkid = self.last_pkid.checked_add(1).unwrap_or(1);
        self.last_pkid
    }

    fn lost(&self, error: io::Error) -> AdapterError {
        let what = match error.kind() {
            io::ErrorKind::TimedOut => format!("the broker {} answers no pings", self.peer),
            _ => format!("the connection to the broker {} is lost", self.peer),
        };
        AdapterError::connection(what, error)
    }

    /// The broker broke that rule.
    pub(super) fn misbehaved(&self, what: &str) -> AdapterError {
        AdapterError::PeerMisbehaved {
            peer: format!("the broker {}", self.peer),
            what: what.to_owned(),
        }
    }
}

const fn refusal(code: ConnectReturnCode) -> &'static str {
    match code {
        ConnectReturnCode::Success => "nothing",
        ConnectReturnCode::RefusedProtocolVersion => {
            "it does not speak MQTT 3.1.1; use a broker that does"
        }
        ConnectReturnCode::BadClientId => "it does not take our client id; choose another one",
        ConnectReturnCode::ServiceUnavailable => "it is not available; try later",
        ConnectReturnCode::BadUserNamePassword => "user or password are wrong; check both",
        ConnectReturnCode::NotAuthorized => {
            "we may not connect; check user and password, and what the broker grants"
        }
    }
}

/// The way there. Without TLS it ends on this machine or in a private network, or nowhere.
async fn dial(broker: &Broker, peer: &str) -> Result<BoxTransport, AdapterError> {
    let failed = |source: stanchion_transport::DialError| {
        let mut causes = source.to_string();
        let mut cause = std::error::Error::source(&source);
        while let Some(error) = cause {
            causes = format!("{causes}: {error}");
            cause = error.source();
        }
        let what = format!("cannot reach the broker {peer}");
        AdapterError::connection(what, io::Error::other(causes))
    };
    let roots = match (&broker.tls, &broker.ca_file) {
        (Tls::On, Some(file)) => vec![Roots::PemFile(file.clone())],
        _ => vec![Roots::WebPki],
    };
    let policy = TlsPolicy::with_roots(roots);
    let tls = TlsConnector::new(&policy)
        .map_err(|error| AdapterError::Misuse(format!("the trusted roots: {error}")))?;
    let dial = TcpDial::new(tls.clone());
    let port = broker.port();
    let host = &broker.host;
    match broker.tls {
        Tls::On => {
            let host_there = match host.parse::<IpAddr>() {
                Ok(ip) => Host::Ip(ip),
                Err(_) => Host::Name(host.clone()),
            };
            // MQTT has no name for itself in ALPN, so none is said.
            let endpoint = Endpoint::new(host_there, port, TlsMode::None);
            let pipe = dial.dial(&endpoint, host).await.map_err(failed)?;
            tls.upgrade(pipe, host).await.map_err(failed)
        }
        Tls::Off => {
            let found = tokio::net::lookup_host((host.as_str(), port)).await;
            let found = found.map_err(|error| {
                AdapterError::connection(format!("the broker {peer} is not found"), error)
            })?;
            let mut last = AdapterError::Misuse(format!(
                "the broker {peer} is not in a private network: without TLS anybody on the way \
                 may read and command; set `tls = \"on\"`"
            ));
            for address in found.filter(|address| is_private(address.ip())) {
                let endpoint = Endpoint::at(address, TlsMode::None);
                match dial.dial(&endpoint, host).await {
                    Ok(pipe) => return Ok(pipe),
                    Err(error) => last = failed(error),
                }
            }
            Err(last)
        }
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.to_ipv4_mapped().is_some_and(|ip| is_private(ip.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_private_networks_are_reached() {
        for near in [
            "127.0.0.1",
            "192.168.3.4",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(near.parse().unwrap()), "{near}");
        }
        for far in ["8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8", "172.32.0.1"] {
            assert!(!is_private(far.parse().unwrap()), "{far}");
        }
    }
}
