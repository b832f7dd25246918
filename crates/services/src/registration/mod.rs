//! In-band registration (XEP-0077) over a session: with a service such as a gateway, and
//! the password and the end of our own account. An account that does not exist yet is made
//! before there is a session: see `stanchion_connect::registration`.

mod error;

use secrecy::{ExposeSecret as _, SecretString};
use stanchion_stanza::payload::forms::Form;
use stanchion_stanza::payload::register::{Field, FieldName, Query, Registration};
use stanchion_stanza::{BareJid, Jid, Payload as _, Text};

pub use error::RegistrationError;

use crate::forms::Filling;
use crate::host::Requests;
use crate::request::{Request, RequestError};

/// What a service wants to know (§3.1), and what is filled in so far. A form comes before
/// the old fields.
#[derive(Debug, Clone)]
pub struct Asked {
    registration: Registration,
    form: Option<Filling>,
    filled: Vec<Field>,
}

impl Asked {
    fn new(registration: Registration) -> Self {
        let form = registration.form.as_ref();
        let form = form.and_then(|form| Form::from_element(form).ok());
        Self {
            form: form.map(|form| Filling::of(&form)),
            filled: Vec::new(),
            registration,
        }
    }

    /// Whether we are registered there already.
    #[must_use]
    pub const fn is_registered(&self) -> bool {
        self.registration.registered
    }

    /// All that the service says: instructions for people, and where else one can
    /// register (§5).
    #[must_use]
    pub const fn registration(&self) -> &Registration {
        &self.registration
    }

    /// The form to fill in, if it is one.
    #[must_use]
    pub fn form(&self) -> Option<&Form> {
        self.form.as_ref().map(Filling::form)
    }

    /// Fills a field in, by its name in the form or, without one, of those in §14.1.
    ///
    /// # Errors
    /// [`RegistrationError::Fill`]; nothing is changed then.
    pub fn set(&mut self, field: &str, value: &str) -> Result<&mut Self, RegistrationError> {
        use crate::forms::FillError;
        if let Some(form) = &mut self.form {
            form.set(field, value)?;
            return Ok(self);
        }
        let unknown = || FillError::NoSuchField(field.to_owned());
        let name = FieldName::from_name(field).ok_or_else(unknown)?;
        self.registration.field(name).ok_or_else(unknown)?;
        let value = Text::new(value).map_err(|_| FillError::Characters(field.to_owned()))?;
        self.filled.retain(|f| f.name != name);
        self.filled.push(Field { name, value });
        Ok(self)
    }

    fn query(&self) -> Result<Query, RegistrationError> {
        use crate::forms::FillError;
        let mut registration = Registration::default();
        match &self.form {
            Some(form) => registration.form = Some(form.submit()?.to_element()),
            None => {
                // All that is asked for is wanted (§3.1); a key goes back as it came (§7).
                for asked in &self.registration.fields {
                    let filled = self.filled.iter().find(|f| f.name == asked.name);
                    let field = filled.unwrap_or(asked);
                    if field.value.is_empty() {
                        let name = asked.name.as_str().to_owned();
                        return Err(FillError::Missing(name).into());
                    }
                    registration.fields.push(field.clone());
                }
            }
        }
        Ok(Query::Registration(registration))
    }
}

/// What `service` wants to know of those who register (§3.1).
///
/// # Errors
/// [`RegistrationError`].
pub async fn asked(requests: &Requests, service: Jid) -> Result<Asked, RegistrationError> {
    let request = Request::get(Some(service), Query::get().to_element());
    match requests.ask_for(request).await? {
        Query::Registration(registration) => Ok(Asked::new(registration)),
        Query::Remove => {
            let what = "<remove/> in an answer".to_owned();
            Err(RequestError::Unreadable(what).into())
        }
    }
}

/// Registers with `service`, or changes what it knows (§3.1).
///
/// # Errors
/// [`RegistrationError`].
pub async fn register(
    requests: &Requests,
    service: Jid,
    filled: &Asked,
) -> Result<(), RegistrationError> {
    set(requests, Some(service), &filled.query()?).await
}

/// Gives our account another password (§3.3). It goes over the stream as it is: only over
/// one that is encrypted, to a server that is verified. Sessions of the account go on, and
/// each needs the new password for its next login, this one too.
///
/// # Errors
/// [`RegistrationError`]. After [`RequestError::Lost`] or [`RequestError::TimedOut`] nobody
/// knows which of the two passwords is good: try both.
pub async fn change_password(
    requests: &Requests,
    account: &BareJid,
    password: &SecretString,
) -> Result<(), RegistrationError> {
    use crate::forms::FillError;
    let missing = |what: &str| FillError::Missing(what.to_owned());
    let user = account.local().ok_or_else(|| missing("username"))?;
    // An empty one would change nothing (§3.3), and be taken for a success.
    if password.expose_secret().is_empty() {
        return Err(missing("password").into());
    }
    let text = |what: &str, s: &str| Text::new(s).map_err(|_| FillError::Characters(what.into()));
    let registration = Registration::account(
        text("username", user)?,
        text("password", password.expose_secret())?,
    );
    let query = Query::Registration(registration);
    set(requests, server_of(account), &query).await
}

/// Answers the form that a server demanded before it changes a password or ends a
/// registration ([`RegistrationError::FormDemanded`]).
///
/// # Errors
/// [`RegistrationError`].
pub async fn answer(
    requests: &Requests,
    to: Option<Jid>,
    form: &Filling,
) -> Result<(), RegistrationError> {
    let registration = Registration {
        form: Some(form.submit()?.to_element()),
        ..Registration::default()
    };
    set(requests, to, &Query::Registration(registration)).await
}

/// Ends the registration with `service`; none: of our own account at its server, which
/// then exists no more, and ends all its sessions (§3.2). That may come before the answer:
/// then it is [`RequestError::Lost`].
///
/// # Errors
/// [`RegistrationError`].
pub async fn cancel(requests: &Requests, service: Option<Jid>) -> Result<(), RegistrationError> {
    set(requests, service, &Query::Remove).await
}

async fn set(requests: &Requests, to: Option<Jid>, query: &Query) -> Result<(), RegistrationError> {
    requests.ask(Request::set(to, query.to_element())).await?;
    Ok(())
}

fn server_of(account: &BareJid) -> Option<Jid> {
    Jid::from_parts(None, account.domain(), None).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::FillError;

    fn asked(fields: &[(FieldName, &'static str)]) -> Asked {
        let fields = fields.iter().map(|(name, value)| Field {
            name: *name,
            value: Text::from_static(value),
        });
        Asked::new(Registration {
            fields: fields.collect(),
            ..Registration::default()
        })
    }

    #[test]
    fn old_fields_are_all_wanted_and_a_key_goes_back_as_it_came() {
        let mut asked = asked(&[
            (FieldName::Username, ""),
            (FieldName::Password, ""),
            (FieldName::Key, "k"),
        ]);
        let unknown = asked.set("email", "a@b").unwrap_err();
        let no_such = FillError::NoSuchField("email".into());
        assert!(matches!(unknown, RegistrationError::Fill(e) if e == no_such));
        asked.set("username", "bill").unwrap();
        let missing = asked.query().unwrap_err();
        let password = FillError::Missing("password".into());
        assert!(matches!(missing, RegistrationError::Fill(e) if e == password));
        asked
            .set("password", "a")
            .unwrap()
            .set("password", "b")
            .unwrap();
        let Query::Registration(query) = asked.query().unwrap() else {
            panic!("no registration")
        };
        let values: Vec<_> = query.fields.iter().map(|f| f.value.as_str()).collect();
        assert_eq!(values, ["bill", "b", "k"]);
    }

    #[test]
    fn a_form_comes_before_old_fields() {
        use stanchion_stanza::payload::forms::{self, FormType};
        let nick = forms::Field {
            var: Some(Text::from_static("nick")),
            required: true,
            ..forms::Field::default()
        };
        let form = Form::new(FormType::Form).with(nick);
        let mut asked = Asked::new(Registration {
            fields: vec![Field {
                name: FieldName::Username,
                value: Text::default(),
            }],
            form: Some(form.to_element()),
            ..Registration::default()
        });
        assert!(asked.set("username", "x").is_err() && asked.query().is_err());
        asked.set("nick", "bill").unwrap();
        let Query::Registration(query) = asked.query().unwrap() else {
            panic!("no registration")
        };
        assert!(
            query.fields.is_empty() && query.form.is_some(),
            "never both"
        );
    }
}
