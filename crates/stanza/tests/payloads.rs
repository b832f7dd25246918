//! Each payload as its RFC or XEP shows it, values shortened: read, compared, and
//! written back to the same element.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;

use given::examples::{element, lacks, read, same, text};
use stanchion_stanza::payload::bind::Bind;
use stanchion_stanza::payload::caps::{Caps, CapsError};
use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::payload::disco::{DiscoInfo, DiscoItems, Identity, Item};
use stanchion_stanza::payload::framing;
use stanchion_stanza::payload::hints::Hint;
use stanchion_stanza::payload::{Payload, PayloadError, ping, receipts, sasl, sid, sm, starttls};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::stream::{Requirement, StreamCondition, StreamError, StreamHeader};
use stanchion_stanza::{Element, Encoder, Limits, Scope, Stanza, ns, stream::StreamFeatures};

// RFC 6120.

#[test]
fn starttls_is_read_as_in_rfc_6120_section_5() {
    same(
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        starttls::StartTls,
    );
    same(
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        starttls::Proceed,
    );
    same(
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        starttls::Failure,
    );
}

#[test]
fn websocket_framing_is_read_as_in_rfc_7395_section_3() {
    const NS: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-framing'";
    let header = StreamHeader::initial("example.com".parse().unwrap());
    same(
        &format!("<open {NS} to='example.com' version='1.0'/>"),
        framing::Open(header),
    );
    let mut header = StreamHeader::response("example.com".parse().unwrap(), text("++TR84Sm6A3h"));
    header.lang = Some(text("en"));
    same(
        &format!("<open {NS} from='example.com' id='++TR84Sm6A3h' version='1.0' xml:lang='en'/>"),
        framing::Open(header),
    );
    for (wrong, what) in [("to='@'", "address"), ("version='1'", "version")] {
        assert_eq!(
            read::<framing::Open>(&format!("<open {NS} {wrong}/>")),
            Err(PayloadError::Invalid {
                element: "open",
                what
            })
        );
    }
    same(&format!("<close {NS}/>"), framing::Close::default());
    same(
        &format!("<close {NS} see-other-uri='wss://otherendpoint.example/xmpp-bind'/>"),
        framing::Close {
            see_other_uri: Some(text("wss://otherendpoint.example/xmpp-bind")),
        },
    );
}

#[test]
fn sasl_is_read_as_in_rfc_6120_section_6() {
    const NS: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
    let auth = |mechanism, initial: Option<&[u8]>| sasl::Auth {
        mechanism: text(mechanism),
        initial: initial.map(<[u8]>::to_vec),
    };
    same(
        &format!("<auth {NS} mechanism='PLAIN'>AGp1bGlldAByMG0zMG15cjBtMzA=</auth>"),
        auth("PLAIN", Some(b"\0juliet\0r0m30myr0m30")),
    );
    same(
        &format!("<auth {NS} mechanism='DIGEST-MD5'/>"),
        auth("DIGEST-MD5", None),
    );
    // §6.4.2: a response of no bytes is not the same as no response.
    same(
        &format!("<auth {NS} mechanism='EXTERNAL'>=</auth>"),
        auth("EXTERNAL", Some(b"")),
    );
    same(
        &format!("<challenge {NS}>cj1h</challenge>"),
        sasl::Challenge(b"r=a".to_vec()),
    );
    same(&format!("<response {NS}/>"), sasl::Response(Vec::new()));
    assert_eq!(
        read(&format!("<response {NS}>=</response>")),
        Ok(sasl::Response(Vec::new()))
    );
    same(&format!("<success {NS}/>"), sasl::Success(None));
    same(
        &format!("<success {NS}>dj1h</success>"),
        sasl::Success(Some(b"v=a".to_vec())),
    );
    same(&format!("<abort {NS}/>"), sasl::Abort);
    same(
        &format!("<failure {NS}><account-disabled/><text>Call 212-555-1212.</text></failure>"),
        sasl::Failure {
            condition: text("account-disabled"),
            text: Some(text("Call 212-555-1212.")),
        },
    );
    lacks::<sasl::Auth>(&format!("<auth {NS}/>"), "mechanism");
    for broken in ["a", "AA=", "A===", "AAA!", "A A A A", "====", "AB=="] {
        let read = read::<sasl::Challenge>(&format!("<challenge {NS}>{broken}</challenge>"));
        let invalid = PayloadError::Invalid {
            element: "challenge",
            what: "base64",
        };
        assert_eq!(read, Err(invalid), "{broken}");
    }
}

#[test]
fn secrets_of_a_login_are_not_shown() {
    let secrets = [
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>c2VjcmV0</auth>",
        "<a><response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>c2VjcmV0</response></a>",
        "<authenticate xmlns='urn:xmpp:sasl:2'><initial-response>c2VjcmV0</initial-response>\
         </authenticate>",
        "<token xmlns='urn:xmpp:fast:0' token='c2VjcmV0'/>",
        "<query xmlns='jabber:iq:register'><password>c2VjcmV0</password></query>",
    ];
    for secret in secrets {
        let shown = format!("{:?}", element(secret));
        assert!(!shown.contains("c2VjcmV0"), "{shown}");
        assert!(shown.contains("[8 bytes]"), "{shown}");
    }
    let auth = read::<sasl::Auth>(secrets[0]).unwrap();
    assert!(!format!("{auth:?}").contains("secret"));
    let challenge = sasl::Challenge(b"secret".to_vec());
    assert_eq!(format!("{challenge:?}"), "Challenge(6 bytes)");
}

#[test]
fn an_element_is_shown_as_xml() {
    let shown = format!(
        "{:?}",
        element("<a b='1' xml:lang='en'>x<c xmlns='urn:c'/></a>")
    );
    assert_eq!(
        shown,
        "<a xmlns=\"jabber:client\" b=\"1\" {http://www.w3.org/XML/1998/namespace}lang=\"en\">\
         \"x\"<c xmlns=\"urn:c\"/></a>"
    );
}

#[test]
fn bind_is_read_as_in_rfc_6120_section_7() {
    const NS: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-bind'";
    same(&format!("<bind {NS}/>"), Bind::Request(None));
    same(
        &format!("<bind {NS}><resource>balcony</resource></bind>"),
        Bind::Request(Some(text("balcony"))),
    );
    same(
        &format!("<bind {NS}><jid>juliet@im.example.com/balcony</jid></bind>"),
        Bind::Bound("juliet@im.example.com/balcony".parse().unwrap()),
    );
    for no_full_jid in ["", "juliet@im.example.com", "@/", "a@b/"] {
        let read = read::<Bind>(&format!("<bind {NS}><jid>{no_full_jid}</jid></bind>"));
        assert!(
            matches!(
                read,
                Err(PayloadError::Jid {
                    element: "bind",
                    ..
                })
            ),
            "{no_full_jid}: {read:?}"
        );
    }
}

#[test]
fn stream_errors_are_read_as_in_rfc_6120_section_4_9() {
    const NS: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'";
    same(
        &format!("<stream:error><not-well-formed {NS}/></stream:error>"),
        StreamError::new(StreamCondition::NotWellFormed),
    );
    let mut elsewhere = StreamError::new(StreamCondition::SeeOtherHost);
    elsewhere.value = Some(text("[2001:41D0:1:A49b::1]:9222"));
    same(
        &format!(
            "<stream:error><see-other-host {NS}>[2001:41D0:1:A49b::1]:9222</see-other-host>\
             </stream:error>"
        ),
        elsewhere,
    );
    let mut special = StreamError::new(StreamCondition::NotWellFormed)
        .with_text(text("Some special application diagnostic information!"));
    special.application = Some(Box::new(Element::new(
        "escape-your-data",
        "http://example.com/ns",
    )));
    same(
        &format!(
            "<stream:error><not-well-formed {NS}/>\
             <text {NS}>Some special application diagnostic information!</text>\
             <escape-your-data xmlns='http://example.com/ns'/></stream:error>"
        ),
        special,
    );
    // What is not known, or not there, is undefined.
    for vague in ["", &format!("<no-such-condition {NS}/>")] {
        assert_eq!(
            read(&format!("<stream:error>{vague}</stream:error>")),
            Ok(StreamError::new(StreamCondition::UndefinedCondition))
        );
    }
    for condition in StreamCondition::ALL {
        assert_eq!(
            StreamCondition::from_name(condition.as_str()),
            Some(*condition)
        );
    }
    assert_eq!(StreamCondition::ALL.len(), 25);
}

#[test]
fn stanza_errors_are_read_as_in_rfc_6120_section_8_3() {
    const NS: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'";
    let mut moved = StanzaError::new(ErrorType::Cancel, DefinedCondition::Gone);
    moved.by = Some("example.net".parse().unwrap());
    moved.value = Some(text("xmpp:romeo@afterlife.example.net"));
    same(
        &format!(
            "<error type='cancel' by='example.net'>\
             <gone {NS}>xmpp:romeo@afterlife.example.net</gone></error>"
        ),
        moved,
    );
    let mut many = StanzaError::new(ErrorType::Modify, DefinedCondition::PolicyViolation)
        .with_text(text("Too many parameters."));
    many.application = Some(Box::new(Element::new(
        "too-many-parameters",
        "http://example.org/n",
    )));
    same(
        &format!(
            "<error type='modify'><policy-violation {NS}/><text {NS}>Too many parameters.</text>\
             <too-many-parameters xmlns='http://example.org/n'/></error>"
        ),
        many,
    );
    // An error is an error, whatever else is wrong with it.
    for vague in [
        "<error/>".to_owned(),
        format!("<error type='what' by='@'><no-such-condition {NS}/></error>"),
    ] {
        assert_eq!(read(&vague), Ok(StanzaError::default()), "{vague}");
    }
    for condition in DefinedCondition::ALL {
        assert_eq!(
            DefinedCondition::from_name(condition.as_str()),
            Some(*condition)
        );
    }
    assert_eq!(DefinedCondition::ALL.len(), 22);
}

#[test]
fn an_iq_has_the_children_that_its_type_wants() {
    let iq = |xml: &str| match Stanza::from_element(element(xml)) {
        Ok(Stanza::Iq(iq)) => Ok(iq.kind),
        Ok(other) => panic!("{other:?}"),
        Err(fault) => Err(fault.to_string()),
    };
    let query = Element::new("q", "urn:q");
    let q = "<q xmlns='urn:q'/>";
    assert_eq!(
        iq(&format!("<iq id='1' type='get'>{q}</iq>")),
        Ok(IqKind::Get(query.clone()))
    );
    assert_eq!(
        iq(&format!("<iq id='1' type='set'>{q}</iq>")),
        Ok(IqKind::Set(query.clone()))
    );
    assert_eq!(iq("<iq id='1' type='result'/>"), Ok(IqKind::Result(None)));
    assert_eq!(
        iq(&format!(
            "<iq id='1' type='error'>{q}<error type='wait'/></iq>"
        )),
        Ok(IqKind::Error(
            StanzaError::new(ErrorType::Wait, DefinedCondition::UndefinedCondition),
            Some(query)
        ))
    );
    // The error is the first, wherever the request stands; a second is no request.
    assert_eq!(
        iq("<iq id='1' type='error'><error type='auth'/><error type='wait'/></iq>"),
        Ok(IqKind::Error(
            StanzaError::new(ErrorType::Auth, DefinedCondition::UndefinedCondition),
            None
        ))
    );
    for broken in [
        format!("<iq type='get'>{q}</iq>"),
        format!("<iq id='1'>{q}</iq>"),
        format!("<iq id='1' type='ask'>{q}</iq>"),
        format!("<iq id='1' type='get'>{q}{q}</iq>"),
        "<iq id='1' type='set'/>".to_owned(),
        format!("<iq id='1' type='result'>{q}{q}</iq>"),
        format!("<iq id='1' type='get' to='@'>{q}</iq>"),
    ] {
        assert!(iq(&broken).is_err(), "{broken}");
    }
}

#[test]
fn no_broken_presence_is_taken_for_available() {
    for broken in [
        "<presence type='here'/>",
        "<presence type=''/>",
        "<presence from='@'/>",
    ] {
        assert!(Stanza::from_element(element(broken)).is_err(), "{broken}");
    }
    for foreign in ["<presence xmlns='jabber:server'/>", "<Presence/>", "<a/>"] {
        assert!(!Stanza::is_stanza(&element(foreign)));
        assert!(Stanza::from_element(element(foreign)).is_err(), "{foreign}");
    }
}

// Stream features.

/// As Prosody 0.12.3 sends them before TLS, under TLS 1.3, and after authentication.
const PROSODY: [&str; 3] = [
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
     </stream:features>",
    "<stream:features><authentication xmlns='urn:xmpp:sasl:2'><mechanism>PLAIN</mechanism>\
     <mechanism>SCRAM-SHA-1-PLUS</mechanism><inline><bind xmlns='urn:xmpp:bind:0'><inline>\
     <feature var='urn:xmpp:sm:3'/><feature var='urn:xmpp:carbons:2'/></inline></bind>\
     <sm xmlns='urn:xmpp:sm:3'/><fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-NONE\
     </mechanism></fast></inline></authentication>\
     <mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>\
     <mechanism>SCRAM-SHA-1</mechanism><mechanism>SCRAM-SHA-256</mechanism>\
     <mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-256-PLUS</mechanism>\
     </mechanisms><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>\
     <channel-binding type='tls-exporter'/><channel-binding type='tls-server-end-point'/>\
     </sasl-channel-binding></stream:features>",
    "<stream:features><sub xmlns='urn:xmpp:features:pre-approval'/><sm xmlns='urn:xmpp:sm:2'>\
     <optional/></sm><sm xmlns='urn:xmpp:sm:3'><optional/></sm>\
     <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><required/></bind>\
     <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>\
     <csi xmlns='urn:xmpp:csi:0'/><c ver='j/Y94sSrQ04HC31Dsn52+Z4ESGQ=' \
     node='http://prosody.im' xmlns='http://jabber.org/protocol/caps' hash='sha-1'/>\
     <ver xmlns='urn:xmpp:features:rosterver'/></stream:features>",
];

/// As ejabberd 23.01 sends them.
const EJABBERD: [&str; 3] = [
    PROSODY[0],
    "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
     <mechanism>EXTERNAL</mechanism><mechanism>PLAIN</mechanism>\
     <mechanism>SCRAM-SHA-512-PLUS</mechanism><mechanism>SCRAM-SHA-512</mechanism>\
     <mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>SCRAM-SHA-256</mechanism>\
     <mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms>\
     </stream:features>",
    "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>\
     <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>\
     <c ver='gXXcEiTKcJk8SNJ+sJ4RVkEkvo4=' node='http://www.process-one.net/en/ejabberd/' \
     hash='sha-1' xmlns='http://jabber.org/protocol/caps'/><sm xmlns='urn:xmpp:sm:2'/>\
     <sm xmlns='urn:xmpp:sm:3'/><ver xmlns='urn:xmpp:features:rosterver'/>\
     <csi xmlns='urn:xmpp:csi:0'/></stream:features>",
];

#[test]
fn the_features_of_prosody_are_understood() {
    let [before, tls, after] = PROSODY.map(|xml| read::<StreamFeatures>(xml).unwrap());
    assert_eq!(before.starttls, Some(Requirement::Required));
    assert!(before.mechanisms.is_empty());

    assert_eq!(tls.starttls, None);
    let scram = [
        "PLAIN",
        "SCRAM-SHA-1",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-256-PLUS",
    ];
    assert_eq!(tls.mechanisms, scram);
    let bindings = ["tls-exporter", "tls-server-end-point"].map(text);
    assert_eq!(tls.channel_bindings.as_deref(), Some(&bindings[..]));
    assert!(tls.offers("authentication", ns::SASL2));
    assert!(!tls.bind && !tls.stream_management);

    assert!(after.bind && after.stream_management);
    assert_eq!(
        (after.channel_bindings.as_ref(), after.max_bytes),
        (None, None)
    );
    assert!(after.offers("csi", "urn:xmpp:csi:0") && after.offers("sm", "urn:xmpp:sm:2"));
    assert!(after.offers("session", ns::SESSION) && after.offers("c", ns::CAPS));
}

#[test]
fn the_features_of_ejabberd_are_understood() {
    let [before, tls, after] = EJABBERD.map(|xml| read::<StreamFeatures>(xml).unwrap());
    assert_eq!(before.starttls, Some(Requirement::Required));
    assert_eq!(tls.mechanisms.len(), 8);
    assert_eq!(tls.mechanisms[0], "EXTERNAL");
    assert_eq!(tls.channel_bindings, None);
    assert!(after.bind && after.stream_management);
    assert!(after.offers("ver", "urn:xmpp:features:rosterver"));
}

#[test]
fn features_that_servers_send_survive_writing() {
    for xml in PROSODY.into_iter().chain(EJABBERD) {
        let features = read::<StreamFeatures>(xml).unwrap();
        assert_eq!(
            StreamFeatures::from_element(&features.to_element()),
            Ok(features)
        );
    }
}

#[test]
fn stream_limits_are_read_as_in_xep_0478() {
    let limits = |limits: &str| {
        let features = format!(
            "<stream:features><limits xmlns='urn:xmpp:stream-limits:0'>{limits}</limits>\
             </stream:features>"
        );
        let features = read::<StreamFeatures>(&features).unwrap();
        (features.max_bytes, features.idle_seconds)
    };
    assert_eq!(
        limits("<max-bytes>10000</max-bytes><idle-seconds>1800</idle-seconds>"),
        (Some(10_000), Some(1800))
    );
    assert_eq!(limits(""), (None, None));
    // A limit that cannot be read is as none.
    assert_eq!(
        limits("<max-bytes>-1</max-bytes><idle-seconds>x</idle-seconds>"),
        (None, None)
    );
}

// XEP-0030 and XEP-0115.

fn identity(category: &'static str, kind: &'static str, name: &'static str) -> Identity {
    Identity {
        category: text(category),
        kind: text(kind),
        name: Some(text(name)),
        lang: None,
    }
}

#[test]
fn disco_is_read_as_in_xep_0030() {
    same(
        "<query xmlns='http://jabber.org/protocol/disco#info'>\
         <identity category='conference' type='text' name='Play-Specific Chatrooms'/>\
         <identity category='directory' type='chatroom' name='Play-Specific Chatrooms'/>\
         <feature var='http://jabber.org/protocol/disco#info'/><feature var='jabber:iq:time'/>\
         </query>",
        DiscoInfo {
            identities: vec![
                identity("conference", "text", "Play-Specific Chatrooms"),
                identity("directory", "chatroom", "Play-Specific Chatrooms"),
            ],
            features: vec![
                text("http://jabber.org/protocol/disco#info"),
                text("jabber:iq:time"),
            ],
            ..DiscoInfo::default()
        },
    );
    let item = |jid: &str, node, name| Item {
        jid: jid.parse().unwrap(),
        node,
        name,
    };
    same(
        "<query xmlns='http://jabber.org/protocol/disco#items' node='music'>\
         <item jid='catalog.shakespeare.lit' node='music/A' name='A'/>\
         <item jid='people.shakespeare.lit'/></query>",
        DiscoItems {
            node: Some(text("music")),
            items: vec![
                item(
                    "catalog.shakespeare.lit",
                    Some(text("music/A")),
                    Some(text("A")),
                ),
                item("people.shakespeare.lit", None, None),
            ],
        },
    );
    for (child, attribute) in [
        ("<identity type='pc'/>", "category"),
        ("<identity category='client'/>", "type"),
        ("<feature/>", "var"),
    ] {
        let query = format!("<query xmlns='http://jabber.org/protocol/disco#info'>{child}</query>");
        let fault = read::<DiscoInfo>(&query).unwrap_err().to_string();
        assert!(fault.contains(attribute), "{fault}");
    }
    let nowhere = "<query xmlns='http://jabber.org/protocol/disco#items'><item/></query>";
    assert!(read::<DiscoItems>(nowhere).is_err());
}

/// The answer of XEP-0115 §5.3, in another order.
const PSI: &str = "<query xmlns='http://jabber.org/protocol/disco#info' node='n'>\
    <feature var='http://jabber.org/protocol/muc'/>\
    <identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
    <identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>\
    <feature var='http://jabber.org/protocol/disco#items'/>\
    <feature var='http://jabber.org/protocol/caps'/>\
    <feature var='http://jabber.org/protocol/disco#info'/>\
    <x xmlns='jabber:x:data' type='result'>\
    <field var='software_version'><value>0.11</value></field>\
    <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
    <field var='os'><value>Mac</value></field>\
    <field var='software'><value>Psi</value></field>\
    <field var='os_version'><value>10.5.1</value></field>\
    <field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>\
    </x></query>";
const PSI_VER: &str = "q07IKJEyjvHSyhy//CH0CxmKi8w=";

#[test]
fn caps_are_read_as_in_xep_0115() {
    let caps = Caps {
        hash: text("sha-1"),
        node: text("http://psi-im.org"),
        ver: text(PSI_VER),
    };
    same(
        &format!(
            "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://psi-im.org' \
             ver='{PSI_VER}'/>"
        ),
        caps.clone(),
    );
    let info = read::<DiscoInfo>(PSI).unwrap();
    assert_eq!(Caps::of(text("http://psi-im.org"), &info), Ok(caps.clone()));
    assert!(caps.verify(&info));
    let other_hash = Caps {
        hash: text("sha-256"),
        ..caps
    };
    assert!(!other_hash.verify(&info));
    // §5.1: there is no `ver` without `hash` any more.
    lacks::<Caps>(
        "<c xmlns='http://jabber.org/protocol/caps' node='n' ver='v'/>",
        "hash",
    );
}

#[test]
fn caps_of_ill_formed_answers_are_not_believed() {
    let of = |xml: &str| Caps::of(text("n"), &read::<DiscoInfo>(xml).unwrap());
    let ver = |xml: &str| of(xml).map(|caps| caps.ver.into_string());
    let form = &PSI[PSI.find("<x ").unwrap()..PSI.find("</query>").unwrap()];

    let twice = PSI.replace(form, &format!("{form}{form}"));
    assert_eq!(of(&twice), Err(CapsError::Duplicate));
    let two_types = PSI.replace(
        "softwareinfo</value>",
        "softwareinfo</value><value>x</value>",
    );
    assert_eq!(of(&two_types), Err(CapsError::Duplicate));
    let feature = "<feature var='http://jabber.org/protocol/muc'/>";
    assert_eq!(
        of(&PSI.replace(feature, &feature.repeat(2))),
        Err(CapsError::Duplicate)
    );
    for (from, to) in [
        ("Psi 0.11", "Psi&lt;"),
        ("protocol/muc", "&lt;"),
        (">Mac<", ">&lt;<"),
    ] {
        assert_eq!(
            of(&PSI.replace(from, to)),
            Err(CapsError::Ambiguous),
            "{from}"
        );
    }
    // A form whose FORM_TYPE is not hidden does not count, nor does one without.
    let without = ver(&PSI.replace(form, ""));
    assert_eq!(ver(&PSI.replace("type='hidden'", "")), without);
    assert_eq!(ver(&PSI.replace("FORM_TYPE", "form_type")), without);
    assert_ne!(without, Ok(PSI_VER.to_owned()));
    assert_ne!(
        ver(&PSI.replace("10.5.1", "10.5.2")),
        Ok(PSI_VER.to_owned())
    );
}

// XEP-0184, 0198, 0199, 0203, 0334, 0359.

#[test]
fn receipts_are_read_as_in_xep_0184() {
    same("<request xmlns='urn:xmpp:receipts'/>", receipts::Request);
    same(
        "<received xmlns='urn:xmpp:receipts' id='richard2-4.1.247'/>",
        receipts::Received {
            id: text("richard2-4.1.247"),
        },
    );
    lacks::<receipts::Received>("<received xmlns='urn:xmpp:receipts'/>", "id");
}

#[test]
fn stream_management_is_read_as_in_xep_0198() {
    const NS: &str = "xmlns='urn:xmpp:sm:3'";
    let enable = |resume, max| sm::Enable { resume, max };
    same(&format!("<enable {NS}/>"), enable(false, None));
    same(&format!("<enable {NS} resume='true'/>"), enable(true, None));
    same(
        &format!("<enable {NS} resume='true' max='60'/>"),
        enable(true, Some(60)),
    );
    same(
        &format!(
            "<enabled {NS} id='some-long-sm-id' resume='true' location='[2001:41D0::1]:9222'/>"
        ),
        sm::Enabled {
            id: Some(text("some-long-sm-id")),
            resume: true,
            max: None,
            location: Some(text("[2001:41D0::1]:9222")),
        },
    );
    let resume = sm::Resume {
        previd: text("some-long-sm-id"),
        h: u32::MAX,
    };
    same(
        &format!("<resume {NS} previd='some-long-sm-id' h='4294967295'/>"),
        resume.clone(),
    );
    same(
        &format!("<resumed {NS} previd='some-long-sm-id' h='4294967295'/>"),
        sm::Resumed(resume),
    );
    same(
        &format!(
            "<failed {NS} h='7'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             </failed>"
        ),
        sm::Failed {
            h: Some(7),
            condition: Some(DefinedCondition::ItemNotFound),
        },
    );
    same(&format!("<r {NS}/>"), sm::AckRequest);
    same(&format!("<a {NS} h='1'/>"), sm::Ack { h: 1 });

    lacks::<sm::Ack>(&format!("<a {NS}/>"), "h");
    lacks::<sm::Resumed>(&format!("<resumed {NS} h='1'/>"), "previd");
    lacks::<sm::Resumed>(&format!("<resumed {NS} previd='1'/>"), "h");
    for h in ["", "-1", "4294967296", "1.0", "x"] {
        let read = read::<sm::Ack>(&format!("<a {NS} h='{h}'/>"));
        let invalid = PayloadError::Invalid {
            element: "a",
            what: "h",
        };
        assert_eq!(read, Err(invalid), "{h}");
    }
}

#[test]
fn resumption_is_offered_only_in_so_many_words() {
    let enabled = |attributes: &str| {
        read::<sm::Enabled>(&format!("<enabled xmlns='urn:xmpp:sm:3' {attributes}/>"))
    };
    for (value, resume) in [
        ("true", true),
        ("1", true),
        ("false", false),
        ("0", false),
        ("", false),
        ("TRUE", false),
        ("yes", false),
    ] {
        let read = enabled(&format!("id='x' resume='{value}'")).unwrap();
        assert_eq!(read.resume, resume, "{value}");
    }
    // `max` has no upper bound on the wire.
    assert_eq!(enabled("max='300'").unwrap().max, Some(300));
    assert_eq!(
        enabled("max='99999999999999999999'").unwrap().max,
        Some(u32::MAX)
    );
    assert!(enabled("max=''").is_err() && enabled("max='-1'").is_err());
}

#[test]
fn ping_is_read_as_in_xep_0199() {
    same("<ping xmlns='urn:xmpp:ping'/>", ping::Ping);
}

#[test]
fn delay_is_read_as_in_xep_0203() {
    same(
        "<delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='2002-09-10T23:08:25Z'>\
         Offline Storage</delay>",
        Delay {
            from: Some("capulet.com".parse().unwrap()),
            stamp: text("2002-09-10T23:08:25Z"),
            reason: Some(text("Offline Storage")),
        },
    );
    lacks::<Delay>(
        "<delay xmlns='urn:xmpp:delay' from='capulet.com'/>",
        "stamp",
    );
}

#[test]
fn hints_are_read_as_in_xep_0334() {
    for hint in Hint::ALL {
        let xml = format!("<{} xmlns='urn:xmpp:hints'/>", hint.as_str());
        assert_eq!(Hint::from_element(&element(&xml)), Some(hint));
        assert_eq!(hint.to_element(), element(&xml));
    }
    assert_eq!(Hint::from_element(&element("<store/>")), None);
    assert_eq!(
        Hint::from_element(&element("<stow xmlns='urn:xmpp:hints'/>")),
        None
    );
}

#[test]
fn stanza_ids_are_read_as_in_xep_0359() {
    same(
        "<origin-id xmlns='urn:xmpp:sid:0' id='de305d54-75b4-431b-adb2-eb6b9e546013'/>",
        sid::OriginId {
            id: text("de305d54-75b4-431b-adb2-eb6b9e546013"),
        },
    );
    same(
        "<stanza-id xmlns='urn:xmpp:sid:0' id='5f3dbc5e' by='room@muc.example.org'/>",
        sid::StanzaId {
            id: text("5f3dbc5e"),
            by: "room@muc.example.org".parse().unwrap(),
        },
    );
    lacks::<sid::StanzaId>("<stanza-id xmlns='urn:xmpp:sid:0' id='1'/>", "by");
    lacks::<sid::StanzaId>("<stanza-id xmlns='urn:xmpp:sid:0' by='a'/>", "id");
    lacks::<sid::OriginId>("<origin-id xmlns='urn:xmpp:sid:0'/>", "id");
}

#[test]
fn a_payload_is_found_by_its_whole_name() {
    let message = element(
        "<message><request/><received xmlns='urn:xmpp:receipts' id='2'/>\
         <received xmlns='urn:xmpp:receipts' id='3'/></message>",
    );
    let Ok(Stanza::Message(message)) = Stanza::from_element(message) else {
        panic!()
    };
    assert_eq!(message.payload::<receipts::Request>(), Ok(None));
    let received = message.payload::<receipts::Received>().unwrap();
    assert_eq!(received.map(|r| r.id), Some(text("2")));
}

#[test]
fn stream_features_and_errors_have_the_prefix_that_peers_insist_on() {
    let bytes = |element: &Element| {
        let encoder = Encoder::new(Scope::client(), Limits::default());
        String::from_utf8(encoder.to_bytes(element).unwrap()).unwrap()
    };
    assert_eq!(
        bytes(&StreamFeatures::default().to_element()),
        "<stream:features/>"
    );
    let reset = StreamError::new(StreamCondition::Reset).to_element();
    assert_eq!(
        bytes(&reset),
        "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    );
}
