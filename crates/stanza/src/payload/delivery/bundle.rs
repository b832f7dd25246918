//! Messages to one recipient that share a stanza.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::shape::{Part, Reader, Sink, append, element};
use crate::payload::PayloadError;

/// Characters of a bundle, at most: more than servers take of a stanza (RFC 6120 §13.12
/// lets them stop at 10,000 bytes, and most stop at 256 KiB).
const MOST: usize = 512 * 1024;

/// Whole messages in one stanza: `<bundle/>`, in a message of its own without a body. Each
/// is a `<message/>` as it would have been sent alone, with its [`Deliver`](super::Deliver);
/// sender and recipient are those of the stanza, whatever the message itself says.
///
/// To the servers on the way it is one element with text in it (base64, RFC 4648 §4, a space
/// between two messages), and costs about as much as one short message. They, and other
/// clients of the recipient, do not see what is in it: so it goes only to a device that says
/// in its answers how many it takes (`m` of [`Answer`](super::Answer)).
///
/// ```
/// use stanchion_stanza::Payload;
/// use stanchion_stanza::payload::delivery::Bundle;
/// let bundle = Bundle { messages: vec![b"<message/>".to_vec(), b"<message id='2'/>".to_vec()] };
/// let mut bytes = Vec::new();
/// bundle.write_into(&mut bytes);
/// assert_eq!(
///     bytes,
///     b"<bundle xmlns='urn:stanchion:delivery:0'>PG1lc3NhZ2UvPg== PG1lc3NhZ2UgaWQ9JzInLz4=</bundle>"
/// );
/// assert_eq!(Bundle::from_element(&bundle.to_element())?, bundle);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bundle {
    /// The bytes of each message, 1 to [`Bundle::MAX`] of them.
    pub messages: Vec<Vec<u8>>,
}

impl Bundle {
    /// Messages in a bundle, at most.
    pub const MAX: usize = 32;

    /// Characters that a message of so many bytes takes in a bundle, with the space that
    /// parts it from the next.
    #[must_use]
    pub const fn room_for(bytes: usize) -> usize {
        bytes.div_ceil(3) * 4 + 1
    }

    /// Appends the bytes of the element to `out`, as
    /// [`Deliver::write_into`](super::Deliver::write_into) does.
    pub fn write_into(&self, out: &mut Vec<u8>) {
        append(self, out);
    }
}

element! {
    Bundle, "bundle"
}

impl Part for Bundle {
    fn read(element: Reader<'_>) -> Result<Self, PayloadError> {
        let text = element.text(MOST).ok_or(element.invalid("bundle"))?;
        let mut messages = Vec::new();
        for written in text.split(' ') {
            let message = STANDARD.decode(written);
            match message {
                Ok(message) if messages.len() < Self::MAX && !message.is_empty() => {
                    messages.push(message);
                }
                _ => return Err(element.invalid("bundle")),
            }
        }
        Ok(Self { messages })
    }

    fn write(&self, to: &mut impl Sink) {
        let room = self.messages.iter().map(|m| Self::room_for(m.len())).sum();
        let mut text = String::with_capacity(room);
        for message in &self.messages {
            if !text.is_empty() {
                text.push(' ');
            }
            STANDARD.encode_string(message, &mut text);
        }
        to.text(&text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::payload::Payload as _;
    use crate::xml::{Element, Text};

    fn read(text: &str) -> Result<Bundle, PayloadError> {
        Bundle::from_element(
            &Element::new("bundle", crate::ns::DELIVERY).with_text(Text::new(text).unwrap()),
        )
    }

    #[test]
    fn what_is_not_written_so_is_refused() {
        assert_eq!(read("YQ== Yg==").unwrap().messages, [b"a", b"b"]);
        for wrong in [
            "",
            " ",
            "YQ== ",
            " YQ==",
            "YQ==  Yg==",
            "YQ",
            "YR==",
            "?",
            "YQ==\nYg==",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        assert!(read(&["YQ=="; Bundle::MAX].join(" ")).is_ok());
        assert!(read(&["YQ=="; Bundle::MAX + 1].join(" ")).is_err());
        assert!(read(&"A".repeat(MOST + 4)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_takes_the_room_that_is_told(
            messages in prop::collection::vec(
                prop::collection::vec(any::<u8>(), 1..600),
                1..=Bundle::MAX,
            )
        ) {
            let bundle = Bundle { messages };
            let element = bundle.to_element();
            prop_assert_eq!(&Bundle::from_element(&element).unwrap(), &bundle);
            let room: usize = bundle.messages.iter().map(|m| Bundle::room_for(m.len())).sum();
            prop_assert_eq!(element.text().len() + 1, room);
        }
    }
}
