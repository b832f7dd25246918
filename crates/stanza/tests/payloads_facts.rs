//! What one entity asks another about itself, and a component's handshake, as their XEPs
//! show it: read, compared, written back, and refused where broken.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod laws;
mod support;

use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::ns;
use stanchion_stanza::payload::Payload as _;
use stanchion_stanza::payload::component::Handshake;
use stanchion_stanza::payload::last_activity::LastActivity;
use stanchion_stanza::payload::time::{Clock, Time};
use stanchion_stanza::payload::upload::{
    FileTooLarge, Header, HeaderName, Request, Retry, Slot, limit_form, max_file_size,
};
use stanchion_stanza::payload::version::Version;
use support::values::{maybe_text, travels};
use support::{invalid, lacks, lacks_child, lacks_in, means, read, same, text, values};

const UPLOAD: &str = "xmlns='urn:xmpp:http:upload:0'";

#[test]
fn a_version_is_read_as_in_xep_0092() {
    same("<query xmlns='jabber:iq:version'/>", Version::default());
    same(
        "<query xmlns='jabber:iq:version'><name>Exodus</name><version>0.7.0.4</version>\
         <os>Windows-XP 5.01.2600</os></query>",
        Version {
            name: Some(text("Exodus")),
            version: Some(text("0.7.0.4")),
            os: Some(text("Windows-XP 5.01.2600")),
        },
    );
}

#[test]
fn last_activity_is_read_as_in_xep_0012() {
    same("<query xmlns='jabber:iq:last'/>", LastActivity::default());
    same(
        "<query xmlns='jabber:iq:last' seconds='903'>Heading Home</query>",
        LastActivity {
            seconds: Some(903),
            status: text("Heading Home"),
        },
    );
    for seconds in ["-1", "x", "18446744073709551616"] {
        let xml = format!("<query xmlns='jabber:iq:last' seconds='{seconds}'/>");
        invalid::<LastActivity>(&xml, "query", "seconds");
    }
}

#[test]
fn a_time_is_read_as_in_xep_0202() {
    same("<time xmlns='urn:xmpp:time'/>", Time::default());
    let clock = |unix_ms, offset_minutes| Time {
        clock: Some(Clock {
            unix_ms,
            offset_minutes,
        }),
    };
    means(
        "<time xmlns='urn:xmpp:time'><tzo>-06:00</tzo><utc>2006-12-19T17:58:35Z</utc></time>",
        clock(1_166_551_115_000, -360),
    );
    same(
        "<time xmlns='urn:xmpp:time'><tzo>+05:45</tzo><utc>2006-12-19T17:58:35.000Z</utc></time>",
        clock(1_166_551_115_000, 345),
    );
    for (tzo, utc, wrong) in [
        ("<tzo>-6:00</tzo>", "<utc>2006-12-19T17:58:35Z</utc>", "tzo"),
        ("<tzo>CET</tzo>", "<utc>2006-12-19T17:58:35Z</utc>", "tzo"),
        ("", "<utc>2006-12-19T17:58:35Z</utc>", "tzo"),
        ("<tzo>Z</tzo>", "<utc>20061219T17:58:35</utc>", "utc"),
        ("<tzo>Z</tzo>", "", "utc"),
    ] {
        let xml = format!("<time xmlns='urn:xmpp:time'>{tzo}{utc}</time>");
        invalid::<Time>(&xml, "time", wrong);
    }
}

#[test]
fn a_handshake_is_read_as_in_xep_0114() {
    same(
        "<handshake xmlns='jabber:component:accept'/>",
        Handshake::default(),
    );
    same(
        "<handshake xmlns='jabber:component:accept'>aaee83c2</handshake>",
        Handshake {
            proof: text("aaee83c2"),
        },
    );
}

#[test]
fn a_slot_is_asked_for_and_given_as_in_xep_0363() {
    same(
        &format!(
            "<request {UPLOAD} filename='très cool.jpg' size='23456' content-type='image/jpeg'/>"
        ),
        Request {
            filename: text("très cool.jpg"),
            size: 23456,
            content_type: Some(text("image/jpeg")),
        },
    );
    lacks::<Request>(&format!("<request {UPLOAD} size='1'/>"), "filename");
    lacks::<Request>(&format!("<request {UPLOAD} filename='a'/>"), "size");
    let negative = format!("<request {UPLOAD} filename='a' size='-1'/>");
    invalid::<Request>(&negative, "request", "size");
    same(
        &format!(
            "<slot {UPLOAD}><put url='https://up.example/a'>\
             <header name='Authorization'>Basic Base64String==</header>\
             <header name='Cookie'>foo=bar; user=romeo</header></put>\
             <get url='https://down.example/a'/></slot>"
        ),
        Slot {
            put: text("https://up.example/a"),
            headers: vec![
                Header {
                    name: HeaderName::Authorization,
                    value: text("Basic Base64String=="),
                },
                Header {
                    name: HeaderName::Cookie,
                    value: text("foo=bar; user=romeo"),
                },
            ],
            get: text("https://down.example/a"),
        },
    );
    let get = "<get url='g'/>";
    lacks_child::<Slot>(&format!("<slot {UPLOAD}>{get}</slot>"), "slot", "put");
    lacks_child::<Slot>(
        &format!("<slot {UPLOAD}><put url='p'/></slot>"),
        "slot",
        "get",
    );
    lacks_in::<Slot>(&format!("<slot {UPLOAD}><put/>{get}</slot>"), "put", "url");
}

#[test]
fn headers_that_are_not_allowed_never_get_in_and_none_has_a_second_line() {
    let slot: Slot = read(&format!(
        "<slot {UPLOAD}><put url='p'><header name='Host'>evil</header><header>x</header>\
         <header name='cookie\n'>a\nX-Evil: b&#xD;c</header>\
         <header name='Content-Length'>0</header></put><get url='g'/></slot>"
    ))
    .unwrap();
    let headers = [Header {
        name: HeaderName::Cookie,
        value: text("aX-Evil: bc"),
    }];
    assert_eq!(slot.headers, headers);
    assert!(
        !format!("{slot:?}").contains("Evil"),
        "secrets are not shown"
    );
}

#[test]
fn an_upload_is_refused_with_a_reason() {
    same(
        &format!("<file-too-large {UPLOAD}><max-file-size>20000</max-file-size></file-too-large>"),
        FileTooLarge {
            max_bytes: Some(20000),
        },
    );
    same(
        &format!("<file-too-large {UPLOAD}/>"),
        FileTooLarge { max_bytes: None },
    );
    let odd = format!("<file-too-large {UPLOAD}><max-file-size>x</max-file-size></file-too-large>");
    invalid::<FileTooLarge>(&odd, "file-too-large", "max-file-size");
    let stamp = text("2017-12-03T23:42:05Z");
    same(
        &format!("<retry {UPLOAD} stamp='{stamp}'/>"),
        Retry { stamp },
    );
    lacks::<Retry>(&format!("<retry {UPLOAD}/>"), "stamp");
}

#[test]
fn a_service_says_how_large_a_file_may_be() {
    assert_eq!(
        max_file_size(&[limit_form(5242880).to_element()]),
        Some(5_242_880)
    );
    assert_eq!(max_file_size(&[]), None);
    let other = support::element("<x xmlns='jabber:x:data' type='result'/>");
    let odd = support::element("<x xmlns='jabber:x:data'/>");
    assert_eq!(
        max_file_size(&[odd, other, limit_form(7).to_element()]),
        Some(7)
    );
    assert_eq!(limit_form(7).form_type(), Some(ns::UPLOAD));
}

proptest! {
    #[test]
    fn facts_come_back_as_they_went(
        (name, version, os) in (maybe_text(), maybe_text(), maybe_text()),
        (seconds, status) in (any::<Option<u64>>(), values::text()),
        clock in option::of((0..253_402_300_799_999_i64, -1439..=1439_i16)),
        proof in values::text(),
    ) {
        travels(&Version { name, version, os });
        travels(&LastActivity { seconds, status });
        let clock = clock.map(|(unix_ms, offset_minutes)| Clock { unix_ms, offset_minutes });
        travels(&Time { clock });
        travels(&Handshake { proof });
    }

    #[test]
    fn slots_come_back_as_they_went(
        (filename, size, content_type) in (values::text(), any::<u64>(), maybe_text()),
        (put, get) in (values::text(), values::text()),
        headers in prop::collection::vec(
            (prop::sample::select(HeaderName::ALL), "[ -~\u{a0}-\u{ff}]{0,20}"), 0..4,
        ),
        max_bytes in any::<Option<u64>>(),
    ) {
        travels(&Request { filename, size, content_type });
        travels(&FileTooLarge { max_bytes });
        travels(&Retry { stamp: put.clone() });
        let headers = headers.into_iter().map(|(name, value)| Header {
            name,
            value: value.try_into().unwrap(),
        });
        let slot = Slot { put, headers: headers.collect(), get };
        prop_assert!(Slot::matches(&slot.to_element()));
        travels(&slot);
    }
}
