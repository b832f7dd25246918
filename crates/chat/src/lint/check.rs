//! One stanza looked at: its kind, its payloads however deep they are, and the rules that
//! they break. Everything is written and read again.

use stanchion::stanza::payload::known::{self, Known, Side};
use stanchion::stanza::payload::{Payload as _, PayloadError};
use stanchion::stanza::stanza::StanzaParseError;
use stanchion::stanza::stream::{StreamError, StreamFeatures, StreamHeader};
use stanchion::stanza::{Decoder, Element, Encoder, Limits, Scope, Stanza, StreamEvent, ns};

use super::Fault;
use super::written::{same, written};
use crate::exit::one_line;

/// Kinds of payloads that are told apart in one stanza, and faults that are told of it.
const MOST_PAYLOADS: usize = 256;
const MOST_FAULTS: usize = 16;

/// A payload, and how often it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) ns: String,
    /// Its type; `None` if it has none here.
    pub(super) known: Option<Meaning>,
    pub(super) count: usize,
}

/// What an element is, and where that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) what: &'static str,
    pub(super) specification: &'static str,
}

/// What was seen of a stanza.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Checked {
    /// Such as `message chat`.
    pub(super) kind: String,
    /// In the order in which each was met first.
    pub(super) payloads: Vec<Found>,
    /// Payloads beyond those.
    pub(super) more: usize,
    /// The innermost first.
    pub(super) faults: Vec<Fault>,
}

impl Checked {
    /// Looks at a top-level element.
    pub(super) fn of(element: &Element, scope: &Scope, limits: &Limits) -> Self {
        let mut check = Check {
            scope,
            limits,
            checked: Self {
                kind: kind(element),
                ..Self::default()
            },
        };
        check.xml(element);
        if is_stanza(element) {
            check.stanza(element);
        } else {
            check.payload(element, "", None);
        }
        check.checked
    }
}

/// Looks at the opening tag of a stream.
pub(super) fn header(header: &StreamHeader) -> Checked {
    let mut out = Vec::new();
    Encoder::new(Scope::empty(), Limits::default()).open(header, &mut out);
    let mut decoder = Decoder::new(Limits::default().with_stanza_bytes(out.len()));
    decoder.push(&out);
    let again = decoder.next_event();
    let survived = matches!(&again, Ok(Some(StreamEvent::Open(again))) if again == header);
    let fault = (!survived).then(|| Fault {
        rule: "round-trip",
        section: "RFC 6120 §4.7".to_owned(),
        message: "the stream's opening tag, written again, is another".to_owned(),
    });
    Checked {
        kind: "stream".to_owned(),
        faults: fault.into_iter().collect(),
        ..Checked::default()
    }
}

/// Whether it is a stanza by its name, of whichever kind of stream.
fn is_stanza(element: &Element) -> bool {
    matches!(element.ns(), ns::CLIENT | ns::SERVER)
        && matches!(element.name(), "message" | "presence" | "iq")
}

/// What a top-level element is, in the words of RFC 6120.
fn kind(element: &Element) -> String {
    let name = element.name();
    if StreamFeatures::matches(element) {
        return "features".to_owned();
    }
    if StreamError::matches(element) {
        return "stream error".to_owned();
    }
    if !is_stanza(element) {
        return format!("nonza <{name}/>");
    }
    let kinds: &[&str] = match name {
        "message" => &["chat", "error", "groupchat", "headline"],
        "iq" => &["get", "set", "result", "error"],
        _ => &[
            "error",
            "probe",
            "subscribe",
            "subscribed",
            "unavailable",
            "unsubscribe",
            "unsubscribed",
        ],
    };
    let said = element.attr("type").filter(|t| kinds.contains(t));
    match (name, said) {
        (_, Some(kind)) => format!("{name} {kind}"),
        // What RFC 6121 §5.2.2 makes of none, and of any other.
        ("message", None) => "message normal".to_owned(),
        _ => name.to_owned(),
    }
}

struct Check<'a> {
    scope: &'a Scope,
    limits: &'a Limits,
    checked: Checked,
}

impl Check<'_> {
    fn fault(&mut self, rule: &'static str, section: String, message: String) {
        let fault = Fault {
            rule,
            section,
            message,
        };
        let faults = &mut self.checked.faults;
        // What is wrong deep inside is wrong for all that is around it.
        if faults.len() < MOST_FAULTS && !faults.iter().any(|f| f.message == fault.message) {
            faults.push(fault);
        }
    }

    /// The element comes back as the same XML.
    fn xml(&mut self, element: &Element) {
        let message = match written(element, self.scope, self.limits) {
            Ok(again) if same(element, &again) => return,
            Ok(_) => "written again it is other XML".to_owned(),
            Err(why) => why,
        };
        self.fault("round-trip", "XML 1.0 §2".to_owned(), message);
    }

    /// A stanza, at the top or forwarded.
    fn stanza(&mut self, element: &Element) {
        let side = match (element.name(), element.attr("type")) {
            ("iq", Some("result")) => Some(Side::Answer),
            ("iq", _) => Some(Side::Request),
            _ => None,
        };
        for child in element.children() {
            self.payload(child, "", side);
        }
        // Stanzas between servers have no type here.
        if !Stanza::is_stanza(element) {
            return;
        }
        let stanza = match Stanza::from_element(element.clone()) {
            Ok(stanza) => stanza,
            Err(error) => return self.stanza_fault(element, &error),
        };
        let again = written(&stanza.to_element(), self.scope, self.limits);
        let again = again.map(Stanza::from_element);
        if again != Ok(Ok(stanza)) {
            let message = format!("<{}/> is another when written again", element.name());
            let section = stanza_section(element).to_owned();
            self.fault("round-trip", section, message);
        }
    }

    fn stanza_fault(&mut self, element: &Element, error: &StanzaParseError) {
        let (rule, message) = match error {
            StanzaParseError::Invalid(error) => (rule(error), one_line(error)),
            StanzaParseError::IqChildren(kind) => {
                let message = format!("an iq of type `{kind}` has the wrong number of children");
                ("iq-children", message)
            }
            other => ("stanza", one_line(other)),
        };
        self.fault(rule, stanza_section(element).to_owned(), message);
    }

    /// A payload and what is in it. As deep as the stanza is, which [`Limits::depth`]
    /// bounds. `around` is the namespace of the element that it is in.
    fn payload(&mut self, element: &Element, around: &str, side: Option<Side>) {
        let mut types =
            known::types(element, side).map(|known| (known, self.journey(element, known)));
        let first = types.next();
        // Request and answer may share an element: it is to be one of them.
        let read = match first {
            Some((_, Err(_))) => types.find(|(_, outcome)| outcome.is_ok()).or(first),
            other => other,
        };
        let view = known::view(element).map(|known| (known, self.journey(element, known)));
        match &read {
            Some((known, _)) => self.found(element, Some(meaning(known))),
            // What has its parent's namespace is a part of it.
            None if element.ns() != around => self.found(element, None),
            None => {}
        }
        if let Some((known, _)) = &view {
            self.found(element, Some(meaning(known)));
        }
        let inside = match (element.name(), element.ns()) {
            ("authenticate", ns::SASL2) => Some(Side::Request),
            ("success" | "continue", ns::SASL2) | ("features", ns::STREAM) => Some(Side::Answer),
            _ => side,
        };
        for child in element.children() {
            if is_stanza(child) {
                self.found(child, Some(Meaning::STANZA));
                self.stanza(child);
            } else {
                self.payload(child, element.ns(), inside);
            }
        }
        for (known, outcome) in read.into_iter().chain(view) {
            if let Err((rule, message)) = outcome {
                let section = format!("{} {}", known.specification, known.section);
                self.fault(rule, section.trim_end().to_owned(), message);
            }
        }
    }

    /// Reads an element as a type, writes it, and reads it again.
    fn journey(&self, element: &Element, known: &Known) -> Result<(), (&'static str, String)> {
        let broken = |error: PayloadError| (rule(&error), one_line(&error));
        let changed = |why: &str| {
            let message = format!("<{}/>, read as {}, {why}", element.name(), known.what);
            ("round-trip", message)
        };
        let rewritten = known.rewrite(element).map_err(broken)?;
        let again = written(&rewritten, self.scope, self.limits).map_err(|why| changed(&why))?;
        match known.same(element, &again) {
            Ok(true) => Ok(()),
            Ok(false) => Err(changed("is another when written again")),
            Err(error) => Err(changed(&format!("is broken when written again: {error}"))),
        }
    }

    fn found(&mut self, element: &Element, known: Option<Meaning>) {
        let payloads = &mut self.checked.payloads;
        let mut same = payloads.iter_mut();
        let same =
            same.find(|f| f.known == known && f.name == element.name() && f.ns == element.ns());
        if let Some(same) = same {
            same.count += 1;
        } else if payloads.len() < MOST_PAYLOADS {
            payloads.push(Found {
                name: element.name().to_owned(),
                ns: element.ns().to_owned(),
                known,
                count: 1,
            });
        } else {
            self.checked.more += 1;
        }
    }
}

impl Meaning {
    const STANZA: Self = Self {
        what: "stanza",
        specification: "RFC 6120",
    };
}

const fn meaning(known: &Known) -> Meaning {
    Meaning {
        what: known.what,
        specification: known.specification,
    }
}

/// Where the rules of a stanza stand.
fn stanza_section(element: &Element) -> &'static str {
    match element.name() {
        "iq" => "RFC 6120 §8.1, §8.2.3",
        "presence" => "RFC 6120 §8.1, RFC 6121 §4.7.1",
        _ => "RFC 6120 §8.1",
    }
}

/// The name of a broken rule, for programs.
const fn rule(error: &PayloadError) -> &'static str {
    match error {
        PayloadError::MissingAttribute { .. } => "missing-attribute",
        PayloadError::MissingChild { .. } => "missing-child",
        PayloadError::Invalid { .. } => "invalid-value",
        PayloadError::Jid { .. } => "invalid-address",
        _ => "payload",
    }
}

#[cfg(test)]
mod tests {
    use stanchion::stanza::codec::parse_element;

    use super::*;

    fn checked(xml: &str) -> Checked {
        let (scope, limits) = (Scope::client(), Limits::default());
        let element = parse_element(xml.as_bytes(), &scope, &limits).unwrap();
        Checked::of(&element, &scope, &limits)
    }

    /// The payloads in words.
    fn payloads(xml: &str) -> Vec<String> {
        let found = checked(xml).payloads.into_iter();
        let word = |f: Found| match f.known {
            Some(meaning) => format!("{} {}", meaning.what, f.count),
            None => format!("{{{}}}{} {}", f.ns, f.name, f.count),
        };
        found.map(word).collect()
    }

    /// Rule and section of each fault.
    fn faults(xml: &str) -> Vec<(&'static str, String)> {
        let faults = checked(xml).faults.into_iter();
        faults.map(|f| (f.rule, f.section)).collect()
    }

    #[test]
    fn each_top_level_element_has_a_kind() {
        for (xml, kind) in [
            ("<message type='chat'/>", "message chat"),
            ("<message/>", "message normal"),
            ("<message type='news'/>", "message normal"),
            ("<presence/>", "presence"),
            ("<presence type='subscribe'/>", "presence subscribe"),
            ("<iq type='get'/>", "iq get"),
            ("<iq type='news'/>", "iq"),
            ("<stream:features/>", "features"),
            ("<stream:error/>", "stream error"),
            ("<a xmlns='urn:xmpp:sm:3' h='1'/>", "nonza <a/>"),
            ("<message xmlns='urn:x'/>", "nonza <message/>"),
        ] {
            assert_eq!(checked(xml).kind, kind, "{xml}");
        }
    }

    #[test]
    fn payloads_are_found_however_deep_they_are() {
        let xml = "<message><result xmlns='urn:xmpp:mam:2' id='1'>\
            <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='s'/>\
            <message xmlns='jabber:client'><body>b</body>\
            <event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'><item>\
            <x xmlns='jabber:x:data' type='result'/></item><item>\
            <e xmlns='urn:e'><e/><f xmlns='urn:f'/></e></item></items></event>\
            </message></forwarded></result></message>";
        let expected = [
            "archived message 1",
            "forwarded stanza 1",
            "delay 1",
            "stanza 1",
            "body 1",
            "publish-subscribe notification 1",
            "data form 1",
            "{urn:e}e 1",
            "{urn:f}f 1",
        ];
        assert_eq!(payloads(xml), expected);
        assert_eq!(faults(xml), []);
    }

    #[test]
    fn features_are_what_is_offered() {
        let xml = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
            <mechanism>PLAIN</mechanism></mechanisms><sm xmlns='urn:xmpp:sm:3'/>\
            <authentication xmlns='urn:xmpp:sasl:2'><mechanism>PLAIN</mechanism><inline>\
            <fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-NONE</mechanism></fast>\
            </inline></authentication></stream:features>";
        let expected = [
            "stream features 1",
            "SASL mechanisms 1",
            "stream management feature 1",
            "SASL2 feature 1",
            "FAST feature 1",
        ];
        assert_eq!(payloads(xml), expected);
        let broken = "<stream:features><fast xmlns='urn:xmpp:fast:0'/></stream:features>";
        let fault = ("missing-child", "XEP-0484 §3.1".to_owned());
        assert_eq!(faults(broken), [fault]);
    }

    #[test]
    fn the_type_of_an_iq_tells_request_from_answer() {
        let iq = |kind: &str| {
            format!(
                "<iq type='{kind}' id='1'><pubsub xmlns='http://jabber.org/protocol/pubsub'/></iq>"
            )
        };
        assert_eq!(payloads(&iq("result")), ["publish-subscribe answer 1"]);
        assert_eq!(faults(&iq("result")), []);
        assert_eq!(payloads(&iq("set")), ["publish-subscribe request 1"]);
        let fault = ("invalid-value", "XEP-0060 §5 to §8.1".to_owned());
        assert_eq!(faults(&iq("set")), [fault]);
    }

    #[test]
    fn a_rule_of_an_extension_without_sections_stands_in_its_namespace() {
        let xml = "<message><a xmlns='urn:stanchion:delivery:0' d='D1' at='R1.AAAAAAAAAAk' \
            e='3.kQAAAA' c='a' b='fwAAAQ' w='1'><v n='0' i='ungWv48B' s='d'/></a></message>";
        assert_eq!(
            payloads(xml),
            ["verdicts on messages 1", "verdict on a message 1"]
        );
        let fault = ("invalid-value", "urn:stanchion:delivery:0".to_owned());
        assert_eq!(faults(xml), [fault]);
    }

    #[test]
    fn a_broken_payload_is_told_once_and_where_it_is() {
        let xml = "<message><result xmlns='urn:xmpp:mam:2' id='1'>\
            <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay'/>\
            </forwarded></result><received xmlns='urn:xmpp:receipts'/></message>";
        let expected = [
            ("missing-attribute", "XEP-0203 §4".to_owned()),
            ("missing-attribute", "XEP-0184 §5".to_owned()),
        ];
        assert_eq!(faults(xml), expected);
        let message = &checked(xml).faults[0].message;
        assert_eq!(message, "<delay/> lacks the attribute `stamp`");
    }

    #[test]
    fn a_stanza_that_breaks_rfc_6120_is_told() {
        let iq = "RFC 6120 §8.1, §8.2.3".to_owned();
        for (xml, rule) in [
            ("<iq type='get' id='1'/>", "iq-children"),
            ("<iq type='get'/>", "missing-attribute"),
            ("<iq type='fetch' id='1'/>", "invalid-value"),
            ("<iq type='result' id='1' to='@'/>", "invalid-address"),
        ] {
            assert_eq!(faults(xml), [(rule, iq.clone())], "{xml}");
        }
        let inside = "<message><forwarded xmlns='urn:xmpp:forward:0'>\
            <iq xmlns='jabber:client' type='get' id='1'/></forwarded></message>";
        assert_eq!(faults(inside), [("iq-children", iq)]);
        // Between servers other namespaces hold.
        assert_eq!(faults("<iq xmlns='jabber:server'/>"), []);
    }

    #[test]
    fn a_form_is_read_as_what_it_is_about() {
        let xml = |value: &str| {
            format!(
                "<message><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
                 <value>urn:xmpp:mam:2</value></field><field var='with'><value>{value}</value>\
                 </field></x></message>"
            )
        };
        let expected = ["data form 1", "conditions of an archive query 1"];
        assert_eq!(payloads(&xml("a@example.org")), expected);
        let fault = ("invalid-value", "XEP-0313 §4.1".to_owned());
        assert_eq!(faults(&xml("@")), [fault]);
    }

    #[test]
    fn what_is_told_of_a_stanza_is_bounded() {
        let mut xml = "<message>".to_owned();
        for n in 0..MOST_PAYLOADS + 10 {
            xml.push_str(&format!("<a{n} xmlns='urn:a'/>"));
        }
        for n in 0..20 {
            xml.push_str(&"<e xmlns='urn:e'/>".repeat(n));
            xml.push_str("<delay xmlns='urn:xmpp:delay'/>");
        }
        xml.push_str("</message>");
        let checked = checked(&xml);
        assert_eq!(checked.payloads.len(), MOST_PAYLOADS);
        assert_eq!(checked.more, 10 + 190 + 20);
        assert_eq!(checked.faults.len(), 1);
    }

    #[test]
    fn an_opening_tag_survives() {
        let domain = "example.org".parse().unwrap();
        let checked = header(&StreamHeader::initial(domain));
        assert_eq!((checked.kind.as_str(), checked.faults.len()), ("stream", 0));
    }
}
