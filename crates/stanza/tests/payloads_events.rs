//! Subscriptions to sensor data, in every profile.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod laws;
mod support;

use std::time::Duration;

use laws::journey::profiled_survives;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::payload::iot_events::{
    Subscribe, Unsubscribe, Watched, interval, interval_text,
};
use stanchion_stanza::payload::sensordata::{Categories, Profile, Profiled as _};
use stanchion_stanza::payload::xs::Double;
use stanchion_stanza::{Payload as _, Text};

use support::{element, things, values};

#[test]
fn a_subscription_of_a_gateway_is_read() {
    let asked = element(
        "<subscribe xmlns='urn:nf:iot:events:1.0' id='d4' m='true' minInt='PT1S' maxInt='PT1M'>\
         <f n='Light' v='25.72' by='1'/><f n='Motion' v='0' up='1' dn='2'/></subscribe>",
    );
    let (profile, asked) = Subscribe::find_any([&asked]).unwrap().unwrap();
    assert_eq!((profile, asked.id.as_str()), (Profile::Nf, "d4"));
    assert_eq!(asked.categories, Categories::MOMENTARY);
    assert_eq!(asked.min_interval.as_deref(), Some("PT1S"));
    assert_eq!(asked.fields[0].by.as_ref().map(Double::as_str), Some("1"));
    assert_eq!(asked.fields[1].down.as_ref().map(Double::to_f64), Some(2.0));
    assert!(!asked.now && asked.nodes.is_empty());
}

#[test]
fn the_legacy_profile_has_its_own_names() {
    let asked = Subscribe {
        fields: vec![Watched {
            by: Some("0.5".parse().unwrap()),
            ..Watched::new(Text::from_static("T"))
        }],
        now: true,
        ..Subscribe::default()
    };
    let written = asked.to_element();
    assert!(written.is("subscribe", "urn:xmpp:iot:events"));
    assert_eq!(
        (written.attr("seqnr"), written.attr("req")),
        (Some("0"), Some("true"))
    );
    let field = written.children().next().unwrap();
    assert_eq!(
        (field.name(), field.attr("changedBy")),
        ("field", Some("0.5"))
    );
}

#[test]
fn a_change_that_is_no_number_is_an_error() {
    let asked = element(
        "<subscribe xmlns='urn:nf:iot:events:1.0' id='d4'><f n='Light' by='much'/></subscribe>",
    );
    assert!(Subscribe::find_any([&asked]).is_err());
    let nameless = element("<subscribe xmlns='urn:nf:iot:events:1.0'/>");
    assert!(Subscribe::find_any([&nameless]).is_err());
}

#[test]
fn what_is_no_length_of_time_is_none() {
    for text in [
        "",
        "P",
        "PT",
        "1S",
        "PT-1S",
        "-PT1S",
        "P1Y",
        "P1M",
        "PT1M1H",
        "PTS",
        "PT1.5M",
        "PT1e3S",
        "P1DT",
        "PT99999999999999S",
        "PT1S ",
        "PTNaNS",
    ] {
        assert_eq!(interval(text), None, "{text}");
    }
    assert_eq!(
        interval("P1DT1H1M1.25S"),
        Some(Duration::from_millis(90_061_250))
    );
}

fn watched() -> impl Strategy<Value = Watched> {
    let step = || option::of(things::doubles());
    (values::text(), values::maybe_text(), step(), step(), step()).prop_map(
        |(name, value, by, up, down)| Watched {
            name,
            value,
            by,
            up,
            down,
        },
    )
}

fn subscriptions() -> impl Strategy<Value = Subscribe> {
    (
        (
            things::numbers(),
            things::categories(),
            any::<(bool, bool)>(),
        ),
        (
            values::maybe_text(),
            values::maybe_text(),
            values::maybe_text(),
        ),
        (
            vec(things::node(), 0..3),
            vec(watched(), 0..3),
            things::tokens(),
        ),
    )
        .prop_map(
            |((id, categories, (all, now)), (max_age, min, max), (nodes, fields, tokens))| {
                Subscribe {
                    id,
                    categories,
                    all,
                    max_age,
                    min_interval: min,
                    max_interval: max,
                    nodes,
                    fields,
                    tokens,
                    now,
                }
            },
        )
}

/// What the short names cannot tell apart.
fn compact(categories: Categories) -> bool {
    !categories.are_historical()
}

proptest! {
    #[test]
    fn a_subscription_survives_in_every_profile(subscribe in subscriptions()) {
        for profile in Profile::ALL {
            if !profile.is_compact() || compact(subscribe.categories) {
                profiled_survives(&subscribe, profile);
            }
            profiled_survives(&Unsubscribe { id: subscribe.id.clone() }, profile);
        }
    }

    #[test]
    fn a_time_survives_to_the_millisecond(ms in 0..=100_000_000_000_u64) {
        let time = Duration::from_millis(ms);
        let read = interval(&interval_text(time)).unwrap();
        prop_assert!(read.abs_diff(time) < Duration::from_micros(100));
    }

    #[test]
    fn no_text_makes_it_panic(text in ".*") {
        let _ = interval(&text);
    }
}
