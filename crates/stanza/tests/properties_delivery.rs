//! Delivery between two devices: whatever can be said comes back as it went, and the bytes
//! that are written without an element in between are the encoder's.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod laws;
mod support;

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::codec::parse_element;
use stanchion_stanza::payload::Payload;
use stanchion_stanza::payload::delivery::{
    Answer, At, Boot, Bundle, Cancel, Channel, Close, Closed, Deliver, Device, Epoch, FEATURE,
    IdPrefix, Jids, MAX_SEQ, Place, Rotate, StoreTag, Verdict, VerdictState, WrongStore,
    capability_form, place_of,
};
use stanchion_stanza::payload::disco::DiscoInfo;
use stanchion_stanza::{Encoder, Limits, Scope, Text};
use support::text;
use support::values::{jid, travels};

fn a_name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_-]{1,64}"
}

fn a_device() -> impl Strategy<Value = Device> {
    a_name().prop_map(|n| Device::new(&n).unwrap())
}

fn a_channel() -> impl Strategy<Value = Channel> {
    a_name().prop_map(|n| Channel::new(&n).unwrap())
}

fn a_place() -> impl Strategy<Value = Place> {
    (a_device(), any::<u64>()).prop_map(|(device, store)| Place {
        device,
        store: StoreTag(store),
    })
}

fn an_epoch() -> impl Strategy<Value = Epoch> {
    any::<(u32, u32)>().prop_map(|(index, random)| Epoch { index, random })
}

fn a_seq() -> impl Strategy<Value = u64> {
    prop_oneof![1..=MAX_SEQ, 1..=64u64, Just(MAX_SEQ)]
}

fn an_id() -> impl Strategy<Value = IdPrefix> {
    any::<u64>().prop_map(IdPrefix::from_bits)
}

fn a_boot() -> impl Strategy<Value = Boot> {
    any::<u32>().prop_map(Boot)
}

fn some_jids() -> impl Strategy<Value = Option<Jids>> {
    let addresses = vec(jid().prop_map(|j| j.to_bare()), 1..=Jids::MAX);
    let jids = (1..=u32::MAX, addresses).prop_map(|(version, jids)| Jids { version, jids });
    option::of(jids)
}

fn verdicts(
    states: &'static [VerdictState],
    count: std::ops::RangeInclusive<usize>,
) -> impl Strategy<Value = Vec<Verdict>> {
    let verdict = (a_seq(), an_id(), prop::sample::select(states));
    vec(
        verdict.prop_map(|(seq, id, state)| Verdict { seq, id, state }),
        count,
    )
}

fn a_deliver() -> impl Strategy<Value = Deliver> {
    let which = (
        a_device(),
        option::of(a_place()),
        an_epoch(),
        a_channel(),
        a_seq(),
        a_seq(),
    );
    let ids = (an_id(), option::of(an_id()), a_boot());
    let more = (
        option::of(any::<i64>()),
        any::<bool>(),
        any::<u32>(),
        some_jids(),
    );
    (which, ids, more).prop_map(
        |(
            (from, to, epoch, channel, seq, low),
            (id, prev, boot),
            (deadline, unordered, knows, jids),
        )| Deliver {
            from,
            to,
            epoch,
            channel,
            seq,
            low,
            id,
            prev,
            boot,
            deadline,
            unordered,
            knows,
            jids,
        },
    )
}

fn an_answer() -> impl Strategy<Value = Answer> {
    let head = (a_device(), a_place(), an_epoch(), a_channel(), a_boot());
    let verdicts = verdicts(VerdictState::ALL, 1..=Answer::MAX_VERDICTS);
    let more = (any::<u32>(), any::<u32>());
    let rest = (any::<i64>(), more, verdicts, some_jids());
    (head, rest).prop_map(
        |((to, at, epoch, channel, boot), (clock, (knows, bundles), verdicts, jids))| Answer {
            to,
            at,
            epoch,
            channel,
            boot,
            clock,
            knows,
            bundles,
            verdicts,
            jids,
        },
    )
}

fn a_closed() -> impl Strategy<Value = Closed> {
    const FINAL: &[VerdictState] = &[
        VerdictState::Delivered,
        VerdictState::Void,
        VerdictState::Maybe,
    ];
    let head = (a_device(), a_place(), an_epoch(), a_channel(), a_boot());
    let verdicts = verdicts(FINAL, 0..=Closed::MAX_VERDICTS);
    let rest = (
        option::of(a_boot()),
        any::<bool>(),
        a_seq(),
        any::<u32>(),
        verdicts,
    );
    (head, rest).prop_map(
        |((to, at, epoch, channel, boot), (by, known, low, highest, verdicts))| Closed {
            to,
            at,
            epoch,
            channel,
            boot,
            by,
            known,
            low,
            highest,
            verdicts,
        },
    )
}

/// Strings that are values, or fail to be by little.
fn nearly_a_value() -> impl Strategy<Value = String> {
    let anything = support::values::text().prop_map(Text::into_string);
    prop_oneof![
        anything,
        "[-+]?[0-9]{1,20}",
        "[A-D0-9_=+-]{5,7}",
        "[A-D0-9_=+-]{10,12}",
        "0?[0-9]{1,10}[.][A-D0-9_-]{6}",
        "[A-Za-z0-9_.-]{1,65}[.][A-D0-9_-]{11}",
        "[A-Za-z0-9_-]{62,66}",
    ]
}

/// The bytes are what the encoder makes of the element, and mean the same.
fn bytes_are_the_encoders<P: Payload + PartialEq + Debug>(
    payload: &P,
    write: impl Fn(&mut Vec<u8>),
) {
    let mut bytes = b"before".to_vec();
    write(&mut bytes);
    let bytes = bytes.strip_prefix(b"before").unwrap();
    let encoder = Encoder::new(Scope::client(), Limits::default());
    let encoded = encoder.to_bytes(&payload.to_element()).unwrap();
    assert_eq!(
        String::from_utf8_lossy(bytes),
        String::from_utf8_lossy(&encoded)
    );
    // Of whatever stanza it is put into.
    for scope in [Scope::client(), Scope::empty()] {
        let read = parse_element(bytes, &scope, &Limits::default()).unwrap();
        assert_eq!(read, payload.to_element());
        assert_eq!(P::from_element(&read).as_ref(), Ok(payload));
    }
}

proptest! {
    #[test]
    fn messages_of_a_channel_come_back_as_they_went(deliver in a_deliver()) {
        travels(&deliver);
        bytes_are_the_encoders(&deliver, |out| deliver.write_into(out));
        travels(&Cancel {
            from: deliver.from,
            to: deliver.to,
            epoch: deliver.epoch,
            channel: deliver.channel,
            seq: deliver.seq,
            low: deliver.low,
            id: deliver.id,
            prev: deliver.prev,
            boot: deliver.boot,
            knows: deliver.knows,
            jids: deliver.jids,
        });
    }

    #[test]
    fn bundles_come_back_as_they_went(
        messages in vec(vec(any::<u8>(), 1..600), 1..=Bundle::MAX)
    ) {
        let bundle = Bundle { messages };
        travels(&bundle);
        bytes_are_the_encoders(&bundle, |out| bundle.write_into(out));
    }

    #[test]
    fn answers_come_back_as_they_went(answer in an_answer()) {
        travels(&answer);
        bytes_are_the_encoders(&answer, |out| answer.write_into(out));
        travels(&answer.verdicts[0]);
        if let Some(jids) = &answer.jids {
            travels(jids);
        }
        travels(&At(answer.at.clone()));
        travels(&WrongStore {
            to: answer.to,
            at: answer.at,
            epoch: answer.epoch,
            channel: answer.channel,
            boot: answer.boot,
        });
    }

    #[test]
    fn the_end_of_an_epoch_comes_back_as_it_went(closed in a_closed(), to in option::of(a_place())) {
        travels(&closed);
        travels(&Rotate {
            to: closed.to.clone(),
            at: closed.at,
            epoch: closed.epoch,
            channel: closed.channel.clone(),
            boot: closed.boot,
            above: closed.highest,
        });
        travels(&Close {
            from: closed.to,
            to,
            epoch: closed.epoch,
            channel: closed.channel,
            boot: closed.boot,
        });
    }

    #[test]
    fn any_device_is_known_by_its_form(place in a_place()) {
        let told = DiscoInfo {
            features: vec![text(FEATURE)],
            extensions: vec![capability_form(&place).to_element()],
            ..DiscoInfo::default()
        };
        prop_assert_eq!(place_of(&told), Some(place));
    }

    #[test]
    fn a_value_is_refused_or_written_as_it_was_read(s in nearly_a_value(), deliver in a_deliver()) {
        let value = Text::new(s).unwrap();
        for name in ["d", "t", "e", "c", "n", "l", "i", "p", "b", "x", "u", "j"] {
            let element = deliver.to_element().with_attr(name, value.clone());
            let Ok(read) = Deliver::from_element(&element) else {
                continue;
            };
            let goes_without_saying = matches!(name, "u" | "j") && value == "0";
            if !goes_without_saying {
                let written = read.to_element();
                prop_assert_eq!(written.attr(name), Some(value.as_str()));
            }
        }
        if let Ok(place) = value.parse::<Place>() {
            prop_assert_eq!(place.to_string(), value.as_str());
        }
    }
}
