//! What is said of a server that goes wrong during the login, and what the end of a stream
//! is taken for. No state: what was under way is told by the caller.

use stanchion_stanza::Element;
use stanchion_stanza::stream::{StreamCondition, StreamError};

use crate::error::{ConnectError, Retry, ShortCut, shortened};
use crate::misbehaviour::Misbehaviour;
use crate::phase::Phase;

pub(super) fn ahead_refused(source: Option<ConnectError>) -> ConnectError {
    ConnectError::ShortCutRefused {
        short_cut: ShortCut::Ahead,
        source: source.map(Box::new),
    }
}

/// Whether a stream error in answer to `<resume/>` says that the session is gone, and
/// not that this server has no time now.
pub(super) fn costs_the_session(error: &StreamError) -> bool {
    match error.condition {
        // One server answers so to a count that is too high, and drops the session.
        StreamCondition::UndefinedCondition | StreamCondition::PolicyViolation => true,
        condition => {
            let error = ConnectError::Stream {
                endpoint: None,
                phase: Phase::Resumption,
                error: StreamError::new(condition),
            };
            error.retry() == Retry::Never
        }
    }
}

/// Whether a server may say this of what it did not expect yet, and of a login that goes
/// on after a refused token. The others are about the server or the account.
pub(super) const fn may_be_about_a_short_cut(condition: StreamCondition) -> bool {
    matches!(
        condition,
        StreamCondition::BadFormat
            | StreamCondition::BadNamespacePrefix
            | StreamCondition::InternalServerError
            | StreamCondition::InvalidNamespace
            | StreamCondition::InvalidXml
            | StreamCondition::NotAuthorized
            | StreamCondition::NotWellFormed
            | StreamCondition::PolicyViolation
            | StreamCondition::RestrictedXml
            | StreamCondition::UndefinedCondition
            | StreamCondition::UnsupportedFeature
            | StreamCondition::UnsupportedStanzaType
    )
}

pub(super) fn payload(
    section: &'static str,
) -> impl Fn(stanchion_stanza::payload::PayloadError) -> ConnectError {
    move |source| Misbehaviour::Payload { section, source }.into()
}

pub(super) fn out_of_order(
    got: &str,
    awaited: &'static str,
    section: &'static str,
) -> ConnectError {
    Misbehaviour::OutOfOrder {
        got: shortened(got),
        awaited,
        section,
    }
    .into()
}

pub(super) fn unexpected(
    e: &Element,
    awaited: &'static str,
    section: &'static str,
) -> ConnectError {
    out_of_order(
        &format!("<{} xmlns='{}'/>", shortened(e.name()), shortened(e.ns())),
        awaited,
        section,
    )
}
