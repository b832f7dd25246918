//! Namespace names, one constant each. Owns the spelling only; what a namespace
//! means lives with its payload.

/// Resource binding inside of SASL2 (XEP-0386).
pub const BIND2: &str = "urn:xmpp:bind:0";
/// Blocking (XEP-0191).
pub const BLOCKING: &str = "urn:xmpp:blocking";
/// Errors of blocking (XEP-0191 §3.3).
pub const BLOCKING_ERRORS: &str = "urn:xmpp:blocking:errors";
/// Entity capabilities (XEP-0115).
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// Message carbons (XEP-0280).
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// Chat states (XEP-0085).
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// Client-to-server content namespace (RFC 6120 §4.8.2).
pub const CLIENT: &str = "jabber:client";
/// Ad-hoc commands (XEP-0050).
pub const COMMANDS: &str = "http://jabber.org/protocol/commands";
/// Content namespace of a component (XEP-0114 §3).
pub const COMPONENT: &str = "jabber:component:accept";
/// Direct invitations to rooms (XEP-0249).
pub const CONFERENCE: &str = "jabber:x:conference";
/// Last message correction (XEP-0308).
pub const CORRECTION: &str = "urn:xmpp:message-correct:0";
/// Client state indication (XEP-0352).
pub const CSI: &str = "urn:xmpp:csi:0";
/// Delayed delivery (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// Delivery between two devices, this project's own (see
/// [`payload::delivery`](crate::payload::delivery)).
pub const DELIVERY: &str = "urn:stanchion:delivery:0";
/// Service discovery, information (XEP-0030).
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// Service discovery, items (XEP-0030).
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Fast authentication by token (XEP-0484).
pub const FAST: &str = "urn:xmpp:fast:0";
/// Data forms (XEP-0004).
pub const FORMS: &str = "jabber:x:data";
/// Stanza forwarding (XEP-0297).
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// WebSocket framing (RFC 7395).
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// Message processing hints (XEP-0334).
pub const HINTS: &str = "urn:xmpp:hints";
/// Control of things (XEP-0325).
pub const IOT_CONTROL: &str = "urn:xmpp:iot:control";
/// Control of things, compact (IEEE P1451-99).
pub const IOT_CONTROL_IEEE: &str = "urn:ieee:iot:ctr:1.0";
/// The same, as most of its speakers spell it.
pub const IOT_CONTROL_NF: &str = "urn:nf:iot:ctr:1.0";
/// The same, as some spell it.
pub const IOT_CONTROL_NFI: &str = "urn:nfi:iot:ctr:1.0";
/// Subscriptions to sensor data (the XSF's inbox, 2014).
pub const IOT_EVENTS: &str = "urn:xmpp:iot:events";
/// Subscriptions to sensor data, compact (IEEE P1451-99).
pub const IOT_EVENTS_IEEE: &str = "urn:ieee:iot:events:1.0";
/// The same, as most of its speakers spell it.
pub const IOT_EVENTS_NF: &str = "urn:nf:iot:events:1.0";
/// The same, as some spell it.
pub const IOT_EVENTS_NFI: &str = "urn:nfi:iot:events:1.0";
/// Sensor data (XEP-0323).
pub const IOT_SENSORDATA: &str = "urn:xmpp:iot:sensordata";
/// Sensor data, compact (IEEE P1451-99).
pub const IOT_SENSORDATA_IEEE: &str = "urn:ieee:iot:sd:1.0";
/// The same, as most of its speakers spell it.
pub const IOT_SENSORDATA_NF: &str = "urn:nf:iot:sd:1.0";
/// The same, as some spell it.
pub const IOT_SENSORDATA_NFI: &str = "urn:nfi:iot:sd:1.0";
/// Last activity (XEP-0012).
pub const LAST: &str = "jabber:iq:last";
/// Stanza content size and rate limits (XEP-0478).
pub const LIMITS: &str = "urn:xmpp:stream-limits:0";
/// Message archive management (XEP-0313).
pub const MAM: &str = "urn:xmpp:mam:2";
/// Multi-user chat, entering a room (XEP-0045).
pub const MUC: &str = "http://jabber.org/protocol/muc";
/// Multi-user chat, roles and affiliations (XEP-0045 §8, §9).
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// Multi-user chat, configuration and destruction (XEP-0045 §10).
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// Multi-user chat, what a room says of its occupants (XEP-0045 §7).
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Displayed markers (XEP-0333).
pub const MARKERS: &str = "urn:xmpp:chat-markers:0";
/// Offline storage feature (XEP-0160).
pub const OFFLINE: &str = "msgoffline";
/// Out-of-band data, a URL (XEP-0066).
pub const OOB: &str = "jabber:x:oob";
/// XMPP ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Stream feature: subscriptions may be approved in advance (RFC 6121 §3.4).
pub const PRE_APPROVAL: &str = "urn:xmpp:features:pre-approval";
/// Publish-subscribe, requests of anybody (XEP-0060).
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// Publish-subscribe, error conditions (XEP-0060).
pub const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
/// Publish-subscribe, notifications (XEP-0060).
pub const PUBSUB_EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// Publish-subscribe, requests of a node's owner (XEP-0060 §8).
pub const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// Message delivery receipts (XEP-0184).
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// In-band registration (XEP-0077).
pub const REGISTER: &str = "jabber:iq:register";
/// In-band registration as a stream feature (XEP-0077 §8).
pub const REGISTER_FEATURE: &str = "http://jabber.org/features/iq-register";
/// Message replies (XEP-0461).
pub const REPLY: &str = "urn:xmpp:reply:0";
/// Roster (RFC 6121 §2).
pub const ROSTER: &str = "jabber:iq:roster";
/// Stream feature: the roster has versions (RFC 6121 §2.6).
pub const ROSTER_VER: &str = "urn:xmpp:features:rosterver";
/// Result set management (XEP-0059).
pub const RSM: &str = "http://jabber.org/protocol/rsm";
/// Channel-binding type capability (XEP-0440).
pub const SASL_CB: &str = "urn:xmpp:sasl-cb:0";
/// SASL negotiation (RFC 6120 §6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// SASL negotiation with inline features (XEP-0388).
pub const SASL2: &str = "urn:xmpp:sasl:2";
/// Resource binding (RFC 6120 §7).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// Server-to-server content namespace (RFC 6120 §4.8.2).
pub const SERVER: &str = "jabber:server";
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
/// Commands to things that act once, this project's own (see
/// [`payload::thing_command`](crate::payload::thing_command)).
pub const THING_COMMAND: &str = "urn:stanchion:command:0";
/// Entity time (XEP-0202).
pub const TIME: &str = "urn:xmpp:time";
/// STARTTLS negotiation (RFC 6120 §5).
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// HTTP file upload (XEP-0363).
pub const UPLOAD: &str = "urn:xmpp:http:upload:0";
/// Software version (XEP-0092).
pub const VERSION: &str = "jabber:iq:version";
/// The namespace bound to the prefix `xml` (Namespaces in XML §3).
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace bound to the prefix `xmlns`: never an element's or attribute's.
pub const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// Every name above, so that a decoded namespace that is known costs no allocation.
pub(crate) const KNOWN: &[&str] = &[
    CARBONS,
    CLIENT,
    BIND2,
    CAPS,
    CHAT_STATES,
    COMMANDS,
    COMPONENT,
    CONFERENCE,
    CORRECTION,
    CSI,
    DELAY,
    DELIVERY,
    DISCO_INFO,
    DISCO_ITEMS,
    FAST,
    FORMS,
    FORWARD,
    FRAMING,
    HINTS,
    IOT_CONTROL,
    IOT_CONTROL_IEEE,
    IOT_CONTROL_NF,
    IOT_CONTROL_NFI,
    IOT_EVENTS,
    IOT_EVENTS_IEEE,
    IOT_EVENTS_NF,
    IOT_EVENTS_NFI,
    IOT_SENSORDATA,
    IOT_SENSORDATA_IEEE,
    IOT_SENSORDATA_NF,
    IOT_SENSORDATA_NFI,
    LAST,
    LIMITS,
    MAM,
    MUC,
    MUC_ADMIN,
    MUC_OWNER,
    MUC_USER,
    MARKERS,
    OFFLINE,
    OOB,
    PING,
    PRE_APPROVAL,
    PUBSUB,
    PUBSUB_ERRORS,
    PUBSUB_EVENT,
    PUBSUB_OWNER,
    RECEIPTS,
    REGISTER,
    REGISTER_FEATURE,
    REPLY,
    ROSTER,
    ROSTER_VER,
    RSM,
    SASL_CB,
    SASL,
    SASL2,
    BIND,
    SERVER,
    SESSION,
    SID,
    SM,
    STANZAS,
    STREAM,
    STREAMS,
    THING_COMMAND,
    TIME,
    TLS,
    UPLOAD,
    VERSION,
    XML,
];

/// Where the known names of each slot stand, one bit for each.
const BY_SLOT: [u128; SLOTS] = {
    let mut table = [0; SLOTS];
    let mut at = 0;
    while at < KNOWN.len() {
        table[slot(KNOWN[at].as_bytes())] |= 1 << at;
        at += 1;
    }
    table
};
const SLOTS: usize = 128;

/// What tells known names apart without comparing them: length, and two bytes of those
/// that differ most.
const fn slot(name: &[u8]) -> usize {
    match name.len() {
        length @ 3.. => {
            (length + 5 * name[length / 2] as usize + name[length - 3] as usize) % SLOTS
        }
        _ => 0,
    }
}

/// The index of a known namespace name in [`KNOWN`].
pub(crate) fn index(name: &[u8]) -> Option<usize> {
    let mut candidates = BY_SLOT[slot(name)];
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
