//! Delivery between two devices: every element read, compared, written back, and refused
//! where broken.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod laws;
mod support;

use std::fmt::{Debug, Display};
use std::str::FromStr;

use stanchion_stanza::BareJid;
use stanchion_stanza::payload::delivery::{
    Answer, At, Boot, Cancel, Channel, Close, Closed, Deliver, Device, Epoch, FEATURE, IdPrefix,
    InvalidDelivery, Jids, MAX_NAME_BYTES, MAX_SEQ, Place, Rotate, StoreTag, Verdict, VerdictState,
    WrongStore, capability_form, place_of,
};
use stanchion_stanza::payload::disco::DiscoInfo;
use stanchion_stanza::payload::forms::{Field, Form, FormType};
use stanchion_stanza::payload::{Payload, PayloadError};
use support::{element, invalid, lacks, lacks_child, lacks_in, means, read, same, text};

const NS: &str = "xmlns='urn:stanchion:delivery:0'";

const DELIVER: &str = "<d xmlns='urn:stanchion:delivery:0' d='D1' t='R1.AAAAAAAAAAk' \
    e='3.kQAAAA' c='a' n='41' l='39' i='ungWv48B' p='_ty6mHZU' b='fwAAAQ' \
    x='1900000000000' u='1' j='2'><jids v='2'><jid>a@example.org</jid>\
    <jid>a@example.net</jid></jids></d>";
const ANSWER: &str = "<a xmlns='urn:stanchion:delivery:0' d='D1' at='R1.AAAAAAAAAAk' \
    e='3.kQAAAA' c='a' b='fwAAAQ' w='-1' j='2'><v n='39' i='_ty6mHZU' s='d'/></a>";
const CANCEL: &str = "<cancel xmlns='urn:stanchion:delivery:0' d='D1' t='R1.AAAAAAAAAAk' \
    e='3.kQAAAA' c='a' n='41' l='39' i='ungWv48B' p='_ty6mHZU' b='fwAAAQ' j='1'/>";
const ROTATE: &str = "<rotate xmlns='urn:stanchion:delivery:0' d='D1' at='R1.AAAAAAAAAAk' \
    e='3.kQAAAA' c='a' b='fwAAAQ' above='3'/>";
const CLOSE: &str = "<close xmlns='urn:stanchion:delivery:0' d='D1' t='R1.AAAAAAAAAAk' \
    e='3.kQAAAA' c='a' b='fwAAAQ'/>";
const CLOSED: &str = "<closed xmlns='urn:stanchion:delivery:0' d='D1' at='R1.AAAAAAAAAAk' \
    e='3.kQAAAA' c='a' b='fwAAAQ' by='_____w' known='0' l='39' hi='3'>\
    <v n='39' i='_ty6mHZU' s='d'/><v n='40' i='ungWv48B' s='v'/>\
    <v n='41' i='ungWv48B' s='m'/></closed>";
const WRONG_STORE: &str = "<wrong-store xmlns='urn:stanchion:delivery:0' d='D1' \
    at='R1.AAAAAAAAAAk' e='3.kQAAAA' c='a' b='fwAAAQ'/>";
const AT: &str = "<at xmlns='urn:stanchion:delivery:0' v='R1.AAAAAAAAAAk'/>";
const VERDICT: &str = "<v xmlns='urn:stanchion:delivery:0' n='39' i='_ty6mHZU' s='d'/>";
const JIDS: &str = "<jids xmlns='urn:stanchion:delivery:0' v='2'><jid>a@example.org</jid></jids>";

/// Of the SHA-256 of `abc`.
const ABC: IdPrefix = IdPrefix::from_bits(0xba78_16bf_8f01);
const BEFORE: IdPrefix = IdPrefix::from_bits(0xfedc_ba98_7654);
const BOOT: Boot = Boot(0x7f00_0001);
const EPOCH: Epoch = Epoch {
    index: 3,
    random: 0x9100_0000,
};

fn device(name: &str) -> Device {
    Device::new(name).unwrap()
}

fn channel(name: &str) -> Channel {
    Channel::new(name).unwrap()
}

fn place() -> Place {
    Place {
        device: device("R1"),
        store: StoreTag(9),
    }
}

fn verdict(seq: u64, id: IdPrefix, state: VerdictState) -> Verdict {
    Verdict { seq, id, state }
}

fn jids(version: u32, jids: &[&str]) -> Jids {
    Jids {
        version,
        jids: jids.iter().map(|j| BareJid::new(j).unwrap()).collect(),
    }
}

fn deliver() -> Deliver {
    Deliver {
        from: device("D1"),
        to: Some(place()),
        epoch: EPOCH,
        channel: channel("a"),
        seq: 41,
        low: 39,
        id: ABC,
        prev: Some(BEFORE),
        boot: BOOT,
        deadline: Some(1_900_000_000_000),
        unordered: true,
        knows: 2,
        jids: Some(jids(2, &["a@example.org", "a@example.net"])),
    }
}

fn answer(verdicts: Vec<Verdict>) -> Answer {
    Answer {
        to: device("D1"),
        at: place(),
        epoch: EPOCH,
        channel: channel("a"),
        boot: BOOT,
        clock: -1,
        knows: 2,
        bundles: 0,
        verdicts,
        jids: None,
    }
}

fn closed(verdicts: Vec<Verdict>) -> Closed {
    Closed {
        to: device("D1"),
        at: place(),
        epoch: EPOCH,
        channel: channel("a"),
        boot: BOOT,
        by: Some(Boot(u32::MAX)),
        known: false,
        low: 39,
        highest: 3,
        verdicts,
    }
}

#[test]
fn a_message_says_all_of_its_place_in_a_channel() {
    same(DELIVER, deliver());
}

#[test]
fn the_first_message_to_a_stranger_says_no_more_than_it_must() {
    let least = Deliver {
        to: None,
        epoch: Epoch {
            index: 0,
            random: 1,
        },
        seq: 1,
        low: 1,
        prev: None,
        deadline: None,
        unordered: false,
        knows: 0,
        jids: None,
        ..deliver()
    };
    same(
        &format!("<d {NS} d='D1' e='0.AAAAAQ' c='a' n='1' l='1' i='ungWv48B' b='fwAAAQ'/>"),
        least.clone(),
    );
    means(
        &format!(
            "<d {NS} d='D1' e='0.AAAAAQ' c='a' n='1' l='1' i='ungWv48B' b='fwAAAQ' u='0' j='0'/>"
        ),
        least,
    );
}

#[test]
fn an_answer_has_a_verdict_for_each_message() {
    same(
        ANSWER,
        answer(vec![verdict(39, BEFORE, VerdictState::Delivered)]),
    );
    use VerdictState::{Delivered, Handed, Late, Maybe, Other, Settled, Void};
    let states = [
        (Delivered, "d"),
        (Void, "v"),
        (Handed, "h"),
        (Maybe, "m"),
        (Other, "o"),
        (Settled, "z"),
        (Late, "late"),
    ];
    assert_eq!(states.len(), VerdictState::ALL.len());
    for (state, word) in states {
        let xml = format!("<v {NS} n='39' i='_ty6mHZU' s='{word}'/>");
        same(&xml, verdict(39, BEFORE, state));
    }
}

#[test]
fn an_answer_tells_the_addresses_after_the_verdicts() {
    let xml = ANSWER.replace("</a>", "<jids v='1'><jid>r@example.org</jid></jids></a>");
    let answer = Answer {
        jids: Some(jids(1, &["r@example.org"])),
        ..answer(vec![verdict(39, BEFORE, VerdictState::Delivered)])
    };
    same(&xml, answer);
}

#[test]
fn an_answer_tells_how_many_messages_a_stanza_may_have() {
    let xml = ANSWER.replace(" j='2'", " j='2' m='32'");
    let answer = Answer {
        bundles: 32,
        ..answer(vec![verdict(39, BEFORE, VerdictState::Delivered)])
    };
    same(&xml, answer);
}

#[test]
fn a_cancellation_names_what_the_message_names() {
    let of = deliver();
    let cancel = Cancel {
        from: of.from,
        to: of.to,
        epoch: of.epoch,
        channel: of.channel,
        seq: of.seq,
        low: of.low,
        id: of.id,
        prev: of.prev,
        boot: of.boot,
        knows: 1,
        jids: None,
    };
    same(CANCEL, cancel);
}

#[test]
fn an_epoch_is_rotated_closed_and_confirmed() {
    let rotate = Rotate {
        to: device("D1"),
        at: place(),
        epoch: EPOCH,
        channel: channel("a"),
        boot: BOOT,
        above: 3,
    };
    same(ROTATE, rotate);
    let close = Close {
        from: device("D1"),
        to: Some(place()),
        epoch: EPOCH,
        channel: channel("a"),
        boot: BOOT,
    };
    same(CLOSE, close);
    let verdicts = vec![
        verdict(39, BEFORE, VerdictState::Delivered),
        verdict(40, ABC, VerdictState::Void),
        verdict(41, ABC, VerdictState::Maybe),
    ];
    same(CLOSED, closed(verdicts));
    let nothing = Closed {
        by: None,
        known: true,
        ..closed(Vec::new())
    };
    same(
        &format!(
            "<closed {NS} d='D1' at='R1.AAAAAAAAAAk' e='3.kQAAAA' c='a' b='fwAAAQ' known='1' \
             l='39' hi='3'/>"
        ),
        nothing,
    );
}

#[test]
fn who_answers_is_told_by_a_wrong_store_and_by_presence() {
    let wrong = WrongStore {
        to: device("D1"),
        at: place(),
        epoch: EPOCH,
        channel: channel("a"),
        boot: BOOT,
    };
    same(WRONG_STORE, wrong);
    same(AT, At(place()));
}

/// `xml` without the first attribute of that name.
fn without(xml: &str, name: &str) -> String {
    let start = xml.find(&format!(" {name}='")).unwrap();
    let value = start + name.len() + 3;
    let end = value + xml[value..].find('\'').unwrap() + 1;
    format!("{}{}", &xml[..start], &xml[end..])
}

/// `xml` with another value of that attribute, which stands first then.
fn with(xml: &str, name: &str, value: &str) -> String {
    let less = without(xml, name);
    less.replacen(" xmlns=", &format!(" {name}='{value}' xmlns="), 1)
}

/// What no attribute of that name may hold, and why.
fn broken(name: &str, element: &str) -> Vec<String> {
    let long = "a".repeat(MAX_NAME_BYTES + 1);
    let values: &[&str] = match name {
        "d" | "c" => &["", "a b", "a.b", "ä", "a/b", &long],
        "t" | "at" => PLACES,
        "v" if element == "at" => PLACES,
        "e" => &[
            "",
            ".",
            "3",
            "3.",
            ".kQAAAA",
            "03.kQAAAA",
            "+3.kQAAAA",
            "-1.kQAAAA",
            "4294967296.kQAAAA",
            "3.kQAAA",
            "3.kQAAAAA",
            "3.kQAAAB",
            "3.kQAA=A",
            "3.kQAAAA.",
        ],
        "b" | "by" => &[
            "", "fwAAA", "fwAAAQ=", "fwAAAQA", "fwAAAR", "fw+AAQ", "fwAAA ",
        ],
        "i" | "p" => &[
            "",
            "ungWv48Bz-",
            "ungWv48BA",
            "ungWv48",
            "ungWv4+B",
            "ungWv48=",
            "ungWv48Bz-p",
            "ungWv48Bz+o",
            "ungWv48B=",
        ],
        "n" | "l" => &[
            "",
            "0",
            "-1",
            "+1",
            "01",
            "1.0",
            "9007199254740993",
            " 1",
            "x",
        ],
        "x" | "w" => &["", "-0", "+1", "01", "1.5", "9223372036854775808", "now"],
        "j" | "above" | "hi" | "v" => &["", "-1", "+1", "01", "4294967296", "x"],
        "u" | "known" => &["", "true", "2", "01"],
        "s" => &["", "D", "x", "delivered", "d "],
        _ => panic!("{name} in {element}"),
    };
    values.iter().map(|v| (*v).to_owned()).collect()
}

const PLACES: &[&str] = &[
    "",
    ".",
    "R1",
    "R1.",
    ".AAAAAAAAAAk",
    "R 1.AAAAAAAAAAk",
    "R1.AAAAAAAAAAl",
    "R1.AAAAAAAAAA",
    "R1.AAAAAAAAAAk.",
    "R.1.AAAAAAAAAAk",
];

/// Every attribute is refused in every broken spelling, and missed where it must be there.
fn strict<P: Payload + Debug + PartialEq>(xml: &str, must: &[&'static str], may: &[&'static str]) {
    assert!(read::<P>(xml).is_ok(), "{xml}");
    for name in must {
        lacks::<P>(&without(xml, name), name);
    }
    for name in may {
        assert!(read::<P>(&without(xml, name)).is_ok(), "{name}");
    }
    for name in must.iter().chain(may) {
        for value in broken(name, P::NAME) {
            invalid::<P>(&with(xml, name, &value), P::NAME, name);
        }
    }
}

#[test]
fn a_broken_attribute_is_refused_by_its_name() {
    strict::<Deliver>(
        DELIVER,
        &["d", "e", "c", "n", "l", "i", "b"],
        &["t", "p", "x", "u", "j"],
    );
    strict::<Answer>(ANSWER, &["d", "at", "e", "c", "b", "w"], &["j"]);
    strict::<Cancel>(
        CANCEL,
        &["d", "e", "c", "n", "l", "i", "b"],
        &["t", "p", "j"],
    );
    strict::<Rotate>(ROTATE, &["d", "at", "e", "c", "b", "above"], &[]);
    strict::<Close>(CLOSE, &["d", "e", "c", "b"], &["t"]);
    strict::<Closed>(
        CLOSED,
        &["d", "at", "e", "c", "b", "known", "l", "hi"],
        &["by"],
    );
    strict::<WrongStore>(WRONG_STORE, &["d", "at", "e", "c", "b"], &[]);
    strict::<At>(AT, &["v"], &[]);
    strict::<Verdict>(VERDICT, &["n", "i", "s"], &[]);
    strict::<Jids>(JIDS, &["v"], &[]);
}

#[test]
fn a_sequence_number_is_from_1_to_2_to_the_53() {
    for seq in [1, MAX_SEQ] {
        let xml = with(&with(DELIVER, "n", &seq.to_string()), "l", &seq.to_string());
        let read = read::<Deliver>(&xml).unwrap();
        assert_eq!((read.seq, read.low), (seq, seq));
    }
    for seq in [0, MAX_SEQ + 1, u64::MAX] {
        for name in ["n", "l"] {
            invalid::<Deliver>(&with(DELIVER, name, &seq.to_string()), "d", name);
        }
        // What was put together out of its range is refused, and not another number.
        let written = Deliver { seq, ..deliver() }.to_element();
        let refused = PayloadError::Invalid {
            element: "d",
            what: "n",
        };
        assert_eq!(Deliver::from_element(&written), Err(refused));
    }
}

#[test]
fn messages_that_follow_each_other_share_a_verdict() {
    use VerdictState::{Delivered, Void};
    let with = |verdicts: &str| {
        let empty = &ANSWER[..ANSWER.find('>').unwrap()];
        format!("{empty}>{verdicts}</a>")
    };
    let verdicts = vec![
        verdict(39, BEFORE, Delivered),
        verdict(40, ABC, Delivered),
        verdict(42, ABC, Delivered),
        verdict(43, ABC, Void),
    ];
    same(
        &with(
            "<v n='39' i='_ty6mHZU ungWv48B' s='d'/><v n='42' i='ungWv48B' s='d'/>\
             <v n='43' i='ungWv48B' s='v'/>",
        ),
        answer(verdicts.clone()),
    );
    // They need not.
    let apart = with(
        "<v n='39' i='_ty6mHZU' s='d'/><v n='40' i='ungWv48B' s='d'/>\
         <v n='42' i='ungWv48B' s='d'/><v n='43' i='ungWv48B' s='v'/>",
    );
    assert_eq!(read::<Answer>(&apart).unwrap().verdicts, verdicts);
}

#[test]
fn a_shared_verdict_has_an_id_for_each_message_and_no_more_than_all_may_have() {
    let of = |n: u64, ids: &str| {
        let empty = &ANSWER[..ANSWER.find('>').unwrap()];
        format!("{empty}><v n='{n}' i='{ids}' s='d'/></a>")
    };
    let ids = |count| vec!["ungWv48B"; count].join(" ");
    let all = read::<Answer>(&of(MAX_SEQ - 31, &ids(32))).unwrap();
    assert_eq!(all.verdicts.len(), 32);
    assert_eq!(all.verdicts[31].seq, MAX_SEQ);
    invalid::<Answer>(&of(MAX_SEQ - 30, &ids(32)), "v", "n");
    invalid::<Answer>(&of(1, &ids(33)), "a", "v");
    invalid::<Answer>(&of(1, &ids(137)), "v", "i");
    for ids in [
        "",
        " ",
        "ungWv48B ",
        "ungWv48B  ungWv48B",
        "ungWv48B,ungWv48B",
    ] {
        invalid::<Answer>(&of(1, ids), "v", "i");
    }
}

fn many(count: usize, state: &str) -> String {
    (1..=count)
        .map(|n| format!("<v n='{n}' i='ungWv48B' s='{state}'/>"))
        .collect()
}

#[test]
fn an_answer_has_1_to_32_verdicts() {
    let of = |verdicts: &str| {
        format!(
            "<a {NS} d='D1' at='R1.AAAAAAAAAAk' e='3.kQAAAA' c='a' b='fwAAAQ' w='1'>{verdicts}</a>"
        )
    };
    assert_eq!(
        read::<Answer>(&of(&many(32, "d"))).unwrap().verdicts.len(),
        32
    );
    lacks_child::<Answer>(&of(""), "a", "v");
    lacks_child::<Answer>(&of("<v xmlns='urn:x' n='1'/>"), "a", "v");
    invalid::<Answer>(&of(&many(33, "d")), "a", "v");
    // The one beyond the last is not even looked at.
    invalid::<Answer>(&of(&format!("{}<v/>", many(32, "d"))), "a", "v");
    lacks_in::<Answer>(&of("<v n='1' i='ungWv48B'/>"), "v", "s");
}

#[test]
fn an_epoch_ends_with_at_most_136_verdicts_that_are_final() {
    let of = |verdicts: &str| {
        let empty = &CLOSED[..CLOSED.find('>').unwrap()];
        format!("{empty}>{verdicts}</closed>")
    };
    for (count, state) in [(0, "d"), (136, "d"), (136, "v"), (136, "m")] {
        let read = read::<Closed>(&of(&many(count, state))).unwrap();
        assert_eq!(read.verdicts.len(), count);
    }
    invalid::<Closed>(&of(&many(137, "d")), "closed", "v");
    for state in ["h", "o", "z", "late"] {
        invalid::<Closed>(&of(&many(1, state)), "closed", "v");
    }
    invalid::<Closed>(&of(&many(1, "x")), "v", "s");
}

#[test]
fn a_device_has_1_to_8_addresses_of_a_version() {
    let of = |addresses: &str| format!("<jids {NS} v='1'>{addresses}</jids>");
    let some = |count: usize| {
        let jid = |n| format!("<jid>a@{n}.example.org</jid>");
        (0..count).map(jid).collect::<String>()
    };
    for count in [1, Jids::MAX] {
        assert_eq!(read::<Jids>(&of(&some(count))).unwrap().jids.len(), count);
    }
    lacks_child::<Jids>(&of(""), "jids", "jid");
    invalid::<Jids>(&of(&some(9)), "jids", "jid");
    invalid::<Jids>(&JIDS.replace("v='2'", "v='0'"), "jids", "v");
    let primary = read::<Jids>(&of(&some(2))).unwrap();
    assert_eq!(primary.jids[0].as_str(), "a@0.example.org");
}

#[test]
fn an_address_of_a_device_is_a_bare_jid() {
    let of = |address: &str| format!("<jids {NS} v='1'><jid>{address}</jid></jids>");
    for address in ["", "@", "a@example.org/b", " a@example.org"] {
        let read = read::<Jids>(&of(address));
        assert!(
            matches!(read, Err(PayloadError::Jid { element: "jid", .. })),
            "{address}: {read:?}"
        );
    }
    // The longest local part is well below the bound of the whole.
    let long = format!("{}@example.org", "a".repeat(1023));
    let address = of(&long);
    assert_eq!(read::<Jids>(&address), Ok(jids(1, &[long.as_str()])));
    // Beyond what two parts may have, it is not even looked at.
    let domain = |length| format!("a@{}", "b".repeat(length));
    let too_long = read::<Jids>(&of(&domain(2045)));
    assert!(
        matches!(too_long, Err(PayloadError::Jid { element: "jid", .. })),
        "{too_long:?}"
    );
    invalid::<Jids>(&of(&domain(2046)), "jids", "jid");
    // Cut in two by a child that is not known, it is still one.
    let cut = of("a@exam<x xmlns='urn:x'/>ple.org");
    assert_eq!(read::<Jids>(&cut), Ok(jids(1, &["a@example.org"])));
}

#[test]
fn addresses_stand_once() {
    let twice = DELIVER.replace("</d>", "<jids v='3'><jid>b@example.org</jid></jids></d>");
    invalid::<Deliver>(&twice, "d", "jids");
    let two = "<jids v='3'><jid>b@example.org</jid></jids>".repeat(2);
    let twice = ANSWER.replace("</a>", &format!("{two}</a>"));
    invalid::<Answer>(&twice, "a", "jids");
    // Another extension's element of that name is none of them.
    let other = DELIVER.replace("</d>", "<jids xmlns='urn:x'/></d>");
    assert_eq!(read(&other), Ok(deliver()));
}

#[test]
fn what_is_not_known_is_ignored() {
    let later = DELIVER
        .replace(" u='1'", " u='1' later='x' xmlns:y='urn:y' y:n='0'")
        .replace("</d>", "text<later/><v xmlns='urn:x'/></d>");
    means(&later, deliver());
    let later = ANSWER.replace("<v ", "<later><v/></later><v later='' ");
    means(
        &later,
        answer(vec![verdict(39, BEFORE, VerdictState::Delivered)]),
    );
}

#[test]
fn an_element_of_another_namespace_is_another() {
    assert!(Deliver::matches(&element(DELIVER)));
    let other = ANSWER.replace("urn:stanchion:delivery:0", "urn:xmpp:sm:3");
    assert!(!Answer::matches(&element(&other)));
    let later = DELIVER.replace("delivery:0", "delivery:1");
    assert!(!Deliver::matches(&element(&later)));
}

#[test]
fn a_name_has_1_to_64_letters_digits_hyphens_and_underscores() {
    let longest = "x".repeat(MAX_NAME_BYTES);
    for name in ["a", "0", "-", "_", "Meter-7_b", longest.as_str()] {
        assert_eq!(Device::new(name).unwrap().as_str(), name);
        assert_eq!(Channel::new(name).unwrap().to_string(), name);
    }
    assert_ne!(device("a"), device("A"));
    let refused = |name: &str| Device::new(name).unwrap_err();
    assert_eq!(refused(""), InvalidDelivery::Empty { what: "device" });
    let bytes = MAX_NAME_BYTES + 1;
    assert_eq!(
        refused(&"x".repeat(bytes)),
        InvalidDelivery::TooLong {
            what: "device",
            bytes
        }
    );
    for (name, character, offset) in [
        ("a.b", '.', 1),
        ("é", 'é', 0),
        ("ab ", ' ', 2),
        ("a\u{0}", '\u{0}', 1),
        ("٣", '٣', 0),
    ] {
        let bad = InvalidDelivery::Character {
            what: "channel",
            character,
            offset,
        };
        assert_eq!(Channel::new(name), Err(bad));
    }
    assert_eq!(
        refused("a.b").to_string(),
        "the name of a device has '.' at byte 1; use A-Z a-z 0-9 - _ alone"
    );
}

/// A value is shown as it is written on the wire, and read from that.
fn shown<T: Display + FromStr<Err = InvalidDelivery> + PartialEq + Debug>(value: T, s: &str) {
    assert_eq!(value.to_string(), s);
    assert_eq!(s.parse(), Ok(value));
}

#[test]
fn values_are_shown_as_on_the_wire() {
    shown(device("D1"), "D1");
    shown(channel("a"), "a");
    shown(StoreTag(9), "AAAAAAAAAAk");
    shown(StoreTag(u64::MAX), "__________8");
    shown(place(), "R1.AAAAAAAAAAk");
    shown(EPOCH, "3.kQAAAA");
    shown(ABC, "ungWv48B");
    shown(Boot(u32::MAX), "_____w");
    assert_eq!(
        "R1".parse::<Place>().unwrap_err().to_string(),
        "this is no place: write it as device.store"
    );
    for (error, what) in [
        ("x".parse::<StoreTag>().unwrap_err(), "store"),
        ("x".parse::<IdPrefix>().unwrap_err(), "id prefix"),
        ("x".parse::<Boot>().unwrap_err(), "boot"),
        ("x".parse::<Epoch>().unwrap_err(), "epoch"),
    ] {
        assert!(
            matches!(error, InvalidDelivery::Spelling { what: w, .. } if w == what),
            "{error}"
        );
    }
}

#[test]
fn epochs_are_ordered_by_index_first() {
    let epoch = |index, random| Epoch { index, random };
    assert!(epoch(9, u32::MAX) < epoch(10, 0));
    assert!(epoch(3, 1) < epoch(3, 2));
}

#[test]
fn two_ids_of_one_moment_have_two_prefixes() {
    assert_eq!(IdPrefix::of("abc"), ABC);
    // Two that a restored device could make: their first six bytes are the same.
    let one = IdPrefix::of("019a0000-0000-7000-8000-000000000000");
    let other = IdPrefix::of("019a0000-0000-7000-8000-000000000001");
    assert_ne!(one, other);
    // Eight bytes, as they were written once.
    assert_eq!("ungWv48Bz-o".parse(), Ok(ABC));
    // No id is too short, too long or too strange.
    for id in ["", "é", &"x".repeat(10_000)] {
        assert_eq!(IdPrefix::of(id), IdPrefix::of(id));
    }
}

fn info(features: &[&'static str], forms: &[Form]) -> DiscoInfo {
    DiscoInfo {
        features: features.iter().map(|f| text(f)).collect(),
        extensions: forms.iter().map(Form::to_element).collect(),
        ..DiscoInfo::default()
    }
}

#[test]
fn a_device_tells_by_discovery_who_it_is() {
    let form = capability_form(&place());
    assert_eq!(
        form.to_element(),
        element(
            "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'>\
             <value>urn:stanchion:delivery:0</value></field><field var='device'><value>R1</value>\
             </field><field var='store'><value>AAAAAAAAAAk</value></field></x>"
        )
    );
    let other = Form::of(FormType::Result, text("urn:x"));
    let told = info(&["urn:x", FEATURE], &[other, form]);
    let read = DiscoInfo::from_element(&told.to_element()).unwrap();
    assert_eq!(place_of(&read), Some(place()));
}

#[test]
fn a_device_that_does_not_tell_who_it_is_is_not_guessed() {
    let form = capability_form(&place());
    let with = |device: &'static str, store: &'static str| {
        Form::of(FormType::Result, text(FEATURE))
            .with(Field::new(text("device"), text(device)))
            .with(Field::new(text("store"), text(store)))
    };
    let visible = Form::new(FormType::Result)
        .with(Field::new(text("FORM_TYPE"), text(FEATURE)))
        .with(Field::new(text("device"), text("R1")))
        .with(Field::new(text("store"), text("AAAAAAAAAAk")));
    for told in [
        info(&[], &[]),
        info(&[FEATURE], &[]),
        info(&[], std::slice::from_ref(&form)),
        info(&[FEATURE], &[form.clone(), form]),
        info(&[FEATURE], &[visible]),
        info(&[FEATURE], &[with("R 1", "AAAAAAAAAAk")]),
        info(&[FEATURE], &[with("R1", "AAAAAAAAAAl")]),
        info(&[FEATURE], &[with("R1", "")]),
        info(
            &[FEATURE],
            &[Form::of(FormType::Result, text(FEATURE))
                .with(Field::new(text("device"), text("R1")))],
        ),
    ] {
        assert_eq!(place_of(&told), None, "{told:?}");
    }
}
