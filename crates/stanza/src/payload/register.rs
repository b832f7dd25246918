//! In-band registration (XEP-0077): an account made, changed or removed over the stream.
//! Passwords go in the clear: only over TLS.

use std::fmt;

use super::parts::names;
use super::starttls::empty_payload;
use super::{Payload, PayloadError};
use crate::ns;
use crate::xml::{Element, Text};

empty_payload! {
    /// The stream feature, before authentication (§8).
    Feature, "register", ns::REGISTER_FEATURE
}

names! {
    /// What a host may ask for without a form (§14.1). There are no others: a host that
    /// wants more sends a form (§4).
    FieldName {
        /// The local part of the account's address.
        Username = "username",
        /// A familiar name.
        Nick = "nick",
        /// The password.
        Password = "password",
        /// The full name.
        Name = "name",
        /// The given name.
        First = "first",
        /// The family name.
        Last = "last",
        /// An email address.
        Email = "email",
        /// The street of a postal address.
        Address = "address",
        /// The city of a postal address.
        City = "city",
        /// The state of a postal address.
        State = "state",
        /// The code of a postal address.
        Zip = "zip",
        /// A telephone number.
        Phone = "phone",
        /// The address of a web page.
        Url = "url",
        /// Some date.
        Date = "date",
        /// Obsolete.
        Misc = "misc",
        /// Obsolete.
        Text = "text",
        /// Obsolete: a key of this transaction (§7).
        Key = "key",
    }
}

/// One field: asked for, if it is empty in a result; filled in, in a set.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    /// Which.
    pub name: FieldName,
    /// Its value. An empty password changes nothing (§3.3).
    pub value: Text,
}

impl fmt::Debug for Field {
    /// The value may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Field");
        shown.field("name", &self.name);
        match self.name {
            FieldName::Password | FieldName::Key => shown.finish_non_exhaustive(),
            _ => shown.field("value", &self.value).finish(),
        }
    }
}

/// What is known, asked for or filled in. A form comes before fields, and those before
/// a page to go to (§6); do not submit both form and fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// Whether there is an account already; the fields are what it says (§3.1).
    pub registered: bool,
    /// What to do, for people.
    pub instructions: Option<Text>,
    /// Fields, in order.
    pub fields: Vec<Field>,
    /// A data form (XEP-0004), as it stood.
    pub form: Option<Element>,
    /// A page where one can register instead (§5).
    pub url: Option<Text>,
}

impl Registration {
    /// An account to be made, or one that gets another password (§3.1, §3.3).
    #[must_use]
    pub fn account(username: Text, password: Text) -> Self {
        let field = |name, value| Field { name, value };
        Self {
            fields: vec![
                field(FieldName::Username, username),
                field(FieldName::Password, password),
            ],
            ..Self::default()
        }
    }

    /// The value of a field, if it is there: empty, if it is only asked for.
    #[must_use]
    pub fn field(&self, name: FieldName) -> Option<&Text> {
        self.fields
            .iter()
            .find(|f| f.name == name)
            .map(|f| &f.value)
    }
}

/// `<query/>`, whichever way it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// In a get, empty: the host is asked for its fields. In a result: what it wants. In
    /// a set: what it gets.
    Registration(Registration),
    /// In a set: the account shall go (§3.2).
    Remove,
}

impl Query {
    /// The question for fields.
    #[must_use]
    pub fn get() -> Self {
        Self::Registration(Registration::default())
    }
}

impl Payload for Query {
    const NAME: &'static str = "query";
    const NS: &'static str = ns::REGISTER;

    /// Reads the query.
    ///
    /// # Errors
    /// [`PayloadError::Invalid`] if `<remove/>` does not stand alone: nobody shall lose
    /// an account by half a request (§3.2).
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        if element.child("remove", ns::REGISTER).is_some() {
            return match element.children().count() {
                1 => Ok(Self::Remove),
                _ => Err(PayloadError::Invalid {
                    element: Self::NAME,
                    what: "remove",
                }),
            };
        }
        let mut registration = Registration::default();
        for child in element.children() {
            match (child.name(), child.ns()) {
                ("registered", ns::REGISTER) => registration.registered = true,
                ("instructions", ns::REGISTER) => {
                    registration.instructions = Some(child.text_value());
                }
                ("x", ns::FORMS) => registration.form = Some(child.clone()),
                ("x", ns::OOB) => {
                    let url = child.child("url", ns::OOB);
                    registration.url = url.map(Element::text_value);
                }
                (name, ns::REGISTER) => {
                    let field = FieldName::from_name(name).map(|name| Field {
                        name,
                        value: child.text_value(),
                    });
                    registration.fields.extend(field);
                }
                _ => {}
            }
        }
        Ok(Self::Registration(registration))
    }

    fn to_element(&self) -> Element {
        let query = Element::new(Self::NAME, Self::NS);
        let Self::Registration(registration) = self else {
            return query.with_child(Element::new("remove", ns::REGISTER));
        };
        let text = |name, t: &Text| Element::new(name, ns::REGISTER).with_text(t.clone());
        let instructions = registration.instructions.as_ref();
        let fields = registration.fields.iter();
        let url = registration.url.as_ref().map(|url| {
            let url = Element::new("url", ns::OOB).with_text(url.clone());
            Element::new("x", ns::OOB).with_child(url)
        });
        query
            .with_children(
                registration
                    .registered
                    .then(|| Element::new("registered", ns::REGISTER)),
            )
            .with_children(instructions.map(|t| text("instructions", t)))
            .with_children(fields.map(|f| text(f.name.as_str(), &f.value)))
            .with_children(registration.form.clone())
            .with_children(url)
    }
}
