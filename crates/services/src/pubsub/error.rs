//! What a service refuses, in words that say what to do; and which refusals pass by
//! themselves.

use std::fmt;

use stanchion_stanza::payload::pubsub::{Condition, Fault};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};

use crate::request::RequestError;
use crate::slot::Ended;

/// Why something of publish/subscribe was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PubsubError {
    /// The service refused.
    #[error("{0}")]
    Refused(Reason),
    /// There was no answer.
    #[error(transparent)]
    Unanswered(RequestError),
    /// The answer is none to that question.
    #[error("the service's answer to {0} cannot be understood; is it a publish/subscribe service?")]
    Unexpected(&'static str),
    /// The payload is larger than services take.
    #[error("the payload is larger than {0} bytes; publish a reference to it")]
    TooBig(usize),
    /// As many publishers or subscriptions as there may be.
    #[error("{0} of these are open; close some")]
    TooMany(usize),
    /// A subscription to that node is open already; its items go to one taker.
    #[error("a subscription to {0} is open already; use that one, or drop it first")]
    AlreadyOpen(String),
    /// What is kept cannot be read or changed.
    #[error("the store cannot be used: {0}")]
    Store(String),
    /// The services have ended.
    #[error("the client has ended")]
    Ended,
}

impl From<RequestError> for PubsubError {
    fn from(error: RequestError) -> Self {
        match &error {
            RequestError::Refused { .. } => Self::Refused(Reason::of(&error)),
            RequestError::Closed => Self::Ended,
            _ => Self::Unanswered(error),
        }
    }
}

impl From<Ended> for PubsubError {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

impl PubsubError {
    /// Why the service refused, if it did.
    #[must_use]
    pub const fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Refused(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether it refused for this reason (XEP-0060 §18.2).
    #[must_use]
    pub fn is(&self, condition: Condition) -> bool {
        self.reason()
            .and_then(|reason| reason.fault.as_ref())
            .is_some_and(|fault| fault.condition == condition)
    }

    /// Whether there is no such node or item.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.reason()
            .is_some_and(|r| r.condition == DefinedCondition::ItemNotFound)
    }
}

/// Why a service refused something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// In terms of XMPP (RFC 6120 §8.3.3).
    pub condition: DefinedCondition,
    /// In terms of publish/subscribe (XEP-0060 §18.2), if it says.
    pub fault: Option<Fault>,
    /// In its own words.
    pub text: Option<String>,
}

impl Reason {
    /// What an error says.
    pub(crate) fn of(error: &RequestError) -> Self {
        match error.refusal() {
            Some(refusal) => Self {
                condition: refusal.condition,
                fault: Fault::of(refusal),
                text: refusal.text.as_ref().map(|text| short(text)),
            },
            None => Self {
                condition: DefinedCondition::UndefinedCondition,
                fault: None,
                text: Some(error.to_string()),
            },
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        use Condition as C;
        use DefinedCondition as D;
        match self.fault.as_ref().map(|fault| fault.condition) {
            Some(C::ClosedNode) => "the node takes no more subscriptions; ask its owner",
            Some(C::ConfigurationRequired) => "set the subscription's options first",
            Some(C::InvalidJid) => "subscribe with your own address",
            Some(C::InvalidOptions) => "ask for the options that there are",
            Some(C::InvalidPayload) => "publish one payload of the node's type",
            Some(C::InvalidSubid) => "list the subscriptions; there is none of that id",
            Some(C::ItemForbidden) => "the node has no items; publish without one",
            Some(C::ItemRequired | C::PayloadRequired) => "publish an item with a payload",
            Some(C::JidRequired) => "name the subscriber",
            Some(C::MaxItemsExceeded) => "the node is full; purge it, or let it hold more",
            Some(C::MaxNodesExceeded) => "delete nodes that are not needed",
            Some(C::NodeidRequired) => "name the node",
            Some(C::NotInRosterGroup) => "have its owner put you into one of its roster groups",
            Some(C::NotSubscribed) => "subscribe first",
            Some(C::PayloadTooBig) => "publish less at once, or let the node take more",
            Some(C::PendingSubscription) => "wait until the owner approves",
            Some(C::PreconditionNotMet) => "configure the node as the publish options say",
            Some(C::PresenceSubscriptionRequired) => "subscribe to the owner's presence first",
            Some(C::SubidRequired) => "say which of the subscriptions",
            Some(C::TooManySubscriptions) => "end subscriptions that are not needed",
            Some(C::Unsupported) => "the service lacks this feature; use another way or service",
            Some(C::UnsupportedAccessModel) => "choose another access model",
            _ => match self.condition {
                D::ItemNotFound => "create it, or look at its name",
                D::Conflict => "it is there already; configure it, or choose another name",
                D::Forbidden | D::NotAuthorized | D::NotAllowed => {
                    "have the node's owner give you the affiliation that this needs"
                }
                D::RegistrationRequired | D::SubscriptionRequired => "register or subscribe first",
                D::FeatureNotImplemented => "the service lacks this feature; use another way",
                D::ServiceUnavailable | D::RemoteServerNotFound | D::RemoteServerTimeout => {
                    "the service is not there; look at its address, or try later"
                }
                D::ResourceConstraint | D::PolicyViolation => {
                    "the service limits this; do it less often, or smaller"
                }
                D::NotAcceptable | D::BadRequest => "the service does not take it in this form",
                _ => "see what the service says",
            },
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.condition)?;
        if let Some(fault) = &self.fault {
            write!(f, ", {}", fault.condition.as_str())?;
            if let Some(feature) = &fault.feature {
                write!(f, " ({})", short(feature))?;
            }
        }
        if let Some(text) = &self.text {
            write!(f, ": {text}")?;
        }
        write!(f, "; {}", self.advice())
    }
}

/// A stranger's words, on one line that is not too long.
fn short(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(200).collect()
}

/// Whether the same may succeed at another time.
pub(crate) fn is_transient(error: &RequestError) -> bool {
    match error {
        RequestError::Refused { error, .. } => refusal_is_transient(error),
        RequestError::Unreadable(_) | RequestError::Closed => false,
        _ => true,
    }
}

fn refusal_is_transient(error: &StanzaError) -> bool {
    use DefinedCondition as D;
    // A service says what is wrong with a request; that it is not there says a server, in
    // its place and for the time being (RFC 6120 §8.3.3).
    error.kind == ErrorType::Wait
        || (Fault::of(error).is_none()
            && matches!(
                error.condition,
                D::ServiceUnavailable
                    | D::RemoteServerNotFound
                    | D::RemoteServerTimeout
                    | D::RecipientUnavailable
                    | D::InternalServerError
            ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: ErrorType, condition: DefinedCondition) -> RequestError {
        RequestError::Refused {
            by: None,
            error: Box::new(StanzaError::new(kind, condition)),
            beside: None,
        }
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        use DefinedCondition as D;
        for (kind, condition, passes) in [
            (ErrorType::Wait, D::ResourceConstraint, true),
            (ErrorType::Wait, D::InternalServerError, true),
            (ErrorType::Cancel, D::ServiceUnavailable, true),
            (ErrorType::Cancel, D::RemoteServerNotFound, true),
            (ErrorType::Auth, D::Forbidden, false),
            (ErrorType::Cancel, D::ItemNotFound, false),
            (ErrorType::Modify, D::NotAcceptable, false),
        ] {
            assert_eq!(
                is_transient(&refused(kind, condition)),
                passes,
                "{condition}"
            );
        }
        assert!(is_transient(&RequestError::Lost));
    }

    #[test]
    fn a_refusal_says_what_to_do_and_cannot_steer_a_terminal() {
        let mut error = StanzaError::new(ErrorType::Auth, DefinedCondition::NotAuthorized);
        let fault = Fault::from(Condition::PresenceSubscriptionRequired);
        error.application = Some(Box::new(fault.to_element()));
        error.text = Some(stanchion_stanza::Text::new("no\nway").unwrap());
        let error = PubsubError::from(RequestError::Refused {
            by: None,
            error: Box::new(error),
            beside: None,
        });
        assert!(error.is(Condition::PresenceSubscriptionRequired));
        assert_eq!(
            error.to_string(),
            "refused: not-authorized, presence-subscription-required: no way; subscribe to the \
             owner's presence first"
        );
    }
}
