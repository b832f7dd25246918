//! Anything in any order: the negotiation survives it, ends, and lets nobody in.

use proptest::prelude::*;

use super::*;

/// Anything that a server may say, in its place or out of it.
fn anything() -> impl Strategy<Value = Input> {
    let said = prop::sample::select(vec![
        TLS,
        PROSODY,
        EJABBERD,
        SASL2,
        AFTER,
        BOUND,
        ENABLED,
        PROCEED,
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>dj1hYWE=</success>",
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>cj1hLHM9YixpPTE=</challenge>",
        "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>?</challenge>",
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/>\
         <text>channel binding</text></failure>",
        "<challenge xmlns='urn:xmpp:sasl:2'>cj1hLHM9YixpPTE=</challenge>",
        "<failure xmlns='urn:xmpp:sasl:2'>\
         <not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>\
         <text>channel binding</text></failure>",
        "<failure xmlns='urn:xmpp:sasl:2'>\
         <invalid-mechanism xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>",
        "<continue xmlns='urn:xmpp:sasl:2'><tasks><task>x</task></tasks></continue>",
        "<continue xmlns='urn:xmpp:sasl:2'/>",
        "<success xmlns='urn:xmpp:sasl:2'/>",
        "<success xmlns='urn:xmpp:sasl:2'>\
         <authorization-identifier>juliet@example.org/x</authorization-identifier>\
         <additional-data>dj1hYWE=</additional-data>\
         <bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3'/></bound>\
         <token xmlns='urn:xmpp:fast:0' expiry='x' token='y'/></success>",
        "<success xmlns='urn:xmpp:sasl:2'>\
         <authorization-identifier>juliet@example.org</authorization-identifier>\
         <resumed xmlns='urn:xmpp:sm:3' previd='prev' h='3'/></success>",
        "<failed xmlns='urn:xmpp:sm:3'/>",
        "<resumed xmlns='urn:xmpp:sm:3' previd='prev' h='3'/>",
        "<r xmlns='urn:xmpp:sm:3'/>",
        "<iq id='bind' type='error'/>",
        "<iq id='bind' type='result'/>",
        "<iq id='bind'/>",
        "<message/>",
        "<presence/>",
        "<stream:error/>",
        "<unknown xmlns='urn:x'/>",
    ]);
    let header = StreamHeader::response("example.org".parse().unwrap(), Text::from_static("1"));
    let mut other = header.clone();
    other.from = Some("example.com".parse().unwrap());
    prop_oneof![
        12 => said.prop_map(|xml| Input::Event(StreamEvent::Element(element(xml)))),
        4 => Just(()).prop_map(move |()| Input::Event(StreamEvent::Open(header.clone()))),
        1 => Just(()).prop_map(move |()| Input::Event(StreamEvent::Open(other.clone()))),
        2 => Just(()).prop_map(|()| Input::TlsReady(protected())),
        1 => Just(()).prop_map(|()| Input::Event(StreamEvent::Close)),
        1 => Just(()).prop_map(|()| Input::Disconnected),
    ]
}

/// How far the server behaves before it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Start,
    Proceed,
    Login,
    LoggedIn,
    Resuming,
    Binding,
    Enabling,
    /// By SASL2, with a session to resume.
    Login2,
    Authenticated,
    /// Something was sent ahead: `<starttls/>`; a login of either profile, and with a
    /// token; what follows one.
    AheadStart,
    AheadLogin,
    AheadLogin2,
    AheadToken,
    AheadResuming,
    AheadBinding,
}

impl Until {
    const ALL: [Self; 15] = [
        Self::Start,
        Self::Proceed,
        Self::Login,
        Self::LoggedIn,
        Self::Resuming,
        Self::Binding,
        Self::Enabling,
        Self::Login2,
        Self::Authenticated,
        Self::AheadStart,
        Self::AheadLogin,
        Self::AheadLogin2,
        Self::AheadToken,
        Self::AheadResuming,
        Self::AheadBinding,
    ];

    /// Whether the server has proved itself by then.
    const fn is_genuine(self) -> bool {
        matches!(
            self,
            Self::LoggedIn
                | Self::Resuming
                | Self::Binding
                | Self::Enabling
                | Self::Authenticated
                | Self::AheadResuming
                | Self::AheadBinding
        )
    }
}

fn up_to(until: Until) -> Play {
    let mut resuming = direct();
    resuming.resume = Resume::Try(token());
    let known = |start, memory: &ServerMemory| Setup {
        memory: memory.clone(),
        keys: vec![KEYS.clone()],
        ..setup(start)
    };
    let begin = |setup| {
        let mut play = Play::begin(setup);
        play.header();
        play
    };
    match until {
        Until::Start => Play::begin(setup(STARTTLS)),
        Until::Proceed => {
            let mut play = begin(setup(STARTTLS));
            play.hear(TLS);
            play
        }
        Until::Login => {
            let mut play = begin(direct());
            play.hear(PROSODY);
            play
        }
        Until::Resuming => {
            let mut play = Play::logged_in(resuming);
            play.hear(AFTER);
            play
        }
        Until::LoggedIn => Play::logged_in(direct()),
        Until::Binding | Until::Enabling => {
            let mut play = Play::logged_in(direct());
            play.hear(AFTER);
            if until == Until::Enabling {
                play.hear(BOUND);
            }
            play
        }
        Until::Login2 => {
            let mut play = begin(resuming);
            play.hear(SASL2);
            play
        }
        Until::Authenticated => {
            let mut play = begin(with_agent());
            play.hear(SASL2);
            play.log_in_2(FULL, &[BOUND_2]);
            play
        }
        Until::AheadStart => Play::begin(known(STARTTLS, &BY_RFC_6120)),
        Until::AheadLogin => Play::begin(known(Start::Protected(protected()), &BY_RFC_6120)),
        Until::AheadLogin2 => Play::begin(known(Start::Protected(protected()), &BY_SASL2)),
        Until::AheadToken => {
            let mut with_token = with_agent();
            with_token.memory = BY_SASL2.clone();
            Play::begin(with_token)
        }
        Until::AheadResuming | Until::AheadBinding => {
            let mut setup = known(Start::Protected(protected()), &BY_RFC_6120);
            if until == Until::AheadResuming {
                setup.resume = Resume::Try(token());
            }
            let mut play = begin(setup);
            play.hear(PROSODY);
            play.log_in_to(Arc::clone(&JULIET), false);
            play
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// Whatever a server says, and in whatever order: no panic, nothing after the end, a
    /// bounded number of outputs for each input; nothing in the clear but the request for
    /// TLS; and never a session that no proof of the server stands behind.
    #[test]
    fn any_order_of_events_is_survived_and_no_login_is_forged(
        until in prop::sample::select(Until::ALL.to_vec()),
        inputs in prop::collection::vec(anything(), 0..60),
    ) {
        let mut play = up_to(until);
        let mut clear = matches!(until, Until::Start | Until::Proceed | Until::AheadStart);
        for input in inputs {
            clear &= !matches!(input, Input::TlsReady(_));
            let outputs = play.feed(input);
            prop_assert!(outputs.len() <= 4, "{outputs:?}");
            prop_assert!(!clear || play.said.iter().all(starttls::StartTls::matches));
        }
        if let Some(Ok(done)) = &play.end {
            prop_assert!(until.is_genuine() && done.login.server_proved);
        }
        // The end of the connection is the end, wherever it comes.
        play.feed(Input::Disconnected);
        prop_assert!(play.end.is_some());
    }
}
