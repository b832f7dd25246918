//! Accounts made in band, before a login and inside TLS (XEP-0077 §3.1), and what becomes of
//! them after it: another password (§3.3), and their end (§3.2). Keeping them is the
//! [`Registrar`]'s, what else an account owns the `router`'s.

use secrecy::SecretString;
use stanchion_stanza::payload::register::{FieldName, Query, Registration};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::stream::StreamCondition;
use stanchion_stanza::{Element, Iq, Jid, Payload as _, Stanza, Text, ns};

use super::{Negotiation, Output, State};

/// Passwords that one connection may set: each computes for some milliseconds.
const CHANGES: u32 = 16;

/// Makes accounts.
pub trait Registrar: Send + Sync {
    /// Makes an account. Computes for some milliseconds. Its localpart.
    ///
    /// # Errors
    /// What to tell the client: `conflict`, `not-acceptable`, `resource-constraint`.
    fn register(&self, name: &str, password: &SecretString) -> Result<String, StanzaError>;

    /// Gives an account another password. Computes for some milliseconds.
    ///
    /// # Errors
    /// What to tell the client: `not-allowed`, `not-acceptable`.
    fn change(&self, account: &str, password: &SecretString) -> Result<(), StanzaError>;

    /// Ends an account: nobody logs in to it any more.
    ///
    /// # Errors
    /// What to tell the client: `not-allowed`.
    fn end(&self, account: &str) -> Result<(), StanzaError>;
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

    /// Whether that is a request about the account that is logged in, at a hub that makes
    /// accounts: to its server, or to itself.
    pub(super) fn concerns_account(&self, element: &Element) -> bool {
        let State::Open {
            account: Some(account),
        } = &self.state
        else {
            return false;
        };
        let domain = &self.shared.domain;
        let own = |to: Jid| {
            to == *domain
                || (to.is_bare() && to.local() == Some(account) && to.domain() == domain.domain())
        };
        self.registers(element)
            && matches!(element.attr("type"), Some("get" | "set"))
            && element
                .attr("to")
                .is_none_or(|to| Jid::new(to).is_ok_and(own))
    }

    /// Does what it asks for; the router answers, in its turn.
    pub(super) fn about_account(&mut self, element: Element) {
        let State::Open {
            account: Some(account),
        } = &self.state
        else {
            return;
        };
        let account = account.clone();
        let Ok(Stanza::Iq(iq)) = Stanza::from_element(element.clone()) else {
            // What is wrong with it is the router's to say.
            return self.outputs.push_back(Output::Element(element));
        };
        let (answer, ended) = match self.change(&account, &iq) {
            Ok(Done::Told(payload)) => (Ok(Some(payload)), None),
            Ok(Done::Changed) => (Ok(None), None),
            Ok(Done::Ended) => (Ok(None), Some(account)),
            Err(error) => (Err(error), None),
        };
        self.outputs.push_back(Output::Account {
            request: Box::new(iq),
            answer,
            ended,
        });
    }

    fn change(&mut self, account: &str, iq: &Iq) -> Result<Done, StanzaError> {
        let bad = || refusal(ErrorType::Modify, DefinedCondition::BadRequest);
        let not_allowed = || refusal(ErrorType::Cancel, DefinedCondition::NotAllowed);
        let registrar = self.shared.registrar.clone().ok_or_else(not_allowed)?;
        let child = match &iq.kind {
            IqKind::Get(_) => {
                let name = Text::new(account).map_err(|_| bad())?;
                let mut known = Registration::account(name, Text::default());
                known.registered = true;
                return Ok(Done::Told(Query::Registration(known).to_element()));
            }
            IqKind::Set(child) => child,
            IqKind::Result(_) | IqKind::Error(..) => return Err(bad()),
        };
        let filled = match Query::from_element(child) {
            Ok(Query::Registration(filled)) => filled,
            Ok(Query::Remove) => {
                registrar.end(account)?;
                return Ok(Done::Ended);
            }
            Err(_) => return Err(bad()),
        };
        let (Some(name), Some(password)) = (
            filled.field(FieldName::Username),
            filled.field(FieldName::Password),
        ) else {
            return Err(bad());
        };
        // Everybody changes their own.
        if (self.shared.localpart)(name).as_deref() != Some(account) {
            return Err(not_allowed());
        }
        self.changes += 1;
        if self.changes > CHANGES {
            let condition = DefinedCondition::ResourceConstraint;
            return Err(refusal(ErrorType::Wait, condition));
        }
        let password = SecretString::from(password.as_str().to_owned());
        registrar.change(account, &password)?;
        Ok(Done::Changed)
    }
}

/// What became of a request about an account.
enum Done {
    Told(Element),
    Changed,
    Ended,
}

const fn refusal(kind: ErrorType, condition: DefinedCondition) -> StanzaError {
    StanzaError::new(kind, condition)
}
