//! Anything in any order: the negotiation survives it, ends, and lets nobody in.

use proptest::prelude::*;

use super::*;

/// Anything that a server may say, in its place or out of it.
fn anything() -> impl Strategy<Value = Input> {
    let said = prop::sample::select(vec![
        TLS,
        PROSODY,
        EJABBERD,
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
#[derive(Debug, Clone, Copy)]
enum Until {
    Start,
    Proceed,
    Login,
    LoggedIn,
    Resuming,
    Binding,
    Enabling,
}

fn up_to(until: Until) -> Play {
    let mut resuming = direct();
    resuming.resume = Resume::Try(token());
    let mut play = match until {
        Until::Start => Play::begin(setup(STARTTLS)),
        Until::Proceed => {
            let mut play = Play::begin(setup(STARTTLS));
            play.header();
            play.hear(TLS);
            play
        }
        Until::Login => {
            let mut play = Play::begin(direct());
            play.header();
            play.hear(PROSODY);
            play
        }
        Until::Resuming => Play::logged_in(resuming),
        Until::LoggedIn | Until::Binding | Until::Enabling => Play::logged_in(direct()),
    };
    if matches!(until, Until::Resuming | Until::Binding | Until::Enabling) {
        play.hear(AFTER);
    }
    if matches!(until, Until::Enabling) {
        play.hear(BOUND);
    }
    play
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever a server says, and in whatever order: no panic, nothing after the end, a
    /// bounded number of outputs for each input; and never a session that no proof of
    /// the server stands behind.
    #[test]
    fn any_order_of_events_is_survived_and_no_login_is_forged(
        until in prop::sample::select(vec![
            Until::Start, Until::Proceed, Until::Login, Until::LoggedIn, Until::Resuming,
            Until::Binding, Until::Enabling,
        ]),
        inputs in prop::collection::vec(anything(), 0..60),
    ) {
        let mut play = up_to(until);
        let genuine = !matches!(until, Until::Start | Until::Proceed | Until::Login);
        for input in inputs {
            let outputs = play.feed(input);
            prop_assert!(outputs.len() <= 4, "{outputs:?}");
        }
        if let Some(Ok(done)) = &play.end {
            prop_assert!(genuine && done.login.server_proved);
        }
        // The end of the connection is the end, wherever it comes.
        play.feed(Input::Disconnected);
        prop_assert!(play.end.is_some());
    }
}
