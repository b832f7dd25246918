//! The laws on generated input: messages as they are, changed at any place, and arbitrary
//! bytes; and the seeds of the fuzz target.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::codec::{
    AiSpec, Capabilities, Cutter, Device, Epc, Functions, Identification, Inventory, LARGEST,
    Message, ReaderConfig, ReportContent, ReportSpec, Request, RoSpec, RoSpecEvent, Status, Stop,
    TagReport, Timestamp, WhatHappened,
};
use super::laws;

fn epc() -> impl Strategy<Value = Epc> {
    (0u16..=496, vec(any::<u8>(), 62)).prop_map(|(bits, bytes)| Epc::new(bits, &bytes).unwrap())
}

fn tag() -> impl Strategy<Value = TagReport> {
    let half = || option::of(any::<u16>());
    let long = || option::of(any::<u64>());
    let numbers = (option::of(any::<u32>()), half(), half(), half(), half());
    let times = (long(), long(), long(), long());
    let rest = (option::of(any::<i8>()), half(), option::of(any::<u32>()));
    (epc(), numbers, times, rest).prop_map(|(epc, a, b, c)| TagReport {
        ro_spec: a.0,
        spec_index: a.1,
        inventory: a.2,
        antenna: a.3,
        channel: a.4,
        first_seen_utc: b.0,
        first_seen_uptime: b.1,
        last_seen_utc: b.2,
        last_seen_uptime: b.3,
        peak_rssi: c.0,
        seen_count: c.1,
        access_spec: c.2,
        ..TagReport::new(epc)
    })
}

fn status() -> impl Strategy<Value = Status> {
    let pair = || option::of(any::<(u16, u16)>());
    (any::<u16>(), ".{0,20}", pair(), pair()).prop_map(|(code, description, field, parameter)| {
        Status {
            code,
            description,
            field,
            parameter,
        }
    })
}

fn event() -> impl Strategy<Value = WhatHappened> {
    let at = prop_oneof![
        any::<u64>().prop_map(Timestamp::Utc),
        any::<u64>().prop_map(Timestamp::Uptime)
    ];
    let spec = option::of((any::<u8>(), any::<u32>(), any::<u32>()));
    let ports = (
        option::of(any::<(u16, bool)>()),
        option::of(any::<(u16, bool)>()),
    );
    let rest = (
        option::of(any::<u8>()),
        any::<bool>(),
        option::of(".{0,20}"),
    );
    let ends = (option::of(any::<u16>()), any::<bool>());
    (at, spec, ports, rest, ends).prop_map(|(at, spec, ports, rest, ends)| WhatHappened {
        gpi: ports.0,
        ro_spec: spec.map(|(kind, id, preempting)| RoSpecEvent {
            kind,
            id,
            preempting,
        }),
        buffer_level: rest.0,
        buffer_overflow: rest.1,
        exception: rest.2,
        antenna: ports.1,
        connection_attempt: ends.0,
        connection_close: ends.1,
        ..WhatHappened::nothing(at)
    })
}

fn stop() -> impl Strategy<Value = Stop> {
    any::<(u8, u32)>().prop_map(|(kind, after_ms)| Stop { kind, after_ms })
}

fn ro_spec() -> impl Strategy<Value = RoSpec> {
    let inventories = vec(any::<(u16, u8)>(), 0..3).prop_map(|all| {
        let all = all.into_iter();
        all.map(|(id, protocol)| Inventory { id, protocol })
            .collect()
    });
    let ai =
        (vec(any::<u16>(), 0..4), stop(), inventories).prop_map(|(antennas, stop, inventories)| {
            AiSpec {
                antennas,
                stop,
                inventories,
            }
        });
    let report =
        any::<(u8, u16, bool, bool, bool)>().prop_map(|(trigger, tags, a, b, c)| ReportSpec {
            trigger,
            tags,
            content: ReportContent {
                ro_spec: a,
                peak_rssi: b,
                access_spec: c,
                ..ReportContent::default()
            },
        });
    (
        any::<(u32, u8, u8, u8)>(),
        stop(),
        vec(ai, 0..3),
        option::of(report),
    )
        .prop_map(
            |((id, priority, state, start), stop, inventories, report)| RoSpec {
                id,
                priority,
                state,
                start,
                stop,
                inventories,
                report,
            },
        )
}

fn capabilities() -> impl Strategy<Value = Capabilities> {
    let device =
        (any::<(u16, bool, bool, u32, u32)>(), ".{0,20}").prop_map(|(n, firmware)| Device {
            antennas: n.0,
            antenna_properties: n.1,
            utc_clock: n.2,
            manufacturer: n.3,
            model: n.4,
            firmware,
            sensitivities: vec![(1, -3)],
            gpio: Some((4, 2)),
            air_protocols: vec![(1, vec![1])],
        });
    let functions =
        any::<(u8, u8, u16, [u32; 5])>().prop_map(|(bits, priorities, wait, most)| Functions {
            bits: bits & 0xf8,
            priorities,
            op_spec_timeout: wait,
            most,
        });
    (status(), option::of(device), option::of(functions)).prop_map(|(status, device, functions)| {
        Capabilities {
            status,
            device,
            functions,
        }
    })
}

fn message() -> impl Strategy<Value = Message> {
    let config = (
        status(),
        vec(any::<(u16, bool, i16)>(), 0..4),
        option::of(1..9999u32),
    )
        .prop_map(|(status, antennas, keepalive_ms)| {
            Message::ReaderConfig(ReaderConfig {
                status,
                identification: Some(Identification {
                    kind: 0,
                    id: vec![1, 2, 3],
                }),
                antennas,
                keepalive_ms,
                hold: Some(true),
            })
        });
    let set = (
        any::<bool>(),
        vec(any::<(u16, bool)>(), 0..4),
        option::of(0..9999u32),
    )
        .prop_map(|(reset, events, keepalive_ms)| Message::SetReaderConfig {
            reset,
            events,
            keepalive_ms,
            hold: None,
        });
    prop_oneof![
        vec(tag(), 0..5).prop_map(Message::Report),
        event().prop_map(Message::Event),
        ro_spec().prop_map(Message::AddRoSpec),
        capabilities().prop_map(Message::Capabilities),
        config,
        set,
        status().prop_map(Message::Error),
        status().prop_map(|s| Message::Answer(Request::StartRoSpec, s)),
        any::<u32>().prop_map(Message::DeleteRoSpec),
        any::<u8>().prop_map(Message::GetReaderConfig),
        Just(Message::Keepalive),
        Just(Message::CloseConnection),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(message in message(), id in any::<u32>()) {
        let bytes = message.encode(id).unwrap();
        let mut cutter = Cutter::new(LARGEST);
        cutter.push(&bytes);
        let frame = cutter.next_frame().unwrap().unwrap();
        prop_assert_eq!(frame.id, id);
        prop_assert_eq!(Message::decode(&frame), Ok(message));
        prop_assert_eq!(cutter.next_frame(), Ok(None));
    }

    #[test]
    fn a_changed_message_is_refused_or_read_as_another(
        message in message(), changes in vec((any::<u16>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = message.encode(1).unwrap();
        for (at, byte) in changes {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        laws::read_write_read(&bytes);
    }

    #[test]
    fn whatever_bytes_come_none_is_taken_for_more_than_it_is(bytes in vec(any::<u8>(), 0..200)) {
        laws::read_write_read(&bytes);
    }
}

#[test]
fn every_seed_keeps_the_law_of_its_target() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/llrp");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        laws::read_write_read(&std::fs::read(entry.unwrap().path()).unwrap());
        seen += 1;
    }
    assert!(seen >= 10, "{seen} seeds");
}

#[test]
fn a_vendors_parameter_is_skipped_by_its_length_and_a_wrong_length_is_named() {
    let tag = TagReport::new(Epc::of_96_bits([7; 12]));
    let mut bytes = Message::Report(vec![tag.clone()]).encode(1).unwrap();
    // Behind the tag, in the message: type 1023, 12 bytes.
    bytes.extend([0x03, 0xff, 0, 12, 0, 0, 0x65, 0x1a, 0, 0, 0, 57]);
    bytes[5] += 12;
    let read = |bytes: &[u8]| {
        let mut cutter = Cutter::new(LARGEST);
        cutter.push(bytes);
        Message::decode(&cutter.next_frame().unwrap().unwrap())
    };
    assert_eq!(read(&bytes), Ok(Message::Report(vec![tag])));
    let at = bytes.len() - 9;
    bytes[at] = 13;
    assert_eq!(
        read(&bytes).unwrap_err().to_string(),
        "a vendor's parameter in RO_ACCESS_REPORT says that it has 13 bytes: from 4 to 12 can be"
    );
}
