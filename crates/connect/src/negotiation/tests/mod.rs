//! Transcripts: what servers say, right and wrong, against the negotiation alone.

use stanchion_sasl::accounts::MemoryAccounts;
use stanchion_sasl::policy::{ChannelSecurity, SaslProfile, TlsVersion};
use stanchion_sasl::scram::keys::ScramKeys;
use stanchion_sasl::server::{ServerChannel, ServerPolicy, Step as ServerStep};
use stanchion_sasl::{
    AuthError, ChannelBindings, Credentials, Policy, SaslCondition, SelectError, ServerAuth,
};
use stanchion_stanza::payload::{bind2, fast, sasl, sasl2, sm};
use stanchion_stanza::{Limits, Scope, Text, codec::parse_element};
use std::sync::{Arc, LazyLock};

use super::*;
use crate::error::{Kind, Retry};

mod ahead;
mod arbitrary;
mod downgrade;
mod inline;
mod quirks;
mod rfc6120;
mod session;
mod tokens;

/// Shortened from what Prosody 0.12 and ejabberd 23.01 say.
const TLS: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>\
    <required/></starttls></stream:features>";
const PROSODY: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-256</mechanism>\
    <mechanism>SCRAM-SHA-256-PLUS</mechanism></mechanisms>\
    <sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>\
    </sasl-channel-binding></stream:features>";
const EJABBERD: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>EXTERNAL</mechanism><mechanism>PLAIN</mechanism>\
    <mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>SCRAM-SHA-256</mechanism>\
    </mechanisms></stream:features>";
/// As PROSODY with the community's modules.
const SASL2: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-256</mechanism>\
    <mechanism>SCRAM-SHA-256-PLUS</mechanism></mechanisms>\
    <authentication xmlns='urn:xmpp:sasl:2'><mechanism>PLAIN</mechanism>\
    <mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-256-PLUS</mechanism>\
    <inline><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/></inline></bind>\
    <sm xmlns='urn:xmpp:sm:3'/><fast xmlns='urn:xmpp:fast:0'>\
    <mechanism>HT-SHA-256-NONE</mechanism><mechanism>HT-SHA-256-EXPR</mechanism></fast>\
    </inline></authentication>\
    <sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>\
    </sasl-channel-binding></stream:features>";
const AFTER: &str = "<stream:features><sm xmlns='urn:xmpp:sm:2'><optional/></sm>\
    <sm xmlns='urn:xmpp:sm:3'><optional/></sm>\
    <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><required/></bind>\
    <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>\
    <ver xmlns='urn:xmpp:features:rosterver'/></stream:features>";
const BOUND: &str = "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
    <jid>juliet@example.org/Xy9</jid></bind></iq>";
/// Bound by Bind 2, and managed.
const BOUND_2: &str = "<bound xmlns='urn:xmpp:bind:0'>\
    <enabled xmlns='urn:xmpp:sm:3' resume='1' max='300' id='o8_5lK'/></bound>";
const FULL: &str = "juliet@example.org/Xy9";
const TOKEN: &str = "<token xmlns='urn:xmpp:fast:0' expiry='2030-03-12T14:36:15Z' \
    token='secret-token:1'/>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3' resume='1' max='300' id='o8_5lK'/>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

fn protected() -> Channel {
    Channel {
        security: ChannelSecurity::Tls {
            version: TlsVersion::Tls13,
            server_verified: true,
        },
        bindings: ChannelBindings {
            tls_exporter: Some([7; 32]),
            ..ChannelBindings::default()
        },
        ..Channel::default()
    }
}

fn setup(start: Start) -> Setup {
    Setup {
        account: "juliet@example.org".parse().unwrap(),
        resource: None,
        credentials: Credentials::password("juliet", "r0m30"),
        sasl: Policy::default(),
        keys: Vec::new(),
        start,
        resume: Resume::No,
        stream_management: true,
        agent: None,
        fast: false,
        memory: ServerMemory::default(),
        entropy: std::array::from_fn(|i| i as u8),
    }
}

fn accounts(password: &str, iterations: u32) -> Arc<MemoryAccounts> {
    let mut accounts = MemoryAccounts::new();
    accounts
        .set("juliet", &password.into(), iterations, [1; 16])
        .unwrap();
    Arc::new(accounts)
}

/// The right password, derived once for all tests.
static JULIET: LazyLock<Arc<MemoryAccounts>> = LazyLock::new(|| accounts("r0m30", 4096));

/// What the first login at [`JULIET`] derives.
static KEYS: LazyLock<ScramKeys> = LazyLock::new(|| {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(PROSODY);
    play.log_in_to(Arc::clone(&JULIET), false);
    play.header();
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear(ENABLED);
    play.established().keys.unwrap()
});

const STARTTLS: Start = Start::StartTls {
    or_plaintext: false,
};

fn token() -> ResumeToken {
    ResumeToken {
        jid: "juliet@example.org/old".parse().unwrap(),
        id: Text::from_static("prev"),
        h: 9,
        max_seconds: Some(300),
        location: None,
    }
}

fn element(xml: &str) -> Element {
    parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap()
}

/// The server's side of SASL, over a connection as [`protected`].
fn server(accounts: Arc<MemoryAccounts>, vouching: bool) -> ServerAuth {
    let channel = ServerChannel {
        encrypted: true,
        bindings: protected().bindings,
        ..ServerChannel::default()
    };
    let mut policy = ServerPolicy::new([9; 32]);
    policy.send_offer_hash = vouching;
    ServerAuth::new(Arc::new(policy), channel, accounts)
}

fn failure(condition: &'static str) -> Element {
    let condition = Text::from_static(condition);
    sasl::Failure {
        condition,
        text: None,
    }
    .to_element()
}

fn failure_2(condition: &'static str) -> Element {
    sasl2::Failure {
        condition: Text::from_static(condition),
        text: None,
        application: Vec::new(),
    }
    .to_element()
}

fn success_2(additional_data: Option<Vec<u8>>, who: &str, inline: &[&str]) -> Element {
    sasl2::Success {
        additional_data,
        authorization_identifier: who.parse().unwrap(),
        inline: inline.iter().map(|xml| element(xml)).collect(),
    }
    .to_element()
}

/// What either side says in HT-SHA-256-EXPR on a connection as [`protected`].
fn ht(secret: &str, label: &[u8]) -> Vec<u8> {
    use hmac::Mac as _;
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(label);
    mac.update(&protected().bindings.tls_exporter.unwrap());
    mac.finalize().into_bytes().to_vec()
}

fn stream_error(condition: &str) -> String {
    format!(
        "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    )
}

/// A negotiation with a notebook: what came out, in a short form.
struct Play {
    negotiation: Negotiation,
    reports: Vec<Report>,
    said: Vec<Element>,
    derivation: Option<Derivation>,
    derivations: usize,
    end: Option<Result<Established, ConnectError>>,
}

impl Play {
    fn begin(setup: Setup) -> Self {
        let mut play = Self {
            negotiation: Negotiation::new(setup),
            reports: Vec::new(),
            said: Vec::new(),
            derivation: None,
            derivations: 0,
            end: None,
        };
        play.drain();
        play
    }

    fn drain(&mut self) -> Vec<&'static str> {
        let mut names = Vec::new();
        while let Some(output) = self.negotiation.poll_output() {
            assert!(self.end.is_none(), "an output after the end: {output:?}");
            names.push(match output {
                Output::OpenStream(_) => "open",
                Output::Send(e) => {
                    self.said.push(e);
                    "send"
                }
                Output::StartTls => "starttls",
                Output::RestartStream => "restart",
                Output::Derive(derivation) => {
                    self.derivation = Some(derivation);
                    self.derivations += 1;
                    "derive"
                }
                Output::Report(report) => {
                    self.reports.push(report);
                    continue;
                }
                Output::Done(established) => {
                    self.end = Some(Ok(*established));
                    "done"
                }
                Output::Failed(error) => {
                    self.end = Some(Err(error));
                    "failed"
                }
            });
        }
        names
    }

    fn feed(&mut self, input: Input) -> Vec<&'static str> {
        self.negotiation.handle(input);
        self.drain()
    }

    fn hear(&mut self, xml: &str) -> Vec<&'static str> {
        self.feed(Input::Event(StreamEvent::Element(element(xml))))
    }

    fn header(&mut self) -> Vec<&'static str> {
        self.header_from("example.org")
    }

    fn header_from(&mut self, domain: &str) -> Vec<&'static str> {
        let id = Text::from_static("s1");
        let header = StreamHeader::response(domain.parse().unwrap(), id);
        self.feed(Input::Event(StreamEvent::Open(header)))
    }

    fn last(&self) -> &Element {
        self.said.last().unwrap()
    }

    fn error(self) -> ConnectError {
        self.end.unwrap().unwrap_err()
    }

    fn established(self) -> Established {
        self.end.unwrap().unwrap()
    }

    /// Answers the login as a server would that knows `password`.
    fn log_in(&mut self, password: &str, iterations: u32) {
        self.log_in_to(accounts(password, iterations), false);
    }

    /// The same; `vouching`, the server sends the hash of what it thinks it offered.
    fn log_in_to(&mut self, accounts: Arc<MemoryAccounts>, vouching: bool) {
        self.exchange(accounts, vouching, |data| sasl::Success(data).to_element());
    }

    /// Answers a login by SASL2, to be logged in as `who`, with `inline` beside it.
    fn log_in_2(&mut self, who: &str, inline: &[&str]) {
        self.exchange(Arc::clone(&JULIET), false, |data| {
            success_2(data, who, inline)
        });
    }

    /// Answers a login with a token, as a server that gave out `secret` would.
    fn log_in_by(&mut self, secret: &str, who: &str, inline: &[&str]) -> Vec<&'static str> {
        let auth = sasl2::Authenticate::from_element(self.last()).unwrap();
        assert_eq!(auth.mechanism, "HT-SHA-256-EXPR");
        let mut expected = b"juliet\0".to_vec();
        expected.extend(ht(secret, b"Initiator"));
        assert_eq!(auth.initial.unwrap(), expected);
        let success = success_2(Some(ht(secret, b"Responder")), who, inline);
        self.feed(Input::Event(StreamEvent::Element(success)))
    }

    fn exchange(
        &mut self,
        accounts: Arc<MemoryAccounts>,
        vouching: bool,
        success: impl Fn(Option<Vec<u8>>) -> Element,
    ) {
        let mut server = server(accounts, vouching);
        let is_sasl2 = sasl2::Authenticate::matches(self.last());
        let (mechanism, initial) = if is_sasl2 {
            let auth = sasl2::Authenticate::from_element(self.last()).unwrap();
            (auth.mechanism, auth.initial)
        } else {
            let auth = sasl::Auth::from_element(self.last()).unwrap();
            (auth.mechanism, auth.initial)
        };
        let nonce = stanchion_sasl::Nonce::from_entropy([3; 24]);
        let mut step = server.start(&mechanism, initial.as_deref(), nonce);
        while self.end.is_none() {
            let said = self.said.len();
            let (last, element) = match step {
                ServerStep::Challenge(data) if is_sasl2 => {
                    (false, sasl2::Challenge(data).to_element())
                }
                ServerStep::Challenge(data) => (false, sasl::Challenge(data).to_element()),
                ServerStep::Success(accepted) => (true, success(accepted.additional_data)),
                ServerStep::Failure(refusal) if is_sasl2 => {
                    (true, failure_2(refusal.condition.as_str()))
                }
                ServerStep::Failure(refusal) => (true, failure(refusal.condition.as_str())),
                other => panic!("{other:?}"),
            };
            self.feed(Input::Event(StreamEvent::Element(element)));
            if let Some(derivation) = self.derivation.take() {
                self.feed(Input::Derived(derivation.run()));
            }
            if last || self.said.len() == said {
                return;
            }
            let response = if is_sasl2 {
                sasl2::Response::from_element(self.last()).unwrap().0
            } else {
                sasl::Response::from_element(self.last()).unwrap().0
            };
            step = server.respond(&response);
        }
    }

    /// Up to the features after authentication.
    fn logged_in(mut setup: Setup) -> Self {
        setup.keys = vec![KEYS.clone()];
        let mut play = Self::begin(setup);
        play.header();
        play.hear(PROSODY);
        play.log_in_to(Arc::clone(&JULIET), false);
        play.header();
        play
    }
}

fn direct() -> Setup {
    setup(Start::Protected(protected()))
}

/// An account that says who asks, and may use tokens.
fn with_agent() -> Setup {
    let mut setup = direct();
    setup.agent = Some(sasl2::UserAgent {
        id: Some(Text::from_static("d4565fa7-4d72-4749-b3d3-740edbf87770")),
        software: Some(Text::from_static("Stanchion")),
        device: None,
    });
    setup.fast = true;
    setup.keys = vec![KEYS.clone()];
    setup
}

/// The end of a login by SASL2 that was begun, in the usual way.
fn finish_2(play: &mut Play, inline: &[&str]) {
    play.log_in_2(FULL, inline);
    play.hear(AFTER);
}

/// What a first login by SASL2 leaves behind; with a token.
static BY_SASL2: LazyLock<ServerMemory> = LazyLock::new(|| {
    let mut play = Play::begin(with_agent());
    play.header();
    play.hear(SASL2);
    finish_2(&mut play, &[BOUND_2, TOKEN]);
    play.established().memory
});

/// What a first login by RFC 6120 leaves behind.
static BY_RFC_6120: LazyLock<ServerMemory> = LazyLock::new(|| {
    let mut setup = setup(STARTTLS);
    setup.keys = vec![KEYS.clone()];
    let mut play = Play::begin(setup);
    play.header();
    play.hear(TLS);
    play.hear(PROCEED);
    play.feed(Input::TlsReady(protected()));
    play.header();
    play.hear(PROSODY);
    play.log_in_to(Arc::clone(&JULIET), false);
    play.header();
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear(ENABLED);
    play.established().memory
});
