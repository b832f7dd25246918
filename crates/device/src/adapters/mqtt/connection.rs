//! A connection to a broker (MQTT 3.1.1): the login, packet ids, acknowledgements and pings. What is subscribed to and what comes of it are
//! others' business. Nothing is sent again: what was not acknowledged when the connection
//! was lost is for whoever sent it to judge.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rumqttc::{
    Connect, ConnectReturnCode, LastWill, Login, Packet, PubAck, Publish, QoS, Subscribe,
    SubscribeFilter, Unsubscribe,
};
use secrecy::ExposeSecret as _;
use stanchion_transport::BoxTransport;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};

use super::config::Broker;
use super::dial::dial;
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
        let connected = async {
            let pipe = dial(broker, &peer).await?;
            Self::login(pipe, broker, greeting, &peer).await
        };
        let connected = timeout(CONNECT, connected).await;
        let late = |_| {
            let what = format!("the broker {peer} did not answer in {CONNECT:?}");
            AdapterError::connection(what, io::ErrorKind::TimedOut.into())
        };
        connected.map_err(late)?
    }

    async fn login(
        pipe: BoxTransport,
        broker: &Broker,
        greeting: Greeting,
        peer: &str,
    ) -> Result<Self, AdapterError> {
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

#[cfg(test)]
mod tests {
    use rumqttc::{ConnAck, PubRec, SubscribeReasonCode};
    use stanchion_transport::memory;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(30);

    /// A broker's end.
    struct Far {
        pipe: BoxTransport,
        bytes: BytesMut,
    }

    impl Far {
        async fn hears(&mut self) -> Option<Packet> {
            loop {
                if let Ok(packet) = Packet::read(&mut self.bytes, 1 << 20) {
                    return Some(packet);
                }
                if self.pipe.read_buf(&mut self.bytes).await.ok()? == 0 {
                    return None;
                }
            }
        }

        async fn says(&mut self, packet: &Packet) {
            let mut bytes = BytesMut::new();
            packet.write(&mut bytes, 1 << 20).unwrap();
            self.pipe.write_all(&bytes).await.unwrap();
        }
    }

    async fn answered(code: ConnectReturnCode) -> Result<(Connection, Far), AdapterError> {
        let (near, pipe) = memory::pair(4096);
        let bytes = BytesMut::new();
        let mut far = Far { pipe, bytes };
        let greeting = Greeting {
            client_id: "test".to_owned(),
            clean: true,
            will: None,
        };
        let broker = Broker::new("broker.example", "test");
        let login = Connection::login(near, &broker, greeting, "broker.example:1883");
        let answer = async {
            assert!(matches!(far.hears().await, Some(Packet::Connect(_))));
            far.says(&Packet::ConnAck(ConnAck::new(code, false))).await;
        };
        let (connection, ()) = tokio::join!(login, answer);
        Ok((connection?, far))
    }

    async fn connected() -> (Connection, Far) {
        answered(ConnectReturnCode::Success).await.unwrap()
    }

    fn publication(pkid: u16) -> Packet {
        let mut publish = Publish::new("a", QoS::AtLeastOnce, "1");
        publish.pkid = pkid;
        Packet::Publish(publish)
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_answers_no_pings_is_lost() {
        let (mut connection, mut far) = connected().await;
        let silent = tokio::spawn(async move { while far.hears().await.is_some() {} });
        let began = Instant::now();
        let lost = loop {
            if let Err(lost) = connection.next().await {
                break lost;
            }
        };
        assert_eq!(
            lost.to_string(),
            "the broker broker.example:1883 answers no pings"
        );
        assert_eq!(began.elapsed(), 2 * KEEP_ALIVE);
        silent.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn reports_that_nobody_takes_do_not_lose_the_broker() {
        let (mut connection, mut far) = connected().await;
        let broker = tokio::spawn(async move {
            let mut pings = 0;
            while let Some(packet) = far.hears().await {
                match packet {
                    Packet::PingReq => pings += 1,
                    Packet::Disconnect => break,
                    packet => panic!("{packet:?}"),
                }
                far.says(&Packet::PingResp).await;
            }
            pings
        });
        let (mut link, mut reports, _orders) = Link::new(1);
        link.connected().await.unwrap();
        let late = tokio::spawn(async move {
            tokio::time::sleep(10 * KEEP_ALIVE + Duration::from_secs(1)).await;
            reports.recv().await.unwrap();
            reports
        });
        connection
            .report(&mut link, Report::Connected)
            .await
            .unwrap();
        drop(late.await.unwrap());
        // The answers are read now; the broker is as good as before.
        let quiet = timeout(KEEP_ALIVE / 2, async {
            while connection.next().await.is_ok() {}
        });
        assert!(quiet.await.is_err());
        connection.close().await;
        assert_eq!(broker.await.unwrap(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_broker_may_send_ends_the_connection() {
        let mut twice = Publish::new("a", QoS::ExactlyOnce, "1");
        twice.pkid = 1;
        let wrong = [
            Packet::Publish(twice),
            Packet::PubRec(PubRec::new(1)),
            Packet::PingReq,
            Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)),
        ];
        for packet in wrong {
            let (mut connection, mut far) = connected().await;
            far.says(&packet).await;
            let error = connection.next().await.unwrap_err();
            assert!(
                matches!(error, AdapterError::PeerMisbehaved { .. }),
                "{packet:?}"
            );
        }
        let (mut connection, mut far) = connected().await;
        far.pipe.write_all(&[0x00, 0x01, 0xFF]).await.unwrap();
        let error = connection.next().await.unwrap_err();
        assert!(
            matches!(error, AdapterError::PeerMisbehaved { .. }),
            "{error}"
        );
        let (mut connection, far) = connected().await;
        drop(far);
        let error = connection.next().await.unwrap_err();
        assert!(matches!(error, AdapterError::Connection { .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_is_refused_says_what_to_do() {
        let refused = answered(ConnectReturnCode::BadUserNamePassword).await;
        let error = refused.err().unwrap().to_string();
        assert!(
            error.ends_with("user or password are wrong; check both"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_broker_does_not_read_does_not_pile_up() {
        let (mut connection, mut far) = connected().await;
        let flood = tokio::spawn(async move {
            for pkid in (1..=u16::MAX).cycle() {
                far.says(&publication(pkid)).await;
            }
        });
        let taken = timeout(Duration::from_secs(1), async {
            loop {
                if let Event::Publish(publish) = connection.next().await.unwrap() {
                    connection.acknowledge(&publish).unwrap();
                }
            }
        });
        assert!(taken.await.is_err());
        assert!((MAX_OUT..MAX_OUT + CHUNK).contains(&connection.out.len()));
        flood.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn filters_that_are_refused_are_named() {
        let (mut connection, mut far) = connected().await;
        let filters = ["a".to_owned(), "b".to_owned()];
        let asked = connection.subscribe(&filters).unwrap();
        assert_eq!(connection.next().await.unwrap(), Event::Written);
        let Some(Packet::Subscribe(subscribe)) = far.hears().await else {
            panic!("no subscription")
        };
        assert_eq!(subscribe.pkid, asked);
        let codes = vec![
            SubscribeReasonCode::Success(QoS::AtLeastOnce),
            SubscribeReasonCode::Failure,
        ];
        let answer = rumqttc::SubAck::new(asked, codes);
        far.says(&Packet::SubAck(answer)).await;
        let event = connection.next().await.unwrap();
        let (pkid, refused) = (asked, vec![1]);
        assert_eq!(event, Event::Subscribed { pkid, refused });
    }
}
