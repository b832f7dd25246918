//! Namespace names, one constant each. Owns the spelling only; what a namespace
//! means lives with its payload.

/// Entity capabilities (XEP-0115).
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// Client-to-server content namespace (RFC 6120 §4.8.2).
pub const CLIENT: &str = "jabber:client";
/// Delayed delivery (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// Service discovery, information (XEP-0030).
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// Service discovery, items (XEP-0030).
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Fast authentication by token (XEP-0484).
pub const FAST: &str = "urn:xmpp:fast:0";
/// Data forms (XEP-0004).
pub const FORMS: &str = "jabber:x:data";
/// WebSocket framing (RFC 7395).
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// Message processing hints (XEP-0334).
pub const HINTS: &str = "urn:xmpp:hints";
/// Stanza content size and rate limits (XEP-0478).
pub const LIMITS: &str = "urn:xmpp:stream-limits:0";
/// Offline storage feature (XEP-0160).
pub const OFFLINE: &str = "msgoffline";
/// XMPP ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Message delivery receipts (XEP-0184).
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// Roster (RFC 6121 §2).
pub const ROSTER: &str = "jabber:iq:roster";
/// Channel-binding type capability (XEP-0440).
pub const SASL_CB: &str = "urn:xmpp:sasl-cb:0";
/// SASL negotiation (RFC 6120 §6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// SASL negotiation with inline features (XEP-0388).
pub const SASL2: &str = "urn:xmpp:sasl:2";
/// Resource binding (RFC 6120 §7).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// The obsolete session request (RFC 3921), still advertised by servers.
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// Unique and stable stanza ids (XEP-0359).
pub const SID: &str = "urn:xmpp:sid:0";
/// Stream management (XEP-0198).
pub const SM: &str = "urn:xmpp:sm:3";
/// Stanza error conditions (RFC 6120 §8.3).
pub const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// The stream root element and its features (RFC 6120 §4.8.1).
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// Stream error conditions (RFC 6120 §4.9).
pub const STREAMS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// STARTTLS negotiation (RFC 6120 §5).
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// The namespace bound to the prefix `xml` (Namespaces in XML §3).
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace bound to the prefix `xmlns`: never an element's or attribute's.
pub const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// Every name above, so that a decoded namespace that is known costs no allocation.
pub(crate) const KNOWN: &[&str] = &[
    CLIENT,
    CAPS,
    DELAY,
    DISCO_INFO,
    DISCO_ITEMS,
    FAST,
    FORMS,
    FRAMING,
    HINTS,
    LIMITS,
    OFFLINE,
    PING,
    RECEIPTS,
    ROSTER,
    SASL_CB,
    SASL,
    SASL2,
    BIND,
    SESSION,
    SID,
    SM,
    STANZAS,
    STREAM,
    STREAMS,
    TLS,
    XML,
];

/// Where the known names of each length stand, one bit for each.
const BY_LENGTH: [u128; 64] = {
    let mut table = [0; 64];
    let mut at = 0;
    while at < KNOWN.len() {
        table[KNOWN[at].len()] |= 1 << at;
        at += 1;
    }
    table
};

/// The index of a known namespace name in [`KNOWN`].
pub(crate) fn index(name: &[u8]) -> Option<usize> {
    let mut candidates = *BY_LENGTH.get(name.len())?;
    while candidates != 0 {
        let at = candidates.trailing_zeros() as usize;
        if KNOWN[at].as_bytes() == name {
            return Some(at);
        }
        candidates &= candidates - 1;
    }
    None
}

/// The static copy of a known namespace name.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    index(name.as_bytes()).map(|at| KNOWN[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_where_it_stands() {
        for (at, name) in KNOWN.iter().enumerate() {
            assert_eq!(index(name.as_bytes()), Some(at), "{name}");
        }
        for unknown in ["", "jabber:clienx", "urn:x", &"x".repeat(1000)] {
            assert_eq!(known(unknown), None, "{unknown}");
        }
    }
}
