//! Typed views of forms whose fields a registry names: a struct with one optional
//! member for each field, and the others as they stood.

use super::super::PayloadError;
use super::super::parts::boolean;
use super::{Field, FieldType, Form, FormType};
use crate::jid::Jid;
use crate::xml::Text;

/// What a field's values are to the program.
pub(crate) trait FieldValue: Sized {
    /// The type that the registry gives the field.
    const KIND: FieldType;

    /// The values read; the error is for the caller to name.
    fn read(values: &[Text]) -> Result<Option<Self>, ()>;

    /// The values written.
    fn write(&self) -> Vec<Text>;
}

/// A single value; a field that is there and empty says nothing. Space counts: the
/// resource of an address may end with one.
pub(crate) fn single<T>(
    values: &[Text],
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ()> {
    match values.first().map(Text::as_str) {
        None | Some("") => Ok(None),
        Some(value) => read(value).map(Some).ok_or(()),
    }
}

impl FieldValue for bool {
    const KIND: FieldType = FieldType::Boolean;

    fn read(values: &[Text]) -> Result<Option<Self>, ()> {
        single(values, boolean)
    }

    fn write(&self) -> Vec<Text> {
        vec![Text::from(*self)]
    }
}

impl FieldValue for u64 {
    const KIND: FieldType = FieldType::TextSingle;

    fn read(values: &[Text]) -> Result<Option<Self>, ()> {
        single(values, |v| v.parse().ok())
    }

    fn write(&self) -> Vec<Text> {
        vec![Text::from(*self)]
    }
}

impl FieldValue for Text {
    const KIND: FieldType = FieldType::TextSingle;

    fn read(values: &[Text]) -> Result<Option<Self>, ()> {
        Ok(values.first().cloned())
    }

    fn write(&self) -> Vec<Text> {
        vec![self.clone()]
    }
}

impl FieldValue for Jid {
    const KIND: FieldType = FieldType::JidSingle;

    fn read(values: &[Text]) -> Result<Option<Self>, ()> {
        single(values, |v| Self::new(v).ok())
    }

    fn write(&self) -> Vec<Text> {
        vec![Text::from(self)]
    }
}

impl FieldValue for Vec<Jid> {
    const KIND: FieldType = FieldType::JidMulti;

    fn read(values: &[Text]) -> Result<Option<Self>, ()> {
        let jids = values.iter().map(|v| Jid::new(v).map_err(|_| ()));
        jids.collect::<Result<_, _>>().map(Some)
    }

    fn write(&self) -> Vec<Text> {
        self.iter().map(Text::from).collect()
    }
}

impl FieldValue for Vec<Text> {
    const KIND: FieldType = FieldType::TextMulti;

    fn read(values: &[Text]) -> Result<Option<Self>, ()> {
        Ok(Some(values.to_vec()))
    }

    fn write(&self) -> Vec<Text> {
        self.clone()
    }
}

/// Reads the field `var` of `form`, if it is there and says something.
pub(crate) fn read<T: FieldValue>(
    form: &Form,
    var: &'static str,
) -> Result<Option<T>, PayloadError> {
    let Some(field) = form.field(var) else {
        return Ok(None);
    };
    T::read(&field.values).map_err(|()| PayloadError::Invalid {
        element: "field",
        what: var,
    })
}

/// Appends the field `var`, with its type where the form is not an answer to one that
/// gave it (XEP-0004 §3.2).
pub(crate) fn write<T: FieldValue>(form: &mut Form, var: &'static str, value: Option<&T>) {
    if let Some(value) = value {
        let mut field = Field::with_values(Text::from_static(var), value.write());
        if form.kind != FormType::Submit {
            field.kind = Some(T::KIND);
        }
        form.fields.push(field);
    }
}

/// Whether `form` is of that type, as an error if it is not.
pub(crate) fn of_type(form: &Form, form_type: &str) -> Result<(), PayloadError> {
    if form.form_type() == Some(form_type) {
        return Ok(());
    }
    Err(PayloadError::Invalid {
        element: "x",
        what: super::FORM_TYPE,
    })
}

/// Makes [`FieldValue`] of a list of names.
macro_rules! list_single {
    ($($name:ident),*) => {$(
        impl $crate::payload::forms::view::FieldValue for $name {
            const KIND: $crate::payload::forms::FieldType =
                $crate::payload::forms::FieldType::ListSingle;

            fn read(values: &[$crate::xml::Text]) -> Result<Option<Self>, ()> {
                Ok(values.first().filter(|v| !v.is_empty()).cloned().map(Self::from))
            }

            fn write(&self) -> Vec<$crate::xml::Text> {
                vec![$crate::xml::Text::from(self.clone())]
            }
        }
    )*};
}
pub(crate) use list_single;

/// Makes a view: members, and the names of their fields.
macro_rules! form_view {
    ($(#[$meta:meta])* $name:ident, $form_type:literal {
        $($(#[doc = $doc:literal])* $member:ident: $type:ty = $var:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $doc])* pub $member: Option<$type>,)*
            /// Fields of other names, as they stood.
            pub other: Vec<$crate::payload::forms::Field>,
        }

        impl $name {
            /// The `FORM_TYPE` of the form.
            pub const FORM_TYPE: &'static str = $form_type;

            /// Reads the fields of a form of any kind.
            ///
            /// # Errors
            /// [`PayloadError::Invalid`](crate::payload::PayloadError::Invalid) names the
            /// field whose value cannot be read, or `FORM_TYPE` if the form is about
            /// something else.
            pub fn from_form(
                form: &$crate::payload::forms::Form,
            ) -> Result<Self, $crate::payload::PayloadError> {
                $crate::payload::forms::view::of_type(form, Self::FORM_TYPE)?;
                Self::read(form)
            }

            /// Writes the fields that have a value.
            #[must_use]
            pub fn to_form(
                &self,
                kind: $crate::payload::forms::FormType,
            ) -> $crate::payload::forms::Form {
                let form_type = $crate::xml::Text::from_static(Self::FORM_TYPE);
                self.write($crate::payload::forms::Form::of(kind, form_type))
            }

            fn read(
                form: &$crate::payload::forms::Form,
            ) -> Result<Self, $crate::payload::PayloadError> {
                let known = [$crate::payload::forms::FORM_TYPE, $($var,)*];
                let is_known = |v: &$crate::xml::Text| known.contains(&v.as_str());
                let fields = form.fields.iter();
                let other = fields.filter(|f| !f.var.as_ref().is_some_and(is_known));
                Ok(Self {
                    $($member: $crate::payload::forms::view::read(form, $var)?,)*
                    other: other.cloned().collect(),
                })
            }

            fn write(
                &self,
                mut form: $crate::payload::forms::Form,
            ) -> $crate::payload::forms::Form {
                $($crate::payload::forms::view::write(&mut form, $var, self.$member.as_ref());)*
                form.fields.extend(self.other.iter().cloned());
                form
            }
        }
    };
}
pub(crate) use form_view;
