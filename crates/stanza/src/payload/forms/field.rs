//! One field of a form (XEP-0004 §3.2, §3.3).

use std::fmt;

use super::super::PayloadError;
use super::super::parts::{child_text, names, text_child};
use crate::ns;
use crate::xml::{Element, Text};

names! {
    /// What a field holds (XEP-0004 §3.3).
    FieldType {
        /// `true` or `1`, `false` or `0`.
        Boolean = "boolean",
        /// A text for people between the fields; alone in needing no name.
        Fixed = "fixed",
        /// Not shown, and given back as it is.
        Hidden = "hidden",
        /// Addresses.
        JidMulti = "jid-multi",
        /// An address.
        JidSingle = "jid-single",
        /// Some of the options.
        ListMulti = "list-multi",
        /// One of the options.
        ListSingle = "list-single",
        /// Lines, one value each.
        TextMulti = "text-multi",
        /// A line that is not shown, such as a password.
        TextPrivate = "text-private",
        /// A line. What a type that is absent or unknown means.
        TextSingle = "text-single",
    }
}

/// A choice of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldOption {
    /// A name for people.
    pub label: Option<Text>,
    /// The value that stands for it.
    pub value: Text,
}

/// A field of a form.
///
/// `Debug` does not show the values of a field whose type or name says that they are
/// secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Field {
    /// Its name in the form; only a `fixed` field may go without.
    pub var: Option<Text>,
    /// What it holds; `None` is `text-single` in a form to fill in, and else what that
    /// form said.
    pub kind: Option<FieldType>,
    /// A name for people.
    pub label: Option<Text>,
    /// An explanation for people.
    pub desc: Option<Text>,
    /// Whether it must be filled in.
    pub required: bool,
    /// Values; more than one only in the `multi` types and `hidden`.
    pub values: Vec<Text>,
    /// The choices of a list.
    pub options: Vec<FieldOption>,
    /// Elements of other namespaces, such as the rules of XEP-0122, as they stood.
    pub extensions: Vec<Element>,
}

impl Field {
    /// A field with one value.
    #[must_use]
    pub fn new(var: Text, value: Text) -> Self {
        Self::with_values(var, vec![value])
    }

    /// A field with any number of values.
    #[must_use]
    pub fn with_values(var: Text, values: Vec<Text>) -> Self {
        Self {
            var: Some(var),
            values,
            ..Self::default()
        }
    }

    /// The same, with a type.
    #[must_use]
    pub fn with_kind(mut self, kind: FieldType) -> Self {
        self.kind = Some(kind);
        self
    }

    fn is_secret(&self) -> bool {
        let name = self.var.as_deref().unwrap_or_default();
        self.kind == Some(FieldType::TextPrivate)
            || name.ends_with("password")
            || name.ends_with("secret")
    }

    pub(super) fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let mut field = Self {
            var: element.attr_value("var").cloned(),
            kind: element.attr("type").and_then(FieldType::from_name),
            label: element.attr_value("label").cloned(),
            ..Self::default()
        };
        if field.var.is_none() && field.kind != Some(FieldType::Fixed) {
            return Err(PayloadError::MissingAttribute {
                element: "field",
                attribute: "var",
            });
        }
        for child in element.children() {
            match (child.name(), child.ns()) {
                ("desc", ns::FORMS) => field.desc = Some(child.text_value()),
                ("required", ns::FORMS) => field.required = true,
                ("value", ns::FORMS) => field.values.push(child.text_value()),
                ("option", ns::FORMS) => field.options.push(FieldOption {
                    label: child.attr_value("label").cloned(),
                    value: child_text(child, "value").ok_or(PayloadError::MissingChild {
                        element: "option",
                        child: "value",
                    })?,
                }),
                (_, ns::FORMS) => {}
                _ => field.extensions.push(child.clone()),
            }
        }
        Ok(field)
    }

    pub(super) fn to_element(&self) -> Element {
        let value = |v: &Text| Element::new("value", ns::FORMS).with_text(v.clone());
        let option = |o: &FieldOption| {
            Element::new("option", ns::FORMS)
                .with_attr_opt("label", o.label.clone())
                .with_child(value(&o.value))
        };
        Element::new("field", ns::FORMS)
            .with_attr_opt("var", self.var.clone())
            .with_attr_opt("type", self.kind)
            .with_attr_opt("label", self.label.clone())
            .with_children(text_child("desc", ns::FORMS, self.desc.clone()))
            .with_children(self.required.then(|| Element::new("required", ns::FORMS)))
            .with_children(self.values.iter().map(value))
            .with_children(self.options.iter().map(option))
            .with_children(self.extensions.iter().cloned())
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Field");
        shown.field("var", &self.var).field("kind", &self.kind);
        if self.is_secret() {
            shown.field("values", &format_args!("[{} hidden]", self.values.len()));
        } else {
            shown.field("values", &self.values);
        }
        shown
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
