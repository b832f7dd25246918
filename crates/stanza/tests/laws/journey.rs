//! The law of the journey: what was read, written and read again is the same; so is
//! every typed view of it. The property tests and the fuzz target `roundtrip` look for
//! a counterexample.

use std::fmt::Debug;

use stanchion_stanza::payload::sensordata::{Profile, Profiled};
use stanchion_stanza::payload::{
    Payload, bind, bind2, caps, carbons, channel_binding, chat_states, commands, control,
    correction, csi, delay, disco, fast, forms, forward, hints, limits, mam, markers, muc, ping,
    pubsub, receipts, register, roster, rsm, sasl, sasl2, sensordata, sid, sm, starttls,
};
use stanchion_stanza::stanza::StanzaError;
use stanchion_stanza::stream::StreamError;
use stanchion_stanza::{
    Decoder, Element, Encoder, Limits, Scope, Stanza, StreamEvent,
    codec::parse_element,
    stream::{StreamFeatures, StreamHeader},
};

/// Reads `input` as a client's stream, and writes and reads again what it holds.
///
/// # Panics
/// If anything comes back changed.
pub(crate) fn read_write_read(input: &[u8]) {
    let limits = Limits::default();
    let mut decoder = Decoder::new(limits);
    decoder.push(input);
    while let Ok(Some(event)) = decoder.next_event() {
        match event {
            StreamEvent::Open(header) => header_survives(&header),
            StreamEvent::Element(element) => element_survives(&element, limits),
            StreamEvent::Close => {}
        }
    }
    if let Ok(element) = parse_element(input, &Scope::client(), &limits) {
        element_survives(&element, limits);
    }
}

/// A header, written and read, is the same.
///
/// # Panics
/// If it is not.
pub(crate) fn header_survives(header: &StreamHeader) {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(Scope::empty(), Limits::default());
    encoder.open(header, &mut out);
    encoder.close(&mut out);
    let mut decoder = Decoder::new(Limits::default().with_stanza_bytes(usize::MAX));
    decoder.push(&out);
    assert_eq!(
        decoder.next_event(),
        Ok(Some(StreamEvent::Open(header.clone())))
    );
    assert_eq!(decoder.next_event(), Ok(Some(StreamEvent::Close)));
}

/// An element that the encoder writes under `limits`, the decoder reads under the same;
/// it is the same then, and so are its typed views.
///
/// # Panics
/// If not.
pub(crate) fn element_survives(element: &Element, limits: Limits) {
    for scope in [Scope::client(), Scope::empty()] {
        if let Ok(bytes) = Encoder::new(scope.clone(), limits).to_bytes(element) {
            let mut decoder = Decoder::without_root(scope, limits);
            decoder.push(&bytes);
            assert_eq!(
                decoder.next_event(),
                Ok(Some(StreamEvent::Element(element.clone()))),
                "{}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
    stanza_survives(element);
    for child in element.children().chain([element]) {
        views_survive(child);
    }
}

fn stanza_survives(element: &Element) {
    let Ok(stanza) = Stanza::from_element(element.clone()) else {
        return;
    };
    assert!(Stanza::is_stanza(element));
    assert_eq!(
        Stanza::from_element(stanza.to_element()).as_ref(),
        Ok(&stanza)
    );
}

/// Every type that claims the element.
fn views_survive(element: &Element) {
    view_survives::<bind::Bind>(element);
    view_survives::<caps::Caps>(element);
    view_survives::<carbons::Disable>(element);
    view_survives::<carbons::Enable>(element);
    view_survives::<carbons::Private>(element);
    view_survives::<delay::Delay>(element);
    view_survives::<disco::DiscoInfo>(element);
    view_survives::<disco::DiscoItems>(element);
    view_survives::<forms::Form>(element);
    view_survives::<forward::Forwarded>(element);
    view_survives::<mam::ArchiveResult>(element);
    view_survives::<mam::Fin>(element);
    view_survives::<mam::Metadata>(element);
    view_survives::<mam::Prefs>(element);
    view_survives::<mam::Query>(element);
    view_survives::<muc::Admin>(element);
    view_survives::<muc::Join>(element);
    view_survives::<muc::Owner>(element);
    view_survives::<muc::User>(element);
    view_survives::<ping::Ping>(element);
    view_survives::<pubsub::Answer>(element);
    view_survives::<pubsub::Event>(element);
    view_survives::<pubsub::Owner>(element);
    view_survives::<pubsub::Request>(element);
    view_survives::<receipts::Received>(element);
    view_survives::<receipts::Request>(element);
    view_survives::<roster::Roster>(element);
    view_survives::<rsm::Page>(element);
    view_survives::<rsm::PageRequest>(element);
    view_survives::<sasl::Abort>(element);
    view_survives::<sasl::Auth>(element);
    view_survives::<sasl::Challenge>(element);
    view_survives::<sasl::Failure>(element);
    view_survives::<sasl::Response>(element);
    view_survives::<sasl::Success>(element);
    view_survives::<sid::OriginId>(element);
    view_survives::<sid::StanzaId>(element);
    view_survives::<sm::Ack>(element);
    view_survives::<sm::AckRequest>(element);
    view_survives::<sm::Enable>(element);
    view_survives::<sm::Enabled>(element);
    view_survives::<sm::Failed>(element);
    view_survives::<sm::Resume>(element);
    view_survives::<sm::Resumed>(element);
    view_survives::<starttls::Failure>(element);
    view_survives::<starttls::Proceed>(element);
    view_survives::<starttls::StartTls>(element);
    view_survives::<StanzaError>(element);
    view_survives::<StreamError>(element);
    view_survives::<StreamFeatures>(element);
    if let Ok(Some(form)) = forms::Form::find([element]) {
        form_views_survive(&form);
    }
    if let Some(Ok(carbon)) = carbons::Carbon::from_element(element) {
        let again = carbons::Carbon::from_element(&carbon.to_element());
        assert_eq!(again, Some(Ok(carbon)));
    }
    login_survives(element);
    talk_survives(element);
    services_survive(element);
    if let Some(fault) = pubsub::Fault::from_element(element) {
        assert_eq!(
            pubsub::Fault::from_element(&fault.to_element()),
            Some(fault)
        );
    }
    things_survive(element);
    if let Some(hint) = hints::Hint::from_element(element) {
        assert_eq!(hints::Hint::from_element(&hint.to_element()), Some(hint));
    }
}

/// SASL2 and what goes along with it.
fn login_survives(element: &Element) {
    view_survives::<bind2::Bound>(element);
    view_survives::<bind2::Feature>(element);
    view_survives::<bind2::Request>(element);
    view_survives::<channel_binding::ChannelBindings>(element);
    view_survives::<fast::Fast>(element);
    view_survives::<fast::Feature>(element);
    view_survives::<fast::RequestToken>(element);
    view_survives::<fast::Token>(element);
    view_survives::<limits::StreamLimits>(element);
    view_survives::<sasl2::Abort>(element);
    view_survives::<sasl2::Authenticate>(element);
    view_survives::<sasl2::Authentication>(element);
    view_survives::<sasl2::Challenge>(element);
    view_survives::<sasl2::Continue>(element);
    view_survives::<sasl2::Failure>(element);
    view_survives::<sasl2::Next>(element);
    view_survives::<sasl2::Response>(element);
    view_survives::<sasl2::Success>(element);
    view_survives::<sasl2::TaskData>(element);
    view_survives::<sasl2::UserAgent>(element);
}

/// What things say and are told.
fn things_survive(element: &Element) {
    view_survives::<control::GetForm>(element);
    view_survives::<control::ParameterError>(element);
    view_survives::<control::Set>(element);
    view_survives::<control::SetResponse>(element);
    view_survives::<sensordata::Accepted>(element);
    view_survives::<sensordata::Cancel>(element);
    view_survives::<sensordata::Cancelled>(element);
    view_survives::<sensordata::Done>(element);
    view_survives::<sensordata::Failure>(element);
    view_survives::<sensordata::Fields>(element);
    view_survives::<sensordata::Rejected>(element);
    view_survives::<sensordata::Request>(element);
    view_survives::<sensordata::Started>(element);
    profiled_view_survives::<control::GetForm>(element);
    profiled_view_survives::<control::ParameterError>(element);
    profiled_view_survives::<control::Set>(element);
    profiled_view_survives::<control::SetResponse>(element);
    profiled_view_survives::<sensordata::Accepted>(element);
    profiled_view_survives::<sensordata::Cancel>(element);
    profiled_view_survives::<sensordata::Done>(element);
    profiled_view_survives::<sensordata::Fields>(element);
    profiled_view_survives::<sensordata::Request>(element);
    profiled_view_survives::<sensordata::Started>(element);
}

/// What services are asked.
fn services_survive(element: &Element) {
    view_survives::<commands::Command>(element);
    view_survives::<register::Feature>(element);
    view_survives::<register::Query>(element);
    if let Some(condition) = commands::Condition::from_element(element) {
        let written = condition.to_element();
        assert_eq!(commands::Condition::from_element(&written), Some(condition));
    }
}

/// What people's messages carry.
fn talk_survives(element: &Element) {
    view_survives::<correction::Replace>(element);
    view_survives::<csi::Feature>(element);
    view_survives::<markers::Displayed>(element);
    view_survives::<markers::Markable>(element);
    if let Some(state) = chat_states::ChatState::from_element(element) {
        let written = state.to_element();
        assert_eq!(chat_states::ChatState::from_element(&written), Some(state));
    }
    if let Some(state) = csi::ClientState::from_element(element) {
        let written = state.to_element();
        assert_eq!(csi::ClientState::from_element(&written), Some(state));
    }
}

/// Every typed view of a form.
fn form_views_survive(form: &forms::Form) {
    macro_rules! survive {
        ($($view:ty),*) => {$(
            if let Ok(view) = <$view>::from_form(form) {
                let again = view.to_form(form.kind);
                assert_eq!(<$view>::from_form(&again), Ok(view));
            }
        )*};
    }
    survive!(
        mam::Filter,
        muc::RoomConfig,
        pubsub::MetaData,
        pubsub::NodeConfig,
        pubsub::SubscribeAuthorization,
        pubsub::SubscribeOptions
    );
}

fn view_survives<P: Payload + PartialEq + Debug>(element: &Element) {
    if !P::matches(element) {
        return;
    }
    if let Ok(view) = P::from_element(element) {
        payload_survives(&view);
    }
}

/// A payload, written and read, is the same.
///
/// # Panics
/// If it is not.
pub(crate) fn payload_survives<P: Payload + PartialEq + Debug>(payload: &P) {
    let element = payload.to_element();
    assert!(P::matches(&element), "{element:?}");
    assert_eq!(P::from_element(&element).as_ref(), Ok(payload));
}

fn profiled_view_survives<P: Profiled + PartialEq + Debug>(element: &Element) {
    if let Ok(Some((profile, view))) = P::find_any([element]) {
        profiled_survives(&view, profile);
    }
}

/// A payload, written in the words of `profile` and read, is the same.
///
/// # Panics
/// If it is not.
pub(crate) fn profiled_survives<P: Profiled + PartialEq + Debug>(payload: &P, profile: Profile) {
    let element = payload.to_element_in(profile);
    let Ok(Some((found, read))) = P::find_any([&element]) else {
        panic!("{element:?}");
    };
    assert_eq!((found, &read), (profile, payload), "{element:?}");
}
