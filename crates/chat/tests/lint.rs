//! `stanchion lint` from end to end, on files of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Ended, Home, Running, run};
use serde_json::{Value, json};

const OPEN: &str = "<stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>";
const RECEIPT: &str = "<message to='a@example.org' id='m1' type='chat'><body>on</body>\
    <request xmlns='urn:xmpp:receipts'/></message>";

fn lint(home: &Home, words: &[&str]) -> Ended {
    let mut all = vec!["lint"];
    all.extend(words);
    run(home.command("", &all))
}

fn home(files: &[(&str, &str)]) -> Home {
    let home = Home::new();
    for (name, text) in files {
        let path = home.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    home
}

#[test]
fn a_good_stanza_is_named_with_its_payloads() {
    let home = home(&[("good.xml", RECEIPT)]);
    let ended = lint(&home, &["good.xml"]);
    assert_eq!(
        ended.stdout,
        "good.xml:0: ok: message chat: body (RFC 6121), receipt request (XEP-0184)\n\
         1 ok, 0 failed\n"
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(lint(&home, &["-q", "good.xml"]).stdout, "1 ok, 0 failed\n");
}

#[test]
fn a_broken_stanza_is_told_with_its_offset_rule_and_section() {
    for (text, offset, rule, section) in [
        (
            "<message><body>a</message>",
            16,
            "not-well-formed",
            "XML 1.0 §2, §3",
        ),
        (
            "<message>\u{1}</message>",
            9,
            "not-well-formed",
            "XML 1.0 §2.2",
        ),
        (
            "<message><p:a/></message>",
            15,
            "not-well-formed",
            "Namespaces in XML §3, §6",
        ),
        (
            "<message><!-- a --></message>",
            9,
            "restricted-xml",
            "RFC 6120 §11.1",
        ),
        (
            "<!DOCTYPE a><message/>",
            0,
            "restricted-xml",
            "RFC 6120 §11.1",
        ),
        (
            "<message>&nbsp;</message>",
            10,
            "restricted-xml",
            "RFC 6120 §11.1",
        ),
        ("<presence/> and", 12, "bad-format", "RFC 6120 §4"),
        ("<message><body>", 15, "not-well-formed", "XML 1.0 §2.1"),
        ("", 0, "not-well-formed", "XML 1.0 §2.1"),
        (
            "<iq type='get' id='1'/>",
            0,
            "iq-children",
            "RFC 6120 §8.1, §8.2.3",
        ),
        ("\n<message to='@'/>", 1, "invalid-address", "RFC 6120 §8.1"),
        (
            "<message><received xmlns='urn:xmpp:receipts'/></message>",
            0,
            "missing-attribute",
            "XEP-0184 §5",
        ),
        (
            "<message><sent xmlns='urn:xmpp:carbons:2'/></message>",
            0,
            "missing-child",
            "XEP-0280 §7, §8",
        ),
    ] {
        let home = home(&[("bad.xml", text)]);
        let ended = lint(&home, &["--json", "bad.xml"]);
        assert_eq!(ended.code, 1, "{text}: {ended:?}");
        let fault = ended
            .json()
            .into_iter()
            .find(|line| line["ok"] == json!(false))
            .unwrap();
        let said = [&fault["offset"], &fault["rule"], &fault["section"]];
        assert_eq!(
            said,
            [&json!(offset), &json!(rule), &json!(section)],
            "{text}"
        );
        let plain = lint(&home, &["bad.xml"]).stdout;
        let begin = format!("bad.xml:{offset}: FAILED: ");
        let end = format!(" [{rule}, {section}]");
        let told = |l: &str| l.starts_with(&begin) && l.ends_with(&end);
        assert!(plain.lines().any(told), "{plain}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let home = home(&[]);
    std::fs::write(home.path("bad.xml"), b"<a>\xff</a>").unwrap();
    let ended = lint(&home, &["bad.xml"]);
    assert!(ended.stdout.starts_with("bad.xml:3: FAILED: "), "{ended:?}");
    assert!(ended.stdout.ends_with("0 ok, 1 failed\n"), "{ended:?}");
}

#[test]
fn a_folder_is_gone_through_whatever_fails_in_it() {
    let home = home(&[
        ("all/b.xml", RECEIPT),
        ("all/a.xml", "<message><body></message>"),
        ("all/c/d.xml", "<presence/><presence/>"),
    ]);
    let ended = lint(&home, &["all"]);
    let begins: Vec<_> = ended
        .stdout
        .lines()
        .map(|l| l.split(": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let expected = [
        "all/a.xml:15 FAILED",
        "all/b.xml:0 ok",
        "all/c/d.xml:0 ok",
        "all/c/d.xml:11 ok",
        "3 ok, 1 failed",
    ];
    assert_eq!(begins, expected);
    assert_eq!(ended.code, 1);
    assert!(ended.one_line().contains("1 failed"), "{ended:?}");
    let quiet = lint(&home, &["--quiet", "all"]).stdout;
    assert_eq!(quiet.lines().count(), 2, "{quiet}");
}

#[test]
fn a_capture_of_a_login_is_read_stream_by_stream() {
    let first = format!(
        "<?xml version='1.0'?>{OPEN}<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' \
         mechanism='PLAIN'>AGEAYg==</auth>"
    );
    let second = format!(
        "{OPEN}<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>\
         <enable xmlns='urn:xmpp:sm:3' resume='true'/>"
    );
    let home = home(&[("login.xml", &format!("{first}{second}</stream:stream>"))]);
    let ended = lint(&home, &["login.xml", "--json"]);
    let kinds: Vec<_> = ended.json().iter().map(|l| l["kind"].clone()).collect();
    let expected = [
        "stream",
        "nonza <auth/>",
        "stream",
        "iq set",
        "nonza <enable/>",
    ];
    assert_eq!(kinds[..5], expected.map(Value::from));
    assert_eq!(ended.json()[2]["offset"], json!(first.len()));
    assert_eq!(ended.code, 0);
}

#[test]
fn json_has_the_same_keys_on_every_line_and_the_totals_last() {
    let home = home(&[("a.xml", &format!("{RECEIPT}<e xmlns='urn:e'/><iq/>"))]);
    let ended = lint(&home, &["--json", "a.xml"]);
    let (totals, lines) = ended
        .json()
        .split_last()
        .map(|(t, l)| (t.clone(), l.to_vec()))
        .unwrap();
    assert_eq!(
        totals,
        json!({ "totals": { "files": 1, "ok": 2, "failed": 1 } })
    );
    assert_eq!(
        lines[0],
        json!({
            "file": "a.xml", "offset": 0, "kind": "message chat", "ok": true,
            "payloads": [
                { "name": "body", "namespace": "jabber:client", "count": 1,
                  "what": "body", "specification": "RFC 6121" },
                { "name": "request", "namespace": "urn:xmpp:receipts", "count": 1,
                  "what": "receipt request", "specification": "XEP-0184" },
            ],
            "rule": null, "section": null, "message": null,
        })
    );
    assert_eq!(lines[1]["payloads"][0]["what"], Value::Null);
    let keys =
        |line: &Value| -> Vec<String> { line.as_object().unwrap().keys().cloned().collect() };
    assert!(
        lines.iter().all(|l| keys(l) == keys(&lines[0])),
        "{lines:?}"
    );
}

#[test]
fn the_standard_input_is_read() {
    let home = home(&[]);
    let mut running = Running::start(home.command("", &["lint", "-"]));
    running.write(RECEIPT);
    let ended = running.end();
    assert!(
        ended.stdout.starts_with("-:0: ok: message chat"),
        "{ended:?}"
    );
    assert_eq!(ended.code, 0);
}

#[test]
fn a_stanza_beyond_the_limit_is_refused() {
    let home = home(&[("a.xml", RECEIPT)]);
    let size = RECEIPT.len();
    let fits = lint(&home, &["--max-stanza", &size.to_string(), "a.xml"]);
    assert_eq!(fits.code, 0, "{fits:?}");
    let limit = size - 1;
    let ended = lint(&home, &["--max-stanza", &limit.to_string(), "a.xml"]);
    assert_eq!(ended.code, 1);
    let expected = format!("a.xml:{limit}: FAILED: more than {limit} bytes in a stanza");
    assert!(ended.stdout.starts_with(&expected), "{ended:?}");
}

#[test]
fn what_is_not_there_is_a_usage_error_that_names_it() {
    let home = home(&[("a.xml", RECEIPT)]);
    let ended = lint(&home, &["a.xml", "absent.xml"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.one_line().contains("absent.xml"), "{ended:?}");
    assert_eq!(lint(&home, &[]).code, 2);
    assert_eq!(lint(&home, &["--max-stanza", "0", "a.xml"]).code, 2);
    let help = lint(&home, &["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("Examples:"), "{help:?}");
}
