//! Filling data forms in (XEP-0004): by the fields' names, checked against what the form
//! asks. The same check is made of what others submit. The form itself is
//! `stanchion_stanza`'s.

use stanchion_stanza::payload::forms::{Field, FieldType, Form, FormType};
use stanchion_stanza::{Jid, Text};

/// The namespace of XEP-0122, of which one word counts here: a list that may be left.
const VALIDATE: &str = "http://jabber.org/protocol/xdata-validate";

/// Why a form cannot be filled in so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FillError {
    /// The form has no such field.
    #[error("the form has no field `{0}` that could be filled in")]
    NoSuchField(String),
    /// The field must be filled in.
    #[error("the field `{0}` must be filled in")]
    Missing(String),
    /// The field takes one value.
    #[error("the field `{0}` takes one value and no more")]
    TooMany(String),
    /// The value is not what the field takes.
    #[error("the field `{field}` takes {takes}, not `{value}`")]
    Unfit {
        /// The field.
        field: String,
        /// What it takes.
        takes: &'static str,
        /// What it was given, shortened; hidden if it is a secret.
        value: String,
    },
    /// The value has characters that XML forbids.
    #[error("the value for `{0}` has characters that XML forbids")]
    Characters(String),
    /// What should be submitted is a form of another kind.
    #[error("that is no form to be submitted")]
    NotSubmitted,
}

/// A form that is being filled in. Fields that are not set keep the value that the form
/// had for them.
///
/// ```
/// use stanchion_services::forms::{Filling, FillError};
/// use stanchion_stanza::Text;
/// use stanchion_stanza::payload::forms::{Field, FieldType, Form, FormType};
/// let mut brightness = Field::default().with_kind(FieldType::TextSingle);
/// brightness.var = Some(Text::from_static("brightness"));
/// brightness.required = true;
/// let asked = Form::new(FormType::Form).with(brightness);
///
/// let mut filling = Filling::of(&asked);
/// assert_eq!(filling.submit(), Err(FillError::Missing("brightness".into())));
/// filling.set("brightness", "80")?;
/// assert_eq!(filling.submit()?.value("brightness").map(Text::as_str), Some("80"));
/// # Ok::<(), FillError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Filling {
    asked: Form,
}

impl Filling {
    /// Fills `asked` in.
    #[must_use]
    pub fn of(asked: &Form) -> Self {
        Self {
            asked: asked.clone(),
        }
    }

    /// The form, with what is filled in so far.
    #[must_use]
    pub const fn form(&self) -> &Form {
        &self.asked
    }

    /// Gives the field that value.
    ///
    /// # Errors
    /// [`FillError`]; nothing is changed then.
    pub fn set(&mut self, field: &str, value: &str) -> Result<&mut Self, FillError> {
        self.set_all(field, [value])
    }

    /// Gives a `boolean` field that value.
    ///
    /// # Errors
    /// [`FillError`]; nothing is changed then.
    pub fn set_bool(&mut self, field: &str, value: bool) -> Result<&mut Self, FillError> {
        self.set(field, if value { "true" } else { "false" })
    }

    /// Gives the field these values, or none.
    ///
    /// # Errors
    /// [`FillError`]; nothing is changed then.
    pub fn set_all<'a>(
        &mut self,
        field: &str,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Result<&mut Self, FillError> {
        let values = values.into_iter().map(Text::new);
        let values: Result<Vec<Text>, _> = values.collect();
        let values = values.map_err(|_| FillError::Characters(field.to_owned()))?;
        let mut fields = self.asked.fields.iter_mut();
        let asked =
            fields.find(|f| takes_values(f) && f.var.as_deref().is_some_and(|v| v == field));
        let asked = asked.ok_or_else(|| FillError::NoSuchField(field.to_owned()))?;
        fits(asked, &values)?;
        asked.values = values;
        Ok(self)
    }

    /// The form as it is to be submitted.
    ///
    /// # Errors
    /// [`FillError`] names the first field that must be filled in and is not.
    pub fn submit(&self) -> Result<Form, FillError> {
        let mut form = Form::new(FormType::Submit);
        for asked in &self.asked.fields {
            let Some(var) = &asked.var else { continue };
            if asked.kind == Some(FieldType::Fixed) {
                continue;
            }
            if asked.required && !is_filled(&asked.values) {
                return Err(FillError::Missing(var.to_string()));
            }
            if !asked.values.is_empty() {
                let field = Field::with_values(var.clone(), asked.values.clone());
                form.fields.push(field);
            }
        }
        Ok(form)
    }
}

/// Whether `submitted` is an answer to `asked`: each field that must be is filled in, and
/// with what it takes. Fields that were not asked for say nothing, and hidden ones must
/// come back as they went.
///
/// # Errors
/// [`FillError`] names the first field that is wrong.
pub fn check(asked: &Form, submitted: &Form) -> Result<(), FillError> {
    // Some give a cancelled form, and mean a submitted one (XEP-0050 §3.5.1).
    if !matches!(submitted.kind, FormType::Submit | FormType::Cancel) {
        return Err(FillError::NotSubmitted);
    }
    for field in &asked.fields {
        let Some(var) = &field.var else { continue };
        let given = submitted.field(var).map(|f| f.values.as_slice());
        let given = given.unwrap_or_default();
        if field.kind == Some(FieldType::Hidden) {
            if !given.is_empty() && given != field.values {
                return Err(unfit(field, "what it came with", &given[0]));
            }
        } else if takes_values(field) {
            if field.required && !is_filled(given) {
                return Err(FillError::Missing(var.to_string()));
            }
            fits(field, given)?;
        }
    }
    Ok(())
}

fn takes_values(field: &Field) -> bool {
    !matches!(field.kind, Some(FieldType::Fixed | FieldType::Hidden))
}

fn is_filled(values: &[Text]) -> bool {
    values.iter().any(|value| !value.is_empty())
}

fn fits(field: &Field, values: &[Text]) -> Result<(), FillError> {
    use FieldType as T;
    let kind = field.kind.unwrap_or(T::TextSingle);
    let several = matches!(kind, T::JidMulti | T::ListMulti | T::TextMulti);
    if !several && values.len() > 1 {
        return Err(FillError::TooMany(name(field)));
    }
    // A field that need not be filled in may be left empty.
    for value in values.iter().filter(|v| !v.is_empty() || several) {
        let takes = match kind {
            T::Boolean if !matches!(value.as_str(), "true" | "1" | "false" | "0") => {
                "`true` or `false`"
            }
            T::JidSingle | T::JidMulti if Jid::new(value).is_err() => "an address",
            T::ListSingle | T::ListMulti if !is_open(field) && !has_option(field, value) => {
                "one of its options"
            }
            T::TextSingle | T::TextPrivate if value.contains(['\n', '\r']) => "one line",
            _ => continue,
        };
        return Err(unfit(field, takes, value));
    }
    Ok(())
}

fn has_option(field: &Field, value: &Text) -> bool {
    field.options.iter().any(|option| option.value == *value)
}

/// Whether values beside the options are taken (XEP-0122 §3.2.2).
fn is_open(field: &Field) -> bool {
    let mut rules = field
        .extensions
        .iter()
        .filter(|e| e.is("validate", VALIDATE));
    rules.any(|rule| rule.child("open", VALIDATE).is_some())
}

fn name(field: &Field) -> String {
    field.var.as_deref().unwrap_or_default().to_owned()
}

fn unfit(field: &Field, takes: &'static str, value: &Text) -> FillError {
    let value = match field.kind {
        Some(FieldType::TextPrivate) => "…".to_owned(),
        _ => value.chars().take(40).collect(),
    };
    let field = name(field);
    FillError::Unfit {
        field,
        takes,
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_stanza::Element;
    use stanchion_stanza::payload::forms::FieldOption;

    fn field(var: &'static str, kind: FieldType) -> Field {
        Field {
            var: Some(Text::from_static(var)),
            kind: Some(kind),
            ..Field::default()
        }
    }

    fn asked() -> Form {
        let option = |value| FieldOption {
            label: None,
            value: Text::from_static(value),
        };
        let mut mode = field("mode", FieldType::ListSingle);
        mode.options = vec![option("day"), option("night")];
        mode.required = true;
        let mut rooms = field("rooms", FieldType::ListMulti);
        rooms.options = mode.options.clone();
        let mut free = rooms.clone();
        free.var = Some(Text::from_static("free"));
        let open = Element::new("open", VALIDATE);
        free.extensions = vec![Element::new("validate", VALIDATE).with_child(open)];
        let mut secret = field("key", FieldType::TextPrivate);
        secret.values = vec![Text::from_static("old")];
        let mut hidden = field("FORM_TYPE", FieldType::Hidden);
        hidden.values = vec![Text::from_static("urn:example:lamp")];
        let mut form = Form::new(FormType::Form);
        form.fields = vec![
            hidden,
            mode,
            rooms,
            free,
            secret,
            field("on", FieldType::Boolean),
            field("who", FieldType::JidSingle),
            field("note", FieldType::TextMulti),
            Field::default().with_kind(FieldType::Fixed),
        ];
        form
    }

    #[test]
    fn what_is_filled_in_is_checked_by_the_fields_types() {
        let mut filling = Filling::of(&asked());
        for (field, value) in [
            ("mode", "noon"),
            ("on", "yes"),
            ("who", "@"),
            ("key", "a\nb"),
            ("rooms", "attic"),
        ] {
            let error = filling.set(field, value).unwrap_err();
            assert!(matches!(error, FillError::Unfit { .. }), "{error}");
            assert!(!error.to_string().contains("a\nb"), "a secret is not shown");
        }
        for field in ["FORM_TYPE", "nothing"] {
            let error = filling.set(field, "x").unwrap_err();
            assert_eq!(error, FillError::NoSuchField(field.to_owned()));
        }
        let two = filling.set_all("mode", ["day", "night"]).unwrap_err();
        assert_eq!(two, FillError::TooMany("mode".into()));
        let odd = filling.set("note", "\u{1}").unwrap_err();
        assert_eq!(odd, FillError::Characters("note".into()));
        assert_eq!(filling.submit(), Err(FillError::Missing("mode".into())));

        filling.set("mode", "night").unwrap();
        filling.set_bool("on", true).unwrap();
        filling.set_all("note", ["a", "", "b"]).unwrap();
        filling.set("free", "attic").unwrap();
        let form = filling.submit().unwrap();
        assert_eq!(check(&asked(), &form), Ok(()));
        assert_eq!(form.form_type(), Some("urn:example:lamp"));
        let values = |var| form.field(var).map(|f| f.values.len());
        assert_eq!(values("note"), Some(3));
        assert_eq!(form.value("key").map(Text::as_str), Some("old"), "kept");
        assert_eq!(values("who"), None);
    }

    #[test]
    fn what_is_submitted_is_checked_in_the_same_way() {
        let submit = |var, value| {
            let day = Field::new(Text::from_static("mode"), Text::from_static("day"));
            let field = Field::new(Text::from_static(var), Text::new(value).unwrap());
            Form::new(FormType::Submit).with(field).with(day)
        };
        for (var, value) in [
            ("on", "perhaps"),
            ("mode", "noon"),
            ("FORM_TYPE", "urn:other"),
        ] {
            let error = check(&asked(), &submit(var, value)).unwrap_err();
            assert!(matches!(error, FillError::Unfit { .. }), "{error}");
        }
        assert_eq!(check(&asked(), &submit("unasked", "x")), Ok(()));
        assert_eq!(check(&asked(), &submit("who", "")), Ok(()), "left empty");
        let empty = Form::new(FormType::Submit);
        assert_eq!(
            check(&asked(), &empty),
            Err(FillError::Missing("mode".into()))
        );
        let form = Form::new(FormType::Form);
        assert_eq!(check(&asked(), &form), Err(FillError::NotSubmitted));
    }
}
