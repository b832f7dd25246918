//! The forms of templates that are understood: `{{ value }}`, a path into `value_json`, and
//! the filters `float`, `int`, `round` and `is_defined` behind either; for commands, a text
//! with `{{ value }}` in it. Home Assistant's own are a programming language (Jinja); what is
//! more than this is refused by name, and never guessed at. Sans-IO.

use std::cell::OnceCell;

use serde_json::Value as Json;

/// The longest template that is read, in bytes.
const MAX_TEMPLATE: usize = 1024;
/// The deepest path.
const MAX_STEPS: usize = 16;
const MAX_FILTERS: usize = 4;

/// What is none of the forms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateError {
    #[error("it is longer than {MAX_TEMPLATE} bytes")]
    TooLong,
    #[error(
        "`{0}` is more than `{{{{ value }}}}` or `{{{{ value_json.… }}}}` with `float`, `int`, \
         `round` or `is_defined`"
    )]
    NotUnderstood(String),
}

/// What was published, read as JSON once if anybody wants it so.
#[derive(Debug)]
pub(super) struct Payload<'a> {
    text: &'a str,
    json: OnceCell<Option<Json>>,
}

impl<'a> Payload<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        let json = OnceCell::new();
        Self { text, json }
    }

    pub(super) const fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn json(&self) -> Option<&Json> {
        // It goes no deeper than 128, which is the reader's own bound.
        let read = || serde_json::from_str(self.text).ok();
        self.json.get_or_init(read).as_ref()
    }
}

/// Where a value is in what was published.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    /// None: the text as a whole.
    path: Option<Vec<Step>>,
    filters: Vec<Filter>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    At(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Filter {
    /// With what it is if it is none.
    Float(Option<f64>),
    Int(Option<f64>),
    Round(usize),
    IsDefined,
}

impl Template {
    /// The text as a whole.
    pub(super) const WHOLE: Self = Self {
        path: None,
        filters: Vec::new(),
    };

    /// Reads one of the forms.
    pub(super) fn parse(template: &str) -> Result<Self, TemplateError> {
        if template.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLong);
        }
        let mut reader = Reader(template.trim());
        let read = reader.template();
        read.ok_or_else(|| TemplateError::NotUnderstood(template.trim().to_owned()))
    }

    /// A JSON pointer (RFC 6901).
    pub(super) fn pointer(pointer: &str) -> Result<Self, TemplateError> {
        if pointer.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLong);
        }
        let refused = || TemplateError::NotUnderstood(pointer.to_owned());
        let mut path = Vec::new();
        if !pointer.is_empty() {
            let steps = pointer.strip_prefix('/').ok_or_else(refused)?;
            for step in steps.split('/') {
                path.push(match step.parse() {
                    Ok(at) => Step::At(at),
                    Err(_) => Step::Key(step.replace("~1", "/").replace("~0", "~")),
                });
            }
        }
        if path.len() > MAX_STEPS {
            return Err(refused());
        }
        Ok(Self {
            path: Some(path),
            filters: Vec::new(),
        })
    }

    /// The value there, as text; `None` if there is none, or it says that it is none.
    pub(super) fn value(&self, payload: &Payload<'_>) -> Option<String> {
        let mut value = match &self.path {
            None => Some(payload.text.trim().to_owned()),
            Some(path) => payload.json().and_then(|json| follow(json, path)),
        };
        for filter in &self.filters {
            let number = value.as_deref().and_then(|v| v.trim().parse::<f64>().ok());
            let number = number.filter(|number| number.is_finite());
            value = match filter {
                Filter::IsDefined => value,
                Filter::Float(other) if number.is_none() => other.map(|other| other.to_string()),
                Filter::Float(_) => value,
                Filter::Int(other) => number.or(*other).map(|n| format!("{:.0}", n.trunc())),
                Filter::Round(decimals) => number.map(|n| format!("{n:.decimals$}")),
            };
        }
        value.filter(|value| !is_none(value))
    }
}

/// What Home Assistant takes for no value as well.
fn is_none(value: &str) -> bool {
    matches!(value, "" | "None" | "null" | "unknown" | "unavailable")
}

fn follow(json: &Json, path: &[Step]) -> Option<String> {
    let mut at = json;
    for step in path {
        at = match (step, at) {
            (Step::At(index), Json::Array(list)) => list.get(*index)?,
            (Step::At(index), Json::Object(map)) => map.get(&index.to_string())?,
            (Step::Key(key), Json::Object(map)) => map.get(key)?,
            _ => return None,
        };
    }
    written(at)
}

/// A JSON value as Home Assistant writes it, which is how payloads are compared.
pub(super) fn written(json: &Json) -> Option<String> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        Json::Array(_) | Json::Object(_) => json.to_string(),
    })
}

/// Reads from the front.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn template(&mut self) -> Option<Template> {
        self.word("{{")?;
        // A dash takes white space away, of which there is none that matters.
        let _ = self.word("-");
        let path = match self.name()?.as_str() {
            "value" => None,
            "value_json" => Some(self.path()?),
            _ => return None,
        };
        let mut filters = Vec::new();
        while self.word("|").is_some() {
            if filters.len() == MAX_FILTERS {
                return None;
            }
            filters.push(self.filter()?);
        }
        let _ = self.word("-");
        self.word("}}")?;
        self.0.is_empty().then_some(Template { path, filters })
    }

    fn path(&mut self) -> Option<Vec<Step>> {
        let mut path = Vec::new();
        loop {
            let step = if self.word(".").is_some() {
                let name = self.name()?;
                match name.parse() {
                    Ok(at) => Step::At(at),
                    Err(_) => Step::Key(name),
                }
            } else if self.word("[").is_some() {
                let step = match self.quoted() {
                    Some(key) => Step::Key(key),
                    None => Step::At(self.digits()?.parse().ok()?),
                };
                self.word("]")?;
                step
            } else {
                return Some(path);
            };
            if path.len() == MAX_STEPS {
                return None;
            }
            path.push(step);
        }
    }

    fn filter(&mut self) -> Option<Filter> {
        let name = self.name()?;
        let argument = match self.word("(") {
            None => None,
            Some(()) => {
                let number = self.digits().map(|digits| digits.parse::<f64>());
                self.word(")")?;
                number.transpose().ok()?
            }
        };
        Some(match (name.as_str(), argument) {
            ("float", other) => Filter::Float(other),
            ("int", other) => Filter::Int(other),
            ("is_defined", None) => Filter::IsDefined,
            ("round", None) => Filter::Round(0),
            ("round", Some(decimals)) => {
                let decimals = (0u8..=12).find(|n| f64::from(*n).total_cmp(&decimals).is_eq())?;
                Filter::Round(usize::from(decimals))
            }
            _ => return None,
        })
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(word)?;
        Some(())
    }

    fn name(&mut self) -> Option<String> {
        self.taken(|c| c.is_alphanumeric() || c == '_')
    }

    fn digits(&mut self) -> Option<String> {
        self.taken(|c| c.is_ascii_digit() || matches!(c, '.' | '-'))
    }

    fn taken(&mut self, belongs: impl Fn(char) -> bool) -> Option<String> {
        let text = self.0.trim_start();
        let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
        let (taken, rest) = text.split_at(end);
        if taken.is_empty() {
            return None;
        }
        self.0 = rest;
        Some(taken.to_owned())
    }

    fn quoted(&mut self) -> Option<String> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (key, rest) = text[1..].split_once(quote)?;
        if key.contains('\\') {
            return None;
        }
        self.0 = rest;
        Some(key.to_owned())
    }
}

/// The text of a command, with the value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandTemplate {
    /// What is around the value; one part more than there are values.
    parts: Vec<String>,
}

impl CommandTemplate {
    /// The value alone.
    pub(super) fn value_alone() -> Self {
        let parts = vec![String::new(), String::new()];
        Self { parts }
    }

    /// Reads a text with `{{ value }}` in it.
    pub(super) fn parse(template: &str) -> Result<Self, TemplateError> {
        if template.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLong);
        }
        let refused = || TemplateError::NotUnderstood(template.trim().to_owned());
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}").ok_or_else(refused)?;
            if inside.trim() != "value" {
                return Err(refused());
            }
            parts.push(before.to_owned());
            rest = after;
        }
        parts.push(rest.to_owned());
        if parts
            .iter()
            .any(|part| part.contains("{%") || part.contains("{#"))
        {
            return Err(refused());
        }
        Ok(Self { parts })
    }

    /// The text for that value; `None` for one that would break out of it.
    pub(super) fn fill(&self, value: &str) -> Option<String> {
        let alone = self.parts.iter().all(String::is_empty);
        let breaks_out = |c: char| matches!(c, '"' | '\'' | '\\') || c.is_control();
        if !alone && value.contains(breaks_out) {
            return None;
        }
        Some(self.parts.join(value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(template: &str, payload: &str) -> Option<String> {
        Template::parse(template)
            .unwrap()
            .value(&Payload::new(payload))
    }

    #[test]
    fn a_value_is_found_by_its_path_and_filtered() {
        let json =
            r#"{"a": {"b": 21.456, "on": true, "l": [1, {"x": "y"}]}, "k k": "12.7", "n": null}"#;
        let is = |template, expected: &str| {
            assert_eq!(
                value(template, json).as_deref(),
                Some(expected),
                "{template}"
            );
        };
        is("{{ value_json.a.b }}", "21.456");
        is("{{value_json['a'][\"b\"]|round(1)}}", "21.5");
        is("{{ value_json.a.b | float | round(2) }}", "21.46");
        is("{{ value_json['k k'] | int }}", "12");
        is("{{ value_json.a.on }}", "True");
        is("{{ value_json.a.l[1].x }}", "y");
        is("{{ value_json.missing | float(0) }}", "0");
        is("{{- value_json.a.b | round -}}", "21");
        assert_eq!(value("{{ value }}", " 5 ").as_deref(), Some("5"));
        assert_eq!(value("{{ value_json.n }}", json), None);
        assert_eq!(value("{{ value_json.missing | is_defined }}", json), None);
        assert_eq!(value("{{ value_json.a.b.c }}", json), None);
        assert_eq!(value("{{ value_json.a }}", "no json"), None);
        assert_eq!(value("{{ value | int }}", "warm"), None);
        assert_eq!(value("{{ value }}", "unavailable"), None);
    }

    #[test]
    fn what_is_more_than_a_path_is_refused_by_name() {
        for more in [
            "{{ value_json.a / 10 }}",
            "{% if value %}on{% endif %}",
            "{{ states('sensor.x') }}",
            "{{ value_json.a }} C",
            "{{ value_json.a | timestamp_local }}",
            "{{ value | round(-1) }}",
            "{{ value_json['a }}",
            "{{ value",
            "",
        ] {
            assert!(Template::parse(more).is_err(), "{more}");
        }
        let deep = format!("{{{{ value_json{} }}}}", ".a".repeat(17));
        assert!(Template::parse(&deep).is_err());
        let error = Template::parse("{{ now() }}").unwrap_err().to_string();
        assert!(error.starts_with("`{{ now() }}` is more than"), "{error}");
    }

    #[test]
    fn a_pointer_is_a_path() {
        let payload = Payload::new(r#"{"a/b": [1, 2], "0": 3}"#);
        let at = |pointer| Template::pointer(pointer).unwrap().value(&payload);
        assert_eq!(at("/a~1b/1").as_deref(), Some("2"));
        assert_eq!(at("/0").as_deref(), Some("3"));
        assert_eq!(at("/b"), None);
        assert!(Template::pointer("a").is_err());
    }

    #[test]
    fn a_value_does_not_break_out_of_its_command() {
        let template = CommandTemplate::parse(r#"{"mode": "{{ value }}"}"#).unwrap();
        assert_eq!(template.fill("eco").as_deref(), Some(r#"{"mode": "eco"}"#));
        assert_eq!(template.fill(r#"x", "unlock": "1"#), None);
        let alone = CommandTemplate::value_alone();
        assert_eq!(alone.fill(r#""x""#).as_deref(), Some(r#""x""#));
        assert!(CommandTemplate::parse("{{ value * 2 }}").is_err());
        assert!(CommandTemplate::parse("{% if value %}1{% endif %}").is_err());
    }

    proptest! {
        #[test]
        fn no_template_and_no_payload_make_it_panic(template in "\\PC{0,80}", payload in "\\PC{0,80}") {
            if let Ok(template) = Template::parse(&template) {
                let _ = template.value(&Payload::new(&payload));
            }
            let _ = CommandTemplate::parse(&template).map(|t| t.fill(&payload));
            let _ = Template::pointer(&template).map(|t| t.value(&Payload::new(&payload)));
        }

        #[test]
        fn no_words_of_templates_make_it_panic(words in prop::collection::vec(
            prop::sample::select(vec![
                "{{", "}}", "value", "value_json", ".", "[", "]", "'a'", "\"", "0", "|", "float",
                "round", "(", ")", "int", "-", "ä", " ", "{%",
            ]), 0..20
        )) {
            let text = words.concat();
            if let Ok(template) = Template::parse(&text) {
                let _ = template.value(&Payload::new("{\"a\": [1, 2]}"));
            }
            let _ = CommandTemplate::parse(&text);
        }

        #[test]
        fn json_of_any_depth_is_read_or_not_but_never_overflows(depth in 0usize..5000) {
            let payload = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
            let _ = Template::parse("{{ value_json[0][0] }}").unwrap().value(&Payload::new(&payload));
        }
    }
}
