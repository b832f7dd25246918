//! Packets out of a stream of bytes (MQTT 3.1.1 §2). The packets themselves are read by
//! `rumqttc`; here is what bounds them: one publication that is too long is left out, and
//! does not end the connection, for a broker would send it again and again. Sans-IO.

use bytes::{Buf, BytesMut};
use rumqttc::{Packet, QoS};

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// A packet.
    Packet(Packet),
    /// A publication that is longer than it may be: its head, of `length` bytes in all.
    TooLong {
        topic: String,
        /// To be acknowledged, or the broker sends it again; none with QoS 0.
        pkid: Option<u16>,
        length: usize,
    },
}

/// What cannot be MQTT, or not what we asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum FramingError {
    #[error("a packet's length has more than four bytes (MQTT 3.1.1 §2.2.3)")]
    Length,
    #[error("a packet of type {kind} has {length} bytes")]
    TooLong { kind: u8, length: usize },
    #[error("a packet cannot be read")]
    Packet(#[from] rumqttc::mqttbytes::Error),
}

/// The bytes that came and are no packet yet: at most one packet of the greatest size, and
/// what was read with it.
#[derive(Debug)]
pub(super) struct Framing {
    max_packet: usize,
    bytes: BytesMut,
    /// What is left of a packet that is left out.
    skip: usize,
}

const PUBLISH: u8 = 3;

impl Framing {
    pub(super) fn new(max_packet: usize) -> Self {
        Self {
            max_packet,
            bytes: BytesMut::new(),
            skip: 0,
        }
    }

    /// More bytes. To be called once [`Framing::next`] has nothing more.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        bytes.advance(skipped);
        self.skip -= skipped;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next packet, if it is whole.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, FramingError> {
        let Some((head, body)) = self.lengths()? else {
            return Ok(None);
        };
        let length = head + body;
        if length > self.max_packet {
            return self.too_long(head, length);
        }
        if self.bytes.len() < length {
            return Ok(None);
        }
        // Only this packet: what is behind it is none of its reader's business.
        let mut packet = self.bytes.split_to(length);
        let packet = Packet::read(&mut packet, self.max_packet)?;
        Ok(Some(Frame::Packet(packet)))
    }

    /// How many bytes the fixed header has, and how many follow it.
    fn lengths(&self) -> Result<Option<(usize, usize)>, FramingError> {
        let mut body = 0;
        for (at, byte) in self.bytes.iter().skip(1).enumerate() {
            if at == 4 {
                return Err(FramingError::Length);
            }
            body |= usize::from(byte & 0x7F) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(Some((at + 2, body)));
            }
        }
        match self.bytes.len() {
            0..=4 => Ok(None),
            _ => Err(FramingError::Length),
        }
    }

    fn too_long(&mut self, head: usize, length: usize) -> Result<Option<Frame>, FramingError> {
        let kind = self.bytes[0] >> 4;
        if kind != PUBLISH {
            return Err(FramingError::TooLong { kind, length });
        }
        let malformed = || FramingError::Packet(rumqttc::mqttbytes::Error::MalformedPacket);
        let acknowledged = self.bytes[0] & 0b0110 != 0;
        let Some(size) = self.bytes.get(head..head + 2) else {
            return Ok(None);
        };
        let size = usize::from(u16::from_be_bytes([size[0], size[1]]));
        let end = head + 2 + size;
        let whole = if acknowledged { end + 2 } else { end };
        if whole > length {
            return Err(malformed());
        }
        if self.bytes.len() < whole {
            return Ok(None);
        }
        let topic = String::from_utf8_lossy(&self.bytes[head + 2..end]).into_owned();
        let id = || u16::from_be_bytes([self.bytes[end], self.bytes[end + 1]]);
        let pkid = acknowledged.then(id);
        let there = length.min(self.bytes.len());
        self.bytes.advance(there);
        self.skip = length - there;
        Ok(Some(Frame::TooLong {
            topic,
            pkid,
            length,
        }))
    }
}

/// Puts a packet's bytes behind others.
///
/// # Errors
/// One that MQTT has no room for.
pub(super) fn write(packet: &Packet, out: &mut BytesMut) -> Result<(), FramingError> {
    const LONGEST: usize = 268_435_455;
    packet.write(out, LONGEST)?;
    Ok(())
}

/// Whether we asked for it: nobody subscribes here with QoS 2.
pub(super) fn is_exactly_once(qos: QoS) -> bool {
    qos == QoS::ExactlyOnce
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rumqttc::Publish;

    use super::*;

    fn publish(topic: &str, payload: usize) -> Packet {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, vec![b'x'; payload]);
        publish.pkid = 7;
        Packet::Publish(publish)
    }

    fn bytes_of(packets: &[Packet]) -> BytesMut {
        let mut bytes = BytesMut::new();
        for packet in packets {
            write(packet, &mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn what_is_too_long_is_left_out_and_what_follows_is_read() {
        let packets = [publish("a", 10), publish("long/one", 5000), publish("b", 3)];
        for step in [1, 7, 100, 10_000] {
            let mut framing = Framing::new(100);
            let mut frames = Vec::new();
            for chunk in bytes_of(&packets).chunks(step) {
                framing.feed(chunk);
                while let Some(frame) = framing.next().unwrap() {
                    frames.push(frame);
                }
                assert!(framing.bytes.len() <= 100 + step);
            }
            let Frame::TooLong { topic, pkid, .. } = &frames[1] else {
                panic!("{frames:?}")
            };
            assert_eq!((&**topic, *pkid), ("long/one", Some(7)));
            assert_eq!(frames[0], Frame::Packet(packets[0].clone()));
            assert_eq!(frames[2], Frame::Packet(packets[2].clone()));
            assert_eq!(frames.len(), 3);
        }
    }

    #[test]
    fn only_a_publication_may_be_too_long() {
        let mut framing = Framing::new(100);
        framing.feed(&[0x90, 0xFF, 0x7F]);
        assert!(matches!(
            framing.next(),
            Err(FramingError::TooLong { kind: 9, .. })
        ));
        let mut framing = Framing::new(100);
        framing.feed(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert!(matches!(framing.next(), Err(FramingError::Length)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_grow(chunks in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..200), 0..20
        )) {
            let mut framing = Framing::new(300);
            'all: for chunk in &chunks {
                framing.feed(chunk);
                loop {
                    match framing.next() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'all,
                    }
                }
                // The head of one that is too long holds a topic.
                prop_assert!(framing.bytes.len() < 300 + 200 + 65_536 + 9);
            }
        }

        #[test]
        fn a_packet_of_any_type_with_any_body_makes_no_panic(
            kind in 0u8..=255, body in prop::collection::vec(any::<u8>(), 0..100)
        ) {
            let mut framing = Framing::new(300);
            framing.feed(&[kind, u8::try_from(body.len()).unwrap()]);
            framing.feed(&body);
            let _ = framing.next();
        }
    }
}
