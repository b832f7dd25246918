//! Entity capabilities (XEP-0115): a hash of a `disco#info` answer, in presence.

use sha1::Digest as _;

use super::disco::DiscoInfo;
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
    /// Extension forms must be verified too, and so are refused here.
    ///
    /// # Errors
    /// [`CapsError`] if `info` holds what the string cannot stand for.
    pub fn of(node: Text, info: &DiscoInfo) -> Result<Self, CapsError> {
        let ver = Text::base64(&sha1::Sha1::digest(verification_string(info)?.as_bytes()));
        Ok(Self {
            hash: Text::from_static("sha-1"),
            node,
            ver,
        })
    }

    /// Whether `info` is what these capabilities stand for. A hash that is not `sha-1`,
    /// or information that cannot be hashed, is not believed (§5.4).
    #[must_use]
    pub fn verify(&self, info: &DiscoInfo) -> bool {
        self.hash == "sha-1" && Self::of(self.node.clone(), info).is_ok_and(|c| c.ver == self.ver)
    }
}

/// Information that has no verification string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CapsError {
    /// Two features, or two identities, are the same (§5.4, rules 3.3 and 3.4).
    #[error("an identity or a feature stands twice (XEP-0115 §5.4)")]
    Duplicate,
    /// A `<` could forge another string (§5.1).
    #[error("an identity or a feature holds `<` (XEP-0115 §5.1)")]
    Ambiguous,
    /// Extension forms are not hashed by this crate yet.
    #[error(
        "the information has extension forms, which are not hashed here (XEP-0115 §5.1 step 7)"
    )]
    Extensions,
}

/// §5.1, steps 1 to 5.
fn verification_string(info: &DiscoInfo) -> Result<String, CapsError> {
    if !info.extensions.is_empty() {
        return Err(CapsError::Extensions);
    }
    let text = |t: &Option<Text>| t.as_deref().unwrap_or_default().to_owned();
    let mut identities: Vec<_> = info
        .identities
        .iter()
        .map(|i| {
            (
                i.category.to_string(),
                i.kind.to_string(),
                text(&i.lang),
                text(&i.name),
            )
        })
        .collect();
    let mut features: Vec<&str> = info.features.iter().map(Text::as_str).collect();
    identities.sort_unstable();
    features.sort_unstable();
    if identities.windows(2).any(|w| w[0] == w[1]) || features.windows(2).any(|w| w[0] == w[1]) {
        return Err(CapsError::Duplicate);
    }
    let mut s = String::new();
    for (category, kind, lang, name) in &identities {
        if [category, kind, lang, name].iter().any(|p| p.contains('<')) {
            return Err(CapsError::Ambiguous);
        }
        s.push_str(&format!("{category}/{kind}/{lang}/{name}<"));
    }
    for feature in features {
        if feature.contains('<') {
            return Err(CapsError::Ambiguous);
        }
        s.push_str(feature);
        s.push('<');
    }
    Ok(s)
}

impl Payload for Caps {
    const NAME: &'static str = "c";
    const NS: &'static str = ns::CAPS;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let text = |name| {
            required(element, Self::NAME, name)
                .map(|_| element.attr_value(name).cloned().unwrap_or_default())
        };
        Ok(Self {
            hash: text("hash")?,
            node: text("node")?,
            ver: text("ver")?,
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
