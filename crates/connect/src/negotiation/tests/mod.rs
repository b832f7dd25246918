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

#[test]
fn a_whole_login_over_starttls_takes_the_steps_of_rfc_6120() {
    let mut play = Play::begin(setup(STARTTLS));
    assert_eq!(play.header(), [] as [&str; 0]);
    assert_eq!(play.hear(TLS), ["send"]);
    assert!(starttls::StartTls::matches(play.last()));
    assert_eq!(play.negotiation.phase(), Phase::StartTls);
    assert_eq!(play.hear(PROCEED), ["starttls"]);
    assert_eq!(play.feed(Input::TlsReady(protected())), ["open"]);
    play.header();
    assert_eq!(play.hear(PROSODY), ["send"]);
    assert_eq!(play.last().attr("mechanism"), Some("SCRAM-SHA-256-PLUS"));
    play.log_in("r0m30", 4096);
    assert_eq!(play.negotiation.phase(), Phase::Stream);
    play.header();
    assert_eq!(play.hear(AFTER), ["send"]);
    assert_eq!(play.hear(BOUND), ["send"]);
    assert_eq!(play.last().attr("resume"), Some("true"));
    assert_eq!(play.hear(ENABLED), ["done"]);

    let done = play.established();
    assert_eq!(done.jid.as_str(), "juliet@example.org/Xy9");
    let sm = done.stream_management.unwrap();
    assert_eq!((sm.resumable, sm.max_seconds), (true, Some(300)));
    assert_eq!(sm.id.unwrap(), "o8_5lK");
    assert_eq!(done.resumption, Resumption::NotTried);
    assert_eq!(done.login.exchanges, 1);
    assert_eq!(done.login.round_trips, 2);
    // Header, starttls, header, auth, response, header, bind, enable.
    assert_eq!(done.round_trips, 8);
    assert!(done.features.offers("ver", "urn:xmpp:features:rosterver"));
}

#[test]
fn who_one_is_goes_out_only_where_nobody_can_read_it() {
    let from = |setup: Setup| {
        let mut negotiation = Negotiation::new(setup);
        match negotiation.poll_output() {
            Some(Output::OpenStream(header)) => header.from,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(from(setup(STARTTLS)), None);
    assert_eq!(from(direct()), Some("juliet@example.org".parse().unwrap()));
}

#[test]
fn a_server_without_tls_is_refused_unless_allowed_in_so_many_words() {
    let mut play = Play::begin(setup(STARTTLS));
    play.header();
    play.hear(PROSODY);
    let error = play.error();
    assert!(matches!(error, ConnectError::TlsNotOffered));
    assert_eq!(error.kind(), Kind::Security);

    let mut play = Play::begin(setup(Start::StartTls { or_plaintext: true }));
    play.header();
    play.hear(PROSODY);
    // Unbound, and never the bare password.
    assert_eq!(play.last().attr("mechanism"), Some("SCRAM-SHA-256"));

    // What is allowed is no reason to do without what is offered.
    let mut play = Play::begin(setup(Start::StartTls { or_plaintext: true }));
    play.header();
    play.hear(TLS);
    assert!(starttls::StartTls::matches(play.last()));
}

#[test]
fn plaintext_against_a_server_that_demands_tls_says_what_to_change() {
    let mut play = Play::begin(setup(Start::Plaintext));
    play.header();
    play.hear(TLS);
    assert!(matches!(play.error(), ConnectError::TlsDemanded));
}

#[test]
fn a_server_that_cannot_start_tls_is_told_from_one_without() {
    let mut play = Play::begin(setup(STARTTLS));
    play.header();
    play.hear(TLS);
    play.hear("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert!(matches!(play.error(), ConnectError::TlsRefused));
}

#[test]
fn a_wrong_password_is_refused() {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(PROSODY);
    play.log_in("another", 4096);
    let error = play.error();
    assert!(matches!(
        error,
        ConnectError::AuthRefused {
            condition: SaslCondition::NotAuthorized,
            ..
        }
    ));
    assert!(
        error
            .to_string()
            .contains("check the user name and the password")
    );
}

#[test]
fn a_refused_channel_binding_is_given_up_once_and_reported() {
    const REFUSED: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/>\
        <text xml:lang='en'>Invalid channel binding</text></failure>";
    let mut play = Play::begin(direct());
    play.header();
    play.hear(EJABBERD);
    let first = sasl::Auth::from_element(play.last()).unwrap();
    assert_eq!(first.mechanism, "SCRAM-SHA-256-PLUS");
    assert_eq!(play.hear(REFUSED), ["send"]);
    let second = sasl::Auth::from_element(play.last()).unwrap();
    assert_eq!(second.mechanism, "SCRAM-SHA-256");
    // Another nonce: the first was seen by whoever refused.
    let nonce = |auth: &sasl::Auth| {
        let message = String::from_utf8(auth.initial.clone().unwrap()).unwrap();
        message.rsplit("r=").next().unwrap().to_owned()
    };
    assert_ne!(nonce(&first), nonce(&second));
    assert!(
        play.reports
            .iter()
            .any(|r| matches!(r, Report::BindingRefused(_)))
    );
    play.hear(REFUSED);
    assert!(matches!(play.error(), ConnectError::AuthRefused { .. }));
}

#[test]
fn an_offer_that_was_changed_on_the_way_is_noticed() {
    let mut play = Play::begin(direct());
    play.header();
    // The server offers more than this; it says so inside the exchange (XEP-0474).
    play.hear(PROSODY);
    play.log_in_to(Arc::clone(&JULIET), true);
    assert!(sasl::Abort::matches(play.last()));
    let error = play.error();
    assert!(matches!(
        error,
        ConnectError::Login(AuthError::OfferTampered)
    ));
    assert_eq!(error.kind(), Kind::Security);
}

#[test]
fn success_without_proof_is_no_login() {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(PROSODY);
    play.hear("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    let error = play.error();
    assert!(matches!(error, ConnectError::Login(_)), "{error}");
    assert!(error.ends_the_walk());
}

#[test]
fn a_long_derivation_is_given_to_the_driver_and_kept_keys_spare_it() {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(PROSODY);
    play.log_in("r0m30", 20_000);
    assert_eq!(play.derivations, 1);
    play.header();
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear(ENABLED);
    let keys = play.established().keys.unwrap();
    assert_eq!(keys.iterations(), 20_000);

    let mut again = direct();
    again.keys = vec![keys];
    let mut play = Play::begin(again);
    play.header();
    play.hear(PROSODY);
    play.log_in("r0m30", 20_000);
    assert_eq!(play.derivations, 0);
    assert!(
        play.reports
            .iter()
            .any(|r| matches!(r, Report::LoggedIn(_)))
    );
}

#[test]
fn nothing_acceptable_lists_what_was_offered() {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
         <mechanism>GSSAPI</mechanism></mechanisms></stream:features>",
    );
    let error = play.error();
    assert!(matches!(
        error,
        ConnectError::NoMechanism(SelectError::NoMechanism, _)
    ));
    assert!(error.to_string().contains("GSSAPI"));
}

#[test]
fn the_server_gives_the_address_whatever_was_wished() {
    let mut wishing = direct();
    wishing.resource = Some(Text::from_static("bench"));
    let mut play = Play::logged_in(wishing);
    play.hear(AFTER);
    assert_eq!(
        play.last()
            .child("bind", ns::BIND)
            .unwrap()
            .child("resource", ns::BIND)
            .unwrap()
            .text(),
        "bench"
    );
    // Refused: once more, without the wish.
    play.hear(
        "<iq type='error' id='bind'><error type='cancel'>\
         <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
    );
    assert_eq!(
        play.last()
            .child("bind", ns::BIND)
            .unwrap()
            .children()
            .count(),
        0
    );
    play.hear(BOUND);
    play.hear(ENABLED);
    assert_eq!(play.established().jid.resource(), "Xy9");
}

#[test]
fn a_refused_binding_is_told_with_its_reason() {
    let mut play = Play::logged_in(direct());
    play.hear(AFTER);
    play.hear(
        "<iq type='error' id='bind'><error type='wait'>\
         <resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
    );
    let error = play.error();
    assert!(matches!(error, ConnectError::BindRefused(_)));
    assert_eq!(error.retry(), Retry::Later);
}

#[test]
fn a_session_is_resumed_and_not_bound_again() {
    let mut resuming = direct();
    resuming.resume = Resume::Try(token());
    let mut play = Play::logged_in(resuming);
    assert_eq!(play.hear(AFTER), ["send"]);
    assert!(play.last().is("resume", ns::SM));
    assert_eq!(play.last().attr("h"), Some("9"));
    let resumed = "<resumed xmlns='urn:xmpp:sm:3' previd='prev' h='4294967295'/>";
    assert_eq!(play.hear(resumed), ["done"]);
    let done = play.established();
    assert_eq!(done.jid.resource(), "old");
    assert_eq!(done.resumption, Resumption::Resumed { h: u32::MAX });
    let session = done.stream_management.unwrap();
    assert_eq!(session.token(done.jid, 9), Some(token()));
}

#[test]
fn a_failed_resumption_is_followed_by_binding_with_or_without_a_count() {
    for (answer, expected) in [
        (
            "<failed xmlns='urn:xmpp:sm:3' h='7'><item-not-found \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
            Some(7),
        ),
        ("<failed xmlns='urn:xmpp:sm:3'/>", None),
        ("<failed xmlns='urn:xmpp:sm:3' h='-1'/>", None),
    ] {
        let mut resuming = direct();
        resuming.resume = Resume::Try(token());
        let mut play = Play::logged_in(resuming);
        play.hear(AFTER);
        assert_eq!(play.hear(answer), ["send"]);
        assert_eq!(play.negotiation.phase(), Phase::Binding);
        play.hear(BOUND);
        play.hear(ENABLED);
        let Resumption::Failed { h, reason } = play.established().resumption else {
            panic!();
        };
        assert_eq!(h, expected);
        assert!(matches!(reason, ResumeFailure::Refused(_)));
    }
}

#[test]
fn no_answer_to_resume_is_a_failed_resumption() {
    let answers: [fn(&mut Play); 4] = [
        |p| drop(p.feed(Input::Disconnected)),
        |p| drop(p.feed(Input::Event(StreamEvent::Close))),
        |p| {
            drop(p.hear(
                "<stream:error><undefined-condition \
                 xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
            ));
        },
        |p| {
            drop(p.hear(
                "<stream:error><invalid-xml \
                 xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
            ));
        },
    ];
    for answer in answers {
        let mut resuming = direct();
        resuming.resume = Resume::Try(token());
        let mut play = Play::logged_in(resuming);
        play.hear(AFTER);
        answer(&mut play);
        assert!(matches!(play.error(), ConnectError::ResumeUnanswered));
    }
    // The next stream says so.
    let mut lost = direct();
    lost.resume = Resume::Lost;
    let mut play = Play::logged_in(lost);
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear(ENABLED);
    assert_eq!(
        play.established().resumption,
        Resumption::Failed {
            h: None,
            reason: ResumeFailure::StreamClosed
        }
    );
}

#[test]
fn a_server_that_goes_down_while_resuming_keeps_the_session() {
    let mut resuming = direct();
    resuming.resume = Resume::Try(token());
    let mut play = Play::logged_in(resuming);
    play.hear(AFTER);
    play.hear(
        "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
         </stream:error>",
    );
    let error = play.error();
    assert!(matches!(error, ConnectError::Stream { .. }));
    assert_eq!(error.retry(), Retry::Later);
}

#[test]
fn another_sessions_resumption_and_a_foreign_token_are_refused() {
    let mut resuming = direct();
    resuming.resume = Resume::Try(token());
    let mut play = Play::logged_in(resuming);
    play.hear(AFTER);
    play.hear("<resumed xmlns='urn:xmpp:sm:3' previd='other' h='0'/>");
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved(Misbehaviour::AnotherSession)
    ));

    let mut foreign = direct();
    foreign.resume = Resume::Try(ResumeToken {
        jid: "romeo@example.org/old".parse().unwrap(),
        ..token()
    });
    let error = Play::begin(foreign).error();
    assert!(matches!(error, ConnectError::Misuse(_)));
}

#[test]
fn without_resume_or_id_a_session_only_acknowledges() {
    for enabled in [
        "<enabled xmlns='urn:xmpp:sm:3' id='a'/>",
        "<enabled xmlns='urn:xmpp:sm:3' resume='true'/>",
        "<enabled xmlns='urn:xmpp:sm:3' id='a' resume='false'/>",
    ] {
        let mut play = Play::logged_in(direct());
        play.hear(AFTER);
        play.hear(BOUND);
        play.hear(enabled);
        let done = play.established();
        let session = done.stream_management.unwrap();
        assert!(!session.resumable);
        assert_eq!(session.token(done.jid, 0), None);
    }
}

#[test]
fn a_session_does_without_stream_management_where_there_is_none() {
    let mut play = Play::logged_in(direct());
    play.hear(
        "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>",
    );
    assert_eq!(play.hear(BOUND), ["done"]);
    assert_eq!(play.established().stream_management, None);

    let mut play = Play::logged_in(direct());
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear("<failed xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(play.established().stream_management, None);
}

#[test]
fn stanzas_between_binding_and_enabled_are_kept_in_order_and_bounded() {
    let mut play = Play::logged_in(direct());
    play.hear(AFTER);
    play.hear("<message id='1'/>");
    play.hear(BOUND);
    play.hear("<message id='2'/>");
    play.hear(ENABLED);
    let early = play.established().early;
    let ids: Vec<_> = early.iter().map(|e| e.attr("id").unwrap()).collect();
    assert_eq!(ids, ["1", "2"]);

    let mut play = Play::logged_in(direct());
    play.hear(AFTER);
    for _ in 0..=MAX_EARLY {
        play.hear("<message id='1'/>");
    }
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved(Misbehaviour::Flood(_))
    ));
}

#[test]
fn what_comes_out_of_its_turn_is_refused_with_the_section() {
    let success = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    let tries: [(&str, &[&str], &str); 5] = [
        ("success before the login", &[success], "§4.3.2"),
        ("proceed when not asked", &[PROCEED], "§4.3.2"),
        ("features twice", &[PROSODY, PROSODY], "§6.4"),
        (
            "a stanza before the login",
            &[PROSODY, "<message/>"],
            "§6.4",
        ),
        ("a bind answer before the login", &[BOUND], "§4.3.2"),
    ];
    for (what, says, section) in tries {
        let mut play = Play::begin(direct());
        play.header();
        for xml in says {
            play.hear(xml);
        }
        let error = play.error();
        assert_eq!(error.kind(), Kind::Peer, "{what}");
        let rule = std::error::Error::source(&error).unwrap().to_string();
        assert!(rule.contains(section), "{what}: {rule}");
    }
}

#[test]
fn a_server_that_answers_for_another_domain_is_refused() {
    let mut play = Play::begin(direct());
    play.header_from("example.com");
    play.hear(PROSODY);
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved(Misbehaviour::WrongDomain { .. })
    ));
    // Unless it says itself that it does not serve ours: that is more exact.
    let mut play = Play::begin(direct());
    play.header_from("example.com");
    play.hear(
        "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    );
    let error = play.error();
    assert!(matches!(error, ConnectError::Stream { .. }));
    assert_eq!(error.retry(), Retry::AfterUser);
}

#[test]
fn a_server_older_than_xmpp_1_is_told_at_once() {
    let mut play = Play::begin(direct());
    let mut header = StreamHeader::response("example.org".parse().unwrap(), Text::from_static("1"));
    header.version = None;
    play.feed(Input::Event(StreamEvent::Open(header)));
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved(Misbehaviour::Version)
    ));
}

#[test]
fn no_binding_after_the_login_breaks_the_protocol() {
    let mut play = Play::logged_in(direct());
    play.hear("<stream:features/>");
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved(Misbehaviour::NoBinding)
    ));
}

#[test]
fn see_other_host_is_told_with_its_place() {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(
        "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>\
         [2001:db8::1]:99</see-other-host></stream:error>",
    );
    let ConnectError::Stream { error, .. } = play.error() else {
        panic!();
    };
    assert_eq!(error.value.unwrap(), "[2001:db8::1]:99");
}

#[test]
fn an_endless_stream_of_challenges_ends() {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(PROSODY);
    for _ in 0..10 {
        play.hear("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AAAA</challenge>");
    }
    assert!(sasl::Abort::matches(play.last()));
    assert!(matches!(play.error(), ConnectError::Login(_)));
}

#[test]
fn a_password_does_not_show_in_debug_output() {
    let mut negotiation = Negotiation::new(direct());
    let id = Text::from_static("s1");
    let header = StreamHeader::response("example.org".parse().unwrap(), id);
    negotiation.handle(Input::Event(StreamEvent::Open(header)));
    let plain = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
        <mechanism>PLAIN</mechanism></mechanisms></stream:features>";
    negotiation.handle(Input::Event(StreamEvent::Element(element(plain))));
    let shown = format!("{negotiation:?}");
    // The message is waiting to be taken out, and holds the password.
    assert!(shown.contains("Send(<auth/>)"), "{shown}");
    let message = Text::base64(b"\0juliet\0r0m30");
    assert!(!shown.contains("r0m30") && !shown.contains(message.as_str()));
    let taken = std::iter::from_fn(|| negotiation.poll_output());
    let sent: Vec<_> = taken
        .filter_map(|output| match output {
            Output::Send(e) => Some(e.text_value()),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [message]);
}
