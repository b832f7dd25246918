//! What people's messages carry, as its XEP shows it, values shortened: read, compared,
//! and written back to the same element.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod laws;
mod support;

use stanchion_stanza::payload::{
    PayloadError, chat_states::ChatState, correction, csi, csi::ClientState, markers, reply::Reply,
};
use stanchion_stanza::{Stanza, stream::StreamFeatures};
use support::{element, lacks, read, same, text};

#[test]
fn markers_are_read_as_in_xep_0333() {
    same(
        "<markable xmlns='urn:xmpp:chat-markers:0'/>",
        markers::Markable,
    );
    same(
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='msg-1'/>",
        markers::Displayed { id: text("msg-1") },
    );
    lacks::<markers::Displayed>("<displayed xmlns='urn:xmpp:chat-markers:0'/>", "id");
}

#[test]
fn corrections_are_read_as_in_xep_0308() {
    same(
        "<replace xmlns='urn:xmpp:message-correct:0' id='bad1'/>",
        correction::Replace { id: text("bad1") },
    );
    lacks::<correction::Replace>("<replace xmlns='urn:xmpp:message-correct:0'/>", "id");
}

#[test]
fn replies_are_read_as_in_xep_0461() {
    same(
        "<reply xmlns='urn:xmpp:reply:0' to='a@example.com/tablet' id='m1'/>",
        Reply {
            to: Some("a@example.com/tablet".parse().unwrap()),
            id: text("m1"),
        },
    );
    same(
        "<reply xmlns='urn:xmpp:reply:0' id='m1'/>",
        Reply {
            to: None,
            id: text("m1"),
        },
    );
    lacks::<Reply>("<reply xmlns='urn:xmpp:reply:0' to='a@b'/>", "id");
    assert!(read::<Reply>("<reply xmlns='urn:xmpp:reply:0' to='@' id='m1'/>").is_err());
}

#[test]
fn chat_states_are_read_as_in_xep_0085() {
    for state in ChatState::ALL {
        let xml = format!(
            "<{} xmlns='http://jabber.org/protocol/chatstates'/>",
            state.as_str()
        );
        assert_eq!(ChatState::from_element(&element(&xml)), Some(state));
        assert_eq!(state.to_element(), element(&xml));
    }
    for other in [
        "<active/>",
        "<active xmlns='urn:xmpp:csi:0'/>",
        "<asleep xmlns='http://jabber.org/protocol/chatstates'/>",
    ] {
        assert_eq!(ChatState::from_element(&element(other)), None, "{other}");
    }
}

#[test]
fn a_message_has_the_chat_state_that_comes_first() {
    let message = element(
        "<message><body>a</body><paused xmlns='http://jabber.org/protocol/chatstates'/>\
         <gone xmlns='http://jabber.org/protocol/chatstates'/></message>",
    );
    let Ok(Stanza::Message(message)) = Stanza::from_element(message) else {
        panic!()
    };
    assert_eq!(ChatState::find(&message.payloads), Some(ChatState::Paused));
    assert_eq!(ChatState::find(&message.payloads[..1]), None);
}

#[test]
fn client_states_are_read_as_in_xep_0352() {
    same("<csi xmlns='urn:xmpp:csi:0'/>", csi::Feature);
    for state in ClientState::ALL {
        let xml = format!("<{} xmlns='urn:xmpp:csi:0'/>", state.as_str());
        assert_eq!(ClientState::from_element(&element(&xml)), Some(state));
        assert_eq!(state.to_element(), element(&xml));
        assert!(!Stanza::is_stanza(&state.to_element()));
    }
    assert_eq!(ClientState::from_element(&element("<active/>")), None);
    // §4.2: a stream begins so.
    assert_eq!(ClientState::default(), ClientState::Active);
}

#[test]
fn client_state_is_found_among_the_stream_features() {
    let features = "<stream:features><csi xmlns='urn:xmpp:csi:0'/></stream:features>";
    let features: Result<StreamFeatures, PayloadError> = read(features);
    assert!(features.unwrap().offers("csi", "urn:xmpp:csi:0"));
}
