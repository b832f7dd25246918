//! Namespace names, one constant each. Owns the spelling only; what a namespace
//! means lives with its payload.

/// Resource binding inside of SASL2 (XEP-0386).
pub const BIND2: &str = "urn:xmpp:bind:0";
/// Entity capabilities (XEP-0115).
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// Chat states (XEP-0085).
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// Client-to-server content namespace (RFC 6120 §4.8.2).
pub const CLIENT: &str = "jabber:client";
/// Ad-hoc commands (XEP-0050).
pub const COMMANDS: &str = "http://jabber.org/protocol/commands";
/// Last message correction (XEP-0308).
pub const CORRECTION: &str = "urn:xmpp:message-correct:0";
/// Client state indication (XEP-0352).
pub const CSI: &str = "urn:xmpp:csi:0";
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
/// Control of things (XEP-0325).
pub const IOT_CONTROL: &str = "urn:xmpp:iot:control";
/// Sensor data (XEP-0323).
pub const IOT_SENSORDATA: &str = "urn:xmpp:iot:sensordata";
/// Stanza content size and rate limits (XEP-0478).
pub const LIMITS: &str = "urn:xmpp:stream-limits:0";
/// Displayed markers (XEP-0333).
pub const MARKERS: &str = "urn:xmpp:chat-markers:0";
/// Offline storage feature (XEP-0160).
pub const OFFLINE: &str = "msgoffline";
/// Out-of-band data, a URL (XEP-0066).
pub const OOB: &str = "jabber:x:oob";
/// XMPP ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Message delivery receipts (XEP-0184).
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// In-band registration (XEP-0077).
pub const REGISTER: &str = "jabber:iq:register";
/// In-band registration as a stream feature (XEP-0077 §8).
pub const REGISTER_FEATURE: &str = "http://jabber.org/features/iq-register";
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
const KNOWN: &[&str] = &[
    CLIENT,
    BIND2,
    CAPS,
    CHAT_STATES,
    COMMANDS,
    CORRECTION,
    CSI,
    DELAY,
    DISCO_INFO,
    DISCO_ITEMS,
    FAST,
    FORMS,
    FRAMING,
    HINTS,
    IOT_CONTROL,
    IOT_SENSORDATA,
    LIMITS,
    MARKERS,
    OFFLINE,
    OOB,
    PING,
    RECEIPTS,
    REGISTER,
    REGISTER_FEATURE,
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

/// The static copy of a known namespace name.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    KNOWN.iter().find(|k| **k == name).copied()
}
