//! Entity capabilities (XEP-0115): a hash of a `disco#info` answer, in presence.

use std::borrow::Cow;

use sha1::Digest as _;

use super::disco::DiscoInfo;
use super::forms::FORM_TYPE;
use super::{Payload, PayloadError, required};
use crate::ns;
use crate::xml::{Element, Text};

/// The `<c/>` of a presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// The hash's name; `sha-1` is the one everybody knows.
    pub hash: Text,
    /// A URI that names the software.
    pub node: Text,
    /// The verification string, base64.
    pub ver: Text,
}

impl Caps {
    /// The capabilities of an entity that answers with `info`, by SHA-1 (§5.1).
    ///
    /// # Errors
    /// [`CapsError`] if `info` holds what the string cannot stand for.
    pub fn of(node: Text, info: &DiscoInfo) -> Result<Self, CapsError> {
        let ver = Text::base64(&sha1::Sha1::digest(VerificationString::of(info)?.0));
        Ok(Self {
            hash: Text::from_static("sha-1"),
            node,
            ver,
        })
    }

    /// Whether `info` is what these capabilities stand for. A hash that is not `sha-1`,
    /// or information that cannot be hashed, is not believed (§5.4). The hash says
    /// nothing of extensions that are no form with a hidden `FORM_TYPE`: do not keep
    /// these for anybody else.
    #[must_use]
    pub fn verify(&self, info: &DiscoInfo) -> bool {
        self.hash == "sha-1" && Self::of(self.node.clone(), info).is_ok_and(|c| c.ver == self.ver)
    }
}

/// Information that has no verification string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CapsError {
    /// Two features, two identities or two forms are the same (§5.4, rules 3.3 to 3.5).
    #[error("an identity, a feature or a form stands twice (XEP-0115 §5.4)")]
    Duplicate,
    /// A `<` could forge another string (§5.1).
    #[error("an identity, a feature or a form holds `<` (XEP-0115 §5.1)")]
    Ambiguous,
}

/// The string that is hashed (§5.1): parts, each followed by `<`.
#[derive(Default)]
struct VerificationString(String);

impl VerificationString {
    fn push(&mut self, part: &str) -> Result<(), CapsError> {
        if part.contains('<') {
            return Err(CapsError::Ambiguous);
        }
        self.0.push_str(part);
        self.0.push('<');
        Ok(())
    }

    /// §5.1, steps 1 to 7.
    fn of(info: &DiscoInfo) -> Result<Self, CapsError> {
        let mut string = Self::default();
        let optional = |t: &'_ Option<Text>| t.clone().unwrap_or_default();
        let identities = sorted(info.identities.iter().map(|i| {
            let (lang, name) = (optional(&i.lang), optional(&i.name));
            (i.category.clone(), i.kind.clone(), lang, name)
        }))?;
        for (category, kind, lang, name) in identities {
            string.push(&format!("{category}/{kind}/{lang}/{name}"))?;
        }
        for feature in sorted(info.features.iter().map(Text::as_str))? {
            string.push(feature)?;
        }
        let mut forms = Vec::new();
        for extension in &info.extensions {
            if let Some(form_type) = form_type(extension)? {
                forms.push((form_type, extension));
            }
        }
        sorted(forms.iter().map(|(form_type, _)| form_type))?;
        forms.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (form_type, form) in forms {
            string.form(&form_type, form)?;
        }
        Ok(string)
    }

    /// §5.1, step 7.
    fn form(&mut self, form_type: &str, form: &Element) -> Result<(), CapsError> {
        self.push(form_type)?;
        let mut fields: Vec<_> = fields(form)
            .map(|field| (field.attr("var").unwrap_or_default(), field))
            .filter(|(var, _)| *var != FORM_TYPE)
            .collect();
        fields.sort_by_key(|(var, _)| *var);
        for (var, field) in fields {
            self.push(var)?;
            let mut values: Vec<_> = values(field).collect();
            values.sort_unstable();
            for value in values {
                self.push(&value)?;
            }
        }
        Ok(())
    }
}

fn fields(form: &Element) -> impl Iterator<Item = &Element> {
    form.children().filter(|c| c.is("field", ns::FORMS))
}

fn values(field: &Element) -> impl Iterator<Item = Cow<'_, str>> {
    let values = field.children().filter(|c| c.is("value", ns::FORMS));
    values.map(Element::text)
}

/// What a form is about; `None` if it is to be ignored (§5.4, rules 3.5 and 3.6).
fn form_type(form: &Element) -> Result<Option<Cow<'_, str>>, CapsError> {
    if !form.is("x", ns::FORMS) {
        return Ok(None);
    }
    let Some(field) = fields(form).find(|f| f.attr("var") == Some(FORM_TYPE)) else {
        return Ok(None);
    };
    if field.attr("type") != Some("hidden") {
        return Ok(None);
    }
    let mut values = values(field);
    let first = values.next();
    if values.any(|other| Some(other) != first) {
        return Err(CapsError::Duplicate);
    }
    Ok(first)
}

/// In the order of their bytes, each once.
fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Result<Vec<T>, CapsError> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    if items.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(CapsError::Duplicate);
    }
    Ok(items)
}

impl Payload for Caps {
    const NAME: &'static str = "c";
    const NS: &'static str = ns::CAPS;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            hash: required(element, Self::NAME, "hash")?,
            node: required(element, Self::NAME, "node")?,
            ver: required(element, Self::NAME, "ver")?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr("hash", self.hash.clone())
            .with_attr("node", self.node.clone())
            .with_attr("ver", self.ver.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::disco::Identity;
    use super::*;

    #[test]
    fn the_simple_example_of_section_5_2_hashes_as_printed() {
        let info = DiscoInfo {
            identities: vec![Identity {
                category: Text::from_static("client"),
                kind: Text::from_static("pc"),
                name: Some(Text::from_static("Exodus 0.9.1")),
                lang: None,
            }],
            features: [
                "http://jabber.org/protocol/caps",
                "http://jabber.org/protocol/disco#info",
                "http://jabber.org/protocol/disco#items",
                "http://jabber.org/protocol/muc",
            ]
            .map(Text::from_static)
            .to_vec(),
            ..DiscoInfo::default()
        };
        let caps = Caps::of(Text::from_static("http://code.google.com/p/exodus"), &info).unwrap();
        assert_eq!(caps.ver, "QgayPKawpkPSDYmwT/WM94uAlu0=");
        assert!(caps.verify(&info));
        let mut more = info.clone();
        more.features.push(Text::from_static("urn:x"));
        assert!(!caps.verify(&more));
        more.features.push(Text::from_static("urn:x"));
        assert_eq!(
            Caps::of(caps.node.clone(), &more),
            Err(CapsError::Duplicate)
        );
    }
}
