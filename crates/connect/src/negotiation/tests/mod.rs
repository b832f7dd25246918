//! Transcripts: what servers say, right and wrong, against the negotiation alone.

use stanchion_sasl::accounts::MemoryAccounts;
use stanchion_sasl::policy::{ChannelSecurity, TlsVersion};
use stanchion_sasl::scram::keys::ScramKeys;
use stanchion_sasl::server::{ServerChannel, ServerPolicy, Step as ServerStep};
use stanchion_sasl::{
    AuthError, ChannelBindings, Credentials, Policy, SaslCondition, SelectError, ServerAuth,
};
use stanchion_stanza::payload::sasl;
use stanchion_stanza::{Limits, Scope, Text, codec::parse_element};
use std::sync::{Arc, LazyLock};

use super::*;
use crate::error::Kind;

mod arbitrary;
mod rfc6120;
mod session;

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
const AFTER: &str = "<stream:features><sm xmlns='urn:xmpp:sm:2'><optional/></sm>\
    <sm xmlns='urn:xmpp:sm:3'><optional/></sm>\
    <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><required/></bind>\
    <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>\
    <ver xmlns='urn:xmpp:features:rosterver'/></stream:features>";
const BOUND: &str = "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
    <jid>juliet@example.org/Xy9</jid></bind></iq>";
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
        let channel = ServerChannel {
            encrypted: true,
            bindings: protected().bindings,
            ..ServerChannel::default()
        };
        let mut policy = ServerPolicy::new([9; 32]);
        policy.send_offer_hash = vouching;
        let mut server = ServerAuth::new(Arc::new(policy), channel, accounts);
        let auth = sasl::Auth::from_element(self.last()).unwrap();
        let nonce = stanchion_sasl::Nonce::from_entropy([3; 24]);
        let mut step = server.start(&auth.mechanism, auth.initial.as_deref(), nonce);
        while self.end.is_none() {
            let said = self.said.len();
            match step {
                ServerStep::Challenge(data) => {
                    let challenge = sasl::Challenge(data).to_element();
                    self.feed(Input::Event(StreamEvent::Element(challenge)));
                    if let Some(derivation) = self.derivation.take() {
                        self.feed(Input::Derived(derivation.run()));
                    }
                    if self.said.len() == said {
                        return;
                    }
                    let response = sasl::Response::from_element(self.last()).unwrap();
                    step = server.respond(&response.0);
                }
                ServerStep::Success(accepted) => {
                    let success = sasl::Success(accepted.additional_data).to_element();
                    self.feed(Input::Event(StreamEvent::Element(success)));
                    return;
                }
                ServerStep::Failure(refusal) => {
                    let failure = sasl::Failure {
                        condition: Text::from_static(refusal.condition.as_str()),
                        text: None,
                    };
                    let failure = failure.to_element();
                    self.feed(Input::Event(StreamEvent::Element(failure)));
                    return;
                }
                other => panic!("{other:?}"),
            }
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
