//! The mechanisms inside the `rsasl` framework: registry, negotiation and
//! session frame are its, the mechanisms are this crate's.
//!
//! Owns the table of mechanisms and the way of errors through the framework.
//! No protocol logic: a mechanism here asks for its parameters, hands messages
//! to the plain state machine and reports the outcome. To add a mechanism, add
//! one line to [`registry`].

pub(crate) mod client;
pub(crate) mod server;

use rsasl::mechanism::{MechanismError, MechanismErrorKind};
use rsasl::mechname::Mechname;
use rsasl::prelude::{ChannelBindingCallback, Mechanism, Registry, SessionError};
use rsasl::registry::{Matches, Named, Side};
use std::fmt;

use crate::binding::{BindingType, ChannelBindings};
use crate::error::AuthError;
use crate::server::verdict::Refusal;

/// Carries a typed error through the framework, which knows only trait objects.
#[derive(Debug)]
pub(crate) struct Carried<E>(pub(crate) E);

impl<E: fmt::Display> fmt::Display for Carried<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for Carried<E> {}

impl MechanismError for Carried<AuthError> {
    fn kind(&self) -> MechanismErrorKind {
        match self.0 {
            AuthError::Malformed(_) | AuthError::UnexpectedData => MechanismErrorKind::Parse,
            AuthError::Refused(_) => MechanismErrorKind::Outcome,
            _ => MechanismErrorKind::Protocol,
        }
    }
}

impl MechanismError for Carried<Refusal> {
    fn kind(&self) -> MechanismErrorKind {
        MechanismErrorKind::Outcome
    }
}

/// Takes a typed error out again; `None` if it is one of the framework's own.
pub(crate) fn carried<E>(error: SessionError) -> Option<E>
where
    Carried<E>: std::error::Error + 'static,
{
    match error {
        SessionError::MechanismError(inner) => {
            let inner: Box<dyn std::error::Error> = inner;
            inner.downcast::<Carried<E>>().ok().map(|c| c.0)
        }
        _ => None,
    }
}

impl ChannelBindingCallback for ChannelBindings {
    fn get_cb_data(&self, cbname: &str) -> Option<&[u8]> {
        self.get(BindingType::parse(cbname)?)
    }
}

/// Every mechanism, both sides, for the framework to find by name.
pub(crate) fn registry() -> Registry {
    Registry::with_mechanisms(&TABLE)
}

macro_rules! table {
    ($($selector:ident = $name:literal, $client:expr, $server:expr;)*) => {
        $(
            struct $selector;
            impl Named for $selector {
                fn mech() -> &'static Mechanism {
                    &TABLE[Position::$selector as usize]
                }
            }
        )*
        #[derive(Clone, Copy)]
        enum Position { $($selector),* }
        static TABLE: [Mechanism; [$(Position::$selector),*].len()] = [
            $(Mechanism::build(
                Mechname::const_new_unchecked($name.as_bytes()),
                // Never compared: exactly one name is ever put to the framework.
                0,
                Some(|| Ok(Box::new($client))),
                Some(|_| Ok(Box::new($server))),
                Side::Client,
                |_| Some(Matches::<$selector>::name()),
                |_| true,
            )),*
        ];
    };
}

table! {
    ScramSha512Plus = "SCRAM-SHA-512-PLUS", client::Scram::default(), server::Scram::default();
    ScramSha256Plus = "SCRAM-SHA-256-PLUS", client::Scram::default(), server::Scram::default();
    ScramSha1Plus = "SCRAM-SHA-1-PLUS", client::Scram::default(), server::Scram::default();
    ScramSha512 = "SCRAM-SHA-512", client::Scram::default(), server::Scram::default();
    ScramSha256 = "SCRAM-SHA-256", client::Scram::default(), server::Scram::default();
    ScramSha1 = "SCRAM-SHA-1", client::Scram::default(), server::Scram::default();
    External = "EXTERNAL", client::OneMessage(client::external), server::External;
    Plain = "PLAIN", client::OneMessage(client::plain), server::Plain;
    Anonymous = "ANONYMOUS", client::OneMessage(client::anonymous), server::Anonymous;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism;

    #[test]
    fn the_framework_knows_every_mechanism_of_this_crate_and_no_other() {
        let mut table: Vec<_> = TABLE.iter().map(|m| m.mechanism.as_str()).collect();
        let mut ours = mechanism::Mechanism::STRONGEST_FIRST.map(mechanism::Mechanism::as_str);
        table.sort_unstable();
        ours.sort_unstable();
        assert_eq!(table, ours);
    }

    #[test]
    fn every_name_in_the_table_is_a_legal_mechanism_name() {
        for mechanism in &TABLE {
            assert!(Mechname::parse(mechanism.mechanism.as_bytes()).is_ok());
        }
    }
}
