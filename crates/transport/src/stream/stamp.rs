//! Sender and recipient for stanzas that go out without: a component's server, unlike a
//! client's, does not fill them in (XEP-0114 §3). Works on bytes that the encoder wrote, so
//! that stored stanzas need not be read again.

use stanchion_stanza::Jid;

/// Puts `from` and `to` into stanzas: an address of ours for both, for what has no
/// recipient is for the sender's own account.
#[derive(Debug)]
pub(super) struct Stamp {
    /// The address as it stands in an attribute.
    address: Vec<u8>,
}

impl Stamp {
    pub(super) fn new(ours: &Jid) -> Self {
        let mut address = Vec::new();
        for byte in ours.as_str().bytes() {
            match byte {
                b'<' => address.extend_from_slice(b"&lt;"),
                b'&' => address.extend_from_slice(b"&amp;"),
                b'\'' => address.extend_from_slice(b"&apos;"),
                byte => address.push(byte),
            }
        }
        Self { address }
    }

    /// Appends whole elements to `out`, as the encoder wrote them: there are no comments,
    /// CDATA sections or instructions, and no bare `<` in a value. Presence without
    /// recipient is left out: it is for those who subscribed, and whom a client's server
    /// knows; a component's knows nobody.
    pub(super) fn put(&self, elements: &[u8], out: &mut Vec<u8>) {
        let mut rest = elements;
        let mut depth = 0_usize;
        // Where an element began that is left out.
        let mut left_out = None;
        while let Some(at) = rest.iter().position(|b| *b == b'<') {
            let (before, tag) = rest.split_at(at);
            out.extend_from_slice(before);
            let (tag, behind) = tag.split_at(end_of_tag(tag));
            let name = name_length(tag);
            if depth == 0 && &tag[1..name] == b"presence" && !has(&tag[name..], b"to") {
                left_out = Some(out.len());
            }
            out.extend_from_slice(&tag[..name]);
            if depth == 0 && is_stanza(&tag[1..name]) {
                for attribute in [&b"from"[..], b"to"] {
                    if !has(&tag[name..], attribute) {
                        out.push(b' ');
                        out.extend_from_slice(attribute);
                        out.extend_from_slice(b"='");
                        out.extend_from_slice(&self.address);
                        out.push(b'\'');
                    }
                }
            }
            out.extend_from_slice(&tag[name..]);
            if tag.starts_with(b"</") {
                depth = depth.saturating_sub(1);
            } else if !tag.ends_with(b"/>") {
                depth += 1;
            }
            if depth == 0
                && let Some(at) = left_out.take()
            {
                out.truncate(at);
            }
            rest = behind;
        }
        out.extend_from_slice(rest);
    }
}

/// The length of the tag that begins here, with its `>`; of all, if there is none.
fn end_of_tag(tag: &[u8]) -> usize {
    let mut quote = None;
    for (at, byte) in tag.iter().enumerate() {
        match (quote, byte) {
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'>') => return at + 1,
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    tag.len()
}

/// The length of `<` and the name behind it.
fn name_length(tag: &[u8]) -> usize {
    let inside = |b: &u8| !matches!(b, b' ' | b'>' | b'/' | b'\t' | b'\r' | b'\n');
    1 + tag[1..].iter().take_while(|b| inside(b)).count()
}

fn is_stanza(name: &[u8]) -> bool {
    matches!(name, b"message" | b"presence" | b"iq")
}

/// Whether an attribute of that name is there.
fn has(attributes: &[u8], name: &[u8]) -> bool {
    let mut quote = None;
    let mut word = Vec::new();
    for byte in attributes {
        match (quote, byte) {
            (None, b'\'' | b'"') => quote = Some(byte),
            (Some(open), byte) if open == byte => {
                quote = None;
                word.clear();
            }
            (None, b'=') if word == name => return true,
            (None, b' ' | b'\t' | b'\r' | b'\n' | b'=') => {}
            (None, byte) if word.len() <= name.len() => word.push(*byte),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use stanchion_stanza::{Encoder, Limits, Scope, Stanza, codec::parse_element};

    use super::*;

    fn stamped(elements: &str) -> String {
        let mut out = b"before".to_vec();
        let ours = Jid::new("o\u{e9}cloud.example/a&'b").unwrap();
        Stamp::new(&ours).put(elements.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_stanza_gets_the_addresses_that_it_lacks_and_nothing_else_does() {
        const OURS: &str = "'o\u{e9}cloud.example/a&amp;&apos;b'";
        assert_eq!(
            stamped(
                "<iq to='x' type='get' id='a from=>'><iq xmlns='urn:x' a='1'/><b>/></b></iq>\
                 <r xmlns='urn:xmpp:sm:3'/> <iq id='b'/><message to='x'><body>from=</body></message>"
            ),
            format!(
                "before<iq from={OURS} to='x' type='get' id='a from=>'><iq xmlns='urn:x' a='1'/>\
                 <b>/></b></iq><r xmlns='urn:xmpp:sm:3'/> <iq from={OURS} to={OURS} id='b'/>\
                 <message from={OURS} to='x'><body>from=</body></message>"
            )
        );
        for has in [
            "<iq from='a@b' to='x'/>",
            "<message id='x' from='a@b' to='c'><body/></message>",
            "<iqs/>",
            "text",
            "<",
        ] {
            assert_eq!(stamped(has), format!("before{has}"));
        }
        assert_eq!(
            stamped("<iq xfrom='1' from='2' tot='3'/>"),
            format!("before<iq to={OURS} xfrom='1' from='2' tot='3'/>")
        );
    }

    #[test]
    fn presence_for_nobody_in_particular_does_not_go_out() {
        for presence in [
            "<presence/>",
            "<presence type='unavailable' id='to='></presence>",
            "<presence><show>away</show><presence to='x'/><c xmlns='u'/></presence>",
        ] {
            let around = format!("<iqs/>{presence}<iqs/>");
            assert_eq!(stamped(&around), "before<iqs/><iqs/>");
        }
        let direct = stamped("<presence to='x'><show>away</show></presence>");
        assert!(
            direct.ends_with("to='x'><show>away</show></presence>"),
            "{direct}"
        );
        assert!(direct.contains("<presence from="), "{direct}");
    }

    #[test]
    fn what_is_stamped_reads_as_the_stanza_with_its_sender() {
        let read = |xml: &[u8]| parse_element(xml, &Scope::client(), &Limits::default()).unwrap();
        for xml in [
            "<message to='x@y' id='1'><body>a &lt; b &gt;</body><x xmlns='u' from='no'/></message>",
            "<iq type='set' id='&apos; from=&apos;'><q xmlns='u'><message/></q></iq>",
        ] {
            let element = read(xml.as_bytes());
            let encoder = Encoder::new(Scope::client(), Limits::default());
            let mut out = Vec::new();
            let ours = Jid::new("cloud.example").unwrap();
            Stamp::new(&ours).put(&encoder.to_bytes(&element).unwrap(), &mut out);
            let to = element.attr_text("to").unwrap_or_else(|| (&ours).into());
            let expected = element.with_attr("from", &ours).with_attr("to", to);
            let stanza = |element| Stanza::from_element(element).unwrap();
            assert_eq!(stanza(read(&out)), stanza(expected));
        }
    }
}
