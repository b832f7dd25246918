//! Control of things: parameters set, and what became of it, in the legacy profile
//! (XEP-0325) or a compact one (IEEE P1451-99), see [`Profile`]. A command in a message
//! gets no answer, so it proves nothing: use an iq.

use std::fmt;
use std::str::FromStr;

use super::sensordata::{Dialect, Node, Profile, Profiled, Tokens, profiled};
use super::xs::{Double, boolean, double, required_parsed};
use super::{Payload, PayloadError, required};
use crate::ns;
use crate::xml::{Element, Text, View};

/// A color (§3.2): six or eight hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Color {
    /// Red.
    pub red: u8,
    /// Green.
    pub green: u8,
    /// Blue.
    pub blue: u8,
    /// Opaqueness, if it is said.
    pub alpha: Option<u8>,
}

/// What is no color.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a color is six or eight hexadecimal digits (XEP-0325), such as `3399FF`")]
pub struct NotAColor;

impl FromStr for Color {
    type Err = NotAColor;

    fn from_str(s: &str) -> Result<Self, NotAColor> {
        if !matches!(s.len(), 6 | 8) || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NotAColor);
        }
        let part = |at: usize| u8::from_str_radix(&s[at..at + 2], 16).map_err(|_| NotAColor);
        Ok(Self {
            red: part(0)?,
            green: part(2)?,
            blue: part(4)?,
            alpha: (s.len() == 8).then(|| part(6)).transpose()?,
        })
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}{:02X}{:02X}", self.red, self.green, self.blue)?;
        self.alpha.map_or(Ok(()), |alpha| write!(f, "{alpha:02X}"))
    }
}

impl From<Color> for Text {
    fn from(color: Color) -> Self {
        Self::checked(color.to_string())
    }
}

/// What a parameter is set to. Dates and times stay text, in the forms of XML Schema;
/// [`datetime::utc`](crate::payload::datetime::utc) writes a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Yes or no, `<boolean/>`.
    Boolean(bool),
    /// The same as `<bool/>`, which is what Smack reads and writes. The legacy profile
    /// alone has it; in the others it is written as [`Value::Boolean`].
    Bool(bool),
    /// A color.
    Color(Color),
    /// A day, `CCYY-MM-DD`.
    Date(Text),
    /// A moment, `CCYY-MM-DDThh:mm:ss`, by rights with a time zone.
    DateTime(Text),
    /// A number, in the unit of the field of the same name.
    Double(Double),
    /// A length of time, such as `PT3M30S`.
    Duration(Text),
    /// One of a set of words. The compact profiles alone have it; in the legacy one it is
    /// written as [`Value::String`] (XEP-0325 §5.2).
    Enum {
        /// The word.
        value: Text,
        /// The set's name.
        data_type: Text,
    },
    /// 32 bits, signed.
    Int(i32),
    /// 64 bits, signed.
    Long(i64),
    /// Any text, also one of a set of words.
    String(Text),
    /// A time of day, `hh:mm:ss`.
    Time(Text),
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: Text,
    /// Its value.
    pub value: Value,
}

/// Smack's word for `boolean`.
const BOOL: &str = "bool";

impl Parameter {
    /// Reads a parameter; `None` if the element is none.
    pub(crate) fn read(element: View<'_>, words: &Dialect) -> Result<Option<Self>, PayloadError> {
        if element.ns() != words.ns {
            return Ok(None);
        }
        let text = |kind| required(element, kind, words.value);
        let boolean = |kind| {
            boolean(element, kind, words.value)?.ok_or(PayloadError::MissingAttribute {
                element: kind,
                attribute: words.value,
            })
        };
        let name = element.name();
        let (kind, value) = if name == words.boolean {
            (words.boolean, Value::Boolean(boolean(words.boolean)?))
        } else if !words.short && name == BOOL {
            (BOOL, Value::Bool(boolean(BOOL)?))
        } else if name == words.color {
            let color = required_parsed(element, words.color, words.value)?;
            (words.color, Value::Color(color))
        } else if name == words.date {
            (words.date, Value::Date(text(words.date)?))
        } else if name == words.date_time {
            (words.date_time, Value::DateTime(text(words.date_time)?))
        } else if name == words.double {
            let number = double(element, words.double, words.value)?;
            (words.double, Value::Double(number))
        } else if name == words.duration {
            (words.duration, Value::Duration(text(words.duration)?))
        } else if words.short && name == words.enumeration {
            let value = Value::Enum {
                value: text(words.enumeration)?,
                data_type: required(element, words.enumeration, words.data_type)?,
            };
            (words.enumeration, value)
        } else if name == words.int {
            let number = required_parsed(element, words.int, words.value)?;
            (words.int, Value::Int(number))
        } else if name == words.long {
            let number = required_parsed(element, words.long, words.value)?;
            (words.long, Value::Long(number))
        } else if name == words.string {
            (words.string, Value::String(text(words.string)?))
        } else if name == words.time {
            (words.time, Value::Time(text(words.time)?))
        } else {
            return Ok(None);
        };
        let name = required(element, kind, words.name)?;
        Ok(Some(Self { name, value }))
    }

    /// Reads all children that are parameters; one that is none, and nothing else that
    /// may stand there, is an error.
    pub(crate) fn read_all(
        element: View<'_>,
        kind: &'static str,
        words: &Dialect,
    ) -> Result<Vec<Self>, PayloadError> {
        let mut parameters = Vec::new();
        for child in element.children() {
            match Self::read(child, words)? {
                Some(parameter) => parameters.push(parameter),
                None if child.ns() != words.ns || child.name() == words.node => {}
                None => {
                    return Err(PayloadError::Invalid {
                        element: kind,
                        what: "parameter type",
                    });
                }
            }
        }
        Ok(parameters)
    }

    pub(crate) fn write(&self, words: &Dialect) -> Element {
        let (kind, value) = match &self.value {
            Value::Boolean(value) => (words.boolean, Text::from(*value)),
            Value::Bool(value) if words.short => (words.boolean, Text::from(*value)),
            Value::Bool(value) => (BOOL, Text::from(*value)),
            Value::Color(value) => (words.color, Text::from(*value)),
            Value::Date(value) => (words.date, value.clone()),
            Value::DateTime(value) => (words.date_time, value.clone()),
            Value::Double(value) => (words.double, value.clone().into()),
            Value::Duration(value) => (words.duration, value.clone()),
            Value::Enum { value, .. } if words.short => (words.enumeration, value.clone()),
            Value::Enum { value, .. } => (words.string, value.clone()),
            Value::Int(value) => (words.int, Text::from(*value)),
            Value::Long(value) => (words.long, Text::from(*value)),
            Value::String(value) => (words.string, value.clone()),
            Value::Time(value) => (words.time, value.clone()),
        };
        let data_type = match &self.value {
            Value::Enum { data_type, .. } if words.short => Some(data_type.clone()),
            _ => None,
        };
        Element::new(kind, words.ns)
            .with_attr(words.name, self.name.clone())
            .with_attr(words.value, value)
            .with_attr_opt(words.data_type, data_type)
    }
}

fn with_lang(mut element: Element, lang: Option<&Text>) -> Element {
    if let Some(lang) = lang {
        element.set_lang(lang.clone());
    }
    element
}

/// Parameters, please (§3.2).
///
/// An unknown type of parameter is an error, unlike elsewhere: a command that is carried
/// out in part is not the one that was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// Which things; empty for the device itself.
    pub nodes: Vec<Node>,
    /// What to set. The order counts.
    pub parameters: Vec<Parameter>,
    /// A form (XEP-0004) in place of parameters, as it stood.
    pub form: Option<Element>,
    /// What lets the sender in.
    pub tokens: Tokens,
    /// The language of what is answered.
    pub lang: Option<Text>,
}

impl Set {
    /// One parameter of the device itself.
    #[must_use]
    pub fn one(name: Text, value: Value) -> Self {
        Self {
            parameters: vec![Parameter { name, value }],
            ..Self::default()
        }
    }

    fn read(element: View<'_>, words: &Dialect) -> Result<Self, PayloadError> {
        let form = element.children().find(|c| c.is("x", ns::FORMS));
        Ok(Self {
            nodes: Node::read_all(element, words)?,
            parameters: Parameter::read_all(element, "set", words)?,
            form: form.map(View::to_element),
            tokens: Tokens::read(element, words),
            lang: element.to_element().lang_text(),
        })
    }

    fn write(&self, words: &Dialect) -> Element {
        let set = self
            .tokens
            .write_to(Element::new("set", words.ns), words)
            .with_children(self.nodes.iter().map(|n| n.write(words)))
            .with_children(self.parameters.iter().map(|p| p.write(words)))
            .with_children(self.form.clone());
        with_lang(set, self.lang.as_ref())
    }
}

profiled!(Set, "set", "set", control, control_words);

/// What became of a command, in a word: so until version 0.3 of XEP-0325, and some wait
/// for it still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResponseCode {
    /// Carried out.
    Ok,
    /// There is no such node.
    NotFound,
    /// The sender may not.
    InsufficientPrivileges,
    /// Somebody else has it.
    Locked,
    /// The device cannot.
    NotImplemented,
    /// A parameter or the form will not do.
    FormError,
    /// Something else. What an unknown word means: it is not `OK`.
    OtherError,
}

impl ResponseCode {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::NotFound,
        Self::InsufficientPrivileges,
        Self::Locked,
        Self::NotImplemented,
        Self::FormError,
        Self::OtherError,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::NotFound => "NotFound",
            Self::InsufficientPrivileges => "InsufficientPrivileges",
            Self::Locked => "Locked",
            Self::NotImplemented => "NotImplemented",
            Self::FormError => "FormError",
            Self::OtherError => "OtherError",
        }
    }

    fn from_name(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|c| c.as_str() == name);
        found.unwrap_or(Self::OtherError)
    }
}

const RESPONSE_CODE: &str = "responseCode";

/// What is wrong with one parameter; beside a stanza error's own condition (§3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterError {
    /// The parameter's name.
    pub name: Text,
    /// What is wrong, for people.
    pub text: Text,
}

impl ParameterError {
    fn read_as(element: View<'_>, kind: &'static str) -> Result<Self, PayloadError> {
        Ok(Self {
            name: required(element, kind, "var")?,
            text: element.to_element().text_value(),
        })
    }

    fn write_as(&self, kind: &'static str, words: &Dialect) -> Element {
        Element::new(kind, words.ns)
            .with_attr("var", self.name.clone())
            .with_text(self.text.clone())
    }

    fn read(element: View<'_>, _: &Dialect) -> Result<Self, PayloadError> {
        Self::read_as(element, "paramError")
    }

    fn write(&self, words: &Dialect) -> Element {
        self.write_as("paramError", words)
    }
}

profiled!(
    ParameterError,
    "paramError",
    "paramError",
    control,
    control_words
);

/// The command was carried out, if [`SetResponse::succeeded`] says so: the only proof
/// that it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetResponse {
    /// The result in a word; `None` means [`ResponseCode::Ok`]. The compact profiles have
    /// no word for it: there `OK` is not written. Another one is, so that nobody takes the
    /// response for a success, but is not known beyond this crate: send a stanza error.
    pub code: Option<ResponseCode>,
    /// Which things it was carried out on, if those are not all that were named.
    pub nodes: Vec<Node>,
    /// Which parameters were set, if those are not all that were named.
    pub parameters: Vec<Text>,
    /// Which could not be set: in the legacy profile so until version 0.3.
    pub errors: Vec<ParameterError>,
}

impl SetResponse {
    /// Carried out as it was asked, in a way that new and old peers understand.
    #[must_use]
    pub fn ok() -> Self {
        Self {
            code: Some(ResponseCode::Ok),
            ..Self::default()
        }
    }

    /// Whether it was carried out; on a part of what was named, if nodes or parameters
    /// are listed. Only in an iq of type `result` does it count.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        matches!(self.code, None | Some(ResponseCode::Ok)) && self.errors.is_empty()
    }

    fn read(element: View<'_>, words: &Dialect) -> Result<Self, PayloadError> {
        let all = |name: &'static str| element.children().filter(move |c| c.is(name, words.ns));
        let parameters = all(words.parameter).map(|p| required(p, words.parameter, words.name));
        let errors =
            all(words.parameter_error).map(|e| ParameterError::read_as(e, words.parameter_error));
        let code = element.attr(RESPONSE_CODE).map(ResponseCode::from_name);
        Ok(Self {
            code: code.filter(|c| !words.short || *c != ResponseCode::Ok),
            nodes: Node::read_all(element, words)?,
            parameters: parameters.collect::<Result<_, _>>()?,
            errors: errors.collect::<Result<_, _>>()?,
        })
    }

    fn write(&self, words: &Dialect) -> Element {
        let parameter =
            |n: &Text| Element::new(words.parameter, words.ns).with_attr(words.name, n.clone());
        let error = |e: &ParameterError| e.write_as(words.parameter_error, words);
        let code = self.code.filter(|c| !words.short || *c != ResponseCode::Ok);
        let code = code.map(|c| Text::from_static(c.as_str()));
        Element::new(words.set_response, words.ns)
            .with_attr_opt(RESPONSE_CODE, code)
            .with_children(self.nodes.iter().map(|n| n.write(words)))
            .with_children(self.parameters.iter().map(parameter))
            .with_children(self.errors.iter().map(error))
    }
}

profiled!(SetResponse, "setResponse", "resp", control, control_words);

/// The parameters as a form, please (§3.3). The answer is the form itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GetForm {
    /// Which things; empty for the device itself.
    pub nodes: Vec<Node>,
    /// What lets the sender in.
    pub tokens: Tokens,
    /// The language of the form.
    pub lang: Option<Text>,
}

impl GetForm {
    fn read(element: View<'_>, words: &Dialect) -> Result<Self, PayloadError> {
        Ok(Self {
            nodes: Node::read_all(element, words)?,
            tokens: Tokens::read(element, words),
            lang: element.to_element().lang_text(),
        })
    }

    fn write(&self, words: &Dialect) -> Element {
        let form = self
            .tokens
            .write_to(Element::new("getForm", words.ns), words)
            .with_children(self.nodes.iter().map(|n| n.write(words)));
        with_lang(form, self.lang.as_ref())
    }
}

profiled!(GetForm, "getForm", "getForm", control, control_words);
