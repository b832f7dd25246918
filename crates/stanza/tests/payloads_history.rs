//! Forwarding (XEP-0297), carbons (XEP-0280) and archives (XEP-0313, XEP-0441): read,
//! written, refused.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;
mod laws;

use given::examples::{child_lacks, element, invalid, lacks, no_address, read, same, text};
use given::values;
use laws::travels;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::payload::PayloadError;
use stanchion_stanza::payload::carbons::{self, Carbon};
use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::payload::forms::{Field, Form, FormType};
use stanchion_stanza::payload::forward::Forwarded;
use stanchion_stanza::payload::mam::{
    ArchiveResult, DefaultPolicy, Filter, Fin, Mark, Metadata, Prefs, Query, Span,
};
use stanchion_stanza::payload::rsm::{Page, PageRequest, Position, Range};
use stanchion_stanza::{BareJid, Message, Stanza};

const MESSAGE: &str = "<message xmlns='jabber:client' from='lamp@example.org/1' \
    to='me@example.org' type='chat'><body>on</body></message>";

fn forwarded(content: &str) -> String {
    format!("<forwarded xmlns='urn:xmpp:forward:0'>{content}</forwarded>")
}

fn delay() -> Delay {
    Delay {
        from: None,
        stamp: text("2024-05-01T12:00:00Z"),
        reason: None,
    }
}

const DELAY: &str = "<delay xmlns='urn:xmpp:delay' stamp='2024-05-01T12:00:00Z'/>";

fn late() -> Forwarded {
    Forwarded {
        delay: Some(delay()),
        element: Some(element(MESSAGE)),
    }
}

// XEP-0297.

#[test]
fn a_forwarded_stanza_stays_as_it_stood() {
    same(&forwarded(&format!("{DELAY}{MESSAGE}")), late());
    same(&forwarded(""), Forwarded::default());
    let presence = "<presence xmlns='jabber:server' from='a@example.org'/>";
    let elsewhere = Forwarded {
        delay: None,
        element: Some(element(presence)),
    };
    same(&forwarded(presence), elsewhere.clone());
    assert_eq!(elsewhere.stanza(), Ok(None));
    let stanza = late().stanza().unwrap().unwrap();
    assert!(matches!(&stanza, Stanza::Message(m) if m.body().as_deref() == Some("on")));
    assert_eq!(Forwarded::of(&stanza).stanza(), Ok(Some(stanza)));
}

#[test]
fn a_broken_delay_or_stanza_is_refused() {
    let timeless = forwarded("<delay xmlns='urn:xmpp:delay'/>");
    child_lacks::<Forwarded>(&timeless, "delay", "stamp");
    let nowhere = forwarded("<message xmlns='jabber:client' to='@'/>");
    assert!(read::<Forwarded>(&nowhere).unwrap().stanza().is_err());
}

// XEP-0280.

fn copy(direction: &str, from: &str) -> Message {
    let copy = format!(
        "<message{from}><{direction} xmlns='urn:xmpp:carbons:2'>{}</{direction}></message>",
        forwarded(&format!("{DELAY}{MESSAGE}"))
    );
    Message::from_element(element(&copy)).unwrap()
}

#[test]
fn carbons_are_read_as_in_xep_0280() {
    const NS: &str = "xmlns='urn:xmpp:carbons:2'";
    same(&format!("<enable {NS}/>"), carbons::Enable);
    same(&format!("<disable {NS}/>"), carbons::Disable);
    same(&format!("<private {NS}/>"), carbons::Private);
    for carbon in [Carbon::Received(late()), Carbon::Sent(late())] {
        let direction = match carbon {
            Carbon::Received(_) => "received",
            Carbon::Sent(_) => "sent",
        };
        let message = copy(direction, "");
        assert_eq!(carbon.to_element(), message.payloads[0]);
        let again = Carbon::from_element(&message.payloads[0]);
        assert_eq!(again, Some(Ok(carbon)));
    }
    assert_eq!(Carbon::from_element(&element(MESSAGE)), None);
}

#[test]
fn a_copy_is_believed_only_from_the_account_itself() {
    let account: BareJid = "me@example.org".parse().unwrap();
    let of = |from: &str| Carbon::of(&copy("sent", from), &account);
    for own in ["", " from='me@example.org'", " from='Me@EXAMPLE.org'"] {
        assert_eq!(of(own), Ok(Some(Carbon::Sent(late()))), "{own}");
    }
    for forged in [
        "me@example.org/phone",
        "example.org",
        "me@example.net",
        "you@example.org",
    ] {
        assert_eq!(of(&format!(" from='{forged}'")), Ok(None), "{forged}");
    }
    let message = Message::from_element(element(MESSAGE)).unwrap();
    assert_eq!(Carbon::of(&message, &account), Ok(None));
}

#[test]
fn a_copy_of_nothing_is_refused() {
    for (name, xml) in [
        ("received", "<received xmlns='urn:xmpp:carbons:2'/>"),
        ("sent", "<sent xmlns='urn:xmpp:carbons:2'/>"),
    ] {
        let missing = PayloadError::MissingChild {
            element: name,
            child: "forwarded",
        };
        assert_eq!(Carbon::from_element(&element(xml)), Some(Err(missing)));
    }
}

// XEP-0313.

fn query(attributes: &str, content: &str) -> String {
    format!("<query xmlns='urn:xmpp:mam:2'{attributes}>{content}</query>")
}

fn submitted(fields: &str) -> String {
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
         <value>urn:xmpp:mam:2</value></field>{fields}</x>"
    )
}

#[test]
fn an_archive_is_queried_as_in_xep_0313() {
    same(&query("", ""), Query::default());
    let filter = Filter {
        with: Some("lamp@example.org".parse().unwrap()),
        start: Some(text("2024-05-01T00:00:00Z")),
        include_groupchat: Some(false),
        ..Filter::default()
    };
    let mut expected = Query::of(&filter, PageRequest::of(10, Position::After(text("u7"))));
    expected.queryid = Some(text("q1"));
    expected.flip_page = true;
    let form = submitted(
        "<field var='with'><value>lamp@example.org</value></field>\
         <field var='start'><value>2024-05-01T00:00:00Z</value></field>\
         <field var='include-groupchat'><value>false</value></field>",
    );
    let page = "<set xmlns='http://jabber.org/protocol/rsm'><max>10</max><after>u7</after></set>";
    same(
        &query(" queryid='q1'", &format!("{form}{page}<flip-page/>")),
        expected.clone(),
    );
    assert_eq!(Filter::from_form(&expected.form.unwrap()), Ok(filter));
    let everything = Query::of(&Filter::default(), PageRequest::of(10, Position::Last));
    assert_eq!(everything.form, None);
}

#[test]
fn a_filter_keeps_the_fields_that_it_does_not_know() {
    let xml = submitted(
        "<field var='ids'><value>1</value><value>2</value></field>\
         <field var='before-id'><value>9</value></field>\
         <field var='{urn:x}text'><value>lamp</value></field><field var='after-id'/>",
    );
    let filter = Filter::from_form(&read::<Form>(&xml).unwrap()).unwrap();
    assert_eq!(filter.ids, Some(vec![text("1"), text("2")]));
    assert_eq!(filter.before_id, Some(text("9")));
    assert_eq!(filter.after_id, None);
    assert_eq!(
        filter.other,
        [Field::new(text("{urn:x}text"), text("lamp"))]
    );
}

#[test]
fn a_broken_filter_is_refused_by_the_name_of_its_field() {
    let fault = |xml: &str| Filter::from_form(&read::<Form>(xml).unwrap());
    for (fields, var) in [
        ("<field var='with'><value>@</value></field>", "with"),
        (
            "<field var='include-groupchat'><value>maybe</value></field>",
            "include-groupchat",
        ),
    ] {
        let invalid = PayloadError::Invalid {
            element: "field",
            what: var,
        };
        assert_eq!(fault(&submitted(fields)), Err(invalid));
    }
    let other = submitted("").replace("urn:xmpp:mam:2", "urn:xmpp:mam:1");
    for strange in [other.as_str(), "<x xmlns='jabber:x:data' type='submit'/>"] {
        let invalid = PayloadError::Invalid {
            element: "x",
            what: "FORM_TYPE",
        };
        assert_eq!(fault(strange), Err(invalid));
    }
}

#[test]
fn a_form_of_the_fields_that_an_archive_knows_names_their_types() {
    let filter = Filter {
        ids: Some(Vec::new()),
        include_groupchat: Some(true),
        ..Filter::default()
    };
    let form = filter.to_form(FormType::Form);
    let kinds: Vec<_> = form
        .fields
        .iter()
        .map(|f| f.kind.unwrap().as_str())
        .collect();
    assert_eq!(kinds, ["hidden", "text-multi", "boolean"]);
    assert!(
        filter.to_form(FormType::Submit).fields[1..]
            .iter()
            .all(|f| f.kind.is_none())
    );
}

#[test]
fn results_and_their_end_are_read_as_in_xep_0313() {
    let content = forwarded(&format!("{DELAY}{MESSAGE}"));
    let result = |attributes: &str, content: &str| {
        format!("<result xmlns='urn:xmpp:mam:2'{attributes}>{content}</result>")
    };
    let archived = ArchiveResult {
        queryid: Some(text("q1")),
        id: text("u7"),
        forwarded: late(),
    };
    same(&result(" queryid='q1' id='u7'", &content), archived);
    lacks::<ArchiveResult>(&result(" queryid='q1'", &content), "id");
    let missing = PayloadError::MissingChild {
        element: "result",
        child: "forwarded",
    };
    assert_eq!(read::<ArchiveResult>(&result(" id='u7'", "")), Err(missing));

    let fin = |attributes: &str, content: &str| {
        format!(
            "<fin xmlns='urn:xmpp:mam:2'{attributes}>\
             <set xmlns='http://jabber.org/protocol/rsm'>{content}</set></fin>"
        )
    };
    same(&fin("", ""), Fin::default());
    let page = Page {
        range: Some(Range {
            first: text("u1"),
            index: Some(0),
            last: text("u7"),
        }),
        count: Some(20),
    };
    same(
        &fin(
            " complete='true' stable='false'",
            "<first index='0'>u1</first><last>u7</last><count>20</count>",
        ),
        Fin {
            complete: true,
            stable: false,
            page,
        },
    );
    invalid::<Fin>(&fin(" complete='all'", ""), "fin", "complete");
    invalid::<Fin>(&fin(" stable=''", ""), "fin", "stable");
    assert_eq!(read("<fin xmlns='urn:xmpp:mam:2'/>"), Ok(Fin::default()));
}

#[test]
fn metadata_has_both_ends_or_none() {
    let metadata = |content: &str| format!("<metadata xmlns='urn:xmpp:mam:2'>{content}</metadata>");
    let (start, end) = (
        "<start id='u1' timestamp='2020-01-01T00:00:00Z'/>",
        "<end id='u9' timestamp='2024-05-01T00:00:00Z'/>",
    );
    let mark = |id, timestamp| Mark {
        id: text(id),
        timestamp: text(timestamp),
    };
    let span = Span {
        start: mark("u1", "2020-01-01T00:00:00Z"),
        end: mark("u9", "2024-05-01T00:00:00Z"),
    };
    same(&metadata(""), Metadata(None));
    same(&metadata(&format!("{start}{end}")), Metadata(Some(span)));
    for (half, child) in [(start, "end"), (end, "start")] {
        let missing = PayloadError::MissingChild {
            element: "metadata",
            child,
        };
        assert_eq!(read::<Metadata>(&metadata(half)), Err(missing));
    }
    child_lacks::<Metadata>(&metadata("<start timestamp='t'/>"), "start", "id");
    child_lacks::<Metadata>(&metadata("<end id='u9'/>"), "end", "timestamp");
}

#[test]
fn preferences_are_read_as_in_xep_0441() {
    let prefs = |attributes: &str, content: &str| {
        format!("<prefs xmlns='urn:xmpp:mam:2'{attributes}>{content}</prefs>")
    };
    same(&prefs("", ""), Prefs::default());
    for policy in DefaultPolicy::ALL {
        let default = format!(" default='{}'", policy.as_str());
        let set = Prefs {
            default: Some(*policy),
            always: vec!["lamp@example.org".parse().unwrap()],
            never: Vec::new(),
        };
        let lists = "<always><jid>lamp@example.org</jid></always><never/>";
        same(&prefs(&default, lists), set);
    }
    invalid::<Prefs>(&prefs(" default='maybe'", ""), "prefs", "default");
    no_address::<Prefs>(&prefs("", "<never><jid>@</jid></never>"), "jid");
}

fn a_forwarded() -> impl Strategy<Value = Forwarded> {
    let delay = (
        option::of(values::jid()),
        values::text(),
        option::of(values::some_text()),
    )
        .prop_map(|(from, stamp, reason)| Delay {
            from,
            stamp,
            reason,
        });
    let stanza =
        (option::of(values::jid()), vec(values::extension(), 0..3)).prop_map(|(from, payloads)| {
            let mut message = Message::chat("me@example.org".parse().unwrap());
            message.header.from = from;
            message.payloads = payloads;
            message.to_element()
        });
    (option::of(delay), option::of(stanza))
        .prop_map(|(delay, element)| Forwarded { delay, element })
}

fn filter() -> impl Strategy<Value = Filter> {
    let some = || option::of(values::text());
    (
        option::of(values::jid()),
        (some(), some(), some(), some()),
        option::of(vec(values::text(), 0..3)),
        any::<Option<bool>>(),
    )
        .prop_map(
            |(with, (start, end, before_id, after_id), ids, include_groupchat)| Filter {
                with,
                start,
                end,
                before_id,
                after_id,
                ids,
                include_groupchat,
                other: vec![Field::new(text("{urn:x}y"), text("z"))],
            },
        )
}

proptest! {
    #[test]
    fn forwarded_stanzas_come_back_as_they_went(
        forwarded in a_forwarded(),
        queryid in option::of(values::text()),
        id in values::text(),
    ) {
        travels(&forwarded);
        let carbon = Carbon::Sent(forwarded.clone());
        prop_assert_eq!(Carbon::from_element(&carbon.to_element()), Some(Ok(carbon)));
        travels(&ArchiveResult { queryid, id, forwarded });
    }

    #[test]
    fn queries_come_back_as_they_went(
        (queryid, node) in (option::of(values::text()), option::of(values::text())),
        form in option::of(values::form()),
        page in option::of(values::page_request()),
        flip_page in any::<bool>(),
    ) {
        travels(&Query { queryid, node, form, page, flip_page });
    }

    #[test]
    fn filters_come_back_as_they_went(
        filter in filter(),
        kind in prop::sample::select(FormType::ALL),
    ) {
        let form = filter.to_form(kind);
        travels(&form);
        prop_assert_eq!(Filter::from_form(&form), Ok(filter));
    }

    #[test]
    fn ends_and_metadata_come_back_as_they_went(
        (complete, stable) in any::<(bool, bool)>(),
        page in values::page(),
        ends in option::of(vec((values::text(), values::text()), 2)),
    ) {
        travels(&Fin { complete, stable, page });
        let mark = |(id, timestamp)| Mark { id, timestamp };
        let span = ends.map(|ends| {
            let [start, end] = <[_; 2]>::try_from(ends).unwrap().map(mark);
            Span { start, end }
        });
        travels(&Metadata(span));
    }

    #[test]
    fn preferences_come_back_as_they_went(
        default in option::of(prop::sample::select(DefaultPolicy::ALL)),
        always in vec(values::jid(), 0..3),
        never in vec(values::jid(), 0..3),
    ) {
        travels(&Prefs { default, always, never });
    }
}
