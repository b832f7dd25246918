//! Accounts made in band, before a login and inside TLS (XEP-0077 §3.1). Keeping them is
//! the [`Registrar`]'s.

use secrecy::SecretString;
use stanchion_stanza::payload::register::{FieldName, Query, Registration};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::stream::StreamCondition;
use stanchion_stanza::{Element, Iq, Payload as _, Stanza, Text, ns};

use super::{Negotiation, Output};

/// Makes accounts.
pub trait Registrar: Send + Sync {
    /// Makes an account. Computes for some milliseconds. Its localpart.
    ///
    /// # Errors
    /// What to tell the client: `conflict`, `not-acceptable`, `resource-constraint`.
    fn register(&self, name: &str, password: &SecretString) -> Result<String, StanzaError>;
}

impl Negotiation {
    /// Whether that is a request for an account, at a hub that makes some.
    pub(super) fn registers(&self, element: &Element) -> bool {
        self.shared.registrar.is_some()
            && element.is("iq", ns::CLIENT)
            && element.child("query", ns::REGISTER).is_some()
    }

    /// Answers it.
    pub(super) fn registration(&mut self, element: Element) {
        let Ok(Stanza::Iq(iq)) = Stanza::from_element(element) else {
            return self.fail(StreamCondition::BadFormat);
        };
        if !iq.is_request() {
            return;
        }
        let to = iq.header.to.as_ref();
        let answer = if to.is_some_and(|to| *to != self.shared.domain) {
            Err(refusal(ErrorType::Cancel, DefinedCondition::NotAllowed))
        } else {
            self.answer(&iq)
        };
        let reply = match answer {
            Ok(payload) => iq.result(payload),
            Err(error) => iq.refuse(error),
        };
        self.outputs.push_back(Output::Send(reply.to_element()));
        // Whoever guesses at names is to pay for it with a connection.
        if self.registrations >= self.shared.policy.max_failures {
            self.fail(StreamCondition::PolicyViolation);
        }
    }

    fn answer(&mut self, iq: &Iq) -> Result<Option<Element>, StanzaError> {
        let bad = || refusal(ErrorType::Modify, DefinedCondition::BadRequest);
        let child = match &iq.kind {
            IqKind::Get(_) => {
                let mut asked = Registration::account(Text::default(), Text::default());
                asked.instructions = Some(Text::from_static("Choose a name and a password."));
                return Ok(Some(Query::Registration(asked).to_element()));
            }
            IqKind::Set(child) => child,
            IqKind::Result(_) | IqKind::Error(..) => return Err(bad()),
        };
        self.registrations += 1;
        let filled = match Query::from_element(child) {
            Ok(Query::Registration(filled)) => filled,
            // §3.2: one who is not logged in cannot remove anything.
            Ok(Query::Remove) => {
                let condition = DefinedCondition::RegistrationRequired;
                return Err(refusal(ErrorType::Auth, condition));
            }
            Err(_) => return Err(bad()),
        };
        let name = filled.field(FieldName::Username);
        let password = filled.field(FieldName::Password);
        let (Some(name), Some(password), Some(registrar)) =
            (name, password, &self.shared.registrar)
        else {
            return Err(refusal(ErrorType::Modify, DefinedCondition::NotAcceptable));
        };
        let password = SecretString::from(password.as_str().to_owned());
        let account = registrar.register(name, &password)?;
        self.outputs.push_back(Output::Registered { account });
        Ok(None)
    }
}

const fn refusal(kind: ErrorType, condition: DefinedCondition) -> StanzaError {
    StanzaError::new(kind, condition)
}
