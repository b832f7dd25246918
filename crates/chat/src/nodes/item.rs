//! How an item is written on the command line, and shown: XML as it stands, or JSON in the
//! container that XEP-0335 has for it.

use stanchion::services::pubsub::Item;
use stanchion::stanza::codec::{Encoder, parse_element};
use stanchion::stanza::{Element, Limits, Scope, Text};

/// The namespace of a JSON container (XEP-0335).
const JSON: &str = "urn:xmpp:json:0";

/// The payload that somebody wrote.
///
/// # Errors
/// What is wrong with it, and what to write.
pub(super) fn read(text: &str) -> Result<Element, String> {
    let text = text.trim();
    if text.starts_with('<') {
        return parse_element(text.as_bytes(), &Scope::empty(), &Limits::default())
            .map_err(|e| format!("the item is not well-formed XML: {e}"));
    }
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        return Err(match text.chars().next() {
            None => "the item is empty; write XML or JSON".to_owned(),
            Some('{' | '[' | '"') => format!("the item is not well-formed JSON: {error}"),
            Some(_) => "the item is neither XML nor JSON; a text is JSON in double quotes".into(),
        });
    }
    let text = Text::new(text).map_err(|e| format!("the item cannot be sent: {e}"))?;
    Ok(Element::new("json", JSON).with_text(text))
}

/// The payload as it is printed: the JSON in a container, else XML; none if there is none.
pub(super) fn shown(item: &Item) -> Option<String> {
    let payload = item.payload()?;
    Some(json(item).unwrap_or_else(|| xml(payload)))
}

/// The JSON of a container.
pub(super) fn json(item: &Item) -> Option<String> {
    let payload = item.payload().filter(|p| p.is("json", JSON))?;
    let text = payload.text();
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(match text.contains(['\n', '\r']) {
        // On many lines as other makers write it: blanks mean nothing there.
        true => value.to_string(),
        false => text.into_owned(),
    })
}

/// The payload as XML.
pub(super) fn xml(payload: &Element) -> String {
    let bytes = Encoder::new(Scope::empty(), Limits::default()).to_bytes(payload);
    match bytes {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("(cannot be shown: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_stays_xml_and_json_goes_into_its_container() {
        let element = read(" <t xmlns='urn:example'><c>21.5</c></t> ").unwrap();
        assert!(element.is("t", "urn:example"));
        for text in ["21.5", "\"warm\"", "{\"celsius\": 21.5}", "[1]", "null"] {
            let element = read(text).unwrap();
            assert!(element.is("json", JSON));
            assert_eq!(element.text(), text);
        }
    }

    #[test]
    fn what_is_neither_is_told_with_what_to_write() {
        for (text, told) in [
            ("warm", "double quotes"),
            ("", "empty"),
            ("{\"a\"", "line 1 column 4"),
            ("<a", "not well-formed"),
            ("<a/><b/>", "not well-formed"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
