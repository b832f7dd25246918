//! Data forms (XEP-0004): a list of fields with names, for people or for programs.
//! Typed views of the forms of other extensions live with these; no validation of what
//! was filled in here.

mod field;
pub(crate) mod view;

use super::parts::{named, names, text_child};
use super::{Payload, PayloadError};
use crate::ns;
use crate::xml::{Element, Text};
pub use field::{Field, FieldOption, FieldType};

names! {
    /// What a form is for (XEP-0004 §3.1).
    FormType {
        /// Asks to be filled in.
        Form = "form",
        /// Is filled in.
        Submit = "submit",
        /// Will not be filled in.
        Cancel = "cancel",
        /// Reports data.
        Result = "result",
    }
}

/// A data form.
///
/// ```
/// use stanchion_stanza::{Payload, Text};
/// use stanchion_stanza::payload::forms::{Field, Form, FormType};
/// let form = Form::of(FormType::Submit, Text::from_static("urn:example:lamp"))
///     .with(Field::new(Text::from_static("brightness"), Text::from(80u8)));
/// let read = Form::from_element(&form.to_element())?;
/// assert_eq!(read.form_type(), Some("urn:example:lamp"));
/// assert_eq!(read.value("brightness").map(Text::as_str), Some("80"));
/// # Ok::<(), stanchion_stanza::payload::PayloadError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// What it is for.
    pub kind: FormType,
    /// A title for people.
    pub title: Option<Text>,
    /// Instructions for people, one paragraph each.
    pub instructions: Vec<Text>,
    /// The fields, in order. A form with `items` has none but `FORM_TYPE` (§3.4).
    pub fields: Vec<Field>,
    /// The columns of `items`: fields without values. Empty if not reported.
    pub reported: Vec<Field>,
    /// The rows of a result with several (§3.4).
    pub items: Vec<Vec<Field>>,
}

impl Form {
    /// An empty form.
    #[must_use]
    pub const fn new(kind: FormType) -> Self {
        Self {
            kind,
            title: None,
            instructions: Vec::new(),
            fields: Vec::new(),
            reported: Vec::new(),
            items: Vec::new(),
        }
    }

    /// A form with nothing but its `FORM_TYPE` (XEP-0068).
    #[must_use]
    pub fn of(kind: FormType, form_type: Text) -> Self {
        let field = Field::new(Text::from_static(FORM_TYPE), form_type);
        Self::new(kind).with(field.with_kind(FieldType::Hidden))
    }

    /// The same, with one more field.
    #[must_use]
    pub fn with(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// The first field of that name.
    #[must_use]
    pub fn field(&self, var: &str) -> Option<&Field> {
        self.fields
            .iter()
            .find(|f| f.var.as_deref().is_some_and(|v| v == var))
    }

    /// The first value of the first field of that name.
    #[must_use]
    pub fn value(&self, var: &str) -> Option<&Text> {
        self.field(var)?.values.first()
    }

    /// What gives the fields' names their meaning (XEP-0068 §3): a hidden field, whose
    /// type may go without saying in a form of type `submit`.
    #[must_use]
    pub fn form_type(&self) -> Option<&str> {
        let field = self.field(FORM_TYPE)?;
        let hidden = match field.kind {
            Some(kind) => kind == FieldType::Hidden,
            None => self.kind == FormType::Submit,
        };
        hidden.then(|| field.values.first().map(Text::as_str))?
    }
}

/// The name of the field that says what a form is about (XEP-0068 §3).
pub const FORM_TYPE: &str = "FORM_TYPE";

fn fields(element: &Element) -> Result<Vec<Field>, PayloadError> {
    let fields = element.children().filter(|c| c.is("field", ns::FORMS));
    fields.map(Field::from_element).collect()
}

impl Payload for Form {
    const NAME: &'static str = "x";
    const NS: &'static str = ns::FORMS;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let kind = named(element, Self::NAME, "type", FormType::from_name)?;
        let mut form = Self::new(kind.ok_or(PayloadError::MissingAttribute {
            element: Self::NAME,
            attribute: "type",
        })?);
        form.fields = fields(element)?;
        for child in element.children().filter(|c| c.ns() == ns::FORMS) {
            match child.name() {
                "title" => form.title = Some(child.text_value()),
                "instructions" => form.instructions.push(child.text_value()),
                "reported" => form.reported = fields(child)?,
                "item" => form.items.push(fields(child)?),
                _ => {}
            }
        }
        Ok(form)
    }

    fn to_element(&self) -> Element {
        let group = |name, fields: &[Field]| {
            Element::new(name, ns::FORMS).with_children(fields.iter().map(Field::to_element))
        };
        let instructions = self.instructions.iter().cloned();
        let reported = (!self.reported.is_empty()).then(|| group("reported", &self.reported));
        Element::new(Self::NAME, Self::NS)
            .with_attr("type", self.kind)
            .with_children(text_child("title", ns::FORMS, self.title.clone()))
            .with_children(
                instructions.filter_map(|i| text_child("instructions", ns::FORMS, Some(i))),
            )
            .with_children(self.fields.iter().map(Field::to_element))
            .with_children(reported)
            .with_children(self.items.iter().map(|item| group("item", item)))
    }
}
