//! Answers that RFC 6120 §8.2.3 and the extensions in use demand of every client, given
//! here when no service above gives them.

use stanchion_stanza::payload::delivery::{FEATURE, Place, capability_form};
use stanchion_stanza::payload::disco::{DiscoInfo, Identity};
use stanchion_stanza::payload::ping::Ping;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::{Element, Iq, Payload as _, Text, ns};

/// What every client announces (XEP-0030).
const FEATURES: [&str; 4] = [ns::DISCO_INFO, ns::PING, ns::RECEIPTS, ns::SID];

/// The answer to a request; none to an answer. `place` is who speaks the delivery protocol
/// here, if it is spoken.
pub(super) fn respond(iq: &Iq, place: Option<&Place>) -> Option<Element> {
    let answer = match &iq.kind {
        IqKind::Result(_) | IqKind::Error(..) => return None,
        IqKind::Get(query) if Ping::matches(query) => iq.result(None),
        IqKind::Get(query) if DiscoInfo::matches(query) && query.attr("node").is_none() => {
            iq.result(Some(info(place).to_element()))
        }
        IqKind::Get(_) | IqKind::Set(_) => iq.refuse(StanzaError::new(
            ErrorType::Cancel,
            DefinedCondition::ServiceUnavailable,
        )),
    };
    Some(answer.to_element())
}

fn info(place: Option<&Place>) -> DiscoInfo {
    let spoken = place.map(|_| Text::from_static(FEATURE));
    let features = FEATURES.map(Text::from_static).into_iter();
    DiscoInfo {
        identities: vec![Identity {
            category: Text::from_static("client"),
            kind: Text::from_static("bot"),
            name: Some(Text::from_static("Stanchion")),
            lang: None,
        }],
        features: features.chain(spoken).collect(),
        extensions: place
            .map(|place| capability_form(place).to_element())
            .into_iter()
            .collect(),
        ..DiscoInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_answered_and_no_answer_is() {
        let ping = Iq::get(None, Text::from_static("1"), &Ping);
        assert_eq!(respond(&ping, None).unwrap().attr("type"), Some("result"));
        let unknown = Iq {
            kind: IqKind::Set(Element::new("query", "urn:example:unknown")),
            ..ping.clone()
        };
        let refusal = respond(&unknown, None).unwrap();
        assert_eq!(
            (refusal.attr("type"), refusal.attr("id")),
            (Some("error"), Some("1"))
        );
        assert_eq!(respond(&ping.result(None), None), None);
    }
}
