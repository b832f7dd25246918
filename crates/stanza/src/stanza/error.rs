//! Stanza errors (RFC 6120 §8.3): the stream lives on.

use std::fmt;

use crate::jid::Jid;
use crate::ns;
use crate::payload::{Payload, PayloadError, address};
use crate::stream::conditions;
use crate::xml::{Element, Text};

/// What the sender should do (RFC 6120 §8.3.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Retry with credentials.
    Auth,
    /// Do not retry.
    #[default]
    Cancel,
    /// It was only a warning.
    Continue,
    /// Retry with other data.
    Modify,
    /// Retry later.
    Wait,
}

impl ErrorType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }
}

conditions! {
    /// The defined conditions of a stanza error (RFC 6120 §8.3.3).
    DefinedCondition, "§8.3.3", "undefined-condition" {
        /// Malformed, or not what the schema says.
        BadRequest = "bad-request",
        /// Something of that name exists.
        Conflict = "conflict",
        /// The feature is not there.
        FeatureNotImplemented = "feature-not-implemented",
        /// The sender may not.
        Forbidden = "forbidden",
        /// The recipient moved for good; the element may say where.
        Gone = "gone",
        /// The server has a fault.
        InternalServerError = "internal-server-error",
        /// There is no such thing.
        ItemNotFound = "item-not-found",
        /// An address is no JID.
        JidMalformed = "jid-malformed",
        /// It does not meet the recipient's criteria.
        NotAcceptable = "not-acceptable",
        /// Nobody may.
        NotAllowed = "not-allowed",
        /// The sender must authenticate first.
        NotAuthorized = "not-authorized",
        /// A local policy.
        PolicyViolation = "policy-violation",
        /// The recipient is not there now.
        RecipientUnavailable = "recipient-unavailable",
        /// The recipient is elsewhere for now.
        Redirect = "redirect",
        /// The sender must register first.
        RegistrationRequired = "registration-required",
        /// The recipient's server does not exist or cannot be resolved.
        RemoteServerNotFound = "remote-server-not-found",
        /// The recipient's server cannot be reached in time.
        RemoteServerTimeout = "remote-server-timeout",
        /// Out of something.
        ResourceConstraint = "resource-constraint",
        /// The service is not provided.
        ServiceUnavailable = "service-unavailable",
        /// A subscription is required.
        SubscriptionRequired = "subscription-required",
        /// None of the others.
        UndefinedCondition = "undefined-condition",
        /// Not now: out of order.
        UnexpectedRequest = "unexpected-request",
    }
}

/// A stanza error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{condition}{}", text.as_ref().map(|t| format!(": {t}")).unwrap_or_default())]
pub struct StanzaError {
    /// What the sender should do.
    pub kind: ErrorType,
    /// The defined condition.
    pub condition: DefinedCondition,
    /// The content of `gone` or `redirect`: another address.
    pub value: Option<Text>,
    /// Who noticed it.
    pub by: Option<Jid>,
    /// What is said for people.
    pub text: Option<Text>,
    /// An application's own condition.
    pub application: Option<Box<Element>>,
}

impl Default for StanzaError {
    /// What an error without content means.
    fn default() -> Self {
        Self::new(ErrorType::Cancel, DefinedCondition::UndefinedCondition)
    }
}

impl StanzaError {
    /// An error without text.
    #[must_use]
    pub const fn new(kind: ErrorType, condition: DefinedCondition) -> Self {
        Self {
            kind,
            condition,
            value: None,
            by: None,
            text: None,
            application: None,
        }
    }

    /// The same, with a text for people.
    #[must_use]
    pub fn with_text(mut self, text: Text) -> Self {
        self.text = Some(text);
        self
    }
}

impl Payload for StanzaError {
    const NAME: &'static str = "error";
    const NS: &'static str = ns::CLIENT;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let kind = match element.attr("type") {
            Some("auth") => ErrorType::Auth,
            Some("continue") => ErrorType::Continue,
            Some("modify") => ErrorType::Modify,
            Some("wait") => ErrorType::Wait,
            _ => ErrorType::Cancel,
        };
        let mut error = Self::new(kind, DefinedCondition::UndefinedCondition);
        // An address that is no JID says nothing about who noticed the error.
        error.by = address(element, Self::NAME, "by").ok().flatten();
        for child in element.children() {
            if child.ns() != ns::STANZAS {
                error.application = Some(Box::new(child.clone()));
            } else if child.name() == "text" {
                error.text = Some(child.text_value());
            } else if let Some(condition) = DefinedCondition::from_name(child.name()) {
                error.condition = condition;
                error.value = Some(child.text_value()).filter(|t| !t.is_empty());
            }
        }
        Ok(error)
    }

    fn to_element(&self) -> Element {
        let condition = Element::new(self.condition.as_str(), ns::STANZAS)
            .with_text(self.value.clone().unwrap_or_default());
        let mut error = Element::new(Self::NAME, Self::NS)
            .with_attr("type", Text::from_static(self.kind.as_str()))
            .with_attr_opt("by", self.by.as_ref())
            .with_child(condition);
        if let Some(text) = &self.text {
            error.push(Element::new("text", ns::STANZAS).with_text(text.clone()));
        }
        error.with_children(self.application.as_deref().cloned())
    }
}
