//! Messages as bytes (RFC 7252 §3), by `coap-lite`, and what must hold of them besides.

use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType};

/// The longest message that is sent: fits into any network's packet (RFC 7252 §4.6).
const MOST_SENT: usize = 1152;

/// Methods that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
}

/// How a message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Confirmable,
    NonConfirmable,
    Acknowledgement,
    Reset,
}

/// A part of a body (RFC 7959 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) number: u32,
    pub(super) more: bool,
    /// The size is two to the power of this and four.
    pub(super) exponent: u8,
}

impl Block {
    pub(super) const fn size(self) -> usize {
        1 << (self.exponent + 4)
    }

    fn encode(self) -> Vec<u8> {
        let word = self.number << 4 | u32::from(self.more) << 3 | u32::from(self.exponent & 7);
        uint(word)
    }
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// Class and detail as one byte: 2.05 is `0x45`.
    pub(super) code: u8,
    pub(super) id: u16,
    pub(super) token: Vec<u8>,
    pub(super) observe: Option<u32>,
    pub(super) max_age: Option<u32>,
    pub(super) format: Option<u16>,
    pub(super) etag: Option<Vec<u8>>,
    pub(super) block: Option<Block>,
    /// An option that must be understood and is not (RFC 7252 §5.4.1), or one that is
    /// malformed.
    pub(super) unusable: bool,
    pub(super) payload: Vec<u8>,
}

impl Message {
    pub(super) const fn is_empty(&self) -> bool {
        self.code == 0
    }

    pub(super) const fn is_response(&self) -> bool {
        self.code >> 5 >= 2 && self.code >> 5 <= 5
    }

    /// Reads one; nothing of what is no message of this version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let packet = Packet::from_bytes(bytes).ok()?;
        if packet.header.get_version() != 1 {
            return None;
        }
        let kind = match packet.header.get_type() {
            MessageType::Confirmable => Kind::Confirmable,
            MessageType::NonConfirmable => Kind::NonConfirmable,
            MessageType::Acknowledgement => Kind::Acknowledgement,
            MessageType::Reset => Kind::Reset,
        };
        let code = u8::from(packet.header.code);
        // Empty is empty, and behind the marker there is a payload (§3, §4.1).
        if code == 0 && bytes.len() > 4 || packet.payload.is_empty() && ends_with_marker(bytes) {
            return None;
        }
        let mut unusable = false;
        for (number, values) in packet.options() {
            let known = matches!(number, 1 | 3 | 5 | 7 | 11 | 15 | 17 | 23 | 27 | 35 | 39);
            unusable |= number % 2 == 1 && !known;
            // None of those that we read may come twice.
            unusable |= matches!(number, 6 | 12 | 14 | 23) && values.len() > 1;
        }
        let mut number = |option, most: usize| {
            let value = packet.get_first_option(option)?;
            if value.len() > most {
                unusable = true;
                return None;
            }
            Some(value.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)))
        };
        let observe = number(CoapOption::Observe, 3);
        let max_age = number(CoapOption::MaxAge, 4);
        let format = number(CoapOption::ContentFormat, 2).and_then(|n| u16::try_from(n).ok());
        let block = number(CoapOption::Block2, 3).map(|word| Block {
            number: word >> 4,
            more: word >> 3 & 1 == 1,
            exponent: u8::try_from(word & 7).unwrap_or(7),
        });
        // Seven is reserved (RFC 7959 §2.2).
        unusable |= block.is_some_and(|block| block.exponent == 7);
        let etag = packet.get_first_option(CoapOption::ETag).cloned();
        Some(Self {
            kind,
            code,
            id: packet.header.message_id,
            token: packet.get_token().to_vec(),
            observe,
            max_age,
            format,
            etag,
            block,
            unusable,
            payload: packet.payload,
        })
    }
}

/// Whether a message without a payload ends with the marker of one. The last byte of a token
/// or of an option's value may be the same, but what lacks that is no message.
fn ends_with_marker(bytes: &[u8]) -> bool {
    bytes
        .split_last()
        .is_some_and(|(last, before)| *last == 0xFF && Packet::from_bytes(before).is_ok())
}

/// What a request says besides its method.
#[derive(Debug, Clone, Default)]
pub(super) struct Options<'a> {
    pub(super) path: &'a [String],
    pub(super) query: &'a [String],
    pub(super) accept: Option<u16>,
    pub(super) format: Option<u16>,
    pub(super) observe: Option<u32>,
    pub(super) block: Option<Block>,
}

/// The bytes of a request; nothing if it would be too long.
pub(super) fn request(
    kind: Kind,
    id: u16,
    token: &[u8],
    method: Method,
    options: &Options<'_>,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let mut packet = Packet::new();
    packet.header.set_version(1);
    packet.header.set_type(match kind {
        Kind::NonConfirmable => MessageType::NonConfirmable,
        _ => MessageType::Confirmable,
    });
    packet.header.code = MessageClass::Request(match method {
        Method::Get => RequestType::Get,
        Method::Post => RequestType::Post,
        Method::Put => RequestType::Put,
    });
    packet.header.message_id = id;
    packet.set_token(token.to_vec());
    for segment in options.path {
        packet.add_option(CoapOption::UriPath, segment.as_bytes().to_vec());
    }
    for part in options.query {
        packet.add_option(CoapOption::UriQuery, part.as_bytes().to_vec());
    }
    if let Some(accept) = options.accept {
        packet.add_option(CoapOption::Accept, uint(accept.into()));
    }
    if let Some(format) = options.format {
        packet.add_option(CoapOption::ContentFormat, uint(format.into()));
    }
    if let Some(observe) = options.observe {
        packet.add_option(CoapOption::Observe, uint(observe));
    }
    if let Some(block) = options.block {
        packet.add_option(CoapOption::Block2, block.encode());
    }
    packet.payload = payload.to_vec();
    packet.to_bytes_with_limit(MOST_SENT).ok()
}

/// An empty acknowledgement or reset of the message of that id.
pub(super) fn empty(kind: Kind, id: u16) -> Vec<u8> {
    let first = match kind {
        Kind::Reset => 0x70,
        _ => 0x60,
    };
    let [high, low] = id.to_be_bytes();
    vec![first, 0, high, low]
}

/// A number in as few bytes as it takes (RFC 7252 §3.2).
fn uint(number: u32) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_what_the_rfc_shows() {
        let path = ["temperature".to_owned()];
        let options = Options {
            path: &path,
            ..Options::default()
        };
        let bytes = request(Kind::Confirmable, 0x7D34, &[], Method::Get, &options, &[]);
        // RFC 7252, appendix A, figure 16.
        let shown = [&[0x40, 1, 0x7D, 0x34, 0xBB], &b"temperature"[..]].concat();
        assert_eq!(bytes, Some(shown));
    }

    #[test]
    fn what_is_no_message_is_nothing() {
        assert_eq!(Message::decode(&[]), None);
        assert_eq!(Message::decode(&[0x80, 0x45, 0, 1]), None, "version 2");
        assert_eq!(Message::decode(&[0x60, 0, 0, 1, 0xFF]), None, "not empty");
        assert_eq!(
            Message::decode(&[0x60, 0x45, 0, 1, 0xFF]),
            None,
            "no payload"
        );
        assert_eq!(Message::decode(&[0x49, 0x45, 0, 1]), None, "token too long");
        // An unknown critical option: 9 is OSCORE's.
        let message = Message::decode(&[0x60, 0x45, 0, 1, 0x90]).unwrap();
        assert!(message.unusable);
    }

    #[test]
    fn a_last_byte_like_the_marker_is_no_marker() {
        // Of a token: 2.04 without anything else.
        let message = Message::decode(&[0x62, 0x44, 0, 1, 0x12, 0xFF]).unwrap();
        assert_eq!(message.token, [0x12, 0xFF]);
        // Of an option's value: an ETag.
        let message = Message::decode(&[0x60, 0x43, 0, 1, 0x42, 0xFF, 0xFF]).unwrap();
        assert_eq!(message.etag, Some(vec![0xFF, 0xFF]));
        // Behind both, a marker is one.
        assert_eq!(Message::decode(&[0x62, 0x44, 0, 1, 0x12, 0xFF, 0xFF]), None);
        let behind_option = [0x60, 0x43, 0, 1, 0x42, 0xFF, 0xFF, 0xFF];
        assert_eq!(Message::decode(&behind_option), None);
    }

    proptest! {
        #[test]
        fn any_token_comes_back(token in prop::collection::vec(any::<u8>(), 0..=8)) {
            let mut bytes = vec![0x60 | u8::try_from(token.len()).unwrap(), 0x44, 0, 1];
            bytes.extend(&token);
            prop_assert_eq!(Message::decode(&bytes).unwrap().token, token);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Message::decode(&bytes);
        }
    }
}
