//! The law of the journey: what was read, written and read again is the same; so is
//! every typed view of it. The property tests and the fuzz target `roundtrip` look for
//! a counterexample.

use std::fmt::Debug;

use stanchion_stanza::payload::sensordata::{Profile, Profiled};
use stanchion_stanza::payload::{
    Payload, bind, bind2, blocking, caps, carbons, channel_binding, chat_states, commands,
    component, control, correction, csi, delay, delivery, disco, fast, forms, forward, framing,
    hints, iot_events, last_activity, limits, mam, markers, muc, ping, pubsub, receipts, register,
    reply, roster, rsm, sasl, sasl2, sensordata, sid, sm, starttls, thing_command, time, upload,
    version,
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
        bytes_survive(element, &scope, limits);
    }
    stanza_survives(element);
    views_within_survive(element);
}

/// The views of the element and of whatever is in it.
fn views_within_survive(element: &Element) {
    views_survive(element, &mut |_| {});
    element.children().for_each(views_within_survive);
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

/// Every payload that has a type of its own, and what to do with one.
macro_rules! payloads {
    ($($payload:ty),* $(,)?) => {
        /// The names of the types in `payloads!`.
        pub(crate) fn all_payloads() -> Vec<&'static str> {
            vec![$(std::any::type_name::<$payload>(),)*]
        }

        /// Every type that claims the element and can read it, by name.
        fn payloads_survive(element: &Element, read: &mut dyn FnMut(&'static str)) {
            $(
                if <$payload>::matches(element)
                    && let Ok(payload) = <$payload>::from_element(element)
                {
                    payload_survives(&payload);
                    read(std::any::type_name::<$payload>());
                }
            )*
        }
    };
}

payloads! {
    bind2::Bound,
    bind2::Feature,
    bind2::Request,
    bind::Bind,
    blocking::Block,
    blocking::BlockList,
    blocking::Blocked,
    blocking::Unblock,
    caps::Caps,
    carbons::Disable,
    carbons::Enable,
    carbons::Private,
    channel_binding::ChannelBindings,
    commands::Command,
    component::Handshake,
    control::GetForm,
    control::ParameterError,
    control::Set,
    control::SetResponse,
    correction::Replace,
    csi::Feature,
    delay::Delay,
    delivery::Answer,
    delivery::At,
    delivery::Bundle,
    delivery::Cancel,
    delivery::Close,
    delivery::Closed,
    delivery::Deliver,
    delivery::Jids,
    delivery::Rotate,
    delivery::Verdict,
    delivery::WrongStore,
    disco::DiscoInfo,
    disco::DiscoItems,
    fast::Fast,
    fast::Feature,
    fast::RequestToken,
    fast::Token,
    forms::Form,
    forward::Forwarded,
    framing::Close,
    framing::Open,
    iot_events::Subscribe,
    iot_events::Unsubscribe,
    last_activity::LastActivity,
    limits::StreamLimits,
    mam::ArchiveResult,
    mam::Fin,
    mam::Metadata,
    mam::Prefs,
    mam::Query,
    markers::Displayed,
    markers::Markable,
    muc::Admin,
    muc::Join,
    muc::Owner,
    muc::User,
    ping::Ping,
    pubsub::Answer,
    pubsub::Event,
    pubsub::Owner,
    pubsub::Request,
    receipts::Received,
    receipts::Request,
    register::Feature,
    register::Query,
    reply::Reply,
    roster::Roster,
    rsm::Page,
    rsm::PageRequest,
    sasl2::Abort,
    sasl2::Authenticate,
    sasl2::Authentication,
    sasl2::Challenge,
    sasl2::Continue,
    sasl2::Failure,
    sasl2::Next,
    sasl2::Response,
    sasl2::Success,
    sasl2::TaskData,
    sasl2::UserAgent,
    sasl::Abort,
    sasl::Auth,
    sasl::Challenge,
    sasl::Failure,
    sasl::Response,
    sasl::Success,
    sensordata::Accepted,
    sensordata::Cancel,
    sensordata::Cancelled,
    sensordata::Done,
    sensordata::Failure,
    sensordata::Fields,
    sensordata::Rejected,
    sensordata::Request,
    sensordata::Started,
    sid::OriginId,
    sid::StanzaId,
    sm::Ack,
    sm::AckRequest,
    sm::Enable,
    sm::Enabled,
    sm::Failed,
    sm::Resume,
    sm::Resumed,
    starttls::Failure,
    starttls::Proceed,
    starttls::StartTls,
    thing_command::Command,
    thing_command::CommandOutcome,
    time::Time,
    upload::FileTooLarge,
    upload::Request,
    upload::Retry,
    upload::Slot,
    version::Version,
    StanzaError,
    StreamError,
    StreamFeatures,
}

/// Every typed view of the element, written and read, is the same; `read` is told the
/// name of each payload's type.
///
/// # Panics
/// If one is not.
pub(crate) fn views_survive(element: &Element, read: &mut dyn FnMut(&'static str)) {
    payloads_survive(element, read);
    profiled_payloads_survive(element);
    if let Ok(Some(form)) = forms::Form::find([element]) {
        form_views_survive(&form);
    }
    if let Some(Ok(carbon)) = carbons::Carbon::from_element(element) {
        let again = carbons::Carbon::from_element(&carbon.to_element());
        assert_eq!(again, Some(Ok(carbon)));
    }
    /// Views of elements with different names.
    macro_rules! survive {
        ($($view:ty),*) => {$(
            if let Some(view) = <$view>::from_element(element) {
                assert_eq!(<$view>::from_element(&view.to_element()), Some(view));
            }
        )*};
    }
    survive!(
        chat_states::ChatState,
        commands::Condition,
        csi::ClientState,
        hints::Hint,
        pubsub::Fault
    );
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

/// A payload, written and read, is the same, and what is written is an element that
/// comes through bytes unchanged.
///
/// # Panics
/// If it is not.
pub(crate) fn payload_survives<P: Payload + PartialEq + Debug>(payload: &P) {
    let element = payload.to_element();
    assert!(P::matches(&element), "{element:?}");
    assert_eq!(P::from_element(&element).as_ref(), Ok(payload));
    bytes_survive(&element, &Scope::client(), Limits::default());
}

/// What is written under `limits`, if it can be, is read as the same under them.
fn bytes_survive(element: &Element, scope: &Scope, limits: Limits) {
    if let Ok(bytes) = Encoder::new(scope.clone(), limits).to_bytes(element) {
        let mut decoder = Decoder::without_root(scope.clone(), limits);
        decoder.push(&bytes);
        assert_eq!(
            decoder.next_event(),
            Ok(Some(StreamEvent::Element(element.clone()))),
            "{}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

/// What things say and are told, in whatever profile.
fn profiled_payloads_survive(element: &Element) {
    macro_rules! survive {
        ($($view:ty),*) => {$( profiled_view_survives::<$view>(element); )*};
    }
    survive!(
        control::GetForm,
        control::ParameterError,
        control::Set,
        control::SetResponse,
        iot_events::Subscribe,
        iot_events::Unsubscribe,
        sensordata::Accepted,
        sensordata::Cancel,
        sensordata::Done,
        sensordata::Fields,
        sensordata::Request,
        sensordata::Started
    );
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
