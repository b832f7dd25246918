//! How a login ends on the server's side: who logged in, or why nobody did.
//!
//! Owns the answer alone. It is found in the mechanisms' callback, and told in
//! [`crate::server`].

use crate::binding::BindingType;
use crate::condition::SaslCondition;
use crate::mechanism::Mechanism;

/// Who logged in, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The mechanism used.
    pub mechanism: Mechanism,
    /// Who it is.
    pub identity: Identity,
    /// Whom it acts as, if it named somebody: already checked.
    pub authzid: Option<String>,
    /// What the login is bound with.
    pub binding: Option<BindingType>,
    /// Data for `<success/>`, such as the server's signature. The client needs it.
    pub additional_data: Option<Vec<u8>>,
}

/// Who logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identity {
    /// An account of the [`AccountStore`](crate::accounts::AccountStore), its
    /// user name after SASLprep.
    Account(String),
    /// An identity of the client's certificate.
    Certificate(String),
    /// Nobody in particular; the server makes an address up (RFC 6120 §6.3.8).
    Anonymous,
}

/// Why the login was refused, as told to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{condition}")]
#[non_exhaustive]
pub struct Refusal {
    /// The condition for `<failure/>`.
    pub condition: SaslCondition,
    /// A text for people, if there is something to tell.
    pub text: Option<&'static str>,
}

impl From<SaslCondition> for Refusal {
    fn from(condition: SaslCondition) -> Self {
        Self {
            condition,
            text: None,
        }
    }
}
