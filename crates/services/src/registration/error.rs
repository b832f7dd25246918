//! Why a registration was not made, changed or ended (XEP-0077 §3).

use stanchion_stanza::Payload as _;
use stanchion_stanza::payload::forms::Form;
use stanchion_stanza::payload::register::Query;
use stanchion_stanza::stanza::{DefinedCondition, StanzaError};

use crate::forms::{FillError, Filling};
use crate::request::RequestError;

/// Why not.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// Somebody has that name.
    #[error("the name is taken; choose another")]
    Taken(StanzaError),
    /// Something is missing or unfit: a password that is too weak, say.
    #[error("the service does not accept what was given ({0}); correct it")]
    NotAcceptable(StanzaError),
    /// It does not allow this to anybody, or not in this way.
    #[error("the service does not allow it ({0}); ask its operator")]
    NotAllowed(StanzaError),
    /// The connection is not safe enough for it, or we are not who may do it.
    #[error("the service does not trust us with it ({0})")]
    NotAuthorized(StanzaError),
    /// There is no registration that could be changed or ended.
    #[error("we are not registered there ({0}); register first")]
    NotRegistered(StanzaError),
    /// It is asked too often.
    #[error("too many registrations ({0}); try later")]
    TooMany(StanzaError),
    /// A form is to be filled in first: see [`answer`](super::answer).
    #[error("the service wants a form to be filled in first ({error})")]
    FormDemanded {
        /// The form.
        form: Box<Filling>,
        /// What it said.
        error: StanzaError,
    },
    /// The stream is in the clear, or nobody knows with whom: a password does not go over
    /// it (§3.3).
    #[error("the connection does not protect a password; connect with TLS to a verified server")]
    Unprotected,
    /// What was filled in does not fit.
    #[error(transparent)]
    Fill(#[from] FillError),
    /// No answer, or another refusal.
    #[error(transparent)]
    Request(RequestError),
}

impl From<RequestError> for RegistrationError {
    fn from(error: RequestError) -> Self {
        use DefinedCondition as C;
        let RequestError::Refused { by, error, beside } = error else {
            return Self::Request(error);
        };
        let form = match beside.as_deref().map(Query::from_element) {
            Some(Ok(Query::Registration(registration))) => registration.form,
            _ => None,
        };
        if let Some(Ok(form)) = form.as_ref().map(Form::from_element) {
            return Self::FormDemanded {
                form: Box::new(Filling::of(&form)),
                error: *error,
            };
        }
        match error.condition {
            C::Conflict => Self::Taken(*error),
            C::NotAcceptable | C::BadRequest | C::JidMalformed => Self::NotAcceptable(*error),
            C::NotAllowed | C::PolicyViolation => Self::NotAllowed(*error),
            C::NotAuthorized | C::Forbidden => Self::NotAuthorized(*error),
            C::RegistrationRequired | C::UnexpectedRequest => Self::NotRegistered(*error),
            C::ResourceConstraint => Self::TooMany(*error),
            _ => Self::Request(RequestError::Refused { by, error, beside }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_stanza::Text;
    use stanchion_stanza::payload::forms::FormType;
    use stanchion_stanza::payload::register::Registration;
    use stanchion_stanza::stanza::ErrorType;

    fn refused(condition: DefinedCondition, form: Option<Form>) -> RegistrationError {
        let beside = form.map(|form| {
            let registration = Registration {
                form: Some(form.to_element()),
                ..Registration::default()
            };
            Box::new(Query::Registration(registration).to_element())
        });
        let error = Box::new(StanzaError::new(ErrorType::Cancel, condition));
        let by = None;
        RequestError::Refused { by, error, beside }.into()
    }

    #[test]
    fn a_refusal_is_named_by_what_can_be_done_about_it() {
        use RegistrationError as E;
        let plain = |condition| refused(condition, None);
        assert!(matches!(plain(DefinedCondition::Conflict), E::Taken(_)));
        let gone = plain(DefinedCondition::RegistrationRequired);
        assert!(matches!(gone, E::NotRegistered(_)));
        let other = plain(DefinedCondition::ServiceUnavailable);
        assert!(matches!(other, E::Request(RequestError::Refused { .. })));
        let field = stanchion_stanza::payload::forms::Field::new(
            Text::from_static("old_password"),
            Text::default(),
        );
        let form = Form::new(FormType::Form).with(field);
        let demanded = refused(DefinedCondition::NotAuthorized, Some(form.clone()));
        assert!(matches!(demanded, E::FormDemanded { form: f, .. } if *f.form() == form));
    }
}
