//! A hand-written client for the tests: transport and SASL from below the hub, every
//! step of the stream spelled out, nothing of what it tests shared with it.
#![allow(unreachable_pub, reason = "shared by test binaries")]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::net::SocketAddr;
use std::time::Duration;

use stanchion_hub::{Accounts, Addresses, Fingerprint, Hub, HubConfig, HubError};
use stanchion_sasl::policy::{ChannelSecurity, TlsVersion};
use stanchion_sasl::{
    Authenticator, Channel, ChannelBindings, ClientAuth, Credentials, Nonce, Offer, Policy,
};
use stanchion_stanza::payload::bind::Bind;
use stanchion_stanza::payload::sasl::{Auth, Challenge, Failure, Response, Success};
use stanchion_stanza::payload::sm::{Ack, AckRequest, Enable, Enabled, Failed, Resume, Resumed};
use stanchion_stanza::payload::starttls::{Proceed, StartTls};
use stanchion_stanza::stream::StreamError;
use stanchion_stanza::{
    Element, Iq, Limits, Message, Payload, Presence, Stanza, StreamEvent, Text,
    stream::{StreamFeatures, StreamHeader},
};
use stanchion_transport::{
    BoxTransport, Dial, Endpoint, StreamFault, TcpDial, TlsConnector, TlsMode, TlsPolicy,
    XmppStream,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const DOMAIN: &str = "hub.example";

/// Nothing here takes longer, unless the machine is very busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A hub that runs in this process.
pub struct Running {
    pub addresses: Addresses,
    pub fingerprint: Fingerprint,
    pub certificate_pem: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), HubError>>,
}

impl Running {
    /// With accounts `a`, `b` and `c`, whose passwords are `secret`, unless others are given.
    pub async fn start(mut config: HubConfig) -> Self {
        config.domain = DOMAIN.into();
        let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.starttls = any;
        config.direct_tls = any;
        if config.accounts.names().next().is_none() {
            let users = ["a", "b", "c"].map(|name| (name, "secret"));
            config.accounts = Accounts::open_demo(users).unwrap();
        }
        let hub = Hub::bind(config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            addresses: hub.addresses(),
            fingerprint: hub.fingerprint(),
            certificate_pem: hub.certificate_pem().to_owned(),
            stop: Some(stop),
            task: tokio::spawn(hub.run(async { drop(stopped.await) })),
        }
    }

    pub async fn stop(mut self) {
        drop(self.stop.take());
        patient(self.task).await.unwrap().unwrap();
    }

    /// As a crash would.
    pub async fn kill(self) {
        self.task.abort();
        let ended = patient(self.task).await;
        assert!(ended.unwrap_err().is_cancelled());
    }
}

/// What a client has to know of a hub.
pub trait Reachable {
    fn addresses(&self) -> Addresses;
    fn fingerprint(&self) -> Fingerprint;
}

impl Reachable for Running {
    fn addresses(&self) -> Addresses {
        self.addresses
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl Reachable for (Addresses, Fingerprint) {
    fn addresses(&self) -> Addresses {
        self.0
    }

    fn fingerprint(&self) -> Fingerprint {
        self.1
    }
}

pub async fn patient<F: Future>(future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("nothing happened for {PATIENCE:?}"),
    }
}

/// A client at any stage.
pub struct Client {
    stream: XmppStream,
    pub features: StreamFeatures,
}

/// Why a login failed.
#[derive(Debug)]
pub enum Refused {
    Sasl(Failure),
    Stream(StreamError),
}

impl Client {
    fn dial(hub: &impl Reachable) -> TcpDial {
        TcpDial::new(TlsConnector::new(&TlsPolicy::pinned(hub.fingerprint())).unwrap())
    }

    /// Connected, nothing sent, no TLS.
    pub async fn raw(hub: &impl Reachable) -> XmppStream {
        let endpoint = Endpoint::at(hub.addresses().starttls.unwrap(), TlsMode::StartTls);
        let pipe = patient(Self::dial(hub).dial(&endpoint, DOMAIN))
            .await
            .unwrap();
        XmppStream::new(pipe, Limits::default())
    }

    /// Inside TLS, before SASL.
    pub async fn connect(hub: &impl Reachable, mode: TlsMode) -> Self {
        let dial = Self::dial(hub);
        let pipe: BoxTransport = if mode == TlsMode::Direct {
            let endpoint = Endpoint::at(hub.addresses().direct_tls.unwrap(), mode);
            patient(dial.dial(&endpoint, DOMAIN)).await.unwrap()
        } else {
            let mut stream = Self::raw(hub).await;
            let features = open(&mut stream).await;
            assert!(features.starttls.is_some());
            assert!(
                features.mechanisms.is_empty(),
                "nothing is offered before TLS"
            );
            stream.send(&StartTls.to_element()).unwrap();
            let answer = element(&mut stream).await;
            assert!(Proceed::matches(&answer), "{answer:?}");
            let pipe = stream.into_transport().unwrap();
            patient(dial.upgrade(pipe, DOMAIN)).await.unwrap()
        };
        let mut stream = XmppStream::new(pipe, Limits::default());
        let features = open(&mut stream).await;
        Self { stream, features }
    }

    /// Authenticates. The stream can be tried again after `Refused::Sasl`.
    pub async fn authenticate(&mut self, user: &str, password: &str) -> Result<(), Refused> {
        let bindings = self.stream.security().bindings.clone();
        let channel = Channel {
            security: ChannelSecurity::Tls {
                version: TlsVersion::Tls13,
                server_verified: true,
            },
            bindings: ChannelBindings {
                tls_exporter: bindings.tls_exporter,
                tls_server_end_point: bindings.tls_server_end_point,
                tls_unique: None,
            },
            ..Default::default()
        };
        let offer = Offer {
            mechanisms: self.features.mechanisms.iter().map(Text::as_str).collect(),
            bindings: self
                .features
                .channel_bindings
                .as_ref()
                .map(|list| list.iter().map(Text::as_str).collect()),
            ..Default::default()
        };
        let credentials = Credentials::password(user, password);
        let mut entropy = [0; 24];
        getrandom::fill(&mut entropy).unwrap();
        let nonce = Nonce::from_entropy(entropy);
        let policy = Policy::default();
        let mut auth = ClientAuth::select(&offer, &channel, &credentials, &policy, nonce).unwrap();
        assert!(auth.mechanism().ends_with("-PLUS"), "{}", auth.mechanism());
        let request = Auth {
            mechanism: Text::new(auth.mechanism()).unwrap(),
            initial: auth.initial_response().unwrap(),
        };
        self.stream.send(&request.to_element()).unwrap();
        loop {
            let answer = element(&mut self.stream).await;
            if Challenge::matches(&answer) {
                let data = Challenge::from_element(&answer).unwrap();
                let response = Response(auth.challenge(&data.0).unwrap());
                self.stream.send(&response.to_element()).unwrap();
            } else if Success::matches(&answer) {
                let data = Success::from_element(&answer).unwrap().0;
                assert!(auth.success(data.as_deref()).unwrap().server_proved);
                break;
            } else if Failure::matches(&answer) {
                return Err(Refused::Sasl(Failure::from_element(&answer).unwrap()));
            } else {
                let error = StreamError::from_element(&answer).unwrap();
                return Err(Refused::Stream(error));
            }
        }
        self.stream.reset();
        self.features = open(&mut self.stream).await;
        Ok(())
    }

    /// Logged in by STARTTLS, nothing bound.
    pub async fn authenticated(hub: &impl Reachable, user: &str) -> Self {
        let mut client = Self::connect(hub, TlsMode::StartTls).await;
        client.authenticate(user, "secret").await.unwrap();
        client
    }

    /// Bound; not available.
    pub async fn bound(hub: &impl Reachable, user: &str, resource: &str) -> Self {
        let mut client = Self::authenticated(hub, user).await;
        client.bind(resource).await;
        client
    }

    /// Bound and available.
    pub async fn available(hub: &impl Reachable, user: &str, resource: &str) -> Self {
        let mut client = Self::bound(hub, user, resource).await;
        client.announce().await;
        client
    }

    pub async fn bind(&mut self, resource: &str) -> String {
        let request = Bind::Request(Some(Text::new(resource).unwrap()));
        self.send(&Iq::set(None, Text::from_static("bind"), &request).to_element());
        let answer = self.element().await;
        assert_eq!(answer.attr("type"), Some("result"), "{answer:?}");
        let bound = answer.children().next().unwrap();
        match Bind::from_element(bound).unwrap() {
            Bind::Bound(jid) => jid.to_string(),
            other @ Bind::Request(_) => panic!("{other:?}"),
        }
    }

    /// Sends initial presence, and waits until it comes back.
    pub async fn announce(&mut self) {
        self.send(&Presence::available().to_element());
        let own = self.element().await;
        assert_eq!(own.name(), "presence", "{own:?}");
    }

    /// Enables stream management with resumption; the id.
    pub async fn enable(&mut self) -> Text {
        let enable = Enable {
            resume: true,
            max: None,
        };
        self.send(&enable.to_element());
        let enabled = Enabled::from_element(&self.element().await).unwrap();
        assert!(enabled.resume);
        enabled.id.unwrap()
    }

    pub async fn resume(&mut self, previd: Text, h: u32) -> Result<u32, Failed> {
        self.send(&Resume { previd, h }.to_element());
        let answer = self.element().await;
        if Resumed::matches(&answer) {
            Ok(Resumed::from_element(&answer).unwrap().0.h)
        } else {
            Err(Failed::from_element(&answer).unwrap())
        }
    }

    /// Asks how many stanzas the hub has handled. Nothing else may come before the answer.
    pub async fn handled(&mut self) -> u32 {
        self.send(&AckRequest.to_element());
        Ack::from_element(&self.element().await).unwrap().h
    }

    pub fn acknowledge(&mut self, h: u32) {
        self.send(&Ack { h }.to_element());
    }

    /// Queues; written with the next wait.
    pub fn send(&mut self, element: &Element) {
        self.stream.send(element).unwrap();
    }

    pub async fn flush(&mut self) {
        patient(self.stream.flush()).await.unwrap();
    }

    pub fn chat(&mut self, to: &str, id: &str, body: &str) {
        let message = Message::chat(to.parse().unwrap())
            .with_id(Text::new(id).unwrap())
            .with_body(Text::new(body).unwrap());
        self.send(&message.to_element());
    }

    /// Whatever comes next.
    pub async fn next(&mut self) -> Result<StreamEvent, StreamFault> {
        patient(self.stream.next()).await
    }

    /// The next element of any kind.
    pub async fn element(&mut self) -> Element {
        element(&mut self.stream).await
    }

    /// The next stanza; other elements are passed over.
    pub async fn stanza(&mut self) -> Stanza {
        loop {
            let element = self.element().await;
            if Stanza::is_stanza(&element) {
                return Stanza::from_element(element).unwrap();
            }
        }
    }

    /// The next message; all else is passed over.
    pub async fn message(&mut self) -> Message {
        loop {
            if let Stanza::Message(message) = self.stanza().await {
                return message;
            }
        }
    }

    /// The stream error that ends the stream.
    pub async fn stream_error(&mut self) -> StreamError {
        loop {
            let element = self.element().await;
            if StreamError::matches(&element) {
                let error = StreamError::from_element(&element).unwrap();
                let end = patient(self.stream.next()).await.unwrap();
                assert_eq!(end, StreamEvent::Close);
                return error;
            }
        }
    }

    /// Closes the stream in order, and waits for the hub to do so.
    pub async fn close(mut self) {
        patient(self.stream.close()).await.unwrap();
        loop {
            if let StreamEvent::Close = patient(self.stream.next()).await.unwrap() {
                return;
            }
        }
    }

    /// Breaks the connection.
    pub fn cut(self) {
        drop(self);
    }
}

/// Opens a stream, and takes the features.
pub async fn open(stream: &mut XmppStream) -> StreamFeatures {
    stream.open(&StreamHeader::initial(DOMAIN.parse().unwrap()));
    match patient(stream.next()).await.unwrap() {
        StreamEvent::Open(header) => {
            assert_eq!(header.from, Some(DOMAIN.parse().unwrap()));
            assert!(header.id.is_some());
        }
        other => panic!("{other:?}"),
    }
    StreamFeatures::from_element(&element(stream).await).unwrap()
}

pub async fn element(stream: &mut XmppStream) -> Element {
    match patient(stream.next()).await {
        Ok(StreamEvent::Element(element)) => element,
        other => panic!("expected an element, got {other:?}"),
    }
}
