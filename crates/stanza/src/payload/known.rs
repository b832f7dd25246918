//! Every type that this crate has for an element, in one table: for tools that look at
//! elements without knowing beforehand what they will find. A new payload gets a line in
//! [`ALL`]; `tests/known.rs` is red until it has one.
//!
//! ```
//! use stanchion_stanza::{Payload, payload::{known, receipts}};
//! let element = receipts::Request.to_element();
//! let known = known::types(&element, None).next().ok_or("not known")?;
//! assert_eq!((known.what, known.specification), ("receipt request", "XEP-0184"));
//! assert!(known.same(&element, &known.rewrite(&element)?)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::forms::{FORM_TYPE, Form};
use super::sensordata::{Profile, Profiled};
use super::{
    Payload, PayloadError, bind, bind2, blocking, caps, carbons, channel_binding, chat_states,
    commands, component, conference, control, correction, csi, delay, delivery, disco, fast, forms,
    forward, framing, hints, iot_events, last_activity, limits, mam, markers, muc, ping, pubsub,
    receipts, register, reply, roster, rsm, sasl, sasl2, sensordata, sid, sm, starttls,
    thing_command, time, upload, version,
};
use crate::ns;
use crate::stanza::{DefinedCondition, StanzaError};
use crate::stream::{StreamCondition, StreamError, StreamFeatures};
use crate::xml::Element;

/// Which way an element goes, where its name alone does not say what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Asked for: in an iq of type `get`, `set` or `error`, or of the client that logs in.
    Request,
    /// Answered or offered: in an iq of type `result`, or among stream features.
    Answer,
}

/// A type of this crate, and the elements that it is for.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The type's path below [`payload`](super), or its name where it lives elsewhere.
    pub path: &'static str,
    /// What the element is, in a few words.
    pub what: &'static str,
    /// The text that defines it, such as `XEP-0184`.
    pub specification: &'static str,
    /// Where in that text, such as `§5`; empty if the whole text is about it.
    pub section: &'static str,
    /// The side that alone it is for; `None` is either.
    pub side: Option<Side>,
    matches: fn(&Element) -> bool,
    rewrite: fn(&Element) -> Result<Element, PayloadError>,
    same: fn(&Element, &Element) -> Result<bool, PayloadError>,
}

impl Known {
    /// Whether this type is for `element`.
    #[must_use]
    pub fn matches(&self, element: &Element) -> bool {
        (self.matches)(element)
    }

    /// Reads `element` as this type and writes what was read.
    ///
    /// # Errors
    /// [`PayloadError`] if the element breaks the type's rules.
    pub fn rewrite(&self, element: &Element) -> Result<Element, PayloadError> {
        (self.rewrite)(element)
    }

    /// Whether two elements mean the same, read as this type.
    ///
    /// # Errors
    /// [`PayloadError`] if either breaks the type's rules.
    pub fn same(&self, one: &Element, other: &Element) -> Result<bool, PayloadError> {
        (self.same)(one, other)
    }
}

/// The types for `element`, as far as they are for that side; all of them if the side is
/// not known. Where there are several, the element must be readable as one of them.
pub fn types(element: &Element, side: Option<Side>) -> impl Iterator<Item = &'static Known> {
    let fits = move |known: &Known| side.is_none() || known.side.is_none() || known.side == side;
    ALL.iter()
        .filter(move |known| fits(known) && known.matches(element))
}

/// The typed view of the fields of `element`, if it is a data form about something that
/// has one. It is to be readable as that and as [`forms::Form`].
#[must_use]
pub fn view(element: &Element) -> Option<&'static Known> {
    if !Form::matches(element) {
        return None;
    }
    VIEWS.iter().find(|known| known.matches(element))
}

/// A payload that is for one side.
const fn sided<P: Payload + PartialEq>(
    side: Option<Side>,
    path: &'static str,
    what: &'static str,
    (specification, section): (&'static str, &'static str),
) -> Known {
    Known {
        path,
        what,
        specification,
        section,
        side,
        matches: P::matches,
        rewrite: |element| Ok(P::from_element(element)?.to_element()),
        same: |one, other| Ok(P::from_element(one)? == P::from_element(other)?),
    }
}

/// An element whose name is all that it says.
const fn part(
    what: &'static str,
    (specification, section): (&'static str, &'static str),
    matches: fn(&Element) -> bool,
) -> Known {
    Known {
        path: what,
        what,
        specification,
        section,
        side: None,
        matches,
        rewrite: |element| Ok(element.clone()),
        same: |one, other| Ok(one.name() == other.name() && one.ns() == other.ns()),
    }
}

/// A payload: its type, what it is, and where that stands.
macro_rules! payload {
    ($type:ty, $what:literal, $place:expr) => {
        sided::<$type>(None, stringify!($type), $what, $place)
    };
    ($type:ty, $side:ident, $what:literal, $place:expr) => {
        sided::<$type>(Some(Side::$side), stringify!($type), $what, $place)
    };
}

/// A payload in the short words of the compact profiles; in the long ones it has a line of
/// its own.
macro_rules! compact {
    ($type:ty, $what:literal) => {
        Known {
            path: concat!(stringify!($type), ", compact"),
            what: $what,
            specification: "IEEE P1451-99",
            section: "",
            side: None,
            matches: |element| compact_profile::<$type>(element).is_some(),
            rewrite: |element| match compact_profile::<$type>(element) {
                Some(profile) => {
                    Ok(<$type>::from_element_in(element, profile)?.to_element_in(profile))
                }
                None => Ok(element.clone()),
            },
            same: |one, other| Ok(<$type>::find_any([one])? == <$type>::find_any([other])?),
        }
    };
}

fn compact_profile<P: Profiled>(element: &Element) -> Option<Profile> {
    P::profile_of(element).filter(|profile| profile.is_compact())
}

/// A type that has an element for each of its values, and so is no [`Payload`].
macro_rules! each {
    ($type:ty, $what:literal, ($specification:literal, $section:literal)) => {
        Known {
            path: stringify!($type),
            what: $what,
            specification: $specification,
            section: $section,
            side: None,
            matches: |element| <$type>::from_element(element).is_some(),
            rewrite: |element| {
                let read = <$type>::from_element(element);
                Ok(read.map_or_else(|| element.clone(), |value| value.to_element()))
            },
            same: |one, other| Ok(<$type>::from_element(one) == <$type>::from_element(other)),
        }
    };
}

/// A view of a form, and how to write it as a form of the kind that was read.
macro_rules! view {
    ($type:ty, $what:literal, ($specification:literal, $section:literal), $write:expr) => {
        Known {
            path: stringify!($type),
            what: $what,
            specification: $specification,
            section: $section,
            side: None,
            matches: |element| is_about(element, <$type>::FORM_TYPE),
            rewrite: |element| {
                let form = Form::from_element(element)?;
                Ok($write(<$type>::from_form(&form)?, &form).to_element())
            },
            same: |one, other| {
                let read = |element| <$type>::from_form(&Form::from_element(element)?);
                Ok(read(one)? == read(other)?)
            },
        }
    };
    ($type:ty, $what:literal, $place:tt) => {
        view!($type, $what, $place, |view: $type, form: &Form| view
            .to_form(form.kind))
    };
}

/// Whether a form says that it is about that. One that cannot be read says nothing.
fn is_about(element: &Element, form_type: &str) -> bool {
    let field = element
        .children()
        .find(|c| c.is("field", ns::FORMS) && c.attr("var") == Some(FORM_TYPE));
    field.is_some_and(|f| child_is(f, form_type))
        && Form::from_element(element).is_ok_and(|form| form.form_type() == Some(form_type))
}

fn child_is(field: &Element, value: &str) -> bool {
    field
        .child("value", ns::FORMS)
        .is_some_and(|v| v.text() == value)
}

/// Every type for an element.
pub const ALL: &[Known] = &[
    // Streams and stanzas.
    payload!(StreamFeatures, "stream features", ("RFC 6120", "§4.3.2")),
    payload!(StreamError, "stream error", ("RFC 6120", "§4.9")),
    payload!(StanzaError, "stanza error", ("RFC 6120", "§8.3")),
    part("stream error condition", ("RFC 6120", "§4.9.3"), |e| {
        e.ns() == ns::STREAMS
            && (e.name() == "text" || StreamCondition::from_name(e.name()).is_some())
    }),
    part("stanza error condition", ("RFC 6120", "§8.3.3"), |e| {
        e.ns() == ns::STANZAS
            && (e.name() == "text" || DefinedCondition::from_name(e.name()).is_some())
    }),
    part("body", ("RFC 6121", "§5.2.3"), |e| {
        e.is("body", ns::CLIENT)
    }),
    part("subject", ("RFC 6121", "§5.2.4"), |e| {
        e.is("subject", ns::CLIENT)
    }),
    part("thread", ("RFC 6121", "§5.2.5"), |e| {
        e.is("thread", ns::CLIENT)
    }),
    part("show", ("RFC 6121", "§4.7.2.1"), |e| {
        e.is("show", ns::CLIENT)
    }),
    part("status", ("RFC 6121", "§4.7.2.2"), |e| {
        e.is("status", ns::CLIENT)
    }),
    part("priority", ("RFC 6121", "§4.7.2.3"), |e| {
        e.is("priority", ns::CLIENT)
    }),
    payload!(starttls::StartTls, "STARTTLS", ("RFC 6120", "§5.4")),
    payload!(
        starttls::Proceed,
        "STARTTLS to proceed",
        ("RFC 6120", "§5.4.2.3")
    ),
    payload!(
        starttls::Failure,
        "STARTTLS failure",
        ("RFC 6120", "§5.4.2.2")
    ),
    payload!(sasl::Auth, "SASL initiation", ("RFC 6120", "§6.4.2")),
    payload!(sasl::Challenge, "SASL challenge", ("RFC 6120", "§6.4.3")),
    payload!(sasl::Response, "SASL response", ("RFC 6120", "§6.4.3")),
    payload!(sasl::Abort, "SASL abort", ("RFC 6120", "§6.4.4")),
    payload!(sasl::Failure, "SASL failure", ("RFC 6120", "§6.4.5")),
    payload!(sasl::Success, "SASL success", ("RFC 6120", "§6.4.6")),
    part("SASL mechanisms", ("RFC 6120", "§6.3.3"), |e| {
        e.is("mechanisms", ns::SASL)
    }),
    payload!(bind::Bind, "resource binding", ("RFC 6120", "§7")),
    payload!(roster::Roster, "roster", ("RFC 6121", "§2")),
    payload!(
        framing::Open,
        "opening of a stream over WebSocket",
        ("RFC 7395", "§3.4")
    ),
    payload!(
        framing::Close,
        "end of a stream over WebSocket",
        ("RFC 7395", "§3.6")
    ),
    // Extensions, by number.
    payload!(forms::Form, "data form", ("XEP-0004", "§3")),
    payload!(
        last_activity::LastActivity,
        "last activity",
        ("XEP-0012", "§3")
    ),
    payload!(
        disco::DiscoInfo,
        "discovery of information",
        ("XEP-0030", "§3")
    ),
    payload!(disco::DiscoItems, "discovery of items", ("XEP-0030", "§4")),
    payload!(
        conference::DirectInvite,
        "invitation to a room",
        ("XEP-0249", "§2")
    ),
    payload!(muc::Join, "entry into a room", ("XEP-0045", "§7.2")),
    payload!(muc::User, "word of a room", ("XEP-0045", "§7")),
    payload!(
        muc::Admin,
        "roles and affiliations of a room",
        ("XEP-0045", "§9")
    ),
    payload!(muc::Owner, "configuration of a room", ("XEP-0045", "§10")),
    payload!(commands::Command, "command", ("XEP-0050", "§4")),
    each!(
        commands::Condition,
        "error of a command",
        ("XEP-0050", "§4.4")
    ),
    payload!(
        rsm::PageRequest,
        Request,
        "page asked for",
        ("XEP-0059", "§2")
    ),
    payload!(rsm::Page, Answer, "page", ("XEP-0059", "§2")),
    payload!(
        pubsub::Request,
        Request,
        "publish-subscribe request",
        ("XEP-0060", "§5 to §8.1")
    ),
    payload!(
        pubsub::Answer,
        Answer,
        "publish-subscribe answer",
        ("XEP-0060", "§5 to §8.1")
    ),
    payload!(
        pubsub::Owner,
        "publish-subscribe of an owner",
        ("XEP-0060", "§8")
    ),
    payload!(
        pubsub::Event,
        "publish-subscribe notification",
        ("XEP-0060", "§7, §8")
    ),
    each!(
        pubsub::Fault,
        "publish-subscribe error",
        ("XEP-0060", "§18.2")
    ),
    payload!(register::Query, "registration", ("XEP-0077", "§3")),
    payload!(
        register::Feature,
        "registration feature",
        ("XEP-0077", "§8")
    ),
    each!(chat_states::ChatState, "chat state", ("XEP-0085", "§2")),
    payload!(version::Version, "software version", ("XEP-0092", "§4")),
    payload!(
        component::Handshake,
        "handshake of a component",
        ("XEP-0114", "§3")
    ),
    payload!(caps::Caps, "capabilities", ("XEP-0115", "§4")),
    payload!(receipts::Request, "receipt request", ("XEP-0184", "§5")),
    payload!(receipts::Received, "receipt", ("XEP-0184", "§5")),
    payload!(
        sm::Enable,
        "stream management to enable",
        ("XEP-0198", "§3")
    ),
    payload!(sm::Enabled, "stream management enabled", ("XEP-0198", "§3")),
    payload!(sm::Resume, "stream to resume", ("XEP-0198", "§5")),
    payload!(sm::Resumed, "stream resumed", ("XEP-0198", "§5")),
    payload!(
        sm::Failed,
        "stream management failed",
        ("XEP-0198", "§3, §5")
    ),
    payload!(sm::AckRequest, "request to acknowledge", ("XEP-0198", "§4")),
    payload!(sm::Ack, "acknowledgement", ("XEP-0198", "§4")),
    part("stream management feature", ("XEP-0198", "§3"), |e| {
        e.is("sm", ns::SM)
    }),
    payload!(
        blocking::BlockList,
        "list of the blocked",
        ("XEP-0191", "§3.2")
    ),
    payload!(blocking::Block, "blocking", ("XEP-0191", "§3.3")),
    payload!(blocking::Blocked, "whom one blocks", ("XEP-0191", "§3.3")),
    payload!(blocking::Unblock, "unblocking", ("XEP-0191", "§3.4")),
    payload!(ping::Ping, "ping", ("XEP-0199", "§4")),
    payload!(time::Time, "time", ("XEP-0202", "§3")),
    payload!(delay::Delay, "delay", ("XEP-0203", "§4")),
    payload!(carbons::Enable, "carbons to enable", ("XEP-0280", "§4")),
    payload!(carbons::Disable, "carbons to disable", ("XEP-0280", "§5")),
    payload!(carbons::Private, "no carbons", ("XEP-0280", "§9")),
    Known {
        path: "carbons::Carbon",
        what: "carbon",
        specification: "XEP-0280",
        section: "§7, §8",
        side: None,
        matches: |e| carbons::Carbon::from_element(e).is_some(),
        rewrite: |e| match carbons::Carbon::from_element(e) {
            Some(carbon) => Ok(carbon?.to_element()),
            None => Ok(e.clone()),
        },
        same: |one, other| {
            let read = |e| carbons::Carbon::from_element(e).transpose();
            Ok(read(one)? == read(other)?)
        },
    },
    payload!(forward::Forwarded, "forwarded stanza", ("XEP-0297", "§3")),
    payload!(correction::Replace, "correction", ("XEP-0308", "§4")),
    payload!(mam::Query, "archive query", ("XEP-0313", "§4.1")),
    payload!(mam::ArchiveResult, "archived message", ("XEP-0313", "§4.2")),
    payload!(mam::Fin, "end of an archive's page", ("XEP-0313", "§4.3")),
    payload!(mam::Metadata, "content of an archive", ("XEP-0313", "§5")),
    payload!(
        sensordata::Request,
        "request to read sensors",
        ("XEP-0323", "§3")
    ),
    payload!(
        sensordata::Accepted,
        "request to read sensors accepted",
        ("XEP-0323", "§3")
    ),
    payload!(
        sensordata::Rejected,
        "request to read sensors rejected",
        ("XEP-0323", "§3")
    ),
    payload!(
        sensordata::Started,
        "sensors are being read",
        ("XEP-0323", "§3")
    ),
    payload!(sensordata::Fields, "sensor data", ("XEP-0323", "§3")),
    payload!(sensordata::Failure, "sensor failure", ("XEP-0323", "§3.2")),
    payload!(sensordata::Done, "end of sensor data", ("XEP-0323", "§3")),
    payload!(
        sensordata::Cancel,
        "request to read sensors to cancel",
        ("XEP-0323", "§3.7")
    ),
    payload!(
        sensordata::Cancelled,
        "request to read sensors cancelled",
        ("XEP-0323", "§3.7")
    ),
    payload!(control::Set, "parameters to set", ("XEP-0325", "§3.2")),
    payload!(
        control::SetResponse,
        "answer to parameters set",
        ("XEP-0325", "§3.2")
    ),
    payload!(
        control::ParameterError,
        "error of a parameter",
        ("XEP-0325", "§3.1")
    ),
    payload!(
        control::GetForm,
        "request for a control form",
        ("XEP-0325", "§3.3")
    ),
    // The same in short words.
    compact!(sensordata::Request, "request to read sensors"),
    compact!(sensordata::Accepted, "request to read sensors accepted"),
    compact!(sensordata::Started, "sensors are being read"),
    compact!(sensordata::Fields, "sensor data"),
    compact!(sensordata::Done, "end of sensor data"),
    compact!(sensordata::Cancel, "request to read sensors to cancel"),
    compact!(control::Set, "parameters to set"),
    compact!(control::SetResponse, "answer to parameters set"),
    compact!(control::ParameterError, "error of a parameter"),
    compact!(control::GetForm, "request for a control form"),
    payload!(
        iot_events::Subscribe,
        "subscription to sensor data",
        (ns::IOT_EVENTS, "")
    ),
    payload!(
        iot_events::Unsubscribe,
        "end of a subscription to sensor data",
        (ns::IOT_EVENTS, "")
    ),
    compact!(iot_events::Subscribe, "subscription to sensor data"),
    compact!(
        iot_events::Unsubscribe,
        "end of a subscription to sensor data"
    ),
    payload!(markers::Markable, "markable", ("XEP-0333", "§4.1")),
    payload!(markers::Displayed, "displayed marker", ("XEP-0333", "§4.2")),
    each!(hints::Hint, "processing hint", ("XEP-0334", "§4")),
    payload!(csi::Feature, "client state feature", ("XEP-0352", "§4.1")),
    each!(csi::ClientState, "client state", ("XEP-0352", "§4.2")),
    payload!(sid::OriginId, "origin id", ("XEP-0359", "§3")),
    payload!(sid::StanzaId, "stanza id", ("XEP-0359", "§3")),
    payload!(
        upload::Request,
        "place for a file wanted",
        ("XEP-0363", "§5")
    ),
    payload!(upload::Slot, "place for a file", ("XEP-0363", "§5")),
    payload!(upload::FileTooLarge, "file too large", ("XEP-0363", "§6")),
    payload!(upload::Retry, "later, perhaps", ("XEP-0363", "§6")),
    payload!(
        bind2::Feature,
        Answer,
        "Bind 2 feature",
        ("XEP-0386", "§3.1")
    ),
    payload!(
        bind2::Request,
        Request,
        "Bind 2 request",
        ("XEP-0386", "§3.2")
    ),
    payload!(bind2::Bound, "Bind 2 result", ("XEP-0386", "§3.2")),
    payload!(sasl2::Authentication, "SASL2 feature", ("XEP-0388", "§2.1")),
    payload!(
        sasl2::Authenticate,
        "SASL2 initiation",
        ("XEP-0388", "§2.2")
    ),
    payload!(sasl2::UserAgent, "user agent", ("XEP-0388", "§2.3")),
    payload!(sasl2::Challenge, "SASL2 challenge", ("XEP-0388", "§2.5")),
    payload!(sasl2::Response, "SASL2 response", ("XEP-0388", "§2.5")),
    payload!(sasl2::Success, "SASL2 success", ("XEP-0388", "§2.6.1")),
    payload!(sasl2::Failure, "SASL2 failure", ("XEP-0388", "§2.6.2")),
    payload!(sasl2::Continue, "SASL2 tasks", ("XEP-0388", "§2.6.3")),
    payload!(sasl2::Next, "SASL2 task begun", ("XEP-0388", "§2.6.3")),
    payload!(sasl2::TaskData, "SASL2 task data", ("XEP-0388", "§2.6.3")),
    payload!(sasl2::Abort, "SASL2 abort", ("XEP-0388", "§4.5")),
    payload!(
        channel_binding::ChannelBindings,
        "channel-binding types",
        ("XEP-0440", "§2")
    ),
    payload!(mam::Prefs, "archive preferences", ("XEP-0441", "§2")),
    payload!(reply::Reply, "reply", ("XEP-0461", "§3")),
    payload!(limits::StreamLimits, "stream limits", ("XEP-0478", "§4")),
    payload!(fast::Feature, Answer, "FAST feature", ("XEP-0484", "§3.1")),
    payload!(
        fast::RequestToken,
        "request for a token",
        ("XEP-0484", "§3.2")
    ),
    payload!(fast::Token, "token", ("XEP-0484", "§3.3")),
    payload!(fast::Fast, Request, "FAST request", ("XEP-0484", "§3.4")),
    // This project's own.
    payload!(
        delivery::Deliver,
        "message of a channel",
        (ns::DELIVERY, "")
    ),
    payload!(delivery::Answer, "verdicts on messages", (ns::DELIVERY, "")),
    payload!(
        delivery::Verdict,
        "verdict on a message",
        (ns::DELIVERY, "")
    ),
    payload!(delivery::Cancel, "message to cancel", (ns::DELIVERY, "")),
    payload!(
        delivery::Rotate,
        "request for a new epoch",
        (ns::DELIVERY, "")
    ),
    payload!(delivery::Close, "epoch to close", (ns::DELIVERY, "")),
    payload!(delivery::Closed, "epoch closed", (ns::DELIVERY, "")),
    payload!(
        delivery::WrongStore,
        "store that is not here",
        (ns::DELIVERY, "")
    ),
    payload!(
        delivery::Bundle,
        "messages that share a stanza",
        (ns::DELIVERY, "")
    ),
    payload!(delivery::Jids, "addresses of a device", (ns::DELIVERY, "")),
    payload!(delivery::At, "device and store", (ns::DELIVERY, "")),
    payload!(
        thing_command::Command,
        "command that acts once",
        (ns::THING_COMMAND, "")
    ),
    payload!(
        thing_command::CommandOutcome,
        "outcome of a command",
        (ns::THING_COMMAND, "")
    ),
];

/// Every typed view of a form.
pub const VIEWS: &[Known] = &[
    view!(
        mam::Filter,
        "conditions of an archive query",
        ("XEP-0313", "§4.1")
    ),
    view!(
        muc::RoomConfig,
        "configuration of a room",
        ("XEP-0045", "§10.1.3")
    ),
    view!(
        pubsub::NodeConfig,
        "configuration of a node",
        ("XEP-0060", "§17.4.4")
    ),
    view!(
        pubsub::PublishOptions,
        "options of a publication",
        ("XEP-0060", "§7.1.5"),
        |view: pubsub::PublishOptions, _: &Form| view.to_form()
    ),
    view!(
        pubsub::SubscribeOptions,
        "options of a subscription",
        ("XEP-0060", "§17.4.2")
    ),
    view!(
        pubsub::SubscribeAuthorization,
        "approval of a subscription",
        ("XEP-0060", "§17.4.1")
    ),
    view!(
        pubsub::MetaData,
        "what a node tells of itself",
        ("XEP-0060", "§17.4.3")
    ),
];
