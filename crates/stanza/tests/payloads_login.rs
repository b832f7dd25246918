//! SASL2 and what goes along with it, as the XEPs and a real server show it, values
//! shortened: read, compared, written back, and refused where broken.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod laws;
mod support;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::payload::channel_binding::ChannelBindings;
use stanchion_stanza::payload::limits::StreamLimits;
use stanchion_stanza::payload::sasl2::{
    Abort, Authenticate, Authentication, Challenge, Continue, Failure, Inline, Next, Response,
    Success, TaskData, UserAgent,
};
use stanchion_stanza::payload::{Payload, PayloadError, bind2, csi, fast, sm};
use stanchion_stanza::stream::StreamFeatures;
use stanchion_stanza::{Element, ns};
use support::values::{extensions, jid, maybe_text, some_texts, texts, travels};
use support::{element, invalid, lacks, lacks_child, means, read, same, text, values};

const NS: &str = "xmlns='urn:xmpp:sasl:2'";

/// As Prosody 0.12.3 offers it under TLS 1.3.
const PROSODY: &str = "<authentication xmlns='urn:xmpp:sasl:2'>\
    <mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-256-PLUS</mechanism><inline>\
    <bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/>\
    <feature var='urn:xmpp:sm:3'/><feature var='urn:xmpp:csi:0'/></inline></bind>\
    <sm xmlns='urn:xmpp:sm:3'/><fast xmlns='urn:xmpp:fast:0'>\
    <mechanism>HT-SHA-256-NONE</mechanism><mechanism>HT-SHA-256-EXPR</mechanism></fast></inline>\
    </authentication>";

fn prosody() -> Authentication {
    Authentication {
        mechanisms: ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"].map(text).to_vec(),
        inline: Inline {
            bind2: Some(bind2::Feature {
                inline: ["urn:xmpp:sm:3", "urn:xmpp:sm:3", "urn:xmpp:csi:0"]
                    .map(text)
                    .to_vec(),
            }),
            fast: Some(fast::Feature {
                mechanisms: ["HT-SHA-256-NONE", "HT-SHA-256-EXPR"].map(text).to_vec(),
                tls_0rtt: false,
            }),
            stream_management: true,
            other: Vec::new(),
        },
        other: Vec::new(),
    }
}

#[test]
fn the_offer_of_prosody_is_understood() {
    means(PROSODY, prosody());
    let feature = prosody().inline.bind2.unwrap();
    assert!(feature.has(ns::SM) && feature.has(ns::CSI) && !feature.has("urn:xmpp:carbons:2"));
}

#[test]
fn the_smallest_offer_is_one_mechanism() {
    same(
        &format!("<authentication {NS}><mechanism>EXTERNAL</mechanism></authentication>"),
        Authentication {
            mechanisms: vec![text("EXTERNAL")],
            ..Authentication::default()
        },
    );
    lacks_child::<Authentication>(
        &format!("<authentication {NS}><inline/></authentication>"),
        "authentication",
        "mechanism",
    );
}

#[test]
fn what_an_offer_holds_besides_stays_as_it_was() {
    let offer = read::<Authentication>(&format!(
        "<authentication {NS}><mechanism>PLAIN</mechanism>\
         <inline><task xmlns='urn:example:a'>1</task><fast xmlns='urn:xmpp:fast:0'/></inline>\
         <hostname xmlns='urn:xmpp:domain-based-name:1'>auth.example.org</hostname>\
         </authentication>"
    ))
    .unwrap();
    assert_eq!(offer.other.len(), 1);
    // A `<fast/>` without mechanisms is no way to log in, and no reason not to.
    assert_eq!(offer.inline.fast, None);
    assert_eq!(offer.inline.other.len(), 2);
    assert_eq!(Authentication::from_element(&offer.to_element()), Ok(offer));
}

#[test]
fn sasl2_is_a_typed_stream_feature() {
    let features = format!("<stream:features>{PROSODY}<x xmlns='urn:x'/></stream:features>");
    let features = read::<StreamFeatures>(&features).unwrap();
    assert_eq!(features.sasl2, Some(prosody()));
    assert!(features.mechanisms.is_empty());
    assert_eq!(features.other.len(), 1);
    assert!(features.offers("authentication", ns::SASL2));
    assert!(!features.offers("mechanisms", ns::SASL));
    assert_eq!(
        StreamFeatures::from_element(&features.to_element()),
        Ok(features)
    );
}

#[test]
fn a_broken_offer_does_not_hide_the_other_ways_to_log_in() {
    let features = read::<StreamFeatures>(&format!(
        "<stream:features><authentication {NS}/>\
         <mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>\
         </mechanisms></stream:features>"
    ))
    .unwrap();
    assert_eq!(features.sasl2, None);
    assert_eq!(features.mechanisms, ["PLAIN"]);
    assert_eq!(
        features.other,
        [element(&format!("<authentication {NS}/>"))]
    );
}

/// All that a client can say at once.
const REQUEST: &str = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256'>\
    <initial-response>biwsbj1hLHI9aw==</initial-response>\
    <user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>probe</software>\
    <device>bench</device></user-agent>\
    <bind xmlns='urn:xmpp:bind:0'><tag>sensor</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/>\
    <inactive xmlns='urn:xmpp:csi:0'/></bind>\
    <request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/></authenticate>";

#[test]
fn authenticate_is_read_as_in_xep_0388() {
    let bind = bind2::Request {
        tag: Some(text("sensor")),
        inline: vec![
            sm::Enable {
                resume: true,
                max: None,
            }
            .to_element(),
            csi::ClientState::Inactive.to_element(),
        ],
    };
    let token = fast::RequestToken {
        mechanism: text("HT-SHA-256-NONE"),
    };
    let request = Authenticate {
        mechanism: text("SCRAM-SHA-256"),
        initial: Some(b"n,,n=a,r=k".to_vec()),
        user_agent: Some(UserAgent {
            id: Some(text("d4565fa7-4d72-4749-b3d3-740edbf87770")),
            software: Some(text("probe")),
            device: Some(text("bench")),
        }),
        inline: vec![bind.to_element(), token.to_element()],
    };
    same(REQUEST, request.clone());
    assert_eq!(bind2::Request::find(&request.inline), Ok(Some(bind)));
    assert_eq!(fast::RequestToken::find(&request.inline), Ok(Some(token)));
    assert_eq!(sm::Resume::find(&request.inline), Ok(None));
    lacks::<Authenticate>(&format!("<authenticate {NS}/>"), "mechanism");
}

#[test]
fn an_empty_initial_response_is_not_the_same_as_none() {
    let request = |initial: Option<&[u8]>| Authenticate {
        initial: initial.map(<[u8]>::to_vec),
        ..Authenticate::new(text("EXTERNAL"))
    };
    same(
        &format!("<authenticate {NS} mechanism='EXTERNAL'/>"),
        request(None),
    );
    same(
        &format!("<authenticate {NS} mechanism='EXTERNAL'><initial-response/></authenticate>"),
        request(Some(b"")),
    );
    // As RFC 6120 §6.4.2 would write it.
    means(
        &format!(
            "<authenticate {NS} mechanism='EXTERNAL'><initial-response>=</initial-response>\
             </authenticate>"
        ),
        request(Some(b"")),
    );
}

#[test]
fn challenges_and_responses_are_read_as_in_xep_0388() {
    same(
        &format!("<challenge {NS}>cj1h</challenge>"),
        Challenge(b"r=a".to_vec()),
    );
    same(&format!("<response {NS}/>"), Response(Vec::new()));
    // The XEP's own examples break lines.
    means(
        &format!("<response {NS}>\n  cj1h\n</response>"),
        Response(b"r=a".to_vec()),
    );
}

#[test]
fn data_that_is_no_base64_is_refused_by_the_name_of_its_element() {
    invalid::<Challenge>(
        &format!("<challenge {NS}>AA=</challenge>"),
        "challenge",
        "base64",
    );
    invalid::<Response>(
        &format!("<response {NS}>A A</response>"),
        "response",
        "base64",
    );
    invalid::<Authenticate>(&REQUEST.replace("biws", "!"), "initial-response", "base64");
    invalid::<Success>(&SUCCESS.replace("dj1h", "dj1"), "additional-data", "base64");
}

/// As Prosody answers to all that.
const SUCCESS: &str = "<success xmlns='urn:xmpp:sasl:2'><additional-data>dj1h</additional-data>\
    <authorization-identifier>alice@alpha.test/sensor~Uk5h</authorization-identifier>\
    <bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='o8' resume='true' \
    max='300'/></bound>\
    <token xmlns='urn:xmpp:fast:0' expiry='2026-12-13T08:23:54Z' token='secret-token'/></success>";

#[test]
fn success_is_read_as_prosody_sends_it() {
    let success = read::<Success>(SUCCESS).unwrap();
    assert_eq!(success.to_element(), element(SUCCESS));
    assert_eq!(success.additional_data.as_deref(), Some(&b"v=a"[..]));
    assert_eq!(
        success
            .authorization_identifier
            .to_full()
            .unwrap()
            .resource(),
        "sensor~Uk5h"
    );
    let bound = bind2::Bound::find(&success.inline).unwrap().unwrap();
    let enabled = sm::Enabled::find(&bound.inline).unwrap().unwrap();
    assert_eq!((enabled.resume, enabled.max), (true, Some(300)));
    let token = fast::Token::find(&success.inline).unwrap().unwrap();
    assert_eq!(token.token, "secret-token");
    assert_eq!(token.expiry, "2026-12-13T08:23:54Z");

    // The order is the server's.
    let (start, identifier) = SUCCESS.split_at(SUCCESS.find("<authorization").unwrap());
    let (identifier, rest) = identifier.split_at(identifier.find("<bound").unwrap());
    let rest = rest.strip_suffix("</success>").unwrap();
    means(&format!("{start}{rest}{identifier}</success>"), success);
}

#[test]
fn a_success_says_who_the_client_is() {
    let success = |who: &str| format!("<success {NS}>{who}</success>");
    let identifier = |who: &str| {
        success(&format!(
            "<authorization-identifier>{who}</authorization-identifier>"
        ))
    };
    same(
        &identifier("juliet@montague.example"),
        Success {
            additional_data: None,
            authorization_identifier: "juliet@montague.example".parse().unwrap(),
            inline: Vec::new(),
        },
    );
    lacks_child::<Success>(&success(""), "success", "authorization-identifier");
    for nobody in ["", "@", "a@b/"] {
        let read = read::<Success>(&identifier(nobody));
        assert!(
            matches!(
                read,
                Err(PayloadError::Jid {
                    element: "authorization-identifier",
                    ..
                })
            ),
            "{nobody}: {read:?}"
        );
    }
}

#[test]
fn failure_is_read_as_in_xep_0388() {
    const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
    same(
        &format!(
            "<failure {NS}><credentials-expired {SASL}/><own xmlns='urn:x'/>\
             <text>Log in again.</text></failure>"
        ),
        Failure {
            condition: text("credentials-expired"),
            text: Some(text("Log in again.")),
            application: vec![Element::new("own", "urn:x")],
        },
    );
    // A failure is a failure, whatever else is wrong with it.
    means(
        &format!("<failure {NS}><text {SASL}>a</text></failure>"),
        Failure {
            condition: text("not-authorized"),
            text: None,
            application: Vec::new(),
        },
    );
    same(&format!("<abort {NS}/>"), Abort::default());
    same(
        &format!("<abort {NS}><text>Never mind.</text><own xmlns='urn:x'/></abort>"),
        Abort {
            text: Some(text("Never mind.")),
            application: vec![Element::new("own", "urn:x")],
        },
    );
}

#[test]
fn tasks_are_read_as_in_xep_0388() {
    same(
        &format!(
            "<continue {NS}><additional-data>dj1h</additional-data><tasks><task>HOTP-X</task>\
             <task>TOTP-X</task></tasks><text>Second factor, please.</text></continue>"
        ),
        Continue {
            additional_data: Some(b"v=a".to_vec()),
            tasks: vec![text("HOTP-X"), text("TOTP-X")],
            text: Some(text("Second factor, please.")),
        },
    );
    let code = Element::new("totp", "urn:x").with_text(123_456u32);
    same(
        &format!("<next {NS} task='TOTP-X'><totp xmlns='urn:x'>123456</totp></next>"),
        Next {
            task: text("TOTP-X"),
            payload: vec![code.clone()],
        },
    );
    same(
        &format!("<task-data {NS}><totp xmlns='urn:x'>123456</totp></task-data>"),
        TaskData {
            payload: vec![code],
        },
    );
    lacks::<Next>(&format!("<next {NS}/>"), "task");
    lacks_child::<Continue>(&format!("<continue {NS}/>"), "continue", "tasks");
    lacks_child::<Continue>(
        &format!("<continue {NS}><tasks/></continue>"),
        "tasks",
        "task",
    );
}

#[test]
fn bind_2_is_read_as_in_xep_0386() {
    same("<bind xmlns='urn:xmpp:bind:0'/>", bind2::Feature::default());
    same("<bind xmlns='urn:xmpp:bind:0'/>", bind2::Request::default());
    same("<bound xmlns='urn:xmpp:bind:0'/>", bind2::Bound::default());
    same(
        "<bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/></inline></bind>",
        bind2::Feature {
            inline: vec![text("urn:xmpp:sm:3")],
        },
    );
    same(
        "<bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'/></bound>",
        bind2::Bound {
            inline: vec![Element::new("metadata", "urn:xmpp:mam:2")],
        },
    );
}

#[test]
fn fast_is_read_as_in_xep_0484() {
    const NS: &str = "xmlns='urn:xmpp:fast:0'";
    let fast = |count, invalidate| fast::Fast { count, invalidate };
    same(&format!("<fast {NS}/>"), fast(None, false));
    same(
        &format!("<fast {NS} count='123' invalidate='true'/>"),
        fast(Some(123), true),
    );
    means(&format!("<fast {NS} invalidate='1'/>"), fast(None, true));
    means(&format!("<fast {NS} invalidate='0'/>"), fast(None, false));
    same(
        &format!("<fast {NS} tls-0rtt='true'><mechanism>HT-SHA-256-ENDP</mechanism></fast>"),
        fast::Feature {
            mechanisms: vec![text("HT-SHA-256-ENDP")],
            tls_0rtt: true,
        },
    );
    lacks_child::<fast::Feature>(&format!("<fast {NS}/>"), "fast", "mechanism");
    lacks::<fast::RequestToken>(&format!("<request-token {NS}/>"), "mechanism");
    lacks::<fast::Token>(&format!("<token {NS} token='a'/>"), "expiry");
    lacks::<fast::Token>(&format!("<token {NS} expiry='a'/>"), "token");
    for count in ["", "-1", "4294967296", "x"] {
        invalid::<fast::Fast>(&format!("<fast {NS} count='{count}'/>"), "fast", "count");
    }
}

#[test]
fn channel_bindings_are_read_as_in_xep_0440() {
    const NS: &str = "xmlns='urn:xmpp:sasl-cb:0'";
    let bindings = ChannelBindings {
        types: vec![text("tls-server-end-point"), text("tls-exporter")],
    };
    assert!(bindings.has("tls-exporter") && !bindings.has("tls-unique"));
    same(
        &format!(
            "<sasl-channel-binding {NS}><channel-binding type='tls-server-end-point'/>\
             <channel-binding type='tls-exporter'/></sasl-channel-binding>"
        ),
        bindings,
    );
    means(
        &format!("<sasl-channel-binding {NS}><channel-binding/></sasl-channel-binding>"),
        ChannelBindings::default(),
    );
}

#[test]
fn limits_are_read_as_in_xep_0478() {
    const NS: &str = "xmlns='urn:xmpp:stream-limits:0'";
    same(
        &format!(
            "<limits {NS}><max-bytes>10000</max-bytes><idle-seconds>1800</idle-seconds></limits>"
        ),
        StreamLimits {
            max_bytes: Some(10_000),
            idle_seconds: Some(1800),
        },
    );
    same(&format!("<limits {NS}/>"), StreamLimits::default());
    means(
        &format!("<limits {NS}><max-bytes>much</max-bytes></limits>"),
        StreamLimits::default(),
    );
}

#[test]
fn no_secret_of_a_login_is_shown() {
    let shown = [
        format!(
            "{:?}",
            read::<Authenticate>(&REQUEST.replace("biwsbj1hLHI9aw==", "c2VjcmV0"))
        ),
        format!(
            "{:?}",
            read::<Success>(&SUCCESS.replace("dj1h", "c2VjcmV0"))
        ),
        format!(
            "{:?}",
            fast::Token::from_element(&element(SUCCESS).into_children()[3])
        ),
        format!("{:?}", Challenge(b"secret".to_vec())),
        format!("{:?}", Response(b"secret".to_vec())),
        format!(
            "{:?}",
            read::<Continue>(&format!(
                "<continue {NS}><additional-data>c2VjcmV0</additional-data><tasks><task>T</task>\
                 </tasks></continue>"
            ))
        ),
        format!(
            "{:?}",
            read::<Next>(&format!(
                "<next {NS} task='T'><c xmlns='urn:x'>secret</c></next>"
            ))
        ),
        format!(
            "{:?}",
            read::<TaskData>(&format!(
                "<task-data {NS}><c xmlns='urn:x'>secret</c></task-data>"
            ))
        ),
    ];
    for shown in shown {
        assert!(
            !shown.contains("secret") && !shown.contains("c2VjcmV0"),
            "{shown}"
        );
        assert!(!shown.contains("Err"), "{shown}");
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20)
}

fn authentication() -> impl Strategy<Value = Authentication> {
    let inline = (
        option::of(texts().prop_map(|inline| bind2::Feature { inline })),
        option::of(
            (some_texts(), any::<bool>()).prop_map(|(mechanisms, tls_0rtt)| fast::Feature {
                mechanisms,
                tls_0rtt,
            }),
        ),
        any::<bool>(),
        extensions(),
    )
        .prop_map(|(bind2, fast, stream_management, other)| Inline {
            bind2,
            fast,
            stream_management,
            other,
        });
    (some_texts(), inline, extensions()).prop_map(|(mechanisms, inline, other)| Authentication {
        mechanisms,
        inline,
        other,
    })
}

proptest! {
    #[test]
    fn offers_come_back_as_they_went(
        authentication in authentication(),
        types in texts(),
        (max_bytes, idle_seconds) in any::<(Option<u64>, Option<u64>)>(),
    ) {
        travels(&authentication);
        travels(&StreamFeatures { sasl2: Some(authentication), ..StreamFeatures::default() });
        travels(&ChannelBindings { types });
        travels(&StreamLimits { max_bytes, idle_seconds });
    }

    #[test]
    fn exchanges_come_back_as_they_went(
        mechanism in values::text(),
        (initial, data) in (option::of(bytes()), bytes()),
        (id, software, device) in (maybe_text(), maybe_text(), maybe_text()),
        (inline, said, tasks) in (extensions(), maybe_text(), some_texts()),
        authorization_identifier in jid(),
    ) {
        let user_agent = Some(UserAgent { id, software, device });
        travels(&Authenticate {
            mechanism: mechanism.clone(),
            initial: initial.clone(),
            user_agent,
            inline: inline.clone(),
        });
        travels(&Challenge(data.clone()));
        travels(&Response(data));
        travels(&Success {
            additional_data: initial.clone(),
            authorization_identifier,
            inline: inline.clone(),
        });
        travels(&Failure {
            condition: text("aborted"),
            text: said.clone(),
            application: inline.clone(),
        });
        travels(&Abort { text: said.clone(), application: inline.clone() });
        travels(&Continue { additional_data: initial, tasks, text: said });
        travels(&Next { task: mechanism, payload: inline.clone() });
        travels(&TaskData { payload: inline });
    }

    #[test]
    fn tokens_and_binding_come_back_as_they_went(
        (token, expiry, tag) in (values::text(), values::text(), maybe_text()),
        (count, invalidate) in any::<(Option<u32>, bool)>(),
        inline in extensions(),
    ) {
        travels(&fast::RequestToken { mechanism: token.clone() });
        travels(&fast::Token { token, expiry });
        travels(&fast::Fast { count, invalidate });
        travels(&bind2::Request { tag, inline: inline.clone() });
        travels(&bind2::Bound { inline });
    }
}
