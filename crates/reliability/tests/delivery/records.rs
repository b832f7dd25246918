//! Channels as bytes.

use proptest::prelude::*;
use stanchion_reliability::delivery::receiver::{EPOCHS, SPAN};
use stanchion_reliability::delivery::{Coordinates, ReceivingChannel, SendingChannel, Standing};
use stanchion_stanza::payload::delivery::{Boot, Epoch, IdPrefix, MAX_SEQ};

/// Bytes that one epoch takes, at most.
const EPOCH_BYTES: usize = 1024;

const EPOCH: Epoch = Epoch {
    index: 1,
    random: 1,
};

/// What a peer may write, and what may follow.
fn any_word() -> impl Strategy<Value = (Coordinates, u8)> {
    let seq = prop_oneof![1..200u64, MAX_SEQ - 200..=MAX_SEQ];
    let low = prop_oneof![1..9u64, 1..200u64, MAX_SEQ - 200..=MAX_SEQ];
    let ids = (any::<u64>(), proptest::option::of(any::<u64>()));
    (0..6u32, seq, low, ids, 0..20u32, any::<u8>()).prop_map(
        |(index, seq, low, (id, prev), boot, then)| {
            let at = Coordinates {
                epoch: Epoch {
                    index,
                    random: index,
                },
                seq,
                low,
                id: IdPrefix::from_bits(id),
                prev: prev.map(IdPrefix::from_bits),
                boot: Boot(boot),
            };
            (at, then)
        },
    )
}

fn take(channel: &mut ReceivingChannel, at: &Coordinates, then: u8) {
    match then % 5 {
        0 => drop(channel.cancelled(at)),
        1 if then > 240 => drop(channel.close(at.epoch, at.boot, &mut Vec::new())),
        2 => {
            channel.arrives(at);
            channel.hand_over(at.epoch, at.seq);
        }
        3 => {
            channel.arrives(at);
            channel.conclude(at.epoch, at.seq, Standing::Delivered);
        }
        _ => drop(channel.arrives(at)),
    }
}

proptest! {
    #[test]
    fn what_a_receiver_writes_it_reads_again(words in prop::collection::vec(any_word(), 0..300)) {
        let mut channel = ReceivingChannel::default();
        for (at, then) in &words {
            take(&mut channel, at, *then);
        }
        let bytes = channel.to_bytes();
        prop_assert!(bytes.len() <= 2 + EPOCHS * EPOCH_BYTES);
        prop_assert_eq!(ReceivingChannel::from_bytes(&bytes), Ok(channel));
    }

    #[test]
    fn any_bytes_are_a_channel_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(channel) = ReceivingChannel::from_bytes(&bytes) {
            prop_assert_eq!(ReceivingChannel::from_bytes(&channel.to_bytes()), Ok(channel));
        }
        let _ = SendingChannel::from_bytes(&bytes);
    }
}

/// One of a row of messages; from the second on they say that the first is settled.
fn message(seq: u64, boot: u32) -> Coordinates {
    Coordinates {
        epoch: EPOCH,
        seq,
        low: seq.min(2),
        id: IdPrefix::from_bits(seq),
        // What is recorded beside it is not written twice, and another one is refused.
        prev: Some(IdPrefix::from_bits(seq - 1)),
        boot: Boot(boot),
    }
}

fn full() -> ReceivingChannel {
    let mut channel = ReceivingChannel::default();
    // The first one is the message below `low`.
    for seq in 1..=SPAN + 1 {
        channel.arrives(&message(seq, seq as u32));
        channel.conclude(EPOCH, seq, Standing::Delivered);
    }
    channel.close(EPOCH, Boot(1), &mut Vec::new());
    channel
}

#[test]
fn an_epoch_takes_less_than_a_kibibyte_whatever_a_peer_does() {
    let bytes = full().to_bytes().len();
    println!("a full epoch: {bytes} bytes");
    assert!(bytes < EPOCH_BYTES);
}

/// Two slots of an epoch, as version 2 wrote them: ids had eight bytes.
#[test]
fn a_record_with_long_ids_is_read() {
    let long = |id: u8| [0, 0, 0, 0, 0, id, 7, 7];
    let mut bytes = vec![2, 1, 0, 0, 0, 1, 0, 0, 0, 1];
    bytes.extend(2_u64.to_be_bytes());
    bytes.push(1);
    bytes.extend(long(1));
    // Open, one boot, two slots: delivered with its predecessor, held with the one beside it.
    bytes.extend([0, 1, 0, 0, 0, 9, 2]);
    bytes.push(2 << 3 | 2);
    bytes.extend(long(2));
    bytes.extend(long(1));
    bytes.push(1 << 3);
    bytes.extend(long(3));

    let mut channel = ReceivingChannel::default();
    for seq in 1..=3 {
        channel.arrives(&message(seq, 9));
    }
    channel.conclude(EPOCH, 2, Standing::Delivered);
    assert_eq!(ReceivingChannel::from_bytes(&bytes), Ok(channel));
    // Of the sender's, the id of the last message.
    let mut bytes = vec![2, 0, 0, 0, 1, 0, 0, 0, 1];
    for number in [1_u64, 1, 2] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.push(1);
    bytes.extend(long(1));
    bytes.push(0);
    let mut sending = SendingChannel::new(EPOCH);
    sending.accept(IdPrefix::from_bits(1), false);
    let read = SendingChannel::from_bytes(&bytes).unwrap();
    assert_eq!(read.to_bytes(), sending.to_bytes());
}

#[test]
fn a_record_that_is_cut_or_of_a_later_version_is_refused() {
    let mut bytes = full().to_bytes();
    for cut in 0..bytes.len() {
        assert!(ReceivingChannel::from_bytes(&bytes[..cut]).is_err());
    }
    bytes[0] = 4;
    assert!(ReceivingChannel::from_bytes(&bytes).is_err());
    let mut bytes = SendingChannel::new(Epoch {
        index: 1,
        random: 1,
    })
    .to_bytes();
    for cut in 0..bytes.len() {
        assert!(SendingChannel::from_bytes(&bytes[..cut]).is_err());
    }
    bytes.push(0);
    assert!(SendingChannel::from_bytes(&bytes).is_err());
}
