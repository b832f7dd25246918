//! Servers that follow a script, on real sockets of the loopback interface: what each
//! says and does, step by step, as data. The certificates and the accounts are the
//! scripted world's.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use stanchion_sasl::server::ServerAuth;
use stanchion_stanza::payload::sasl;
use stanchion_stanza::{Limits, Payload as _, StreamEvent};
use stanchion_transport::tcp::{TcpOptions, accepted};
use stanchion_transport::tls::Identity;
use stanchion_transport::{BoxTransport, StreamFault, TlsAcceptor, TlsMode, XmppStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::scripted::{self, DOMAIN, World};

/// Where a server is, and how its socket behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// 127.0.0.1, and follows the script.
    Listening,
    /// ::1 alone, and follows the script.
    V6,
    /// Nothing listens.
    Closed,
    /// Takes no connection and refuses none: its backlog is full.
    BlackHole,
    /// Accepts, and resets the connection once something came.
    Resetting,
    /// An address that no route leads to.
    NoRoute,
}

/// A server of a case.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) place: Place,
    pub(crate) mode: TlsMode,
    /// Reached by a WebSocket.
    pub(crate) web: bool,
    /// Whether the client knows it from the beginning.
    pub(crate) listed: bool,
    pub(crate) script: Vec<Step>,
    /// What it follows from the second connection on; none: the same.
    pub(crate) later: Option<Vec<Step>>,
}

/// A server that the client knows, reached by STARTTLS.
pub(crate) fn server(script: impl Into<Vec<Step>>) -> Server {
    Server {
        place: Place::Listening,
        mode: TlsMode::StartTls,
        web: false,
        listed: true,
        script: script.into(),
        later: None,
    }
}

/// A server without script.
pub(crate) fn nowhere(place: Place) -> Server {
    Server {
        place,
        ..server([])
    }
}

impl Server {
    pub(crate) fn direct(self) -> Self {
        Self {
            mode: TlsMode::Direct,
            ..self
        }
    }

    pub(crate) fn web(self) -> Self {
        Self {
            web: true,
            ..self.without_tls()
        }
    }

    pub(crate) fn without_tls(self) -> Self {
        Self {
            mode: TlsMode::None,
            ..self
        }
    }

    pub(crate) fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// From the second connection on it follows this.
    pub(crate) fn later(self, script: Vec<Step>) -> Self {
        Self {
            later: Some(script),
            ..self
        }
    }

    pub(crate) fn unlisted(self) -> Self {
        Self {
            listed: false,
            ..self
        }
    }
}

/// What a server does next. In what it says, `127.0.0.1:PORT2` is the second server's
/// address. After the last step it closes its side and waits until the client has left.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Waits for bytes, whatever they are.
    Hear,
    /// Says bytes, before there is a stream.
    Tell(&'static [u8]),
    /// The server's TLS handshake.
    Tls(Certificate),
    /// Waits for the client's stream header.
    Header,
    /// Says this inside the stream.
    Say(&'static str),
    /// Says this so many times.
    Flood(&'static str, usize),
    /// Waits for an element.
    Element,
    /// Waits for an iq and answers it; `ID` stands for its id.
    Answer(&'static str),
    /// Offers SCRAM, and keeps to it up to the success.
    LogIn(Proof),
    /// Asks a SCRAM client for this many rounds.
    Rounds(u32),
    /// Says nothing any more.
    Hang,
    /// Says a space ten times a second.
    Trickle,
}

/// What stands in `<success/>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Right,
    Wrong,
    Missing,
}

/// A server's certificate.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Certificate {
    Good,
    /// Of the trusted authority, for other names.
    Names(&'static [&'static str]),
    /// It ended in 2020.
    Expired,
    /// It begins in 2100.
    Future,
    /// It vouches for itself, for these names.
    SelfSigned(&'static [&'static str]),
    /// For these names, of an authority that the client does not know.
    Stranger(&'static [&'static str]),
}

pub(crate) const OPEN: Step = Step::Say(
    "<?xml version='1.0'?><stream:stream from='example.org' id='s1' version='1.0' \
     xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
);
pub(crate) const STARTTLS: Step = Step::Say(
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/>\
     </starttls></stream:features>",
);
pub(crate) const PROCEED: Step = Step::Say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
pub(crate) const SCRAM: Step = Step::Say(
    "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
     <mechanism>SCRAM-SHA-256</mechanism></mechanisms></stream:features>",
);
pub(crate) const SESSION: Step = Step::Say(
    "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>\
     <sm xmlns='urn:xmpp:sm:3'/></stream:features>",
);
pub(crate) const BOUND: Step = Step::Answer(
    "<iq type='result' id='ID'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
     <jid>juliet@example.org/given</jid></bind></iq>",
);
pub(crate) const ENABLED: Step =
    Step::Say("<enabled xmlns='urn:xmpp:sm:3' id='session' resume='true' max='300'/>");

/// Steps, and then others.
pub(crate) fn then(mut first: Vec<Step>, rest: &[Step]) -> Vec<Step> {
    first.extend_from_slice(rest);
    first
}

/// As far as `<proceed/>`.
pub(crate) fn proceeding() -> Vec<Step> {
    vec![Step::Header, OPEN, STARTTLS, Step::Element, PROCEED]
}

/// As far as the stream over TLS.
pub(crate) fn secured() -> Vec<Step> {
    let tls = [Step::Tls(Certificate::Good), Step::Header, OPEN];
    then(proceeding(), &tls)
}

/// As far as the stream after the login.
pub(crate) fn logged_in() -> Vec<Step> {
    let login = [Step::LogIn(Proof::Right), Step::Header, OPEN];
    then(secured(), &login)
}

/// As far as a session.
pub(crate) fn good() -> Vec<Step> {
    then(
        logged_in(),
        &[SESSION, BOUND, Step::Element, ENABLED, Step::Hang],
    )
}

/// The same, where TLS begins at once.
pub(crate) fn good_direct() -> Vec<Step> {
    let mut steps = good();
    steps.drain(..5);
    steps
}

/// The servers of a case, running until dropped.
pub(crate) struct Running {
    pub(crate) world: World,
    pub(crate) addresses: Vec<SocketAddr>,
    visits: Vec<Arc<AtomicUsize>>,
    tasks: JoinSet<()>,
    /// Sockets that have to stay open, or to be waited for.
    held: Vec<TcpStream>,
    full: Vec<TcpListener>,
}

impl Running {
    pub(crate) async fn start(servers: &[Server]) -> Self {
        let mut running = Self {
            world: World::new(),
            addresses: Vec::new(),
            visits: Vec::new(),
            tasks: JoinSet::new(),
            held: Vec::new(),
            full: Vec::new(),
        };
        let mut listeners = Vec::new();
        for server in servers {
            listeners.push(running.place(server.place).await);
        }
        for (server, listener) in servers.iter().zip(listeners) {
            let visits = Arc::new(AtomicUsize::new(0));
            running.visits.push(Arc::clone(&visits));
            if let Some(listener) = listener {
                let line = Play::new(&running, server);
                running.tasks.spawn(serve(line, listener, visits));
            }
        }
        running
    }

    async fn place(&mut self, place: Place) -> Option<TcpListener> {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (address, listener) = match place {
            Place::Listening | Place::Resetting => {
                let listener = TcpListener::bind(v4).await.unwrap();
                (listener.local_addr().unwrap(), Some(listener))
            }
            Place::V6 => {
                let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
                (listener.local_addr().unwrap(), Some(listener))
            }
            Place::Closed => {
                // Bound, so that nobody else gets the port, and not listening.
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(v4).unwrap();
                let address = socket.local_addr().unwrap();
                self.tasks.spawn(async move {
                    let _bound = socket;
                    std::future::pending().await
                });
                (address, None)
            }
            Place::BlackHole => (self.black_hole().await, None),
            Place::NoRoute => (SocketAddr::from(([127, 255, 255, 255], 5222)), None),
        };
        self.addresses.push(address);
        listener
    }

    /// Fills a listener's backlog until it takes no more.
    async fn black_hole(&mut self) -> SocketAddr {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Duration::from_millis(300);
        while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
            self.held.push(stream.unwrap());
        }
        self.full.push(listener);
        address
    }

    /// How many connections came to each server.
    pub(crate) fn visits(&self) -> Vec<usize> {
        let count = |v: &Arc<AtomicUsize>| v.load(Ordering::SeqCst);
        self.visits.iter().map(count).collect()
    }

    /// The ports, and how they are written in scripts and texts.
    pub(crate) fn labels(&self) -> Vec<(String, String)> {
        let label = |(n, address): (usize, &SocketAddr)| {
            (format!(":{}", address.port()), format!(":PORT{}", n + 1))
        };
        self.addresses.iter().enumerate().map(label).collect()
    }
}

async fn serve(play: Play, listener: TcpListener, visits: Arc<AtomicUsize>) {
    let play = Arc::new(play);
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let earlier = visits.fetch_add(1, Ordering::SeqCst);
        if play.place == Place::Resetting {
            // What is unread when a socket closes makes it a reset (RFC 1122 §4.2.2.13).
            let _ = stream.peek(&mut [0; 1]).await;
            drop(stream);
            continue;
        }
        let play = Arc::clone(&play);
        connections.spawn(async move {
            let script = match &play.later {
                Some(later) if earlier > 0 => later,
                _ => &play.script,
            };
            let pipe = accepted(stream, TcpOptions::default()).unwrap();
            play.run(script, pipe).await;
        });
    }
}

/// A script with all it needs.
struct Play {
    place: Place,
    script: Vec<Step>,
    later: Option<Vec<Step>>,
    labels: Vec<(String, String)>,
    acceptor: Option<TlsAcceptor>,
    accounts: Arc<stanchion_sasl::accounts::MemoryAccounts>,
}

/// A connection, before there is a stream on it and after.
enum Line {
    Raw(BoxTransport),
    Stream(Box<XmppStream>),
}

impl Line {
    fn stream(self) -> Box<XmppStream> {
        match self {
            Self::Raw(pipe) => Box::new(XmppStream::new(pipe, Limits::default())),
            Self::Stream(stream) => stream,
        }
    }
}

impl Play {
    fn new(running: &Running, server: &Server) -> Self {
        let certificate = server.script.iter().find_map(|step| match step {
            Step::Tls(certificate) => Some(*certificate),
            _ => None,
        });
        let acceptor = certificate.map(|c| TlsAcceptor::new(identity(&running.world, c)).unwrap());
        Self {
            place: server.place,
            script: server.script.clone(),
            later: server.later.clone(),
            labels: running.labels(),
            acceptor,
            accounts: Arc::clone(&running.world.accounts),
        }
    }

    /// Follows the script; `None` when the client has left early.
    async fn run(&self, script: &[Step], pipe: BoxTransport) -> Option<()> {
        let mut line = Line::Raw(pipe);
        for step in script {
            line = self.step(line, *step).await?;
        }
        // No closing tag is sent by this: the script has said all.
        let mut pipe = match line {
            Line::Raw(pipe) => pipe,
            Line::Stream(mut stream) => {
                stream.flush().await.ok()?;
                stream.into_transport().ok()?
            }
        };
        pipe.shutdown().await.ok()?;
        while pipe.read(&mut [0; 1024]).await.ok()? > 0 {}
        Some(())
    }

    async fn step(&self, line: Line, step: Step) -> Option<Line> {
        let mut stream = match (step, line) {
            (Step::Hear, Line::Raw(mut pipe)) => {
                let n = pipe.read(&mut [0; 4096]).await.ok()?;
                return (n > 0).then_some(Line::Raw(pipe));
            }
            (Step::Tell(bytes), Line::Raw(mut pipe)) => {
                pipe.write_all(bytes).await.ok()?;
                pipe.flush().await.ok()?;
                return Some(Line::Raw(pipe));
            }
            (Step::Tls(_), line) => {
                let pipe = match line {
                    Line::Raw(pipe) => pipe,
                    Line::Stream(stream) => stream.into_transport().ok()?,
                };
                let acceptor = self.acceptor.as_ref().unwrap();
                return acceptor.upgrade(pipe).await.ok().map(Line::Raw);
            }
            (Step::Hang, Line::Raw(mut pipe)) => {
                while pipe.read(&mut [0; 1024]).await.ok()? > 0 {}
                return None;
            }
            (_, line) => line.stream(),
        };
        match step {
            Step::Header => match stream.next().await.ok()? {
                StreamEvent::Open(_) => {}
                other => panic!("no stream header: {other:?}"),
            },
            Step::Say(text) => stream.send_bytes(self.filled_in(text).as_bytes()),
            Step::Flood(text, times) => {
                for _ in 0..times {
                    stream.send_bytes(text.as_bytes());
                    stream.flush().await.ok()?;
                }
            }
            Step::Element => drop(scripted::element(&mut stream).await?),
            Step::Answer(text) => {
                let asked = scripted::element(&mut stream).await?;
                let text = text.replace("ID", asked.attr("id").unwrap());
                stream.send_bytes(text.as_bytes());
            }
            Step::LogIn(proof) => self.log_in(&mut stream, proof).await?,
            Step::Rounds(rounds) => {
                let asked = scripted::element(&mut stream).await?;
                let asked = sasl::Auth::from_element(&asked).ok()?;
                let first = String::from_utf8(asked.initial?).unwrap();
                let (_, nonce) = first.split_once("r=").unwrap();
                let nonce = nonce.split(',').next().unwrap();
                let challenge =
                    format!("r={nonce}3rfcNHYJY1ZV,s=W22ZaJ0SNY7soEsUEjb6gQ==,i={rounds}");
                let challenge = sasl::Challenge(challenge.into_bytes());
                stream.send(&challenge.to_element()).unwrap();
            }
            Step::Hang => {
                let fault = loop {
                    if let Err(fault) = stream.next().await {
                        break fault;
                    }
                };
                // A handshake, say, is no end.
                if let StreamFault::Decode(_) = fault {
                    std::future::pending::<()>().await;
                }
                return None;
            }
            Step::Trickle => loop {
                stream.send_bytes(b" ");
                stream.flush().await.ok()?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            },
            Step::Hear | Step::Tell(_) | Step::Tls(_) => panic!("{step:?} inside a stream"),
        }
        stream.flush().await.ok()?;
        Some(Line::Stream(stream))
    }

    async fn log_in(&self, stream: &mut XmppStream, proof: Proof) -> Option<()> {
        let (mut auth, offer): (ServerAuth, _) =
            scripted::authentication(stream, self.accounts.clone());
        // Its bytes stand inside a stream that the script has opened.
        let features = offer.to_element();
        stream.send(&features).unwrap();
        let asked = scripted::element(stream).await?;
        let mut data = scripted::exchange(stream, &mut auth, &asked).await?;
        match (proof, &mut data) {
            (Proof::Right, _) => {}
            (Proof::Missing, data) => *data = None,
            // `v=` and base64: one letter of the signature is another.
            (Proof::Wrong, data) => {
                let letter = &mut data.as_mut().unwrap()[4];
                *letter = if *letter == b'A' { b'B' } else { b'A' };
            }
        }
        stream.send(&sasl::Success(data).to_element()).unwrap();
        stream.flush().await.ok()?;
        stream.reset();
        Some(())
    }

    fn filled_in(&self, text: &str) -> String {
        let fill = |text: String, (port, label): &(String, String)| text.replace(label, port);
        self.labels.iter().fold(text.to_owned(), fill)
    }
}

fn identity(world: &World, certificate: Certificate) -> Identity {
    let params = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        CertificateParams::new(names).unwrap()
    };
    match certificate {
        Certificate::Good => world.issue(&params(&[DOMAIN])),
        Certificate::Names(names) => world.issue(&params(names)),
        Certificate::Expired => {
            let mut params = params(&[DOMAIN]);
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
            world.issue(&params)
        }
        Certificate::Future => {
            let mut params = params(&[DOMAIN]);
            params.not_before = date_time_ymd(2100, 1, 1);
            params.not_after = date_time_ymd(2101, 1, 1);
            world.issue(&params)
        }
        Certificate::SelfSigned(names) => {
            let mut params = params(names);
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, names[0]);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            Identity::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
        }
        Certificate::Stranger(names) => {
            World::certified_by("Authority of another").issue(&params(names))
        }
    }
}
