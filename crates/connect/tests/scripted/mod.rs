//! A server of this process that follows a script: right until the step where the
//! script says otherwise. Speaks real TLS and real SASL.

#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use stanchion_connect::config::Timeouts;
use stanchion_connect::entropy::SeededEntropy;
use stanchion_connect::{
    Account, ConnectConfig, Connector, Endpoint, Endpoints, Phase, ResumeToken,
};
use stanchion_sasl::accounts::MemoryAccounts;
use stanchion_sasl::server::{ServerAuth, ServerChannel, ServerPolicy, Step};
use stanchion_sasl::{ChannelBindings, Nonce};
use stanchion_stanza::payload::{bind, sasl, sm, starttls};
use stanchion_stanza::stream::{Requirement, StreamCondition, StreamError};
use stanchion_stanza::{
    Element, Iq, Limits, Payload, StreamEvent, Text,
    stream::{StreamFeatures, StreamHeader},
};
use stanchion_transport::memory::MemoryListener;
use stanchion_transport::tls::{Identity, Roots};
use stanchion_transport::{
    BoxTransport, Host, MemoryDial, TlsAcceptor, TlsConnector, TlsMode, TlsPolicy, XmppStream,
};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

pub(crate) const DOMAIN: &str = "example.org";

/// What a server does otherwise than it should.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    /// Says nothing any more when this phase begins.
    pub(crate) hang: Option<Phase>,
    /// Instead of saying nothing, sends a space each second.
    pub(crate) trickle: bool,
    /// Answers the stream header with this error.
    pub(crate) error: Option<StreamError>,
    /// Closes the connection instead of answering `<resume/>`.
    pub(crate) drop_resume: bool,
    /// Binds an address of another account.
    pub(crate) as_another: bool,
    /// Sends this right behind `<proceed/>`, before the handshake.
    pub(crate) inject: Option<&'static [u8]>,
    /// Sends these bytes instead of features.
    pub(crate) garbage: Option<&'static [u8]>,
    /// Offers no TLS.
    pub(crate) no_tls: bool,
    /// The names in its certificate; empty for the domain.
    pub(crate) names: Vec<String>,
    /// Its certificate is over.
    pub(crate) expired: bool,
    /// Leaves when something comes behind a stream header, before its features.
    pub(crate) no_haste: bool,
    /// Says nothing any more when something comes so; only over direct TLS.
    pub(crate) hang_at_haste: bool,
    /// The domain that it serves, if not [`DOMAIN`].
    pub(crate) domain: Option<&'static str>,
    /// Writes these bytes as soon as somebody comes, and closes when that one leaves.
    pub(crate) greeting: Option<&'static [u8]>,
    /// Closes right behind `garbage`.
    pub(crate) leave: bool,
    /// Answers requests before a login with these, in turn, `ID` in place of the request's
    /// id, and then says nothing; in place of a login.
    pub(crate) in_band: Option<&'static [&'static str]>,
}

impl Script {
    /// A right server of another domain.
    pub(crate) fn of(domain: &'static str) -> Self {
        Self {
            domain: Some(domain),
            ..Self::default()
        }
    }

    fn domain(&self) -> &'static str {
        self.domain.unwrap_or(DOMAIN)
    }
}

/// Servers at addresses, and a connector that knows them.
pub(crate) struct World {
    pub(crate) dial: MemoryDial,
    pub(crate) roots: Vec<u8>,
    authority: CertifiedIssuer<'static, KeyPair>,
    pub(crate) accounts: Arc<MemoryAccounts>,
    pub(crate) endpoints: Vec<Endpoint>,
    /// Aborted with the world.
    servers: JoinSet<()>,
    visits: HashMap<u16, Arc<Visits>>,
}

/// What came to a port.
#[derive(Default)]
struct Visits {
    connections: AtomicUsize,
    /// Of these, those that began to log in.
    logins: AtomicUsize,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::certified_by("Authority of this world")
    }

    /// A world whose authority has this name.
    pub(crate) fn certified_by(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();
        let roots = authority.pem().into_bytes();
        let mut accounts = MemoryAccounts::new();
        accounts
            .set("juliet", &"r0m30".into(), 4096, [1; 16])
            .unwrap();
        Self {
            dial: MemoryDial::new(connector(&roots), 64 * 1024),
            roots,
            authority,
            accounts: Arc::new(accounts),
            endpoints: Vec::new(),
            servers: JoinSet::new(),
            visits: HashMap::new(),
        }
    }

    /// One server at port 5222, STARTTLS.
    pub(crate) fn with(script: Script) -> Self {
        let mut world = Self::new();
        world.add(5222, TlsMode::StartTls, script);
        world
    }

    /// A server more, known to the connector after the ones before.
    pub(crate) fn add(&mut self, port: u16, mode: TlsMode, script: Script) {
        self.hide(port, mode, script);
        self.endpoints.push(endpoint(port, mode));
    }

    /// A server more, which the connector does not know.
    pub(crate) fn hide(&mut self, port: u16, mode: TlsMode, script: Script) {
        let listener = self.dial.listen(Host::Ip([127, 0, 0, 1].into()), port);
        let visits = Arc::clone(self.visits.entry(port).or_default());
        let acceptor = TlsAcceptor::new(self.identity(&script)).unwrap();
        let server = Server {
            script,
            mode,
            acceptor,
            accounts: Arc::clone(&self.accounts),
            visits,
        };
        self.servers.spawn(listen(server, listener));
    }

    /// How many connections came to a port.
    pub(crate) fn visits(&self, port: u16) -> usize {
        self.visits[&port].connections.load(Ordering::SeqCst)
    }

    /// How many of them began to log in.
    pub(crate) fn logins(&self, port: u16) -> usize {
        self.visits[&port].logins.load(Ordering::SeqCst)
    }

    fn identity(&self, script: &Script) -> Identity {
        let names = match &script.names[..] {
            [] => vec![script.domain().to_owned()],
            names => names.to_vec(),
        };
        let mut params = CertificateParams::new(names).unwrap();
        if script.expired {
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        self.issue(&params)
    }

    /// A certificate of this world's authority, with its key.
    pub(crate) fn issue(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        let pem = certificate.pem();
        Identity::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }

    pub(crate) fn config(&self) -> ConnectConfig {
        ConnectConfig {
            endpoints: Endpoints::Explicit(self.endpoints.clone()),
            timeouts: timeouts(),
            ..ConnectConfig::default()
        }
    }

    pub(crate) fn connector(&self) -> Connector {
        self.connector_with("r0m30", self.config())
    }

    pub(crate) fn connector_with(&self, password: &str, config: ConnectConfig) -> Connector {
        let jid = format!("juliet@{DOMAIN}").parse().unwrap();
        let account = Account::with_password(jid, password);
        Connector::with_dial(account, config, Arc::new(self.dial.clone()))
            .unwrap()
            .with_entropy(Arc::new(SeededEntropy::new(1)))
    }
}

/// A different time for each phase, so that the one that ran can be told.
pub(crate) fn timeouts() -> Timeouts {
    Timeouts {
        resolve: Duration::from_secs(2),
        tcp: Duration::from_secs(3),
        tls: Duration::from_secs(4),
        stream: Duration::from_secs(5),
        sasl: Duration::from_secs(6),
        resume: Duration::from_secs(7),
        bind: Duration::from_secs(8),
        total: Duration::from_secs(60),
    }
}

pub(crate) fn token(location: Option<&'static str>) -> ResumeToken {
    ResumeToken {
        jid: format!("juliet@{DOMAIN}/old").parse().unwrap(),
        id: Text::from_static("session"),
        h: 2,
        max_seconds: None,
        location: location.map(Text::from_static),
    }
}

pub(crate) fn hanging(phase: Phase) -> Script {
    Script {
        hang: Some(phase),
        ..Script::default()
    }
}

pub(crate) fn endpoint(port: u16, mode: TlsMode) -> Endpoint {
    Endpoint::at(([127, 0, 0, 1], port).into(), mode)
}

pub(crate) fn connector(roots: &[u8]) -> TlsConnector {
    TlsConnector::new(&TlsPolicy {
        roots: vec![Roots::Pem(roots.to_vec())],
        ..TlsPolicy::default()
    })
    .unwrap()
}

struct Server {
    script: Script,
    mode: TlsMode,
    acceptor: TlsAcceptor,
    accounts: Arc<MemoryAccounts>,
    visits: Arc<Visits>,
}

async fn listen(server: Server, mut listener: MemoryListener) {
    while let Some(pipe) = listener.accept().await {
        server.visits.connections.fetch_add(1, Ordering::SeqCst);
        // One after the other is enough; a client that leaves ends it.
        server.serve(pipe).await;
    }
}

impl Server {
    /// `None` when the client has left.
    async fn serve(&self, mut pipe: BoxTransport) -> Option<()> {
        if let Some(bytes) = self.script.greeting {
            pipe.write_all(bytes).await.ok()?;
            tokio::io::copy(&mut pipe, &mut tokio::io::sink())
                .await
                .ok()?;
            return None;
        }
        if self.mode == TlsMode::Direct {
            self.reach(Phase::Tls, None).await;
            pipe = self.acceptor.upgrade(pipe).await.ok()?;
        }
        let mut stream = XmppStream::new(pipe, Limits::default());
        if stream.security().tls.is_none() && !self.script.no_tls {
            self.open(&mut stream, &Self::starttls()).await?;
            let asked = element(&mut stream).await?;
            assert!(starttls::StartTls::matches(&asked));
            self.reach(Phase::StartTls, Some(&mut stream)).await;
            stream.send(&starttls::Proceed.to_element()).ok()?;
            if let Some(bytes) = self.script.inject {
                stream.send_bytes(bytes);
            }
            stream.flush().await.ok()?;
            let pipe = stream.into_transport().ok()?;
            self.reach(Phase::Tls, None).await;
            let pipe = self.acceptor.upgrade(pipe).await.ok()?;
            stream = XmppStream::new(pipe, Limits::default());
        }
        let (mut auth, offer) = authentication(&stream, self.accounts.clone());
        self.open(&mut stream, &offer).await?;
        if let Some(answers) = self.script.in_band {
            return in_band(&mut stream, answers).await;
        }
        self.log_in(&mut stream, &mut auth).await?;
        stream.reset();
        let after = StreamFeatures {
            bind: true,
            stream_management: true,
            ..StreamFeatures::default()
        };
        self.open(&mut stream, &after).await?;
        self.session(&mut stream).await
    }

    fn starttls() -> StreamFeatures {
        StreamFeatures {
            starttls: Some(Requirement::Required),
            ..StreamFeatures::default()
        }
    }

    async fn open(&self, stream: &mut XmppStream, features: &StreamFeatures) -> Option<()> {
        let StreamEvent::Open(_) = stream.next().await.ok()? else {
            panic!("no stream header");
        };
        self.reach(Phase::Stream, Some(stream)).await;
        if (self.script.no_haste || self.script.hang_at_haste)
            && let Some(StreamEvent::Element(_)) = stream.try_next().ok()?
        {
            if self.script.no_haste {
                return None;
            }
            if stream.security().tls.is_some() {
                while stream.next().await.is_ok() {}
                return None;
            }
            panic!("only TLS is asked for in the clear");
        }
        let domain = self.script.domain().parse().unwrap();
        stream.open(&StreamHeader::response(domain, Text::from_static("s")));
        if let Some(error) = &self.script.error {
            stream.send(&error.to_element()).ok()?;
            return stream.close().await.ok();
        }
        match self.script.garbage {
            Some(bytes) => stream.send_bytes(bytes),
            None => stream.send(&features.to_element()).ok()?,
        }
        stream.flush().await.ok()?;
        (!self.script.leave).then_some(())
    }

    async fn log_in(&self, stream: &mut XmppStream, auth: &mut ServerAuth) -> Option<()> {
        let asked = element(stream).await?;
        self.visits.logins.fetch_add(1, Ordering::SeqCst);
        self.reach(Phase::Authentication, Some(stream)).await;
        let proof = exchange(stream, auth, &asked).await?;
        stream.send(&sasl::Success(proof).to_element()).ok()
    }

    async fn session(&self, stream: &mut XmppStream) -> Option<()> {
        loop {
            let asked = element(stream).await?;
            if let Ok(resume) = sm::Resume::from_element(&asked)
                && sm::Resume::matches(&asked)
            {
                self.reach(Phase::Resumption, Some(stream)).await;
                if self.script.drop_resume {
                    return None;
                }
                let resumed = sm::Resumed(sm::Resume { h: 3, ..resume });
                stream.send(&resumed.to_element()).ok()?;
            } else if sm::Enable::matches(&asked) {
                self.reach(Phase::StreamManagement, Some(stream)).await;
                let enabled = sm::Enabled {
                    id: Some(Text::from_static("session")),
                    resume: true,
                    max: Some(300),
                    location: None,
                };
                stream.send(&enabled.to_element()).ok()?;
            } else {
                self.reach(Phase::Binding, Some(stream)).await;
                let request = Iq::from_element(asked).unwrap();
                let domain = self.script.domain();
                let who = if self.script.as_another {
                    "capulet"
                } else {
                    "juliet"
                };
                let jid = format!("{who}@{domain}/given").parse().unwrap();
                let bound = bind::Bind::Bound(jid).to_element();
                let answer = request.result(Some(bound));
                stream.send(&answer.to_element()).ok()?;
            }
            stream.flush().await.ok()?;
        }
    }

    /// Comes to a phase, where the script may say to stay.
    async fn reach(&self, phase: Phase, stream: Option<&mut XmppStream>) {
        if self.script.hang != Some(phase) {
            return;
        }
        match stream {
            Some(stream) if self.script.trickle => loop {
                stream.send_bytes(b" ");
                if stream.flush().await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            },
            Some(stream) => while stream.next().await.is_ok() {},
            None => pending().await,
        }
    }
}

async fn in_band(stream: &mut XmppStream, answers: &[&str]) -> Option<()> {
    assert!(stream.security().tls.is_some());
    for answer in answers {
        let asked = element(stream).await?;
        let answer = answer.replace("ID", asked.attr("id").unwrap());
        stream.send_bytes(answer.as_bytes());
        stream.flush().await.ok()?;
    }
    while stream.next().await.is_ok() {}
    None
}

/// The server's side of SASL on a stream, and the features that say so.
pub(crate) fn authentication(
    stream: &XmppStream,
    accounts: Arc<MemoryAccounts>,
) -> (ServerAuth, StreamFeatures) {
    let bindings = ChannelBindings {
        tls_exporter: stream.security().bindings.tls_exporter,
        ..ChannelBindings::default()
    };
    let channel = ServerChannel {
        encrypted: true,
        bindings,
        ..ServerChannel::default()
    };
    let policy = Arc::new(ServerPolicy::new([9; 32]));
    let auth = ServerAuth::new(policy, channel, accounts);
    let text = |s: &&'static str| Text::from_static(s);
    let offer = StreamFeatures {
        mechanisms: auth.advertised().iter().map(text).collect(),
        channel_bindings: auth
            .advertised_bindings()
            .map(|b| b.iter().map(text).collect()),
        ..StreamFeatures::default()
    };
    (auth, offer)
}

/// A login up to its success, which is left to the caller to tell: gives the data
/// for it. `None` when the client has left.
pub(crate) async fn exchange(
    stream: &mut XmppStream,
    auth: &mut ServerAuth,
    asked: &Element,
) -> Option<Option<Vec<u8>>> {
    let asked = sasl::Auth::from_element(asked).ok()?;
    let nonce = Nonce::from_entropy([3; 24]);
    let mut step = auth.start(&asked.mechanism, asked.initial.as_deref(), nonce);
    loop {
        match step {
            Step::Challenge(data) => {
                stream.send(&sasl::Challenge(data).to_element()).ok()?;
                let answer = element(stream).await?;
                step = auth.respond(&sasl::Response::from_element(&answer).ok()?.0);
            }
            Step::Success(accepted) => return Some(accepted.additional_data),
            Step::Failure(refusal) => {
                let failure = sasl::Failure {
                    condition: Text::from_static(refusal.condition.as_str()),
                    text: None,
                };
                stream.send(&failure.to_element()).ok()?;
                stream.flush().await.ok()?;
                element(stream).await?;
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn element(stream: &mut XmppStream) -> Option<Element> {
    match stream.next().await.ok()? {
        StreamEvent::Element(e) => Some(e),
        _ => None,
    }
}

/// A stream error as a script has it.
pub(crate) fn stream_error(condition: StreamCondition, value: Option<&'static str>) -> StreamError {
    let mut error = StreamError::new(condition);
    error.value = value.map(Text::from_static);
    error
}
