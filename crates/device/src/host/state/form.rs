//! Parameters as a form (XEP-0325 §3.3, XEP-0122, XEP-0336), and values out of one that was
//! filled in. Pure functions.

use stanchion_stanza::payload::forms::{Field, FieldOption, FieldType, Form, FormType};
use stanchion_stanza::{Element, Text};

use crate::model::{ParameterKind, ParameterSpec, Setting, SettingValue, Value};

/// Rules for what is filled in (XEP-0122).
const VALIDATE: &str = "http://jabber.org/protocol/xdata-validate";
/// Forms that say what was not edited (XEP-0336).
const DYNAMIC: &str = "urn:xmpp:xdata:dynamic";
/// The type of a color in a form (XEP-0325 §3.3).
const COLOR: &str = "xdc:Color";

/// A form for these parameters, with what each is now where that is known.
pub(super) fn of<'a>(
    title: Text,
    parameters: impl Iterator<Item = (&'a ParameterSpec, Option<Value>)>,
) -> Form {
    let mut form = Form::new(FormType::Form);
    form.title = Some(title);
    form.fields = parameters.map(|(p, value)| field(p, value)).collect();
    form
}

fn field(parameter: &ParameterSpec, value: Option<Value>) -> Field {
    let text = Text::from_static;
    let kind = match &parameter.kind {
        ParameterKind::Boolean => FieldType::Boolean,
        ParameterKind::OneOf(_) => FieldType::ListSingle,
        _ => FieldType::TextSingle,
    };
    let mut field = Field::with_values(
        parameter.name.clone(),
        value.and_then(|v| written(&v)).into_iter().collect(),
    )
    .with_kind(kind);
    field.label = Some(parameter.label.clone());
    field.desc.clone_from(&parameter.description);
    if let ParameterKind::OneOf(words) = &parameter.kind {
        let option = |value: &Text| FieldOption {
            label: None,
            value: value.clone(),
        };
        field.options = words.iter().map(option).collect();
    }
    let (data_type, range) = match &parameter.kind {
        ParameterKind::Boolean => ("xs:boolean", None),
        ParameterKind::Color => (COLOR, None),
        ParameterKind::Date => ("xs:date", None),
        ParameterKind::DateTime => ("xs:dateTime", None),
        ParameterKind::Double(r) => {
            let bound = |b: f64| {
                b.is_finite()
                    .then(|| Text::new(b.to_string()).ok())
                    .flatten()
            };
            ("xs:double", bound(*r.start()).zip(bound(*r.end())))
        }
        ParameterKind::Duration => ("xs:duration", None),
        ParameterKind::Int(r) => (
            "xs:int",
            Some((Text::from(*r.start()), Text::from(*r.end()))),
        ),
        ParameterKind::Long(r) => (
            "xs:long",
            Some((Text::from(*r.start()), Text::from(*r.end()))),
        ),
        ParameterKind::String | ParameterKind::OneOf(_) => ("xs:string", None),
        ParameterKind::Time => ("xs:time", None),
    };
    let range = range.map(|(min, max)| {
        Element::new("range", VALIDATE)
            .with_attr("min", min)
            .with_attr("max", max)
    });
    let validate = Element::new("validate", VALIDATE)
        .with_attr("datatype", text(data_type))
        .with_children(range);
    // What nobody edited must not come back, or it would be set (§3.3).
    field.extensions = vec![validate, Element::new("notSame", DYNAMIC)];
    field
}

/// A value as a form has it.
fn written(value: &Value) -> Option<Text> {
    Some(match value {
        Value::Boolean(on) => Text::from(*on),
        Value::Date(text)
        | Value::DateTime(text)
        | Value::Duration(text)
        | Value::Enum { value: text, .. }
        | Value::String(text)
        | Value::Time(text) => text.clone(),
        Value::Int(number) => Text::from(*number),
        Value::Long(number) => Text::from(*number),
        Value::Numeric { value, .. } => value.clone().into(),
    })
}

/// What a form that was filled in sets, in its order; fields without a value, and those of
/// the form itself, set nothing.
///
/// # Errors
/// The name of a field whose value is none of its parameter's type, or that has no
/// parameter.
pub(super) fn settings<'a>(
    form: &Form,
    parameter: impl Fn(&Text) -> Option<&'a ParameterSpec>,
) -> Result<Vec<Setting>, (Text, &'static str)> {
    let mut settings = Vec::new();
    for field in &form.fields {
        let Some(name) = &field.var else { continue };
        let is_of_form =
            field.kind == Some(FieldType::Hidden) || matches!(&**name, "FORM_TYPE" | "xdd session");
        let Some(text) = field.values.first().filter(|_| !is_of_form) else {
            continue;
        };
        let parameter = parameter(name).ok_or((name.clone(), "there is no such parameter"))?;
        let value = value(&parameter.kind, text);
        settings.push(Setting {
            name: name.clone(),
            value: value.ok_or((name.clone(), "the value is none of its type"))?,
        });
    }
    Ok(settings)
}

fn value(kind: &ParameterKind, text: &Text) -> Option<SettingValue> {
    use SettingValue as V;
    Some(match kind {
        ParameterKind::Boolean => V::Boolean(match &**text {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return None,
        }),
        ParameterKind::Color => V::Color(text.parse().ok()?),
        ParameterKind::Date => V::Date(text.clone()),
        ParameterKind::DateTime => V::DateTime(text.clone()),
        ParameterKind::Double(_) => V::Double(text.parse().ok()?),
        ParameterKind::Duration => V::Duration(text.clone()),
        ParameterKind::Int(_) => V::Int(text.parse().ok()?),
        ParameterKind::Long(_) => V::Long(text.parse().ok()?),
        ParameterKind::String | ParameterKind::OneOf(_) => V::String(text.clone()),
        ParameterKind::Time => V::Time(text.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &'static str) -> Text {
        Text::from_static(s)
    }

    #[test]
    fn a_form_says_of_each_parameter_what_it_takes_and_comes_back_as_settings() {
        let level = ParameterSpec::new(text("level"), ParameterKind::Int(0..=100));
        let on = ParameterSpec::new(text("on"), ParameterKind::Boolean);
        let all = [level, on];
        let now = [Some(Value::Int(7)), None];
        let mut form = of(text("lamp"), all.iter().zip(now));
        assert_eq!(form.value("level").map(|t| &**t), Some("7"));
        let rules = form.field("level").unwrap().extensions.clone();
        assert_eq!(rules[0].attr("datatype"), Some("xs:int"));
        assert_eq!(
            rules[0].child("range", VALIDATE).unwrap().attr("max"),
            Some("100")
        );
        assert!(rules[1].is("notSame", DYNAMIC));

        form.kind = FormType::Submit;
        form.fields[1].values = vec![text("1")];
        let find = |name: &Text| all.iter().find(|p| p.name == *name);
        let set = settings(&form, find).unwrap();
        let values: Vec<_> = set.iter().map(|s| s.value.clone()).collect();
        assert_eq!(values, [SettingValue::Int(7), SettingValue::Boolean(true)]);
        form.fields[0].values = vec![text("much")];
        assert_eq!(settings(&form, find).unwrap_err().0, "level");
    }
}
