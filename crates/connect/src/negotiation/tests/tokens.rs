//! Tokens (FAST, XEP-0484): asked for, used, replaced, refused.

use secrecy::ExposeSecret as _;
use stanchion_sasl::policy::ChannelBindingPolicy;

use super::*;

const SECRET: &str = "secret-token:1";

fn begun(setup: Setup) -> Play {
    let mut play = Play::begin(setup);
    play.header();
    play.hear(SASL2);
    play
}

fn requested(play: &Play) -> Option<Text> {
    let asked = sasl2::Authenticate::from_element(play.last()).unwrap();
    let request = fast::RequestToken::find(&asked.inline).unwrap();
    request.map(|r| r.mechanism)
}

/// One that knows the server, and has a token that was tried `count` times.
fn with_token(count: u32) -> Setup {
    let mut setup = with_agent();
    setup.memory = BY_SASL2.clone();
    setup.memory.token.as_mut().unwrap().count = count;
    setup
}

/// The same, and nothing is sent ahead.
fn cautious() -> Setup {
    let mut setup = with_token(1);
    setup.memory.distrust();
    setup
}

fn secret(memory: &ServerMemory) -> &str {
    memory.token.as_ref().unwrap().secret.expose_secret()
}

#[test]
fn a_token_is_asked_for_with_the_strongest_binding_and_kept() {
    let mut play = begun(with_agent());
    assert_eq!(requested(&play).unwrap(), "HT-SHA-256-EXPR");
    let asked = sasl2::Authenticate::from_element(play.last()).unwrap();
    assert_eq!(asked.user_agent.unwrap().id, with_agent().agent.unwrap().id);
    finish_2(&mut play, &[BOUND_2, TOKEN]);
    let memory = play.established().memory;
    let token = memory.token.as_ref().unwrap();
    assert_eq!(secret(&memory), SECRET);
    assert_eq!(token.mechanism, "HT-SHA-256-EXPR");
    assert_eq!(
        (token.expiry.as_str(), token.count),
        ("2030-03-12T14:36:15Z", 0)
    );
}

#[test]
fn no_token_is_asked_for_without_an_id_a_verified_server_or_leave() {
    let mut off = with_agent();
    off.fast = false;
    let mut nameless = with_agent();
    nameless.agent = None;
    let mut wrong = with_agent();
    wrong.agent.as_mut().unwrap().id = Some(Text::from_static("lamp"));
    let mut unverified = with_agent();
    unverified.start = Start::Protected(Channel {
        security: ChannelSecurity::Tls {
            version: TlsVersion::Tls13,
            server_verified: false,
        },
        ..protected()
    });
    let mut other = with_agent();
    other.credentials = Credentials::Password {
        authcid: "juliet".into(),
        password: "r0m30".into(),
        authzid: Some("romeo@example.org".into()),
    };
    for setup in [off, nameless, wrong, unverified, other] {
        let mut play = begun(setup);
        assert_eq!(requested(&play), None);
        if matches!(
            play.negotiation.setup.credentials,
            Credentials::Password { authzid: None, .. }
        ) {
            // One that nobody asked for is not kept.
            finish_2(&mut play, &[BOUND_2, TOKEN]);
            assert!(play.established().memory.token.is_none());
        }
    }
}

#[test]
fn a_token_logs_in_in_one_round_trip() {
    let mut play = Play::begin(with_token(3));
    let asked = sasl2::Authenticate::from_element(play.last()).unwrap();
    let fast = fast::Fast::find(&asked.inline).unwrap().unwrap();
    assert_eq!((fast.count, fast.invalidate), (Some(3), false));
    assert!(fast::RequestToken::find(&asked.inline).unwrap().is_none());
    play.header();
    assert_eq!(play.hear(SASL2), [] as [&str; 0]);
    play.log_in_by(SECRET, FULL, &[BOUND_2]);
    assert_eq!(play.hear(AFTER), ["done"]);
    let done = play.established();
    assert_eq!(done.round_trips, 1);
    assert_eq!(done.login.mechanism, "HT-SHA-256-EXPR");
    assert!(done.login.server_proved);
    // It stays good, and the keys of the password are the caller's still.
    assert_eq!(secret(&done.memory), SECRET);
    assert_eq!(done.memory.token.as_ref().unwrap().count, 3);
    assert!(done.keys.is_none());
}

#[test]
fn a_server_that_does_not_know_the_token_is_no_server() {
    for data in [
        None,
        Some(vec![]),
        Some(ht("another", b"Responder")),
        Some(ht(SECRET, b"Initiator")),
    ] {
        let mut play = Play::begin(with_token(1));
        play.header();
        play.hear(SASL2);
        let success = success_2(data, FULL, &[BOUND_2]);
        play.feed(Input::Event(StreamEvent::Element(success)));
        let error = play.error();
        assert!(matches!(error, ConnectError::Login(_)), "{error}");
    }
}

#[test]
fn a_new_token_takes_the_place_of_the_one_used() {
    let mut play = Play::begin(with_token(5));
    play.header();
    play.hear(SASL2);
    let new = TOKEN.replace("secret-token:1", "secret-token:2");
    play.log_in_by(SECRET, FULL, &[BOUND_2, &new]);
    play.hear(AFTER);
    let memory = play.established().memory;
    assert_eq!(secret(&memory), "secret-token:2");
    let token = memory.token.as_ref().unwrap();
    assert_eq!(
        (token.mechanism.as_str(), token.count),
        ("HT-SHA-256-EXPR", 0)
    );
}

#[test]
fn a_refused_token_is_thrown_away_and_the_stream_goes_on_with_the_password() {
    for (setup, condition) in [
        (with_token(1), "not-authorized"),
        (cautious(), "credentials-expired"),
    ] {
        let mut play = Play::begin(setup);
        play.header();
        play.hear(SASL2);
        play.feed(Input::Event(StreamEvent::Element(failure_2(condition))));
        let asked = sasl2::Authenticate::from_element(play.last()).unwrap();
        assert_eq!(asked.mechanism, "SCRAM-SHA-256-PLUS");
        assert_eq!(requested(&play).unwrap(), "HT-SHA-256-EXPR");
        let refused = |r: &Report| matches!(r, Report::TokenRefused(c) if c.as_str() == condition);
        assert!(play.reports.iter().any(refused));
        finish_2(&mut play, &[BOUND_2]);
        let done = play.established();
        assert_eq!(done.login.exchanges, 2);
        assert!(done.memory.token.is_none());
    }
}

#[test]
fn a_server_that_takes_nothing_after_a_refused_token_is_left_and_asked_again() {
    let ends = [
        Input::Event(StreamEvent::Element(failure_2("invalid-mechanism"))),
        Input::Event(StreamEvent::Element(element(&stream_error(
            "policy-violation",
        )))),
        Input::Event(StreamEvent::Close),
        Input::Disconnected,
    ];
    for end in ends {
        let mut play = begun(cautious());
        play.feed(Input::Event(StreamEvent::Element(failure_2(
            "not-authorized",
        ))));
        play.feed(end);
        let error = play.error();
        assert!(
            matches!(
                error,
                ConnectError::ShortCutRefused {
                    short_cut: ShortCut::Token,
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(error.retry(), Retry::Later);
    }
    // A wrong password is a wrong password all the same.
    let mut play = begun(cautious());
    play.feed(Input::Event(StreamEvent::Element(failure_2(
        "not-authorized",
    ))));
    play.feed(Input::Event(StreamEvent::Element(failure_2(
        "not-authorized",
    ))));
    assert!(matches!(play.error(), ConnectError::AuthRefused { .. }));
}

#[test]
fn a_token_outlives_a_server_that_cannot_tell_now() {
    let mut play = begun(cautious());
    play.feed(Input::Event(StreamEvent::Element(failure_2(
        "temporary-auth-failure",
    ))));
    assert!(play.negotiation.setup.memory.token.is_some());
    let error = play.error();
    assert!(matches!(error, ConnectError::AuthRefused { .. }));
    assert_eq!(error.retry(), Retry::Later);
}

#[test]
fn a_token_is_used_by_the_one_it_was_given_to_and_with_its_own_binding() {
    let mut other = cautious();
    other.agent.as_mut().unwrap().id =
        Some(Text::from_static("00000000-0000-4000-8000-000000000000"));
    let mut weaker = cautious();
    weaker.memory.token.as_mut().unwrap().mechanism = Text::from_static("HT-SHA-256-NONE");
    let mut off = cautious();
    off.fast = false;
    for setup in [other, weaker, off] {
        let play = begun(setup);
        let asked = sasl2::Authenticate::from_element(play.last()).unwrap();
        assert_eq!(asked.mechanism, "SCRAM-SHA-256-PLUS");
    }
    // On a connection without the binding value, an unbound token may be asked for.
    let mut unbound = cautious();
    unbound.start = Start::Protected(Channel {
        bindings: ChannelBindings::default(),
        ..protected()
    });
    unbound.memory = ServerMemory::default();
    let play = begun(unbound.clone());
    assert_eq!(requested(&play).unwrap(), "HT-SHA-256-NONE");
    // But not where binding is required: there is no login at all.
    unbound.sasl.channel_binding = ChannelBindingPolicy::Require;
    assert!(matches!(
        begun(unbound).error(),
        ConnectError::NoMechanism(SelectError::BindingRequired, _)
    ));
}

#[test]
fn a_token_that_cannot_be_kept_is_left() {
    let long = "x".repeat(2000);
    for bad in [
        TOKEN.replace("secret-token:1", "a\u{85}b"),
        TOKEN.replace("secret-token:1", &long),
        TOKEN.replace("2030-03-12T14:36:15Z", &long),
    ] {
        let mut play = begun(with_agent());
        finish_2(&mut play, &[BOUND_2, &bad]);
        assert!(play.established().memory.token.is_none(), "{bad}");
    }
}

#[test]
fn a_token_does_not_show_in_debug_output() {
    let mut negotiation = Negotiation::new(with_token(1));
    let shown = format!("{negotiation:?}");
    assert!(
        shown.contains("HT-SHA-256-EXPR") && !shown.contains(SECRET),
        "{shown}"
    );
    while let Some(output) = negotiation.poll_output() {
        assert!(!format!("{output:?}").contains(SECRET));
    }
}
