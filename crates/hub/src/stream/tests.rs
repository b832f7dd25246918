//! Transcripts of the negotiation.

use std::collections::BTreeMap;

use stanchion_sasl::ChannelBindings;
use stanchion_sasl::accounts::MemoryAccounts;
use stanchion_sasl::mechanism::Mechanism;
use stanchion_stanza::{Limits, Scope, codec::parse_element, stream::StreamFeatures};

use super::*;

/// One that is never asked.
struct Unasked;

impl Registrar for Unasked {
    fn register(&self, _: &str, _: &secrecy::SecretString) -> Result<String, StanzaError> {
        unreachable!()
    }

    fn change(&self, _: &str, _: &secrecy::SecretString) -> Result<(), StanzaError> {
        unreachable!()
    }

    fn end(&self, _: &str) -> Result<(), StanzaError> {
        unreachable!()
    }
}

fn shared(plain: bool) -> Negotiable {
    let mut accounts = MemoryAccounts::new();
    accounts.set("lamp", &"secret".into(), 16, [1; 16]).unwrap();
    let mut policy = ServerPolicy::new([9; 32]);
    policy
        .mechanisms
        .retain(|m| plain || *m != Mechanism::Plain);
    policy.max_failures = 3;
    Negotiable {
        domain: Jid::new("hub.example").unwrap(),
        policy: Arc::new(policy),
        accounts: Arc::new(accounts),
        registrar: None,
        localpart: |name| Some(name.to_owned()),
        max_bytes: 10_000,
        login_time: Duration::from_secs(30),
    }
}

struct Bench {
    negotiation: Negotiation,
    now: Instant,
}

impl Bench {
    fn new(plain: bool) -> Self {
        let now = Instant::now();
        Self {
            negotiation: Negotiation::new(shared(plain), now, [0; 24]),
            now,
        }
    }

    fn secured(plain: bool) -> Self {
        let mut bench = Self::new(plain);
        bench.secure();
        bench
    }

    fn secure(&mut self) {
        self.take(Input::Secured(ServerChannel {
            encrypted: true,
            bindings: ChannelBindings {
                tls_exporter: Some([7; 32]),
                ..ChannelBindings::default()
            },
            ..ServerChannel::default()
        }));
    }

    fn take(&mut self, input: Input) -> Vec<Output> {
        self.negotiation.handle(self.now, input);
        let mut outputs = Vec::new();
        loop {
            match self.negotiation.poll_output() {
                Output::Wait(_) => return outputs,
                output => outputs.push(output),
            }
        }
    }

    fn open(&mut self) -> StreamFeatures {
        let header = StreamHeader::initial(Jid::new("hub.example").unwrap());
        let outputs = self.take(Input::Event(StreamEvent::Open(header), [1; 24]));
        let [Output::Open(answer), Output::Send(features), ..] = &outputs[..] else {
            panic!("{outputs:?}");
        };
        assert_eq!(answer.from, Some(Jid::new("hub.example").unwrap()));
        assert!(answer.id.is_some());
        StreamFeatures::from_element(features).unwrap()
    }

    fn say(&mut self, xml: &str) -> Vec<Output> {
        let element = parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap();
        self.take(Input::Event(StreamEvent::Element(element), [2; 24]))
    }
}

/// The condition of the error that ends the stream.
fn fatal(outputs: &[Output]) -> StreamCondition {
    let [.., Output::Send(error), Output::Close { by_client: false }] = outputs else {
        panic!("{outputs:?}");
    };
    StreamError::from_element(error).unwrap().condition
}

/// The condition of a refused login, if that is all.
fn refused(outputs: &[Output]) -> Text {
    let [Output::Send(failure), ..] = outputs else {
        panic!("{outputs:?}");
    };
    assert!(Failure::matches(failure), "{failure:?}");
    Failure::from_element(failure).unwrap().condition
}

const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

fn plain(initial: &[u8]) -> String {
    format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}</auth>",
        Text::base64(initial)
    )
}

#[test]
fn making_accounts_is_a_feature_inside_tls_before_a_login_where_some_are_made() {
    let registers = |features: &StreamFeatures| {
        features.offers("register", "http://jabber.org/features/iq-register")
    };
    for some in [true, false] {
        let mut bench = Bench::new(true);
        if some {
            bench.negotiation.shared.registrar = Some(Arc::new(Unasked));
        }
        assert!(!registers(&bench.open()), "not in the clear");
        bench.say(STARTTLS);
        bench.secure();
        assert_eq!(registers(&bench.open()), some);
        bench.say(&plain(b"\0lamp\0secret"));
        assert!(!registers(&bench.open()), "there is one already");
    }
}

#[test]
fn a_login_runs_from_the_header_to_the_router() {
    let mut bench = Bench::new(true);
    let features = bench.open();
    assert!(features.starttls.is_some() && features.mechanisms.is_empty());
    let outputs = bench.say(STARTTLS);
    assert!(matches!(&outputs[..], [Output::Send(p), Output::StartTls] if Proceed::matches(p)));
    bench.take(Input::Secured(ServerChannel {
        encrypted: true,
        ..ServerChannel::default()
    }));
    let features = bench.open();
    assert!(
        features.starttls.is_none() && features.mechanisms.contains(&"PLAIN".try_into().unwrap())
    );
    assert!(
        features.channel_bindings.is_none(),
        "there is nothing to bind to"
    );
    let outputs = bench.say(&plain(b"\0lamp\0secret"));
    assert!(matches!(&outputs[..], [Output::Send(s), Output::Restart] if Success::matches(s)));
    assert!(
        bench.negotiation.deadline().is_some(),
        "not done before the features"
    );
    let header = StreamHeader::initial(Jid::new("hub.example").unwrap());
    let outputs = bench.take(Input::Event(StreamEvent::Open(header), [1; 24]));
    let [
        Output::Open(_),
        Output::Send(features),
        Output::LoggedIn { account },
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert_eq!(account, "lamp");
    let features = StreamFeatures::from_element(features).unwrap();
    assert!(features.bind && features.stream_management);
    assert_eq!(features.max_bytes, Some(10_000));
    assert!(bench.negotiation.deadline().is_none());
    assert!(matches!(
        &bench.say("<presence/>")[..],
        [Output::Element(_)]
    ));
    let outputs = bench.take(Input::Event(StreamEvent::Close, [0; 24]));
    assert!(matches!(outputs[..], [Output::Close { by_client: true }]));
}

#[test]
fn plain_is_offered_only_where_it_was_asked_for() {
    let mut bench = Bench::secured(false);
    assert!(
        bench
            .open()
            .mechanisms
            .iter()
            .all(|m| m.starts_with("SCRAM-"))
    );
    assert_eq!(
        refused(&bench.say(&plain(b"\0lamp\0secret"))),
        "invalid-mechanism"
    );
}

#[test]
fn before_tls_there_is_no_login() {
    let mut bench = Bench::new(true);
    bench.open();
    assert_eq!(
        refused(&bench.say(&plain(b"\0lamp\0secret"))),
        "encryption-required"
    );
}

#[test]
fn every_failed_attempt_counts_and_an_aborted_one_does_not() {
    let attempts: BTreeMap<&str, String> = BTreeMap::from([
        ("not-authorized", plain(b"\0lamp\0wrong")),
        ("malformed-request", plain(b"lamp")),
        (
            "incorrect-encoding",
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>?</auth>".into(),
        ),
    ]);
    for (condition, attempt) in attempts {
        let mut bench = Bench::secured(true);
        bench.open();
        for _ in 0..10 {
            let aborted = bench.say("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
            assert_eq!(refused(&aborted), "aborted");
        }
        assert_eq!(refused(&bench.say(&attempt)), condition);
        assert_eq!(refused(&bench.say(&attempt)), condition);
        let outputs = bench.say(&attempt);
        assert_eq!(refused(&outputs), condition);
        assert_eq!(fatal(&outputs), StreamCondition::PolicyViolation);
        assert!(
            bench.say(&plain(b"\0lamp\0secret")).is_empty(),
            "nothing follows"
        );
    }
}

#[test]
fn headers_that_do_not_fit_are_answered_in_a_stream_of_their_own() {
    let hub = || StreamHeader::initial(Jid::new("hub.example").unwrap());
    let mut old = hub();
    old.version = None;
    let mut nowhere = hub();
    nowhere.to = None;
    let elsewhere = StreamHeader::initial(Jid::new("far.example").unwrap());
    for (header, condition) in [
        (old, StreamCondition::UnsupportedVersion),
        (nowhere, StreamCondition::HostUnknown),
        (elsewhere, StreamCondition::HostUnknown),
    ] {
        let mut bench = Bench::new(false);
        let outputs = bench.take(Input::Event(StreamEvent::Open(header), [1; 24]));
        assert!(matches!(outputs[0], Output::Open(_)));
        assert_eq!(fatal(&outputs), condition);
    }
}

#[test]
fn a_fault_before_any_header_still_gets_one() {
    let error = Scope::client();
    let broken = parse_element(b"<a></b>", &error, &Limits::default()).unwrap_err();
    let mut bench = Bench::new(false);
    let outputs = bench.take(Input::Fault(broken));
    assert!(matches!(outputs[0], Output::Open(_)));
    assert_eq!(fatal(&outputs), StreamCondition::NotWellFormed);
}

#[test]
fn stanzas_and_strangers_end_the_stream_before_login() {
    for (xml, condition) in [
        ("<message/>", StreamCondition::NotAuthorized),
        ("<x xmlns='urn:x'/>", StreamCondition::UnsupportedStanzaType),
        (
            "<x xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
            StreamCondition::UnsupportedStanzaType,
        ),
        (STARTTLS, StreamCondition::UnsupportedStanzaType),
    ] {
        let mut bench = Bench::secured(false);
        bench.open();
        assert_eq!(fatal(&bench.say(xml)), condition, "{xml}");
    }
}

#[test]
fn the_deadline_runs_until_the_login_is_complete() {
    let mut bench = Bench::secured(false);
    bench.open();
    bench.now += Duration::from_secs(29);
    assert!(bench.take(Input::Tick).is_empty());
    bench.now += Duration::from_secs(1);
    assert_eq!(
        fatal(&bench.take(Input::Tick)),
        StreamCondition::ConnectionTimeout
    );
}

/// A component's stream from the port on.
fn component() -> Bench {
    let attachable = Attachable {
        domain: Jid::new("cloud.example").unwrap(),
        secret: "secret".into(),
    };
    let now = Instant::now();
    let component = Arc::new(attachable);
    Bench {
        negotiation: Negotiation::of_component(shared(false), component, now, [0; 24]),
        now,
    }
}

/// What answers a component's header.
fn component_header(bench: &mut Bench, header: StreamHeader) -> Vec<Output> {
    bench.take(Input::Event(StreamEvent::Open(header), [7; 24]))
}

/// `<handshake/>` as it comes on a component's stream.
fn handshake(bench: &mut Bench, proof: &str) -> Vec<Output> {
    let xml = format!("<handshake xmlns='jabber:component:accept'>{proof}</handshake>");
    bench.say(&xml)
}

#[test]
fn a_component_attaches_itself_by_a_proof_over_the_streams_id() {
    let mut bench = component();
    let domain = Jid::new("cloud.example").unwrap();
    let outputs = component_header(&mut bench, StreamHeader::component(domain.clone()));
    let [Output::Open(answer)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(answer.content_namespace(), ns::COMPONENT);
    assert_eq!((answer.from.as_ref(), &answer.to), (Some(&domain), &None));
    // `printf BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHsecret | sha1sum`
    assert_eq!(
        answer.id.as_deref(),
        Some("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH")
    );
    assert!(bench.negotiation.deadline().is_some());
    let outputs = handshake(&mut bench, "29bbc3c6a66290937bc3652da8f933d1d682ad92");
    assert!(
        matches!(&outputs[..], [Output::Attached { domain: d }] if *d == domain),
        "{outputs:?}"
    );
    assert_eq!(bench.negotiation.deadline(), None);
    let outputs = bench.say("<message/>");
    assert!(matches!(&outputs[..], [Output::Element(_)]), "{outputs:?}");
}

#[test]
fn who_does_not_know_the_secret_is_no_component() {
    let said = [
        "<handshake xmlns='jabber:component:accept'/>",
        "<handshake xmlns='jabber:component:accept'>29bbc3c6a66290937bc3652da8f933d1d682ad920</handshake>",
        "<handshake xmlns='jabber:component:accept'>b09ea9b3b7f586be8a08d0a3dd7466f110aeb136</handshake>",
        "<message from='cloud.example' to='a@hub.example'/>",
        "<handshake xmlns='jabber:client'>29bbc3c6a66290937bc3652da8f933d1d682ad92</handshake>",
    ];
    for xml in said {
        let mut bench = component();
        let domain = Jid::new("cloud.example").unwrap();
        component_header(&mut bench, StreamHeader::component(domain));
        let outputs = bench.say(xml);
        assert_eq!(fatal(&outputs), StreamCondition::NotAuthorized, "{xml}");
        let outputs = handshake(&mut bench, "29bbc3c6a66290937bc3652da8f933d1d682ad92");
        assert!(outputs.is_empty(), "it is over: {outputs:?}");
    }
}

#[test]
fn a_header_that_is_not_the_components_is_refused_inside_a_stream() {
    let client = StreamHeader::initial(Jid::new("cloud.example").unwrap());
    let other = StreamHeader::component(Jid::new("hub.example").unwrap());
    for (header, condition) in [
        (client, StreamCondition::InvalidNamespace),
        (other, StreamCondition::HostUnknown),
    ] {
        let mut bench = component();
        let outputs = component_header(&mut bench, header);
        assert!(matches!(&outputs[..], [Output::Open(_), ..]), "{outputs:?}");
        assert_eq!(fatal(&outputs), condition);
    }
}

#[test]
fn a_component_has_as_long_to_attach_itself_as_a_client_to_log_in() {
    let mut bench = component();
    bench.now += Duration::from_secs(30);
    let outputs = bench.take(Input::Tick);
    assert_eq!(fatal(&outputs), StreamCondition::ConnectionTimeout);
}
